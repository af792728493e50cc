"""The MCP gateway under test, before the kit's server: `python -m navicert.conformance.adapters.mcp stdio|http`.

* An owner decides; an application opens the sessions by a connection of its own to it (`navicert.connect`).
* stdio (revision 2025-11-25): each session launches its own `navicert mcp kit`, with a launch token. http (2026-07-28):
  one gateway for all, and each call bears its session's access token, and names the session.
* What an agent gets is a JSON-RPC message or none at all; an error, or the connection's end, is `denied`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from threading import Lock, Thread
from typing import Any, Final

import navicert
from navicert.audit import open_archive
from navicert.conformance import contract
from navicert.conformance.adapters.ours import Ours
from navicert.conformance.contract import Answered, Done
from navicert.conformance.forking import DEVNULL, PIPE, Process, popen
from navicert.conformance.serving import serve
from navicert.gateway.calling import RECEIPT, VERSION
from navicert.gateway.doors import SESSION
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server
from navicert.model.errors import NavicertError

NAME: Final = "kit"
PATH: Final = "/mcp"
HANDSHAKE: Final = "2025-11-25"
STATELESS: Final = "2026-07-28"
_CALL: Final = "tools/call"
_SERVING: Final = re.compile(rb"serving http://127\.0\.0\.1:(\d+)/")


class Unanswered(Exception):
    """No answer came to what an agent sent: the text says what came instead."""


class Mcp(Ours):
    """What both transports share."""

    architecture = "gateway"
    own_owner = True
    has_gateways = True
    probes = ("session:none", "session:ended", "session:others")

    def prepare(self) -> None:
        """Put the kit's server behind the gateway, as `navicert attach --accept` does, and connect the application."""
        looked = asyncio.run(look(NAME, Server(command=self.start.server)))
        write_server(self.home.folder, NAME, looked.server)
        self.guard = navicert.connect(self.home.folder)
        self.tokens: dict[str, str] = {}

    def open(self, request: contract.Open) -> Done:
        """Open a session, or delegate."""
        if request.parent is not None:
            session = self.sessions[request.parent].delegate(agent=request.agent, scope=request.scope)
            self.tokens[request.session] = self.tokens[request.parent]
        else:
            session = self.guard.session(
                request=request.request, human=request.human, agent=request.agent, token=request.token,
                scope=request.scope,
            )  # fmt: skip
            self.tokens[request.session] = request.token
        self.sessions[request.session] = session
        return Done(detail=session.id)

    def renew(self, request: contract.Renew) -> Done:
        """Take another token; later calls bear it."""
        super().renew(request)
        self.tokens[request.session] = request.token
        return Done()

    def submit(self, request: contract.Submit) -> Answered:
        """Call a tool, as an MCP client does."""
        if request.after:
            raise NotImplementedError("a call over MCP cannot say what it comes after")
        return self._called(request, lambda params: self.exchange(request.session, params))

    def _called(self, request: contract.Submit, send: Callable[[dict[str, Any]], dict[str, Any]]) -> Answered:
        tool = f"{request.tool}.{request.operation}".removeprefix(f"{NAME}.")
        try:
            return self._read(send({"name": tool, "arguments": request.parameters}))
        except Unanswered as failure:
            return Answered(outcome="denied", text=str(failure))

    def resume(self, request: contract.Resume) -> Answered:
        """Make the identical call again: the gateway takes up what waited."""
        return self.submit(request.call)

    def exchange(self, session: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a call, and return the message that answers it; raises `Unanswered`."""
        raise NotImplementedError

    def gateway(self, *words: str) -> list[str]:
        """Return the command line of the gateway."""
        return self.at_home("mcp", NAME, "--in-band", "0", *words)

    def _read(self, message: dict[str, Any]) -> Answered:
        error, result = message.get("error"), message.get("result") or {}
        meta = (error.get("data") if error else result.get("_meta")) or {}
        text = error["message"] if error else " ".join(part.get("text", "") for part in result.get("content", ()))
        handle, receipt = meta.get("navicert/handle"), meta.get(RECEIPT)
        if handle is not None:
            return Answered(outcome="waits", text=text, action=self._action(handle), handle=handle)
        if error is not None or (result.get("isError") and (receipt is None or "navicert/reason" in meta)):
            return Answered(outcome="denied", text=text, action=self._action(receipt))
        return Answered(outcome="failed" if result.get("isError") else "ran", text=text, action=self._action(receipt))

    def _action(self, name: str | None) -> str | None:
        """Return the id of the action that a receipt or a handle is of; None where the records cannot be read."""
        if name is None:
            return None
        try:
            with open_archive(self.home) as archive:
                return next((row.action for row in archive.find(name)), None)
        except NavicertError:
            return None  # a check that needs the action's records then finds none


class Stdio(Mcp):
    """`navicert mcp kit`, launched by each session's client."""

    surface = "mcp-stdio"

    def prepare(self) -> None:
        """Ready to launch."""
        super().prepare()
        self._clients: dict[str, Client] = {}
        self._launching = Lock()

    def exchange(self, session: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a line, and take the one that answers it."""
        return self.client(session).asks(_CALL, params, self.patience_s)

    def client(self, session: str) -> Client:
        """Return the session's client, launched at its first call."""
        with self._launching:
            found = self._clients.get(session)
            if found is None:
                try:
                    token = self.sessions[session].launch_token()
                except NavicertError as error:
                    raise Unanswered(f"no launch token was given: {error}") from None
                found = self._clients[session] = Client(self.gateway(), token)
        return found

    def nobody(self, call: contract.Submit) -> Answered:
        """Launch a gateway without a launch token."""
        return self._launched("", call)

    def impostor(self, request: contract.Probe) -> Answered:
        """Launch a gateway with a launch token that the session's own client has used."""
        token = self.sessions[request.call.session].launch_token()
        own = Client(self.gateway(), token)
        self._clients[f"{request.call.session}, once more"] = own
        own.opens(self.patience_s)
        return self._launched(token, request.call)

    def _launched(self, token: str, call: contract.Submit) -> Answered:
        client = self._clients[f"another, of {call.session}"] = Client(self.gateway(), token)
        return self._called(call, lambda params: client.asks(_CALL, params, self.patience_s))

    def gateways(self) -> list[Process]:
        """Return those of all sessions."""
        return [each.process for each in self._clients.values()]

    def new_gateways(self) -> None:
        """Have each session launch another at its next call."""
        self._clients.clear()

    def stop(self, request: contract.Stop) -> Done:
        """Hang up everywhere, then the rest."""
        clients = list(getattr(self, "_clients", {}).values())
        for each in clients:
            each.hang_up()
        for each in clients:
            each.wait()
        return super().stop(request)


class Client:
    """A client of 2025-11-25 on the standard input and output of a gateway of its own. Thread-safe."""

    def __init__(self, command: list[str], token: str) -> None:
        self.process = popen(command, stdin=PIPE, stdout=PIPE, env=os.environ | {"NAVICERT_LAUNCH": token})
        self._lock = Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._asked = 0
        self._ended = False
        Thread(target=self._listen, daemon=True).start()
        about = {"name": "navicert-conformance", "version": "1"}
        self._opened = self._send("initialize", {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": about})
        self._told = False

    def asks(self, method: str, params: dict[str, Any], patience_s: float) -> dict[str, Any]:
        """Send a request, and return its answer; raises `Unanswered`."""
        self.opens(patience_s)
        with self._lock:
            if not self._told:
                self._told = True
                self._write({"method": "notifications/initialized"})
        return self._wait(self._send(method, params), patience_s)

    def opens(self, patience_s: float) -> None:
        """Return once the gateway has said hello; raises `Unanswered`."""
        said = self._wait(self._opened, patience_s)
        if "error" in said:
            raise Unanswered(f"the gateway does not open: {said['error']}")

    def _wait(self, answer: Future[dict[str, Any]], patience_s: float) -> dict[str, Any]:
        try:
            return answer.result(patience_s)
        except TimeoutError:
            raise Unanswered(f"no answer came within {patience_s:g} seconds") from None

    def _send(self, method: str, params: dict[str, Any]) -> Future[dict[str, Any]]:
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._ended:
                raise Unanswered("the gateway has ended")
            self._asked += 1
            self._waiting[self._asked] = answer
            self._write({"id": self._asked, "method": method, "params": params})
        return answer

    def _write(self, message: dict[str, Any]) -> None:
        try:
            self.process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")  # type: ignore[union-attr]  # a pipe
            self.process.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
        except OSError as error:
            raise Unanswered(f"the gateway takes nothing: {error}") from None

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            message = json.loads(line)
            if "method" not in message and message.get("id") in self._waiting:
                self._waiting.pop(message["id"]).set_result(message)
        with self._lock:
            self._ended = True
            for answer in self._waiting.values():
                answer.set_exception(Unanswered("the gateway ended before it answered"))

    def hang_up(self) -> None:
        """Close its input, at which the gateway ends by itself."""
        with suppress(OSError):  # what could not be sent is lost with it
            self.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe

    def wait(self) -> None:
        """Wait for its end; a gateway that does not end is ended."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Http(Mcp):
    """One `navicert mcp kit --listen` for all."""

    surface = "mcp-http"

    def prepare(self) -> None:
        """Start the gateway, and wait until it serves."""
        super().prepare()
        self.new_gateways()

    def gateways(self) -> list[Process]:
        """Return the one."""
        return [self.served]

    def new_gateways(self) -> None:
        """Start the gateway, and wait until it serves."""
        self.served = popen(self.gateway("--listen", "127.0.0.1:0"), stdin=DEVNULL, stderr=PIPE)
        port: Future[int] = Future()
        Thread(target=_hear, args=(self.served, port), daemon=True).start()
        self.port = port.result(self.patience_s)

    def exchange(self, session: str, params: dict[str, Any]) -> dict[str, Any]:
        """Post a call under the session's token and name."""
        return self.post(params, self.sessions[session].id, Authorization=f"Bearer {self.tokens[session]}")

    def nobody(self, call: contract.Submit) -> Answered:
        """Post a call without a token."""
        return self._called(call, lambda params: self.post(params, self.sessions[call.session].id))

    def impostor(self, request: contract.Probe) -> Answered:
        """Post a call under one's own token, and name another's session."""
        session, token = self.sessions[request.call.session].id, self.tokens[request.by]
        return self._called(request.call, lambda params: self.post(params, session, Authorization=f"Bearer {token}"))

    def post(self, params: dict[str, Any], session: str, **more: str) -> dict[str, Any]:
        """Post a call; returns the message that answers it. more: headers."""
        meta = {VERSION: STATELESS, "io.modelcontextprotocol/clientCapabilities": {}, SESSION: session}
        body = {"jsonrpc": "2.0", "id": 1, "method": _CALL, "params": params | {"_meta": meta}}
        headers = more | {
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": STATELESS, "Mcp-Method": _CALL, "Mcp-Name": params["name"],
        }  # fmt: skip
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self.patience_s)
        try:
            connection.request("POST", PATH, json.dumps(body), headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, HTTPException) as error:
            raise Unanswered(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        for line in data.splitlines():  # one line of JSON, or the events of a stream
            text = line.removeprefix(b"data:").strip()
            message = json.loads(text) if text.startswith(b"{") else {}
            if "result" in message or "error" in message:
                return dict(message)
        raise Unanswered(f"HTTP {response.status}, and no answer: {data[:200].decode(errors='replace')}")

    def stop(self, request: contract.Stop) -> Done:
        """End the gateway, then the rest."""
        if hasattr(self, "served") and self.served.poll() is None:
            self.served.terminate()
            self.served.wait(10)
        return super().stop(request)


def _hear(gateway: Process, port: Future[int]) -> None:
    """Find the port in what a gateway says, and hand everything on to our own standard error."""
    for line in gateway.stderr or ():
        found = _SERVING.search(line)
        if found and not port.done():
            port.set_result(int(found[1]))
        sys.stderr.buffer.write(line)
        sys.stderr.flush()
    if not port.done():
        port.set_exception(Unanswered("the gateway ended before it served"))


if __name__ == "__main__":
    serve({"stdio": Stdio, "http": Http}[sys.argv[1]]())
