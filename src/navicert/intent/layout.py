"""The structure of a whole output, if it has one: JSON, JSON lines, Python's notation, YAML, and tables (R3).

* All or nothing: an output of which a part does not fit has no structure, and is text. So nobody who writes a part of
  it (a mail's body, a cell) can pass that part off as a record of its own.
* Linear in the output's length; nothing is evaluated, and no tag, anchor or alias is followed.
"""

from __future__ import annotations

import csv
import re
from typing import Any, Final

import msgspec

_LITERAL: Final = re.compile(
    r"'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\Z)|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+(?:\"|\Z)|\b(?:True|False|None)\b"
    r"|datetime\.(?:datetime|date|time)\([\d, ]*\)",
    re.DOTALL,
)
_CONSTANTS: Final = {"True": "true", "False": "false", "None": "null"}
_ESCAPES: Final = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r?\n[ \t]*|.)| *+\n([ \t\n]*+)", re.DOTALL
)
_ESCAPED: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "_": "\xa0",
}
_LINE: Final = re.compile(
    r"( *)((?:- +)*+)(?:(-)(?=\n|\Z)|('(?:[^'\n]|'')*+'|\"(?:[^\"\\\n]|\\.)*+\"|[^\s'\"#&*!|>%@`{}\[\],:-][^\n:]*+)"
    r":(?=[ \n]|\Z) *+|)"
)
_SINGLE: Final = re.compile(r"'((?:[^']|'')*+)' *+(?:\n|\Z)")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*+)" *+(?:\n|\Z)', re.DOTALL)
_FOLDS: Final = re.compile(r" *+\n([ \t\n]*+)")
_RULE: Final = re.compile(r"[\s|+:-]*-{2,}[\s|+:=-]*")
_HEADER: Final = re.compile(r"[^\W\d][\w .()#/%-]{0,39}")
_BLANKS: Final = re.compile(" *+")
_EMPTY: Final = re.compile(r"(?: *+\n)*+")
_DEEPEST: Final = 32


def structure(text: str) -> Any:
    """Return what the whole output says as a list or object of JSON; None when it is text."""
    whole = text.strip()
    if whole[:1] in {"{", "["}:
        found = _json(whole)
        if found is not None:
            return found
    if "\n" in whole and (":" in whole or whole.startswith("- ")):
        found = _yaml(whole + "\n")
        if found is not None:
            return found
    return _table(whole) if "\n" in whole else None


