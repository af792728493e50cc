"""An anchor in a file outside the home: signed notes, one after the other, each with an empty line behind it (R5).

* Written to by appending alone, so that the file may belong to somebody else who lets us do nothing more (`chattr +a`).
* Whom it stops: whoever has the store and not this file. Whom it does not: whoever can replace this file as well.
* A note that was not written whole is left out; the next one begins on a line of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from navicert.adapters.file_lock import locked
from navicert.model.errors import IntegrityError, Unavailable

TAIL: Final = 65_536
WAIT_S: Final = 5.0
_MARK: Final = "— "


class FileAnchor:
    """One file of checkpoints. Any number of processes may append to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def last(self) -> str | None:
        """Return the newest note, None where there is none yet; raises `Unavailable` where it cannot be read."""
        try:
            with self.path.open("rb") as file:
                return self._last(file.fileno())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self.path}: the anchor cannot be read ({error.strerror})") from None

    def append(self, note: str, check: Callable[[str | None], None]) -> None:
        """Add a note, durable on return. check: called with the newest one under the lock; it raises to prevent it."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                with locked(descriptor, monotonic() + WAIT_S, f"{self.path}: another process holds the anchor"):
                    check(self._last(descriptor))
                    size = os.fstat(descriptor).st_size
                    torn = size > 0 and os.pread(descriptor, 2, max(0, size - 2)) != b"\n\n"
                    data = (b"\n\n" if torn else b"") + note.encode() + b"\n"
                    if os.write(descriptor, data) != len(data):
                        raise Unavailable(f"{self.path}: the anchor took only a part of the checkpoint; make room")
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(f"{self.path}: the anchor cannot be written ({error.strerror})") from None

    def _last(self, descriptor: int) -> str | None:
        size = os.fstat(descriptor).st_size
        data = os.pread(descriptor, TAIL, max(0, size - TAIL))
        found = list(notes(data.decode(errors="replace")))
        if not found and size:
            raise IntegrityError(f"{self.path}: no checkpoint stands in this anchor; name another file, or restore it")
        return found[-1] if found else None


def notes(text: str) -> Iterator[str]:
    """Yield the notes of an anchor's text that were written whole."""
    body = ""
    chunks = text.split("\n\n")
    for chunk in chunks[:-1]:  # behind the last empty line there is nothing, or something that was not finished
        if chunk.startswith(_MARK) and body:
            yield f"{body}\n\n{chunk}\n"
            body = ""
        else:
            body = chunk
