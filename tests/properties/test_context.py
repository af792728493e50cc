"""Context as a fold (R2): labels only grow, attempts count, windows are bounded, any edit of the chain shows."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from navicert.core.accumulate import ENTITIES, FACTS, NAMES, OTHER, PACE, RECENT, accumulate, begin, fold
from navicert.core.tally import add, within
from navicert.model.context import Attempt, Ended, Labelled, Observed, Opened, Result, UserSaid
from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING, WORST, Labels, Level
from navicert.model.shared import TallyRing

replace = msgspec.structs.replace
categories = st.lists(st.sampled_from(["PII", "PHI", "SECRET", "HR"]), max_size=3).map(lambda c: tuple(sorted(set(c))))
labels = st.one_of(st.builds(Labels, level=st.sampled_from(Level), categories=categories), st.just(WORST))
times = st.integers(1_700_000_000_000_000, 1_800_000_000_000_000)
names = st.sampled_from(["mail.send", "crm.read", "db.query", "file.write"])
ids = st.sampled_from([f"act_{number}" for number in range(6)])
opened = st.builds(
    Opened, session_id=st.just("ses_1"), request=st.text(max_size=5), claims=st.just(Claims(human="ana", agent="bot")),
    salt=st.just("salt"), inherited=labels, at=times,
)  # fmt: skip
attempts = st.builds(
    Attempt, action_id=ids, name=names, digest=st.just("d"), verdict=st.sampled_from(Verdict), owner=st.just("eng"),
    at=times, entities=st.lists(st.text(max_size=3), max_size=4).map(tuple),
)  # fmt: skip
entries = st.one_of(
    attempts,
    st.builds(Result, action_id=ids, succeeded=st.sampled_from([True, False, None]), labels=labels, at=times),
    st.builds(Labelled, source=ids, labels=labels, at=times),
    st.builds(UserSaid, text=st.text(max_size=5), at=times),
    st.builds(Observed, name=st.sampled_from("ab"), value=st.integers(0, 2), source=st.sampled_from("xy"), at=times),
    st.builds(Ended, at=times),
)
chains = st.tuples(opened, st.lists(entries, max_size=25)).map(lambda pair: [pair[0], *pair[1]])


# labels


@given(labels, labels, labels)
def test_joining_labels_is_a_least_upper_bound(one, two, three):
    assert one.join(two) == two.join(one)
    assert one.join(two).join(three) == one.join(two.join(three))
    assert one == one.join(one)
    assert one == one.join(NOTHING) == NOTHING.join(one)
    assert WORST == one.join(WORST) == WORST.join(one)
    assert one.join(two).covers(one)
    assert one.join(two).covers(two)


@given(labels, labels, labels)
def test_joining_labels_is_monotone_and_covers_is_an_order(low, high, other):
    high = low.join(high)
    assert high.join(other).covers(low.join(other))
    assert not (low.covers(high) and high.covers(low)) or low == high
    if other.covers(high):
        assert other.covers(low)
        assert other.join(high) == other


@given(labels, labels)
def test_a_join_has_every_category_that_a_part_has(one, two):
    for name in ("PII", "PHI", "SECRET", "HR"):
        assert one.join(two).has(name) == (one.has(name) or two.has(name))


# seen to fail: with `labels=entry.labels` instead of the join in `accumulate`
@given(chains)
def test_labels_never_shrink_whatever_is_added(chain):
    context = begin(chain[0])
    assert context.labels == chain[0].inherited
    for entry in chain[1:]:
        after = accumulate(context, entry)
        assert after.labels.covers(context.labels)
        assert after.labels.covers(getattr(entry, "labels", NOTHING))
        context = after


@given(opened, st.lists(entries, max_size=12), st.randoms(use_true_random=False))
def test_the_labels_do_not_depend_on_the_order_of_the_entries(first, rest, chance):
    shuffled = list(rest)
    chance.shuffle(shuffled)
    assert fold([first, *rest]).labels == fold([first, *shuffled]).labels


# the fold


@given(chains, st.integers(0, 25))
def test_folding_in_two_parts_is_folding_at_once(chain, cut):
    cut = min(max(cut, 1), len(chain))
    context = fold(chain[:cut])
    for entry in chain[cut:]:
        context = accumulate(context, entry)
    assert fold(chain) == context


@given(chains)
def test_every_attempt_counts_the_denied_ones_too(chain):
    context = fold(chain)
    made = [entry for entry in chain if isinstance(entry, Attempt)]
    assert len(made) == sum(context.counts.values()) == sum(context.verdicts.values())
    for name in {entry.name for entry in made}:
        assert sum(1 for entry in made if entry.name == name) == context.counts[name]
    assert len(chain) == context.length


@given(chains)
def test_the_request_and_the_identity_are_never_changed(chain):
    context = fold(chain)
    first = chain[0]
    assert (first.request, first.claims, first.salt) == (context.request, context.claims, context.salt)
    assert tuple(entry.text for entry in chain if isinstance(entry, UserSaid)) == context.said


@given(chains)
def test_what_was_permitted_is_open_until_its_outcome_is_known(chain):
    context = fold(chain)
    expected: list[str] = []
    for entry in chain:
        if isinstance(entry, Attempt) and entry.verdict in {Verdict.ALLOW, Verdict.MODIFY}:
            expected.append(entry.action_id)
        if isinstance(entry, Result) and entry.succeeded is not None:
            expected = [item for item in expected if item != entry.action_id]
    assert expected == [item.action_id for item in context.open]


@settings(max_examples=5)
@given(opened, st.integers(200, 400))
def test_a_long_session_stays_small_and_loses_no_count(first, number):
    context = begin(first)
    for index in range(number):
        made = Attempt(
            action_id=f"a{index}", name=f"tool{index}.x", digest="d", verdict=Verdict.DENY, owner="e",
            at=1_700_000_000_000_000 + index, entities=(f"e{index}",),
        )  # fmt: skip
        context = accumulate(context, made)
    bounds = {"recent": RECENT, "entities": ENTITIES, "pace": PACE}
    for name, most in bounds.items():
        assert min(most, number) == len(getattr(context, name))
    assert len(context.counts) <= NAMES + 1
    assert number == sum(context.counts.values()) == context.entities_seen
    assert max(0, number - NAMES) == context.counts.get(OTHER, 0)
    assert f"a{number - 1}" == context.recent[-1].action_id


def test_a_chain_begins_with_its_opening_and_has_one_only():
    first = Opened(session_id="s", request="r", claims=Claims(), salt="x", at=1)
    with pytest.raises(IntegrityError):
        fold([Ended(at=1)])
    with pytest.raises(IntegrityError):
        fold([first, first])


# the chain


@given(chains, st.data())
def test_dropping_any_entry_changes_the_head(chain, data):
    place = data.draw(st.integers(1, len(chain) - 1)) if len(chain) > 1 else None
    assume(place is not None)
    assert fold(chain).head != fold(chain[:place] + chain[place + 1 :]).head


@given(chains, st.data())
def test_swapping_two_different_entries_changes_the_head(chain, data):
    assume(len(chain) > 2)
    one = data.draw(st.integers(1, len(chain) - 1))
    two = data.draw(st.integers(1, len(chain) - 1))
    assume(chain[one] != chain[two])
    swapped = list(chain)
    swapped[one], swapped[two] = swapped[two], swapped[one]
    assert fold(chain).head != fold(swapped).head


@given(chains, entries, st.data())
def test_replacing_or_inserting_an_entry_changes_the_head(chain, other, data):
    place = data.draw(st.integers(1, len(chain)))
    assert fold(chain).head != fold([*chain[:place], other, *chain[place:]]).head
    if place < len(chain) and chain[place] != other:
        assert fold(chain).head != fold([*chain[:place], other, *chain[place + 1 :]]).head


@given(chains, st.data())
def test_editing_any_field_of_any_entry_changes_the_head(chain, data):
    place = data.draw(st.integers(0, len(chain) - 1))
    entry = chain[place]
    name = data.draw(st.sampled_from([n for n in entry.__struct_fields__ if type(getattr(entry, n)) in {str, int}]))
    value = getattr(entry, name)
    edited = replace(entry, **{name: value + (1 if isinstance(value, int) else "x")})
    assert fold(chain).head != fold([*chain[:place], edited, *chain[place + 1 :]]).head


@given(chains, st.text(min_size=1, max_size=10))
def test_a_session_with_another_salt_has_another_head(chain, salt):
    assume(salt != chain[0].salt)
    assert fold(chain).head != fold([replace(chain[0], salt=salt), *chain[1:]]).head


# facts


told_facts = st.tuples(st.sampled_from("ab"), st.sampled_from([0, 1, True, "1", None]), st.sampled_from("xyz"))


@given(opened, st.lists(told_facts))
def test_a_fact_conflicts_exactly_while_its_sources_disagree(first, told):
    context = begin(first)
    last: dict[tuple[str, str], object] = {}
    for name, value, source in told:
        context = accumulate(context, Observed(name=name, value=value, source=source, at=1))
        last[name, source] = value
    for fact in context.facts:
        values = [value for (name, _), value in last.items() if name == fact.name]
        agreed = len({(type(value), value) for value in values}) == 1
        assert agreed is not fact.conflicting
        assert (last[fact.name, fact.source], True) == (
            fact.value,
            type(last[fact.name, fact.source]) is type(fact.value),
        )
    assert len(last) == len(context.facts)


def test_facts_are_bounded():
    context = begin(Opened(session_id="s", request="r", claims=Claims(), salt="x", at=1))
    for number in range(FACTS):
        context = accumulate(context, Observed(name=f"f{number}", value=1, source="x", at=1))
    with pytest.raises(IntegrityError, match="at most"):
        accumulate(context, Observed(name="more", value=1, source="x", at=1))


# tallies

gaps = st.one_of(st.integers(0, 90), st.integers(0, 7_200), st.integers(0, 200_000))
windows = st.one_of(st.integers(1, 3_600), st.integers(1, 172_800), st.integers(1, 2_678_400))


# seen to fail: with `start >= second - window_s` in `within`
@given(st.lists(st.tuples(gaps, st.integers(0, 10**9)), max_size=60), windows, gaps, times)
def test_a_tally_is_never_too_low_and_at_most_one_bucket_too_high(events, window, later, start):
    ring = TallyRing()
    at = start
    happened = []
    for gap, amount in events:
        at += gap * 1_000_000
        ring = add(ring, at, amount)
        happened.append((at, amount))
    now = at + later * 1_000_000
    count, total = within(ring, window, now)
    exact = [(when, amount) for when, amount in happened if when > now - window * 1_000_000]
    width = 60 if window <= 3_600 else 3_600 if window <= 172_800 else 86_400
    wider = [(when, amount) for when, amount in happened if when > now - (window + width + 1) * 1_000_000]
    assert len(exact) <= count <= len(wider)
    assert sum(amount for _, amount in exact) <= total <= sum(amount for _, amount in wider)


@settings(max_examples=20)
@given(st.integers(1, 400), times)
def test_a_tally_is_bounded(number, start):
    ring = TallyRing()
    for index in range(number):
        ring = add(ring, start + index * 10_000 * 1_000_000, 1)
    assert len(ring.minutes) <= 61
    assert len(ring.hours) <= 49
    assert len(ring.days) <= 32
