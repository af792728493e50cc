"""A wait that is looked at again: what ends it, what keeps it, and what happens underneath (R4, R6.b, R6.f).

Written for mutants of `engine/resuming.py` that no test minded; `make mutants` says which each of them kills.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from msgspec.structs import replace

from attacks.desk import MAIL, PAIR, policy
from attacks.test_deferrals import SEND, facts, say, source
from navicert.model.action import Effect, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import IdentityError, Unavailable
from navicert.model.labels import Labels
from navicert.model.suspension import Answer
from navicert.testing import Fault, FaultyJournal, FaultyVerifier
from unit.engine.meanwhile import Before, Meanwhile, reading
from unit.engine.test_permits import DONE

BY_FACT = """\
  - {id: send, match: {tool: mail, operation: send, context: {facts.ok: true}}, decision: ALLOW}
  - {id: wait, match: {tool: mail, operation: send, context: {facts.ok: {exists: false}}}, decision: DEFER}
"""


def is_outcome(commit):
    return commit.draft is not None and commit.draft.receipt.kind == "outcome"


def asked(it, text="hello", session=None):
    return it.suspended((session or it.session()).carry(it.send), text).handle


@pytest.fixture
def two(desk):
    """Two engines over one store, and what happens meanwhile in the journal of the first."""
    held = []

    def make(rules, **ports):
        def journal(real):
            held.append(Meanwhile(real))
            return held[0]

        return desk(rules, journal=journal, **ports), desk(rules), held[0]

    return make


def test_a_wait_that_ends_while_it_is_taken_up_says_how_it_ended(two):
    one, other, meanwhile = two(policy(MAIL))
    one.enrol("ben")
    handle = asked(one)
    mine = reading(f"wait/{handle}")
    # the first look finds it, the second does not any more
    meanwhile.at("read", lambda: meanwhile.at("read", lambda: other.say("ben", handle, Answer.DENY), of=mine), of=mine)
    answer = one.engine.resume(handle)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "approval_denied"
    assert meanwhile.happened == 2


def test_people_whom_another_process_enrolled_are_heard(two):
    one, other, _ = two(policy(MAIL))
    handle = asked(one)
    assert not one.engine.approvers().people
    other.enrol("ben")
    assert isinstance(one.engine.resume(handle), Suspended)
    other.say("ben", handle)
    assert isinstance(one.engine.resume(handle), Permit)


def test_authority_that_another_process_took_ends_the_wait(two):
    one, other, _ = two(policy(PAIR))
    handle = asked(one)
    assert not one.engine.standings().subjects
    other.engine.stop("agent/bot", Authority.REVOKED, by="eva", reason="odd")
    answer = one.engine.resume(handle)
    assert (answer.reason_code, one.engine.wait(handle)) == ("authority_revoked", None)


def test_a_fact_that_another_process_observed_is_judged_on(two):
    one, other, _ = two(policy(BY_FACT))
    session = one.session()
    handle = asked(one, session=session)
    assert isinstance(one.engine.resume(handle), Suspended)
    other.engine.observe(session.id, name="ok", value=True, source="app")
    assert isinstance(one.engine.resume(handle), Permit)


def test_a_wait_that_is_answered_while_it_is_looked_at_is_not_judged_on_half_of_it(two):
    one, _, meanwhile = two(policy(MAIL))
    one.enrol("ben")
    handle = asked(one)
    meanwhile.at("read", lambda: one.say("ben", handle), of=reading("approvers"))
    answer = one.engine.resume(handle)
    assert meanwhile.happened == 1
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "it is being changed; try again" in answer.reason) == ("unavailable", True)
    assert isinstance(one.engine.resume(handle), Permit)


def test_what_came_of_an_earlier_action_is_recorded_before_a_wait_is_released(desk):
    down = Fault()
    it = desk(policy(MAIL), journal=lambda real: FaultyJournal(real, reading=Fault(), committing=down))
    it.enrol("ben")
    session = it.session()
    handle = asked(it, session=session)
    it.say("ben", handle)
    down.raises(Unavailable("the store failed"), only=is_outcome)
    with suppress(Unavailable):
        session.carry(it.note)("a")
    down.clear()
    assert isinstance(it.engine.resume(handle), Permit)
    kinds = [item.kind for item in it.receipts() if item.kind in {"outcome", "resolution"}]
    assert kinds == ["outcome", "resolution"]


@pytest.fixture
def unverified(desk):
    """A desk whose identity provider can fail, an enrolled approver, and an action that waits."""
    fault = Fault()
    it = desk(policy(MAIL), verifier=lambda real: FaultyVerifier(real, fault))
    it.enrol("ben")
    return it, fault, asked(it)


def test_a_wait_that_nobody_answered_goes_on_whoever_can_be_verified(unverified):
    it, fault, handle = unverified
    fault.raises(IdentityError("the token was revoked"))
    assert isinstance(it.engine.resume(handle), Suspended)
    fault.clear()
    it.say("ben", handle)
    assert isinstance(it.engine.resume(handle), Permit)


@pytest.mark.parametrize("error", [Unavailable("the provider is away"), TimeoutError()])
def test_where_nobody_can_say_who_it_is_the_wait_goes_on_or_ends_by_what_was_said(unverified, error):
    it, fault, handle = unverified
    fault.raises(error)
    it.say("ben", handle)
    answer = it.engine.resume(handle)
    assert isinstance(answer, Denied)
    expected = "unavailable" if isinstance(error, Unavailable) else "identity_unverified"
    assert answer.reason_code == expected
    assert (it.engine.wait(handle) is not None) is (expected == "unavailable")


def test_a_wait_that_is_over_in_two_ways_says_the_first(unverified):
    it, fault, handle = unverified
    fault.raises(IdentityError("the token was revoked"))
    it.clock.tick(600)
    assert it.engine.resume(handle).reason_code == "approval_timeout"


def test_a_wait_ends_at_its_deadline_and_not_a_moment_before(desk):
    it = desk()
    handle = asked(it)
    deadline = it.question(handle).deadline
    it.clock.at = deadline - 1
    assert isinstance(it.engine.resume(handle), Suspended)
    it.clock.at = deadline
    assert it.engine.resume(handle).reason_code == "approval_timeout"


def test_a_round_that_finds_out_releases_only_to_whoever_takes_it_up(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"))))
    handle = asked(it)
    say(tmp_path / "a.json", True)
    assert it.engine.sweep() == 1
    answer = it.engine.resume(handle)
    assert isinstance(answer, Permit)
    it.engine.redeem(answer)
    it.engine.complete(answer, DONE)
    assert it.engine.resume(handle).reason_code == "wait_over"


# what its end rests on


@pytest.fixture
def unread(desk):
    """A desk whose log can fail to be read, an enrolled approver, and an action that waits."""
    down = Fault()
    it = desk(policy(MAIL), journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()))
    it.enrol("ben")
    handle = asked(it)
    it.say("ben", handle)
    action_id = it.wait(handle).action.action_id
    return it, down, handle, lambda subject: subject == action_id


def test_a_wait_whose_receipt_cannot_be_read_goes_on_and_says_why(unread):
    it, down, handle, of_it = unread
    down.raises(Unavailable("the log is away"), only=of_it)
    answer = it.engine.resume(handle)
    assert (answer.reason_code, "the log is away" in answer.reason) == ("unavailable", True)
    down.answers([], only=of_it)
    answer = it.engine.resume(handle)
    assert (answer.reason_code, "does not hold the receipt that suspended it" in answer.reason) == ("unavailable", True)
    down.clear()
    assert isinstance(it.engine.resume(handle), Permit)


def test_the_sweep_ends_what_is_over_also_while_another_process_works_in_the_session(two):
    one, other, _ = two(policy(MAIL))
    session = one.session()
    handle = asked(one, session=session)
    profile = ToolProfile(tool="note.read", effect=Effect.READ, returns=Labels())
    running = other.engine.decide(other.engine.action("note", "read", b"{}", profile=profile), session.id)
    assert isinstance(running, Permit)
    one.clock.tick(601)
    assert one.engine.sweep() == 0
    assert one.engine.resume(handle).reason_code == "approval_timeout"
    other.engine.redeem(other.engine.decide(other.engine.action("note", "read", b"{}", profile=profile), session.id))


def test_a_time_out_says_what_nobody_answered_or_what_could_not_be_found_out(desk):
    it = desk(policy(MAIL))
    handle = asked(it)
    it.clock.tick(601)
    assert it.engine.resume(handle).reason.startswith("nobody answered in time: ")
    it = desk(policy(BY_FACT), name="another")
    handle = asked(it)
    reason = it.wait(handle).reason
    it.clock.tick(901)
    answer = it.engine.resume(handle)
    assert (answer.reason_code, answer.reason) == ("deferral_timeout", reason)


def test_what_another_process_did_with_a_wait_that_it_depends_on_is_seen(two):
    one, other, _ = two(policy(MAIL))
    one.enrol("ben")
    handles = [asked(other, text) for text in ("yes", "no")]
    session = one.session().id
    later = [
        one.engine.decide(one.engine.action("note", "read", b"{}", profile=NOTE, depends_on=(handle,)), session)
        for handle in handles
    ]
    assert all(isinstance(one.engine.resume(answer.handle), Suspended) for answer in later[:1])
    other.engine.answer(handles[0], other.ballot("ben", other.question(handles[0]), key=one.key("ben")))
    permit = other.engine.resume(handles[0])
    other.engine.redeem(permit)
    other.engine.complete(permit, DONE)
    assert isinstance(one.engine.resume(later[0].handle), Permit)


NOTE = ToolProfile(tool="note.read", effect=Effect.READ, returns=Labels())
YOUNG = """\
  - {id: wait, match: {tool: bank, context: {facts.ok: {exists: false}}}, decision: DEFER, priority: 2}
  - id: young
    match: {tool: bank, amount: {gt: 100}, context: {elapsed_s: {lt: 60}}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
"""


def test_what_was_limited_when_it_was_submitted_is_limited_when_it_is_released(desk):
    it = desk(policy(YOUNG))
    session = it.session()
    handle = it.suspended(session.carry(it.pay), account="a", amount=150).handle
    it.clock.tick(100)
    it.engine.observe(session.id, name="ok", value=True, source="app")
    permit = it.engine.resume(handle)
    assert isinstance(permit, Permit)
    assert (permit.parameters, permit.modified) == (b'{"account":"a","amount":100}', True)
    assert it.resolution(permit.action_id).decision.result == "MODIFY"


SCRIPT = "  - {id: run, match: {tool: script}, decision: STEP_UP, approvers: [ben], timeout: 10m}\n"


def rewritten(it, handle, path, number):
    """Approve, and change the file that it names: it is asked anew."""
    it.say("ben", handle)
    path.write_text(f"version {number}")
    return it.engine.resume(handle)


def test_a_wait_is_asked_anew_so_often_and_then_released_or_refused(desk, tmp_path):
    it = desk(policy(SCRIPT))
    it.enrol("ben")
    path = tmp_path / "script.sh"
    for more in (False, True):
        path.write_text("first")
        handle = it.suspended(it.session().carry(it.run), path=str(path)).handle
        for number in range(8):
            assert isinstance(rewritten(it, handle, path, number), Suspended)
        wait = it.wait(handle)
        assert (wait.rounds, wait.reason_code) == (8, "rule")
        assert it.resolution(wait.action.action_id).deferral.method == "reevaluation"
        if more:
            assert rewritten(it, handle, path, 8).reason_code == "unstable"
        else:
            it.say("ben", handle)
            permit = it.engine.resume(handle)
            assert isinstance(permit, Permit)
            it.engine.redeem(permit)
            it.engine.complete(permit, DONE)


def test_a_deadline_that_passes_while_it_is_judged_releases_nothing(desk):
    it = desk()
    it.enrol("ben")
    handle = asked(it)
    it.say("ben", handle)
    works, deadline = it.engine._works, it.question(handle).deadline
    it.clock.at = deadline - 1
    works.turn = Before(works.turn, lambda: it.clock.tick(0.000001))
    answer = it.engine.resume(handle)
    assert it.clock.now() == deadline
    assert (answer.reason_code, it.engine.wait(handle)) == ("approval_timeout", None)


def test_a_rule_that_refuses_is_named_also_where_the_deadline_passes_while_it_is_judged(desk):
    it = desk(policy(BY_FACT))
    session = it.session()
    handle = asked(it, session=session)
    it.adopt(policy("  - {id: no, match: {tool: mail}, decision: DENY}\n", version=2))
    works = it.engine._works
    it.clock.at = it.question(handle).deadline - 1
    works.turn = Before(works.turn, lambda: it.clock.tick(0.000001))
    assert it.engine.resume(handle).reason_code == "rule"


@pytest.mark.parametrize("state", ["authority_suspended", "open_action", "too_many_open"])
def test_a_refusal_that_may_pass_leaves_the_wait(desk, state):
    it = desk()
    it.enrol("ben", "sue")
    session = it.session()
    handle = asked(it, session=session)
    held = []
    if state == "authority_suspended":
        it.engine.stop("agent/bot", Authority.SUSPENDED, by="sue", reason="odd")
    elif state == "open_action":
        wait = it.wait(handle)
        it.adopt(policy(version=2))
        other = it.session(agent="another")
        held.append(it.engine.decide(replace(wait.action, action_id=it.engine.new_id("act")), other.id))
        it.adopt(policy(MAIL, version=3))
    else:
        for number in range(128):
            data = f'{{"name":"{number}"}}'.encode()
            held.append(it.engine.decide(it.engine.action("note", "read", data, profile=NOTE), session.id))
    it.say("ben", handle)
    assert isinstance(it.engine.resume(handle), Suspended)
    if state == "authority_suspended":
        it.engine.restore(it.restoration("sue", "agent/bot"))
    for permit in held:
        assert isinstance(permit, Permit)
        it.engine.redeem(permit)
        it.engine.complete(permit, DONE)
    assert isinstance(it.engine.resume(handle), Permit)


BACK = """\
  - {id: wait, match: {tool: bank, context: {facts.ok: {exists: false}}}, decision: DEFER, priority: 2}
  - id: young
    match: {tool: bank, amount: {gt: 55}, context: {elapsed_s: {lt: 60}}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 50}]
  - id: old
    match: {tool: bank, amount: {le: 50}, context: {elapsed_s: {ge: 60}}}
    decision: MODIFY
    modifications: [{parameter: amount, set: 60}]
