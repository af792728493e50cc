"""Inert text: what an agent wrote, shown so that it cannot lie to the reader (T1; consent integrity).

* One line comes out. Invisible, direction and control characters become chips that name them (U+202E in brackets); a
  line end becomes `⏎`; runs of blank lines and of spaces become a count. Nothing left can move, hide or colour.
* A chip cannot be forged: its brackets, which are single angle quotation marks, and the line-end mark are chips
  themselves where they stand in the text.
* Different texts look different. A text that is cut shows head, tail, length and the beginning of its SHA-256.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import Final

from navicert.core.text import invisible

LINE: Final = "⏎"
OPEN: Final = "\u2039"
CLOSE: Final = "\u203a"
MAX_MARKS: Final = 2
"""So many combining marks may stand on one character; more of them are a smear."""
_FORGERIES: Final = frozenset(OPEN + CLOSE + LINE)
_BAD: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_RUNS: Final = re.compile(r"\n(?:[ \t]*\n)+|\n| {4,}")
_PLAIN: Final = re.compile(r"[!-~]+(?: [!-~]+)*")


def inert(text: str) -> str:
    """Return the text as one line in which every character can be seen."""
    if _PLAIN.fullmatch(text) and "    " not in text:
        return text
    return "".join(_pieces(text))


def brief(text: str, limit: int) -> str:
    """Return inert text of at most `limit` columns (at least 48): head … tail, length and digest where it is longer."""
    pieces = [text] if text.isascii() and text.isprintable() and len(text) <= limit else _pieces(text)
    whole = "".join(pieces)
    if columns(whole) <= limit:
        return inert(text)
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    suffix = " " + _chip(f"{len(text):,} characters, sha256 {digest}")
    room = max(limit, 48) - len(suffix) - 3
    head = _fill(pieces, room * 2 // 3)
    tail = _fill(pieces[::-1], room - room * 2 // 3)[::-1]
    return f"{''.join(head)} … {''.join(tail)}{suffix}"


def columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_column(char) for char in text)


def _column(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def _pieces(text: str) -> list[str]:
    """Split into what may not be torn apart: single characters with their marks, and chips."""
    pieces: list[str] = []
    end = 0
    for run in _RUNS.finditer(text):
        pieces += _characters(text[end : run.start()])
        pieces.append(_run(run[0]))
        end = run.end()
    return pieces + _characters(text[end:])


def _run(run: str) -> str:
    if run == "\n":
        return LINE
    if run[0] == " ":
        return _chip(f"{len(run)} spaces")
    lines, blanks = run.count("\n") - 1, len(run) - run.count("\n")
    inside = f", {blanks} blanks in {'it' if lines == 1 else 'them'}" if blanks else ""
    return _chip(f"{lines} blank line{'' if lines == 1 else 's'}{inside}")


def _characters(text: str) -> list[str]:
    pieces: list[str] = []
    room = 0  # for combining marks on the character before
    for char in text:
        category = unicodedata.category(char)
        if (category in _BAD and char != " ") or char in _FORGERIES or invisible(char):
            pieces.append(_named(char))
            room = 0
        elif category[0] == "M":
            if room:
                pieces[-1] += char
                room -= 1
            else:
                pieces.append(_named(char))
        else:
            pieces.append(char)
            room = MAX_MARKS if char != " " else 0
    return pieces


def _chip(text: str) -> str:
    return OPEN + text + CLOSE


def _named(char: str) -> str:
    return _chip(f"U+{ord(char):04X}")


def _fill(pieces: list[str], room: int) -> list[str]:
    taken = []
    for piece in pieces:
        room -= columns(piece)
        if room < 0:
            break
        taken.append(piece)
    return taken
