"""The one layout of policy files (R3.a): white space is laid out anew, and nothing else is touched.

* Every token of YAML and every comment is copied as it is written, in its order; only what stands between them, and the
  indentation of texts over several lines, is made. So nothing can be lost, no quotes and no keys change.
* Two spaces a level, lists under their key too; line breaks stay where they are. One blank line between rules, and
  around the top-level keys that open a block; elsewhere at most one. Comments behind consecutive lines are aligned, two
  spaces behind the longest, or as many more as the author left between aligned ones.
* A comment of its own line goes with what follows, or with the block that it was indented into.
* The result is checked: it has the same hash, the same tokens and comments, and is laid out as itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

import yaml

from navicert.model.errors import PolicyError
from navicert.syntax.form import policy_hash
from navicert.syntax.policy import read_policy
from navicert.syntax.reader import _Loader

STEP: Final = 2
_OPENS_BLOCK: Final = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.BlockEntryToken)
_OPENS_FLOW: Final = (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSES_FLOW: Final = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_HUGS_LEFT: Final = (*_CLOSES_FLOW, yaml.FlowEntryToken, yaml.ValueToken)
_LEADS: Final = (yaml.KeyToken, yaml.ValueToken, yaml.BlockEntryToken)


def format_policy(text: str, source: str = "policy.yaml") -> str:
    """Return a policy file in the one layout; raises `PolicyError` where it does not load, or would not stay the same.

    The text is the whole file, line ends included.
    """
    before = policy_hash(read_policy(text, source)[0])
    made = _lay_out(text)
    try:
        same = policy_hash(read_policy(made)[0]) == before and _content(made) == _content(text)
    except PolicyError:
        same = False
    if not same or _lay_out(made) != made:
        raise PolicyError(f"{source}: laying it out would change more than white space; lay it out by hand")
    return made


def _normal(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _tokens(text: str) -> Iterator[Any]:
    loader: Any = _Loader(text)
    while loader.check_token():
        yield loader.get_token()


def _content(text: str) -> list[tuple[str, ...]]:
    """Return all that counts in a file that loads, in order: tokens by kind, value and quotes; comments."""
    text, end = _normal(text), 0
    found: list[tuple[str, ...]] = []
    for token in _tokens(text):
        if token.end_mark.index > token.start_mark.index or isinstance(token, yaml.StreamEndToken):
            gap, written = text[end : token.start_mark.index], text[token.start_mark.index : token.end_mark.index]
            found += [("#", _comment(line)) for line in gap.split("\n") if "#" in line]
            value, style = getattr(token, "value", ""), getattr(token, "style", None) or ""
            head = written.split("\n")[0] if style in {"|", ">"} else ""  # with its comment
            found.append((type(token).__name__, value, style, "".join(head.split())))
            end = token.end_mark.index
    return found


def _comment(line: str) -> str:
    return line[line.index("#") :].rstrip() if "#" in line else ""


class _Note(NamedTuple):
    """A comment behind a line: its column in the file, and the spaces in front of it."""

    text: str
    column: int
    gap: int


class _Level(NamedTuple):
    """An open block: its column in the file and in the layout. A loose list stands in the column of its key."""

    old: int
    new: int
    of: type[Any]
    loose: bool = False


def _lay_out(text: str) -> str:
    return _Layout(_normal(text)).made()


class _Layout:
    """The lines as they come out, and where in the file they come from."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[str] = []
        self.notes: dict[int, _Note] = {}  # comments behind lines
        self.levels: list[_Level] = []
        self.flows = 0  # open brackets
        self.end = 0  # of the last token, in the file
        self.last: Any = None
        self.within: tuple[_Level, ...] = ()  # the blocks that were open at the last token
        self.fresh = True  # the next token starts a line in any case
        self.blanks = 0  # blank lines that a text in a block ended with
        self.keeps = False  # blank lines here belong to the text before them
        self.section = ""

    def made(self) -> str:
        """Return the whole file."""
        tokens = list(_tokens(self.text))
        due = False
        for at, token in enumerate(tokens):
            self._open_or_close(token)
            if self.flows == 0 and isinstance(token, yaml.KeyToken) and len(self.levels) == 1:
                due = self.section != "" and (isinstance(tokens[at + 3], _OPENS_BLOCK) or len(self.within) > 1)
                self.section = str(getattr(tokens[at + 1], "value", "?"))
            elif isinstance(token, yaml.BlockEntryToken) and len(self.levels) == 2:
                due = self.section == "rules" and not isinstance(self.last, yaml.ValueToken)
            if token.end_mark.index > token.start_mark.index:
                of_key = isinstance(tokens[at - 1], yaml.KeyToken) and not _wide(tokens[at - 1])
                self._token(token, self._indent(token, of_key=of_key), due=due)
                due = False
        self._between(len(self.text), 0, 0, due=False)
        while self.lines[-1] == "" and not self.keeps:
            self.lines.pop()
        return "\n".join(self._with_notes()) + "\n"

    # ------------------------------------------------------------------------------------------------------ structure

    def _open_or_close(self, token: Any) -> None:
        new = self.levels[-1].new + STEP if self.levels else 0
        loose = bool(self.levels) and self.levels[-1].loose
        if isinstance(token, (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken)):
            self.levels.append(_Level(token.start_mark.column, new, type(token)))
        elif isinstance(token, yaml.BlockEntryToken) and self.levels[-1].of is yaml.BlockMappingStartToken:
            self.levels.append(_Level(token.start_mark.column, new, type(token), loose=True))
        elif isinstance(token, yaml.BlockEndToken):
            del self.levels[-2 if loose else -1 :]
        elif isinstance(token, yaml.KeyToken) and loose and not self.flows:
            self.levels.pop()

    def _indent(self, token: Any, *, of_key: bool) -> int:
        """Return the column of a token that starts a line."""
        base = self.levels[-1].new if self.levels else 0
        if self.flows == 0 and (of_key or isinstance(token, _LEADS)):
            return base
        inner = self.flows - isinstance(token, _CLOSES_FLOW)
        return base + STEP * max(inner, 1 if self.levels else 0)

    # ---------------------------------------------------------------------------------------------------------- pieces

    def _token(self, token: Any, indent: int, *, due: bool) -> None:
        start, end = token.start_mark.index, token.end_mark.index
        first, *rest = self.text[start:end].split("\n")
        text_block = getattr(token, "style", None) in {"|", ">"}
        header, note = (first.partition("#")[0].rstrip(), first) if text_block else (first, "")
        if self._between(start, indent, token.start_mark.column, due=due):
            self.lines.append(" " * indent + header)
        else:
            hugs = isinstance(token, _HUGS_LEFT) or isinstance(self.last, _OPENS_FLOW)
            self.lines[-1] += ("" if hugs else " ") + header
        self._note(note, start, len(header))
        self.last, self.end, self.within = token, end, tuple(self.levels)
        self.fresh, self.blanks, self.keeps = text_block, 0, text_block and "+" in header
        if text_block:
            self._text_block(header, rest[:-1] if rest and not rest[-1] else rest)
        elif rest:
            pad = (self.levels[-1].new if self.levels else 0) + STEP * (self.flows + 1)
            self.lines += [" " * pad + line.lstrip(" ") if line.strip(" ") else "" for line in rest]
        self.flows += isinstance(token, _OPENS_FLOW) - isinstance(token, _CLOSES_FLOW)

    def _text_block(self, header: str, lines: list[str]) -> None:
        """Set the text in anew; what is deeper than its own indentation belongs to it."""
        said = re.search(r"[1-9]", header)
        filled = (len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" "))
        old = self.levels[-1].old + int(said[0]) if said else next(filled, len(self.text))
        pad = " " * (self.levels[-1].new + (int(said[0]) if said else STEP))
        made = [pad + line[old:] if line.strip(" ") or len(line) > old else "" for line in lines]
        while made and not made[-1] and not self.keeps:
            made.pop()
            self.blanks += 1
        self.lines += made

    def _note(self, part: str, start: int, filled: int) -> None:
        """Keep the comment, if there is one, of what stands at `start` of the file and has so much text before it."""
        if "#" in part:
            at = part.index("#")
            column = start + at - (self.text.rfind("\n", 0, start) + 1)
            self.notes[len(self.lines) - 1] = _Note(_comment(part), column, at - filled)

    def _between(self, start: int, indent: int, column: int, *, due: bool) -> bool:
        """Write the comments and blank lines up to the next token; return whether that starts a line."""
        parts = self.text[self.end : start].split("\n")
        if not self.fresh:
            self._note(parts[0], self.end, 0)
            if len(parts) == 1:
                return False
            del parts[0]
        at_end = start == len(self.text)
        rows: list[str] = [""] * self.blanks
        own = len(rows)  # where what goes with the next token begins
        for part in parts if at_end else parts[:-1]:
            to = self._column(part.find("#"), indent, column)
            rows.append(" " * to + _comment(part) if "#" in part else "")
            if "#" in part and to > indent:
                own = len(rows)
        if due and not self.keeps and "" not in rows[own : own + 1]:
            rows.insert(own, "")
        for row in rows:
            if row or (self.lines and self.lines[-1]):
                self.lines.append(row)
        return True

    def _column(self, old: int, indent: int, column: int) -> int:
        """Return where a comment goes: with the next token, or into a block before it that it was indented into."""
        if old <= column or not self.within:
            return indent
        deepest = self.within[-1]
        if old > deepest.old and not self.fresh:
            return max(indent, deepest.new + STEP)
        return max(indent, *(level.new for level in self.within if level.old <= old))

    def _with_notes(self) -> list[str]:
        run: list[int] = []
        for at, following in pairwise([*sorted(self.notes), -1]):
            run.append(at)
            if following != at + 1:
                notes = [self.notes[line] for line in run]
                aligned = len({note.column for note in notes}) == 1
                gap = max(2, min(note.gap for note in notes)) if aligned else 2
                width = max(len(self.lines[line]) for line in run) + gap
                for line, note in zip(run, notes, strict=True):
                    self.lines[line] = self.lines[line].ljust(width) + note.text
                run = []
        return self.lines


def _wide(token: Any) -> bool:
    return bool(token.end_mark.index > token.start_mark.index)
