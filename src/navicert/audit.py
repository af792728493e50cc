"""Audit: a whole home folder, verified step by step (R5); and one action as a package for a stranger.

* Reads one state of the store, while an engine may go on writing. Nothing is changed.
* The trust file may be the auditor's own, got by another way; the one in the home folder shows only that the store
  agrees with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Final, NamedTuple

import msgspec

from navicert.adapters.anchor.file import FileAnchor
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive, LogRow, receipt_of
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, anchor_path, make_pseudonym, read_trust
from navicert.config import read_config
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest
from navicert.core.times import micros
from navicert.model.errors import IntegrityError, Unavailable, VerificationError
from navicert.model.receipt import Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.tlog.tree import leaf_hash
from navicert.verification.covering import Covering, quorum_of, signed, tail_s
from navicert.verification.disclosed import (
    REPEATED,
    commitments,
    policy_of,
    subject_of,
    verify_context,
    verify_disclosures,
    verify_policies,
)
from navicert.verification.erasures import Erasures, verify_erasure
from navicert.verification.keyring import Keyring, fingerprint
from navicert.verification.log import LogVerifier, Verified
from navicert.verification.package import VerifiedPackage, pack, verify_package
from navicert.verification.people import Asked

DAY_US: Final = 86_400_000_000
STEPS: Final = (
    "trust: the keys that are believed",
    "log: form, order, keys, signatures, pairing",
    "tree: each entry stands under the checkpoint that the log signed",
    "index: receipts are found by what they say",
    "policies: each one that judged is kept, unchanged",
    "disclosures: each commitment, and what people signed",
    "contexts: each decision rests on the context that it names",
)
_RECEIPT: Final = msgspec.json.Decoder(Receipt)


class Step(NamedTuple):
    """One step that has passed: its number from 1, its name out of `STEPS`, and what was found."""

    number: int
    name: str
    found: str


class Covered(Value, frozen=True, kw_only=True):
    """What stands under checkpoints: how many entries under the newest, and under the newest one with a quorum.

    tail: entries that no quorum has seen, and for how many seconds; None where the trust file names no witness.
    anchored: the anchor's newest checkpoint, None where there is none.
    """

    size: int = 0
    cosigned: int = 0
    by: tuple[str, ...] = ()
    tail: int | None = None
    tail_s: int | None = None
    anchored: int | None = None


class Audit(Value, frozen=True, kw_only=True):
    """What an audit established.

    fingerprint: of the trust file used. covered: by checkpoints. policies, disclosures, contexts: how many were
    verified. purged: sessions whose context is gone after its retention, or with an erasure; their receipts name
    digests that nothing can be held against any more. erased: values that were, by a record behind them in the log.
    """

    fingerprint: str
    log: Verified
    covered: Covered
    policies: int
    disclosures: int
    contexts: int
    purged: tuple[str, ...] = ()
    erased: int = 0


def open_archive(home: Home) -> Archive:
    """Open the store of a home folder for reading, with its keys."""
    return Archive(home.store, Vault(read_secret(home.store_key)), SubjectKeys(home.subjects))


def audit(
    folder: Path,
    *,
    trust: Trust | None = None,
    expect_head: tuple[int, str] | None = None,
    progress: Callable[[Step], None] = lambda _: None,
    now: int | None = None,
) -> Audit:
    """Verify everything in a home folder; returns the report, or raises `VerificationError` at the first fault.

    trust: the auditor's own; left out, the home's. expect_head: place and SHA-256 of an entry known from elsewhere.
    progress: called with each step that has passed.
    """
    home = Home(folder)
    retention = read_config(folder).retention_days * DAY_US
    trust = trust or read_trust(home.trust)
    passed = 0

    def step(found: str) -> None:
        nonlocal passed
        passed += 1
        progress(Step(passed, STEPS[passed - 1], found))

    Keyring(trust)
    mark = fingerprint(trust)
    step(f"{len(trust.keys)} keys of `{trust.origin}`, fingerprint {mark}")
    with open_archive(home) as archive, archive.snapshot():
        verifier = _audit_log(archive, trust, expect_head)
        log, erasures = verifier.finish(), verifier.erasures
        step(f"{log.entries} entries, head {log.head[:16]}")
        covered = _audit_tree(archive, home, trust, log)
        step(f"{covered.size} entries" if covered.size else "no checkpoint")
        for row in archive.log():
            if row.data:
                _check_row(row)
        step(f"{log.entries} rows")
        policies = verify_policies(log.policies, archive.policies())
        step(f"{policies} policy sets")
        keyed = make_pseudonym(read_secret(home.pseudonym_key))
        disclosures = erased = 0
        for row in archive.log():
            if not row.data:
                continue
            if erasures.gone(row.subject, row.seq):
                erased += _audit_erased(archive, row)
            else:
                with _as_it_was(home, row, log.entries):
                    disclosures += _audit_disclosures(archive, row, keyed, verifier)
        _audit_carried_out(archive)
        step(f"{disclosures} values" + (f", {erased} erased" if erased else ""))
        contexts, purged = _audit_contexts(archive, (now or int(time() * 1_000_000)) - retention, erasures)
        step(f"{contexts} sessions, {len(purged)} purged")
    undisclosed = log.undisclosed - disclosures - erased
    return Audit(
        fingerprint=mark,
        log=msgspec.structs.replace(log, undisclosed=undisclosed),
        covered=covered,
        policies=policies,
        disclosures=disclosures,
        contexts=contexts,
        purged=purged,
        erased=erased,
    )


def _audit_log(archive: Archive, trust: Trust, expect_head: tuple[int, str] | None) -> LogVerifier:
    verifier = LogVerifier(trust, expect_head=expect_head)
    for row in archive.log():
        if row.data:
            verifier.add(row.data)
        else:
            verifier.skip()
    return verifier


def _audit_tree(archive: Archive, home: Home, trust: Trust, log: Verified) -> Covered:
    """Hold every entry against the checkpoints that the store keeps, and the anchor's; raises `VerificationError`."""
    newest, confirmed = archive.checkpoint(), archive.checkpoint(cosigned=True)
    anchor = anchor_path(home.folder, read_config(home.folder))
    last = FileAnchor(anchor).last() if anchor is not None else None
    notes = {item for item in (newest and newest.note, confirmed and confirmed.note, last) if item}
    checkpoints = {note: signed(note, trust) for note in notes}
    covering = Covering(checkpoints.values())
    for row in archive.log() if checkpoints else ():
        leaf = leaf_hash(row.data) if row.data else archive.tree().leaf(row.seq)
        covering.grow(leaf, restores=row.kind == "restore")
    covering.check()
    by = quorum_of(confirmed.note, trust) if confirmed is not None else ()
    cosigned = confirmed.size if confirmed is not None and by else 0
    named = bool(trust.quorum and trust.witnesses)
    return Covered(
        size=newest.size if newest is not None else 0,
        cosigned=cosigned,
        by=tuple(item.name for item in by),
        tail=log.entries - cosigned if named else None,
        tail_s=tail_s(by, trust.quorum, log.last_at) if by and log.last_at else None,
        anchored=checkpoints[last][1].size if last else None,
    )


