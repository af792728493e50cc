"""`navicert canary`: send what must be denied over every surface, and see that it is; 1 is an alarm (R1.c)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import inert
from navicert.model.errors import Unavailable

if TYPE_CHECKING:
    from navicert.canary.probes import Came, Surface

_KINDS = ("sdk", "socket", "mcp-stdio", "mcp-http", "mcp-client")
_SIGNS = {"denied": "ok", "not_there": "note"}


@click.command()
@click.option("--surface", "kinds", type=click.Choice(_KINDS), multiple=True, help="Only these (default: all).")
@click.option("--http", metavar="URL", multiple=True, help="A gateway that serves HTTP, besides those configured.")
@click.option(
    "--client",
    "clients",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="An MCP client's configuration: its servers are launched as the client does, and must answer as the gateway.",
)
@click.option("--within", metavar="SECONDS", type=click.FloatRange(1, 600), help="Time for each (default: 20).")
@common
def verb(
    kinds: tuple[str, ...],
    http: tuple[str, ...],
    clients: tuple[Path, ...],
    within: float | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Send an action that must be denied over every surface of this home, and see that it was.

    It asks to write a file of a random name into the home folder, as an agent would. Denied is only what the log holds
    a signed denial of. Anything else on a surface that is there is an alarm: on standard error, to the program of
    `notify`, in the log, red in `navicert status`, and exit code 1.
    """
    from navicert.canary import probes

    place, config = home_of(home)
    surfaces = [
        item
        for item in probes.surfaces_of(place, config, http, clients)
        if not kinds or item.name.partition(":")[0] in kinds
    ]
    if not surfaces:
        raise Misused(f"there is no surface {', '.join(kinds)} here; `navicert tools` lists the servers")
    found: list[Came] = []
    for surface in surfaces:
        came = probes.probe(place, surface, within or probes.WITHIN_S)
        found.append(came)
        if came.is_alarm:  # at once, whatever becomes of the rest
            click.echo(f"ALARM: canary: {inert(came.surface)}: {_word(came)}: {inert(came.detail)}", err=True)
            try:
                probes.tell(config, came)
            except Unavailable as error:
                click.echo(f"ALARM: canary: nobody could be told: {inert(str(error))}", err=True)
    _say(found, surfaces, shown_path(place.folder), as_json=as_json)
    probes.record(place, config, found)
    return FINDINGS if any(came.is_alarm for came in found) else FINE


def _word(came: Came) -> str:
    return came.result.replace("_", " ")


def _say(found: list[Came], surfaces: list[Surface], where: str, *, as_json: bool) -> None:
    if as_json:
        documents: list[dict[str, Any]] = [
            {
                "surface": came.surface,
                "result": came.result,
                "alarm": came.is_alarm,
                "action_id": came.action_id,
                "by": came.why or None,
                "nonce": came.nonce or None,
                "seconds": came.seconds,
                "detail": came.detail,
            }
            for came in found
        ]
        emit({"format": "navicert/canary/1", "alarm": any(came.is_alarm for came in found), "canaries": documents})
        return
    out = Terminal()
    denied = sum(came.result == "denied" for came in found)
    out.title(f"canary   {where}", f"{denied} of {sum(not item.absent for item in surfaces)} denied")
    width = max(len(came.surface) for came in found)
    for came in found:
        mark = out.mark(_SIGNS.get(came.result, "error"), _word(came), 12)
        said = f"by {came.why}   {came.action_id}" if came.result == "denied" else came.detail
        out.say(f"{mark}  {pad(came.surface, min(width, 40))}  {cut(said, out.width - min(width, 40) - 16)}")
