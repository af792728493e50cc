"""An adapter that lies is caught: by observers, by records, by what the evidence holds."""

from __future__ import annotations

import sys
from pathlib import Path
from time import time_ns

import pytest

from navicert.adapters.sign.file_key import new_key
from navicert.conformance.package import write_package
from navicert.conformance.runner import run_all
from navicert.conformance.summary import standing, table
from navicert.conformance.trial import CHECKS
from navicert.conformance.verifying import verify_package
from navicert.model.errors import VerificationError

LIAR = Path(__file__).with_name("liar.py")


def judged(folder: Path, lie: str, check: str = "R1-1"):
    return run_all(folder, {"liar": (sys.executable, str(LIAR), lie)}, [CHECKS[check]], lambda *_: None)


def outcome(folder: Path, lie: str, check: str = "R1-1"):
    return judged(folder, lie, check)[1][0].outcome


def packaged(folder: Path, lie: str) -> None:
    surfaces, found = judged(folder, lie)
    assert found[0].outcome.result == "pass"  # the check alone cannot know it
    now = time_ns() // 1000
    write_package(
        folder,
        new_key("Ed25519"),
        level="core",
        surfaces=surfaces,
        judged=found,
        checks=CHECKS,
        started_at=now,
        now=now,
    )
    verify_package(folder, root=None, now=now)


def test_one_that_does_not_lie_passes(tmp_path):
    assert outcome(tmp_path, "nothing at all").result == "pass"
    packaged(tmp_path / "package", "nothing at all")


@pytest.mark.parametrize(
    ("lie", "noticed"),
    [
        ("it was denied", "has arrived nowhere"),
        ("it ran", "it is refused"),
        ("nothing of records", "one decision record"),
    ],
)
def test_what_it_says_of_a_call_is_held_against_the_world_and_the_records(tmp_path, lie, noticed):
    found = outcome(tmp_path, lie)
    assert (found.result, found.by) == ("fail", "expectation")
    assert noticed in found.why


@pytest.mark.parametrize(("lie", "code"), [("other records", "record_mismatch"), ("made-up records", "record_missing")])
def test_records_are_looked_up_in_the_evidence(tmp_path, lie, code):
    with pytest.raises(VerificationError) as error:
        packaged(tmp_path, lie)
    assert error.value.code == code


def test_records_in_evidence_that_the_product_s_own_verifier_refuses_prove_nothing(tmp_path):
    # seen to fail: without the verifier being run on what was exported, the check passes
    (found,) = judged(tmp_path, "a verifier that refuses")[1]
    assert found.outcome.result == "pass"
    assert standing(found)[0] == "unmeasurable"
    (honest,) = judged(tmp_path / "honest", "nothing at all")[1]
    assert standing(honest)[0] == "pass"


def test_a_clause_is_not_passed_by_some_of_its_checks(tmp_path):
    surfaces, found = judged(tmp_path, "nothing at all")
    rows = table(found, {name: each.serves for name, each in CHECKS.items()}, [surfaces[0].surface])
    passed = {row.id for row in rows if row.cells[0].result == "pass"}
    assert passed == {"R1-1"}  # not R1.a, nor R1.d, which others hold, too


def test_a_verifier_that_accepts_everything_fails_where_a_record_was_changed(tmp_path):
    found = outcome(tmp_path, "verifier", "R5-3")
    assert (found.result, found.by) == ("fail", "expectation")
