"""THE policy decision point: EvaluationInput × policy → Decision (R3, R4; SPEC.md "The decision procedure").

A pure function: the same input and the same policy set give the same decision (R3.e). In order of precedence:

 0. An action of an agent without authority, outside the identity's scope, of an unknown tool, or with an ambiguous
    destination: DENY.
 1. A forbidden rule that matches, more than a tool, destination or intent may have: DENY. Nothing overrides it.
 2. The risk of the sequence above the policy's limit: DENY.
 3. Baseline: the matching rules of the highest priority, merged; or the posture where none matches. Where it permits or
    asks, the rules' constraints must hold, or it is DENY.
 4. Uncertainty: an undetermined rule that could change the answer, a conflict, low confidence: DEFER.
 5. Scores (alignment, distance, a model's word): 1 to 4 without the rules that ask for one; the stricter answer stands.
 6. Otherwise the baseline; where authority is reduced and it permits, a supervisor is asked.

A rule that people have answered for this very action (`given.answered`) asks no more.
"""

from __future__ import annotations

from typing import Final

from navicert.core.bounds import beyond, risk_of
from navicert.core.compile import Candidates, CompiledPolicy, CompiledRule
from navicert.core.fields import Subject
from navicert.core.kleene import TRUE, UNDETERMINED
from navicert.core.modify import CannotModify, modify
from navicert.core.scope import in_scope
from navicert.core.text import ambiguous
from navicert.model.action import Effect
from navicert.model.authority import LADDER, Authority
from navicert.model.decision import Classification, Decision, Shadow, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import NOTHING, Labels
from navicert.model.policy import Modification, Posture, Rule

STRICTNESS: Final = (Verdict.ALLOW, Verdict.MODIFY, Verdict.STEP_UP, Verdict.DEFER, Verdict.DENY)
"""From loose to strict."""
_FIXED = frozenset({Verdict.ALLOW, Verdict.DENY})
_ASKING = frozenset({Verdict.STEP_UP, Verdict.DEFER})
_CONSTRAINED = frozenset({Verdict.ALLOW, Verdict.STEP_UP})
_STOPPED = frozenset({Authority.SUSPENDED, Authority.REVOKED})
_RISKS = ("low", "medium", "high", "critical")


def evaluate(given: EvaluationInput, policy: CompiledPolicy) -> Decision:
    """Return the decision on one action; for MODIFY, `effective` holds the parameters to judge next."""
    action = given.action
    authority = given.shared.authority
    if authority in _STOPPED:  # step 0
        return _deny(f"authority_{authority.value}", f"the authority to act is {authority.value}")
    profile = policy.profile(action.name, action.profile)
    if profile is None:
        return _deny("unknown_tool", f"the tool `{action.name}` is not declared")
    if not in_scope(action.name, given.identity.scope):
        return _deny("out_of_scope", f"`{action.name}` is outside the scope of this agent")
    subject = Subject(given, profile)
    for value in subject.values("destination"):
        if type(value) is str and ambiguous(value):
            return _deny("destination_ambiguous", "a destination holds characters that disguise where it leads")
    candidates = policy.candidates(action.tool, action.operation)
    decision = _by_rules(given, policy, subject, candidates)
    if candidates.plain is not None:  # property 6: what scores say stands where it is stricter, and nowhere else
        plain = _by_rules(given, policy, subject, candidates.plain)
        decision = max(plain, decision, key=lambda each: STRICTNESS.index(each.verdict))
    if decision.verdict is Verdict.ALLOW and _supervised(authority, profile.effect):
        return _supervision(decision, policy.supervision, given.answered)
    return decision  # step 6


