"""Engine: what every surface calls, and nothing else (DESIGN.md property 1).

`decide` answers Permit, Denied or Suspended. A Permit is consumed once, by `redeem`, and its outcome is reported once,
by `complete` (or `abandon`, where nobody knows whether the effect happened). A Suspended one is taken up by `resume`.
`mediate` composes them for callers that let us run the tool (`engine.mediating`).

* Anything but a Permit is a refusal (property 4). A Permit leaves after its decision receipt is durable (property 3).
* The machines (`deciding`, `completing`, `sessions`) do no I/O of their own; `drive` does it for them, in two ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from navicert.core.canonical import percent
from navicert.core.compile import CompiledPolicy
from navicert.core.denial import BEFOREHAND
from navicert.core.digest import action_digest
from navicert.core.draft import policy_part, record_draft
from navicert.core.lifecycle import Step
from navicert.core.shared import AUTHORITY, authority_of, flight_key, session_key
from navicert.engine.answering import (
    answering,
    approvers,
    dismissing,
    enrolling,
    restoring,
    standings,
    stopping,
    sweeping,
    waiting,
)
from navicert.engine.completing import Output, Released, completing, extending, not_started, stage_completion
from navicert.engine.deciding import deciding, redo
from navicert.engine.drive import Ask, Call, Machine, drive, drive_async
from navicert.engine.judging import forced
from navicert.engine.launching import joining, launching
from navicert.engine.mediating import Answer, Mediator
from navicert.engine.resuming import resuming
from navicert.engine.sessions import appending, delegating, offering, opening
from navicert.engine.waits import current_wait
from navicert.engine.workings import Completion, Live, Ports, Settings, Workings
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import LADDER, Authority, Standings
from navicert.model.commit import Commit, RowWrite
from navicert.model.context import ContextEntry, Ended, Observed, Renewed, SessionContext, UserSaid
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import (
    ActionDenied,
    DenialKind,
    IdentityError,
    IntegrityError,
    InvalidAction,
    PolicyError,
    Unavailable,
)
from navicert.model.identity import Claims
from navicert.model.labels import WORST, Labels
from navicert.model.receipt import Receipt
from navicert.model.shared import InForce
from navicert.model.suspension import Approver, Approvers, Vote, Wait
from navicert.model.value import Json
from navicert.ports import Ticket


class Engine(Mediator):
    """One engine over one journal. Safe to call from any thread and any event loop; close it when done."""

    def __init__(self, ports: Ports, *, policy: CompiledPolicy, policy_bytes: bytes, settings: Settings) -> None:
        self._works = Workings(ports, policy, settings)
        self.in_band_s = settings.in_band_s
        drive(self._boot(policy, policy_bytes))

    @property
    def policy(self) -> CompiledPolicy:
        """The policy set in force."""
        return self._works.policy

    # deciding

    def decide(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session; never raises, and answers within the engine's deadlines.

        The same action again, while the first one waits, takes that one up: nobody is asked twice, and it runs once.
        """
        return drive(self._decide(action, session_id))

    async def decide_async(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session, without blocking the event loop."""
        return await drive_async(self._decide(action, session_id))

    def _decide(self, action: Action, session_id: str | None) -> Machine[Answer]:
        answer = yield from deciding(self._works, action, session_id)
        if isinstance(answer, Suspended) and answer.action_id != action.action_id:
            return (yield from resuming(self._works, answer.handle, take=True))
        return answer

    def refuse(self, action: Action, session_id: str | None, why: str, code: str = "invalid_parameters") -> Denied:
        """Record that a call is refused before it is judged (R1.d). code: why, one of `core.denial.BEFOREHAND`."""
        if code not in BEFOREHAND:
            raise InvalidAction(f"`{code[:40]}` is no reason to refuse a call before it is judged")
        answer = drive(deciding(self._works, action, session_id, refused=forced(code, why)))
        if isinstance(answer, Denied):
            return answer
        raise IntegrityError("a refusal came back as a permit")

    def resume(self, handle: str) -> Answer:
        """Take up an action that waits: a Permit, once; Suspended while it goes on waiting; never raises."""
        return drive(resuming(self._works, handle, take=True))

    async def resume_async(self, handle: str) -> Answer:
        """Take up an action that waits, without blocking the event loop."""
        return await drive_async(resuming(self._works, handle, take=True))

    def redeem(self, permit: Permit) -> None:
        """Consume a permit, right before its action starts; raises unless it may start now.

        A permit is good once, in the engine that issued it, until it expires, for the bytes that were judged: else
        `IntegrityError`. Where authority was taken away since it was issued: `ActionDenied`.
        """
        drive(self._redeem(permit))

    async def redeem_async(self, permit: Permit) -> None:
        """Consume a permit, without blocking the event loop."""
        await drive_async(self._redeem(permit))

    def _redeem(self, permit: Permit) -> Machine[None]:
        works = self._works
        live = works.live(permit.action_id)
        if live is None or live.permit != permit:
            raise IntegrityError(f"the permit of `{permit.action_id}` was not issued by this engine, or is used up")
        if action_digest(permit.tool, permit.operation, permit.parameters) != permit.digest:
            raise IntegrityError(f"the permit of `{permit.action_id}` is for other parameters")
        try:
            if permit.witnessed:
                yield from self._witnessed(permit)
            yield from works.anew((AUTHORITY,))  # whoever was stopped since it was judged does not start (R6.c)
            rows = yield from works.fetch((AUTHORITY,))
        except BaseException:  # failed or cancelled: whether it may still start is not known, so it does not
            with works.turn, suppress(IntegrityError):  # another thread may have started it meanwhile
                if works.move(permit.action_id, Step.LAPSED) is not None:
                    works.keep(not_started(live))
            raise
        standing = authority_of(rows[AUTHORITY][0], live.subjects)
        with works.turn:
            session = works.rows.get(session_key(permit.session_id))
            ended = session is not None and session[0] is not None and session[0].ended_at != live.ended_at
            expired = works.clock.now() >= permit.expires_at
            stopped = LADDER.index(standing) > LADDER.index(live.authority)
            if works.move(permit.action_id, Step.LAPSED if ended or expired or stopped else Step.REDEEMED) is None:
                raise IntegrityError(f"the permit of `{permit.action_id}` was given back meanwhile; nothing ran")
        if ended or expired or stopped:
            works.keep(not_started(live))  # it can never start any more, so it is not left open
        if stopped:
            raise ActionDenied(
                kind=DenialKind.PERMISSION,
                reason=f"the authority to act became {standing.value} before it started",
                next_step="stop here, and tell the user",
                action_id=permit.action_id,
                receipt_id=permit.receipt_id,
                reason_code=f"authority_{standing.value}",
            )
        if ended or expired:
            why = "session of" if ended else "permit of"
            raise IntegrityError(f"the {why} `{permit.action_id}` has {'ended' if ended else 'expired'}; nothing ran")

    def _witnessed(self, permit: Permit) -> Machine[None]:
        """Wait until witnesses have confirmed the log up to the decision; raises `Unavailable` where they do not."""
        works, place = self._works, permit.place
        if place is None:
            raise Unavailable("the store did not say where the decision stands; nothing ran")
        wait = works.settings.commit_s
        call = Call("witnesses", lambda: works.journal.witnessed(place.seq, wait), inline=False)
        (answer,) = yield Ask((call,), wait)
        if answer.error is not None:
            raise Unavailable(f"policy asks for witnesses before `{permit.action_id}` starts: {answer.error}")

    def lapse(self, permit: Permit) -> None:
        """Take back a permit that nobody will consume any more; raises `IntegrityError` where it was consumed already.

        Whoever holds it cannot start the action any more, and it is recorded as not started.
        """
        works = self._works
        live = works.live(permit.action_id)
        if live is None or live.permit != permit:
            raise IntegrityError(f"the permit of `{permit.action_id}` was not issued by this engine, or is used up")
        works.keep(not_started(self._held(permit, Step.LAPSED)))
        with suppress(Exception):  # kept: recorded before anything else of its session is judged
            drive(redo(works, permit.session_id))

    # completing

    def complete(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended, by itself or with an error of type `error`; returns what may then be released.

        Raises `ResultWithheld`, once that is recorded, where policy releases nothing of it.
        """
        return drive(self._completing(permit, output, error))

    async def complete_async(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended, without blocking the event loop."""
        return await drive_async(self._completing(permit, output, error))

    def _completing(self, permit: Permit, output: Output, error: str | None) -> Machine[Released]:
        live = self._held(permit, Step.RETURNED if error is None else Step.RAISED)
        return completing(self._works, live, output, success=error is None, error=error)

    def abandon(self, permit: Permit, why: str) -> None:
        """Record that nobody knows whether the action happened: it stays open, and is not repeated until settled."""
        live = self._held(permit, Step.INTERRUPTED)
        drive(completing(self._works, live, Output(text=None), success=None, error=None, ended=why))

    def extend(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result that comes in parts, before that part is released."""
        return drive(extending(self._works, self._running(permit), output))

    async def extend_async(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result that comes in parts, without blocking the event loop."""
        return await drive_async(extending(self._works, self._running(permit), output))

    def settle(self, action_id: str, *, happened: bool, by: str, reason: str = "") -> None:
        """Record what a person established about an open action; raises `IntegrityError` where it is not open.

        reason: how they know; disclosed with the outcome, in the place of an output.
        """
        works = self._works
        held = works.live(action_id)
        if held is not None:
            works.move(action_id, Step.SETTLED_DONE if happened else Step.SETTLED_NOT_DONE)
        live = held or drive(self._recall(action_id))
        completion = Completion(
            live=live,
            success=happened,
            labels=WORST if happened else Labels(),
            output=msgspec.json.encode({"settled": reason}) if reason else b"null",
            error=None if happened else "not_done",
            settled_by=by,
        )
        drive(works.change(lambda: stage_completion(works, completion, lazy=False)))

    def _recall(self, action_id: str) -> Machine[Live]:
        """Return an open action of an engine that is gone, from its receipts."""
        works = self._works
        (answer,) = yield Ask(
            (Call("journal", lambda: works.journal.receipts_of(action_id), works.journal.inline),),
            works.settings.commit_s,
        )
        if answer.error is not None:
            raise answer.error
        receipts: list[tuple[Receipt, str]] = answer.value
        kinds = [receipt.kind for receipt, _ in receipts]
        if "decision" not in kinds or "outcome" in kinds:
            raise IntegrityError(f"`{action_id}` is not an open action; `navicert status` lists them")
        last = max(index for index, kind in enumerate(kinds) if kind in {"decision", "resolution"})
        receipt, digest = receipts[last]
        return self._relive(action_id, receipt, digest)

    def _relive(self, action_id: str, receipt: Receipt, digest: str) -> Live:
        action, requester, session = receipt.action, receipt.requester_context, receipt.session
        if action is None or requester is None or session is None or receipt.decision is None:
            raise IntegrityError("the decision receipt lacks its parts; run `navicert verify`")
        if receipt.decision.result not in {"ALLOW", "MODIFY"}:
            raise IntegrityError(f"`{action_id}` was not permitted, so there is nothing to settle")
        ran = action.effective_digest or action.digest
        profile = self._works.policy.profile(f"{action.tool}.{action.operation}", None)
        permit = Permit(
            action_id=action_id,
            session_id=session.id,
            tool=action.tool,
            operation=action.operation,
            parameters=b"{}",
            digest=ran,
            issuer="",
            receipt_id=receipt.receipt_id,
            decision=digest,
            expires_at=0,
        )
        return Live(
            permit=permit,
            receipt=receipt,
            profile=profile,
            sticky=f"sticky/{requester.human}/{requester.agent}",
            flight=flight_key(requester.human, ran),
            stored=(),
            ruled=None,
        )

    def _held(self, permit: Permit, step: Step) -> Live:
        with self._works.turn:
            live = self._works.move(permit.action_id, step)
        if live is None:
            raise IntegrityError(
                f"`{permit.action_id}` is not running here; its outcome was reported already, or elsewhere"
            )
        return live

    def _running(self, permit: Permit) -> Live:
        live = self._works.live(permit.action_id)
        if live is None:
            raise IntegrityError(f"`{permit.action_id}` is not running here")
        return live

    def guards_repeats(self, permit: Permit) -> bool:
        """Tell whether the same action is refused while this one is open."""
        live = self._works.live(permit.action_id)
        return live is not None and live.flight is not None

    # waits, and the people who answer them

    def waits(self) -> tuple[Wait, ...]:
        """Return every action that waits, the one that ends first in front."""
        return drive(waiting(self._works))

    def wait(self, handle: str) -> Wait | None:
        """Return one action that waits, None where it does not (any more)."""
        found = drive(current_wait(self._works, handle))
        return found if isinstance(found, Wait) else None

    def named(self, handle: str) -> str | None:
        """Return the full tool name of an action that waits; None where it does not (any more)."""
        found = drive(current_wait(self._works, handle))
        return found.action.name if isinstance(found, Wait) else None

    def answer(self, handle: str, vote: Vote) -> Wait | None:
        """Keep a person's signed answer; returns the wait, or None where the answer ended it.

        Raises `IdentityError` where the answer does not count, and says why.
        """
        return drive(answering(self._works, handle, vote))

    def sweep(self) -> int:
        """Look at every wait: time-outs, facts, who is to be told. Returns how many go on waiting."""
        return drive(sweeping(self._works))

    def enrol(self, person: Approver) -> None:
        """Enrol an approver, receipted; their earlier key ends."""
        drive(enrolling(self._works, person))

    def dismiss(self, name: str) -> None:
        """End an approver's right to answer, receipted."""
        drive(dismissing(self._works, name))

    def approvers(self) -> Approvers:
        """Return everybody who is or was enrolled."""
        return drive(approvers(self._works))

    def stop(self, subject: str, state: Authority, *, by: str, reason: str) -> None:
        """Lower the authority of a subject (`all`, `human/…`, `agent/…`, `session/…`, `tool/…`), at once, receipted."""
        drive(stopping(self._works, self.subject(subject), state, by=by, reason=reason))

    def restore(self, vote: Vote) -> None:
        """Raise a subject's authority again, by the signed word of a supervisor, receipted."""
        drive(restoring(self._works, vote))

    def standings(self) -> Standings:
        """Return every subject whose authority is not full."""
        return drive(standings(self._works))

    def subject(self, named: str) -> str:
        """Return the subject that a name stands for: people stand under their pseudonym. Raises `IntegrityError`."""
        kind, slash, name = named.partition("/")
        if named == "all":
            return named
        if kind not in {"human", "agent", "session", "tool"} or not slash or not name:
            raise IntegrityError(
                f"`{named}` is no subject; write `all`, or human/, agent/, session/ or tool/ and a name"
            )
        if kind == "human":
            return f"human/{self._works.settings.scribe.pseudonym(name)}"
        return f"{kind}/{percent(name)}" if kind == "agent" else named

    # sessions and policy

    def offered(self, session_id: str, tools: Mapping[str, ToolProfile | None]) -> frozenset[str]:
        """Return which tools, by full name, this session's principal may be shown: not those always refused.

        tools: each with its profile where the policy has none. Raises `IdentityError` where nobody stands behind it.
        """
        return drive(offering(self._works, self.context(session_id), tools))

    def now(self) -> int:
        """Return the engine's time, microseconds since the epoch."""
        return self._works.clock.now()

    def context(self, session_id: str) -> SessionContext:
        """Return the accumulated context of a session; raises `IntegrityError` where there is none."""
        key = session_key(session_id)
        rows = drive(self._works.fetch((key,)))
        if rows[key][0] is None:
            self._works.rows.drop((key,))  # it may yet be opened, elsewhere
            raise IntegrityError(f"there is no session `{session_id}` in this store")
        context: SessionContext = rows[key][0]
        return context

    def open_session(self, request: str, claims: Claims) -> str:
        """Open a session; returns its id."""
        return drive(opening(self._works, request, claims))

    def delegate(self, parent: str, *, agent: str, scope: tuple[str, ...], expires_at: int | None = None) -> str:
        """Open a child session for another agent; raises `IdentityError` where it would be wider than its parent."""
        return drive(delegating(self._works, parent, agent=agent, scope=scope, expires_at=expires_at))

    def launch(self, session_id: str, *, uses: int = 1) -> str:
        """Return a token by which so many processes that the application launches may act in a session."""
        return drive(launching(self._works, session_id, uses))

    def join(self, token: str) -> str:
        """Use a launch token; returns the id of its session. Raises `IdentityError` for one that is good no more."""
        return drive(joining(self._works, token))

    def say(self, session_id: str, text: str) -> None:
        """Add later words of the user to a session, from the application's own channel (R2.d)."""
        self.append(session_id, lambda now: UserSaid(text=text, at=now))

    def observe(self, session_id: str, *, name: str, value: Json, source: str) -> None:
        """Add a fact about the environment to a session."""
        self.append(session_id, lambda now: Observed(name=name, value=value, source=source, at=now))

    def renew(self, session_id: str, token: str) -> None:
        """Have a session go on under another token of the human and agent that it was opened for by name.

        Raises `IdentityError` where it names none; a token of anybody else is refused with every action.
        """
        claims = self.context(session_id).claims
        if not (claims.token and claims.human and claims.agent):
            raise IdentityError("only a session with token=..., human=... and agent=... goes on under another token")
        self.append(session_id, lambda now: Renewed(token=token, at=now))

    def end(self, session_id: str) -> None:
        """Close a session: nothing more is decided in it; what waits may still be taken up."""
        self.append(session_id, lambda now: Ended(at=now))

    def labels(self, session_id: str) -> Labels:
        """Return the labels that a session has taken on."""
        return self.context(session_id).labels

    def new_id(self, prefix: str) -> str:
        """Return a fresh id `prefix_…`."""
        return self._works.ids.new(prefix)

    def append(self, session_id: str, entry: Callable[[int], ContextEntry]) -> None:
        """Add an entry of the application's own (user's words, a fact, the end) to a session's context."""
        drive(appending(self._works, session_id, entry))

    def adopt(self, policy: CompiledPolicy, policy_bytes: bytes) -> None:
        """Put another policy set in force for what is judged from now on; raises `PolicyError` for an older one."""
        drive(self._adopt(policy, policy_bytes))

    def _boot(self, policy: CompiledPolicy, policy_bytes: bytes) -> Machine[None]:
        works = self._works
        draft = record_draft(works.settings.scribe, "boot", receipt_id=works.ids.new("rcp"), now=works.clock.now())
        yield from works.change(lambda: works.queue(Commit(draft=draft)))
        yield from self._adopt(policy, policy_bytes)

    def _adopt(self, policy: CompiledPolicy, policy_bytes: bytes) -> Machine[None]:
        works = self._works
        key = f"policy/{policy.policy.policy}"

        def attempt() -> Ticket | tuple[str, ...] | None:
            rows = works.snapshot((key,))
            if rows is None:
                return (key,)
            held: InForce | None = rows[key][0]
            if held is not None and held.hash == policy.hash:
                return None
            if held is not None and held.version > policy.policy.version:
                message = (
                    f"policy `{policy.policy.policy}` version {policy.policy.version} is older than version "
                    f"{held.version}, which is in force; versions only go up"
                )
                raise PolicyError(message)
            part = policy_part(policy.policy, policy.hash)
            now = works.clock.now()
            draft = record_draft(works.settings.scribe, "policy", receipt_id=works.ids.new("rcp"), now=now, policy=part)
            force = InForce(version=policy.policy.version, hash=policy.hash)
            return works.queue(
                Commit(
                    writes=(RowWrite(key=key, expected=rows[key][1], value=force),),
                    draft=draft,
                    policy=(policy.hash, policy_bytes),
                )
            )

        yield from works.change(attempt)
        works.policy = policy

    def close(self) -> None:
        """Record what is still to be recorded, make it durable, and let go of the store."""
        works = self._works
        with suppress(Exception):  # what cannot be recorded stays open in the store, and says so there
            drive(works.change(lambda: works.queue(Commit())))  # what is queued is decided now, and kept if it failed
            for session_id in list(works.redo):
                while (item := works.kept(session_id)) is not None:
                    drive(works.change(partial(stage_completion, works, item, lazy=False)))
                    works.forget(item)
        works.journal.close()
