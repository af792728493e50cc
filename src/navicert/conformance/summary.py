"""What a run comes to: a table of rows and clauses × surfaces, derived from the checks' outcomes and from nothing else.

* A row has its own check. A clause is held by every check that serves it, and is as good as the worst of them.
* A check that passes and would not have noticed one of its twins proves nothing: it counts as unmeasurable.
* An unmeasurable MUST counts as not passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from navicert.conformance.catalogue import CLAUSES, ROWS, Asked, is_core
from navicert.conformance.runner import Judged
from navicert.conformance.trial import Result
from navicert.model.value import Value

_WORST: Final[dict[Result, int]] = {"fail": 0, "unmeasurable": 1, "pass": 2}
NO_CHECK: Final = "not all of the checks that are about it were in this run"


class Cell(Value, frozen=True, kw_only=True):
    """One row or clause on one surface. checks: how many it rests on. twins, caught: sabotages tried, and noticed.

    why: of the worst check, where it has not passed.
    """

    surface: str
    result: Result
    why: str = ""
    checks: int = 0
    twins: int = 0
    caught: int = 0


class TableRow(Value, frozen=True, kw_only=True):
    """One row or clause of the catalogue on every surface of a run."""

    id: str
    text: str
    level: str
    cells: tuple[Cell, ...]


class Verdict(Value, frozen=True, kw_only=True):
    """One level on one surface: how many MUSTs have passed, of how many, and which have not.

    unasked: how many no check of the run was about; they have not passed either.
    """

    surface: str
    level: str
    passed: int
    asked: int
    missing: tuple[str, ...]
    unasked: int = 0


def standing(judged: Judged) -> tuple[Result, str]:
    """Return what a check came to, its twins counted in, and why."""
    missed = [each.twin for each in judged.twins if not each.caught]
    if judged.outcome.result == "pass" and missed:
        return "unmeasurable", f"the check did not notice `{missed[0]}`, so that it passes proves nothing"
    if judged.outcome.result == "pass" and judged.evidence is not None and not judged.evidence.verified:
        return "unmeasurable", "the product's own verifier refuses the evidence that its records stand in"
    return judged.outcome.result, judged.outcome.why


def table(
    judged: Sequence[Judged], serves: Mapping[str, tuple[str, ...]], surfaces: Iterable[str]
) -> tuple[TableRow, ...]:
    """Return the table. serves: clauses by check, of every check that there is: a clause needs all of its own."""
    names = tuple(surfaces)
    return tuple(
        TableRow(
            id=asked.id,
            text=asked.text,
            level=asked.level,
            cells=tuple(_cell(asked.id, name, _about(asked, name, judged, serves), serves) for name in names),
        )
        for asked in (*ROWS, *CLAUSES)
    )


def verdicts(rows: Iterable[TableRow]) -> tuple[Verdict, ...]:
    """Return how far each surface comes at each level; SHOULDs count at neither."""
    musts = [row for row in rows if row.level == "MUST"]
    surfaces = [cell.surface for cell in musts[0].cells]
    found = []
    for place, surface in enumerate(surfaces):
        core = [row for row in musts if is_core(row.id)]
        unasked = sum(row.cells[place].why == NO_CHECK for row in core)
        missing = tuple(
            row.id for row in core if row.cells[place].result != "pass" and row.cells[place].why != NO_CHECK
        )
        passed = len(core) - len(missing) - unasked
        found.append(
            Verdict(surface=surface, level="core", passed=passed, asked=len(core), missing=missing, unasked=unasked)
        )
    return tuple(found)


def _about(asked: Asked, surface: str, judged: Iterable[Judged], serves: Mapping[str, tuple[str, ...]]) -> list[Judged]:
    return [
        each
        for each in judged
        if each.surface == surface and (each.check == asked.id or asked.id in serves[each.check])
    ]


def _cell(asked: str, surface: str, about: list[Judged], serves: Mapping[str, tuple[str, ...]]) -> Cell:
    left_out = {name for name, clauses in serves.items() if name == asked or asked in clauses} - {
        each.check for each in about
    }
    worst = min(about, key=lambda each: _WORST[standing(each)[0]], default=None)
    if worst is None or (left_out and standing(worst)[0] == "pass"):
        return Cell(surface=surface, result="unmeasurable", why=NO_CHECK)
    result, why = standing(worst)
    twins = [twin for each in about for twin in each.twins]
    return Cell(
        surface=surface,
        result=result,
        why="" if result == "pass" else f"{worst.check}: {why}",
        checks=len(about),
        twins=len(twins),
        caught=sum(twin.caught for twin in twins),
    )
