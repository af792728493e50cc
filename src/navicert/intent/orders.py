"""The verbs of a sentence that stand where an order, or its opposite, can stand (R3).

One walk over the words, from left to right. At each word the walk knows whether a verb right here would order
something: it would at the start of a sentence or clause, behind an opening ("please", "could you"), and coordinated
with a verb that does. Everywhere else a verb tells, and orders nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from navicert.intent import phrases as say
from navicert.intent.tokens import Token
from navicert.intent.verbs import PHRASES, VERBS, effects_of, is_light, lemma
from navicert.model.action import Effect

Span = tuple[Token, ...]
END: Final = Token(".", "", ".")


class Mark(NamedTuple):
    """A verb that orders or refuses. start, place, end: its opening, itself, and the first token behind it.

    noun: a noun that is an order by itself. passive: the object stands before it ("have the report sent").
    """

    start: int
    place: int
    end: int
    verb: str
    refuses: bool = False
    noun: bool = False
    passive: bool = False


def marks(sentence: Span) -> list[Mark]:
    """Return the verbs of a sentence that order or refuse, in order."""
    if any(token.text in say.FOREIGN for token in sentence):
        return []
    walk = _Walk(sentence)
    while walk.place < len(sentence):
        walk.step()
    return walk.marks


def follower(sentence: Span, place: int) -> Token:
    """Return the token behind this one; the end of a sentence behind the last."""
    return sentence[place + 1] if place + 1 < len(sentence) else END


def participle(token: Token) -> bool:
    """Tell whether a word is a verb's participle: `sent`, `deleted`."""
    verb = lemma(token.low)
    return verb != token.low and (verb in VERBS or verb in say.IMPLIED) and not token.low.endswith(("ing", "s"))


def kindly(sentence: Span) -> bool:
    """Tell whether a sentence asks by way of a compliment: "it would be great if you could …"."""
    return any(token.low in say.KIND_WORDS or token.low in {"wondering", "hoping"} for token in sentence)


_OPENINGS: Final[dict[str, list[tuple[tuple[str, ...], str]]]] = {}
for _phrases, _kind in ((say.ASKS, "ask"), (say.REFUSES, "refuse"), (say.TELLS, "tell")):
    for _phrase in _phrases.split("|"):
        _OPENINGS.setdefault(_phrase.split()[0], []).append((tuple(_phrase.split()), _kind))
for _list in _OPENINGS.values():
    _list.sort(key=lambda each: -len(each[0]))
_PAIRS: Final = frozenset("-".join(pair) for pair in PHRASES)
_FIRST_OF_TWO: Final = {two.partition("-")[0] for two in (*_PAIRS, *say.TWO_WORDS)}
_PARTICLES: Final = {two.partition("-")[2] for two in (*_PAIRS, *say.TWO_WORDS)}
_PARTED: Final = frozenset({"up", "off", "out", "back", "down", "know", "in"})
"""Particles that can stand behind the object: "turn the lights off"."""
_CANNOT: Final = frozenset({"cannot", "can't", "won't", "will", "can", "would", "wouldn't", "doesn't", "does"})
_ADVERB: Final = 4
"""A longer word in `-ly` is an adverb; "fly" is none."""
_REACHES: Final = frozenset({"text", "message", "email", "mail", "write", "call"})
"""What follows these is for somebody else only behind `to`: "write it to a.md and send it" is all the agent's."""
_NOTHING: Final = frozenset({"nothing", "no", "none", "nobody"})


