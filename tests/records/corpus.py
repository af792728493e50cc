"""An honest home, made through the real SDK: every verdict, errors, delegation, open actions, a hand-over of keys."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import navicert
from navicert.assemble import Home, make_home
from navicert.audit import open_archive
from navicert.keys import rotate_key

POLICY = """\
policy: office
version: {version}
posture: declared_reads
rules:
  - {{id: mail, match: {{tool: email, operation: send}}, decision: ALLOW, priority: 1}}
  - id: pii
    match:
      effect: send
      context: {{categories: {{contains: PII}}}}
      destination: {{not: {{ends_with: '@acme.example'}}}}
    decision: DENY
    classification: context_dependent_deny
    reason: personal data must not leave
    priority: 10
  - {{id: cap, match: {{tool: db, operation: query}}, decision: MODIFY, modifications: [{{parameter: limit, cap: 10}}]}}
  - {{id: pay, match: {{tool: bank, operation: pay}}, decision: STEP_UP, approvers: [carol], timeout: 1h}}
  - {{id: window, match: {{tool: ops, operation: restart}}, decision: DEFER, timeout: 1h}}
"""


def corpus(algorithm: str = "Ed25519") -> Path:
    """Return an honest home to read from; made once per process. To change it, take `copied`."""
    return _corpus(algorithm)


@functools.cache
def _corpus(algorithm: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="navicert-corpus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_corpus(folder, algorithm, "ES256" if algorithm == "Ed25519" else "Ed25519")


def copied(folder: Path, algorithm: str = "Ed25519") -> Path:
    """Return an honest home of one's own, in `folder`."""
    return Path(shutil.copytree(corpus(algorithm), folder / ".navicert"))


def make_corpus(folder: Path, algorithm: str, following: str) -> Path:
    """Make a home whose log is signed with `algorithm`, then handed over to a key of `following`; return its folder."""
    home = make_home(
        folder / ".navicert", origin="acme log", service="office", policy=POLICY.format(version=1), algorithm=algorithm
    )
    work(home.folder)
    rotate_key(home.folder, following)
    (home.folder / "policy.yaml").write_text(POLICY.format(version=2))
    work(home.folder)
    return home.folder


def work(folder: Path) -> None:
    """Run two sessions, and calls outside of any."""
    with navicert.open(folder) as guard:
        tools = _tools(guard)
        with guard.session(request="write to Böb", human="Ana Müller", agent="bot", roles=["clerk"]) as session:
            _try(tools["send"], "bob@partner.example", "hello, 😀")
            _try(tools["query"], "select 1")
            _try(tools["query"], "select 2", 5)
            _try(tools["fail"], "x")
            _try(tools["slow"], "y")
            session.user_says("and to Carl")
            session.observe("window", value="open", source="calendar")
            with session.delegate(agent="helper", scope="crm.*", lasting=timedelta(hours=1)) as child:
                _try(tools["read"], "anna")
                assert child.labels.has("PII")
            _try(tools["send"], "bob@partner.example", "her data")
            _try(tools["pay"], "DE1", 12.50)
            _try(tools["restart"], "web")
            _try(tools["unknown"], 1)
        _try(tools["send"], "bob@partner.example", "nobody stands behind this")
        with guard.session(request="look", human="bert", agent="bot"):
            asyncio.run(_later(tools))
        settled = [receipt for receipt in _open(folder) if receipt.action.operation == "slow"]
        guard.settle(settled[0].action.id, happened=True, by="olga")
        with guard.session(request="leave one open", human="bert", agent="bot"):
            _try(tools["slow"], "z")


def _open(folder: Path):
    with open_archive(Home(folder)) as archive:
        return archive.open_actions()


async def _later(tools) -> None:
    await asyncio.gather(*(tools["look"](f"page {number % 7}") for number in range(12)))


def _try(call, *args) -> None:
    with contextlib.suppress(navicert.ActionDenied, OSError):
        call(*args)


def _tools(guard):
    @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
    def send(to: str, body: str) -> str:
        return "sent: ok\n"

    @guard.tool("crm.read", effect="read", returns="INTERNAL")
    def read(name: str) -> dict:
        return {"name": name, "mail": "anna.smith@gmail.com", "iban": "DE89370400440532013000"}

    @guard.tool("db.query", effect="read", returns="INTERNAL")
    def query(sql: str, limit: int = 100) -> int:
        return limit

    @guard.tool("web.fail", effect="read", returns="INTERNAL")
    def fail(url: str) -> str:
        raise ConnectionError(url)

    @guard.tool("web.slow", effect="read", returns="INTERNAL")
    def slow(url: str) -> str:
        raise TimeoutError(url)

    @guard.tool("web.look", effect="read", returns="INTERNAL")
    async def look(url: str) -> str:
        await asyncio.sleep(0.001)
        return url

    @guard.tool("bank.pay", effect="pay", destination="to", amount="amount")
    def pay(to: str, amount: float) -> None: ...

    @guard.tool("ops.restart", effect="execute")
    def restart(name: str) -> None: ...

    @guard.tool("nope.unknown")
    def unknown(number: int) -> None: ...

    return {
        "send": send, "read": read, "query": query, "fail": fail, "slow": slow, "look": look, "pay": pay,
        "restart": restart, "unknown": unknown,
    }  # fmt: skip
