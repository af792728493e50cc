"""`navicert inbox`: what waits, what is riskiest first, then what ends first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, people_home
from navicert.cli.terminal import Terminal, cut, emit, pad

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import Home
    from navicert.people import Seen

_WIDE: Final = 84


class _Said(msgspec.Struct, frozen=True):
    answer: str
    at: str
    signature: str


class _Answered(msgspec.Struct, frozen=True):
    approval: tuple[_Said, ...] | None = None


@click.command()
@click.option("--as", "name", metavar="NAME", help="Only what this person may answer now.")
@click.option("--link", is_flag=True, help="Print a one-time link to the inbox in a browser, and nothing else.")
@common
def verb(name: str | None, link: bool, home: str | None, as_json: bool) -> int:
    """List what waits for a person or a fact: risk, time left, what it would run with, who may answer, who has.

    The last line says how many answers people gave today (UTC), and how many of them approved.
    """
    from navicert.adapters.system import SystemClock
    from navicert.asking.inbox import inbox
    from navicert.core.times import rfc3339
    from navicert.people import look

    now = SystemClock().now()
    place = people_home(home)
    if link:
        return _link(place, as_json=as_json)
    with look(place) as seen:
        waiting = inbox(seen, now, name)
        load = answered_on(seen, rfc3339(now)[:10])
    if as_json:
        emit({"format": "navicert/inbox/1", "waiting": waiting, "today": load})
        return FINE
    out = Terminal()
    if not waiting:
        out.say(f"{out.mark('ok')} nothing waits" + (f" for {cut(name, 60)}" if name else ""))
    for index, item in enumerate(waiting):
        if index:
            out.say()
        _show(out, item, now)
    out.say()
    share = f", {load['approved'] * 100 // load['answered']} % of them approved" if load["answered"] else ""
    out.say(out.style(f"today: {load['answered']} answered{share}", "dim"))
    return FINE


def _link(place: Home, *, as_json: bool) -> int:
    from navicert.people import page_link

    found = page_link(place)
    if found is None:
        raise Misused("the owner serves no page; start it with `navicert up --page 127.0.0.1:7438`")
    if as_json:
        emit({"format": "navicert/link/1", "link": found})
    else:
        Terminal().say(found)
    return FINE


def answered_on(seen: Seen, day: str) -> dict[str, int]:
    """Return how many answers people gave on a day (UTC), and how many approved, from receipts and waits."""
    from navicert.core.seal import b64
    from navicert.core.times import rfc3339

    said = {item.signature: item.answer for item in _receipted(seen.archive) if item.at[:10] == day}
    for wait in seen.waits:
        for vote in wait.votes:
            statement = msgspec.json.decode(vote.statement, type=_Statement)
            if rfc3339(statement.at)[:10] == day:
                said[b64(vote.signature)] = statement.answer
    return {"answered": len(said), "approved": sum(answer == "approve" for answer in said.values())}


class _Statement(msgspec.Struct, frozen=True):
    answer: str
    at: int


def _receipted(archive: Archive | None) -> list[_Said]:
    rows = archive.log(kind="resolution") if archive is not None else ()
    return [item for row in rows for item in msgspec.json.decode(row.data, type=_Answered).approval or ()]


def _show(out: Terminal, item: dict[str, Any], now: int) -> None:
    from navicert.asking.words import count, left
    from navicert.cli.page import risk

    head = f"{out.verdict(item['verdict'], 11)}{out.style(pad(item['name'], 22 if out.width >= _WIDE else 14), 'bold')}"
    out.say(f"{head}  {risk(out, item['risk'], 16)}{left(item['deadline'], now)}")
    marked = out.style("escalated", "yellow") + "   " if item["escalated"] else ""
    out.say(f"           {marked}{item['handle']}")
    who = ", ".join(item["asked"]) or "nobody: a fact decides"
    words = {"approve": "approved", "deny": "refused", "state": "stated a fact"}
    said = ", ".join(f"{answer['approver']} {words[answer['answer']]}" for answer in item["answers"])
    lines = [("with", item["with"] or "no parameters"), ("for", f"{item['human']}, through {item['agent']}")]
    lines += [("may answer", who), ("so far", count(item) + (f": {said}" if said else "")), ("because", item["reason"])]
    for name, text in lines:
        out.say("           " + out.style(f"{name:<11}", "dim") + cut(text, out.width - 22))
