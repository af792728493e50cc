"""The later parts of the language, sentence by sentence of docs/reference/policy-language.md, from Places on."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from navicert.core.accumulate import NAMES, OTHER
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.evaluate import added_risk, evaluate, labels_by_rule, lowered, shadow
from navicert.model.context import Walked
from navicert.model.decision import Decision, Shadow, Verdict
from navicert.model.evaluation import SharedFacts
from navicert.model.identity import Claims
from navicert.model.labels import WORST, Labels, Level
from navicert.model.signals import Signals
from navicert.syntax import policy_hash, read_policy
from unit.core.test_evaluate import NOW, act

ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict
MINUTE = 60_000_000
HEAD = "policy: p\nversion: 1\nposture: {posture}\norganisation: [company.com, '*.company.com']\n"
TOOLS = """\
tools:
  email.send: {effect: send, destination: [to, cc], content: body, returns: INTERNAL}
  bank.pay: {effect: pay, destination: account, amount: amount}
  crm.read: {effect: read, resource: name, categories: [people]}
  web.search: {effect: read, destination: query, accepts: INTERNAL}
"""
PII = Labels(level=Level.CONFIDENTIAL, categories=("PII",))
INTERNAL = Labels(level=Level.INTERNAL)


def policy(*rules: str, posture: str = "deny", more: str = "") -> CompiledPolicy:
    """A policy with rules in flow style; each gets an id `r0`, `r1` … by its place."""
    listed = "rules:\n" + "".join(f"  - {{id: r{at}, {rule}}}\n" for at, rule in enumerate(rules)) if rules else ""
    return compile_policy(read_policy(HEAD.format(posture=posture) + more + TOOLS + listed)[0])


def read_by(condition: str, *, restricts: bool) -> CompiledPolicy:
    """A rule that restricts, or permits, where the condition holds; the posture does the opposite."""
    if restricts:
        return policy(f"match: {{{condition}}}, decision: DENY", posture="declared_tools")
    return policy(f"match: {{{condition}}}, decision: ALLOW")


def holds(condition: str, parameters: dict[str, Any], *, restricts: bool, **changes: Any) -> bool | None:
    """Tell what a rule takes a condition for; None for undetermined."""
    decision = evaluate(act("email.send", parameters, **changes), read_by(condition, restricts=restricts))
    if decision.verdict is DEFER:
        assert decision.reason_code == "context_missing"
        return None
    return (decision.verdict is DENY) is restricts


def either(condition: str, parameters: dict[str, Any], **changes: Any) -> bool | None:
    """What a condition is in both kinds of rule, which must agree."""
    found = {holds(condition, parameters, restricts=kind, **changes) for kind in (True, False)}
    assert len(found) == 1
    return found.pop()


def decided(rules: CompiledPolicy, name: str = "email.send", parameters: Any = None, **changes: Any) -> Decision:
    return evaluate(act(name, parameters, **changes), rules)


def codes(decision: Decision) -> tuple[Verdict, str]:
    return decision.verdict, decision.reason_code


# --------------------------------------------------------------------------------------------------------------- Places


@pytest.mark.parametrize(
    ("condition", "to", "expected"),
    [
        ("destination: {external: true}", "ann@company.com", False),
        ("destination: {external: true}", "ann@mail.company.com", False),
        ("destination: {external: true}", "ann@partner.example", True),
        ("destination: {external: true}", "ann@company.com.evil.example", True),
        ("destination: {external: false}", "ann@company.com", True),
        ("destination: {external: false}", "ann@partner.example", False),
        ("destination: {at: company.com}", "https://company.com/x", True),
        ("destination: {at: company.com}", "company.com:8443/x", True),
        ("destination: {at: company.com}", "mail.company.com", False),
        ("destination: {at: '*.company.com'}", "a.b.company.com", True),
        ("destination: {at: '*.company.com'}", "company.com", False),
        ("destination: {at: '*.company.com'}", "notcompany.com", False),
        ("destination: {at: ann@company.com}", "ann@company.com", True),
        ("destination: {at: ann@company.com}", "bob@company.com", False),
        ("destination: {at: 'https://api.partner.example/v2'}", "https://api.partner.example/v2/orders?x=1", True),
        ("destination: {at: 'https://api.partner.example/v2'}", "https://api.partner.example/v20", False),
        ("destination: {at: 'https://api.partner.example/v2'}", "http://api.partner.example/v2", False),
        ("destination: {at: 'https://api.partner.example/v2'}", "https://api.partner.example:8443/v2", False),
        ("destination: {at: 127.0.0.0/8}", "http://127.1/x", True),
        ("destination: {at: 127.0.0.0/8}", "http://0x7f.0.0.1/", True),
        ("destination: {at: 127.0.0.0/8}", "http://2130706433/", True),
        ("destination: {at: 127.0.0.0/8}", "http://[::ffff:127.0.0.1]/", True),
        ("destination: {at: 127.0.0.0/8}", "http://localhost/", False),
        ("destination: {at: localhost}", "http://localhost:8080/", True),
    ],
)
def test_a_text_is_read_as_the_address_that_it_names(condition: str, to: str, *, expected: bool) -> None:
    assert either(condition, {"to": to}) is expected


@pytest.mark.parametrize(
    "to",
    [
        "https://good.example@evil.example/",
        "https://company.com\\@evil.example",
        "https://company.com /x",
        "https://company%2ecom/",
        "https://bücher.example/",
        '"ann@company.com"@evil.example',
        "ann@company.com(comment)",
        "staff: ann@company.com;",
        '"bob@company.com" <eve@evil.example>',
        "javascript:alert(1)",
        "the whole team",
        "",
    ],
)
def test_a_text_that_programs_could_read_in_different_ways_is_undetermined(to: str) -> None:
    for condition in ("{external: true}", "{external: false}", "{at: company.com}", "{not: {at: company.com}}"):
        assert either(f"destination: {condition}", {"to": to}) is None


@pytest.mark.parametrize("to", ["ann@company.com, eve@evil.example", ["ann@company.com", "eve@evil.example"]])
def test_each_address_that_a_text_names_is_judged_by_itself(to: Any) -> None:
    assert holds("destination: {external: true}", {"to": to}, restricts=True) is True
    assert holds("destination: {external: false}", {"to": to}, restricts=False) is False
    assert holds("destination: {at: company.com}", {"to": to}, restricts=True) is True
    assert holds("destination: {not: {at: company.com}}", {"to": to}, restricts=True) is True
    assert holds("destination: {not: {at: company.com}}", {"to": to}, restricts=False) is False


def test_an_address_that_is_left_out_is_not_external() -> None:
    assert either("destination: {external: true}", {}) is False
    assert either("parameters: {to: {external: true}}", {"to": None}) is False
    assert holds("destination: {not: {at: company.com}}", {}, restricts=True) is True


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/desk/reports", True),
        ("/desk/reports/may.txt", True),
        ("/desk/./reports//x", True),
        ("/tmp/../desk/reports/x", True),
        ("/desk/reports/../../etc/passwd", False),
        ("/desk/reportsx", False),
        ("/desk", False),
        ("~/reports", None),
        ("/desk/reports/$HOME", None),
        ("/desk/reports/%2e%2e", None),
        ("/desk/reports\\..\\x", None),
        ("desk/reports", None),
        ("../desk/reports", None),
        ("/desk/reports/\n", None),
    ],
)
def test_under_compares_after_dots_are_resolved_in_the_text(path: str, *, expected: bool | None) -> None:
    assert either("parameters: {path: {under: [/desk/reports, /srv]}}", {"path": path}) is expected
    opposite = None if expected is None else not expected
    assert either("parameters: {path: {not: {under: /desk/reports}}}", {"path": path}) is opposite


@pytest.mark.parametrize(
    ("field", "pattern", "value"),
    [
        ("path", "under: /desk", "/DESK/x"),
        ("url", "at: 'https://api.partner.example/v2'", "https://api.partner.example/V2/x"),
        ("to", "at: ann@partner.example", "ANN@partner.example"),
    ],
)
def test_what_only_its_case_keeps_from_a_place_is_inside_and_outside_for_a_rule_that_restricts(
    field: str, pattern: str, value: str
) -> None:
    # seen to fail: a DENY for what is not in a folder took `/DESK` for `/desk`, and let it pass
    plain, negated = f"parameters: {{{field}: {{{pattern}}}}}", f"parameters: {{{field}: {{not: {{{pattern}}}}}}}"
    assert holds(plain, {field: value}, restricts=True) is True
    assert holds(negated, {field: value}, restricts=True) is True
    assert holds(plain, {field: value}, restricts=False) is False
    assert holds(negated, {field: value}, restricts=False) is True


# --------------------------------------------------------------------------------------------- type, same, separation


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("x", {"text"}),
        (1, {"number", "integer"}),
        (1.5, {"number"}),
        (True, {"boolean"}),
        ([1, "a"], {"list"}),
        ([], {"list"}),
        ({"a": 1}, {"object"}),
        (None, set()),
    ],
)
def test_every_value_has_its_types_and_no_others(value: Any, kinds: set[str]) -> None:
    words = ("text", "number", "integer", "boolean", "list", "object")
    assert {word for word in words if either(f"parameters: {{v: {{type: {word}}}}}", {"v": value})} == kinds


def test_same_is_equal_to_another_field() -> None:
    for field, value in {"identity.human": "ana", "identity.agent": "bot", "identity.service": "desk"}.items():
        assert either(f"parameters: {{owner: {{same: {field}}}}}", {"owner": value}) is True
        assert either(f"parameters: {{owner: {{same: {field}}}}}", {"owner": "eve"}) is False
    assert either("parameters: {a: {same: parameters.b.c}}", {"a": 5, "b": {"c": 5}}) is True
    assert holds("parameters: {owner: {same: identity.human}}", {"owner": ["ana", "eve"]}, restricts=False) is False
    assert holds("parameters: {owner: {same: identity.human}}", {"owner": ["ana", "eve"]}, restricts=True) is True
    assert holds("parameters: {owner: {not: {same: identity.human}}}", {"owner": "ANA"}, restricts=False) is True


@pytest.mark.parametrize("other", [{}, {"b": None}, {"b": ""}, {"b": ["x"]}, {"b": {"x": 1}}, {"b": 5}])
def test_same_is_undetermined_where_the_other_field_has_no_one_value_of_this_type(other: dict[str, Any]) -> None:
    for condition in ("{same: parameters.b}", "{not: {same: parameters.b}}"):
        assert either(f"parameters: {{a: {condition}}}", {"a": "x", **other}) is None


def test_separation_is_what_stands_between_agent_and_engine() -> None:
    assert either("separation: [user, host]", {}, separation="user") is True
    assert either("separation: [user, host]", {}) is False
    assert either("separation: {ne: none}", {}, separation="host") is True


# ---------------------------------------------------------------------------------------------------------- Constraints

PAY = "match: {tool: bank, operation: pay}"


def paying(constraints: str, decision: str = "ALLOW", more: str = "") -> CompiledPolicy:
    return policy(f"{PAY}, constraints: {{{constraints}}}, decision: {decision}{more}")


@pytest.mark.parametrize(
    ("constraints", "parameters", "fine"),
    [
        ("amount: {gt: 0, le: 500}", {"amount": 500}, True),
        ("amount: {gt: 0, le: 500}", {"amount": 0}, False),
        ("amount: {gt: 0, le: 500}", {"amount": 501}, False),
        ("amount: {gt: 0, le: 500}", {"amount": "500"}, False),
        ("amount: {gt: 0, le: 500}", {"amount": -5}, False),
        ("amount: {gt: 0, le: 500}", {}, True),
        ("amount: {exists: true}", {}, False),
        ("parameters: {currency: {in: [EUR, USD]}}", {"currency": "EUR"}, True),
        ("parameters: {currency: {in: [EUR, USD]}}", {"currency": "eur"}, False),
        ("parameters: {currency: {in: [EUR, USD]}}", {"currency": None}, True),
        ("parameters: {currency: {not_in: [XXX]}}", {}, True),
        ("parameters: {memo: {type: text}}", {"memo": 5}, False),
        ("parameters: {memo: {type: text}}", {"memo": []}, False),
        ("parameters: {memo: {not: {contains: x}}}", {"memo": 5}, False),
        ("parameters: {to: {at: company.com}}", {"to": ["a@company.com", "b@company.com"]}, True),
        ("parameters: {to: {at: company.com}}", {"to": ["a@company.com", "b@evil.example"]}, False),
        ("parameters: {to: {at: company.com}}", {"to": "nobody knows"}, False),
        ("parameters: {to: {at: company.com}}", {"to": []}, True),
        ("destination: {at: company.com}", {"account": []}, True),
        ("parameters: {to: {exists: true}}", {"to": "x"}, True),
        ("parameters: {a.b: 5}", {"a": "text"}, False),
    ],
)
def test_a_constraint_must_hold_of_every_value_there_is(
    constraints: str, parameters: dict[str, Any], *, fine: bool
) -> None:
    # seen to fail: an empty list was taken for a value that breaks the constraint
    decision = decided(paying(constraints), "bank.pay", parameters)
    assert codes(decision) == ((ALLOW, "rule") if fine else (DENY, "constraint"))
    assert decision.rules == ("r0",)


def test_it_denies_also_where_another_rule_of_the_priority_permits_and_not_where_one_above_decides() -> None:
    small = f"{PAY}, constraints: {{amount: {{le: 5}}}}, decision: ALLOW"
    both = policy(small, f"{PAY}, decision: ALLOW")
    over = policy(small, f"{PAY}, decision: ALLOW, priority: 1")

    assert codes(decided(both, "bank.pay", {"amount": 6})) == (DENY, "constraint")
    assert codes(decided(both, "bank.pay", {"amount": 5})) == (ALLOW, "rule")
    assert codes(decided(over, "bank.pay", {"amount": 6})) == (ALLOW, "rule")


def test_constraints_hold_where_a_person_is_asked_and_after_they_answered() -> None:
    rules = paying("amount: {le: 5}", "STEP_UP, approvers: ann")
    answered = tuple(name for _, name in rules.hashes(("r0",)))

    assert codes(decided(rules, "bank.pay", {"amount": 5})) == (STEP_UP, "rule")
    assert codes(decided(rules, "bank.pay", {"amount": 6})) == (DENY, "constraint")
    assert codes(decided(rules, "bank.pay", {"amount": 5}, answered=answered)) == (ALLOW, "answered")
    assert codes(decided(rules, "bank.pay", {"amount": 6}, answered=answered)) == (DENY, "constraint")


def test_what_a_modify_changes_is_judged_as_it_would_run() -> None:
    rules = paying(
        "amount: {le: 100}, parameters: {memo: {type: text}}",
        "MODIFY",
        ", modifications: [{parameter: amount, cap: 100}]",
    )
    first = decided(rules, "bank.pay", {"amount": 500})
    given = act("bank.pay", {"amount": 500})
    again = evaluate(replace(given, action=replace(given.action, parameters=first.effective)), rules)

    assert (first.verdict, first.effective) == (MODIFY, b'{"amount":100}')
    assert codes(again) == (ALLOW, "within_limits")
    assert codes(decided(rules, "bank.pay", {"amount": 100, "memo": 5})) == (DENY, "constraint")


def test_rate_and_total_are_broken_by_what_is_above() -> None:
    rate = paying("rate: {per: human, above: 2, window: 1h}")
    total = paying("total: {per: human, above: 100, window: 1d}")

    def tallied(rules: CompiledPolicy, prior: int, **parameters: Any) -> tuple[Verdict, str]:
        key = "rate|human|3600" if rules is rate else "total|human|86400"
        return codes(decided(rules, "bank.pay", parameters, shared=SharedFacts(tallies={key: prior})))

    assert (tallied(rate, 1), tallied(rate, 2)) == ((ALLOW, "rule"), (DENY, "constraint"))
    assert tallied(total, 60_000_000, amount=40) == (ALLOW, "rule")
    assert tallied(total, 60_000_000, amount=40.01) == (DENY, "constraint")
    assert tallied(total, 0) == (DENY, "constraint")  # an action without an amount has no total


def test_an_undetermined_rule_with_constraints_could_always_change_the_answer() -> None:
    unsure = "match: {tool: bank, context: {facts: {x: true}}}, decision: ALLOW"
    plain = policy(f"{PAY}, decision: ALLOW", unsure)
    constrained = policy(f"{PAY}, decision: ALLOW", f"{unsure}, constraints: {{amount: 5}}")

    assert codes(decided(plain, "bank.pay")) == (ALLOW, "rule")
    assert codes(decided(constrained, "bank.pay")) == (DEFER, "context_missing")


# ----------------------------------------------------------------------------------------------------- Limits on labels

PLACES = """\
destinations:
  - {at: [company.com], accepts: {level: CONFIDENTIAL, categories: [PII]}}
  - {at: partner.example, accepts: INTERNAL}
  - {at: both.example, accepts: CONFIDENTIAL}
  - {at: [both.example, none.example], accepts: {level: RESTRICTED, categories: []}}
  - {at: all.example, accepts: RESTRICTED}
  - {in: ['#support'], accepts: CONFIDENTIAL}
