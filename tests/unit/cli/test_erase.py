"""`navicert erase` at a terminal: two people, each with their own passphrase; and what other verbs then show."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from desk import SECRET
from erasable import NAMES, Erasable
from navicert.adapters.sign.encrypted_key import make_encrypted_key
from navicert.cli import main
from navicert.core.seal import b64
from navicert.model.suspension import Approver
from terminal import Person


@pytest.fixture
def it(tmp_path):
    made = Erasable(tmp_path)
    with made.open() as opened:
        for name in NAMES:
            key = make_encrypted_key(tmp_path / f"{name}.key.pem", SECRET)
            now = opened.engine.now()
            opened.engine.enrol(
                Approver(name=name, key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=now)
            )
    return made


def says(it, name, *words, verb=(), subject="ana", secret=SECRET, asks=True, pipe=False):
    """One person runs the verb; returns exit code, and the person."""
    key = ("--key", str(it.folder / f"{name}.key.pem"))
    words = ("erase", *verb, "--subject", subject, "--as", name, *key, *words)
    with Person(*words, home=it.folder, env={"NO_COLOR": "1"}, pipe=pipe) as person:
        if asks:
            person.expect(f"passphrase of {name}: ")
            person.types(secret)
        return person.ends(), person


def read(it, *words, code=0):
    result = CliRunner().invoke(main, ["--home", str(it.folder), *words, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_two_people_run_the_same_command(it):
    subject = it.pseudonym("ana")
    code, first = says(it, "ben", "--reason", "she asked for it")
    assert code == 0, first.seen
    for text in (
        "4, whose parameters",
        "1, whose context",
        "You are the first",
        "You ERASE, for good",
        "somebody else",
    ):
        assert text in first.seen
    (waits,) = read(it, "erase", "list")["requested"]
    assert (waits["subject"], waits["by"], waits["reason"]) == (subject, "ben", "she asked for it")

    code, second = says(it, "cho", "--json", pipe=True)
    assert code == 0, second.seen
    for text in ("asked by", "ben, ", "she asked for it", "You ERASE, for good"):
        assert text in second.seen
    done = json.loads(second.out)
    assert (done["format"], done["state"], done["by"]) == ("navicert/erasure/1", "erased", ["ben", "cho"])
    assert (done["subject"], done["receipts"], done["sessions"]) == (subject, 4, 1)
    assert not it.key_file().exists()
    assert [item["subject"] for item in read(it, "erase", "list")["erased"]] == [subject]


def test_what_is_refused_is_refused_before_a_passphrase_is_typed_and_nothing_is_changed(it):
    for name, words, why in (
        ("ana", ("--reason", "x"), "two others decide"),
        ("ben", ("--reason", "x"), "nothing is kept of"),
    ):
        code, person = says(it, name, *words, subject="ana" if name == "ana" else "nobody", asks=False)
        assert (code, why in person.seen) == (2, True), person.seen
    code, person = says(it, "ben", "--reason", "x", secret="wrong wrong")
    assert code == 2, person.seen
    assert read(it, "erase", "list")["requested"] == []
    assert says(it, "ben", "--reason", "x")[0] == 0
    code, person = says(it, "ben", asks=False)
    assert (code, "a second person is needed" in person.seen) == (2, True)
    code, person = says(it, "cho", "--reason", "another", asks=False)
    assert (code, "another reason" in person.seen) == (2, True)
    assert it.key_file().exists()


def test_a_hold_keeps_and_two_people_lift_it(it):
    subject = it.pseudonym("ana")
    code, person = says(it, "dan", "--reason", "a lawsuit", verb=("hold",))
    assert (code, "is held: nothing of it is erased" in person.seen) == (0, True), person.seen
    assert [item["subject"] for item in read(it, "erase", "list")["held"]] == [subject]
    code, person = says(it, "ben", "--reason", "x", asks=False)
    assert (code, "under a legal hold" in person.seen) == (2, True)
    assert says(it, "dan", "--reason", "settled", verb=("release",))[0] == 0
    code, person = says(it, "eve", verb=("release",))
    assert (code, "is not held any more" in person.seen) == (0, True), person.seen
    assert read(it, "erase", "list")["held"] == []


def test_without_a_terminal_nothing_is_signed(it):
    words = ("erase", "--subject", "ana", "--as", "ben", "--reason", "x")
    with Person(*words, home=it.folder, screen=False, feed=SECRET.encode()) as person:
        assert person.ends() == 2
    assert read(it, "erase", "list")["requested"] == []


def test_the_plain_form_says_what_it_needs(it):
    for words in (("erase",), ("erase", "--subject", "ana"), ("erase", "hold", "--subject", "ana")):
        result = CliRunner().invoke(main, ["--home", str(it.folder), *words])
        assert result.exit_code == 2, result.output


def test_what_is_erased_is_shown_as_withheld_and_the_record_as_what_it_is(it):
    says(it, "ben", "--reason", "she asked for it")
    says(it, "cho")
    assert read(it, "verify")["report"]["erased"] == 7  # with her name, which two records of hers hold
    tail = CliRunner().invoke(main, ["--home", str(it.folder), "tail", "--json"]).stdout
    items = [json.loads(line) for line in tail.splitlines()]
    record = next(item for item in items if item["kind"] == "erasure")
    assert (record["erasure"]["state"], record["erasure"]["reason"]) == ("erased", "she asked for it")
    assert [part["approver"] for part in record["approval"]] == ["ben", "cho"]
    action = next(item for item in items if item["kind"] == "decision" and item["withheld"])
    assert action["action"]["parameters"] is None
    for words in (("tail",), ("show", str(record["seq"]))):
        shown = CliRunner().invoke(main, ["--home", str(it.folder), *words])
        assert (shown.exit_code, "she asked for it" in shown.output) == (0, True), shown.output
    for words in (("show", action["action"]["id"]), ("sessions",), ("status",), ("replay",)):
        shown = CliRunner().invoke(main, ["--home", str(it.folder), *words])
        assert shown.exit_code == 0, shown.output


def test_finish_has_nothing_to_do_or_destroys_a_key_that_came_back(it):
    key = it.key_file().read_bytes()
    says(it, "ben", "--reason", "she asked for it")
    says(it, "cho")
    assert read(it, "erase", "finish")["destroyed"] == []
    it.key_file().write_bytes(key)
    it.key_file().chmod(0o600)
    assert read(it, "verify", code=5)["code"] == "erasure_incomplete"
    assert read(it, "erase", "finish")["destroyed"] == [it.pseudonym("ana")]
    assert read(it, "verify")["verified"] is True
