"""The policy language: what loads means what the page says, and what cannot mean anything does not load."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import pytest

from navicert.model.action import Effect, ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.errors import IntegrityError, PolicyError
from navicert.model.labels import Labels, Level
from navicert.model.policy import Condition, Edit, Modification, Operator, PolicySet, Posture, Rule, Tally
from navicert.syntax import canonical_policy, decode_policy, policy_hash, read_policy

ROOT = Path(__file__).parents[3]
HEAD = "policy: office\nversion: 3\nposture: deny\n"


def rule(body: str) -> str:
    """A file whose rule `r` stands in line 5, and its further keys from line 6, column 5."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}rules:\n  - id: r\n{lines}"


def match(body: str) -> str:
    """A file with these conditions, from line 8, column 7."""
    lines = "".join(f"\n  {line}" for line in body.split("\n"))
    return rule(f"decision: DENY\nmatch:{lines}")


def edit(body: str) -> str:
    """A file with one modification of the parameter `a`, in line 7, column 21."""
    return rule(f"decision: MODIFY\nmodifications: [{{parameter: a{body} }}]")


def tool(body: str) -> str:
    """A file with one tool; its keys stand in line 6, column 5."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}tools:\n  email.send:\n{lines}"


def fact(body: str) -> str:
    """A file with one fact; its keys stand in line 6, column 5."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return f"{HEAD}facts:\n  f:\n{lines}"


def read(text: str) -> PolicySet:
    return read_policy(text)[0]


def read_rule(text: str) -> Rule:
    (only,) = read(text).rules
    return only


def conditions(body: str) -> tuple[Condition, ...]:
    return read_rule(match(body)).match


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        read_policy(text, "p.yaml")
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- what is read


def test_the_example_of_the_reference_page_loads_as_it_says():
    page = (ROOT / "docs/reference/policy-language.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    policy, spans = read_policy(example)
    assert policy == PolicySet(
        policy="office",
        version=3,
        posture=Posture.DECLARED_READS,
        sticky_s=86_400,
        confidence_ppm=600_000,
        tools=(
            ToolProfile(
                tool="crm.query",
                effect=Effect.READ,
                returns=Labels(level=Level.CONFIDENTIAL, categories=("PII",)),
            ),
            ToolProfile(
                tool="email.send",
                effect=Effect.SEND,
                destination=("to",),
                content=("subject", "body"),
                categories=("mail",),
                returns=Labels(level=Level.INTERNAL),
            ),
        ),
        rules=(
            Rule(
                id="no-drop",
                name="tables are never dropped",
                classification=Classification.FORBIDDEN,
                match=(
                    Condition(field="operation", operator=Operator.EQ, value="execute"),
                    Condition(field="parameters.sql", operator=Operator.MATCHES, value=r"(?i)\bdrop\s+table\b"),
                    Condition(field="tool", operator=Operator.EQ, value="db"),
                ),
                decision=Verdict.DENY,
                reason="dropping a table is forbidden",
                priority=100,
            ),
        ),
    )
    assert spans.tools == {"email.send": (8, 3), "crm.query": (14, 3)}
    assert spans.rules == {"no-drop": (19, 5)}


def test_a_file_with_the_required_keys_alone_takes_the_documented_defaults():
    expected = PolicySet(policy="office", version=3, posture=Posture.DENY, sticky_s=86_400, confidence_ppm=0)
    assert expected == read(HEAD)


def test_spans_point_at_rules_and_tools():
    _, spans = read_policy(
        HEAD + "tools: {a.b: {effect: read}}\nrules:\n- {id: x, decision: DENY}\n-  id: y\n   decision: DENY\n"
    )
    assert spans.tools == {"a.b": (4, 9)}
    assert spans.rules == {"x": (6, 3), "y": (7, 4)}


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("0s", 0), ("366d", 31_622_400)]
)
def test_a_duration_is_seconds(text, seconds):
    assert seconds == read(f"{HEAD}sticky: {text}\n").sticky_s


@pytest.mark.parametrize(
    ("text", "ppm"), [("0", 0), ("1", 1_000_000), ("0.6", 600_000), ("0.000001", 1), ("1.0", 10**6)]
)
def test_confidence_is_kept_exactly_in_millionths(text, ppm):
    assert ppm == read(f"{HEAD}confidence: {text}\n").confidence_ppm


