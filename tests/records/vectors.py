"""The test vectors (vectors/README.md) as tests use them: read, audited in memory, changed, and signed anew.

The keys of the vectors are derived from their names: here the forger has them all.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from navicert.assemble import make_pseudonym
from navicert.core.digest import bytes_digest
from navicert.core.seal import b64, parse
from navicert.model.context import ContextEntry
from navicert.model.errors import VerificationError
from navicert.model.trust import Trust
from navicert.verification.disclosed import policy_of, verify_context, verify_disclosures, verify_policies
from navicert.verification.erasures import verify_erasure
from navicert.verification.log import LogVerifier, Verified
from navicert.verification.people import Asked
from records.forge import ZERO, Plain, canonical

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "vectors"
CANARIES: tuple[Plain, ...] = (
    {"surface": "sdk", "result": "denied", "nonce": "5" * 64, "action": "act_00000000000000000000000005"},
    {"surface": "mcp-stdio:files", "result": "no_answer", "nonce": "6" * 64},
)
SETS = sorted(path.parent.name for path in VECTORS.glob("*/log.jsonl"))


@cache
def script(name: str = "make_vectors") -> ModuleType:
    """Return a program of `scripts` as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def bundle_script() -> ModuleType:
    script()  # which it imports
    return script("make_bundle_vectors")


