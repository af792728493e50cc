"""Make a set of test vectors: a whole log, with what it discloses, and changed siblings of it (vectors/README.md).

    scripts/make_vectors.py NAME [--algorithm ES256] [--into vectors]

* The same code makes the same bytes: clock, ids, salts and keys are fixed. The keys are derived from their names, so
  everybody has them: they protect nothing.
* Nothing is ever overwritten: what earlier versions wrote has to verify for ever.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import FileKey
from navicert.adapters.store.handover import append_key_record
from navicert.assemble import make_home, make_pseudonym, trusted
from navicert.audit import open_archive
from navicert.config import read_config
from navicert.core.answers import statement_bytes
from navicert.core.canonical import state_bytes
from navicert.core.digest import bytes_digest
from navicert.core.draft import NO_LOG, NO_SIGNATURE, Scribe, record_draft
from navicert.core.seal import b64, commit_to, parse, plain_disclosure
from navicert.core.signature import ED25519, ES256
from navicert.core.times import rfc3339
from navicert.erasing import decide, look
from navicert.model.authority import Authority
from navicert.model.commit import Commit, Draft
from navicert.model.errors import ActionDenied, ActionSuspended, VerificationError
from navicert.model.receipt import RECEIPT_VERSION, KeyPart, Kind, PrunePart, Receipt, RestorePart
from navicert.model.suspension import Answer, Approver, Restoration, Statement, Vote
from navicert.model.trust import Trust
from navicert.testing.clock import CountingIds, FrozenClock
from navicert.testing.deployment import Bench, open_bench
from navicert.verification.disclosed import RESTORE, verify_disclosures, verify_policies
from navicert.verification.erasures import HOLD, RELEASE
from navicert.verification.log import verify_log

ORIGIN: Final = "vectors.example/log"
SUMS: Final = "SHA256SUMS"
POLICY: Final = """\
policy: office
version: {version}
posture: declared_reads
supervisors: [sue]
facts:
  window_open: {{command: [/bin/echo, 'true'], attempts: 1}}
tools:
  hr.read: {{effect: read, returns: INTERNAL, redact: PII}}
rules:
  - {{id: mail, match: {{tool: email, operation: send}}, decision: ALLOW, priority: 1}}
  - id: pii
    match:
      effect: send
      context: {{categories: {{contains: PII}}}}
      destination: {{not: {{ends_with: '@a.example'}}}}
    decision: DENY
    classification: context_dependent_deny
    reason: personal data must not leave
    priority: 10
  - {{id: cap, match: {{tool: db, operation: query}}, decision: MODIFY, modifications: [{{parameter: limit, cap: 10}}]}}
  - {{id: pay, match: {{tool: bank, operation: pay}}, decision: STEP_UP, approvers: [carol, dave], timeout: 1h}}
  - {{id: pair, match: {{tool: ops, operation: launch}}, decision: STEP_UP, approvers: [carol, dave], approvals: 2}}
  - id: shrink
    match: {{tool: ops, operation: scale, parameters: {{count: {{gt: 10}}}}}}
    decision: MODIFY
    modifications: [{{parameter: count, cap: 10}}]
    priority: 5
  - {{id: scale, match: {{tool: ops, operation: scale}}, decision: STEP_UP, approvers: [carol]}}
  - id: rollout
    match: {{tool: ops, operation: rollout, context: {{facts: {{window_open: true}}}}}}
    decision: ALLOW
  - {{id: window, match: {{tool: ops, operation: restart}}, decision: DEFER, timeout: 1h}}
  - {{id: drain, match: {{tool: ops, operation: drain}}, decision: DEFER, approvers: [dave], timeout: 1h}}
  - {{id: ask-first, match: {{effect: send}}, decision: STEP_UP, approvers: [carol], priority: 20, shadow: true}}
