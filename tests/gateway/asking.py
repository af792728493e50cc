"""What the tests of rounds, tasks and notices share: a home whose server asks back, and requests of 2026-07-28."""

from __future__ import annotations

import json
from typing import Any

from gateway.wire import Client, House

VERSION, CAPABILITIES = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
URL = {"elicitation": {"form": {}, "url": {}}}
SECRET = "ghp_" + "0aZ1bY2cX3dW4eV5fU6gT7hS8iR9jQ0kP1lO"
POLICY = """\
policy: asking
version: 1
posture: declared_reads
cascade: 16
tools:
  notes.ask: {effect: read, returns: INTERNAL}
  notes.book: {effect: read, returns: INTERNAL}
  notes.send: {effect: read, returns: INTERNAL}
  notes.elicitation-create: {effect: execute, returns: INTERNAL}
  notes.sampling-create: {effect: execute, returns: INTERNAL}
  notes.roots-list: {effect: execute, returns: INTERNAL}
facts:
  window_open: {file: %s/window.json, at: /open, every: 1s, attempts: 60}
rules:
  - id: asking-back
    match: {tool: notes, operation: elicitation-create}
    decision: ALLOW
  - id: rooting
    match: {tool: notes, operation: roots-list}
    decision: ALLOW
  - id: never
    match: {tool: notes, operation: sampling-create}
    decision: DENY
    reason: the model is not for servers
  - id: ordering
    match: {tool: notes, operation: order}
    decision: ALLOW
  - id: asked
    match: {tool: notes, operation: book}
    decision: STEP_UP
    approvers: [ben]
    timeout: 10m
    reason: a person decides
  - id: in-the-window
    match: {tool: notes, operation: await, context: {facts: {window_open: true}}}
    decision: ALLOW
  - id: nothing-leaves-after-secrets
    match: {tool: notes, operation: send, context: {level: {ge: CONFIDENTIAL}}}
    decision: DENY
    priority: 10
    reason: secrets were seen
"""


def params(name: str, arguments: dict[str, Any], capabilities: dict[str, Any] | None = None, **more: Any) -> Any:
    """The parameters of a call of 2026-07-28. capabilities: of the client."""
    return {"name": name, "arguments": arguments, **more, "_meta": meta(capabilities)}


def meta(capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        VERSION: "2026-07-28",
        CAPABILITIES: {"elicitation": {"form": {}}} if capabilities is None else capabilities,
    }


def calls(client: Client, name: str, arguments: dict[str, Any], *capabilities: Any, **more: Any) -> dict[str, Any]:
    """Call a tool; returns the result, or the error."""
    answer = client.asks("tools/call", params(name, arguments, *capabilities, **more))
    return answer.get("result") or answer["error"]


def answered(found: dict[str, Any], value: Any = None) -> dict[str, Any]:
    """What the retried request has besides: an answer to everything that was asked for."""
    assert found["resultType"] == "input_required", found
    value = {"action": "accept", "content": {"name": "ana"}} if value is None else value
    return {"requestState": found["requestState"], "inputResponses": dict.fromkeys(found["inputRequests"], value)}


def outcomes(home: House) -> list[tuple[str, bool | None, str | None]]:
    """What was recorded of each action that ended: its operation, success, error; oldest first."""
    found = [item for item in home.receipts() if item.kind == "outcome"]
    return [(item.action.operation, item.execution.success, item.execution.error) for item in found]


def sent(home: House) -> list[dict[str, Any]]:
    """What the server was asked to call, without `_meta`."""
    return [{key: item for key, item in call.items() if key != "_meta"} for call in home.asked_for()]


def never_seen(client: Client, *words: str) -> None:
    """Nothing of this ever reached the client."""
    for word in words:
        assert not [line for line in client.seen if word.encode() in line], word


def quiet(home: House) -> None:
    """Python complained of nothing that was left behind."""
    said = (home.folder / "errors").read_text(errors="replace")
    for word in ("never retrieved", "was destroyed", "never awaited", "Traceback", "the gateway failed"):
        assert word not in said, json.dumps(said)
