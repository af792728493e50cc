"""Tasks: results that come later, bound to the action that began them (T11; 2025-11-25, extension of 2026-07-28).

* A client sees names of ours. A task of a server's is asked about there, and what it ends with is looked at, labelled
  and recorded as the result of its action before it is released.
* An action that is deferred is a task of ours, where the client takes tasks: it ends as the wait does.
* Of what a server says of a task only what the protocol knows is passed on, and its words once they are labelled.
* A cancelled task leaves its action open: whether it happened is not known. So does one that nobody asks about.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from navicert.core.canonical import Number
from navicert.gateway import message as rpc
from navicert.gateway.asks import Asks, Unasked
from navicert.gateway.calling import failed, is_stateless, passed
from navicert.gateway.message import Kind, Message, Tree
from navicert.gateway.side import Lost, Side
from navicert.gateway.surfaces import RELATED
from navicert.gateway.talk import Talk
from navicert.model.errors import ResultWithheld

INVALID_PARAMS: Final = -32602
MOST: Final = 256
KEPT_S: Final = 600.0
"""So long after it was last asked about is one kept that has ended."""
LASTS_S: Final = 1500.0
"""So long is one waited for that nobody asks about."""
Said = Callable[[str], Awaitable[None]]
_STATUS: Final = frozenset({"working", "input_required", "completed", "failed", "cancelled"})
_TIMES: Final = frozenset({"createdAt", "lastUpdatedAt"})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
_LENGTHS: Final = frozenset({"ttlMs", "ttl", "pollIntervalMs", "pollInterval"})
_POLL_MS: Final = "1000"


class Task:
    """One of them. upstream: its name at the server, None for one of ours. said: labels its words before release."""

    def __init__(self, talk: Talk, upstream: str | None, said: Said) -> None:
        self.id = secrets.token_urlsafe(24)
        self.talk = talk
        self.upstream = upstream
        self.said = said
        self.state: Tree = {"status": "working"}
        """As the client sees it."""
        self.reply: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        """What the server ends it with."""
        self.final: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        """What the client is told at the end."""
        self.asks: dict[str, Asks] = {}
        self.turn = asyncio.Lock()
        """What the server asks for is judged once."""
        self.used = asyncio.get_running_loop().time()

    async def takes(self, state: Tree) -> None:
        """Take up a state that the server tells."""
        words = state.get("statusMessage")
        if type(words) is str:
            try:
                await self.said(words)
            except ResultWithheld:
                words = None
        found = {key: value for key, value in state.items() if _is_known(key, value)}
        self.state = {"status": "working"} | found | ({"statusMessage": words} if type(words) is str else {})

    def shown(self) -> Tree:
        """Return its state as the client sees it."""
        state, stateless = {"taskId": self.id} | self.state, self.talk.stateless
        if not self.final.done() or state["status"] == "cancelled":
            return state
        final = self.final.result()
        if final.kind is Kind.ERROR:
            return state | {"status": "failed"} | ({"error": final.tree["error"]} if stateless else {})
        if stateless:
            return state | {"status": "completed", "result": final.tree["result"]}
        return state | {"status": "failed" if failed(final) else "completed"}

    def ends_with(self, reply: Message) -> None:
        """Hand over what the server ends it with."""
        if not self.reply.done():
            self.reply.set_result(reply)

    def is_lost(self, why: str) -> None:
        """Let nobody wait for it any more: what became of it is not known."""
        if not self.reply.done():
            self.reply.set_exception(Lost(why))
            self.reply.exception()  # whoever waits may be gone


class Tasks:
    """The tasks of one client at one server."""

    def __init__(self, server: Side, judged: Callable[[Any], Awaitable[Asks]]) -> None:
        self._server = server
        self._judged = judged
        self._held: dict[str, Task] = {}

    @property
    def names(self) -> frozenset[str]:
        """The names under which the client may ask; those that nobody asked for in long are given up."""
        now = asyncio.get_running_loop().time()
        for id_, task in list(self._held.items()):
            if task.final.done() and now - task.used > KEPT_S:
                del self._held[id_]
            elif now - task.used > LASTS_S:
                task.is_lost("nobody asked for it any more")
        return frozenset(self._held)

    async def begins(self, talk: Talk, reply: Message, said: Said) -> Task | None:
        """Answer the call with the task that a server answers with; None where it has no name, or no place."""
        value: Tree = reply.tree["result"]
        state: Tree = value["task"] if type(value.get("task")) is dict else value
        upstream = state.get("taskId")
        if type(upstream) is not str or not talk.takes_tasks:
            return None
        task = next((each for each in self._held.values() if each.talk is talk), None)
        if task is not None:  # one of ours that the server goes on with
            task.upstream, task.said = upstream, said
            await task.takes(state)
            return task
        if not self._has_room():
            return None
        task = Task(talk, upstream, said)
        await task.takes(state)
        return self._begun(task)

    def defers(self, talk: Talk, deadline: int, now: int) -> Task | None:
        """Answer the call with a task of ours: the action waits; microseconds. None where there are too many."""
        if not self._has_room():
            return None
        left, at = Number(str(max(0, deadline - now) // 1000)), _time(now)
        task = Task(talk, None, _nothing)
        task.state |= {"createdAt": at, "lastUpdatedAt": at}
        if talk.stateless:
            task.state |= {"ttlMs": left, "pollIntervalMs": Number(_POLL_MS)}
        else:
            task.state |= {"ttl": left, "pollInterval": Number(_POLL_MS)}
        return self._begun(task)

    def _has_room(self) -> bool:
        for id_, task in list(self._held.items()):
            if len(self._held) < MOST:
                break
            if task.final.done():
                del self._held[id_]
        return len(self._held) < MOST

    def _begun(self, task: Task) -> Task:
        self._held[task.id] = task
        value = {"resultType": "task"} | task.shown() if task.talk.stateless else {"task": task.shown()}
        task.talk.becomes_task(rpc.result("", value), task.final)
        return task

    async def asked(self, request: Message) -> Message:
        """Answer a request about a task."""
        kind, stateless, id_ = request.method.partition("/")[2], is_stateless(request), request.id or ""
        if kind == "update" and not stateless:
            return rpc.error(id_, rpc.METHOD_NOT_FOUND, "this is not passed on")
        if kind == "list":
            return rpc.result(id_, {"tasks": [task.shown() for task in self._held.values() if not task.talk.stateless]})
        task = self._held.get(str(request.params.get("taskId")))
        if task is None or task.talk.stateless is not stateless:
            return rpc.error(id_, INVALID_PARAMS, "there is no such task")
        task.used = asyncio.get_running_loop().time()
        if kind == "update":
            return await self._updated(request, task)
        if kind == "cancel":
            return await self._cancelled(request, task)
        if kind == "result":
            return await self._result(request, task)
        async with task.turn:
            return await self._looked(request, task)

    async def _looked(self, request: Message, task: Task) -> Message:
        """Tell what a task has come to."""
        more: Tree = {}
        if task.upstream is not None and not task.reply.done():
            reply = await self._to_server(request, task)
            if reply.kind is Kind.ERROR:
                return await _told(task, reply)
            if not task.reply.done():
                more = await self._taken(request, task, reply.tree["result"])
        if task.reply.done():
            await asyncio.shield(task.final)
        about = {"resultType": "complete"} if task.talk.stateless else {}
        return rpc.result(request.id or "", about | task.shown() | more)

    async def _taken(self, request: Message, task: Task, value: Tree) -> Tree:
        """Take up what the server says of a task; returns what it asks for."""
        await task.takes(value)
        status = task.state["status"]
        if status == "cancelled":
            task.is_lost("it was cancelled")
        elif status == "input_required" and task.talk.stateless:
            return await self._shown_asks(request, task, value)
        elif status == "completed" and task.talk.stateless:
            if type(value.get("result")) is dict:
                task.ends_with(rpc.result("", value["result"]))
            else:
                task.is_lost("the task is completed, without a result")
        elif status == "failed" and task.talk.stateless:
            error = value.get("error")
            error = error if type(error) is dict else {"code": Number(str(rpc.INTERNAL_ERROR)), "message": "it failed"}
            task.ends_with(Message(Kind.ERROR, {"jsonrpc": "2.0", "id": "", "error": error}))
        return {}

    async def _shown_asks(self, request: Message, task: Task, value: Tree) -> Tree:
        """Judge what the server asks for, each once; a refusal ends the task for the client, and at the server."""
        found = value.get("inputRequests")
        requests: Tree = found if type(found) is dict else {}
        try:
            asks = await self._judged({key: item for key, item in requests.items() if key not in task.asks})
        except Unasked as error:
            task.ends_with(rpc.error("", rpc.INTERNAL_ERROR, f"navicert: {error}"))
            await self._to_server(request, task, "tasks/cancel")
            return {}
        task.asks |= dict.fromkeys(asks.shown, asks)
        return {"inputRequests": {key: each.shown[key] for key, each in task.asks.items() if key in requests}}

    async def _result(self, request: Message, task: Task) -> Message:
        """Tell what a task ended with, once it has (2025-11-25)."""
        if task.upstream is not None and not task.reply.done():
            reply = await self._to_server(request, task, endless=True)
            if reply.kind is Kind.ERROR and not task.reply.done():  # of the call, or of this request?
                now = await self._to_server(request, task, "tasks/get")
                status = now.tree["result"].get("status") if now.kind is Kind.RESULT else None
                if status == "cancelled":
                    task.state["status"] = status
                    task.is_lost("it was cancelled")
                elif status != "failed":
                    return await _told(task, reply)
            task.ends_with(reply)
        final = await asyncio.shield(task.final)
        tree = final.tree | {"id": request.id}
        if final.kind is Kind.RESULT:
            meta = (final.tree["result"].get("_meta") or {}) | {RELATED: {"taskId": task.id}}
            tree["result"] = final.tree["result"] | {"_meta": meta}
        return Message(final.kind, tree)

    async def _updated(self, request: Message, task: Task) -> Message:
        answers = request.params.get("inputResponses")
        found: Tree = {}
        for key, value in (answers if type(answers) is dict else {}).items():
            if key in task.asks:
                found |= await task.asks[key].answered({key: value})
        if task.upstream is not None and found:
            reply = await self._to_server(request, task, more={"inputResponses": found})
            if reply.kind is Kind.ERROR:
                return await _told(task, reply)
        return rpc.result(request.id or "", {"resultType": "complete"})

    async def _cancelled(self, request: Message, task: Task) -> Message:
        stateless, id_ = task.talk.stateless, request.id or ""
        if task.reply.done() and not stateless:
            return rpc.error(id_, INVALID_PARAMS, "the task is over")
        if task.upstream is None:
            task.state["status"] = "cancelled"
            task.is_lost("it was cancelled")
        elif not task.reply.done():
            reply = await self._to_server(request, task)
            if reply.kind is Kind.ERROR:
                return await _told(task, reply)
            if not stateless and not task.reply.done():  # else it is seen when the server is asked
                await self._taken(request, task, reply.tree["result"])
        return rpc.result(id_, {"resultType": "complete"} if stateless else task.shown())

    async def _to_server(
        self, request: Message, task: Task, method: str = "", *, more: Tree | None = None, endless: bool = False
    ) -> Message:
        """Ask the server about a task. method: another than the client's."""
        meta = passed(request).params.get("_meta")
        params: Tree = {"taskId": task.upstream} | (more or {}) | ({"_meta": meta} if meta else {})
        id_ = self._server.own_id() if method else request.id or ""
        return await self._server.ask(rpc.request(id_, method or request.method, params), endless=endless)

    async def notified(self, state: Tree) -> Tree | None:
        """Return a state that the server tells on its own as it goes on; None where nobody asks for that task."""
        named = state.get("taskId")
        task = next((each for each in self._held.values() if each.upstream == named), None)
        if task is None or task.upstream is None or task.reply.done():
            return None
        await task.takes(state)
        return task.shown()

    def end(self) -> None:
        """Let nobody wait any more."""
        for task in self._held.values():
            task.is_lost("the connection ended")


async def _told(task: Task, reply: Message) -> Message:
    """Return an error by which a server answers a request about a task, once its words are labelled."""
    if task.reply.done():
        return rpc.error(reply.id, rpc.INTERNAL_ERROR, "the task is over")
    await task.said(rpc.write(reply.tree["error"]))
    return reply


def _is_known(key: str, value: Any) -> bool:
    """Tell whether a member of a task's state is what the protocol has there, and no words."""
    if key == "status":
        return type(value) is str and value in _STATUS
    if key in _TIMES:
        return type(value) is str and _TIME.fullmatch(value) is not None
    return key in _LENGTHS and (value is None or type(value) is Number)


def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def _nothing(_: str) -> None:
    """Words of our own need no label."""
