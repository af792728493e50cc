"""The normal form of text, and destinations in disguise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.core.text import ambiguous, invisible, normal_form

PAIRS = [
    ("Evil", "evil"),
    ("ｅｖｉｌ", "evil"),
    ("ev\u200bil", "evil"),
    ("ev\u200d\u2060\ufeffil", "evil"),
    ("\u202eevil\u202c", "evil"),
    ("\u2066evil\u2069", "evil"),
    ("ev\u00adil", "evil"),
    ("ev\ufe0fil", "evil"),
    ("ev\U000e0041il", "evil"),
    ("𝐞𝐯𝐢𝐥", "evil"),
    ("ⓔⓥⓘⓛ", "evil"),
    ("STRASSE", "strasse"),
    ("straße", "strasse"),
    ("ﬁle", "file"),
    ("cafe\u0301", "caf\u00e9"),
    ("a\x00b\x1bc", "abc"),
    ("a\tb\nc", "a\tb\nc"),
    ("", ""),
    ("\u3164evil\uffa0", "evil"),
    ("É" * 5_000, "é" * 5_000),
]


@pytest.mark.parametrize(("text", "expected"), PAIRS, ids=range(len(PAIRS)))
def test_the_normal_form_is_folded_composed_and_without_what_cannot_be_seen(text: str, expected: str) -> None:
    assert expected == normal_form(text)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=8))
def test_the_normal_form_hides_nothing_and_case_makes_no_difference_to_it(text: str) -> None:
    normal = normal_form(text)

    assert not any(invisible(char) for char in normal)
    assert normal_form("\u200b".join(text)) == normal or "\u200b".join(text) != text


@pytest.mark.parametrize(
    "char", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u00ad", "\x00", "\x7f", "\ufe0f", "\U000e0001", "\u3164"]
)
def test_a_character_that_shows_nothing_or_turns_the_text_is_invisible(char: str) -> None:
    assert invisible(char)


@pytest.mark.parametrize("char", ["a", " ", "\t", "\n", "é", "\u0301", "漢", "😀", "-"])
def test_a_character_that_shows_something_or_is_plain_layout_is_not(char: str) -> None:
    assert not invisible(char)


@pytest.mark.parametrize(
    "text",
    [
        "ev\u200bil@x.example",
        "ｅvil@x.example",
        "\u202eevil",
        " evil",
        "evil ",
        "evil\n",
        "𝐞vil",
        "x\u2024example",
        "a\u00a0b",
    ],
)
def test_a_destination_in_disguise_is_ambiguous(text: str) -> None:
    assert ambiguous(text)


@pytest.mark.parametrize(
    "text", ["evil@x.example", "EVIL@X.example", "josé@exämple.example", "jose\u0301", "漢字", "straße", "a b", ""]
)
def test_a_destination_as_people_write_it_is_not(text: str) -> None:
    assert not ambiguous(text)
