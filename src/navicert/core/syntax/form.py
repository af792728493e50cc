"""The bytes that a policy set is known by: canonical form, its inverse, its hash (R5; DESIGN.md section 4).

* Canonical: JSON, keys sorted, no white space, fields at their default left out. One policy set, one byte string.
* The hash of a receipt's `policy` part is SHA-256 over `navicert/policy/1`, a zero byte, and the canonical bytes.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from navicert.model.errors import IntegrityError
from navicert.model.policy import Condition, Modification, PolicySet, Rule

_DOMAIN = b"navicert/policy/1\0"
_encode = msgspec.json.Encoder(order="sorted").encode


def canonical_policy(policy: PolicySet) -> bytes:
    """Return the canonical bytes of a policy set; equal policy sets have equal bytes."""
    return _encode(_lean(policy))


def _lean(value: object) -> object:
    """Return values without the fields that equal their default: msgspec itself compares by identity, not by value."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return {f.name: _lean(given) for f in fields if (given := getattr(value, f.name)) != f.default}
    if isinstance(value, tuple):
        return [_lean(item) for item in value]
    return value


def policy_hash(policy: PolicySet) -> str:
    """Return the content hash, hex."""
    return sha256(_DOMAIN + canonical_policy(policy)).hexdigest()


def decode_policy(data: bytes) -> PolicySet:
    """Return the policy set whose canonical bytes these are; raises `IntegrityError` for any other bytes."""
    try:
        policy = _model(_decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"the stored policy cannot be read: {error}; restore it from its file") from None
    if canonical_policy(policy) != data:
        raise IntegrityError("the stored policy is not in canonical form; restore it from its file")
    return policy


# msgspec cannot decode into a type that contains itself, as `Json` does. The file forms say `Any` where the model says
# `Json` (a JSON decoder yields nothing else), and are turned into the model's own values after decoding.


class _FileCondition(Condition, frozen=True):
    value: Any


class _FileModification(Modification, frozen=True):
    value: Any = None


class _FileRule(Rule, frozen=True):
    match: tuple[_FileCondition, ...] = ()
    modifications: tuple[_FileModification, ...] = ()


class _FilePolicy(PolicySet, frozen=True):
    rules: tuple[_FileRule, ...] = ()


_decode = msgspec.json.Decoder(_FilePolicy).decode


def _model(file: _FilePolicy) -> PolicySet:
    return PolicySet(**{**_fields(file), "rules": tuple(_rule(rule) for rule in file.rules)})


def _rule(file: _FileRule) -> Rule:
    match = tuple(Condition(**_fields(each)) for each in file.match)
    modifications = tuple(Modification(**_fields(each)) for each in file.modifications)
    return Rule(**{**_fields(file), "match": match, "modifications": modifications})


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
