from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from navicert.cli import VERBS, main

BY = ("--by", "ben", "--reason", "it stands in the list")
ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def documented(verb):
    """Return the JSON documents that the page shows for a verb."""
    section = PAGE.split(f"\n## {verb}\n", 1)[1].split("\n## ", 1)[0]
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented_with_its_json(verb):
    shown = [item["format"].startswith("navicert/") for item in documented(verb)]
    assert bool(shown) is (verb != "mcp")  # whose standard output belongs to the protocol
    assert f"`navicert {verb}" in PAGE


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb):
    result = CliRunner().invoke(main, [verb, "--help"])

    assert result.exit_code == 0
    inner = {"key": "rotate", "log": "proof", "approver": "add", "witness": "run", "conformance": "run"}.get(verb)
    options = CliRunner().invoke(main, [verb, inner, "--help"]).output if inner else result.output
    assert "--json" in options
    assert "--home" in options


def test_no_option_disables_enforcement():
    names = "\n".join(CliRunner().invoke(main, [verb, "--help"]).output for verb in VERBS)

    assert re.findall(r"--(?:force|unsafe|no-|disable|skip|insecure|yes)[a-z-]*", names) == []


def test_every_code_of_doctor_is_documented():
    sources = (ROOT / "src" / "navicert" / "doctor").glob("*.py")
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    codes = set(re.findall(r'Finding\(\s*"([a-z]+)"', source))

    assert {code for code in codes if f"| `{code}` |" not in PAGE} == set()


@pytest.mark.parametrize("verb", ["status", "doctor", "sessions", "inbox", "authority"])
def test_json_has_the_documented_shape(read, verb):
    expected, document = documented(verb)[0], read(verb)

    assert document["format"] == expected["format"]
    assert document.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, list) and value and document[name]:
            assert document[name][0].keys() == value[0].keys()


def test_json_of_a_session_and_of_an_action_has_the_documented_shape(read):
    session = read("sessions")["sessions"][0]["session"]
    handle = read("status")["waiting"][0]["handle"]
    action = read("show", handle)

    assert read("session", session).keys() == documented("session")[0].keys()
    assert action.keys() == documented("show")[0].keys()
    assert action["wait"].keys() == documented("show")[0]["wait"].keys()
    assert action["wait"]["identity"].keys() == documented("show")[0]["wait"]["identity"].keys()


def test_json_of_a_receipt_has_the_documented_shape(run):
    expected = documented("tail")[0]
    lines = [json.loads(line) for line in run("tail", "-n", "100", "--json").stdout.splitlines()]

    modified = next(item for item in lines if item["decision"] and item["decision"]["verdict"] == "MODIFY")
    assert modified.keys() == expected.keys()
    assert {name: sorted(modified[name]) for name in ("action", "requester", "decision", "context", "signature")} == {
        name: sorted(expected[name]) for name in ("action", "requester", "decision", "context", "signature")
    }


def test_json_of_verification_has_the_documented_shape(read):
    expected, document = documented("verify")[0], read("verify")

    assert document.keys() == expected.keys()
    assert document["report"].keys() == expected["report"].keys()
    assert document["verified"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("nope",), 2, "navicert: no such command 'nope'; see `navicert --help`"),
        (("tail", "--nope"), 2, "navicert: no such option '--nope', did you mean "),
        (("show",), 2, "navicert: missing argument 'ID'; see `navicert show --help`"),
        (("--home", "/nonexistent", "status"), 3, "navicert: /nonexistent: no .navicert folder here or above; "),
        (("verify", "--trust", "/nonexistent"), 5, "navicert: /nonexistent: the trust file cannot be read"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(args, code, message, spawn, tmp_path):
    result = spawn(*args, cwd=tmp_path)

    assert result.returncode == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(message)


def test_an_error_shows_hostile_names_inert(spawn, tmp_path):
    result = spawn("--home", "no\x1b[31m\u202ewhere", "status", cwd=tmp_path)

    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr
    assert result.returncode == 3


def test_a_broken_policy_is_exit_code_3_and_named_by_place(home, run):
    policy = home / ".navicert" / "policy.yaml"
    policy.write_text("policy: tests\nversion: 1\nposture: maybe\n", encoding="utf-8")

    assert "policy.yaml:3:10" in run("doctor", code=1).output
    (opened,) = json.loads(run("status", "--json").stdout)["open"]
    assert "policy.yaml:3:10" in run("settle", opened["action_id"], "--ran", *BY, code=3).stderr


def test_a_changed_log_is_exit_code_5(home, run):
    import sqlite3

    with sqlite3.connect(home / ".navicert" / "store.db") as store:
        (data,) = store.execute("SELECT bytes FROM log WHERE seq = 3").fetchone()
        store.execute("UPDATE log SET bytes = ? WHERE seq = 3", (data.replace(b'"surface":"sdk"', b'"surface":"sdx"'),))
    store.close()

    assert "bad_signature" in run("verify", code=5).stderr
    assert json.loads(run("verify", "--json", code=5).stdout)["code"] == "bad_signature"
    assert "✕ error" in run("doctor", code=1).output


def test_help_loads_no_verb(spawn, tmp_path):
    result = spawn("--help", cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")

    loaded = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert {"navicert.assemble", "cryptography", "sqlite3", "yaml"} & loaded == set()
    assert all(verb in result.stdout for verb in VERBS)


def test_without_a_terminal_there_are_no_styles(spawn, home):
    for args in (("tail",), ("status",), ("sessions",), ("doctor",), ("verify",)):
        result = spawn(*args, cwd=home)
        assert "\x1b" not in result.stdout
        assert max(len(line) for line in result.stdout.splitlines()) <= 100, args


def test_without_utf_8_every_sign_has_a_spelling(spawn, home):
    result = spawn("tail", cwd=home, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert result.returncode == 0
    assert "* ALLOW" in result.stdout
    assert result.stdout.isascii()
