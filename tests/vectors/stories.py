"""Stories: the records of three corpora, played against a real engine (approval, authority, converted arguments).

A record tells what is said to have happened. It is made to happen here, in the order of its times, on a clock that
stands where the record says: policies come into force, delegations are made and revoked, people sign answers, and the
action is submitted. The verdict is what the engine did: the tool ran, or it was refused with a code.

| in the record | here |
|---|---|
| `tool` | the tool and operation of the action |
| `target`, payload, `event`, `phase` | parameters of the action; the payload stands as its SHA-256 |
| `principal`, `clientId` | the human and the agent of the session |
| `approver`, `keyId`, `trustedKeys` | the approver of the rule; a stand-in key for each id; who is enrolled with it |
| an approval | an answer that the approver signs, with the stand-in key, to the question that the action raised |
| `approvalId` | the handle and nonce of that question |
| `contractId` | the type of the signed statement |
| `issuedAt`, `expiresAt` | when it was asked and answered; the rule's `timeout` |
| a consumed id | the action was taken up, and ran, before |
| a use | the same call again, in a session of who uses it |
| `policyRelease` | the policy in force; what is served after it is a policy without a rule |
| a grant | a delegation (`engine.delegate`); its revocation: the authority of the grantee is revoked |
| rebuilt and executed arguments, the call's copy | the permit that is presented when the action starts |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from navicert.adapters.identity.revocation import Revocations
from navicert.adapters.sign.file_key import FileKey
from navicert.assemble import load_policy
from navicert.core.answers import statement_bytes
from navicert.core.canonical import canonical_parameters, parameter_bytes, parse_parameters
from navicert.core.seal import b64
from navicert.core.times import rfc3339
from navicert.engine.completing import Output
from navicert.model.action import Effect, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import IdentityError, IntegrityError, InvalidAction
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.model.labels import NOTHING
from navicert.model.suspension import Answer, Approver, Question, Statement, Vote
from navicert.ports import IdentityVerifier
from navicert.testing import FrozenClock, open_bench
from vectors.judged import RAN, Unmeasurable

ASKS: Final = "asks"
"""The use found no approval that holds for it: nothing ran, and a person is asked."""
VOID: Final = "answer_refused"
"""The approval was refused when it was given: it never counted."""
OTHER_PERMIT: Final = "permit_refused"
"""What was presented to run is not what the permit was issued for."""
NOT_ENTITLED: Final = "delegation_refused"
CONTRACT: Final = "/contract/{}/v1"


def moment(text: str) -> int:
    """Return microseconds since the epoch of a time in a record."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def stand_in(named: str) -> FileKey:
    """Return the key that stands for one of which a record has only the name."""
    return FileKey(Ed25519PrivateKey.from_private_bytes(sha256(f"navicert public vectors: {named}".encode()).digest()))


class Story:
    """An engine over a real store, at the time of the story."""

    def __init__(self, folder: Path, rules: str, max_age_s: float | None = None, **ports: Any) -> None:
        """max_age_s: identities are believed only with a revocation list that is no older."""
        self.clock = FrozenClock()
        self._list = folder / "revoked.json"
        vouched = (lambda real: real) if max_age_s is None else partial(_Vouched, self._list, max_age_s)
        self.bench = open_bench(folder / "home", rules, clock=lambda _: self.clock, verifier=vouched, **ports)
        self.engine = self.bench.engine
        self.ran: list[bytes] = []
        self.running: Permit | None = None
        self.sessions: dict[tuple[str, str], str] = {}

    def adopt(self, rules: str) -> None:
        """Put a policy in force."""
        path = self.bench.home.folder / "policy.yaml"
        path.write_text(rules)
        self.engine.adopt(*load_policy(path))

    def observe(self, at: int) -> None:
        """Have a revocation list be there that was issued at this time, and names nobody."""
        self._list.write_text(json.dumps({"issued_at": rfc3339(at), "revoked": {}}))

    def play(self, events: list[tuple[int, int, Callable[[], object]]]) -> None:
        """Have things happen in the order of their times, and of their numbers at the same time."""
        for at, _, event in sorted(events, key=lambda item: item[:2]):
            self.clock.at = at
            event()

    def session(self, human: str, agent: str) -> str:
        """Return the id of the session of a human and an agent; opens it at its first use."""
        if (human, agent) not in self.sessions:
            self.sessions[human, agent] = self.engine.open_session("do the work", Claims(human=human, agent=agent))
        return self.sessions[human, agent]

    def submit(self, session: str, tool: str, parameters: dict[str, Any] | bytes) -> Permit | Denied | Suspended:
        """Have one call judged. parameters: as values, or as canonical bytes."""
        given = parameters if isinstance(parameters, bytes) else parameter_bytes(parameters)
        family, _, operation = tool.rpartition(".")
        profile = ToolProfile(tool=tool, effect=Effect.WRITE, returns=NOTHING)
        action = self.engine.action(family or "tool", operation, given, profile=profile)
        return self.engine.decide(action, session)

    def use(self, answer: Permit | Denied | Suspended) -> str:
        """Run what was permitted; returns `RAN` or the code of the refusal."""
        if isinstance(answer, Suspended):
            return ASKS
        if isinstance(answer, Denied):
            return answer.reason_code
        self.engine.execute(answer, self.ran.append, lambda _: Output(text="", json=b"null"))
        return RAN

    def enrol(self, name: str, key: FileKey) -> None:
        """Enrol a person with a key."""
        public = b64(key.public)
        self.engine.enrol(
            Approver(name=name, key_id=key.key_id, algorithm=key.algorithm, public=public, since=self.clock.now())
        )

    def question(self, waits: Permit | Denied | Suspended, **changes: Any) -> Question:
        """Return what is asked, or what somebody takes it to be; raises `LookupError` where nothing is."""
        wait = self.engine.wait(waits.handle) if isinstance(waits, Suspended) else None
        if wait is None:
            raise LookupError("nobody was asked")
        return msgspec.structs.replace(wait.question, **changes)

    def approve(
        self, question: Question, name: str, key: FileKey, contract: str = "", *,
        answer: Answer = Answer.APPROVE, reason: str = "as the record says",
    ) -> bool:  # fmt: skip
        """Give a signed answer to a question; False where it is refused.

        contract: the type of the statement; where it is the usual one, or none, that does not stand in it.
        """
        said = Statement(
            question=question,
            answer=answer,
            approver=name,
            key_id=key.key_id,
            at=self.clock.now(),
            reason=reason,
            **({"type": contract} if contract else {}),
        )
        data = statement_bytes(said)
        try:
            self.engine.answer(question.handle, Vote(statement=data, signature=key.sign(data)))
        except IdentityError:
            return False
        return True


