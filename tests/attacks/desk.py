"""A desk whose governed tools leave files behind, and the people who answer its questions.

Imported by other processes too (`another_process.py`), so it brings nothing along that they do not need.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from navicert import ActionDenied, ActionSuspended
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.assemble import Home, load_policy
from navicert.core.answers import statement_bytes
from navicert.core.canonical import state_bytes
from navicert.core.seal import b64, parse
from navicert.core.signature import ED25519
from navicert.model.authority import Authority
from navicert.model.receipt import Receipt
from navicert.model.suspension import Answer, Approver, Question, Restoration, Statement, Vote, Wait
from navicert.sdk.session import Session
from navicert.testing import FrozenClock, open_bench

HEAD = "policy: desk\nversion: {version}\nposture: declared_tools\nsupervisors: [sue]\n"
MAIL = "  - {id: mail, match: {tool: mail, operation: send}, decision: STEP_UP, approvers: [ben, eva], timeout: 10m}\n"
PAIR = MAIL.replace("timeout", "approvals: 2, timeout")


def policy(*rules: str, facts: str = "", version: int = 1, cascade: int = 3) -> str:
    """Return a policy file of these rules."""
    head = HEAD.format(version=version) + f"cascade: {cascade}\n"
    return head + (f"facts:\n{facts}" if facts else "") + ("rules:\n" + "".join(rules) if rules else "rules: []\n")


class Desk:
    """A bench over a real store, and tools whose effects are lines in a file: one line, one effect."""

    def __init__(self, folder: Path, rules: str = policy(MAIL), *, clock: FrozenClock | None = None, **ports: Any):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clock = clock or FrozenClock()
        self.bench = open_bench(folder / "home", rules, clock=lambda _: self.clock, **ports)
        self.engine = self.bench.engine
        self.home = Home(folder / "home")
        self._tools()

    def happen(self, what: str) -> str:
        """Leave a trace that a killed process cannot take back."""
        with (self.folder / "effects").open("a") as file:
            file.write(what + "\n")
            file.flush()
            os.fsync(file.fileno())
        return f"done: {what}"

    @property
    def effects(self) -> list[str]:
        path = self.folder / "effects"
        return path.read_text().splitlines() if path.exists() else []

    def _tools(self) -> None:  # noqa: C901 - a row of tools
        tool = self.bench.tool

        @tool("mail.send", effect="send", content="text", returns="PUBLIC")
        def send(text: Any) -> str:
            return self.happen(f"mail {text}")

        @tool("mail.later", effect="send", content="text", returns="PUBLIC")
        async def later(text: str) -> str:
            await asyncio.sleep(0)
            return self.happen(f"later {text}")

        @tool("bank.pay", effect="pay", destination="account", amount="amount", returns="PUBLIC")
        def pay(account: str, amount: int) -> str:
            return self.happen(f"paid {account} {amount}")

        @tool("file.remove", effect="delete", resource="path", returns="PUBLIC")
        def remove(path: str) -> str:
            Path(path).unlink()
            return "removed"

        @tool("file.write", effect="write", resource="path", content="text", returns="PUBLIC")
        def write(path: str, text: str) -> str:
            Path(path).write_text(text)
            return "written"

        @tool("file.read", effect="read", resource="path", returns="PUBLIC")
        def read(path: str) -> str:
            return Path(path).read_text()

        @tool("script.run", effect="execute", returns="PUBLIC")
        def run(path: str) -> str:
            return self.happen(f"ran {Path(path).read_text()}")

        @tool("note.read", effect="read", returns="PUBLIC")
        def note(name: str) -> str:
            return self.happen(f"note {name}")

        @tool("crm.read", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
        def person(name: str) -> str:
            return f"person {name}"

        @tool("feed.read", effect="read", returns="PUBLIC")
        def feed(count: int) -> Iterator[str]:
            for number in range(count):
                yield self.happen(f"item {number}")

        @tool("feed.later", effect="read", returns="PUBLIC")
        async def feed_later(count: int) -> AsyncIterator[str]:
            for number in range(count):
                await asyncio.sleep(0)
                yield self.happen(f"item {number}")

        @tool("blob.put", effect="write", opaque="stream", returns="PUBLIC")
        def put(name: str, stream: Any) -> str:
            return self.happen(f"put {name} {stream.read()}")

        self.send, self.later, self.pay, self.remove, self.write, self.read = send, later, pay, remove, write, read
        self.run, self.note, self.person, self.feed, self.feed_later, self.put = (
            run,
            note,
            person,
            feed,
            feed_later,
            put,
        )

    def session(self, **changes: Any) -> Session:
        return self.bench.session(**{"request": "do the work", "human": "ana", "agent": "bot"} | changes)

    def suspended(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> ActionSuspended:
        """Call, expect that it waits and that nothing happened; return what was raised."""
        before = self.effects
        try:
            said = call(*args, **kwargs)
        except ActionSuspended as waits:
            assert self.effects == before
            return waits
        raise AssertionError(f"it did not wait, and said {said!r}")

    def refused(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> ActionDenied:
        """Call, expect a refusal and that nothing happened; return what was raised."""
        before = self.effects
        try:
            said = call(*args, **kwargs)
        except ActionDenied as denied:
            if isinstance(denied, ActionSuspended):
                raise
            assert self.effects == before
            return denied
        raise AssertionError(f"it was not refused, and said {said!r}")

    def question(self, handle: str) -> Question:
        return self.wait(handle).question

    def wait(self, handle: str) -> Wait:
        found = self.engine.wait(handle)
        assert found is not None
        return found

    # people

    def enrol(self, *names: str) -> None:
        for name in names:
            save_key(new_key(ED25519), self.folder / f"{name}.pem")
            self.engine.enrol(approver(name, self.key(name), self.clock.now()))

    def key(self, name: str) -> FileKey:
        return load_key(self.folder / f"{name}.pem")

    def ballot(self, name: str, question: Question, answer: Answer = Answer.APPROVE, **changes: Any) -> Vote:
        """Return a signed answer. key: another key than the person's own; the rest are fields of the statement."""
        key = changes.pop("key", None) or self.key(name)
        statement = Statement(
            **{
                "question": question,
                "answer": answer,
                "approver": name,
                "key_id": key.key_id,
                "at": self.clock.now(),
                "reason": "looked at it",
            }
            | changes
        )
        data = statement_bytes(statement)
        return Vote(statement=data, signature=key.sign(data))

    def say(self, name: str, handle: str, answer: Answer = Answer.APPROVE, **changes: Any) -> Wait | None:
        return self.engine.answer(handle, self.ballot(name, self.question(handle), answer, **changes))

    def restoration(self, name: str, subject: str, state: Authority = Authority.FULL, **changes: Any) -> Vote:
        key = changes.pop("key", None) or self.key(name)
        said = Restoration(
            **{
                "subject": subject,
                "state": state,
                "epoch": self.engine.standings().epoch,
                "approver": name,
                "key_id": key.key_id,
                "at": self.clock.now(),
                "reason": "looked into it",
            }
            | changes
        )
        data = state_bytes(said)
        return Vote(statement=data, signature=key.sign(data))

    # the record

    def adopt(self, rules: str) -> None:
        """Put another policy file in force."""
        path = self.folder / "home" / "policy.yaml"
        path.write_text(rules)
        self.engine.adopt(*load_policy(path))

    def receipts(self, action_id: str | None = None, kind: str | None = None) -> list[Receipt]:
        self.bench.store.flush()
        found = [parse(data) for data in log_of(self.home)]
        found = [item for item in found if kind in {None, item.kind}]
        return [
            item for item in found if action_id is None or (item.action is not None and item.action.id == action_id)
        ]

    def resolution(self, action_id: str) -> Receipt:
        return self.receipts(action_id, "resolution")[-1]

    def disclosed(self, receipt_id: str) -> dict[str, Any]:
        """Return what is disclosed beside a receipt, by pointer."""
        from navicert.audit import open_archive
        from navicert.verification.disclosed import read_disclosure

        self.bench.store.flush()
        with open_archive(self.home) as archive, archive.snapshot():
            for row in archive.log():
                receipt = parse(row.data)
                if receipt.receipt_id == receipt_id:
                    found = map(read_disclosure, archive.disclosures(row))
                    return {pointer: json.loads(value) for _, pointer, value in found}
        raise KeyError(receipt_id)


def approver(name: str, key: FileKey, since: int) -> Approver:
    return Approver(name=name, key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=since)


def log_of(home: Home) -> list[bytes]:
    """Return the bytes of the whole log, oldest first."""
    with closing(sqlite3.connect(home.store, timeout=10)) as store:
        return [data for (data,) in store.execute("SELECT bytes FROM log ORDER BY seq")]
