"""Where values were seen: an index over the passages of a session's results (R3; T1, T5, T6).

* Incremental and bounded: at most `MOST_TEXT` characters and `MOST_PASSAGES` passages; the oldest leave first. A value
  that has left is unseen, which is the restrictive reading.
* A value is found as a part of a passage, on borders of its kind (a domain is not found in the end of another), in
  every spelling of `spelling.spellings`, and with any blanks and separators inside a long number.
* What stands nowhere as a whole may be put together: an address of names and a domain, a URL of a host and a path. Then
  `exact` is False, and the sightings are those of its weakest part: no value is better than that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from navicert.intent.spelling import fold, spellings
from navicert.intent.values import Form, Passage, Sighting, Source
from navicert.model.value import Value

MOST_TEXT: Final = 2_000_000
MOST_PASSAGES: Final = 20_000
MOST_SIGHTINGS: Final = 16
MOST_DIRECTIVES: Final = 256
SEEN_TEXT: Final = 65_536
"""Characters of one result that are kept."""
_BLOCK: Final = 4_096
_TRIES: Final = 512
"""Places of one block at which one spelling is tried."""
_ENOUGH: Final = 2 * MOST_SIGHTINGS
_GROUPED: Final = 32
"""Blocks in which an account or phone number is looked for whose groups are set apart, newest first."""
_NONE: Final[deque[int]] = deque()
_REMEMBERED: Final = 256
_APART: Final = frozenset(" \n\t<>()[]{}\"'`;!|*")
"""What may stand on either side of any value."""
_LOOKED_AT: Final = 256
"""Blocks that one spelling is looked for in, newest first."""
_ASCII: Final = re.compile("[a-z0-9]+")
_TOKEN: Final = re.compile(r"[^\W_]+")
_DIRECTIVE: Final = Form.DIRECTIVE
_IMITATION: Final = Form.IMITATION
_FORMS: Final = tuple(Form)
_TELLING: Final = re.compile(
    r"[a-z][a-z0-9+.-]{1,15}://[^\s<>\"'`]{1,400}|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){0,6}"
    r"|[+]?[a-z]{0,4}\d(?:[ ./-]?[\da-z]){3,40}|[\w-]{2,64}(?:\.[\w-]{2,64}){1,6}|[^\W_]*\d[^\W_]*|[^\W\d_]{7,40}"
)
_ADDRESS: Final = re.compile(r"([\w.+'-]{1,64})@([\w-]{1,63}(?:\.[\w-]{1,63})+)")
_HOSTED: Final = re.compile(r"((?:[\w-]{1,63}\.)+[a-z]{2,24})(?::\d{1,5})?([/?#]\S*)")
_CODE: Final = re.compile(r"[(+]{0,2}[a-z]{0,6}[ .-]?\d[\da-z]*(?:[ ./()-]{1,2}[\da-z]+)*")
_JOINED: Final = frozenset("_-@+%=~")


class Seen(Value, frozen=True, kw_only=True):
    """The passages of one result, as they are stored. cut: what stood behind `SEEN_TEXT` characters is not here."""

    source: Source
    passages: tuple[Passage, ...] = ()
    cut: bool = False


def seen(source: Source, passages: Iterable[Passage]) -> Seen:
    """Return what is stored of one result."""
    kept: list[Passage] = []
    room = SEEN_TEXT
    for passage in passages:
        room -= len(passage.text)
        if room < 0:
            return Seen(source=source, passages=tuple(kept), cut=True)
        kept.append(passage)
    return Seen(source=source, passages=tuple(kept))


@lru_cache(maxsize=1024)
def _tokens(way: str) -> tuple[str, ...]:
    """Return the tokens that a block must hold in which this spelling stands."""
    tokens = _TOKEN.findall(way)[:64]
    if len(way) == 10 and way[4] == way[7] == "-":
        tokens.pop()  # a time may be written on to a date: `2024-05-15T10:00`
    return tuple(dict.fromkeys(tokens))


class _Block:
    """Passages of one source that stand together, their texts folded into one, each on a line of its own."""

    __slots__ = ("number", "passages", "source", "starts", "text", "tokens")

    def __init__(self, number: int, source: Source, passages: Sequence[Passage]) -> None:
        self.number = number
        self.source = source
        self.passages = passages
        texts = [passage.text for passage in passages]
        whole = "".join(texts)
        if not whole.isascii() or not whole.isprintable() or "  " in whole:
            texts = [fold(text) for text in texts]
        self.starts = [0, *accumulate(len(text) + 1 for text in texts)]
        self.text = "\n".join(texts).lower()
        self.tokens = frozenset((_ASCII if self.text.isascii() else _TOKEN).findall(self.text))


class Index:
    """What one session has seen. Not for two threads at once."""

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque()
        self._first = 0
        self._next = 0
        self._of: dict[str, deque[int]] = {}
        self._text = 0
        self._passages = 0
        self._directives: deque[tuple[Source, Passage]] = deque(maxlen=MOST_DIRECTIVES)
        self._posing: deque[tuple[Source, Passage]] = deque()  # many orders do not drive out what poses
        self._found: dict[str, tuple[Sighting, ...]] = {}

    def add(self, source: Source, passages: Sequence[Passage]) -> None:
        """Take in the passages of one result."""
        self._found.clear()
        size = start = 0
        for place, passage in enumerate(passages):
            size += len(passage.text) + 1
            if passage.form is _DIRECTIVE:
                self._directives.append((source, passage))
            elif passage.form is _IMITATION:
                self._posing.append((source, passage))
            if size >= _BLOCK:
                self._append(source, passages[start : place + 1])
                start, size = place + 1, 0
        if start < len(passages):
            self._append(source, passages[start:])

    def load(self, item: Seen) -> None:
        """Take in what was stored of one result."""
        self.add(item.source, item.passages)

    def sources(self) -> tuple[Source, ...]:
        """Return the sources of what is held, oldest first."""
        return tuple({id(block.source): block.source for block in self._blocks}.values())

    def directives(self) -> Sequence[tuple[Source, Passage]]:
        """Return what ordered, at most `MOST_DIRECTIVES`, and then all that posed; of each the newest last."""
        return (*self._directives, *self._posing)

    def near(self, sighting: Sighting) -> tuple[Passage, ...]:
        """Return the passages of the same record of the same result, the sighting's own among them."""
        record = sighting.passage.record
        if record == 0:
            return (sighting.passage,)
        return tuple(
            passage
            for block in self._blocks
            if block.source == sighting.source
            for passage in block.passages
            if passage.record == record
        )

    def find(self, value: str | float) -> tuple[Sighting, ...]:
        """Return where a value was seen, best form first; of one that is put together, those of its weakest part."""
        text = value if isinstance(value, str) else repr(value)
        known = self._found.get(text)
        if known is None:
            known = self._look(text)
            if len(self._found) < _REMEMBERED:
                self._found[text] = known
        return known

    def _look(self, text: str) -> tuple[Sighting, ...]:
        ways = spellings(text)
        if not ways:
            return ()
        found = self._whole(ways) or self._spaced(ways[0])
        return _ranked(found, exact=True) if found else self._together(ways[0])

    def parts(self, value: str) -> tuple[Sighting, ...]:
        """Return where the telling parts of a longer text were seen: addresses, URLs, numbers, ids, rare words."""
        found: dict[tuple[int, int], tuple[Source, Passage]] = {}
        for token in dict.fromkeys(_TELLING.findall(fold(value[:20_000]))):
            if token.isalpha() and len(self._of.get(token, ())) > 2:
                continue
            found |= self._whole(spellings(token.strip(".,-'")))
            if len(found) >= _ENOUGH:
                break
        return _ranked(found, exact=False)

    # ------------------------------------------------------------------------------------------------ holding

    def _append(self, source: Source, passages: Sequence[Passage]) -> None:
        block = _Block(self._next, source, passages)
        self._next += 1
        self._blocks.append(block)
        self._text += len(block.text)
        self._passages += len(passages)
        number = block.number
        of = self._of
        for token in block.tokens:
            try:
                of[token].append(number)
            except KeyError:
                of[token] = deque((number,))
        while self._text > MOST_TEXT or self._passages > MOST_PASSAGES:
            self._leave()

    def _leave(self) -> None:
        block = self._blocks.popleft()
        self._first += 1
        self._text -= len(block.text)
        self._passages -= len(block.passages)
        for token in block.tokens:
            numbers = self._of[token]
            numbers.popleft()
            if not numbers:
                del self._of[token]
        if self._blocks and self._blocks[0].source is block.source:
            return
        for told in (self._directives, self._posing):
            while told and told[0][0] is block.source:
                told.popleft()

    # ------------------------------------------------------------------------------------------------ looking

    def _whole(self, ways: Iterable[str]) -> dict[tuple[int, int], tuple[Source, Passage]]:
        """Look for any of these spellings, on borders."""
        found: dict[tuple[int, int], tuple[Source, Passage]] = {}
        for way in ways:
            rarest: deque[int] | None = None
            for token in _tokens(way):
                numbers = self._of.get(token)
                if numbers is None:
                    rarest = None
                    break
                if rarest is None or len(numbers) < len(rarest):
                    rarest = numbers
            if rarest is None:
                continue
            for number in self._newest(rarest):
                block = self._blocks[number - self._first]
                if way not in block.text:
                    continue
                for place in _places(block.text, way):
                    row = bisect_right(block.starts, place) - 1
                    found[number, row] = block.source, block.passages[row]
                if len(found) >= _ENOUGH:
                    return found
        return found

    @staticmethod
    def _newest(numbers: deque[int]) -> Iterable[int]:
        if len(numbers) <= _LOOKED_AT:
            return reversed(numbers)
        return [numbers[-place] for place in range(1, _LOOKED_AT + 1)]

    def _spaced(self, value: str) -> dict[tuple[int, int], tuple[Source, Passage]]:
        """Look for an account, a phone number or a code whose groups are set apart in another way."""
        if not _CODE.fullmatch(value.strip()):
            return {}
        bare = "".join(_TOKEN.findall(value))
        if not 6 <= len(bare) <= 40 or sum(map(str.isdigit, bare)) < 6:
            return {}
        heads = self._blocks_of(bare[:size] for size in range(1, len(bare) + 1))
        both = heads and heads & self._blocks_of(bare[-size:] for size in range(1, len(bare) + 1))
        if not both:
            return {}
        pattern = re.compile(r"(?<![^\W_])" + "[ ./()-]{0,2}".join(bare) + r"(?![^\W_])")
        found = {}
        for number in sorted(both, reverse=True)[:_GROUPED]:
            block = self._blocks[number - self._first]
            for hit in pattern.finditer(block.text):
                row = bisect_right(block.starts, hit.start()) - 1
                found[number, row] = block.source, block.passages[row]
        return found

    def _blocks_of(self, tokens: Iterable[str]) -> set[int]:
        """Return the newest blocks that hold one of these tokens."""
        found: set[int] = set()
        for token in tokens:
            found.update(self._newest(self._of.get(token, _NONE)))
        return found

    def _together(self, value: str) -> tuple[Sighting, ...]:
        """Return the sightings of the weakest part of a value that stands nowhere whole; () where a part is unseen."""
        pieces = [item for item in _pieces(value) if item]
        weakest: tuple[int, tuple[Sighting, ...]] | None = None
        for piece in pieces:
            found = _ranked(self._whole((piece,)), exact=False)
            if not found:
                return ()
            rank = _FORMS.index(found[0].passage.form)
            if weakest is None or rank > weakest[0]:
                weakest = rank, found
        return () if weakest is None else weakest[1]


