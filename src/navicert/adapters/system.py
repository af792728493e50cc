"""Clock and ids of this machine (ports `Clock`, `Ids`)."""

from __future__ import annotations

import os
import time

from navicert.core.seal import b64

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        """Return microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000


class SystemIds:
    """Ids in the form of ULIDs: 48 bits of milliseconds, 80 bits from the operating system, Crockford base 32."""

    def new(self, prefix: str) -> str:
        """Return a fresh id, `prefix_` and 26 characters."""
        number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
        return prefix + "_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))

    def salt(self) -> str:
        """Return 128 random bits, base64url."""
        return b64(os.urandom(16))
