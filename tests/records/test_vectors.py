"""What earlier versions wrote verifies for ever (DESIGN.md section 7): every set of vectors, and each change of it."""

from __future__ import annotations

import json
from io import BytesIO

import pytest

from navicert.model.errors import VerificationError
from navicert.verification.bundle import verify_bundle
from navicert.verification.log import verify_log
from records.vectors import SETS, VECTORS, bundle_script, digests, listed, script, vector


def test_no_file_of_a_vector_was_changed_or_taken_away():
    # seen to fail: with one digit changed in a log, with a file more, with a file less
    kept = [path for path in VECTORS.rglob("*") if path.is_file() and path.parent != VECTORS]
    assert digests(kept) == listed()
    assert sum(path.stat().st_size for path in VECTORS.rglob("*")) < 400_000


@pytest.mark.parametrize("name", SETS)
def test_a_log_of_any_version_verifies(name):
    one = vector(name)
    found = verify_log(one.log, one.trust)
    expect = one.expect
    assert [item.name for item in found.open] == expect["open"]
    assert [item.name for item in found.waiting] == expect["waiting"]
    for member in ("entries", "head", "kinds", "verdicts", "sessions"):
        assert getattr(found, member) == expect[member]
    assert list(found.keys) == expect["keys"]


@pytest.mark.parametrize("name", [name for name in SETS if vector(name).disclosures])
def test_what_a_log_of_any_version_discloses_verifies(name):
    """Every commitment, what people signed, the policies that judged, and the contexts that were judged on."""
    one = vector(name)
    assert one.audit(one.log) == one.expect["disclosed"]
    assert sorted(one.policies) == one.expect["policies"]
    assert len(one.contexts) == one.expect["sessions"]


@pytest.mark.parametrize("name", SETS)
def test_a_changed_log_of_any_version_is_refused_for_the_reason_that_is_written_down(name):
    one = vector(name)
    cases = [json.loads(line) for line in one.lines("tampered.jsonl")]
    for case in cases:
        verify_log(one.log[: case["keep"]], one.trust)
        with pytest.raises(VerificationError) as refused:
            verify_log([*one.log[: case["keep"]], *(text.encode() for text in case["then"])], one.trust)
        assert (case["name"], refused.value.code) == (case["name"], case["code"])
    assert cases


BUNDLES = sorted(path.parent.name for path in VECTORS.glob("*/whole.jsonl"))


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_of_any_version_verify(name):
    folder, expect = VECTORS / name, json.loads((VECTORS / name / "expect.json").read_bytes())
    root = expect.pop("root")
    for file, report in expect.items():
        found = verify_bundle(BytesIO((folder / file).read_bytes()), root=root)
        shown = {part: getattr(found, part) for part in report.keys() - {"entries", "open"}}
        opened = [item.name for item in found.open]
        assert {**shown, "entries": found.manifest.entries, "open": opened} == report


@pytest.mark.parametrize("name", BUNDLES)
def test_changed_bundles_of_any_version_are_refused_for_the_reason_that_is_written_down(name):
    folder, root = VECTORS / name, json.loads((VECTORS / name / "expect.json").read_bytes())["root"]
    cases = [json.loads(line) for line in (folder / "tampered.jsonl").read_bytes().splitlines()]
    for case in cases:
        data = bundle_script().changed((folder / case["file"]).read_bytes(), case)
        with pytest.raises(VerificationError) as refused:
            verify_bundle(BytesIO(data), root=root)
        assert (case["name"], refused.value.code) == (case["name"], case["code"])
    assert cases


def test_the_generator_of_bundles_makes_what_is_there(tmp_path):
    """From the sets of logs, which do not change; the report of a later version may say more."""
    (tmp_path / "SHA256SUMS").touch()
    for name in ("log-ed25519", "log-es256"):
        (tmp_path / name).symlink_to(VECTORS / name)
    made = bundle_script().make(tmp_path, "bundles")
    for file in ("whole.jsonl", "action.jsonl"):
        assert (made / file).read_bytes() == (VECTORS / "bundles" / file).read_bytes()


def test_the_vectors_hold_both_algorithms_every_verdict_and_every_way_of_waiting():
    one = vector()
    assert {key.split(":")[0] for key in one.expect["keys"]} == {"ed25519", "es256"}
    assert vector("log-es256").expect["keys"][0].startswith("es256")
    assert set(one.expect["verdicts"]) == {"ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"}
    methods = {plain["deferral"]["method"] for plain in one.plains if plain["kind"] == "resolution"}
    assert {"approval", "denial", "facts", "escalation", "timeout"} <= methods


def test_the_generator_makes_the_same_bytes_again_and_overwrites_nothing(tmp_path):
    made = [script().make(tmp_path / each, "log", "ES256", whole=True) for each in ("one", "other")]
    one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in made)
    assert one == other
    with pytest.raises(SystemExit, match="only ever added"):
        script().make(tmp_path / "one", "log", "ES256", whole=True)
