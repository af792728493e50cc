"""Rendering: a tool's value → text that can be looked at and labelled (R2.b, R2.c).

* What has no text cannot be looked at, and counts as the highest: binary data, open handles, foreign objects, streams.
* What is made of JSON values can be made anew from JSON that was redacted; of anything else, nothing is released then.
"""

from __future__ import annotations

from typing import Any

import msgspec

from navicert.engine.completing import Output
from navicert.sdk.binding import encode_path

_NOTHING = Output(text="null", json=b"null", empty=True)
_UNREADABLE = Output(text=None, json=b'{"unreadable":true}')


def render(value: Any) -> Output:
    """Return what a value looks like to classifiers, and its JSON for the receipt's disclosure."""
    if value is None or value is True or value is False:
        return _NOTHING
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return _UNREADABLE
    try:
        data = msgspec.json.encode(value, enc_hook=encode_path)
    except (TypeError, ValueError, NotImplementedError, RecursionError, msgspec.MsgspecError):
        return _UNREADABLE
    return Output(text=value if isinstance(value, str) else data.decode(), json=data)


def remade(_: Any, data: bytes) -> Any:
    """Return what a redacted result says: a value of the shape that the result had."""
    return msgspec.json.decode(data)


def whole(items: list[Any]) -> Any:
    """Return the parts of a stream as what is looked at together: of texts, their text, since readers join them."""
    return "".join(items) if items and all(type(item) is str for item in items) else items
