"""What people say to waits, and to whom: each refusal, at its boundary, and with the store moving underneath.

Written for mutants of `engine/answering.py` that no test minded; `make mutants` says which each of them kills.
"""

from __future__ import annotations

from threading import Event

import msgspec
import pytest

from attacks.desk import MAIL, PAIR, approver, policy
from attacks.test_deferrals import ESCALATING
from attacks.test_waiting import Board
from navicert.adapters.sign.file_key import load_key, new_key, save_key
from navicert.core.seal import b64
from navicert.core.signature import ED25519, key_id
from navicert.model.authority import Authority
from navicert.model.errors import IdentityError, IntegrityError, Unavailable
from navicert.model.suspension import Answer, Approver, Vote
from navicert.testing import Fault, FaultyJournal
from unit.engine.meanwhile import Before, Meanwhile, reading, writing

BACKUP = MAIL.replace("timeout", "escalate: {after: 60s, to: [kim]}, timeout")
STATED = """\
  - {id: send, match: {tool: mail, operation: send, context: {facts.ok: true}}, decision: ALLOW}
  - {id: rest, match: {tool: mail, operation: send}, decision: DENY, priority: -1}
"""


def asked(it, text="hello"):
    return it.suspended(it.session().carry(it.send), text).handle


def another_key(it, name):
    """Enrol another key of somebody; their old one lies beside it."""
    old = it.key(name)
    save_key(new_key(ED25519), it.folder / f"{name}-2.pem")
    return old, load_key(it.folder / f"{name}-2.pem")


@pytest.fixture
def two(desk):
    """Two engines over one store, and what happens meanwhile in the journal of the first."""
    held = []

    def journal(real):
        held.append(Meanwhile(real))
        return held[0]

    one = desk(policy(MAIL), journal=journal)
    other = desk(policy(MAIL))
    return one, other, held[0]


# answers


def test_an_answer_to_no_wait_is_refused_and_says_where_to_look(desk):
    it = desk()
    it.enrol("ben")
    question = it.question(asked(it))
    with pytest.raises(IntegrityError, match=r"there is no wait `wait_of_nobody`.*navicert inbox"):
        it.engine.answer("wait_of_nobody", it.ballot("ben", question))


def test_an_answer_to_a_wait_that_ends_meanwhile_is_refused_and_says_so(two):
    one, other, meanwhile = two
    one.enrol("ben", "eva")
    handle = asked(one)
    ballot = one.ballot("ben", one.question(handle))
    meanwhile.at("enqueue", lambda: other.say("eva", handle, Answer.DENY), of=writing("wait/"))
    with pytest.raises(IntegrityError, match=f"`{handle}` is over"):
        one.engine.answer(handle, ballot)
    assert meanwhile.happened == 1


def test_an_answer_of_somebody_who_is_dismissed_meanwhile_is_refused(two):
    one, other, meanwhile = two
    one.enrol("ben")
    handle = asked(one)
    ballot = one.ballot("ben", one.question(handle))
    meanwhile.at("enqueue", lambda: (one.clock.tick(1), other.engine.dismiss("ben")), of=writing("wait/"))
    with pytest.raises(IdentityError, match="not enrolled with this key any more"):
        one.engine.answer(handle, ballot)
    assert meanwhile.happened == 1
    assert not one.wait(handle).votes


def test_somebody_whom_another_process_enrolled_answers_here(two):
    one, other, _ = two
    handle = asked(one)
    assert not one.engine.approvers().people
    other.enrol("ben")
    ballot = one.ballot("ben", one.question(handle), key=other.key("ben"))
    held = one.engine.answer(handle, ballot)
    assert held is not None
    assert len(held.votes) == 1


