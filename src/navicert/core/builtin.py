"""The rules that no policy file writes; their names are reserved.

* `navicert.protected` stands over every policy: the governed cannot reach the governor (property 10). It is part of
  the policy set, so of its content hash and of every receipt that it decides.
* `navicert.supervision` asks the supervisors where an agent's authority is reduced.
"""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.model.decision import Classification, Verdict
from navicert.model.policy import Condition, Operator, PolicySet, Rule

PREFIX: Final = "navicert."

PROTECTED: Final = Rule(
    id="navicert.protected",
    name="navicert's own folder, keys, store and commands are out of reach",
    match=(Condition(field="signals.protected", operator=Operator.EQ, value=True),),
    decision=Verdict.DENY,
    classification=Classification.FORBIDDEN,
    priority=1_000_000,
    reason="this touches a protected resource",
    risk="critical",
)


def supervision(supervisors: tuple[str, ...]) -> Rule:
    """Return the rule that asks the supervisors."""
    return Rule(
        id="navicert.supervision",
        name="an agent of reduced authority acts only with a supervisor's approval",
        decision=Verdict.STEP_UP,
        reason="the authority of this agent is reduced; a supervisor must approve this",
        risk="high",
        approvers=supervisors,
    )


def with_builtin(policy: PolicySet) -> PolicySet:
    """Return the policy set with the built-in rule in front."""
    rules = tuple(rule for rule in policy.rules if rule.id != PROTECTED.id)
    return msgspec.structs.replace(policy, rules=(PROTECTED, *rules))
