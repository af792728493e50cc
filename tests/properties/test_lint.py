"""What the linter claims about rules holds of every decision: a false finding is worse than a missing one."""

from __future__ import annotations

from importlib import import_module
from itertools import permutations
from pkgutil import iter_modules

import pytest
from hypothesis import Phase, assume, find, given, settings

from navicert.adapters import detect
from navicert.adapters.detect import alignment
from navicert.core.compile import CompiledRule, _names, compile_policy
from navicert.core.evaluate import evaluate
from navicert.core.fields import Subject
from navicert.core.kleene import TRUE
from navicert.intent import drift
from navicert.lint import lint
from navicert.lint.book import Book, implies
from navicert.lint.reach import MEASURED
from navicert.model.drift import Drift
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import PolicySet, Rule
from navicert.syntax import Spans
from oracle.strategies import cases

STANDS = frozenset({"rule", "answered", "within_limits", "modification_failed"})
NEVER = frozenset({"NV101", "NV102", "NV104"})
Case = tuple[EvaluationInput, PolicySet]


def spelled_so(policy: PolicySet) -> bool:
    """Claims about tools are made for names spelled as the rules spell them; the actions here are in lower case."""
    names = [item.value for rule in policy.rules for item in rule.match if item.field in {"tool", "operation"}]
    return all(str(name) == str(name).lower() for name in names)


def matching(case: Case) -> list[Rule]:
    given_, policy = case
    profile = compile_policy(policy).profile(given_.action.name, given_.action.profile)
    if profile is None:
        return []
    subject = Subject(given_, profile)
    compiled = [CompiledRule(rule, {}) for rule in policy.rules]
    named = [item for item in compiled if _names(item, given_.action.tool, given_.action.operation)]
    return [item.rule for item in named if item.matches(subject) == TRUE]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_a_rule_that_is_said_never_to_decide_never_does(case: Case) -> None:
    given_, policy = case
    assume(spelled_so(policy))
    dead = {item.rule for item in lint(policy, Spans()) if item.code in NEVER or "never holds" in item.what}
    decision = evaluate(given_, compile_policy(policy))
    if decision.reason_code in STANDS:
        assert dead.isdisjoint(decision.rules)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_a_rule_that_implies_another_never_matches_without_it(case: Case) -> None:
    assume(spelled_so(case[1]))
    found = matching(case)
    for one, other in permutations(case[1].rules, 2):
        if implies(one, other) and one in found:
            assert other in found


@settings(max_examples=200, deadline=None)
@given(cases())
def test_rules_that_never_meet_do_not_match_the_same_action(case: Case) -> None:
    book = Book(case[1], Spans())
    for one, other in permutations(matching(case), 2):
        assert book.meet(one, other)


@pytest.mark.parametrize("code", ["NV101", "NV102"])
def test_the_cases_above_do_meet_with_findings(code: str) -> None:
    def is_it(case: Case) -> bool:
        found = {item.rule for item in lint(case[1], Spans()) if item.code == code}
        return spelled_so(case[1]) and any(rule.id in found for rule in matching(case))

    assert find(
        cases(), is_it, settings=settings(max_examples=5_000, deadline=None, database=None, phases=[Phase.generate])
    )


def test_the_signals_that_detectors_give_are_those_that_the_linter_knows() -> None:
    found = {}
    for module in iter_modules(detect.__path__):
        for part in vars(import_module(f"{detect.__name__}.{module.name}")).values():
            if isinstance(part, type) and isinstance(getattr(part, "signals", None), tuple):
                found |= dict.fromkeys(part.signals, part)
    found |= dict.fromkeys(alignment.Alignment().signals, alignment.Alignment)  # it says which when it is made
    found |= dict.fromkeys(drift.signals(Drift(), drift.PROFILES["assistant"]), drift)  # the engine's own
    found.setdefault("drift_why", drift)  # only where something drifted

    assert {*found, "cedar_policies"} == MEASURED.keys()  # those of Cedar stand in the file that it reads
    assert {category for category in MEASURED.values() if category} == {"sql", "shell", "files"}
