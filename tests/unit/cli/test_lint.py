"""`navicert lint` and `navicert schema`: exit codes, what people read, what programs read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from navicert.cli import main

HEAD = "policy: p\nversion: 1\nposture: deny\n"
CLEAN = HEAD + "rules: []\n"
WARNED = HEAD + "rules:\n  - {id: a, match: {effect: send, destination: {contains: '@a.example'}}, decision: ALLOW}\n"
NOTED = HEAD.replace("deny", "declared_tools")
BROKEN = HEAD + "rules:\n  - {id: a, decision: PERMIT}\n"


PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/cli.md").read_text(encoding="utf-8")


def documented(verb):
    section = PAGE.split(f"\n## {verb}\n", 1)[1].split("\n## ", 1)[0]
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def call(*args: str):
    return CliRunner().invoke(main, list(args))


@pytest.mark.parametrize(("text", "code"), [(CLEAN, 0), (NOTED, 0), (WARNED, 1), (BROKEN, 3)])
def test_the_exit_code_says_whether_there_are_findings(file, text, code):
    for options in ([], ["--json"]):
        result = call("lint", file(text), *options)
        assert result.exit_code == code, result.output
        assert (result.stdout == "") is (code == 3)


def test_a_finding_shows_place_line_and_caret(file):
    lines = call("lint", file(WARNED)).stdout.splitlines()

    assert lines[0].endswith("rules.yaml:5:35   rule `a`")
    assert lines[0].startswith("▲ warning  NV134  ")
    assert lines[1] == "    5 │ " + WARNED.splitlines()[4]
    assert lines[2].index("^") == lines[1].index("destination")
    assert lines[-1] == "1 warning"


def test_the_caret_stands_under_its_key_where_spaces_stand_before_it(file):
    deep = HEAD + "rules:\n  - id: a\n    match:\n        tool:     x\n        destination: {contains: a.example}\n"
    lines = call("lint", file(deep + "    decision: ALLOW\n")).stdout.splitlines()

    assert lines[1] == "    8 │         destination: {contains: a.example}"
    assert lines[2].index("^") == lines[1].index("destination")


def test_the_caret_stands_under_its_key_in_a_long_line_too(file):
    long = WARNED.replace("{id: a,", "{id: a, reason: '" + "much " * 40 + "',")
    lines = call("lint", file(long)).stdout.splitlines()

    assert lines[1][lines[2].index("^") :].startswith("destination")
    assert all(len(line) <= 100 for line in lines[1:])


def test_a_policy_without_findings_says_so(file):
    assert call("lint", file(CLEAN)).stdout.endswith("rules.yaml: nothing found\n")


def test_what_does_not_load_is_the_message_of_the_reader(file):
    result = call("lint", file(BROKEN))

    assert "rules.yaml:5:23: `decision` cannot be `PERMIT`" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_said_in_one_line(tmp_path):
    result = call("lint", str(tmp_path / "none.yaml"))

    assert (result.exit_code, result.stdout) == (3, "")
    assert "none.yaml: the policy cannot be read: no such file or directory; name a policy file" in result.stderr


def test_without_a_file_it_looks_at_the_policy_of_the_home(read):
    document = read("lint")

    assert document["file"].endswith(".navicert/policy.yaml")
    assert [item["code"] for item in document["findings"]] == ["NV122", "NV111"]


def test_json_of_findings_has_the_documented_shape(file):
    document = json.loads(call("lint", file(WARNED), "--json").stdout)
    expected = documented("lint")[0]

    assert document.keys() == expected.keys()
    assert document["findings"][0].keys() == expected["findings"][0].keys()
    assert (document["errors"], document["warnings"], document["notes"]) == (0, 1, 0)


@pytest.mark.parametrize("of", ["policy", "config"])
def test_the_schema_stands_alone_or_in_a_document(of):
    schema = json.loads(call("schema", of).stdout)
    document = json.loads(call("schema", of, "--json").stdout)

    assert document == {"format": "navicert/schema/1", "of": of, "schema": schema}
    assert document.keys() == documented("schema")[0].keys()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_schema_of_something_else_is_misuse():
    assert call("schema", "receipts").exit_code == 2
