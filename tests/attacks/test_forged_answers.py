"""Forged waits (families E and F): a log in which an answer, a person, an identity or an ending is not what it was.

The forger holds every signing key of the log, and chains and signs anew what they changed. What they lack is the
private key of an approver; where they have even that, what was signed is still one answer to one question.
"""

from __future__ import annotations

import copy
import json
import sqlite3
from contextlib import closing
from functools import cache

import msgspec
import pytest

import navicert
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import new_key
from navicert.adapters.store.vault import Vault
from navicert.assemble import Home, read_trust
from navicert.audit import audit, open_archive, package_of, verify_package
from navicert.core.accumulate import accumulate
from navicert.core.answers import statement_bytes
from navicert.core.canonical import state_bytes
from navicert.core.seal import b64, commit_to, disclosure, unb64
from navicert.core.times import micros, rfc3339
from navicert.model.context import Resolution
from navicert.model.decision import Verdict
from navicert.model.errors import VerificationError
from navicert.model.labels import Labels, Level
from navicert.model.suspension import Answer, Statement
from navicert.testing import open_bench
from navicert.verification import people, waits
from navicert.verification.disclosed import read_disclosure, statement_at
from navicert.verification.log import verify_log
from records.corpus import POLICY, People, approver_keys, copied, corpus
from records.forge import Plain, canonical, digest, keys_of, plains, resigned, sign

NOBODY = "p-" + "0" * 32
LATER = "2030-01-01T00:00:00.000000Z"
EARLIER = "2020-01-01T00:00:00.000000Z"


@cache
def log():
    with open_archive(Home(corpus())) as archive:
        return tuple(row.data for row in archive.log())


def own_key(plain: Plain):
    return keys_of(corpus())[plain["signature"]["key_id"]]


def code(change):
    """Return why the log is refused after `change`, signed and chained anew."""
    entries = copy.deepcopy(plains(log()))
    try:
        verify_log(_rewritten(change, entries), read_trust(Home(corpus()).trust))
    except VerificationError as error:
        return error.code
    return None


def _rewritten(change, entries):
    originals = copy.deepcopy(entries)
    change(entries)
    return resigned(entries, own_key, originals=originals)


def first(entries, wanted):
    return next(plain for plain in entries if wanted(plain))


def by(method, result=None):
    return lambda plain: (
        plain.get("deferral", {}).get("method") == method and (result is None or plain["decision"]["result"] == result)
    )


def decision_of(entries, resolution):
    return first(entries, lambda p: p["kind"] == "decision" and p["action"]["id"] == resolution["action"]["id"])


def at_the_end(entries, plain, **changes):
    plain = copy.deepcopy(plain) | {"receipt_id": "rcp_forged", "signature": dict(entries[-1]["signature"])} | changes
    entries.append(plain)
    return plain


# what a log alone shows


def throughout(entries, wanted, change):
    """Change a resolution and its outcome alike, so that they agree with each other."""
    resolved = first(entries, wanted)
    for plain in (resolved, first(entries, lambda p: p.get("completes") == digest(resolved))):
        change(plain)


def another_identity(entries):
    throughout(entries, by("approval"), lambda plain: plain["requester_context"].update(human=NOBODY))


def wider_scope(entries):
    throughout(entries, by("facts"), lambda plain: plain["requester_context"].update(scope=["everything.*"]))


def more_roles(entries):
    throughout(entries, by("approval"), lambda plain: plain["requester_context"]["roles"].append("admin"))


def another_agent(entries):
    throughout(entries, by("approval"), lambda plain: plain["requester_context"].update(agent="other"))


def another_service(entries):
    throughout(entries, by("approval"), lambda plain: plain["requester_context"].update(service="other"))


def other_evidence(entries):
    throughout(entries, by("approval"), lambda plain: plain["requester_context"].update(evidence=NOBODY))


def a_made_up_delegation(entries):
    link = {"delegator": "a", "delegatee": "b", "scope": ["*"], "issued_at": EARLIER, "evidence": "asserted"}
    throughout(entries, by("approval"), lambda plain: plain["requester_context"].update(delegation=[link]))


def another_action(entries):
    throughout(entries, by("approval"), lambda plain: plain["action"].update(digest=NOBODY))


def another_tool(entries):
    throughout(entries, by("approval"), lambda plain: plain["action"].update(operation="launch"))


