"""Hard bounds, which no rule and no answer lifts (steps 1 and 2 of the procedure; T3, T4, T6).

* What may be sent where: the highest label that a tool, or a destination, accepts (R2.c).
* Intent boundaries: what a session of one class of work may use, touch, and how long it may go on.
* The risk of the sequence: points that rules add, against the policy's limit. Combinations are rules with `after`, so
  that the risk of a session is not the sum of its actions.
"""

from __future__ import annotations

from typing import Final

from navicert.core import places
from navicert.core.compile import CompiledPolicy
from navicert.core.fields import Subject
from navicert.core.kleene import FALSE, TRUE
from navicert.core.scope import in_scope
from navicert.model.action import Effect
from navicert.model.decision import Classification, Decision, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import Labels, Level, Limit
from navicert.model.policy import Intent

UNLISTED: Final = Limit(level=Level.PUBLIC, categories=())
"""What a destination takes that the policy does not list, where it lists any."""
_MEASURED: Final = "sensitive_level"


def beyond(given: EvaluationInput, policy: CompiledPolicy, subject: Subject) -> Decision | None:
    """Return the refusal of an action beyond a bound, DEFER where that cannot be told, or None."""
    labels, risk = _beyond_labels(given, policy, subject), _beyond_risk(given, policy, subject)
    found = (_beyond_intent(given, policy), labels, risk)
    return next((each for each in found if each and each.verdict is Verdict.DENY), next(filter(None, found), None))


def risk_of(given: EvaluationInput, policy: CompiledPolicy, subject: Subject) -> tuple[int, int]:
    """Return the points that this action adds: those that are sure, and with those that cannot be told (R7, T6)."""
    sure = all_told = 0
    for item in policy.candidates(given.action.tool, given.action.operation).adding:
        outcome = item.matches(subject)
        sure += item.rule.adds_risk if outcome == TRUE else 0
        all_told += item.rule.adds_risk if outcome != FALSE else 0
    return sure, all_told


def at_stake(given: EvaluationInput) -> Labels:
    """Return the label of all that the action may carry: of the session, of itself, of what it names."""
    return given.labels.join(given.signals.labels).join(given.shared.stored)


def limits_on(policy: CompiledPolicy, subject: Subject) -> list[tuple[str, Limit]]:
    """Return what the tool and each destination accept, each with whose limit it is."""
    profile = subject.profile
    found = [(f"`{profile.tool}`", profile.accepts)] if profile.accepts is not None else []
    if policy.destinations:
        for value in subject.values("destination"):
            for address in (places.addresses(value) if type(value) is str else None) or (None,):
                listed = [
                    limit
                    for inside, listed_as, limit in policy.destinations
                    if listed_as(value) or (address is not None and inside(address) is True)
                ]
                found += [("the destination", limit) for limit in listed or [UNLISTED]]
        if profile.effect is Effect.SEND and not subject.values("destination"):
            found.append((f"`{profile.tool}`, which names no destination,", UNLISTED))
    return found


def _beyond_labels(given: EvaluationInput, policy: CompiledPolicy, subject: Subject) -> Decision | None:
    limits = limits_on(policy, subject)
    if not limits:
        return None
    refused = _unless(limits, at_stake(given), "label_limit", "{} takes at most {}, and this may hold more")
    if refused is None and _MEASURED in given.signals.unknown and any(limit.binds() for _, limit in limits):
        return _deny("label_limit", "what it holds could not be measured", Verdict.DEFER, f"signals.{_MEASURED}")
    return refused


def intent_of(given: EvaluationInput, policy: CompiledPolicy) -> Intent | None:
    """Return the class of work that the session was opened for; None where the policy knows none of that name."""
    return next((item for item in policy.policy.intents if item.name == given.context.claims.intent), None)


def _beyond_intent(given: EvaluationInput, policy: CompiledPolicy) -> Decision | None:
    if not policy.policy.intents:
        return None
    name, intent = given.context.claims.intent, intent_of(given, policy)
    if intent is None:
        said = "the session does not say what it is for" if name is None else f"the policy knows no intent `{name}`"
        return _deny("intent_unknown", f"{said}; it is one of {', '.join(item.name for item in policy.policy.intents)}")
    if not in_scope(given.action.name, intent.tools):
        return _deny("outside_intent", f"`{given.action.name}` is no part of `{intent.name}`")
    before = sum(given.context.counts.values())
    if any(wait.action_id == given.action.action_id for wait in given.context.waiting):
        before -= 1  # it is judged again, and was counted when it came
    if intent.actions is not None and before >= intent.actions:
        return _deny("intent_length", f"`{intent.name}` takes at most {intent.actions} actions")
    if intent.accepts is not None:
        return _unless(
            [(f"`{intent.name}`", intent.accepts)], given.labels, "intent_label", "{} reaches {}, this session further"
        )
    return None


def _beyond_risk(given: EvaluationInput, policy: CompiledPolicy, subject: Subject) -> Decision | None:
    limit, so_far = policy.policy.risk_limit, given.context.walked.risk
    if limit is None:
        return None
    sure, all_told = risk_of(given, policy, subject)
    if so_far + sure > limit:
        return _deny("risk_limit", f"the risk of this session would be {so_far + sure}, and its limit is {limit}")
    if so_far + all_told > limit:
        return _deny("risk_limit", "the risk of this session cannot be told", Verdict.DEFER, "context.risk")
    return None


def _unless(limits: list[tuple[str, Limit]], labels: Labels, code: str, sentence: str) -> Decision | None:
    for what, limit in limits:
        if not limit.admits(labels):
            return _deny(code, sentence.format(what, limit.words()))
    return None


def _deny(code: str, reason: str, verdict: Verdict = Verdict.DENY, *missing: str) -> Decision:
    hard = Classification.FORBIDDEN if verdict is Verdict.DENY else Classification.CONTEXT_DEFER
    return Decision(verdict=verdict, reason_code=code, reason=reason, classification=hard, undetermined=missing)
