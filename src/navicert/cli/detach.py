"""`navicert detach CONFIG`: have an MCP client launch its servers itself again, ungoverned."""

from __future__ import annotations

from pathlib import Path

import click

from navicert.cli.attach import entries_of, is_ours, read_config_of, write_config_of
from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("names", nargs=-1)
@common
def verb(config: Path, names: tuple[str, ...], home: str | None, as_json: bool) -> int:
    """Take servers (all, or NAMES) out from behind the gateway: CONFIG launches them as it did before `attach`."""
    from navicert.gateway.servers import server_of, write_server

    place, _ = home_of(home)
    document = read_config_of(config)
    entries = entries_of(document, config)
    chosen = names or tuple(name for name, entry in entries.items() if is_ours(entry))
    if not chosen:
        if as_json:
            emit({"format": "navicert/detach/1", "config": str(config.resolve()), "servers": []})
        else:
            Terminal().say(f"{shown_path(config)}: no server of it is behind the gateway; it was left as it is")
        return FINE
    for name in chosen:
        if not is_ours(entries.get(name)):
            raise Misused(f"{config}: `{name}` is not behind the gateway; nothing was changed")
    for name in chosen:
        server = server_of(place.folder, name)
        kept = {key: value for key, value in entries[name].items() if key not in {"command", "args"}}
        if server.url is not None:
            entries[name] = kept | {"type": "http", "url": server.url}
        else:
            entries[name] = kept | {"command": server.command[0], "args": list(server.command[1:])}
        for key, held in (("env", server.env), ("headers", server.headers)):
            if held:
                entries[name][key] = held
    write_config_of(config, document)
    for name in chosen:
        write_server(place.folder, name, None)
    if as_json:
        emit({"format": "navicert/detach/1", "config": str(config.resolve()), "servers": list(chosen)})
        return FINE
    out = Terminal()
    out.say(
        f"{out.mark('ok')} {shown_path(config)}: {', '.join(chosen)} taken out; what they do is not governed any more"
    )
    return FINE