"""


def test_what_then_and_now_would_change_back_and_forth_is_refused(desk):
    it = desk(policy(BACK))
    session = it.session()
    handle = it.suspended(session.carry(it.pay), account="a", amount=150).handle
    it.clock.tick(100)
    it.engine.observe(session.id, name="ok", value=True, source="app")
    answer = it.engine.resume(handle)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "unstable"


def test_a_sweep_judges_nothing_while_another_process_works_in_the_session(two):
    one, other, _ = two(policy(BY_FACT))
    session = one.session()
    handle = asked(one, session=session)
    running = other.engine.decide(other.engine.action("note", "read", b"{}", profile=NOTE), session.id)
    other.engine.redeem(running)
    one.adopt(policy("  - {id: no, match: {tool: mail}, decision: DENY}\n", version=2))
    assert one.engine.sweep() == 1  # what it will leave behind is not known here
    assert one.engine.wait(handle) is not None
    other.engine.complete(running, DONE)
    other.bench.store.flush()
    assert one.engine.sweep() == 0
    assert one.engine.wait(handle) is None


def test_a_caller_is_answered_also_while_another_process_works_in_the_session(two):
    one, other, _ = two(policy(MAIL))
    one.enrol("ben")
    session = one.session()
    handle = asked(one, session=session)
    running = other.engine.decide(other.engine.action("note", "read", b"{}", profile=NOTE), session.id)
    other.engine.redeem(running)
    one.say("ben", handle)
    assert isinstance(one.engine.resume(handle), Suspended)
    assert one.wait(handle).rounds == 1  # judged: what runs elsewhere counts as the highest, so ben is asked anew
    other.engine.complete(running, DONE)
    other.bench.store.flush()
    one.say("ben", handle)
    assert isinstance(one.engine.resume(handle), Permit)


class Hiding:
    """A journal that does not show some rows."""

    def __init__(self, inner):
        self._inner, self.hidden = inner, ()

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def read(self, keys):
        return {key: row for key, row in self._inner.read(keys).items() if not key.endswith(self.hidden or ("?",))}


def test_what_depends_on_a_wait_that_is_gone_without_a_trace_is_refused(desk):
    held = []

    def journal(real):
        held.append(Hiding(real))
        return held[0]

    it = desk(policy(MAIL), journal=journal)
    first = asked(it)
    session = it.session().id
    later = it.engine.decide(it.engine.action("note", "read", b"{}", profile=NOTE, depends_on=(first,)), session)
    assert isinstance(later, Suspended)
    held[0].hidden = (first,)
    answer = it.engine.resume(later.handle)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "dependency_refused"


GROWN = """\
  - {id: wait, match: {tool: bank, context: {facts.ok: {exists: false}}}, decision: DEFER}
  - id: old
    match: {tool: bank, amount: {gt: 100}, context: {elapsed_s: {ge: 60}}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
    priority: 1
"""


def test_a_deferral_goes_on_as_it_is_when_labels_grow_and_is_begun_anew_when_what_would_run_changes(desk):
    it = desk(policy(GROWN))
    session = it.session()
    handle = it.suspended(session.carry(it.pay), account="a", amount=150).handle
    session.carry(it.person)("eva")
    assert isinstance(it.engine.resume(handle), Suspended)
    assert it.wait(handle).rounds == 0
    it.clock.tick(60)
    assert isinstance(it.engine.resume(handle), Suspended)
    assert it.wait(handle).rounds == 1


STATED = BY_FACT.replace("decision: DEFER", "decision: DEFER, approvers: [ben]")


def test_nobody_else_is_asked_while_the_requester_can_still_say(desk):
    it = desk(policy(STATED, facts="  ok: {requester: 'Did you ask?'}\n"))
    handle = asked(it)
    assert it.engine.sweep() == 1
    question = it.question(handle)
    assert (question.verdict.value, question.approvers) == ("DEFER", ("ben",))
