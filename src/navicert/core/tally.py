"""Rates and cumulative amounts over a sliding window, in buckets (SharedState; constraints of R3.b).

* A bucket that the window touches counts in full, so that the answer is never too low.
* The ring is bounded: 61 minutes, 49 hours, 32 days; its cost does not grow with the number of actions.
"""

from __future__ import annotations

from typing import Final

from navicert.model.shared import TallyRing

_MICRO: Final = 1_000_000
_RINGS: Final = (("minutes", 60, 61), ("hours", 3_600, 49), ("days", 86_400, 32))


def add(ring: TallyRing, at: int, amount: int) -> TallyRing:
    """Return the ring with one more action at `at` (microseconds) of `amount` (millionths)."""
    second = at // _MICRO
    rings: dict[str, dict[int, tuple[int, int]]] = {}
    for name, width, size in _RINGS:
        buckets: dict[int, tuple[int, int]] = getattr(ring, name)
        start = second // width * width
        count, total = buckets.get(start, (0, 0))
        oldest = start - width * (size - 1)
        rings[name] = {key: value for key, value in buckets.items() if key >= oldest}
        rings[name][start] = (count + 1, total + amount)
    return TallyRing(minutes=rings["minutes"], hours=rings["hours"], days=rings["days"])


def within(ring: TallyRing, window_s: int, now: int) -> tuple[int, int]:
    """Return (count, amount) of the last `window_s` seconds, from the finest ring that reaches so far back."""
    second = now // _MICRO
    for name, width, size in _RINGS:
        if window_s <= width * (size - 1) or name == "days":
            buckets: dict[int, tuple[int, int]] = getattr(ring, name)
            found = [value for start, value in buckets.items() if start + width > second - window_s]
            return sum(count for count, _ in found), sum(total for _, total in found)
    return 0, 0
