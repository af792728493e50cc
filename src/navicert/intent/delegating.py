"""The user's wish that a source say what is to be done: "do what the mail from Anna says" (R3).

* A delegation needs an order to follow ("do", "complete", "according to", "accordingly", "pay the bill …"), and a
  source, by its kind or its name, in the same clause, before it in the sentence, or in the sentence before.
* What the source may order is what the clause asks for: "pay the bill in x.txt" lets x.txt say what is paid, and no
  more. Only "do the tasks", "follow the instructions" leave it open. Reading delegates nothing.
"""

from __future__ import annotations

from typing import Final

from navicert.intent import phrases as say
from navicert.intent.clauses import Clause, names, phrase, titled
from navicert.intent.orders import Span
from navicert.intent.values import Delegation
from navicert.intent.verbs import lemma
from navicert.model.action import Effect

Named = tuple[tuple[str, ...], tuple[str, ...]]
"""Kinds and names of a source."""
_HEAD: Final = 4
_ALL_OF_IT: Final = frozenset({"what", "whatever", "everything", "anything", "as", "all"})
_OWN_LIST: Final = frozenset({"following", "these", "below"})
_OWN_MIND: Final = frozenset({"what", "how", "your", "whether"})
_WEAK: Final = frozenset({"list", "review", "homework", "issue"})
"""Kinds that say what is to be done, and seldom where it stands."""
_HOW_TO: Final = frozenset({"instruction", "direction", "step", "detail"})


def delegations(clauses: list[Clause], before: Span) -> list[Delegation]:
    """Return the delegations of one sentence. before: the sentence before it."""
    found: list[Delegation] = []
    for clause in clauses:
        follows = None if clause.refuses else _follows(clause)
        if follows is None:
            continue
        effects, offset = follows
        kinds, known = _source(clause.span[offset:])
        if not known:
            wider = _source(clause.before)
            if not any(wider):
                wider = _source(before)
            told = set(kinds) - _WEAK
            if wider[0] and (not told or told & set(wider[0])):
                kinds, known = tuple(dict.fromkeys((*kinds, *wider[0]))), wider[1]
        if kinds or known:
            found.append(Delegation(words=phrase(clause.whole), kinds=kinds, names=known, effects=effects))
    return found


def pointer(sentence: Span, clauses: list[Clause]) -> tuple[str, Named] | None:
    """Return the source that a statement calls the place of instructions: "the steps are in my bill"."""
    if any(not clause.refuses and clause.effects != (Effect.READ,) for clause in clauses):
        return None
    lows = [token.low for token in sentence]
    if clauses and not {"find", "see"} & set(lows):
        return None
    told = next((place for place, low in enumerate(lows) if lemma(low) in _HOW_TO), None)
    if told is None:
        return None
    place = next((place for place in range(told, len(lows)) if lows[place] in {"in", "on", "at", "by"}), None)
    source = _source(sentence[place:]) if place is not None else ((), ())
    return (phrase(sentence), source) if any(source) else None


def _source(span: Span) -> Named:
    """Return kinds and names of the source that some words name."""
    kinds: dict[str, None] = {}
    for token in span:
        kind = say.KINDS.get(token.low) or say.KINDS.get(token.low.removesuffix("s"))
        if token.kind == "w" and kind is not None:
            kinds[kind] = None
    known = [name for _, name in names(span)]
    for place, token in enumerate(span):
        numbered = token.kind == "n" and (token.low[0] == "#" or (place and span[place - 1].low in say.KINDS))
        if numbered or titled(token):
            known.append(token.low)
    for name in known:
        if "www." in name or "://" in name:
            kinds["page"] = None
        elif "." in name and "@" not in name:
            kinds["file"] = None
    return tuple(kinds), tuple(dict.fromkeys(known))


def _follows(clause: Clause) -> tuple[say.Effects, int] | None:
    """Return what a source may order by this clause, and from which word on it is named; None: no delegation."""
    lows = [token.low for token in clause.span]
    if clause.verb in say.DOES and (found := _left_open(clause, lows)) is not None:
        return (), found
    changing = tuple(effect for effect in clause.effects if effect is not Effect.READ)
    if not changing:
        return None
    if "accordingly" in lows:
        return changing, len(lows)
    for place, low in enumerate(lows):
        ahead = lows[place + 1] if place + 1 < len(lows) else ""
        mind = set(lows[place + 2 : place + 3]) & _OWN_MIND
        by = (low, ahead) in say.PER_SOURCE or (low == "per" and place) or (low == "as" and ahead in say.AS)
        if (by and not mind) or (low == "as" and set(lows[place + 1 : place + 5]) & say.SAYS):
            return changing, place + 1
    head = set(clause.direct)
    if clause.verb in {"pay", "settle"} and head & {"bill", "invoice"}:
        return (Effect.PAY,), 0
    numbered = any(any(char.isdigit() for char in each) for each in clause.targets)
    if clause.verb in {"fix", "implement"} and head & {"issue", "ticket", "bug"} and numbered:
        return changing, 0
    return None


def _left_open(clause: Clause, lows: list[str]) -> int | None:
    """Return from which word on the source is named, where the clause says to do all that it says."""
    head = set(clause.direct[:_HEAD])
    guides = clause.verb == "follow" and head & say.GUIDES
    tasks = guides or head & say.TASKS or (clause.verb != "do" and head & say.GOALS)
    if tasks and not _OWN_LIST & set(lows[:_HEAD]):
        return 0
    if lows and lows[0] in _ALL_OF_IT and set(lows) & say.SAYS:
        return 0
    words = [low for low in lows if low.isalpha()]
    if words and words[0] in say.BACK and len(words) < _HEAD and clause.verb in say.ACHIEVES:
        return len(lows)  # "could you do it for me"
    return None
