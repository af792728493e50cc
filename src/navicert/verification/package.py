"""The receipt package: all receipts of one action, with what they commit to, in full, for a stranger (R5, Settled).

    {"receipts": [exact text, …], "disclosures": [[…], …], "policy": exact text, "later": [exact text, …],
     "context": exact text or null, "approvers": [exact text, …], "keys": [exact text, …]}

* Texts stand exactly as they were hashed and signed. `policy` is the set that judged the decision, `later` are others
  by which it was judged again. `context` is what the decision was judged on; null where there was no session, or its
  retention has ended. `approvers` are the records of the people who answered. `keys` are the hand-overs of the log from
  one key to the next, for a trust file that does not list them all.
* A package shows what was decided and on what grounds. That nothing is missing beside it (an outcome, the record that
  ends an approver's key), only the log shows. Nor does it show its place in the log: what a revoked key has signed does
  not count here.
"""

from __future__ import annotations

import msgspec

from navicert.core.digest import bytes_digest, context_digest
from navicert.model.context import SessionContext
from navicert.model.errors import VerificationError
from navicert.model.policy import PolicySet
from navicert.model.receipt import PolicyPart, Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.verification.disclosed import policy_of, verify_disclosures, verify_policies
from navicert.verification.forms import PERMITTING, WAITING, check_form, parsed
from navicert.verification.keyring import Keyring
from navicert.verification.people import Asked, People
from navicert.verification.waits import answers


