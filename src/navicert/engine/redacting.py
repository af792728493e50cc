"""Redacting: what was recognised in a result is blanked, leaf by leaf, and nothing else of it changes (R2).

* A result is its JSON. Only its strings and keys can change; order, numbers (with their source text) and shape stay.
* Where what was recognised stands in a text is said by the classifier that labels by it: there is one recogniser. It
  looks at the whole result, so that a key says what its value is; such a value is blanked whole.
* The strings are also looked at put together, all of them and those under one key (the `text` of several blocks), since
  whoever reads them puts them together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from navicert.core.canonical import Number, parse_json
from navicert.ports import Span

_text = msgspec.json.Encoder().encode


class _Leaf(NamedTuple):
    """Where a string or a key stands in the plain text, and its number among the strings; None for a key."""

    start: int
    end: int
    string: int | None


class _Glued(NamedTuple):
    """Strings put together: where each ends in the text, and its number."""

    text: str
    ends: list[int]
    numbers: list[int]


class Document:
    """One result, taken apart. text: as it is looked at. glued: its strings put together, in each way there is."""

    def __init__(self, data: bytes) -> None:
        """Take a result apart; raises `InvalidAction` for JSON without a single meaning."""
        self._tree = parse_json(data, "the result's bytes")
        self._leaves: list[_Leaf] = []
        self._strings: list[str] = []
        self._under: dict[str, list[int]] = defaultdict(list)
        parts: list[str] = []
        self._take(self._tree, parts, 0, "")
        self.text = "".join(parts)
        several = [numbers for numbers in self._under.values() if len(numbers) > 1]
        ways = [[*range(len(self._strings))], [number for numbers in several for number in numbers]]
        self.glued = [self._together(way) for way in ways[: 2 if len(self._under) > 1 else 1] if len(way) > 1]

    def _together(self, numbers: list[int]) -> _Glued:
        texts = [self._strings[number] for number in numbers]
        return _Glued("".join(texts), list(accumulate(map(len, texts))), numbers)

    def _take(self, value: Any, parts: list[str], at: int, under: str) -> int:
        """Add the plain text of a value: JSON, but no string is escaped. Returns where it ends."""

        def add(text: str) -> None:
            nonlocal at
            parts.append(text)
            at += len(text)

        def leaf(text: str, string: int | None) -> None:
            self._leaves.append(_Leaf(at, at + len(text), string))
            add(text)

        if type(value) is dict:
            for number, (key, item) in enumerate(value.items()):
                add(',"' if number else '{"')
                leaf(key, None)
                add('":')
                at = self._take(item, parts, at, key)
            add("}" if value else "{}")
        elif type(value) is list:
            for number, item in enumerate(value):
                add("," if number else "[")
                at = self._take(item, parts, at, under)
            add("]" if value else "[]")
        elif type(value) is str:
            quote = "" if value is self._tree else '"'
            add(quote)
            leaf(value, len(self._strings))
            self._under[under].append(len(self._strings))
            self._strings.append(value)
            add(quote)
        else:
            add(_written(value))
        return at

    def blanked(self, spans: Iterable[Span], *glued: Iterable[Span]) -> bytes | None:
        """Return the JSON without what stands there, `[redacted: CATEGORY]` in its place; None where nothing changes.

        spans: of `text`. glued: of each of `glued`; what lies in one string is a span of `text` too, and left to that.
        """
        cuts: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
        for span in spans:
            for place, start, end in self._hit(span):
                cuts[place].append((start, end, span.category))
        strings = [place for place, item in enumerate(self._leaves) if item.string is not None]
        for (_, ends, numbers), found in zip(self.glued, glued, strict=False):
            for span in found:
                first, last = bisect_right(ends, span.start), bisect_right(ends, span.least - 1)
                for place in range(first, last + 1) if first < last else ():
                    begin = ends[place] - len(self._strings[numbers[place]])
                    start, end = max(span.start, begin) - begin, min(span.end, ends[place]) - begin
                    cuts[strings[numbers[place]]].append((start, end, span.category))
        if not cuts:
            return None
        texts = iter(range(len(self._leaves)))

        def seen(text: str) -> str:
            return _cut(text, cuts[place]) if (place := next(texts)) in cuts else text

        return _written(_mapped(self._tree, seen)).encode()

    def _hit(self, span: Span) -> list[tuple[int, int, int]]:
        """Return what a span cuts, by place, start and end in it: of the strings, and of keys where it hits no string.

        What it is named by stands before it: where that is outside of a string, all of the string is the value.
        """
        found = []
        for place in range(bisect_right(self._leaves, span.start, key=lambda item: item.end), len(self._leaves)):
            begin, end, _ = self._leaves[place]
            if begin >= span.end:
                break
            whole = span.begins < begin
            start, stop = (begin, end) if whole else (max(span.start, begin), min(span.end, end))
            found.append((place, start - begin, stop - begin))
        strings = [hit for hit in found if self._leaves[hit[0]].string is not None]
        return strings or found


def _cut(text: str, cuts: list[tuple[int, int, str]]) -> str:
    """Return the text without these parts; parts that overlap or touch become one, named by all their categories."""
    made, at = "", 0
    merged: list[tuple[int, int, set[str]]] = []
    for start, end, category in sorted(cuts):
        if merged and start <= merged[-1][1]:
            before = merged.pop()
            merged.append((before[0], max(end, before[1]), {*before[2], category}))
        else:
            merged.append((start, end, {category}))
    for start, end, categories in merged:
        made += f"{text[at:start]}[redacted: {', '.join(sorted(categories))}]"
        at = end
    return made + text[at:]


def _mapped(value: Any, seen: Callable[[str], str]) -> Any:
    """Return the tree with every key and string as `seen` has it; keys that become the same are numbered."""
    if type(value) is dict:
        made: dict[str, Any] = {}
        for key, item in value.items():
            name = base = seen(key)
            number = 1
            while name in made or (name != key and name in value):
                number += 1
                name = f"{base} {number}"
            made[name] = _mapped(item, seen)
        return made
    if type(value) is list:
        return [_mapped(item, seen) for item in value]
    return seen(value) if type(value) is str else value


def _written(value: Any) -> str:
    """Return JSON text of a tree from `parse_json`, members in order, numbers as they came."""
    kind = type(value)
    if kind is Number:
        return str(value)
    if kind is dict:
        return "{" + ",".join(f"{_text(key).decode()}:{_written(item)}" for key, item in value.items()) + "}"
    if kind is list:
        return "[" + ",".join(map(_written, value)) + "]"
    return _text(value).decode()
