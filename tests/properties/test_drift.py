"""Drift as a fold (R7): bounded, monotone in distance, and a sum that catches what no single action shows."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navicert.intent.drift import (
    COUNT_MAX,
    FAMILIES,
    PROFILES,
    SUM_MAX,
    WHOLE,
    DriftState,
    Measured,
    Profile,
    departure,
    family_of,
    grown,
    judge,
    profile_of,
    signals,
    spoken,
    step,
)
from navicert.intent.values import Finding
from navicert.model.action import Effect
from navicert.model.drift import Drift

replace = msgspec.structs.replace
shares = st.integers(0, WHOLE)
findings = st.sampled_from([None, *Finding])
actions = st.builds(
    Measured, distance_ppm=st.none() | shares, finding=findings, family=st.sampled_from("abcdefghijklmnopqrstuvwxyz"),
    grown_ppm=shares, level=st.integers(0, 3), said=st.integers(0, 2), pace=st.integers(0, 200),
)  # fmt: skip
profiles = st.one_of(
    st.sampled_from(list(PROFILES.values())),
    st.builds(
        Profile, weight_ppm=st.integers(1, WHOLE), slack_ppm=st.integers(1, WHOLE), limit_ppm=st.integers(1, 9 * WHOLE)
    ),
)
QUIET = Profile(mean_ppm=WHOLE, grown_ppm=WHOLE, changes=COUNT_MAX, length=COUNT_MAX, levels=9, pace=COUNT_MAX)
"""Nothing but the sum speaks."""


def walk(steps, profile, drift=None):
    drift = drift or Drift()
    for each in steps:
        drift = step(drift, each, profile)
    return drift


# the state


@given(st.lists(actions, max_size=60), profiles)
def test_the_state_is_bounded_however_long_the_session(steps, profile):
    drift = walk(steps, profile, Drift(steps=COUNT_MAX, since=COUNT_MAX, sum_ppm=SUM_MAX, changes=COUNT_MAX))
    assert 0 <= drift.mean_ppm <= WHOLE
    assert 0 <= drift.max_ppm <= WHOLE
    assert 0 <= drift.grown_ppm <= WHOLE
    assert 0 <= drift.sum_ppm <= SUM_MAX
    assert max(drift.steps, drift.since, drift.changes) <= COUNT_MAX
    assert len(drift.families) <= FAMILIES
    assert len(msgspec.json.encode(drift)) < 400


@given(st.lists(st.tuples(actions, shares, shares), max_size=30), profiles)
def test_a_session_that_is_farther_at_every_step_is_never_said_to_have_drifted_less(steps, profile):
    near = [replace(each, distance_ppm=min(one, other)) for each, one, other in steps]
    far = [replace(each, distance_ppm=max(one, other)) for each, one, other in steps]
    one, other = walk(near, profile), walk(far, profile)
    for name in ("mean_ppm", "max_ppm", "sum_ppm"):
        assert getattr(one, name) <= getattr(other, name)
    order = list(DriftState)
    assert order.index(judge(one, profile).state) <= order.index(judge(other, profile).state)


@given(st.lists(actions, min_size=1, max_size=30), st.randoms(), profiles)
def test_maximum_lengths_and_labels_do_not_depend_on_the_order(steps, random, profile):
    steps = [replace(each, said=0) for each in steps]
    mixed = random.sample(steps, len(steps))
    one, other = walk(steps, profile), walk(mixed, profile)
    for name in ("steps", "since", "max_ppm", "level"):
        assert getattr(one, name) == getattr(other, name)
    if len({each.family for each in steps}) <= FAMILIES:
        assert one.changes == other.changes
        assert set(one.families) == set(other.families)


@given(st.lists(shares, max_size=30), st.randoms())
def test_the_sum_does_not_depend_on_the_order_of_actions_that_all_exceed_the_slack(distances, random):
    steps = [Measured(distance_ppm=max(each, QUIET.slack_ppm)) for each in distances]
    mixed = random.sample(steps, len(steps))
    assert walk(steps, QUIET).sum_ppm == walk(mixed, QUIET).sum_ppm


# the cumulative sum


@given(st.integers(1, WHOLE - 1), st.integers(1, WHOLE), st.integers(1, 9 * WHOLE))
def test_any_constant_excess_is_caught_within_the_stated_number_of_actions(slack, excess, limit):
    # seen to fail: with `sum_ppm=0` in `step`
    departs = min(slack + excess, WHOLE)
    profile = replace(QUIET, slack_ppm=slack, limit_ppm=limit)
    within = -(-limit // (departs - slack))
    if within > 2_000:
        return
    drift = walk([Measured(distance_ppm=departs)] * (within - 1), profile)
    assert judge(drift, profile).state is not DriftState.OFF
    assert judge(step(drift, Measured(distance_ppm=departs), profile), profile).state is DriftState.OFF


@given(st.lists(shares, max_size=200), st.integers(1, WHOLE))
def test_actions_within_the_slack_never_add_up_however_many(distances, slack):
    profile = replace(QUIET, slack_ppm=slack, limit_ppm=1)
    drift = walk([Measured(distance_ppm=min(each, slack)) for each in distances], profile)
    assert drift.sum_ppm == 0
    assert judge(drift, profile).state is DriftState.STEADY


def test_a_slow_drift_without_an_outlier_is_caught_and_as_many_actions_on_topic_are_not():
    profile = PROFILES["assistant"]
    slow = [Measured(distance_ppm=min(200_000 + 50_000 * number, 800_000), family=":write") for number in range(18)]
    assert max(departure(each, profile) for each in slow) <= 800_000  # nothing that one would stop by itself
    assert judge(walk(slow[:7], profile), profile).state is DriftState.STEADY
    assert judge(walk(slow, profile), profile).state is DriftState.OFF
    topical = [replace(each, distance_ppm=300_000) for each in slow]
    assert judge(walk(topical, profile), profile).state is DriftState.STEADY


# what is not known hides nothing


@given(st.lists(actions, max_size=20), actions, profiles)
def test_an_action_of_unknown_distance_never_lowers_the_sum(steps, late, profile):
    # seen to fail: with 0 in place of the slack in `departure`
    drift = walk(steps, profile)
    late = replace(late, distance_ppm=None, said=drift.said)
    assert step(drift, late, profile).sum_ppm >= drift.sum_ppm


def test_without_any_distance_structure_alone_shows_the_drift():
    profile = PROFILES["assistant"]
    unknown = Measured(distance_ppm=None, family=":read", finding=Finding.READS)
    assert judge(walk([unknown] * 40, profile), profile).state is DriftState.STEADY
    astray = [
        replace(unknown, family=f"{number}:send", finding=Finding.UNASKED, grown_ppm=WHOLE) for number in range(5)
    ]
    found = judge(walk(astray, profile), profile)
    assert found.state is DriftState.OFF
    assert "add up" in found.why
    assert "unasked" in found.why


# findings


@given(shares, findings, profiles)
def test_a_departure_is_a_share_and_what_nobody_asked_for_departs_however_alike_it_sounds(distance, finding, profile):
    departs = departure(Measured(distance_ppm=distance, finding=finding), profile)
    assert 0 <= departs <= WHOLE
    if finding in {Finding.READS, Finding.ASKED, Finding.DELEGATED}:
        assert departs == distance // 2
    elif finding is not None:
        assert departs >= distance
    if finding is Finding.INJECTED:
        assert departs == WHOLE


def test_every_finding_has_its_part_and_a_better_one_never_departs_further():
    profile = PROFILES["assistant"]
    for distance in (0, 400_000, WHOLE):
        departs = [
            departure(Measured(distance_ppm=distance, finding=each), profile) for each in Finding if each != "unstated"
        ]
        assert departs == sorted(departs)


# the user speaks


def test_words_of_the_user_begin_the_sum_and_the_counts_anew_and_leave_what_stands():
    # seen to fail: with the call of `spoken` in `step` removed
    profile = PROFILES["assistant"]
    drift = walk([Measured(distance_ppm=WHOLE, level=2, family=each) for each in "abcd"], profile)
    assert drift.sum_ppm == 4 * (WHOLE - profile.slack_ppm)
    again = step(drift, Measured(distance_ppm=0, said=1, family="a"), profile)
    assert (again.since, again.sum_ppm, again.changes, again.steps) == (1, 0, 0, 5)
    assert (again.max_ppm, again.level) == (WHOLE, 2)
    quiet = step(drift, Measured(distance_ppm=0, said=0, family="a"), profile)
    assert (quiet.since, quiet.sum_ppm, quiet.changes) == (5, drift.sum_ppm - profile.slack_ppm, 3)


@given(st.lists(actions, max_size=20), profiles)
def test_an_answer_counts_as_words_and_is_not_counted_twice(steps, profile):
    drift = spoken(walk(steps, profile), 7)
    assert spoken(drift, 7) == drift
    assert (drift.since, drift.sum_ppm) == (0, 0)


# the bounds


BEYOND = {
    "by 74 %": ([Measured(distance_ppm=900_000)] * 8, replace(QUIET, mean_ppm=700_000, slack_ppm=WHOLE)),
    "new and unasked": ([Measured(distance_ppm=0, grown_ppm=WHOLE)] * 8, replace(QUIET, grown_ppm=600_000)),
    "levels above": ([Measured(distance_ppm=0, level=each) for each in (1, 3)], replace(QUIET, levels=1)),
    "kind of tool": ([Measured(distance_ppm=0, family=each) for each in "abc"], replace(QUIET, changes=1)),
    "last spoke": ([Measured(distance_ppm=0)] * 4, replace(QUIET, length=3)),
    "in a minute": ([Measured(distance_ppm=0, pace=31)], replace(QUIET, pace=30)),
}


@pytest.mark.parametrize("words", BEYOND)
def test_each_bound_speaks_for_itself_by_name_and_is_silent_up_to_it(words):
    steps, profile = BEYOND[words]
    drift = walk(steps, profile)
    found = judge(drift, profile)
    assert found.state is DriftState.DRIFTING
    assert words in found.why
    assert ";" not in found.why
    assert judge(walk(steps, QUIET if "by" not in words else profile_of("coding")), QUIET).state is not found.state


def test_signals_are_integers_and_words_only():
    found = signals(walk([Measured(distance_ppm=WHOLE)] * 9, PROFILES["assistant"]), PROFILES["assistant"])
    assert found["drift_state"] == "off"
    assert {type(value) for value in found.values()} == {int, str}
    assert found["drift_max_ppm"] == WHOLE


# how an action is measured


def test_families_are_the_namespace_and_what_is_done():
    assert family_of("mail.send", Effect.SEND) == "mail:send"
    assert family_of("send_money", Effect.PAY) == ":pay"
    assert family_of("x", None) == ":?"


def test_scope_grows_by_what_is_new_and_was_not_asked_for():
    seen, request = {"crm.read"}, ("send the figures to ana@kit.example",)
    assert grown("crm.read", ["ana@kit.example"], seen=seen, request=request) == 0
    assert grown("crm.read", ["ana@kit.example", "eve@else.example"], seen=seen, request=request) == 333_333
    assert grown("mail.send", ["ANA@kit.example"], seen=seen, request=request) == 0
    assert grown("vault.unlock", ["ana@kit.example"], seen=seen, request=request) == 500_000
    assert grown("vault.unlock", ["eve@else.example"], seen=seen, request=request) == WHOLE
    assert grown("vault.unlock", ["eve@else.example"], seen={"vault.unlock", "eve@else.example"}, request=request) == 0
    assert grown("vault.unlock", [], seen=seen, request=()) == 0


def test_a_profile_is_named_and_may_be_changed_in_part():
    assert profile_of("coding", {"limit_ppm": 5}).limit_ppm == 5
    assert profile_of("coding", {"limit_ppm": 5}).slack_ppm == PROFILES["coding"].slack_ppm
    with pytest.raises(KeyError):
        profile_of("plumber")
    with pytest.raises(TypeError):
        profile_of("coding", {"speed": 1})
