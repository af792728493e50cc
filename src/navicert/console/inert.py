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


class Shown(NamedTuple):
    """A text: `head` at once; `whole` where there is more of it; `cut`: there is, and it does not fit on the page."""

    head: Markup
    whole: Markup | None = None
    cut: bool = False


class Paper:
    """What one page has room for."""

    def __init__(self) -> None:
        self._room = ROOM

    def show(self, text: str, limit: int = SHORT) -> Shown:
        """Return a text as it is shown: at once where it is short, folded where it is long."""
        head = brief(text, limit)
        if len(text) <= self._room:
            whole = inert(text)
            if whole == head:
                return Shown(chips(head))
            if len(whole) <= self._room:
                self._room -= len(whole)
                return Shown(chips(head), chips(whole))
        return Shown(chips(head), cut=True)
