"""Explanations, step by step: what decided, what was found, and that a step which does not concern it stays silent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from navicert.core.canonical import parameter_bytes
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.explain import Came, Considered, Explanation, Look, Step, explain
from navicert.model.action import Action
from navicert.model.authority import Authority
from navicert.model.context import Fact, SessionContext, Walked
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.labels import Labels, Level
from navicert.model.signals import Signals
from navicert.syntax import read_policy

ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict
NOW = 1_000_000_000_000
HEAD = """\
policy: p
version: 1
posture: deny
tools:
  email.send: {effect: send, destination: to, content: body, returns: INTERNAL}
  bank.pay: {effect: pay, amount: amount}
"""
MAIL = "match: {tool: email, operation: send}, decision: ALLOW"


def policy(*rules: str, more: str = "") -> CompiledPolicy:
    """A policy with rules in flow style; each gets an id `r0`, `r1` … by its place."""
    lines = "".join(f"  - {{id: r{number}, {rule}}}\n" for number, rule in enumerate(rules))
    return compile_policy(read_policy(HEAD + more + (f"rules:\n{lines}" if rules else ""))[0], "h")


def act(name: str = "email.send", parameters: dict[str, Any] | None = None, **changes: Any) -> EvaluationInput:
    """One action; the context's own fields by `session`, everything else by its name."""
    tool, _, operation = name.partition(".")
    session = changes.pop("session", {})
    given = EvaluationInput(
        action=Action(
            action_id="a",
            tool=tool,
            operation=operation,
            parameters=parameter_bytes({"to": "ben@our.example"} if parameters is None else parameters),
            digest="0" * 64,
            submitted_at=NOW,
        ),
        identity=ActionIdentity(human="ana", service="desk", agent="bot", session="s", scope=("*",)),
        context=SessionContext(
            session_id="s", request="", salt="", started_at=NOW, last_at=NOW, **{"claims": Claims(), **session}
        ),
        now=NOW,
    )
    return replace(given, **changes)


def told(given: EvaluationInput, *rules: str, more: str = "") -> Explanation:
    return explain(given, policy(*rules, more=more))


def decided(found: Explanation) -> Step:
    return next(step for step in found.rounds[-1].steps if step.came is Came.DECIDED)


def rule(found: Explanation, name: str) -> Considered:
    """One rule, where it was looked at last."""
    return next(each for step in reversed(found.rounds[-1].steps) for each in step.rules if each.rule == name)


def look(looks: tuple[Look, ...], what: str) -> tuple[str, str, str]:
    """What was asked, found, and came of it."""
    item = next(each for each in looks if each.what == what)
    return f"{item.test} {item.expected}".strip(), item.found, item.outcome


# step 0


def test_without_authority_the_first_step_decides_and_no_rule_is_looked_at():
    found = told(act(shared=SharedFacts(authority=Authority.REVOKED)), MAIL)

    assert decided(found).number == 0
    assert look(decided(found).looks, "authority")[1:] == ("revoked", "fails")
    assert not any(step.rules for step in found.rounds[0].steps)


def test_a_tool_that_nobody_declared_is_said_to_be_undeclared():
    found = told(act("shell.run", {}), MAIL)

    assert look(decided(found).looks, "tool") == ("declared", "no", "fails")
    assert [step.came for step in found.rounds[0].steps[1:]] == [Came.UNREACHED] * 6


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (act(identity=ActionIdentity(human="a", service="s", agent="b", session="s", scope=("crm.*",))), "scope"),
        (act(parameters={"to": "b\u202en@our.example"}), "destination"),
    ],
)
def test_outside_of_the_scope_or_to_a_disguised_place_says_which(given, what):
    step = decided(told(given, MAIL))

    assert (step.number, step.looks[-1].what, step.looks[-1].outcome) == (0, what, "fails")


def test_an_action_that_may_act_passes_the_first_step():
    first = told(act(), MAIL).rounds[0].steps[0]

    assert first.came is Came.PASSED
    assert {each.outcome for each in first.looks} == {"holds"}


# step 1

FORBIDDEN = "match: {destination: {ends_with: evil.example}}, decision: DENY, classification: forbidden"


