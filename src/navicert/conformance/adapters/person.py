"""People who answer, in a process of their own: `person.py SOCKET`, one line of JSON each way (R4.a).

Their keys never leave its memory. As root, it gives its rights up for good before it talks to the owner. Before a
person signs, what is shown must be what the digest stands for; otherwise they say no.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import time_ns
from typing import Final

import msgspec

from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.asking.question import wait_document
from navicert.conformance.contract import Voted
from navicert.core.seal import b64
from navicert.model.errors import IntegrityError, NavicertError
from navicert.model.suspension import Answer, Approver, Approvers
from navicert.people import sign_answer
from navicert.service.reach import Remote, reach

NOBODY: Final = 65_534


class Introduce(msgspec.Struct, frozen=True, tag="introduce", forbid_unknown_fields=True):
    """Say who somebody is: answered with an `Approver`, to be enrolled."""

    name: str


class Asked(msgspec.Struct, frozen=True, tag="asked", forbid_unknown_fields=True):
    """Have somebody answer. forged: by a key that only they say is that person's."""

    handle: str
    name: str
    approve: bool
    why: str
    forged: bool = False


def main(socket: str) -> None:
    """Answer until standard input ends."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    keys: dict[str, FileKey] = {}
    remote: Remote | None = None
    for line in sys.stdin:
        asked = msgspec.json.decode(line, type=Introduce | Asked)
        if isinstance(asked, Introduce):
            key = keys[asked.name] = new_key("Ed25519")
            public, now = b64(key.public), time_ns() // 1000
            _say(Approver(name=asked.name, key_id=key.key_id, algorithm=key.algorithm, public=public, since=now))
            continue
        try:
            remote = remote or reach(Path(socket), timeout_s=10.0, token=None, address=None)
            _say(answer(remote, asked, new_key("Ed25519") if asked.forged else keys[asked.name]))
        except NavicertError as error:
            _say(Voted(taken=False, shown="", why=str(error), user=os.geteuid()))


def answer(remote: Remote, asked: Asked, key: FileKey) -> Voted:
    """Look at what waits, and say yes or no to exactly that."""
    wait = remote.engine.wait(asked.handle)
    if wait is None:
        return Voted(taken=False, shown="", why="nothing waits under this handle", user=os.geteuid())
    now = remote.engine.now()
    try:
        document = wait_document(wait, Approvers(), now, reasons={})
    except IntegrityError as error:  # what is shown is not what would run
        vote = sign_answer(wait.question, Answer.DENY, asked.name, key, now, "what is shown is not what would run")
        remote.engine.answer(asked.handle, vote)
        shown = msgspec.json.encode(wait, order="deterministic").decode()
        return Voted(taken=False, shown=shown, why=str(error), user=os.geteuid())
    word = Answer.APPROVE if asked.approve else Answer.DENY
    shown = msgspec.json.encode(document, order="deterministic").decode()
    said = Voted(
        taken=True,
        shown=shown,
        user=os.geteuid(),
        distance=document["distance"],
        confidence=document["confidence"],
        escalated=document["source"].startswith("escalated"),
    )
    try:
        remote.engine.answer(asked.handle, sign_answer(wait.question, word, asked.name, key, now, asked.why))
    except NavicertError as error:
        return msgspec.structs.replace(said, taken=False, why=str(error))
    return said


def _say(value: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
