"""Somebody with the store's key rewrites a session's context while an engine runs: nothing is judged on it (R2.f)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from navicert import ActionDenied, NavicertError
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.reading import connect
from navicert.adapters.store.vault import Vault
from navicert.core.canonical import state_bytes
from navicert.core.shared import session_key
from navicert.model.context import SessionContext
from navicert.model.labels import NOTHING
from navicert.testing.deployment import Bench, open_bench

POLICY = """\
policy: rewritten
version: 1
posture: declared_tools
sticky: 0s
rules:
  - id: nothing-leaves
    match: {effect: send, context: {level: {ge: CONFIDENTIAL}}}
    decision: DENY
"""


class Desk:
    def __init__(self, folder: Path) -> None:
        self.bench: Bench = open_bench(folder, POLICY)
        self.sent: list[str] = []

        @self.bench.tool("crm.read", effect="read", returns="CONFIDENTIAL")
        def read() -> str:
            return "a customer"

        @self.bench.tool("note.look", effect="read", returns="PUBLIC")
        def look() -> str:
            return "a note"

        @self.bench.tool("mail.send", effect="send", content="text", returns="PUBLIC")
        def send(text: str) -> str:
            self.sent.append(text)
            return "sent"

        self.read, self.look, self.send = read, look, send

    def rewrite(self, session: str, change: Callable[[SessionContext], SessionContext]) -> None:
        """Change the row of a session's context, as whoever has the files and the store's key can."""
        self.bench.store.flush()  # an outcome may be on its way
        home, key = self.bench.home, session_key(session)
        vault = Vault(read_secret(home.store_key))
        with Archive(home.store, vault) as archive:
            context = archive.session(session)
        with closing(connect(home.store)) as store:
            (version,) = store.execute("SELECT version FROM row WHERE key = ?", (key,)).fetchone()
            row = vault.seal(f"row/{key}/{version + 1}", state_bytes(change(context)))
            store.execute("UPDATE row SET value = ?, version = ? WHERE key = ?", (row, version + 1, key))
            store.commit()


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "home")
    yield made
    made.bench.close()


def unlabelled(context: SessionContext) -> SessionContext:
    """The head stays: what the receipts name is as it was."""
    recent = tuple(replace(item, labels=NOTHING) for item in context.recent)
    return replace(context, labels=NOTHING, recent=recent)


def test_a_context_whose_labels_are_taken_off_is_not_believed(desk):
    # seen to fail: without the comparison with what was checked before, the mail is sent
    session = desk.bench.session(request="look", human="ana", agent="bot")
    session.carry(desk.read)()
    desk.rewrite(session.id, lambda context: context)  # so that the engine loads it, and checks it whole
    with pytest.raises(ActionDenied):
        session.carry(desk.send)("before")
    for _ in range(2):
        desk.rewrite(session.id, unlabelled)
        with pytest.raises(NavicertError):
            session.carry(desk.send)("after it was rewritten")
    assert desk.sent == []


def test_a_context_that_is_only_written_anew_is_worked_on(desk):
    with desk.bench.session(request="look", human="eva", agent="bot") as session:
        desk.look()
        for number in range(3):
            desk.rewrite(session.id, lambda context: context)
            desk.send(f"mail {number}")
    assert desk.sent == ["mail 0", "mail 1", "mail 2"]
