"""The reader of messages: what is refused, with which code; what is passed on keeps its meaning (B.6, B.7, A.7)."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navicert.core.canonical import Number, canonical_parameters
from navicert.gateway import message as rpc
from navicert.gateway.message import INVALID_REQUEST, LIMIT, PARSE_ERROR, Kind, Refused, read, write

PING = '{"jsonrpc":"2.0","id":1,"method":"ping"%s}'


def deep(levels: int) -> str:
    return PING % (',"params":{"a":' + "[" * levels + "]" * levels + "}")


REFUSED: list[tuple[str, str | bytes, int, Any]] = [
    ("not JSON", "ping", PARSE_ERROR, None),
    ("nothing", "", PARSE_ERROR, None),
    ("two messages", PING % "" + PING % "", PARSE_ERROR, None),
    ("a trailing comma", PING % ",", PARSE_ERROR, None),
    ("a comment", PING % "/* */", PARSE_ERROR, None),
    ("not UTF-8", b'{"jsonrpc":"2.0","id":1,"method":"p\xff"}', PARSE_ERROR, None),
    ("UTF-16", (PING % "").encode("utf-16"), PARSE_ERROR, Number("1")),
    ("a byte-order mark", b"\xef\xbb\xbf" + (PING % "").encode(), PARSE_ERROR, Number("1")),
    ("a key twice", PING % ',"params":{"a":1,"a":2}', PARSE_ERROR, Number("1")),
    ("a key twice, once escaped", PING % ',"params":{"a":1,"\\u0061":2}', PARSE_ERROR, Number("1")),
    ("the method twice", PING % ',"method":"tools/call"', PARSE_ERROR, Number("1")),
    ("the id twice", PING % ',"id":2', PARSE_ERROR, Number("2")),
    ("NaN", PING % ',"params":{"a":NaN}', PARSE_ERROR, Number("1")),
    ("infinity", PING % ',"params":{"a":-Infinity}', PARSE_ERROR, Number("1")),
    ("beyond a double", PING % ',"params":{"a":1e999}', PARSE_ERROR, Number("1")),
    ("an endless integer", PING % (',"params":{"a":' + "1" * 301 + "}"), PARSE_ERROR, Number("1")),
    ("a lone surrogate", PING % ',"params":{"a":"\\ud800"}', PARSE_ERROR, Number("1")),
    ("a lone surrogate in a key", PING % ',"params":{"\\ud800":1}', PARSE_ERROR, Number("1")),
    ("too deep", deep(64), PARSE_ERROR, Number("1")),
    ("far too deep", deep(100_000), PARSE_ERROR, None),
    ("a raw line end in a text", PING % ',"params":{"a":"\n"}', PARSE_ERROR, None),
    ("a batch", "[" + PING % "" + "]", INVALID_REQUEST, None),
    ("an empty batch", "[]", INVALID_REQUEST, None),
    ("a text", '"ping"', INVALID_REQUEST, None),
    ("null", "null", INVALID_REQUEST, None),
    ("no version", '{"id":1,"method":"ping"}', INVALID_REQUEST, Number("1")),
    ("version 1.0", '{"jsonrpc":"1.0","id":1,"method":"ping"}', INVALID_REQUEST, Number("1")),
    ("the version as a number", '{"jsonrpc":2.0,"id":1,"method":"ping"}', INVALID_REQUEST, Number("1")),
    ("an unknown member", PING % ',"auth":"x"', INVALID_REQUEST, Number("1")),
    ("a member in another case", PING % ',"Params":{}', INVALID_REQUEST, Number("1")),
    ("parameters by place", PING % ',"params":[1]', INVALID_REQUEST, Number("1")),
    ("null parameters", PING % ',"params":null', INVALID_REQUEST, Number("1")),
    ("the id null", '{"jsonrpc":"2.0","id":null,"method":"ping"}', INVALID_REQUEST, None),
    ("the id true", '{"jsonrpc":"2.0","id":true,"method":"ping"}', INVALID_REQUEST, None),
    ("the id a fraction", '{"jsonrpc":"2.0","id":1.0,"method":"ping"}', INVALID_REQUEST, None),
    ("the id with an exponent", '{"jsonrpc":"2.0","id":1e1,"method":"ping"}', INVALID_REQUEST, None),
    ("the id an object", '{"jsonrpc":"2.0","id":{},"method":"ping"}', INVALID_REQUEST, None),
    ("the id too long", '{"jsonrpc":"2.0","id":"%s","method":"ping"}' % ("i" * 257), INVALID_REQUEST, None),
    ("the method a number", '{"jsonrpc":"2.0","id":1,"method":1}', INVALID_REQUEST, Number("1")),
    ("the method null", '{"jsonrpc":"2.0","id":1,"method":null}', INVALID_REQUEST, Number("1")),
    ("an answer by a null method", '{"jsonrpc":"2.0","id":1,"method":null,"result":{}}', INVALID_REQUEST, Number("1")),
    ("request and answer at once", PING % ',"result":{}', INVALID_REQUEST, Number("1")),
    ("request and error at once", PING % ',"error":{}', INVALID_REQUEST, Number("1")),
    ("two answers", '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', INVALID_REQUEST, Number("1")),
    ("a null error beside a result", '{"jsonrpc":"2.0","id":1,"result":{},"error":null}', INVALID_REQUEST, Number("1")),
    ("an answer with parameters", '{"jsonrpc":"2.0","id":1,"result":{},"params":{}}', INVALID_REQUEST, Number("1")),
    ("an answer without id", '{"jsonrpc":"2.0","result":{}}', INVALID_REQUEST, None),
    ("a result that is a list", '{"jsonrpc":"2.0","id":1,"result":[]}', INVALID_REQUEST, Number("1")),
    ("a result that is null", '{"jsonrpc":"2.0","id":1,"result":null}', INVALID_REQUEST, Number("1")),
    ("an error that is a text", '{"jsonrpc":"2.0","id":1,"error":"no"}', INVALID_REQUEST, Number("1")),
    ("neither", '{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, Number("1")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "id_"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_two_readers_could_take_differently_is_refused(text, code, id_):
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text

    with pytest.raises(Refused) as caught:
        read(data)

    assert (code, id_) == (caught.value.code, caught.value.id)
    assert type(caught.value.id) is type(id_)


def test_a_message_beyond_the_limit_is_refused_before_it_is_read():
    over = b" " * LIMIT + b"{"

    with pytest.raises(Refused) as caught:
        read(over)

    assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, None)
    assert f"at most {LIMIT}" in str(caught.value)
    assert Kind.REQUEST is read((PING % "").encode().ljust(LIMIT)).kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (PING % "", Kind.REQUEST),
        (PING % ',"params":{}', Kind.REQUEST),
        ('{"jsonrpc":"2.0","id":"","method":"ping"}', Kind.REQUEST),
        ('{"jsonrpc":"2.0","id":-9223372036854775808,"method":"ping"}', Kind.REQUEST),
        ('{"jsonrpc":"2.0","method":"notifications/initialized"}', Kind.NOTIFICATION),
        ('{"jsonrpc":"2.0","id":1,"result":{}}', Kind.RESULT),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}', Kind.ERROR),
        (deep(62), Kind.REQUEST),
    ],
)
def test_a_message_of_one_kind_is_read(text, kind):
    assert kind is read(text.encode()).kind


def test_ids_of_two_kinds_are_two_ids():
    as_number, as_text = read(b'{"jsonrpc":"2.0","id":1,"result":{}}'), read(b'{"jsonrpc":"2.0","id":"1","result":{}}')

    assert (Number, str) == (type(as_number.id), type(as_text.id))


def test_what_is_written_has_no_line_end_in_it():
    text = "a\nb\r\u2028\u0085"

    data = rpc.notification("x", {"text": text}).data()

    assert b"\n" not in data
    assert b"\r" not in data
    assert json.loads(data)["params"]["text"] == text


# properties

NUMBERS = st.one_of(
    st.integers().filter(lambda n: abs(n) < 10**290).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["-0", "0.0", "1.0", "1.00", "1E5", "1e+05", "-1.5e-7", "12345678901234567890", "0.1000"]),
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


def values(depth: int = 3) -> st.SearchStrategy[str]:
    """JSON texts, each as some writer could have written it."""
    plain = st.one_of(NUMBERS, st.sampled_from(["true", "false", "null"]), TEXTS.map(json.dumps))
    return st.recursive(plain, lambda inner: st.one_of(lists(inner), objects(inner)), max_leaves=8) if depth else plain


def lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=3).map(lambda items: "[" + " , ".join(items) + "]")


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(TEXTS, inner, max_size=3).map(
        lambda found: "{" + ",".join(f"{json.dumps(key)}: {item}" for key, item in found.items()) + "}"
    )


def lexemes(value: Any) -> list[tuple[Any, ...]]:
    """All that a message says, in its order: keys, numbers by their source text, and the rest."""
    if isinstance(value, dict):
        return [part for key, item in value.items() for part in (("key", key), *lexemes(item))]
    if isinstance(value, list):
        return [("list", len(value)), *(part for item in value for part in lexemes(item))]
    return [(type(value).__name__, value)]


class Lexeme(str):
    __slots__ = ()


def plainly(data: bytes | str) -> list[tuple[Any, ...]]:
    return lexemes(json.loads(data, parse_int=Lexeme, parse_float=Lexeme))


@given(objects(values()))
def test_what_is_written_says_what_was_read_number_by_number_and_in_order(text):
    data = (PING % f',"params":{text}').encode()

    first = read(data)
    again = read(first.data())

    assert plainly(data) == plainly(first.data())
    assert first == again
    assert first.data() == again.data()


@given(objects(values()))
def test_the_judged_parameters_are_what_is_written(text):
    """What goes on is made from the canonical bytes: writing them anew changes no byte."""
    canonical = canonical_parameters(read((PING % f',"params":{text}').encode()).params)

    assert canonical == write(read(b'{"jsonrpc":"2.0","method":"x","params":' + canonical + b"}").params).encode()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data):
    assert fault(data) is None


def fault(data: bytes) -> str | None:
    """Return what is wrong with how these bytes are taken, None where the reader keeps its promises."""
    start = time.process_time()
    try:
        message = read(data)
    except Refused as error:
        if error.code not in {PARSE_ERROR, INVALID_REQUEST} or not (error.id is None or rpc.is_id(error.id)):
            return f"refused as {error.code} for {error.id!r}"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{type(error).__name__}: {error}"
    else:
        again = message.data()
        if b"\n" in again or read(again) != message or plainly(again) != plainly(data):
            return "what is written is another message"
    took = time.process_time() - start
    return f"it took {took:.1f} s" if took > 1.0 else None


ODD = (
    b"", b" ", b"\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b'"', b"\\", b"\\u", b"\\ud800", b"\\udc00", b"{", b"}", b"[",
    b"]", b",", b":", b"1", b"-", b"0", b"1e999", b"NaN", b"null", b"true", b'"id"', b'"id":1', b'"method"',
    b'"method":"a"', b'"params":{}', b'"result":{}', b'"error":{}', b'"jsonrpc":"2.0"', b"9" * 400, b"[" * 300,
    b'{"a":' * 70, b"/*", b"'", b"\xed\xa0\x80",
)  # fmt: skip


def broken(data: bytes, pick: random.Random) -> bytes:
    """Return a message with one to six changes: bytes cut, doubled, or made odd."""
    made = bytearray(data)
    for _ in range(pick.choice((1, 1, 2, 3, 6))):
        at = pick.randrange(len(made) + 1)
        match pick.randrange(4):
            case 0 | 1:
                made[at:at] = pick.choice(ODD)
            case 2:
                del made[at : at + pick.choice((1, 1, 2, 8))]
            case _:
                made[at:at] = made[at : at + pick.choice((1, 8, 40))]
    return bytes(made)


def test_for_seconds_on_end_broken_messages_are_messages_or_refused():
    pick = random.Random(20_261_123)
    seeds = [case[1].encode() if isinstance(case[1], str) else case[1] for case in REFUSED if len(case[1]) < 1_000]
    seeds += [
        (PING % ',"params":{"name":"a","arguments":{"n":1.0,"b":[true,null,"\\u00e9"]},"_meta":{}}').encode()
    ] * 20
    end, count, good = time.monotonic() + 3.0, 0, 0
    while time.monotonic() < end or count < 2_000:
        data = broken(pick.choice(seeds), pick)
        count += 1
        assert fault(data) is None, data
        good += count % 10 == 0 and _reads(data)
    assert good > 0, "only refusals were tried"


def _reads(data: bytes) -> bool:
    try:
        read(data)
    except Refused:
        return False
    return True