"""
SENDING = policy("match: {effect: send}, decision: ALLOW, priority: 1000", more=PLACES)
SECRET = Labels(level=Level.CONFIDENTIAL, categories=("SECRET",))


@pytest.mark.parametrize(
    ("to", "labels", "fine"),
    [
        ("ann@company.com", PII, True),
        ("ann@company.com", SECRET, False),
        ("ann@company.com", WORST, False),
        ("eve@partner.example", INTERNAL, True),
        ("eve@partner.example", Labels(level=Level.INTERNAL, categories=("PII",)), True),
        ("eve@partner.example", PII, False),
        ("x@both.example", Labels(level=Level.CONFIDENTIAL), True),
        ("x@both.example", PII, False),
        ("x@both.example", Labels(level=Level.RESTRICTED), False),
        ("x@none.example", Labels(level=Level.RESTRICTED), True),
        ("x@none.example", PII, False),
        ("x@none.example", WORST, False),
        ("x@all.example", WORST, True),
        ("#support", PII, True),
        ("#Support", PII, False),
        ("#support", Labels(level=Level.RESTRICTED), False),
        ("x@nowhere.example", Labels(), True),
        ("x@nowhere.example", INTERNAL, False),
        ("x@nowhere.example", Labels(categories=("PII",)), False),
        ("who knows", INTERNAL, False),
        (7, INTERNAL, False),
        (["ann@company.com", "eve@partner.example"], PII, False),
        ("ann@company.com, eve@partner.example", PII, False),
    ],
)
def test_a_destination_takes_no_more_than_it_accepts(to: Any, labels: Labels, *, fine: bool) -> None:
    decision = decided(SENDING, "email.send", {"to": to}, labels=labels)
    assert codes(decision) == ((ALLOW, "rule") if fine else (DENY, "label_limit"))


def test_what_is_sent_is_the_labels_in_force_those_found_and_those_stored_together() -> None:
    def to_partner(**changes: Any) -> tuple[Verdict, str]:
        return codes(decided(SENDING, "email.send", {"to": "eve@partner.example"}, **changes))

    assert to_partner(labels=INTERNAL) == (ALLOW, "rule")
    assert to_partner(signals=Signals(labels=PII)) == (DENY, "label_limit")
    assert to_partner(shared=SharedFacts(stored=PII)) == (DENY, "label_limit")
    assert to_partner(signals=Signals(unknown=("sensitive_level",))) == (DEFER, "label_limit")
    everywhere = act("email.send", {"to": "x@all.example"}, signals=Signals(unknown=("sensitive_level",)))
    assert codes(evaluate(everywhere, SENDING)) == (ALLOW, "rule")


def test_a_tool_accepts_no_more_than_its_profile_says_though_it_only_reads() -> None:
    rules = policy("match: {effect: read}, decision: ALLOW, priority: 9")
    assert codes(decided(rules, "web.search", {"query": "x"}, labels=INTERNAL)) == (ALLOW, "rule")
    assert codes(decided(rules, "web.search", {"query": "x"}, labels=PII)) == (DENY, "label_limit")
    assert codes(decided(rules, "crm.read", {"name": "x"}, labels=PII)) == (ALLOW, "rule")


# -------------------------------------------------------------------------------------------------------------- Intents

INTENTS = "intents:\n  support: {tools: [crm.*, email.send], accepts: CONFIDENTIAL, actions: 4}\n  any: {tools: '*'}\n"


def for_(intent: str | None, name: str = "email.send", **changes: Any) -> tuple[Verdict, str]:
    session = {"session": changes.pop("session", {})}
    given = act(name, {}, **session, **changes)
    claims = Claims(human="ana", agent="bot", intent=intent)
    rules = policy("decision: ALLOW, priority: 9", more=INTENTS)
    return codes(evaluate(replace(given, context=replace(given.context, claims=claims)), rules))


def test_a_session_keeps_within_its_intent() -> None:
    assert for_("support") == (ALLOW, "rule")
    assert for_("support", "bank.pay") == (DENY, "outside_intent")
    assert for_("any", "bank.pay") == (ALLOW, "rule")
    assert for_("support", labels=PII) == (ALLOW, "rule")
    assert for_("support", labels=WORST) == (DENY, "intent_label")
    assert for_("any", labels=WORST) == (ALLOW, "rule")
    assert for_("support", session={"counts": {"crm.read": 2, "bank.pay": 1}}) == (ALLOW, "rule")
    assert for_("support", session={"counts": {"crm.read": 2, "bank.pay": 2}}) == (DENY, "intent_length")


@pytest.mark.parametrize("intent", [None, "", "Support", "sales"])
def test_a_session_without_an_intent_of_the_policy_may_do_nothing(intent: str | None) -> None:
    assert for_(intent) == (DENY, "intent_unknown")


def test_rules_ask_for_the_intent_and_where_the_policy_has_none_everything_goes_on() -> None:
    rules = policy("match: {context: {intent: support}}, decision: ALLOW")
    given = act()
    said = replace(given, context=replace(given.context, claims=Claims(intent="support")))
    other = replace(given, context=replace(given.context, claims=Claims(intent="sales")))
    found = [evaluate(item, rules).verdict for item in (said, other, given)]
    assert found == [ALLOW, DENY, DEFER]


# ------------------------------------------------------------------------------------------------------------ Sequences


def went(condition: str, *, restricts: bool = True, **done: int) -> bool | None:
    """Whether a condition on the past holds; done: names with `_` for the dot, and minutes ago."""
    walked = Walked(done={name.replace("_", "."): NOW - ago * MINUTE for name, ago in done.items()})
    return holds(condition, {}, restricts=restricts, session={"walked": walked})


@pytest.mark.parametrize("restricts", [True, False])
def test_after_holds_where_the_session_was_permitted_such_an_action(*, restricts: bool) -> None:
    assert went("after: {tool: crm, operation: read}", restricts=restricts, crm_read=600) is True
    assert went("after: {tool: crm, operation: read}", restricts=restricts, crm_write=1, x_read=1) is False
    assert went("after: {tool: crm, operation: read}", restricts=restricts) is False
    assert went("after: {tool: c*}", restricts=restricts, crm_read=600) is True
    assert went("after: {effect: read}", restricts=restricts, bank_pay=1) is False
    assert went("after: {effect: [pay, send]}", restricts=restricts, bank_pay=1) is True
    assert went("after: {category: people}", restricts=restricts, crm_read=1) is True
    assert went("not_after: {tool: crm}", restricts=restricts, bank_pay=1) is True
    assert went("not_after: {tool: crm}", restricts=restricts, crm_read=1) is False


def test_within_looks_no_further_back() -> None:
    assert went("after: {tool: crm, within: 10m}", crm_read=10) is True
    assert went("after: {tool: crm, within: 10m}", crm_read=11) is False
    assert went("not_after: {tool: crm, within: 10m}", crm_read=11) is True


def test_a_list_asks_for_each_of_them_in_whatever_order() -> None:
    both = "after: [{tool: crm}, {effect: pay}]"
    assert went(both, crm_read=1, bank_pay=2) is went(both, crm_read=2, bank_pay=1) is True
    assert went(both, crm_read=1) is went(both, bank_pay=1) is False
    neither = "not_after: [{tool: crm}, {effect: pay}]"
    assert (went(neither), went(neither, crm_read=1), went(neither, bank_pay=1)) == (True, False, False)


def test_effect_and_category_of_a_tool_without_a_profile_in_the_file_are_undetermined() -> None:
    for condition in ("after: {effect: read}", "not_after: {effect: read}", "after: {category: people}"):
        assert went(condition, other_tool=1) is None
    assert went("after: {tool: other}", other_tool=1) is True
    assert went("after: {tool: crm, effect: send}", other_tool=1) is False
    assert went("after: {effect: read}", other_tool=1, crm_read=1) is True


def test_of_more_tools_than_a_session_keeps_it_is_undetermined() -> None:
    assert NAMES == 256
    found = [
        holds(f"{word}: {{tool: crm}}", {}, restricts=True, session={"walked": Walked(done={OTHER: NOW})})
        for word in ("after", "not_after")
    ]
    assert found == [None, None]


# ---------------------------------------------------------------------------------------------------- Risk of a session

RISKY = (
    "match: {effect: send}, adds_risk: 3",
    "match: {effect: send, context: {facts: {odd: true}}}, adds_risk: 4",
    "match: {effect: send, after: {tool: crm}}, adds_risk: 5",
    "decision: ALLOW",
)


def at_risk(limit: int, so_far: int, name: str = "email.send", **changes: Any) -> tuple[tuple[Verdict, str], int]:
    rules = policy(*RISKY, more=f"risk_limit: {limit}\n")
    given = act(name, session={"walked": Walked(done=changes.pop("done", {}), risk=so_far)}, **changes)
    return codes(evaluate(given, rules)), added_risk(given, rules)


def test_points_add_up_and_above_the_limit_is_deny() -> None:
    known = {"facts": {"odd": False}}
    assert at_risk(5, 2, **known) == ((ALLOW, "rule"), 3)
    assert at_risk(5, 3, **known) == ((DENY, "risk_limit"), 3)
    assert at_risk(5, 3, "bank.pay", **known) == ((ALLOW, "rule"), 0)
    assert at_risk(5, 9, "bank.pay", **known) == ((DENY, "risk_limit"), 0)
    assert at_risk(8, 0, done={"crm.read": NOW}, **known) == ((ALLOW, "rule"), 8)
    assert at_risk(7, 0, done={"crm.read": NOW}, **known) == ((DENY, "risk_limit"), 8)


def test_an_undetermined_rule_counts_and_where_it_makes_the_difference_it_is_defer() -> None:
    assert at_risk(7, 0) == ((ALLOW, "rule"), 7)
    assert at_risk(6, 0) == ((DEFER, "risk_limit"), 7)
    assert at_risk(2, 0) == ((DENY, "risk_limit"), 7)


def test_rules_ask_for_the_points_so_far() -> None:
    found = [
        holds("context: {risk: {ge: 10}}", {}, restricts=True, session={"walked": Walked(risk=at)}) for at in (9, 10)
    ]
    assert found == [False, True]


def test_no_rule_lifts_a_bound() -> None:
    """The bounds stand before every rule, answered or not, and a forbidden rule before them."""
    rules = policy(
        "match: {tool: email}, decision: STEP_UP, approvers: ann, priority: 9",
        "match: {tool: crm}, decision: DENY, classification: forbidden",
        more=PLACES + INTENTS + "risk_limit: 0\n",
    )
    answered = tuple(name for _, name in rules.hashes(("r0",)))
    assert codes(decided(rules, "email.send", {}, answered=answered)) == (DENY, "intent_unknown")
    assert decided(rules, "crm.read").rules == ("r1",)


# --------------------------------------------------------------------------------------------------------- Shadow rules


def test_a_shadow_rule_has_no_effect_and_says_what_it_would_have_done() -> None:
    acts = (
        "match: {tool: email}, decision: DENY, priority: 9, reason: no",
        "match: {tool: email}, decision: DENY, classification: forbidden",
        "match: {tool: email}, decision: STEP_UP, approvers: ann, priority: 9, authority: revoked, adds_risk: 9",
        "match: {tool: email}, decision: ALLOW, priority: 9, set_context: {data_classification: RESTRICTED}",
        "match: {tool: email, context: {facts: {x: true}}}, decision: DENY, priority: 9",
    )
    expected = [(DENY, ("r1",)), (DENY, ("r1",)), (DENY, ()), (ALLOW, ("r1",)), (DEFER, ("r1",))]
    plain = policy("decision: ALLOW", more="risk_limit: 5\n")
    for rule, (verdict, ids) in zip(acts, expected, strict=True):
        rules = policy("decision: ALLOW", f"{rule}, shadow: true", more="risk_limit: 5\n")
        given = act()
        assert evaluate(given, rules) == evaluate(given, plain)
        assert (labels_by_rule(given, rules), lowered(given, rules), added_risk(given, rules)) == (None, None, 0)
        assert shadow(given, rules) == Shadow(verdict=verdict, rules=ids)
        assert shadow(act("crm.read"), rules) is None
    assert shadow(act(), plain) is None


def test_the_shadow_is_that_of_all_shadow_rules_together() -> None:
    rules = policy(
        "decision: ALLOW",
        "match: {effect: send}, decision: STEP_UP, approvers: ann, priority: 1, shadow: true",
        "match: {effect: send}, decision: DENY, priority: 2, shadow: true",
    )
    assert shadow(act(), rules) == Shadow(verdict=DENY, rules=("r2",))


# ------------------------------------------------------------------------------------------------------------- the hash

WHOLE = (
    HEAD.format(posture="deny")
    + PLACES
    + INTENTS
    + "risk_limit: 5\n"
    + TOOLS
    + """\
