"""What a server defines, held to what an operator accepted (T11; attack cases F.4, F.9).

* Tools, prompts and resource templates are text that reaches the model. Each definition is pinned whole, annotations
  and all, by the SHA-256 of its canonical form. What is new or changed is hidden from the client and cannot be used,
  until an operator accepts it. What a server says of itself (`instructions`) is pinned likewise, and else left out.
* Resources are data: new ones come and go with every day's work, and pinned they would be held back whenever there is
  news. So nobody accepts them, and nothing that nobody accepted is shown: of each the list keeps what it is found by
  (uri, name, type, size), without the words written for a model. Its content is read by `resources/read`, which is
  judged and labelled.
* Servers need not announce a change, so what was last seen long ago is looked at again before it is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec

from navicert.core.canonical import canonical_parameters
from navicert.gateway.calling import Dispatch
from navicert.gateway.message import Message, Tree
from navicert.intent.effects import infer
from navicert.model.action import ToolProfile
from navicert.model.value import Value

_DOMAIN: Final = b"navicert/mcp-definition/1\0"
_BARE: Final = frozenset({"uri", "name", "mimeType", "size"})
"""What is shown of a resource."""
RESOURCES: Final = "resources/list"


class Listed(NamedTuple):
    """A list of definitions. member: of the answer. key: the member of a definition that names it.

    pins: the field of `Server` that holds what was accepted. one: what one of them is, in words.
    """

    member: str
    key: str
    pins: str
    one: str


TOOLS: Final = "tools/list"
PROMPTS: Final = "prompts/list"
TEMPLATES: Final = "resources/templates/list"
LISTS: Final[Mapping[str, Listed]] = {
    TOOLS: Listed("tools", "name", "tools", "tool"),
    PROMPTS: Listed("prompts", "name", "prompts", "prompt"),
    TEMPLATES: Listed("resourceTemplates", "uriTemplate", "templates", "template"),
}
"""What is pinned, by the method that lists it."""
CHANGES: Final[Mapping[str, str]] = {
    "notifications/tools/list_changed": TOOLS,
    "notifications/prompts/list_changed": PROMPTS,
    "notifications/resources/list_changed": TEMPLATES,
}
"""Notifications that a list has changed → the one to look at before they are passed on."""


class Server(Value, frozen=True, kw_only=True):
    """One upstream server: launched by us, or reached at an address.

    command, env: how it is launched. program: SHA-256 of the file that is executed. url, headers: where it is reached,
    and the credentials that it has of us. within_s: so long may it take for one answer.

    tools, prompts, templates (by `uriTemplate`): name → digests of its accepted definition, one for each revision of
    the protocol that has its own; in a file of before, the latter two are missing, and nothing of theirs is accepted.
    instructions: digests of the accepted texts. profiles: what its tools do, as the operator accepted it; the policy's
    word stands over it. definitions: the accepted ones as text, by `text_key`, to show what has changed. fresh_s: after
    so long a list is looked at again, before something in it is used. dispatch: tools that call others → how.
    """

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    program: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    within_s: float = 600.0
    fresh_s: float = 60.0
    tools: dict[str, tuple[str, ...]] = {}
    prompts: dict[str, tuple[str, ...]] = {}
    templates: dict[str, tuple[str, ...]] = {}
    instructions: tuple[str, ...] = ()
    profiles: tuple[ToolProfile, ...] = ()
    definitions: dict[str, str] = {}
    dispatch: dict[str, Dispatch] = {}

    def __post_init__(self) -> None:
        """Raise `ValueError` unless it is either launched or reached."""
        if bool(self.command) is bool(self.url):
            raise ValueError("a server has either a `command` or a `url`")

    @property
    def place(self) -> str:
        """Its command, or its address without what stands behind the path, for people."""
        return " ".join(self.command) if self.url is None else self.url.partition("?")[0]

    def pinned(self, method: str) -> dict[str, tuple[str, ...]]:
        """Return the accepted digests of what a list holds, by name."""
        found: dict[str, tuple[str, ...]] = getattr(self, LISTS[method].pins)
        return found


class Servers(Value, frozen=True, kw_only=True):
    """The upstream servers of a deployment, by name: the file `mcp.json` of its home."""

    format: str = "navicert/mcp/1"
    servers: dict[str, Server] = {}


SAID: Final = "/instructions"
"""The key under which the text of the instructions is kept: no definition's."""


def text_key(method: str, name: str) -> str:
    """Return under what key the text of a definition is kept: no tool's name holds a slash."""
    return name if method == TOOLS else f"{LISTS[method].pins}/{name}"


def digest_of(definition: Tree) -> str:
    """Return what a definition is pinned by; raises `InvalidAction` for one that has no canonical form."""
    return sha256(_DOMAIN + canonical_parameters(definition)).hexdigest()


def text_digest(text: str) -> str:
    """Return what a text is pinned by."""
    return sha256(_DOMAIN + text.encode("utf-8", "surrogatepass")).hexdigest()


