"""What a principal is offered: every tool but those of which each call would be refused (T11; attack cases A.4).

* Looked at is what does not change from call to call: policy, tool, identity, intent. What hangs on anything else is
  unknown, and unknown is offered: the boundary is the judgement of the call, and a tool wrongly hidden breaks work.
* Authority hides nothing: it is taken away and given back while lists stay as they are, and its refusal says so.
"""

from __future__ import annotations

from typing import Final

from navicert.core.bounds import intent_of
from navicert.core.compile import CompiledPolicy, CompiledRule
from navicert.core.fields import Subject
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED, every
from navicert.core.predicates import NAMES
from navicert.core.scope import in_scope
from navicert.model.action import Effect
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import Condition, Operator, Posture

_LASTING: Final = NAMES | {
    "effect", "category", "context.intent", "identity.human", "identity.service", "identity.agent", "identity.roles",
    "identity.scope", "identity.delegated", "identity.development",
}  # fmt: skip
"""The fields that are the same for every call of a tool in a session."""


def may_be_permitted(given: EvaluationInput, policy: CompiledPolicy) -> bool:
    """Tell whether some call of the action's tool may come to something else than DENY.

    Of `given` count the tool's name and profile, the identity, and the intent of the session's claims; False is exact.
    """
    action = given.action
    profile = policy.profile(action.name, action.profile)
    if profile is None or not in_scope(action.name, given.identity.scope) or _outside(given, policy):
        return False
    candidates, subject = policy.candidates(action.tool, action.operation), Subject(given, profile)
    if any(_lasting(item, subject) == TRUE for item in candidates.forbidden):
        return False
    for group in candidates.groups:
        found = [(item, _lasting(item, subject)) for item in group]
        if any(outcome != FALSE and not _only_denies(item) for item, outcome in found):
            return True
        if any(outcome == TRUE for _, outcome in found):
            return False
    posture = policy.policy.posture
    return posture is Posture.DECLARED_TOOLS or (posture is Posture.DECLARED_READS and profile.effect is Effect.READ)


def _outside(given: EvaluationInput, policy: CompiledPolicy) -> bool:
    """Tell whether the tool is no part of what the session was opened for."""
    intent = intent_of(given, policy)
    return bool(policy.policy.intents) and (intent is None or not in_scope(given.action.name, intent.tools))


def _only_denies(item: CompiledRule) -> bool:
    """Tell whether a rule denies or does nothing: in doubt about one that is bound besides, the answer is DEFER."""
    return item.rule.decision is Verdict.DENY and not item.constraints


def _lasting(item: CompiledRule, subject: Subject) -> int:
    """Return whether a rule matches every call, or none; UNDETERMINED where that hangs on the call."""
    conditions = [condition for condition in item.rule.match if condition.field not in NAMES]
    pairs = zip(conditions, item.parts, strict=False)  # after the conditions, the parts hold tallies and sequences
    known = [predicate(subject) for condition, (_, predicate) in pairs if _lasts(condition)]
    return every([*known, *[UNDETERMINED] * (len(item.parts) - len(known))])


def _lasts(condition: Condition) -> bool:
    return condition.field in _LASTING and (condition.operator is not Operator.SAME or condition.value in _LASTING)
