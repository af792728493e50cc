"""Whatever the text, reading a policy gives a policy or a PolicyError, the same one each time."""

from __future__ import annotations

import random
import re

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from navicert.model.errors import IntegrityError, PolicyError
from navicert.syntax import canonical_policy, decode_policy, policy_hash, read_policy

SEED = """policy: office
version: 3
posture: declared_reads
sticky: 2h
confidence: 0.65
risk_limit: 40
organisation: [company.com, '*.company.com', ann@home.example, 10.0.0.0/8]
tools:
  bank.pay: {effect: pay, destination: to, amount: sum, returns: {level: INTERNAL, categories: [FINANCIAL]}}
  mail.send:
    effect: send
    content: [subject, body]
    returns: PUBLIC
    accepts: {level: CONFIDENTIAL, categories: []}
destinations:
  - {at: ['https://api.partner.example/v2', '::1/128'], accepts: INTERNAL}
  - {in: ['#support'], at: company.com, accepts: {level: CONFIDENTIAL, categories: [PII]}}
intents:
  support: {tools: [crm.*, mail.send], accepts: INTERNAL, actions: 40}
  'any work': {tools: '*'}
facts:
  open: {file: /etc/change/calendar.json, at: /window~10, attempts: 5, every: 30s, within: 2s}
  rollout:
    sources:
      - {http: 'https://flags.internal:8443/rollout?a=%20', at: ''}
      - {http: 'http://[::1]/', at: /value}
      - {command: [/usr/local/bin/flag, rollout, '', '']}
  confirmed: {requester: 'Did you ask for this?'}
roles: {clerk: [bank.*, mail.send], 'the boss': '*'}
supervisors: [eve, "mallory"]
cascade: 7
rules:
  - id: one
    name: 'ask first'
    classification: context_dependent_allow
    priority: -5
    risk: high
    decision: STEP_UP
    approvers: [ann, "bob", requester]
    approvals: 3
    escalate: {after: 60s, to: [cy]}
    authority: narrowed
    timeout: 10m
    match:
      tool: ban*
      operation: [pay, refund]
      effect: {not: {in: [read, write]}}
      amount: {gt: 10.50, le: 1000}
      parameters: {'*': {contains: x}, a.b: 5, note: {matches: '(?i)\\bdrop\\b'}, memo: {exists: false}}
      context: {level: {ge: INTERNAL}, facts: {open: true}, attempts.mail.send: {lt: 3}, length: 4}
      stored: {categories: [PII]}
      identity: {roles: {contains: admin}, development: false, authority: {not_in: [full, revoked]}}
      signals: {injection: {ge: 0.5}}
      total: {per: human, above: 99.99, window: 1d}
      rate: {per: agent, above: 5, window: 1h}
  - id: two
    decision: MODIFY
    reason: >
      a text that is folded
      over two lines
    modifications: [{parameter: sum, cap: 5}, {parameter: x, set: {b: 1, a: [2.5, null]}}, {parameter: y, drop: true}]
  - {id: three, set_context: {data_classification: RESTRICTED, categories: [PII]}}
  - {id: four, decision: DEFER, match: {category: mail}, approvers: [ann, requester], approvals: 1}
  - {id: five, authority: suspended, match: {context: {denied: {gt: 4}, risk: {ge: 10}, intent: {exists: false}}}}
  - id: six
    decision: ALLOW
    adds_risk: 3
    shadow: true
    match:
      separation: [user, host]
      destination: {external: false}
      content: {not: {external: true}}
      parameters: {url: {not: {at: 127.0.0.0/8}}, path: {under: [/desk/reports, tmp]}, to: {same: identity.human}}
      after: [{tool: crm, operation: query}, {effect: read, within: 10m}]
      not_after: {category: [fraud, check], tool: f*}
    constraints:
      parameters: {currency: {in: [EUR, USD]}, memo: {type: text}, b.c: {same: parameters.a.b}}
      destination: {at: company.com}
      amount: {gt: 0, le: 500}
      rate: {per: human, above: 20, window: 1h}
      total: {per: destination, above: 2000.5, window: 1d}
"""

TOKENS = sorted({
    *re.findall(r"\w+|[^\w\s]", SEED),
    *("\t", "\n", "\n  ", "\r", "---", "...", "&a", "*a", "!!str", "! ", "<<: ", "? ", ": ", "- ", "|\n", ">-\n", "%"),
    *("%YAML 1.1\n", "@", "`", '"', '"\\u202e"', '"\\U00110000"', '"\\x', "[" * 40, "{a: " * 40, "not: ", "'*'"),
    *("#", "\u00a0", "\u202e", "\u200b", "\ud800", "\ufeff", "\x00", "\x85", "\u2028", "~", "null", "True", "regex"),
    *("# ", "yes", "gte", "0123", "0x1f", "1e999", "1e-999", ".nan", "-.inf", "9" * 30, "1" + "_" * 50, "0e999"),
})  # fmt: skip

