"""What is published of a run is made from its results, and shows a missed aim as one."""

from __future__ import annotations

import copy
import json
import xml.etree.ElementTree as ET
from typing import Any

import published
import pytest

SHARE = {"is": 1, "of": 2, "share": 0.5}
COUNTS = {"scenes": 3, **{key: 1 for key, _ in published.SCENES}}


def results() -> dict[str, Any]:
    """Return results in which every share is a half."""
    suites: dict[str, Any] = {
        "adaptive": {
            name: {"proof": {"deny": dict(COUNTS)}, "held_out": {"ask": dict(COUNTS)}} for name in published.APPROVERS
        }
    }
    for line in published.LINES:
        for approver in published.APPROVERS:
            groups = suites.setdefault(line.suite, {}).setdefault(approver, {"all": {}, "part": {}})
            groups["all"][line.key] = dict(SHARE)
            groups["part"][line.key] = dict(SHARE)
    return {"schema": 1, "decider": "engine (assistant)", "every": 1, "only": "", "suites": suites}


def row(text: str, words: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {words}"))


def test_a_missed_aim_is_marked_and_one_that_is_met_is_not() -> None:
    line = published.LINES[0]
    assert "✕" in row(published.markdown(results()), line.words)
    met = results()
    met["suites"][line.suite]["nobody"]["all"][line.key] = {"is": 9, "of": 10, "share": line.aims["nobody"]}
    assert "✕" not in row(published.markdown(met), line.words)


def test_the_chart_is_one_picture_with_a_bar_for_each_figure_and_approver() -> None:
    picture = ET.fromstring(published.chart(results()))
    words = ["".join(item.itertext()) for item in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert all(line.words in words for line in published.LINES)
    assert words.count("50.0%") == len(published.LINES) * len(published.APPROVERS)


@pytest.mark.parametrize("change", [{"every": 10}, {"decider": "direct"}, {"only": "banking"}])
def test_only_a_full_run_through_the_engine_is_published(
    change: dict[str, Any], monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setattr(published, "FOLDER", tmp_path / "out")
    monkeypatch.setattr(published, "PAGE", tmp_path / "page.md")
    published.PAGE.write_text("before\n<!-- generated: figures -->\nold\n<!-- end -->\nafter\n")
    with pytest.raises(ValueError, match="full run"):
        published.publish(results() | change)
    assert not (tmp_path / "out").exists()
    published.publish(results() | {"seconds": {}})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "results.md", "chart.svg"}
    assert published.PAGE.read_text().startswith("before\n<!-- generated: figures -->\n| | nobody")
    assert published.PAGE.read_text().endswith("\n<!-- end -->\nafter\n")


def test_what_stands_in_the_documents_is_made_from_the_results_beside_it() -> None:
    kept = published.FOLDER / "results.json"
    made = published.made(json.loads(kept.read_text(encoding="utf-8")))
    assert {name: (published.FOLDER / name).read_text(encoding="utf-8") for name in made} == made


def test_a_change_of_one_figure_changes_what_is_made() -> None:
    other = copy.deepcopy(results())
    other["suites"]["dailylife"]["always"]["all"]["attacks_left"] = {"is": 0, "of": 2, "share": 0.0}
    before, after = published.made(results()), published.made(other)
    assert all(before[name] != after[name] for name in before)


def test_the_page_on_intent_holds_the_table_of_the_last_run() -> None:
    results = json.loads((published.FOLDER / "results.json").read_text())
    text = published.PAGE.read_text()

    assert published.page(text, results) == text
    assert f"| {published.LINES[0].words} |" in text
