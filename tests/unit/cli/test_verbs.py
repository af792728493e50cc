from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

import navicert
from navicert.assemble import make_home
from navicert.cli import main
from navicert.cli.view import call_text

OPEN_BY = ("--by", "ben", "--reason", "the server never saw it")


def test_init_makes_a_home_that_opens_and_refuses_a_second_time(tmp_path):
    made = CliRunner().invoke(main, ["init", str(tmp_path / "My App")])
    again = CliRunner().invoke(main, ["init", str(tmp_path / "My App")])

    home = tmp_path / "My App" / ".navicert"
    assert made.exit_code == 0
    assert again.exit_code == 2
    assert "there is a home already" in again.stderr
    assert stat.S_IMODE((home / "keys" / "receipt.pem").stat().st_mode) == 0o600
    assert "origin: my-app " in (home / "navicert.yaml").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["--home", str(home), "doctor"]).exit_code == 0


def test_version_control_gets_policy_and_public_keys_but_no_secret(tmp_path):
    CliRunner().invoke(main, ["init", str(tmp_path)])
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    found = subprocess.run([*git, "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True)

    assert sorted(found.stdout.split()) == [
        f".navicert/{name}" for name in (".gitignore", "navicert.yaml", "policy.yaml", "trust.json")
    ]


def test_tail_shows_decisions_and_what_came_of_them(run):
    lines = run("tail", "-n", "100").output.splitlines()

    assert [line.split()[2:5] for line in lines if "email.send" in line] == [
        ["●", "ALLOW", "email.send"],
        ["└", "done", "email.send"],
    ]
    assert sum("STEP_UP" in line for line in lines) == 1
    assert len(run("tail", "-n", "2").output.splitlines()) == 3


def test_tail_is_as_wide_as_it_is_told_and_leaves_the_room_to_parameters(run, monkeypatch):
    def line():
        return next(line for line in run("tail", "-n", "100").output.splitlines() if "ALLOW" in line)

    narrow = line()
    assert "to: bob@partner.example" in narrow
    assert narrow.endswith("PUBLIC    assistant")
    monkeypatch.setenv("COLUMNS", "160")
    assert len(narrow) <= 100 < len(line()) <= 160
    assert narrow.index("PUBLIC") + 60 == line().index("PUBLIC")


def test_what_an_action_reaches_and_moves_stands_before_the_rest():
    profile = {"destination": ["zone"], "amount": ["much"], "resource": ["at"], "content": ["a"]}
    parameters = {"a": "text", "at": "r", "b": "x", "much": 5, "zone": "z"}
    action = {"effective": None, "parameters": parameters}

    shown = call_text({"action": action, "decision": {"evaluated": {"profile": profile}}})
    assert shown == "zone: z, much: 5, at: r, b: x, a: text"


def test_labels_from_earlier_sessions_are_named_where_they_are_in_force_and_only_there(home, run, read):
    first = read("sessions")["sessions"][0]
    action = next(item for item in read("session", first["session"])["receipts"] if item["kind"] == "outcome")["action"]
    assert first["earlier"] is None
    assert "from earlier sessions" not in run("show", action["id"]).output
    with navicert.open(home) as guard, guard.session(request="more", human="ana", agent="assistant") as session:

        @guard.tool("pay.send", effect="pay", amount="amount", returns="INTERNAL")
        def pay(amount: int) -> str:
            raise AssertionError

        with pytest.raises(navicert.ActionSuspended) as held:
            pay(1)

    assert "carries PUBLIC, and" in run("sessions").output.splitlines()[-1]
    assert "from earlier sessions" in " ".join(run("session", session.id).output.split())
    assert "earlier sessions: " in run("show", held.value.handle).output


def test_tools_stand_in_columns_with_what_they_do_as_they_were_accepted(run, tmp_path):
    server = Path(__file__).resolve().parents[2] / "gateway/echo_server.py"
    entry = {"command": sys.executable, "args": [str(server), str(tmp_path)]}
    config = tmp_path / "client.json"
    config.write_text(json.dumps({"mcpServers": {"notes": entry}}), encoding="utf-8")
    accepted = run("attach", str(config), "--accept").output.splitlines()
    shown = run("tools", "notes").output.splitlines()

    row = next(line for line in shown if "delete_note" in line)
    assert re.fullmatch(r"✓ delete_note +accepted  delete +resource: path", row)
    assert shown[2].index("parameters by role") == row.index("resource: path")
    assert next(line for line in accepted if "delete_note" in line).split()[1:] == row.split()[3:]
    assert max(map(len, shown)) <= 100


def test_a_server_that_is_not_behind_the_gateway_is_left_as_it_is(run, tmp_path):
    config = tmp_path / "client.json"
    config.write_text('{"mcpServers":  {"notes": {"command": "x"}}}', encoding="utf-8")
    before = config.read_bytes()

    assert "no server of it is behind the gateway; it was left as it is" in run("detach", str(config)).output
    asked = run("attach", str(config), code=2)
    assert "there is no terminal to ask on" in asked.stderr
    assert "--accept" in asked.stderr
    assert "Abort" not in asked.output
    assert config.read_bytes() == before


def test_tail_follows_new_receipts(home):
    program = [sys.executable, "-c", "from navicert.cli import main; main()", "tail", "-n", "1", "--follow", "--json"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(program, cwd=home, env=env, stdout=subprocess.PIPE, text=True) as tail:
        killer = threading.Timer(30, tail.kill)
        killer.start()
        try:
            assert tail.stdout is not None
            assert json.loads(tail.stdout.readline())["kind"] == "decision"  # of the action that stayed open
            with navicert.open(home) as guard:
                guard.session(request="go on", human="ana", agent="late").end()
            assert json.loads(tail.stdout.readline())["kind"] == "boot"
        finally:
            tail.kill()
            killer.cancel()


def test_show_names_the_digest_first_and_what_happens_at_the_deadline(run, read):
    wait = next(item for item in read("status")["waiting"] if item["verdict"] == "STEP_UP")
    lines = run("show", wait["handle"]).output.splitlines()

    assert lines[0].split() == ["digest", read("show", wait["handle"])["wait"]["digest"]]
    text = " ".join(" ".join(lines).split())
    assert "then it is denied" in text
    assert "may answer ben" in text
    assert "look after the shop" in text
    assert "email.send" in text  # the actions before it


@pytest.mark.parametrize("kind", ["handle", "action_id"])
def test_show_takes_every_name_of_an_action(read, kind):
    wait = read("status")["waiting"][0]
    shown = read("show", wait[kind])
    receipt = shown["receipts"][0]

    assert shown["action_id"] == wait["action_id"]
    assert read("show", receipt["receipt_id"]) == shown
    assert read("show", str(receipt["seq"])) == shown


def test_show_renders_what_an_agent_wrote_inert(run, read):
    receipts = [json.loads(line) for line in run("tail", "-n", "100", "--json").stdout.splitlines()]
    mail = next(item for item in receipts if item["action"] and item["action"]["name"] == "email.send")
    shown = run("show", str(mail["seq"])).output

    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert "‹U+202E›" in shown
    assert "‹60 blank lines›Bcc: eve@evil.example" in shown
    assert "\u202e" in read("show", str(mail["seq"]))["receipts"][0]["action"]["parameters"]["body"]


def test_json_reaches_a_terminal_as_ascii(run):
    output = run("tail", "-n", "100", "--json").stdout

    assert output.isascii()
    assert "\x1b" not in output


def test_show_says_what_the_policy_changed(run, read):
    receipts = [json.loads(line) for line in run("tail", "-n", "100", "--json").stdout.splitlines()]
    query = next(item for item in receipts if item["action"] and item["action"]["name"] == "db.query")

    shown = run("show", str(query["seq"])).output
    assert re.search(
        r"^What exactly\n  limit +100\n  sql +select 1\n\nChanged by the policy\n  limit +10\n", shown, re.MULTILINE
    )


def test_a_package_verifies_by_itself_and_a_changed_one_does_not(run, read, tmp_path):
    package = tmp_path / "package.json"
    handle = read("status")["waiting"][0]["handle"]
    run("show", handle, "--package", str(package))
    run("show", handle, "--package", str(package), code=2)  # never over a file

    assert "verified" in run("verify", str(package)).output
    data = package.read_text(encoding="utf-8")
    package.write_text(data.replace('\\"agent\\":\\"assistant\\"', '\\"agent\\":\\"assistent\\"'), encoding="utf-8")
    assert "bad_signature" in run("verify", str(package), code=5).stderr


def test_an_unknown_name_is_a_usage_error(run):
    assert "nothing here is named `act_none`" in run("show", "act_none", code=2).stderr
    assert "there is no session `ses_none`" in run("session", "ses_none", code=2).stderr


def test_settle_closes_an_open_action_with_name_and_reason(run, read):
    opened = read("status")["open"]
    run("settle", opened[0]["action_id"], "--not-ran", *OPEN_BY)
    receipt = read("show", opened[0]["action_id"])["receipts"][-1]

    assert len(opened) == 1
    assert read("status")["open"] == []
    assert receipt["execution"]["settled_by"] == "ben"
    assert receipt["execution"]["output"] == {"settled": "the server never saw it"}
    assert not receipt["execution"]["success"]
    assert run("verify").exit_code == 0
    assert "is not an open action" in run("settle", opened[0]["action_id"], "--ran", *OPEN_BY, code=2).stderr


def test_what_was_settled_may_be_tried_again_and_not_before(home, run, read):
    def again():
        with navicert.open(home) as guard:

            @guard.tool("email.hang", effect="send", returns="INTERNAL")
            def hang() -> str:
                return "sent at last"

            with guard.session(request="try again", human="ana", agent="assistant"):
                return hang()

    with pytest.raises(navicert.ActionDenied, match="open"):
        again()
    run("settle", read("status")["open"][0]["action_id"], "--not-ran", *OPEN_BY)
    assert again() == "sent at last"


def test_settle_wants_to_know_which(run, read):
    opened = read("status")["open"][0]["action_id"]

    assert "--ran or --not-ran" in run("settle", opened, *OPEN_BY, code=2).stderr


def test_a_rotated_key_keeps_old_receipts_verifiable(run, read):
    before = read("key", "publish")["fingerprint"]
    rotation = read("key", "rotate")

    assert rotation["fingerprint"] == read("key", "publish")["fingerprint"] == before
    assert rotation["listed"]
    assert run("verify").exit_code == 0
    assert run("doctor").exit_code == 0


def test_a_new_key_is_private_and_never_overwrites(run, tmp_path):
    path = tmp_path / "new.pem"
    run("key", "new", str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    run("key", "new", str(path), code=2)


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda home: (home / "keys" / "receipt.pem").chmod(0o644), "modes"),
        (lambda home: home.chmod(0o755), "modes"),
        (lambda home: (home / "keys" / "pseudonym.key").unlink(), "keys"),
        (lambda home: (home / "policy.yaml").write_text("policy: x\n"), "policy"),
        (lambda home: (home / "trust.json").write_text('{"origin": "tests", "keys": []}'), "trust"),
        (lambda home: (home / "store.db").write_bytes(b"not a database" * 100), "store"),
    ],
)
def test_doctor_finds_what_is_broken(home, read, break_it, code):
    break_it(home / ".navicert")
    document = read("doctor", code=1)

    errors = [item for item in document["findings"] if item["level"] == "error"]
    assert code in {item["code"] for item in errors}
    assert all(item["do"] and item["where"] for item in errors)


def test_doctor_says_in_plain_words_what_is_not_protected(read):
    found = {item["code"]: item for item in read("doctor")["findings"]}

    assert found["separation"]["level"] == "warning"
    assert "rewrite the log without asking" in found["separation"]["what"]
    assert found["identity"]["level"] == "warning"


BOUNDED = """\
policy: tests
version: 1
posture: declared_tools
risk_limit: 20
intents: {support: {tools: '*'}}
rules:
  - {id: counted, match: {tool: email}, adds_risk: 7}
  - {id: no-mail, match: {tool: email}, decision: DENY, shadow: true}
"""


def test_intent_risk_and_what_shadow_rules_would_decide_are_shown(tmp_path):
    home = make_home(tmp_path / "app", origin="tests", service="tests", policy=BOUNDED)
    with navicert.open(home.folder) as guard:

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: str) -> str:
            return "sent"

        with guard.session(request="help", human="ana", agent="bot", intent="support") as session:
            send("ann@company.com")

    def call(*args):
        result = CliRunner().invoke(main, ["--home", str(home.folder), *args])
        assert result.exit_code == 0, result.output
        return result.stdout

    (item,) = json.loads(call("sessions", "--json"))["sessions"]
    assert (item["intent"], item["risk"]) == ("support", 7)
    text = call("session", session.id)
    assert re.search(r"intent +support\n", text)
    assert re.search(r"risk +7 points\n", text)
    assert "in shadow: DENY by no-mail" in text
    receipts = json.loads(call("session", session.id, "--json"))["receipts"]
    assert receipts[0]["decision"]["shadow"] == {"verdict": "DENY", "rules": ["no-mail"]}
    assert re.search(r"in shadow +DENY by no-mail\n", call("show", receipts[0]["action"]["id"]))
    assert "2 rules (1 in shadow)" in call("status")


def _on_a_terminal(home, **env):
    master, slave = pty.openpty()
    full = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1", **env}
    program = [sys.executable, "-c", "from navicert.cli import main; main()", "tail"]
    with subprocess.Popen(program, cwd=home, env=full, stdout=slave, stderr=slave) as process:
        os.close(slave)
        data = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            data += part
        assert process.wait(30) == 0
    os.close(master)
    return data.decode()


def test_styles_stand_on_a_terminal_and_not_under_no_color(home):
    styled = _on_a_terminal(home, NO_COLOR="")
    plain = _on_a_terminal(home, NO_COLOR="1")

    assert "\x1b[32m● ALLOW" in styled
    assert "\x1b" not in plain
    assert "● ALLOW" in plain
