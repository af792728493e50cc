"""A request as an action, and what became of it as a message (R1.b, R4; reference: docs/reference/mcp.md).

* The parameters of the action are the canonical bytes of what is asked for; what goes upstream is made from them.
* Of `_meta` only what the protocol itself defines is passed on: the rest is a channel that nobody judges.
* A refusal of a tool call is a tool error, which a model can read; of anything else a JSON-RPC error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from navicert.core.canonical import Number, canonical_parameters, parse_json, parse_parameters
from navicert.engine.completing import Output
from navicert.gateway import message as rpc
from navicert.gateway.message import INVALID_REQUEST, Message, Refused, Tree
from navicert.gateway.surfaces import ASKED_BACK, CALL, JUDGED, NOTICES, PASSED, RESERVED, ROUNDS, Surface
from navicert.model.action import ToolProfile
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.value import Value

DENIED: Final = 4030
SUSPENDED: Final = 4031
FAILED: Final = 5030
"""Our own codes: outside of those that JSON-RPC and MCP reserve."""
VERSION: Final = "io.modelcontextprotocol/protocolVersion"
RECEIPT: Final = "navicert/receipt"
_OURS: Final = "navicert/"
_OWN_META: Final = "io.modelcontextprotocol/"
_META: Final = 4_096
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_ASKS: Final = -32042
"""The error by which a server has its user open an address (2025-11-25)."""


class Asked(NamedTuple):
    """A judged request: the action's tool and operation, its canonical parameters, and the profile of the surface."""

    tool: str
    operation: str
    parameters: bytes
    profile: ToolProfile | None


class Dispatch(Value, frozen=True, kw_only=True):
    """A tool that calls another: which of its arguments names that one, and which holds what it is called with."""

    name: str
    arguments: str


NO_DISPATCH: Final[Mapping[str, Dispatch]] = {}


def is_name(name: str) -> bool:
    """Tell whether a server's or tool's name can stand in the name of an action."""
    return len(name) <= 128 and _NAME.fullmatch(name) is not None


def asked(server: str, request: Message, dispatches: Mapping[str, Dispatch] = NO_DISPATCH) -> Asked:
    """Return the request as what is to be judged; raises `Refused`, or `InvalidAction` for what cannot be judged.

    dispatches: by tool, how it calls another, which is the one that is judged.
    """
    method, params = request.method, request.params
    surface = JUDGED.get(method) or ASKED_BACK[method]
    own_meta(params)  # refused before it is judged
    if method in ASKED_BACK:
        return _asked(server, surface, {key: value for key, value in params.items() if key != "_meta"})
    known = {*surface.asks, "_meta", *(("name", "task") if method == CALL else ())}
    known |= {"inputResponses", "requestState"} if method in ROUNDS and is_stateless(request) else set()
    unknown = params.keys() - known
    if unknown:
        names = ", ".join(sorted(f"`{name:.40}`" for name in unknown))
        raise Refused(INVALID_REQUEST, f"{method} with {names} is not passed on", request.id)
    if method != CALL:
        return _asked(server, surface, {key: params[key] for key in surface.asks if params.get(key) is not None})
    name, arguments = params.get("name"), params.get("arguments")
    if type(name) is str and name in dispatches:
        name, arguments = _dispatched(dispatches[name], name, arguments, request)
        if name in dispatches:
            raise Refused(INVALID_REQUEST, "a tool that calls others calls no such tool", request.id)
    if type(name) is not str or not is_name(name) or name in RESERVED:
        raise Refused(
            INVALID_REQUEST, "the tool's name cannot be judged: letters, digits, `_`, `-` and `.`", request.id
        )
    if arguments is not None and type(arguments) is not dict:
        raise Refused(INVALID_REQUEST, "`arguments` is not an object", request.id)
    tool, _, operation = f"{server}.{name}".rpartition(".")
    return Asked(tool, operation, canonical_parameters(arguments or {}), None)


def _dispatched(dispatch: Dispatch, outer: Any, arguments: Any, request: Message) -> tuple[Any, Any]:
    """Return the name and arguments of the tool that is called by another."""
    held = arguments if type(arguments) is dict else {}
    if held.keys() - {dispatch.name, dispatch.arguments} or type(held.get(dispatch.name)) is not str:
        why = f"`{outer}` calls another tool: `{dispatch.name}` and `{dispatch.arguments}` say which, and with what"
        raise Refused(INVALID_REQUEST, why, request.id)
    return held.get(dispatch.name), held.get(dispatch.arguments)


def _asked(server: str, surface: Surface, parameters: Tree) -> Asked:
    profile = None
    if surface.effect is not None:
        name = f"{server}.{surface.operation}"
        profile = ToolProfile(tool=name, effect=surface.effect, resource=surface.resource)
    return Asked(server, surface.operation, canonical_parameters(parameters), profile)


def forwarded(
    request: Message,
    parameters: bytes,
    more: Tree | None = None,
    dispatches: Mapping[str, Dispatch] = NO_DISPATCH,
) -> Message:
    """Return the request as it goes on: its parameters are those that were judged. more: beside them."""
    tree = parse_parameters(parameters)
    meta = own_meta(request.params)
    if request.method == CALL:
        dispatch = dispatches.get(request.params["name"])
        if dispatch is not None:
            tree = {dispatch.name: request.params["arguments"][dispatch.name], dispatch.arguments: tree}
        params: Tree = {"name": request.params["name"], "arguments": tree}
    else:
        params = tree
    return rpc.request(request.id or "", request.method, params | (more or {}) | ({"_meta": meta} if meta else {}))


