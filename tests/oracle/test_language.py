"""The oracle answers as the page says: places, types, constraints, limits, intents, sequences, risk, shadow rules."""

from __future__ import annotations

from typing import Any

import pytest

from navicert.core.accumulate import OTHER
from navicert.model.action import ToolProfile
from navicert.model.context import Waiting, Walked
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING, WORST, Labels, Level, Limit
from navicert.model.policy import Condition, Destination, Earlier, Intent, PolicySet, Posture, Rule, Tally
from navicert.model.signals import Signals
from oracle.strategies import MAIL, NOW, PAY, READ
from oracle.test_differential import (
    OPEN,
    asked,
    change,
    fact,
    holding,
    judge,
    judge_fully,
    matched,
    replace,
    rule,
    when,
)

ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict
OURS = ["our.test", "*.our.test"]
HOUR = 3_600


def session(given: EvaluationInput, **fields: Any) -> EvaluationInput:
    return replace(given, context=replace(given.context, **fields))


# ------------------------------------------------------------------------------------------------- places, types, same


@pytest.mark.parametrize(
    ("condition", "body", "restricting", "permitting"),
    [
        (when("parameters.body", "at", OURS), "ann@our.test", True, True),
        (when("parameters.body", "at", OURS), "ann@our.test; x@evil.test", True, False),
        (when("parameters.body", "at", OURS), ["ann@our.test", "http://sub.our.test/x"], True, True),
        (when("parameters.body", "at", OURS), "https://our.test@evil.test/", None, None),
        (when("parameters.body", "at", OURS), ["ann@our.test", "not an address@@"], True, None),
        (when("parameters.body", "at", OURS), "\uff4four.test", None, None),
        (when("parameters.body", "at", OURS), 12, None, None),
        (when("parameters.body", "at", OURS), None, False, False),
        (when("parameters.body", "at", ["ann@our.test"]), "Ann@our.test", True, False),
        (when("parameters.body", "at", ["ann@our.test"], negated=True), "Ann@our.test", True, True),
        (when("parameters.body", "at", ["8.0.0.0/8"]), "010.0.0.1", True, False),
        (when("parameters.body", "external", OURS), "ann@our.test, x@evil.test", True, False),
        (when("parameters.body", "external", OURS), "x@evil.test", True, True),
        (when("parameters.body", "external", OURS), "ann@our.test", False, False),
        (when("parameters.body", "external", OURS, negated=True), "ann@our.test, x@evil.test", True, False),
        (when("parameters.body", "external", OURS), "\\\\evil", None, None),
        (when("parameters.body", "external", OURS), None, False, False),
        (when("parameters.body", "external", OURS, negated=True), None, True, False),
        (when("parameters.body", "under", ["/desk"]), "/desk/x/../y", True, True),
        (when("parameters.body", "under", ["/desk"]), "/desk/../etc", False, False),
        (when("parameters.body", "under", ["/desk", "/tmp"]), ["/desk/x", "/tmp/y"], True, True),
        (when("parameters.body", "under", ["/desk"]), "/DESK/x", True, False),
        (when("parameters.body", "under", ["/desk"], negated=True), "/DESK/x", True, True),
        (when("parameters.body", "under", ["/desk"]), "desk/x", None, None),
        (when("parameters.body", "under", ["/desk"]), "~/x", None, None),
        (when("parameters.body", "type", "text"), "x", True, True),
        (when("parameters.body", "type", "list"), ["x"], True, True),
        (when("parameters.body", "type", "list"), [], True, True),
        (when("parameters.body", "type", "text"), ["x"], False, False),
        (when("parameters.body", "type", "integer"), 1, True, True),
        (when("parameters.body", "type", "integer"), 1.0, False, False),
        (when("parameters.body", "type", "number"), 1, True, True),
        (when("parameters.body", "type", "number"), True, False, False),
        (when("parameters.body", "type", "object", negated=True), {"x": 1}, False, False),
        (when("parameters.body", "type", "text"), None, False, False),
        (when("parameters.body", "type", "text", negated=True), None, True, False),
        (when("parameters.body", "same", "identity.human"), "ann", True, True),
        (when("parameters.body", "same", "identity.human"), "ANN", True, False),
        (when("parameters.body", "same", "identity.human"), ["ann", "bob"], True, False),
        (when("parameters.body", "same", "identity.human"), 1, None, None),
        (when("parameters.body", "same", "parameters.amount"), 1.0, True, True),
        (when("parameters.body", "same", "parameters.cc"), "x", None, None),
        (when("parameters.body", "same", "parameters.meta"), "x", None, None),
        (when("parameters.body", "same", "parameters.cc"), None, False, False),
        (when("parameters.body", "same", "parameters.cc", negated=True), None, True, False),
    ],
)
def test_a_condition_on_a_place_a_type_or_another_field(
    condition: Condition, body: Any, restricting: bool | None, permitting: bool | None
) -> None:
    given = asked(parameters={"body": body, "amount": 1, "meta": {"x": "x"}})

    assert restricting == matched(condition, DENY, given)
    assert permitting == matched(condition, ALLOW, given)


