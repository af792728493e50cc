"""What came of an action is recorded once, whatever fails, and nothing is released that is not (property 3; R2, R5).

Written for mutants of `engine/completing.py` and `measuring.py` (`make mutants` says which each of them kills).
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from msgspec.structs import replace

from attacks.desk import policy
from navicert.core.canonical import parameter_bytes
from navicert.engine.completing import Output
from navicert.model.action import Effect, ToolProfile
from navicert.model.decision import Denied, Permit
from navicert.model.errors import IdentityError, Unavailable
from navicert.model.identity import Claims
from navicert.model.labels import WORST, Labels, Level
from navicert.model.signals import Finding
from navicert.testing import Fault, FaultyDetector, FaultySigner, FaultyVerifier
from unit.engine.test_permits import DONE
from unit.engine.test_redeeming import action, done, permitted

SECRET = Labels(level=Level.CONFIDENTIAL, categories=("PII",))


def reads(it, session, returns=SECRET, name="crm.find", output=DONE, **parameters):
    """Read something under a label."""
    profile = ToolProfile(tool=name, effect=Effect.READ, returns=returns)
    tool, _, operation = name.partition(".")
    answer = it.engine.decide(it.engine.action(tool, operation, parameter_bytes(parameters), profile=profile), session)
    assert isinstance(answer, Permit), answer
    it.engine.redeem(answer)
    it.engine.complete(answer, output)
    return answer


def errors(it, permit):
    return [item.execution.error for item in it.receipts(permit.action_id, "outcome")]


def test_what_was_settled_elsewhere_meanwhile_is_not_recorded_twice_and_still_labels(desk):
    one, other = desk(), desk()
    session = one.session().id
    profile = ToolProfile(tool="crm.find", effect=Effect.READ, returns=SECRET)
    permit = one.engine.decide(one.engine.action("crm", "find", b"{}", profile=profile), session)
    one.engine.redeem(permit)
    other.engine.settle(permit.action_id, happened=False, by="ana")
    released = one.engine.complete(permit, DONE)
    assert released.labels.covers(SECRET)
    assert errors(one, permit) == ["not_done"]
    assert one.engine.labels(session).covers(SECRET)
    assert isinstance(one.engine.decide(action(one, amount=1), session), Permit)


def test_an_outcome_whose_commit_fails_later_is_recorded_before_what_is_judged_next(desk):
    fault = Fault()
    it = desk(signer=lambda real: FaultySigner(real, fault))
    session = it.session().id
    permit = permitted(it, session, amount=1)
    it.engine.redeem(permit)
    fault.raises(RuntimeError("the key is away"), times=1)
    it.engine.complete(permit, DONE)  # nothing grows, so nobody waits for it
    with suppress(Unavailable):
        it.bench.store.flush()
    fault.clear()
    following = permitted(it, session, amount=2)
    assert errors(it, permit) == [None]
    kinds = [(item.kind, item.action.id) for item in it.receipts() if item.action is not None]
    assert kinds.index(("outcome", permit.action_id)) < kinds.index(("decision", following.action_id))


def test_a_failure_that_was_looked_at_is_recorded_as_one_and_an_interruption_stays_open(desk):
    it = desk()
    session = it.session().id
    permit = permitted(it, session, amount=1)
    it.engine.redeem(permit)
    it.engine.complete(permit, DONE, error="ValueError")
    (found,) = it.receipts(permit.action_id, "outcome")
    assert (found.execution.success, found.execution.error) == (False, "ValueError")
    left = permitted(it, session, amount=2)
    it.engine.redeem(left)
    it.engine.abandon(left, "lost")
    assert errors(it, left) == []
    assert [item.action_id for item in it.engine.context(session).open] == [left.action_id]


def test_what_a_child_reads_labels_all_who_delegated_and_their_next_sessions_once(desk):
    it = desk()
    top = it.session(agent="top").id
    chain = [top]
    for name in ("second", "third"):
        chain.append(it.engine.delegate(chain[-1], agent=name, scope=("*",)))
    reads(it, chain[-1])
    assert all(it.engine.labels(session).covers(SECRET) for session in chain)
    lengths = [it.engine.context(session).length for session in chain[:-1]]
    reads(it, chain[-1], output=Output(text="null", empty=True))  # nothing grows above
    assert [it.engine.context(session).length for session in chain[:-1]] == lengths
    rule = "  - {id: no, match: {tool: bank, context: {level: {ge: CONFIDENTIAL}}}, decision: DENY}\n"
    it.adopt(policy(rule, version=2))
    for agent in ("top", "second", "third"):
        assert isinstance(it.engine.decide(action(it, amount=1), it.session(agent=agent).id), Denied)
    assert isinstance(it.engine.decide(action(it, amount=1), it.session(agent="other").id), Permit)


def test_what_a_child_did_counts_for_who_delegated_and_only_once_it_ended(desk):
    after = "  - {id: once, match: {tool: bank, after: {tool: crm, operation: find}}, decision: DENY}\n"
    it = desk(policy(after))
    top = it.session().id
    child = it.engine.delegate(top, agent="helper", scope=("*",))
    assert isinstance(it.engine.decide(action(it, amount=1), top), Permit)
    reads(it, child, Labels(level=Level.PUBLIC))
    assert it.engine.decide(action(it, amount=2), top).rules == ("once",)


def test_a_part_of_a_result_labels_before_it_is_released(desk):
    it = desk()
    session = it.session().id
    profile = ToolProfile(tool="crm.find", effect=Effect.READ, returns=SECRET)
    permit = it.engine.decide(it.engine.action("crm", "find", b"{}", profile=profile), session)
    it.engine.redeem(permit)
    assert it.engine.extend(permit, Output(text="a part")).covers(SECRET)
    assert it.engine.labels(session).covers(SECRET)
    before = it.engine.context(session).length
    it.engine.extend(permit, Output(text="another part"))
    assert it.engine.context(session).length == before
    it.engine.complete(permit, DONE)


def test_what_nobody_could_look_at_counts_as_the_highest(desk):
    it = desk()
    session = it.session().id
    permit = permitted(it, session, amount=1)
    it.engine.redeem(permit)
    assert it.engine.complete(permit, Output(text=None)).labels == WORST
    assert it.engine.labels(session).everything


# measuring


@pytest.mark.parametrize("answer", ["yes", None, Claims(human="ana")])
def test_a_verifier_that_answers_with_no_identity_verifies_nobody(desk, answer):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault))
    session = it.session().id
    fault.answers(answer)
    refused = it.engine.decide(action(it), session)
    assert isinstance(refused, Denied)
    assert (refused.reason_code, "could not be verified" in refused.reason) == ("identity_unverified", True)


def test_a_verifier_that_fails_is_told_by_its_kind_and_ours_by_its_words(desk):
    fault = Fault()
    it = desk(verifier=lambda real: FaultyVerifier(real, fault))
    session = it.session().id
    for error, said in (
        (RuntimeError("hunter2"), "the identity could not be verified: RuntimeError"),
        (IdentityError("the token was revoked"), "the token was revoked"),
        (Unavailable("the provider is away"), "the identity could not be verified: the provider is away"),
    ):
        fault.raises(error)
        assert it.engine.decide(action(it), session).reason == said


def test_an_identity_whose_delegation_does_not_hold_is_refused(desk):
    it = desk()
    top = it.session().id
    child = it.engine.delegate(top, agent="helper", scope=("*",), expires_at=it.clock.now() + 1_000_000)
    done(it, permitted(it, child, amount=1))
    it.clock.tick(2)
    assert it.engine.decide(action(it, amount=2), child).reason_code == "identity_unverified"
    done(it, permitted(it, top, amount=3))


def test_a_detector_that_fails_or_answers_nonsense_leaves_its_signals_unknown(desk):
    fault = Fault()
    rule = "  - {id: ok, match: {tool: bank, signals: {protected: false}}, decision: ALLOW}\n"
    it = desk(
        policy(rule, "  - {id: no, match: {tool: bank}, decision: DENY, priority: -1}\n"),
        detectors=lambda real: tuple(FaultyDetector(item, fault) for item in real),
    )
    session = it.session().id
    fault.clear()
    assert isinstance(it.engine.decide(action(it, amount=1), session), Permit)
    for spoil in (
        lambda: fault.raises(RuntimeError("odd")),
        lambda: fault.answers("fine"),
        lambda: fault.answers(None),
        lambda: fault.answers(replace(Finding(), looked=False)),
    ):
        spoil()
        answer = it.engine.decide(action(it, amount=2), session)
        assert not isinstance(answer, Permit)
        assert answer.reason_code == "context_missing"
