"""Drift: how far a session has moved from what was asked for, as a fold over its actions (R7, T6).

* Each action has one *departure* from the request, in parts per million. Three aggregates watch it: an exponential
  mean, a running maximum, and a cumulative sum, which catches a slow drift without a single outlier.
* What needs no distance is watched beside it: scope, labels, families of tools, length, pace. A distance that is not
  known hides nothing: the sum never falls for want of one.
* Words of the user begin the sum and the counts anew; the mean, the maximum and the labels stand.
* Integers throughout; nothing here loosens anything (property 6).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from functools import lru_cache
from operator import le
from typing import Any, Final

import msgspec

from navicert.core.text import normal_form
from navicert.intent.embedding import action_text, uncertainty
from navicert.intent.values import Finding
from navicert.model.action import Effect
from navicert.model.drift import Drift
from navicert.model.value import Value

WHOLE: Final = 1_000_000
SUM_MAX: Final = 100 * WHOLE
"""Where the cumulative sum stops growing: a hundred actions that have nothing to do with the request."""
FAMILIES: Final = 16
"""So many families of tools are known apart; each further one counts as a change every time."""
COUNT_MAX: Final = 1_000_000
PACE_MAX: Final = 65
"""So many actions of the last minute are counted: those of the context, and this one."""
_HALF: Final = WHOLE // 2
_WEIGHTS: Final[dict[Finding | None, tuple[int, int]]] = {
    Finding.READS: (_HALF, 0),
    Finding.ASKED: (_HALF, 0),
    Finding.DELEGATED: (_HALF, 0),
    Finding.OWN: (WHOLE, 0),
    Finding.UNSEEN: (WHOLE, 0),
    Finding.UNSTATED: (WHOLE, 0),
    Finding.UNASKED: (WHOLE, 600_000),
    Finding.UNSURE: (WHOLE, 600_000),
    Finding.INJECTED: (WHOLE, WHOLE),
    None: (WHOLE, 0),
}
_AGAINST: Final = (WHOLE, WHOLE)
"""Finding → (which part of the distance counts, the least departure). What was asked for in so many words may sound
unlike the request, and what nobody asked for departs from it however alike it sounds."""


class DriftState(StrEnum):
    """What is said of a session. From best to worst."""

    STEADY = "steady"
    DRIFTING = "drifting"
    """The sum is below its limit, and another bound of the profile is passed."""
    OFF = "off"
    """The sum has reached its limit: what the actions add up to is no longer what was asked for."""


class Measured(Value, frozen=True, kw_only=True):
    """One action, as the fold sees it. distance_ppm: from the request, 0 to 1,000,000; None: not known.

    finding: of the judgement, None without one. family: of the tool (`family_of`). grown_ppm: which part of what it
    uses is new, and not in the user's words (`grown`). level: rank of the labels in force. said: how often the user
    has spoken. pace: actions of the last minute, with this one.
    """

    distance_ppm: int | None
    finding: Finding | None = None
    family: str = ""
    grown_ppm: int = 0
    level: int = 0
    said: int = 0
    pace: int = 0


class Profile(Value, frozen=True, kw_only=True):
    """What is ordinary for one kind of agent. weight_ppm: of the newest action in the means.

    slack_ppm: the departure that adds nothing to the sum. limit_ppm: of the sum. The rest are bounds above which a
    session is `drifting`: of the mean, of scope expansion, of changes of family and actions since the user last spoke,
    of levels above where it began, and of actions a minute.
    """

    weight_ppm: int = 200_000
    slack_ppm: int = 500_000
    limit_ppm: int = 2_000_000
    mean_ppm: int = 700_000
    grown_ppm: int = 600_000
    changes: int = 6
    length: int = 60
    levels: int = 2
    pace: int = 40


PROFILES: Final[dict[str, Profile]] = {
    "assistant": Profile(),
    "support": Profile(limit_ppm=1_500_000, changes=5, length=30, levels=1, pace=20),
    "analyst": Profile(limit_ppm=2_500_000, changes=6, length=80, levels=3),
    "research": Profile(slack_ppm=550_000, limit_ppm=4_000_000, grown_ppm=800_000, changes=8, length=120, levels=1),
    "coding": Profile(
        slack_ppm=600_000, limit_ppm=4_000_000, mean_ppm=800_000, grown_ppm=800_000, changes=10, length=200, pace=60
    ),
}
"""By kind of agent. Starting points: `navicert calibrate` finds those of a deployment in its own sessions."""


class Drifted(Value, frozen=True, kw_only=True):
    """What is said of a session after an action. why: one sentence for people, naming what drifted."""

    state: DriftState
    why: str


STEADY: Final = Drifted(state=DriftState.STEADY, why="the session keeps to what was asked for")
_SHARES: Final = 2
"""So many of the bounds are shares; the others are counts."""


def departure(measured: Measured, profile: Profile) -> int:
    """Return how far one action departs from the request, 0 to 1,000,000.

    Without a distance: what its structure says, and never so little that the sum would fall.
    """
    part, least = _WEIGHTS.get(measured.finding, _AGAINST)
    if measured.distance_ppm is None:
        return max(least, min(profile.slack_ppm, WHOLE), measured.grown_ppm * part // WHOLE)
    return max(least, min(max(measured.distance_ppm, 0), WHOLE) * part // WHOLE)


def step(drift: Drift, measured: Measured, profile: Profile) -> Drift:
    """Return the state after one more action: the fold."""
    if measured.said != drift.said:
        drift = spoken(drift, measured.said)
    departs = departure(measured, profile)
    entered = measured.family in drift.families
    known = drift.families if entered or len(drift.families) >= FAMILIES else (*drift.families, measured.family)
    return Drift(
        steps=min(drift.steps + 1, COUNT_MAX),
        since=min(drift.since + 1, COUNT_MAX),
        said=drift.said,
        mean_ppm=_mean(drift.mean_ppm, departs, profile.weight_ppm),
        max_ppm=max(drift.max_ppm, departs),
        sum_ppm=min(max(drift.sum_ppm + departs - profile.slack_ppm, 0), SUM_MAX),
        grown_ppm=_mean(drift.grown_ppm, measured.grown_ppm, profile.weight_ppm),
        began=drift.began if drift.steps else measured.level,
        level=max(drift.level, measured.level),
        families=known,
        changes=min(drift.changes + (bool(drift.families) and not entered), COUNT_MAX),
        pace=measured.pace,
    )


def spoken(drift: Drift, said: int) -> Drift:
    """Return the state after words of the user, or their answer: what adds up, and the counts, begin anew."""
    return msgspec.structs.replace(drift, said=said, since=0, sum_ppm=0, changes=0, families=())


_BOUNDS: Final = (
    "it departs from the request by {}, at most {}",
    "{} of what it uses is new and unasked, at most {}",
    "it holds data {} levels above where it began, at most {}",
    "it has changed to another kind of tool {} times, at most {}",
    "{} actions since the user last spoke, at most {}",
    "{} actions in a minute, at most {}",
)


def judge(drift: Drift, profile: Profile) -> Drifted:
    """Say how a session stands, and what drifted."""
    off = drift.sum_ppm >= profile.limit_ppm
    risen = drift.level - drift.began
    came_to = (drift.mean_ppm, drift.grown_ppm, risen, drift.changes, drift.since, drift.pace)
    bounds = (profile.mean_ppm, profile.grown_ppm, profile.levels, profile.changes, profile.length, profile.pace)
    if not off and all(map(le, came_to, bounds)):
        return STEADY
    found = [f"its departures from the request add up to {_of(drift.sum_ppm, profile.limit_ppm)}"] if off else []
    for place, (value, bound) in enumerate(zip(came_to, bounds, strict=True)):
        if value > bound:
            said = map(_share, (value, bound)) if place < _SHARES else (value, bound)
            found.append(_BOUNDS[place].format(*said))
    return Drifted(state=DriftState.OFF if off else DriftState.DRIFTING, why="; ".join(found))


def signals(drift: Drift, profile: Profile) -> dict[str, Any]:
    """Return what is recorded of the session's drift as signals of the action that was counted last."""
    drifted = judge(drift, profile)
    return {
        "drift_state": drifted.state.value,
        "drift_mean_ppm": drift.mean_ppm,
        "drift_max_ppm": drift.max_ppm,
        "drift_sum_ppm": drift.sum_ppm,
        "drift_why": drifted.why,
    }


