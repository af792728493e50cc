"""Attack family F.2, and F.1 as far as sessions and agents go: what was read decides where things may go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from navicert import ActionDenied
from navicert.engine.engine import Engine
from navicert.engine.output import Released
from navicert.model.labels import NOTHING
from unit.sdk.world import IBAN, INSIDE, OUTSIDE, Office, opened, working


def denied(office: Office, to: str = OUTSIDE) -> bool:
    try:
        office.send(to)
    except ActionDenied:
        return True
    return False


# ------------------------------------------------------------------------------------------------------ F.2 in parallel


def test_a_send_that_starts_while_a_read_is_running_passes_and_one_after_its_release_does_not(tmp_path: Path) -> None:
    started, release = threading.Event(), threading.Event()
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)

        @guard.tool("crm.slow", effect="read", returns="INTERNAL")
        def slow() -> str:
            started.set()
            release.wait(10)
            return IBAN

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(session.carry(slow))
            started.wait(10)
            while_running = denied(office)
            release.set()
            assert reading.result(10) == IBAN
            after = [denied(office), denied(office, INSIDE)]

        assert (while_running, after) == (False, [True, False])


def test_the_same_with_asyncio_tasks(tmp_path: Path) -> None:
    async def main(guard: Any, office: Office) -> tuple[bool, list[bool]]:
        started, release = asyncio.Event(), asyncio.Event()

        @guard.tool("crm.slow", effect="read", returns="INTERNAL")
        async def slow() -> str:
            started.set()
            await release.wait()
            return IBAN

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(slow())
            await started.wait()
            while_running = denied(office)
            release.set()
            await reading
            return while_running, [denied(office), denied(office, INSIDE)]

    with opened(tmp_path) as guard, working(guard):
        assert asyncio.run(main(guard, Office(guard, tmp_path))) == (False, [True, False])


def test_no_send_that_starts_after_any_of_many_parallel_reads_was_released_gets_out(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        released = threading.Event()

        def read(number: int) -> None:
            office.customer(f"anna {number}")
            released.set()

        with ThreadPoolExecutor(8) as pool:
            reads = [pool.submit(session.carry(read), number) for number in range(16)]
            released.wait(10)
            assert denied(office)
            for each in reads:
                each.result(10)

        assert office.mail == []


def test_companion_a_completion_that_forgets_the_labels_lets_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("navicert.engine.releasing.label_result", lambda **_: NOTHING)
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.customer("anna")

        assert not denied(office)
        assert office.mail == [(OUTSIDE, "hello")]


def test_companion_a_result_released_before_its_labels_lets_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "complete", lambda *_, **__: Released(labels=NOTHING))
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.customer("anna")

        assert not denied(office)


def test_each_part_of_a_stream_taints_before_it_is_released(tmp_path: Path) -> None:
    # seen to fail: with `running.extend(render(item))` taken out of _Tool.stream
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        @guard.tool("crm.stream", effect="read", returns="INTERNAL")
        def stream() -> Iterator[str]:
            yield "nothing yet"
            yield IBAN

        items = stream()
        found = [denied(office), *(denied(office) for _ in items)]

        assert found == [False, False, True]


def test_each_part_of_an_asynchronous_stream_taints_before_it_is_released(tmp_path: Path) -> None:
    async def main(guard: Any, office: Office) -> list[bool]:
        @guard.tool("crm.stream", effect="read", returns="INTERNAL")
        async def stream() -> AsyncIterator[str]:
            yield "nothing yet"
            yield IBAN

        return [denied(office), *[denied(office) async for _ in stream()]]

    with opened(tmp_path) as guard, working(guard):
        assert asyncio.run(main(guard, Office(guard, tmp_path))) == [False, False, True]


def test_a_stream_that_is_left_early_keeps_the_taint_of_what_was_released(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        @guard.tool("crm.stream", effect="read", returns="INTERNAL")
        def stream() -> Iterator[str]:
            yield IBAN
            yield "more"

        next(items := stream())
        items.close()

        assert denied(office)


# ------------------------------------------------------------------------------------------- F.1 by way of an exception


@pytest.mark.parametrize("kind", [ValueError, TimeoutError, KeyError, OSError])
def test_what_an_exception_says_taints_like_a_result(tmp_path: Path, kind: type[Exception]) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        @guard.tool("crm.fail", effect="read", returns="INTERNAL")
        def fail(text: str) -> None:
            raise kind(f"cannot read {text}, iban {IBAN}" if text == "anna" else "no such customer")

        with pytest.raises(kind):
            fail("nobody")
        assert not denied(office)
        with pytest.raises(kind):
            fail("anna")
        assert denied(office)


def test_what_an_exception_says_taints_in_a_coroutine_and_in_a_stream_too(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)

        @guard.tool("crm.fail", effect="read", returns="INTERNAL")
        async def fail(name: str) -> None:
            raise TimeoutError(IBAN)

        @guard.tool("crm.stream", effect="read", returns="INTERNAL")
        def stream(name: str) -> Iterator[str]:
            yield "one"
            raise TimeoutError(IBAN)

        with working(guard), pytest.raises(TimeoutError):
            asyncio.run(fail("x"))
        with working(guard):
            assert denied(office)
        with working(guard, agent="other"), pytest.raises(TimeoutError):
            list(stream("x"))
        with working(guard, agent="other"):
            assert denied(office)


# ------------------------------------------------------------------------------------ F.1 across sessions and agents


def test_a_new_session_does_not_launder_what_the_last_one_read(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard):
            office.customer("anna")
        with working(guard):
            assert denied(office)
        with working(guard, human="ben", agent="other"):
            assert not denied(office)


def test_after_twenty_harmless_steps_it_is_still_known(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.customer("anna")
        for number in range(20):
            office.search(f"weather {number}")

        assert denied(office)
        assert not denied(office, INSIDE)


def test_an_agent_that_is_delegated_to_gets_the_labels_of_the_one_that_delegates(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as session:
            office.customer("anna")
            with session.delegate(agent="helper", scope=("email.*",)):
                assert denied(office)
        with working(guard, human="ben") as session, session.delegate(agent="helper", scope=("email.*",)):
            assert not denied(office)


def test_labels_that_follow_from_an_earlier_session_go_down_to_an_agent_that_is_delegated_to(tmp_path: Path) -> None:
    # seen to fail: before `delegating` joined the sticky labels of the one that delegates
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard):
            office.customer("anna")
        with working(guard) as session, session.delegate(agent="helper", scope=("email.*",)):
            assert denied(office)


def test_what_a_delegated_agent_read_taints_the_one_that_delegated(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as session:
            with session.delegate(agent="reader", scope=("crm.*",)):
                office.customer("anna")
            assert denied(office)
            assert not denied(office, INSIDE)


def test_what_a_delegated_agent_read_follows_the_one_that_delegated_into_a_new_session(tmp_path: Path) -> None:
    # seen to fail: before `_growth` wrote the sticky rows of the ancestors
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as session, session.delegate(agent="reader", scope=("crm.*",)):
            office.customer("anna")
        with working(guard):
            assert denied(office)


def test_what_a_delegated_agent_streamed_follows_it_into_a_new_session(tmp_path: Path) -> None:
    # seen to fail: while `extending` left the sticky row alone where the session had the labels already
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)

        @guard.tool("crm.stream", effect="read", returns="INTERNAL")
        def stream() -> Iterator[str]:
            yield IBAN

        with working(guard) as session:
            office.customer("anna")
            with session.delegate(agent="reader", scope=("crm.*",)):
                list(stream())
        with working(guard, agent="reader"):
            assert denied(office)


def test_a_file_carries_the_label_under_which_it_was_written_into_the_session_that_reads_it(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        policy = tmp_path / ".navicert" / "policy.yaml"
        policy.write_text(
            policy.read_text().replace("version: 1", "version: 2")
            + "  - {id: files, match: {effect: write}, decision: ALLOW}\n"
        )
        guard.reload()

        @guard.tool("file.write", effect="write", resource="path", content="text", returns="INTERNAL")
        def write(path: str, text: str) -> None:
            (tmp_path / path).write_text(text)

        @guard.tool("file.read", effect="read", resource="path", returns="INTERNAL")
        def read(path: str) -> str:
            return (tmp_path / path).read_text()

        @guard.tool("file.write", effect="write", resource="path", content="text", returns="INTERNAL")
        def stage(path: str, text: str) -> None:
            (tmp_path / path).write_text(text)

        with working(guard):
            office.customer("anna")
            write("summary.txt", "she has an account in Berlin")
        with working(guard, human="ben", agent="other"):
            write("notes.txt", "nothing")
            with suppress(FileNotFoundError):
                read("notes.txt")
            assert not denied(office)
            read("./summary.txt")
            assert denied(office)


def test_the_fifth_variant_of_a_denied_send_finds_no_gap(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.customer("anna")
        tries = [
            OUTSIDE,
            OUTSIDE.upper(),
            f"{OUTSIDE} ",
            "@acme.example@partner.example",
            "eve@acme.example.partner.example",
        ]

        assert [denied(office, to) for to in tries] == [True] * 5
        assert office.mail == []
