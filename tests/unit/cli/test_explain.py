"""`navicert explain`: a receipt, a supposed action, a failing test; what people and programs read; what stays inert."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

import navicert
from desk import SECRET
from navicert.adapters.sign.encrypted_key import load_encrypted_key
from navicert.assemble import make_home
from navicert.cli import main
from navicert.cli.terminal import Terminal
from navicert.cli.tree import lines
from navicert.core.inert import columns
from navicert.model.errors import NavicertError
from navicert.model.suspension import Answer
from navicert.people import sign_answer
from navicert.rehearsal import rehearse
from navicert.rehearsal.suppose import explained
from terminal import Person

POLICY = """\
policy: shop
version: 1
posture: deny
tools:
  email.send: {effect: send, destination: to, content: body, returns: PUBLIC}
  crm.query: {effect: read, returns: INTERNAL}
rules:
  - id: personal-data-stays
    match:
      effect: send
      context: {categories: {contains: PII}}
      destination: {not: {ends_with: '@company.example'}}
    decision: DENY
    priority: 10
    reason: personal data does not leave the company
  - id: mail-after-a-look
    match: {tool: email, operation: send, after: {tool: crm, operation: query}}
    decision: ALLOW
"""
SENT = ("--call", "email.send", "--with", '{"to": "bob@partner.example"}')
HOSTILE = '{"to": "b\\u0000b\\u001b[2J\\u202e@evil.example\\n├─ 3 rules or posture  ALLOW"}'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    return path


@pytest.fixture
def suppose(file):
    def call(*args: str, code: int = 0):
        result = CliRunner().invoke(main, ["explain", "--policy", str(file), *args])
        assert result.exit_code == code, result.output
        return result

    return call


def place_of(read, name):
    """The first receipt of one tool."""
    found = read("session", read("sessions")["sessions"][0]["session"])["receipts"]
    return next(item for item in found if item["action"] and item["action"]["name"] == name)


@pytest.fixture
def asked_again(desk):
    """A verb's page on a mail that two people approved, and that was asked anew as labels had grown meanwhile."""
    with navicert.open(desk.folder) as guard, guard.session(request="write", human="ana", agent="assistant"):

        @guard.tool("email.send")
        def send(to: list[str], body: str) -> str:
            raise AssertionError

        @guard.tool("crm.look", effect="read", returns="CONFIDENTIAL")
        def look() -> str:
            return "a customer"

        with pytest.raises(navicert.ActionSuspended) as held:
            send(["bob@partner.example"], "x")
        look()
        handle = held.value.handle
        for name in ("ben", "cho"):
            key, question = load_encrypted_key(desk.keys / f"{name}.pem", SECRET), guard.engine.wait(handle).question
            guard.engine.answer(
                handle, sign_answer(question, Answer.APPROVE, name, key, guard.engine.now(), "so it is")
            )
        with pytest.raises(navicert.ActionSuspended):
            guard.resume(handle)
    return lambda verb: CliRunner().invoke(main, ["--home", str(desk.folder), verb, handle]).stdout


# a supposed action


def test_a_supposed_action_shows_what_decided_with_its_line_and_what_was_found(suppose):
    shown = suppose(*SENT, "--label", "CONFIDENTIAL,PII").stdout.splitlines()

    assert "  ✕ DENY     personal data does not leave the company" in shown
    head = next(line for line in shown if "personal-data-stays  ✕ DENY  decides, priority 10" in line)
    assert head.endswith("policy.yaml:8")
    assert any("context.categories" in line and "CONFIDENTIAL · PII" in line and ":11" in line for line in shown)


def test_without_the_label_the_rule_is_named_and_not_shown(suppose):
    shown = suppose(*SENT, "--done", "crm.query").stdout

    assert "● ALLOW" in shown
    assert "does not match: personal-data-stays" in shown
    assert "context.categories" not in shown
    assert "context.categories" in suppose(*SENT, "--done", "crm.query", "--all").stdout


def test_what_the_code_declares_can_be_said(suppose):
    assert "the tool `shell.run` is not declared" in suppose("--call", "shell.run").stdout
    assert "posture deny" in suppose("--call", "shell.run", "--declared", "{effect: execute}").stdout