def test_a_forbidden_rule_decides_and_shows_the_value_that_matched():
    found = told(act(parameters={"to": "x@evil.example"}), FORBIDDEN, MAIL)

    assert decided(found).number == 1
    assert rule(found, "r0").decides
    assert look(rule(found, "r0").looks, "destination") == ("ends_with 'evil.example'", '["x@evil.example"]', "holds")
    assert found.rounds[0].steps[3].came is Came.UNREACHED


def test_a_forbidden_rule_that_does_not_match_is_looked_at_and_decides_nothing():
    found = told(act(), FORBIDDEN, MAIL)

    assert (rule(found, "r0").outcome, rule(found, "r0").decides) == ("does not match", False)
    assert decided(found).number == 3


def test_a_forbidden_rule_that_cannot_be_told_leaves_the_first_step_open_and_defers():
    found = told(act(), "match: {signals: {odd: true}}, decision: DENY, classification: forbidden", MAIL)

    assert found.rounds[0].steps[1].came is Came.OPEN
    assert (decided(found).number, found.decision.verdict) == (4, DEFER)
    assert look(rule(found, "r0").looks, "signals.odd")[1:] == ("unknown: nothing measured it", "undetermined")


@pytest.mark.parametrize(
    ("condition", "value", "found"),
    [
        ("iban: {starts_with: de89}", "DE\u200b89", '"DE\u200b89", in normal form "de89"'),
        ("iban: {starts_with: de89}", "de89", '"de89"'),
        ("iban: {in: [de89]}", "DE89", '"DE89", in normal form "de89"'),
        ("iban: {not: {matches: '^DE'}}", "\u200bFR", '"\u200bFR"'),
    ],
)
def test_a_condition_that_holds_only_in_normal_form_shows_that_form(condition, value, found):
    given = act(parameters={"to": "ben@our.example", "iban": value})
    denied = told(given, f"match: {{tool: email, operation: send, parameters: {{{condition}}}}}, decision: DENY", MAIL)

    assert look(rule(denied, "r0").looks, "parameters.iban")[1:] == (found, "holds")


def test_a_parameter_that_is_not_there_is_said_to_be_left_out():
    found = told(act(), "match: {parameters: {iban: {exists: false}}}, decision: DENY", MAIL)

    assert look(rule(found, "r0").looks, "parameters.iban")[1:] == ("left out", "holds")


def test_labels_are_said_to_come_from_session_earlier_ones_parameters_and_what_is_stored():
    own, earlier = Labels(level=Level.INTERNAL), Labels(level=Level.CONFIDENTIAL)
    stored, measured = Labels(categories=("HEALTH",)), Labels(categories=("PII",))
    shared, signals = SharedFacts(sticky=earlier, stored=stored), Signals(labels=measured)
    found = told(act(session={"labels": own}, labels=earlier, shared=shared, signals=signals), MAIL)

    said = {name: labels for name, labels in found.origins.items() if labels != Labels()}
    assert said == {"session": own, "earlier": earlier, "parameters": measured, "stored": stored}
    assert found.labels == own.join(earlier).join(stored).join(measured)


def test_what_a_session_left_behind_itself_is_not_said_to_come_from_earlier_ones():
    own = Labels(level=Level.INTERNAL)
    found = told(act(session={"labels": own}, labels=own, shared=SharedFacts(sticky=own)), MAIL)

    assert [name for name, labels in found.origins.items() if labels != Labels()] == ["session"]


DESTINATIONS = "destinations:\n  - {at: [our.example], accepts: INTERNAL}\n"


@pytest.mark.parametrize(("level", "outcome", "number"), [(Level.INTERNAL, "holds", 3), (Level.RESTRICTED, "fails", 1)])
def test_what_a_destination_takes_stands_beside_what_is_in_force(level, outcome, number):
    found = told(act(labels=Labels(level=level)), MAIL, more=DESTINATIONS)

    assert look(found.rounds[0].steps[1].looks, "labels to destination") == (
        "at most INTERNAL",
        level.name,
        outcome,
    )
    assert decided(found).number == number


def test_what_could_not_be_measured_is_said_where_a_limit_needs_it():
    found = told(act(signals=Signals(unknown={"sensitive_level": "too long"})), MAIL, more=DESTINATIONS)

    assert found.rounds[0].steps[1].came is Came.OPEN
    assert look(found.rounds[0].steps[1].looks, "what it holds") == ("measured", "unknown: too long", "undetermined")
    assert decided(found).number == 4


INTENTS = "intents:\n  support: {tools: [email.*], actions: 2}\n"