def profile_of(name: str, changed: dict[str, int] | None = None) -> Profile:
    """Return the profile of a kind of agent, with what a policy changes; raises `KeyError`, `TypeError` for no such."""
    return msgspec.structs.replace(PROFILES[name], **(changed or {}))


def family_of(tool: str, effect: Effect | None) -> str:
    """Return the family of a tool: its server or namespace, and what it does to the world."""
    head, dot, _ = tool.partition(".")
    return f"{head if dot else ''}:{effect.value if effect is not None else '?'}"


def grown(tool: str, targets: Sequence[str], *, seen: Collection[str], request: Sequence[str]) -> int:
    """Return which part of what an action uses (tool, targets) is new to the session, and not in the user's words; ppm.

    A tool is theirs that shares a word, an effect or a kind of thing with the request; a target that stands in it.
    Without a request nothing can be told, and it is 0.
    """
    things = dict.fromkeys((tool, *targets))
    new = [thing for thing in things if thing not in seen]
    if not request or not new:
        return 0
    words = tuple(request)
    unasked = sum(not (_names(tool, words) if thing == tool else normal_form(thing) in _text(words)) for thing in new)
    return unasked * WHOLE // len(things)


@lru_cache(maxsize=256)
def _names(tool: str, request: tuple[str, ...]) -> bool:
    return uncertainty(action_text(tool, {}), request) < WHOLE


@lru_cache(maxsize=64)
def _text(request: tuple[str, ...]) -> str:
    return normal_form("\n".join(request))


def _mean(mean: int, value: int, weight: int) -> int:
    """Return the exponential mean; it begins at 0, since the request departs from itself by nothing."""
    return mean + (value - mean) * weight // WHOLE


def _of(value: int, limit: int) -> str:
    return f"{value * 100 // max(limit, 1)} % of its limit"


def _share(ppm: int) -> str:
    return f"{ppm // 10_000} %"