rules:
  - id: all
    decision: ALLOW
    adds_risk: 3
    shadow: true
    match: {separation: user, after: [{tool: crm, within: 10m}, {effect: pay}], not_after: {tool: x}}
    constraints: {amount: {le: 5}, rate: {per: human, above: 1, window: 1h}}
"""
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("risk_limit: 5", "risk_limit: 6"),
        ("accepts: RESTRICTED}", "accepts: CONFIDENTIAL}"),
        ("categories: []", "categories: [PII]"),
        ("in: ['#support']", "at: support.example"),
        ("actions: 4", "actions: 5"),
        ("adds_risk: 3", "adds_risk: 4"),
        ("    shadow: true\n", ""),
        ("within: 10m", "within: 11m"),
        ("not_after: {tool: x}", "not_after: {tool: y}"),
        (", not_after: {tool: x}", ""),
        ("{effect: pay}", "{effect: send}"),
        ("amount: {le: 5}", "amount: {lt: 5}"),
        ("above: 1,", "above: 2,"),
        ("separation: user", "separation: host"),
        ("accepts: INTERNAL}\n", "accepts: PUBLIC}\n"),
    ],
)
def test_a_change_of_meaning_changes_the_hash(old: str, new: str) -> None:
    assert old in WHOLE
    assert policy_hash(read_policy(WHOLE)[0]) != policy_hash(read_policy(WHOLE.replace(old, new))[0])


def test_the_order_of_intents_of_what_came_before_and_of_keys_is_no_part_of_the_meaning() -> None:
    # seen to fail: intents stood in the order of the file
    one, two = INTENTS.splitlines()[1:]
    other = WHOLE.replace(f"{one}\n{two}", f"{two}\n{one}").replace(
        "after: [{tool: crm, within: 10m}, {effect: pay}]", "after: [{effect: pay}, {within: 600s, tool: crm}]"
    )
    assert other != WHOLE
    assert policy_hash(read_policy(WHOLE)[0]) == policy_hash(read_policy(other)[0])


def test_the_places_of_the_organisation_are_part_of_each_condition_on_them() -> None:
    text = HEAD.format(posture="deny") + "rules: [{id: a, decision: DENY, match: {destination: {external: true}}}]\n"
    ours = text.replace("[company.com, '*.company.com']", "['*.company.com', company.com]")
    theirs = text.replace("company.com,", "partner.example,")
    found = [policy_hash(read_policy(item)[0]) for item in (text, ours, theirs)]
    assert found[0] == found[1] != found[2]
