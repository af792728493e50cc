"""What the gateway's tests share: a home with one scripted server behind `navicert mcp`, and a client on raw bytes.

    with house.client() as client:
        client.opens()
        answer = client.calls("read_note", path="a")

Everything waits with a limit; nothing sleeps. What the server was asked is read from its own record, byte for byte.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from faults.owners import OwnerProcess, a_home
from faults.support import eventually, receipts
from navicert.adapters.sign.file_key import new_key
from navicert.core.seal import b64
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server
from navicert.model.receipt import Receipt
from navicert.model.suspension import Answer, Approver, Wait
from navicert.people import control, sign_answer
from navicert.people import look as look_at
from terminal import Person

PATIENCE_S = 30.0
ECHO = Path(__file__).with_name("echo_server.py")
POLICY = """\
policy: wire
version: 1
posture: declared_reads
cascade: 16
tools:
  notes.read_note: {effect: read, resource: path, returns: INTERNAL}
facts:
  window_open: {file: %s/window.json, at: /open, every: 1s, attempts: 60}
rules:
  - id: few
    match: {tool: notes, operation: write_note}
    decision: MODIFY
    modifications: [{parameter: n, cap: 10}]
  - id: asked
    match: {tool: notes, operation: delete_note}
    decision: STEP_UP
    approvers: [ben]
    timeout: 10m
    reason: a person decides
  - id: never
    match: {tool: notes, operation: drop_note}
    decision: DENY
    reason: dropping is forbidden
  - id: in-the-window
    match: {tool: notes, operation: plan_note, context: {facts: {window_open: true}}}
    decision: ALLOW
"""
MORE = """\
  - id: asking-back
    match: {tool: notes, operation: sampling-create}
    decision: ALLOW
