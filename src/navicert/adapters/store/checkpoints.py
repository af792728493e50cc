"""Checkpoints as the store keeps them: the newest, and of each hour the last one that a quorum has cosigned."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final, NamedTuple

_HOUR_US: Final = 3_600_000_000
_COLUMNS: Final = "epoch, size, at, note, cosigned"


class Inscribed(NamedTuple):
    """A checkpoint in the store: of which epoch, how many entries it covers, when it was made, and the signed note."""

    epoch: int
    size: int
    at: int
    note: str
    cosigned: bool = False


class Moved(Exception):
    """The newest checkpoint is another one than the one that was to be extended."""


def epoch_of(connection: sqlite3.Connection) -> int:
    """Return the epoch of a store: 1, and one more for each `restore` record."""
    (restored,) = connection.execute("SELECT count(*) FROM log WHERE action IS NULL AND kind = 'restore'").fetchone()
    return 1 + int(restored)


def head_of(connection: sqlite3.Connection) -> int:
    """Return the place of the newest entry, 0 where there is none."""
    (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()
    return int(head)


def anchored(connection: sqlite3.Connection) -> str | None:
    """Return the anchor that this store has written to, None where it has written to none."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'anchor'").fetchone()
    return row[0] if row else None


def note_anchor(writer: sqlite3.Connection, name: str) -> None:
    """Take note of the anchor that was written to."""
    writer.execute("INSERT OR REPLACE INTO meta VALUES ('anchor', ?)", (name,))


def newest(connection: sqlite3.Connection, *, cosigned: bool = False, before: int | None = None) -> Inscribed | None:
    """Return the newest checkpoint, None where there is none. before: made before this time, in microseconds."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM checkpoint WHERE cosigned >= ? AND at < ? ORDER BY epoch DESC, size DESC LIMIT 1",  # noqa: S608 - constants only
        (int(cosigned), 1 << 62 if before is None else before),
    ).fetchone()
    return Inscribed(row[0], row[1], row[2], row[3], bool(row[4])) if row else None


def inscribe(
    writer: sqlite3.Connection, known: Inscribed | None, made: Inscribed, tiles: Mapping[tuple[int, int], bytes]
) -> None:
    """Put a checkpoint in the place of the newest one, which must be `known`; raises `Moved` where it is not.

    A cosigned one takes its own bare place, however many came since. tiles: by level and index; they only grow.
    """
    found = newest(writer)
    if not made.cosigned and (found and (found.epoch, found.size)) != (known and (known.epoch, known.size)):
        raise Moved
    writer.executemany(
        "INSERT INTO tile VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes"
        " WHERE length(excluded.hashes) > length(hashes)",
        [(*place, hashes) for place, hashes in tiles.items()],
    )
    writer.execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?)", made)
    if made.cosigned:
        writer.execute(
            "DELETE FROM checkpoint WHERE cosigned AND epoch = ?1 AND size < ?2 AND at / ?4 = ?3 / ?4",
            (made.epoch, made.size, made.at, _HOUR_US),
        )
    else:
        writer.execute("DELETE FROM checkpoint WHERE NOT cosigned AND (epoch, size) < (?, ?)", (made.epoch, made.size))
