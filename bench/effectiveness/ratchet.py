"""The ratchet (issue 8): figures of the subset that CI runs may get better, and never worse.

* `ratchet.json` holds, of a run through the real engine, every figure of all groups together, under every approver.
* `run.py --ratchet` compares, and ends with status 1 where one is worse; `--ratchet --keep` takes the new ones over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

KEPT: Final = Path(__file__).resolve().parent / "ratchet.json"
EVERY: Final = {"agentdojo": 10, "dailylife": 20, "adaptive": 1}
"""Every n-th attacked run; honest ones are all run."""
_BETTER_UP: Final = ("utility", "kept", "stopped")
_BETTER_DOWN: Final = ("asked", "success", "effect", "effects", "left")


def figures(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that are held, by `suite approver figure`."""
    return {
        f"{suite} {approver} {name}": value
        for suite, by_approver in results["suites"].items()
        for approver, groups in by_approver.items()
        for name, value in _held(groups)
    }


def _held(groups: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    if "proof" in groups:
        for part in ("proof", "held_out"):
            for proof, counts in groups[part].items():
                yield from ((f"{part} {proof} {name}", value) for name, value in counts.items())
        return
    for name, value in groups["all"].items():
        if value["of"]:
            yield name, value["share"]


def worse(now: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """Return what got worse, a sentence each; a figure that is gone counts as worse."""
    found = []
    for name, held in before.items():
        figure = name.rpartition(" ")[2]
        if name not in now:
            found.append(f"`{name}` was {held}, and is not measured any more")
        elif figure.endswith(_BETTER_UP) and now[name] < held:
            found.append(f"`{name}` was {held}, and fell to {now[name]}")
        elif figure.endswith(_BETTER_DOWN) and now[name] > held:
            found.append(f"`{name}` was {held}, and rose to {now[name]}")
        elif not figure.endswith((*_BETTER_UP, *_BETTER_DOWN)) and now[name] != held:
            found.append(f"`{name}` was {held}, and is {now[name]}; what is measured changed")
    return found


def kept() -> dict[str, float]:
    """Return the figures that were taken over last."""
    held: dict[str, float] = json.loads(KEPT.read_text(encoding="utf-8"))
    return held


def keep(now: Mapping[str, float]) -> None:
    """Take figures over."""
    KEPT.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