def _by_rules(given: EvaluationInput, policy: CompiledPolicy, subject: Subject, candidates: Candidates) -> Decision:
    """Steps 1 to 4: what the rules say, or the posture where none matches."""
    action, profile = given.action, subject.profile
    open_forbidden: list[CompiledRule] = []
    for item in candidates.forbidden:  # step 1
        outcome = item.matches(subject)
        if outcome == TRUE:
            return _from_rules([item], Classification.FORBIDDEN)
        if outcome == UNDETERMINED:
            open_forbidden.append(item)
    hard = beyond(given, policy, subject)  # steps 1 and 2
    if hard is not None and hard.verdict is Verdict.DENY:
        return hard

    matched, undetermined = _highest(candidates, subject)  # step 3
    if matched:
        baseline = _baseline(matched, action.parameters, given.answered)
        if baseline.verdict in _CONSTRAINED:  # R3.b; a modified action is judged once more, as it would run
            baseline = _constrained(baseline, matched, subject)
    else:
        baseline = _posture(policy.policy.posture, profile.effect)
    if open_forbidden and baseline.verdict is not Verdict.DENY:
        return _defer("forbidden_undetermined", open_forbidden, subject)
    if hard is not None and baseline.verdict is not Verdict.DENY:
        return hard
    if baseline.reason_code == "rules_conflict":
        return baseline
    changing = [
        item
        for item in undetermined
        if _could_change(item.rule, matched, baseline)
        and not (item.rule.decision in _ASKING and item.hash in given.answered)
    ]
    if changing:  # step 4, R3.c
        return _defer("context_missing", changing, subject)
    confidence = given.signals.confidence_ppm
    if confidence is not None and confidence < policy.policy.confidence_ppm and baseline.verdict is not Verdict.DENY:
        return Decision(
            verdict=Verdict.DEFER,
            reason_code="confidence_low",
            reason="what was measured about this action is not sure enough",
            classification=Classification.CONTEXT_DEFER,
            rules=baseline.rules,
        )
    return baseline


def _constrained(baseline: Decision, matched: list[CompiledRule], subject: Subject) -> Decision:
    broken = [(item, fields) for item in matched if (fields := item.broken(subject))]
    if not broken:
        return baseline
    named = dict.fromkeys(field.removeprefix("parameters.") for _, fields in broken for field in fields)
    reason = f"outside of what the rule permits: {', '.join(named)}"
    return _deny("constraint", reason, [item for item, _ in broken])


def shadow(given: EvaluationInput, policy: CompiledPolicy) -> Shadow | None:
    """Return what the decision would be with the shadow rules in force; None where none concerns the action."""
    action = given.action
    if policy.shadowed is None or not policy.candidates(action.tool, action.operation).shadowed:
        return None
    decision = evaluate(given, policy.shadowed)
    return Shadow(verdict=decision.verdict, rules=decision.rules)


def added_risk(given: EvaluationInput, policy: CompiledPolicy) -> int:
    """Return the points that the action adds to the risk of its session if it is permitted; what is unsure counts."""
    profile = policy.profile(given.action.name, given.action.profile)
    if profile is None or not policy.candidates(given.action.tool, given.action.operation).adding:
        return 0
    return risk_of(given, policy, Subject(given, profile))[1]


def lowered(given: EvaluationInput, policy: CompiledPolicy) -> tuple[Authority, str] | None:
    """Return what rules lower the agent's authority to, and the id of the rule, or None where none does."""
    profile = policy.profile(given.action.name, given.action.profile)
    lowering = policy.candidates(given.action.tool, given.action.operation).lowering
    if profile is None or not lowering:
        return None
    subject = Subject(given, profile)
    found = [
        (item.rule.authority, item.rule.id)
        for item in lowering
        if item.rule.authority and item.matches(subject) == TRUE
    ]
    return max(found, key=lambda each: LADDER.index(each[0]), default=None)


def _supervised(authority: Authority, effect: Effect) -> bool:
    return authority is Authority.SUPERVISED or (authority is Authority.NARROWED and effect is not Effect.READ)


def _supervision(baseline: Decision, rule: CompiledRule | None, answered: tuple[str, ...]) -> Decision:
    if rule is None:
        return _deny("authority_reduced", "the authority to act is reduced, and the policy names no supervisors")
    if rule.hash in answered:
        return baseline
    return _from_rules([rule], Classification.STATIC)


