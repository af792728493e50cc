"""Keyring: whom a verifier believes, and since when (R5). Keys come from the trust file, or from a key believed before.

* A trust file with a root is believed where that root signed it; whose root it is, its fingerprint says.
* A key's id is the digest of its public part, and its algorithm is its own, whatever a receipt says.
* A `key` record hands over: from then on the new key signs, and the one that signed the record never again. Where the
  key of receipts was lost, the log's own key signs the record, in the place of all that signed before.
* A revoked key counts up to the place that the root states, whatever else is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from navicert.core.canonical import receipt_bytes
from navicert.core.seal import signed_message, unb64
from navicert.core.signature import PublicKey, key_id
from navicert.core.times import micros, rfc3339
from navicert.model.errors import VerificationError
from navicert.model.receipt import KeyPart, Receipt
from navicert.model.trust import Trust, TrustedKey
from navicert.verification.forms import parsed

SKEW_US: Final = 300_000_000
"""A clock that was set back may put an entry so far outside of its key's window: 5 minutes."""
_EVER: Final = 2**53


@lru_cache(maxsize=64)
def _loaded(algorithm: str, public: bytes) -> PublicKey:
    return PublicKey(algorithm, public)


class _Key:
    __slots__ = ("algorithm", "begins", "last", "public", "since", "until")

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
        self.begins = since or ""
        self.last = _EVER


class Keyring:
    """The keys that are believed, as a log is gone through. `signers` are the ids that have signed, in order.

    revoked: up to which place a revoked key counts, by key id. Raises `VerificationError` for a trust file that is not
    to be believed.
    """

    def __init__(self, trust: Trust) -> None:
        believed(trust)
        if not trust.keys:
            raise VerificationError("empty_trust", "the trust file lists no key, so nothing can be believed")
        self.signers: dict[str, None] = {}
        self.revoked: dict[str, int] = {}
        for end in trust.revoked:
            self.revoked[end.key_id] = min(end.upto, self.revoked.get(end.key_id, end.upto))
        self._keys, self._log = (
            {key.key_id: _Key(key.key_id, key.algorithm, key.public, key.since, key.until) for key in keys}
            for keys in (trust.keys, trust.log)
        )

    def check(self, receipt: Receipt, data: bytes, place: str) -> None:
        """Verify who signed; raises `VerificationError`."""
        named, seq = receipt.signature.key_id, receipt.log.seq
        # 4. The key is trusted, or was certified by a trusted one, and has been neither replaced nor revoked.
        key = self._keys.get(named)
        if key is None and receipt.kind == "key":  # after a loss, the log's own key certifies
            key = self._log.get(named)
        if key is None:
            raise VerificationError("unknown_key", f"{place}: the key {named} is not in the trust file")
        if seq > key.last:
            raise VerificationError("key_retired", f"{place}: signed by {named}, which an earlier entry replaced")
        if seq > self.revoked.get(named, seq):
            message = f"{place}: {named} was revoked, and counts up to entry {self.revoked[named]}"
            raise VerificationError("key_revoked", message)
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

    def hand_over(self, record: Receipt, place: str) -> tuple[KeyPart, tuple[str, ...]]:
        """Believe the new key of a `key` record that was checked, in the place of the one that signed it.

        Returns it, and the ids of those that ended with this.
        """
        key, signer = record.key, record.signature.key_id
        if key is None:
            raise VerificationError("schema", f"{place}: it is no record of a key")
        certified = _Key(key.key_id, key.algorithm, key.public, None, None)
        if key.key_id in self.signers:
            raise VerificationError("key_retired", f"{place}: it certifies {key.key_id}, which signed before")
        # where the log's own key certifies: all that signed, or may have
        ended = (
            (signer,)
            if signer in self._keys
            else tuple(name for name, each in self._keys.items() if name in self.signers or each.begins < record.at)
        )
        for name in ended:
            self._keys[name].last = min(self._keys[name].last, record.log.seq)
        self._keys.setdefault(key.key_id, certified).last = _EVER
        return key, ended


def believed(trust: Trust) -> Trust:
    """Return a trust file that its root signed, or that has no root; raises `VerificationError` for any other."""
    root = trust.root
    if root is None:
        if trust.signature:
            raise VerificationError("bad_trust", "the trust file is signed, and its root is not in it")
        return trust
    try:
        raw = unb64(root.public)
        named = key_id(root.algorithm, raw)
        _loaded(root.algorithm, raw).verifies(trust_message(trust), unb64(trust.signature))
    except ValueError as error:
        raise VerificationError("bad_trust", f"the trust file: {error}") from None
    if named != root.key_id:
        raise VerificationError(
            "bad_trust", f"the trust file: {root.key_id} is not the digest of its root's public part"
        )
    return trust


def trust_message(trust: Trust) -> bytes:
    """Return what the root signs; raises `ValueError` for text outside printable ASCII."""
    return b"navicert/trust/2\0" + receipt_bytes(msgspec.structs.replace(trust, signature=""))


def certified(trust: Trust, records: Iterable[bytes]) -> tuple[TrustedKey, ...]:
    """Return the keys that sign receipts by a trust file and the `key` records of its log, each with when it signed.

    records: all of them, in order, without what stands between. Ends before the first that a revoked key signed behind
    its place; raises `VerificationError` for one that does not verify.
    """
    keyring = Keyring(trust)
    listed = {key.key_id: key for key in trust.keys}
    keys = dict(listed)
    for data in records:
        receipt = parsed(data, "a key record of the log")
        place = f"entry {receipt.log.seq}"
        if receipt.log.origin != trust.origin:
            raise VerificationError("wrong_origin", f"{place}: it is of the log `{receipt.log.origin}`")
        try:
            keyring.check(receipt, data, place)
        except VerificationError as error:
            if error.code == "key_revoked":
                break
            raise
        key, ended = keyring.hand_over(receipt, place)
        for name in ended:
            keys[name] = msgspec.structs.replace(keys[name], until=min(receipt.at, keys[name].until or receipt.at))
        keys[key.key_id] = listed.get(key.key_id) or TrustedKey(
            key_id=key.key_id, algorithm=key.algorithm, public=key.public, since=receipt.at
        )
    return tuple(keys.values())


def fingerprint(trust: Trust) -> str:
    """Return what names a trust file by word of mouth: 160 bits of SHA-256 in groups of four.

    Of its root, so that it stays the same whatever that signs later; without one, of all that is believed.
    """
    root = trust.root
    named = b"navicert/trust/1\0" + receipt_bytes(trust) if root is None else b"navicert/root/1\0" + receipt_bytes(root)
    digits = sha256(named).hexdigest()[:40]
    return " ".join(digits[place : place + 4] for place in range(0, 40, 4))
