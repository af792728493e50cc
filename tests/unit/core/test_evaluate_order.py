"""What comes first when several things would decide: a refusal is never turned into a question, nor into a permit.

Each was written for a mutant of `core/evaluate.py` that no test minded (`make mutants`); what it breaks is named there.
"""

from __future__ import annotations

import pytest

from navicert.core.evaluate import added_risk, evaluate, labels_by_rule, lowered, witnessed_by_rule
from navicert.model.authority import Authority
from navicert.model.decision import Verdict
from navicert.model.evaluation import SharedFacts
from navicert.model.labels import Labels, Level
from unit.core.test_evaluate import act, policy

ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict
SUPERVISORS = "supervisors: [sue]\n"
OPEN = "match: {context: {facts: {x: true}}}"
"""A condition that cannot be told: the fact is not known."""


def decided(rules, *args, **changes):
    decision = evaluate(act(*args, **changes), rules)
    return decision.verdict, decision.reason_code


@pytest.mark.parametrize("authority", [Authority.SUPERVISED, Authority.NARROWED])
# seen to fail: with `decision.verdict is Verdict.ALLOW` taken out of the last question of `evaluate`
def test_reduced_authority_asks_only_where_the_rules_permit(authority):
    shared = SharedFacts(authority=authority)
    forbidding = policy("match: {tool: email}, decision: DENY", posture="declared_tools", more=SUPERVISORS)
    asking = policy(
        "match: {tool: email}, decision: STEP_UP, approvers: [ben]", posture="declared_tools", more=SUPERVISORS
    )
    assert decided(forbidding, shared=shared) == (DENY, "rule")
    assert evaluate(act(shared=shared), asking).approvers == ("ben",)
    assert evaluate(act(shared=shared), policy(posture="declared_tools", more=SUPERVISORS)).approvers == ("sue",)


# seen to fail: with `type(value) is str` taken out of the search for disguised destinations
@pytest.mark.parametrize("value", [True, None, 7, ["a@b.example", True], {"a": False}])
def test_a_destination_that_is_no_text_is_judged_like_any_other(value):
    assert decided(policy(posture="declared_tools"), "bank.pay", {"account": value}) == (ALLOW, "posture")


# seen to fail: with the early return of a hard refusal taken out of `_by_rules`
def test_a_bound_that_is_passed_refuses_also_where_a_forbidden_rule_cannot_be_told():
    limited = policy(
        f"{OPEN}, decision: DENY, classification: forbidden",
        "match: {tool: email}, adds_risk: 9",
        posture="declared_tools",
        more="risk_limit: 5\n",
    )
    assert decided(limited) == (DENY, "risk_limit")
    assert decided(limited, facts={"x": False}) == (DENY, "risk_limit")
    assert decided(limited, "crm.read") == (DEFER, "forbidden_undetermined")


# seen to fail: with `hard.verdict is Verdict.DENY` taken out of that return, negated, and with ALLOW in its place
def test_a_bound_that_cannot_be_told_does_not_turn_a_refusal_into_a_question():
    unsure = f"{OPEN}, adds_risk: 9"
    more = "risk_limit: 5\n"
    assert decided(policy(unsure, posture="declared_tools", more=more)) == (DEFER, "risk_limit")
    assert decided(policy(unsure, more=more)) == (DENY, "posture")
    assert decided(policy(unsure, "match: {tool: email}, decision: DENY", more=more)) == (DENY, "rule")


# seen to fail: with `return baseline` taken out where the rules conflict
def test_a_conflict_is_nobodys_question_also_where_a_rule_that_asks_cannot_be_told():
    rules = policy(
        "match: {tool: email}, decision: ALLOW",
        "match: {tool: email}, decision: DENY",
        f"{OPEN}, decision: STEP_UP, approvers: [ben]",
    )
    decision = evaluate(act(), rules)
    assert (decision.verdict, decision.reason_code, decision.approvers) == (DEFER, "rules_conflict", ())


def answered(rules, *names):
    return tuple(content for _, content in rules.hashes(names))


# seen to fail: with `item.rule.decision in _ASKING` taken out of `_by_rules`, negated, and the whole of it taken out
def test_an_answer_settles_the_rule_that_asked_and_no_rule_that_forbids():
    asking = policy(f"{OPEN}, decision: STEP_UP, approvers: [ben]", posture="declared_tools")
    assert decided(asking) == (DEFER, "context_missing")
    assert decided(asking, answered=answered(asking, "r0")) == (ALLOW, "posture")
    waiting = policy(f"{OPEN}, decision: DEFER, approvers: [ben]", posture="declared_tools")
    assert decided(waiting, answered=answered(waiting, "r0")) == (ALLOW, "posture")
    forbidding = policy(f"{OPEN}, decision: DENY", posture="declared_tools")
    assert decided(forbidding, answered=answered(forbidding, "r0")) == (DEFER, "context_missing")


