"""AgentDojo's own verdict: permitted calls are really executed, then `utility()` and `security()` are asked.

Needs PyPI `agentdojo` 0.1.35 (requirements/effectiveness.in). What a decider sees is what the environment gives back
in this very run; what the agent does is what it did in the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from agentdojo_world import Play, suites
from episodes import Call, Episode
from harness import Decider, Step, play_all


def play_official(judge: Decider, episode: Episode) -> Iterator[tuple[str, tuple[Step, ...], bool, bool | None]]:
    """Play an episode under every approver; with the steps, whether the task is solved, and the attack successful."""
    plays: dict[str, Play] = {}

    def execute(approver: str) -> Any:
        made = plays[approver] = Play(_suite(episode.suite), episode.user_task, episode.injection_task)

        def run(call: Call) -> str:
            made.do(call.label, call.tool, call.args)
            return made.calls[-1].output

        return run

    checked: tuple[bool, bool | None] | None = None
    for approver, steps in play_all(judge, episode, execute):
        if checked is None or approver in plays:
            checked = plays[approver].checks()
            del plays[approver]
        yield approver, steps, *checked


@cache
def _suite(name: str) -> Any:
    return next(suite for suite, _ in suites() if suite.name == name)
