"""A row that another thread's failed commit drops from the cache is read again, wherever that happens.

Each operation is done once for each row that it looks at, with that row gone: it comes to the same, and nothing is
refused. Seen to fail: with any of the questions `is None` of a row taken out (`make mutants`).
"""

from __future__ import annotations

import pytest

from attacks.desk import MAIL, policy
from navicert.model.authority import Authority
from navicert.model.decision import Permit, Suspended
from navicert.model.suspension import Answer
from unit.engine.meanwhile import Gone
from unit.engine.test_permits import DONE

RULES = policy(
    MAIL,
    "  - {id: few, match: {tool: bank, operation: pay, rate: {per: human, above: 90, window: 1h}}, decision: DENY}\n",
)


def every_place(it, prepare, do):
    """Do it as often as it looks at rows, each time with another of them gone; at least once."""
    for at in range(1, 400):
        prepared = prepare()
        with Gone(it.engine, at) as gone:
            do(prepared)
        if gone.over:
            assert at > 1
            return
    raise AssertionError("it looks at more rows than it should")


def action(it, name="bank.pay", **parameters):
    from navicert.core.canonical import parameter_bytes
    from navicert.model.action import Effect, ToolProfile
    from navicert.model.labels import Labels, Level

    tool, _, operation = name.partition(".")
    profile = ToolProfile(tool=name, effect=Effect.SEND, returns=Labels(level=Level.CONFIDENTIAL), resource=("path",))
    return it.engine.action(tool, operation, parameter_bytes(parameters), profile=profile)


def permitted(it, session, **parameters):
    answer = it.engine.decide(action(it, **parameters), session)
    assert isinstance(answer, Permit), answer
    return answer


@pytest.fixture
def it(desk):
    made = desk(RULES)
    made.enrol("ben", "sue")
    return made


@pytest.fixture
def parent(it):
    return it.session().id


@pytest.fixture
def child(it, parent):
    return it.engine.delegate(parent, agent="helper", scope=("*",))


def test_an_action_is_judged_redeemed_and_completed_in_a_child_session(it, child):
    numbers = iter(range(1000))

    def all_of_it(number):
        permit = permitted(it, child, account=f"a{number}", amount=1, path=f"/desk/{number}")
        it.engine.redeem(permit)
        it.engine.extend(permit, DONE)
        it.engine.complete(permit, DONE)

    every_place(it, lambda: next(numbers), all_of_it)


def test_an_action_that_is_given_up_is_settled(it, child):
    def begun():
        permit = permitted(it, child, account="same", amount=1)
        it.engine.redeem(permit)
        return permit

    def given_up(permit):
        it.engine.abandon(permit, "lost")
        it.engine.settle(permit.action_id, happened=False, by="ana", reason="looked")

    every_place(it, begun, given_up)


def test_an_action_that_waits_is_answered_and_taken_up(it, parent):
    numbers = iter(range(1000))

    def asked():
        answer = it.engine.decide(action(it, "mail.send", text=f"t{next(numbers)}"), parent)
        assert isinstance(answer, Suspended), answer
        return answer.handle

    def answered(handle):
        assert it.engine.sweep() == 1
        assert len(it.engine.waits()) == 1
        assert it.say("ben", handle) is not None
        answer = it.engine.resume(handle)
        assert isinstance(answer, Permit), answer
        it.engine.redeem(answer)
        it.engine.complete(answer, DONE)

    every_place(it, asked, answered)


def test_an_action_that_depends_on_one_that_waits_waits_for_it(it, parent):
    numbers = iter(range(1000))

    def asked():
        answer = it.engine.decide(action(it, "mail.send", text=f"t{next(numbers)}"), parent)
        return answer.handle

    def depends(handle):
        from msgspec.structs import replace

        later = replace(action(it, account=handle, amount=1), depends_on=(handle,))
        answer = it.engine.decide(later, parent)
        assert isinstance(answer, Suspended), answer
        it.say("ben", handle, Answer.DENY)
        assert it.engine.sweep() == 0

    every_place(it, asked, depends)


def test_what_supervisors_and_the_application_do_is_done(it, parent):
    numbers = iter(range(1000))

    def all_of_it(number):
        it.engine.stop("agent/bot", Authority.NARROWED, by="sue", reason="careful")
        it.engine.restore(it.restoration("sue", "agent/bot"))
        assert not it.engine.standings().subjects
        it.enrol(f"p{number}")
        it.engine.dismiss(f"p{number}")
        assert it.engine.join(it.engine.launch(parent)) == parent
        it.engine.say(parent, "more")
        it.engine.delegate(parent, agent="helper", scope=("mail.*",))
        it.engine.end(it.session().id)
        it.adopt(RULES.replace("version: 1", f"version: {number + 2}"))

    every_place(it, lambda: next(numbers), all_of_it)
