"""Runs every benchmark of this folder, and writes what was found: bench/out/results.json, results.md and the charts.

    make bench             all of them, about ten minutes; on a machine that does nothing else
    make bench-publish     copy the last run into docs/reference/speed/
    bench/run.py --quick   every benchmark with tiny counts: shows that they run

A benchmark that fails is listed with its reason, and the run ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import machine
import report
from harness import BENCH, OUT, ROOT, environment, say

PUBLISHED = ROOT / "docs" / "reference" / "speed"
ORDER = list(report.GROUPS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny counts")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: bench/out)")
    parser.add_argument("--publish", action="store_true", help="copy the last run into docs/reference/speed/")
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"only these: {', '.join(ORDER)}")
    options = parser.parse_args()
    if options.publish:
        return publish(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    scripts = sorted(BENCH.glob("bench_*.py"), key=lambda path: (_place(path), path.name))
    if options.only:
        scripts = [path for path in scripts if path.stem.removeprefix("bench_") in options.only]
    described = machine.describe(quick=options.quick)
    watch = machine.Watch()
    if described["busy"]:
        say(f"the machine is busy ({described['busy']}): the figures will be too high, and uneven")
    # A real run is one benchmark after the other; a quick one times nothing, so they may disturb each other.
    workers = len(scripts) if options.quick else 1
    with tempfile.TemporaryDirectory(prefix="navicert-bench-") as made, ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(lambda path: measured(path, Path(made), quick=options.quick), scripts))
    watch.finish(described)
    skipped = [item for part in parts for item in part["skipped"]]
    results = {
        "schema": 1,
        "quick": options.quick,
        "machine": described,
        "figures": [item for part in parts for item in part["figures"]],
        "skipped": skipped,
        "parts": [{key: value for key, value in part.items() if key != "figures"} for part in parts],
    }
    for stale in options.out.glob("*.svg"):
        stale.unlink()
    (options.out / "results.json").write_text(
        json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    report.write(results, options.out)
    print(report.terminal(results))
    return 1 if any(part["failed"] for part in parts) else 0


def measured(path: Path, made: Path, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark in a process of its own; return its part of the results."""
    name = path.stem.removeprefix("bench_")
    target = made / f"{name}.json"
    command = [sys.executable, str(path), "--json", str(target), *(["--quick"] if quick else [])]
    seen = subprocess.DEVNULL if quick else sys.stderr
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), stdout=seen, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == 0 and target.exists():
        part: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        return part | {"failed": False}
    last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    say(f"{path.name} failed:\n{done.stderr}")
    reason = f"the benchmark failed: {last[0]}"
    return {
        "name": name,
        "figures": [],
        "skipped": [{"id": f"{name}.*", "reason": reason}],
        "notes": [],
        "failed": True,
    }


def publish(out: Path) -> int:
    """Copy the last run into the documents; refuses a quick one, one on a busy machine, and an incomplete one."""
    path = out / "results.json"
    if not path.exists():
        say(f"{path}: there is no run to publish; run `make bench`")
        return 1
    results = json.loads(path.read_text(encoding="utf-8"))
    reasons = [
        (results["quick"], "it was a quick run"),
        (results["machine"]["busy"], f"the machine was busy ({results['machine']['busy']})"),
        (any(part["failed"] for part in results["parts"]), "a benchmark failed"),
        ({part["name"] for part in results["parts"]} < set(ORDER), "it was not a run of all benchmarks"),
    ]
    refused = [reason for holds, reason in reasons if holds]
    if refused:
        say(f"not published: {'; '.join(refused)}; run `make bench` on a quiet machine")
        return 1
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    for stale in PUBLISHED.glob("*.svg"):
        stale.unlink()
    for file in sorted([path, out / "results.md", *out.glob("*.svg")]):
        shutil.copyfile(file, PUBLISHED / file.name)
    print(f"copied to {PUBLISHED.relative_to(ROOT)}")
    return 0


def _place(path: Path) -> int:
    name = path.stem.removeprefix("bench_")
    return ORDER.index(name) if name in ORDER else len(ORDER)


if __name__ == "__main__":
    sys.exit(main())
