"""Canonical bytes, case by case: what is refused says why, and our own state has one form."""

from __future__ import annotations

import pytest

from navicert.core.canonical import (
    MAX_BYTES,
    Number,
    canonical_parameters,
    decode_parameters,
    parameter_bytes,
    parse_parameters,
    state_bytes,
)
from navicert.core.tally import add
from navicert.model.errors import InvalidAction
from navicert.model.labels import Labels, Level
from navicert.model.shared import TallyRing


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":1}', "same key twice"),
        (b'{"a":NaN}', "`NaN` is not a JSON number"),
        (b'{"a":-Infinity}', "`-Infinity` is not a JSON number"),
        (b'{"a":1e999}', "beyond the range of a double"),
        (b'{"a":' + b"1" * 301 + b"}", "more than 300 digits"),
        (b'{"a":"\\uD834"}', "lone surrogate"),
        (b"[]", "not an object"),
        (b"{", "not JSON"),
        (b'{"a":"\xff"}', "not JSON"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "64 levels"),
        (b" " * MAX_BYTES + b"{}", "at most 1048576 can be judged"),
    ],
)
def test_a_refusal_of_json_text_says_what_is_wrong_with_it(data: bytes, why: str) -> None:
    with pytest.raises(InvalidAction, match=why):
        parse_parameters(data)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1: 1}, "is not text"),
        ({"a": float("inf")}, "has no JSON form"),
        ({"a": 10**300}, "more than 300 digits"),
        ({"a": (1,)}, "type `tuple`"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"\ud800": "é"}, "lone surrogate"),
    ],
)
def test_a_refusal_of_values_says_what_is_wrong_with_them(value: object, why: str) -> None:
    with pytest.raises(InvalidAction, match=why):
        parameter_bytes(value)  # type: ignore[arg-type]


def test_a_list_that_holds_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidAction, match="64 levels"):
        parameter_bytes({"a": value})


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert parse_parameters(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_numbers_from_the_wire_are_told_from_texts() -> None:
    parsed = parse_parameters(b'{"a":1,"b":"1"}')

    assert (type(parsed["a"]), type(parsed["b"])) == (Number, str)
    assert canonical_parameters(parsed) == b'{"a":1,"b":"1"}'


def test_parameters_that_decode_to_no_object_are_refused() -> None:
    with pytest.raises(InvalidAction, match="not an object"):
        decode_parameters(b"[]")


def test_every_state_of_ours_has_deterministic_bytes_also_one_with_keys_that_are_no_text() -> None:
    # seen to fail: TallyRing could not be encoded, so every rule on a rate or total refused everything
    first = add(add(TallyRing(), 3_600_000_000, 5), 7_200_000_000, 6)
    again = TallyRing(
        minutes=dict(reversed(first.minutes.items())), hours=dict(reversed(first.hours.items())), days=first.days
    )

    assert state_bytes(first) == state_bytes(again)
    assert state_bytes(Labels(level=Level.INTERNAL)) == b'{"level":1}'
