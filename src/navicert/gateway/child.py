"""A launched server behind the gateway, asked by many requests at once (R1; reference: docs/reference/mcp.md).

* Requests go to it under ids and progress tokens of our own: two that chose the same cannot get each other's answers.
* What it says goes to the request that it belongs to. What belongs to none goes, in a handshake's connection, to the
  one that is waiting, else to the connection's own stream; in 2026-07-28 nowhere, and a request of it is refused.
* When it ends, whoever waits is told, and the next request starts it anew: its program must still be the accepted one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any, Final, NamedTuple

from navicert.core.canonical import Number
from navicert.gateway import message as rpc
from navicert.gateway.message import METHOD_NOT_FOUND, Id, Kind, Message, Refused, Tree
from navicert.gateway.pins import Server
from navicert.gateway.side import AT_ONCE, Key, NotSent, Send, key_of
from navicert.gateway.stdio import launch, pump, stop, to_child
from navicert.gateway.surfaces import CANCELLED
from navicert.model.errors import IntegrityError

Take = Callable[[Message], Awaitable[None]]
CHILDREN: Final = 64
"""So many servers may run at once behind one gateway."""
INITIALIZED: Final = "notifications/initialized"
_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
_OPENING_S: Final = 30.0
_ENDED: Final = "the server ended before it answered"


class _Waiting(NamedTuple):
    """A request that waits. id, token: as its sender chose them. came: what came for it, or why nothing more does."""

    id: Id
    token: Any
    came: asyncio.Queue[Message | str]


class Child:
    """A server that is launched when it is first asked. running: all of this gateway.

    shared: by requests that stand for themselves (2026-07-28); otherwise it is one connection's own.
    """

    def __init__(
        self, server: Server, running: set[Child], note: Callable[[str], None], *, shared: bool = False
    ) -> None:
        self._server = server
        self._running = running
        self._note = note
        self._shared = shared
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._say: Send | None = None
        self._starting = asyncio.Lock()
        self._number = 0
        self._used = 0.0
        self._waiting: dict[Id, _Waiting] = {}
        self._loose: asyncio.Queue[Message | str] = asyncio.Queue(AT_ONCE)
        self._heard = False
        self._opening: tuple[Message, Any] | None = None
        """The handshake that it was opened with, and the revision agreed on."""

    async def ask(self, request: Message, take: Take, ids: dict[Key, Id]) -> None:
        """Send a request, and hand on what comes for it, its answer last. ids: gets the id under which it went.

        Raises `ConnectionError` where no answer comes: it may have happened. `NotSent`: it did not.
        """
        await self._started()
        self._used = monotonic()
        await self._ask(request, take, ids)

    async def tell(self, message: Message) -> None:
        """Send a notification or an answer; raises `NotSent` where it has ended."""
        if self._say is None:
            raise NotSent("the server has ended")
        await self._say(message)

    async def end(self) -> None:
        """End it, if it runs."""
        reading, process = self._reading, self._process
        self._reading = self._process = None
        if reading is not None and process is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._over(process)
            await stop(process)

    async def leave(self) -> None:
        """End it where it was one connection's own, and that is over."""
        if not self._shared:
            await self.end()

    async def heard(self) -> AsyncIterator[Message]:
        """Yield what belongs to no request, for as long as anybody listens."""
        self._heard = True
        try:
            while True:
                message = await self._loose.get()
                if isinstance(message, Message):
                    yield message
        finally:
            self._heard = False

    # asking

    async def _ask(self, request: Message, take: Take, ids: dict[Key, Id]) -> None:
        self._number += 1
        ours: Id = Number(str(self._number))
        meta = request.params.get("_meta")
        token = meta.get("progressToken") if type(meta) is dict else None
        tree = request.tree | {"id": ours}
        if type(meta) is dict and token is not None:
            tree |= {"params": request.params | {"_meta": meta | {"progressToken": ours}}}
        waiting = self._waiting[ours] = _Waiting(request.id or "", token, asyncio.Queue(AT_ONCE))
        ids[key_of(request.id)] = ours
        if not self._heard:
            while not self._loose.empty():  # nobody has listened until now
                waiting.came.put_nowait(self._loose.get_nowait())
        try:
            await self.tell(Message(Kind.REQUEST, tree))
            while isinstance(came := await waiting.came.get(), Message):
                if came.kind in (Kind.RESULT, Kind.ERROR):
                    ids.pop(key_of(request.id), None)
                    self._remember(request, came)
                    await take(Message(came.kind, came.tree | {"id": request.id}))
                    return
                await take(came)
            raise ConnectionError(came)
        finally:
            self._waiting.pop(ours, None)
            while not waiting.came.empty():
                self._leave(waiting.came.get_nowait())

    def _remember(self, request: Message, reply: Message) -> None:
        if request.method == "initialize" and reply.kind is Kind.RESULT and not self._shared:
            self._opening = request, reply.tree["result"].get("protocolVersion")

    def _leave(self, message: Message | str) -> None:
        """Keep what nobody took for whoever comes next."""
        if isinstance(message, Message) and message.kind in (Kind.REQUEST, Kind.NOTIFICATION):
            if self._loose.full():
                self._loose.get_nowait()
            self._loose.put_nowait(message)

    # what it says

    async def _came(self, data: bytes) -> None:
        try:
            message = rpc.read(data)
        except Refused as error:
            self._note(f"a message of the server is dropped: {error}")
            if error.id is not None or len(data) > rpc.LIMIT:  # too long, it may have been the answer to any of them
                self._fail(f"the server's answer cannot be read: {error}", error.id)
            return
        if message.kind in (Kind.RESULT, Kind.ERROR):
            waiting = self._of(message.id)
            if waiting is None:
                self._note("an answer of the server that nobody waits for is dropped")
            else:
                await waiting.came.put(message)
        elif message.kind is Kind.REQUEST:
            if self._shared:
                await self.tell(rpc.error(message.id, METHOD_NOT_FOUND, "this is not passed on"))
            else:
                await self._loosely(message)
        else:
            await self._notified(message)

    async def _notified(self, message: Message) -> None:
        params = message.params
        meta = params.get("_meta")
        waiting = self._of(params.get("progressToken"))
        if waiting is not None and waiting.token is not None:
            changed: Tree = {"progressToken": waiting.token}
        elif type(meta) is dict and _SUBSCRIPTION in meta:
            waiting = self._of(meta[_SUBSCRIPTION])
            if waiting is None:
                return
            changed = {"_meta": meta | {_SUBSCRIPTION: waiting.id}}
        elif self._shared or "progressToken" in params:
            return
        else:
            await self._loosely(message)
            return
        await waiting.came.put(Message(message.kind, message.tree | {"params": params | changed}))

    def _of(self, ours: Any) -> _Waiting | None:
        return self._waiting.get(ours) if type(ours) is Number else None

    async def _loosely(self, message: Message) -> None:
        waiting = [*self._waiting.values()]
        if len(waiting) == 1 or (waiting and not self._heard):
            await waiting[-1].came.put(message)
        elif self._heard:
            await self._loose.put(message)
        else:
            self._leave(message)

    def _fail(self, why: str, ours: Id | None = None) -> None:
        """Tell whoever waits under this id, or everybody, that their answer does not come."""
        for id_, waiting in self._waiting.items():
            if ours is None or key_of(ours) == key_of(id_):
                if waiting.came.full():
                    waiting.came.get_nowait()
                waiting.came.put_nowait(why)

    # the program

    async def _started(self) -> None:
        async with self._starting:
            if self._process is not None and self._process.returncode is not None:
                await self.end()  # whoever it started keeps its output open
            if self._say is not None:
                return
            await self._make_room()
            self._running.add(self)
            try:
                process = await launch(self._server)
            except BaseException as error:
                self._running.discard(self)
                if isinstance(error, IntegrityError):
                    raise NotSent(str(error)) from None
                raise
            self._process, self._say = process, to_child(process)
            # what it says belongs to no request that happens to be in hand now
            self._reading = asyncio.create_task(self._read(process), context=Context())
            if self._opening is not None:
                await self._open_again(*self._opening)

    async def _make_room(self) -> None:
        """End the one that nobody has asked for longest, where too many run; raises `NotSent`."""
        if len(self._running) < CHILDREN:
            return
        idle = [each for each in self._running if each._shared and each._say is not None and not each._waiting]  # noqa: SLF001 - of its own kind
        if not idle:
            raise NotSent(f"{CHILDREN} servers run already; end some sessions, or wait")
        await min(idle, key=lambda each: each._used).end()  # noqa: SLF001 - likewise

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ConnectionError):  # it does not read any more: it is about to end
            await pump(process.stdout, self._came)
        self._note("the server has ended")
        self._over(process)
        await stop(process)

    def _over(self, process: asyncio.subprocess.Process) -> None:
        """Take note that a process says nothing more; another may run by now."""
        if self._process in (None, process):
            self._process = self._say = None
            self._running.discard(self)
            self._fail(_ENDED)

    async def _open_again(self, request: Message, version: Any) -> None:
        """Repeat the handshake with a server that was started anew; raises `NotSent`."""
        found: list[Message] = []

        async def take(message: Message) -> None:
            found.append(message)

        try:
            async with asyncio.timeout(_OPENING_S):
                await self._ask(request, take, {})
                why = "it agrees on another revision than before"
                if found[-1].tree.get("result", {}).get("protocolVersion") == version:
                    await self.tell(rpc.notification(INITIALIZED, {}))
                    return
        except (ConnectionError, TimeoutError) as error:
            why = str(error) or "it did not answer"
        await self.end()
        raise NotSent(f"the server was started anew, and did not open: {why}")


