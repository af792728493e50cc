"""What every benchmark shares: rounds, spreads, figures with their targets, and the command line.

* A figure is the median of several rounds, with the lowest and the highest of them. Rounds follow a warm-up.
* The garbage collector stays on, as it is in use; a full collection is made before every round, outside of the clock.
* Time is `perf_counter`, CPU is `process_time`: all threads of the process, user and system.
* A target is noted, never enforced: a benchmark fails only where something did not run. What is left out says why.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
OUT = BENCH / "out"
SHM = Path("/dev/shm")
US = 1e6


class Spread(NamedTuple):
    """The median of some rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values), len(values))


class Target(NamedTuple):
    """What DESIGN.md section 11 promises: `<=` or `>=`, and the bound in the figure's unit."""

    holds: str
    bound: float

    def met(self, value: float) -> bool:
        return value <= self.bound if self.holds == "<=" else value >= self.bound


def at_most(bound: float) -> Target:
    return Target("<=", bound)


def at_least(bound: float) -> Target:
    return Target(">=", bound)


class Bench:
    """One benchmark script: its options, its figures, what it left out."""

    def __init__(self, name: str, about: str, **flags: str) -> None:
        """flags: further options that are on or off, each with its help; what was given stands in `flags`."""
        parser = argparse.ArgumentParser(description=about)
        parser.add_argument("--quick", action="store_true", help="tiny counts: shows that it runs, not how fast it is")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
        for flag, help_ in flags.items():
            parser.add_argument(f"--{flag}", action="store_true", help=help_)
        options = parser.parse_args()
        self.flags = {flag: bool(getattr(options, flag)) for flag in flags}
        self.name = name
        self.quick: bool = options.quick
        self._json: Path | None = options.json
        self._load = os.getloadavg()[0]
        self.figures: list[dict[str, Any]] = []
        self.skipped: list[dict[str, str]] = []
        self.notes: list[str] = []
        self.table: list[tuple[str, str, str]] = []

    def count(self, full: int, quick: int) -> int:
        """Return how often something is done: in a real run, or in a quick one."""
        return quick if self.quick else full

    def figure(
        self, key: str, title: str, value: Spread | float, unit: str, *, target: Target | None = None, note: str = ""
    ) -> None:
        """Record one figure under `name.key`."""
        found = value if isinstance(value, Spread) else Spread(value, value, value, 1)
        figure = {
            "id": f"{self.name}.{key}",
            "title": title,
            "unit": unit,
            "median": found.median,
            "min": found.low,
            "max": found.high,
            "rounds": found.rounds,
            "target": {"holds": target.holds, "bound": target.bound} if target else None,
            "met": target.met(found.median) if target else None,
            "note": note,
        }
        self.figures.append(figure)
        print(line(figure), flush=True)

    def skip(self, key: str, reason: str) -> None:
        """Record that figures are missing, and why. `key` may end in `*`."""
        self.skipped.append({"id": f"{self.name}.{key}", "reason": reason})
        print(f"{self.name}.{key}: not measured: {reason}", flush=True)

    def note(self, text: str) -> None:
        """Record something that a reader of the figures has to know."""
        self.notes.append(text)

    def finish(self) -> None:
        """Write the figures where the run asked for them."""
        if self._json is not None:
            part = {
                "name": self.name,
                "load_at_start": self._load,
                "figures": self.figures,
                "skipped": self.skipped,
                "notes": self.notes,
                "table": self.table,
            }
            self._json.write_text(json.dumps(part, indent=1), encoding="utf-8")


class Sample(NamedTuple):
    """One round: seconds on the clock and of CPU, per single operation."""

    wall: float
    cpu: float


def sample(run: Callable[[int], object], times: int) -> Sample:
    """Run `run(times)` once, after a full collection; return the cost of one of its operations."""
    gc.collect()
    cpu, wall = process_time(), perf_counter()
    run(times)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    return Sample(wall / times, cpu / times)


def enough(run: Callable[[int], object], seconds: float) -> int:
    """Return how many operations take about so many seconds; running them to find out is the warm-up."""
    times = 1
    while True:
        took = sample(run, times).wall * times
        if took >= seconds / 4:
            return max(1, round(times * seconds / took))
        times *= 2 if took <= 0 else min(16, max(2, int(seconds / 4 / took) + 1))


def repeat(run: Callable[[int], object], *, seconds: float, rounds: int) -> list[Sample]:
    """Warm up, then measure so many rounds of about so many seconds each."""
    times = enough(run, seconds)
    sample(run, times)
    return [sample(run, times) for _ in range(rounds)]


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts meanwhile, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def folder(kind: str) -> Iterator[Path]:
    """Give a fresh folder on the `disk` (NAVICERT_BENCH_DISK, else bench/out) or in memory (`shm`); clean up after."""
    base = SHM if kind == "shm" else Path(os.environ.get("NAVICERT_BENCH_DISK") or OUT)
    base.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="navicert-bench-", dir=base))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def places(bench: Bench, *keys: str) -> list[tuple[str, str]]:
    """Return where stores are put: (kind, how tables call it). keys: of the figures that need /dev/shm."""
    found = [("disk", "on disk")]
    if SHM.is_dir() and os.access(SHM, os.W_OK):
        found.append(("shm", "in memory (/dev/shm)"))
    else:
        for key in keys:
            bench.skip(key, "there is no /dev/shm here")
    return found


def environment() -> dict[str, str]:
    """Return the environment of a child, in which `navicert` is the one of this source tree."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}


def cpu_of(process: int) -> float:
    """Return the seconds of CPU that another process has used, all its threads, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def made_venv(folder: Path, lock: Path, *, quick: bool) -> str:
    """Make an environment from a lock where it is missing; return why it cannot be used, or nothing."""
    python, stamp = folder / "bin" / "python", folder / ".lock"
    wanted = lock.read_text(encoding="utf-8")
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return ""
    if quick:
        return f"a quick run installs nothing, and {folder.name} is not there; `make bench` makes it"
    say(f"making {folder.name} (once)")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], [*pip, "-r", str(lock)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{folder.name} could not be made: {error}"
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:]
            return f"{folder.name} could not be made: {' '.join(last)[:300]}"
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    stamp.write_text(wanted, encoding="utf-8")
    return ""


def number(value: float) -> str:
    """Return a figure as people read it: three significant digits, thousands apart."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def line(figure: dict[str, Any]) -> str:
    """Return a figure as one line of text."""
    text = f"{figure['id']:<34} {number(figure['median']):>9} {figure['unit']:<14}"
    text += f" {number(figure['min'])}–{number(figure['max'])} ({figure['rounds']})"
    if figure["target"] is not None:
        text += f"  target {aim(figure)}: {'met' if figure['met'] else 'missed'}"
    return text


def aim(figure: dict[str, Any]) -> str:
    """Return a figure's target in words."""
    target = figure["target"]
    if target is None:
        return ""
    return f"{'≤' if target['holds'] == '<=' else '≥'} {target['bound']:,g}"


def say(text: str) -> None:
    """Say something beside the figures."""
    print(text, file=sys.stderr, flush=True)
