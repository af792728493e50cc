"""`match`: what a rule's conditions mean (R3.a, R3.b; docs/reference/policy-language.md, Conditions).

* A field has a type, and a type has its operators: a comparison that can never hold does not load.
* Sugar is gone after reading: a scalar is `eq`, a list is `in`, a trailing `*` on a tool's name is `starts_with`.
* Conditions are joined by AND and stand in a canonical order, so that the order of keys does not change the hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from navicert.core.fields import is_score
from navicert.core.places import check_folder, check_place
from navicert.core.predicates import TYPES
from navicert.intent.drift import DriftState
from navicert.intent.values import Finding, Form, Trust
from navicert.model.action import Effect
from navicert.model.authority import LADDER
from navicert.model.decision import Verdict
from navicert.model.labels import Level
from navicert.model.policy import Condition, Earlier, Operator, Tally
from navicert.model.value import Json
from navicert.syntax import words
from navicert.syntax.fields import (
    AMONG,
    APPLIES,
    CONSTRAINED,
    KEYS,
    NAMED,
    OF_PERSON,
    OPERATORS,
    ORDER,
    PARTS,
    PAST,
    PLACES,
    PLAIN,
    SAME,
    SECTIONS,
    SEQUENCES,
    TALLIES,
    Type,
)
from navicert.syntax.reader import Fault, Items, Node, Place, Scalar, Table, kind, shown

MAX_WINDOW_S = 31 * 86_400
MAX_COUNT = 1_000_000_000
MAX_TOTAL = 9_000_000_000_000


class Field(NamedTuple):
    """One field of a match with what is said about it. `path` is the full one: `parameters.to`. ours: see `Match`."""

    path: str
    type: Type
    node: Node
    place: Place
    ours: tuple[str, ...] | None = None


class Match(NamedTuple):
    """What a `match` or `constraints` says, each part in canonical order."""

    conditions: tuple[Condition, ...] = ()
    tallies: tuple[Tally, ...] = ()
    after: tuple[Earlier, ...] = ()


def read_match(node: Node, ours: tuple[str, ...] | None, decision: Verdict | None = None) -> Match:
    """Return what a `match` says; ours: the places of the organisation, None where unstated. Raises `Fault`.

    decision: of its rule. A permit asks for no score: whoever words an action well would have it (property 6).
    """
    found = words.table(node, "`match`")
    for key, place in found.keys.items():
        if key not in KEYS:
            raise Fault(place, f"unknown field {shown(key)} in `match`; {_field_advice(key)}")
    after = [item for key in SEQUENCES if key in found.nodes for item in _sequence(key, found.nodes[key])]
    match = _match(found, ours)._replace(after=tuple(sorted(after, key=_encoded)))
    score = next((item.field for item in match.conditions if is_score(item.field)), None)
    if score is not None and decision in {Verdict.ALLOW, Verdict.MODIFY}:
        hint = "permit without it, and add a rule that asks or denies where the score is bad"
        place = found.keys[score.partition(".")[0]]
        raise Fault(place, f"{shown(score)} is a score, and a score never permits; {hint}")
    return match


def read_constraints(node: Node, ours: tuple[str, ...] | None) -> Match:
    """Return what `constraints` say; they are conditions on parameters, by name or by role, and tallies."""
    found = words.fields(node, "`constraints`", CONSTRAINED)
    if not found.nodes:
        raise Fault(found.place, "`constraints` is empty; add one, or remove it")
    return _match(found, ours)


def _match(found: Table, ours: tuple[str, ...] | None) -> Match:
    seen: dict[str, Place] = {}
    conditions: list[Condition] = []
    for field in _fields(found):
        if field.path in seen:
            where = f"first in line {seen[field.path].line}"
            raise Fault(field.place, f"the field {shown(field.path)} stands twice ({where}); keep one")
        seen[field.path] = field.place
        conditions.extend(_conditions(field._replace(ours=ours)))
    _whole_names_have_no_place(found)
    tallies = tuple(_tally(key, found.nodes[key]) for key in TALLIES if key in found.nodes)
    return Match(tuple(sorted(conditions, key=_order)), tallies)


def _sequence(key: str, node: Node) -> Iterator[Earlier]:
    """One earlier action, or a list of them: each must have been permitted, in whatever order."""
    entries = words.items(node, f"`{key}`") if isinstance(node, Items) else (node,)
    if not entries:
        raise Fault(node.place, f"`{key}` is an empty list; say what must have happened, or remove it")
    for entry in entries:
        found = words.fields(entry, f"`{key}`", (*PAST, "within"))
        if not any(name in found.nodes for name in PAST):
            raise Fault(found.place, f"`{key}` names no action; add one of {words.listed(PAST)}")
        within = found.nodes.get("within")
        yield Earlier(
            match=_match(found, None).conditions,
            within_s=words.duration(within, "`within`", most=MAX_WINDOW_S) if within else None,
            negated=key == "not_after",
        )


def _encoded(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _whole_names_have_no_place(match: Table) -> None:
    """Refuse `tool: email.send`: the name stands in two fields here, and the rule would never match, silently."""
    node = match.nodes.get("tool")
    if "operation" not in match.nodes and isinstance(node, Scalar) and isinstance(node.value, str):
        tool, _, operation = node.value.rpartition(".")
        if tool and "*" not in node.value:
            raise Fault(
                node.place, f"`tool` has the part before the last dot; write `tool: {tool}`, `operation: {operation}`"
            )


def _field_advice(key: str) -> str:
    section, _, rest = key.partition(".")
    if section in SECTIONS and rest:
        return f"write {shown(f'{section}: {{{rest}: …}}')}"
    for name, inner in SECTIONS.items():
        if key in inner or (key in NAMED and name == "context"):
            return f"write it inside `{name}:`"
    return f"{words.advice(key, KEYS, 'the fields are')} (a parameter stands inside `parameters:`)"


def _order(condition: Condition) -> tuple[str, str, bool, bytes]:
    return condition.field, condition.operator.value, condition.negated, _encoded(condition.value)


# -------------------------------------------------------------------------------------------------------------- fields


def _fields(match: Table) -> Iterator[Field]:
    for key, node in match.nodes.items():
        if key in PLAIN:
            yield Field(key, PLAIN[key], node, match.keys[key])
        elif key in SECTIONS:
            yield from _section(key, node)


def _section(section: str, node: Node) -> Iterator[Field]:
    if section == "intent" and not isinstance(node, Table):
        hint = "write `intent: {finding: …}`, or `context: {intent: …}` for what the session was opened for"
        raise Fault(node.place, f"`intent` must be a mapping, not {kind(node)}; {hint}")
    inner = _filled(node, f"`{section}`")
    for key, value in inner.nodes.items():
        place = inner.keys[key]
        if section == "context" and key in NAMED:
            group = _filled(value, f"`{key}`")
            for name, named in group.nodes.items():
                yield _context(f"{key}.{name}", named, group.keys[name])
        elif section == "context":
            yield _context(key, value, place)
        elif section == "parameters":
            name = key if key == "*" else words.parameter(key, place)
            yield Field(f"parameters.{name}", Type.ANY, value, place)
        elif section == "signals":
            yield Field(f"signals.{words.named(key, place, 'a signal')}", Type.ANY, value, place)
        else:
            yield Field(f"{section}.{key}", _known(section, key, place), value, place)


def _filled(node: Node, what: str) -> Table:
    found = words.table(node, what)
    if not found.nodes:
        raise Fault(found.place, f"{what} has no condition in it; add one, or remove it")
    return found


def _context(key: str, node: Node, place: Place) -> Field:
    group, _, name = key.partition(".")
    if group not in NAMED or not name:
        return Field(f"context.{key}", _known("context", key, place), node, place)
    if group == "attempts" and not TOOL_NAME.fullmatch(name):
        raise Fault(place, f"{shown(name)} is no full tool name; write it as `tool.operation`")
    return Field(f"context.{group}.{words.named(name, place, 'a fact')}", NAMED[group], node, place)


def _known(section: str, key: str, place: Place) -> Type:
    known = SECTIONS[section]
    if key in known:
        return known[key]
    options = (*known, *(f"{group}.…" for group in NAMED)) if section == "context" else tuple(known)
    raise Fault(place, f"unknown field {shown(key)} in `{section}`; {words.advice(key, options, 'the fields are')}")


# ---------------------------------------------------------------------------------------------------------- conditions


def _conditions(field: Field) -> Iterator[Condition]:
    match field.node:
        case Table() as operators:
            yield from _operators(field, operators)
        case Items():
            yield _condition(field, Operator.IN, field.node)
        case Scalar(value=str(word)) if field.type is Type.TOOL and word.endswith("*"):
            yield _prefix(field, word)
        case _:
            yield _condition(field, Operator.EQ, field.node)


def _operators(field: Field, table: Table) -> Iterator[Condition]:
    if not table.nodes:
        raise Fault(table.place, f"{shown(field.path)} says nothing; write a value, a list or an operator")
    for word, node in table.nodes.items():
        if word == "not":
            operator, place, inner = _under_not(field, node)
            yield _condition(field, operator, inner, place, negated=True)
        else:
            operator = _operator(field, word, table.keys[word])
            yield _condition(field, operator, node, table.keys[word])


def _under_not(field: Field, node: Node) -> tuple[Operator, Place, Node]:
    if not isinstance(node, Table):
        instead = "not_in" if isinstance(node, Items) else "ne"
        raise Fault(node.place, f"`not` takes an operator, not {kind(node)}; write `{instead}: …`, or `not: {{eq: …}}`")
    if len(node.nodes) != 1:
        raise Fault(node.place, f"`not` takes one operator, not {len(node.nodes)}; write one")
    ((word, inner),) = node.nodes.items()
    place = node.keys[word]
    if word == "not":
        raise Fault(place, "`not` under `not` is refused; write the condition without either")
    operator = _operator(field, word, place)
    if operator in {Operator.NE, Operator.NOT_IN}:
        plain = "eq" if operator is Operator.NE else "in"
        raise Fault(place, f"`not` around `{word}` says no twice; write `{plain}`")
    return operator, place, inner


def _operator(field: Field, word: str, place: Place) -> Operator:
    operator = OPERATORS.get(word)
    if operator is None:
        hint = words.advice(word, (*OPERATORS, "not"), "the operators are")
        if field.path.startswith("parameters."):
            inner = f"{field.path.removeprefix('parameters.')}.{word}"
            hint += f" (a field inside an object is written {shown(inner)})"
        raise Fault(place, f"unknown operator {shown(word)}; {hint}")
    applies = APPLIES[field.type] - (_OF_ONE if field.path == "parameters.*" else frozenset())
    if operator not in applies:
        usable = words.listed(each.value for each in Operator if each in applies)
        raise Fault(place, f"`{word}` does not apply to {shown(field.path)}, which is {field.type.value}; use {usable}")
    if operator is Operator.TYPE and not field.path.startswith("parameters."):
        raise Fault(place, "`type` is asked of a parameter by its name; write it inside `parameters:`")
    return operator


def _condition(
    field: Field, operator: Operator, node: Node, place: Place | None = None, *, negated: bool = False
) -> Condition:
    if operator not in APPLIES[field.type]:  # a list for what can only be equal
        raise Fault(
            place or node.place, f"{shown(field.path)} is {field.type.value} and takes no list; write one value"
        )
    if operator is Operator.EXTERNAL:
        return _external(field, node, negated=negated)
    return Condition(field=field.path, operator=operator, value=_value(field, operator, node), negated=negated)


def _prefix(field: Field, word: str) -> Condition:
    prefix = word.removesuffix("*")
    if prefix and not _TOOL_CHARACTERS.fullmatch(prefix):
        raise Fault(field.node.place, f"{shown(word)} begins no tool's name; {_NAME_HINT}, and one `*` at the end")
    return Condition(field=field.path, operator=Operator.STARTS_WITH, value=prefix)


def _value(field: Field, operator: Operator, node: Node) -> Json:
    what = shown(field.path) if operator in SAME else f"`{operator.value}` on {shown(field.path)}"
    if operator is Operator.EXISTS:
        return words.truth(node, "`exists`")
    if operator is Operator.MATCHES:
        return words.pattern(node, "`matches`")
    if operator is Operator.TYPE:
        return words.choice(node, "`type`", {name: name for name in TYPES})
    if operator is Operator.SAME:
        return _other(field, node)
    if operator in PLACES:
        return list(places(node, what, folders=operator is Operator.UNDER))
    if operator in AMONG:
        return _list(field, node, what)
    if operator in PARTS and field.type is not Type.CATEGORY:
        return _part(field, operator, node, what)
    value = _scalar(field, node, what)
    if operator in ORDER and isinstance(value, bool):
        raise Fault(node.place, f"`{operator.value}` compares numbers or texts, not {kind(node)}; use `eq`")
    return value


def places(node: Node, what: str, *, folders: bool = False) -> tuple[str, ...]:
    """Return patterns of network places, or folders, in file order; raises `Fault` for one that can match nothing."""
    found = words.names(node, what, words.MAX_PARAMETER)
    for index, pattern in enumerate(found):
        wrong = check_folder(pattern) if folders else check_place(pattern)
        if wrong is not None:
            place = node.nodes[index].place if isinstance(node, Items) else node.place
            raise Fault(place, wrong)
    return tuple(sorted(found))


def _external(field: Field, node: Node, *, negated: bool) -> Condition:
    """`external` is judged against the places of the organisation, which become part of the condition."""
    if field.ours is None:
        hint = "add `organisation: [company.com]` at the top level"
        raise Fault(node.place, f"`external` needs to know what is internal; {hint}")
    outside = words.truth(node, "`external`")
    return Condition(
        field=field.path,
        operator=Operator.EXTERNAL if outside else Operator.AT,
        value=list(field.ours),
        negated=negated,
    )


def _other(field: Field, node: Node) -> str:
    """The field that `same` compares with."""
    name = words.line(node, "`same`", words.MAX_PARAMETER)
    parameter = name.removeprefix("parameters.")
    if name == field.path or (name not in OF_PERSON and parameter in {name, "*"}):
        options = words.listed((*OF_PERSON, "parameters.NAME"))
        raise Fault(node.place, f"`same` cannot compare with {shown(name)}; write one of {options}")
    if parameter != name:
        words.parameter(parameter, node.place)
    return name


def _list(field: Field, node: Node, what: str) -> Json:
    nodes = words.items(node, f"what {what} is compared with")
    if not nodes:
        raise Fault(node.place, f"the list for {what} is empty; name at least one value")
    return [_scalar(field, item, what) for item in nodes]


def _part(field: Field, operator: Operator, node: Node, what: str) -> Json:
    """A part of a text; only `contains` may also ask for an element that is no text."""
    if field.type is Type.ANY and operator is Operator.CONTAINS:
        value = _scalar(field, node, what)
    else:
        value = _text(node, what)
        if field.type is Type.TOOL and value and not _TOOL_CHARACTERS.fullmatch(value):
            raise Fault(node.place, f"{what} can never be {shown(value)}; {_NAME_HINT}")
    if value == "":
        raise Fault(node.place, f"{what} is empty text, which every text has; write some text")
    return value


def _scalar(field: Field, node: Node, what: str) -> Json:
    """One value to compare with, of the field's type."""
    match field.type:
        case Type.LEVEL:
            return words.choice(node, what, _LEVELS)
        case Type.EFFECT:
            return words.choice(node, what, _EFFECTS)
        case Type.AUTHORITY:
            return words.choice(node, what, _STATES)
        case Type.SEPARATION | Type.FINDING | Type.ASKED | Type.ORIGIN | Type.TRUST | Type.DRIFT:
            return words.choice(node, what, CHOICES[field.type])
        case Type.TOOL:
            return _tool(field, node, what)
        case Type.NUMBER:
            return words.number(node, what)
        case Type.TRUTH:
            return words.truth(node, what)
        case Type.TEXT | Type.TEXTS:
            return _text(node, what)
        case Type.CATEGORY:
            return words.line(node, what)
        case Type.ANY:
            return _any(node, what)


