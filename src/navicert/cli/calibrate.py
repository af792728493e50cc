"""`navicert calibrate [FILE]...`: thresholds of drift from recorded sessions, and how often they are wrong (R7)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common
from navicert.cli.terminal import Terminal, emit

if TYPE_CHECKING:
    from navicert.intent.calibration import Calibration, Rate
    from navicert.intent.drift import Profile

KINDS: Final = ("assistant", "support", "analyst", "research", "coding")


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--profile", default="assistant", show_default=True, type=click.Choice(KINDS), help="To begin with.")
@click.option(
    "--rate", default=5.0, show_default=True, metavar="PERCENT", type=click.FloatRange(0.1, 50),
    help="Of good sessions, so many may be taken for drifting off.",
)  # fmt: skip
@click.option("--bad", metavar="SESSION", multiple=True, help="This one did not keep to its request.")
@click.option("--svg", metavar="FILE", type=click.Path(path_type=Path), help="Write a chart of all sessions.")
@common
def verb(
    files: tuple[Path, ...],
    profile: str,
    rate: float,
    bad: tuple[str, ...],
    svg: Path | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Propose thresholds of drift from sessions that kept to their request. Changes nothing.

    Each FILE is a bundle, or recorded sessions as JSON lines; without one, the sessions of this home are read. All are
    good but those that say otherwise, and those named with --bad.
    """
    from navicert.cli.drift_chart import card
    from navicert.cli.recordings import sessions_of
    from navicert.intent.calibration import calibrate
    from navicert.intent.drift import PROFILES

    sessions = sessions_of(files, home, bad)
    found = calibrate(sessions, PROFILES[profile], round(rate * 10_000))
    if svg is not None:
        good = sum(each.good for each in sessions)
        said = (
            f"{good} good sessions (blue), {len(sessions) - good} bad (orange); a sum at the limit is taken for drift"
        )
        svg.write_text(card(found.paths, found.profile.limit_ppm, said=said), encoding="utf-8")
    if as_json:
        emit(_document(found, profile, rate))
    else:
        _show(Terminal(), found, profile, rate)
    return FINE


def policy_text(kind: str, profile: Profile) -> str:
    """Return the part of a policy that says these thresholds."""
    from navicert.syntax.drift import COUNTS, SHARES

    lines = ["drift:", f"  profile: {kind}"]
    lines += [f"  {key}: {getattr(profile, field) / 1_000_000:g}" for key, (field, _) in SHARES.items()]
    lines += [f"  {key}: {min(getattr(profile, field), most)}" for key, (field, most) in COUNTS.items()]
    return "\n".join(lines) + "\n"


def _document(found: Calibration, kind: str, rate: float) -> dict[str, Any]:
    from navicert.syntax.drift import COUNTS, SHARES

    def rated(of: Rate) -> dict[str, Any]:
        return {"times": of.times, "of": of.of, "low_ppm": of.low_ppm, "high_ppm": of.high_ppm}

    return {
        "format": "navicert/calibrate/1",
        "profile": kind,
        "rate_percent": rate,
        "thresholds": {key: getattr(found.profile, field) for key, (field, _) in (SHARES | COUNTS).items()},
        "false_alarms": {"sessions": rated(found.sessions), "actions": rated(found.actions)},
        "warned": rated(found.warned),
        "caught": rated(found.caught),
        "policy": policy_text(kind, found.profile),
        "sessions": [
            {
                "name": each.name,
                "good": each.good,
                "actions": len(each.sums),
                "highest_ppm": max(each.sums),
                "off": each.off,
                "drifting": each.drifting,
            }
            for each in found.paths
        ],
    }


def _show(out: Terminal, found: Calibration, kind: str, rate: float) -> None:
    from navicert.cli.drift_chart import histogram
    from navicert.intent.calibration import ENOUGH

    good = sum(each.good for each in found.paths)
    bad = len(found.paths) - good
    out.title(f"calibrate   {kind}", f"{good} good sessions, {bad} bad")
    out.say("Sessions by the highest sum that they reached" + (" (▒ bad)" if bad else ""))
    for line in histogram(found.paths, found.profile.limit_ppm, out.width - 34):
        out.say(f"  {line}")
    out.say("\nOn sessions that the thresholds were not made from, with a 95 % interval")
    out.fields(
        [
            ("false alarms", f"{_rated(found.sessions, 'good sessions')} (asked for: at most {rate:g} %)"),
            ("", f"{_rated(found.actions, 'of their actions')}"),
            ("warnings", _rated(found.warned, "good sessions")),
            ("caught", _rated(found.caught, "bad sessions") if bad else "not known: no bad session was given"),
        ]
    )
    if good < ENOUGH:
        few = f"with {good} good session{'' if good == 1 else 's'} the rate cannot be told better than"
        out.say(f"\n{out.mark('warning')} {few} ±{found.sessions.give_ppm / 10_000:.0f} %; bring {ENOUGH} or more")
    out.say(f"\nFor the policy:\n\n{policy_text(kind, found.profile)}")


def _rated(of: Rate, what: str) -> str:
    if not of.of:
        return f"not known: too few {what}"
    low, high = of.low_ppm / 10_000, of.high_ppm / 10_000
    return f"{of.times} of {of.of} {what}: {of.ppm / 10_000:.1f} % ({low:.1f} to {high:.1f} %)"
