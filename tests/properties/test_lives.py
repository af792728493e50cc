"""The life of an action that waits, walked with real engines: no effect without a permit, and none twice.

Two engines work on one store, on a clock that stands, jumps ahead and is set back. At any step either of them may be
gone without a word. What happened is counted per action.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faults.support import check_store
from navicert.adapters.sign.file_key import new_key
from navicert.core.answers import statement_bytes
from navicert.core.canonical import parameter_bytes, state_bytes
from navicert.core.digest import action_digest
from navicert.core.lifecycle import TABLE, State, Step, advance
from navicert.core.seal import b64
from navicert.core.shared import authority_of
from navicert.engine.completing import Output
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.authority import LADDER, Authority
from navicert.model.decision import Denied, Permit, Suspended, Verdict
from navicert.model.errors import ActionDenied, IdentityError, IntegrityError
from navicert.model.identity import Claims
from navicert.model.labels import Labels, Level
from navicert.model.suspension import Answer, Approver, Restoration, Statement, Vote, Wait
from navicert.testing import Bench, FrozenClock, open_bench

POLICY = """\
policy: lives
version: 1
posture: declared_tools
supervisors: [sam]
facts:
  window:
    requester: Is the window open?
rules:
  - {id: mail, match: {tool: mail, operation: send}, decision: STEP_UP, approvers: [ben], timeout: 1h}
  - {id: pay, match: {tool: bank, operation: pay}, decision: STEP_UP, approvers: [ben], timeout: 1h}
  - id: cap
    match: {tool: bank, operation: pay, parameters: {amount: {gt: 10}}}
    decision: MODIFY
    priority: 5
    modifications: [{parameter: amount, cap: 10}]
  - id: restart
    match: {tool: ops, operation: restart, context: {facts: {window: open}}}
    decision: ALLOW
  - id: closed
    match: {tool: ops, operation: restart, context: {facts: {window: closed}}}
    decision: DENY
"""
KINDS = {"mail.send": {}, "bank.pay": {"amount": 50}, "ops.restart": {}, "note.write": {}}
PEOPLE = {name: new_key("Ed25519") for name in ("ben", "sam", "ana")}
PLAIN = Output(text="ok", json=b'"ok"')
PERSONAL = Output(text="anna.smith@gmail.com DE89370400440532013000", json=b'"personal"')


class World:
    """A home, a clock, one session, and two engines that may be gone at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FrozenClock()
        self.all: list[Bench] = []
        self.engines = [self.start(), self.start()]
        for name, key in PEOPLE.items():
            person = Approver(name=name, key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=0)
            self.engines[0].engine.enrol(person)
        self.session = self.engines[0].engine.open_session("r", Claims(human="ana", agent="bot"))
        self.count = 0

    def start(self) -> Bench:
        self.all.append(open_bench(self.folder, POLICY, clock=lambda _: self.clock))
        return self.all[-1]

    def crash(self, which: int) -> None:
        """The engine is gone with all that it held; nothing is closed. What it had queued may yet become durable."""
        self.engines[which] = self.start()

    def action(self, name: str, depends_on: tuple[str, ...] = (), twin: int | None = None) -> Action:
        self.count += 1
        tool, _, operation = name.partition(".")
        data = parameter_bytes(KINDS[name] | {"number": self.count if twin is None else twin})
        return Action(
            action_id=self.engines[0].engine.new_id("act"),
            tool=tool,
            operation=operation,
            parameters=data,
            digest=action_digest(tool, operation, data),
            submitted_at=self.clock.now(),
            profile=ToolProfile(tool=name, effect=Effect.SEND, returns=Labels(level=Level.INTERNAL)),
            depends_on=depends_on,
        )

    def decide(self, action: Action, which: int = 0) -> Any:
        return self.engines[which].engine.decide(action, self.session)

    def vote(self, wait: Wait, name: str, answer: Answer, value: dict[str, Any] | None = None) -> Vote:
        key = PEOPLE[name]
        statement = statement_bytes(
            Statement(
                question=wait.question,
                answer=answer,
                approver=name,
                key_id=key.key_id,
                at=self.clock.now(),
                reason="because",
                value=value or {},
            )
        )
        return Vote(statement=statement, signature=key.sign(statement))

    def answer(self, handle: str, name: str, answer: Answer, which: int = 0, **value: Any) -> Wait | None:
        engine = self.engines[which].engine
        wait = engine.wait(handle)
        assert wait is not None
        return engine.answer(handle, self.vote(wait, name, answer, value))

    def restore(self, subject: str, state: Authority, which: int) -> None:
        engine, key = self.engines[which].engine, PEOPLE["sam"]
        said = Restoration(
            subject=subject,
            state=state,
            epoch=engine.standings().epoch,
            approver="sam",
            key_id=key.key_id,
            at=self.clock.now(),
            reason="it was a false alarm",
        )
        statement = state_bytes(said)
        engine.restore(Vote(statement=statement, signature=key.sign(statement)))

    def permitted(self, action_id: str) -> bool:
        """Tell whether the log holds a receipt that permits the action."""
        found = self.engines[0].store.receipts_of(action_id)
        return any(receipt.decision and receipt.decision.result in {"ALLOW", "MODIFY"} for receipt, _ in found)

    def close(self) -> None:
        for bench in self.all:
            bench.close()


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = World(tmp_path / "home")
    yield made
    made.close()
    check_store(made.all[0].home)


