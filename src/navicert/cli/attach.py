"""`navicert attach CONFIG`: put the servers of an MCP client behind the gateway; `navicert detach` takes them out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, cut, emit
from navicert.core.inert import inert
from navicert.gateway.servers import PLACES

if TYPE_CHECKING:
    from navicert.gateway.look import Looked
    from navicert.gateway.pins import Server
    from navicert.model.action import ToolProfile


@click.command()
@click.argument("config", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("names", nargs=-1)
@click.option("--accept", is_flag=True, help="Accept what the servers show, without a question.")
@common
def verb(config: Path, names: tuple[str, ...], accept: bool, home: str | None, as_json: bool) -> int:
    """Put servers (all of CONFIG, or NAMES) behind the gateway: the client then launches `navicert mcp NAME` instead.

    Each server is started, or asked at its address, once. You are shown its tools and what they seem to do, its prompts
    and resource templates; what you accept is pinned: what is new or changed later is held back until you accept it
    with `navicert tools`.
    """
    import asyncio

    from navicert.gateway.look import look
    from navicert.gateway.servers import write_server

    place, _ = home_of(home)
    if not accept and not as_json and not sys.stdin.isatty():
        raise Misused("there is no terminal to ask on; run it in one, or accept what the servers show with `--accept`")
    document = read_config_of(config)
    entries = entries_of(document, config)
    chosen = names or tuple(name for name, entry in entries.items() if _is_server(entry))
    found: dict[str, Looked] = {}
    for name in chosen:
        found[name] = asyncio.run(look(name, _server(name, entries, config)))
    if not found and any(map(is_ours, entries.values())):
        raise Misused(f"{config}: every server in it is behind the gateway already; `navicert tools` lists them")
    if not found:
        raise Misused(f"{config}: no server to put behind the gateway; name one that has a `command` or a `url`")
    if not as_json:
        out = Terminal()
        for name, looked in found.items():
            show(out, name, looked)
    if not accept and not as_json and not _accepted():
        raise Misused("nothing was changed; with `--accept` what is shown is accepted")
    if as_json and not accept:
        raise Misused("`--json` asks no question; add `--accept` to accept what the servers show")
    for name, looked in found.items():
        write_server(place.folder, name, looked.server)
        entries[name] = _behind(entries[name], name, place.folder)
    write_config_of(config, document)
    if as_json:
        tools = {name: sorted(looked.server.tools) for name, looked in found.items()}
        emit({"format": "navicert/attach/1", "config": str(config.resolve()), "servers": tools})
        return FINE
    Terminal().say(f"✓ {shown_path(config)}: {', '.join(found)} behind the gateway; restart the client")
    return FINE


def read_config_of(config: Path) -> dict[str, Any]:
    """Return a client's configuration; raises `Misused` where it is no JSON object."""
    import json

    try:
        document = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise Misused(f"{config}: cannot be read as JSON: {error}; name a client's configuration file") from None
    if not isinstance(document, dict):
        raise Misused(f"{config}: not a JSON object; name a client's configuration file")
    return document


def write_config_of(config: Path, document: dict[str, Any]) -> None:
    """Write a client's configuration, all or nothing, with the mode that it had."""
    import json

    from navicert.adapters.secret_file import replace_file

    target = config.resolve()
    data = json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    replace_file(target, data, target.stat().st_mode & 0o777)


def entries_of(document: dict[str, Any], config: Path) -> dict[str, Any]:
    """Return the entries of a client's servers, to be changed in place."""
    for key in PLACES:
        if isinstance(document.get(key), dict):
            found: dict[str, Any] = document[key]
            return found
    raise Misused(f"{config}: no `{PLACES[0]}` in it; name the file in which the client keeps its servers")


def is_ours(entry: Any) -> bool:
    """Tell whether an entry launches the gateway."""
    args = entry.get("args") if isinstance(entry, dict) else None
    if not isinstance(args, list) or "mcp" not in args:
        return False
    return Path(str(entry.get("command"))).name == "navicert" or args[:2] == ["-m", "navicert"]


