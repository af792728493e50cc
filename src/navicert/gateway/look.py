"""Looking at a server before it is put behind the gateway: what it defines in each revision, and what tools seem to do.

* A profile is proposed from what a tool says of itself: name, description, parameters (`intent.effects`). Annotations
  can only make it more dangerous. Where nothing says what a tool does, it is taken for `execute`.
* A proposal is nothing until an operator accepts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

from navicert.gateway import message as rpc
from navicert.gateway.calling import VERSION, is_name
from navicert.gateway.message import Kind, Message, Refused, Tree
from navicert.gateway.pins import LISTS, PROMPTS, SAID, TEMPLATES, TOOLS, Server, digest_of, text_digest, text_key
from navicert.gateway.stdio import launch, program_digest, stop
from navicert.gateway.surfaces import RESERVED
from navicert.intent.effects import infer
from navicert.model.action import ToolProfile
from navicert.model.errors import IntegrityError

_Ask = Callable[[Message], Awaitable[Message | None]]
ERAS: Final = ("2025-11-25", "2026-07-28")
_WITHIN_S: Final = 30.0
_PAGES: Final = 100
_OTHERS: Final = {PROMPTS: "prompts", TEMPLATES: "resources"}
"""What not every server lists → the capability of those that do."""


class Looked(NamedTuple):
    """What a server shows, as it would be accepted. unusable: tools whose names cannot stand in a rule."""

    server: Server
    unusable: tuple[str, ...]


async def look(name: str, server: Server) -> Looked:
    """Ask a server in each revision for what it defines, launched or reached; raises `IntegrityError` for no answer.

    The texts and the proposals are those of the newest revision that it speaks.
    """
    digests: dict[str, dict[str, set[str]]] = {method: {} for method in LISTS}
    newest: dict[str, dict[str, Tree]] = {method: {} for method in LISTS}
    texts: set[str] = set()
    said: dict[str, str] = {}
    server = _accepted(server, program=program_digest(server.command) if server.url is None else None)
    troubles: list[str] = []
    for era in ERAS:
        try:
            async with asyncio.timeout(_WITHIN_S):
                listed, text = await _listed(server, era)
        except (TimeoutError, ConnectionError, Refused, asyncio.IncompleteReadError) as error:
            ended = isinstance(error, asyncio.IncompleteReadError)
            troubles.append(f"{era}: {'it ended before it answered' if ended else str(error) or 'no answer'}")
            continue
        for method, items in listed.items():
            for item in items:
                called = item[LISTS[method].key]
                newest[method][called] = item
                digests[method].setdefault(called, set()).add(digest_of(item))
        if text is not None:
            texts.add(text_digest(text))
            said = {SAID: rpc.write({"instructions": text})}
    if len(troubles) == len(ERAS):
        raise IntegrityError(f"the server `{name}` does not answer ({'; '.join(troubles)}); try it by hand")
    tools = newest[TOOLS]
    unusable = {each for each in tools if not is_name(each) or each in RESERVED}
    digests[TOOLS] = {each: found for each, found in digests[TOOLS].items() if each not in unusable}
    pins = {
        LISTS[method].pins: {each: tuple(sorted(found)) for each, found in sorted(digests[method].items())}
        for method in LISTS
    }
    found = _accepted(
        server,
        **pins,
        program=server.program,
        instructions=tuple(sorted(texts)),
        profiles=tuple(proposed(name, tools[each]) for each in pins["tools"]),
        definitions={
            text_key(method, each): rpc.write(newest[method][each])
            for method, listing in LISTS.items()
            for each in pins[listing.pins]
        }
        | said,
    )
    return Looked(found, tuple(sorted(unusable)))


def _accepted(server: Server, **changes: Any) -> Server:
    kept = ("command", "env", "url", "headers", "within_s", "fresh_s", "dispatch")
    held = {name: getattr(server, name) for name in kept}
    return Server(**held, **changes)


def proposed(server: str, definition: Tree) -> ToolProfile:
    """Return what a tool seems to do, by what it says of itself (`intent.effects`)."""
    said, schema, hints = (definition.get(key) for key in ("description", "inputSchema", "annotations"))
    return infer(f"{server}.{definition['name']}", said, schema, hints).profile


async def _listed(server: Server, era: str) -> tuple[dict[str, list[Tree]], str | None]:
    """Return what a server lists, by method, and its instructions; raises `Refused` if it does not list its tools."""
    async with _asking(server) as ask:
        talk = _Talk(ask)
        said = await talk.open(era)
        has = said.get("capabilities")
        has = has if type(has) is dict else {}
        listed = {TOOLS: await talk.list(TOOLS)} if "tools" in has or not has.keys() & _OTHERS.values() else {}
        for method, capability in _OTHERS.items():
            if capability in has:
                with suppress(
                    Refused
                ):  # a server with resources need not have templates; what is not seen is not pinned
                    listed[method] = await talk.list(method)
        text = said.get("instructions")
        return listed, text if type(text) is str else None


@asynccontextmanager
async def _asking(server: Server) -> AsyncIterator[_Ask]:
    """Give what sends a message to a server, and returns the answer to a request."""
    if server.url is not None:
        from navicert.gateway.mirror import Mirror
        from navicert.gateway.upstream import Upstream, client

        answers: list[Message] = []

        async def take(message: Message) -> None:
            if message.kind in (Kind.RESULT, Kind.ERROR):
                answers.append(message)

        async def reach(message: Message) -> Message | None:
            await upstream.send(message)
            return answers.pop() if message.kind is Kind.REQUEST else None

        async with client(server) as http:
            upstream = Upstream(server, Mirror(server), http, take, lambda _: None)
            try:
                yield reach
            finally:
                await upstream.end()
        return
    child = await launch(server)

    async def write(message: Message) -> Message | None:
        if child.stdin is None or child.stdout is None:
            return None
        child.stdin.write(message.data() + b"\n")
        await child.stdin.drain()
        while message.kind is Kind.REQUEST:
            line = await child.stdout.readuntil(b"\n")
            try:
                answer = rpc.read(line.strip())
            except Refused:
                continue  # servers print other things too
            if answer.kind in (Kind.RESULT, Kind.ERROR) and answer.id == message.id:
                return answer
        return None

    try:
        yield write
    finally:
        await stop(child)


class _Talk:
    """Requests of our own to a server, one after the other."""

    def __init__(self, ask: _Ask) -> None:
        self._ask = ask
        self._asked = 0
        self._meta: Tree = {}

    async def open(self, era: str) -> Tree:
        """Begin as a client of this revision does; returns what the server says of itself."""
        me: Tree = {"name": "navicert", "version": "0"}
        if era == ERAS[0]:
            said = await self.ask("initialize", {"protocolVersion": era, "capabilities": {}, "clientInfo": me})
            await self._ask(rpc.notification("notifications/initialized", {}))
        else:
            self._meta = {
                VERSION: era,
                "io.modelcontextprotocol/clientInfo": me,
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            said = await self.ask("server/discover", {})
        return said

    async def list(self, method: str) -> list[Tree]:
        """Return the definitions that a server lists, page by page; raises `Refused`."""
        member, key = LISTS[method][:2]
        found: list[Tree] = []
        cursor: Tree = {}
        for _ in range(_PAGES):
            page = await self.ask(method, cursor)
            items = page.get(member)
            items = items if type(items) is list else []
            found += [each for each in items if type(each) is dict and type(each.get(key)) is str]
            if type(page.get("nextCursor")) is not str:
                break
            cursor = {"cursor": page["nextCursor"]}
        return found

    async def ask(self, method: str, params: Tree) -> Tree:
        """Return the result of one request; raises `Refused` for an error."""
        self._asked += 1
        id_ = f"look-{self._asked}"
        answer = await self._ask(rpc.request(id_, method, params | ({"_meta": self._meta} if self._meta else {})))
        if answer is None or answer.kind is not Kind.RESULT:
            why = answer.tree["error"].get("message") if answer is not None else "no answer"
            raise Refused(rpc.INTERNAL_ERROR, f"`{method}`: {why}")
        found: Tree = answer.tree["result"]
        return found
