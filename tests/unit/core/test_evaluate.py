"""The decision point, sentence by sentence of docs/reference/policy-language.md, from files as authors write them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.evaluate import evaluate, labels_by_rule
from navicert.core.scope import in_scope, narrows
from navicert.model.action import Action
from navicert.model.context import Fact, SessionContext
from navicert.model.decision import Classification, Decision, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.labels import WORST, Labels, Level
from navicert.model.policy import PolicySet, Rule
from navicert.model.signals import Signals
from navicert.syntax import read_policy
from oracle.strategies import inputs, policies

ALLOW, DENY, MODIFY, STEP_UP, DEFER = Verdict
NOW = 1_000_000_000_000
TOOLS = """\
tools:
  email.send: {effect: send, destination: [to, cc], content: body, returns: INTERNAL}
  bank.pay: {effect: pay, destination: account, amount: amount}
  crm.read: {effect: read, resource: name}
"""


def policy(*rules: str, posture: str = "deny", more: str = "") -> CompiledPolicy:
    """A policy with rules in flow style; each gets an id `r0`, `r1` … by its place."""
    lines = [f"  - {{id: r{number}, {rule}}}\n" for number, rule in enumerate(rules)]
    listed = "rules:\n" + "".join(lines) if lines else ""
    return compile_policy(read_policy(f"policy: p\nversion: 1\nposture: {posture}\n{more}{TOOLS}{listed}")[0])


def act(name: str = "email.send", parameters: dict[str, Any] | None = None, **changes: Any) -> EvaluationInput:
    """One action; `facts` and the context's own fields by `session`, everything else by its name."""
    tool, _, operation = name.partition(".")
    facts = tuple(
        Fact(name=key, value=value, source="app", at=NOW, conflicting=value == "?")
        for key, value in changes.pop("facts", {}).items()
    )
    identity = ActionIdentity(
        human="ana",
        service="desk",
        agent="bot",
        session="s",
        scope=changes.pop("scope", ("*",)),
        roles=changes.pop("roles", ()),
    )
    context = SessionContext(
        session_id="s", request="send it", claims=Claims(), salt="", started_at=NOW, last_at=NOW, facts=facts,
        **changes.pop("session", {}),
    )  # fmt: skip
    return EvaluationInput(
        action=Action(
            action_id="a",
            tool=tool,
            operation=operation,
            parameters=parameter_bytes(parameters or {}),
            digest="0" * 64,
            submitted_at=NOW,
        ),
        identity=identity,
        context=context,
        now=NOW,
        **changes,
    )


def verdict(rules: CompiledPolicy, *args: Any, **changes: Any) -> Verdict:
    return evaluate(act(*args, **changes), rules).verdict


def restricting(condition: str, posture: str = "declared_tools") -> CompiledPolicy:
    """DENY where the condition holds, and ALLOW by posture where it does not."""
    return policy(f"match: {{{condition}}}, decision: DENY", posture=posture)


def permitting(condition: str) -> CompiledPolicy:
    """ALLOW where the condition holds, and DENY by posture where it does not."""
    return policy(f"match: {{{condition}}}, decision: ALLOW")


# ------------------------------------------------------------------------------------- what a condition means exactly


@pytest.mark.parametrize(
    ("condition", "parameters", "restricted"),
    [
        ("{contains: secret}", {"n": 1, "flag": True}, False),
        ("{contains: secret}", {"n": 1, "deep": [{"a": "a secret"}]}, True),
        ("{contains: secret}", {"the secret key": 1}, True),
        (r"{matches: '\b\d{6}\b'}", {"code": 123456}, True),
        ("{gt: 100}", {"text": "x", "n": 5}, False),
        ("{gt: 100}", {"text": "x", "deep": {"n": 500}}, True),
        ("{gt: 100}", {"text": "x"}, False),
        ("true", {"n": 1, "flag": True}, True),
    ],
)
def test_any_parameter_is_judged_by_the_values_that_the_operator_can_judge(
    condition: str, parameters: dict[str, Any], *, restricted: bool
) -> None:
    # seen to fail: with numbers undetermined for a text, every call with a number was deferred
    rules = restricting(f"parameters: {{'*': {condition}}}")
    assert verdict(rules, "crm.read", parameters) is (DENY if restricted else ALLOW)


