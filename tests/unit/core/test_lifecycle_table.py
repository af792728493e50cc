"""Where each verdict and each step leads, written down a second time: the table of states holds that and no more."""

from __future__ import annotations

from navicert.core.lifecycle import TABLE, State, Step
from navicert.model.decision import Verdict

LEADS = {
    Verdict.ALLOW: State.PERMITTED,
    Verdict.MODIFY: State.PERMITTED,
    Verdict.DENY: State.REFUSED,
    Verdict.STEP_UP: State.SUSPENDED,
    Verdict.DEFER: State.SUSPENDED,
    Step.TIMED_OUT: State.REFUSED,
    Step.REDEEMED: State.EXECUTING,
    Step.LAPSED: State.FAILED,
    Step.RETURNED: State.SUCCEEDED,
    Step.RAISED: State.FAILED,
    Step.INTERRUPTED: State.OPEN,
    Step.SETTLED_DONE: State.SUCCEEDED,
    Step.SETTLED_NOT_DONE: State.FAILED,
}
TAKES = {
    State.PROPOSED: {*Verdict},
    State.SUSPENDED: {*Verdict, Step.TIMED_OUT},
    State.PERMITTED: {Step.REDEEMED, Step.LAPSED},
    State.EXECUTING: {Step.RETURNED, Step.RAISED, Step.INTERRUPTED},
    State.OPEN: {Step.SETTLED_DONE, Step.SETTLED_NOT_DONE},
    State.REFUSED: set(),
    State.SUCCEEDED: set(),
    State.FAILED: set(),
}


# seen to fail: with any edge of the table taken out, led elsewhere, or put in (`make mutants`)
def test_a_step_leads_where_it_leads_from_every_state_that_takes_it():
    assert {state: {step: LEADS[step] for step in steps} for state, steps in TAKES.items()} == TABLE
