"""Reads shell text: every command in it, wherever it stands, and the files it redirects to (attack cases C.6).

* A grammar of bash parses; any part that it cannot place means that the text was not read.
* All commands count as executed, in branches and functions too: what is data is what no shell would run.
* A line that ends in a backslash is read both as it stands and joined with the next: which one holds depends on quotes.
* Imported at the first use only. Bounded: the limits below, and the depth of texts within texts.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import re2
import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from navicert.adapters.detect.shell_programs import assigned, run

DEPTH: Final = 4
MOST_COMMANDS: Final = 500
LIMIT: Final = 16 * 1024

_PARSE_S: Final = 0.25
_MOST_MARKS: Final = 2_000
_MOST_NODES: Final = 40_000
_MOST_HEREDOCS: Final = 50
_MARKS: Final = "|&;\n"
_ESCAPED: Final = re2.compile(r"(?s)\\(.)")
_IN_QUOTES: Final = re2.compile(r'\\([$`"\\])')
_PATTERN: Final = re2.compile(r"(?s)^(?:[^\\*?\[\]{}]|\\.)*[*?\[\]{}]|^~[^/]*$")
_ANSI: Final = re2.compile(
    r"(?s)\\(?:x[0-9A-Fa-f]{1,2}|u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8}|[0-7]{1,3}|c.|[abeEfnrtv\\'\"?])"
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NOWHERE: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})
_WRITING: Final = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})
_QUIET: Final = frozenset({"string_content", "heredoc_content"})

_here = threading.local()


class NotRead(Exception):
    """The text cannot be read: not of the grammar, or beyond a limit."""


class Reading:
    """What is found in a text, and in the texts that it would have a shell execute."""

    def __init__(self) -> None:
        self.programs: dict[str, None] = {}
        self.targets: dict[str, None] = {}
        self.targets_open = False
        self.dynamic = False
        self.inline_code = False
        self._depth = 0
        self._commands = 0
        self._size = 0

    def program(self, name: str) -> None:
        """Note that a program would execute."""
        self.programs[name] = None

    def writes(self, target: str | None) -> None:
        """Note a file that would be written; None where its name is computed."""
        if target is None:
            self.targets_open = True
        elif target not in _NOWHERE:
            self.targets[target] = None

    def text(self, text: str) -> None:
        """Look at a text that a shell would execute; raises `NotRead`."""
        self._size += len(text)
        if self._depth > DEPTH or self._size > 4 * LIMIT:
            raise NotRead
        self._depth += 1
        for version in (text, text.replace("\\\n", "")) if "\\\n" in text else (text,):
            self._look(version)
        self._depth -= 1

    def command(self, words: list[str | None], given: str | None = None) -> None:
        """Look at the words of one command; raises `NotRead`."""
        self._commands += 1
        if self._commands > MOST_COMMANDS:
            raise NotRead
        run(self, words, given)

    def _look(self, text: str) -> None:
        if (
            len(text) > LIMIT
            or sum(map(text.count, _MARKS)) > _MOST_MARKS
            or text.count("<<") > _MOST_HEREDOCS
            or not text.replace("\n", "").replace("\t", "").isprintable()
        ):
            raise NotRead
        root = _parsed(text)
        for node in _nodes(root):
            self._node(node)

    def _node(self, node: Node) -> None:
        kind = node.type
        if kind == "command":
            self._simple(node)
        elif kind == "variable_assignment":
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            assigned(self, _text(name) if name else "", _word(value) if value else "")
        elif kind in {"declaration_command", "unset_command"}:
            self.program(_text(node.children[0]))
            self.dynamic = self.dynamic or "-n" in _text(node).split()  # a name for another name
        elif kind == "test_command" and node.children[0].type == "[":
            self.program("[")
        elif kind == "function_definition":
            self.dynamic = True
        elif kind == "file_redirect":
            self._redirect(node)

    def _simple(self, node: Node) -> None:
        name = node.child_by_field_name("name")
        if name is None:
            return
        words = [_word(name.children[0]) if name.children else _plain(_text(name))]
        raw = name.children[0] if name.children else name
        if raw.type in {"word", "concatenation"} and _is_pattern(raw):
            words = [None]
        words += [_word(each) for each in node.children_by_field_name("argument")]
        self.command(words, _given(node))

    def _redirect(self, node: Node) -> None:
        sign = next((each.type for each in node.children if not each.is_named), "")
        if sign not in _WRITING:
            return
        for target in node.children_by_field_name("destination"):
            if sign == ">&" and target.type == "number":
                continue
            word = _word(target)
            if word is None or (target.type in {"word", "concatenation"} and _is_pattern(target)):
                self.writes(None)
            elif not (sign == ">&" and (word == "-" or word.rstrip("-").isdigit())):
                self.writes(word)


def _parser() -> Parser:
    parser: Parser | None = getattr(_here, "parser", None)
    if parser is None:
        parser = _here.parser = Parser(Language(tree_sitter_bash.language()))
    return parser


def _parsed(text: str) -> Node:
    """Return the root of the text's tree; raises `NotRead`. Garbage can cost the parser seconds: it has a deadline."""
    parser = _parser()
    end = time.monotonic() + _PARSE_S
    try:
        data = text.encode()
        root = parser.parse(lambda at, _: data[at:], progress_callback=lambda *_: time.monotonic() > end).root_node
    except ValueError:  # not Unicode, or out of time
        parser.reset()
        raise NotRead from None
    if root.has_error:
        raise NotRead
    return root


