"""A log whose checkpoints somebody else cosigns: what starts, what does not, and what goes on no more (R5)."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from secrets import token_hex
from threading import Thread

import pytest

from navicert.adapters.store.archive import Archive
from navicert.assemble import Home, make_home, open_home, read_trust
from navicert.config import read_config
from navicert.keys import trust_witness
from navicert.model.errors import ActionDenied, IntegrityError, Unavailable
from navicert.restoring import restore_log
from navicert.sdk.guard import Guard
from navicert.tlog.checkpoint import cosignatures
from navicert.tlog.note import NoteSignature, log_verifier, signature_line
from navicert.witness.state import evidence, make_witness, read_settings, watch

ORIGIN = "example.com/log"
NAME = "witness.example/w1"
POLICY = """\
policy: notes
version: 1
posture: declared_tools
tools:
  note.write: {effect: write, returns: INTERNAL}
  note.seal: {effect: write, returns: INTERNAL}
rules:
  - {id: sealed, match: {tool: note, operation: seal}, decision: ALLOW, require_witnessed: true}
"""
DEADLINE = 30.0


class Process:
    """`navicert witness run`, as a process of its own, at one address for as long as the test lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.listen = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        command = "from navicert.cli import main; main()"
        arguments = ["witness", "run", str(self.folder), "--listen", self.listen, "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = str(json.loads(self.process.stdout.readline())["url"])
        self.listen = self.url.removeprefix("http://")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(20) == 0
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = make_home(tmp_path / "home", origin=ORIGIN, service="desk", policy=POLICY)
    assert read_config(made.folder).anchor is None
    return made


@pytest.fixture
def witness(home: Home, tmp_path: Path) -> Iterator[Process]:
    """A witness that runs, that the home's log asks, and whose word is its quorum."""
    folder = tmp_path / "witness"
    make_witness(folder, NAME)
    watch(folder, ORIGIN, log_key(home))
    running = Process(folder)
    trust_witness(home.folder, read_settings(folder).vkey, "ana", 1)
    home.config.write_text(f"{home.config.read_text()}witnesses: [{running.url}]\n", encoding="utf-8")
    yield running
    running.stop()


def log_key(home: Home) -> str:
    (key,) = read_trust(home.trust).log
    return log_verifier(ORIGIN, key).vkey


class Notes:
    """A guard with two tools, of which `seal` wants witnesses; `ran`: what they were called with."""

    def __init__(self, guard: Guard) -> None:
        self.ran: list[str] = []

        @guard.tool("note.write", effect="write", returns="INTERNAL")
        def write(text: str) -> None:
            self.ran.append(text)

        @guard.tool("note.seal", effect="write", returns="INTERNAL")
        def seal(text: str) -> None:
            self.ran.append(text)

        self.write, self.seal = write, seal


@contextmanager
def working(home: Home) -> Iterator[Notes]:
    with Guard(open_home(home.folder)) as guard:
        notes = Notes(guard)
        with guard.session(human="ana", agent="bot", request="notes"):
            yield notes


def entries(home: Home) -> int:
    with Archive(home.store) as archive:
        return archive.head()[0]


def confirmed(home: Home) -> int:
    """How many entries the witness has cosigned, as the store has it."""
    with Archive(home.store) as archive:
        found = archive.checkpoint(cosigned=True)
    return found.size if found is not None else 0


def open_operations(home: Home) -> list[str]:
    with Archive(home.store) as archive:
        return [receipt.action.operation for receipt in archive.open_actions() if receipt.action]


def await_confirmed(home: Home, size: int) -> None:
    end = time.monotonic() + DEADLINE
    while confirmed(home) < size:
        assert time.monotonic() < end, f"{confirmed(home)} of {size} entries were cosigned"
        time.sleep(0.02)


def cut(home: Home, left: int) -> None:
    """Take the newest entries, and everything within the store that knows of them."""
    with closing(sqlite3.connect(home.store)) as store:
        store.execute("DELETE FROM log WHERE seq > ?", (left,))
        store.execute("DELETE FROM checkpoint WHERE size > ?", (left,))
        store.execute("DELETE FROM tile WHERE (idx + 1) * 256 > ? OR level > 0", (left,))
        store.commit()


def write_until_refused(home: Home) -> str:
    """Go on with a store; returns the words with which it was refused."""
    end = time.monotonic() + DEADLINE
    try:
        with working(home) as notes:
            while time.monotonic() < end:
                notes.write(token_hex(8))
                time.sleep(0.05)
    except (IntegrityError, Unavailable, ActionDenied) as error:
        return str(error)
    raise AssertionError("the log went on")


def test_checkpoints_are_cosigned_within_seconds_while_the_engine_runs(home: Home, witness: Process) -> None:
    with working(home) as notes:
        notes.write("1")
        first = entries(home)
        await_confirmed(home, first)
        notes.write("2")
        await_confirmed(home, entries(home))
        with Archive(home.store) as archive:
            found = archive.checkpoint(cosigned=True)

    assert found is not None
    assert found.size > first
    (by,) = cosignatures(found.note, read_trust(home.trust).witnesses)
    assert (by.operator, by.name) == ("ana", NAME)
    assert confirmed(home) == entries(home)  # closing gives the witness one more chance


# seen to fail: without `_witnessed` in the engine
def test_an_action_that_policy_wants_witnessed_starts_while_the_witness_answers_and_else_not(
    home: Home, witness: Process
) -> None:
    with working(home) as notes:
        notes.seal("1")
        assert notes.ran == ["1"]
        witness.stop()
        with pytest.raises((Unavailable, ActionDenied)):
            notes.seal("2")
        notes.write("3")  # the twin: what needs no witness is held up by none
        assert notes.ran == ["1", "3"]
        assert "seal" not in open_operations(home)  # it is on record that it did not start
        witness.start()
        notes.seal("4")
        assert notes.ran == ["1", "3", "4"]
    assert open_operations(home) == []


class Forger(BaseHTTPRequestHandler):
    """Answers for another witness, with a signature that is none."""

    line = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.line)))
        self.end_headers()
        self.wfile.write(self.line)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