class _Vouched:
    """The development identity, believed only while the revocation list is fresh, as `TokenIdentity` does."""

    inline = True

    def __init__(self, path: Path, max_age_s: float, real: IdentityVerifier) -> None:
        self._real = real
        self._revocations = Revocations(path.name, path.parent, fresh_s=max_age_s)

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        self._revocations.get(now)
        return self._real.verify(claims, session, delegation, now)


@contextmanager
def telling(rules: str, max_age_s: float | None = None) -> Iterator[Story]:
    """Open an engine for one story, and close it."""
    with TemporaryDirectory() as folder:
        story = Story(Path(folder), rules, max_age_s)
        try:
            yield story
        finally:
            story.bench.close()


def contract_of(record: dict[str, Any], name: str) -> str:
    """Return the type of statement that a record's contract stands for: none for theirs or none, itself for another."""
    named: str = record.get("contractId", "")
    return "" if named.endswith(CONTRACT.format(name)) else named


def record_of(folder: Path) -> dict[str, Any]:
    """Return the record of a case."""
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


# approval-binding

APPROVAL_MEANS: Final = {
    "contract_id_missing": frozenset({VOID}),
    "contract_id_unknown": frozenset({VOID}),
    "approval_id_ambiguous": frozenset({VOID}),
    "approval_replayed": frozenset({ASKS, "wait_over"}),
    "key_not_bound": frozenset({VOID}),
    "principal_mismatch": frozenset({ASKS}),
    "event_phase_mismatch": frozenset({ASKS}),
    "payload_mismatch": frozenset({ASKS}),
    "approval_outside_validity": frozenset({ASKS, "approval_timeout"}),
    "release_not_served_at_decision": frozenset({"posture"}),
}
_UNTYPED: Final = (
    "the approval counts: the type of a signed statement is written only where it is not the usual one, so that a "
    "statement that names none is read as `navicert/statement/1`"
)
APPROVAL_FAILS: Final = {
    "contract-id-missing": _UNTYPED,
    "approval-id-reused-different-content": (
        "the action that was approved runs: an answer holds for the question whose bytes it signs, and is never looked "
        "up by an identifier, so a second answer under the same identifier and over other content is refused by itself "
        "and does not void the first"
    ),
}


def asking(approvers: list[str], seconds: int) -> str:
    """Return a policy in which these people are asked about everything."""
    return (
        "policy: release\nversion: 1\nposture: deny\nrules:\n"
        f"  - {{id: asked, decision: STEP_UP, approvers: {json.dumps(approvers)}, timeout: {seconds}s}}\n"
    )


_AFTERWARDS: Final = "policy: release\nversion: 2\nposture: deny\nrules: []\n"


