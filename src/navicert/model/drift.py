"""How far a session has drifted from what was asked for (R7): small, bounded, in integers; `intent.drift` folds it."""

from __future__ import annotations

from navicert.model.value import Value


class Drift(Value, frozen=True, kw_only=True):
    """The state of the fold. `_ppm`: parts per million. steps: actions so far; since: since the user last spoke.

    mean: exponential mean, max: running maximum, sum: one-sided cumulative sum, all of departures. grown: exponential
    mean of scope expansion. said: how often the user had spoken. began, level: where labels began, and their highest.
    families: of tools, as entered; changes: of family, without an end. pace: actions in the last minute.
    """

    steps: int = 0
    since: int = 0
    said: int = 0
    mean_ppm: int = 0
    max_ppm: int = 0
    sum_ppm: int = 0
    grown_ppm: int = 0
    began: int = 0
    level: int = 0
    families: tuple[str, ...] = ()
    changes: int = 0
    pace: int = 0
