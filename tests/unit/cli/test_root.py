"""The root at a real terminal: moved away, brought back for what only it can say, and never half of it lost."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from navicert import keys as keys_module
from navicert.adapters.sign.encrypted_key import is_encrypted, open_encrypted_key
from navicert.adapters.sign.file_key import load_key, new_key
from navicert.assemble import make_home, read_trust
from navicert.audit import audit
from navicert.cli import main
from navicert.keys import move_root, publish, rotate_key, write_trust
from navicert.model.errors import IntegrityError
from navicert.model.trust import Trust
from navicert.tlog.note import vkey
from navicert.verification.keyring import believed, fingerprint
from terminal import Person

SECRET = "correct horse battery"
NEVER = "2001-01-01T00:00:00+01:00"


@pytest.fixture(params=["Ed25519", "ES256"])
def home(tmp_path, request):
    return make_home(tmp_path / ".navicert", origin="demo", service="demo", algorithm=request.param)


def call(home, *words, code=0):
    result = CliRunner().invoke(main, ["--home", str(home.folder), *words])
    assert result.exit_code == code, result.output
    return result


def read(home, *words):
    return json.loads(call(home, *words, "--json").stdout)


def asked(home, *words, secret=SECRET):
    """Run a verb at a terminal, and type the passphrase when it is asked for; return the exit code and what came."""
    with Person(*words, home=home.folder) as person:
        person.expect("passphrase of the root key: ")
        person.types(secret)
        return person.ends(), person.seen


def test_init_shows_the_fingerprint_and_where_the_root_lies(tmp_path):
    shown = json.loads(CliRunner().invoke(main, ["init", str(tmp_path), "--json"]).stdout)
    assert shown["root"] == str((tmp_path / ".navicert" / "keys" / "root.pem").resolve())
    assert shown["fingerprint"] == publish(tmp_path / ".navicert").fingerprint
    (tmp_path / "two").mkdir()
    said = CliRunner().invoke(main, ["init", str(tmp_path / "two")]).stdout
    assert publish(tmp_path / "two" / ".navicert").fingerprint in said
    assert "navicert key root --to FILE" in said


# seen to fail: with the key saved without its passphrase
def test_the_root_moves_under_a_passphrase_and_comes_back_for_a_rotation(home, tmp_path):
    root, mark = load_key(home.root_key).key_id, publish(home.folder).fingerprint
    file = tmp_path / "root.pem"
    with Person("key", "root", "--to", str(file), "--encrypt", home=home.folder) as person:
        for question in ("new passphrase for the root key: ", "once more: "):
            person.expect(question)
            person.types(SECRET)
        assert person.ends() == 0, person.seen
    assert SECRET not in person.seen
    assert is_encrypted(file)
    assert (file.stat().st_mode & 0o777, open_encrypted_key(file, SECRET).key_id) == (0o600, root)
    assert not list(home.keys.glob("root.*"))

    before = home.trust.read_bytes()
    ended, seen = asked(home, "key", "rotate", "--root", str(file), secret="another passphrase")
    assert (ended, home.trust.read_bytes()) == (2, before), seen
    ended, seen = asked(home, "key", "rotate", "--root", str(file))
    assert ended == 0, seen
    assert load_key(home.receipt_key).key_id in {key.key_id for key in read_trust(home.trust).keys}
    assert audit(home.folder).fingerprint == mark


def test_no_passphrase_comes_from_standard_input(home, tmp_path):
    move_root(home.folder, tmp_path / "root.pem", SECRET)
    words = ("key", "rotate", "--root", str(tmp_path / "root.pem"))
    with Person(*words, home=home.folder, feed=f"{SECRET}\n".encode(), screen=False, pipe=True) as person:
        assert person.ends() == 2
    assert "no terminal" in person.seen


class Broken(Exception):
    pass


# seen to fail: with the home's key destroyed before the file was read back
@pytest.mark.parametrize("point", ["save_key", "load_root", "_destroy"])
def test_a_move_that_broke_off_has_the_root_somewhere_and_goes_on(home, tmp_path, point, monkeypatch):
    root, file = load_key(home.root_key).key_id, tmp_path / "root.pem"

    def breaks(*_args, **_kwargs):
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, point, breaks)
        with pytest.raises(Broken):
            move_root(home.folder, file)
    assert root in {load_key(path).key_id for path in (*home.keys.glob("root.*"), *tmp_path.glob("root.pem"))}

    assert move_root(home.folder, file).key_id == load_key(file).key_id == root
    assert not list(home.keys.glob("root.*"))
    with pytest.raises(IntegrityError, match="moved away already"):
        move_root(home.folder, file)


def test_a_file_that_holds_another_key_is_neither_overwritten_nor_taken_for_the_root(home, tmp_path):
    keys_module.save_key(new_key("Ed25519"), tmp_path / "other.pem")
    held = (tmp_path / "other.pem").read_bytes()
    call(home, "key", "root", "--to", str(tmp_path / "other.pem"), code=5)
    assert ((tmp_path / "other.pem").read_bytes(), home.root_key.exists()) == (held, True)
    assert "is not the root" in call(home, "key", "rotate", "--root", str(tmp_path / "other.pem"), code=5).stderr


def test_an_old_home_is_given_a_root_and_its_log_verifies_on(home, tmp_path):
    trust = read_trust(home.trust)
    write_trust(home, Trust(origin=trust.origin, keys=trust.keys))
    for path in (home.root_key, home.log_key):
        path.unlink()
    rotate_key(home.folder)
    old = publish(home.folder).fingerprint
    assert read_trust(home.trust).root is None

    made = read(home, "key", "root", "--to", str(tmp_path / "root.pem"))
    trust = believed(read_trust(home.trust))
    assert made["made"]
    assert made["fingerprint"] == fingerprint(trust) != old
    assert [key.key_id for key in trust.log] == [load_key(home.log_key).key_id]
    assert audit(home.folder).fingerprint == made["fingerprint"]


# what the root says


def test_a_revocation_needs_a_place_where_no_witness_knows_one(home):
    done = rotate_key(home.folder)
    shown = call(home, "key", "revoke", done.retired, "--at", NEVER, code=2)
    assert "--upto" in shown.stderr
    assert read_trust(home.trust).revoked == ()
    said = read(home, "key", "revoke", done.retired, "--at", NEVER, "--upto", "1", "--reason", "laptop stolen")
    assert (said["at"], said["upto"], said["lost"]) == ("2000-12-31T23:00:00.000000Z", 1, 0)
    assert read_trust(home.trust).revoked[0].reason == "laptop stolen"


@pytest.mark.parametrize(
    "words", [("--at", "yesterday"), ("--at", "2026-11-23T09:00:00"), ("--at", NEVER, "--reason", "gestohlen \u00fc")]
)
def test_a_revocation_says_when_and_why_in_a_form_that_everybody_reads(home, words):
    done = rotate_key(home.folder)
    call(home, "key", "revoke", done.retired, "--upto", "1", *words, code=2)


def test_a_revoked_log_key_is_replaced_and_counts_up_to_its_place(home):
    old = load_key(home.log_key)
    said = read(home, "key", "revoke", old.key_id, "--at", NEVER, "--upto", "7")
    trust = read_trust(home.trust)
    assert said["replaced"] == load_key(home.log_key).key_id != old.key_id
    assert [key.key_id for key in trust.log] == [old.key_id, said["replaced"]]
    assert [(item.key_id, item.upto) for item in trust.revoked] == [(old.key_id, 7)]
    assert not list(home.keys.glob("log.new"))


def test_a_strangers_key_is_not_revoked(home):
    assert (
        "no key of this log" in call(home, "key", "revoke", "ed25519:00", "--at", NEVER, "--upto", "1", code=5).stderr
    )


def test_one_operator_counts_once_for_the_quorum(home):
    one, two = (vkey(f"w{number}.example", 4, new_key("Ed25519").public) for number in (1, 2))
    assert read(home, "key", "trust-witness", one, "--operator", "ana")["quorum"] == 1
    call(home, "key", "trust-witness", two, "--operator", "ana", "--quorum", "2", code=5)
    said = read(home, "key", "trust-witness", two, "--operator", "ben", "--quorum", "2")
    assert (said["quorum"], [item["operator"] for item in said["witnesses"]]) == (2, ["ana", "ben"])
    log = vkey("w3.example", 1, new_key("Ed25519").public)
    assert "not a witness's key" in call(home, "key", "trust-witness", log, "--operator", "eve", code=5).stderr


def test_what_is_published_has_a_fingerprint_that_fits_on_a_card(home):
    said = call(home, "key", "publish").stdout
    mark = publish(home.folder).fingerprint
    assert mark in said
    assert [len(group) for group in mark.split(" ")] == [4] * 10
