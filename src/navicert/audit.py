"""Audit: a whole home folder, verified step by step (R5); and one action as a package for a stranger.

* Reads one state of the store, while an engine may go on writing. Nothing is changed.
* The trust file may be the auditor's own, got by another way; the one in the home folder shows only that the store
  agrees with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Final, NamedTuple

import msgspec

from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive, LogRow, receipt_of
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, make_pseudonym, read_trust
from navicert.config import read_config
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest
from navicert.core.times import micros
from navicert.model.errors import IntegrityError, VerificationError
from navicert.model.receipt import Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.verification.disclosed import policy_of, verify_context, verify_disclosures, verify_policies
from navicert.verification.keyring import Keyring, fingerprint
from navicert.verification.log import LogVerifier, Verified
from navicert.verification.package import VerifiedPackage, pack, verify_package
from navicert.verification.people import Asked, People

DAY_US: Final = 86_400_000_000
STEPS: Final = (
    "trust: the keys that are believed",
    "log: form, order, keys, signatures, pairing",
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


class Audit(Value, frozen=True, kw_only=True):
    """What an audit established.

    fingerprint: of the trust file used. policies, disclosures, contexts: how many were verified. purged: sessions whose
    context is gone after its retention; their receipts name digests that nothing can be held against any more.
    """

    fingerprint: str
    log: Verified
    policies: int
    disclosures: int
    contexts: int
    purged: tuple[str, ...] = ()


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
        log, people = _audit_log(archive, trust, expect_head)
        step(f"{log.entries} entries, head {log.head[:16]}")
        for row in archive.log():
            _check_row(row)
        step(f"{log.entries} rows")
        policies = verify_policies(log.policies, archive.policies())
        step(f"{policies} policy sets")
        keyed = make_pseudonym(read_secret(home.pseudonym_key))
        disclosures = sum(_audit_disclosures(archive, row, keyed, people) for row in archive.log())
        step(f"{disclosures} values")
        contexts, purged = _audit_contexts(archive, (now or int(time() * 1_000_000)) - retention)
        step(f"{contexts} sessions, {len(purged)} purged")
    undisclosed = log.undisclosed - disclosures
    return Audit(
        fingerprint=mark,
        log=msgspec.structs.replace(log, undisclosed=undisclosed),
        policies=policies,
        disclosures=disclosures,
        contexts=contexts,
        purged=purged,
    )


def _audit_log(archive: Archive, trust: Trust, expect_head: tuple[int, str] | None) -> tuple[Verified, People]:
    verifier = LogVerifier(trust, expect_head=expect_head)
    for row in archive.log():
        verifier.add(row.data)
    return verifier.finish(), verifier.people


def _audit_disclosures(archive: Archive, row: LogRow, keyed: Callable[[str], str], people: People) -> int:
    """Hold what a receipt commits to, and what people signed, against it; returns how many values there are."""
    receipt = _RECEIPT.decode(row.data)
    disclosed = verify_disclosures(receipt, archive.disclosures(row), keyed)
    if receipt.kind == "resolution":
        asking = next(item for item in archive.log(action=row.action) if bytes_digest(item.data) == receipt.completes)
        begun = _RECEIPT.decode(asking.data)
        hashed = begun.decision.policy.hash if begun.decision else ""
        asked = Asked(
            receipt=begun,
            disclosed=verify_disclosures(begun, archive.disclosures(asking), keyed),
            policy=policy_of(archive.policies()[hashed])[0],
        )
        people.verify(receipt, disclosed, asked, f"entry {row.seq}")
    return len(disclosed)


def _check_row(row: LogRow) -> None:
    """What a receipt is found by is what it says of itself: no index hides it, or shows it as another."""
    receipt = _RECEIPT.decode(row.data)
    said = (
        receipt.log.seq,
        receipt.session.id if receipt.session else None,
        receipt.action.id if receipt.action else None,
        receipt.kind,
        _subject(receipt),
    )
    if said != (row.seq, row.session, row.action, row.kind, row.subject):
        raise VerificationError("index_mismatch", f"entry {row.seq}: the store finds it by what it does not say")


def _subject(receipt: Receipt) -> str | None:
    """Return whose key seals what a receipt discloses: the requester's; in a record, that of the person it is about."""
    requester, person, authority = receipt.requester_context, receipt.approver, receipt.authority
    if requester is not None:
        return requester.human
    if person is not None:
        return person.approver
    return authority.by if authority is not None else None


def _audit_contexts(archive: Archive, kept_since: int) -> tuple[int, tuple[str, ...]]:
    purged: list[str] = []
    verified = 0
    for session_id in archive.session_ids():
        try:
            if _kept(archive, session_id, kept_since):
                _audit_context(archive, session_id)
                verified += 1
            else:
                purged.append(session_id)
        except VerificationError:
            raise
        except IntegrityError as error:
            raise VerificationError("context_mismatch", f"session `{session_id}`: {error}") from None
    return verified, tuple(purged)


def _kept(archive: Archive, session_id: str, kept_since: int) -> bool:
    """Tell whether a session's context is here; where it is not, its retention must have ended."""
    if archive.find_session(session_id) is not None or next(archive.entries(session_id), None) is not None:
        return True
    latest = max(_RECEIPT.decode(row.data).at for row in archive.log(session=session_id))
    if micros(latest) >= kept_since:
        message = f"session `{session_id}`: its context is gone, and its retention has not ended"
        raise VerificationError("context_missing", message)
    return False


def _audit_context(archive: Archive, session_id: str) -> None:
    receipts = (_RECEIPT.decode(row.data) for row in archive.log(session=session_id))
    folded = verify_context(session_id, receipts, (entry for _, entry in archive.entries(session_id)))
    if archive.find_session(session_id) != folded:
        message = f"session `{session_id}`: the context that the engine would use is not what its entries make"
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
