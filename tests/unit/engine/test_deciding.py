"""A decision that fails on its way: what is answered, and what is on record (R1.c, R1.d; property 3).

Written for mutants of `engine/deciding.py` that no test minded; `make mutants` says which each of them kills.
"""

from __future__ import annotations

import asyncio
from threading import Event
from time import monotonic

import pytest
from msgspec.structs import replace

from attacks.desk import MAIL, policy
from navicert.adapters.contents.files import FileDigests
from navicert.model.action import Effect
from navicert.model.decision import Denied, Permit
from navicert.model.errors import IdentityError, Unavailable
from navicert.testing import Fault, FaultyDetector, FaultyJournal, FaultySigner, FaultyVerifier
from unit.engine.meanwhile import Meanwhile
from unit.engine.test_redeeming import action, done, permitted


@pytest.fixture
def committing(desk):
    """A desk whose commits can fail, and a session."""
    down = Fault()
    it = desk(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=down), commit_s=0.3)
    return it, down, it.session().id


def test_a_decision_that_becomes_durable_too_late_is_recorded_as_never_started(committing):
    it, down, session = committing
    down.hangs()
    late = action(it, amount=1)
    answer = it.engine.decide(late, session)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "unavailable"
    down.clear()
    done(it, permitted(it, session, amount=2))
    for _ in range(
        3
    ):  # the late one is decided in its own time; what came of it is recorded before what is judged next
        done(it, permitted(it, session, "note.read", Effect.READ))
    assert [item.decision.result for item in it.receipts(late.action_id, "decision")] in ([], ["ALLOW"])
    ended = [item.execution.error for item in it.receipts(late.action_id, "outcome")]
    assert ended == ["not_started"] * len(it.receipts(late.action_id, "decision"))


@pytest.mark.parametrize("error", [RuntimeError("odd"), Unavailable("the store is away")])
def test_a_decision_that_may_stand_is_not_made_a_second_time(committing, error):
    it, down, session = committing
    first = action(it, amount=1)
    down.persists(error, times=1)
    answer = it.engine.decide(first, session)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "unavailable"
    said = "the store failed: RuntimeError" if isinstance(error, RuntimeError) else "the store is away"
    assert answer.reason == said
    assert len(it.receipts(first.action_id, "decision")) == 1


def test_a_decision_that_cannot_be_written_is_refused_on_record(desk):
    fault = Fault()
    it = desk(signer=lambda real: FaultySigner(real, fault))
    session = it.session().id
    fault.raises(ValueError("no number of ours"), times=1)
    refused = action(it, amount=1)
    answer = it.engine.decide(refused, session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "ValueError" in answer.reason) == ("engine_failed", True)
    assert [item.decision.result for item in it.receipts(refused.action_id, "decision")] == ["DENY"]


def test_whoever_changes_a_session_all_the_time_delays_and_gets_no_permit(desk):
    held = []

    def journal(real):
        held.append(Meanwhile(real))
        return held[0]

    one, other = desk(policy(MAIL), journal=journal), desk(policy(MAIL))
    session = one.session().id
    permitted(one, session, "note.read", Effect.READ)

    def again():
        if held[0].happened < 300:
            held[0].at("enqueue", again, of=lambda commit: commit.draft is not None)
        other.engine.say(session, "more")

    again()
    answer = one.engine.decide(action(one, amount=1), session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "changed by others all the time" in answer.reason) == ("unavailable", True)


def test_a_refusal_beforehand_keeps_its_reason_whoever_it_is(desk):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault))
    session = it.session().id
    assert it.engine.refuse(action(it), None, "no such parameter").reason_code == "invalid_parameters"
    fault.raises(IdentityError("the token was revoked"))
    assert it.engine.refuse(action(it), session, "no such parameter").reason_code == "invalid_parameters"
    answer = it.engine.decide(action(it), session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, answer.reason) == ("identity_unverified", "the token was revoked")
    assert it.receipts(answer.action_id, "decision")[0].decision.result == "DENY"
    fault.clear()
    assert isinstance(it.engine.decide(action(it), session), Permit)


def test_an_unknown_tool_is_answered_with_a_profile_to_paste_and_nothing_else_is(desk):
    it = desk(policy("  - {id: no, match: {tool: bank}, decision: DENY}\n"))
    session = it.session().id
    unknown = it.engine.action("odd", "tool", b'{"place":"x"}', profile=None)
    answer = it.engine.decide(unknown, session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "odd.tool" in answer.next_step) == ("unknown_tool", True)
    assert "bank.pay" not in it.engine.decide(action(it), session).next_step


