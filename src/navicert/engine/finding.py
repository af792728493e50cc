"""Finding out: the facts that an action waits for are fetched, in rounds bounded in number and time (R4.b).

* A round is claimed before it is made, by compare-and-swap: of several processes one makes it, and a crash uses it up.
* Every source of a fact must answer, and they must agree; each attempt is kept, with what came of it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from navicert.core.answers import hear
from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.core.evaluate import evaluate
from navicert.core.shared import APPROVERS, wait_key
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.workings import Workings, replace, safe
from navicert.model.commit import Commit, RowWrite
from navicert.model.context import Fact
from navicert.model.decision import Verdict
from navicert.model.errors import InvalidAction, Unavailable
from navicert.model.policy import FactSource, Source, SourceKind
from navicert.model.suspension import Try, Wait
from navicert.ports import Conflict, Ticket


def find_out(works: Workings, wait: Wait, *, take: bool) -> Machine[Wait]:
    """Make a round of finding out where one is due; returns the wait as it then stands.

    What was found out and does not help is asked again: a window that was closed may be open at the next round. What
    does help is asked again only for whoever takes the action up, where it is not fresh any more.
    """
    now = works.clock.now()
    if wait.next_try is None or now < wait.next_try or not wait.tries_left or now >= wait.question.deadline:
        return wait
    wanted = [fact for fact in works.policy.policy.facts if fact.name in wait.missing]
    if not wanted or (_helps(works, wait) and not (take and _stale(wait, wanted, now))):
        return wait
    left = wait.tries_left - 1
    following = now + min(fact.every_s for fact in wanted) * 1_000_000 if left else None
    claimed = yield from _change(works, wait, replace(wait, tries_left=left, next_try=following))
    if claimed is None:
        return wait  # another process makes this round
    tries = yield from _fetch(works, wanted, now)
    stated = yield from _stated(works, claimed)
    found = [fact for item in wanted if (fact := _agreed(item, tries, stated, now)) is not None]
    return (yield from _record(works, claimed, tuple(tries), tuple(found))) or claimed


def _helps(works: Workings, wait: Wait) -> bool:
    """Tell whether what was found out lets the action be decided, on the state of its submission."""
    return evaluate(replace(wait.given, facts=wait.facts), works.policy).verdict is not Verdict.DEFER


def _stale(wait: Wait, wanted: list[FactSource], now: int) -> bool:
    spans = {fact.name: fact.every_s * 1_000_000 for fact in wanted}
    return any(now - fact.at >= spans[fact.name] for fact in wait.facts if fact.name in spans)


def _fetch(works: Workings, wanted: list[FactSource], now: int) -> Machine[list[Try]]:
    asked = [
        (fact.name, source) for fact in wanted for source in fact.sources if source.kind is not SourceKind.REQUESTER
    ]
    calls = tuple(Call(f"source {name}", partial(_one, works, source), inline=False) for name, source in asked)
    answers = (yield Ask(calls, float(max(fact.wait_s for fact in wanted)))) if calls else []
    return [
        Try(
            fact=name,
            source=named(source),
            at=now,
            value=answer.value if answer.error is None else None,
            problem="" if answer.error is None else safe(answer.error),
        )
        for (name, source), answer in zip(asked, answers, strict=True)
    ]


def _one(works: Workings, source: Source) -> Any:
    resolver = works.ports.resolvers.get(source.kind)
    if resolver is None:
        raise Unavailable(f"sources of the kind `{source.kind.value}` cannot be asked here")
    value = resolver.fetch(source)
    try:
        return decode_parameters(parameter_bytes({"value": value}))["value"]
    except InvalidAction as error:
        raise Unavailable(f"the source answered with what is no JSON value: {error}") from None


def named(source: Source) -> str:
    """Return how people and receipts name a source."""
    return f"{source.kind.value} {source.place or ' '.join(source.words)}{' at ' + source.at if source.at else ''}"


def _stated(works: Workings, wait: Wait) -> Machine[dict[str, Any]]:
    rows = yield from works.fetch((APPROVERS,))
    return hear(wait.question, wait.votes, rows[APPROVERS][0], works.clock.now()).stated


def _agreed(fact: FactSource, tries: list[Try], stated: dict[str, Any], now: int) -> Fact | None:
    """Return the fact where every source answered and all say the same; None where one is silent or they differ."""
    values: list[Any] = []
    for source in fact.sources:
        if source.kind is SourceKind.REQUESTER:
            if fact.name not in stated:
                return None
            values.append(stated[fact.name])
            continue
        last = next((item for item in reversed(tries) if (item.fact, item.source) == (fact.name, named(source))), None)
        if last is None or last.problem:
            return None
        values.append(last.value)
    if any(value != values[0] or type(value) is not type(values[0]) for value in values):
        return None
    sources = ", ".join(named(source) for source in fact.sources)
    return Fact(name=fact.name, value=values[0], source=sources, at=now)


def _record(works: Workings, claimed: Wait, tries: tuple[Try, ...], found: tuple[Fact, ...]) -> Machine[Wait | None]:
    """Keep what a round came to in the wait as it now stands: it may have been answered meanwhile. None: it is over."""
    key = wait_key(claimed.handle)
    kept: list[Wait] = []

    def attempt() -> Ticket | tuple[str, ...] | None:
        kept.clear()
        row = works.rows.get(key)
        if row is None:
            return (key,)
        wait: Wait | None = row[0]
        if wait is None:
            return None
        # the newest round stands alone: what a source says no more is not known any more
        kept.append(replace(wait, tries=(*wait.tries, *tries), facts=found))
        return works.queue(Commit(writes=(RowWrite(key=key, expected=row[1], value=kept[0]),)))

    yield from works.change(attempt)
    return kept[0] if kept else None


def _change(works: Workings, before: Wait, after: Wait) -> Machine[Wait | None]:
    """Write the wait's row, where it still is what was read; None where it is not."""
    key = wait_key(before.handle)
    with works.turn:
        row = works.rows.get(key)
        if row is None or row[0] != before:
            return None
        ticket = works.queue(Commit(writes=(RowWrite(key=key, expected=row[1], value=after),)))
    try:
        yield from works.durable(ticket)
    except Conflict:
        return None
    return after
