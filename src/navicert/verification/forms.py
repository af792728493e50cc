"""The form of receipts: bytes of one closed schema, values as promised, parts that fit their kind (R5).

* What is checked here is seen in one receipt by itself; what it says of others is `verification.log`'s business.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from navicert.core.canonical import receipt_bytes
from navicert.core.seal import parse, unb64
from navicert.core.times import micros
from navicert.model.authority import LADDER
from navicert.model.errors import VerificationError
from navicert.model.receipt import (
    RECEIPT_VERSION,
    ActionPart,
    ApprovalPart,
    AuthorityPart,
    DecisionPart,
    DeferralPart,
    Execution,
    Receipt,
)
from navicert.model.suspension import Answer

PERMITTING: Final = frozenset({"ALLOW", "MODIFY"})
WAITING: Final = frozenset({"STEP_UP", "DEFER"})
METHODS: Final = frozenset(
    {
        "approval", "facts", "reevaluation", "escalation",
        "timeout", "denial", "dependency", "authority", "identity",
    }
)  # fmt: skip
"""How a wait is resolved; those of `REFUSING` end in DENY."""
REFUSING: Final = frozenset({"timeout", "denial", "dependency", "authority", "identity"})
RELEASED: Final = frozenset({"redacted", "withheld"})
"""What was done to a result of which not the whole was released."""
STATES: Final = tuple(state.value for state in LADDER)
"""The words for authority, from full to none."""
ERASURES: Final = frozenset({"hold", "release", "erased"})
CANARIES: Final = frozenset({"denied", "ran", "no_answer", "otherwise"})
_RESULTS: Final = PERMITTING | WAITING | {"DENY"}
_ANSWERS: Final = frozenset(answer.value for answer in Answer)
_ROLES: Final = frozenset({"approver", "backup", "requester"})
_TIME: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_KEYED: Final = re.compile(r"p-[0-9a-f]{32}")


def parsed(data: bytes, place: str) -> Receipt:
    """Step 2. The bytes are the canonical form of one receipt of the closed schema, of a version that we know."""
    try:
        receipt = parse(data)
    except ValueError as error:
        code = "schema" if _canonical(data) else "not_canonical"
        raise VerificationError(code, f"{place}: {error}") from None
    if receipt.version != RECEIPT_VERSION:
        message = f"{place}: version `{receipt.version}`, this verifier knows `{RECEIPT_VERSION}`"
        raise VerificationError("schema", message)
    if _TIME.fullmatch(receipt.at) is None:
        raise VerificationError("schema", f"{place}: `{receipt.at}` is not a time in UTC with microseconds")
    return receipt


def _canonical(data: bytes) -> bool:
    try:
        value = msgspec.json.decode(data)
        return isinstance(value, dict) and receipt_bytes(value) == data
    except (ValueError, RecursionError):
        return False


def check_form(receipt: Receipt, place: str) -> None:
    """Step 8. Values are of the form that the schema promises, and the parts fit kind and verdict."""
    action, decision, context = receipt.action, receipt.decision, receipt.context
    for time in _times(receipt):
        if _TIME.fullmatch(time) is None:
            raise VerificationError("schema", f"{place}: `{time}` is not a time in UTC with microseconds")
    if any(_KEYED.fullmatch(name) is None for name in _keyed(receipt)):
        raise VerificationError("schema", f"{place}: a keyed digest or pseudonym is not in the form of one")
    digests = [receipt.completes, *([context.hash, context.head] if context else [])]
    digests += [receipt.restore.root] if receipt.restore else [receipt.prune.archive] if receipt.prune else []
    digests += [receipt.canary.nonce] if receipt.canary else []
    if any(digest is not None and _DIGEST.fullmatch(digest) is None for digest in digests):
        raise VerificationError("schema", f"{place}: a digest is not 64 hexadecimal digits")
    if receipt.authority is not None:
        _check_authority(receipt, receipt.authority, place)
    if receipt.deferral is not None:
        _check_wait(receipt, receipt.deferral, place)
    for item in receipt.approval or ():
        _check_approval(item, place)
    if receipt.erasure is not None and receipt.erasure.state not in ERASURES:
        raise VerificationError("schema", f"{place}: `{receipt.erasure.state}` is nothing that becomes of a subject")
    if receipt.canary is not None and receipt.canary.result not in CANARIES:
        raise VerificationError("schema", f"{place}: `{receipt.canary.result}` is nothing that comes of a canary")
    if receipt.execution is not None:
        _check_release(receipt.execution, place)
    if action is not None and decision is not None:
        _check_verdict(receipt, action, decision, place)


def _check_verdict(receipt: Receipt, action: ActionPart, decision: DecisionPart, place: str) -> None:
    for result in (decision.result, *((decision.shadow.result,) if decision.shadow else ())):
        if result not in _RESULTS:
            raise VerificationError("schema", f"{place}: `{result}` is not one of the five decisions")
    if (receipt.session is None) != (receipt.context is None):
        raise VerificationError("schema", f"{place}: session and context stand together or not at all")
    modified = (action.effective is not None, action.effective_digest is not None)
    if modified[0] != modified[1] or (decision.result in PERMITTING and modified[0] != (decision.result == "MODIFY")):
        raise VerificationError("schema", f"{place}: the modified parameters do not go with {decision.result}")
    if receipt.kind == "decision" and (receipt.deferral is not None) != (decision.result in WAITING):
        raise VerificationError("schema", f"{place}: the wait does not go with {decision.result}")
    if receipt.kind == "outcome" and decision.result not in PERMITTING:
        raise VerificationError("pairing", f"{place}: an outcome of an action that was not permitted")


def _times(receipt: Receipt) -> list[str]:
    """Return every time of a receipt but its own `at`."""
    action, deferral, person, execution = receipt.action, receipt.deferral, receipt.approver, receipt.execution
    found = [
        action.timestamp if action else None,
        deferral.deadline if deferral else None,
        deferral.resolved_at if deferral else None,
        receipt.revalidation.at if receipt.revalidation else None,
        person.until if person else None,
        execution.completed_at if execution else None,
        *(item.at for item in receipt.approval or ()),
    ]
    for link in receipt.requester_context.delegation if receipt.requester_context else ():
        found += [link.issued_at, link.expires_at]
    return [time for time in found if time is not None]


def _keyed(receipt: Receipt) -> list[str]:
    """Return every keyed digest and pseudonym of a receipt."""
    action, requester, authority = receipt.action, receipt.requester_context, receipt.authority
    found = [action.digest, action.effective_digest] if action else []
    if requester is not None:
        found += [requester.human, requester.evidence]
        found += [link.evidence for link in requester.delegation if link.evidence != "asserted"]
    if receipt.revalidation is not None:
        found.append(receipt.revalidation.evidence)
    if authority is not None:
        found.append(authority.by)
    if receipt.approver is not None:
        found.append(receipt.approver.approver)
    if receipt.erasure is not None:
        found.append(receipt.erasure.subject)
    if receipt.restore is not None:
        found.append(receipt.restore.by)
    found += [item.approver for item in receipt.approval or ()]
    return [name for name in found if name is not None]


def _check_wait(receipt: Receipt, wait: DeferralPart, place: str) -> None:
    resolved = (wait.method, wait.resolved_at, wait.attempts, wait.facts)
    if any((item is not None) != (receipt.kind == "resolution") for item in resolved):
        raise VerificationError("schema", f"{place}: how a wait was resolved stands in its resolution, and in full")
    if wait.method is not None and wait.method not in METHODS:
        raise VerificationError("schema", f"{place}: `{wait.method}` is no way to resolve a wait")
    if wait.attempts is not None and wait.attempts < 0:
        raise VerificationError("schema", f"{place}: {wait.attempts} attempts")


def _check_release(execution: Execution, place: str) -> None:
    part = execution.released
    if part is None:
        return
    if part.how not in RELEASED or not part.labels or tuple(sorted(set(part.labels))) != part.labels:
        raise VerificationError("schema", f"{place}: `{part.how}` for {len(part.labels)} labels is no kind of release")
    if part.how == "withheld" and (execution.level, execution.categories) != ("PUBLIC", ()):
        raise VerificationError("schema", f"{place}: what was withheld has labelled nothing")


def _check_approval(item: ApprovalPart, place: str) -> None:
    if item.answer not in _ANSWERS or item.role not in _ROLES:
        raise VerificationError("schema", f"{place}: `{item.answer}` by `{item.role}` is no answer")
    try:
        micros(item.at)
        fits = len(unb64(item.signature)) == 64
    except ValueError:
        fits = False
    if not fits:
        raise VerificationError("schema", f"{place}: an answer without a time, or a signature of 64 bytes in base64url")


def _check_authority(receipt: Receipt, part: AuthorityPart, place: str) -> None:
    if part.before not in STATES or part.after not in STATES or part.epoch < 0:
        raise VerificationError("schema", f"{place}: `{part.before}` and `{part.after}` are not states of authority")
    record = receipt.kind == "authority"
    if any((item is not None) != record for item in (part.subject, part.by, part.reason)):
        raise VerificationError("schema", f"{place}: whose authority changed stands in an `authority` record, in full")
    if record and part.before == part.after:
        raise VerificationError("schema", f"{place}: an `authority` record that changes nothing")
    if not record and STATES.index(part.after) < STATES.index(part.before):
        raise VerificationError("schema", f"{place}: a decision cannot widen authority")