def test_rules_ask_for_separation_risk_and_intent() -> None:
    given = session(asked(separation="user"), walked=Walked(risk=10), claims=Claims(intent="support"))

    for decision in (DENY, ALLOW):
        assert matched(when("separation", "eq", "user"), decision, given) is True
        assert matched(when("context.risk", "ge", 10), decision, given) is True
        assert matched(when("context.intent", "eq", "support"), decision, given) is True
        assert matched(when("context.intent", "eq", "support"), decision, asked()) is None


# --------------------------------------------------------------------------------------------------------- constraints


@pytest.mark.parametrize(
    ("constraint", "parameters", "expected"),
    [
        (when("parameters.body", "in", ["EUR", "USD"]), {"body": "EUR"}, ALLOW),
        (when("parameters.body", "in", ["EUR", "USD"]), {"body": "eur"}, DENY),
        (when("parameters.body", "eq", "x"), {"body": ["x", "y"]}, DENY),
        (when("parameters.body", "eq", "x"), {"body": 1}, DENY),
        (when("parameters.body", "eq", "x", negated=True), {}, ALLOW),
        (when("parameters.body", "eq", "x"), {"body": None}, ALLOW),
        (when("parameters.body", "eq", "x"), {"body": []}, ALLOW),
        (when("parameters.*", "lt", 5), {"body": "x"}, ALLOW),
        (when("parameters.body", "exists", value=True), {}, DENY),
        (when("parameters.body", "exists", value=False), {"body": "x"}, DENY),
        (when("parameters.body", "type", "text"), {"body": []}, DENY),
        (when("amount", "gt", 0), {"amount": 1, "fee": [2]}, ALLOW),
        (when("amount", "gt", 0), {"amount": 1, "fee": 0}, DENY),
        (when("amount", "gt", 0), {"amount": -1}, DENY),
    ],
)
def test_a_constraint_must_hold_of_every_value_there_is(
    constraint: Condition, parameters: dict[str, Any], expected: Verdict
) -> None:
    given = asked(PAY, parameters=parameters)
    free = rule("free", ALLOW)

    assert judge(given, holding([rule("yes", ALLOW, constraints=(constraint,))])) == expected
    assert judge(given, holding([rule("yes", ALLOW, constraints=(constraint,)), free])) == expected
    assert judge(given, holding([rule("yes", ALLOW, constraints=(constraint,)), replace(free, priority=1)])) == ALLOW


def test_a_broken_constraint_denies_what_would_be_asked_and_what_was_answered_and_not_what_waits() -> None:
    broken = (when("parameters.body", "eq", "x"),)
    given = asked(parameters={"body": "y"})

    assert judge(given, holding([rule("ask", STEP_UP, constraints=broken)])) == DENY
    assert judge(given, holding([rule("ask", STEP_UP, constraints=broken), rule("wait", DEFER)])) == DEFER
    assert judge(given, holding([rule("maybe", ALLOW, OPEN, constraints=broken), rule("no", DENY)])) == DEFER


def test_what_a_modify_changes_is_judged_as_it_would_run() -> None:
    capped = rule("cap", MODIFY, modifications=(change("amount", "cap", 5),), constraints=(when("amount", "le", 5),))

    assert judge_fully(asked(PAY, parameters={"amount": 9}), holding([capped])) == (MODIFY, b'{"amount":5}')
    assert judge(asked(PAY, parameters={"amount": 5}), holding([capped])) == ALLOW
    assert judge(asked(PAY, parameters={"amount": 5, "fee": 9}), holding([capped])) == DENY


@pytest.mark.parametrize(("prior", "expected"), [(1, ALLOW), (2, DENY), (None, DENY)])
def test_a_rate_among_the_constraints_is_broken_by_what_is_above(prior: int | None, expected: Verdict) -> None:
    limit = Tally(kind="rate", per="human", above=2, window_s=HOUR)
    tallies = {} if prior is None else {f"rate|human|{HOUR}": prior}

    assert judge(asked(shared=SharedFacts(tallies=tallies)), holding([rule("yes", ALLOW, limits=(limit,))])) == expected


# ---------------------------------------------------------------------------------------------------- limits on labels

PII = Labels(level=Level.CONFIDENTIAL, categories=("PII",))
SECRET = Limit(level=Level.CONFIDENTIAL)


