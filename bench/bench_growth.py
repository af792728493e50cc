"""Log growth: how much larger `store.db` is after so many actions, checkpointed, with 450 bytes of arguments each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import rulesets
import worlds
from harness import Bench, at_most, folder
from worlds import Deployment

from navicert.sdk.session import CURRENT

PARTS = {
    "receipts": ("log", "bytes"),
    "disclosures, sealed": ("log", "sealed"),
    "keys of disclosures": ("log", "wrapped"),
    "context entries": ("entry", "value"),
    "rows": ("row", "value"),
}


def main() -> None:
    bench = Bench("growth", __doc__)
    bench.note(
        "Two receipts an action, with their disclosures and context entries. Growth is taken between two checkpointed"
        " states of one store: what every store holds from the start does not count. The store is closed in between."
    )
    actions = bench.count(3_000, 40)
    many = measured(bench, actions, in_one_session, "one session")
    bench.figure(
        "store",
        f"growth of store.db per action, {actions:,} actions in one session",
        many,
        "bytes",
        target=at_most(5_000),
    )
    few = measured(bench, actions, in_many_sessions, "sessions of 10 actions")
    bench.figure("sessions", f"growth of store.db per action, {actions:,} actions in sessions of 10", few, "bytes")
    bench.finish()


def measured(bench: Bench, actions: int, act: Callable[[Deployment, int], None], what: str) -> float:
    with folder("disk") as made:
        with worlds.deployment(made, rulesets.mixed(100)) as world:
            act(world, 20)
        home = world.home
        before, parts_before = size(home), parts(home)
        world = Deployment(home)
        act(world, actions)
        wal = (home / "store.db-wal").stat().st_size
        world.guard.close()
        after, parts_after = size(home), parts(home)
        worlds.must_be(worlds.receipts(home)["outcome"], 20 + actions, "outcomes")
    if what == "one session":
        for name, length in parts_after.items():
            per = (length - parts_before[name]) / actions
            bench.figure(f"part.{name.split(',')[0].replace(' ', '_')}", f"of which {name}", per, "bytes")
        bench.figure("wal", "store.db-wal while the store is in use, in all", wal, "bytes")
    return (after - before) / actions


def size(home: Path) -> int:
    """Return the bytes of the store and its WAL, after a checkpoint."""
    store = home / "store.db"
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    wal = home / "store.db-wal"
    return store.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def parts(home: Path) -> dict[str, int]:
    """Return the bytes of values by what they are; the rest of the growth is indexes, ids and free space."""
    connection = sqlite3.connect(home / "store.db")
    found = {
        name: connection.execute(f"SELECT coalesce(sum(length({column})), 0) FROM {table}").fetchone()[0]
        for name, (table, column) in PARTS.items()
    }
    connection.close()
    return found


def in_one_session(world: Deployment, count: int) -> None:
    token = CURRENT.set(world.session())
    for index in range(count):
        world.send(**rulesets.arguments(f"gr-{index:08d}"))
    world.settle()
    CURRENT.reset(token)


def in_many_sessions(world: Deployment, count: int) -> None:
    for start in range(0, count, 10):
        with world.session():
            for index in range(start, start + 10):
                world.send(**rulesets.arguments(f"gr-{index:08d}"))
    world.settle()


if __name__ == "__main__":
    main()
