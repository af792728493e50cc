"""A person at a terminal: a program under a pseudo-terminal of its own, which is its controlling one.

    with Person("approve", handle, "--as", "ben", home=home) as person:
        person.expect("passphrase")
        person.types("the passphrase")
        assert person.ends() == 0
    assert "approved" in person.seen

What is typed goes through the terminal, as from a keyboard. `feed` is given on standard input instead, which is then a
pipe and no terminal; `screen=False` takes the controlling terminal away. Nothing sleeps: each step waits for output.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CONTROLLING = """\
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""
_PATIENCE_S = 60.0


class Person:
    """One run of `python -m navicert`, with a person in front of it. seen: everything that stood on the terminal.

    out: what came from standard output, where `pipe` keeps that apart. rows, columns: of the terminal.
    """

    def __init__(
        self, *words: str, home: Path | None = None, cwd: Path | None = None, env: dict[str, str] | None = None,
        columns: int = 100, rows: int = 200, feed: bytes | None = None, pipe: bool = False, screen: bool = True,
    ) -> None:  # fmt: skip
        self.seen = ""
        self.out = ""
        self._read = 0
        self._data = b""
        self._terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = [sys.executable, "-m", "navicert", *(("--home", str(home)) if home is not None else ()), *words]
        if screen:
            command = [sys.executable, "-I", "-S", "-c", _CONTROLLING, str(slave), *command]
        quiet = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
        whole = {**quiet, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", "TERM": "xterm", **(env or {})}
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=whole,
            pass_fds=(slave,) if screen else (),
            stdin=subprocess.PIPE if feed is not None else slave if screen else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else slave,
            stderr=slave,
            start_new_session=not screen,
        )
        os.close(slave)
        if feed is not None and self._process.stdin is not None:
            self._process.stdin.write(feed)
            self._process.stdin.close()

    def expect(self, text: str) -> str:
        """Wait until this stands on the terminal, behind what was expected before; return what stood before it."""
        until = time.monotonic() + _PATIENCE_S
        while (at := self.seen.find(text, self._read)) < 0:
            if not self._more(until):
                raise AssertionError(f"`{text}` never came; the terminal shows: {self.seen[self._read :]}")
        before = self.seen[self._read : at]
        self._read = at + len(text)
        return before

    def types(self, text: str) -> None:
        """Type a line, and Enter."""
        os.write(self._terminal, text.encode() + b"\r")

    def presses(self, key: bytes) -> None:
        """Press one key, as its byte."""
        os.write(self._terminal, key)

    def ends(self) -> int:
        """Wait for the end; return the exit code."""
        until = time.monotonic() + _PATIENCE_S
        while self._more(until):
            pass
        if self._process.stdout is not None:
            self.out = self._process.stdout.read().decode()
        return self._process.wait(_PATIENCE_S)

    def _more(self, until: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise AssertionError(f"nothing came any more; the terminal shows: {self.seen[self._read :]}")
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:  # the other end is closed
            return False
        self._data += data
        self.seen = self._data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        os.close(self._terminal)
