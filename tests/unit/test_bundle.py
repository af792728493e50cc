"""The evidence bundle as `export` writes it: of everything, whole or not there, and never more than was asked (R5)."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from base64 import urlsafe_b64decode
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import navicert
from erasable import SECRET, Erasable
from navicert import evidence
from navicert.adapters.sign.file_key import new_key
from navicert.adapters.store.archive import Archive
from navicert.assemble import Home, make_home, read_trust
from navicert.audit import open_archive
from navicert.evidence import Exported, export
from navicert.keys import trust_witness
from navicert.model.errors import IntegrityError, Unavailable, VerificationError
from navicert.pruning import prune
from navicert.tlog.checkpoint import cosign, cosigned
from navicert.tlog.note import COSIGNATURE, parse_note, vkey
from navicert.verification.bundle import VerifiedBundle, verify_bundle
from navicert.verification.bundle_lines import Scope
from navicert.verification.disclosed import read_disclosure
from navicert.verification.keyring import fingerprint

AT = 1_900_000_000_000_000
WITNESS = "witness.example/w"
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
    work(made, "alpha", "beta")
    work(made, "gamma")
    return made


def work(home: Home, *texts: str) -> None:
    """One session, with an action for each text; its engine signs a checkpoint at its end."""
    with navicert.open(home.folder) as guard:

        @guard.tool("note.write", effect="write", returns="INTERNAL")
        def write(text: str) -> str:
            return f"done: {text}"

        with guard.session(human="ana", agent="bot", request="notes"):
            for text in texts:
                write(text)


def plains(home: Home) -> list[dict[str, Any]]:
    with Archive(home.store) as archive:
        return [json.loads(row.data) for row in archive.log() if row.data]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def check(home: Home, path: Path) -> VerifiedBundle:
    with path.open("rb") as file:
        return verify_bundle(file, root=fingerprint(read_trust(home.trust)))


def made(home: Home, path: Path, *args: Any) -> tuple[Exported, VerifiedBundle]:
    done = export(home.folder, path, *args, made_at=AT)
    return done, check(home, path)


def test_a_whole_log_is_exported_and_verified(home, tmp_path):
    done, found = made(home, tmp_path / "b")
    log = plains(home)
    assert done.entries == done.size == found.size == found.log.entries == len(log)
    assert found.authentic
    assert (found.undisclosed, found.tail, found.pruned, found.erased) == (0, None, 0, ())
    assert found.files == ("check.sh", "verify.sh")
    assert done.bytes == (tmp_path / "b").stat().st_size
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600, "what is in the clear is for its owner"
    texts = [json.loads(line["entry"]) for line in lines(tmp_path / "b") if "entry" in line]
    assert texts == log
    assert [entry for entry in lines(tmp_path / "b") if "proof" in entry] == []


def test_one_action_is_exported_with_proofs_and_the_records_of_the_log(home, tmp_path):
    action = next(plain["action"]["id"] for plain in plains(home) if "action" in plain)
    _, found = made(home, tmp_path / "b", Scope(action=action))
    assert found.log.kinds == {"policy": 1, "decision": 1, "outcome": 1}
    entries = [line for line in lines(tmp_path / "b") if "entry" in line]
    assert all("proof" in line for line in entries)
    assert "beta" not in (tmp_path / "b").read_text()


def test_one_session_is_exported_and_no_other(home, tmp_path):
    sessions = list(dict.fromkeys(plain["session"]["id"] for plain in plains(home) if "session" in plain))
    assert len(sessions) == 2
    _, found = made(home, tmp_path / "b", Scope(session=sessions[0]))
    assert (found.log.sessions, found.log.kinds["decision"], found.log.kinds["outcome"]) == (1, 2, 2)


@pytest.mark.parametrize("scope", [Scope(action="act_none"), Scope(session="ses_none")])
def test_what_is_not_in_the_log_is_not_exported(scope, home, tmp_path):
    with pytest.raises(IntegrityError, match="none` in this log"):
        export(home.folder, tmp_path / "b", scope, made_at=AT)
    assert list(tmp_path.glob("b*")) == []


def test_without_a_checkpoint_there_is_nothing_that_a_stranger_could_begin_with(tmp_path):
    empty = make_home(tmp_path / "home", origin="example.com/log", service="desk", policy=POLICY)
    with pytest.raises((IntegrityError, OSError)):
        export(empty.folder, tmp_path / "b", made_at=AT)
    assert not (tmp_path / "b").exists()


def disclosed(path: Path) -> set[str]:
    """The pointers of everything that a bundle discloses."""
    return {read_disclosure(text)[1] for line in lines(path) for text in line.get("disclosures", ())}


# seen to fail: with `_revealed` giving all
def test_what_is_revealed_is_what_was_asked_for_and_no_more(home, tmp_path):
    everything, _ = made(home, tmp_path / "all")
    assert "alpha" in bytes_of(tmp_path / "all")
    nothing, hidden = made(home, tmp_path / "none", Scope(log=True), "none")
    assert (nothing.disclosed, hidden.disclosed, disclosed(tmp_path / "none")) == (0, 0, set())
    assert hidden.undisclosed == everything.disclosed
    one, some = made(home, tmp_path / "one", Scope(log=True), ("/action/parameters",))
    assert disclosed(tmp_path / "one") == {"/action/parameters"}
    assert one.disclosed == some.disclosed == 3
    assert disclosed(tmp_path / "all") > disclosed(tmp_path / "one")
    made(home, tmp_path / "under", Scope(log=True), ("/action",))
    assert disclosed(tmp_path / "under") == {"/action/parameters"}
    made(home, tmp_path / "beside", Scope(log=True), ("/act", "/action/para"))
    assert disclosed(tmp_path / "beside") == set(), "a pointer is a place, not the beginning of a text"


def bytes_of(path: Path) -> str:
    """All text in a bundle, disclosures decoded."""
    found = [text for line in lines(path) for text in line.get("disclosures", ())]
    return path.read_text() + "".join(urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() for text in found)


# seen to fail: with `_missing` never looked at (the twin below)
def test_what_was_erased_is_not_in_it_and_the_log_says_why(tmp_path):
    it = Erasable(tmp_path)
    it.erase()
    _, found = made(it.home, tmp_path / "b")
    assert len(found.erased) == 1
    assert found.undisclosed > 0
    text = bytes_of(tmp_path / "b")
    assert f"{SECRET}, ana" not in text
    assert "of-ana.txt" not in text
    assert "of-zoe.txt" in text


def test_what_is_gone_without_an_erasure_on_record_is_no_erasure(tmp_path):
    it = Erasable(tmp_path)
    it.key_file().unlink()
    export(it.home.folder, tmp_path / "b", made_at=AT)
    with pytest.raises(VerificationError) as caught:
        check(it.home, tmp_path / "b")
    assert caught.value.code == "disclosure_missing"


def test_pruned_entries_are_there_as_their_hashes_and_the_tree_holds(home, tmp_path):
    work(home, *(f"old {number}" for number in range(120)))
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("UPDATE row SET updated_at = 0")
        store.commit()
    work(home, *(f"fresh {number}" for number in range(20)))
    done = prune(home.folder, tmp_path / "old", before=100_000)
    work(home, "after")
    assert done.entries > 200
    wrote, found = made(home, tmp_path / "b")
    assert found.pruned == done.entries
    assert wrote.entries == found.log.entries
    assert sum("leaf" in line for line in lines(tmp_path / "b")) == done.entries
    assert check(home, tmp_path / "old").pruned == 0


def forget_checkpoints(home: Home, above: int) -> None:
    """Have the store know no newer checkpoint, as while one is being made."""
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("DELETE FROM checkpoint WHERE size > ?", (above,))
        store.commit()


def test_what_has_no_checkpoint_yet_gets_one_first(home, tmp_path):
    # seen to fail: without `cover`
    older = newest(home)
    work(home, "late")
    put(home, older)
    forget_checkpoints(home, older.size)
    done, found = made(home, tmp_path / "b")
    assert done.size == found.size == len(plains(home)) > older.size


def newest(home: Home) -> Any:
    with open_archive(home) as archive:
        return archive.checkpoint()


def put(home: Home, row: Any) -> None:
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", tuple(row))
        store.commit()


def test_entries_behind_the_checkpoint_are_there_without_proof(home, tmp_path, monkeypatch):
    """A home that may only be read goes as far as its newest checkpoint."""

    # seen to fail: with a proof for every entry
    def refuses(*_: object) -> None:
        raise Unavailable("the store may only be read")

    monkeypatch.setattr(evidence, "cover", refuses)
    older = newest(home)
    work(home, "late")
    put(home, older)
    forget_checkpoints(home, older.size)
    action = next(plain["action"]["id"] for plain in reversed(plains(home)) if "action" in plain)
    for path, scope in ((tmp_path / "log", Scope(log=True)), (tmp_path / "action", Scope(action=action))):
        _, found = made(home, path, scope)
        assert found.size == older.size < found.log.entries
    seen = [("proof" in line, json.loads(line["entry"])["log"]["seq"]) for line in lines(tmp_path / "action")
            if "entry" in line]  # fmt: skip
    assert {has for has, _ in seen} == {True, False}
    assert all(has == (seq <= older.size) for has, seq in seen)


# seen to fail: with the consistency proof made for another size
def test_an_older_checkpoint_with_the_quorum_comes_with_the_proof_that_the_newest_continues_it(home, tmp_path):
    key = new_key("Ed25519")
    trust_witness(home.folder, vkey(WITNESS, COSIGNATURE, key.public), "auditors")
    older = newest(home)
    line = cosign(parse_note(older.note).text, WITNESS, key, 1_800_000_000)
    put(home, older._replace(note=cosigned(older.note, [line]), cosigned=True))
    _, found = made(home, tmp_path / "now")
    assert (found.cosigned, found.tail) == (older.size, found.log.entries - older.size)
    assert not any("cosigned" in line for line in lines(tmp_path / "now")), "the newest has the quorum itself"

    work(home, "late", "later")
    for path, scope in ((tmp_path / "log", Scope(log=True)), (tmp_path / "some", Scope(action=some_action(home)))):
        done, found = made(home, path, scope)
        assert any("cosigned" in line for line in lines(path))
        assert (found.cosigned, found.size) == (older.size, done.size)
        assert found.tail == len(plains(home)) - older.size > 0
        assert [item.operator for item in found.cosigned_by] == ["auditors"]


def some_action(home: Home) -> str:
    return next(plain["action"]["id"] for plain in plains(home) if "action" in plain)


def test_nothing_is_ever_overwritten(home, tmp_path):
    # seen to fail: with `os.replace` in the place of `os.link`, and without the look before
    (tmp_path / "b").write_text("mine")
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        export(home.folder, tmp_path / "b", made_at=AT)

    def appears(_done: int, _of: int) -> None:
        (tmp_path / "c").write_text("mine too")

    with pytest.raises(FileExistsError):
        export(home.folder, tmp_path / "c", made_at=AT, progress=appears)
    assert ((tmp_path / "b").read_text(), (tmp_path / "c").read_text()) == ("mine", "mine too")
    assert sorted(path.name for path in tmp_path.glob("*.new")) == []


def test_an_export_that_fails_leaves_nothing(home, tmp_path):
    def fails(_done: int, _of: int) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        export(home.folder, tmp_path / "b", made_at=AT, progress=fails)
    assert list(tmp_path.glob("b*")) == []


KILLED = f"""
import os, signal, sys
from pathlib import Path
from navicert.evidence import export
at = int(sys.argv[3])
export(Path(sys.argv[1]), Path(sys.argv[2]), made_at={AT},
       progress=lambda done, of: os.kill(os.getpid(), signal.SIGKILL) if done == at else None)
