"""How like the user's words an action is (R3, R7): signals that only tighten (property 6).

* `alignment_ppm`, `distance_ppm`, `contrast_ppm` and `uncertainty_ppm`: `navicert.intent.embedding` says what they are.
* A session without a request has no alignment: those signals are unknown, and nothing is sure.
* Words are compared, not meanings, unless a model is plugged in: see `minilm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from navicert.intent.embedding import MILLION, Likeness, action_text, likeness, measured, uncertainty
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.signals import Finding
from navicert.model.value import Json

LIKENESS: Final = ("alignment_ppm", "distance_ppm", "contrast_ppm")
UNCERTAINTY: Final = "uncertainty_ppm"


def changes(profile: ToolProfile | None) -> bool:
    """Tell whether an action may change something: all but declared reads."""
    return profile is None or profile.effect is not Effect.READ


class Alignment:
    """A `Detector` by the small embedder. likeness: False where another detector gives those signals.

    The finding's confidence is what is left of the uncertainty, for actions that may change something.
    """

    name = "alignment"
    inline = True
    wants_directives = True

    def __init__(self, *, likeness: bool = True) -> None:
        self._likeness = likeness
        self.signals = (*LIKENESS, UNCERTAINTY) if likeness else (UNCERTAINTY,)

    def measure(
        self,
        action: Action,
        parameters: Mapping[str, Json],
        context: SessionContext,
        directives: Sequence[str] = (),
    ) -> Finding:
        """Return the signals. directives: the newest sentences of tool outputs that tell the reader to do something."""
        request = words_of_user(context)
        profile, name = action.profile, action.name
        unsure = uncertainty(action_text(name, parameters, profile, content=False), request) if request else MILLION
        values: dict[str, Json] = {UNCERTAINTY: unsure}
        if request and self._likeness:
            values |= compared(action_text(name, parameters, profile), request, directives, likeness)
        return Finding(values=values, confidence_ppm=MILLION - unsure if changes(profile) else None)


def words_of_user(context: SessionContext) -> tuple[str, ...]:
    """Return the request and what the user said besides, in order; nothing where there is not a word."""
    return tuple(text for text in (context.request, *context.said) if text.strip())


def compared(action: str, request: Sequence[str], directives: Sequence[str], like: Likeness) -> dict[str, Json]:
    """Return the signals of likeness, by name."""
    return dict(zip(LIKENESS, measured(action, request, directives, like), strict=True))
