"""An honest home, made through the real SDK over a real store.

Every verdict, errors, delegation, open actions, a hand-over of keys; waits that are approved, denied, timed out,
resolved by facts, asked anew; people enrolled, replaced and dismissed; authority taken away and restored.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

import navicert
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.assemble import Home, make_home
from navicert.audit import open_archive
from navicert.canary.probes import Came, record
from navicert.config import read_config
from navicert.core.answers import statement_bytes
from navicert.core.canonical import state_bytes
from navicert.core.seal import b64
from navicert.engine.engine import Engine
from navicert.keys import rotate_key
from navicert.model.authority import Authority
from navicert.model.suspension import Answer, Approver, Question, Restoration, Statement, Vote
from navicert.ports import Clock
from navicert.testing.deployment import Bench, open_bench

POLICY = """\
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
      destination: {{not: {{ends_with: '@acme.example'}}}}
    decision: DENY
    classification: context_dependent_deny
    reason: personal data must not leave
    priority: 10
  - {{id: cap, match: {{tool: db, operation: query}}, decision: MODIFY, modifications: [{{parameter: limit, cap: 10}}]}}
  - {{id: pay, match: {{tool: bank, operation: pay}}, decision: STEP_UP, approvers: [carol], timeout: 1h}}
  - {{id: window, match: {{tool: ops, operation: restart}}, decision: DEFER, timeout: 1h}}
  - {{id: ship, match: {{tool: ops, operation: ship}}, decision: STEP_UP, approvers: [carol, dave], timeout: 1h}}
  - {{id: pair, match: {{tool: ops, operation: launch}}, decision: STEP_UP, approvers: [carol, dave], approvals: 2}}
  - {{id: confirm, match: {{tool: ops, operation: note}}, decision: STEP_UP, approvers: [requester]}}
  - id: shrink
    match: {{tool: ops, operation: scale, parameters: {{count: {{gt: 10}}}}}}
    decision: MODIFY
    modifications: [{{parameter: count, cap: 10}}]
    priority: 5
  - {{id: scale, match: {{tool: ops, operation: scale}}, decision: STEP_UP, approvers: [carol]}}
  - id: rollout
    match: {{tool: ops, operation: rollout, context: {{facts: {{window_open: true}}}}}}
    decision: ALLOW
  - {{id: drain, match: {{tool: ops, operation: drain}}, decision: DEFER, approvers: [dave], timeout: 1h}}
  - {{id: ask-first, match: {{effect: send}}, decision: STEP_UP, approvers: [carol], priority: 20, shadow: true}}
  - {{id: trap, match: {{tool: ops, operation: wipe}}, decision: DENY, authority: narrowed}}
"""


def corpus(algorithm: str = "Ed25519") -> Path:
    """Return an honest home to read from; made once per process. To change it, take `copied`."""
    return _corpus(algorithm)


@functools.cache
def _corpus(algorithm: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="navicert-corpus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_corpus(folder, algorithm, "ES256" if algorithm == "Ed25519" else "Ed25519")


def copied(folder: Path, algorithm: str = "Ed25519") -> Path:
    """Return an honest home of one's own, in `folder`."""
    return Path(shutil.copytree(corpus(algorithm), folder / ".navicert"))


def make_corpus(folder: Path, algorithm: str, following: str) -> Path:
    """Make a home whose log is signed with `algorithm`, then handed over to a key of `following`; return its folder."""
    home = make_home(
        folder / ".navicert", origin="acme.log", service="office", policy=POLICY.format(version=1), algorithm=algorithm
    )
    people = People(folder / "people")
    late = work(home.folder, people)
    shutil.copy(home.receipt_key, home.keys / "receipt.old.pem")  # a rotation removes it; a forger may hold it
    canary = Came(surface="sdk", result="denied", detail="", seconds=0.1, nonce="5" * 64, action_id="act_1")
    record(home, read_config(home.folder), [canary])
    rotate_key(home.folder, following)
    (home.folder / "policy.yaml").write_text(POLICY.format(version=2))
    work(home.folder, people, late)
    run_out(home.folder)
    return home.folder


def approver_keys(folder: Path) -> dict[str, FileKey]:
    """Return the keys of everybody who ever answered in a corpus, by id."""
    return {key.key_id: key for key in map(load_key, sorted((folder.parent / "people").glob("*.pem")))}


