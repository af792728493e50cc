"""Attack family B, during a wait: what was approved is what runs, once, and under what it was approved (R4.a, R6.b)."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import msgspec
import pytest

from attacks.waiting import MAIL, PAIR, Desk, policy
from navicert import ActionDenied, ActionSuspended
from navicert.core.shared import wait_key
from navicert.engine import answering
from navicert.engine.workings import replace
from navicert.model.commit import Commit, RowWrite
from navicert.model.errors import IdentityError, NavicertError
from navicert.model.suspension import Answer, Vote

PAY = "  - {id: pay, match: {tool: bank}, decision: STEP_UP, approvers: [ben], priority: 1}\n"
CAP = """\
  - id: cap
    match: {tool: bank, amount: {gt: 100}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
    priority: 5
"""
SCRIPT = "  - {id: run, match: {tool: script}, decision: STEP_UP, approvers: [ben]}\n"


def plant(it: Desk, handle: str, *votes: Vote) -> None:
    """Put answers into the wait's row, as somebody would who can write the store."""
    works, key = it.engine._works, wait_key(handle)
    wait = it.wait(handle)
    with works.turn:
        version = works.rows.get(key)[1]
        ticket = works.queue(Commit(writes=(RowWrite(key=key, expected=version, value=replace(wait, votes=votes)),)))
    ticket.wait(5)


# B.1 arguments that change while it waits


def test_a_list_that_grows_during_the_wait_runs_as_it_was_approved(desk):
    it = desk()
    it.enrol("ben")
    text = ["hello"]
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), text)
        text.append("and the passwords")
        it.say("ben", waits.handle)
        text.append("and the keys")
        it.bench.resume(waits.handle)
    assert it.effects == ["mail ['hello']"]


def test_a_dict_that_another_thread_keeps_changing_runs_as_it_was_judged(desk):
    it = desk()
    it.enrol("ben")
    text = {"to": "ana", "more": {"amount": 0}}
    done = threading.Event()

    def change():
        while not done.is_set():
            text["more"]["amount"] += 1

    thread = threading.Thread(target=change)
    with it.session() as session:
        thread.start()
        try:
            waits = it.suspended(session.carry(it.send), text)
            it.say("ben", waits.handle)
            approved = json.loads(it.wait(waits.handle).action.parameters)["text"]
            it.bench.resume(waits.handle)
        finally:
            done.set()
            thread.join()
    assert it.effects == [f"mail {approved}"]
    assert approved["more"]["amount"] != text["more"]["amount"]


class Shifty(str):
    """A text that says something else each time it is asked."""

    __slots__ = ("asked",)

    def __str__(self) -> str:
        self.asked = getattr(self, "asked", 0) + 1
        return "harmless" if self.asked == 1 else f"evil {self.asked}"

    __repr__ = __format__ = __str__


