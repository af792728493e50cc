"""Rows of the testing protocol that are about waiting, by name: R1-2, R4-1 to R4-3, R5-4, R6-1, R6-2.

Effects are real: files that the governed tools write or delete.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from attacks.waiting import Desk, policy
from navicert.core.times import rfc3339
from navicert.model.suspension import Answer

CLEAN_UP = """\
  - {id: clean-up, match: {tool: file, operation: remove}, decision: STEP_UP, approvers: [ben, eva], timeout: 10m}
"""
WINDOW = """\
  - id: window
    match: {tool: file, operation: remove, context: {facts.window_open: true}}
    decision: ALLOW
  - {id: rest, match: {tool: file}, decision: DENY, priority: -1}
"""
FIVE = """\
  - {id: allowed, match: {tool: note}, decision: ALLOW}
  - {id: denied, match: {tool: bank, parameters: {account: evil}}, decision: DENY, priority: 2}
  - id: capped
    match: {tool: bank}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
"""


def facts(place: Path) -> str:
    return f"  window_open: {{sources: [{{file: {place}, at: /open}}], attempts: 2, every: 30s}}\n"


def keep(desk: Desk, name: str = "report.txt") -> Path:
    path = desk.folder / name
    path.write_text("kept")
    return path


def test_R1_2_a_deferred_action_is_suspended_without_effect_and_has_a_deferral_receipt(desk, tmp_path):
    it = desk(policy(WINDOW, facts=facts(tmp_path / "calendar.json")))
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
    assert waits.verdict == "DEFER"
    assert path.read_text() == "kept"
    (receipt,) = it.receipts(waits.action_id)
    assert (receipt.kind, receipt.decision.result, receipt.decision.rules) == ("decision", "DEFER", ("window",))
    assert (receipt.deferral.handle, receipt.deferral.reason_code) == (waits.handle, "context_missing")
    assert it.suspended(it.bench.resume, waits.handle).handle == waits.handle  # and goes on without effect
    assert path.read_text() == "kept"


def test_R4_1_ALLOW_runs_unchanged(desk):
    it = desk(policy(FIVE))
    with it.session() as session:
        assert session.carry(it.note)("today") == "done: note today"
    assert it.effects == ["note today"]
    assert [item.decision.result for item in it.receipts(kind="decision")] == ["ALLOW"]


def test_R4_1_DENY_has_no_effect(desk):
    it = desk(policy(FIVE))
    with it.session() as session:
        denied = it.refused(session.carry(it.pay), "evil", 5)
    assert it.effects == []
    (receipt,) = it.receipts(denied.action_id)
    assert (receipt.decision.result, receipt.decision.rules) == ("DENY", ("denied",))


def test_R4_1_MODIFY_runs_with_the_transformed_parameters(desk):
    it = desk(policy(FIVE))
    with it.session() as session:
        session.carry(it.pay)("shop", 5_000)
        session.carry(it.pay)("shop", 50)  # within the limit: as it stands
    assert it.effects == ["paid shop 100", "paid shop 50"]
    assert [item.decision.result for item in it.receipts(kind="decision")] == ["MODIFY", "ALLOW"]


@pytest.mark.parametrize(("answer", "stays"), [(Answer.APPROVE, False), (Answer.DENY, True)])
def test_R4_1_STEP_UP_is_paused_until_a_human_decides(desk, answer, stays):
    it = desk(policy(CLEAN_UP))
    it.enrol("ben")
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        assert waits.verdict == "STEP_UP"
        it.suspended(it.bench.resume, waits.handle)
        assert path.exists()
        it.say("ben", waits.handle, answer)
        if stays:
            assert "looked at it" in it.refused(it.bench.resume, waits.handle).reason
        else:
            assert it.bench.resume(waits.handle) == "removed"
    assert path.exists() is stays
    assert it.resolution(waits.action_id).decision.result == ("DENY" if stays else "ALLOW")


@pytest.mark.parametrize("is_open", [True, False])
def test_R4_1_DEFER_is_suspended_until_more_is_known_and_judged_by_what_is_known_then(desk, tmp_path, is_open):
    calendar = tmp_path / "calendar.json"
    it = desk(policy(WINDOW, facts=facts(calendar)))
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        it.suspended(it.bench.resume, waits.handle)
        calendar.write_text(json.dumps({"open": is_open}))
        it.clock.tick(30)
        if is_open:
            assert it.bench.resume(waits.handle) == "removed"
        else:
            it.refused(it.bench.resume, waits.handle)
    assert path.exists() is not is_open


def test_R4_2_a_step_up_without_an_answer_in_time_is_denied(desk):
    it = desk(policy(CLEAN_UP))
    it.enrol("ben")
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        it.clock.tick(599)
        it.suspended(it.bench.resume, waits.handle)
        it.clock.tick(1)
        denied = it.refused(it.bench.resume, waits.handle)
        assert denied.reason_code == "approval_timeout"
        assert it.refused(it.bench.resume, waits.handle).reason_code == "approval_timeout"  # and stays denied
    assert path.exists()
    receipt = it.resolution(waits.action_id)
    assert (receipt.decision.result, receipt.deferral.method) == ("DENY", "timeout")


def test_R4_2_the_owner_s_sweep_denies_what_nobody_comes_back_for(desk):
    it = desk(policy(CLEAN_UP))
    path = keep(it)
    session = it.session()
    waits = it.suspended(session.carry(it.remove), str(path))
    assert it.engine.sweep() == 1
    it.clock.tick(600)
    assert it.engine.sweep() == 0
    assert it.resolution(waits.action_id).deferral.method == "timeout"
    assert path.exists()


def test_R4_3_a_deferral_without_resolution_in_time_is_denied(desk, tmp_path):
    it = desk(policy(WINDOW, facts=facts(tmp_path / "nothing.json")))
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        for _ in range(29):  # 15 minutes, the default
            it.clock.tick(30)
            it.suspended(it.bench.resume, waits.handle)
        it.clock.tick(30)
        assert it.refused(it.bench.resume, waits.handle).reason_code == "deferral_timeout"
    assert path.exists()
    receipt = it.resolution(waits.action_id)
    assert (receipt.decision.result, receipt.deferral.method, receipt.deferral.attempts) == ("DENY", "timeout", 2)


def test_R5_4_the_receipts_of_a_deferred_action_hold_reason_method_and_time(desk, tmp_path):
    calendar = tmp_path / "calendar.json"
    it = desk(policy(WINDOW, facts=facts(calendar)))
    path = keep(it)
    with it.session() as session:
        waits = it.suspended(session.carry(it.remove), str(path))
        calendar.write_text('{"open": true}')
        it.clock.tick(31)
        it.bench.resume(waits.handle)
    begun, resolved, ended = it.receipts(waits.action_id)
    assert (begun.kind, resolved.kind, ended.kind) == ("decision", "resolution", "outcome")
    assert resolved.deferral.reason_code == begun.deferral.reason_code == "context_missing"
    assert (resolved.deferral.method, resolved.deferral.handle) == ("facts", waits.handle)
    assert resolved.deferral.resolved_at == rfc3339(it.clock.now())
    (tried,) = it.disclosed(resolved.receipt_id)["/deferral/facts"]
    assert (tried["fact"], tried["value"]) == ("window_open", True)
    assert str(calendar) in tried["source"]


def test_R6_1_receipts_attribute_actions_that_waited_to_their_principals_with_scope(desk):
    it = desk(policy(CLEAN_UP))
    it.enrol("ben")
    seen = {}
    for human, agent, scope in (("ana", "bot", ("file.*",)), ("zoe", "helper", ("file.remove", "note.*"))):
        path = keep(it, f"{human}.txt")
        with it.session(human=human, agent=agent, scope=scope, roles=[f"role-{human}"]) as session:
            waits = it.suspended(session.carry(it.remove), str(path))
            it.say("ben", waits.handle)
            it.bench.resume(waits.handle)
        for receipt in it.receipts(waits.action_id):
            who = receipt.requester_context
            assert (who.agent, who.session, who.scope, who.roles) == (agent, session.id, scope, (f"role-{human}",))
            seen.setdefault(human, set()).add(who.human)
    assert [len(names) for names in seen.values()] == [1, 1]
    assert seen["ana"] != seen["zoe"]


def test_R6_2_the_resolution_receipt_preserves_the_original_identity(desk):
    it = desk(policy(CLEAN_UP))
    it.enrol("ben")
    path = keep(it)
    parent = it.session(roles=["clerk"])
    child = parent.delegate(agent="helper", scope="file.*")
    waits = it.suspended(child.carry(it.remove), str(path))
    with it.session(human="zoe", agent="other") as another:  # who resumes it is somebody else
        it.say("ben", waits.handle)
        assert another.carry(it.bench.resume)(waits.handle) == "removed"
    begun, resolved, ended = it.receipts(waits.action_id)
    who = [msgspec.structs.replace(item.requester_context, human_name="") for item in (begun, resolved, ended)]
    assert who[0] == who[1] == who[2]  # the name is committed to anew, each time
    assert it.disclosed(resolved.receipt_id)["/requester_context/human_name"] == "ana"
    assert [link.delegatee for link in resolved.requester_context.delegation] == ["helper"]
    assert resolved.session.id == child.id
    assert resolved.revalidation.at == rfc3339(it.clock.now())
    assert resolved.completes is not None
