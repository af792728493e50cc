"""Deciding: steps 1 to 6 of the loop, as one machine (DESIGN.md section 3).

    verify identity → load context and shared rows → measure → [under the turn: judge, draft, stage, queue] → durable

If rows moved meanwhile, everything from loading on is done again. Whatever fails here ends as a refusal; where the
journal still works, the refusal has a receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from navicert.core.canonical import decode_parameters
from navicert.core.denial import contract, profile_to_paste
from navicert.core.draft import Judgement, decision_draft, permits, policy_part
from navicert.core.fields import leaves
from navicert.core.lifecycle import State, Step
from navicert.core.shared import session_key
from navicert.engine.completing import not_started, stage_completion
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.judging import Case, Judged, Need, Twin, basis_of, forced, stage
from navicert.engine.measuring import align, identify, measure
from navicert.engine.releasing import terms_of
from navicert.engine.waits import current_wait, still
from navicert.engine.workings import RETRIES, Live, Steps, Terms, Workings, replace, safe
from navicert.model.action import Action, ToolProfile
from navicert.model.commit import Commit
from navicert.model.context import SessionContext
from navicert.model.decision import Decision, Denied, Permit, Suspended, Verdict
from navicert.model.errors import DenialKind, NavicertError, Unavailable
from navicert.model.identity import ActionIdentity
from navicert.model.signals import Signals
from navicert.model.suspension import Wait
from navicert.ports import Conflict, Placed, Ticket

Answer = Permit | Denied | Suspended


def deciding(
    works: Workings, action: Action, session_id: str | None, *, refused: Decision | None = None
) -> Machine[Answer]:
    """Judge one action; never raises: what fails is a refusal. refused: what was decided before it could be judged."""

    def judge(failed: Decision | None) -> Machine[Answer]:
        return durably(works, lambda: _queue(works, action, session_id, failed or refused))

    return shielded(works, action, judge)


def shielded(works: Workings, action: Action, judge: Callable[[Decision | None], Machine[Answer]]) -> Machine[Answer]:
    """Run a judging machine; what fails in it is recorded as a refusal, and is one even where it cannot be."""
    try:
        works.same_process()
        try:
            return (yield from judge(None))
        except Unavailable as failure:
            return refusal(action, "unavailable", str(failure))
        except Exception as failure:  # noqa: BLE001 - the one place that turns a failure of ours into DENY (R1.c)
            return (yield from judge(forced("engine_failed", f"the engine failed: {type(failure).__name__}")))
    except Exception as failure:  # noqa: BLE001 - as above; here not even a receipt could be written
        return refusal(action, "unavailable", f"the refusal could not be recorded: {safe(failure)}")


def durably(works: Workings, queue: Callable[[], Machine[Judged | Answer]]) -> Machine[Answer]:
    """Have a decision queued until it is durable, and turn it into its answer."""
    for _ in range(RETRIES):
        judged = yield from queue()
        if not isinstance(judged, Judged):
            return judged
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


def _queue(
    works: Workings, action: Action, session_id: str | None, refused: Decision | None
) -> Machine[Judged | Answer]:
    """Fetch what the decision rests on until it can be judged, then judge, stage and queue it in one turn."""
    context = yield from _context(works, session_id)
    if context is None:
        refused = refused or forced("no_session", "there is no session, so nobody stands behind this action")
        with works.turn:
            return _record_outside(works, action, refused)
    yield from redo(works, context.session_id)
    identity, error = yield from identify(works, context)
    if error is not None:
        refused = refused or forced("identity_unverified", str(error))
    case = yield from case_of(works, action, context, identity, refused)
    while True:
        with works.turn:
            step = stage(works, case)
        if isinstance(step, Judged):
            return step
        if isinstance(step, Twin):
            wait = yield from current_wait(works, step.handle)
            if isinstance(wait, Wait):
                return still(wait)
            yield from works.anew((session_key(context.session_id),))  # it is over: what is cached was older
            continue
        case = yield from fetch(works, step, case, context)


_ALIGNED: Final = 64


def case_of(
    works: Workings, action: Action, context: SessionContext, identity: ActionIdentity, refused: Decision | None
) -> Machine[Case]:
    """Return what is to be judged, measured."""
    basis = yield from _basis(works, context)
    known = Signals() if refused is not None else (yield from measure(works, action, context, identity))
    return Case(
        action=action,
        session_id=context.session_id,
        identity=identity,
        forced=refused,
        measured={action.parameters: known},
        basis={action.parameters: basis},
        files={},
    )


def fetch(works: Workings, need: Need, case: Case, context: SessionContext) -> Machine[Case]:
    """Fetch what is needed, and return the case with it."""
    if need.measure is not None:
        basis = yield from _basis(works, context)
        measured = yield from measure(works, need.measure, context, case.identity)
        key = need.measure.parameters
        return replace(case, measured={**case.measured, key: measured}, basis={**case.basis, key: basis})
    if need.align is not None:
        if case.aligned >= _ALIGNED:
            raise Unavailable("the session is changed by others all the time; try again")
        key, place = need.align.parameters, session_key(case.session_id)
        rows = yield from works.fetch((place,))
        context = rows[place][0] or context
        basis = yield from _basis(works, context)
        signals = yield from align(works, need.align, context, case.measured[key])
        return replace(
            case,
            measured={**case.measured, key: signals},
            basis={**case.basis, key: basis},
            aligned=case.aligned + 1,
        )
    if need.files is not None:
        files = yield from digest_files(works, need.files)
        return replace(case, files={**case.files, need.files.parameters: files})
    yield from works.load(need.keys)
    return case


def _basis(works: Workings, context: SessionContext) -> Machine[Any]:
    """Return what an intent judged from now on rests on at least."""
    while (above := works.ancestors(context)) is None:
        yield from works.load(works.lineage(context))
    return basis_of((context, *above))


def digest_files(works: Workings, action: Action) -> Machine[dict[str, str]]:
    """Digest the files that an action names: an approval holds for their content (R4.a). A failure binds to none."""
    contents = works.ports.contents
    profile = works.policy.profile(action.name, action.profile)
    if contents is None or profile is None:
        return {}
    parameters = decode_parameters(action.parameters)
    unseen = set(profile.content)
    named = {name: value for name, value in parameters.items() if name not in unseen}
    names = [leaf for leaf in leaves(named) if isinstance(leaf, str) and len(leaf) < 4096]
    if not names:
        return {}
    call = Call("contents", lambda: contents.digest(names), inline=False)
    (answer,) = yield Ask((call,), works.settings.measure_s)
    found: object = answer.value
    if not isinstance(found, dict) or not all(isinstance(key, str) and isinstance(found[key], str) for key in found):
        return dict.fromkeys(names, "unreadable") if answer.error is not None else {}
    return found


def _context(works: Workings, session_id: str | None) -> Machine[SessionContext | None]:
    if session_id is None:
        return None
    key = session_key(session_id)
    rows = yield from works.fetch((key,))
    context: SessionContext | None = rows[key][0]
    if context is None:
        works.rows.drop((key,))  # it may yet be opened, elsewhere
    return context


def redo(works: Workings, session_id: str) -> Steps:
    """Record what came of earlier actions where the first try did not become durable; nothing is judged before."""
    while (completion := works.kept(session_id)) is not None:
        yield from works.change(partial(stage_completion, works, completion, lazy=False))
        works.forget(completion)


def _record_outside(works: Workings, action: Action, decision: Decision) -> Judged:
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
    return Judged(
        decision=decision,
        action=action,
        identity=identity,
        ticket=works.queue(Commit(draft=draft)),
        receipt_id=receipt_id,
        concerned=None,
        given=None,
        ruled=None,
        witnessed=False,
        risk=0,
        handle=None,
        deadline=None,
        expires_at=now,
        session_id="",
    )


def _answer(works: Workings, judged: Judged, durable: Any) -> Permit | Denied | Suspended:
    """Turn a durable decision into what the caller gets; the only place that makes a Permit."""
    decision, action = judged.decision, judged.action
    if type(durable) is not Placed or durable.receipt.receipt_id != judged.receipt_id:
        raise Unavailable("the store did not answer with the receipt that it was given; nothing was permitted")
    if permits(decision.verdict):
        profile = works.policy.profile(action.name, action.profile)
        terms = terms_of(works.policy.policy, profile) if profile is not None else None
        permit = Permit(
            action_id=action.action_id,
            tool=action.tool,
            operation=action.operation,
            parameters=action.parameters,
            digest=action.digest,
            session_id=judged.session_id,
            issuer=works.settings.issuer,
            receipt_id=judged.receipt_id,
            decision=durable.digest,
            place=durable.place,
            expires_at=judged.expires_at,
            modified=decision.verdict is Verdict.MODIFY,
            screened=terms is not None,
            witnessed=judged.witnessed,
        )
        works.begin(_live(judged, permit, durable.receipt, profile, terms), decision.verdict)
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
        next_step=_paste(decision, action) or following,
        reason_code=decision.reason_code,
        rules=decision.rules,
        receipt_id=judged.receipt_id,
    )


def _live(judged: Judged, permit: Permit, receipt: Any, profile: ToolProfile | None, terms: Terms | None) -> Live:
    concerned, given = judged.concerned, judged.given
    if concerned is None or given is None or profile is None:
        raise NavicertError("a permit without a profile")
    return Live(
        permit=permit,
        receipt=receipt,
        profile=profile,
        sticky=concerned.sticky,
        flight=concerned.flight,
        stored=concerned.stored,
        ruled=judged.ruled,
        risk=judged.risk,
        subjects=concerned.subjects,
        authority=judged.authority,
        ended_at=given.context.ended_at,
        state=State.SUSPENDED if judged.waited else State.PROPOSED,
        terms=terms,
        reached=judged.reached,
    )


def _lapse(works: Workings, judged: Judged) -> None:
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


def _paste(decision: Decision, action: Action) -> str:
    if decision.reason_code != "unknown_tool":
        return ""
    return profile_to_paste(action, tuple(decode_parameters(action.parameters)))


def refusal(action: Action, code: str, reason: str) -> Denied:
    """A refusal without a receipt: none could be written, so nothing may run either."""
    return Denied(
        action_id=action.action_id,
        kind=DenialKind.TRANSIENT,
        reason=reason,
        next_step=contract(code)[1],
        reason_code=code,
    )