# seen to fail: with `verdict in _ASKING` taken out of `_baseline`, `or` for its `and`, and DEFER out of `_ASKING`
def test_a_rule_that_refuses_is_not_answered_by_anybody():
    forbidding = policy("match: {tool: email}, decision: DENY", posture="declared_tools")
    assert decided(forbidding, answered=answered(forbidding, "r0")) == (DENY, "rule")
    for decision in ("STEP_UP", "DEFER"):
        asking = policy(f"match: {{tool: email}}, decision: {decision}, approvers: [ben]")
        assert decided(asking, answered=answered(asking, "r0")) == (ALLOW, "answered")
        assert decided(asking, answered=("another",)) == (Verdict(decision), "rule")


@pytest.mark.parametrize(
    ("authority", "tool", "expected"),
    [
        ("suspended", "crm.read", (DENY, "authority_suspended")),
        ("revoked", "crm.read", (DENY, "authority_revoked")),
        ("supervised", "crm.read", (STEP_UP, "rule")),
        ("supervised", "email.send", (STEP_UP, "rule")),
        ("narrowed", "crm.read", (ALLOW, "posture")),
        ("narrowed", "email.send", (STEP_UP, "rule")),
        ("full", "email.send", (ALLOW, "posture")),
    ],
)
# seen to fail: with `effect is not Effect.READ` taken out, negated, and about WRITE; with SUSPENDED out of `_STOPPED`
def test_a_narrowed_agent_reads_alone_and_a_supervised_one_does_nothing_alone(authority, tool, expected):
    shared = SharedFacts(authority=Authority(authority))
    rules = policy(posture="declared_tools", more=SUPERVISORS)
    assert decided(rules, tool, shared=shared) == expected
    if expected[0] is STEP_UP:
        confirmed = (rules.supervision.hash,)
        assert decided(rules, tool, shared=shared, answered=confirmed) == (ALLOW, "posture")
        nobody = policy(posture="declared_tools")
        assert decided(nobody, tool, shared=shared) == (DENY, "authority_reduced")


SENDS = "match: {effect: send}"
OF_AN_EFFECT = f"{SENDS}, decision: ALLOW, require_witnessed: true, adds_risk: 3"
NOT_DECLARED = "post.send"


# seen to fail: with `profile is None` taken out of each of the four
def test_of_a_tool_that_nobody_declared_no_rule_is_asked():
    rules = policy(
        OF_AN_EFFECT,
        f"{SENDS}, set_context: {{data_classification: RESTRICTED}}",
        f"{SENDS}, authority: supervised",
    )
    assert added_risk(act(NOT_DECLARED), rules) == 0
    assert lowered(act(NOT_DECLARED), rules) is None
    assert labels_by_rule(act(NOT_DECLARED), rules) is None
    assert witnessed_by_rule(act(NOT_DECLARED), rules) is False
    assert added_risk(act(), rules) == 3
    assert lowered(act(), rules) == (Authority.SUPERVISED, "r2")
    assert labels_by_rule(act(), rules) == Labels(level=Level.RESTRICTED)
    assert witnessed_by_rule(act(), rules) is True


# seen to fail: with `min` for the `max` in `lowered`
def test_of_several_rules_that_lower_authority_the_strictest_counts():
    rules = policy(f"{SENDS}, authority: narrowed", f"{SENDS}, authority: revoked", f"{SENDS}, authority: supervised")
    assert lowered(act(), rules) == (Authority.REVOKED, "r1")
    assert lowered(act("crm.read"), rules) is None
    assert lowered(act(), policy(f"{OPEN}, authority: revoked")) is None


# seen to fail: with `label` taken out of `labels_by_rule`: the last rule alone counted
def test_labels_of_several_rules_are_joined():
    rules = policy(
        f"{SENDS}, set_context: {{data_classification: RESTRICTED, categories: [PII]}}",
        f"{SENDS}, set_context: {{data_classification: INTERNAL, categories: [VIP]}}",
    )
    assert labels_by_rule(act(), rules) == Labels(level=Level.RESTRICTED, categories=("PII", "VIP"))


# seen to fail: with `all` for `any`, the test negated, and each of its two outcomes taken out of `witnessed_by_rule`
def test_one_rule_that_asks_for_witnesses_is_enough_also_where_it_cannot_be_told():
    one = "decision: ALLOW, require_witnessed: true"
    rules = policy(f"{SENDS}, {one}", f"match: {{effect: send, destination: {{ends_with: x}}}}, {one}")
    assert witnessed_by_rule(act(parameters={"to": "a@b.example"}), rules) is True
    assert witnessed_by_rule(act("crm.read"), rules) is False
    unsure = policy(f"{OPEN}, {one}")
    assert witnessed_by_rule(act(), unsure) is True
    assert witnessed_by_rule(act(facts={"x": False}), unsure) is False
    assert witnessed_by_rule(act(facts={"x": True}), unsure) is True


