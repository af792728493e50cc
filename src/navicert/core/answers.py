"""Answers: what people have validly said to a question (R4.a; DESIGN.md section 6).

* Nothing counts that is not signed by an enrolled person over exactly this question: exact bytes, session, rules by
  content, labels, files, nonce, deadline. A person counts once, with their last word; one refusal refuses.
* Where knowledge is missing (DEFER), people may refuse, or state what is asked of them; they approve once it is put to
  them (STEP_UP).
* The requester confirms where the rule lists `requester` and one answer is enough; else their word never counts.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import msgspec

from navicert.core.canonical import state_bytes
from navicert.core.seal import unb64
from navicert.core.signature import PublicKey, key_id
from navicert.model.decision import Verdict
from navicert.model.errors import IdentityError
from navicert.model.suspension import Answer, Approver, Approvers, Question, Statement, Vote
from navicert.model.value import Json, Value

REQUESTER: Final = "requester"
STATEMENT: Final = "navicert/statement/1"
SKEW: Final = 30_000_000
"""So far may an approver's clock be ahead, microseconds."""


class Heard(Value, frozen=True, kw_only=True):
    """One answer that counts. role: `approver`, `backup` or `requester`."""

    statement: Statement
    vote: Vote
    role: str


class Answers(Value, frozen=True, kw_only=True):
    """All that counts. approved: enough people said yes, and none no. stated: facts, by name."""

    heard: tuple[Heard, ...] = ()
    denial: Heard | None = None
    approved: bool = False
    stated: dict[str, Json] = {}


def statement_bytes(statement: Statement) -> bytes:
    """Return what an approver signs."""
    return state_bytes(statement)


def hear(question: Question, votes: tuple[Vote, ...], approvers: Approvers | None, now: int) -> Answers:
    """Return what people have validly said; a vote that does not count is left out.

    The last word of each person counts; facts that somebody states one after the other stand together.
    """
    said: list[Heard] = []
    for vote in votes:
        with suppress(IdentityError):
            said.append(check(question, vote, approvers, now))
    last: dict[str, list[Heard]] = {}
    for heard in sorted(said, key=lambda item: item.statement.at):
        held = last.setdefault(heard.statement.approver, [])
        if {heard.statement.answer, *(item.statement.answer for item in held)} != {Answer.STATE}:
            held.clear()
        held.append(heard)
    counted = tuple(heard for held in last.values() for heard in held)
    denial = next((item for item in counted if item.statement.answer is Answer.DENY), None)
    yes = [item for item in counted if item.statement.answer is Answer.APPROVE]
    people = min(len({item.statement.approver for item in yes}), len({item.statement.key_id for item in yes}))
    stated: dict[str, Json] = {}
    for item in counted:
        if item.statement.answer is Answer.STATE:
            stated |= {name: value for name, value in item.statement.value.items() if name in question.facts}
    return Answers(
        heard=counted,
        denial=denial,
        approved=denial is None and people >= max(1, question.approvals),
        stated=stated,
    )


def check(question: Question, vote: Vote, approvers: Approvers | None, now: int) -> Heard:
    """Return the answer that a vote gives to this question; raises `IdentityError` with why it does not count."""
    try:
        statement = msgspec.json.decode(vote.statement, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IdentityError(f"this is no statement: {error}") from None
    if statement_bytes(statement) != vote.statement or statement.type != STATEMENT:
        raise IdentityError("the statement is not in the one form that a statement has")
    person = _person(statement, approvers)
    public = unb64(person.public)
    if key_id(person.algorithm, public) != person.key_id:
        raise IdentityError(f"the key of `{statement.approver}` is not what its id says; enrol it anew")
    try:
        PublicKey(person.algorithm, public).verifies(vote.statement, vote.signature)
    except ValueError:
        raise IdentityError(f"the signature is not that of `{statement.approver}`") from None
    if statement.question != question:
        raise IdentityError("the answer is to another question than the one that is asked now; look at it again")
    if not question.asked_at - SKEW <= statement.at <= now + SKEW or statement.at >= question.deadline:
        raise IdentityError("the answer was not given while the question stood; check the clock of the approver")
    if not statement.reason.strip():
        raise IdentityError("an answer needs a reason")
    return Heard(statement=statement, vote=vote, role=_role(question, statement, now))


def _person(statement: Statement, approvers: Approvers | None) -> Approver:
    for person in approvers.people if approvers is not None else ():
        in_force = person.since <= statement.at + SKEW and (person.until is None or statement.at < person.until)
        if (person.name, person.key_id) == (statement.approver, statement.key_id) and in_force:
            return person
    raise IdentityError(f"`{statement.approver}` is not enrolled with this key; see `navicert approver list`")


def _role(question: Question, statement: Statement, now: int) -> str:
    name = statement.approver
    if statement.answer is Answer.STATE:
        if name == question.human and question.facts:
            return REQUESTER
        raise IdentityError("this fact is asked of the requester, and of nobody else")
    if statement.answer is Answer.APPROVE and question.verdict is not Verdict.STEP_UP:  # R4.b: knowledge is missing
        raise IdentityError("nobody is asked to approve this yet: first it is found out what is missing")
    if name == question.human:
        # confirming one's own agent's action is another control than approving somebody else's (R4.a)
        if REQUESTER in question.approvers and question.approvals == 1:
            return REQUESTER
        if statement.answer is Answer.DENY:
            return REQUESTER  # who asked for it may always take it back
        raise IdentityError(f"`{name}` is the requester, and this rule needs somebody else")
    if name in question.approvers:
        return "approver"
    if name in question.backups:
        if question.escalate_at is not None and min(now, statement.at) >= question.escalate_at:
            return "backup"
        raise IdentityError(f"`{name}` is a backup for this rule, and is not asked yet")
    raise IdentityError(f"`{name}` is not among the approvers: {', '.join(question.approvers) or 'nobody'}")
