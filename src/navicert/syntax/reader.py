"""The strict YAML reader: text becomes a tree of plain nodes with their places, or a `Fault` (DESIGN.md section 4).

* One document of mappings with text keys, lists and scalars. No anchor, alias, tag, merge key, directive; no
  key stands twice.
* Scalars are those of YAML 1.2. A plain word that YAML readers disagree on (`0123`, `0x1F`, `+49`, `True`) is a fault
  that says to quote it; `yes`, `no`, `on`, `off` are text. A quoted word is always text.
* No control, invisible or direction character stands anywhere, so that what is reviewed is what is meant.
* Only the composer of PyYAML is used: its loader has no constructor, so that nothing in a file can make an object.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, NoReturn

import msgspec
import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_SHOWN = 60


class Place(NamedTuple):
    """Where something stands; both count from 1, columns in characters."""

    line: int
    column: int


class Fault(Exception):
    """Something is wrong at a place: what, what to do. `read_policy` makes a PolicyError of it, so it ends there."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


class Scalar(msgspec.Struct, frozen=True):
    """One value. `written` is its source text where it is plain, and None where it is quoted."""

    value: bool | int | float | str | None
    written: str | None
    place: Place


class Items(msgspec.Struct, frozen=True):
    """A list."""

    nodes: tuple[Node, ...]
    place: Place


class Table(msgspec.Struct, frozen=True):
    """A mapping, in file order. `keys` has the place of each key."""

    nodes: dict[str, Node]
    keys: dict[str, Place]
    place: Place


Node = Scalar | Items | Table


def read_yaml(text: str) -> Table:
    """Return the mapping that the text holds; raises `Fault` for anything else."""
    text = text.removeprefix("\ufeff")  # the byte order mark of some editors; anywhere else it is invisible
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise Fault(Place(1, 1), f"the file is larger than {MAX_BYTES} bytes; split it, or drop what is not used")
    _refuse_hidden_in_file(text)
    root = _compose(text)
    if root is None:
        raise Fault(Place(1, 1), "the file is empty; a policy starts with `policy:`, `version:` and `posture:`")
    tree = _tree(root)
    if not isinstance(tree, Table):
        raise Fault(tree.place, f"the file holds {kind(tree)}; its top level must be `key: value` lines")
    return tree


def shown(text: str) -> str:
    """Return user input for a message: in backticks, cut to a sane length, nothing in it that a terminal obeys."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "`" + "".join(c if c.isprintable() and c != "`" else _named(c) for c in cut) + "`"


def _named(character: str) -> str:
    """Return a character as a pattern of `matches` can name it."""
    return f"\\x{{{ord(character):X}}}"


def kind(node: Node) -> str:
    """Return what the node is, for messages."""
    match node:
        case Items():
            return "a list"
        case Table():
            return "a mapping"
        case Scalar(value=None):
            return "`null`" if node.written else "nothing"
        case Scalar(value=bool()):
            return f"`{node.written}`"
        case Scalar(value=str(text)):
            return f"the text {shown(text)}"
        case _:
            return f"the number {shown(node.written or '')}"


# --------------------------------------------------------------------------------------------------------- characters

_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Invisible, and yet letters, marks or symbols to Unicode: fillers, joiners, variation selectors, the blank of braille.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or _HIDDEN.match(character) is not None


def _hidden_fault(place: Place, character: str) -> Fault:
    name = unicodedata.name(character, "it has no name").lower()
    what = f"the character U+{ord(character):04X} ({name}) is invisible or changes how the file reads"
    return Fault(place, f"{what}; remove it (a pattern of `matches` can name it: `{_named(character)}`)")


def _refuse_hidden_in_file(text: str) -> None:
    for found in _SUSPECT.finditer(text):
        at = found.start()
        if found[0] == "\r" and text[at + 1 : at + 2] == "\n":
            continue
        if _is_hidden(found[0]):
            raise _hidden_fault(_place_of(text, at), found[0])


def _refuse_hidden_in_value(value: str, place: Place) -> None:
    """Refuse what an escape in quotes brings in, though it does not stand in the file."""
    for found in _SUSPECT.finditer(value):
        if _is_hidden(found[0]):
            raise _hidden_fault(place, found[0])


def _place_of(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


# ----------------------------------------------------------------------------------------------------------- composing


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """The composer's half of a SafeLoader; refuses what the strict reader leaves out, before a node is made of it."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._text = text
        self._depth = 0

    def _next(self) -> yaml.Event:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        return event

    def compose_document(self) -> yaml.Node | None:
        start = self._next()
        # The event of a document starts at its first directive, the unknown ones included.
        if start.start_mark and self._text.startswith("%", start.start_mark.index):
            raise Fault(_place(start), "a `%` directive is not part of the policy language; remove the line")
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self._next()
        if isinstance(event, yaml.AliasEvent):
            raise Fault(_place(event), f"the alias {shown(f'*{event.anchor}')} is refused; {_ALIAS_HINT}")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise Fault(_place(event), f"the anchor {shown(f'&{event.anchor}')} is refused; {_ALIAS_HINT}")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise Fault(_place(event), f"the tag {shown(event.tag)} is refused; remove it (quote text instead)")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Fault(_place(event), f"the file is nested deeper than {MAX_DEPTH} levels; write it flatter")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_ALIAS_HINT = "write the value out where it is used, and quote text that starts with `*` or `&`"


