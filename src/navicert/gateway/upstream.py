"""A server that is reached over HTTP: every message a POST of its own, answered by JSON or a stream (both revisions).

* What goes out is made from the message in hand: its bytes, the headers that mirror it, and the credentials of the
  server's entry. Nothing of the caller's request is among it.
* Nothing comes in unparsed or unbounded: an answer or event beyond the limit, in another encoding or of another kind
  ends the call. A redirect is not followed. Whether a call that was not answered happened is not known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from navicert.core.canonical import Number
from navicert.gateway import message as rpc
from navicert.gateway.calling import FAILED
from navicert.gateway.message import LIMIT, Kind, Message, Refused
from navicert.gateway.mirror import Mirror, version_of
from navicert.gateway.pins import Server
from navicert.gateway.side import NotSent
from navicert.gateway.surfaces import LISTEN
from navicert.gateway.ways import NoStream
from navicert.model.errors import PolicyError

try:
    import aiohttp
except ImportError:
    raise PolicyError("MCP over HTTP needs aiohttp and uvicorn; install `navicert[gateway]`") from None

SESSION: Final = "mcp-session-id"
CONNECTIONS: Final = 256
_CONNECT_S: Final = 10.0
_ENDLESS: Final = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S)
_GONE: Final = 404
_RESUMES: Final = 1_000
_RETRY_S: Final = 30.0
_ID: Final = 1_024


def client(server: Server) -> aiohttp.ClientSession:
    """Return what connections to a server are made by, to be closed. It keeps no cookies, and asks no proxy."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_read=server.within_s),
    )


