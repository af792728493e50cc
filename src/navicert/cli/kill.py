"""`navicert kill SUBJECT`: take authority away, at once, no question asked; a supervisor gives it back (R6.c)."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, people_home
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert
from navicert.model.errors import NavicertError

if TYPE_CHECKING:
    from navicert.assemble import Home

STATES = ("revoked", "suspended", "supervised", "narrowed")
LEVELS = {"revoked": "error", "suspended": "error", "supervised": "warning", "narrowed": "warning"}
MEANS = {
    "revoked": "nothing runs, and what waits is refused",
    "suspended": "nothing runs; what waits may go on waiting",
    "supervised": "everything needs a supervisor's approval",
    "narrowed": "reads pass as policy says; everything else needs a supervisor's approval",
    "full": "policy alone decides",
}


@click.command()
@click.argument("subject")
@click.option(
    "--state", type=click.Choice(STATES), default="revoked", show_default=True, help="How much authority is left."
)
@click.option("--reason", metavar="TEXT", required=True, help="Why; it stands in the record.")
@click.option("--by", metavar="NAME", help="Who you are (default: the user that runs this).")
@common
def verb(subject: str, state: str, reason: str, by: str | None, home: str | None, as_json: bool) -> int:
    """Take authority away from SUBJECT: all, human/NAME, agent/NAME, session/ID or tool/NAME.

    It holds for everything that is judged or started from now on, in every process. No question is asked.
    """
    from navicert.model.authority import LADDER, Authority
    from navicert.people import control

    check_subject(subject)
    who = (by or getpass.getuser()).strip()
    if not who or not reason.strip():
        raise Misused("--by and --reason must say something: the record is all that the next reader has")
    place = people_home(home)
    wanted = Authority(state)
    with control(place) as engine:
        held = engine.standings().subjects.get(engine.subject(subject))
        if held is not None and LADDER.index(wanted) < LADDER.index(held.state):
            raise Misused(f"`{subject}` is {held.state.value} already; to widen it: `navicert restore {subject}`")
        engine.stop(subject, wanted, by=who, reason=reason.strip())
        waiting = len(engine.waits())
    if as_json:
        emit(
            {
                "format": "navicert/authority-change/1",
                "subject": subject,
                "state": state,
                "by": who,
                "reason": reason.strip(),
            }
        )
        return FINE
    out = Terminal()
    if not _known(place, subject):
        out.say(f"{out.mark('warning', 'never seen')}: no session here names {inert(subject)}; is it spelt right?")
    out.say(f"{out.mark(LEVELS[state], state)}: {inert(subject)}; {MEANS[state]}")
    if waiting:
        out.say(f"  {waiting} {'action waits' if waiting == 1 else 'actions wait'}; `navicert sweep` looks at them now")
    return FINE


def _known(place: Home, subject: str) -> bool:
    """Tell whether a session of this store names the human or agent; True where that cannot be seen from here."""
    from navicert.audit import open_archive

    kind, _, name = subject.partition("/")
    if kind not in {"human", "agent"}:
        return True
    try:
        with open_archive(place) as archive:
            claims = [context.claims for context in archive.sessions()]
            return any(each.token is not None or getattr(each, kind) == name for each in claims)
    except (NavicertError, OSError):
        return True


def check_subject(subject: str) -> None:
    """Raise `Misused` unless it is a subject's name."""
    kind, _, name = subject.partition("/")
    if subject != "all" and (kind not in {"human", "agent", "session", "tool"} or not name):
        raise Misused(f"`{subject}` is no subject; write all, human/NAME, agent/NAME, session/ID or tool/NAME")
