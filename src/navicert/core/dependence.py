"""Dependence: which waiting actions another action must wait for (R4.c, R4.d, R4.e).

* It is declared (`depends_on`), or a parameter refers to the wait's handle or its action, or to a resource that the
  waiting action would write. Everything else is independent and passes.
"""

from __future__ import annotations

from typing import Any

from navicert.core.fields import leaves, role_values
from navicert.core.shared import resource_name
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext, Waiting


def written(profile: ToolProfile | None, parameters: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the resources that an action would write, in one spelling each."""
    if profile is None or profile.effect is Effect.READ:
        return ()
    names = [resource_name(str(value)) for value in role_values(profile, "resource", parameters)]
    return tuple(dict.fromkeys(name for name in names if name))[:16]


def prerequisites(action: Action, parameters: dict[str, Any], context: SessionContext) -> tuple[Waiting, ...]:
    """Return the waiting actions of the session that this one depends on, in their order."""
    if not context.waiting:
        return ()
    texts = [str(leaf) for leaf in leaves(parameters, keys=True)]
    names = {resource_name(text) for text in texts}
    return tuple(
        item
        for item in context.waiting
        if item.action_id != action.action_id
        and (
            item.handle in action.depends_on
            or not names.isdisjoint(item.resources)
            or any(item.handle in text or item.action_id in text for text in texts)
        )
    )