class Package(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A package as it is handed over."""

    receipts: tuple[str, ...]
    disclosures: tuple[tuple[str, ...], ...]
    policy: str
    later: tuple[str, ...] = ()
    context: str | None = None
    approvers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class VerifiedPackage(Value, frozen=True, kw_only=True):
    """What a package shows, every value of it verified. disclosed: by receipt, JSON pointer → JSON bytes.

    policy: the set that judged the decision.
    """

    receipts: tuple[Receipt, ...]
    disclosed: tuple[dict[str, bytes], ...]
    policy: PolicySet
    context: SessionContext | None


def pack(
    receipts: tuple[bytes, ...],
    disclosures: tuple[tuple[str, ...], ...],
    policies: tuple[bytes, ...],
    context: bytes | None,
    approvers: tuple[bytes, ...] = (),
    keys: tuple[bytes, ...] = (),
) -> bytes:
    """Return the bytes of a package. policies: that of the decision, then the others by which it was judged again."""
    package = Package(
        receipts=tuple(data.decode() for data in receipts),
        disclosures=disclosures,
        policy=policies[0].decode(),
        later=tuple(data.decode() for data in policies[1:]),
        context=context.decode() if context is not None else None,
        approvers=tuple(data.decode() for data in approvers),
        keys=tuple(data.decode() for data in keys),
    )
    return msgspec.json.encode(package, order="sorted")


def verify_package(data: bytes, trust: Trust) -> VerifiedPackage:
    """Verify a package by itself; returns what it shows, or raises `VerificationError`."""
    keyring = Keyring(trust)
    try:
        package = msgspec.json.decode(data, type=Package)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VerificationError("schema", f"not a package: {error}") from None
    if not package.receipts or len(package.receipts) != len(package.disclosures):
        raise VerificationError("schema", "a package has receipts, and disclosures for each of them")
    for number, text in enumerate(package.keys, 1):
        place = f"key {number} of the package"
        keyring.hand_over(_signed(text, place, keyring, trust), place)
    people = _people(package, keyring, trust)
    receipts: list[Receipt] = []
    disclosed: list[dict[str, bytes]] = []
    waiting: dict[str, int] = {}
    completed: list[int | None] = []
    for text, disclosures in zip(package.receipts, package.disclosures, strict=True):
        place = f"receipt {len(receipts) + 1} of the package"
        # 1. Each receipt is well-formed, of this log, and signed by a trusted key.
        receipt = _signed(text, place, keyring, trust)
        # 2. They are about one action: a decision, then only what completes it.
        if receipt.completes is None and (receipts or receipt.kind != "decision"):
            raise VerificationError("pairing", f"{place}: a package begins with its one decision")
        begun = waiting.pop(receipt.completes, None) if receipt.completes is not None else None
        if receipt.completes is not None:
            fits = begun is not None and _completes(receipt, receipts[begun])
            answers(receipt, receipts[begun] if begun is not None and fits else None, place)
        if receipt.kind != "outcome" and receipt.decision and receipt.decision.result in PERMITTING | WAITING:
            waiting[bytes_digest(text.encode())] = len(receipts)
        # 3. What they commit to is disclosed.
        disclosed.append(verify_disclosures(receipt, disclosures))
        receipts.append(receipt)
        completed.append(begun)
    # 4. The policies are those that judged, and the context the one that was judged on.
    named = [receipt.decision.policy for receipt in receipts if receipt.decision is not None]
    policies = _policies(package, named)
    # 5. People signed what the receipts say, and were enrolled, by the records in the package.
    for index, (receipt, begun) in enumerate(zip(receipts, completed, strict=True)):
        if receipt.kind == "resolution" and begun is not None:
            asked = Asked(receipt=receipts[begun], disclosed=disclosed[begun], policy=policies[named[begun].hash])
            people.verify(receipt, disclosed[index], asked, f"receipt {index + 1} of the package")
    context = None
    if package.context is not None:
        context = _context(package.context.encode(), receipts[0])
    return VerifiedPackage(
        receipts=tuple(receipts),
        disclosed=tuple(disclosed),
        policy=policies[named[0].hash],
        context=context,
    )


def _signed(text: str, place: str, keyring: Keyring, trust: Trust) -> Receipt:
    entry = text.encode()
    receipt = parsed(entry, place)
    if receipt.log.origin != trust.origin:
        raise VerificationError("wrong_origin", f"{place}: it is of the log `{receipt.log.origin}`")
    keyring.check(receipt, entry, place)
    if receipt.signature.key_id in keyring.revoked:
        message = f"{place}: {receipt.signature.key_id} was revoked, and only the log shows what came before that"
        raise VerificationError("key_revoked", message)
    check_form(receipt, place)
    return receipt


def _completes(receipt: Receipt, begun: Receipt) -> bool:
    """Tell whether a receipt is of the kind that ends the other: an outcome what was permitted, a resolution a wait."""
    result = begun.decision.result if begun.decision else ""
    return result in (PERMITTING if receipt.kind == "outcome" else WAITING)


def _people(package: Package, keyring: Keyring, trust: Trust) -> People:
    """Return who may answer, by the records in the package."""
    people, last = People(), 0
    for number, text in enumerate(package.approvers, 1):
        place = f"approver {number} of the package"
        receipt = _signed(text, place, keyring, trust)
        if receipt.kind != "approver" or receipt.log.seq <= last:
            raise VerificationError("schema", f"{place}: not the record of an approver, or out of order")
        people.enrol(receipt, place)
        last = receipt.log.seq
    return people


def _policies(package: Package, named: list[PolicyPart]) -> dict[str, PolicySet]:
    """Return the policy sets of a package by hash: every one that judged, and no other."""
    texts = [text.encode() for text in (package.policy, *package.later)]
    hashes = list(dict.fromkeys(part.hash for part in named))
    if len(texts) != len(hashes):
        raise VerificationError("policy_unknown", f"{len(hashes)} policy sets judged, and {len(texts)} are here")
    kept = dict(zip(hashes, texts, strict=True))
    verify_policies(named, kept)
    return {hashed: policy_of(data)[0] for hashed, data in kept.items()}


def _context(data: bytes, receipt: Receipt) -> SessionContext:
    try:
        context = msgspec.json.decode(data, type=SessionContext)
    except msgspec.MsgspecError as error:
        raise VerificationError("context_mismatch", f"not a context: {error}") from None
    if receipt.context is None or context_digest(context) != receipt.context.hash:
        raise VerificationError("context_mismatch", f"{receipt.receipt_id} was judged on another context than this")
    return context
