"""One request: judged, run, answered (R1, R4; docs/reference/mcp.md). Nothing here raises but a cancellation.

* Failures are errors for the asker, and leave a receipt. Whether a call that was on its way happened is then not known,
  and it stays open.
* What a server asks for in an answer, and what it gives later, belongs to the action that it was asked for.
* A person is asked on a page of ours, where there is one and the client opens addresses. What the client says of that
  decides nothing: it goes on, and the wait is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final

from navicert.core.canonical import Number
from navicert.engine.completing import Output
from navicert.engine.mediating import Mediator, ToolFailed
from navicert.engine.workings import safe
from navicert.gateway import message as rpc
from navicert.gateway.asks import Asks, Unasked
from navicert.gateway.calling import (
    asked,
    failed,
    forwarded,
    is_whole,
    opens,
    output_of,
    refusal,
    rewritten,
    trouble,
    with_receipt,
)
from navicert.gateway.message import INVALID_REQUEST, Message, Refused, Tree
from navicert.gateway.pins import Watch
from navicert.gateway.shown import Shown
from navicert.gateway.side import Absent, Lost, Side
from navicert.gateway.surfaces import CANCELLED
from navicert.gateway.talk import Silent, Talk, is_asking, is_task
from navicert.gateway.tasks import Tasks
from navicert.model.action import Action
from navicert.model.decision import Denied, Permit, Suspended, Verdict
from navicert.model.errors import InvalidAction, NavicertError, ResultWithheld

ELICIT: Final = "elicitation/create"
OPENED: Final = "notifications/elicitation/complete"
_OURS: Final = "navicert"
_SLICE_S: Final = 5.0
_LOOK_S: Final = 1.0
"""So soon is it seen that the user does not open the page."""
_OPENED: Final = 256
_ASKING: Final[dict[tuple[str, str], Talk]] = {}
"""By session and digest: what waits for answers of its caller. The same call made anew ends it, and is not refused."""
_ACTION: ContextVar[str] = ContextVar("navicert_mcp_action", default="")
_WITHHELD: Final = "the server asks for something, or answers later, in a way that is not passed on"


class Failed(ToolFailed):
    """The tool says that it failed; the reply, its value, is passed on."""


class Judge:
    """Judges the requests of one connection. standing: session and surface of the one in hand."""

    def __init__(  # noqa: PLR0913 - what a judgement needs to know
        self,
        mediator: Mediator,
        name: str,
        watch: Watch,
        *,
        client: Side,
        server: Side,
        standing: Callable[[], tuple[str, str]],
        refresh: Callable[[], None],
        tell: Callable[[Side, Message], Awaitable[None]],
        shown: Shown,
    ) -> None:
        self._mediator = mediator
        self._name = name
        self._watch = watch
        self._client = client
        self._server = server
        self._standing = standing
        self._refresh = refresh
        self._tell = tell
        self._shown = shown
        self._running: dict[str, Permit] = {}
        self.tasks = Tasks(server, self._asks)
        self.opened: dict[str, None] = {}
        """Names of the addresses that the client was asked to open."""

    async def course(self, talk: Talk) -> None:
        """Answer a request of the client."""
        try:
            talk.tell(await self._answer(talk.request, self._server, talk))
        finally:
            talk.over.set()

    async def back(self, request: Message) -> None:
        """Answer a request of the server."""
        await self._server.send(await self._answer(request, self._client, None))

    async def _answer(self, request: Message, other: Side, talk: Talk | None) -> Message:
        try:
            return await self._judged(request, other, talk)
        except Refused as error:
            return rpc.error(request.id, error.code, str(error))
        except Lost as error:
            if talk is not None and not talk.is_task:
                await self._tell(other, rpc.notification(CANCELLED, {"requestId": talk.request.id}))
            return trouble(request, f"no answer came, and whether it happened is not known: {error}")
        except Absent as error:
            return trouble(request, f"the server `{self._name}` is not there, and was not asked: {error}")
        except (NavicertError, Silent, Unasked) as error:
            return trouble(request, str(error))
        except Exception as error:  # noqa: BLE001 - a failure of ours is an error for the caller, and nothing ran for it
            return trouble(request, f"the gateway failed: {safe(error)}")

    async def _judged(self, request: Message, other: Side, talk: Talk | None) -> Message:
        action, session = self._action(request)
        engine = self._mediator
        held = await self._shown.withheld(request)
        if held is not None:
            code, why = held
            return refusal(request, await asyncio.to_thread(engine.refuse, action, session, why, code))
        answer = await engine.decide_async(action, session)
        asking = _ASKING.get((session, action.digest))
        is_open = isinstance(answer, Denied) and answer.reason_code == "open_action"
        if is_open and asking is not None and asking.is_left():
            await asking.over.wait()
            answer = await engine.decide_async(self._action(request)[0], session)
        if isinstance(answer, Suspended):
            answer = await (self._held(answer, talk) if talk is not None else engine.in_band_async(answer))
        if not isinstance(answer, Permit):
            return refusal(request, answer)
        permit = answer

        async def run(parameters: bytes) -> Message:
            self._running[permit.action_id] = permit
            _ACTION.set(permit.action_id)
            self._opens(request)
            try:
                reply = await self._run(request, parameters, permit, other, talk)
            finally:
                del self._running[permit.action_id]
            if failed(reply):
                raise Failed(reply)
            return reply

        try:
            _, reply = await engine.execute_async(permit, run, output_of, rewritten)
        except Failed as error:
            reply = error.value
        return with_receipt(reply, permit)

    def _action(self, request: Message) -> tuple[Action, str]:
        self._refresh()
        try:
            found = asked(self._name, request, self._watch.dispatches)
        except InvalidAction as error:
            raise Refused(INVALID_REQUEST, str(error), request.id) from None
        profile = found.profile or self._watch.profile(f"{found.tool}.{found.operation}")
        session, surface = self._standing()
        action = self._mediator.action(found.tool, found.operation, found.parameters, profile=profile, surface=surface)
        return action, session

    async def permitted(self, request: Message) -> Permit | Denied | Suspended:
        """Judge a request that is part of another; where it is held, so long as callers are kept waiting."""
        action, session = self._action(request)
        return await self._mediator.in_band_async(await self._mediator.decide_async(action, session))

    async def read(self, text: str) -> bool:
        """Label words of the server that belong to no result; False where no action is under way that they are of.

        False too where the policy withholds them.
        They are of the action in whose course they come; where that is not known, of every session that has one.
        """
        own = self._running.get(_ACTION.get())
        found = [own] if own is not None else {each.session_id: each for each in self._running.values()}.values()
        try:
            for permit in list(found):
                await self._mediator.extend_async(permit, Output(text=text))
        except ResultWithheld:
            return False
        return bool(found)

    def _opens(self, request: Message) -> None:
        """Keep the name of an address that is opened: the server tells by it when that is done."""
        name = request.params.get("elicitationId")
        if request.method == ELICIT and type(name) is str:
            self.opened[name] = None
            while len(self.opened) > _OPENED:
                self.opened.pop(next(iter(self.opened)))

    # the running

    async def _run(
        self, request: Message, parameters: bytes, permit: Permit, other: Side, talk: Talk | None
    ) -> Message:
        """Have the other side do it, over as many rounds as it takes."""
        more: Tree = {}
        if talk is not None and talk.takes_tasks and not talk.stateless and not talk.is_task:
            more = {"task": _lasting(request.params["task"])}
        dispatches = self._watch.dispatches
        reply = await other.ask(forwarded(request, parameters, more, dispatches))
        while talk is not None and talk.goes_rounds and is_asking(reply):
            asks = await self._asks(reply.tree["result"].get("inputRequests"), request)
            place = permit.session_id, permit.digest
            try:
                _ASKING[place] = talk
                answers = await asks.answered(await talk.ask(asks.shown))
            except Silent as error:
                raise Failed(trouble(request, str(error))) from None
            finally:
                _ASKING.pop(place, None)
                await asks.unanswered()
            again: Tree = {"inputResponses": answers}
            if "requestState" in reply.tree["result"]:
                again["requestState"] = reply.tree["result"]["requestState"]
            reply = await other.ask(forwarded(talk.request, parameters, more | again, dispatches))
        if talk is not None and is_task(reply):
            reply = await self._later(reply, permit, talk)
        return reply if is_whole(reply) else await self._opening(reply, request)

    async def _opening(self, reply: Message, request: Message) -> Message:
        """Return an error that would have the user open addresses, where the server may ask for that (2025-11-25)."""
        addresses = opens(reply)
        if addresses is None:
            raise Failed(trouble(request, _WITHHELD))
        wanted = {str(number): {"method": ELICIT, "params": each} for number, each in enumerate(addresses)}
        asks = await self._asks(wanted, request)
        await asks.unanswered()
        data = {"elicitations": [each["params"] for each in asks.shown.values()]}
        error = {"code": reply.tree["error"]["code"], "message": "the server asks you to open an address", "data": data}
        return Message(rpc.Kind.ERROR, {"jsonrpc": "2.0", "id": request.id, "error": error})

    async def _asks(self, requests: object, request: Message | None = None) -> Asks:
        try:
            asks = await Asks.judged(self._mediator, self.permitted, requests)
        except (Unasked, Refused) as error:
            if request is None:
                raise Unasked(str(error)) from None
            raise Failed(trouble(request, str(error))) from None
        for each in asks.shown.values():
            self._opens(rpc.request("", each["method"], each["params"]))
        return asks

    async def _later(self, reply: Message, permit: Permit, talk: Talk) -> Message:
        """Wait for a result that the client asks for by the task's name."""

        async def said(words: str) -> None:
            await self._mediator.extend_async(permit, Output(text=words))

        task = await self.tasks.begins(talk, reply, said)
        if task is None:
            raise Failed(trouble(talk.request, _WITHHELD))
        try:
            return await task.reply
        finally:
            for asks in task.asks.values():
                await asks.unanswered()

    # the waiting

    async def _held(self, answer: Suspended, talk: Talk) -> Permit | Denied | Suspended:
        """Wait for a person, or for a fact: as a task, over a page of ours, or for a while."""
        engine = self._mediator
        if answer.verdict is Verdict.DEFER and talk.takes_tasks:
            return await self._deferred(answer, talk)
        link = await asyncio.to_thread(engine.link, answer.handle) if talk.opens_addresses else None
        if link is None:
            return await engine.in_band_async(answer)
        params: Tree = {"mode": "url", "message": _question(answer), "url": link}
        if not talk.stateless:
            return await self._pushed(answer, params)
        answers = await talk.ask({_OURS: {"method": ELICIT, "params": params}})
        return await engine.in_band_async(answer) if _agrees(answers.get(_OURS)) else answer

    async def _pushed(self, answer: Suspended, params: Tree) -> Permit | Denied | Suspended:
        """Ask the client to open the page, and wait meanwhile; one that declines is told the handle at once."""
        engine = self._mediator
        asking = asyncio.create_task(
            self._client.ask(rpc.request(self._client.own_id(), ELICIT, params | {"elicitationId": answer.handle}))
        )
        try:
            found: Permit | Denied | Suspended = answer
            left = engine.in_band_s
            while isinstance(found, Suspended) and left > 0:
                found = await engine.in_band_async(found, min(left, _LOOK_S))
                left -= _LOOK_S
                if asking.done() and not _opened(asking):
                    break
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await self._tell(self._client, rpc.notification(OPENED, {"elicitationId": answer.handle}))
        return found

    async def _deferred(self, answer: Suspended, talk: Talk) -> Permit | Denied | Suspended:
        """Answer with a task, and wait to the end of the wait."""
        engine = self._mediator
        task = self.tasks.defers(talk, answer.deadline, engine.now())
        if task is None:
            return await engine.in_band_async(answer)
        found: Permit | Denied | Suspended = answer
        while isinstance(found, Suspended) and not task.reply.done():
            found = await engine.in_band_async(found, _SLICE_S)
        if task.reply.done():
            return answer if isinstance(found, Permit) else found
        return found


def _lasting(task: Tree) -> Tree:
    return {"ttl": task["ttl"]} if type(task.get("ttl")) is Number else {}


def _question(answer: Suspended) -> str:
    who = "a person decides" if answer.verdict is Verdict.STEP_UP else "a fact is missing"
    return f"navicert holds this call ({who}): {answer.reason}. Open the page to see exactly what would run"


def _opened(asking: asyncio.Task[Message]) -> bool:
    return asking.exception() is None and _agrees(asking.result().tree.get("result"))


def _agrees(answer: object) -> bool:
    return type(answer) is dict and answer.get("action") == "accept"
