"""What the servers behind one address offer, under names that tell them apart, and back (docs/reference/mcp.md).

* A tool or prompt is `server__name`, an address `server+address`, a task `server:task`. Nothing is remembered: from the
  name alone it is known whose it is, and what it is called there. The scheme of an address knows no case.
* Where an answer names something of its server's, it is renamed likewise. Nothing else of it is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from navicert.gateway.message import Kind, Message, Tree
from navicert.gateway.pins import Server
from navicert.gateway.surfaces import CALL, RELATED
from navicert.model.errors import PolicyError

TOOL: Final = "__"
ADDRESS: Final = "+"
TASK: Final = ":"
_SERVER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_BY: Final[Mapping[str, tuple[str, str]]] = {
    CALL: ("name", TOOL),
    "prompts/get": ("name", TOOL),
    "resources/read": ("uri", ADDRESS),
    "resources/subscribe": ("uri", ADDRESS),
    "resources/unsubscribe": ("uri", ADDRESS),
}
"""A request for one server → the parameter that names what it is for, and what stands after the server's name."""
_REFERRED: Final[Mapping[Any, tuple[str, str]]] = {"ref/prompt": ("name", TOOL), "ref/resource": ("uri", ADDRESS)}
COMPLETION: Final = "completion/complete"


class Listed(NamedTuple):
    """A list that all servers have a part in. member: of the answer. key, sign: what each is named by."""

    member: str
    key: str
    sign: str


LISTS: Final[Mapping[str, Listed]] = {
    "tools/list": Listed("tools", "name", TOOL),
    "prompts/list": Listed("prompts", "name", TOOL),
    "resources/list": Listed("resources", "uri", ADDRESS),
    "resources/templates/list": Listed("resourceTemplates", "uriTemplate", ADDRESS),
    "tasks/list": Listed("tasks", "taskId", TASK),
}


def check_names(names: Iterable[str]) -> None:
    """Raise `PolicyError` for servers that cannot stand under one address, or could be taken for one another."""
    seen: dict[str, str] = {}
    for name in names:
        if _SERVER.fullmatch(name) is None:
            raise PolicyError(
                f"`{name}` cannot stand before the names of its tools: letters, digits and `-`, a letter first; "
                "attach it under another name, or give it a gateway of its own"
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise PolicyError(f"`{other}` and `{name}` differ in case alone; attach one of them under another name")


def together(servers: Mapping[str, Server]) -> Server:
    """Return all servers as one: the definitions of their tools, by the names that a client sees."""
    definitions = {
        f"{name}{TOOL}{tool}": text for name, server in servers.items() for tool, text in server.definitions.items()
    }
    return Server(command=("navicert",), definitions=definitions)


def routed(request: Message, servers: Mapping[str, str]) -> tuple[str, Message] | None:
    """Return whose a request is, and what it is there; None where it names nothing of a server's.

    servers: in lower case → as they are. Raises `LookupError` for a method that is not for one server.
    """
    params, method = request.params, request.method
    if method == COMPLETION:
        ref = params.get("ref")
        if type(ref) is not dict or ref.get("type") not in _REFERRED:
            return None
        key, sign = _REFERRED[ref["type"]]
        found = _split(ref.get(key), sign, servers)
        return None if found is None else (found[0], _with(request, {"ref": ref | {key: found[1]}}))
    key, sign = ("taskId", TASK) if method.startswith("tasks/") else _BY[method]
    found = _split(params.get(key), sign, servers)
    return None if found is None else (found[0], _with(request, {key: found[1]}))


def _split(value: Any, sign: str, servers: Mapping[str, str]) -> tuple[str, str] | None:
    name, found, rest = value.partition(sign) if type(value) is str else ("", "", "")
    server = servers.get(name.lower() if sign == ADDRESS else name) if found else None
    if server is None or (sign != ADDRESS and server != name):
        return None
    return server, rest


def _with(message: Message, more: Tree) -> Message:
    return Message(message.kind, message.tree | {"params": message.params | more})


def named(server: str, sign: str, value: Tree, key: str) -> Tree:
    """Return an object with the name in it as a client sees it."""
    held = value.get(key)
    return value | {key: f"{server}{sign}{held}"} if type(held) is str else value


def shown(server: str, method: str, reply: Message) -> Message:
    """Return a server's answer as a client sees it."""
    if reply.kind is Kind.ERROR:
        error = reply.tree["error"]
        if type(error.get("data")) is not dict or "uri" not in error["data"]:
            return reply
        return Message(reply.kind, reply.tree | {"error": error | {"data": _addressed(server, error["data"])}})
    value = _task(server, reply.tree["result"])
    if method in (CALL, "tasks/result"):
        value = _each(value, "content", lambda block: _block(server, block))
    if method in ("prompts/get", "tasks/result"):
        value = _each(value, "messages", lambda message: _each(message, "content", lambda block: _block(server, block)))
    if method in ("resources/read", "tasks/result"):
        value = _each(value, "contents", lambda content: _addressed(server, content))
    if method == "tasks/get" and type(value.get("result")) is dict:  # 2026-07-28: what it ends with is in its state
        inner = shown(server, "tasks/result", Message(Kind.RESULT, {"result": value["result"]}))
        value |= {"result": inner.tree["result"]}
    return Message(reply.kind, reply.tree | {"result": value})


def told(server: str, notification: Message) -> Message:
    """Return a server's notification as a client sees it."""
    params = notification.params
    if notification.method == "notifications/resources/updated":
        return _with(notification, _addressed(server, params))
    if notification.method.startswith("notifications/tasks"):
        return _with(notification, _task(server, params))
    return notification


def _addressed(server: str, value: Tree) -> Tree:
    return named(server, ADDRESS, value, "uri")


def _block(server: str, block: Tree) -> Tree:
    if block.get("type") == "resource_link":
        return _addressed(server, block)
    if block.get("type") == "resource" and type(block.get("resource")) is dict:
        return block | {"resource": _addressed(server, block["resource"])}
    return block


def _each(value: Tree, member: str, change: Callable[[Tree], Tree]) -> Tree:
    held = value.get(member)
    if type(held) is dict:
        return value | {member: change(held)}
    if type(held) is list:
        return value | {member: [change(item) if type(item) is dict else item for item in held]}
    return value


def _task(server: str, value: Tree) -> Tree:
    value = named(server, TASK, value, "taskId")
    value = _each(value, "task", lambda task: named(server, TASK, task, "taskId"))
    meta = value.get("_meta")
    if type(meta) is dict and type(meta.get(RELATED)) is dict:
        value |= {"_meta": meta | {RELATED: named(server, TASK, meta[RELATED], "taskId")}}
    return value
