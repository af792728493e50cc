"""Records: what a decision rested on is rebuilt whole, and its own policy gives it again (R3.e)."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

import navicert
from navicert.adapters.secret_file import read_secret
from navicert.adapters.store.forgetting import purge
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, load_policy
from navicert.audit import audit, open_archive
from navicert.core.compile import compile_policy
from navicert.core.digest import action_digest
from navicert.core.rejudge import Recorded, Under, own
from navicert.engine import judging
from navicert.model.decision import Verdict
from navicert.model.errors import VerificationError
from navicert.model.signals import Finding
from navicert.records import LeftOut, policies, records
from navicert.testing import open_bench
from records.corpus import People, copied, corpus

ENGINE = Path(judging.__file__).parent


def read(folder: Path, upto: int = 2**40) -> list[Recorded | LeftOut]:
    with open_archive(Home(folder)) as archive:
        return list(records(archive, policies(archive), upto=upto))


def test_every_kind_of_decision_is_what_its_own_policy_gives():
    found = read(corpus())
    replayed = [item for item in found if isinstance(item, Recorded)]

    assert [item.seq for item in replayed if item.decided is None] == []
    assert {item.verdict for item in replayed if item.kind == "decision"} == set(Verdict)
    assert {item.verdict for item in replayed if item.kind == "resolution"} >= {Verdict.ALLOW, Verdict.MODIFY}
    assert "escalated" in {item.reason_code for item in replayed}


def test_nothing_is_dropped_silently():
    found = read(corpus())
    with open_archive(Home(corpus())) as archive:
        judged = [row.seq for row in archive.log() if row.kind in {"decision", "resolution"}]

    assert [item.seq for item in found] == judged
    assert {item.why for item in found if isinstance(item, LeftOut)} == {"engine"}


def test_another_policy_than_the_one_that_judged_does_not_reproduce_the_record():
    with open_archive(Home(corpus())) as archive:
        kept = policies(archive)
        other = {
            key: compile_policy(replace(item.policy, rules=item.policy.rules[:1]), key) for key, item in kept.items()
        }
        found = [item for item in records(archive, other, upto=2**40) if isinstance(item, Recorded)]

    lost = {item.rules for item in found if item.decided is None}
    assert {("mail",), ("cap",), ("pay",), ("pii",)} <= lost


POLICY = """\
policy: whole
version: 1
posture: declared_reads
facts:
  window: {command: [/bin/echo, 'true'], attempts: 1}
rules:
  - id: cap
    match: {tool: db, operation: query, parameters: {limit: {gt: 10}}}
    decision: MODIFY
    modifications: [{parameter: limit, cap: 10}]
  - id: few
    match: {tool: db, operation: query, rate: {above: 4, window: 1h, per: human}}
    decision: DENY
    priority: 5
  - id: sums
    match: {tool: bank, operation: pay, total: {above: 100, window: 1d, per: destination}}
    decision: DENY
    priority: 5
  - {id: pay, match: {tool: bank, operation: pay}, decision: STEP_UP, approvers: [carol]}
  - {id: open, match: {tool: ops, operation: go, context: {facts: {window: true}}}, decision: ALLOW}