any_text = st.text(st.characters(codec=None), max_size=200)
yaml_text = st.lists(st.sampled_from(TOKENS), max_size=60).map(" ".join) | st.lists(st.sampled_from(TOKENS)).map(
    "".join
)
SEED_BYTES = canonical_policy(read_policy(SEED)[0])
SEED_HASH = policy_hash(read_policy(SEED)[0])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The valid policy with up to four pieces cut out, put in, moved or doubled."""
    text = SEED
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 5, 20, 100])))
        piece = draw(st.sampled_from(TOKENS) | st.just("") | st.just(text[start:end] * 2) | any_text)
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def swapped(draw: st.DrawFn) -> str:
    """The valid policy with one word in the place of another, so that YAML holds and meaning may not."""
    words = list(re.finditer(r"[\w.*]+", SEED))
    text = SEED
    for found in sorted(draw(st.lists(st.sampled_from(words), min_size=1, max_size=3)), key=lambda m: -m.start()):
        word = draw(st.sampled_from(words))[0] if draw(st.booleans()) else draw(st.sampled_from(TOKENS))
        text = text[: found.start()] + word + text[found.end() :]
    return text


def outcome(text: str) -> bytes | str:
    """The canonical bytes or the refusal; any other exception fails the test."""
    try:
        policy, spans = read_policy(text, "f")
    except PolicyError as error:
        message = str(error)
        assert re.match(r"f:[1-9]\d*:[1-9]\d*: \S", message)
        assert message.isprintable()
        assert len(message) < 700
        return message
    data = canonical_policy(policy)
    again = decode_policy(data)
    assert policy == again
    assert data == canonical_policy(again)
    assert policy_hash(policy) == policy_hash(again)
    assert {rule.id for rule in policy.rules} == spans.rules.keys()
    assert {tool.tool for tool in policy.tools} == spans.tools.keys()
    return data


def test_the_seed_is_a_policy():
    assert isinstance(outcome(SEED), bytes)


@settings(max_examples=400, deadline=None)
@given(any_text | yaml_text | any_text.map(lambda text: "policy: " + text))
@example("\ud800")
@example('"\\ud83d\\ude00": 1')
@example("%YAML 1." + "9" * 5000 + "\n---\n")
@example("a: " + "1" * 5000)
@example("? " * 50)
@example("!<" + "a" * 100)
@example("a: !%ff b")
@example("!%C3%28 a")
def test_any_text_is_read_or_refused(text):
    assert outcome(text) == outcome(text)


@settings(max_examples=250, deadline=None)
@given(mutated() | swapped())
def test_a_mutated_policy_is_read_or_refused(text):
    assert outcome(text) == outcome(text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(SEED_BYTES)), st.binary(max_size=3)))
def test_changed_bytes_are_refused_or_are_another_policy(change):
    data = SEED_BYTES
    if isinstance(change, tuple):
        at, piece = change
        changed = data[:at] + piece + data[at + len(piece) :]
    else:
        changed = change
    try:
        policy = decode_policy(changed)
    except IntegrityError:
        return
    assert changed == canonical_policy(policy)


# ------------------------------------------------------------------------------------------------------ layout, order


def shuffled(value: object, chance: random.Random) -> object:
    """The same content with the keys of every mapping in another order; lists stay as they are."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(inner, chance)) for key, inner in value.items()]
        return dict(chance.sample(pairs, len(pairs)))
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@settings(max_examples=60, deadline=None)
@given(
    chance=st.randoms(use_true_random=False),
    flow=st.sampled_from([True, False, None]),
    style=st.sampled_from([None, '"', "'"]),
    width=st.sampled_from([20, 80, 10_000]),
    indent=st.integers(2, 9),
    marks=st.booleans(),
    line_break=st.sampled_from(["\n", "\r\n"]),
)
def test_layout_and_key_order_do_not_change_the_hash(chance, flow, style, width, indent, marks, line_break):
    content = shuffled(yaml.safe_load(SEED), chance)
    text = yaml.dump(
        content, Dumper=Dumper, sort_keys=False, default_flow_style=flow, default_style=style, width=width,
        indent=indent, explicit_start=marks, explicit_end=marks, line_break=line_break,
    )  # fmt: skip
    assert policy_hash(read_policy(text)[0]) == SEED_HASH


class Dumper(yaml.SafeDumper):
    """Quotes text only, and writes every value out, so that the words keep their types in the strict reader."""

    def represent_scalar(self, tag, value, style=None):
        return super().represent_scalar(tag, value, style=style if tag == "tag:yaml.org,2002:str" else "")

    def choose_scalar_style(self):
        plain = self.event.implicit[0] and self.event.tag != "tag:yaml.org,2002:str"
        return "" if plain else super().choose_scalar_style()

    def ignore_aliases(self, data):
        return True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["  # a comment", "\n# top", "\n", "   ", "\n    # in"])))
)
def test_comments_and_blank_lines_do_not_change_the_hash(additions):
    lines = SEED.split("\n")
    open_for_comments = [
        at for at, line in enumerate(lines) if line and not line.endswith(("reason: >", "folded", "lines"))
    ]
    for at, addition in additions:
        lines[open_for_comments[at % len(open_for_comments)]] += addition
    assert policy_hash(read_policy("\n".join(lines))[0]) == SEED_HASH


@pytest.mark.parametrize("size", [1_000, 200_000])
@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "_", "1", "9_", '"\\', "'\n", "#", "&a ", "*a ", "!a ", "é"])
def test_repetition_ends_in_an_answer(unit, size):
    assert isinstance(outcome("a: " + unit * (size // len(unit.encode()))), str)
    assert isinstance(outcome(unit * (size // len(unit.encode()))), str)
