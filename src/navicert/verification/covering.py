"""Covering: the log's entries, held against the checkpoints that cover them (R5; C2SP tlog-checkpoint).

* The size is that of a signed checkpoint, and its root is computed from every entry's hash.
* What came after the newest checkpoint that a quorum of witnesses has cosigned is the tail: whoever holds the store and
  all its keys could still take it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from navicert.core.times import micros
from navicert.model.errors import VerificationError
from navicert.model.trust import Trust
from navicert.tlog.checkpoint import (
    Checkpoint,
    Cosigned,
    cosignatures,
    epoch_origin,
    parse_checkpoint,
    quorum_met,
    verify_checkpoint,
)
from navicert.tlog.note import parse_note
from navicert.tlog.tree import Frontier


def signed(note: str, trust: Trust) -> tuple[int, Checkpoint]:
    """Return epoch and content of a checkpoint that the log signed; raises `VerificationError`."""
    origin = trust.origin
    try:
        said = parse_checkpoint(parse_note(note).text).origin
    except VerificationError as error:
        raise VerificationError("bad_checkpoint", str(error).removeprefix("schema: ")) from None
    number = said.removeprefix(f"{origin}/epoch-")
    epoch = int(number) if number.isascii() and number.isdigit() and 0 < len(number) < 10 else 1
    if epoch < 2 or epoch_origin(origin, epoch) != said:
        epoch = 1
    return epoch, verify_checkpoint(note, epoch_origin(origin, epoch), trust.log, trust.revoked, name=origin)


def quorum_of(note: str, trust: Trust) -> tuple[Cosigned, ...]:
    """Return who cosigned a checkpoint, () where that is no quorum; raises `VerificationError` for a bad one."""
    by = cosignatures(note, trust.witnesses)
    return by if trust.quorum and quorum_met(by, trust.quorum) else ()


def since(by: Iterable[Cosigned], quorum: int) -> int:
    """Return when a quorum had cosigned, in seconds: each operator counts by its latest word."""
    latest = {item.operator: item.at for item in sorted(by, key=lambda item: item.at)}
    return sorted(latest.values(), reverse=True)[quorum - 1]


def tail_s(by: Sequence[Cosigned], quorum: int, last_at: str) -> int:
    """Return for how many seconds the log went on behind the quorum."""
    return max(0, micros(last_at) // 1_000_000 - since(by, quorum))


class Covering:
    """Holds the hashes of entries, as they come in order, against checkpoints; `check` at the end."""

    def __init__(self, checkpoints: Iterable[tuple[int, Checkpoint]]) -> None:
        """Take (epoch, checkpoint) of each, in any order."""
        self._left = sorted(checkpoints, key=lambda item: item[1].size)
        self._tree = Frontier()
        self._epoch = 1
        self._meet()

    def grow(self, leaf: bytes, *, restores: bool = False) -> None:
        """Take the next entry's hash. restores: it begins a new epoch. Raises `VerificationError`."""
        self._epoch += restores
        if self._left:
            self._tree.append(leaf)
            self._meet()

    def check(self) -> None:
        """Raise `VerificationError` where a checkpoint covers more than there is."""
        if self._left:
            size = self._left[-1][1].size
            message = f"the entries end at {self._tree.size}, and {size} stood in the log when it signed"
            raise VerificationError("tail_cut", message)

    def _meet(self) -> None:
        while self._left and self._left[0][1].size == self._tree.size:
            epoch, checkpoint = self._left.pop(0)
            if self._tree.root() != checkpoint.root:
                message = f"the first {checkpoint.size} entries are not those whose root was signed"
                raise VerificationError("tree_mismatch", message)
            if epoch != self._epoch:
                message = f"the checkpoint of {checkpoint.size} entries is of epoch {epoch}, not {self._epoch}"
                raise VerificationError("wrong_origin", message)
