"""Judging: one action on the rows as they stand, and what follows from it as one commit (DESIGN.md section 3).

* Everything here runs under the turn, and waits for nothing: what is missing is named (`Need`), fetched, tried again.
* A modified action is measured and judged anew, until it comes to rest.
* A permit, a wait or a refusal is the same commit: receipt, context, shared rows, and the row of the wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from navicert.core.accumulate import OPEN, WAITING, accumulate
from navicert.core.canonical import decode_parameters
from navicert.core.dependence import prerequisites, written
from navicert.core.draft import Judgement, decision_draft, permits, policy_part
from navicert.core.evaluate import added_risk, evaluate, labels_by_rule, lowered, shadow, witnessed_by_rule
from navicert.core.fields import role_values
from navicert.core.labels import labels_in_force
from navicert.core.rounds import ROUNDS, UNSTABLE, merged, with_parameters
from navicert.core.shared import (
    AUTHORITY,
    Concerns,
    authority_of,
    concerns,
    over_key,
    restanding,
    session_key,
    shared_facts,
    tallied,
    wait_key,
)
from navicert.engine.aligning import reached_by
from navicert.engine.drifting import drifted
from navicert.engine.suspending import begin_wait
from navicert.engine.workings import Workings, replace, values
from navicert.model.action import Action, Effect
from navicert.model.authority import LADDER, Authority, Standing, Standings
from navicert.model.commit import Commit, RowRead, RowWrite
from navicert.model.context import Attempt, ContextEntry, Fact, SessionContext
from navicert.model.decision import Decision, Shadow, Verdict
from navicert.model.drift import Drift
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity
from navicert.model.labels import Labels
from navicert.model.receipt import AuthorityPart
from navicert.model.shared import InFlight, Stored
from navicert.model.signals import Signals
from navicert.model.suspension import Over
from navicert.model.value import Value

_ASKING: Final = frozenset({Verdict.STEP_UP, Verdict.DEFER})


class Need(Value, frozen=True, kw_only=True):
    """What has to be fetched before the action can be judged: rows, measurements of it, or its files' digests.

    align: its intent is to be judged anew, on the session as it is by now.
    """

    keys: tuple[str, ...] = ()
    measure: Action | None = None
    align: Action | None = None
    files: Action | None = None


class Twin(Value, frozen=True, kw_only=True):
    """The same action waits in this session already: it is taken up, and nobody is asked twice."""

    handle: str


class Case(Value, frozen=True, kw_only=True):
    """What is judged. measured, basis, files: by parameters. facts, answered: of an action that waited.

    start: where to begin. not_before: no clock that was set back makes it earlier than this.
    """

    action: Action
    session_id: str
    identity: ActionIdentity
    forced: Decision | None = None
    measured: dict[bytes, Signals]
    basis: dict[bytes, Any] = {}
    aligned: int = 0
    """So often its intent was judged anew, since the session had changed."""
    files: dict[bytes, dict[str, str]]
    facts: tuple[Fact, ...] = ()
    answered: tuple[str, ...] = ()
    start: Action | None = None
    not_before: int = 0


class Assessed(Value, frozen=True, kw_only=True):
    """What an action came to. given: the last round's input; `given.action` is what would run. line: the sessions.

    drift: of the session, with this action.
    """

    decision: Decision
    given: EvaluationInput
    concerned: Concerns
    rows: dict[str, tuple[Any, int]]
    line: tuple[SessionContext, ...]
    drift: Drift


class Judged(Value, frozen=True, kw_only=True):
    """A decision that is queued: what to wait for, and what to answer when it is durable."""

    decision: Decision
    action: Action
    """As it would run."""
    identity: ActionIdentity
    ticket: Any
    receipt_id: str
    concerned: Concerns | None
    given: EvaluationInput | None
    ruled: Labels | None
    witnessed: bool
    risk: int
    reached: dict[str, tuple[str, ...]] = {}
    handle: str | None
    deadline: int | None
    expires_at: int
    session_id: str
    waited: bool = False
    authority: Authority = Authority.FULL
    """As this decision leaves it: what a rule lowers holds from the next action on."""


def forced(code: str, reason: str) -> Decision:
    """Return a refusal that is the engine's own."""
    return Decision(verdict=Verdict.DENY, reason_code=code, reason=reason)


def basis_of(line: Sequence[SessionContext]) -> Any:
    """Return what of the sessions an intent is judged on: what was said, what was read, what was reached."""
    return tuple(
        (item.session_id, item.said, item.walked.reached, len(item.walked.seen), item.walked.seen[-1:]) for item in line
    )


