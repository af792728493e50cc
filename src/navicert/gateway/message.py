"""JSON-RPC 2.0 messages, read strictly and written anew (attack cases B.6, B.7; A.7).

* Refused: a batch, a key that stands twice, NaN, a lone surrogate, more than 64 levels, more bytes than the limit, a
  member that JSON-RPC does not know, an id that is no text or integer.
* Numbers keep their source text; members keep their order. Every message has exactly one kind.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from navicert.core.canonical import Number, parse_json
from navicert.model.errors import InvalidAction

LIMIT: Final = 8 * 1024 * 1024
"""Bytes of one message. What an action may hold is less: `core.canonical.MAX_BYTES`."""
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INTERNAL_ERROR: Final = -32603
_MEMBERS: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_encode = msgspec.json.Encoder(enc_hook=lambda number: msgspec.Raw(number.encode())).encode
"""A `Number`, of all that a tree holds, is no type of msgspec's own."""

Id = str | Number
Tree = dict[str, Any]


class Kind(Enum):
    """What a message is."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESULT = "result"
    ERROR = "error"


class Refused(Exception):
    """A message that is not passed on: the code for its sender, and its id where it had one."""

    def __init__(self, code: int, why: str, id_: Id | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.id = id_


class Message(NamedTuple):
    """One message. `tree` is the whole of it, in the order in which it came."""

    kind: Kind
    tree: Tree

    @property
    def id(self) -> Id | None:
        """The id; None for a notification."""
        return self.tree.get("id")

    @property
    def method(self) -> str:
        """The method of a request or notification; empty for an answer."""
        found: str = self.tree.get("method", "")
        return found

    @property
    def params(self) -> Tree:
        """The parameters; an empty object where there are none."""
        found: Tree = self.tree.get("params") or {}
        return found

    def data(self) -> bytes:
        """Return the bytes to send, without a line end in them."""
        return _encode(self.tree)


def read(data: bytes, limit: int = LIMIT) -> Message:
    """Return the message; raises `Refused`."""
    if len(data) > limit:
        raise Refused(INVALID_REQUEST, f"the message takes {len(data)} bytes; at most {limit} are passed on")
    try:
        tree = parse_json(data, "the message's bytes")
    except InvalidAction as error:
        raise Refused(PARSE_ERROR, str(error), _id_in(data)) from None
    if type(tree) is list:
        raise Refused(INVALID_REQUEST, "a batch is not passed on; send each message by itself")
    if type(tree) is not dict:
        raise Refused(INVALID_REQUEST, "the message is not an object")
    id_ = tree.get("id")
    if "id" in tree and not is_id(id_):
        raise Refused(INVALID_REQUEST, "the id is neither text nor an integer")
    kind = _kind(tree, id_)
    return Message(kind, tree)


def _kind(tree: Tree, id_: Id | None) -> Kind:
    unknown = tree.keys() - _MEMBERS
    if unknown or tree.get("jsonrpc") != "2.0" or type(tree.get("jsonrpc")) is Number:
        raise Refused(INVALID_REQUEST, "the message is not JSON-RPC 2.0, or has members that it does not know", id_)
    if type(tree.get("params", {})) is not dict:
        raise Refused(INVALID_REQUEST, "`params` is not an object", id_)
    if "method" in tree:
        if type(tree["method"]) is not str or "result" in tree or "error" in tree:
            raise Refused(INVALID_REQUEST, "the message is a request and an answer at once, or names no method", id_)
        return Kind.REQUEST if "id" in tree else Kind.NOTIFICATION
    if "id" not in tree or "params" in tree or ("result" in tree) is ("error" in tree):
        raise Refused(INVALID_REQUEST, "the message is neither a request nor one answer", id_)
    if type(tree.get("result", {})) is not dict or type(tree.get("error", {})) is not dict:
        raise Refused(INVALID_REQUEST, "the answer is not an object", id_)
    return Kind.RESULT if "result" in tree else Kind.ERROR


def is_id(value: Any) -> bool:
    """Tell whether this can be the id of a request, or a token that stands for one."""
    if type(value) is Number:
        return value.lstrip("-").isdigit() and len(value) <= 20
    return type(value) is str and len(value) <= 256


def _id_in(data: bytes) -> Id | None:
    """Return the id in a message that is refused, so that whoever waits for it can be told; None where none is seen."""
    try:
        tree = json.loads(data, parse_int=Number)
    except (ValueError, RecursionError):
        return None
    found: Id | None = tree.get("id") if type(tree) is dict else None
    return found if is_id(found) else None


def write(value: Any) -> str:
    """Return JSON text of a tree from `read`, members in order, numbers as they came."""
    return _encode(value).decode()


def request(id_: Id, method: str, params: Tree) -> Message:
    """Return a request of our own."""
    return Message(Kind.REQUEST, {"jsonrpc": "2.0", "id": id_, "method": method, "params": params})


def notification(method: str, params: Tree) -> Message:
    """Return a notification of our own."""
    return Message(Kind.NOTIFICATION, {"jsonrpc": "2.0", "method": method, "params": params})


def result(id_: Id, value: Tree) -> Message:
    """Return an answer of our own."""
    return Message(Kind.RESULT, {"jsonrpc": "2.0", "id": id_, "result": value})


def error(id_: Id | None, code: int, why: str) -> Message:
    """Return an error answer of our own; id: None where the message could not be read."""
    return Message(Kind.ERROR, {"jsonrpc": "2.0", "id": id_, "error": {"code": Number(str(code)), "message": why}})