# ------------------------------------------------------------------------------- the rows of `suspended`, one by one


def suspended(world: World, name: str, **how: Any) -> Suspended:
    answer = world.decide(world.action(name, **how))
    assert isinstance(answer, Suspended), answer
    return answer


def approved(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "mail.send")
    world.answer(it.handle, "ben", Answer.APPROVE)
    return Verdict.ALLOW, world.engines[1].engine.resume(it.handle), it.handle


def modified(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "bank.pay")
    world.answer(it.handle, "ben", Answer.APPROVE)
    answer = world.engines[1].engine.resume(it.handle)
    assert b'"amount":10,' in answer.parameters
    return Verdict.MODIFY, answer, it.handle


def refused(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "mail.send")
    assert world.answer(it.handle, "ben", Answer.DENY) is None
    return Verdict.DENY, world.engines[1].engine.resume(it.handle), it.handle


def asked_anew(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "mail.send")
    world.answer(it.handle, "ben", Answer.APPROVE)
    note = world.decide(world.action("note.write"))
    world.engines[0].engine.redeem(note)
    world.engines[0].engine.complete(note, PERSONAL)
    return Verdict.STEP_UP, world.engines[1].engine.resume(it.handle), it.handle


def still_unknown(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "ops.restart")
    assert world.engines[1].engine.resume(it.handle).verdict is Verdict.DEFER
    return Verdict.DEFER, world.engines[1].engine.resume(it.handle), it.handle


def timed_out(world: World) -> tuple[Verdict | Step, Any, str]:
    it = suspended(world, "mail.send")
    world.answer(it.handle, "ben", Answer.APPROVE)
    world.clock.tick(3600)
    return Step.TIMED_OUT, world.engines[1].engine.resume(it.handle), it.handle


WALKS = (approved, modified, refused, asked_anew, still_unknown, timed_out)
ANSWERS = {State.PERMITTED: Permit, State.SUSPENDED: Suspended, State.REFUSED: Denied}


def test_every_row_of_suspended_is_walked(world):
    assert {walk(world)[0] for walk in WALKS} == TABLE[State.SUSPENDED].keys()


@pytest.mark.parametrize("walk", WALKS)
def test_an_engine_answers_as_the_row_of_suspended_says(world, walk):
    step, answer, handle = walk(world)
    state = advance(State.SUSPENDED, step)
    assert type(answer) is ANSWERS[state]
    again = [bench.engine.resume(handle) for bench in world.engines]
    if state is State.SUSPENDED:
        assert [step, step] == [item.verdict for item in again]
        return
    assert [Denied, Denied] == [type(item) for item in again]
    if state is State.PERMITTED:
        assert {"wait_over"} == {item.reason_code for item in again}
        with pytest.raises(IntegrityError, match="not issued by this engine"):
            world.engines[0].engine.redeem(answer)
        world.engines[1].engine.redeem(answer)
        world.engines[1].engine.complete(answer, PLAIN)


# ---------------------------------------------------------------------------------------------------------- any order


ENGINE = st.sampled_from([0, 1])
PICK = st.integers(0, 63)
MOSTLY = [True, True, True, False]


