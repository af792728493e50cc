"""A wait is the same for every kind of tool: async, streams, opaque parameters; in band and by handle (R4.a)."""

from __future__ import annotations

import asyncio
import io

import pytest

from attacks.waiting import Desk, policy
from navicert import ActionDenied, ActionSuspended
from navicert.model.errors import InvalidAction
from navicert.model.suspension import Answer
from navicert.sdk.session import CURRENT

ALL = "  - {id: all, match: {}, decision: STEP_UP, approvers: [ben], timeout: 10m}\n"


@pytest.fixture
def asking(desk):
    def make(**ports) -> Desk:
        it = desk(policy(ALL), **ports)
        it.enrol("ben")
        return it

    return make


async def begun(it: Desk) -> None:
    """Return once something waits."""
    while not it.engine.waits():  # noqa: ASYNC110 - nobody tells; the store is looked at
        await asyncio.sleep(0.005)


def test_an_async_call_is_resumed_once_without_blocking(asking):
    it = asking()

    async def main() -> str:
        async with it.session():
            with pytest.raises(ActionSuspended) as waits:
                await it.later("hello")
            handle = waits.value.handle
            with pytest.raises(ActionSuspended):
                await it.bench.resume_async(handle)
            it.say("ben", handle)
            with pytest.raises(InvalidAction, match="resume_async"):
                it.bench.resume(handle)
            said = await asyncio.gather(*(it.bench.resume_async(handle) for _ in range(5)), return_exceptions=True)
            assert sum(isinstance(item, ActionDenied) for item in said) == 4
            return next(item for item in said if isinstance(item, str))

    assert asyncio.run(main()) == "done: later hello"
    assert it.effects == ["later hello"]


def test_an_async_call_waits_in_band_while_the_loop_goes_on(asking):
    it = asking(in_band_s=20.0)

    async def main() -> tuple[str, int]:
        CURRENT.set(it.session())
        call = asyncio.create_task(it.later("hello"))
        turns = 0
        await begun(it)
        for _ in range(5):
            await asyncio.sleep(0.005)
            turns += 1
        assert not call.done()
        it.say("ben", it.engine.waits()[0].handle)
        return await call, turns

    assert asyncio.run(main()) == ("done: later hello", 5)


def test_an_in_band_wait_that_ends_gives_the_handle(asking):
    it = asking(in_band_s=0.05)
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle, Answer.DENY)
        it.refused(it.bench.resume, waits.handle)


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_wait_and_no_effect(asking):
    it = asking(in_band_s=20.0)

    async def main() -> None:
        CURRENT.set(it.session())
        call = asyncio.create_task(it.later("hello"))
        await begun(it)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    (wait,) = it.engine.waits()
    assert it.effects == []
    it.say("ben", wait.handle)
    assert asyncio.run(it.bench.resume_async(wait.handle)) == "done: later hello"


def test_a_stream_yields_nothing_before_it_is_approved_and_its_items_once(asking):
    it = asking()
    with it.session() as session:
        waits = it.suspended(lambda: list(session.carry(it.feed)(2)))
        it.suspended(it.bench.resume, waits.handle)
        it.say("ben", waits.handle)
        assert list(it.bench.resume(waits.handle)) == ["done: item 0", "done: item 1"]
        it.refused(it.bench.resume, waits.handle)
    assert it.effects == ["item 0", "item 1"]


def test_an_async_stream_likewise(asking):
    it = asking()

    async def main() -> list[str]:
        CURRENT.set(it.session())
        with pytest.raises(ActionSuspended) as waits:
            await anext(it.feed_later(2))
        assert it.effects == []
        it.say("ben", waits.value.handle)
        stream = await it.bench.resume_async(waits.value.handle)
        return [item async for item in stream]

    assert asyncio.run(main()) == ["done: item 0", "done: item 1"]
    assert it.effects == ["item 0", "item 1"]


def test_a_stream_that_was_resumed_and_is_pulled_after_its_permit_expired_gives_nothing(asking):
    it = asking(permit_s=60.0)
    waits = it.suspended(lambda: list(it.session().carry(it.feed)(2)))
    it.say("ben", waits.handle)
    stream = it.bench.resume(waits.handle)
    it.clock.tick(61)
    with pytest.raises(Exception, match="expired"):
        next(stream)
    assert it.effects == []


def test_opaque_parameters_are_there_where_it_was_called_and_nowhere_else(asking):
    it, other = asking(), None
    with it.session() as session:
        waits = it.suspended(session.carry(it.put), "a", io.StringIO("body"))
        other = Desk(it.folder, clock=it.clock)
        it.say("ben", waits.handle)
        with pytest.raises(InvalidAction, match="not kept"):
            other.bench.resume(waits.handle)
        other.bench.close()
        assert it.effects == []
        assert it.bench.resume(waits.handle) == "done: put a body"
    assert it.effects == ["put a body"]


def test_a_process_without_the_tool_does_not_use_the_approval_up(asking):
    it = asking()
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    held = it.bench._tools.pop("mail.send")
    with pytest.raises(InvalidAction, match="does not have"):
        it.bench.resume(waits.handle)
    it.bench._tools["mail.send"] = held
    assert it.bench.resume(waits.handle) == "done: mail hello"


def test_a_tool_that_fails_after_the_wait_is_told_and_not_run_again(asking):
    it = asking()
    path = it.folder / "gone.txt"
    waits = it.suspended(it.session().carry(it.remove), str(path))
    it.say("ben", waits.handle)
    with pytest.raises(FileNotFoundError):
        it.bench.resume(waits.handle)
    path.write_text("here again")
    it.refused(it.bench.resume, waits.handle)
    assert path.exists()


def test_an_action_that_waited_runs_after_its_session_has_ended(asking):
    it = asking()
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
    it.say("ben", waits.handle)
    assert it.bench.resume(waits.handle) == "done: mail hello"