class Watch:
    """What one connection (or a caller's session) has seen of what a server defines, against its pins."""

    def __init__(self, server: Server, now: Callable[[], float] = monotonic) -> None:
        self._server = server
        self._now = now
        self._seen: dict[str, float] = {}
        self.within_s = server.within_s
        self.dispatches = server.dispatch
        self.turn = asyncio.Lock()
        """Held while a list is looked at, so that many who need it look once."""
        self.held: dict[str, dict[str, str]] = {method: {} for method in LISTS}
        """What is held back, by its list: name → why."""
        self._inferred: dict[str, ToolProfile] = {}
        self.cursors: dict[str, None] = {}
        """Where lists go on, as the server said: a client goes on nowhere else."""
        self.refused = self.held[TOOLS]
        """Tools that are held back → why."""

    def page(self, items: Any, method: str = TOOLS) -> list[Tree]:
        """Return those of one page of a list that are as they were accepted; of resources, what may be shown."""
        if method == RESOURCES:
            return [_bare(item) for item in items if type(item) is dict] if type(items) is list else []
        key, held = LISTS[method].key, self.held[method]
        kept: list[Tree] = []
        seen: set[str] = set()
        for item in items if type(items) is list else ():
            name = item.get(key) if type(item) is dict else None
            if type(name) is not str:
                continue
            why = "it stands twice in the list" if name in seen else self._wrong(method, name, item)
            seen.add(name)
            if why is None:
                held.pop(name, None)
                kept.append(item)
            else:
                if name in self._server.pinned(method) or len(held) < _HELD:  # others are refused without being told of
                    held[name] = why
                kept = [each for each in kept if each[key] != name]
        return kept

    def _wrong(self, method: str, name: str, item: Tree) -> str | None:
        accepted = self._server.pinned(method).get(name)
        if not accepted:
            return _NOBODY
        try:
            return None if digest_of(item) in accepted else "it is not what was accepted"
        except Exception as error:  # noqa: BLE001 - what has no canonical form is nothing that was accepted
            return f"it cannot be read: {error}"

    def whole(self, method: str) -> None:
        """Note that all of a list has been looked at."""
        self._seen[method] = self._now()

    def keep_cursor(self, cursor: str) -> None:
        """Keep a cursor that the server gave."""
        self.cursors[cursor] = None
        while len(self.cursors) > _CURSORS:
            self.cursors.pop(next(iter(self.cursors)))

    def is_due(self, method: str) -> bool:
        """Tell whether a list is to be looked at before something in it is used: it never was, or not for long."""
        seen = self._seen.get(method)
        return seen is None or self._now() - seen >= self._server.fresh_s

    def callable(self, name: str, method: str = TOOLS) -> str | None:
        """Return why something may not be used, None where it may: it is pinned, and nothing else was seen of it."""
        known = self._server.pinned(method)
        if name in known:
            return self.held[method].get(name)
        near = get_close_matches(name, known, 1, 0.75) if name not in self.held[method] else ()
        return _NOBODY + "".join(f"; is `{each}` meant?" for each in near)

    def profile(self, full_name: str) -> ToolProfile | None:
        """Return what the operator accepted that a tool does, by the full name of its action.

        Of one that they accepted without a word about that: what its accepted definition says, marked as inferred.
        """
        found = next((item for item in self._server.profiles if item.tool == full_name), None)
        text = self._server.definitions.get(full_name.partition(".")[2]) if found is None else None
        if text is not None and full_name not in self._inferred:
            self._inferred[full_name] = _inferred(full_name, msgspec.json.decode(text))
        return found or self._inferred.get(full_name)

    def introduction(self, result: Tree) -> Tree:
        """Return what a server says at the opening, without instructions that are not those that were accepted."""
        text = result.get("instructions")
        if text is None or (type(text) is str and text_digest(text) in self._server.instructions):
            return result
        return {key: value for key, value in result.items() if key != "instructions"}


def _inferred(full_name: str, definition: Tree) -> ToolProfile:
    said, schema, hints = (definition.get(key) for key in ("description", "inputSchema", "annotations"))
    profile = infer(
        full_name,
        said if isinstance(said, str) else "",
        schema if isinstance(schema, dict) else None,
        hints if isinstance(hints, dict) else None,
    ).profile
    return msgspec.structs.replace(profile, inferred=True)


_CURSORS: Final = 1_024
_HELD: Final = 1_024
_NOBODY: Final = "nobody has accepted it yet"


def used(request: Message) -> tuple[str, str] | None:
    """Return what a request uses of what is pinned: the method that lists it, and its name. None: nothing pinned.

    A completion that names neither a prompt nor a template uses one that nobody can have accepted.
    """
    params = request.params
    match request.method:
        case "tools/call":
            return TOOLS, str(params.get("name"))
        case "prompts/get":
            return PROMPTS, str(params.get("name"))
        case "completion/complete":
            ref = params.get("ref")
            ref = ref if type(ref) is dict else {}
            if ref.get("type") == "ref/resource":
                return TEMPLATES, str(ref.get("uri"))
            return PROMPTS, str(ref.get("name")) if ref.get("type") == "ref/prompt" else ""
    return None


def _bare(resource: Tree) -> Tree:
    return {key: value for key, value in resource.items() if key in _BARE}
