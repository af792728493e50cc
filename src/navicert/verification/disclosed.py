"""What a receipt commits to, held against it: disclosures, policies, accumulated contexts (R5, R2.f).

* Nothing returns a boolean: what does not fit raises `VerificationError` with a code (docs/reference/verify.md).
* A receipt commits to a value once. What an outcome repeats is disclosed with the receipt that it completes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from navicert.core.accumulate import accumulate, begin
from navicert.core.canonical import percent
from navicert.core.digest import action_digest, bytes_digest, context_digest
from navicert.core.seal import commit_to, plain_disclosure, unb64
from navicert.model.context import Attempt, ContextEntry, Opened, Resolution, Result, SessionContext
from navicert.model.errors import IntegrityError, VerificationError
from navicert.model.policy import PolicySet
from navicert.model.receipt import PolicyPart, Receipt
from navicert.model.suspension import Try
from navicert.syntax import decode_policy, policy_hash

PARAMETERS: Final = "/action/parameters"
EFFECTIVE: Final = "/action/effective"
HUMAN: Final = "/requester_context/human_name"
REASON: Final = "/decision/reason"
EVALUATED: Final = "/decision/evaluated"
OUTPUT: Final = "/execution/output"
FACTS: Final = "/deferral/facts"
AUTHORITY: Final = "/authority/reason"
APPROVER: Final = "/approver/name"
ERASURE: Final = "/erasure/reason"
RESTORE: Final = "/restore/reason"
POINTERS: Final = (
    PARAMETERS, EFFECTIVE, HUMAN, REASON, EVALUATED, OUTPUT, FACTS, AUTHORITY, APPROVER, ERASURE, RESTORE,
)  # fmt: skip
"""Every pointer, but those of answers: `name_at`, `statement_at`."""
REPEATED: Final[Mapping[str, frozenset[str]]] = {
    "outcome": frozenset({PARAMETERS, EFFECTIVE, HUMAN, REASON, EVALUATED}),
}
"""What a receipt of this kind may repeat from the one that it completes, which then discloses it.

