"""Receipts as readers meet them: decoded, with what their commitments hide, where it can still be opened.

The shape is documented in docs/reference/cli.md ("a receipt"), and stable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from navicert.adapters.store.archive import LogRow, receipt_of
from navicert.asking.words import value_text
from navicert.core.digest import bytes_digest
from navicert.model.errors import IntegrityError
from navicert.model.labels import Labels
from navicert.verification.disclosed import (
    EFFECTIVE,
    ERASURE,
    EVALUATED,
    HUMAN,
    OUTPUT,
    PARAMETERS,
    REASON,
    RESTORE,
    plain,
)

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.model.receipt import (
        ActionPart,
        ApprovalPart,
        ApproverPart,
        AuthorityPart,
        CanaryPart,
        DecisionPart,
        DeferralPart,
        Execution,
        Receipt,
        Requester,
    )

View = dict[str, Any]
CAME = {"denied": "denied", "ran": "IT RAN", "no_answer": "NO ANSWER", "otherwise": "NOT DENIED"}
"""What came of a canary, in words; in capitals, where it is an alarm."""


def view(archive: Archive, row: LogRow) -> View:
    """Return one receipt as plain values; raises `IntegrityError` where its bytes are damaged."""
    receipt = receipt_of(row)
    hidden: dict[str, Any] = {}
    withheld = None
    try:
        hidden = dict(archive.disclosed(row))
    except IntegrityError as error:  # erased, or its key is not here: the receipt still says what it says
        withheld = str(error)
    return view_of(receipt, bytes_digest(row.data), hidden, withheld)


def view_of(receipt: Receipt, sha256: str, hidden: dict[str, Any], withheld: str | None = None) -> View:
    """Return a receipt and the values that it commits to, by JSON pointer, as plain values."""
    found: View = {
        "seq": receipt.log.seq,
        "kind": receipt.kind,
        "receipt_id": receipt.receipt_id,
        "at": receipt.at,
        "sha256": sha256,
        "log": msgspec.to_builtins(receipt.log),
        "session": msgspec.to_builtins(receipt.session),
        "separation": receipt.separation,
        "action": _action(receipt.action, hidden) if receipt.action else None,
        "requester": _requester(receipt.requester_context, hidden) if receipt.requester_context else None,
        "decision": _decision(receipt.decision, hidden) if receipt.decision else None,
        "context": msgspec.to_builtins(receipt.context),
        "wait": _wait(receipt.deferral, hidden) if receipt.deferral else None,
        "approval": [_approval(part, index, hidden) for index, part in enumerate(receipt.approval or ())],
        "revalidation": msgspec.to_builtins(receipt.revalidation),
        "authority": _authority(receipt.authority, hidden) if receipt.authority else None,
        "approver": _approver(receipt.approver, hidden) if receipt.approver else None,
        "erasure": msgspec.to_builtins(receipt.erasure) | {"reason": hidden.get(ERASURE)} if receipt.erasure else None,
        "restore": msgspec.to_builtins(receipt.restore) | {"reason": hidden.get(RESTORE)} if receipt.restore else None,
        "prune": msgspec.to_builtins(receipt.prune),
        "canary": _canary(receipt.canary) if receipt.canary else None,
        "execution": _execution(receipt.execution, hidden) if receipt.execution else None,
        "completes": receipt.completes,
        "key": msgspec.to_builtins(receipt.key),
        "policy": msgspec.to_builtins(receipt.policy),
        "signature": msgspec.to_builtins(receipt.signature),
        "withheld": withheld,
    }
    return found


def _action(part: ActionPart, hidden: dict[str, Any]) -> View:
    return {
        "id": part.id,
        "name": f"{plain(part.tool)}.{plain(part.operation)}",
        "digest": part.digest,
        "parameters": hidden.get(PARAMETERS),
        "effective_digest": part.effective_digest,
        "effective": hidden.get(EFFECTIVE),
        "submitted": part.timestamp,
        "surface": part.surface,
    }


def _requester(part: Requester, hidden: dict[str, Any]) -> View:
    return {
        "human": hidden.get(HUMAN),
        "human_id": part.human,
        "service": plain(part.service),
        "agent": plain(part.agent),
        "session": part.session,
        "roles": [plain(role) for role in part.roles],
        "scope": [plain(pattern) for pattern in part.scope],
        "delegation": msgspec.to_builtins(part.delegation),
        "identity": part.identity,
    }


def _decision(part: DecisionPart, hidden: dict[str, Any]) -> View:
    return {
        "verdict": part.result,
        "rules": [plain(rule) for rule in part.rules],
        "classification": part.classification,
        "reason_code": part.reason_code,
        "reason": hidden.get(REASON),
        "policy": msgspec.to_builtins(part.policy),
        "evaluated": hidden.get(EVALUATED),
        "shadow": None
        if part.shadow is None
        else {"verdict": part.shadow.result, "rules": [plain(rule) for rule in part.shadow.rules]},
    }


def shadow_text(decision: View) -> str:
    """Return what the shadow rules would have had decided: `DENY by no-mail`; empty where none concerns the action."""
    shadow = decision["shadow"]
    return f"{shadow['verdict']} by {', '.join(shadow['rules']) or 'no rule'}" if shadow else ""


def _wait(part: DeferralPart, hidden: dict[str, Any]) -> View:
    return {
        "handle": part.handle,
        "reason_code": part.reason_code,
        "deadline": part.deadline,
        "method": part.method,
        "resolved_at": part.resolved_at,
        "attempts": part.attempts,
        "facts": hidden.get("/deferral/facts"),
    }


def _approval(part: ApprovalPart, index: int, hidden: dict[str, Any]) -> View:
    """Return one answer; its name, digest and reason stand in what was signed, where that can be opened."""
    text = hidden.get(f"/approval/{index}/statement")
    statement = msgspec.json.decode(text) if isinstance(text, str) else {}
    return {
        "approver": hidden.get(f"/approval/{index}/name"),
        "approver_id": part.approver,
        "answer": part.answer,
        "role": part.role,
        "at": part.at,
        "key_id": part.key_id,
        "digest": statement.get("question", {}).get("digest"),
        "reason": statement.get("reason") if "question" in statement else None,  # of an erasure: the record's own
        "value": statement.get("value"),
    }


def _authority(part: AuthorityPart, hidden: dict[str, Any]) -> View:
    said = hidden.get("/authority/reason")
    said = said if isinstance(said, dict) else {}
    return {
        "subject": plain(part.subject) if part.subject else None,
        "before": part.before,
        "after": part.after,
        "epoch": part.epoch,
        "by": said.get("by"),
        "reason": said.get("reason"),
    }


def _approver(part: ApproverPart, hidden: dict[str, Any]) -> View:
    return {
        "name": hidden.get("/approver/name"),
        "approver_id": part.approver,
        "key_id": part.key.key_id,
        "until": part.until,
    }


def _canary(part: CanaryPart) -> View:
    return {"surface": plain(part.surface), "result": part.result, "nonce": part.nonce, "action": part.action}


def resolution_text(item: View) -> str:
    """Return how a wait was resolved, in short: `approved by ben: looks right`; not yet inert; empty for any other."""
    wait = item["wait"]
    if wait is None or wait["method"] is None:
        return ""
    words = {"approve": "approved", "deny": "refused", "state": "stated"}
    said = [
        f"{words[part['answer']]} by {part['approver'] or part['approver_id']}"
        + (f" ({part['role']})" if part["role"] != "approver" else "")
        + (f": {part['reason']}" if part["reason"] else "")
        for part in item["approval"]
    ]
    method: str = METHODS.get(wait["method"], wait["method"])
    return "; ".join(said) if said and wait["method"] in {"approval", "denial"} else "; ".join([method, *said])


METHODS = {
    "approval": "approved",
    "denial": "refused",
    "timeout": "nobody answered in time",
    "facts": "found out",
    "reevaluation": "judged again",
    "escalation": "could not be found out; a person is asked",
    "dependency": "what it waited for was refused",
    "authority": "the authority to act was taken away",
    "identity": "the identity could not be verified again",
}


def _execution(part: Execution, hidden: dict[str, Any]) -> View:
    return {
        "completed_at": part.completed_at,
        "success": part.success,
        "error": plain(part.error) if part.error else None,
        "level": part.level,
        "categories": list(part.categories),
        "output": hidden.get(OUTPUT),
        "settled_by": plain(part.settled_by) if part.settled_by else None,
        "released": {"how": part.released.how, "labels": list(map(plain, part.released.labels))}
        if part.released
        else None,
    }


def earlier(item: View, own: Labels | None) -> str:
    """Return what earlier sessions alone added to the labels of a decision, in words; empty where that is nothing."""
    shared = (item["decision"]["evaluated"] or {}).get("shared", {})
    sticky = msgspec.convert(shared.get("sticky", {}), Labels)
    return "" if own is None or own.covers(sticky) else sticky.words()


def labels_word(part: View | None) -> str:
    """Return the labels of a context or an outcome for people."""
    if part is None:
        return ""
    if "*" in part["categories"]:
        return "UNCLASSIFIED"
    return " ".join((part["level"], *part["categories"]))


def release_text(part: View) -> str:
    """Return what was done to a result of which not the whole was released: `withheld (PII)`; empty otherwise."""
    done = part["released"]
    words = ["unclassified" if name == "*" else name for name in done["labels"]] if done else []
    return f"{done['how']} ({', '.join(words)})" if done else ""


def call_text(item: View) -> str:
    """Return what a decision's action would run with, in short: `to: ana@example.com, body: hello`; not yet inert.

    What an action reaches stands first, the content that it carries last.
    """
    parameters: View | None = item["action"]["effective"] or item["action"]["parameters"]
    if parameters is None:
        return "(withheld)"
    profile: View = (item["decision"]["evaluated"] or {}).get("profile") or {}
    front = [name for role in ("destination", "amount", "resource") for name in profile.get(role, ())]
    places = {name: place - len(front) for place, name in reversed(list(enumerate(front)))}
    back = profile.get("content", ())
    names = sorted(
        parameters, key=lambda name: (places.get(name, 0), name in back, value_text(parameters[name]).isdigit())
    )
    return ", ".join(f"{name}: {value_text(parameters[name])}" for name in names)
