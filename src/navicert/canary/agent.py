"""The side of the agent: one canary over one surface, as an application or an MCP client would send it (R1.c).

    python -m navicert.canary.agent <job.json

* The job stands on standard input, what came back on standard output, one JSON document each. Whoever starts this ends
  it when its time is over: nothing here waits with a limit.
* The action asks to write a file of an unpredictable name into the home folder, which the built-in rule
  `navicert.protected` denies whatever the policy says. Where nothing denies it, the file is there: that is the proof.
* Whether it was denied is not decided here: a text can say anything. The log says it (`navicert.canary.probes`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from getpass import getuser
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

import navicert
from navicert.model.value import Value

NAME: Final = "navicert-canary"
"""The agent, as receipts name it."""
TOOL: Final = "navicert-canary"
"""What is called where no tool that is there can be aimed at the home folder; no server has a tool of this name."""
_OPENING: Final[dict[str, Any]] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": NAME, "version": "0"},
}
_MOST: Final = 16_000_000
_ENDS_S: Final = 2.0
_LONGEST: Final = 300
Ask = Callable[[str, dict[str, Any], bool], dict[str, Any] | None]
"""Sends a method with its parameters; True: it is a request, and its answer is returned."""


class Call(Value, frozen=True, kw_only=True):
    """A tool to call, and with what."""

    tool: str
    arguments: dict[str, str]


class Job(Value, frozen=True, kw_only=True):
    """One canary. way: `sdk`, `socket`, `stdio` or `http`. target: the file that is to be written; text: into it.

    command, env: of what is launched (stdio). url, headers: of what is reached (http). calls: tried in this order,
    until one is answered with a receipt.
    """

    way: str
    home: str
    target: str = ""
    text: str = ""
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str = ""
    headers: dict[str, str] = {}
    calls: tuple[Call, ...] = ()


class Said(Value, frozen=True, kw_only=True):
    """What came back. refused: it says that it was refused, or failed. receipt: that it names. words: of it."""

    refused: bool
    words: str
    receipt: str | None = None


def act(job: Job) -> Said:
    """Send one canary; returns what came back."""
    try:
        if job.way in {"sdk", "socket"}:
            return _call_a_tool(job)
        return _over_stdio(job) if job.way == "stdio" else _over_http(job)
    except (navicert.NavicertError, OSError, ValueError, HTTPException) as error:
        return Said(refused=True, words=f"{type(error).__name__}: {error}"[:_LONGEST])


def _call_a_tool(job: Job) -> Said:
    """Call a governed function, which does what nobody may."""
    with navicert.open(job.home) if job.way == "sdk" else navicert.connect(job.home) as guard:

        @guard.tool("canary.write", effect="write", resource="path", content="text", returns="PUBLIC")
        def write(path: str, text: str) -> str:
            Path(path).write_text(text, encoding="utf-8")
            return "it is written"

        with guard.session(request="a canary: this must be denied", human=getuser(), agent=NAME):
            try:
                return Said(refused=False, words=write(job.target, job.text))
            except navicert.ActionDenied as denied:
                return Said(refused=True, words=denied.reason[:_LONGEST], receipt=denied.receipt_id)


def _over_stdio(job: Job) -> Said:
    with subprocess.Popen(  # noqa: S603 - what a client of this user launches as well
        job.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | job.env
    ) as process:
        stdin, stdout, number = process.stdin, process.stdout, 0

        def ask(method: str, params: dict[str, Any], wanted: bool) -> dict[str, Any] | None:  # noqa: FBT001 - see Ask
            nonlocal number
            number += wanted
            message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": number} if wanted else {})
            if stdin is None or stdout is None:
                raise ValueError("it has no input and output")
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
            while wanted:
                line = stdout.readline(_MOST)
                if not line:
                    raise ValueError("it ended, and gave no answer")
                found = _message(line)  # servers print other things too
                if found is not None and found.get("id") == number and "method" not in found:
                    return found
            return None

        try:
            return _converse(ask, job)
        finally:
            if stdin is not None:
                stdin.close()  # at which a server ends
            try:
                process.wait(_ENDS_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _over_http(job: Job) -> Said:
    place = urlsplit(job.url)
    link = (HTTPSConnection if place.scheme == "https" else HTTPConnection)(place.netloc)
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **job.headers}

    def ask(method: str, params: dict[str, Any], wanted: bool) -> dict[str, Any] | None:  # noqa: FBT001 - see Ask
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": method} if wanted else {})
        link.request("POST", path, json.dumps(message).encode(), headers)
        with link.getresponse() as response:
            headers.update({"Mcp-Session-Id": held} if (held := response.getheader("Mcp-Session-Id")) else {})
            data = response.read(_MOST)
            if response.status not in {200, 202}:
                raise ValueError(f"HTTP {response.status}: {data[:_LONGEST].decode(errors='replace')}")
            lines = data.splitlines() if b"event-stream" in response.getheader("Content-Type", "").encode() else [data]
        found = [_message(line.removeprefix(b"data:")) for line in lines]
        answer = next((each for each in found if each is not None and each.get("id") == method), None)
        if wanted and answer is None:
            raise ValueError("it gave no answer")
        return answer

    try:
        return _converse(ask, job)
    finally:
        if "Mcp-Session-Id" in headers:
            with suppress(OSError, HTTPException):  # its session ends by itself, too
                link.request("DELETE", path, headers=headers)
                link.getresponse().read(_MOST)
        link.close()


def _converse(ask: Ask, job: Job) -> Said:
    """Open the session, call the tools, and return the first answer that names a receipt, or else the last."""
    opened = ask("initialize", _OPENING, True)  # noqa: FBT003 - see Ask
    if opened is None or "result" not in opened:
        return Said(refused=True, words=f"it does not open: {opened}"[:_LONGEST])
    ask("notifications/initialized", {}, False)  # noqa: FBT003
    said = Said(refused=False, words="there was nothing to call")
    for call in job.calls:
        said = _said(ask("tools/call", {"name": call.tool, "arguments": call.arguments}, True) or {})  # noqa: FBT003
        if said.receipt is not None:
            break
    return said


def _said(answer: dict[str, Any]) -> Said:
    error, result = answer.get("error"), answer.get("result")
    if isinstance(error, dict):
        return Said(refused=True, words=str(error.get("message"))[:_LONGEST])
    held = result if isinstance(result, dict) else {}
    parts, meta = held.get("content"), held.get("_meta")
    texts = [str(part.get("text", "")) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    named = meta.get("navicert/receipt") if isinstance(meta, dict) else None
    receipt = named if isinstance(named, str) else None
    return Said(refused=held.get("isError") is True, words=" ".join(texts)[:_LONGEST], receipt=receipt)


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(act(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))))
