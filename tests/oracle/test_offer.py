"""What is hidden from a principal is always refused, and what can be told to be always refused is hidden (T11, A.4).

`NAVICERT_ORACLE_EXAMPLES` sets how many examples are tried.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from navicert.core.compile import compile_policy
from navicert.core.evaluate import evaluate
from navicert.engine.offer import may_be_permitted
from navicert.model.authority import Authority
from navicert.model.decision import Classification, Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import Claims
from navicert.model.policy import Intent, PolicySet, Posture, Rule, Tally
from oracle.strategies import MAIL, PAY, cases, inputs
from oracle.test_differential import FORBIDDEN, OPEN, asked, holding, rule, when

EXAMPLES = int(os.environ.get("NAVICERT_ORACLE_EXAMPLES", "500"))
ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict

compared = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
patient = pytest.mark.timeout(0 if EXAMPLES > 2_000 else 300)


def same_tool(other: EvaluationInput, given: EvaluationInput) -> EvaluationInput:
    """Another call of the same tool, by the same principal, in a session for the same work."""
    action = replace(given.action, parameters=other.action.parameters)
    context = replace(other.context, claims=given.context.claims)
    return replace(other, action=action, identity=given.identity, context=context)


def refusing(draw: Any, policy: PolicySet) -> PolicySet:
    """Most rules deny, so that something is hidden often."""
    less = draw(st.sampled_from((Posture.DENY, Posture.DECLARED_READS, policy.posture)))
    plain = {"approvers": (), "backups": (), "approvals": 1, "escalate_s": None, "timeout_s": None}
    clear = plain | {"modifications": (), "constraints": (), "limits": ()}
    denying = [
        replace(rule, decision=DENY, classification=draw(st.sampled_from((*Classification,))), **clear)
        if rule.decision is not None and draw(st.integers(0, 3))
        else rule
        for rule in policy.rules
    ]
    known = (Classification.STATIC, Classification.CONTEXT_DENY, Classification.FORBIDDEN)
    denying = [
        replace(rule, classification=known[0]) if rule.decision is DENY and rule.classification not in known else rule
        for rule in denying
    ]
    return replace(policy, posture=less, rules=tuple(denying))


# seen to fail: with what hangs on the call taken for FALSE; with `context.risk` among what lasts
@patient
@compared
@given(case=cases(), others=st.lists(inputs(), min_size=2, max_size=4), data=st.data())
def test_nothing_is_hidden_of_which_some_call_would_not_be_refused(
    case: tuple[EvaluationInput, PolicySet], others: list[EvaluationInput], data: Any
) -> None:
    given, policy = case
    compiled = compile_policy(refusing(data.draw, policy) if data.draw(st.booleans()) else policy)
    offered = may_be_permitted(given, compiled)
    calls = [given, *(same_tool(other, given) for other in others)]

    found = [evaluate(call, compiled).verdict for call in calls]

    event(f"offered: {offered}, all refused: {set(found) == {DENY}}")
    assert offered or set(found) == {DENY}
    assert {may_be_permitted(call, compiled) for call in calls} == {offered}  # it hangs on nothing else


# ----------------------------------------------------------------------------------------------------- what is hidden

CLERK, OTHERS = when("identity.roles", "contains", "clerk"), when("identity.roles", "contains", "clerk", negated=True)
OFTEN = Tally(kind="rate", per="agent", above=1, window_s=60)


@pytest.mark.parametrize(
    ("found", "posture", "offered"),
    [
        ([], Posture.DECLARED_TOOLS, True),
        ([], Posture.DECLARED_READS, False),
        ([], Posture.DENY, False),
        ([rule("a", ALLOW, CLERK)], Posture.DENY, True),
        ([rule("a", ALLOW, OTHERS)], Posture.DENY, False),
        ([rule("a", STEP_UP, CLERK, OPEN)], Posture.DENY, True),
        ([rule("a", DEFER, when("parameters.to", "eq", "x"))], Posture.DENY, True),
        ([rule("a", MODIFY, when("effect", "eq", "read"))], Posture.DENY, False),
        ([rule("a", ALLOW, when("tool", "eq", "crm"))], Posture.DENY, False),
        ([rule("a", ALLOW, when("context.risk", "gt", 9))], Posture.DENY, True),
        ([rule("a", ALLOW, shadow=True)], Posture.DENY, False),
        ([rule("a", DENY)], Posture.DECLARED_TOOLS, False),
        ([rule("a", DENY, CLERK)], Posture.DECLARED_TOOLS, False),
        ([rule("a", DENY, OTHERS)], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY, CLERK, OPEN)], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY, when("parameters.to", "exists", True))], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY, tallies=(OFTEN,))], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY), rule("b", ALLOW, OPEN)], Posture.DENY, True),  # in conflict: people are asked
        ([rule("a", DENY), rule("b", ALLOW, priority=-1)], Posture.DECLARED_TOOLS, False),
        ([rule("a", DENY), rule("b", ALLOW, OPEN, priority=1)], Posture.DENY, True),
        ([rule("a", DENY, OPEN, priority=1), rule("b", ALLOW)], Posture.DENY, True),
        ([rule("a", DENY, CLERK, **FORBIDDEN), rule("b", ALLOW, priority=1)], Posture.DENY, False),
        ([rule("a", DENY, OPEN, **FORBIDDEN), rule("b", ALLOW, priority=1)], Posture.DENY, True),
        ([rule("a", DENY, when("identity.human", "same", "parameters.to"))], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY, when("identity.human", "same", "identity.agent"))], Posture.DECLARED_TOOLS, True),
        ([rule("a", DENY, when("identity.human", "eq", "ann"))], Posture.DECLARED_TOOLS, False),
    ],
)
def test_a_tool_is_hidden_where_policy_tool_and_principal_alone_refuse_it(
    found: list[Rule], posture: Posture, offered: bool
) -> None:
    # seen to fail: with a DENY that is sure counted before the permitting rules of its priority
    given = asked(PAY, roles=("clerk",))

    assert may_be_permitted(given, compile_policy(holding(found, posture))) is offered


def test_scope_declaration_and_intent_hide_too() -> None:
    policy = holding([rule("all", ALLOW)], intents=(Intent(name="support", tools=("mail.*",)),))
    free = replace(policy, intents=())

    def offered(given: EvaluationInput, of: PolicySet, intent: str | None = None) -> bool:
        context = replace(given.context, claims=Claims(intent=intent))
        return may_be_permitted(replace(given, context=context), compile_policy(of))

    assert offered(asked(MAIL), policy, "support")
    assert not offered(asked(PAY), policy, "support")
    assert not offered(asked(MAIL), policy)
    assert offered(asked(PAY), free)
    assert not offered(asked(PAY, scope=("mail.*",)), free)
    assert not offered(asked(None), free)
    assert offered(asked(None), replace(free, tools=(MAIL,)))


def test_what_authority_takes_away_stays_in_the_list() -> None:
    policy = holding([rule("all", ALLOW)])
    for state in Authority:
        given = asked(MAIL, shared=SharedFacts(authority=state))
        assert may_be_permitted(given, compile_policy(policy))
