"""Many servers behind one address (R1; reference: docs/reference/mcp.md): to a client, one server; each has its relay.

* What a request is for tells whose it is (`naming`). The server's name is taken off before anything is judged: an
  action is the same as where the server stands alone.
* An opening or a list goes to all, and the answers are put together (`merging`). Who fails is left out, and it is said.
* What one server says is never taken for another's: the ids and tokens of its requests are replaced by our own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from navicert.engine.workings import safe
from navicert.gateway import message as rpc
from navicert.gateway.calling import trouble
from navicert.gateway.child import INITIALIZED
from navicert.gateway.merging import discovered, listed, opened
from navicert.gateway.message import INVALID_REQUEST, METHOD_NOT_FOUND, Id, Kind, Message, Refused, Tree
from navicert.gateway.mirror import version_of
from navicert.gateway.naming import LISTS, TASK, routed, shown, told
from navicert.gateway.side import AT_ONCE, Key, Send, key_of
from navicert.gateway.surfaces import CANCELLED, PROGRESS
from navicert.gateway.ways import Lane, NoStream

Open = Callable[[str, Send], Lane]
"""Makes the relay and the way to a server, given its name and where its answers go."""
DISCOVER: Final = "server/discover"
LEVEL: Final = "logging/setLevel"
SOON_S: Final = 30.0
"""So long are the servers waited for where all of them answer together."""
_PAGES: Final = 100
_ASKED: Final = 4_096
_UNKNOWN: Final = -32602
_NO_RESOURCE: Final = -32002


class _Route(NamedTuple):
    """A request of the client that one server answers. token: of its progress."""

    server: str
    method: str
    token: Any


class _Asked(NamedTuple):
    """A request of a server, as it came."""

    server: str
    id: Id
    token: Any


class Fan:
    """Messages of one client and many servers: the face of `Relay` to a client, and of `Way` to what carries it.

    note: for the operator's eyes, of which server. listens: hear what the servers say of their own once they are open.
    """

    def __init__(
        self,
        servers: Iterable[str],
        lane: Open,
        to_client: Send,
        note: Callable[[str, str], None],
        *,
        listens: bool = False,
    ) -> None:
        def of(name: str) -> Lane:
            async def say(message: Message) -> None:
                await self._said(name, message)

            return lane(name, say)

        self._lanes = {name: of(name) for name in servers}
        self._scheme = {name.lower(): name for name in self._lanes} | {name: name for name in self._lanes}
        self._to_client = to_client
        self._note = note
        self._listens = listens
        self._hearing: asyncio.Task[None] | None = None
        self._down: dict[str, str] = {}
        """Servers that did not open → why."""
        self._routes: dict[Key, _Route] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._probes: list[asyncio.Task[None]] = []
        """Requests for `server/discover` since the servers were started."""
        self._own: dict[str, asyncio.Future[Message]] = {}
        self._asked: dict[str, _Asked] = {}
        self._mark = f"all-{secrets.token_hex(8)}-"  # no id of a client's is one of ours
        self._number = 0
        self.version: str | None = None
        self.down: str | None = None

    @property
    def gone(self) -> bool:
        """Tell whether one of the servers does not know the session any more: it must be opened anew."""
        return any(lane.way.gone for lane in self._lanes.values())

    @property
    def tokens(self) -> frozenset[str]:
        """What later requests may name to go on with something here: states, and tasks by the names that are shown."""
        held = [(name, token) for name, lane in self._lanes.items() for token in lane.relay.tokens]
        return frozenset(each for name, token in held for each in (token, f"{name}{TASK}{token}"))

    @property
    def busy(self) -> bool:
        """Tell whether a request of the client is on its way."""
        return bool(self._tasks) or any(lane.relay.busy for lane in self._lanes.values())

    async def from_client(self, data: bytes) -> None:
        """Take one message of the client."""
        try:
            message = rpc.read(data)
        except Refused as error:
            await self._to_client(rpc.error(error.id, error.code, str(error)))
            return
        await self.client_says(message)

    async def client_says(self, message: Message) -> asyncio.Task[None] | None:
        """Take one message of the client that was read; returns what answers it, where that takes time."""
        if message.kind is Kind.REQUEST:
            return await self._requested(message)
        if message.kind is Kind.NOTIFICATION:
            await self._notified(message)
        else:
            asked = self._asked.pop(str(message.id), None) if type(message.id) is str else None
            if asked is None:
                self._note("", "an answer of the client that nobody waits for is dropped")
            else:
                await self._lanes[asked.server].relay.client_says(
                    Message(message.kind, message.tree | {"id": asked.id})
                )
        return None

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[Message]]:
        """Hear what the servers say of their own. Each message goes to its relay, none is yielded; it has no end."""
        hearing = [asyncio.create_task(self._hear(name)) for name in self._lanes if name not in self._down]
        try:
            yield _nothing()
        finally:
            for task in hearing:
                task.cancel()
            await asyncio.gather(*hearing, return_exceptions=True)

    async def end(self) -> None:
        """End every relay, and what is the connection's own at each server."""
        tasks = [*self._tasks.values(), *([self._hearing] if self._hearing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(lane.relay.end() for lane in self._lanes.values()))
        await asyncio.gather(*(lane.way.end() for lane in self._lanes.values()))

    # from the client

    async def _requested(self, request: Message) -> asyncio.Task[None] | None:
        id_, method = request.id or "", request.method
        key = key_of(id_)
        if key in self._routes or key in self._tasks or len(self._routes) + len(self._tasks) >= AT_ONCE:
            why = "a request with this id is on its way, or too many are"
            await self._to_client(rpc.error(id_, INVALID_REQUEST, why))
            return None
        if method in LISTS or method in ("initialize", DISCOVER, LEVEL):
            task = self._tasks[key] = asyncio.create_task(self._all(request))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
            if method == DISCOVER:
                self._probes = [*self._probes[-1:], task]
            return task
        if method == "ping" and version_of(request) is None:
            await self._to_client(rpc.result(id_, {}))
            return None
        try:
            found = routed(request, self._scheme)
        except LookupError:  # `subscriptions/listen` too, until what it hears is put together
            await self._to_client(rpc.error(id_, METHOD_NOT_FOUND, f"`{method:.80}` is not passed on"))
            return None
        if found is None:
            await self._to_client(_unknown(request))
            return None
        return await self._route(key, *found)

    async def _route(self, key: Key, server: str, request: Message) -> asyncio.Task[None] | None:
        if server in self._down:
            await self._to_client(trouble(request, f"the server `{server}` is not available: {self._down[server]}"))
            return None
        meta = request.params.get("_meta")
        token = meta.get("progressToken") if type(meta) is dict else None
        self._routes[key] = _Route(server, request.method, token)
        task = await self._lanes[server].relay.client_says(request)
        if task is None:
            self._routes.pop(key, None)
        else:
            task.add_done_callback(lambda _: self._routes.pop(key, None))
        return task

    async def _notified(self, message: Message) -> None:
        if message.method == CANCELLED:
            key = key_of(message.params.get("requestId"))
            if key in self._tasks:
                self._tasks[key].cancel()
            elif key in self._routes:
                await self._lanes[self._routes[key].server].relay.client_says(message)
        elif message.method == PROGRESS:
            asked = self._asked.get(str(message.params.get("progressToken")))
            if asked is not None and asked.token is not None:
                params = message.params | {"progressToken": asked.token}
                relay = self._lanes[asked.server].relay
                await relay.client_says(Message(message.kind, message.tree | {"params": params}))
        else:
            for name, lane in self._lanes.items():
                if name not in self._down:
                    await lane.relay.client_says(message)
            if message.method == INITIALIZED and self._listens and self._hearing is None:
                self._hearing = asyncio.create_task(self._listen())

    # to all

    async def _all(self, request: Message) -> None:
        """Answer what all servers answer together."""
        try:
            reply = await self._together(request)
        except Refused as error:
            reply = rpc.error(request.id, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - a failure of ours is an error for the caller
            reply = trouble(request, f"the gateway failed: {safe(error)}")
        await self._to_client(reply)

    async def _together(self, request: Message) -> Message:
        method = request.method
        if method == "initialize":
            self._down = {}
            await self._afresh()
        names = [name for name in self._lanes if name not in self._down]
        replies = await asyncio.gather(*(self._asks(name, request) for name in names))
        found = dict(zip(names, replies, strict=True))
        if method == DISCOVER:
            return self._discovered(request, found)
        good = {name: reply.tree["result"] for name, reply in found.items() if reply.kind is Kind.RESULT}
        bad = {name: _why(reply) for name, reply in found.items() if reply.kind is Kind.ERROR and not _lacks(reply)}
        if method == "initialize":
            bad |= {name: _why(reply) for name, reply in found.items() if reply.kind is Kind.ERROR}
            self._down = bad
        for name, why in bad.items():
            self._note(name, f"it is left out of the answer to `{method}`: {why}")
        if not good:
            return _answer(request, next(iter(found.values()), trouble(request, "none of the servers is available")))
        if method == LEVEL:
            return rpc.result(request.id or "", {})
        if method == "initialize":
            reply = opened(request, good, bad)
            self.version = reply.tree["result"]["protocolVersion"]
            return reply
        return listed(request, good, self._note, whole=not bad)

    def _discovered(self, request: Message, found: dict[str, Message]) -> Message:
        bad = {name: reply for name, reply in found.items() if reply.kind is Kind.ERROR and self._is_down(name)}
        for name, reply in bad.items():
            self._note(name, f"it is left out: {_why(reply)}")
        answered = {name: reply for name, reply in found.items() if name not in bad}
        if not answered:
            return _answer(request, next(iter(found.values())))
        return discovered(request, version_of(request) or "", answered, bad)

    async def _afresh(self) -> None:
        """Have servers that were asked for the later revision started anew: some hold whoever asked to it."""
        probes, self._probes = self._probes, []
        for task in probes:
            task.cancel()  # the client did not wait for the answer
        await asyncio.gather(*probes, return_exceptions=True)
        if probes:
            await asyncio.gather(*(lane.way.end() for lane in self._lanes.values()))

    def _is_down(self, name: str) -> bool:
        return self._lanes[name].way.down is not None

    async def _asks(self, name: str, request: Message) -> Message:
        """Return one server's answer; of a list, all pages of it."""
        if request.method not in LISTS:
            return await self._ask(name, request, {})
        member = LISTS[request.method].member
        items: list[Any] = []
        cursor: Tree = {}
        for _ in range(_PAGES):
            reply = await self._ask(name, request, cursor)
            if reply.kind is Kind.ERROR:
                return reply
            value: Tree = reply.tree["result"]
            items += value[member] if type(value.get(member)) is list else ()
            after = value.get("nextCursor")
            if type(after) is not str:
                return Message(reply.kind, reply.tree | {"result": value | {member: items}})
            cursor = {"cursor": after}
        return trouble(request, f"its list has more than {_PAGES} pages")

    async def _ask(self, name: str, request: Message, more: Tree) -> Message:
        self._number += 1
        id_ = f"{self._mark}{self._number}"
        params = {key: value for key, value in request.params.items() if key != "cursor"} | more
        if type(params.get("_meta")) is dict:
            params["_meta"] = {key: value for key, value in params["_meta"].items() if key != "progressToken"}
        found: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._own[id_] = found
        relay = self._lanes[name].relay
        try:
            async with asyncio.timeout(SOON_S):
                await relay.client_says(Message(request.kind, request.tree | {"id": id_, "params": params}))
                return await found
        except TimeoutError:
            return trouble(request, f"it took longer than {SOON_S:g} s")
        finally:
            del self._own[id_]
            if not found.done() or found.cancelled():
                await relay.client_says(rpc.notification(CANCELLED, {"requestId": id_}))

    # from the servers

    async def _said(self, server: str, message: Message) -> None:
        """Pass on what a server's relay has for the client."""
        if message.kind is Kind.REQUEST:
            await self._asked_back(server, message)
        elif message.kind is Kind.NOTIFICATION:
            changed = self._notice(server, message)
            if changed is not None:
                await self._to_client(changed)
        elif type(message.id) is str and message.id in self._own:
            if not self._own[message.id].done():
                self._own[message.id].set_result(message)
        else:
            route = self._routes.get(key_of(message.id))
            if route is not None and route.server == server:
                await self._to_client(shown(server, route.method, message))

    async def _asked_back(self, server: str, request: Message) -> None:
        self._number += 1
        ours = f"{server}-{self._number}"
        meta = request.params.get("_meta")
        token = meta.get("progressToken") if type(meta) is dict else None
        tree = request.tree | {"id": ours}
        if type(meta) is dict and token is not None:
            tree |= {"params": request.params | {"_meta": meta | {"progressToken": ours}}}
        self._asked[ours] = _Asked(server, request.id or "", token)
        while len(self._asked) > _ASKED:
            self._asked.pop(next(iter(self._asked)))
        try:
            await self._to_client(Message(request.kind, tree))
        except ConnectionError:
            self._asked.pop(ours, None)
            raise

    def _notice(self, server: str, message: Message) -> Message | None:
        """Return a notification as the client sees it; None for one about what is not this server's."""
        params = message.params
        if message.method == CANCELLED:
            id_ = params.get("requestId")
            wanted = (server, key_of(id_))
            ours = next((key for key, each in self._asked.items() if (each.server, key_of(each.id)) == wanted), None)
            if ours is None:
                return None
            return Message(message.kind, message.tree | {"params": params | {"requestId": ours}})
        if message.method == PROGRESS:
            token = key_of(params.get("progressToken"))
            if not any(each.server == server and key_of(each.token) == token for each in self._routes.values()):
                return None
        return told(server, message)

    async def _listen(self) -> None:
        async with self.stream() as messages:
            async for _ in messages:
                continue

    async def _hear(self, name: str) -> None:
        relay, way = self._lanes[name]
        try:
            async with way.stream() as messages:
                async for message in messages:
                    await relay.server_says(message)
        except NoStream:
            return
        except ConnectionError as error:
            self._note(name, f"the server's own stream ended: {error}")


async def _nothing() -> AsyncIterator[Message]:
    never: asyncio.Future[tuple[Message, ...]] = asyncio.get_running_loop().create_future()
    for message in await never:
        yield message


def _unknown(request: Message) -> Message:
    """Return the protocol's answer to what names nothing of a server's here."""
    name = request.params.get("name", request.params.get("uri"))
    what = f"`{name:.80}`" if type(name) is str else "this"
    missing = request.method == "resources/read" and version_of(request) is None
    return rpc.error(request.id, _NO_RESOURCE if missing else _UNKNOWN, f"no server here has {what}")


def _answer(request: Message, reply: Message) -> Message:
    return Message(reply.kind, reply.tree | {"id": request.id})


def _why(reply: Message) -> str:
    return f"{reply.tree['error'].get('message')!s:.200}"


def _lacks(reply: Message) -> bool:
    """Tell whether an error says that the server has nothing of the kind."""
    return str(reply.tree["error"].get("code")) == str(METHOD_NOT_FOUND)