def test_the_answers_to_one_wait_are_bounded(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    handle = asked(it)
    for number in range(64):
        held = it.say("ben", handle, reason=f"for the {number}th time")
        assert held is not None
        assert len(held.votes) == number + 1
    with pytest.raises(IntegrityError, match="64 answers already"):
        it.say("ben", handle, reason="once more")
    assert len(it.wait(handle).votes) == 64


def test_a_dismissed_persons_answer_does_not_count_because_others_are_enrolled(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    handle = asked(it)
    ballot = it.ballot("ben", it.question(handle))
    it.clock.tick(5)
    it.engine.dismiss("ben")
    with pytest.raises(IdentityError, match="not enrolled with this key any more"):
        it.engine.answer(handle, ballot)


def test_an_old_key_answers_until_the_new_one_begins_and_not_at_that_moment(desk):
    it = desk(policy(PAIR))
    it.enrol("ben", "eva")
    handle = asked(it)
    old, new = another_key(it, "ben")
    it.engine.enrol(approver("ben", new, it.clock.now() + 10_000_000))
    held = it.say("ben", handle, key=old)
    assert held is not None
    assert len(held.votes) == 1
    ballot = it.ballot("ben", it.question(handle), key=old, reason="again")
    it.clock.tick(10)
    with pytest.raises(IdentityError, match="not enrolled with this key any more"):
        it.engine.answer(handle, ballot)


# the list of waits, and who is told


def test_where_the_waits_cannot_be_listed_nobody_is_told_that_there_are_none(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=down, committing=Fault()))
    handle = asked(it)
    down.raises(Unavailable("the store is away"), only=lambda subject: subject == "wait/")
    for look in (it.engine.waits, it.engine.sweep):
        with pytest.raises(Unavailable, match="the store is away"):
            look()
    down.clear()
    assert [wait.handle for wait in it.engine.waits()] == [handle]


def test_the_list_shows_what_others_answered(two):
    one, other, _ = two
    one.enrol("ben")
    handle = asked(one)
    assert not one.engine.waits()[0].votes
    other.engine.answer(handle, other.ballot("ben", other.question(handle), key=one.key("ben")))
    assert len(one.engine.waits()[0].votes) == 1


def test_a_wait_that_ends_while_they_are_listed_is_left_out(two):
    one, other, meanwhile = two
    one.enrol("eva")
    first, second = asked(one, "one"), asked(one, "two")
    meanwhile.at("read", lambda: other.say("eva", first, Answer.DENY), of=reading(f"wait/{first}"))
    assert [wait.handle for wait in one.engine.waits()] == [second]
    assert meanwhile.happened == 1


def test_nobody_is_noted_as_told_where_nobody_can_be_told(desk):
    it = desk()
    handle = asked(it)
    it.engine.sweep()
    assert not it.wait(handle).notified


def test_a_wait_that_ends_before_its_people_are_told_ends_the_sweep_for_nobody(desk):
    held, board = [], Board()

    def journal(real):
        held.append(Meanwhile(real))
        return held[0]

    one, other = desk(journal=journal, notifier=board), desk()
    one.enrol("eva")
    first, second = asked(one, "one"), asked(one, "two")
    looks = iter(range(100))

    def ends():
        # the sweep reads it for the list, twice to look at it again, and to tell: the last time it is over
        if next(looks) == 4:
            other.say("eva", first, Answer.DENY)
        else:
            held[0].at("read", ends, of=reading(f"wait/{first}"))

    ends()
    assert one.engine.sweep() == 2
    assert [handle for handle, _ in board.told] == [second]
    assert next(looks) == 5


def test_the_requester_is_told_of_what_only_they_can_say(desk):
    board = Board()
    it = desk(policy(STATED, facts="  ok: {requester: 'Did you ask?'}\n"), notifier=board)
    handle = asked(it)
    it.engine.sweep()
    assert board.told == [(handle, ("ana",))]


def test_backups_are_told_once_when_they_may_answer_and_not_before(desk):
    board = Board()
    it = desk(policy(BACKUP), notifier=board)
    handle = asked(it)
    it.engine.sweep()
    it.clock.tick(59)
    it.engine.sweep()
    assert board.told == [(handle, ("ben", "eva"))]
    it.clock.tick(1)
    for seconds in (0, 0, 100):
        it.clock.tick(seconds)
        it.engine.sweep()
        assert board.told == [(handle, ("ben", "eva")), (handle, ("kim",))]


def test_of_a_wait_that_changes_while_its_people_are_looked_up_nothing_is_lost_and_they_are_told_later(desk):
    board = Board()
    it = desk(policy(PAIR), notifier=board)
    it.enrol("ben", "eva")
    handle = asked(it)
    works = it.engine._works
    for act in (lambda: it.say("ben", handle), lambda: works.rows.drop((f"wait/{handle}",))):
        works.turn = Before(works.turn, act)
        assert it.engine.sweep() == 1
        assert not works.turn.left
        assert not board.told
    assert len(it.wait(handle).votes) == 1
    it.engine.sweep()
    assert board.told == [(handle, ("ben", "eva"))]
    assert (it.wait(handle).notified, len(it.wait(handle).votes)) == (True, 1)


def test_a_notifier_that_hangs_holds_up_no_sweep(desk):
    never = Event()

    class Silent:
        def notify(self, wait, names):
            never.wait(60)

    it = desk(notifier=Silent(), measure_s=0.2)
    handle = asked(it)
    try:
        assert it.engine.sweep() == 1
        assert it.wait(handle).notified
        assert not never.is_set()
    finally:
        never.set()


# approvers


def person(name, data, since):
    return Approver(name=name, key_id=key_id(ED25519, data), algorithm=ED25519, public=b64(data), since=since)


def test_what_is_no_public_key_is_not_enrolled(desk):
    it = desk()
    with pytest.raises(IntegrityError, match="this is no public key"):
        it.engine.enrol(person("ben", b"short", it.clock.now()))
    with pytest.raises(IntegrityError, match="this is no public key"):
        it.engine.enrol(msgspec.structs.replace(person("ben", b"short", it.clock.now()), public="?"))
    assert not it.engine.approvers().people


def test_nobody_is_enrolled_from_a_later_time_on(desk):
    it = desk()
    for seconds in (30, 31):
        save_key(new_key(ED25519), it.folder / f"k{seconds}.pem")
    it.engine.enrol(approver("ben", it.key("k30"), it.clock.now() + 30_000_000))
    with pytest.raises(IntegrityError, match="enrolled from a later time on"):
        it.engine.enrol(approver("eva", it.key("k31"), it.clock.now() + 30_000_001))
    assert [item.name for item in it.engine.approvers().people] == ["ben"]


def test_nobody_is_dismissed_who_is_no_approver(desk):
    it = desk()
    with pytest.raises(IntegrityError, match="`ben` is no approver"):
        it.engine.dismiss("ben")
    it.enrol("ben")
    it.engine.dismiss("ben")
    with pytest.raises(IntegrityError, match="`ben` is no approver"):
        it.engine.dismiss("ben")


def test_somebody_whom_another_process_enrolled_is_seen_and_dismissed(two):
    one, other, _ = two
    assert not one.engine.approvers().people
    other.enrol("ben")
    assert [item.name for item in one.engine.approvers().people] == ["ben"]
    other.enrol("eva")
    one.engine.dismiss("eva")
    assert {item.name: item.until is None for item in other.engine.approvers().people} == {"ben": True, "eva": False}


def test_a_key_that_has_ended_does_not_end_later_when_its_owner_is_dismissed(desk):
    it = desk()
    it.enrol("ben")
    _, new = another_key(it, "ben")
    it.engine.enrol(approver("ben", new, it.clock.now()))
    ended = it.clock.now()
    it.clock.tick(60)
    it.engine.dismiss("ben")
    assert [item.until for item in it.engine.approvers().people] == [ended, it.clock.now()]


# authority


def test_authority_that_another_process_took_is_seen_at_once(two):
    one, other, _ = two
    assert not one.engine.standings().subjects
    other.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    assert set(one.engine.standings().subjects) == {"agent/bot"}
    with pytest.raises(IntegrityError, match="`agent/bot` is suspended; only a supervisor widens it"):
        one.engine.stop("agent/bot", Authority.NARROWED, by="eva", reason="less")


def test_authority_that_another_process_gave_back_is_taken_again(two):
    one, other, _ = two
    other.enrol("sue")
    one.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    other.engine.restore(other.restoration("sue", "agent/bot"))
    one.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd again")
    assert set(other.engine.standings().subjects) == {"agent/bot"}


def test_authority_that_another_process_took_is_given_back(two):
    one, other, _ = two
    one.enrol("sue")
    assert not one.engine.standings().subjects
    other.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    one.engine.restore(other.restoration("sue", "agent/bot", key=one.key("sue")))
    assert not one.engine.standings().subjects


def test_taking_the_same_authority_again_changes_and_records_nothing(desk):
    it = desk()
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    before = it.engine.standings()
    it.clock.tick(1)
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="ben", reason="again")
    assert it.engine.standings() == before
    assert len(it.receipts(kind="authority")) == 1


