"""Receipts as drafts: what a decision and an outcome say, before the journal gives them place and signature (R5).

* Parameters, outputs, reasons and names of people stand as commitments; the draft carries what they commit to.
* The outcome repeats identity, policy, context and decision of the decision that it completes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec

from navicert.core.canonical import percent, state_bytes
from navicert.core.digest import context_digest
from navicert.core.seal import b64, commitment
from navicert.core.times import rfc3339
from navicert.model.action import Action, ToolProfile
from navicert.model.commit import Draft
from navicert.model.context import SessionContext
from navicert.model.decision import Decision, Permit, Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import ActionIdentity, Evidence
from navicert.model.labels import NOTHING, Labels
from navicert.model.policy import PolicySet
from navicert.model.receipt import (
    RECEIPT_VERSION,
    ActionPart,
    ContextPart,
    DecisionPart,
    DeferralPart,
    DelegationPart,
    Execution,
    Kind,
    Log,
    PolicyPart,
    Receipt,
    Requester,
    Signature,
)
from navicert.model.signals import Signals
from navicert.model.value import Value

NO_LOG = Log(origin="", seq=0, prev="")
NO_SIGNATURE = Signature(algorithm="", key_id="")


class Evaluated(Value, frozen=True, kw_only=True):
    """What a decision rested on besides action and context; disclosed, so that anyone may judge again (R3.e)."""

    now: int
    labels: Labels = NOTHING
    shared: SharedFacts = SharedFacts()
    signals: Signals = Signals()
    profile: ToolProfile | None = None
    evidence: tuple[Evidence, ...] = ()


class Scribe(Value, frozen=True, kw_only=True):
    """What every receipt of one engine has in common. pseudonym: human → keyed pseudonym. salt: 128 fresh bits."""

    pseudonym: Callable[[str], str]
    salt: Callable[[], str]
    separation: str


class _Disclosures:
    def __init__(self, salt: Callable[[], str]) -> None:
        self._salt = salt
        self.items: list[tuple[str, str, bytes]] = []

    def commit(self, pointer: str, value: bytes) -> str:
        item = (pointer, self._salt(), value)
        self.items.append(item)
        return commitment(*item)


def decision_draft(
    scribe: Scribe,
    *,
    receipt_id: str,
    action: Action,
    effective: Action | None,
    identity: ActionIdentity,
    decision: Decision,
    policy: PolicyPart,
    given: EvaluationInput | None,
    profile: ToolProfile | None,
    after: SessionContext | None,
    handle: str | None,
    deadline: int | None,
    now: int,
) -> Draft:
    """Return the decision receipt of one judged action, with its disclosures.

    effective: the action as modified. given: None where it was refused before it could be evaluated. after: the context
    with the attempt in it; None outside of any session.
    """
    hidden = _Disclosures(scribe.salt)
    human = scribe.pseudonym(identity.human)
    evidence = msgspec.json.encode(identity.evidence, order="sorted")
    evaluated = Evaluated(
        now=now,
        labels=given.labels if given else NOTHING,
        shared=given.shared if given else SharedFacts(),
        signals=given.signals if given else Signals(),
        profile=profile,
        evidence=identity.evidence,
    )
    receipt = Receipt(
        version=RECEIPT_VERSION,
        kind="decision",
        receipt_id=receipt_id,
        at=rfc3339(now),
        log=NO_LOG,
        signature=NO_SIGNATURE,
        separation=scribe.separation,
        action=ActionPart(
            id=action.action_id,
            timestamp=rfc3339(action.submitted_at),
            tool=percent(action.tool),
            operation=percent(action.operation),
            digest=action.digest,
            parameters=hidden.commit("/action/parameters", action.parameters),
            surface=action.surface,
            effective=hidden.commit("/action/effective", effective.parameters) if effective else None,
            effective_digest=effective.digest if effective else None,
        ),
        requester_context=Requester(
            human=human,
            human_name=hidden.commit("/requester_context/human_name", _text(identity.human)),
            service=percent(identity.service),
            agent=percent(identity.agent),
            session=identity.session,
            roles=tuple(percent(role) for role in identity.roles),
            scope=tuple(percent(pattern) for pattern in identity.scope),
            delegation=tuple(
                DelegationPart(
                    delegator=percent(link.delegator),
                    delegatee=percent(link.delegatee),
                    scope=tuple(percent(pattern) for pattern in link.scope),
                    issued_at=rfc3339(link.issued_at),
                    expires_at=rfc3339(link.expires_at) if link.expires_at is not None else None,
                )
                for link in identity.delegation
            ),
            identity=_identity_word(identity),
            evidence=b64(sha256(evidence).digest()),
        ),
        decision=DecisionPart(
            result=decision.verdict.value,
            policy=policy,
            rules=tuple(percent(rule) for rule in decision.rules),
            classification=decision.classification.value,
            reason_code=decision.reason_code,
            reason=hidden.commit("/decision/reason", _text(decision.reason)),
            evaluated=hidden.commit("/decision/evaluated", state_bytes(evaluated)),
        ),
        context=_context_part(given.context, after, given.labels) if given and after else None,
        deferral=DeferralPart(handle=handle, reason_code=decision.reason_code, deadline=rfc3339(deadline))
        if handle and deadline
        else None,
    )
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=human)


def outcome_draft(
    scribe: Scribe,
    *,
    receipt_id: str,
    decision: Receipt,
    decision_digest: str,
    after: SessionContext,
    labels: Labels,
    success: bool,
    output: bytes,
    error: str | None,
    settled_by: str | None,
    now: int,
) -> Draft:
    """Return the outcome receipt that completes a decision; `output` is JSON, and only committed to."""
    hidden = _Disclosures(scribe.salt)
    context = decision.context
    receipt = msgspec.structs.replace(
        decision,
        kind="outcome",
        receipt_id=receipt_id,
        at=rfc3339(now),
        log=NO_LOG,
        session=None,
        signature=NO_SIGNATURE,
        separation=scribe.separation,
        context=msgspec.structs.replace(context, head=after.head, length=after.length) if context else None,
        completes=decision_digest,
        execution=Execution(
            completed_at=rfc3339(now),
            success=success,
            output=hidden.commit("/execution/output", output),
            level=labels.level.name,
            categories=_category_words(labels),
            error=percent(error) if error else None,
            settled_by=percent(settled_by) if settled_by else None,
        ),
    )
    subject = decision.requester_context.human if decision.requester_context else ""
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=subject)


def record_draft(scribe: Scribe, kind: Kind, *, receipt_id: str, now: int, policy: PolicyPart | None = None) -> Draft:
    """Return a record of the log's own: `boot` or `policy`."""
    return Draft(
        receipt=Receipt(
            version=RECEIPT_VERSION,
            kind=kind,
            receipt_id=receipt_id,
            at=rfc3339(now),
            log=NO_LOG,
            signature=NO_SIGNATURE,
            separation=scribe.separation if kind == "boot" else None,
            policy=policy,
        )
    )


