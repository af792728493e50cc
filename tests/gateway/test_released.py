"""Results on the wire that policy redacts or withholds: content, structured content, `_meta`, errors with data (R2).

The server says whatever `reply.json` in its folder holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.wire import House, houses, text_of

POLICY = """\
policy: wire
version: 1
posture: declared_tools
withhold: CREDENTIAL
redact: PII
tools:
  notes.read_note: {effect: read, resource: path, returns: INTERNAL}
"""
SERVER = """\
import json, sys
from pathlib import Path

FOLDER = Path(sys.argv[1])
TOOL = {"name": "read_note", "inputSchema": {"type": "object"}}
OPENING = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "tools/call":
        answer = (FOLDER / "reply.json").read_text()
    elif message["method"] == "initialize":
        answer = '"result": ' + json.dumps(OPENING)
    elif message["method"] == "tools/list":
        answer = '"result": ' + json.dumps({"tools": [TOOL]})
    else:
        answer = '"result": {}'
    print('{"jsonrpc": "2.0", "id": %s, %s}' % (json.dumps(message["id"]), answer), flush=True)
"""
MAIL, BLANK, KEY = "jo@acme.example", "[redacted: PII]", "password = hunter2abc9"


@pytest.fixture(params=[False, True], ids=["alone", "owner"])
def house(request, tmp_path) -> Iterator[House]:
    script = Path(tmp_path / "saying.py")
    script.write_text(SERVER)
    with houses(tmp_path) as make:
        yield make(policy=POLICY, server=script, up=request.param)


def says(house: House, reply: str) -> None:
    (house.server_folder / "reply.json").write_text(reply)


def released(house: House) -> list[Any]:
    return [item.execution.released for item in house.receipts() if item.execution is not None]


def call(client: Any) -> dict[str, Any]:
    """Return the whole answer to a call, without its id."""
    found = client.answer(client.sends("tools/call", {"name": "read_note", "arguments": {"path": "a"}}))
    del found["id"], found["jsonrpc"]
    return found


def test_every_string_of_an_answer_is_redacted_and_the_rest_is_as_it_came(house):
    # seen to fail: without `rewritten`; with the answer parsed by a reader that makes floats of numbers
    value = (
        '{"content": [{"type": "text", "text": "to %s, now"}, {"type": "text", "text": "{\\"mail\\": \\"%s\\"}"}], '
        '"structuredContent": {"%s": {"n": 1.50, "big": 12345678901234567890, "no": null}}, "_meta": {"own": "%s"}}'
    )
    with house.client() as client:
        client.opens()
        says(house, '"result": ' + value % ((MAIL,) * 4))
        found = call(client)["result"]
        assert found.pop("_meta").pop("own") == BLANK
        assert found == {key: item for key, item in json.loads(value % ((BLANK,) * 4)).items() if key != "_meta"}
        says(house, '"result": {"content": [{"type": "text", "text": "fine"}]}')
        assert text_of(call(client)["result"]) == "fine"
    assert [part and (part.how, part.labels) for part in released(house)] == [("redacted", ("PII",)), None]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            '"error": {"code": -32000, "message": "no %s", "data": {"who": ["%s", 7]}}',
            {"error": {"code": -32000, "message": f"no {BLANK}", "data": {"who": [BLANK, 7]}}},
        ),
        (
            '"result": {"isError": true, "content": [{"type": "text", "text": "no %s, nor %s"}]}',
            {"isError": True, "content": [{"type": "text", "text": f"no {BLANK}, nor {BLANK}"}]},
        ),
    ],
    ids=["error", "isError"],
)
def test_an_error_is_redacted_with_its_data(house, reply, expected):
    # seen to fail: with the words of `Failed` in place of its value
    with house.client() as client:
        client.opens()
        says(house, reply % (MAIL, MAIL))
        found = call(client)
        if "result" in found:
            found = found["result"]
            del found["_meta"]
        assert found == expected
    assert house.outcomes() == [(False, "Failed")]
    assert [(part.how, part.labels) for part in released(house)] == [("redacted", ("PII",))]


@pytest.mark.parametrize(
    "reply",
    [
        '"result": {"content": [{"type": "text", "text": "KEY"}]}',
        '"result": {"content": [], "structuredContent": {"password": "hunter2abc9"}}',
        '"result": {"content": [{"type": "text", "text": "AKIAIOSF"}, {"type": "text", "text": "ODNN7EXAMPLE"}]}',
        '"result": {"content": [], "_meta": {"own": "KEY"}}',
        '"result": {"isError": true, "content": [{"type": "text", "text": "KEY"}]}',
        '"error": {"code": -32000, "message": "no", "data": {"KEY": 1}}',
        '"result": {"content": [{"type": "image", "data": "aHVudGVyMmFiYzk=", "mimeType": "image/png"}]}',
        '"result": {"content": [], "structuredContent": {"ssn": 123456789}}',
    ],
    ids=["text", "named", "in two", "_meta", "isError", "error data", "picture", "number"],
)
def test_a_withheld_answer_is_a_tool_error_without_anything_of_it(house, reply):
    with house.client() as client:
        client.opens()
        says(house, reply.replace("KEY", KEY))
        answer = call(client)
        assert answer["result"]["isError"] is True
        assert "is withheld by policy" in text_of(answer["result"])
        assert not any(piece in json.dumps(answer) for piece in ("hunter2", "AKIA", "ODNN7", "aHVudGVy", "123456789"))
    assert [part.how for part in released(house)] == ["withheld"]
