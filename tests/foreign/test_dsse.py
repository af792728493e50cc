"""Receipts in DSSE envelopes with an in-toto statement, verified by securesystemslib, which is not ours (R5)."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from foreign.make import base64
from navicert.core.seal import unb64
from records.forge import canonical

pytestmark = pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])


def lines_of(made: Any, member: str) -> list[Any]:
    return [line[member] for line in map(json.loads, made.bundles["log"].splitlines()) if member in line]


def log_key(made: Any) -> SSlibKey:
    """The key of the log, out of the trust file, as securesystemslib has keys."""
    (key,) = json.loads(lines_of(made, "trust")[0])["log"]
    raw = unb64(key["public"])
    if key["algorithm"] == "Ed25519":
        return SSlibKey(key["key_id"], "ed25519", "ed25519", {"public": raw.hex()})
    point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
    pem = point.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return SSlibKey(key["key_id"], "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})


def verified(envelope: Any, key: SSlibKey) -> dict[str, Any]:
    opened = Envelope.from_dict(json.loads(json.dumps(envelope)))
    opened.verify([key], threshold=1)
    return dict(json.loads(opened.payload))


def test_every_receipt_of_the_log_is_in_an_envelope_that_others_verify(algorithm, exported):
    # seen to fail: with ES256 signatures as r and s
    made = exported[algorithm]
    key = log_key(made)
    statements = [verified(envelope, key) for envelope in made.dsse]
    assert [canonical(each["predicate"]).decode() for each in statements] == lines_of(made, "entry")
    for each in statements:
        assert each["_type"] == "https://in-toto.io/Statement/v1"
        assert each["subject"][0]["digest"]["sha256"] == sha256(canonical(each["predicate"])).hexdigest()


def test_a_changed_envelope_is_refused(algorithm, exported):
    made, other = exported[algorithm], exported["ES256" if algorithm == "Ed25519" else "Ed25519"]
    key, envelope = log_key(made), made.dsse[2]
    payload = b64decode(envelope["payload"])
    for changed in (
        envelope | {"payload": base64(payload.replace(b'"decision"', b'"decisiom"', 1))},
        envelope | {"payload": made.dsse[3]["payload"]},
        envelope | {"payloadType": "text/plain"},
        envelope | {"signatures": made.dsse[3]["signatures"]},
        other.dsse[2],
    ):
        assert changed != envelope
        with pytest.raises(VerificationError):
            verified(changed, key)
