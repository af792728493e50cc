"""The kit on ourselves: every check passes on every surface but for what is not built, and notices every twin."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from navicert.conformance.checks import CHECKS
from navicert.conformance.runner import ADAPTERS, chosen, run_all
from navicert.conformance.summary import standing, table, verdicts

NOT_BUILT = {"R8-1", "R9-1"}
"""What fails, and says that it is not implemented. Whoever builds it takes it out here."""
MISSING = {"sdk": ("R1.e",), "mcp-stdio": (), "mcp-http": ()}
"""MUST clauses that these keep from passing; R1.e, since code beside a governed function is in the same process."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("surface", ADAPTERS)
def test_every_check_passes_but_for_what_is_not_built_and_notices_its_twins(surface, tmp_path):
    most = None if surface == "sdk" else 1  # as in a run of all
    checks = [replace(each, twins=each.twins[:most]) for each in chosen()]
    surfaces, judged = run_all(tmp_path, {surface: ADAPTERS[surface]}, checks, lambda *_: None)
    assert {each.check for each in judged} == {*CHECKS}
    elsewhere = {each.id for each in CHECKS.values() if each.surfaces and surface not in each.surfaces}
    fallen = {
        each.check: standing(each) for each in judged if standing(each)[0] != "pass" and each.check not in elsewhere
    }
    assert {name for name in fallen if name not in NOT_BUILT} == set(), fallen
    assert set(fallen) == NOT_BUILT
    for name in NOT_BUILT:
        assert "not implemented" in fallen[name][1]
    rows = table(judged, {name: each.serves for name, each in CHECKS.items()}, [surfaces[0].surface])
    (verdict,) = verdicts(rows)
    assert verdict.missing == MISSING[surface]
