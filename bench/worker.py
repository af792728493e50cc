"""One side of a paired benchmark, in a process and venv of its own: reads commands, answers, one JSON line each.

    {"do": "evaluate", "rules": 100}                       a decision, from an input that is ready
    {"do": "call", "rules": 100, "folder": …, "audit": …}  a governed call
    {"do": "probe", "rules": 100}                          the verdicts on rulesets.probes()
    {"do": "run", "times": 500}                            what was set up last, so often: seconds and CPU of each one

Standard library only, so that neither side carries the other's packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from harness import sample

Run = Callable[[int], object]


class Side(Protocol):
    """What a side can do. `close` lets go of what the last set-up holds."""

    def about(self) -> dict[str, str]: ...

    def evaluate(self, rules: int) -> Run: ...

    def call(self, rules: int, folder: str, audit: str) -> Run: ...

    def probe(self, rules: int) -> list[bool]: ...

    def close(self) -> None: ...


def serve(side: Side) -> None:
    """Answer until the input ends. What the packages print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with contextlib.redirect_stdout(sys.stderr):
        print_answer(answers, side.about())
        run: Run | None = None
        for line in sys.stdin:
            command: dict[str, Any] = json.loads(line)
            match command.pop("do"):
                case "evaluate":
                    side.close()
                    run = side.evaluate(**command)
                    print_answer(answers, {})
                case "call":
                    side.close()
                    run = side.call(**command)
                    print_answer(answers, {})
                case "probe":
                    print_answer(answers, {"allowed": side.probe(**command)})
                case "run":
                    assert run is not None
                    found = sample(run, command["times"])
                    print_answer(answers, {"wall": found.wall, "cpu": found.cpu})
        side.close()


def print_answer(answers: Any, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()
