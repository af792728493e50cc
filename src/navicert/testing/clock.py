"""A clock that stands still and ids that count (ports `Clock`, `Ids`): the same run gives the same receipts."""

from __future__ import annotations

from itertools import count
from typing import Final

START: Final = 1_800_000_000_000_000
"""2027-01-15T08:00:00Z, in microseconds."""


class FrozenClock:
    """Time moves only when `tick` is called."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def now(self) -> int:
        """Return microseconds since the epoch, UTC."""
        return self.at

    def tick(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self.at += int(seconds * 1_000_000)


class CountingIds:
    """`act_00000000000000000000000001`, and so on: in the form of real ids, and predictable."""

    def __init__(self, first: int = 1) -> None:
        self._numbers = count(first)

    def new(self, prefix: str) -> str:
        """Return the next id."""
        return f"{prefix}_{next(self._numbers):026d}"

    def salt(self) -> str:
        """Return the next salt, 22 characters as real ones have."""
        return f"{next(self._numbers):022d}"
