"""The fast decision point answers as the oracle does; and the oracle answers as the pages say, case by case.

`NAVICERT_ORACLE_EXAMPLES` sets how many examples the comparison tries.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from msgspec.structs import replace

from navicert.core.builtin import supervision
from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.core.compile import compile_policy
from navicert.core.digest import rule_digest
from navicert.core.evaluate import evaluate, lowered, shadow
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import LADDER, Authority
from navicert.model.context import Fact, SessionContext
from navicert.model.decision import Classification, Decision, Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.labels import NOTHING, WORST, Labels, Level
from navicert.model.policy import Condition, Edit, Modification, Operator, PolicySet, Posture, Rule, Tally
from navicert.model.signals import Signals
from oracle.oracle import Case, judge_fully
from oracle.strategies import MAIL, NOW, PAY, READ, cases, narrow

EXAMPLES = int(os.environ.get("NAVICERT_ORACLE_EXAMPLES", "2000"))
ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict

# ---------------------------------------------------------------------------------------------------------- comparison


compared = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
patient = pytest.mark.timeout(0 if EXAMPLES > 2_000 else 300)


@patient
@compared
@given(case=cases())
def test_the_fast_decision_point_answers_as_the_oracle_does(case: tuple[EvaluationInput, PolicySet]) -> None:
    given, policy = case
    expected = judge_fully(given, policy)
    event(expected[0])

    decision = evaluate(given, compile_policy(policy))

    assert expected == (decision.verdict, decision.effective), decision.reason
    if decision.verdict is STEP_UP:
        assert asked_of(asking(given, policy)) == asked_of([decision])


@patient
@compared
@given(case=narrow())
def test_one_thing_is_judged_as_the_oracle_judges_it(case: tuple[EvaluationInput, PolicySet]) -> None:
    given, policy = case
    expected = judge_fully(given, policy)
    event(expected[0])

    decision = evaluate(given, compile_policy(policy))

    assert expected == (decision.verdict, decision.effective), decision.reason


@patient
@compared
@given(case=cases())
def test_shadow_rules_are_recorded_as_what_the_oracle_says_with_them_in_force(
    case: tuple[EvaluationInput, PolicySet],
) -> None:
    """Where none of them matches, or may match, nothing is recorded or what is decided anyhow."""
    given, policy = case
    in_force = replace(policy, rules=tuple(replace(rule, shadow=False) for rule in policy.rules))
    tried = case_of(given, replace(policy, rules=tuple(replace(rule, shadow=not rule.shadow) for rule in policy.rules)))
    concerned = tried.profile is not None and any(tried.matches(rule) is not False for rule in tried.rules)
    event(f"concerned: {concerned}")

    recorded = shadow(given, compile_policy(policy))

    assert recorded is not None or not concerned
    assert judge(given, in_force) == (recorded.verdict if recorded else judge(given, policy))


@patient
@compared
@given(case=cases())
def test_authority_is_lowered_by_every_rule_that_matches(case: tuple[EvaluationInput, PolicySet]) -> None:
    """A rule that only lowers restricts; whether an action is refused before the rules is another question."""
    given, policy = case
    without = replace(policy, rules=(), posture=Posture.DECLARED_TOOLS, supervisors=("sue",))
    if judge_fully(given, without)[0] is DENY:
        return
    states = [r.authority for r in case_of(given, policy).rules if r.authority and case_of(given, policy).matches(r)]

    found = lowered(given, compile_policy(policy))

    lowest = max((given.shared.authority, *states), key=LADDER.index)
    event(f"{given.shared.authority} to {lowest}")
    assert max(given.shared.authority, found[0] if found else Authority.FULL, key=LADDER.index) == lowest


def case_of(given: EvaluationInput, policy: PolicySet) -> Case:
    return Case(given, policy)


def asking(given: EvaluationInput, policy: PolicySet) -> list[Rule]:
    """The rules that ask where the answer is STEP_UP: the highest that match, without the answered; or the built-in."""
    case = case_of(given, policy)
    matching = [rule for rule in case.rules if rule.decision and case.matches(rule)]
    top = [rule for rule in matching if rule.priority == max(other.priority for other in matching)]
    left = [rule for rule in top if rule.decision is STEP_UP and rule_digest(rule) not in given.answered]
    return left or [supervision(policy.supervisors)]


def asked_of(rules: Sequence[Rule | Decision]) -> tuple[Any, ...]:
    """What is asked for: of whom, of how many, of whom besides and after how long, until when.

    Approvers and backups are joined, and an approver is no backup; the most approvals and the shortest times count.
    """
    approvers, backups = ({name for rule in rules for name in getattr(rule, who)} for who in ("approvers", "backups"))
    times = [min((t for t in each if t is not None), default=None) for each in zip(*map(_times, rules), strict=True)]
    return approvers, backups - approvers, max(rule.approvals for rule in rules), times


def _times(rule: Rule | Decision) -> tuple[int | None, int]:
    return rule.escalate_s, 900 if rule.timeout_s is None else rule.timeout_s


# ------------------------------------------------------------------------------------------------------------- builders


def fact(name: str, value: Any, *, conflicting: bool = False) -> Fact:
    return Fact(name=name, value=value, source="app", at=NOW, conflicting=conflicting)


def asked(profile: ToolProfile | None = MAIL, name: str = "mail.send", **changes: Any) -> EvaluationInput:
    """An action; `parameters` as Python values, and the fields of its surroundings by name."""
    tool, _, operation = (profile.tool if profile else name).partition(".")
    session: dict[str, Any] = changes.pop("session", {})
    return EvaluationInput(
        action=Action(
            action_id="act-1",
            tool=tool,
            operation=operation,
            parameters=parameter_bytes(changes.pop("parameters", {})),
            digest="0" * 64,
            submitted_at=NOW,
            profile=profile,
        ),
        identity=ActionIdentity(
            human="ann",
            service="desk",
            agent="bot",
            session="s-1",
            scope=changes.pop("scope", ("*",)),
            roles=changes.pop("roles", ()),
        ),
        context=SessionContext(
            session_id="s-1", request="send it", claims=Claims(), salt="salt", started_at=NOW, last_at=NOW, **session
        ),
        now=NOW,
        **changes,
    )


def holding(rules: list[Rule], posture: Posture = Posture.DENY, **changes: Any) -> PolicySet:
    return PolicySet(policy="small", version=1, posture=posture, rules=tuple(rules), **changes)


def when(field: str, operator: str, value: Any, *, negated: bool = False) -> Condition:
    return Condition(field=field, operator=Operator(operator), value=value, negated=negated)


def rule(name: str, decision: Verdict | None, *match: Condition, **changes: Any) -> Rule:
    return Rule(id=name, decision=decision, match=match, **changes)


def change(parameter: str, edit: str, value: Any = None) -> Modification:
    return Modification(parameter=parameter, edit=Edit(edit), value=value)


def judge(given: EvaluationInput, policy: PolicySet) -> Verdict:
    return judge_fully(given, policy)[0]


OPEN = when("context.facts.open", "eq", True)  # undetermined where nobody has observed `open`
FORBIDDEN = {"classification": Classification.FORBIDDEN}

# ----------------------------------------------------------------------------------------------------- before the rules


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (("*",), ALLOW),
        (("mail.*",), ALLOW),
        (("crm.read", "mail.send"), ALLOW),
        (("mail.sen",), DENY),
        (("mai.*",), DENY),
        ((), DENY),
    ],
)
def test_an_action_outside_the_scope_is_denied(scope: tuple[str, ...], expected: Verdict) -> None:
    assert expected == judge(asked(scope=scope), holding([rule("all", ALLOW)]))


def test_a_tool_that_nobody_declares_is_denied_under_every_posture() -> None:
    for posture in Posture:
        assert judge(asked(None), holding([rule("all", ALLOW)], posture)) == DENY


def test_the_profile_of_the_policy_wins() -> None:
    policy = holding([], Posture.DECLARED_READS, tools=(ToolProfile(tool="mail.send", effect=READ.effect),))

    assert judge(asked(MAIL), policy) == ALLOW
    assert judge(asked(None), policy) == ALLOW


@pytest.mark.parametrize("to", ["ev\u200bil", " evil", "\uff45vil", ["good", "ev\u200bil"], {"at": ["\uff45vil"]}])
def test_a_destination_that_names_something_else_in_normal_form_is_denied(to: Any) -> None:
    assert judge(asked(parameters={"to": to}), holding([rule("all", ALLOW)])) == DENY


def test_case_and_composition_do_not_make_a_destination_ambiguous() -> None:
    assert judge(asked(parameters={"to": ["Evil", "cafe\u0301"]}), holding([rule("all", ALLOW)])) == ALLOW


# ----------------------------------------------------------------------------------------------------- how rules decide


def test_step_1_a_forbidden_rule_that_matches_denies_whatever_stands_above() -> None:
    policy = holding([rule("no", DENY, **FORBIDDEN), rule("yes", ALLOW, priority=2)])

    assert judge(asked(), policy) == DENY


def test_step_1_a_forbidden_rule_that_is_undetermined_defers_unless_the_rest_denies() -> None:
    forbidden = rule("no", DENY, OPEN, **FORBIDDEN)

    assert judge(asked(), holding([forbidden, rule("yes", ALLOW, priority=2)])) == DEFER
    assert judge(asked(), holding([forbidden, rule("also", DENY, priority=2)])) == DENY
    assert judge(asked(), holding([forbidden])) == DENY


def test_step_3_the_highest_matching_priority_decides() -> None:
    low, high = rule("low", DENY), rule("high", ALLOW, priority=1)

    assert judge(asked(), holding([low, high])) == ALLOW
    assert judge(asked(), holding([low, rule("aside", ALLOW, when("tool", "eq", "crm"), priority=1)])) == DENY


def test_step_3_rules_of_one_priority_that_disagree_defer() -> None:
    for decision in (DENY, STEP_UP, MODIFY):
        changes = (change("body", "set", "x"),) if decision is MODIFY else ()
        policy = holding([rule("one", ALLOW), rule("two", decision, modifications=changes)])
        assert judge(asked(), policy) == DEFER


def test_step_3_rules_of_one_priority_that_agree_are_merged() -> None:
    one = rule("one", MODIFY, modifications=(change("body", "redact", r"\d{2}"),))
    two = rule("two", MODIFY, modifications=(change("cc", "drop", value=True), change("path", "set", "p")))
    given = asked(parameters={"body": "evil 12", "cc": "bob", "to": "ann"})

    verdict, effective = judge_fully(given, holding([one, two]))

    assert verdict == MODIFY
    assert effective is not None
    assert decode_parameters(effective) == {"body": "evil [redacted]", "path": "p", "to": "ann"}


def test_step_3_two_rules_that_modify_the_same_parameter_defer() -> None:
    one, two = (rule(name, MODIFY, modifications=(change("body", "set", "x"),)) for name in ("one", "two"))

    assert judge_fully(asked(parameters={"body": "y"}), holding([one, two])) == (DEFER, None)


@pytest.mark.parametrize(
    ("posture", "profile", "expected"),
    [
        (Posture.DENY, READ, DENY),
        (Posture.DECLARED_READS, READ, ALLOW),
        (Posture.DECLARED_READS, MAIL, DENY),
        (Posture.DECLARED_TOOLS, MAIL, ALLOW),
    ],
)
def test_step_3_without_a_matching_rule_the_posture_answers(
    posture: Posture, profile: ToolProfile, expected: Verdict
) -> None:
    labels_only = rule("label", None, set_context=Labels(level=Level.RESTRICTED))

    assert expected == judge(asked(profile), holding([labels_only], posture))


def test_step_4_an_undetermined_rule_defers_only_where_it_could_change_the_answer() -> None:
    sure = rule("sure", ALLOW, priority=1)

    assert judge(asked(), holding([sure, rule("below", DENY, OPEN, priority=0)])) == ALLOW
    assert judge(asked(), holding([sure, rule("at", DENY, OPEN, priority=1)])) == DEFER
    assert judge(asked(), holding([sure, rule("above", DENY, OPEN, priority=2)])) == DEFER
    assert judge(asked(), holding([sure, rule("same", ALLOW, OPEN, priority=2)])) == ALLOW
    assert judge(asked(), holding([rule("alone", DENY, OPEN)], Posture.DENY)) == DENY
    assert judge(asked(), holding([rule("alone", ALLOW, OPEN)], Posture.DENY)) == DEFER


def test_step_4_an_undetermined_merge_that_would_change_the_parameters_defers() -> None:
    one = rule("one", MODIFY, modifications=(change("body", "set", "x"),))
    two = rule("two", MODIFY, OPEN, modifications=(change("path", "set", "p"),))

    assert judge_fully(asked(), holding([one, two])) == (DEFER, None)
    assert judge(asked(parameters={"path": "p"}), holding([one, two])) == DEFER  # even where it would change nothing


@pytest.mark.parametrize("decision", [MODIFY, STEP_UP, DEFER])
def test_step_4_an_undetermined_rule_that_brings_more_than_a_verdict_always_defers(decision: Verdict) -> None:
    changes = (change("path", "set", "p"),) if decision is MODIFY else ()
    doubtful = rule("maybe", decision, OPEN, priority=1, modifications=changes)

    for sure in (DENY, STEP_UP, ALLOW):
        assert judge(asked(), holding([rule("sure", sure, priority=1), doubtful])) == DEFER
        assert judge(asked(), holding([rule("sure", sure, priority=2), doubtful])) == sure
    assert judge(asked(), holding([doubtful])) == DEFER
    assert judge(asked(), holding([rule("no", DENY, **FORBIDDEN), doubtful])) == DENY


def test_step_4_a_fact_in_dispute_and_a_missing_signal_are_undetermined() -> None:
    policy = holding([rule("yes", ALLOW, OPEN)])

    assert judge(asked(session={"facts": (fact("open", value=True),)}), policy) == ALLOW
    assert judge(asked(session={"facts": (fact("open", value=False),)}), policy) == DENY
    assert judge(asked(session={"facts": (fact("open", value=True, conflicting=True),)}), policy) == DEFER
    assert judge(asked(), holding([rule("yes", ALLOW, when("signals.injection", "lt", 5))])) == DEFER
    assert judge(asked(), holding([rule("yes", ALLOW, OPEN, when("tool", "eq", "crm"))])) == DENY


def test_step_4_low_confidence_defers_what_is_not_denied() -> None:
    low = asked(signals=Signals(confidence_ppm=599_999))

    assert judge(low, holding([rule("yes", ALLOW)], confidence_ppm=600_000)) == DEFER
    assert judge(low, holding([rule("ask", STEP_UP)], confidence_ppm=600_000)) == DEFER
    assert judge(low, holding([rule("no", DENY)], confidence_ppm=600_000)) == DENY
    assert judge(low, holding([rule("yes", ALLOW)], confidence_ppm=599_999)) == ALLOW
    assert judge(asked(), holding([rule("yes", ALLOW)], confidence_ppm=600_000)) == ALLOW


def test_step_5_a_modification_that_changes_nothing_counts_as_allow() -> None:
    capped = holding([rule("cap", MODIFY, modifications=(change("amount", "cap", 100),))])

    assert judge_fully(asked(PAY, parameters={"amount": 100}), capped) == (ALLOW, None)
    assert judge_fully(asked(PAY, parameters={"amount": 101}), capped) == (MODIFY, b'{"amount":100}')


# ------------------------------------------------------------------------------------------------ waiting and authority


def under(
    state: str, *rules: Rule, profile: ToolProfile = MAIL, answered: Sequence[Rule] = (), **policy: Any
) -> Verdict:
    """What the oracle says where the authority is this, and these rules are answered."""
    held = SharedFacts(authority=Authority(state))
    given = asked(profile, shared=held, answered=tuple(rule_digest(each) for each in answered))
    return judge(given, holding(list(rules), **policy))


def test_rules_that_ask_and_are_all_answered_allow_and_any_other_asks_on() -> None:
    one, two, waits = rule("one", STEP_UP), rule("two", STEP_UP), rule("waits", DEFER)
    low, no = rule("low", STEP_UP, priority=-1), rule("no", DENY, priority=-1)

    assert under("full", one, two, low, no, answered=[one, two]) == ALLOW
    assert under("full", one, two, answered=[one]) == STEP_UP
    assert under("full", waits, answered=[waits]) == ALLOW
    assert under("full", one, waits, answered=[one, waits]) == DEFER
    assert under("full", one, answered=[replace(one, reason="another")]) == STEP_UP
    for decision, verdict in ((DENY, DENY), (ALLOW, ALLOW)):
        plain = rule("plain", decision)
        assert under("full", plain, answered=[plain]) == verdict


def test_a_rule_that_is_undetermined_but_answered_does_not_defer_and_permits_nothing() -> None:
    maybe = rule("maybe", STEP_UP, OPEN, priority=1)

    assert under("full", maybe, rule("yes", ALLOW)) == DEFER
    assert under("full", maybe, rule("yes", ALLOW), answered=[maybe]) == ALLOW
    assert under("full", maybe, rule("no", DENY), answered=[maybe]) == DENY
    assert under("full", maybe, answered=[maybe]) == DENY


@pytest.mark.parametrize(
    ("state", "reads", "sends"),
    [
        ("full", ALLOW, ALLOW),
        ("narrowed", ALLOW, STEP_UP),
        ("supervised", STEP_UP, STEP_UP),
        ("suspended", DENY, DENY),
        ("revoked", DENY, DENY),
    ],
)
def test_reduced_authority_asks_a_supervisor_and_without_one_denies(state: str, reads: Verdict, sends: Verdict) -> None:
    sue: dict[str, Any] = {"supervisors": ("sue",), "posture": Posture.DECLARED_TOOLS}

    for profile, verdict in ((READ, reads), (MAIL, sends)):
        alone = DENY if verdict is STEP_UP else verdict
        met = ALLOW if verdict is STEP_UP else verdict
        assert under(state, rule("yes", ALLOW), profile=profile, supervisors=("sue",)) == verdict
        assert under(state, profile=profile, **sue) == verdict
        assert under(state, rule("yes", ALLOW), profile=profile) == alone
        assert under(state, profile=profile, answered=[supervision(("sue",))], **sue) == met
        assert under(state, profile=profile, answered=[supervision(("bob",))], **sue) == verdict
        assert under(state, profile=profile, answered=[supervision(())], posture=Posture.DECLARED_TOOLS) == alone


def test_a_fact_that_was_found_out_stands_over_that_of_the_context() -> None:
    policy = holding([rule("yes", ALLOW, OPEN)])

    for conflicting in (False, True):
        old = {"facts": (fact("open", value=False, conflicting=conflicting),)}
        assert judge(asked(session=old, facts=(fact("open", value=True),)), policy) == ALLOW
    assert (
        judge(asked(session={"facts": (fact("open", value=True),)}, facts=(fact("open", value=False),)), policy) == DENY
    )


def test_rules_may_ask_for_the_authority_and_a_rule_that_only_lowers_it_decides_nothing() -> None:
    asking_for_it = rule("narrow", DENY, when("identity.authority", "in", ["narrowed", "supervised"]))
    lowering = rule("lower", None, authority=Authority.REVOKED, priority=9)

    assert under("narrowed", asking_for_it, profile=READ, posture=Posture.DECLARED_TOOLS) == DENY
    assert under("full", asking_for_it, profile=READ, posture=Posture.DECLARED_TOOLS) == ALLOW
    assert under("full", lowering, posture=Posture.DECLARED_TOOLS) == ALLOW


# -------------------------------------------------------------------------------------------------------- modifications


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (change("amount", "cap", 100), {}, {"amount": 100}),
        (change("amount", "cap", 100), {"amount": 1e300}, {"amount": 100}),
        (change("amount", "set", "EUR"), {"amount": None}, {"amount": "EUR"}),
        (change("amount", "drop", value=True), {"amount": 1, "to": "ann"}, {"to": "ann"}),
        (change("body", "redact", r"\d{2}"), {"body": "a12b34"}, {"body": "a[redacted]b[redacted]"}),
        (change("body", "redact", "x"), {"body": ["ax", ["x"]]}, {"body": ["a[redacted]", ["[redacted]"]]}),
        (change("amount", "cap", 100), {"amount": None}, {"amount": 100}),
        (change("path", "prefix", "/desk"), {"path": ["x", "/desk/y"]}, {"path": ["/desk/x", "/desk/y"]}),
        (change("path", "prefix", "desk/"), {"path": "/desk/./x"}, {"path": "desk/desk/x"}),
        (change("path", "prefix", "/desk"), {"path": "/etc/passwd"}, {"path": "/desk/etc/passwd"}),
        (change("path", "prefix", "/desk"), {"path": "../../x"}, {"path": "/desk/x"}),
        (change("path", "prefix", "/desk"), {"path": "/desk/../etc"}, {"path": "/desk/etc"}),
        (change("path", "prefix", "/desk"), {"path": "/deskshop/x"}, {"path": "/desk/deskshop/x"}),
    ],
)
def test_a_modification_makes_of_parameters_what_the_page_says(
    edit: Modification, before: dict[str, Any], after: dict[str, Any]
) -> None:
    policy = holding([rule("change", MODIFY, modifications=(edit,))])

    assert judge_fully(asked(PAY, parameters=before), policy) == (MODIFY, parameter_bytes(after))


@pytest.mark.parametrize(
    ("edit", "parameters"),
    [
        (change("amount", "cap", 100), {"amount": "1"}),
        (change("amount", "cap", 100), {"amount": True}),
        (change("amount", "cap", 100), {"amount": [1]}),
        (change("body", "redact", "x"), {"body": 12}),
        (change("path", "prefix", "/desk"), {"path": ["x", None]}),
        (change("body", "redact", "x"), {"body": {"x": "x"}}),
    ],
)
def test_a_modification_that_cannot_be_applied_denies(edit: Modification, parameters: dict[str, Any]) -> None:
    policy = holding([rule("change", MODIFY, modifications=(edit,))])

    assert judge_fully(asked(PAY, parameters=parameters), policy) == (DENY, None)


@pytest.mark.parametrize("path", ["/desk", "/desk/x", None, []])
def test_a_path_under_the_prefix_stays_as_it_is(path: str) -> None:
    policy = holding([rule("change", MODIFY, modifications=(change("path", "prefix", "/desk"),))])

    assert judge_fully(asked(parameters={"path": path}), policy) == (ALLOW, None)


# ----------------------------------------------------------------------------------------------- what a condition means


def matched(condition: Condition, decision: Verdict, given: EvaluationInput) -> bool | None:
    """Tell what the oracle takes a condition to be, by the verdict of a policy with this one rule."""
    posture = Posture.DENY if decision is ALLOW else Posture.DECLARED_TOOLS
    verdict = judge(given, holding([rule("it", decision, condition)], posture))
    return None if verdict is DEFER else verdict is decision


@pytest.mark.parametrize(
    ("condition", "parameters", "restricting", "permitting"),
    [
        # left out: a plain condition is false; a negated one is true where it restricts, false where it permits
        (when("parameters.body", "eq", "x"), {}, False, False),
        (when("parameters.body", "ne", "x"), {}, True, False),
        (when("parameters.body", "not_in", ["x"]), {}, True, False),
        (when("parameters.body", "matches", "x", negated=True), {}, True, False),
        (when("parameters.body", "exists", value=False), {}, True, True),
        # `null` is absent too
        (when("parameters.body", "eq", "x"), {"body": None}, False, False),
        (when("parameters.body", "ne", "x"), {"body": None}, True, False),
        (when("destination", "eq", "a"), {"to": None, "cc": "a"}, True, True),
        (when("parameters.meta.city", "not_in", ["x"]), {"meta": None}, True, False),
        (when("parameters.*", "eq", "x"), {"meta": {"city": None}, "body": "x"}, True, False),
        (when("parameters.*", "eq", "city"), {"meta": {"city": None}}, True, False),
        # a value whose type the operator cannot judge
        (when("parameters.body", "eq", "1"), {"body": 1}, None, None),
        (when("parameters.body", "eq", 1), {"body": True}, None, None),
        (when("parameters.body", "matches", "x", negated=True), {"body": 1}, None, None),
        (when("parameters.meta.city", "eq", "x"), {"meta": {"city": "x"}}, True, True),
        (when("parameters.meta.city", "eq", "x"), {"meta": {}}, False, False),
        # a rule that restricts also sees the normal form
        (when("parameters.body", "eq", "evil"), {"body": "EV\u200bIL"}, True, False),
        (when("parameters.body", "ne", "Evil"), {"body": "Evil"}, False, False),
        (when("parameters.body", "eq", "EV\u200bil"), {"body": "evil"}, True, False),
        (when("parameters.body", "matches", "^Evil$"), {"body": "EVIL"}, False, False),
        (when("parameters.body", "matches", "^evil$"), {"body": "\uff45vil"}, True, False),
        # of a list, one is enough to restrict; to permit, all are needed, and at least one
        (when("destination", "ends_with", "@x"), {"to": ["a@x", "b@y"]}, True, False),
        (when("destination", "ends_with", "@x"), {"to": "a@x", "cc": ["b@x"]}, True, True),
        (when("destination", "ends_with", "@x", negated=True), {"to": ["a@x", "b@y"]}, True, False),
        (when("destination", "eq", "a"), {"to": []}, False, False),
        (when("destination", "exists", value=True), {"to": []}, False, False),
        (when("parameters.to", "exists", value=True), {"to": []}, True, True),
        (when("parameters.to", "eq", "a", negated=True), {"to": []}, True, False),
        (when("destination", "eq", "a"), {"to": [{"x": ["a"]}]}, True, True),
        # `contains` asks a text for a part; lists in parameters and roles are judged value by value
        (when("parameters.body", "contains", "b"), {"body": ["a", "xb"]}, True, False),
        (when("parameters.body", "contains", "b"), {"body": ["xb", "b"]}, True, True),
        (when("parameters.body", "contains", "b"), {"body": ["a", "xB"]}, True, False),
        (when("parameters.body", "contains", "b", negated=True), {"body": ["a", "xB"]}, True, True),
        (when("parameters.body", "contains", "b", negated=True), {"body": ["b", "xb"]}, False, False),
        (when("parameters.body", "contains", "b", negated=True), {"body": ["a", "xb"]}, True, False),
        (when("parameters.body", "contains", "b", negated=True), {"body": []}, True, False),
        (when("parameters.body", "contains", "b"), {"body": ["b", 1]}, True, None),
        (when("destination", "contains", "b"), {"to": ["xb"], "cc": "b"}, True, True),
        (when("destination", "contains", "b", negated=True), {"to": ["a"], "cc": "b"}, True, False),
        (when("parameters.body", "contains", "1"), {"body": 1}, None, None),
        # a way through what is not an object
        (when("parameters.meta.city", "exists", value=False), {"meta": "x"}, None, None),
        (when("parameters.body", "contains", "b"), {"body": "abc"}, True, True),
        # `*` is every value and key at any depth
        (when("parameters.*", "eq", "city"), {"meta": {"city": "x"}}, True, False),
        (when("parameters.*", "eq", "x"), {"meta": [{"city": "x"}]}, True, False),
        (when("parameters.*", "eq", "q"), {"meta": [{"city": 1}]}, False, False),
        (when("parameters.*", "eq", "1"), {"meta": [{"city": 1}]}, True, False),
        (when("parameters.*", "eq", "true"), {"meta": [True]}, True, False),
        (when("parameters.*", "gt", 5), {"meta": ["x", 6, 7]}, True, True),
        # numbers are exact
        (when("parameters.body", "gt", 9_007_199_254_740_992), {"body": 9_007_199_254_740_993}, True, True),
        (when("parameters.body", "eq", 1), {"body": 1.0}, True, True),
        (when("parameters.body", "in", [1, 2]), {"body": 2}, True, True),
        # a trailing star is a prefix
        (when("tool", "starts_with", "ma"), {}, True, True),
        # a rule that restricts compares the tool and the operation in normal form too
        (when("tool", "eq", "Mail"), {}, True, False),
        (when("tool", "starts_with", "MA"), {}, True, False),
        (when("operation", "in", ["SEND"]), {}, True, False),
    ],
)
def test_a_condition_is_true_false_or_undetermined(
    condition: Condition, parameters: dict[str, Any], restricting: bool | None, permitting: bool | None
) -> None:
    given = asked(parameters=parameters)

    assert restricting == matched(condition, DENY, given)
    assert permitting == matched(condition, ALLOW, given)


@pytest.mark.parametrize(
    ("condition", "labels", "restricting", "permitting"),
    [
        (when("context.level", "ge", "CONFIDENTIAL"), WORST, True, True),
        (when("context.level", "lt", "INTERNAL"), NOTHING, True, True),
        (when("context.level", "in", ["PUBLIC", "RESTRICTED"]), Labels(level=Level.INTERNAL), False, False),
        (when("context.categories", "contains", "PII"), Labels(categories=("PII", "mail")), True, True),
        (when("context.categories", "contains", "PII"), Labels(categories=("PII",)), True, True),
        (when("context.categories", "contains", "PII"), Labels(categories=("mail",)), False, False),
        (when("context.categories", "contains", "PII", negated=True), NOTHING, True, True),
        (when("context.categories", "eq", "PII", negated=True), NOTHING, True, False),
        # names are compared whole; in normal form where that is stricter
        (when("context.categories", "contains", "PI"), Labels(categories=("PII",)), False, False),
        (when("context.categories", "contains", "PI", negated=True), Labels(categories=("PII",)), True, True),
        (when("context.categories", "contains", "PII"), Labels(categories=("pii",)), True, False),
        (when("context.categories", "contains", "PII", negated=True), Labels(categories=("pii",)), True, False),
        (when("context.categories", "contains", "PII", negated=True), Labels(categories=("PII",)), False, False),
        (when("context.categories", "eq", "pii"), Labels(categories=("\uff30II",)), True, False),
        (when("context.categories", "eq", "PII", negated=True), Labels(categories=("pii",)), True, False),
        (when("context.categories", "ne", "PII"), Labels(categories=("pii",)), True, False),
        (when("context.categories", "ne", "PII"), Labels(categories=("PII", "mail")), True, False),
        (when("context.categories", "in", ["PII", "x"]), Labels(categories=("pii",)), True, False),
        (when("context.categories", "not_in", ["PII", "x"]), Labels(categories=("pii",)), True, False),
        (when("context.categories", "not_in", ["PI", "x"]), Labels(categories=("pii",)), True, True),
        (when("context.categories", "contains", "PII"), WORST, True, False),
        (when("context.categories", "contains", "PII", negated=True), WORST, True, False),
        (when("context.categories", "ne", "PII"), WORST, True, False),
        (when("context.level", "ne", "RESTRICTED"), WORST, False, False),
    ],
)
def test_labels_compare_by_rank_and_the_top_has_every_category(
    condition: Condition, labels: Labels, restricting: bool, permitting: bool
) -> None:
    stored = Condition(
        field=condition.field.replace("context.", "stored."),
        operator=condition.operator,
        value=condition.value,
        negated=condition.negated,
    )
    for each, case in ((condition, asked(labels=labels)), (stored, asked(shared=SharedFacts(stored=labels)))):
        assert restricting == matched(each, DENY, case)
        assert permitting == matched(each, ALLOW, case)


@pytest.mark.parametrize(
    ("condition", "session"),
    [
        (when("context.said", "eq", "one\ntwo"), {"said": ("one", "two")}),
        (when("context.actions_last_minute", "eq", 2), {"pace": (NOW - 60_000_001, NOW - 60_000_000, NOW)}),
        (when("context.denied", "eq", 3), {"verdicts": {"DENY": 3}}),
        (when("context.denied", "eq", 0), {}),
        (when("context.attempts.mail.send", "eq", 2), {"counts": {"mail.send": 2}}),
        (when("context.attempts.pay.transfer", "eq", 0), {"counts": {"mail.send": 2}}),
        (when("context.entities", "contains", "bob"), {"entities": ("bob",)}),
        (when("context.elapsed_s", "eq", 0), {}),
    ],
)
def test_what_the_session_has_seen_can_be_asked(condition: Condition, session: dict[str, Any]) -> None:
    assert matched(condition, DENY, asked(session=session)) is True
    assert matched(condition, ALLOW, asked(session=session)) is True


def test_a_negative_amount_is_undetermined_and_lists_of_facts_have_several_values() -> None:
    cheap = when("amount", "le", 100)
    several = {"facts": (fact("who", value=["a", "b"]),)}

    for decision, expected in ((DENY, True), (ALLOW, False)):
        assert matched(cheap, decision, asked(PAY, parameters={"amount": -1})) is None
        assert matched(cheap, decision, asked(PAY, parameters={"amount": 1})) is True
        assert matched(when("context.facts.who", "eq", "a"), decision, asked(session=several)) is expected


@pytest.mark.parametrize(
    ("profile", "condition", "restricting", "permitting"),
    [
        (PAY, when("category", "contains", "on"), True, False),
        (PAY, when("category", "contains", "money"), True, False),
        (PAY, when("category", "contains", "Money"), True, True),
        (PAY, when("category", "contains", "on", negated=True), True, False),
        (PAY, when("category", "contains", "Money", negated=True), False, False),
        (PAY, when("category", "contains", "PII", negated=True), True, True),
        (PAY, when("category", "exists", value=True), True, True),
        (READ, when("category", "exists", value=True), False, False),
        (READ, when("category", "exists", value=False), True, True),
        (READ, when("category", "exists", value=True, negated=True), True, True),
        (READ, when("category", "contains", "PII"), False, False),
        (READ, when("category", "contains", "PII", negated=True), True, False),
    ],
)
def test_a_tool_is_asked_for_its_categories_as_a_list_and_may_have_none(
    profile: ToolProfile, condition: Condition, *, restricting: bool, permitting: bool
) -> None:
    assert matched(condition, DENY, asked(profile)) is restricting
    assert matched(condition, ALLOW, asked(profile)) is permitting


@pytest.mark.parametrize("to", [None, [], [None], {"x": [None]}])
def test_a_null_in_a_role_is_nothing_and_a_role_of_nulls_is_absent(to: Any) -> None:
    for decision in (DENY, ALLOW):
        assert matched(when("destination", "exists", value=False), decision, asked(parameters={"to": to})) is True
        assert matched(when("destination", "eq", "a"), decision, asked(parameters={"to": to, "cc": "a"})) is True
        assert matched(when("destination", "ne", "a"), decision, asked(parameters={"to": to})) is (decision is DENY)
        assert matched(when("parameters.to", "eq", "a"), decision, asked(parameters={"to": [None]})) is None


@pytest.mark.parametrize(
    ("amount", "restricting", "permitting"),
    [
        (-1, None, None),
        ("9", None, None),
        (["9"], None, None),
        ([-1, 9], True, None),
        ([-1, 1], None, False),
        ([None, 9], True, True),
        ([True, {"x": 9}], True, None),
    ],
)
def test_an_amount_that_is_none_is_undetermined_and_exists(
    amount: Any, restricting: bool | None, permitting: bool | None
) -> None:
    given = asked(PAY, parameters={"amount": amount})

    for decision, expected in ((DENY, restricting), (ALLOW, permitting)):
        assert matched(when("amount", "gt", 5), decision, given) is expected
        assert matched(when("amount", "exists", value=True), decision, given) is True


@pytest.mark.parametrize(
    ("entities", "negated", "restricting", "permitting"),
    [
        (("a", "b"), False, True, True),
        (("a", "xB"), False, True, False),
        (("a", "xB"), True, True, False),
        (("a", "b"), True, False, False),
        (("a",), True, True, True),
        ((), True, True, False),
    ],
)
def test_a_list_of_what_is_known_is_asked_for_an_element(
    entities: tuple[str, ...], *, negated: bool, restricting: bool, permitting: bool
) -> None:
    known = (fact("who", value=list(entities)),)
    given = asked(
        roles=entities, session={"entities": entities, "facts": known}, signals=Signals(values={"who": list(entities)})
    )

    for field in ("identity.roles", "context.entities", "context.facts.who", "signals.who"):
        asking = when(field, "contains", "b", negated=negated)
        assert matched(asking, DENY, given) is restricting
        assert matched(asking, ALLOW, given) is permitting


def test_a_rule_that_only_labels_never_decides_and_one_that_allows_and_labels_permits() -> None:
    labelled = {"set_context": Labels(level=Level.RESTRICTED)}
    evil = when("parameters.body", "eq", "evil")

    assert judge(asked(), holding([rule("label", None, **labelled, priority=9), rule("yes", ALLOW)])) == ALLOW
    assert judge(asked(parameters={"body": "EVIL"}), holding([rule("both", ALLOW, evil, **labelled)])) == DENY


@pytest.mark.parametrize(
    ("tally", "parameters", "prior", "expected"),
    [
        (Tally(kind="rate", per="agent", above=2, window_s=60), {}, {"rate|agent|60": 1}, False),
        (Tally(kind="rate", per="agent", above=2, window_s=60), {}, {"rate|agent|60": 2}, True),
        (Tally(kind="rate", per="agent", above=2, window_s=60), {}, {"rate|human|60": 2}, None),
        (
            Tally(kind="total", per="human", above=300_000, window_s=60),
            {"amount": 0.1},
            {"total|human|60": 200_000},
            False,
        ),
        (
            Tally(kind="total", per="human", above=300_000, window_s=60),
            {"fee": 0.1000001},
            {"total|human|60": 200_000},
            True,
        ),
        (Tally(kind="total", per="human", above=1, window_s=60), {"amount": 1, "fee": 1}, {"total|human|60": 0}, True),
        (Tally(kind="total", per="human", above=1, window_s=60), {"amount": "1"}, {"total|human|60": 9}, None),
        (Tally(kind="total", per="human", above=1, window_s=60), {"amount": -1}, {"total|human|60": 9}, None),
        (Tally(kind="total", per="human", above=1, window_s=60), {}, {"total|human|60": 9}, None),
    ],
)
def test_a_tally_counts_this_action_too(
    tally: Tally, parameters: dict[str, Any], prior: dict[str, int], expected: bool | None
) -> None:
    given = asked(PAY, parameters=parameters, shared=SharedFacts(tallies=prior))
    verdict = judge(given, holding([rule("limit", DENY, tallies=(tally,))], Posture.DECLARED_TOOLS))

    assert expected == {DENY: True, ALLOW: False, DEFER: None}[verdict]
