"""Deferral under attack: sources of facts, bounds, escalation, order, and what depends on what waits (R4.b to R4.g)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attacks.test_waiting import Board, plant
from attacks.waiting import MAIL, Desk, elsewhere, policy
from navicert.model.errors import ActionDenied, IdentityError, Unavailable
from navicert.model.policy import SourceKind
from navicert.model.suspension import Answer

SEND = """\
  - {id: send, match: {tool: mail, operation: send, context: {facts.ok: true}}, decision: ALLOW}
  - {id: rest, match: {tool: mail, operation: send}, decision: DENY, priority: -1}
"""
ESCALATING = """\
  - id: unknown
    match: {tool: mail, operation: send, context: {facts.ok: {exists: false}}}
    decision: DEFER
    approvers: [ben]
    timeout: 10m
"""
CAPPED = """\
  - id: high
    match: {tool: bank, amount: {gt: 100}, context: {facts.ok: {exists: false}}}
    decision: DEFER
    priority: 2
  - id: cap
    match: {tool: bank, amount: {gt: 100}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
"""
WRITES = "  - {id: write, match: {tool: file, operation: write}, decision: STEP_UP, approvers: [ben], timeout: 10m}\n"


def facts(*sources: str, attempts: int = 3) -> str:
    return f"  ok: {{sources: [{', '.join(sources)}], attempts: {attempts}, every: 10s}}\n"


def source(path: Path) -> str:
    return f"{{file: {path}, at: /ok}}"


def say(path: Path, ok) -> None:
    path.write_text(json.dumps({"ok": ok}))


def asked(it: Desk) -> str:
    handle: str = it.suspended(it.session().carry(it.send), "hello").handle
    return handle


# sources


def test_a_file_answers(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"))))
    handle = asked(it)
    it.suspended(it.bench.resume, handle)
    say(tmp_path / "a.json", True)
    it.suspended(it.bench.resume, handle)  # the next round is not due
    it.clock.tick(10)
    assert it.bench.resume(handle) == "done: mail hello"


def test_a_command_answers(desk, tmp_path):
    program = tmp_path / "flag"
    program.write_text("#!/bin/sh\nprintf '{\"ok\": true}'\n")
    program.chmod(0o700)
    it = desk(policy(SEND, facts=facts(f"{{command: [{program}], at: /ok}}")))
    assert it.bench.resume(asked(it)) == "done: mail hello"


def test_the_requester_answers_with_their_signature_and_nobody_else(desk):
    it = desk(policy(SEND, facts="  ok: {requester: 'Did you ask for this?'}\n"))
    it.enrol("ana", "ben")
    handle = asked(it)
    with pytest.raises(IdentityError, match="requester"):
        it.say("ben", handle, Answer.STATE, value={"ok": True})
    with pytest.raises(IdentityError):
        it.say("ana", handle, Answer.STATE, value={"ok": True}, key=it.key("ben"))
    it.suspended(it.bench.resume, handle)
    it.say("ana", handle, Answer.STATE, value={"ok": True, "other": 1})
    assert it.bench.resume(handle) == "done: mail hello"


def test_the_requester_who_says_no_is_heard(desk):
    it = desk(policy(SEND, facts="  ok: {requester: 'Did you ask for this?'}\n"))
    it.enrol("ana")
    handle = asked(it)
    it.say("ana", handle, Answer.STATE, value={"ok": False})
    it.refused(it.bench.resume, handle)
    assert it.effects == []


@pytest.mark.parametrize("order", [("ok", "sure"), ("sure", "ok")])
def test_facts_that_a_person_states_one_after_the_other_stand_together(desk, order):
    # seen to fail: with the last statement in place of all before it
    rule = SEND.replace("{facts.ok: true}", "{facts.ok: true, facts.sure: true}")
    assert rule != SEND
    it = desk(policy(rule, facts="  ok: {requester: 'Did you ask?'}\n  sure: {requester: 'Are you sure?'}\n"))
    it.enrol("ana")
    handle = asked(it)
    for name in order:
        it.suspended(it.bench.resume, handle)
        it.clock.tick(1)
        it.say("ana", handle, Answer.STATE, value={name: True})
    assert it.bench.resume(handle) == "done: mail hello"


def test_the_requester_s_word_does_not_stand_in_for_another_source(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"), "{requester: 'Did you?'}", attempts=9)))
    it.enrol("ana")
    handle = asked(it)
    say(tmp_path / "a.json", False)
    it.say("ana", handle, Answer.STATE, value={"ok": True})
    it.clock.tick(10)
    it.suspended(it.bench.resume, handle)
    say(tmp_path / "a.json", True)
    it.clock.tick(10)
    assert it.bench.resume(handle) == "done: mail hello"


@pytest.mark.parametrize("other", [False, None, 1, "true"])
def test_two_sources_that_disagree_end_in_deny(desk, tmp_path, other):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"), source(tmp_path / "b.json"))))
    say(tmp_path / "a.json", True)
    if other is not None:
        say(tmp_path / "b.json", other)
    handle = asked(it)
    for _ in range(4):
        it.suspended(it.bench.resume, handle)
        it.clock.tick(10)
    it.clock.tick(900)
    assert it.refused(it.bench.resume, handle).reason_code == "deferral_timeout"
    assert it.effects == []


def test_two_sources_that_agree_resolve_it(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"), source(tmp_path / "b.json"))))
    for name in ("a.json", "b.json"):
        say(tmp_path / name, True)
    assert it.bench.resume(asked(it)) == "done: mail hello"


def test_facts_of_the_session_that_disagree_are_looked_up(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"))))
    say(tmp_path / "a.json", True)
    with it.session() as session:
        session.observe("ok", True, source="label")
        session.observe("ok", False, source="host")
        waits = it.suspended(session.carry(it.send), "hello")
        assert it.bench.resume(waits.handle) == "done: mail hello"
        it.suspended(session.carry(it.send), "again")  # it holds for the action that waited, and for nothing else


def test_a_fact_whose_source_the_session_has_written_to_decides_nothing(desk, tmp_path):
    # seen to fail: with what was reached left out of `_told`
    it = desk(policy(SEND, "  - {id: write, match: {tool: file, operation: write}, decision: ALLOW}\n"))
    with it.session() as session:
        session.observe("ok", True, source="settings/environment.txt")
        assert session.carry(it.send)("hello") == "done: mail hello"
        session.carry(it.write)(str(tmp_path / "environment.txt"), "true")
        it.suspended(session.carry(it.send), "again")
        session.observe("ok", True, source="host")
        assert session.carry(it.send)("once more") == "done: mail once more"


def test_a_rule_can_ask_how_old_a_fact_is(desk):
    # seen to fail: with the age of every fact zero
    it = desk(policy(SEND.replace("facts.ok: true", "facts.ok: true, ages.ok: {le: 600}")))
    with it.session() as session:
        session.observe("ok", True, source="host")
        assert session.carry(it.send)("hello") == "done: mail hello"
        it.clock.tick(601)
        with pytest.raises(ActionDenied):
            session.carry(it.send)("again")
        session.observe("ok", True, source="host")
        assert session.carry(it.send)("again") == "done: mail again"


def test_a_governed_tool_s_file_that_others_can_write_is_no_source(desk, tmp_path):
    path = tmp_path / "a.json"
    say(path, True)
    path.chmod(0o666)
    it = desk(policy(SEND, facts=facts(source(path))))
    handle = asked(it)
    it.suspended(it.bench.resume, handle)
    path.chmod(0o600)
    it.clock.tick(10)
    assert it.bench.resume(handle) == "done: mail hello"


# bounds


class Counting:
    """A source that counts how often it is asked, and may do something meanwhile."""

    def __init__(self, meanwhile=None) -> None:
        self.asked, self.meanwhile = 0, meanwhile

    def fetch(self, _source):
        self.asked += 1
        if self.meanwhile is not None:
            self.meanwhile()
        raise Unavailable("no answer")


def test_attempts_are_bounded_and_each_is_in_the_receipt(desk):
    counting = Counting()
    it = desk(
        policy(SEND, facts=facts("{file: /desk/flags.json, at: /ok}")),
        resolvers=lambda real: {**real, SourceKind.FILE: counting},
    )
    waits = it.suspended(it.session().carry(it.send), "hello")
    for _ in range(20):
        it.suspended(it.bench.resume, waits.handle)
        it.engine.sweep()
        it.clock.tick(10)
    assert counting.asked == 3
    it.clock.tick(900)
    it.refused(it.bench.resume, waits.handle)
    receipt = it.resolution(waits.action_id)
    assert receipt.deferral.attempts == 3
    tries = it.disclosed(receipt.receipt_id)["/deferral/facts"]
    assert [(each["fact"], each["problem"]) for each in tries] == [("ok", "no answer")] * 3
    assert len({each["at"] for each in tries}) == 3


def test_an_answer_that_comes_during_a_round_loses_neither_the_answer_nor_the_round(desk):
    it = None

    def answer() -> None:
        if not it.wait(handle).votes:
            other.say("ana", handle, Answer.STATE, value={"sure": True})

    counting = Counting(answer)
    rules = SEND.replace("facts.ok: true", "facts.ok: true, facts.sure: true")
    both = facts("{file: /desk/flags.json}") + "  sure: {requester: 'Sure?'}\n"
    it = desk(policy(rules, facts=both), resolvers=lambda real: {**real, SourceKind.FILE: counting})
    other = desk(policy(rules, facts=both), resolvers=lambda real: {**real, SourceKind.FILE: Counting()})
    it.enrol("ana")
    handle = asked(it)
    it.suspended(it.bench.resume, handle)
    wait = it.wait(handle)
    assert len(wait.votes) == 1
    assert len(wait.tries) == counting.asked == 1


# escalation and re-evaluation


def test_an_exhausted_deferral_is_put_to_its_approvers_and_not_before(desk, tmp_path):
    it = desk(policy(ESCALATING, facts=facts(source(tmp_path / "a.json"))))
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    for _ in range(2):
        assert it.suspended(it.bench.resume, waits.handle).verdict == "DEFER"
        it.clock.tick(10)
    assert it.suspended(it.bench.resume, waits.handle).verdict == "STEP_UP"
    escalated = it.resolution(waits.action_id)
    assert (escalated.decision.result, escalated.deferral.method) == ("STEP_UP", "escalation")
    it.suspended(it.bench.resume, waits.handle)
    it.say("ben", waits.handle)
    assert it.bench.resume(waits.handle) == "done: mail hello"
    assert it.resolution(waits.action_id).deferral.method == "approval"


def test_an_approval_before_anybody_is_asked_does_not_count_and_a_refusal_does(desk, tmp_path):
    board = Board()
    it = desk(policy(ESCALATING, facts=facts(source(tmp_path / "a.json"), attempts=2)), notifier=board)
    it.enrol("ben")
    handle = asked(it)
    it.engine.sweep()
    assert board.told == []
    with pytest.raises(IdentityError, match="yet"):
        it.say("ben", handle)
    plant(it, handle, it.ballot("ben", it.question(handle)))
    assert it.suspended(it.bench.resume, handle).verdict == "DEFER"
    it.clock.tick(10)
    it.engine.sweep()
    assert board.told == [(handle, ("ben",))]  # now it is put to them
    other = it.suspended(it.session().carry(it.send), "another").handle
    assert it.say("ben", other, Answer.DENY) is None
    it.refused(it.bench.resume, other)


def test_an_escalated_deferral_that_nobody_answers_is_denied(desk, tmp_path):
    it = desk(policy(ESCALATING, facts=facts(source(tmp_path / "a.json"), attempts=1)))
    handle = asked(it)
    assert it.suspended(it.bench.resume, handle).verdict == "STEP_UP"
    it.clock.tick(600)
    assert it.refused(it.bench.resume, handle).reason_code == "approval_timeout"


def test_a_deferral_whose_facts_are_found_and_do_not_help_is_put_to_its_approvers(desk, tmp_path):
    rule = ESCALATING.replace("{exists: false}", "{not: {eq: true}}")
    it = desk(policy(rule, facts=facts(source(tmp_path / "a.json"), attempts=1)))
    it.enrol("ben")
    say(tmp_path / "a.json", False)
    handle = asked(it)
    assert it.suspended(it.bench.resume, handle).verdict == "STEP_UP"
    it.say("ben", handle)
    assert it.bench.resume(handle) == "done: mail hello"


def test_a_fact_that_was_found_and_does_not_help_is_asked_again_and_one_that_helps_is_not(desk, tmp_path):
    rule = ESCALATING.replace("{exists: false}", "{not: {eq: true}}")
    it = desk(policy(rule, facts=facts(source(tmp_path / "a.json"), attempts=5)))
    say(tmp_path / "a.json", False)
    handle = asked(it)
    it.suspended(it.bench.resume, handle)
    assert len(it.engine.wait(handle).tries) == 1
    say(tmp_path / "a.json", True)
    it.clock.tick(10)
    it.engine.sweep()
    assert [item.value for item in it.engine.wait(handle).facts] == [True]
    it.clock.tick(10)
    it.engine.sweep()
    assert len(it.engine.wait(handle).tries) == 2


def test_a_fact_that_helped_and_is_not_fresh_is_asked_again_before_anything_runs(desk, tmp_path):
    rule = ESCALATING.replace("{exists: false}", "{not: {eq: true}}")
    it = desk(policy(rule, facts=facts(source(tmp_path / "a.json"), attempts=5)))
    say(tmp_path / "a.json", True)
    handle = asked(it)
    it.engine.sweep()
    assert [item.value for item in it.engine.wait(handle).facts] == [True]
    say(tmp_path / "a.json", False)
    it.clock.tick(10)
    it.suspended(it.bench.resume, handle)
    assert it.effects == []


def test_what_was_deferred_is_judged_again_and_may_be_modified(desk, tmp_path):
    it = desk(policy(CAPPED, facts=facts(source(tmp_path / "a.json"))))
    waits = it.suspended(it.session().carry(it.pay), "shop", 5_000)
    say(tmp_path / "a.json", True)
    it.clock.tick(10)
    it.bench.resume(waits.handle)
    assert it.effects == ["paid shop 100"]
    assert it.resolution(waits.action_id).decision.result == "MODIFY"


def test_the_state_of_the_submission_stands_where_it_is_stricter(desk, tmp_path):
    rules = (
        SEND
        + "  - {id: not-urgent, match: {tool: mail, context: {facts.urgent: false}}, decision: DENY, priority: 5}\n"
    )
    it = desk(policy(rules, facts=facts(source(tmp_path / "a.json"))))
    session = it.session()
    session.observe("urgent", True, source="desk")
    waits = it.suspended(session.carry(it.send), "hello")
    say(tmp_path / "a.json", True)
    session.observe("urgent", False, source="desk")
    it.clock.tick(10)
    it.refused(it.bench.resume, waits.handle)  # stricter now


# order, dependence, cascade


def test_independent_actions_pass_while_another_waits(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        waits = it.suspended(session.carry(it.send), "hello")
        session.carry(it.note)("meanwhile")
        session.carry(it.pay)("shop", 5)
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
    assert it.effects == ["note meanwhile", "paid shop 5", "mail hello"]


def test_what_depends_by_name_waits_and_runs_after(desk):
    it = desk()
    it.enrol("ben")
    with it.session() as session:
        first = it.suspended(session.carry(it.send), "hello")
        with session.after(first.handle):
            second = it.suspended(session.carry(it.note), "after")
        assert (second.verdict, second.reason_code) == ("DEFER", "depends")
        it.suspended(it.bench.resume, second.handle)
        it.say("ben", first.handle)
        it.suspended(it.bench.resume, second.handle)  # approved is not done
        it.bench.resume(first.handle)
        it.bench.resume(second.handle)
        with session.after(first.handle):
            session.carry(it.note)("at once")  # what is done holds nothing up
    assert it.effects == ["mail hello", "note after", "note at once"]


def test_what_depends_on_a_running_action_waits_until_it_has_ended(desk):
    it = desk()
    it.enrol("ben")
    session = it.session()
    first = it.suspended(session.carry(it.send), "hello")
    with session.after(first.handle):
        second = it.suspended(session.carry(it.note), "after")
    it.say("ben", first.handle)
    permit = it.engine.resume(first.handle)

    def run(_parameters):
        it.suspended(it.bench.resume, second.handle)
        return it.happen("mail hello")

    from navicert.sdk.render import render

    it.engine.execute(permit, run, render)
    it.bench.resume(second.handle)
    assert it.effects == ["mail hello", "note after"]


@pytest.mark.parametrize("by", ["handle", "action", "inside"])
def test_a_parameter_that_names_the_wait_makes_it_depend(desk, by):
    it = desk()
    with it.session() as session:
        first = it.suspended(session.carry(it.send), "hello")
        name = {"handle": first.handle, "action": first.action_id, "inside": f"see {first.handle}."}[by]
        assert it.suspended(session.carry(it.note), name).reason_code == "depends"
        session.carry(it.note)("something else")


@pytest.mark.parametrize("spelling", ["{folder}/report.txt", "{folder}/x/../report.txt", "{folder}//./report.txt"])
def test_a_read_of_what_a_waiting_action_would_write_keeps_its_order(desk, spelling):
    it = desk(policy(WRITES))
    it.enrol("ben")
    path = it.folder / "report.txt"
    path.write_text("old")
    named = spelling.format(folder=path.parent)
    with it.session() as session:
        first = it.suspended(session.carry(it.write), str(path), "new")
        second = it.suspended(session.carry(it.read), named)
        assert path.read_text() == "old"
        it.say("ben", first.handle)
        it.bench.resume(first.handle)
        (path.parent / "x").mkdir()
        assert it.bench.resume(second.handle) == "new"


@pytest.mark.parametrize("how", ["denied", "timeout", "revoked"])
def test_a_refused_prerequisite_refuses_its_dependents(desk, how):
    it = desk(policy(MAIL.replace("10m", "5m")))
    it.enrol("ben")
    with it.session() as session:
        first = it.suspended(session.carry(it.send), "hello")
        with session.after(first.handle):
            second = it.suspended(session.carry(it.note), "after")
        with session.after(second.handle):
            third = it.suspended(session.carry(it.note), "after that")
        if how == "denied":
            it.say("ben", first.handle, Answer.DENY)
        else:
            it.clock.tick(300)
        it.engine.sweep()
        assert it.refused(it.bench.resume, second.handle).reason_code == "dependency_refused"
        assert it.refused(it.bench.resume, third.handle).reason_code == "dependency_refused"
        with session.after(first.handle):
            assert it.refused(session.carry(it.note), "late").reason_code == "dependency_refused"
        session.carry(it.note)("independent")
    assert it.effects == ["note independent"]


def test_a_cascade_is_bounded(desk):
    it = desk(policy(MAIL, cascade=3))
    with it.session() as session:
        held = it.suspended(session.carry(it.send), "1").handle
        for number in (2, 3):
            with session.after(held):
                held = it.suspended(session.carry(it.note), f"{number}").handle
        with session.after(held):
            assert it.refused(session.carry(it.note), "4").reason_code == "cascade_limit"
        session.carry(it.note)("independent")


def test_a_prerequisite_that_does_not_exist_is_refused(desk):
    it = desk()
    with it.session() as session, session.after("wait_nobody"):
        assert it.refused(session.carry(it.note), "x").reason_code == "no_wait"


def test_an_independent_action_that_runs_here_does_not_void_what_is_approved_elsewhere(desk):
    it = desk()
    it.enrol("ben")
    session = it.session()
    waits = it.suspended(session.carry(it.send), "hello")
    stream = session.carry(it.feed)(2)
    next(stream)  # open here
    asked_once = it.wait(waits.handle)
    assert elsewhere(it, "answer", "ben", waits.handle, "approve") == {"waits": True}
    assert it.wait(waits.handle).question == asked_once.question
    list(stream)
    assert it.bench.resume(waits.handle) == "done: mail hello"
