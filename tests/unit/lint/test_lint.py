"""Each finding has its twin: the policy in which the same words are right, and nothing is said."""

from __future__ import annotations

import pytest

from navicert.lint import Finding, lint
from navicert.syntax import read_policy

MAIL = "tools:\n  mail.send: {effect: send, destination: to, resource: attachment}\n  note.read: {effect: read}\n"


def found(body: str, posture: str = "deny") -> tuple[Finding, ...]:
    return lint(*read_policy(f"policy: p\nversion: 1\nposture: {posture}\n{body}"))


def codes(*rules: str, head: str = "") -> list[str]:
    return [item.code for item in found(head + "rules:\n" + "".join(f"  - {rule}\n" for rule in rules))]


ALLOW = "{id: a, match: {effect: read}, decision: ALLOW%s}"
DENY = "{id: b, match: {effect: read, amount: {gt: 5}}, decision: DENY%s}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((ALLOW % ", priority: 1", "{id: b, match: {effect: read, amount: 5}, decision: ALLOW}"), ["NV101"]),
        ((ALLOW % "", "{id: b, match: {effect: read, amount: 5}, decision: ALLOW, priority: 1}"), []),
        # a condition that a permitting rule reads more narrowly may not hold where the restricting one matches
        ((ALLOW % ", priority: 1", DENY % ""), []),
        (("{id: a, match: {tool: x, effect: read}, decision: DENY, priority: 1}", DENY % ""), []),
        (("{id: a, match: {effect: read}, decision: DENY, priority: 1}", DENY % ""), ["NV101"]),
        (("{id: a, match: {tool: mail}, decision: DENY, priority: 1}", "{id: b, decision: DENY}"), []),
        (
            (
                "{id: a, match: {tool: mail*}, decision: DENY, priority: 1}",
                "{id: b, match: {tool: [mail, mailer]}, decision: DENY}",
            ),
            ["NV101"],
        ),
        (
            (
                "{id: a, match: {tool: mail*}, decision: DENY, priority: 1}",
                "{id: b, match: {tool: [mail, post]}, decision: DENY}",
            ),
            [],
        ),
        (
            (
                "{id: a, match: {tool: mail}, decision: DENY, classification: forbidden, priority: -9}",
                "{id: b, match: {tool: mail, amount: 5}, decision: ALLOW, priority: 9}",
            ),
            ["NV101"],
        ),
        (
            (
                "{id: a, match: {tool: mail, rate: {per: human, above: 1, window: 1h}}, decision: DENY, priority: 1}",
                "{id: b, match: {tool: mail, amount: 5}, decision: DENY}",
            ),
            [],
        ),
        # a rule without a decision shadows nothing
        (("{id: a, priority: 1, set_context: {data_classification: INTERNAL}}", DENY % ""), []),
    ],
)
def test_a_rule_is_shadowed_only_where_another_certainly_decides_first(rules, expected):
    assert codes(*rules) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("{id: a, match: {effect: pay}, decision: DENY}", "{id: b, decision: DENY}"), []),
        (("{id: a, match: {effect: pay}, decision: DEFER, approvers: [x]}", "{id: b, decision: DENY}"), ["NV102"]),
        (
            ("{id: a, match: {effect: pay}, decision: DENY}", "{id: b, match: {tool: x, amount: 1}, decision: ALLOW}"),
            [],
        ),
        (
            (
                "{id: a, match: {tool: x}, decision: MODIFY, modifications: [{parameter: a.b, cap: 1}]}",
                "{id: b, match: {tool: x, amount: 1}, decision: MODIFY, modifications: [{parameter: a, set: 1}]}",
            ),
            ["NV102"],
        ),
        (
            (
                "{id: a, match: {tool: x}, decision: MODIFY, modifications: [{parameter: a, cap: 1}]}",
                "{id: b, match: {tool: x, amount: 1}, decision: MODIFY, modifications: [{parameter: ab, set: 1}]}",
            ),
            [],
        ),
    ],
)
def test_a_conflict_is_one_only_where_it_is_certain(rules, expected):
    assert codes(*rules) == expected