@pytest.mark.parametrize(
    "condition",
    [
        "context: {facts: {x: true}}",
        "context: {facts: {x: {ne: 1}}}",
        "signals: {x: {gt: 1}}",
        "signals: {x: {not: {eq: 1}}}",
    ],
)
def test_a_field_that_nothing_has_populated_is_undetermined(condition: str) -> None:
    for rules in (restricting(condition), permitting(condition)):
        decision = evaluate(act(), rules)
        assert (decision.verdict, decision.reason_code) == (DEFER, "context_missing")
        assert decision.undetermined == (("context.facts.x",) if "facts" in condition else ("signals.x",))


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("parameters: {n: {gt: 5}}", "6"),
        ("parameters: {n: {eq: 5}}", "5"),
        ("parameters: {n: {eq: '5'}}", 5),
        ("parameters: {n: {eq: true}}", 1),
        ("parameters: {n: {eq: 1}}", True),
        ("parameters: {n: {matches: '5'}}", 5),
        ("parameters: {n: {starts_with: '5'}}", 5),
        ("parameters: {n: {lt: abc}}", 1),
        ("parameters: {n.m: 1}", "text"),
        ("parameters: {n: {contains: a}}", 5),
        ("parameters: {n: {in: [a, b]}}", 5),
    ],
)
def test_a_value_whose_type_the_operator_cannot_judge_is_undetermined(condition: str, value: Any) -> None:
    for rules in (restricting(condition), permitting(condition)):
        assert verdict(rules, parameters={"n": value}) is DEFER


@pytest.mark.parametrize("absent", [{}, {"n": None}, {"n": []}])
@pytest.mark.parametrize(
    ("condition", "negated"),
    [
        ("eq: x", False),
        ("gt: 5", False),
        ("in: [x]", False),
        ("contains: x", False),
        ("matches: x", False),
        ("not: {eq: x}", True),
        ("ne: x", True),
        ("not_in: [x]", True),
        ("not: {matches: x}", True),
        ("not: {contains: x}", True),
        ("not: {starts_with: x}", True),
    ],
)
def test_a_condition_on_a_parameter_that_is_left_out(condition: str, negated: bool, absent: dict[str, Any]) -> None:
    # plain: false. Negated: true in a rule that restricts, false in a rule that permits
    field = f"parameters: {{n: {{{condition}}}}}"

    assert verdict(restricting(field), parameters=absent) is (DENY if negated else ALLOW)
    assert verdict(permitting(field), parameters=absent) is DENY


def test_exists_tells_whether_a_parameter_is_there() -> None:
    for given_, there in (({"n": 1}, True), ({}, False), ({"n": None}, False), ({"n": ""}, True), ({"n": False}, True)):
        for wanted in (True, False):
            field = f"parameters: {{n: {{exists: {str(wanted).lower()}}}}}"
            assert verdict(permitting(field), parameters=given_) is (ALLOW if there is wanted else DENY)
            assert verdict(restricting(field), parameters=given_) is (DENY if there is wanted else ALLOW)


DISGUISES = ["secret", "SECRET", "ｓｅｃｒｅｔ", "se\u200bcret", "\u202esecret\u202c", "s\u00adecret", "𝓼𝓮𝓬𝓻𝓮𝓽"]


