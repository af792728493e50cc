"""`navicert call`: a policy tried by hand, through the gateway and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from faults.support import eventually
from gateway.wire import House, houses


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    with houses(tmp_path) as make:
        yield make(in_band_s=0)


def call(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "navicert", "--home", str(house.home.folder), "call", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_permitted_call_shows_its_result_and_receipt(house):
    done = call(house, "notes", "read_note", "path=a", "n:=1.50")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == '{"n": 1.5, "path": "a"}'
    assert "receipt rcp_" in done.stdout
    assert house.asked_for() == [{"name": "read_note", "arguments": {"path": "a", "n": 1.5}}]


@pytest.mark.parametrize(
    ("tool", "says"), [("drop_note", "dropping is forbidden"), ("delete_note", "navicert show wait_")]
)
def test_a_call_that_does_not_run_says_why_and_ends_with_1(house, tool, says):
    # seen to fail: with an exit code of 0 for every answer
    done = call(house, "notes", tool, "path=a", "--at-once")
    assert done.returncode == 1
    assert says in done.stdout
    assert house.asked_for() == []


def test_the_answer_comes_whole_as_json(house):
    done = call(house, "notes", "read_note", "path=a", "--json")
    assert json.loads(done.stdout)["answer"]["result"]["content"] == [{"type": "text", "text": '{"path": "a"}'}]


@pytest.mark.parametrize("argument", ["path", "=a", ":=1", "n:=one"])
def test_an_argument_that_is_none_is_refused_before_anything_starts(house, argument):
    done = call(house, "notes", "read_note", argument)
    assert done.returncode == 2
    assert f"`{argument}`" in done.stderr
    assert house.asked() == []


def test_what_a_server_says_is_shown_without_its_control_characters(house):
    done = call(house, "notes", "read_note", "path=\x1b[2Jgone")
    assert "\x1b" not in done.stdout
    assert "gone" in done.stdout


def test_a_held_call_waits_for_the_person_says_how_they_answer_and_runs_once(house):
    # seen to fail: with another session for each look, it is held anew
    command = [
        sys.executable,
        "-m",
        "navicert",
        "--home",
        str(house.home.folder),
        "call",
        "notes",
        "delete_note",
        "path=a",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        (wait,) = eventually(house.waits, 30)
        says = process.stdout.readline()
        assert f"`navicert approve {wait.handle}`" in says
        house.answers(wait)
        out = process.stdout.read()
    assert process.returncode == 0, out
    assert '{"path": "a"}' in out
    assert house.asked_for() == [{"name": "delete_note", "arguments": {"path": "a"}}]


def test_a_server_that_is_not_there_is_said_at_once(house):
    done = call(house, "nots", "read_note", "path=a")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "nots" in done.stderr


def test_a_tool_that_is_nearly_another_is_said(house):
    done = call(house, "notes", "reed_note", "path=a")
    assert "is `read_note` meant?" in done.stdout