"""


def _bench(folder: Path):
    guard = open_bench(folder / ".navicert", POLICY)

    @guard.tool("db.query", effect="read", returns="CONFIDENTIAL", resource="table")
    def query(table: str, limit: int = 100) -> int:
        return limit

    @guard.tool("bank.pay", effect="pay", destination="to", amount="amount")
    def pay(to: str, amount: float) -> None: ...

    @guard.tool("ops.go", effect="execute")
    def go(where: str) -> None: ...

    return guard, query, pay, go


def test_what_is_rebuilt_is_what_evaluate_was_given(tmp_path, monkeypatch):
    given = {}
    judge = judging.evaluate

    def spy(value, policy):
        given[value.action.action_id, value.context.length] = value
        return judge(value, policy)

    monkeypatch.setattr(judging, "evaluate", spy)
    guard, query, pay, go = _bench(tmp_path)
    people = People(tmp_path / "people")
    with guard, guard.session(request="r", human="Ana Müller", agent="bot", roles=["clerk"], scope=["*"]) as session:
        people.enrol(guard.engine, "carol")
        session.observe("weather", value="fair", source="sky")
        for limit in (5, 50, 7):
            with contextlib.suppress(navicert.ActionDenied):
                query("customers", limit)
        with session.delegate(agent="helper", scope="bank.*"), pytest.raises(navicert.ActionSuspended) as waits:
            pay("DE1", 10.50)
        people.answer(guard.engine, waits.value.handle, "carol")
        guard.resume(waits.value.handle)
        with pytest.raises(navicert.ActionSuspended) as unknown:
            go("north")
        with pytest.raises(navicert.ActionSuspended) as dependent:
            query(unknown.value.handle, 1)
        guard.resume(unknown.value.handle)
        guard.resume(dependent.value.handle)

    whole = read(tmp_path / ".navicert")
    found = [item for item in whole if isinstance(item, Recorded)]
    assert Counter(item.kind for item in found) == {"decision": 5, "resolution": 3}
    assert [(item.why, item.reason_code) for item in whole if isinstance(item, LeftOut)] == [("engine", "depends")]
    for item in found:
        assert item.decided is not None
        expected = given[item.given.action.action_id, item.given.context.length]
        ran = item.effective if item.effective is not None else item.submitted
        action = replace(
            item.given.action,
            parameters=ran,
            digest=action_digest(expected.action.tool, expected.action.operation, ran),
        )
        assert expected == replace(item.given, action=action)


class Marks:
    """Sees a word in the parameters, and a label that no file asks about."""

    name = "marks"
    inline = True
    signals = ("sensitive_categories", "sensitive_level")

    def measure(self, action, parameters, context):
        marked = "secret" in str(parameters)
        return Finding(values={"sensitive_categories": ["SECRET"] if marked else [], "sensitive_level": "PUBLIC"})


def test_a_change_for_a_measurement_that_it_removed_is_judged_from_what_would_run(tmp_path):
    policy = """\
policy: words
version: 1
posture: declared_reads
rules:
  - id: mask
    match: {tool: note, operation: write, signals: {sensitive_categories: {contains: SECRET}}}
    decision: MODIFY
    modifications: [{parameter: text, redact: secret}]
    priority: 5
  - {id: write, match: {tool: note, operation: write}, decision: ALLOW}
"""
    with open_bench(tmp_path / ".navicert", policy, detectors=lambda real: (real[0], Marks())) as guard:

        @guard.tool("note.write", effect="write", returns="INTERNAL")
        def write(text: str) -> str:
            return text

        with guard.session(request="r", human="ana", agent="bot"):
            assert write("a secret") == "a [redacted]"
            assert write("plain") == "plain"

    masked, plain = read(tmp_path / ".navicert")
    assert (masked.partial, plain.partial) == (True, False)
    assert (
        (masked.verdict, masked.rules)
        == (masked.decided.verdict, masked.decided.rules)
        == ("MODIFY", ("mask", "write"))
    )


def test_sessions_that_were_purged_are_named(tmp_path):
    folder = copied(tmp_path)
    with open_bench(folder) as guard:
        purge(guard.store, before=2**53)
    lost = [item for item in read(folder) if isinstance(item, LeftOut) and item.why == "purged"]
    before = [item for item in read(corpus()) if isinstance(item, Recorded)]

    assert lost
    assert all(item.session.startswith("ses_") for item in lost)
    assert len(lost) + sum(isinstance(item, Recorded) for item in read(folder)) == len(before)


def test_disclosures_that_were_erased_are_named_and_a_wait_without_its_submission_too(tmp_path):
    folder = copied(tmp_path)
    for key in sorted(Home(folder).subjects.iterdir()):
        key.unlink()
    found = read(folder)

    assert {item.why for item in found} == {"engine", "erased"}
    with pytest.raises(VerificationError, match="disclosure_missing"):
        audit(folder)


def _entries(folder: Path, change) -> None:
    """Change the sealed entries of the session with the longest chain, with the store's own key."""
    home = Home(folder)
    vault = Vault(read_secret(home.store_key))
    with contextlib.closing(sqlite3.connect(home.store)) as store, store:
        (session,) = store.execute(
            "SELECT session FROM entry GROUP BY session ORDER BY count(*) DESC LIMIT 1"
        ).fetchone()
        for seq, value in store.execute("SELECT seq, value FROM entry WHERE session = ?", (session,)).fetchall():
            name = f"entry/{session}/{seq}"
            sealed = vault.seal(name, change(vault.open(name, value)))
            store.execute("UPDATE entry SET value = ? WHERE session = ? AND seq = ?", (sealed, session, seq))


