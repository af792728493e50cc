"""A product under test: its adapter as a process, asked line by line; nothing it says is believed by itself.

Whatever goes wrong between kit and adapter (silence, garbage, an end too early) is `Broken`, never an answer.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Final, Self, TypeVar

import msgspec

from navicert.conformance.contract import CONTRACT, Hello, Request, Stop
from navicert.conformance.forking import PIPE, popen
from navicert.model.errors import NavicertError
from navicert.model.value import Value

V = TypeVar("V", bound=Value)
PATIENCE_S: Final = 60.0
_MOST: Final = 64 * 1024 * 1024
"""Bytes of one line."""
_SURFACE: Final = re.compile(r"[A-Za-z0-9-]{1,40}")


class Broken(NavicertError):
    """The adapter did not do its part: it says why, or its last words are in the message."""


class Refusal(NavicertError):
    """The adapter answered with an error: the system under test cannot do this, or says that it does not."""


class _Reply(msgspec.Struct, forbid_unknown_fields=True):
    id: int = 0
    ok: msgspec.Raw = msgspec.Raw(b"")
    error: str | None = None


class Product:
    """One adapter process; close it when done. Thread-safe."""

    def __init__(self, command: Sequence[str], errors: Path) -> None:
        """Start it. errors: the file that gets its standard error."""
        self._lock = Lock()
        self._waiting: dict[int, Future[_Reply]] = {}
        self._asked = 0
        self._over = False
        self._errors = errors
        with errors.open("ab") as sink:
            self._process = popen(command, stdin=PIPE, stdout=PIPE, stderr=sink)
        greeting: Future[_Reply] = Future()
        self._waiting[0] = greeting
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.hello = self._taken(greeting, PATIENCE_S, Hello)
        if self.hello.contract != CONTRACT:
            self.close()
            raise Broken(f"the adapter speaks `{self.hello.contract}`, and this kit `{CONTRACT}`")
        if _SURFACE.fullmatch(self.hello.surface) is None:
            self.close()
            raise Broken(f"the adapter's surface is `{self.hello.surface:.40}`; name it in letters, digits and `-`")

    def ask(self, request: Request, kind: type[V], patience_s: float = PATIENCE_S) -> V:
        """Return its answer; raises `Refusal` where it answers with an error, `Broken` where it does not answer."""
        return self._taken(self.send(request), patience_s, kind)

    def send(self, request: Request) -> Future[_Reply]:
        """Ask without waiting; `taken` has the answer."""
        reply: Future[_Reply] = Future()
        with self._lock:
            self._asked += 1
            if self._over:  # nobody reads any more
                reply.set_exception(Broken(self._last_words()))
                return reply
            self._waiting[self._asked] = reply
            line = msgspec.json.encode({"id": self._asked, "ask": request}) + b"\n"
            try:
                self._process.stdin.write(line)  # type: ignore[union-attr]  # it is a pipe
                self._process.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
            except OSError:
                reply.set_exception(Broken(self._last_words()))
        return reply

    def taken(self, reply: Future[_Reply], kind: type[V], patience_s: float = PATIENCE_S) -> V:
        """Return the answer to what was sent."""
        return self._taken(reply, patience_s, kind)

    def _taken(self, reply: Future[_Reply], patience_s: float, kind: type[V]) -> V:
        try:
            found = reply.result(patience_s)
        except TimeoutError:
            raise Broken(f"the adapter did not answer within {patience_s:.0f} seconds") from None
        if found.error is not None:
            raise Refusal(found.error)
        try:
            return msgspec.json.decode(found.ok, type=kind)
        except msgspec.MsgspecError as error:
            raise Broken(f"the adapter's answer is not of the contract: {error}") from None

    def _read(self) -> None:
        why = ""
        while not why and (line := self._process.stdout.readline(_MOST)):  # type: ignore[union-attr]  # it is a pipe
            try:
                reply = msgspec.json.decode(line, type=_Reply)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                why = f"the adapter said what is not of the contract: {line[:60]!r}"
                break
            waiting = self._waiting.pop(reply.id, None)
            if waiting is not None:
                waiting.set_result(reply)
        with self._lock:
            self._over = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Broken(why or self._last_words()))
            self._waiting.clear()

    def _last_words(self) -> str:
        said = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the adapter has ended; its last words: {said[-1] if said else 'none'}"

    def close(self) -> None:
        """End it, with all that it started."""
        if self._process.poll() is None:
            with suppress(NavicertError):  # it is ended below, whatever it says
                self.ask(Stop(), Value, 10.0)
        if self._process.stdin is not None:
            with suppress(OSError):  # a pipe that broke is closed
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)  # what it started and left behind
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
