"""Sealed values, packed and not: both open, where they were put and unchanged, and nowhere else (R2)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from navicert.adapters.store.vault import Vault
from navicert.model.errors import IntegrityError

KEY = bytes(range(32))
VALUE = b'{"action_id":"act_01","labels":{"level":1},"text":"%s"}' % (b"as it was agreed, " * 20)


def test_a_value_that_was_sealed_before_there_was_packing_opens():
    # seen to fail: with `unpack` taking every value for a packed one
    old = bytes(12) + AESGCM(KEY).encrypt(bytes(12), VALUE, b"entry/s/1")
    assert Vault(KEY).open("entry/s/1", old) == VALUE


@pytest.mark.parametrize("value", [VALUE, b"{}", b"\1" + VALUE])
def test_what_is_sealed_to_keep_opens_at_its_place_only(value):
    # seen to fail: without `unpack` in `open`; with an empty place in `seal`
    vault = Vault(KEY)
    sealed = vault.seal_to_keep("entry/s/1", value)
    assert vault.open("entry/s/1", sealed) == value
    with pytest.raises(IntegrityError, match="changed, moved"):
        vault.open("entry/s/2", sealed)


def test_it_takes_less_room():
    # seen to fail: without `pack` in `seal_to_keep`
    vault = Vault(KEY)
    assert len(vault.seal_to_keep("entry/s/1", VALUE)) < len(vault.seal("entry/s/1", VALUE)) // 2


def test_a_whole_seal_around_a_value_cut_off_is_refused():
    # seen to fail: with `ValueError` not caught in `open`
    vault = Vault(KEY)
    cut = vault.seal("entry/s/1", b"\1" + b"\7")
    with pytest.raises(IntegrityError, match="changed, moved"):
        vault.open("entry/s/1", cut)
