"""Lint: what a policy may say and hardly means (R3.a; docs/reference/lint.md has a section for every code).

* A finding is certain: the rule cannot decide, the pattern does match the text that is shown. What may or may not be a
  mistake is a note. A check that cannot be sure says nothing.
* Pure: a policy set and the places of its parts in, findings out, in file order.
"""

from __future__ import annotations

from collections.abc import Collection

from navicert.lint.book import SEVERITY, Book, Finding
from navicert.lint.bounds import bounds
from navicert.lint.holes import holes
from navicert.lint.limits import limits
from navicert.lint.people import people
from navicert.lint.reach import names, reach
from navicert.model.policy import PolicySet
from navicert.syntax import Spans

__all__ = ["SEVERITY", "Finding", "lint"]


def lint(policy: PolicySet, spans: Spans, elsewhere: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what is found about a policy set as `read_policy` returned it, in file order.

    elsewhere: full names of tools that are declared outside of it.
    """
    book = Book(policy, spans, elsewhere)
    found = [each for check in (reach, names, bounds, holes, people, limits) for each in check(book)]
    return tuple(sorted(found, key=lambda item: (item.line, item.column, item.code)))
