"""`navicert coverage`: what was seen mediated, and what was not; exit code 1 where a transcript tells of more (R1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import inert

if TYPE_CHECKING:
    from navicert.coverage import Behind, Coverage, Held, Seen

_SHOWN = 20


@click.command()
@click.option(
    "--transcript",
    "transcripts",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="What an agent says that it called, as JSON or JSON lines: each call must have been judged here.",
)
@click.option("--session", metavar="ID", help="Only what was decided in this session.")
@common
def verb(transcripts: tuple[Path, ...], session: str | None, home: str | None, as_json: bool) -> int:
    """State which agents, surfaces, tools and servers were seen mediated, and which never were.

    With a transcript: which of the calls that it reports were not mediated. One that was not, or a line that cannot be
    read, makes the exit code 1.
    """
    import msgspec

    from navicert.audit import open_archive
    from navicert.coverage import cover
    from navicert.gateway.servers import read_servers

    place, _ = home_of(home)
    if not place.store.exists():
        raise Misused("nothing was decided here yet: the first guard that is opened makes the store")
    with open_archive(place) as archive:
        found = cover(archive, read_servers(place.folder).servers, transcripts, session=session)
    if as_json:
        document: dict[str, Any] = {"format": "navicert/coverage/1", "complete": found.is_complete}
        document |= msgspec.to_builtins(found)
        for held, item in zip(document["transcripts"], found.transcripts, strict=True):
            held["unmediated"] = [each._asdict() for each in item.unmediated]
            held["unread"] = [each._asdict() for each in item.unread]
        emit(document)
    else:
        _show(Terminal(), shown_path(place.folder), found)
    return FINE if found.is_complete else FINDINGS


def _show(out: Terminal, where: str, found: Coverage) -> None:
    out.title(f"coverage   {where}", f"{found.actions} actions up to entry {found.upto}")
    for head, items in (("Agents", found.agents), ("Surfaces", found.surfaces), ("Tools", found.tools)):
        _seen(out, head, items)
    if found.servers:
        out.say()
        out.say(out.style("Servers behind the gateway", "bold"))
    for server in found.servers:
        _behind(out, server)
    for held in found.transcripts:
        _held(out, held)
    if found.canaries:
        out.say()
        out.text(f"besides: {found.canaries} canaries, which count for nothing here")


def _seen(out: Terminal, head: str, items: tuple[Seen, ...]) -> None:
    out.say()
    out.say(out.style(head, "bold") + ("" if items else ": none was seen"))
    for item in items[:_SHOWN]:
        out.say(f"  {pad(item.name, 44)}  {item.actions:>7}   {out.style('last ' + _time(item.last_at), 'dim')}")
    if len(items) > _SHOWN:
        out.text(f"and {len(items) - _SHOWN} more; `--json` lists them")


def _behind(out: Terminal, server: Behind) -> None:
    never = len(server.never)
    called = f"{len(server.accepted) - never} of {len(server.accepted)} tools were called"
    mark = out.mark("ok" if server.last_at else "warning")
    last = f"last {_time(server.last_at)}" if server.last_at else "never seen"
    out.say(f"{mark} {pad(server.name, 44)}  {server.actions:>7}   {out.style(last, 'dim')}")
    out.text(called + (f"; never seen: {inert(', '.join(server.never))}" if never else ""), 4)


def _held(out: Terminal, held: Held) -> None:
    out.say()
    missing, unread = len(held.unmediated), len(held.unread)
    out.say(out.style(f"Transcript {inert(held.file)}", "bold"))
    how = f" ({held.by_name} by name alone: their arguments cannot be compared)" if held.by_name else ""
    mark = out.mark("error" if missing else "ok")
    if held.calls:
        out.say(f"{mark} {held.by_arguments + held.by_name} of {held.calls} calls were mediated{how}")
    else:
        out.say(f"{out.mark('warning')} no tool call was found in it; is it in one of the forms that are read?")
    for call in held.unmediated[:_SHOWN]:
        said = "" if call.arguments is None else ", ".join(f"{key}: {value}" for key, value in call.arguments.items())
        head = f"{out.mark('error', 'NOT MEDIATED')}  {pad(call.name, 28)}"
        out.say(f"  {head}  {pad(said, 24)}  {out.style(cut(call.place, 24), 'dim')}")
    if missing > _SHOWN:
        out.text(f"and {missing - _SHOWN} more; `--json` lists them", 4)
    if unread:
        out.say(f"{out.mark('warning')} {unread} lines could not be read, and what they report is not known")
    for item in held.unread[:_SHOWN]:
        out.text(f"{inert(item.place)}: {inert(item.why)}", 4)
    if unread > _SHOWN:
        out.text(f"and {unread - _SHOWN} more; `--json` lists them", 4)


def _time(at: str | None) -> str:
    return f"{(at or '')[:16].replace('T', ' ')} UTC"
