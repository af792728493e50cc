"""A log that signs what a test wants, and a witness over loopback to show it to."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from navicert.adapters.sign.file_key import new_key
from navicert.model.trust import TrustedWitness
from navicert.tlog.checkpoint import Checkpoint, sign_checkpoint
from navicert.tlog.note import NOTE_ECDSA, NOTE_ED25519, vkey
from navicert.tlog.tree import consistency_proof, leaf_hash, tree_root
from navicert.witness.server import WitnessServer
from navicert.witness.state import Witness, make_witness, watch

ORIGIN = "log.example/shop"
NAME = "witness.example/w1"


class Log:
    """A log of entries `0`, `1`, …; from leaf `forked` on, of others."""

    def __init__(self, origin: str = ORIGIN, algorithm: str = "Ed25519", key: Any = None) -> None:
        self.origin = origin
        self.key = key or new_key(algorithm)
        kind = NOTE_ECDSA if self.key.algorithm == "ES256" else NOTE_ED25519
        self.vkey = vkey(origin, kind, self.key.public)

    def leaves(self, size: int, forked: int | None = None) -> list[bytes]:
        end = size if forked is None else forked
        return [leaf_hash(b"%d" % n) for n in range(end)] + [leaf_hash(b"x%d" % n) for n in range(end, size)]

    def note(self, size: int, forked: int | None = None, extensions: tuple[str, ...] = (), key: Any = None) -> str:
        root = tree_root(self.leaves(size, forked))
        checkpoint = Checkpoint(origin=self.origin, size=size, root=root, extensions=extensions)
        return sign_checkpoint(checkpoint, self.origin, key or self.key)

    def proof(self, old: int, size: int, forked: int | None = None) -> list[bytes]:
        leaves = self.leaves(size, forked)
        return consistency_proof(old, size, lambda level, at: tree_root(leaves[at << level : at + 1 << level]))


class Reply(NamedTuple):
    status: int
    kind: str
    text: str


def body(old: int | str, proof: list[bytes], note: str) -> bytes:
    from base64 import b64encode

    lines = "".join(b64encode(item).decode() + "\n" for item in proof)
    return f"old {old}\n{lines}\n{note}".encode()


def ask(server: WitnessServer, method: str, path: str, data: bytes | None = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheader("Content-Type", ""), answer.read().decode())
    finally:
        connection.close()


def post(server: WitnessServer, data: bytes) -> Reply:
    return ask(server, "POST", "/add-checkpoint", data)


def submit(server: WitnessServer, log: Log, old: int, size: int, forked: int | None = None) -> Reply:
    """Submit what the log says of itself at `size`, with a proof from `old` as good as it has one."""
    proof = log.proof(old, size, forked) if old <= size else []
    return post(server, body(old, proof, log.note(size, forked)))


def made(folder: Path, *logs: Log, passphrase: str | None = None) -> Path:
    make_witness(folder, NAME, passphrase)
    for log in logs:
        watch(folder, log.origin, log.vkey)
    return folder


@contextmanager
def serving(folder: Path, **settings: Any):
    server = WitnessServer(Witness(folder, **settings))
    server.start()
    try:
        yield server
    finally:
        server.close()


def trusted(server: WitnessServer) -> list[TrustedWitness]:
    return [TrustedWitness(vkey=server.witness.settings.vkey, operator="ana")]
