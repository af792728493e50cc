"""Authority: how much of what policy permits an agent may still do; the kill switch (R6.c).

* A ladder: each state permits at most what the one before it does. Rules and people go down; only a person goes up.
* A subject is `all`, or one human (a pseudonym), agent, session, or tool: `agent/support-bot`, `tool/email.send`.
* All that is not `full` stands in one row, so that one look tells, and its version is the revocation epoch.
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.value import Value


class Authority(StrEnum):
    """From full to none, in this order."""

    FULL = "full"
    NARROWED = "narrowed"
    """Reads pass as policy says; everything else needs a supervisor's approval."""
    SUPERVISED = "supervised"
    """Everything needs a supervisor's approval, reads too."""
    SUSPENDED = "suspended"
    """Nothing runs; what waits may go on waiting."""
    REVOKED = "revoked"
    """Nothing runs, and what waits is refused."""


LADDER = tuple(Authority)


class Standing(Value, frozen=True, kw_only=True):
    """The state of one subject: since when (microseconds, UTC), set by whom, and why."""

    state: Authority
    at: int
    by: str
    reason: str = ""


class Standings(Value, frozen=True, kw_only=True):
    """Every subject whose authority is not full. epoch: how often anything here has changed."""

    epoch: int = 0
    subjects: dict[str, Standing] = {}
