"""Resuming: a wait is looked at again: it goes on, is asked anew, is refused, or is released once (R4, R6.b, R6.f).

    look at the wait as it now stands → find out what is missing → deadline, answers, what it depends on
      → identity again → judged on the current state and on that of the submission, the stricter stands → durable

* `take` is the caller who will run the action: without it (the owner's sweep) a wait is refused or asked anew, and
  never released.
* An answer is void where what would run, its files, or the labels are others than when it was asked.
"""

from __future__ import annotations

from typing import Final

from navicert.core.accumulate import accumulate
from navicert.core.answers import Answers, hear
from navicert.core.draft import Judgement, Resolved, permits, policy_part, resolution_draft
from navicert.core.evaluate import STRICTNESS, added_risk, labels_by_rule, witnessed_by_rule
from navicert.core.rounds import ROUNDS, UNSTABLE, as_asked, rounds
from navicert.core.shared import APPROVERS, AUTHORITY, authority_of, over_key, session_key, subjects, wait_key
from navicert.engine.aligning import reached_by
from navicert.engine.deciding import Answer, case_of, durably, fetch, redo, refusal
from navicert.engine.drifting import reassured
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.finding import find_out
from navicert.engine.judging import (
    Assessed,
    Case,
    Judged,
    Need,
    assess,
    authority_part,
    ended,
    files_needed,
    follow,
    forced,
    guarded,
    queue,
)
from navicert.engine.measuring import identify
from navicert.engine.suspending import ask, missing_facts
from navicert.engine.waits import current_wait, still
from navicert.engine.workings import Workings, replace, safe
from navicert.model.action import Action
from navicert.model.authority import Authority, Standings
from navicert.model.context import Fact, Resolution, SessionContext
from navicert.model.decision import Decision, Denied, Verdict
from navicert.model.errors import Unavailable
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity
from navicert.model.policy import SourceKind
from navicert.model.suspension import Over, Wait
from navicert.model.value import Value

_ASKING: Final = frozenset({Verdict.STEP_UP, Verdict.DEFER})


class _Again(Value, frozen=True, kw_only=True):
    """What a wait is judged again on. identity: as verified again. origin: SHA-256 of the receipt that asked last.

    unfinished: what it depends on is not done.
    """

    wait: Wait
    versions: dict[str, int]
    answers: Answers
    identity: ActionIdentity
    origin: str
    take: bool
    unfinished: bool


def resuming(works: Workings, handle: str, *, take: bool) -> Machine[Answer]:
    """Look at a wait again; never raises: what fails is a refusal, and the action goes on waiting (R1.c)."""
    action = Action(action_id="", tool="", operation="", parameters=b"{}", digest="", submitted_at=0)
    try:
        wait = yield from current_wait(works, handle)
        if isinstance(wait, Denied):
            return wait
        action = wait.action
        yield from find_out(works, wait, take=take)
        return (yield from durably(works, lambda: _queue(works, handle, take=take)))
    except Exception as failure:  # noqa: BLE001 - nothing was released, and nothing is lost
        return refusal(action, "unavailable", f"`{handle}` could not be taken up, and still waits: {safe(failure)}")


def _queue(works: Workings, handle: str, *, take: bool) -> Machine[Judged | Answer]:
    wait = yield from current_wait(works, handle)
    if isinstance(wait, Denied):
        return wait
    session, key = session_key(wait.question.session_id), wait_key(handle)
    yield from works.anew((APPROVERS, AUTHORITY))
    yield from works.refresh((session,))
    rows = yield from works.fetch((key, session, APPROVERS, AUTHORITY))
    context: SessionContext | None = rows[session][0]
    if rows[key][0] != wait or context is None:
        raise Unavailable("it is being changed; try again")
    yield from redo(works, context.session_id)
    now = max(works.clock.now(), context.last_at)
    answers = hear(wait.question, wait.votes, rows[APPROVERS][0], now)
    blocked = yield from _blocked(works, wait, context)
    refused = _refused(works, wait, answers, rows[AUTHORITY][0], now)
    refused = refused or (blocked if isinstance(blocked, Decision) else None)
    if refused is None and wait.question.verdict is Verdict.STEP_UP and not answers.approved:
        return still(wait)
    identity, error = yield from identify(works, context)
    if isinstance(error, Unavailable) or (error is not None and isinstance(error.__cause__, Unavailable)):
        raise Unavailable(str(error))  # whoever could vouch for it does not answer now
    if error is not None:
        refused = refused or forced("identity_unverified", str(error))
    again = _Again(
        wait=wait,
        versions={key: rows[key][1], APPROVERS: rows[APPROVERS][1]},
        answers=answers,
        identity=identity,
        origin=(yield from _origin(works, wait)),
        take=take,
        unfinished=blocked is True,
    )
    case = yield from case_of(works, wait.action, context, identity, refused)
    case = replace(case, facts=_facts(works, wait, answers), not_before=now)
    while True:
        with works.turn:
            step = _stage(works, case, again)
        if not isinstance(step, Need):
            return step
        case = yield from fetch(works, step, case, context)


