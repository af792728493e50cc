"""What the state of things refuses or holds back although policy would let it pass (R4.d, R4.f; DESIGN.md section 3).

Written for mutants of `engine/judging.py` that no test minded; `make mutants` says which each of them kills.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from attacks.desk import MAIL, policy
from navicert.adapters.contents.files import FileDigests
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Effect, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.labels import Labels, Level
from navicert.model.suspension import Answer
from unit.engine.test_permits import DONE


def action(it, name="bank.pay", depends_on=(), **parameters):
    tool, _, operation = name.partition(".")
    profile = ToolProfile(tool=name, effect=Effect.PAY, returns=Labels(level=Level.PUBLIC))
    return it.engine.action(tool, operation, parameter_bytes(parameters), profile=profile, depends_on=depends_on)


@pytest.fixture
def it(desk):
    made = desk(policy(MAIL))
    made.enrol("ben")
    return made


def judge(it, session, name="bank.pay", **more):
    return it.engine.decide(action(it, name, **more), session)


def asked(it, session, text, **more):
    answer = judge(it, session, "mail.send", text=text, **more)
    assert isinstance(answer, Suspended), answer
    return answer


def released(it, handle):
    it.say("ben", handle)
    answer = it.engine.resume(handle)
    assert isinstance(answer, Permit), answer
    return answer


def done(it, permit):
    it.engine.redeem(permit)
    it.engine.complete(permit, DONE)


# limits


def test_so_many_actions_may_be_open_and_not_one_more(it):
    session = it.session().id
    for number in range(128):
        assert isinstance(judge(it, session, amount=number), Permit)
    answer = judge(it, session, amount=128)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "too_many_open"


def test_so_many_actions_may_wait_and_not_one_more(it):
    session = it.session().id
    for number in range(32):
        asked(it, session, f"text {number}")
    answer = judge(it, session, "mail.send", text="one more")
    assert isinstance(answer, Denied)
    assert answer.reason_code == "too_many_waiting"
    assert isinstance(judge(it, session, amount=1), Permit)


# what waits already


def test_what_is_refused_now_is_refused_although_the_same_waits(it):
    session = it.session().id
    waits = asked(it, session, "hello")
    assert asked(it, session, "hello").handle == waits.handle
    assert asked(it, session, "hello again").handle != waits.handle
    it.adopt(policy("  - {id: no, match: {tool: mail}, decision: DENY}\n", version=2))
    answer = judge(it, session, "mail.send", text="hello")
    assert isinstance(answer, Denied)
    assert answer.rules == ("no",)


def test_what_waits_is_taken_up_after_its_session_ended_and_nothing_new_is_begun(it):
    session = it.session().id
    waits = asked(it, session, "hello")
    it.engine.end(session)
    assert judge(it, session, amount=1).reason_code == "session_ended"
    done(it, released(it, waits.handle))


# dependence


def test_an_action_that_names_a_wait_waits_for_it_once_and_until_it_is_done(it):
    session = it.session().id
    first = asked(it, session, "one")
    later = judge(it, session, depends_on=(first.handle, first.handle), memo=first.handle)
    assert isinstance(later, Suspended)
    assert it.wait(later.handle).depends_on == (first.handle,)
    permit = released(it, first.handle)
    running = judge(it, session, depends_on=(first.handle,), amount=2)  # released, and not done
    assert isinstance(running, Suspended)
    assert isinstance(it.engine.resume(later.handle), Suspended)
    done(it, permit)
    for handle in (later.handle, running.handle):
        assert isinstance(it.engine.resume(handle), Permit)
    assert isinstance(judge(it, session, depends_on=(first.handle,), amount=3), Permit)


def test_an_action_may_depend_on_what_waits_in_another_session(it):
    session, other = it.session().id, it.session().id
    first = asked(it, other, "one")
    later = judge(it, session, depends_on=(first.handle,))
    assert isinstance(later, Suspended)
    assert later.reason_code == "depends"
    done(it, released(it, first.handle))
    assert isinstance(it.engine.resume(later.handle), Permit)


def test_an_action_that_depends_on_nothing_there_is_or_on_what_was_refused_is_refused(it):
    session = it.session().id
    assert judge(it, session, depends_on=("wait_of_nobody",)).reason_code == "no_wait"
    first = asked(it, session, "one")
    it.say("ben", first.handle, Answer.DENY)
    assert judge(it, session, depends_on=(first.handle,)).reason_code == "dependency_refused"


def test_the_longest_way_counts_towards_the_limit_of_a_cascade(it):
    session = it.session().id
    first = asked(it, session, "one")
    second = judge(it, session, depends_on=(first.handle,), amount=2)
    third = judge(it, session, depends_on=(second.handle, first.handle), amount=3)
    assert [it.wait(each.handle).depth for each in (first, second, third)] == [1, 2, 3]
    answer = judge(it, session, depends_on=(first.handle, third.handle), amount=4)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "cascade_limit"


# seen to fail: with the depth of a wait counted from the session's own waits alone, as it was
def test_a_cascade_is_no_longer_for_going_through_other_sessions(it):
    first = asked(it, it.session().id, "one")
    second = judge(it, it.session().id, depends_on=(first.handle,), amount=2)
    third = judge(it, it.session().id, depends_on=(second.handle,), amount=3)
    assert [it.wait(each.handle).depth for each in (first, second, third)] == [1, 2, 3]
    answer = judge(it, it.session().id, depends_on=(third.handle,), amount=4)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "cascade_limit"


# rounds, and what is recorded beside them

STEPS = "".join(
    f"  - {{id: s{number}, match: {{tool: bank, parameters: {{x: {{eq: {number}}}}}}}, decision: MODIFY, "
    f"modifications: [{{parameter: x, set: {number + 1}}}]}}\n"
    for number in range(1, 10)
)


def test_what_comes_to_rest_in_the_last_round_is_permitted_and_what_goes_on_is_not(desk):
    it = desk(policy(STEPS))
    session = it.session().id
    answer = judge(it, session, x=2)
    assert isinstance(answer, Permit)
    assert (answer.parameters, answer.modified) == (b'{"x":10}', True)
    answer = judge(it, session, x=1)
    assert isinstance(answer, Denied)
    assert answer.reason_code == "modification_unstable"


SHADOWS = """\
  - {id: cap, match: {tool: bank, amount: {gt: 5}}, decision: MODIFY, modifications: [{parameter: amount, cap: 5}]}
  - {id: dark, match: {tool: bank, amount: {gt: 5}}, decision: DENY, priority: 1, shadow: true}
