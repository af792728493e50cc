"""Make test vectors of evidence bundles, out of sets of logs that are there (vectors/README.md).

    scripts/make_bundle_vectors.py NAME [--into vectors]

The same code makes the same bytes, and nothing is overwritten, as `make_vectors` says. Root, log and witness sign with
keys of their names.
"""

from __future__ import annotations

import argparse
import json
import sys
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import msgspec

from make_vectors import ORIGIN, SUMS, FixedKey
from navicert.core.canonical import receipt_bytes
from navicert.core.seal import b64
from navicert.core.signature import ED25519
from navicert.core.times import rfc3339
from navicert.model.errors import VerificationError
from navicert.model.trust import Root, Trust, TrustedKey, TrustedWitness
from navicert.model.value import Value
from navicert.testing.clock import START
from navicert.tlog.checkpoint import Checkpoint, cosign, cosigned, sign_checkpoint
from navicert.tlog.checkpoint import checkpoint_text as text_of
from navicert.tlog.note import COSIGNATURE, vkey
from navicert.tlog.tiles import nodes_of
from navicert.tlog.tree import Nodes, consistency_proof, inclusion_proof, leaf_hash, root_of
from navicert.verification.bundle import RECORDS, verify_bundle
from navicert.verification.bundle_lines import (
    FORMAT,
    CheckpointLine,
    CosignedLine,
    EndLine,
    EntryLine,
    FileLine,
    Manifest,
    PolicyLine,
    Scope,
    TrustLine,
    encode64,
    line_of,
)
from navicert.verification.disclosed import policy_of
from navicert.verification.keyring import fingerprint, trust_message

WITNESS: Final = "vectors.example/witness"
AT: Final = START // 1_000_000 + 7_200
ROOT, LOG, SEEN = (FixedKey(name, ED25519) for name in ("root", "log", "witness"))


def rooted(trust: Trust) -> Trust:
    """Return the trust file of a set with log key and witness, signed by the root."""
    plain = msgspec.structs.replace(
        trust,
        log=(TrustedKey(key_id=LOG.key_id, algorithm=ED25519, public=b64(LOG.public), since=rfc3339(START)),),
        witnesses=(TrustedWitness(vkey=vkey(WITNESS, COSIGNATURE, SEEN.public), operator="auditors"),),
        quorum=1,
        issued_at=rfc3339(START),
        root=Root(key_id=ROOT.key_id, algorithm=ED25519, public=b64(ROOT.public)),
    )
    return msgspec.structs.replace(plain, signature=b64(ROOT.sign(trust_message(plain))))


def note(nodes: Nodes, size: int, *, witnessed: bool) -> str:
    """Return the checkpoint over so many entries."""
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root_of(size, nodes))
    signed = sign_checkpoint(checkpoint, ORIGIN, LOG)
    return cosigned(signed, [cosign(text_of(checkpoint), WITNESS, SEEN, AT)]) if witnessed else signed


def bundle(folder: Path, scope: Scope, *, entries: int, size: int, witnessed: int) -> bytes:
    """Return the bundle of the first entries of a set. size: of the newest checkpoint; witnessed: of the cosigned."""
    log = (folder / "log.jsonl").read_bytes().splitlines()[:entries]
    shown = [json.loads(line) for line in (folder / "disclosures.jsonl").read_bytes().splitlines()]
    policies = (folder / "policies.jsonl").read_bytes().splitlines()
    leaves = b"".join(map(leaf_hash, log))
    nodes = nodes_of(lambda level, index: b"" if level or index else leaves)
    plains = [json.loads(data) for data in log]
    wanted = [place for place, plain in enumerate(plains) if scope.log or _about(plain, scope)]
    judged = {plains[place]["decision"]["policy"]["hash"] for place in wanted if "decision" in plains[place]}
    trust = rooted(msgspec.json.decode((folder / "trust.json").read_bytes(), type=Trust))
    lines: list[Value] = [
        Manifest(
            navicert=FORMAT, entries=len(wanted), made_at=rfc3339(START), made_by="navicert", origin=ORIGIN,
            revealed="all", scope=scope,
        ),
        TrustLine(trust=receipt_bytes(trust).decode()),
        CheckpointLine(checkpoint=note(nodes, size, witnessed=size == witnessed)),
    ]  # fmt: skip
    if size != witnessed:
        proof = tuple(map(encode64, consistency_proof(witnessed, size, nodes)))
        lines.append(CosignedLine(cosigned=note(nodes, witnessed, witnessed=True), consistency=proof))
    lines += [PolicyLine(policy=data.decode()) for data in policies if scope.log or policy_of(data)[1] in judged]
    for place in wanted:
        path = None if scope.log or place >= size else tuple(map(encode64, inclusion_proof(place, size, nodes)))
        lines.append(EntryLine(entry=log[place].decode(), disclosures=tuple(shown[place]), proof=path))
    lines.append(FileLine(name="note.txt", text="taken along\n"))
    return sealed(b"".join(map(line_of, lines)))


