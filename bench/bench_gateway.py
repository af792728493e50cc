"""The MCP gateway over HTTP: what it adds to a direct call, and how many calls it passes (revision 2026-07-28).

Server, gateway and clients are processes of their own on one machine. The server does nothing, the clients write bytes
that are ready, and connections are kept. Each call is judged, and leaves two signed receipts that are durable; a list
of resources is passed on without, and shows what the way there and back costs by itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from harness import BENCH, Bench, at_least, at_most, environment, folder, places, spread

from navicert.assemble import make_home
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

CLIENTS = 16
POLICY = "policy: bench\nversion: 1\nposture: declared_reads\ntools:\n  desk.look: {effect: read, returns: INTERNAL}\n"
CALL = {"name": "look", "arguments": {"path": "a.txt"}}


def main() -> None:
    bench = Bench("gateway", __doc__)
    for kind, place in places(bench, "shm.*"):
        with folder(kind) as made, upstream() as server, gateway(made, server) as (port, token):
            asyncio.run(measure(bench, kind, place, server, port, token))
    bench.finish()


async def measure(bench: Bench, kind: str, place: str, server: int, port: int, token: str) -> None:
    times, rounds = bench.count(1_000, 20), bench.count(7, 1)
    more = f"Authorization: Bearer {token}\r\n"
    ways = {
        "direct": Line(server, "tools/call", CALL, ""),
        "passed": Line(port, "resources/list", {}, more),
        "judged": Line(port, "tools/call", CALL, more),
    }
    for way in ways.values():
        await way.one(times // 2)  # the warm-up
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            took[name].append(statistics.median(await way.one(times)) * 1e3)
    bench.figure(f"{kind}.direct", f"a direct call, {place}", spread(took["direct"]), "ms")
    for name, what, target in (("passed", "to what is passed on", None), ("judged", "to a call", at_most(0.5))):
        added = [more - less for less, more in zip(took["direct"], took[name], strict=True)]
        bench.figure(
            f"{kind}.{name}_added",
            f"added {what}, {place}",
            spread(added),
            "ms",
            target=target if kind == "disk" else None,
        )
    for name, way in ways.items():
        found = [await way.many(times // CLIENTS + 1) for _ in range(rounds)]
        target = at_least(1_000) if (kind, name) == ("disk", "judged") else None
        bench.figure(f"{kind}.{name}_rate", f"{name}, {CLIENTS} clients, {place}", spread(found), "/s", target=target)


class Line:
    """Requests of one kind to one port."""

    def __init__(self, port: int, method: str, params: dict[str, Any], more: str) -> None:
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}})
        name = f"Mcp-Name: {params['name']}\r\n" if "name" in params else ""
        self.port = port
        self.data = (
            f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{name}{more}"
            f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n"
            f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    async def one(self, times: int) -> list[float]:
        """Ask one after the other; returns the seconds of each."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = []
        for _ in range(times):
            start = perf_counter()
            writer.write(self.data)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            found.append(perf_counter() - start)
            assert head.startswith(b"http/1.1 200"), head + body
            assert b'"resultType"' in body, body
            assert b"isError" not in body, body
        writer.close()
        await writer.wait_closed()
        return found

    async def many(self, times: int) -> float:
        """Ask from many clients at once; returns how many are answered per second."""
        start = perf_counter()
        await asyncio.gather(*(self.one(times) for _ in range(CLIENTS)))
        return CLIENTS * times / (perf_counter() - start)


@contextmanager
def upstream() -> Iterator[int]:
    with running([sys.executable, str(BENCH / "worker_mcp.py")]) as process:
        yield int(process.stdout.readline())


@contextmanager
def gateway(made: Path, server: int) -> Iterator[tuple[int, str]]:
    home = make_home(made / "home", origin="bench", service="bench", policy=POLICY)
    entry = Server(url=f"http://127.0.0.1:{server}/mcp")
    write_server(home.folder, "desk", asyncio.run(look("desk", entry)).server)
    words = ["-m", "navicert", "--home", str(home.folder), "mcp", "desk", "--listen", "127.0.0.1:0"]
    with running([sys.executable, *words]) as process:
        ready = next(filter(None, (re.search(r"serving http://[^:]+:(\d+)", line) for line in process.stderr)))
        yield int(ready[1]), (home.keys / "mcp.token").read_text().strip()


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