class People:
    """Who answers, with their keys; kept beside the home, so that a forger can have them too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.keys: dict[str, FileKey] = {}

    def enrol(self, engine: Engine, name: str, algorithm: str = "Ed25519") -> None:
        """Enrol somebody with a fresh key; the one that they had ends."""
        key = self.keys[name] = new_key(algorithm)
        save_key(key, self.folder / f"{name}-{len(list(self.folder.iterdir()))}.pem")
        engine.enrol(
            Approver(name=name, key_id=key.key_id, algorithm=algorithm, public=b64(key.public), since=engine.now())
        )

    def answer(self, engine: Engine, handle: str, name: str, answer: Answer = Answer.APPROVE) -> None:
        """Sign an answer to the question as it stands, and give it."""
        wait = engine.wait(handle)
        assert wait is not None
        engine.answer(handle, signed(wait.question, name, self.keys[name], answer, engine.now()))

    def restore(self, engine: Engine, subject: str) -> None:
        """Have the supervisor restore a subject's authority in full."""
        said = Restoration(
            subject=engine.subject(subject), state=Authority.FULL, epoch=engine.standings().epoch, approver="sue",
            key_id=self.keys["sue"].key_id, at=engine.now(), reason="looked into it",
        )  # fmt: skip
        statement = state_bytes(said)
        engine.restore(Vote(statement=statement, signature=self.keys["sue"].sign(statement)))


def signed(question: Question, name: str, key: FileKey, answer: Answer, at: int) -> Vote:
    """Return a person's signed answer to a question."""
    said = Statement(question=question, answer=answer, approver=name, key_id=key.key_id, at=at, reason="I looked")
    statement = statement_bytes(said)
    return Vote(statement=statement, signature=key.sign(statement))


class Ahead:
    """A clock that goes right, and is ahead of the real one."""

    def __init__(self, real: Clock, seconds: int) -> None:
        self._real, self._ahead = real, seconds * 1_000_000

    def now(self) -> int:
        return self._real.now() + self._ahead


def run_out(folder: Path) -> None:
    """Two hours later: what waits has timed out, and other actions wait."""
    with open_bench(folder, clock=lambda real: Ahead(real, 7200)) as guard:
        assert guard.engine.sweep() == 0
        tools = _tools(guard)
        with guard.session(request="pay, and restart", human="Ana Müller", agent="bot", roles=["clerk"]):
            _try(tools["pay"], "DE1", 12.50)
            _try(tools["restart"], "web")


def work(folder: Path, people: People, late: str | None = None) -> str:
    """Run sessions, and calls outside of any; returns the handle of what waits on. late: that of the work before."""
    with open_bench(folder) as guard:
        tools = _tools(guard)
        with guard.session(request="write to Böb", human="Ana Müller", agent="bot", roles=["clerk"]) as session:
            _try(tools["send"], "bob@partner.example", "hello, 😀")
            _try(tools["query"], "select 1")
            _try(tools["query"], "select 2", 5)
            _try(tools["fail"], "x")
            _try(tools["slow"], "y")
            _try(tools["staff"], "carol")
            session.user_says("and to Carl")
            session.observe("window", value="open", source="calendar")
            with session.delegate(agent="helper", scope="crm.*", lasting=timedelta(hours=1)) as child:
                _try(tools["read"], "anna")
                assert child.labels.has("PII")
            _try(tools["send"], "bob@partner.example", "her data")
            _try(tools["pay"], "DE1", 12.50)
            _try(tools["restart"], "web")
            _try(tools["unknown"], 1)
        _try(tools["send"], "bob@partner.example", "nobody stands behind this")
        with guard.session(request="look", human="bert", agent="bot"):
            asyncio.run(_later(tools))
        settled = [receipt for receipt in _open(folder) if receipt.action.operation == "slow"]
        guard.settle(settled[0].action.id, happened=True, by="olga")
        with guard.session(request="leave one open", human="bert", agent="bot"):
            _try(tools["slow"], "z")
        _enrol(guard.engine, people)
        if late is not None:
            people.answer(guard.engine, late, "dave")
            assert guard.resume(late) == "shipped over night"
        with guard.session(request="ship it", human="Ana Müller", agent="bot", roles=["clerk"]):
            handle = _wait(guard, tools, people)
        _stop(guard, tools, people)
        return handle


def _enrol(engine: Engine, people: People) -> None:
    for name, algorithm in {"carol": "Ed25519", "dave": "ES256", "sue": "Ed25519", "Ana Müller": "Ed25519"}.items():
        people.enrol(engine, name, algorithm)
    people.enrol(engine, "eve")
    engine.dismiss("eve")


