"""The archive: what a reader sees of a store, and that reading changes nothing."""

from __future__ import annotations

import json
import sqlite3

import pytest

import navicert
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.schema import VERSION
from navicert.assemble import Home
from navicert.audit import open_archive
from navicert.core.canonical import state_bytes
from navicert.core.digest import context_digest
from navicert.model.errors import IntegrityError, VerificationError
from records.corpus import copied, corpus


@pytest.fixture
def archive():
    with open_archive(Home(corpus())) as found:
        yield found


def test_the_log_is_read_in_order_and_by_what_it_says(archive):
    rows = list(archive.log())
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert [row.seq for row in archive.log(after=10)] == [row.seq for row in rows[10:]]
    assert {row.kind for row in archive.log(kind="policy")} == {"policy"}
    action = next(row.action for row in rows if row.action)
    assert [row.seq for row in archive.log(action=action)] == [row.seq for row in rows if row.action == action]
    session = next(row.session for row in rows if row.session)
    assert {row.session for row in archive.log(session=session, kind="decision")} == {session}
    assert archive.head()[0] == rows[-1].seq


def test_a_name_finds_its_receipts(archive):
    waiting = list(archive.log(kind="decision"))[-1]
    plain = json.loads(waiting.data)
    assert archive.find(str(waiting.seq)) == archive.find(f"#{waiting.seq}") == [waiting]
    assert archive.find(plain["receipt_id"]) == [waiting]
    assert archive.find(plain["action"]["id"]) == archive.find(plain["deferral"]["handle"]) == [waiting]
    allowed = next(row for row in archive.log(kind="outcome"))
    assert [row.kind for row in archive.find(allowed.action)] == ["decision", "outcome"]
    resolved = next(row for row in archive.log(kind="resolution"))
    handle = json.loads(resolved.data)["deferral"]["handle"]
    assert [row.kind for row in archive.find(handle)] == ["decision", "resolution", "outcome"]


@pytest.mark.parametrize(
    "name", ["", "0", "rcp_", "x", '"', "\\", "%", "é", '","kind":"boot', "9" * 40, "#", "-1", "٣"]
)
def test_a_name_that_stands_for_nothing_finds_nothing(archive, name):
    assert archive.find(name) == []


def test_disclosures_open_with_their_keys_only(archive):
    row = next(archive.log(kind="decision"))
    shown = archive.disclosed(row)
    assert shown["/action/parameters"] == {"body": "hello, 😀", "to": "bob@partner.example"}
    assert shown["/requester_context/human_name"] == "Ana Müller"
    assert archive.disclosures(next(archive.log(kind="boot"))) == []
    with Archive(archive.path) as blind, pytest.raises(IntegrityError, match="open the archive with its keys"):
        blind.disclosures(row)
    with Archive(archive.path, keys=SubjectKeys(archive.path.parent / "none")) as lost:
        with pytest.raises(VerificationError) as refused:
            lost.disclosures(row)
        assert refused.value.code == "disclosure_missing"


def test_contexts_are_read_and_folded(archive):
    sessions = list(archive.sessions())
    assert len(sessions) == 13
    assert {each.session_id for each in sessions} == set(archive.session_ids())
    for each in sessions:
        assert archive.session(each.session_id) == each
        assert [seq for seq, _ in archive.entries(each.session_id)] == list(range(1, each.length + 1))
        assert archive.context_at(each.session_id, each.length) == each
    first = archive.context_at(sessions[0].session_id, 1)
    assert (first.length, first.said) == (1, ())
    with pytest.raises(IntegrityError, match="has 0 entries"):
        archive.context_at("ses_none", 1)
    with pytest.raises(IntegrityError, match="there is no session `ses_none`"):
        archive.session("ses_none")
    with Archive(archive.path) as blind, pytest.raises(IntegrityError, match="with the store's key"):
        list(blind.sessions())


def test_waits_open_actions_and_policies(archive):
    waits = archive.waits()
    assert [(wait.question.verdict, wait.action.name) for wait in waits] == [
        ("STEP_UP", "bank.pay"), ("DEFER", "ops.restart"),
    ]  # fmt: skip
    done = json.loads(next(row for row in archive.log(kind="resolution")).data)
    assert archive.over(done["deferral"]["handle"]).action_id == done["action"]["id"]
    assert archive.over(waits[0].handle) is None
    assert {person.name for person in archive.approvers().people} == {"carol", "dave", "sue", "eve", "Ana Müller"}
    assert (archive.standings().epoch, archive.standings().subjects) == (16, {})
    assert {receipt.action.operation for receipt in archive.open_actions()} == {"slow"}
    assert len(archive.policies()) == 2
    assert all(b'"policy":"office"' in data for data in archive.policies().values())


def test_reading_changes_nothing(archive):
    before = archive.path.read_bytes()
    list(archive.log())
    list(archive.sessions())
    with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
        archive._connection.execute("DELETE FROM log")
    assert archive.path.read_bytes() == before


def test_a_snapshot_does_not_move_while_an_engine_writes(tmp_path):
    home = Home(copied(tmp_path))
    with open_archive(home) as archive:
        before = archive.head()
        with archive.snapshot():
            assert archive.head() == before
            with navicert.open(home.folder):
                pass
            assert archive.head() == before
        assert archive.head()[0] == before[0] + 1


def _other(tmp_path, *statements):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def test_what_is_no_store_of_ours_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match="there is no store"):
        Archive(tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IntegrityError, match="not a store of navicert"):
        Archive(_other(tmp_path, "CREATE TABLE log (seq INTEGER)"))
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be looked at as one " * 20)
    with pytest.raises(IntegrityError, match="not a store of navicert"):
        Archive(text)


def test_a_store_of_a_later_version_is_refused(tmp_path):
    home = Home(copied(tmp_path))
    with sqlite3.connect(home.store) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(IntegrityError, match="upgrade navicert"):
        open_archive(home)


def test_a_damaged_entry_is_named(tmp_path):
    home = Home(copied(tmp_path))
    with sqlite3.connect(home.store) as connection:
        connection.execute("UPDATE entry SET value = x'00' WHERE seq = 2")
    connection.close()
    with open_archive(home) as archive, pytest.raises(IntegrityError, match=r"was changed, moved"):
        list(archive.entries(next(archive.session_ids())))


def test_the_context_hash_of_a_receipt_is_that_of_the_context_before_it(archive):
    row = next(row for row in archive.log(kind="decision") if row.session)
    part = json.loads(row.data)["context"]
    context = archive.context_at(row.session, part["length"] - 1)
    assert part["hash"] == context_digest(context)
    assert state_bytes(context).startswith(b"{")
