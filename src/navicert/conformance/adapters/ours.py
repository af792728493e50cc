"""What the adapters of our surfaces share: a home, its resident owner, people who answer, records out of the log.

* The owner is `navicert up`, a process of its own; what people answer goes through its socket, by another user of this
  machine where we may change users.
* Records are read out of verified receipt packages, as an auditor reads them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from shutil import copy
from threading import Lock
from time import monotonic, sleep
from typing import Any, Final, TypeVar

import msgspec

from navicert.adapters.identity.held import SECOND, SKEW
from navicert.adapters.store.archive import receipt_of
from navicert.assemble import Home, load_policy, make_home, read_trust
from navicert.audit import open_archive, package_of
from navicert.config import FILE
from navicert.conformance import contract
from navicert.conformance.adapters.breaking import break_part, change_context, parts_of
from navicert.conformance.adapters.person import Asked, Introduce
from navicert.conformance.contract import Done, Found, Hello, Link, Record, Request, Started, Voted
from navicert.conformance.forking import DEVNULL, PIPE, Process, popen
from navicert.conformance.twins import TWINS
from navicert.evidence import maker
from navicert.model.context import SessionContext
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.receipt import Receipt
from navicert.model.suspension import Approver
from navicert.model.value import Value
from navicert.service.reach import reach
from navicert.verification.disclosed import EFFECTIVE, HUMAN, PARAMETERS, REASON, plain
from navicert.verification.keyring import fingerprint
from navicert.verification.package import Package, verify_package

V = TypeVar("V", Approver, Voted)
NOBODY: Final = 65_534
_READY_S: Final = 30.0
_IN_FORCE_S: Final = 10.0


class Ours:
    """A deployment of ours; subclasses are the surfaces, and add `hello`'s words, sessions and calls."""

    surface = ""
    architecture = ""
    own_owner = False
    """True where the owner decides; elsewhere it is started for people only, once somebody answers."""
    has_gateways = False
    probes: tuple[str, ...] = ("session:none", "session:ended")
    patience_s = 30.0
    """So long does an agent wait for an answer."""

    def __init__(self) -> None:
        self.home: Home = Home(Path())
        self.start: contract.Start
        self.sessions: dict[str, Any] = {}
        self.owner: Process | None = None
        self.broken: dict[str, AbstractContextManager[None]] = {}
        self._people: Process | None = None
        self._enrolled: set[str] = set()
        self._lock = Lock()
        self._answers: dict[type, Callable[[Any], Value]] = {
            contract.Start: self.begin,
            contract.Open: self.open,
            contract.Say: self.say,
            contract.Observe: self.observe,
            contract.Renew: self.renew,
            contract.Submit: self.submit,
            contract.Resume: self.resume,
            contract.Approve: self.approve,
            contract.SetPolicy: self.set_policy,
            contract.Find: self.find,
            contract.Export: self.export,
            contract.Break: self.breaks,
            contract.Probe: self.probe,
            contract.Tamper: self.tamper,
            contract.Stop: self.stop,
        }

    def hello(self) -> Hello:
        """Say what it is."""
        return Hello(
            contract=contract.CONTRACT,
            product="navicert",
            version=maker().partition(" ")[2] or "source",
            surface=self.surface,
            architecture=self.architecture,
            policy_model="rules in YAML (the specification's), three-valued, by priority; context, labels, sequences",
            decisions=("ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"),
            twins=tuple(TWINS),
            parts=parts_of(self),
            probes=self.probes,
        )

    def answer(self, request: Request) -> Value:
        """Do what is asked for."""
        return self._answers[type(request)](request)

    # the deployment

    def begin(self, request: contract.Start) -> Started:
        """Make the home, and what the surface needs."""
        self.start = request
        folder = Path(request.folder)
        self.home = make_home(folder / "home", origin="kit", service="kit-service", policy=request.policy)
        sockets = folder / "run"
        sockets.mkdir(mode=0o755)
        issuer = request.issuer
        fields: dict[str, Any] = {
            "in_band_s": 0,
            "commit_s": 2,
            "socket": str(sockets / "owner.sock"),
            "people": [NOBODY],
            "anchor": str(folder / "anchor.notes"),
            "identity": {
                "issuer": issuer.issuer, "audience": issuer.audience, "keys": issuer.keys,
                "revocations": issuer.revocations,
            },
        }  # fmt: skip
        fields |= {"origin": "kit", "service": "kit-service", "policy": "policy.yaml"}
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in fields.items()]
        (self.home.folder / FILE).write_text("".join(lines), encoding="utf-8")
        copy(self.home.trust, folder / "trust.json")
        if self.own_owner:
            self.start_owner()
        self.prepare()
        check = [*self.command("verify"), "{file}"]
        trust = read_trust(self.home.trust)
        module = "navicert.conformance.adapters.verifying"
        many = (sys.executable, "-m", module, request.twin or "-", "{files}", "--")
        return Started(
            root=fingerprint(trust),
            separation="none",
            many=(*many, "--trust", str(folder / "trust.json"), "--root", "{root}"),
            log_many=(*many, "--root", "{root}"),
            signing="jcs-inline",
            keys={key.key_id: key.public for key in trust.keys},
            leeway_s=SKEW // SECOND,
            verifier=(*check, "--trust", str(folder / "trust.json"), "--root", "{root}"),
            log_verifier=(*check, "--root", "{root}"),
        )

    def prepare(self) -> None:
        """Make ready what the surface needs besides."""
        raise NotImplementedError

    def command(self, *words: str) -> list[str]:
        """Return the command line of ours, sabotaged where this deployment is a twin."""
        twin = self.start.twin
        program = ["navicert"] if twin is None else ["navicert.conformance.broken", twin]
        return [sys.executable, "-m", *program, *words]

    def at_home(self, *words: str) -> list[str]:
        """Return a command line of ours on this home."""
        return [*self.command(), "--home", str(self.home.folder), *words]

    def start_owner(self) -> None:
        """Start the owner, and wait until it is ready."""
        self.owner = popen(self.at_home("up", "--json"), stdout=PIPE)
        if not self.owner.stdout or not self.owner.stdout.readline():
            raise Unavailable("the owner did not start; its words are on standard error")

    def down(self) -> None:
        """End who decides, orderly."""
        if self.owner is not None and self.owner.poll() is None:
            self.owner.terminate()
            self.owner.wait(10)

    def up(self) -> None:
        """Start who decides anew; raises where that refuses to start. Sessions go on."""
        self.start_owner()

    def gateways(self) -> Sequence[Process]:
        """Return the processes that stand between the agents and the tools."""
        return ()

    def new_gateways(self) -> None:
        """Have others in place of those that have ended."""

    def set_policy(self, request: contract.SetPolicy) -> Done:
        """Write the policy file, and wait until a record says that it is in force."""
        path = self.home.folder / "policy.yaml"
        before = path.read_bytes()
        path.write_text(request.text, encoding="utf-8")
        try:
            wanted = load_policy(path)[0].hash
        except Exception:
            path.write_bytes(before)
            raise
        if self.owner is None:
            self.reload()
        end = monotonic() + _IN_FORCE_S
        while self._in_force() != wanted:
            if monotonic() > end:
                raise Unavailable("the policy is not in force after ten seconds")
            sleep(0.05)
        if self.owner is not None:  # it records what it takes up; whoever is second records nothing
            self.reload()
        return Done(detail=wanted)

    def reload(self) -> None:
        """Have the policy taken up; the owner does so by itself."""

    def _in_force(self) -> str:
        with open_archive(self.home) as archive:
            parts = [receipt_of(row).policy for row in archive.log(kind="policy")]
        return parts[-1].hash if parts and parts[-1] is not None else ""

    def stop(self, request: contract.Stop) -> Done:
        """Take everything down."""
        del request
        for each in (self._people, self.owner):
            if each is not None and each.poll() is None:
                each.terminate()
                each.wait(10)
        return Done()

    # sessions and calls: the surface's own

    def open(self, request: contract.Open) -> Done:
        """Open a session."""
        raise NotImplementedError

    def say(self, request: contract.Say) -> Done:
        """Have the user say more."""
        self.sessions[request.session].user_says(request.text)
        return Done()

    def observe(self, request: contract.Observe) -> Done:
        """Report a fact."""
        self.sessions[request.session].observe(request.name, request.value, source=request.source)
        return Done()

    def renew(self, request: contract.Renew) -> Done:
        """Take another token."""
        self.sessions[request.session].renew(request.token)
        return Done()

    def submit(self, request: contract.Submit) -> contract.Answered:
        """Call a tool as the agent does."""
        raise NotImplementedError

    def resume(self, request: contract.Resume) -> contract.Answered:
        """Take up what waited."""
        raise NotImplementedError

    # people

    def approve(self, request: contract.Approve) -> Voted:
        """Have a person answer, in a process and, where we may, under a user of their own."""
        if self.owner is None:
            self.start_owner()
        with self._lock:
            people = (*self.start.approvers, *(() if request.forged else (request.approver,)))
            self._enrol(dict.fromkeys(name for name in people if name not in self._enrolled))
            asked = Asked(
                handle=request.handle, name=request.approver, approve=request.approve, why=request.reason,
                forged=request.forged,
            )  # fmt: skip
            return self._ask_people(asked, Voted)

    def _enrol(self, names: Iterable[str]) -> None:
        for name in names:
            person = self._ask_people(Introduce(name=name), Approver)
            remote = reach(self._socket(), timeout_s=10.0, token=None, address=None)
            try:
                remote.engine.enrol(person)
            finally:
                remote.close()
            self._enrolled.add(name)

    def _ask_people(self, request: Introduce | Asked, kind: type[V]) -> V:
        if self._people is None:
            program = [sys.executable, "-m", "navicert.conformance.adapters.person", str(self._socket())]
            self._people = popen(program, stdin=PIPE, stdout=PIPE)
        people = self._people
        people.stdin.write(msgspec.json.encode(request) + b"\n")  # type: ignore[union-attr]  # it is a pipe
        people.stdin.flush()  # type: ignore[union-attr]  # it is a pipe
        said = people.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
        if not said:
            raise Unavailable("the people's process has ended; its words are on standard error")
        return msgspec.json.decode(said, type=kind)

    def _socket(self) -> Path:
        return Path(self.start.folder) / "run" / "owner.sock"

    # evidence

    def find(self, request: contract.Find) -> Found:
        """Return the records of an action, out of its verified package."""
        with open_archive(self.home) as archive:
            try:
                data = package_of(archive, request.action)
                package = verify_package(data, read_trust(self.home.trust))
            except IntegrityError:
                if archive.find(request.action):
                    raise
                return Found(records=())
        texts = msgspec.json.decode(data, type=Package).receipts
        found: list[Record] = []
        held: dict[str, Any] = {}
        for receipt, disclosed, raw in zip(package.receipts, package.disclosed, texts, strict=True):
            held |= {pointer: msgspec.json.decode(data) for pointer, data in disclosed.items()}
            found.append(record_of(receipt, held, package.context, raw))
        return Found(records=tuple(found))

    def export(self, request: contract.Export) -> Done:
        """Write a package of one action, or the bundle of the whole log."""
        if request.action is None:
            command = self.at_home("export", "--to", request.to, "--json")
            process = popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
            process.wait()
            if not Path(request.to).exists():
                raise Unavailable(said.strip())
        else:
            with open_archive(self.home) as archive:
                Path(request.to).write_bytes(package_of(archive, request.action))
        return Done(detail=sha256(Path(request.to).read_bytes()).hexdigest())

    # what is done to it

    def breaks(self, request: contract.Break) -> Done:
        """Break a part, or mend it."""
        return Done(detail=break_part(self, request))

    def probe(self, request: contract.Probe) -> contract.Answered:
        """Have somebody call a tool who may not."""
        if request.way == "session:ended":
            self.sessions[request.call.session].end()
            return self.submit(request.call)
        return self.nobody(request.call) if request.way == "session:none" else self.impostor(request)

    def nobody(self, call: contract.Submit) -> contract.Answered:
        """Call a tool without any session."""
        raise NotImplementedError

    def impostor(self, request: contract.Probe) -> contract.Answered:
        """Call a tool in a session that is another's."""
        raise NotImplementedError

    def tamper(self, request: contract.Tamper) -> Done:
        """Change an earlier entry of a session's context, in the store."""
        return Done(detail=change_context(self, request))


