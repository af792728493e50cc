"""Identities: signed records of agents, written down as signed statements of enrolled people (`core.answers`).

Nothing of ours reads DID documents or DSSE envelopes. What the corpus asks is asked of our people too: does the key
that signed belong to whom the statement names, did it at the time of signing, is it listed for signing, and does the
signature verify. So each case is written down as an enrolment and a statement, and the verdict is that of
`core.answers.check`.

| there | here |
|---|---|
| a DID | the name of a person |
| a version of its document | enrolments from `updated` until the next: keys under `authentication`, `assertionMethod` |
| a deactivated document, or none | no enrolment |
| a key | a stand-in key, by the thumbprint (RFC 7638, `adapters.identity.keys`) of the public key |
| the `e1_` part of a did:wba | the id that the key is enrolled by: its own if that is its thumbprint, else another's |
| `subject`, `keyid`, `signedAt` | the statement's approver, key and time |
| a signature that verifies (`core.signature`, over the foreign bytes) | one; that does not: one over other bytes |
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any, Final

from navicert.core.answers import check, statement_bytes
from navicert.core.seal import b64, unb64
from navicert.core.signature import ED25519, PublicKey
from navicert.model.decision import Verdict
from navicert.model.errors import IdentityError
from navicert.model.labels import Labels
from navicert.model.suspension import Answer, Approver, Approvers, Question, Statement, Vote
from vectors.judged import RAN, Unmeasurable
from vectors.stories import moment, stand_in

NOT_ENROLLED: Final = "not_enrolled"
OTHER_ID: Final = "key_id"
BAD: Final = "bad_signature"
MEANS: Final = {
    "signer_not_subject": frozenset({NOT_ENROLLED}),
    "did_unresolvable": frozenset({NOT_ENROLLED}),
    "key_rotated_out": frozenset({NOT_ENROLLED}),
    "key_not_authorized": frozenset({NOT_ENROLLED}),
    "binding_fingerprint_mismatch": frozenset({OTHER_ID}),
    "signature_invalid": frozenset({BAD}),
}
_SAYS: Final = {
    "not enrolled with this key": NOT_ENROLLED,
    "not what its id says": OTHER_ID,
    "signature is not that": BAD,
}
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def judge(folder: Path) -> str:
    """Return `RAN` for a record that is bound to its subject, else why it is not."""
    case = json.loads((folder / "case.json").read_text())
    envelope = json.loads((folder / "envelope.json").read_text())
    payload = b64decode(envelope["payload"])
    record, signature = json.loads(payload), envelope["signatures"][0]
    subject, signed_at = record["subject"]["id"], moment(record["signedAt"])
    if any(sign in subject for sign in "/ "):
        raise Unmeasurable("the syntax of DIDs: names of people are any text here")
    documents = {did: json.loads((folder / name).read_text()) for did, name in case["resolutions"].items()}
    people = tuple(person for did, each in documents.items() for person in _people(did, each["versions"]))
    keys = {
        name: key for each in documents.values() for version in each["versions"] for name, key in _keys(version).items()
    }
    public = keys.get(signature["keyid"])
    key = stand_in(_thumbprint(public) if public is not None else signature["keyid"])
    question = Question(
        handle="wait", nonce="nonce", digest="", session_id="", human="requester of it", verdict=Verdict.STEP_UP,
        rules=(), labels=Labels(), approvers=(subject,), asked_at=signed_at, deadline=signed_at + 60_000_000,
    )  # fmt: skip
    said = Statement(
        question=question, answer=Answer.APPROVE, approver=subject, key_id=_named(subject, public, key.key_id),
        at=signed_at, reason=record["statement"],
    )  # fmt: skip
    data = statement_bytes(said)
    good = public is not None and _verifies(envelope["payloadType"], payload, public, signature["sig"])
    vote = Vote(statement=data, signature=key.sign(data if good else b"another" + data))
    try:
        check(question, vote, Approvers(people=people), signed_at)
    except IdentityError as error:
        return next((code for words, code in _SAYS.items() if words in str(error)), str(error))
    return RAN


def _people(did: str, versions: list[dict[str, Any]]) -> list[Approver]:
    """Return who is enrolled by the versions of a document."""
    people = []
    ends = [*(moment(each["didDocumentMetadata"]["updated"]) for each in versions[1:]), None]
    for version, until in zip(versions, ends, strict=True):
        document = version["didDocument"]
        listed = {*document.get("authentication", ()), *document.get("assertionMethod", ())}
        for name, public in _keys(version).items():
            if name in listed and not document.get("deactivated"):
                key = stand_in(_thumbprint(public))
                people.append(
                    Approver(
                        name=did, key_id=_named(did, public, key.key_id), algorithm=key.algorithm,
                        public=b64(key.public), since=moment(version["didDocumentMetadata"]["updated"]), until=until,
                    )
                )  # fmt: skip
    return people


def _named(did: str, public: bytes | None, own: str) -> str:
    """Return the id under which a key stands for a DID: another's where the DID names another key."""
    named = did.rpartition(":e1_")[2] if ":e1_" in did else None
    return own if named is None or public is None or named == _thumbprint(public) else stand_in(named).key_id


def _keys(version: dict[str, Any]) -> dict[str, bytes]:
    """Return the public keys of a document, by name: raw Ed25519."""
    found = {}
    for method in version["didDocument"]["verificationMethod"]:
        jwk, multi = method.get("publicKeyJwk"), method.get("publicKeyMultibase", "z")
        found[method["id"]] = unb64(jwk["x"]) if jwk else _base58(multi[1:])[2:]
    return found


def _base58(text: str) -> bytes:
    number = 0
    for sign in text:
        number = number * 58 + _ALPHABET.index(sign)
    return number.to_bytes((number.bit_length() + 7) // 8)


def _thumbprint(public: bytes) -> str:
    from navicert.adapters.identity.keys import parse_keys

    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public), "kid": "it", "use": "sig"}
    return parse_keys(json.dumps({"keys": [jwk]}).encode())["it"].thumbprint


def _verifies(kind: str, payload: bytes, public: bytes, signature: str) -> bool:
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    try:
        PublicKey(ED25519, public).verifies(message, b64decode(signature))
    except ValueError:
        return False
    return True