class _Walk:
    """Where the walk stands, and what it knows.

    expect: a verb here orders. opened: an opening said so. strict: it does only if its object follows. gerund: `-ing`
    does too. refuses: it refuses. asking: the sentence asks or tells. intro: it began with a circumstance. subordinate,
    blocked: inside a clause of condition or time, or one that says what can be or is done. others: inside what somebody
    else is to do. ensured, caused: behind "make sure that", "have …".
    """

    __slots__ = (
        "asking", "blocked", "caused", "ensured", "expect", "gerund", "intro", "lows", "marks", "opened", "others",
        "place",        "refuses", "relative", "sentence", "start", "started", "strict", "subordinate",
    )  # fmt: skip

    def __init__(self, sentence: Span) -> None:
        self.sentence = sentence
        self.lows = tuple(token.low for token in sentence)
        self.marks: list[Mark] = []
        self.place = self.start = self.relative = 0
        self.expect = True
        self.opened = self.gerund = self.strict = self.refuses = False
        self.asking = self.intro = self.subordinate = self.blocked = self.others = False
        self.started = self.ensured = False
        self.caused = ""

    def step(self) -> None:
        """Take the next word, or the words that belong together."""
        token = self.sentence[self.place]
        if token.low in _OPENINGS and token.kind == "w" and self.opening():
            return
        if token.kind == "p":
            self.stop(token.low)
        elif self.expect:
            self.expected(token)
            return
        elif self.inside(token):
            return
        self.place += 1

    def mark(self, place: int, end: int, verb: str, **more: bool) -> None:
        """Note a verb, and go on behind it."""
        self.marks.append(Mark(min(self.start, place), place, end, verb, **more))
        self.expect = self.opened = self.gerund = self.strict = self.intro = False
        self.started = True
        self.place = end

    def await_verb(self, *, strict: bool = False) -> None:
        """From here on a verb orders."""
        self.expect, self.strict = True, strict
        self.opened = self.gerund = False
        self.start = self.place + 1

    # -------------------------------------------------------------------------------------------- openings

    def opening(self) -> bool:
        """Take an opening: "could you please", "do not", "how do I"."""
        found = self._longest()
        if found is None:
            return False
        words, kind = found
        first, last, before = words[0], self.place + len(words), self._before()
        if first in {"have", "need", "do"} and last < len(self.sentence) and self.sentence[last].low == "be":
            self.place = last
            return True
        if len(words) == 1 and not self.expect and first in {"help", "stop", "avoid"}:
            self.place = last
            return True
        if kind == "tell" and self.expect and first in {"remind", "tell", "ask"}:
            self.mark(self.place, self.place + 2, first)
            self.others = True
            self.place = last
            return True
        kind = self._meant(first, before, kind)
        self.ensured = self.ensured or first in {"ensure", "make", "be"}
        if kind == "tell":
            self.expect, self.blocked, self.asking = False, True, True
        else:
            if not self.expect or not self.refuses:
                self.start = self.place
            self.opened = True
            self.gerund = words[-1] in say.GERUNDS or kind == "refuse"
            self.strict = self.subordinate = False
            self.refuses = kind == "refuse" or (self.refuses and self.expect)
            self.blocked = self.blocked and self.refuses
            self.expect = True
        self.caused = "have" if words[-1] in {"want", "need", "like"} else self.caused
        self.started = True
        self.place = last
        return True

    def _longest(self) -> tuple[tuple[str, ...], str] | None:
        for words, kind in _OPENINGS[self.lows[self.place]]:
            if self.lows[self.place : self.place + len(words)] == words:
                return words, kind
        return None

    def _before(self) -> str:
        return self.sentence[self.place - 1].low if self.place else ""

    def _meant(self, first: str, before: str, kind: str) -> str:
        """Return what an opening is where it stands: "if you need to", "who cannot" order and refuse nothing."""
        if kind == "ask":
            if self.asking and not self.expect and first in {"can", "could", "would", "will"}:
                return "tell"  # "which tools would you use"
            inside = self.subordinate or self.blocked or (before in say.RELATIVE and before != "that")
            if inside and first not in {"can", "could", "would", "will", "let's", "do", "don't", "never", "not"}:
                return "ask" if first == "you" and kindly(self.sentence) else "tell"
            if first in {"have", "need"} and before not in {"", "also", "then", "you", "please", "first"}:
                return "tell"
        elif kind == "refuse" and first in _CANNOT:
            return "refuse" if before in {"you", "it", ""} and not self.started else "tell"
        return kind

    # -------------------------------------------------------------------------------------------- commas

    def stop(self, mark: str) -> None:
        """Take a comma, a colon or a bracket."""
        if mark == ":":
            self.refuses = self.blocked = False
            self.await_verb()
        elif mark in {",", "/", "("} and self.started and not self.expect:
            able = bool(self.marks) or self.intro or self.asking
            self.await_verb(strict=not able or self.blocked or not (self.marks or self.intro))
            self.refuses = self.others = self.subordinate = self.blocked = False

    # -------------------------------------------------------------------------------------------- expected

    def expected(self, token: Token) -> None:
        """Take a word where a verb would order."""
        place, word = self.place, token.low
        found = base(self.sentence, place, gerund=self.gerund)
        if found is not None and not self._no_verb(token, found[1]):
            refuses = self.refuses
            self.mark(place, place + found[1], found[0], refuses=refuses)
            self.others = found[0] in say.OTHERS - _REACHES
            return
        if word == "to" and self.marks and not self.opened and self._before() in {"and", "or", ","}:
            self.opened = True
            self.place += 1
            return
        if word in say.FILLERS or (word.endswith("ly") and len(word) > _ADVERB):
            if word in {"please", "kindly"}:
                self.opened, self.strict, self.blocked = True, False, False
            self.refuses = self.refuses and word not in {"but", "instead"}
            self.intro = self.intro or word in say.GREETINGS
            self.place += 1
            return
        if not self.started and token.kind == "n":
            self.place += 1
            return
        noun = None if self.strict else order(self.sentence, place, opened=self.opened or self._wants())
        if noun is not None:
            verb = self.sentence[noun].low.removesuffix("s")
            self.mark(min(place, noun), noun + 1, verb, refuses=self.refuses or word == "no", noun=True)
            return
        self._missed(word)

    def _no_verb(self, token: Token, length: int) -> bool:
        """Tell whether a word that can be a verb is none here."""
        if token.low == "thank" and follower(self.sentence, self.place).low == "you":
            return True
        if (
            self.marks
            and not self.strict
            and token.low in say.CHAINED
            and effects_of(self.marks[-1].verb) != (Effect.READ,)
        ):
            return False
        if length == 1 and noun_here(self.sentence, self.place, strict=self.strict, opened=self.opened):
            return True
        alone = follower(self.sentence, self.place).kind == "." and VERBS.get(token.low) != (Effect.READ,)
        return alone and not self.opened and not self.marks and token.low in say.HOMOGRAPHS

    def _wants(self) -> bool:
        return self._before() in {"want", "need", "like", "get", "have", "request", "requesting"}

    def _missed(self, word: str) -> None:
        """Take a word that shows that no order stands here."""
        if not self.started or not self.strict:
            self.subordinate = self.subordinate or word in say.SUBORDINATE
            self.intro = self.intro or word in say.INTROS or word in say.SUBORDINATE
            self.asking = self.asking or (word in say.ASKING and not self.started)
        self.caused = word if word in {"have", "get"} else self.caused
        self.expect = self.opened = self.gerund = False
        self.started = True
        self.refuses = self.refuses and word in say.DETERMINERS
        self.place += 1

    # -------------------------------------------------------------------------------------------- inside a clause

    def inside(self, token: Token) -> bool:
        """Take a word inside a clause; true where the walk has gone on already."""
        place, word = self.place, token.low
        if self._inverted():
            return True
        if word in {"and", "then", "&", "or", "but", "plus", "nor"}:
            self._joined(word)
        elif word in {"please", "kindly"}:
            self.await_verb()
            self.opened, self.refuses, self.blocked, self.start = True, False, False, place
        elif word == "to" and self.marks and not self.refuses and not self.blocked:
            return self._purpose()
        elif word == "by" and self.marks and not self.blocked:
            verb = base(self.sentence, place + 1, gerund=True)
            if verb is not None and self.sentence[place + 1].low.endswith("ing"):
                self.start = place
                self.mark(place + 1, place + 1 + verb[1], verb[0], refuses=self.refuses)
                return True
        elif word in say.RELATIVE:
            ahead = follower(self.sentence, place).low
            self.blocked = ahead in say.MODALS or ahead in VERBS or ahead == "to"
            self.relative = place
        elif word in say.SUBORDINATE:
            self.subordinate = True
        else:
            return self._passive(token)
        return False

    def _inverted(self) -> bool:
        """Take a verb behind what it is for: "for each ticket write a reply"."""
        if not self.intro or self.blocked or self.subordinate or self.refuses:
            return False
        ahead = follower(self.sentence, self.place)
        heads = {token.low for token in self.sentence[max(0, self.place - 6) : self.place]}
        verb = base(self.sentence, self.place)
        if (
            verb is None
            or not heads & {"each", "every", "all"}
            or not (ahead.low in say.DETERMINERS or ahead.kind in "lq")
        ):
            return False
        self.mark(self.place, self.place + verb[1], verb[0])
        return True

    def _joined(self, word: str) -> None:
        """Take a word that joins: what follows orders, if what stands before does."""
        beside = bool(self.marks) and self.marks[-1].end == self.place
        able = (self.marks and not self.others and not self.blocked) or (self.asking and not self.blocked)
        if word != "then" and not able:
            return
        if self.relative and _speaks(self.sentence[max(self.relative, self.place - 8) + 1 : self.place]):
            return
        keep = self.refuses and (word in {"or", "nor"} or beside)
        if not (self.refuses and word == "and" and not beside):  # "don't send it and archive it": nobody knows which
            self.await_verb(strict=not self.marks or (word == "or" and not beside))
            self.gerund, self.subordinate = keep, False
        self.refuses = keep
        self.others = self.others and word != "then"

    def _purpose(self) -> bool:
        """Take `to` behind a verb that orders: what it is done for is wanted too, if it is the agent's to do."""
        place = self.place
        verb = base(self.sentence, place + 1)
        if verb is None:
            return False
        last = self.marks[-1]
        if last.verb in say.OTHERS:
            self.others = True
            return False
        if last.noun or self.subordinate or noun_here(self.sentence, place + 1, strict=False):
            return False
        leads = last.verb in say.LEADS or effects_of(last.verb) == (Effect.READ,)
        near = {self.sentence[place - 1].low, lemma(self.sentence[place - 1].low)}
        if not leads or (near & say.NOMINAL and last.verb != "use"):
            return False
        self.start = place
        self.mark(place + 1, place + 1 + verb[1], verb[0])
        return True

    def _passive(self, token: Token) -> bool:
        """Take a participle that orders: "should be deleted", "have it sent", "make sure that it is paid"."""
        place, word, ahead = self.place, token.low, follower(self.sentence, self.place)
        near = {item.low for item in self.sentence[max(0, place - 2) : place]}
        if word in {"be", "get"} and participle(ahead):
            able = near & {"should", "must", "shall", "to"} and not near & {
                "going",
                "supposed",
                "able",
                "that",
                "which",
            }
            if able and not self.subordinate and not self.blocked:
                first = {item.low for item in self.sentence[:3]}
                refuses = "not" in near or self.refuses or bool(first & _NOTHING)
                self.mark(place + 1, place + 2, lemma(ahead.low), refuses=refuses, passive=True)
                return True
        if self.ensured and word in {"is", "are", "gets", "get"} and participle(ahead):
            near = {item.low for item in self.sentence[max(self.start, place - 4) : place]}
            self.mark(place + 1, place + 2, lemma(ahead.low), refuses=bool(near & _NOTHING), passive=True)
            return True
        got = bool(self.marks) and self.marks[-1].verb == "get"
        if (self.caused or got) and participle(token) and self._ends():
            if got:
                self.start = self.marks.pop().start
            self.mark(place, place + 1, lemma(word), passive=True)
            return True
        return False

    def _ends(self) -> bool:
        """Tell whether a participle ends its phrase: "have the report sent"."""
        ahead = follower(self.sentence, self.place)
        if self._before() in (say.DETERMINERS | say.PREPOSITIONS) - {"it", "them", "this", "these"}:
            return False
        return (
            ahead.kind in ".p"
            or ahead.low in {"and", "today", "now", "asap"}
            or (self.caused == "have" and ahead.low == "to")
        )


