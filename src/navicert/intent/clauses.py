"""A sentence of a request cut into clauses: one verb each, with its object, its targets, and how often (R3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from navicert.intent import phrases as say
from navicert.intent.implied import effects_asked
from navicert.intent.orders import Mark, Span, follower, kindly, marks, participle
from navicert.intent.tokens import Token
from navicert.intent.verbs import VERBS, lemma, words
from navicert.model.action import Effect

_WORDS: Final = 240
"""Characters of a phrase that a grant repeats."""
_DIRECT: Final = 8
"""Words behind a verb among which its object is looked for."""
_NOUNS: Final = 16
"""Nouns of a phrase that a grant keeps."""
LONG: Final = 200
"""Characters of a quotation that can still be a name or a title."""
_NAME: Final = 5
_NUMBER: Final = 5
_YEAR: Final = 1000
ASK: Final = "ask?"
"""The verb of a question: it asks to be told."""
_AUXILIARY: Final = words("is are be get gets have need needs should must shall to make sure ensure that please")
_POINTS: Final = frozenset({"it", "them", "this", "these", "those", "that"})
_ANY: Final = _POINTS | {"anything", "any", "everything", "anyone", "anybody"}
_NUMBERED: Final = words("order issue ticket pr invoice case number no id reservation flight # account")
_WHETHER: Final = words("check see know ask me verify out wonder wondering appreciate tell find")


class Clause(NamedTuple):
    """A verb with its words.

    before: the sentence up to the verb; whole: the clause; span: what stands behind the verb. direct: lemmas of its
    object; objects: of all its nouns; targets: its literals and names. loose: it speaks of no certain thing.
    """

    verb: str
    before: Span
    whole: Span
    span: Span
    effects: say.Effects
    direct: tuple[str, ...]
    objects: tuple[str, ...]
    targets: tuple[str, ...]
    many: bool
    conditional: bool
    refuses: bool
    loose: bool


def clauses(sentence: Span, previous: Clause | None) -> list[Clause]:
    """Return the clauses of a sentence, in order. previous: the clause before it, to which "it" can point."""
    found = marks(sentence)
    if asks(sentence) and (not found or found[0].start > 0):
        found = [Mark(0, 0, 1, ASK), *found]
    conditional = _conditional(sentence)
    named = names(sentence)
    cut: list[Clause] = []
    for number, mark in enumerate(found):
        until = found[number + 1].start if number + 1 < len(found) else len(sentence)
        until = max(until, mark.end)
        clause = _clause(sentence, mark, until, cut[-1] if cut else previous)
        targets = _targets(named, sentence, mark, until) or clause.targets
        cut.append(clause._replace(targets=targets, conditional=conditional, many=_many(clause.span, targets)))
    return cut


def phrase(span: Span) -> str:
    """Return the words of a phrase, without what only joins it to the next."""
    end = len(span)
    while end and (span[end - 1].kind == "." or span[end - 1].low in {"and", "but", "then", "or", ",", "("}):
        end -= 1
    return " ".join(" ".join(token.text for token in span[:end] if token.kind != ".").split())[:_WORDS]


def content(span: Iterable[Token]) -> list[str]:
    """Return the content words as lemmas."""
    return [lemma(item.low) for item in span if item.kind == "w" and item.low not in say.EMPTY and len(item.low) > 1]


def asks(sentence: Span) -> bool:
    """Tell whether a sentence is a question."""
    first = next((token.low for token in sentence if token.kind == "w" and token.low not in say.FILLERS), "")
    return first in say.ASKING or sentence[-1].low == "?"


def _clause(sentence: Span, mark: Mark, until: int, last: Clause | None) -> Clause:
    span = sentence[mark.end : until]
    if mark.passive:
        span = (*(token for token in sentence[mark.start : mark.place] if token.low not in _AUXILIARY), *span)
    first = span[0].low if span else ""
    direct = _direct(span)
    objects = content(span)
    targets: tuple[str, ...] = ()
    inherited = last is not None and not direct and first in _POINTS
    if last is not None and inherited:
        direct = last.direct
        objects = [*last.objects, *objects]
        targets = last.targets
    kept = tuple(dict.fromkeys(objects))[:_NOUNS]
    none = _none(tuple(token.low for token in span[:4]))
    effects = (Effect.READ,) if mark.verb == ASK else effects_asked(mark, direct, kept, span, inherited=inherited)
    return Clause(
        verb=mark.verb,
        before=sentence[: mark.place],
        whole=sentence[mark.start : until],
        span=span,
        effects=effects,
        direct=direct,
        objects=tuple(dict.fromkeys("mail" if say.KINDS.get(each) == "mail" else each for each in kept)),
        targets=targets,
        many=False,
        conditional=False,
        refuses=mark.refuses or none,
        loose=not direct or first in _ANY or none,
    )


def _none(first: tuple[str, ...]) -> bool:
    """Tell whether a verb's first words say that it is not to be done: `nothing to Zoe`, `no mail`, `to nobody`."""
    if first[:1] == ("to",):
        return first[1:2] in {("nobody",), ("none",)} or first[1:3] == ("no", "one")
    if first[:1] == ("no",):
        return len(first) > 1 and first[1] not in {"more", "less", "longer", "later", "fewer"}
    return first[:1] in {("nothing",), ("nobody",), ("none",)}


