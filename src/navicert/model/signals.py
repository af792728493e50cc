"""Signals: measured evidence about one action, taken before the decision and recorded with it (property 5).

* A detector's answer is either known or `unknown` with the reason; silence is unknown, never a clean answer.
* Scores are integers in parts per million, and can only tighten (property 6).
"""

from __future__ import annotations

from navicert.model.labels import NOTHING, Labels
from navicert.model.value import Json, Value


class Finding(Value, frozen=True, kw_only=True):
    """What one detector says of one subject.

    values: named facts that rules can use as `signals.<name>`. labels: of the data looked at. confidence_ppm: how sure.
    looked: False where the detector could not look at the data (binary, oversized): it then classifies nothing.
    """

    values: dict[str, Json] = {}
    labels: Labels = NOTHING
    confidence_ppm: int | None = None
    looked: bool = True


class Signals(Value, frozen=True, kw_only=True):
    """All findings about one action. `unknown` maps a detector's or a signal's name to why it is unknown."""

    values: dict[str, Json] = {}
    unknown: dict[str, str] = {}
    labels: Labels = NOTHING
    confidence_ppm: int | None = None