def _speaks(span: Span) -> bool:
    """Tell whether a relative clause speaks of what is or can be done, so that "and …" goes on with it."""
    return any(token.low in say.MODALS or (token.low in VERBS and token.low not in say.HOMOGRAPHS) for token in span)


def base(sentence: Span, place: int, *, gerund: bool = False) -> tuple[str, int] | None:
    """Return the verb that stands here in its base form, with its particle, and the tokens that it takes."""
    if place >= len(sentence) or sentence[place].kind != "w":
        return None
    word = sentence[place].low
    verb = _stem(word) if gerund and word.endswith("ing") else word
    if verb in _FIRST_OF_TWO:
        for ahead in (1, 2, 3):
            behind = sentence[place + ahead] if place + ahead < len(sentence) else END
            if behind.kind in ".p":
                break
            two = f"{verb}-{behind.low}"
            both = say.TWO_WORDS.get(two) or (two if two in _PAIRS else None)
            if both is not None and (ahead == 1 or behind.low in _PARTED):
                return both, 2 if ahead == 1 else 1
    if verb in VERBS or verb in say.IMPLIED or verb in say.DOES or is_light(verb) or verb in _PAIRS:
        return verb, 1
    return None


def _stem(word: str) -> str:
    verb = lemma(word)
    if verb != word:
        return verb
    stem = word.removesuffix("ing")
    return next((each for each in (stem, stem + "e", stem[:-1]) if each in say.IMPLIED), word)


