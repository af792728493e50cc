"""Rounds: a modified action is judged again, as it would run, until it comes to rest (SPEC.md, Settled; R6.b).

The engine, the replay of records and explanations go by the same: what rests, what is stricter, what a submission is
judged on when its wait ends.
"""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.core.compile import CompiledPolicy
from navicert.core.digest import action_digest
from navicert.core.evaluate import evaluate
from navicert.model.action import Action
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput

ROUNDS: Final = 8
"""A modified action is judged again at most so often, and a wait asked anew."""
UNSTABLE: Final = Decision(
    verdict=Verdict.DENY, reason_code="modification_unstable", reason="the required changes do not come to rest"
)
_replace = msgspec.structs.replace


def with_parameters(action: Action, parameters: bytes) -> Action:
    """Return the action with other parameters."""
    return _replace(action, parameters=parameters, digest=action_digest(action.tool, action.operation, parameters))


def rounds(given: EvaluationInput, policy: CompiledPolicy) -> tuple[Decision, EvaluationInput, tuple[str, ...]]:
    """Judge until the action rests, on the same measurements; return decision, last input, the rules that modified."""
    touched: tuple[str, ...] = ()
    for _ in range(ROUNDS):
        decision = evaluate(given, policy)
        if decision.effective is None:
            return decision, given, touched
        touched = (*touched, *decision.rules)
        given = _replace(given, action=with_parameters(given.action, decision.effective))
    decision = evaluate(given, policy)
    return UNSTABLE if decision.effective is not None else decision, given, touched


def merged(decision: Decision, touched: tuple[str, ...]) -> Decision:
    """Return the last round's decision with the rules that modified the action before it."""
    if not touched:
        return decision
    verdict = Verdict.MODIFY if decision.verdict is Verdict.ALLOW else decision.verdict
    return _replace(decision, verdict=verdict, rules=tuple(dict.fromkeys((*touched, *decision.rules))))


def as_asked(then: EvaluationInput, now: EvaluationInput) -> EvaluationInput:
    """Return the input of a submission as it is judged when its wait ends: with what was found out and answered."""
    # what was not known then is what it waited for: it counts as it is known now
    known = {fact.name for fact in then.context.facts if not fact.conflicting}
    learned = tuple(fact for fact in now.context.facts if fact.name not in known)
    return _replace(then, facts=(*now.facts, *learned), answered=now.answered)
