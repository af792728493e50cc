"""Mediating: decide, run, complete, for callers that let us run the tool (DESIGN.md property 1).

* The same for an engine in this process and for one behind a socket: both are a `Mediator`.
* The tool runs in the caller's own thread, or as a coroutine in their own task. A call that is suspended waits in band
  for a while, and then hands out its handle.
* What policy withholds of a result, or of what an error says, is not in what is raised in its place either: not in its
  cause, its context, or the frames behind it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from navicert.core.digest import action_digest
from navicert.engine.completing import Output, Released
from navicert.engine.workings import replace, safe
from navicert.model.action import Action, ToolProfile
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import ResultWithheld
from navicert.model.identity import Claims
from navicert.model.labels import Labels
from navicert.model.value import Json

Answer = Permit | Denied | Suspended
Rewrite = Callable[[Any, bytes], Any]
"""Makes of a value and JSON what is released in place of the value: of its shape, and saying what the JSON says."""
_FIRST_LOOK_S: Final = 0.02
_SLOWEST_LOOK_S: Final = 0.5


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


class ToolFailed(Exception):
    """The tool says that it failed, by a value: it is looked at, and redacted, as a result is."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Mediator(ABC):
    """What the SDK needs of an engine. `decide` and `resume` never raise: anything but a Permit is a refusal."""

    in_band_s: float

    @abstractmethod
    def decide(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session."""

    @abstractmethod
    async def decide_async(self, action: Action, session_id: str | None) -> Answer:
        """Judge one action of a session, without blocking the event loop."""

    @abstractmethod
    def resume(self, handle: str) -> Answer:
        """Take up an action that waits: a Permit, once; Suspended while it goes on waiting."""

    @abstractmethod
    async def resume_async(self, handle: str) -> Answer:
        """Take up an action that waits, without blocking the event loop."""

    @abstractmethod
    def redeem(self, permit: Permit) -> None:
        """Consume a permit, right before its action starts."""

    @abstractmethod
    async def redeem_async(self, permit: Permit) -> None:
        """Consume a permit, without blocking the event loop."""

    @abstractmethod
    def complete(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended; returns what may then be released; raises `ResultWithheld` for nothing."""

    @abstractmethod
    async def complete_async(self, permit: Permit, output: Output, *, error: str | None = None) -> Released:
        """Record that the action ended, without blocking the event loop."""

    @abstractmethod
    def abandon(self, permit: Permit, why: str) -> None:
        """Record that nobody knows whether the action happened."""

    @abstractmethod
    def extend(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result that comes in parts, before that part is released."""

    @abstractmethod
    async def extend_async(self, permit: Permit, output: Output) -> Labels:
        """Label a part of a result, without blocking the event loop."""

    @abstractmethod
    def refuse(self, action: Action, session_id: str | None, why: str, code: str = "invalid_parameters") -> Denied:
        """Record that a call is refused before it is judged (R1.d). code: why, one of `core.denial.BEFOREHAND`."""

    @abstractmethod
    def offered(self, session_id: str, tools: Mapping[str, ToolProfile | None]) -> frozenset[str]:
        """Return which tools, by full name, this session's principal may be shown: not those always refused.

        tools: each with its profile where the policy has none. Raises `IdentityError` where nobody stands behind it.
        """

    @abstractmethod
    def settle(self, action_id: str, *, happened: bool, by: str, reason: str = "") -> None:
        """Record what a person established about an open action."""

    @abstractmethod
    def open_session(self, request: str, claims: Claims) -> str:
        """Open a session; returns its id."""

    @abstractmethod
    def delegate(self, parent: str, *, agent: str, scope: tuple[str, ...], expires_at: int | None = None) -> str:
        """Open a child session for another agent."""

    @abstractmethod
    def launch(self, session_id: str, *, uses: int = 1) -> str:
        """Return a token by which so many processes that the application launches may act in a session.

        It is good for a minute. Raises `InvalidAction` for fewer than 1 or more than 64.
        """

    @abstractmethod
    def join(self, token: str) -> str:
        """Use a launch token; returns the id of the session in which this process may act from now on.

        Raises `IdentityError` for one that is used up, too old or unknown.
        """

    @abstractmethod
    def say(self, session_id: str, text: str) -> None:
        """Add later words of the user to a session."""

    @abstractmethod
    def observe(self, session_id: str, *, name: str, value: Json, source: str) -> None:
        """Add a fact about the environment to a session."""

    @abstractmethod
    def renew(self, session_id: str, token: str) -> None:
        """Have a session go on under another token of the human and agent that it was opened for by name.

        Raises `IdentityError` where it names none; a token of anybody else is refused with every action.
        """

    @abstractmethod
    def end(self, session_id: str) -> None:
        """Close a session."""

    @abstractmethod
    def labels(self, session_id: str) -> Labels:
        """Return the labels that a session has taken on."""

    @abstractmethod
    def now(self) -> int:
        """Return the engine's time, microseconds since the epoch."""

    @abstractmethod
    def new_id(self, prefix: str) -> str:
        """Return a fresh id `prefix_…`."""

    @abstractmethod
    def named(self, handle: str) -> str | None:
        """Return the full tool name of an action that waits; None where it does not (any more)."""

    @abstractmethod
    def guards_repeats(self, permit: Permit) -> bool:
        """Tell whether the same action is refused while this one is open."""

    def link(self, handle: str) -> str | None:
        """Return a one-time address of the approval page for a wait of one's own; None where no page is served.

        Raises `NavicertError` where an owner cannot be asked.
        """
        del handle
        return None

    # composed

    def action(
        self,
        tool: str,
        operation: str,
        parameters: bytes,
        *,
        profile: ToolProfile | None,
        surface: str = "sdk",
        depends_on: tuple[str, ...] = (),
    ) -> Action:
        """Return a call as an action, as of now. parameters: canonical. The rest as in `Action`."""
        return Action(
            action_id=self.new_id("act"),
            tool=tool,
            operation=operation,
            parameters=parameters,
            digest=action_digest(tool, operation, parameters),
            submitted_at=self.now(),
            surface=surface,
            profile=profile,
            depends_on=depends_on,
        )

    def mediate(
        self,
        action: Action,
        session_id: str | None,
        run: Callable[[bytes], Any],
        render: Callable[[Any], Output],
        rewrite: Rewrite | None = None,
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this thread where permitted, complete; raises what the tool raises, after recording it."""
        answer = self.in_band(self.decide(action, session_id))
        return self.execute(answer, run, render, rewrite) if isinstance(answer, Permit) else answer

    async def mediate_async(
        self,
        action: Action,
        session_id: str | None,
        run: Callable[[bytes], Awaitable[Any]],
        render: Callable[[Any], Output],
        rewrite: Rewrite | None = None,
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this task where permitted, complete; raises what the tool raises, after recording it."""
        answer = await self.in_band_async(await self.decide_async(action, session_id))
        return await self.execute_async(answer, run, render, rewrite) if isinstance(answer, Permit) else answer

    def in_band(self, answer: Answer, wait_s: float | None = None) -> Answer:
        """Wait for a suspended action, for `wait_s` or as the deployment says; then it is Suspended still."""
        end, pause = monotonic() + (self.in_band_s if wait_s is None else wait_s), _FIRST_LOOK_S
        while isinstance(answer, Suspended) and (left := end - monotonic()) > 0:
            sleep(min(pause, left))
            pause = min(pause * 1.5, _SLOWEST_LOOK_S)
            answer = _later(answer, self.resume(answer.handle))
        return answer

    async def in_band_async(self, answer: Answer, wait_s: float | None = None) -> Answer:
        """Wait for a suspended action, without blocking the event loop."""
        end, pause = monotonic() + (self.in_band_s if wait_s is None else wait_s), _FIRST_LOOK_S
        while isinstance(answer, Suspended) and (left := end - monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _SLOWEST_LOOK_S)
            answer = _later(answer, await self.resume_async(answer.handle))
        return answer

    def execute(
        self,
        permit: Permit,
        run: Callable[[bytes], Any],
        render: Callable[[Any], Output],
        rewrite: Rewrite | None = None,
    ) -> tuple[Permit, Any]:
        """Consume a permit, run in this thread, complete; raises what the tool raises, after recording it.

        rewrite: how a value is redacted; without it, a result that policy redacts is withheld. Raises `ResultWithheld`
        in place of what policy withholds, and `ToolFailed` with another value where it redacts that.
        """
        self.redeem(permit)
        failure: type[ToolFailed] | None = None
        try:
            value = run(permit.parameters)
        except ToolFailed as error:
            value, failure = error.value, type(error)
        except Exception as error:
            hidden = self._left_open(permit, error) if isinstance(error, TimeoutError) else self._failed(permit, error)
            if hidden is None:
                raise
            value = _Hidden(hidden)
        except BaseException as error:
            if (hidden := self._left_open(permit, error)) is None:
                raise
            value = _Hidden(hidden)
        if type(value) is not _Hidden:
            name = failure.__name__ if failure else None
            try:
                released = self.complete(permit, _looked_at(permit, value, render, rewrite), error=name)
                value = _rewritten(value, released, rewrite)
            except ResultWithheld as error:
                value = _Hidden(_alone(error))
        return permit, _ended(value, failure)

    async def execute_async(
        self,
        permit: Permit,
        run: Callable[[bytes], Awaitable[Any]],
        render: Callable[[Any], Output],
        rewrite: Rewrite | None = None,
    ) -> tuple[Permit, Any]:
        """Consume a permit, run in this task, complete; as `execute`."""
        await self.redeem_async(permit)
        failure: type[ToolFailed] | None = None
        try:
            value = await run(permit.parameters)
        except ToolFailed as error:
            value, failure = error.value, type(error)
        except Exception as error:
            hidden = (
                self._left_open(permit, error)
                if isinstance(error, TimeoutError)
                else await self._failed_async(permit, error)
            )
            if hidden is None:
                raise
            value = _Hidden(hidden)
        except BaseException as error:
            if (hidden := self._left_open(permit, error)) is None:
                raise
            value = _Hidden(hidden)
        if type(value) is not _Hidden:
            name = failure.__name__ if failure else None
            try:
                released = await self.complete_async(permit, _looked_at(permit, value, render, rewrite), error=name)
                value = _rewritten(value, released, rewrite)
            except ResultWithheld as error:
                value = _Hidden(_alone(error))
        return permit, _ended(value, failure)

    @contextmanager
    def running(self, permit: Permit) -> Iterator[Stream]:
        """Consume a permit for a result that comes in parts; at the end, record how it ended.

        Left early, by the caller or by a cancellation, the action stays open. Not for a screened one: `execute` it.
        """
        self.redeem(permit)
        try:
            yield Stream(self, permit)
            hidden = None
        except (GeneratorExit, TimeoutError) as error:
            if (hidden := self._left_open(permit, error)) is None:
                raise
        except Exception as error:
            if (hidden := self._failed(permit, error)) is None:
                raise
        except BaseException as error:
            if (hidden := self._left_open(permit, error)) is None:
                raise
        if hidden is not None:
            raise hidden
        self.complete(permit, Output(text="", empty=True))

    def _failed(self, permit: Permit, error: Exception) -> Exception | None:
        """Record that the tool raised; returns what is raised in its place, None where that is the error itself."""
        try:
            self.complete(permit, said(error), error=type(error).__name__)
        except Exception as failure:
            if not permit.screened:
                raise
            return _alone(failure)
        return None

    async def _failed_async(self, permit: Permit, error: Exception) -> Exception | None:
        try:
            await self.complete_async(permit, said(error), error=type(error).__name__)
        except Exception as failure:
            if not permit.screened:
                raise
            return _alone(failure)
        return None

    def _left_open(self, permit: Permit, error: BaseException) -> BaseException | None:
        """Record an interruption; returns what is raised in its place, None where that is the error itself."""
        again, hidden = "", None
        try:
            again = ", and the same action is refused" if self.guards_repeats(permit) else ""
            words = said(error)
            if words.text != "":
                hidden = self._told(permit, words, error)  # it is passed on: what it says is released with it
            self.abandon(permit, type(error).__name__)
        except Exception as failure:  # noqa: BLE001 - an interruption is passed on; the store has the action open anyhow
            hidden = hidden or (_silent(error, safe(failure)) if permit.screened else None)
            error.add_note(f"navicert: {safe(failure)}")
        (hidden or error).add_note(
            f"navicert: whether `{permit.tool}.{permit.operation}` happened is not known; the action is open as "
            f"{permit.action_id}{again}, until `navicert settle {permit.action_id}`"
        )
        return hidden

    def _told(self, permit: Permit, words: Output, error: BaseException) -> BaseException | None:
        try:
            self.extend(permit, words)
        except ResultWithheld as withheld:
            return _silent(error, str(withheld))
        return None


class _Hidden:
    """What is raised in place of a value that is withheld."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _alone(error: Exception) -> Exception:
    """Return an error without the errors and the frames behind it: they hold what it stands in place of."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


_SILENT: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, TimeoutError)


def _silent(error: BaseException, why: str) -> BaseException:
    """Return an interruption of the same kind that does not say what this one says."""
    kind: type[BaseException] = next((kind for kind in _SILENT if isinstance(error, kind)), SystemExit)
    return kind(why)


def _looked_at(permit: Permit, value: Any, render: Callable[[Any], Output], rewrite: Rewrite | None) -> Output:
    """Return what a value looks like; of a screened one, whether it can be made of JSON is tried on its own."""
    output = render(value)
    if not permit.screened or rewrite is None or output.text is None:
        return output
    try:
        same = rewrite(value, output.json) == value
    except Exception:  # noqa: BLE001 - what cannot be made anew is withheld where it would have to be
        same = False
    return replace(output, rewritable=bool(same))


def _ended(value: Any, failure: type[ToolFailed] | None) -> Any:
    """Return what an action ended with; raises what its caller is told in place of it."""
    if type(value) is _Hidden:
        raise value.error
    if failure is not None:
        raise failure(value)
    return value


def _rewritten(value: Any, released: Released, rewrite: Rewrite | None) -> Any:
    if released.json is None:
        return value
    if rewrite is None:
        raise ResultWithheld("the result is to be redacted, and nobody said how; nothing of it is released")
    return rewrite(value, released.json)


class Stream:
    """A running action whose result comes in parts; each is labelled before it is released."""

    def __init__(self, mediator: Mediator, permit: Permit) -> None:
        self._mediator = mediator
        self._permit = permit

    def extend(self, part: Output) -> None:
        """Label one part."""
        self._mediator.extend(self._permit, part)

    async def extend_async(self, part: Output) -> None:
        """Label one part, without blocking the event loop."""
        await self._mediator.extend_async(self._permit, part)


def _later(before: Suspended, answer: Answer) -> Answer:
    """A look that failed for now tells nothing about the wait."""
    return before if isinstance(answer, Denied) and answer.reason_code == "unavailable" else answer
