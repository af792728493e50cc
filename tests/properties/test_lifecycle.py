"""The life of an action is its table: nothing executes without a permit, and every state can be reached and left."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navicert.core.lifecycle import TABLE, State, Step, advance, diagram, reachable
from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError

PERMITTING = frozenset({Verdict.ALLOW, Verdict.MODIFY})
STEPS = [*Verdict, *Step]
FINAL = frozenset({State.REFUSED, State.SUCCEEDED, State.FAILED})


def without(removed):
    return {state: {step: to for step, to in row.items() if step not in removed} for state, row in TABLE.items()}


# seen to fail: with `Verdict.DEFER: State.PERMITTED` in the row of `suspended`
def test_nothing_executes_without_a_verdict_that_permits():
    found = reachable(State.PROPOSED, without(PERMITTING))
    assert frozenset({State.PROPOSED, State.SUSPENDED, State.REFUSED}) == found


def test_nothing_executes_without_redeeming_a_permit():
    found = reachable(State.PROPOSED, without({Step.REDEEMED}))
    assert not found & {State.EXECUTING, State.OPEN, State.SUCCEEDED}


def test_each_permitting_edge_leads_to_permitted_and_to_nothing_else():
    edges = {(state, step, to) for state, row in TABLE.items() for step, to in row.items()}
    assert {State.PERMITTED} == {to for _, step, to in edges if step in PERMITTING}
    assert {step for _, step, to in edges if to is State.PERMITTED} == PERMITTING
    assert {(State.PERMITTED, Step.REDEEMED)} == {(state, step) for state, step, to in edges if to is State.EXECUTING}


def test_every_state_has_a_row_and_can_be_reached():
    assert set(State) == TABLE.keys() == reachable(State.PROPOSED)


def test_every_step_is_used():
    assert set(STEPS) == {step for row in TABLE.values() for step in row}


def test_every_life_can_come_to_an_end_and_an_end_is_final():
    for state in State:
        assert reachable(state) & FINAL
    assert {state for state, row in TABLE.items() if not row} == FINAL


def test_a_proposed_or_suspended_action_takes_all_five_verdicts():
    for state in (State.PROPOSED, State.SUSPENDED):
        assert set(Verdict) <= TABLE[state].keys()


@pytest.mark.parametrize(("state", "step"), list(itertools.product(State, STEPS)))
def test_a_step_that_is_not_in_the_table_is_an_error(state, step):
    if step in TABLE[state]:
        assert TABLE[state][step] is advance(state, step)
    else:
        with pytest.raises(IntegrityError, match="cannot be"):
            advance(state, step)


@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_no_sequence_of_steps_executes_without_permit_and_redemption_or_executes_twice(steps):
    state = State.PROPOSED
    taken = []
    executions = 0
    for step in steps:
        try:
            state = advance(state, step)
        except IntegrityError:
            continue
        taken.append(step)
        if state is State.EXECUTING:
            executions += 1
            assert Step.REDEEMED is step
            assert taken[-2] in PERMITTING
        if step in {Verdict.DENY, Step.TIMED_OUT, Step.LAPSED}:
            assert not TABLE[state]
    assert executions <= 1


def test_the_diagram_shows_every_edge():
    text = diagram()
    for state, row in TABLE.items():
        for step, to in row.items():
            assert any(
                line.strip().startswith(f"{state} --> {to}:") and step.value in line for line in text.splitlines()
            )
