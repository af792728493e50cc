"""What of a log may lie open for anybody: checkpoint, proofs, tiles (C2SP tlog-tiles, tlog-proof; R5).

Entries name people by pseudonym, and commit to what is private: so they may, and so the tiles hold them. What they
disclose stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from navicert.adapters.secret_file import replace_file
from navicert.adapters.store.archive import Archive
from navicert.assemble import Home
from navicert.model.errors import IntegrityError
from navicert.tlog.checkpoint import parse_checkpoint
from navicert.tlog.note import parse_note
from navicert.tlog.proof import proof_text
from navicert.tlog.tiles import HEIGHT, WIDTH, bundle, entries_path, tile_path
from navicert.tlog.tree import HASH, inclusion_proof

CHECKPOINT: Final = "checkpoint"


def newest_note(archive: Archive) -> str:
    """Return the newest checkpoint; raises `IntegrityError` where there is none yet."""
    found = archive.checkpoint()
    if found is None:
        raise IntegrityError(f"{archive.path}: there is no checkpoint yet; the next engine makes one")
    return found.note


def prove(folder: Path, name: str) -> str:
    """Return the proof (C2SP tlog-proof) that the receipt which `name` stands for is in the log.

    Raises `IntegrityError` where it stands for none, or where no checkpoint covers it yet.
    """
    with Archive(Home(folder).store) as archive, archive.snapshot():
        rows = archive.find(name)
        if not rows:
            raise IntegrityError(f"`{name}` is nothing in this log; `navicert tail` lists what is")
        note, seq = newest_note(archive), rows[0].seq
        size = parse_checkpoint(parse_note(note).text).size
        if seq > size:
            raise IntegrityError(f"entry {seq}: the newest checkpoint covers {size} entries; try again in a second")
        return proof_text(seq - 1, inclusion_proof(seq - 1, size, archive.tree().nodes), note)


def publish_tiles(folder: Path, target: Path, progress: Callable[[int, int], None] = lambda _done, _of: None) -> int:
    """Write the log as static files that any tile client reads; returns how many entries they hold.

    Called again, it adds what is new. Full tiles and bundles that are there already are left as they are; the
    checkpoint is replaced last, so that it never covers what is not there. Pruned entries have no bundle any more.
    """
    with Archive(Home(folder).store) as archive, archive.snapshot():
        note = newest_note(archive)
        size = parse_checkpoint(parse_note(note).text).size
        _tiles(archive, target, size)
        _bundles(archive, target, size, progress)
        _write(target / CHECKPOINT, note.encode())
    return size


def _tiles(archive: Archive, target: Path, size: int) -> None:
    tree, level = archive.tree(), 0
    while size:
        for index in range(0, size, WIDTH):
            width = min(WIDTH, size - index)
            path = target / tile_path(level, index // WIDTH, width)
            if width < WIDTH or not path.exists():
                _write(path, tree.tile(level, index // WIDTH)[: width * HASH])
        size >>= HEIGHT
        level += 1


def _bundles(archive: Archive, target: Path, size: int, progress: Callable[[int, int], None]) -> None:
    start = 0
    while start < size:
        width = min(WIDTH, size - start)
        path = target / entries_path(start // WIDTH, width)
        if width < WIDTH or not path.exists():
            rows = [row.data for row in islice(archive.log(after=start), width)]
            if all(rows):
                _write(path, bundle(rows))
        start += width
        progress(start, size)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
