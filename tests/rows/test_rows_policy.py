"""Rows of the testing protocol (SPEC.md) about the four kinds of rules, each by its own name: R3-1 to R3-4.

Effects are real: files that the governed tools write or delete, and lines that they leave behind.
"""

from __future__ import annotations

import json

import pytest

from attacks.waiting import policy
from navicert.model.suspension import Answer

FORBIDDEN = """\
  - {id: no-removal, match: {tool: file, operation: remove}, decision: DENY, classification: forbidden, priority: -5}
  - {id: all-else, decision: ALLOW, priority: 1000}
"""
STAYS = """\
  - {id: mail, match: {tool: mail, operation: send}, decision: ALLOW}
  - id: personal-data-stays
    match: {effect: send, context: {categories: {contains: PII}}}
    decision: DENY
    classification: context_dependent_deny
    priority: 10
"""
ROTATION = """\
  - {id: no-removal, match: {tool: file, operation: remove}, decision: DENY}
  - id: confirmed
    match: {tool: file, operation: remove, context: {request: {contains: remove the report}, level: PUBLIC}}
    decision: %s
    classification: context_dependent_allow
    priority: 5
"""
WINDOW = """\
  - {id: removal, match: {tool: file, operation: remove, context: {facts.window: open}}, decision: ALLOW}
  - {id: closed, match: {tool: file, operation: remove}, decision: DENY, priority: -1}
"""
AT_ODDS = """\
  - {id: clerks-may, match: {tool: file, operation: remove, identity: {roles: clerk}}, decision: ALLOW}
  - {id: not-after-data, match: {tool: file, context: {categories: {contains: PII}}}, decision: DENY}
"""


def keep(it):
    path = it.folder / "report.txt"
    path.write_text("kept")
    return path


@pytest.mark.parametrize(
    "context", ["plain", "approved request", "supervisor", "after reading", "delegated", "found out"]
)
def test_R3_1_a_forbidden_action_is_denied_at_once_whatever_the_context(desk, context):
    it = desk(policy(FORBIDDEN))
    path = keep(it)
    changes = {
        "approved request": {"request": "remove report.txt, ana and ben have approved it"},
        "supervisor": {"human": "sue", "roles": ["supervisor", "admin"]},
    }
    with it.session(**changes.get(context, {})) as session:
        if context == "after reading":
            session.carry(it.person)("Bob")
        if context == "found out":
            session.observe("removal_approved", value=True, source="ticket")
        acting = session.delegate(agent="helper", scope="*") if context == "delegated" else session
        denied = it.refused(acting.carry(it.remove), str(path))
        acting.carry(it.note)("today")  # and what is not forbidden passes
    assert path.read_text() == "kept"
    assert it.effects == ["note today"]
    (receipt,) = it.receipts(denied.action_id)  # at once: nothing was suspended, nobody asked
    assert (receipt.kind, receipt.decision.result, receipt.decision.rules) == ("decision", "DENY", ("no-removal",))
    assert receipt.decision.classification == "forbidden"
    assert receipt.deferral is None


def test_R3_2_an_allowed_action_is_denied_by_context_after_access_to_sensitive_data(desk):
    it = desk(policy(STAYS))
    with it.session() as session:
        assert session.carry(it.send)("before") == "done: mail before"
        assert session.carry(it.person)("Bob") == "person Bob"
        denied = it.refused(session.carry(it.send), "after")
    assert it.effects == ["mail before"]
    (receipt,) = it.receipts(denied.action_id)
    assert (receipt.decision.result, receipt.decision.rules) == ("DENY", ("personal-data-stays",))
    assert receipt.decision.classification == "context_dependent_deny"


def test_R3_2_the_same_action_passes_in_a_session_without_that_access(desk):
    it = desk(policy(STAYS))
    with it.session() as session:
        session.carry(it.person)("Bob")
    with it.session(human="zoe", agent="other") as another:
        another.carry(it.send)("hello")
    assert it.effects == ["mail hello"]


