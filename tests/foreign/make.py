"""Bundles of evidence, made here from the text of the specifications: what a verifier is given, honest or forged.

* Nothing of `navicert.tlog` or of the exporter is used: what both sides had wrong in the same way would show.
* Whoever holds a `Maker` holds every key, and can sign any lie with it.
"""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.assemble import Home
from navicert.audit import open_archive
from navicert.core.seal import b64
from records.corpus import corpus
from records.forge import canonical, keys_of, plains, resigned

ORIGIN = "acme.example/log"
SINCE = "2026-01-01T00:00:00.000000Z"
TIME = 1_790_000_000
RECORDS = ("key", "policy", "approver", "authority", "erasure", "restore", "prune")
Lines = list[dict[str, Any]]


def leaf(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def root_over(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256().digest()
    left = split(len(leaves))
    return sha256(b"\1" + root_over(leaves[:left]) + root_over(leaves[left:])).digest()


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    left = split(len(leaves))
    if index < left:
        return [*inclusion(index, leaves[:left]), root_over(leaves[left:])]
    return [*inclusion(index - left, leaves[left:]), root_over(leaves[:left])]


def consistency(old: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2."""
    if old == len(leaves):
        return [] if whole else [root_over(leaves)]
    left = split(len(leaves))
    if old <= left:
        return [*consistency(old, leaves[:left], whole=whole), root_over(leaves[left:])]
    return [*consistency(old - left, leaves[left:], whole=False), root_over(leaves[:left])]


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def named(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which a signed note names a key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def vkey(name: str, kind: int, public: bytes) -> str:
    return f"{name}+{named(name, kind, public).hex()}+{base64(bytes([kind]) + public)}"


def plain_key(key: FileKey, **more: str) -> dict[str, str]:
    return {"key_id": key.key_id, "algorithm": key.algorithm, "public": b64(key.public), **more}


def sealed(lines: Lines) -> bytes:
    """The file: every line in canonical form, and behind them the digest of all their bytes."""
    body = b"".join(json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
                    for line in lines)  # fmt: skip
    return body + canonical({"lines": len(lines), "sha256": sha256(body).hexdigest()}) + b"\n"


@dataclass(kw_only=True)
class Maker:
    """A log with all that belongs to it, and everybody's keys. changes: members of the trust file to be otherwise."""

    entries: list[bytes]
    disclosed: list[tuple[str, ...]]
    policies: dict[str, bytes]
    receipt_keys: dict[str, FileKey]
    trusted: list[dict[str, str]]
    root: FileKey = field(default_factory=lambda: new_key("Ed25519"))
    log: FileKey = field(default_factory=lambda: new_key("Ed25519"))
    witness: FileKey = field(default_factory=lambda: new_key("Ed25519"))
    changes: dict[str, Any] = field(default_factory=dict)

    def trust(self) -> str:
        plain: dict[str, Any] = {
            "origin": ORIGIN, "keys": self.trusted, "log": [plain_key(self.log, since=SINCE)],
            "witnesses": [{"operator": "auditors", "vkey": vkey("witness.example/w", 4, self.witness.public)}],
            "quorum": 1, "issued_at": SINCE, "root": plain_key(self.root), **self.changes,
        }  # fmt: skip
        plain["signature"] = b64(self.root.sign(b"navicert/trust/2\0" + canonical(plain)))
        return canonical(plain).decode()

    @property
    def fingerprint(self) -> str:
        digits = sha256(b"navicert/root/1\0" + canonical(plain_key(self.root))).hexdigest()[:40]
        return " ".join(digits[place : place + 4] for place in range(0, 40, 4))

    @property
    def leaves(self) -> list[bytes]:
        return [leaf(data) for data in self.entries]

    def note(self, size: int, *, cosigned: bool = True, root: bytes | None = None, name: str = ORIGIN) -> str:
        """A checkpoint over the first entries, signed by the log, and cosigned by the witness."""
        text = f"{name}\n{size}\n{base64(root or root_over(self.leaves[:size]))}\n"
        lines = [f"— {name} {base64(named(name, 1, self.log.public) + self.log.sign(text.encode()))}"]
        if cosigned:
            said = f"cosignature/v1\ntime {TIME}\n{text}".encode()
            signature = TIME.to_bytes(8) + self.witness.sign(said)
            lines.append(
                f"— witness.example/w {base64(named('witness.example/w', 4, self.witness.public) + signature)}"
            )
        return text + "\n" + "".join(line + "\n" for line in lines)

    def lines(self, *, scope: dict[str, Any] | None = None, size: int | None = None, witnessed: int | None = None,
              revealed: bool = True) -> Lines:  # fmt: skip
        """The lines of a bundle but the last. size: of the checkpoint; witnessed: of an older one with the quorum."""
        scope = scope or {"log": True}
        size = len(self.entries) if size is None else size
        leaves = self.leaves[:size]
        head: Lines = [{"trust": self.trust()}, {"checkpoint": self.note(size, cosigned=witnessed is None)}]
        if witnessed:
            proof = [base64(each) for each in consistency(witnessed, leaves)]
            head.append({"cosigned": self.note(witnessed), "consistency": proof})
        entries: Lines = []
        policies = set()
        for index, data in enumerate(self.entries):
            plain = json.loads(data)
            if not in_scope(plain, scope):
                continue
            line: dict[str, Any] = {"entry": data.decode()}
            if revealed and self.disclosed[index]:
                line["disclosures"] = list(self.disclosed[index])
            if "log" not in scope and index < size:
                line["proof"] = [base64(each) for each in inclusion(index, leaves)]
            policies |= {plain["decision"]["policy"]["hash"]} if "decision" in plain else set()
            entries.append(line)
        manifest = {"navicert": "bundle/1", "entries": len(entries), "made_at": SINCE, "made_by": "navicert 0.1.0",
                    "origin": ORIGIN, "revealed": "all" if revealed else "none", "scope": scope}  # fmt: skip
        kept: Lines = [{"policy": self.policies[name].decode()} for name in sorted(policies & self.policies.keys())]
        return [manifest, *head, *kept, *entries, {"name": "README.txt", "text": "taken along\n"}]

    def first(self, count: int) -> Maker:
        """The same log, when it had so many entries."""
        return Maker(**{**vars(self), "entries": self.entries[:count], "disclosed": self.disclosed[:count]})

    def retold(self, change: Any) -> Maker:
        """The same log, after `change(plains)` was done to its receipts, signed again by its own keys."""
        originals = plains(self.entries)
        changed = copy.deepcopy(originals)
        change(changed)
        entries = resigned(changed, lambda plain: self.receipt_keys[plain["signature"]["key_id"]], originals=originals)
        return Maker(**{**vars(self), "entries": entries})


def in_scope(plain: dict[str, Any], scope: dict[str, Any]) -> bool:
    if "log" in scope or plain["kind"] in RECORDS:
        return True
    part, name = ("action", "action") if "action" in scope else ("session", "session")
    return plain.get(part, {}).get("id") == scope[name]


@cache
def honest(algorithm: str = "Ed25519") -> Maker:
    """The corpus, under a name that a signed note can bear. It begins with a key of `algorithm`, not so it ends."""
    home = Home(corpus(algorithm))
    with open_archive(home) as archive:
        rows = list(archive.log())
        disclosed = [tuple(archive.disclosures(row)) for row in rows]
        policies = archive.policies()
    made = Maker(
        entries=[row.data for row in rows], disclosed=disclosed, policies=policies,
        receipt_keys=keys_of(home.folder), trusted=json.loads(home.trust.read_text())["keys"],
    )  # fmt: skip

    def rename(log: list[dict[str, Any]]) -> None:
        for plain in log:
            plain["log"]["origin"] = ORIGIN

    return made.retold(rename)
