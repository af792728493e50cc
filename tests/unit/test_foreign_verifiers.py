"""Verifiers that are not ours, on logs that are: openssl with jq, and Node (property 8)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from navicert.assemble import Home
from navicert.audit import open_archive
from navicert.model.receipt import Kind
from records.corpus import corpus
from records.forge import canonical, flip, leaves, plains

SCRIPTS = Path(__file__).parents[2] / "scripts"
OPENSSL = SCRIPTS / "verify-with-openssl.sh"
NODE = SCRIPTS / "verify-with-node.mjs"


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"missing: {', '.join(missing)} (`scripts/install dev`, or apt)")


def log(algorithm="Ed25519"):
    with open_archive(Home(corpus(algorithm))) as archive:
        return [row.data for row in archive.log()]


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)


def test_the_shell_verifier_fits_on_a_page():
    assert len(OPENSSL.read_text().splitlines()) <= 15


def with_openssl(folder, data, trust=None):
    receipt = folder / "receipt.json"
    receipt.write_bytes(data)
    return run("bash", OPENSSL, receipt, trust or Home(corpus()).trust)


@needs("openssl", "jq", "basenc")
def test_openssl_verifies_each_kind_of_receipt(tmp_path):
    seen = set()
    for data in log():
        plain = json.loads(data)
        if plain["kind"] in seen or plain["signature"]["algorithm"] != "Ed25519":
            continue
        seen.add(plain["kind"])
        found = with_openssl(tmp_path, data)
        assert (found.returncode, found.stdout.strip()) == (0, "Signature Verified Successfully")
    # of the same form, and in the vectors signed with P-256: there the Node script and the page verify them
    assert seen == set(get_args(Kind)) - {"erasure", "restore", "prune"}


@needs("openssl", "jq", "basenc")
def test_openssl_refuses_what_was_changed(tmp_path):
    data = log()[2]
    plain = json.loads(data)
    tampered = [("requester_context", "human"), ("decision", "policy", "hash"), ("decision", "result"),
                ("context", "hash"), ("log", "origin"), ("log", "seq"), ("signature", "key_id"),
                ("signature", "algorithm"), ("signature", "value"), ("action", "digest")]  # fmt: skip
    assert set(tampered) <= set(leaves(plain))
    for path in tampered:
        assert with_openssl(tmp_path, canonical(flip(plain, path))).returncode != 0, path
    assert with_openssl(tmp_path, data.replace(b",", b", ", 1)).returncode != 0
    assert with_openssl(tmp_path, data.replace(b'"kind":', b'"kind":"x","kind":', 1)).returncode != 0
    empty = tmp_path / "trust.json"
    empty.write_text('{"origin":"acme.log","keys":[]}')
    assert with_openssl(tmp_path, data, empty).returncode != 0
    assert with_openssl(tmp_path, data, Home(corpus("ES256")).trust).returncode != 0


def with_node(folder, entries, algorithm="Ed25519", trust=None):
    exported = folder / "log.jsonl"
    exported.write_bytes(b"".join(entry + b"\n" for entry in entries))
    return run("node", NODE, exported, trust or Home(corpus(algorithm)).trust)


@needs("node")
@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_node_verifies_a_whole_log(tmp_path, algorithm):
    entries = log(algorithm)
    found = with_node(tmp_path, entries, algorithm)
    assert found.stderr == ""
    with open_archive(Home(corpus(algorithm))) as archive:
        assert found.stdout.strip() == f"verified: {len(entries)} entries of acme.log, head {archive.head()[1]}"


@needs("node")
def test_node_refuses_what_was_changed(tmp_path):
    entries = log()
    last = json.loads(entries[-1])
    trust = json.loads(Home(corpus()).trust.read_text())
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(trust | {"keys": []}))
    retired = next(place for place, plain in enumerate(plains(entries)) if plain["kind"] == "key")
    wrong = {
        "dropped": entries[:5] + entries[6:],
        "swapped": [entries[1], entries[0], *entries[2:]],
        "flipped": [*entries[:-1], canonical(flip(last, ("action", "tool")))],
        "signed in another spelling": [*entries[:-1], canonical(flip(last, ("signature", "value")))],
        "spaced": [*entries[:-1], entries[-1] + b" "],
        "without the hand-over": entries[:retired] + entries[retired + 1 :],
        "of another key": [*entries[:-1], canonical(flip(last, ("signature", "key_id")))],
    }
    assert {name: with_node(tmp_path, each).returncode for name, each in wrong.items()} == dict.fromkeys(wrong, 1)
    assert with_node(tmp_path, entries, trust=empty).returncode == 1
