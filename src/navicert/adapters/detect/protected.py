"""Protected resources (port `Detector`; property 10): an action that names our own folder, keys, store or commands.

* Paths are resolved on the real file system (links, `..`, `~`, percent-encoding), and compared by place and by inode.
  Where a tool stands is not known: a relative path is held against the ends of the protected paths, too.
* Commands are looked for in the words of what is executed. Text that a tool only carries (its `content`) names nothing.
* This is a fence, not a wall: code that runs as the same user can reach the files without naming them. `navicert
  doctor` says how far agent and engine are separated.
"""

from __future__ import annotations

import os
import posixpath
import stat
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
_LONGEST_NAME: Final = 255
_WORDS: Final = re2.compile(r"(?:\$\{\w+\}|[^\s'\"`;|&<>(){}\[\],=])+")
_PIECES: Final = re2.compile(r"[^@:]+")
_QUOTING: Final = str.maketrans("", "", "'\"\\")
_DECODINGS: Final = 3
_MOST_WORDS: Final = 2_000
_COMMAND: Final = "navicert"
_FOLDER: Final = ".navicert"


class ProtectedResources:
    """Looks for the protected folders in every parameter that is not declared as content."""

    name = "protected"
    signals = ("protected",)
    inline = True

    def __init__(self, folders: Iterable[Path]) -> None:
        self._fixed = tuple(os.path.realpath(folder) for folder in folders)
        self._folders = self._fixed

    def also(self, places: Iterable[Path]) -> None:
        """Protect these as well, in place of what was named so before: the policy that is in force rests on them."""
        self._folders = (*self._fixed, *(os.path.realpath(place) for place in places))

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return the signal `protected`: True where the action names a protected resource."""
        del context
        profile = action.profile
        content = frozenset(profile.content) if profile is not None else frozenset()
        executes = profile is None or profile.effect is Effect.EXECUTE
        destroys = profile is not None and profile.effect is Effect.DELETE
        for name, value in parameters.items():
            if name in content and not executes:
                continue
            for leaf in leaves(value, keys=True):
                if isinstance(leaf, str) and (self._names(leaf, executes=executes) or (destroys and self._above(leaf))):
                    return Finding(values={"protected": True})
        return Finding(values={"protected": False})

    def _names(self, text: str, *, executes: bool) -> bool:
        if self._inside(text):
            return True
        if not executes and not ("/" in text and " " in text):
            return False
        words: list[str] = _WORDS.findall(text)
        if len(words) > _MOST_WORDS:
            return executes  # too much to look through: what is executed may not hide behind its length
        if executes:
            words += _WORDS.findall(text.translate(_QUOTING))  # quotes inside a name do not change it
        words += [piece for word in words if "@" in word or ":" in word for piece in _PIECES.findall(word)]
        if executes and any(
            normal_form(word).rpartition("/")[2] == _COMMAND or _ours_from_somewhere(word) for word in words
        ):
            return True
        return any(self._inside(word) for word in words if _pathlike(word) or "%" in word)

    def _inside(self, text: str) -> bool:
        if len(text) > _LONGEST:
            text = posixpath.normpath(text)  # what is padded is the path that it comes to
            if len(text) > _LONGEST:
                return False
        spellings = {text, text.strip(), normal_form(text)}
        for _ in range(_DECODINGS):
            spellings |= {unquote(item) for item in spellings if "%" in item}
        spellings |= {_of_url(item[5:]) for item in spellings if item[:5].lower() == "file:"}
        return any(self._protected(item) for item in spellings if item and "\0" not in item)

    def _protected(self, text: str) -> bool:
        if not _pathlike(text) and not _file_here(text):
            return False
        if self._from_elsewhere(text):
            return True
        expanded = os.path.expandvars(text) if "$" in text else text
        place = os.path.realpath(_home(expanded))
        if any(place == folder or place.startswith(folder + os.sep) for folder in self._folders):
            return True
        try:
            found = Path(place).stat()
        except (OSError, ValueError):
            return False
        return found.st_nlink > 1 and stat.S_ISREG(found.st_mode) and self._same_file(found)

    def _from_elsewhere(self, text: str) -> bool:
        """Tell whether a relative path leads into a protected folder from one that holds it, or is beside it.

        The last name of a protected path alone says so only after `..`, or where it is our own: else it may be any.
        """
        if text[:1] in {"/", "~", "$"}:
            return False
        names = posixpath.normpath(text).split("/")
        down = [name for name in names if name != ".."]
        for folder in self._folders:
            whole = folder.strip("/").split("/")
            least = 1 if len(down) < len(names) or whole[-1] == _FOLDER else 2
            most = min(len(down), len(whole))
            if any(down[:count] == whole[-count:] for count in range(least, most + 1)):
                return True
        return False

    def _above(self, text: str) -> bool:
        """Tell whether what is deleted holds a protected folder."""
        if len(text) > _LONGEST or not text or "\0" in text or not (_pathlike(text) or _file_here(text)):
            return False
        place = os.path.realpath(_home(os.path.expandvars(text))).rstrip(os.sep) + os.sep
        return any(folder.startswith(place) for folder in self._folders)

    def _same_file(self, found: os.stat_result) -> bool:
        for folder in self._folders:
            for path in (Path(folder), *Path(folder).rglob("*")):
                try:
                    other = path.stat()
                except OSError:
                    continue  # it went while we looked
                if (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino):
                    return True
        return False


def _ours_from_somewhere(word: str) -> bool:
    """Tell whether a relative path leads into a folder of our name: a command may have gone to its parent before."""
    return word[:1] not in {"/", "~", "$"} and _FOLDER in word.split("/")


def _file_here(word: str) -> bool:
    """Tell whether a bare word names a file of the working directory."""
    if len(word) > _LONGEST_NAME:
        return False
    try:
        os.lstat(word)
    except (OSError, ValueError):
        return False
    return True


def _of_url(rest: str) -> str:
    """Return the path of a `file:` URL, with or without a host."""
    if not rest.startswith("//"):
        return rest
    _, slash, path = rest[2:].partition("/")
    return slash + path


def _pathlike(text: str) -> bool:
    return "/" in text or text[:1] in {".", "~", "$"} or "$" in text or "\\" in text


def _home(text: str) -> str:
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text  # no such user
