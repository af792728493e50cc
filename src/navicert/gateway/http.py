"""The gateway over streamable HTTP (R1; reference: docs/reference/mcp.md): one endpoint, `/mcp`, both revisions.

* 2025-11-25: `initialize` opens a connection under an `Mcp-Session-Id` of ours; POST, GET and DELETE belong to it.
* 2026-07-28: every POST stands for itself; its mirrored headers must fit its body.
* A request is answered as JSON, or as a stream once something comes before its answer. What reaches a client was parsed
  and looked at by `Relay`, as over stdio. A client that hangs up cancels what it asked for; the action stays open.
* Turned away before anything is read: another Host or Origin than ours, and who shows no token that is meant for us.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from contextvars import ContextVar
from functools import partial
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from navicert.adapters.identity.fetch import check_address
from navicert.engine.workings import safe
from navicert.gateway import message as rpc
from navicert.gateway.calling import DENIED, FAILED
from navicert.gateway.doors import INFERRED, SURFACE, Caller, Door, Held, Standings, bearer
from navicert.gateway.exchange import (
    SESSION,
    Answer,
    Ask,
    Say,
    Stream,
    Turned,
    headers_of,
    host_in,
    read_message,
    watch,
    watched,
    write,
)
from navicert.gateway.line import Listener
from navicert.gateway.many import Fan
from navicert.gateway.message import INTERNAL_ERROR, Kind, Message
from navicert.gateway.mirror import HANDSHAKE, MISMATCH, STATELESS, UNSUPPORTED, Mirror, version_of
from navicert.gateway.naming import together
from navicert.gateway.pins import Server
from navicert.gateway.relay import Relay
from navicert.gateway.side import Send
from navicert.gateway.surfaces import CANCELLED
from navicert.gateway.ways import Lane, NoStream, Note, Way, Ways
from navicert.model.errors import IdentityError, NavicertError
from navicert.sdk.guard import Guard

PATH: Final = "/mcp"
METADATA: Final = "/.well-known/oauth-protected-resource"
_SWEEP_S: Final = 60.0


class _Turn:
    """What a message belongs to, wherever in its course something comes of it."""

    def __init__(self, session: str, surface: str, stream: Stream) -> None:
        self.session = session
        self.surface = surface
        self.stream = stream

    def standing(self) -> tuple[str, str]:
        """Return the session and the surface."""
        return self.session, self.surface

    def moves_to(self, later: _Turn) -> None:
        """Let what comes of it from now on be for the request that goes on with it."""
        self.stream = later.stream


_TURN: ContextVar[_Turn] = ContextVar("navicert_mcp_turn")


class _Connection:
    """One client's way through: a handshake's for as long as it lasts, otherwise a request's own."""

    def __init__(self, gateway: Gateway, held: Held, *, stateless: bool) -> None:
        self.held = held
        self.listening: Stream | None = None
        self._stateless = stateless
        self.relay: Relay | Fan
        self.upstream: Way | Fan
        if gateway.alone is not None:
            self.relay, self.upstream = self._lane(gateway, gateway.alone, self._to_client)
        else:
            lane = partial(self._lane, gateway)
            self.relay = self.upstream = Fan(gateway.servers, lane, self._to_client, gateway.note_of)

    async def hears(self, message: Message) -> None:
        """Take what the server says on its own stream; many hand it over themselves."""
        if isinstance(self.relay, Relay):
            await self.relay.server_says(message)

    def _lane(self, gateway: Gateway, name: str, to_client: Send) -> Lane:
        """Return the relay to one server, and the way there."""

        async def take(message: Message) -> None:
            await relay.server_says(message)

        way = gateway.ways.to(name, take, self.held.children if self._stateless else None)
        relay = Relay(
            gateway.guard.engine, self.held.session, name, self.held.watches[name], surface=INFERRED,
            to_client=to_client, to_server=way.send, standing=lambda: _TURN.get().standing(),
            turn=_TURN.get, refresh=gateway.guard.refresh, note=partial(gateway.note_of, name),
        )  # fmt: skip
        return Lane(relay, way)

    async def _to_client(self, message: Message) -> None:
        """Put a message on the answer that it belongs to, or where that is over, on the client's own stream."""
        if self._stateless and message.kind is Kind.REQUEST:
            raise ConnectionError("this revision has no requests of a server")
        streams = (_TURN.get().stream, self.listening)
        stream = next((each for each in streams if each is not None and not each.over), streams[0])
        with suppress(ConnectionError) if message.kind is not Kind.REQUEST else nullcontext():
            await stream.put(message)  # raises where nobody listens: who waits for its answer is told


