"""`navicert sweep`: look once at everything that waits, as the resident owner does all the time."""

from __future__ import annotations

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, people_home
from navicert.cli.terminal import Terminal, emit


@click.command()
@common
def verb(home: str | None, as_json: bool) -> int:
    """End what is over its time, find out facts that are due, and tell whoever is to be told; nothing is released."""
    from navicert.people import control

    place = people_home(home)
    with control(place) as engine:
        left = engine.sweep()
    if as_json:
        emit({"format": "navicert/sweep/1", "waiting": left})
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} {left} {'action waits' if left == 1 else 'actions wait'}; `navicert inbox`")
    return FINE
