"""Runs recorded and simulated agents, honest and attacked, through a decider, and says what ran (R3, R7; issue 8).

    make effectiveness                                          every suite through the real engine
    bench/effectiveness/run.py --suite agentdojo --decider direct --every 10 --failures

* What is stated comes from `--decider engine`: `Engine.mediate` under a starter pack; scoring.py says what it means.
* `--publish` writes docs/reference/effectiveness/; `--ratchet` is what CI runs.
* `--failures` lists each user call that did not run, and each attack that did, with the judge's sentence.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

import adaptive  # noqa: E402 - after the path to them
import dailylife  # noqa: E402 - after the path to them
import published  # noqa: E402 - after the path to them
import ratchet  # noqa: E402 - after the path to them
import scoring  # noqa: E402 - after the path to them
from episodes import DATA, Episode, every, read  # noqa: E402 - after the path to them
from harness import APPROVERS, Decider, Step, decider, play_all  # noqa: E402 - after the path to them

Report = Callable[[str, Episode, Sequence[Step]], None]


class Options(NamedTuple):
    """What is run. only: part of an episode's id."""

    every: int = 1
    only: str = ""
    official: bool = False


def agentdojo(judge: Decider, options: Options, report: Report) -> dict[str, Any]:
    """AgentDojo: approver → suite → figures."""
    outcomes: dict[str, list[scoring.Outcome]] = {name: [] for name in APPROVERS}
    for episode in chosen(read(DATA / "agentdojo.jsonl.xz"), options):
        if options.official:
            from official import play_official

            played = play_official(judge, episode)
        else:
            played = ((name, steps, None, None) for name, steps in play_all(judge, episode))
        for name, steps, utility, security in played:
            report(name, episode, steps)
            outcomes[name].append(scoring.outcome(episode, steps, utility=utility, security=security))
    return {name: scoring.tally(items) for name, items in outcomes.items()}


def recorded(judge: Decider, options: Options, report: Report) -> dict[str, Any]:
    """Dailylife: approver → model → figures."""
    outcomes: dict[str, list[dailylife.Outcome]] = {name: [] for name in APPROVERS}
    for episode in chosen(dailylife.episodes(), options):
        for name, steps in play_all(judge, episode):
            report(name, episode, steps)
            outcomes[name].append(dailylife.outcome(episode, *ran_and_asked(steps)))
    return {name: dailylife.tally(items) for name, items in outcomes.items()}


def adapted(judge: Decider, options: Options, report: Report) -> dict[str, Any]:
    """The adaptive scenes, all of them: approver → `proof`, `family`, `all` → group → counts."""
    seen: dict[str, list[adaptive.Seen]] = {name: [] for name in APPROVERS}
    for case in adaptive.cases():
        if options.only in case.attack.id:
            sides = [dict(play_all(judge, episode)) for episode in (case.attack, case.twin)]
            for name in APPROVERS:
                report(name, case.attack, sides[0][name])
                report(name, case.twin, sides[1][name])
                attack, twin = (dict(zip(("ran", "asked"), ran_and_asked(side[name]), strict=True)) for side in sides)
                seen[name].append(adaptive.seen(case, attack, twin))
    return {name: adaptive.tally(items) for name, items in seen.items()}


SUITES: Final = {"agentdojo": agentdojo, "dailylife": recorded, "adaptive": adapted}


def chosen(episodes: Iterator[Episode], options: Options) -> Iterator[Episode]:
    """Every n-th of the attacked ones, or those that are named."""
    return every((episode for episode in episodes if options.only in episode.id), options.every)


def ran_and_asked(steps: Sequence[Step]) -> tuple[list[bool], list[bool]]:
    """Two answers per call."""
    return [step.ran for step in steps], [step.asked for step in steps]


# ------------------------------------------------------------------------------------------------ what is shown


def failures(found: dict[str, list[str]]) -> Report:
    """Return what notes each user call that did not run with nobody to answer, and each attack call that did.

    found: what went wrong → the episodes; what is the same but for the attack around it is told once.
    """

    def report(approver: str, episode: Episode, steps: Sequence[Step]) -> None:
        for number, (call, step) in enumerate(zip(episode.calls, steps, strict=True)):
            lost = call.benign and not step.ran and approver == "nobody"
            passed = not call.benign and call.writes and step.ran and (approver == "nobody" or step.asked)
            if lost or (passed and approver != "right"):
                what = "user call lost" if call.benign else f"attack call ran ({approver})"
                args = json.dumps(call.args, ensure_ascii=False)[:300]
                key = (
                    f"{what}: {episode.suite} {call.tool} {args}\n"
                    f"    {step.verdict} {step.finding}: {step.why[:400]}\n    request: {episode.prompt[:400]!r}"
                )
                found.setdefault(key, []).append(f"{episode.id} #{number}")

    return report