def _text(node: Node, what: str) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    hint = "quote it" if isinstance(node, Scalar) and node.written else "write some text"
    raise Fault(node.place, f"{what} is compared with text, not with {kind(node)}; {hint}")


def _any(node: Node, what: str) -> Json:
    if not isinstance(node, Scalar):
        raise Fault(node.place, f"{what} is compared with one value, not with {kind(node)}; write one value")
    if node.value is None:
        hint = "write a value, or `{exists: false}` for one that is left out"
        raise Fault(node.place, f"{what} is compared with {kind(node)}; {hint}")
    return words.json(node, what)


TOOL_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
_TOOL_PART = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_TOOL_CHARACTERS = re.compile(r"[A-Za-z0-9_.-]+")
_NAME_HINT = "a name has letters, digits, `_`, `-` and `.`"
_LEVELS = {level.name: level.name for level in Level}
_EFFECTS = {effect.value: effect.value for effect in Effect}
_STATES = {state.value: state.value for state in LADDER}
CHOICES = {
    kind: {word: word for word in of}
    for kind, of in (
        (Type.SEPARATION, ("none", "user", "host")),
        (Type.FINDING, tuple(finding.value for finding in Finding)),
        (Type.ASKED, ("yes", "delegated", "no")),
        (Type.ORIGIN, ("user", *(form.value for form in Form), "agent", "memory", "unseen", "none")),
        (Type.TRUST, tuple(trust.value for trust in Trust)),
        (Type.DRIFT, tuple(state.value for state in DriftState)),
    )
}
"""The words that a field of such a type can have."""
_OF_ONE = frozenset({Operator.TYPE, Operator.SAME, *PLACES})
"""Operators that are no question to every value at any depth."""


def _tool(field: Field, node: Node, what: str) -> str:
    value = _text(node, what)
    if "*" in value:
        raise Fault(node.place, f"a `*` is a prefix in one plain value only; write `{field.path}: name*`, or `matches`")
    if not _TOOL_PART.fullmatch(value):
        raise Fault(node.place, f"{what} can never be {shown(value)}; {_NAME_HINT}")
    return value


# -------------------------------------------------------------------------------------------------------------- tallies

_PER = {"human": "human", "agent": "agent", "destination": "destination"}
_TALLY = ("per", "above", "window")


def _tally(word: str, node: Node) -> Tally:
    found = words.fields(node, f"`{word}`", _TALLY, _TALLY)
    per, above, window = (found.nodes[key] for key in _TALLY)
    what = f"`above` of `{word}`"
    return Tally(
        kind=word,
        per=words.choice(per, "`per`", _PER),
        above=words.millionths(above, what, MAX_TOTAL) if word == "total" else words.integer(above, what, 0, MAX_COUNT),
        window_s=words.duration(window, "`window`", most=MAX_WINDOW_S),
    )