class Gateway:
    """The ASGI application. hosts: names under which clients reach it, besides those of this machine.

    alone: the one server that it stands before; None: all of them, under names that tell them apart.
    """

    def __init__(
        self,
        guard: Guard,
        servers: Mapping[str, Server],
        door: Door,
        standings: Standings,
        *,
        alone: str | None = None,
        audience: str | None = None,
        hosts: Iterable[str] = (),
        note: Note,
    ) -> None:
        for server in servers.values():
            if server.url is not None:
                check_address(server.url)
        self.guard = guard
        self.servers = servers
        self.alone = alone
        self.note_of = note
        self.note = partial(note, alone or "")
        self.ways = Ways(servers, note)
        self.mirror = Mirror(servers[alone] if alone is not None else together(servers))
        self._door = door
        self._standings = standings
        self._audience = audience
        self._scope = " ".join(f"{name}.*" for name in servers)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._connections: dict[str, _Connection] = {}
        self._kept: dict[str, _Connection] = {}
        """What later requests of 2026-07-28 go on with, by what they name."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def __call__(self, scope: dict[str, Any], ask: Ask, say: Say) -> None:
        """Answer one HTTP request."""
        answer = Answer(say)
        try:
            await self._route(scope, ask, answer)
        except Turned as turned:
            await answer.json(turned.status, turned.message, turned.headers)
        except NavicertError as error:
            await answer.json(503, rpc.error(None, FAILED, f"navicert: {error}"))
        except Exception as error:  # noqa: BLE001 - a failure of ours is an error for the caller, never a pass
            self.note(f"the gateway failed: {safe(error)}")
            await answer.json(500, rpc.error(None, INTERNAL_ERROR, "the gateway failed"))

    def hang_up(self) -> None:
        """End the streams that would go on for ever."""
        for connection in self._connections.values():
            if connection.listening is not None:
                connection.listening.end()

    async def close(self) -> None:
        """End every connection and session."""
        self._sweeping.cancel()
        for id_ in list(self._connections):
            await self._end(id_)
        for connection in set(self._kept.values()):
            await connection.relay.end()
        await self._standings.end_all(self.note)
        await self.ways.close()

    async def _route(self, scope: dict[str, Any], ask: Ask, answer: Answer) -> None:
        headers = headers_of(scope["headers"])
        host = self._checked(headers)
        path, method = scope["path"], scope["method"]
        if self._door.issuer is not None and path in (METADATA, METADATA + PATH) and method == "GET":
            await answer.document(self._metadata(host))
            return
        if path != PATH:
            raise Turned(404, f"there is nothing here; the endpoint is {PATH}")
        caller = await self._admitted(headers, host)
        if method == "POST":
            message = await read_message(headers, ask)
            turn = self._stateless if _is_stateless(headers, message) else self._handshake
            await turn(caller, headers, message, ask, answer)
        elif method not in ("GET", "DELETE") or headers.get("mcp-protocol-version") in STATELESS:
            raise Turned(405, "there is POST here, and GET and DELETE with a session", allow="POST, GET, DELETE")
        elif method == "GET":
            await self._listen(await self._connection(caller, headers), headers, ask, answer)
        else:
            await self._connection(caller, headers)
            await self._end(headers[SESSION])
            await answer.empty(204)

    # who asks

    def _checked(self, headers: Mapping[str, str]) -> str:
        """Return the Host that a request is for; refuses one, or an Origin, that is not ours (DNS rebinding)."""
        host = headers.get("host", "")
        if not self._is_ours(f"//{host}"):
            raise Turned(403, "this Host is not the gateway's; name it with `--host`")
        origin = headers.get("origin")
        if origin is not None and not (origin.startswith(("http://", "https://")) and self._is_ours(origin)):
            raise Turned(403, "requests from this Origin are not taken; name it with `--host`")
        return host

    def _is_ours(self, address: str) -> bool:
        host, local = host_in(address)
        return local or host in self._hosts

    async def _admitted(self, headers: Mapping[str, str], host: str) -> Caller:
        token = bearer(headers.get("authorization"))
        error = ""
        if token is not None:
            try:
                return await self._door.admit(token)
            except IdentityError as failure:
                self.note(f"a caller was turned away: {failure}")
                error = 'error="invalid_token"'
        where = f'resource_metadata="{_base(host)}{METADATA}{PATH}"' if self._door.issuer is not None else ""
        scope = f'scope="{self._scope}"' if where else ""  # without one, a client asks for none, and may do nothing
        challenge = ", ".join(filter(None, (where or 'realm="navicert"', scope, error)))
        raise Turned(
            401, "show a token of this gateway as `Authorization: Bearer …`", www_authenticate=f"Bearer {challenge}"
        )

    def _metadata(self, host: str) -> dict[str, Any]:
        audience = self._audience or ""
        return {
            "resource": audience if "://" in audience else f"{_base(host)}{PATH}",
            "authorization_servers": [self._door.issuer],
            "scopes_supported": self._scope.split(),
            "bearer_methods_supported": ["header"],
            "resource_name": f"{', '.join(self.servers)} behind navicert",
        }

    # what is asked

    async def _stateless(
        self, caller: Caller, headers: Mapping[str, str], message: Message, ask: Ask, answer: Answer
    ) -> None:
        if message.kind is Kind.NOTIFICATION:
            await answer.empty(202)  # this revision has none that says anything
            return
        if message.kind is not Kind.REQUEST:
            raise Turned(400, "answers are not posted in this revision")
        version = version_of(message)
        if version is None:
            raise Turned(400, "`_meta` names no revision, and the header does", -32602, id_=message.id)
        if headers.get("mcp-protocol-version") != version:
            raise Turned(400, "`MCP-Protocol-Version` does not match the body", MISMATCH, id_=message.id)
        if version not in STATELESS:
            raise _unsupported(version, message)
        wrong = self.mirror.wrong(message, headers)
        if wrong is not None:
            raise Turned(400, wrong, MISMATCH, id_=message.id)
        connection = self._kept_for(caller, message)
        if connection is None:
            connection = _Connection(self, await self._standings.of(caller), stateless=True)
        else:
            await self._standings.take(connection.held, caller)
        try:
            await self._exchange(connection, caller, headers, message, ask, answer)
        finally:
            await self._keep(connection)

    def _kept_for(self, caller: Caller, message: Message) -> _Connection | None:
        """Return where a request goes on with something of this caller's, by the state or the task that it names."""
        token = message.params.get("requestState", message.params.get("taskId"))
        found = self._kept.get(token) if type(token) is str else None
        return found if found is not None and found.held.caller.name == caller.name else None

    async def _keep(self, connection: _Connection) -> None:
        """Keep what requests may go on with, and end what none can."""
        tokens = connection.relay.tokens
        self._kept = {token: each for token, each in self._kept.items() if each is not connection}
        self._kept |= dict.fromkeys(tokens, connection)
        if not tokens and not connection.relay.busy:
            await connection.relay.end()

    async def _handshake(
        self, caller: Caller, headers: Mapping[str, str], message: Message, ask: Ask, answer: Answer
    ) -> None:
        if message.method != "initialize" or message.kind is not Kind.REQUEST:
            await self._exchange(await self._connection(caller, headers), caller, headers, message, ask, answer)
            return
        if SESSION in headers:
            raise Turned(400, "this session was opened already", id_=message.id)
        id_ = secrets.token_urlsafe(32)
        held = await self._standings.of(caller, id_)
        connection = self._connections[id_] = _Connection(self, held, stateless=False)
        answer.session = id_
        try:
            await self._exchange(connection, caller, headers, message, ask, answer)
        finally:
            if connection.upstream.version is None:  # nothing was opened
                await self._end(id_)

    async def _connection(self, caller: Caller, headers: Mapping[str, str]) -> _Connection:
        """Return the caller's connection; that of another is answered like one that does not exist."""
        id_ = headers.get(SESSION)
        if id_ is None:
            raise Turned(400, "`Mcp-Session-Id` is missing; open a session with `initialize`")
        found = self._connections.get(id_)
        if found is None or found.held.caller.name != caller.name:
            raise Turned(404, "there is no such session; open one with `initialize`")
        await self._standings.take(found.held, caller)
        version = headers.get("mcp-protocol-version")
        if version is not None and version != found.upstream.version:
            raise Turned(400, "`MCP-Protocol-Version` is not the one that this session agreed on")
        return found

    # the answer

    async def _exchange(
        self,
        connection: _Connection,
        caller: Caller,
        headers: Mapping[str, str],
        message: Message,
        ask: Ask,
        answer: Answer,
    ) -> None:
        held = connection.held
        try:
            named = await self._standings.named(caller, message, headers)
        except IdentityError as error:
            raise Turned(403, str(error), DENIED, id_=message.id) from None
        stream = Stream()
        _TURN.set(_Turn(named or held.session, SURFACE if named else INFERRED, stream))
        if message.kind is not Kind.REQUEST:
            await connection.relay.client_says(message)
            await answer.empty(202)
            return
        held.busy += 1
        try:
            with watched(ask, stream):
                task = await connection.relay.client_says(message)
                if task is not None:
                    task.add_done_callback(lambda _: stream.end())
                await write(
                    stream, answer, stateless=version_of(message) is not None, alone=lambda: connection.upstream.gone
                )
                if stream.left:  # whoever hangs up cancels, at the server too
                    await connection.relay.client_says(rpc.notification(CANCELLED, {"requestId": message.id}))
                if task is not None and not task.done():
                    await asyncio.wait({task})
        finally:
            held.busy -= 1
            if connection.upstream.gone:
                await self._forget(connection)

    async def _listen(self, connection: _Connection, headers: Mapping[str, str], ask: Ask, answer: Answer) -> None:
        if "text/event-stream" not in headers.get("accept", ""):
            raise Turned(406, "`Accept` must name text/event-stream")
        if connection.listening is not None:
            raise Turned(409, "this session has a stream already")
        stream = connection.listening = Stream()
        held = connection.held
        held.busy += 1
        _TURN.set(_Turn(held.session, INFERRED, stream))
        tasks = [asyncio.create_task(watch(ask, stream))]
        try:
            async with connection.upstream.stream() as messages:
                await answer.start()

                async def pump() -> None:
                    try:
                        async for message in messages:
                            await connection.hears(message)
                    except (ConnectionError, OSError) as error:
                        self.note(f"the server's stream ended: {safe(error)}")
                    finally:
                        stream.end()

                tasks.append(asyncio.create_task(pump()))
                await write(stream, answer)
        except NoStream:
            raise Turned(405, "the server has no stream of its own", allow="POST, DELETE") from None
        except ConnectionError as error:
            raise Turned(502, str(error), FAILED) from None
        finally:
            held.busy -= 1
            connection.listening = None
            stream.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # the end

    async def _forget(self, connection: _Connection) -> None:
        for id_, each in list(self._connections.items()):
            if each is connection:
                await self._end(id_)

    async def _end(self, id_: str) -> None:
        connection = self._connections.pop(id_, None)
        if connection is None:
            return
        if connection.listening is not None:
            connection.listening.leave()
        await connection.relay.end()
        await connection.upstream.end()
        await self._standings.end(connection.held.caller.name, id_, self.note)

    async def _sweep(self) -> None:
        """End what nobody has used for long."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            for connection in set(self._kept.values()):
                await self._keep(connection)
            for caller, id_ in self._standings.idle():
                await self._end(id_)
                await self._standings.end(caller, id_, self.note)


def _is_stateless(headers: Mapping[str, str], message: Message) -> bool:
    """Tell whether a message is of 2026-07-28; raises `Turned` for a revision that is none of ours."""
    named = headers.get("mcp-protocol-version")
    stateless = named in STATELESS or version_of(message) is not None
    if not stateless and named is not None and named not in HANDSHAKE:
        raise _unsupported(named, message)
    return stateless


def _unsupported(version: str, message: Message) -> Turned:
    turned = Turned(400, "this revision is not passed on", UNSUPPORTED, id_=message.id)
    turned.message.tree["error"]["data"] = {"supported": [*STATELESS], "requested": version[:40]}
    return turned


def _base(host: str) -> str:
    """Return the address under which a client sees us: beyond this machine, only TLS is spoken of."""
    name = urlsplit(f"//{host}").hostname or ""
    with suppress(ValueError):
        return f"{'http' if ip_address(name).is_loopback else 'https'}://{host}"
    return f"{'http' if name == 'localhost' else 'https'}://{host}"


async def serve(make: Callable[[], Gateway], sock: socket.socket) -> None:
    """Serve on a socket until SIGINT or SIGTERM."""
    gateway = make()
    server = Listener(gateway)

    def stop() -> None:
        server.should_exit = True
        gateway.hang_up()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await server.serve(sockets=[sock])
    finally:
        await gateway.close()
