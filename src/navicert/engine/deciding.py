"""Deciding: steps 1 to 6 of the loop, as one machine (DESIGN.md section 3).

    verify identity → load context and shared rows → measure → [under the turn: evaluate, draft, queue, stage] → durable

If rows moved meanwhile, everything from loading on is done again. After a MODIFY the modified action is measured and
judged anew. Whatever fails here ends as a refusal; where the journal still works, the refusal has a receipt.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from navicert.core.accumulate import OPEN, accumulate
from navicert.core.canonical import decode_parameters
from navicert.core.denial import contract, profile_to_paste
from navicert.core.digest import action_digest
from navicert.core.draft import Judgement, decision_draft, permit_of, permits, policy_part
from navicert.core.evaluate import evaluate, labels_by_rule
from navicert.core.fields import role_values
from navicert.core.labels import labels_in_force
from navicert.core.lifecycle import Step
from navicert.core.shared import Concerns, concerns, session_key, shared_facts, tallied
from navicert.engine.completing import not_started, stage_completion
from navicert.engine.drive import Machine
from navicert.engine.measuring import identify, measure
from navicert.engine.workings import RETRIES, Live, Steps, Workings, replace, safe, values
from navicert.model.action import Action, Effect
from navicert.model.commit import Commit, Pending, RowRead, RowWrite
from navicert.model.context import Attempt, SessionContext
from navicert.model.decision import Decision, Denied, Permit, Suspended, Verdict
from navicert.model.errors import DenialKind, NavicertError, Unavailable
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity
from navicert.model.labels import Labels
from navicert.model.receipt import Receipt
from navicert.model.shared import InFlight, Stored
from navicert.model.signals import Signals
from navicert.model.value import Value
from navicert.ports import Conflict, Ticket

ROUNDS = 8
"""A modified action is judged again at most so often (SPEC.md, Settled)."""


class _Judged(Value, frozen=True, kw_only=True):
    """A decision that is queued: what to wait for, and what to answer when it is durable."""

    decision: Decision
    action: Action
    """As it would run."""
    identity: ActionIdentity
    ticket: Any
    receipt_id: str
    concerned: Concerns | None
    ruled: Labels | None
    handle: str | None
    deadline: int | None
    expires_at: int
    session_id: str
    paste: str


class _Need(Value, frozen=True, kw_only=True):
    """What has to be fetched before the action can be judged: rows, or measurements of an action."""

    keys: tuple[str, ...] = ()
    measure: Action | None = None


def deciding(
    works: Workings, action: Action, session_id: str | None, *, invalid: str | None = None
) -> Machine[Permit | Denied | Suspended]:
    """Judge one action; never raises: what fails is a refusal. invalid: why it has no canonical form, if so."""
    refused = _forced("invalid_parameters", invalid) if invalid is not None else None
    try:
        works.same_process()
        try:
            return (yield from _judge(works, action, session_id, refused))
        except Unavailable as failure:
            return _refusal(action, "unavailable", str(failure))
        except Exception as failure:  # noqa: BLE001 - the one place that turns a failure of ours into DENY (R1.c)
            forced = _forced("engine_failed", f"the engine failed: {type(failure).__name__}")
            return (yield from _judge(works, action, session_id, forced))
    except Exception as failure:  # noqa: BLE001 - as above; here not even a receipt could be written
        return _refusal(action, "unavailable", f"the refusal could not be recorded: {safe(failure)}")


def _judge(
    works: Workings, action: Action, session_id: str | None, forced: Decision | None
) -> Machine[Permit | Denied | Suspended]:
    for _ in range(RETRIES):
        judged = yield from _queue(works, action, session_id, forced)
        try:
            durable = yield from works.durable(judged.ticket)
        except Conflict as conflict:
            yield from works.load(conflict.keys)
            continue
        except BaseException as failure:
            # given up or cancelled: the commit may still become durable, and then it never started
            judged.ticket.on_done(partial(_lapse, works, judged))
            if isinstance(failure, (NavicertError, ValueError)) or not isinstance(failure, Exception):
                raise
            # it may stand: an action is decided once, so no second receipt is tried
            raise Unavailable(f"the store failed: {safe(failure)}") from failure
        return _answer(works, judged, durable)
    raise Unavailable("the session is changed by others all the time; try again")


def _queue(works: Workings, action: Action, session_id: str | None, forced: Decision | None) -> Machine[_Judged]:
    """Fetch what the decision rests on until it can be judged, then judge, stage and queue it in one turn."""
    context = yield from _context(works, session_id)
    if context is None:
        forced = forced or _forced("no_session", "there is no session, so nobody stands behind this action")
        with works.turn:
            return _record_outside(works, action, forced)
    yield from _redo(works, context.session_id)
    identity, error = yield from identify(works, context)
    if error is not None:
        forced = forced or _forced("identity_unverified", str(error))
    known = Signals() if forced is not None else (yield from measure(works, action, context))
    measured = {action.parameters: known}
    while True:
        with works.turn:
            step = _stage(works, action, context.session_id, identity, forced, measured)
        if isinstance(step, _Judged):
            return step
        if step.measure is not None:
            measured[step.measure.parameters] = yield from measure(works, step.measure, context)
        else:
            yield from works.load(step.keys)


def _context(works: Workings, session_id: str | None) -> Machine[SessionContext | None]:
    if session_id is None:
        return None
    key = session_key(session_id)
    rows = yield from works.fetch((key,))
    context: SessionContext | None = rows[key][0]
    if context is None:
        works.rows.drop((key,))  # it may yet be opened, elsewhere
    return context


def _redo(works: Workings, session_id: str) -> Steps:
    """Record what came of earlier actions where the first try did not become durable; nothing is judged before."""
    while (completion := works.kept(session_id)) is not None:
        yield from works.change(partial(stage_completion, works, completion, lazy=False))
        works.forget(completion)


def _stage(
    works: Workings,
    action: Action,
    session_id: str,
    identity: ActionIdentity,
    forced: Decision | None,
    measured: dict[bytes, Signals],
) -> _Judged | _Need:
    """Judge the action on the rows as they now stand, and queue what follows. Under the turn; waits for nothing."""
    place = session_key(session_id)
    policy = works.policy
    profile = policy.profile(action.name, action.profile)
    candidates = policy.candidates(action.tool, action.operation)
    current = action
    touched: tuple[str, ...] = ()
    now = works.clock.now()
    for left in range(ROUNDS, -1, -1):
        concerned = concerns(current, profile, identity, candidates, works.settings.scribe.pseudonym)
        if concerned.flight is not None and works.rows.get(concerned.flight) is None:
            works.rows.fill((concerned.flight,), {})  # taken as absent: the journal refuses the commit where it is not
        keys = (place, *concerned.keys())
        rows = works.snapshot(keys)
        if rows is None:
            return _Need(keys=keys)
        context: SessionContext = rows[place][0]
        above = works.ancestors(context)
        if above is None:
            return _Need(keys=works.lineage(context))
        signals = measured.get(current.parameters)
        if signals is None:
            return _Need(measure=current)
        facts = shared_facts(concerned, values(rows), candidates, now)
        given = EvaluationInput(
            action=current,
            identity=identity,
            context=context,
            labels=labels_in_force((context, *above), facts.sticky, works.settings.issuer),
            shared=facts,
            signals=signals,
            now=now,
        )
        decision = forced or _guarded(evaluate(given, policy), (context, *above), rows, concerned)
        if decision.effective is not None and not left:
            decision = _forced("modification_unstable", "the required changes do not come to rest")
        if decision.effective is None:
            return _commit(works, action, given, _merged(decision, touched), concerned, rows)
        touched = (*touched, *decision.rules)
        current = replace(
            current,
            parameters=decision.effective,
            digest=action_digest(current.tool, current.operation, decision.effective),
        )
    raise AssertionError("the last round always returns")


def _merged(decision: Decision, touched: tuple[str, ...]) -> Decision:
    """Return the last round's decision with the rules that modified the action before it."""
    if not touched:
        return decision
    verdict = Verdict.MODIFY if decision.verdict is Verdict.ALLOW else decision.verdict
    return Decision(
        verdict=verdict,
        reason_code=decision.reason_code,
        reason=decision.reason,
        rules=tuple(dict.fromkeys((*touched, *decision.rules))),
        classification=decision.classification,
        undetermined=decision.undetermined,
        approvers=decision.approvers,
        timeout_s=decision.timeout_s,
        risk=decision.risk,
    )


