"""Which parameters an analyser of one language reads: those it was told of, or all that are not content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from navicert.model.action import Action


def chosen(
    action: Action, parameters: Iterable[str], category: str, named: Mapping[str, Sequence[str]]
) -> Sequence[str] | None:
    """Return names of parameters; None for a tool that is neither named (full name) nor of the category."""
    if action.name in named:
        return named[action.name]
    profile = action.profile
    if profile is None or category not in profile.categories:
        return None
    return [name for name in parameters if name not in profile.content]