def test_what_is_no_restoration_in_its_one_form_restores_nothing(desk):
    it = desk()
    it.enrol("sue")
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    good = it.restoration("sue", "agent/bot")
    for data, words in (
        (b"\xff", "this is no restoration"),
        (b"{}", "this is no restoration"),
        (b"[]", "this is no restoration"),
        (good.statement + b" ", "form"),
    ):
        with pytest.raises(IdentityError, match=words):
            it.engine.restore(Vote(statement=data, signature=it.key("sue").sign(data)))
    assert it.engine.standings().subjects["agent/bot"].state is Authority.SUSPENDED
    it.engine.restore(good)
    assert not it.engine.standings().subjects


def test_authority_that_is_full_or_as_low_already_is_not_restored(desk):
    it = desk()
    it.enrol("sue")
    with pytest.raises(IntegrityError, match="the authority of `agent/bot` is full already"):
        it.engine.restore(it.restoration("sue", "agent/bot"))
    it.engine.stop("agent/bot", Authority.NARROWED, by="eva", reason="odd")
    with pytest.raises(IntegrityError, match="the authority of `agent/other` is full already"):
        it.engine.restore(it.restoration("sue", "agent/other"))
    for state in (Authority.NARROWED, Authority.REVOKED):
        with pytest.raises(IntegrityError, match="`agent/bot` is narrowed already; to lower it"):
            it.engine.restore(it.restoration("sue", "agent/bot", state))
    assert it.engine.standings().subjects["agent/bot"].state is Authority.NARROWED


