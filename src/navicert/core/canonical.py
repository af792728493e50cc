"""Canonical bytes (RFC 8785), in two profiles (DESIGN.md section 4).

* *Receipts*: printable ASCII, no floats, integers within ±(2^53−1); there every common serialiser agrees byte for byte.
* *Parameters*: anything that JSON can hold. Keys are sorted and strings escaped as RFC 8785 says, but a number keeps
  its source text, so that 1.0 stays 1.0 and a 64-bit id stays exact.
* What has no single meaning is refused: NaN, duplicate keys, keys that are not text, lone surrogates, depth, size.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec

from navicert.model.errors import InvalidAction
from navicert.model.value import Json

MAX_DEPTH: Final = 64
MAX_BYTES: Final = 1_048_576
_SAFE: Final = 2**53 - 1
_HUGE: Final = 10**300
_PRINTABLE: Final = frozenset(range(0x20, 0x7F))

_sorted = msgspec.json.Encoder(order="sorted")
_deterministic = msgspec.json.Encoder(order="deterministic")


class Number(str):
    """The source text of a JSON number."""

    __slots__ = ()


def receipt_bytes(value: msgspec.Struct | dict[str, Json]) -> bytes:
    """Return the canonical bytes of a receipt; raises `ValueError` for what the receipt profile excludes."""
    plain = msgspec.to_builtins(value)
    _guard(plain)
    return _deterministic.encode(plain)


def state_bytes(value: msgspec.Struct) -> bytes:
    """Return deterministic bytes of one of our own values, for hashing and keeping; not for foreign verifiers."""
    try:
        return _sorted.encode(value)
    except TypeError:  # keys that are no text, as the buckets of a tally
        return _sorted.encode(msgspec.to_builtins(value, str_keys=True))


def _guard(value: object) -> None:
    kind = type(value)
    if kind is str:
        if not (value.isascii() and value.isprintable()):  # type: ignore[attr-defined]
            raise ValueError(f"text outside printable ASCII in a receipt: {value!r:.80}")
    elif kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            _guard(key)
            _guard(item)
    elif kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]
            _guard(item)
    elif kind is int:
        if not -_SAFE <= value <= _SAFE:  # type: ignore[operator]
            raise ValueError(f"integer beyond 2^53-1 in a receipt: {value}")
    elif kind is not bool and value is not None:
        raise ValueError(f"{kind.__name__} in a receipt")


def percent(text: str) -> str:
    """Return an injective printable-ASCII form: bytes outside it, and `%` itself, are percent-encoded UTF-8."""
    if text.isascii() and text.isprintable() and "%" not in text:
        return text
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if b in _PRINTABLE and b != 0x25 else f"%{b:02X}" for b in data)


def parameter_bytes(value: dict[str, Any]) -> bytes:
    """Return the canonical bytes of an action's parameters, given as plain JSON values of Python.

    Raises `InvalidAction` for anything else: other types, subclasses, keys that are not text, NaN, lone surrogates,
    more than 64 levels, more than 1 MiB.
    """
    simple = _check(value, 1)
    try:
        data = _deterministic.encode(value) if simple else _render(value).encode()
    except UnicodeEncodeError:
        raise InvalidAction("a text holds a lone surrogate; send valid Unicode") from None
    return _sized(data)


def _sized(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise InvalidAction(f"the parameters take {len(data)} bytes; at most {MAX_BYTES} can be judged")
    return data


def _check(value: Any, depth: int) -> bool:
    """Refuse what JSON cannot hold exactly; tell whether all keys are ASCII (the fast encoder then sorts rightly)."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int or kind is float:
        return _check_number(value)
    if kind is Number:
        return False
    if depth > MAX_DEPTH:
        raise InvalidAction(f"the parameters are nested deeper than {MAX_DEPTH} levels")
    if kind is dict:
        simple = True
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidAction(
                    f"the key {key!r:.40} is not text; keys that only become text on the wire can collide"
                )
            simple = _check(item, depth + 1) and key.isascii() and simple
        return simple
    if kind is list:
        simple = True
        for item in value:
            simple = _check(item, depth + 1) and simple
        return simple
    raise InvalidAction(f"a value of type `{kind.__name__}` is not a JSON value; pass text, numbers, lists or objects")


def _check_number(value: float) -> bool:
    if type(value) is int and not -_HUGE < value < _HUGE:
        raise InvalidAction("an integer has more than 300 digits")
    if not math.isfinite(value):
        raise InvalidAction(f"the number {value} has no JSON form")
    return True


def parse_parameters(data: bytes) -> dict[str, Any]:
    """Parse JSON text from outside, with numbers as `Number`; strict where JSON readers differ.

    Raises `InvalidAction` for malformed text, duplicate keys, NaN and Infinity, invalid UTF-8, lone surrogates, numbers
    beyond the range of a double, depth, size, and anything but an object.
    """
    value = parse_json(_sized(data), "the parameters")
    if type(value) is not dict:
        raise InvalidAction("the parameters are not an object; name each of them")
    return value


def parse_json(data: bytes, what: str) -> Any:
    """Parse any JSON text from outside, as strictly; its size is the caller's business. what: for the message."""
    try:
        value = _strict.decode(data.decode("utf-8"))
        if data.count(b"{") + data.count(b"[") > MAX_DEPTH:  # what else `_check` refuses, this reader never makes
            _check(value, 1)
        if b"\\u" in data:
            _render(value).encode()  # only an escape can make a lone surrogate
    except UnicodeEncodeError:
        message = "a text holds a lone surrogate; send valid Unicode"
        raise InvalidAction(message) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidAction(f"{what} are not JSON: {error}") from None
    except RecursionError:
        raise InvalidAction(f"{what} are nested deeper than {MAX_DEPTH} levels") from None
    return value


def _integer(text: str) -> Number:
    if len(text) > 300:
        raise InvalidAction("an integer has more than 300 digits")
    return Number(text)


def _float(text: str) -> Number:
    if not math.isfinite(float(text)):
        raise InvalidAction(f"the number {text:.40} is beyond the range of a double")
    return Number(text)


def _constant(text: str) -> Number:
    raise InvalidAction(f"`{text}` is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidAction("an object has the same key twice; readers differ on which one counts")
    return value


_strict: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_float, parse_constant=_constant, object_pairs_hook=_object
)


def canonical_parameters(value: dict[str, Any]) -> bytes:
    """Return the canonical bytes of a tree from `parse_parameters`, numbers verbatim."""
    _check(value, 1)
    try:
        return _sized(_render(value).encode())
    except UnicodeEncodeError:
        raise InvalidAction("a text holds a lone surrogate; send valid Unicode") from None


def _render(value: Any) -> str:
    kind = type(value)
    if kind is Number:
        return str(value)
    if kind is dict:
        # RFC 8785 section 3.2.3: keys are sorted by their UTF-16 code units
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_deterministic.encode(key).decode()}:{_render(value[key])}" for key in keys) + "}"
    if kind is list:
        return "[" + ",".join(_render(item) for item in value) + "]"
    return _deterministic.encode(value).decode()


def decode_parameters(data: bytes) -> dict[str, Any]:
    """Return the parameters as Python values, from canonical bytes."""
    value = msgspec.json.decode(data)
    if type(value) is not dict:
        raise InvalidAction("the parameters are not an object; name each of them")
    return value