def another_handle(entries):
    first(entries, by("approval"))["deferral"]["handle"] = "wait_other"


def second_final_resolution(entries):
    at_the_end(entries, first(entries, by("approval")))


def resolution_of_a_denied_action(entries):
    denied = first(entries, lambda p: p["kind"] == "decision" and p["decision"]["result"] == "DENY" and "session" in p)
    forged = at_the_end(entries, first(entries, by("approval")))
    forged |= {name: copy.deepcopy(denied[name]) for name in ("action", "requester_context", "session")}
    forged["completes"] = digest(denied)


def resolution_before_its_decision(entries):
    resolved = first(entries, by("approval"))
    one, other = entries.index(decision_of(entries, resolved)), entries.index(resolved)
    entries[one], entries[other] = entries[other], entries[one]


def no_resolution(entries):
    """The outcome claims the decision that asked, as if nobody had had to answer."""
    resolved = first(entries, by("approval"))
    outcome = first(entries, lambda p: p["kind"] == "outcome" and p["completes"] == digest(resolved))
    outcome["completes"] = resolved["completes"]
    entries.remove(resolved)


def outcome_of_a_refused_wait(entries):
    refused = first(entries, by("denial"))
    outcome = copy.deepcopy(first(entries, lambda p: p["kind"] == "outcome"))
    for part in ("action", "requester_context", "session", "context"):
        outcome[part] = copy.deepcopy(refused[part])
    outcome["decision"] = copy.deepcopy(refused["decision"]) | {"result": "ALLOW"}
    at_the_end(entries, outcome, completes=digest(refused))


def second_outcome_of_a_wait(entries):
    resolved = first(entries, by("approval"))
    at_the_end(entries, first(entries, lambda p: p["kind"] == "outcome" and p["completes"] == digest(resolved)))


def timeout_that_allows(entries):
    first(entries, by("timeout"))["decision"]["result"] = "ALLOW"


def timeout_before_the_deadline(entries):
    """Both the ending and what asked say a later deadline: then nothing had run out."""
    ended = first(entries, by("timeout"))
    decision_of(entries, ended)["deferral"]["deadline"] = ended["deferral"]["deadline"] = LATER


def moved_deadline(entries):
    first(entries, by("approval"))["deferral"]["deadline"] = LATER


def permitted_after_the_deadline(entries):
    resolved = first(entries, by("facts", "ALLOW"))
    at = decision_of(entries, resolved)["at"]
    decision_of(entries, resolved)["deferral"]["deadline"] = resolved["deferral"]["deadline"] = at


def denial_that_allows(entries):
    first(entries, by("denial"))["decision"]["result"] = "ALLOW"


def denied_by_nobody(entries):
    del first(entries, by("denial"))["approval"]


def approved_by_nobody(entries):
    del first(entries, by("approval"))["approval"]


def approved_by_facts(entries):
    """A STEP_UP that ends otherwise than by an answer still needs one to be permitted."""
    resolved = first(entries, by("approval"))
    resolved["deferral"]["method"] = "reevaluation"
    del resolved["approval"]


def approved_against_a_refusal(entries):
    resolved = first(entries, by("approval", "ALLOW"))
    resolved["approval"].append(copy.deepcopy(first(entries, by("denial"))["approval"][0]))


def approved_twice_by_one(entries):
    resolved = first(entries, by("approval", "ALLOW"))
    resolved["approval"].append(copy.deepcopy(resolved["approval"][0]))


def answered_before_it_was_asked(entries):
    first(entries, by("approval"))["approval"][0]["at"] = EARLIER


def resolved_at_another_time(entries):
    first(entries, by("approval"))["deferral"]["resolved_at"] = LATER


def another_reason_for_waiting(entries):
    first(entries, by("approval"))["deferral"]["reason_code"] = "confidence_low"


def answered_by_one_unknown(entries):
    first(entries, by("approval"))["approval"][0]["approver"] = NOBODY


def answered_by_the_key_of_another(entries):
    first(entries, by("approval"))["approval"][0]["key_id"] = first(
        entries, lambda p: p["kind"] == "approver" and p["approver"]["key"]["algorithm"] == "ES256"
    )["approver"]["key"]["key_id"]


def answered_by_one_dismissed(entries):
    ended = first(entries, lambda p: "until" in p.get("approver", {}))["approver"]
    item = first(entries, by("approval"))["approval"][0]
    item |= {"approver": ended["approver"], "key_id": ended["key"]["key_id"]}