def _origin(works: Workings, wait: Wait) -> Machine[str]:
    """Return the SHA-256 of the receipt that asked last: the next one completes it."""
    call = Call("journal", lambda: works.journal.receipts_of(wait.action.action_id), works.journal.inline)
    (answer,) = yield Ask((call,), works.settings.commit_s)
    if answer.error is not None:
        raise answer.error
    for receipt, digest in answer.value:
        if receipt.receipt_id == wait.receipt_id:
            return str(digest)
    raise Unavailable("the log does not hold the receipt that suspended it; run `navicert verify`")


def _refused(works: Workings, wait: Wait, answers: Answers, standings: Standings | None, now: int) -> Decision | None:
    """Return the refusal that ends the wait, where one does."""
    human = works.settings.scribe.pseudonym(wait.identity.human)
    if authority_of(standings, subjects(wait.action, wait.identity, human)) is Authority.REVOKED:
        return forced("authority_revoked", "the authority to act was revoked while it waited")
    if answers.denial is not None:
        said = answers.denial.statement
        return forced("approval_denied", f"`{said.approver}` refused it: {said.reason}")
    return _timed_out(wait) if now >= wait.question.deadline else None


def _timed_out(wait: Wait) -> Decision:
    code = "approval_timeout" if wait.question.verdict is Verdict.STEP_UP else "deferral_timeout"
    return forced(code, f"nobody answered in time: {wait.reason}" if "approval" in code else wait.reason)


def _blocked(works: Workings, wait: Wait, context: SessionContext) -> Machine[Decision | bool]:
    """Tell whether what it depends on is not done yet (True), or return the refusal where that was refused."""
    unfinished = False
    for handle in wait.depends_on:
        keys = (wait_key(handle), over_key(handle))
        yield from works.anew(keys)
        rows = yield from works.fetch(keys)
        over: Over | None = rows[keys[1]][0]
        if rows[keys[0]][0] is not None:
            unfinished = True
        elif over is None or not over.permitted:
            return forced("dependency_refused", f"it depends on {handle}, which was refused")
        elif any(item.action_id == over.action_id for item in context.open):
            unfinished = True
    return unfinished


def _facts(works: Workings, wait: Wait, answers: Answers) -> tuple[Fact, ...]:
    """Return what was found out. The requester's word alone makes a fact where the policy asks nobody else for it."""
    alone = {
        fact.name
        for fact in works.policy.policy.facts
        if all(source.kind is SourceKind.REQUESTER for source in fact.sources)
    }
    stated = tuple(
        Fact(name=name, value=value, source="requester", at=wait.question.asked_at)
        for name, value in answers.stated.items()
        if name in alone and all(fact.name != name for fact in wait.facts)
    )
    return (*wait.facts, *stated)


def _stage(works: Workings, case: Case, again: _Again) -> Judged | Answer | Need:
    """Judge a wait again, and queue what follows. Under the turn; waits for nothing."""
    wait = again.wait
    if case.forced is not None:
        assessed = assess(works, case)
        return assessed if isinstance(assessed, Need) else _commit(works, case, assessed, case.forced, again, "")
    case = replace(case, answered=_answered(again))
    assessed = assess(works, case)
    if isinstance(assessed, Need):
        return assessed
    if not again.take and _running_elsewhere(works, assessed):
        return still(wait)  # which labels that leaves is not known here; whoever takes it up judges it
    held = _held(works, case, assessed, again)
    if isinstance(held, Need):
        return held
    case, assessed, void = held
    stricter = _stricter(works, assessed, wait)
    if isinstance(stricter, Action):  # what the submission's state makes of it is judged on the current one
        again_from = replace(case, start=stricter)
        if case.start is None:
            return _stage(works, again_from, again)
        stricter = forced("unstable", "the required changes do not come to rest")
    decision = guarded(works, replace(assessed, decision=_escalated(wait, again.answers, stricter)), waited=True)
    if not isinstance(decision, Decision):  # a wait has no twin: that is asked of fresh actions only
        return decision if isinstance(decision, Need) else still(wait)
    decision = _released(decision, assessed, wait)
    if _goes_on(works, decision, assessed, again, void=bool(void)):
        return still(wait)
    if wait.rounds >= ROUNDS and decision.verdict in _ASKING:
        decision = forced("unstable", "it was asked again and again, and does not come to rest")
    if decision.verdict is Verdict.STEP_UP and (need := files_needed(works, assessed.given.action, case.files)):
        return need
    return _commit(works, case, assessed, decision, again, void)


