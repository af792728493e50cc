"""Canaries by the clock: the owner has them sent, by a process of its own, never on the path that decides (R1.c).

* What that process says on standard error is an alarm, and stands on the owner's. Whether one was sent at all is told
  by the log (`navicert status`), not by this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

_LONGEST_S: Final = 900.0
_LOOK_S: Final = 0.2


def send_canaries(home: Path, minutes: int, stop: Event, complain: Callable[[str], None]) -> None:
    """Have canaries sent at once, and then every so many minutes, until `stop`. complain: told of what goes wrong."""
    while True:
        began = monotonic()
        try:
            _send(home, stop, min(minutes * 60.0, _LONGEST_S))
        except OSError as error:  # TimeoutError too
            complain(f"ALARM: canary: {error}")
        if stop.wait(max(1.0, minutes * 60.0 - (monotonic() - began))):
            return


def _send(home: Path, stop: Event, within_s: float) -> None:
    command = [sys.executable, "-m", "navicert", "--home", str(home), "canary", "--json"]
    end = monotonic() + within_s
    with subprocess.Popen(  # noqa: S603 - our own
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            while process.poll() is None and not stop.wait(_LOOK_S):
                if monotonic() > end:
                    raise TimeoutError(f"not all were sent within {within_s:g} s")
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