def test_a_text_that_changes_its_form_runs_as_it_was_judged_or_not_at_all(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        try:
            session.carry(it.send)(Shifty("plain"))
        except ActionSuspended as waits:
            it.say("ben", waits.handle)
            shown = json.loads(it.wait(waits.handle).action.parameters)["text"]
            it.bench.resume(waits.handle)
            assert it.effects == [f"mail {shown}"]
        except ActionDenied:
            assert it.effects == []


# B.2 the approval of one thing, consumed for another


def test_an_approval_is_for_one_call_and_not_for_another_payload(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        harmless = it.suspended(session.carry(it.send), "harmless")
        evil = it.suspended(session.carry(it.send), "evil")
    vote = it.ballot("ben", it.question(harmless.handle))
    with pytest.raises(IdentityError, match="another question"):
        it.engine.answer(evil.handle, vote)
    for changes in (
        {"handle": evil.handle},
        {"handle": evil.handle, "nonce": it.question(evil.handle).nonce},
        {"handle": evil.handle, "nonce": it.question(evil.handle).nonce, "approvals": 1, "labels": vote_labels(it)},
    ):
        crafted = replace(it.question(harmless.handle), **changes)
        with pytest.raises(IdentityError, match="another question"):
            it.engine.answer(evil.handle, it.ballot("ben", crafted))
    plant(it, evil.handle, vote)
    it.suspended(it.bench.resume, evil.handle)
    it.engine.answer(harmless.handle, vote)
    assert it.bench.resume(harmless.handle) == "done: mail harmless"
    assert it.effects == ["mail harmless"]


def vote_labels(it: Desk):
    return it.engine.waits()[0].question.labels


def test_an_approval_of_the_same_words_in_another_session_does_not_count(desk):
    it = desk()
    it.enrol("ben")
    one, other = it.session(), it.session(human="zoe")
    first = it.suspended(one.carry(it.send), "hello")
    second = it.suspended(other.carry(it.send), "hello")
    vote = it.ballot("ben", it.question(first.handle))
    with pytest.raises(IdentityError):
        it.engine.answer(second.handle, vote)
    plant(it, second.handle, vote)
    it.suspended(it.bench.resume, second.handle)
    it.say("ben", first.handle)
    it.suspended(it.bench.resume, second.handle)
    it.bench.resume(first.handle)
    assert it.effects == ["mail hello"]


def test_an_approval_is_consumed_once(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
        for _ in range(3):
            assert it.refused(it.bench.resume, waits.handle).reason_code == "wait_over"
        again = it.suspended(session.carry(it.send), "hello")  # the same call again is another question
        assert again.handle != waits.handle
    assert it.effects == ["mail hello"]


def test_an_approval_does_not_outlive_its_question(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        it.clock.tick(600)
        assert it.refused(it.bench.resume, waits.handle).reason_code == "approval_timeout"
    assert it.effects == []


def test_an_answer_after_the_deadline_does_not_count(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    question = it.question(waits.handle)
    it.clock.tick(600)
    for at in (it.clock.now(), question.asked_at + 1):  # backdated too: nobody looks at what is over
        vote = it.ballot("ben", question, at=at)
        try:
            it.engine.answer(waits.handle, vote)
        except NavicertError:
            continue
        assert it.engine.wait(waits.handle) is None
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == []


def test_under_another_rule_it_is_asked_anew_and_old_answers_do_not_count(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        old = it.ballot("ben", it.question(waits.handle))
        it.engine.answer(waits.handle, old)
        it.adopt(policy(MAIL.replace("10m", "9m"), version=2))
        it.suspended(it.bench.resume, waits.handle)
        with pytest.raises(IdentityError):
            it.engine.answer(waits.handle, old)
        plant(it, waits.handle, old)
        it.suspended(it.bench.resume, waits.handle)
        assert it.question(waits.handle).deadline - it.clock.now() == 540_000_000
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]


def test_under_the_same_rule_in_another_file_the_approval_holds(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        it.adopt(policy("  - {id: other, match: {tool: note}, decision: DENY}\n", MAIL, version=2))
        assert it.bench.resume(waits.handle) == "done: mail hello"
    assert it.effects == ["mail hello"]


def test_a_policy_that_forbids_it_meanwhile_stands_over_the_approval(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        it.adopt(policy("  - {id: no, match: {tool: mail}, decision: DENY, priority: 9}\n", MAIL, version=2))
        it.refused(it.bench.resume, waits.handle)
    assert it.resolution(waits.action_id).decision.rules == ("no",)
    assert it.effects == []


# B.3 changed after the approval


def test_a_modification_that_comes_after_the_approval_is_asked_anew(desk):
    it = desk(policy(PAY))
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.pay), "shop", 5_000)
        it.say("ben", waits.handle)
        it.adopt(policy(PAY, CAP, version=2))
        it.suspended(it.bench.resume, waits.handle)
        assert json.loads(it.wait(waits.handle).effective)["amount"] == 100
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["paid shop 100"]
    assert it.resolution(waits.action_id).decision.result == "MODIFY"


def test_a_modification_that_falls_away_after_the_approval_is_asked_anew(desk):
    it = desk(policy(PAY, CAP))
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.pay), "shop", 5_000)
        it.say("ben", waits.handle)
        it.adopt(policy(PAY, version=2))
        it.suspended(it.bench.resume, waits.handle)
        assert it.effects == []
        assert it.wait(waits.handle).votes == ()


def test_what_is_approved_of_a_modified_call_is_what_it_was_modified_to(desk):
    it = desk(policy(PAY, CAP))
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.pay), "shop", 5_000)
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["paid shop 100"]


# B.4 a rejected call, by another path


def test_a_rejected_call_does_not_run_by_resume_replay_or_retry(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        yes = it.ballot("ben", it.question(waits.handle))
        it.engine.answer(waits.handle, yes)
        assert it.say("eva", waits.handle, Answer.DENY, reason="not to them") is None
        assert "not to them" in it.refused(it.bench.resume, waits.handle).reason
        with pytest.raises(NavicertError):
            it.engine.answer(waits.handle, yes)
        it.refused(it.bench.resume, waits.handle)
        again = it.suspended(session.carry(it.send), "hello")
        with pytest.raises(IdentityError):
            it.engine.answer(again.handle, yes)
        plant(it, again.handle, yes, yes)
        it.suspended(it.bench.resume, again.handle)
    assert it.effects == []


def test_answers_that_nobody_signed_do_not_release_it(desk):
    it = desk()
    it.enrol("ben", "eva")
    waits = it.suspended(it.session().carry(it.send), "hello")
    question = it.question(waits.handle)
    forged = it.ballot("ben", question, key=it.key("eva"), key_id=it.key("ben").key_id)
    changed = replace(it.ballot("ben", question, Answer.DENY), signature=b"\0" * 64)
    loose = it.ballot("ben", question)
    loose = Vote(statement=loose.statement + b" ", signature=it.key("ben").sign(loose.statement + b" "))
    for vote in (forged, changed, loose, Vote(statement=b"{}", signature=b""), Vote(statement=b"\xff", signature=b"")):
        with pytest.raises(IdentityError):
            it.engine.answer(waits.handle, vote)
    plant(it, waits.handle, forged, changed, loose)
    it.suspended(it.bench.resume, waits.handle)
    assert it.effects == []
    it.say("ben", waits.handle)
    it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]


def test_a_handle_that_nobody_gave_out_releases_nothing(desk):
    it = desk()
    for handle in ("wait_00000000000000000000000000", "", "over/x", "../wait"):
        assert it.refused(it.bench.resume, handle).reason_code in {"no_wait", "unavailable"}


# voids: labels, files, clock


def test_what_the_session_reads_between_question_and_answer_voids_the_answer(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        old = it.ballot("ben", it.question(waits.handle))
        session.carry(it.person)("ana")
        it.engine.answer(waits.handle, old)
        assert "labels" in it.suspended(it.bench.resume, waits.handle).reason
        assert it.question(waits.handle).labels.has("PII")
        with pytest.raises(IdentityError):
            it.engine.answer(waits.handle, old)
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]


def test_what_the_session_reads_after_the_answer_voids_it_too(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        session.carry(it.person)("ana")
        it.suspended(it.bench.resume, waits.handle)
        session.carry(it.person)("zoe")  # no more labels than it was asked with
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]


@pytest.mark.parametrize("how", ["edited", "swapped", "removed", "linked"])
def test_a_file_that_changes_after_the_answer_voids_it(desk, how):
    it = desk(policy(SCRIPT))
    it.enrol("ben")
    path, other = it.folder / "script.sh", it.folder / "other.sh"
    path.write_text("echo harmless")
    other.write_text("rm everything")
    with it.session() as session:
        waits = it.suspended(session.carry(it.run), str(path))
        it.say("ben", waits.handle)
        if how == "edited":
            path.write_text("rm everything")
        elif how == "swapped":
            other.rename(path)
        else:
            path.unlink()
            if how == "linked":
                path.symlink_to(other)
        assert "file" in it.suspended(it.bench.resume, waits.handle).reason
    assert it.effects == []


def test_a_file_that_stays_the_same_does_not_void_the_answer(desk):
    it = desk(policy(SCRIPT))
    it.enrol("ben")
    path = it.folder / "script.sh"
    path.write_text("echo harmless")
    with it.session() as session:
        waits = it.suspended(session.carry(it.run), str(path))
        it.say("ben", waits.handle)
        path.unlink()
        path.write_text("echo harmless")
        it.bench.resume(waits.handle)
    assert it.effects == ["ran echo harmless"]


def test_a_clock_that_is_set_back_wins_no_time(desk):
    it = desk()
    it.enrol("ben")
    session = it.session()
    waits = it.suspended(session.carry(it.send), "hello")
    question = it.question(waits.handle)
    it.clock.tick(650)
    session.carry(it.note)("time goes by")
    it.clock.tick(-600)
    assert it.engine.answer(waits.handle, it.ballot("ben", question)) is None
    assert it.refused(it.bench.resume, waits.handle).reason_code == "approval_timeout"
    assert it.effects == ["note time goes by"]


@pytest.mark.parametrize("step", [-3600, -31, 31, 3600])
def test_an_answer_from_another_time_does_not_count(desk, step):
    it = desk()
    it.enrol("ben")
    it.clock.tick(7_200)
    waits = it.suspended(it.session().carry(it.send), "hello")
    with pytest.raises(IdentityError, match="clock"):
        it.say("ben", waits.handle, at=it.clock.now() + step * 1_000_000)
    it.suspended(it.bench.resume, waits.handle)


def test_an_answer_of_a_clock_that_is_a_little_off_counts(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle, at=it.clock.now() + 20_000_000)
    assert it.bench.resume(waits.handle) == "done: mail hello"


# D.8 questions are not multiplied


class Board:
    """A notifier that notes who was told of what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...]]] = []

    def notify(self, wait, names) -> None:
        self.told.append((wait.handle, tuple(names)))


def test_identical_retries_do_not_multiply_questions(desk):
    board = Board()
    it = desk(notifier=board)
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        for _ in range(5):
            assert it.suspended(session.carry(it.send), "hello").handle == waits.handle
            it.engine.sweep()
        other = it.suspended(session.carry(it.send), "something else")
        it.engine.sweep()
    assert [item.handle for item in it.engine.waits()] == [waits.handle, other.handle]
    assert board.told == [(waits.handle, ("ben", "eva")), (other.handle, ("ben", "eva"))]


def test_the_same_call_again_takes_up_the_one_that_was_approved_and_runs_it_once(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        session.carry(it.send)("hello")
        assert it.effects == ["mail hello"]
        again = it.suspended(session.carry(it.send), "hello")  # a new action, and a new question
        assert again.handle != waits.handle
        it.refused(it.bench.resume, waits.handle)
    assert it.effects == ["mail hello"]


def test_another_call_does_not_take_up_the_one_that_was_approved(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        it.say("ben", waits.handle)
        it.suspended(session.carry(it.send), "hello!")
    with it.session() as other:
        assert it.suspended(other.carry(it.send), "hello").handle != waits.handle
    assert it.effects == []


def test_too_many_questions_of_one_session_are_refused(desk):
    it = desk()
    with it.session() as session:
        for number in range(32):
            it.suspended(session.carry(it.send), f"mail {number}")
        assert it.refused(session.carry(it.send), "one more").reason_code == "too_many_waiting"
        assert session.carry(it.note)("others pass") == "done: note others pass"
    assert len(it.engine.waits()) == 32


def test_a_question_that_never_comes_to_rest_is_refused(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    for version in range(2, 11):
        it.say("ben", waits.handle)
        it.adopt(policy(MAIL.replace("10m", f"{version}0m"), version=version))
        try:
            it.bench.resume(waits.handle)
        except ActionSuspended:
            continue
        except ActionDenied as denied:
            assert denied.reason_code == "unstable"  # noqa: PT017 - one of several rounds
            break
    else:
        pytest.fail("it was asked for ever")
    assert it.effects == []


def test_a_sweep_never_releases(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    for _ in range(3):
        assert it.engine.sweep() == 1
    assert it.effects == []
    assert it.receipts(waits.action_id, "resolution") == []
    assert it.bench.resume(waits.handle) == "done: mail hello"


def test_no_answer_is_kept_whose_question_has_another_shape(desk):
    it = desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    question = it.question(waits.handle)
    for field in msgspec.structs.fields(type(question)):
        held = getattr(question, field.name)
        if isinstance(held, str) and field.name != "verdict":
            changed = held + "x"
        elif isinstance(held, int):
            changed = held + 1
        elif isinstance(held, tuple):
            changed = (*held, ("x", "y") if field.name == "rules" else "x")
        elif isinstance(held, dict):
            changed = {**held, "x": "y"}
        else:
            continue
        with pytest.raises(IdentityError):
            it.engine.answer(waits.handle, it.ballot("ben", replace(question, **{field.name: changed})))
    assert it.wait(waits.handle).votes == ()
    assert Path(it.folder).exists()


def test_an_answer_whose_action_is_taken_up_in_the_same_moment_is_no_error(desk, monkeypatch):
    """Who waits in band may be faster than who answers: the answer stands, and was used once."""
    it = desk()
    it.enrol("ben")
    looked = answering.resuming

    def taken_up_first(works, handle, *, take):
        yield from looked(works, handle, take=True)
        return (yield from looked(works, handle, take=take))

    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        monkeypatch.setattr(answering, "resuming", taken_up_first)
        # seen to fail: with a wait that is read again as one that must be there
        assert it.say("ben", waits.handle) is None
        monkeypatch.undo()
        assert it.engine.wait(waits.handle) is None