@pytest.mark.parametrize(
    ("limit", "labels", "expected"),
    [
        (SECRET, PII, ALLOW),
        (SECRET, Labels(level=Level.RESTRICTED), DENY),
        (Limit(level=Level.CONFIDENTIAL, categories=("PII",)), PII, ALLOW),
        (Limit(level=Level.CONFIDENTIAL, categories=()), PII, DENY),
        (Limit(level=Level.RESTRICTED, categories=("PII",)), WORST, DENY),
        (Limit(level=Level.RESTRICTED), WORST, ALLOW),
    ],
)
def test_no_label_goes_beyond_what_a_tool_or_a_place_accepts(limit: Limit, labels: Labels, expected: Verdict) -> None:
    policy = holding([rule("yes", ALLOW)])
    listed = replace(policy, destinations=(Destination(at=("our.test",), accepts=limit),))
    sources: list[dict[str, Any]] = [
        {"labels": labels},
        {"shared": SharedFacts(stored=labels)},
        {"signals": Signals(labels=labels)},
    ]

    for source in sources:
        assert judge(asked(replace(MAIL, accepts=limit), **source), policy) == expected
        assert judge(asked(parameters={"to": "ann@our.test"}, **source), listed) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (SECRET, DEFER),
        (Limit(level=Level.RESTRICTED, categories=("PII",)), DEFER),
        (Limit(level=Level.RESTRICTED), ALLOW),
        (None, ALLOW),
    ],
)
def test_what_could_not_be_measured_defers_where_it_could_be_beyond_a_limit(
    limit: Limit | None, expected: Verdict
) -> None:
    given = asked(replace(MAIL, accepts=limit), signals=Signals(unknown={"sensitive_level": "took too long"}))

    assert judge(given, holding([rule("yes", ALLOW)])) == expected
    assert judge(given, holding([rule("no", DENY)])) == DENY
    if limit is SECRET:
        assert judge(replace(given, labels=WORST), holding([rule("yes", ALLOW)])) == DENY


@pytest.mark.parametrize(
    ("to", "labels", "expected"),
    [
        ("ann@our.test", PII, ALLOW),
        ("#support", PII, ALLOW),
        ("#Support", PII, DENY),
        ("x@evil.test", PII, DENY),
        ("x@evil.test", NOTHING, ALLOW),
        ("x@evil.test", Labels(categories=("PII",)), DENY),
        ("ann@our.test, x@evil.test", PII, DENY),
        ("cas@our.test", PII, DENY),
        ("https://our.test@evil.test/", PII, DENY),
        (["ann@our.test", 5], PII, DENY),
        ([], PII, DENY),
        ([], NOTHING, ALLOW),
    ],
)
def test_a_place_that_is_not_listed_takes_nothing_and_one_that_is_listed_twice_what_both_do(
    to: Any, labels: Labels, expected: Verdict
) -> None:
    places = (
        Destination(at=("our.test",), accepts=SECRET),
        Destination(at=("cas@our.test",), accepts=Limit(level=Level.INTERNAL)),
        Destination(names=("#support",), accepts=SECRET),
    )

    given = asked(parameters={"to": to}, labels=labels)

    assert expected == judge(given, holding([rule("yes", ALLOW)], destinations=places))


# ------------------------------------------------------------------------------------------------------------- intents


@pytest.mark.parametrize(
    ("stated", "changes", "labels", "attempts", "expected"),
    [
        ("support", {}, NOTHING, 0, ALLOW),
        (None, {}, NOTHING, 0, DENY),
        ("Support", {}, NOTHING, 0, DENY),
        ("support", {"tools": ("crm.*",)}, NOTHING, 0, DENY),
        ("support", {"accepts": SECRET}, PII, 0, ALLOW),
        ("support", {"accepts": SECRET}, WORST, 0, DENY),
        ("support", {"actions": 3}, NOTHING, 2, ALLOW),
        ("support", {"actions": 3}, NOTHING, 3, DENY),
    ],
)
def test_a_session_keeps_to_its_intent(
    stated: str | None, changes: dict[str, Any], labels: Labels, attempts: int, expected: Verdict
) -> None:
    intent = Intent(name="support", tools=changes.pop("tools", ("mail.*",)), **changes)
    given = session(asked(labels=labels), claims=Claims(intent=stated), counts={"crm.read": attempts})

    assert expected == judge(given, holding([rule("yes", ALLOW)], intents=(intent,)))
    assert judge(given, holding([rule("yes", ALLOW)])) == ALLOW


