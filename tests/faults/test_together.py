"""Two processes, sixteen threads, fifty tasks on one store (attack family A.6, E.4): no lost update, exact limits."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faults.support import Rig, contexts, permits
from navicert.engine.rows import Rows
from navicert.model.errors import ActionDenied
from navicert.model.labels import Labels, Level
from navicert.sdk.session import CURRENT
from navicert.testing import Fault, FaultyJournal

WORKER = Path(__file__).with_name("worker.py")
CALLS = 200


def limited(above: int, per: str = "human") -> str:
    return f"""\
policy: faults
version: 1
posture: declared_tools
rules:
  - id: enough
    match: {{tool: mail, operation: send, rate: {{per: {per}, above: {above}, window: 1h}}}}
    decision: DENY
    priority: 1
"""


def race(folder: Path, sessions: list[str], drivers: list[str], calls: int) -> list[dict]:
    go = folder.parent / "go"
    workers = [
        subprocess.Popen(
            [sys.executable, WORKER, folder, session, driver, str(calls), go],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for session, driver in zip(sessions, drivers, strict=True)
    ]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        go.touch()
        return [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.stdout.close()
            worker.wait()


@pytest.mark.parametrize("drivers", [["sync", "sync"], ["sync", "async"]], ids="-".join)
@pytest.mark.parametrize("shared", [True, False], ids=["one-session", "two-sessions"])
def test_two_processes_lose_nothing_and_neither_starves(tmp_path, shared, drivers):
    it = Rig(tmp_path / "home")
    session = it.session.id if shared else "own"
    it.bench.store.flush()
    found = race(tmp_path / "home", [session, session], drivers, CALLS)
    assert [item["answers"] for item in found] == [["ALLOW"] * CALLS] * 2
    assert max(item["longest"] for item in found) < 3.0
    assert max(item["took"] for item in found) < 20 * min(item["took"] for item in found)
    it.forget()
    counted = {item.session_id: item.counts.get("mail.send", 0) for item in contexts(it.bench.home)}
    expected = [2 * CALLS] if shared else [CALLS, CALLS]
    assert sorted(expected) == sorted(value for value in counted.values() if value)
    log = it.close()  # verifies sequence, chains, signatures, contexts
    decided = Counter(item.kind for item in log)
    assert (decided["decision"], decided["outcome"]) == (2 * CALLS, 2 * CALLS)


# seen to fail: without `tallied` in `judging.follow`
@pytest.mark.parametrize("shared", [True, False], ids=["one-session", "two-sessions"])
def test_a_rate_limit_holds_exactly_across_processes(tmp_path, shared):
    it = Rig(tmp_path / "home", limited(57))
    session = it.session.id if shared else "own"
    it.bench.store.flush()
    found = race(tmp_path / "home", [session, session], ["sync", "async"], 60)
    assert sum(item["answers"].count("ALLOW") for item in found) == 57
    log = it.close()
    assert sum(1 for item in log if item.kind == "decision" and permits(item)) == 57
    assert sum(1 for item in log if item.kind == "decision" and not permits(item)) == 63


def test_a_rate_limit_holds_exactly_among_sixteen_threads(rig):
    it = rig(limited(37), commit_s=10.0)

    def one(number: int) -> bool:
        try:
            it.call("sync", f"n{number}")
        except ActionDenied:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(96)))
    assert 37 == sum(answers) == len(it.effects.done)
    assert it.bench.engine.context(it.session.id).counts["mail.send"] == 96


def test_a_rate_limit_holds_exactly_among_fifty_tasks(rig):
    it = rig(limited(23), commit_s=10.0)

    async def one(number: int) -> bool:
        try:
            await it.send_async(f"n{number}")
        except ActionDenied:
            return False
        return True

    async def main() -> list[bool]:
        CURRENT.set(it.session)
        return await asyncio.gather(*(one(number) for number in range(50)))

    answers = asyncio.run(main())
    assert 23 == sum(answers) == len(it.effects.done)


def test_the_same_action_from_many_threads_at_once_happens_once(rig):
    it = rig(commit_s=10.0)

    @it.bench.tool("slow.send", effect="send", content="text", returns="INTERNAL")
    def slow(text: str) -> None:
        it.effects.happen(text, "slow")
        gate.wait()

    import threading

    gate = threading.Event()

    def one(_: int) -> bool:
        try:
            it.session.carry(slow)("pay")
        except ActionDenied as denied:
            assert "open already" in denied.reason  # noqa: PT017 - either may happen
            return False
        finally:
            gate.set()  # whoever is refused lets the first one end
        return True

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert answers.count(True) == len(it.effects.done) >= 1


# seen to fail: with `rows.get` right after `load` in `deciding._context` and in `Engine.context`
def test_a_row_that_is_dropped_right_after_it_was_read_is_read_again(rig, monkeypatch):
    it = rig()
    it.forget()
    real = Rows.fill
    dropped = []

    def fill(rows, keys, found):
        real(rows, keys, found)
        if not dropped:
            dropped.append(keys)
            rows.drop(list(keys))

    monkeypatch.setattr(Rows, "fill", fill)
    assert it.call("sync", "one") == "sent one"
    assert dropped
    it.forget()
    dropped.clear()
    assert it.bench.engine.context(it.session.id).counts


# seen to fail: without the reads of the flight row in `stage_completion`, the send was refused as open for ever
def test_settling_in_another_engine_frees_the_action_whatever_that_engine_has_in_its_cache(rig):
    fault = Fault()
    one = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    other = rig()
    other.call("sync", "pay")  # `other` now believes that nothing of the kind is under way
    other.bench.store.flush()
    fault.persists(times=1)
    one.refused("sync", "pay")
    fault.clear()
    other.bench.store.flush()
    (waiting,) = other_view(other, one.session.id)
    other.bench.settle(waiting.action_id, happened=False, by="operator")
    assert other.call("sync", "pay") == "sent pay"


def other_view(it: Rig, session_id: str):
    it.bench.engine._works.rows.drop([f"session/{session_id}"])
    return it.bench.engine.context(session_id).open


# seen to fail: before `stage_completion` labelled what was settled meanwhile, the session stayed at INTERNAL
def test_a_result_that_arrives_after_its_action_was_settled_elsewhere_is_labelled_all_the_same(rig):
    it, other = rig(), rig()

    @it.bench.tool("slow.read", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
    def slow() -> str:
        it.bench.store.flush()
        (running,) = other_view(other, it.session.id)
        other.bench.settle(running.action_id, happened=False, by="operator")
        return "person"

    assert it.session.carry(slow)() == "person"
    it.call("sync", "next")
    assert it.session.labels.covers(Labels(level=Level.CONFIDENTIAL, categories=("PII",)))


# seen to fail: without `works.refresh` in `_classify`
def test_what_another_engine_writes_while_a_read_is_running_labels_that_read(rig):
    it, other = rig(), rig()

    def tools(bench, run):
        @bench.tool("file.read", effect="read", resource="path", returns="INTERNAL")
        def read(path: str) -> str:
            return run()

        @bench.tool("file.write", effect="write", resource="path", content="text", returns="INTERNAL")
        def write(path: str, text: str) -> None: ...

        return read, write

    _, write = tools(other.bench, lambda: "")
    other.session.carry(other.read_person)("ana")

    def meanwhile() -> str:
        other.session.carry(write)("a.txt", "about ana")
        return "about ana"

    read, _ = tools(it.bench, meanwhile)
    it.session.carry(read)("a.txt")
    assert it.session.labels.has("PII")
