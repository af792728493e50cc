"""`navicert log`: what others can hold the log against, and what becomes of old and of lost entries (R5)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from navicert.adapters.store.archive import Archive
from navicert.assemble import Home, make_home, open_home, read_trust
from navicert.audit import audit
from navicert.cli import main
from navicert.keys import move_root, rotate_key
from navicert.model.errors import IntegrityError, VerificationError
from navicert.sdk.guard import Guard
from navicert.tlog.checkpoint import parse_checkpoint, verify_checkpoint
from navicert.tlog.note import parse_note
from navicert.tlog.proof import parse_proof
from navicert.tlog.tiles import HEIGHT, WIDTH, entries_path, nodes_of, tile_path, unbundle
from navicert.tlog.tree import leaf_hash, root_of, verify_inclusion

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
    return make_home(
        tmp_path / "home", origin="example.com/log", service="desk", policy=POLICY, anchors=tmp_path / "anchors"
    )


def work(home: Home, count: int, name: str = "") -> None:
    with Guard(open_home(home.folder)) as guard:

        @guard.tool("note.write", effect="write", returns="INTERNAL")
        def write(text: str) -> str:
            return text

        with guard.session(human="ana", agent="bot", request="notes"):
            for number in range(count):
                write(f"{name} {number}")


def run(home: Home, *words: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["--home", str(home.folder), "log", *words, "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout) if code == 0 else {"error": result.stderr}
    return found


def entries(home: Home) -> list[bytes]:
    with Archive(home.store) as archive:
        return [row.data for row in archive.log()]


# --------------------------------------------------------------------------------------------- checkpoint and proofs


def test_the_checkpoint_is_a_note_that_the_log_signed(home: Home) -> None:
    work(home, 2)

    found = run(home, "checkpoint")

    said = verify_checkpoint(found["note"], "example.com/log", read_trust(home.trust).log)
    assert said.size == found["size"] == found["entries"] == len(entries(home))
    assert (found["cosigned_size"], found["cosigned"], found["epoch"]) == (0, None, 1)
    assert found["vkeys"][0].startswith("example.com/log+")
    shown = CliRunner().invoke(main, ["--home", str(home.folder), "log", "checkpoint"])
    assert "by no quorum" in shown.output
    assert shown.output.startswith("example.com/log\n")


def test_a_proof_shows_that_a_receipt_stands_in_the_log(home: Home, tmp_path: Path) -> None:
    work(home, 5)
    log = entries(home)

    run(home, "proof", "4", "--to", str(tmp_path / "4.tlog-proof"))

    proof = parse_proof((tmp_path / "4.tlog-proof").read_text(encoding="utf-8"))
    said = verify_checkpoint(proof.checkpoint, "example.com/log", read_trust(home.trust).log)
    verify_inclusion(proof.index, said.size, leaf_hash(log[3]), proof.hashes, said.root)
    with pytest.raises(VerificationError):
        verify_inclusion(proof.index, said.size, leaf_hash(log[4]), proof.hashes, said.root)
    assert "overwritten" in run(home, "proof", "4", "--to", str(tmp_path / "4.tlog-proof"), code=2)["error"]
    assert "nothing in this log" in run(home, "proof", "act_none", code=5)["error"]


def test_tiles_hold_the_whole_log_for_anybody_and_are_added_to(home: Home, tmp_path: Path) -> None:
    work(home, 150, "one")
    run(home, "tiles", "--to", str(tmp_path / "www"))
    work(home, 150, "two")
    size = run(home, "tiles", "--to", str(tmp_path / "www"))["size"]

    def tile(level: int, index: int) -> bytes:
        width = min(WIDTH, (size >> HEIGHT * level) - index * WIDTH)
        return (tmp_path / "www" / tile_path(level, index, width)).read_bytes()

    said = parse_checkpoint(parse_note((tmp_path / "www" / "checkpoint").read_text(encoding="utf-8")).text)
    assert said.size == size > 2 * WIDTH
    assert root_of(size, nodes_of(tile)) == said.root
    found = []
    for start in range(0, size, WIDTH):
        path = tmp_path / "www" / entries_path(start // WIDTH, min(WIDTH, size - start))
        found += unbundle(path.read_bytes())
    assert found == entries(home)


# --------------------------------------------------------------------------------------------- restore


def lose(home: Home, tmp_path: Path, entries_kept: int, entries_lost: int) -> None:
    """Go back to a backup of the store."""
    work(home, entries_kept, "kept")
    shutil.copytree(home.folder, tmp_path / "backup")
    work(home, entries_lost, "lost")
    for path in home.folder.glob("store.db*"):
        path.unlink()
    for path in (tmp_path / "backup").glob("store.db*"):
        shutil.copy(path, home.folder)


# seen to fail: with `epoch_of` always 1
def test_a_restored_store_goes_on_as_a_new_epoch_and_what_is_lost_is_on_record(home: Home, tmp_path: Path) -> None:
    lose(home, tmp_path, 2, 3)
    kept = len(entries(home))
    with pytest.raises(IntegrityError, match="navicert log restore"):
        open_home(home.folder)

    done = run(home, "restore", "--reason", "the disk failed", "--by", "ana")

    assert (done["epoch"], done["origin"], done["kept"], done["seq"]) == (2, "example.com/log/epoch-2", kept, kept + 1)
    assert done["lost"] == [done["known"] - kept, done["known"] - kept]  # the anchor knows the backup's own end
    work(home, 2, "again")
    found = run(home, "checkpoint")
    assert found["note"].startswith("example.com/log/epoch-2\n")
    verified = audit(home.folder)
    assert verified.log.kinds["restore"] == 1
    assert verified.covered.size == verified.covered.anchored == verified.log.entries


# seen to fail: without `_log` in `Keyring.check`
@pytest.mark.parametrize("moved", [False, True], ids=["root here", "root away"])
def test_a_store_older_than_the_key_that_signs_goes_on_certified_by_the_logs_own(
    home: Home, tmp_path: Path, moved: bool
) -> None:
    if moved:
        move_root(home.folder, tmp_path / "root.pem")
    work(home, 2, "kept")
    shutil.copytree(home.folder, tmp_path / "backup")
    rotate_key(home.folder)
    work(home, 2, "lost")
    for path in home.folder.glob("store.db*"):
        path.unlink()
    for path in (tmp_path / "backup").glob("store.db*"):
        shutil.copy(path, home.folder)

    run(home, "restore", "--reason", "the disk failed")

    work(home, 2, "again")
    assert audit(home.folder).log.kinds["key"] == 1


def test_the_backup_of_before_the_restore_opens_no_more(home: Home, tmp_path: Path) -> None:
    lose(home, tmp_path, 2, 3)
    run(home, "restore", "--reason", "the disk failed")
    work(home, 1)
    for path in (tmp_path / "backup").glob("store.db*"):
        shutil.copy(path, home.folder)

    with pytest.raises(IntegrityError, match=r"is of the log `example.com/log/epoch-2`"):
        open_home(home.folder)


def test_where_nothing_is_lost_there_is_nothing_to_restore(home: Home) -> None:
    work(home, 2)

    assert "nothing was restored" in run(home, "restore", "--reason", "why not", code=5)["error"]
    assert len(entries(home)) == run(home, "checkpoint")["size"]


def test_a_restore_on_the_word_of_somebody_elses_checkpoint_is_refused(home: Home, tmp_path: Path) -> None:
    lose(home, tmp_path, 1, 2)
    other = make_home(tmp_path / "other", origin="example.com/log", service="desk", policy=POLICY)
    work(other, 9)
    note = tmp_path / "note"
    note.write_text(run(other, "checkpoint")["note"], encoding="utf-8")

    refused = run(home, "restore", "--reason", "the disk failed", "--checkpoint", str(note), code=5)

    assert "unknown_key" in refused["error"]


# --------------------------------------------------------------------------------------------- prune


def age(home: Home) -> None:
    """Have every context be older than its retention."""
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("UPDATE row SET updated_at = 0")
        store.commit()
    work(home, 40, "fresh")


# seen to fail: with `length(bytes) > 0` alone as what is old
def test_pruning_keeps_every_proof_valid_and_the_log_verifiable(home: Home, tmp_path: Path) -> None:
    work(home, 120, "old")
    log = entries(home)
    age(home)
    size = run(home, "checkpoint")["size"]

    done = run(home, "prune", "--before", "100000", "--to", str(tmp_path / "old.jsonl"))

    assert done["upto"] == size // WIDTH * WIDTH
    left = entries(home)
    assert sum(not data for data in left) == done["entries"] > 200
    run(home, "proof", "7", "--to", str(tmp_path / "7"))
    proof = parse_proof((tmp_path / "7").read_text(encoding="utf-8"))
    said = parse_checkpoint(parse_note(proof.checkpoint).text)
    verify_inclusion(proof.index, said.size, leaf_hash(log[6]), proof.hashes, said.root)
    verified = audit(home.folder)
    assert verified.log.kinds["prune"] == 1
    assert verified.log.kinds["decision"] == 40
    work(home, 2, "after")
    audit(home.folder)
    assert (tmp_path / "old.jsonl").stat().st_size > sum(map(len, log))


# seen to fail: without the count of `prune` records in `LogVerifier.finish`
def test_an_entry_that_somebody_emptied_is_not_a_pruned_one(home: Home, tmp_path: Path) -> None:
    work(home, 120, "old")
    age(home)
    run(home, "prune", "--before", "100000", "--to", str(tmp_path / "old.jsonl"))
    with closing(sqlite3.connect(home.store)) as store:
        store.execute(
            "UPDATE log SET bytes = x'', session = NULL, action = NULL, subject = NULL, wrapped = NULL, sealed = NULL"
            " WHERE seq = (SELECT max(seq) FROM log WHERE kind = 'outcome')"
        )
        store.commit()

    with pytest.raises(VerificationError):
        audit(home.folder)


def test_what_is_not_old_stays(home: Home, tmp_path: Path) -> None:
    work(home, 200, "new")
    before = entries(home)

    refused = run(home, "prune", "--before", "100000", "--to", str(tmp_path / "old.jsonl"), code=5)

    assert "old enough" in refused["error"]
    assert entries(home) == before
