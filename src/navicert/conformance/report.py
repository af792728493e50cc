"""The report of a run, for people: one HTML page without scripts, which prints well."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from navicert.core.inert import inert
from navicert.model.errors import Unavailable

if TYPE_CHECKING:
    from navicert.conformance.package import Results

MARKS = {"pass": "✓", "fail": "✕", "unmeasurable": "?"}


def report(results: Results) -> str:
    """Return the page."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise Unavailable('the report needs Jinja2; install it with `pip install "navicert[conformance]"`') from None
    pages = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters["inert"] = inert
    page = pages.from_string(files("navicert.conformance").joinpath("report.html").read_text(encoding="utf-8"))
    return page.render(results=results, marks=MARKS, counts=_counts(results), groups=_groups(results))


def _counts(results: Results) -> dict[str, Counter[str]]:
    """Return by surface how many rows and clauses have passed, failed, could not be measured."""
    found: dict[str, Counter[str]] = {}
    for row in results.table:
        for cell in row.cells:
            found.setdefault(cell.surface, Counter())[cell.result] += 1
    return found


def _groups(results: Results) -> list[tuple[str, list[Any]]]:
    """Return rows, then clauses by requirement."""
    rows = [row for row in results.table if "-" in row.id]
    clauses = [row for row in results.table if "-" not in row.id]
    return [("The 21 rows of the testing protocol", rows), ("Clauses, by their ids", clauses)]
