"""Of the oracle: three truths, what a value is, what an operator says of it, and what a modification makes of it."""

import operator
from fractions import Fraction
from functools import partial
from posixpath import normpath

import re2

from navicert.core.canonical import Number
from navicert.core.places import addresses, at, under
from navicert.core.text import normal_form
from navicert.model.labels import Level
from navicert.model.policy import Modification

some = partial(max, key=[False, None, True].index, default=False)  # Kleene's OR
every = partial(min, key=[False, None, True].index, default=True)  # Kleene's AND
ABSENT, UNKNOWN, ANY = frozenset(), object(), object()  # nothing; a value nobody knows; any category
ORDER = {name: getattr(operator, name) for name in ("eq", "lt", "le", "gt", "ge")}
TEXTUAL = ORDER | {"contains": operator.contains, "starts_with": str.startswith, "ends_with": str.endswith}
TEXTUAL["matches"] = lambda text, pattern: bool(re2.search(pattern, text))
JUDGES = {str: TEXTUAL, Fraction: ORDER, bool: ORDER, Level: ORDER}  # by what is compared, like with like
TYPES = {str: "text", Number: "number", bool: "boolean", list: "list", dict: "object"}


def read(name: str, value: object) -> list[object]:  # the values that an operator finds in one, as it stands
    if name not in ("at", "under"):
        return [value]
    return [UNKNOWN] if type(value) is not str else [value] if name == "under" else addresses(value) or [UNKNOWN]


def judged(name: str, value: object, operand: object, form: object) -> bool | None:  # like with like; else undetermined
    if name in ("at", "under"):
        test = {"at": at, "under": under}[name]([operand], restricting=form is normal_form)
        return None if value is UNKNOWN else test(value)
    left, right = exact(value, form), exact(operand, str if name == "matches" else form)
    judges = JUDGES.get(type(left), {}) if type(left) is type(right) else {}
    return judges[name](left, right) if name in judges else None


def exact(value: object, form: object = str) -> object:  # a number exactly as its source says it, a text in a form
    return Fraction(str(value)) if type(value) in (Number, int, float) else form(value) if type(value) is str else value


def leaves(tree: object, keys: bool = False) -> list[object]:  # every value (and key) at any depth; `null` is none
    tree = [*([*tree] * keys), *tree.values()] if type(tree) is dict else tree
    return [leaf for each in tree for leaf in leaves(each, keys)] if type(tree) is list else [tree] * (tree is not None)


def changed(edit: Modification, old: object, inside: bool = False) -> object:  # unknown: it cannot be applied
    if edit.edit in ("set", "drop") or (old in (ABSENT, None) and not inside):
        return {"set": edit.value, "cap": edit.value, "drop": ABSENT}.get(edit.edit, old)
    if type(old) is list and edit.edit != "cap":
        return UNKNOWN if UNKNOWN in (items := [changed(edit, item, inside=True) for item in old]) else items
    if type(old) is not (Number if edit.edit == "cap" else str):
        return UNKNOWN
    if edit.edit != "prefix":
        return min(old, edit.value, key=exact) if edit.edit == "cap" else re2.sub(edit.value, "[redacted]", old)
    root, path = normpath(edit.value), normpath(old)
    return path if f"{path}/".startswith(f"{root}/") else normpath(f"{root}//{normpath('/' + old)}")
