"""Tickets: a commit on its way, for the one who waits for it and the one who makes it (port `Ticket`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Protocol

from navicert.model.commit import Commit
from navicert.model.errors import Unavailable
from navicert.ports import Placed


class Pressing(Protocol):
    """What a ticket asks of its journal."""

    def press(self, ticket: SqliteTicket, timeout: float) -> None:
        """Have the ticket decided, by this thread or another."""
        ...

    def nudge(self) -> None:
        """Have what is queued committed by the journal's own thread."""
        ...


class SqliteTicket:
    """A queued commit."""

    __slots__ = ("_callbacks", "_done", "_journal", "_lock", "abandoned", "commit", "error", "receipt")

    def __init__(self, journal: Pressing, commit: Commit) -> None:
        self.commit = commit
        self.abandoned = False
        self.receipt: Placed | None = None
        self.error: BaseException | None = None
        self._journal = journal
        self._done = Lock()
        self._done.acquire()
        self._lock = Lock()
        self._callbacks: list[Callable[[], None]] | None = []

    @property
    def decided(self) -> bool:
        """Tell whether there is a result."""
        return self._callbacks is None

    def settle(self, receipt: Placed | None, error: BaseException | None) -> None:
        """Decide the ticket, once."""
        with self._lock:
            if self._callbacks is None:
                return
            self.receipt, self.error = receipt, error
            callbacks, self._callbacks = self._callbacks, None
        try:
            for callback in callbacks:
                with suppress(Exception):  # one listener's failure stops neither the writer nor the other listeners
                    callback()
        finally:
            self._done.release()

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call back once decided; at once where it already is."""
        with self._lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
                return
        callback()

    def wait(self, timeout: float) -> Placed | None:
        """Return the signed receipt and its SHA-256, or raise; gives up after `timeout` seconds."""
        if not self.decided:
            self._journal.press(self, timeout)
        if not self._done.acquire(timeout=timeout):
            self.abandoned = True
            raise Unavailable("the store did not answer in time; nothing was permitted")
        self._done.release()
        return self.result()

    def nudge(self) -> None:
        """Have the commit made by the journal's own thread."""
        self._journal.nudge()

    def result(self) -> Placed | None:
        """Return what a decided ticket holds."""
        if self.error is not None:
            raise self.error
        return self.receipt
