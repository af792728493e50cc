"""Shared rows: which of them an action concerns, and what they say about it (SharedState, R2, T3).

* Row keys hold no name of a person, resource or destination in the clear: those are veiled with a keyed hash.
* Only rows that the policy or the profile makes use of are read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any, Final

from navicert.core.canonical import decode_parameters, percent
from navicert.core.compile import Candidates
from navicert.core.fields import amount_micros, role_values
from navicert.core.tally import add, within
from navicert.core.text import normal_form
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.authority import LADDER, Authority, Standing, Standings
from navicert.model.evaluation import SharedFacts
from navicert.model.identity import ActionIdentity
from navicert.model.labels import NOTHING, Labels
from navicert.model.shared import Sticky, Stored, TallyRing
from navicert.model.value import Value


class Concerns(Value, frozen=True, kw_only=True):
    """The keys of the shared rows that one action concerns. tallies: (per, key), several keys for destinations.

    subjects: whose authority it needs, in the row of all standings.
    """

    sticky: str
    subjects: tuple[str, ...] = ()
    flight: str | None = None
    stored: tuple[str, ...] = ()
    tallies: tuple[tuple[str, str], ...] = ()
    amount: int | None = None

    def keys(self) -> tuple[str, ...]:
        """Return every key."""
        flight = (self.flight,) if self.flight else ()
        return (self.sticky, AUTHORITY, *flight, *self.stored, *(key for _, key in self.tallies))


def session_key(session_id: str) -> str:
    """Return the row of a session's context."""
    return f"session/{session_id}"


def seen_key(row: str) -> str:
    """Return the row of what a result held; row: as a `Reference` names it."""
    return f"seen/{row}"


def flight_key(human: str, digest: str) -> str:
    """Return the row that guards against doing the same thing twice; both arguments are keyed pseudonyms."""
    return f"flight/{human}/{digest}"


def sticky_key(human: str, agent: str) -> str:
    """Return the row of the labels that follow a human (a pseudonym) and an agent."""
    return f"sticky/{human}/{percent(agent)}"


AUTHORITY: Final = "authority/all"
APPROVERS: Final = "approvers/all"
LAUNCHES: Final = "launches/all"


def wait_key(handle: str) -> str:
    """Return the row of an action that waits."""
    return f"wait/{handle}"


def over_key(handle: str) -> str:
    """Return the row of what became of a wait."""
    return f"over/{handle}"


def subjects(action: Action, identity: ActionIdentity, human: str) -> tuple[str, ...]:
    """Return the subjects whose authority an action needs; human: the pseudonym."""
    tool = action.tool.split(".")
    families = [f"tool/{'.'.join(tool[: count + 1])}" for count in range(len(tool))]
    return (
        "all", f"human/{human}", f"agent/{percent(identity.agent)}", f"session/{identity.session}", *families,
        f"tool/{action.name}", *(f"agent/{percent(link.delegator)}" for link in identity.delegation),
    )  # fmt: skip


def authority_of(row: Standings | None, concerned: tuple[str, ...]) -> Authority:
    """Return the strictest state of the subjects; `full` where none of them stands in the row."""
    if row is None or not row.subjects:
        return Authority.FULL
    states = [row.subjects[name].state for name in concerned if name in row.subjects]
    return max(states, key=LADDER.index, default=Authority.FULL)


def restanding(row: Standings | None, subject: str, standing: Standing) -> Standings:
    """Return the row with another state of one subject, and a new epoch."""
    held = row or Standings()
    others = {name: item for name, item in held.subjects.items() if name != subject}
    if standing.state is not Authority.FULL:
        others[subject] = standing
    return Standings(epoch=held.epoch + 1, subjects=others)


def concerns(
    action: Action,
    profile: ToolProfile | None,
    identity: ActionIdentity,
    candidates: Candidates,
    veil: Callable[[str], str],
) -> Concerns:
    """Return the shared rows that one action concerns."""
    human = veil(identity.human)
    sticky = sticky_key(human, identity.agent)
    needed = subjects(action, identity, human)
    if profile is None:
        return Concerns(sticky=sticky, subjects=needed)
    flight = None if profile.effect is Effect.READ else flight_key(human, veil(action.digest))
    wanted = {tally.per for tally in candidates.tallies}
    if not (profile.resource or wanted):
        return Concerns(sticky=sticky, subjects=needed, flight=flight)
    parameters = decode_parameters(action.parameters)
    stored = tuple(
        f"stored/{veil(f'{action.tool}|{resource_name(value)}')}"
        for value in dict.fromkeys(map(str, role_values(profile, "resource", parameters)))
    )
    tallies: list[tuple[str, str]] = []
    if "human" in wanted:
        tallies.append(("human", f"tally/human/{human}/{action.name}"))
    if "agent" in wanted:
        tallies.append(("agent", f"tally/agent/{percent(identity.agent)}/{action.name}"))
    if "destination" in wanted:
        places = dict.fromkeys(normal_form(str(value)) for value in role_values(profile, "destination", parameters))
        tallies += [("destination", f"tally/destination/{veil(place)}/{action.name}") for place in places]
    return Concerns(
        sticky=sticky,
        subjects=needed,
        flight=flight,
        stored=stored,
        tallies=tuple(tallies),
        amount=amount_micros(profile, parameters) if wanted else None,
    )


def resource_name(text: str) -> str:
    """Return one name for the spellings of a stored resource: `./a//b` and `a/b` are the same file."""
    return posixpath.normpath(text) if "/" in text or text.startswith(".") else text


def shared_facts(concerned: Concerns, rows: Mapping[str, Any], candidates: Candidates, now: int) -> SharedFacts:
    """Return what the shared rows say about one action; `rows` maps keys to values, None where there is no row."""
    sticky: Sticky | None = rows[concerned.sticky]
    stored = NOTHING
    for key in concerned.stored:
        row: Stored | None = rows[key]
        stored = stored.join(row.labels if row else NOTHING)
    tallies: dict[str, int] = {}
    for tally in candidates.tallies:
        rings = [rows[key] or TallyRing() for per, key in concerned.tallies if per == tally.per]
        if rings:
            index = 0 if tally.kind == "rate" else 1
            tallies[f"{tally.kind}|{tally.per}|{tally.window_s}"] = max(
                within(ring, tally.window_s, now)[index] for ring in rings
            )
    return SharedFacts(
        sticky=sticky.labels if sticky and sticky.until > now else NOTHING,
        stored=stored,
        tallies=tallies,
        authority=authority_of(rows[AUTHORITY], concerned.subjects),
    )


def tallied(concerned: Concerns, rows: Mapping[str, Any], now: int) -> dict[str, TallyRing]:
    """Return the tally rows with one more permitted action in them."""
    return {key: add(rows[key] or TallyRing(), now, concerned.amount or 0) for _, key in concerned.tallies}


def stuck(row: Sticky | None, labels: Labels, now: int, sticky_s: int) -> Sticky | None:
    """Return the sticky row with these labels in it, or None where it holds them already for long enough."""
    until = now + sticky_s * 1_000_000
    held = row if row is not None and row.until > now else Sticky()
    if held.labels.covers(labels) and held.until - now > sticky_s * 900_000:
        return None
    if labels == NOTHING and held.labels == NOTHING:
        return None
    return Sticky(labels=held.labels.join(labels), until=until)
