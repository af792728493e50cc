"""Attack family F.8 and the kill switch: what lowers authority, what it stops, and who alone raises it again (R6.c)."""

from __future__ import annotations

import pytest

from attacks.waiting import Desk, elsewhere, policy
from navicert import ActionDenied
from navicert.adapters.sign.file_key import new_key
from navicert.core.signature import ED25519
from navicert.model.authority import Authority
from navicert.model.errors import IdentityError, IntegrityError, NavicertError

VARIANTS = """\
  - {id: no, match: {tool: bank, operation: pay}, decision: DENY}
  - {id: pattern, match: {context: {denied: {ge: 3}}}, authority: supervised}
"""


def denied_in_variants(it: Desk, session) -> None:
    for account in ("evil", "e-v-i-l", "evil ltd"):
        it.refused(session.carry(it.pay), account, 5)


def test_a_denied_goal_that_is_tried_in_variants_lowers_authority(desk):
    it = desk(policy(VARIANTS))
    it.enrol("sue")
    with it.session() as session:
        session.carry(it.note)("one")
        denied_in_variants(it, session)
        session.carry(it.note)("two")  # here the rule matches: from the next action on a supervisor is asked
        waits = it.suspended(session.carry(it.note), "three")
        assert waits.rules == ("navicert.supervision",)
        it.refused(session.carry(it.pay), "evil", 6)  # and what is denied stays denied
        it.say("sue", waits.handle)
        it.bench.resume(waits.handle)
        it.suspended(session.carry(it.note), "four")
    assert it.effects == ["note one", "note two", "note three"]


def test_lowered_authority_holds_in_a_new_session_and_in_another_process(desk):
    it = desk(policy(VARIANTS))
    session = it.session()
    denied_in_variants(it, session)
    session.carry(it.note)("here")
    fresh = it.session()
    assert "suspended" in elsewhere(it, "call", "note.read", fresh.id, '{"name": "there"}')
    another = it.session(agent="somebody else")
    assert elsewhere(it, "call", "note.read", another.id, '{"name": "fine"}') == {"result": "done: note fine"}
    assert it.effects == ["note here", "note fine"]


def test_without_supervisors_reduced_authority_is_a_refusal(desk):
    it = desk(policy(VARIANTS).replace("supervisors: [sue]\n", ""))
    session = it.session()
    it.engine.stop("agent/bot", Authority.SUPERVISED, by="op", reason="odd")
    assert it.refused(session.carry(it.note), "one").reason_code == "authority_reduced"


def test_only_the_signed_word_of_a_supervisor_raises_authority(desk):
    it = desk()
    it.enrol("ben", "sue")
    session = it.session()
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="op", reason="odd")
    it.refused(session.carry(it.note), "one")
    wrong = [
        it.restoration("ben", "agent/bot"),  # an approver, and no supervisor
        it.restoration("sue", "agent/bot", key=it.key("ben")),
        it.restoration("sue", "agent/bot", type="navicert/restoration/0"),
        it.restoration("sue", "agent/bot", key=new_key(ED25519), key_id=it.key("sue").key_id),
        it.restoration("sue", "agent/bot", epoch=it.engine.standings().epoch - 1),
        it.restoration("sue", "agent/bot", at=it.clock.now() - 301_000_000),
        it.restoration("sue", "agent/bot", reason=" "),
    ]
    for vote in wrong:
        with pytest.raises(IdentityError):
            it.engine.restore(vote)
    for state in (Authority.FULL, Authority.NARROWED):
        with pytest.raises(IntegrityError, match="supervisor"):
            it.engine.stop("agent/bot", state, by="op", reason="never mind")
    it.refused(session.carry(it.note), "two")
    good = it.restoration("sue", "agent/bot")
    it.engine.restore(good)
    session.carry(it.note)("three")
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="op", reason="odd again")
    with pytest.raises(IdentityError, match="changed since"):
        it.engine.restore(good)  # a word is good once
    it.refused(session.carry(it.note), "four")
    assert it.effects == ["note three"]