def _pieces(value: str) -> list[str]:
    """Return the parts of which a value may have been put together; [] where it is not of that kind."""
    value = value.strip(" <>\"'()[]{},;")
    if address := _ADDRESS.fullmatch(value):
        return [*_TOKEN.findall(address[1]), address[2]]
    bare = re.sub(r"^(?:[a-z][a-z0-9+.-]*://)?(?:www\.)?", "", value, count=1)
    if hosted := _HOSTED.fullmatch(bare):
        return [hosted[1], *_TOKEN.findall(hosted[2])]
    return []


def _places(text: str, value: str) -> Iterator[int]:
    """Yield where a value stands in the lines of a text, on the borders that its kind asks for; once for each line."""
    size = len(value)
    first, last = value[0], value[-1]
    number = value.replace(".", "").replace(",", "").isdigit()
    address = "@" in value
    host = not number and not address and "." in value and " " not in value
    joined = address or host
    path = "/" in value
    at = text.find(value)
    for _ in range(_TRIES):
        if at < 0:
            return
        end = at + size
        before = text[at - 1] if at else "\n"
        after = text[end] if end < len(text) else "\n"
        if (before in _APART or _border(before, first, text, at, number=number, joined=joined, host=host)) and (
            after in _APART or _end(after, last, text, end, number=number, joined=joined, path=path)
        ):
            yield at
            end = text.find("\n", end)
            at = text.find(value, end) if end >= 0 else -1
        else:
            at = text.find(value, at + 1)


