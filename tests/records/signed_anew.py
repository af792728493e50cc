"""What finds out an insider who changes one value of one receipt, and signs it and all that follow anew: the rules.

In the order of docs/reference/verify.md. Where no rule applies, nothing in the log or beside it says the same again:
only a head, or a checkpoint, that somebody else has kept contradicts the insider (tests/attacks/test_detection.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from navicert.core.digest import bytes_digest
from navicert.verification.disclosed import read_disclosure
from navicert.verification.forms import PERMITTING, REFUSING, WAITING
from records.forge import Plain
from records.mutants import Path, at, form_of, general
from records.vectors import Vector

REPEATED_BY = {
    "outcome": ("action", "requester_context", "decision", "context.hash", "context.level", "context.categories"),
    "resolution": (
        "action.id", "action.tool", "action.operation", "action.digest", "action.timestamp", "action.surface",
        "requester_context", "deferral.handle",
    ),
}  # fmt: skip
"""What a receipt of this kind repeats of the one that it completes; of `requester_context` not the commitment."""
COMMITMENTS = frozenset({
    "action.parameters", "action.effective", "requester_context.human_name", "decision.reason", "decision.evaluated",
    "execution.output", "deferral.facts", "authority.reason", "approver.name", "approval.*.name",
    "approval.*.statement", "erasure.reason", "restore.reason",
})  # fmt: skip
KEYED = frozenset({
    "action.tool", "action.operation", "action.digest", "action.effective_digest", "requester_context.human",
    "requester_context.evidence", "revalidation.evidence", "revalidation.scope.*", "authority.by", "approver.approver",
    "restore.by",
})  # fmt: skip
"""What the disclosed values, hashed with the deployment's key, have to give."""
TERMS = frozenset({"deferral.reason_code", "deferral.deadline", "deferral.resolved_at", "revalidation.at", "at"})
ASKED = ("context.level", "context.categories", "decision.rules")
"""What the question says again, which people signed."""
CONTEXT = frozenset({"context.hash", "context.head", "context.length", "deferral.handle", "execution.success"})
PLACES = {
    "version": "schema", "kind": "schema", "log.origin": "wrong_origin", "log.seq": "gap", "log.prev": "chain_broken",
}  # fmt: skip
UNFORMED = frozenset({"decision.policy.hash", "policy.hash", "approver.key.algorithm", "key.algorithm"})
"""Digests and words whose form nobody looks at: they have to be those of something that is known."""


def named(path: Path) -> str:
    return ".".join(general(path))


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


