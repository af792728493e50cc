"""The journal over SQLite (port `Journal`): WAL, group commit, a file lock for several processes.

* A commit stands whole or not at all: rows under compare-and-swap, entries, receipt (property 3).
* `seq` and `prev` are read, and the receipt is signed, inside the write transaction; the signed bytes are stored.
* Commits are made in the order in which they were queued. The journal never retries; a ticket whose caller has given up
  is not begun any more.
* Who waits for a commit makes it, together with everything that is queued by then; the others find theirs made. A
  thread of the journal's own does so for tasks of an event loop, for outcomes that nobody waits for, and where signing
  may wait.
* The file lock stands around write transactions: without it a second process can starve behind a busy one.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, Final, Protocol, TypeVar

import msgspec

from navicert.adapters.file_lock import locked
from navicert.adapters.store.reading import BUSY_S, Reader, connect, receipt_in
from navicert.adapters.store.schema import migrate
from navicert.adapters.store.ticket import SqliteTicket
from navicert.adapters.store.vault import Vault
from navicert.adapters.system import RANDOM
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest
from navicert.core.seal import ZERO, finish
from navicert.model.commit import Commit, Draft, following
from navicert.model.decision import Place
from navicert.model.errors import NavicertError, Unavailable
from navicert.model.receipt import Log, Receipt, Session, Signature
from navicert.ports import Clock, Conflict, DisclosureKeys, Placed, Signer
from navicert.tlog.tree import leaf_hash

LINGER_S: Final = 0.02
"""How long an outcome that nobody waits for may wait for a decision to share a commit with."""


T = TypeVar("T")


class Attached(Protocol):
    """What makes checkpoints of the log, in this process (`notary.Notary`)."""

    def stir(self, head: int) -> None:
        """The log has grown up to place `head`. Never waits."""
        ...

    def witnessed(self, seq: int, timeout: float) -> None:
        """Return once witnesses have confirmed the log up to this place, or raise `Unavailable`."""
        ...

    def close(self) -> None:
        """Make the last checkpoint."""
        ...


class SqliteJournal:
    """One store file, open for deciding. Close it, or what nobody waited for may be lost and left open."""

    inline = True
    """Reading never waits: in WAL mode a writer does not hold up a reader."""

    def __init__(
        self, path: Path, *, origin: str, vault: Vault, keys: DisclosureKeys, signer: Signer, clock: Clock,
        reload: Callable[[str], Signer] | None = None,
    ) -> None:  # fmt: skip
        """reload: loads the key, by its id, that another process handed the log over to; None: restart for that."""
        self._path = path
        self._origin = origin
        self.vault = vault
        self._keys = keys
        self._signer = signer
        self._clock = clock
        self._reload = reload
        self._queue: deque[SqliteTicket] = deque()
        self._lead = Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._nudged = False
        self._due: float | None = None
        self._dozing = False
        self._closing = False
        self._ending = Lock()
        self._notary: Attached | None = None
        self._refusal: NavicertError | None = None
        self._inline = signer.inline and keys.inline
        self._pid = os.getpid()
        self._versions: dict[str, int] = {}
        self._chains: dict[str, tuple[int, str]] = {}
        self._data_version = -1
        self._head = (0, ZERO)
        with ExitStack() as opened:
            try:
                self._flock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                opened.callback(os.close, self._flock)
                with self._exclusive(monotonic() + BUSY_S):  # two that make a new store at once: one of them does
                    self._writer = connect(path)
                    opened.callback(self._writer.close)
                    migrate(self._writer)
                    self._adopt()
                self._writer.execute("PRAGMA busy_timeout = 0")  # `_begin` waits, and no longer than the caller does
                path.chmod(0o600)
                self._reader = Reader(path, vault)
            except (OSError, sqlite3.Error) as error:
                raise Unavailable(f"{path}: the store cannot be opened: {error}") from None
            opened.pop_all()
        self._files = {item: _file_id(item) for item in (path, path.with_name(path.name + "-wal"))}
        self._thread = Thread(target=self._pump, name="navicert-journal", daemon=True)
        self._thread.start()

    # reading

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return (value, version) of each row that exists; a session's chain is checked against its receipts."""
        self._same_process()
        return self._reader.read(keys)

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action, in order, each with the SHA-256 of its bytes."""
        self._same_process()
        return self._reader.receipts_of(action_id)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the rows that exist under a prefix, in order."""
        self._same_process()
        return self._reader.keys(prefix)

    # queueing

    def enqueue(self, commit: Commit, *, lazy: bool = False) -> SqliteTicket:
        """Queue a commit; returns at once."""
        self._same_process()
        if self._closing:
            raise Unavailable("the journal is closed; open a new guard")
        if self._refusal is not None:
            raise self._refusal
        ticket = SqliteTicket(self, commit)
        self._queue.append(ticket)
        if lazy:
            if self._due is None:
                self._due = monotonic() + LINGER_S
            if self._dozing:
                self._bell.put(None)
        return ticket

    def press(self, ticket: SqliteTicket, timeout: float) -> None:
        """Have a ticket decided: by this thread, or by the journal's where more than the store can make it wait."""
        if not self._inline:
            self.nudge()
            return
        end = monotonic() + timeout
        while not ticket.decided:
            if not self._lead.acquire(timeout=max(0.0, end - monotonic())):
                return
            try:
                if not ticket.decided:
                    self._serve(end)
            finally:
                self._lead.release()

    def nudge(self) -> None:
        """Have the journal's own thread commit what is queued."""
        self._nudged = True
        self._bell.put(None)

    def attach(self, notary: Attached) -> None:
        """Have this one told of what is appended; it is closed with the journal."""
        self._notary = notary

    def witnessed(self, seq: int, timeout: float) -> None:
        """Return once witnesses have confirmed the log up to this place; raises `Unavailable` where they have not."""
        if self._notary is None:
            raise Unavailable("this log has no checkpoints, so there is nothing that a witness could confirm")
        self._notary.witnessed(seq, timeout)

    def alone(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run a change of one's own as one durable transaction, between two commits."""
        end = monotonic() + BUSY_S
        with self._lead, self._exclusive(end), self._transaction(end):
            return change(self._writer)

    def forget(self) -> None:
        """Read the versions of rows anew: a change of one's own has touched them. Within that change."""
        self._versions.clear()

    def shrink(self) -> None:
        """Leave nothing of what was deleted in the files; raises `Unavailable` where a reader needs the old pages."""
        end = monotonic() + BUSY_S
        with self._lead, self._exclusive(end):
            while self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if monotonic() >= end:
                    raise Unavailable("somebody reads the store, so that not all can be overwritten; try again")
                sleep(0.005)

    def refuse(self, error: NavicertError) -> None:
        """Commit nothing any more: this is not the log that others know."""
        self._refusal = error

    def flush(self, timeout: float = 10.0) -> None:
        """Return once everything queued so far is decided."""
        self.enqueue(Commit()).wait(timeout)

    def close(self) -> None:
        """Make what is queued durable, and let go of the files."""
        with self._ending:
            if self._closing:
                return
            self._closing = True
        self._bell.put(None)
        if os.getpid() == self._pid:
            self._thread.join(timeout=30)
            if self._notary is not None:
                self._notary.close()
        self._reader.close()
        self._writer.close()
        os.close(self._flock)

    def _same_process(self) -> None:
        if os.getpid() != self._pid:
            raise Unavailable("this guard was opened before a fork; open one in the child process")

    # writing

    def _pump(self) -> None:
        """The journal's own thread."""
        while True:
            self._rest()
            self._nudged = False
            self._due = None
            with self._lead:
                self._serve(monotonic() + BUSY_S)
            if self._closing and not self._queue:
                return

    def _rest(self) -> None:
        """Wait until something is to be committed.

        For a while after each commit it looks by itself, so that the outcome of what was permitted wakes nobody.
        """
        end = monotonic() + LINGER_S
        while not (self._nudged or self._closing):
            left = (self._due or end) - monotonic()
            if left > 0:
                with suppress(Empty):
                    self._bell.get(timeout=left)
            elif self._due is not None:
                return
            else:
                self._dozing = True  # first this, then the look: `enqueue` does it the other way round
                if self._due is None:
                    self._bell.get()
                self._dozing = False

    def _serve(self, end: float) -> None:
        """Commit everything that is queued. Under the lead."""
        batch: list[SqliteTicket] = []
        while self._queue:
            ticket = self._queue.popleft()
            if ticket.abandoned:
                ticket.settle(None, Unavailable("the caller gave up before the commit was begun"))
            else:
                batch.append(ticket)
        if not batch:
            return
        try:
            self._commit(batch, end)
        finally:  # interrupted on the way: nobody is left waiting
            for ticket in batch:
                if not ticket.decided:
                    ticket.settle(None, Unavailable("the commit was interrupted; nothing was permitted"))

    def _commit(self, batch: list[SqliteTicket], end: float) -> None:
        """Make one batch: every ticket in it that can be stands when this returns, and the others have their error."""
        results: list[tuple[SqliteTicket, Placed | None, BaseException | None]] = []
        try:
            with self._exclusive(end), self._transaction(end):
                rows: dict[str, msgspec.Struct | None] = {}
                for ticket in batch:
                    try:
                        results.append((ticket, self._one(ticket.commit, rows), None))
                    except (Conflict, NavicertError, ValueError) as error:
                        results.append((ticket, None, error))
                self._write_rows(rows)
        except BaseException as error:  # whatever it was, nothing of the batch may count as durable
            self._forget()
            if not isinstance(error, Exception):
                raise  # an interrupt, in the thread of the one who waits
            failure = error if isinstance(error, NavicertError) else Unavailable(f"the store failed: {error}")
            for ticket in batch:
                ticket.settle(None, failure)
            return
        if self._notary is not None:
            self._notary.stir(self._head[0])
        for ticket, receipt, refused in results:
            ticket.settle(receipt, refused)

    def _exclusive(self, end: float) -> AbstractContextManager[None]:
        """Hold the file lock; raises `Unavailable` where another process holds it until `end`."""
        return locked(self._flock, end, "another process holds the store")

    @contextmanager
    def _transaction(self, end: float) -> Iterator[None]:
        self._still_there()
        self._begin(end)
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

    def _begin(self, end: float) -> None:
        if self._writer.in_transaction:  # left by an interrupt
            self._writer.execute("ROLLBACK")
        pause = 0.0002
        while True:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if monotonic() >= end:
                    raise Unavailable("another process holds the store; try again") from None
            sleep(pause)
            pause = min(pause * 2, 0.005)

    def _still_there(self) -> None:
        """Raise `Unavailable` where the files are gone or others: what is written now, nobody would ever see.

        So where this is not the log any more that others know: raises what they found.
        """
        if self._refusal is not None:
            raise self._refusal
        for path, known in self._files.items():
            if known is not None and _file_id(path) != known:
                raise Unavailable(f"the store file `{path.name}` was removed or replaced; restore it, and restart")

    def _adopt(self) -> None:
        """Take the log's head from the store: another process may have written since."""
        row = self._writer.execute("SELECT seq, bytes FROM log ORDER BY seq DESC LIMIT 1").fetchone()
        self._head = (row[0], bytes_digest(row[1])) if row else (0, ZERO)
        current = self._writer.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
        if current is not None and current[0] != self._signer.key_id:
            if self._reload is None:
                raise Unavailable("the signing key was rotated; restart this process to load the new one")
            self._signer = self._reload(current[0])
            self._inline = self._signer.inline and self._keys.inline

    def _forget(self) -> None:
        self._versions.clear()
        self._chains.clear()
        self._data_version = -1

    def _one(self, commit: Commit, rows: dict[str, msgspec.Struct | None]) -> Placed | None:
        based = [(item.key, item.expected) for item in commit.writes]
        based += [(item.key, item.expected) for item in commit.reads]
        moved = [key for key, expected in based if self._version(key) != expected]
        if moved:
            raise Conflict(moved)
        receipt = self._append(commit.draft, commit.session_id) if commit.draft is not None else None
        for write in commit.writes:
            self._versions[write.key] = following(write.expected, commit.tag) if write.value is not None else 0
            rows[write.key] = write.value
        execute = self._writer.execute
        for session, seq, entry in commit.entries:
            sealed = self.vault.seal_to_keep(f"entry/{session}/{seq}", state_bytes(entry))
            execute("INSERT INTO entry VALUES (?, ?, ?)", (session, seq, sealed))
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
            values.append((key, version, now, self.vault.seal(f"row/{key}/{version}", state_bytes(value))))
        self._writer.executemany(
            "INSERT INTO row VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (key) DO UPDATE SET version = ?2, updated_at = ?3, value = ?4",
            values,
        )

    def _append(self, draft: Draft, session: str | None) -> Placed:
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
            self._sign,
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
        return Placed(receipt, digest, Place(log=self._origin, seq=seq, leaf=leaf_hash(data).hex()))

    def _sign(self, message: bytes) -> bytes:
        signature = self._signer.sign(message)
        if type(signature) is not bytes or len(signature) != 64:
            raise Unavailable("the signer did not answer with a signature; nothing was recorded")
        return signature

    def _seal(self, draft: Draft) -> tuple[bytes | None, bytes | None]:
        if not draft.disclosures:
            return None, None
        key = RANDOM.draw(32)
        sealed = Vault(key).seal_to_keep(f"disclosures/{draft.receipt.receipt_id}", b"\n".join(draft.disclosures))
        wrapped = self._keys.wrap(draft.subject, key)
        if type(wrapped) is not bytes or not wrapped:
            raise Unavailable("the keys of disclosures did not answer with a wrapped key; nothing was recorded")
        return wrapped, sealed

    def _chain(self, session: str) -> tuple[int, str]:
        chain = self._chains.get(session)
        if chain is None:
            row = self._writer.execute(
                "SELECT bytes FROM log WHERE session = ? ORDER BY seq DESC LIMIT 1", (session,)
            ).fetchone()
            place = receipt_in(row[0]).session if row else None
            chain = (place.seq, bytes_digest(row[0])) if place is not None else (0, ZERO)
            if len(self._chains) > 20_000:
                self._chains.clear()
            self._chains[session] = chain
        return chain


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