def labels_by_rule(given: EvaluationInput, policy: CompiledPolicy) -> Labels | None:
    """Return the label that `set_context` rules give this action's result, or None where none does.

    A labelling rule that is undetermined labels: a label only restricts (R2.c).
    """
    profile = policy.profile(given.action.name, given.action.profile)
    if profile is None:
        return None
    subject: Subject | None = None
    label: Labels | None = None
    for item in policy.candidates(given.action.tool, given.action.operation).labelling:
        subject = subject or Subject(given, profile)
        if item.matches(subject) in {TRUE, UNDETERMINED}:
            label = (label or NOTHING).join(item.rule.set_context or NOTHING)
    return label


def witnessed_by_rule(given: EvaluationInput, policy: CompiledPolicy) -> bool:
    """Tell whether the action starts only once witnesses have confirmed its decision; what is unsure counts."""
    profile = policy.profile(given.action.name, given.action.profile)
    witnessing = policy.candidates(given.action.tool, given.action.operation).witnessing
    if profile is None or not witnessing:
        return False
    subject = Subject(given, profile)
    return any(item.matches(subject) in {TRUE, UNDETERMINED} for item in witnessing)


def _highest(candidates: Candidates, subject: Subject) -> tuple[list[CompiledRule], list[CompiledRule]]:
    """Return the matching rules of the highest priority that has one, and what is undetermined down to there."""
    undetermined: list[CompiledRule] = []
    for group in candidates.groups:
        matched: list[CompiledRule] = []
        for item in group:
            outcome = item.matches(subject)
            if outcome == TRUE:
                matched.append(item)
            elif outcome == UNDETERMINED:
                undetermined.append(item)
        if matched:
            return matched, undetermined
    return [], undetermined


def _could_change(rule: Rule, matched: list[CompiledRule], baseline: Decision) -> bool:
    """Tell whether an undetermined rule, if it held, could give another verdict, parameters or approvers."""
    if rule.decision not in _FIXED or rule.constraints or rule.limits:
        return True
    if matched and rule.priority == matched[0].rule.priority:
        return rule.decision is not matched[0].rule.decision  # it would agree, or be in conflict
    return rule.decision is not baseline.verdict


def _baseline(matched: list[CompiledRule], parameters: bytes, answered: tuple[str, ...]) -> Decision:
    decisions = {item.rule.decision for item in matched}
    if len(decisions) > 1:
        return _conflict(matched, "rules of the same priority disagree")
    verdict = matched[0].rule.decision
    if verdict in _ASKING and answered:
        left = [item for item in matched if item.hash not in answered]
        if not left:
            return _answered(matched)
        matched = left
    if verdict is not Verdict.MODIFY:
        return _from_rules(matched, matched[0].rule.classification)
    edits = tuple(edit for item in matched for edit in item.rule.modifications)
    if _overlap(edits):
        return _conflict(matched, "two rules of the same priority modify the same parameter")
    try:
        effective = modify(parameters, edits)
    except CannotModify as error:
        return _deny("modification_failed", f"a required change cannot be made: {error}", matched)
    decision = _from_rules(matched, matched[0].rule.classification)
    if effective == parameters:
        return Decision(
            verdict=Verdict.ALLOW,
            reason_code="within_limits",
            reason=decision.reason,
            rules=decision.rules,
            classification=decision.classification,
            risk=decision.risk,
        )
    return Decision(
        verdict=Verdict.MODIFY,
        reason_code="rule",
        reason=decision.reason,
        rules=decision.rules,
        classification=decision.classification,
        risk=decision.risk,
        effective=effective,
    )


def _answered(matched: list[CompiledRule]) -> Decision:
    decision = _from_rules(matched, matched[0].rule.classification)
    return Decision(
        verdict=Verdict.ALLOW,
        reason_code="answered",
        reason="every rule that asks has been answered",
        rules=decision.rules,
        classification=decision.classification,
        risk=decision.risk,
    )


