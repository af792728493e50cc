"""What one session cannot hold: rows that sessions share, each under its own version (DESIGN.md section 3)."""

from __future__ import annotations

import msgspec

from navicert.model.authority import Standings
from navicert.model.context import SessionContext
from navicert.model.labels import NOTHING, Labels
from navicert.model.suspension import Approvers, Over, Wait
from navicert.model.value import Value


class Sticky(Value, frozen=True, kw_only=True):
    """Labels that follow a human and an agent into new sessions, until `until` (microseconds)."""

    labels: Labels = NOTHING
    until: int = 0


class Stored(Value, frozen=True, kw_only=True):
    """Labels of a stored resource: what it was written under. Never shrinks."""

    labels: Labels = NOTHING


class TallyRing(Value, frozen=True, kw_only=True):
    """Permitted actions of one principal and operation, in buckets: start of bucket → (count, amount in millionths)."""

    minutes: dict[int, tuple[int, int]] = {}
    hours: dict[int, tuple[int, int]] = {}
    days: dict[int, tuple[int, int]] = {}


class InFlight(Value, frozen=True, kw_only=True):
    """An action that changes something and whose outcome is not recorded; empty `action_id` once it is settled."""

    action_id: str = ""
    session_id: str = ""


class InForce(Value, frozen=True, kw_only=True):
    """The policy set in force."""

    version: int
    hash: str


class Seen(Value, frozen=True, kw_only=True):
    """What one result held, as it was released; written once, read by the engine. The context holds its digest."""

    held: msgspec.Raw


class Launch(Value, frozen=True, kw_only=True):
    """A process that was launched may join this session: `left` more times, until `until` (microseconds)."""

    session_id: str
    until: int
    left: int


class Launches(Value, frozen=True, kw_only=True):
    """The launch tokens that may still be used, by their SHA-256."""

    open: dict[str, Launch] = {}


class Erasing(Value, frozen=True, kw_only=True):
    """What one person has signed about a data subject; the second signs the same bytes (`verification.erasures`).

    reason: disclosure of why. at: when. sessions: what is still to be purged, once the erasure stands in the log.
    """

    statement: bytes
    reason: str
    by: str
    key_id: str
    signature: str
    at: int
    sessions: tuple[str, ...] | None = None


ROWS: dict[str, type[Value]] = {
    "session": SessionContext,
    "sticky": Sticky,
    "stored": Stored,
    "tally": TallyRing,
    "flight": InFlight,
    "policy": InForce,
    "authority": Standings,
    "wait": Wait,
    "over": Over,
    "approvers": Approvers,
    "launches": Launches,
    "seen": Seen,
    "erasure": Erasing,
}
"""Row keys are `kind/rest`; the kind tells the type of the value."""
