"""A small JSON Schema validator: the keywords that our own schemas use, and an error for any other."""

from __future__ import annotations

import re
from typing import Any

TYPES = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
SAID = {"$schema", "$defs", "title", "description", "examples", "default"}


def problems(schema: Any, value: Any, root: Any = None, where: str = "$") -> list[str]:
    """Return what is wrong with a value, one line each; raises `KeyError` for a keyword that is not known here."""
    root = schema if root is None else root
    found: list[str] = []
    for word, rule in schema.items():
        if word not in SAID:
            found += [f"{where}: {item}" for item in CHECKS[word](rule, value, root, schema)]
    return found


def fits(schema: Any, value: Any, root: Any) -> bool:
    return not problems(schema, value, root)


def typed(names: Any, value: Any) -> bool:
    for name in [names] if isinstance(names, str) else names:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number if name == "number" else number and value == int(value) if name == "integer" else None:
            return True
        if name in TYPES and isinstance(value, TYPES[name]):
            return True
    return False


def _ref(rule, value, root, _):
    return problems(root["$defs"][rule.removeprefix("#/$defs/")], value, root)


def _properties(rule, value, root, _):
    items = value.items() if isinstance(value, dict) else ()
    return [line for key, inner in items if key in rule for line in problems(rule[key], inner, root, key)]


def _patterns(rule, value, root, _):
    items = value.items() if isinstance(value, dict) else ()
    pairs = [(of, inner) for key, inner in items for pattern, of in rule.items() if re.search(pattern, key)]
    return [line for of, inner in pairs for line in problems(of, inner, root)]


def _additional(rule, value, root, schema):
    if not isinstance(value, dict):
        return []
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    rest = {
        key: inner for key, inner in value.items() if key not in known and not any(re.search(p, key) for p in patterns)
    }
    if rule is False:
        return [f"unknown key {key}" for key in rest]
    return [line for key, inner in rest.items() for line in problems(rule, inner, root, key)]


def _names(rule, value, root, _):
    return [f"bad key {key}" for key in value if not fits(rule, key, root)] if isinstance(value, dict) else []


def _items(rule, value, root, _):
    return [line for inner in value for line in problems(rule, inner, root)] if isinstance(value, list) else []


def _dependent(rule, value, root, _):
    if not isinstance(value, dict):
        return []
    return [line for key, of in rule.items() if key in value for line in problems(of, value, root, key)]


def _needs(rule, value, _root, _):
    return [f"{key} needs {n}" for key, of in rule.items() if key in value for n in of if n not in value]


def _if(rule, value, root, schema):
    return problems(schema["then"], value, root) if fits(rule, value, root) else []


def _says(test):
    return lambda rule, value, root, schema: [] if test(rule, value, root) else [f"{rule!r} does not hold of {value!r}"]


def _is(kind, test):
    return _says(lambda rule, value, _: not isinstance(value, kind) or isinstance(value, bool) or test(rule, value))


CHECKS = {
    "$ref": _ref,
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "dependentSchemas": _dependent,
    "dependentRequired": _needs,
    "if": _if,
    "then": lambda *_: [],
    "allOf": lambda rule, value, root, _: [line for one in rule for line in problems(one, value, root)],
    "anyOf": _says(lambda rule, value, root: any(fits(one, value, root) for one in rule)),
    "oneOf": _says(lambda rule, value, root: sum(fits(one, value, root) for one in rule) == 1),
    "type": _says(lambda rule, value, _: typed(rule, value)),
    "enum": _says(lambda rule, value, _: value in rule),
    "const": _says(lambda rule, value, _: value == rule),
    "required": _is(dict, lambda rule, value: set(rule) <= value.keys()),
    "pattern": _is(str, lambda rule, value: re.search(rule, value) is not None),
    "minLength": _is(str, lambda rule, value: len(value) >= rule),
    "maxLength": _is(str, lambda rule, value: len(value) <= rule),
    "minimum": _is((int, float), lambda rule, value: value >= rule),
    "maximum": _is((int, float), lambda rule, value: value <= rule),
    "minItems": _is(list, lambda rule, value: len(value) >= rule),
    "maxItems": _is(list, lambda rule, value: len(value) <= rule),
    "uniqueItems": _is(list, lambda _, value: all(item not in value[:at] for at, item in enumerate(value))),
    "minProperties": _is(dict, lambda rule, value: len(value) >= rule),
    "maxProperties": _is(dict, lambda rule, value: len(value) <= rule),
}
