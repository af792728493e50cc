"""Keys of disclosures, one file per data subject (port `DisclosureKeys`; DESIGN.md section 7).

* Every receipt has a data key of its own; it lies in the journal, wrapped (RFC 3394) under its subject's key.
* The subject's key lies here, outside the journal, and is the only thing that has to be destroyed to erase a subject.
* To be destroyed, a key is first set aside under another name. From then on nothing is sealed for this subject, in any
  process, until it is destroyed (the next use makes a new key) or put back.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from navicert.adapters.secret_file import read_secret, sync_folder, write_secret
from navicert.model.errors import IntegrityError, Unavailable

_HELD: Final = 4096
_KEY: Final = ".key"
_ASIDE: Final = ".erasing"


class SubjectKeys:
    """A folder with one key file (32 bytes, mode 0600) per subject; subjects are pseudonyms, safe as file names."""

    inline = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = f"{folder}{os.sep}"
        self._lock = Lock()
        self._held: dict[str, tuple[tuple[int, int], bytes]] = {}

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Return the key wrapped; the subject's own key is made, durably, at its first use.

        Raises `Unavailable` while the subject's key is set aside.
        """
        stamp = self._stamp(subject, _KEY)
        if stamp is None:
            with self._lock:
                self._make(self._path(subject))
            stamp = self._stamp(subject, _KEY)
        if stamp is None:  # set aside at this moment
            raise Unavailable(f"`{subject}` is being erased; try again")
        return aes_key_wrap(self._key(subject, _KEY, stamp), key)

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """Return the data key; raises `IntegrityError` where the subject's key is gone, or another."""
        for suffix in (_KEY, _ASIDE):
            stamp = self._stamp(subject, suffix)
            if stamp is not None:
                break
        else:
            self._held.pop(subject, None)
            message = f"the key of subject `{subject}` is not there: it was erased, or lost"
            raise IntegrityError(message)
        try:
            return aes_key_unwrap(self._key(subject, suffix, stamp), wrapped)
        except (InvalidUnwrap, ValueError):  # another key; a part of one, or of what was wrapped
            message = f"the key of subject `{subject}` does not open this disclosure"
            raise IntegrityError(message) from None

    # destroying

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """Be the only one, of all processes, that sets keys aside; raises `Unavailable` where somebody else is."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "erasing.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable("somebody else erases, or holds, at this moment; try again") from None
            yield
        finally:
            os.close(descriptor)

    def set_aside(self, subject: str) -> None:
        """Have nothing more sealed for this subject; what is sealed still opens."""
        self._rename(self._path(subject), self._path(subject, _ASIDE))

    def put_back(self, subject: str) -> None:
        """Undo `set_aside`; does nothing where no key is set aside."""
        self._rename(self._path(subject, _ASIDE), self._path(subject))

    def destroy(self, subject: str) -> None:
        """Overwrite, truncate and remove the key that is set aside, durably; does nothing where none is."""
        path = self._path(subject, _ASIDE)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(os.urandom(max(32, os.fstat(descriptor).st_size)))
            os.fsync(descriptor)
            file.truncate(0)
            os.fsync(descriptor)
        path.unlink()
        sync_folder(self._folder)
        self._held.pop(subject, None)

    def _path(self, subject: str, suffix: str = _KEY) -> Path:
        return self._folder / f"{subject}{suffix}"

    def _stamp(self, subject: str, suffix: str) -> tuple[int, int] | None:
        """Return what tells a file from every other that had its name, None where there is none."""
        try:
            found = os.stat(f"{self._base}{subject}{suffix}")  # noqa: PTH116 - at every action: a path takes longer
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _rename(self, path: Path, to: Path) -> None:
        with self._lock:
            if path.exists() and not to.exists():
                path.rename(to)
                sync_folder(self._folder)

    def _key(self, subject: str, suffix: str, stamp: tuple[int, int]) -> bytes:
        """Return a key as its file has it now: another process may have destroyed the one that is held."""
        held = self._held.get(subject)
        if held is not None and held[0] == stamp:
            return held[1]
        with self._lock:
            key = read_secret(self._path(subject, suffix))
            if len(self._held) >= _HELD:
                self._held.clear()
            self._held[subject] = (stamp, key)
        return key

    def _make(self, path: Path) -> None:
        if path.exists():
            return
        if path.with_suffix(_ASIDE).exists():
            raise Unavailable(f"`{path.stem}` is being erased, or that broke off; `navicert erase finish` finishes it")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.new")
        fresh.unlink(missing_ok=True)
        write_secret(fresh, os.urandom(32))
        try:
            os.link(fresh, path)  # atomic, and never over a key that another process made meanwhile
        except FileExistsError:
            return
        finally:
            fresh.unlink()
        sync_folder(self._folder)
