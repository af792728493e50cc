"""The hand-over of a log from one signing key to the next, as one transaction (DESIGN.md section 7: `key` records)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from navicert.adapters.file_lock import locked
from navicert.adapters.store.reading import connect
from navicert.adapters.store.schema import migrate
from navicert.core.digest import bytes_digest
from navicert.core.seal import ZERO, finish
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.receipt import Log, Receipt, Signature
from navicert.ports import Signer

WAIT_S: Final = 5.0


def append_key_record(
    path: Path, origin: str, signer: Signer, draft: Callable[[], Receipt], *, retires: str | None = None
) -> bytes:
    """Append a `key` record, signed by the key that it retires; returns its bytes, durable.

    retires: the id of that key, where it is lost and the log's own key signs in its place.

    In the same transaction the store takes note of the new key: from then on every engine that holds the old one gets
    `Unavailable`, and nothing more is signed by it. Raises `Unavailable` where the store is busy.
    """
    connection = connect(path)
    try:
        with _locked(path):
            migrate(connection)  # a home that no engine has run in yet has no store either
            path.chmod(0o600)
            with _transaction(connection):
                return _append(connection, origin, signer, draft, retires or signer.key_id)
    except sqlite3.Error as error:
        raise Unavailable(
            f"{path}: the store failed ({error}); rotate again: it takes up what became durable"
        ) from None
    finally:
        connection.close()


def _append(
    connection: sqlite3.Connection, origin: str, signer: Signer, draft: Callable[[], Receipt], retires: str
) -> bytes:
    current = connection.execute("SELECT value FROM meta WHERE key = 'key_id'").fetchone()
    if current is not None and current[0] != retires:
        raise Unavailable(f"the log was handed over to {current[0]} meanwhile; look at it before you rotate again")
    row = connection.execute("SELECT seq, bytes FROM log ORDER BY seq DESC LIMIT 1").fetchone()
    seq, prev = (row[0] + 1, bytes_digest(row[1])) if row else (1, ZERO)
    receipt = draft()
    if receipt.key is None:
        raise IntegrityError("a key record names a key")
    signature = Signature(algorithm=signer.algorithm, key_id=signer.key_id)
    data = finish(receipt, Log(origin=origin, seq=seq, prev=prev), None, signature, signer.sign)
    connection.execute("INSERT INTO log (seq, kind, bytes) VALUES (?, 'key', ?)", (seq, data))
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('key_id', ?)", (receipt.key.key_id,))
    return data


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock that writers of this store hold, so that none of them waits for us inside SQLite."""
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with locked(descriptor, monotonic() + WAIT_S, f"{path}: another process holds the store"):
            yield
    finally:
        os.close(descriptor)