def answered_with_a_replaced_key(entries):
    carol = first(entries, lambda p: p["kind"] == "approver")["approver"]
    old, person = carol["key"]["key_id"], carol["approver"]
    resolved = [p for p in entries if by("approval")(p) and p["approval"][0]["approver"] == person][-1]
    replaced = [p for p in entries if p["kind"] == "approver" and p["approver"]["approver"] == person][-1]
    assert replaced["approver"]["key"]["key_id"] == resolved["approval"][0]["key_id"] != old
    resolved["approval"][0]["key_id"] = old
    replaced["at"] = rfc3339(micros(replaced["at"]) - 60_000_000)  # so that it was not being changed just then


def enrolled_twice(entries):
    record = first(entries, lambda p: p["kind"] == "approver")
    entries.insert(entries.index(record) + 1, copy.deepcopy(record) | {"receipt_id": "rcp_forged"})


def dismissal_of_another(entries):
    first(entries, lambda p: "until" in p.get("approver", {}))["approver"]["approver"] = NOBODY


def key_under_a_false_id(entries):
    first(entries, lambda p: p["kind"] == "approver")["approver"]["key"]["public"] = b64(new_key("Ed25519").public)


def skipped_change_of_authority(entries):
    entries.remove(first(entries, lambda p: p["kind"] == "authority"))


def authority_from_another_state(entries):
    first(entries, lambda p: p["kind"] == "authority")["authority"]["before"] = "narrowed"


def change_of_authority_under_an_old_number(entries):
    [p for p in entries if p["kind"] == "authority"][-1]["authority"]["epoch"] = 1


def restored_by_nobody(entries):
    """Another subject was restored than was stopped; what follows rests on what stands."""
    restored = first(entries, lambda p: p["kind"] == "authority" and p["authority"]["after"] == "full")
    restored["authority"]["subject"] = "agent/somebody"


def permitted_while_suspended(entries):
    judged = first(entries, lambda p: p["kind"] == "decision" and p.get("authority", {}).get("before") == "suspended")
    judged["decision"]["result"] = "ALLOW"


def judged_on_wider_authority(entries):
    judged = first(entries, lambda p: p["kind"] == "decision" and p.get("authority", {}).get("before") == "suspended")
    judged["authority"] |= {"before": "full", "after": "full"}


def widened_by_a_decision(entries):
    judged = first(entries, lambda p: p["kind"] == "decision" and p.get("authority", {}).get("before") == "suspended")
    judged["authority"]["after"] = "full"


def judged_on_an_old_epoch(entries):
    [p for p in entries if p["kind"] == "decision" and "authority" in p][-1]["authority"]["epoch"] = 1


def resolved_in_a_decision(entries):
    asked = first(entries, lambda p: p["kind"] == "decision" and "deferral" in p)
    asked["deferral"] |= {"method": "approval", "resolved_at": asked["at"], "attempts": 0, "facts": "x"}


def resolved_by_a_word_of_ones_own(entries):
    first(entries, by("facts"))["deferral"]["method"] = "goodwill"


def answer_in_another_word(entries):
    first(entries, by("denial"))["approval"][0]["answer"] = "rather not"


FORGED = {
    another_identity: "pairing",
    wider_scope: "pairing",
    more_roles: "pairing",
    another_agent: "pairing",
    another_service: "pairing",
    other_evidence: "pairing",
    a_made_up_delegation: "pairing",
    another_action: "pairing",
    another_tool: "pairing",
    another_handle: "pairing",
    second_final_resolution: "pairing",
    resolution_of_a_denied_action: "pairing",
    resolution_before_its_decision: "pairing",
    no_resolution: "pairing",
    outcome_of_a_refused_wait: "pairing",
    second_outcome_of_a_wait: "pairing",
    timeout_that_allows: "resolution",
    timeout_before_the_deadline: "resolution",
    moved_deadline: "resolution",
    permitted_after_the_deadline: "resolution",
    denial_that_allows: "resolution",
    denied_by_nobody: "resolution",
    approved_by_nobody: "resolution",
    approved_by_facts: "resolution",
    approved_against_a_refusal: "resolution",
    approved_twice_by_one: "resolution",
    answered_before_it_was_asked: "resolution",
    resolved_at_another_time: "resolution",
    another_reason_for_waiting: "resolution",
    answered_by_one_unknown: "approver",
    answered_by_the_key_of_another: "approver",
    answered_by_one_dismissed: "approver",
    answered_with_a_replaced_key: "approver",
    enrolled_twice: "approver",
    dismissal_of_another: "approver",
    key_under_a_false_id: "bad_key",
    skipped_change_of_authority: "authority",
    authority_from_another_state: "authority",
    change_of_authority_under_an_old_number: "authority",
    restored_by_nobody: "authority",
    permitted_while_suspended: "authority",
    judged_on_wider_authority: "authority",
    judged_on_an_old_epoch: "authority",
    widened_by_a_decision: "schema",
    resolved_in_a_decision: "schema",
    resolved_by_a_word_of_ones_own: "schema",
    answer_in_another_word: "schema",
}