def _guarded(
    decision: Decision, line: tuple[SessionContext, ...], rows: dict[str, Any], concerned: Concerns
) -> Decision:
    """Refuse what policy would permit but the session's state does not: it or a parent ended, too much open, done."""
    if any(session.ended_at is not None for session in line):
        return _forced("session_ended", "the session, or the one that delegated to it, has ended")
    context = line[0]
    if not permits(decision.verdict) or decision.effective is not None:
        return decision
    if len(context.open) >= OPEN:
        return _forced("too_many_open", f"{OPEN} actions of this session have no outcome yet")
    flight: InFlight | None = rows[concerned.flight][0] if concerned.flight else None
    if flight is not None:
        return _forced("open_action", f"the same action is open already, as {flight.action_id}")
    return decision


def _commit(
    works: Workings,
    action: Action,
    given: EvaluationInput,
    decision: Decision,
    concerned: Concerns,
    rows: dict[str, tuple[Any, int]],
) -> _Judged:
    """Queue what follows from a decision: receipt, context, shared rows, wait. `given.action` is what would run."""
    context, current, identity = given.context, given.action, given.identity
    place = session_key(context.session_id)
    policy, settings, now = works.policy, works.settings, given.now
    profile = policy.profile(action.name, action.profile)
    permitted = permits(decision.verdict)
    waits = decision.verdict in {Verdict.STEP_UP, Verdict.DEFER}
    handle = works.ids.new("wait") if waits else None
    deadline = now + (decision.timeout_s or settings.wait_s) * 1_000_000 if waits else None
    entry = Attempt(
        action_id=action.action_id,
        name=action.name,
        digest=current.digest,
        verdict=decision.verdict,
        owner=settings.issuer,
        at=now,
        entities=_entities(works, current),
    )
    after = accumulate(context, entry)
    written: dict[str, Any] = {place: after}
    if permitted:
        written |= tallied(concerned, values(rows), now)
        if concerned.flight:
            written[concerned.flight] = InFlight(action_id=action.action_id, session_id=context.session_id)
        if profile is not None and profile.effect is not Effect.READ:
            written |= _labelled_resources(concerned, rows, given.labels.join(given.signals.labels))
    receipt_id = works.ids.new("rcp")
    judgement = Judgement(
        receipt_id=receipt_id,
        action=action,
        effective=current if current is not action else None,
        identity=identity,
        decision=decision,
        policy=policy_part(policy.policy, policy.hash),
        given=given,
        profile=profile,
        after=after,
        handle=handle,
        deadline=deadline,
        now=now,
    )
    commit = Commit(
        session_id=context.session_id,
        writes=tuple(RowWrite(key=key, expected=rows[key][1], value=value) for key, value in written.items()),
        reads=tuple(RowRead(key=key, expected=row[1]) for key, row in rows.items() if key not in written),
        entries=((context.session_id, after.length, entry),),
        draft=decision_draft(settings.scribe, judgement),
        pending=_pending(judgement, context.session_id),
    )
    return _Judged(
        decision=decision,
        action=current,
        identity=identity,
        ticket=works.queue(commit),
        receipt_id=receipt_id,
        concerned=concerned,
        ruled=labels_by_rule(given, policy) if permitted else None,
        handle=handle,
        deadline=deadline,
        expires_at=now + int(settings.permit_s * 1_000_000),
        session_id=context.session_id,
        paste=_paste(decision, action),
    )