def test_a_context_that_is_not_the_one_that_a_receipt_names_is_refused(tmp_path):
    folder = copied(tmp_path)
    _entries(folder, lambda data: data)
    assert len(read(folder)) == len(read(corpus()))

    _entries(folder, lambda data: data.replace(b'"at":1', b'"at":2'))
    with pytest.raises(VerificationError, match="it names another context than this"):
        read(folder)


def test_a_session_that_lost_entries_is_refused(tmp_path):
    folder = copied(tmp_path)
    with contextlib.closing(sqlite3.connect(Home(folder).store)) as store, store:
        store.execute("DELETE FROM entry WHERE seq > 3")
    with pytest.raises(VerificationError, match="its session has lost entries"):
        read(folder)


def test_nothing_behind_what_was_verified_is_read():
    whole = read(corpus())
    part = read(corpus(), upto=whole[10].seq)

    assert [item.seq for item in whole[:11]] == [item.seq for item in part]


def test_every_refusal_of_the_engine_itself_is_known():
    text = "\n".join(path.read_text(encoding="utf-8") for path in ENGINE.glob("*.py"))
    codes = set(re.findall(r'forced\(\s*"(\w+)"', text)) | {"depends", "approval_timeout", "deferral_timeout"}

    assert len(codes) > 10
    assert [code for code in codes if not own("resolution", code)] == []


@pytest.mark.parametrize("code", ["rule", "posture", "context_missing", "escalated", "answered", "authority_suspended"])
def test_what_policy_decides_is_not_taken_for_the_engines_own(code):
    assert not own("decision", code)
    assert not own("resolution", code)
    assert not own("decision", "authority_revoked")


def test_a_policy_that_asks_for_counts_finds_them_in_the_record(tmp_path):
    """The rates and totals that another policy would have kept are those of the actions that ran."""
    plain = POLICY.replace("rate: {above: 4, window: 1h, per: human}", "parameters: {table: nothing}")
    guard = open_bench(tmp_path / ".navicert", plain)
    with guard:

        @guard.tool("db.query", effect="read", returns="INTERNAL", resource="table")
        def query(table: str, limit: int = 100) -> int:
            return limit

        for _ in range(3):
            with guard.session(request="r", human="ana", agent="bot"):
                query("customers", 5)
                query("customers", 50)
    with_rate = tmp_path / "rate.yaml"
    with_rate.write_text(POLICY)
    with open_archive(Home(tmp_path / ".navicert")) as archive:
        kept = policies(archive)
        under = Under(kept, load_policy(with_rate)[0])
        found = [under.judge(item) for item in records(archive, kept, upto=2**40) if isinstance(item, Recorded)]

    assert [item.verdict for item in found] == ["ALLOW", "MODIFY", "ALLOW", "MODIFY", "DENY", "DENY"]
    assert [item.rules for item in found][4:] == [("few",), ("few",)]