def _overlap(edits: tuple[Modification, ...]) -> bool:
    names = [edit.parameter for edit in edits]
    return any(
        one == other or one.startswith(other + ".") or other.startswith(one + ".")
        for index, one in enumerate(names)
        for other in names[index + 1 :]
    )


def _posture(posture: Posture, effect: Effect) -> Decision:
    permitted = posture is Posture.DECLARED_TOOLS or (posture is Posture.DECLARED_READS and effect is Effect.READ)
    if permitted:
        return Decision(verdict=Verdict.ALLOW, reason_code="posture", reason=f"no rule matches; posture `{posture}`")
    return _deny("posture", f"no rule permits this; the posture is `{posture.value}`")


def _from_rules(matched: list[CompiledRule], classification: Classification) -> Decision:
    rules = [item.rule for item in matched]
    verdict = rules[0].decision
    assert verdict is not None  # noqa: S101 - INVARIANT: only deciding rules are candidates
    timeouts = [rule.timeout_s for rule in rules if rule.timeout_s is not None]
    return Decision(
        verdict=verdict,
        reason_code="rule",
        reason=next((rule.reason for rule in rules if rule.reason), "") or _default_reason(verdict),
        rules=tuple(rule.id for rule in rules),
        classification=classification,
        approvers=tuple(dict.fromkeys(name for rule in rules for name in rule.approvers)),
        timeout_s=min(timeouts) if timeouts else None,
        approvals=max(rule.approvals for rule in rules),
        backups=tuple(dict.fromkeys(name for rule in rules for name in rule.backups)),
        escalate_s=min((rule.escalate_s for rule in rules if rule.escalate_s is not None), default=None),
        risk=max((rule.risk for rule in rules), key=_RISKS.index),
    )


def _default_reason(verdict: Verdict) -> str:
    match verdict:
        case Verdict.ALLOW:
            return "a rule permits this"
        case Verdict.DENY:
            return "a rule forbids this"
        case Verdict.MODIFY:
            return "a rule limits this"
        case Verdict.STEP_UP:
            return "a person must approve this"
        case Verdict.DEFER:
            return "a rule asks to wait until more is known"


def _deny(code: str, reason: str, matched: list[CompiledRule] | None = None) -> Decision:
    return Decision(
        verdict=Verdict.DENY, reason_code=code, reason=reason, rules=tuple(item.rule.id for item in matched or ())
    )


def _conflict(matched: list[CompiledRule], reason: str) -> Decision:
    return Decision(
        verdict=Verdict.DEFER,
        reason_code="rules_conflict",
        reason=reason,
        rules=tuple(item.rule.id for item in matched),
        classification=Classification.CONTEXT_DEFER,
    )


def _defer(code: str, items: list[CompiledRule], subject: Subject) -> Decision:
    fields = tuple(dict.fromkeys(name for item in items for name in item.undetermined_fields(subject)))
    rules = [item.rule for item in items]
    timeouts = [rule.timeout_s for rule in rules if rule.timeout_s is not None]
    # people answer what asks or waits, not what forbids or permits: they are asked where that is all there is
    people = rules if all(rule.decision in _ASKING and rule.approvers for rule in rules) else []
    return Decision(
        verdict=Verdict.DEFER,
        reason_code=code,
        reason="not known yet: " + ", ".join(dict.fromkeys(name for item in items for name in item.unknown(subject))),
        rules=tuple(rule.id for rule in rules),
        classification=Classification.CONTEXT_DEFER,
        undetermined=fields,
        approvers=tuple(dict.fromkeys(name for rule in people for name in rule.approvers)),
        approvals=max((rule.approvals for rule in people), default=1),
        timeout_s=min(timeouts, default=None),
        risk=max((rule.risk for rule in rules), key=_RISKS.index),
    )
