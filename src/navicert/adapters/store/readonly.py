"""Opening a store for reading only, and what its errors mean to the one who reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from navicert.adapters.store.schema import VERSION
from navicert.model.errors import IntegrityError, Unavailable

BUSY_MS: Final = 5_000
_TABLES: Final = frozenset({"meta", "row", "entry", "log", "policy"})


def open_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, to a store of a schema that we know; raises `IntegrityError` otherwise."""
    if not path.is_file():
        message = f"{path}: there is no store; the first engine that runs in this home makes it"
        raise IntegrityError(message)
    with reading(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            connection.execute("PRAGMA query_only = ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except BaseException:
            connection.close()
            raise
    if version <= VERSION and tables >= _TABLES:
        return connection
    connection.close()
    if version > VERSION and tables >= _TABLES:
        message = f"{path}: the store has schema {version}, this navicert knows up to {VERSION}; upgrade navicert"
    else:
        message = f"{path}: not a store of navicert; name the `store.db` of a home folder"
    raise IntegrityError(message)


def schema_of(path: Path) -> int:
    """Return the schema version of a store; 0 where there is none, or nothing in it yet."""
    if not path.is_file():
        return 0
    with reading(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours: `Unavailable` where it may pass, `IntegrityError` where it will not."""
    try:
        yield
    except sqlite3.OperationalError as error:
        message = f"{path}: the store cannot be read ({error}); a copy needs a folder that you may write to"
        raise Unavailable(message) from None
    except sqlite3.DatabaseError as error:
        message = f"{path}: not a store of navicert, or damaged ({error}); restore it from your backup"
        raise IntegrityError(message) from None
