"""A small embedder without dependencies, and the signals of likeness that it gives (R3, R7; DESIGN.md section 5).

* A text becomes a sparse vector of unit length: lemmas, effects of its verbs, classes of like words, pairs of words,
  and letters by threes. What two texts share can be read off it. The same text gives the same vector in every process.
* An action is put into words as a person would say it: `send email to anna@x.com: Figures of May`.
* These numbers only tighten (property 6): they tell a topic, not an attack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from navicert.core.fields import leaves, role_values
from navicert.intent.verbs import VERBS, lemma
from navicert.model.action import Effect, ToolProfile
from navicert.model.value import Json

Vector = Mapping[str, float]
"""Feature → weight; of length 1, or empty for a text without words."""
Likeness = Callable[[str, Sequence[str]], Sequence[float]]
"""The cosine of a text to each of several others, from -1 to 1: the small embedder's `likeness`, or a model's."""
MILLION: Final = 1_000_000
MOST_SENTENCES: Final = 32
MOST_DIRECTIVES: Final = 32
"""So many of the newest directives of a session are compared with."""
_LONGEST: Final = 4_000
_LONGEST_SENTENCE: Final = 400
_LONGEST_WORD: Final = 32
_LONGEST_VALUE: Final = 120
_MOST_VALUES: Final = 16

_WORD: Final = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_END: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SILENT: Final = (
    "a an the of to in on at by for from with and or but if is are was were be been it its this that these those i me"
    " my we us our you your he she they them their his her as so not no do does did can could would should will shall"
    " may please then than there here what which who whom into onto about also just all any some have has had"
)
_STOP: Final = frozenset(_SILENT.split())
_CLASSES: Final = {
    word: words.split()[0]
    for words in (
        "mail email message inbox letter note dm sms",
        "file document doc attachment spreadsheet sheet pdf folder directory",
        "event meeting appointment calendar schedule call",
        "money payment bill invoice transaction amount fee rent balance account bank",
        "order purchase cart shop product item",
        "flight hotel trip travel reservation booking restaurant",
        "user member person contact colleague customer client participant attendee",
        "channel chat slack thread conversation",
        "issue ticket bug pull pr",
        "page website web site url link article",
        "repository repo branch code commit project",
        "password credential secret token key login",
        "summary report overview digest",
        "database table record row query",
    )
    for word in words.split()
}


class _Word(NamedTuple):
    """base: the lemma; empty for a word that says nothing. means: it and its classes. features: with their weights."""

    base: str
    means: frozenset[str]
    features: tuple[tuple[str, float], ...]


@lru_cache(maxsize=2048)
def _word(word: str) -> _Word:
    """Return what a word in lower case says."""
    if word in _STOP:
        return _Word("", frozenset(), ())
    base = lemma(word)
    found = [(base, 1.0)]
    effects = VERBS.get(base, ())
    found += [(f"={effect.value}", 0.6 / len(effects)) for effect in effects]
    if base in _CLASSES:
        found.append((f"~{_CLASSES[base]}", 0.8))
    means = frozenset(name for name, _ in found)
    if len(base) > 4 and len(means) == 1:  # of a word that is not known, the letters tell its kin
        padded = f"#{base}#"
        share = 0.6 / (len(padded) - 2)
        found += [(padded[place : place + 3], share) for place in range(len(padded) - 2)]
    return _Word(base, means, tuple(found))


def words_of(text: str) -> list[str]:
    """Return the words of a text, in lower case and without marks; names as tools have them are taken apart."""
    return [word[:_LONGEST_WORD] for word in _WORD.findall(_HUMP.sub(" ", text[:_LONGEST]).lower())]


@lru_cache(maxsize=256)
def embed(text: str) -> Vector:
    """Return the vector of a text, of which the first 4,000 characters count."""
    vector: dict[str, float] = {}
    before = ""
    for word in words_of(text):
        base, _, features = _word(word)
        if not base:
            continue
        for name, weight in features:
            # what is said ten times does not weigh ten times as much
            vector[name] = vector[name] + weight / 2 if name in vector else weight
        vector[f"{before} {base}"] = 0.5
        before = base
    norm = math.sqrt(sum([weight * weight for weight in vector.values()]))
    return {name: weight / norm for name, weight in vector.items()} if norm else {}


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors, from 0 to 1; 0 where one is empty."""
    few, many = (one, other) if len(one) <= len(other) else (other, one)
    return min(1.0, sum(weight * many[name] for name, weight in few.items() if name in many))