def record_of(receipt: Receipt, held: dict[str, Any], context: SessionContext | None, raw: str) -> Record:
    """Return a receipt in the specification's terms. held: what it and those before it disclose, by JSON pointer."""
    action, requester, decision = receipt.action, receipt.requester_context, receipt.decision
    if action is None or requester is None or decision is None or receipt.context is None:
        raise IntegrityError(f"receipt {receipt.receipt_id} is of no action")
    deferral, execution = receipt.deferral, receipt.execution
    return Record(
        kind=receipt.kind,  # type: ignore[arg-type]  # a package holds these three kinds
        action=action.id,
        tool=plain(action.tool),
        operation=plain(action.operation),
        at=receipt.at,
        verdict=decision.result,
        rules=tuple(map(plain, decision.rules)),
        reason_code=decision.reason_code,
        reason=str(held.get(REASON, "")),
        policy_id=plain(decision.policy.id),
        policy_version=str(decision.policy.version),
        policy_hash=decision.policy.hash,
        human=held.get(HUMAN, ""),
        service=plain(requester.service),
        agent=plain(requester.agent),
        session=requester.session,
        roles=tuple(map(plain, requester.roles)),
        scope=tuple(map(plain, requester.scope)),
        delegation=tuple(
            Link(delegator=plain(each.delegator), delegatee=plain(each.delegatee), scope=tuple(map(plain, each.scope)))
            for each in requester.delegation
        ),
        parameters=held.get(PARAMETERS, {}),
        effective=held.get(EFFECTIVE, held.get(PARAMETERS, {})),
        context=_context(receipt, context),
        separation=receipt.separation or "",
        algorithm=receipt.signature.algorithm,
        key_id=receipt.signature.key_id,
        raw=raw,
        handle=deferral.handle if deferral else None,
        deferral_reason=deferral.reason_code if deferral else None,
        method=deferral.method if deferral else None,
        resolved_at=deferral.resolved_at if deferral else None,
        deadline=deferral.deadline if deferral else None,
        approvers=tuple(str(held.get(f"/approval/{index}/name")) for index in range(len(receipt.approval or ()))),
        success=execution.success if execution else None,
        error=execution.error if execution else None,
    )


def _context(receipt: Receipt, context: SessionContext | None) -> dict[str, Any]:
    part = receipt.context
    found: dict[str, Any] = {"labels": [part.level, *part.categories], "head": part.head} if part else {}
    if context is not None:
        found |= {
            "request": context.request,
            "said": list(context.said),
            "actions": [[each.name, each.verdict.value] for each in context.recent],
            "counts": dict(context.counts),
        }
    return found