@pytest.mark.parametrize("nonsense", [None, "yes", object()])
def test_a_store_that_answers_with_something_else_than_the_receipt_permits_nothing(committing, nonsense):
    it, down, session = committing
    down.answers(nonsense)
    answer = it.engine.decide(action(it, amount=1), session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "nothing was permitted" in answer.reason) == ("unavailable", True)
    down.clear()


def test_a_store_that_answers_with_another_receipt_permits_nothing(desk):
    held = []

    class Old:
        """A journal whose newest commit is answered with the place of the one before."""

        def __init__(self, inner):
            self._inner, self.last, self.on = inner, None, False
            held.append(self)

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def enqueue(self, commit, *, lazy=False):
            ticket = self._inner.enqueue(commit, lazy=lazy)
            if not self.on:
                self.last = ticket
                return ticket
            ticket.wait(5)
            return self.last

    it = desk(journal=Old)
    session = it.session().id
    assert isinstance(it.engine.decide(action(it, amount=1), session), Permit)
    held[0].on = True
    answer = it.engine.decide(action(it, amount=2), session)
    assert isinstance(answer, Denied)
    assert (answer.reason_code, "nothing was permitted" in answer.reason) == ("unavailable", True)
    held[0].on = False


# what an approval is bound to


@pytest.fixture
def digested(desk, monkeypatch):
    """A desk where what is asked about files can be said; returns the question's files, and what was asked."""
    seen = []

    def ask(say, **parameters):
        def digest(_, names):
            seen.append(list(names))
            return say(names)

        monkeypatch.setattr(FileDigests, "digest", digest)
        it = desk(measure_s=0.3, name=f"desk{len(seen)}")
        answer = it.engine.decide(action(it, "mail.send", **parameters), it.session().id)
        return dict(it.question(answer.handle).files), seen

    return ask


def test_an_approval_is_bound_to_every_text_that_could_be_a_file(digested):
    long, longest = "x" * 4095, "x" * 4096
    files, seen = digested(lambda names: dict.fromkeys(names, "a" * 64), a="one", b=["two", 3, None], c=long, d=longest)
    assert files == dict.fromkeys(["one", "two", long], "a" * 64)
    assert [sorted(names) for names in seen] == [["one", "two", long]]


def test_where_there_is_no_text_nobody_looks_for_files(digested):
    assert digested(lambda names: {"one": "a" * 64}, n=3) == ({}, [])


@pytest.mark.parametrize("say", [lambda names: 1 / 0, lambda names: Event().wait(5)])
def test_files_that_cannot_be_looked_at_are_unreadable_and_hold_up_nothing(digested, say):
    start = monotonic()
    assert digested(say, a="one")[0] == {"one": "unreadable"}
    assert monotonic() - start < 4


@pytest.mark.parametrize("found", ["yes", {1: "a"}, {"one": 2}, {"one": "a" * 64, "two": 2}, None])
def test_what_is_no_answer_about_files_binds_to_none(digested, found):
    assert digested(lambda names: found, a="one")[0] == {}


def test_what_a_tool_takes_as_content_names_no_file(desk, monkeypatch):
    seen = []
    monkeypatch.setattr(FileDigests, "digest", lambda _, names: seen.append(sorted(names)) or {})
    it = desk()
    asked = action(it, "mail.send", text="a text", place="a place")
    asked = replace(asked, profile=replace(asked.profile, content=("text",)))
    it.engine.decide(asked, it.session().id)
    assert seen == [["a place"]]


def test_what_is_refused_beforehand_is_shown_to_no_detector(desk):
    fault = Fault()
    it = desk(detectors=lambda real: tuple(FaultyDetector(item, fault) for item in real))
    session = it.session().id
    fault.raises(RuntimeError("odd"))
    it.engine.refuse(action(it), session, "no such parameter")
    assert fault.hits == 0
    it.engine.decide(action(it), session)
    assert fault.hits > 0
    fault.clear()


def test_a_caller_who_gives_up_while_it_is_decided_is_let_go_and_nothing_runs(committing):
    it, down, session = committing
    down.hangs()
    asked = action(it, amount=1)

    async def given_up():
        task = asyncio.create_task(it.engine.decide_async(asked, session))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    down.clear()
    done(it, permitted(it, session, amount=2))
    for _ in range(3):
        done(it, permitted(it, session, "note.read", Effect.READ))
    assert [item.execution.error for item in it.receipts(asked.action_id, "outcome")] == ["not_started"] * len(
        it.receipts(asked.action_id, "decision")
    )