def test_a_tool_takes_one_parameter_or_several_for_a_role():
    profile = read(tool("effect: pay\ndestination: [to, cc.list]\namount: sum\nresource: file\ncontent: body")).tools[0]
    assert profile == ToolProfile(
        tool="email.send",
        effect=Effect.PAY,
        destination=("to", "cc.list"),
        amount=("sum",),
        resource=("file",),
        content=("body",),
    )


def test_results_of_a_tool_without_returns_stay_undeclared():
    assert read(tool("effect: read")).tools[0].returns is None
    assert Labels(level=Level.PUBLIC) == read(tool("effect: read\nreturns: PUBLIC")).tools[0].returns


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("tool: email", ("tool", Operator.EQ, "email", False)),
        ("tool: em*", ("tool", Operator.STARTS_WITH, "em", False)),
        ("tool: '*'", ("tool", Operator.STARTS_WITH, "", False)),
        ("operation: 'mcp.*'", ("operation", Operator.STARTS_WITH, "mcp.", False)),
        ("tool: [email, mail]", ("tool", Operator.IN, ["email", "mail"], False)),
        ("tool: {not: {starts_with: em}}", ("tool", Operator.STARTS_WITH, "em", True)),
        ("effect: [send, pay]", ("effect", Operator.IN, ["send", "pay"], False)),
        ("category: mail", ("category", Operator.EQ, "mail", False)),
        ("parameters: {to: bob}", ("parameters.to", Operator.EQ, "bob", False)),
        ("parameters: {'*': {contains: x}}", ("parameters.*", Operator.CONTAINS, "x", False)),
        ("parameters: {address.city: [Paris, 7]}", ("parameters.address.city", Operator.IN, ["Paris", 7], False)),
        ("parameters: {query.in: x}", ("parameters.query.in", Operator.EQ, "x", False)),
        ("parameters: {n: {ge: 1.5}}", ("parameters.n", Operator.GE, 1.5, False)),
        ("parameters: {day: {lt: '2026-01-01'}}", ("parameters.day", Operator.LT, "2026-01-01", False)),
        ("parameters: {to: ''}", ("parameters.to", Operator.EQ, "", False)),
        ("parameters: {to: {exists: false}}", ("parameters.to", Operator.EXISTS, False, False)),
        ("parameters: {to: {not: {matches: '^a'}}}", ("parameters.to", Operator.MATCHES, "^a", True)),
        ("destination: {ends_with: '@x.org'}", ("destination", Operator.ENDS_WITH, "@x.org", False)),
        ("amount: {gt: 100}", ("amount", Operator.GT, 100, False)),
        ("context: {level: CONFIDENTIAL}", ("context.level", Operator.EQ, "CONFIDENTIAL", False)),
        ("context: {level: {ge: INTERNAL}}", ("context.level", Operator.GE, "INTERNAL", False)),
        ("context: {categories: {contains: PII}}", ("context.categories", Operator.CONTAINS, "PII", False)),
        ("context: {attempts: {email.send: {ge: 3}}}", ("context.attempts.email.send", Operator.GE, 3, False)),
        ("context: {attempts.email.send: {ge: 3}}", ("context.attempts.email.send", Operator.GE, 3, False)),
        ("context: {facts: {window_open: true}}", ("context.facts.window_open", Operator.EQ, True, False)),
        ("context: {facts.window_open: true}", ("context.facts.window_open", Operator.EQ, True, False)),
        ("stored: {level: {in: [RESTRICTED]}}", ("stored.level", Operator.IN, ["RESTRICTED"], False)),
        ("identity: {roles: {contains: admin}}", ("identity.roles", Operator.CONTAINS, "admin", False)),
        ("identity: {development: true}", ("identity.development", Operator.EQ, True, False)),
        ("identity: {delegated: {gt: 0}}", ("identity.delegated", Operator.GT, 0, False)),
        ("identity: {authority: supervised}", ("identity.authority", Operator.EQ, "supervised", False)),
        ("identity: {authority: [full, narrowed]}", ("identity.authority", Operator.IN, ["full", "narrowed"], False)),
        ("signals: {injection.score: {gt: 0.5}}", ("signals.injection.score", Operator.GT, 0.5, False)),
    ],
)
def test_a_condition_means_what_the_page_says(body, expected):
    field, operator, value, negated = expected
    assert (Condition(field=field, operator=operator, value=value, negated=negated),) == conditions(body)


