"""What a policy says about people, waiting, authority and facts is read as the page says; what it may not say stands in
syntax_refusals.txt.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from navicert.core.compile import compile_policy
from navicert.model.authority import Authority
from navicert.model.decision import Verdict
from navicert.model.errors import PolicyError
from navicert.model.labels import Labels, Level
from navicert.model.policy import FactSource, PolicySet, Posture, Rule, Source, SourceKind
from navicert.syntax import canonical_policy, decode_policy, policy_hash, read_policy

ROOT = Path(__file__).parents[3]
HEAD = "policy: office\nversion: 3\nposture: deny\n"


def read(text: str) -> PolicySet:
    return read_policy(HEAD + text)[0]


def rule(body: str) -> Rule:
    (only,) = read(f"rules: [{{id: r, {body}}}]\n").rules
    return only


def fact(body: str) -> FactSource:
    (only,) = read(f"facts: {{f: {{{body}}}}}\n").facts
    return only


# --------------------------------------------------------------------------------------------------- people, approvals


def test_a_rule_that_asks_says_how_many_approve_and_who_may_besides():
    found = rule("decision: STEP_UP, approvers: [ann, bob], approvals: 2, escalate: {after: 60s, to: [cy, dee]}")
    expected = Rule(
        id="r",
        decision=Verdict.STEP_UP,
        approvers=("ann", "bob"),
        timeout_s=900,
        approvals=2,
        backups=("cy", "dee"),
        escalate_s=60,
    )
    assert expected == found


def test_one_approval_and_nobody_besides_is_what_a_rule_means_that_does_not_say():
    plain = rule("decision: STEP_UP, approvers: [ann]")
    assert (plain.approvals, plain.backups, plain.escalate_s, plain.authority) == (1, (), None, None)
    assert plain == rule("decision: STEP_UP, approvers: ann, approvals: 1")


def test_a_rule_that_waits_may_name_whom_to_ask_in_the_end():
    found = rule("decision: DEFER, approvers: [ann, requester, bob], approvals: 2")
    assert (found.approvers, found.approvals, found.timeout_s) == (("ann", "requester", "bob"), 2, 900)
    assert rule("decision: DEFER").approvers == ()


def test_the_requester_alone_may_confirm():
    found = rule("decision: STEP_UP, approvers: requester, approvals: 1")
    assert found.approvers == ("requester",)


def test_backups_count_among_those_who_can_approve():
    assert rule("decision: STEP_UP, approvers: ann, approvals: 2, escalate: {after: 1m, to: bob}").approvals == 2


@pytest.mark.parametrize(("timeout", "after"), [("", "899s"), (", timeout: 2h", "119m"), (", timeout: 2s", "1s")])
def test_an_escalation_may_come_up_to_a_second_before_the_end(timeout, after):
    found = rule(f"decision: STEP_UP, approvers: ann{timeout}, escalate: {{after: {after}, to: bob}}")
    assert found.backups == ("bob",)
    assert found.escalate_s is not None
    assert found.timeout_s is not None
    assert 0 < found.escalate_s < found.timeout_s


def test_supervisors_are_names_in_file_order():
    assert read("supervisors: [eve, ann]\n").supervisors == ("eve", "ann")
    assert read("supervisors: eve\n").supervisors == ("eve",)


def test_roles_have_scope_patterns():
    text = "roles:\n  clerk: [crm.*, email.send, mcp.files.*, mcp.files.read_all]\n  the boss: '*'\n"
    expected = {
        "clerk": ("crm.*", "email.send", "mcp.files.*", "mcp.files.read_all"),
        "the boss": ("*",),
    }
    assert expected == read(text).roles


@pytest.mark.parametrize("cascade", [1, 16])
def test_cascade_is_read_as_it_stands(cascade):
    assert read(f"cascade: {cascade}\n").cascade == cascade


# ----------------------------------------------------------------------------------------------------------- authority


@pytest.mark.parametrize("state", ["narrowed", "supervised", "suspended", "revoked"])
def test_a_rule_may_lower_authority_without_deciding(state):
    found = rule(f"authority: {state}")
    assert Rule(id="r", authority=Authority(state)) == found


@pytest.mark.parametrize("decision", ["ALLOW", "DENY", "STEP_UP, approvers: ann", "DEFER"])
def test_a_rule_may_decide_and_lower_authority(decision):
    found = rule(f"decision: {decision}, authority: revoked")
    assert (found.decision, found.authority) == (Verdict(decision.partition(",")[0]), Authority.REVOKED)


def test_a_rule_may_label_and_lower_authority():
    found = rule("set_context: {data_classification: PUBLIC}, authority: narrowed")
    assert (found.set_context, found.authority) == (Labels(level=Level.PUBLIC), Authority.NARROWED)


@pytest.mark.parametrize("state", list(Authority))
@pytest.mark.parametrize(
    "operators", ["{}", "[{}]", "{{eq: {}}}", "{{ne: {}}}", "{{not_in: [{}]}}", "{{not: {{in: [{}]}}}}"]
)
def test_a_condition_on_authority_names_one_of_its_states_and_compiles(state, operators):
    policy = read(
        f"rules: [{{id: r, decision: DENY, match: {{identity: {{authority: {operators.format(state)}}}}}}}]\n"
    )
    (condition,) = policy.rules[0].match
    assert condition.field == "identity.authority"
    assert condition.value in (state.value, [state.value])
    assert compile_policy(policy)


# --------------------------------------------------------------------------------------------------------------- facts


def test_the_facts_of_the_reference_page_load_as_it_says():
    page = (ROOT / "docs/reference/policy-language.md").read_text()
    example = re.search(r"```yaml\n(facts:.*?)```", page, re.DOTALL)[1]
    expected = (
        FactSource(
            name="rollout",
            sources=(
                Source(kind=SourceKind.HTTP, place="https://flags.internal/rollout", at="/value"),
                Source(kind=SourceKind.COMMAND, words=("/usr/local/bin/flag", "rollout")),
            ),
        ),
        FactSource(
            name="user_confirmed",
            sources=(Source(kind=SourceKind.REQUESTER, place="Did you ask for the credentials to be rotated?"),),
        ),
        FactSource(
            name="window_open",
            sources=(Source(kind=SourceKind.FILE, place="/etc/change/calendar.json", at="/window"),),
        ),
    )
    assert expected == read(example).facts


def test_a_fact_says_how_often_how_fast_and_how_long_it_is_asked_for():
    found = fact("file: /f, attempts: 100, every: 1d, within: 60s")
    assert (found.attempts, found.every_s, found.wait_s) == (100, 86_400, 60)
    found = fact("file: /f, attempts: 1, every: 1s, within: 1s")
    assert (found.attempts, found.every_s, found.wait_s) == (1, 1, 1)
    found = fact("sources: [{file: /f}]")
    assert (found.attempts, found.every_s, found.wait_s) == (3, 10, 5)


def test_a_source_named_directly_is_a_list_of_one():
    assert fact("file: /f, at: /x") == fact("sources: [{at: /x, file: /f}], attempts: 3")
    assert fact("file: /f") == fact("file: /f, at: ''")


@pytest.mark.parametrize(
    "url",
    [
        "https://flags.internal",
        "https://flags.internal:8443/a/b?c=d&e=%20",
        "https://10.0.0.7/",
        "https://[2001:db8::1]:8443/x",
        "https://localhost/",
        "http://localhost:8080/x",
        "http://127.0.0.1/",
        "http://[::1]:1/",
    ],
)
def test_a_url_is_kept_as_it_is_written(url):
    assert fact(f"http: '{url}'").sources == (Source(kind=SourceKind.HTTP, place=url),)


@pytest.mark.parametrize("pointer", ["", "/", "/a/0", "/a~0b~1c", "//", "/größe und mehr"])
def test_a_json_pointer_is_kept_as_it_is_written(pointer):
    assert fact(f"file: /f, at: '{pointer}'").sources[0].at == pointer


def test_the_arguments_of_a_command_are_any_text():
    found = fact("command: [/bin/x, '', ' a ', \"b\\nc\", '--n=1', -v, -v]")
    assert found.sources[0].words == ("/bin/x", "", " a ", "b\nc", "--n=1", "-v", "-v")


def test_a_url_with_a_password_is_not_shown():
    for url in ("https://ann:hunter2@a.example/", "https://ann:hunter2@a.example/ b", "https://a.example/?hunter2#b"):
        with pytest.raises(PolicyError) as caught:
            fact(f"http: '{url}'")
        assert "hunter2" not in str(caught.value)


def test_the_name_of_a_fact_is_one_that_rules_can_ask_for():
    for name in ("open", "window.open", "ist offen?", "x" * 200):
        policy = read(
            f"facts: {{'{name}': {{file: /f}}}}\n"
            f"rules: [{{id: r, decision: DENY, match: {{context: {{facts: {{'{name}': true}}}}}}}}]\n"
        )
        assert f"context.facts.{policy.facts[0].name}" == policy.rules[0].match[0].field


# -------------------------------------------------------------------------------------------------- hash and round trip

FULL = """facts:
  open: {file: /etc/calendar.json, at: /window, attempts: 5, every: 1m, within: 2s}
  flag: {sources: [{http: 'https://a.example/', at: /v}, {command: [/bin/flag, x, '']}]}
  sure: {requester: Did you ask for this}
