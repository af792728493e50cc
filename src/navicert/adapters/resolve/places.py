"""Files that nobody but root and our own user can have written, whichever way leads to them (R4, Deferral).

* Every folder and every link on the way is looked at, not only the file: who may rename one decides what is read.
* Writable by the group counts as by others. In a sticky folder (`/tmp`) others cannot rename what is ours: it is passed
  through, but a file or a link that lies in it directly is refused.
* What runs as our own user is not held off by this; that is the business of the protected resources.
"""

from __future__ import annotations

import os
import posixpath
import stat
from pathlib import Path
from typing import Final

from navicert.model.errors import IntegrityError, Unavailable

_MOST_LINKS: Final = 40
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def settled(path: str) -> str:
    """Return the path, free of links, of a regular file that only root or our own user can write.

    Raises `IntegrityError` where others could, where it is not absolute, or no regular file; `Unavailable` where it
    does not exist or cannot be reached.
    """
    if not path.startswith("/") or "\0" in path:
        raise IntegrityError(f"`{path}`: not an absolute path; write the whole path")
    try:
        place = _walk(path)
    except OSError as error:
        raise Unavailable(
            f"`{path}`: cannot be reached ({error.strerror}); put it there, or correct the path"
        ) from None
    if place is None:
        raise IntegrityError(f"`{path}`: not a regular file; name one")
    return place


def _walk(path: str) -> str | None:
    ahead = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    here = "/"
    links = 0
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = posixpath.dirname(here)
            continue
        place = posixpath.join(here, name)
        found = os.lstat(place)
        _check_folder(here, os.lstat(here), found, path)
        _check_owner(place, found, path)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise IntegrityError(f"`{path}`: more than {_MOST_LINKS} links on the way; name the file itself")
            target = str(Path(place).readlink())
            here = "/" if target.startswith("/") else here
            ahead += [part for part in reversed(target.split("/")) if part not in {"", "."}]
        elif stat.S_ISDIR(found.st_mode):
            here = place
        else:
            check_file(found, path)
            return None if ahead else place
    return None


def _check_folder(folder: str, at: os.stat_result, entry: os.stat_result, path: str) -> None:
    _check_owner(folder, at, path)
    passing = at.st_mode & stat.S_ISVTX and stat.S_ISDIR(entry.st_mode)
    if at.st_mode & _OTHERS and not passing:
        raise _writable(path, folder, at)


def _check_owner(place: str, found: os.stat_result, path: str) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        raise IntegrityError(
            f"`{path}`: user {found.st_uid} owns `{place}` and can change what is read there; "
            "give it to root, or to the user that navicert runs as"
        )


def check_file(found: os.stat_result, path: str) -> None:
    """Raise `IntegrityError` unless it is a regular file that only root or our own user can write."""
    if not stat.S_ISREG(found.st_mode):
        raise IntegrityError(f"`{path}`: not a regular file; name one")
    _check_owner(path, found, path)
    if found.st_mode & _OTHERS:
        raise _writable(path, path, found)


def _writable(path: str, place: str, found: os.stat_result) -> IntegrityError:
    return IntegrityError(
        f"`{path}`: others can write `{place}` (mode {stat.S_IMODE(found.st_mode):04o}); "
        "take that away with `chmod go-w`, or move the file"
    )
