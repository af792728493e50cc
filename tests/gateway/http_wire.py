"""What the tests of the gateway over HTTP share: a home with a server at an address, the gateway, a client on sockets.

    with house.gateway() as gateway:
        gateway.calls("read_note", path="a")           # 2026-07-28: every request stands for itself
        with gateway.connection() as session:          # 2025-11-25: a handshake, and what belongs to it
            session.calls("read_note", path="a")

Everything waits with a limit; nothing sleeps. What the server was asked is read from its own record.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from faults.owners import a_home
from faults.support import eventually
from gateway.peers import listening
from gateway.wire import PATIENCE_S, House
from navicert.gateway.look import look
from navicert.gateway.pins import Server

SERVER = Path(__file__).with_name("http_server.py")
STATELESS, HANDSHAKE = "2026-07-28", "2025-11-25"
OWN = "io.modelcontextprotocol/"
POLICY = """\
policy: web
version: 1
posture: declared_reads
tools:
  notes.read_note: {effect: read, resource: path, returns: INTERNAL}
rules:
  - id: few
    match: {tool: notes, operation: write_note}
    decision: MODIFY
    modifications: [{parameter: n, cap: 10}]
  - id: never
    match: {tool: notes, operation: delete_note}
    decision: DENY
    reason: deleting is forbidden
"""
ASKING = """\
  - id: asking-back
    match: {tool: notes, operation: sampling-create}
    decision: ALLOW
"""


class WebHouse(House):
    """A home with the server `notes`, reached at an address. headers: our credentials there. server: its script."""

    def __init__(
        self,
        folder: Path,
        *,
        policy: str = POLICY,
        headers: dict[str, str] | None = None,
        server: Path = SERVER,
        **fields: Any,
    ) -> None:
        self.folder = folder
        self.server_folder = folder / "server"
        self.server_folder.mkdir(parents=True)
        command = [sys.executable, str(server), str(self.server_folder), "http"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/mcp"
        self.home = a_home(folder / "home", policy=policy, **fields)
        entry = Server(url=self.url, headers=headers or {"Authorization": "Bearer upstream-secret"})
        self.server = asyncio.run(look("notes", entry)).server
        self.attach()
        self.forget()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def records(self) -> list[dict[str, Any]]:
        """Every HTTP request that the server saw, oldest first."""
        return [json.loads(line) for line in self.asked()]

    def seen(self, method: str = "tools/call") -> list[dict[str, Any]]:
        """The requests by one method, each with its headers in lower case."""
        found = [item for item in self.records() if item.get("method") == method or item.get("http") == method]
        return [item | {"headers": {name.lower(): value for name, value in item["headers"]}} for item in found]

    @property
    def token(self) -> str:
        return (self.home.keys / "mcp.token").read_text().strip()

    @contextmanager
    def gateway(
        self, *words: str, listen: str = "127.0.0.1:0", program: tuple[str, ...] = ("-m", "navicert")
    ) -> Iterator[Gateway]:
        command = [sys.executable, *program, "--home", str(self.home.folder)]
        command += ["mcp", "notes", "--listen", listen, *words]
        ready = re.compile(r"serving http://127\.0\.0\.1:(\d+)/mcp")
        with listening(command, ready) as port:
            yield Gateway(self, int(port))


class Reply:
    """An HTTP answer: status, headers, and messages as they come."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}
        self.streams = self.headers.get("content-type") == "text/event-stream"
        self._data = b""
        if not self.streams:
            self._data = self._response.read()
            self.hangs_up()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Every message, as it comes."""
        if not self.streams:
            if self._data:
                yield json.loads(self._data)
            return
        for line in self._response:
            if line.startswith(b"data:"):
                yield json.loads(line.removeprefix(b"data:"))
        self.hangs_up()

    def message(self) -> dict[str, Any]:
        """The answer, after all that came before it."""
        return list(self.messages())[-1]

    def hangs_up(self) -> None:
        self._response.close()
        self._connection.close()


class Gateway:
    """A gateway that runs."""

    def __init__(self, house: WebHouse, port: int) -> None:
        self.house = house
        self.port = port
        self._next = 0

    def sends(self, body: Any, *, http_method: str = "POST", path: str = "/mcp", **headers: str | None) -> Reply:
        """Send one HTTP request. headers: beside the usual ones, with `_` for `-`; None leaves one out."""
        return Reply(self._sent(body, http_method, path, headers))

    def leaves(self, body: Any, when: Callable[[], object], **headers: str | None) -> None:
        """Send a request, and hang up without having read anything, once something has come about."""
        connection = self._sent(body, "POST", "/mcp", headers)
        eventually(when, PATIENCE_S)
        connection.close()

    def _sent(
        self, body: Any, http_method: str, path: str, headers: dict[str, str | None]
    ) -> http.client.HTTPConnection:
        token = self.house.token if (self.house.home.keys / "mcp.token").exists() else ""
        whole: dict[str, str | None] = {
            "Authorization": f"Bearer {token}", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream", "Host": f"127.0.0.1:{self.port}",
        }  # fmt: skip
        for name, value in headers.items():
            whole[name.replace("_", "-").title()] = value
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.putrequest(http_method, path, skip_host=True, skip_accept_encoding=True)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        for name, value in whole.items():
            if value is not None:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        return connection

    # 2026-07-28

    def body(self, method: str, **params: Any) -> dict[str, Any]:
        self._next += 1
        given = params.pop("meta", {})
        meta = {f"{OWN}protocolVersion": STATELESS, f"{OWN}clientCapabilities": {}} | given
        return {"jsonrpc": "2.0", "id": self._next, "method": method, "params": {**params, "_meta": meta}}

    def asks(self, method: str, *, more: dict[str, str | None] | None = None, **params: Any) -> Reply:
        """Send a request with the headers that mirror it. more: other headers."""
        body = self.body(method, **params)
        headers: dict[str, str | None] = {"Mcp-Protocol-Version": STATELESS, "Mcp-Method": method}
        name = params.get("uri") if method == "resources/read" else params.get("name")
        if name is not None:
            headers["Mcp-Name"] = name
        arguments = params.get("arguments") or {}
        if "n" in arguments:
            headers["Mcp-Param-Count"] = str(arguments["n"])
        return self.sends(body, **headers | (more or {}))

    def calls(self, tool: str, *, more: dict[str, str | None] | None = None, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns the result (or the error) of the answer."""
        answer = self.asks("tools/call", name=tool, arguments=arguments, more=more).message()
        return answer.get("result") or answer["error"]

    # 2025-11-25

    def connection(self, **headers: str | None) -> Session:
        return Session(self, headers)


