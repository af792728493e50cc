"""Notices by a command of the operator (port `Notifier`; R4.a): one JSON object on its standard input.

* It says that a question waits, for whom and until when: never parameters, reasons or the request. Whoever is asked
  reads those where the answer is given.
* No shell, no environment of ours; the working directory is `/`. What it prints is not read.
* It must end with 0 in time, or the notice was not given. Where it is late, its whole process group is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from navicert.core.times import rfc3339
from navicert.model.errors import PolicyError, Unavailable
from navicert.model.suspension import Wait

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
_DIGITS: Final = 12
_REAPED_S: Final = 1.0


class CommandNotifier:
    """Runs `words` once per notice. timeout: seconds that it may take."""

    def __init__(self, words: Sequence[str], timeout: float = 5.0) -> None:
        if not words or not os.path.isabs(words[0]):  # noqa: PTH117 - words are text
            raise PolicyError("the command that tells approvers has no program; name one by its absolute path")
        self._words = tuple(words)
        self._timeout = timeout

    def notify(self, wait: Wait, names: Sequence[str]) -> None:
        """Tell these people that the wait is there; raises `Unavailable` where the command did not."""
        self.tell(_notice(wait, names))

    def tell(self, document: Mapping[str, object]) -> None:
        """Have the command read this; raises `Unavailable` where it did not."""
        program = self._words[0]
        notice = os.memfd_create("notice")  # read at the command's own pace, and at rest nowhere
        try:
            with os.fdopen(os.dup(notice), "wb") as file:
                file.write(msgspec.json.encode(document) + b"\n")
            os.lseek(notice, 0, os.SEEK_SET)
            code = self._run(notice)
        except (OSError, ValueError) as error:
            raise Unavailable(f"`{program}`: cannot be run ({type(error).__name__}); make it executable") from None
        finally:
            os.close(notice)
        if code is None:
            raise Unavailable(f"`{program}`: not done within {self._timeout:g} s; try later")
        if code != 0:
            raise Unavailable(f"`{program}`: ended with code {code}; try later")

    def _run(self, notice: int) -> int | None:
        """Return how it ended; None where it was ended for being late."""
        process = subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
            list(self._words), stdin=notice, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env=_ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        try:
            return process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.returncode is None:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # not yet reaped, so the number is still its own
    with contextlib.suppress(subprocess.TimeoutExpired):  # a program of another user's rights is not ours to end
        process.wait(_REAPED_S)


def _notice(wait: Wait, names: Sequence[str]) -> dict[str, object]:
    return {
        "handle": wait.handle,
        "tool": wait.action.tool,
        "operation": wait.action.operation,
        "risk": wait.risk,
        "digest": wait.question.digest[:_DIGITS],
        "names": list(names),
        "deadline": rfc3339(wait.question.deadline),
    }
