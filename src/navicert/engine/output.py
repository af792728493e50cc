"""What a tool gave back, and what of it may be released (R2, R5)."""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.model.labels import Labels
from navicert.model.receipt import ReleasePart
from navicert.model.value import Value

KEPT: Final = 16_384
"""So many characters of an output are disclosed."""


class Output(Value, frozen=True, kw_only=True):
    """What a tool gave back: `text` to look at, None where there is none; `json` for the receipt's disclosure.

    empty: it is null, true or false, and says nothing of its own. rewritable: the caller can release what `json` says
    in place of the result, and will, where policy redacts it; else such a result is withheld.
    """

    text: str | None
    json: bytes = b"null"
    empty: bool = False
    rewritable: bool = False


class Released(Value, frozen=True, kw_only=True):
    """What may be released, now that its labels stand in the context. json: in place of the result, None: the result.

    part: what the receipt says of it, where it is less than the whole. output: what the receipt discloses; the engine's
    own business.
    """

    labels: Labels
    json: bytes | None = None
    part: ReleasePart | None = None
    output: bytes | None = None


def kept(output: Output) -> bytes:
    """Return what of an output is disclosed: JSON, long texts by their beginning and full length."""
    if len(output.json) <= KEPT or output.text is None:
        return output.json
    return msgspec.json.encode({"beginning": output.text[:KEPT], "bytes": len(output.json)})
