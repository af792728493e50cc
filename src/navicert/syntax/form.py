"""The bytes that a policy set is known by: canonical form, its inverse, its hash (R5; DESIGN.md section 4).

* Canonical: JSON, keys sorted, no white space, fields at their default left out. One policy set, one byte string.
* The hash of a receipt's `policy` part is SHA-256 over `navicert/policy/1`, a zero byte, and the canonical bytes.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import msgspec

from navicert.model.errors import IntegrityError
from navicert.model.policy import PolicySet

_DOMAIN = b"navicert/policy/1\0"
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(PolicySet).decode


def canonical_policy(policy: PolicySet) -> bytes:
    """Return the canonical bytes of a policy set; how it was made (read, decoded, built) does not show in them."""
    return _encode(_lean(policy))


@cache
def _defaults(kind: type[msgspec.Struct]) -> tuple[tuple[str, object], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))


def _lean(value: object) -> object:
    """Return values without the fields that equal their default: msgspec itself compares by identity, not by value."""
    if isinstance(value, msgspec.Struct):
        fields = _defaults(type(value))
        return {name: _lean(given) for name, default in fields if (given := getattr(value, name)) != default}
    if isinstance(value, tuple):
        return [_lean(item) for item in value]
    return value


def policy_hash(policy: PolicySet) -> str:
    """Return the content hash, hex."""
    return sha256(_DOMAIN + canonical_policy(policy)).hexdigest()


def decode_policy(data: bytes) -> PolicySet:
    """Return the policy set whose canonical bytes these are; raises `IntegrityError` for any other bytes."""
    try:
        policy = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"the stored policy cannot be read: {error}; restore it from its file") from None
    if canonical_policy(policy) != data:
        raise IntegrityError("the stored policy is not in canonical form; restore it from its file")
    return policy
