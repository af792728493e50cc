"""Sabotages of what is decided: the decision point answers otherwise than the rules say."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from navicert.conformance.twins.registry import twin
from navicert.core.compile import CompiledPolicy
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput


def judged_otherwise(change: Callable[[Decision, EvaluationInput], Decision]) -> None:
    """Have every decision of rules pass through `change`."""
    from navicert.engine import finding, judging

    evaluate = judging.evaluate

    def otherwise(given: EvaluationInput, policy: CompiledPolicy) -> Decision:
        return change(evaluate(given, policy), given)

    judging.evaluate = finding.evaluate = otherwise


@twin
def denials_run() -> None:
    """What the rules deny is permitted."""

    def change(decision: Decision, _: EvaluationInput) -> Decision:
        return replace(decision, verdict=Verdict.ALLOW) if decision.verdict is Verdict.DENY else decision

    judged_otherwise(change)


@twin
def confidence_ignored() -> None:
    """However little is sure, the decision is the same."""
    from navicert.engine import judging

    evaluate = judging.evaluate

    def sure(given: EvaluationInput, policy: CompiledPolicy) -> Decision:
        return evaluate(replace(given, signals=replace(given.signals, confidence_ppm=None)), policy)

    judging.evaluate = sure