def test_an_action_that_waited_is_not_one_too_many_beside_itself() -> None:
    policy = holding([rule("yes", ALLOW)], intents=(Intent(name="support", tools=("*",), actions=1),))
    given = session(asked(), claims=Claims(intent="support"), counts={"mail.send": 1})

    waited, other = (Waiting(handle="w-1", action_id=action, digest="0" * 64) for action in ("act-1", "act-2"))
    assert judge(session(given, waiting=(waited,)), policy) == ALLOW
    assert judge(session(given, waiting=(other,)), policy) == DENY


# ----------------------------------------------------------------------------------------------------------- sequences

QUERY = when("tool", "eq", "crm")


@pytest.mark.parametrize(
    ("earlier", "done", "restricting", "permitting"),
    [
        (Earlier(match=(QUERY,)), {"crm.read": NOW}, True, True),
        (Earlier(match=(QUERY,)), {"web.read": NOW}, False, False),
        (Earlier(match=(QUERY,)), {}, False, False),
        (Earlier(match=(QUERY,), negated=True), {}, True, True),
        (Earlier(match=(QUERY,), negated=True), {"crm.read": NOW}, False, False),
        (Earlier(match=(QUERY,), within_s=60), {"crm.read": NOW - 60_000_000}, True, True),
        (Earlier(match=(QUERY,), within_s=60), {"crm.read": NOW - 60_000_001}, False, False),
        (Earlier(match=(when("tool", "eq", "Crm"),)), {"crm.read": NOW}, True, False),
        (Earlier(match=(when("tool", "eq", "Crm"),), negated=True), {"crm.read": NOW}, True, False),
        (Earlier(match=(QUERY,)), {OTHER: NOW}, None, None),
        (Earlier(match=(QUERY,)), {OTHER: NOW, "crm.read": NOW}, True, True),
        (Earlier(match=(QUERY,), within_s=60), {OTHER: NOW - 60_000_001}, False, False),
        (Earlier(match=(when("effect", "eq", "read"),)), {"crm.read": NOW}, True, True),
        (Earlier(match=(when("effect", "eq", "read"),)), {"web.read": NOW}, None, None),
        (Earlier(match=(when("category", "eq", "mail"),)), {"pay.transfer": NOW}, True, False),
        (Earlier(match=(QUERY, when("operation", "eq", "write"))), {"crm.read": NOW, "web.write": NOW}, False, False),
    ],
)
def test_what_the_session_was_permitted_before_can_be_asked(
    earlier: Earlier, done: dict[str, int], restricting: bool | None, permitting: bool | None
) -> None:
    given = session(asked(), walked=Walked(done=done))
    for decision, posture, expected in ((DENY, Posture.DECLARED_TOOLS, restricting), (ALLOW, Posture.DENY, permitting)):
        verdict = judge(given, holding([rule("it", decision, after=(earlier,))], posture, tools=(READ, PAY)))
        assert expected == (None if verdict is DEFER else verdict is decision)


# ----------------------------------------------------------------------------------------------------- risk and shadow


def risky(limit: int, *rules: Rule, **changes: Any) -> PolicySet:
    return holding([rule("yes", ALLOW), *rules], risk_limit=limit, **changes)


def test_points_above_the_limit_deny_and_points_that_may_be_there_defer() -> None:
    given = session(asked(), walked=Walked(risk=3))
    two, maybe = rule("two", None, adds_risk=2), rule("maybe", None, OPEN, adds_risk=2)

    assert judge(given, risky(5, two)) == ALLOW
    assert judge(given, risky(4, two)) == DENY
    assert judge(given, risky(5, maybe)) == ALLOW
    assert judge(given, risky(4, maybe)) == DEFER
    assert judge(given, risky(4, maybe, rule("no", DENY, priority=1))) == DENY
    assert judge(given, risky(2)) == DENY
    assert judge(given, holding([rule("yes", ALLOW), two])) == ALLOW


def test_a_shadow_rule_decides_nothing_and_adds_no_points() -> None:
    given = asked(session={"facts": (fact("open", value=True),)})

    assert judge(given, risky(0, rule("tried", DENY, OPEN, priority=1, adds_risk=9, shadow=True))) == ALLOW
    assert judge(given, risky(0, rule("tried", DENY, OPEN, priority=1))) == DENY
    assert judge(given, holding([rule("tried", ALLOW, shadow=True)])) == DENY


def test_a_profile_of_the_policy_brings_its_limit() -> None:
    closed = ToolProfile(tool="mail.send", effect=MAIL.effect, accepts=Limit(level=Level.PUBLIC))

    assert judge(asked(labels=PII), holding([rule("yes", ALLOW)], tools=(closed,))) == DENY
    assert judge(asked(closed, labels=PII), holding([rule("yes", ALLOW)], tools=(MAIL,))) == ALLOW