"""


def test_a_shadow_is_of_the_action_as_it_was_submitted_and_of_no_refusal_of_our_own(desk):
    it = desk(policy(SHADOWS))
    session = it.session().id
    profile = ToolProfile(tool="bank.pay", effect=Effect.PAY, amount=("amount",), returns=Labels())
    asked_for = replace(action(it, amount=9), profile=profile)
    answer = it.engine.decide(asked_for, session)
    assert isinstance(answer, Permit)
    assert answer.modified
    found = it.receipts(answer.action_id, "decision")[0].decision
    assert found.shadow.result == "DENY"
    refused = it.engine.refuse(replace(action(it, amount=9), profile=profile), session, "no such parameter")
    assert it.receipts(refused.action_id, "decision")[0].decision.shadow is None


def test_a_refusal_before_it_was_judged_keeps_its_reason_also_after_the_session_ended(it):
    session = it.session().id
    it.engine.end(session)
    assert it.engine.refuse(action(it, amount=9), session, "no such parameter").reason_code == "invalid_parameters"


def test_only_what_people_are_asked_about_is_bound_to_files(desk, monkeypatch, tmp_path):
    looked = []
    digest = FileDigests.digest
    monkeypatch.setattr(FileDigests, "digest", lambda self, names: looked.append(names) or digest(self, names))
    it = desk(policy(MAIL, "  - {id: later, match: {tool: file}, decision: DEFER}\n"))
    session = it.session().id
    assert isinstance(judge(it, session, path="/desk/a"), Permit)
    assert isinstance(judge(it, session, "file.read", path="/desk/a"), Suspended)
    assert looked == []
    asked(it, session, "/desk/a")
    assert looked == [["/desk/a"]]


def test_a_permit_begins_no_wait_and_says_only_what_was_changed(it):
    session = it.session().id
    permit = judge(it, session, amount=1)
    assert (it.engine.waits(), it.engine.context(session).waiting) == ((), ())
    assert it.receipts(permit.action_id, "decision")[0].action.effective_digest is None
    waits = asked(it, session, "hello")
    assert "also depends" not in waits.reason
    behind = asked(it, session, "after it", depends_on=(waits.handle,))
    assert f"also depends on what waits as {waits.handle}" in behind.reason


def test_the_points_of_a_permitted_action_reach_the_session_that_delegated(desk):
    it = desk(policy("  - {id: risky, match: {tool: bank}, adds_risk: 4}\n"))
    parent = it.session().id
    child = it.engine.delegate(parent, agent="helper", scope=("*",))
    done(it, judge(it, child, amount=1))
    assert (it.engine.context(child).walked.risk, it.engine.context(parent).walked.risk) == (4, 4)


def test_what_reduced_authority_still_permits_may_start(it):
    session = it.session().id
    it.engine.stop("agent/bot", Authority.NARROWED, by="sue", reason="careful")
    reading = replace(
        action(it, "crm.find"), profile=ToolProfile(tool="crm.find", effect=Effect.READ, returns=Labels())
    )
    permit = it.engine.decide(reading, session)
    assert isinstance(permit, Permit)
    done(it, permit)


def test_what_separates_an_agent_is_what_is_said_of_its_action(desk):
    it = desk(policy("  - {id: no, match: {tool: bank, separation: user}, decision: DENY}\n"))
    session = it.session().id
    assert isinstance(judge(it, session), Permit)
    assert it.engine.decide(replace(action(it, amount=2), separation="user"), session).rules == ("no",)


def test_what_names_a_resource_that_a_waiting_action_would_write_waits_for_it(desk):
    it = desk(policy("  - {id: write, match: {tool: file, effect: write}, decision: STEP_UP, approvers: [ben]}\n"))
    session = it.session().id
    writes = ToolProfile(tool="file.write", effect=Effect.WRITE, returns=Labels(), resource=("path",))
    first = it.engine.decide(replace(action(it, "file.write", path="/desk/a"), profile=writes), session)
    assert isinstance(first, Suspended)
    later = judge(it, session, memo="/desk/a")
    assert isinstance(later, Suspended)
    assert it.wait(later.handle).depends_on == (first.handle,)
    assert isinstance(judge(it, session, memo="/desk/b"), Permit)


def test_only_what_an_action_depends_on_counts_for_how_deep_it_stands(it):
    session = it.session().id
    first = asked(it, session, "one")
    judge(it, session, depends_on=(first.handle,), amount=2)
    other = asked(it, session, "another")
    later = judge(it, session, depends_on=(other.handle,), amount=3)
    assert it.wait(later.handle).depth == 2


LABELLED = "  - {id: label, match: {tool: [crm, mail]}, set_context: {data_classification: RESTRICTED}}\n"


@pytest.mark.parametrize("waits", [False, True])
def test_a_label_by_rule_comes_with_the_result_also_of_what_waited(desk, waits):
    it = desk(policy(LABELLED, MAIL))
    it.enrol("ben")
    session = it.session().id
    permit = released(it, asked(it, session, "one").handle) if waits else judge(it, session, "crm.find")
    assert it.engine.labels(session).level is Level.PUBLIC
    done(it, permit)
    assert it.engine.labels(session).level is Level.RESTRICTED