"""


# seen to fail: with the file opened under its own name
@pytest.mark.parametrize("at", [1, 4])
def test_an_export_that_was_killed_leaves_nothing_under_the_name_and_is_done_again(at, home, tmp_path):
    command = [sys.executable, "-c", KILLED, str(home.folder), str(tmp_path / "b"), str(at)]
    assert subprocess.run(command, env=dict(os.environ), check=False, timeout=60).returncode == -signal.SIGKILL
    assert not (tmp_path / "b").exists()
    assert made(home, tmp_path / "b")[1].authentic


def test_one_state_is_exported_while_an_engine_writes(home, tmp_path, monkeypatch):
    # seen to fail: without `archive.snapshot()`
    policies = evidence._policies

    def later(*args: Any) -> None:
        work(home, "meanwhile")
        policies(*args)

    monkeypatch.setattr(evidence, "_policies", later)  # between the first line, which counts, and the entries
    done, found = made(home, tmp_path / "b")
    assert found.log.entries == found.size == done.entries < len(plains(home))


def test_a_reader_sees_each_entry_with_what_it_discloses(home, tmp_path):
    export(home.folder, tmp_path / "b", made_at=AT)
    seen: list[dict[str, bytes]] = []
    steps: list[int] = []
    with (tmp_path / "b").open("rb") as file:
        verify_bundle(file, seen=lambda _, values: seen.append(dict(values)), progress=lambda n, *_: steps.append(n))
    assert steps == list(range(1, 11))
    assert sum(values.get("/action/parameters") == b'{"text":"alpha"}' for values in seen) == 1