def test_several_operators_on_one_field_are_several_conditions():
    expected = (
        Condition(field="parameters.n", operator=Operator.GE, value=1),
        Condition(field="parameters.n", operator=Operator.IN, value=[7], negated=True),
        Condition(field="parameters.n", operator=Operator.LT, value=10),
    )
    assert expected == conditions("parameters: {n: {lt: 10, not: {in: [7]}, ge: 1}}")


@pytest.mark.parametrize("body", ["match: {}", "reason: no match at all"])
def test_a_rule_without_conditions_is_about_every_action(body):
    assert read_rule(rule(f"decision: DENY\n{body}")).match == ()


def test_rate_and_total_become_tallies():
    expected = (
        Tally(kind="rate", per="human", above=5, window_s=3600),
        Tally(kind="total", per="destination", above=1_000_500_000, window_s=2_678_400),
    )
    found = read_rule(
        match("total: {per: destination, above: 1000.50, window: 31d}\nrate: {per: human, above: 5, window: 1h}")
    )
    assert expected == found.tallies
    assert found.match == ()


def test_a_total_is_exact_where_a_binary_number_is_not():
    found = read_rule(match("total: {per: human, above: 1234567890123.456789, window: 1d}"))
    assert found.tallies[0].above == 1_234_567_890_123_456_789


def test_modifications_keep_their_order_and_their_values():
    body = (
        "decision: MODIFY\nmodifications:\n- {parameter: limit, cap: 100}\n- {parameter: currency, set: EUR}\n"
        "- {parameter: body, redact: '\\d{16}'}\n- {parameter: path, prefix: /desk}\n- {parameter: bcc, drop: true}\n"
        "- {parameter: a.b, set: {x: [1, null, 0.5]}}"
    )
    expected = (
        Modification(parameter="limit", edit=Edit.CAP, value=100),
        Modification(parameter="currency", edit=Edit.SET, value="EUR"),
        Modification(parameter="body", edit=Edit.REDACT, value=r"\d{16}"),
        Modification(parameter="path", edit=Edit.PREFIX, value="/desk"),
        Modification(parameter="bcc", edit=Edit.DROP),
        Modification(parameter="a.b", edit=Edit.SET, value={"x": [1, None, 0.5]}),
    )
    assert expected == read_rule(rule(body)).modifications


@pytest.mark.parametrize(("line", "seconds"), [("", 900), ("\ntimeout: 15m", 900), ("\ntimeout: 1s", 1)])
@pytest.mark.parametrize("decision", ["DEFER", "STEP_UP\napprovers: [ann, bob]"])
def test_a_rule_that_waits_always_has_a_timeout(decision, line, seconds):
    assert seconds == read_rule(rule(f"decision: {decision}{line}")).timeout_s


def test_a_rule_may_label_without_deciding():
    found = read_rule(rule("set_context: {data_classification: RESTRICTED, categories: [PII, FINANCIAL]}"))
    assert Labels(level=Level.RESTRICTED, categories=("FINANCIAL", "PII")) == found.set_context
    assert found.decision is None
    assert found.timeout_s is None


@pytest.mark.parametrize(
    ("classification", "decision"),
    [
        ("forbidden", "DENY"),
        ("context_dependent_deny", "DENY"),
        ("context_dependent_allow", "ALLOW"),
        ("context_dependent_allow", "STEP_UP\napprovers: ann"),
        ("context_dependent_defer", "DEFER"),
    ],
)
def test_every_pair_of_the_table_of_classifications_loads(classification, decision):
    found = read_rule(rule(f"classification: {classification}\ndecision: {decision}"))
    assert Classification(classification) is found.classification


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "no",
        "on",
        "off",
        "Y",
        "N",
        "12:30",
        "1:2:3",
        "2026-01-01",
        "1.2.3",
        "'0123'",
        "'true'",
        '"5"',
        "inf",
        "0x",
    ],
)
def test_what_is_text_in_yaml_1_2_or_quoted_is_text(word):
    assert word.strip("'\"") == conditions(f"parameters: {{a: {word}}}")[0].value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("1.0", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("true", True),
        ("0e999", 0.0),
    ],
)
def test_numbers_and_booleans_of_yaml_1_2_keep_their_type(word, value):
    found = conditions(f"parameters: {{a: {word}}}")[0].value
    assert (type(value), value) == (type(found), found)


