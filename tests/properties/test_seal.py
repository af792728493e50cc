"""The short ways of reading a receipt say what the long ones say: one canonical form, and what of it is signed (R5)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navicert.core.canonical import receipt_bytes
from navicert.core.seal import b64, parse, signed_message
from navicert.model.receipt import Log, Receipt, Signature
from records.forge import canonical, holder, leaves

MANY = settings(max_examples=1_500, deadline=None, suppress_health_check=list(HealthCheck))
SAFE = 2**53 - 1

PLAIN = ["}", ",", ":", "-", "0" * 16, ":9999999999999999", ",value:", "signature:{", "a"]
ESCAPED = ['"', "\\", ',"value":"', '"signature":{"', "\x1f", "\x7f", "é"]
plain_texts = st.lists(st.sampled_from(PLAIN), max_size=3).map("".join)
texts = st.one_of(plain_texts, plain_texts, st.lists(st.sampled_from(PLAIN + ESCAPED), max_size=4).map("".join))
integers = st.one_of(
    st.sampled_from([10**15 - 1, 10**15, SAFE, SAFE + 1, -1, -SAFE, -SAFE - 1, 0]), st.integers(-(2**62), 2**62)
)
signatures = st.one_of(texts, st.binary(max_size=64).map(b64))


@st.composite
def receipts(draw: st.DrawFn, of: st.SearchStrategy[str] = texts) -> Receipt:
    """A receipt with any texts and places in it, in the profile or not."""
    return Receipt(
        version=draw(of),
        kind="boot",
        receipt_id=draw(of),
        at=draw(of),
        log=Log(origin=draw(of), seq=draw(integers), prev=draw(of)),
        separation=draw(of),
        signature=Signature(algorithm=draw(of), key_id=draw(of), value=draw(signatures)),
    )


def long_way(data: bytes) -> Receipt | None:
    """Every value walked, all of it encoded again."""
    receipt = msgspec.json.decode(data, type=Receipt)
    try:
        return receipt if receipt_bytes(receipt) == data else None
    except ValueError:
        return None


def short_way(data: bytes) -> Receipt | None:
    try:
        return parse(data)
    except ValueError:
        return None


@MANY
@given(st.one_of(receipts(plain_texts), receipts()))
def test_a_receipt_is_accepted_exactly_where_every_value_is_in_the_profile(receipt: Receipt) -> None:
    # seen to fail: without `b":-"` in `_in_profile`, without its sixteen digits, without what is escaped there
    data = msgspec.json.encode(receipt, order="sorted")
    assert short_way(data) == long_way(data)


@MANY
@given(st.one_of(receipts(plain_texts), receipts()))
def test_the_signed_message_is_all_but_the_signature_whatever_else_looks_like_it(receipt: Receipt) -> None:
    # seen to fail: without what is escaped in `_in_profile`; with `unb64` taking any base64
    data = msgspec.json.encode(receipt, order="sorted")
    if short_way(data) is None:
        return
    plain = json.loads(data)
    value = plain["signature"].pop("value", "")
    try:
        message, signature = signed_message(data)
    except ValueError:
        assert not value or not is_base64url(value)
        return
    assert (message, b64(signature)) == (canonical(plain), value)


def is_base64url(text: str) -> bool:
    try:
        return b64(urlsafe_b64decode(text + "=" * (-len(text) % 4))) == text
    except ValueError:
        return False


def test_no_receipt_has_a_list_of_integers_which_the_short_way_would_not_see() -> None:
    # seen to fail: with `size: tuple[int, ...]` in RestorePart
    schema = msgspec.json.schema(Receipt)
    kinds = {holder(schema, path)["type"] for path in leaves(schema) if path[-2:] == ("items", "type")}
    assert kinds == {"string"}


@pytest.mark.parametrize("seq", [SAFE, SAFE + 1, -SAFE - 1])
def test_an_integer_at_the_edge_of_the_profile(seq: int) -> None:
    receipt = Receipt(
        version="v", kind="boot", receipt_id="r", at="t", log=Log(origin="o", seq=seq, prev=""), separation="none",
        signature=Signature(algorithm="a", key_id="k", value="AA"),
    )  # fmt: skip
    assert (short_way(msgspec.json.encode(receipt, order="sorted")) is not None) == (abs(seq) <= SAFE)
