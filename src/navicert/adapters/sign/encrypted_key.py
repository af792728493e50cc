"""Keys under a passphrase: PKCS#8 PEM, mode 0600. Of people (R4.a: an approver's own secret), and the root of a log.

* The passphrase is typed by the person each time. It arrives here as text and stays nowhere.
* A person's key is Ed25519, and refused where it is not encrypted: whoever could read it could answer in their name.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from navicert.adapters.secret_file import read_secret, write_secret
from navicert.adapters.sign.file_key import FileKey, known
from navicert.core.signature import ED25519
from navicert.model.errors import IdentityError, IntegrityError

SHORTEST: Final = 8
LONGEST: Final = 1_000
"""Of a passphrase: characters at least, bytes at most."""


def make_encrypted_key(path: Path, passphrase: str) -> FileKey:
    """Write a fresh Ed25519 key, encrypted, never over an existing file; returns it.

    Raises `IdentityError` for a passphrase that is too short, or too long, to encrypt with.
    """
    key = FileKey(Ed25519PrivateKey.generate())
    save_encrypted_key(key, path, passphrase)
    return key


def save_encrypted_key(key: FileKey, path: Path, passphrase: str) -> None:
    """Write a key, encrypted, never over an existing file; raises `IdentityError` for a passphrase that is none."""
    secret = _secret(passphrase)
    if len(passphrase.strip()) < SHORTEST:
        raise IdentityError(f"the passphrase is shorter than {SHORTEST} characters; choose a longer one")
    private = key._key  # noqa: SLF001 - the same package
    write_secret(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret)))


def load_encrypted_key(path: Path, passphrase: str) -> FileKey:
    """Load a person's key; raises `IdentityError` for the wrong passphrase, `IntegrityError` for the wrong file."""
    if not is_encrypted(path):
        message = "this is no encrypted key: it is not encrypted, or none at all; make one with `navicert approver key`"
        raise IntegrityError(f"{path}: {message}")
    key = open_encrypted_key(path, passphrase)
    if key.algorithm != ED25519:
        raise IntegrityError(f"{path}: not an Ed25519 key; make one with `navicert approver key`")
    return key


def is_encrypted(path: Path) -> bool:
    """Tell whether a key file is under a passphrase; raises `IntegrityError` where it cannot be read."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in read_secret(path)


def open_encrypted_key(path: Path, passphrase: str) -> FileKey:
    """Load an encrypted key of either algorithm; raises `IdentityError` for the wrong passphrase."""
    try:
        return known(load_pem_private_key(read_secret(path), password=_secret(passphrase)), path)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise IdentityError(f"{path}: the passphrase is not the one of this key; nothing was signed") from None


def _secret(passphrase: str) -> bytes:
    """Return the bytes of a passphrase, the same for every way in which a keyboard composes its characters."""
    try:
        secret = unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        raise IdentityError("the passphrase is not valid text; type it again") from None
    if not secret or len(secret) > LONGEST:
        raise IdentityError(f"the passphrase is empty, or longer than {LONGEST} bytes; type it again")
    return secret
