"""Decision: the answer of the policy decision point, and what the engine hands to its caller (R4).

* Exactly one of five verdicts. Anything but a Permit is a refusal (property 4).
* A Permit is single-use and bound to the digest of the action that was judged (property 3).
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.errors import DenialKind
from navicert.model.value import Value


class Verdict(StrEnum):
    """The five authorization decisions (R4)."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    MODIFY = "MODIFY"
    STEP_UP = "STEP_UP"
    DEFER = "DEFER"


class Classification(StrEnum):
    """The four action classes (R3.a), and the two that need no rule's context."""

    FORBIDDEN = "forbidden"
    CONTEXT_DENY = "context_dependent_deny"
    CONTEXT_ALLOW = "context_dependent_allow"
    CONTEXT_DEFER = "context_dependent_defer"
    STATIC = "static"


class Shadow(Value, frozen=True, kw_only=True):
    """What the decision would have been with the shadow rules in force. rules: ids, as in `Decision`."""

    verdict: Verdict
    rules: tuple[str, ...]


class Decision(Value, frozen=True, kw_only=True):
    """What `evaluate` answers. `rules` are the ids of the determining rules, in file order.

    reason_code: stable word for machines. reason: a sentence for people. undetermined: the fields that were not known.
    effective: the parameters that would run, canonical bytes, where the verdict is MODIFY. approvals, backups,
    escalate_s: of STEP_UP, as in `Rule`. depends_on: the waits that come first. shadow: recorded, without effect; None
    where no shadow rule concerns the action.
    """

    verdict: Verdict
    reason_code: str
    reason: str
    rules: tuple[str, ...] = ()
    classification: Classification = Classification.STATIC
    undetermined: tuple[str, ...] = ()
    effective: bytes | None = None
    approvers: tuple[str, ...] = ()
    timeout_s: int | None = None
    risk: str = "medium"
    approvals: int = 1
    backups: tuple[str, ...] = ()
    escalate_s: int | None = None
    depends_on: tuple[str, ...] = ()
    shadow: Shadow | None = None


class Place(Value, frozen=True, kw_only=True):
    """Where a receipt stands: the log's origin, its place from 1, and its leaf hash (RFC 6962), as hex.

    Whoever keeps it pins the log up to there.
    """

    log: str
    seq: int
    leaf: str


class Permit(Value, frozen=True, kw_only=True):
    """The licence to run one action once. `parameters` are the bytes to run; they hash to `digest`.

    issuer: the engine that will redeem it; no other will. decision: SHA-256 of the decision receipt; place: where that
    stands. screened: policy withholds or redacts its result, so none of it is released before all of it was looked at.
    witnessed: it starts only once witnesses have confirmed the log up to its decision.
    """

    action_id: str
    session_id: str
    tool: str
    operation: str
    parameters: bytes
    digest: str
    issuer: str
    receipt_id: str
    decision: str
    expires_at: int
    modified: bool = False
    screened: bool = False
    place: Place | None = None
    witnessed: bool = False


class Denied(Value, frozen=True, kw_only=True):
    """The action does not run: the denial contract as a value."""

    action_id: str
    kind: DenialKind
    reason: str
    next_step: str
    reason_code: str
    rules: tuple[str, ...] = ()
    receipt_id: str | None = None


class Suspended(Value, frozen=True, kw_only=True):
    """The action waits: a person (STEP_UP) or a missing fact (DEFER). `deadline` in microseconds; then it is DENY."""

    action_id: str
    verdict: Verdict
    handle: str
    reason: str
    reason_code: str
    deadline: int
    receipt_id: str
    rules: tuple[str, ...] = ()