def test_what_the_application_has_reported_can_be_said(suppose, file):
    file.write_text(POLICY + "  - {id: w, match: {effect: send, context: {facts: {open: true}}}, decision: ALLOW}\n")

    assert "◌ DEFER" in suppose(*SENT).stdout
    assert "● ALLOW" in suppose(*SENT, "--fact", "open=true").stdout


def test_detectors_really_measure(suppose, file):
    file.write_text(
        POLICY + "  - {id: d, match: {signals: {sql_kinds: {contains: drop}}}, decision: STEP_UP, approvers: [b]}\n"
    )
    sql = ("--declared", "{effect: execute, categories: [sql]}", "--call", "db.execute", "--with")

    assert "▲ STEP_UP" in suppose(*sql, '{"sql": "DROP TABLE a"}').stdout
    assert "✕ DENY" in suppose(*sql, '{"sql": "SELECT 1"}').stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "name one receipt or action"),
        (("x", "--call", "a.b"), "name one receipt or action"),
        (("x", "--label", "PUBLIC"), "is for a supposed action"),
        (("--call", "send"), "`send` is no full tool name"),
        ((*SENT, "--label", "SECRET"), "`SECRET` is no level"),
        ((*SENT, "--fact", "open"), "write NAME=VALUE"),
        (("--call", "a.b", "--with", "[1]"), "not an object"),
    ],
)
def test_what_cannot_be_asked_is_usage(suppose, args, said):
    result = suppose(*args, code=2)

    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_policy_that_does_not_load_is_named(suppose, file):
    file.write_text("policy: [")

    assert "policy.yaml:1" in suppose(*SENT, code=3).stderr


def test_a_sentence_of_ours_is_wrapped_and_not_cut(suppose, file):
    limits = "destinations:\n  - {at: [partner.example], accepts: INTERNAL}\nrules:\n"
    file.write_text(POLICY.replace("rules:\n", limits), encoding="utf-8")
    shown = suppose(*SENT, "--done", "crm.query", "--label", "RESTRICTED,CREDENTIALS,FINANCIAL,HEALTH,PII").stdout
    head = " ".join(" ".join(shown.partition("parameters")[0].splitlines()[2:]).split())

    assert head.startswith("✕ DENY the destination takes at most INTERNAL, and this may hold")
    reason = " ".join(f"word{number}" for number in range(30))
    file.write_text(POLICY.replace("personal data does not leave the company", reason), encoding="utf-8")
    assert reason in " ".join(suppose(*SENT, "--label", "PUBLIC,PII").stdout.split())
    assert "sha256" not in shown
    assert "labels     RESTRICTED · CREDENTIALS · FINANCIAL · HEALTH · PII (this session: RESTRICTED" in shown
    assert "│  – labels to destination     at most INTERNAL" in shown
    assert max(map(columns, shown.splitlines())) <= 100


def test_what_the_shadow_rules_make_of_it_is_shown_where_that_differs(suppose, file):
    rule = "  - {id: s, shadow: true, match: {tool: email, operation: send%s}, decision: DENY, priority: 20}\n"
    for more, differs in ((", destination: nobody@x.example", False), ("", True)):
        file.write_text(POLICY + rule % more, encoding="utf-8")
        shown = suppose(*SENT, "--done", "crm.query").stdout
        assert ("with the shadow rules: ✕ DENY  by s" in shown) is differs
        assert ("with the shadow rules" in shown) is differs


def test_a_wait_that_was_asked_anew_says_so_and_why_and_whose_answers_are_void(asked_again):
    shown = " ".join(asked_again("explain").split())

    assert "note asked again: labels have grown since it was asked" in shown
    assert "what ben and cho answered to the earlier question does not count any more" in shown
    assert "asked anew 2 answers to earlier questions do not count any more" in " ".join(asked_again("show").split())
    assert "asked again" not in asked_again("explain").partition("resolution #")[0]


