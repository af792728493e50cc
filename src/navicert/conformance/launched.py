"""Launch our command line many times from one process that has its modules in memory: a start without the imports.

    with Launcher() as launcher:
        process = launcher.launch(["--home", "/desk/.navicert", "mcp", "--all"], {"NAVICERT_LAUNCH": "…"}, errors)

* Each launch is a process of its own, with a standard input, output and error of its own; only the imports are shared.
* `python -m navicert.conformance.launched FD` is the process that forks them, for as long as `FD` stays open.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module
from threading import Lock
from typing import BinaryIO, Final, NamedTuple, Self

from navicert import Unavailable

_MOST: Final = 65_536


class Launched(NamedTuple):
    """A process: what it reads, what it writes, and a descriptor of it, by which it can be ended and waited for."""

    stdin: BinaryIO
    stdout: BinaryIO
    process: int

    def kill(self) -> None:
        """End it, if it runs."""
        with suppress(ProcessLookupError):  # it may have ended
            signal.pidfd_send_signal(self.process, signal.SIGKILL)

    def close(self, within_s: float) -> None:
        """Hang up, wait for its end, and end it where it does not."""
        with suppress(BrokenPipeError):  # it may have ended
            self.stdin.close()
        if not select.select([self.process], [], [], within_s)[0]:
            self.kill()
        self.stdout.close()
        os.close(self.process)


class Launcher:
    """What launches; it starts its process with the first launch. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, words: Sequence[str], env: Mapping[str, str], errors: Path) -> Launched:
        """Launch `navicert WORDS`; `errors` gets its standard error."""
        asked = json.dumps({"words": [*words], "env": {**env}}).encode()
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        with errors.open("ab") as sink, self._lock:
            control = self._control or self._start()
            socket.send_fds(control, [asked], [theirs_in, theirs_out, sink.fileno()])
            os.close(theirs_in)
            os.close(theirs_out)
            _, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not fds:
            raise Unavailable("nothing was launched: the process that forks has ended; its words are on standard error")
        return Launched(os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb"), fds[0])

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "navicert.conformance.launched", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip
        self._control = ours
        return ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()


def main(control: socket.socket) -> None:
    """Fork one process for each request, until the other side is closed."""
    for name in ("assemble", "cli.mcp", "gateway.many", "gateway.stdio"):
        import_module(f"navicert.{name}")

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    while True:
        asked, fds, _, _ = socket.recv_fds(control, _MOST, 3)
        if not asked:
            return
        child = os.fork()
        if child == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, each in enumerate(fds):
                os.dup2(each, number)
                os.close(each)
            request = json.loads(asked)
            os.environ.update(request["env"])
            sys.argv = ["navicert", *request["words"]]
            run_module("navicert", run_name="__main__")
            sys.exit()
        for each in fds:
            os.close(each)
        process = os.pidfd_open(child)
        socket.send_fds(control, [b"."], [process])
        os.close(process)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as opened:
        main(opened)
