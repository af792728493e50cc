"""Reading single values out of the tree: text, numbers, names, choices, durations; each refusal says what to write.

Serves R3.b on the side of the author: what has the wrong type, or is misspelt, does not load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fractions import Fraction
from typing import TypeVar

import re2

from navicert.core.times import UNITS
from navicert.core.times import spelled as spelled  # noqa: PLC0414 - a word of the language, for who reads words here
from navicert.model.value import Json
from navicert.syntax.reader import Fault, Items, Node, Place, Scalar, Table, kind, shown

MAX_ID = 100
MAX_REASON = 500
MAX_NAME = 200
MAX_PARAMETER = 500
MAX_PATTERN = 1000
MAX_DURATION_S = 366 * 86_400

T = TypeVar("T")

# What people write who know another language, or the other spellings of the specification.
_HABITS: Mapping[str, str] = {
    "action": "decision",
    "approver": "approvers",
    "backups": "escalate",
    "conditions": "match",
    "data_classification": "level",
    "default": "posture",
    "endswith": "ends_with",
    "equals": "eq",
    "gte": "ge",
    "interval": "every",
    "level": "data_classification",
    "lte": "le",
    "modification": "modifications",
    "neq": "ne",
    "nin": "not_in",
    "path": "file",
    "question": "requester",
    "quorum": "approvals",
    "regex": "matches",
    "retries": "attempts",
    "startswith": "starts_with",
    "timeout": "within",
    "url": "http",
    "when": "match",
}


def listed(words: Iterable[str]) -> str:
    """Return words for a message: `a`, `b`, `c`."""
    return ", ".join(f"`{word}`" for word in words)


def advice(word: str, known: Iterable[str], what: str) -> str:
    """Return what to write in place of an unknown word: the nearest that there is, else all of them."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    habit = _HABITS.get(word.casefold())
    near = get_close_matches(word.casefold(), folded, n=1)
    if habit in names:
        return f"write `{habit}`"
    if word.casefold() in folded:
        return f"did you mean `{folded[word.casefold()]}`?"
    if near:
        return f"did you mean `{folded[near[0]]}`?"
    return f"{what}: {listed(names)}"


def table(node: Node, what: str) -> Table:
    """Return the mapping; `what` names it in the message where it is something else."""
    if isinstance(node, Table):
        return node
    raise Fault(node.place, f"{what} must be a mapping, not {kind(node)}; write `key: value` lines under it")


def fields(node: Node, what: str, known: Iterable[str], required: Iterable[str] = ()) -> Table:
    """Return the mapping after a look at its keys: none unknown, none missing."""
    found = table(node, what)
    for key, place in found.keys.items():
        if key not in known:
            raise Fault(place, f"unknown field {shown(key)} in {what}; {advice(key, known, 'the fields are')}")
    for key in required:
        if key not in found.keys:
            raise Fault(found.place, f"{what} has no `{key}`; add `{key}:`")
    return found


def items(node: Node, what: str) -> tuple[Node, ...]:
    """Return the elements of a list."""
    if isinstance(node, Items):
        return node.nodes
    raise Fault(node.place, f"{what} must be a list, not {kind(node)}; start each entry with `- `")


def text(node: Node, what: str, limit: int) -> str:
    """Return text of one or more characters, at most `limit`, without the white space around it."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = "quote it" if isinstance(node, Scalar) and node.written else "write some text"
        raise Fault(node.place, f"{what} must be text, not {kind(node)}; {hint}")
    value = node.value.strip()
    if not value:
        raise Fault(node.place, f"{what} is empty; write some text, or leave the field out")
    if len(value) > limit:
        raise Fault(node.place, f"{what} has {len(value)} characters; use at most {limit}")
    return value


def line(node: Node, what: str, limit: int = MAX_ID) -> str:
    """Return text on one line, as it is written: an id, a name, a parameter."""
    value = text(node, what, limit)
    if value != (node.value if isinstance(node, Scalar) else None) or "\n" in value or "\t" in value:
        raise Fault(node.place, f"{what} has space around it or is not on one line; write it without")
    return value


def identifier(node: Node, what: str) -> str:
    """Return an id of letters, digits, `-`, `_` and `.`."""
    value = line(node, what)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
        raise Fault(node.place, f"{what} {shown(value)} is no id; use letters, digits, `-`, `_` and `.` only")
    return value


def names(node: Node, what: str, limit: int = MAX_ID) -> tuple[str, ...]:
    """Return one name, or a list of different names, in file order."""
    if not isinstance(node, Items):
        return (line(node, what, limit),)
    found: list[str] = []
    for item in node.nodes:
        name = line(item, f"an entry of {what}", limit)
        if name in found:
            raise Fault(item.place, f"{shown(name)} stands twice in {what}; keep one")
        found.append(name)
    if not found:
        raise Fault(node.place, f"{what} is an empty list; name at least one, or leave the field out")
    return tuple(found)


def choice(node: Node, what: str, options: Mapping[str, T]) -> T:
    """Return what the word stands for; case counts."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value in options:
        return options[node.value]
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
        suggestion = advice(node.value, options, "the choices are")
        raise Fault(node.place, f"{what} cannot be {shown(node.value)}; {suggestion}")
    raise Fault(node.place, f"{what} cannot be {kind(node)}; the choices are: {listed(options)}")


