"""What a client is shown of a server, and what of that it may use (T11; attack cases A.4, F.4, F.9).

* A list holds what an operator accepted (`pins`), and of that what this principal could be permitted at all
  (`engine.offer`). Prompts stand with `prompts-get`, resources and templates with `resources-read`. No such list
  is for others: `cacheScope` is private.
* Before something is used, its list was looked at in this connection, and not longer ago than `fresh_s`: servers need
  not announce a change. Nothing looks on its own: what nobody uses costs nothing. Where the list cannot be had, nothing
  in it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from navicert.engine.mediating import Mediator
from navicert.gateway import message as rpc
from navicert.gateway.calling import FAILED, own_meta
from navicert.gateway.message import Kind, Message, Refused, Tree
from navicert.gateway.pins import LISTS, RESOURCES, TOOLS, Watch, used
from navicert.gateway.side import Absent, Lost, Side
from navicert.gateway.surfaces import JUDGED, OPENING
from navicert.model.action import ToolProfile
from navicert.model.errors import NavicertError

_PAGES: Final = 100
_LOOK_S: Final = 30.0
_ACT: Final = {"prompts/list": "prompts/get", "resources/templates/list": "resources/read", RESOURCES: "resources/read"}
"""A list → the request that uses what is in it, where that is one action for all."""


class Shown:
    """What the clients of one server are shown. note: for the operator's eyes."""

    def __init__(self, mediator: Mediator, name: str, watch: Watch, server: Side, note: Callable[[str], None]) -> None:
        self._mediator = mediator
        self._name = name
        self._watch = watch
        self._server = server
        self._note = note

    async def answer(self, request: Message, reply: Message, session: str) -> Message:
        """Return the server's answer without what this client is not to see; `Refused` where that cannot be told."""
        if reply.kind is not Kind.RESULT:
            return reply
        value: Tree = reply.tree["result"]
        if request.method in OPENING:
            shown = self._watch.introduction(value)
            if shown is not value:
                self._note("the server's instructions are left out: they are not what was accepted")
            value = shown
        elif request.method in LISTS or request.method == RESOURCES:
            value = await self._list(request, value, session)
        return Message(reply.kind, reply.tree | {"result": value})

    async def _list(self, request: Message, value: Tree, session: str) -> Tree:
        method = request.method
        member = LISTS[method].member if method in LISTS else "resources"
        items = self._watch.page(value.get(member), method)
        if "cursor" not in request.params and type(value.get("nextCursor")) is not str and method in LISTS:
            self._watch.whole(method)
        for name, why in self._watch.held.get(method, {}).items():
            one = LISTS[method].one
            self._note(f"the {one} `{name:.80}` is held back: {why}; see `navicert tools {self._name}`")
        try:
            items = await asyncio.to_thread(self._offered, method, items, session) if items else items
        except NavicertError as error:
            raise Refused(FAILED, f"navicert: what you may be shown cannot be told: {error}", request.id) from None
        return value | {member: items} | ({"cacheScope": "private"} if "cacheScope" in value else {})

    def _offered(self, method: str, items: list[Tree], session: str) -> list[Tree]:
        if method == TOOLS:
            full = {item["name"]: f"{self._name}.{item['name']}" for item in items}
            known = {name: self._watch.profile(name) for name in full.values()}
            offered = self._mediator.offered(session, known)
            through = self._watch.dispatches  # what these may do is told by what they call
            return [item for item in items if full[item["name"]] in offered or item["name"] in through]
        surface = JUDGED[_ACT[method]]
        name = f"{self._name}.{surface.operation}"
        assert surface.effect is not None  # noqa: S101 - INVARIANT: what is read has a profile of its own
        profile = ToolProfile(tool=name, effect=surface.effect, resource=surface.resource)
        return items if self._mediator.offered(session, {name: profile}) else []

    async def withheld(self, request: Message) -> tuple[str, str] | None:
        """Return why what a request uses may not be used (reason code, and in words), None where it may.

        Looks at the server's list first, where that is due.
        """
        found = used(request)
        if found is None:
            return None
        method, name = found
        why = self._watch.callable(name, method)
        if why is None and self._watch.is_due(method):
            try:
                await self.look(method, request)
            except (TimeoutError, Absent, Refused) as error:
                why = f"whether the {LISTS[method].one} is what was accepted cannot be told now"
                self._note(f"{why}: the server's `{method}` fails ({str(error) or 'it took too long'})")
                return "unavailable", why
            why = self._watch.callable(name, method)
        if why is None:
            return None
        self._note(f"the {LISTS[method].one} `{name:.80}` is held back: {why}; see `navicert tools {self._name}`")
        return "not_accepted", f"the {LISTS[method].one} is not available: {why}"

    async def look(self, method: str, request: Message | None = None, *, anew: bool = False) -> None:
        """Look at all of a list, where that is due, or anew; raises `TimeoutError` where it cannot be had.

        request: whose revision is spoken.
        """
        meta = own_meta(request.params) if request is not None else {}
        meta.pop("progressToken", None)
        async with asyncio.timeout(_LOOK_S), self._watch.turn:
            if not (anew or self._watch.is_due(method)):
                return
            params: Tree = {"_meta": meta} if meta else {}
            for _ in range(_PAGES):
                reply = await self._server.ask(rpc.request(self._server.own_id(), method, params))
                if reply.kind is not Kind.RESULT:
                    raise Lost("it is not listed")
                value: Tree = reply.tree["result"]
                self._watch.page(value.get(LISTS[method].member), method)
                after = value.get("nextCursor")
                if type(after) is not str:
                    self._watch.whole(method)
                    return
                params = params | {"cursor": after}
            raise Lost("the list does not end")
