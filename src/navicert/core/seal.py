"""Receipts as bytes: disclosures, commitments, what is signed, and which parts stand in which kind (R5).

* The stored entry is the canonical bytes of the whole receipt; the signed message is that without `signature.value`.
* A commitment is the base64url SHA-256 of an RFC 9901 disclosure: base64url of `[salt, JSON pointer, value]`.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from navicert.core.canonical import receipt_bytes
from navicert.model.receipt import Log, Receipt, Session, Signature

ZERO: Final = "0" * 64
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_PLAIN: Final = bytes(code for code in range(0x20, 0x7F) if code != 0x5C)
"""Printable ASCII without backslash: where all is of it, nothing was escaped, so nothing is outside the profile."""
_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_encode = msgspec.json.Encoder(order="deterministic").encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Receipt).decode
_REQUIRED: Final[dict[str, frozenset[str]]] = {
    "decision": frozenset({"separation", "action", "requester_context", "decision"}),
    "resolution": frozenset({"separation", "session", "action", "requester_context", "decision", "context"})
    | {"completes", "deferral", "revalidation", "authority"},
    "outcome": frozenset(
        {"separation", "session", "action", "requester_context", "decision", "context", "execution", "completes"}
    ),
    "boot": frozenset({"separation"}),
    "key": frozenset({"key"}),
    "policy": frozenset({"policy"}),
    "authority": frozenset({"authority"}),
    "approver": frozenset({"approver"}),
    "erasure": frozenset({"erasure", "approval"}),
    "restore": frozenset({"restore"}),
    "prune": frozenset({"prune"}),
    "canary": frozenset({"canary"}),
}
_OPTIONAL: Final[dict[str, frozenset[str]]] = {
    "decision": frozenset({"session", "context", "deferral", "authority"}),
    "resolution": frozenset({"approval"}),
}
_PARTS: Final = (
    "separation", "session", "action", "requester_context", "decision", "context", "deferral", "approval",
    "revalidation", "authority", "execution", "completes", "key", "approver", "policy",
    "erasure", "restore", "prune", "canary",
)  # fmt: skip


def b64(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_URL_SAFE).decode()


def unb64(text: str) -> bytes:
    """Return the bytes of base64url without padding; raises `ValueError` unless it is their one encoding."""
    data = a2b_base64(text.encode("ascii").translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4))
    if b64(data) != text:
        raise ValueError("not canonical base64url")
    return data


def _in_profile(data: bytes) -> bool:
    """Tell whether nothing in JSON text can be outside the profile: nothing escaped, no integer of sixteen digits.

    Integers stand behind a colon: no receipt has a list of them.
    """
    return not data.translate(None, _PLAIN) and b":-" not in data and b":" + b"0" * 16 not in data.translate(_ZEROS)


def plain_disclosure(pointer: str, salt: str, value: bytes) -> bytes:
    """Return the JSON array that a disclosure encodes: salt, JSON pointer, value (JSON bytes)."""
    return b'["%s","%s",%s]' % (salt.encode(), pointer.encode(), value)


def disclosure(pointer: str, salt: str, value: bytes) -> str:
    """Return the disclosure of `value` (JSON bytes) at a JSON pointer, as RFC 9901 encodes it."""
    return b64(plain_disclosure(pointer, salt, value))


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
    message = _encode(plain)
    if not _in_profile(message):
        message = receipt_bytes(plain)  # walks the values, and raises where they are outside the profile
    plain["signature"]["value"] = b64(sign(message))
    return _encode(plain)


def parse(data: bytes) -> Receipt:
    """Return the receipt that the bytes hold; raises `ValueError` unless they are the canonical bytes of exactly one.

    Comparing the re-encoded bytes also refuses duplicate keys, white space, and values that decode alike.
    """
    try:
        receipt = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a receipt: {error}") from None
    if (_encode_sorted(receipt) if _in_profile(data) else receipt_bytes(receipt)) != data:
        raise ValueError("not in canonical form")
    present = {name for name in _PARTS if getattr(receipt, name) is not None}
    required = _REQUIRED[receipt.kind]
    if not required <= present or not present <= required | _OPTIONAL.get(receipt.kind, frozenset()):
        raise ValueError(f"a `{receipt.kind}` receipt with the wrong parts: {', '.join(sorted(present ^ required))}")
    return receipt


def signed_message(data: bytes) -> tuple[bytes, bytes]:
    """Return (message, signature) of a stored receipt that `parse` accepted; raises `ValueError` where unsigned."""
    # in canonical JSON a quote within a string is escaped: so this member stands there once, and nothing looks like it
    start = data.find(b',"value":"', data.index(b'"signature":{'))
    if start < 0:
        raise ValueError("not signed")
    first = start + len(b',"value":"')
    end = data.index(b'"', first)
    return data[:start] + data[end + 1 :], unb64(data[first:end].decode())
