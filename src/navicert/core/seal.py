"""Receipts as bytes: disclosures, commitments, what is signed, and which parts stand in which kind (R5).

* The stored entry is the canonical bytes of the whole receipt; the signed message is the same without `signature.value`.
* A commitment is the base64url SHA-256 of an RFC 9901 disclosure: base64url of `[salt, JSON pointer, value]`.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from navicert.core.canonical import receipt_bytes
from navicert.model.receipt import Log, Receipt, Session, Signature

ZERO: Final = "0" * 64
_encode = msgspec.json.Encoder(order="deterministic").encode
_REQUIRED: Final[dict[str, frozenset[str]]] = {
    "decision": frozenset({"separation", "action", "requester_context", "decision"}),
    "resolution": frozenset(
        {"separation", "session", "action", "requester_context", "decision", "context", "completes"}
    ),
    "outcome": frozenset(
        {"separation", "session", "action", "requester_context", "decision", "context", "execution", "completes"}
    ),
    "boot": frozenset({"separation"}),
    "key": frozenset({"key"}),
    "policy": frozenset({"policy"}),
}
_OPTIONAL: Final[dict[str, frozenset[str]]] = {
    "decision": frozenset({"session", "context", "deferral"}),
    "resolution": frozenset({"deferral"}),
}
_PARTS: Final = (
    "separation", "session", "action", "requester_context", "decision", "context", "deferral", "execution",
    "completes", "key", "policy",
)  # fmt: skip


def b64(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Return the bytes of base64url without padding; raises `ValueError` unless the text is the one encoding of them."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(data) != text:
        raise ValueError("not canonical base64url")
    return data


def disclosure(pointer: str, salt: str, value: bytes) -> str:
    """Return the disclosure of `value` (JSON bytes) at a JSON pointer, as RFC 9901 encodes it."""
    return b64(b'["%s","%s",%s]' % (salt.encode(), pointer.encode(), value))


def commitment(pointer: str, salt: str, value: bytes) -> str:
    """Return the commitment that stands in the receipt for a disclosed value."""
    return commit_to(disclosure(pointer, salt, value))


def commit_to(text: str) -> str:
    """Return the digest of a disclosure."""
    return b64(sha256(text.encode()).digest())


def finish(
    receipt: Receipt, log: Log, session: Session | None, signature: Signature, sign: Callable[[bytes], bytes]
) -> bytes:
    """Give a drafted receipt its places and its signature; return the exact bytes to store."""
    plain: dict[str, Any] = msgspec.to_builtins(receipt)
    plain["log"] = msgspec.to_builtins(log)
    if session is not None:
        plain["session"] = msgspec.to_builtins(session)
    plain["signature"] = {"algorithm": signature.algorithm, "key_id": signature.key_id}
    message = receipt_bytes(plain)
    plain["signature"]["value"] = b64(sign(message))
    return _encode(plain)


def parse(data: bytes) -> Receipt:
    """Return the receipt that the bytes hold; raises `ValueError` unless they are the canonical bytes of exactly one.

    Comparing the re-encoded bytes also refuses duplicate keys, white space, and values that decode alike.
    """
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = f"not a receipt: {error}"
        raise ValueError(message) from None
    if receipt_bytes(receipt) != data:
        raise ValueError("not in canonical form")
    present = {name for name in _PARTS if getattr(receipt, name) is not None}
    required = _REQUIRED[receipt.kind]
    if not required <= present or not present <= required | _OPTIONAL.get(receipt.kind, frozenset()):
        message = f"a `{receipt.kind}` receipt with the wrong parts: {', '.join(sorted(present ^ required))}"
        raise ValueError(message)
    return receipt


def signed_message(data: bytes) -> tuple[bytes, bytes]:
    """Return (message, signature) of a stored receipt that `parse` accepted; raises `ValueError` without a signature."""
    plain = msgspec.json.decode(data)
    value = plain["signature"].pop("value", "")
    if not value:
        raise ValueError("not signed")
    return _encode(plain), unb64(value)
