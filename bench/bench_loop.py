"""The whole loop in process: a call of a governed tool, from its interception to the release of its result.

In each action: arguments made canonical, identity and context loaded, detectors, 100 rules (25 about the tool), the
decision receipt signed and durable, the tool, its result classified, the outcome receipt signed and durable, the
context extended. The tool itself does nothing. Each of 16 callers has a session, and a person behind it, of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from threading import Thread
from time import perf_counter
from typing import Any

import rulesets
import worlds
from harness import US, Bench, Sample, at_least, at_most, folder, one_core, places, sample, spread
from worlds import Deployment

from navicert.sdk.session import CURRENT, Session

CALLERS = 16
ROUND_S = 2.0
"""A round takes about so long, and at most 2,000 actions."""
LENGTHS = {"start": (10, 2), "middle": (1_000, 5), "long": (10_000, 10)}


def main() -> None:
    bench = Bench("loop", __doc__)
    bench.note(
        f"One action: two Ed25519 receipts, durable (SQLite, WAL, `synchronous=FULL`), detectors, {rules(bench)} rules,"
        " 450 bytes of arguments. CPU is that of the whole process. The clock runs until the last outcome is durable."
        " Targets for actions per second hold on disk, on one core. `/dev/shm` makes nothing durable, and shows the"
        " CPU side alone. A session's length counts actions; the window behind each length is timed, on one core."
    )
    for kind, place in places(bench, "shm.*", "length.shm.*"):
        for cores, on in (("core", "on one core"), ("free", "on all cores")):
            with one_core() if cores == "core" else nullcontext():
                throughput(bench, kind, cores, f"{place}, {on}")
        with one_core():
            lengths(bench, kind, place)
    bench.finish()


def throughput(bench: Bench, kind: str, cores: str, where: str) -> None:
    ways = {"one": (one, "1 caller"), "threads": (threads, "16 threads"), "tasks": (tasks, "16 asyncio tasks")}
    total: dict[str, int] = {}
    found: dict[str, list[Sample]] = {way: [] for way in ways}
    latencies: list[float] = []
    with folder(kind) as made:
        with worlds.deployment(made, rulesets.mixed(rules(bench))) as world:
            for way, (run, _) in ways.items():  # the warm-up
                each = sample(run(world, f"w{way[0]}"), bench.count(320, CALLERS)).wall
                total[way] = bench.count(min(2_000, max(160, round(ROUND_S / each / CALLERS) * CALLERS)), CALLERS)
            for number in range(bench.count(7, 1)):
                for way, (run, _) in ways.items():
                    found[way].append(sample(run(world, f"{number % 10}{way[0]}"), total[way]))
            one(world, "zz", latencies)(total["one"])
        counted = worlds.receipts(world.home)
        worlds.must_be((counted["decision"], counted["outcome"]), (world.ran, world.ran), f"receipts, {where}")
    for way, (_, title) in ways.items():
        key = f"{kind}.{cores}.{way}"
        promised = kind == "disk" and cores == "core"
        rate = at_least(3_000 if way == "one" else 4_000) if promised else None
        samples = found[way]
        bench.figure(
            f"{key}.cpu", f"CPU per action, {title}, {where}", spread([item.cpu * US for item in samples]), "µs",
            target=at_most(250),
        )  # fmt: skip
        bench.figure(
            f"{key}.rate", f"actions per second, {title}, {where}", spread([1 / item.wall for item in samples]), "/s",
            target=rate,
        )  # fmt: skip
    latencies.sort()
    for share in (50, 99):
        at = latencies[min(len(latencies) - 1, len(latencies) * share // 100)]
        bench.figure(
            f"{kind}.{cores}.one.p{share}", f"time of one call, percentile {share}, 1 caller, {where}", at * US, "µs"
        )


def rules(bench: Bench) -> int:
    return bench.count(100, 26)


def one(world: Deployment, tag: str, latencies: list[float] | None = None) -> Callable[[int], None]:
    session = world.session("ana")

    def run(times: int) -> None:
        calls(world, session, tag, latencies, times)
        world.settle()

    return run


def threads(world: Deployment, tag: str) -> Callable[[int], None]:
    sessions = [world.session(f"user{index}") for index in range(CALLERS)]

    def run(times: int) -> None:
        failed: list[BaseException] = []

        def work(session: Session) -> None:
            try:
                calls(world, session, tag, None, times // CALLERS)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
                failed.append(error)

        workers = [Thread(target=work, args=(session,)) for session in sessions]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        world.settle()
        if failed:
            raise failed[0]

    return run


def calls(world: Deployment, session: Session, tag: str, latencies: list[float] | None, times: int) -> None:
    """Call the tool so often in a session; no two calls are alike."""
    token = CURRENT.set(session)
    try:
        for index in range(times):
            arguments = rulesets.arguments(f"{tag}-{index:08d}")
            before = perf_counter()
            world.send(**arguments)
            if latencies is not None:
                latencies.append(perf_counter() - before)
    finally:
        CURRENT.reset(token)


def tasks(world: Deployment, tag: str) -> Callable[[int], None]:
    sessions = [world.session(f"user{index}") for index in range(CALLERS)]

    async def work(session: Session, times: int) -> None:
        CURRENT.set(session)  # a task has a context of its own
        for index in range(times):
            await world.send_async(**rulesets.arguments(f"{tag}-{index:08d}"))

    async def together(times: int) -> None:
        await asyncio.gather(*(asyncio.create_task(work(session, times // CALLERS)) for session in sessions))

    def run(times: int) -> None:
        asyncio.run(together(times))
        world.settle()

    return run


def lengths(bench: Bench, kind: str, place: str) -> None:
    """Time per action when a session has already seen so many; and in a fresh one of the same store."""
    window = bench.count(500, 3)
    found: dict[str, list[Sample]] = {name: [] for name in (*LENGTHS, "fresh")}
    for _ in range(bench.count(3, 1)):
        with folder(kind) as made, worlds.deployment(made, rulesets.mixed(rules(bench))) as world:
            one(world, "ww")(bench.count(200, 1))
            session, done = world.session("ana"), 0
            for name, counts in LENGTHS.items():
                length = bench.count(*counts)
                run = _continue(world, session, name[:2])
                run(max(0, length - done))
                found[name].append(sample(_continue(world, session, name[1:3]), window))
                done = length + window
            fresh = world.session("ben")
            _continue(world, fresh, "f1")(10)
            found["fresh"].append(sample(_continue(world, fresh, "f2"), window))
    titles: dict[str, Any] = {
        name: f"after {bench.count(*counts):,} actions in the session" for name, counts in LENGTHS.items()
    }
    titles["fresh"] = "fresh session in the store of the long one"
    for name, samples in found.items():
        for part in ("wall", "cpu"):
            what = "time" if part == "wall" else "CPU"
            values = [getattr(item, part) * US for item in samples]
            bench.figure(
                f"length.{kind}.{name}.{part}", f"{what} per action, {titles[name]}, {place}", spread(values), "µs"
            )
    pairs = partial(zip, found["long"], strict=True)
    for other, against in (("start", "its start"), ("fresh", "a fresh session in the same store")):
        ratios = [long.cpu / short.cpu for long, short in pairs(found[other])]
        bench.figure(
            f"length.{kind}.flat_{other}",
            f"CPU per action, long session against {against}, {place}",
            spread(ratios),
            "×",
            target=at_most(1.1),
        )


def _continue(world: Deployment, session: Session, tag: str) -> Callable[[int], None]:
    def run(times: int) -> None:
        calls(world, session, tag, None, times)
        world.settle()

    return run


if __name__ == "__main__":
    main()
