"""Where the labels at stake come from: session, earlier sessions, parameters, what is named (R2.c, T7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import NOTHING, Labels

ORIGINS: Final = {
    "session": "this session",
    "earlier": "earlier sessions",
    "above": "sessions above it, or still open actions",
    "parameters": "its parameters",
    "stored": "what it names",
    "since": "since it was first asked",
}


def origins(given: EvaluationInput, whole: Labels = NOTHING) -> dict[str, Labels]:
    """Return the labels by where they come from (of `ORIGINS`); together they cover what is at stake, and `whole`.

    Labels follow a human and agent from this session as well: earlier ones are named for what only they can have left.
    """
    own, sticky, stored = given.context.labels, given.shared.sticky, given.shared.stored
    follows = own.join(sticky)
    return {
        "session": own,
        "earlier": NOTHING if own.covers(sticky) else sticky,
        "above": NOTHING if follows.covers(given.labels) else given.labels,
        "parameters": given.signals.labels,
        "stored": stored,
        "since": NOTHING if follows.join(given.labels).covers(whole) else whole,
    }


def origin_words(parts: Mapping[str, str]) -> str:
    """Return where labels, given in words, come from: ` (this session: INTERNAL)`; empty where from nowhere."""
    found = "; ".join(f"{ORIGINS[name]}: {words}" for name, words in parts.items() if words != NOTHING.words())
    return f" ({found})" if found else ""
