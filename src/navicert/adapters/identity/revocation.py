"""Revocation: the list of tokens, people and agents that are no longer believed, and how old it may be (R6.c).

* The list says when it was issued; from then on it counts for a limited time. Stale or unreadable, nobody is believed.
* An older list never takes the place of a newer one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Annotated, Final

import msgspec

from navicert.adapters.identity.fetch import FetchError
from navicert.adapters.identity.held import SECOND, SKEW, hold
from navicert.model.errors import Unvouched
from navicert.model.value import Value

_COOL_S: Final = 5.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Revoked(Value, frozen=True, kw_only=True):
    """What is revoked: token ids (`jti`), people (`sub`, or `issuer|sub`), agents."""

    jti: frozenset[str] = frozenset()
    sub: frozenset[str] = frozenset()
    agent: frozenset[str] = frozenset()


class RevocationList(Value, frozen=True, kw_only=True):
    """The document. issued_at: RFC 3339, with its zone."""

    issued_at: Annotated[datetime, msgspec.Meta(tz=True)]
    revoked: Revoked


class Listed:
    """One list as it is in force. issued_at: microseconds, UTC."""

    __slots__ = ("issued_at", "revoked")

    def __init__(self, revoked: Revoked, issued_at: int) -> None:
        self.revoked = revoked
        self.issued_at = issued_at


class Revocations:
    """The revocation list at a place, kept up to date. Called from any thread."""

    def __init__(self, place: str, home: Path, *, fresh_s: float) -> None:
        self.source = place
        self._fresh = int(fresh_s * SECOND)
        self._held = hold(
            place, home, what="the revocation list", parse=_parse, fresh_s=fresh_s, cool_s=min(_COOL_S, fresh_s / 2)
        )
        self._lock = Lock()
        self._newest: Listed | None = None

    @property
    def inline(self) -> bool:
        """True where the list is a file."""
        return self._held.inline

    def get(self, now: int) -> Listed:
        """Return the list in force; raises `Unvouched` where it is stale, or cannot be had."""
        listed = self._newer(self._held.get(now).value, now)
        if not self._is_fresh(listed, now):
            listed = self._newer(self._held.again(now).value, now)
        if not self._is_fresh(listed, now):
            raise Unvouched(
                f"the revocation list `{self.source}` was not issued within the last {self._fresh // SECOND} s; "
                "the operator must see to it that a fresh one is issued, nothing is permitted until then"
            )
        return listed

    def _newer(self, found: Listed, now: int) -> Listed:
        if found.issued_at > now + SKEW:
            return found  # never kept: it would keep every true list out
        with self._lock:
            if self._newest is None or self._newest.issued_at <= found.issued_at:
                self._newest = found
            return self._newest

    def _is_fresh(self, listed: Listed, now: int) -> bool:
        return -SKEW <= now - listed.issued_at <= self._fresh


def _parse(data: bytes) -> Listed:
    try:
        document = msgspec.json.decode(data, type=RevocationList)
        return Listed(document.revoked, (document.issued_at - _EPOCH) // timedelta(microseconds=1))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        raise FetchError("holds no revocation list") from None
