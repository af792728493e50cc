"""Comparing policies: what loosens first, what is certain, who is asked; and one policy never differs from itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from navicert.core.compare import DAY_US, What, changes, difference, report
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.evaluate import STRICTNESS
from navicert.core.rejudge import Recorded, Under
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity, Claims
from navicert.syntax import policy_hash, read_policy
from oracle.strategies import cases

PROFILE = ToolProfile(tool="bank.pay", effect=Effect.PAY, amount=("amount",), destination=("to",))


def record(
    session: str = "a", *, parent: str | None = None, at: int = 0, name: str = "act", kind="decision", **more
) -> Recorded:
    action = Action(
        action_id=name,
        tool="bank",
        operation="pay",
        parameters=b'{"amount":5}',
        digest="",
        submitted_at=0,
        profile=PROFILE,
    )
    claims = more.pop("claims", Claims(human="ana", agent="bot"))
    context = SessionContext(
        session_id=session, parent=parent, request="", claims=claims, salt="", started_at=0, last_at=0
    )
    identity = ActionIdentity(human="ana", service="s", agent="bot", session=session, scope=("*",))
    rested = EvaluationInput(action=action, identity=identity, context=context, now=at)
    fields = {
        "seq": 1, "policy": "", "verdict": Verdict.ALLOW, "rules": (), "reason_code": "rule",
        "submitted": action.parameters, "effective": None, "given": rested,
    }  # fmt: skip
    return Recorded(kind=kind, **fields | more)


def said(verdict: str, *rules: str, **more) -> Decision:
    return Decision(verdict=Verdict(verdict), reason_code="rule", reason="", rules=rules, **more)


def policy(rules: str, more: str = "", version: int = 1) -> CompiledPolicy:
    text = f"policy: p\nversion: {version}\nposture: declared_reads\n{more}rules:\n{rules}"
    found = read_policy(text)[0]
    return compile_policy(found, policy_hash(found))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_a_policy_compared_with_itself_changes_nothing(case):
    rested, held = case
    once, again = compile_policy(held, "h"), compile_policy(held, "another hash of the same")
    name = rested.action.name
    if name in once.profiles:  # a set of this content has this profile: nothing is forgotten of it
        rested = replace(rested, action=replace(rested.action, profile=once.profiles[name]))
    # what a policy counts is always recorded with what it judges
    tallies = once.candidates(rested.action.tool, rested.action.operation).tallies
    counted = {f"{item.kind}|{item.per}|{item.window_s}": 0 for item in tallies} | rested.shared.tallies
    rested = replace(rested, shared=replace(rested.shared, tallies=counted))
    item = replace(record(), given=rested, policy="h", submitted=rested.action.parameters)
    sides = [Under({"h": once}, once).judge(item), Under({"h": once}, again).judge(item)]

    assert [change.what for change in changes([(item, *sides)])] == [What.SAME]


VERDICTS = st.sampled_from(list(Verdict))
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), VERDICTS, VERDICTS), max_size=30)


@given(PAIRS)
def test_denials_that_become_permissions_stand_first_then_loosening_then_tightening_then_other_terms(pairs):
    judged = [(record(session), said(old, "r"), said(new, f"r{new is old}")) for session, old, new in pairs]
    groups = report(changes(judged)).groups
    sections = [["looser", "stricter", "terms"].index(group.direction) for group in groups]

    assert sections == sorted(sections)
    assert all((group.old, group.new) != ("DENY", "ALLOW") for group in groups[1:])
    loosened = [
        STRICTNESS.index(group.old) - STRICTNESS.index(group.new) for group in groups if group.direction == "looser"
    ]
    assert all(more >= less > 0 for more, less in pairwise([*loosened, 1]))
    assert sum(group.count for group in groups) == len(pairs)


@given(PAIRS)
def test_the_first_action_of_a_session_that_changes_is_certain_and_every_later_change_conditional(pairs):
    judged = [(record(session), said(old), said(new)) for session, old, new in pairs]
    found = list(changes(judged))
    for session in "abc":
        marks = [
            change.conditional
            for change in found
            if change.record.given.context.session_id == session and change.what is not What.SAME
        ]
        assert marks == [False] * bool(marks) + [True] * (len(marks) - 1)
    assert report(found).certain == sum(not change.conditional for change in found if change.what is not What.SAME)


def test_what_a_delegated_session_does_after_a_change_is_conditional_too():
    judged = [
        (record("parent"), said("ALLOW"), said("DENY")),
        (record("child", parent="parent"), said("ALLOW"), said("DENY")),
        (record("grandchild", parent="child"), said("ALLOW"), said("DENY")),
        (record("other"), said("ALLOW"), said("DENY")),
    ]

    assert [change.conditional for change in changes(judged)] == [False, True, True, False]


def test_other_grounds_alone_make_nothing_conditional_that_comes_later():
    judged = [(record(), said("DENY", "a"), said("DENY", "b")), (record(), said("DENY"), said("ALLOW"))]

    assert [(change.what, change.conditional) for change in changes(judged)] == [
        (What.GROUNDS, False),
        (What.VERDICT, False),
    ]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (said("ALLOW", "r"), said("ALLOW", "r"), What.SAME),
        (said("ALLOW", "r"), said("ALLOW", "q"), What.GROUNDS),
        (said("STEP_UP", "r", approvers=("a",)), said("STEP_UP", "q", approvers=("b",)), What.PEOPLE),
        (said("STEP_UP", approvals=1), said("STEP_UP", approvals=2), What.PEOPLE),
        (said("STEP_UP", timeout_s=1), said("STEP_UP", timeout_s=2), What.PEOPLE),
        (said("MODIFY", effective=b"{}"), said("MODIFY", effective=b'{"a":1}'), What.PARAMETERS),
        (said("MODIFY", effective=b"{}"), said("DENY"), What.VERDICT),
    ],
)
def test_the_weightiest_difference_is_named(old, new, what):
    assert difference(old, new) is what


def test_examples_are_bounded_and_the_certain_ones_stand_first():
    judged = [(record("a"), said("ALLOW"), said("DENY")) for _ in range(4)]
    judged += [(record("b"), said("ALLOW"), said("DENY"))]
    (group,) = report(changes(judged), examples=3).groups

    assert (group.count, group.certain) == (5, 2)
    assert [change.conditional for change in group.examples] == [False, False, True]


def test_what_came_before_the_window_still_tells_what_is_conditional():
    judged = [(record(at=1), said("ALLOW"), said("DENY")), (record(at=10), said("ALLOW"), said("DENY"))]
    found = report(changes(judged), since=5)

    assert (found.compared, found.changed, found.certain) == (1, 1, 0)


def test_the_forecast_counts_questions_by_person_mean_and_worst_day():
    asks = {"approvers": ("carol", "requester")}
    judged = [
        (record(name="1", at=0), said("ALLOW"), said("STEP_UP", "r", **asks)),
        (record(name="2", at=1), said("ALLOW"), said("STEP_UP", "r", **asks)),
        (record(name="3", at=3 * DAY_US), said("STEP_UP", "r", approvers=("dave",)), said("STEP_UP", "r", **asks)),
        (record(name="3", at=3 * DAY_US, kind="resolution"), said("ALLOW"), said("STEP_UP", "r", **asks)),
    ]
    found = report(changes(judged))
    rates = {item.person: (item.old.total, item.new.total, item.new.mean, item.new.worst) for item in found.forecast}

    assert found.days == 4
    assert rates == {"": (1, 3, 0.75, 2), "ana": (0, 3, 0.75, 2), "carol": (0, 3, 0.75, 2), "dave": (1, 0, 0.0, 0)}
    assert found.forecast[0].person == ""


ASK = "  - {id: ask, match: {tool: bank}, decision: STEP_UP, approvers: [%s], reason: %s}\n"


def _after_approval(new: CompiledPolicy) -> Decision:
    """Judge a payment that carol approved under the old rule."""
    old = policy(ASK % ("carol", "old"))
    answered = tuple(content for _, content in old.hashes(("ask",)))
    item = record(policy=old.hash, kind="resolution")
    return Under({old.hash: old}, new).judge(
        replace(item, then=item.given, given=replace(item.given, answered=answered))
    )


def test_an_approval_holds_for_a_rule_that_was_reworded_and_asks_the_same_people():
    assert _after_approval(policy(ASK % ("carol", "new"))).verdict is Verdict.ALLOW


@pytest.mark.parametrize("people", ["dave", "'carol', dave"])
def test_an_approval_does_not_hold_where_other_people_are_asked(people):
    assert _after_approval(policy(ASK % (people, "new"))).verdict is Verdict.STEP_UP


def test_a_prohibition_stands_over_an_approval():
    rule = "  - {id: ask, match: {tool: bank}, decision: DENY, classification: forbidden, reason: no}\n"

    assert _after_approval(policy(rule)).verdict is Verdict.DENY


ALLOW = "  - {id: ok, match: {tool: bank}, decision: ALLOW}\n"
TOOLS = "tools:\n  bank.pay: {effect: pay, amount: amount, destination: to}\n"


def test_a_profile_that_only_the_old_policy_declared_is_not_known_under_the_new_one():
    declares, silent = policy(ALLOW, TOOLS), policy(ALLOW, version=2)
    item = record(policy=declares.hash)

    assert Under({declares.hash: declares}, silent).judge(item).reason_code == "unknown_tool"
    item = record(policy=silent.hash)
    assert Under({silent.hash: silent}, policy(ALLOW, version=3)).judge(item).verdict is Verdict.ALLOW


def test_a_wider_ceiling_of_roles_permits_what_the_session_claimed():
    narrow = policy(ALLOW, "roles: {clerk: ['crm.*']}\n")
    wide = policy(ALLOW, "roles: {clerk: ['crm.*', 'bank.*']}\n", version=2)
    item = record(policy=narrow.hash, claims=Claims(human="ana", agent="bot", scope=("*",)))
    identity = replace(item.given.identity, roles=("clerk",), scope=("crm.*",))
    item = replace(item, given=replace(item.given, identity=identity))
    kept = {narrow.hash: narrow}

    assert Under(kept, narrow).judge(item).reason_code == "out_of_scope"
    assert Under(kept, wide).judge(item).verdict is Verdict.ALLOW
    # the verifier had left less of what was claimed than the ceiling did: how much more there was is not known
    verified = replace(item.given.identity, scope=("crm.query",))
    item = replace(item, given=replace(item.given, identity=verified))
    assert Under(kept, wide).judge(item).reason_code == "out_of_scope"


def test_a_change_that_never_comes_to_rest_is_a_refusal():
    rules = (
        "  - {id: up, match: {tool: bank, parameters: {amount: {lt: 6}}}, decision: MODIFY,"
        " modifications: [{parameter: amount, set: 7}]}\n"
        "  - {id: down, match: {tool: bank, parameters: {amount: {gt: 6}}}, decision: MODIFY,"
        " modifications: [{parameter: amount, set: 5}]}\n"
    )
    restless = policy(rules)
    found = Under({restless.hash: restless}).judge(record(policy=restless.hash))

    assert (found.verdict, found.reason_code) == (Verdict.DENY, "modification_unstable")