"""
BACK = "  notes.sampling-create: {effect: execute, returns: INTERNAL}\n"


class House:
    """A home with the server `notes` attached, and ben, who may approve. fields: of the configuration.

    server: its script.
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: str = POLICY,
        env: dict[str, str] | None = None,
        server: Path = ECHO,
        **fields: Any,
    ) -> None:
        self.folder = folder
        self.owner: OwnerProcess | None = None
        self.server_folder = folder / "server"
        self.server_folder.mkdir(parents=True)
        self.home = a_home(folder / "home", policy=policy % folder if "%s" in policy else policy, **fields)
        entry = Server(command=(sys.executable, "-I", "-S", str(server), str(self.server_folder)), env=env or {})
        self.server = asyncio.run(look("notes", entry)).server
        self.attach()
        self.forget()
        self.key = new_key("Ed25519")
        with control(self.home) as engine:
            person = Approver(
                name="ben", key_id=self.key.key_id, algorithm=self.key.algorithm, public=b64(self.key.public),
                since=engine.now(),
            )  # fmt: skip
            engine.enrol(person)

    def attach(self, **changes: Any) -> None:
        """Put the server's entry into the home, with these changes."""
        self.server = msgspec.structs.replace(self.server, **changes)
        write_server(self.home.folder, "notes", self.server)

    def client(self, *words: str, program: tuple[str, ...] = ("-m", "navicert"), **env: str) -> Client:
        """Launch the gateway, as a client does. program: what Python runs as the command line."""
        return Client(self, *words, program=program, **env)

    def behaves(self, how: str) -> None:
        """Have the server behave in one way, from now on."""
        (self.server_folder / "mode").write_text(how)

    def forget(self) -> None:
        (self.server_folder / "asked.jsonl").unlink(missing_ok=True)

    def asked(self) -> list[bytes]:
        """What the server was asked, line by line as it came."""
        record = self.server_folder / "asked.jsonl"
        return record.read_bytes().splitlines() if record.exists() else []

    def asked_for(self, method: str = "tools/call") -> list[dict[str, Any]]:
        """The parameters of what the server was asked by one method."""
        found = [json.loads(line) for line in self.asked()]
        return [item.get("params", {}) for item in found if item.get("method") == method]

    def environment(self) -> dict[str, str]:
        return json.loads((self.server_folder / "env.json").read_text())

    def waits(self) -> tuple[Wait, ...]:
        with look_at(self.home) as seen:
            return tuple(seen.waits)

    def answers(self, wait: Wait, answer: Answer = Answer.APPROVE) -> None:
        """Ben answers, in another process than the gateway."""
        with control(self.home) as engine:
            engine.answer(wait.handle, sign_answer(wait.question, answer, "ben", self.key, engine.now(), "looked at"))

    def judged(self) -> list[tuple[str, str, str | None]]:
        """Decisions and resolutions, oldest first: tool, result, reason code."""
        found = [item for item in self.receipts() if item.decision is not None and item.kind != "outcome"]
        return [(f"{item.action.tool}.{item.action.operation}", item.decision.result, item.decision.reason_code)
                for item in found]  # fmt: skip

    def outcomes(self) -> list[tuple[bool, str | None]]:
        """Outcomes, oldest first: success, and the kind of error."""
        found = [item.execution for item in self.receipts() if item.kind == "outcome"]
        return [(item.success, item.error) for item in found]

    def receipts(self) -> list[Receipt]:
        return receipts(self.home.store)

    def verified(self) -> dict[str, Any]:
        """What `navicert verify --json` says, once it found no fault."""
        command = [sys.executable, "-m", "navicert", "--home", str(self.home.folder), "verify", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def open_actions(self) -> list[str]:
        with Person("status", "--json", home=self.home.folder, pipe=True) as person:
            assert person.ends() == 0
        return [item["name"] for item in json.loads(person.out)["open"]]


@contextmanager
def houses(folder: Path) -> Iterator[Callable[..., House]]:
    """Make houses, with an owner (`up`) or without; at the end the log of each is verified."""
    made: list[House] = []

    def make(*, up: bool = False, **settings: Any) -> House:
        found = House(folder / f"house{len(made)}", **settings)
        made.append(found)
        if up:
            found.owner = OwnerProcess(found.home)
        return found

    yield make
    for found in made:
        if found.owner is not None:
            found.owner.end()
        assert found.verified()["verified"] is True


class Client:
    """One run of `navicert mcp notes`: raw bytes in, messages out."""

    def __init__(self, house: House, *words: str, program: tuple[str, ...] = ("-m", "navicert"), **env: str) -> None:
        command = [sys.executable, *program, "--home", str(house.home.folder), "mcp", "notes", *words]
        self._errors = (house.folder / "errors").open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=os.environ | env
        )
        self._house = house
        self._queue: queue.Queue[bytes | None] = queue.Queue()
        self.number = 0
        """Of the last request that chose none for itself."""
        self.seen: list[bytes] = []
        """Everything that came, as it came."""
        self.kept: list[dict[str, Any]] = []
        """Messages that came while another was waited for."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with self.process.stdout as stream:
            for line in stream:
                self._queue.put(line)
        self._queue.put(None)

    # out

    def raw(self, data: bytes) -> None:
        """Send one line as it is."""
        self.process.stdin.write(data + b"\n")
        self.process.stdin.flush()

    def sends(self, method: str, params: dict[str, Any] | None = None, **members: Any) -> Any:
        """Send a request; returns its id."""
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params or {}, **members}
        self.raw(json.dumps(message).encode())
        return message["id"]

    def tells(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification."""
        self.raw(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}).encode())

    # in

    def next(self) -> dict[str, Any]:
        """The next message, whatever it is."""
        line = self._queue.get(timeout=PATIENCE_S)
        assert line is not None, f"the gateway has ended: {self.noted()}"
        self.seen.append(line)
        return json.loads(line)

    def answer(self, id_: Any) -> dict[str, Any]:
        """The answer to this id; everything else is kept."""
        for place, message in enumerate(self.kept):
            if "method" not in message and message.get("id") == id_:
                return self.kept.pop(place)
        while True:
            message = self.next()
            if "method" not in message and message.get("id") == id_ and type(message.get("id")) is type(id_):
                return message
            self.kept.append(message)

    def notice(self, method: str) -> dict[str, Any]:
        """The next request or notification by this method."""
        for place, message in enumerate(self.kept):
            if message.get("method") == method:
                return self.kept.pop(place)
        while (message := self.next()).get("method") != method:
            self.kept.append(message)
        return message

    # both

    def asks(self, method: str, params: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        return self.answer(self.sends(method, params, **members))

    def calls(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; returns the result (or the error) of the answer."""
        answer = self.asks("tools/call", {"name": tool, "arguments": arguments})
        return answer.get("result") or answer["error"]

    def opens(self, capabilities: dict[str, Any] | None = None) -> dict[str, Any]:
        """Say hello, as clients of 2025-11-25 do; returns what the server says of itself."""
        me = {"name": "tests", "version": "1"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": capabilities or {}, "clientInfo": me}
        said = self.asks("initialize", hello)
        self.tells("notifications/initialized")
        return said["result"]

    def goes_on(self) -> None:
        """Whatever was sent before was taken: the gateway answers, and the server too."""
        assert "result" in self.asks("ping")

    def tools(self) -> list[str]:
        return [tool["name"] for tool in self.asks("tools/list")["result"]["tools"]]

    def noted(self) -> str:
        """What the gateway told the operator so far."""
        return (self._house.folder / "errors").read_text(errors="replace")

    def notes(self, text: str) -> None:
        """Wait until the gateway has told the operator this."""
        eventually(lambda: text in self.noted(), PATIENCE_S)

    def ends(self) -> int:
        """Hang up; returns the gateway's exit code."""
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)

    def silent(self) -> bool:
        """Tell, once the gateway has ended, whether nothing more had come; what came is kept."""
        before = len(self.kept)
        while (line := self._queue.get(timeout=PATIENCE_S)) is not None:
            self.kept.append(json.loads(line))
        return len(self.kept) == before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.process.stdin.closed:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE_S)
            if error is None:
                raise
        finally:
            self._errors.close()


def text_of(result: dict[str, Any]) -> str:
    """The text of a tool's result, or of an error."""
    return result["message"] if "message" in result else result["content"][0]["text"]
