"""Protected resources (port `Detector`; property 10): does an action name our own folder, keys, store or commands?

* Paths are resolved on the real file system (links, `..`, `~`, percent-encoding), and compared by place and by inode.
* Commands are looked for in the words of what is executed. Text that a tool only carries (its `content`) names nothing.
* This is a fence, not a wall: code that runs as the same user can reach the files without naming them. `navicert doctor` says how
  far agent and engine are separated.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import re2

from navicert.core.fields import leaves
from navicert.core.text import normal_form
from navicert.model.action import Action, Effect
from navicert.model.context import SessionContext
from navicert.model.signals import Finding
from navicert.model.value import Json

_LONGEST: Final = 4_096
_WORDS: Final = re2.compile(r"[^\s'\"`;|&<>(){}\[\],=]+")
_MOST_WORDS: Final = 2_000
_COMMAND: Final = "navicert"


class ProtectedResources:
    """Looks for the protected folders in every parameter that is not declared as content."""

    name = "protected"
    signals = ("protected",)
    inline = True

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = tuple(os.path.realpath(folder) for folder in folders)

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return the signal `protected`: True where the action names a protected resource."""
        del context
        profile = action.profile
        content = frozenset(profile.content) if profile is not None else frozenset()
        executes = profile is None or profile.effect is Effect.EXECUTE
        for name, value in parameters.items():
            if name in content and not executes:
                continue
            for leaf in leaves(value, keys=True):
                if isinstance(leaf, str) and self._names(leaf, executes=executes):
                    return Finding(values={"protected": True})
        return Finding(values={"protected": False})

    def _names(self, text: str, *, executes: bool) -> bool:
        if len(text) <= _LONGEST and self._inside(text):
            return True
        if not executes and not ("/" in text and " " in text):
            return False
        words: list[str] = _WORDS.findall(text)
        if len(words) > _MOST_WORDS:
            return executes  # too much to look through: what is executed may not hide behind its length
        if executes and any(os.path.basename(normal_form(word)) == _COMMAND for word in words):
            return True
        return any(self._inside(word) for word in words if len(word) <= _LONGEST and self._pathlike(word))

    def _pathlike(self, word: str) -> bool:
        return "/" in word or word.startswith((".", "~", "$")) or "%" in word

    def _inside(self, text: str) -> bool:
        spellings = {text, text.strip(), normal_form(text)}
        spellings |= {unquote(item) for item in spellings if "%" in item}
        spellings |= {item[7:] for item in spellings if item.lower().startswith("file://")}
        return any(self._protected(item) for item in spellings if item and "\0" not in item)

    def _protected(self, text: str) -> bool:
        expanded = os.path.expandvars(os.path.expanduser(text)) if text[0] in "~$" or "$" in text else text
        place = os.path.realpath(expanded)
        if any(place == folder or place.startswith(folder + os.sep) for folder in self._folders):
            return True
        try:
            found = os.stat(place)
        except OSError:
            return False
        return found.st_nlink > 1 and not os.path.isdir(place) and self._same_file(found)

    def _same_file(self, found: os.stat_result) -> bool:
        for folder in self._folders:
            for base, _, names in os.walk(folder):
                for name in names:
                    try:
                        other = os.stat(os.path.join(base, name))
                    except OSError:
                        continue
                    if (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino):
                        return True
        return False