@pytest.mark.parametrize("forgery", FORGED, ids=lambda forgery: forgery.__name__)
def test_a_forged_wait_is_found_in_the_log_alone(forgery):
    assert code(forgery) == FORGED[forgery]


def test_every_new_rule_has_a_forgery_that_only_it_finds(monkeypatch):
    """With the checks of waits out of action these same forgeries pass: so it is they that find them."""
    monkeypatch.setattr(waits, "check_resolution", lambda *_: None)
    found = {forgery.__name__: code(forgery) for forgery, reason in FORGED.items() if reason == "resolution"}
    silent = {name for name, reason in found.items() if reason is None}
    assert {"timeout_before_the_deadline", "moved_deadline", "denied_by_nobody", "approved_twice_by_one"} <= silent


# what was signed: a package that a forger made, who holds the keys of the log


def package(method="approval", operation="ship"):
    with open_archive(Home(corpus())) as archive:
        rows = [row for row in archive.log(kind="resolution") if by(method)(json.loads(row.data))]
        row = next(row for row in rows if json.loads(row.data)["action"]["operation"] == operation)
        return json.loads(package_of(archive, json.loads(row.data)["deferral"]["handle"]))


def shown(found):
    """Return why a package is refused."""
    try:
        verify_package(json.dumps(found).encode(), read_trust(Home(corpus()).trust))
    except VerificationError as error:
        return error.code
    return None


def forge(found, change):
    """Change the receipts of a package and what they disclose, and sign them anew."""
    receipts, moved = plains(text.encode() for text in found["receipts"]), {}
    change(receipts, found["disclosures"])
    for place, (plain, text) in enumerate(zip(receipts, found["receipts"], strict=True)):
        if "completes" in plain:
            plain["completes"] = moved[plain["completes"]]
        sign(plain, own_key(plain))
        found["receipts"][place] = canonical(plain).decode()
        moved[digest(json.loads(text))] = digest(plain)
    return found


def commit(texts, pointer, value):
    """Disclose another value at a pointer; return its commitment."""
    new = disclosure(pointer, "forged", json.dumps(value, ensure_ascii=False).encode())
    texts[:] = [text for text in texts if read_disclosure(text)[1] != pointer] + [new]
    return commit_to(new)


def disclosed(texts, pointer):
    return next(value for _, at, value in map(read_disclosure, texts) if at == pointer)


def statement_of(texts, index=0):
    return msgspec.json.decode(msgspec.json.decode(disclosed(texts, statement_at(index)), type=str), type=Statement)


def state(receipt, texts, statement, key, index=0):
    """Have the forger put a statement in the place of another."""
    said = statement_bytes(statement)
    receipt["approval"][index] |= {
        "statement": commit(texts, statement_at(index), said.decode()),
        "signature": b64(key.sign(said)),
    }


def with_question(**changes):
    """What an approver signed, by one who has their key: a question with something else in it."""

    def change(receipts, texts):
        statement = statement_of(texts[1])
        question = msgspec.structs.replace(statement.question, **changes)
        key = approver_keys(corpus())[statement.key_id]
        state(receipts[1], texts[1], msgspec.structs.replace(statement, question=question), key)

    return change


def by_a_stranger(receipts, texts):
    state(receipts[1], texts[1], statement_of(texts[1]), new_key("Ed25519"))


def by_a_stranger_under_his_own_name(receipts, texts):
    stranger = new_key("Ed25519")
    state(receipts[1], texts[1], msgspec.structs.replace(statement_of(texts[1]), key_id=stranger.key_id), stranger)
    receipts[1]["approval"][0]["key_id"] = stranger.key_id


