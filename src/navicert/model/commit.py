"""What the engine asks the journal to make durable: one atomic change (property 3)."""

from __future__ import annotations

import msgspec

from navicert.model.context import ContextEntry
from navicert.model.receipt import Receipt
from navicert.model.value import Value


def following(expected: int, tag: int) -> int:
    """Return the version of a row after a commit: a count, and the commit's own tag in the lower 32 bits.

    The tag tells apart what two engines made of the same version: a change that is built on a change which failed
    must not pass for one that is built on what came in its place.
    """
    return ((expected >> 32) + 1) << 32 | tag


class RowWrite(Value, frozen=True, kw_only=True):
    """Replace the row `key`, at version `expected` (0: it must not exist), by `value`, at the version that follows.

    value None: the row goes, and its version starts again at 0.
    """

    key: str
    expected: int
    value: msgspec.Struct | None


class RowRead(Value, frozen=True, kw_only=True):
    """The row `key` was looked at, at version `expected`; the commit fails where it has moved."""

    key: str
    expected: int


class Draft(Value, frozen=True, kw_only=True):
    """A receipt without its place in the chains and without a signature; the journal gives it both.

    disclosures: RFC 9901 disclosures before base64url, one line of JSON each. subject: whose key wraps their data key.
    """

    receipt: Receipt
    disclosures: tuple[bytes, ...] = ()
    subject: str = ""


class Commit(Value, frozen=True, kw_only=True):
    """One atomic, durable change: all of it stands, or none (property 3)."""

    session_id: str | None = None
    tag: int = 0
    """32 random bits, for the versions of the rows that it writes."""
    writes: tuple[RowWrite, ...] = ()
    reads: tuple[RowRead, ...] = ()
    entries: tuple[tuple[str, int, ContextEntry], ...] = ()
    """(session id, place in that session's chain, entry)."""
    draft: Draft | None = None
    policy: tuple[str, bytes] | None = None
    """Content hash and canonical bytes of a policy set to keep."""
