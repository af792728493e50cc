"""Keys of disclosures, one file per data subject (port `DisclosureKeys`; DESIGN.md section 7).

* Every receipt has a data key of its own; it lies in the journal, wrapped (RFC 3394) under its subject's key.
* The subject's key lies here, outside the journal, and is the only thing that has to be destroyed to erase a subject.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from navicert.adapters.secret_file import read_secret, sync_folder, write_secret
from navicert.model.errors import IntegrityError

_HELD = 4096


class SubjectKeys:
    """A folder with one key file (32 bytes, mode 0600) per subject; subjects are pseudonyms, safe as file names."""

    inline = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._held: dict[str, bytes] = {}

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Return the key wrapped; the subject's own key is made, durably, at its first use."""
        return aes_key_wrap(self._key(subject, create=True), key)

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """Return the data key; raises `IntegrityError` where the subject's key is gone, or another."""
        try:
            return aes_key_unwrap(self._key(subject, create=False), wrapped)
        except InvalidUnwrap:
            message = f"the key of subject `{subject}` does not open this disclosure"
            raise IntegrityError(message) from None

    def _key(self, subject: str, *, create: bool) -> bytes:
        held = self._held.get(subject)
        if held is not None:
            return held
        path = self._folder / f"{subject}.key"
        with self._lock:
            if create:
                self._make(path)
            key = read_secret(path)
            if len(self._held) >= _HELD:
                self._held.clear()
            self._held[subject] = key
        return key

    def _make(self, path: Path) -> None:
        if path.exists():
            return
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
