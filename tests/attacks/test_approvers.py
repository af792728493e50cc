"""Attack family D.3 to D.6: who may answer a question, how often a person counts, and for whom (R4.a, R6.c, R6.f)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from attacks.test_waiting import plant
from attacks.waiting import MAIL, PAIR, Desk, approver, policy
from navicert.adapters.sign.file_key import new_key
from navicert.core.seal import b64
from navicert.core.shared import APPROVERS
from navicert.core.signature import ED25519, ES256
from navicert.engine.workings import replace
from navicert.model.commit import Commit, RowWrite
from navicert.model.errors import IdentityError, IntegrityError, PolicyError, Unavailable
from navicert.model.suspension import Answer, Approvers
from navicert.testing import Fault, FaultyVerifier

CONFIRM = MAIL.replace("[ben, eva]", "[requester]")
BACKUP = MAIL.replace("timeout", "escalate: {after: 60s, to: [kim]}, timeout")
CRM = "  - {id: look, match: {tool: crm}, decision: STEP_UP, approvers: [ben]}\n"


def waits_for(it: Desk, text: str = "hello", **session) -> str:
    handle: str = it.suspended(it.session(**session).carry(it.send), text).handle
    return handle


def stays(it: Desk, handle: str) -> None:
    it.suspended(it.bench.resume, handle)
    assert it.effects == []


# D.3 who answers


def test_somebody_who_is_enrolled_but_not_listed_does_not_count(desk):
    it = desk()
    it.enrol("ben", "mia")
    handle = waits_for(it)
    with pytest.raises(IdentityError, match="not among the approvers"):
        it.say("mia", handle)
    plant(it, handle, it.ballot("mia", it.question(handle)))
    stays(it, handle)
    it.say("ben", handle)
    assert it.bench.resume(handle) == "done: mail hello"


def test_somebody_who_is_listed_but_not_enrolled_does_not_count(desk):
    it = desk()
    handle = waits_for(it)
    vote = it.ballot("ben", it.question(handle), key=new_key(ED25519))
    with pytest.raises(IdentityError, match="not enrolled"):
        it.engine.answer(handle, vote)
    plant(it, handle, vote)
    stays(it, handle)


@pytest.mark.parametrize("name", ["bot", "ben"])
def test_the_agent_does_not_approve_itself_with_a_key_of_its_own(desk, name):
    it = desk(policy(MAIL.replace("eva", "bot")))
    it.enrol("ben")
    handle = waits_for(it)
    key = new_key(ED25519)
    for changes in ({"key": key}, {"key": key, "key_id": it.key("ben").key_id}):
        vote = it.ballot(name, it.question(handle), **changes)
        with pytest.raises(IdentityError):
            it.engine.answer(handle, vote)
        plant(it, handle, vote)
        stays(it, handle)
    receipt_key = it.home.receipt_key  # it may hold the key that receipts are signed with
    from navicert.adapters.sign.file_key import load_key

    with pytest.raises(IdentityError):
        it.engine.answer(handle, it.ballot("ben", it.question(handle), key=load_key(receipt_key)))
    stays(it, handle)


@pytest.mark.parametrize("rule", [PAIR.replace("eva", "requester, eva"), PAIR.replace("eva", "ana")])
def test_the_requester_never_counts_where_two_people_are_needed(desk, rule):
    it = desk(policy(rule))
    it.enrol("ana", "ben")
    handle = waits_for(it)
    with pytest.raises(IdentityError, match="needs somebody else"):
        it.say("ana", handle)
    it.say("ben", handle)
    plant(it, handle, *it.wait(handle).votes, it.ballot("ana", it.question(handle)))
    stays(it, handle)


@pytest.mark.parametrize("approvers", ["[ben, eva]", "[ben, ana]"])
def test_the_requester_does_not_count_where_the_rule_does_not_say_requester(desk, approvers):
    it = desk(policy(MAIL.replace("[ben, eva]", approvers)))
    it.enrol("ana")
    handle = waits_for(it)
    with pytest.raises(IdentityError, match="needs somebody else"):
        it.say("ana", handle)
    plant(it, handle, it.ballot("ana", it.question(handle)))
    stays(it, handle)


def test_the_requester_confirms_where_the_rule_says_so_and_is_recorded_as_that(desk):
    it = desk(policy(CONFIRM))
    it.enrol("ana", "ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    with pytest.raises(IdentityError):
        it.say("ben", waits.handle)
    it.say("ana", waits.handle)
    it.bench.resume(waits.handle)
    assert it.effects == ["mail hello"]
    (part,) = it.resolution(waits.action_id).approval
    assert (part.role, part.answer) == ("requester", "approve")


def test_requester_is_the_human_of_that_session_and_nobody_else(desk):
    it = desk(policy(CONFIRM))
    it.enrol("ana", "zoe")
    handle = waits_for(it, human="zoe")
    with pytest.raises(IdentityError):
        it.say("ana", handle)
    with pytest.raises(IntegrityError, match="cannot be the name"):
        it.engine.enrol(approver("requester", new_key(ED25519), it.clock.now()))
    stays(it, handle)


def test_the_requester_may_always_take_it_back(desk):
    it = desk(policy(PAIR))
    it.enrol("ana", "ben")
    handle = waits_for(it)
    assert it.say("ana", handle, Answer.DENY, reason="I did not mean that") is None
    assert it.refused(it.bench.resume, handle).reason_code == "approval_denied"


def test_an_approval_is_recorded_with_approver_role_time_and_what_was_signed(desk):
    it = desk()
    it.enrol("eva")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("eva", waits.handle, reason="checked with accounts")
    it.bench.resume(waits.handle)
    receipt = it.resolution(waits.action_id)
    (part,) = receipt.approval
    assert (part.role, part.answer, part.key_id) == ("approver", "approve", it.key("eva").key_id)
    shown = it.disclosed(receipt.receipt_id)
    assert shown["/approval/0/name"] == "eva"
    assert "checked with accounts" in shown["/approval/0/statement"]


# one person, one voice


def test_two_people_are_two_people(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    handle = waits_for(it)
    it.say("ben", handle)
    stays(it, handle)
    it.say("eva", handle)
    assert it.bench.resume(handle) == "done: mail hello"


def test_a_person_counts_once_however_often_they_say_it(desk):
    it = desk(policy(PAIR))
    it.enrol("ben")
    handle = waits_for(it)
    for number in range(3):
        it.clock.tick(1)
        it.say("ben", handle, reason=f"yes {number}")
    stays(it, handle)


def test_a_person_who_is_enrolled_again_with_another_key_counts_once(desk):
    it = desk(policy(PAIR))
    it.enrol("ben")
    handle = waits_for(it)
    it.say("ben", handle)
    it.clock.tick(1)
    (it.folder / "ben.pem").unlink()
    it.enrol("ben")
    it.say("ben", handle)
    stays(it, handle)


@pytest.mark.parametrize("key_id", ["the key's own", "another"])
def test_a_key_counts_once_under_two_names(desk, key_id):
    it = desk(policy(PAIR))
    it.enrol("ben")
    again = approver("eva", it.key("ben"), it.clock.now())
    if key_id == "another":
        again = replace(again, key_id="k-another")
    with pytest.raises(IntegrityError, match="key"):
        it.engine.enrol(again)
    plant_people(it, again)
    handle = waits_for(it)
    it.say("ben", handle)
    vote = it.ballot("eva", it.question(handle), key=it.key("ben"), key_id=again.key_id)
    if key_id == "another":
        plant(it, handle, *it.wait(handle).votes, vote)
    else:
        it.engine.answer(handle, vote)
    stays(it, handle)


def plant_people(it: Desk, person) -> None:
    """Put a person into the store, past `enrol`."""
    works = it.engine._works
    held = it.engine.approvers()
    with works.turn:
        version = works.rows.get(APPROVERS)[1]
        value = Approvers(people=(*held.people, person))
        ticket = works.queue(Commit(writes=(RowWrite(key=APPROVERS, expected=version, value=value),)))
    ticket.wait(5)


def test_no_key_is_enrolled_that_is_not_what_it_is_called(desk):
    it = desk()
    key = new_key(ES256)
    person = approver("ben", key, it.clock.now())
    for wrong in ({"key_id": "k-x"}, {"public": b64(b"x" * 65)}, {"algorithm": ED25519}, {"name": " "}):
        with pytest.raises(IntegrityError):
            it.engine.enrol(replace(person, **wrong))
    it.engine.enrol(person)
    handle = waits_for(it)
    it.engine.answer(handle, it.ballot("ben", it.question(handle), key=key))
    assert it.bench.resume(handle) == "done: mail hello"


def test_the_last_word_counts_and_a_refusal_is_the_last_word(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    handle = waits_for(it)
    it.say("ben", handle)
    it.clock.tick(1)
    it.say("ben", handle, Answer.DENY, reason="on second thoughts")
    assert it.refused(it.bench.resume, handle).reason_code == "approval_denied"


def test_nobody_is_approved_by_nobody(desk):
    # D.6: a rule cannot ask for zero approvals; nor does a question that says so pass without one
    for wrong in (MAIL.replace("timeout", "approvals: 0, timeout"), MAIL.replace("[ben, eva]", "[]")):
        with pytest.raises(PolicyError):
            desk(policy(wrong), name="wrong")
    it = desk()
    handle = waits_for(it)
    from navicert.core.answers import hear

    question = replace(it.question(handle), approvals=0)
    assert not hear(question, (), it.engine.approvers(), it.clock.now()).approved
    stays(it, handle)


def test_an_allowing_and_an_asking_rule_of_equal_priority_do_not_allow(desk):
    it = desk(policy(MAIL, "  - {id: ok, match: {tool: mail}, decision: ALLOW}\n"))
    waits = it.suspended(it.session().carry(it.send), "hello")
    assert (waits.verdict, waits.reason_code) == ("DEFER", "rules_conflict")


# people who come and go


def test_who_was_dismissed_does_not_answer_not_even_backdated(desk):
    it = desk()
    it.enrol("ben")
    it.clock.tick(100)
    handle = waits_for(it)
    it.clock.tick(100)
    asked = it.question(handle).asked_at
    it.engine.dismiss("ben")
    it.clock.tick(1)
    for at in (it.clock.now(), asked, asked + 50_000_000):
        with pytest.raises(IdentityError):
            it.say("ben", handle, at=at)
    stays(it, handle)


def test_what_somebody_answered_before_they_were_dismissed_stays(desk):
    it = desk()
    it.enrol("ben")
    it.clock.tick(100)
    handle = waits_for(it)
    it.say("ben", handle)
    it.clock.tick(100)
    it.engine.dismiss("ben")
    assert it.bench.resume(handle) == "done: mail hello"


def test_who_was_dismissed_elsewhere_does_not_answer_here(desk):
    it = desk()
    it.enrol("ben")
    other = desk()
    it.clock.tick(100)
    handle = waits_for(it)
    it.engine.approvers()
    other.engine.dismiss("ben")
    it.clock.tick(1)
    with pytest.raises(IdentityError):
        it.say("ben", handle)
    stays(it, handle)


# backups


def test_a_backup_counts_once_nobody_has_answered_for_so_long_and_not_before(desk):
    it = desk(policy(BACKUP))
    it.enrol("kim")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.clock.tick(59)
    for at in (it.clock.now(), it.clock.now() + 5_000_000):  # postdated too
        with pytest.raises(IdentityError, match="not asked yet"):
            it.say("kim", waits.handle, at=at)
    plant(it, waits.handle, it.ballot("kim", it.question(waits.handle)))
    stays(it, waits.handle)
    it.clock.tick(1)
    stays(it, waits.handle)  # what was said too early does not come to count by waiting
    it.say("kim", waits.handle)
    it.bench.resume(waits.handle)
    assert it.resolution(waits.action_id).approval[0].role == "backup"


# D.4, D.5 identity that ends during the wait


def test_an_identity_that_is_revoked_during_the_wait_is_refused(desk):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault, inline=True))
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    fault.raises(IdentityError("the token has expired"))
    denied = it.refused(it.bench.resume, waits.handle)
    assert "the token has expired" in denied.reason
    fault.clear()
    it.refused(it.bench.resume, waits.handle)
    receipt = it.resolution(waits.action_id)
    assert (receipt.decision.result, receipt.deferral.method) == ("DENY", "identity")
    assert it.effects == []


def test_where_nobody_can_vouch_for_the_identity_now_it_goes_on_waiting(desk):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault, inline=True))
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    fault.raises(Unavailable("the issuer does not answer"))
    assert it.refused(it.bench.resume, waits.handle).reason_code == "unavailable"
    fault.clear()
    assert it.bench.resume(waits.handle) == "done: mail hello"


def test_an_answer_that_is_kept_while_nobody_can_vouch_is_not_reported_as_the_end(desk):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault, inline=True))
    it.enrol("ben")
    handle = waits_for(it)
    fault.raises(Unavailable("the issuer does not answer"))
    left = it.say("ben", handle)
    fault.clear()
    assert left is not None
    assert len(left.votes) == 1
    assert it.bench.resume(handle) == "done: mail hello"


class Narrowing:
    """A verifier that takes roles away, from a moment on."""

    inline = True

    def __init__(self, real) -> None:
        self.real, self.taken = real, False

    def verify(self, claims, session, delegation, now):
        identity = self.real.verify(claims, session, delegation, now)
        return replace(identity, scope=("note.*",), roles=()) if self.taken else identity


def test_a_role_that_is_taken_away_during_the_wait_is_gone(desk):
    made = []
    it = desk(verifier=lambda real: made.append(Narrowing(real)) or made[-1])
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    made[-1].taken = True
    assert it.refused(it.bench.resume, waits.handle).reason_code == "out_of_scope"
    receipt = it.resolution(waits.action_id)
    assert receipt.requester_context.scope == ("*",)  # who it was at submission (R6.b)
    assert receipt.revalidation.scope == ("note.*",)  # and who it is now (R6.f)


def test_a_delegation_that_expires_during_the_wait_is_refused(desk):
    it = desk()
    it.enrol("ben")
    child = it.session().delegate(agent="helper", scope="*", lasting=timedelta(minutes=5))
    one = it.suspended(child.carry(it.send), "one")
    two = it.suspended(child.carry(it.send), "two")
    it.say("ben", one.handle)
    it.say("ben", two.handle)
    it.clock.tick(299)
    assert it.bench.resume(one.handle) == "done: mail one"
    it.clock.tick(1)
    assert "expired" in it.refused(it.bench.resume, two.handle).reason
    assert it.effects == ["mail one"]
