"""What it may take to do what a clause of a request asks for: effects from a verb and what stands around it (R3).

`verbs.effects_of` knows what a verb does; here stands what the words around it make of that. Each rule is one on which
every user would agree: who adds people to a group gives them access, and who sends 50 dollars pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from navicert.intent import phrases as say
from navicert.intent.orders import Mark, Span
from navicert.intent.tokens import Token
from navicert.intent.verbs import NAMED, VERBS, effects_of, lemma, words
from navicert.model.action import Effect

R, W, D, S, P, G, X, C = say.R, say.W, say.D, say.S, say.P, say.G, say.X, say.C


class Said(NamedTuple):
    """A clause. direct: lemmas of the verb's object; nouns: of all its nouns; span: the words behind the verb."""

    direct: tuple[str, ...]
    nouns: frozenset[str]
    span: Span


def effects_asked(
    mark: Mark, direct: tuple[str, ...], objects: tuple[str, ...], span: Span, *, inherited: bool
) -> say.Effects:
    """Return everything that doing it may take. inherited: the object stood before, and is here only pointed at."""
    verb = mark.verb
    if mark.noun:
        return say.ORDERS[verb]
    said = Said(direct, frozenset((*direct, *objects)), span)
    for verbs, fits, effects in _INSTEAD:
        if verb in verbs and fits(said):
            return effects
    given = effects_of(verb, () if inherited else direct)
    if given == NAMED.get(verb):  # what only names of tools mean by it
        given = VERBS.get(verb, ())
    own = VERBS.get(verb, given)
    found = list(say.PLAIN.get(verb, given) if given == own else given)
    if given in {own, ()}:
        found.extend(say.IMPLIED.get(verb, ()))
    for verbs, fits, effects in _BESIDE:
        if verb in verbs and fits(said):
            found.extend(effects)
    for verbs, fits, effect in _NOT:
        if verb in verbs and fits(said):
            found = [each for each in found if each is not effect]
    if verb in _MAKES and not inherited:
        found.extend(next((say.ORDERS[each] for each in direct if each in say.ORDERS and say.ORDERS[each] != (R,)), ()))
    return tuple(dict.fromkeys(found))


# ------------------------------------------------------------------------------------------------ who, and what


def _to_me(said: Said) -> bool:
    return any(token.low in {"me", "us"} for token in said.span[:2])


def _with_me(said: Said) -> bool:
    ends = [token.low for token in said.span if token.kind == "w"][-2:]
    return bool(ends) and ends[-1] in {"me", "us"}


def _person(token: Token) -> bool:
    return (
        token.low in say.PEOPLE
        or lemma(token.low) in say.PEOPLE
        or (token.kind == "l" and "@" in token.low)
        or (token.kind == "w" and token.text[0].isupper() and token.low not in say.STOP)
    )


def _first_person(said: Said) -> bool:
    return bool(said.span) and _person(said.span[0]) and not _to_me(said)


def _to_people(said: Said) -> bool:
    if said.span and said.span[0].low in say.PEOPLE:
        return True
    for place, token in enumerate(said.span):
        if token.low == "to":
            near = said.span[place + 1 : place + 4]
            return any(_person(item) or lemma(item.low) in say.CONTAINERS for item in near)
    return False


def _with_people(said: Said) -> bool:
    """Tell whether an appointment is one with others: they are told of it."""
    if not said.nouns & say.MEETINGS:
        return False
    for place, token in enumerate(said.span):
        if token.low in {"participants", "attendees", "guests", "invite", "invitees"}:
            return True
        if token.low == "with" and any(_person(item) for item in said.span[place + 1 : place + 3]):
            return True
    return any(token.kind == "l" and "@" in token.low for token in said.span)


def _into_group(said: Said) -> bool:
    """Tell whether people are put into, or out of, what a group shares: "add Dora to the channel"."""
    span = said.span
    for place, token in enumerate(span):
        if token.low in {"to", "into", "from", "in", "as"} and place:
            group = {lemma(item.low) for item in span[place + 1 : place + 8]}
            word = place == 1 and span[0].kind == "w" and span[0].low not in say.STOP
            return (word or any(_person(item) for item in span[:place])) and bool(group & say.CONTAINERS)
    return False