def by_one_who_was_not_asked(receipts, texts):
    _in_the_name_of("sue", receipts, texts)


def by_one_who_was_dismissed(receipts, texts):
    _in_the_name_of("eve", receipts, texts)


def _in_the_name_of(name, receipts, texts):
    with open_archive(Home(corpus())) as archive:
        row = next(row for row in archive.log(kind="approver") if archive.disclosed(row)["/approver/name"] == name)
    record = json.loads(row.data)["approver"]
    key = approver_keys(corpus())[record["key"]["key_id"]]
    said = msgspec.structs.replace(statement_of(texts[1]), approver=name, key_id=key.key_id)
    state(receipts[1], texts[1], said, key)
    name_at = commit(texts[1], "/approval/0/name", name)
    receipts[1]["approval"][0] |= {"approver": record["approver"], "key_id": key.key_id, "name": name_at}


def another_answer_than_was_signed(receipts, texts):
    statement = statement_of(texts[1])
    key = approver_keys(corpus())[statement.key_id]
    state(receipts[1], texts[1], msgspec.structs.replace(statement, answer=Answer.DENY), key)


def another_form_of_the_statement(receipts, texts):
    statement = statement_of(texts[1])
    said = statement_bytes(statement) + b" "
    receipts[1]["approval"][0] |= {
        "statement": commit(texts[1], statement_at(0), said.decode()),
        "signature": b64(approver_keys(corpus())[statement.key_id].sign(said)),
    }


def another_name(receipts, texts):
    receipts[1]["approval"][0]["name"] = commit(texts[1], "/approval/0/name", "dave")


def another_action_disclosed(receipts, texts):
    receipts[1]["action"]["parameters"] = commit(texts[1], "/action/parameters", {"what": "everything"})
    if len(receipts) > 2:
        receipts[2]["action"]["parameters"] = receipts[1]["action"]["parameters"]


def moved_from_another_receipt(receipts, texts):
    """A true answer of the same person, to the question of another action."""
    other = package(operation="scale")
    moved = json.loads(other["receipts"][1])["approval"][0]
    assert moved["approver"] == receipts[1]["approval"][0]["approver"]
    own = [text for text in other["disclosures"][1] if read_disclosure(text)[1].startswith("/approval/0/")]
    texts[1][:] = [text for text in texts[1] if not read_disclosure(text)[1].startswith("/approval/0/")] + own
    receipts[1]["approval"][0] = moved | {"at": receipts[1]["at"]}


ANSWERS = {
    "a stranger's signature": (by_a_stranger, "answer_signature"),
    "a stranger's own key": (by_a_stranger_under_his_own_name, "approver"),
    "one who was dismissed": (by_one_who_was_dismissed, "approver"),
    "one who was not asked": (by_one_who_was_not_asked, "answer_mismatch"),
    "another answer than was signed": (another_answer_than_was_signed, "answer_mismatch"),
    "another form of the statement": (another_form_of_the_statement, "answer_mismatch"),
    "another name": (another_name, "answer_mismatch"),
    "moved from another receipt": (moved_from_another_receipt, "answer_mismatch"),
    "another action": (with_question(digest="0" * 64), "answer_mismatch"),
    "another wait": (with_question(handle="wait_other"), "answer_mismatch"),
    "another session": (with_question(session_id="ses_other"), "answer_mismatch"),
    "another human": (with_question(human="somebody"), "answer_mismatch"),
    "another rule": (with_question(rules=(("ship", "0" * 64),)), "answer_mismatch"),
    "no rule": (with_question(rules=()), "answer_mismatch"),
    "other labels": (with_question(labels=Labels(level=Level.RESTRICTED)), "answer_mismatch"),
    "another time": (with_question(asked_at=1), "answer_mismatch"),
    "another deadline": (with_question(deadline=1), "answer_mismatch"),
    "another verdict": (with_question(verdict=Verdict.DEFER), "answer_mismatch"),
    "more approvals": (with_question(approvals=2), "answer_mismatch"),
    "other approvers": (with_question(approvers=("dave",)), "answer_mismatch"),
    "another action disclosed": (another_action_disclosed, "action_mismatch"),
}


def _with_everybody(found):
    """The forger puts the records of everybody into the package."""
    with open_archive(Home(corpus())) as archive:
        found["approvers"] = [row.data.decode() for row in archive.log(kind="approver")]
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_a_forged_answer_is_found_where_it_is_disclosed(name):
    change, reason = ANSWERS[name]
    assert shown(forge(_with_everybody(package()), change)) == reason


