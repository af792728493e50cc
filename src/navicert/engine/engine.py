"""Engine: what every surface calls, and nothing else (DESIGN.md property 1).

`decide` answers Permit, Denied or Suspended. A Permit is consumed once, by `redeem`, and its outcome is reported once,
by `complete` (or `abandon`, where nobody knows whether the effect happened). `mediate` composes them for callers that
let us run the tool: in their own thread, or as a coroutine in their own task.

* Anything but a Permit is a refusal (property 4). A Permit leaves after its decision receipt is durable (property 3).
* The machines (`deciding`, `completing`, `sessions`) do no I/O of their own; `drive` does it for them, in two ways.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import msgspec

from navicert.core.compile import CompiledPolicy
from navicert.core.digest import action_digest
from navicert.core.draft import policy_part, record_draft
from navicert.core.lifecycle import Step
from navicert.core.shared import flight_key, session_key
from navicert.engine.completing import Output, completing, extending, not_started, stage_completion
from navicert.engine.deciding import deciding
from navicert.engine.drive import Ask, Call, Machine, drive, drive_async
from navicert.engine.sessions import appending, delegating, opening
from navicert.engine.workings import Completion, Live, Settings, Workings, safe
from navicert.model.action import Action
from navicert.model.commit import Commit, RowWrite
from navicert.model.context import ContextEntry, SessionContext
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import IntegrityError, PolicyError
from navicert.model.identity import Claims
from navicert.model.labels import WORST, Labels
from navicert.model.receipt import Receipt
from navicert.model.shared import InForce
from navicert.ports import Classifier, Clock, Detector, IdentityVerifier, Ids, Journal, Ticket

Answer = Permit | Denied | Suspended


def said(error: BaseException) -> Output:
    """Return what an exception says, as the result that the agent will see."""
    words: list[str] = []
    try:
        for item in _chain(error):  # a traceback shows them all
            words += [str(item), *getattr(item, "__notes__", ())]
            words += [str(part) for part in item.args if str(part) != words[-1]]
    except Exception:  # noqa: BLE001 - an error without words cannot be looked at, and counts as the highest
        return Output(text=None)
    text = "\n".join(dict.fromkeys(words))
    return Output(text=text, json=msgspec.json.encode(text.encode(errors="replace").decode()))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and len(seen) < 16:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


class Stream:
    """A running action whose result comes in parts; each is labelled before it is released."""

    def __init__(self, engine: Engine, permit: Permit) -> None:
        self._engine = engine
        self._permit = permit

    def extend(self, part: Output) -> None:
        """Label one part."""
        self._engine.extend(self._permit, part)

    async def extend_async(self, part: Output) -> None:
        """Label one part, without blocking the event loop."""
        await self._engine.extend_async(self._permit, part)


class Engine:
    """One engine over one journal. Safe to call from any thread and any event loop; close it when done."""

    def __init__(  # noqa: PLR0913 - one argument a port
        self,
        *,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        verifier: IdentityVerifier,
        detectors: tuple[Detector, ...],
        classifiers: tuple[Classifier, ...],
        policy: CompiledPolicy,
        policy_bytes: bytes,
        settings: Settings,
    ) -> None:
        self._works = Workings(
            journal=journal,
            clock=clock,
            ids=ids,
            verifier=verifier,
            detectors=detectors,
            classifiers=classifiers,
            policy=policy,
            settings=settings,
        )
        drive(self._boot(policy, policy_bytes))

    @property
    def policy(self) -> CompiledPolicy:
        """The policy set in force."""
        return self._works.policy

    # deciding

    def decide(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session; never raises, and answers within the engine's deadlines."""
        return drive(deciding(self._works, action, session_id))

    async def decide_async(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session, without blocking the event loop."""
        return await drive_async(deciding(self._works, action, session_id))

    def refuse(self, action: Action, session_id: str | None, why: str) -> Denied:
        """Record that a call could not be put into canonical form, and so cannot be judged (R1.d)."""
        answer = drive(deciding(self._works, action, session_id, invalid=why))
        if isinstance(answer, Denied):
            return answer
        raise IntegrityError("a refusal came back as a permit")

    def redeem(self, permit: Permit) -> None:
        """Consume a permit, right before its action starts; raises `IntegrityError` unless it may start now.

        A permit is good once, in the engine that issued it, until it expires, for the bytes that were judged.
        """
        works = self._works
        live = works.live(permit.action_id)
        if live is None or live.permit != permit:
            raise IntegrityError(f"the permit of `{permit.action_id}` was not issued by this engine, or is used up")
        if action_digest(permit.tool, permit.operation, permit.parameters) != permit.digest:
            raise IntegrityError(f"the permit of `{permit.action_id}` is for other parameters")
        with works.turn:
            session = works.rows.get(session_key(permit.session_id))
            ended = session is not None and session[0] is not None and session[0].ended_at is not None
            expired = works.clock.now() >= permit.expires_at
            works.move(permit.action_id, Step.LAPSED if ended or expired else Step.REDEEMED)
        if ended or expired:
            works.keep(not_started(live))  # it can never start any more, so it is not left open
            why = "session of" if ended else "permit of"
            raise IntegrityError(f"the {why} `{permit.action_id}` has {'ended' if ended else 'expired'}; nothing ran")

    # completing

    def complete(self, permit: Permit, output: Output, *, error: str | None = None) -> Labels:
        """Record that the action ended, by itself or with an error of type `error`; its result may then be released."""
        return drive(self._completing(permit, output, error))

    async def complete_async(self, permit: Permit, output: Output, *, error: str | None = None) -> Labels:
        """Record that the action ended, without blocking the event loop."""
        return await drive_async(self._completing(permit, output, error))

    def _completing(self, permit: Permit, output: Output, error: str | None) -> Machine[Labels]:
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
        receipt, digest = receipts[kinds.index("decision")]
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

    # both

    @contextmanager
    def running(self, permit: Permit) -> Iterator[Stream]:
        """Consume a permit for a result that comes in parts; at the end, record how it ended.

        Left early, by the caller or by a cancellation, the action stays open.
        """
        self.redeem(permit)
        try:
            yield Stream(self, permit)
        except (GeneratorExit, TimeoutError) as error:
            self._leave_open(permit, error)
            raise
        except Exception as error:
            self.complete(permit, said(error), error=type(error).__name__)
            raise
        except BaseException as error:
            self._leave_open(permit, error)
            raise
        self.complete(permit, Output(text="", empty=True))

    def mediate(
        self, action: Action, session_id: str | None, run: Callable[[bytes], Any], render: Callable[[Any], Output]
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this thread where permitted, complete; raises what the tool raises, after recording it."""
        answer = self.decide(action, session_id)
        if not isinstance(answer, Permit):
            return answer
        self.redeem(answer)
        try:
            value = run(answer.parameters)
        except TimeoutError as error:
            self._leave_open(answer, error)
            raise
        except Exception as error:
            self.complete(answer, said(error), error=type(error).__name__)
            raise
        except BaseException as error:
            self._leave_open(answer, error)
            raise
        self.complete(answer, render(value))
        return answer, value

    async def mediate_async(
        self,
        action: Action,
        session_id: str | None,
        run: Callable[[bytes], Awaitable[Any]],
        render: Callable[[Any], Output],
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this task where permitted, complete; raises what the tool raises, after recording it."""
        answer = await self.decide_async(action, session_id)
        if not isinstance(answer, Permit):
            return answer
        self.redeem(answer)
        try:
            value = await run(answer.parameters)
        except TimeoutError as error:
            self._leave_open(answer, error)
            raise
        except Exception as error:
            await self.complete_async(answer, said(error), error=type(error).__name__)
            raise
        except BaseException as error:
            self._leave_open(answer, error)
            raise
        await self.complete_async(answer, render(value))
        return answer, value

    def _leave_open(self, permit: Permit, error: BaseException) -> None:
        try:
            words = said(error)
            if words.text != "":
                self.extend(permit, words)  # it is passed on: what it says is released with it
            self.abandon(permit, type(error).__name__)
        except Exception as failure:  # noqa: BLE001 - an interruption is passed on; the store has the action open anyhow
            error.add_note(f"navicert: {safe(failure)}")
        live = self._works.live(permit.action_id)
        again = ", and the same action is refused" if live is not None and live.flight else ""
        error.add_note(
            f"navicert: whether `{permit.tool}.{permit.operation}` happened is not known; the action is open as "
            f"{permit.action_id}{again}, until `navicert settle {permit.action_id}`"
        )

    # sessions and policy

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
