"""Plays AgentDojo in full, and packs what happened as episodes: data/agentdojo.jsonl.xz.

    python bench/effectiveness/export_agentdojo.py       needs requirements/effectiveness.in; about four minutes

* 97 tasks without an attack, and 949 pairs of task and injection, the attack's calls last (`append`) and right after
  the first output that carries the injection (`interleave`).
* Every injection's call sequence is first tried by itself against the task's own `security()`, and every task's own
  calls against `utility()`: where one fails, the run ends with status 1 and writes nothing.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence

from agentdojo_world import Play, played, suites
from episodes import DATA, Episode, write


def plans_fail() -> list[str]:
    """Return the injections whose call sequence does not do what its own check looks for, by itself."""
    failing = []
    for suite, _ in suites():
        task = next(iter(suite.user_tasks))
        for injection in suite.injection_tasks:
            play = Play(suite, task, injection)
            play.attack()
            if not play.checks()[1]:
                failing.append(f"{suite.name}/{injection}: its calls do not pass its own security()")
    return failing


def summary(episodes: Sequence[Episode]) -> str:
    """Return counts, and what AgentDojo's own checks say with everything permitted."""
    benign = [episode for episode in episodes if episode.benign]
    calls = [call for episode in benign for call in episode.calls]
    first = (
        f"{len(benign)} tasks, {sum(e.utility is True for e in benign)} solved, {len(calls)} calls,"
        f" {sum(call.writes for call in calls)} of them change something"
    )
    lines = [first]
    for mode, count in Counter(e.mode for e in episodes if not e.benign).items():
        these = [e for e in episodes if e.mode == mode]
        won, solved = sum(e.security is True for e in these), sum(e.utility is True for e in these)
        acts = [e for e in these if e.action]
        effects = sum(any(c.writes and not c.benign for c in e.calls) for e in acts)
        lines.append(
            f"{mode}: {count} pairs, {len(acts)} of them need an action; attacks that succeed {won / count:.1%},"
            f" tasks solved {solved / count:.1%}, with a side effect of the attack {effects} of {len(acts)}"
        )
    return "\n".join(lines)


def main() -> int:
    """Play, check, pack."""
    if sys.flags.hash_randomization:  # AgentDojo lists the members of sets; the same run must give the same file
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    episodes = list(played())
    unsolved = [f"{e.id}: its own calls do not pass utility()" for e in episodes if e.benign and not e.utility]
    problems = [*plans_fail(), *unsolved]
    print(summary(episodes))
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    DATA.mkdir(exist_ok=True)
    size = write(DATA / "agentdojo.jsonl.xz", episodes)
    print(f"data/agentdojo.jsonl.xz: {len(episodes)} episodes, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
