"""Signing keys in files (port `Signer`): PKCS#8 PEM, mode 0600, Ed25519 or P-256.

* A key file that others can read is refused, with the command that mends it.
* The private key never leaves this module; what leaves is a signature or the public key.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from navicert.adapters.secret_file import read_secret, write_secret
from navicert.core.signature import ED25519, ES256, key_id
from navicert.model.errors import IntegrityError


class FileKey:
    """One private key, loaded."""

    inline = True

    def __init__(self, key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> None:
        self._key = key
        if isinstance(key, Ed25519PrivateKey):
            self.algorithm = ED25519
            self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        else:
            self.algorithm = ES256
            self.public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.key_id = key_id(self.algorithm, self.public)

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes of signature."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(message)
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


def new_key(algorithm: str) -> FileKey:
    """Return a fresh key; `Ed25519` or `ES256`."""
    if algorithm == ES256:
        return FileKey(generate_private_key(SECP256R1()))
    return FileKey(Ed25519PrivateKey.generate())


def save_key(key: FileKey, path: Path) -> None:
    """Write the key, readable by its owner only; never over an existing file."""
    pem = key._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # noqa: SLF001 - same module
    write_secret(path, pem)


def load_key(path: Path) -> FileKey:
    """Load a key file; raises `IntegrityError` where it is missing, readable by others, or no key that we know."""
    try:
        return known(load_pem_private_key(read_secret(path), password=None), path)
    except TypeError:
        raise IntegrityError(f"{path}: it is under a passphrase, and here a key without one is read") from None
    except (ValueError, UnsupportedAlgorithm):
        raise IntegrityError(f"{path}: it is no key, or damaged; restore it from your backup") from None


def known(key: object, path: Path) -> FileKey:
    """Return a private key of one of the two kinds; raises `IntegrityError` for any other."""
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    ):
        return FileKey(key)
    raise IntegrityError(f"{path}: not an Ed25519 or P-256 key; make one with `navicert key new`")