@pytest.mark.parametrize(
    "text", ["\ufeff" + HEAD, HEAD.replace("\n", "\r\n"), f"---\n{HEAD}...\n", f"# ä\n{HEAD}# end"]
)
def test_marks_of_editors_and_comments_do_not_matter(text):
    assert read(HEAD) == read(text)


def test_text_outside_ascii_is_welcome():
    body = "decision: DENY\nreason: 'nur mit Genehmigung – 承認が必要です'\nmatch: {parameters: {größe: {gt: 5}}}"
    found = read_rule(rule(body))
    assert (found.reason, found.match[0].field) == ("nur mit Genehmigung – 承認が必要です", "parameters.größe")


# ---------------------------------------------------------------------------------------------------- what is refused

WHOLE = {
    "file": str,
    "top": HEAD.__add__,
    "fact": fact,
    "tool": tool,
    "rule": rule,
    "match": match,
    "edit": edit,
}


def refusals() -> list[tuple[str, str, str]]:
    """Text that does not load, where and why, text that does; from the file beside this one."""
    cases = []
    for section in re.split(r"^== ", (Path(__file__).parent / "syntax_refusals.txt").read_text(), flags=re.MULTILINE)[
        1:
    ]:
        heading, _, blocks = section.partition("\n")
        for block in blocks.strip().split("\n\n"):
            bad, message, good = (line[2:].replace("⏎", "\n").replace("⇥", "\t") for line in block.split("\n"))
            cases.append((WHOLE[heading](bad), message, WHOLE[heading](good)))
    return cases


REFUSALS = refusals()

HIDDEN = [
    ("\u202e", "U+202E (right-to-left override)"),
    ("\u2066", "U+2066 (left-to-right isolate)"),
    ("\u200b", "U+200B (zero width space)"),
    ("\u00ad", "U+00AD (soft hyphen)"),
    ("\ufeff", "U+FEFF (zero width no-break space)"),
    ("\u3164", "U+3164 (hangul filler)"),
    ("\ufe0f", "U+FE0F (variation selector-16)"),
    ("\U000e0041", "U+E0041 (tag latin capital letter a)"),
    ("\u2028", "U+2028 (line separator)"),
    ("\u0085", "U+0085 (it has no name)"),
    ("\u0000", "U+0000 (it has no name)"),
    ("\u0007", "U+0007 (it has no name)"),
    ("\u001b", "U+001B (it has no name)"),
    ("\u007f", "U+007F (it has no name)"),
    ("\ud800", "U+D800 (it has no name)"),
    ("\r", "U+000D (it has no name)"),
]

LONG = [
    (HEAD.replace("office", "o" * 101), "1:9: `policy` has 101 characters; use at most 100"),
    (HEAD + f"rules: [{{id: {'a' * 101}, decision: DENY}}]", "4:14: `id` has 101 characters; use at most 100"),
    (rule(f"decision: DENY\nreason: {'x' * 501}"), "7:13: `reason` has 501 characters; use at most 500"),
    (match(f"parameters: {{n: {{matches: {'a' * 1001}}}}}"), "8:33: `matches` has 1001 characters; use at most 1000"),
    (HEAD + f"supervisors: [{'a' * 101}]", "4:15: an entry of `supervisors` has 101 characters; use at most 100"),
    (HEAD + f"roles: {{a: b.{'a' * 199}}}", "4:12: the role `a` has 201 characters; use at most 200"),
    (fact(f"file: /{'a' * 1000}"), "6:11: `file` has 1001 characters; use at most 1000"),
    (fact(f"http: https://a/{'a' * 991}"), "6:11: `http` has 1001 characters; use at most 1000"),
    (fact(f"command: [/a, {'a' * 1001}]"), "6:19: an argument of `command` has 1001 characters; use at most 1000"),
    (fact(f"file: /f\nat: /{'a' * 1000}"), "7:9: `at` has 1001 characters; use at most 1000"),
    (fact(f"requester: {'a' * 501}"), "6:16: `requester` has 501 characters; use at most 500"),
]