@contextmanager
def _as_it_was(home: Home, row: LogRow, entries: int) -> Iterator[None]:
    """Keys are no part of the state of the store that is read: tell apart whom somebody erases at this moment."""
    try:
        yield
    except VerificationError as error:
        with open_archive(home) as now:
            later = [_RECEIPT.decode(item.data).erasure for item in now.log(after=entries, kind="erasure")]
        if error.code == "disclosure_missing" and any(part and part.subject == row.subject for part in later):
            raise Unavailable(f"`{row.subject}` was erased while this was verified; verify again") from None
        raise


def _audit_disclosures(archive: Archive, row: LogRow, keyed: Callable[[str], str], verifier: LogVerifier) -> int:
    """Hold what a receipt commits to, and what people signed, against it; returns how many values there are."""
    receipt = _RECEIPT.decode(row.data)
    disclosed = verify_disclosures(receipt, archive.disclosures(row), keyed)
    if receipt.kind == "resolution":
        asking = next(item for item in archive.log(action=row.action) if bytes_digest(item.data) == receipt.completes)
        if verifier.erasures.gone(asking.subject, asking.seq):  # what they answered is not there any more
            return len(disclosed)
        begun = _RECEIPT.decode(asking.data)
        hashed = begun.decision.policy.hash if begun.decision else ""
        asked = Asked(
            receipt=begun,
            disclosed=verify_disclosures(begun, archive.disclosures(asking), keyed),
            policy=policy_of(archive.policies()[hashed])[0],
        )
        verifier.people.verify(receipt, disclosed, asked, f"entry {row.seq}")
    if receipt.kind == "erasure":
        verify_erasure(receipt, disclosed, verifier.people, lambda seq: _head_at(archive, seq), f"entry {row.seq}")
    return len(disclosed)


def _head_at(archive: Archive, seq: int) -> str | None:
    row = next(archive.log(after=seq - 1), None) if seq > 0 else None
    return bytes_digest(row.data) if row is not None and row.seq == seq else None


def _audit_erased(archive: Archive, row: LogRow) -> int:
    """Return how many values of a receipt were erased; raises `VerificationError` where they still open."""
    receipt = _RECEIPT.decode(row.data)
    due = commitments(receipt).keys() - REPEATED.get(receipt.kind, frozenset())
    if row.wrapped is None:
        return len(due)
    try:
        archive.disclosures(row)
    except VerificationError as error:
        if error.code == "disclosure_missing":
            return len(due)
    raise VerificationError(
        "erasure_incomplete",
        f"entry {row.seq}: `{row.subject}` was erased, and the key that opens this is still there;"
        " run `navicert erase finish`",
    )


