"""What one check of `navicert doctor` found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

_SHOWN: Final = 3


class Finding(NamedTuple):
    """What one check found. level: ok, note, warning, error, or unknown: what could not be measured."""

    code: str
    level: str
    what: str
    where: str = ""
    do: str = ""


def some(texts: Sequence[str]) -> str:
    """Return the first few of many, in words."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
