"""Trust: whom a verifier believes, from a file that it got by another way than the log (DESIGN.md section 7).

* The root signs the file: its fingerprint is all that a verifier has to know beforehand, and it stays the same.
* Without a root the file is nobody's word: its fingerprint is that of its content.
"""

from __future__ import annotations

from navicert.model.value import Value


class TrustedKey(Value, frozen=True, kw_only=True):
    """A public key (raw Ed25519, or SEC1 point; base64url), and from when to when it signed (RFC 3339)."""

    key_id: str
    algorithm: str
    public: str
    since: str
    until: str | None = None


class Root(Value, frozen=True, kw_only=True):
    """The key that signs the trust file; kept away from the machine that signs receipts."""

    key_id: str
    algorithm: str
    public: str


class Revoked(Value, frozen=True, kw_only=True):
    """A key that is believed no more since `at`: what it signed counts up to place `upto` of the log (0: nothing).

    The root states the place: that of a checkpoint which it knows to be older than the theft.
    """

    key_id: str
    at: str
    upto: int
    reason: str = ""


class TrustedWitness(Value, frozen=True, kw_only=True):
    """A witness, by its C2SP verifier key (`name+hash+key`). operator: who runs it; one operator counts once."""

    vkey: str
    operator: str


class Trust(Value, frozen=True, kw_only=True):
    """A trust file: the log's name, and its keys.

    keys: of receipts; later ones may also be certified inside the log by an earlier one. log: keys that sign
    checkpoints. witnesses, quorum: whose cosignatures count, and of how many operators there must be one. revoked: keys
    that ended before their time. issued_at: when the root signed. signature: by the root, over `navicert/trust/2`, a
    zero byte, and the canonical bytes of everything but the signature.
    """

    origin: str
    keys: tuple[TrustedKey, ...]
    log: tuple[TrustedKey, ...] = ()
    witnesses: tuple[TrustedWitness, ...] = ()
    quorum: int = 0
    revoked: tuple[Revoked, ...] = ()
    issued_at: str | None = None
    root: Root | None = None
    signature: str = ""