def _compose(text: str) -> yaml.Node | None:
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        _reword(error)
    except ReaderError as error:
        raise _hidden_fault(_place_of(text, error.position), text[error.position]) from None
    except (ValueError, OverflowError):  # PyYAML converts numbers in escapes and directives without looking first
        mark = loader.get_mark() if loader else None
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise Fault(place, "not valid YAML: an escape names no character; write the character itself") from None


def _reword(error: yaml.MarkedYAMLError) -> NoReturn:
    """Raise what PyYAML found as a `Fault`, with what to do about the usual cases."""
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = error.problem or error.context or "it cannot be read"
    if problem == "but found another document":
        raise Fault(place, "a second document starts here; a policy is one document, so remove the `---`") from None
    if "'\\t'" in problem:
        raise Fault(place, "a tab stands where YAML reads structure; indent and separate with spaces") from None
    if problem.startswith("expected alphabetic or numeric character"):
        raise Fault(place, "a plain `*` or `&` is an alias or an anchor to YAML; quote it: `'*'`") from None
    hint = "check indentation, brackets and quotes, and quote text with special characters"
    raise Fault(place, f"not valid YAML: {_in_backticks(problem)}; {hint}") from None


def _in_backticks(problem: str) -> str:
    return re.sub(r"'([^']*)'", r"`\1`", problem.replace("`", "\\x{60}"))


def _place(thing: yaml.Event | yaml.Node) -> Place:
    mark = thing.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


# ------------------------------------------------------------------------------------------------------ nodes, scalars


def _tree(node: yaml.Node) -> Node:
    place = _place(node)
    if isinstance(node, yaml.MappingNode):
        return _table(node, place)
    if isinstance(node, yaml.SequenceNode):
        return Items(tuple(_tree(item) for item in node.value), place)
    return _scalar(node, place)


def _table(node: yaml.MappingNode, place: Place) -> Table:
    nodes: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    for key_node, value_node in node.value:
        key, key_place = _key(key_node)
        if key in keys:
            raise Fault(key_place, f"the key {shown(key)} stands twice (first in line {keys[key].line}); keep one")
        keys[key] = key_place
        nodes[key] = _tree(value_node)
    return Table(nodes, keys, place)


def _key(node: yaml.Node) -> tuple[str, Place]:
    place = _place(node)
    if not isinstance(node, yaml.ScalarNode):
        raise Fault(place, "a list or a mapping cannot be a key; write a word before the `:`")
    scalar = _scalar(node, place)
    if scalar.written == "<<":
        raise Fault(place, "merge keys (`<<`) are refused; write the fields out")
    if not isinstance(scalar.value, str):
        raise Fault(place, f"a key must be text, and {kind(scalar)} is not; put it in quotes")
    if "\n" in scalar.value or "\t" in scalar.value:
        raise Fault(place, f"the key {shown(scalar.value)} has a tab or a line break in it; keep keys on one line")
    return scalar.value, place


def _scalar(node: yaml.Node, place: Place) -> Scalar:
    text = str(node.value)
    if isinstance(node, yaml.ScalarNode) and node.style is not None:
        _refuse_hidden_in_value(text, place)
        return Scalar(text, None, place)
    return Scalar(_plain(text, place), text, place)


_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_CASED = frozenset({"Null", "NULL", "True", "TRUE", "False", "FALSE"})
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_LIKE_NUMBER = re.compile(
    r"""[-+]?(?: [0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)? | \.[0-9]+(?:[eE][-+]?[0-9]+)?   # decimal, YAML 1.2
      | 0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+                               # other bases, in 1.1 or 1.2
      | [0-9]+_[0-9_]*(?:\.[0-9_]*)? )                                                # grouped, YAML 1.1
    """,
    re.VERBOSE,
)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEAST, _MOST = -(2**63), 2**64 - 1


def _plain(text: str, place: Place) -> bool | int | float | str | None:
    """Return the YAML 1.2 value of a plain scalar, where no common reader would see another."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _CASED:
        raise Fault(place, f"{shown(text)} is text to some YAML readers; write {shown(text.lower())}, or quote it")
    if _INFINITE.fullmatch(text):
        raise Fault(place, f"{shown(text)} is no number to compare with; write a number, or quote it")
    if not _LIKE_NUMBER.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text) and len(text) <= 20 and _LEAST <= int(text) <= _MOST:
        return int(text)
    if _INTEGER.fullmatch(text):
        raise Fault(place, f"the number {shown(text)} is too large to be kept exactly; quote it if it is text")
    if _NUMBER.fullmatch(text):
        return _decimal(text, place)
    raise Fault(
        place, f"the plain {shown(text)} can be read in two ways; quote it if it is text, or write a decimal number"
    )


def _decimal(text: str, place: Place) -> float:
    value = float(text)
    underflow = value == 0 and re.search(r"[1-9]", re.split("[eE]", text)[0])
    if underflow or value in (float("inf"), float("-inf")):
        raise Fault(place, f"the number {shown(text)} is out of range; quote it if it is text")
    return value
