"""docs/reference/lint.md: one section for every code, and its examples are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from navicert.lint import SEVERITY, lint
from navicert.syntax import read_policy

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/lint.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (NV\d+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def examples(code: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", SECTIONS[code], re.DOTALL)


def test_every_code_has_a_section_and_every_section_a_code() -> None:
    assert list(SECTIONS) == list(SEVERITY)


@pytest.mark.parametrize("code", SEVERITY)
def test_the_severity_of_a_code_is_the_documented_one(code: str) -> None:
    assert f"({SEVERITY[code]}).**" in SECTIONS[code]


@pytest.mark.parametrize("code", SEVERITY)
def test_the_bad_example_yields_exactly_its_code_and_the_good_one_nothing(code: str) -> None:
    bad, good = examples(code)

    assert [item.code for item in lint(*read_policy(bad))] == [code]
    assert lint(*read_policy(good)) == ()
