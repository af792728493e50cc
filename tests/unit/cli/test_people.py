"""People at a real terminal: who may answer, what they sign, and what nobody can do in their place."""

from __future__ import annotations

import json
import os
import stat
from functools import partial
from itertools import product

import msgspec
import pytest
from click.testing import CliRunner

import navicert
from desk import SECRET
from navicert.adapters.sign.encrypted_key import load_encrypted_key
from navicert.adapters.sign.file_key import new_key, save_key
from navicert.asking.deciding import key_path
from navicert.cli import main
from navicert.cli.decide import may_decide
from navicert.cli.faults import Misused
from navicert.core.answers import check, hear
from navicert.core.seal import b64
from navicert.model.errors import IdentityError
from navicert.model.suspension import Answer
from navicert.people import control, look, sign_answer
from terminal import Person


def call(desk, *words, code=0):
    result = CliRunner().invoke(main, ["--home", str(desk.folder), *words])
    assert result.exit_code == code, result.output
    return result


def read(desk, *words):
    return json.loads(call(desk, *words, "--json").stdout)


def key_of(desk, name):
    return load_encrypted_key(desk.keys / f"{name}.pem", SECRET)


# keys and enrolment


def test_an_approver_is_added_at_a_terminal_with_an_encrypted_key_of_mode_0600(desk, tmp_path):
    with desk.person("approver", "add", "dan", env={"HOME": str(tmp_path)}) as person:
        person.expect("new passphrase for dan: ")
        person.types(SECRET)
        person.expect("once more: ")
        person.types(SECRET)
        assert person.ends() == 0, person.seen

    path = tmp_path / ".config" / "navicert" / "dan.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in path.read_bytes()
    assert SECRET not in person.seen
    people = {item["name"]: item for item in read(desk, "approver", "list")["approvers"]}
    assert people["dan"]["key_id"] == load_encrypted_key(path, SECRET).key_id


def test_two_different_passphrases_and_short_ones_make_no_key(desk, tmp_path):
    path = tmp_path / "dan.pem"
    with desk.person("approver", "add", "dan", "--key", str(path)) as person:
        person.expect("new passphrase for dan: ")
        person.types("short")
        person.expect("shorter than 8 characters")
        for first, second in (("correct horse", "correct house"), ("one way to", "another way")):
            person.expect("new passphrase for dan: ")
            person.types(first)
            person.expect("once more: ")
            person.types(second)
            person.expect("not the same")
        assert person.ends() == 2

    assert not path.exists()
    assert "dan" not in {item["name"] for item in read(desk, "approver", "list")["approvers"]}


def test_a_key_made_elsewhere_is_enrolled_by_its_public_part(desk, tmp_path):
    private, public = tmp_path / "dan.pem", tmp_path / "dan.json"
    with desk.person("approver", "key", "dan", "--key", str(private), "--public", str(public)) as person:
        person.expect("new passphrase")
        person.types(SECRET)
        person.expect("once more")
        person.types(SECRET)
        assert person.ends() == 0, person.seen
    assert "dan" not in {item["name"] for item in read(desk, "approver", "list")["approvers"]}

    assert "not for `eve`" in call(desk, "approver", "enrol", "eve", "--public", str(public), code=2).stderr
    call(desk, "approver", "enrol", "dan", "--public", str(public))
    people = {item["name"]: item for item in read(desk, "approver", "list")["approvers"]}
    assert people["dan"]["key_id"] == load_encrypted_key(private, SECRET).key_id


def test_a_public_part_that_was_changed_is_not_enrolled(desk, tmp_path):
    public = tmp_path / "dan.json"
    key = key_of(desk, "eve")
    whole = {
        "format": "navicert/approver/1",
        "name": "dan",
        "key_id": key.key_id,
        "algorithm": "Ed25519",
        "public": b64(key.public),
    }
    for change in (
        {"key_id": "ed25519:" + "0" * 32}, {"algorithm": "ES256"}, {"public": "AAAA"}, {"public": "Ä"}, {"format": "x"},
        {"more": "x"}, {"name": "requester"},
    ):  # fmt: skip
        public.write_text(json.dumps({**whole, **change}), encoding="utf-8")
        call(desk, "approver", "enrol", "dan", "--public", str(public), code=2)
    public.write_text("{", encoding="utf-8")
    call(desk, "approver", "enrol", "dan", "--public", str(public), code=2)

    assert "dan" not in {item["name"] for item in read(desk, "approver", "list")["approvers"]}