def test_a_conflict_of_the_same_match_is_said_once_at_the_later_rule():
    (item,) = found("rules:\n  - {id: a, decision: DENY}\n  - {id: b, decision: STEP_UP, approvers: [x]}\n")
    assert (item.rule, item.line, item.column) == ("b", 6, 13)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("{id: b, match: {amount: {gt: 5}}, decision: DENY, priority: 1}", []),
        ("{id: b, match: {tool: mail, amount: 5}, decision: DENY, classification: forbidden, priority: -1}", []),
        ("{id: b, match: {amount: {gt: 5}}, decision: DENY, priority: -1}", ["NV121"]),
        ("{id: b, match: {tool: other, amount: 5}, decision: DENY, priority: 1}", ["NV121"]),
        ("{id: b, match: {effect: pay, amount: 5}, decision: DENY, priority: 1}", ["NV121"]),
        ("{id: b, match: {tool: other, amount: 5}, decision: ALLOW, priority: 1}", ["NV121"]),
    ],
)
def test_an_allow_is_without_bounds_only_where_no_rule_can_stand_in_its_way(over, expected):
    assert codes("{id: a, match: {tool: mail, operation: send}, decision: ALLOW}", over, head=MAIL) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("tool: note, operation: read", []),
        ("tool: note, effect: read", []),
        ("tool: note", ["NV122"]),
        ("effect: pay", ["NV121"]),
        ("effect: pay, context: {denied: 0}", []),
        ("effect: pay, rate: {per: human, above: 1, window: 1h}", []),
    ],
)
def test_what_reads_or_has_a_condition_is_bounded(match, expected):
    assert codes(f"{{id: a, match: {{{match}}}, decision: ALLOW}}", head=MAIL) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (r"{matches: 'example\.com$'}", "evilexample.com"),
        (r"{matches: '@example\.com$'}", None),
        (r"{matches: '(@|\.)example\.com$'}", None),
        (r"{matches: '^https://api\.example\.com'}", "https://api.example.com.evil.example"),
        (r"{matches: '^https://api\.example\.com/'}", None),
        (r"{matches: '(?i)^[a-z.]+@(shop|bank)\.example'}", "a@shop.example.evil.example"),
        (r"{matches: '^[a-z.]+@(shop|bank)\.example$'}", None),
        (r"{matches: 'https://api\.example\.com/'}", "https://evil.example/https://api.example.com/"),
        (r"{matches: 'api\.example\.com/v1'}", "evilapi.example.com/v1"),
        (r"{matches: '(^|\.)example\.com$'}", None),
        (r"{matches: '^.*example\.com$'}", None),
        (r"{matches: '^ana@example\.com$|ben@example\.com'}", "ben@example.com.evil.example"),
        (r"{matches: '^.+@.+\..+$'}", None),  # any address at all: that is meant
        (r"{matches: '^[^@]+@[a-z.]+$'}", None),
        (r"{matches: '^\w+@example\.com\z'}", None),
        (r"{matches: 'x{2}\pN'}", None),  # not understood
        (r"{matches: '^a@example.com$'}", "a@examplexcom"),
        (r"{matches: '^a@example[.]com$'}", None),
        (r"{matches: '^a@.*example.+com$'}", None),
        ("{contains: example.com}", "example.com.evil.example"),
        ("{contains: partner}", None),
        ("{ends_with: example.com}", "evilexample.com"),
        ("{ends_with: '.example.com'}", None),
        ("{ends_with: ana@example.com}", None),
        ("{starts_with: 'https://example.com'}", "https://example.com.evil.example"),
        ("{starts_with: 'https://example.com/'}", None),
        ("{ends_with: example.com, not: {contains: evil}}", None),
        ("{not: {ends_with: example.com}}", None),
        ("ana@example.com", None),
    ],
)
def test_a_destination_that_gets_through_is_shown_and_one_that_does_not_is_not(condition, expected):
    items = found(f"rules:\n  - {{id: a, match: {{effect: send, destination: {condition}}}, decision: ALLOW}}\n")
    assert len(items) == (expected is not None)
    if expected:
        assert f"`{expected}`" in items[0].what
        assert items[0].code in {"NV132", "NV133", "NV134"}


