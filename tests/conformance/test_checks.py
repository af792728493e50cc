"""The list of checks: nothing that is asked for goes unchecked, and no check goes without a way to fail."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from navicert.conformance import checks as package
from navicert.conformance.catalogue import CLAUSES, ROWS
from navicert.conformance.checks import CHECKS
from navicert.conformance.policies import policy
from navicert.conformance.runner import ADAPTERS
from navicert.conformance.trial import Check, Trial, check
from navicert.conformance.twins import TWINS

ASKED = {each.id: each for each in (*ROWS, *CLAUSES)}
NOT_BUILT = frozenset({"R8-1", "R9-1"})
"""They fail as `not implemented`: there is nothing yet that a sabotage could take away."""
NOT_BUILT_CLAUSES = frozenset({"R8", "R9"})
FOLDER = Path(package.__file__).parent


def unserved(checks: Iterable[Check]) -> set[str]:
    """Return the rows without a check, and the clauses that no check with a twin serves."""
    some = list(checks)
    proven = {clause for each in some if each.twins for clause in each.serves} | NOT_BUILT_CLAUSES
    return {row.id for row in ROWS} - {each.id for each in some} | {each.id for each in CLAUSES} - proven


def imported(text: str) -> set[str]:
    """Return the modules of ours that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} if node.module != "navicert" else {f"navicert.{each.name}" for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return {name for name in found if name.partition(".")[0] == "navicert"}


def foreign(text: str) -> set[str]:
    """Return those of them that a check may not look at: neither a value nor of the kit; adapters and sabotages."""
    mine = {"navicert.model", "navicert.conformance"}
    ours = {"navicert.conformance.adapters", "navicert.conformance.twins", "navicert.conformance.broken"}
    parts = {name: name.split(".") for name in imported(text)}
    return {name for name, words in parts.items() if ".".join(words[:2]) not in mine or ".".join(words[:3]) in ours}


def test_every_row_and_every_clause_is_served_by_a_check_that_can_fail() -> None:
    assert unserved(CHECKS.values()) == set()


@pytest.mark.parametrize("asked", [each.id for each in ROWS if each.id not in NOT_BUILT])
def test_a_row_that_loses_its_check_or_a_twin_is_noticed(asked: str) -> None:
    others = [each for each in CHECKS.values() if each.id != asked]
    assert asked in unserved(others)
    served = set(CHECKS[asked].serves)
    toothless = [replace(each, twins=()) if served & {*each.serves} else each for each in CHECKS.values()]
    assert served <= unserved(toothless)


def test_every_check_has_a_twin_but_those_of_what_is_not_built() -> None:
    assert {each.id for each in CHECKS.values() if not each.twins} == NOT_BUILT


def test_every_twin_that_a_check_names_exists() -> None:
    assert {twin for each in CHECKS.values() for twin in each.twins} - TWINS.keys() == set()


def test_every_twin_is_some_checks() -> None:
    assert TWINS.keys() - {twin for each in CHECKS.values() for twin in each.twins} == set()


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_named_by_a_row_or_a_clause_and_serves_what_is_asked_for(name: str) -> None:
    asked, slash, word = name.partition("/")
    assert asked in ASKED
    assert bool(slash) is (asked not in {row.id for row in ROWS})
    assert re.fullmatch("[a-z-]*", word)
    assert CHECKS[name].serves
    assert set(CHECKS[name].serves) <= {each.id for each in CLAUSES}
    assert not slash or asked in CHECKS[name].serves


@pytest.mark.parametrize("name", CHECKS)
def test_a_checks_title_is_a_sentence_without_a_full_stop(name: str) -> None:
    title = CHECKS[name].title
    assert re.fullmatch(r"[A-Z].{20,120}[^.]", title)
    assert len(title.split()) > 4


def test_two_checks_of_a_name_are_refused() -> None:
    name = next(iter(CHECKS))

    def same(t: Trial) -> None:
        """Say nothing."""

    with pytest.raises(ValueError, match=f"there are two checks `{name}`"):
        check(name, serves=(), twins=(), policy=policy())(same)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_that_does_not_run_everywhere_says_why(name: str) -> None:
    assert set(CHECKS[name].surfaces) <= ADAPTERS.keys()
    assert bool(CHECKS[name].elsewhere) is bool(CHECKS[name].surfaces)


def test_checks_run_in_the_order_of_the_requirements() -> None:
    numbers = [int(name[1]) for name in CHECKS]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("module", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_checks_look_at_nothing_of_navicert_but_the_kit_and_values(module: Path) -> None:
    assert foreign(module.read_text(encoding="utf-8")) == set()


def test_a_check_that_looks_at_the_engine_would_be_noticed() -> None:
    inside = "def run():\n    from navicert.engine import engine\n    from navicert import Guard\n    import navicert"
    assert foreign(inside) == {"navicert.engine", "navicert.Guard", "navicert"}
    assert foreign("from navicert.conformance.adapters import sdk") == {"navicert.conformance.adapters"}
    assert foreign("from navicert.conformance.trial import Trial\nfrom navicert.model import value") == set()
