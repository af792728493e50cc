"""Calibration: thresholds of drift from recorded sessions, and how often they would raise a false alarm (R7).

* The slack is the mean departure of good actions and half of their standard deviation, which is what finds a shift by
  one standard deviation soonest; with known-bad sessions, the one at which most of them are found.
* The limit of the sum is an order statistic of what good sessions came to: of `n` good ones and a new one like them,
  the new one is off with probability `target` at most, or one in `n + 1` where `n` is too small for that. It is never
  so low that one action alone reaches it. Of fewer than `ENOUGH` good sessions, the other bounds are only widened.
* The stated rate is measured on sessions that the thresholds were not made from (folds), and carries an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, isqrt, sqrt
from typing import Final

import msgspec

from navicert.intent.drift import SUM_MAX, WHOLE, DriftState, Measured, Profile, departure, judge, step
from navicert.model.drift import Drift
from navicert.model.value import Value

ENOUGH: Final = 20
"""With fewer good sessions, a rate says little, and the report says how little."""
FOLDS: Final = 10
_Z: Final = 1.959964
_GRAIN: Final = 1_000
"""Thresholds are rounded up to thousandths: more digits would say more than sessions do."""
_BOUNDS: Final[dict[str, Callable[[Drift], int]]] = {
    "mean_ppm": lambda drift: drift.mean_ppm,
    "grown_ppm": lambda drift: drift.grown_ppm,
    "changes": lambda drift: drift.changes,
    "length": lambda drift: drift.since,
    "levels": lambda drift: drift.level - drift.began,
    "pace": lambda drift: drift.pace,
}
"""Of a profile: what each bound is held against."""


class Session(Value, frozen=True, kw_only=True):
    """One recorded session, measured. good: it kept to its request."""

    name: str
    steps: tuple[Measured, ...]
    good: bool = True


class Rate(Value, frozen=True, kw_only=True):
    """How often something happened, with a 95 % interval after Wilson; all in ppm. No rate is told of nothing."""

    times: int
    of: int
    low_ppm: int = 0
    high_ppm: int = WHOLE

    @property
    def ppm(self) -> int:
        """The rate itself; 0 of nothing."""
        return self.times * WHOLE // self.of if self.of else 0

    @property
    def give_ppm(self) -> int:
        """Half of the interval: better than plus or minus this, the rate cannot be told."""
        return (self.high_ppm - self.low_ppm) // 2


class Path(Value, frozen=True, kw_only=True):
    """What a session came to under a profile: the sums, action by action, and how often it was off, and drifting."""

    name: str
    good: bool
    sums: tuple[int, ...]
    off: int
    drifting: int


class Calibration(Value, frozen=True, kw_only=True):
    """What was found. sessions, actions: the rate of false alarms (`off`), on sessions that were left out.

    warned: the same of `drifting`, per session. caught: bad sessions found, likewise. paths: under the proposal.
    """

    profile: Profile
    sessions: Rate
    actions: Rate
    warned: Rate
    caught: Rate
    paths: tuple[Path, ...]


def rate(times: int, of: int, *, spread: int | None = None) -> Rate:
    """Return a rate with its interval. spread: how many independent observations it rests on (default: `of`)."""
    n = of if spread is None else spread
    if not of or not n:
        return Rate(times=times, of=of)
    share = times / of
    middle = share + _Z * _Z / (2 * n)
    reach = _Z * sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
    low, high = ((middle + sign * reach) / (1 + _Z * _Z / n) for sign in (-1, 1))
    return Rate(times=times, of=of, low_ppm=max(0, int(low * WHOLE)), high_ppm=min(WHOLE, ceil(high * WHOLE)))


def path(session: Session, profile: Profile) -> Path:
    """Return what a session comes to under a profile."""
    drift, sums, off, drifting = Drift(), [], 0, 0
    for measured in session.steps:
        drift = step(drift, measured, profile)
        state = judge(drift, profile).state
        off += state is DriftState.OFF
        drifting += state is not DriftState.STEADY
        sums.append(drift.sum_ppm)
    return Path(name=session.name, good=session.good, sums=tuple(sums), off=off, drifting=drifting)


def propose(sessions: Sequence[Session], base: Profile, target_ppm: int) -> Profile:
    """Return the thresholds that these sessions propose. Raises `ValueError` without a good session."""
    good = [session for session in sessions if session.good]
    bad = [session for session in sessions if not session.good]
    if not good:
        raise ValueError("no good session")
    departs = sorted(departure(each, base) for session in good for each in session.steps)
    usual = _usual(departs)
    slacks = [usual]
    if bad and departs:
        slacks += [_up(departs[len(departs) * part // 10]) for part in range(1, 10)]
    best, most = base, -1
    for slack in slacks:
        trial = msgspec.structs.replace(base, slack_ppm=max(slack, _GRAIN))
        highest = _order([_peak(session, trial) for session in good], target_ppm)
        limit = min(_up(max(highest, WHOLE - trial.slack_ppm) + 1), SUM_MAX)
        trial = msgspec.structs.replace(trial, limit_ppm=limit)
        found = sum(_peak(session, trial) >= limit for session in bad)
        if found > most:
            best, most = trial, found
    came_to = {name: [_highest(session, best, of) for session in good] for name, of in _BOUNDS.items()}
    each = target_ppm // len(_BOUNDS)  # together they warn as often as the sum does
    bounds = {name: _order(values, each) for name, values in came_to.items() if any(values)}  # the others: nobody knows
    bounds = {name: min(_up(value), WHOLE) if name.endswith("_ppm") else value for name, value in bounds.items()}
    if len(good) < ENOUGH:
        bounds = {name: max(value, getattr(base, name)) for name, value in bounds.items()}
    return msgspec.structs.replace(best, **bounds)


def calibrate(sessions: Sequence[Session], base: Profile, target_ppm: int) -> Calibration:
    """Return the thresholds, and how they do on sessions that they were not made from."""
    profile = propose(sessions, base, target_ppm)
    good = sum(session.good for session in sessions)
    folds = min(FOLDS, good)
    kept: list[Path] = []
    if folds > 1:
        for fold in range(folds):
            rest, left = _split(sessions, fold, folds)
            kept += (path(session, trial) for trial in (propose(rest, base, target_ppm),) for session in left)
    tried, missed = [each for each in kept if each.good], [each for each in kept if not each.good]
    return Calibration(
        profile=profile,
        sessions=rate(sum(each.off > 0 for each in tried), len(tried)),
        actions=rate(sum(each.off for each in tried), sum(len(each.sums) for each in tried), spread=len(tried)),
        warned=rate(sum(each.drifting > 0 for each in tried), len(tried)),
        caught=rate(sum(each.off > 0 for each in missed), len(missed)),
        paths=tuple(path(session, profile) for session in sessions),
    )


def _split(sessions: Sequence[Session], fold: int, folds: int) -> tuple[list[Session], list[Session]]:
    """Return the sessions to learn from, and those left out: every `folds`th of the good, and of the bad."""
    rest: list[Session] = []
    left: list[Session] = []
    counts = {True: 0, False: 0}
    for session in sessions:
        (left if counts[session.good] % folds == fold else rest).append(session)
        counts[session.good] += 1
    return rest, left


def _order(values: Sequence[int], target_ppm: int) -> int:
    """Return the value that a new one like these exceeds with probability `target` at most; the highest of too few."""
    place = ceil((len(values) + 1) * (WHOLE - target_ppm) / WHOLE)
    return sorted(values)[min(place, len(values)) - 1]


def _peak(session: Session, profile: Profile) -> int:
    return _highest(session, profile, lambda drift: drift.sum_ppm)


def _highest(session: Session, profile: Profile, of: Callable[[Drift], int]) -> int:
    drift, highest = Drift(), 0
    for measured in session.steps:
        drift = step(drift, measured, profile)
        highest = max(highest, of(drift))
    return highest


def _usual(departs: Sequence[int]) -> int:
    if not departs:
        return _GRAIN
    mean = sum(departs) // len(departs)
    spread = isqrt(sum((each - mean) ** 2 for each in departs) // len(departs))
    return min(_up(mean + spread // 2), WHOLE)


def _up(value: int) -> int:
    return -(-value // _GRAIN) * _GRAIN
