"""`navicert inbox`: what waits, what is riskiest first, then what ends first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from navicert.cli.faults import FINE
from navicert.cli.home import common, people_home
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import brief

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.model.action import ToolProfile
    from navicert.model.suspension import Wait
    from navicert.people import Seen

_WIDE: Final = 84
_SHOWN: Final = 3
RISKS: Final = ("critical", "high", "medium", "low")


class _Said(msgspec.Struct, frozen=True):
    answer: str
    at: str
    signature: str


class _Answered(msgspec.Struct, frozen=True):
    approval: tuple[_Said, ...] | None = None


@click.command()
@click.option("--as", "name", metavar="NAME", help="Only what this person may answer now.")
@common
def verb(name: str | None, home: str | None, as_json: bool) -> int:
    """List what waits for a person or a fact: risk, time left, what it would run with, who may answer, who has.

    The last line says how many answers people gave today (UTC), and how many of them approved.
    """
    from navicert.adapters.system import SystemClock
    from navicert.core.times import rfc3339
    from navicert.people import look

    now = SystemClock().now()
    place = people_home(home)
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


def inbox(seen: Seen, now: int, name: str | None = None) -> list[dict[str, Any]]:
    """Return what waits, the riskiest first, then what ends first; name: only what this person may answer."""
    found = [row(wait, seen, now) for wait in seen.waits if wait.question.deadline > now]
    found = [item for item in found if name is None or name in item["asked"]]
    return sorted(found, key=lambda item: (_place(item["risk"]), item["deadline"]))


def _place(risk: str) -> int:
    return RISKS.index(risk) if risk in RISKS else 0


def row(wait: Wait, seen: Seen, now: int) -> dict[str, Any]:
    """Return one wait in short, as `--json` shows it."""
    from navicert.cli.question import grounds, source
    from navicert.core.answers import hear
    from navicert.core.times import rfc3339
    from navicert.people import asked

    question = wait.question
    heard = hear(question, wait.votes, seen.approvers, now).heard
    people = [question.human] if question.facts and question.verdict.value == "DEFER" else list(asked(question, now))
    return {
        "handle": wait.handle,
        "action_id": wait.action.action_id,
        "name": wait.action.name,
        "with": _leading(wait, grounds(seen.archive, wait).profile),
        "verdict": question.verdict.value,
        "digest": question.digest,
        "risk": wait.risk,
        "source": source(wait),
        "escalated": wait.escalated or wait.reason_code == "escalated",
        "human": question.human,
        "agent": wait.identity.agent,
        "asked": people,
        "answers": [{"approver": item.statement.approver, "answer": item.statement.answer.value} for item in heard],
        "approvals": question.approvals,
        "asks": dict(question.facts),
        "deadline": rfc3339(question.deadline),
        "reason": wait.reason,
    }


def _leading(wait: Wait, profile: ToolProfile | None) -> str:
    """Return the first parameters that would run, as text that is not yet inert: of weighty roles first."""
    from navicert.cli.question import leaves, runs

    order = {"amount": 0, "destination": 1, "resource": 2, "": 3, "content": 4}
    found = sorted(leaves(runs(wait), profile), key=lambda leaf: order[leaf.role])
    more = ", …" if len(found) > _SHOWN else ""
    return ", ".join(f"{brief(leaf.path, 48)}: {brief(leaf.text, 48)}" for leaf in found[:_SHOWN]) + more


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
    from navicert.cli.page import count, left, risk

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
