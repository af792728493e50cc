"""The engine's view of the journal's rows: what is cached, and what is staged but not yet durable.

* A staged value is what the next decision is judged on, before its commit is durable: two actions of a session are
  never judged on the same past. If the commit fails, so do all that were staged upon it, by compare-and-swap.
* Bounded: the least recently used rows go first; a row that is gone is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any, Final

from navicert.model.errors import Unavailable
from navicert.model.shared import ROWS

_LIMIT: Final = 50_000


class Rows:
    """Key → (value, version); value None and version 0 for a row that does not exist."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> tuple[Any, int] | None:
        """Return the row, or None where it is not cached."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Return the keys that have to be read."""
        return [key for key in keys if key not in self._rows]

    def fill(self, keys: Iterable[str], found: Mapping[str, tuple[Any, int]]) -> None:
        """Take in what was read; never over something newer."""
        with self._lock:
            for key in keys:
                value, version = found.get(key, (None, 0))
                held = self._rows.get(key)
                if held is None or held[1] < version:
                    self._rows[key] = (value, version)
            while len(self._rows) > _LIMIT:
                self._rows.popitem(last=False)

    def stage(self, key: str, value: Any, version: int) -> None:
        """Put a value in place, at the version that it will have, before it is durable."""
        with self._lock:
            self._rows[key] = (value, version if value is not None else 0)
            self._rows.move_to_end(key)

    def drop(self, keys: Iterable[str]) -> None:
        """Forget rows; they are read again."""
        with self._lock:
            for key in keys:
                self._rows.pop(key, None)


def check_rows(found: Any) -> None:
    """Raise `Unavailable` unless the journal answered with rows: nothing else may reach the cache."""
    if not isinstance(found, dict):
        raise Unavailable("the store answered with something else than rows; nothing was permitted")
    for key, row in found.items():
        kind = ROWS.get(str(key).partition("/")[0])
        if kind is None or type(row) is not tuple or not isinstance(row[0], kind) or type(row[1]) is not int:
            message = f"the store answered with something else than the row `{key}`; nothing was permitted"
            raise Unavailable(message)
