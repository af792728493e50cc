"""Shared rows: which of them an action concerns, and what they say about it (SharedState, R2, T3).

* Row keys hold no name of a person, resource or destination in the clear: those are veiled with a keyed hash.
* Only rows that the policy or the profile makes use of are read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from navicert.core.canonical import decode_parameters, percent
from navicert.core.compile import Candidates
from navicert.core.fields import amount_micros, role_values
from navicert.core.tally import add, within
from navicert.core.text import normal_form
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.evaluation import SharedFacts
from navicert.model.identity import ActionIdentity
from navicert.model.labels import NOTHING, Labels
from navicert.model.shared import Sticky, Stored, TallyRing
from navicert.model.value import Value


class Concerns(Value, frozen=True, kw_only=True):
    """The keys of the shared rows that one action concerns. tallies: (per, key), several keys for destinations."""

    sticky: str
    flight: str | None = None
    stored: tuple[str, ...] = ()
    tallies: tuple[tuple[str, str], ...] = ()
    amount: int | None = None

    def keys(self) -> tuple[str, ...]:
        """Return every key."""
        flight = (self.flight,) if self.flight else ()
        return (self.sticky, *flight, *self.stored, *(key for _, key in self.tallies))


def session_key(session_id: str) -> str:
    """Return the row of a session's context."""
    return f"session/{session_id}"


def flight_key(human: str, digest: str) -> str:
    """Return the row that guards against doing the same thing twice; both arguments are keyed pseudonyms."""
    return f"flight/{human}/{digest}"


def sticky_key(human: str, agent: str) -> str:
    """Return the row of the labels that follow a human (a pseudonym) and an agent."""
    return f"sticky/{human}/{percent(agent)}"


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
    if profile is None:
        return Concerns(sticky=sticky)
    flight = None if profile.effect is Effect.READ else flight_key(human, veil(action.digest))
    wanted = {tally.per for tally in candidates.tallies}
    if not (profile.resource or wanted):
        return Concerns(sticky=sticky, flight=flight)
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
        sticky=sticky.labels if sticky and sticky.until > now else NOTHING, stored=stored, tallies=tallies
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
