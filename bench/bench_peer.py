"""The same work beside a peer, in one run: Agent Governance Toolkit 4.1.0, each side in a process and venv of its own.

Both get the same rules (10, 100, 1,000, at most 25 of them about the tool) and the same calls, and must agree on a set
of probes before anything is timed. Rounds alternate, and each ratio is taken within a pair of neighbouring rounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from harness import BENCH, ROOT, US, Bench, environment, folder, made_venv, number, places, spread

VENV = ROOT / ".bench-venv"
LOCK = BENCH / "peer.txt"
COUNTS = (10, 100, 1000)
DOES = [
    ("", "navicert, governed call", "AGT 4.1.0, `govern`-wrapped call"),
    ("rules looked at", "those about the tool, found once per tool", "all rules of the policy"),
    ("conditions", "compiled when the policy is loaded", "read from text at each evaluation"),
    ("who and what went before", "from the session in the store", "from what the caller passes with the call"),
    ("detectors over arguments and result", "yes", "no"),
    ("limits in the decision", "MODIFY; human approval; deferral", "rate limits; human approval; warn, log"),
    ("several rules match", "highest priority, merged; conflict defers", "one of four strategies"),
    (
        "record before the tool runs",
        "receipt, Ed25519, fsynced first",
        "audit entry in memory, hash chain and Merkle tree",
    ),
    ("record after the tool ran", "receipt, Ed25519, fsynced with the next commit", "none"),
    ("with `FileAuditSink` (its own rows)", "—", "besides, a JSON line with HMAC-SHA-256, appended, not fsynced"),
    ("arguments in the record", "digest, and sealed disclosure", "no"),
]


def main() -> None:
    bench = Bench("peer", __doc__)
    reason = made_venv(VENV, LOCK, quick=bench.quick)
    if reason:
        bench.skip("*", reason)
        bench.finish()
        return
    with ExitStack() as held:
        made = held.enter_context(folder("disk"))
        try:
            ours = held.enter_context(worker(sys.executable, "worker_navicert.py", made))
            theirs = held.enter_context(worker(str(VENV / "bin" / "python"), "worker_agt.py", made))
        except WorkerFailed as failure:
            bench.skip("*", f"a side did not start: {failure}")
            bench.finish()
            return
        bench.note(
            f"Sides: {ours.about['name']}, Python {ours.about['python']}; {theirs.about['name']},"
            f" Python {theirs.about['python']}, pydantic {theirs.about['pydantic']}. Rounds alternate; a ratio above 1"
            " says that AGT took longer. AGT is given all rules in one policy, as a deployment has them in one file."
        )
        bench.note("What each side does in one call:")
        bench.table = DOES
        compare(bench, ours, theirs)
    bench.finish()


def compare(bench: Bench, ours: Worker, theirs: Worker) -> None:
    for rules in COUNTS:
        verdicts = [side.ask(do="probe", rules=rules)["allowed"] for side in (ours, theirs)]
        if verdicts[0] != verdicts[1]:
            raise SystemExit(f"the sides disagree with {rules} rules: {verdicts}; the rules are not comparable")
        pair(
            bench, f"evaluate.{rules}", f"`evaluate`, {rules:,} rules", ours, theirs, {"do": "evaluate", "rules": rules}
        )
    for rules in COUNTS:
        title = f"call, {rules:,} rules, AGT's entries in memory"
        call(bench, f"call.{rules}", title, (ours, theirs), rules, kind="disk", audit="memory")
    for kind, place in places(bench, "call_file.shm.*"):
        title = f"call, 100 rules, AGT with `FileAuditSink`, both {place}"
        call(bench, f"call_file.{kind}", title, (ours, theirs), 100, kind=kind, audit="file")


def call(
    bench: Bench, key: str, title: str, sides: tuple[Worker, Worker], rules: int, *, kind: str, audit: str
) -> None:
    with folder(kind) as made:
        setup = {"do": "call", "rules": rules, "folder": str(made / "store"), "audit": audit}
        pair(bench, key, title, *sides, setup)
        for side in sides:
            side.ask(do="evaluate", rules=10)  # lets go of the store


def pair(bench: Bench, key: str, title: str, ours: Worker, theirs: Worker, setup: dict[str, Any]) -> None:
    """Measure A B A B …; the ratio is that of neighbours."""
    seconds = 0.001 if bench.quick else 0.15
    sides = {"navicert": ours, "agt": theirs}
    times = {}
    for name, side in sides.items():
        side.ask(**setup)
        times[name] = side.enough(seconds)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(bench.count(15, 1)):
        for name, side in sides.items():
            found[name].append(side.ask(do="run", times=times[name]))
    for name in sides:
        who = "navicert" if name == "navicert" else "AGT"
        wall = spread([item["wall"] * US for item in found[name]])
        cpu = spread([item["cpu"] * US for item in found[name]])
        note = f"CPU {number(cpu.median)} µs" if "call" in key else ""
        bench.figure(f"{key}.{name}", f"{title}: {who}", wall, "µs", note=note)
    ratios = [b["wall"] / a["wall"] for a, b in zip(found["navicert"], found["agt"], strict=True)]
    bench.figure(f"{key}.ratio", f"{title}: AGT / navicert", spread(ratios), "×")


class WorkerFailed(Exception):
    """A side did not answer."""


class Worker:
    """One side."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self.about = self._answer()

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def enough(self, seconds: float) -> int:
        """Return how many operations take about so many seconds; finding out is the warm-up."""
        times = 1
        while True:
            took = float(self.ask(do="run", times=times)["wall"]) * times
            if took >= seconds / 2:
                return max(1, round(times * seconds / took))
            times = max(times + 1, min(times * 10, round(times * seconds / took)))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._errors.read_text(errors="replace").strip().splitlines()[-1:] or ["no word"]
            raise WorkerFailed(last[0])
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def worker(python: str, script: str, made: Path) -> Iterator[Worker]:
    errors = made / f"{script}.stderr"
    settings = environment()
    if script == "worker_agt.py":
        settings.pop("PYTHONPATH")
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [python, str(BENCH / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=settings,
            cwd=BENCH,
        )
    try:
        yield Worker(process, errors)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