def test_a_part_of_a_destination_is_right_in_a_rule_that_restricts_and_elsewhere_than_in_a_destination():
    assert codes("{id: a, match: {effect: send, destination: {contains: evil.example}}, decision: DENY}") == []
    assert codes("{id: a, match: {effect: send, parameters: {note: {contains: a.example}}}, decision: ALLOW}") == []
    assert codes("{id: a, match: {effect: send, parameters: {cc: {contains: a.example}}}, decision: ALLOW}") == [
        "NV134"
    ]
    over = "{id: b, match: {destination: {matches: evil}}, decision: DENY, priority: 1}"
    assert codes("{id: a, match: {effect: send, destination: {contains: a.example}}, decision: ALLOW}", over) == []


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("{id: a, match: {resource: {not: {starts_with: /desk/}}}, decision: DENY}",), ["NV131"]),
        (("{id: a, match: {parameters: {path: {starts_with: /etc/}}}, decision: DENY}",), ["NV131"]),
        (("{id: a, match: {parameters: {attachment: {starts_with: /etc/}}}, decision: DENY}",), ["NV131"]),
        (("{id: a, match: {parameters: {motto: {starts_with: /etc/}}}, decision: DENY}",), []),
        (("{id: a, match: {resource: {starts_with: 'table:'}}, decision: DENY}",), []),
        (
            (
                "{id: a, match: {resource: {not: {starts_with: /desk/}}}, decision: DENY}",
                "{id: b, match: {resource: {contains: '..'}}, decision: DENY}",
            ),
            [],
        ),
        (
            (
                "{id: a, match: {tool: mail, resource: {not: {starts_with: /desk/}}}, decision: DENY}",
                "{id: b, match: {tool: note, resource: {contains: '..'}}, decision: DENY}",
            ),
            ["NV131"],
        ),
    ],
)
def test_a_path_is_remarked_on_where_nothing_looks_for_dots(rules, expected):
    assert codes(*rules, head=MAIL) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{id: a, match: {effect: read, resource: {starts_with: /desk/}}, decision: ALLOW}", "`/desk/../other` begins"),
        ("{id: a, match: {resource: {not: {starts_with: /desk/}}}, decision: DENY}", "`/desk/../other` begins"),
        ("{id: a, match: {resource: {starts_with: /etc}}, decision: DENY}", "`/any/../etc` does not begin"),
        (
            "{id: a, match: {effect: read, resource: {not: {starts_with: /etc}}}, decision: ALLOW}",
            "`/any/../etc` does not begin",
        ),
    ],
)
def test_the_path_that_is_shown_gets_past_the_rule(rule, expected):
    (item,) = found(f"rules:\n  - {rule}\n")
    assert (item.code, expected in item.what) == ("NV131", True)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (("{id: a, decision: DEFER}",), ["NV142"]),
        (("{id: a, match: {context: {facts.x: 1}}, decision: DEFER}",), ["NV111", "NV142"]),
        (("{id: a, match: {context: {facts.known: 1}}, decision: DEFER}",), []),
        (("{id: a, match: {amount: 1}, decision: DEFER}", "{id: b, decision: DEFER, approvers: [x]}"), []),
    ],
)
def test_a_defer_is_without_end_only_where_nobody_is_asked_and_nothing_found_out(rules, expected):
    uses = "{id: z, match: {context: {facts.known: 2}}, decision: DENY, priority: 9}"
    assert codes(*rules, uses, head="facts:\n  known: {file: /f}\n") == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{id: a, decision: STEP_UP, approvers: [requester], risk: medium}", []),
        ("{id: a, decision: STEP_UP, approvers: [requester, ben], risk: high}", []),
        ("{id: a, decision: STEP_UP, approvers: [requester], risk: critical}", ["NV141"]),
        ("{id: a, decision: STEP_UP, approvers: [ben], timeout: 24h}", []),
    ],
)
def test_who_is_asked_is_remarked_on_where_it_is_grave(rule, expected):
    assert codes(rule) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("signals: {shell_dynamic: true}", ["NV115"]),
        ("category: shell, signals: {shell_dynamic: true}", []),
        ("tool: shell, signals: {shell_dynamic: true}", []),
        ("signals: {protected: true}", []),
        ("parameters: {sql: {exists: true}}, signals: {sql_writes: true}", []),
    ],
)
def test_a_signal_of_some_tools_is_remarked_on_where_the_rule_concerns_all(match, expected):
    assert codes(f"{{id: a, match: {{{match}}}, decision: DENY}}") == expected