A resolution repeats nothing: it is judged anew, and commits to everything with salts of its own.
"""


def name_at(index: int) -> str:
    """Return the pointer to the name of who gave an answer."""
    return f"/approval/{index}/name"


def statement_at(index: int) -> str:
    """Return the pointer to what they signed."""
    return f"/approval/{index}/statement"


class _Disclosure(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    salt: str
    pointer: str
    value: msgspec.Raw


_read = msgspec.json.Decoder(_Disclosure).decode


class _Identity(msgspec.Struct):
    evidence: msgspec.Raw = msgspec.Raw(b"[]")
    scope: tuple[str, ...] = ()


class _Evidence(msgspec.Struct):
    evidence: msgspec.Raw = msgspec.Raw(b"[]")
    revalidated: _Identity | None = None


class _By(msgspec.Struct):
    by: str


def read_disclosure(text: str) -> tuple[str, str, bytes]:
    """Return (salt, JSON pointer, value as JSON bytes); raises `VerificationError` unless it is in our one form."""
    try:
        plain = unb64(text)
        found = _read(plain)
    except ValueError as error:  # msgspec's and base64's own errors are ValueErrors
        raise VerificationError("disclosure_mismatch", f"not a disclosure: {error}") from None
    value = bytes(found.value)
    if not found.salt or plain_disclosure(found.pointer, found.salt, value) != plain:
        raise VerificationError("disclosure_mismatch", "a disclosure is not in canonical form")
    return found.salt, found.pointer, value


def commitments(receipt: Receipt) -> dict[str, str]:
    """Return the commitments of a receipt by JSON pointer, those that it repeats included."""
    action, requester, decision, execution = (
        receipt.action, receipt.requester_context, receipt.decision, receipt.execution,
    )  # fmt: skip
    found = {
        PARAMETERS: action.parameters if action else None,
        EFFECTIVE: action.effective if action else None,
        HUMAN: requester.human_name if requester else None,
        REASON: decision.reason if decision else None,
        EVALUATED: decision.evaluated if decision else None,
        OUTPUT: execution.output if execution else None,
        FACTS: receipt.deferral.facts if receipt.deferral else None,
        AUTHORITY: receipt.authority.reason if receipt.authority else None,
        APPROVER: receipt.approver.name if receipt.approver else None,
        ERASURE: receipt.erasure.reason if receipt.erasure else None,
        RESTORE: receipt.restore.reason if receipt.restore else None,
    }
    for index, item in enumerate(receipt.approval or ()):
        found |= {name_at(index): item.name, statement_at(index): item.statement}
    return {pointer: value for pointer, value in found.items() if value is not None}


def verify_disclosures(
    receipt: Receipt, disclosures: Iterable[str], keyed: Callable[[str], str] | None = None
) -> dict[str, bytes]:
    """Return the disclosed values (JSON bytes) by pointer, once each is what the receipt commits to.

    Raises `VerificationError`: `disclosure_missing` where a commitment has none, `disclosure_mismatch` where one hashes
    to nothing here, stands at another pointer or twice, or is no value of its kind, `action_mismatch` where parameters,
    evidence of identity, or names of people are not those that the receipt's keyed digests name. keyed: the
    deployment's own keyed hash, for who has its key; without it the commitments alone bind.
    """
    found, missing = match_disclosures(receipt, disclosures)
    # 2. Each commitment has its disclosure.
    if missing:
        message = f"{receipt.receipt_id}: nothing discloses {', '.join(f'`{pointer}`' for pointer in sorted(missing))}"
        raise VerificationError("disclosure_missing", message)
    # 3. What is disclosed is what was judged: parameters, evidence and names hash to the digests in the clear.
    if keyed is not None:
        try:
            _verify_action(receipt, found, keyed)
            _verify_names(receipt, found, keyed)
        except msgspec.MsgspecError as error:
            raise _not_of_its_kind(receipt, error) from None
    return found


def match_disclosures(receipt: Receipt, disclosures: Iterable[str]) -> tuple[dict[str, bytes], set[str]]:
    """Return the disclosed values (JSON bytes) by pointer, and the pointers for which there is none, though one is due.

    Raises `VerificationError`, `disclosure_mismatch`, as `verify_disclosures` does.
    """
    name = receipt.receipt_id
    promised = commitments(receipt)
    found: dict[str, bytes] = {}
    for text in disclosures:
        _, pointer, value = read_disclosure(text)
        # 1. Each disclosure hashes to the commitment at its own pointer, and no pointer is disclosed twice.
        if promised.get(pointer) != commit_to(text):
            raise VerificationError("disclosure_mismatch", f"{name}: no commitment for the value at `{pointer}`")
        if pointer in found:
            raise VerificationError("disclosure_mismatch", f"{name}: the value at `{pointer}` is disclosed twice")
        found[pointer] = value
    try:
        _verify_tries(receipt, found)
    except msgspec.MsgspecError as error:
        raise _not_of_its_kind(receipt, error) from None
    return found, promised.keys() - found.keys() - REPEATED.get(receipt.kind, frozenset())


def _not_of_its_kind(receipt: Receipt, error: Exception) -> VerificationError:
    return VerificationError("disclosure_mismatch", f"{receipt.receipt_id}: a value is not of its kind: {error}")


def subject_of(receipt: Receipt) -> str | None:
    """Return whose key seals what a receipt discloses: the requester's; in a record, that of the person it is about."""
    requester, person, authority = receipt.requester_context, receipt.approver, receipt.authority
    if requester is not None:
        return requester.human
    if person is not None:
        return person.approver
    if receipt.erasure is not None:  # never the subject's own: it is what shows that they were erased
        return receipt.approval[0].approver if receipt.approval else None
    if receipt.restore is not None:
        return receipt.restore.by
    return authority.by if authority is not None else None


def _verify_tries(receipt: Receipt, found: Mapping[str, bytes]) -> None:
    """What was found out while it waited is as much as the receipt counts."""
    if receipt.deferral is None or FACTS not in found:
        return
    tries = msgspec.json.decode(found[FACTS], type=tuple[Try, ...])
    if len(tries) != receipt.deferral.attempts:
        message = (
            f"{receipt.receipt_id}: {receipt.deferral.attempts} attempts to find out facts, {len(tries)} disclosed"
        )
        raise VerificationError("disclosure_mismatch", message)


