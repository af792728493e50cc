"""Hand-over of the signing key: whole at every point at which it can break off; old receipts verify for ever."""

from __future__ import annotations

import os

import pytest

import navicert
from navicert import keys as keys_module
from navicert.adapters.sign.file_key import load_key
from navicert.assemble import Home, make_home, read_trust
from navicert.audit import audit
from navicert.keys import key_path, publish, rotate_key
from navicert.model.errors import IntegrityError, Unavailable
from navicert.verification.keyring import fingerprint


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
    assert load_key(key_path(home, first)).key_id == first
    assert {path.stat().st_mode & 0o777 for path in home.keys.glob("*.pem")} == {0o600}


def test_a_home_that_never_ran_can_be_handed_over(home):
    rotate_key(home.folder)
    assert act(home) == "x"
    assert audit(home.folder).log.entries == 5


def test_a_running_engine_with_the_old_key_refuses_and_says_why(home):
    with navicert.open(home.folder) as guard:
        assert act(home, guard) == "x"
        rotate_key(home.folder)
        with pytest.raises(Unavailable, match="the signing key was rotated; restart this process"):
            act(home, guard)
    assert act(home) == "x"
    audit(home.folder)


class Broken(Exception):
    pass


def breaks(*_args, **_kwargs):
    raise Broken


@pytest.mark.parametrize("point", ["before the record", "before the trust file", "before the old key is kept",
                                   "before the last rename"])  # fmt: skip
def test_a_rotation_that_broke_off_is_taken_up(home, point, monkeypatch):
    act(home)
    old = load_key(home.receipt_key).key_id
    with monkeypatch.context() as patch:
        if point == "before the record":
            patch.setattr(keys_module, "append_key_record", breaks)
        elif point == "before the trust file":
            patch.setattr(keys_module, "replace_file", breaks)
        elif point == "before the old key is kept":
            patch.setattr(keys_module.os, "link", breaks)
        else:
            patch.setattr(keys_module, "sync_folder", breaks)
        with pytest.raises(Broken):
            rotate_key(home.folder)
    assert load_key(home.receipt_key).key_id == old
    audit(home.folder)
    handed_over = point != "before the record"
    if handed_over:
        with pytest.raises(Unavailable, match="was rotated"):
            act(home)
    else:
        assert act(home) == "x"
    rotation = rotate_key(home.folder)
    assert rotation.resumed is handed_over
    assert (rotation.retired, rotation.key_id) == (old, load_key(home.receipt_key).key_id)
    assert act(home) == "x"
    assert len(audit(home.folder).log.keys) == 2


def test_a_record_that_was_durable_though_reported_failed_is_taken_up(home, monkeypatch):
    act(home)
    append = keys_module.append_key_record

    def failing(*args):
        append(*args)
        raise Unavailable("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, "append_key_record", failing)
        with pytest.raises(Unavailable, match="the disk is gone"):
            rotate_key(home.folder)
    assert rotate_key(home.folder).resumed
    assert act(home) == "x"
    audit(home.folder)


def test_a_key_that_was_retired_long_ago_is_no_way_back(home):
    first = load_key(home.receipt_key).key_id
    rotate_key(home.folder)
    rotate_key(home.folder)
    home.receipt_key.unlink()
    os.link(key_path(home, first), home.receipt_key)
    with pytest.raises(IntegrityError, match="was retired long ago"):
        rotate_key(home.folder)
    with pytest.raises(Unavailable):
        act(home)


def test_what_is_published_is_what_is_believed(home):
    before = publish(home.folder)
    assert before.text == home.trust.read_text()
    assert before.fingerprint == fingerprint(read_trust(home.trust))
    assert len(before.fingerprint) == 49
    assert rotate_key(home.folder).fingerprint == publish(home.folder).fingerprint != before.fingerprint


def test_engines_in_two_processes_cannot_both_rotate(home):
    """The second finds the log handed over, and changes nothing."""
    old = load_key(home.receipt_key)
    rotate_key(home.folder)
    with pytest.raises(Unavailable, match="handed over"):
        keys_module.append_key_record(Home(home.folder).store, "demo", old, keys_module._drafted(old))
    audit(home.folder)