def _border(before: str, first: str, text: str, at: int, *, number: bool, joined: bool, host: bool) -> bool:
    if before.isalnum():
        return not first.isalnum()
    if number:
        return not (before in ".,:/-" and at > 1 and text[at - 2].isdigit())
    if joined:
        if before in _JOINED:
            return before == "=" or (before == "@" and host)
        if before == ".":
            return at < 2 or not text[at - 2].isalnum() or text.startswith("www.", at - 4)
    return True


def _end(after: str, last: str, text: str, end: int, *, number: bool, joined: bool, path: bool) -> bool:
    if after.isalnum():
        return not last.isalnum() or (after == "t" and text[end - 3] == text[end - 6] == "-")  # a date before its time
    follows = text[end + 1] if end + 1 < len(text) else "\n"
    if number:
        return not (after in ".,:/-" and follows.isdigit())
    if joined:
        if after == "/":
            return not path or not (
                follows.isalnum() or follows in "?#%&=~_-" or text[end + 1 : end + 3].strip(".").isalnum()
            )
        return (after in "?#" and not path) or not (after in "_-@%=~&?#" or (after == "." and follows.isalnum()))
    return True


def _ranked(found: dict[tuple[int, int], tuple[Source, Passage]], *, exact: bool) -> tuple[Sighting, ...]:
    """Return the best sightings: by form, and of one form the newest first."""
    order = sorted((_FORMS.index(passage.form), -number, -row) for (number, row), (_, passage) in found.items())
    best = (found[-number, -row] for _, number, row in order[:MOST_SIGHTINGS])
    return tuple(Sighting(source=source, passage=passage, exact=exact) for source, passage in best)
