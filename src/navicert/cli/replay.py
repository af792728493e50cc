"""`navicert replay [POLICY]`: recorded sessions through a policy set. Nothing is executed.

Without POLICY each decision is judged again by the policy that made it, and one that comes out otherwise is a finding
of integrity (exit code 5). With POLICY, decisions that change make the exit code 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.diff import Replay, moment, side
from navicert.cli.faults import CHANGED, FINE, UNVERIFIED
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, cut, emit

if TYPE_CHECKING:
    from navicert.core.compare import Change

_Sessions = dict[str, list[dict[str, Any]]]


@click.command()
@click.argument("policy", required=False)
@click.option("--since", metavar="DURATION", help="Show only decisions that are younger: 30m, 12h, 7d, 4w.")
@common
def verb(policy: str | None, since: str | None, home: str | None, as_json: bool) -> int:
    """Judge every recorded decision again: under POLICY, session by session, or each under the policy that made it.

    POLICY is a file, or the hash (at least 8 characters) of a set that was in force here. Nothing is executed. A record
    that does not verify is refused, with exit code 5.
    """
    from navicert.core.compare import report

    place, _ = home_of(home)
    earliest = moment(since)
    sessions: _Sessions = {}
    with Replay(place) as replay:
        new = side(policy, replay) if policy is not None else None
        found = report(_noted(replay.changes(None, new.policy if new else None), earliest, sessions), since=earliest)
        document = {"format": "navicert/replay/1", "home": str(place.folder), "since": since}
        document |= {"policy": new.document() if new else None} | replay.document(found) | {"by_session": sessions}
        del document["groups"]
    if as_json:
        emit(document)
    else:
        _show(Terminal(), document)
    if document["not_reproduced"] and new is None:
        return UNVERIFIED
    return CHANGED if found.changed else FINE


def _noted(changes: Iterable[Change], since: int, sessions: _Sessions) -> Iterator[Change]:
    """Pass every decision on, and keep those that change, by session."""
    from navicert.cli.comparison import change_document
    from navicert.core.compare import What

    for change in changes:
        if change.what is not What.SAME and change.record.given.now >= since:
            sessions.setdefault(change.record.given.context.session_id, []).append(change_document(change))
        yield change


def _show(out: Terminal, document: dict[str, Any]) -> None:
    from navicert.cli.comparison import counted, head, heading, policy_words, show_change, tail

    new = document["policy"]
    out.title("navicert replay", "nothing was executed")
    head(out, document, [("policy", policy_words(new) if new else "each decision's own")])
    for session, items in document["by_session"].items():
        out.say()
        heading(out, out.style(cut(f"session {session}", out.width - 12), "bold"), counted(len(items), "change"))
        for item in items:
            show_change(out, item, verdicts=True)
    if new:
        tail(out, document)
        return
    out.say()
    unlike = document["not_reproduced"]
    for item in unlike:
        rules = ", ".join(item["rules"]) or item["reason_code"]
        text = f"{item['verdict']} by {rules} is not what policy {item['policy'][:8]} gives"
        text = f"#{item['seq']}  {item['action']}: {text}"
        out.say(f"  {out.mark('error')} {cut(text, out.width - 4)}")
    if not unlike:
        what = f"{counted(document['decisions'], 'decision')}: verdict, rules and parameters are what the policy gives"
        out.say(f"  {out.mark('ok', 'reproduced')}, {what}")
