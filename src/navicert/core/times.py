"""Times as receipts write them: fixed-width RFC 3339, UTC, microseconds; and durations as policies do."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(micros: int) -> str:
    """Return `2026-11-22T21:17:11.123456Z` for microseconds since the epoch."""
    second, fraction = divmod(micros, 1_000_000)
    return f"{_second(second)}.{fraction:06d}Z"


def micros(text: str) -> int:
    """Return microseconds since the epoch; raises `ValueError` unless the text is exactly what `rfc3339` writes."""
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    value = int(moment.timestamp()) * 1_000_000 + moment.microsecond
    if rfc3339(value) != text:
        raise ValueError("not a fixed-width RFC 3339 time in UTC")
    return value


def spelled(seconds: int) -> str:
    """Return seconds as a duration is written, in the largest unit that they fill."""
    unit = max((unit for unit in UNITS if seconds % UNITS[unit] == 0), key=lambda unit: UNITS[unit])
    return f"{seconds // UNITS[unit]}{unit}"
