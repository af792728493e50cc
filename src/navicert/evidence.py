"""Evidence for a stranger: a log, or what it holds of one action or session, in one file (R5; reference/bundle.md).

* One state of the store is exported, while an engine may go on writing. The file is whole, or not there at all.
* What is erased is not in it; what is revealed is in the clear from then on, wherever the file goes.
* `verification.bundle` reads it back, and so do the script and the page that it brings along.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from navicert.adapters.secret_file import sync_folder
from navicert.adapters.sign.file_key import FileKey, load_key
from navicert.adapters.store.archive import Archive, LogRow
from navicert.adapters.store.checkpoints import Inscribed
from navicert.assemble import Home, cover, read_trust
from navicert.audit import open_archive
from navicert.config import read_config
from navicert.core.canonical import receipt_bytes
from navicert.core.digest import bytes_digest
from navicert.core.signature import ES256
from navicert.core.times import rfc3339
from navicert.model.errors import IntegrityError, Unavailable, VerificationError
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.tlog.checkpoint import parse_checkpoint
from navicert.tlog.note import parse_note
from navicert.tlog.tree import consistency_proof, inclusion_proof
from navicert.verification.bundle import RECORDS
from navicert.verification.bundle_lines import (
    FORMAT,
    CheckpointLine,
    CosignedLine,
    EndLine,
    EntryLine,
    FileLine,
    Manifest,
    PolicyLine,
    PrunedLine,
    Scope,
    TrustLine,
    encode64,
    line_of,
)
from navicert.verification.covering import quorum_of
from navicert.verification.disclosed import read_disclosure

ALL: Final = "all"
NONE: Final = "none"
WHOLE: Final = Scope(log=True)
SCRIPTS: Final = ("check.sh", "verify.sh")
"""What goes along: fifteen lines to read, and all that a shell can do."""
PREDICATE: Final = "urn:navicert:receipt:1"
"""The in-toto predicate type of a receipt."""
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PAYLOAD: Final = "application/vnd.in-toto+json"
Progress = Callable[[int, int], None]


class Exported(Value, frozen=True, kw_only=True):
    """What was written. size: how many entries the newest checkpoint covers. sha256: of the file."""

    entries: int
    size: int
    disclosed: int
    bytes: int
    sha256: str


def export(
    folder: Path,
    target: Path,
    scope: Scope = WHOLE,
    reveal: str | tuple[str, ...] = ALL,
    *,
    made_at: int,
    progress: Progress = lambda _done, _of: None,
) -> Exported:
    """Write the bundle of a home's log, of one action or of one session.

    reveal: `all`, `none`, or JSON pointers, each with what lies under it. made_at: microseconds. Raises
    `IntegrityError` where there is no checkpoint yet, or nothing of that name; `FileExistsError` rather than overwrite.
    """
    home = Home(folder)
    trust = read_trust(home.trust)
    with suppress(Unavailable):  # a home that may only be read is exported as far as its newest checkpoint goes
        cover(home, read_config(folder))
    revealed = tuple(sorted(set(reveal))) if isinstance(reveal, tuple) else reveal
    with open_archive(home) as archive, archive.snapshot(), _fresh(target) as file:
        checkpoint = archive.checkpoint()
        if checkpoint is None or not trust.log:
            raise IntegrityError(
                f"{home.store}: there is no checkpoint that a stranger could begin with; the next engine makes one"
                " (`navicert key root` first, in a home of before there were checkpoints)"
            )
        seqs = _places(archive, scope)
        out = _Written(file)
        out.line(
            Manifest(
                navicert=FORMAT,
                entries=len(seqs) if seqs is not None else archive.head()[0],
                made_at=rfc3339(made_at),
                made_by=maker(),
                origin=trust.origin,
                revealed=revealed,
                scope=scope,
            )
        )
        out.line(TrustLine(trust=receipt_bytes(trust).decode()))
        _checkpoints(archive, trust, checkpoint, out)
        _policies(archive, seqs, out)
        _entries(archive, seqs, checkpoint.size, revealed, out, progress)
        for name in SCRIPTS:
            out.line(FileLine(name=name, text=files("navicert").joinpath(name).read_text(encoding="utf-8")))
        out.line(EndLine(lines=out.lines, sha256=out.digest.hexdigest()))
    return Exported(
        entries=out.entries,
        size=checkpoint.size,
        disclosed=out.disclosed,
        bytes=out.bytes,
        sha256=out.digest.hexdigest(),
    )


def export_dsse(folder: Path, target: Path, *, progress: Progress = lambda _done, _of: None) -> int:
    """Write every receipt as an in-toto statement in a DSSE envelope, one per line, signed by the log's key.

    Returns how many. The receipts' own signatures are in them; the envelope is for tools that read nothing else.
    """
    home = Home(folder)
    signer = load_key(home.log_key)
    with open_archive(home) as archive, archive.snapshot(), _fresh(target) as file:
        entries, _ = archive.head()
        for row in archive.log():
            if row.data:
                file.write(msgspec.json.encode(_envelope(row, signer)) + b"\n")
            progress(row.seq, entries)
    return entries


def _envelope(row: LogRow, signer: FileKey) -> dict[str, object]:
    name = msgspec.json.decode(row.data)["receipt_id"]
    return envelope({name: bytes_digest(row.data)}, PREDICATE, msgspec.Raw(row.data), signer)


def envelope(subjects: Mapping[str, str], kind: str, predicate: object, signer: FileKey) -> dict[str, object]:
    """Return DSSE v1 over an in-toto Statement v1. subjects: name → SHA-256 as hex. kind: the predicate's type.

    ES256 signatures are in DER, as those who verify envelopes have them.
    """
    payload = msgspec.json.encode(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
            "predicateType": kind,
            "predicate": predicate,
        }
    )
    signature = signer.sign(pae(payload))
    if signer.algorithm == ES256:
        signature = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    return {
        "payload": encode64(payload),
        "payloadType": PAYLOAD,
        "signatures": [{"keyid": signer.key_id, "sig": encode64(signature)}],
    }


def pae(payload: bytes) -> bytes:
    """Return what a DSSE v1 signature over a statement covers."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def maker() -> str:
    """Return what made a file: `navicert X.Y.Z`, without a version where it was not installed."""
    try:
        return f"navicert {version('navicert')}"
    except PackageNotFoundError:  # run from its source, without having been installed
        return "navicert"


