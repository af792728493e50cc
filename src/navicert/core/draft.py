"""Receipts as drafts: what a decision and an outcome say, before the journal gives them place and signature (R5).

* Parameters, outputs, reasons and names of people stand as commitments; the draft carries what they commit to.
* The outcome repeats identity, policy, context and decision of the decision that it completes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from navicert.core.answers import Heard
from navicert.core.canonical import percent, state_bytes
from navicert.core.digest import bytes_digest, context_digest
from navicert.core.seal import b64, commit_to, plain_disclosure
from navicert.core.times import rfc3339
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import Authority, Standing
from navicert.model.commit import Draft
from navicert.model.context import Fact, SessionContext
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import ActionIdentity, Evidence
from navicert.model.labels import NOTHING, Labels
from navicert.model.policy import PolicySet
from navicert.model.receipt import (
    RECEIPT_VERSION,
    ActionPart,
    ApprovalPart,
    ApproverPart,
    AuthorityPart,
    ContextPart,
    DecisionPart,
    DeferralPart,
    DelegationPart,
    Execution,
    KeyPart,
    Kind,
    Log,
    PolicyPart,
    Receipt,
    ReleasePart,
    Requester,
    Revalidation,
    ShadowPart,
    Signature,
)
from navicert.model.signals import Signals
from navicert.model.suspension import Approver, Try
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
    facts: tuple[Fact, ...] = ()
    answered: tuple[str, ...] = ()
    revalidated: ActionIdentity | None = None


class Scribe(Value, frozen=True, kw_only=True):
    """What every receipt of one engine has in common.

    pseudonym: a keyed hash, for what must be told apart but not guessed: names of people, digests of actions and of
    evidence (an unkeyed digest of few possible values can be guessed, even after erasure). salt: 128 fresh bits.
    """

    pseudonym: Callable[[str], str]
    salt: Callable[[], str]
    separation: str


class _Disclosures:
    def __init__(self, salt: Callable[[], str]) -> None:
        self._salt = salt
        self.items: list[bytes] = []

    def commit(self, pointer: str, value: bytes) -> str:
        plain = plain_disclosure(pointer, self._salt(), value)
        self.items.append(plain)
        return commit_to(b64(plain))


class Judgement(Value, frozen=True, kw_only=True):
    """One judged action, as its decision receipt tells it.

    effective: the action as modified. given: None where it was refused before it could be evaluated. after: the context
    with the attempt in it; None outside of any session. handle, deadline: where it waits.
    """

    receipt_id: str
    action: Action
    identity: ActionIdentity
    decision: Decision
    policy: PolicyPart
    now: int
    effective: Action | None = None
    given: EvaluationInput | None = None
    profile: ToolProfile | None = None
    after: SessionContext | None = None
    handle: str | None = None
    deadline: int | None = None
    authority: AuthorityPart | None = None


class Resolved(Value, frozen=True, kw_only=True):
    """How a wait was judged again, as its resolution receipt tells it beside the judgement (R4.g, R6.b).

    decision: SHA-256 of the receipt that suspended the action. identity: as it was verified again; the judgement's is
    that of the submission, preserved. method: see `DeferralPart`. reason_code: why it waited.
    """

    decision: str
    identity: ActionIdentity
    method: str
    reason_code: str
    handle: str
    deadline: int
    heard: tuple[Heard, ...] = ()
    tries: tuple[Try, ...] = ()


class Ending(Value, frozen=True, kw_only=True):
    """How a permitted action ended, as its outcome receipt tells it.

    decision, digest: the decision receipt and its SHA-256. output: JSON, only committed to. error: the type of what the
    tool raised. settled_by: the person who established it, where the tool did not report. released: where less than the
    whole result was; its labels are not encoded yet.
    """

    receipt_id: str
    decision: Receipt
    digest: str
    after: SessionContext
    labels: Labels
    success: bool
    output: bytes
    now: int
    error: str | None = None
    settled_by: str | None = None
    released: ReleasePart | None = None


def decision_draft(scribe: Scribe, judged: Judgement) -> Draft:
    """Return the decision receipt of one judged action, with its disclosures."""
    hidden = _Disclosures(scribe.salt)
    receipt = _decision(scribe, judged, hidden, None)
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=scribe.pseudonym(judged.identity.human))


def resolution_draft(scribe: Scribe, judged: Judgement, resolved: Resolved) -> Draft:
    """Return the resolution receipt of an action that waited: it ended, or is asked anew."""
    hidden = _Disclosures(scribe.salt)
    decided = _decision(scribe, judged, hidden, resolved.identity)
    receipt = msgspec.structs.replace(
        decided,
        kind="resolution",
        completes=resolved.decision,
        deferral=DeferralPart(
            handle=resolved.handle,
            reason_code=resolved.reason_code,
            deadline=rfc3339(resolved.deadline),
            method=resolved.method,
            resolved_at=rfc3339(judged.now),
            attempts=len(resolved.tries),
            facts=hidden.commit("/deferral/facts", msgspec.json.encode(resolved.tries)),
        ),
        approval=tuple(_approval(scribe, hidden, index, item) for index, item in enumerate(resolved.heard)) or None,
        revalidation=Revalidation(
            at=rfc3339(judged.now),
            identity=_identity_word(resolved.identity),
            evidence=scribe.pseudonym(bytes_digest(msgspec.json.encode(resolved.identity.evidence, order="sorted"))),
            scope=tuple(percent(pattern) for pattern in resolved.identity.scope),
        ),
    )
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=scribe.pseudonym(judged.identity.human))


def _approval(scribe: Scribe, hidden: _Disclosures, index: int, item: Heard) -> ApprovalPart:
    statement = item.statement
    return ApprovalPart(
        approver=scribe.pseudonym(statement.approver),
        name=hidden.commit(f"/approval/{index}/name", _text(statement.approver)),
        answer=statement.answer.value,
        role=item.role,
        at=rfc3339(statement.at),
        key_id=statement.key_id,
        statement=hidden.commit(f"/approval/{index}/statement", _text(item.vote.statement.decode())),
        signature=b64(item.vote.signature),
    )


def _decision(scribe: Scribe, judged: Judgement, hidden: _Disclosures, revalidated: ActionIdentity | None) -> Receipt:
    action, effective, identity, decision = judged.action, judged.effective, judged.identity, judged.decision
    given, now = judged.given, judged.now
    human = scribe.pseudonym(identity.human)
    evidence = msgspec.json.encode(identity.evidence, order="sorted")
    evaluated = Evaluated(
        now=now,
        labels=given.labels if given else NOTHING,
        shared=given.shared if given else SharedFacts(),
        signals=given.signals if given else Signals(),
        profile=judged.profile,
        evidence=identity.evidence,
        facts=given.facts if given else (),
        answered=given.answered if given else (),
        revalidated=revalidated,
    )
    return Receipt(
        version=RECEIPT_VERSION,
        kind="decision",
        receipt_id=judged.receipt_id,
        at=rfc3339(now),
        log=NO_LOG,
        signature=NO_SIGNATURE,
        separation=action.separation or scribe.separation,
        action=ActionPart(
            id=action.action_id,
            timestamp=rfc3339(action.submitted_at),
            tool=percent(action.tool),
            operation=percent(action.operation),
            digest=scribe.pseudonym(action.digest),
            parameters=hidden.commit("/action/parameters", action.parameters),
            surface=action.surface,
            effective=hidden.commit("/action/effective", effective.parameters) if effective else None,
            effective_digest=scribe.pseudonym(effective.digest) if effective else None,
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
                    evidence=scribe.pseudonym(bytes_digest(state_bytes(link.evidence)))
                    if link.evidence
                    else "asserted",
                    expires_at=rfc3339(link.expires_at) if link.expires_at is not None else None,
                )
                for link in identity.delegation
            ),
            identity=_identity_word(identity),
            evidence=scribe.pseudonym(bytes_digest(evidence)),
        ),
        decision=DecisionPart(
            result=decision.verdict.value,
            policy=judged.policy,
            rules=tuple(percent(rule) for rule in decision.rules),
            classification=decision.classification.value,
            reason_code=decision.reason_code,
            reason=hidden.commit("/decision/reason", _text(decision.reason)),
            evaluated=hidden.commit("/decision/evaluated", state_bytes(evaluated)),
            shadow=ShadowPart(
                result=decision.shadow.verdict.value, rules=tuple(percent(rule) for rule in decision.shadow.rules)
            )
            if decision.shadow
            else None,
        ),
        context=_context_part(given.context, judged.after, given.labels) if given and judged.after else None,
        deferral=_deferral_part(judged),
        authority=judged.authority,
    )


def outcome_draft(scribe: Scribe, ending: Ending) -> Draft:
    """Return the outcome receipt that completes a decision."""
    decision, labels, now = ending.decision, ending.labels, ending.now
    hidden = _Disclosures(scribe.salt)
    context = decision.context
    receipt = msgspec.structs.replace(
        decision,
        kind="outcome",
        receipt_id=ending.receipt_id,
        at=rfc3339(now),
        log=NO_LOG,
        session=None,
        signature=NO_SIGNATURE,
        deferral=None,
        approval=None,
        revalidation=None,
        authority=None,
        context=msgspec.structs.replace(context, head=ending.after.head, length=ending.after.length)
        if context
        else None,
        completes=ending.digest,
        execution=Execution(
            completed_at=rfc3339(now),
            success=ending.success,
            output=hidden.commit("/execution/output", ending.output),
            level=labels.level.name,
            categories=_category_words(labels),
            error=percent(ending.error) if ending.error else None,
            settled_by=percent(ending.settled_by) if ending.settled_by else None,
            released=ReleasePart(how=part.how, labels=tuple(sorted(map(percent, part.labels))))
            if (part := ending.released)
            else None,
        ),
    )
    subject = decision.requester_context.human if decision.requester_context else ""
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=subject)


def authority_draft(
    scribe: Scribe, *, receipt_id: str, now: int, subject: str, before: Authority, after: Standing, epoch: int
) -> Draft:
    """Return the record of a change of authority; why and by whom are disclosed beside it."""
    hidden = _Disclosures(scribe.salt)
    by = scribe.pseudonym(after.by)
    part = AuthorityPart(
        before=before.value,
        after=after.state.value,
        epoch=epoch,
        subject=percent(subject),
        by=by,
        reason=hidden.commit("/authority/reason", msgspec.json.encode({"by": after.by, "reason": after.reason})),
    )
    record = record_draft(scribe, "authority", receipt_id=receipt_id, now=now)
    receipt = msgspec.structs.replace(record.receipt, authority=part)
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=by)


def approver_draft(scribe: Scribe, person: Approver, *, receipt_id: str, now: int) -> Draft:
    """Return the record of an approver who is enrolled, or no longer."""
    hidden = _Disclosures(scribe.salt)
    pseudonym = scribe.pseudonym(person.name)
    part = ApproverPart(
        approver=pseudonym,
        name=hidden.commit("/approver/name", _text(person.name)),
        key=KeyPart(key_id=person.key_id, algorithm=person.algorithm, public=person.public),
        until=rfc3339(person.until) if person.until is not None else None,
    )
    record = record_draft(scribe, "approver", receipt_id=receipt_id, now=now)
    receipt = msgspec.structs.replace(record.receipt, approver=part)
    return Draft(receipt=receipt, disclosures=tuple(hidden.items), subject=pseudonym)


def record_draft(scribe: Scribe, kind: Kind, *, receipt_id: str, now: int, policy: PolicyPart | None = None) -> Draft:
    """Return a record of the log's own: `boot` or `policy`; the ground of the others."""
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


def _context_part(before: SessionContext, after: SessionContext, labels: Labels) -> ContextPart:
    return ContextPart(
        hash=context_digest(before),
        head=after.head,
        length=after.length,
        level=labels.level.name,
        categories=_category_words(labels),
    )


def _deferral_part(judged: Judgement) -> DeferralPart | None:
    if judged.handle is None or judged.deadline is None:
        return None
    return DeferralPart(
        handle=judged.handle, reason_code=judged.decision.reason_code, deadline=rfc3339(judged.deadline)
    )


def _category_words(labels: Labels) -> tuple[str, ...]:
    return ("*",) if labels.everything else tuple(percent(name) for name in labels.categories)


def _identity_word(identity: ActionIdentity) -> str:
    if identity.development:
        return "development"
    return "verified" if identity.evidence else "unverified"


def _text(text: str) -> bytes:
    return msgspec.json.encode(text)
