"""Receipt: the signed record of one decision, outcome or event of the log (R5; format in docs/reference/receipts.md).

* Closed schema. Core strings are printable ASCII, no floats, integers within ±(2^53−1), times RFC 3339 UTC.
* Free text, parameters and outputs stand as commitments; what they hide lies beside, in disclosures (RFC 9901).
* The signature covers the whole receipt without `signature.value`, so also its own algorithm and key id.
"""

from __future__ import annotations

from typing import Literal

from navicert.model.value import Value

RECEIPT_VERSION = "navicert/1"
Kind = Literal[
    "decision", "resolution", "outcome", "boot", "key", "policy", "authority", "approver", "erasure", "restore",
    "prune", "canary",
]  # fmt: skip


class Log(Value, frozen=True, kw_only=True):
    """Place in the log. `prev` is the SHA-256 of the entry before, as hex; 64 zeros at the start."""

    origin: str
    seq: int
    prev: str


class Session(Value, frozen=True, kw_only=True):
    """Place in the session's own chain of receipts."""

    id: str
    seq: int
    prev: str


class ActionPart(Value, frozen=True, kw_only=True):
    """What was to be done. `parameters` and `effective` are commitments; the digests are keyed."""

    id: str
    timestamp: str
    tool: str
    operation: str
    digest: str
    parameters: str
    surface: str
    effective: str | None = None
    effective_digest: str | None = None


class DelegationPart(Value, frozen=True, kw_only=True):
    """One link of the delegation chain. evidence: keyed digest of what conveyed it, or `asserted`."""

    delegator: str
    delegatee: str
    scope: tuple[str, ...]
    issued_at: str
    expires_at: str | None = None
    evidence: str | None = None


class Requester(Value, frozen=True, kw_only=True):
    """Requester context, the five levels of R6.a; `human` is a keyed pseudonym that a disclosure resolves."""

    human: str
    human_name: str
    service: str
    agent: str
    session: str
    roles: tuple[str, ...]
    scope: tuple[str, ...]
    delegation: tuple[DelegationPart, ...] = ()
    identity: str
    evidence: str


class PolicyPart(Value, frozen=True, kw_only=True):
    """Which policy judged, by id, version and content hash."""

    id: str
    version: int
    hash: str


class ShadowPart(Value, frozen=True, kw_only=True):
    """What would have been decided with the shadow rules in force, and by which rules."""

    result: str
    rules: tuple[str, ...]


class DecisionPart(Value, frozen=True, kw_only=True):
    """What was decided, and by which rules. `reason` is a commitment."""

    result: str
    policy: PolicyPart
    rules: tuple[str, ...]
    classification: str
    reason_code: str
    reason: str
    evaluated: str
    shadow: ShadowPart | None = None


class ContextPart(Value, frozen=True, kw_only=True):
    """The accumulated context judged on: digest of the whole, head of its chain, and the labels in clear."""

    hash: str
    head: str
    length: int
    level: str
    categories: tuple[str, ...]


class DeferralPart(Value, frozen=True, kw_only=True):
    """A wait: its handle, why, and when it ends in DENY. In a resolution: how and when it was resolved (R4.g, R5).

    method: `approval`, `facts`, `reevaluation`, `escalation`, `timeout`, `denial`, `dependency`, `authority` or
    `identity`. attempts: to find out facts, how many. facts: commitment to them, each with source, time and problem.
    """

    handle: str
    reason_code: str
    deadline: str
    method: str | None = None
    resolved_at: str | None = None
    attempts: int | None = None
    facts: str | None = None


class KeyPart(Value, frozen=True, kw_only=True):
    """A signing key that this record certifies (public part: raw Ed25519, or SEC1 point, base64url)."""

    key_id: str
    algorithm: str
    public: str


class ApprovalPart(Value, frozen=True, kw_only=True):
    """One answer of a person. approver: keyed pseudonym. statement, name: commitments to what was signed, and by whom.

    role: `approver`, `backup` or `requester`. signature: over the statement's bytes, base64url.
    """

    approver: str
    name: str
    answer: str
    role: str
    at: str
    key_id: str
    statement: str
    signature: str


