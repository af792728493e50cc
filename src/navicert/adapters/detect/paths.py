"""Where a path really leads, links resolved on the real file system (attack cases C.5).

* It looks at the tools of category `files`: each text in their `resource` and `destination` parameters is a path.
* A relative path is resolved against the root that the deployment names; without one it is unknown. So is a path that
  a tool may expand by itself (`~`, `$`), and one that cannot be followed.
* A link that is put in place after this look is not seen: a tool that opens what others can change checks for itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from navicert.core.fields import role_values
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.signals import Finding
from navicert.model.value import Json

CATEGORY: Final = "files"
_NO_FILES: Final = Finding()
_UNKNOWN: Final = Finding(looked=False)
_MOST: Final = 256


class RealPaths:
    """A `Detector`: `path_real`, where each path leads; `path_linked`, whether a file among them has a second name."""

    name = "paths"
    signals = ("path_real", "path_linked")
    inline = True  # as what looks for protected places; a thread for each action would cost more than the look

    def __init__(self, root: Path | None = None) -> None:
        """Resolve relative paths against this root; without one they are unknown."""
        self._root = root

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return both signals; no values for a tool of another category, `looked=False` where a path is unknown."""
        del context
        profile = action.profile
        if profile is None or CATEGORY not in profile.categories:
            return _NO_FILES
        named = [value for role in ("resource", "destination") for value in role_values(profile, role, {**parameters})]
        if not named or len(named) > _MOST:
            return _UNKNOWN
        real: list[Json] = []
        linked = False
        for path in named:
            if not isinstance(path, str) or not path or path[0] == "~" or "$" in path or not path.isprintable():
                return _UNKNOWN
            if self._root is None and not path.startswith("/"):
                return _UNKNOWN
            where = os.path.realpath(self._root / path if self._root is not None else path)
            try:
                found = os.lstat(where)
            except (FileNotFoundError, NotADirectoryError):
                found = None  # it does not exist yet
            except (OSError, ValueError):
                return _UNKNOWN
            if found is not None and stat.S_ISLNK(found.st_mode):
                return _UNKNOWN  # links in a circle
            linked = linked or (found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink > 1)
            real.append(where)
        return Finding(values={"path_real": real, "path_linked": linked})
