"""One connection: client on one side, server on the other, the loop in between (R1; docs/reference/mcp.md).

* A request waits for its answer in a task of its own, and so long as the server's entry says; notifications are passed
  on in the order of their coming.
* What fails fails closed: an engine that errs, a server that ends, an answer that cannot be read give the caller an
  error, and leave a receipt. Whether a call that was on its way happened is then not known, and stays open.
* An answer is matched to the request that is waiting for it, by id; what nobody asked for is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from navicert.core.canonical import Number
from navicert.engine.mediating import Mediator
from navicert.engine.workings import safe
from navicert.gateway import message as rpc
from navicert.gateway.calling import (
    asked,
    asks,
    failed,
    forwarded,
    output_of,
    passed,
    refusal,
    trouble,
    with_receipt,
)
from navicert.gateway.message import INVALID_REQUEST, METHOD_NOT_FOUND, Id, Kind, Message, Refused, Tree
from navicert.gateway.pins import Watch
from navicert.gateway.surfaces import (
    ASKED_BACK,
    CALL,
    CANCELLED,
    JUDGED,
    LIST,
    NOTICES,
    NOTICES_BACK,
    OPENING,
    PASSED,
    PASSED_BACK,
    TOOLS_CHANGED,
)
from navicert.model.decision import Permit
from navicert.model.errors import InvalidAction, NavicertError

Send = Callable[[Message], Awaitable[None]]
Key = tuple[type, str]
AT_ONCE: Final = 256
"""So many requests may be on their way in one direction."""
_GIVEN_UP: Final = 4_096
_PAGES: Final = 100
_RELIST_S: Final = 30.0
_PATIENCE_S: Final = 5.0


class Lost(TimeoutError):
    """The other side ended before it answered, or did not in time: whether the call happened is not known."""


class Failed(Exception):
    """The tool says that it failed; `reply` is passed on."""

    def __init__(self, reply: Message) -> None:
        super().__init__()
        self.reply = reply

    def __str__(self) -> str:
        text = output_of(self.reply).text
        if text is None:  # then its words count as the highest: `engine.mediating.said`
            raise ValueError("it cannot be looked at")
        return text


class _Side:
    """What waits for answers of one side. within_s: so long for each."""

    def __init__(self, send: Send, within_s: float) -> None:
        self.send = send
        self._within_s = within_s
        self._waiting: dict[Key, asyncio.Future[Message]] = {}
        self._given_up: dict[Key, None] = {}
        """Sent, and not waited for any more: a late answer must not be taken for that of another request."""
        self._ended = False

    def takes(self, id_: Id) -> bool:
        """Tell whether one more request may wait under this id."""
        key = key_of(id_)
        return len(self._waiting) < AT_ONCE and key not in self._waiting and key not in self._given_up

    async def ask(self, request: Message) -> Message:
        """Send a request and wait for its answer; raises `Lost` where the side ends, or lets it wait for too long."""
        key = key_of(request.id or "")
        if self._ended:
            raise Lost("it has ended")
        found: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[key] = found
        try:
            async with asyncio.timeout(self._within_s):
                await self.send(request)
                return await found
        except ConnectionError as error:
            raise Lost(str(error)) from None
        except TimeoutError as error:
            if isinstance(error, Lost):
                raise
            raise Lost(f"it took longer than {self._within_s:g} s") from None
        finally:
            self._waiting.pop(key, None)
            if not found.done() or found.cancelled() or found.exception() is not None:
                self._given_up[key] = None
                while len(self._given_up) > _GIVEN_UP:
                    self._given_up.pop(next(iter(self._given_up)))

    def answered(self, reply: Message) -> bool:
        """Hand an answer to who waits for it; False where nobody does."""
        key = key_of(reply.id or "")
        self._given_up.pop(key, None)
        found = self._waiting.get(key)
        if found is None or found.done():
            return False
        found.set_result(reply)
        return True

    def end(self) -> None:
        """Let everybody know that nothing more comes."""
        self._ended = True
        self.fail("it ended before it answered")

    def fail(self, why: str, id_: Id | None = None) -> None:
        """Tell whoever waits under this id, or everybody, that their answer does not come."""
        for key, found in self._waiting.items():
            if not found.done() and (id_ is None or key == key_of(id_)):
                found.set_exception(Lost(why))


class Relay:
    """Messages of one client and one server. refresh: takes up a changed policy. note: for the operator's eyes.

    standing: the session and surface of the message in hand, where they are not the same for all of a connection.
    """

    def __init__(  # noqa: PLR0913 - what one connection consists of
        self,
        mediator: Mediator,
        session_id: str,
        name: str,
        watch: Watch,
        *,
        surface: str,
        to_client: Send,
        to_server: Send,
        standing: Callable[[], tuple[str, str]] | None = None,
        refresh: Callable[[], None] = lambda: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._mediator = mediator
        self._standing = standing or (lambda: (session_id, surface))
        self._name = name
        self._watch = watch
        self._client = _Side(to_client, watch.within_s)
        self._server = _Side(to_server, watch.within_s)
        self._refresh = refresh
        self._note = note
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._own = 0
        self._looks = 0
        self._deaf_until = 0.0
        self._look = asyncio.Lock()

    async def from_client(self, data: bytes) -> None:
        """Take one message of the client."""
        try:
            message = rpc.read(data)
        except Refused as error:
            await self._client.send(rpc.error(error.id, error.code, str(error)))
            return
        await self.client_says(message)

    async def client_says(self, message: Message) -> asyncio.Task[None] | None:
        """Take one message of the client that was read; returns what answers it, where that takes time."""
        if message.kind is Kind.REQUEST:
            return await self._requested(message)
        if message.kind is Kind.NOTIFICATION:
            await self._notified(message)
        elif not self._client.answered(message):
            self._note("an answer of the client that nobody waits for is dropped")
        return None

    async def from_server(self, data: bytes) -> None:
        """Take one message of the server."""
        try:
            message = rpc.read(data)
        except Refused as error:
            self._note(f"a message of the server is dropped: {error}")
            if error.id is not None or len(data) > rpc.LIMIT:  # too long, it may have been the answer to any of them
                self._server.fail(f"the server's answer cannot be read: {error}", error.id)
            return
        await self.server_says(message)

    async def server_says(self, message: Message) -> None:
        """Take one message of the server that was read."""
        if message.kind is Kind.REQUEST:
            await self._requested_back(message)
        elif message.kind is Kind.NOTIFICATION:
            await self._notified_back(message)
        elif not self._server.answered(message):
            self._note("an answer of the server that nobody waits for is dropped")

    async def end(self) -> None:
        """End both sides: what is on its way is left open, and everybody is told."""
        self._server.end()
        self._client.end()
        for task in (*self._tasks.values(), *self._others):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._others, return_exceptions=True)

    async def settled(self, within_s: float) -> None:
        """Wait until everybody who waited has been told."""
        held = [*self._tasks.values(), *self._others]
        if held:
            await asyncio.wait(held, timeout=within_s)

    def server_ended(self) -> None:
        """Tell whoever waits for the server that it is gone."""
        self._server.end()

    # from the client

    async def _requested(self, request: Message) -> asyncio.Task[None] | None:
        id_ = request.id or ""
        key = key_of(id_)
        full = len(self._tasks) >= AT_ONCE
        if full or key in self._tasks or not self._server.takes(id_) or _is_ours(id_):
            why = "a request with this id is on its way, or too many are"
            await self._client.send(rpc.error(id_, INVALID_REQUEST, why))
        elif request.method in JUDGED or request.method in PASSED:
            work = self._judge(request, self._server) if request.method in JUDGED else self._pass(request)
            task = self._tasks[key] = asyncio.create_task(work)
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
            return task
        else:
            await self._client.send(rpc.error(id_, METHOD_NOT_FOUND, f"`{request.method:.80}` is not passed on"))
        return None

    async def _notified(self, message: Message) -> None:
        if message.method not in NOTICES:
            self._note(f"`{message.method:.80}` of the client is dropped")
            return
        if message.method == CANCELLED:
            task = self._tasks.get(key_of(message.params.get("requestId")))
            if task is None:
                return
            task.cancel()
        try:
            await self._tell(passed(message))
        except Refused as error:
            self._note(f"`{message.method}` of the client is dropped: {error}")

    async def _tell(self, message: Message) -> None:
        """Notify the server; one that does not read holds up nobody: it is waited for once in a while."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_PATIENCE_S if now >= self._deaf_until else 0):
                await self._server.send(message)
        except (ConnectionError, TimeoutError) as error:
            self._deaf_until = max(self._deaf_until, now + 10 * _PATIENCE_S)
            self._note(f"`{message.method:.80}` is dropped: {safe(error)}")

    async def _pass(self, request: Message) -> None:
        try:
            reply = await self._server.ask(passed(request))
            reply = trouble(request, _WITHHELD) if asks(reply) else self._looked_at(request, reply)
        except Refused as error:
            reply = rpc.error(request.id, error.code, str(error))
        except Lost as error:
            reply = trouble(request, f"the server `{self._name}` is gone: {error}")
        await self._client.send(reply)

    def _looked_at(self, request: Message, reply: Message) -> Message:
        """Return the answer without what nobody has accepted (T11)."""
        if reply.kind is not Kind.RESULT:
            return reply
        value: Tree = reply.tree["result"]
        if request.method == LIST:
            value = value | {"tools": self._watch.page(value.get("tools"))}
            if "cacheScope" in value:
                value |= {"cacheScope": "private"}
            for name, why in self._watch.refused.items():
                self._note(f"the tool `{name:.80}` is held back: {why}; see `navicert tools {self._name}`")
        elif request.method in OPENING:
            shown = self._watch.introduction(value)
            if shown is not value:
                self._note("the server's instructions are left out: they are not what was accepted")
            value = shown
        return Message(reply.kind, reply.tree | {"result": value})

    # the judging

    async def _judge(self, request: Message, other: _Side) -> None:
        """Judge a request, have the other side answer it, and answer it to where it came from."""
        asker = self._client if other is self._server else self._server
        try:
            reply = await self._judged(request, other)
        except Refused as error:
            reply = rpc.error(request.id, error.code, str(error))
        except Lost as error:
            reply = trouble(request, f"no answer came, and whether it happened is not known: {error}")
            if other is self._server:
                await self._tell(rpc.notification(CANCELLED, {"requestId": request.id}))
        except NavicertError as error:
            reply = trouble(request, str(error))
        except Exception as error:  # noqa: BLE001 - a failure of ours is an error for the caller, and nothing ran for it
            reply = trouble(request, f"the gateway failed: {safe(error)}")
        await asker.send(reply)

    async def _judged(self, request: Message, other: _Side) -> Message:
        self._refresh()
        try:
            found = asked(self._name, request)
        except InvalidAction as error:
            raise Refused(INVALID_REQUEST, str(error), request.id) from None
        if found.profile is None:
            found = found._replace(profile=self._watch.profile(f"{found.tool}.{found.operation}"))
        session, surface = self._standing()
        action = self._mediator.action(
            found.tool, found.operation, found.parameters, profile=found.profile, surface=surface
        )
        if request.method == CALL:
            held = self._watch.callable(request.params["name"])
            if held is not None:
                why = f"the tool is not available: {held}"
                return refusal(request, await asyncio.to_thread(self._mediator.refuse, action, session, why))

        async def run(parameters: bytes) -> Message:
            reply = await other.ask(forwarded(request, parameters))
            if asks(reply):
                raise Failed(trouble(request, _WITHHELD))
            if failed(reply):
                raise Failed(reply)
            return reply

        engine = self._mediator
        answer = await engine.in_band_async(await engine.decide_async(action, session))
        if not isinstance(answer, Permit):
            return refusal(request, answer)
        try:
            _, reply = await engine.execute_async(answer, run, output_of)
        except Failed as error:
            reply = error.reply
        return with_receipt(reply, answer)

    # from the server

    async def _requested_back(self, request: Message) -> None:
        free = len(self._others) < AT_ONCE and self._client.takes(request.id or "")
        if request.method in PASSED_BACK and free:
            self._later(self._pass_back(request))
        elif request.method in ASKED_BACK and free:
            self._later(self._judge(request, self._client))
        else:
            await self._server.send(rpc.error(request.id, METHOD_NOT_FOUND, "this is not passed on"))

    async def _pass_back(self, request: Message) -> None:
        try:
            reply = await self._client.ask(passed(request))
        except Lost as error:
            reply = trouble(request, f"the client is gone: {error}")
        await self._server.send(reply)

    async def _notified_back(self, message: Message) -> None:
        if message.method not in NOTICES_BACK:
            self._note(f"`{message.method:.80}` of the server is dropped")
        elif message.method == TOOLS_CHANGED:
            if self._looks < 2:  # one is under way, and one comes after it, for all that changes until then
                self._looks += 1
                self._later(self._changed())
        else:
            await self._client.send(message)

    async def _changed(self) -> None:
        """Look at the tools again before the client hears that they have changed (T11)."""
        try:
            async with self._look, asyncio.timeout(_RELIST_S):
                await self._list()
        except TimeoutError as error:
            self._note(f"the tools changed, and could not be listed again: {safe(error)}")
            return
        finally:
            self._looks -= 1
        await self._client.send(rpc.notification(TOOLS_CHANGED, {}))

    async def _list(self) -> None:
        cursor: Tree = {}
        for _ in range(_PAGES):
            self._own += 1
            reply = await self._server.ask(rpc.request(f"{_OURS}{self._own}", LIST, cursor))
            if reply.kind is not Kind.RESULT:
                raise Lost("the server does not list them")
            value: Tree = reply.tree["result"]
            self._watch.page(value.get("tools"))
            after = value.get("nextCursor")
            if type(after) is not str:
                return
            cursor = {"cursor": after}

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)


_OURS: Final = "navicert-"
_WITHHELD: Final = "the server asks for something, or answers later; neither is passed on yet"


def key_of(id_: object) -> Key:
    """Return an id as what it is found by: 1 and "1" are two."""
    return type(id_), str(id_)


def _is_ours(id_: Id) -> bool:
    return type(id_) is not Number and id_.startswith(_OURS)