def assess(works: Workings, case: Case) -> Assessed | Need:
    """Judge the action, round by round, until what it is modified to comes to rest. Under the turn."""
    place = session_key(case.session_id)
    policy, action = works.policy, case.action
    profile = policy.profile(action.name, action.profile)
    candidates = policy.candidates(action.tool, action.operation)
    current = case.start or action
    touched: tuple[str, ...] = ()
    shadowed: Shadow | None = None
    now = max(works.clock.now(), case.not_before)
    for left in range(ROUNDS, -1, -1):
        concerned = concerns(current, profile, case.identity, candidates, works.settings.scribe.pseudonym)
        if concerned.flight is not None and works.rows.get(concerned.flight) is None:
            works.rows.fill((concerned.flight,), {})  # taken as absent: the journal refuses the commit where it is not
        keys = (place, *concerned.keys())
        rows = works.snapshot(keys)
        if rows is None:
            return Need(keys=keys)
        context: SessionContext = rows[place][0]
        above = works.ancestors(context)
        if above is None:
            return Need(keys=works.lineage(context))
        signals = case.measured.get(current.parameters)
        if signals is None:
            return Need(measure=current)
        if case.forced is None and case.basis.get(current.parameters) != basis_of((context, *above)):
            return Need(align=current)  # what was said, read or reached meanwhile counts
        concerned = replace(
            concerned, subjects=(*concerned.subjects, *(session_key(parent.session_id) for parent in above))
        )
        facts = shared_facts(concerned, values(rows), candidates, now)
        given = EvaluationInput(
            action=current,
            identity=case.identity,
            context=context,
            labels=labels_in_force((context, *above), facts.sticky, works.settings.issuer),
            shared=facts,
            signals=signals,
            now=now,
            facts=case.facts,
            answered=case.answered,
            separation=action.separation or works.settings.scribe.separation,
        )
        given, drift = drifted(works, given)
        if left == ROUNDS and case.forced is None:
            shadowed = shadow(given, policy)
        decision = case.forced or evaluate(given, policy)
        if decision.effective is not None and not left:
            decision = UNSTABLE
        if decision.effective is None:
            decision = replace(merged(decision, touched), shadow=shadowed)
            line = (context, *above)
            return Assessed(decision=decision, given=given, concerned=concerned, rows=rows, line=line, drift=drift)
        touched = (*touched, *decision.rules)
        current = with_parameters(current, decision.effective)
    raise AssertionError("the last round always returns")


def guarded(works: Workings, assessed: Assessed, *, waited: bool = False) -> Decision | Need | Twin:
    """Refuse or hold what policy would let pass but the state of things does not.

    Its session or a parent has ended; too much is open or waits; the same is open already, or waits (`Twin`); it
    depends on what waits. waited: it was suspended before, and may be taken up after its session has ended.
    """
    decision, context = assessed.decision, assessed.line[0]
    action, rows = assessed.given.action, assessed.rows
    if not waited and any(session.ended_at is not None for session in assessed.line):
        return forced("session_ended", "the session, or the one that delegated to it, has ended")
    if decision.verdict is Verdict.DENY:
        return decision
    flight: InFlight | None = rows[assessed.concerned.flight][0] if assessed.concerned.flight else None
    if permits(decision.verdict):
        if len(context.open) >= OPEN:
            return forced("too_many_open", f"{OPEN} actions of this session have no outcome yet")
        if flight is not None:
            return forced("open_action", f"the same action is open already, as {flight.action_id}")
    if waited:
        return decision  # what it depends on was looked at before it was judged
    twin = next((item for item in context.waiting if item.digest == action.digest), None)
    if twin is not None:
        return Twin(handle=twin.handle)
    return _held_back(works, decision, action, context)