def test_a_person_who_was_removed_answers_no_more(desk):
    call(desk, "approver", "remove", "ben")
    ended = {item["name"]: item["until"] for item in read(desk, "approver", "list")["approvers"]}

    assert ended["ben"] is not None
    assert ended["cho"] is None
    with desk.person("approve", desk.handles["pay.send"], "--as", "ben", "--key", str(desk.keys / "ben.pem")) as person:
        assert person.ends() == 2
    assert "is not enrolled" in person.seen
    assert "not an approver" not in person.seen


# answering


def test_two_people_approve_and_the_caller_then_runs_exactly_that(desk):
    code, first = desk.decides("approve", "email.send", who="ben")
    assert code == 0, first.seen
    assert "1 of 2 answers; it goes on waiting" in first.seen
    code, second = desk.decides("approve", "email.send", who="cho")
    assert code == 0, second.seen
    assert "2 of 2 answers; it runs when its caller resumes it, at once if it waits" in second.seen

    ran = []
    with navicert.open(desk.folder) as guard:

        @guard.tool("email.send")
        def send(to: list[str], body: str, link: str = "") -> str:
            ran.append(to)
            return "sent"

        guard.resume(desk.handles["email.send"])
    assert ran == [["bob@partner.example", "Boss <eve@evil.example>"]]

    receipts = [json.loads(line) for line in call(desk, "tail", "-n", "99", "--json").stdout.splitlines()]
    resolution = next(item for item in receipts if item["kind"] == "resolution")
    assert [(part["approver"], part["role"], part["reason"]) for part in resolution["approval"]] == [
        ("ben", "approver", "so it is"), ("cho", "approver", "so it is"),
    ]  # fmt: skip
    assert f"digest        {resolution['approval'][0]['digest']}\n" in first.seen
    assert "approved by ben: so it is" in call(desk, "show", desk.handles["email.send"]).output
    assert "approved by ben: so it is" in call(desk, "session", resolution["session"]["id"]).output
    tailed = call(desk, "tail", "-n", "99").output
    assert "approved by ben" in tailed
    assert "enrolled, key ed25519:" in tailed


def test_one_refusal_refuses(desk):
    code, person = desk.decides("deny", "email.send", who="cho")

    assert code == 0, person.seen
    assert "You REFUSE this action: email.send" in person.seen
    assert "refused; it will not run" in person.seen
    assert desk.wait("email.send") is None
    assert "is over" in call(desk, "approve", desk.handles["email.send"], "--as", "ben", code=2).stderr
    assert read(desk, "inbox")["today"] == {"answered": 1, "approved": 0}


def test_the_requester_states_a_fact_and_only_they(desk):
    key = ("--key", str(desk.keys / "ben.pem"))
    with desk.person("answer", desk.handles["crm.delete"], "meant_it", "true", "--as", "ben", *key) as other:
        assert other.ends() == 2
    assert "asked of `ana`" in other.seen
    with desk.person("answer", desk.handles["crm.delete"], "colour", "red", "--as", "ana") as wrong:
        assert wrong.ends() == 2
    assert "it asks for meant_it" in wrong.seen

    code, person = desk.decides("answer", "crm.delete", "meant_it", "true", who="ana")
    assert code == 0, person.seen
    assert "Did you ask for the customer to be deleted?" in person.seen
    with look(desk.home) as seen:
        wait = desk.wait("crm.delete")
        assert hear(wait.question, wait.votes, seen.approvers, wait.question.asked_at).stated == {"meant_it": True}