def policy_part(policy: PolicySet, content_hash: str) -> PolicyPart:
    """Return how receipts name a policy set."""
    return PolicyPart(id=percent(policy.policy), version=policy.version, hash=content_hash)


def permits(verdict: Verdict) -> bool:
    """Tell whether a verdict lets the action run."""
    return verdict in {Verdict.ALLOW, Verdict.MODIFY}


def permit_of(
    action: Action, *, session_id: str, issuer: str, receipt_id: str, decision: str, expires_at: int, modified: bool
) -> Permit:
    """Return the licence for an action whose decision receipt is durable (property 3)."""
    return Permit(
        action_id=action.action_id,
        session_id=session_id,
        tool=action.tool,
        operation=action.operation,
        parameters=action.parameters,
        digest=action.digest,
        issuer=issuer,
        receipt_id=receipt_id,
        decision=decision,
        expires_at=expires_at,
        modified=modified,
    )


def _context_part(before: SessionContext, after: SessionContext, labels: Labels) -> ContextPart:
    return ContextPart(
        hash=context_digest(before),
        head=after.head,
        length=after.length,
        level=labels.level.name,
        categories=_category_words(labels),
    )


def _category_words(labels: Labels) -> tuple[str, ...]:
    return ("*",) if labels.everything else tuple(percent(name) for name in labels.categories)


def _identity_word(identity: ActionIdentity) -> str:
    if identity.development:
        return "development"
    return "verified" if identity.evidence else "unverified"


def _text(text: str) -> bytes:
    return msgspec.json.encode(text)
