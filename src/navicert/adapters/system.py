"""Clock and ids of this machine (ports `Clock`, `Ids`)."""

from __future__ import annotations

import os
import time
from threading import Lock
from typing import Final

from navicert.core.seal import b64

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(one + other for one in _ALPHABET for other in _ALPHABET)
_POOL: Final = 4096


class Randomness:
    """Bytes from the operating system, drawn in blocks; a forked child never repeats what its parent drew."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._block = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._forget)

    def draw(self, size: int) -> bytes:
        """Return so many random bytes (at most 256)."""
        with self._lock:
            if self._used + size > len(self._block):
                self._block = os.urandom(_POOL)
                self._used = 0
            start = self._used
            self._used += size
            return self._block[start : self._used]

    def _forget(self) -> None:
        self._lock = Lock()
        self._block = b""
        self._used = 0


RANDOM: Final = Randomness()


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """Return microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000


class SystemIds:
    """Ids in the form of ULIDs: 48 bits of milliseconds, 80 bits from the operating system, Crockford base 32."""

    def new(self, prefix: str) -> str:
        """Return a fresh id, `prefix_` and 26 characters."""
        number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(RANDOM.draw(10))
        return prefix + "_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])

    def salt(self) -> str:
        """Return 128 random bits, base64url."""
        return b64(RANDOM.draw(16))
