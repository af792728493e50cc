"""Signature verification: Ed25519 (RFC 8032) and ECDSA P-256 with SHA-256 (RFC 7518 section 3.4). Pure computation."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from navicert.core.digest import bytes_digest

ED25519 = "Ed25519"
ES256 = "ES256"


class PublicKey:
    """A public key that verifies; made once per key, since loading costs as much as verifying."""

    __slots__ = ("_key", "algorithm")

    def __init__(self, algorithm: str, public: bytes) -> None:
        """Load raw Ed25519 (32 bytes) or an uncompressed SEC1 point; raises `ValueError` for anything else."""
        self.algorithm = algorithm
        if algorithm == ED25519:
            self._key: Ed25519PublicKey | EllipticCurvePublicKey = Ed25519PublicKey.from_public_bytes(public)
        elif algorithm == ES256:
            self._key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public)
        else:
            raise ValueError(f"the algorithm `{algorithm}` is not one of `{ED25519}`, `{ES256}`")

    def verifies(self, message: bytes, signature: bytes) -> None:
        """Return where the signature is valid; raises `ValueError` where it is not."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                if len(signature) != 64:
                    raise ValueError("an ES256 signature has 64 bytes")
                r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
                self._key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        except InvalidSignature:
            raise ValueError("the signature does not fit the message and the key") from None


def key_id(algorithm: str, public: bytes) -> str:
    """Return the id of a public key: its algorithm and the first 128 bits of its SHA-256."""
    return f"{algorithm.lower()}:{bytes_digest(public)[:32]}"
