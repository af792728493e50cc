"""What others do to a store between two steps of an engine, at the very place where it matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class Meanwhile:
    """A journal at whose calls something else happens first, once. Everything is passed on."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._next: list[tuple[str, Callable[[Any], bool], Callable[[], object]]] = []
        self.happened = 0
        """So often something happened."""

    def at(self, call: str, act: Callable[[], object], *, of: Callable[[Any], bool] = lambda _: True) -> None:
        """Have something happen before the next `call` (`read`, `keys`, `enqueue`) whose argument `of` accepts."""
        self._next.append((call, of, act))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in {"read", "keys", "enqueue", "receipts_of"}:
            return found

        def passed(subject: Any, **more: Any) -> Any:
            for item in list(self._next):
                if item[0] == name and item[1](subject):
                    self._next.remove(item)
                    self.happened += 1
                    item[2]()
            return found(subject, **more)

        return passed


def reading(*starts: str) -> Callable[[Any], bool]:
    """Accept a read of a row whose key begins so."""
    return lambda keys: any(key.startswith(starts) for key in keys)


def writing(*starts: str) -> Callable[[Any], bool]:
    """Accept a commit that writes a row whose key begins so."""
    return lambda commit: any(write.key.startswith(starts) for write in commit.writes)


class Gone:
    """An engine's rows: the one that is looked at as number `at` is gone, as a thread's failed commit drops it."""

    def __init__(self, engine: Any, at: int) -> None:
        self._rows = engine._works.rows
        self._get = self._rows.get
        self._left = at

    def __enter__(self) -> Self:
        self._rows.get = self._one
        return self

    def __exit__(self, *_: object) -> None:
        del self._rows.get

    @property
    def over(self) -> bool:
        """So many rows were not looked at."""
        return self._left > 0

    def _one(self, key: str) -> Any:
        self._left -= 1
        if self._left == 0:
            self._rows.drop((key,))
        return self._get(key)


class Before:
    """A lock before which something happens, once: as another thread does it that had the lock until then."""

    def __init__(self, inner: Any, act: Callable[[], object]) -> None:
        self._inner = inner._inner if isinstance(inner, Before) else inner
        self._act: Callable[[], object] | None = act

    @property
    def left(self) -> bool:
        """Nobody has taken the lock yet."""
        return self._act is not None

    def __enter__(self) -> Any:
        act, self._act = self._act, None
        if act is not None:
            act()
        return self._inner.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)
