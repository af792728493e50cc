"""What the fault tests share: a bench whose tools' effects are witnessed, and a check of the whole store."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.reading import entries_of
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, make_pseudonym, read_trust
from navicert.core.accumulate import fold
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest, bytes_digest
from navicert.core.seal import ZERO, parse, signed_message, unb64
from navicert.core.signature import PublicKey
from navicert.model.context import SessionContext
from navicert.model.errors import ActionDenied
from navicert.model.receipt import Receipt
from navicert.sdk.session import CURRENT
from navicert.testing import Bench, open_bench
from navicert.verification.log import verify_log

POLICY = """\
policy: faults
version: 1
posture: declared_tools
rules: []
"""
COMMIT_S = 0.4
MEASURE_S = 0.3
DRIVERS = ("sync", "async")


class Effects:
    """What the tools did. An effect without a durable permitting decision receipt for its digest is a failure."""

    def __init__(self, home: Path) -> None:
        self._home = Home(home)
        self.done: list[str] = []
        self.unwarranted: list[str] = []

    def happen(self, text: str, tool: str = "mail", **parameters: Any) -> None:
        if not self.warranted(digest_in_receipts(self._home, tool, "send", {"text": text, **parameters})):
            self.unwarranted.append(text)
        self.done.append(text)

    def warranted(self, digest: str) -> bool:
        return any(
            item.kind == "decision" and digest in {item.action.digest, item.action.effective_digest} and permits(item)
            for item in receipts(self._home.store)
            if item.action is not None
        )


def digest_in_receipts(home: Home, tool: str, operation: str, parameters: dict[str, Any]) -> str:
    """Return how receipts name an action: its digest, under the key of the deployment."""
    pseudonym = make_pseudonym(read_secret(home.pseudonym_key))
    return pseudonym(action_digest(tool, operation, parameter_bytes(parameters)))


class Rig:
    """A bench, its tools in both kinds, and one session."""

    def __init__(self, folder: Path, policy: str = POLICY, **ports: Any) -> None:
        settings = {"commit_s": COMMIT_S, "measure_s": MEASURE_S} | ports
        self.bench: Bench = open_bench(folder, policy, **settings)
        self.effects = Effects(folder)
        self.tools(self.bench)
        self.session = self.bench.session(request="write", human="ana", agent="bot")

    def tools(self, bench: Bench) -> None:
        profile = {"effect": "send", "content": "text", "returns": "INTERNAL"}

        @bench.tool("mail.send", **profile)
        def send(text: str) -> str:
            self.effects.happen(text)
            return f"sent {text}"

        @bench.tool("mail.send", **profile)
        async def send_async(text: str) -> str:
            await asyncio.sleep(0)
            self.effects.happen(text)
            return f"sent {text}"

        @bench.tool("note.read", effect="read", returns="PUBLIC")
        def read(name: str) -> str:
            return f"note {name}"

        @bench.tool("crm.read", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
        def read_person(name: str) -> str:
            return f"person {name}"

        self.send, self.send_async, self.read, self.read_person = send, send_async, read, read_person

    def call(self, driver: str, text: str) -> Any:
        if driver == "sync":
            return self.session.carry(self.send)(text)

        async def main() -> Any:
            CURRENT.set(self.session)
            return await self.send_async(text)

        return asyncio.run(main())

    def refused(self, driver: str, text: str, within: float = 2 * COMMIT_S + 2 * MEASURE_S + 1.0) -> ActionDenied:
        """Call, expect a refusal in time and no effect; return it."""
        before = list(self.effects.done)
        start = time.monotonic()
        with pytest.raises(ActionDenied) as caught:
            self.call(driver, text)
        took = time.monotonic() - start
        assert took < within, f"the refusal took {took:.2f} s"
        assert before == self.effects.done
        assert caught.value.reason
        assert caught.value.next_step
        return caught.value

    def forget(self) -> None:
        """Empty the engine's cache, so that the next decision reads the store."""
        works = self.bench.engine._works
        works.rows.drop(list(works.rows._rows))

    def close(self) -> list[Receipt]:
        """Close, and check everything that the store holds; return its receipts."""
        self.bench.close()
        assert self.effects.unwarranted == []
        return check_store(self.bench.home)


def eventually(holds: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Return once `holds` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
    return found


def permits(receipt: Receipt) -> bool:
    return receipt.decision is not None and receipt.decision.result in {"ALLOW", "MODIFY"}


def log_bytes(store: Path) -> list[tuple[int, bytes]]:
    connection = sqlite3.connect(store, timeout=10)
    try:
        return connection.execute("SELECT seq, bytes FROM log ORDER BY seq").fetchall()
    finally:
        connection.close()


def receipts(store: Path) -> list[Receipt]:
    return [parse(data) for _, data in log_bytes(store)]


def check_log(home: Home) -> list[Receipt]:
    """Verify the log as a stranger would: sequence, chains, signatures, and that outcomes complete permits."""
    keys = {item.key_id: PublicKey(item.algorithm, unb64(item.public)) for item in read_trust(home.trust).keys}
    previous = ZERO
    sessions: dict[str, tuple[int, str]] = {}
    decisions: dict[str, Receipt] = {}
    ended: set[str] = set()
    found = []
    for place, (seq, data) in enumerate(log_bytes(home.store), start=1):
        receipt = parse(data)
        message, signature = signed_message(data)
        keys[receipt.signature.key_id].verifies(message, signature)
        digest = bytes_digest(data)
        assert (place, place, previous) == (seq, receipt.log.seq, receipt.log.prev)
        if receipt.session is not None:
            count, head = sessions.get(receipt.session.id, (0, ZERO))
            assert (count + 1, head) == (receipt.session.seq, receipt.session.prev)
            sessions[receipt.session.id] = (receipt.session.seq, digest)
        if receipt.kind in {"decision", "resolution"}:
            decisions[digest] = receipt
        if receipt.kind == "outcome":
            assert permits(decisions[receipt.completes or ""])
            assert receipt.completes not in ended, "two outcomes of one decision"
            ended.add(receipt.completes or "")
        previous = digest
        found.append(receipt)
    return found


def contexts(home: Home) -> list[SessionContext]:
    """Return every session's context, each checked to follow from its own entries."""
    vault = Vault(read_secret(home.store_key))
    connection = sqlite3.connect(home.store, timeout=10, isolation_level=None)
    made = []
    try:
        connection.execute("BEGIN")  # one snapshot
        rows = connection.execute("SELECT key, version, value FROM row WHERE key LIKE 'session/%'").fetchall()
        for key, version, sealed in rows:
            context = msgspec.json.decode(vault.open(f"row/{key}/{version}", sealed), type=SessionContext)
            entries = [entry for _, entry in entries_of(connection, vault, context.session_id, 0)]
            assert fold(entries) == context
            made.append(context)
    finally:
        connection.close()
    return made


def check_store(home: Home) -> list[Receipt]:
    """Verify log and contexts, and that what is open in the one is open in the other."""
    found = check_log(home)
    verified = verify_log([data for _, data in log_bytes(home.store)], read_trust(home.trust))
    ended = {item.action.id for item in found if item.kind == "outcome" and item.action}
    judged = [item for item in found if item.kind in {"decision", "resolution"} and item.action]
    permitted = {item.action.id for item in judged if permits(item) and item.action}
    listed = {item.action_id for context in contexts(home) for item in context.open}
    assert permitted - ended == listed
    assert listed == {item.action_id for item in verified.open}
    return found
