"""The upstream servers of a deployment: the file `mcp.json` in its home, written by operators only (property 10).

* It is protected like all of the home folder; what a server says never changes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from navicert.adapters.secret_file import replace_file
from navicert.gateway.calling import is_name
from navicert.gateway.pins import Server, Servers
from navicert.model.errors import PolicyError

FILE: Final = "mcp.json"
PLACES: Final = ("mcpServers", "servers")
"""Where clients keep their servers: most under the first, some editors under the second."""


def read_servers(home: Path) -> Servers:
    """Return the servers of a home folder, none where it has no such file; raises `PolicyError`."""
    path = home / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Servers)
    except FileNotFoundError:
        return Servers()
    except (OSError, msgspec.MsgspecError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}; restore it, or attach the servers anew") from None


def server_of(home: Path, name: str) -> Server:
    """Return one server; raises `PolicyError` where there is none of this name."""
    found = read_servers(home).servers
    if name not in found:
        known = ", ".join(f"`{each}`" for each in found) or "none"
        raise PolicyError(f"{home / FILE}: no server `{name}`; there are: {known}")
    return found[name]


def write_server(home: Path, name: str, server: Server | None) -> None:
    """Put a server into the file in place of what stands there, or take it out; all or nothing.

    Raises `PolicyError` for a name with a dot: the tools of `a.b` could be taken for those of `a`.
    """
    if server is not None and (not is_name(name) or "." in name):
        raise PolicyError(f"`{name}` cannot be a server's name; rename it, with letters, digits, `_` and `-`")
    held = {each: item for each, item in read_servers(home).servers.items() if each != name}
    if server is not None:
        held[name] = server
    data = msgspec.json.format(msgspec.json.encode(Servers(servers=dict(sorted(held.items())))), indent=2)
    replace_file(home / FILE, data + b"\n", 0o600)


def accepted_tools(home: Path) -> set[str]:
    """Return the full names of the tools that an operator accepted; none where no server is behind the gateway."""
    if not (home / FILE).exists():
        return set()
    return {f"{name}.{tool}" for name, server in read_servers(home).servers.items() for tool in server.tools}