def _released(decision: Decision, assessed: Assessed, wait: Wait) -> Decision:
    """Release nothing whose deadline passed while it was judged; what runs in other words than asked for is MODIFY."""
    if permits(decision.verdict) and assessed.given.now >= wait.question.deadline:
        return _timed_out(wait)
    if decision.verdict is Verdict.ALLOW and assessed.given.action.digest != wait.action.digest:
        return replace(decision, verdict=Verdict.MODIFY)
    return decision


def _held(works: Workings, case: Case, assessed: Assessed, again: _Again) -> tuple[Case, Assessed, str] | Need:
    """Return what is judged, and why the answers do not hold, if so: then it is judged without them."""
    void = _void(works, assessed, case, again) if again.answers.approved else ""
    if isinstance(void, Need):
        return void
    if not void:
        return case, assessed, ""
    case = replace(case, answered=())  # nobody has answered what would run now
    anew = assess(works, case)
    return anew if isinstance(anew, Need) else (case, anew, void)


def _running_elsewhere(works: Workings, assessed: Assessed) -> bool:
    """Tell whether another engine runs an action of the session, or of one that delegated to it."""
    return any(item.owner != works.settings.issuer for context in assessed.line for item in context.open)


def _goes_on(works: Workings, decision: Decision, assessed: Assessed, again: _Again, *, void: bool) -> bool:
    """Tell whether the wait goes on as it is."""
    if permits(decision.verdict):
        return again.unfinished or not again.take
    if decision.verdict in _ASKING:
        return not void and _same(works, decision, assessed, again.wait)
    return decision.reason_code in _PASSING


_PASSING: Final = frozenset({"authority_suspended", "open_action", "too_many_open"})
"""Refusals that may pass before the deadline."""


def _answered(again: _Again) -> tuple[str, ...]:
    return tuple(content for _, content in again.wait.question.rules) if again.answers.approved else ()


def _void(works: Workings, assessed: Assessed, case: Case, again: _Again) -> str | Need:
    """Return why the answers do not hold any more, or an empty text."""
    question, action = again.wait.question, assessed.given.action
    if action.digest != question.digest:
        return "what would run has changed"
    if not question.labels.covers(assessed.given.labels):
        return "labels have grown since it was asked"
    need = files_needed(works, action, case.files)
    if need is not None:
        return need
    if case.files.get(action.parameters, {}) != question.files:
        return "the content of a file that it names has changed"
    return ""


def _stricter(works: Workings, assessed: Assessed, wait: Wait) -> Decision | Action:
    """Return the stricter of the current decision and that on the submission's state (R6.b); or what to begin from."""
    current = assessed.given.action
    then = as_asked(replace(wait.given, action=current), assessed.given)
    old, then, _ = rounds(then, works.policy)
    if old is UNSTABLE:
        return old
    if then.action.digest != current.digest and permits(old.verdict) and permits(assessed.decision.verdict):
        return then.action
    return max(assessed.decision, old, key=lambda item: STRICTNESS.index(item.verdict))


def _escalated(wait: Wait, answers: Answers, decision: Decision) -> Decision:
    """Ask the rule's approvers where nothing more can be found out (R4.b)."""
    if decision.verdict is not Verdict.DEFER or not decision.approvers:
        return decision
    pending = set(wait.question.facts) - set(answers.stated)
    if wait.question.verdict is Verdict.DEFER and (wait.next_try is not None or pending):
        return decision
    reason = f"it could not be found out whether this may be done: {decision.reason}"
    return replace(decision, verdict=Verdict.STEP_UP, reason=reason, reason_code="escalated")


def _same(works: Workings, decision: Decision, assessed: Assessed, wait: Wait) -> bool:
    """Tell whether it is the same question as the one that is asked already."""
    question = wait.question
    return (
        decision.verdict is question.verdict
        and works.policy.hashes(decision.rules) == question.rules
        and assessed.given.action.digest == question.digest
        and (question.verdict is Verdict.DEFER or question.labels.covers(assessed.given.labels))
    )