def _sum(said: Said) -> bool:
    return any(token.text[0] in "$€£" for token in said.span[:4])


def _money(said: Said) -> bool:
    return not _to_me(said) and (_sum(said) or bool(set(said.direct[:4]) & say.MONEY))


def _cash(said: Said) -> bool:
    return not _to_me(said) and (_sum(said) or bool(set(said.direct[:4]) & say.CASH))


def _elsewhere(said: Said) -> bool:
    """Tell whether what is to be done stands elsewhere: in the user's own list, or where a delegation leads."""
    first = {token.low for token in said.span[:2]}
    return bool(said.nouns & say.TASKS) or bool(first & {"following", "what", "whatever", "as"})


def _nobody(said: Said) -> bool:
    return (
        bool(said.direct)
        and not said.nouns & say.FILES
        and not any(token.low in {"with", "to", "on", "in"} for token in said.span)
    )


def _handed_on(said: Said) -> bool:
    return not said.nouns & say.MONEY and (_to_me(said) or bool(said.nouns & (say.FILES | say.DESKS)))


def _about(nouns: frozenset[str]) -> Callable[[Said], bool]:
    return lambda said: bool(said.nouns & nouns)


def _looked_at(said: Said) -> bool:
    return bool(said.direct) and not said.nouns & {"cart", "basket", "order"}


_Rules = tuple[tuple[frozenset[str], Callable[[Said], bool], say.Effects], ...]
_TELLS: Final = words("tell give show let-know inform answer explain provide recommend suggest ask")
_MAKES: Final = words("make leave write place issue process give do file submit create put set-up add")
_PLANS: Final = words("create add schedule set-up make book arrange organize organise plan put move reschedule cancel")
_INSTEAD: Final[_Rules] = (
    (say.HANDS_ON, _elsewhere, ()),
    (frozenset({"follow"}), _about(say.GUIDES), ()),
    (frozenset({"share", "provide"}), _nobody, (R,)),  # "please share the names": with the user
    (frozenset({"share"}), _with_me, (R,)),
    (_TELLS, _to_me, (R,)),
    (frozenset({"let-know"}), lambda said: not _to_me(said), (S,)),
    (frozenset({"transfer"}), lambda said: bool(said.nouns & say.HANDED) and not said.nouns & say.MONEY, (G, W, S)),
    (frozenset({"make", "set", "turn"}), _about(frozenset({"private", "public"})), (G, W)),
    (frozenset({"transfer"}), _handed_on, (S, W)),  # a call, or a file: no money
    (words("change upgrade update modify switch extend add rebook"), _about(say.BOOKED), (W, P)),
    (frozenset({"check-out"}), _looked_at, (R,)),  # "check out the reviews"
    (frozenset({"tell", "show", "give"}), lambda said: _first_person(said) and not said.nouns & say.GIVEN, (S,)),
)
"""Verbs, when, and what they do then instead."""
_BESIDE: Final[_Rules] = (
    (frozenset({"get", "give"}), _about(frozenset({"refund"})), (P, W)),
    (frozenset({"get"}), _about(frozenset({"reservation", "booking"})), (W, P)),
    (say.TAKES_MONEY, _money, (P,)),
    (
        words("get fetch obtain retrieve grab save"),
        _about(say.FILES),
        (R, W),
    ),  # a file is fetched, and kept
    (say.CHANGES_MONEY, lambda said: bool(set(said.direct) & say.STANDING), (W, P)),
    (_PLANS, _about(say.MEETINGS), (W,)),
    (_PLANS, _with_people, (S,)),  # those invited are told
    (frozenset({"add", "invite", "put", "remove", "kick"}), _into_group, (G, W)),
    (frozenset({"add", "put"}), _into_group, (S,)),
    (frozenset({"write", "leave", "drop"}), _to_people, (S,)),
    (frozenset({"put", "complete"}), lambda said: not said.nouns & say.TASKS, (W,)),
)
"""Verbs, when, and what they may do then besides."""
_NOT: Final[tuple[tuple[frozenset[str], Callable[[Said], bool], Effect], ...]] = (
    (say.TAKES_MONEY, _cash, S),
    (frozenset({"book", "reserve", "schedule"}), _about(say.TIMES), P),  # a meeting costs nothing
)
"""Verbs, when, and what they do not do then."""
