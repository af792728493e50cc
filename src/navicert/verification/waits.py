"""How receipts complete one another: outcomes what was permitted, resolutions what asked (R4.g, R5, R6.b).

* A resolution completes the receipt that asked last: the decision that suspended the action, or the resolution that
  asked anew. So a wait is one chain, from its decision to one final resolution, and the identity in it is the original.
"""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.core.answers import SKEW
from navicert.core.times import micros
from navicert.model.errors import VerificationError
from navicert.model.receipt import DeferralPart, Receipt
from navicert.verification.forms import PERMITTING, REFUSING, WAITING

_BY_NOBODY: Final = ""


def answers(receipt: Receipt, begun: Receipt | None, place: str) -> None:
    """Hold an outcome or a resolution against the receipt that it completes.

    Raises `VerificationError`: `pairing` where it is not about that receipt, `resolution` where a wait did not end so.
    """
    if begun is None:
        message = f"{place}: no decision that could be answered so is open under {receipt.completes}"
        raise VerificationError("pairing", message)
    repeated = _whole if receipt.kind == "outcome" else _same
    if repeated(receipt) != repeated(begun):
        raise VerificationError("pairing", f"{place}: it is not about what {begun.receipt_id} decided")
    if receipt.kind == "resolution":
        check_resolution(receipt, begun, place)


def _whole(receipt: Receipt) -> tuple[object, ...]:
    """Return what an outcome repeats of its decision: everything (R5, Settled)."""
    context, session = receipt.context, receipt.session
    judged = (context.hash, context.level, context.categories) if context else None
    return (session.id if session else None, receipt.action, receipt.requester_context, receipt.decision, judged)


def _same(receipt: Receipt) -> tuple[object, ...]:
    """Return what a resolution repeats: who, in full, and what was asked for. It is judged anew, on what then holds.

    The commitments are its own, with salts of their own: it discloses the same values again.
    """
    action, requester, session, deferral = (
        receipt.action, receipt.requester_context, receipt.session, receipt.deferral,
    )  # fmt: skip
    if action is None or requester is None or session is None or deferral is None:
        return ()
    what = (action.id, action.tool, action.operation, action.digest, action.timestamp, action.surface)
    who = msgspec.structs.replace(requester, human_name=_BY_NOBODY)
    return (session.id, *what, who, deferral.handle)


def check_resolution(receipt: Receipt, begun: Receipt, place: str) -> None:
    """Hold a resolution against itself and the question that it answers; raises `VerificationError`, `resolution`."""
    wait, asked, decision = receipt.deferral, begun.deferral, receipt.decision
    if wait is None or asked is None or decision is None or begun.decision is None or receipt.revalidation is None:
        raise VerificationError("pairing", f"{place}: it does not resolve a wait")
    why = (
        _terms(receipt, wait, begun, asked)
        or _ending(decision.result, wait, asked)
        or _said(receipt, wait.method or "", decision.result, begun)
    )
    if why:
        raise VerificationError("resolution", f"{place}: {why}")


def _terms(receipt: Receipt, wait: DeferralPart, begun: Receipt, asked: DeferralPart) -> str:
    if begun.decision is not None and wait.reason_code != begun.decision.reason_code:
        return f"it waited for `{begun.decision.reason_code}`, not for `{wait.reason_code}`"
    if receipt.revalidation is None or not receipt.at == wait.resolved_at == receipt.revalidation.at:
        return "it was resolved, and the identity verified again, at other times than its own"
    if receipt.at < begun.at:
        return "it was resolved before it was asked"
    asking = receipt.decision is not None and receipt.decision.result in WAITING
    if not asking and wait.deadline != asked.deadline:
        return f"its deadline was {asked.deadline}, not {wait.deadline}"
    if asking and wait.deadline <= receipt.at:
        return "it is asked anew with a deadline that has passed"
    return ""


def _ending(result: str, wait: DeferralPart, asked: DeferralPart) -> str:
    at = wait.resolved_at or ""  # fixed-width times compare as text
    if wait.method in REFUSING and result != "DENY":
        return f"a wait that ends by `{wait.method}` is refused, and this says {result}"
    if wait.method == "timeout" and at < asked.deadline:
        return f"it timed out at {at}, before its deadline {asked.deadline}"
    if result in PERMITTING and at >= asked.deadline:
        return f"it was permitted at {at}, when its deadline {asked.deadline} had passed"
    if (wait.method == "escalation") and result != "STEP_UP":
        return f"a wait that goes on to people asks them, and this says {result}"
    return ""


def _said(receipt: Receipt, method: str, result: str, begun: Receipt) -> str:
    approval = receipt.approval or ()
    given = [item.answer for item in approval]
    voted = [item.approver for item in approval if item.answer != "state"]  # facts are stated one after the other
    if len(set(voted)) < len(voted):
        return "one person counts twice"
    if method == "denial" and "deny" not in given:
        return "nobody refused it"
    if result in PERMITTING and "deny" in given:
        return "it was permitted although somebody refused it"
    by_people = method == "approval" or (begun.decision is not None and begun.decision.result == "STEP_UP")
    if result in PERMITTING and by_people and "approve" not in given:
        return "it was permitted although nobody approved it"
    for item in approval:
        at = micros(item.at)
        if not micros(begun.at) - SKEW <= at <= micros(receipt.at) + SKEW:
            return f"an answer was given at {item.at}, when this was not asked"
        if begun.deferral is not None and item.at >= begun.deferral.deadline:
            return f"an answer was given at {item.at}, after the deadline"
    return ""