class Session(AbstractContextManager["Session"]):
    """A session of 2025-11-25."""

    def __init__(self, gateway: Gateway, headers: dict[str, str | None]) -> None:
        self.gateway = gateway
        self._more = headers
        me = {"name": "tests", "version": "1"}
        params = {"protocolVersion": HANDSHAKE, "capabilities": {"sampling": {}}, "clientInfo": me}
        said = gateway.sends({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}, **headers)
        self.id = said.headers["mcp-session-id"]
        self.said = said.message()["result"]
        assert self.tells("notifications/initialized").status == 202
        self._next = 0

    def sends(self, body: Any, **headers: str | None) -> Reply:
        held = {"Mcp-Session-Id": self.id, "Mcp-Protocol-Version": HANDSHAKE}
        return self.gateway.sends(body, **held | self._more | headers)

    def tells(self, method: str, **params: Any) -> Reply:
        return self.sends({"jsonrpc": "2.0", "method": method, "params": params})

    def asks(self, method: str, **params: Any) -> Reply:
        self._next += 1
        return self.sends({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})

    def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.asks("tools/call", name=tool, arguments=arguments).message()
        return answer.get("result") or answer["error"]

    def listens(self) -> Reply:
        return self.sends(None, http_method="GET", Accept="text/event-stream", Content_Type=None)

    def ends(self) -> Reply:
        return self.sends(None, http_method="DELETE", Content_Type=None)

    def __exit__(self, *_: object) -> None:
        self.ends()
