from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navicert.core.inert import LINE, brief, columns, inert
from navicert.core.text import invisible

SIGNS = "\n\r\t \u202e\u200b\u2066\x1b\x07\u2028\u2029\xa0\u3000\u0301‹›⏎U+\ufe0f\u034f\U000e0100\U000e0041\ud800"
HOSTILE = st.text(st.one_of(st.characters(), st.sampled_from(SIGNS)), max_size=120)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, as it stands", "plain text, as it stands"),
        ("", ""),
        ("höflich 日本", "höflich 日本"),
        ("a\u202eb", "a‹U+202E›b"),
        ("a\u200bb", "a‹U+200B›b"),
        ("\x1b[31mred", "‹U+001B›[31mred"),
        ("one\ntwo", "one⏎two"),
        ("one\r\ntwo", "one‹U+000D›⏎two"),
        ("one\n\ntwo", "one‹1 blank line›two"),
        ("one" + "\n" * 61 + "Bcc: eve", "one‹60 blank lines›Bcc: eve"),
        ("one\n \n\t\ntwo", "one‹2 blank lines, 2 blanks in them›two"),
        ("a     b", "a‹5 spaces›b"),
        ("a\xa0b", "a‹U+00A0›b"),
        ("‹U+202E›", "‹U+2039›U+202E‹U+203A›"),
        (LINE, "‹U+23CE›"),
        ("\u0301a", "‹U+0301›a"),
        ("e\u0301", "e\u0301"),
        ("a\u0301\u0301\u0301\u0301", "a\u0301\u0301‹U+0301›‹U+0301›"),
        ("\U000e0041", "‹U+E0041›"),
        ("a\ufe0f\u034f", "a‹U+FE0F›‹U+034F›"),  # invisible, although they combine
    ],
)
def test_what_cannot_be_seen_becomes_a_chip(text, expected):
    assert inert(text) == expected


@given(HOSTILE)
def test_nothing_invisible_and_no_line_end_is_left(text):
    shown = inert(text)

    assert [char for char in shown if invisible(char)] == []
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert [char for char in shown if unicodedata.category(char) in bad] == []
    assert [char for char in shown if unicodedata.category(char) == "Zs" and char != " "] == []


@given(HOSTILE)
def test_the_text_can_be_read_back_but_for_blanks_between_blank_lines(text):
    flat = re.sub(r"\n[ \t\n]*\n", lambda run: re.sub(r"[ \t]", "", run[0]), text)

    assert flat == _read_back(inert(flat))


def _read_back(shown: str) -> str:
    def back(chip: re.Match[str]) -> str:
        head, _, digits = chip[1].partition("+")
        if head == "U":
            return chr(int(digits, 16))
        count, what, *_ = chip[1].split()
        return " " * int(count) if what == "spaces" else "\n" * (int(count) + 1)

    return re.sub("‹([^›]*)›", back, shown.replace(LINE, "\n"))


@given(HOSTILE, st.integers(48, 90))
def test_a_brief_text_fits_and_hides_nothing(text, limit):
    shown = brief(text, limit)

    assert columns(shown) <= limit
    assert [char for char in shown if invisible(char)] == []


def test_a_long_text_shows_head_tail_length_and_digest():
    shown = brief("head" + "x" * 5_000 + "tail", 80)

    assert re.fullmatch(r"headx+ … x+tail ‹5,008 characters, sha256 [0-9a-f]{8}›", shown)
    assert columns(shown) == 80


def test_two_long_texts_that_differ_in_the_middle_look_different():
    assert brief("a" * 2_000 + "b" + "a" * 2_000, 60) != brief("a" * 2_000 + "c" + "a" * 2_000, 60)


def test_a_chip_is_never_torn():
    shown = brief("\u202e" * 400, 80)

    assert re.sub(r"‹U\+202E›", "", shown).startswith(" …  ‹400 characters")


def test_a_wide_character_takes_two_columns():
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
