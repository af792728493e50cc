"""The answers of many servers, put together as that of one (reference: docs/reference/mcp.md).

* Of an opening: what all of them can do together, and what each says of itself, where that was accepted.
* Of a list: everything in it, under names that tell whose it is. What would stand twice in it stands once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from navicert.core.canonical import Number
from navicert.gateway import message as rpc
from navicert.gateway.message import Kind, Message, Refused, Tree
from navicert.gateway.mirror import HANDSHAKE, UNSUPPORTED
from navicert.gateway.naming import LISTS, TOOL, named

_INFO: Final = "io.modelcontextprotocol/serverInfo"


def opened(request: Message, replies: Mapping[str, Tree], down: Collection[str]) -> Message:
    """Return the answer to a handshake; raises `Refused` where the servers do not agree on a revision."""
    said = {name: value.get("protocolVersion") for name, value in replies.items()}
    first, agreed = next(iter(said.items()))
    for name, other in said.items():
        if other != agreed:
            why = f"the server `{name}` speaks {_text(other)}, and `{first}` {_text(agreed)}; give one its own gateway"
            raise Refused(rpc.INTERNAL_ERROR, why, request.id)
    value = {"protocolVersion": agreed, "capabilities": _capabilities(replies), "serverInfo": _info()}
    return rpc.result(request.id or "", value | _instructions(replies, down))


def discovered(request: Message, asked: str, found: Mapping[str, Message], down: Collection[str]) -> Message:
    """Return the answer to `server/discover`; an error that names other revisions where one does not speak this."""
    speaks = [_supported(reply) for reply in found.values()]
    common = [each for each in speaks[0] if all(each in others for others in speaks[1:])]
    if asked not in common or any(reply.kind is not Kind.RESULT for reply in found.values()):
        supported = [each for each in common if each != asked] or [*HANDSHAKE]
        error: Tree = {"code": Number(str(UNSUPPORTED)), "message": "not all servers here speak this revision"}
        error["data"] = {"supported": supported, "requested": asked[:40]}
        return Message(Kind.ERROR, {"jsonrpc": "2.0", "id": request.id, "error": error})
    replies = {name: reply.tree["result"] for name, reply in found.items()}
    able = _without_changes(_capabilities(replies))
    value = {"resultType": "complete", "supportedVersions": common, "capabilities": able}
    value |= _instructions(replies, down) | _kept(replies, whole=not down) | {"_meta": {_INFO: _info()}}
    return rpc.result(request.id or "", value)


def listed(request: Message, replies: Mapping[str, Tree], note: Callable[[str, str], None], *, whole: bool) -> Message:
    """Return the answer to a list, all of it. whole: every server has answered."""
    member, key, sign = LISTS[request.method]
    items: dict[Any, Tree] = {}
    for server, value in replies.items():
        held = value.get(member)
        for item in held if type(held) is list else ():
            if type(item) is not dict or type(item.get(key)) is not str:
                continue
            shown = named(server, sign, item, key)
            if shown[key] in items and sign == TOOL:
                note(server, f"`{item[key]:.80}` is left out: there is one of this name already")
            else:
                items.setdefault(shown[key], shown)
    value = {"resultType": "complete"} if any("resultType" in each for each in replies.values()) else {}
    return rpc.result(request.id or "", value | {member: [*items.values()]} | _kept(replies, whole=whole))


def _kept(replies: Mapping[str, Tree], *, whole: bool) -> Tree:
    """Return for how long an answer may be kept, and by whom, where the servers say so."""
    times = [value["ttlMs"] for value in replies.values() if type(value.get("ttlMs")) is Number]
    if not times:
        return {}
    return {"ttlMs": min(times, key=float) if whole else Number("0"), "cacheScope": "private"}


def _capabilities(replies: Mapping[str, Tree]) -> Tree:
    found: Tree = {}
    for value in replies.values():
        found = _either(found, value.get("capabilities"))
    return found


def _without_changes(capabilities: Tree) -> Tree:
    """Return what is able without `subscriptions/listen`, which is not passed on to many."""
    told = {"listChanged", "subscribe"}
    return {
        name: {key: item for key, item in able.items() if key not in told} if type(able) is dict else able
        for name, able in capabilities.items()
    }


def _either(one: Any, two: Any) -> Any:
    if type(one) is dict and type(two) is dict:
        return one | {key: _either(one[key], item) if key in one else item for key, item in two.items()}
    return one or two if type(one) is type(two) is bool else one


def _supported(reply: Message) -> list[Any]:
    if reply.kind is Kind.RESULT:
        found = reply.tree["result"].get("supportedVersions")
    else:
        data = reply.tree["error"].get("data")
        found = data.get("supported") if type(data) is dict else None
    return found if type(found) is list and found else [*HANDSHAKE]


def _instructions(replies: Mapping[str, Tree], down: Collection[str]) -> Tree:
    texts = [
        f"{name} (its tools begin with `{name}{TOOL}`):\n{value['instructions']}"
        for name, value in replies.items()
        if type(value.get("instructions")) is str
    ]
    texts += [f"The server {name} is not available." for name in down]
    return {"instructions": "\n\n".join(texts)} if texts else {}


def _info() -> Tree:
    try:
        return {"name": "navicert", "version": version("navicert")}
    except PackageNotFoundError:  # run from its source
        return {"name": "navicert", "version": "0"}


def _text(value: Any) -> str:
    return f"`{value:.40}`" if type(value) is str else "none"
