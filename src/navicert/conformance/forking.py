"""Programs of ours that start without their imports: forked from one process that has the modules in memory.

    with forking():
        process = popen([sys.executable, "-m", "navicert", "up"], stdout=PIPE)

* Each is a process of its own, with its own environment, session, standard input, output and error; imports are shared.
* The process that forks listens on a socket, whose address stands in the environment: whatever is started within may
  start more by it. When it is left, all of them are ended. Without it, and for other programs, `popen` starts anew.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from navicert.model.errors import Unavailable

ADDRESS: Final = "NAVICERT_KIT_FORKING"
PIPE: Final = subprocess.PIPE
DEVNULL: Final = subprocess.DEVNULL
_MOST: Final = 200_000
_MODULES: Final = (
    "assemble", "audit", "evidence", "people", "sdk.guard", "service.reach", "service.server", "cli.up", "cli.mcp",
    "cli.verify", "gateway.http", "gateway.many", "gateway.stdio", "gateway.look", "conformance.twins",
    "conformance.adapters.sdk", "conformance.adapters.mcp", "conformance.adapters.person",
)  # fmt: skip


class Forked:
    """A process that was forked elsewhere, with the interface of `subprocess.Popen` as far as it is used.

    Its exit code is not known: `returncode` is 0 once it has ended.
    """

    def __init__(self, pid: int, descriptor: int, pipes: Mapping[int, IO[bytes]]) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = (pipes.get(number) for number in range(3))

    def poll(self) -> int | None:
        """Return 0 where it has ended, None where it has not."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return 0 once it has ended; raises `subprocess.TimeoutExpired`."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return 0

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._descriptor], [], [], timeout)[0]:
            self.returncode = 0
        return self.returncode

    def __del__(self) -> None:
        os.close(self._descriptor)


Process = subprocess.Popen[bytes] | Forked


def popen(
    command: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a program; forked, where it is a module of ours and something forks."""
    address = os.environ.get(ADDRESS)
    if address is None or [*command[:2]] != [sys.executable, "-m"] or not command[2].startswith("navicert"):
        return subprocess.Popen(  # noqa: S603 - the command is the caller's own
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, start_new_session=True
        )
    pipes: dict[int, IO[bytes]] = {}
    theirs, close = [], []
    for number, wanted in enumerate((stdin, stdout, stderr)):
        if wanted == PIPE:
            read, write = os.pipe()
            ours, other = (write, read) if number == 0 else (read, write)
            pipes[number] = os.fdopen(ours, "wb" if number == 0 else "rb")
            close.append(other)
        elif wanted == DEVNULL:
            close.append(other := os.open(os.devnull, os.O_RDWR))
        else:
            other = number if wanted is None else wanted if isinstance(wanted, int) else wanted.fileno()
        theirs.append(other)
    asked = {"module": command[2], "words": [*command[3:]], "env": {**(env or os.environ)}, "folder": str(Path.cwd())}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.connect(address)
            socket.send_fds(control, [json.dumps(asked).encode()], theirs)
            pid, descriptors, _, _ = socket.recv_fds(control, 32, 1)
    except OSError as error:
        raise Unavailable(f"nothing was forked: {error}") from None
    finally:
        for each in close:
            os.close(each)
    if not descriptors:
        raise Unavailable("nothing was forked: the process that forks has ended")
    return Forked(int(pid), descriptors[0], pipes)


def hang_up(process: Process, within_s: float) -> None:
    """Close a process's input, wait for its end, and end it where it does not; then close what it wrote to."""
    if process.stdin is not None:
        with suppress(OSError):  # what could not be sent is lost with it
            process.stdin.close()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


@contextmanager
def forking() -> Iterator[None]:
    """Have programs of ours forked while this lasts; does nothing where that is so already."""
    if ADDRESS in os.environ:
        yield
        return
    with TemporaryDirectory() as folder:
        address = str(Path(folder) / "forking")
        with subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "navicert.conformance.forking", address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        ) as process:  # fmt: skip
            if not process.stdout or not process.stdout.readline():
                raise Unavailable("the process that forks did not start; its words are on standard error")
            os.environ[ADDRESS] = address
            try:
                yield
            finally:
                del os.environ[ADDRESS]
                process.communicate()  # its input ends, and so do it and all that it forked


def main(address: str) -> None:
    """Fork one process for each request, until standard input ends; then end what still runs."""
    for name in _MODULES:
        import_module(f"navicert.{name}")
    children: set[int] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([sys.stdin, listener], [], [])
            if sys.stdin in ready:
                break
            control, _ = listener.accept()
            asked, descriptors, _, _ = socket.recv_fds(control, _MOST, 3)
            while children and (ended := os.waitpid(-1, os.WNOHANG)[0]):
                children.discard(ended)
            child = os.fork() if len(descriptors) == 3 else -1
            if child == 0:
                listener.close()
                control.close()
                _become(json.loads(asked), descriptors)
                return
            for each in descriptors:
                os.close(each)
            with control:
                if child > 0:
                    children.add(child)
                    process = os.pidfd_open(child)
                    with suppress(BrokenPipeError):  # whoever asked has gone
                        socket.send_fds(control, [str(child).encode()], [process])
                    os.close(process)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _become(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    os.setsid()
    for number, each in enumerate(descriptors):
        os.dup2(each, number)
    for each in descriptors:
        os.close(each)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.argv = [request["module"], *request["words"]]
    run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1])