class Line:
    """One connection's way to a launched server: the face of `upstream.Upstream`."""

    def __init__(self, child: Child, take: Take) -> None:
        self._child = child
        self._take = take
        self._ids: dict[Key, Id] = {}
        self.version: str | None = None
        self.gone = False
        self.down: str | None = None

    async def send(self, message: Message) -> None:
        """Send a message. A request's answer, and what comes before it, is taken before this returns.

        Raises `ConnectionError` where no answer to a request comes: it may have happened. `NotSent`: it did not.
        """
        if message.kind is not Kind.REQUEST:
            await self._tell(message)
            return

        async def take(came: Message) -> None:
            if came.kind is Kind.RESULT and message.method == "initialize":
                version = came.tree["result"].get("protocolVersion")
                self.version = version if type(version) is str else None
            await self._take(came)

        self.down = None
        try:
            await self._child.ask(message, take, self._ids)
        except ConnectionError as error:
            self.down = str(error)
            raise

    async def _tell(self, message: Message) -> None:
        if message.method == CANCELLED:
            ours = self._ids.pop(key_of(message.params.get("requestId")), None)
            if ours is None:
                return  # it has been answered
            message = Message(message.kind, message.tree | {"params": message.params | {"requestId": ours}})
        await self._child.tell(message)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[Message]]:
        """Open the stream of what belongs to no request."""
        yield self._child.heard()

    async def end(self) -> None:
        """End the server, where it is this connection's own."""
        await self._child.leave()
