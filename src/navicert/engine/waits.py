"""Waits: one as it stands in the journal now, and what its caller is told (R4)."""

from __future__ import annotations

from navicert.core.denial import contract
from navicert.core.shared import over_key, wait_key
from navicert.engine.drive import Machine
from navicert.engine.workings import Workings
from navicert.model.decision import Denied, Suspended
from navicert.model.suspension import Over, Wait


def current_wait(works: Workings, handle: str) -> Machine[Wait | Denied]:
    """Return the wait as it stands in the journal now, or why there is none."""
    works.same_process()
    keys = (wait_key(handle), over_key(handle))
    yield from works.anew(keys)
    rows = yield from works.fetch(keys)
    wait: Wait | None = rows[keys[0]][0]
    over: Over | None = rows[keys[1]][0]
    if over is not None:
        return _over(over)
    if wait is None:
        return denied("no_wait", f"there is no wait `{handle}` in this store", "")
    return wait


def _over(over: Over) -> Denied:
    if over.permitted:
        return denied("wait_over", f"`{over.handle}` was released already, as {over.action_id}", over.action_id)
    return denied(over.reason_code, over.reason, over.action_id)


def denied(code: str, reason: str, action_id: str) -> Denied:
    """Return a refusal that needs no receipt: the one that ended the wait has it."""
    kind, following = contract(code)
    return Denied(action_id=action_id, kind=kind, reason=reason, next_step=following, reason_code=code)


def still(wait: Wait) -> Suspended:
    """Return what the caller of an action that goes on waiting is told."""
    question = wait.question
    return Suspended(
        action_id=wait.action.action_id,
        verdict=question.verdict,
        handle=wait.handle,
        reason=wait.reason,
        reason_code=wait.reason_code,
        deadline=question.deadline,
        receipt_id=wait.receipt_id,
        rules=tuple(rule for rule, _ in question.rules),
    )
