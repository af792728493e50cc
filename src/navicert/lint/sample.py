"""A text that a pattern matches, for showing what else it matches. Who uses one tries it with RE2 first.

Only plain patterns are understood: texts, escapes, classes, groups, repetition. Of any other there is no sample.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

_CANDIDATES: Final = "ab1A-_. /@"
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_REPEAT: Final = re.compile(r"[*+?]\??|\{(\d+)(?:,\d*)?\}\??")
_NOTHING: Final = frozenset({"A", "z", "b"})
_ESCAPES: Final = {"d": "1", "w": "a", "S": "a", "D": "a"}
_MOST: Final = 8


class _Unknown(Exception):
    """The pattern has something in it that is not understood here."""


def samples(pattern: str) -> list[str]:
    """Return a few texts that the pattern probably matches, one for each alternative; [] where it is not plain."""
    body = re.sub(r"^\(\?[a-z]+\)", "", pattern)
    try:
        return [_sequence(part) for part in _alternatives(body)[:_MOST]]
    except (_Unknown, re.error):
        return []


def _alternatives(text: str) -> list[str]:
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if found := _CLASS.match(text, at):
            at = found.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if text[at] == "|" and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _sequence(text: str) -> str:
    made, at = "", 0
    while at < len(text):
        one, at = _one(text, at)
        if repeat := _REPEAT.match(text, at):
            one *= max(1, min(int(repeat[1] or 1), 64))
            at = repeat.end()
        made += one
    return made


def _one(text: str, at: int) -> tuple[str, int]:
    char = text[at]
    if char in "^$":
        return "", at + 1
    if char == ".":
        return "a", at + 1
    if char == "\\":
        return _escape(text[at + 1 : at + 2]), at + 2
    if char == "[" and (found := _CLASS.match(text, at)):
        return next((each for each in _CANDIDATES if re.fullmatch(found[0], each)), "") or _unknown(), found.end()
    if char == "(":
        end = _close(text, at)
        inner = re.sub(r"^\?(?::|P?<\w+>)", "", text[at + 1 : end])
        return _unknown() if inner.startswith("?") else _sequence(_alternatives(inner)[0]), end + 1
    return _unknown() if char in "[])*+?{" else char, at + 1


def _escape(char: str) -> str:
    if char in _NOTHING:
        return ""
    return _ESCAPES.get(char) or (char if char and not char.isalnum() else _unknown())


def _close(text: str, at: int) -> int:
    depth = 0
    for index in range(at, len(text)):
        if text[index - 1 : index] != "\\" or text[index - 2 : index] == "\\\\":
            depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return _unknown()


def _unknown() -> NoReturn:
    raise _Unknown
