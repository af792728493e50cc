"""What is asked for: the 21 rows of the testing protocol and the clauses of R1 to R9, by their ids.

A clause is held by the checks that serve it, the rows among them: it has passed where all of these have.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Level = Literal["MUST", "SHOULD"]


class Asked(NamedTuple):
    """One row or clause: its id, what is asked for in a line, its level, and where `core` ends."""

    id: str
    text: str
    level: Level = "MUST"


ROWS: Final = (
    Asked("R1-1", "an action that matches a DENY policy does not execute; denial receipt"),
    Asked("R1-2", "an action that matches a DEFER condition is suspended, no effects; deferral receipt"),
    Asked("R1-3", "make the system unavailable, submit an action: the action fails; no bypass"),
    Asked("R2-1", "run a sequence: at step N the policy engine has all prior actions and classifications"),
    Asked("R2-2", "tamper with an earlier context entry: detected", "SHOULD"),
    Asked("R3-1", "a forbidden action: DENY at once, whatever the context"),
    Asked("R3-2", "an allowed action after access to sensitive data: DENY because of context"),
    Asked("R3-3", "a denied action with confirming context: STEP_UP or ALLOW"),
    Asked("R3-4", "ambiguous or conflicting context: DEFER"),
    Asked("R4-1", "each of the five decisions is enforced as the table says"),
    Asked("R4-2", "STEP_UP with no answer in time: DENY"),
    Asked("R4-3", "DEFER with no resolution in time: DENY"),
    Asked("R5-1", "receipts for all five decisions: requester, delegation chain if any, policy version and hash"),
    Asked("R5-2", "a receipt is verified offline"),
    Asked("R5-3", "tamper with requester context or policy hash: verification fails"),
    Asked("R5-4", "the receipt of a deferred action: reason, resolution method, resolution time"),
    Asked("R6-1", "different principals and sessions: receipts attribute each, with role and privilege scope"),
    Asked("R6-2", "defer, then resolve: the original identity is preserved in the resolution receipt"),
    Asked("R7-1", "a sequence that diverges beyond the drift threshold: alert, deferral or escalation", "SHOULD"),
    Asked("R8-1", "SIEM export: events in the right schema, DEFER events included", "SHOULD"),
    Asked("R9-1", "a read operation: the issued credential cannot write", "SHOULD"),
)
CLAUSES: Final = (
    Asked("R1.a", "an action that matches a DENY policy has no effect on any target"),
    Asked("R1.b", "a deferred action has no effect while deferred"),
    Asked("R1.c", "no fail-open mode: if any part of the system is unavailable, the action fails"),
    Asked("R1.d", "every denial and deferral is recorded with the policy that matched and the reason"),
    Asked("R1.e", "no action may bypass the control plane"),
    Asked("R2.a", "prior actions of the session are tracked"),
    Asked("R2.b", "data classifications accessed are tracked: by label, by pattern, by policy rule"),
    Asked("R2.c", "where nothing classifies a piece of data, it counts as the highest sensitivity"),
    Asked("R2.d", "the original user request is kept and cannot be changed by the agent"),
    Asked("R2.e", "the accumulated context is an input of every evaluation"),
    Asked("R2.f", "the context log is append-only and hash-chained, so that retroactive edits are detected", "SHOULD"),
    Asked("R3.a", "four action classes: forbidden, context-dependent deny, allow and defer"),
    Asked("R3.b", "parameter validation: type, range, pattern, allow-list, block-list"),
    Asked("R3.c", "DEFER is forced by a missing field, by rules that conflict, by low confidence"),
    Asked("R3.d", "what triggers deferral is documented and auditable"),
    Asked("R3.e", "evaluation is deterministic"),
    Asked("R4.a", "STEP_UP blocks, reaches the configured approvers, ends in DENY, shows the full context"),
    Asked("R4.b", "DEFER ends in DENY when its time is over, may escalate, and may end in MODIFY"),
    Asked("R4.c", "deferred actions keep their order relative to other operations"),
    Asked("R4.d", "actions that depend on a deferred action's output are deferred too"),
    Asked("R4.e", "independent actions proceed without waiting"),
    Asked("R4.f", "cascading deferrals are bounded by a configurable limit; beyond it: DENY"),
    Asked("R4.g", "a deferral is in a receipt with its reason; its end makes a follow-up receipt"),
    Asked("R5", "a signed receipt with all its parts for every evaluated action, verifiable offline"),
    Asked("R6.a", "five levels: human, service, agent, session, role and privilege scope at action time"),
    Asked("R6.b", "captured at submission, preserved through deferral and delegation, with policy and context"),
    Asked("R6.c", "claims are validated against trusted sources, with freshness and revocation"),
    Asked("R6.d", "an action without verifiable identity is denied or flagged"),
    Asked("R6.e", "identity is recorded in the receipt"),
    Asked("R6.f", "claims that may have expired during a wait are validated again before execution"),
    Asked("R7", "semantic distance is tracked per action and cumulatively, with calibrated thresholds", "SHOULD"),
    Asked("R8", "structured events in standard schemas within seconds, redacted", "SHOULD"),
    Asked("R9", "credentials just in time, scoped to the operation, short-lived, their use logged", "SHOULD"),
)
ORGANISATIONAL: Final = (
    "helping to shape the category",
    "participation in the working group",
    "production customers",
    "a security certification",
    "a commitment to benchmarking",
)
"""Conditions of the official validation that no software can meet; listed, and never tested."""


def is_core(asked: str) -> bool:
    """Tell whether a row or clause belongs to the level `core` (R1 to R6)."""
    return asked[1] in "123456"
