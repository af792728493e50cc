"""Documents that are held for a while: parsed once, known by digest, and never used beyond their time (R6.c).

* A file is looked at on every use and read again when it has changed; unreadable is unusable, at once.
* An address is asked again after half the time that its answer may be used, so that one failure costs nothing. When
  the answer is too old and the address silent, nothing is handed out: fail closed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

from navicert.adapters.identity.fetch import FetchError, Stamp, is_address, read_address, read_file, stamp_of
from navicert.model.errors import Unvouched

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
SECOND: Final = 1_000_000
SKEW: Final = 30 * SECOND
_RETRY: Final = 5 * SECOND
_PATIENCE_S: Final = 3.0
_SETTLED_NS: Final = 1_000_000_000


class Copy(Generic[T_co]):
    """One document as it was had: its value, the SHA-256 of its bytes, when they were fetched (microseconds, UTC)."""

    __slots__ = ("digest", "fetched_at", "value")

    def __init__(self, value: T_co, digest: str, fetched_at: int) -> None:
        self.value = value
        self.digest = digest
        self.fetched_at = fetched_at


class Held(Protocol[T_co]):
    """A document, kept up to date. Called from any thread; raises `Unvouched` where it cannot be had."""

    @property
    def inline(self) -> bool:
        """True where it never waits for another machine."""
        ...

    def get(self, now: int) -> Copy[T_co]:
        """Return the document as it is in force."""
        ...

    def again(self, now: int) -> Copy[T_co]:
        """Return it as it is now, because something is missing from it; has a cool-down where asking costs."""
        ...


def hold(place: str, home: Path, *, what: str, parse: Callable[[bytes], T], fresh_s: float, cool_s: float) -> Held[T]:
    """Return the document at a place: an address, or a file relative to the home folder. `parse` raises `FetchError`.

    fresh_s: for how long an address's answer may be used. cool_s: how often `again` may ask it.
    """
    if is_address(place):
        return AddressDocument(place, what=what, parse=parse, fresh=int(fresh_s * SECOND), cool=int(cool_s * SECOND))
    return FileDocument(place, home / place, what=what, parse=parse)


class FileDocument(Generic[T]):
    """A document in a file; `name` is how messages call it."""

    inline = True

    def __init__(self, name: str, path: Path, *, what: str, parse: Callable[[bytes], T]) -> None:
        self._name = name
        self._path = path
        self._what = what
        self._parse = parse
        self._held: tuple[Stamp | None, Copy[T]] | None = None

    def get(self, now: int) -> Copy[T]:
        """Return the file's document, read again where the file has changed."""
        held = self._held
        try:
            if held is not None and held[0] == stamp_of(self._path.stat()):
                return held[1]
            data, stamp = read_file(self._path)
            digest = hashlib.sha256(data).hexdigest()
            value = held[1].value if held is not None and held[1].digest == digest else self._parse(data)
        except OSError as error:
            raise self._unusable(FetchError(f"cannot be read ({error.strerror})")) from None
        except FetchError as error:
            raise self._unusable(error) from None
        copy = Copy(value, digest, now)
        # two writes within one tick of the file system leave the same stamp: it counts only once it is old enough
        settled = time.time_ns() - stamp[1] > _SETTLED_NS
        self._held = (stamp if settled else None, copy)
        return copy

    def again(self, now: int) -> Copy[T]:
        """Return what `get` returns: it has looked already."""
        return self.get(now)

    def _unusable(self, error: FetchError) -> Unvouched:
        return Unvouched(f"{self._what} `{self._name}` {error}; the operator must restore the file")


class AddressDocument(Generic[T]):
    """A document at an address. One thread asks at a time; the others use what is held, as long as it may be used."""

    inline = False

    def __init__(self, address: str, *, what: str, parse: Callable[[bytes], T], fresh: int, cool: int) -> None:
        self._address = address
        self._what = what
        self._parse = parse
        self._fresh = fresh
        self._cool = cool
        self._asking = Lock()
        self._held: Copy[T] | None = None
        self._forced_at: int | None = None
        self._failed: tuple[int, str] | None = None

    def get(self, now: int) -> Copy[T]:
        """Return what is held, asked for again where it is half as old as it may be, or older."""
        held = self._held
        if held is not None and _within(now, held.fetched_at, self._fresh // 2):
            return held
        usable = held is not None and _within(now, held.fetched_at, self._fresh)
        if not self._asking.acquire(timeout=0 if usable else _PATIENCE_S):
            if usable and held is not None:
                return held
            raise self._unusable("has been asked, and does not answer")
        try:
            if self._held is held and not (self._failed is not None and _within(now, self._failed[0], _RETRY)):
                self._ask(now)
            held = self._held
        finally:
            self._asking.release()
        if held is None or not _within(now, held.fetched_at, self._fresh):
            raise self._unusable(self._failed[1] if self._failed is not None else "does not answer")
        return held

    def again(self, now: int) -> Copy[T]:
        """Ask once more, unless that was done within the cool-down; return what is held after that."""
        if self._asking.acquire(timeout=_PATIENCE_S):
            try:
                if self._forced_at is None or not _within(now, self._forced_at, self._cool):
                    self._forced_at = now
                    self._ask(now)
            finally:
                self._asking.release()
        return self.get(now)

    def _ask(self, now: int) -> None:
        try:
            data = read_address(self._address)
            digest = hashlib.sha256(data).hexdigest()
            value = self._held.value if self._held is not None and self._held.digest == digest else self._parse(data)
        except FetchError as error:
            self._failed = (now, str(error))
        else:
            self._held = Copy(value, digest, now)
            self._failed = None

    def _unusable(self, why: str) -> Unvouched:
        state = "not there yet" if self._held is None else "stale"
        return Unvouched(
            f"{self._what} from `{self._address}` is {state}: the address {why}; "
            "the operator must see to it, nothing is permitted until it answers"
        )


def _within(now: int, since: int, span: int) -> bool:
    """Tell whether less than `span` has gone by; a clock that was set back makes it false."""
    return -SKEW <= now - since < span