"""
Plain = dict[str, Any]


class FixedKey(FileKey):
    """The key of a name: anybody can make it. ES256 signs deterministically (RFC 6979)."""

    def __init__(self, name: str, algorithm: str) -> None:
        seed = sha256(f"navicert vectors: {name}".encode()).digest()
        super().__init__(
            derive_private_key(int.from_bytes(seed), SECP256R1())
            if algorithm == ES256
            else Ed25519PrivateKey.from_private_bytes(seed)
        )

    def sign(self, message: bytes) -> bytes:
        """Return 64 bytes of signature, the same ones for the same message."""
        if not isinstance(self._key, EllipticCurvePrivateKey):
            return super().sign(message)
        r, s = decode_dss_signature(self._key.sign(message, ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(32) + s.to_bytes(32)


class Made:
    """A home in the making: one clock, one count of ids, the keys by name."""

    def __init__(self, folder: Path, algorithm: str) -> None:
        self.clock, self.ids = FrozenClock(), CountingIds()
        other = ED25519 if algorithm == ES256 else ES256
        self.keys = [FixedKey("first", algorithm), FixedKey("second", other)]
        self.people = {
            name: FixedKey(name, each)
            for name, each in {"carol": ED25519, "dave": ES256, "sue": ED25519, "eve": ED25519}.items()
        }
        self.home = make_home(folder, origin=ORIGIN, service="office", policy=POLICY.format(version=1))
        self.home.pseudonym_key.write_bytes(sha256(b"navicert vectors: pseudonym").digest())
        self.trust = Trust(origin=ORIGIN, keys=(trusted(self.keys[0], self.clock.at),))

    def open(self, key: FixedKey) -> Bench:
        """Start an engine that signs with this key."""
        self.clock.tick(1)
        return open_bench(self.home.folder, clock=lambda _: self.clock, ids=lambda _: self.ids, signer=lambda _: key)

    def rotate(self) -> None:
        """Hand the log over to the second key."""
        self.clock.tick(60)
        old, new = self.keys
        part = KeyPart(key_id=new.key_id, algorithm=new.algorithm, public=b64(new.public))
        drafted = Receipt(
            version=RECEIPT_VERSION, kind="key", receipt_id=self.ids.new("rcp"), at=rfc3339(self.clock.at), log=NO_LOG,
            signature=NO_SIGNATURE, key=part,
        )  # fmt: skip
        append_key_record(self.home.store, ORIGIN, old, lambda: drafted)
        ended = msgspec.structs.replace(self.trust.keys[0], until=rfc3339(self.clock.at))
        self.trust = msgspec.structs.replace(self.trust, keys=(ended, trusted(new, self.clock.at)))
        (self.home.folder / "policy.yaml").write_text(POLICY.format(version=2), encoding="utf-8")

    def answer(self, guard: Bench, handle: str, name: str, answer: Answer = Answer.APPROVE) -> None:
        """Answer a question as this person."""
        self.clock.tick(5)
        wait, key = guard.engine.wait(handle), self.people[name]
        if wait is None:
            raise SystemExit(f"nothing waits as `{handle}`")
        said = Statement(
            question=wait.question, answer=answer, approver=name, key_id=key.key_id, at=self.clock.at, reason="I looked"
        )
        statement = statement_bytes(said)
        guard.engine.answer(handle, Vote(statement=statement, signature=key.sign(statement)))

    def restore(self, guard: Bench, subject: str) -> None:
        """Have the supervisor restore a subject's authority."""
        key = self.people["sue"]
        said = Restoration(
            subject=guard.engine.subject(subject), state=Authority.FULL, epoch=guard.engine.standings().epoch,
            approver="sue", key_id=key.key_id, at=self.clock.at, reason="looked into it",
        )  # fmt: skip
        statement = state_bytes(said)
        guard.engine.restore(Vote(statement=statement, signature=key.sign(statement)))


