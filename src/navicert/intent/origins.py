"""Where the targets of an action come from, and what each place is worth (T1, T2, T5, T10, T11).

* A value is worth its best place: the user's words; a system's own record; a place to which the request leads; any
  other text; nowhere; an instruction.
* The request leads to what the user pointed at, to records that speak of whom or what they named, and over those a few
  steps on: a page that they named may link to another.
* What the agent itself can have written (memory) is never better than loose text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple

from navicert.core.fields import leaves, role_values
from navicert.intent.index import Index
from navicert.intent.matching import (
    GRAVE,
    asks,
    delegates,
    plain,
    pointed_at,
    same_site,
    sent_to,
    shape,
    site,
    speaks_of,
    stands_in,
    theirs,
)
from navicert.intent.tokens import literals
from navicert.intent.values import Asked, Delegation, Form, Passage, Sighting, Source, Trust
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.value import Json

Reached = Mapping[str, Sequence[str]]
"""Effect → the targets that permitted actions of the session had, as `plain` gives them."""
STEPS: Final = 2
"""A page that the user named may lead to another, and that to a third; what lies further is not what they meant."""
_WORD: Final = re.compile(r"[^\W_]+")
_QUOTED: Final = re.compile(r"[\"“”«»][^\"“”«»]{1,400}[\"“”«»]")
_ECHO: Final = 20
_AROUND: Final = 4
"""So few words may stand around what came back: `done: mail …`. Else it is a text that holds it."""
_RUN: Final = 3
"""So many words in a row that stand in an order and not in the request show that the order was obeyed."""
_NOTHING: Final = frozenset({"", "null", "none", "n/a", "-"})
_READ: Final = 400
"""Words of a value that are held against an order."""
_LONGEST: Final = 20_000
"""Characters of a value that are looked at: no target is longer."""
_ADDRESSES: Final = frozenset({"mail", "site", "account"})


class Weight(IntEnum):
    """What the best place of a target is worth, from nothing to the user's own words."""

    ORDERED = 0
    """Only instructions name it."""
    UNSEEN = 1
    LOOSE = 2
    """A text, or a field that anybody can have filled, which the request does not lead to."""
    LED = 3
    """A place that the request leads to: the user pointed at the source, or its record speaks of what they named."""
    ISSUED = 4
    """A system's own identifier or field."""
    USER = 5


class Origin(NamedTuple):
    """Where one target comes from."""

    target: str
    weight: Weight
    sighting: Sighting | None = None
    delegation: Delegation | None = None


class Case(NamedTuple):
    """One action with what it is judged on."""

    action: Action
    profile: ToolProfile
    parameters: Mapping[str, Json]
    asked: Asked
    known: Index
    reached: Reached
    runs: bool = False
    """It runs a command or a statement."""


def targets_of(case: Case) -> list[Any]:
    """Return what the action aims at.

    Whom it reaches; what it removes, opens or changes, where that is grave; where it names nobody, a value that is an
    address by itself, whatever its parameter is called; of what it runs, every address in it, and where it removes,
    every far path.
    """
    parameters = dict(case.parameters)
    reached = role_values(case.profile, "destination", parameters)
    found = list(reached)
    if case.profile.effect in GRAVE or not found:
        found += role_values(case.profile, "resource", parameters)
    runs = case.runs
    for leaf in leaves(parameters):
        if type(leaf) is not str or len(leaf) > _LONGEST:
            continue
        if runs:
            found += (item for item in literals(leaf) if shape(item) in {"mail", "site"})  # a number is none
            if case.profile.effect is Effect.DELETE:
                found += _paths(leaf)
        elif not reached and shape(plain(leaf)) in _ADDRESSES:
            found.append(leaf)
    if runs:  # the command itself is no address
        found = [item for item in found if type(item) is not str or " " not in item.strip()]
    some = dict.fromkeys(cut(item) for item in found if type(item) is not bool)
    return [item for item in some if plain(item) not in _NOTHING]


def _paths(command: str) -> list[str]:
    """Return the words of a command that name places beyond the folder it runs in, or more than one thing."""
    words = [word.strip("'\"") for word in command.split()]
    return [word for word in words if word[:1] in {"/", "~"} or ".." in word.split("/") or "*" in word or word == "."]


def cut(value: Any) -> Any:
    """Return what is looked at of a value."""
    return value[:_LONGEST] if type(value) is str else value


def origin_of(case: Case, value: Any, steps: int = STEPS) -> Origin:
    """Return the best place of a value. steps: how far what was read may lie from what the user named."""
    target = plain(value)
    if theirs(case.asked, value):
        return Origin(target, Weight.USER)
    best = Origin(target, Weight.UNSEEN)
    for sighting in case.known.find(value):
        if target in own_words(sighting.source.about):
            continue  # it came back as the agent had put it in
        found = Origin(target, *_weigh(case, sighting, steps))
        better = found.weight > best.weight or (best.sighting is None and found.weight is Weight.ORDERED)
        if better or (found.delegation is not None and best.delegation is None):
            best = found
    if best.weight < Weight.LED and best.sighting is None and same_site(case.asked, target):
        return Origin(target, Weight.LED)
    if best.weight is Weight.LOOSE and same_site(case.asked, target):
        return best._replace(weight=Weight.LED)
    return best