def test_a_forger_who_changes_nothing_makes_a_package_that_passes():
    assert shown(forge(_with_everybody(package()), lambda *_: None)) is None


def test_what_is_signed_is_needed(monkeypatch):
    """Without the look at what people signed, every one of these packages passes."""
    monkeypatch.setattr(people.People, "verify", lambda *_: None)
    assert {name: shown(forge(_with_everybody(package()), change)) for name, (change, _) in ANSWERS.items()} == (
        dict.fromkeys(ANSWERS)
    )


def test_two_answers_are_to_one_question():
    found = package(operation="launch")
    assert shown(copy.deepcopy(found)) is None
    assert shown(forge(copy.deepcopy(found), with_question(nonce="another"))) == "answer_mismatch"

    def alone(receipts, texts):
        receipts[1]["approval"].pop()
        texts[1][:] = [text for text in texts[1] if not read_disclosure(text)[1].startswith("/approval/1/")]

    assert shown(forge(found, alone)) == "answer_mismatch"


def test_a_package_needs_the_records_of_who_answered():
    found = package()
    assert len(found["approvers"]) == 2  # carol's key, and the one that followed it
    assert shown(found | {"approvers": []}) == "approver"
    assert shown(found | {"approvers": found["approvers"][::-1]}) == "schema"
    assert shown(found | {"approvers": found["receipts"][:1]}) == "schema"
    flipped = found["approvers"][0].replace('"public":"', '"public":"A')
    assert shown(found | {"approvers": [flipped]}) == "bad_signature"


@pytest.mark.parametrize(
    ("method", "operation"),
    [("approval", "ship"), ("approval", "launch"), ("approval", "note"), ("approval", "scale"), ("denial", "ship"),
     ("facts", "rollout"), ("escalation", "drain"), ("timeout", "pay")],
)  # fmt: skip
def test_the_package_of_a_wait_shows_all_of_it(method, operation):
    found = package(method, operation)
    seen = verify_package(json.dumps(found).encode(), read_trust(Home(corpus()).trust))
    kinds = [receipt.kind for receipt in seen.receipts]
    assert kinds[0] == "decision"
    assert kinds[1] == "resolution"
    assert (kinds[-1] == "outcome") == (seen.receipts[-2].decision.result in {"ALLOW", "MODIFY"})
    assert len({receipt.requester_context.human for receipt in seen.receipts}) == 1


def test_a_wait_that_outlived_its_policy_shows_both():
    with open_archive(Home(corpus())) as archive:
        late = [json.loads(row.data) for row in archive.log(kind="resolution")]
        late = next(
            p for p in late if p["decision"]["policy"]["version"] == 2 and p["deferral"]["method"] == "approval"
        )
        found = json.loads(package_of(archive, late["deferral"]["handle"]))
    assert len(found["later"]) == 1
    assert shown(found) is None
    assert shown(found | {"later": []}) == "policy_unknown"
    assert shown(found | {"later": [found["policy"]]}) == "policy_mismatch"
    assert shown(found | {"later": [*found["later"], found["policy"]]}) == "policy_unknown"


# the store


def _rewrite(folder, operation, change):
    """By one who holds every key of a home: a resolution and its disclosures, and the log behind it."""
    home = Home(folder)
    with open_archive(home) as archive:
        rows = list(archive.log())
        entries = plains(row.data for row in rows)
        place = next(
            number for number, plain in enumerate(entries)
            if by("approval")(plain) and plain["action"]["operation"] == operation
        )  # fmt: skip
        texts = [[], archive.disclosures(rows[place])]
        secret = SubjectKeys(home.subjects).unwrap(rows[place].subject, rows[place].wrapped)
    originals = copy.deepcopy(entries)
    change([{}, entries[place]], texts)
    name = f"disclosures/{entries[place]['receipt_id']}"
    sealed = Vault(secret).seal(name, b"\n".join(unb64(text) for text in texts[1]))
    with closing(sqlite3.connect(home.store, isolation_level=None)) as connection:
        for seq, data in enumerate(resigned(entries, own_key, originals=originals), 1):
            connection.execute("UPDATE log SET bytes = ? WHERE seq = ?", (data, seq))
        connection.execute("UPDATE log SET sealed = ? WHERE seq = ?", (sealed, place + 1))


