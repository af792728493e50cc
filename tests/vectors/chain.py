"""Chains: foreign chains of signed receipts, written down as a log of ours, link by link, and verified by `verify_log`.

The forms differ, so each receipt is written as an entry of our log (the smallest there is), so that what held of it
holds here, and what did not, does not; the rest is the verdict of our verifier.

| there | here |
|---|---|
| a receipt | one entry, at its time |
| its signing key | a stand-in key; `root_keys` are the keys of the trust file; keys that are only pinned are in none |
| a signature that verifies (`core.signature`, over the foreign bytes) | one; that does not: one over other bytes |
| `chain_prev_hash` names a receipt of the file | `log.prev` is the digest of that entry; names none: of no entry |
| `genesis`, or the bound genesis of a session | the start of the log |
| `chain_seq` | `log.seq`: one more than at the receipt it links to, and off by what `chain_seq` is off |
| an endorsement by the retiring key that verifies | a `key` record before the marker, behind the tail that it names |
| a head that was kept, with its hash | `expect_head` |
| a session's close | nothing: no entry of our log says that none follows |
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from navicert.adapters.sign.file_key import FileKey
from navicert.core.seal import ZERO, b64, finish
from navicert.core.signature import ED25519, PublicKey
from navicert.core.times import rfc3339
from navicert.model.errors import VerificationError
from navicert.model.receipt import RECEIPT_VERSION, KeyPart, Log, Receipt, Signature
from navicert.model.trust import Trust, TrustedKey
from navicert.verification.log import verify_log
from vectors.judged import Unmeasurable
from vectors.stories import moment, stand_in

WHOLE: Final = "whole"
PREFIX: Final = "prefix"
ACCEPTS: Final = {WHOLE: "verified", PREFIX: "prefix"}
MEANS: Final = {
    "signature_invalid": frozenset({"bad_signature"}),
    "signer_untrusted": frozenset({"unknown_key"}),
    "chain_link_broken": frozenset({"gap", "chain_broken"}),
    "rotation_unendorsed": frozenset({"unknown_key", "gap", "chain_broken"}),
    "head_missing": frozenset({"tail_cut", "head_mismatch"}),
    "head_position_mismatch": frozenset({"tail_cut", "head_mismatch"}),
}
FAILS: Final = {
    "final-head-not-at-end": (
        "the log verifies: a head that was kept says what must stand in the log, and a verifier cannot be told that it "
        "was the last; the report names the number of entries, and whoever knows better has to compare"
    )
}
_ORIGIN: Final = "vectors.example/chain"
_ENDORSED: Final = b"pipelock-rotation-endorsement-v1\x00"


def judge(folder: Path) -> str:
    """Return what our verifier says of the chain in a folder: `WHOLE`, `PREFIX`, or the code of its refusal."""
    case = json.loads((folder / "case.json").read_text())
    head = json.loads((folder / case["head"]).read_text()) if "head" in case else None
    if head is not None and "receipt_hash" not in head:
        raise Unmeasurable("a place without the digest of what stood there is not taken as a head")
    trusted = case["trust"]
    endorsements = [json.loads((folder / name).read_text()) for name in trusted["endorsements"]]
    chain = _Chain((folder / case["chain"]).read_bytes(), endorsements, trusted.get("session"))
    trust = Trust(origin=_ORIGIN, keys=tuple(_trusted(stand_in(key)) for key in trusted["root_keys"]))
    try:
        verify_log(chain.entries, trust, expect_head=None if head is None else chain.place(head))
    except VerificationError as error:
        return error.code
    if head is not None and head["kind"] == "final":
        return WHOLE
    if chain.closed:
        raise Unmeasurable(
            "the end rests on the signed close of a session, and no entry of our log says that none follows"
        )
    return PREFIX


def _trusted(key: FileKey) -> TrustedKey:
    return TrustedKey(key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=rfc3339(0))


class _Chain:
    """A foreign chain as entries of ours. closed: it ends in a session's close."""

    def __init__(self, data: bytes, endorsements: list[dict[str, Any]], session: str | None) -> None:
        self._lines = [line for line in data.split(b"\n") if line]
        self._plain = [json.loads(line) for line in self._lines]
        self._names = [sha256(line).hexdigest() for line in self._lines]
        self._endorsements = [item for item in endorsements if item["session_id"] == session and _endorsed(item)]
        self._made: dict[str, tuple[int, bytes]] = {}
        self.entries: list[bytes] = []
        self._indices: list[int] = []
        for name, plain in zip(self._names, self._plain, strict=True):
            if (record := self._handing_over(plain)) is not None:
                self.entries.append(record[1])
            self._indices.append(len(self.entries))
            self.entries.append(self._entry(name)[1])
        control = self._plain[-1]["action_record"].get("session_control", {})
        self.closed = control.get("kind") == "session_close"

    def place(self, head: dict[str, Any]) -> tuple[int, str]:
        """Return the place and the digest of a head that was kept; of one that is not there, those of no entry."""
        name = head["receipt_hash"]
        index = head.get("receipt_index", head.get("final_seq", 0))
        if name in self._names:
            here = self._names.index(name)
            off = 0 if "final_seq" not in head else head["final_seq"] - self._plain[here]["action_record"]["chain_seq"]
            return self._indices[here] + 1 + off, sha256(self._made[name][1]).hexdigest()
        shown = index if index >= 0 else len(self._names) + index
        return shown + 1, sha256(name.encode()).hexdigest()

    def _entry(self, name: str) -> tuple[int, bytes]:
        """Return the place and the bytes of one receipt as an entry, behind the one that it links to."""
        if name not in self._made:
            plain = self._plain[self._names.index(name)]
            record = plain["action_record"]
            seq, prev = self._behind(plain)
            at = rfc3339(moment(record["timestamp"]))
            receipt = Receipt(
                version=RECEIPT_VERSION, kind="boot", receipt_id=f"rcp_{name[:26]}", at=at,
                log=Log(origin="", seq=0, prev=""), signature=Signature(algorithm="", key_id=""), separation="none",
            )  # fmt: skip
            self._made[name] = seq, _signed(receipt, seq, prev, stand_in(plain["signer_key"]), good=_verifies(plain))
        return self._made[name]

    def _behind(self, plain: dict[str, Any]) -> tuple[int, str]:
        record = plain["action_record"]
        link, seq = record["chain_prev_hash"], record["chain_seq"]
        if link == "genesis" or link.startswith("g1:"):
            return 1 + seq, ZERO
        if link not in self._names:
            return 1 + seq, sha256(link.encode()).hexdigest()
        before = self._plain[self._names.index(link)]
        place, data = self._handing_over(plain) or self._entry(link)
        follows = before["action_record"]["chain_seq"] + 1 if before["signer_key"] == plain["signer_key"] else 0
        return place + 1 + seq - follows, sha256(data).hexdigest()

    def _handing_over(self, marker: dict[str, Any]) -> tuple[int, bytes] | None:
        """Return the `key` record of an endorsed change of keys, with its place; None where nobody endorsed it."""
        if "key_transition" not in marker["action_record"]:
            return None
        for item in self._endorsements:
            if item["new_signer_key"] == marker["signer_key"]:
                tail = item["prior_tail_hash"]
                known = self._entry(tail) if tail in self._names else (item["prior_final_seq"] + 1, tail.encode())
                new, old = stand_in(item["new_signer_key"]), stand_in(item["prior_signer_key"])
                receipt = Receipt(
                    version=RECEIPT_VERSION, kind="key", receipt_id=f"rcp_{item['new_signer_key'][:26]}",
                    at=rfc3339(moment(marker["action_record"]["timestamp"])), log=Log(origin="", seq=0, prev=""),
                    signature=Signature(algorithm="", key_id=""),
                    key=KeyPart(key_id=new.key_id, algorithm=new.algorithm, public=b64(new.public)),
                )  # fmt: skip
                seq, prev = known[0] + 1, sha256(known[1]).hexdigest()
                return seq, _signed(receipt, seq, prev, old, good=True)
        return None


def _signed(receipt: Receipt, seq: int, prev: str, key: FileKey, *, good: bool) -> bytes:
    place, signature = Log(origin=_ORIGIN, seq=seq, prev=prev), Signature(algorithm=key.algorithm, key_id=key.key_id)
    return finish(receipt, place, None, signature, key.sign if good else lambda message: key.sign(b"another" + message))


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _holds(public: str, message: bytes, signature: str) -> bool:
    try:
        PublicKey(ED25519, bytes.fromhex(public)).verifies(message, bytes.fromhex(signature.removeprefix("ed25519:")))
    except ValueError:
        return False
    return True


def _verifies(plain: dict[str, Any]) -> bool:
    digest = sha256(_compact(plain["action_record"])).digest()
    return _holds(plain["signer_key"], digest, plain["signature"])


def _endorsed(item: dict[str, Any]) -> bool:
    body = {name: value for name, value in item.items() if name != "endorsement"}
    return _holds(item["prior_signer_key"], sha256(_ENDORSED + _compact(body)).digest(), item["endorsement"])
