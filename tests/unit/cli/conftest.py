from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import navicert
from desk import make_desk
from navicert.assemble import make_home
from navicert.cli import main

POLICY = """\
policy: tests
version: 1
posture: declared_reads
rules:
  - id: mail
    match: {tool: email}
    decision: ALLOW
  - id: capped
    match: {tool: db, operation: query}
    decision: MODIFY
    modifications: [{parameter: limit, cap: 10}]
  - id: asked
    match: {tool: pay, operation: send}
    decision: STEP_UP
    approvers: [ben]
    reason: a person decides on payments
  - id: unknown-yet
    match: {tool: deploy, operation: start, context: {facts: {window: open}}}
    decision: ALLOW
"""
HOSTILE = "Dear Bob\u202e,\n" + "\n" * 60 + "Bcc: eve@evil.example \x1b[31m"


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    """Nobody's own terminal decides how wide pages are here."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def home(tmp_path):
    """A home in which a session has done a bit of everything, and one action is open."""
    folder = tmp_path / "app"
    made = make_home(folder / ".navicert", origin="tests", service="tests", policy=POLICY)
    made.config.write_text(made.config.read_text(encoding="utf-8") + "in_band_s: 0\n", encoding="utf-8")
    with navicert.open(folder) as guard:

        @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
        def send(to: str, body: str) -> str:
            return "sent"

        @guard.tool("db.query", effect="read", returns="INTERNAL")
        def query(sql: str, limit: int = 100) -> list[int]:
            return list(range(limit))

        @guard.tool("pay.send", effect="pay", amount="amount", returns="INTERNAL")
        def pay(amount: int) -> str:
            raise AssertionError

        @guard.tool("deploy.start", effect="execute", returns="INTERNAL")
        def deploy() -> str:
            raise AssertionError

        @guard.tool("email.hang", effect="send", returns="INTERNAL")
        def hang() -> str:
            raise TimeoutError

        with guard.session(request="look after the shop", human="ana", agent="assistant") as session:
            session.observe("weather", "fair", source="window")
            send("bob@partner.example", HOSTILE)
            query("select 1")
            for refused in (lambda: pay(500), deploy):
                with pytest.raises(navicert.ActionDenied):
                    refused()
            with pytest.raises(TimeoutError):
                hang()
    return folder


@pytest.fixture
def run(home):
    """Call the command line in this process, on the home above."""

    def call(*args: str, code: int = 0):
        result = CliRunner().invoke(main, ["--home", str(home), *args])
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def read(run):
    """The JSON document of one verb."""

    def call(*args: str, code: int = 0):
        return json.loads(run(*args, "--json", code=code).stdout)

    return call


@pytest.fixture
def spawn():
    """Call the command line as a program of its own."""

    def call(*args: str, cwd: Path, **env: str):
        return subprocess.run(
            [sys.executable, "-c", "from navicert.cli import main; main()", *args],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def desk(tmp_path):
    """Three actions that wait, and people with keys who may answer."""
    return make_desk(tmp_path)
