"""Tools that call others are judged by what they call (R1.b; attack cases A.4)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.wire import House, houses, text_of

POLICY = """\
policy: meta
version: 1
posture: declared_reads
tools:
  notes.look: {effect: read, resource: path, returns: INTERNAL}
  notes.fetch: {effect: write, amount: n}
  notes.wipe: {effect: delete}
rules:
  - id: never
    match: {tool: notes, operation: wipe}
    decision: DENY
    reason: wiping is forbidden
  - id: few
    match: {tool: notes, operation: fetch}
    decision: MODIFY
    modifications: [{parameter: n, cap: 10}]
"""


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    """`read_note` calls the tool that its `path` names with what its `n` holds."""
    with houses(tmp_path) as make:
        found = make(policy=POLICY, in_band_s=0)
        command = [sys.executable, "-m", "navicert", "--home", str(found.home.folder)]
        done = subprocess.run(
            [*command, "tools", "notes", "--dispatches", "read_note", "path", "n"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.forget()
        yield found


def test_what_is_called_through_another_tool_has_its_own_name_and_arguments(house):
    # seen to fail: with `asked` without dispatches, the call is `notes.read_note` and passes as a read
    with house.client() as client:
        client.opens()
        assert "read_note" in client.tools()
        assert "isError" not in client.calls("read_note", path="look", n={"path": "a"})
        assert "isError" not in client.calls("read_note", path="fetch", n={"n": 50})
        assert "wiping is forbidden" in text_of(client.calls("read_note", path="wipe", n={}))
    assert house.asked_for() == [
        {"name": "read_note", "arguments": {"path": "look", "n": {"path": "a"}}},
        {"name": "read_note", "arguments": {"path": "fetch", "n": {"n": 10}}},
    ]
    assert [(tool, result) for tool, result, _ in house.judged()] == [
        ("notes.look", "ALLOW"),
        ("notes.fetch", "MODIFY"),
        ("notes.wipe", "DENY"),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "look", "n": {"path": "a"}, "also": "wipe"},
        {"path": "read_note", "n": {"path": "wipe", "n": {}}},
        {"path": ["look"], "n": {}},
        {"n": {}},
        {"path": "resources-read", "n": {}},
        {"path": "look", "n": "a"},
    ],
)
def test_a_call_through_another_tool_that_can_be_read_in_two_ways_is_refused(house, arguments):
    with house.client() as client:
        client.opens()
        assert "error" in client.asks("tools/call", {"name": "read_note", "arguments": arguments})
    assert house.asked_for() == []
