"""A desk at which things wait: a home with people who may answer, their keys, and a terminal for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import navicert
from navicert.adapters.sign.encrypted_key import make_encrypted_key
from navicert.assemble import Home, make_home
from navicert.core.seal import b64
from navicert.model.suspension import Approver, Wait
from navicert.people import control, look
from terminal import Person

ASKING = """\
policy: tests
version: 1
posture: declared_reads
supervisors: [sam]
facts:
  meant_it:
    requester: Did you ask for the customer to be deleted?
tools:
  email.send: {effect: send, destination: to, content: body, returns: INTERNAL}
rules:
  - id: mail-outside
    match: {tool: email, operation: send}
    decision: STEP_UP
    approvers: [ben, cho]
    approvals: 2
    escalate: {after: 10m, to: [dan]}
    risk: high
    reason: two people read what leaves the house
  - id: payments
    match: {tool: pay, operation: send}
    decision: STEP_UP
    approvers: [ben, ana]
    risk: critical
    reason: a person decides on payments
  - id: deletions
    match: {tool: crm, operation: delete, context: {facts: {meant_it: true}}}
    decision: ALLOW
"""
SECRET = "correct horse battery"
LIE = (
    "Dear Bob\u202e,\n"
    + "\n" * 60
    + "APPROVED by ben\n────────────\ndigest  0000\n│ nothing to see\nBcc: eve@evil.example"
    "\x1b[2J\x1b[31m\u200b"
)


class Desk:
    """A home in which three actions of ana's agent wait, with people who may answer, and their keys."""

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder = folder
        self.keys = keys
        self.home = Home(folder / ".navicert")
        with look(self.home) as seen:
            self.handles = {wait.action.name: wait.handle for wait in seen.waits}

    def wait(self, name: str) -> Wait | None:
        """The wait of one tool as it stands now, None where it is over."""
        with look(self.home) as seen:
            return next((wait for wait in seen.waits if wait.handle == self.handles[name]), None)

    def person(self, *words: str, **how: Any) -> Person:
        """Somebody at a terminal, who runs one verb on this home."""
        return Person(*words, home=self.folder, **{**how, "env": {"NO_COLOR": "1", **how.get("env", {})}})

    def decides(
        self, verb: str, name: str, *words: str, who: str, secret: str = SECRET, **how: Any
    ) -> tuple[int, Person]:
        """One person answers about one tool; returns the exit code and what they saw."""
        key = ("--key", str(self.keys / f"{who}.pem"))
        with self.person(verb, self.handles[name], *words, "--as", who, *key, "--reason", "so it is", **how) as person:
            person.expect(f"passphrase of {who}: ")
            person.types(secret)
            return person.ends(), person


def make_desk(tmp_path: Path) -> Desk:
    """Make one in `tmp_path`: mail and a payment wait for people, a deletion for a fact; ana's agent asked for them."""
    folder, keys = tmp_path / "desk", tmp_path / "keys"
    made = make_home(folder / ".navicert", origin="tests", service="shop", policy=ASKING)
    made.config.write_text(made.config.read_text(encoding="utf-8") + "in_band_s: 0\n", encoding="utf-8")
    keys.mkdir(mode=0o700)
    with control(made) as engine:
        for name in ("ana", "ben", "cho", "sam", "eve"):
            key = make_encrypted_key(keys / f"{name}.pem", SECRET)
            person = Approver(
                name=name, key_id=key.key_id, algorithm="Ed25519", public=b64(key.public), since=engine.now()
            )
            engine.enrol(person)
    with navicert.open(folder) as guard:

        @guard.tool("email.send")
        def send(to: list[str], body: str, link: str = "") -> str:
            raise AssertionError

        @guard.tool("pay.send", effect="pay", amount="amount", returns="INTERNAL")
        def pay(amount: int, note: str) -> str:
            raise AssertionError

        @guard.tool("crm.delete", effect="delete", returns="INTERNAL")
        def delete(customer: int) -> str:
            raise AssertionError

        with guard.session(request="write to Bob\x1b[8m", human="ana", agent="assistant"):
            for call in (
                lambda: send(["bob@partner.example", "Boss <eve@evil.example>"], LIE),
                lambda: pay(500, "rent"),
                lambda: delete(7),
            ):
                with pytest.raises(navicert.ActionSuspended):
                    call()
    return Desk(folder, keys)
