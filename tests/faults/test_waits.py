"""The store fails at each step of a wait: nothing runs twice or unapproved, and the log verifies (A.6, A.9).

"failed": the commit did not become durable. "persisted": it did, and was reported as failed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attacks.waiting import MAIL, Desk, desk, policy
from navicert import ActionDenied, ActionSuspended
from navicert.model.commit import Commit
from navicert.model.errors import NavicertError, Unavailable
from navicert.model.suspension import Wait
from navicert.testing import Fault, FaultyJournal

__all__ = ["desk"]
WAYS = ("failed", "persisted")
SEND = """\
  - {id: send, match: {tool: mail, operation: send, context: {facts.ok: true}}, decision: ALLOW}
  - {id: rest, match: {tool: mail, operation: send}, decision: DENY, priority: -1}
"""


def set_fault(fault: Fault, way: str, only: Callable[[Commit], bool]) -> None:
    if way == "failed":
        fault.raises(Unavailable("the store failed: the disk is gone"), only=only, times=1)
    else:
        fault.persists(only=only, times=1)


def wait_of(commit: Commit) -> Wait | None:
    return next((item.value for item in commit.writes if isinstance(item.value, Wait)), None)


def suspends(commit: Commit) -> bool:
    return commit.draft is not None and commit.draft.receipt.kind == "decision"


def resolves(commit: Commit) -> bool:
    return commit.draft is not None and commit.draft.receipt.kind == "resolution"


def votes(commit: Commit) -> bool:
    wait = wait_of(commit)
    return commit.draft is None and wait is not None and bool(wait.votes)


def rounds(commit: Commit) -> bool:
    return commit.draft is None and wait_of(commit) is not None


@pytest.fixture
def faulty(desk) -> Callable[..., tuple[Desk, Fault]]:
    def make(rules: str = policy(MAIL)) -> tuple[Desk, Fault]:
        fault = Fault()
        it = desk(rules, journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault, inline=True))
        it.enrol("ben")
        return it, fault

    return make


@pytest.mark.parametrize("way", WAYS)
def test_a_suspension_that_fails_is_a_refusal_and_leaves_at_most_one_wait(faulty, way):
    it, fault = faulty()
    session = it.session()
    set_fault(fault, way, suspends)
    it.refused(session.carry(it.send), "hello")
    assert fault.hits == 1
    held = it.engine.waits()
    assert len(held) == (way == "persisted")
    if held:
        assert it.suspended(session.carry(it.send), "hello").handle == held[0].handle
    handle = it.suspended(session.carry(it.send), "hello").handle
    it.suspended(it.bench.resume, handle)
    it.say("ben", handle)
    it.bench.resume(handle)
    it.refused(it.bench.resume, handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_fails_to_be_kept_is_told_and_can_be_given_again(faulty, way):
    it, fault = faulty()
    waits = it.suspended(it.session().carry(it.send), "hello")
    vote = it.ballot("ben", it.question(waits.handle))
    set_fault(fault, way, votes)
    with pytest.raises(NavicertError):
        it.engine.answer(waits.handle, vote)
    assert fault.hits == 1
    assert len(it.wait(waits.handle).votes) == (way == "persisted")
    if way == "failed":
        it.suspended(it.bench.resume, waits.handle)
    it.engine.answer(waits.handle, vote)
    assert len(it.wait(waits.handle).votes) == 1
    it.bench.resume(waits.handle)
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("nth", [1, 2], ids=["claim", "result"])
@pytest.mark.parametrize("way", WAYS)
def test_a_round_whose_claim_or_result_fails_releases_nothing_and_stays_bounded(faulty, tmp_path: Path, way, nth):
    place = tmp_path / "a.json"
    facts = f"  ok: {{sources: [{{file: {place}, at: /ok}}], attempts: 3, every: 10s}}\n"
    it, fault = faulty(policy(SEND, facts=facts))
    waits = it.suspended(it.session().carry(it.send), "hello")
    place.write_text('{"ok": true}')
    seen = []

    def nth_round(commit: Commit) -> bool:
        if rounds(commit):
            seen.append(commit)
        return rounds(commit) and len(seen) == nth

    set_fault(fault, way, nth_round)
    with pytest.raises((ActionDenied, ActionSuspended)):
        it.bench.resume(waits.handle)
    assert fault.hits == 1
    assert it.effects == []
    fault.clear()
    results = []
    for _ in range(4):
        it.clock.tick(10)
        try:
            results.append(it.bench.resume(waits.handle))
        except ActionDenied:
            continue
    assert results == ["done: mail hello"]
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("way", WAYS)
def test_a_release_that_fails_runs_nothing_and_is_done_again_only_where_it_did_not_stand(faulty, way):
    it, fault = faulty()
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    set_fault(fault, way, resolves)
    assert it.refused(it.bench.resume, waits.handle).reason_code == "unavailable"
    assert (fault.hits, it.effects) == (1, [])
    if way == "failed":
        assert it.bench.resume(waits.handle) == "done: mail hello"
        return
    assert it.refused(it.bench.resume, waits.handle).reason_code == "wait_over"
    assert it.effects == []
    it.bench.settle(waits.action_id, happened=False, by="operator")


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_that_fails_to_be_kept_stays_a_refusal(faulty, way):
    it, fault = faulty()
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.clock.tick(600)
    set_fault(fault, way, resolves)
    it.refused(it.bench.resume, waits.handle)
    assert fault.hits == 1
    assert it.refused(it.bench.resume, waits.handle).reason_code == "approval_timeout"
    assert len(it.receipts(waits.action_id, "resolution")) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_question_asked_anew_whose_commit_fails_voids_the_old_answers_all_the_same(faulty, way):
    it, fault = faulty()
    session = it.session()
    waits = it.suspended(session.carry(it.send), "hello")
    it.say("ben", waits.handle)
    session.carry(it.person)("ana")
    set_fault(fault, way, resolves)
    it.refused(it.bench.resume, waits.handle)
    assert fault.hits == 1
    it.suspended(it.bench.resume, waits.handle)
    assert it.wait(waits.handle).votes == ()
    it.say("ben", waits.handle)
    it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("way", WAYS)
def test_a_stop_that_fails_to_be_kept_is_told(faulty, way):
    from navicert.model.authority import Authority, Standings

    it, fault = faulty()
    session = it.session()
    set_fault(fault, way, lambda commit: any(isinstance(item.value, Standings) for item in commit.writes))
    with pytest.raises(NavicertError):
        it.engine.stop("all", Authority.REVOKED, by="op", reason="incident")
    assert fault.hits == 1
    if way == "persisted":
        it.refused(session.carry(it.note), "x")
    else:
        session.carry(it.note)("x")


def test_a_journal_that_does_not_answer_is_no_approval(faulty):
    it, fault = faulty()
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    fault.raises(only=resolves)
    for _ in range(3):
        it.refused(it.bench.resume, waits.handle)
    assert it.effects == []
    fault.clear()
    assert it.bench.resume(waits.handle) == "done: mail hello"
