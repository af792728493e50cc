"""Judging a recorded decision again, under the policy that made it or any other: `rounds` over kept inputs (R3.e).

* Nothing is run, measured, fetched or asked. What a decision rested on is taken as it was recorded.
* What the engine decides by itself (identity, limits, answers, deadlines) is no policy's: `own`.
* Of an action that was modified, only the measurements of what would run are kept. It is judged on them from what was
  submitted; where that does not lead to the record, from what would run (`partial`).
* Under another policy, an approval holds for the rule of the same id where the same people are asked; a profile that
  the recorded policy declared is not known any more; rates and amounts that it did not count are counted from the
  record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from navicert.core.compile import CompiledPolicy
from navicert.core.denial import BEFOREHAND
from navicert.core.evaluate import STRICTNESS
from navicert.core.rounds import UNSTABLE, as_asked, merged, rounds, with_parameters
from navicert.core.scope import under_ceiling
from navicert.core.shared import Concerns, concerns, shared_facts, tallied
from navicert.model.action import Action
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.shared import TallyRing
from navicert.model.value import Value

_PERMITTING: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY})
_OWN: Final = frozenset({
    "no_session", "session_ended", "identity_unverified", *BEFOREHAND, "engine_failed",
    "open_action", "too_many_open", "too_many_waiting", "cascade_limit", "depends", "no_wait", "dependency_refused",
})  # fmt: skip
_OWN_WAITS: Final = frozenset(
    {"approval_denied", "approval_timeout", "deferral_timeout", "dependency_refused", "authority_revoked", "unstable"}
)
_replace = msgspec.structs.replace


class Recorded(Value, frozen=True, kw_only=True):
    """One recorded decision with all that it rested on.

    policy: content hash of the set that judged. submitted, effective: parameters, as they came and as they would run
    (None: unchanged). given: the input, from where judging begins. then: of a resolution, the input of the submission.
    partial: judging begins with what would run. decided: what the recorded policy gives, where that is the recorded
    verdict, with the same rules and parameters; else None.
    """

    seq: int
    kind: Literal["decision", "resolution"]
    policy: str
    verdict: Verdict
    rules: tuple[str, ...]
    reason_code: str
    submitted: bytes
    effective: bytes | None
    given: EvaluationInput
    then: EvaluationInput | None = None
    partial: bool = False
    decided: Decision | None = None


def own(kind: str, reason_code: str) -> bool:
    """Tell whether the engine decided, and not the policy."""
    return reason_code in _OWN or (kind == "resolution" and reason_code in _OWN_WAITS)


class Under:
    """Judges recorded decisions, which must come in the order of the log, under one policy; None: each under its own.

    kept: every policy set that judged, by content hash.
    """

    def __init__(self, kept: Mapping[str, CompiledPolicy], policy: CompiledPolicy | None = None) -> None:
        self._kept = kept
        self._policy = policy
        self._rings: dict[str, TallyRing] = {}
        self._counted: dict[tuple[str, int], dict[str, int]] = {}

    def judge(self, record: Recorded) -> Decision:
        """Return the decision; `effective` holds what would run, where that is not what was submitted."""
        recorded = self._kept[record.policy]
        policy = self._policy or recorded
        given, then = record.given, record.then
        if policy.hash != recorded.hash:
            given = self._put(given, recorded, policy)
            then = self._put(then, recorded, policy) if then is not None else None
        if self._policy is not None and record.verdict in _PERMITTING:
            self._count(record, self._policy)
        if record.decided is not None and policy.hash == recorded.hash:
            return record.decided
        if then is None:
            decision, last, touched = rounds(given, policy)
            decision = merged(decision, touched)
        else:
            decision, last = _resolved(given, then, policy, escalated=record.reason_code == "escalated")
        if last.action.parameters == record.submitted:
            return decision
        verdict = Verdict.MODIFY if decision.verdict is Verdict.ALLOW else decision.verdict
        return _replace(decision, verdict=verdict, effective=last.action.parameters)

    def _put(self, given: EvaluationInput, recorded: CompiledPolicy, policy: CompiledPolicy) -> EvaluationInput:
        """Return the input as another policy would have met it."""
        action, identity, shared = given.action, given.identity, given.shared
        if action.name in recorded.profiles:
            action = _replace(action, profile=None)  # what the code declares stands in no receipt
        if policy.policy.roles != recorded.policy.roles:
            identity = _replace(identity, scope=_scope(given, recorded, policy))
        concerned = _counts(given, action, policy)
        if concerned is not None:
            shared = _replace(shared, tallies={**self._tallies(given, concerned, policy), **shared.tallies})
        answered = _answered(given.answered, recorded, policy)
        return _replace(given, action=action, identity=identity, shared=shared, answered=answered)

    def _tallies(self, given: EvaluationInput, concerned: Concerns, policy: CompiledPolicy) -> dict[str, int]:
        """Return the counts as they stood when the action was judged first, in whatever order it is asked for."""
        key = (given.action.action_id, given.now)
        if key not in self._counted:
            candidates = policy.candidates(given.action.tool, given.action.operation)
            rows: Mapping[str, object] = defaultdict(lambda: None, self._rings)
            self._counted[key] = shared_facts(concerned, rows, candidates, given.now).tallies
        return self._counted[key]

    def _count(self, record: Recorded, policy: CompiledPolicy) -> None:
        action = record.given.action
        if record.effective is not None:
            action = with_parameters(action, record.effective)
        concerned = _counts(record.given, action, policy)
        if concerned is not None:
            self._rings |= tallied(concerned, defaultdict(lambda: None, self._rings), record.given.now)


def _resolved(
    now: EvaluationInput, then: EvaluationInput, policy: CompiledPolicy, *, escalated: bool
) -> tuple[Decision, EvaluationInput]:
    """Judge a wait again: on the state of its end and on that of its submission, and the stricter stands (R6.b)."""
    then, last = as_asked(then, now), now
    for _ in range(2):
        decision, last, touched = rounds(_replace(now, action=last.action), policy)
        before, earlier, _ = rounds(_replace(then, action=last.action), policy)
        if earlier.action.digest == last.action.digest or not {decision.verdict, before.verdict} <= _PERMITTING:
            decision = merged(decision, touched)
            strict = max(decision, before, key=lambda item: STRICTNESS.index(item.verdict))
            strict = before if before is UNSTABLE else strict
            if escalated and strict.verdict is Verdict.DEFER and strict.approvers:  # nothing more could be found out
                strict = _replace(strict, verdict=Verdict.STEP_UP, reason_code="escalated")
            return strict, last
        last = earlier
    return _replace(UNSTABLE, reason_code="unstable"), last


def _scope(given: EvaluationInput, recorded: CompiledPolicy, policy: CompiledPolicy) -> tuple[str, ...]:
    """Return the scope under another ceiling: of what was claimed, where the old one left the record's of it."""
    scope, roles = given.identity.scope, given.identity.roles
    held, ceiling = recorded.policy.roles, policy.policy.roles
    claimed = given.context.claims.scope
    if held is not None and under_ceiling(claimed, roles, held) == scope:
        scope = claimed
    return scope if ceiling is None else under_ceiling(scope, roles, ceiling)


def _answered(answered: tuple[str, ...], recorded: CompiledPolicy, policy: CompiledPolicy) -> tuple[str, ...]:
    """Return the rules of the other policy that the same answers would satisfy: same id, same people asked."""
    if not answered:
        return ()
    people = {rule.id: (rule.approvers, rule.approvals, rule.backups) for rule in policy.policy.rules}
    people["navicert.supervision"] = (policy.policy.supervisors, 1, ())
    asked = {rule.id: (rule.approvers, rule.approvals, rule.backups) for rule in recorded.policy.rules}
    asked["navicert.supervision"] = (recorded.policy.supervisors, 1, ())
    same = tuple(
        name
        for name, content in recorded.hashes(tuple(asked))
        if content in answered and people.get(name) == asked[name]
    )
    return tuple(content for _, content in policy.hashes(same))


def _counts(given: EvaluationInput, action: Action, policy: CompiledPolicy) -> Concerns | None:
    """Return which counts an action concerns; None where the policy counts nothing about it."""
    candidates = policy.candidates(action.tool, action.operation)
    if not candidates.tallies:
        return None
    profile = policy.profile(action.name, action.profile)
    return concerns(action, profile, given.identity, candidates, str)
