"""The same action in the same context gets the same verdict, rule and parameters on every surface (property 1)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from navicert.conformance.parity import SURFACES, corpus, run_parity

BIASED = Path(__file__).with_name("biased.py")


@pytest.mark.timeout(300)
def test_every_surface_judges_the_corpus_alike():
    found = run_parity()
    assert found.differences == ()
    assert found.actions >= 300
    assert found.surfaces == tuple(SURFACES)
    assert {"ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"} == {*found.verdicts}


def test_a_surface_that_judges_otherwise_shows():
    found = run_parity({"sdk": SURFACES["sdk"], "biased": (sys.executable, str(BIASED))})
    assert len(found.differences) >= 100
    assert all(each.judged["sdk"] != each.judged["biased"] for each in found.differences)


def test_the_corpus_is_the_same_each_time():
    assert corpus() == corpus()
