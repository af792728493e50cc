"""`navicert replay` and `navicert diff` over a real home: what changes, what is refused, and that nothing happens."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

import navicert
from navicert.assemble import Home, make_home
from navicert.cli import main
from navicert.cli.comparison import code
from navicert.testing import open_bench

POLICY = """\
policy: shop
version: {version}
posture: declared_reads
rules:
{rules}"""
MAIL = "  - {id: mail, match: {tool: email, operation: send}, decision: ALLOW}\n"
INSIDE = """\
  - id: inside
    match: {tool: email, operation: send, destination: {not: {ends_with: '@shop.example'}}}
    decision: DENY
    priority: 5
    reason: mail stays inside
"""
PAY = "  - {id: pay, match: {tool: bank, operation: pay}, decision: STEP_UP, approvers: [carol]}\n"
FREE = "  - {id: pay, match: {tool: bank, operation: pay}, decision: ALLOW}\n"
RECORDED = MAIL + INSIDE + PAY
HOSTILE = (
    "</code><img src=x onerror=alert(1)> | `x` [y](http://evil.example) **b** @ben #1 www.evil.example\n| a |"
    "\x1b[31m\u202e"
)
LIMIT = "only the first changed action of a session is certain"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A home in which two sessions sent mail, looked things up and tried to pay; and how often a tool ran."""
    folder = tmp_path_factory.mktemp("replay")
    make_home(folder / ".navicert", origin="t", service="t", policy=POLICY.format(version=1, rules=RECORDED))
    ran = []
    with open_bench(folder / ".navicert") as guard:

        @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
        def send(to: str, body: str) -> None:
            ran.append(to)

        @guard.tool("db.look", effect="read", returns="INTERNAL")
        def look(what: str) -> None:
            ran.append(what)

        @guard.tool("bank.pay", effect="pay", amount="amount")
        def pay(amount: int) -> None:
            ran.append(amount)

        for _ in range(2):
            with guard.session(request="sell", human="ana", agent="bot"):
                for call, *args in (
                    (look, "x"),
                    (send, "a@shop.example", "hi"),
                    (send, "b@out.example", HOSTILE),
                    (pay, 5),
                ):
                    with contextlib.suppress(navicert.ActionDenied):
                        call(*args)
    return folder, ran


@pytest.fixture
def home(recorded, tmp_path):
    return Path(shutil.copytree(recorded[0], tmp_path / "app"))


@pytest.fixture
def run(home):
    def call(*args: str, code: int):
        result = CliRunner().invoke(main, ["--home", str(home), *args])
        assert result.exit_code == code, result.output
        return result.stdout

    return call


@pytest.fixture
def write(tmp_path):
    def made(rules: str, version: int = 2) -> str:
        path = tmp_path / f"policy-{version}.yaml"
        path.write_text(POLICY.format(version=version, rules=rules), encoding="utf-8")
        return str(path)

    return made


def files(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")  # of readers, beside a log in WAL mode
    }


def change(home: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(Home(home / ".navicert").store)) as store, store:
        assert store.execute(statement).rowcount > 0


def test_a_policy_that_decides_alike_changes_nothing(run, write):
    document = json.loads(run("diff", write(RECORDED), "--json", code=0))

    assert (document["decisions"], document["sessions"], document["changed"], document["groups"]) == (8, 2, 0, [])
    assert "changes       none" in run("diff", write(RECORDED), code=0)


def test_what_becomes_permitted_stands_first_with_its_certainty(run, write):
    document = json.loads(run("diff", write(MAIL + FREE), "--json", code=4))
    kinds = [(item["old"], item["new"], item["count"], item["certain"]) for item in document["groups"]]

    assert kinds == [("DENY", "ALLOW", 2, 2), ("STEP_UP", "ALLOW", 2, 0)]
    example = document["groups"][0]["examples"][0]
    assert (example["action"], example["parameters"]["to"], example["old"]["rules"]) == (
        "email.send",
        "b@out.example",
        ["inside"],
    )
    shown = run("diff", write(MAIL + FREE), code=4)
    assert shown.index("DENY → ● ALLOW") < shown.index("STEP_UP → ● ALLOW")


def test_the_forecast_says_who_will_be_asked_more(run, write):
    both = MAIL.replace("ALLOW", "STEP_UP, approvers: [dave]") + PAY
    forecast = json.loads(run("diff", write(both), "--json", code=4))["forecast"]

    assert [(item["person"], item["old"]["total"], item["new"]["total"]) for item in forecast] == [
        (None, 2, 6),
        ("dave", 0, 4),
        ("carol", 2, 2),
    ]


