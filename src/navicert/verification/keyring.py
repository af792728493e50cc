"""Keyring: whom a verifier believes, and since when (R5). Keys come from the trust file, or from a key believed before.

* A key's id is the digest of its public part, and its algorithm is its own, whatever a receipt says.
* A `key` record hands over: from then on the new key signs, and the one that signed the record never again.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from navicert.core.canonical import receipt_bytes
from navicert.core.seal import signed_message, unb64
from navicert.core.signature import PublicKey, key_id
from navicert.core.times import micros, rfc3339
from navicert.model.errors import VerificationError
from navicert.model.receipt import KeyPart, Receipt
from navicert.model.trust import Trust

SKEW_US: Final = 300_000_000
"""A clock that was set back may put an entry so far outside of its key's window: 5 minutes."""


@lru_cache(maxsize=64)
def _loaded(algorithm: str, public: bytes) -> PublicKey:
    return PublicKey(algorithm, public)


class _Key:
    __slots__ = ("algorithm", "public", "retired", "since", "until")

    def __init__(self, named: str, algorithm: str, public: str, since: str | None, until: str | None) -> None:
        try:
            raw = unb64(public)
            self.public = _loaded(algorithm, raw)
            # fixed-width times compare as text
            self.since = rfc3339(micros(since) - SKEW_US) if since else ""
            self.until = rfc3339(micros(until) + SKEW_US) if until else "9999"
        except ValueError as error:
            raise VerificationError("bad_key", f"key {named}: {error}") from None
        if key_id(algorithm, raw) != named:
            raise VerificationError("bad_key", f"key {named}: its id is not the digest of its public part")
        self.algorithm = algorithm
        self.retired = False


class Keyring:
    """The keys that are believed, as a log is gone through. `signers` are the ids that have signed, in order."""

    def __init__(self, trust: Trust) -> None:
        if not trust.keys:
            raise VerificationError("empty_trust", "the trust file lists no key, so nothing can be believed")
        self.signers: dict[str, None] = {}
        self._keys = {
            key.key_id: _Key(key.key_id, key.algorithm, key.public, key.since, key.until) for key in trust.keys
        }

    def check(self, receipt: Receipt, data: bytes, place: str) -> None:
        """Verify who signed; raises `VerificationError`."""
        named = receipt.signature.key_id
        # 4. The key is trusted, or was certified by a trusted one, and has not been replaced.
        key = self._keys.get(named)
        if key is None:
            raise VerificationError("unknown_key", f"{place}: the key {named} is not in the trust file")
        if key.retired:
            raise VerificationError("key_retired", f"{place}: signed by {named}, which an earlier entry replaced")
        # 5. It signed within the time for which it is trusted.
        if not key.since <= receipt.at <= key.until:
            raise VerificationError("key_window", f"{place}: at {receipt.at}, when {named} was not to sign")
        # 6. The algorithm is the key's own.
        if receipt.signature.algorithm != key.algorithm:
            message = f"{place}: it says {receipt.signature.algorithm}, the key is {key.algorithm}"
            raise VerificationError("wrong_algorithm", message)
        # 7. The signature is valid over everything but its own value.
        try:
            key.public.verifies(*signed_message(data))
        except ValueError as error:
            raise VerificationError("bad_signature", f"{place}: {error}") from None
        self.signers[named] = None

    def hand_over(self, key: KeyPart, signer: str, place: str) -> None:
        """Believe a new key in the place of the one that signed its record."""
        certified = _Key(key.key_id, key.algorithm, key.public, None, None)
        if key.key_id in self.signers:
            raise VerificationError("key_retired", f"{place}: it certifies {key.key_id}, which signed before")
        self._keys[signer].retired = True
        self._keys.setdefault(key.key_id, certified)


def fingerprint(trust: Trust) -> str:
    """Return what names a trust file by word of mouth: 160 bits of SHA-256 over its canonical bytes, in groups of four.

    Origin, keys and windows are in it: whoever compares it believes exactly this file.
    """
    digits = sha256(b"navicert/trust/1\0" + receipt_bytes(trust)).hexdigest()[:40]
    return " ".join(digits[place : place + 4] for place in range(0, 40, 4))