def _audit_carried_out(archive: Archive) -> None:
    if any(row.sessions is not None for row in archive.erasing()):
        message = "an erasure stands in the log, and was not carried out to its end; run `navicert erase finish`"
        raise VerificationError("erasure_incomplete", message)


def _check_row(row: LogRow) -> None:
    """What a receipt is found by is what it says of itself: no index hides it, or shows it as another."""
    receipt = _RECEIPT.decode(row.data)
    said = (
        receipt.log.seq,
        receipt.session.id if receipt.session else None,
        receipt.action.id if receipt.action else None,
        receipt.kind,
        subject_of(receipt),
    )
    if said != (row.seq, row.session, row.action, row.kind, row.subject):
        raise VerificationError("index_mismatch", f"entry {row.seq}: the store finds it by what it does not say")


def _audit_contexts(archive: Archive, kept_since: int, erasures: Erasures) -> tuple[int, tuple[str, ...]]:
    purged: list[str] = []
    verified = 0
    for session_id in archive.session_ids():
        try:
            if _kept(archive, session_id, kept_since, erasures):
                _audit_context(archive, session_id)
                verified += 1
            else:
                purged.append(session_id)
        except VerificationError:
            raise
        except IntegrityError as error:
            raise VerificationError("context_mismatch", f"session `{session_id}`: {error}") from None
    return verified, tuple(purged)


def _kept(archive: Archive, session_id: str, kept_since: int, erasures: Erasures) -> bool:
    """Tell whether a session's context is here; where not, its retention has ended, or whom it was about was erased."""
    if archive.find_session(session_id) is not None or next(archive.entries(session_id), None) is not None:
        return True
    rows = list(archive.log(session=session_id))
    latest = max(_RECEIPT.decode(row.data).at for row in rows)
    if micros(latest) >= kept_since and not all(erasures.gone(row.subject, row.seq) for row in rows):
        message = f"session `{session_id}`: its context is gone, and its retention has not ended"
        raise VerificationError("context_missing", message)
    return False


def _audit_context(archive: Archive, session_id: str) -> None:
    receipts = (_RECEIPT.decode(row.data) for row in archive.log(session=session_id))
    folded = verify_context(session_id, receipts, (entry for _, entry in archive.entries(session_id)))
    if archive.find_session(session_id) != folded:
        message = f"session `{session_id}`: the context that the engine would use is not what its entries make"
        raise VerificationError("context_mismatch", message)
    for item in folded.walked.seen:
        seen = archive.seen(item.row) if item.row.startswith(f"{session_id}/") else None
        if item.row.startswith(f"{session_id}/") and (seen is None or bytes_digest(state_bytes(seen)) != item.digest):
            message = f"session `{session_id}`: what `{item.row}` gave back is missing, or not what its entry names"
            raise VerificationError("context_mismatch", message)


def package_of(archive: Archive, name: str) -> bytes:
    """Return the package of the action that a place, receipt id, action id or handle stands for.

    Raises `IntegrityError` where it stands for no action.
    """
    rows = archive.find(name)
    if rows and rows[0].action is not None:
        rows = list(archive.log(action=rows[0].action))
    if not rows or rows[0].kind != "decision":
        message = f"`{name}` is no action in this store; `navicert tail` lists them"
        raise IntegrityError(message)
    receipts = [receipt_of(row) for row in rows]
    kept, judged = archive.policies(), [receipt.decision.policy.hash for receipt in receipts if receipt.decision]
    lost = [hashed for hashed in judged if hashed not in kept]
    if lost:
        message = f"policy {lost[0]} is not kept; run `navicert verify`"
        raise IntegrityError(message)
    context, first = None, receipts[0]
    if first.session and first.context and archive.find_session(first.session.id) is not None:
        context = state_bytes(archive.context_at(first.session.id, first.context.length - 1))
    people = {item.approver for receipt in receipts for item in receipt.approval or ()}
    records = [row.data for row in archive.log(kind="approver") if row.subject in people] if people else []
    return pack(
        tuple(row.data for row in rows),
        tuple(tuple(archive.disclosures(row)) for row in rows),
        tuple(kept[hashed] for hashed in dict.fromkeys(judged)),
        context,
        tuple(records),
        tuple(row.data for row in archive.log(kind="key")),
    )


__all__ = [
    "STEPS",
    "Audit",
    "Step",
    "VerifiedPackage",
    "audit",
    "open_archive",
    "package_of",
    "verify_package",
]
