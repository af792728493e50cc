"""One spelling of text for looking values up, and the other spellings that a value may have (R3; families B.5, C).

* `fold` is the normal form without accents and with single blanks; what folds alike is one value here.
* `spellings` are the ways in which a number, a date, an account or a URL is written; none is a guess about its meaning.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from unicodedata import normalize
from urllib.parse import quote, unquote

_UNSEEN: Final = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u0300-\u036f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891"
    "\u08e2\u115f\u1160\u17b4\u17b5\u180e\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u20d0-\u20f0\u2800\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f\U000e0100-\U000e01ef]"
)
"""What shows nothing, turns direction, or is an accent once characters are taken apart."""
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH: Final = {name[:size]: number for number, name in enumerate(_MONTHS, 1) for size in (3, 4, len(name))}
_ISO: Final = re.compile(r"(\d{4})[-/.](\d\d?)[-/.](\d\d?)|(\d{4})(\d\d)(\d\d)")
_NAMED: Final = re.compile(
    r"(?:([a-z]{3,9})\.? (\d\d?)(?:st|nd|rd|th)?|(\d\d?)(?:st|nd|rd|th|\.)?(?: of)? ([a-z]{3,9})\.?),? (\d{4})"
)
_SHORT: Final = re.compile(r"(\d\d?)([-/.])(\d\d?)\2(\d{4})")
_NUMBER: Final = re.compile(r"(?:[$€£¥] ?)?([+-]?\d{1,15}(?:[,' ]\d{3})*)(?:\.(\d{1,12}))?(?: ?(?:[$€£¥%]|[a-z]{3}))?")
_COMMA: Final = re.compile(r"(?:[$€£¥] ?)?([+-]?\d{1,3}(?:[. ]\d{3})*|\d+),(\d{1,2})(?: ?(?:[$€£¥%]|[a-z]{3}))?")
_SCHEME: Final = re.compile(r"(?:[a-z][a-z0-9+.-]{1,15}://|mailto:|tel:)(?:www\.)?|www\.")


def fold(text: str) -> str:
    """Return the normal form of a text, without accents, its blanks single."""
    if text.isascii():
        if not text.isprintable():
            text = _UNSEEN.sub("", text)
    else:
        text = _UNSEEN.sub("", normalize("NFKD", normalize("NFKD", text).casefold()))
    return " ".join(text.lower().split())


@lru_cache(maxsize=1024)
def spellings(value: str) -> tuple[str, ...]:
    """Return every spelling of a value, folded, its own first."""
    return tuple(dict.fromkeys(item for item in _spellings(value) if item))


def _spellings(value: str) -> Iterator[str]:
    own = fold(value)
    yield own
    if len(own) > 2_000:
        return
    if "%" in own or "&" in own:
        yield fold(html.unescape(unquote(value)))
    bare = own.strip(" \t\"'`<>()[]{},;.!?")
    yield bare
    scheme = _SCHEME.match(bare)
    if scheme is not None:
        bare = bare[scheme.end() :].rstrip("/")
        yield bare
        yield quote(bare, safe="/:?#[]@!$&'()*+,;=%~", errors="replace").lower()
        return
    if "/" in bare:
        yield bare.rstrip("/")
    if len(bare) <= 40 and any(char.isdigit() for char in bare):
        yield from _dates(bare)
        yield from _numbers(bare)


def _dates(text: str) -> Iterator[str]:
    for year, month, day in _read_date(text):
        if not (1 <= month <= 12 and 1 <= day <= 31):
            continue
        name = _MONTHS[month - 1]
        ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        yield f"{year}-{month:02}-{day:02}"
        yield f"{year}/{month:02}/{day:02}"
        yield f"{year}{month:02}{day:02}"
        yield f"{day:02}.{month:02}.{year}"
        yield f"{day}.{month}.{year}"
        yield f"{month:02}/{day:02}/{year}"
        yield f"{month}/{day}/{year}"
        yield f"{day:02}/{month:02}/{year}"
        yield f"{day:02}-{month:02}-{year}"
        for word in dict.fromkeys((name, name[:3], name[:4] if name == "september" else name)):
            yield f"{word} {day}, {year}"
            yield f"{word} {day:02}, {year}"
            yield f"{word} {day} {year}"
            yield f"{word} {day}{ending}, {year}"
            yield f"{day} {word} {year}"
            yield f"{day:02} {word} {year}"
            yield f"{day}. {word} {year}"
            yield f"{day}{ending} {word} {year}"
            yield f"{day}{ending} of {word} {year}"


def _read_date(text: str) -> Iterator[tuple[int, int, int]]:
    if found := _ISO.fullmatch(text):
        year, month, day = (int(item) for item in found.groups() if item is not None)
        yield year, month, day
    elif found := _NAMED.fullmatch(text):
        month = _MONTH.get(found[1] or found[4], 0)
        yield int(found[5]), month, int(found[2] or found[3])
    elif found := _SHORT.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        if found[2] == "/":
            yield year, first, second
        if found[2] != "/" or first > 12:
            yield year, second, first


def _numbers(text: str) -> Iterator[str]:
    found = _NUMBER.fullmatch(text) or _COMMA.fullmatch(text)
    if found is None:
        return
    whole = re.sub(r"[,. '+]", "", found[1])
    rest = (found[2] or "").rstrip("0")
    if whole.lstrip("-").startswith("0") and len(whole) > 1:
        return  # a code, not an amount
    groups = f"{int(whole):,}"
    cents = {rest, rest.ljust(2, "0")} if len(rest) <= 2 else {rest}
    for sign in dict.fromkeys((whole, groups, groups.replace(",", " "), groups.replace(",", "'"))):
        for part in sorted(cents):
            yield f"{sign}.{part}" if part else sign
        if rest == "":
            yield f"{sign}.0"
    for sign in dict.fromkeys((whole, groups.replace(",", "."), groups.replace(",", " "))):
        for part in sorted(cents):
            yield f"{sign},{part}" if part else sign