@lru_cache(maxsize=128)
def _postings(texts: tuple[str, ...]) -> Mapping[str, Sequence[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for place, text in enumerate(texts):
        for name, weight in embed(text).items():
            found.setdefault(name, []).append((place, weight))
    return found


def likeness(text: str, others: Sequence[str]) -> list[float]:
    """Return the cosine of a text to each of the others: in one pass, however many they are."""
    sums = [0.0] * len(others)
    postings = _postings(tuple(others))
    for name, weight in embed(text).items():
        for place, theirs in postings.get(name, ()):
            sums[place] += weight * theirs
    return [min(1.0, each) for each in sums]


def sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, in order: at most 32, and of each the first 400 characters."""
    pieces = (piece.strip()[:_LONGEST_SENTENCE] for piece in _END.split(text[:_LONGEST]))
    return tuple(dict.fromkeys(piece for piece in pieces if piece))[:MOST_SENTENCES]


# --------------------------------------------------------------------------------------------------- actions into words


def action_text(
    name: str, parameters: Mapping[str, Json], profile: ToolProfile | None = None, *, content: bool = True
) -> str:
    """Return an action in words: `send email to anna@x.com: Figures of May; …`. At most 16 values, each cut at 120.

    content: with the parameters that the profile says are content.
    """
    tool, _, operation = name.rpartition(".")
    said = list(dict.fromkeys(words_of(operation) + words_of(tool)))
    if profile is not None and profile.effect is not Effect.READ and not any(lemma(word) in VERBS for word in said):
        said.insert(0, profile.effect.value)
    tree = {**parameters}
    destinations = _shown(role_values(profile, "destination", tree)) if profile is not None else []
    taken: set[str] = set()
    if profile is not None:
        taken.update(profile.destination, () if content else profile.content)
    # what says most in few words comes first: long texts last
    rest = _shown(leaf for key, value in parameters.items() if key not in taken for leaf in leaves(value))
    rest.sort(key=len)
    text = " ".join(said)
    if destinations:
        text += " to " + ", ".join(destinations)
    return f"{text}: {'; '.join(rest)}" if rest else text


def _shown(values: Iterable[object]) -> list[str]:
    found = (str(value)[:_LONGEST_VALUE] for value in values if not isinstance(value, bool))
    return [value for value in dict.fromkeys(found) if value.strip()][:_MOST_VALUES]


# -------------------------------------------------------------------------------------------------------------- signals


class Measured(NamedTuple):
    """What is said of one action, in parts per million.

    alignment: 0 to 1,000,000, the likeness to the user's words: to all of them, or to the best sentence. distance: R7's
    `1 - cosine` of the whole request and the action. contrast: the alignment less that to the best directive; signed.
    """

    alignment: int
    distance: int
    contrast: int


def measured(action: str, request: Sequence[str], directives: Sequence[str], like: Likeness = likeness) -> Measured:
    """Compare an action in words with the user's: the request, then what was said later; neither may be empty."""
    whole = "\n".join(request)
    pieces = (whole, *sentences(whole))
    found = like(action, pieces)
    aligned = max(found)
    return Measured(_ppm(aligned), MILLION - round(found[0] * MILLION), contrast(action, aligned, directives, like))


def contrast(action: str, aligned: float, directives: Sequence[str], like: Likeness = likeness) -> int:
    """Return how much more an action is like the user's words than like the best directive that tools returned; ppm."""
    best = max(like(action, directives), default=0.0) if directives else 0.0
    return _ppm(aligned) - _ppm(best)


def uncertainty(action: str, request: Sequence[str]) -> int:
    """Return the share of the action's words of which the user's words hold neither lemma, effect nor class; ppm."""
    said = _said(tuple(request))
    means = [found.means for word in set(words_of(action)) if (found := _word(word)).base]
    missing = sum(map(said.isdisjoint, means))
    return round(missing / len(means) * MILLION) if means else MILLION


@lru_cache(maxsize=64)
def _said(request: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for text in request for name in embed(text))


def _ppm(value: float) -> int:
    return round(max(0.0, value) * MILLION)
