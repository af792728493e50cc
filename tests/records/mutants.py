"""Mutations of a receipt, generated from the schema; and the rules that say for which reason each is refused.

A rule is about a class of mutations (docs/reference/verify.md has the order of the checks); none is a recorded answer.
"""

from __future__ import annotations

import copy
import json
import re
import types
from collections.abc import Iterator
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from navicert.core import seal
from navicert.model.receipt import Receipt
from records.forge import Plain, canonical, holder, leaves

Path = tuple[str | int, ...]


class Mutant(NamedTuple):
    """One change: what it is, the bytes, and the code for which they are to be refused."""

    name: str
    data: bytes
    code: str


# the schema, walked by type


class Field(NamedTuple):
    """One field of the schema: its path (`*` for any element), its type without None, and its default."""

    path: Path
    type: Any
    default: Any

    @property
    def optional(self) -> bool:
        return self.default is not msgspec.NODEFAULT


def fields(struct: type = Receipt, path: Path = ()) -> Iterator[Field]:
    """Yield every field of a struct, those inside it after it."""
    for field in msgspec.structs.fields(struct):
        kinds = [field.type]
        if get_origin(field.type) in {Union, types.UnionType}:
            kinds = [each for each in get_args(field.type) if each is not type(None)]
        here = (*path, field.encode_name)
        yield Field(here, kinds[0], field.default)
        inner = get_args(kinds[0])[0] if get_origin(kinds[0]) is tuple else kinds[0]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from fields(inner, (*here, "*") if get_origin(kinds[0]) is tuple else here)
        elif get_origin(kinds[0]) is tuple:
            yield Field((*here, "*"), inner, None)


SCHEMA = {field.path: field for field in fields()}
PARTS = {path[0]: field for path, field in SCHEMA.items() if len(path) == 1}


def general(path: Path) -> Path:
    """Return a path with `*` for each place in a list: the schema's own."""
    return tuple("*" if isinstance(name, int) else name for name in path)


def at(plain: Any, path: Path) -> Any:
    return holder(plain, (*path, None))


def objects(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every object within a receipt, the receipt itself first."""
    if isinstance(value, dict):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from objects(item, (*path, name))


def put(plain: Plain, path: Path, value: Any) -> Plain:
    """Return a copy with another value at a path, which need not be there yet."""
    changed = copy.deepcopy(plain)
    holder(changed, path)[path[-1]] = value
    return changed


# values

WORDS = (
    ("ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"), ("full", "narrowed", "suspended", "revoked"),
    ("approve", "deny", "state"), ("approver", "backup", "requester"), ("redacted", "withheld"), ("Ed25519", "ES256"),
    ("approval", "facts", "reevaluation", "escalation", "timeout", "denial", "dependency", "authority", "identity"),
    ("hold", "release", "erased"), ("denied", "ran", "no_answer", "otherwise"),
)  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z")
FORMS = {"time": TIME, "digest": re.compile(r"[0-9a-f]{64}"), "keyed": re.compile(r"p-[0-9a-f]{32}")}


def form_of(value: Any) -> str | None:
    """Return which promised form an honest value has: `time`, `digest`, `keyed`, or `word`."""
    if not isinstance(value, str):
        return None
    if any(value in words for words in WORDS):
        return "word"
    return next((name for name, form in FORMS.items() if form.fullmatch(value)), None)


def other(value: Any) -> Any:
    """Return another value of the same type, in the same form: what only the rest of the log can contradict."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if not isinstance(value, str):
        return ["x"] if isinstance(value, list) else {"x": "y"}
    for words in WORDS:
        if value in words:
            return words[(words.index(value) + 1) % len(words)]
    form = form_of(value)
    if form == "time":
        return f"{value[:20]}{(int(value[20:26]) + 1) % 10**6:06d}Z"
    if form in {"digest", "keyed"}:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    # the first character: the last one of base64 may hold bits that no byte uses
    return ("A" if value[:1] != "A" else "B") + value[1:]


def of_type(kind: Any) -> Any:
    """Return some value of a type, as JSON."""
    if kind is int:
        return 7
    if get_origin(kind) is tuple:
        return []
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: of_type(field.type) for field in msgspec.structs.fields(kind) if field.required}
    return "x"


# rules


def unsigned(kind: str, path: Path) -> str:
    """For which reason a well-formed receipt is refused in which the value at a path is another, and nothing else.

    The first check in order that looks at it: schema, place in the log, key, algorithm; the signature covers the rest.
    """
    return {
        ("version",): "schema",
        ("kind",): "schema",
        ("log", "origin"): "wrong_origin",
        ("log", "seq"): "gap",
        ("log", "prev"): "chain_broken",
        ("signature", "key_id"): "unknown_key",
        ("signature", "algorithm"): "wrong_algorithm",
    }.get(path, "bad_signature")


def may_lack(kind: str, path: Path) -> bool:
    """Tell whether the schema lets a receipt of this kind go without the member at a path."""
    if len(path) == 1 and path[0] in seal._PARTS:
        return path[0] not in seal._REQUIRED[kind]
    return SCHEMA[general(path)].optional


def may_have(kind: str, path: Path) -> bool:
    """Tell whether the schema lets a receipt of this kind have the member at a path."""
    return len(path) > 1 or path[0] in seal._REQUIRED[kind] | seal._OPTIONAL.get(kind, frozenset())


