"""A permit right before its action starts, and what is compared when a decision is committed (properties 2 and 3).

Written for mutants of `engine/engine.py` and `engine/judging.py` that no test minded; `make mutants` says which each of
them kills.
"""

from __future__ import annotations

from time import monotonic

import pytest
from msgspec.structs import replace

from attacks.desk import MAIL, policy
from attacks.test_deferrals import SEND, facts, say, source
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Effect, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit
from navicert.model.errors import ActionDenied, IntegrityError, InvalidAction, Unavailable
from navicert.model.labels import Labels, Level
from navicert.testing import Fault, FaultyJournal
from unit.engine.meanwhile import Meanwhile, reading, writing
from unit.engine.test_permits import DONE

RULES = policy(MAIL)


def action(it, name="bank.pay", effect=Effect.PAY, **parameters):
    tool, _, operation = name.partition(".")
    profile = ToolProfile(tool=name, effect=effect, returns=Labels(level=Level.PUBLIC), resource=("path",))
    return it.engine.action(tool, operation, parameter_bytes(parameters), profile=profile)


def permitted(it, session, name="bank.pay", effect=Effect.PAY, **parameters):
    answer = it.engine.decide(action(it, name, effect, **parameters), session)
    assert isinstance(answer, Permit), answer
    return answer


def done(it, permit):
    it.engine.redeem(permit)
    it.engine.complete(permit, DONE)


@pytest.fixture
def two(desk):
    """Two engines over one store, and what happens meanwhile in the journal of the first."""
    held = []

    def make(rules=RULES, **ports):
        def journal(real):
            held.append(Meanwhile(real))
            return held[0]

        return desk(rules, journal=journal, **ports), desk(rules), held[0]

    return make


# what a decision rests on is compared when it is committed


def test_authority_that_is_taken_while_an_action_is_judged_refuses_it(two):
    one, other, meanwhile = two()
    session = one.session().id
    done(one, permitted(one, session, amount=1))
    act = lambda: other.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")  # noqa: E731 - one line
    meanwhile.at("enqueue", act, of=writing("session/"))
    answer = one.engine.decide(action(one, amount=2), session)
    assert meanwhile.happened == 1
    assert isinstance(answer, Denied)
    assert answer.reason_code == "authority_suspended"


def test_a_label_that_a_resource_takes_on_while_it_is_read_is_seen(two):
    one, other, meanwhile = two(
        policy("  - {id: no, match: {tool: file, effect: read, stored: {level: {ge: CONFIDENTIAL}}}, decision: DENY}\n")
    )
    session, elsewhere = one.session().id, other.session().id
    crm = replace(action(other, "crm.find", Effect.READ), profile=ToolProfile(
        tool="crm.find", effect=Effect.READ, returns=Labels(level=Level.CONFIDENTIAL)))  # fmt: skip
    permit = other.engine.decide(crm, elsewhere)
    done(other, permit)
    written = []
    act = lambda: written.append(permitted(other, elsewhere, "file.write", Effect.WRITE, path="/desk/a"))  # noqa: E731
    meanwhile.at("enqueue", act, of=writing("session/"))
    answer = one.engine.decide(action(one, "file.read", Effect.READ, path="/desk/a"), session)
    assert written
    assert isinstance(answer, Denied)
    assert answer.rules == ("no",)


def test_only_what_is_written_takes_on_a_label(desk):
    it = desk(policy("  - {id: no, match: {tool: file, stored: {level: {ge: CONFIDENTIAL}}}, decision: DENY}\n"))
    session = it.session().id
    crm = replace(action(it, "crm.find", Effect.READ), profile=ToolProfile(
        tool="crm.find", effect=Effect.READ, returns=Labels(level=Level.CONFIDENTIAL)))  # fmt: skip
    done(it, it.engine.decide(crm, session))
    done(it, permitted(it, session, "file.read", Effect.READ, path="/desk/read"))
    done(it, permitted(it, session, "file.write", Effect.WRITE, path="/desk/written"))
    other = it.session(agent="other", human="eva").id
    done(it, permitted(it, other, "file.read", Effect.READ, path="/desk/read"))
    assert isinstance(it.engine.decide(action(it, "file.read", Effect.READ, path="/desk/written"), other), Denied)