def _pending(judged: Judgement, session_id: str) -> Pending | None:
    if judged.handle is None or judged.deadline is None:
        return None
    return Pending(
        handle=judged.handle,
        verdict=judged.decision.verdict.value,
        action=judged.action,
        identity=judged.identity,
        session_id=session_id,
        reason_code=judged.decision.reason_code,
        rules=judged.decision.rules,
        approvers=judged.decision.approvers,
        risk=judged.decision.risk,
        created_at=judged.now,
        deadline=judged.deadline,
        effective=judged.effective.parameters if judged.effective is not None else None,
    )


def _labelled_resources(concerned: Concerns, rows: dict[str, tuple[Any, int]], labels: Labels) -> dict[str, Stored]:
    """A resource that is written under a label carries it, in whatever session it is read back (T3)."""
    written: dict[str, Stored] = {}
    for key in concerned.stored:
        held: Stored = rows[key][0] or Stored()
        joined = held.labels.join(labels)
        if joined != held.labels:
            written[key] = Stored(labels=joined)
    return written


def _entities(works: Workings, action: Action) -> tuple[str, ...]:
    profile = works.policy.profile(action.name, action.profile)
    if profile is None or not (profile.destination or profile.resource):
        return ()
    parameters = decode_parameters(action.parameters)
    found = [*role_values(profile, "destination", parameters), *role_values(profile, "resource", parameters)]
    return tuple(str(value)[:200] for value in found[:16])