# seen to fail: with `rule.limits` taken out of `_could_change`
def test_a_rule_with_limits_that_cannot_be_told_could_refuse():
    limits = "constraints: {rate: {per: agent, above: 2, window: 1h}}, decision: ALLOW"
    assert decided(policy(f"{OPEN}, {limits}", posture="declared_tools")) == (DEFER, "context_missing")
    plain = policy(f"{OPEN}, decision: ALLOW", posture="declared_tools")
    assert decided(plain) == (ALLOW, "posture")


CAPPED = "match: {tool: bank}, decision: MODIFY, modifications: [{parameter: amount, cap: 5}]"


# seen to fail: with the comparison of priorities in `_could_change` false, true and negated
def test_a_rule_that_cannot_be_told_would_conflict_at_the_priority_and_agree_above_it():
    beside = policy(CAPPED, f"{OPEN}, decision: ALLOW")
    assert decided(beside, "bank.pay", {"amount": 5}) == (DEFER, "context_missing")
    above = policy(CAPPED, f"{OPEN}, decision: ALLOW, priority: 1")
    assert decided(above, "bank.pay", {"amount": 5}) == (ALLOW, "within_limits")
    assert decided(above, "bank.pay", {"amount": 6}) == (DEFER, "context_missing")


# seen to fail: with `one.startswith(other + ".")` taken out of `_overlap`
@pytest.mark.parametrize("names", [("memo", "memo.text"), ("memo.text", "memo"), ("memo", "memo")])
def test_two_rules_that_change_a_parameter_and_a_part_of_it_conflict_in_either_order(names):
    rules = policy(
        *(f"match: {{tool: bank}}, decision: MODIFY, modifications: [{{parameter: {name}, set: x}}]" for name in names)
    )
    assert decided(rules, "bank.pay", {"memo": {"text": "y"}}) == (DEFER, "rules_conflict")
    apart = policy(
        *(
            f"match: {{tool: bank}}, decision: MODIFY, modifications: [{{parameter: {name}, set: x}}]"
            for name in ("memo", "memory")
        )
    )
    assert decided(apart, "bank.pay", {"memo": "y", "memory": "z"})[0] is MODIFY


ASKED = "decision: STEP_UP, approvers: [{}], approvals: {}, timeout: {}m, risk: {}"
LATER = "escalate: {{after: {}m, to: [cy]}}"


# seen to fail: with `min` for `max` of the approvals, `max` for `min` of the escalation, and its filter false
def test_rules_that_ask_together_ask_for_the_most_people_and_the_shortest_time():
    rules = policy(
        "match: {tool: email}, " + ASKED.format("ben, eva", 2, 9, "low") + ", " + LATER.format(2),
        "match: {tool: email}, " + ASKED.format("eva, dan", 1, 5, "critical") + ", " + LATER.format(1),
        "match: {tool: email}, " + ASKED.format("ben", 1, 7, "low"),
    )
    found = evaluate(act(), rules)
    assert (found.verdict, found.approvers, found.approvals) == (STEP_UP, ("ben", "eva", "dan"), 2)
    assert (found.timeout_s, found.escalate_s, found.risk, found.backups) == (300, 60, "critical", ("cy",))


# seen to fail: with each part of the question for `people` in `_defer` taken out, `any` for `all`, `or` for `and`;
# with `min` for the `max` of approvals and risk, and `max` for the `min` of the times
def test_people_are_asked_about_what_cannot_be_told_only_where_every_such_rule_asks_people():
    one = f"{OPEN}, " + ASKED.format("ben, eva", 2, 9, "low")
    two = f"{OPEN}, " + ASKED.format("eva", 1, 5, "critical")
    found = evaluate(act(), policy(one, two, posture="declared_tools"))
    assert (found.verdict, found.reason_code, found.approvers) == (DEFER, "context_missing", ("ben", "eva"))
    assert (found.approvals, found.timeout_s, found.risk) == (2, 300, "critical")
    later = f"{OPEN}, decision: DEFER, approvers: [dan]"
    assert evaluate(act(), policy(one, later, posture="declared_tools")).approvers == ("ben", "eva", "dan")
    for other in (f"{OPEN}, decision: DENY", f"{OPEN}, decision: DEFER"):
        found = evaluate(act(), policy(one, other, posture="declared_tools"))
        assert (found.verdict, found.approvers, found.approvals) == (DEFER, (), 1)