def _direct(span: Span) -> tuple[str, ...]:
    """Return the lemmas of a verb's object: what stands before the first preposition."""
    found: list[str] = []
    for place, token in enumerate(span[:_DIRECT]):
        ahead = follower(span, place)
        ends = ahead.kind != "w" or ahead.low in say.PREPOSITIONS
        if token.kind == "." or token.low in say.NAMED_AS or (token.low in _POINTS and ends):
            break
        if token.kind == "p" or token.low in say.PREPOSITIONS:
            if found:
                break
        elif found and ends and participle(token):
            break
        elif token.kind == "w" and token.low not in say.EMPTY:
            found.append(lemma(token.low))
    return tuple(found)


def _targets(named: list[tuple[int, str]], sentence: Span, mark: Mark, until: int) -> tuple[str, ...]:
    found = {first: name for first, name in named if mark.start <= first < until and first != mark.place}
    for place in range(mark.start, until):
        token = sentence[place]
        if titled(token) or (token.kind == "n" and _identifies(sentence, place)):
            found[place] = token.low
    return tuple(dict.fromkeys(found[place] for place in sorted(found)))


def titled(token: Token) -> bool:
    """Tell whether a token can be a target: a literal, or a quotation short enough for a title."""
    return token.kind in "lq" and 0 < len(token.low) <= LONG


def _identifies(sentence: Span, place: int) -> bool:
    """Tell whether a number names something."""
    before = sentence[place - 1].low if place else ""
    token = sentence[place].low
    return token[0] == "#" or len(token) >= _NUMBER or before in _NUMBERED


def _conditional(sentence: Span) -> bool:
    for place, token in enumerate(sentence):
        before = sentence[place - 1].low if place else ""
        if token.low in say.IFS:
            polite = follower(sentence, place).low == "you" and kindly(sentence)
            if before not in _WHETHER and not polite:
                return True
        elif token.low == "once" or (token.low == "when" and not place) or (token.low == "case" and before == "in"):
            return True
    return False


def _many(span: Span, targets: tuple[str, ...]) -> bool:
    direct = True
    for place, token in enumerate(span):
        if token.low in say.MANY:
            return True
        direct = direct and not (place and token.low in say.PREPOSITIONS)
        if direct and token.kind == "w" and _plural(token):
            return True
        if direct and token.kind == "n" and token.low.isdigit() and 1 < int(token.low[:9]) < _YEAR:
            ahead = follower(span, place)
            if ahead.kind == "w" and ahead.low.endswith("s"):
                return True
    return len(targets) > 1 and _joined(span)


def _plural(token: Token) -> bool:
    return token.low not in say.STOP and token.low.endswith("s") and lemma(token.low) != token.low


def _joined(span: Span) -> bool:
    """Tell whether two names or literals are joined by a comma or `and`."""
    for place in range(1, len(span) - 1):
        if span[place].low in {",", "and", "&"}:
            around = (span[place - 1], span[place + 1])
            if all(token.kind in "lq" or token.text[:1].isupper() for token in around):
                return True
    return False


# ------------------------------------------------------------------------------------------------ names


def names(sentence: Span) -> list[tuple[int, str]]:
    """Return the capitalised names: where each begins, and the name in lower case, without `'s`."""
    found: list[tuple[int, str]] = []
    place = 0
    fresh = True
    while place < len(sentence):
        token = sentence[place]
        if not _capital(token) or token.low in say.NAMELESS or (fresh and not _named(sentence, place)):
            fresh = token.low == ":" or (fresh and token.kind == "n")
            place += 1
            continue
        end = place + 1
        while end < min(len(sentence), place + _NAME) and _capital(sentence[end]):
            if sentence[end - 1].low.endswith("'s"):
                break
            end += 1
        words = [item.low.removesuffix("'s").removesuffix("'") for item in sentence[place:end]]
        if any(word not in say.KINDS for word in words):
            found.append((place, " ".join(words)))
        fresh = False
        place = end
    return found


def _capital(token: Token) -> bool:
    return token.kind == "w" and token.text[0].isupper()


def _named(sentence: Span, place: int) -> bool:
    """Tell whether the first word of a sentence is a name, and not only its first word."""
    token, ahead = sentence[place], follower(sentence, place)
    if any(token.low in words for words in (VERBS, say.FILLERS, say.INTROS, say.IMPLIED, say.DOES)):
        return False
    if token.low.endswith("'s") or _capital(ahead):
        return True
    known = ahead.low in {"and", "ask", "has", "is", "wants", "just"} or lemma(ahead.low) in VERBS
    return ahead.kind == "w" and known
