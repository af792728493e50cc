from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from email import message_from_bytes

import pytest

VERDICTS = ["ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "DENY", "MODIFY", "STEP_UP", "DEFER", "ALLOW", "DEFER", "DENY"]
ENDS = [("ALLOW", "crm.delete", 8), ("ALLOW", "vault.rotate", 9), ("DENY", "deploy.start", 11)]


def navicert(folder, *args):
    return subprocess.run(
        [sys.executable, "-c", "from navicert.cli import main; main()", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One run of `navicert quickstart` in an empty folder."""
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, navicert(folder, "quickstart")


def test_it_runs_through_in_under_ten_seconds(demo):
    _, result = demo

    assert (result.returncode, result.stderr) == (0, "")
    assert float(re.findall(r"all of this took (\d+\.\d) s", result.stdout)[0]) < 10


def test_it_fits_100_columns_without_escapes(demo):
    _, result = demo

    assert "\x1b" not in result.stdout
    assert [line for line in result.stdout.splitlines() if len(line) > 100] == []


def test_all_five_verdicts_are_shown_in_order_with_the_line_that_caused_each(demo):
    folder, result = demo
    rows = re.findall(r"^ +\d+  . ([A-Z_]+) .*?(built in|policy\.yaml:(\d+))$", result.stdout, re.MULTILINE)

    policy = (folder / "navicert-demo" / ".navicert" / "policy.yaml").read_text(encoding="utf-8").splitlines()
    assert [verdict for verdict, _, _ in rows] == VERDICTS
    assert [re.sub(r".*- id: ", "", policy[int(line) - 1]) if line else place for _, place, line in rows] == [
        "workspace-files",
        "mail-to-partners",
        "twenty-rows",
        "personal-data-stays",
        "personal-data-stays",
        "tables-are-never-dropped",
        "twenty-rows",
        "deleting-needs-a-person",
        "rotate-in-staging",
        "deploy-status",
        "deploy-in-the-window",
        "built in",
    ]


def test_what_waited_is_approved_found_out_or_timed_out(demo):
    _, result = demo
    rows = re.findall(r"^ +\d+  . ([A-Z_]+) .* ([a-z]+\.[a-z]+) +from (\d+)$", result.stdout, re.MULTILINE)

    assert [(verdict, name, int(attempt)) for verdict, name, attempt in rows] == ENDS


def test_a_person_in_another_process_stands_in_the_receipt_of_what_ran(demo):
    folder, _ = demo
    lines = navicert(folder, "--home", "navicert-demo", "tail", "--json").stdout.splitlines()
    receipts = [json.loads(line) for line in lines]
    resolved = [item for item in receipts if item["kind"] == "resolution"]

    assert len(resolved) == 3
    assert "ben" in json.dumps(resolved)


def test_the_mail_server_holds_one_message_and_it_is_the_one_that_was_allowed(demo):
    folder, _ = demo
    (path,) = (folder / "navicert-demo" / "mailbox").iterdir()
    message = message_from_bytes(path.read_bytes())

    assert message["To"] == "orders@partner.example"
    assert "@mail.example" not in path.read_text(encoding="utf-8")


def test_one_customer_is_deleted_once_a_person_said_so_and_the_table_stands(demo):
    folder, _ = demo
    database = sqlite3.connect(folder / "navicert-demo" / "customers.db")
    (count,) = database.execute("SELECT count(*) FROM customers").fetchone()
    kept = database.execute("SELECT id FROM customers WHERE id = 7").fetchall()
    database.close()

    assert (count, kept) == (239, [])


def test_the_credential_was_rotated_once_its_environment_was_found_out(demo):
    folder, _ = demo

    assert json.loads((folder / "navicert-demo" / "vault.json").read_text(encoding="utf-8")) == {"mail-api": 2}


def test_the_deploy_service_was_asked_and_not_started(demo):
    folder, _ = demo

    assert (folder / "navicert-demo" / "requests.log").read_text(encoding="utf-8") == "GET /status\n"


def test_the_log_verifies_and_nothing_waits_any_more(demo):
    folder, _ = demo
    report = json.loads(navicert(folder, "--home", "navicert-demo", "verify", "--json").stdout)
    status = json.loads(navicert(folder, "--home", "navicert-demo", "status", "--json").stdout)

    assert report["verified"]
    assert report["report"]["open"] == []
    assert status["waiting"] == []
    assert status["verdicts"]["STEP_UP"] == 1
    assert status["verdicts"]["DEFER"] == 2


def test_every_command_that_it_names_works(demo):
    folder, result = demo
    commands = re.findall(
        r"^  navicert ((?:tail|sessions|show|verify)[^ ]*(?: wait_\w+)?)", result.stdout, re.MULTILINE
    )

    assert len(commands) == 4
    for command in commands:
        assert navicert(folder / "navicert-demo", *command.split()).returncode == 0, command


def test_a_second_run_refuses_and_changes_nothing(demo):
    folder, _ = demo
    before = (folder / "navicert-demo" / ".navicert" / "policy.yaml").stat()
    result = navicert(folder, "quickstart")

    assert (result.returncode, result.stdout) == (2, "")
    assert "nothing is overwritten" in result.stderr
    assert "navicert quickstart --again navicert-demo" in result.stderr
    assert (folder / "navicert-demo" / ".navicert" / "policy.yaml").stat() == before


def test_an_edited_policy_is_what_the_next_run_is_judged_by(tmp_path):
    navicert(tmp_path, "quickstart", "d")
    policy = tmp_path / "d" / ".navicert" / "policy.yaml"
    text = policy.read_text(encoding="utf-8")
    edited = text.replace("decision: STEP_UP\n    approvers: [ben]\n    timeout: 1h\n", "decision: ALLOW\n")
    assert edited != text
    policy.write_text(edited, encoding="utf-8")
    document = json.loads(navicert(tmp_path, "quickstart", "--again", "d", "--json").stdout)

    assert [item["verdict"] for item in document["actions"]] == [*VERDICTS[:7], "ALLOW", *VERDICTS[8:]]
    found = [(proof["found"], proof["permitted"]) for proof in document["proofs"]]
    assert found == [(2, 2), (1, 2), (2, 2), (2, 2), (0, 0)]
    assert document["verified"]


def test_the_json_has_the_documented_shape(tmp_path):
    from pathlib import Path

    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
    section = page.read_text(encoding="utf-8").split("\n## quickstart\n")[1]
    expected = json.loads(re.findall(r"```json\n(.*?)```", section, re.DOTALL)[0])
    document = json.loads(navicert(tmp_path, "quickstart", "--json").stdout)

    assert document.keys() == expected.keys()
    assert document["actions"][0].keys() == expected["actions"][0].keys()
    assert document["proofs"][0].keys() == expected["proofs"][0].keys()


def test_without_the_mail_server_it_says_what_to_install_and_makes_nothing(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aiosmtpd'] = None\n", encoding="utf-8")
    program = "import sys; sys.modules['aiosmtpd'] = None\nfrom navicert.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", program, "quickstart", "d"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 6
    assert "pip install 'navicert[demo]'" in result.stderr
    assert not (tmp_path / "d").exists()