def test_the_reason_is_asked_for_on_the_terminal_and_signed(desk):
    key = ("--key", str(desk.keys / "ben.pem"))
    with desk.person("approve", desk.handles["email.send"], "--as", "ben", *key) as person:
        person.expect("reason: ")
        person.types("I have read it")
        person.expect("passphrase of ben: ")
        person.types(SECRET)
        assert person.ends() == 0, person.seen

    statement = json.loads(desk.wait("email.send").votes[0].statement)
    assert statement["reason"] == "I have read it"
    assert SECRET not in person.seen


def test_an_answer_without_a_reason_is_not_given(desk):
    with desk.person(
        "approve", desk.handles["email.send"], "--as", "ben", "--key", str(desk.keys / "ben.pem")
    ) as person:
        person.expect("reason: ")
        person.types("   ")
        assert person.ends() == 2

    assert desk.wait("email.send").votes == ()


def test_standard_output_is_the_document_alone_and_the_page_goes_to_the_terminal(desk):
    code, person = desk.decides("approve", "email.send", "--json", who="ben", pipe=True)

    document = json.loads(person.out)
    assert code == 0
    assert document["digest"] == desk.wait("email.send").question.digest
    assert (document["state"], document["answers"], document["approvals"]) == ("waiting", 1, 2)
    assert "What exactly would run" in person.seen


# what nobody can do in a person's place


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_without_a_terminal_nobody_answers(desk, verb):
    words = (verb, desk.handles["email.send"], "--as", "ben", "--key", str(desk.keys / "ben.pem"), "--reason", "x")
    with desk.person(*words, screen=False, feed=f"{SECRET}\n".encode()) as person:
        assert person.ends() == 2

    assert "there is no terminal" in person.seen
    assert "in a terminal of your own" in person.seen
    assert desk.wait("email.send").votes == ()


def test_without_a_terminal_no_key_is_made(desk, tmp_path):
    path = tmp_path / "dan.pem"
    words = ("approver", "add", "dan", "--key", str(path))
    with desk.person(*words, screen=False, feed=f"{SECRET}\n{SECRET}\n".encode()) as person:
        assert person.ends() == 2

    assert "there is no terminal" in person.seen
    assert not path.exists()


def test_a_passphrase_on_standard_input_or_in_the_environment_is_not_read(desk):
    words = ("approve", desk.handles["email.send"], "--as", "ben", "--key", str(desk.keys / "ben.pem"), "--reason", "x")
    env = dict.fromkeys(("NAVICERT_PASSPHRASE", "PASSPHRASE", "NAVICERT_KEY_PASSPHRASE", "SSH_ASKPASS"), SECRET)
    with desk.person(*words, feed=f"{SECRET}\n{SECRET}\n".encode(), env=env) as person:
        person.expect("passphrase of ben: ")
        person.types("something else")  # what a person types counts, and nothing beside it
        assert person.ends() == 2

    assert "not the one of this key" in person.seen
    assert desk.wait("email.send").votes == ()


def test_what_was_typed_before_the_question_stood_there_is_not_an_answer(desk):
    words = ("approve", desk.handles["email.send"], "--as", "ben", "--key", str(desk.keys / "ben.pem"), "--reason", "x")
    with desk.person(*words) as person:
        person.types(SECRET)
        person.expect("passphrase of ben: ")
        person.types("something else")
        assert person.ends() == 2

    assert desk.wait("email.send").votes == ()


def test_no_option_takes_a_passphrase():
    options = [CliRunner().invoke(main, [verb, "--help"]).output for verb in ("approve", "deny", "answer", "restore")]

    assert "--pass" not in "".join(options)
    assert "--key FILE" in options[0]


def test_the_wrong_passphrase_signs_nothing(desk):
    code, person = desk.decides("approve", "email.send", who="ben", secret="correct horse batterx")

    assert code == 2
    assert "not the one of this key; nothing was signed" in person.seen
    assert desk.wait("email.send").votes == ()


