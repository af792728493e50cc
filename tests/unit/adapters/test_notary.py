"""Checkpoints are made of what is durable, never of less, and never of another history (R5; DESIGN.md section 7)."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Barrier

import pytest

from navicert.adapters.anchor.file import FileAnchor, notes
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.checkpoints import Inscribed, Moved, inscribe, newest
from navicert.adapters.store.tree import GrowingTree, StoredTree
from navicert.assemble import Home, make_home, open_home, read_trust
from navicert.model.errors import ActionDenied, IntegrityError, NavicertError, Unavailable
from navicert.sdk.guard import Guard
from navicert.tlog.checkpoint import parse_checkpoint, verify_checkpoint
from navicert.tlog.note import parse_note
from navicert.tlog.tree import inclusion_proof, leaf_hash, tree_root, verify_inclusion

POLICY = """\
policy: notes
version: 1
posture: declared_tools
tools:
  note.write: {effect: write, returns: INTERNAL}
rules: []
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path / "home", origin="example.com/log", service="desk", policy=POLICY)
    anchored(made, tmp_path / "elsewhere" / "anchor")
    return made


def anchored(home: Home, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    home.config.write_text(f"{home.config.read_text()}anchor: {path}\n", encoding="utf-8")


@contextmanager
def working(home: Home) -> Iterator[Callable[[int], object]]:
    """Yield something that writes so many notes, each an action."""
    with Guard(open_home(home.folder)) as guard:

        @guard.tool("note.write", effect="write", returns="INTERNAL")
        def write(text: str) -> str:
            return text

        with guard.session(human="ana", agent="bot", request="notes"):
            yield lambda count: [write(token_hex(8)) for _ in range(count)]


def work(home: Home, count: int) -> None:
    with working(home) as write:
        write(count)


def entries(home: Home) -> list[bytes]:
    with Archive(home.store) as archive:
        return [row.data for row in archive.log()]


def checkpoint(home: Home) -> Inscribed:
    with Archive(home.store) as archive:
        found = archive.checkpoint()
    assert found is not None
    return found


def cut(home: Home, entries_left: int) -> None:
    """Take the newest entries, and everything that knows of them within the store."""
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("DELETE FROM log WHERE seq > ?", (entries_left,))
        store.execute("DELETE FROM checkpoint WHERE size > ?", (entries_left,))
        store.execute("DELETE FROM tile WHERE (idx + 1) * 256 > ? OR level > 0", (entries_left,))
        store.commit()


# seen to fail: with `_make` growing to `head - 1`
def test_a_checkpoint_covers_everything_once_the_engine_is_closed(home: Home) -> None:
    work(home, 3)
    found, log = checkpoint(home), entries(home)

    said = verify_checkpoint(found.note, "example.com/log", read_trust(home.trust).log)
    assert (said.size, said.root) == (len(log), tree_root(map(leaf_hash, log)))


# seen to fail: with `_rest` waiting for the bell alone
def test_a_checkpoint_comes_within_seconds_of_an_action_while_the_engine_runs(home: Home) -> None:
    with working(home) as write:
        write(1)
        count, end = len(entries(home)), time.monotonic() + 10
        while time.monotonic() < end and (not (found := _newest(home)) or found.size < count):
            time.sleep(0.02)
        found = checkpoint(home)

    assert found.size >= count


def _newest(home: Home) -> Inscribed | None:
    with Archive(home.store) as archive:
        return archive.checkpoint()


def test_every_entry_has_a_proof_under_the_checkpoint_across_tiles(home: Home) -> None:
    work(home, 300)
    found, log = checkpoint(home), entries(home)
    root = parse_checkpoint(parse_note(found.note).text).root

    with Archive(home.store) as archive:
        nodes = archive.tree().nodes
        for place in (0, 1, 254, 255, 256, 257, 511, 512, len(log) - 1):
            proof = inclusion_proof(place, found.size, nodes)
            verify_inclusion(place, found.size, leaf_hash(log[place]), proof, root)


def test_full_tiles_are_kept_and_a_tree_that_is_taken_up_again_goes_on_from_them(home: Home) -> None:
    work(home, 200)
    work(home, 200)
    log = entries(home)

    with closing(sqlite3.connect(home.store)) as store:
        assert store.execute("SELECT count(*) FROM tile WHERE level = 0").fetchone() == (len(log) // 256,)
        tree = GrowingTree(store)
        assert tree.size == len(log) // 256 * 256
        assert tree.grow(len(log)) == tree_root(map(leaf_hash, log))
        assert StoredTree(store).root(len(log)) == tree_root(map(leaf_hash, log))


# --------------------------------------------------------------------------------------------- what must not go on


# seen to fail: without `said.size > head` in `Ledger.holds`
def test_a_store_whose_tail_was_cut_opens_nowhere(home: Home) -> None:
    work(home, 5)
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)")
        store.commit()

    with pytest.raises(IntegrityError, match=r"the last checkpoint of the store knows 12 entries.*holds 11"):
        open_home(home.folder)


# seen to fail: without the anchor in `Ledger.examine`
def test_a_store_that_was_cut_with_its_checkpoint_is_found_by_the_anchor(home: Home) -> None:
    work(home, 2)
    short = len(entries(home))
    work(home, 3)
    cut(home, short)

    with pytest.raises(IntegrityError, match=f"the anchor knows .* entries of this log, and the store holds {short}"):
        open_home(home.folder)
    assert len(entries(home)) == short  # not even a rotation was appended


def test_without_an_anchor_a_store_that_was_cut_with_its_checkpoint_opens_as_it_says(tmp_path: Path) -> None:
    """The twin: what the anchor is for. The docs say so."""
    home = make_home(tmp_path / "home", origin="example.com/log", service="desk", policy=POLICY)
    work(home, 2)
    before = shutil.copytree(home.folder, tmp_path / "backup")
    work(home, 3)
    shutil.rmtree(home.folder)
    before.rename(home.folder)

    work(home, 1)


# seen to fail: without `verify_checkpoint` in `Ledger.holds`
def test_an_anchor_that_somebody_else_wrote_is_no_anchor(home: Home, tmp_path: Path) -> None:
    work(home, 1)
    other = make_home(tmp_path / "other", origin="example.com/log", service="desk", policy=POLICY)
    anchored(other, tmp_path / "strange")
    work(other, 1)
    shutil.copy(tmp_path / "strange", tmp_path / "elsewhere" / "anchor")

    with pytest.raises(IntegrityError, match="no known key of the log signed"):
        open_home(home.folder)


# seen to fail: without the comparison of roots in `Ledger.holds`
def test_of_two_copies_of_a_store_only_one_goes_on(home: Home, tmp_path: Path) -> None:
    work(home, 2)
    copy = Home(shutil.copytree(home.folder, tmp_path / "copy"))
    work(home, 1)

    with pytest.raises(IntegrityError, match="the anchor knows"):
        open_home(copy.folder)


# seen to fail: with `check` left out of `FileAnchor.append`
def test_two_copies_that_run_at_once_are_told_apart_while_they_run(home: Home, tmp_path: Path) -> None:
    work(home, 1)
    copy = Home(shutil.copytree(home.folder, tmp_path / "copy"))

    refused = []

    def go_on(which: Home, ready: Barrier) -> None:
        try:
            with working(which) as write:
                ready.wait(20)
                end = time.monotonic() + 20
                while time.monotonic() < end and not refused:
                    write(1)
                    time.sleep(0.05)
        except NavicertError as error:
            refused.append(str(error))

    ready = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(go_on, which, ready) for which in (home, copy)]:
            done.result()

    assert "another history" in refused[0] or "knows" in refused[0]


