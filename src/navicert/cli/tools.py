"""`navicert tools [SERVER]`: what servers behind the gateway define, and what changed since it was accepted (T11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.attach import counted, roles_of
from navicert.cli.definition import differences, show
from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of
from navicert.cli.terminal import Terminal, cut, emit, pad
from navicert.core.inert import inert

if TYPE_CHECKING:
    from pathlib import Path

    from navicert.gateway.pins import Server
    from navicert.model.action import ToolProfile


_ACCEPTED: Final = "accepted"


@click.command()
@click.argument("server", required=False)
@click.option("--accept", is_flag=True, help="Accept what SERVER defines as it is now.")
@click.option(
    "--dispatches",
    nargs=3,
    metavar="TOOL NAME ARGUMENTS",
    help="TOOL calls the tool that its argument NAME names, with what its argument ARGUMENTS holds: judge that one.",
)
@common
def verb(
    server: str | None, accept: bool, dispatches: tuple[str, str, str] | None, home: str | None, as_json: bool
) -> int:
    """List the servers behind the gateway; with SERVER, start it once and show what is new or changed (code 1).

    A tool, prompt or resource template that is new or changed is held back from agents until it is accepted.
    """
    from navicert.gateway.servers import read_servers, server_of

    place, _ = home_of(home)
    if server is None:
        if dispatches is not None:
            raise Misused("`--dispatches` is about a tool of one server; name it")
        return _listed(read_servers(place.folder).servers, as_json)
    if dispatches is not None:
        _dispatches(place.folder, server, server_of(place.folder, server), *dispatches)
    return _compared(place.folder, server, server_of(place.folder, server), accept=accept, as_json=as_json)


def _dispatches(home: Path, name: str, held: Server, tool: str, named: str, arguments: str) -> None:
    """Keep that a tool calls others."""
    import msgspec

    from navicert.gateway.calling import Dispatch
    from navicert.gateway.servers import write_server

    if tool not in held.tools:
        raise Misused(f"`{tool}` is no accepted tool of `{name}`; `navicert tools {name}` lists them")
    known = held.dispatch | {tool: Dispatch(name=named, arguments=arguments)}
    write_server(home, name, msgspec.structs.replace(held, dispatch=known))


def _listed(servers: dict[str, Server], as_json: bool) -> int:
    if as_json:
        found: dict[str, Any] = {
            name: ({"command": list(item.command)} if item.url is None else {"url": item.place})
            | {"tools": sorted(item.tools), "prompts": sorted(item.prompts), "templates": sorted(item.templates)}
            for name, item in servers.items()
        }
        emit({"format": "navicert/tools/1", "servers": found})
        return FINE
    out = Terminal()
    if not servers:
        out.text("no server is behind the gateway; put them there with `navicert attach CONFIG`")
    for name, item in servers.items():
        out.say(f"{out.style(name, 'bold')}   {counted(item)}   {inert(item.place)}")
    return FINE


def _compared(home: Path, name: str, held: Server, *, accept: bool, as_json: bool) -> int:
    import asyncio

    import msgspec

    from navicert.gateway.look import look
    from navicert.gateway.pins import LISTS, SAID, text_key
    from navicert.gateway.servers import write_server

    now = asyncio.run(look(name, held)).server
    states = {method: _states(held.pinned(method), now.pinned(method)) for method in LISTS}
    changed = {
        (method, each): differences(held.definitions.get(key), now.definitions.get(key))
        for method, found in states.items()
        for each, state in found.items()
        if state != _ACCEPTED and (key := text_key(method, each))
    }
    others = (held.program != now.program, set(now.instructions) != set(held.instructions))
    said = differences(held.definitions.get(SAID), now.definitions.get(SAID)) if others[1] else []
    if accept:
        known = {profile.tool: profile for profile in held.profiles}
        profiles = tuple(known.get(profile.tool, profile) for profile in now.profiles)
        write_server(home, name, msgspec.structs.replace(now, profiles=profiles))
    code = FINE if accept or not (changed or any(others)) else FINDINGS
    if as_json:
        document: dict[str, Any] = {"format": "navicert/tools/1", "server": name, "accepted": accept}
        document |= {LISTS[method].pins: found for method, found in states.items()}
        document |= dict(zip(("program_changed", "instructions_changed"), others, strict=True))
        document["differences"] = [
            {"of": LISTS[method].one, "name": each} | item._asdict()
            for (method, each), found in changed.items()
            for item in found
        ] + [{"of": "instructions", "name": name} | item._asdict() for item in said]
        emit(document)
        return code
    out = Terminal()
    back = sum(states[method][each] != "gone" for method, each in changed)
    out.title(f"{name}   {counted(now)}", f"{back} held back" if back and not accept else "")
    declared = {profile.tool: profile for profile in (*now.profiles, *held.profiles)}
    width = min(38, max(12, *(len(each) for found in states.values() for each in found)))
    for number, (method, found) in enumerate(states.items()):
        if found:
            if number:
                out.say()
            _table(out, method, found, width, {each: declared.get(f"{name}.{each}") for each in found})
    if others[0]:
        out.say(f"{out.mark('warning')} its program is not what was accepted, and is not started for agents")
    if others[1]:
        out.say(f"{out.mark('warning')} what it says of itself is not what was accepted, and is left out")
        show(out, said)
    for (method, each), places in changed.items():
        out.say()
        out.say(f"{LISTS[method].one} {out.style(inert(each), 'bold')}: {states[method][each]}")
        show(out, places)
        if not places:
            out.text("it reads the same in the newest revision, and differs for clients of an older one", 4)
    if changed or any(others):
        out.say()
        out.text("accepted, as it is now" if accept else f"accept all of it with `navicert tools {name} --accept`", 0)
    return code


def _states(held: dict[str, tuple[str, ...]], now: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return of each name whether it is accepted, new, changed or gone."""
    found: dict[str, str] = {}
    for name in sorted({*held, *now}):
        if name not in now:
            found[name] = "gone"
        elif name not in held:
            found[name] = "new"
        else:
            found[name] = _ACCEPTED if set(now[name]) <= set(held[name]) else "changed"
    return found


def _table(
    out: Terminal, method: str, states: dict[str, str], width: int, profiles: dict[str, ToolProfile | None]
) -> None:
    from navicert.gateway.pins import LISTS, TOOLS

    more = f"  {'seems to':<11}  parameters by role" if method == TOOLS else ""
    out.say(out.style(f"  {LISTS[method].one:<{width}}  {'':<8}{more}", "dim"))
    for each, state in states.items():
        profile = profiles[each] if method == TOOLS else None
        mark = out.mark("ok" if state == _ACCEPTED else "warning")
        does = f"  {profile.effect.value:<11}  " if profile is not None else ""
        roles = cut(roles_of(profile), out.width - width - 25) if profile is not None else ""
        out.say(f"{mark} {pad(each, width)}  {state:<8}{does}{roles}")