def test_two_files_are_compared_with_each_other_and_kept_sets_are_named_by_hash(run, write):
    one, other = write(MAIL + PAY, 2), write(MAIL + FREE, 3)
    kept = json.loads(run("diff", one, "--json", code=4))["old"]
    document = json.loads(run("diff", one, other, "--json", code=4))
    named = json.loads(run("diff", kept["hash"][:8], other, "--json", code=4))

    assert kept["name"] == "in force"
    assert [(item["old"], item["new"]) for item in document["groups"]] == [("STEP_UP", "ALLOW")]
    assert (named["old"]["hash"], named["old"]["name"]) == (kept["hash"], f"kept {kept['hash'][:8]}")
    assert (
        "`0000`: no file of this name, and no policy of this hash was in force here"
        in CliRunner().invoke(main, ["--home", str(Path(one).parent / "app"), "diff", "0000"]).stderr
    )


def test_replay_reproduces_every_decision(run):
    document = json.loads(run("replay", "--json", code=0))

    assert (document["decisions"], document["not_reproduced"], document["policy"]) == (8, [], None)
    assert "reproduced, 8 decisions" in run("replay", code=0)


def test_replay_under_a_policy_shows_each_session(run, write):
    document = json.loads(run("replay", write(MAIL + FREE), "--json", code=4))
    marks = [[item["certain"] for item in items] for items in document["by_session"].values()]

    assert marks == [[True, False], [True, False]]
    assert run("replay", write(MAIL + FREE), code=4).count("session ses_") == 2
    assert json.loads(run("replay", write(RECORDED), "--json", code=0))["by_session"] == {}


def test_a_decision_that_its_policy_does_not_give_is_an_integrity_finding(run, write, monkeypatch):
    from navicert.core import rounds

    judge = rounds.evaluate

    def other(given, policy):
        found = judge(given, policy)
        return rounds.Decision(verdict="DENY", reason_code="rule", reason="") if found.rules == ("mail",) else found

    monkeypatch.setattr(rounds, "evaluate", other)
    document = json.loads(run("replay", "--json", code=5))
    assert [(item["action"], item["verdict"], item["rules"]) for item in document["not_reproduced"]] == [
        ("email.send", "ALLOW", ["mail"])
    ] * 2
    assert "email.send: ALLOW by mail is not what policy" in run("replay", code=5)
    left_out = run("diff", write(RECORDED), code=0)
    assert "left out: 2 that their own policy does not reproduce" in left_out


@pytest.mark.parametrize("args", [("replay",), ("replay", "new"), ("diff", "new"), ("diff", "new", "--json")])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET bytes = replace(bytes, '\"DENY\"', '\"ALLOW\"') WHERE instr(bytes, '\"DENY\"')",
        "DELETE FROM entry WHERE seq = 3",
        "UPDATE log SET sealed = (SELECT sealed FROM log WHERE kind = 'outcome') WHERE kind = 'decision'",
        "DELETE FROM log WHERE seq = (SELECT max(seq) FROM log WHERE kind = 'outcome')",
    ],
)
def test_a_store_that_was_tampered_with_is_refused_before_anything_is_shown(home, write, args, statement):
    change(home, statement)
    words = [write(MAIL) if word == "new" else word for word in args]
    result = CliRunner().invoke(main, ["--home", str(home), *words])

    assert (result.exit_code, result.stdout) == (5, "")


def test_a_key_of_disclosures_that_is_gone_is_refused(home, run, write):
    next(Home(home / ".navicert").subjects.iterdir()).unlink()

    assert run("diff", write(MAIL), code=5) == ""


def test_sessions_that_were_purged_are_counted_and_named(home, run, write):
    config = Home(home / ".navicert").config
    change(home, "DELETE FROM entry")
    change(home, "DELETE FROM row WHERE key LIKE 'session/%'")
    assert run("diff", write(MAIL), code=5) == ""  # gone before its retention ended

    config.write_text(config.read_text() + "retention_days: 0\n")
    document = json.loads(run("diff", write(MAIL), "--json", code=0))
    assert (document["decisions"], list(document["purged"].values())) == (0, [4, 4])
    assert "cannot be replayed: 8 whose context was purged (ses_" in run("diff", write(MAIL), code=0)


