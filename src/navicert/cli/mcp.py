"""`navicert mcp NAME`: stand between an MCP client and a server, over standard input and output, or over HTTP (R1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of

if TYPE_CHECKING:
    from navicert.assemble import Home
    from navicert.config import Config
    from navicert.gateway.pins import Server
    from navicert.sdk.guard import Guard


@click.command()
@click.argument("name")
@click.option("--agent", metavar="NAME", help="The agent, as receipts name it (default: NAME of the server's client).")
@click.option("--session", metavar="ID", help="A session that the application opened (default: $NAVICERT_SESSION).")
@click.option("--listen", metavar="HOST:PORT", help="Serve streamable HTTP here, on this machine, until SIGTERM.")
@click.option("--host", "hosts", metavar="NAME", multiple=True, help="With --listen: a name under which it is reached.")
@common
def verb(
    name: str,
    agent: str | None,
    session: str | None,
    listen: str | None,
    hosts: tuple[str, ...],
    home: str | None,
    as_json: bool,
) -> int:
    """Judge everything that an MCP client does with the server NAME. The client starts this, not you.

    `navicert attach` puts it into a client's configuration. Without a session of the application's, one is opened whose
    request nobody knows, for the user who runs this. With --listen, you start it; clients connect to `/mcp` and show a
    token: that of their user where an issuer is configured, otherwise the one in `keys/mcp.token`.
    """
    import asyncio
    from getpass import getuser

    import navicert
    from navicert.gateway.servers import server_of
    from navicert.gateway.stdio import SURFACE, note, serve
    from navicert.model.errors import Unavailable

    del as_json  # standard output belongs to the protocol
    place, config = home_of(home)
    server = server_of(place.folder, name)
    if listen is None and hosts:
        raise Misused("`--host` is for `--listen`")
    if listen is not None and session is not None:
        raise Misused("with `--listen`, clients name their session themselves; leave `--session` out")
    try:
        guard = navicert.connect(place.folder) if (place.folder / config.socket).exists() else None
    except Unavailable:
        guard = None
    agent = agent or f"client-of-{name}"
    with guard or navicert.open(place.folder) as guard:
        if listen is not None:
            _serve_http(guard, place, config, name, server, agent=agent, listen=listen, hosts=hosts)
            return FINE
        given = session or os.environ.get("NAVICERT_SESSION")
        if given is not None:
            asyncio.run(serve(guard, given, name, server))
            return FINE
        note(name, "no session is given, so what the user asked for is not known")
        with guard.session(request="", human=getuser(), agent=agent) as opened:
            asyncio.run(serve(guard, opened.id, name, server, f"{SURFACE}-inferred"))
    return FINE


def _serve_http(
    guard: Guard,
    home: Home,
    config: Config,
    name: str,
    server: Server,
    *,
    agent: str,
    listen: str,
    hosts: tuple[str, ...],
) -> None:
    import asyncio
    from getpass import getuser

    from navicert.gateway.doors import TOKEN, Standings, make_door
    from navicert.gateway.http import PATH, Gateway, bind, serve
    from navicert.gateway.stdio import note

    if server.url is None:
        raise Misused(
            f"`{name}` is launched by a command; only a server that has a `url` can be served with `--listen`"
        )
    door = make_door(home, config, human=getuser(), agent=agent)
    audience = None if isinstance(config.identity, str) else config.identity.audience
    with bind(listen) as sock:
        host, port = sock.getsockname()[:2]
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        who = f"tokens of {door.issuer}" if door.issuer is not None else f"the token in keys/{TOKEN}"
        note(name, f"serving http://{where}{PATH} to callers with {who}")

        def make() -> Gateway:
            standings = Standings(guard.engine, home, door, server)
            return Gateway(
                guard, name, server, door, standings, audience=audience, hosts=hosts, note=lambda text: note(name, text)
            )

        asyncio.run(serve(make, sock))