@pytest.mark.parametrize("name", ["a stranger's signature", "another action", "one who was not asked"])
def test_the_audit_of_a_home_looks_at_what_people_signed(tmp_path, monkeypatch, name):
    folder = copied(tmp_path)
    change, reason = ANSWERS[name]
    _rewrite(folder, "ship", change)
    with pytest.raises(VerificationError) as refused:
        audit(folder)
    assert refused.value.code == reason
    monkeypatch.setattr(people.People, "verify", lambda *_: None)
    assert audit(folder).disclosures


def test_a_name_is_that_of_its_pseudonym(tmp_path):
    """One who holds the deployment's own key sees that a disclosed name is another person's."""
    folder = copied(tmp_path)
    _rewrite(folder, "ship", another_name)
    with pytest.raises(VerificationError) as refused:
        audit(folder)
    assert refused.value.code == "action_mismatch"


def test_a_context_tells_the_same_resolutions_as_the_log(tmp_path):
    """By one who holds the store's key: another ending of a wait in the context than in its receipt."""
    folder = copied(tmp_path)
    home = Home(folder)
    vault = Vault(read_secret(home.store_key))
    with open_archive(home) as archive:
        session, seq, entry = next(
            (session, seq, entry) for session in archive.session_ids() for seq, entry in archive.entries(session)
            if isinstance(entry, Resolution) and entry.verdict is Verdict.DENY
        )  # fmt: skip
    changed = msgspec.structs.replace(entry, verdict=Verdict.ALLOW)
    with closing(sqlite3.connect(home.store, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE entry SET value = ? WHERE session = ? AND seq = ?",
            (vault.seal(f"entry/{session}/{seq}", state_bytes(changed)), session, seq),
        )
    with pytest.raises(VerificationError) as refused:
        audit(folder)
    assert refused.value.code == "context_mismatch"


def test_a_resolution_without_a_receipt_is_found(tmp_path):
    """By one who holds the store's key: a wait that ended in the context alone, behind the newest receipt."""
    folder = copied(tmp_path)
    home = Home(folder)
    vault = Vault(read_secret(home.store_key))
    with open_archive(home) as archive:
        wait = archive.waits()[0]
        before = archive.session(wait.question.session_id)
    entry = Resolution(
        handle=wait.handle, action_id=wait.action.action_id, name=wait.action.name, digest=wait.action.digest,
        verdict=Verdict.ALLOW, owner="eng_other", at=before.last_at,
    )  # fmt: skip
    after = accumulate(before, entry)
    with closing(sqlite3.connect(home.store, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO entry VALUES (?, ?, ?)",
            (
                before.session_id,
                after.length,
                vault.seal(f"entry/{before.session_id}/{after.length}", state_bytes(entry)),
            ),
        )
        key = f"session/{before.session_id}"
        ((version,),) = connection.execute("SELECT version FROM row WHERE key = ?", (key,)).fetchall()
        sealed = vault.seal(f"row/{key}/{version}", state_bytes(after))
        connection.execute("UPDATE row SET value = ? WHERE key = ?", (sealed, key))
    with pytest.raises(VerificationError, match="has no receipt"):
        audit(folder)


def test_a_released_wait_without_an_outcome_is_open(tmp_path):
    with open_bench(tmp_path / ".navicert", POLICY.format(version=1)) as guard:
        ship = guard.tool("ops.ship", effect="execute")(lambda what: what)
        guarded = People(tmp_path / "people")
        guarded.enrol(guard.engine, "carol")
        with guard.session(request="ship", human="ana", agent="bot"):
            with pytest.raises(navicert.ActionSuspended) as waits_as:
                ship("it")
            guarded.answer(guard.engine, waits_as.value.handle, "carol")
            permit = guard.engine.resume(waits_as.value.handle)
        with open_archive(guard.home) as archive:
            (open_action,) = archive.open_actions()
            assert (open_action.kind, open_action.receipt_id) == ("resolution", permit.receipt_id)
            assert shown_by(package_of(archive, waits_as.value.handle), guard.home) == ["decision", "resolution"]
        report = audit(guard.home.folder)
    assert [item.action_id for item in report.log.open] == [permit.action_id]
    assert report.log.waiting == ()


def shown_by(data, home):
    return [receipt.kind for receipt in verify_package(data, read_trust(home.trust)).receipts]
