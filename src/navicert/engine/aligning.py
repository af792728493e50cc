"""Aligning: did the user ask for this action, and where do its targets come from (R3; T1, T2, T10, T11).

* The judgement is made before the decision, and recorded with it as signals `intent_…`: rules ask about them as
  `intent.finding` and so on, and replay takes them as they were recorded (property 5). It is a pure function of the
  user's words, of what the session has seen (`seeing`), and of what its permitted actions have reached.
* Whatever fails in judging is unknown, and says why. Rows that were tampered with are no such failure: they raise.
* No detector can answer in its place.
"""

from __future__ import annotations

from typing import Any, Final

from navicert.core.canonical import decode_parameters
from navicert.core.fields import role_values
from navicert.engine.drive import Machine
from navicert.engine.seeing import sight_of
from navicert.engine.workings import Workings, safe
from navicert.intent.judging import judge
from navicert.intent.matching import GRAVE, plain
from navicert.intent.values import Judgement
from navicert.model.action import Action, Effect
from navicert.model.context import SessionContext

SPACE: Final = "intent_"
"""Signals whose names begin so are the engine's own."""
ASKABLE: Final = ("finding", "asked", "origin", "trust")
"""What rules ask for; the other signals are for people."""
_WORDS: Final = 600
_TARGETS: Final = 16
_LONGEST: Final = 200


def aligned(works: Workings, action: Action, context: SessionContext) -> Machine[tuple[dict[str, Any], dict[str, str]]]:
    """Return the signals about one action, and those that are unknown with the reason.

    Raises `IntegrityError` where what the session has seen was tampered with, and what the journal raises.
    """
    profile = works.policy.profile(action.name, action.profile)
    if profile is None:
        return {}, _unknown("the tool is not declared")
    sight, line = yield from sight_of(works, context)
    reached: dict[str, tuple[str, ...]] = {}
    for session in line:
        for effect, targets in session.walked.reached.items():
            reached[effect] = (*reached.get(effect, ()), *targets)
    try:
        with sight.lock:
            asked = sight.asked(context.request, context.said)
            parameters = decode_parameters(action.parameters)
            judgement = judge(action, profile, parameters, asked, sight.index, reached)
        return _signals(judgement), {}
    except Exception as failure:  # noqa: BLE001 - what cannot be judged is unknown, and a rule that asks is undetermined
        return {}, _unknown(f"it could not be judged: {safe(failure)}")


def reached_by(works: Workings, action: Action) -> dict[str, tuple[str, ...]]:
    """Return the effect of an action that changes something, with what it aims at: as `judge` looks for it."""
    profile = works.policy.profile(action.name, action.profile)
    if profile is None or profile.effect is Effect.READ:
        return {}
    parameters = decode_parameters(action.parameters)
    found = role_values(profile, "destination", parameters)
    if profile.effect in GRAVE or not found:
        found = [*found, *role_values(profile, "resource", parameters)]
    texts = dict.fromkeys(plain(item)[:_LONGEST] for item in found if type(item) is not bool)
    targets = tuple(text for text in texts if text)[:_TARGETS]
    return {profile.effect.value: targets} if targets else {}


def _signals(judgement: Judgement) -> dict[str, Any]:
    found = {
        "finding": judgement.finding.value,
        "asked": judgement.asked,
        "origin": judgement.origin,
        "trust": judgement.trust,
        "target": judgement.target[:_WORDS],
        "why": judgement.why[:_WORDS],
        "source": judgement.source[:_LONGEST],
        "passage": judgement.passage[:_WORDS],
    }
    return {f"{SPACE}{name}": value for name, value in found.items() if value or name in ASKABLE}


def _unknown(why: str) -> dict[str, str]:
    return {f"{SPACE}{name}": why for name in ASKABLE}