class Revalidation(Value, frozen=True, kw_only=True):
    """The identity as it was verified again, when a wait ended (R6.f). identity: the word; evidence: keyed digest."""

    at: str
    identity: str
    evidence: str
    scope: tuple[str, ...]


class AuthorityPart(Value, frozen=True, kw_only=True):
    """The authority that was judged on, and what it is after; epoch: of the row of all standings.

    subject: whose, in an `authority` record; its `by` is who changed it, and `reason` a commitment.
    """

    before: str
    after: str
    epoch: int
    subject: str | None = None
    by: str | None = None
    reason: str | None = None


class ApproverPart(Value, frozen=True, kw_only=True):
    """A person who may answer questions: keyed pseudonym, commitment to the name, and since or until when."""

    approver: str
    name: str
    key: KeyPart
    until: str | None = None


class ErasurePart(Value, frozen=True, kw_only=True):
    """What became of a subject's disclosures: `hold` keeps them, `release` ends that, `erased` destroyed their key.

    subject: keyed pseudonym. reason: commitment. Who decided stands in `approval`.
    """

    subject: str
    state: str
    reason: str


class RestorePart(Value, frozen=True, kw_only=True):
    """The log goes on from a restored store, as a new epoch. by: keyed pseudonym. reason: commitment, who and why.

    size, root: of the newest checkpoint of the epoch before that is known; entries between it and this one are lost.
    """

    epoch: int
    size: int
    root: str
    by: str
    reason: str


class PrunePart(Value, frozen=True, kw_only=True):
    """Entries up to place `upto` whose bytes were taken out: how many, and the SHA-256 of the bundle they went into."""

    upto: int
    entries: int
    archive: str


class CanaryPart(Value, frozen=True, kw_only=True):
    """What came of an action that must be denied, sent over a surface as agents send theirs: of R1.c in operation.

    result: `denied`, `ran`, `no_answer` or `otherwise`. nonce: SHA-256 of what it carried. action: that was denied.
    """

    surface: str
    result: str
    nonce: str
    action: str | None = None


class ReleasePart(Value, frozen=True, kw_only=True):
    """Less than the whole result was released. how: `redacted` or `withheld`. labels: why; `*` where unclassified."""

    how: str
    labels: tuple[str, ...]


class Execution(Value, frozen=True, kw_only=True):
    """How a permitted action ended. `output` is a commitment; `error` the type of what the tool raised.

    output, level and categories are of what was released; `released` is absent where that was the whole.
    """

    completed_at: str
    success: bool
    output: str
    level: str
    categories: tuple[str, ...]
    error: str | None = None
    settled_by: str | None = None
    released: ReleasePart | None = None


class Signature(Value, frozen=True, kw_only=True):
    """Ed25519 (RFC 8032) or ECDSA P-256 with SHA-256; `value` is base64url without padding."""

    algorithm: str
    key_id: str
    value: str = ""


class Receipt(Value, frozen=True, kw_only=True):
    """One entry of the log. Which parts stand is decided by `kind` (core.seal holds the table)."""

    version: str
    kind: Kind
    receipt_id: str
    at: str
    log: Log
    signature: Signature
    separation: str | None = None
    session: Session | None = None
    action: ActionPart | None = None
    requester_context: Requester | None = None
    decision: DecisionPart | None = None
    context: ContextPart | None = None
    deferral: DeferralPart | None = None
    approval: tuple[ApprovalPart, ...] | None = None
    revalidation: Revalidation | None = None
    authority: AuthorityPart | None = None
    execution: Execution | None = None
    completes: str | None = None
    key: KeyPart | None = None
    approver: ApproverPart | None = None
    policy: PolicyPart | None = None
    erasure: ErasurePart | None = None
    restore: RestorePart | None = None
    prune: PrunePart | None = None
    canary: CanaryPart | None = None
