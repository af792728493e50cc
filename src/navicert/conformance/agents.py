"""Scripted agents of the threat suite: real tools, by the SDK or a launched gateway, each run in a home of its own.

* The application (which opens sessions, delegates, reports facts) is this process. The agent only calls tools: as
  governed functions, or as an MCP client of `navicert mcp`, which joins the session by a launch token.
* What an agent is told is all that it gets; nothing here looks into the product.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import IO, Any, Final, Literal, NamedTuple, Protocol

import navicert
from navicert import ActionDenied, ActionSuspended, Guard, NavicertError, Session, Unavailable
from navicert.assemble import Home, make_home
from navicert.config import FILE
from navicert.conformance.attack_tools import TOOLS, Toolbox
from navicert.conformance.forking import PIPE, hang_up, popen

_TOOLBOX: Final = str(Path(__file__).with_name("attack_tools.py"))
_PATIENCE_S: Final = 60.0


class Told(NamedTuple):
    """What an agent got back. why: the reason code, and the rules.

    how: `failed` is the tool's own failure; `untold`: it could not call, for it was never told what to call with.
    """

    how: Literal["ran", "denied", "waits", "failed", "untold"]
    text: str
    why: str = ""


class Agent(Protocol):
    """A scripted agent, by the name of its session."""

    def call(self, session: Session, tool: str, arguments: dict[str, Any]) -> Told:
        """Call a tool in a session."""
        ...

    def log(self) -> bytes:
        """Return what the product has printed where this agent acts."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


def a_home(folder: Path, policy: str, in_band_s: int = 0) -> Home:
    """Make a deployment of ours with this policy, which holds calls for so many seconds."""
    home = make_home(folder, origin="threats", service="threats", policy=policy)
    with home.config.open("a", encoding="utf-8") as file:
        file.write(f"in_band_s: {in_band_s}\n")
    assert home.config.name == FILE  # noqa: S101 - it is the one that was written
    return home


class SdkAgent:
    """It calls functions that `@guard.tool` governs."""

    def __init__(self, guard: Guard, home: Home, world: Path, tools: Iterable[str]) -> None:
        del home
        box = Toolbox(str(world))
        self._tools = {name: guard.tool(name)(_function(box, name)) for name in tools}

    def call(self, session: Session, tool: str, arguments: dict[str, Any]) -> Told:
        """Call a governed function."""
        try:
            return Told("ran", session.carry(self._tools[tool])(**arguments))
        except ActionSuspended as waits:
            return Told("waits", str(waits), _why(waits.reason_code, waits.rules))
        except ActionDenied as denied:
            return Told("denied", str(denied), _why(denied.reason_code, denied.rules))
        except NavicertError as error:
            return Told("denied", str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 - what the tool raises is the tool's own failure
            return Told("failed", f"{type(error).__name__}: {error}")

    def log(self) -> bytes:
        """Return nothing: this process is the application's own."""
        return b""

    def close(self) -> None:
        """Do nothing: the guard is closed by whoever opened it."""


def _function(box: Toolbox, name: str) -> Any:
    def run(**arguments: Any) -> str:
        return box.call(name, arguments)

    run.__name__ = name.replace(".", "_")
    return run


def _why(code: str, rules: Iterable[str]) -> str:
    return ", ".join([code, *(f"`{rule}`" for rule in rules)])


class GatewayAgent:
    """An MCP client of `navicert mcp --all` over standard input and output; one process for each session."""

    def __init__(self, guard: Guard, home: Home, world: Path, tools: Iterable[str]) -> None:
        from msgspec.structs import replace

        from navicert.gateway.servers import write_server

        del guard
        self._home = home
        self._errors = home.folder.parent / "gateway.err"
        self._clients: dict[str, _Client] = {}
        for group in dict.fromkeys(name.partition(".")[0] for name in tools):
            command = (sys.executable, "-I", "-S", _TOOLBOX, str(world), group)
            write_server(home.folder, group, replace(_pinned(group), command=command, fresh_s=0.0))

    def call(self, session: Session, tool: str, arguments: dict[str, Any]) -> Told:
        """Call a tool of the server that bears its first word."""
        if session.id not in self._clients:
            self._clients[session.id] = _Client(self._home, session, self._errors)
        group, _, name = tool.partition(".")
        answer = self._clients[session.id].asks("tools/call", {"name": f"{group}__{name}", "arguments": arguments})
        if "error" in answer:
            return Told("denied", answer["error"]["message"], f"error {answer['error']['code']}")
        result = answer["result"]
        text, meta = "\n".join(part.get("text", "") for part in result["content"]), result.get("_meta", {})
        if not result.get("isError"):
            return Told("ran", text)
        if "navicert/handle" in meta:
            return Told("waits", text, str(meta.get("navicert/reason", "it waits")))
        if "navicert/reason" in meta:
            return Told("denied", text, str(meta["navicert/reason"]))
        return Told("failed", text)

    def log(self) -> bytes:
        """Return what the gateways have printed on standard error."""
        return self._errors.read_bytes() if self._errors.exists() else b""

    def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            client.close()


@lru_cache
def _pinned(group: str) -> Any:
    """Return the entry of a server as an operator accepted it: before anything in its world was changed."""
    from navicert.gateway.look import look
    from navicert.gateway.pins import Server

    with TemporaryDirectory(prefix="navicert-threats-") as folder:
        world = Path(folder) / "world.json"
        world.write_text("{}", encoding="utf-8")
        command = (sys.executable, "-I", "-S", _TOOLBOX, str(world), group)
        return asyncio.run(look(group, Server(command=command))).server


class _Client:
    """One client of one gateway process."""

    def __init__(self, home: Home, session: Session, errors: Path) -> None:
        command = [sys.executable, "-m", "navicert", "--home", str(home.folder), "mcp", "--all"]
        env = os.environ | {"NAVICERT_LAUNCH": session.launch_token()}
        self._errors = errors
        with errors.open("ab") as sink:
            self._gateway = popen(command, stdin=PIPE, stdout=PIPE, stderr=sink, env=env)
        self._input: IO[bytes] = self._gateway.stdin  # type: ignore[assignment]  # it is a pipe
        self._last = Timer(_PATIENCE_S, self._gateway.kill)
        self._last.start()
        self._asked = 0
        me = {"name": "agent", "version": "1"}
        self.asks("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": me})
        self._sends({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _sends(self, message: dict[str, Any]) -> None:
        self._input.write(json.dumps(message).encode() + b"\n")
        self._input.flush()

    def asks(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._sends({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        for line in self._gateway.stdout or ():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._asked and "method" not in message:
                return message
        last = self._errors.read_text(errors="replace")[-300:]
        raise Unavailable(f"the gateway has ended, or was silent for {_PATIENCE_S:.0f} seconds, at `{method}`: {last}")

    def close(self) -> None:
        self._last.cancel()
        hang_up(self._gateway, 10.0)


AGENTS: Final[dict[str, Callable[[Guard, Home, Path, Iterable[str]], Agent]]] = {
    "sdk": SdkAgent,
    "mcp-stdio": GatewayAgent,
}
"""The surfaces of the suite."""


def opened(home: Home) -> Guard:
    """Open the deployment, as the application does."""
    return navicert.open(home.folder)


@lru_cache
def declared(policy: str) -> tuple[str, ...]:
    """Return the tools that a policy declares and that there are."""
    from navicert.syntax import read_policy

    return tuple(profile.tool for profile in read_policy(policy)[0].tools if profile.tool in TOOLS)
