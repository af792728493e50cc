"""Drifting: how far the session has moved from what was asked for, with the action that is judged (R7, T6).

* The state is a fold that each attempt carries forward in its entry; it stands in the context (`intent.drift`).
* It is found under the turn, from the newest context, and recorded with the decision as signals `drift_…`. An action
  that waited was counted when it came, and is judged on the state as it stands.
* An approval that drift had asked for is a word of the user: what adds up begins anew.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Final

from navicert.core.canonical import decode_parameters
from navicert.core.fields import role_values
from navicert.engine.workings import Workings, replace
from navicert.intent.drift import Measured, Profile, family_of, grown, signals, spoken, step
from navicert.intent.values import Finding
from navicert.model.context import SessionContext
from navicert.model.drift import Drift
from navicert.model.evaluation import EvaluationInput

MINUTE: Final = 60_000_000
ASKING: Final = ("drift.state", "context.actions_since_said")
"""Fields of rules whose question is about drift; so are signals of that name."""
_FINDINGS: Final = {finding.value: finding for finding in Finding}
_TARGETS: Final = 16
_LONGEST: Final = 200


def drifted(works: Workings, given: EvaluationInput) -> tuple[EvaluationInput, Drift]:
    """Return the input with the signals of drift, and the session's state with this action."""
    context, profile = given.context, _profile(tuple((works.policy.policy.drift or {}).items()))
    drift = context.walked.drift or Drift()
    if all(wait.action_id != given.action.action_id for wait in context.waiting):
        drift = step(drift, _measured(works, given), profile)
    found = {name: value for name, value in given.signals.values.items() if not name.startswith("drift_")}
    return replace(given, signals=replace(given.signals, values=found | signals(drift, profile))), drift


def reassured(works: Workings, context: SessionContext, rules: Collection[str]) -> Drift | None:
    """Return the state once people approved what these rules had asked about; None where that was not drift."""
    fields = {item.field for rule in works.policy.policy.rules if rule.id in rules for item in rule.match}
    if any(field in ASKING or field.startswith("signals.drift_") for field in fields):
        return spoken(context.walked.drift or Drift(), len(context.said))
    return None


def _measured(works: Workings, given: EvaluationInput) -> Measured:
    action, context, known = given.action, given.context, given.signals.values
    profile = works.policy.profile(action.name, action.profile)
    targets: tuple[str, ...] = ()
    if profile is not None and (profile.destination or profile.resource):
        parameters = decode_parameters(action.parameters)
        found = [*role_values(profile, "destination", parameters), *role_values(profile, "resource", parameters)]
        targets = tuple(str(value)[:_LONGEST] for value in found[:_TARGETS])
    distance = known.get("distance_ppm")
    start = given.now - MINUTE
    return Measured(
        distance_ppm=distance if type(distance) is int else None,
        finding=_FINDINGS.get(str(known.get("intent_finding"))),
        family=family_of(action.name, profile.effect if profile is not None else None),
        grown_ppm=grown(
            action.name,
            targets,
            seen={*context.counts, *context.entities},
            request=tuple(text for text in (context.request, *context.said) if text.strip()),
        ),
        level=int(given.labels.level),  # an entry has to encode as it was decoded
        said=len(context.said),
        pace=1 + sum(at > start for at in context.pace),
    )


@lru_cache(maxsize=16)
def _profile(numbers: tuple[tuple[str, int], ...]) -> Profile:
    return Profile(**dict(numbers))