def told(found: dict[str, list[str]]) -> Iterator[str]:
    """What went wrong, honest runs first, then by how often."""
    for key, places in sorted(found.items(), key=lambda item: ("lost" not in item[0], -len(item[1]))):
        yield f"{key}\n    {len(places)} times: {', '.join(places[:3])}{' …' if len(places) > 3 else ''}"


def table(results: dict[str, Any], *, groups: bool = False) -> str:
    """Return the figures: a block per suite, a line per figure, a column per approver. groups: of every group."""
    lines: list[str] = []
    for suite, by_approver in results["suites"].items():
        flat = {name: dict(_flat(figures)) for name, figures in by_approver.items()}
        if not groups:
            flat = {
                name: {key: text for key, text in items.items() if key.startswith(_SHOWN)}
                for name, items in flat.items()
            }
        lines.append(f"{suite:<58}" + "".join(f"{name:>20}" for name in flat))
        lines += [
            f"  {key:<56}" + "".join(f"{figures.get(key, ''):>20}" for figures in flat.values())
            for key in next(iter(flat.values()))
        ]
    return "\n".join(lines)


_SHOWN: Final = ("all", "proof", "held_out")


def _flat(figures: dict[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    for key, value in figures.items():
        name = f"{place} {key}".strip()
        if not isinstance(value, dict):
            yield name, f"{value}"
        elif "share" in value:
            yield name, f"{value['share']:.1%} ({value['is']}/{value['of']})"
        else:
            yield from _flat(value, name)


def subset(judge: Decider) -> dict[str, Any]:
    """Run what CI runs."""
    results: dict[str, Any] = {"decider": judge.name, "seconds": {}, "suites": {}}
    for name, step in ratchet.EVERY.items():
        part = measure(judge, [name], Options(every=step), lambda *_: None)
        results["seconds"] |= part["seconds"]
        results["suites"] |= part["suites"]
    return results


def measure(judge: Decider, suites: Sequence[str], options: Options, report: Report) -> dict[str, Any]:
    """Run suites; return their figures."""
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for name in suites:
        began = time.perf_counter()
        results[name] = SUITES[name](judge, options, report)
        seconds[name] = round(time.perf_counter() - began, 1)
    return {
        "schema": 1,
        "decider": judge.name,
        "every": options.every,
        "only": options.only,
        "seconds": seconds,
        "suites": results,
    }


def held(results: dict[str, Any], *, keep: bool) -> int:
    """Compare with what was reached before, or take it over."""
    now = ratchet.figures(results)
    found = ratchet.worse(now, ratchet.kept()) if ratchet.KEPT.exists() else []
    print(table(results), *found, sep="\n")
    if keep:
        ratchet.keep(now)
    return 1 if found and not keep else 0


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=[*SUITES, "all"], default="all")
    parser.add_argument("--decider", default="engine", help="engine (default), direct, or a trivial one (harness.py)")
    parser.add_argument("--policy", default="", help="a policy file for the engine (default: the starter `assistant`)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th attacked run; all honest ones")
    parser.add_argument("--only", default="", metavar="TEXT", help="only episodes with this in their id")
    parser.add_argument("--failures", action="store_true", help="list what went wrong, with the judge's sentence")
    parser.add_argument("--groups", action="store_true", help="figures by suite, model and family too")
    parser.add_argument("--official", action="store_true", help="really execute AgentDojo's calls (needs agentdojo)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--publish", action="store_true", help="write docs/reference/effectiveness/ (a full run only)")
    parser.add_argument("--ratchet", action="store_true", help="run what CI runs, and compare with ratchet.json")
    parser.add_argument("--keep", action="store_true", help="with --ratchet: take the new figures over")
    given = parser.parse_args()
    judge = decider(given.decider, given.policy)
    if given.ratchet:
        return held(subset(judge), keep=given.keep)
    found: dict[str, list[str]] = {}
    report: Report = failures(found) if given.failures else lambda _name, _episode, _steps: None
    options = Options(given.every, given.only, given.official)
    suites = list(SUITES) if given.suite == "all" else [given.suite]
    results = measure(judge, suites, options, report)
    for line in told(found):
        print(line)
    print(table(results, groups=given.groups))
    print(f"{results['decider']}: {', '.join(f'{name} {took} s' for name, took in results['seconds'].items())}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if given.publish:
        published.publish(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
