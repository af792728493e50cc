"""A journal in memory (port `Journal`): the same compare-and-swap and the same signed chain, durable nowhere.

Commits are made while they are queued, so a ticket is decided when it is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from navicert.core.digest import bytes_digest
from navicert.core.seal import ZERO, finish, parse
from navicert.model.commit import Commit, Draft, following
from navicert.model.context import ContextEntry
from navicert.model.decision import Place
from navicert.model.errors import NavicertError, Unavailable
from navicert.model.receipt import Log, Receipt, Session, Signature
from navicert.ports import Conflict, Placed, Signer
from navicert.tlog.tree import leaf_hash


class _Decided:
    def __init__(self, receipt: Placed | None, error: BaseException | None) -> None:
        self._receipt = receipt
        self._error = error

    def wait(self, timeout: float) -> Placed | None:
        del timeout
        return self.result()

    def result(self) -> Placed | None:
        if self._error is not None:
            raise self._error
        return self._receipt

    def nudge(self) -> None:
        pass

    def on_done(self, callback: Callable[[], None]) -> None:
        callback()


class MemoryJournal:
    """Rows, entries and log as plain attributes, to be looked at by tests."""

    inline = True

    def __init__(self, signer: Signer, *, origin: str = "memory") -> None:
        self._signer = signer
        self._origin = origin
        self._lock = Lock()
        self._closed = False
        self.rows: dict[str, tuple[Any, int]] = {}
        self.entries: dict[str, list[ContextEntry]] = {}
        self.log: list[bytes] = []
        self.drafts: list[Draft] = []
        self.chains: dict[str, tuple[int, str]] = {}

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return value and version of each row that exists."""
        with self._lock:
            return {key: self.rows[key] for key in keys if key in self.rows}

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the rows that exist under a prefix, in order."""
        with self._lock:
            return sorted(key for key in self.rows if key.startswith(prefix))

    def enqueue(self, commit: Commit, *, lazy: bool = False) -> _Decided:
        """Make a commit; its ticket is decided already."""
        del lazy
        with self._lock:
            if self._closed:
                raise Unavailable("the journal is closed; open a new guard")
            try:
                return _Decided(self._make(commit), None)
            except (Conflict, NavicertError, ValueError) as error:
                return _Decided(None, error)

    def _make(self, commit: Commit) -> Placed | None:
        based = [(item.key, item.expected) for item in commit.writes]
        based += [(item.key, item.expected) for item in commit.reads]
        moved = [key for key, expected in based if self.rows.get(key, (None, 0))[1] != expected]
        if moved:
            raise Conflict(moved)
        receipt = self._append(commit.draft, commit.session_id) if commit.draft is not None else None
        for write in commit.writes:
            if write.value is None:
                self.rows.pop(write.key, None)
            else:
                self.rows[write.key] = (write.value, following(write.expected, commit.tag))
        for session, seq, entry in commit.entries:
            chain = self.entries.setdefault(session, [])
            if seq != len(chain) + 1:
                message = f"entry {seq} of session `{session}` does not follow"
                raise Unavailable(message)
            chain.append(entry)
        return receipt

    def _append(self, draft: Draft, session: str | None) -> Placed:
        previous = bytes_digest(self.log[-1]) if self.log else ZERO
        place = None
        if session is not None:
            count, head = self.chains.get(session, (0, ZERO))
            place = Session(id=session, seq=count + 1, prev=head)
        data = finish(
            draft.receipt,
            Log(origin=self._origin, seq=len(self.log) + 1, prev=previous),
            place,
            Signature(algorithm=self._signer.algorithm, key_id=self._signer.key_id),
            self._signer.sign,
        )
        digest = bytes_digest(data)
        at = Place(log=self._origin, seq=len(self.log) + 1, leaf=leaf_hash(data).hex())
        self.log.append(data)
        self.drafts.append(draft)
        if place is not None:
            self.chains[place.id] = (place.seq, digest)
        return Placed(draft.receipt, digest, at)

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action, in order, each with the SHA-256 of its bytes."""
        with self._lock:
            named = action_id.encode()
            found = [(parse(data), bytes_digest(data)) for data in self.log if named in data]
        return [(item, digest) for item, digest in found if item.action is not None and item.action.id == action_id]

    def witnessed(self, seq: int, timeout: float) -> None:
        """Raise: nobody else ever sees this log."""
        del seq, timeout
        raise Unavailable("a log in memory has no witness")

    def close(self) -> None:
        """Refuse whatever comes next."""
        with self._lock:
            self._closed = True
