"""The tree as files (C2SP tlog-tiles): eight levels of hashes to a tile, and the entries beside them (R5).

* A tile is up to 256 hashes of 32 bytes, one after the other; a bundle up to 256 entries with 16-bit lengths.
* What is full never changes, so it may be kept for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from navicert.model.errors import VerificationError
from navicert.tlog.tree import HASH, Nodes, node_hash

HEIGHT: Final = 8
WIDTH: Final = 256
"""Hashes in a full tile, and entries in a full bundle."""
LONGEST: Final = 0xFFFF
"""Bytes of the longest entry that a bundle holds."""


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Return where a tile is found below the log's address, e.g. `tile/0/x001/x234/067` or `tile/1/000.p/17`."""
    if not 0 <= level < 64:
        raise ValueError(f"a tile has a level from 0 to 63, not {level}")
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """Return where a bundle of entries is found, e.g. `tile/entries/000.p/17`."""
    return f"tile/entries/{_numbered(index, width)}"


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as one file; raises `ValueError` for more than 256, or one longer than 65535 bytes."""
    held = tuple(entries)
    if len(held) > WIDTH or any(len(entry) > LONGEST for entry in held):
        raise ValueError(f"a bundle holds up to {WIDTH} entries of up to {LONGEST} bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in held)


def unbundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start])
        if at > len(data) or len(entries) == WIDTH:
            raise VerificationError("schema", f"bundle, entry {len(entries)}: it is cut, or one too many")
        entries.append(data[start:at])
    return entries


def nodes_of(tile: Callable[[int, int], bytes]) -> Nodes:
    """Return the subtrees of a tree from its tiles.

    tile: (level, index) -> the hashes that there are of that tile. A subtree that they do not reach raises
    `VerificationError` with the code `schema`.
    """

    def nodes(level: int, index: int) -> bytes:
        row, height = divmod(level, HEIGHT)
        place, first = divmod(index << height, WIDTH)
        data = tile(row, place)[first * HASH : (first + (1 << height)) * HASH]
        if len(data) != HASH << height:
            raise VerificationError("schema", f"tile {tile_path(row, place)}: too short for subtree {level}, {index}")
        return fold(data)

    return nodes


def fold(data: bytes) -> bytes:
    """Return the root over the hashes of a subtree that is full: their number is a power of two."""
    hashes = [data[at : at + HASH] for at in range(0, len(data), HASH)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _numbered(index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= WIDTH:
        raise ValueError(f"there is no tile {index} of width {width}")
    path = f"{index % 1000:03}" + ("" if width == WIDTH else f".p/{width}")
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path
