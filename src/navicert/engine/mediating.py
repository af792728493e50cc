"""Mediating: decide, run, complete, for callers that let us run the tool (DESIGN.md property 1).

* The same for an engine in this process and for one behind a socket: both are a `Mediator`.
* The tool runs in the caller's own thread, or as a coroutine in their own task. A call that is suspended waits in band
  for a while, and then hands out its handle.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from navicert.core.digest import action_digest
from navicert.engine.completing import Output
from navicert.engine.workings import safe
from navicert.model.action import Action, ToolProfile
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.identity import Claims
from navicert.model.labels import Labels
from navicert.model.value import Json

Answer = Permit | Denied | Suspended
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
    def complete(self, permit: Permit, output: Output, *, error: str | None = None) -> Labels:
        """Record that the action ended; its result may then be released."""

    @abstractmethod
    async def complete_async(self, permit: Permit, output: Output, *, error: str | None = None) -> Labels:
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
    def refuse(self, action: Action, session_id: str | None, why: str) -> Denied:
        """Record that a call could not be put into canonical form, and so cannot be judged (R1.d)."""

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
    def say(self, session_id: str, text: str) -> None:
        """Add later words of the user to a session."""

    @abstractmethod
    def observe(self, session_id: str, *, name: str, value: Json, source: str) -> None:
        """Add a fact about the environment to a session."""

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
        self, action: Action, session_id: str | None, run: Callable[[bytes], Any], render: Callable[[Any], Output]
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this thread where permitted, complete; raises what the tool raises, after recording it."""
        answer = self.in_band(self.decide(action, session_id))
        return self.execute(answer, run, render) if isinstance(answer, Permit) else answer

    async def mediate_async(
        self,
        action: Action,
        session_id: str | None,
        run: Callable[[bytes], Awaitable[Any]],
        render: Callable[[Any], Output],
    ) -> Denied | Suspended | tuple[Permit, Any]:
        """Decide, run in this task where permitted, complete; raises what the tool raises, after recording it."""
        answer = await self.in_band_async(await self.decide_async(action, session_id))
        return await self.execute_async(answer, run, render) if isinstance(answer, Permit) else answer

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
        self, permit: Permit, run: Callable[[bytes], Any], render: Callable[[Any], Output]
    ) -> tuple[Permit, Any]:
        """Consume a permit, run in this thread, complete; raises what the tool raises, after recording it."""
        self.redeem(permit)
        try:
            value = run(permit.parameters)
        except TimeoutError as error:
            self._leave_open(permit, error)
            raise
        except Exception as error:
            self.complete(permit, said(error), error=type(error).__name__)
            raise
        except BaseException as error:
            self._leave_open(permit, error)
            raise
        self.complete(permit, render(value))
        return permit, value

    async def execute_async(
        self, permit: Permit, run: Callable[[bytes], Awaitable[Any]], render: Callable[[Any], Output]
    ) -> tuple[Permit, Any]:
        """Consume a permit, run in this task, complete; raises what the tool raises, after recording it."""
        await self.redeem_async(permit)
        try:
            value = await run(permit.parameters)
        except TimeoutError as error:
            self._leave_open(permit, error)
            raise
        except Exception as error:
            await self.complete_async(permit, said(error), error=type(error).__name__)
            raise
        except BaseException as error:
            self._leave_open(permit, error)
            raise
        await self.complete_async(permit, render(value))
        return permit, value

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

    def _leave_open(self, permit: Permit, error: BaseException) -> None:
        again = ""
        try:
            again = ", and the same action is refused" if self.guards_repeats(permit) else ""
            words = said(error)
            if words.text != "":
                self.extend(permit, words)  # it is passed on: what it says is released with it
            self.abandon(permit, type(error).__name__)
        except Exception as failure:  # noqa: BLE001 - an interruption is passed on; the store has the action open anyhow
            error.add_note(f"navicert: {safe(failure)}")
        error.add_note(
            f"navicert: whether `{permit.tool}.{permit.operation}` happened is not known; the action is open as "
            f"{permit.action_id}{again}, until `navicert settle {permit.action_id}`"
        )


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
