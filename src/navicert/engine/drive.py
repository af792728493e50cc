"""Two drivers for one state machine: it yields what it needs from the world, a driver fetches it (DESIGN.md section 2).

* `Ask` calls ports: those that may wait run in threads of their own under one deadline; silence is a failure.
* `Await` waits for a commit to become durable.
* A driver never turns a failure into an answer; the machine gets the exception as a value and decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from threading import BoundedSemaphore, Lock, Thread
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar

from navicert.model.errors import Unavailable
from navicert.ports import Ticket

Outcome = TypeVar("Outcome")
_WORKERS: Final = BoundedSemaphore(64)


class Call(NamedTuple):
    """One call of a port. inline: it cannot wait, and runs in the caller's thread."""

    name: str
    run: Callable[[], Any]
    inline: bool


class Ask(NamedTuple):
    """Several calls at once, under one deadline; the answer is a list of `Answer`, in their order."""

    calls: tuple[Call, ...]
    deadline_s: float


class Answer(NamedTuple):
    """What a call gave: a value, or the exception that it ended in."""

    value: Any
    error: Exception | None


class Await(NamedTuple):
    """Wait for a commit; the answer is one `Answer`."""

    ticket: Ticket
    timeout_s: float


Machine = Generator[Ask | Await, Any, Outcome]


def drive(machine: Machine[Outcome]) -> Outcome:
    """Run a machine to its end in this thread."""
    try:
        command = next(machine)
        while True:
            command = machine.send(_ask(command) if type(command) is Ask else _await(command))  # type: ignore[arg-type]
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        machine.close()


async def drive_async(machine: Machine[Outcome]) -> Outcome:
    """Run a machine to its end in this task; the event loop is never blocked by a port that waits."""
    try:
        command = next(machine)
        while True:
            if isinstance(command, Await):
                answer: Any = await _await_async(command)
            elif all(call.inline for call in command.calls):
                answer = _ask(command)
            else:
                answer = await _ask_async(command)
            command = machine.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    finally:
        machine.close()  # a cancelled caller: the machine notes what it leaves behind


def _run(call: Call) -> Answer:
    try:
        return Answer(call.run(), None)
    except Exception as error:  # noqa: BLE001 - the machine turns it into a refusal (R1.c)
        return Answer(None, error)


def _ask(ask: Ask) -> list[Answer]:
    if all(call.inline for call in ask.calls):
        return [_run(call) for call in ask.calls]
    waits = [_Wait(call) for call in ask.calls if not call.inline]
    waiting = iter(waits)
    end = monotonic() + ask.deadline_s
    inline = iter([_run(call) for call in ask.calls if call.inline])
    return [next(inline) if call.inline else next(waiting).answer(end) for call in ask.calls]


class _Wait:
    """A call in a daemon thread of its own: one that hangs holds up neither its caller nor the end of the process."""

    def __init__(self, call: Call, notify: Callable[[], None] | None = None) -> None:
        self._call = call
        self._notify = notify
        self._done = Lock()
        self._answer: Answer | None = None
        if not _WORKERS.acquire(blocking=False):
            self._answer = Answer(None, Unavailable("too many calls hang already"))
            if notify is not None:
                notify()
            return
        self._done.acquire()
        Thread(target=self._work, name=f"navicert-{call.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            self._answer = _run(self._call)
        finally:
            _WORKERS.release()
            self._done.release()
            if self._notify is not None:
                self._notify()

    def answer(self, end: float) -> Answer:
        if self._answer is not None:
            return self._answer
        if not self._done.acquire(timeout=max(0.0, end - monotonic())):
            return Answer(None, Unavailable(f"`{self._call.name}` did not answer in time"))
        answer: Answer | None = self._answer  # set by the thread before it let go of the lock
        return answer or Answer(None, Unavailable(f"`{self._call.name}` died without a word"))


def _await(command: Await) -> Answer:
    try:
        return Answer(command.ticket.wait(command.timeout_s), None)
    except Exception as error:  # noqa: BLE001 - as in _run
        return Answer(None, error)


async def _ask_async(ask: Ask) -> list[Answer]:
    loop = asyncio.get_running_loop()
    end = monotonic() + ask.deadline_s
    waits: list[tuple[_Wait, asyncio.Event] | None] = []
    for call in ask.calls:
        if call.inline:
            waits.append(None)
            continue
        event = asyncio.Event()
        waits.append((_Wait(call, _wake(loop, event)), event))
    answers: list[Answer] = []
    for call, wait in zip(ask.calls, waits, strict=True):
        if wait is None:
            answers.append(_run(call))
            continue
        try:
            async with asyncio.timeout(max(0.0, end - monotonic())):
                await wait[1].wait()
        except TimeoutError:
            answers.append(Answer(None, Unavailable(f"`{call.name}` did not answer in time")))
        else:
            answers.append(wait[0].answer(monotonic()))
    return answers


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> Callable[[], None]:
    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return wake


async def _await_async(command: Await) -> Answer:
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[None] = loop.create_future()
    woken = late = False

    def tell() -> None:
        if not decided.done():
            decided.set_result(None)

    def wake() -> None:
        nonlocal woken
        woken = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell)

    def give_up() -> None:
        nonlocal late
        late = not decided.done()
        tell()

    command.ticket.on_done(wake)
    just_decided = woken  # those who were to be told before us may not have been yet: `wait` lets them
    command.ticket.nudge()
    timer = loop.call_later(command.timeout_s, give_up)
    try:
        # not `wait_for`: it can swallow a cancellation that comes as the result does, and the tool would run (R1.c)
        await decided
    finally:
        timer.cancel()
    if just_decided or late:
        return _await(Await(command.ticket, 0.0 if late else command.timeout_s))
    try:
        return Answer(command.ticket.result(), None)
    except Exception as error:  # noqa: BLE001 - as in _run
        return Answer(None, error)
