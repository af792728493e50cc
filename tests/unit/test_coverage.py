"""Coverage: what was seen mediated, and each call of a transcript that was not (R1; T11)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import navicert
from navicert.assemble import Home, make_home
from navicert.audit import open_archive
from navicert.canary.agent import NAME
from navicert.cli import main
from navicert.coverage import Call, Coverage, calls_in, cover, read_transcript, spellings
from navicert.gateway.calling import Dispatch
from navicert.gateway.pins import Server
from navicert.gateway.servers import read_servers, write_server

POLICY = "policy: seen\nversion: 1\nposture: declared_tools\nrules: []\n"


@pytest.fixture
def home(tmp_path) -> Home:
    """A home in which `assistant` has read two notes, and was refused a third call."""
    made = make_home(tmp_path / ".navicert", origin="seen", service="tests", policy=POLICY)
    acts(made, ("notes.read", {"path": "monday.md"}), ("notes.read", {"path": "tuesday.md", "limit": 7}))
    return made


def acts(home: Home, *calls: tuple[str, dict[str, Any]], agent: str = "assistant") -> str:
    """Have an agent make these calls, in one session; returns its id."""
    with navicert.open(home.folder) as guard, guard.session(request="read", human="ana", agent=agent) as session:
        for name, arguments in calls:

            @guard.tool(name, effect="read", returns="INTERNAL")
            def act(path: str, limit: int = 10, note: str | None = None) -> str:
                return f"{path} {limit} {note}"

            act(**arguments)
        return session.id


def of(home: Home, *transcripts: Path, session: str | None = None) -> Coverage:
    with open_archive(home) as archive:
        return cover(archive, read_servers(home.folder).servers, transcripts, session=session)


def use(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": name, "input": arguments}


def transcript(folder: Path, *calls: Any, name: str = "t.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path


def unmediated(found: Coverage) -> list[str]:
    return [call.name for call in found.transcripts[0].unmediated]


# what the log knows


def test_agents_surfaces_and_tools_are_counted_and_canaries_are_not(home):
    # seen to fail: without the line on `CANARY`, the canary's own agent was listed
    acts(home, ("notes.read", {"path": "x"}), agent=NAME)
    acts(home, ("mail.read", {"path": "x"}), agent="another")
    found = of(home)
    assert [(item.name, item.actions) for item in found.agents] == [("assistant", 2), ("another", 1)]
    assert [(item.name, item.actions) for item in found.tools] == [("notes.read", 2), ("mail.read", 1)]
    assert [(item.name, item.actions) for item in found.surfaces] == [("sdk", 3)]
    assert (found.actions, found.canaries, found.is_complete) == (3, 1, True)


def test_servers_and_their_tools_that_nobody_called_are_named(home):
    write_server(home.folder, "notes", Server(command=("x",), tools={"read": ("d",), "write": ("d",)}))
    write_server(home.folder, "unused", Server(command=("x",), tools={"run": ("d",)}))
    found = {item.name: item for item in of(home).servers}
    assert (found["notes"].actions, found["notes"].never) == (2, ("write",))
    assert (found["unused"].actions, found["unused"].last_at, found["unused"].never) == (0, None, ("run",))


def test_one_session_alone_is_looked_at_where_it_is_named(home):
    session = acts(home, ("notes.read", {"path": "wednesday.md"}))
    assert [item.actions for item in of(home, session=session).tools] == [1]


# transcripts against the log


def test_a_call_that_was_judged_is_mediated_and_one_that_was_not_is_listed(home, tmp_path):
    # seen to fail: with `like` that gives any decision of the name, the second was matched
    path = transcript(tmp_path, use("notes_read", path="monday.md"), use("notes_read", path="secret.md"), use("Bash"))
    found = of(home, path)
    assert (found.transcripts[0].by_arguments, found.is_complete) == (1, False)
    assert found.transcripts[0].unmediated == (
        Call("line 2", "notes_read", {"path": "secret.md"}), Call("line 3", "Bash", {}),
    )  # fmt: skip


def test_one_decision_stands_for_one_call(home, tmp_path):
    # seen to fail: without `_used`
    once = use("notes.read", path="monday.md")
    assert unmediated(of(home, transcript(tmp_path, once, once))) == ["notes.read"]


def test_a_call_that_says_more_is_matched_first_so_that_none_takes_anothers_decision(home, tmp_path):
    # seen to fail: in the order of the transcript
    acts(home, ("notes.read", {"path": "tuesday.md"}))
    path = transcript(tmp_path, use("read", path="tuesday.md"), use("read", path="tuesday.md", limit=7))
    assert unmediated(of(home, path)) == []


@pytest.mark.parametrize("name", sorted(spellings("notes.read")))
def test_a_tool_is_known_in_every_spelling(home, tmp_path, name):
    assert of(home, transcript(tmp_path, use(name, path="monday.md"))).is_complete


def test_what_a_caller_leaves_out_may_have_a_default_and_null_counts_as_left_out(home, tmp_path):
    # seen to fail: with null as a value like any other
    said = [use("read", path="monday.md", note=None, other=None), use("read", path="tuesday.md")]
    assert of(home, transcript(tmp_path, *said)).is_complete


@pytest.mark.parametrize(
    "arguments",
    [{"path": "monday.md", "limit": 7}, {"path": "monday.md", "limit": True}, {"path": "monday.md", "x": 1}, {"n": 1}],
)
def test_another_argument_is_another_call(home, tmp_path, arguments):
    # seen to fail: with `wanted <= told` left out, what two decisions said was matched together
    assert unmediated(of(home, transcript(tmp_path, use("read", **arguments)))) == ["read"]


def test_a_number_is_the_same_however_it_is_written(home, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"type": "tool_use", "name": "read", "input": {"path": "tuesday.md", "limit": 7.0}}\n')
    assert of(home, path).is_complete


def test_where_arguments_cannot_be_read_the_name_decides_and_it_is_said(home, tmp_path):
    broken = {"function": {"name": "notes_read", "arguments": '{"path": "mon'}}
    path = transcript(tmp_path, broken, use("notes_read", path="monday.md"), broken, broken)
    held = of(home, path).transcripts[0]
    assert (held.by_arguments, held.by_name, len(held.unmediated)) == (1, 1, 2)
    shutil.rmtree(home.subjects)  # as after an erasure: what it was about does not open
    held = of(home, transcript(tmp_path, use("notes_read", path="anything"))).transcripts[0]
    assert (held.by_arguments, held.by_name, len(held.unmediated)) == (0, 1, 0)


def test_a_tool_that_calls_others_is_matched_by_the_one_that_it_called(home, tmp_path):
    dispatch = {"run": Dispatch(name="tool", arguments="with")}
    write_server(home.folder, "notes", Server(command=("x",), tools={"run": ("d",)}, dispatch=dispatch))
    said = [{"tool": "read", "with": {"path": "monday.md"}}, {"tool": "read", "with": {"path": "other.md"}}]
    found = of(home, transcript(tmp_path, *(use("mcp__notes__run", **item) for item in said)))
    assert [call.place for call in found.transcripts[0].unmediated] == ["line 2"]


def test_the_verb_says_it_and_ends_with_1(home, tmp_path):
    good = transcript(tmp_path, use("read", path="monday.md"), name="good.jsonl")
    bad = transcript(tmp_path, use("rm\u202e", path="\x1b[2J"), name="bad.jsonl")
    bad.write_bytes(bad.read_bytes() + b"garbage \xff\n")

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["--home", str(home.folder), "coverage", *words])
        return done.exit_code, done.output

    assert run() == (0, run()[1])
    assert run("--transcript", str(good))[0] == 0
    code, shown = run("--transcript", str(bad))
    assert code == 1
    assert "NOT MEDIATED" in shown
    assert "1 lines could not be read" in shown
    assert not {"\u202e", "\x1b"} & set(shown)
    code, text = run("--transcript", str(good), "--transcript", str(bad), "--json")
    document = json.loads(text)
    assert (code, document["format"], document["complete"]) == (1, "navicert/coverage/1", False)
    assert [len(item["unmediated"]) for item in document["transcripts"]] == [0, 1]
    assert document["transcripts"][1]["unread"][0]["place"] == "line 2"


# the reader


SHAPES = [
    {"type": "tool_use", "name": "a", "input": {"x": 1}},
    {"type": "server_tool_use", "id": "srv_1", "name": "a", "input": {"x": 1}},
    {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}},
    {"type": "function_call", "call_id": "c", "name": "a", "arguments": '{"x": 1}'},
    {"function_call": {"name": "a", "arguments": '{"x": 1}'}},
    {"functionCall": {"name": "a", "args": {"x": 1}}},
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {"x": 1}}},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("around", [lambda x: x, lambda x: [{"m": [x]}], lambda x: {"message": {"content": [1, x]}}])
def test_each_common_shape_is_found_in_any_depth(shape, around):
    calls, unread = calls_in(json.dumps(around(shape), indent=1).encode())
    assert ([(call.name, call.arguments) for call in calls], unread) == ([("a", {"x": 1})], [])


def test_a_tools_definition_and_its_result_are_no_calls():
    definition = {"type": "function", "function": {"name": "a", "parameters": {}}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "done"}
    assert calls_in(json.dumps([definition, result]).encode()) == ([], [])


def test_a_server_that_is_named_beside_the_tool_is_part_of_its_name():
    (call,), _ = calls_in(b'{"type": "mcp_tool_use", "server_name": "notes", "name": "read", "input": {}}')
    assert call.name == "notes.read"


def test_the_same_call_told_twice_counts_once_and_two_alike_count_twice():
    told = {**SHAPES[0], "id": "toolu_0123"}
    again, other = told | {"id": "toolu_4567"}, told | {"input": {"x": 2}}
    short = {**SHAPES[6], "id": "1"}
    calls, _ = calls_in(b"\n".join(json.dumps(item).encode() for item in (told, told, again, other, short, short)))
    assert len(calls) == 5


@pytest.mark.parametrize(
    "line",
    [
        b"garbage", b'{"a": 1, "a": 2}', b'{"a": NaN}', b'"\xff"', b'{"a": "\\ud800"}', b'{"type": "tool_use"',
        b"[" * 99, b"[" * 99_999, b'{"a": 1e999}',
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_reported_and_the_others_are_read(line):
    # seen to fail: with `continue` in place of `unread.append`
    good = json.dumps(SHAPES[0]).encode()
    calls, unread = calls_in(b"\n".join([good, line, good]))
    assert (len(calls), [item.place for item in unread]) == (2, ["line 2"])


def test_a_file_that_is_too_large_or_not_there_is_reported(tmp_path, monkeypatch):
    path = transcript(tmp_path, SHAPES[0])
    monkeypatch.setattr("navicert.coverage.MOST_BYTES", 10)
    assert [len(part) for part in read_transcript(path)] == [0, 1]
    assert [len(part) for part in read_transcript(tmp_path / "none")] == [0, 1]


def test_names_and_arguments_of_any_kind_are_read():
    odd = [{"type": "tool_use"}, {"type": "tool_use", "name": 7, "input": [1]}, {"functionCall": {"args": "[]"}}]
    calls, unread = calls_in(json.dumps(odd).encode())
    assert [(call.name, call.arguments) for call in calls] == [
        ("(without a name)", {}), ("(without a name)", None), ("(without a name)", None),
    ]  # fmt: skip
    assert unread == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(VALUES, st.sampled_from(SHAPES) | st.none(), VALUES), max_size=5))
def test_as_many_calls_are_found_as_were_put_in(rows):
    lines = [{"before": before, "here": [shape] if shape else [], "after": after} for before, shape, after in rows]
    calls, unread = calls_in(b"\n".join(json.dumps(line).encode() for line in lines))
    assert (len(calls), unread) == (sum(shape is not None for _, shape, _ in rows), [])


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line and line.strip()), min_size=2, max_size=5))
def test_no_bytes_break_the_reader_and_each_line_is_read_or_reported(lines):
    calls, unread = calls_in(b"\n".join(lines))
    assert calls == []
    readable = sum(_is_json(line) for line in lines)
    assert len(unread) in {len(lines) - readable, 0 if _is_json(b"\n".join(lines)) else len(lines) - readable}


def _is_json(line: bytes) -> bool:
    from navicert.core.canonical import parse_json
    from navicert.model.errors import InvalidAction

    try:
        parse_json(line, "it")
    except InvalidAction:
        return False
    return True
