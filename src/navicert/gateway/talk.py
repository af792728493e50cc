"""One action's talk with who asked for it, over as many requests as it takes (R4; 2026-07-28: `input_required`).

* What is asked of the caller goes out as the answer to its request; the same request comes again, with the answers.
* The state that the caller sends back is a random name, good once, for that request alone, and for ten minutes.
  Nothing that the caller could change is believed: everything else stays here.
* A talk may become a task: what it ends with is then asked for by the task's id, not told.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, Protocol

from navicert.core.canonical import canonical_parameters
from navicert.gateway import message as rpc
from navicert.gateway.calling import is_stateless
from navicert.gateway.message import Kind, Message, Tree
from navicert.gateway.surfaces import CALL, ROUNDS

CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
TASKS: Final = "io.modelcontextprotocol/tasks"
ROUND_S: Final = 600.0
"""So long may a caller take to come back with the answers."""
_AGAIN: Final = frozenset({"_meta", "inputResponses", "requestState"})


class Silent(Exception):
    """The caller did not come back with the answers that it was asked for."""


class Turn(Protocol):
    """What a request belongs to, so that what comes of it finds its way to the client."""

    def moves_to(self, later: Any) -> None:
        """Let what comes of it from now on be for the request that goes on with it."""


class Talk:
    """One request that is judged, and those that go on with it. capabilities: of the client, as it declared them."""

    def __init__(self, request: Message, capabilities: Tree, turn: Turn | None = None) -> None:
        meta = request.params.get("_meta")
        self._turn = turn
        offered = request.params.get("inputResponses")
        self._offered: Tree = offered if type(offered) is dict else {}
        """Answers that came before anything was asked."""
        self.request = request
        """The one that waits for an answer now."""
        self.stateless = is_stateless(request)
        self.state: str | None = None
        """What the caller has to send back to go on; None where nothing is asked of it."""
        declared = meta.get(CAPABILITIES) if self.stateless and type(meta) is dict else capabilities
        self._declared: Tree = declared if type(declared) is dict else {}
        self.over = asyncio.Event()
        """Nothing more comes of it."""
        self._first = request
        self._told: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._again: asyncio.Future[Message] | None = None
        self._task: asyncio.Future[Message] | None = None

    @property
    def goes_rounds(self) -> bool:
        """Tell whether the caller can be asked for something in the answer to its request."""
        return self.stateless and self.request.method in ROUNDS and not self.is_task

    @property
    def opens_addresses(self) -> bool:
        """Tell whether the client can be asked to show its user an address to open."""
        return (self.goes_rounds or not self.stateless) and type(_at(self._declared, "elicitation", "url")) is dict

    @property
    def takes_tasks(self) -> bool:
        """Tell whether the client takes a task for an answer."""
        if self.request.method != CALL:
            return False
        if self.stateless:
            return type(_at(self._declared, "extensions", TASKS)) is dict
        return type(self.request.params.get("task")) is dict

    @property
    def is_task(self) -> bool:
        """Tell whether what it ends with is asked for by a task's name."""
        return self._task is not None

    async def told(self) -> Message:
        """Return the answer to the request in hand, once there is one."""
        return await asyncio.shield(self._told)

    def tell(self, reply: Message) -> None:
        """Answer the request in hand, or where this is a task by now, end it."""
        told = self._task or self._told
        if not told.done():
            told.set_result(Message(reply.kind, reply.tree | {"id": self.request.id}))

    def becomes_task(self, reply: Message, final: asyncio.Future[Message]) -> None:
        """Answer with a task. final: gets what the talk ends with."""
        self.tell(reply)
        self._task = final

    async def ask(self, requests: Tree) -> Tree:
        """Ask the caller, by key; returns what it answers, by key. Raises `Silent` where it does not come back."""
        offered, self._offered = self._offered, {}
        if requests and requests.keys() <= offered.keys():
            return {key: offered[key] for key in requests}
        state = self.state = secrets.token_urlsafe(32)
        self._again = asyncio.get_running_loop().create_future()
        value: Tree = {"resultType": "input_required", "inputRequests": requests, "requestState": state}
        self.tell(rpc.result(self.request.id or "", value))
        try:
            async with asyncio.timeout(ROUND_S):
                found = (await self._again).params.get("inputResponses")
        except TimeoutError:
            raise Silent("the answers did not come in time") from None
        finally:
            self.state = None
        return found if type(found) is dict else {}

    def is_left(self) -> bool:
        """Wait for the caller no more: it makes the call anew. False where nothing is asked of it (any more)."""
        if self._again is None or self._again.done():
            return False
        self._again.set_exception(Silent("the call was made anew, without the answers"))
        return True

    def goes_on(self, request: Message, turn: Turn | None = None) -> bool:
        """Take the request that goes on with this talk; False for another one, or where nothing is asked for."""
        again = self._again
        if again is None or again.done() or self.state != request.params.get("requestState"):
            return False
        if _same(request) != _same(self._first):
            return False
        self.request, self.state = request, None
        if self._turn is not None:
            self._turn.moves_to(turn)
        self._told = asyncio.get_running_loop().create_future()
        again.set_result(request)
        return True


def _same(request: Message) -> tuple[str, bytes]:
    params = {key: value for key, value in request.params.items() if key not in _AGAIN}
    return request.method, canonical_parameters(params)


def _at(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if type(value) is dict else None
    return value


def is_task(reply: Message) -> bool:
    """Tell whether an answer says that the result comes later."""
    value = reply.tree.get("result", {})
    return reply.kind is Kind.RESULT and (value.get("resultType") == "task" or type(value.get("task")) is dict)


def is_asking(reply: Message) -> bool:
    """Tell whether an answer asks for something first."""
    return reply.kind is Kind.RESULT and reply.tree["result"].get("resultType") == "input_required"
