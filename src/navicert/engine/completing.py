"""Completing: step 7 of the loop. What came of an action is labelled, recorded, and only then released (R2, R5).

* Where labels grow, the caller waits until they are durable; else the outcome is queued, and shares the next commit.
* An outcome whose commit fails is kept and made again before anything else of its session is judged.
* A crash before it is durable leaves the action open, and its result at the worst case.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navicert.core.accumulate import accumulate
from navicert.core.draft import Ending, outcome_draft
from navicert.core.shared import seen_key, session_key, sticky_key, stuck
from navicert.engine.drive import Machine
from navicert.engine.output import KEPT as KEPT  # noqa: PLC0414 - they belong to what is completed
from navicert.engine.output import Output as Output  # noqa: PLC0414
from navicert.engine.output import Released as Released  # noqa: PLC0414
from navicert.engine.output import kept
from navicert.engine.releasing import releasing, withheld
from navicert.engine.seeing import Kept, kept_of
from navicert.engine.workings import Completion, Live, Workings, replace
from navicert.model.commit import Commit, RowRead, RowWrite
from navicert.model.context import ContextEntry, Labelled, Result, SessionContext, Walked
from navicert.model.labels import NOTHING, WORST, Labels
from navicert.model.shared import Sticky
from navicert.ports import Ticket

MAX_ANCESTORS = 6


def completing(
    works: Workings, live: Live, output: Output, *, success: bool | None, error: str | None, ended: str = ""
) -> Machine[Released]:
    """Label and record what came of an action; returns what may be released, once its labels stand in the context.

    Raises `ResultWithheld`, once that is recorded, where it is nothing.
    """
    completion = Completion(live=live, success=success, labels=NOTHING, output=b"null", error=error, ended=ended)
    released = Released(labels=NOTHING)
    try:
        if success is not None:
            # whoever is interrupted from here on leaves the worst case behind: the result was not looked at
            completion = replace(completion, labels=WORST, output=kept(output) if live.terms is None else b"null")
            released = yield from releasing(works, live, output)
            completion = replace(
                completion, labels=released.labels, output=released.output or b"null", part=released.part
            )
            completion = replace(completion, kept=kept_of(works, live, output, released))
        else:
            completion = replace(completion, kept=kept_of(works, live))
        yield from works.change(lambda: stage_completion(works, completion, lazy=True))
        works.sights.remember(completion.kept, live.permit.session_id)
    except BaseException:  # failed, or the caller was cancelled: what happened is still to be recorded
        works.keep(completion)
        raise
    if released.part is not None and released.part.how == "withheld":
        raise withheld(live, released.part, "ran, and what it gave back" if success else "failed, and what it said")
    return released


def extending(works: Workings, live: Live, output: Output) -> Machine[Labels]:
    """Label a part of a result that comes in parts, before that part is released.

    Where policy withholds or redacts the tool's results, the part is looked at together with those before it, and
    released whole or not at all: raises `ResultWithheld`, and has labelled nothing.
    """
    part, data, action_id = output.text or "", output.json, live.permit.action_id
    if live.terms is not None and output.text is not None:
        said = works.tell(action_id, part)
        output = Output(text=said, json=msgspec.json.encode(said.encode(errors="replace").decode()))
    released = yield from releasing(works, live, output)
    if released.part is not None:
        if output.text is not None:
            works.tell(action_id, part, back=True)
        raise withheld(live, released.part, "is not at its end, and what it said")
    yield from works.change(lambda: _label(works, live, released.labels))
    works.sights.part(live, part, data)
    return released.labels


def _label(works: Workings, live: Live, labels: Labels, kept: Kept | None = None) -> Ticket | tuple[str, ...] | None:
    """Queue labels by themselves, without an outcome. Under the turn; returns as `stage_completion` does."""
    session_id = live.permit.session_id
    growth = _growth(works, live, labels, kept=kept)
    if isinstance(growth, tuple):
        return growth
    context, version, writes, entries = growth["context"], growth["version"], growth["writes"], growth["entries"]
    if kept is not None and any(item.row == kept.reference.row for item in context.walked.seen):
        kept = None
    if kept is None and context.labels.covers(labels) and not writes and works.stands(session_id, labels):
        return None
    walked = Walked()
    if kept is not None:
        walked = Walked(seen=(kept.reference,))
        writes.append(_seen_row(works, kept))
    entry = Labelled(source=live.permit.action_id, labels=labels, at=works.clock.now(), walked=walked)
    after = accumulate(context, entry)
    return works.queue(
        Commit(
            session_id=session_id,
            writes=(RowWrite(key=session_key(session_id), expected=version, value=after), *writes),
            entries=((session_id, after.length, entry), *entries),
        )
    )


def _seen_row(works: Workings, kept: Kept) -> RowWrite:
    key = seen_key(kept.reference.row)
    row = works.rows.get(key)
    return RowWrite(key=key, expected=row[1] if row is not None else 0, value=kept.seen)


def stage_completion(works: Workings, completion: Completion, *, lazy: bool) -> Ticket | tuple[str, ...] | None:
    """Queue what came of an action. Under the turn. Returns a ticket to wait for, rows to read first, or None.

    None: recorded already, or queued without anybody having to wait.
    """
    live = completion.live
    session_id = live.permit.session_id
    flight = (live.flight,) if live.flight and completion.success is not None else ()
    kept = completion.kept
    growth = _growth(works, live, completion.labels, flight, kept=kept, ended=True)
    if isinstance(growth, tuple):
        return growth
    context: SessionContext = growth["context"]
    if all(item.action_id != live.permit.action_id for item in context.open):
        # It became durable although its commit was reported as failed, or was settled elsewhere meanwhile. The cached
        # context may also be built on a change that fails: believed only once the journal says that it stands.
        believed = Commit(reads=(RowRead(key=session_key(session_id), expected=growth["version"]),))
        return _label(works, live, completion.labels, kept) or works.queue(believed)
    now = works.clock.now()
    entry = Result(
        action_id=live.permit.action_id,
        succeeded=completion.success,
        labels=completion.labels,
        at=now,
        ended=completion.ended,
        seen=kept.reference.digest if kept is not None else "",
    )
    after = accumulate(context, entry)
    draft = None
    if completion.success is not None:
        ending = Ending(
            receipt_id=works.ids.new("rcp"),
            decision=live.receipt,
            digest=live.permit.decision,
            after=after,
            labels=completion.labels,
            success=completion.success,
            output=completion.output,
            error=completion.error,
            settled_by=completion.settled_by,
            now=now,
            released=completion.part,
        )
        draft = outcome_draft(works.settings.scribe, ending)
    writes = [RowWrite(key=session_key(session_id), expected=growth["version"], value=after), *growth["writes"]]
    if kept is not None:
        writes.append(_seen_row(works, kept))
    reads: list[RowRead] = []
    for key in flight:
        row = works.rows.get(key)
        if row is None:
            return (key,)
        if row[0] is not None and row[0].action_id == live.permit.action_id:
            writes.append(RowWrite(key=key, expected=row[1], value=None))
        else:  # what is cached may be old: the journal refuses the commit where the row is there after all
            reads.append(RowRead(key=key, expected=row[1]))
    grew = bool(growth["writes"]) or not works.stands(session_id, completion.labels)
    if grew and completion.labels != NOTHING and all(item.key != live.sticky for item in writes):
        reads.append(RowRead(key=live.sticky, expected=growth["sticky"]))
    commit = Commit(
        session_id=session_id,
        writes=tuple(writes),
        reads=tuple(reads),
        entries=((session_id, after.length, entry), *growth["entries"]),
        draft=draft,
    )
    ticket = works.queue(commit, lazy=lazy and not grew)
    if not lazy or grew:
        return ticket
    ticket.on_done(lambda: _again(works, ticket, completion))
    return None


def _again(works: Workings, ticket: Ticket, completion: Completion) -> None:
    try:
        ticket.result()
    except Exception:  # noqa: BLE001 - kept, and made again before the session's next decision
        works.keep(completion)


def _growth(
    works: Workings,
    live: Live,
    labels: Labels,
    more: tuple[str, ...] = (),
    *,
    kept: Kept | None = None,
    ended: bool = False,
) -> dict[str, Any] | tuple[str, ...]:
    """Return the session's row and what has to be written beside it where labels grow, or rows to read first.

    Labels follow the human and agent into new sessions (sticky), and go up to the sessions that delegated (T7); so does
    what was done, once it has ended, for rules over sequences, and what was read, as what another agent may have said.
    """
    session_id, followed = live.permit.session_id, live.sticky
    key = session_key(session_id)
    rows = works.snapshot((key, followed, *more))
    if rows is None:
        return (key, followed, *more)
    context: SessionContext = rows[key][0]
    now = works.clock.now()
    writes: list[RowWrite] = []
    entries: list[tuple[str, int, ContextEntry]] = []
    sticky: Sticky | None = stuck(rows[followed][0], labels, now, works.policy.policy.sticky_s)
    if sticky is not None:
        writes.append(RowWrite(key=followed, expected=rows[followed][1], value=sticky))
    parent = context.parent
    for _ in range(MAX_ANCESTORS):
        if parent is None:
            break
        row = works.rows.get(session_key(parent))
        if row is None:
            return (session_key(parent),)
        above: SessionContext = row[0]
        walked = _went_up(works, live, above, kept, ended=ended)
        if walked is not None or not above.labels.covers(labels):
            entry = Labelled(source=session_id, labels=labels, at=now, walked=walked or Walked())
            after = accumulate(above, entry)
            writes.append(RowWrite(key=session_key(parent), expected=row[1], value=after))
            entries.append((parent, after.length, entry))
        place = sticky_key(works.settings.scribe.pseudonym(above.claims.human or ""), above.claims.agent or "")
        held = works.rows.get(place)
        if held is None:
            return (place,)
        sticky = stuck(held[0], labels, now, works.policy.policy.sticky_s)
        if sticky is not None:
            writes.append(RowWrite(key=place, expected=held[1], value=sticky))
        parent = above.parent
    return {
        "context": context,
        "version": rows[key][1],
        "sticky": rows[followed][1],
        "writes": writes,
        "entries": entries,
    }


def _went_up(works: Workings, live: Live, above: SessionContext, kept: Kept | None, *, ended: bool) -> Walked | None:
    """Return what this action adds to the way of a session that delegated, None where nothing that is not there."""
    name = f"{live.permit.tool}.{live.permit.operation}"
    walked = Walked()
    known = above.walked.reached
    went = any(text not in known.get(effect, ()) for effect, texts in live.reached.items() for text in texts)
    if ended and (went or live.risk or name not in above.walked.done or works.policy.timed):
        walked = Walked(done={name: works.clock.now()}, risk=live.risk, reached=live.reached)
    if kept is not None and all(item.row != kept.reference.row for item in above.walked.seen):
        walked = replace(walked, seen=(replace(kept.reference, agent=True),))
    return walked if walked != Walked() else None


def not_started(live: Live) -> Completion:
    """Return what is to be recorded of a permitted action that can never start any more."""
    return Completion(live=live, success=False, labels=NOTHING, error="not_started", settled_by="engine")
