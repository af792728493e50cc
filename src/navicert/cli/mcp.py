"""`navicert mcp NAME...`: stand between an MCP client and servers, over standard input and output or HTTP (R1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of

if TYPE_CHECKING:
    from pathlib import Path

    from navicert.assemble import Home
    from navicert.config import Config
    from navicert.gateway.pins import Server
    from navicert.sdk.guard import Guard


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All servers of this home.")
@click.option("--agent", metavar="NAME", help="The agent, as receipts name it (default: client-of-NAME).")
@click.option("--listen", metavar="HOST:PORT", help="Serve streamable HTTP here, on this machine, until SIGTERM.")
@click.option(
    "--in-band", metavar="SECONDS", type=click.FloatRange(0, 600), help="How long held calls are kept waiting."
)
@click.option("--host", "hosts", metavar="NAME", multiple=True, help="With --listen: a name under which it is reached.")
@common
def verb(
    names: tuple[str, ...],
    every: bool,
    agent: str | None,
    listen: str | None,
    in_band: float | None,
    hosts: tuple[str, ...],
    home: str | None,
    as_json: bool,
) -> int:
    """Judge everything that an MCP client does with the server NAME, or with many. The client starts this, not you.

    Of many, or with --all, the client sees one server, with tools `NAME__tool` and addresses `NAME+file:///…`.

    `navicert attach` puts it into a client's configuration. With a launch token of the application's in NAVICERT_LAUNCH
    it acts in that session; otherwise one is opened whose request nobody knows, for the user who runs this. With
    --listen, you start it; clients connect to `/mcp` and show a token: that of their user where an issuer is
    configured, otherwise the one in `keys/mcp.token`.
    """
    import asyncio
    from getpass import getuser

    import navicert
    from navicert.gateway.stdio import SURFACE, note, serve, serve_many
    from navicert.model.errors import IdentityError, Unavailable

    del as_json  # standard output belongs to the protocol
    place, config = home_of(home)
    servers = _chosen(place.folder, names, every=every)
    many = every or len(servers) > 1
    first = next(iter(servers))
    title = "" if many else first
    if listen is None and hosts:
        raise Misused("`--host` is for `--listen`")
    try:
        guard = navicert.connect(place.folder) if (place.folder / config.socket).exists() else None
    except Unavailable:
        guard = None
    agent = agent or f"client-of-{'many' if many else first}"

    async def relay(guard: Guard, session_id: str, surface: str) -> None:
        if many:
            await serve_many(guard, session_id, servers, surface)
        else:
            await serve(guard, session_id, first, servers[first], surface)

    with guard or navicert.open(place.folder) as guard:
        if in_band is not None:
            guard.engine.in_band_s = in_band
        if listen is not None:
            alone = None if many else first
            _serve_http(guard, place, config, servers, alone=alone, agent=agent, listen=listen, hosts=hosts)
            return FINE
        try:
            token = os.environ.get("NAVICERT_LAUNCH", "").encode("ascii", "replace").decode()
            joined = guard.engine.join(token) if token else None
        except IdentityError as error:  # what is not known only tightens
            note(title, str(error))
            joined = None
        if joined is not None:
            asyncio.run(relay(guard, joined, SURFACE))
            return FINE
        note(title, "no session was joined, so what the user asked for is not known")
        with guard.session(request="", human=getuser(), agent=agent) as opened:
            asyncio.run(relay(guard, opened.id, f"{SURFACE}-inferred"))
    return FINE


def _chosen(home: Path, names: tuple[str, ...], *, every: bool) -> dict[str, Server]:
    from navicert.gateway.naming import check_names
    from navicert.gateway.servers import read_servers, server_of

    if every is bool(names):
        raise Misused("name the servers to stand before, or say `--all`")
    if every:
        names = tuple(read_servers(home).servers)
        if not names:
            raise Misused("no server is behind the gateway; put them there with `navicert attach CONFIG`")
    elif len(set(names)) < len(names):
        raise Misused("a server is named twice; name each once")
    if every or len(names) > 1:
        check_names(names)
    return {name: server_of(home, name) for name in names}


def _serve_http(
    guard: Guard,
    home: Home,
    config: Config,
    servers: dict[str, Server],
    *,
    alone: str | None,
    agent: str,
    listen: str,
    hosts: tuple[str, ...],
) -> None:
    import asyncio
    from getpass import getuser

    from navicert.gateway.doors import TOKEN, Standings, make_door
    from navicert.gateway.http import PATH, Gateway, serve
    from navicert.gateway.line import bind
    from navicert.gateway.stdio import note

    door = make_door(home, config, human=getuser(), agent=agent)
    audience = None if isinstance(config.identity, str) else config.identity.audience
    with bind(listen) as sock:
        host, port = sock.getsockname()[:2]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        who = f"tokens of {door.issuer}" if door.issuer is not None else f"the token in keys/{TOKEN}"
        note(alone or "", f"serving http://{where}{PATH} to callers with {who}")

        def make() -> Gateway:
            standings = Standings(guard.engine, home, door, servers)
            return Gateway(guard, servers, door, standings, alone=alone, audience=audience, hosts=hosts, note=note)

        asyncio.run(serve(make, sock))
