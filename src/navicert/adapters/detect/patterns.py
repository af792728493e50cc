"""Finds personal data, money, health and secrets by pattern: labels what was read, measures what is sent (R2.b).

* Linear time whatever the text: RE2 only, a limit of 256 KiB; no waiting, so it runs inline.
* One automaton looks for all triggers at once; only what it hits is looked at again, with checksum and context
  (rules.py, confirm.py).
* Disguises (attack cases C.8): the text is looked at as it is and in its normal form; percent-encoded, base64 and hex
  are decoded once; tokens whose form is proof are also found in rot13, spaced out, and split over two parameters.
* What cannot be looked at is not clean: binary, oversized, or hiding more encoded text than is decoded gives
  `looked=False`, and then counts as highest (R2.c).
* Nothing that was found leaves this module: a finding names categories, and a span places, never values.
"""

from __future__ import annotations

import functools
import threading
import unicodedata
import urllib.parse
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol, cast

import re2

from navicert.adapters.detect import disguises
from navicert.adapters.detect.confirm import Match, Pattern, compiled, options
from navicert.adapters.detect.rules import ADDRESSING, CREDENTIAL, LEVELS, RULES, Rule
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import Unavailable
from navicert.model.labels import NOTHING, Labels
from navicert.model.signals import Finding
from navicert.model.value import Json
from navicert.ports import Span

TEXT_LIMIT = 256 * 1024
"""Bytes of UTF-8 that are looked at; more is `looked=False`."""

PLACES_LIMIT = 8192
"""So many places are located in one text; each costs far more than knowing that there is one."""

_UNPRINTABLE_SHARE = 10
"""Per cent of unprintable characters beyond which a text is binary."""

_CONTROLS = bytes(each for each in range(32) if each not in b"\t\n\r\f\v\b\x1b") + b"\x7f"


_Place = tuple[int, int, int, int, tuple[str, ...]]
"""In bytes: begins, start, end, least (`ports.Span`), and the categories."""


class _Set(Protocol):
    def Match(self, data: bytes, /) -> list[int] | None: ...  # noqa: N802 - re2's name


class _Engine:
    """The compiled rules. Any number of threads may look at once."""

    def __init__(self) -> None:
        self._exact = [compiled(rule.exact) for rule in RULES]
        self._first = _set([*(rule.trigger or rule.exact for rule in RULES), *disguises.TRIGGERS.values()])
        self._disguises = dict(enumerate(disguises.TRIGGERS, len(RULES)))
        self._token_places = [place for place, rule in enumerate(RULES) if rule.distinctive]
        self._tokens = _set(RULES[place].trigger or RULES[place].exact for place in self._token_places)

    def look(self, data: bytes, found: set[str], skip: frozenset[str] = frozenset()) -> None:
        """Add to `found` the categories in the text, disguises included; raises `TooMuch`."""
        worn = self._look_at(data, found, skip)
        if "percent" in worn:
            self._look_at(urllib.parse.unquote_to_bytes(data), found, skip)
        if "encoded" in worn and (text := disguises.decoded(data)):
            self._look_at(text, found, skip)
        self.look_for_tokens(disguises.rot13(data), found)
        if "spaced" in worn:
            for run in disguises.unspaced(data):
                self.look_for_tokens(run, found)

    def look_for_tokens(self, data: bytes, found: set[str]) -> None:
        """Add to `found` the category of the tokens in the text whose form alone is proof."""
        if CREDENTIAL not in found:
            for hit in _hits(self._tokens, data):
                self._confirm(self._token_places[hit], data, found)

    def places(self, data: bytes, *, tokens: bool) -> Iterator[_Place]:
        """Yield where it is what `look` finds, by the same rules; of disguises, base64 and hex. tokens: those alone."""
        together, numbers = (self._tokens, self._token_places) if tokens else (self._first, range(len(RULES)))
        for hit in _hits(together, data):
            if not tokens and hit in self._disguises:
                continue
            rule, exact, end = RULES[numbers[hit]], self._exact[numbers[hit]], 0
            for match in _matches(rule, exact, data):
                start, least = match.start(rule.value), match.end(rule.value)
                if least > end:  # else it lies in the one before; so that nothing is gone over again and again
                    end = rule.reach(data, start, least) if rule.reach else least
                    yield match.start(), start, end, least, rule.categories
        for (start, end), text in () if tokens else disguises.runs(data):
            found: set[str] = set()
            self._look_at(text, found, frozenset())
            if found:
                yield start, start, end, end, tuple(found)

    def _look_at(self, data: bytes, found: set[str], skip: frozenset[str]) -> set[str]:
        worn = set()
        for hit in _hits(self._first, data):
            if hit in self._disguises:
                worn.add(self._disguises[hit])
            elif RULES[hit].name not in skip:
                self._confirm(hit, data, found)
        return worn

    def _confirm(self, place: int, data: bytes, found: set[str]) -> None:
        rule = RULES[place]
        if not found.issuperset(rule.categories) and _confirmed(rule, self._exact[place], data):
            found.update(rule.categories)


def _set(patterns: Iterable[bytes]) -> _Set:
    """Return one automaton for all patterns. It also hits the end of every text: silence then means that it failed."""
    together = re2.Set.SearchSet(options())
    for pattern in (*patterns, rb"\z"):
        together.Add(pattern)
    together.Compile()
    return cast("_Set", together)


def _hits(together: _Set, data: bytes) -> list[int]:
    places = together.Match(data)
    if not places:
        raise Unavailable("patterns: the automaton ran out of memory; label this source by rule")
    return sorted(places)[:-1]


def _confirmed(rule: Rule, exact: Pattern, data: bytes) -> bool:
    return next(_matches(rule, exact, data), None) is not None


