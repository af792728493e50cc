"""`navicert tools [SERVER]`: the tools behind the gateway, and what has changed since they were accepted (T11)."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.attach import roles_of
from navicert.cli.faults import FINDINGS, FINE
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import inert

if TYPE_CHECKING:
    from pathlib import Path

    from navicert.gateway.look import Looked
    from navicert.gateway.pins import Server


_LINES: Final = 200


@click.command()
@click.argument("server", required=False)
@click.option("--accept", is_flag=True, help="Accept SERVER's tools as they are now.")
@common
def verb(server: str | None, accept: bool, home: str | None, as_json: bool) -> int:
    """List the servers behind the gateway; with SERVER, start it once and show what is new or changed (code 1).

    A tool that is new or changed is held back from agents until it is accepted.
    """
    from navicert.gateway.servers import read_servers, server_of

    place, _ = home_of(home)
    if server is None:
        return _listed(read_servers(place.folder).servers, as_json)
    return _compared(place.folder, server, server_of(place.folder, server), accept=accept, as_json=as_json)


def _listed(servers: dict[str, Server], as_json: bool) -> int:
    if as_json:
        found: dict[str, Any] = {
            name: ({"command": list(item.command)} if item.url is None else {"url": item.place})
            | {"tools": sorted(item.tools)}
            for name, item in servers.items()
        }
        emit({"format": "navicert/tools/1", "servers": found})
        return FINE
    out = Terminal()
    if not servers:
        out.text("no server is behind the gateway; put them there with `navicert attach CONFIG`")
    for name, item in servers.items():
        out.say(f"{out.style(name, 'bold')}   {len(item.tools)} tools   {inert(item.place)}")
    return FINE


def _compared(home: Path, name: str, held: Server, *, accept: bool, as_json: bool) -> int:
    import asyncio

    import msgspec

    from navicert.gateway.look import look
    from navicert.gateway.servers import write_server

    looked = asyncio.run(look(name, held))
    states = {tool: _state(tool, held, looked) for tool in sorted({*held.tools, *looked.server.tools})}
    changed = {tool: state for tool, state in states.items() if state != "accepted"}
    program = held.program != looked.server.program
    texts = set(looked.server.instructions) != set(held.instructions)
    if accept:
        known = {profile.tool: profile for profile in held.profiles}
        profiles = tuple(known.get(profile.tool, profile) for profile in looked.server.profiles)
        write_server(home, name, msgspec.structs.replace(looked.server, profiles=profiles))
    code = FINE if accept or not (changed or program or texts) else FINDINGS
    if as_json:
        document: dict[str, Any] = {"format": "navicert/tools/1", "server": name, "accepted": accept, "tools": states}
        emit(document | {"program_changed": program, "instructions_changed": texts})
        return code
    out = Terminal()
    out.title(f"{name}   {len(looked.server.tools)} tools", f"{len(changed)} held back")
    declared = {profile.tool: profile for profile in (*looked.server.profiles, *held.profiles)}
    out.say(out.style(f"  {'tool':<38}  {'':<8}  {'seems to':<12}  parameters by role", "dim"))
    for tool, state in states.items():
        profile = declared.get(f"{name}.{tool}")
        does = (profile.effect.value, roles_of(profile)) if profile is not None else ("", "")
        mark = out.mark("ok" if state == "accepted" else "warning")
        out.say(f"{mark} {pad(tool, 38)}  {state:<8}  {does[0]:<12}  {cut(does[1], out.width - 66)}")
    for what, is_other in (("its program", program), ("what it says of itself", texts)):
        if is_other:
            out.say(f"{out.mark('warning')} {what} is not what was accepted")
    for tool in changed:
        out.say()
        for line in _difference(held.definitions.get(tool), looked.server.definitions.get(tool)):
            out.say("    " + inert(line))
    if changed or program or texts:
        out.say()
        out.say("accepted, as it is now" if accept else f"accept it with `navicert tools {name} --accept`")
    return code


def _state(tool: str, held: Server, looked: Looked) -> str:
    if tool not in looked.server.tools:
        return "gone"
    if tool not in held.tools:
        return "new"
    return "accepted" if set(looked.server.tools[tool]) <= set(held.tools[tool]) else "changed"


def _difference(before: str | None, after: str | None) -> list[str]:
    """Return the lines that differ between two definitions, each with its sign, and some around them."""
    old, new = (json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text else "" for text in (before, after))
    return list(difflib.unified_diff(old.splitlines(), new.splitlines(), "accepted", "now", lineterm=""))[:_LINES]