def test_a_key_that_is_not_encrypted_signs_nothing(desk):
    path = desk.keys / "plain.pem"
    save_key(new_key("Ed25519"), path)
    words = ("approve", desk.handles["email.send"], "--as", "ben", "--key", str(path), "--reason", "x")
    with desk.person(*words) as person:
        person.expect("passphrase of ben: ")
        person.types(SECRET)
        assert person.ends() == 5

    assert "not encrypted" in person.seen


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("eve", "`eve` is not among those who may answer: ben, cho"),
        ("dan", "`dan` is not enrolled"),
        ("ana", "`ana` is the requester, and this rule needs somebody else: ben, cho"),
    ],
)
def test_who_may_not_answer_is_told_so_before_they_type_anything(desk, who, why):
    key = desk.keys / f"{who}.pem"
    with desk.person("approve", desk.handles["email.send"], "--as", who, "--key", str(key), "--reason", "x") as person:
        assert person.ends() == 2

    assert why in person.seen
    assert "passphrase" not in person.seen
    assert desk.wait("email.send").votes == ()


def test_another_persons_key_is_no_answer_of_ones_own(desk):
    key = ("--key", str(desk.keys / "cho.pem"))
    with desk.person("approve", desk.handles["email.send"], "--as", "ben", *key, "--reason", "x") as person:
        person.expect("passphrase of ben: ")
        person.types(SECRET)
        assert person.ends() == 2

    assert "not enrolled with this key" in person.seen
    assert desk.wait("email.send").votes == ()


def test_the_engine_refuses_what_the_command_line_refuses(desk):
    """What is refused early is a courtesy: the same answer, handed in past the command line, counts as little."""
    with look(desk.home) as seen:
        for name, said in product(("ana", "ben", "eve", "nobody"), Answer):
            key = key_of(desk, name if name != "nobody" else "eve")
            for wait in seen.waits:
                at = wait.question.asked_at
                value = {"meant_it": True} if said is Answer.STATE else {}
                vote = sign_answer(wait.question, said, name, key, at, "so it is", value)
                early = refused(Misused, partial(may_decide, wait, seen.approvers, name, said, at))
                late = refused(IdentityError, partial(check, wait.question, vote, seen.approvers, at))
                # the command line refuses the name of a fact that is not asked for before it looks at the person
                assert early == late or (said is Answer.STATE and late), (name, said, wait.action.name)


def refused(kind, call):
    try:
        call()
    except kind:
        return True
    return False


def test_an_answer_to_another_question_than_the_one_shown_does_not_count(desk):
    wait = desk.wait("email.send")
    other = msgspec.structs.replace(wait.question, digest="0" * 64)
    with control(desk.home) as engine:
        vote = sign_answer(other, Answer.APPROVE, "ben", key_of(desk, "ben"), engine.now(), "so it is")
        with pytest.raises(navicert.IdentityError, match="another question"):
            engine.answer(wait.handle, vote)


# the inbox


def test_the_inbox_shows_the_riskiest_first_and_only_what_one_may_answer(desk):
    assert [item["name"] for item in read(desk, "inbox")["waiting"]] == ["pay.send", "email.send", "crm.delete"]
    assert [item["name"] for item in read(desk, "inbox", "--as", "ben")["waiting"]] == ["pay.send", "email.send"]
    assert [item["name"] for item in read(desk, "inbox", "--as", "cho")["waiting"]] == ["email.send"]
    assert [item["name"] for item in read(desk, "inbox", "--as", "ana")["waiting"]] == ["crm.delete"]
    assert read(desk, "inbox", "--as", "dan")["waiting"] == []  # a backup is not asked yet

    desk.decides("approve", "email.send", who="ben")
    shown = call(desk, "inbox").output
    assert "so far     1 of 2 answers: ben approved" in shown
    assert "with       amount: 500, note: rent\n" in shown
    assert "with       to[0]: bob@partner.example, to[1]: Boss <eve@evil.example>, link: , …\n" in shown
    assert not any(char in shown for char in "\x1b\u202e")
    assert "today: 1 answered, 100 % of them approved" in shown
    assert max(map(len, shown.splitlines())) <= 100