TOTAL = "total: {per: human, above: 5, window: 1h}"
AFTER = "{id: a, match: {effect: pay, after: {tool: mail}}, decision: DENY, priority: 1}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # a sequence, a constraint or a shadow is what keeps a rule from standing in the way of another
        ((AFTER, "{id: b, match: {effect: pay, amount: 5}, decision: DENY}"), []),
        ((AFTER, "{id: b, match: {effect: pay, amount: 5, after: {tool: mail}}, decision: DENY}"), ["NV101"]),
        ((AFTER, "{id: b, match: {effect: pay, after: {tool: mail, within: 1h}}, decision: DENY}"), []),
        ((AFTER, "{id: b, match: {effect: pay, not_after: {tool: mail}}, decision: DENY}"), []),
        ((AFTER.replace("DENY", "ALLOW"), "{id: b, match: {effect: pay, after: {tool: mail}}, decision: DENY}"), []),
        (("{id: a, match: {effect: read}, decision: DENY, priority: 1, shadow: true}", DENY % ""), []),
        (("{id: a, match: {effect: read}, decision: DENY, priority: 1}", DENY % ", shadow: true"), []),
        (
            ("{id: a, match: {tool: x}, decision: DENY, shadow: true}", "{id: b, match: {tool: x}, decision: ALLOW}"),
            ["NV122"],
        ),
        (("{id: a, match: {tool: x}, decision: ALLOW, shadow: true}",), []),
        (("{id: a, decision: DEFER, approvers: [ben], shadow: true}",), []),
        (("{id: a, match: {effect: pay}, decision: ALLOW}",), ["NV121"]),
        (("{id: a, match: {effect: pay}, decision: ALLOW, constraints: {amount: {le: 5}}}",), []),
        (("{id: a, match: {effect: pay, after: {tool: mail}}, decision: ALLOW}",), []),
        # what was done before
        (("{id: a, match: {after: {effect: pay}}, decision: DENY}",), ["NV105"]),
        (("{id: a, match: {not_after: {category: [x, y]}}, decision: DENY}",), ["NV105"]),
        (("{id: a, match: {after: {effect: [pay, send]}}, decision: DENY}",), []),
        (("{id: a, match: {after: {tool: bank, operation: pay}}, decision: DENY}",), []),
        (("{id: a, match: {after: {tool: mial}}, decision: DENY}",), ["NV114"]),
        # constraints
        (("{id: a, match: {parameters: {c: EUR}}, constraints: {parameters: {c: USD}}, decision: ALLOW}",), ["NV106"]),
        (("{id: a, match: {parameters: {c: [EUR, USD]}}, constraints: {parameters: {c: USD}}, decision: ALLOW}",), []),
        (("{id: a, match: {parameters: {c: 5}}, constraints: {parameters: {c: {type: text}}}, decision: ALLOW}",), []),
        (("{id: a, match: {amount: 5}, constraints: {amount: {gt: 5}}, decision: ALLOW}",), ["NV106"]),
        (
            ("{id: a, match: {tool: mail, operation: send}, constraints: {amount: {gt: 5}}, decision: ALLOW}",),
            ["NV103"],
        ),
        (
            (f"{{id: a, match: {{tool: mail, operation: send}}, decision: ALLOW, constraints: {{{TOTAL}}}}}",),
            ["NV103"],
        ),
        (("{id: a, match: {tool: f}, constraints: {parameters: {path: {under: /d}}}, decision: ALLOW}",), ["NV135"]),
        (("{id: a, match: {category: files, signals: {path_real: {not: {under: /d}}}}, decision: DENY}",), []),
    ],
)
def test_what_came_before_constraints_and_shadows_make_a_difference(rules, expected):
    assert codes(*rules, head=MAIL) == expected