def _method(decision: Decision, again: _Again, void: str) -> str:
    """Return the word for how a wait was resolved (R5)."""
    by_code: dict[str, str] = {
        "approval_denied": "denial",
        "approval_timeout": "timeout",
        "deferral_timeout": "timeout",
        "dependency_refused": "dependency",
        "identity_unverified": "identity",
        "authority_revoked": "authority",
        "escalated": "escalation",
    }
    if decision.reason_code in by_code:
        return by_code[decision.reason_code]
    if again.answers.approved and not void:
        return "approval"
    return "facts" if again.wait.facts or again.answers.stated else "reevaluation"


def _commit(works: Workings, case: Case, assessed: Assessed, decision: Decision, again: _Again, void: str) -> Judged:
    """Queue what follows: resolution receipt, context, shared rows, and the wait's own row."""
    wait, given = again.wait, assessed.given
    context, current, now, settings = given.context, given.action, given.now, works.settings
    asking = decision.verdict in _ASKING
    approved = again.answers.approved and not void and permits(decision.verdict)
    if void:
        decision = replace(decision, reason=f"{decision.reason} (asked again: {void})")
    entry = Resolution(
        handle=wait.handle,
        action_id=wait.action.action_id,
        name=wait.action.name,
        digest=current.digest,
        verdict=decision.verdict,
        owner=settings.issuer,
        at=now,
        risk=added_risk(given, works.policy),
        reached=reached_by(works, current) if permits(decision.verdict) else {},
        drift=reassured(works, context, dict(wait.question.rules)) if approved else None,
    )
    after = accumulate(context, entry)
    changes = follow(works, assessed, decision)
    rows = {**assessed.rows, **{key: (None, version) for key, version in again.versions.items()}}
    receipt_id = works.ids.new("rcp")
    deadline = wait.question.deadline
    if asking:
        renewed = _renewed(works, wait, given, decision, case.files.get(current.parameters, {}), receipt_id)
        changes[wait_key(wait.handle)], deadline = renewed, renewed.question.deadline
    else:
        changes[wait_key(wait.handle)] = None
        changes[over_key(wait.handle)] = ended(wait.handle, decision, assessed, wait.depth)
    policy = works.policy
    judgement = Judgement(
        receipt_id=receipt_id,
        action=wait.action,
        effective=current if current.digest != wait.action.digest else None,
        identity=wait.identity,
        decision=decision,
        policy=policy_part(policy.policy, policy.hash),
        given=given,
        profile=policy.profile(wait.action.name, wait.action.profile),
        after=after,
        authority=authority_part(assessed, changes),
        now=now,
    )
    resolved = Resolved(
        decision=again.origin,
        identity=again.identity,
        method=_method(decision, again, void),
        reason_code=wait.reason_code,
        handle=wait.handle,
        deadline=deadline,
        heard=again.answers.heard,
        tries=wait.tries,
    )
    ticket = queue(works, context, entry, after, rows, changes, resolution_draft(settings.scribe, judgement, resolved))
    return Judged(
        decision=decision,
        action=current,
        identity=wait.identity,
        ticket=ticket,
        receipt_id=receipt_id,
        concerned=assessed.concerned,
        given=given,
        ruled=labels_by_rule(given, policy) if permits(decision.verdict) else None,
        witnessed=witnessed_by_rule(given, policy),
        risk=entry.risk or 0,
        reached=entry.reached,
        handle=wait.handle if asking else None,
        deadline=deadline if asking else None,
        expires_at=now + int(settings.permit_s * 1_000_000),
        session_id=context.session_id,
        waited=True,
        authority=Authority(judgement.authority.after) if judgement.authority else Authority.FULL,
    )


def _renewed(
    works: Workings, wait: Wait, given: EvaluationInput, decision: Decision, files: dict[str, str], receipt_id: str
) -> Wait:
    """Return the wait with a new question: its nonce is fresh, and what was said to the old one does not count."""
    missing = missing_facts(works, decision) if decision.verdict is Verdict.DEFER else ()
    tries = max((fact.attempts for fact in missing), default=0)
    return replace(
        wait,
        question=ask(works, given, decision, handle=wait.handle, files=files, missing=missing),
        reason=decision.reason,
        reason_code=decision.reason_code,
        risk=decision.risk,
        effective=given.action.parameters if given.action.digest != wait.action.digest else None,
        receipt_id=receipt_id,
        rounds=wait.rounds + 1,
        missing=tuple(fact.name for fact in missing),
        tries_left=tries,
        next_try=given.now if tries else None,
        votes=(),
        notified=False,
    )