roles: {clerk: [crm.*, email.send], boss: '*'}
supervisors: [eve, ann]
cascade: 5
rules:
- {id: a, decision: STEP_UP, approvers: [ann, bob], approvals: 2, escalate: {after: 1m, to: [cy]}, authority: narrowed}
- {id: b, decision: DEFER, approvers: [ann], match: {identity: {authority: supervised}}}
- {id: c, authority: revoked, match: {context: {denied: {gt: 9}}}}
"""


def test_canonical_bytes_read_back_to_the_same_policy():
    policy = read(FULL)
    again = decode_policy(canonical_policy(policy))
    assert policy == again
    assert canonical_policy(policy) == canonical_policy(again)
    assert again.roles == {"boss": ("*",), "clerk": ("crm.*", "email.send")}
    assert decode_policy(canonical_policy(read(""))).roles is None


def test_no_ceiling_and_a_ceiling_of_nothing_are_different_policies():
    none = PolicySet(policy="office", version=3, posture=Posture.DENY)
    nothing = PolicySet(policy="office", version=3, posture=Posture.DENY, roles={})
    assert decode_policy(canonical_policy(none)).roles is None
    assert decode_policy(canonical_policy(nothing)).roles == {}
    assert policy_hash(none) != policy_hash(nothing)


def test_what_is_stated_at_its_default_does_not_change_the_hash():
    stated = read(
        "cascade: 3\nfacts: {f: {sources: [{file: /f, at: ''}], attempts: 3, every: 10s, within: 5s}}\n"
        "rules: [{id: r, decision: STEP_UP, approvers: ann, approvals: 1, timeout: 15m}]\n"
    )
    plain = read("facts: {f: {file: /f}}\nrules: [{id: r, decision: STEP_UP, approvers: [ann]}]\n")
    assert policy_hash(plain) == policy_hash(stated)
    assert policy_hash(read("facts: {}\n")) == policy_hash(read(""))


def test_the_order_of_facts_and_roles_does_not_change_the_hash():
    first = read("facts: {a: {file: /a}, b: {file: /b}}\nroles: {x: '*', y: a.b}\n")
    second = read("roles: {y: a.b, x: '*'}\nfacts: {b: {file: /b}, a: {file: /a}}\n")
    assert first == second
    assert policy_hash(first) == policy_hash(second)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/etc/calendar.json", "/etc/calendar.yaml"),
        ("at: /window", "at: /windows"),
        ("attempts: 5", "attempts: 6"),
        ("every: 1m", "every: 61s"),
        ("within: 2s", "within: 3s"),
        ("[/bin/flag, x, '']", "[/bin/flag, x]"),
        ("[crm.*, email.send]", "[crm.*]"),
        ("boss: '*'", "chief: '*'"),
        ("[eve, ann]", "[eve]"),
        ("cascade: 5", "cascade: 4"),
        ("approvals: 2", "approvals: 3"),
        ("after: 1m", "after: 61s"),
        ("to: [cy]", "to: [dee]"),
        ("authority: revoked", "authority: suspended"),
        ("{authority: supervised}", "{authority: suspended}"),
    ],
)
def test_a_change_of_meaning_changes_the_hash(old, new):
    assert FULL.count(old) == 1
    assert policy_hash(read(FULL)) != policy_hash(read(FULL.replace(old, new)))
