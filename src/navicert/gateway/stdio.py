"""The gateway over standard input and output: the client launched us, and we launch or reach the server (mcp.md).

* The server's command comes from the operator's own file, never from the client; its program is the one that was
  accepted. Of the environment it gets what its entry names, and what programs need to start.
* What it prints that is no message is dropped; its standard error goes to ours.
* The client's end ends the server; the server's end fails what is on its way, and then ends us.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from navicert.core.inert import inert
from navicert.engine.mediating import Mediator
from navicert.gateway.message import LIMIT, Message
from navicert.gateway.pins import Server, Watch
from navicert.gateway.relay import Relay
from navicert.gateway.side import NotSent, Send
from navicert.model.errors import IntegrityError
from navicert.sdk.guard import Guard

SURFACE: Final = "mcp-stdio"
_NEEDED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME")
_PATIENCE_S: Final = 5.0


def environment(server: Server, of: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a server: what any program needs, and what its entry says."""
    held = os.environ if of is None else of
    return {name: held[name] for name in _NEEDED if name in held} | dict(server.env)


def program_digest(command: tuple[str, ...]) -> str:
    """Return the SHA-256 of the file that a command executes; raises `IntegrityError` where there is none."""
    found = shutil.which(command[0])
    if found is None:
        raise IntegrityError(f"`{command[0]}` is no program here; install it, or correct the server's command")
    return sha256(Path(found).resolve().read_bytes()).hexdigest()


async def launch(server: Server) -> asyncio.subprocess.Process:
    """Start a server; raises `IntegrityError` where its program is not the one that was accepted."""
    if server.program is not None and program_digest(server.command) != server.program:
        raise IntegrityError(f"`{server.command[0]}` has changed since it was accepted; look at it, and accept it anew")
    try:
        return await asyncio.create_subprocess_exec(
            *server.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(server),
            limit=LIMIT + 2,
        )
    except OSError as error:
        raise IntegrityError(f"`{server.command[0]}` cannot be started: {error.strerror}") from None


async def serve(guard: Guard, session_id: str, name: str, server: Server, surface: str = SURFACE) -> None:
    """Relay between our standard input and output and a server, until one of them ends."""
    if server.url is not None:
        await _serve_reached(guard, session_id, name, server, surface)
        return
    child = await launch(server)
    client = await _stdin()
    relay = _relay(guard, session_id, name, Watch(server), surface, to_child(child))
    below = asyncio.create_task(pump(child.stdout, relay.from_server))
    above = asyncio.create_task(pump(client, relay.from_client))
    try:
        done, _ = await asyncio.wait({below, above}, return_when=asyncio.FIRST_COMPLETED)
        if below in done:
            note(name, "the server has ended")
            relay.server_ended()
            await relay.settled(_PATIENCE_S)  # whoever waited is told before we end
        for task in done:
            task.result()
    finally:
        await relay.end()
        for task in (below, above):
            task.cancel()
        await stop(child)


async def _serve_reached(guard: Guard, session_id: str, name: str, server: Server, surface: str) -> None:
    """Relay between our standard input and output and a server that is reached over HTTP, until the client ends."""
    from navicert.gateway.mirror import Mirror
    from navicert.gateway.upstream import Upstream, client
    from navicert.gateway.ways import NoStream

    listening: list[asyncio.Task[None]] = []

    async def to_server(message: Message) -> None:
        await upstream.send(message)
        if message.method == "notifications/initialized" and not listening:
            listening.append(asyncio.create_task(listen()))

    async def listen() -> None:
        try:
            async with upstream.stream() as messages:
                async for message in messages:
                    await relay.server_says(message)
        except NoStream:
            return
        except ConnectionError as error:
            note(name, f"the server's own stream ended: {error}")

    relay = _relay(guard, session_id, name, Watch(server), surface, to_server)
    async with client(server) as http:
        upstream = Upstream(server, Mirror(server), http, relay.server_says, lambda text: note(name, text))
        try:
            await pump(await _stdin(), relay.from_client)
        finally:
            for task in listening:
                task.cancel()
            await relay.end()
            await upstream.end()


async def serve_many(guard: Guard, session_id: str, servers: Mapping[str, Server], surface: str = SURFACE) -> None:
    """Relay between our standard input and output and many servers, until the client ends."""
    from navicert.gateway.many import Fan
    from navicert.gateway.ways import Lane, Ways

    def lane(name: str, to_client: Send) -> Lane:
        async def take(message: Message) -> None:
            await relay.server_says(message)

        way = ways.to(name, take)
        relay = _relay(guard, session_id, name, Watch(servers[name]), surface, way.send, to_client)
        return Lane(relay, way)

    ways = Ways(servers, note)
    fan = Fan(servers, lane, _to_stdout(), note, listens=True)
    try:
        await pump(await _stdin(), fan.from_client)
    finally:
        await fan.end()
        await ways.close()


def to_child(child: asyncio.subprocess.Process) -> Send:
    """Return what sends to a server that was launched; it raises `NotSent` once that has ended."""
    turn = asyncio.Lock()

    async def to_server(message: Message) -> None:
        pipe = child.stdin
        if pipe is None or pipe.is_closing():
            raise NotSent("the server has ended")
        async with turn:
            await pipe.drain()  # before: who gives up waiting for it has written nothing
            pipe.write(message.data() + b"\n")

    return to_server


def _to_stdout() -> Send:
    loop = asyncio.get_running_loop()
    out = asyncio.Lock()

    async def to_client(message: Message) -> None:
        data = message.data() + b"\n"
        async with out:
            await loop.run_in_executor(None, _write, data)

    return to_client


def _relay(
    guard: Guard, session_id: str, name: str, watch: Watch, surface: str, to_server: Send, to_client: Send | None = None
) -> Relay:
    engine: Mediator = guard.engine
    return Relay(
        engine, session_id, name, watch, surface=surface, to_client=to_client or _to_stdout(), to_server=to_server,
        refresh=guard.refresh, note=lambda text: note(name, text),
    )  # fmt: skip


def note(name: str, text: str) -> None:
    """Tell the operator, on standard error, where it can be written to."""
    with suppress(OSError):
        sys.stderr.write(f"navicert mcp{' ' * bool(name)}{name}: {inert(text)}\n")
        sys.stderr.flush()


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LIMIT + 2)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def pump(reader: asyncio.StreamReader | None, take: Callable[[bytes], Awaitable[None]]) -> None:
    """Hand over each line; of one beyond the limit, so much that it is seen to be, once its end has come."""
    if reader is None:
        return
    over = b""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError as error:
            part = await reader.readexactly(error.consumed)
            over = over or part
            continue
        line, over = over or line.strip(), b""
        if line:
            await take(line)


async def stop(child: asyncio.subprocess.Process) -> None:
    """End a server: its input closes; then it is asked to end; then it is made to."""
    if child.stdin is not None:
        child.stdin.close()
    for end in (None, signal.SIGTERM, signal.SIGKILL):
        if end is not None:
            with suppress(ProcessLookupError):
                child.send_signal(end)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await child.wait()
                return
