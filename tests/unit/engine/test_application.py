"""What the application does with an engine besides acting: subjects, sessions, launches, policies, the end (R2.d).

Written for mutants of `engine/engine.py`, `sessions.py` and `launching.py` that no test minded; `make mutants`
says which each of them kills.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from attacks.desk import MAIL, policy
from navicert.model.authority import Authority
from navicert.model.context import Ended
from navicert.model.decision import Denied, Permit
from navicert.model.errors import IdentityError, IntegrityError, InvalidAction, PolicyError, Unavailable
from navicert.model.identity import Claims
from navicert.testing import Fault, FaultyJournal
from unit.engine.test_permits import DONE
from unit.engine.test_redeeming import action, done, permitted


@pytest.mark.parametrize("kind", ["all", "human", "agent", "session", "tool"])
def test_whoever_is_stopped_by_name_is_stopped_and_nobody_else(desk, kind):
    it = desk()
    session, other = it.session().id, it.session(human="eva", agent="other").id
    named = {"all": "all", "human": "human/ana", "agent": "agent/bot", "session": f"session/{session}"}
    subject = named.get(kind, "tool/bank.pay")
    it.engine.stop(subject, Authority.SUSPENDED, by="eva", reason="odd")
    assert it.engine.decide(action(it), session).reason_code == "authority_suspended"
    everybody = it.engine.decide(action(it), other)
    assert isinstance(everybody, Denied if kind in {"all", "tool"} else Permit)
    free = it.engine.decide(action(it, "note.read"), other)
    assert isinstance(free, Denied if kind == "all" else Permit)


@pytest.mark.parametrize(
    "named", ["", "ana", "human", "human/", "/ana", "robot/ana", "agent", "agent/", "tool/", "All"]
)
def test_what_names_nobody_stops_nobody_and_says_so(desk, named):
    it = desk()
    with pytest.raises(IntegrityError, match="is no subject"):
        it.engine.stop(named, Authority.SUSPENDED, by="eva", reason="odd")
    assert not it.engine.standings().subjects


# sessions


def test_a_session_that_is_not_there_or_has_ended_takes_nothing_more(desk):
    it = desk()
    session = it.session().id
    with pytest.raises(IntegrityError, match="there is no session `ses_of_nobody`"):
        it.engine.labels("ses_of_nobody")
    for change in (
        lambda name: it.engine.say(name, "more"),
        lambda name: it.engine.delegate(name, agent="helper", scope=("*",)),
    ):
        with pytest.raises(IntegrityError, match="there is no session `ses_of_nobody`"):
            change("ses_of_nobody")
        change(session)
    it.engine.end(session)
    for change in (
        lambda: it.engine.say(session, "more"),
        lambda: it.engine.observe(session, name="x", value=1, source="app"),
        lambda: it.engine.delegate(session, agent="helper", scope=("*",)),
        lambda: it.engine.append(session, lambda now: Ended(at=now)),
    ):
        with pytest.raises(IntegrityError, match="has ended"):
            change()


def test_only_what_a_session_holds_is_delegated(desk):
    it = desk()
    session = it.engine.open_session("work", Claims(human="ana", agent="bot", scope=("mail.*", "note.read")))
    child = it.engine.delegate(session, agent="helper", scope=("note.read",))
    with pytest.raises(IdentityError, match="is wider than what this session holds"):
        it.engine.delegate(session, agent="helper", scope=("bank.*",))
    with pytest.raises(IdentityError, match="is wider than what this session holds"):
        it.engine.delegate(child, agent="third", scope=("mail.*",))
    assert it.engine.decide(action(it, "mail.send", text="x"), child).reason_code == "out_of_scope"
    assert isinstance(it.engine.decide(action(it, "note.read"), child), Permit)


def test_a_request_has_a_limit_and_is_text(desk):
    it = desk()
    limit = 1 << 16
    it.engine.open_session("x" * limit, Claims(human="ana", agent="bot"))
    with pytest.raises(InvalidAction, match="longer than 64 KiB"):
        it.engine.open_session("x" * (limit + 1), Claims(human="ana", agent="bot"))
    for claims in (
        Claims(human="\ud800"),
        Claims(agent="\ud800"),
        Claims(scope=("\ud800",)),
        Claims(roles=("\ud800",)),
    ):
        with pytest.raises(InvalidAction, match="lone surrogate"):
            it.engine.open_session("work", claims)
    with pytest.raises(InvalidAction, match="lone surrogate"):
        it.engine.delegate(it.session().id, agent="\ud800", scope=("*",))


@pytest.mark.parametrize("missing", ["token", "human", "agent"])
def test_only_a_session_of_somebody_by_name_goes_on_under_another_token(desk, missing):
    it = desk()
    claims = {"token": "t", "human": "ana", "agent": "bot"}
    whole = it.engine.open_session("work", Claims(**claims))
    it.engine.renew(whole, "another")
    session = it.engine.open_session(
        "work", Claims(**{name: value for name, value in claims.items() if name != missing})
    )
    with pytest.raises(IdentityError, match="only a session with token"):
        it.engine.renew(session, "another")


# launches


def test_a_launch_is_for_so_many_processes_and_no_other_number(desk):
    it = desk()
    session = it.session().id
    for uses in (0, 65, -1):
        with pytest.raises(InvalidAction, match="1 to 64 processes"):
            it.engine.launch(session, uses=uses)
    token = it.engine.launch(session, uses=64)
    for uses in (1, 2):
        token = it.engine.launch(session, uses=uses)
        assert [it.engine.join(token) for _ in range(uses)] == [session] * uses
        with pytest.raises(IdentityError, match="used up, too old"):
            it.engine.join(token)
    with pytest.raises(IdentityError, match="used up, too old"):
        it.engine.join("nvl_of_nobody")


def test_a_launch_is_good_for_a_minute_and_not_a_moment_longer(desk):
    it = desk()
    session = it.session().id
    early, late = it.engine.launch(session), it.engine.launch(session)
    it.clock.tick(59.999999)
    assert it.engine.join(early) == session
    it.clock.tick(0.000001)
    with pytest.raises(IdentityError, match="used up, too old"):
        it.engine.join(late)


def test_a_session_that_ended_or_is_not_there_launches_nothing(desk):
    it = desk()
    session = it.session().id
    it.engine.end(session)
    for name in (session, "ses_of_nobody"):
        with pytest.raises(IntegrityError, match="there is no open session"):
            it.engine.launch(name)


def test_so_many_launches_are_open_and_not_one_more(desk):
    it = desk()
    session = it.session().id
    for _ in range(256):
        it.engine.launch(session)
    with pytest.raises(Unavailable, match="256 launch tokens are open"):
        it.engine.launch(session)
    it.clock.tick(60)
    it.engine.launch(session)


# policies


def test_a_policy_goes_up_and_never_down(desk):
    it = desk(policy(MAIL, version=2))
    before = len(it.receipts(kind="policy"))
    it.adopt(policy(MAIL, version=2))
    assert len(it.receipts(kind="policy")) == before
    with pytest.raises(PolicyError, match="version 1 is older than version 2"):
        it.adopt(policy(version=1))
    assert it.engine.policy.policy.version == 2
    it.adopt(policy(version=3))
    assert (it.engine.policy.policy.version, len(it.receipts(kind="policy"))) == (3, before + 1)


# the end


def test_what_could_not_be_recorded_is_recorded_before_the_store_is_closed(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=down))
    other = desk()
    permit = permitted(it, it.session().id, amount=1)
    it.engine.redeem(permit)
    down.raises(Unavailable("the store failed"))
    with suppress(Unavailable):
        it.engine.complete(permit, DONE)
    assert not other.receipts(permit.action_id, "outcome")
    down.clear()
    it.engine.close()
    assert [item.execution.success for item in other.receipts(permit.action_id, "outcome")] == [True]
    done(other, permitted(other, other.session().id, amount=2))


class Known:
    """Ids of which that of the next session is known."""

    def __init__(self, real):
        self._real = real

    def new(self, prefix):
        return KNOWN if prefix == "ses" else self._real.new(prefix)

    def salt(self):
        return self._real.salt()


KNOWN = "ses_00000000000000000000000001"


def test_a_session_that_another_process_opens_later_is_found(desk):
    one, other = desk(), desk(ids=Known)
    with pytest.raises(IntegrityError, match="there is no session"):
        one.engine.labels(KNOWN)
    assert one.engine.decide(action(one), KNOWN).reason_code == "no_session"
    assert other.session().id == KNOWN
    one.engine.labels(KNOWN)
    assert isinstance(one.engine.decide(action(one), KNOWN), Permit)


def test_another_token_is_the_one_that_counts_from_then_on(desk):
    it = desk()
    session = it.engine.open_session("work", Claims(human="ana", agent="bot", token="first"))
    it.engine.renew(session, "another")
    assert it.engine.context(session).claims.token == "another"


def test_an_agent_is_stopped_whatever_its_name_is_written_with(desk):
    it = desk()
    session = it.session(agent="a b/ä%").id
    it.engine.stop("agent/a b/ä%", Authority.SUSPENDED, by="eva", reason="odd")
    assert it.engine.decide(action(it), session).reason_code == "authority_suspended"
    it.engine.stop("tool/odd tool.run", Authority.SUSPENDED, by="eva", reason="odd")
    assert it.engine.decide(action(it, "odd tool.run"), it.session().id).reason_code == "authority_suspended"


def test_an_engine_says_that_it_began_and_does_nothing_after_its_end(desk):
    it = desk()
    assert [item.kind for item in it.receipts()][:2] == ["boot", "policy"]
    session = it.session().id
    it.engine.close()
    answer = it.engine.decide(action(it), session)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "unavailable"


def test_a_policy_of_the_same_version_with_another_content_is_taken_and_recorded(desk):
    it = desk(policy(MAIL, version=2))
    before = len(it.receipts(kind="policy"))
    it.adopt(policy(version=2))
    assert len(it.receipts(kind="policy")) == before + 1


def test_after_a_fork_nothing_is_permitted_nor_recorded(desk, monkeypatch):
    it = desk()
    it.enrol("ben")
    session = it.session().id
    waits = it.engine.decide(action(it, "mail.send", text="x"), session)
    before = len(it.receipts())
    with monkeypatch.context() as patch:
        patch.setattr("navicert.engine.workings.getpid", lambda: 1)
        for answer in (it.engine.decide(action(it), session), it.engine.resume(waits.handle)):
            assert isinstance(answer, Denied)
            assert (answer.reason_code, "before a fork" in answer.reason) == ("unavailable", True)
        with pytest.raises(Unavailable, match="before a fork"):
            it.engine.say(session, "more")
    assert len(it.receipts()) == before


def test_where_the_store_is_away_that_is_said_and_no_failure_of_ours_is_recorded(desk):
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=down))
    session = it.session().id
    before = len(it.receipts())
    down.raises(Unavailable("the store is away"), times=1)
    answer = it.engine.decide(action(it), session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, answer.reason) == ("unavailable", "the store is away")
    assert len(it.receipts()) == before
    down.raises(RuntimeError("odd"), times=1)
    answer = it.engine.decide(action(it), session)
    assert (answer.reason_code, "RuntimeError" in answer.reason) == ("engine_failed", True)
    assert len(it.receipts()) == before + 1