@pytest.mark.parametrize("text", DISGUISES)
@pytest.mark.parametrize(
    "condition",
    ["eq: secret", "in: [secret, x]", "contains: ecre", "matches: 's.cret'", "starts_with: secr", "ends_with: cret"],
)
def test_a_rule_that_restricts_sees_a_text_as_it_stands_and_in_normal_form(condition: str, text: str) -> None:
    field = f"parameters: {{body: {{{condition}}}}}"

    assert verdict(restricting(field), parameters={"body": text}) is DENY
    assert verdict(restricting(field), parameters={"body": "harmless"}) is ALLOW


@pytest.mark.parametrize("text", DISGUISES)
def test_a_rule_that_permits_sees_a_text_only_as_it_stands(text: str) -> None:
    for condition in ("eq: secret", "in: [secret]", "matches: '^secret$'", "starts_with: secret"):
        field = f"parameters: {{body: {{{condition}}}}}"
        assert verdict(permitting(field), parameters={"body": text}) is (ALLOW if text == "secret" else DENY)


def test_a_rule_that_restricts_under_not_is_satisfied_by_either_form() -> None:
    # `allowed@x` in capitals is not what the list names, as it stands: that is enough to restrict
    field = "parameters: {body: {not: {eq: fine}}}"

    assert verdict(restricting(field), parameters={"body": "fine"}) is ALLOW
    assert verdict(restricting(field), parameters={"body": "FINE"}) is DENY
    assert verdict(restricting(field), parameters={"body": "ｆｉｎｅ"}) is DENY


def test_the_rules_own_value_is_compared_in_normal_form_too() -> None:
    assert verdict(restricting("parameters: {body: {contains: SECRET}}"), parameters={"body": "a secret"}) is DENY
    assert verdict(permitting("parameters: {body: {contains: SECRET}}"), parameters={"body": "a secret"}) is DENY


def test_one_of_several_values_is_enough_to_restrict_and_all_are_needed_to_permit() -> None:
    out, inside = "destination: {not: {ends_with: '@a.example'}}", "destination: {ends_with: '@a.example'}"
    mixed, good, bad = (
        {"to": ["x@a.example", "y@b.example"]},
        {"to": ["x@a.example", "z@a.example"]},
        {"to": ["y@b.example"]},
    )

    assert [verdict(restricting(out), parameters=item) for item in (mixed, good, bad)] == [DENY, ALLOW, DENY]
    assert [verdict(permitting(inside), parameters=item) for item in (mixed, good, bad)] == [DENY, ALLOW, DENY]


def test_a_role_joins_all_its_parameters_at_any_depth() -> None:
    rules = permitting("destination: {ends_with: '@a.example'}")

    assert verdict(rules, parameters={"to": "x@a.example", "cc": {"a": [["y@a.example"]]}}) is ALLOW
    assert verdict(rules, parameters={"to": "x@a.example", "cc": {"a": [["y@b.example"]]}}) is DENY


def test_a_permitting_rule_needs_at_least_one_value() -> None:
    rules = permitting("destination: {ends_with: '@a.example'}")

    for parameters in ({}, {"to": []}, {"to": None}, {"to": {}}):
        assert verdict(rules, parameters=parameters) is DENY


def test_unclassified_data_satisfies_every_restriction_on_categories_and_no_permission() -> None:
    for condition in ("contains: PII", "not: {contains: PII}", "ne: PII"):
        field = f"context: {{categories: {{{condition}}}}}"
        assert verdict(restricting(field), labels=WORST) is DENY
        assert verdict(permitting(field), labels=WORST) is DENY


def test_levels_are_compared_by_rank() -> None:
    rules = restricting("context: {level: {ge: CONFIDENTIAL}}")
    answers = [verdict(rules, labels=Labels(level=level)) for level in Level]

    assert answers == [ALLOW, ALLOW, DENY, DENY]


