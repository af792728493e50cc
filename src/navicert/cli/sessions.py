"""`navicert sessions`: every session whose context is kept, newest last."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import columns, inert

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.model.context import SessionContext


@click.command()
@common
def verb(home: str | None, as_json: bool) -> int:
    """List all sessions: for whom, how much was tried and refused, what was read, what was asked."""
    from navicert.audit import open_archive

    place, _ = home_of(home)
    found: list[dict[str, Any]] = []
    if place.store.exists():
        with open_archive(place) as archive:
            found = [summary(context, followed(archive, context)) for context in list(archive.sessions())]
    if as_json:
        emit({"format": "navicert/sessions/1", "sessions": found})
        return FINE
    out = Terminal()
    if not found:
        out.say("no session yet: an application opens one with `guard.session(...)`")
        return FINE
    heads = f"{'session':<31}{'opened, UTC':<14}{'state':<7}{'tried':>6}{'refused':>9}  {'for':<21}"
    out.say(out.style(heads, "dim"))
    for item in found:
        who = f"{item['human']} · {item['agent']}"
        out.say(
            f"{pad(item['session'], 31)}{item['opened'][5:16].replace('T', ' '):<14}{item['state']:<7}"
            f"{item['actions']:>6}{item['refused']:>9}  {cut(who, 31)}"
        )
        labels = "  carries " + carried(item)
        out.say(
            out.style(f"  {cut('“' + item['request'] + '”', max(out.width - 4 - columns(labels), 12))}{labels}", "dim")
        )
    return FINE


def followed(archive: Archive, context: SessionContext) -> str | None:
    """Return the labels from earlier sessions alone, in words, that were in force when the session was last judged."""
    from navicert.cli.view import earlier, view

    last = deque(archive.log(session=context.session_id, kind="decision"), maxlen=1)
    return earlier(view(archive, last[0]), context.labels) or None if last else None


def carried(item: dict[str, Any]) -> str:
    """Return in words what a session carries: `PUBLIC, and CONFIDENTIAL from earlier sessions`."""
    return inert(item["labels"] + (f", and {item['earlier']} from earlier sessions" if item["earlier"] else ""))


def summary(context: SessionContext, earlier: str | None) -> dict[str, Any]:
    """Return one session in short, as `--json` shows it. earlier: from `followed`."""
    from navicert.core.times import rfc3339

    tried = sum(context.verdicts.values())
    permitted = context.verdicts.get("ALLOW", 0) + context.verdicts.get("MODIFY", 0)
    return {
        "session": context.session_id,
        "parent": context.parent,
        "state": "open" if context.ended_at is None else "ended",
        "opened": rfc3339(context.started_at),
        "last": rfc3339(context.last_at),
        "human": context.claims.human,
        "agent": context.claims.agent,
        "request": context.request,
        "intent": context.claims.intent,
        "actions": tried,
        "refused": tried - permitted,
        "verdicts": context.verdicts,
        "labels": context.labels.words(),
        "earlier": earlier,
        "level": context.labels.level.name,
        "categories": ["*"] if context.labels.everything else list(context.labels.categories),
        "risk": context.walked.risk,
        "open": [item.action_id for item in context.open],
    }
