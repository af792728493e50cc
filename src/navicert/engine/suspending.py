"""Suspending: the wait that a STEP_UP or a DEFER begins, and the question that it asks (R4.a, R4.b)."""

from __future__ import annotations

from typing import Final

from navicert.engine.workings import Workings
from navicert.model.action import Action
from navicert.model.decision import Decision
from navicert.model.evaluation import EvaluationInput
from navicert.model.policy import FactSource, SourceKind
from navicert.model.suspension import Question, Wait

_FACTS: Final = "context.facts."


def begin_wait(
    works: Workings,
    action: Action,
    given: EvaluationInput,
    decision: Decision,
    *,
    handle: str,
    receipt_id: str,
    files: dict[str, str],
    depth: int,
) -> Wait:
    """Return the wait of an action that is suspended now; `given.action` is what would run."""
    missing = missing_facts(works, decision)
    return Wait(
        handle=handle,
        action=action,
        identity=given.identity,
        given=given,
        question=ask(works, given, decision, handle=handle, files=files, missing=missing),
        reason=decision.reason,
        reason_code=decision.reason_code,
        risk=decision.risk,
        effective=given.action.parameters if given.action.digest != action.digest else None,
        receipt_id=receipt_id,
        depends_on=decision.depends_on,
        depth=depth,
        missing=tuple(fact.name for fact in missing),
        tries_left=max((fact.attempts for fact in missing if _fetched(fact)), default=0),
        next_try=given.now if any(map(_fetched, missing)) else None,
        created_at=given.now,
    )


def ask(
    works: Workings,
    given: EvaluationInput,
    decision: Decision,
    *,
    handle: str,
    files: dict[str, str],
    missing: tuple[FactSource, ...],
) -> Question:
    """Return the question as it stands now; its nonce is fresh, so that no earlier answer counts for it."""
    now = given.now
    return Question(
        handle=handle,
        nonce=works.ids.salt(),
        digest=given.action.digest,
        session_id=given.context.session_id,
        human=given.identity.human,
        verdict=decision.verdict,
        rules=works.policy.hashes(decision.rules),
        labels=given.labels,
        files=files,
        facts={
            fact.name: source.place
            for fact in missing
            for source in fact.sources
            if source.kind is SourceKind.REQUESTER
        },
        approvers=decision.approvers,
        approvals=decision.approvals,
        backups=decision.backups,
        escalate_at=now + decision.escalate_s * 1_000_000 if decision.escalate_s is not None else None,
        asked_at=now,
        deadline=now + (decision.timeout_s or works.settings.wait_s) * 1_000_000,
    )


def missing_facts(works: Workings, decision: Decision) -> tuple[FactSource, ...]:
    """Return the facts that the rules which decided ask for, and that the policy says how to find out."""
    policy = works.policy.policy
    rules = [rule for rule in policy.rules if rule.id in decision.rules]
    fields = [*decision.undetermined, *(item.field for rule in rules for item in rule.match)]
    names = {field.removeprefix(_FACTS) for field in fields if field.startswith(_FACTS)}
    return tuple(fact for fact in policy.facts if fact.name in names)


def _fetched(fact: FactSource) -> bool:
    return any(source.kind is not SourceKind.REQUESTER for source in fact.sources)