def tools_of(guard: Bench) -> dict[str, Callable[..., Any]]:
    """Return the tools that the agent has."""

    def failing(_: str) -> str:
        raise ConnectionError("no route")

    def hanging(_: str) -> str:
        raise TimeoutError("no answer")

    made: dict[str, tuple[Callable[..., Any], Plain]] = {
        "email.send": (
            lambda to, body: f"sent {len(body)} to {to}", {"effect": "send", "destination": "to", "content": "body"}),
        "crm.read": (lambda name: {"name": name, "mail": "anna.smith@gmail.com"}, {"effect": "read"}),
        "hr.read": (lambda name: f"{name}.jones@gmail.com", {}),
        "db.query": (lambda sql, limit=100: limit, {"effect": "read"}),  # noqa: ARG005 - as tools are declared
        "web.fail": (failing, {"effect": "read"}),
        "web.slow": (hanging, {"effect": "read"}),
        "bank.pay": (lambda to, amount: None, {"effect": "pay", "destination": "to", "amount": "amount"}),  # noqa: ARG005
        **{f"ops.{name}": (lambda what=None, count=0: what or count, {"effect": "execute"})
           for name in ("launch", "scale", "rollout", "drain", "restart")},
    }  # fmt: skip
    known: dict[str, Any] = {
        name: {"returns": "INTERNAL", **options} if options else {} for name, (_, options) in made.items()
    }
    return {name: guard.tool(name, **known[name])(function) for name, (function, _) in made.items()}


def run(made: Made, *, whole: bool) -> None:
    """Do the work; `whole`: with waits, people and authority, and a second key."""
    with made.open(made.keys[0]) as guard:
        tools = tools_of(guard)
        for name, key in made.people.items():
            guard.engine.enrol(
                Approver(
                    name=name,
                    key_id=key.key_id,
                    algorithm=key.algorithm,
                    public=b64(key.public),
                    since=guard.engine.now(),
                )
            )
        guard.engine.dismiss("eve")
        _office(made, guard, tools)
        if whole:
            with guard.session(request="run the operation", human="Ana Müller", agent="bot", roles=["clerk"]):
                _waits(made, guard, tools)
            _authority(made, guard, tools)
    if whole:
        made.rotate()
        with made.open(made.keys[1]) as guard:
            made.clock.tick(7200)
            guard.engine.sweep()
            tools = tools_of(guard)
            with guard.session(request="after the hand-over", human="bert", agent="bot"):
                tools["db.query"]("select 3")
                _handle(tools["bank.pay"], "DE1", 12.50)
            _records(made, guard)


def _office(made: Made, guard: Bench, tools: dict[str, Callable[..., Any]]) -> None:
    """Verdicts that need nobody: ALLOW, MODIFY, DENY; errors, delegation, a redacted result, an open action."""
    with guard.session(request="write to Böb", human="Ana Müller", agent="bot", roles=["clerk"]) as session:
        tools["email.send"]("bob@partner.example", "hello, 😀")
        tools["db.query"]("select 1")
        tools["hr.read"]("carol")
        for name in ("web.fail", "web.slow", "web.slow"):
            with suppress(OSError):
                tools[name](name)
        made.clock.tick(1)
        with session.delegate(agent="helper", scope="crm.*", lasting=timedelta(hours=1)):
            tools["crm.read"]("anna")
        with suppress(ActionDenied):
            tools["email.send"]("bob@partner.example", "her data")
    with open_archive(made.home) as archive:
        action = archive.open_actions()[0].action
    guard.settle(action.id if action else "", happened=True, by="olga")
    with suppress(ActionDenied):
        tools["email.send"]("bob@partner.example", "nobody stands behind this")


def _waits(made: Made, guard: Bench, tools: dict[str, Callable[..., Any]]) -> None:
    """Waits that end in every way: approved by one and by two, refused, with other parameters, by facts, by nobody."""
    paid = _handle(tools["bank.pay"], "DE1", 12.50)
    made.answer(guard, paid, "carol")
    guard.resume(paid)
    refused = _handle(tools["bank.pay"], "DE2", 1_000)
    made.answer(guard, refused, "dave", Answer.DENY)
    launched = _handle(tools["ops.launch"], "it")
    made.answer(guard, launched, "carol")
    made.answer(guard, launched, "dave")
    guard.resume(launched)
    scaled = _handle(tools["ops.scale"], count=50)
    made.answer(guard, scaled, "carol")
    guard.resume(scaled)
    guard.resume(_handle(tools["ops.rollout"], "v2"))
    drained = _handle(tools["ops.drain"], "node 1")
    guard.engine.sweep()
    made.answer(guard, drained, "dave")
    guard.resume(drained)
    _handle(tools["ops.restart"], "web")


