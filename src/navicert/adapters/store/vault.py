"""Sealing at rest: AES-256-GCM, so that a stranger with the database file reads nothing of a session (R2, property 9).

The associated data names the place, so that a sealed value put in another place does not open.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from navicert.adapters.store.packing import pack, unpack
from navicert.adapters.system import RANDOM
from navicert.model.errors import IntegrityError


class Vault:
    """One sealing key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, place: str, data: bytes) -> bytes:
        """Return nonce and ciphertext of what is JSON."""
        nonce = RANDOM.draw(12)
        return nonce + self._cipher.encrypt(nonce, data, place.encode())

    def seal_to_keep(self, place: str, data: bytes) -> bytes:
        """Return the same in less room, for what is written once and stays."""
        return self.seal(place, pack(data))

    def open(self, place: str, sealed: bytes) -> bytes:
        """Return the data; raises `IntegrityError` where it was changed, moved, or sealed with another key."""
        try:
            return unpack(self._cipher.decrypt(sealed[:12], sealed[12:], place.encode()))
        except (InvalidTag, ValueError):
            raise IntegrityError(f"the stored value `{place}` was changed, moved, or belongs to another key") from None
