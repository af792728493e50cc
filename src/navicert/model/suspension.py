"""Suspension: an action that waits for a person or for a fact, and what people and sources said to it (R4, R6.b).

* A wait is one row under compare-and-swap: it is answered, resumed and ended at most once, in whatever process.
* An answer is a signed statement about one question: exact bytes, session, human, rules by content, labels, files,
  nonce and deadline. A new question has a new nonce, and earlier answers do not count for it.
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.action import Action
from navicert.model.authority import Authority
from navicert.model.context import Fact
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity
from navicert.model.labels import Labels
from navicert.model.value import Json, Value


class Answer(StrEnum):
    """What a person says to a question."""

    APPROVE = "approve"
    DENY = "deny"
    STATE = "state"
    """States the value of a fact that only the requester knows."""


class Question(Value, frozen=True, kw_only=True):
    """What is asked, and of whom. Whoever answers signs this whole value: nothing of it can change afterwards.

    digest: of tool, operation and the parameters that would run (`core.digest.action_digest`). rules: id and content
    hash of the rules that ask. labels: in force when it was asked; more labels void the answers. files: content digest
    (SHA-256 hex) by name of the files that the action names. facts: what the requester is asked for, by name.
    """

    handle: str
    nonce: str
    digest: str
    session_id: str
    human: str
    verdict: Verdict
    rules: tuple[tuple[str, str], ...]
    labels: Labels
    files: dict[str, str] = {}
    facts: dict[str, str] = {}
    approvers: tuple[str, ...] = ()
    approvals: int = 1
    backups: tuple[str, ...] = ()
    escalate_at: int | None = None
    asked_at: int
    deadline: int


class Statement(Value, frozen=True, kw_only=True):
    """What an approver signs: the question, the answer, who, when, and why. value: of a stated fact, by its name."""

    type: str = "navicert/statement/1"
    question: Question
    answer: Answer
    approver: str
    key_id: str
    at: int
    reason: str
    value: dict[str, Json] = {}


class Vote(Value, frozen=True, kw_only=True):
    """A statement as it was signed: its exact bytes, and the signature over them."""

    statement: bytes
    signature: bytes


class Restoration(Value, frozen=True, kw_only=True):
    """What a supervisor signs to raise the authority of a subject. epoch: of the standings that they looked at."""

    type: str = "navicert/restoration/1"
    subject: str
    state: Authority
    epoch: int
    approver: str
    key_id: str
    at: int
    reason: str


class Approver(Value, frozen=True, kw_only=True):
    """A person who may be asked: name, and the public key that answers verify with (raw Ed25519, base64url)."""

    name: str
    key_id: str
    algorithm: str
    public: str
    since: int
    until: int | None = None


class Approvers(Value, frozen=True, kw_only=True):
    """Every person who was enrolled, former ones too: what they signed while they were in force stays good."""

    people: tuple[Approver, ...] = ()


class Try(Value, frozen=True, kw_only=True):
    """One attempt to find out a fact: from where, when, and what came of it. problem: why it gave no value."""

    fact: str
    source: str
    at: int
    value: Json = None
    problem: str = ""


class Wait(Value, frozen=True, kw_only=True):
    """A suspended action, as it will be taken up again.

    action: as it was submitted. identity, given: as they were then, kept through the wait (R6.b). effective: what would
    run, where a rule modified it. receipt_id: the receipt that asked last. rounds: how often it was asked
    anew. depends_on: handles of waits that come first (R4.d). depth: how many waits hang on one another here.
    tries_left: rounds of finding out that are left. next_try: when the next is due. facts: what was found out.
    notified, escalated: the question was passed on to its approvers, to the backups.
    """

    handle: str
    action: Action
    identity: ActionIdentity
    given: EvaluationInput
    question: Question
    reason: str
    reason_code: str
    risk: str = "medium"
    effective: bytes | None = None
    receipt_id: str = ""
    rounds: int = 0
    depends_on: tuple[str, ...] = ()
    depth: int = 1
    missing: tuple[str, ...] = ()
    tries_left: int = 0
    next_try: int | None = None
    tries: tuple[Try, ...] = ()
    facts: tuple[Fact, ...] = ()
    votes: tuple[Vote, ...] = ()
    created_at: int
    notified: bool = False
    escalated: bool = False


class Over(Value, frozen=True, kw_only=True):
    """What became of a wait, kept so that it is not taken up twice and dependents know.

    permitted: it was released, as `action_id`; else it was refused, for `reason_code`.
    """

    handle: str
    action_id: str
    session_id: str
    permitted: bool
    reason_code: str
    reason: str
    at: int
    depth: int = 1
