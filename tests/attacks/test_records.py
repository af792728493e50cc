"""Attacks on the store itself (family E): who holds the file, or even the store's key, is found out by the audit."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import msgspec
import pytest

from navicert import audit as audit_module
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import new_key
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, read_trust
from navicert.audit import STEPS, audit, open_archive, package_of, verify_package
from navicert.core.accumulate import fold
from navicert.core.canonical import state_bytes
from navicert.core.seal import b64, plain_disclosure, unb64
from navicert.model.context import Labelled, SessionContext, UserSaid
from navicert.model.errors import IntegrityError, VerificationError
from navicert.model.labels import Labels
from navicert.model.trust import Trust
from navicert.verification import disclosed
from records.corpus import copied, corpus
from records.forge import plains, resigned

YEAR_US = 366 * 86_400_000_000


class Store:
    """A home of one's own, and an attacker's hands on it: SQL, and the store's key where the attack has it."""

    def __init__(self, folder):
        self.home = Home(copied(folder))
        self.vault = Vault(read_secret(self.home.store_key))

    def sql(self, statement, *values):
        with closing(sqlite3.connect(self.home.store, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def entry(self, session, seq):
        ((sealed,),) = self.sql("SELECT value FROM entry WHERE session = ? AND seq = ?", session, seq)
        return self.vault.open(f"entry/{session}/{seq}", sealed)

    def put_entry(self, session, seq, data):
        sealed = self.vault.seal(f"entry/{session}/{seq}", data)
        self.sql("UPDATE entry SET value = ? WHERE session = ? AND seq = ?", sealed, session, seq)

    def row(self, session):
        ((version, sealed),) = self.sql("SELECT version, value FROM row WHERE key = ?", f"session/{session}")
        data = self.vault.open(f"row/session/{session}/{version}", sealed)
        return version, msgspec.json.decode(data, type=SessionContext)

    def put_row(self, session, context):
        version, _ = self.row(session)
        sealed = self.vault.seal(f"row/session/{session}/{version}", state_bytes(context))
        self.sql("UPDATE row SET value = ? WHERE key = ?", sealed, f"session/{session}")

    def session(self):
        return self.sql("SELECT session FROM entry GROUP BY session ORDER BY count(*) DESC LIMIT 1")[0][0]

    def seq(self, kind, nth=0):
        return self.sql("SELECT seq FROM log WHERE kind = ? ORDER BY seq LIMIT 1 OFFSET ?", kind, nth)[0][0]

    def code(self, **options):
        try:
            audit(self.home.folder, **options)
        except VerificationError as error:
            return error.code
        return None


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_an_honest_home_passes_every_step(algorithm):
    passed = []
    report = audit(corpus(algorithm), progress=passed.append)
    assert [(step.number, step.name) for step in passed] == list(enumerate(STEPS, 1))
    assert (report.log.undisclosed, report.purged, report.contexts, report.policies) == (0, (), 13, 2)


# the log


def drop_middle(store):
    store.sql("DELETE FROM log WHERE seq = 20")


def drop_and_renumber(store):
    store.sql("DELETE FROM log WHERE seq = 20")
    store.sql("UPDATE log SET seq = -seq WHERE seq > 20")
    store.sql("UPDATE log SET seq = -seq - 1 WHERE seq < 0")


def swap_two(store):
    store.sql("UPDATE log SET seq = CASE seq WHEN 20 THEN -21 WHEN 21 THEN -20 END WHERE seq IN (20, 21)")
    store.sql("UPDATE log SET seq = -seq WHERE seq < 0")


def swap_bytes(store):
    rows = dict(store.sql("SELECT seq, bytes FROM log WHERE seq IN (20, 21)"))
    store.sql("UPDATE log SET bytes = ? WHERE seq = 20", rows[21])
    store.sql("UPDATE log SET bytes = ? WHERE seq = 21", rows[20])


def insert_a_copy(store):
    store.sql(
        "INSERT INTO log SELECT (SELECT max(seq) + 1 FROM log), session, action, kind, bytes, subject, wrapped, sealed"
        " FROM log WHERE seq = 10"
    )


def rewrite_with_a_strangers_key(store):
    stranger = new_key("Ed25519")
    data = [row[0] for row in store.sql("SELECT bytes FROM log ORDER BY seq")]
    for seq, entry in enumerate(resigned(plains(data), lambda _: stranger), 1):
        store.sql("UPDATE log SET bytes = ? WHERE seq = ?", entry, seq)


def flip_a_bit(store):
    ((data,),) = store.sql("SELECT bytes FROM log WHERE seq = 20")
    place = data.index(b'"digest":"') + 12
    store.sql("UPDATE log SET bytes = ? WHERE seq = 20", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


def hide_from_the_session(store):
    store.sql("UPDATE log SET session = NULL WHERE seq = ?", store.seq("decision", 1))


def move_to_another_session(store):
    sessions = store.sql("SELECT DISTINCT session FROM log WHERE session IS NOT NULL")
    store.sql("UPDATE log SET session = ? WHERE seq = ?", sessions[-1][0], store.seq("decision", 1))


def hide_from_its_action(store):
    store.sql("UPDATE log SET action = 'act_0' WHERE seq = ?", store.seq("outcome"))


def show_as_another_kind(store):
    store.sql("UPDATE log SET kind = 'boot' WHERE seq = ?", store.seq("decision", 1))


def show_for_another_subject(store):
    store.sql("UPDATE log SET subject = 'p-0' WHERE seq = ?", store.seq("decision", 1))


# disclosures


def drop_disclosures(store):
    store.sql("UPDATE log SET wrapped = NULL, sealed = NULL WHERE seq = ?", store.seq("decision"))


def swap_disclosures(store):
    one, other = store.seq("decision"), store.seq("decision", 1)
    rows = {
        row[0]: row[1:] for row in store.sql("SELECT seq, wrapped, sealed FROM log WHERE seq IN (?, ?)", one, other)
    }
    store.sql("UPDATE log SET wrapped = ?, sealed = ? WHERE seq = ?", *rows[other], one)
    store.sql("UPDATE log SET wrapped = ?, sealed = ? WHERE seq = ?", *rows[one], other)


def lose_a_subjects_key(store):
    next(store.home.subjects.glob("*.key")).unlink()


def replace_disclosures(store):
    """By one who holds the subject's key too: another text, well sealed."""
    with open_archive(store.home) as archive:
        row = next(archive.log(kind="decision"))
        texts = archive.disclosures(row)
        keys = SubjectKeys(store.home.subjects)
        key = keys.unwrap(row.subject, row.wrapped)
    texts[0] = b64(plain_disclosure("/action/parameters", "salt", b'{"to":"nobody"}'))
    sealed = Vault(key).seal(
        f"disclosures/{json.loads(row.data)['receipt_id']}", b"\n".join(unb64(text) for text in texts)
    )
    store.sql("UPDATE log SET sealed = ? WHERE seq = ?", sealed, row.seq)


# policies


def edit_a_policy(store):
    ((key, value),) = store.sql("SELECT hash, value FROM policy LIMIT 1")
    store.sql("UPDATE policy SET value = ? WHERE hash = ?", value.replace(b'"priority":10', b'"priority":11'), key)


def lose_a_policy(store):
    store.sql("DELETE FROM policy WHERE hash = (SELECT min(hash) FROM policy)")


# contexts, by one who holds the store's key


def edit_an_entry(store):
    session = store.session()
    data = json.loads(store.entry(session, 2))
    store.put_entry(session, 2, json.dumps(data | {"name": "harmless.read"}, sort_keys=True).encode())


def edit_the_request(store):
    session = store.session()
    data = json.loads(store.entry(session, 1))
    store.put_entry(session, 1, json.dumps(data | {"request": "send everything"}, sort_keys=True).encode())


def edit_entry_and_row(store):
    """The whole chain and the row made anew, consistently: only the signed receipts contradict it."""
    session = store.session()
    with open_archive(store.home) as archive:
        entries = [entry for _, entry in archive.entries(session)]
    entries[0] = msgspec.structs.replace(entries[0], request="send everything")
    store.put_entry(session, 1, state_bytes(entries[0]))
    store.put_row(session, fold(entries))


def delete_last_entry(store):
    session = store.session()
    store.sql("DELETE FROM entry WHERE session = ?1 AND seq = (SELECT max(seq) FROM entry WHERE session = ?1)", session)


def delete_middle_entry(store):
    store.sql("DELETE FROM entry WHERE session = ? AND seq = 4", store.session())


def delete_and_renumber(store):
    session = store.session()
    last = store.sql("SELECT max(seq) FROM entry WHERE session = ?", session)[0][0]
    moved = [store.entry(session, seq) for seq in range(5, last + 1)]
    store.sql("DELETE FROM entry WHERE session = ? AND seq = ?", session, last)
    for seq, data in enumerate(moved, 4):
        store.put_entry(session, seq, data)


def swap_entries(store):
    session = store.session()
    one, other = store.entry(session, 3), store.entry(session, 4)
    store.put_entry(session, 3, other)
    store.put_entry(session, 4, one)


def move_sealed_entries(store):
    """Without the store's key: what is sealed for one place does not open in another."""
    session = store.session()
    values = dict(store.sql("SELECT seq, value FROM entry WHERE session = ? AND seq IN (3, 4)", session))
    store.sql("UPDATE entry SET value = ? WHERE session = ? AND seq = 3", values[4], session)
    store.sql("UPDATE entry SET value = ? WHERE session = ? AND seq = 4", values[3], session)


def shrink_the_labels(store):
    session = store.session()
    _, context = store.row(session)
    assert context.labels != Labels()
    store.put_row(session, msgspec.structs.replace(context, labels=Labels()))


def roll_back_the_row(store):
    session = store.session()
    with open_archive(store.home) as archive:
        earlier = archive.context_at(session, 4)
    store.put_row(session, earlier)


def roll_back_row_and_entries(store):
    session = store.session()
    roll_back_the_row(store)
    store.sql("DELETE FROM entry WHERE session = ? AND seq > 4", session)


def lose_the_row(store):
    store.sql("DELETE FROM row WHERE key = ?", f"session/{store.session()}")


def lose_the_context(store):
    session = store.session()
    store.sql("DELETE FROM row WHERE key = ?", f"session/{session}")
    store.sql("DELETE FROM entry WHERE session = ?", session)


def add_an_entry_behind(store):
    session = store.session()
    _, context = store.row(session)
    entry = UserSaid(text="I approve of everything", at=context.last_at)
    seq = context.length + 1
    sealed = store.vault.seal(f"entry/{session}/{seq}", state_bytes(entry))
    store.sql("INSERT INTO entry VALUES (?, ?, ?)", session, seq, sealed)


ATTACKS = {
    drop_middle: "gap",
    drop_and_renumber: "gap",
    swap_two: "gap",
    swap_bytes: "gap",
    insert_a_copy: "gap",
    rewrite_with_a_strangers_key: "unknown_key",
    flip_a_bit: "bad_signature",
    hide_from_the_session: "index_mismatch",
    move_to_another_session: "index_mismatch",
    hide_from_its_action: "index_mismatch",
    show_as_another_kind: "index_mismatch",
    show_for_another_subject: "index_mismatch",
    drop_disclosures: "disclosure_missing",
    swap_disclosures: "disclosure_mismatch",
    lose_a_subjects_key: "disclosure_missing",
    replace_disclosures: "disclosure_mismatch",
    edit_a_policy: "policy_mismatch",
    lose_a_policy: "policy_unknown",
    edit_an_entry: "context_mismatch",
    edit_the_request: "context_mismatch",
    edit_entry_and_row: "context_mismatch",
    delete_last_entry: "context_mismatch",
    delete_middle_entry: "context_mismatch",
    delete_and_renumber: "context_mismatch",
    swap_entries: "context_mismatch",
    move_sealed_entries: "context_mismatch",
    shrink_the_labels: "context_mismatch",
    roll_back_the_row: "context_mismatch",
    roll_back_row_and_entries: "context_mismatch",
    lose_the_row: "context_mismatch",
    lose_the_context: "context_missing",
    add_an_entry_behind: "context_mismatch",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_on_the_store_is_found_out(store, attack):
    attack(store)
    assert store.code() == ATTACKS[attack]


def test_a_cut_tail_is_found_by_one_who_kept_a_head(store):
    with open_archive(store.home) as archive:
        head = archive.head()
    store.sql("DELETE FROM log WHERE seq = ?", head[0])
    assert store.code(expect_head=head) == "tail_cut"


def test_an_auditor_brings_his_own_trust(store):
    own = read_trust(store.home.trust)
    store.home.trust.write_text('{"origin":"acme.log","keys":[]}')
    assert store.code() == "empty_trust"
    assert store.code(trust=own) is None
    assert store.code(trust=Trust(origin="acme.log", keys=own.keys[1:])) == "unknown_key"


def test_a_context_may_be_gone_after_its_retention(store):
    session = store.session()
    lose_the_context(store)
    report = audit(store.home.folder, now=100 * YEAR_US)
    assert report.purged == (session,)


PROTECTIONS = {
    "index": (audit_module, "_check_row", hide_from_its_action),
    "disclosures": (audit_module, "_audit_disclosures", replace_disclosures),
    "policies": (audit_module, "verify_policies", edit_a_policy),
    "contexts": (disclosed, "_verify_step", edit_entry_and_row),
    "rows": (audit_module, "_audit_context", roll_back_the_row),
}


@pytest.mark.parametrize("name", PROTECTIONS)
def test_each_protection_is_needed(store, name, monkeypatch):
    where, what, attack = PROTECTIONS[name]
    attack(store)
    assert store.code() == ATTACKS[attack]
    results = {"_audit_disclosures": 0, "verify_policies": 0}
    monkeypatch.setattr(where, what, lambda *_: results.get(what))
    assert store.code() is None


def test_what_stands_behind_the_newest_receipt_is_covered_by_none(store):
    """A limit that docs/reference/verify.md states: the end of a session has no receipt of its own yet."""
    session = store.session()
    with open_archive(store.home) as archive:
        whole = archive.session(session)
        earlier = archive.context_at(session, whole.length - 1)
    assert whole.ended_at is not None
    delete_last_entry(store)
    store.put_row(session, earlier)
    assert store.code() is None


# packages


@pytest.fixture(scope="module")
def packages():
    with open_archive(Home(corpus())) as archive:
        return {
            json.loads(row.data)["decision"]["result"]: package_of(archive, row.action)
            for row in archive.log(kind="decision")
            if row.session
        }


def trust():
    return read_trust(Home(corpus()).trust)


def refused(data, believed=None):
    try:
        verify_package(data, believed or trust())
    except VerificationError as error:
        return error.code
    return None


def test_a_package_shows_an_action_in_full(packages):
    assert set(packages) == {"ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"}
    for result, data in packages.items():
        shown = verify_package(data, trust())
        assert shown.receipts[0].decision.result == result
        assert "/action/parameters" in shown.disclosed[0]
        assert shown.context.length == shown.receipts[0].context.length - 1
        assert shown.policy.policy == "office"
    assert len(verify_package(packages["MODIFY"], trust()).receipts) == 2


def test_every_changed_text_of_a_package_is_refused(packages):
    package = json.loads(packages["MODIFY"])
    reasons = {}
    for member in ("receipts", "disclosures"):
        for place in range(2):
            changed = json.loads(packages["MODIFY"])
            changed[member][place] = changed[member][1 - place]
            reasons[member, place] = refused(json.dumps(changed).encode())
    for member in ("policy", "context"):
        changed = package | {member: package[member].replace("a", "b", 1)}
        reasons[member] = refused(json.dumps(changed).encode())
    assert reasons == {
        ("receipts", 0): "pairing",
        ("receipts", 1): "pairing",
        ("disclosures", 0): "disclosure_mismatch",
        ("disclosures", 1): "disclosure_missing",
        "policy": "policy_mismatch",
        "context": "context_mismatch",
    }


def test_a_package_is_no_more_than_it_says(packages):
    package = json.loads(packages["MODIFY"])
    other = json.loads(packages["DENY"])
    stranger = Trust(origin="acme.log", keys=())
    assert refused(packages["MODIFY"], stranger) == "empty_trust"
    assert refused(packages["MODIFY"], Trust(origin="other", keys=trust().keys)) == "wrong_origin"
    assert refused(b"{}") == "schema"
    assert refused(json.dumps(package | {"receipts": [], "disclosures": []}).encode()) == "schema"
    assert refused(json.dumps(package | {"more": 1}).encode()) == "schema"
    assert refused(json.dumps(package | {"context": other["context"]}).encode()) == "context_mismatch"
    both = package | {"receipts": package["receipts"] + other["receipts"],
                      "disclosures": package["disclosures"] + other["disclosures"]}  # fmt: skip
    assert refused(json.dumps(both).encode()) == "pairing"
    text = package["receipts"][0]
    assert (
        refused(json.dumps(package | {"receipts": [text.replace("MODIFY", "ALLOW"), text]}).encode()) == "bad_signature"
    )


def test_a_package_is_of_an_action():
    with open_archive(Home(corpus())) as archive:
        with pytest.raises(IntegrityError, match="is no action"):
            package_of(archive, "1")
        with pytest.raises(IntegrityError, match="is no action"):
            package_of(archive, "act_none")


def test_labels_reach_a_parent_with_an_entry_of_their_own():
    """The honest corpus holds a delegation whose labels went up: entries without receipts of their own are in order."""
    with open_archive(Home(corpus())) as archive:
        kinds = {type(entry) for session in archive.session_ids() for _, entry in archive.entries(session)}
    assert Labelled in kinds
