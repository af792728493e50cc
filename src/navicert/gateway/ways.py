"""The ways to the servers of one gateway: over HTTP or to a launched program, each with the same face (R1).

* What stands before them (`Relay`, `Fan`) does not know which it is.
* In 2025-11-25 a launched server belongs to one connection; in 2026-07-28 to one caller's session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from navicert.gateway.child import Child, Line
from navicert.gateway.message import Message
from navicert.gateway.mirror import Mirror
from navicert.gateway.pins import Server

if TYPE_CHECKING:
    import aiohttp

    from navicert.gateway.relay import Relay

Note = Callable[[str, str], None]
"""Tells the operator: of which server, and what."""
Take = Callable[[Message], Awaitable[None]]


class NoStream(Exception):
    """The server has no stream of its own messages."""


class Way(Protocol):
    """One connection's way to one server."""

    version: str | None
    """The revision that a handshake agreed on."""
    gone: bool
    """The server does not know the session any more."""
    down: str | None
    """Why it could not be reached, the last time that it could not."""

    async def send(self, message: Message) -> None:
        """Send a message; a request's answer is taken before this returns.

        Raises `ConnectionError` where none comes: it may have happened. `NotSent`: it did not.
        """
        ...

    def stream(self) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Open the stream of the server's own messages; raises `NoStream` where it has none."""
        ...

    async def end(self) -> None:
        """End what is the connection's own at the server."""
        ...


class Lane(NamedTuple):
    """One connection's relay to one server, and its way there."""

    relay: Relay
    way: Way


class Ways:
    """What is shared by the ways to the servers of a gateway; to be closed."""

    def __init__(self, servers: Mapping[str, Server], note: Note) -> None:
        self._servers = servers
        self._note = note
        self._http: dict[str, aiohttp.ClientSession] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._running: set[Child] = set()

    def to(self, name: str, take: Take, shared: dict[str, Child] | None = None) -> Way:
        """Return a way to a server. shared: the launched ones of the caller's session; None: one of its own."""
        server = self._servers[name]

        def note(text: str) -> None:
            self._note(name, text)

        if server.url is None:
            if shared is None:
                return Line(Child(server, self._running, note), take)
            if name not in shared:
                shared[name] = Child(server, self._running, note, shared=True)
            return Line(shared[name], take)
        from navicert.gateway.upstream import Upstream, client

        if name not in self._http:
            self._http[name], self._mirrors[name] = client(server), Mirror(server)
        return Upstream(server, self._mirrors[name], self._http[name], take, note)

    async def close(self) -> None:
        """End every server that was launched, and every connection."""
        ends = (*(child.end() for child in self._running), *(http.close() for http in self._http.values()))
        await asyncio.gather(*ends)