def truth(node: Node, what: str) -> bool:
    """Return a boolean; `yes` and `on` are text."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    raise Fault(node.place, f"{what} must be true or false, not {kind(node)}; write `true` or `false`")


def integer(node: Node, what: str, least: int, most: int) -> int:
    """Return an integer within bounds; `3.0` is none."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, int):
        raise Fault(node.place, f"{what} must be an integer, not {kind(node)}; write digits only, without quotes")
    if not least <= node.value <= most:
        raise Fault(node.place, f"{what} is {node.value}; write an integer from {least} to {most}")
    return node.value


def number(node: Node, what: str) -> int | float:
    """Return a number that is kept as exactly as it is written."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        raise Fault(node.place, f"{what} must be a number, not {kind(node)}; write digits, without quotes")
    if isinstance(node.value, float) and Fraction(node.written or "") != Fraction(repr(node.value)):
        raise Fault(node.place, f"the number {shown(node.written or '')} has more digits than are kept; shorten it")
    return node.value


def millionths(node: Node, what: str, most: int) -> int:
    """Return a number from 0 to `most`, with at most six decimals, in millionths; exact, from the source text."""
    if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
        raise Fault(node.place, f"{what} must be a number, not {kind(node)}; write digits, without quotes")
    exact = Fraction(node.written or "") * 1_000_000
    if not 0 <= exact <= most * 1_000_000:
        raise Fault(node.place, f"{what} is {shown(node.written or '')}; write a number from 0 to {most}")
    if exact.denominator != 1:
        raise Fault(node.place, f"{what} has more than six decimals; round it")
    return exact.numerator


def duration(node: Node, what: str, least: int = 1, most: int = MAX_DURATION_S) -> int:
    """Return seconds: `30s`, `10m`, `2h`, `1d`."""
    word = node.value if isinstance(node, Scalar) else None
    if not isinstance(word, str) or not re.fullmatch(r"(?:0|[1-9][0-9]{0,8})[smhd]", word):
        raise Fault(node.place, f"{what} cannot be {kind(node)}; write a duration: `30s`, `10m`, `2h` or `1d`")
    seconds = int(word[:-1]) * UNITS[word[-1]]
    if not least <= seconds <= most:
        raise Fault(node.place, f"{what} is {shown(word)}; write a duration from `{least}s` to `{spelled(most)}`")
    return seconds


def pattern(node: Node, what: str) -> str:
    """Return a regular expression that RE2 takes (linear time), as it is written."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        raise Fault(node.place, f"{what} must be a pattern in quotes, not {kind(node)}; write `'…'`")
    if not node.value:
        raise Fault(node.place, f"{what} is an empty pattern, which matches everything; write a pattern")
    if len(node.value) > MAX_PATTERN:
        raise Fault(node.place, f"{what} has {len(node.value)} characters; use at most {MAX_PATTERN}")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(node.value, options)
    except re2.error as error:
        hint = "correct it (RE2 syntax: no look-around, no back-references)"
        raise Fault(node.place, f"{what} is no regular expression: {shown(_complaint(error))}; {hint}") from None
    return node.value


def _complaint(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(first)


def named(word: str, place: Place, what: str) -> str:
    """Return the name of a fact, a signal or a role: any text without space around it."""
    if not word or word != word.strip() or len(word) > 2 * MAX_ID:
        raise Fault(place, f"{shown(word)} does not name {what}; write 1 to {2 * MAX_ID} characters, no outer spaces")
    return word


def parameter(word: str, place: Place) -> str:
    """Return the name of a parameter; dots go into objects, and there is no wildcard."""
    if len(word) > MAX_PARAMETER:
        raise Fault(place, f"the parameter name has {len(word)} characters; use at most {MAX_PARAMETER}")
    if word != word.strip() or not all(word.split(".")):
        raise Fault(place, f"{shown(word)} names no parameter; write `name`, or `outer.inner` to go into an object")
    if "*" in word:
        raise Fault(place, f"{shown(word)} is no parameter name here; only `'*'` alone, in a match, is every parameter")
    return word


def json(node: Node, what: str) -> Json:
    """Return any JSON value; `null` must be written out."""
    match node:
        case Items():
            return [json(item, what) for item in node.nodes]
        case Table():
            return {key: json(item, what) for key, item in node.nodes.items()}
        case Scalar(value=None, written=""):
            raise Fault(node.place, f"{what} has no value; write one, or `null`")
        case Scalar(value=int() | float()) if not isinstance(node.value, bool):
            return number(node, what)
        case _:
            return node.value