def _wait(guard: Bench, tools, people: People) -> str:
    """Have actions wait, and end in every way that needs no time; returns the handle of one that waits on."""
    engine = guard.engine
    shipped = _suspended(tools["ship"], "at once")
    people.answer(engine, shipped, "carol")
    assert guard.resume(shipped) == "shipped at once"
    launched = _suspended(tools["launch"], "it")
    people.answer(engine, launched, "carol")
    people.answer(engine, launched, "dave")
    assert guard.resume(launched) == "launched it"
    noted = _suspended(tools["note"], "mine")
    people.answer(engine, noted, "Ana Müller")
    guard.resume(noted)
    scaled = _suspended(tools["scale"], 50)
    people.answer(engine, scaled, "carol")
    assert guard.resume(scaled) == 10
    people.answer(engine, _suspended(tools["ship"], "to nobody"), "dave", Answer.DENY)
    rolled = _suspended(tools["rollout"], "v2")
    assert guard.resume(rolled) == "rolled out v2"
    drained = _suspended(tools["drain"], "node 1")
    engine.sweep()
    people.answer(engine, drained, "dave")
    assert guard.resume(drained) == "drained node 1"
    return _suspended(tools["ship"], "over night")


def _stop(guard: Bench, tools, people: People) -> None:
    """Take authority away, by people and by a rule, and restore it."""
    engine = guard.engine
    with guard.session(request="wipe", human="bert", agent="sneak"):
        engine.stop("tool/web", Authority.SUSPENDED, by="olga", reason="something is wrong")
        _try(tools["query"], "select 3")
        engine.stop("all", Authority.SUSPENDED, by="olga", reason="everything is wrong")
        _try(tools["wipe"], "disk")
        people.restore(engine, "all")
        people.restore(engine, "agent/sneak")
        _try(tools["wipe"], "disk")
        people.restore(engine, "agent/sneak")
        people.restore(engine, "tool/web")
        _try(tools["query"], "select 4")


def _suspended(call, *args) -> str:
    with pytest.raises(navicert.ActionSuspended) as waits:
        call(*args)
    return waits.value.handle


def _open(folder: Path):
    with open_archive(Home(folder)) as archive:
        return archive.open_actions()


async def _later(tools) -> None:
    await asyncio.gather(*(tools["look"](f"page {number % 7}") for number in range(12)))


def _try(call, *args) -> None:
    with contextlib.suppress(navicert.ActionDenied, OSError):
        call(*args)


def _tools(guard):
    return _office(guard) | _operations(guard)


def _office(guard):
    @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
    def send(to: str, body: str) -> str:
        return "sent: ok\n"

    @guard.tool("crm.read", effect="read", returns="INTERNAL")
    def read(name: str) -> dict:
        return {"name": name, "mail": "anna.smith@gmail.com", "iban": "DE89370400440532013000"}

    @guard.tool("hr.read")
    def staff(name: str) -> str:
        return f"{name}.jones@gmail.com"

    @guard.tool("db.query", effect="read", returns="INTERNAL")
    def query(sql: str, limit: int = 100) -> int:
        return limit

    @guard.tool("web.fail", effect="read", returns="INTERNAL")
    def fail(url: str) -> str:
        raise ConnectionError(url)

    @guard.tool("web.slow", effect="read", returns="INTERNAL")
    def slow(url: str) -> str:
        raise TimeoutError(url)

    @guard.tool("web.look", effect="read", returns="INTERNAL")
    async def look(url: str) -> str:
        await asyncio.sleep(0.001)
        return url

    @guard.tool("bank.pay", effect="pay", destination="to", amount="amount")
    def pay(to: str, amount: float) -> None: ...

    @guard.tool("nope.unknown")
    def unknown(number: int) -> None: ...

    return {
        "send": send, "read": read, "query": query, "fail": fail, "slow": slow, "look": look, "pay": pay,
        "unknown": unknown, "staff": staff,
    }  # fmt: skip


def _operations(guard):
    @guard.tool("ops.restart", effect="execute")
    def restart(name: str) -> None: ...

    @guard.tool("ops.ship", effect="execute", returns="INTERNAL")
    def ship(what: str) -> str:
        return f"shipped {what}"

    @guard.tool("ops.launch", effect="execute", returns="INTERNAL")
    def launch(what: str) -> str:
        return f"launched {what}"

    @guard.tool("ops.note", effect="write", returns="INTERNAL")
    def note(text: str) -> None: ...

    @guard.tool("ops.scale", effect="execute", returns="INTERNAL")
    def scale(count: int) -> int:
        return count

    @guard.tool("ops.rollout", effect="execute", returns="INTERNAL")
    def rollout(what: str) -> str:
        return f"rolled out {what}"

    @guard.tool("ops.drain", effect="execute", returns="INTERNAL")
    def drain(what: str) -> str:
        return f"drained {what}"

    @guard.tool("ops.wipe", effect="delete", returns="INTERNAL")
    def wipe(what: str) -> None: ...

    return {
        "restart": restart, "ship": ship, "launch": launch, "note": note, "scale": scale, "rollout": rollout,
        "drain": drain, "wipe": wipe,
    }  # fmt: skip