@dataclass(frozen=True)
class Case:
    """One value changed: in which log, at which place (from 0), where, and to what."""

    one: Vector
    place: int
    path: Path
    value: Any

    @cached_property
    def plain(self) -> Plain:
        return self.one.plains[self.place]

    @cached_property
    def follower(self) -> Plain:
        """The receipt that completes this one; empty where there is none."""
        digest = bytes_digest(self.one.log[self.place])
        return next((plain for plain in self.one.plains if plain.get("completes") == digest), {})

    @cached_property
    def result(self) -> str:
        return self.plain.get("decision", {}).get("result", "")

    @cached_property
    def told(self) -> str | None:
        """The code, as far as receipts, disclosures and contexts tell the value again; None where nothing does.

        What people sign for an erasure is not looked at: it names the head of the log, and so tells of everything.
        """
        name, kind = named(self.path), self.plain["kind"]
        return (
            PLACES.get(name)
            or self._form(name, kind)
            or self._paired(name, kind)
            or self._ended(name, kind)
            or self._recorded(name, kind)
            or self._shown(name, kind)
        )

    def _form(self, name: str, kind: str) -> str | None:
        if name.startswith("session.") or name == "requester_context.session":
            return "session_chain"
        if name.startswith(("key.", "approver.key.")):
            return "bad_key"
        held = at(self.plain, self.path)
        if form_of(held) and form_of(self.value) != form_of(held) and name not in UNFORMED:
            return "schema"  # out of its form
        if name in {"requester_context.delegation.*.evidence", "execution.released.how"}:
            return "schema"  # neither keyed nor `asserted`; withheld, and labelled
        if name == "authority.before" and kind != "authority":
            return "schema"  # it would widen authority
        if name == "decision.result":
            return self._verdict(kind)
        return None

    def _verdict(self, kind: str) -> str | None:
        """A verdict has to fit the other parts, what completes it, what people were asked, and the context."""
        modified = "effective" in self.plain["action"]
        waits = kind == "decision" and ("deferral" in self.plain) != (self.value in WAITING)
        if waits or (self.value in PERMITTING and modified != (self.value == "MODIFY")):
            return "schema"
        if kind == "outcome":
            return "pairing"
        if self.plain.get("deferral", {}).get("method") == "escalation":
            return "resolution"
        expected = {"outcome": PERMITTING, "resolution": WAITING}.get(self.follower.get("kind", ""), {self.value})
        if self.value not in expected:
            return "pairing"
        return "answer_mismatch" if self.follower.get("approval") else "context_mismatch"

    def _paired(self, name: str, kind: str) -> str | None:
        if name == "completes":
            return "pairing"
        if within(name, ("decision.policy", "policy")) and kind != "outcome":
            return "policy_unknown"
        for completing in (kind, self.follower.get("kind", "")):
            own = name == "requester_context.human_name" and completing == "resolution"
            if within(name, REPEATED_BY.get(completing, ())) and not own:
                return "pairing"
        return None

    def _ended(self, name: str, kind: str) -> str | None:
        after = self.follower.get("kind") == "resolution"
        if kind == "resolution" and name in TERMS:
            return "resolution"
        if after and name in {"deferral.deadline", "decision.reason_code"}:
            return "resolution"
        if after and name == "at":
            if self.value > self.follower["at"]:
                return "resolution"
            return "answer_mismatch" if self.follower.get("approval") else None
        if name == "deferral.method":
            answers = [item["answer"] for item in self.plain.get("approval", ())]
            refused = self.value in REFUSING and self.result != "DENY"
            return "resolution" if refused or (self.value == "denial" and "deny" not in answers) else None
        return None

    def _recorded(self, name: str, kind: str) -> str | None:
        if name in {"restore.epoch", "erasure.state", "erasure.subject"}:
            return "restore" if name == "restore.epoch" else "erasure_refused"
        if name == "approval.*.answer":
            return "erasure_refused" if kind == "erasure" else "resolution"
        if name == "approval.*.role":
            return "erasure_refused" if kind == "erasure" else "answer_mismatch"
        if name in {"approval.*.approver", "approval.*.key_id", "approver.approver"}:
            return "approver"
        if name in {"authority.after", "authority.subject"} or (name == "authority.before" and kind == "authority"):
            return "authority"
        if name == "authority.epoch" and any("authority" in plain for plain in self.one.plains[self.place + 1 :]):
            return "authority"
        return None

    def _shown(self, name: str, kind: str) -> str | None:
        if name in COMMITMENTS or name == "deferral.attempts":
            return "disclosure_mismatch"
        if name in KEYED:
            return "action_mismatch"
        if name == "approval.*.signature":
            return "answer_signature"
        if name == "approval.*.at" and kind == "erasure":
            return None  # the statement has the time of the request
        if name == "approval.*.at" or (within(name, ASKED) and self.follower.get("approval")):
            return "answer_mismatch"
        if name in CONTEXT or (name == "action.id" and "session" in self.plain):
            return "context_mismatch"
        return None


def signed_behind(one: Vector, place: int) -> bool:
    """Tell whether people signed a head of the log, for a record behind a place, that rests on the entry there."""
    for index, (plain, texts) in enumerate(zip(one.plains, one.disclosures, strict=True)):
        if plain["kind"] == "erasure" and index > place:
            shown = {pointer: value for _, pointer, value in map(read_disclosure, texts)}
            if json.loads(json.loads(shown["/approval/0/statement"]))["size"] > place:
                return True
    return False


def audited(
    one: Vector, entries: list[bytes], place: int, told: str | None, disclosures: Any = None
) -> tuple[str | None, str | None]:
    """Audit a log that was written anew from a place on; returns (what was to be expected, what was found).

    told: the code, as far as the log and what lies beside it tell. Where they do not, who signed a later head does.
    """
    if one.plains[place]["kind"] != "erasure":
        found = one.audit_code(entries, place, disclosures, erasures=False)
        if told is not None or found is not None:
            return told, found
    expected = told or ("answer_mismatch" if signed_behind(one, place) else None)
    return expected, one.audit_code(entries, place, disclosures)
