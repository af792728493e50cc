"""One HTTP request and its answer, as the gateway reads and writes them (ASGI, without a server of its own).

* What goes to a client waits in a `Stream`, in order. The answer is JSON where it is the first that comes, and a stream
  of events otherwise; where nothing comes for a while, it begins as a stream, so that the connection is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from navicert.gateway import message as rpc
from navicert.gateway.message import INVALID_REQUEST, LIMIT, Kind, Message, Refused
from navicert.gateway.mirror import MISMATCH, UNSUPPORTED
from navicert.gateway.side import AT_ONCE

Ask = Callable[[], Awaitable[dict[str, Any]]]
Say = Callable[[dict[str, Any]], Awaitable[None]]
SESSION: Final = "mcp-session-id"
_BODY_S: Final = 30.0
_PING_S: Final = 15.0
_LOOK_S: Final = 0.1
_ONCE: Final = ("authorization", "content-type", "content-length", "content-encoding", "origin", "host", "accept")
_STATUS: Final = {-32700: 400, -32600: 400, -32602: 400, MISMATCH: 400, -32021: 400, UNSUPPORTED: 400, -32601: 404}


class Turned(Exception):
    """A request that is answered without being passed on."""

    def __init__(
        self, status: int, why: str, code: int = INVALID_REQUEST, *, id_: rpc.Id | None = None, **headers: str
    ) -> None:
        super().__init__(why)
        self.status = status
        self.message = rpc.error(id_, code, why)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers; refuses one of the protocol's that stands twice, since two readers might take another."""
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        if key in found and (key in _ONCE or key.startswith(("mcp-", "navicert-"))):
            raise Turned(400, f"the header `{key}` stands twice", MISMATCH)
        # a list may come in parts, of which none is left unread
        before = f"{found[key]}," if key == "baggage" and key in found else ""
        found[key] = before + value.decode("latin-1")
    return found


