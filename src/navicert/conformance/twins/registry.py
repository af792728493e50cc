"""Sabotages, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TWINS: Final[dict[str, Callable[[], None]]] = {}


def twin(function: Callable[[], None]) -> Callable[[], None]:
    """Register a sabotage under its function's name; the first line of its docstring says what is gone."""
    TWINS[function.__name__] = function
    return function