def _about(plain: dict[str, Any], scope: Scope) -> bool:
    return plain["kind"] in RECORDS or plain.get("action", {}).get("id") == scope.action


def sealed(body: bytes) -> bytes:
    """Return a bundle with its last line, as anybody can write it."""
    return body + line_of(EndLine(lines=body.count(b"\n"), sha256=sha256(body).hexdigest()))


def changes(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return changed siblings: in `file`, the first `old` is `new`, and where `sealed` the last line is made anew."""
    action, log = files["action.jsonl"].decode(), files["whole.jsonl"].decode()
    root = next(json.loads(line)["checkpoint"].split("\n")[2] for line in log.splitlines() if '"checkpoint"' in line)
    proof = ',"proof":[' + action.split(',"proof":[', 1)[1].split("]", 1)[0] + "]"
    cases = [
        ("a changed byte", "bundle_changed", "whole.jsonl", "taken along", "taken apart", False),
        ("a changed verdict", "bad_signature", "whole.jsonl", r"\"result\":\"ALLOW\"", r"\"result\":\"DENY\"", True),
        ("another root", "bad_signature", "whole.jsonl", root, ("A" if root[0] != "A" else "B") + root[1:], True),
        ("a proof of something else", "bad_inclusion", "action.jsonl", '"proof":["', '"proof":["AAAA', True),
        ("without its proof", "bad_inclusion", "action.jsonl", proof, "", True),
        ("fewer entries than it says", "manifest", "action.jsonl", '{"entries":', '{"entries":1', True),
        ("a trust file that was changed", "bad_trust", "action.jsonl", r"\"quorum\":1", r"\"quorum\":2", True),
        ("a cosignature from nobody", "bad_cosignature", "whole.jsonl", WITNESS + " ", WITNESS + "2 ", True),
    ]
    found = []
    for name, code, file, old, new, remade in cases:
        text = {"action.jsonl": action, "whole.jsonl": log}[file]
        if old not in text:
            raise SystemExit(f"{name}: there is no `{old}`")
        case = {"name": name, "code": code, "file": file, "old": old, "new": new, "sealed": remade}
        reached = code_of(changed(files[file], case))
        if reached != code:
            raise SystemExit(f"{name}: refused as {reached}, not as {code}")
        found.append(case)
    return found


def changed(data: bytes, case: dict[str, Any]) -> bytes:
    """Return a bundle as a case of `tampered.jsonl` wants it."""
    made = data.replace(case["old"].encode(), case["new"].encode(), 1)
    return sealed(made[: made[:-1].rindex(b"\n") + 1]) if case["sealed"] else made


def code_of(data: bytes) -> str | None:
    """Return the reason code for which a bundle is refused, None where it verifies."""
    try:
        verify_bundle(BytesIO(data), root=MARK)
    except VerificationError as error:
        return error.code
    return None


MARK: Final = fingerprint(
    Trust(origin=ORIGIN, keys=(), root=Root(key_id=ROOT.key_id, algorithm=ED25519, public=b64(ROOT.public)))
)


def make(into: Path, name: str) -> Path:
    """Make the set below `into`; returns its folder."""
    target = into / name
    if target.exists():
        raise SystemExit(f"{target} is there; vectors are only ever added: take another name")
    approved = next(
        plain["action"]["id"]
        for plain in map(json.loads, (into / "log-ed25519" / "log.jsonl").read_bytes().splitlines())
        if len(plain.get("approval", ())) == 2 and "action" in plain
    )
    files = {
        "whole.jsonl": bundle(into / "log-es256", Scope(log=True), entries=22, size=20, witnessed=16),
        "action.jsonl": bundle(
            into / "log-ed25519", Scope(action=approved), entries=53, size=50, witnessed=50
        ),
    }  # fmt: skip
    expect: dict[str, Any] = {"root": MARK}
    for file, data in files.items():
        found = verify_bundle(BytesIO(data), root=MARK)
        expect[file] = {
            **{part: getattr(found, part) for part in ("authentic", "size", "cosigned", "tail", "disclosed", "unseen")},
            "entries": found.manifest.entries,
            "open": [item.name for item in found.open],
        }
    files["expect.json"] = json.dumps(expect, indent=2).encode() + b"\n"
    files["tampered.jsonl"] = b"".join(json.dumps(case).encode() + b"\n" for case in changes(files))
    target.mkdir(parents=True)
    for file, data in files.items():
        (target / file).write_bytes(data)
    with (into / SUMS).open("a", encoding="utf-8") as sums:
        sums.writelines(f"{sha256(data).hexdigest()}  {name}/{file}\n" for file, data in sorted(files.items()))
    return target


def main(arguments: list[str]) -> None:
    """Make the set that the command line asks for."""
    parser = argparse.ArgumentParser(description="make a set of test vectors of bundles")
    parser.add_argument("name", help="the folder to make, for instance `bundles-0.2`")
    parser.add_argument("--into", type=Path, default=Path(__file__).resolve().parents[1] / "vectors")
    given = parser.parse_args(arguments)
    print(make(given.into, given.name))


if __name__ == "__main__":
    main(sys.argv[1:])
