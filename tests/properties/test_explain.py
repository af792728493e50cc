"""An explanation agrees with the decision that it explains, and is there for every input (B.8).

`NAVICERT_ORACLE_EXAMPLES` sets how many examples each of them tries.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, event, given, settings

from navicert.core.compile import compile_policy
from navicert.core.evaluate import evaluate, shadow
from navicert.core.rounds import ROUNDS
from navicert.explain import STEPS, Came, Explanation, explain
from navicert.model.decision import Classification, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import PolicySet
from oracle.strategies import cases

EXAMPLES = int(os.environ.get("NAVICERT_ORACLE_EXAMPLES", "500"))
compared = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
patient = pytest.mark.timeout(0 if EXAMPLES > 2_000 else 300)
LATER = {3: {4: Came.PASSED, 5: Came.UNASKED, 6: Came.PASSED}}
UNSURE = {"forbidden_undetermined", "context_missing", "rules_conflict", "confidence_low", "label_limit", "risk_limit"}


def explained(case: tuple[EvaluationInput, PolicySet]) -> Explanation:
    given, policy = case
    return explain(given, compile_policy(policy))


@patient
@compared
@given(case=cases())
def test_the_first_round_is_the_decision_itself(case: tuple[EvaluationInput, PolicySet]) -> None:
    found = explained(case)
    compiled = compile_policy(case[1])

    assert found.rounds[0].decision == evaluate(case[0], compiled)
    assert found.shadow == shadow(case[0], compiled)
    assert len(found.rounds) <= ROUNDS + 1
    assert all(each.decision.effective is not None for each in found.rounds[:-1])


@patient
@compared
@given(case=cases())
def test_one_step_decides_and_none_behind_it_is_reached(case: tuple[EvaluationInput, PolicySet]) -> None:
    for each in explained(case).rounds:
        event(f"step {each.step}: {each.decision.verdict} {each.decision.reason_code}")
        later = LATER.get(each.step, dict.fromkeys(range(each.step + 1, len(STEPS)), Came.UNREACHED))
        if each.step == 4:
            later = {5: Came.UNASKED, 6: Came.UNREACHED}
        action = case[0].action
        scored = compile_policy(case[1]).candidates(action.tool, action.operation).plain is not None
        if later.get(5) is Came.UNASKED and scored:  # some rule asks for a score
            later = later | {5: Came.PASSED}
        assert [step.number for step in each.steps] == list(range(len(STEPS)))
        assert [step.number for step in each.steps if step.came is Came.DECIDED] == [each.step]
        assert {step.number: step.came for step in each.steps if step.number > each.step} == later
        assert not any(step.rules or step.looks for step in each.steps if step.came is Came.UNREACHED)


@patient
@compared
@given(case=cases())
def test_the_rules_that_determine_the_decision_are_those_of_the_step_that_decided(
    case: tuple[EvaluationInput, PolicySet],
) -> None:
    for each in explained(case).rounds:
        decisive = [rule for rule in each.steps[each.step].rules if rule.decides]
        assert {rule.rule for rule in decisive} >= set(each.decision.rules) - {
            # sure of these, and not sure enough of what was measured
            *(each.decision.rules if each.decision.reason_code in {"confidence_low", "rules_conflict"} else ())
        }
        assert {rule.rule for rule in decisive} <= set(each.decision.rules)
        outcome = "undetermined" if each.step == 4 else "matches"
        assert {rule.outcome for rule in decisive} <= {outcome}
        for step in each.steps:
            if step.number != each.step:
                assert not any(rule.decides for rule in step.rules)


@patient
@compared
@given(case=cases())
def test_each_verdict_comes_from_the_step_that_the_specification_gives_it_to(
    case: tuple[EvaluationInput, PolicySet],
) -> None:
    forbidden = {rule.id for rule in case[1].rules if rule.classification is Classification.FORBIDDEN}
    for each in explained(case).rounds:
        by, code = set(each.decision.rules), each.decision.reason_code
        if each.decision.verdict is Verdict.DENY and by & forbidden:
            assert each.step == 1
        if code in UNSURE and each.decision.verdict is Verdict.DEFER:
            assert each.step == 4
        if code in {"posture", "constraint", "answered", "within_limits", "modification_failed"}:
            assert each.step == 3


@patient
@compared
@given(case=cases())
def test_a_rule_matches_as_its_conditions_do(case: tuple[EvaluationInput, PolicySet]) -> None:
    found = explained(case)
    for rule in [rule for each in found.rounds for step in each.steps for rule in step.rules] + list(found.beside):
        outcomes = {look.outcome for look in rule.looks}
        expected = (
            "does not match" if "fails" in outcomes else "undetermined" if "undetermined" in outcomes else "matches"
        )
        assert rule.outcome == expected
