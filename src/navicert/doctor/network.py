"""Checks of `navicert doctor --as-agent` on networks: no path to servers but the gateway, and none out (R1.e)."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment

from navicert.doctor.findings import Finding, some
from navicert.doctor.probes import WAIT_S, reached, resolved

if TYPE_CHECKING:
    from navicert.doctor.probes import Probes, Target

_INITIALIZE: Final = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"navicert-doctor","version":"1"}}}'
)


def reach_check(probes: Probes) -> Iterator[Finding]:
    """R1.e: no direct path to what the gateway stands before."""
    for target in probes.servers:
        places = reached(target)
        at = f"{target.host}:{target.port}"
        if places:
            what = f"the agent reaches `{target.name}` directly, at {some(places)}: {_word(target, places[0])}"
            do = "close its network but for the gateway and the owner's socket"
            yield Finding("reach", "error", what, at, do)
        elif target.answers:
            yield Finding("reach", "ok", f"`{target.name}` cannot be connected to from here", at)
        else:
            what = f"not measured: nobody answered at `{target.name}` when the probes were made"
            yield Finding("reach", "unknown", what, at, "start it, and make the probes anew")
    if not probes.servers:
        yield Finding("reach", "note", "no server is reached at an address", probes.home)


def _word(target: Target, address: str) -> str:
    """Return what a place says to somebody who has no credentials."""
    line = http.client.HTTPConnection(address, target.port, timeout=WAIT_S)
    if target.tls:
        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - whoever it is, it was reached
        line = http.client.HTTPSConnection(address, target.port, timeout=WAIT_S, context=context)
    accepts = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    try:
        line.request("POST", "/mcp", _INITIALIZE, accepts)
        return f"an `initialize` without credentials was answered with HTTP {line.getresponse().status}"
    except (OSError, http.client.HTTPException):
        return "an `initialize` without credentials got no answer"
    finally:
        line.close()


def egress_check(probes: Probes) -> Iterator[Finding]:
    """Yield whether anything beyond can be connected to."""
    for target in probes.outside:
        places, at = reached(target), f"{target.host}:{target.port}"
        if places:
            what = f"{at} can be connected to: what the agent knows can leave, past every decision"
            yield Finding("egress", "error", what, at, "close its network but for the gateway and the owner's socket")
        else:
            yield Finding(
                "egress", "ok", f"{at} cannot be connected to from here, and could from the operator's side", at
            )
    if not probes.outside:
        what = "not measured: the probes name no place beyond what the agent may reach"
        do = "navicert doctor --probes --outside HOST:PORT, a place that answers"
        yield Finding("egress", "unknown", what, probes.home, do)


def names_check(probes: Probes) -> Iterator[Finding]:
    """A resolver that answers carries data: `SECRET.attacker.example` is a query."""
    here = {word for line in Path("/etc/hosts").read_text().splitlines() for word in line.partition("#")[0].split()}
    asked = [each.host for each in probes.outside if each.host not in here and not _is_literal(each.host)]
    for name in asked:
        if resolved(name):
            what = f"the name {name} is resolved from here: data can leave in questions to a resolver"
            yield Finding(
                "names", "error", what, name, "give the agent no resolver, or one that knows the gateway only"
            )
        else:
            yield Finding("names", "ok", f"the name {name} is not resolved from here", name)
    if not asked:
        what = "not measured: the probes name no place outside by a name that a resolver is asked for"
        yield Finding("names", "unknown", what, probes.home, "navicert doctor --probes --outside NAME:PORT")


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def proxy_check(probes: Probes) -> Iterator[Finding]:
    """Yield whether a proxy that the environment names leads out, or to a server."""
    named = {url for key, url in getproxies_environment().items() if key != "no"}
    do = "take it out of the environment, and out of the agent's reach"
    for url in sorted(named):
        parts = urlsplit(url if "://" in url else f"//{url}")
        at = f"{parts.hostname}:{parts.port or 80}"
        try:
            socket.create_connection((parts.hostname or "", parts.port or 80), WAIT_S).close()
        except OSError:
            yield Finding("proxy", "ok", f"the proxy {at} of the environment cannot be connected to", at)
            continue
        through = [each.name for each in (*probes.servers, *probes.outside) if _passes(parts, each)]
        if through:
            yield Finding("proxy", "error", f"the proxy {at} leads to {some(through)}", at, do)
        else:
            what = f"the proxy {at} can be connected to; it refused to connect further, where that was tried"
            yield Finding("proxy", "warning", what, at, do)
    if not named:
        yield Finding("proxy", "ok", "the environment names no proxy", "environment")


def _passes(proxy: SplitResult, target: Target) -> bool:
    """Tell whether a proxy connects to a place."""
    place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    held = b64encode(f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}".encode()).decode()
    grant = f"Proxy-Authorization: Basic {held}\r\n" if proxy.username else ""
    try:
        with socket.create_connection((proxy.hostname or "", proxy.port or 80), WAIT_S) as line:
            line.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{grant}\r\n".encode())
            return line.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:  # it hung up, or is silent
        return False
