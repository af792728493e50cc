"""What another user of this machine can do with a folder: `stranger.py USER FOLDER`, as root; answers with JSON (R1.e).

It gives up its rights for good, and then tries all that it finds in the folder: to read, to write, to add a file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def tried(folder: Path) -> dict[str, Any]:
    """Return what can be read, with its text, and what can be written; paths are relative, folders end in a slash."""
    found: dict[str, Any] = {"read": {}, "written": []}
    for place in (folder, *sorted(folder.rglob("*"))):
        name = str(place.relative_to(folder))
        if os.access(place, os.W_OK) and not place.is_socket():  # to a socket one writes so as to ask
            found["written"].append(f"{name}/" if place.is_dir() else name)
        if place.is_file() and os.access(place, os.R_OK):
            found["read"][name] = place.read_bytes().decode("latin-1")
    return found


if __name__ == "__main__":
    user = int(sys.argv[1])
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    json.dump(tried(Path(sys.argv[2])), sys.stdout)
