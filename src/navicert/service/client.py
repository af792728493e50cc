"""Client: an engine behind a socket, for `navicert.connect()` (DESIGN.md section 3; R1.c).

* `decide`, `resume` and `refuse` never raise: an owner that is away, slow or talks nonsense is a refusal. What it
  permits is checked: the same action, bytes that hash to its digest, and unmodified ones that are those submitted.
* Every exchange has a connection to itself (`exchange`), so a look at a wait holds up no other thread. The connection
  that brought a permit stays with it until the action is reported.
* In a forked child everything is connected anew; what its parent was permitted is its parent's.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from navicert.adapters.system import SystemClock, SystemIds
from navicert.core.denial import contract
from navicert.core.digest import action_digest
from navicert.engine.completing import KEPT, Output, Released
from navicert.engine.mediating import Answer, Mediator
from navicert.engine.workings import safe
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import Authority, Standings
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import NavicertError, Unavailable
from navicert.model.identity import Claims
from navicert.model.labels import Labels
from navicert.model.suspension import Approver, Approvers, Vote, Wait
from navicert.model.value import Json
from navicert.service import wire
from navicert.service.exchange import Connections, Place

P = ParamSpec("P")
R = TypeVar("R")
_REMEMBERED: Final = 1_024
_WORKERS: Final = 32
_PERMIT_BYTES: Final = 2 * 1_048_576
"""So much of a frame is kept for a permit, whose parameters are at most 1 MiB."""


class RemoteEngine(Mediator):
    """The engine of a resident owner. Thread-safe, for any number of tasks and threads, and safe to fork.

    timeout_s: for one exchange, with connecting. detached: permits outlive their connection, for processes that decide
    in one life and report in another. Raises `Unavailable` where no owner answers.
    """

    def __init__(self, place: Place, *, timeout_s: float = 5.0, detached: bool = False) -> None:
        self._connections = Connections(place, timeout_s)
        self._detached = detached
        self._clock, self._ids = SystemClock(), SystemIds()
        self._asked: OrderedDict[str, tuple[str, Action | None]] = OrderedDict()
        self._in_band_s: float | None = None
        self._renew()
        self._connections.probe()
        own = weakref.WeakMethod(self._renew)

        def after_fork() -> None:
            renew = own()
            if renew is not None:
                renew()

        os.register_at_fork(after_in_child=after_fork)

    def _renew(self) -> None:
        """Begin anew, in this process: threads and locks do not survive a fork, and connections are the parent's."""
        self._lock = Lock()
        self._workers: ThreadPoolExecutor | None = None
        self._connections.renew()

    @property
    def in_band_s(self) -> float:
        """How long a call waits for a person or a fact before it hands out a handle: as the owner says, or as set."""
        return self._connections.in_band_s if self._in_band_s is None else self._in_band_s

    @in_band_s.setter
    def in_band_s(self, seconds: float) -> None:
        self._in_band_s = seconds

    @property
    def peer(self) -> str:
        """Whom the owner takes this process for (`uid:1000`)."""
        return self._connections.peer

    # deciding

    def decide(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session; never raises."""
        request = wire.Decide(action=action, session=session_id, detached=self._detached)
        return self._answered(action, request, lambda permit: _must_be(permit, action, session_id))

    async def decide_async(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session, without blocking the event loop."""
        try:
            return await self._in_thread(self._drop, self.decide, action, session_id)
        except RuntimeError as error:  # the interpreter is going down, and starts no thread any more
            return _unavailable(action.action_id, safe(error))

    def refuse(self, action: Action, session_id: str | None, why: str, code: str = "invalid_parameters") -> Denied:
        """Record that a call is refused before it is judged; never raises."""
        request = wire.Refuse(action=action, session=session_id, why=why.encode(errors="replace").decode(), code=code)
        answer = self._answered(action, request, _never)
        return answer if isinstance(answer, Denied) else _unavailable(action.action_id, "the owner did not refuse it")

    def resume(self, handle: str) -> Answer:
        """Take up an action that waits; never raises."""
        with self._lock:
            name, action = self._asked.get(handle, ("", None))

        def check(permit: Permit) -> None:
            _must_hash(permit)
            if name and f"{permit.tool}.{permit.operation}" != name:
                raise wire.Nonsense("the owner permitted another tool than the one that waits")
            if action is not None:
                _must_be(permit, action, None)

        empty = Action(action_id="", tool="", operation="", parameters=b"{}", digest="", submitted_at=0)
        return self._answered(action or empty, wire.Resume(handle=handle, detached=self._detached), check)

    async def resume_async(self, handle: str) -> Answer:
        """Take up an action that waits, without blocking the event loop."""
        try:
            return await self._in_thread(self._drop, self.resume, handle)
        except RuntimeError as error:  # as in `decide_async`
            return _unavailable("", safe(error))

    def _answered(self, action: Action, request: wire.Request, check: Callable[[Permit], None]) -> Answer:
        """Return what the owner answers, where it makes sense; everything else is a refusal."""
        try:
            answered, line = self._connections.hold(request, wire.Answered)
            try:
                answer: Answer = answered.one()
                if isinstance(answer, Permit):
                    check(answer)
            except Exception:
                line.close()  # and with it goes what it permitted
                raise
            if isinstance(answer, Permit) and not self._detached:
                self._connections.bind(answer.action_id, line)
            else:
                self._connections.give_back(line)
            if isinstance(answer, Suspended) and isinstance(request, wire.Decide):
                self._remember(answer.handle, action.name, action)
        except Exception as error:  # noqa: BLE001 - anything but a good permit is a refusal (property 4)
            return _unavailable(action.action_id, safe(error))
        return answer

    def _remember(self, handle: str, name: str, action: Action | None) -> None:
        with self._lock:
            self._asked.setdefault(handle, (name, action))
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)

    # running

    def redeem(self, permit: Permit) -> None:
        """Consume a permit; raises `Unavailable`, and nothing may run, where the owner does not say yes."""
        self._about(permit, wire.Redeem(permit=permit), None)

    async def redeem_async(self, permit: Permit) -> None:
        """Consume a permit, without blocking the event loop."""

        def not_started(_: None) -> None:
            self.complete(permit, Output(text="", empty=True), error="CancelledError")

        await self._in_thread(not_started, self.redeem, permit)

    def complete(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended; raises `Unavailable` where the owner does not, and then it stays open.

        A result that is too long for a frame is not looked at, and counts as the highest.
        """
        request = wire.Complete(permit=permit, output=_sendable(output), error=error)
        released: Released = self._about(permit, request, Released, ends=True)
        if released.json is not None and not request.output.rewritable:
            raise wire.Nonsense("the owner redacted a result that cannot be")
        return released

    async def complete_async(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended, without blocking the event loop."""
        return await self._in_thread(None, self.complete, permit, output, error=error)

    def abandon(self, permit: Permit, why: str) -> None:
        """Record that nobody knows whether the action happened."""
        self._about(permit, wire.Abandon(permit=permit, why=why), None, ends=True)

    def extend(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result, before that part is released."""
        labels: Labels = self._about(permit, wire.Extend(permit=permit, output=_sendable(output)), Labels)
        return labels

    async def extend_async(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result, without blocking the event loop."""
        return await self._in_thread(None, self.extend, permit, output)

    def guards_repeats(self, permit: Permit) -> bool:
        """Tell whether the same action is refused while this one is open."""
        return bool(self._about(permit, wire.GuardsRepeats(permit=permit), bool))

    def _drop(self, answer: Answer) -> None:
        """Let go of a permit that nobody waits for any more; the owner takes it back."""
        if isinstance(answer, Permit):
            self._connections.unbind(answer.action_id)

    def _about(self, permit: Permit, request: wire.Request, kind: Any, *, ends: bool = False) -> Any:
        try:
            if self._detached:
                return self._connections.ask(request, kind)
            return self._connections.ask_bound(permit.action_id, request, kind, ends=ends)
        except Unavailable as error:
            if isinstance(request, wire.Complete):
                error.add_note(
                    f"navicert: `{permit.tool}.{permit.operation}` may have happened, and that was not recorded; it is "
                    f"open as {permit.action_id}, until `navicert settle {permit.action_id}`"
                )
            raise

    async def _in_thread(
        self, drop: Callable[[R], None] | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run an exchange in a thread; what a cancelled caller does not get any more goes to `drop`."""
        with self._lock:
            if self._workers is None:
                self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="navicert-exchange")
            future = self._workers.submit(function, *args, **kwargs)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if drop is not None:
                future.add_done_callback(lambda done: _dropped(done, drop))
            raise

    # sessions

    def open_session(self, request: str, claims: Claims) -> str:
        """Open a session; returns its id."""
        return str(self._connections.ask(wire.OpenSession(request=request, claims=claims), str))

    def launch(self, session_id: str, *, uses: int = 1) -> str:
        """Return a token by which so many processes that the application launches may act in a session."""
        return str(self._connections.ask(wire.Launch(session=session_id, uses=uses), str))

    def join(self, token: str) -> str:
        """Use a launch token; returns the id of its session."""
        return str(self._connections.ask(wire.Join(token=token), str))

    def delegate(self, parent: str, *, agent: str, scope: tuple[str, ...], expires_at: int | None = None) -> str:
        """Open a child session for another agent."""
        return str(
            self._connections.ask(wire.Delegate(parent=parent, agent=agent, scope=scope, expires_at=expires_at), str)
        )

    def say(self, session_id: str, text: str) -> None:
        """Add later words of the user to a session."""
        self._connections.ask(wire.Say(session=session_id, text=text), None)

    def observe(self, session_id: str, *, name: str, value: Json, source: str) -> None:
        """Add a fact about the environment to a session."""
        self._connections.ask(wire.Observe(session=session_id, name=name, value=value, source=source), None)

    def renew(self, session_id: str, token: str) -> None:
        """Have a session go on under another token of the same human and agent."""
        self._connections.ask(wire.Renew(session=session_id, token=token), None)

    def end(self, session_id: str) -> None:
        """Close a session."""
        self._connections.ask(wire.End(session=session_id), None)

    def offered(self, session_id: str, tools: Mapping[str, ToolProfile | None]) -> frozenset[str]:
        """Return which tools, by full name, this session's principal may be shown."""
        found: frozenset[str] = self._connections.ask(
            wire.Offered(session=session_id, tools=dict(tools)), frozenset[str]
        )
        return found & tools.keys()

    def labels(self, session_id: str) -> Labels:
        """Return the labels that a session has taken on."""
        labels: Labels = self._connections.ask(wire.LabelsOf(session=session_id), Labels)
        return labels

    def now(self) -> int:
        """Return the time of this machine, which is the owner's: microseconds since the epoch."""
        return self._clock.now()

    def new_id(self, prefix: str) -> str:
        """Return a fresh id `prefix_…`."""
        return self._ids.new(prefix)

    def named(self, handle: str) -> str | None:
        """Return the full tool name of an action of this peer that waits; None where it does not (any more)."""
        name: str | None = self._connections.ask(wire.Named(handle=handle), str | None)
        if name is not None:
            self._remember(handle, name, None)
        return name

    def link(self, handle: str) -> str | None:
        """Return a one-time address of the approval page for a wait of this peer; None where there is none."""
        found: str | None = self._connections.ask(wire.Link(handle=handle), str | None)
        return found

    # people

    def open_page(self, handle: str | None = None) -> str | None:
        """Return a one-time address of the approval page, of one wait or of the inbox; None where no page is served."""
        found: str | None = self._connections.ask(wire.OpenPage(handle=handle), str | None)
        return found

    def waits(self) -> tuple[Wait, ...]:
        """Return every action that waits, the one that ends first in front."""
        found: dict[str, Wait] = {}
        more = True
        while more:
            page: wire.Waits = self._connections.ask(wire.ListWaits(skip=len(found)), wire.Waits)
            fresh = {wait.handle: wait for wait in page.waits if wait.handle not in found}
            found |= fresh
            more = page.more and bool(fresh)
        return tuple(found.values())

    def wait(self, handle: str) -> Wait | None:
        """Return one action that waits, None where it does not (any more)."""
        found: Wait | None = self._connections.ask(wire.ShowWait(handle=handle), Wait | None)
        return found

    def answer(self, handle: str, vote: Vote) -> Wait | None:
        """Hand in a person's signed answer; returns the wait, or None where the answer ended it."""
        found: Wait | None = self._connections.ask(wire.Answer(handle=handle, vote=vote), Wait | None)
        return found

    def approvers(self) -> Approvers:
        """Return everybody who is or was enrolled."""
        found: Approvers = self._connections.ask(wire.ListApprovers(), Approvers)
        return found

    def standings(self) -> Standings:
        """Return every subject whose authority is not full."""
        found: Standings = self._connections.ask(wire.ListStandings(), Standings)
        return found

    def subject(self, named: str) -> str:
        """Return the subject that a name stands for: people stand under their pseudonym."""
        return str(self._connections.ask(wire.Subject(named=named), str))

    def stop(self, subject: str, state: Authority, *, by: str, reason: str) -> None:
        """Lower the authority of a subject, at once."""
        self._connections.ask(wire.Stop(subject=subject, state=state, by=by, reason=reason), None)

    def restore(self, vote: Vote) -> None:
        """Raise a subject's authority again, by the signed word of a supervisor."""
        self._connections.ask(wire.Restore(vote=vote), None)

    def enrol(self, person: Approver) -> None:
        """Enrol an approver."""
        self._connections.ask(wire.Enrol(person=person), None)

    def dismiss(self, name: str) -> None:
        """End an approver's right to answer."""
        self._connections.ask(wire.Dismiss(name=name), None)

    def settle(self, action_id: str, *, happened: bool, by: str, reason: str = "") -> None:
        """Record what a person established about an open action."""
        self._connections.ask(wire.Settle(action_id=action_id, happened=happened, by=by, reason=reason), None)

    def sweep(self) -> int:
        """Have the owner look at every wait now. Returns how many go on waiting."""
        return int(self._connections.ask(wire.Sweep(), int))

    def close(self) -> None:
        """Close every connection; what was permitted over them and has not started never will."""
        with self._lock:
            workers, self._workers = self._workers, None
        self._connections.close()
        if workers is not None:
            workers.shutdown(wait=False)


def _unavailable(action_id: str, why: str) -> Denied:
    kind, following = contract("unavailable")
    return Denied(action_id=action_id, kind=kind, reason=why, next_step=following, reason_code="unavailable")


def _must_be(permit: Permit, action: Action, session_id: str | None) -> None:
    """Raise `Nonsense` unless the permit is for this action, and its bytes are those that were judged.

    It may have another id: the same action was asked for before, and waited.
    """
    _must_hash(permit)
    same = (permit.tool, permit.operation) == (action.tool, action.operation)
    if not same or (session_id is not None and permit.session_id != session_id):
        raise wire.Nonsense("the owner permitted another action than the one that was asked for")
    if not permit.modified and permit.parameters != action.parameters:
        raise wire.Nonsense("the owner permitted other parameters, and does not say that it changed them")


def _must_hash(permit: Permit) -> None:
    if action_digest(permit.tool, permit.operation, permit.parameters) != permit.digest:
        raise wire.Nonsense("the owner permitted bytes that are not those of the digest")


def _never(permit: Permit) -> None:
    raise wire.Nonsense(f"the owner permitted `{permit.action_id}`, which cannot be judged")


def _sendable(output: Output) -> Output:
    """Return an output as it fits into a frame."""
    try:
        size = len(msgspec.json.encode(output))
    except UnicodeEncodeError:  # a lone surrogate is no text; what stands around it still is looked at
        whole = (output.text or "").encode(errors="replace").decode()
        return _sendable(msgspec.structs.replace(output, text=whole))
    if size + _PERMIT_BYTES <= wire.MOST_BYTES:
        return output
    beginning = msgspec.json.encode({"beginning": (output.text or "")[:KEPT], "bytes": len(output.json)})
    return Output(text=None, json=beginning)


def _dropped(done: Future[R], drop: Callable[[R], None]) -> None:
    """Hand what nobody waits for to `drop`; whoever cancelled has gone on, so a failure has nobody to go to."""
    if done.cancelled() or done.exception() is not None:
        return
    try:
        drop(done.result())
    except NavicertError:  # the owner takes it back by itself when the connection ends
        return