def test_a_supervisor_who_was_dismissed_raises_nothing(desk):
    it = desk()
    it.enrol("sue")
    session = it.session()
    it.engine.stop("all", Authority.REVOKED, by="op", reason="incident")
    vote = it.restoration("sue", "all")
    it.engine.dismiss("sue")
    with pytest.raises(IdentityError):
        it.engine.restore(vote)
    it.refused(session.carry(it.note), "one")


@pytest.mark.parametrize("subject", ["all", "agent/bot", "human/ana", "tool/note", "tool/note.read", "session"])
def test_a_kill_in_another_process_stops_the_next_action_here(desk, subject):
    it = desk()
    session = it.session()
    session.carry(it.note)("before")
    named = f"session/{session.id}" if subject == "session" else subject
    assert "stopped" in elsewhere(it, "stop", named, "suspended")
    assert it.refused(session.carry(it.note), "after").reason_code == "authority_suspended"
    assert it.effects == ["note before"]


@pytest.mark.parametrize("subject", ["agent/other", "human/zoe", "tool/bank", "tool/note.write"])
def test_a_kill_of_somebody_else_stops_nothing(desk, subject):
    it = desk()
    session = it.session()
    it.engine.stop(subject, Authority.REVOKED, by="op", reason="incident")
    session.carry(it.note)("after")
    assert it.effects == ["note after"]


def test_a_kill_stops_a_permit_that_was_not_redeemed(desk):
    it, other = desk(), desk()
    it.enrol("ben")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    permit = it.engine.resume(waits.handle)
    other.engine.stop("all", Authority.REVOKED, by="op", reason="incident")
    with pytest.raises(ActionDenied, match="became revoked"):
        it.engine.execute(permit, lambda _: it.happen("ran"), lambda _: None)
    with pytest.raises(NavicertError):
        it.engine.execute(permit, lambda _: it.happen("ran"), lambda _: None)
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == []


@pytest.mark.parametrize(("state", "over"), [(Authority.SUSPENDED, False), (Authority.REVOKED, True)])
def test_a_kill_stops_what_waits(desk, state, over):
    it, other = desk(), desk()
    it.enrol("ben", "sue")
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.say("ben", waits.handle)
    other.engine.stop("agent/bot", state, by="op", reason="incident")
    with pytest.raises(ActionDenied):
        it.bench.resume(waits.handle)
    assert it.effects == []
    it.engine.restore(it.restoration("sue", "agent/bot"))
    if over:
        assert it.refused(it.bench.resume, waits.handle).reason_code == "authority_revoked"
    else:
        it.bench.resume(waits.handle)
    assert it.effects == ([] if over else ["mail hello"])


def test_a_revoked_agent_s_questions_are_ended_before_anybody_answers(desk):
    it = desk()
    waits = it.suspended(it.session().carry(it.send), "hello")
    it.engine.stop("agent/bot", Authority.REVOKED, by="op", reason="incident")
    assert it.engine.sweep() == 0
    assert it.resolution(waits.action_id).deferral.method == "authority"


def test_a_kill_of_a_parent_s_session_stops_the_child_s_action_that_waits(desk):
    it = desk()
    it.enrol("ben")
    parent = it.session()
    child = parent.delegate(agent="helper", scope="*")
    waits = it.suspended(child.carry(it.send), "hello")
    it.say("ben", waits.handle)
    it.engine.stop(f"session/{parent.id}", Authority.REVOKED, by="op", reason="incident")
    it.refused(it.bench.resume, waits.handle)
    assert it.effects == []


def test_the_state_of_an_agent_is_asked_of_its_supervisor_though_an_approver_is_not_needed(desk):
    it = desk()
    it.enrol("ben", "sue")
    session = it.session()
    it.engine.stop("agent/bot", Authority.NARROWED, by="op", reason="odd")
    session.carry(it.note)("a read passes")
    waits = it.suspended(session.carry(it.pay), "shop", 5)
    with pytest.raises(IdentityError, match="not among the approvers"):
        it.say("ben", waits.handle)
    it.say("sue", waits.handle)
    it.bench.resume(waits.handle)
    assert it.effects == ["note a read passes", "paid shop 5"]
