"""A session that leaves what was asked for, step by step, is held up, whatever each step looks like (R7, T6)."""

from __future__ import annotations

import msgspec
import pytest

from attacks.desk import HEAD
from attacks.waiting import desk
from navicert import ActionSuspended
from navicert.engine import drifting
from navicert.intent.drift import PROFILES
from navicert.model.drift import Drift
from navicert.model.errors import PolicyError
from navicert.model.suspension import Answer
from navicert.syntax import read_policy
from navicert.testing import Fault, FaultyDetector

__all__ = ["desk"]
REQUEST = "read the note about the garden"
OFF = "  - {id: off, match: {drift: {state: off}}, decision: STEP_UP, approvers: [requester]}\n"
ASKED = "  - {id: mail, match: {tool: mail}, decision: STEP_UP, approvers: [requester]}\n"
AGAIN = "  - {id: again, match: {context: {actions_since_said: {ge: 3}}}, decision: STEP_UP, approvers: [requester]}\n"
MOST = 12


def rules(*items, drift="{profile: assistant, limit: 1}"):
    return HEAD.format(version=1) + f"drift: {drift}\nrules:\n" + "".join(items)


def held(it, session, call, most=MOST):
    """Call until it is held up; return how many ran before, and the wait (None: it was never held up)."""
    for number in range(most):
        try:
            session.carry(call)(number)
        except ActionSuspended as waits:
            return number, waits
    return most, None


def stray(it):
    return lambda number: it.send(f"a joke about horses, number {number}")


# a session that strays


def test_a_session_that_strays_step_by_step_is_held_up_and_one_that_keeps_to_its_request_is_not(desk):
    # seen to fail: with `drift=assessed.drift` left out in `engine.judging`, and with `sum_ppm=0` in `step`
    it = desk(rules(OFF))
    ran, waits = held(it, it.session(request=REQUEST), stray(it))
    assert 1 <= ran < MOST
    assert waits is not None
    assert (waits.verdict, waits.rules) == ("STEP_UP", ("off",))
    assert len(it.effects) == ran

    for number in range(MOST):  # each such action by itself is nothing to speak of
        it.session(request=REQUEST).carry(it.send)(f"a joke about horses, number {number}")
    assert held(it, it.session(request=REQUEST), lambda _: it.note("garden")) == (MOST, None)


def test_refused_attempts_drift_too(desk):
    it = desk(rules(OFF, "  - {id: no, match: {tool: mail, content: {contains: horses}}, decision: DENY}\n"))
    session = it.session(request=REQUEST)
    for number in range(MOST):
        it.refused(session.carry(stray(it)), number)
    it.suspended(session.carry(it.pay), "casino", 900)


def test_a_late_or_broken_embedder_hides_no_drift(desk):
    # seen to fail: with 0 in place of an unknown distance in `engine.drifting`
    fault = Fault()
    it = desk(
        rules(OFF),
        detectors=lambda real: tuple(
            FaultyDetector(each, fault) if each.name == "alignment" else each for each in real
        ),
    )
    alone, _ = held(it, it.session(request=REQUEST), stray(it))
    session = it.session(request=REQUEST)
    for number in range(alone):
        session.carry(stray(it))(number)
    fault.raises(TimeoutError("late"))
    assert held(it, session, lambda number: it.note(f"garden {number}"), 6) == (6, None)
    fault.clear()
    it.suspended(session.carry(stray(it)), alone)


def test_what_waited_is_not_counted_again_when_it_is_judged_again(desk):
    # seen to fail: with the question after waiting actions left out in `drifted`
    pay = "  - {id: pay, match: {tool: bank}, decision: STEP_UP, approvers: [ben]}\n"
    off = "  - {id: off, match: {drift: {state: off}}, decision: DENY, priority: 1}\n"
    it = desk(rules(off, pay, drift="{limit: 1.2}"))
    it.enrol("ben")
    session = it.session(request=REQUEST)
    session.carry(stray(it))(0)
    waits = it.suspended(session.carry(it.pay), "casino", 900)
    it.say("ben", waits.handle)
    it.bench.resume(waits.handle)
    assert it.effects[-1] == "paid casino 900"
    it.refused(session.carry(it.pay), "casino", 901)


# the user speaks


