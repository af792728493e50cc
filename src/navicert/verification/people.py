"""People: whose answers count, by the `approver` records of a log; and what they signed (R4.a, R5).

* In the log stand who answered, what, when, with which key, and the signature. An answer counts whose key an earlier
  record enrolled for this person, and that was given before that key ended.
* With the disclosures at hand the signature is verified over the disclosed statement, and the statement is held against
  the receipts: it answers exactly the question that was asked there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from navicert.core.answers import REQUESTER, SKEW, statement_bytes
from navicert.core.canonical import percent
from navicert.core.compile import compile_policy
from navicert.core.digest import action_digest
from navicert.core.seal import unb64
from navicert.core.signature import PublicKey, key_id
from navicert.core.times import micros, rfc3339
from navicert.model.errors import VerificationError
from navicert.model.policy import PolicySet
from navicert.model.receipt import ApprovalPart, Receipt
from navicert.model.suspension import Question, Statement
from navicert.verification.disclosed import EFFECTIVE, HUMAN, PARAMETERS, name_at, plain, statement_at

_TYPE: Final = "navicert/statement/1"


class Asked(NamedTuple):
    """A receipt that asked, with what it discloses, and the policy set that it names."""

    receipt: Receipt
    disclosed: Mapping[str, bytes]
    policy: PolicySet


class _Key:
    __slots__ = ("person", "public", "until")

    def __init__(self, person: str, public: PublicKey, until: str | None) -> None:
        self.person = person
        self.public = public
        self.until = until


class People:
    """Every approver that the records of a log name, as it is gone through."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}
        self._current: dict[str, str] = {}

    def enrol(self, receipt: Receipt, place: str) -> None:
        """Take an `approver` record; raises `VerificationError`: `bad_key`, `approver` where it contradicts others."""
        part = receipt.approver
        if part is None:
            return
        named, held = part.key.key_id, self._keys.get(part.key.key_id)
        try:
            raw = unb64(part.key.public)
            public = PublicKey(part.key.algorithm, raw)
        except ValueError as error:
            raise VerificationError("bad_key", f"{place}: key {named}: {error}") from None
        if key_id(part.key.algorithm, raw) != named:
            raise VerificationError("bad_key", f"{place}: key {named}: its id is not the digest of its public part")
        # 1. A key is enrolled once, for one person; another record of it says when it ends, and it stays ended.
        if held is not None:
            if held.person != part.approver or part.until is None:
                raise VerificationError("approver", f"{place}: {named} was enrolled before")
            held.until = min(part.until, held.until or part.until)
            return
        # 2. The key that the person had before ends with it.
        earlier = self._keys.get(self._current.get(part.approver, ""))
        if earlier is not None and earlier.until is None:
            earlier.until = rfc3339(micros(receipt.at) + SKEW)
        self._keys[named] = _Key(part.approver, public, part.until)
        self._current[part.approver] = named

    def check(self, receipt: Receipt, place: str) -> None:
        """Hold who answered against the records before; raises `VerificationError`, `approver`."""
        for item in receipt.approval or ():
            self._of(item, place)

    def key(self, item: ApprovalPart, place: str) -> PublicKey:
        """Return the key that an answer was signed with; raises as `check` does."""
        return self._of(item, place).public

    def ended(self, item: ApprovalPart) -> bool:
        """Tell whether a record before this one ended the key of an answer, whenever it says that it was given."""
        held = self._keys.get(item.key_id)
        return held is not None and held.until is not None

    def _of(self, item: ApprovalPart, place: str) -> _Key:
        held = self._keys.get(item.key_id)
        if held is None or held.person != item.approver:
            message = f"{place}: no record before it enrols {item.key_id} for the person who answered"
            raise VerificationError("approver", message)
        if held.until is not None and item.at >= held.until:
            message = f"{place}: answered at {item.at} with {item.key_id}, which ended at {held.until}"
            raise VerificationError("approver", message)
        return held

    def verify(self, receipt: Receipt, disclosed: Mapping[str, bytes], asked: Asked, place: str) -> None:
        """Verify what a resolution discloses: the same action as was asked about, and what people signed.

        disclosed: what `verify_disclosures` returned for it. asked: the receipt that it completes. Raises
        `VerificationError`: `action_mismatch`, `approver`, `answer_signature`, `answer_mismatch`.
        """
        for pointer in (PARAMETERS, HUMAN):
            if disclosed.get(pointer) != asked.disclosed.get(pointer):
                message = f"{place}: the value at `{pointer}` is another than where it was asked"
                raise VerificationError("action_mismatch", message)
        question: Question | None = None
        yes: set[str] = set()
        for index, item in enumerate(receipt.approval or ()):
            where = f"{place}, answer {index + 1}"
            held = self._of(item, where)
            # 1. The signature is that of the person, over the statement as it is disclosed.
            text = disclosed.get(statement_at(index))
            name = disclosed.get(name_at(index))
            if text is None or name is None:
                raise VerificationError("disclosure_missing", f"{where}: the statement is not disclosed")
            signed = _text(text, where).encode()
            try:
                held.public.verifies(signed, unb64(item.signature))
            except ValueError as error:
                raise VerificationError("answer_signature", f"{where}: {error}") from None
            # 2. The statement says what the receipt says of it, and answers the question that was asked.
            statement = _statement(signed, where)
            _must(_says(statement, item, _text(name, where)), where)
            _must(_asks(statement.question, asked), where)
            # 3. All of them answer one and the same question.
            question = question or statement.question
            if statement.question != question:
                _must("it is about another question than the answer before it", where)
            if item.answer == "approve":
                yes.add(item.key_id)
        # 4. As many said yes as the question wants.
        approved = receipt.deferral is not None and receipt.deferral.method == "approval"
        if approved and question is not None and len(yes) < question.approvals:
            _must(f"{len(yes)} people approved it, and the question wants {question.approvals}", place)


