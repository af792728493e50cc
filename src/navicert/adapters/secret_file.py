"""Files that only their owner may read, keys of every kind (property 9); and files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from navicert.model.errors import IntegrityError


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600, durable on return; raises `FileExistsError` rather than replace one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put a file in place of what stands there: all or nothing, durable on return. mode: exactly; None: the usual."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if mode is None else mode)
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path) -> bytes:
    """Read a file that only its owner may read; raises `IntegrityError` otherwise."""
    try:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise IntegrityError(f"{path}: others can read this key (mode {mode:04o}); run `chmod 600 {path}`")
        return path.read_bytes()
    except OSError as error:
        raise IntegrityError(
            f"{path}: the key cannot be read ({error.strerror}); restore it from your backup"
        ) from None
