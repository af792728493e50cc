"""Sabotages of the decision point: what rules say is weighed otherwise (R3)."""

from __future__ import annotations

from itertools import count
from typing import Any

from msgspec.structs import replace

from navicert.conformance.twins.registry import twin
from navicert.conformance.twins.verdicts import judged_otherwise
from navicert.core.kleene import FALSE, TRUE
from navicert.model.decision import Classification, Decision, Verdict


@twin
def forbidden_overridden() -> None:
    """A forbidden rule is one like the others: a higher priority decides before it."""
    from navicert.core.compile import Candidates

    make = Candidates.__init__

    def plain(self: Any, named: list[Any]) -> None:
        for item in named:
            if not item.rule.id.startswith("navicert."):
                item.rule = replace(item.rule, classification=Classification.STATIC)
        make(self, named)

    Candidates.__init__ = plain  # type: ignore[method-assign]  # that is the sabotage


@twin
def conflicts_allowed() -> None:
    """Of what contradicts each other, the first counts: of two sources, of two rules."""
    from navicert.core import evaluate, fields

    fact = fields._fact

    def first(given: Any, name: str) -> Any:
        plain = tuple(replace(item, conflicting=False) for item in given.context.facts)
        return fact(replace(given, context=replace(given.context, facts=plain)), name)

    fields._fact = first
    evaluate._conflict = lambda matched, _: evaluate._from_rules(matched[:1], Classification.STATIC)


@twin
def missing_is_false() -> None:
    """A rule that cannot be told to match counts as one that does not."""
    from navicert.core import compile as compiling

    every = compiling.all_of

    def decided(predicates: list[Any]) -> Any:
        holds = every(predicates)
        return lambda subject: TRUE if holds(subject) == TRUE else FALSE

    compiling.all_of = decided


@twin
def constraints_ignored() -> None:
    """No constraint is ever broken."""
    from navicert.core.compile import CompiledRule

    CompiledRule.broken = lambda *_: ()  # type: ignore[method-assign]  # that is the sabotage


@twin
def nondeterministic() -> None:
    """Every fifth decision is a denial."""
    number = count(1)

    def fickle(decision: Decision, _: Any) -> Decision:
        if next(number) % 5:
            return decision
        return replace(decision, verdict=Verdict.DENY, reason_code="rule", effective=None)

    judged_otherwise(fickle)