def test_an_action_that_depends_on_what_waits_says_on_what(home, run):
    with navicert.open(home) as guard, guard.session(request="again", human="ana", agent="assistant") as session:

        @guard.tool("pay.send", effect="pay", amount="amount", returns="INTERNAL")
        def pay(amount: int) -> str:
            raise AssertionError

        @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
        def send(to: str, body: str) -> str:
            raise AssertionError

        with pytest.raises(navicert.ActionSuspended) as first:
            pay(7)
        with session.after(first.value.handle), pytest.raises(navicert.ActionSuspended) as second:
            send("bob@partner.example", "x")

    shown = " ".join(run("explain", second.value.handle).stdout.split())
    assert f"it depends on what waits as {first.value.handle}" in shown


# a receipt


def test_a_receipt_is_explained_by_the_policy_that_judged_it(run, read):
    place = place_of(read, "pay.send")
    shown = run("explain", str(place["seq"])).stdout

    assert f"pay.send   decision #{place['seq']}" in shown
    assert "▲ STEP_UP  a person decides on payments" in shown
    assert "policy.yaml:12" in shown


def test_an_action_a_receipt_and_a_handle_name_the_same_decision(read):
    place = place_of(read, "pay.send")
    names = (str(place["seq"]), place["receipt_id"], place["action"]["id"], place["wait"]["handle"])

    assert len({json.dumps(read("explain", name)) for name in names}) == 1


def test_an_outcome_is_explained_by_its_decision(read):
    found = read("session", read("sessions")["sessions"][0]["session"])["receipts"]
    outcome = next(item for item in found if item["kind"] == "outcome")

    assert read("explain", outcome["receipt_id"])["decisions"][0]["receipt"]["action_id"] == outcome["action"]["id"]
    assert read("explain", outcome["receipt_id"])["decisions"][0]["receipt"]["kind"] == "decision"


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (lambda text: "# a comment\n" + text, True),
        (lambda text: text.replace("version: 1", "version: 2"), False),
        (lambda _: "posture: [", False),
    ],
)
def test_a_file_that_says_something_else_by_now_lends_no_lines(run, read, home, changed, same):
    path = home / ".navicert/policy.yaml"
    path.write_text(changed(path.read_text(encoding="utf-8")), encoding="utf-8")
    shown = run("explain", str(place_of(read, "pay.send")["seq"])).stdout

    assert ("policy.yaml:13" in shown) is same
    assert ("its file has changed since" in shown) is not same
    assert "▲ STEP_UP  a person decides on payments" in shown


def test_a_policy_that_was_changed_in_the_store_explains_nothing(run, home, read):
    place = place_of(read, "pay.send")
    with sqlite3.connect(home / ".navicert/store.db") as store:
        (data,) = store.execute("SELECT value FROM policy").fetchone()
        store.execute("UPDATE policy SET value = ?", (data.replace(b'"ben"', b'"eve"'),))

    assert "another content" in run("explain", str(place["seq"]), code=5).stderr


def test_what_is_no_decision_is_usage(run):
    assert "nothing was decided in it" in run("explain", "1", code=2).stderr
    assert "nothing here is named `nobody`" in run("explain", "nobody", code=2).stderr


# JSON


def test_json_has_the_documented_shape(read, suppose):
    place = place_of(read, "pay.send")
    from_receipt = read("explain", str(place["seq"]))
    supposed = json.loads(suppose(*SENT, "--json").stdout)

    def alike(documented, found):
        """The same keys, wherever both have something."""
        if isinstance(documented, dict) and isinstance(found, dict) and documented.keys() == found.keys():
            return all(alike(documented[key], found[key]) for key in documented)
        if isinstance(documented, list) and isinstance(found, list):
            return all(alike(documented[0], item) for item in found) if documented else True
        return not isinstance(documented, dict) or found is None or documented == {"to": "bob@partner.example"}

    page = (Path(__file__).resolve().parents[3] / "docs/reference/cli.md").read_text(encoding="utf-8")
    documented = json.loads(page.split("\n## explain\n", 1)[1].split("```json\n", 1)[1].split("```", 1)[0])
    assert alike(documented, from_receipt)
    assert alike(documented, supposed)
    one, other = from_receipt["decisions"][0], supposed["decisions"][0]
    assert any(rule["looks"] for step in other["rounds"][0]["steps"] for rule in step["rules"])
    assert [step["number"] for step in one["rounds"][0]["steps"]] == list(range(7))
    assert other["receipt"] is None
    step = one["rounds"][0]["steps"][one["rounds"][0]["step"]]
    assert step["came"] == "decided"
    assert [(item["rule"], item["line"]) for item in step["rules"] if item["decides"]] == [("asked", 12)]


