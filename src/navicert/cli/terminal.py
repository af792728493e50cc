"""What a person reads: verdicts with word, shape and colour; text that fits 100 columns; styles on a terminal only.

* Styles only where standard output is a terminal, and not under `NO_COLOR`. A verdict can be told without them.
* Where the encoding is not UTF-8, every sign has a spelling in ASCII.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, TextIO

from navicert.core.inert import CLOSE, OPEN, columns, inert

WIDTH: Final = 100
NARROWEST: Final = 56
_STYLES: Final = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36",
}  # fmt: skip
_SHAPES: Final = {
    "ALLOW": ("●", "green"), "DENY": ("✕", "red"), "MODIFY": ("◐", "cyan"), "STEP_UP": ("▲", "yellow"),
    "DEFER": ("◌", "magenta"), "ok": ("✓", "green"), "error": ("✕", "red"), "warning": ("▲", "yellow"),
    "note": ("·", "dim"), "unknown": ("?", "yellow"),
}  # fmt: skip
_ASCII: Final = str.maketrans({
    "●": "*", "✕": "x", "◐": "%", "▲": "^", "◌": "o", "✓": "+", "·": "-", "…": "~", OPEN: "<", CLOSE: ">", "└": "`",
    "⏎": "<EOL>", "→": "->", "─": "-", "“": '"', "”": '"', "–": "-", "│": "|", "├": "|",
})  # fmt: skip


class Terminal:
    """One output stream, and what it can show."""

    def __init__(self, stream: TextIO | None = None, *, wide: bool = False) -> None:
        """Write to `stream`. wide: as wide as the terminal, or as `COLUMNS` says where there is none."""
        self.stream = stream or sys.stdout
        tty = self.stream.isatty()
        self.colour = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.unicode = (self.stream.encoding or "ascii").lower().replace("-", "").startswith("utf")
        own = _columns(self.stream) if tty or wide else WIDTH
        self.width = max(NARROWEST, own if wide else min(WIDTH, own))

    def say(self, text: str = "") -> None:
        """Write one line, at once."""
        text = text.rstrip()
        if not self.unicode:
            encoding = self.stream.encoding or "ascii"
            text = text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        self.stream.write(text + "\n")
        self.stream.flush()

    def text(self, text: str, indent: int = 2) -> None:
        """Write a sentence or two, wrapped."""
        for line in wrap(text, self.width - indent):
            self.say(" " * indent + line)

    def style(self, text: str, *names: str) -> str:
        """Return the text in these styles, where styles are shown."""
        if not self.colour or not names or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{text}\x1b[0m"

    def mark(self, word: str, label: str = "", width: int = 0) -> str:
        """Return a verdict (or `ok`, `error`, `warning`, `note`): shape and word, in its colour, padded to `width`."""
        shape, colour = _SHAPES.get(word, ("·", "dim"))
        text = f"{shape} {label}" if label else shape
        return self.style(text, colour) + " " * (width - columns(text))

    def verdict(self, word: str, width: int = 9) -> str:
        """Return a verdict in a column of its own."""
        return self.mark(word, word, width)

    def title(self, text: str, right: str = "") -> None:
        """Write a heading over a hairline."""
        text = cut(text, self.width - columns(right) - 2) if right else cut(text, self.width)
        gap = self.width - columns(text) - columns(right)
        self.say(self.style(text, "bold") + " " * gap + self.style(right, "dim"))
        self.say(self.style("─" * self.width, "dim"))

    def fields(self, pairs: Iterable[tuple[str, str]], width: int = 14) -> None:
        """Write `name  value` lines; values wrap under themselves, and an empty one is left out."""
        for name, value in pairs:
            lines = wrap(value, self.width - width - 2)
            for index, line in enumerate(lines):
                head = f"  {name:<{width}}" if index == 0 else " " * (width + 2)
                self.say(self.style(head, "dim") + line)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
        """Write rows under heads; a cell that is too long is cut, and says so. A verdict shows its shape."""
        self.say(self.style("  ".join(f"{head:<{width}}" for head, width in zip(heads, widths, strict=True)), "dim"))
        for row in rows:
            cells = zip(row, widths, strict=True)
            self.say("  ".join(self._cell(cell, width) for cell, width in cells))

    def _cell(self, text: str, width: int) -> str:
        if text in _SHAPES:
            return self.mark(text, text, width)
        return pad(text, width)


def _columns(stream: TextIO) -> int:
    """Return how wide a terminal is; `COLUMNS` stands over what it says itself."""
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH
    except OSError:
        return WIDTH


def pad(text: str, width: int) -> str:
    """Return inert text as exactly `width` columns, cut with `…` where it is longer."""
    return (shown := cut(text, width)) + " " * (width - columns(shown))


def cut(text: str, width: int) -> str:
    """Return inert text as at most `width` columns, its end cut off with `…`; `core.inert.brief` shows both ends."""
    shown = inert(text[: 4 * width])
    if columns(shown) <= width and len(text) <= 4 * width:
        return shown
    kept, room = "", width - 1
    for char in shown:
        room -= columns(char)
        if room < 0:
            break
        kept += char
    if kept.rfind(OPEN) > kept.rfind(CLOSE):  # no half of a chip
        kept = kept[: kept.rfind(OPEN)]
    return kept + "…"


def wrap(text: str, width: int) -> list[str]:
    """Return text as lines of at most `width` columns, broken at spaces where there are any; [] for no text."""
    lines: list[str] = []
    line, width = "", max(width, 20)
    for word in text.split(" ") if text else []:
        part = word
        while True:
            joined = f"{line} {part}" if line else part
            if columns(joined) <= width:
                line = joined
                break
            if line:
                lines.append(line)
                line = ""
                continue
            fitting = next(n for n in range(len(part), 0, -1) if columns(part[:n]) <= width)
            lines.append(part[:fitting])
            part = part[fitting:]
    return [*lines, line] if line else lines


def json_text(document: Any, *, lines: bool = False) -> str:
    """Return a document as ASCII JSON, so that nothing in it reaches a terminal raw; `lines`: on one line."""
    text = json.dumps(document, indent=None if lines else 2, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f")


def emit(document: Any, *, lines: bool = False) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json_text(document, lines=lines) + "\n")
    sys.stdout.flush()