def _json(text: str) -> Any:
    for attempt in (_decoded, _lines, _notation):
        found = attempt(text)
        if isinstance(found, list | dict):
            return found
    return None


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _lines(text: str) -> Any:
    if "\n" not in text:
        return None
    try:
        found = [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if all(isinstance(item, list | dict) for item in found) else None


def _notation(text: str) -> Any:
    if "'" not in text and "True" not in text and "None" not in text and "False" not in text:
        return None
    return _decoded(_LITERAL.sub(_as_json, text))


def _as_json(found: re.Match[str]) -> str:
    text = found[0]
    if text[0] not in "'\"":
        return _CONSTANTS.get(text) or f'"{text}"'
    return msgspec.json.encode(_unescaped(text[1:-1])).decode()


def _unescaped(text: str) -> str:
    """Return what a quoted text stands for, its broken lines joined as YAML joins them."""
    if "\\" not in text and "\n" not in text:
        return text
    return _ESCAPES.sub(_character, text).encode("utf-8", "replace").decode()


def _character(found: re.Match[str]) -> str:
    code = found[1]
    if code is None:
        return "\n" * found[2].count("\n") or " "
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return "" if code[0] in "\r\n" else _ESCAPED.get(code, code)


# ---------------------------------------------------------------------------------------------------------------- YAML


class _NotYaml(Exception):
    pass


def _yaml(text: str) -> Any:
    """Read block YAML as programs print it: mappings, lists, scalars of every style; None for anything else."""
    try:
        value, end = _block(text, 0, 0, 0)
    except _NotYaml:
        return None
    return value if end == len(text) and isinstance(value, list | dict) else None


def _block(text: str, at: int, indent: int, depth: int) -> tuple[Any, int]:
    """Read the list or mapping whose lines stand `indent` deep, from the line that begins at `at`."""
    if depth > _DEEPEST:
        raise _NotYaml
    if text.startswith("-", at + indent) and text[at + indent + 1 : at + indent + 2] in {" ", "\n"}:
        return _list(text, at, indent, depth)
    return _mapping(text, at, indent, depth)


def _indent(text: str, at: int) -> tuple[int, int]:
    """Return where the line begins, and how deep what it holds stands; (length, -1) at the end."""
    found = _BLANKS.match(text, at)
    place = found.end() if found is not None else at
    if place >= len(text):
        return len(text), -1
    if text[place] == "\n":
        raise _NotYaml  # a program prints no empty line between values
    return at, place - at


def _list(text: str, at: int, indent: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        at, deep = _indent(text, at)
        if deep != indent or not text.startswith("-", at + indent):
            if deep > indent:
                raise _NotYaml
            return found, at
        place = at + indent + 1
        if text[place] == "\n":
            at, deep = _indent(text, place + 1)
            if deep <= indent:
                found.append(None)
                continue
            value, at = _block(text, at, deep, depth + 1)
        elif text[place] != " ":
            raise _NotYaml
        else:
            while text[place] == " ":
                place += 1
            inner = place - at
            line = _LINE.match(text, place)
            if text.startswith("- ", place) or (line is not None and line[4] is not None):
                value, at = _inline(text, at, inner, depth)
            else:
                value, at = _scalar(text, place, indent)
        found.append(value)


def _inline(text: str, at: int, inner: int, depth: int) -> tuple[Any, int]:
    """Read a list or mapping that begins on the line of its dash."""
    if depth > _DEEPEST:
        raise _NotYaml
    if text.startswith("- ", at + inner):
        raise _NotYaml  # a list in a list on one line: no program prints it that we need
    return _mapping(text, at, inner, depth + 1)


def _mapping(text: str, at: int, indent: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    first = True
    while True:
        if not first:
            at, deep = _indent(text, at)
            if deep != indent or text.startswith("- ", at + deep):
                if deep > indent:
                    raise _NotYaml
                return found, at
        first = False
        line = _LINE.match(text, at + indent)
        key = line[4] if line is not None and not line[1] and not line[2] else None
        if line is None or key is None:
            raise _NotYaml
        name = (
            _unescaped(key[1:-1]) if key[0] == '"' else key[1:-1].replace("''", "'") if key[0] == "'" else key.rstrip()
        )
        if name in found or name.count(" ") > 3:
            raise _NotYaml  # lines that repeat a key are no record
        if text[line.end()] == "\n":
            at, deep = _indent(text, line.end() + 1)
            if deep > indent or (deep == indent and text.startswith("- ", at + deep)):
                found[name], at = _block(text, at, deep, depth + 1)
            else:
                found[name] = None
        else:
            found[name], at = _scalar(text, line.end(), indent)


def _scalar(text: str, at: int, indent: int) -> tuple[Any, int]:
    """Read the scalar that begins at `at`, under a key or dash that stands `indent` deep."""
    char = text[at]
    if char in "'\"":
        quoted = (_SINGLE if char == "'" else _DOUBLE).match(text, at)
        if quoted is None:
            raise _NotYaml
        return _folded(quoted[1].replace("''", "'")) if char == "'" else _unescaped(quoted[1]), quoted.end()
    end = text.find("\n", at)
    value = text[at:end].rstrip()
    if char in "|>" and len(value) <= 3:
        return _literal(text, end + 1, indent)
    if char in "[{":
        found = [] if value in {"[]", "{}"} else _json(value)
        if found is None:
            raise _NotYaml
        return found, end + 1
    if char in "&*!%@`,]}#?|>":
        raise _NotYaml
    return _plain(text, at, indent)


def _plain(text: str, at: int, indent: int) -> tuple[str | None, int]:
    """Read a scalar without quotes, and the deeper lines that go on with it."""
    lines: list[str] = []
    start, deep = at, indent + 1
    while deep > indent:
        end = text.find("\n", start)
        line = text[start:end].strip()
        if ": " in line or line.endswith(":") or " #" in line:
            raise _NotYaml
        lines.append(line)
        at = end + 1
        start, deep = _indent(text, at)
    value = " ".join(lines)
    return (None if value in {"null", "~"} else value), at


def _literal(text: str, at: int, indent: int) -> tuple[str, int]:
    lines: list[str] = []
    while True:
        empty = _EMPTY.match(text, at)
        start = at if empty is None else empty.end()
        place = start
        while text.startswith(" ", place):
            place += 1
        if place >= len(text) or place - start <= indent:
            return "".join(lines), start
        end = text.find("\n", place)
        lines.append("\n" * text.count("\n", at, start) + text[place:end].rstrip() + "\n")
        at = end + 1


def _folded(text: str) -> str:
    if "\n" not in text:
        return text
    return _FOLDS.sub(lambda found: "\n" * found[1].count("\n") or " ", text)


# -------------------------------------------------------------------------------------------------------------- tables


def _table(text: str) -> list[dict[str, str]] | None:
    """Read a table of every line: pipes (Markdown, SQL shells), tabs, commas or columns of capitals."""
    lines = text.splitlines()
    if len(lines) < 2 or not all(line.strip() for line in lines):
        return None
    if all("|" in line or _RULE.fullmatch(line) for line in lines):
        rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
        return _records(rows)
    if "\t" in lines[0]:
        return _records([line.split("\t") for line in lines])
    if "," in lines[0] and text.count(",") >= len(lines):
        try:
            return _records(list(csv.reader(lines, skipinitialspace=True, strict=True)))
        except csv.Error:
            return None
    if lines[0].isupper() and "  " in lines[0]:
        return _records([re.split(r" {2,}", line.strip()) for line in lines])
    return None


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _records(rows: list[list[str]]) -> list[dict[str, str]] | None:
    if len(rows) < 2:
        return None
    header = [cell.strip() for cell in rows[0]]
    if len(header) < 2 or len(set(header)) < len(header):
        return None
    if any(len(row) != len(header) for row in rows) or not all(
        _HEADER.fullmatch(cell) and cell[-1] not in ".-" and cell.count(" ") < 4 for cell in header
    ):
        return None
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]
