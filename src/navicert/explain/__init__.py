"""Explaining a decision, for those who write policy (navicert.explain.steps). Pure, as `core` is."""

from __future__ import annotations

from navicert.explain.looks import OUTCOMES, Look
from navicert.explain.origins import ORIGINS, origin_words, origins
from navicert.explain.steps import MATCHES, STEPS, Came, Considered, Explanation, Round, Step, explain, step_of

__all__ = [
    "MATCHES",
    "ORIGINS",
    "OUTCOMES",
    "STEPS",
    "Came",
    "Considered",
    "Explanation",
    "Look",
    "Round",
    "Step",
    "explain",
    "origin_words",
    "origins",
    "step_of",
]
