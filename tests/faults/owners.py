"""What the tests of the resident owner share: owners that are real processes, callers, and owners that lie."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from navicert.assemble import Home, make_home
from navicert.config import FILE
from navicert.core.answers import statement_bytes
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.labels import Labels, Level
from navicert.model.suspension import Answer, Approver, Statement, Vote

POLICY = """\
policy: owned
version: 1
posture: declared_tools
rules:
  - id: payments-need-ben
    match: {tool: bank, operation: pay}
    decision: STEP_UP
    approvers: [ben]
    timeout: 5m
"""
PROFILE = ToolProfile(tool="mail.send", effect=Effect.SEND, content=("text",), returns=Labels(level=Level.INTERNAL))


def a_home(folder: Path, *, policy: str = POLICY, **fields: Any) -> Home:
    """Make a home whose configuration has these fields besides."""
    home = make_home(folder, origin="owned", service="owned", policy=policy)
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in {"in_band_s": 0, **fields}.items()]
    with (home.folder / FILE).open("a") as file:
        file.writelines(lines)
    return home


class OwnerProcess:
    """`navicert up`, as a process."""

    def __init__(self, home: Home) -> None:
        command = [sys.executable, "-m", "navicert", "--home", str(home.folder), "up", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        self.said = json.loads(line)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.end()

    def end(self) -> tuple[int, str]:
        """Have it end, however it stands; return exit code and standard error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            errors = self.process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, errors


def an_action(engine: Any, text: str = "hello", name: str = "mail.send", **changes: Any) -> Action:
    tool, _, operation = name.rpartition(".")
    parameters = parameter_bytes({"text": text})
    made = Action(
        action_id=engine.new_id("act"),
        tool=tool,
        operation=operation,
        parameters=parameters,
        digest=action_digest(tool, operation, parameters),
        submitted_at=engine.now(),
        profile=msgspec.structs.replace(PROFILE, tool=name),
    )
    return msgspec.structs.replace(made, **changes)


def enrolled(engine: Any, key: Any, name: str = "ben") -> None:
    public = base64.urlsafe_b64encode(key.public).rstrip(b"=").decode()
    engine.enrol(Approver(name=name, key_id=key.key_id, algorithm=key.algorithm, public=public, since=engine.now()))


def a_vote(wait: Any, key: Any, now: int, answer: Answer = Answer.APPROVE) -> Vote:
    statement = statement_bytes(
        Statement(question=wait.question, answer=answer, approver="ben", key_id=key.key_id, at=now, reason="checked")
    )
    return Vote(statement=statement, signature=key.sign(statement))


class Plain:
    """A caller in another language: sockets and JSON of the standard library, and nothing of navicert."""

    def __init__(self, path: Any, *, greet: bool = True) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        folder = os.open(Path(path).parent, os.O_PATH)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{Path(path).name}")
        finally:
            os.close(folder)
        if greet:
            self.welcome = self.ask(do="hello", protocol="navicert/1")["ok"]

    def ask(self, **request: Any) -> dict[str, Any]:
        return self.raw(json.dumps(request).encode())

    def raw(self, content: bytes) -> dict[str, Any]:
        self.sock.sendall(len(content).to_bytes(4, "big") + content)
        return self.read()

    def read(self) -> dict[str, Any]:
        size = int.from_bytes(self._exactly(4), "big")
        return json.loads(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plain_action(number: int, text: str = "hello") -> dict[str, Any]:
    """An action as another language would make it: see docs/reference/socket-protocol.md."""
    parameters = json.dumps({"text": text}, separators=(",", ":")).encode()
    digest = hashlib.sha256(b"navicert/action/1\0" + b"4:mail" + b"4:send" + parameters).hexdigest()
    return {
        "action_id": f"act_{number:026d}",
        "tool": "mail",
        "operation": "send",
        "parameters": base64.b64encode(parameters).decode(),
        "digest": digest,
        "submitted_at": 0,
        "profile": {"tool": "mail.send", "effect": "send", "content": ["text"], "returns": {"level": 1}},
    }


class Liar:
    """An owner that answers what it is told to: `say` gets each request and returns the frame, or None to hang up."""

    def __init__(self, path: Path, say: Callable[[dict[str, Any]], bytes | None]) -> None:
        self._say = say
        self.path = path
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(str(path))
        self._sock.listen(16)
        self._lines: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._sock.accept()
            except OSError:
                return
            self._lines.append(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line:
            while head := line.recv(4, socket.MSG_WAITALL):
                request = json.loads(line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
                if request["do"] == "hello":
                    answer = ok({"protocol": "navicert/1", "peer": "uid:0", "rights": ["act"], "separation": "none",
                                 "in_band_s": 0.0})  # fmt: skip
                else:
                    answer = self._say(request)
                if answer is None:
                    return
                try:
                    line.sendall(answer)
                except OSError:
                    return

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(5)


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def ok(value: Any) -> bytes:
    return frame(b'{"ok":' + msgspec.json.encode(value) + b"}")