def test_where_nobody_was_ever_enrolled_nobody_restores(desk):
    it = desk()
    save_key(new_key(ED25519), it.folder / "sue.pem")
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    with pytest.raises(IdentityError, match="the signature is not that of `sue`"):
        it.engine.restore(it.restoration("sue", "agent/bot"))


def test_a_restoration_is_good_for_five_minutes_and_says_why(desk):
    it = desk()
    it.enrol("sue")
    it.engine.stop("agent/bot", Authority.SUSPENDED, by="eva", reason="odd")
    now = it.clock.now()
    for changes in ({"at": now - 300_000_001}, {"at": now + 300_000_001}, {"reason": " "}):
        with pytest.raises(IdentityError, match="not signed just now, or without a reason"):
            it.engine.restore(it.restoration("sue", "agent/bot", **changes))
    it.engine.restore(it.restoration("sue", "agent/bot", at=now - 300_000_000))
    assert not it.engine.standings().subjects


def test_backups_of_a_deferral_that_escalates_stay_as_they_were(desk):
    """The twin of those above: a wait without backups tells nobody but its approvers."""
    board = Board()
    it = desk(policy(ESCALATING), notifier=board)
    handle = asked(it)
    it.clock.tick(300)
    it.engine.sweep()
    it.engine.sweep()
    assert [names for told, names in board.told if told == handle] == [("ben",)]