def _weigh(case: Case, sighting: Sighting, steps: int) -> tuple[Weight, Sighting, Delegation | None]:
    source, passage = sighting.source, sighting.passage
    if passage.form is Form.IMITATION:
        return Weight.ORDERED, sighting, None
    record = case.known.near(sighting) if passage.record else ()
    delegation = delegates(case.asked, source, record)
    if passage.form is Form.DIRECTIVE:
        return Weight.ORDERED, sighting, delegation
    if source.kind == "memory":  # T5: what the agent itself can have written proves nothing
        return Weight.LOOSE, sighting, delegation
    typed = passage.form in {Form.ISSUED, Form.FIELD} and source.kind == "tool"
    own = source.trust is Trust.OWN or (source.trust is Trust.KNOWN and passage.form is Form.ISSUED)
    if typed and own and not passage.path.startswith("text"):
        return Weight.ISSUED, sighting, delegation
    beside = " ".join(item.text for item in record if item.form in {Form.ISSUED, Form.FIELD})
    led = (
        (typed and source.trust is Trust.KNOWN)
        or (typed and speaks_of(passage.text, case.asked))  # of loose text, anybody writes that it is Bob's
        or ((typed or source.trust is Trust.KNOWN) and speaks_of(beside, case.asked))
        or any(led_to(case, item, steps) for item in source.about)
    )
    return (Weight.LED if led else Weight.LOOSE), sighting, delegation


def led_to(case: Case, item: str, steps: int) -> bool:
    """Tell whether the request leads to what was read, if need be over what was read before it."""
    if pointed_at(case.asked, item):
        return True
    if steps == 0 or len(item) <= 3:
        return False
    origin = origin_of(case, item, steps - 1)
    return origin.weight >= Weight.LED or origin.delegation is not None


def at_a_site(case: Case, origin: Origin) -> bool:
    """Tell whether a target is a site to which the user sent the agent, or where what they named leads."""
    if site(origin.target) is None:
        return False
    return sent_to(case.asked, origin.target) or origin.weight >= Weight.LED or origin.delegation is not None


def own_values(case: Case, *, posing: bool) -> list[str]:
    """Return the action's values that the user never used; short ones only where they are what it aims at.

    posing: for text that poses as the user. Else one or two plain words show nothing: they stand anywhere.
    """
    aimed = {plain(item) for item in targets_of(case)}
    found = [plain(cut(item)) for item in leaves(dict(case.parameters)) if type(item) is not bool]
    if _written_down(case):
        text = {plain(cut(item)) for item in role_values(case.profile, "content", dict(case.parameters))}
        found = [item for item in found if item not in text]
    return [
        item
        for item in found
        if (item in aimed or (len(item) > 2 and (posing or _telling(item)))) and not theirs(case.asked, item)
    ]


def _telling(value: str) -> bool:
    """Tell whether a value is more than one or two plain words."""
    return shape(value) != "name" or any(char.isdigit() for char in value) or value.count(" ") > 1


def _written_down(case: Case) -> bool:
    """Tell whether the user had something written into a place that they named: its text may be about orders."""
    profile, places = case.profile, role_values(case.profile, "resource", dict(case.parameters))
    if profile.effect is not Effect.WRITE or case.runs or not places:
        return False
    named = all(theirs(case.asked, item) for item in places)
    return named and asks(case.asked, profile, [plain(item) for item in places]) is not None


def may_order(passage: Passage, effect: Effect) -> bool:
    """Tell whether a text can be what orders such an action."""
    if not passage.effects:
        return True
    if effect is Effect.READ:
        return Effect.READ in passage.effects
    return any(item is not Effect.READ for item in passage.effects)


@lru_cache(maxsize=1024)
def own_words(about: tuple[str, ...]) -> frozenset[str]:
    """Return what an action had put in, as it is compared: where its result says the same, that proves nothing."""
    return frozenset(map(plain, about))


def echoed(source: Source, passage: Passage) -> bool:
    """Tell whether a passage only says what the agent itself had put in."""
    text = _flat(passage.text)[0]
    return any(
        text in item or (len(item) > _ECHO and item in text and text.replace(item, " ").count(" ") <= _AROUND)
        for item in own_words(source.about)
    )


@lru_cache(maxsize=1024)
def _flat(text: str) -> tuple[str, frozenset[tuple[str, ...]]]:
    """Return a passage as it is compared, and its words in runs."""
    said = plain(text)
    return said, _runs(said)


@lru_cache(maxsize=256)
def _said(value: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of a value; who quotes an order does not obey it, but an address stays one."""
    return _runs(_QUOTED.sub(" ", value), _READ)


def _runs(text: str, most: int | None = None) -> frozenset[tuple[str, ...]]:
    words = [found[0] for found in islice(_WORD.finditer(text), most)]
    return frozenset(zip(*(words[start:] for start in range(_RUN)), strict=False))


def obeyed(value: str, passage: Passage, asked: Asked) -> bool:
    """Tell whether a value stands in an order, or some words in a row of it do that the user never said."""
    said, runs = _flat(passage.text)
    if value.isdigit() and len(value) <= 3:  # so short a number proves nothing, but where it is called an identifier
        return value in said and re.search(rf"(?:\bids?\b|\bnumber\b|\bno\b|#)[^\w]{{0,4}}{value}\b", said) is not None
    if len(value) <= 120 and value in said:
        return stands_in(value, said)
    place = site(value)
    if place is not None:
        return place[0] in said and not any((named := site(item)) and named[0] == place[0] for item in asked.literals)
    return any(" ".join(run) not in asked.text for run in _said(value) & runs)