LOWERS = "  - {id: trap, match: {tool: trap}, authority: narrowed}\n"


def test_a_rule_lowers_authority_and_never_widens_it(desk):
    it = desk(policy(LOWERS))
    session = it.session().id
    done(it, permitted(it, session, "trap.look", Effect.READ))
    first = it.engine.standings()
    assert first.subjects["agent/bot"].state is Authority.NARROWED
    permit = permitted(it, session, "trap.look", Effect.READ, again=1)
    done(it, permit)
    assert it.engine.standings() == first
    assert it.receipts(permit.action_id, "decision")[0].authority.epoch == first.epoch
    it.engine.stop("agent/bot", Authority.REVOKED, by="eva", reason="odd")
    assert isinstance(it.engine.decide(action(it, "trap.look", Effect.READ, again=2), session), Denied)
    assert it.engine.standings().subjects["agent/bot"].state is Authority.REVOKED


# deciding


def test_a_fact_that_is_there_already_is_not_looked_for_before_the_caller_knows_that_it_waits(desk, tmp_path):
    it = desk(policy(SEND, facts=facts(source(tmp_path / "a.json"))))
    say(tmp_path / "a.json", True)
    handle = it.suspended(it.session().carry(it.send), "hello").handle
    assert not it.wait(handle).tries


def test_a_refusal_beforehand_is_for_one_of_the_known_reasons(desk):
    it = desk()
    session = it.session().id
    with pytest.raises(InvalidAction, match="no reason to refuse a call before it is judged"):
        it.engine.refuse(action(it), session, "because", code="because")
    assert isinstance(it.engine.refuse(action(it), session, "no such parameter"), Denied)


# redeeming

WITNESSED = "  - {id: pay, match: {tool: bank}, decision: ALLOW, require_witnessed: true}\n"


def outcome_of(it, permit):
    it.engine.decide(action(it, "note.read", Effect.READ), permit.session_id)  # what is kept is recorded first
    found = it.receipts(permit.action_id, "outcome")
    return [item.execution.error for item in found]


def test_an_action_that_needs_witnesses_does_not_start_without_them_nor_later(desk):
    it = desk(policy(WITNESSED))
    permit = permitted(it, it.session().id, amount=1)
    with pytest.raises(Unavailable, match="policy asks for witnesses before"):
        it.engine.redeem(permit)
    for late in (lambda: it.engine.redeem(permit), lambda: it.engine.complete(permit, DONE)):
        with pytest.raises(IntegrityError):
            late()
    assert outcome_of(it, permit) == ["not_started"]


def test_an_action_whose_authority_cannot_be_read_does_not_start_nor_later(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()))
    permit = permitted(it, it.session().id, amount=1)
    down.raises(Unavailable("the store is away"), only=reading("authority"))
    with pytest.raises(Unavailable, match="the store is away"):
        it.engine.redeem(permit)
    down.clear()
    for late in (lambda: it.engine.redeem(permit), lambda: it.engine.complete(permit, DONE)):
        with pytest.raises(IntegrityError):
            late()
    assert outcome_of(it, permit) == ["not_started"]


def test_what_another_thread_started_goes_on_although_this_one_failed(two):
    one, _, meanwhile = two()
    permit = permitted(one, one.session().id, amount=1)

    def act():
        one.engine.redeem(permit)
        raise Unavailable("the store is away")

    meanwhile.at("read", act, of=reading("authority"))
    with pytest.raises(Unavailable, match="the store is away"):
        one.engine.redeem(permit)
    one.engine.complete(permit, DONE)
    assert outcome_of(one, permit) == [None]


