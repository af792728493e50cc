"""Canonical bytes: the receipt profile equals a foreign RFC 8785 serialiser; parameters have one form only."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navicert.core.canonical import (
    canonical_parameters,
    decode_parameters,
    parameter_bytes,
    parse_parameters,
    percent,
    receipt_bytes,
)
from navicert.core.digest import action_digest
from navicert.model.errors import InvalidAction

MANY = settings(max_examples=2_500, deadline=None, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
SAFE = 2**53 - 1

ascii_text = st.binary(max_size=10).map(lambda data: "".join(chr(0x20 + byte % 0x5F) for byte in data))
in_profile = st.recursive(
    st.one_of(ascii_text, st.integers(-SAFE, SAFE), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(ascii_text, inner, max_size=3)),
    max_leaves=5,
)
receipts = st.dictionaries(ascii_text, in_profile, max_size=4)

# Keys from both sides of the surrogates, where order by code point and by UTF-16 code unit differ.
ALPHABET = 'ab01_.%"\\/ \x00\t\n\x1f\x7f\x80\xe9\u0301\u20ac\u2028\u200b'
ALPHABET += "\ud7ff\ue000\ufb33\uff5e\uffff\U00010000\U0001f600\U0010ffff"
any_text = st.lists(st.sampled_from(ALPHABET), max_size=4).map("".join)
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
any_json = st.recursive(
    st.one_of(any_text, numbers, st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(any_text, inner, max_size=4)),
    max_leaves=8,
)
parameters = st.dictionaries(any_text, any_json, max_size=5)


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, shuffled(item, order)) for key, item in value.items()]
        order.shuffle(items)
        return dict(items)
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, at every depth: 1, 1.0 and true are three things, and so are 0.0 and -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)


# ------------------------------------------------------------------------------------------------------------- receipts


@SOME
@given(receipts)
def test_receipt_bytes_are_those_of_an_independent_rfc_8785_serialiser(value: dict[str, Any]) -> None:
    assert receipt_bytes(value) == rfc8785.dumps(value)


@MANY
@given(st.integers(0, 2**62))
def test_the_same_over_larger_receipts_grown_from_a_seed(seed: int) -> None:
    value = grown(random.Random(seed), 4)

    assert receipt_bytes({"x": value}) == rfc8785.dumps({"x": value})


def grown(order: random.Random, depth: int) -> Any:
    kind = order.randrange(7 if depth else 5)
    if kind < 2:
        return "".join(chr(order.randrange(0x20, 0x7F)) for _ in range(order.randrange(12)))
    if kind < 4:
        return order.choice([0, -1, SAFE, -SAFE, order.randrange(-SAFE, SAFE)])
    if kind == 4:
        return order.choice([True, False, None])
    if kind == 5:
        return [grown(order, depth - 1) for _ in range(order.randrange(5))]
    return {str(grown(order, 0)): grown(order, depth - 1) for _ in range(order.randrange(6))}


@SOME
@given(receipts, st.randoms())
def test_receipt_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any], order: random.Random) -> None:
    assert receipt_bytes(value) == receipt_bytes(shuffled(value, order))


OUTSIDE = [1.0, 0.5, float("nan"), SAFE + 1, -SAFE - 1, "é", "\n", "\x7f", "\x00", "\u2028", "\ud800", "😀"]


@SOME
@given(receipts, st.sampled_from(OUTSIDE), st.sampled_from(["value", "list", "object", "key"]))
def test_what_serialisers_may_write_in_two_ways_is_refused_in_a_receipt(
    value: dict[str, Any], odd: Any, where: str
) -> None:
    if where == "key" and not isinstance(odd, str):
        where = "value"
    put = {"value": {"x": odd}, "list": {"x": [1, [odd]]}, "object": {"x": {"y": odd}}, "key": {str(odd): 1}}[where]
    with pytest.raises((ValueError, UnicodeEncodeError)):
        receipt_bytes({**value, **put})


def test_a_struct_and_its_plain_form_have_the_same_receipt_bytes() -> None:
    class Part(msgspec.Struct):
        b: int
        a: tuple[str, ...]

    assert receipt_bytes(Part(b=1, a=("x",))) == b'{"a":["x"],"b":1}' == receipt_bytes({"b": 1, "a": ["x"]})


# ----------------------------------------------------------------------------------------------------------- parameters


@SOME
@given(parameters)
def test_decoding_gives_back_what_was_encoded_in_value_and_type(value: dict[str, Any]) -> None:
    data = parameter_bytes(value)

    assert same(value, decode_parameters(data))
    assert data == parameter_bytes(decode_parameters(data))


@SOME
@given(parameters, st.randoms())
def test_parameter_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any], order: random.Random) -> None:
    assert parameter_bytes(value) == parameter_bytes(shuffled(value, order))


@SOME
@given(parameters)
def test_a_round_through_the_wire_form_changes_no_byte(value: dict[str, Any]) -> None:
    data = parameter_bytes(value)

    assert data == canonical_parameters(parse_parameters(data))
    assert data == canonical_parameters(parse_parameters(b" " + data + b"\n"))


@SOME
@given(st.dictionaries(any_text, st.one_of(any_text, st.booleans(), st.none()), max_size=8))
def test_keys_and_texts_of_parameters_are_written_as_rfc_8785_says(value: dict[str, Any]) -> None:
    assert parameter_bytes(value) == rfc8785.dumps(value)


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    # U+1F600 is D83D DE00 in UTF-16: before U+FB33 and U+E000, although its code point is higher
    value = {"\ufb33": 1, "\U0001f600": 2, "\ue000": 3, "\r": 4, "1": 5, "\x80": 6, "é": 7, "€": 8}
    expected = ["\r", "1", "\x80", "é", "€", "\U0001f600", "\ue000", "\ufb33"]

    assert expected == list(json.loads(parameter_bytes(value)))
    assert expected == list(json.loads(rfc8785.dumps(value)))


lexemes = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@SOME
@given(st.lists(lexemes, min_size=1, max_size=4))
def test_a_number_from_the_wire_keeps_its_source_text(texts: list[str]) -> None:
    data = f'{{"n":[{",".join(texts)}]}}'.encode()

    assert data == canonical_parameters(parse_parameters(data))


@pytest.mark.parametrize(
    "text", ["1.0", "1e2", "1E+2", "-0.0", "-0", "0.10", "9223372036854775808", "9007199254740993", "1e-400", "9" * 300]
)
def test_a_number_stays_as_it_was_written(text: str) -> None:
    assert f'{{"n":{text}}}'.encode() == canonical_parameters(parse_parameters(f'{{ "n" : {text} }}'.encode()))
    assert decode_parameters(f'{{"n":{text}}}'.encode()) == {"n": json.loads(text)}


@settings(SOME, max_examples=60)
@given(parameters, parameters)
def test_two_actions_have_one_digest_only_if_they_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = (action_digest("t", "o", parameter_bytes(value)) for value in (one, other))

    assert (left == right) == same(one, other)


@SOME
@given(st.tuples(any_text, any_text), st.tuples(any_text, any_text))
def test_the_digest_tells_where_the_tool_ends_and_the_operation_begins(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (action_digest(*one, b"{}") == action_digest(*other, b"{}")) == (one == other)


@pytest.mark.parametrize(
    "value",
    [
        {1: 2},
        {"a": (1,)},
        {"a": {1}},
        {"a": b"x"},
        {"a": float("nan")},
        {"a": float("-inf")},
        {"a": "\ud800"},
        {"\udc00": 1},
        {"a": 10**300},
        {"a": -(10**300)},
        {"a": object()},
        {"a": "x" * 1_048_576},
        {None: 1},
        {"é": {1.5: 1}},
    ],
)
def test_what_has_no_single_json_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidAction):
        parameter_bytes(value)


@pytest.mark.parametrize("depth", [64, 65])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_parameters_are_at_most_64_levels_deep(depth: int, wrap: Any) -> None:
    value: Any = 1
    for _ in range(depth - 1):
        value = wrap(value)
    data = json.dumps({"a": value}, separators=(",", ":")).encode()
    if depth == 64:
        assert parameter_bytes({"a": value}) == data == canonical_parameters(parse_parameters(data))
        return
    with pytest.raises(InvalidAction, match="64 levels"):
        parameter_bytes({"a": value})
    with pytest.raises(InvalidAction, match="64 levels"):
        parse_parameters(data)


# -------------------------------------------------------------------------------------------------------------- percent


@SOME
@given(st.text(max_size=8), st.text(max_size=8))
def test_percent_is_injective_and_printable(one: str, other: str) -> None:
    assert (percent(one) == percent(other)) == (one == other)
    assert percent(one).isascii()
    assert percent(one).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b~", "a b~"), ("100%", "100%25"), ("%C3%A9", "%25C3%25A9"), ("é", "%C3%A9"), ("\n", "%0A"), ("\x7f", "%7F")],
)
def test_percent_writes_utf_8_bytes_and_itself(text: str, expected: str) -> None:
    assert expected == percent(text)
