"""`navicert call NAME TOOL KEY=VALUE…`: one call of a tool behind the gateway, as an MCP client makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert
from navicert.model.errors import Unavailable

_VERSION: Final = "2025-11-25"
_ELICIT: Final = "elicitation/create"


@click.command()
@click.argument("name")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@common
def verb(name: str, tool: str, arguments: tuple[str, ...], home: str | None, as_json: bool) -> int:
    """Call TOOL of the server NAME through the gateway, and show what comes back: the way to try a policy by hand.

    It launches `navicert mcp NAME`, as a client does. Where a person has to decide, it says where, and waits as long as
    any call is kept waiting. Exit code 1 where the call was refused, is held, or failed.
    """
    asked = dict(map(_argument, arguments))
    place, _ = home_of(home)
    out = Terminal(sys.stderr if as_json else None)
    with _gateway([sys.executable, "-m", "navicert", "--home", str(place.folder), "mcp", name]) as client:
        me = {"name": "navicert", "version": "0"}
        able: dict[str, Any] = {"elicitation": {"url": {}}}
        client.asks("initialize", {"protocolVersion": _VERSION, "capabilities": able, "clientInfo": me}, out)
        client.tells({"method": "notifications/initialized"})
        answer = client.asks("tools/call", {"name": tool, "arguments": asked}, out)
    if as_json:
        emit({"format": "navicert/call/1", "server": name, "tool": tool, "answer": answer})
    else:
        _show(out, answer)
    failed = "error" in answer or answer["result"].get("isError") is True
    return FINDINGS if failed else FINE


def _argument(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key.rstrip(":"):
        raise Misused(f"`{text}` is no argument; write KEY=TEXT, or KEY:=JSON for numbers, lists and objects")
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], json.loads(value)
    except ValueError as error:
        raise Misused(f"`{text}`: what stands behind `:=` is no JSON: {error}") from None


class _Client:
    """A client on the gateway's standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._asked = 0

    def tells(self, message: dict[str, Any]) -> None:
        """Send a message."""
        pipe = self._process.stdin
        if pipe is None:
            raise Unavailable("the gateway has no input")
        try:
            pipe.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise Unavailable("the gateway has ended; what it said stands above") from None

    def asks(self, method: str, params: dict[str, Any], out: Terminal) -> dict[str, Any]:
        """Send a request; returns the answer, once it has come."""
        self._asked += 1
        self.tells({"id": self._asked, "method": method, "params": params})
        for line in self._process.stdout or ():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._asked and "method" not in message:
                return message
            if message.get("method") == _ELICIT and message["params"].get("mode") == "url":
                asked = message["params"]
                out.say(f"{out.mark('STEP_UP')} {inert(asked['message'])}\n  {inert(asked['url'])}")
                self.tells({"id": message["id"], "result": {"action": "accept"}})
            elif "id" in message:
                refused = {"code": -32601, "message": "this client answers no such question"}
                self.tells({"id": message["id"], "error": refused})
        raise Unavailable("the gateway has ended before it answered; what it said stands above")


@contextmanager
def _gateway(command: list[str]) -> Iterator[_Client]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own
        yield _Client(process)  # at the end its input closes, and it ends


def _show(out: Terminal, answer: dict[str, Any]) -> None:
    error = answer.get("error")
    result = answer.get("result", {})
    parts = [{"type": "text", "text": error["message"]}] if error else result.get("content", [])
    meta = (error.get("data") if error else result.get("_meta")) or {}
    failed = bool(error) or result.get("isError") is True
    for part in parts:
        words = part["text"] if part.get("type") == "text" else f"({part.get('type')})"
        for line in str(words).splitlines():
            out.say(("✕ " if failed else "") + inert(line))
    notes = [
        *(["its arguments were changed"] if meta.get("navicert/modified") else []),
        *([f"receipt {meta['navicert/receipt']}"] if "navicert/receipt" in meta else []),
        *([f"look at it with `navicert show {meta['navicert/handle']}`"] if "navicert/handle" in meta else []),
    ]
    if notes:
        out.say(out.style(inert(", ".join(notes)), "dim"))