@pytest.mark.parametrize("amount", ["5", -1, True, None, [5, "x"]])
def test_an_amount_that_is_not_a_number_or_is_negative_leaves_a_total_undetermined(amount: Any) -> None:
    from navicert.model.evaluation import SharedFacts

    rules = policy(
        "match: {tool: bank, total: {per: human, above: 10, window: 1h}}, decision: DENY", posture="declared_tools"
    )
    shared = SharedFacts(tallies={"total|human|3600": 0})

    assert verdict(rules, "bank.pay", {"amount": amount}, shared=shared) is DEFER
    assert verdict(rules, "bank.pay", {"amount": 10}, shared=shared) is ALLOW
    assert verdict(rules, "bank.pay", {"amount": 10.5}, shared=shared) is DENY


@pytest.mark.parametrize(
    "to", ["eve\u200b@a.example", "ｅve@a.example", " eve@a.example", "\u202eeve@a.example", "eve@a.example\t"]
)
def test_a_destination_whose_normal_form_names_something_else_is_refused_whatever_the_rules_say(to: str) -> None:
    for rules in (
        policy("decision: ALLOW"),
        policy("decision: STEP_UP, approvers: [kim]"),
        policy(posture="declared_tools"),
    ):
        assert evaluate(act(parameters={"to": ["ok@a.example", to]}), rules).reason_code == "destination_ambiguous"
        assert (
            evaluate(act(parameters={"to": ["ok@a.example", "JOSÉ@a.example"]}), rules).reason_code
            != "destination_ambiguous"
        )


# --------------------------------------------------------------------------------------------------- how rules decide


def test_a_forbidden_rule_that_matches_denies_above_every_priority() -> None:
    rules = policy("decision: DENY, classification: forbidden, priority: -5", "decision: ALLOW, priority: 1000000000")
    decision = evaluate(act(), rules)

    assert (decision.verdict, decision.classification, decision.rules) == (DENY, Classification.FORBIDDEN, ("r0",))


OPEN = "match: {context: {facts: {x: true}}}"


@pytest.mark.parametrize(
    ("other", "expected", "code"),
    [
        ("decision: ALLOW, priority: 9", DEFER, "forbidden_undetermined"),
        ("decision: STEP_UP, approvers: [kim]", DEFER, "forbidden_undetermined"),
        ("decision: MODIFY, modifications: [{parameter: a, set: 1}]", DEFER, "forbidden_undetermined"),
        ("decision: DENY", DENY, "rule"),
    ],
)
def test_a_forbidden_rule_that_is_undetermined_defers_unless_the_rest_denies(
    other: str, expected: Verdict, code: str
) -> None:
    decision = evaluate(act(), policy(f"{OPEN}, decision: DENY, classification: forbidden", other))

    assert (decision.verdict, decision.reason_code) == (expected, code)


def test_the_highest_priority_decides_and_a_lower_one_is_not_heard() -> None:
    assert verdict(policy("decision: ALLOW, priority: 1", "decision: DENY")) is ALLOW
    assert verdict(policy("decision: DENY, priority: 1", "decision: ALLOW")) is DENY
    assert verdict(policy("decision: ALLOW, priority: 1, match: {tool: crm}", "decision: DENY")) is DENY


@pytest.mark.parametrize("one", ["ALLOW", "DENY", "STEP_UP, approvers: [kim]", "DEFER"])
@pytest.mark.parametrize("other", ["ALLOW", "DENY", "STEP_UP, approvers: [kim]", "DEFER"])
def test_rules_of_one_priority_that_disagree_conflict(one: str, other: str) -> None:
    decision = evaluate(act(), policy(f"decision: {one}", f"decision: {other}"))

    if one == other:
        assert decision.verdict.value == one.split(",", maxsplit=1)[0]
    else:
        assert (decision.verdict, decision.reason_code, decision.rules) == (DEFER, "rules_conflict", ("r0", "r1"))