def _held_back(works: Workings, decision: Decision, action: Action, context: SessionContext) -> Decision | Need:
    """Have an action wait for those that it depends on (R4.d), within the cascade limit (R4.f)."""
    before = prerequisites(action, decode_parameters(action.parameters), context)
    known = {item.handle for item in context.waiting}
    named = tuple(dict.fromkeys(handle for handle in action.depends_on if handle not in known))
    found = works.snapshot([*map(wait_key, named), *map(over_key, named)]) if named else {}
    if found is None:
        return Need(keys=(*map(wait_key, named), *map(over_key, named)))
    handles = [item.handle for item in before]
    depth = max((item.depth for item in before), default=0)
    for handle in named:
        wait, over = found[wait_key(handle)][0], found[over_key(handle)][0]
        if wait is None and over is None:
            return forced("no_wait", f"it depends on `{handle}`, and there is no such wait")
        if over is not None and not over.permitted:
            return forced("dependency_refused", f"it depends on {handle}, which was refused")
        if wait is not None or any(item.action_id == over.action_id for item in context.open):
            handles.append(handle)
            depth = max(depth, (wait or over).depth)
    if not handles and decision.verdict not in _ASKING:
        return decision
    if len(context.waiting) >= WAITING:
        return forced("too_many_waiting", f"{WAITING} actions of this session wait already")
    if depth + 1 > works.policy.policy.cascade and handles:
        return forced("cascade_limit", f"it would be number {depth + 1} in a row of actions that wait for one another")
    if permits(decision.verdict):
        return Decision(
            verdict=Verdict.DEFER,
            reason_code="depends",
            reason=f"it depends on what waits as {', '.join(handles)}",
            rules=decision.rules,
            risk=decision.risk,
            depends_on=tuple(handles),
        )
    behind = f" (it also depends on what waits as {', '.join(handles)})" if handles else ""
    return replace(decision, depends_on=tuple(handles), reason=f"{decision.reason}{behind}")


def stage(works: Workings, case: Case) -> Judged | Need | Twin:
    """Judge an action and queue what follows. Under the turn; waits for nothing."""
    assessed = assess(works, case)
    if isinstance(assessed, Need):
        return assessed
    decision = assessed.decision if case.forced is not None else guarded(works, assessed)
    if not isinstance(decision, Decision):
        return decision
    if decision.verdict is Verdict.STEP_UP and (need := files_needed(works, assessed.given.action, case.files)):
        return need
    return _commit(works, case, assessed, decision)


def files_needed(works: Workings, action: Action, files: dict[bytes, dict[str, str]]) -> Need | None:
    """Return what is needed to bind an approval to the content of the files that the action names."""
    if works.ports.contents is None or action.parameters in files:
        return None
    return Need(files=action)


def _commit(works: Workings, case: Case, assessed: Assessed, decision: Decision) -> Judged:
    """Queue what follows from a decision: receipt, context, shared rows, wait."""
    given, concerned, rows, action = assessed.given, assessed.concerned, assessed.rows, case.action
    context, current = given.context, given.action
    policy, settings, now = works.policy, works.settings, given.now
    profile = policy.profile(action.name, action.profile)
    handle = works.ids.new("wait") if decision.verdict in _ASKING else None
    depth = 1 + _depth(works, context, decision.depends_on)
    entry = Attempt(
        action_id=action.action_id,
        name=action.name,
        digest=current.digest,
        verdict=decision.verdict,
        owner=settings.issuer,
        at=now,
        risk=added_risk(given, policy),
        entities=_entities(works, current),
        handle=handle,
        resources=written(profile, decode_parameters(current.parameters)) if handle else (),
        depth=depth,
        reached=reached_by(works, current) if permits(decision.verdict) else {},
        drift=assessed.drift,
    )
    after = accumulate(context, entry)
    changes = follow(works, assessed, decision)
    receipt_id = works.ids.new("rcp")
    wait = None
    if handle is not None:
        files = case.files.get(current.parameters, {})
        wait = begin_wait(
            works, action, given, decision, handle=handle, receipt_id=receipt_id, files=files, depth=depth
        )
        changes[wait_key(handle)] = wait
    judgement = Judgement(
        receipt_id=receipt_id,
        action=action,
        effective=current if current is not action else None,
        identity=case.identity,
        decision=decision,
        policy=policy_part(policy.policy, policy.hash),
        given=given,
        profile=profile,
        after=after,
        handle=handle,
        deadline=wait.question.deadline if wait else None,
        authority=authority_part(assessed, changes),
        now=now,
    )
    ticket = queue(works, context, entry, after, rows, changes, decision_draft(settings.scribe, judgement))
    return Judged(
        decision=decision,
        action=current,
        identity=case.identity,
        ticket=ticket,
        receipt_id=receipt_id,
        concerned=concerned,
        given=given,
        ruled=labels_by_rule(given, policy) if permits(decision.verdict) else None,
        witnessed=witnessed_by_rule(given, policy),
        risk=entry.risk or 0,
        reached=entry.reached,
        handle=handle,
        deadline=wait.question.deadline if wait else None,
        expires_at=now + int(settings.permit_s * 1_000_000),
        session_id=context.session_id,
        authority=Authority(judgement.authority.after) if judgement.authority else Authority.FULL,
    )