async def read_message(headers: Mapping[str, str], ask: Ask) -> Message:
    """Return the message in a request's body; raises `Turned`."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Turned(415, "the body must be `application/json`")
    if "content-encoding" in headers:
        raise Turned(415, "the body must not be encoded")
    accepted = {part.partition(";")[0].strip() for part in headers.get("accept", "").lower().split(",")}
    if not ("*/*" in accepted or {"application/json", "text/event-stream"} <= accepted):
        raise Turned(406, "`Accept` must name application/json and text/event-stream")
    try:
        async with asyncio.timeout(_BODY_S):
            data = await _body(ask)
    except TimeoutError:
        raise Turned(408, "the body did not come in time") from None
    try:
        return rpc.read(data)
    except Refused as error:
        raise Turned(400, str(error), error.code, id_=error.id) from None


async def _body(ask: Ask) -> bytes:
    data, more = bytearray(), True
    while more:
        event = await ask()
        if event["type"] == "http.disconnect":
            raise Turned(400, "the body did not come")
        data += event.get("body", b"")
        more = event.get("more_body", False)
        if len(data) > LIMIT:
            raise Turned(413, f"at most {LIMIT} bytes are passed on")
    return bytes(data)


class Stream:
    """What goes to a client on one HTTP answer, in order."""

    def __init__(self) -> None:
        self._held: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.over = False
        self.left = False
        """The client hung up."""

    async def put(self, message: Message) -> None:
        """Add a message, once there is room; raises `ConnectionError` where nobody listens any more."""
        await self._room.wait()
        if self.over:
            raise ConnectionError("the client does not listen any more")
        self._held.append(message)
        self._wake.set()
        if len(self._held) >= AT_ONCE:
            self._room.clear()

    def end(self) -> None:
        """Let what was added be the last."""
        self.over = True
        self._wake.set()
        self._room.set()

    def leave(self) -> None:
        """Let it end at once: the client has hung up."""
        self.left = True
        self._held.clear()
        self.end()

    async def next(self) -> Message | None:
        """Return the next message; None at the end. Raises `TimeoutError` where none comes for a while."""
        while not self._held:
            if self.over:
                return None
            self._wake.clear()
            timer = asyncio.get_running_loop().call_later(_PING_S, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
            if not (self._held or self.over):
                raise TimeoutError
        self._room.set()
        return self._held.popleft()


class Answer:
    """One HTTP answer: empty, JSON, or a stream."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.started = False
        self.session: str | None = None
        """The id under which the client goes on, where this is the answer to its handshake."""

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        if self.started:
            raise ConnectionError("the answer has begun")
        self.started = True
        held = {"cache-control": "no-store", **headers} | ({SESSION: self.session} if self.session else {})
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in held.items()]
        await self._say({"type": "http.response.start", "status": status, "headers": raw})

    async def _body(self, data: bytes, *, more: bool = False) -> None:
        await self._say({"type": "http.response.body", "body": data, "more_body": more})

    async def empty(self, status: int) -> None:
        """Answer without a body."""
        await self._start(status, {"content-length": "0"})
        await self._body(b"")

    async def json(self, status: int, message: Message, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a message; where a stream has begun, nothing more can be said but that it ends."""
        if self.started:
            await self._body(b"")
            return
        if message.kind is Kind.ERROR:
            self.session = None  # nothing was opened
        await self._whole(status, message.data(), headers or {})

    async def document(self, value: dict[str, Any]) -> None:
        """Answer with JSON that is no message."""
        await self._whole(200, rpc.write(value).encode(), {})

    async def _whole(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        kind = {"content-type": "application/json", "content-length": str(len(data))}
        await self._start(status, {**kind, **headers})
        await self._body(data)

    async def start(self) -> None:
        """Begin a stream."""
        await self._start(200, {"content-type": "text/event-stream", "x-accel-buffering": "no"})

    async def event(self, message: Message | None) -> None:
        """Add an event; None: a comment that keeps the connection."""
        data = b": \r\n\r\n" if message is None else b"event: message\r\ndata: " + message.data() + b"\r\n\r\n"
        await self._body(data, more=True)

    async def end(self) -> None:
        """End a stream."""
        await self._body(b"")


async def write(
    stream: Stream, answer: Answer, *, stateless: bool = False, alone: Callable[[], bool] = lambda: False
) -> None:
    """Write what comes on a stream: as JSON where the answer is the first that comes. alone: the session is gone."""
    while True:
        try:
            message = await stream.next()
        except TimeoutError:
            if not answer.started:
                await answer.start()
            await answer.event(None)
            continue
        last = message is not None and message.kind in (Kind.RESULT, Kind.ERROR)
        if last and message is not None and not answer.started:
            await answer.json(404 if alone() else _status(message, stateless=stateless), message)
            return
        if message is not None:
            if not answer.started:
                await answer.start()
            await answer.event(message)
        if last or message is None:
            break
    if not stream.left:
        if not answer.started:
            await answer.start()  # it was cancelled, and has no answer
        await answer.end()


def _status(message: Message, *, stateless: bool) -> int:
    if message.kind is not Kind.ERROR or not stateless:
        return HTTPStatus.OK
    with suppress(ValueError, TypeError):
        return _STATUS.get(int(message.tree["error"].get("code")), HTTPStatus.OK)
    return HTTPStatus.OK


async def watch(ask: Ask, stream: Stream) -> None:
    """End a stream when the client hangs up."""
    while (await ask())["type"] != "http.disconnect":
        continue
    stream.leave()


@contextmanager
def watched(ask: Ask, stream: Stream) -> Iterator[None]:
    """End a stream when the client hangs up, from a moment on: most answers are there before, and none has to look."""
    loop = asyncio.get_running_loop()
    looking: list[asyncio.Task[None]] = []
    timer = loop.call_later(_LOOK_S, lambda: looking.append(loop.create_task(watch(ask, stream))))
    try:
        yield
    finally:
        timer.cancel()
        for task in looking:
            task.cancel()


@lru_cache(maxsize=256)  # nearly every request names the same
def host_in(address: str) -> tuple[str | None, bool]:
    """Return the host of an address of nothing else, and whether it is this machine; None where it is no such thing."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return None, False
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None, False
    with suppress(ValueError):
        return host, ip_address(host).is_loopback
    return host, host == "localhost"
