"""Calibration states the rate of false alarms that it gives (R7)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navicert.intent.calibration import Session, calibrate, path, propose, rate
from navicert.intent.drift import PROFILES, WHOLE, Measured

BASE = PROFILES["assistant"]


def made(number, *, good=True, seed=1, shift=0):
    """Return synthetic sessions: 5 to 25 actions, departures around 0.35, farther with every action by `shift`."""
    chance = random.Random(seed)
    found = []
    for index in range(number):
        steps = tuple(
            Measured(distance_ppm=min(WHOLE, max(0, int(chance.gauss(350_000, 250_000)) + shift * place)))
            for place in range(chance.randint(5, 25))
        )
        found.append(Session(name=f"s{index}", steps=steps, good=good))
    return found


@pytest.mark.parametrize("target", [20_000, 50_000, 100_000, 200_000])
def test_new_sessions_raise_false_alarms_at_most_at_the_rate_that_was_asked_for(target):
    # seen to fail: with `_order` returning the median
    profile = propose(made(300), BASE, target)
    fresh = made(3_000, seed=2)
    alarms = rate(sum(path(each, profile).off > 0 for each in fresh), len(fresh))
    assert alarms.low_ppm <= target + 25_000
    assert alarms.ppm >= target // 4  # and it is no threshold that nothing reaches


def test_the_stated_rate_holds_on_sessions_that_nobody_calibrated_with():
    # seen to fail: with the rate taken from one fold that is left in
    inside = 0
    for seed in range(20):
        found = calibrate(made(100, seed=seed), BASE, 100_000)
        fresh = made(600, seed=1_000 + seed)
        true = sum(path(each, found.profile).off > 0 for each in fresh) * WHOLE // len(fresh)
        inside += found.sessions.low_ppm <= true <= found.sessions.high_ppm
    assert inside >= 17  # of 20, at 95 %


def test_bad_sessions_that_drift_slowly_are_found():
    found = calibrate([*made(60), *made(30, good=False, seed=3, shift=60_000)], BASE, 50_000)
    assert found.sessions.ppm <= 100_000
    assert found.caught.of == 30
    assert found.caught.ppm >= 600_000
    assert max(max(each.sums) for each in found.paths if not each.good) > found.profile.limit_ppm


def test_bad_sessions_never_make_the_thresholds_looser_on_good_ones():
    good, bad = made(60), made(20, good=False, seed=3, shift=60_000)
    profile = propose([*good, *bad], BASE, 50_000)
    assert sum(path(each, profile).off > 0 for each in good) <= 3


@given(st.lists(st.lists(st.integers(0, WHOLE), min_size=1, max_size=6), min_size=1, max_size=8))
def test_one_action_alone_is_never_off(recorded):
    # seen to fail: without the slack in `limit` of `propose`
    sessions = [Session(name="", steps=tuple(Measured(distance_ppm=each) for each in steps)) for steps in recorded]
    profile = propose(sessions, BASE, 50_000)
    assert path(Session(name="", steps=(Measured(distance_ppm=WHOLE),)), profile).off == 0


def test_without_bad_sessions_nothing_is_said_of_what_is_found():
    assert calibrate(made(30), BASE, 50_000).caught.of == 0


def test_few_sessions_give_wide_intervals_and_one_gives_none():
    widths = [calibrate(made(number), BASE, 50_000).sessions.give_ppm for number in (5, 20, 80)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 150_000
    alone = calibrate(made(1), BASE, 50_000)
    assert (alone.sessions.of, alone.sessions.low_ppm, alone.sessions.high_ppm) == (0, 0, WHOLE)


def test_no_good_session_is_an_error():
    with pytest.raises(ValueError, match="no good session"):
        propose(made(3, good=False), BASE, 50_000)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_rate(times, of):
    found = rate(min(times, of), of)
    assert 0 <= found.low_ppm <= found.ppm + 1
    assert found.ppm <= found.high_ppm <= WHOLE
    assert rate(min(times, of), of, spread=1).give_ppm >= found.give_ppm


@given(st.lists(st.lists(st.integers(0, WHOLE), max_size=6), min_size=1, max_size=8), st.integers(0, WHOLE))
def test_whatever_was_recorded_gives_thresholds_that_a_policy_can_hold(recorded, target):
    sessions = [
        Session(name=str(number), steps=tuple(Measured(distance_ppm=each) for each in steps))
        for number, steps in enumerate(recorded)
    ]
    profile = calibrate(sessions, BASE, target).profile
    assert 0 < profile.slack_ppm <= WHOLE
    assert profile.limit_ppm > 0
    assert 0 <= profile.mean_ppm <= WHOLE
