"""Recorded sessions as drift sees them: what a transcript says of an agent's work, measured like the work itself (R7).

* The format is one JSON object a session (docs/how-to/calibrate-drift.md). What a recording states (a distance, a
  finding, a level) stands; what it leaves out is measured from the words, or not known.
* Nothing is executed, and nothing here decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from navicert.core.fields import leaves
from navicert.intent.calibration import Session
from navicert.intent.drift import PACE_MAX, WHOLE, Measured, family_of, grown
from navicert.intent.embedding import action_text, measured
from navicert.intent.values import Finding
from navicert.intent.verbs import effects_of, lemma
from navicert.model.action import Effect
from navicert.model.labels import Level
from navicert.model.value import Json, Value

MINUTE: Final = 60_000_000
_Ppm = Annotated[int, msgspec.Meta(ge=0, le=WHOLE)]
_LONGEST: Final = 200


class RecordedStep(Value, frozen=True, kw_only=True):
    """One action of a recording, by its tool; or later words of the user (`said`), and nothing else.

    at: microseconds, UTC. level: of the labels in force, by name.
    """

    tool: str = ""
    said: str = ""
    parameters: dict[str, Json] = {}
    effect: Effect | None = None
    at: int | None = None
    level: str = "PUBLIC"
    finding: Finding | None = None
    distance_ppm: _Ppm | None = None


class Recording(Value, frozen=True, kw_only=True):
    """One session. good: it kept to what was asked for."""

    request: str
    actions: tuple[RecordedStep, ...] = ()
    good: bool = True
    name: str = ""


def session_of(recording: Recording, name: str) -> Session:
    """Return a recording, measured. name: where it has none. Raises `ValueError` for a step or level that is none."""
    request = [recording.request] if recording.request.strip() else []
    began = len(request)
    seen: set[str] = set()
    times: list[int] = []
    steps: list[Measured] = []
    for item in recording.actions:
        if bool(item.tool) == bool(item.said):
            raise ValueError("a step has either `tool`, or `said`")
        if item.said:
            request.append(item.said)
            continue
        if item.level not in Level.__members__:
            raise ValueError(f"`{item.level}` is no level; write one of {', '.join(Level.__members__)}")
        effect = item.effect or _effect(item.tool)
        targets = [text[:_LONGEST] for text in map(str, leaves(item.parameters)) if len(text) <= _LONGEST]
        if item.at is not None:
            times.append(item.at)
        steps.append(
            Measured(
                distance_ppm=_distance(item, request),
                finding=item.finding or (Finding.READS if effect is Effect.READ else None),
                family=family_of(item.tool, effect),
                grown_ppm=grown(item.tool, targets, seen=seen, request=request),
                level=int(Level[item.level]),
                said=len(request) - began,
                pace=sum(at > times[-1] - MINUTE for at in times[-PACE_MAX:]) if times else 0,
            )
        )
        seen |= {item.tool, *targets}
    return Session(name=recording.name or name, steps=tuple(steps), good=recording.good)


def _distance(item: RecordedStep, request: Sequence[str]) -> int | None:
    if item.distance_ppm is not None or not request:
        return item.distance_ppm
    return measured(action_text(item.tool, item.parameters), request, ()).distance


def _effect(tool: str) -> Effect | None:
    """Return what a tool's name says that it does, where it says one thing."""
    words = [lemma(word) for word in tool.rpartition(".")[2].replace("-", "_").lower().split("_")]
    found = effects_of(words[0], words[1:])
    return found[0] if len(found) == 1 else None