def test_a_policy_that_does_not_load_is_code_3_and_what_cannot_be_is_code_2(run, write, tmp_path):
    assert run("diff", write("  - {id: x, decision: PERHAPS}\n"), code=3) == ""
    assert run("diff", str(tmp_path / "nowhere.yaml"), code=3) == ""
    assert run("diff", write(MAIL), "--since", "soon", code=2) == ""
    empty = tmp_path / "empty"
    make_home(empty / ".navicert", origin="t", service="t")
    assert CliRunner().invoke(main, ["--home", str(empty), "diff", write(MAIL)]).exit_code == 2


def test_only_what_is_young_enough_is_shown(home, run, write):
    assert json.loads(run("diff", write(MAIL + FREE), "--since", "1d", "--json", code=4))["decisions"] == 8
    assert json.loads(run("diff", write(MAIL + FREE), "--since", "0m", "--json", code=0))["decisions"] == 0


def test_nothing_is_executed_and_nothing_is_written(recorded, home, run, write):
    new, before, ran = write(MAIL + FREE), files(home), list(recorded[1])
    for args in (("replay",), ("replay", new), ("diff", new), ("diff", new, "--markdown")):
        CliRunner().invoke(main, ["--home", str(home), *args])

    assert {name: digest for name, digest in files(home).items() if not name.endswith("-wal")} == before
    assert recorded[1] == ran == ["x", "a@shop.example"] * 2


@pytest.mark.parametrize("args", [("diff", "new"), ("replay", "new"), ("diff", "new", "--markdown")])
def test_every_page_says_what_a_replay_cannot_show(run, write, args):
    shown = run(*[write(MAIL + FREE) if word == "new" else word for word in args], code=4)

    assert LIMIT in " ".join(shown.split())
    assert "nobody is asked" in " ".join(shown.split())


def test_a_page_fits_100_columns_and_nothing_in_it_moves_the_terminal(run, write):
    for args in (("diff", write(MAIL + FREE)), ("replay", write(MAIL + FREE)), ("replay", write(MAIL + FREE, 3))):
        shown = run(*args, code=4)

        assert [line for line in shown.splitlines() if len(line) > 100] == []
        assert not set(shown) & {"\x1b", "\u202e", "\r"}
        assert "‹U+001B›" in shown or "body" in shown


def test_what_an_agent_wrote_is_no_markup_in_a_comment(run, write):
    shown = run("diff", write(MAIL + FREE), "--markdown", code=4)
    quiet = r"[^\W_]| |&#\d+;|(?<=[^\W_])(?<!www)[-.](?=[^\W_])"  # letters, digits, spaces, references: no markup
    own = re.sub(rf"<code>(?:{quiet})*</code>", "", shown)

    assert "<" not in own.replace("<code>", "<")
    for word in ("evil", "img", "@ben", "`x`", "onerror", "](", "\x1b"):
        assert word not in own
    quoted = [html.unescape(text) for text in re.findall(r"<code>(.*?)</code>", shown)]
    assert any("</code><img src=x onerror=alert(1)> | `x` [y](http://evil" in text for text in quoted)
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6, 7}  # the forecast's, and those of changes


def test_a_word_keeps_its_hyphens_and_dots_and_no_word_becomes_a_link():
    assert code("no-mail to shop.example") == "<code>no-mail to shop.example</code>"
    assert code("WWW.evil.example") == "<code>WWW&#46;evil.example</code>"
    assert code("- a. b_c") == "<code>&#45; a&#46; b&#95;c</code>"


def test_where_nothing_changes_one_sentence_says_so(run, write):
    for args in (("diff",), ("replay",), ("diff", "--markdown")):
        shown = run(*args[:1], write(RECORDED), *args[1:], code=0)

        assert "Nothing that was recorded would be decided otherwise" in shown
        assert LIMIT not in " ".join(shown.split())
        assert "Approvals asked for" not in shown


def test_a_comment_says_first_what_is_permitted_from_now_on(run, write):
    shown = run("diff", write(MAIL + FREE), "--markdown", code=4)

    assert shown.splitlines()[0] == "### navicert: 4 of 8 recorded decisions would change"
    assert re.findall(r"^#### (.*)$", shown, re.MULTILINE) == [
        "DENY → ALLOW: 2, 2 certain",
        "STEP_UP → ALLOW: 2, 0 certain",
        "Approvals asked for, from less than a day of record: no rate to rely on",
    ]