def _is_server(entry: Any) -> bool:
    return isinstance(entry, dict) and ("command" in entry or "url" in entry) and not is_ours(entry)


def _server(name: str, entries: dict[str, Any], config: Path) -> Server:
    from navicert.gateway.calling import is_name
    from navicert.gateway.pins import Server

    entry = entries.get(name)
    if entry is None:
        raise Misused(f"{config}: no server `{name}`; there are: {', '.join(entries) or 'none'}")
    if is_ours(entry):
        raise Misused(f"{config}: `{name}` is behind the gateway already; see `navicert tools {name}`")
    if not is_name(name):
        raise Misused(f"{config}: `{name}` cannot stand in a tool's name; rename it with letters, digits, `_` and `-`")
    if "url" in entry:
        return _reached(name, entry, config)
    command, arguments, env = entry.get("command"), entry.get("args", []), entry.get("env", {})
    if not isinstance(command, str) or not all(isinstance(item, str) for item in arguments):
        raise Misused(f"{config}: `{name}` has neither a `command` nor a `url`; only such servers can be attached")
    return Server(command=(command, *arguments), env={key: str(value) for key, value in env.items()})


def _reached(name: str, entry: dict[str, Any], config: Path) -> Server:
    from navicert.adapters.identity.fetch import check_address
    from navicert.gateway.pins import Server

    url, headers, kind = entry["url"], entry.get("headers", {}), entry.get("type", "http")
    texts = isinstance(headers, dict) and all(isinstance(item, str) for item in headers.values())
    if not isinstance(url, str) or not texts or kind not in {"http", "streamable-http", "streamableHttp"}:
        raise Misused(f"{config}: `{name}` is not reached by streamable HTTP; only such servers can be attached")
    if any("${" in text for text in (url, *headers.values())):
        raise Misused(f"{config}: `{name}` has places that the client fills in (`${{…}}`); write what stands there")
    check_address(url)
    return Server(url=url, headers=headers)


def _behind(entry: dict[str, Any], name: str, home: Path) -> dict[str, Any]:
    """Environment and headers go with command and address into our own file: the client need not know them."""
    ours = {"command", "args", "env", "url", "headers", "type"}
    kept = {key: value for key, value in entry.items() if key not in ours}
    return kept | {"command": sys.executable, "args": ["-m", "navicert", "--home", str(home), "mcp", name]}


def show(out: Terminal, name: str, looked: Looked) -> None:
    """Show what a server has, and what its tools seem to do."""
    out.title(f"{name}   {counted(looked.server)}", cut(looked.server.place, 50))
    rows = [(profile.tool, profile.effect.value, roles_of(profile)) for profile in looked.server.profiles]
    out.table(("tool", "seems to", "parameters by role"), rows, (40, 12, 40))
    for what, names in (("prompts", looked.server.prompts), ("resource templates", looked.server.templates)):
        if names:
            out.text(f"{what}: {', '.join(map(inert, names))}")
    for each in looked.unusable:
        out.say(f"{out.mark('warning')} `{inert(each)}` is left out: its name cannot stand in a rule")
    out.text("What a tool does is what it says of itself; correct it under `tools:` in the policy, whose word stands.")
    out.say()


def counted(server: Server) -> str:
    """Return how much a server defines, in words."""
    found = ((len(server.tools), "tool"), (len(server.prompts), "prompt"), (len(server.templates), "template"))
    return ", ".join(f"{n} {what}{'s' * (n != 1)}" for n, what in found if n or what == "tool")


def roles_of(profile: ToolProfile) -> str:
    """Return which parameters of a tool play a role, in words."""
    roles = ((role, getattr(profile, role)) for role in ("destination", "resource", "amount"))
    return inert("   ".join(f"{role}: {', '.join(found)}" for role, found in roles if found))


def _accepted() -> bool:
    try:
        return click.confirm("Accept all this, as it is now, and what the tools seem to do?", default=False)
    except click.Abort:  # whoever leaves has not accepted
        return False
