"""The judge of `navicert.intent` alone, without an engine: for quick rounds of work, never for a stated figure.

What the engine does around it is done here in small: profiles are inferred, outputs cut and indexed, what was reached
is kept; and its finding is read as the starter pack `assistant` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from episodes import Tool
from harness import ALLOW, ASK, DENY, SERVER, Shown, Step, finished

from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.core.digest import action_digest
from navicert.core.fields import leaves, role_values
from navicert.intent.effects import infer
from navicert.intent.index import Index
from navicert.intent.judging import judge
from navicert.intent.matching import GRAVE, plain
from navicert.intent.passages import passages
from navicert.intent.request import read
from navicert.intent.values import Finding, Passage, Source, Trust
from navicert.model.action import Action, Effect, ToolProfile

_VERDICT: Final = {
    Finding.READS: ALLOW,
    Finding.ASKED: ALLOW,
    Finding.DELEGATED: ALLOW,
    "own": ALLOW,
    Finding.INJECTED: DENY,
    "refused": DENY,
}


@lru_cache(maxsize=4096)
def _passages(output: str) -> tuple[Passage, ...]:
    return passages(output)


class Direct:
    """Opens sessions that are judged directly."""

    name = "direct"

    def __init__(self) -> None:
        self._profiles: dict[int, tuple[Mapping[str, Tool], dict[str, ToolProfile]]] = {}

    def open(self, prompt: str, tools: Mapping[str, Tool]) -> _Judged:
        """Begin a session."""
        known = self._profiles.get(id(tools))
        if known is None:
            known = self._profiles[id(tools)] = (tools, {name: profile_of(tool) for name, tool in tools.items()})
        return _Judged(prompt, known[1])


def profile_of(tool: Tool) -> ToolProfile:
    """Return what a tool seems to do."""
    full = f"{SERVER}.{tool.name}"
    profile = infer(full, tool.description, tool.schema).profile
    return msgspec.structs.replace(profile, inferred=True)


class _Judged:
    def __init__(self, prompt: str, profiles: Mapping[str, ToolProfile]) -> None:
        self._prompt, self._said = prompt, ()
        self._profiles = profiles
        self._asked = read(prompt, ())
        self._index = Index()
        self._reached: dict[str, tuple[str, ...]] = {}
        self._count = 0

    def say(self, text: str) -> None:
        """Take in later words of the user."""
        self._said = (*self._said, text)
        self._asked = read(self._prompt, self._said)

    def call(self, shown: Shown, execute: Callable[[], str], answer: str) -> Step:
        """Judge one call."""
        self._count += 1
        data = parameter_bytes(dict(shown.args))
        profile, parameters = self._profiles[shown.tool], decode_parameters(data)
        action = Action(
            action_id=f"act_{self._count:026d}",
            tool=SERVER,
            operation=shown.tool,
            parameters=data,
            digest=action_digest(SERVER, shown.tool, data),
            submitted_at=0,
            profile=profile,
        )
        said = judge(action, profile, parameters, self._asked, self._index, self._reached)
        verdict = _VERDICT.get(said.finding, ASK)
        if said.finding == "unasked" and said.origin == "unseen" and profile.effect not in {Effect.READ, Effect.WRITE}:
            verdict = DENY

        def run() -> str:
            output = execute()
            self._learn(action, profile, parameters, output)
            return output

        return finished(verdict, run, answer, said.finding, said.why)

    def _learn(self, action: Action, profile: ToolProfile, parameters: Mapping[str, Any], output: str) -> None:
        given = dict(parameters)
        roles = [item for role in ("destination", "resource") for item in role_values(profile, role, given)]
        put_in = roles if roles and profile.effect is Effect.READ else (*roles, *leaves(given))
        about = [item[:200] for item in put_in if isinstance(item, str) and item]
        source = Source(
            action_id=action.action_id,
            tool=action.name,
            about=tuple(dict.fromkeys(about))[:8],
            trust=Trust(profile.trust),
            kind="memory" if profile.memory else "tool",
        )
        self._index.add(source, _passages(output))
        if profile.effect is Effect.READ:
            return
        found = role_values(profile, "destination", given)
        if profile.effect in GRAVE or not found:
            found = [*found, *role_values(profile, "resource", given)]
        texts = [plain(item)[:200] for item in found if type(item) is not bool]
        before = self._reached.get(profile.effect.value, ())
        self._reached[profile.effect.value] = tuple(dict.fromkeys((*before, *filter(None, texts))))
