"""Each protection taken away: the same tests must then see the harm, or they prove nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from threading import Thread

import pytest

from faults.support import POLICY, Rig, check_log, check_store, eventually
from navicert.adapters.store import sqlite
from navicert.engine import drive, judging, workings
from navicert.engine.drive import Answer, Await
from navicert.engine.workings import Workings
from navicert.model.decision import Place
from navicert.model.errors import ActionDenied, NavicertError
from navicert.model.labels import Level
from navicert.ports import Placed
from navicert.testing import Fault, FaultyJournal


def test_an_effect_without_a_decision_is_seen(tmp_path):
    it = Rig(tmp_path / "home")
    it.effects.happen("behind the gate's back")
    it.bench.close()
    assert it.effects.unwarranted == ["behind the gate's back"]


def test_an_engine_that_does_not_wait_for_the_journal_is_seen(tmp_path, monkeypatch):
    def durable(works, ticket):
        return Placed(ticket.commit.draft.receipt, "0" * 64, Place(log="faults", seq=1, leaf="0" * 64))
        yield

    it = Rig(tmp_path / "home", policy=POLICY)
    it.bench.store._writer.execute("PRAGMA query_only = ON")
    monkeypatch.setattr(Workings, "durable", durable)
    with suppress(Exception):  # what comes after the effect does not matter
        it.call("sync", "one")
    it.bench.close()
    assert it.effects.unwarranted == ["one"]


@pytest.mark.parametrize("harm", ["UPDATE log SET seq = 99 WHERE seq = 4", "DELETE FROM log WHERE seq = 3"])
def test_a_log_with_a_gap_is_seen(tmp_path, harm):
    it = Rig(tmp_path / "home")
    it.call("sync", "one")
    it.close()
    with sqlite3.connect(it.bench.home.store) as connection:
        connection.execute(harm)
    connection.close()
    with pytest.raises(AssertionError):
        check_log(it.bench.home)


# two engines make something else of the same version of a session


def attempt(it: Rig, text: str) -> None:
    with suppress(NavicertError, ActionDenied):  # counted by those who look at the store
        it.call("sync", text)


def crossed(one: Rig, other: Rig) -> None:
    """Have `one` queue a decision on top of an outcome that will fail, since `other` has written meanwhile."""
    one.call("sync", "grows")
    one.bench.store.flush()
    other.session.id = one.session.id
    other.forget()
    with one.bench.store._lead:
        one_more = Thread(target=attempt, args=(one, "first"))
        one_more.start()
        eventually(lambda: len(one.bench.store._queue) == 1)
    one_more.join()  # its outcome is queued, lazily
    with one.bench.store._lead:
        stacked = len(one.bench.store._queue)
        other.call("sync", "from elsewhere")
        second = Thread(target=attempt, args=(one, "second"))
        second.start()
        eventually(lambda: len(one.bench.store._queue) == stacked + 1)
    second.join()
    one.bench.store.flush()
    other.bench.store.flush()


def test_what_is_built_on_a_failed_change_does_not_pass_for_what_came_in_its_place(rig):
    one, other = rig(commit_s=5.0), rig(commit_s=5.0)
    for _ in range(5):
        crossed(one, other)
    assert other_counts(one) == 20


def other_counts(it: Rig) -> int:
    it.forget()
    return it.bench.engine.context(it.session.id).counts["mail.send"]


def test_versions_that_only_count_lose_an_update_and_are_seen(tmp_path, monkeypatch):
    for module in (sqlite, workings):
        monkeypatch.setattr(module, "following", lambda expected, _tag: expected + 1)
    one, other = Rig(tmp_path / "home", commit_s=5.0), Rig(tmp_path / "home", commit_s=5.0)
    with pytest.raises((AssertionError, NavicertError)):  # noqa: PT012 - seen at one of the two
        for _ in range(20):
            crossed(one, other)
            check_store(one.bench.home)
    one.bench.close()
    other.bench.close()


# labels


def test_an_engine_that_forgets_what_is_open_elsewhere_is_seen(rig, monkeypatch):
    policy = POLICY.replace(
        "rules: []",
        "rules:\n  - id: worst\n    match: {tool: mail, operation: send, context: {level: {ge: RESTRICTED}}}\n"
        "    decision: DENY\n",
    )
    fault = Fault()
    it = rig(policy, journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    other = rig(policy)
    fault.raises(only=lambda commit: commit.draft is not None and commit.draft.receipt.kind == "outcome")
    with pytest.raises(RuntimeError):
        it.session.carry(it.read_person)("ana")
    other.session.id = it.session.id
    assert "rule" in other.refused("sync", "one").reason or "forbids" in other.refused("sync", "one").reason
    monkeypatch.setattr(judging, "labels_in_force", lambda line, sticky, _owner: line[0].labels.join(sticky))
    assert other.call("sync", "two") == "sent two"
    assert it.session.labels.level < Level.CONFIDENTIAL
    fault.clear()


# cancellation


def test_wait_for_loses_a_cancellation_and_is_seen(monkeypatch):
    async def with_wait_for(command):
        event = asyncio.Event()
        command.ticket.on_done(drive._wake(asyncio.get_running_loop(), event))
        await asyncio.wait_for(event.wait(), command.timeout_s)
        return Answer(command.ticket.result(), None)

    class Ticket:
        def on_done(self, callback):
            self.callback = callback

        def result(self):
            return None

    async def swallowed(steps: int) -> bool:
        ticket = Ticket()
        task = asyncio.create_task(with_wait_for(Await(ticket, 5.0)))
        for _ in range(3):
            await asyncio.sleep(0)
        ticket.callback()
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            return False
        try:
            await task
        except asyncio.CancelledError:
            return False
        return True

    import sys

    if sys.version_info >= (3, 12):
        pytest.skip("wait_for is made of timeout() from 3.12 on")
    assert any(asyncio.run(swallowed(steps)) for steps in range(8))
