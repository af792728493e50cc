"""One entry's proof as a text of its own (C2SP tlog-proof): path and checkpoint together, checked off line (R5).

* Nothing is verified by reading: whoever reads verifies the checkpoint, then the path against its size and root.
* The extra data is nobody's word: no signature covers it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from navicert.model.errors import VerificationError
from navicert.model.value import Value
from navicert.tlog.checkpoint import number, parse_checkpoint
from navicert.tlog.note import decode64, parse_note
from navicert.tlog.tree import HASH

_HEAD: Final = "c2sp.org/tlog-proof@v1"
_LONGEST: Final = 63
"""Hashes in the longest path: no tree is higher."""


class Proof(Value, frozen=True, kw_only=True):
    """index: of the leaf, from 0. hashes: its path, sibling first. checkpoint: the signed note. extra: not signed."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def proof_text(index: int, hashes: Sequence[bytes], checkpoint: str, extra: bytes | None = None) -> str:
    """Return the proof as text; empty extra data is none."""
    lines = [_HEAD, *([f"extra {_coded(extra)}"] if extra else []), f"index {index}", *map(_coded, hashes)]
    return "\n".join([*lines, "", checkpoint])


def parse_proof(text: str) -> Proof:
    """Return what a proof says."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    extra = None
    if lines[0] != _HEAD:
        raise VerificationError("schema", f"proof: its first line is not `{_HEAD}`")
    if len(lines) > 1 and lines[1].startswith("extra "):
        extra = decode64(lines.pop(1).removeprefix("extra "), "proof, extra data")
    if len(lines) < 2 or not lines[1].startswith("index ") or extra == b"":
        raise VerificationError("schema", "proof: it does not say the index, or there is a line without data before it")
    hashes = tuple(decode64(line, "proof, path") for line in lines[2:])
    if len(hashes) > _LONGEST or any(len(item) != HASH for item in hashes):
        raise VerificationError("schema", f"proof: the path is not of up to {_LONGEST} hashes of {HASH} bytes")
    parse_checkpoint(parse_note(note).text)
    return Proof(
        index=number(lines[1].removeprefix("index "), "proof index"), hashes=hashes, checkpoint=note, extra=extra
    )


def _coded(data: bytes) -> str:
    return b64encode(data).decode()
