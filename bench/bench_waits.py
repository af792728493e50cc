"""Waiting: what a held call costs beside one that is permitted at once, and how long a kill takes to bite."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, perf_counter_ns, time_ns

from harness import US, Bench, Spread, folder, spread

import navicert
from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.core.answers import statement_bytes
from navicert.core.seal import b64
from navicert.model.authority import Authority
from navicert.model.suspension import Answer, Approver, Statement, Vote
from navicert.sdk.guard import Guard
from navicert.testing.deployment import open_bench

POLICY = """\
policy: waits
version: 1
posture: deny
rules:
  - {id: notes, match: {tool: notes, operation: write}, decision: ALLOW}
  - {id: ask, match: {tool: files, operation: delete}, decision: STEP_UP, approvers: [ben], reason: ask Ben}
"""


def main() -> None:
    bench = Bench("waits", __doc__)
    bench.note("On disk, with receipts durable before anything runs; tools that do nothing. One caller, one core free.")
    with folder("disk") as made:
        approvals(bench, made)
    with folder("disk") as made:
        kills(bench, made)
    bench.finish()


def approvals(bench: Bench, made: Path) -> None:
    guard = open_bench(made / "home", POLICY)
    write = guard.tool("notes.write", effect="write", resource="name")(lambda name: name)
    delete = guard.tool("files.delete", effect="delete", resource="path")(lambda path: path)
    key = new_key("Ed25519")
    ben = Approver(name="ben", key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=0)
    guard.engine.enrol(ben)
    plain, asked, voted, resumed = [], [], [], []
    with guard.session(request="tidy up", human="ana", agent="assistant"):
        for index in range(bench.count(200, 5)):
            start = perf_counter()
            write(f"note-{index}")
            plain.append(perf_counter() - start)
            start = perf_counter()
            handle = held(delete, f"file-{index}")
            asked.append(perf_counter() - start)
            vote = signed(guard, key, handle)
            start = perf_counter()
            guard.engine.answer(handle, vote)
            voted.append(perf_counter() - start)
            start = perf_counter()
            if guard.resume(handle) != f"file-{index}":
                raise RuntimeError("another call ran than the one that was approved")
            resumed.append(perf_counter() - start)
    guard.close()
    bench.figure("permitted", "a call that is permitted at once", ms(plain), "ms")
    bench.figure("asked", "a call that is held, until its handle is handed out", ms(asked), "ms")
    bench.figure("answered", "an answer: checked, and durable", ms(voted), "ms")
    bench.figure("resumed", "taken up: judged twice, released, run, recorded", ms(resumed), "ms")


def held(delete: object, path: str) -> str:
    try:
        delete(path)  # type: ignore[operator]
    except navicert.ActionSuspended as wait:
        return wait.handle
    raise RuntimeError("it was not held")


def signed(guard: Guard, key: FileKey, handle: str) -> Vote:
    wait = guard.engine.wait(handle)  # type: ignore[attr-defined]
    statement = statement_bytes(
        Statement(
            question=wait.question, answer=Answer.APPROVE, approver="ben", key_id=key.key_id,
            at=time_ns() // 1000, reason="as asked",
        )
    )  # fmt: skip
    return Vote(statement=statement, signature=key.sign(statement))


def kills(bench: Bench, made: Path) -> None:
    """Another process works without a pause; its agent is killed: how long until the last start of a tool there?"""
    home = made / "home"
    guard = open_bench(home, POLICY)
    late = []
    for index in range(bench.count(30, 2)):
        here, there = multiprocessing.get_context("spawn").Pipe()
        agent = f"agent-{index}"
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(str(home), agent, there))
        worker.start()
        here.recv()
        guard.engine.stop(f"agent/{agent}", Authority.REVOKED, by="bench", reason="measured")
        killed = perf_counter_ns()
        last = here.recv()
        late.append(max(0.0, (last - killed) / 1e9))
        worker.join()
    guard.close()
    bench.figure(
        "kill", "from the end of `kill` to the last start of a tool in another process", ms(late), "ms",
        note="0: nothing started after the command had returned",
    )  # fmt: skip


def work(home: str, agent: str, pipe: Connection) -> None:
    guard = open_bench(Path(home))
    started = [0]

    def note(name: str) -> str:
        started.append(perf_counter_ns())  # one clock for all processes of a machine (CLOCK_MONOTONIC)
        return name

    write = guard.tool("notes.write", effect="write", resource="name")(note)
    with suppress(navicert.ActionDenied), guard.session(request="write", human="ana", agent=agent):
        for index in range(100_000):
            write(f"{agent}-{index}")
            if index == 10:
                pipe.send("running")
    pipe.send(started[-1])
    guard.close()


def ms(seconds: list[float]) -> Spread:
    found = spread(seconds)
    return Spread(found.median * US / 1e3, found.low * US / 1e3, found.high * US / 1e3, found.rounds)


if __name__ == "__main__":
    main()