def _verify_names(receipt: Receipt, found: Mapping[str, bytes], keyed: Callable[[str], str]) -> None:
    """Every disclosed name is that of its pseudonym."""
    requester, authority, person = receipt.requester_context, receipt.authority, receipt.approver
    named = {
        HUMAN: requester.human if requester else None,
        APPROVER: person.approver if person else None,
        **{name_at(index): item.approver for index, item in enumerate(receipt.approval or ())},
    }
    names = {pointer: msgspec.json.decode(found[pointer], type=str) for pointer in named if pointer in found}
    for pointer, part in ((AUTHORITY, authority), (RESTORE, receipt.restore)):
        if pointer in found:
            names[pointer] = msgspec.json.decode(found[pointer], type=_By).by
            named[pointer] = part.by if part else None
    for pointer, text in names.items():
        if keyed(text) != named[pointer]:
            message = f"{receipt.receipt_id}: the name at `{pointer}` is not that of the pseudonym in the receipt"
            raise VerificationError("action_mismatch", message)


def _verify_action(receipt: Receipt, found: Mapping[str, bytes], keyed: Callable[[str], str]) -> None:
    action, requester = receipt.action, receipt.requester_context
    if action is None or requester is None:
        return
    tool, operation = plain(action.tool), plain(action.operation)
    for pointer, digest in ((PARAMETERS, action.digest), (EFFECTIVE, action.effective_digest)):
        if pointer in found and keyed(action_digest(tool, operation, found[pointer])) != digest:
            message = f"{receipt.receipt_id}: the value at `{pointer}` is not the action that the receipt names"
            raise VerificationError("action_mismatch", message)
    if EVALUATED in found:
        evaluated = msgspec.json.decode(found[EVALUATED], type=_Evidence)
        shown = [(bytes(evaluated.evidence), requester.evidence)]
        again, said = evaluated.revalidated, receipt.revalidation
        if (again is None) != (said is None):
            message = f"{receipt.receipt_id}: the identity as it was verified again is not what the receipt names"
            raise VerificationError("action_mismatch", message)
        if again is not None and said is not None:
            shown.append((bytes(again.evidence), said.evidence))
            if tuple(map(percent, again.scope)) != said.scope:
                message = f"{receipt.receipt_id}: the scope as it was verified again is not what the receipt names"
                raise VerificationError("action_mismatch", message)
        if any(keyed(bytes_digest(evidence)) != digest for evidence, digest in shown):
            message = f"{receipt.receipt_id}: the evidence of identity is not what the receipt names"
            raise VerificationError("action_mismatch", message)


def plain(text: str) -> str:
    """Return the text that `core.canonical.percent` encoded."""
    return unquote_to_bytes(text).decode("utf-8", "surrogatepass")


@lru_cache(maxsize=16)
def policy_of(data: bytes) -> tuple[PolicySet, str]:
    """Return the policy set of canonical bytes, and its hash; raises `IntegrityError` for any other bytes."""
    policy = decode_policy(data)
    return policy, policy_hash(policy)


def verify_policies(named: Iterable[PolicyPart], kept: Mapping[str, bytes]) -> int:
    """Return how many policy sets are kept, once each hashes to its key and each named one is kept under its name.

    Raises `VerificationError` with `policy_mismatch` or `policy_unknown`.
    """
    names: dict[str, tuple[str, int]] = {}
    for key, data in kept.items():
        try:
            policy, content_hash = policy_of(data)
        except IntegrityError as error:
            raise VerificationError("policy_mismatch", f"policy {key}: {error}") from None
        if content_hash != key:
            raise VerificationError("policy_mismatch", f"the policy kept under {key} has another content")
        names[key] = (policy.policy, policy.version)
    for part in named:
        if part.hash not in names:
            raise VerificationError("policy_unknown", f"policy `{part.id}` version {part.version} is not kept")
        if names[part.hash] != (plain(part.id), part.version):
            raise VerificationError("policy_mismatch", f"policy {part.hash} is not `{part.id}` version {part.version}")
    return len(names)


