"""What is told of a run of the threat suite: one JSON document, and a table for a terminal (T1 to T11).

* A document says the same whenever the same navicert is played; it holds no drawn value and no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from navicert.conformance.scenarios import Scenario
from navicert.conformance.threats import Results

FORMAT: Final = "navicert/threats/1"


class Out(Protocol):
    """What a terminal gives (`cli.terminal`)."""

    def title(self, text: str, right: str = "") -> None:
        """Write a heading."""
        ...

    def say(self, text: str = "") -> None:
        """Write one line."""
        ...

    def text(self, text: str, indent: int = 2) -> None:
        """Write a sentence, wrapped."""
        ...

    def mark(self, word: str, label: str = "", width: int = 0) -> str:
        """Return a mark (`ok`, `error`, `warning`), with a label."""
        ...


def document(found: Results) -> dict[str, Any]:
    """Return the results as JSON values: the same for the same navicert, whenever it is run."""
    came = {(each.scenario, each.surface): each for each in found.results}

    def told(scenario: Scenario) -> dict[str, Any]:
        here = {surface: came[scenario.id, surface] for surface in found.surfaces if (scenario.id, surface) in came}
        return {
            "id": scenario.id, "title": scenario.title, "kind": scenario.kind, "pack": scenario.pack,
            "family": list(scenario.family), "green": all(each.green for each in here.values()),
            "came": {surface: each.came for surface, each in here.items()},
            "why": next((each.why for each in here.values() if not each.green), ""),
        }  # fmt: skip

    played = {each.scenario for each in found.results}
    return {
        "format": FORMAT,
        "surfaces": list(found.surfaces),
        "unexplained": list(found.unexplained),
        "threats": [
            {
                "threat": threat.threat, "title": threat.title, "watched": threat.watched,
                "scenarios": [told(each) for each in threat.scenarios if each.id in played],
            }
            for threat in found.threats
            if any(each.id in played for each in threat.scenarios)
        ],
    }  # fmt: skip


COLUMNS: Final = ("stopped", "held", "open", "passed", "asked", "denied")


def counted(told: Mapping[str, Any], surface: str) -> dict[str, int]:
    """Return how often each of `COLUMNS` came of one class of a `document` on a surface."""
    came = [each["came"].get(surface) for each in told["scenarios"]]
    return {column: came.count(column) for column in COLUMNS}


def show(out: Out, told: Mapping[str, Any]) -> None:
    """Write a `document` for people: the table, then what is red and why."""
    out.title("threats   scripted agents, real tools, under the starter packs", ", ".join(told["surfaces"]))
    out.say(f"  {'':37}{'':10}  {'attacks':^23}   {'ordinary work':^23}")
    out.say(f"  {'':37}{'':10}  " + "".join(f"{column:>8}" for column in COLUMNS))
    for threat in told["threats"]:
        mark = out.mark("ok" if all(each["green"] for each in threat["scenarios"]) else "error")
        name = f"{threat['threat']:<4}{threat['title']:<32} "
        for surface in told["surfaces"]:
            numbers = counted(threat, surface).values()
            out.say(f"{mark} {name}{surface:<10}  " + "".join(f"{number or '·':>8}" for number in numbers))
            mark, name = " ", " " * 37
    red = [each for threat in told["threats"] for each in threat["scenarios"] if not each["green"]]
    out.say()
    for each in red:
        where = ", ".join(f"{surface}: {came}" for surface, came in each["came"].items())
        out.say(f"{out.mark('error', each['id'], 9)} {each['title']}")
        out.text(f"{where}; {each['why']}", 10)
    for each in told["unexplained"]:
        out.say(f"{out.mark('error', 'not as its scenario says')}  {each}")
    out.say()
    played = sum(len(threat["scenarios"]) for threat in told["threats"])
    out.text(f"{played} scenarios, {len(red)} red: {_split(red)}", 0)


def _split(red: Sequence[Mapping[str, Any]]) -> str:
    attacks = sum(each["kind"] == "attack" for each in red)
    return f"{attacks} attacks that get through, {len(red) - attacks} pieces of ordinary work that do not"
