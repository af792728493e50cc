"""Attack family A.6 in a wait: processes that are killed, and several at once; nothing runs twice, or unapproved."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from attacks.waiting import PAIR, Desk, at_once, elsewhere, eventually, policy, start
from navicert import ActionDenied

HELLO = '{"text": "hello"}'


def killed(it: Desk, point: str, *words: str) -> None:
    child = start(it, "kill", point, *words)
    out, err = child.communicate("go\n", timeout=30)
    assert child.returncode == -signal.SIGKILL, out + err


# between decision and effect, approval and resume, resume and effect, effect and outcome


@pytest.mark.parametrize(
    ("point", "waits"), [("enqueued", False), ("in_transaction", False), ("committed", True), ("durable", True)]
)
def test_an_engine_that_is_killed_while_it_suspends_leaves_a_whole_wait_or_none(desk, point, waits):
    it = desk()
    it.enrol("ben")
    session = it.session()
    killed(it, point, "call", "mail.send", session.id, HELLO)
    assert it.effects == []
    assert len(it.engine.waits()) == waits
    if waits:  # nobody was told the handle; whoever looks finds it
        handle = it.engine.waits()[0].handle
        it.suspended(it.bench.resume, handle)
        it.say("ben", handle)
        assert it.bench.resume(handle) == "done: mail hello"
        it.refused(it.bench.resume, handle)
        assert it.effects == ["mail hello"]


@pytest.mark.parametrize(
    ("point", "counts"), [("enqueued", False), ("in_transaction", False), ("committed", True), ("answered", True)]
)
def test_an_approver_s_process_that_is_killed_leaves_a_whole_answer_or_none(desk, point, counts):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    killed(it, point, "answer", "ben", waits.handle, "approve")
    assert len(it.wait(waits.handle).votes) == counts
    if not counts:
        it.suspended(it.bench.resume, waits.handle)
        it.say("ben", waits.handle)
    assert desk().bench.resume(waits.handle) == "done: mail hello"
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("point", ["enqueued", "in_transaction"])
def test_a_process_that_is_killed_before_it_has_taken_a_wait_up_leaves_it_as_it_was(desk, point):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    killed(it, point, "resume", waits.handle)
    assert it.effects == []
    assert it.bench.resume(waits.handle) == "done: mail hello"
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize(
    ("point", "happened"),
    [
        ("committed", False),
        ("durable", False),
        ("permitted", False),
        ("redeemed", False),
        ("effect", True),
        ("outcome_enqueued", True),
    ],
)
def test_a_process_that_is_killed_after_it_has_taken_a_wait_up_leaves_it_open_and_nobody_repeats_it(
    desk, point, happened
):
    it = desk()
    it.enrol("ben")
    session = it.session()
    waits = it.suspended(session.carry(it.send), "hello")
    it.say("ben", waits.handle)
    killed(it, point, "resume", waits.handle)
    done = ["mail hello"] if happened else []
    assert it.effects == done
    assert it.refused(it.bench.resume, waits.handle).reason_code == "wait_over"
    assert it.refused(desk().bench.resume, waits.handle).reason_code == "wait_over"
    again = it.suspended(session.carry(it.send), "hello")  # the same again is asked, and then held back
    it.say("ben", again.handle)
    it.suspended(it.bench.resume, again.handle)
    it.bench.settle(waits.action_id, happened=happened, by="operator")
    assert it.effects == done


# several at once


def test_two_approvers_at_the_same_moment_both_count(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    waits = it.suspended(it.session().carry(it.send), "hello")
    said = at_once(*(start(it, "answer", name, waits.handle, "approve") for name in ("ben", "eva")))
    assert said == [{"waits": True}] * 2
    assert len(it.wait(waits.handle).votes) == 2
    assert it.bench.resume(waits.handle) == "done: mail hello"


def test_a_refusal_at_the_same_moment_as_an_approval_refuses(desk):
    it = desk()
    it.enrol("ben", "eva")
    waits = it.suspended(it.session().carry(it.send), "hello")
    _, refusal = at_once(
        start(it, "answer", "ben", waits.handle, "approve"), start(it, "answer", "eva", waits.handle, "deny")
    )
    assert refusal == {"waits": False}
    assert it.refused(it.bench.resume, waits.handle).reason_code == "approval_denied"
    assert it.effects == []


def test_of_three_processes_that_take_it_up_at_once_one_runs_it(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    said = at_once(*(start(it, "resume", waits.handle) for _ in range(3)))
    assert sorted(next(iter(item)) for item in said) == ["denied", "denied", "result"]
    assert it.effects == ["mail hello"]


def test_a_wait_outlives_the_process_that_began_it_and_gives_its_result_once(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.bench.close()  # the end of the process that asked
    assert elsewhere(it, "resume", waits.handle) == {"suspended": waits.handle}
    assert elsewhere(it, "answer", "ben", waits.handle, "approve") == {"waits": True}
    assert elsewhere(it, "resume", waits.handle) == {"result": "done: mail hello"}
    assert elsewhere(it, "resume", waits.handle)["denied"] == "wait_over"
    assert it.effects == ["mail hello"]


def test_a_call_that_waits_in_band_is_released_by_an_answer_from_another_process(desk):
    it = desk(in_band_s=20.0)
    it.enrol("ben")
    session = it.session()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(session.carry(it.send), "hello")
        (wait,) = eventually(it.engine.waits)
        assert elsewhere(it, "answer", "ben", wait.handle, "approve") == {"waits": True}
        assert call.result(timeout=10) == "done: mail hello"
        refused = pool.submit(session.carry(it.send), "another")
        (wait,) = eventually(it.engine.waits)
        assert elsewhere(it, "answer", "ben", wait.handle, "deny") == {"waits": False}
        with pytest.raises(ActionDenied, match="looked at it"):
            refused.result(timeout=10)
    assert it.effects == ["mail hello"]