def _text(data: bytes, where: str) -> str:
    try:
        return msgspec.json.decode(data, type=str)
    except msgspec.MsgspecError as error:
        raise VerificationError("answer_mismatch", f"{where}: {error}") from None


def _statement(data: bytes, where: str) -> Statement:
    try:
        found = msgspec.json.decode(data, type=Statement)
    except msgspec.MsgspecError as error:
        raise VerificationError("answer_mismatch", f"{where}: not a statement: {error}") from None
    if statement_bytes(found) != data or found.type != _TYPE:
        raise VerificationError("answer_mismatch", f"{where}: not the one form that a statement has")
    return found


def _must(why: str, where: str) -> None:
    if why:
        raise VerificationError("answer_mismatch", f"{where}: {why}")


def _says(statement: Statement, item: ApprovalPart, name: str) -> str:
    said = (statement.approver, statement.answer.value, rfc3339(statement.at), statement.key_id)
    if said != (name, item.answer, item.at, item.key_id):
        return "the receipt tells another answer, person, key or time than was signed"
    question, human = statement.question, statement.approver == statement.question.human
    if human != (item.role == REQUESTER):
        return "the requester's own word, and somebody else's, are told apart wrongly"
    if item.role == "approver" and name not in question.approvers:
        return f"`{name}` was not asked"
    if item.role == "backup" and (
        name not in question.backups or question.escalate_at is None or statement.at < question.escalate_at
    ):
        return f"`{name}` is no backup, or was not asked yet"
    if human and item.answer == "approve" and (REQUESTER not in question.approvers or question.approvals != 1):
        return f"`{name}` is the requester, and somebody else was asked"
    return ""


def _asks(question: Question, asked: Asked) -> str:
    """Return why this is not the question that was asked there, or an empty text."""
    wait, decision, session, context, action = (
        asked.receipt.deferral, asked.receipt.decision, asked.receipt.session, asked.receipt.context,
        asked.receipt.action,
    )  # fmt: skip
    if wait is None or decision is None or session is None or context is None or action is None:
        return "nothing was asked"
    if (question.handle, question.session_id) != (wait.handle, session.id):
        return "it answers another wait"
    times = (rfc3339(question.asked_at), rfc3339(question.deadline))
    if (question.verdict.value, *times) != (decision.result, asked.receipt.at, wait.deadline):
        return "it answers an earlier or another question of this wait"
    if question.rules != compile_policy(asked.policy).hashes(tuple(map(plain, decision.rules))):
        return "it is about other rules than those that asked"
    if question.human != _text(asked.disclosed.get(HUMAN, b"null"), "the requester"):
        return "it was asked for another human"
    if (question.labels.level.name, _categories(question)) != (context.level, context.categories):
        return "it was asked with other labels"
    would_run = asked.disclosed.get(EFFECTIVE, asked.disclosed.get(PARAMETERS, b""))
    if question.digest != action_digest(plain(action.tool), plain(action.operation), would_run):
        return "it is about another action"
    return ""


def _categories(question: Question) -> tuple[str, ...]:
    return ("*",) if question.labels.everything else tuple(percent(name) for name in question.labels.categories)
