"""Sabotages of how a session's drift from its request is followed (R7)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from navicert.conformance.twins.registry import twin
from navicert.model.drift import Drift


@twin
def drift_not_summed() -> None:
    """Only single actions are looked at: what they depart by is not added up."""
    _stepped(lambda step, drift, measured, profile: replace(step(drift, measured, profile), sum_ppm=0))


@twin
def drift_forgotten() -> None:
    """Each action begins from nothing."""
    _stepped(lambda step, _, measured, profile: step(Drift(), measured, profile))


@twin
def all_is_drift() -> None:
    """Every action counts as far from the request."""
    _stepped(
        lambda step, drift, measured, profile: step(
            drift, replace(measured, distance_ppm=1_000_000, finding=None), profile
        )
    )


def _stepped(otherwise: Callable[..., Drift]) -> None:
    from navicert.engine import drifting

    step = drifting.step
    drifting.step = lambda drift, measured, profile: otherwise(step, drift, measured, profile)
