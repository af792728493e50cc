"""What `calibrate` learns from: recordings, bundles, and the sessions of a home; what is signed is verified first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from navicert.cli.faults import Misused

if TYPE_CHECKING:
    from navicert.intent.calibration import Session
    from navicert.intent.recorded import RecordedStep
    from navicert.model.action import ToolProfile
    from navicert.model.labels import Labels
    from navicert.model.receipt import Receipt
    from navicert.model.signals import Signals
    from navicert.model.value import Json


def from_file(path: Path, bad: Collection[str]) -> list[Session]:
    """Return the sessions of a bundle, or of JSON lines; raises `Misused` with the line that is neither."""
    from navicert.verification.bundle_lines import is_bundle

    try:
        with path.open("rb") as file:
            start = file.read(64)
        return _bundle(path, bad) if is_bundle(start) else _lines(path, bad)
    except OSError as error:
        raise Misused(f"{path}: it cannot be read ({error.strerror})") from None


def from_home(named: str | None, bad: Collection[str]) -> list[Session]:
    """Return the sessions of a home, once all of it has verified."""
    from navicert.cli.diff import Replay
    from navicert.cli.home import home_of
    from navicert.intent.recorded import RecordedStep, Recording, session_of

    place, _ = home_of(named)
    found: dict[str, list[RecordedStep]] = {}
    requests: dict[str, tuple[str, int]] = {}
    with Replay(place) as replay:
        for item in replay.records():
            if item.kind != "decision":
                continue
            given = item.given
            steps = found.setdefault(given.context.session_id, [])
            request, said = requests.get(given.context.session_id, (given.context.request, 0))
            steps += (RecordedStep(said=text) for text in given.context.said[said:] if text)
            requests[given.context.session_id] = (request, len(given.context.said))
            parameters = msgspec.json.decode(given.action.parameters)
            steps.append(
                _step(given.action.name, given.action.profile, given.signals, given.labels, given.now, parameters)
            )
    return [
        session_of(Recording(name=name, request=requests[name][0], actions=tuple(steps), good=name not in bad), name)
        for name, steps in found.items()
    ]


def _lines(path: Path, bad: Collection[str]) -> list[Session]:
    from navicert.intent.recorded import Recording, session_of

    found: list[Session] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            recording = msgspec.json.decode(line, type=Recording)
            session = session_of(recording, f"{path.name}:{number}")
        except (msgspec.DecodeError, ValueError) as error:
            raise Misused(f"{place}: {error}; see docs/how-to/calibrate-drift.md for what a line holds") from None
        found.append(msgspec.structs.replace(session, good=session.good and session.name not in bad))
    return found


def _bundle(path: Path, bad: Collection[str]) -> list[Session]:
    """A bundle does not hold what the user said, so that only what was measured then is known."""
    from navicert.core.draft import Evaluated
    from navicert.intent.recorded import Recording, session_of
    from navicert.verification.bundle import verify_bundle
    from navicert.verification.disclosed import EVALUATED, plain

    found: dict[str, list[RecordedStep]] = {}

    def seen(receipt: Receipt, values: Mapping[str, bytes]) -> None:
        if receipt.kind != "decision" or receipt.action is None or receipt.session is None or EVALUATED not in values:
            return
        then = msgspec.json.decode(values[EVALUATED], type=Evaluated)
        name = f"{plain(receipt.action.tool)}.{plain(receipt.action.operation)}"
        step = _step(name, then.profile, then.signals, then.labels, then.now, {})
        found.setdefault(receipt.session.id, []).append(step)

    with path.open("rb") as file:
        verify_bundle(file, seen=seen)
    return [
        session_of(Recording(name=name, request="", actions=tuple(steps), good=name not in bad), name)
        for name, steps in found.items()
    ]


def _step(
    name: str, profile: ToolProfile | None, signals: Signals, labels: Labels, now: int, parameters: dict[str, Json]
) -> RecordedStep:
    from navicert.intent.recorded import RecordedStep
    from navicert.intent.values import Finding

    distance, finding = signals.values.get("distance_ppm"), signals.values.get("intent_finding")
    return RecordedStep(
        tool=name,
        parameters=parameters,
        effect=profile.effect if profile is not None else None,
        at=now,
        level=labels.level.name,
        finding=Finding(finding) if finding in set(Finding) else None,
        distance_ppm=distance if type(distance) is int else None,
    )


def sessions_of(files: tuple[Path, ...], home: str | None, bad: Collection[str]) -> list[Session]:
    """Return all sessions of the files, or of the home where none is named; those without an action are left out."""
    read = [from_file(path, bad) for path in files] if files else [from_home(home, bad)]
    found = [each for sessions in read for each in sessions if each.steps]
    missing = sorted(set(bad) - {each.name for each in found})
    if missing:
        raise Misused(f"there is no session `{missing[0]}` in what was read; `--json` lists the names")
    if not any(each.good for each in found):
        raise Misused("no good session with an action was found: thresholds come from work that kept to its request")
    return found