def approval(folder: Path) -> str:
    """Play one record of an approval and its use."""
    record = record_of(folder)
    given, use, release = record["approval"], record["use"], record["policyRelease"]
    issued, used = moment(given["issuedAt"]), moment(use["usedAt"])
    if release["lookup"] != "ok":
        raise Unmeasurable("the policy in force is part of the engine: there is no look-up of it that could fail")
    if moment(release["firstServedAt"]) > issued:
        raise Unmeasurable("a question is asked by the policy in force, so an approval never comes before its policy")
    rules = asking(sorted(record["trustedKeys"]), (moment(given["expiresAt"]) - issued) // 1_000_000)
    with telling(rules) as story:
        story.clock.at = min(issued, used, moment(release["firstServedAt"]))
        for name, key in record["trustedKeys"].items():
            story.enrol(name, stand_in(key))
        payload = sha256((folder / use["payloadFile"]).read_bytes()).hexdigest()
        said: list[str] = []

        def issue() -> None:
            accepted = _issue(story, record)
            said.extend([] if accepted else [VOID])

        def present() -> None:
            call = {name: use[name] for name in ("event", "phase", "target")} | {"payload": payload}
            answer = story.use(story.submit(story.session(use["principal"], use["clientId"]), use["tool"], call))
            said.append(said[0] if said and answer == ASKS else answer)

        retired = moment(release["lastServedAt"]) + release["graceSeconds"] * 1_000_000 + 1
        events = [(issued, 1, issue), (retired, 2, lambda: story.adopt(_AFTERWARDS)), (used, 3, present)]
        story.play([event for event in events if event[0] <= used])
        return said[-1]


def _issue(story: Story, record: dict[str, Any]) -> bool:
    """Have the approval asked for and given, and whatever else was presented; False where it did not count."""
    given, contract = record["approval"], contract_of(record, "approval-binding")
    asked = {item["approvalId"]: _ask(story, item) for item in (*record["presentedApprovals"], given)}
    question = asked[given["approvalId"]]
    counts = story.approve(question, given["approver"], stand_in(given["keyId"]), contract)
    for other in record["presentedApprovals"]:
        about = asked[other["approvalId"]]
        if other["approvalId"] == given["approvalId"] and other != given:  # its identifier, over other content
            about = msgspec.structs.replace(about, digest=sha256(json.dumps(other).encode()).hexdigest())
        counted = story.approve(about, other["approver"], stand_in(other["keyId"]), contract)
        counts = counts and (counted or other != given)
    if given["approvalId"] in record["consumedApprovalIds"]:
        story.use(story.engine.resume(question.handle))
    return counts


def _ask(story: Story, item: dict[str, Any]) -> Question:
    call = {name: item[name] for name in ("event", "phase", "target")} | {"payload": item["payloadSha256"]}
    waits = story.submit(story.session(item["principal"], item["clientId"]), item["tool"], call)
    return story.question(waits)


# authority-at-dispatch

AUTHORITY_MEANS: Final = {
    "authority_evidence_stale": frozenset({"unavailable", "identity_unverified"}),
    "grant_revoked": frozenset({"authority_revoked"}),
    "grant_expired": frozenset({"identity_unverified"}),
    "scope_amplified": frozenset({NOT_ENTITLED}),
    "dispatch_not_approved": frozenset({ASKS}),
}
_OWN_FORM: Final = "the record's own form: no document of ours that is judged here names a contract"


def authority(folder: Path) -> str:
    """Play one record of delegations, an approval, and a dispatch."""
    record = record_of(folder)
    evidence, approved, sent = record["authorityEvidence"], record["approvedAction"], record["dispatch"]
    if contract_of(record, "authority-at-dispatch") or "contractId" not in record:
        raise Unmeasurable(_OWN_FORM)
    decided = moment(record["decisionTime"])
    if evidence["evidenceAgeSeconds"] * 1_000_000 != decided - moment(evidence["observedAt"]):
        raise Unmeasurable("nobody tells navicert how old evidence is: it takes the age by its own clock")
    payload = sha256((folder / sent["payloadFile"]).read_bytes()).hexdigest()
    hops = record["delegation"]
    with telling(asking(["the approver"], 3600), evidence["maxAgeSeconds"]) as story:
        story.clock.at = moment(hops[0]["notBefore"])
        story.enrol("the approver", stand_in("the approver"))
        held = story.session(hops[0]["grantor"], hops[0]["grantor"])
        for hop in hops:
            story.clock.at = max(story.clock.at, moment(hop["notBefore"]))
            try:
                until = moment(hop["expiresAt"])
                held = story.engine.delegate(held, agent=hop["grantee"], scope=tuple(hop["scope"]), expires_at=until)
            except IdentityError:
                return NOT_ENTITLED
        ends = {hop["grantId"]: hop["grantee"] for hop in hops}
        said: list[str] = []

        def approve() -> None:
            call = {"target": approved["target"], "payload": approved["payloadSha256"]}
            waits = story.submit(held, approved["tool"], call)
            if isinstance(waits, Suspended):
                story.approve(story.question(waits), "the approver", stand_in("the approver"))

        def dispatch() -> None:
            call = {"target": sent["target"], "payload": payload}
            said.append(story.use(story.submit(held, sent["tool"], call)))

        first, seen = moment(approved["approvedAt"]), moment(evidence["observedAt"])
        events = [
            (first, 1, partial(story.observe, first)), (first, 2, approve), (seen, 3, partial(story.observe, seen)),
            (decided, 5, dispatch),
        ]  # fmt: skip
        for end in evidence["revokedGrants"]:
            whose = f"agent/{ends[end['grantId']]}"
            stop = partial(story.engine.stop, whose, Authority.REVOKED, by="the grantor", reason="as the record says")
            events.append((moment(end["revokedAt"]), 4, stop))
        story.play([event for event in events if event[0] <= decided])
        return said[-1]


# converted-argument-binding

ARGUMENT_MEANS: Final = {
    "contract_id_missing": frozenset({VOID}),
    "contract_id_unknown": frozenset({VOID}),
    "approval_not_bound_to_shown": frozenset({VOID}),
    "shown_not_storable": frozenset({"invalid_parameters"}),
    "invalid_call_approved": frozenset({"constraint"}),
    "rebuild_not_identical": frozenset({OTHER_PERMIT}),
    "call_mutated_after_approval": frozenset({OTHER_PERMIT}),
    "shown_not_executed": frozenset({OTHER_PERMIT}),
}
ARGUMENT_FAILS: Final = {"contract-id-missing": _UNTYPED}
_TYPES: Final = {"string": "text", "boolean": "boolean", "integer": "integer", "number": "number", "object": "object"}


def _constrained(parameters: dict[str, Any]) -> str:
    """Return a policy in which somebody is asked about every call, within the declared types and values."""
    limits = {name: {"type": _TYPES[each["type"]]} for name, each in parameters.items()}
    for name, each in parameters.items():
        if "enum" in each:
            limits[name]["in"] = each["enum"]
    rule = {
        "id": "asked", "decision": "STEP_UP", "approvers": ["the approver"], "timeout": "1h",
        "constraints": {"parameters": limits},
    }  # fmt: skip
    return f"policy: converted\nversion: 1\nposture: deny\nrules:\n  - {json.dumps(rule)}\n"


def arguments(folder: Path) -> str:
    """Play one record of arguments: as given, shown and approved, rebuilt, and run."""
    record = record_of(folder)
    if record["approval"]["decision"] == "modify":
        raise Unmeasurable("an approver says yes or no: another call in the place of the one shown is asked for anew")
    raw, rebuilt, executed = (_read((folder / f"{name}.json").read_bytes()) for name in ("raw", "rebuilt", "executed"))
    with telling(_constrained(record["parameters"])) as story:
        story.enrol("the approver", stand_in("the approver"))
        session = story.session("human", "agent")
        given = story.submit(session, "call.run", raw)
        if isinstance(given, Denied):
            return given.reason_code
        story.engine.end(session)  # what was shown is asked for by itself, also where it is the same call
        session = story.session("human", "agent, once more")
        bytes_ = (folder / "shown.json").read_bytes()
        try:
            shown = _read(bytes_)
        except InvalidAction:
            return "invalid_parameters"
        waits = story.submit(session, "call.run", shown)
        question = story.question(waits)
        signed = record["approval"]["shownSha256"]
        if signed != sha256(bytes_).hexdigest():  # what was signed is another call than what was shown
            question = msgspec.structs.replace(question, digest=signed)
        contract = contract_of(record, "converted-argument-binding")
        if not story.approve(question, "the approver", stand_in("the approver"), contract):
            return VOID
        permit = story.engine.resume(question.handle)
        if not isinstance(permit, Permit):
            return ASKS
        copies = record["callCopyBeforeSha256"], record["callCopyAfterSha256"]
        presented = [
            msgspec.structs.replace(permit, parameters=rebuilt),
            permit if copies[0] == copies[1] else msgspec.structs.replace(permit, digest=copies[1]),
            msgspec.structs.replace(permit, parameters=executed),
        ]
        for each in presented:
            if each != permit:  # in whatever order: a permit is good once, so one that is not it is shown first
                return _presented(story, each)
        return _presented(story, presented[-1])


def _read(data: bytes) -> bytes:
    """Return foreign JSON as canonical parameters; raises `InvalidAction` for what has no single meaning."""
    return canonical_parameters(parse_parameters(data))


def _presented(story: Story, permit: Permit) -> str:
    try:
        return story.use(permit)
    except IntegrityError:
        return OTHER_PERMIT