def noun_here(sentence: Span, place: int, *, strict: bool, opened: bool = True) -> bool:
    """Tell whether a word that is verb and noun stands here as a noun. strict: only an object proves a verb."""
    token, ahead = sentence[place], follower(sentence, place)
    listed = ahead.kind in ".p" or ahead.low in {"and", "or"}
    if strict and (token.text[0].isupper() or (listed and ahead.kind == "p")):
        return True
    if token.low not in say.HOMOGRAPHS:
        return False
    if listed and not opened and place and (strict or sentence[place - 1].low == "," or token.low not in say.ALONE):
        return True
    if ahead.low == ":" and not opened:
        return True
    if VERBS.get(token.low) == (Effect.READ,) and ahead.low in {"that", "in", "from", "about", "by", "which", "who"}:
        return False
    return ahead.kind == "w" and bool({ahead.low, lemma(ahead.low)} & (say.AFTER_NOUN | say.COMPOUNDS))


def order(sentence: Span, place: int, *, opened: bool) -> int | None:
    """Return where a noun stands that is an order by itself: "a quick reply to Bob, please"."""
    end = min(place + 4, len(sentence))
    noun = next((k for k in range(place, end) if sentence[k].low.removesuffix("s") in say.ORDERS), None)
    if noun is None:
        return None
    between = sentence[place:noun]
    if any(token.kind in ".plq" or token.low in say.PREPOSITIONS | say.ASKING for token in between):
        return None
    if any(token.low in say.SUBJECTS or participle(token) for token in between):
        return None
    lows = {token.low for token in sentence}
    polite = "please" in lows or ("would" in lows and bool(lows & say.KIND_WORDS))
    plain = all(token.low in say.DETERMINERS | say.BRIEF for token in between)
    if not polite and not opened and (place or lows & say.FINITE or sentence[place].low in say.OWNERS or not plain):
        return None
    ahead = follower(sentence, noun)
    if ahead.low in say.COMPOUNDS or (ahead.kind == "w" and ahead.low not in say.PREPOSITIONS | say.STOP):
        return None
    return noun