@pytest.mark.parametrize(
    ("head", "rules", "expected"),
    [
        ("risk_limit: 5\n", ("{id: a, adds_risk: 5}", "{id: b, adds_risk: 6}"), ["NV151"]),
        ("risk_limit: 5\n", ("{id: a, adds_risk: 5}",), []),
        ("risk_limit: 5\n", ("{id: a, decision: DENY}",), ["NV151"]),
        ("", ("{id: a, match: {context: {risk: {ge: 5}}}, decision: DENY}",), ["NV151"]),
        ("", ("{id: a, match: {context: {risk: {ge: 5}}}, decision: DENY}", "{id: b, adds_risk: 6}"), []),
        ("", ("{id: a, adds_risk: 1}", "{id: b, adds_risk: 2}"), ["NV151"]),
        ("intents: {x: {tools: mail.*, accepts: RESTRICTED}}\n", (), ["NV152"]),
        ("intents: {x: {tools: mail.*, accepts: {level: RESTRICTED, categories: [PII]}}}\n", (), []),
        ("intents: {x: {tools: [mail.*, post.send]}}\n", (), ["NV153"]),
        ("intents: {x: {tools: '*'}}\n", (), []),
        ("destinations: [{at: a.com, accepts: PUBLIC}, {at: a.com, accepts: PUBLIC}]\n", (), ["NV152"]),
        ("destinations: [{at: [a.com, b.com], accepts: PUBLIC}, {at: a.com, accepts: PUBLIC}]\n", (), ["NV152"]),
        ("destinations: [{at: [a.com, b.com], accepts: INTERNAL}, {at: a.com, accepts: PUBLIC}]\n", (), []),
        (
            "destinations: [{at: a.com, accepts: {level: PUBLIC, categories: [X]}}, {at: a.com, accepts: PUBLIC}]\n",
            (),
            ["NV152"],
        ),
        ("destinations: [{at: a.com, accepts: RESTRICTED}, {in: a.com, accepts: PUBLIC}]\n", (), []),
        (
            "destinations: [{at: a.com, accepts: INTERNAL}]\n",
            ("{id: a, match: {tool: mail, operation: send}, decision: ALLOW}",),
            [],
        ),
    ],
)
def test_limits_points_and_intents_are_remarked_on_where_they_do_nothing(head, rules, expected):
    body = "rules:\n" + "".join(f"  - {rule}\n" for rule in rules) if rules else ""
    assert [item.code for item in found(head + MAIL + body)] == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("match: {effect: pay, resource: {not: {matches: '^DE[0-9]{20}'}}}, decision: DENY", ["NV136"]),
        ("match: {effect: pay, resource: {not: {matches: '(?i)^DE[0-9]{20}'}}}, decision: DENY", ["NV136"]),
        ("match: {effect: pay, resource: {not: {matches: '^DE[0-9]{20}$'}}}, decision: DENY", []),
        ("match: {effect: pay, resource: {not: {matches: '^DE.*$'}}}, decision: DENY", []),
        ("match: {effect: pay, resource: {not: {matches: '^INV-'}}}, decision: DENY", []),  # a prefix
        ("match: {effect: pay, resource: {not: {matches: '[0-9]{20}'}}}, decision: DENY", []),  # somewhere in a text
        ("match: {effect: pay, resource: {matches: '^DE[0-9]{20}'}}, decision: DENY", []),  # a list of what may not
        ("match: {effect: pay, content: {not: {matches: '^Dear'}}}, decision: DENY", []),
        ("match: {effect: pay, resource: {matches: '^DE[0-9]{20}'}}, decision: ALLOW", ["NV136"]),
        ("match: {effect: pay, resource: {not: {matches: '^DE'}}}, decision: ALLOW", []),
        (
            "match: {effect: pay}, constraints: {parameters: {iban: {matches: '^DE[0-9]{20}'}}}, decision: ALLOW",
            ["NV136"],
        ),
        ("match: {effect: pay}, constraints: {parameters: {iban: {not: {matches: '^DE'}}}}, decision: ALLOW", []),
        ("match: {effect: send, destination: {not: {ends_with: a.example}}}, decision: DENY", ["NV134"]),
        ("match: {effect: send, destination: {not: {ends_with: '@a.example'}}}, decision: DENY", []),
        ("match: {effect: send, destination: {not: {matches: '^.+@a.example$'}}}, decision: DENY", ["NV133"]),
        ("match: {effect: send}, constraints: {destination: {matches: 'a[.]example$'}}, decision: ALLOW", ["NV132"]),
    ],
)
def test_what_lists_the_values_that_pass_is_looked_at_wherever_it_stands(rule, expected):
    assert codes(f"{{id: a, {rule}}}") == expected


BOUND = (
    "{id: a, match: {tool: bank}, "
    "constraints: {parameters: {currency: EUR}, total: {per: human, above: 9, window: 1d}}, decision: ALLOW%s}"
)
ABOVE = "{id: b, match: {tool: bank, amount: {gt: 5}%s}, decision: %s, priority: 1}"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((BOUND % "", ABOVE % ("", "ALLOW")), ["`parameters.currency`, `total`"]),
        ((BOUND % "", ABOVE % ("", "STEP_UP, approvers: [ben]")), ["(`parameters.currency`)"]),  # they see how much
        ((BOUND % "", ABOVE % ("", "DENY")), []),
        ((BOUND % ", priority: 1", ABOVE % ("", "ALLOW")), []),
        ((BOUND % "", ABOVE % (", parameters: {currency: EUR}", "STEP_UP, approvers: [ben]")), []),
        ((BOUND % "", (ABOVE % ("", "ALLOW")).replace("tool: bank", "tool: shop")), []),
        (
            (
                BOUND % "",
                ABOVE % ("", "STEP_UP, approvers: [ben]"),
                "{id: c, match: {tool: bank, parameters: {currency: {ne: EUR}}}, decision: DENY, priority: 1}",
            ),
            [],
        ),
        (((BOUND % "").replace("tool: bank", "tool: bank, amount: 1"), ABOVE % ("", "ALLOW")), []),  # never both
    ],
)
def test_constraints_that_a_rule_above_sets_aside_are_named(rules, expected):
    items = [item for item in found("rules:\n" + "".join(f"  - {rule}\n" for rule in rules)) if item.code == "NV107"]
    assert len(items) == len(expected)
    assert all(part in item.what and "`b`" in item.what for part, item in zip(expected, items, strict=True))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("decision: ALLOW, priority: 1, shadow: true", ["NV108"]),
        ("decision: ALLOW, shadow: true", []),
        ("decision: DENY, priority: 1, shadow: true", []),
    ],
)
def test_a_shadow_rule_over_a_denial_is_remarked_on(rule, expected):
    assert (
        codes("{id: d, match: {effect: pay}, decision: DENY}", f"{{id: a, match: {{tool: bank}}, {rule}}}") == expected
    )


