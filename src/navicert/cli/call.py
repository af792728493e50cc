"""`navicert call NAME TOOL KEY=VALUE…`: one call of a tool behind the gateway, as an MCP client makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from time import sleep
from typing import Any, Final

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert
from navicert.model.errors import Unavailable

_OPENING: Final[dict[str, Any]] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"elicitation": {"url": {}}},
    "clientInfo": {"name": "navicert", "version": "0"},
}
_ELICIT: Final = "elicitation/create"
_SLICE_S: Final = 5


@click.command()
@click.argument("name")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--at-once", is_flag=True, help="Wait for nobody: where the call is held, say as what, and end.")
@common
def verb(name: str, tool: str, arguments: tuple[str, ...], at_once: bool, home: str | None, as_json: bool) -> int:
    """Call TOOL of the server NAME through the gateway, and show what comes back: the way to try a policy by hand.

    It launches `navicert mcp NAME`, as a client does. Where a person has to decide, it says how they answer, and waits
    until the call has run or is refused; Ctrl-C leaves it. Exit code 1 where the call was refused, is held, or failed.
    """
    from navicert.gateway.servers import server_of

    params = {"name": tool, "arguments": dict(map(_argument, arguments))}
    place, _ = home_of(home)
    server_of(place.folder, name)  # raises where there is none, before anything starts
    out = Terminal(sys.stderr if as_json else None)
    command = [sys.executable, "-m", "navicert", "--home", str(place.folder), "mcp", name]
    with _gateway([*command, "--in-band", "0" if at_once else str(_SLICE_S)]) as client:
        client.asks("initialize", _OPENING)
        client.tells({"method": "notifications/initialized"})
        answer = client.asks("tools/call", params, out)
        while not at_once and (handle := _meta(answer).get("navicert/handle")) is not None:
            client.says(out, f"held as {handle}: answer it with `navicert approve {handle}`, or `navicert deny`")
            sleep(0.2)
            answer = client.asks("tools/call", params, out)  # the same call in the same session takes it up
    if as_json:
        emit({"format": "navicert/call/1", "server": name, "tool": tool, "answer": answer})
    else:
        _show(out, answer)
    return FINDINGS if _is_failure(answer) else FINE


def _meta(answer: dict[str, Any]) -> dict[str, Any]:
    error = answer.get("error")
    return (error.get("data") if error else answer["result"].get("_meta")) or {}


def _is_failure(answer: dict[str, Any]) -> bool:
    return "error" in answer or answer["result"].get("isError") is True


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
        self._said: set[str] = set()

    def says(self, out: Terminal, text: str, more: str = "") -> None:
        """Tell the person how a held call is answered, once for each way."""
        if text not in self._said:
            self._said.add(text)
            out.say(f"{out.mark('STEP_UP')} {inert(text)}")
            out.say(f"  {inert(more)}")

    def tells(self, message: dict[str, Any]) -> None:
        """Send a message."""
        pipe = self._process.stdin
        if pipe is None:
            raise Unavailable("the gateway has no input")
        try:
            pipe.write(json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError:
            raise Unavailable("the gateway has ended, as it says above") from None

    def asks(self, method: str, params: dict[str, Any], out: Terminal | None = None) -> dict[str, Any]:
        """Send a request; returns the answer, once it has come. An address to open is shown, once."""
        self._asked += 1
        self.tells({"id": self._asked, "method": method, "params": params})
        for line in self._process.stdout or ():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self._asked and "method" not in message:
                return message
            if message.get("method") == _ELICIT and message["params"].get("mode") == "url":
                if out is not None:
                    self.says(out, message["params"]["message"], message["params"]["url"])
                self.tells({"id": message["id"], "result": {"action": "accept"}})
            elif "id" in message:
                self.tells({"id": message["id"], "error": {"code": -32601, "message": "it is not answered here"}})
        raise Unavailable("the gateway has ended before it answered, as it says above")


@contextmanager
def _gateway(command: list[str]) -> Iterator[_Client]:
    """Launch the gateway; what it and the server say besides is shown where it ends too early."""
    with (
        TemporaryFile() as besides,
        subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=besides
        ) as process,
    ):
        try:
            yield _Client(process)  # at the end its input closes, and it ends
        except Unavailable:
            process.wait()
            besides.seek(0)
            for line in besides.read().decode(errors="replace").splitlines():
                click.echo(inert(line), err=True)
            raise
        except KeyboardInterrupt:
            raise Misused("the call was left; if it is held, it waits until its time is over") from None


def _show(out: Terminal, answer: dict[str, Any]) -> None:
    error, meta = answer.get("error"), _meta(answer)
    parts = [{"type": "text", "text": error["message"]}] if error else answer["result"].get("content", [])
    for part in parts:
        words = part["text"] if part.get("type") == "text" else f"({part.get('type')})"
        for line in str(words).splitlines():
            out.say(("✕ " if _is_failure(answer) else "") + inert(line))
    notes = [
        *(["its arguments were changed"] if meta.get("navicert/modified") else []),
        *([f"receipt {meta['navicert/receipt']}"] if "navicert/receipt" in meta else []),
        *([f"look at it with `navicert show {meta['navicert/handle']}`"] if "navicert/handle" in meta else []),
    ]
    if notes:
        out.say(out.style(inert(", ".join(notes)), "dim"))