@dataclass(frozen=True)
class Vector:
    """One set. policies: by hash. contexts: the entries of each session. disclosures: of each entry.

    newer: with what receipts can say since it was made, so that a change of that is looked at, too.
    """

    folder: Path
    newer: bool = False

    def lines(self, name: str) -> list[bytes]:
        path = self.folder / name
        return path.read_bytes().splitlines() if path.exists() else []

    @cached_property
    def log(self) -> list[bytes]:
        log = self.lines("log.jsonl")
        last = json.loads(log[-1])
        for number, part in enumerate(CANARIES if self.newer else ()):
            place = {"origin": last["log"]["origin"], "seq": len(log) + 1, "prev": bytes_digest(log[-1])}
            plain = {"version": last["version"], "kind": "canary", "receipt_id": f"rcp_{number:026}", "at": last["at"]}
            log.append(self.signed({**plain, "log": place, "canary": part}, self.key_of(last)))
        return log

    @cached_property
    def plains(self) -> list[Plain]:
        return [json.loads(line) for line in self.log]

    @cached_property
    def trust(self) -> Trust:
        return msgspec.json.decode((self.folder / "trust.json").read_bytes(), type=Trust)

    @cached_property
    def expect(self) -> Plain:
        return json.loads((self.folder / "expect.json").read_bytes())

    @cached_property
    def disclosures(self) -> list[list[str]]:
        found = [json.loads(line) for line in self.lines("disclosures.jsonl")]
        return [*found, *([] for _ in (CANARIES if self.newer else ()))]

    @cached_property
    def policies(self) -> dict[str, bytes]:
        return {policy_of(line)[1]: line for line in self.lines("policies.jsonl")}

    @cached_property
    def contexts(self) -> dict[str, list[ContextEntry]]:
        found = map(json.loads, self.lines("contexts.jsonl"))
        return {
            each["session"]: [msgspec.json.decode(text, type=ContextEntry) for text in each["entries"]]
            for each in found
        }

    @cached_property
    def keyed(self) -> Any:
        return make_pseudonym(bytes.fromhex(self.expect["pseudonym_key"]))

    @cached_property
    def keys(self) -> dict[str, Any]:
        """Every receipt key, by id."""
        made = script().FixedKey
        found = [made(name, each) for name in ("first", "second") for each in ("Ed25519", "ES256")]
        return {key.key_id: key for key in found}

    def key_of(self, plain: Plain) -> Any:
        return self.keys[plain["signature"]["key_id"]]

    @cached_property
    def _before(self) -> list[LogVerifier]:
        verifier, found = LogVerifier(self.trust), []
        for data in self.log:
            found.append(fork(verifier))
            verifier.add(data)
        return [*found, verifier]

    def verify(self, entries: list[bytes], start: int = 0, **known: Any) -> tuple[Verified, Any]:
        """Verify a log that is the honest one up to place `start`; returns the report, and the people."""
        if known:
            verifier, start = LogVerifier(self.trust, **known), 0
        else:
            verifier = fork(self._before[start])
        for data in entries[start:]:
            verifier.add(data)
        return verifier.finish(), verifier.people

    def code(self, entries: list[bytes], start: int = 0, **known: Any) -> str | None:
        """Return the reason code for which a log is refused, None where it passes."""
        try:
            self.verify(entries, start, **known)
        except VerificationError as error:
            return error.code
        return None

    def head(self) -> tuple[int, str]:
        """Return the honest log's end, as an auditor holds it who saw the log before the forger did."""
        return len(self.log), bytes_digest(self.log[-1])

    def audit_code(self, entries: list[bytes], start: int = 0, disclosures: Any = None, **how: Any) -> str | None:
        """As `code`, with every further step of an audit."""
        try:
            self.audit(entries, start, disclosures, **how)
        except VerificationError as error:
            return error.code
        return None

    def audit(self, entries: list[bytes], start: int = 0, disclosures: Any = None, *, erasures: bool = True) -> int:
        """Verify log, policies, disclosures, what people signed, contexts; returns how many values were disclosed.

        erasures: what people signed of erasures, too. They sign over a head of the log, which would tell of any change.
        """
        found, people = self.verify(entries, start)
        verify_policies(found.policies, self.policies)
        receipts = [parse(data) for data in entries]
        shown = [
            verify_disclosures(receipt, texts, self.keyed)
            for receipt, texts in zip(receipts, disclosures or self.disclosures, strict=True)
        ]
        places = {bytes_digest(data): place for place, data in enumerate(entries)}
        for place, receipt in enumerate(receipts):
            if receipt.kind == "resolution":
                asking = places[receipt.completes]
                policy = policy_of(self.policies[receipts[asking].decision.policy.hash])[0]
                asked = Asked(receipt=receipts[asking], disclosed=shown[asking], policy=policy)
                people.verify(receipt, shown[place], asked, f"entry {place + 1}")
            elif receipt.kind == "erasure" and erasures:
                heads = ["", *map(bytes_digest, entries)]
                verify_erasure(receipt, shown[place], people, heads.__getitem__, f"entry {place + 1}")
        for session, chain in self.contexts.items():
            verify_context(session, (each for each in receipts if each.session and each.session.id == session), chain)
        return sum(map(len, shown))

    def resigned(self, plains: list[Plain], start: int = 0, *, as_it_is: bool = False) -> list[bytes]:
        """Return the log of these receipts: honest before `start`, and from there placed and signed anew.

        `completes` follows the receipt that it names. as_it_is: the first keeps the places that it has.
        """
        entries = self.log[:start]
        heads = {
            plain["session"]["id"]: (plain["session"]["seq"], bytes_digest(data))
            for plain, data in zip(self.plains[:start], entries, strict=True)
            if "session" in plain
        }
        was = {plain["receipt_id"]: bytes_digest(data) for plain, data in zip(self.plains, self.log, strict=True)}
        moved: dict[str, str] = {}
        for seq, original in enumerate(plains[start:], start + 1):
            plain = copy.deepcopy(original)
            if seq > start + 1 or not as_it_is:
                plain["log"] |= {"seq": seq, "prev": bytes_digest(entries[-1]) if entries else ZERO}
                if "session" in plain:
                    count, head = heads.get(plain["session"]["id"], (0, ZERO))
                    plain["session"] |= {"seq": count + 1, "prev": head}
            if "completes" in plain:
                plain["completes"] = moved.get(plain["completes"], plain["completes"])
            entries.append(self.signed(plain, self.key_of(original)))
            digest = bytes_digest(entries[-1])
            same = len(plains) == len(self.log)
            moved[was.get(plain["receipt_id"], bytes_digest(self.log[seq - 1]) if same else "")] = digest
            if "session" in plain:
                heads[plain["session"]["id"]] = (plain["session"]["seq"], digest)
        return entries

    def signed(self, plain: Plain, key: Any) -> bytes:
        """Return a receipt with this key's signature."""
        plain = {**plain, "signature": {"algorithm": key.algorithm, "key_id": key.key_id}}
        plain["signature"]["value"] = b64(key.sign(canonical(plain)))
        return canonical(plain)


@cache
def vector(name: str | None = None) -> Vector:
    """Return a set as it stands in its files; without a name, the one with everything that receipts can say."""
    return Vector(VECTORS / (name or "log-ed25519"), newer=name is None)


def listed() -> dict[str, str]:
    """Return the digests that `vectors/SHA256SUMS` lists, by file."""
    lines = (VECTORS / "SHA256SUMS").read_text().splitlines()
    assert max(Counter(line[66:] for line in lines).values()) == 1
    return {line[66:]: line[:64] for line in lines}


def digests(paths: Iterable[Path]) -> dict[str, str]:
    return {str(path.relative_to(VECTORS)): sha256(path.read_bytes()).hexdigest() for path in paths}


def fork(value: Any) -> Any:
    """Return a copy of a verifier that goes on by itself; keys and receipts, which never change, are shared."""
    if isinstance(value, dict | Counter):
        return type(value)({name: fork(item) for name, item in value.items()})
    if isinstance(value, set):
        return set(value)
    if not type(value).__module__.startswith("navicert.verification") or isinstance(value, msgspec.Struct):
        return value
    made = object.__new__(type(value))
    names = getattr(type(value), "__slots__", None) or vars(value)
    for name in names:
        setattr(made, name, fork(getattr(value, name)))
    return made