def test_a_changed_entry_below_the_checkpoint_is_found_at_the_next_start(home: Home) -> None:
    work(home, 2)
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("UPDATE log SET bytes = CAST(replace(bytes, 'bot', 'bob') AS BLOB) WHERE seq = 4")
        store.commit()

    with pytest.raises(IntegrityError, match="another history"):
        open_home(home.folder)


# --------------------------------------------------------------------------------------------- compare and swap


def test_a_checkpoint_is_made_of_the_newest_one_or_not_at_all(home: Home) -> None:
    work(home, 1)
    with closing(sqlite3.connect(home.store)) as store:
        known = newest(store)
        assert known is not None
        made = known._replace(size=known.size + 1)
        inscribe(store, known, made, {})
        with pytest.raises(Moved):
            inscribe(store, known, made._replace(size=known.size + 2), {})
        with pytest.raises(Moved):
            inscribe(store, None, made._replace(size=known.size + 2), {})


def test_two_engines_of_one_home_make_one_line_of_checkpoints(home: Home, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, home, 200) for _ in range(2)]:
            done.result()

    text = (tmp_path / "elsewhere" / "anchor").read_text(encoding="utf-8")
    sizes = [parse_checkpoint(parse_note(note).text).size for note in notes(text)]
    assert sizes == sorted(sizes)
    log = entries(home)
    for note in notes(text):
        said = parse_checkpoint(parse_note(note).text)
        assert said.root == tree_root(map(leaf_hash, log[: said.size]))
    assert sizes[-1] == len(log)


# --------------------------------------------------------------------------------------------- the anchor


def test_an_anchor_that_cannot_be_written_holds_up_no_action(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").rmdir()

    work(home, 1)

    assert checkpoint(home).size == len(entries(home))


def test_what_was_not_written_whole_is_left_out_and_the_next_note_stands_by_itself(home: Home, tmp_path: Path) -> None:
    work(home, 1)
    path = tmp_path / "elsewhere" / "anchor"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + checkpoint(home).note[:70], encoding="utf-8")
    assert FileAnchor(path).last() == list(notes(whole))[-1]

    work(home, 1)

    assert FileAnchor(path).last() == checkpoint(home).note
    assert path.read_text(encoding="utf-8").startswith(whole)


def test_an_anchor_is_written_to_by_appending_alone(home: Home, tmp_path: Path) -> None:
    work(home, 1)
    path = tmp_path / "elsewhere" / "anchor"
    before = path.read_bytes()
    work(home, 1)

    assert path.read_bytes().startswith(before)
    assert path.read_bytes() != before


def test_a_file_that_is_no_anchor_is_not_taken_for_an_empty_one(home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "anchor").write_text("something else\n", encoding="utf-8")

    with pytest.raises(IntegrityError, match="no checkpoint stands in this anchor"):
        open_home(home.folder)


# --------------------------------------------------------------------------------------------- witnesses


def test_an_action_that_policy_wants_witnessed_does_not_start_without_a_witness(tmp_path: Path) -> None:
    policy = POLICY.replace(
        "rules: []", "rules:\n  - {id: seen, match: {tool: note}, decision: ALLOW, require_witnessed: true}"
    )
    home = make_home(tmp_path / "home", origin="example.com/log", service="desk", policy=policy)

    with pytest.raises((Unavailable, ActionDenied), match="no witness is named"):
        work(home, 1)

    with Archive(home.store) as archive:
        assert archive.open_actions() == []  # it is on record that it did not start
