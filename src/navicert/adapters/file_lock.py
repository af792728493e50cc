"""A lock on a file between processes of this machine (`flock`): waited for, with an end."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from navicert.model.errors import Unavailable

_LONGEST_S = 0.005


@contextmanager
def locked(descriptor: int, end: float, busy: str) -> Iterator[None]:
    """Hold the lock on an open file; raises `Unavailable` where another process holds it until `end` (monotonic).

    busy: who holds it, in the words of the caller. The pauses are short at first: whoever holds it is mostly quick.
    """
    pause = 0.0002
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if monotonic() >= end:
                raise Unavailable(f"{busy}; try again") from None
            sleep(pause)
            pause = min(pause * 2, _LONGEST_S)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
