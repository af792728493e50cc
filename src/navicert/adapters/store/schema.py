"""The SQLite schema and its migrations: version by version, each in one transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from navicert.model.errors import IntegrityError

VERSION: Final = 3
TREES: Final = 3
"""The version that brought tiles and checkpoints."""

MIGRATIONS: Final[dict[int, str]] = {
    1: """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE row (
        key TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        value BLOB NOT NULL
    );
    CREATE TABLE entry (
        session TEXT NOT NULL,
        seq INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (session, seq)
    ) WITHOUT ROWID;
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY,
        session TEXT,
        action TEXT,
        kind TEXT NOT NULL,
        bytes BLOB NOT NULL,
        subject TEXT,
        wrapped BLOB,
        sealed BLOB
    );
    CREATE INDEX log_session ON log (session, seq) WHERE session IS NOT NULL;
    CREATE INDEX log_action ON log (action) WHERE action IS NOT NULL;
    CREATE TABLE pending (
        handle TEXT PRIMARY KEY,
        session TEXT NOT NULL,
        deadline INTEGER NOT NULL,
        status TEXT NOT NULL,
        value BLOB NOT NULL
    );
    CREATE TABLE policy (hash TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    """,
    2: "DROP TABLE pending;",
    3: """
    CREATE TABLE tile (level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, idx));
    CREATE TABLE checkpoint (
        epoch INTEGER NOT NULL,
        size INTEGER NOT NULL,
        at INTEGER NOT NULL,
        note TEXT NOT NULL,
        cosigned INTEGER NOT NULL,
        PRIMARY KEY (epoch, size)
    ) WITHOUT ROWID;
    CREATE INDEX log_record ON log (kind, seq) WHERE action IS NULL;
    """,
}


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a store to this version; raises `IntegrityError` for one that a newer navicert wrote."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise IntegrityError(f"the store has schema {version}, this navicert knows up to {VERSION}; upgrade navicert")
    for step in range(version + 1, VERSION + 1):
        connection.executescript(f"BEGIN IMMEDIATE;{MIGRATIONS[step]};PRAGMA user_version = {step};COMMIT;")
