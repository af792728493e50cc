"""Where labels go: into new sessions, up to the parent, down to the child, through stored resources (T3, T7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest

from navicert.core import delegation
from navicert.core.delegation import DEPTH
from navicert.model.errors import ActionDenied, IdentityError
from navicert.model.labels import Labels, Level
from navicert.sdk.session import Session
from navicert.testing import Bench, FrozenClock, open_bench

POLICY = """\
policy: flow
version: 1
posture: declared_tools
sticky: 1h
rules:
  - id: no-pii-out
    match: {tool: mail, operation: send, context: {categories: {contains: PII}}}
    decision: DENY
    classification: context_dependent_deny
    priority: 1
"""
PII = Labels(level=Level.CONFIDENTIAL, categories=("PII",))


class World:
    """A bench with a tool that reads, one that sends, and files."""

    def __init__(self, bench: Bench, clock: FrozenClock) -> None:
        self.bench, self.clock = bench, clock
        self.sent: list[str] = []
        self.files: dict[str, str] = {}

        @bench.tool("mail.send", effect="send", content="text", returns="PUBLIC")
        def send(text: str) -> None:
            self.sent.append(text)

        @bench.tool("crm.read", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
        def read(name: str) -> str:
            return name

        @bench.tool("web.read", effect="read", returns="PUBLIC")
        def web(url: str) -> str:
            return url

        @bench.tool("file.write", effect="write", resource="path", content="text", returns="PUBLIC")
        def write(path: str, text: str) -> None:
            self.files[path] = text

        @bench.tool("file.read", effect="read", resource="path", returns="PUBLIC")
        def load(path: str) -> str:
            return self.files.get(path, "empty")

        self.send, self.read, self.web, self.write, self.load = send, read, web, write, load

    def session(self, human: str = "ana", agent: str = "bot", **more: Any) -> Session:
        return self.bench.session(request="r", human=human, agent=agent, **more)

    def may_send(self, session: Session, text: str = "hello") -> bool:
        before = len(self.sent)
        try:
            session.carry(self.send)(text)
        except ActionDenied as denied:
            assert before == len(self.sent)
            assert "rule" in denied.reason or "forbids" in denied.reason  # noqa: PT017 - either may happen
            return False
        return True


@pytest.fixture
def world(tmp_path) -> Iterator[Callable[[], World]]:
    made: list[World] = []
    clock = FrozenClock()

    def make() -> World:
        made.append(World(open_bench(tmp_path / "home", POLICY, clock=lambda _: clock), clock))
        return made[-1]

    yield make
    for item in made:
        item.bench.close()


# sticky labels


def test_what_was_read_follows_the_agent_into_a_new_session_and_not_for_ever(world):
    it = world()
    first = it.session()
    assert it.may_send(first)
    first.carry(it.read)("ana")
    assert not it.may_send(first)
    first.end()
    assert not it.may_send(it.session())  # a new session does not launder
    assert it.may_send(it.session(human="ben"))
    assert it.may_send(it.session(agent="other"))
    it.clock.tick(3_599)
    assert not it.may_send(it.session())
    it.clock.tick(2)
    assert it.may_send(it.session())


def test_sticky_labels_hold_in_another_engine_and_are_joined(world):
    it, other = world(), world()
    it.session().carry(it.read)("ana")
    assert not other.may_send(other.session())
    it.clock.tick(1_800)
    other.session().carry(other.read)("ben")  # read again: the hour begins anew
    it.clock.tick(1_801)
    assert not it.may_send(it.session())


# storage


def test_a_file_carries_the_labels_that_it_was_written_under_into_any_session(world):
    it = world()
    first = it.session()
    first.carry(it.read)("ana")
    first.carry(it.write)("./notes//a.txt", "x")
    second = it.session(human="ben", agent="other")
    second.carry(it.load)("clean.txt")
    assert it.may_send(second, "before")
    second.carry(it.load)("notes/a.txt")  # another spelling of the same file
    assert second.labels == PII
    assert not it.may_send(second, "after")


def test_a_file_does_not_lose_its_labels_when_it_is_written_again(world):
    it, other = world(), world()
    first = it.session()
    first.carry(it.read)("ana")
    first.carry(it.write)("a.txt", "x")
    clean = other.session(human="ben", agent="other")
    clean.carry(other.write)("a.txt", "harmless")
    third = other.session(human="cyd", agent="third")
    third.carry(other.load)("a.txt")
    assert third.labels.has("PII")


# delegation


def test_what_a_child_reads_labels_its_parents_too(world):
    it = world()
    parent = it.session()
    child = parent.delegate(agent="child", scope="*")
    grandchild = child.delegate(agent="grandchild", scope="*")
    grandchild.carry(it.read)("ana")
    assert [item.labels for item in (grandchild, child, parent)] == [PII, PII, PII]
    assert [it.may_send(item, item.id) for item in (grandchild, child, parent)] == [False, False, False]


def test_a_child_begins_with_what_its_parent_has_read(world):
    it = world()
    parent = it.session()
    parent.carry(it.read)("ana")
    child = parent.delegate(agent="child", scope="*")
    assert child.labels == PII
    assert not it.may_send(child)


def test_a_child_is_judged_under_what_its_parent_reads_later(world):
    # seen to fail: labels_in_force over the child alone
    it = world()
    parent = it.session()
    child = parent.delegate(agent="child", scope="*")
    assert it.may_send(child, "before")
    parent.carry(it.read)("ana")
    assert not it.may_send(child, "after")


def test_delegation_only_narrows(world):
    it = world()
    parent = it.session(scope=("mail.*", "web.read"))
    for wider in ("*", "crm.read", ("mail.send", "crm.*"), "web.*", "mail*", ()):
        with pytest.raises(IdentityError):
            parent.delegate(agent="child", scope=wider)
    child = parent.delegate(agent="child", scope="mail.send")
    with pytest.raises(IdentityError):
        child.delegate(agent="grandchild", scope="mail.*")
    assert it.may_send(child)
    with pytest.raises(ActionDenied, match="scope"):
        child.carry(it.web)("x")
    parent.carry(it.web)("x")


def test_a_delegation_expires_and_takes_its_children_with_it(world):
    it = world()
    parent = it.session()
    child = parent.delegate(agent="child", scope="*", lasting=timedelta(seconds=60))
    grandchild = child.delegate(agent="grandchild", scope="*", lasting=timedelta(hours=5))
    assert it.may_send(grandchild, "a")
    it.clock.tick(60)
    for session in (child, grandchild):
        with pytest.raises(ActionDenied, match="expired"):
            session.carry(it.send)("b")
    assert it.may_send(parent, "c")


def test_a_delegation_has_no_cycle_and_a_bounded_depth(world):
    it = world()
    session = it.session(agent="a0")
    for number in range(1, DEPTH + 1):
        for earlier in range(number):
            with pytest.raises(IdentityError, match="already"):
                session.delegate(agent=f"a{earlier}", scope="*")
        session = session.delegate(agent=f"a{number}", scope="*")
    assert it.may_send(session)
    with pytest.raises(IdentityError, match="at most"):
        session.delegate(agent="one-more", scope="*")


def test_an_ended_parent_delegates_no_more(world):
    from navicert.model.errors import IntegrityError

    it = world()
    parent = it.session()
    parent.end()
    with pytest.raises(IntegrityError, match="ended"):
        parent.delegate(agent="child", scope="*")


def test_a_child_acts_no_more_once_its_parent_has_ended(world):
    # seen to fail: without looking at the sessions above
    it = world()
    parent = it.session()
    child = parent.delegate(agent="child", scope="*")
    assert it.may_send(child, "before")
    parent.end()
    with pytest.raises(ActionDenied, match="delegated to it"):
        child.carry(it.send)("after")


def test_a_chain_that_was_forged_does_not_check(world):
    chain = ()
    for held, name in (("a", "b"), ("b", "c")):
        chain = delegation.extend(
            chain, delegator=held, delegatee=name, held=("mail.*",), link=("mail.*",), issued_at=1, expires_at=None
        )
    delegation.check(chain, agent="c", scope=("mail.send",), now=5)
    import msgspec

    change = msgspec.structs.replace
    forged = [
        (chain[1],),
        (chain[1], chain[0]),
        (chain[0], change(chain[1], scope=("*",))),
        (chain[0], change(chain[1], delegator="x")),
        (chain[0], change(chain[1], delegatee="a")),
        (change(chain[0], expires_at=5), chain[1]),
    ]
    for links in forged[1:]:
        with pytest.raises(IdentityError):
            delegation.check(links, agent="c", scope=("mail.send",), now=5)
    for agent, scope in (("b", ("mail.send",)), ("c", ("*",))):
        with pytest.raises(IdentityError):
            delegation.check(chain, agent=agent, scope=scope, now=5)


# in parallel


def test_a_read_that_is_still_running_does_not_taint_a_send_and_taints_the_next(world):
    it = world()
    session = it.session()
    reading, go = Event(), Event()

    @it.bench.tool("crm.slow", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
    def slow() -> str:
        reading.set()
        go.wait()
        return "ana"

    thread = Thread(target=session.carry(slow))
    thread.start()
    reading.wait()
    assert it.may_send(session, "while it runs")  # F.2: its result has not been released
    go.set()
    thread.join()
    assert not it.may_send(session, "after")


def test_two_reads_that_end_together_are_both_in_the_labels_before_either_is_released(world):
    it = world()
    session = it.session()
    seen = []

    @it.bench.tool("hr.read", effect="read", returns={"level": "RESTRICTED", "categories": ["HR"]})
    def people() -> str:
        return "x"

    def one(run: Callable[[], Any], name: str) -> None:
        run()
        seen.append(session.labels.has(name))

    threads = [
        Thread(target=one, args=(lambda: session.carry(it.read)("a"), "PII")),
        Thread(target=one, args=(session.carry(people), "HR")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True, True]
    assert Labels(level=Level.RESTRICTED, categories=("HR", "PII")) == session.labels
