"""`navicert settle ID`: a person records whether an open action happened; the same action may then be tried again."""

from __future__ import annotations

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, emit


@click.command()
@click.argument("action_id", metavar="ID")
@click.option("--ran/--not-ran", "ran", default=None, help="What you found out: it happened, or it did not.")
@click.option("--by", metavar="NAME", required=True, help="Who found it out; the receipt names you.")
@click.option("--reason", metavar="TEXT", required=True, help="How you know; disclosed with the receipt.")
@common
def verb(action_id: str, ran: bool | None, by: str, reason: str, home: str | None, as_json: bool) -> int:
    """Record whether an open action happened.

    An action is open when it was permitted and its outcome was never reported: a crash, a time-out, a cancellation.
    Look at the target system first; the receipt of this is signed, and stays.
    """
    if ran is None:
        raise Misused("say what you found out: --ran or --not-ran")
    if not by.strip() or not reason.strip():
        raise Misused("--by and --reason must say something: the record is all that the next reader has")
    from navicert import Guard
    from navicert.assemble import open_home
    from navicert.audit import open_archive

    place, _ = home_of(home)
    with open_archive(place) as archive:
        open_now = {receipt.action.id for receipt in archive.open_actions() if receipt.action}
        rows = [row for row in archive.find(action_id) if row.action]
        found = rows[0].action if rows else None
    if found is None or found not in open_now:
        raise Misused(f"`{action_id}` is not an open action; `navicert status` lists them")
    with Guard(open_home(place.folder)) as guard:
        guard.settle(found, happened=ran, by=by.strip(), reason=reason.strip())
    if as_json:
        emit(
            {"format": "navicert/settle/1", "action_id": found, "ran": ran, "by": by.strip(), "reason": reason.strip()}
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} recorded: {found} {'ran' if ran else 'did not run'}; `navicert show {found}`")
    return FINE
