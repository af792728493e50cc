"""Digests of files on this machine (port `ContentDigests`; "what was judged is what runs").

* A name is a path, absolute or relative to the working directory, as the tool itself would take it; links are followed.
* A name that is no regular file is left out. One that could be a file, but cannot be read whole, is `unreadable`: too
  large, not permitted, or more than 32 files at once.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

UNREADABLE: Final = "unreadable"
LARGEST: Final = 256 * 1_048_576
MOST: Final = 32
_PIECE: Final = 1_048_576
_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class FileDigests:
    """Reads each file anew at every call."""

    def digest(self, names: Sequence[str]) -> dict[str, str]:
        """Return SHA-256 as hex by name of each name that is a regular file; `unreadable` where it cannot be read."""
        found: dict[str, str] = {}
        for name in dict.fromkeys(names):
            if _may_be_file(name):
                found[name] = _digest(name) if len(found) < MOST else UNREADABLE
        return found


def _may_be_file(name: str) -> bool:
    """Tell whether a name is a regular file, or may be one for all that can be seen."""
    try:
        return stat.S_ISREG(os.stat(os.path.expanduser(name)).st_mode)  # noqa: PTH111, PTH116 - names are text
    except OSError as error:
        return error.errno not in _NO_FILE
    except ValueError:
        return False  # no path at all


def _digest(name: str) -> str:
    try:
        descriptor = os.open(os.path.expanduser(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # noqa: PTH111 - text
    except OSError:
        return UNREADABLE
    try:
        now = os.fstat(descriptor)
        if not stat.S_ISREG(now.st_mode) or now.st_size > LARGEST:
            return UNREADABLE
        return _stream(descriptor)
    except OSError:
        return UNREADABLE
    finally:
        os.close(descriptor)


def _stream(descriptor: int) -> str:
    whole = sha256()
    length = 0
    while piece := os.read(descriptor, _PIECE):
        length += len(piece)
        if length > LARGEST:
            return UNREADABLE  # it grew while it was read, or never said how long it is
        whole.update(piece)
    return whole.hexdigest()
