"""The headers in which 2026-07-28 mirrors a body: made from what was judged, and held against what came (R1.b).

* `Mcp-Param-*` follow the tool's accepted definition (`x-mcp-header`); what it does not name is not looked at, and goes
  no further.
* They are made anew for every message that goes on, so that they fit it after a modification too.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from navicert.core.canonical import Number, parse_parameters
from navicert.gateway.calling import VERSION
from navicert.gateway.message import Message, Tree
from navicert.gateway.pins import Server
from navicert.gateway.surfaces import CALL

HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
STATELESS: Final = ("2026-07-28",)
MISMATCH: Final = -32020
UNSUPPORTED: Final = -32022
NAMED: Final[Mapping[str, str]] = {
    CALL: "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId", "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}  # fmt: skip
_PARAM: Final = "mcp-param-"
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_PLAIN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")
_WRAPPED: Final = re.compile(r"=\?base64\?(.*)\?=")


def version_of(message: Message) -> str | None:
    """Return the revision that a message names in its `_meta`, None where it names none (before 2026-07-28)."""
    meta = message.params.get("_meta")
    found = meta.get(VERSION) if type(meta) is dict else None
    return found if type(found) is str else None


class Mirror:
    """The mirrored headers of the messages to one server."""

    def __init__(self, server: Server) -> None:
        @cache
        def annotated(tool: str) -> dict[tuple[str, ...], str]:
            text = server.definitions.get(tool)
            return dict(_annotated(parse_parameters(text.encode()).get("inputSchema"))) if text is not None else {}

        self._annotated = annotated

    def headers(self, message: Message) -> dict[str, str]:
        """Return the headers of a message, names in lower case."""
        return {name: encoded(_text(value)) for name, value in self._values(message).items() if value is not None}

    def wrong(self, message: Message, headers: Mapping[str, str]) -> str | None:
        """Return which header does not fit the body, and how; None where all do."""
        for name, value in self._values(message).items():
            given = headers.get(name)
            if given is None and value is None:
                continue
            if given is None:
                return f"the header `{name}` is missing"
            read = decoded(given) if _PLAIN.fullmatch(given) else None
            if value is None or read is None or not _same(read, value):
                return f"the header `{name}` does not match the body"
        return None

    def _values(self, message: Message) -> Tree:
        """Return each header that belongs to a message → the value that it mirrors, None where the body has none."""
        params = message.params
        found: Tree = {"mcp-method": message.method}
        if message.method in NAMED:
            found["mcp-name"] = params.get(NAMED[message.method])
        if message.method == CALL and type(params.get("name")) is str:
            for path, name in self._annotated(params["name"]).items():
                found[_PARAM + name] = _at(params.get("arguments"), path)
        return found


def _annotated(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and header of each parameter that is mirrored: only those reached by `properties` alone are."""
    properties = schema.get("properties") if type(schema) is dict else None
    for key, item in properties.items() if type(properties) is dict else ():
        name = item.get("x-mcp-header") if type(item) is dict else None
        if type(name) is str and _TOKEN.fullmatch(name):
            yield (*path, key), name.lower()
        yield from _annotated(item, (*path, key))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if type(value) is dict else None
    return None if type(value) in (dict, list) else value


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)


def _same(read: str, value: Any) -> bool:
    if type(value) is not Number:
        return read == _text(value)
    try:
        return len(read) <= 40 and Decimal(read) == Decimal(value)  # 42.0 is 42
    except InvalidOperation:
        return False


def encoded(value: str) -> str:
    """Return text as it can stand in a header: as it is, or in base64 where that would not come back unchanged."""
    if _PLAIN.fullmatch(value) and not _WRAPPED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decoded(value: str) -> str | None:
    """Return what `encoded` made a header of; None for base64 that is not in its one right form."""
    wrapped = _WRAPPED.fullmatch(value)
    if wrapped is None:
        return value
    try:
        data = base64.b64decode(wrapped[1], validate=True)
        return data.decode() if base64.b64encode(data).decode() == wrapped[1] else None
    except (binascii.Error, ValueError):
        return None
