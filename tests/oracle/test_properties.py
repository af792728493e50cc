"""What holds of every answer: answers and authority only do what the pages say, and equal inputs have equal answers.

`NAVICERT_ORACLE_EXAMPLES` sets how many examples each of them tries.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from navicert.core.builtin import supervision
from navicert.core.compile import compile_policy
from navicert.core.digest import rule_digest
from navicert.core.evaluate import evaluate
from navicert.model.authority import LADDER
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import PolicySet
from oracle.strategies import cases

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
        assert answered.id in before.rules
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
