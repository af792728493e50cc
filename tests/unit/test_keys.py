"""Hand-over of the signing key: whole at every point at which it can break off; old receipts verify for ever."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace

import navicert
from navicert import keys as keys_module
from navicert.adapters.sign.encrypted_key import is_encrypted
from navicert.adapters.sign.file_key import load_key, new_key
from navicert.assemble import Home, make_home, read_trust
from navicert.audit import audit
from navicert.config import read_config
from navicert.core.seal import parse
from navicert.core.times import micros
from navicert.keys import key_path, move_root, publish, revoke_key, rotate_key, trust_witness
from navicert.model.errors import IntegrityError, Unavailable, VerificationError
from navicert.tlog.note import vkey
from navicert.verification.keyring import believed, fingerprint


@pytest.fixture
def home(tmp_path):
    return make_home(tmp_path / ".navicert", origin="demo", service="demo")


def act(home, guard=None):
    opened = guard or navicert.open(home.folder)
    tool = opened.tool("file.read", effect="read", returns="INTERNAL")(_read)
    try:
        with opened.session(request="look", human="ana", agent="bot"):
            return tool("x")
    finally:
        if guard is None:
            opened.close()


def _read(path: str) -> str:
    return path


def test_old_receipts_verify_after_every_rotation(home):
    algorithms = ["ES256", "Ed25519", "Ed25519", "ES256"]
    first = load_key(home.receipt_key).key_id
    act(home)
    for algorithm in algorithms:
        rotation = rotate_key(home.folder, algorithm)
        assert load_key(home.receipt_key).key_id == rotation.key_id
        assert rotation.key_id.startswith(algorithm.lower())
        act(home)
    report = audit(home.folder)
    trust = read_trust(home.trust)
    assert len(report.log.keys) == len(trust.keys) == 5
    assert report.log.kinds["key"] == 4
    assert [key.until is None for key in trust.keys] == [False] * 4 + [True]
    assert first in report.log.keys
    assert not key_path(home, first).exists()  # nothing that could sign in its name is left
    assert {path.stat().st_mode & 0o777 for path in home.keys.glob("*.pem")} == {0o600}


def test_a_home_that_never_ran_can_be_handed_over(home):
    rotate_key(home.folder)
    assert act(home) == "x"
    assert audit(home.folder).log.entries == 5


def test_a_running_engine_takes_the_new_key_up_by_itself(home):
    with navicert.open(home.folder) as guard:
        assert act(home, guard) == "x"
        rotation = rotate_key(home.folder)
        assert act(home, guard) == "x"
    report = audit(home.folder)
    assert report.log.keys == (rotation.retired, rotation.key_id)


# seen to fail: with `_rotated` returning whatever key lies there
def test_a_running_engine_refuses_a_new_key_that_is_not_there(home):
    with navicert.open(home.folder) as guard:
        assert act(home, guard) == "x"
        rotate_key(home.folder)
        home.receipt_key.unlink()
        with pytest.raises(Unavailable, match="is not in"):
            act(home, guard)


def test_a_key_that_has_signed_for_its_hours_is_replaced_when_an_engine_starts(home):
    first = load_key(home.receipt_key).key_id
    act(home)
    assert load_key(home.receipt_key).key_id == first
    with closing(sqlite3.connect(home.store)) as store:
        (began,) = store.execute("SELECT bytes FROM log WHERE seq = 1").fetchone()
    home.config.write_text(f"{home.config.read_text()}key_hours: 1\n")
    now = micros(parse(began).at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module.SystemClock, "now", lambda _: now + 3_500_000_000)
        assert not keys_module.rotate_when_due(home, read_config(home.folder))
        patch.setattr(keys_module.SystemClock, "now", lambda _: now + 3_700_000_000)
        assert keys_module.rotate_when_due(home, read_config(home.folder)).retired == first
    assert load_key(home.receipt_key).key_id != first
    audit(home.folder)


def test_without_hours_no_key_is_replaced_by_itself(home):
    act(home)
    home.config.write_text(f"{home.config.read_text()}key_hours: 0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys_module.SystemClock, "now", lambda _: 2**52)
        assert not keys_module.rotate_when_due(home, read_config(home.folder))


class Broken(Exception):
    pass


def breaks(*_args, **_kwargs):
    raise Broken


@pytest.mark.parametrize("point", ["before the record", "before the trust file", "after the last rename"])
@pytest.mark.parametrize("engine", [False, True], ids=["called again", "an engine starts"])
def test_a_rotation_that_broke_off_is_taken_up(home, point, engine, monkeypatch):
    act(home)
    old = load_key(home.receipt_key).key_id
    with monkeypatch.context() as patch:
        if point == "before the record":
            patch.setattr(keys_module, "append_key_record", breaks)
        elif point == "before the trust file":
            patch.setattr(keys_module, "replace_file", breaks)
        else:
            patch.setattr(keys_module, "sync_folder", breaks)
        with pytest.raises(Broken):
            rotate_key(home.folder)
    assert (load_key(home.receipt_key).key_id == old) is (point != "after the last rename")
    audit(home.folder)
    if not engine and point == "before the trust file":
        rotation = rotate_key(home.folder)
        assert rotation.resumed
        assert (rotation.retired, rotation.key_id) == (old, load_key(home.receipt_key).key_id)
    assert act(home) == "x"
    assert len(audit(home.folder).log.keys) == (1 if point == "before the record" else 2)


def test_a_record_that_was_durable_though_reported_failed_is_taken_up(home, monkeypatch):
    act(home)
    append = keys_module.append_key_record

    def failing(*args, **options):
        append(*args, **options)
        raise Unavailable("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, "append_key_record", failing)
        with pytest.raises(Unavailable, match="the disk is gone"):
            rotate_key(home.folder)
    assert rotate_key(home.folder).resumed
    assert act(home) == "x"
    audit(home.folder)


def test_a_key_that_was_retired_long_ago_is_no_way_back(home):
    kept = home.receipt_key.read_bytes()
    rotate_key(home.folder)
    rotate_key(home.folder)
    home.receipt_key.write_bytes(kept)
    with pytest.raises(IntegrityError, match="was retired long ago"):
        rotate_key(home.folder)
    with pytest.raises(IntegrityError, match="was retired long ago"):
        act(home)


def test_what_is_published_is_what_is_believed(home):
    before = publish(home.folder)
    assert before.text == home.trust.read_text()
    assert before.fingerprint == fingerprint(read_trust(home.trust))
    assert len(before.fingerprint) == 49
    assert rotate_key(home.folder).fingerprint == publish(home.folder).fingerprint == before.fingerprint
    assert publish(home.folder).text != before.text


def test_engines_in_two_processes_cannot_both_rotate(home):
    """The second finds the log handed over, and changes nothing."""
    old = load_key(home.receipt_key)
    rotate_key(home.folder)
    with pytest.raises(Unavailable, match="handed over"):
        keys_module.append_key_record(Home(home.folder).store, "demo", old, keys_module.key_draft(old))
    audit(home.folder)


# --------------------------------------------------------------------------------------------- the root


def test_the_root_goes_away_and_the_home_goes_on(home, tmp_path):
    mark = publish(home.folder).fingerprint
    act(home)
    moved = move_root(home.folder, tmp_path / "root.pem", "correct horse battery")

    assert moved.fingerprint == mark
    assert not home.root_key.exists()
    assert is_encrypted(tmp_path / "root.pem")
    rotation = rotate_key(home.folder)  # the record in the log certifies it alone
    assert not rotation.listed
    assert act(home) == "x"
    assert audit(home.folder).fingerprint == mark


def test_the_root_does_not_move_into_the_home(home):
    with pytest.raises(IntegrityError, match="lies in the home"):
        move_root(home.folder, home.folder / "root.pem")
    assert home.root_key.exists()


# seen to fail: without `believed` in `Keyring`
@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_a_trust_file_that_its_root_did_not_sign_is_not_believed(tmp_path, algorithm):
    home = make_home(tmp_path / "one", origin="demo", service="demo", algorithm=algorithm)
    other = make_home(tmp_path / "other", origin="demo", service="demo", algorithm=algorithm)
    trust, strange = read_trust(home.trust), read_trust(other.trust)
    believed(trust)

    lies = (
        replace(trust, keys=strange.keys),
        replace(trust, log=strange.log),
        replace(trust, quorum=1),
        replace(trust, root=strange.root),
        replace(trust, signature=strange.signature),
        replace(trust, signature=""),
        replace(trust, root=None),
        replace(trust, issued_at="2030-01-01T00:00:00.000000Z"),
    )
    for lie in lies:
        with pytest.raises(VerificationError, match="bad_trust"):
            believed(lie)


# seen to fail: without `revoked` in `Keyring.check`
def test_what_a_revoked_key_signed_counts_up_to_its_place_and_no_further(home):
    act(home)
    rotation = rotate_key(home.folder)
    act(home)
    seq = rotation.seq

    done = revoke_key(home.folder, rotation.retired, at=2**50, upto=seq)
    assert done.lost == 0
    audit(home.folder)

    with pytest.raises(IntegrityError, match=rf"signed 2 entries .* --upto {seq}, or say --lose 2"):
        revoke_key(home.folder, rotation.retired, at=2**50, upto=seq - 2)
    audit(home.folder)
    lost = revoke_key(home.folder, rotation.retired, at=2**50, upto=seq - 2, lose=2)
    assert lost.lost == 2
    with pytest.raises(VerificationError, match="key_revoked"):
        audit(home.folder)


def test_the_key_that_signs_now_is_replaced_before_it_is_revoked(home):
    act(home)
    with pytest.raises(IntegrityError, match="replace it first"):
        revoke_key(home.folder, load_key(home.receipt_key).key_id, at=0, upto=1)


def test_a_witness_counts_once_the_root_says_so(home, tmp_path):
    move_root(home.folder, tmp_path / "root.pem")
    key = vkey("w.example", 4, new_key("Ed25519").public)

    with pytest.raises(IntegrityError, match="root"):
        trust_witness(home.folder, key, "the auditor", quorum=1)
    trust_witness(home.folder, key, "the auditor", quorum=1, root=load_key(tmp_path / "root.pem"))

    trust = read_trust(home.trust)
    assert (trust.quorum, [item.operator for item in trust.witnesses]) == (1, ["the auditor"])
    believed(trust)
