"""Archive: a store as readers see it (R5, property 8): the command line, verification, export.

* Opened read-only: nothing is created, migrated or repaired, and a running engine is not held up.
* What is sealed opens only with the keys that were given: without them, the log itself can still be read and verified.
* Everything is read as it is stored. Nothing here judges; `verification.log` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import msgspec

from navicert.adapters.store.checkpoints import Inscribed, epoch_of, newest
from navicert.adapters.store.reading import entries_of
from navicert.adapters.store.readonly import open_readonly, reading
from navicert.adapters.store.schema import TREES
from navicert.adapters.store.tree import StoredTree
from navicert.adapters.store.vault import Vault
from navicert.core.accumulate import fold
from navicert.core.digest import bytes_digest
from navicert.core.seal import ZERO, b64, parse
from navicert.model.authority import Standings
from navicert.model.context import ContextEntry, SessionContext
from navicert.model.errors import IntegrityError, VerificationError
from navicert.model.receipt import Receipt
from navicert.model.shared import Erasing, Seen
from navicert.model.suspension import Approvers, Over, Wait
from navicert.model.value import Json
from navicert.ports import DisclosureKeys
from navicert.verification.disclosed import read_disclosure

T = TypeVar("T")
_OF_ACTIONS: Final = frozenset({"decision", "resolution", "outcome"})
_COLUMNS: Final = "seq, session, action, kind, CAST(bytes AS BLOB), subject, wrapped, sealed"


class LogRow(NamedTuple):
    """One entry of the log as it is stored; `data` are the exact signed bytes, the rest is what they are found by."""

    seq: int
    session: str | None
    action: str | None
    kind: str
    data: bytes
    subject: str | None
    wrapped: bytes | None
    sealed: bytes | None


class _Id(msgspec.Struct, frozen=True):
    receipt_id: str


class Archive:
    """One store file, open for reading; use it as a context manager. One thread at a time.

    vault: opens contexts and waiting actions. keys: open disclosures. Without them, asking for these raises
    `IntegrityError`. Raises `IntegrityError` where there is no store, or none that this version knows; `Unavailable`
    where it cannot be read now.
    """

    def __init__(self, path: Path, vault: Vault | None = None, keys: DisclosureKeys | None = None) -> None:
        self.path = path
        self._vault = vault
        self._keys = keys
        self._connection = open_readonly(path)
        self._has_tree = (self._one("PRAGMA user_version") or (0,))[0] >= TREES

    # the log

    def log(
        self,
        *,
        after: int = 0,
        session: str | None = None,
        kind: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Iterator[LogRow]:
        """Yield the entries behind place `after`, in order; each criterion that is given must hold."""
        query = f"SELECT {_COLUMNS} FROM log WHERE seq > ?"  # noqa: S608 - constants only
        values: list[int | str] = [after]
        for column, value in (("session", session), ("kind", kind), ("action", action), ("subject", subject)):
            if value is not None:
                query += f" AND {column} = ?"
                values.append(value)
        if kind is not None and kind not in _OF_ACTIONS:
            query += " AND action IS NULL"  # by the index of records
        with reading(self.path):
            for row in self._connection.execute(query + " ORDER BY seq", values):
                yield LogRow(*row)

    def head(self) -> tuple[int, str]:
        """Return place and SHA-256 of the newest entry; (0, 64 zeros) of an empty log."""
        row = self._one("SELECT seq, bytes FROM log ORDER BY seq DESC LIMIT 1")
        return (row[0], bytes_digest(row[1])) if row else (0, ZERO)

    def find(self, name: str) -> list[LogRow]:
        """Return what a name stands for: a place (`17`), a receipt's id, or all receipts of an action's id or handle.

        An empty list where it stands for nothing.
        """
        if name.removeprefix("#").isascii() and name.removeprefix("#").isdigit():
            return self._rows("seq = ?", min(int(name.removeprefix("#")), 2**63 - 1))
        rows = self._rows("action = ?", name)
        if rows or not name or not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
            return rows
        # in canonical JSON a quote within a string is escaped, so that this is found as a member or not at all
        rows = self._rows("instr(bytes, ?)", f'"receipt_id":"{name}"'.encode())
        if rows:
            return rows
        rows = self._rows("action IS NOT NULL AND instr(bytes, ?)", f'"handle":"{name}"'.encode())
        return self._rows("action = ?", rows[0].action) if rows else []

    def open_actions(self) -> list[Receipt]:
        """Return the permitting decisions that no outcome completes, in order: dispatched is not confirmed."""
        rows = self._rows(
            "kind IN ('decision', 'resolution') AND action IS NOT NULL"
            " AND (instr(bytes, ?) OR instr(bytes, ?))"
            " AND NOT EXISTS (SELECT 1 FROM log AS o WHERE o.action = log.action AND o.kind = 'outcome')",
            b'"result":"ALLOW"',
            b'"result":"MODIFY"',
        )
        return [receipt_of(row) for row in rows]

    # the tree

    def checkpoint(self, *, cosigned: bool = False, before: int | None = None) -> Inscribed | None:
        """Return the newest checkpoint (that a quorum has cosigned; made before a time), None where there is none."""
        if not self._has_tree:
            return None
        with reading(self.path):
            return newest(self._connection, cosigned=cosigned, before=before)

    def tree(self) -> StoredTree:
        """Return the log's Merkle tree; raises `IntegrityError` for a store of before there was one."""
        if not self._has_tree:
            raise IntegrityError(f"{self.path}: the store has no checkpoints yet; the next engine makes them")
        return StoredTree(self._connection)

    @property
    def epoch(self) -> int:
        """The epoch of the log: one more after each restore."""
        with reading(self.path):
            return epoch_of(self._connection)

    # disclosures

    def disclosures(self, row: LogRow) -> list[str]:
        """Return the disclosures of one receipt, [] where it has none.

        Raises `VerificationError`: `disclosure_missing` where their key is gone, `disclosure_mismatch` where they were
        changed or moved; `IntegrityError` where the archive was opened without keys.
        """
        if row.sealed is None and row.wrapped is None:
            return []
        if self._keys is None:
            message = f"{self.path}: the disclosures of entry {row.seq} are sealed; open the archive with its keys"
            raise IntegrityError(message)
        try:
            key = self._keys.unwrap(row.subject or "", row.wrapped or b"")
        except IntegrityError as error:
            raise VerificationError("disclosure_missing", f"entry {row.seq}: {error}") from None
        try:
            name = msgspec.json.decode(row.data, type=_Id).receipt_id
            sealed = Vault(key).open(f"disclosures/{name}", row.sealed or b"")
        except (IntegrityError, msgspec.MsgspecError) as error:
            raise VerificationError("disclosure_mismatch", f"entry {row.seq}: {error}") from None
        return [b64(line) for line in sealed.split(b"\n")]

    def disclosed(self, row: LogRow) -> dict[str, Json]:
        """Return what the commitments of one receipt hide, by JSON pointer, decoded (not verified)."""
        found: dict[str, Json] = {}
        for text in self.disclosures(row):
            _, pointer, value = read_disclosure(text)
            found[pointer] = msgspec.json.decode(value)
        return found

    # contexts

    def sessions(self) -> Iterator[SessionContext]:
        """Yield the context of every session whose context is kept, in the order in which they were opened."""
        with reading(self.path):
            rows = self._connection.execute(
                "SELECT key, version, value FROM row WHERE key >= 'session/' AND key < 'session0' ORDER BY key"
            )
            for key, version, sealed in rows:
                yield self._context(key, version, sealed)

    def find_session(self, session_id: str) -> SessionContext | None:
        """Return the context of one session, None where there is none (or no more)."""
        key = f"session/{session_id}"
        row = self._one("SELECT version, value FROM row WHERE key = ?", key)
        return self._context(key, *row) if row is not None else None

    def session(self, session_id: str) -> SessionContext:
        """Return the context of one session; raises `IntegrityError` where there is none (or no more)."""
        context = self.find_session(session_id)
        if context is None:
            message = f"{self.path}: there is no session `{session_id}`; a purged one has receipts only"
            raise IntegrityError(message)
        return context

    def session_ids(self) -> Iterator[str]:
        """Yield the id of every session that has entries, receipts or a context here."""
        with reading(self.path):
            rows = self._connection.execute(
                "SELECT session FROM log WHERE session IS NOT NULL UNION SELECT session FROM entry"
                " UNION SELECT substr(key, 9) FROM row WHERE key >= 'session/' AND key < 'session0' ORDER BY 1"
            )
            for (session,) in rows:
                yield session

    def entries(self, session_id: str) -> Iterator[tuple[int, ContextEntry]]:
        """Yield (place, entry) of a session's chain; raises `IntegrityError` at a gap."""
        with reading(self.path):
            try:
                yield from entries_of(self._connection, self._opened(), session_id, 0)
            except msgspec.MsgspecError as error:
                message = f"an entry of session `{session_id}` does not decode: {error}"
                raise IntegrityError(message) from None

    def context_at(self, session_id: str, length: int) -> SessionContext:
        """Return the context that the first `length` entries of a session make, as it then was."""
        entries = [entry for _, entry in islice(self.entries(session_id), length)]
        if not entries or len(entries) < length:
            message = (
                f"session `{session_id}` has {len(entries)} entries, not {length}; its context may have been purged"
            )
            raise IntegrityError(message)
        return fold(entries)

    def seen(self, row: str) -> Seen | None:
        """Return what one result held, by the name that a context has for it; None where it is not kept."""
        key = f"seen/{row}"
        found = self._one("SELECT version, value FROM row WHERE key = ?", key)
        if found is None:
            return None
        return _decode(self._opened().open(f"row/{key}/{found[0]}", found[1]), Seen, f"the row `{key}`")

    # waits and policies

    def waits(self) -> list[Wait]:
        """Return every action that waits, the one that ends first in front."""
        found = list(self._values("wait/", Wait))
        return sorted(found, key=lambda wait: (wait.question.deadline, wait.handle))

    def over(self, handle: str) -> Over | None:
        """Return what became of a wait, None where it waits still or is not known."""
        return next((item for item in self._values("over/", Over) if item.handle == handle), None)

    def standings(self) -> Standings:
        """Return every subject whose authority is not full."""
        return next(self._values("authority/", Standings), Standings())

    def approvers(self) -> Approvers:
        """Return everybody who is or was enrolled."""
        return next(self._values("approvers/", Approvers), Approvers())

    def erasing(self) -> list[Erasing]:
        """Return what one person has asked for about a data subject, and what is still to be carried out."""
        return list(self._values("erasure/", Erasing))

    def _values(self, prefix: str, kind: type[T]) -> Iterator[T]:
        vault = self._opened()
        with reading(self.path):
            rows = self._connection.execute(
                "SELECT key, version, value FROM row WHERE key >= ? AND key < ? ORDER BY key",
                (prefix, prefix[:-1] + "0"),
            ).fetchall()
        for key, version, sealed in rows:
            yield _decode(vault.open(f"row/{key}/{version}", sealed), kind, f"the row `{key}`")

    def policies(self) -> dict[str, bytes]:
        """Return the canonical bytes of every policy set that was in force, by content hash."""
        with reading(self.path):
            return dict(self._connection.execute("SELECT hash, value FROM policy ORDER BY hash"))

    # the file

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the store while this lasts, whatever a running engine adds meanwhile."""
        with reading(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Vault:
        if self._vault is None:
            message = f"{self.path}: contexts are sealed; open the archive with the store's key"
            raise IntegrityError(message)
        return self._vault

    def _context(self, key: str, version: int, sealed: bytes) -> SessionContext:
        return _decode(self._opened().open(f"row/{key}/{version}", sealed), SessionContext, f"the row `{key}`")

    def _rows(self, where: str, *values: object) -> list[LogRow]:
        with reading(self.path):
            found = self._connection.execute(
                f"SELECT {_COLUMNS} FROM log WHERE {where} ORDER BY seq",  # noqa: S608 - constants only
                values,
            )
            return [LogRow(*row) for row in found]

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with reading(self.path):
            row: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return row


def receipt_of(row: LogRow) -> Receipt:
    """Return the receipt of a row; raises `IntegrityError` where the bytes are damaged."""
    try:
        return parse(row.data)
    except ValueError as error:
        message = f"entry {row.seq} of the log is damaged ({error}); run `navicert verify`"
        raise IntegrityError(message) from None


def _decode(data: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        message = f"{what} does not decode: {error}"
        raise IntegrityError(message) from None
