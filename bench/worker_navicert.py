"""The navicert side of bench_peer.py."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import rulesets
import worlds
from worker import Run, serve

from navicert.core.compile import CompiledPolicy
from navicert.core.evaluate import evaluate
from navicert.model.decision import Verdict
from navicert.sdk.session import CURRENT


@lru_cache(maxsize=1)
def _policy(rules: int) -> CompiledPolicy:
    return worlds.compiled(rulesets.as_navicert(rulesets.common(rules)))


class Navicert:
    def __init__(self) -> None:
        self._held = ExitStack()
        self._calls = 0

    def about(self) -> dict[str, str]:
        return {"name": "navicert", "python": sys.version.split()[0]}

    def evaluate(self, rules: int) -> Run:
        policy = _policy(rules)
        given = worlds.input_of(rulesets.arguments())

        def run(times: int) -> None:
            for _ in range(times):
                evaluate(given, policy)

        return run

    def call(self, rules: int, folder: str, audit: str) -> Run:  # noqa: ARG002 - its receipts are always on
        policy = rulesets.as_navicert(rulesets.common(rules))
        world = self._held.enter_context(worlds.deployment(Path(folder), policy))
        token = CURRENT.set(world.session())
        self._held.callback(CURRENT.reset, token)

        def run(times: int) -> None:
            for _ in range(times):
                self._calls += 1
                world.send(**rulesets.arguments(f"pe-{self._calls:08d}"))
            world.settle()

        return run

    def probe(self, rules: int) -> list[bool]:
        policy = _policy(rules)
        found = []
        for item in rulesets.probes():
            given = worlds.input_of(rulesets.arguments(**item["arguments"]), pii=item["pii"], roles=(item["role"],))
            found.append(evaluate(given, policy).verdict is Verdict.ALLOW)
        return found

    def close(self) -> None:
        self._held.close()
        self._held = ExitStack()


if __name__ == "__main__":
    serve(Navicert())
