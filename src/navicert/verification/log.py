"""Verification of a log: order, keys, signatures, sessions, and how receipts answer each other (R5).

* Pure: entries and trust come in, a report goes out, or `VerificationError` with a code (docs/reference/verify.md).
* Keys resolve in the trust file, or through a `key` record that an earlier trusted key signed; never from a receipt.
* Memory grows with sessions, open actions and ids, not with bytes: entries are looked at once, in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from navicert.core.digest import bytes_digest
from navicert.core.seal import ZERO
from navicert.core.times import micros
from navicert.model.errors import VerificationError
from navicert.model.receipt import PolicyPart, Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.verification.disclosed import commitments
from navicert.verification.erasures import Erasures
from navicert.verification.forms import PERMITTING, WAITING, check_form, parsed
from navicert.verification.keyring import Keyring
from navicert.verification.people import People
from navicert.verification.standing import Standing
from navicert.verification.waits import answers

STEP_US: Final = 1_000_000


class Awaited(Value, frozen=True, kw_only=True):
    """A decision that something has still to follow: its place, receipt, action, and full tool name."""

    seq: int
    receipt_id: str
    action_id: str
    name: str
    at: str


class Verified(Value, frozen=True, kw_only=True):
    """What was verified. Everything in here is covered by valid signatures.

    kinds, verdicts: how many of each. open: permitted, no outcome. waiting: suspended, without a final resolution.
    policies: every policy set that was in force. undisclosed: commitments whose values were not looked at here.
    clock_steps: how often the time went back by more than a second.
    """

    origin: str
    entries: int = 0
    head: str = ZERO
    kinds: dict[str, int] = {}
    verdicts: dict[str, int] = {}
    sessions: int = 0
    open: tuple[Awaited, ...] = ()
    waiting: tuple[Awaited, ...] = ()
    keys: tuple[str, ...] = ()
    policies: tuple[PolicyPart, ...] = ()
    first_at: str | None = None
    last_at: str | None = None
    undisclosed: int = 0
    clock_steps: int = 0


def verify_log(entries: Iterable[bytes], trust: Trust, *, expect_head: tuple[int, str] | None = None) -> Verified:
    """Verify a whole log, from its first entry; returns the report, or raises `VerificationError` at the first fault.

    expect_head: a place and the SHA-256 of the entry there, known from elsewhere; the log must hold it.
    """
    verifier = LogVerifier(trust, expect_head=expect_head)
    for data in entries:
        verifier.add(data)
    return verifier.finish()


class LogVerifier:
    """Verifies the entries of one log as they are given to it, in order; `finish` returns the report."""

    def __init__(self, trust: Trust, *, expect_head: tuple[int, str] | None = None, whole: bool = True) -> None:
        """Begin with no entry.

        whole: every entry will be given. Else they are some of a log, in its order, and what rests on the others
        (chains, epochs of authority) is not held against them.
        """
        self.people = People()
        """Who may answer, by the records so far."""
        self.erasures = Erasures()
        """Whose disclosures are held, and whose were erased, by the records so far."""
        self.epoch = 1
        """How often the log was begun: once, and once more with each `restore` record."""
        self._whole = whole
        self._pruned = self._last_pruned = self._prunable = self._prunable_upto = 0
        self._standing = Standing()
        # 1. Somebody is trusted, and each trusted key is the one that its id names.
        self._keyring = Keyring(trust)
        self._origin = trust.origin
        self._expected = expect_head
        self._seq = 0
        self._head: str | None = ZERO
        self._first_at: str | None = None
        self._last_at: str | None = None
        self._ids: set[str] = set()
        self._actions: set[str] = set()
        self._sessions: dict[str, tuple[int, str]] = {}
        self._policies: dict[str, PolicyPart] = {}
        self._open: dict[str, Receipt] = {}
        self._waiting: dict[str, Receipt] = {}
        self._completed: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._undisclosed = 0
        self._clock_steps = 0

    def add(self, data: bytes) -> Receipt:
        """Verify the next entry; returns its receipt."""
        place = f"entry {self._seq + 1}" if self._whole else f"the next behind entry {self._seq}"
        receipt = parsed(data, place)
        place = f"entry {receipt.log.seq}" if not self._whole else place
        self._check_place(receipt, place)
        self._keyring.check(receipt, data, place)  # steps 4 to 7
        check_form(receipt, place)
        digest = bytes_digest(data)
        self._check_chains(receipt, digest, place)
        self._check_pairing(receipt, digest, place)
        self._check_records(receipt, place)
        self._take(receipt, digest)
        return receipt

    @property
    def head(self) -> str:
        """SHA-256 of the newest entry, 64 zeros before the first; empty where that was pruned."""
        return self._head or ""

    def skip(self) -> None:
        """Take it that the next entry was pruned: what it said is not known, nor what it completed or began."""
        self._seq += 1
        self._head = None
        self._pruned += 1
        self._last_pruned = self._seq

    def finish(self) -> Verified:
        """Return the report, once the log holds the head that was expected."""
        # 19. What was taken out is on record.
        if self._pruned > self._prunable or self._last_pruned > self._prunable_upto:
            message = f"entry {self._last_pruned} is not here, and no `prune` record says why"
            raise VerificationError("gap", message)
        # 18. The log reaches to the head that is known from elsewhere: its tail was not cut.
        if self._expected is not None and self._seq < self._expected[0]:
            message = f"the log ends at entry {self._seq}; entry {self._expected[0]} is known to have stood in it"
            raise VerificationError("tail_cut", message)
        return Verified(
            origin=self._origin,
            entries=self._seq,
            head=self.head,
            kinds=dict(self._kinds),
            verdicts=dict(self._verdicts),
            sessions=len(self._sessions),
            open=tuple(_awaited(receipt) for receipt in self._open.values()),
            waiting=tuple(_awaited(receipt) for receipt in self._waiting.values()),
            keys=tuple(self._keyring.signers),
            policies=tuple(self._policies.values()),
            first_at=self._first_at,
            last_at=self._last_at,
            undisclosed=self._undisclosed,
            clock_steps=self._clock_steps,
        )

    def _check_place(self, receipt: Receipt, place: str) -> None:
        # 3. It belongs to this log, it is the next entry, and it names the bytes of the entry before it.
        if receipt.log.origin != self._origin:
            message = f"{place}: it is of the log `{receipt.log.origin}`, the trust file is for `{self._origin}`"
            raise VerificationError("wrong_origin", message)
        follows = receipt.log.seq == self._seq + 1
        if not follows and (self._whole or receipt.log.seq <= self._seq):
            message = f"{place}: it says that it is entry {receipt.log.seq}; entries are missing, moved or inserted"
            raise VerificationError("gap", message)
        if follows and self._head is not None and receipt.log.prev != self._head:
            raise VerificationError("chain_broken", f"{place}: it follows another entry than the one before it")

    def _check_chains(self, receipt: Receipt, digest: str, place: str) -> None:
        # 9. Receipt ids are unique, and each action is decided once.
        action = receipt.action.id if receipt.action else ""
        if receipt.receipt_id in self._ids or (receipt.kind == "decision" and action in self._actions):
            raise VerificationError("duplicate", f"{place}: {receipt.receipt_id} ({action}) stood in the log before")
        # 10. The session's own chain has no gap either, and the requester stands in that session.
        session = receipt.session
        requester = receipt.requester_context
        if requester is not None and requester.session != (session.id if session else ""):
            raise VerificationError("session_chain", f"{place}: the requester belongs to another session")
        if session is not None:
            count, head = self._sessions.get(session.id, (0, ZERO))
            skipped = session.seq > count + 1 and (self._pruned or not self._whole)
            if (session.seq, session.prev) != (count + 1, head) and not skipped:
                message = f"{place}: it is not what follows place {count} of session `{session.id}`"
                raise VerificationError("session_chain", message)
        # 17. Where the head is known from elsewhere, the entry is the one that stood there.
        if self._expected is not None and self._expected[0] == self._seq + 1 and self._expected[1] != digest:
            raise VerificationError("head_mismatch", f"{place}: another entry is known to have stood here")

    def _check_pairing(self, receipt: Receipt, digest: str, place: str) -> None:
        decision = receipt.decision
        if decision is None:
            return
        # 11. What completes a receipt names an earlier one that is still unanswered, and is about the same.
        if receipt.completes is not None:
            begun = (self._open if receipt.kind == "outcome" else self._waiting).pop(receipt.completes, None)
            if begun is not None or not self._pruned or receipt.completes in self._completed:
                answers(receipt, begun, place)
            self._completed.add(receipt.completes)
            # 13. Who answered had been enrolled, with this key, and not dismissed.
            self.people.check(receipt, place)
        # 12. The policy that judged had been put in force, under this id and version.
        if self._policies.get(decision.policy.hash) != decision.policy:
            message = f"{place}: policy {decision.policy.hash} was not put in force before"
            raise VerificationError("policy_unknown", message)
        if receipt.kind != "outcome":
            if decision.result in PERMITTING:
                self._open[digest] = receipt
            elif decision.result in WAITING:
                self._waiting[digest] = receipt

    def _check_records(self, receipt: Receipt, place: str) -> None:
        if receipt.policy is not None:
            self._policies[receipt.policy.hash] = receipt.policy
        # 14. Authority changes from the state that stood, and decisions rest on the one that stands.
        if self._whole and not self._pruned:
            self._standing.check(receipt, place)
        # 15. An `approver` record enrols a new key for a person, or ends the one that they have.
        self.people.enrol(receipt, place)
        # 20. Two people erase, and lift a hold; never the subject, and nothing that is held.
        self.erasures.check(receipt, self.people, place)
        # 16. A `key` record certifies a new key, and retires the one that signs it.
        if receipt.key is not None:
            self._keyring.hand_over(receipt, place)
        # 21. A `restore` record begins the next epoch.
        if receipt.restore is not None:
            if receipt.restore.epoch != self.epoch + 1:
                message = f"{place}: it begins epoch {receipt.restore.epoch}, and this was epoch {self.epoch}"
                raise VerificationError("restore", message)
            self.epoch += 1
        if receipt.prune is not None:
            self._prunable += receipt.prune.entries
            self._prunable_upto = max(self._prunable_upto, receipt.prune.upto)

    def _take(self, receipt: Receipt, digest: str) -> None:
        if receipt.session is not None:
            self._sessions[receipt.session.id] = (receipt.session.seq, digest)
        if receipt.kind == "decision" and receipt.action is not None:
            self._actions.add(receipt.action.id)
        if receipt.decision is not None and receipt.kind != "outcome":
            self._verdicts[receipt.decision.result] += 1
        self._ids.add(receipt.receipt_id)
        self._kinds[receipt.kind] += 1
        self._undisclosed += len(commitments(receipt)) if receipt.kind != "outcome" else 1
        last = self._last_at or receipt.at
        if receipt.at < last and micros(last) - micros(receipt.at) > STEP_US:
            self._clock_steps += 1
        self._first_at, self._last_at = self._first_at or receipt.at, receipt.at
        self._seq, self._head = receipt.log.seq, digest


def _awaited(receipt: Receipt) -> Awaited:
    action = receipt.action
    name = f"{action.tool}.{action.operation}" if action else ""
    action_id = action.id if action else ""
    return Awaited(seq=receipt.log.seq, receipt_id=receipt.receipt_id, action_id=action_id, name=name, at=receipt.at)


__all__ = ["PERMITTING", "WAITING", "Awaited", "LogVerifier", "Verified", "check_form", "parsed", "verify_log"]