class Upstream:
    """One client's way to a server. take: gets every message that comes, once it was read."""

    def __init__(
        self,
        server: Server,
        mirror: Mirror,
        http: aiohttp.ClientSession,
        take: Callable[[Message], Awaitable[None]],
        note: Callable[[str], None],
    ) -> None:
        self._url = server.url or ""
        self._own = {name.lower(): value for name, value in server.headers.items()}
        self._mirror = mirror
        self._http = http
        self._take = take
        self._note = note
        self._session: str | None = None
        self.version: str | None = None
        """The revision that a handshake agreed on; None before one, and in 2026-07-28."""
        self.gone = False
        """The server does not know the session (any more)."""
        self.down: str | None = None
        """Why it could not be reached, the last time that it could not."""

    async def send(self, message: Message) -> None:
        """Send a message. A request's answer, and what comes before it, is taken before this returns.

        Raises `ConnectionError` where no answer to a request comes: it may have happened. `NotSent`: it did not.
        """
        if message.kind is not Kind.REQUEST and self.version is None:
            return  # 2026-07-28 has requests alone: one is cancelled by closing its connection
        self.down = None
        try:
            async with self._http.post(
                self._url,
                data=message.data(),
                headers=self._headers(message),
                allow_redirects=False,
                timeout=_ENDLESS if message.method == LISTEN else self._http.timeout,
            ) as answer:
                if message.kind is Kind.REQUEST:
                    await self._answered(message, answer)
                elif answer.status >= 300:
                    self._note(f"`{message.method:.80}` was answered with HTTP {answer.status}")
        except aiohttp.ClientConnectorError as error:
            self.down = _why(error)
            raise NotSent(self.down) from None
        except (aiohttp.ClientError, TimeoutError, ValueError, ConnectionError) as error:
            self.down = str(error) if type(error) is ConnectionError else _why(error)
            raise ConnectionError(self.down) from None

    def _headers(self, message: Message) -> dict[str, str]:
        found = {"accept": "application/json, text/event-stream", "content-type": "application/json"} | _PLAIN
        version = version_of(message)
        if version is not None:
            found |= {"mcp-protocol-version": version} | self._mirror.headers(message)
        else:
            found |= self._connection()
        return self._own | found

    def _connection(self) -> dict[str, str]:
        held = {"mcp-protocol-version": self.version, SESSION: self._session}
        return {name: value for name, value in held.items() if value is not None}

    async def _answered(self, request: Message, answer: aiohttp.ClientResponse) -> None:
        status = answer.status
        if status == _GONE and self._session is not None:
            self.gone = True
        kind = answer.content_type if _is_plain(answer) else ""
        if kind == "text/event-stream" and status == 200:
            place = _Place()
            if not await self._read_to_the_end(request, answer, place):
                await self._resume(request, place)
            return
        if kind == "application/json" and 200 <= status < 600 and not 300 <= status < 400:
            data = await _body(answer)
            try:
                message = rpc.read(data)
            except Refused as error:
                if status < 400:
                    raise ConnectionError(f"the server's answer cannot be read: {error}") from None
            else:
                if status >= 400 and message.kind is Kind.ERROR:  # some answer under an id of their own
                    message = Message(Kind.ERROR, message.tree | {"id": request.id})
                if await self._took(request, answer, message):
                    return
                raise ConnectionError("the server answered something else than what it was asked")
        if 300 <= status < 500:
            why = "a redirect, which is not followed" if status < 400 else f"HTTP {status}"
            self._note(f"`{request.method:.80}` was answered with {why}")
            await self._take(rpc.error(request.id, FAILED, f"the server refused this with {why}"))
            return
        raise ConnectionError(f"the server answered with HTTP {status} and no message that can be read")

    async def _read_to_the_end(self, request: Message, answer: aiohttp.ClientResponse, place: _Place) -> bool:
        """Hand on what a stream brings; True where the answer to the request was among it."""
        async for data in events(answer, place):
            if await self._took(request, answer, _read(data)):
                return True
        return False

    async def _resume(self, request: Message, place: _Place) -> None:
        """Take up a stream that the server closed before it answered, where it said how (2025-11-25)."""
        for _ in range(_RESUMES):
            if self.version is None or place.id is None:
                break
            await asyncio.sleep(place.retry_s)
            headers = self._own | {"accept": "text/event-stream", "last-event-id": place.id} | _PLAIN
            headers |= self._connection()
            async with self._http.get(self._url, headers=headers, allow_redirects=False) as answer:
                if answer.status != 200 or answer.content_type != "text/event-stream" or not _is_plain(answer):
                    break
                if await self._read_to_the_end(request, answer, place):
                    return
        raise ConnectionError("the server's stream ended before it answered")

    async def _took(self, request: Message, answer: aiohttp.ClientResponse, message: Message) -> bool:
        """Hand a message on; True where it is the answer to the request."""
        ours = message.kind in (Kind.RESULT, Kind.ERROR)
        if ours and (type(message.id), message.id) != (type(request.id), request.id):
            self._note("an answer of the server that nobody waits for is dropped")
            return False
        if message.kind is Kind.RESULT and request.method == "initialize":
            version = message.tree["result"].get("protocolVersion")
            self.version = version if type(version) is str and type(version) is not Number else None
            self._session = answer.headers.get(SESSION)
        await self._take(message)
        return ours

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[Message]]:
        """Open the stream of the server's own messages (2025-11-25); raises `NoStream` where it has none."""
        headers = self._own | {"accept": "text/event-stream"} | _PLAIN | self._connection()
        try:
            async with self._http.get(self._url, headers=headers, allow_redirects=False, timeout=_ENDLESS) as answer:
                if answer.status != 200 or answer.content_type != "text/event-stream" or not _is_plain(answer):
                    raise NoStream(f"HTTP {answer.status}")
                yield _messages(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionError(_why(error)) from None

    async def end(self) -> None:
        """End the session at the server, where it has one."""
        if self._session is None or self.gone:
            return
        try:
            within = aiohttp.ClientTimeout(total=_CONNECT_S)
            headers = self._own | _PLAIN | self._connection()
            async with self._http.delete(self._url, headers=headers, allow_redirects=False, timeout=within):
                self.gone = True
        except (aiohttp.ClientError, TimeoutError) as error:
            self._note(f"the server was not told that the session ends: {_why(error)}")


_PLAIN: Final = {"accept-encoding": "identity", "user-agent": "navicert"}


def _is_plain(answer: aiohttp.ClientResponse) -> bool:
    return answer.headers.get("content-encoding", "identity").lower() == "identity"


async def _messages(answer: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    async for data in events(answer):
        yield _read(data)


def _read(data: bytes) -> Message:
    try:
        return rpc.read(data)
    except Refused as error:
        raise ConnectionError(f"an event of the server cannot be read: {error}") from None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in answer.content.iter_any():
        data += part
        if len(data) > LIMIT:
            raise ConnectionError(f"the server's answer takes more than {LIMIT} bytes")
    return bytes(data)


class _Place:
    """Where a stream goes on, as the server says, and after what time."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.retry_s = 0.1

    def takes(self, name: bytes, value: bytes) -> None:
        """Take one field of the stream."""
        if name == b"id" and 0 < len(value) <= _ID and value.isascii() and value.decode().isprintable():
            self.id = value.decode()
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry_s = min(int(value) / 1000, _RETRY_S)


async def events(answer: aiohttp.ClientResponse, place: _Place | None = None) -> AsyncIterator[bytes]:
    """Yield the data of each event of a stream; raises `ConnectionError` for one that is longer than a message may be.

    Comments, and events without data or of another kind than `message`, are left out. place: learns where it goes on.
    """
    rest, kind, size = b"", b"message", 0
    data: list[bytes] = []
    async for part in answer.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in (each.rstrip(b"\r") for each in lines):
            if not line:
                if data and kind == b"message":
                    yield b"\n".join(data)
                data, kind, size = [], b"message", 0
                continue
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data += [value] if value else []
                size += len(value) + 64
            elif name == b"event":
                kind = value
            elif place is not None:
                place.takes(name, value)
        if size + len(rest) > LIMIT:
            raise ConnectionError(f"an event of the server takes more than {LIMIT} bytes")


def _why(error: Any) -> str:
    if isinstance(error, TimeoutError):
        return "the server gave no sign in time"
    return f"the server cannot be reached, or hung up: {error}"