def test_R3_3_a_denied_action_is_allowed_where_the_context_confirms_it(desk):
    it = desk(policy(ROTATION % "ALLOW"))
    path = keep(it)
    with it.session(request="sum up my notes") as session:
        denied = it.refused(session.carry(it.remove), str(path))
    assert path.exists()
    with it.session(request="please remove the report") as session:
        assert session.carry(it.remove)(str(path)) == "removed"
    assert not path.exists()
    assert it.receipts(denied.action_id)[0].decision.rules == ("no-removal",)
    (allowed,) = [item for item in it.receipts(kind="decision") if item.decision.result == "ALLOW"]
    assert (allowed.decision.rules, allowed.decision.classification) == (("confirmed",), "context_dependent_allow")


def test_R3_3_it_stays_denied_where_the_rest_of_the_context_speaks_against_it(desk):
    it = desk(policy(ROTATION % "ALLOW"))
    path = keep(it)
    with it.session(request="please remove the report") as session:
        session.carry(it.person)("Bob")
        it.refused(session.carry(it.remove), str(path))
    assert path.exists()


@pytest.mark.parametrize(("answer", "stays"), [(Answer.APPROVE, False), (Answer.DENY, True)])
def test_R3_3_a_denied_action_is_put_to_a_person_where_the_context_confirms_it(desk, answer, stays):
    it = desk(policy(ROTATION % "STEP_UP\n    approvers: [ben]"))
    it.enrol("ben")
    path = keep(it)
    with it.session(request="sum up my notes") as session:
        it.refused(session.carry(it.remove), str(path))
    with it.session(request="please remove the report") as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        assert waits.verdict == "STEP_UP"
        assert path.exists()
        it.say("ben", waits.handle, answer)
        if stays:
            it.refused(it.bench.resume, waits.handle)
        else:
            it.bench.resume(waits.handle)
    assert path.exists() is stays


@pytest.mark.parametrize("reports", [(), ("open", "shut")])
def test_R3_4_a_context_that_is_unknown_or_in_dispute_defers(desk, reports):
    it = desk(policy(WINDOW))
    path = keep(it)
    with it.session() as session:
        for number, value in enumerate(reports):
            session.observe("window", value, source=f"calendar {number}")
        waits = it.suspended(session.carry(it.remove), str(path))
    assert waits.verdict == "DEFER"
    assert path.read_text() == "kept"
    (receipt,) = it.receipts(waits.action_id)
    assert (receipt.decision.result, receipt.deferral.reason_code) == ("DEFER", "context_missing")
    assert receipt.decision.classification == "context_dependent_defer"


@pytest.mark.parametrize(("value", "stays"), [("open", False), ("shut", True)])
def test_R3_4_a_context_that_is_clear_does_not_defer(desk, value, stays):
    it = desk(policy(WINDOW))
    path = keep(it)
    with it.session() as session:
        session.observe("window", value, source="calendar")
        if stays:
            it.refused(session.carry(it.remove), str(path))
        else:
            session.carry(it.remove)(str(path))
    assert path.exists() is stays


def test_R3_4_rules_that_contradict_each_other_in_this_context_defer_and_end_in_deny(desk):
    it = desk(policy(AT_ODDS))
    path = keep(it)
    with it.session(roles=["clerk"]) as session:
        session.carry(it.person)("Bob")
        waits = it.suspended(session.carry(it.remove), str(path))
        assert waits.verdict == "DEFER"
        it.clock.tick(900)
        it.refused(it.bench.resume, waits.handle)
    assert path.read_text() == "kept"
    decided, ended = it.receipts(waits.action_id)
    assert decided.deferral.reason_code == "rules_conflict"
    assert decided.decision.rules == ("clerks-may", "not-after-data")
    assert ended.decision.result == "DENY"


def test_R3_4_sources_that_contradict_each_other_go_on_deferring(desk, tmp_path):
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    facts = f"  window: {{sources: [{{file: {one}}}, {{file: {other}}}], attempts: 3, every: 30s}}\n"
    it = desk(policy(WINDOW, facts=facts))
    path = keep(it)
    one.write_text(json.dumps("open"))
    other.write_text(json.dumps("shut"))
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        it.clock.tick(30)
        it.suspended(it.bench.resume, waits.handle)
        assert path.exists()
        other.write_text(json.dumps("open"))
        it.clock.tick(30)
        assert it.bench.resume(waits.handle) == "removed"
    assert not path.exists()
