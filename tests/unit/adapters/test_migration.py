"""A store that an earlier version wrote opens, with all that is in it; one that a later version wrote does not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest

from faults.support import check_store
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.schema import MIGRATIONS, VERSION, migrate
from navicert.assemble import Home
from navicert.model.errors import ActionSuspended, IntegrityError
from navicert.testing import Bench, open_bench

POLICY = """\
policy: migrations
version: 1
posture: declared_tools
rules:
  - {id: ask, match: {tool: mail, operation: send}, decision: STEP_UP, approvers: [ben]}
"""


def tables(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def version(store: Path) -> int:
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def work(bench: Bench) -> None:
    note = bench.tool("note.write", effect="write", returns="INTERNAL")(lambda text: text)
    send = bench.tool("mail.send", effect="send", returns="INTERNAL")(lambda text: text)
    with bench.session(request="r", human="ana", agent="bot"):
        assert note("one") == "one"
        with pytest.raises(ActionSuspended):
            send("two")


def set_back(store: Path, *, waits: int = 0) -> None:
    """Make the store one of schema 1, with so many of its suspended actions."""
    with closing(sqlite3.connect(store)) as connection:
        start = MIGRATIONS[1].index("CREATE TABLE pending")
        connection.execute(MIGRATIONS[1][start:].split(";", 1)[0])
        connection.execute("DROP TABLE tile")
        connection.execute("DROP TABLE checkpoint")
        connection.execute("DROP INDEX log_record")
        for number in range(waits):
            connection.execute("INSERT INTO pending VALUES (?, 'ses_1', 5, 'waiting', x'00')", (f"wait_{number}",))
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


@pytest.fixture
def old(tmp_path) -> Home:
    """A home whose store has schema 1: two receipts and more, and a row for an action that was suspended."""
    with open_bench(tmp_path / "home", POLICY) as bench:
        work(bench)
    set_back(bench.home.store, waits=3)
    assert version(bench.home.store) == 1
    return bench.home


# seen to fail: without `2` in MIGRATIONS
def test_a_store_of_schema_1_opens_keeps_its_log_and_goes_on(old):
    with Archive(old.store) as archive:
        before = [row.data for row in archive.log()]
    with open_bench(old.folder) as bench:
        work(bench)
    assert version(old.store) == VERSION
    assert "pending" not in tables(old.store)
    with Archive(old.store) as archive:
        assert [row.data for row in archive.log()][: len(before)] == before
    check_store(old)


def test_a_store_of_schema_1_is_read_as_it_is(old):
    with Archive(old.store) as archive:
        assert {"boot", "policy", "decision", "outcome"} == {row.kind for row in archive.log()}
    assert version(old.store) == 1
    assert "pending" in tables(old.store)


def test_every_way_to_this_schema_ends_in_the_same_tables(old, tmp_path):
    with open_bench(old.folder), open_bench(tmp_path / "new", POLICY) as fresh:
        assert tables(old.store) == tables(fresh.home.store)


def test_engines_that_open_an_old_store_at_once_migrate_it_once(old):
    barrier, opened = Barrier(4), []

    def open_it() -> None:
        barrier.wait()
        with open_bench(old.folder) as bench:
            opened.append(bench)

    threads = [Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert version(old.store) == VERSION


def test_a_migration_that_fails_changes_nothing(tmp_path):
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        migrate(connection)
        connection.execute("PRAGMA user_version = 1")  # there is no table to drop
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_store_of_a_later_version_is_refused(old):
    with closing(sqlite3.connect(old.store)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(IntegrityError, match="upgrade navicert"):
        open_bench(old.folder)
    assert version(old.store) == VERSION + 1
