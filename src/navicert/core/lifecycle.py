"""The life of one action, as a table (DESIGN.md section 3).

* A transition is a row; a missing row is an error. Nothing else in the product moves an action's state.
* EXECUTING is reached only through PERMITTED, and PERMITTED only by a verdict that permits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError


class State(StrEnum):
    """Where an action is in its life."""

    PROPOSED = "proposed"
    PERMITTED = "permitted"
    SUSPENDED = "suspended"
    REFUSED = "refused"
    EXECUTING = "executing"
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Step(StrEnum):
    """What happened to it, other than a verdict."""

    REDEEMED = "redeemed"
    """Its permit was consumed, and the tool starts."""
    RETURNED = "returned"
    RAISED = "raised"
    INTERRUPTED = "interrupted"
    """The executor gave up (timeout, cancellation); whether the effect happened is not known."""
    LAPSED = "lapsed"
    """Its permit was given back, or never reached the caller, before the tool was started."""
    SETTLED_DONE = "settled_done"
    """A person established that the effect happened."""
    SETTLED_NOT_DONE = "settled_not_done"
    TIMED_OUT = "timed_out"
    """A wait reached its deadline."""


TABLE: Final[dict[State, dict[Verdict | Step, State]]] = {
    State.PROPOSED: {
        Verdict.ALLOW: State.PERMITTED,
        Verdict.MODIFY: State.PERMITTED,
        Verdict.DENY: State.REFUSED,
        Verdict.STEP_UP: State.SUSPENDED,
        Verdict.DEFER: State.SUSPENDED,
    },
    State.SUSPENDED: {
        Verdict.ALLOW: State.PERMITTED,
        Verdict.MODIFY: State.PERMITTED,
        Verdict.DENY: State.REFUSED,
        Verdict.STEP_UP: State.SUSPENDED,
        Verdict.DEFER: State.SUSPENDED,
        Step.TIMED_OUT: State.REFUSED,  # R4.a, R4.b: a wait that ends without an answer is DENY
    },
    State.PERMITTED: {
        Step.REDEEMED: State.EXECUTING,
        Step.LAPSED: State.FAILED,
    },
    State.EXECUTING: {
        Step.RETURNED: State.SUCCEEDED,
        Step.RAISED: State.FAILED,
        Step.INTERRUPTED: State.OPEN,
    },
    State.OPEN: {
        Step.SETTLED_DONE: State.SUCCEEDED,
        Step.SETTLED_NOT_DONE: State.FAILED,
    },
    State.REFUSED: {},
    State.SUCCEEDED: {},
    State.FAILED: {},
}


def advance(state: State, step: Verdict | Step, table: dict[State, dict[Verdict | Step, State]] = TABLE) -> State:
    """Return the next state; raises `IntegrityError` where the table has no such row."""
    try:
        return table[state][step]
    except KeyError:
        raise IntegrityError(f"an action that is {state.value} cannot be {step.value}") from None


def reachable(start: State, table: dict[State, dict[Verdict | Step, State]] = TABLE) -> frozenset[State]:
    """Return every state that can follow `start`, itself included."""
    seen = {start}
    frontier = [start]
    while frontier:
        for following in table[frontier.pop()].values():
            if following not in seen:
                seen.add(following)
                frontier.append(following)
    return frozenset(seen)


def diagram() -> str:
    """Return the table as a Mermaid state diagram; docs/explanation/the-loop.md holds its output."""
    lines = ["stateDiagram-v2", "    [*] --> proposed"]
    for state, row in TABLE.items():
        ways: dict[State, list[str]] = {}
        for step, following in row.items():
            ways.setdefault(following, []).append(step.value)
        lines += [f"    {state.value} --> {to.value}: {', '.join(steps)}" for to, steps in ways.items()]
        if not row:
            lines.append(f"    {state.value} --> [*]")
    return "\n".join(lines)