@pytest.mark.parametrize(("bad", "message", "good"), REFUSALS)
def test_what_cannot_be_meant_does_not_load_and_its_correction_does(bad, message, good):
    assert f"p.yaml:{message}" == refusal(bad)
    assert read(good).policy


@pytest.mark.parametrize(("bad", "message"), LONG)
def test_what_is_too_long_by_one_character_does_not_load(bad, message):
    assert f"p.yaml:{message}" == refusal(bad)
    assert read(re.sub(r"(o|a|x)(\1{99,})", r"\2", bad))


@pytest.mark.parametrize("bad", [bad for bad, _, _ in REFUSALS])
def test_every_refusal_says_what_is_wrong_and_what_to_do(bad):
    message = refusal(bad)
    where, _, text = message.partition(": ")
    assert re.fullmatch(r"p\.yaml:[1-9]\d*:[1-9]\d*", where)
    assert "; " in text
    assert not text.endswith(".")
    assert text[0] == text[0].lower()
    assert message.isprintable()


@pytest.mark.parametrize(("character", "named"), HIDDEN)
def test_hidden_characters_are_refused_where_they_stand(character, named):
    expected = f"p.yaml:7:14: the character {named} is invisible or changes how the file reads; remove it"
    assert refusal(rule(f"decision: DENY\nreason: a{character}b")).startswith(expected)
    assert refusal(HEAD + f"# a{character}b").startswith(f"p.yaml:4:4: the character {named} ")
    assert refusal(f"po{character}licy: a").startswith(f"p.yaml:1:3: the character {named} ")


@pytest.mark.parametrize(("character", "named"), HIDDEN)
def test_hidden_characters_do_not_come_in_as_escapes(character, named):
    escape = f"\\U{ord(character):08X}"
    assert refusal(rule(f'decision: DENY\nreason: "a{escape}b"')).startswith(f"p.yaml:7:13: the character {named} ")
    assert refusal(match(f'parameters: {{"{escape}": x}}')).startswith(f"p.yaml:8:20: the character {named} ")


def test_a_pattern_may_name_a_hidden_character():
    assert conditions(r"content: {matches: '\x{202E}'}")[0].value == r"\x{202E}"


def test_messages_show_no_more_of_the_input_than_a_terminal_can_bear():
    message = refusal(HEAD + '"\u00a0`' + "x" * 1000 + '": 1')
    assert "unknown field `\\x{A0}\\x{60}xxx" in message
    assert len(message) < 400


def test_a_file_of_a_mebibyte_is_the_largest():
    filler = "#" * (1024 * 1024 - len(HEAD))
    assert read(HEAD) == read(HEAD + filler)
    assert refusal(HEAD + filler + "#").startswith("p.yaml:1:1: the file is larger than 1048576 bytes; ")
    assert refusal(HEAD + "#ä" + filler[3:] + "#").startswith("p.yaml:1:1: the file is larger than 1048576 bytes; ")


def test_nesting_ends_at_32_levels():
    def nested(levels: int) -> str:
        return edit(f", set: {'[' * levels}{']' * levels}")

    assert read(nested(27))
    assert refusal(nested(28)).startswith("p.yaml:7:68: the file is nested deeper than 32 levels; ")
    assert "nested deeper than 32 levels" in refusal("[" * 100_000)


def test_the_source_stands_before_the_place():
    with pytest.raises(PolicyError, match=r"^dir/office\.yaml:1:1: "):
        read_policy("", "dir/office.yaml")


# -------------------------------------------------------------------------------------------------- hash and round trip

FULL = (
    HEAD
    + """
sticky: 2h
tools:
  bank.pay: {effect: pay, destination: to, amount: sum, returns: {level: INTERNAL, categories: [FINANCIAL]}}
  a.read: {effect: read}
rules:
  - id: one
    priority: 5
    decision: STEP_UP
    approvers: [ann, bob]
    match:
      tool: bank
      amount: {gt: 10.50, le: 1000}
      context: {level: {ge: INTERNAL}, facts: {open: true}}
      total: {per: human, above: 99.99, window: 1d}
      rate: {per: agent, above: 5, window: 1h}
  - id: two
    decision: MODIFY
    modifications: [{parameter: sum, cap: 5}, {parameter: x, set: {b: 1, a: [2.5, null]}}]
"""
)


