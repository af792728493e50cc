"""Facts from commands (port `Resolver`; R4.b): a program that only root or our own user can have written.

* No shell, no input, no environment of ours; the working directory is `/`. What it says on its standard error is
  neither read nor passed on.
* Files among its arguments (a script for an interpreter, a calendar to look into) are held to the same rule.
* It has answered when its output is closed and it has ended with 0. Nothing of its process group outlives the fetch.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Final

from navicert.adapters.resolve.answers import LONGEST, value_at
from navicert.adapters.resolve.places import settled
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.policy import Source
from navicert.model.value import Json

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
_PIECE: Final = 65_536
_POLL_S: Final = 0.005
_REAPED_S: Final = 1.0


class CommandResolver:
    """Runs `source.words`. timeout: seconds from its start to its end."""

    def __init__(self, timeout: float = 5.0) -> None:
        self._timeout = timeout

    def fetch(self, source: Source) -> Json:
        """Return the value at the source's pointer into the command's standard output."""
        if not source.words:
            raise IntegrityError("a command without words; name a program by its absolute path")
        program = source.words[0]
        place = settled(program)
        for word in source.words[1:]:
            if "\0" not in word and os.path.isfile(os.path.join("/", word)):  # noqa: PTH113, PTH118 - words are text
                settled(os.path.join("/", word))  # noqa: PTH118 - as above
        return value_at(self._run(place, source.words), source.at, f"`{program}`")

    def _run(self, place: str, words: Sequence[str]) -> bytes:
        end = monotonic() + self._timeout
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
                list(words), executable=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, cwd="/", env=_ENVIRONMENT, start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"`{words[0]}`: cannot be run ({error.strerror}); make it executable") from None
        except ValueError as error:
            raise IntegrityError(f"`{words[0]}`: its words cannot be passed on ({error}); correct them") from None
        try:
            data = self._output(process, words[0], end)
            code = self._ending(process, words[0], end)
        finally:
            _end(process)
        if code != 0:
            raise Unavailable(f"`{words[0]}`: ended with code {code}; try later")
        return data

    def _output(self, process: subprocess.Popen[bytes], program: str, end: float) -> bytes:
        assert process.stdout is not None  # noqa: S101 - for the type checker: a pipe was asked for
        out = process.stdout.fileno()
        data = bytearray()
        ready = select.poll()
        ready.register(out, select.POLLIN)
        while True:
            left = end - monotonic()
            if left <= 0 or not ready.poll(left * 1_000):
                raise self._late(program)
            piece = os.read(out, _PIECE)
            if not piece:
                return bytes(data)
            data += piece
            if len(data) > LONGEST:
                raise IntegrityError(f"`{program}`: says more than {LONGEST} bytes; make it say less")

    def _ending(self, process: subprocess.Popen[bytes], program: str, end: float) -> int:
        """Return how it ended (minus the signal, where one ended it); it stays unreaped."""
        try:
            while (ended := os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
                if monotonic() >= end:
                    raise self._late(program)
                sleep(_POLL_S)
        except ChildProcessError:  # the host ignores SIGCHLD: the kernel has thrown the code away
            raise Unavailable(f"`{program}`: how it ended cannot be known; let the host not ignore SIGCHLD") from None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _late(self, program: str) -> Unavailable:
        return Unavailable(f"`{program}`: not done within {self._timeout:g} s; try later")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # not yet reaped, so the number is still its own
    if process.stdout is not None:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):  # a program of another user's rights is not ours to end
        process.wait(_REAPED_S)
