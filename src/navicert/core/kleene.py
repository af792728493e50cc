"""Three-valued logic (Kleene): true, false, undetermined (SPEC.md, Settled)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

FALSE: Final = 0
TRUE: Final = 1
UNDETERMINED: Final = 2
_NOT: Final = (TRUE, FALSE, UNDETERMINED)


def negate(value: int) -> int:
    """Return the negation; undetermined stays undetermined."""
    return _NOT[value]


def either(values: Iterable[int]) -> int:
    """Return OR: true if one is, else undetermined if one is."""
    result = FALSE
    for value in values:
        if value == TRUE:
            return TRUE
        if value == UNDETERMINED:
            result = UNDETERMINED
    return result


def every(values: Iterable[int]) -> int:
    """Return AND: false if one is, else undetermined if one is."""
    result = TRUE
    for value in values:
        if value == FALSE:
            return FALSE
        if value == UNDETERMINED:
            result = UNDETERMINED
    return result