# seen to fail: with all lines put into one note before they are verified: the log was refused
def test_a_witness_that_answers_with_forged_lines_spoils_nobody_else_s_cosignature(
    home: Home, witness: Process
) -> None:
    name, key_id, _ = read_settings(witness.folder).vkey.split("+", 2)
    forged = signature_line(NoteSignature(name=name, key_id=bytes.fromhex(key_id), signature=bytes(72)))
    Forger.line = forged.rstrip("\n").encode() + b"\n"
    server = HTTPServer(("127.0.0.1", 0), Forger)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        config = home.config.read_text(encoding="utf-8").replace("witnesses: [", f"witnesses: [{url}, ")
        home.config.write_text(config, encoding="utf-8")
        with working(home) as notes:
            for text in "abcde":
                notes.seal(text)
            assert notes.ran == list("abcde")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# seen to fail: with 422 as `Unavailable`, or without `other.size > head.size` in `Notary._add`
@pytest.mark.parametrize(("lost", "more"), [(200, 0), (1, 40)])
def test_a_store_that_was_cut_with_all_that_knew_of_it_goes_on_no_more(
    home: Home, witness: Process, lost: int, more: int
) -> None:
    with working(home) as notes:
        notes.write("1")
    short = entries(home)
    with working(home) as notes:
        for n in range(lost):
            notes.write(f"lost {n}")
    known = entries(home)
    await_confirmed(home, known)
    cut(home, short)
    if more:  # another history, of more entries than the witness has seen, made while nobody is asked
        config = home.config.read_text(encoding="utf-8")
        home.config.write_text(config.partition("witnesses:")[0], encoding="utf-8")
        with working(home) as notes:
            for n in range(more):
                notes.write(f"instead {n}")
        home.config.write_text(config, encoding="utf-8")

    refused = write_until_refused(home)

    if more:
        assert "not the log that it knows" in refused
        assert evidence(witness.folder)  # and the witness can show what was signed
    else:
        assert f"has cosigned {known} entries of this log" in refused


def test_without_a_witness_the_same_store_goes_on(home: Home) -> None:
    """The twin: what the witness is for."""
    with working(home) as notes:
        notes.write("1")
    short = entries(home)
    with working(home) as notes:
        notes.write("2")
    cut(home, short)

    with working(home) as notes:
        notes.write("3")
        assert notes.ran == ["3"]


# seen to fail: without the comparison of epochs in `Notary._ask_round`
def test_after_a_restore_on_record_the_witness_takes_the_log_up_as_a_new_one(
    home: Home, witness: Process, tmp_path: Path
) -> None:
    witness.stop()
    with working(home) as notes:
        notes.write("1")
    backup = shutil.copytree(home.folder, tmp_path / "backup")
    witness.start()
    with working(home) as notes:
        notes.write("2")
    known = entries(home)
    await_confirmed(home, known)
    with Archive(home.store) as archive:
        found = archive.checkpoint(cosigned=True)
    assert found is not None
    shutil.rmtree(home.folder)
    backup.rename(home.folder)

    done = restore_log(home.folder, by="ben", reason="the disk died", note=found.note)
    with working(home) as notes:
        notes.write("3")  # the witness does not know the new epoch, and accuses nobody
    assert notes.ran == ["3"]
    witness.stop()
    watch(witness.folder, done.origin, log_key(home))
    witness.start()
    with working(home) as notes:
        notes.seal("4")

    assert (done.origin, notes.ran) == (f"{ORIGIN}/epoch-2", ["4"])
    assert confirmed(home) == entries(home)
