"""The log's Merkle tree as the store keeps it: full tiles in a table, the rest from the entries (RFC 6962, C2SP tiles).

* A tile, once full, never changes. Of the lowest level only full ones are kept: the rest is hashed anew from the exact
  bytes of the log. Of the levels above, the one at the edge is kept as far as it goes.
* `StoredTree` answers for any size up to the log's head; `GrowingTree` takes in new entries once, in flat memory.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from navicert.tlog.tiles import HEIGHT, WIDTH, fold, nodes_of
from navicert.tlog.tree import HASH, Frontier, leaf_hash, root_of

FULL: Final = WIDTH * HASH
"""Bytes of a full tile."""


class StoredTree:
    """The tree over a connection that may read; one snapshot is up to the caller."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.nodes = nodes_of(self.tile)

    def tile(self, level: int, index: int) -> bytes:
        """Return the hashes of a tile, as many as there are."""
        row = self._connection.execute("SELECT hashes FROM tile WHERE level = ? AND idx = ?", (level, index)).fetchone()
        hashes = bytes(row[0]) if row is not None else b""
        if len(hashes) == FULL:
            return hashes
        if level == 0:
            rows = self._connection.execute(
                "SELECT CAST(bytes AS BLOB) FROM log WHERE seq > ? AND seq <= ? ORDER BY seq",
                (index * WIDTH, (index + 1) * WIDTH),
            )
            return b"".join(leaf_hash(data) for (data,) in rows)
        for below in range(index * WIDTH + len(hashes) // HASH, (index + 1) * WIDTH):
            whole = self.tile(level - 1, below)
            if len(whole) < FULL:
                break
            hashes += fold(whole)
        return hashes

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` entries."""
        return root_of(size, self.nodes)

    def leaf(self, seq: int) -> bytes:
        """Return the leaf hash of an entry."""
        start = (seq - 1) % WIDTH * HASH
        return self.tile(0, (seq - 1) // WIDTH)[start : start + HASH]


class GrowingTree:
    """The right edge of the tree. `size` entries are in it; `tiles` have grown since they were last stored."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.tiles: dict[tuple[int, int], bytes] = {}
        (full,) = connection.execute("SELECT count(*) FROM tile WHERE level = 0").fetchone()
        self.size = full * WIDTH
        stored, hashes, start = StoredTree(connection), [], 0
        for level in range(self.size.bit_length() - 1, -1, -1):
            if self.size >> level & 1:
                hashes.append(stored.nodes(level, start >> level))
                start += 1 << level
        self._frontier = Frontier(self.size, hashes)
        self._open = [b""]
        """By level, the hashes of the tile that is not full yet."""
        while full:
            level, (index, width) = len(self._open), divmod(full, WIDTH)
            self._open.append(stored.tile(level, index)[: width * HASH] if width else b"")
            full = index

    def grow(self, upto: int) -> bytes:
        """Take in the entries up to place `upto`; return the root over all of them."""
        rows = self._connection.execute(
            "SELECT CAST(bytes AS BLOB) FROM log WHERE seq > ? AND seq <= ? ORDER BY seq", (self.size, upto)
        )
        for (data,) in rows:
            leaf = leaf_hash(data)
            self._frontier.append(leaf)
            self.size += 1
            self._add(0, leaf)
        return self._frontier.root()

    def _add(self, level: int, item: bytes) -> None:
        if level == len(self._open):
            self._open.append(b"")
        hashes = self._open[level] + item
        full = len(hashes) == FULL
        if full or level:
            self.tiles[level, ((self.size >> HEIGHT * level) - 1) // WIDTH] = hashes
        self._open[level] = b"" if full else hashes
        if full:
            self._add(level + 1, fold(hashes))
