"""What differs between two definitions of a server (tool, prompt, template), place by place; exact, and safe to print.

* A place is where a value stands: `inputSchema.properties.path.type`. The order of members tells nothing, as in what a
  definition is pinned by; numbers keep their text, so that 1 and 1.0 are two.
* Nothing is left out, however long: what is not shown could be what the operator should have seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from navicert.cli.terminal import wrap
from navicert.core.inert import inert

if TYPE_CHECKING:
    from navicert.cli.terminal import Terminal

_WORDS: Final = re.compile(r"\w+|\s+|.", re.DOTALL)
_MOST_WORDS: Final = 4_000
"""Of longer texts no words are set off: that would take longer than reading them."""
_PLAIN: Final = re.compile(r"[A-Za-z_$][\w$-]*")


class Difference(NamedTuple):
    """One place at which two definitions differ: JSON text, None where there is nothing."""

    at: str
    before: str | None
    now: str | None


def differences(before: str | None, now: str | None) -> list[Difference]:
    """Return where two definitions (as JSON text, None for none) differ: what is written for people first."""
    old, new = (dict(_leaves(before)), dict(_leaves(now)))
    found = [Difference(at, old.get(at), new.get(at)) for at in {**old, **new} if old.get(at) != new.get(at)]
    return sorted(found, key=lambda each: (each.at not in {"title", "description"}, each.at))


def _leaves(text: str | None) -> Iterator[tuple[str, str]]:
    """Yield each value of a definition that holds no other, with its place; an empty object or list is one."""
    from navicert.core.canonical import parse_parameters
    from navicert.gateway.message import write

    def walk(at: str, value: Any) -> Iterator[tuple[str, str]]:
        if type(value) is dict and value:
            for key, item in value.items():
                name = key if _PLAIN.fullmatch(key) else f"[{write(key)}]"
                yield from walk(f"{at}.{name}" if at and name is key else at + name, item)
        elif type(value) is list and any(type(item) in (dict, list) for item in value):
            for index, item in enumerate(value):
                yield from walk(f"{at}[{index}]", item)
        else:
            yield at, write(value)

    if text is not None:
        yield from walk("", parse_parameters(text.encode()))


def show(out: Terminal, found: list[Difference]) -> None:
    """Show differences: each place, what stood there after `-`, what stands there after `+`, wrapped."""
    for each in found:
        before, now = (inert(text) if text is not None else None for text in each[1:])
        out.say("    " + out.style(inert(each.at), "bold"))
        kept = _kept(before or "", now or "")
        for sign, text, colour, spans in (("-", before, "red", kept[0]), ("+", now, "green", kept[1])):
            if text is not None:
                _say(out, sign, text, colour, spans)


def _kept(before: str, now: str) -> tuple[list[bool], list[bool]]:
    """Tell of each character of two texts whether its word is in both."""
    old, new = _WORDS.findall(before), _WORDS.findall(now)
    if not (old and new) or len(old) + len(new) > _MOST_WORDS:
        return [False] * len(before), [False] * len(now)
    same: tuple[set[int], set[int]] = (set(), set())
    for a, b, size in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        same[0].update(range(a, a + size))
        same[1].update(range(b, b + size))
    first, second = (
        [index in found for index, word in enumerate(words) for _ in word]
        for words, found in ((old, same[0]), (new, same[1]))
    )
    return first, second


def _say(out: Terminal, sign: str, text: str, colour: str, kept: list[bool]) -> None:
    at = 0
    for number, line in enumerate(wrap(text, out.width - 8)):
        begin = text.find(line, at)
        at = begin + len(line)
        head = out.style(sign, colour) if number == 0 else " "
        out.say(f"      {head} {_styled(out, line, colour, kept[begin:at])}")


def _styled(out: Terminal, line: str, colour: str, kept: list[bool]) -> str:
    found, begin = "", 0
    for end in range(1, len(line) + 1):
        if end == len(line) or kept[end] != kept[begin]:
            found += line[begin:end] if kept[begin] else out.style(line[begin:end], colour, "bold")
            begin = end
    return found
