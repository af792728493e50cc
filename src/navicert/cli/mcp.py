"""`navicert mcp NAME`: stand between an MCP client and a server, over standard input and output (R1)."""

from __future__ import annotations

import os

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, home_of


@click.command()
@click.argument("name")
@click.option("--agent", metavar="NAME", help="The agent, as receipts name it (default: NAME of the server's client).")
@click.option("--session", metavar="ID", help="A session that the application opened (default: $NAVICERT_SESSION).")
@common
def verb(name: str, agent: str | None, session: str | None, home: str | None, as_json: bool) -> int:
    """Judge everything that an MCP client does with the server NAME. The client starts this, not you.

    `navicert attach` puts it into a client's configuration. Without a session of the application's, one is opened whose
    request nobody knows, for the user who runs this.
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
    try:
        guard = navicert.connect(place.folder) if (place.folder / config.socket).exists() else None
    except Unavailable:
        guard = None
    with guard or navicert.open(place.folder) as guard:
        given = session or os.environ.get("NAVICERT_SESSION")
        if given is not None:
            asyncio.run(serve(guard, given, name, server))
            return FINE
        note(name, "no session is given, so what the user asked for is not known; receipts say `inferred`")
        with guard.session(request="", human=getuser(), agent=agent or f"client-of-{name}") as opened:
            asyncio.run(serve(guard, opened.id, name, server, f"{SURFACE}-inferred"))
    return FINE
