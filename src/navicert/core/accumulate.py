"""Context accumulation (R2): a fold over entries, chained by hash.

* A label set never shrinks, and every attempt counts, the denied ones too.
* An entry commits to the entry before it; the context holds the head (R2.f).
* The context is bounded: windows hold the newest, counts hold everything, so that the cost per action is flat.
"""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.core.canonical import state_bytes
from navicert.core.digest import entry_digest
from navicert.model.context import (
    Attempt,
    ContextEntry,
    Ended,
    Fact,
    Labelled,
    Observed,
    OpenAction,
    Opened,
    PriorAction,
    Reference,
    Renewed,
    Resolution,
    Result,
    SessionContext,
    UserSaid,
    Waiting,
    Walked,
)
from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError
from navicert.model.labels import NOTHING

RECENT: Final = 16
ENTITIES: Final = 48
PACE: Final = 64
NAMES: Final = 256
FACTS: Final = 64
OPEN: Final = 128
OTHER: Final = "(other)"
REACHED: Final = 32
SEEN: Final = 64
WAITING: Final = 32
"""So many actions of one session may wait at once."""
_WAITING: Final = frozenset({Verdict.STEP_UP, Verdict.DEFER})
_PERMITTING: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY})
_replace = msgspec.structs.replace


def begin(entry: Opened) -> SessionContext:
    """Return the context of a new session; its request can never be changed afterwards (R2.d)."""
    return SessionContext(
        session_id=entry.session_id,
        request=entry.request,
        claims=entry.claims,
        salt=entry.salt,
        started_at=entry.at,
        last_at=entry.at,
        parent=entry.parent,
        delegation=entry.delegation,
        said=entry.said,
        labels=entry.inherited,
        walked=entry.walked,
        length=1,
        head=entry_digest("", state_bytes(entry)),
    )


def accumulate(context: SessionContext, entry: ContextEntry) -> SessionContext:
    """Return the context extended by one entry."""
    grown = _replace(
        context,
        length=context.length + 1,
        head=entry_digest(context.head, state_bytes(entry)),
        last_at=max(context.last_at, entry.at),
    )
    match entry:
        case Attempt():
            return _attempt(grown, entry)
        case Resolution():
            return _resolution(grown, entry)
        case Result():
            return _result(grown, entry)
        case UserSaid():
            return _replace(grown, said=(*grown.said, entry.text))
        case Observed():
            return _replace(grown, facts=_observe(grown.facts, entry))
        case Renewed():
            return _replace(grown, claims=_replace(grown.claims, token=entry.token))
        case Labelled():
            return _replace(grown, labels=grown.labels.join(entry.labels), walked=further(grown.walked, entry.walked))
        case Ended():
            return _replace(grown, ended_at=entry.at)
        case Opened():
            raise IntegrityError(f"session `{context.session_id}` is opened twice")


def fold(entries: list[ContextEntry]) -> SessionContext:
    """Return the context that a whole chain of entries makes; the first must open the session."""
    first, *rest = entries
    if not isinstance(first, Opened):
        raise IntegrityError("the chain does not begin with the opening of a session")
    context = begin(first)
    for entry in rest:
        context = accumulate(context, entry)
    return context


def further(walked: Walked, more: Walked) -> Walked:
    """Return where a session has been after it went on; past `NAMES` tools, the rest counts under one name."""
    if more == Walked():
        return walked
    done = dict(walked.done)
    for name, at in more.done.items():
        known = name if name in done or len(done) < NAMES else OTHER
        done[known] = max(at, done.get(known, 0))
    reached = dict(walked.reached)
    for effect, targets in more.reached.items():
        fresh = [text for text in targets if text not in reached.get(effect, ())]
        reached[effect] = (*reached.get(effect, ()), *fresh)[-REACHED:]
    seen = tuple({item.row: item for item in (*walked.seen, *more.seen)}.values())[-SEEN:]
    return Walked(done=done, risk=walked.risk + more.risk, reached=reached, seen=seen, drift=walked.drift)


def _walked(context: SessionContext, entry: Attempt | Resolution) -> Walked:
    walked = context.walked if entry.drift is None else _replace(context.walked, drift=entry.drift)
    if entry.risk is None or entry.verdict not in _PERMITTING:
        return walked
    return further(walked, Walked(done={entry.name: entry.at}, risk=entry.risk, reached=entry.reached))


