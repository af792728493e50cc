"""The agent's tools: ordinary functions, as naive as such functions are. One line above each puts it under policy.

The line says what the tool does (`effect`), which parameters are destinations or resources, and how sensitive its
results are at least (`returns`). Whether a call may run is not decided here: that is `policy.yaml`.
"""

from __future__ import annotations

import json
import smtplib
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from urllib.request import ProxyHandler, Request, build_opener

from navicert import Guard
from navicert.demo.world import LOOPBACK, World, message


def make_tools(guard: Guard, world: World) -> SimpleNamespace:
    """Return the governed tools, for an agent to call."""

    @guard.tool("files.read", effect="read", resource="path", returns="INTERNAL")
    def read(path: str) -> str:
        return (world.workspace / path).read_text(encoding="utf-8")

    @guard.tool("email.send", effect="send", destination="to", content=["subject", "body"], returns="INTERNAL")
    def send(to: str, subject: str, body: str) -> str:
        with smtplib.SMTP(LOOPBACK, world.mail_port, local_hostname="localhost", timeout=5) as server:
            server.send_message(message(to, subject, body))
        return "sent"

    @guard.tool("db.query", effect="read", returns="INTERNAL")
    def query(sql: str, limit: int = 100) -> list[list[str | int | float | None]]:
        read_only = f"{world.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(read_only, uri=True)) as database:
            return [list(row) for row in database.execute(sql).fetchmany(limit)]

    @guard.tool("db.execute", effect="write", returns="INTERNAL")
    def execute(sql: str) -> int:
        with closing(sqlite3.connect(world.database)) as database, database:
            return database.execute(sql).rowcount

    @guard.tool("crm.delete", effect="delete", resource="customer", returns="INTERNAL")
    def delete(customer: int) -> int:
        with closing(sqlite3.connect(world.database)) as database, database:
            return database.execute("DELETE FROM customers WHERE id = ?", (customer,)).rowcount

    @guard.tool("vault.rotate", effect="credentials", resource="name", returns="INTERNAL")
    def rotate(name: str) -> int:
        versions: dict[str, int] = json.loads(world.vault.read_text(encoding="utf-8"))
        versions[name] += 1
        world.vault.write_text(json.dumps(versions) + "\n", encoding="utf-8")
        return versions[name]

    @guard.tool("deploy.status", effect="read", returns="INTERNAL")
    def status() -> str:
        return _call(world, "GET", "/status")

    @guard.tool("deploy.start", effect="execute", resource="release", returns="INTERNAL")
    def start(release: str) -> str:
        return _call(world, "POST", f"/deploy/{release}")

    return SimpleNamespace(
        read=read,
        send=send,
        query=query,
        execute=execute,
        delete=delete,
        rotate=rotate,
        status=status,
        start=start,
    )


def _call(world: World, method: str, path: str) -> str:
    request = Request(f"http://{LOOPBACK}:{world.deploy_port}{path}", method=method)
    with build_opener(ProxyHandler({})).open(request, timeout=5) as answer:
        text: str = answer.read().decode()
    return text
