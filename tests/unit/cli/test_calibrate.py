"""`navicert calibrate`: sessions in, thresholds with their rate out; nothing is changed (R7)."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

import navicert
from navicert.assemble import make_home
from navicert.cli import main
from navicert.cli.calibrate import KINDS
from navicert.intent.drift import PROFILES, Profile
from navicert.syntax import read_policy
from navicert.syntax.drift import COUNTS, SHARES

REQUEST = "find the invoices of May in my mail and write them to invoices.csv"
WORK = [
    {"tool": "mail.search", "parameters": {"query": "invoices of May"}},
    {"tool": "mail.read", "parameters": {"id": 7}},
    {"tool": "files.write", "parameters": {"path": "invoices.csv", "text": "the invoices of May"}},
]
ASTRAY = {"tool": "web.publish", "parameters": {"to": "forum", "body": "who has seen the match last night"}}
POLICY = "policy: p\nversion: 1\nposture: declared_tools\nrules: []\n"


def call(*args, code=0):
    result = CliRunner().invoke(main, [*map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def recorded(tmp_path):
    def write(good, bad=0, more=()):
        lines = [{"request": REQUEST, "actions": WORK[: 1 + place % 3] * 2} for place in range(good)]
        lines += [{"request": REQUEST, "actions": [*WORK, *[ASTRAY] * 6], "good": False}] * bad
        path = tmp_path / "sessions.jsonl"
        path.write_text("\n".join(map(json.dumps, [*lines, *more])) + "\n", encoding="utf-8")
        return path

    return write


def document(*args):
    return json.loads(call("calibrate", *args, "--json").stdout)


def test_thresholds_come_with_their_rate_and_how_many_sessions_it_rests_on(recorded):
    found = document(recorded(30, 6))

    assert found["format"] == "navicert/calibrate/1"
    assert found["false_alarms"]["sessions"]["of"] == 30
    assert found["false_alarms"]["actions"]["of"] == sum(each["actions"] for each in found["sessions"] if each["good"])
    assert found["false_alarms"]["sessions"]["high_ppm"] > found["false_alarms"]["sessions"]["low_ppm"]
    assert found["caught"]["times"] == 6
    assert {each["off"] > 0 for each in found["sessions"] if not each["good"]} == {True}
    assert {each["off"] for each in found["sessions"] if each["good"]} == {0}


def test_what_is_to_be_pasted_loads_and_says_the_same_thresholds(recorded):
    found = document(recorded(25), "--profile", "coding")
    policy, _ = read_policy(POLICY + found["policy"])

    assert policy.drift["weight_ppm"] == PROFILES["coding"].weight_ppm
    assert found["thresholds"] == {key: policy.drift[field] for key, (field, _) in (SHARES | COUNTS).items()}


@pytest.mark.parametrize("good", [1, 4, 19])
def test_with_few_sessions_it_says_how_little_the_rate_is_worth(recorded, good):
    text = call("calibrate", recorded(good)).stdout

    assert f"with {good} good session" in text
    assert "cannot be told better than ±" in text


def test_with_enough_sessions_and_no_bad_one_it_says_what_is_not_known(recorded):
    text = call("calibrate", recorded(20)).stdout

    assert "cannot be told better" not in text
    assert "not known: no bad session was given" in text
    assert "<- limit" in text


def test_the_chart_is_well_formed_and_has_a_line_for_each_session(recorded, tmp_path):
    svg = tmp_path / "drift.svg"
    call("calibrate", recorded(12, 3), "--svg", svg)
    lines = ET.parse(svg).getroot().findall("{http://www.w3.org/2000/svg}polyline")

    assert [line.get("class") for line in lines] == ["path good"] * 12 + ["path bad"] * 3


def test_a_session_named_as_bad_is_bad_and_one_that_is_not_there_is_an_error(recorded):
    path = recorded(5)
    found = document(path, "--bad", "sessions.jsonl:2")

    assert [each["good"] for each in found["sessions"]] == [True, False, True, True, True]
    assert "no session `nobody`" in call("calibrate", path, "--bad", "nobody", code=2).stderr


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "sessions.jsonl:3"),
        ('{"request": "x", "actions": [{}]}', "either `tool`, or `said`"),
        ('{"request": "x", "actions": [{"tool": "a", "level": "HIGH"}]}', "`HIGH` is no level"),
        ('{"request": "x", "actions": [{"tool": "a", "distance_ppm": 1000001}]}', "1000000"),
        ('{"request": "x", "acts": []}', "acts"),
    ],
)
def test_a_line_that_is_no_recording_is_named_with_its_place(recorded, line, why):
    path = recorded(2)
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    error = call("calibrate", path, code=2).stderr

    assert "sessions.jsonl:3" in error
    assert why in error


def test_without_a_good_session_nothing_is_proposed(recorded):
    assert "no good session" in call("calibrate", recorded(0, 3), code=2).stderr
    assert "cannot be read" in call("calibrate", recorded(1).with_name("none.jsonl"), code=2).stderr


def test_what_a_recording_states_stands_over_what_is_measured(recorded):
    near = {"request": REQUEST, "actions": [{**ASTRAY, "distance_ppm": 0, "finding": "asked"}] * 9}
    found = document(recorded(20, more=[near]))

    assert found["sessions"][-1]["highest_ppm"] == 0


def test_words_of_the_user_in_a_recording_begin_the_sum_anew(recorded):
    far = {**ASTRAY, "distance_ppm": 1_000_000}
    whole = {"request": REQUEST, "actions": [far] * 6, "good": False}
    spoken = {"request": REQUEST, "actions": [*[far] * 3, {"said": "go on"}, *[far] * 3], "good": False}
    one, other = document(recorded(20, more=[whole, spoken]))["sessions"][-2:]

    assert one["actions"] == other["actions"] == 6
    assert one["highest_ppm"] == 2 * other["highest_ppm"] > 0


def test_the_sessions_of_a_home_and_of_its_bundle_are_read_once_they_verify(tmp_path, monkeypatch):
    make_home(tmp_path / ".navicert", origin="tests", service="tests", policy=POLICY)
    with navicert.open(tmp_path) as guard:

        @guard.tool("mail.search", effect="read", returns="INTERNAL")
        def search(query: str) -> list[str]:
            return [query]

        for _ in range(3):
            with guard.session(request=REQUEST, human="ana", agent="assistant") as session:
                search("invoices")
                session.user_says("and those of June")
                search("invoices of June")
    monkeypatch.chdir(tmp_path)
    own = document()
    assert [(each["actions"], each["good"]) for each in own["sessions"]] == [(2, True)] * 3
    call("export", "--to", "out.bundle")
    assert [each["name"] for each in document("out.bundle")["sessions"]] == [each["name"] for each in own["sessions"]]
    name = own["sessions"][0]["name"]
    assert [each["good"] for each in document("--bad", name)["sessions"]] == [False, True, True]

    data = bytearray((tmp_path / "out.bundle").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "out.bundle").write_bytes(data)
    call("calibrate", "out.bundle", code=5)


def test_the_document_has_the_documented_fields(recorded):
    page = (Path(__file__).resolve().parents[3] / "docs/reference/cli.md").read_text(encoding="utf-8")
    shown = json.loads(page.split("\n## calibrate\n")[1].split("```json\n")[1].split("```")[0])
    found = document(recorded(3, 1))

    assert set(shown) == set(found)
    for key in ("thresholds", "false_alarms", "warned", "caught"):
        assert set(shown[key]) == set(found[key])
    assert set(shown["sessions"][0]) == set(found["sessions"][0])


def test_the_table_of_profiles_is_that_of_the_code():
    page = (Path(__file__).resolve().parents[3] / "docs/explanation/drift.md").read_text(encoding="utf-8")
    for kind in KINDS:
        cells = next(line for line in page.splitlines() if line.startswith(f"| `{kind}`")).split("|")[2:-1]
        values = [
            getattr(PROFILES[kind], field) / (1e6 if field.endswith("_ppm") else 1)
            for field, _ in (SHARES | COUNTS).values()
        ]
        assert [float(cell) for cell in cells] == values


def test_every_threshold_of_a_profile_and_every_kind_of_agent_has_its_name():
    assert {field for field, _ in (SHARES | COUNTS).values()} == {*Profile.__struct_fields__} - {"weight_ppm"}
    assert set(KINDS) == set(PROFILES)