def test_words_of_the_user_begin_anew_and_no_words_of_a_tool_do(desk):
    it = desk(rules(OFF))
    session = it.session(request=REQUEST)
    before, waits = held(it, session, stray(it))
    assert waits is not None
    session.user_says("and send me jokes about horses")
    after, _ = held(it, session, lambda number: it.send(f"another joke about horses, number {number}"))
    assert after >= before


def test_after_so_many_actions_the_user_is_asked_whether_to_go_on_and_their_answer_begins_the_count_anew(desk):
    # seen to fail: with `reassured` returning None
    it = desk(rules(AGAIN))
    it.enrol("ana")
    session = it.session(request=REQUEST)
    read = lambda number: it.note(f"garden {number}")  # noqa: E731 - as `stray` is made
    ran, waits = held(it, session, read)
    assert ran == 3
    it.say("ana", waits.handle)
    it.bench.resume(waits.handle)
    assert held(it, session, lambda number: it.note(f"garden, again {number}"))[0] == 3
    session.user_says("go on")
    assert held(it, session, lambda number: it.note(f"garden, once more {number}"))[0] == 3


def test_a_refusal_of_the_question_and_an_approval_of_another_begin_nothing_anew(desk):
    # seen to fail: with every approval counted in `reassured`, and with `approved` taken for any answer
    it = desk(rules(AGAIN, ASKED))
    it.enrol("ana")
    session = it.session(request=REQUEST)
    mail = it.suspended(session.carry(it.send), "hello")
    it.say("ana", mail.handle)
    it.bench.resume(mail.handle)
    ran, waits = held(it, session, lambda number: it.note(f"garden {number}"))
    assert ran == 2  # the mail was the first of three
    it.say("ana", waits.handle, Answer.DENY)
    it.refused(it.bench.resume, waits.handle)
    assert held(it, session, lambda number: it.note(f"garden, again {number}"))[0] == 0


def test_an_answer_lets_one_action_of_a_session_pass_that_is_off_and_it_is_counted_once(desk):
    it = desk(rules(OFF))
    it.enrol("ana")
    session = it.session(request=REQUEST)
    ran, waits = held(it, session, stray(it))
    it.say("ana", waits.handle)
    it.bench.resume(waits.handle)
    assert len(it.effects) == ran + 1
    more, again = held(it, session, lambda number: it.send(f"more about horses, number {number}"))
    assert more >= 1  # the sum begins anew
    assert again is not None


# sessions that belong together


def test_a_delegated_session_goes_on_from_where_it_was_delegated(desk):
    it = desk(rules(OFF))
    session = it.session(request=REQUEST)
    alone, _ = held(it, it.session(request=REQUEST), stray(it))
    for number in range(alone - 1):
        session.carry(it.send)(f"a joke about cows, number {number}")
    child = session.delegate(agent="helper", scope=("*",))
    assert held(it, child, stray(it))[0] <= 1


# the policy


def test_a_policy_names_a_profile_and_changes_it_in_part():
    policy, _ = read_policy(rules(OFF, drift="{profile: coding, slack: 0.25, changes: 3}"))
    assert policy.drift == msgspec.structs.asdict(PROFILES["coding"]) | {"slack_ppm": 250_000, "changes": 3}
    assert read_policy(HEAD.format(version=1) + "rules: []\n")[0].drift is None
    assert drifting._profile(()) == PROFILES["assistant"]


@pytest.mark.parametrize(
    ("drift", "why"),
    [
        ("{}", "`drift` is empty"),
        ("{profile: plumber}", "`plumber`"),
        ("{slack: 1.1}", "`slack` is `1.1`"),
        ("{limit: 0}", "`limit` is 0"),
        ("{pace: 65}", "`pace`"),
        ("{weight: 1}", "unknown field `weight`"),
        ("coding", "`drift` must be a mapping"),
    ],
)
def test_what_is_no_profile_does_not_load(drift, why):
    with pytest.raises(PolicyError) as failure:
        read_policy(rules(OFF, drift=drift))
    assert why in str(failure.value)


@pytest.mark.parametrize("match", ["{drift: {state: steady}}", "{signals: {drift_state: steady}}"])
def test_a_steady_session_permits_nothing(match):
    with pytest.raises(PolicyError, match="is a score, and a score never permits"):
        read_policy(rules(f"  - {{id: r, match: {match}, decision: ALLOW}}\n"))


def test_the_state_before_the_first_action_is_that_of_no_action():
    assert Drift() == msgspec.json.decode(msgspec.json.encode(Drift()), type=Drift)