def _attempt(context: SessionContext, entry: Attempt) -> SessionContext:
    known = entry.name in context.counts or len(context.counts) < NAMES
    name = entry.name if known else OTHER
    prior = PriorAction(
        action_id=entry.action_id, name=entry.name, verdict=entry.verdict, at=entry.at, digest=entry.digest
    )
    opened = context.open
    if entry.verdict in _PERMITTING:
        opened = (
            *opened,
            OpenAction(action_id=entry.action_id, name=entry.name, digest=entry.digest, owner=entry.owner, at=entry.at),
        )
    waiting = context.waiting
    if entry.handle is not None:
        wait = Waiting(
            handle=entry.handle,
            action_id=entry.action_id,
            digest=entry.digest,
            resources=entry.resources,
            depth=entry.depth,
        )
        waiting = (*waiting, wait)
    fresh = tuple(dict.fromkeys(text for text in entry.entities if text not in context.entities))
    return _replace(
        context,
        recent=(*context.recent[-RECENT + 1 :], prior),
        counts={**context.counts, name: context.counts.get(name, 0) + 1},
        verdicts={**context.verdicts, entry.verdict.value: context.verdicts.get(entry.verdict.value, 0) + 1},
        open=opened,
        waiting=waiting,
        entities=(*context.entities, *fresh)[-ENTITIES:],
        entities_seen=context.entities_seen + len(fresh),
        pace=(*context.pace[-PACE + 1 :], entry.at),
        walked=_walked(context, entry),
    )


def _resolution(context: SessionContext, entry: Resolution) -> SessionContext:
    """A wait that ended is let go, and is open where it was released; one that asks anew goes on waiting."""
    waiting = context.waiting
    if entry.verdict not in _WAITING:
        waiting = tuple(item for item in waiting if item.handle != entry.handle)
    opened = context.open
    if entry.verdict in _PERMITTING:
        opened = (
            *opened,
            OpenAction(action_id=entry.action_id, name=entry.name, digest=entry.digest, owner=entry.owner, at=entry.at),
        )
    recent = tuple(
        _replace(item, verdict=entry.verdict) if item.action_id == entry.action_id else item for item in context.recent
    )
    counted = context.verdicts.get(entry.verdict.value, 0) + 1
    return _replace(
        context,
        waiting=waiting,
        open=opened,
        recent=recent,
        verdicts={**context.verdicts, entry.verdict.value: counted},
        walked=_walked(context, entry),
    )


def _result(context: SessionContext, entry: Result) -> SessionContext:
    if entry.succeeded is None:  # nobody knows whether it happened: it stays open, marked
        opened = tuple(
            _replace(item, ended=entry.ended) if item.action_id == entry.action_id else item for item in context.open
        )
    else:
        opened = tuple(item for item in context.open if item.action_id != entry.action_id)
    recent = context.recent
    if entry.labels != NOTHING:
        recent = tuple(
            _replace(item, labels=entry.labels) if item.action_id == entry.action_id else item for item in recent
        )
    walked = context.walked
    if entry.seen:
        row = f"{context.session_id}/{entry.action_id}"
        walked = further(walked, Walked(seen=(Reference(row=row, digest=entry.seen),)))
    return _replace(context, open=opened, labels=context.labels.join(entry.labels), recent=recent, walked=walked)


def _observe(facts: tuple[Fact, ...], entry: Observed) -> tuple[Fact, ...]:
    """A fact has one value per source; where two sources disagree it is conflicting until they agree again."""
    fact = Fact(name=entry.name, value=entry.value, source=entry.source, at=entry.at)
    kept = [item for item in facts if (item.name, item.source) != (entry.name, entry.source)]
    kept.append(fact)
    values = [item.value for item in kept if item.name == entry.name]
    conflicting = any(value != values[0] or type(value) is not type(values[0]) for value in values)
    kept = [_replace(item, conflicting=conflicting) if item.name == entry.name else item for item in kept]
    if len(kept) > FACTS:
        raise IntegrityError(f"a session holds at most {FACTS} facts; `{entry.name}` is one too many")
    return tuple(kept)