# authority


def test_authority_is_taken_at_once_and_given_back_only_by_a_supervisors_signature(desk):
    call(desk, "kill", "human/ana", "--reason", "it runs wild\x1b[8m", "--by", "ops")
    shown = call(desk, "authority").output
    assert "revoked" in shown
    assert "human/ana" in shown  # kept under a pseudonym, shown by name
    assert "‹U+001B›" in shown
    assert call(desk, "status").output.splitlines()[2].strip() == "✕ REVOKED: human/ana"

    key = ("--key", str(desk.keys / "ben.pem"))
    with desk.person("restore", "human/ana", "--as", "ben", *key, "--reason", "x") as other:
        other.expect("passphrase of ben: ")
        other.types(SECRET)
        assert other.ends() == 2
    assert "not among the `supervisors`" in other.seen
    assert read(desk, "authority")["subjects"][0]["state"] == "revoked"

    key = ("--key", str(desk.keys / "sam.pem"))
    with desk.person("restore", "human/ana", "--as", "sam", *key, "--reason", "looked into it") as person:
        assert "because" in person.expect("passphrase of sam: ")
        person.types(SECRET)
        assert person.ends() == 0, person.seen
    assert read(desk, "authority")["subjects"] == []
    assert "human/p-" in call(desk, "tail").output
    kinds = [json.loads(line)["kind"] for line in call(desk, "tail", "--json").stdout.splitlines()]
    assert kinds.count("authority") == 2


def test_a_policy_that_does_not_load_keeps_nobody_from_stopping_an_agent(desk):
    policy = desk.home.folder / "policy.yaml"
    policy.write_text(policy.read_text(encoding="utf-8") + "\nbroken: [\n", encoding="utf-8")

    call(desk, "kill", "agent/assistant", "--reason", "it runs wild")
    assert "revoked" in call(desk, "authority").output


def test_without_a_terminal_authority_goes_down_and_not_up(desk):
    call(desk, "kill", "agent/assistant", "--state", "narrowed", "--reason", "careful")
    words = ("restore", "agent/assistant", "--as", "sam", "--key", str(desk.keys / "sam.pem"), "--reason", "x")
    with desk.person(*words, screen=False, feed=f"{SECRET}\n".encode()) as person:
        assert person.ends() == 2

    assert read(desk, "authority")["subjects"][0]["state"] == "narrowed"
    call(desk, "kill", "all", "--reason", "x")
    assert "already" in call(desk, "kill", "all", "--state", "narrowed", "--reason", "x", code=2).stderr


@pytest.mark.parametrize("subject", ["ana", "human/", "person/ana", ""])
def test_what_is_no_subject_is_refused(desk, subject):
    assert "is no subject" in call(desk, "kill", subject, "--reason", "x", code=2).stderr


def test_a_sweep_refuses_what_was_revoked_and_says_how_many_wait(desk):
    assert read(desk, "sweep")["waiting"] == 3
    call(desk, "kill", "agent/assistant", "--reason", "it runs wild")
    assert read(desk, "sweep")["waiting"] == 0
    assert read(desk, "inbox")["waiting"] == []


# the resident owner


@pytest.fixture
def owner(desk):
    """The socket of a resident owner of the desk's home."""
    with desk.person("up") as running:
        running.expect("ready")
        yield desk.home.folder / "navicert.sock"
        running.presses(b"\x03")
        assert running.ends() == 0, running.seen


