"""`navicert tail`: the newest receipts, one line each; with `--follow`, those to come as well."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from time import sleep
from typing import TYPE_CHECKING, Final

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, emit, pad
from navicert.core.inert import columns, inert

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.cli.view import View

EVERY_S = 0.3
_NARROW = 12
_WIDTHS: Final = (17, 11)
"""The columns of labels and agent, at most."""


@click.command()
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(min=0), help="How many, at most.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new receipts, until interrupted.")
@common
def verb(count: int, follow: bool, home: str | None, as_json: bool) -> int:
    """Show the newest receipts, oldest first: decisions with what was to be done, and what came of them."""
    from navicert.audit import open_archive
    from navicert.cli.view import view

    place, _ = home_of(home)
    out = Terminal(wide=True)
    if not place.store.exists() and not follow:
        if not as_json:
            out.say("nothing was decided yet: the first guard that is opened makes the store")
        return FINE
    while not place.store.exists():
        sleep(EVERY_S)
    with open_archive(place) as archive:
        after = max(archive.head()[0] - count, 0)
        first = [view(archive, row) for row in archive.log(after=after)]
        after = first[-1]["seq"] if first else after
        widths = _WIDTHS if follow else _widths(first)  # what is to come may need them all
        if not as_json:
            heads = _line(out, widths, "seq", "UTC", pad("verdict", 11), "action", "with", "labels", "agent")
            out.say(out.style(heads, "dim"))
        while True:
            for item in chain(first, _views(archive, after)):
                after = item["seq"]
                if as_json:
                    emit({"format": "navicert/receipt/1", **item}, lines=True)
                else:
                    out.say(describe(out, item, widths))
            first = []
            if not follow:
                return FINE
            sleep(EVERY_S)


def _views(archive: Archive, after: int) -> Iterator[View]:
    from navicert.cli.view import view

    return (view(archive, row) for row in archive.log(after=after))


def _widths(items: list[View]) -> tuple[int, int]:
    """Return the columns that labels and agents need, at most `_WIDTHS`."""
    from navicert.cli.view import labels_word

    labels = [columns(inert(labels_word(item["execution"] or item["context"]))) for item in items if item["action"]]
    agents = [columns(inert(item["requester"]["agent"])) for item in items if item["requester"]]
    return min(_WIDTHS[0], max([6, *labels])), min(_WIDTHS[1], max([5, *agents]))


def describe(out: Terminal, item: View, widths: tuple[int, int] = _WIDTHS) -> str:
    """Return one receipt as one line. widths: of labels and agent."""
    from navicert.cli.view import call_text, labels_word, release_text, resolution_text

    seq, at = str(item["seq"]), item["at"][11:19]
    action, requester = item["action"], item["requester"]
    if action is None or requester is None:
        return out.style(_line(out, widths, seq, at, pad(f"· {item['kind']}", 11), *_record(item), "", ""), "dim")
    if item["kind"] == "outcome":
        done = item["execution"]
        word = pad("└ done" if done["success"] else "└ failed", 11)
        said = (action["name"], done["error"] or release_text(done) or "gave", labels_word(done), requester["agent"])
        line = _line(out, widths, seq, at, word, *said)
        return out.style(line, "dim") if done["success"] else line.replace(word, out.style(word, "red"), 1)
    return _line(
        out,
        widths,
        seq,
        at,
        out.verdict(item["decision"]["verdict"], 11),
        action["name"],
        resolution_text(item) or call_text(item),
        labels_word(item["context"]),
        requester["agent"],
    )


def _record(item: View) -> tuple[str, str]:
    if item["policy"] is not None:
        part = item["policy"]
        return f"{part['id']} v{part['version']}", f"sha256 {part['hash'][:16]}"
    if item["key"] is not None:
        return "", str(item["key"]["key_id"])
    if item["authority"] is not None:
        part = item["authority"]
        return part["after"], f"{part['subject']} by {part['by'] or '(withheld)'}: {part['reason'] or ''}"
    if item["approver"] is not None:
        part = item["approver"]
        what = "removed" if part["until"] else "enrolled"
        return part["name"] or part["approver_id"], f"{what}, key {part['key_id']}"
    if item["erasure"] is not None:
        by = ", ".join(part["approver"] or part["approver_id"] for part in item["approval"])
        part = item["erasure"]
        return part["state"], f"by {by}: {part['reason'] or '(withheld)'}, of {part['subject']}"
    if item["canary"] is not None:
        from navicert.cli.view import CAME

        part = item["canary"]
        return CAME.get(part["result"], part["result"]), f"{part['surface']}   {part['action'] or ''}"
    return "", f"separation: {item['separation']}" if item["separation"] else ""


def _line(out: Terminal, widths: tuple[int, int], *cells: str) -> str:
    seq, at, verdict, name, call, labels, agent = cells
    room = out.width - (5 + 2 + 8 + 2 + 11 + 2 + 15 + 2 + 2 + 2 + sum(widths))
    rest = [pad(name, 15), pad(call, room), pad(labels, widths[0]), pad(agent, widths[1])]
    if not labels and not agent:  # a record of the log's own has more to say, and no labels
        rest = [pad(name, 15), pad(call, out.width - 47)]
    elif room < _NARROW:  # a narrow terminal shows who and what, and leaves labels and agent to `show`
        rest = [pad(name, 15), pad(call, max(out.width - 47, 8))]
    return f"{seq:>5}  {at:<8}  {verdict}  {'  '.join(rest)}"