def passed(message: Message) -> Message:
    """Return a request or notification that is not judged as it goes on: with the parameters that are known."""
    if "params" not in message.tree:
        return message
    known = PASSED.get(message.method) or NOTICES.get(message.method, frozenset())
    params = {key: value for key, value in message.params.items() if key in known}
    meta = own_meta(message.params)
    return Message(message.kind, message.tree | {"params": params | ({"_meta": meta} if meta else {})})


def own_meta(params: Tree) -> Tree:
    """Return what of `_meta` goes on: what the protocol itself defines; raises `Refused` for more than fits."""
    meta = params.get("_meta")
    if type(meta) is not dict:
        return {}
    kept = {key: value for key, value in meta.items() if key.startswith(_OWN_META)}
    if rpc.is_id(meta.get("progressToken")):
        kept["progressToken"] = meta["progressToken"]
    if len(rpc.write(kept)) > _META:
        raise Refused(INVALID_REQUEST, f"`_meta` takes more than {_META} characters")
    return kept


def is_stateless(request: Message) -> bool:
    """Tell whether a request is of 2026-07-28: it says so itself."""
    meta = request.params.get("_meta")
    return type(meta) is dict and VERSION in meta


def output_of(reply: Message) -> Output:
    """Return what an answer looks like to classifiers. Pictures, sounds and blobs cannot be looked at (R2.c)."""
    value = reply.tree.get("result", reply.tree.get("error"))
    text = rpc.write(value)
    return Output(text=None if _unseen(value) else text, json=text.encode(), empty=value == {})


def rewritten(reply: Message, data: bytes) -> Message:
    """Return an answer that says what is released, as JSON, in place of its result or its error."""
    part = "result" if reply.kind is rpc.Kind.RESULT else "error"
    return Message(reply.kind, reply.tree | {part: parse_json(data, "what is released")})


def _unseen(value: Any) -> bool:
    if type(value) is list:
        return any(map(_unseen, value))
    if type(value) is not dict:
        return False
    kind = value.get("type")
    if type(value.get("blob")) is str or kind in ("image", "audio") or {"data", "mimeType"} <= value.keys():
        return True
    return any(map(_unseen, value.values()))


def failed(reply: Message) -> bool:
    """Tell whether an answer says that it did not work."""
    return reply.kind is rpc.Kind.ERROR or reply.tree["result"].get("isError") is True


def opens(reply: Message) -> list[Tree] | None:
    """Return the addresses that an error would have the user open first (2025-11-25), None where it is another."""
    error = reply.tree.get("error", {})
    code = error.get("code")
    if type(code) is not Number or float(code) != _ASKS:
        return None
    data = error.get("data")
    found = data.get("elicitations") if type(data) is dict else None
    return found if type(found) is list and all(type(item) is dict for item in found) else [{}]


def is_whole(reply: Message) -> bool:
    """Tell whether an answer is one: the server neither asks for something first, nor answers later."""
    if reply.kind is rpc.Kind.ERROR:
        return opens(reply) is None
    value = reply.tree["result"]
    return value.get("resultType", "complete") == "complete" and type(value.get("task")) is not dict


def with_receipt(reply: Message, permit: Permit) -> Message:
    """Return the answer with the receipt that let the action run, and whether it ran modified: our word, not theirs."""
    if reply.kind is not rpc.Kind.RESULT:
        return reply
    value = reply.tree["result"]
    meta = value.get("_meta") if type(value.get("_meta")) is dict else {}
    meta = {key: item for key, item in meta.items() if not key.startswith(_OURS)}
    ours: Tree = {RECEIPT: permit.receipt_id, "navicert/receipt-sha256": permit.decision}
    if permit.place is not None:  # whoever keeps these pins the log up to here
        ours |= {"navicert/log": permit.place.log, "navicert/leaf": permit.place.leaf}
    ours |= {"navicert/modified": True} if permit.modified else {}
    return Message(reply.kind, reply.tree | {"result": value | {"_meta": meta | ours}})


def refusal(request: Message, answer: Denied | Suspended) -> Message:
    """Return what the caller is told of an action that does not run, or not yet."""
    if isinstance(answer, Denied):
        text = f"navicert refused this: {answer.reason}. {answer.next_step}"
        if answer.next_step.endswith("\n"):  # a profile to paste is for the operator, not for the model
            text = f"navicert refused this: {answer.reason}. tell the user"
        return _told(request, DENIED, text, answer.receipt_id, reason=answer.reason_code)
    who = "a person must decide" if answer.verdict == "STEP_UP" else "a fact is missing"
    text = f"navicert holds this as {answer.handle}: {answer.reason} ({who}). Call it again, unchanged, to look again"
    return _told(request, SUSPENDED, text, answer.receipt_id, handle=answer.handle)


def trouble(request: Message, why: str) -> Message:
    """Return what the caller is told where something failed; nothing more ran than is said."""
    return _told(request, FAILED, f"navicert: {why}", None)


def _told(request: Message, code: int, text: str, receipt: str | None, **more: str) -> Message:
    meta: Tree = ({RECEIPT: receipt} if receipt else {}) | {f"navicert/{key}": value for key, value in more.items()}
    if request.method != CALL:
        error: Tree = {"code": Number(str(code)), "message": text} | ({"data": meta} if meta else {})
        return Message(rpc.Kind.ERROR, {"jsonrpc": "2.0", "id": request.id, "error": error})
    value: Tree = {"resultType": "complete"} if is_stateless(request) else {}  # there each result says what it is
    value |= {"content": [{"type": "text", "text": text}], "isError": True}
    return rpc.result(request.id or "", value | ({"_meta": meta} if meta else {}))
