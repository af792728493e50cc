"""MODIFY: parameters changed as a rule says, on the canonical bytes (R4).

* Every edit that cannot be applied raises; a half-modified action never leaves here.
* Numbers that no edit touches keep their source text.
"""

from __future__ import annotations

import posixpath
from decimal import Decimal, InvalidOperation
from typing import Any

import re2

from navicert.core.canonical import Number, canonical_parameters, parse_parameters
from navicert.model.policy import Edit, Modification
from navicert.model.value import Json

REDACTED = "[redacted]"


class CannotModify(Exception):
    """An edit does not fit the parameter it is for."""


def modify(parameters: bytes, modifications: tuple[Modification, ...]) -> bytes:
    """Return the parameters after all edits, canonical; raises `CannotModify`."""
    tree = parse_parameters(parameters)
    for edit in modifications:
        _apply(tree, edit)
    return canonical_parameters(tree)


def _apply(tree: dict[str, Any], edit: Modification) -> None:
    *path, name = edit.parameter.split(".")
    holder: Any = tree
    for step in path:
        holder = holder.get(step) if isinstance(holder, dict) else None
    if not isinstance(holder, dict):
        raise CannotModify(f"`{edit.parameter}` has no place in these parameters")
    match edit.edit:
        case Edit.DROP:
            holder.pop(name, None)
        case Edit.SET:
            holder[name] = _json(edit.value)
        case Edit.CAP:
            holder[name] = _cap(holder.get(name), edit)
        case Edit.REDACT | Edit.PREFIX:
            if holder.get(name) is not None:
                holder[name] = _each(holder[name], edit)


def _cap(value: Any, edit: Modification) -> Any:
    cap = edit.value
    if value is None:
        return _json(cap)
    if not isinstance(value, Number):
        raise CannotModify(f"`{edit.parameter}` is not a number and cannot be capped")
    try:
        over = Decimal(value) > Decimal(str(cap))
    except InvalidOperation:
        raise CannotModify(f"`{edit.parameter}` cannot be compared with its cap") from None
    return _json(cap) if over else value


def _each(value: Any, edit: Modification) -> Any:
    if isinstance(value, list):
        return [_each(item, edit) for item in value]
    if not isinstance(value, str) or isinstance(value, Number):
        raise CannotModify(f"`{edit.parameter}` is not text; it cannot be changed by `{edit.edit.value}`")
    if edit.edit is Edit.REDACT:
        return str(re2.sub(str(edit.value), REDACTED, value))
    return _under(str(edit.value), value)


def _under(prefix: str, path: str) -> str:
    """Return the path itself where it stays under the prefix, else the path re-rooted there, without `..`."""
    root = posixpath.normpath(prefix)
    plain = posixpath.normpath(path.replace("\\", "/"))
    if plain == root or plain.startswith(root.rstrip("/") + "/"):
        return plain
    parts = [part for part in plain.split("/") if part not in {"", ".", ".."}]
    return posixpath.join(root, *parts)


def _json(value: Json) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return Number(repr(value))
    if isinstance(value, list):
        return [_json(item) for item in value]
    return {key: _json(item) for key, item in value.items()}