def test_people_answer_through_the_owners_socket_without_reading_the_home(desk, owner):
    def through(*words, **how):
        return Person(*words, home=owner, env={"NO_COLOR": "1"}, **how)

    with through("inbox", "--as", "ben", "--json", pipe=True) as inbox:
        assert inbox.ends() == 0, inbox.seen
    assert [item["name"] for item in json.loads(inbox.out)["waiting"]] == ["pay.send", "email.send"]
    with through("show", desk.handles["email.send"]) as shown:
        assert shown.ends() == 0, shown.seen
    assert "What exactly would run" in shown.seen
    assert "Bcc: eve@evil.example" in shown.seen
    key = ("--key", str(desk.keys / "ben.pem"))
    with through("approve", desk.handles["email.send"], "--as", "ben", *key, "--reason", "so it is") as person:
        person.expect("passphrase of ben: ")
        person.types(SECRET)
        assert person.ends() == 0, person.seen
    assert "1 of 2 answers" in person.seen
    with through("kill", "agent/assistant", "--reason", "it runs wild") as kill:
        assert kill.ends() == 0, kill.seen
    assert read(desk, "authority")["subjects"][0]["state"] == "revoked"


def test_where_the_store_cannot_be_opened_the_owner_is_asked(desk, owner):
    with_owner = json.loads(call(desk, "inbox", "--json").stdout)["waiting"]
    desk.home.store_key.rename(desk.home.keys / "away")  # as for a user who may not read the keys

    assert [item["handle"] for item in read(desk, "inbox")["waiting"]] == [item["handle"] for item in with_owner]
    call(desk, "kill", "all", "--reason", "it runs wild")
    assert read(desk, "authority")["subjects"][0]["subject"] == "all"


def test_where_no_owner_answers_the_reason_is_that_the_store_does_not_open(desk):
    desk.home.store_key.rename(desk.home.keys / "away")

    assert "store.key" in call(desk, "inbox", code=5).stderr
    assert "store.key" in call(desk, "kill", "all", "--reason", "x", code=5).stderr


# doctor


def test_doctor_says_whom_the_policy_asks_and_nobody_has_enrolled(desk):
    found = [item for item in read(desk, "doctor")["findings"] if item["code"] == "approvers"]
    assert [item["level"] for item in found] == ["warning"]
    assert "`mail-outside` asks dan" in found[0]["what"]

    call(desk, "approver", "remove", "cho")
    (found,) = (item for item in read(desk, "doctor")["findings"] if item["code"] == "approvers")
    assert "can only time out" in found["what"]


def test_doctor_finds_sources_and_programs_that_others_can_write(desk, tmp_path):
    source, program = tmp_path / "window.json", tmp_path / "tell"
    source.write_text("true", encoding="utf-8")
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    policy = desk.home.folder / "policy.yaml"
    text = policy.read_text(encoding="utf-8").replace("facts:\n", f"facts:\n  window: {{file: {source}}}\n")
    policy.write_text(text, encoding="utf-8")
    config = desk.home.config
    config.write_text(config.read_text(encoding="utf-8") + f"notify: [{program}]\n", encoding="utf-8")

    def levels():
        result = CliRunner().invoke(main, ["--home", str(desk.folder), "doctor", "--json"])
        found = json.loads(result.stdout)["findings"]
        return {item["code"]: item["level"] for item in found if item["code"] in {"sources", "notify", "policy"}}

    assert levels() == {"policy": "ok", "sources": "ok", "notify": "ok"}
    source.chmod(0o666)
    assert levels()["sources"] == "error"
    program.chmod(0o775)
    assert levels()["notify"] == "error"
    source.unlink()
    assert levels()["sources"] == "warning"
    program.chmod(0o644)
    assert levels()["notify"] == "error"


@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_a_deployment_with_tokens_names_their_issuer(desk, verb):
    config = desk.home.config
    tokens = "identity: {issuer: https://login.example, audience: a, keys: keys.json}\n#"
    config.write_text(config.read_text(encoding="utf-8").replace("identity: development ", tokens), encoding="utf-8")

    assert "tokens of https://login.example" in CliRunner().invoke(main, ["--home", str(desk.folder), verb]).output


def test_keys_lie_under_the_persons_own_name_and_never_outside_their_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".config" / "navicert"
    assert key_path("ben@example.com", None) == folder / "ben@example.com.pem"
    for name in ("../../etc/x", "..", "/etc/x", ".", "a/b"):
        path = key_path(name, None)
        assert os.path.normpath(path) == str(path)
        assert path.parent == folder
