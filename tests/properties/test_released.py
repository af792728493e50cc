"""Redaction, whatever the result: only what is recognised changes, nothing recognised is released, once is enough."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert import ResultWithheld
from navicert.adapters.detect.patterns import PatternClassifier
from navicert.testing import open_bench

POLICY = """\
policy: released
version: 1
posture: declared_tools
tools:
  crm.read: {effect: read, returns: INTERNAL, redact: [CREDENTIAL, FINANCIAL, PHI, PII]}
"""
SECRETS = (
    "jo@acme.example", "password = hunter2abc9", "NL91ABNA0417164300", "4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE",
    "+31 6 1234 5678", "ghp_" + "a1B2" * 9,
)  # fmt: skip
plain = st.text("abcxyz .!?ü😀\n\\\"'{}[]:,", max_size=12)
planted = st.builds(lambda before, secret, after: f"{before} {secret} {after}", plain, st.sampled_from(SECRETS), plain)
scalars = st.none() | st.booleans() | st.integers(-9_999, 9_999) | st.sampled_from([0.5, 1.0, 1e22, 2**70])
keys = st.text("abcxyzü ", max_size=6)


def trees(leaf: Any, key: Any) -> Any:
    return st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(key, inner, max_size=4), max_leaves=10
    )


results = trees(plain | planted | scalars, keys | planted)


@pytest.fixture(scope="module")
def tool(tmp_path_factory) -> Iterator[Callable[[Any], Any]]:
    """Return a governed tool that gives back what it is to."""
    with open_bench(tmp_path_factory.mktemp("bench") / "home", POLICY) as bench:
        session = bench.session(request="r", human="ana", agent="bot")
        gives: list[Any] = [None]
        read = session.carry(bench.tool("crm.read")(lambda: gives[0]))

        def call(value: Any) -> Any:
            gives[0] = value
            return read()

        yield call


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def skeleton(value: Any) -> Any:
    """The shape: lists and objects by length and order, strings as such, every other leaf as it is."""
    if isinstance(value, dict):
        return ["object", *(skeleton(item) for item in value.values())]
    if isinstance(value, list):
        return [skeleton(item) for item in value]
    return "text" if isinstance(value, str) else repr(value)


@settings(max_examples=60, deadline=None)
@given(value=results)
def test_only_what_is_recognised_changes_and_nothing_recognised_is_released(tool, value):
    # seen to fail: with the whole leaf blanked for each span; with keys left as they are
    given_ = json.dumps(value)
    try:
        found = tool(value)
    except ResultWithheld:
        assert any(secret in text for text in strings(value) for secret in SECRETS)  # in a way that is no plain text
        return
    assert json.dumps(value) == given_  # the tool's own object is not touched
    assert skeleton(found) == skeleton(value)
    for before, after in zip(strings(value), strings(found), strict=True):
        if not any(secret in before for secret in SECRETS):
            assert before == after
        assert not any(secret in after for secret in SECRETS)
        for secret in SECRETS:  # what stands around it stays
            front, there, back = before.partition(f" {secret} ")
            assert not there or (after.startswith(front) and back in after)
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    assert PatternClassifier().classify(text).labels.categories == ()
    assert tool(found) == found  # once is enough
