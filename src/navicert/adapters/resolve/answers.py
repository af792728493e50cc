"""What a source answers, read strictly: JSON, or else text; and the value at a JSON pointer (RFC 6901).

* JSON in which readers differ (a key twice, NaN, lone surrogates), too deep or too long is refused, not taken as text.
* An answer without any text is none: a file that was just emptied says nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from navicert.core.canonical import canonical_parameters, decode_parameters, parse_parameters
from navicert.model.errors import IntegrityError, InvalidAction
from navicert.model.value import Json

LONGEST: Final = 1_048_576
"""Bytes of an answer, at most."""

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ESCAPE: Final = re.compile(r"~(?![01])")


def value_at(data: bytes, at: str, place: str) -> Json:
    """Return the value at a pointer into an answer; raises `IntegrityError`, naming the place, where there is none."""
    value = _read(data, place)
    if not at:
        return value
    if not at.startswith("/") or _ESCAPE.search(at):
        raise IntegrityError(f"{place}: `{at}` is not a JSON pointer; begin with `/`, and write `~` as `~0`")
    for token in at[1:].split("/"):
        value = _step(value, token.replace("~1", "/").replace("~0", "~"), at, place)
    return value


def _step(value: Json, token: str, at: str, place: str) -> Json:
    if isinstance(value, dict) and token in value:
        return value[token]
    if isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
        return value[int(token)]
    raise IntegrityError(f"{place}: nothing stands at `{at}` in the answer; correct `at`, or the source")


def _read(data: bytes, place: str) -> Json:
    if len(data) > LONGEST:
        raise IntegrityError(f"{place}: the answer is longer than {LONGEST} bytes; make the source say less")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise IntegrityError(f"{place}: the answer is not UTF-8; make the source say JSON or text") from None
    if not text:
        raise IntegrityError(f"{place}: the answer is empty; make the source say JSON or text")
    if not _is_json(text):
        return text
    try:
        # the strict reader reads objects
        tree: dict[str, Any] = decode_parameters(canonical_parameters(parse_parameters(f'{{"":{text}}}'.encode())))
    except InvalidAction as error:
        raise IntegrityError(f"{place}: the answer has no single meaning as JSON ({_of(error)}); correct it") from None
    value: Json = tree[""]
    return value


def _of(error: InvalidAction) -> str:
    return str(error).replace("the parameters are", "it is")


def _is_json(text: str) -> bool:
    """Tell whether it is JSON, or close enough that some reader would take it for that."""
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError:
        return False
    except RecursionError:
        return True  # the strict reader says so with a reason
    return True