def _matches(rule: Rule, exact: Pattern, data: bytes) -> Iterator[Match]:
    if not rule.again:
        for match in exact.finditer(data):
            if rule.confirm is None or rule.confirm(data, match):
                yield match
        return
    found = exact.search(data)
    while found is not None:
        confirmed = rule.confirm is None or rule.confirm(data, found)
        if confirmed:
            yield found
        found = exact.search(data, found.end() if confirmed else found.start() + 1)


def _bytes(text: str) -> bytes | None:
    """Return the text's bytes, or None where it is oversized or binary."""
    if len(text) > TEXT_LIMIT:
        return None
    data = text.encode("utf-8", "surrogatepass")
    strange = len(data) - len(data.translate(None, _CONTROLS))
    if not text.isascii():
        kinds = {each: unicodedata.category(each) for each in set(text) if each >= "\x7f"}
        strange += sum(
            text.count(each) for each, kind in kinds.items() if kind in {"Cc", "Cs", "Cn"} or each == "\ufffd"
        )
    if len(data) > TEXT_LIMIT or b"\0" in data or strange * 100 > len(text) * _UNPRINTABLE_SHARE:
        return None
    return data


@functools.cache
def _made() -> _Engine:
    return _Engine()


_making = threading.Lock()


def _engine() -> _Engine:
    with _making:
        return _made()


def _found(text: str, skip: frozenset[str] = frozenset(), glued: str = "") -> set[str] | None:
    """Return the categories in the text, and in `glued` (tokens only); None where it cannot be looked at."""
    data = _bytes(text)
    if data is None:
        return None
    found: set[str] = set()
    engine = _engine()
    try:
        engine.look(data, found, skip)
        if len(data) != len(text) and (normal := disguises.normal_form(text)) != text:
            folded = _bytes(normal)
            if folded is None:
                return None
            engine.look(folded, found, skip)
    except disguises.TooMuch:
        return None
    if glued:
        engine.look_for_tokens(glued.encode("utf-8", "surrogatepass"), found)
    return found


def _labels(found: Iterable[str]) -> Labels:
    categories = tuple(sorted(found))
    return Labels(level=max(LEVELS[each] for each in categories), categories=categories) if categories else NOTHING


class PatternClassifier:
    """A `Classifier`: labels the text of a result. Clean text gives `NOTHING`, which is a classification (R2.b).

    A `Locator` too, for whoever redacts: by the same rules. Of what is in disguise it locates base64 and hex.
    """

    name = "patterns"
    inline = True

    def classify(self, text: str) -> Finding:
        """Return the labels of what is found; `looked=False` for binary or oversized text."""
        found = _found(text)
        return Finding(looked=False) if found is None else Finding(labels=_labels(found))

    def locate(self, text: str, *, glued: bool) -> list[Span]:
        """Return where it is what is found. glued: tokens only.

        Raises `Unavailable` for binary or oversized text, and for more than `PLACES_LIMIT` places.
        """
        data = _bytes(text)
        if data is None:
            raise Unavailable("patterns: the text is binary or too long")
        try:
            found = [*islice(_engine().places(data, tokens=glued), PLACES_LIMIT + 1)]
        except disguises.TooMuch:
            raise Unavailable("patterns: more is encoded in the text than is decoded") from None
        if len(found) > PLACES_LIMIT:
            raise Unavailable(f"patterns: there is something to redact in more than {PLACES_LIMIT} places")
        place, labels = _characters(text, data), {category: _labels((category,)) for category in LEVELS}
        return [
            Span(place(begins, 0), place(start, 0), place(end, 1), place(least, 1), labels[category])
            for begins, start, end, least, categories in found
            for category in categories
        ]


def _characters(text: str, data: bytes) -> Callable[[int, int], int]:
    """Return what tells the character of a byte: the one it is in; with 1, the next, unless it is the first byte."""
    if len(text) == len(data):
        return lambda place, _: place
    starts = [place for place, byte in enumerate(data) if byte & 0xC0 != 0x80]
    return lambda place, after: bisect_left(starts, place) if after else bisect_right(starts, place) - 1


class ParameterPatterns:
    """A `Detector`: what an action would carry away. It reads every string, whole number and key of the parameters.

    An address in a destination parameter (`to`) says where the action goes, not what it holds: there e-mail addresses
    and telephone numbers are not counted, unless they stand in a URL. All else is.
    """

    name = "patterns"
    signals = ("sensitive_categories", "sensitive_level")
    inline = True

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:  # noqa: ARG002
        """Return `sensitive_categories` (sorted) and `sensitive_level` (a name); no values where it could not look."""
        destinations = action.profile.destination if action.profile else ()
        content: list[str] = []
        addresses: list[str] = []
        pieces: list[str] = []
        for top, key, text in _leaves(parameters):
            place = addresses if top in destinations and not set(text) & set("/?=") else content
            place.append(f"{key}: {text}")
            pieces.append(text)
        found = _found("\n".join(content), glued="".join(pieces))
        goal = _found("\n".join(addresses), skip=ADDRESSING) if addresses else set()
        if found is None or goal is None:
            return Finding(looked=False)
        labels = _labels(found | goal)
        return Finding(
            values={"sensitive_categories": list(labels.categories), "sensitive_level": labels.level.name},
            labels=labels,
        )


def _leaves(parameters: Mapping[str, Json]) -> Iterator[tuple[str, str, str]]:
    """Yield the parameter, the nearest key and the own text of every value, in order; a container has none."""
    waiting: list[tuple[str, str, Json]] = [(key, key, value) for key, value in reversed(list(parameters.items()))]
    while waiting:
        top, key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((top, inner, each) for inner, each in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend((top, key, each) for each in reversed(value))
        yield top, key, _own_text(value)


def _own_text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