@pytest.mark.parametrize(
    ("tool", "places", "rule", "expected"),
    [
        ("{effect: pay, destination: to}", "{at: a.com, accepts: PUBLIC}", "", ["NV154"]),
        ("{effect: pay}", "{at: a.com, accepts: PUBLIC}", "", []),
        ("{effect: send, destination: to}", "{at: a.com, accepts: PUBLIC}", "", []),
        ("{effect: pay, destination: to}", "{in: acme, accepts: PUBLIC}", "", []),
        ("{effect: pay, destination: to}", "{matches: '^DE', accepts: PUBLIC}", "", ["NV136"]),
        (
            "{effect: pay, destination: to}",
            "{at: a.com, accepts: PUBLIC}, {matches: '^DE$', accepts: INTERNAL}",
            "",
            [],
        ),
        ("{effect: send, destination: to}", "{in: '#hr-help', accepts: PUBLIC}", "'#hr-hlp'", ["NV155"]),
        ("{effect: send, destination: to}", "{in: '#hr-help', accepts: PUBLIC}", "['#hr-help']", []),
        ("{effect: send, destination: to}", "{in: '#hr-help', accepts: PUBLIC}", "{not: {eq: '#hr-hlp'}}", []),
        ("{effect: send, destination: to}", "{in: ['#hr-help', '#hr-helm'], accepts: PUBLIC}", "'#hr-help'", []),
    ],
)
def test_destinations_that_no_entry_can_list_or_lists_otherwise_are_remarked_on(tool, places, rule, expected):
    rules = f"rules: [{{id: a, match: {{effect: send, destination: {rule}}}, decision: ALLOW}}]\n" if rule else ""
    assert [item.code for item in found(f"tools: {{x.do: {tool}}}\ndestinations: [{places}]\n{rules}")] == expected


def test_findings_point_at_the_key_and_stand_in_file_order():
    items = found(
        "rules:\n  - id: a\n    decision: STEP_UP\n    approvers: [requester]\n    risk: high\n", "declared_tools"
    )
    assert [(item.code, item.line, item.column, item.rule) for item in items] == [
        ("NV123", 3, 1, None),
        ("NV141", 7, 5, "a"),
    ]


def test_the_policies_that_come_with_navicert_have_no_findings():
    from importlib.resources import files

    for package, name in (("navicert.cli", "starter.yaml"), ("navicert.demo", "policy.yaml")):
        text = files(package).joinpath(name).read_text(encoding="utf-8").replace("{DEMO}", "/desk")
        assert [item for item in lint(*read_policy(text)) if item.severity != "note"] == []


def test_a_tool_that_is_declared_elsewhere_is_no_misspelling_and_excuses_no_other():
    # seen to fail: without `elsewhere`; with the whole finding left out where one of its names is known
    rule = "rules:\n  - {id: a, match: {tool: mail, operation: [sent, sens]}, decision: DENY}\n"
    policy = read_policy(f"policy: p\nversion: 1\nposture: deny\n{MAIL}{rule}")

    def said(*elsewhere: str) -> list[str]:
        return [item.what for item in lint(*policy, elsewhere) if item.code == "NV114"]

    assert "`mail.sent`" in said()[0]
    assert "`mail.sens`" in said()[0]
    assert "`mail.sent`" not in said("mail.sent")[0]
    assert "`mail.sens`" in said("mail.sent")[0]
    assert said("mail.sent", "mail.sens") == []
