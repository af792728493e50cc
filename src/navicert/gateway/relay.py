"""One connection: client on one side, server on the other, the loop in between (R1; docs/reference/mcp.md).

* A request waits for its answer in a task of its own, and so long as the server's entry says; notifications are passed
  on in the order of their coming.
* An answer is matched to the request that is waiting for it, by id; what nobody asked for is dropped.
* Words that a server says besides its answers (logs, progress) are few, short, and labelled before they go on; where no
  action is under way that they could be of, they are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from navicert.core.canonical import Number
from navicert.engine.completing import Output
from navicert.engine.mediating import Mediator
from navicert.engine.workings import safe
from navicert.gateway import message as rpc
from navicert.gateway.asks import Unasked
from navicert.gateway.calling import is_stateless, own_meta, passed, refusal, trouble
from navicert.gateway.judge import Judge
from navicert.gateway.message import INVALID_REQUEST, METHOD_NOT_FOUND, Kind, Message, Refused, Tree
from navicert.gateway.pins import CHANGES, Watch
from navicert.gateway.shown import Shown
from navicert.gateway.side import AT_ONCE, Absent, Key, Lost, Send, Side, is_ours, key_of
from navicert.gateway.surfaces import (
    ASKED_BACK,
    CANCELLED,
    JUDGED,
    LISTEN,
    NOT_STATELESS,
    NOTICES,
    NOTICES_BACK,
    OPENING,
    PASSED,
    PASSED_BACK,
    PROGRESS,
    RELATED,
    ROUNDS,
    SUBSCRIBE,
    TASK_STATUS,
    TASKS,
    UNSUBSCRIBE,
)
from navicert.gateway.talk import Talk, Turn
from navicert.gateway.tasks import INVALID_PARAMS
from navicert.model.decision import Permit
from navicert.model.errors import NavicertError

_PATIENCE_S: Final = 5.0
_WORDS: Final = 16_384
"""So long may words be that belong to no result, characters."""
_NOTICES_PER_S: Final = 50
_NOTICES_AT_ONCE: Final = 200
_SUBSCRIPTIONS: Final = 100


class Relay:
    """Messages of one client and one server. refresh: takes up a changed policy. note: for the operator's eyes.

    standing: the session and surface of the message in hand, where they are not the same for all of a connection.
    turn: what the message in hand belongs to, so that what comes of it finds its way.
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
        turn: Callable[[], Turn | None] = lambda: None,
        refresh: Callable[[], None] = lambda: None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._mediator = mediator
        self._name = name
        self._watch = watch
        self._standing = standing or (lambda: (session_id, surface))
        self._client = Side(to_client, watch.within_s)
        self._server = Side(to_server, watch.within_s)
        self._shown = Shown(mediator, name, watch, self._server, note)
        self._judge = Judge(
            mediator, name, watch, client=self._client, server=self._server,
            standing=self._standing, refresh=refresh, tell=self._tell,
            shown=self._shown,
        )  # fmt: skip
        self._refresh = refresh
        self._turn = turn
        self._note = note
        self._capabilities: Tree = {}
        self._last: Message | None = None
        """Whose revision requests of our own speak."""
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._talks: dict[Talk, asyncio.Task[None]] = {}
        self._subscribed: set[str] = set()
        self._looks: dict[str, int] = {}
        self._deaf_until = 0.0
        self._room = float(_NOTICES_AT_ONCE)
        self._counted_at = 0.0

    @property
    def tokens(self) -> frozenset[str]:
        """What later requests may name to go on with something here: states, and tasks."""
        states = {talk.state for talk in self._talks if talk.state is not None}
        return self._judge.tasks.names | states

    @property
    def busy(self) -> bool:
        """Tell whether a request of the client is on its way."""
        return bool(self._tasks)

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
        self._judge.tasks.end()
        held = (*self._tasks.values(), *self._others, *self._talks.values())
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)

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
        if full or key in self._tasks or not self._server.takes(id_) or is_ours(id_):
            why = "a request with this id is on its way, or too many are"
            await self._client.send(rpc.error(id_, INVALID_REQUEST, why))
            return None
        work = self._work(request)
        if work is None:
            await self._client.send(rpc.error(id_, METHOD_NOT_FOUND, f"`{request.method:.80}` is not passed on"))
            return None
        self._last = request
        task = self._tasks[key] = asyncio.create_task(self._answer(request, work))
        task.add_done_callback(lambda done: self._tasks.pop(key) if self._tasks.get(key) is done else None)
        return task

    def _work(self, request: Message) -> Awaitable[Message] | None:
        """Return what answers a request, None for one that is not passed on."""
        if is_stateless(request) and request.method in NOT_STATELESS:
            return None
        if request.method in TASKS:
            return self._judge.tasks.asked(request)
        if request.method == LISTEN and is_stateless(request):
            return self._listen(request)
        if request.method in JUDGED:
            return self._course(request)
        return self._pass(request) if request.method in PASSED else None

    async def _answer(self, request: Message, work: Awaitable[Message]) -> None:
        """Answer a request to where it came from; raises nothing but a cancellation."""
        try:
            reply = await work
        except Refused as error:
            reply = rpc.error(request.id, error.code, str(error))
        except (Lost, Absent) as error:
            reply = trouble(request, f"the server `{self._name}` is gone: {error}")
        except (NavicertError, Unasked) as error:
            reply = trouble(request, str(error))
        except Exception as error:  # noqa: BLE001 - a failure of ours is an error for the caller, never a pass
            reply = trouble(request, f"the gateway failed: {safe(error)}")
        task = self._tasks.pop(key_of(request.id), None)  # before: whoever has the answer may use the id again
        if task is not None:
            self._others.add(task)
            task.add_done_callback(self._others.discard)
        await self._client.send(reply)

    async def _course(self, request: Message) -> Message:
        """Have a request judged and done: from the beginning, or from where it was asked for something."""
        talk = self._taken_up(request)
        if talk is None:
            talk = Talk(request, self._capabilities, self._turn())
            course = self._talks[talk] = asyncio.create_task(self._judge.course(talk))
            course.add_done_callback(lambda _: self._talks.pop(talk, None))
        try:
            reply = await talk.told()
        except asyncio.CancelledError:  # whoever hangs up cancels; what was asked of them already is waited for
            if talk.request is request and talk in self._talks:
                course = self._talks[talk]
                course.cancel()
                await asyncio.wait({course})
            raise
        if request.method == SUBSCRIBE and reply.kind is Kind.RESULT:
            self._subscribed.add(request.params["uri"])
        return reply

    def _taken_up(self, request: Message) -> Talk | None:
        rounds = request.method in ROUNDS and is_stateless(request)
        if not rounds or "requestState" not in request.params:
            return None
        for talk in self._talks:
            if talk.goes_on(request, self._turn()):
                return talk
        why = "`requestState` is used up, expired, or of another request; call again without it"
        raise Refused(INVALID_PARAMS, why, request.id)

    async def _listen(self, request: Message) -> Message:
        """Pass on a subscription: each resource in it is an action (2026-07-28)."""
        asked = request.params.get("notifications")
        asked = asked if type(asked) is dict else {}
        wanted: Tree = {key: True for key in _CHANGES if asked.get(key) is True}
        uris = asked.get("resourceSubscriptions") or []
        if type(uris) is not list or len(uris) > _SUBSCRIPTIONS or not all(type(uri) is str for uri in uris):
            why = f"at most {_SUBSCRIPTIONS} resources are subscribed to, by their URIs"
            raise Refused(INVALID_PARAMS, why, request.id)
        for uri in uris:
            answer = await self._judge.permitted(rpc.request(request.id or "", SUBSCRIBE, {"uri": uri}))
            if not isinstance(answer, Permit):
                return refusal(request, answer)
            await self._mediator.redeem_async(answer)
            await self._mediator.complete_async(answer, Output(text="", empty=True))
        self._subscribed |= {*uris}
        wanted |= {"resourceSubscriptions": uris} if uris else {}
        meta = own_meta(request.params)
        params: Tree = {"notifications": wanted} | ({"_meta": meta} if meta else {})
        return await self._server.ask(rpc.request(request.id or "", LISTEN, params), endless=True)

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
            await self._tell(self._server, passed(message))
        except Refused as error:
            self._note(f"`{message.method}` of the client is dropped: {error}")

    async def _tell(self, side: Side, message: Message) -> None:
        """Notify a side; one that does not read holds up nobody: it is waited for once in a while."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(_PATIENCE_S if now >= self._deaf_until else 0):
                await side.send(message)
        except (ConnectionError, TimeoutError) as error:
            self._deaf_until = max(self._deaf_until, now + 10 * _PATIENCE_S)
            self._note(f"`{message.method:.80}` is dropped: {safe(error)}")

    async def _pass(self, request: Message) -> Message:
        params = request.params
        cursor = params.get("cursor", "")
        if "cursor" in params and (type(cursor) is not str or cursor not in self._watch.cursors):
            why = "the cursor is none that the server gave; list from the beginning"
            raise Refused(INVALID_PARAMS, why, request.id)
        uri = params.get("uri")
        if request.method == UNSUBSCRIBE and (type(uri) is not str or uri not in self._subscribed):
            raise Refused(INVALID_PARAMS, "this resource is not subscribed to", request.id)
        if request.method in OPENING and type(params.get("capabilities")) is dict:
            self._capabilities = params["capabilities"]
        reply = await self._server.ask(passed(request))
        value: Tree = reply.tree.get("result", {})
        if value.get("resultType", "complete") != "complete" or type(value.get("task")) is dict:
            return trouble(request, "the server asks for something, or answers later, where that has no place")
        if type(value.get("nextCursor")) is str:
            self._watch.keep_cursor(value["nextCursor"])
        self._refresh()  # what somebody is shown follows the policy that is in force now
        return await self._shown.answer(request, reply, self._standing()[0])

    # from the server

    async def _requested_back(self, request: Message) -> None:
        free = len(self._others) < AT_ONCE and self._client.takes(request.id or "")
        if request.method in PASSED_BACK and free:
            self._later(self._pass_back(request))
        elif request.method in ASKED_BACK and free:
            self._later(self._judge.back(request))
        else:
            await self._server.send(rpc.error(request.id, METHOD_NOT_FOUND, "this is not passed on"))

    async def _pass_back(self, request: Message) -> None:
        try:
            reply = await self._client.ask(passed(request))
        except (Lost, Absent) as error:
            reply = trouble(request, f"the client is gone: {error}")
        await self._server.send(reply)

    async def _notified_back(self, message: Message) -> None:
        if message.method not in NOTICES_BACK and message.method != TASK_STATUS:
            self._note(f"`{message.method:.80}` of the server is dropped")
        elif not self._has_room():
            self._note(f"`{message.method}` of the server is dropped: there are more than {_NOTICES_PER_S} a second")
        elif message.method in CHANGES:
            looks = self._looks.get(message.method, 0)
            if looks < 2:  # one is under way, and one comes after it, for all that changes until then
                self._looks[message.method] = looks + 1
                self._later(self._changed(message))
        else:
            try:
                shown = await self._notice(message)
            except (NavicertError, Refused) as error:  # what cannot be labelled is not passed on
                self._note(f"`{message.method}` of the server is dropped: {error}")
                return
            if shown is not None:
                await self._client.send(shown)

    async def _notice(self, message: Message) -> Message | None:
        """Return a notification as it goes on, None where it does not: words of the server are labelled first."""
        method = message.method
        params: Tree = {key: item for key, item in message.params.items() if key in _TOLD.get(method, ())}
        if method == TASK_STATUS:
            told = await self._judge.tasks.notified(message.params)
            if told is None:
                return None
            params = told
        elif method == "notifications/subscriptions/acknowledged":
            params = {"notifications": self._agreed(params.get("notifications"))}
        elif method == PROGRESS:
            params = {key: item for key, item in params.items() if key in _TEXTS or type(item) is Number}
        words = self._words(method, params)
        if words is not None:
            text = rpc.write(words)
            if len(text) > _WORDS or not await self._judge.read(text):
                self._note(f"words of the server in `{method}` are left out: too many, or of no action")
                if method != PROGRESS:
                    return None
                del params["message"]
        meta = own_meta(message.params)
        meta.pop(RELATED, None)
        return rpc.notification(method, params | ({"_meta": meta} if meta else {}))

    def _words(self, method: str, params: Tree) -> object:
        """Return what of a notification is the server's own words, None where it has none."""
        if method == "notifications/message":
            return params
        if method == PROGRESS:
            return params.get("message")
        if method == "notifications/resources/updated":
            uri = params.get("uri")
            return None if type(uri) is str and uri in self._subscribed else uri
        if method == "notifications/elicitation/complete":
            name = params.get("elicitationId")
            return None if type(name) is str and name in self._judge.opened else name
        return None

    def _agreed(self, told: object) -> Tree:
        """Return what a server has agreed to tell: of what was asked for."""
        agreed: Tree = told if type(told) is dict else {}
        uris = agreed.get("resourceSubscriptions")
        known = [uri for uri in uris if type(uri) is str and uri in self._subscribed] if type(uris) is list else []
        changes = {key: agreed[key] for key in _CHANGES if type(agreed.get(key)) is bool}
        return changes | ({"resourceSubscriptions": known} if known else {})

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._room = min(_NOTICES_AT_ONCE, self._room + (now - self._counted_at) * _NOTICES_PER_S)
        self._counted_at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

    async def _changed(self, message: Message) -> None:
        """Look at a list again before the client hears that it has changed (T11)."""
        try:
            await self._shown.look(CHANGES[message.method], self._last, anew=True)
        except (TimeoutError, Absent) as error:
            self._note(f"a list changed, and could not be looked at again: {safe(error)}")
            return
        finally:
            self._looks[message.method] -= 1
        meta = own_meta(message.params)
        await self._client.send(rpc.notification(message.method, {"_meta": meta} if meta else {}))

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)


_TOLD: Final[Mapping[str, frozenset[str]]] = {
    CANCELLED: frozenset({"requestId"}),
    PROGRESS: frozenset({"progressToken", "progress", "total", "message"}),
    "notifications/message": frozenset({"level", "logger", "data"}),
    "notifications/resources/updated": frozenset({"uri"}),
    "notifications/elicitation/complete": frozenset({"elicitationId"}),
    "notifications/subscriptions/acknowledged": frozenset({"notifications"}),
}
"""Notifications of the server → their members that go on."""
_TEXTS: Final = frozenset({"progressToken", "message"})
_CHANGES: Final = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")