def _authority(made: Made, guard: Bench, tools: dict[str, Callable[..., Any]]) -> None:
    """Authority is taken away, and restored."""
    with guard.session(request="look", human="bert", agent="sneak"):
        guard.engine.stop("agent/sneak", Authority.SUSPENDED, by="olga", reason="something is wrong")
        with suppress(ActionDenied):
            tools["db.query"]("select 2")
        made.restore(guard, "agent/sneak")
        tools["db.query"]("select 2")


def _records(made: Made, guard: Bench) -> None:
    """A hold that one person sets and two lift; then records of a prune and of a restore, as they stand in a log."""
    opened: Any = SimpleNamespace(
        engine=guard.engine,
        journal=guard.store,
        keys=SubjectKeys(made.home.subjects),
        home=made.home,
        config=read_config(made.home.folder),
        ids=made.ids,
        pseudonym=make_pseudonym(read_secret(made.home.pseudonym_key)),
    )
    for name, state in (("carol", HOLD), ("carol", RELEASE), ("dave", RELEASE)):
        made.clock.tick(60)
        decide(opened, look(opened, "bert"), state, "an inquiry", name, made.people[name])
    plain = plain_disclosure(RESTORE, made.ids.salt(), b'{"by":"olga","reason":"the disk failed"}')
    parts: tuple[tuple[Kind, Plain, tuple[bytes, ...]], ...] = (
        ("prune", {"prune": PrunePart(upto=256, entries=0, archive=sha256(b"a bundle").hexdigest())}, ()),
        (
            "restore",
            {
                "restore": RestorePart(
                    epoch=2, size=9_999, root=sha256(b"a tree").hexdigest(), by=opened.pseudonym("olga"),
                    reason=commit_to(b64(plain)),
                )
            },
            (plain,),
        ),
    )  # fmt: skip
    scribe = Scribe(pseudonym=opened.pseudonym, salt=made.ids.salt, separation="none")
    for kind, part, disclosures in parts:
        made.clock.tick(60)
        record = record_draft(scribe, kind, receipt_id=made.ids.new("rcp"), now=made.clock.at)
        draft = Draft(
            receipt=msgspec.structs.replace(record.receipt, **part), disclosures=disclosures,
            subject=opened.pseudonym("olga") if disclosures else "",
        )  # fmt: skip
        guard.store.enqueue(Commit(draft=draft)).wait(5.0)


def _handle(call: Callable[..., Any], *args: Any, **named: Any) -> str:
    try:
        call(*args, **named)
    except ActionSuspended as waits:
        return waits.handle
    raise SystemExit("this was to wait")


def files_of(made: Made) -> dict[str, bytes]:
    """Return the files of a set, by name."""
    with open_archive(made.home) as archive:
        rows = list(archive.log())
        log, policies = [row.data for row in rows], archive.policies()
        disclosures = [archive.disclosures(row) for row in rows]
        contexts = {
            name: [state_bytes(entry).decode() for _, entry in archive.entries(name)] for name in archive.session_ids()
        }
    keyed = make_pseudonym(read_secret(made.home.pseudonym_key))
    found = verify_log(log, made.trust)
    verify_policies(found.policies, policies)
    values = sum(
        len(verify_disclosures(parse(data), texts, keyed)) for data, texts in zip(log, disclosures, strict=True)
    )
    expect = {
        **{name: getattr(found, name) for name in ("entries", "head", "kinds", "verdicts", "sessions", "keys")},
        "open": [item.name for item in found.open],
        "waiting": [item.name for item in found.waiting],
        "disclosed": values,
        "policies": sorted(policies),
        "pseudonym_key": read_secret(made.home.pseudonym_key).hex(),
    }
    return {
        "trust.json": msgspec.json.format(msgspec.json.encode(made.trust), indent=2) + b"\n",
        "log.jsonl": _lines(log),
        "disclosures.jsonl": _lines(json.dumps(texts).encode() for texts in disclosures),
        "contexts.jsonl": _lines(
            json.dumps({"session": name, "entries": entries}).encode() for name, entries in contexts.items()
        ),
        "policies.jsonl": _lines(policies[name] for name in sorted(policies)),
        "expect.json": json.dumps(expect, indent=2, default=list).encode() + b"\n",
        "tampered.jsonl": _lines(json.dumps(each).encode() for each in tampered(made, log)),
    }


