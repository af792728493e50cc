"""The policies to start from do what their tests say; `navicert init --pack` puts both at hand (families F, G)."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from navicert.cli.init import PACKS
from navicert.lint import lint
from navicert.syntax import read_policy


def navicert(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "navicert", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("pack", PACKS)
def test_a_home_made_with_a_pack_passes_its_own_tests(pack: str, tmp_path: Path) -> None:
    assert navicert("init", "--pack", pack, folder=tmp_path).returncode == 0
    played = navicert("test", "--require-coverage", "--json", folder=tmp_path)
    assert (played.returncode, played.stderr) == (0, "")
    assert json.loads(played.stdout)["format"].startswith("navicert/test/")


@pytest.mark.parametrize("pack", PACKS)
def test_a_home_made_with_a_pack_fails_its_tests_once_a_rule_is_gone(pack: str, tmp_path: Path) -> None:
    navicert("init", "--pack", pack, folder=tmp_path)
    policy = tmp_path / ".navicert" / "policy.yaml"
    text = policy.read_text()
    assert text.count("decision: DENY") > 1
    policy.write_text(
        text.replace("decision: DENY", "decision: ALLOW").replace("classification: forbidden", "risk: low")
    )
    assert navicert("test", folder=tmp_path).returncode in {3, 4}


@pytest.mark.parametrize("pack", PACKS)
def test_no_change_of_a_pack_survives_its_tests_but_those_that_they_accept(pack: str) -> None:
    with as_file(files("navicert.starter")) as folder:
        played = navicert("test", "--mutate", "--json", f"{pack}.test.yaml", folder=folder)
    mutation = json.loads(played.stdout)["policies"][0]["mutation"]

    assert [item for item in mutation["survivors"] if not item["accepted"]] == mutation["stale"] == []
    assert played.returncode == 0
    assert len(mutation["survivors"]) < 0.2 * mutation["tried"]


@pytest.mark.parametrize("pack", [(), *(("--pack", pack) for pack in PACKS)])
def test_the_policy_of_a_new_home_is_in_the_one_layout(pack: tuple[str, ...], tmp_path: Path) -> None:
    assert navicert("init", *pack, folder=tmp_path).returncode == 0
    checked = navicert("fmt", "--check", folder=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_has_nothing_that_lint_minds(pack: str) -> None:
    text = files("navicert.starter").joinpath(f"{pack}.yaml").read_text(encoding="utf-8")
    assert [item.code for item in lint(*read_policy(text)) if item.severity != "note"] == []


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_permits_declared_reads_and_is_read_in_five_minutes(pack: str) -> None:
    text = files("navicert.starter").joinpath(f"{pack}.yaml").read_text(encoding="utf-8")
    assert read_policy(text)[0].posture == "declared_reads"
    assert len(text.splitlines()) <= 140