class _Written:
    """A bundle as it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = sha256()
        self.lines = self.bytes = self.entries = self.disclosed = 0

    def line(self, value: Value) -> None:
        data = line_of(value)
        self._file.write(data)
        if not isinstance(value, EndLine):
            self.digest.update(data)
        else:
            whole = self.digest.copy()
            whole.update(data)
            self.digest = whole
        self.lines += 1
        self.bytes += len(data)


def _places(archive: Archive, scope: Scope) -> list[int] | None:
    """Return the places that a bundle is of, in order; None for all."""
    if scope.log:
        return None
    about = archive.log(action=scope.action) if scope.action is not None else archive.log(session=scope.session)
    found = {row.seq for row in about}
    if not found:
        what = f"action `{scope.action}`" if scope.action is not None else f"session `{scope.session}`"
        raise IntegrityError(f"{archive.path}: there is no {what} in this log; `navicert tail` lists what there is")
    return sorted(found.union(row.seq for kind in RECORDS for row in archive.log(kind=kind)))


def _checkpoints(archive: Archive, trust: Trust, newest: Inscribed, out: _Written) -> None:
    out.line(CheckpointLine(checkpoint=newest.note))
    confirmed = archive.checkpoint(cosigned=True)
    if confirmed is None or not trust.quorum or quorum_of(newest.note, trust) or not quorum_of(confirmed.note, trust):
        return
    old = parse_checkpoint(parse_note(confirmed.note).text).size
    proof = consistency_proof(old, newest.size, archive.tree().nodes)
    out.line(CosignedLine(cosigned=confirmed.note, consistency=tuple(map(encode64, proof))))


def _policies(archive: Archive, seqs: list[int] | None, out: _Written) -> None:
    wanted = None
    if seqs is not None:
        judged = (msgspec.json.decode(row.data).get("decision") for row in _rows(archive, seqs) if row.data)
        wanted = {part["policy"]["hash"] for part in judged if part is not None}
    for hashed, data in archive.policies().items():
        if wanted is None or hashed in wanted:
            out.line(PolicyLine(policy=data.decode()))


def _rows(archive: Archive, seqs: list[int] | None) -> Iterator[LogRow]:
    if seqs is None:
        yield from archive.log()
        return
    for seq in seqs:
        yield next(archive.log(after=seq - 1))


def _entries(
    archive: Archive,
    seqs: list[int] | None,
    size: int,
    revealed: str | tuple[str, ...],
    out: _Written,
    progress: Progress,
) -> None:
    nodes, of = archive.tree().nodes, len(seqs) if seqs is not None else archive.head()[0]
    for row in _rows(archive, seqs):
        out.entries += 1
        if not row.data:
            out.line(PrunedLine(leaf=encode64(archive.tree().leaf(row.seq)), seq=row.seq))
            continue
        disclosures = tuple(_revealed(archive, row, revealed)) if revealed != NONE else ()
        out.disclosed += len(disclosures)
        proof = None
        if seqs is not None and row.seq <= size:
            proof = tuple(map(encode64, inclusion_proof(row.seq - 1, size, nodes)))
        out.line(EntryLine(entry=row.data.decode(), disclosures=disclosures, proof=proof))
        progress(out.entries, of)


def _revealed(archive: Archive, row: LogRow, revealed: str | tuple[str, ...]) -> Iterable[str]:
    try:
        texts = archive.disclosures(row)
    except VerificationError as error:
        if error.code != "disclosure_missing":
            raise
        return ()  # erased: `verification.bundle` looks for the record of it
    if isinstance(revealed, str):
        return texts
    kept = []
    for text in texts:
        pointer = read_disclosure(text)[1]
        if any(pointer == item or pointer.startswith(f"{item}/") for item in revealed):
            kept.append(text)
    return kept


@contextmanager
def _fresh(target: Path) -> Iterator[BinaryIO]:
    """Give a file that has its name once it is whole; raises `FileExistsError` where something has it already."""
    if target.exists():
        raise FileExistsError(f"{target}: it exists, and nothing is overwritten; name another file")
    fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        with fresh.open("xb") as file:
            fresh.chmod(0o600)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, target)
        sync_folder(target.absolute().parent)
    finally:
        fresh.unlink(missing_ok=True)