def test_rules_that_agree_are_merged() -> None:
    decision = evaluate(
        act(),
        policy(
            "decision: STEP_UP, approvers: [kim, lee], timeout: 1h, risk: low",
            "decision: STEP_UP, approvers: [lee, max], timeout: 10m, risk: critical, reason: because",
        ),
    )

    assert (decision.approvers, decision.timeout_s, decision.risk) == (("kim", "lee", "max"), 600, "critical")
    assert (decision.rules, decision.reason) == (("r0", "r1"), "because")


def test_modifications_of_rules_that_agree_are_made_in_file_order_on_different_parameters() -> None:
    both = "decision: MODIFY, modifications: [{{parameter: {0}, set: {1}}}]"
    decision = evaluate(act(parameters={"a": 0, "b": 0}), policy(both.format("a", 1), both.format("b", 2)))
    assert decision.effective == b'{"a":1,"b":2}'

    for clash in ("a", "a.b"):
        decision = evaluate(act(parameters={"a": 0}), policy(both.format("a", 1), both.format(clash, 2)))
        assert (decision.verdict, decision.reason_code) == (DEFER, "rules_conflict")


@pytest.mark.parametrize(
    ("posture", "passing"),
    [("deny", set()), ("declared_reads", {"crm.read"}), ("declared_tools", {"crm.read", "email.send", "bank.pay"})],
)
def test_the_posture_decides_where_no_rule_matches(posture: str, passing: set[str]) -> None:
    rules = policy("match: {tool: other}, decision: DENY", posture=posture)
    answers = {name for name in ("crm.read", "email.send", "bank.pay") if verdict(rules, name) is ALLOW}

    assert answers == passing
    assert evaluate(act("x.y"), rules).reason_code == "unknown_tool"


@pytest.mark.parametrize(
    ("base", "undetermined", "expected"),
    [
        # an undetermined rule of the deciding priority or above that could change the answer
        ("decision: ALLOW", "decision: DENY, priority: 1", DEFER),
        ("decision: ALLOW", "decision: DENY", DEFER),
        ("decision: ALLOW", "decision: STEP_UP, approvers: [kim], priority: 1", DEFER),
        ("decision: DENY", "decision: ALLOW, priority: 1", DEFER),
        ("decision: STEP_UP, approvers: [kim]", "decision: STEP_UP, approvers: [lee]", DEFER),
        ("decision: ALLOW", "decision: MODIFY, priority: 1, modifications: [{parameter: a, set: 1}]", DEFER),
        # one that could not, or that stands lower
        ("decision: DENY", "decision: DENY, priority: 1", DENY),
        ("decision: ALLOW", "decision: ALLOW", ALLOW),
        ("decision: ALLOW, priority: 2", "decision: DENY, priority: 1", ALLOW),
        ("decision: DENY, priority: 2", "decision: ALLOW, priority: 1", DENY),
    ],
)
def test_an_undetermined_rule_defers_only_where_it_could_change_the_answer(
    base: str, undetermined: str, expected: Verdict
) -> None:
    assert verdict(policy(base, f"{OPEN}, {undetermined}")) is expected
    assert verdict(policy(f"{OPEN}, {undetermined}", base)) is expected


def test_a_conflicting_fact_is_undetermined_and_a_known_one_is_not() -> None:
    rules = policy(f"{OPEN}, decision: ALLOW")

    assert [verdict(rules, facts={"x": value}) for value in ("?", True, False)] == [DEFER, ALLOW, DENY]


@pytest.mark.parametrize(("ppm", "expected"), [(599_999, DEFER), (600_000, ALLOW), (None, ALLOW)])
def test_confidence_under_the_threshold_defers(ppm: int | None, expected: Verdict) -> None:
    rules = policy("decision: ALLOW", more="confidence: 0.6\n")

    assert verdict(rules, signals=Signals(confidence_ppm=ppm)) is expected
    assert verdict(policy("decision: DENY", more="confidence: 0.6\n"), signals=Signals(confidence_ppm=0)) is DENY


