"""Explaining a decision, for those who write policy (navicert.explain.steps). Pure, as `core` is."""

from __future__ import annotations

from navicert.explain.looks import OUTCOMES, Look
from navicert.explain.steps import MATCHES, STEPS, Came, Considered, Explanation, Round, Step, explain, step_of

__all__ = [
    "MATCHES",
    "OUTCOMES",
    "STEPS",
    "Came",
    "Considered",
    "Explanation",
    "Look",
    "Round",
    "Step",
    "explain",
    "step_of",
]
