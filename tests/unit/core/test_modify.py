"""MODIFY: each edit does what the page says, on the canonical bytes, or refuses; nothing half-way."""

from __future__ import annotations

import json
import posixpath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.core.modify import CannotModify, modify
from navicert.model.policy import Edit, Modification


def edit(parameter: str, kind: str, value: Any = None) -> Modification:
    return Modification(parameter=parameter, edit=Edit(kind), value=value)


CASES: list[tuple[str, Modification, str]] = [
    ('{"n":200}', edit("n", "cap", 100), '{"n":100}'),
    ('{"n":100}', edit("n", "cap", 100), '{"n":100}'),
    ('{"n":100.0}', edit("n", "cap", 100), '{"n":100.0}'),
    ('{"n":-5}', edit("n", "cap", 100), '{"n":-5}'),
    ('{"n":1e3}', edit("n", "cap", 100), '{"n":100}'),
    ('{"n":9007199254740993}', edit("n", "cap", 9007199254740992), '{"n":9007199254740992}'),
    ('{"n":0.3}', edit("n", "cap", 0.1), '{"n":0.1}'),
    ("{}", edit("n", "cap", 100), '{"n":100}'),
    ('{"n":null}', edit("n", "cap", 100), '{"n":100}'),
    ('{"c":"USD"}', edit("c", "set", "EUR"), '{"c":"EUR"}'),
    ("{}", edit("c", "set", "EUR"), '{"c":"EUR"}'),
    ("{}", edit("c", "set", {"b": [1, True, None, 0.5], "a": "é"}), '{"c":{"a":"é","b":[1,true,null,0.5]}}'),
    ('{"a":{"b":1,"c":2}}', edit("a.b", "set", 9), '{"a":{"b":9,"c":2}}'),
    ('{"b":"call 1234 5678"}', edit("b", "redact", r"\d{4}"), '{"b":"call [redacted] [redacted]"}'),
    ('{"b":["1234",["5678"]]}', edit("b", "redact", r"\d{4}"), '{"b":["[redacted]",["[redacted]"]]}'),
    ("{}", edit("b", "redact", "x"), "{}"),
    ('{"p":"/etc/passwd"}', edit("p", "prefix", "/desk"), '{"p":"/desk/etc/passwd"}'),
    ('{"p":"../../etc"}', edit("p", "prefix", "/desk"), '{"p":"/desk/etc"}'),
    ('{"p":"/desk/../etc"}', edit("p", "prefix", "/desk"), '{"p":"/desk/etc"}'),
    ('{"p":"/desk/a/../b"}', edit("p", "prefix", "/desk"), '{"p":"/desk/b"}'),
    ('{"p":"/deskshop"}', edit("p", "prefix", "/desk"), '{"p":"/desk/deskshop"}'),
    ('{"p":"..\\\\..\\\\x"}', edit("p", "prefix", "/desk"), '{"p":"/desk/x"}'),
    ('{"p":["/a","b"]}', edit("p", "prefix", "/desk"), '{"p":["/desk/a","/desk/b"]}'),
    ("{}", edit("p", "prefix", "/desk"), "{}"),
    ('{"a":1,"bcc":"x"}', edit("bcc", "drop"), '{"a":1}'),
    ("{}", edit("bcc", "drop"), "{}"),
]


@pytest.mark.parametrize(("before", "change", "after"), CASES)
def test_an_edit_does_what_the_page_says(before: str, change: Modification, after: str) -> None:
    assert after.encode() == modify(before.encode(), (change,))
    assert after.encode() == modify(modify(before.encode(), (change,)), (change,))


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ('{"n":"200"}', edit("n", "cap", 100)),
        ('{"n":true}', edit("n", "cap", 100)),
        ('{"n":[200]}', edit("n", "cap", 100)),
        ('{"b":5}', edit("b", "redact", "5")),
        ('{"b":{"c":"5"}}', edit("b", "redact", "5")),
        ('{"b":["x",5]}', edit("b", "redact", "5")),
        ('{"p":5}', edit("p", "prefix", "/desk")),
        ('{"a":"text"}', edit("a.b", "set", 1)),
        ("{}", edit("a.b", "set", 1)),
        ('{"a":[{"b":1}]}', edit("a.b", "drop")),
    ],
)
def test_an_edit_that_does_not_fit_refuses(before: str, change: Modification) -> None:
    with pytest.raises(CannotModify):
        modify(before.encode(), (edit("other", "set", 1), change))


def test_numbers_that_no_edit_touches_keep_their_source_text() -> None:
    before = b'{"a":1.0,"b":1e2,"c":12345678901234567890,"d":-0.0,"n":5}'

    assert modify(before, (edit("n", "cap", 3),)) == before.replace(b'"n":5', b'"n":3')


def test_edits_are_made_in_order() -> None:
    assert modify(b"{}", (edit("a", "set", {}), edit("a.b", "set", "x 1"), edit("a.b", "redact", r"\d"))) == (
        b'{"a":{"b":"x [redacted]"}}'
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "desk", "/", "\\", "..\\", "~", "...", "é"]), max_size=8))
def test_a_path_under_a_prefix_stays_there(parts: list[str]) -> None:
    path = "/".join(parts)
    changed = json.loads(modify(json.dumps({"p": path}).encode(), (edit("p", "prefix", "/desk/in"),)))["p"]

    assert changed == posixpath.normpath(changed)
    assert changed == "/desk/in" or changed.startswith("/desk/in/")
    assert ".." not in changed.split("/")