def test_a_modification_that_changes_nothing_counts_as_allow() -> None:
    rules = policy("decision: MODIFY, modifications: [{parameter: limit, cap: 10}]")

    assert verdict(rules, parameters={"limit": 10}) is ALLOW
    assert verdict(rules, parameters={"limit": 9.5}) is ALLOW
    decision = evaluate(act(parameters={"limit": 11}), rules)
    assert (decision.verdict, decision.effective) == (MODIFY, b'{"limit":10}')


def test_a_modification_that_cannot_be_applied_is_deny() -> None:
    decision = evaluate(
        act(parameters={"limit": "all"}), policy("decision: MODIFY, modifications: [{parameter: limit, cap: 10}]")
    )

    assert (decision.verdict, decision.reason_code) == (DENY, "modification_failed")
    assert "10" not in decision.reason


# -------------------------------------------------------------------------------------------------- scope and labelling


@pytest.mark.parametrize(
    ("scope", "name", "expected"),
    [
        (("*",), "a.b", True),
        (("a.*",), "a.b", True),
        (("a.*",), "a.b.c", True),
        (("a.*",), "ab.c", False),
        (("a.*",), "a", False),
        (("a.b",), "a.b", True),
        (("a.b",), "a.bc", False),
        (("a*",), "a.b", False),
        ((), "a.b", False),
        (("x.y", "a.b"), "a.b", True),
    ],
)
def test_a_name_is_in_scope(scope: tuple[str, ...], name: str, expected: bool) -> None:
    assert in_scope(name, scope) is expected


names = st.sampled_from(["*", "a.*", "a.b", "a.b.*", "a.b.c", "ab.*", "ab.c", "b.*", "a*", ""])


@settings(max_examples=200, deadline=None)
@given(st.lists(names, max_size=3), st.lists(names, max_size=3))
def test_what_narrows_never_reaches_a_tool_that_the_wider_does_not(inner: list[str], outer: list[str]) -> None:
    if narrows(tuple(inner), tuple(outer)):
        for tool in ("a.b", "a.b.c", "a.x", "ab.c", "b.x", "c.d"):
            assert in_scope(tool, tuple(outer)) or not in_scope(tool, tuple(inner))


def test_an_action_outside_the_scope_is_denied_whatever_the_rules_say() -> None:
    assert evaluate(act(scope=("crm.*",)), policy("decision: ALLOW")).reason_code == "out_of_scope"


def test_set_context_labels_what_an_action_returns_also_where_it_is_undetermined() -> None:
    rules = policy(
        "match: {parameters: {name: {contains: vip}}}, "
        "set_context: {data_classification: RESTRICTED, categories: [VIP]}",
        f"{OPEN}, set_context: {{data_classification: CONFIDENTIAL}}",
        "match: {tool: email}, set_context: {data_classification: RESTRICTED}",
    )

    assert labels_by_rule(act("crm.read", {"name": "a VIP"}, facts={"x": False}), rules) == Labels(
        level=Level.RESTRICTED, categories=("VIP",)
    )
    assert labels_by_rule(act("crm.read", {"name": "b"}), rules) == Labels(level=Level.CONFIDENTIAL)
    assert labels_by_rule(act("crm.read", {"name": "b"}, facts={"x": False}), rules) is None
    assert verdict(rules, "crm.read") is DENY


# ----------------------------------------------------------------------------------------------------------- properties

FEW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
FREE = frozenset({ALLOW, MODIFY})


def decide(given_: EvaluationInput, rules: PolicySet) -> Decision:
    return evaluate(given_, compile_policy(rules))


