"""`navicert witness`: documents as they are documented, errors by their codes, and a key under a passphrase."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from navicert.cli import main
from terminal import Person
from witnessing import NAME, Log, made, serving, submit

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
SECRET = "correct horse"


def documented(form):
    section = PAGE.split("\n## witness\n", 1)[1].split("\n## ", 1)[0]
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]
    return next(document for document in shown if document["format"] == form)


def call(*words, code=0):
    result = CliRunner().invoke(main, ["witness", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def read(*words):
    document = json.loads(call(*words, "--json").stdout)
    assert document.keys() == documented(document["format"]).keys()
    return document


@pytest.fixture
def log():
    return Log()


def test_a_witness_is_made_given_a_log_and_shown(tmp_path, log):
    folder = tmp_path / "w1"
    vkey = read("new", folder, "--name", NAME)["vkey"]
    watched = read("watch", folder, "--origin", log.origin, "--key", log.vkey)
    shown = read("show", folder)
    assert (shown["vkey"], shown["encrypted"], shown["evidence"]) == (vkey, False, [])
    (one,) = shown["logs"]
    assert (one["origin"], one["hash"], one["keys"]) == (log.origin, watched["hash"], [log.vkey])
    assert (one["size"], one["root"], one["at"]) == (0, None, None)
    assert "nothing was cosigned yet" in call("show", folder).stdout


def test_what_was_cosigned_and_what_was_refused_is_shown(tmp_path, log):
    folder = made(tmp_path / "w1", log)
    with serving(folder) as server:
        submit(server, log, 0, 5)
        submit(server, log, 5, 5, forked=2)
    shown = read("show", folder)
    assert shown["logs"][0].keys() == documented("navicert/witness/1")["logs"][0].keys()
    assert shown["logs"][0]["size"] == 5
    assert len(shown["evidence"]) == 1
    text = call("show", folder).stdout
    assert "5 entries" in text
    assert "look into evidence/" in text


def test_errors_say_by_their_code_who_must_act(tmp_path, log):
    folder = made(tmp_path / "w1", log)
    assert "no witness is ever overwritten" in call("new", folder, "--name", NAME, code=2).stderr
    call("new", tmp_path / "w2", "--name", "a b", code=3)
    assert not (tmp_path / "w2").exists()
    call("watch", folder, "--origin", log.origin, "--key", "x", code=3)
    call("show", tmp_path, code=3)
    call("run", folder, "--listen", "nowhere", code=3)
    next((folder / "logs").iterdir()).unlink()
    assert "forgotten" in call("run", folder, code=5).stderr
    assert "forgotten" in call("show", folder, code=5).stderr


def test_it_runs_until_it_is_told_to_end(tmp_path, log):
    folder = made(tmp_path / "w1", log)
    process = subprocess.Popen(
        [sys.executable, "-m", "navicert", "witness", "run", str(folder), "--listen", "127.0.0.1:0", "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        document = json.loads(process.stdout.readline())
        assert document.keys() == documented("navicert/witness-run/1").keys()
        assert document["logs"] == [log.origin]
        assert "runs in another process" in call("run", folder, "--listen", "127.0.0.1:0", code=6).stderr
        assert "runs in another process" in call("watch", folder, "--origin", "o", "--key", log.vkey, code=6).stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_key_under_a_passphrase_is_asked_for_at_the_terminal_and_nowhere_else(tmp_path, log):
    folder = tmp_path / "w1"
    with Person("witness", "new", str(folder), "--name", NAME, "--encrypt") as person:
        person.expect("new passphrase")
        person.types(SECRET)
        person.expect("once more")
        person.types(SECRET)
        assert person.ends() == 0, person.seen
    assert read("show", folder)["encrypted"]
    with Person("witness", "run", str(folder), "--listen", "127.0.0.1:0") as person:
        person.expect(f"passphrase of {NAME}: ")
        person.types("another one")
        assert person.ends() == 2
    with Person("witness", "run", str(folder), "--listen", "127.0.0.1:0", screen=False) as person:
        assert person.ends() == 2
    assert "no terminal" in person.seen
    with Person("witness", "run", str(folder), "--listen", "127.0.0.1:0") as person:
        person.expect(f"passphrase of {NAME}: ")
        person.types(SECRET)
        person.expect("ready")
        person.types("\x03")
        assert person.ends() == 0
    assert SECRET not in person.seen
