"""The keys by which tokens are verified: a JWK set (RFC 7517), reduced to what may verify a signature (R6.c).

* A key has an id, is asymmetric, is meant for signatures, and is long enough; any other is passed over.
* Which algorithm a key serves follows from the key, never from the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from navicert.adapters.identity.fetch import FetchError

ALGORITHMS: Final = frozenset({
    "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
})  # fmt: skip
"""What a configuration may choose from: no `none`, and nothing with a shared secret."""
_CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_RSA_BITS: Final = range(2048, 8193)
_MAX_KEYS: Final = 200


class VerifyingKey:
    """One public key: the algorithms that it serves, and its thumbprint (RFC 7638)."""

    __slots__ = ("algorithms", "key", "thumbprint")

    def __init__(self, key: OKPKey | ECKey | RSAKey, algorithms: frozenset[str]) -> None:
        self.key = key
        self.algorithms = algorithms
        self.thumbprint = key.thumbprint()


def parse_keys(data: bytes) -> Mapping[str, VerifyingKey]:
    """Return the usable keys of a JWK set by id; raises `FetchError` where there are none, or one id names two."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise FetchError("holds no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise FetchError(f"holds no key set of at most {_MAX_KEYS} keys")
    found: dict[str, VerifyingKey] = {}
    for jwk in listed:
        key = _usable(jwk) if isinstance(jwk, dict) else None
        if key is None:
            continue
        if jwk["kid"] in found:
            raise FetchError("holds two keys of one id")
        found[jwk["kid"]] = key
    if not found:
        raise FetchError("holds no key that can verify a signature")
    return found


def _usable(jwk: dict[str, Any]) -> VerifyingKey | None:
    kid = jwk.get("kid")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(kid, str) or not kid or jwk.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        made = _made(jwk)
    except (JoseError, ValueError, TypeError, KeyError):  # a key that is none
        return None
    if made is None:
        return None
    key, algorithms = made
    if "alg" in jwk:
        stated = {"EdDSA", "Ed25519"} if jwk["alg"] in {"EdDSA", "Ed25519"} else {jwk["alg"]}
        algorithms &= stated
    return VerifyingKey(key, algorithms) if algorithms else None


def _made(jwk: dict[str, Any]) -> tuple[OKPKey | ECKey | RSAKey, frozenset[str]] | None:
    """Return the key of the public members alone, and what it serves; None for a kind that is not used."""
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            okp = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk["x"]})
            okp.get_op_key("verify")
            return okp, frozenset({"EdDSA", "Ed25519"})
        case "EC", str(curve) if curve in _CURVES:
            ec = ECKey.import_key({"kty": "EC", "crv": curve, "x": jwk["x"], "y": jwk["y"]})
            ec.get_op_key("verify")
            return ec, frozenset({_CURVES[curve]})
        case "RSA", _:
            if not isinstance(jwk["n"], str) or len(jwk["n"]) * 6 < _RSA_BITS.start:
                return None
            rsa = RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
            return (rsa, _RSA) if rsa.public_key.key_size in _RSA_BITS else None
        case _:
            return None
