"""`navicert authority`: whose authority is reduced, since when, by whom and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, people_home
from navicert.cli.kill import LEVELS, MEANS
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import brief, inert

if TYPE_CHECKING:
    from navicert.assemble import Home
    from navicert.people import Seen


@click.command()
@common
def verb(home: str | None, as_json: bool) -> int:
    """List every subject whose authority is not full."""
    from navicert.people import look

    place = people_home(home)
    with look(place, standings=True) as seen:
        found, epoch = standing_list(place, seen), seen.standings.epoch
    if as_json:
        emit({"format": "navicert/authority/1", "epoch": epoch, "subjects": found})
        return FINE
    show_standings(Terminal(), found)
    return FINE


def standing_list(home: Home, seen: Seen) -> list[dict[str, Any]]:
    """Return the standings that are not full, the strictest first, by the names that people use."""
    from navicert.core.times import rfc3339
    from navicert.model.authority import LADDER
    from navicert.people import subject_names

    names = subject_names(home, seen)
    subjects = sorted(seen.standings.subjects.items(), key=lambda item: (-LADDER.index(item[1].state), item[0]))
    return [
        {
            "subject": names.get(subject, subject),
            "id": subject,
            "state": standing.state.value,
            "at": rfc3339(standing.at),
            "by": standing.by,
            "reason": standing.reason,
        }
        for subject, standing in subjects
    ]


def show_standings(out: Terminal, found: list[dict[str, Any]]) -> None:
    """Write the standings for a person."""
    if not found:
        out.say(f"{out.mark('ok')} nobody's authority is reduced: policy alone decides")
        return
    for item in found:
        out.say(f"{out.mark(LEVELS[item['state']], item['state'], 13)}{out.style(inert(item['subject']), 'bold')}")
        out.fields(
            [
                ("", MEANS[item["state"]]),
                ("since", f"{item['at'][:19].replace('T', ' ')} UTC"),
                ("by", brief(item["by"], 120)),
                ("because", brief(item["reason"], 480)),
            ],
            11,
        )