def tampered(made: Made, log: list[bytes]) -> list[Plain]:
    """Return changed siblings of a log: `keep` so many entries, `then` these; and the code for which it is refused."""
    plains = [json.loads(data) for data in log]
    place = {
        kind: next(i for i, plain in enumerate(plains) if plain["kind"] == kind) for kind in ("decision", "outcome")
    }
    at, ended = place["decision"], place["outcome"]
    first = made.keys[0]

    def changed(index: int, **members: Any) -> Plain:
        return {**plains[index], **members}

    def signed(plain: Plain, key: FixedKey = first) -> bytes:
        plain = {**plain, "signature": {"algorithm": key.algorithm, "key_id": key.key_id}}
        plain["signature"]["value"] = b64(key.sign(_canonical(plain)))
        return _canonical(plain)

    decided = changed(at, decision={**plains[at]["decision"], "result": "DENY"})
    again = changed(ended, receipt_id="rcp_again", log={**plains[ended]["log"], "seq": ended + 2})
    again["log"]["prev"] = bytes_digest(log[ended])
    again["session"] = {**again["session"], "seq": again["session"]["seq"] + 1, "prev": bytes_digest(log[ended])}
    stranger = FixedKey("stranger", ED25519)
    cases = [
        ("a changed verdict", "bad_signature", at, [_canonical(decided)]),
        ("a member added", "schema", at, [_canonical(changed(at, more=1))]),
        ("white space", "not_canonical", at, [log[at] + b" "]),
        ("an entry left out", "gap", at, [log[at + 1]]),
        ("an entry twice", "gap", at + 1, [log[at]]),
        (
            "a chain that was cut",
            "chain_broken",
            at,
            [signed(changed(at, log={**plains[at]["log"], "prev": "1" * 64}))],
        ),
        ("of another log", "wrong_origin", at, [signed(changed(at, log={**plains[at]["log"], "origin": "other"}))]),
        ("signed by a stranger", "unknown_key", at, [signed(plains[at], stranger)]),
        ("a second outcome", "pairing", ended + 1, [signed(again)]),
        ("a time in another form", "schema", at, [signed(changed(at, at="2027-01-15T08:00:00Z"))]),
    ]
    found = []
    for name, code, keep, then in cases:
        try:
            verify_log([*log[:keep], *then], made.trust)
        except VerificationError as error:
            if error.code != code:
                raise SystemExit(f"{name}: refused as {error.code}, not as {code}") from None
        else:
            raise SystemExit(f"{name}: verified")
        found.append({"name": name, "code": code, "keep": keep, "then": [text.decode() for text in then]})
    return found


def _canonical(plain: Plain) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _lines(lines: Any) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def make(into: Path, name: str, algorithm: str, *, whole: bool) -> Path:
    """Make one set below `into`, and note the digests of its files; returns its folder. Nothing is overwritten."""
    target = into / name
    if target.exists():
        raise SystemExit(f"{target} is there; vectors are only ever added: take another name")
    with tempfile.TemporaryDirectory() as scratch:
        made = Made(Path(scratch) / ".navicert", algorithm)
        run(made, whole=whole)
        files = files_of(made)
    target.mkdir(parents=True)
    for file, data in files.items():
        (target / file).write_bytes(data)
    with (into / SUMS).open("a", encoding="utf-8") as sums:
        sums.writelines(f"{sha256(data).hexdigest()}  {name}/{file}\n" for file, data in sorted(files.items()))
    return target


def main(arguments: list[str]) -> None:
    """Make the set that the command line asks for."""
    parser = argparse.ArgumentParser(description="make a set of test vectors")
    parser.add_argument("name", help="the folder to make, for instance `log-0.2`")
    parser.add_argument("--algorithm", choices=[ED25519, ES256], default=ED25519, help="of the first key")
    parser.add_argument("--short", action="store_true", help="without waits, authority and a second key")
    parser.add_argument("--into", type=Path, default=Path(__file__).resolve().parents[1] / "vectors")
    given = parser.parse_args(arguments)
    print(make(given.into, given.name, given.algorithm, whole=not given.short))


if __name__ == "__main__":
    main(sys.argv[1:])
