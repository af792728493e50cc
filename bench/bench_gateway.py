"""The MCP gateway: what it adds to a direct call, and how many calls it passes, in both revisions and over both ways.

Server, gateway and clients are processes of their own on one machine. The server does nothing, the clients write bytes
that are ready, and connections are kept. Each call is judged, and leaves two signed receipts that are durable; what a
server can do (2025-11-25: a ping) is passed on without, and shows what the way there and back costs by itself. The ways
take turns within a round, so that they have the same weather. CPU is that of the gateway's process alone, from the
system's clock ticks.

`--proxy` puts a proxy framework on the same server beside it (requirements/bench-proxy.txt, in .bench-venv-proxy). It
judges nothing and records nothing; its figures are printed, and not kept.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from harness import (
    BENCH,
    ROOT,
    Bench,
    at_least,
    at_most,
    cpu_of,
    environment,
    folder,
    made_venv,
    number,
    places,
    spread,
)

from navicert.assemble import make_home
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

CLIENTS = 16
POLICY = "policy: bench\nversion: 1\nposture: declared_reads\ntools:\n  desk.look: {effect: read, returns: INTERNAL}\n"
CALL = ("tools/call", {"name": "look", "arguments": {"path": "a.txt"}})
NEW, OLD = "2026-07-28", "2025-11-25"
PASSED = {NEW: ("server/discover", {}), OLD: ("ping", {})}
FIRST = 100_000_000
"""The id of the first request: all of them are of one length."""
WORKER = [sys.executable, str(BENCH / "worker_mcp.py")]
PROXY = ROOT / ".bench-venv-proxy"

Ask = Callable[[], Awaitable[None]]


def main() -> None:
    bench = Bench("gateway", __doc__, proxy="measure a proxy framework in the same run")
    proxied = False
    if bench.flags["proxy"]:
        reason = made_venv(PROXY, ROOT / "requirements" / "bench-proxy.txt", quick=bench.quick)
        proxied = not reason
        if reason:
            bench.skip("proxy.*", reason)
    for kind, place in places(bench, "shm.*"):
        with ExitStack() as running_, folder(kind) as made:
            server = running_.enter_context(upstream())
            home = home_with(made / "http", Server(url=f"http://127.0.0.1:{server}/mcp"))
            port, token, process = running_.enter_context(gateway(home))
            ours = f"Authorization: Bearer {token}\r\n"
            for revision in (NEW, OLD):
                if kind != "disk" and revision != NEW:
                    continue  # what is on the way is the same, and the store is the other
                ways = {
                    "direct": Way(Line(server, CALL, revision)),
                    "passed": Way(Line(port, PASSED[revision], revision, ours), process),
                    "judged": Way(Line(port, CALL, revision, ours), process),
                }
                if proxied and kind == "disk":
                    beside = running_.enter_context(proxy(server))
                    ways["proxy"] = Way(Line(beside[0], CALL, revision), beside[1])
                name = kind if revision == NEW else f"{kind}.{revision}"
                asyncio.run(measure(bench, name, f"HTTP, {revision}, {place}", ways, many=True))
            if kind == "disk":
                home = home_with(made / "stdio", Server(command=(*WORKER, "--stdio")))
                ways = {
                    "direct": Way(Pipe([*WORKER, "--stdio"], CALL)),
                    "passed": Way(Pipe(mcp(home), PASSED[NEW])),
                    "judged": Way(Pipe(mcp(home), CALL)),
                }
                if proxied:
                    ways["proxy"] = Way(Pipe([*worker_proxy(), *WORKER, "--stdio"], CALL))
                asyncio.run(measure(bench, f"{kind}.stdio", f"standard input, {NEW}, {place}", ways, many=False))
    bench.finish()


class Way(NamedTuple):
    """A way to the server. process: of what stands on it, where its CPU is measured."""

    line: Line | Pipe
    process: int | None = None


async def measure(bench: Bench, key: str, place: str, ways: dict[str, Way], *, many: bool) -> None:
    times, rounds = bench.count(500, 20), bench.count(7, 1)
    took: dict[str, list[float]] = {name: [] for name in ways}
    slow: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        await way.line.one(times // 2 if name != "proxy" else 10)  # the warm-up
    for _ in range(rounds):
        for name, way in ways.items():
            before = cpu_of(way.process) if way.process else 0.0
            asked = times if name != "proxy" else max(10, times // 10)
            found = sorted(await way.line.one(asked))
            took[name].append(statistics.median(found) * 1e3)
            slow[name].append(found[len(found) * 95 // 100] * 1e3)
            used[name].append((cpu_of(way.process) - before) / asked * 1e3 if way.process else 0.0)
    bench.figure(f"{key}.direct", f"a direct call, {place}", spread(took["direct"]), "ms")
    aimed = at_most(0.5) if key in ("disk", f"disk.{OLD}") else None
    for name, what, target in (("passed", "to what is passed on", None), ("judged", "to a call", aimed)):
        added = [more - less for less, more in zip(took["direct"], took[name], strict=True)]
        late = [more - less for less, more in zip(slow["direct"], slow[name], strict=True)]
        bench.figure(f"{key}.{name}_added", f"added {what}, {place}", spread(added), "ms", target=target)
        bench.figure(f"{key}.{name}_added_p95", f"added {what}, percentile 95, {place}", spread(late), "ms")
        if ways[name].process:
            bench.figure(f"{key}.{name}_cpu", f"CPU of the gateway, {name}, {place}", spread(used[name]), "ms")
    if "proxy" in ways:
        added = [more - less for less, more in zip(took["direct"], took["proxy"], strict=True)]
        late = [more - less for less, more in zip(slow["direct"], slow["proxy"], strict=True)]
        show(f"{key}.proxy_added", statistics.median(added), "ms")
        show(f"{key}.proxy_added_p95", statistics.median(late), "ms")
        if ways["proxy"].process:
            show(f"{key}.proxy_cpu", statistics.median(used["proxy"]), "ms")
    if many:
        await measure_many(bench, key, place, ways, times, rounds)


async def measure_many(bench: Bench, key: str, place: str, ways: dict[str, Way], times: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(await way.line.many(times // CLIENTS + 1 if name != "proxy" else 3))
    for name in ways:
        if name == "proxy":
            show(f"{key}.proxy_rate", statistics.median(rates[name]), "/s")
            continue
        target = at_least(1_000) if (key, name) == ("disk", "judged") else None
        title = f"{name}, {CLIENTS} clients, {place}"
        bench.figure(f"{key}.{name}_rate", title, spread(rates[name]), "/s", target=target)


def show(key: str, value: float, unit: str) -> None:
    """Print a figure that is not kept."""
    print(f"gateway.{key:<26} {number(value):>9} {unit:<14} (not kept)", flush=True)


def body(kind: tuple[str, dict[str, Any]], revision: str) -> dict[str, Any]:
    """Return a request as a message of a revision."""
    method, params = kind
    if revision == NEW:
        meta = {f"io.modelcontextprotocol/{name}": value for name, value in ABOUT.items()}
        params = params | {"_meta": meta}
    return {"jsonrpc": "2.0", "id": FIRST, "method": method, "params": params}


def numbered(data: bytes) -> Iterator[bytes]:
    """Yield a request again and again, each under an id of its own."""
    before, id_, after = data.partition(str(FIRST).encode())
    return (b"%s%d%s" % (before, number_, after) for number_ in count(int(id_)))


ABOUT = {"protocolVersion": NEW, "clientInfo": {"name": "bench", "version": "1"}, "clientCapabilities": {}}
HELLO = {"protocolVersion": OLD, "clientInfo": {"name": "bench", "version": "1"}, "capabilities": {}}


class Line:
    """Requests of one kind to one port."""

    def __init__(self, port: int, kind: tuple[str, dict[str, Any]], revision: str, more: str = "") -> None:
        self.port = port
        self.revision = revision
        self.more = more
        self.kind = kind

    def post(self, message: dict[str, Any], session: str | None = None) -> bytes:
        text = json.dumps(message)
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n{self.more}"
        if self.revision == NEW:
            name = message["params"].get("name")
            head += f"Mcp-Method: {message['method']}\r\n" + (f"Mcp-Name: {name}\r\n" if name else "")
        if session is not None or self.revision == NEW:
            head += f"MCP-Protocol-Version: {self.revision}\r\n"
        head += f"Mcp-Session-Id: {session}\r\n" if session else ""
        length = len(text.encode())
        accept = "Accept: application/json, text/event-stream\r\n"
        return f"{head}{accept}Content-Length: {length}\r\n\r\n{text}".encode()

    async def one(self, times: int) -> list[float]:
        """Ask one after the other; returns the seconds of each."""
        async with self.connected() as ask:
            return await timed(ask, times)

    async def many(self, times: int) -> float:
        """Ask from many clients at once; returns how many are answered per second."""
        ready = asyncio.Barrier(CLIENTS)
        found = await asyncio.gather(*(self._among(ready, times) for _ in range(CLIENTS)))
        return CLIENTS * times / (max(end for _, end in found) - min(start for start, _ in found))

    async def _among(self, ready: asyncio.Barrier, times: int) -> tuple[float, float]:
        async with self.connected() as ask:
            await ready.wait()
            start = perf_counter()
            await timed(ask, times)
            return start, perf_counter()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Ask]:
        """Open a connection, with its handshake where the revision has one; gives what asks once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        asking = numbered(self.post(body(self.kind, self.revision)))

        async def say(sent: bytes) -> tuple[bytes, bytes]:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            return head, await reader.readexactly(int(length[1]) if length else 0)

        async def ask() -> None:
            head, answer = await say(next(asking))
            assert head.lower().startswith(b"http/1.1 200"), head + answer
            assert b'"result"' in answer, answer
            assert b'"isError":true' not in answer.replace(b" ", b""), answer

        if self.revision == OLD:
            hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
            head, answer = await say(self.post(hello))
            assert b'"result"' in answer, head + answer
            session = re.search(rb"(?i)mcp-session-id: *([^\r]+)", head)
            name = session[1].decode() if session else ""
            await say(self.post({"jsonrpc": "2.0", "method": "notifications/initialized", "params": {}}, name))
            asking = numbered(self.post(body(self.kind, OLD), name))
        try:
            yield ask
        finally:
            writer.close()
            await writer.wait_closed()


