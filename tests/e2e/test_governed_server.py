"""Servers that one has, governed: the official client, real servers, a person in a browser, receipts (R1, R4, R5)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from console.site import Site
from console.test_browser import decides
from faults.support import eventually
from gateway import peers
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

POLICY = """\
policy: governed
version: 1
posture: declared_reads
tools:
  files.move_file: {effect: delete, resource: [source, destination]}
rules:
  - id: notes
    match: {tool: files, operation: write_file, resource: {under: FOLDER}}
    decision: ALLOW
  - id: taking-away
    match: {tool: files, operation: move_file}
    decision: STEP_UP
    approvers: [ben]
    reason: it is gone from where people look for it
  - id: branching
    match: {tool: git, operation: git_create_branch}
    decision: STEP_UP
    approvers: [ben]
    reason: branches are counted
"""


class Governed:
    """A home with a page, an owner, and two real servers behind the gateway."""

    def __init__(self, folder: Path, **fields: Any) -> None:
        self.notes = folder / "notes"
        self.notes.mkdir()
        (self.notes / "today.md").write_text("buy milk")
        self.repo = folder / "repo"
        for words in (["init", "-q", "-b", "main"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q",
                      "--allow-empty", "-m", "one"]):  # fmt: skip
            place = [] if words[0] == "init" else ["-C", str(self.repo)]
            target = [str(self.repo)] if words[0] == "init" else []
            subprocess.run(["git", *place, *words, *target], check=True)
        self.site = Site(folder / "site", policy=POLICY.replace("FOLDER", str(self.notes)), **fields)
        for name, command in (("files", peers.filesystem(self.notes)), ("git", peers.git(self.repo))):
            entry = Server(command=tuple(command))
            with ThreadPoolExecutor(1) as pool:  # the browser has a loop in this thread
                found = pool.submit(lambda: asyncio.run(look(name, entry))).result().server  # noqa: B023
            write_server(self.site.home.folder, name, found)

    def calls(self, server: str, mode: str, tells: Path, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """What the official client gets, in one connection. It opens every address that it is asked to open."""
        command = [sys.executable, "-m", "navicert", "--home", str(self.site.home.folder), "mcp", server]
        made = [("call_tool", {"name": name, "arguments": arguments}) for name, arguments in calls]
        found = peers.client(command, *made, mode=mode, answer={"action": "accept"}, tells=str(tells))
        return [answer["result"] for answer in found["results"]]

    def verified(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "navicert", "--home", str(self.site.home.folder), "verify", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)["report"]
        return report


@pytest.fixture
def governed(tmp_path) -> Iterator[Governed]:
    made = Governed(tmp_path, in_band_s=50)
    yield made
    made.site.close()


@pytest.mark.parametrize(
    ("server", "mode", "tool"), [("files", "legacy", "move_file"), ("git", "2026-07-28", "git_create_branch")]
)
def test_what_is_held_is_approved_on_the_page_and_runs_once_in_both_eras(
    governed,
    chromium,
    tmp_path,
    server,
    mode,
    tool,
):
    # seen to fail: with `link` that gives no address, the client is never asked
    old, new = str(governed.notes / "today.md"), str(governed.notes / "old.md")
    arguments = {"source": old, "destination": new} if server == "files" else {
        "repo_path": str(governed.repo), "branch_name": "held",
    }  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(governed.calls, server, mode, tmp_path / "address", (tool, arguments))
        (address,) = eventually(lambda: [text for text in [read(tmp_path / "address")] if text], 30)
        assert happened(governed, server) is False
        page = chromium.new_page()
        page.goto(address)
        page.get_by_role("button").click()
        shown = page.inner_text("body")
        assert f"{server}.{tool}" in shown
        assert all(value in shown for value in arguments.values())
        decides(page, "Approve")
        (result,) = done.result(60)
        page.close()
    assert result.get("isError") is not True, result
    assert "navicert/receipt" in result["_meta"]
    assert happened(governed, server) is True
    assert governed.verified()["open"] == []


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def happened(governed: Governed, server: str) -> bool:
    if server == "files":
        return (governed.notes / "old.md").exists() and not (governed.notes / "today.md").exists()
    listed = subprocess.run(["git", "-C", str(governed.repo), "branch"], capture_output=True, text=True, check=True)
    return "held" in listed.stdout


def test_a_client_that_says_yes_without_a_person_runs_nothing(tmp_path):
    """The client accepts at once, and nobody opens the page."""
    made = Governed(tmp_path, in_band_s=1)
    old, new = str(made.notes / "today.md"), str(made.notes / "old.md")
    try:
        (result,) = made.calls(
            "files", "legacy", tmp_path / "address", ("move_file", {"source": old, "destination": new})
        )
        assert read(tmp_path / "address").startswith("http://127.0.0.1:")
        assert result["isError"] is True
        assert "navicert/handle" in result["_meta"]
        assert happened(made, "files") is False
    finally:
        made.site.close()


def test_reads_pass_and_a_write_elsewhere_is_refused(governed, tmp_path):
    elsewhere = tmp_path / "elsewhere.md"
    read_it, wrote, refused = governed.calls(
        "files", "legacy", tmp_path / "address",
        ("read_text_file", {"path": str(governed.notes / "today.md")}),
        ("write_file", {"path": str(governed.notes / "new.md"), "content": "x"}),
        ("write_file", {"path": str(elsewhere), "content": "x"}),
    )  # fmt: skip
    assert read_it["content"][0]["text"] == "buy milk"
    assert wrote.get("isError") is not True
    assert (governed.notes / "new.md").read_text() == "x"
    assert refused["isError"] is True
    assert "no rule permits" in refused["content"][0]["text"]
    assert not elsewhere.exists()
    assert governed.verified()["verdicts"] == {"ALLOW": 2, "DENY": 1}
