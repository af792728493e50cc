"""Foreign text as markup in which nothing of it is markup: inert, escaped, and with its chips marked (T1).

* `core.inert` makes one line in which every character can be seen; here what it put in place of others is set off, so
  that no text can look like it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from navicert.core.inert import CLOSE, LINE, OPEN, brief, inert

SHORT: Final = 480
REACHED: Final = 2_000
"""So many columns of a value are shown at once; of what the action reaches, more."""
ROOM: Final = 400_000
"""So many columns may be unfolded on one page."""
_QUOTED: Final = re.compile("(“[^“”]*”|`[^`]*`)")
_CHIP: Final = re.compile(f"({OPEN}[^{CLOSE}]*{CLOSE}|{LINE})")


def chips(text: str) -> Markup:
    """Return inert text as markup; its chips are `<b>`, and nothing else is an element."""
    parts = _CHIP.split(text)
    return Markup().join(_marked(part) if index % 2 else escape(part) for index, part in enumerate(parts))


def _marked(chip: str) -> Markup:
    return (Markup('<b class="l">{}</b>') if chip == LINE else Markup("<b>{}</b>")).format(chip)


def foreign(text: str, limit: int = SHORT) -> Markup:
    """Return any text as markup of at most `limit` columns."""
    return chips(brief(text, limit))


def sentence(text: str) -> Markup:
    """Return a sentence of ours, in which what others wrote stands in “…”, and the names of tools in backticks."""
    parts = _QUOTED.split(inert(text))
    return Markup().join(_said(part) if index % 2 else chips(part) for index, part in enumerate(parts))


def _said(part: str) -> Markup:
    if part[0] == "`":
        return Markup('<code class="foreign">{}</code>').format(chips(part[1:-1]))
    return Markup('<span class="foreign quoted">{}</span>').format(chips(part))


def _marked_in(text: str, phrase: str) -> Markup:
    """Return inert text with the words of a phrase marked where they stand; unmarked where they do not."""
    words = r"\W{1,4}".join(map(re.escape, phrase.split()))
    found = re.search(words, text) if words else None
    if found is None:
        return chips(inert(text))
    start, end = found.span()
    before, there, after = (chips(inert(part)) for part in (text[:start], text[start:end], text[end:]))
    return before + Markup("<mark>{}</mark>").format(there) + after


class Shown(NamedTuple):
    """A text: `head` at once; `whole` where there is more of it; `cut`: there is, and it does not fit on the page."""

    head: Markup
    whole: Markup | None = None
    cut: bool = False


class Paper:
    """What one page has room for."""

    def __init__(self) -> None:
        self._room = ROOM

    def show(self, text: str, limit: int = SHORT, phrase: str = "") -> Shown:
        """Return a text as it is shown: at once where it is short, folded where it is long. phrase: marked in it."""
        head = brief(text, limit)
        if len(text) <= self._room:
            whole = inert(text)
            if whole == head:
                return Shown(_marked_in(text, phrase))
            if len(whole) <= self._room:
                self._room -= len(whole)
                return Shown(chips(head), _marked_in(text, phrase))
        return Shown(chips(head), cut=True)
