"""Keys of people: Ed25519 in PKCS#8 PEM, encrypted with a passphrase, mode 0600 (R4.a: an approver's own secret).

* The passphrase is typed by the person each time. It arrives here as text and stays nowhere.
* A key file that is not encrypted is refused: whoever could read it could answer in the person's name.
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
from navicert.adapters.sign.file_key import FileKey
from navicert.model.errors import IdentityError, IntegrityError

SHORTEST: Final = 8
LONGEST: Final = 1_000
"""Of a passphrase: characters at least, bytes at most."""


def make_encrypted_key(path: Path, passphrase: str) -> FileKey:
    """Write a fresh Ed25519 key, encrypted, never over an existing file; returns it.

    Raises `IdentityError` for a passphrase that is too short, or too long, to encrypt with.
    """
    secret = _secret(passphrase)
    if len(passphrase.strip()) < SHORTEST:
        raise IdentityError(f"the passphrase is shorter than {SHORTEST} characters; choose a longer one")
    key = Ed25519PrivateKey.generate()
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret)))
    return FileKey(key)


def load_encrypted_key(path: Path, passphrase: str) -> FileKey:
    """Load a person's key; raises `IdentityError` for the wrong passphrase, `IntegrityError` for the wrong file."""
    data = read_secret(path)
    secret = _secret(passphrase)
    try:
        key = load_pem_private_key(data, password=secret)
    except TypeError:
        raise IntegrityError(
            f"{path}: this key is not encrypted, so it is no approver's; make one with `navicert approver key`"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in data:
            raise IntegrityError(f"{path}: this is no encrypted key; make one with `navicert approver key`") from None
        raise IdentityError(f"{path}: the passphrase is not the one of this key; nothing was signed") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IntegrityError(f"{path}: not an Ed25519 key; make one with `navicert approver key`")
    return FileKey(key)


def _secret(passphrase: str) -> bytes:
    """Return the bytes of a passphrase, the same for every way in which a keyboard composes its characters."""
    try:
        secret = unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        raise IdentityError("the passphrase is not valid text; type it again") from None
    if not secret or len(secret) > LONGEST:
        raise IdentityError(f"the passphrase is empty, or longer than {LONGEST} bytes; type it again")
    return secret