def spelled_out(value: Any, field: Field) -> bool:
    """Tell whether this is the value that a member has where it is left out: the one form leaves it out."""
    return value == (list(field.default) if isinstance(field.default, tuple) else field.default)


# mutations of one receipt that nobody signs anew


def changed_leaves(plain: Plain) -> Iterator[Mutant]:
    """Every leaf changed: to another value in its form, and to one that is out of form."""
    for path in leaves(plain):
        value = at(plain, path)
        yield Mutant(f"{path} changed", canonical(put(plain, path, other(value))), unsigned(plain["kind"], path))
        if form_of(value):
            code = "schema" if path == ("at",) else unsigned(plain["kind"], path)
            yield Mutant(f"{path} out of form", canonical(put(plain, path, "x" + value)), code)


def other_types(plain: Plain) -> Iterator[Mutant]:
    """Every leaf as a value of every other type."""
    for path in leaves(plain):
        held = at(plain, path)
        for value in (None, True, 7, "x", [7], {"x": "y"}):
            if type(value) is type(held) or isinstance(held, list):
                continue
            yield Mutant(f"{path} as {value!r}", canonical(put(plain, path, value)), "schema")


def changed_members(plain: Plain) -> Iterator[Mutant]:
    """Every object with a member less, with one more of the schema, with one outside of it, with one twice."""
    kind = plain["kind"]
    for path in objects(plain):
        held = at(plain, path)
        for name in held:
            here = (*path, name)
            lacking = copy.deepcopy(plain)
            del at(lacking, path)[name]
            code = "bad_signature" if here == ("signature", "value") or may_lack(kind, here) else "schema"
            yield Mutant(f"{here} removed", canonical(lacking), code)
            # two members of one name: `~` sorts behind all, and is renamed in the bytes
            text = canonical(put(plain, (*path, f"{name}~"), held[name]))
            yield Mutant(f"{here} twice", text.replace(f'"{name}~":'.encode(), f'"{name}":'.encode()), "not_canonical")
        yield Mutant(f"{path} with a stranger", canonical(put(plain, (*path, "zzz"), 1)), "schema")
        depth = len(path) + 1
        for field in SCHEMA.values():
            here = (*path, field.path[-1])
            if len(field.path) == depth and general(here) == field.path and field.path[-1] not in {*held, "*"}:
                value = of_type(field.type)
                fits = may_have(kind, here) and not spelled_out(value, field)
                code = "bad_signature" if fits else "schema"
                yield Mutant(f"{here} added", canonical(put(plain, here, value)), code)


def changed_lists(plain: Plain) -> Iterator[Mutant]:
    """Every list with an element less, one twice, and turned round."""
    for path in {leaf[: leaf.index(each)] for leaf in leaves(plain) for each in leaf if isinstance(each, int)}:
        held = at(plain, path)
        for name, value in {"less": held[:-1], "twice": [*held, held[-1]], "turned": held[::-1]}.items():
            if value != held:
                code = "schema" if spelled_out(value, SCHEMA[general(path)]) else "bad_signature"
                yield Mutant(f"{path} {name}", canonical(put(plain, path, value)), code)


def changed_bytes(plain: Plain) -> Iterator[Mutant]:
    """Every other spelling of the same or nearly the same: order, white space, numbers, characters."""
    whole = canonical(plain)
    for path in objects(plain):
        held = at(plain, path)
        turned = dict(sorted(held.items(), reverse=True))
        if len(held) > 1:
            # Python keeps the order in which the members stand
            text = json.dumps(_reordered(plain, path, turned), separators=(",", ":")).encode()
            yield Mutant(f"{path} in another order", text, "not_canonical")
    for place in [0, *(found.end() for found in re.finditer(rb"[{}\[\],:]", whole))]:
        if whole[:place].count(b'"') % 2 == 0:  # not inside of a text
            space = (b" ", b"\n", b"\t")[place % 3]
            yield Mutant(f"white space at {place}", whole[:place] + space + whole[place:], "not_canonical")
    for path in leaves(plain):
        value = at(plain, path)
        if isinstance(value, int) and not isinstance(value, bool):
            for text in (f"{value}.0", f"{value}e0", f"-{value}", "-0", f"0{value}", "NaN", "Infinity", str(2**53)):
                number = canonical(put(plain, path, "@@")).replace(b'"@@"', text.encode())
                negative = text == f"-{value}" and value
                yield Mutant(f"{path} = {text}", number, unsigned(plain["kind"], path) if negative else "not_canonical")
        elif isinstance(value, str):
            for text in ("é", "\x7f", "\\u0041", "\\/", "\x00", "\ud800"):
                begun = canonical(put(plain, path, "@@" + value))
                spelled = begun.replace(b"@@", text.encode("utf-8", "surrogatepass"))
                yield Mutant(f"{path} with {text!r}", spelled, "not_canonical")


def _reordered(plain: Plain, path: Path, turned: Plain) -> Plain:
    def ordered(value: Any, here: Path) -> Any:
        if isinstance(value, list):
            return [ordered(item, (*here, place)) for place, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        names = turned if here == path else sorted(value)
        return {name: ordered(value[name], (*here, name)) for name in names}

    return ordered(plain, ())


CLASSES = (changed_leaves, other_types, changed_members, changed_lists, changed_bytes)
