"""The journal over SQLite (ports `Journal`): WAL, one writer thread, group commit, a file lock for several processes.

* A commit stands whole or not at all: rows under compare-and-swap, context entries, receipt, pending wait (property 3).
* `seq` and `prev` are read, and the receipt is signed, inside the write transaction; the exact signed bytes are stored.
* Commits are made in the order in which they were queued. The journal never retries; a ticket whose caller has given up
  is not begun any more.
* The file lock stands around write transactions: without it a second process can starve behind a busy one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any, Final

import msgspec

from navicert.adapters.store.schema import migrate
from navicert.adapters.store.vault import Vault
from navicert.core.accumulate import fold
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest, entry_digest
from navicert.core.seal import ZERO, disclosure, finish, parse
from navicert.model.commit import Commit, Draft
from navicert.model.context import ContextEntry, SessionContext
from navicert.model.errors import IntegrityError, NavicertError, Unavailable
from navicert.model.receipt import Log, Receipt, Session, Signature
from navicert.model.shared import ROWS
from navicert.ports import Clock, Conflict, DisclosureKeys, Signer

BUSY_MS: Final = 5_000
LINGER_S: Final = 0.02
"""How long an outcome that nobody waits for may wait for a decision to share a commit with."""
_ENTRY: Final = msgspec.json.Decoder(ContextEntry)


class SqliteTicket:
    """A queued commit."""

    __slots__ = ("_callbacks", "_done", "_lock", "abandoned", "commit", "error", "lazy", "receipt")

    def __init__(self, commit: Commit, *, lazy: bool) -> None:
        self.commit = commit
        self.lazy = lazy
        self.abandoned = False
        self.receipt: tuple[Receipt, str] | None = None
        self.error: BaseException | None = None
        self._done = Lock()
        self._done.acquire()
        self._lock = Lock()
        self._callbacks: list[Callable[[], None]] | None = []

    def settle(self, receipt: tuple[Receipt, str] | None, error: BaseException | None) -> None:
        """Decide the ticket, once."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
            if callbacks is None:
                return
            self.receipt, self.error = receipt, error
        for callback in callbacks:
            callback()
        self._done.release()

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call back once decided; at once where it already is."""
        with self._lock:
            if self._callbacks is not None:
                self._callbacks.append(callback)
                return
        callback()

    def wait(self, timeout: float) -> tuple[Receipt, str] | None:
        """Return the signed receipt and its SHA-256, or raise; gives up after `timeout` seconds."""
        if not self._done.acquire(timeout=timeout):
            self.abandoned = True
            message = f"the store did not answer within {timeout:g} s; nothing was permitted"
            raise Unavailable(message)
        self._done.release()
        return self.result()

    def result(self) -> tuple[Receipt, str] | None:
        """Return what a decided ticket holds."""
        if self.error is not None:
            raise self.error
        return self.receipt


class SqliteJournal:
    """One store file, open for deciding. Close it, or what nobody waited for may be lost and left open."""

    inline = True
    """Reading never waits: in WAL mode a writer does not hold up a reader."""

    def __init__(
        self, path: Path, *, origin: str, vault: Vault, keys: DisclosureKeys, signer: Signer, clock: Clock
    ) -> None:
        self._path = path
        self._origin = origin
        self._vault = vault
        self._keys = keys
        self._signer = signer
        self._clock = clock
        self._queue: deque[SqliteTicket] = deque()
        self._wake = Condition(Lock())
        self._closing = False
        self._pid = os.getpid()
        self._read_lock = Lock()
        self._checked: set[str] = set()
        self._versions: dict[str, int] = {}
        self._chains: dict[str, tuple[int, str]] = {}
        self._data_version = -1
        self._head = (0, ZERO)
        self._flock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._writer = connect(path)
        with self._exclusive():
            migrate(self._writer)
            self._adopt()
        path.chmod(0o600)
        self._reader = connect(path)
        self._thread = Thread(target=self._serve, name="navicert-journal", daemon=True)
        self._thread.start()

    # reading

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return (value, version) of each row that exists; a session's chain is checked against its receipts."""
        self._same_process()
        found: dict[str, tuple[Any, int]] = {}
        with self._read_lock, _as_unavailable():
            # one snapshot, so that a session is compared with the receipts that belong to it
            self._reader.execute("BEGIN")
            try:
                for key in keys:
                    row = self._reader.execute("SELECT version, value FROM row WHERE key = ?", (key,)).fetchone()
                    if row is not None:
                        found[key] = (self._open_row(key, *row), row[0])
                        if key.startswith("session/"):
                            self._check_session(found[key][0])
            finally:
                self._reader.execute("COMMIT")
        return found

    def _open_row(self, key: str, version: int, sealed: bytes) -> Any:
        data = self._vault.open(f"row/{key}/{version}", sealed)
        try:
            return msgspec.json.decode(data, type=ROWS[key.partition("/")[0]])
        except msgspec.MsgspecError as error:
            message = f"the row `{key}` does not decode: {error}"
            raise IntegrityError(message) from None

    def _check_session(self, context: SessionContext) -> None:
        """Hold a loaded context against its entries and its newest receipt (R2.f); all entries at the first load."""
        session = context.session_id
        row = self._reader.execute(
            "SELECT bytes FROM log WHERE session = ? ORDER BY seq DESC LIMIT 1", (session,)
        ).fetchone()
        length, head = 0, ""
        if row is not None:
            part = _receipt(row[0]).context
            if part is not None:
                length, head = part.length, part.head
        if session not in self._checked:
            entries = [entry for _, entry in entries_of(self._reader, self._vault, session, 0)]
            folded = fold(entries) if entries else None
            if folded != context:
                message = f"the context of session `{session}` does not follow from its entries; run `navicert verify`"
                raise IntegrityError(message)
            if row is not None and _head_at(entries, length) != head:
                message = f"the context of session `{session}` is not the one its receipts name; run `navicert verify`"
                raise IntegrityError(message)
            self._checked.add(session)
            return
        for _, entry in entries_of(self._reader, self._vault, session, length):
            head = entry_digest(head, state_bytes(entry))
        if head != context.head:
            message = f"the context of session `{session}` is not the one its receipts name; run `navicert verify`"
            raise IntegrityError(message)

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action, in order, each with the SHA-256 of its bytes."""
        self._same_process()
        with self._read_lock, _as_unavailable():
            rows = self._reader.execute(
                "SELECT bytes FROM log WHERE action = ? ORDER BY seq", (action_id,)
            ).fetchall()
        return [(_receipt(data), bytes_digest(data)) for (data,) in rows]

    # queueing

    def enqueue(self, commit: Commit, *, lazy: bool = False) -> SqliteTicket:
        """Queue a commit; returns at once."""
        self._same_process()
        ticket = SqliteTicket(commit, lazy=lazy)
        with self._wake:
            if self._closing:
                raise Unavailable("the journal is closed; open a new guard")
            self._queue.append(ticket)
            self._wake.notify()
        return ticket

    def purge(self, *, before: int) -> int:
        """Delete the context of sessions that ended, or last moved, before `before` (microseconds); return how many.

        Receipts stay. Freed pages are overwritten (R2: context is purged after session end plus retention).
        """
        with self._exclusive(), self._transaction():
            rows = self._writer.execute(
                "SELECT key FROM row WHERE key >= 'session/' AND key < 'session0' AND updated_at < ?", (before,)
            ).fetchall()
            for (key,) in rows:
                self._writer.execute("DELETE FROM entry WHERE session = ?", (key.partition("/")[2],))
                self._writer.execute("DELETE FROM row WHERE key = ?", (key,))
            self._versions.clear()
        return len(rows)

    def flush(self, timeout: float = 10.0) -> None:
        """Return once everything queued so far is decided."""
        self.enqueue(Commit()).wait(timeout)

    def close(self) -> None:
        """Make what is queued durable, and let go of the files."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        if os.getpid() == self._pid:
            self._thread.join(timeout=30)
        with self._read_lock:
            self._reader.close()
        self._writer.close()
        os.close(self._flock)

    def _same_process(self) -> None:
        if os.getpid() != self._pid:
            raise Unavailable("this guard was opened before a fork; open one in the child process")

    # writing

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    return
                if all(ticket.lazy for ticket in self._queue) and not self._closing:
                    self._wake.wait(LINGER_S)
                batch = list(self._queue)
                self._queue.clear()
            self._commit([ticket for ticket in batch if not ticket.abandoned])
            for ticket in batch:
                if ticket.abandoned:
                    ticket.settle(None, Unavailable("the caller gave up before the commit was begun"))

    def _commit(self, batch: list[SqliteTicket]) -> None:
        """Make one batch: every ticket in it that can be stands when this returns, and the others have their error."""
        results: list[tuple[SqliteTicket, tuple[Receipt, str] | None, BaseException | None]] = []
        try:
            with self._exclusive(), self._transaction():
                rows: dict[str, msgspec.Struct | None] = {}
                for ticket in batch:
                    try:
                        results.append((ticket, self._one(ticket.commit, rows), None))
                    except (Conflict, NavicertError, ValueError) as error:
                        results.append((ticket, None, error))
                self._write_rows(rows)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing of the batch may count as durable
            self._forget()
            failure = error if isinstance(error, NavicertError) else Unavailable(f"the store failed: {error}")
            for ticket in batch:
                ticket.settle(None, failure)
            return
        for ticket, receipt, refused in results:
            ticket.settle(receipt, refused)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._flock, fcntl.LOCK_UN)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            (data_version,) = self._writer.execute("PRAGMA data_version").fetchone()
            if data_version != self._data_version:
                self._forget()
                self._adopt()
                self._data_version = data_version
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    def _adopt(self) -> None:
        """Take the log's head from the store: another process may have written since."""
        row = self._writer.execute("SELECT seq, bytes FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        self._head = (row[0], bytes_digest(row[1])) if row else (0, ZERO)
        retired = self._writer.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
        if retired is not None and retired[0] != self._signer.key_id:
            raise Unavailable("the signing key was rotated; restart this process to load the new one")

    def _forget(self) -> None:
        self._versions.clear()
        self._chains.clear()
        self._data_version = -1

    def _one(self, commit: Commit, rows: dict[str, msgspec.Struct | None]) -> tuple[Receipt, str] | None:
        based = [(item.key, item.expected) for item in commit.writes]
        based += [(item.key, item.expected) for item in commit.reads]
        moved = [key for key, expected in based if self._version(key) != expected]
        if moved:
            raise Conflict(moved)
        receipt = self._append(commit.draft, commit.session_id) if commit.draft is not None else None
        for write in commit.writes:
            self._versions[write.key] = write.expected + 1 if write.value is not None else 0
            rows[write.key] = write.value
        execute = self._writer.execute
        for session, seq, entry in commit.entries:
            sealed = self._vault.seal(f"entry/{session}/{seq}", state_bytes(entry))
            execute("INSERT INTO entry VALUES (?, ?, ?)", (session, seq, sealed))
        if commit.pending is not None:
            item = commit.pending
            sealed = self._vault.seal(f"pending/{item.handle}", msgspec.json.encode(item))
            execute(
                "INSERT INTO pending VALUES (?, ?, ?, 'waiting', ?)",
                (item.handle, item.session_id, item.deadline, sealed),
            )
        if commit.policy is not None:
            execute("INSERT OR IGNORE INTO policy VALUES (?, ?)", commit.policy)
        return receipt

    def _version(self, key: str) -> int:
        version = self._versions.get(key)
        if version is None:
            row = self._writer.execute("SELECT version FROM row WHERE key = ?", (key,)).fetchone()
            version = row[0] if row else 0
            if len(self._versions) > 100_000:
                self._versions.clear()
            self._versions[key] = version
        return version

    def _write_rows(self, rows: dict[str, msgspec.Struct | None]) -> None:
        now = self._clock.now()
        values = []
        for key, value in rows.items():
            if value is None:
                self._writer.execute("DELETE FROM row WHERE key = ?", (key,))
                continue
            version = self._versions[key]
            values.append((key, version, now, self._vault.seal(f"row/{key}/{version}", state_bytes(value))))
        self._writer.executemany(
            "INSERT INTO row VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (key) DO UPDATE SET version = ?2, updated_at = ?3, value = ?4",
            values,
        )

    def _append(self, draft: Draft, session: str | None) -> tuple[Receipt, str]:
        """Place, sign and store one receipt; the chains move only here."""
        seq, prev = self._head[0] + 1, self._head[1]
        place = None
        if session is not None:
            count, head = self._chain(session)
            place = Session(id=session, seq=count + 1, prev=head)
        data = finish(
            draft.receipt,
            Log(origin=self._origin, seq=seq, prev=prev),
            place,
            Signature(algorithm=self._signer.algorithm, key_id=self._signer.key_id),
            self._signer.sign,
        )
        digest = bytes_digest(data)
        receipt = draft.receipt
        wrapped, sealed = self._seal(draft)
        self._writer.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq,
                session,
                receipt.action.id if receipt.action else None,
                receipt.kind,
                data,
                draft.subject or None,
                wrapped,
                sealed,
            ),
        )
        self._head = (seq, digest)
        if place is not None:
            self._chains[place.id] = (place.seq, digest)
        return receipt, digest

    def _seal(self, draft: Draft) -> tuple[bytes | None, bytes | None]:
        if not draft.disclosures:
            return None, None
        key = os.urandom(32)
        texts = [disclosure(*item) for item in draft.disclosures]
        sealed = Vault(key).seal(f"disclosures/{draft.receipt.receipt_id}", msgspec.json.encode(texts))
        return self._keys.wrap(draft.subject, key), sealed

    def _chain(self, session: str) -> tuple[int, str]:
        chain = self._chains.get(session)
        if chain is None:
            row = self._writer.execute(
                "SELECT bytes FROM log WHERE session = ? ORDER BY seq DESC LIMIT 1", (session,)
            ).fetchone()
            place = _receipt(row[0]).session if row else None
            chain = (place.seq, bytes_digest(row[0])) if place is not None else (0, ZERO)
            if len(self._chains) > 20_000:
                self._chains.clear()
            self._chains[session] = chain
        return chain


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with this store's settings: WAL, full durability, freed pages overwritten."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def entries_of(
    connection: sqlite3.Connection, vault: Vault, session: str, after: int
) -> Iterator[tuple[int, ContextEntry]]:
    """Yield (place, entry) of a session's chain behind place `after`; raises `IntegrityError` at a gap."""
    rows = connection.execute(
        "SELECT seq, value FROM entry WHERE session = ? AND seq > ? ORDER BY seq", (session, after)
    )
    expected = after
    for seq, sealed in rows:
        expected += 1
        if seq != expected:
            message = f"entry {expected} of session `{session}` is missing"
            raise IntegrityError(message)
        yield seq, _ENTRY.decode(vault.open(f"entry/{session}/{seq}", sealed))


def _head_at(entries: list[ContextEntry], length: int) -> str:
    head = ""
    for entry in entries[:length]:
        head = entry_digest(head, state_bytes(entry))
    return head


def _receipt(data: bytes) -> Receipt:
    try:
        return parse(data)
    except ValueError as error:
        message = f"the newest receipt of a session is damaged ({error}); run `navicert verify`"
        raise IntegrityError(message) from None


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        message = f"the store cannot be read: {error}"
        raise Unavailable(message) from None