@pytest.mark.parametrize(
    ("session", "what"),
    [
        ({}, "intent"),
        ({"claims": Claims(intent="sales")}, "intent"),
        ({"claims": Claims(intent="support"), "counts": {"email.send": 2}}, "earlier actions"),
    ],
)
def test_outside_of_its_intent_says_which_bound(session, what):
    step = decided(told(act(session=session), MAIL, more=INTENTS))

    assert step.number == 1
    assert [each.what for each in step.looks if each.outcome == "fails"] == [what]


def test_within_its_intent_every_bound_holds():
    found = told(act(session={"claims": Claims(intent="support")}), MAIL, more=INTENTS)

    assert {each.outcome for each in found.rounds[0].steps[1].looks} == {"holds"}
    assert found.decision.verdict is ALLOW


# step 2

RISKY = "match: {effect: send}, adds_risk: 4"


@pytest.mark.parametrize(("so_far", "number"), [(6, 3), (7, 2)])
def test_the_risk_is_shown_so_far_and_added(so_far, number):
    given = act(session={"walked": Walked(risk=so_far)})
    found = told(given, RISKY, MAIL, more="risk_limit: 10\n")

    asked, met, _ = look(found.rounds[0].steps[2].looks, "risk")
    assert (asked, met) == ("at most 10", f"{so_far} so far, 4 added")
    assert decided(found).number == number


def test_without_a_limit_the_risk_is_not_asked():
    assert told(act(), RISKY, MAIL).rounds[0].steps[2].came is Came.UNASKED


# step 3


def test_the_rules_of_the_highest_priority_decide_and_those_below_are_not_looked_at():
    found = told(act(), MAIL, "match: {effect: send}, decision: DENY, priority: 5", MAIL + ", priority: 1")

    assert (decided(found).number, rule(found, "r1").decides, decided(found).below) == (3, True, 2)
    assert [each.rule for each in decided(found).rules] == ["r1"]


def test_where_no_rule_matches_the_posture_decides():
    found = told(act(), "match: {destination: {ends_with: evil.example}}, decision: ALLOW")

    assert decided(found).number == 3
    assert look(decided(found).looks, "effect") == ("under posture deny", "send", "holds")
    assert not rule(found, "r0").decides


def test_rules_about_other_tools_are_only_counted():
    found = told(act(), MAIL, "match: {tool: bank}, decision: DENY", "match: {tool: crm}, decision: DENY")

    assert found.rounds[0].others == 2


@pytest.mark.parametrize(("body", "outcome", "verdict"), [("hi", "holds", ALLOW), (3, "fails", DENY)])
def test_a_constraint_shows_whether_it_holds(body, outcome, verdict):
    found = told(act(parameters={"body": body}), MAIL + ", constraints: {parameters: {body: {type: text}}}")

    assert look(rule(found, "r0").constraints, "parameters.body")[2] == outcome
    assert (decided(found).number, found.decision.verdict) == (3, verdict)


@pytest.mark.parametrize(("prior", "outcome"), [(2, "fails"), (3, "holds")])
def test_a_rate_shows_the_count_before_and_with_it(prior, outcome):
    given = act(shared=SharedFacts(tallies={"rate|agent|86400": prior}))
    found = told(given, "match: {tool: email, rate: {per: agent, above: 3, window: 1d}}, decision: DENY")

    expected = ("above 3", f"{prior} before, {prior + 1} with it", outcome)
    assert look(rule(found, "r0").looks, "rate per agent in 1d") == expected


def test_a_total_is_shown_in_units():
    given = act("bank.pay", {"amount": 12.5}, shared=SharedFacts(tallies={"total|human|3600": 90_000_000}))
    found = told(given, "match: {effect: pay, total: {per: human, above: 100, window: 1h}}, decision: DENY")

    assert look(rule(found, "r0").looks, "total per human in 1h") == ("above 100", "90 before, 102.5 with it", "holds")


@pytest.mark.parametrize(
    ("done", "met", "outcome"),
    [({}, "none", "fails"), ({"crm.query": NOW - 42_000_000}, "crm.query, 42 s ago", "holds")],
)
def test_after_shows_the_earlier_action_and_its_age(done, met, outcome):
    after = "match: {effect: send, after: {tool: crm, operation: query}}, decision: DENY"
    found = told(act(session={"walked": Walked(done={**done, "email.send": NOW})}), after)

    assert look(rule(found, "r0").looks, "after")[1:] == (met, outcome)


