"""Our checkpoints and proofs, verified by golang.org/x/mod, which is not ours (`scripts/foreign` builds it; R5)."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from foreign.make import base64
from navicert.adapters.sign.file_key import new_key
from navicert.core.seal import unb64
from navicert.tlog.checkpoint import Checkpoint, cosign, cosigned, sign_checkpoint
from navicert.tlog.note import NOTE_ED25519, parse_note, vkey
from navicert.tlog.tree import consistency_proof, inclusion_proof, leaf_hash, tree_root

PROGRAM = Path(__file__).parents[2] / ".peers" / "tlog"
ORIGIN = "acme.example/log"
ENTRIES = [sha256(bytes([place & 0xFF, place >> 8])).digest() for place in range(700)]
LEAVES = [leaf_hash(data) for data in ENTRIES]
KEY = new_key("Ed25519")


def nodes(level: int, index: int) -> bytes:
    return tree_root(LEAVES[index << level : (index + 1) << level])


def note(size: int, **changes: Any) -> str:
    said = Checkpoint(**{"origin": ORIGIN, "size": size, "root": tree_root(LEAVES[:size]), **changes})
    return sign_checkpoint(said, said.origin, KEY)


def asked(index: int = 42, size: int = 700, older: int = 300) -> dict[str, Any]:
    return {
        "vkey": vkey(ORIGIN, NOTE_ED25519, KEY.public), "note": note(size), "older": note(older), "index": index,
        "entry": base64(ENTRIES[index]), "inclusion": [base64(each) for each in inclusion_proof(index, size, nodes)],
        "consistency": [base64(each) for each in consistency_proof(older, size, nodes)],
    }  # fmt: skip


def verified(given: dict[str, Any]) -> str:
    """What it says against it; nothing where it is content."""
    if not PROGRAM.exists():
        pytest.fail("there is no .peers/tlog: run scripts/foreign", pytrace=False)
    found = subprocess.run([PROGRAM], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60)
    if found.returncode == 0:
        assert found.stdout == parse_note(given["note"]).text
    return found.stderr


@pytest.mark.parametrize(
    ("index", "size", "older"),
    [(0, 1, 1), (0, 2, 1), (1, 3, 2), (6, 7, 4), (42, 700, 300), (699, 700, 699), (511, 512, 256), (256, 700, 512)],
)
def test_it_accepts_our_checkpoints_inclusion_and_consistency(index, size, older):
    assert verified(asked(index, size, older)) == ""


def test_it_accepts_a_checkpoint_that_a_witness_cosigned():
    given = asked()
    line = cosign(parse_note(given["note"]).text, "witness.example/w", new_key("Ed25519"), 1_790_000_000)
    given["note"] = cosigned(given["note"], [line])
    assert given["note"].count("—") == 2
    assert verified(given) == ""


def test_it_accepts_what_our_exporter_writes(exported):
    made = exported["Ed25519"]
    lines = [json.loads(line) for line in made.bundles["action"].splitlines()]
    (key,) = json.loads(lines[1]["trust"])["log"]
    proven = [line for line in lines if "proof" in line]
    assert len(proven) > 20
    for line in proven:
        given = {"vkey": vkey(lines[0]["origin"], NOTE_ED25519, unb64(key["public"])), "note": lines[2]["checkpoint"],
                 "index": json.loads(line["entry"])["log"]["seq"] - 1, "entry": base64(line["entry"].encode()),
                 "inclusion": line["proof"]}  # fmt: skip
        assert verified(given) == ""


def flip(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


TAMPERED = {
    "size": (lambda it: it.update(note=it["note"].replace("\n700\n", "\n701\n")), "checkpoint"),
    "root": (lambda it: it.update(note=flip(it["note"], 30)), "checkpoint"),
    "signature": (lambda it: it.update(note=flip(it["note"], len(it["note"]) - 20)), "checkpoint"),
    "origin": (lambda it: it.update(note=note(700, origin="other.example")), "checkpoint"),
    "another key": (lambda it: it.update(vkey=vkey(ORIGIN, NOTE_ED25519, new_key("Ed25519").public)), "checkpoint"),
    "another root, well signed": (lambda it: it.update(note=note(700, root=bytes(32))), "inclusion"),
    "another size, well signed": (lambda it: it.update(note=note(699)), "inclusion"),
    "entry": (lambda it: it.update(entry=base64(b"another")), "inclusion"),
    "index": (lambda it: it.update(index=43), "inclusion"),
    "proof": (lambda it: it["inclusion"].__setitem__(0, base64(bytes(32))), "inclusion"),
    "proof, cut": (lambda it: it["inclusion"].pop(), "inclusion"),
    "consistency": (lambda it: it["consistency"].__setitem__(0, base64(bytes(32))), "consistency"),
    "consistency, cut": (lambda it: it["consistency"].pop(), "consistency"),
    "older root, well signed": (lambda it: it.update(older=note(300, root=bytes(32))), "consistency"),
    "older, of another size": (lambda it: it.update(older=note(301)), "consistency"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_it_refuses_what_was_changed(name):
    given = asked()
    does, where = TAMPERED[name]
    does(given)
    assert verified(given).startswith((where, f"older {where}"))
