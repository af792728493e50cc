"""Old entries taken out of a log, into a bundle, and on record; every proof stays valid (C2SP pruning, R5).

 1. The whole log goes into an evidence bundle, durable, and is named by its SHA-256.
 2. A `prune` record says up to where, and how many.
 3. The bytes of the entries go; their hashes stay, in the tiles of the tree. Freed pages are overwritten.

* What goes are decisions, resolutions and outcomes of sessions whose context is gone already (`retention_days`), and
  refusals outside of any session. Records (of keys, people, policies, authority, erasures) stay: others rest on them.
* The bundle discloses nothing, so that nobody who is erased later lives on in it.
* Only what a checkpoint covers, and only whole tiles. Broken off behind 2, it is done again by the next call.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.store.archive import Archive
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import Home, open_journal
from navicert.config import read_config
from navicert.core.draft import Scribe, record_draft
from navicert.evidence import NONE, export
from navicert.model.commit import Commit, Draft
from navicert.model.errors import IntegrityError
from navicert.model.receipt import PrunePart
from navicert.model.value import Value
from navicert.tlog.tiles import WIDTH

_OLD = """
    seq <= ? AND kind IN ('decision', 'resolution', 'outcome') AND length(bytes) > 0 AND (
        session IS NULL OR (
            NOT EXISTS (SELECT 1 FROM row WHERE key = 'session/' || log.session)
            AND NOT EXISTS (SELECT 1 FROM log AS o WHERE o.session = log.session AND o.seq > ?)
        )
    )
"""


class Pruned(Value, frozen=True, kw_only=True):
    """What was taken out: entries up to place `upto`, how many, and the bundle's SHA-256. seq: of the record."""

    upto: int
    entries: int
    archive: str
    seq: int


def prune(folder: Path, target: Path, *, before: int, progress: Callable[[str], None] = lambda _: None) -> Pruned:
    """Take out what is old and ended of the entries before place `before`; raises `IntegrityError` where that is none.

    target: the file of the bundle; it must not exist.
    """
    home, config = Home(folder), read_config(folder)
    with Archive(home.store) as archive:
        checkpoint = archive.checkpoint()
        covered = checkpoint.size if checkpoint is not None else 0
    upto = min(before - 1, covered) // WIDTH * WIDTH
    progress("the whole log goes into the bundle")
    export(folder, target, reveal=NONE, made_at=SystemClock().now())
    digest = _digest(target)
    progress("the record, and then the entries")
    journal = open_journal(home, config, SubjectKeys(home.subjects))
    try:
        entries = journal.alone(lambda writer: _count(writer, upto))
        if not entries:
            raise IntegrityError(
                f"{home.store}: nothing before entry {before} is old enough to be taken out: entries go in blocks of"
                f" {WIDTH}, once a checkpoint covers them and the context of their sessions is gone (`retention_days`)"
            )
        placed = journal.enqueue(Commit(draft=_record(upto, entries, digest))).wait(config.commit_s)
        journal.alone(lambda writer: _take_out(writer, upto))
        journal.shrink()
    finally:
        journal.close()
    return Pruned(upto=upto, entries=entries, archive=digest, seq=placed.place.seq if placed is not None else 0)


def _count(writer: sqlite3.Connection, upto: int) -> int:
    (entries,) = writer.execute(f"SELECT count(*) FROM log WHERE {_OLD}", (upto, upto)).fetchone()  # noqa: S608 - constants only
    return int(entries)


def _take_out(writer: sqlite3.Connection, upto: int) -> None:
    emptied = "bytes = x'', session = NULL, action = NULL, subject = NULL, wrapped = NULL, sealed = NULL"
    writer.execute(f"UPDATE log SET {emptied} WHERE {_OLD}", (upto, upto))  # noqa: S608 - constants only


def _record(upto: int, entries: int, digest: str) -> Draft:
    clock, ids = SystemClock(), SystemIds()
    scribe = Scribe(pseudonym=str, salt=ids.salt, separation="none")
    receipt = record_draft(scribe, "prune", receipt_id=ids.new("rcp"), now=clock.now()).receipt
    part = PrunePart(upto=upto, entries=entries, archive=digest)
    return Draft(receipt=msgspec.structs.replace(receipt, prune=part))


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
