"""The kit's tools, real ones: files, mail, a database, the net. As functions, and as an MCP server (standard library).

    python -I -S tools.py WORLD.json        serves them over standard input and output

It speaks the revisions 2025-11-25 and 2026-07-28.

* They do what they are told, and judge nothing: whatever keeps an effect from happening is the system under test.
* `TOOLS` is the one list of them: name, parameters, which of them play a role, and what kind of effect each has.
"""

from __future__ import annotations

import json
import smtplib
import sqlite3
import sys
import time
from contextlib import closing
from email.message import EmailMessage
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

TOOLS: dict[str, dict[str, Any]] = {
    "files.read": {"effect": "read", "resource": ["path"], "parameters": {"path": "string"}},
    "files.write": {
        "effect": "write", "resource": ["path"], "content": ["text"],
        "parameters": {"path": "string", "text": "string"},
    },
    "files.remove": {"effect": "delete", "resource": ["path"], "parameters": {"path": "string"}},
    "mail.send": {
        "effect": "send", "destination": ["to"], "content": ["subject", "body"],
        "parameters": {"to": "string", "subject": "string", "body": "string"},
    },
    "db.query": {"effect": "read", "amount": ["limit"], "parameters": {"sql": "string", "limit": "integer"}},
    "db.execute": {"effect": "write", "parameters": {"sql": "string"}},
    "net.post": {
        "effect": "send", "destination": ["to"], "content": ["body"],
        "parameters": {"to": "string", "body": "string"},
    },
    "bank.pay": {
        "effect": "pay", "destination": ["account"], "amount": ["amount"],
        "parameters": {"account": "string", "amount": "integer", "memo": "string"},
    },
    "slow.write": {
        "effect": "write", "resource": ["path"], "content": ["text"],
        "parameters": {"path": "string", "text": "string", "seconds": "number"},
    },
    "broken.fail": {"effect": "write", "content": ["text"], "parameters": {"text": "string"}},
}  # fmt: skip


class Tools:
    """The tools over one world, by the file that describes it."""

    def __init__(self, where: str) -> None:
        self.world = json.loads(Path(where).read_text(encoding="utf-8"))
        self._files = Path(self.world["files"])

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """Run a tool; raises what it raises, `LookupError` where there is none of this name."""
        if name not in TOOLS:
            raise LookupError(f"there is no tool `{name}`")
        run = getattr(self, name.replace(".", "_"))
        answer: str = run(**arguments)
        return answer

    def files_read(self, path: str) -> str:
        """Return the text of a file."""
        return (self._files / path).read_text(encoding="utf-8")

    def files_write(self, path: str, text: str) -> str:
        """Write a file."""
        place = self._files / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        return "written"

    def files_remove(self, path: str) -> str:
        """Remove a file."""
        (self._files / path).unlink()
        return "removed"

    def slow_write(self, path: str, text: str, seconds: float) -> str:
        """Write a file after some seconds: a tool that takes its time."""
        time.sleep(seconds)
        return self.files_write(path, text)

    def mail_send(self, to: str, subject: str, body: str) -> str:
        """Send a message."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "agent@kit.example", to, subject
        message.set_content(body)
        with smtplib.SMTP(self.world["mail"][0], self.world["mail"][1], timeout=10) as server:
            server.send_message(message)
        return "sent"

    def db_query(self, sql: str, limit: int) -> str:
        """Return rows as JSON, at most `limit`."""
        with closing(sqlite3.connect(self.world["database"])) as database:
            return json.dumps(database.execute(sql).fetchmany(limit))

    def db_execute(self, sql: str) -> str:
        """Execute a statement."""
        with closing(sqlite3.connect(self.world["database"], timeout=10)) as database, database:
            database.execute(sql)
        return "done"

    def net_post(self, to: str, body: str) -> str:
        """Post a text to somebody; the kit's listener stands for every host."""
        connection = HTTPConnection(self.world["net"][0], self.world["net"][1], timeout=10)
        try:
            connection.request("POST", f"/{to}", body.encode())
            return str(connection.getresponse().status)
        finally:
            connection.close()

    def bank_pay(self, account: str, amount: int, memo: str) -> str:
        """Pay: the bank is the listener, too."""
        return self.net_post(f"bank/{account}", json.dumps({"amount": amount, "memo": memo}))

    def broken_fail(self, text: str) -> str:
        """Fail, after the effect."""
        self.net_post("broken", text)
        raise RuntimeError("the tool fails")


# as an MCP server


def listed() -> list[dict[str, Any]]:
    """Return the tools as MCP lists them."""
    return [
        {
            "name": name,
            "description": (getattr(Tools, name.replace(".", "_")).__doc__ or "").strip(),
            "inputSchema": {
                "type": "object",
                "properties": {key: {"type": kind} for key, kind in tool["parameters"].items()},
                "required": [*tool["parameters"]],
            },
        }
        for name, tool in TOOLS.items()
    ]


def answer_to(tools: Tools, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request, None for one that this server does not know."""
    method, params = message["method"], message.get("params") or {}
    about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "kit", "version": "1"}}
    if method == "initialize":
        return {"protocolVersion": params.get("protocolVersion", "2025-11-25"), **about}
    if method == "server/discover":
        return {
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private", **about,
        }  # fmt: skip
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": listed()}
    if method == "tools/call":
        try:
            text, failed = tools.call(params["name"], params.get("arguments") or {}), False
        except Exception as error:  # noqa: BLE001 - a tool's failure is its answer
            text, failed = f"{type(error).__name__}: {error}", True
        return {"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": failed}
    return None


def main(where: str) -> None:
    """Serve until standard input ends."""
    tools = Tools(where)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer_to(tools, message)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            reply["error"] = {"code": -32601, "message": f"`{message['method']}` is not known here"}
        else:
            reply["result"] = result
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
