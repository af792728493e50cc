"""Compiling: rules are found by tool, in order, and cost nothing where they do not concern it."""

from __future__ import annotations

import pytest

from navicert.core.compile import compile_policy
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED, either, every, negate
from navicert.model.action import Effect, ToolProfile
from navicert.model.decision import Verdict
from navicert.syntax import read_policy

FILE = """\
policy: p
version: 1
posture: deny
tools: {email.send: {effect: send}}
rules:
  - {id: all, decision: DENY}
  - {id: mail, match: {tool: email}, decision: ALLOW, priority: 1}
  - {id: send, match: {tool: email, operation: send}, decision: ALLOW, priority: 1}
  - {id: prefix, match: {tool: em*}, decision: DENY, priority: 2}
  - {id: not-mail, match: {tool: {ne: email}}, decision: DENY}
  - {id: either, match: {tool: [email, bank]}, decision: DENY, priority: -1}
  - {id: never, match: {tool: email, operation: send}, decision: DENY, classification: forbidden, priority: -9}
  - {id: label, match: {tool: bank}, set_context: {data_classification: RESTRICTED}}
  - {id: much, match: {tool: bank, rate: {per: human, above: 3, window: 1h}}, decision: DENY}
  - {id: more, match: {tool: bank, rate: {per: human, above: 9, window: 1h}}, decision: DENY}
"""


def groups(tool: str, operation: str) -> list[list[str]]:
    found = compile_policy(read_policy(FILE)[0]).candidates(tool, operation)
    return [[item.rule.id for item in group] for group in found.groups]


def test_the_rules_of_a_tool_are_grouped_by_descending_priority_and_in_file_order() -> None:
    assert groups("email", "send") == [["prefix"], ["mail", "send"], ["all"], ["either"]]
    assert groups("email", "read") == [["prefix"], ["mail"], ["all"], ["either"]]
    assert groups("emu", "x") == [["prefix"], ["all", "not-mail"]]
    assert groups("crm", "x") == [["all", "not-mail"]]


def test_forbidden_labelling_and_counting_rules_stand_apart() -> None:
    rules = compile_policy(read_policy(FILE)[0])
    mail, bank = rules.candidates("email", "send"), rules.candidates("bank", "pay")

    assert [item.rule.id for item in mail.forbidden] == ["never"]
    assert [item.rule.id for item in bank.labelling] == ["label"]
    assert [(tally.per, tally.above) for tally in bank.tallies] == [("human", 3), ("human", 9)]
    assert mail.tallies == mail.labelling == ()


def test_the_candidates_of_a_tool_are_found_once() -> None:
    rules = compile_policy(read_policy(FILE)[0])

    assert rules.candidates("email", "send") is rules.candidates("email", "send")


def test_many_names_do_not_fill_the_memory() -> None:
    rules = compile_policy(read_policy(FILE)[0])
    for number in range(5_000):
        rules.candidates("x", str(number))

    assert len(rules._candidates) <= 4_096
    assert [item.rule.id for item in rules.candidates("email", "send").forbidden] == ["never"]


def test_the_profile_of_the_policy_stands_before_the_developers_and_that_before_none() -> None:
    rules = compile_policy(read_policy(FILE)[0])
    own = ToolProfile(tool="email.send", effect=Effect.READ)

    found = rules.profile("email.send", own)
    assert found is not None
    assert found.effect is Effect.SEND
    assert rules.profile("x.y", own) is own
    assert rules.profile("x.y", None) is None


@pytest.mark.parametrize("value", [FALSE, TRUE, UNDETERMINED])
def test_three_valued_logic_is_kleenes(value: int) -> None:
    assert negate(negate(value)) == value
    assert (either([value, TRUE]), either([value, FALSE]), every([value, FALSE]), every([value, TRUE])) == (
        TRUE, value, FALSE, value,
    )  # fmt: skip
    assert (either([]), every([])) == (FALSE, TRUE)
    assert either([value, UNDETERMINED]) == (TRUE if value == TRUE else UNDETERMINED)
    assert every([value, UNDETERMINED]) == (FALSE if value == FALSE else UNDETERMINED)


def test_a_labelling_rule_without_a_decision_decides_nothing() -> None:
    rules = compile_policy(read_policy(FILE)[0]).candidates("bank", "pay")

    assert all(item.rule.decision in set(Verdict) for group in rules.groups for item in group)
