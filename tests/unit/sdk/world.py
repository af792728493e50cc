"""A deployment in a temporary folder, and tools whose effects can be counted: a list, a table, files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import navicert
from navicert.assemble import make_home
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.model.action import Action, ToolProfile

HEAD = "policy: office\nversion: 1\nposture: declared_reads\n"
OFFICE = (
    HEAD
    + """\
rules:
  - id: mail
    match: {tool: email, operation: send}
    decision: ALLOW
    priority: 1
  - id: no-personal-data-out
    match:
      effect: send
      context: {categories: {contains: PII}}
      destination: {not: {ends_with: '@acme.example'}}
    decision: DENY
    classification: context_dependent_deny
    reason: personal data must not leave
    priority: 10
  - id: payments
    match: {tool: bank, operation: pay}
    decision: ALLOW
"""
)
IBAN = "DE89370400440532013000"
INSIDE, OUTSIDE = "bob@acme.example", "eve@partner.example"


@contextmanager
def opened(folder: Path, policy: str = OFFICE, config: str = "") -> Iterator[navicert.Guard]:
    """Open the deployment in `folder`, made where there is none; `config` is added to its configuration.

    What is suspended there hands out its handle at once, where `config` does not say otherwise.
    """
    home = folder / ".navicert"
    if not home.exists():
        made = make_home(home, origin="test", service="desk", policy=policy)
        at_once = "" if "in_band_s" in config else "in_band_s: 0\n"
        made.config.write_text(made.config.read_text() + at_once + config)
    with navicert.open(folder) as guard:
        yield guard


def working(guard: navicert.Guard, **changes: Any) -> navicert.Session:
    """Open a session as most tests do."""
    return guard.session(**{"request": "do the work", "human": "ana", "agent": "bot"} | changes)


def ungoverned(guard: navicert.Guard, name: str, function: Any) -> Any:
    """Return the function itself, for the companion that shows what happens without the gate."""
    return function


class Office:
    """Tools with effects: `mail` holds what was sent, the table `payment` what was paid."""

    def __init__(self, guard: navicert.Guard, folder: Path) -> None:
        self.mail: list[tuple[str, str]] = []
        self.paid = folder / "bank.db"
        with sqlite3.connect(self.paid) as bank:
            bank.execute("CREATE TABLE IF NOT EXISTS payment (account TEXT, amount INTEGER)")

        @guard.tool("email.send", effect="send", destination="to", content="body", returns="INTERNAL")
        def send(to: str, body: str = "hello") -> str:
            self.mail.append((to, body))
            return "sent"

        @guard.tool("crm.read", effect="read", returns="INTERNAL")
        def customer(name: str) -> dict[str, str]:
            return {"name": name, "iban": IBAN}

        @guard.tool("web.search", effect="read", returns="PUBLIC")
        def search(query: str) -> str:
            return f"nothing about {query}"

        @guard.tool("bank.pay", effect="pay", destination="account", amount="amount", returns="INTERNAL")
        def pay(account: str, amount: int) -> str:
            with sqlite3.connect(self.paid) as bank:
                bank.execute("INSERT INTO payment VALUES (?, ?)", (account, amount))
            return "paid"

        self.send, self.customer, self.search, self.pay = send, customer, search, pay

    def payments(self) -> list[tuple[str, int]]:
        with sqlite3.connect(self.paid) as bank:
            return bank.execute("SELECT account, amount FROM payment ORDER BY rowid").fetchall()


def receipts(folder: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the log of a deployment, oldest first. Outcomes may be late: close the guard, or decide again, before."""
    with sqlite3.connect(folder / ".navicert" / "store.db") as store:
        log = [json.loads(data) for (data,) in store.execute("SELECT bytes FROM log ORDER BY seq")]
    store.close()
    return [item for item in log if kind in {None, item["kind"]}]


def outcome(folder: Path) -> dict[str, Any]:
    """Return the newest outcome receipt."""
    return receipts(folder, "outcome")[-1]


def raw(guard: navicert.Guard, name: str, parameters: dict[str, Any], profile: ToolProfile | None = None) -> Action:
    """An action as a surface other than the decorator would hand it in."""
    tool, _, operation = name.rpartition(".")
    data = parameter_bytes(parameters)
    return Action(
        action_id=guard.engine.new_id("act"),
        tool=tool,
        operation=operation,
        parameters=data,
        digest=action_digest(tool, operation, data),
        submitted_at=guard.engine.now(),
        profile=profile,
    )