def test_not_after_shows_what_stood_in_its_way():
    rules = "match: {effect: send, not_after: {tool: crm, operation: query}}, decision: DENY"
    found = told(act(session={"walked": Walked(done={"crm.query": NOW - 1_000_000})}), rules)

    assert look(rule(found, "r0").looks, "not_after")[1:] == ("crm.query, 1 s ago", "fails")


def test_a_modified_action_has_a_tree_for_each_round():
    capped = "match: {tool: bank}, decision: MODIFY, modifications: [{parameter: amount, cap: 10}]"
    found = told(act("bank.pay", {"amount": 500}), capped)

    assert [each.parameters for each in found.rounds] == [b'{"amount":500}', b'{"amount":10}']
    assert (found.decision.verdict, found.decision.effective) == (MODIFY, b'{"amount":10}')


def test_an_action_that_is_not_modified_has_one():
    assert len(told(act(), MAIL).rounds) == 1


# step 4

WINDOW = "match: {effect: send, context: {facts: {open: true}}}, decision: ALLOW"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ((), "unknown: nobody has stated it"),
        ((Fact(name="open", value=True, source="a", at=NOW, conflicting=True),), "unknown: its sources disagree"),
    ],
)
def test_a_fact_that_is_not_known_says_why_and_defers(facts, why):
    found = told(act(session={"facts": facts}), WINDOW)

    assert (decided(found).number, found.decision.verdict) == (4, DEFER)
    assert look(rule(found, "r0").looks, "context.facts.open") == ("eq true", why, "undetermined")


def test_what_is_not_known_and_could_change_nothing_says_so():
    found = told(act(), WINDOW, MAIL)

    assert decided(found).number == 3
    assert rule(found, "r0").note == "could not change the answer"


def test_rules_that_disagree_are_uncertain():
    found = told(act(), MAIL, "match: {effect: send}, decision: DENY")

    assert (decided(found).number, found.decision.reason_code) == (4, "rules_conflict")


@pytest.mark.parametrize(("found_ppm", "number", "outcome"), [(400_000, 4, "fails"), (600_000, 3, "holds")])
def test_confidence_stands_beside_its_threshold(found_ppm, number, outcome):
    found = told(act(signals=Signals(confidence_ppm=found_ppm)), MAIL, more="confidence: 0.5\n")

    assert look(found.rounds[0].steps[4].looks, "confidence")[2] == outcome
    assert decided(found).number == number


# step 6


@pytest.mark.parametrize(("state", "number"), [(Authority.SUPERVISED, 6), (Authority.FULL, 3)])
def test_reduced_authority_is_the_last_word(state, number):
    found = told(act(shared=SharedFacts(authority=state)), MAIL, more="supervisors: [sam]\n")

    assert decided(found).number == number


def test_an_answer_of_people_is_noted():
    asking = policy("match: {effect: send}, decision: STEP_UP, approvers: [ben]")
    answered = tuple(content for _, content in asking.hashes(("r0",)))

    found = explain(act(answered=answered), asking)

    assert (found.decision.verdict, rule(found, "r0").note) == (ALLOW, "answered by people")
    assert rule(explain(act(), asking), "r0").note == ""


# beside


def test_what_labels_lowers_or_stands_in_shadow_is_beside_the_decision():
    found = told(
        act(),
        MAIL,
        "match: {effect: send}, set_context: {data_classification: RESTRICTED}",
        "match: {effect: send}, authority: narrowed",
        "match: {effect: send}, decision: DENY, priority: 9, shadow: true",
    )

    assert [(each.rule, each.does) for each in found.beside] == [
        ("r1", "labels the result RESTRICTED"),
        ("r2", "lowers the authority to narrowed"),
        ("r3", "DENY"),
    ]
    assert (found.decision.verdict, found.shadow and found.shadow.verdict) == (ALLOW, DENY)


def test_without_such_rules_nothing_is_beside_it():
    found = told(act(), MAIL)

    assert (found.beside, found.shadow) == ((), None)


def test_what_was_found_is_bounded():
    found = told(act(parameters={"to": "a" * 100_000}), "match: {destination: {contains: b}}, decision: DENY", MAIL)

    assert len(look(rule(found, "r0").looks, "destination")[1]) < 2_100