class Lives(RuleBasedStateMachine):
    """Whatever is done in whatever order: an effect needs a permit, a permit an answer, and there is one of each."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="navicert-lives-"))
        self.world = World(self.folder / "home")
        self.effects: Counter[str] = Counter()
        self.issued: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.approved: set[str] = set()
        self.actions: dict[str, Action] = {}
        self.reach: dict[str, Authority] = {}
        self.handles: list[str] = []
        self.permits: list[tuple[int, Bench, Permit]] = []
        self.running: list[tuple[int, Bench, Permit]] = []

    def engine(self, which: int) -> Any:
        return self.world.engines[which].engine

    def authority(self) -> Authority:
        return authority_of(self.engine(0).standings(), ("all", "agent/bot"))

    def handle(self, pick: int) -> str:
        return self.handles[-1 - pick % len(self.handles)]

    def waits(self) -> bool:
        return bool(getattr(self, "handles", ()))

    def permitted(self, which: int, permit: Permit) -> None:
        """Note a permit, and check that nothing speaks against it."""
        self.issued[permit.action_id] += 1
        assert self.world.permitted(permit.action_id)
        assert permit.action_id not in self.refused
        assert LADDER.index(self.authority()) < LADDER.index(Authority.SUSPENDED)
        self.reach[permit.action_id] = self.authority()
        self.permits.append((which, self.world.engines[which], permit))

    # judging

    def decided(self, action: Action, which: int) -> None:
        self.actions[action.action_id] = action
        answer = self.world.decide(action, which)
        if isinstance(answer, Permit):
            assert action.name == "note.write"
            self.permitted(which, answer)
        elif isinstance(answer, Denied):
            self.refused.add(action.action_id)
        else:
            self.handles.append(answer.handle)

    @rule(name=st.sampled_from([*sorted(KINDS), "after", "twin"]), pick=PICK, which=ENGINE)
    def decide(self, name: str, pick: int, which: int) -> None:
        if name in KINDS or not self.handles:
            self.decided(self.world.action(name if name in KINDS else "note.write"), which)
        elif name == "after":
            self.decided(self.world.action("note.write", depends_on=(self.handle(pick),)), which)
        else:
            self.decide_the_same_again(pick, which)

    def decide_the_same_again(self, pick: int, which: int) -> None:
        """Either it is refused, or it is the one that waits which is looked at: there are not two of them."""
        seen = self.engine(which).wait(self.handle(pick))
        if seen is not None:
            number = msgspec.json.decode(seen.action.parameters)["number"]
            twin = self.world.action(seen.action.name, twin=number)
            answer = self.world.decide(twin, which)
            assert isinstance(answer, Denied) or answer.action_id == seen.action.action_id
            assert twin.action_id not in {
                item.action_id for item in self.engine(which).context(self.world.session).open
            }
            self.looked(seen, answer, which)

    # answering

    @precondition(waits)
    @rule(
        pick=PICK,
        which=ENGINE,
        answer=st.sampled_from([*[Answer.APPROVE] * 4, Answer.DENY]),
        name=st.sampled_from(["ben", "ben", "ben", "sam", "ana"]),
    )
    def answer(self, pick: int, which: int, answer: Answer, name: str) -> None:
        seen = self.engine(which).wait(self.handle(pick))
        if seen is None:
            return
        if seen.question.verdict is Verdict.STEP_UP and answer is Answer.APPROVE:
            name = "sam" if "sam" in seen.question.approvers and name == "ben" else name
        with suppress(IdentityError, IntegrityError):
            left = self.engine(which).answer(seen.handle, self.world.vote(seen, name, answer))
            if answer is Answer.DENY:
                assert left is None
                self.refused.add(seen.action.action_id)
            else:
                self.approved.add(seen.question.nonce)

    def state(self, pick: int, which: int, value: str) -> None:
        seen = self.engine(which).wait(self.handle(pick))
        if seen is not None:
            with suppress(IdentityError, IntegrityError):
                vote = self.world.vote(seen, "ana", Answer.STATE, {"window": value})
                self.engine(which).answer(seen.handle, vote)

    # taking up

    @precondition(waits)
    @rule(pick=PICK, which=ENGINE)
    def resume(self, pick: int, which: int) -> None:
        handle = self.handle(pick)
        before = self.engine(which).wait(handle)
        self.looked(before, self.engine(which).resume(handle), which)

    def looked(self, before: Wait | None, answer: Any, which: int) -> None:
        if isinstance(answer, Permit):
            assert before is not None
            assert before.action.action_id == answer.action_id
            assert before.action.name not in {"mail.send", "bank.pay"} or before.question.verdict is Verdict.STEP_UP
            assert before.question.verdict is Verdict.DEFER or before.question.nonce in self.approved
            assert self.world.clock.now() < before.question.deadline
            assert all(self.engine(which).wait(handle) is None for handle in before.depends_on)
            self.permitted(which, answer)
        elif isinstance(answer, Denied) and answer.reason_code == "wait_over":
            assert self.issued[answer.action_id] == 1
        elif isinstance(answer, Denied) and answer.reason_code != "unavailable":
            self.refused.add(answer.action_id)

    @precondition(waits)
    @rule(pick=PICK, which=ENGINE, value=st.sampled_from(["open", "open", "open", "closed"]))
    def answer_and_resume(self, pick: int, which: int, value: str) -> None:
        self.state(pick, which, value)
        self.answer(pick, which, Answer.APPROVE, "ben")
        self.resume(pick, 1 - which)

    # running

    @precondition(lambda self: getattr(self, "permits", ()))
    @rule(pick=PICK, own=st.sampled_from(MOSTLY))
    def redeem(self, pick: int, own: bool) -> None:
        held = at, bench, permit = self.permits[-1 - pick % len(self.permits)]
        which = at if own else 1 - at
        before = self.authority()
        try:
            self.engine(which).redeem(permit)
        except (IntegrityError, ActionDenied):
            return
        self.effects[permit.action_id] += 1
        assert bench is self.world.engines[which]
        assert LADDER.index(before) <= LADDER.index(self.reach[permit.action_id])
        assert self.world.clock.now() < permit.expires_at
        assert self.world.permitted(permit.action_id)
        self.running.append(held)

    @precondition(lambda self: getattr(self, "running", ()))
    @rule(pick=PICK, output=st.sampled_from([PLAIN, PLAIN, PERSONAL]), how=st.sampled_from("rrrxa"))
    def end(self, pick: int, output: Output, how: str) -> None:
        at, bench, permit = self.running.pop(pick % len(self.running))
        if bench is not self.world.engines[at]:
            return
        if how == "a":
            bench.engine.abandon(permit, "TimeoutError")
        else:
            bench.engine.complete(permit, output, error="OSError" if how == "x" else None)

    def settle_what_is_open_and_runs_nowhere(self, which: int) -> None:
        held = [bench.engine._works.live(action) for bench in self.world.engines for action in self.actions]
        live = {item.permit.action_id for item in held if item is not None}
        for item in self.engine(which).context(self.world.session).open:
            if item.action_id not in live:
                with suppress(IntegrityError):  # its outcome is recorded by now, by the engine that kept it
                    self.engine(which).settle(item.action_id, happened=self.effects[item.action_id] > 0, by="olga")

    # the world

    @rule(
        which=ENGINE,
        what=st.sampled_from(["tick", "tick", "stop", "restore", "restore", "crash", "sweep", "settle"]),
        seconds=st.sampled_from([-7200, -400, -1, 1, 200, 400, 3500, 7200]),
        state=st.sampled_from(LADDER[1:]),
    )
    def disturb(self, which: int, what: str, seconds: int, state: Authority) -> None:
        engine = self.engine(which)
        match what:
            case "tick":
                self.world.clock.tick(seconds)
            case "stop":
                with suppress(IntegrityError):  # it is lower already
                    engine.stop("agent/bot" if seconds < 0 else "all", state, by="olga", reason="alarm")
            case "restore":
                for subject in engine.standings().subjects:
                    self.world.restore(subject, Authority.FULL, which)
            case "crash" if len(self.world.all) < 6:
                self.world.crash(which)
            case "sweep":
                engine.sweep()
            case "settle":
                self.settle_what_is_open_and_runs_nowhere(which)

    @invariant()
    def nothing_happens_twice_or_unpermitted(self) -> None:
        for action, count in getattr(self, "effects", {}).items():
            assert count == 1
            assert self.issued[action] == 1
        for action, count in getattr(self, "issued", {}).items():
            assert count == 1
            assert action not in self.refused

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.close()
                check_store(self.world.all[0].home)
            finally:
                shutil.rmtree(self.folder)


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