def _nodes(root: Node) -> Iterator[Node]:
    """Yield the nodes in the order of the text; raises `NotRead` where there are too many."""
    waiting = [root]
    seen = 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > _MOST_NODES:
            raise NotRead
        yield node
        waiting.extend(reversed(node.children))


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _plain(text: str) -> str:
    return str(_ESCAPED.sub(r"\1", text))


def _is_pattern(node: Node) -> bool:
    """Tell whether an unquoted part of a word is a pattern, a brace expansion or somebody's home."""
    parts = node.children if node.type == "concatenation" else [node]
    return any(
        part.type not in {"string", "raw_string", "ansi_c_string"} and _PATTERN.search(_text(part)) for part in parts
    )


def _word(node: Node) -> str | None:
    """Return what a word comes to, or None where that is computed."""
    kind = node.type
    if kind in {"word", "number", "variable_name", "[", "]", "special_variable_name"}:
        return _plain(_text(node))
    if kind == "raw_string":
        return _text(node)[1:-1]
    if kind == "ansi_c_string":
        return str(_ANSI.sub(_ansi, _text(node)[2:-1]))
    if kind == "string":
        if any(each.is_named and each.type not in _QUIET for each in node.children):
            return None
        return str(_IN_QUOTES.sub(r"\1", _text(node)[1:-1]))
    if kind == "concatenation":
        parts = [_word(each) for each in node.children]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return None


def _ansi(found: Any) -> str:
    code: str = found.group(0)[1:]
    if code[0] in "xuU":
        number = int(code[1:], 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    if code[0] == "c":
        return chr(ord(code[1]) & 0x1F)
    return _SIMPLE.get(code[0], code[0])


def _given(node: Node) -> str | None:
    """Return the text on a command's standard input, where it is one that stands in a here-document or -string."""
    above = node.parent
    redirects = [each for each in node.children if each.type.endswith("_redirect")]
    if above is not None and above.type == "redirected_statement" and above.child_by_field_name("body") == node:
        redirects += [each for each in above.children if each.type.endswith("_redirect")]
    texts = [_input(each) for each in redirects if each.type in {"heredoc_redirect", "herestring_redirect"}]
    others = [each for each in redirects if each.type == "file_redirect" and any(c.type == "<" for c in each.children)]
    return texts[0] if len(texts) == 1 and not others else None


def _input(redirect: Node) -> str | None:
    if redirect.type == "herestring_redirect":
        words = [each for each in redirect.children if each.is_named and each.type != "file_descriptor"]
        return _word(words[0]) if len(words) == 1 else None
    body = next((each for each in redirect.children if each.type == "heredoc_body"), None)
    start = next((each for each in redirect.children if each.type == "heredoc_start"), None)
    if body is None or start is None:
        return ""
    text = "\n".join(line.lstrip("\t") for line in _text(body).split("\n"))
    if set(_text(start)) & set("'\"\\"):
        return text
    if any(each.is_named and each.type not in _QUIET for each in body.children):
        return None
    return codecs.decode(_IN_QUOTES.sub(r"\1", text).encode(), "utf-8")