def verify_context(session_id: str, receipts: Iterable[Receipt], entries: Iterable[ContextEntry]) -> SessionContext:
    """Return the context that a session's entries make, once every receipt of it names it as it then was (R2.f).

    receipts: all of the session, in order. entries: its whole chain. Raises `VerificationError`, `context_mismatch`.
    """
    awaited = (receipt for receipt in receipts if receipt.context is not None)
    receipt = next(awaited, None)
    context: SessionContext | None = None
    for entry in entries:
        before = context
        # 1. The chain begins with the opening of this session, and each entry extends the fold before it.
        context = _extended(session_id, context, entry)
        # 2. The receipt that goes with this entry names the context before it, the head after it, and what it says.
        part = receipt.context if receipt else None
        if receipt is not None and part is not None and part.length == context.length:
            _verify_step(session_id, receipt, before, context, entry)
            receipt = next(awaited, None)
        # 3. No attempt and no end of an action stands in the context without a receipt.
        elif isinstance(entry, Attempt | Resolution) or (isinstance(entry, Result) and entry.succeeded is not None):
            message = f"session `{session_id}`: entry {context.length} on `{entry.action_id}` has no receipt"
            raise VerificationError("context_mismatch", message)
    # 4. Every receipt has found its entry.
    if context is None or receipt is not None:
        name = receipt.receipt_id if receipt else "its opening"
        message = f"session `{session_id}`: the context has lost entries: {name} is beyond its end"
        raise VerificationError("context_mismatch", message)
    return context


def _extended(session_id: str, context: SessionContext | None, entry: ContextEntry) -> SessionContext:
    if context is None:
        if isinstance(entry, Opened) and entry.session_id == session_id:
            return begin(entry)
        message = f"session `{session_id}`: the chain does not begin with the opening of this session"
        raise VerificationError("context_mismatch", message)
    try:
        return accumulate(context, entry)
    except IntegrityError as error:
        raise VerificationError("context_mismatch", f"session `{session_id}`: {error}") from None


def _verify_step(
    session_id: str, receipt: Receipt, before: SessionContext | None, after: SessionContext, entry: ContextEntry
) -> None:
    part, action = receipt.context, receipt.action
    place = f"session `{session_id}`, entry {after.length}, receipt {receipt.receipt_id}"
    if part is None or action is None or before is None:
        raise VerificationError("context_mismatch", f"{place}: not an entry that a receipt goes with")
    if part.head != after.head:
        raise VerificationError("context_mismatch", f"{place}: the receipt names another head of the chain")
    if isinstance(entry, Attempt) and receipt.kind == "decision":
        said = (entry.action_id, entry.name, entry.verdict.value)
        if said != _judged(receipt) or part.hash != context_digest(before) or entry.handle != _handle(receipt):
            raise VerificationError("context_mismatch", f"{place}: it was judged on another context than this")
    elif isinstance(entry, Resolution) and receipt.kind == "resolution":
        said = (entry.action_id, entry.name, entry.verdict.value)
        if said != _judged(receipt) or part.hash != context_digest(before) or entry.handle != _handle(receipt):
            raise VerificationError("context_mismatch", f"{place}: it was judged again on another context than this")
    elif isinstance(entry, Result) and receipt.kind == "outcome":
        if (entry.action_id, entry.succeeded) != (action.id, receipt.execution and receipt.execution.success):
            raise VerificationError("context_mismatch", f"{place}: the entry ends another action, or in another way")
    else:
        raise VerificationError("context_mismatch", f"{place}: the entry is not of the receipt's kind")


def _judged(receipt: Receipt) -> tuple[str, str, str]:
    action, decision = receipt.action, receipt.decision
    if action is None or decision is None:
        return ("", "", "")
    return (action.id, f"{plain(action.tool)}.{plain(action.operation)}", decision.result)


def _handle(receipt: Receipt) -> str | None:
    return receipt.deferral.handle if receipt.deferral else None