@pytest.mark.parametrize("what", ["stopped", "ended", "expired"])
def test_what_happens_between_a_decision_and_its_start_stops_it_and_is_recorded(two, what):
    one, other, _ = two()
    session = one.session().id
    permit = permitted(one, session, amount=1)
    if what == "stopped":
        other.engine.stop("agent/bot", Authority.NARROWED, by="eva", reason="odd")
    elif what == "ended":
        one.engine.end(session)
    else:
        one.clock.at = permit.expires_at - 1
        early = permitted(one, session, amount=2)
        one.clock.at = permit.expires_at
        done(one, early)
    with pytest.raises((ActionDenied, IntegrityError)) as caught:
        one.engine.redeem(permit)
    words = {"stopped": "became narrowed before it started", "ended": "session of", "expired": "permit of"}
    assert words[what] in str(caught.value)
    assert isinstance(caught.value, ActionDenied) is (what == "stopped")
    with pytest.raises(IntegrityError):
        one.engine.complete(permit, DONE)
    one.engine.close() if what == "ended" else one.engine.decide(action(one, "note.read", Effect.READ), session)
    assert [item.execution.error for item in other.receipts(permit.action_id, "outcome")] == ["not_started"]


# settling


def test_what_was_refused_or_has_ended_cannot_be_settled(desk):
    it = desk(policy("  - {id: no, match: {tool: trap}, decision: DENY}\n"))
    session = it.session().id
    refused = it.engine.decide(action(it, "trap.look", Effect.READ), session)
    permit = permitted(it, session, amount=1)
    done(it, permit)
    it.bench.store.flush()
    for action_id in (refused.action_id, permit.action_id, "act_of_nobody"):
        with pytest.raises(IntegrityError, match=r"is not an open action|was not permitted"):
            it.engine.settle(action_id, happened=True, by="ana")


@pytest.mark.parametrize("happened", [True, False])
def test_what_another_engine_left_open_is_settled_by_what_its_receipt_says(desk, happened):
    one = desk()
    session = one.session().id
    permit = permitted(one, session, amount=1)
    one.engine.redeem(permit)
    one.engine.abandon(permit, "lost")
    other = desk()
    other.engine.settle(permit.action_id, happened=happened, by="ana", reason="looked")
    found = other.receipts(permit.action_id, "outcome")
    assert [(item.execution.success, item.execution.error) for item in found] == [
        (True, None) if happened else (False, "not_done")
    ]
    assert other.engine.labels(session).everything is happened
    with pytest.raises(IntegrityError):
        other.engine.settle(permit.action_id, happened=happened, by="ana")


def test_a_permit_that_is_given_back_is_recorded_at_once_and_good_for_nothing(desk):
    it = desk()
    session = it.session().id
    permit = permitted(it, session, amount=1)
    it.engine.lapse(permit)
    assert [item.execution.error for item in it.receipts(permit.action_id, "outcome")] == ["not_started"]
    for late in (it.engine.lapse, it.engine.redeem):
        with pytest.raises(IntegrityError, match="not issued by this engine, or is used up"):
            late(permit)
    started = permitted(it, session, amount=2)
    with pytest.raises(IntegrityError, match="not issued by this engine, or is used up"):
        it.engine.lapse(replace(started, parameters=b"{}"))
    it.engine.redeem(started)
    with pytest.raises(IntegrityError):
        it.engine.lapse(started)
    it.engine.complete(started, DONE)


def test_a_permit_that_is_given_back_while_the_store_fails_is_recorded_later(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=down))
    permit = permitted(it, it.session().id, amount=1)
    down.raises(Unavailable("the store failed"))
    it.engine.lapse(permit)
    down.clear()
    assert outcome_of(it, permit) == ["not_started"]


@pytest.mark.parametrize("happened", [True, False])
def test_what_this_engine_left_open_is_settled_once_with_the_reason_on_record(desk, happened):
    it = desk()
    session = it.session().id
    permit = permitted(it, session, amount=1)
    it.engine.redeem(permit)
    it.engine.abandon(permit, "lost")
    assert it.engine.guards_repeats(permit)
    assert it.engine.decide(action(it, amount=1), session).reason_code == "open_action"
    it.engine.settle(permit.action_id, happened=happened, by="ana", reason="looked at the bank")
    (found,) = it.receipts(permit.action_id, "outcome")
    assert (found.execution.success, found.execution.error) == ((True, None) if happened else (False, "not_done"))
    assert {"settled": "looked at the bank"} in it.disclosed(found.receipt_id).values()
    assert it.engine.labels(session).everything is happened
    done(it, permitted(it, session, amount=1))