def _record_outside(works: Workings, action: Action, decision: Decision) -> _Judged:
    """Record a refusal outside of any session: nobody stands behind it, and it says so (R1.d, R6.d)."""
    identity = ActionIdentity(human="", service="", agent="", session="")
    receipt_id = works.ids.new("rcp")
    now = works.clock.now()
    judgement = Judgement(
        receipt_id=receipt_id,
        action=action,
        identity=identity,
        decision=decision,
        policy=policy_part(works.policy.policy, works.policy.hash),
        now=now,
    )
    draft = decision_draft(works.settings.scribe, judgement)
    return _Judged(
        decision=decision,
        action=action,
        identity=identity,
        ticket=works.queue(Commit(draft=draft)),
        receipt_id=receipt_id,
        concerned=None,
        ruled=None,
        handle=None,
        deadline=None,
        expires_at=now,
        session_id="",
        paste="",
    )


def _answer(works: Workings, judged: _Judged, durable: Any) -> Permit | Denied | Suspended:
    """Turn a durable decision into what the caller gets; the only place that makes a Permit."""
    decision, action = judged.decision, judged.action
    if not (type(durable) is tuple and isinstance(durable[0], Receipt) and durable[0].receipt_id == judged.receipt_id):
        raise Unavailable("the store did not answer with the receipt that it was given; nothing was permitted")
    if permits(decision.verdict):
        receipt, digest = durable
        permit = permit_of(
            action,
            session_id=judged.session_id,
            issuer=works.settings.issuer,
            receipt_id=judged.receipt_id,
            decision=digest,
            expires_at=judged.expires_at,
            modified=decision.verdict is Verdict.MODIFY,
        )
        works.begin(_live(works, judged, permit, receipt), decision.verdict)
        return permit
    if judged.handle is not None and judged.deadline is not None:
        return Suspended(
            action_id=action.action_id,
            verdict=decision.verdict,
            handle=judged.handle,
            reason=decision.reason,
            reason_code=decision.reason_code,
            deadline=judged.deadline,
            receipt_id=judged.receipt_id,
            rules=decision.rules,
        )
    kind, following = contract(decision.reason_code)
    return Denied(
        action_id=action.action_id,
        kind=kind,
        reason=decision.reason,
        next_step=judged.paste or following,
        reason_code=decision.reason_code,
        rules=decision.rules,
        receipt_id=judged.receipt_id,
    )


def _live(works: Workings, judged: _Judged, permit: Permit, receipt: Any) -> Live:
    concerned = judged.concerned
    profile = works.policy.profile(judged.action.name, judged.action.profile)
    if concerned is None or profile is None:
        raise NavicertError("a permit without a profile")
    return Live(
        permit=permit,
        receipt=receipt,
        profile=profile,
        sticky=concerned.sticky,
        flight=concerned.flight,
        stored=concerned.stored,
        ruled=judged.ruled,
    )


def _lapse(works: Workings, judged: _Judged) -> None:
    """The caller is gone: if the decision became durable after all, record that the action was never started."""
    ticket: Ticket = judged.ticket
    try:
        durable = ticket.result()
    except Exception:  # noqa: BLE001 - it did not become durable: there is nothing to take back
        return
    if durable is None or not permits(judged.decision.verdict):
        return
    permit = _answer(works, judged, durable)
    if isinstance(permit, Permit):
        live = works.move(permit.action_id, Step.LAPSED)
        if live is not None:
            works.keep(not_started(live))


def _forced(code: str, reason: str) -> Decision:
    return Decision(verdict=Verdict.DENY, reason_code=code, reason=reason)


def _paste(decision: Decision, action: Action) -> str:
    if decision.reason_code != "unknown_tool":
        return ""
    return profile_to_paste(action, tuple(decode_parameters(action.parameters)))


def _refusal(action: Action, code: str, reason: str) -> Denied:
    """A refusal without a receipt: none could be written, so nothing may run either."""
    return Denied(
        action_id=action.action_id,
        kind=DenialKind.TRANSIENT,
        reason=reason,
        next_step=contract(code)[1],
        reason_code=code,
    )
