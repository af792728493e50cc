"""Erasures: who decided about the disclosures of a data subject, and which are gone for it (R5; DESIGN.md section 7).

* A hold is set by one person; it is lifted, and a subject is erased, by two, who signed one and the same statement.
  Nobody decides about themselves, and nothing is erased under a hold.
* A statement names the subject by pseudonym, and why by the commitment in the record: who holds it learns neither.
* In the log stand who, what and when. With the disclosures at hand the signatures are verified as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from navicert.core.canonical import state_bytes
from navicert.core.seal import unb64
from navicert.core.times import micros
from navicert.model.errors import VerificationError
from navicert.model.receipt import ErasurePart, Receipt
from navicert.model.value import Value
from navicert.verification.disclosed import statement_at
from navicert.verification.people import People

HOLD: Final = "hold"
RELEASE: Final = "release"
ERASED: Final = "erased"
PERSONS: Final[Mapping[str, int]] = {HOLD: 1, RELEASE: 2, ERASED: 2}
"""How many different people it takes."""
OPEN_US: Final = 7 * 86_400_000_000
"""So long the second person has, microseconds."""
_TYPE: Final = "navicert/erasure/1"
SKEW_US: Final = 300_000_000
"""A clock that was set may put a signature so far off."""


class ErasureStatement(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What people sign. state: as recorded. size, head: the log as it then was. reason: the commitment to why."""

    type: str = _TYPE
    origin: str
    subject: str
    state: str
    reason: str
    nonce: str
    size: int
    head: str
    at: int


class Erasures:
    """Holds and erasures, as a log is gone through. erased: subject → place of the newest erasure."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.erased: dict[str, int] = {}
        self._used: set[str] = set()

    def check(self, receipt: Receipt, people: People, place: str) -> None:
        """Take an `erasure` record; raises `VerificationError`: `erasure_refused`, `approver`."""
        part, said = receipt.erasure, receipt.approval or ()
        if part is None:
            return
        # 1. As many different people as it takes, with keys of their own that are in force, and not the subject.
        people.check(receipt, place)
        if any(people.ended(item) for item in said):
            raise VerificationError("erasure_refused", f"{place}: one of the keys had ended by then")
        if any(item.answer != "approve" or item.role != "approver" for item in said):
            raise VerificationError("erasure_refused", f"{place}: somebody did not agree")
        count = min(len({item.approver for item in said}), len({item.key_id for item in said}))
        if count < PERSONS[part.state]:
            message = f"{place}: {count} people decided, and `{part.state}` takes {PERSONS[part.state]}"
            raise VerificationError("erasure_refused", message)
        if any(item.approver == part.subject for item in said):
            raise VerificationError("erasure_refused", f"{place}: `{part.subject}` decided about themselves")
        # 2. What was signed for an earlier record counts for no other.
        if any(item.signature in self._used for item in said):
            raise VerificationError("erasure_refused", f"{place}: it was signed for an earlier record")
        self._used.update(item.signature for item in said)
        # 3. What is held is not erased, and what is not held cannot be released.
        if (part.state == RELEASE) != (part.subject in self.held):
            raise VerificationError("erasure_refused", f"{place}: `{part.state}` of what is held, or is not")
        self._take(part, receipt.log.seq)

    def _take(self, part: ErasurePart, seq: int) -> None:
        if part.state == HOLD:
            self.held.add(part.subject)
        elif part.state == RELEASE:
            self.held.discard(part.subject)
        else:
            self.erased[part.subject] = seq

    def gone(self, subject: str | None, seq: int) -> bool:
        """Tell whether what was sealed for a subject at this place was erased later."""
        return subject is not None and seq < self.erased.get(subject, 0)


def verify_erasure(
    receipt: Receipt, disclosed: Mapping[str, bytes], people: People, head_at: Callable[[int], str | None], place: str
) -> None:
    """Verify what people signed for an `erasure` record. head_at: SHA-256 of the entry at a place of this log.

    Raises `VerificationError`: `answer_signature`, `answer_mismatch`, `approver`.
    """
    part, texts = receipt.erasure, set()
    for index, item in enumerate(receipt.approval or ()):
        where = f"{place}, answer {index + 1}"
        signed = _text(disclosed[statement_at(index)], where).encode()
        try:
            people.key(item, where).verifies(signed, unb64(item.signature))
        except ValueError as error:
            raise VerificationError("answer_signature", f"{where}: {error}") from None
        said = read_statement(signed, where)
        texts.add(signed)
        told = (receipt.log.origin, part.subject, part.state, part.reason) if part else ()
        if (said.origin, said.subject, said.state, said.reason) != told or len(texts) > 1:
            raise VerificationError("answer_mismatch", f"{where}: they signed something else than the record says")
        if said.size >= receipt.log.seq or head_at(said.size) != said.head:
            raise VerificationError("answer_mismatch", f"{where}: they signed it for another log, or its future")
        if not said.at - SKEW_US <= micros(item.at) <= micros(receipt.at) + SKEW_US <= said.at + OPEN_US + 2 * SKEW_US:
            raise VerificationError("answer_mismatch", f"{where}: not signed while the request stood")


def read_statement(data: bytes, where: str) -> ErasureStatement:
    """Return a statement; raises `VerificationError`, `answer_mismatch`, unless the bytes are its one form."""
    try:
        found = msgspec.json.decode(data, type=ErasureStatement)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VerificationError("answer_mismatch", f"{where}: not a statement: {error}") from None
    if state_bytes(found) != data or found.type != _TYPE:
        raise VerificationError("answer_mismatch", f"{where}: not the one form that a statement has")
    return found


def _text(data: bytes, where: str) -> str:
    try:
        return msgspec.json.decode(data, type=str)
    except msgspec.MsgspecError as error:
        raise VerificationError("answer_mismatch", f"{where}: {error}") from None
