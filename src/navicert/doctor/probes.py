"""Probes: what `navicert doctor --as-agent` is to try, written down by an operator (R1.e).

* Nothing in them is secret, since the agent's user reads them: of an address its host and port, of a server's
  environment the names.
* A place that does not answer the operator proves nothing when it does not answer the agent; so that is noted.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from navicert.model.errors import PolicyError, Unavailable
from navicert.model.value import Value

if TYPE_CHECKING:
    from navicert.assemble import Home
    from navicert.config import Config

FORMAT: Final = "navicert/probes/1"
WAIT_S: Final = 3.0
"""So long may one attempt take."""
SPACES: Final = ("pid", "net")


class Target(Value, frozen=True, kw_only=True):
    """A place on a network. addresses: those that the operator found. answers: it could be connected to from there."""

    name: str
    host: str
    port: int
    tls: bool = False
    addresses: tuple[str, ...] = ()
    answers: bool = False


class Launched(Value, frozen=True, kw_only=True):
    """A server that the gateway launches. files: paths in its command. needs: the variables that its entry sets."""

    name: str
    program: str
    files: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


class Probes(Value, frozen=True, kw_only=True):
    """What is to be tried. sealed: neither read nor written by an agent; fixed: not written. uid: who owns the home.

    namespaces: the operator's own, as the kernel names them.
    """

    format: str
    home: str
    uid: int
    namespaces: dict[str, str]
    sealed: tuple[str, ...]
    fixed: tuple[str, ...]
    socket: str
    servers: tuple[Target, ...] = ()
    launched: tuple[Launched, ...] = ()
    outside: tuple[Target, ...] = ()


def make_probes(home: Home, config: Config, outside: Iterable[str]) -> Probes:
    """Return what an agent is to try. outside: `host:port` beyond what it may reach.

    Raises `PolicyError` for an address that is none, `Unavailable` for one that cannot be reached from here either.
    """
    from navicert.assemble import fact_files, load_cedar, load_policy
    from navicert.gateway.servers import FILE, read_servers

    servers = read_servers(home.folder).servers
    policy = home.folder / config.policy
    sealed = [home.folder, home.config, home.keys, *sorted(home.keys.iterdir()), *home.folder.glob("store.db*")]
    sealed += [home.folder / FILE, policy, *(home.folder / name for name in (config.cedar,) if name is not None)]
    facts = fact_files(load_policy(policy, load_cedar(home.folder, config))[0].policy)
    ours = (Path(sys.executable).resolve(), Path(__file__).parents[1])
    address = home.folder / config.socket
    fixed = [home.trust, address.parent, *facts, *map(Path, config.notify[:1]), *ours]
    beyond = tuple(_target(each, each) for each in outside)
    for target in beyond:
        if not target.answers:
            raise Unavailable(
                f"`{target.name}` does not answer from here either; name one that does, or it proves nothing"
            )
    return Probes(
        format=FORMAT, home=str(home.folder), uid=home.folder.stat().st_uid, namespaces=namespaces(),
        sealed=_there(sealed), fixed=_there(fixed), socket=str(address), outside=beyond,
        servers=tuple(_target(name, item.url) for name, item in servers.items() if item.url is not None),
        launched=tuple(
            Launched(
                name=name,
                program=_program(item.command[0]),
                files=_there(Path(word) for word in item.command[1:] if word.startswith("/")),
                needs=tuple(item.env),
            )
            for name, item in servers.items() if item.command
        ),
    )  # fmt: skip


def _program(name: str) -> str:
    found = shutil.which(name)
    return name if found is None else str(Path(found).absolute())


def read_probes(path: Path) -> Probes:
    """Return what an operator wrote down; raises `PolicyError`."""
    try:
        probes = msgspec.json.decode(path.read_bytes(), type=Probes)
    except (OSError, msgspec.MsgspecError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}; make it with `navicert doctor --probes`") from None
    if probes.format != FORMAT:
        raise PolicyError(f"{path}: its format is `{probes.format}`, not {FORMAT}; make it anew")
    return probes


def _there(paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(path) for path in paths if path.exists()))


def place_of(text: str) -> tuple[str, int, bool]:
    """Return host, port and whether it is TLS, of a URL or of `host:port`; raises `PolicyError`."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        tls = parts.scheme == "https"
    except ValueError:
        host, port, tls = "", 0, False
    if not host or not port:
        raise PolicyError(f"`{text}` is no address; write host and port, as `example.com:443`")
    return host, port, tls


def _target(name: str, text: str) -> Target:
    """Return what an address names, without what else stands in it: that may be secret."""
    host, port, tls = place_of(text)
    addresses = resolved(host)
    if any(ip_address(each).is_loopback for each in addresses):  # what listens here may listen on every address
        addresses = tuple(dict.fromkeys((*addresses, *resolved(socket.gethostname()), *_own())))
    found = Target(name=name, host=host, port=port, tls=tls, addresses=addresses)
    return msgspec.structs.replace(found, answers=bool(reached(found)))


def _own() -> Iterator[str]:
    """Yield the addresses that this machine speaks from; to find them, nothing is sent."""
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
            yield str(sock.getsockname()[0])


def namespaces() -> dict[str, str]:
    """Return the namespaces that this process is in, as the kernel names them."""
    return {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in SPACES}


def resolved(host: str) -> tuple[str, ...]:
    """Return the addresses of a name, IPv4 and IPv6; none where nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return ()
    return tuple(dict.fromkeys(str(item[4][0]).partition("%")[0] for item in found))


def reached(target: Target) -> list[str]:
    """Return the addresses under which a place can be connected to from here."""

    def connects(address: str) -> bool:
        try:
            socket.create_connection((address, target.port), WAIT_S).close()
        except OSError:
            return False
        return True

    addresses = list(dict.fromkeys((*target.addresses, *resolved(target.host), *_next_hops(target))))
    with ThreadPoolExecutor(16) as pool:
        return [each for each, there in zip(addresses, pool.map(connects, addresses), strict=True) if there]


def _next_hops(target: Target) -> list[str]:
    """Return the machine that a container runs on, for what listens there: the next hop of every route."""
    if not any(ip_address(each).is_loopback for each in target.addresses):
        return []
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return [socket.inet_ntoa(bytes.fromhex(row[2])[::-1]) for row in rows if int(row[2], 16)]
