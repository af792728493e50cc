"""What a server asks for in an answer (`inputRequests`): each is an action of that server, like one that it sends.

* Where one of them is refused, none goes out, and the call fails.
* What the client answers is looked at and labelled before it goes to the server; answers nobody asked for are dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from navicert.core.canonical import parse_parameters
from navicert.engine.mediating import Mediator
from navicert.gateway import message as rpc
from navicert.gateway.calling import failed, output_of
from navicert.gateway.message import Kind, Message, Tree
from navicert.gateway.surfaces import ASKED_BACK
from navicert.model.decision import Denied, Permit, Suspended

Judge = Callable[[Message], Awaitable[Permit | Denied | Suspended]]
_MOST: Final = 16
"""So many things may one answer ask for."""


class Unasked(Exception):
    """The server asks for something that it may not ask for."""


class Asks:
    """What one answer of a server asks for, permitted. shown: by key, as it goes to the client."""

    def __init__(self, mediator: Mediator) -> None:
        self.shown: Tree = {}
        self._mediator = mediator
        self._open: dict[str, Permit] = {}

    @classmethod
    async def judged(cls, mediator: Mediator, judge: Judge, requests: Any) -> Asks:
        """Judge each of them; raises `Unasked` where one is refused."""
        wanted: Tree = requests if type(requests) is dict else {}
        if len(wanted) > _MOST:
            raise Unasked(f"the server asks for {len(wanted)} things at once; at most {_MOST} are passed on")
        asks = cls(mediator)
        try:
            for key, item in wanted.items():
                await asks._judge(judge, key, item)
        except BaseException:
            await asks.unanswered()
            raise
        return asks

    async def _judge(self, judge: Judge, key: str, item: Any) -> None:
        method = item.get("method") if type(item) is dict else None
        params = item.get("params") if type(item) is dict else None
        params = {} if params is None else params
        if type(method) is not str or method not in ASKED_BACK or type(params) is not dict:
            raise Unasked("the server asks for something that is not passed on")
        answer = await judge(rpc.request(key, method, params))
        if not isinstance(answer, Permit):
            raise Unasked(f"the server asks for {method}, and that is refused: {answer.reason}")
        await self._mediator.redeem_async(answer)
        self._open[key] = answer
        self.shown[key] = {"method": method, "params": parse_parameters(answer.parameters)}

    async def answered(self, answers: Tree) -> Tree:
        """Record what the client answered; returns what of it may go to the server."""
        found: Tree = {}
        for key, value in answers.items():
            permit = self._open.pop(key, None) if type(value) is dict else None
            if permit is None:
                continue
            reply = Message(Kind.RESULT, {"jsonrpc": "2.0", "id": key, "result": value})
            await self._mediator.complete_async(permit, output_of(reply), error="refused" if failed(reply) else None)
            found[key] = value
        return found

    async def unanswered(self) -> None:
        """Record that the client did not answer the rest."""
        while self._open:
            _, permit = self._open.popitem()
            await self._mediator.complete_async(permit, output_of(rpc.result("", {})), error="not_answered")
