"""The rules that no policy file writes; their names are reserved.

* `navicert.protected` stands over every policy: the governed cannot reach the governor (property 10). It is part of
  the policy set, so of its content hash and of every receipt that it decides.
* `navicert.cedar` makes a refusal of what the deployment's Cedar policies forbid, where it has any.
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


def cedar_signal(digest: str) -> str:
    """Return the signal that says whether the Cedar policies of this digest forbid an action.

    It bears the digest: what was measured by one file never answers the rule of another, but leaves it undetermined.
    """
    return f"cedar_forbids_{digest[:16]}"


def cedar(digest: str) -> Rule:
    """Return the rule over the Cedar policies with this SHA-256: another file is another policy set."""
    return Rule(
        id="navicert.cedar",
        name=f"no Cedar policy forbids it (SHA-256 of the file: {digest})",
        match=(Condition(field=f"signals.{cedar_signal(digest)}", operator=Operator.EQ, value=True),),
        decision=Verdict.DENY,
        classification=Classification.FORBIDDEN,
        priority=1_000_000,
        reason="a Cedar policy forbids this",
        risk="critical",
    )


def with_builtin(policy: PolicySet, cedar_digest: str | None = None) -> PolicySet:
    """Return the policy set with the built-in rules in front; cedar_digest: of the Cedar policies, where there are."""
    ours = (PROTECTED,) if cedar_digest is None else (PROTECTED, cedar(cedar_digest))
    rules = tuple(rule for rule in policy.rules if rule.id not in {item.id for item in ours})
    return msgspec.structs.replace(policy, rules=(*ours, *rules))
