"""The receipt package: all receipts of one action, with what they commit to, in full, for a stranger (R5, Settled).

    {"receipts": [exact text, …], "disclosures": [[…], …], "policy": exact text, "context": exact text or null}

* Texts stand exactly as they were hashed and signed. `context` is what the decision was judged on; null where there was
  no session, or its retention has ended.
* A package shows what was decided and on what grounds. That nothing is missing beside it, only the log shows.
"""

from __future__ import annotations

import msgspec

from navicert.core.digest import bytes_digest, context_digest
from navicert.model.context import SessionContext
from navicert.model.errors import VerificationError
from navicert.model.policy import PolicySet
from navicert.model.receipt import Receipt
from navicert.model.trust import Trust
from navicert.model.value import Value
from navicert.verification.disclosed import policy_of, verify_disclosures, verify_policies
from navicert.verification.keyring import Keyring
from navicert.verification.log import PERMITTING, WAITING, answers, check_form, parsed


class Package(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A package as it is handed over."""

    receipts: tuple[str, ...]
    disclosures: tuple[tuple[str, ...], ...]
    policy: str
    context: str | None = None


class VerifiedPackage(Value, frozen=True, kw_only=True):
    """What a package shows, every value of it verified. disclosed: by receipt, JSON pointer → JSON bytes."""

    receipts: tuple[Receipt, ...]
    disclosed: tuple[dict[str, bytes], ...]
    policy: PolicySet
    context: SessionContext | None


def pack(
    receipts: tuple[bytes, ...], disclosures: tuple[tuple[str, ...], ...], policy: bytes, context: bytes | None
) -> bytes:
    """Return the bytes of a package."""
    package = Package(
        receipts=tuple(data.decode() for data in receipts),
        disclosures=disclosures,
        policy=policy.decode(),
        context=context.decode() if context is not None else None,
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
    receipts: list[Receipt] = []
    disclosed: list[dict[str, bytes]] = []
    waiting: dict[str, Receipt] = {}
    for text, disclosures in zip(package.receipts, package.disclosures, strict=True):
        entry = text.encode()
        place = f"receipt {len(receipts) + 1} of the package"
        # 1. Each receipt is well-formed, of this log, and signed by a trusted key.
        receipt = parsed(entry, place)
        if receipt.log.origin != trust.origin:
            raise VerificationError("wrong_origin", f"{place}: it is of the log `{receipt.log.origin}`")
        keyring.check(receipt, entry, place)
        check_form(receipt, place)
        # 2. They are about one action: a decision, then only what completes it.
        if receipt.completes is None and (receipts or receipt.kind != "decision"):
            raise VerificationError("pairing", f"{place}: a package begins with its one decision")
        if receipt.completes is not None:
            answers(receipt, waiting.pop(receipt.completes, None), place)
        if receipt.decision is not None and receipt.decision.result in PERMITTING | WAITING:
            waiting[bytes_digest(entry)] = receipt
        # 3. What they commit to is disclosed.
        disclosed.append(verify_disclosures(receipt, disclosures))
        receipts.append(receipt)
    # 4. The policy is the one that judged, and the context the one that was judged on.
    named = [receipt.decision.policy for receipt in receipts if receipt.decision is not None]
    verify_policies(named, {part.hash: package.policy.encode() for part in named})
    context = None
    if package.context is not None:
        context = _context(package.context.encode(), receipts[0])
    return VerifiedPackage(
        receipts=tuple(receipts),
        disclosed=tuple(disclosed),
        policy=policy_of(package.policy.encode())[0],
        context=context,
    )


def _context(data: bytes, receipt: Receipt) -> SessionContext:
    try:
        context = msgspec.json.decode(data, type=SessionContext)
    except msgspec.MsgspecError as error:
        raise VerificationError("context_mismatch", f"not a context: {error}") from None
    if receipt.context is None or context_digest(context) != receipt.context.hash:
        raise VerificationError("context_mismatch", f"{receipt.receipt_id} was judged on another context than this")
    return context
