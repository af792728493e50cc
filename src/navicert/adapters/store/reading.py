"""Reading the store: rows in one snapshot, and a session held against its entries and receipts (R2.f)."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Final

import msgspec

from navicert.adapters.store.vault import Vault
from navicert.core.accumulate import accumulate, fold
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest, entry_digest
from navicert.core.seal import parse
from navicert.model.context import ContextEntry, SessionContext
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.receipt import Receipt
from navicert.model.shared import ROWS

BUSY_S: Final = 5.0
_MOST_CHECKED: Final = 512
"""So many sessions are kept as they were checked; they are the values that the engine works on, too."""
_ENTRY: Final = msgspec.json.Decoder(ContextEntry)


class Reader:
    """A connection that only reads; in WAL mode no writer holds it up."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self._vault = vault
        self._lock = Lock()
        self._checked: OrderedDict[str, SessionContext] = OrderedDict()
        """By session, its context as it was held against its entries last."""
        self._connection = connect(path)

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._connection.close()

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return (value, version) of each row that exists; a session's chain is checked against its receipts."""
        found: dict[str, tuple[Any, int]] = {}
        with self._lock, _as_unavailable():
            # one snapshot, so that a session is compared with the receipts that belong to it
            alone = len(keys) == 1 and not keys[0].startswith("session/")
            if not alone:
                self._connection.execute("BEGIN")
            try:
                for key in keys:
                    row = self._connection.execute("SELECT version, value FROM row WHERE key = ?", (key,)).fetchone()
                    if row is not None:
                        found[key] = (open_row(self._vault, key, *row), row[0])
                        if key.startswith("session/"):
                            self._check_session(found[key][0])
            finally:
                if not alone:
                    self._connection.execute("COMMIT")
        return found

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the rows under a prefix (one that ends in `/`), in order."""
        with self._lock, _as_unavailable():
            rows = self._connection.execute(
                "SELECT key FROM row WHERE key >= ? AND key < ? ORDER BY key", (prefix, prefix[:-1] + "0")
            )
            return [key for (key,) in rows]

    def _check_session(self, context: SessionContext) -> None:
        """Hold a loaded context against its entries and its newest receipt (R2.f).

        Against all entries at the first load, afterwards against those that have come since.
        """
        session = context.session_id
        row = self._connection.execute(
            "SELECT bytes FROM log WHERE session = ? ORDER BY seq DESC LIMIT 1", (session,)
        ).fetchone()
        part = receipt_in(row[0]).context if row is not None else None
        length, head = (part.length, part.head) if part is not None else (0, "")
        known = self._checked.get(session)
        entries = [
            entry for _, entry in entries_of(self._connection, self._vault, session, known.length if known else 0)
        ]
        folded = (fold(entries) if entries else None) if known is None else reduce(accumulate, entries, known)
        if folded != context:
            raise IntegrityError(
                f"the context of session `{session}` does not follow from its entries; run `navicert verify`"
            )
        if known is None:
            named = row is None or _head_at(entries, length) == head
        else:
            since = (entry for _, entry in entries_of(self._connection, self._vault, session, length))
            named = _head_at(since, None, head) == context.head
        if not named:
            raise IntegrityError(
                f"the context of session `{session}` is not the one its receipts name; run `navicert verify`"
            )
        self._checked[session] = context
        self._checked.move_to_end(session)
        while len(self._checked) > _MOST_CHECKED:
            self._checked.popitem(last=False)  # it is held against all of its entries again

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action, in order, each with the SHA-256 of its bytes."""
        with self._lock, _as_unavailable():
            rows = self._connection.execute(
                "SELECT bytes FROM log WHERE action = ? ORDER BY seq", (action_id,)
            ).fetchall()
        return [(receipt_in(data), bytes_digest(data)) for (data,) in rows]


def open_row(vault: Vault, key: str, version: int, sealed: bytes) -> Any:
    """Return the value of a sealed row; raises `IntegrityError` where it was changed or does not decode."""
    data = vault.open(f"row/{key}/{version}", sealed)
    try:
        return msgspec.json.decode(data, type=ROWS[key.partition("/")[0]])
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"the row `{key}` does not decode: {error}") from None


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection with this store's settings: WAL, full durability, freed pages overwritten."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    connection.execute("PRAGMA page_size = 8192")  # an entry of the log takes 2.5 KB: three to a page, not one
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
            raise IntegrityError(f"entry {expected} of session `{session}` is missing")
        yield seq, _ENTRY.decode(vault.open(f"entry/{session}/{seq}", sealed))


def _head_at(entries: Iterable[ContextEntry], length: int | None, head: str = "") -> str:
    """Return the head of a chain behind so many more entries (None: all of them)."""
    for entry in islice(entries, length):
        head = entry_digest(head, state_bytes(entry))
    return head


def receipt_in(data: bytes) -> Receipt:
    """Return the receipt that stored bytes hold; raises `IntegrityError` where they are damaged."""
    try:
        return parse(data)
    except ValueError as error:
        raise IntegrityError(f"the newest receipt of a session is damaged ({error}); run `navicert verify`") from None


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(f"the store cannot be read: {error}") from None