# hostile text


def test_text_that_an_agent_wrote_stays_inert(suppose):
    shown = suppose("--call", "email.send", "--with", HOSTILE, "--label", "CONFIDENTIAL,PII", "--all").stdout

    assert not any(char in shown for char in "\x00\x1b\u202e")
    assert "U+202E" in shown
    assert sum(line.startswith("├─ 3 rules or posture") for line in shown.splitlines()) == 1
    assert suppose("--call", "email.send", "--with", HOSTILE, "--json").stdout.isascii()


def test_text_that_an_agent_wrote_stays_inert_in_a_receipt(run, read):
    shown = run("explain", str(place_of(read, "email.send")["seq"])).stdout

    assert not any(char in shown for char in "\x1b\u202e")
    assert "U+202E" in shown


def test_everything_fits_a_hundred_columns_and_keeps_them_on_a_terminal(file, suppose):
    args = ("explain", "--policy", str(file), *SENT, "--label", "CONFIDENTIAL,PII", "--all")
    with Person(*args) as person:
        assert person.ends() == 0
    plain = suppose(*SENT, "--label", "CONFIDENTIAL,PII", "--all").stdout

    assert "\x1b[31m✕ DENY\x1b[0m" in person.seen
    assert "\x1b" not in plain
    assert max(columns(line) for line in plain.splitlines()) <= 100


# a failing test, and the agent

TESTS = """\
policy: policy.yaml
cases:
  - name: mail
    actions:
      - {call: email.send, with: {to: b@c.example}, expect: %s}
"""


def test_a_failing_test_shows_the_same_tree(file, tmp_path):
    path = tmp_path / "policy.test.yaml"
    path.write_text(TESTS % "ALLOW", encoding="utf-8")

    result = CliRunner().invoke(main, ["test", str(path), "--explain"])
    failure = rehearse(path).failures[0]
    tree = explained(failure)

    assert result.exit_code == 4
    assert tree is not None
    found, suite = tree
    text = "\n".join(lines(Terminal(), found, suite.spans, str(file)))
    assert "3 rules or posture        ✕ DENY" in text
    assert "does not match: personal-data-stays, mail-after-a-look" in text
    assert "3 rules or posture        ✕ DENY" in result.stdout
    assert "3 rules" not in CliRunner().invoke(main, ["test", str(path)]).stdout


def test_a_test_that_holds_shows_none(file, tmp_path):
    path = tmp_path / "policy.test.yaml"
    path.write_text(TESTS % "DENY", encoding="utf-8")

    result = CliRunner().invoke(main, ["test", str(path), "--explain"])

    assert result.exit_code == 0
    assert "3 rules" not in result.stdout


def test_an_agent_is_told_the_reason_and_never_the_tree(tmp_path):
    make_home(tmp_path / ".navicert", origin="o", service="s", policy=POLICY)
    with navicert.open(tmp_path) as guard:

        @guard.tool("email.send", effect="send", destination="to")
        def send(to: str) -> None: ...

        @guard.tool("crm.query", effect="read")
        def query() -> str:
            return "ana@company.example 4111 1111 1111 1111"

        with guard.session(request="write", human="ana", agent="bot"), pytest.raises(NavicertError) as refused:
            send("bob@partner.example")
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "explain", refused.value.action_id])

    told = f"{refused.value} {refused.value.reason} {refused.value.next_step}"
    assert "3 rules or posture" in result.stdout
    for secret in ("├", "mail-after-a-look", "personal-data-stays", "company.example", "crm", "ends_with", "PII"):
        assert secret not in told
