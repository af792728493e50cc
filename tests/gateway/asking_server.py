"""A small MCP server of our own that asks back, answers later and talks besides, in both revisions; over stdio or HTTP.

    asking_server.py FOLDER          over stdio
    asking_server.py FOLDER http     over HTTP: every answer is a stream; it writes its port to standard output

What it is asked stands in `asked.jsonl` in its folder, as it came. The tool's arguments say what it does:
    rounds   what it asks for before it answers, each round a list of kinds; "state": true gives each a `requestState`
    says     the text of its answer; without it, the arguments, or what it was answered in the rounds
    besides  notifications before the answer, `times` over
    task     how a task ends: completed, failed, cancelled, never, or asks (then completed); `words`: of each state
    stalls   never answers
    many     how many things it asks for at once
    opens    addresses that the error -32042 names
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
VERSION = "io.modelcontextprotocol/protocolVersion"
TOOLS = [
    {"name": name, "description": f"{name} something", "inputSchema": {"type": "object"}}
    for name in ("ask", "book", "await", "send", "order")
]
CREATED = {"createdAt": "2026-11-23T07:00:00Z", "lastUpdatedAt": "2026-11-23T07:00:00.5+00:00"}
FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
KINDS: dict[str, dict[str, Any]] = {
    "elicit": {"method": "elicitation/create", "params": {"mode": "form", "message": "who?", "requestedSchema": FORM}},
    "sample": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 10}},
    "roots": {"method": "roots/list"},
    "call": {"method": "tools/call", "params": {"name": "send"}},
    "nothing": {},
}
BESIDES: dict[str, list[dict[str, Any]]] = {
    "talks when it is asked for a list": [
        {"method": "notifications/message", "params": {"level": "info", "data": "x"}}
    ],
    "says that e1 is complete when it is asked for a list": [
        {"method": "notifications/elicitation/complete", "params": {"elicitationId": "e1"}}
    ],
}
tasks: dict[str, dict[str, Any]] = {}
turn = threading.Lock()


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if type(value) is str else json.dumps(value)}]}


def called(params: dict[str, Any], *, stateless: bool) -> Iterator[dict[str, Any]]:
    """Yield what comes before the answer, and then the answer: a result, or {"error": ...}."""
    asked = params["arguments"]
    for _ in range(asked.get("times", 1)):
        yield from asked.get("besides", ())
    more = {"resultType": "complete"} if stateless else {}
    rounds, answers = asked.get("rounds", []), params.get("inputResponses")
    done = len(rounds) if answers is not None else 0
    if "requestState" in params:
        done = int(params["requestState"].rpartition("-")[2])
    if "many" in asked:
        wanted = {
            str(number): {**KINDS["elicit"], "params": {"message": f"{number}?"}} for number in range(asked["many"])
        }
        yield {"result": {"resultType": "input_required", "inputRequests": wanted}}
    elif done < len(rounds):
        wanted = {f"key-{done}-{kind}": KINDS[kind] for kind in rounds[done]}
        state = {"requestState": f"state-of-the-server-{done + 1}"} if asked.get("state") else {}
        yield {"result": {"resultType": "input_required", "inputRequests": wanted, **state}}
    elif asked.get("stalls"):
        time.sleep(3600)
    elif "opens" in asked:
        yield {"error": {"code": -32042, "message": "open this", "data": {"elicitations": asked["opens"]}}}
    elif "task" in asked:
        with turn:
            name = f"task-of-the-server-{len(tasks)}"
            tasks[name] = {"taskId": name, "status": "working", "statusMessage": asked.get("words", "well"), **CREATED}
            tasks[name] |= {"ttlMs": 60000, "pollIntervalMs": 10} if stateless else {"ttl": 60000, "pollInterval": 10}
            tasks[name] |= {"of our own": "not of the protocol", **asked.get("state of it", {})}
            state = dict(tasks[name])
            tasks[name]["asked"] = asked
        yield {"result": {"resultType": "task", **state} if stateless else {"task": state}}
    elif "says" in asked:
        yield {"result": text(asked["says"]) | more}
    else:
        yield {"result": text(answers if rounds else asked) | more}


def about(method: str, params: dict[str, Any], *, stateless: bool) -> dict[str, Any]:
    """Answer a request about a task."""
    task = tasks.get(params["taskId"])
    if task is None:
        return {"error": {"code": -32602, "message": "no such task here"}}
    ends, more = task["asked"]["task"], {"resultType": "complete"} if stateless else {}
    result, error = text(task["asked"].get("says", "done")), {"code": -32000, "message": "it broke later"}
    if method == "tasks/update":
        task["answers"] = task.get("answers", {}) | params["inputResponses"]
        return {"result": more}
    if method == "tasks/cancel":
        task["asked"]["task"] = "cancelled"
        return {"result": more if stateless else shown(task, "cancelled")}
    if method == "tasks/result":
        if ends in ("failed", "cancelled"):
            return {"error": error}
        return {"error": {"code": -32001, "message": "not now"}} if ends == "never" else {"result": result}
    if ends == "asks":
        if "answers" not in task:
            return {"result": {**shown(task, "input_required"), "inputRequests": {"who": KINDS["elicit"]}, **more}}
        ends, result = "completed", text(task["answers"])
    status = "working" if ends == "never" else ends
    whole = {"completed": {"result": result | more}, "failed": {"error": error}} if stateless else {}
    return {"result": {**shown(task, status), **whole.get(status, {}), **more}}


def shown(task: dict[str, Any], status: str) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key not in ("asked", "answers")} | {"status": status}


def answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every message that a request brings about."""
    method, params = request["method"], request.get("params", {})
    stateless = VERSION in params.get("_meta", {})
    more = {"resultType": "complete"} if stateless else {}
    me = {"capabilities": {"tools": {}, "resources": {}}, "serverInfo": {"name": "asking", "version": "1"}}
    if method == "tools/call":
        found = list(called(params, stateless=stateless))
    elif method.startswith("tasks/"):
        found = [about(method, params, stateless=stateless)]
    elif method == "initialize":
        found = [{"result": {"protocolVersion": "2025-11-25", **me}}]
    elif method == "server/discover":
        found = [{"result": {"supportedVersions": ["2026-07-28"], **me, **more}}]
    elif method == "tools/list":
        after = {"nextCursor": "page-2"} if "paged" in mode() and "cursor" not in params else {}
        found = [{"result": {"tools": TOOLS, **after, **more}}]
    elif method == "subscriptions/listen":
        told = {"_meta": {"io.modelcontextprotocol/subscriptionId": request["id"]}}
        wanted = params["notifications"]
        found = [{"method": "notifications/subscriptions/acknowledged", "params": {**told, "notifications": wanted}}]
        found += [{"method": "notifications/resources/updated", "params": {**told, "uri": uri}}
                  for uri in (*wanted.get("resourceSubscriptions", ()), "note:of-nobody")]  # fmt: skip
        found += [{"result": {**more, **told}}]
    else:
        found = BESIDES.get(mode(), []) if method == "resources/list" else []
        found = [*found, {"result": {"resources": [], "prompts": [], "resourceTemplates": [], "contents": [], **more}}]
    for message in found:
        answer = {"id": request["id"]} if "method" not in message else {}
        yield {"jsonrpc": "2.0", **answer, **message}


def mode() -> str:
    path = FOLDER / "mode"
    return path.read_text() if path.exists() else ""


def note(line: bytes) -> None:
    with turn, (FOLDER / "asked.jsonl").open("ab") as file:
        file.write(line.rstrip(b"\n") + b"\n")


def over_stdio() -> None:
    for line in sys.stdin.buffer:
        note(line)
        request = json.loads(line)
        if "method" in request and "id" in request:
            for message in answers(request):
                sys.stdout.write(json.dumps(message) + "\n")
                sys.stdout.flush()


class Web(BaseHTTPRequestHandler):
    """One request over HTTP."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        note(data)
        request = json.loads(data)
        self.send_response(200 if "id" in request else 202)
        self.send_header("Content-Type", "text/event-stream")
        if request.get("method") == "initialize":
            self.send_header("Mcp-Session-Id", "one")
        self.end_headers()
        for message in answers(request) if "method" in request and "id" in request else ():
            self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")

    def do_DELETE(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def over_http() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if sys.argv[2:] == ["http"]:
    over_http()
else:
    over_stdio()