@FEW
@given(given=inputs(), policy=policies(), extra=policies())
def test_a_forbidden_rule_more_never_permits_more(given: EvaluationInput, policy: PolicySet, extra: PolicySet) -> None:
    before = decide(given, policy)
    forbidden = [
        msgspec.structs.replace(
            rule, id=f"extra-{rule.id}", decision=DENY, classification=Classification.FORBIDDEN, modifications=(),
            approvers=(), timeout_s=None,
        )
        for rule in extra.rules
    ]  # fmt: skip
    after = decide(given, msgspec.structs.replace(policy, rules=(*policy.rules, *forbidden)))

    if before.verdict not in FREE:
        assert after.verdict not in FREE
    if before.verdict is DENY:
        assert after.verdict is DENY
    if after.verdict in FREE:
        assert (before.verdict, before.effective) == (after.verdict, after.effective)


@FEW
@given(given=inputs(), policy=policies(), priority=st.integers(-3, 3))
def test_a_rule_that_denies_everything_at_the_top_always_denies_and_one_below_changes_nothing_above(
    given: EvaluationInput, policy: PolicySet, priority: int
) -> None:
    top = max([rule.priority for rule in policy.rules], default=0) + 1
    low = min([rule.priority for rule in policy.rules], default=0) - 1
    before = decide(given, policy)
    shut = msgspec.structs.replace(policy, rules=(*policy.rules, Rule(id="shut", decision=DENY, priority=top)))
    assert decide(given, shut).verdict in {DENY, DEFER}  # DEFER: a forbidden rule above cannot turn DENY, so never here
    if before.verdict is DENY or not any(rule.classification is Classification.FORBIDDEN for rule in policy.rules):
        assert decide(given, shut).verdict is DENY

    under = msgspec.structs.replace(policy, rules=(*policy.rules, Rule(id="low", decision=DENY, priority=low)))
    after = decide(given, under)
    # where the posture permitted and a supervisor is asked, the rule below is the first to decide
    if before.rules and before.reason_code == "rule" and before.rules != ("navicert.supervision",):
        assert (after.verdict, after.rules) == (before.verdict, before.rules)
    assert after.verdict not in FREE or before.verdict in FREE


@FEW
@given(given=inputs(), policy=policies())
def test_the_same_input_gives_the_same_decision(given: EvaluationInput, policy: PolicySet) -> None:
    once, again = decide(given, policy), decide(given, policy)

    assert once == again
    if once.effective is not None:
        assert parameter_bytes(decode_parameters(once.effective))


UNFIT = [
    ("match: {effect: pay, amount: {gt: 50}}", {"amount": "301"}, "amount (it is text)"),
    ("match: {effect: pay, amount: {gt: 50}}", {"amount": [3, True]}, "amount (it is true or false)"),
    (
        "match: {effect: pay, total: {per: agent, above: 50, window: 1d}}",
        {"amount": "301"},
        "total (the amount is text)",
    ),
    ("match: {effect: pay, destination: {ends_with: x}}", {"account": 7}, "destination (it is a number)"),
    ("match: {effect: pay, parameters: {memo: {le: 5}}}", {"memo": {"a": 1}}, "parameters.memo (it is an object)"),
    ("match: {effect: pay, parameters: {memo.a: {le: 5}}}", {"memo": 7}, "parameters.memo.a"),
    ("match: {effect: pay, amount: {gt: 50}}", {"amount": -1}, "amount"),
    ("match: {effect: pay, context: {facts: {calm: {gt: 5}}}}", {}, "context.facts.calm"),
    ("match: {effect: pay, destination: {at: a.example}}", {"account": "no such place"}, "destination"),
]


@pytest.mark.parametrize(("match", "parameters", "named"), UNFIT)
def test_of_an_argument_that_no_operator_can_judge_the_kind_is_told_and_never_the_value(match, parameters, named):
    rules = policy(f"{match}, decision: DENY", posture="declared_tools")
    decision = evaluate(act("bank.pay", parameters, facts={"calm": "word"}), rules)

    assert (decision.verdict, decision.reason_code) == (DEFER, "context_missing")
    assert decision.reason == f"not known yet: {named}"
    assert decision.undetermined == (named.partition(" ")[0],)
