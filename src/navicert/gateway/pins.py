"""Tool definitions, held to what an operator accepted (T11; attack cases F.9).

* A definition is pinned whole, annotations and all, by the SHA-256 of its canonical form. What is new or changed is
  hidden from the client and cannot be called, until an operator accepts it.
* What a server says of itself (`instructions`) is pinned likewise, and left out where it is another.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from navicert.core.canonical import canonical_parameters
from navicert.gateway.message import Tree
from navicert.model.action import ToolProfile
from navicert.model.value import Value

_DOMAIN: Final = b"navicert/mcp-definition/1\0"


class Server(Value, frozen=True, kw_only=True):
    """One upstream server: launched by us, or reached at an address.

    command, env: how it is launched. program: SHA-256 of the file that is executed. url, headers: where it is reached,
    and the credentials that it has of us. within_s: so long may it take for one answer.

    tools: name → digests of its accepted definition, one for each revision of the protocol that has its own.
    instructions: digests of the accepted texts. profiles: what its tools do, as the operator accepted it; the policy's
    word stands over it. definitions: the accepted ones as text, to show what has changed.
    """

    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    program: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    within_s: float = 600.0
    tools: dict[str, tuple[str, ...]] = {}
    instructions: tuple[str, ...] = ()
    profiles: tuple[ToolProfile, ...] = ()
    definitions: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raise `ValueError` unless it is either launched or reached."""
        if bool(self.command) is bool(self.url):
            raise ValueError("a server has either a `command` or a `url`")

    @property
    def place(self) -> str:
        """Its command, or its address without what stands behind the path, for people."""
        return " ".join(self.command) if self.url is None else self.url.partition("?")[0]


class Servers(Value, frozen=True, kw_only=True):
    """The upstream servers of a deployment, by name: the file `mcp.json` of its home."""

    format: str = "navicert/mcp/1"
    servers: dict[str, Server] = {}


def digest_of(definition: Tree) -> str:
    """Return what a definition is pinned by; raises `InvalidAction` for one that has no canonical form."""
    return sha256(_DOMAIN + canonical_parameters(definition)).hexdigest()


def text_digest(text: str) -> str:
    """Return what a text is pinned by."""
    return sha256(_DOMAIN + text.encode("utf-8", "surrogatepass")).hexdigest()


class Watch:
    """What one connection has seen of a server's tools, against its pins."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.within_s = server.within_s
        self.refused: dict[str, str] = {}
        """Tools that are held back → why."""

    def page(self, tools: Any) -> list[Tree]:
        """Return those of one page of `tools/list` that are as they were accepted."""
        kept: list[Tree] = []
        seen: set[str] = set()
        for tool in tools if type(tools) is list else ():
            name = tool.get("name") if type(tool) is dict else None
            if type(name) is not str:
                continue
            why = "it stands twice in the list" if name in seen else self._wrong(name, tool)
            seen.add(name)
            if why is None:
                self.refused.pop(name, None)
                kept.append(tool)
            else:
                self.refused[name] = why
                kept = [item for item in kept if item["name"] != name]
        return kept

    def _wrong(self, name: str, tool: Tree) -> str | None:
        accepted = self._server.tools.get(name)
        if not accepted:
            return "nobody has accepted it yet"
        try:
            return None if digest_of(tool) in accepted else "it is not what was accepted"
        except Exception as error:  # noqa: BLE001 - what has no canonical form is nothing that was accepted
            return f"it cannot be read: {error}"

    def callable(self, name: str) -> str | None:
        """Return why a tool may not be called, None where it may: it is pinned, and nothing else was seen of it."""
        if name not in self._server.tools:
            return "nobody has accepted it yet"
        return self.refused.get(name)

    def profile(self, full_name: str) -> ToolProfile | None:
        """Return what the operator accepted that a tool does, by the full name of its action."""
        return next((item for item in self._server.profiles if item.tool == full_name), None)

    def introduction(self, result: Tree) -> Tree:
        """Return what a server says at the opening, without instructions that are not those that were accepted."""
        text = result.get("instructions")
        if text is None or (type(text) is str and text_digest(text) in self._server.instructions):
            return result
        return {key: value for key, value in result.items() if key != "instructions"}
