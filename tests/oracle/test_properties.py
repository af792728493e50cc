"""What holds of every answer: answers, authority, shadow rules and further bounds only do what the pages say.

`NAVICERT_ORACLE_EXAMPLES` sets how many examples each of them tries.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from navicert.core.builtin import supervision
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.digest import rule_digest
from navicert.core.evaluate import added_risk, evaluate, labels_by_rule, lowered
from navicert.model.authority import LADDER
from navicert.model.decision import Classification, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import Condition, PolicySet, Rule
from oracle.strategies import PROFILES, cases, constraints, destinations, intents, labels, limits, rules

EXAMPLES = int(os.environ.get("NAVICERT_ORACLE_EXAMPLES", "500"))
ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict

compared = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
patient = pytest.mark.timeout(0 if EXAMPLES > 2_000 else 300)


def verdict(given: EvaluationInput, policy: PolicySet) -> Verdict:
    return evaluate(given, compile_policy(policy)).verdict


@patient
@compared
@given(case=cases(), data=st.data())
def test_an_answer_loosens_nothing_but_the_rule_that_asked(case: tuple[EvaluationInput, PolicySet], data: Any) -> None:
    given, policy = case
    rules = [*policy.rules, supervision(policy.supervisors)]
    answered = data.draw(st.sampled_from(rules))
    before = evaluate(given, compile_policy(policy))
    event(f"{before.verdict} {answered.decision}")

    after = evaluate(replace(given, answered=(*given.answered, rule_digest(answered))), compile_policy(policy))

    if after != before:
        # what was in doubt may be settled by an answer to a rule below: both ways it is then permitted
        assert answered.id in before.rules or before.reason_code == "context_missing"
        assert answered.decision in (STEP_UP, DEFER)
        assert before.verdict in (STEP_UP, DEFER)


@patient
@compared
@given(case=cases(), data=st.data())
def test_only_the_content_that_was_answered_is_answered(case: tuple[EvaluationInput, PolicySet], data: Any) -> None:
    given, policy = case
    inert = [rule_digest(rule) for rule in policy.rules if rule.decision not in (STEP_UP, DEFER)]
    other = [rule_digest(replace(rule, reason="another")) for rule in policy.rules]
    strangers = data.draw(st.lists(st.sampled_from((*inert, *other, "0" * 64)), unique=True))

    answered = replace(given, answered=(*given.answered, *strangers))

    assert evaluate(answered, compile_policy(policy)) == evaluate(given, compile_policy(policy))


STRICTER = (ALLOW, MODIFY, STEP_UP, DEFER, DENY)


@patient
@compared
@given(case=cases())
def test_less_authority_never_loosens(case: tuple[EvaluationInput, PolicySet]) -> None:
    """Rules that ask for the authority itself may say anything of it; they are left out."""
    given, policy = case
    rules = [r for r in policy.rules if all(condition.field != "identity.authority" for condition in r.match)]
    policy = replace(policy, rules=tuple(rules))

    found = [verdict(replace(given, shared=replace(given.shared, authority=state)), policy) for state in LADDER]

    assert found == sorted(found, key=STRICTER.index)
    assert found[-2:] == [DENY, DENY]


@patient
@compared
@given(case=cases())
def test_equal_inputs_have_equal_answers(case: tuple[EvaluationInput, PolicySet]) -> None:
    again = tuple(msgspec.msgpack.decode(msgspec.msgpack.encode(part), type=type(part)) for part in case)
    assert case == again

    first, second = (evaluate(given, compile_policy(policy)) for given, policy in (case, again))

    assert first == second


# ---------------------------------------------------------------------------------------------- what only ever tightens

Draw = Callable[[Any], Any]


def _with(policy: PolicySet, rule: Rule) -> PolicySet:
    return replace(policy, rules=(*policy.rules, rule))


def _denying(draw: Draw, **changes: Any) -> Rule:
    """A DENY with the match of any rule."""
    like = draw(rules(9))
    return Rule(id="deny", match=like.match, tallies=like.tallies, after=like.after, decision=DENY, **changes)


def _more_forbidden(draw: Draw, policy: PolicySet) -> PolicySet:
    return _with(policy, _denying(draw, classification=Classification.FORBIDDEN))


def _more_denied(draw: Draw, policy: PolicySet) -> PolicySet:
    return _with(policy, _denying(draw, priority=99))


def _more_constraints(draw: Draw, policy: PolicySet) -> PolicySet:
    more = draw(constraints)
    changed = [replace(r, constraints=(*r.constraints, more)) if _bindable(r) else r for r in policy.rules]
    return replace(policy, rules=tuple(changed))


def _bindable(rule: Rule) -> bool:
    return rule.decision in (ALLOW, MODIFY, STEP_UP)


def _less_accepted(draw: Draw, policy: PolicySet) -> PolicySet:
    """A limit for every tool that had none; tools that only the code declares keep what it says."""
    tools = tuple(replace(tool, accepts=tool.accepts or draw(limits)) for tool in policy.tools)
    return replace(policy, tools=tools)


def _less_sent(draw: Draw, policy: PolicySet) -> PolicySet:
    """Limits where there were none; or a second entry for places that have one."""
    if not policy.destinations:
        return replace(policy, destinations=(draw(destinations),))
    again = replace(draw(st.sampled_from(policy.destinations)), accepts=draw(limits))
    return replace(policy, destinations=(*policy.destinations, again))


def _narrower_intents(draw: Draw, policy: PolicySet) -> PolicySet:
    """Intents where there were none; or bounds for those that have none."""
    other = draw(intents)
    if not policy.intents:
        return replace(policy, intents=(other,))
    bounded = [
        replace(intent, accepts=intent.accepts or other.accepts, actions=intent.actions or other.actions)
        for intent in policy.intents
    ]
    return replace(policy, intents=tuple(bounded))


def _less_risk(draw: Draw, policy: PolicySet) -> PolicySet:
    most = 6 if policy.risk_limit is None else policy.risk_limit
    return replace(policy, risk_limit=draw(st.integers(0, most)))


def _more_points(draw: Draw, policy: PolicySet) -> PolicySet:
    like = draw(rules(9))
    return _with(policy, Rule(id="points", match=like.match, after=like.after, adds_risk=draw(st.integers(1, 3))))


TIGHTER = (
    _more_forbidden, _more_denied, _more_constraints, _less_accepted, _less_sent, _narrower_intents, _less_risk,
    _more_points,
)  # fmt: skip


@patient
@compared
@given(case=cases(), data=st.data(), tighter=st.sampled_from(TIGHTER))
def test_no_further_bound_permits_more(case: tuple[EvaluationInput, PolicySet], data: Any, tighter: Any) -> None:
    """What is permitted with the bound is permitted without it, with the same parameters."""
    given, policy = case
    before = evaluate(given, compile_policy(policy))

    after = evaluate(given, compile_policy(tighter(data.draw, policy)))

    event(f"{tighter.__name__} {before.verdict} {after.verdict}")
    if after.verdict in (ALLOW, MODIFY):
        assert (after.verdict, after.effective) == (before.verdict, before.effective)


def _of_labels(condition: Condition) -> bool:
    return condition.field in ("context.level", "context.categories", "stored.level", "stored.categories")


@patient
@compared
@given(case=cases(), more=labels, unmeasured=st.booleans())
def test_data_of_a_higher_label_goes_nowhere_where_other_data_may_not(
    case: tuple[EvaluationInput, PolicySet], more: Any, unmeasured: bool
) -> None:
    """Rules that ask for labels may say anything of them; they are left out."""
    given, policy = case
    kept = [rule for rule in policy.rules if not any(map(_of_labels, rule.match))]
    policy = replace(policy, rules=tuple(kept), tools=policy.tools or PROFILES)
    higher = replace(
        given,
        labels=given.labels.join(more),
        shared=replace(given.shared, stored=given.shared.stored.join(more)),
        signals=replace(given.signals, unknown={"sensitive_level": "gone"} if unmeasured else given.signals.unknown),
    )
    before, after = (evaluate(each, compile_policy(policy)) for each in (given, higher))

    event(f"{before.verdict} {after.verdict}")
    if after.verdict in (ALLOW, MODIFY):
        assert (after.verdict, after.effective) == (before.verdict, before.effective)


@patient
@compared
@given(case=cases(), data=st.data())
def test_shadow_rules_are_without_effect(case: tuple[EvaluationInput, PolicySet], data: Any) -> None:
    given, policy = case
    tried = [replace(rule, shadow=True) for rule in (data.draw(rules(8)), data.draw(rules(9))) if rule.decision]
    without = compile_policy(replace(policy, rules=tuple(rule for rule in policy.rules if not rule.shadow)))
    among = compile_policy(replace(policy, rules=(*tried[:1], *policy.rules, *tried[1:])))
    plain = compile_policy(policy)

    decided = evaluate(given, without)

    for each in (plain, among):
        assert evaluate(given, each) == decided
        assert decided.reason_code == "unknown_tool" or asides(given, each) == asides(given, without)


def asides(given: EvaluationInput, policy: CompiledPolicy) -> tuple[Any, ...]:
    """What rules do besides deciding."""
    return lowered(given, policy), labels_by_rule(given, policy), added_risk(given, policy)