class Pipe:
    """Requests of one kind to a process of its own, over standard input and output."""

    def __init__(self, command: list[str], kind: tuple[str, dict[str, Any]]) -> None:
        self.command = command
        self.data = json.dumps(body(kind, NEW)).encode() + b"\n"

    async def one(self, times: int) -> list[float]:
        """Ask one after the other; returns the seconds of each. The first is not among them."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self.command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment()
        )

        asking = numbered(self.data)

        async def ask() -> None:
            process.stdin.write(next(asking))
            answer = await process.stdout.readline()
            assert b'"result"' in answer, answer
            assert b'"isError":true' not in answer.replace(b" ", b""), answer

        try:
            await timed(ask, max(1, times // 10))
            return await timed(ask, times)
        finally:
            process.stdin.close()
            await process.wait()

    async def many(self, times: int) -> float:
        raise NotImplementedError("one client alone speaks over a pipe")


async def timed(ask: Ask, times: int) -> list[float]:
    found = []
    for _ in range(times):
        start = perf_counter()
        await ask()
        found.append(perf_counter() - start)
    return found


@contextmanager
def upstream() -> Iterator[int]:
    with running(WORKER) as process:
        yield int(process.stdout.readline())


def home_with(made: Path, entry: Server) -> Any:
    home = make_home(made, origin="bench", service="bench", policy=POLICY)
    write_server(home.folder, "desk", asyncio.run(look("desk", entry)).server)
    return home


def mcp(home: Any, *more: str) -> list[str]:
    return [sys.executable, "-m", "navicert", "--home", str(home.folder), "mcp", "desk", *more]


@contextmanager
def gateway(home: Any) -> Iterator[tuple[int, str, int]]:
    """Serve a home over HTTP; gives the port, the token and the process."""
    with running(mcp(home, "--listen", "127.0.0.1:0")) as process:
        ready = next(filter(None, (re.search(r"serving http://[^:]+:(\d+)", line) for line in process.stderr)))
        yield int(ready[1]), (home.keys / "mcp.token").read_text().strip(), process.pid


def worker_proxy() -> list[str]:
    return [str(PROXY / "bin" / "python"), str(BENCH / "worker_proxy.py")]


@contextmanager
def proxy(server: int) -> Iterator[tuple[int, int]]:
    with running([*worker_proxy(), f"http://127.0.0.1:{server}/mcp"]) as process:
        yield int(process.stdout.readline()), process.pid


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
