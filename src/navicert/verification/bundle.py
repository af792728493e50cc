"""The evidence bundle: a log, or what a log holds of one action or session, in one file for a stranger (R5).

Format: docs/reference/bundle.md. One canonical JSON object a line: what this is, the trust file, the checkpoint, policy
sets, entries with what they disclose, files to take along, and a last line over all bytes before it.

* A bundle is read once, from front to back; memory grows with ids and what waits, not with bytes.
* Nothing in it is believed before it was verified: the manifest only says what to expect, and what is here must fit.
* The size of the log comes from the signed checkpoint, never from a proof, a count or the manifest.
* It is authentic only where the reader brought the fingerprint of the trust file by another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO, Final, NamedTuple

import msgspec

from navicert.core.canonical import receipt_bytes
from navicert.core.times import micros
from navicert.model.errors import IntegrityError, VerificationError
from navicert.model.policy import PolicySet
from navicert.model.receipt import PolicyPart, Receipt, RestorePart
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.tlog.checkpoint import Cosigned
from navicert.tlog.note import decode64
from navicert.tlog.tree import leaf_hash, verify_consistency, verify_inclusion
from navicert.verification.bundle_lines import (
    FORMAT,
    CheckpointLine,
    CosignedLine,
    EndLine,
    EntryLine,
    FileLine,
    Lines,
    Manifest,
    PolicyLine,
    PrunedLine,
    TrustLine,
)
from navicert.verification.covering import Covering, quorum_of, signed, tail_s
from navicert.verification.disclosed import (
    EFFECTIVE,
    HUMAN,
    PARAMETERS,
    match_disclosures,
    name_at,
    policy_of,
    statement_at,
    subject_of,
    verify_policies,
)
from navicert.verification.erasures import verify_erasure
from navicert.verification.forms import WAITING
from navicert.verification.keyring import Keyring, fingerprint
from navicert.verification.log import Awaited, LogVerifier, Verified
from navicert.verification.people import Asked

STEPS: Final = (
    "file: it is a bundle, and says what is in it",
    "root: whose trust file it is",
    "trust: the keys that are believed, as the root signed them",
    "checkpoint: size and root of the log, as the log signed them",
    "witnesses: who else has seen that the log only grew",
    "entries: form, keys, signatures, pairing; what is disclosed, what people signed",
    "policies: each one that judged is here, unchanged",
    "tree: every entry stands in the tree that was signed",
    "end: nothing was cut off, added or changed on the way",
    "tail: what no witness has seen",
)
RECORDS: Final = frozenset({"key", "policy", "approver", "authority", "erasure", "restore", "prune"})
"""Records of the log that a bundle of one action or session carries as well: by them keys and people are judged."""
_ALL: Final = "all"
_NONE: Final = "none"
Progress = Callable[[int, str, str], None]
"""Called with each step that has passed: its number from 1, its name out of `STEPS`, and what was found."""
Seen = Callable[[Receipt, Mapping[str, bytes]], None]
"""Called with each entry once it is verified, and what it discloses: JSON pointer → JSON bytes."""


class VerifiedBundle(Value, frozen=True, kw_only=True):
    """What a bundle shows, all of it verified.

    authentic: the reader brought the fingerprint, and it fits. log: what the entries say. size, epoch: of the newest
    checkpoint. cosigned, cosigned_by: size of the newest one with a quorum (0: none), and who cosigned it, when.
    tail: how many entries of the log, as far as this bundle knows it, no quorum has seen; None where the trust file
    names no witness. tail_s: how long before the newest of them the quorum was there, None where it never was.
    disclosed, undisclosed: commitments whose value is here, and is not. unseen: answers of people whose statement is
    not disclosed, so that what they signed was not looked at. erased: pseudonyms. pruned: entries without their bytes.
    """

    manifest: Manifest
    fingerprint: str
    authentic: bool
    log: Verified
    size: int
    epoch: int
    witnesses: int
    cosigned: int
    cosigned_by: tuple[Cosigned, ...]
    tail: int | None
    tail_s: int | None
    disclosed: int
    undisclosed: int
    unseen: int
    erased: tuple[str, ...]
    pruned: int
    restores: tuple[RestorePart, ...]
    files: tuple[str, ...]

    @property
    def open(self) -> tuple[Awaited, ...]:
        """Permitted, no outcome: dispatched is not confirmed."""
        return self.log.open


def squeezed(mark: str) -> str:
    """Return a fingerprint as it is compared: spaces and case do not count."""
    return "".join(mark.split()).casefold()


def verify_bundle(
    file: BinaryIO,
    *,
    root: str | None = None,
    progress: Progress = lambda *_: None,
    seen: Seen = lambda *_: None,
) -> VerifiedBundle:
    """Verify a bundle as it is read; returns what it shows, or raises `VerificationError` at the first fault.

    root: the fingerprint of the trust file, got by another way than the bundle; spaces and case do not count. seen: is
    given entries before the end of the file is reached, so what it made of them counts only once this has returned.
    """
    return _Reading(file, root, progress, seen).run()


class _Wait(NamedTuple):
    receipt: Receipt
    disclosed: Mapping[str, bytes]


class _Reading:
    """One bundle, as it is gone through."""

    def __init__(self, file: BinaryIO, root: str | None, progress: Progress, seen: Seen) -> None:
        self._lines = Lines(file)
        self._root = root
        self._progress = progress
        self._seen = seen
        self._passed = 0
        self._policies: dict[str, bytes] = {}
        self._judged: dict[PolicyPart, None] = {}
        self._waits: dict[str, _Wait] = {}
        self._missing: dict[str | None, int] = {}
        self._heads = bytearray()
        self._restores: list[tuple[int, RestorePart]] = []
        self._count = self._pruned = self._newest = 0
        self._disclosed = self._undisclosed = self._unseen = 0
        self._about = 0

    def run(self) -> VerifiedBundle:
        """Take the lines in their order."""
        # 1. The first line says what this is.
        self.manifest = self._lines.take(Manifest)
        self.whole = self._check_manifest(self.manifest)
        self._step(f"made {self.manifest.made_at[:19]} by {self.manifest.made_by}")
        # 2. The trust file is the one whose fingerprint the reader knows.
        self.trust = _trust(self._lines.take(TrustLine).trust)
        mark = fingerprint(self.trust)
        if self._root is not None and squeezed(self._root) != squeezed(mark):
            raise VerificationError("root_mismatch", f"the fingerprint is {mark}, and you brought `{self._root:.80}`")
        self._step(mark if self._root is not None else "not compared")
        # 3. Its root signed it, its keys are keys, and it is for this log.
        self._log = LogVerifier(self.trust, whole=self.whole)
        Keyring(self.trust)
        if self.trust.origin != self.manifest.origin:
            message = f"the trust file is for `{self.trust.origin}`, and the bundle says `{self.manifest.origin}`"
            raise VerificationError("wrong_origin", message)
        self._step(f"{len(self.trust.keys)} keys of `{self.trust.origin}`")
        # 4. The log signed its size and root.
        note = self._lines.take(CheckpointLine).checkpoint
        self.epoch, self.checkpoint = signed(note, self.trust)
        self._step(f"{self.checkpoint.size} entries")
        # 5. Witnesses saw this tree, or an older one that it continues.
        self.cosigned, self.cosigned_by = self._witnesses(note)
        self._step(f"{len({item.operator for item in self.cosigned_by})} of {self.trust.quorum}")
        self._covering = Covering(self._signed if self.whole else ())
        # 6. Every entry is what it should be, as far as it goes.
        for line in self._lines.while_of(PolicyLine):
            data = line.policy.encode()  # type: ignore[attr-defined]
            self._add_policy(data)
        for line in self._lines.while_of(EntryLine, PrunedLine):
            self._count += 1
            if isinstance(line, EntryLine):
                self._entry(line)
            elif isinstance(line, PrunedLine):
                self._skip(line)
        log = self._log.finish()
        self._check_entries(log)
        self._step(f"{self._count} entries")
        # 7. Policies.
        self._check_policies(log)
        self._step(f"{len(self._policies)} policy sets")
        # 8. The tree.
        self._check_tree()
        self._step(f"{min(self.checkpoint.size, self._newest)} of {self.checkpoint.size} entries")
        # 9. What comes behind is known by name, and then the file ends.
        names = [line.name for line in self._lines.while_of(FileLine)]  # type: ignore[attr-defined]
        if len(set(names)) < len(names) or not all(map(_plain_name, names)):
            raise VerificationError("schema", "a file to take along has the name of another, or that of a place")
        end = self._lines.take(EndLine)
        self._step(f"{end.lines + 1} lines")
        # 10. The tail.
        tail, seconds = self._tail(log)
        self._step("no witness is named" if tail is None else f"{tail} entries")
        return VerifiedBundle(
            manifest=self.manifest,
            fingerprint=mark,
            authentic=self._root is not None,
            log=log,
            size=self.checkpoint.size,
            epoch=self.epoch,
            witnesses=len(self.trust.witnesses),
            cosigned=self.cosigned,
            cosigned_by=self.cosigned_by,
            tail=tail,
            tail_s=seconds,
            disclosed=self._disclosed,
            undisclosed=self._undisclosed,
            unseen=self._unseen,
            erased=tuple(self._log.erasures.erased),
            pruned=self._pruned,
            restores=tuple(part for _, part in self._restores),
            files=tuple(names),
        )

    def _step(self, found: str) -> None:
        self._passed += 1
        self._progress(self._passed, STEPS[self._passed - 1], found)

    def _check_manifest(self, manifest: Manifest) -> bool:
        scope, revealed = manifest.scope, manifest.revealed
        if manifest.navicert != FORMAT:
            raise VerificationError(
                "schema", f"line 1: format `{manifest.navicert:.40}`, this verifier knows `{FORMAT}`"
            )
        if [scope.log, scope.action is not None, scope.session is not None].count(True) != 1:
            raise VerificationError("schema", "line 1: a bundle is of the log, of one action, or of one session")
        listed = not isinstance(revealed, str)
        if (listed and (not revealed or tuple(sorted(set(revealed))) != revealed)) or (
            not listed and revealed not in {_ALL, _NONE}
        ):
            raise VerificationError("schema", "line 1: what is revealed is `all`, `none`, or a sorted list of pointers")
        try:
            micros(manifest.made_at)
        except ValueError as error:
            raise VerificationError("schema", f"line 1: made_at: {error}") from None
        return scope.log

    def _witnesses(self, note: str) -> tuple[int, tuple[Cosigned, ...]]:
        by = quorum_of(note, self.trust)
        self._signed = [(self.epoch, self.checkpoint)]
        if not isinstance(self._lines.ahead, CosignedLine):
            return (self.checkpoint.size, by) if by else (0, ())
        line = self._lines.take(CosignedLine)
        epoch, older = signed(line.cosigned, self.trust)
        proof = [decode64(item, "consistency") for item in line.consistency]
        verify_consistency(older.size, self.checkpoint.size, older.root, self.checkpoint.root, proof)
        older_by = quorum_of(line.cosigned, self.trust)
        if by or not older_by or older.size >= self.checkpoint.size:
            message = f"the checkpoint of {older.size} entries is not the newest with a quorum of {self.trust.quorum}"
            raise VerificationError("bad_cosignature", message)
        self._signed.append((epoch, older))
        return older.size, older_by

    # entries

    def _add_policy(self, data: bytes) -> None:
        try:
            hashed = policy_of(data)[1]
        except IntegrityError as error:
            raise VerificationError("policy_mismatch", f"{self._lines.place}: {error}") from None
        if hashed in self._policies:
            raise VerificationError("duplicate", f"policy {hashed} is here twice")
        self._policies[hashed] = data

    def _entry(self, line: EntryLine) -> None:
        data = line.entry.encode()
        receipt = self._log.add(data)
        seq, place = receipt.log.seq, f"entry {receipt.log.seq}"
        self._newest, self._newest_at = seq, receipt.at
        leaf = leaf_hash(data)
        if self.whole:
            if line.proof is not None:
                raise VerificationError("schema", f"{place}: a bundle of the whole log needs no proofs")
            self._covering.grow(leaf, restores=receipt.restore is not None)
            self._heads += bytes.fromhex(self._log.head)
        else:
            self._check_scope(receipt, place)
            self._include(line, seq, leaf, place)
        if receipt.restore is not None:
            self._restores.append((seq, receipt.restore))
        disclosed = self._disclose(receipt, line.disclosures, seq)
        self._judge(receipt, disclosed, place)
        self._seen(receipt, disclosed)

    def _disclose(self, receipt: Receipt, texts: tuple[str, ...], seq: int) -> dict[str, bytes]:
        disclosed, missing = match_disclosures(receipt, texts)
        revealed = self.manifest.revealed
        self._disclosed += len(disclosed)
        self._undisclosed += len(missing)
        if any(revealed == _ALL or _within(pointer, revealed) for pointer in missing):
            self._missing[subject_of(receipt)] = seq
        if revealed != _ALL and any(not _within(pointer, revealed) for pointer in disclosed):
            raise VerificationError("manifest", f"entry {seq}: it discloses more than the first line says")
        return disclosed

    def _judge(self, receipt: Receipt, disclosed: dict[str, bytes], place: str) -> None:
        """Hold what people signed, where it is disclosed, against what they were asked."""
        if receipt.decision is not None:
            self._judged[receipt.decision.policy] = None
        if receipt.kind == "resolution":
            asked = self._waits.pop(receipt.completes or "", None)  # None: it was pruned
            named = asked.receipt.decision.policy if asked and asked.receipt.decision else None
            if asked is not None and named is not None and _shown(receipt, disclosed, asked):
                told = Asked(receipt=asked.receipt, disclosed=asked.disclosed, policy=self._policy(named))
                self._log.people.verify(receipt, disclosed, told, place)
            else:
                self._unseen += len(receipt.approval or ())
        elif receipt.erasure is not None:
            if self.whole and not self._pruned and _answers(receipt) <= disclosed.keys():
                verify_erasure(receipt, disclosed, self._log.people, self._head_at, place)
            else:
                self._unseen += len(receipt.approval or ())
        if receipt.kind != "outcome" and receipt.decision is not None and receipt.decision.result in WAITING:
            kept = {name: value for name, value in disclosed.items() if name in {PARAMETERS, EFFECTIVE, HUMAN}}
            self._waits[self._log.head] = _Wait(receipt, kept)

    def _policy(self, part: PolicyPart) -> PolicySet:
        verify_policies([part], {part.hash: self._policies[part.hash]} if part.hash in self._policies else {})
        return policy_of(self._policies[part.hash])[0]

    def _head_at(self, seq: int) -> str | None:
        return self._heads[32 * seq - 32 : 32 * seq].hex() if 0 < seq <= len(self._heads) // 32 else None

    def _skip(self, line: PrunedLine) -> None:
        leaf = decode64(line.leaf, "leaf")
        if not self.whole or line.seq != self._newest + 1 or line.seq > self.checkpoint.size or len(leaf) != 32:
            message = f"line of entry {line.seq}: only of a whole log, in its place, and within the checkpoint"
            raise VerificationError("gap", message)
        self._log.skip()
        self._newest = line.seq
        self._pruned += 1
        self._heads += bytes(32)
        self._covering.grow(leaf)

    def _include(self, line: EntryLine, seq: int, leaf: bytes, place: str) -> None:
        size = self.checkpoint.size
        if (line.proof is not None) != (seq <= size):
            message = f"{place}: a proof stands with every entry within the {size} of the checkpoint, and no other"
            raise VerificationError("bad_inclusion", message)
        if line.proof is not None:
            proof = [decode64(item, f"{place}, proof") for item in line.proof]
            verify_inclusion(seq - 1, size, leaf, proof, self.checkpoint.root)

    def _check_scope(self, receipt: Receipt, place: str) -> None:
        scope = self.manifest.scope
        action = receipt.action.id if receipt.action else None
        session = receipt.session.id if receipt.session else None
        if scope.action is not None:
            about = action == scope.action
        else:
            about = session == scope.session
            self._about += about
            if about and receipt.session is not None and receipt.session.seq != self._about:
                raise VerificationError("session_chain", f"{place}: receipts of session `{session}` are missing")
        if not about and receipt.kind not in RECORDS:
            raise VerificationError("manifest", f"{place}: it is about something else than the first line says")

    # the end

    def _check_entries(self, log: Verified) -> None:
        if self._count != self.manifest.entries:
            message = f"{self._count} entries are here, and the first line says {self.manifest.entries}"
            raise VerificationError("manifest", message)
        if not self.whole and log.kinds.keys() <= RECORDS:
            raise VerificationError("manifest", "the action or session that the first line names is not here")
        for subject, seq in self._missing.items():
            if not self._log.erasures.gone(subject, seq):
                message = f"entry {seq}: not all of it is disclosed, and no `erasure` record says why"
                raise VerificationError("disclosure_missing", message)

    def _check_policies(self, log: Verified) -> None:
        verify_policies(self._judged, self._policies)
        strange = self._policies.keys() - {part.hash for part in (*log.policies, *self._judged)}
        if strange:
            raise VerificationError("policy_unknown", f"policy {min(strange)} was never put in force in this log")

    def _check_tree(self) -> None:
        if self.whole:
            self._covering.check()
            return
        for epoch, checkpoint in self._signed:
            begun = 1 + sum(seq <= checkpoint.size for seq, _ in self._restores)
            if epoch != begun:
                message = f"the checkpoint of {checkpoint.size} entries is of epoch {epoch}, they make epoch {begun}"
                raise VerificationError("wrong_origin", message)

    def _tail(self, log: Verified) -> tuple[int | None, int | None]:
        quorum = self.trust.quorum
        if not quorum or not self.trust.witnesses:
            return None, None
        newest = max(self._newest, self.checkpoint.size)
        if not self.cosigned:
            return newest, None
        at = log.last_at if self._newest == newest and log.last_at else self.manifest.made_at
        tail = newest - self.cosigned
        return tail, tail_s(self.cosigned_by, quorum, at) if tail else 0


def _trust(text: str) -> Trust:
    data = text.encode()
    try:
        trust = msgspec.json.decode(data, type=Trust)
        same = receipt_bytes(trust) == data
    except ValueError as error:  # msgspec's own errors are ValueErrors
        raise VerificationError("schema", f"line 2: not a trust file: {error}") from None
    if not same:
        raise VerificationError("not_canonical", "line 2: the trust file is not in canonical form")
    return trust


def _within(pointer: str, revealed: str | tuple[str, ...]) -> bool:
    return not isinstance(revealed, str) and any(pointer == item or pointer.startswith(f"{item}/") for item in revealed)


def _answers(receipt: Receipt) -> set[str]:
    return {at(index) for index in range(len(receipt.approval or ())) for at in (name_at, statement_at)}


def _shown(receipt: Receipt, disclosed: Mapping[str, bytes], asked: _Wait) -> bool:
    """Tell whether all that is needed to hold answers against their question is disclosed."""
    action = asked.receipt.action
    needed = {PARAMETERS, HUMAN} | ({EFFECTIVE} if action is not None and action.effective is not None else set())
    return needed <= asked.disclosed.keys() and {PARAMETERS, HUMAN} | _answers(receipt) <= disclosed.keys()


def _plain_name(name: str) -> bool:
    return bool(name) and name.isascii() and name.isprintable() and not set(name) & set("/\\") and name[0] != "."