def test_what_cannot_be_looked_up_is_not_settled(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()))
    down.raises(Unavailable("the log is away"), only=lambda subject: subject == "act_of_nobody")
    with pytest.raises(Unavailable, match="the log is away"):
        it.engine.settle("act_of_nobody", happened=True, by="ana")


CAP = """\
  - id: cap
    match: {tool: bank, amount: {gt: 5}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 5}]
"""
PAYS = ToolProfile(tool="bank.pay", effect=Effect.PAY, amount=("amount",), returns=Labels())


def test_what_ran_with_other_parameters_is_settled_and_may_then_be_done_again(desk):
    one = desk(policy(CAP))
    session = one.session().id
    permit = one.engine.decide(replace(action(one, amount=9), profile=PAYS), session)
    assert isinstance(permit, Permit)
    assert permit.modified
    one.engine.redeem(permit)
    one.engine.abandon(permit, "lost")
    other = desk(policy(CAP))
    again = replace(action(other, amount=9), profile=PAYS)
    assert other.engine.decide(again, session).reason_code == "open_action"
    other.engine.settle(permit.action_id, happened=False, by="ana")
    again = replace(action(other, amount=9), profile=PAYS)
    assert isinstance(other.engine.decide(again, session), Permit)


@pytest.mark.parametrize("part", ["action", "requester_context", "session", "decision"])
def test_a_receipt_that_lacks_its_parts_settles_nothing(desk, part):
    one = desk()
    permit = permitted(one, one.session().id, amount=1)
    one.engine.redeem(permit)
    one.engine.abandon(permit, "lost")
    down = Fault()
    other = desk(journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()))
    (receipt,) = one.receipts(permit.action_id, "decision")
    down.answers([(replace(receipt, **{part: None}), "0" * 64)], only=lambda subject: subject == permit.action_id)
    with pytest.raises(IntegrityError, match="the decision receipt lacks its parts"):
        other.engine.settle(permit.action_id, happened=True, by="ana")


def test_of_an_action_that_does_not_run_here_nothing_is_released_and_no_repeat_is_guarded(desk):
    it = desk()
    session = it.session().id
    permit = permitted(it, session, amount=1)
    read = permitted(it, session, "file.read", Effect.READ)
    assert (it.engine.guards_repeats(permit), it.engine.guards_repeats(read)) == (True, False)
    done(it, permit)
    assert it.engine.guards_repeats(permit) is False
    with pytest.raises(IntegrityError, match="is not running here"):
        it.engine.extend(permit, DONE)
    with pytest.raises(IntegrityError, match="its outcome was reported already"):
        it.engine.abandon(permit, "late")


def of_witnesses(subject):
    return isinstance(subject, str) and subject.isdigit()


def test_witnesses_that_are_silent_hold_up_nothing_and_those_that_confirm_let_it_start(desk):
    down = Fault()
    it = desk(
        policy(WITNESSED), journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()), commit_s=0.3
    )
    session = it.session().id
    permit = permitted(it, session, amount=1)
    down.hangs(only=of_witnesses)
    start = monotonic()
    with pytest.raises(Unavailable, match="policy asks for witnesses before"):
        it.engine.redeem(permit)
    assert monotonic() - start < 5
    down.answers(None, only=of_witnesses)
    done(it, permitted(it, session, amount=2))


def test_what_is_settled_without_a_reason_discloses_none(desk):
    it = desk()
    permit = permitted(it, it.session().id, amount=1)
    it.engine.redeem(permit)
    it.engine.abandon(permit, "lost")
    it.engine.settle(permit.action_id, happened=True, by="ana")
    (found,) = it.receipts(permit.action_id, "outcome")
    assert "settled" not in str(it.disclosed(found.receipt_id))