def _depth(works: Workings, context: SessionContext, handles: tuple[str, ...]) -> int:
    """Return how far down in a row of waits these stand, also those of other sessions (R4.f)."""
    depths = [item.depth for item in context.waiting if item.handle in handles]
    rows = [works.rows.get(key) for handle in handles for key in (wait_key(handle), over_key(handle))]
    depths += [row[0].depth for row in rows if row is not None and row[0] is not None]  # looked at just now
    return max(depths, default=1 if handles else 0)


def queue(
    works: Workings,
    context: SessionContext,
    entry: ContextEntry,
    after: SessionContext,
    rows: dict[str, tuple[Any, int]],
    changes: dict[str, Any],
    draft: Any,
) -> Any:
    """Queue one commit: the entry, the changed rows, and every other row that was looked at, under compare-and-swap."""
    place = session_key(context.session_id)
    written_rows = {place: after, **changes}
    return works.queue(
        Commit(
            session_id=context.session_id,
            writes=tuple(
                RowWrite(key=key, expected=rows[key][1] if key in rows else 0, value=value)
                for key, value in written_rows.items()
            ),
            reads=tuple(RowRead(key=key, expected=row[1]) for key, row in rows.items() if key not in written_rows),
            entries=((context.session_id, after.length, entry),),
            draft=draft,
        )
    )


def follow(works: Workings, assessed: Assessed, decision: Decision) -> dict[str, Any]:
    """Return the shared rows as a decision leaves them: tallies, flight, labels of what is written, authority."""
    given, concerned, rows = assessed.given, assessed.concerned, assessed.rows
    changes: dict[str, Any] = {}
    profile = works.policy.profile(given.action.name, given.action.profile)
    if permits(decision.verdict):
        changes |= tallied(concerned, values(rows), given.now)
        if concerned.flight:
            changes[concerned.flight] = InFlight(action_id=given.action.action_id, session_id=given.context.session_id)
        if profile is not None and profile.effect is not Effect.READ:
            changes |= _labelled_resources(concerned, rows, given.labels.join(given.signals.labels))
    lower = lowered(given, works.policy)
    if lower is not None:
        state, rule = lower
        agent = next(name for name in concerned.subjects if name.startswith("agent/"))
        held: Standings | None = rows[AUTHORITY][0]
        if LADDER.index(state) > LADDER.index(authority_of(held, (agent,))):
            standing = Standing(state=state, at=given.now, by=f"rule {rule}", reason=f"rule `{rule}` matched")
            changes[AUTHORITY] = restanding(held, agent, standing)
    return changes


def authority_part(assessed: Assessed, changes: dict[str, Any]) -> AuthorityPart:
    """Return the authority that was judged on, and what it is after."""
    held: Standings | None = assessed.rows[AUTHORITY][0]
    after: Standings | None = changes.get(AUTHORITY, held)
    return AuthorityPart(
        before=assessed.given.shared.authority.value,
        after=authority_of(after, assessed.concerned.subjects).value,
        epoch=after.epoch if after is not None else 0,
    )


def ended(wait_handle: str, judged: Decision, assessed: Assessed, depth: int) -> Over:
    """Return what is kept of a wait that is over."""
    return Over(
        handle=wait_handle,
        action_id=assessed.given.action.action_id,
        session_id=assessed.given.context.session_id,
        permitted=permits(judged.verdict),
        reason_code=judged.reason_code,
        reason=judged.reason,
        at=assessed.given.now,
        depth=depth,
    )


def _labelled_resources(concerned: Concerns, rows: dict[str, tuple[Any, int]], labels: Labels) -> dict[str, Stored]:
    """A resource that is written under a label carries it, in whatever session it is read back (T3)."""
    found: dict[str, Stored] = {}
    for key in concerned.stored:
        held: Stored = rows[key][0] or Stored()
        joined = held.labels.join(labels)
        if joined != held.labels:
            found[key] = Stored(labels=joined)
    return found


def _entities(works: Workings, action: Action) -> tuple[str, ...]:
    profile = works.policy.profile(action.name, action.profile)
    if profile is None or not (profile.destination or profile.resource):
        return ()
    parameters = decode_parameters(action.parameters)
    found = [*role_values(profile, "destination", parameters), *role_values(profile, "resource", parameters)]
    return tuple(str(value)[:200] for value in found[:16])
