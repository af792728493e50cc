"""Where paths really lead: links, `..` and doubles, on a real file system (attack cases C.5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from navicert.adapters.detect.paths import RealPaths
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.identity import Claims
from navicert.model.signals import Finding
from navicert.testing.deployment import open_bench

CONTEXT = SessionContext(session_id="s", request="r", claims=Claims(), salt="", started_at=0, last_at=0)
PROFILE = ToolProfile(
    tool="files.write", effect=Effect.WRITE, categories=("files",), resource=("path",), destination=("to",)
)


def measured(detector: RealPaths, profile: ToolProfile | None = PROFILE, **parameters: Any) -> Finding:
    action = Action(
        action_id="a", tool="files", operation="write", parameters=parameter_bytes(parameters), digest="0" * 64,
        submitted_at=0, profile=profile,
    )  # fmt: skip
    return detector.measure(action, parameters, CONTEXT)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with a plain file, a link that leads out of it, and a second name of a file outside."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "plain.txt").write_text("x")
    (tmp_path / "secret.txt").write_text("x")
    (folder / "out").symlink_to(tmp_path)
    os.link(tmp_path / "secret.txt", folder / "second-name.txt")
    (folder / "circle").symlink_to(folder / "circle")
    return folder


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("plain.txt", "desk/plain.txt"),
        ("./a/../plain.txt", "desk/plain.txt"),
        ("new/file.txt", "desk/new/file.txt"),
        ("out/secret.txt", "secret.txt"),
        ("../secret.txt", "secret.txt"),
        ("out/desk/out//secret.txt", "secret.txt"),
    ],
)
def test_a_path_is_where_its_links_lead(desk: Path, path: str, leads_to: str) -> None:
    found = measured(RealPaths(desk), path=path)
    assert found.values["path_real"] == [str(desk.parent / leads_to)]


def test_the_root_of_a_process_is_no_way_around(desk: Path) -> None:
    found = measured(RealPaths(desk), path=f"/proc/self/root{desk}/plain.txt")
    assert found.values["path_real"] == [str(desk / "plain.txt")]


def test_a_second_name_of_a_file_is_told(desk: Path) -> None:
    assert measured(RealPaths(desk), path="second-name.txt").values["path_linked"] is True
    assert measured(RealPaths(desk), path="plain.txt").values["path_linked"] is False


def test_every_path_of_every_role_is_told(desk: Path) -> None:
    found = measured(RealPaths(desk), path=["plain.txt", "out"], to="out/secret.txt")
    assert found.values["path_real"] == [str(desk / "plain.txt"), str(desk.parent), str(desk.parent / "secret.txt")]


@pytest.mark.parametrize("path", ["~/x", "$HOME/x", "a\0b", "a\nb", "circle", "", 7, "\u202etxt", "x" * 5_000])
def test_what_cannot_be_told_is_unknown(desk: Path, path: Any) -> None:
    assert measured(RealPaths(desk), path=path) == Finding(looked=False)


def test_a_relative_path_without_a_root_is_unknown(desk: Path) -> None:
    assert measured(RealPaths(), path="plain.txt") == Finding(looked=False)
    assert measured(RealPaths(), path=str(desk / "plain.txt")).values["path_real"] == [str(desk / "plain.txt")]


def test_tools_of_other_categories_are_not_looked_at(desk: Path) -> None:
    other = ToolProfile(tool="files.write", effect=Effect.WRITE, resource=("path",))
    assert measured(RealPaths(desk), other, path="out/secret.txt") == Finding()


def test_a_link_out_of_the_folder_is_denied_and_a_plain_file_passes(tmp_path: Path, desk: Path) -> None:
    policy = f"""\
policy: p
version: 1
posture: declared_tools
tools:
  files.write: {{effect: write, resource: path, categories: [files], returns: INTERNAL}}
rules:
  - id: only-the-desk
    match: {{signals: {{path_real: {{not: {{under: {desk}}}}}}}}}
    decision: DENY
"""
    with open_bench(tmp_path / "home", policy, detectors=lambda real: (*real, RealPaths(desk))) as guard:

        @guard.tool("files.write")
        def write(path: str, text: str) -> None:
            (desk / path).write_text(text)

        with guard.session(request="write", human="ann@company.com", agent="bot"):
            write("plain.txt", "new")
            for path in ("out/secret.txt", "../secret.txt", "~/x"):
                with pytest.raises(Exception, match=r"forbids|not known yet"):
                    write(path, "new")
    assert [(desk / "plain.txt").read_text(), (desk.parent / "secret.txt").read_text()] == ["new", "x"]
