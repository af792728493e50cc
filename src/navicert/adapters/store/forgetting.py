"""What a store forgets: contexts whose retention has ended, or whose subject was erased (R2, DESIGN.md section 7).

A session with an action that is open or waits stays until that is over. Receipts stay. Freed pages are overwritten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from navicert.adapters.store.reading import open_row
from navicert.adapters.store.sqlite import SqliteJournal
from navicert.adapters.store.vault import Vault

_SESSIONS = "SELECT key, version, value FROM row WHERE key >= 'session/' AND key < 'session0' AND updated_at < ?"
_OVER = "SELECT key, version, value FROM row WHERE key >= 'over/' AND key < 'over0'"


def purge(journal: SqliteJournal, *, before: int) -> int:
    """Delete the context of sessions that ended, or were left, before `before` (microseconds); return how many."""

    def change(writer: sqlite3.Connection) -> int:
        rows = writer.execute(_SESSIONS, (before,)).fetchall()
        gone = [key for key, *row in rows if _is_over(journal.vault, key, *row)]
        _delete(journal, writer, gone)
        writer.execute("DELETE FROM row WHERE key >= 'over/' AND key < 'over0' AND updated_at < ?", (before,))
        return len(gone)

    return journal.alone(change)


def erase(journal: SqliteJournal, sessions: Iterable[str]) -> None:
    """Delete the contexts of these sessions, and what became of their waits; nothing of it stays in the files.

    Raises `Unavailable` where a reader needs the old pages.
    """
    wanted = set(sessions)

    def change(writer: sqlite3.Connection) -> None:
        rows = writer.execute(_OVER).fetchall()
        gone = [key for key, *row in rows if open_row(journal.vault, key, *row).session_id in wanted]
        for key in (f"session/{session}" for session in wanted):
            row = writer.execute("SELECT version, value FROM row WHERE key = ?", (key,)).fetchone()
            if row is None or _is_over(journal.vault, key, *row):
                gone.append(key)
        _delete(journal, writer, gone)

    journal.alone(change)
    journal.shrink()


def _is_over(vault: Vault, key: str, version: int, sealed: bytes) -> bool:
    context = open_row(vault, key, version, sealed)
    return not (context.open or context.waiting)


def _delete(journal: SqliteJournal, writer: sqlite3.Connection, keys: Iterable[str]) -> None:
    journal.forget()
    for key in keys:
        if key.startswith("session/"):
            session = key.partition("/")[2]
            writer.execute("DELETE FROM entry WHERE session = ?", (session,))
            writer.execute("DELETE FROM row WHERE key >= ? AND key < ?", (f"seen/{session}/", f"seen/{session}0"))
        writer.execute("DELETE FROM row WHERE key = ?", (key,))
