"""Limits that never bind, points that nothing weighs, intents that reach no tool (T3, T4, T6)."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from navicert.core.scope import in_scope
from navicert.lint.book import Book, Finding, shown
from navicert.model.action import Effect
from navicert.model.decision import Verdict
from navicert.model.policy import Destination, Operator, Rule

_RISK: Final = "context.risk"
_NO_ADDRESSES: Final = frozenset({Effect.PAY, Effect.GRANT, Effect.CREDENTIALS})
_LISTS: Final = frozenset({Operator.EQ, Operator.IN})


def limits(book: Book) -> Iterator[Finding]:
    """Find what `risk_limit`, `accepts`, `destinations` and `intents` say without effect."""
    yield from _points(book)
    accepting = {f"tools.{tool.tool}": tool.accepts for tool in book.policy.tools}
    accepting |= {f"intents.{intent.name}": intent.accepts for intent in book.policy.intents}
    for way, limit in accepting.items():
        if limit is not None and not limit.binds():
            yield _slack(book, way, "`accepts: RESTRICTED` admits everything, what is unclassified too")
    places = book.policy.destinations
    for at, one in enumerate(places):
        if any(_within(one, other) for other in (*places[:at], *(item for item in places[at:] if item != one))):
            named = shown(filter(None, (*one.at, *one.names, one.pattern)))
            yield _slack(book, "destinations", f"the entry for {named} is pointless: another one accepts no more there")
    if places and not any(item.names or item.pattern for item in places):
        yield from _accounts(book)
    for rule in book.deciding:
        yield from _misspelled(book, rule, {name for item in places for name in item.names})
    for intent in book.policy.intents:
        lost = [item for item in intent.tools if not any(in_scope(tool.tool, (item,)) for tool in book.policy.tools)]
        if lost and book.policy.tools:
            yield book.finding(
                "NV153",
                None,
                f"intents.{intent.name}",
                f"no tool under `tools` is meant by {shown(lost)} in the intent `{intent.name}`",
                why="the pattern admits nothing, unless the code declares such a tool",
                write="the names as they stand in `tools`; nothing, where the tool is declared in code",
            )


def _accounts(book: Book) -> Iterator[Finding]:
    for tool in book.policy.tools:
        if tool.destination and tool.effect in _NO_ADDRESSES:
            yield book.finding(
                "NV154",
                None,
                f"tools.{tool.tool}",
                f"`destinations` lists addresses alone, and `{tool.tool}` ({tool.effect.value}) may go to other things",
                why="an account or a name is no address: it takes PUBLIC, so that the answer is DENY (`label_limit`)"
                " for a session that has read more",
                write="an entry with `matches:` (a pattern of accounts) or `in:` (names as written); nothing, where all"
                " are addresses",
            )


def _misspelled(book: Book, rule: Rule, listed: set[str]) -> Iterator[Finding]:
    """Find a destination that a rule permits, and that `destinations` lists in nearly the same spelling."""
    for item in rule.match:
        if item.field != "destination" or item.operator not in _LISTS or item.negated or rule.decision is Verdict.DENY:
            continue
        for value in item.value if isinstance(item.value, list) else [item.value]:
            near = get_close_matches(str(value), listed - {value}, 1, 0.85)
            if near and value not in listed:
                what = f"`destinations` does not list {shown([value])}, but {shown(near)}"
                why = "a destination that is not listed takes PUBLIC"
                write = "one spelling in both places; nothing, where there are two"
                yield book.finding("NV155", rule, "match.destination", what, why=why, write=write)


def _points(book: Book) -> Iterator[Finding]:
    limit = book.policy.risk_limit
    adding = [rule for rule in book.policy.rules if rule.adds_risk]
    asking = [rule for rule in book.policy.rules if any(item.field == _RISK for item in rule.match)]
    if adding and limit is None and not asking:
        what, write = "points are added, and nothing weighs them", "`risk_limit`, or a rule on `context: {risk: …}`"
        why = "the risk of a session is counted, and no decision depends on it"
        yield book.finding("NV151", adding[0], "adds_risk", what, why=why, write=write)
    if not adding and (asking or limit is not None):
        rule, way = (asking[0], f"match.{_RISK}") if asking else (None, "risk_limit")
        what, write = "the risk of a session is weighed, and no rule adds to it", "a rule with `adds_risk`"
        yield book.finding(
            "NV151", rule, way, what, why="the risk stays 0, and the limit is never reached", write=write
        )
    for rule in adding:
        if limit is not None and rule.adds_risk > limit:
            what = f"{rule.adds_risk} points are more than the `risk_limit` of {limit}"
            write = "a higher limit or fewer points; a rule with `decision: DENY`, where that is meant"
            why = "one such action is above the limit by itself: wherever this rule matches, the answer is DENY"
            yield book.finding("NV151", rule, "adds_risk", what, why=why, write=write)


def _slack(book: Book, way: str, what: str) -> Finding:
    why, write = "a limit that never binds reads like a protection, and is none", "a lower limit, or remove it"
    return book.finding("NV152", None, way, what, why=why, write=write)


def _within(one: Destination, other: Destination) -> bool:
    """Tell whether another entry names every place of this one, and accepts no more there."""
    named = set(one.at) <= set(other.at) and set(one.names) <= set(other.names) and one.pattern in {"", other.pattern}
    ours, theirs = one.accepts.categories, other.accepts.categories
    narrower = ours is None or (theirs is not None and set(theirs) <= set(ours))
    return named and other.accepts.level <= one.accepts.level and narrower