def test_layout_comments_key_order_and_sugar_do_not_change_the_hash():
    other = """# the same, said otherwise
---
rules:
- match:
    rate: {window: 60m, per: 'agent', above: 5}
    total: {window: 24h, above: 99.990, per: human}
    context:
      facts.open: {eq: true}
      level:
        ge: "INTERNAL"
    amount:
      le: 1000     # at most
      gt: 10.5
    tool: {eq: bank}
  timeout: 15m
  approvers:
    - ann
    - bob
  decision: STEP_UP
  priority: 5
  risk: medium
  id: one
- {modifications: [{cap: 5, parameter: sum}, {set: {a: [2.5, ~], b: 1}, parameter: x}], id: two, decision: MODIFY}
tools:
  a.read: {effect: read}
  bank.pay: {returns: {categories: FINANCIAL, level: INTERNAL}, amount: [sum], effect: pay, destination: [to]}
sticky: 120m
confidence: 0.0
posture: deny
version: 3
policy: office
"""
    assert read(FULL) == read(other)
    assert policy_hash(read(FULL)) == policy_hash(read(other))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 3", "version: 4"),
        ("10.50", "10.51"),
        ("{ge: INTERNAL}", "{gt: INTERNAL}"),
        ("open: true", "open: {not: {eq: true}}"),
        ("[ann, bob]", "[bob, ann]"),
        ("cap: 5", "cap: 5.0"),
        ("id: two", "id: three"),
    ],
)
def test_a_change_of_meaning_changes_the_hash(old, new):
    assert old in FULL
    assert policy_hash(read(FULL)) != policy_hash(read(FULL.replace(old, new)))


def test_the_order_of_rules_is_part_of_the_meaning():
    first = HEAD + "rules: [{id: a, decision: DENY}, {id: b, decision: DENY}]"
    second = HEAD + "rules: [{id: b, decision: DENY}, {id: a, decision: DENY}]"
    assert policy_hash(read(first)) != policy_hash(read(second))


def test_the_hash_is_sha256_over_domain_and_canonical_bytes():
    data = b'{"policy":"office","posture":"deny","version":3}'
    assert data == canonical_policy(read(HEAD))
    assert hashlib.sha256(b"navicert/policy/1\0" + data).hexdigest() == policy_hash(read(HEAD))


def test_canonical_bytes_read_back_to_the_same_policy():
    policy = read(FULL)
    again = decode_policy(canonical_policy(policy))
    assert policy == again
    assert canonical_policy(policy) == canonical_policy(again)


def test_equal_policy_sets_have_equal_bytes_however_they_were_made():
    stated = PolicySet(policy="office", version=3, posture=Posture.DENY, sticky_s=int("86400"), confidence_ppm=int("0"))
    assert canonical_policy(read(HEAD)) == canonical_policy(stated)
    decoded = Rule(id="r", decision=Verdict.DENY, risk=msgspec.json.decode(b'"medium"'))
    policy = msgspec.structs.replace(stated, rules=(decoded,))
    assert canonical_policy(read(rule("decision: DENY"))) == canonical_policy(policy)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"policy":"\xff","posture":"deny","version":3}',
        b'{"policy":"office","posture":"deny","version":3} ',
        b'{"posture":"deny","policy":"office","version":3}',
        b'{"policy":"office","policy":"office","posture":"deny","version":3}',
        b'{"policy":"office","posture":"deny","sticky_s":86400,"version":3}',
        b'{"other":1,"policy":"office","posture":"deny","version":3}',
        b'{"policy":"office","posture":"open","version":3}',
        b'{"policy":"office","posture":"deny","version":3.0}',
        b'{"policy":"office","posture":"deny"}',
        b'{"policy":"office","posture":"deny","rules":[{"id":"a","match":[{"field":"a","operator":"eq","value":'
        + b"[" * 100_000,
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data):
    with pytest.raises(IntegrityError, match="stored policy"):
        decode_policy(data)
