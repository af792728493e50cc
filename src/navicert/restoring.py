"""A log that goes on from a restored store: a new epoch, on record (R5, DESIGN.md section 7).

A store from a backup lacks what was appended after the backup; the anchor and the witnesses know of that, so no engine
opens it. Whoever restored it on purpose says so here:

 1. The newest checkpoint that is known elsewhere is held against the store: a store that holds it all needs no restore.
 2. A `restore` record names that checkpoint: how many entries there were, and their root. What is missing stays missing
    on record, and whoever holds a receipt of it can show that it stood there.
 3. From then on checkpoints bear the origin of the new epoch: witnesses take it up as another log, once their own
    operators say so.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from navicert.adapters.anchor.file import FileAnchor, notes
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import FileKey, load_key
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.handover import append_key_record
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import Home, anchor_path, key_records, make_pseudonym, open_journal, read_trust
from navicert.config import read_config
from navicert.core.draft import Scribe, record_draft
from navicert.core.seal import b64, commit_to, parse, plain_disclosure
from navicert.keys import key_draft
from navicert.model.commit import Commit, Draft
from navicert.model.errors import IntegrityError, PolicyError, VerificationError
from navicert.model.receipt import RestorePart
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.tlog.checkpoint import Checkpoint, epoch_origin, verify_checkpoint
from navicert.verification.disclosed import RESTORE
from navicert.verification.keyring import certified


class Restored(Value, frozen=True, kw_only=True):
    """What was recorded. known: entries that stood in the log. kept: that the store holds, those since included.

    common: up to here the store is the log that was known, as far as an older checkpoint tells.
    """

    epoch: int
    origin: str
    seq: int
    known: int
    kept: int
    common: int

    @property
    def lost(self) -> tuple[int, int]:
        """How many entries are missing: at least, and at most."""
        return max(1, self.known - self.kept), self.known - self.common


def restore_log(folder: Path, *, by: str, reason: str, note: str | None = None) -> Restored:
    """Begin a new epoch of a home's log; raises `IntegrityError` where nothing was restored, or nothing is known.

    note: the newest checkpoint that a witness, or anybody else, has kept; left out, the anchor's. by: who does it.
    """
    home, config = Home(folder), read_config(folder)
    trust, clock = read_trust(home.trust), SystemClock()
    known = _known(folder, note)
    with Archive(home.store) as archive:
        epoch, (kept, _) = archive.epoch, archive.head()
        found = verify_checkpoint(
            known, epoch_origin(config.origin, epoch), trust.log, trust.revoked, name=config.origin
        )
        if _holds(archive, found, kept):
            raise IntegrityError(
                f"{home.store}: it holds all {found.size} entries that are known; nothing was restored, so open"
                " it; where a witness refuses it, bring the checkpoint that the witness keeps (--checkpoint)"
            )
        common = _common(folder, archive, trust, found)
    signer = _certified(home, config.origin, trust)
    pseudonym = make_pseudonym(read_secret(home.pseudonym_key))
    journal = open_journal(home, config, SubjectKeys(home.subjects), signer)
    try:
        ids = SystemIds()
        plain = plain_disclosure(RESTORE, ids.salt(), msgspec.json.encode({"by": by, "reason": reason}))
        scribe = Scribe(pseudonym=pseudonym, salt=ids.salt, separation="none")
        part = RestorePart(
            epoch=epoch + 1,
            size=found.size,
            root=found.root.hex(),
            by=pseudonym(by),
            reason=commit_to(b64(plain)),
        )
        receipt = record_draft(scribe, "restore", receipt_id=ids.new("rcp"), now=clock.now()).receipt
        draft = Draft(
            receipt=msgspec.structs.replace(receipt, restore=part), disclosures=(plain,), subject=pseudonym(by)
        )
        placed = journal.enqueue(Commit(draft=draft)).wait(config.commit_s)
    finally:
        journal.close()
    if placed is None:
        raise IntegrityError(f"{home.store}: the record was not made")
    return Restored(
        epoch=epoch + 1,
        origin=epoch_origin(config.origin, epoch + 1),
        seq=placed.place.seq,
        known=found.size,
        kept=kept,
        common=common,
    )


def _certified(home: Home, origin: str, trust: Trust) -> FileKey:
    """Return the key that signs receipts, certified by the log's own where the store is older than its rotation."""
    signer, records = load_key(home.receipt_key), [row.data for row in key_records(home)]
    keys = certified(trust, records)
    last = parse(records[-1]).key if records else None
    current = last.key_id if last is not None else next(key.key_id for key in keys)
    if current != signer.key_id:
        append_key_record(home.store, origin, load_key(home.log_key), key_draft(signer), retires=current)
    return signer


def _common(folder: Path, archive: Archive, trust: Trust, known: Checkpoint) -> int:
    """Return up to which entry the store and what is known are one log, by the older checkpoints that are kept."""
    origin, path = read_config(folder).origin, anchor_path(folder, read_config(folder))
    kept = list(notes(path.read_text(encoding="utf-8"))) if path is not None and path.exists() else []
    confirmed = archive.checkpoint(cosigned=True)
    sizes = [0]
    for note in (*kept, *([confirmed.note] if confirmed is not None else [])):
        try:
            older = verify_checkpoint(note, known.origin, trust.log, trust.revoked, name=origin)
        except VerificationError:
            continue  # of an earlier epoch, or nobody's word
        if older.size < known.size and _holds(archive, older, archive.head()[0]):
            sizes.append(older.size)
    return max(sizes)


def _known(folder: Path, note: str | None) -> str:
    if note is not None:
        return note
    anchor = anchor_path(folder, read_config(folder))
    if anchor is None:
        raise PolicyError(f"{folder}: no `anchor` is configured; give the checkpoint that a witness has kept")
    last = FileAnchor(anchor).last()
    if last is None:
        raise IntegrityError(f"{anchor}: no checkpoint stands in it; give one that a witness has kept")
    return last


def _holds(archive: Archive, found: Checkpoint, kept: int) -> bool:
    return found.size <= kept and archive.tree().root(found.size) == found.root
