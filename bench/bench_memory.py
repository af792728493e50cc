"""Start and memory: fresh processes, with byte code in place, as a deployment has it after its first run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import BENCH, Bench, at_most, environment, folder, spread

# A child does one thing, and says on its last line what it took. The first lines are the same for all of them.
_HEAD = """\
import gc, json, os, sys, time
begun = time.perf_counter()
def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
def say(**values):
    print(json.dumps(values))
"""
_BARE = _HEAD + "say(rss=resident())\n"
_IMPORT = _HEAD + "import navicert\nsay(ms=(time.perf_counter() - begun) * 1e3)\n"
_OPEN = _HEAD + "import navicert\nguard = navicert.open(sys.argv[1])\nsay(ms=(time.perf_counter() - begun) * 1e3)\n"
_WORK = (
    _HEAD
    + """\
sys.path.insert(0, sys.argv[3])
from pathlib import Path
import worlds, rulesets
from navicert.sdk.session import CURRENT
world = worlds.Deployment(Path(sys.argv[1]))
sessions = []
before = resident()
begun = time.perf_counter()
for index in range(int(sys.argv[2])):
    sessions.append(world.session(f"user{index}"))
    CURRENT.set(sessions[-1])
    world.send(**rulesets.arguments())
    if not index:
        first = (time.perf_counter() - begun) * 1e3
world.settle()
say(before=before, rss=resident(), first_ms=first, ran=world.ran)
"""
)
MIB = 1024 * 1024


def main() -> None:
    bench = Bench("memory", __doc__)
    bench.note(
        "Each start is a process of its own, measured from its first own statement (the interpreter's start is not in"
        " it); median of the processes. Memory is VmRSS after a full collection, over that of a bare interpreter."
    )
    times = bench.count(10, 2)
    with folder("disk") as made:
        run = Children(made)
        home, large = made / "starter", made / "hundred"
        run.child(_MAKE, str(home), "0")
        run.child(_MAKE, str(large), "100")
        for code, arguments in ((_BARE, ()), (_IMPORT, ()), (_OPEN, (str(home),)), (_OPEN, (str(large),))):
            run.child(code, *arguments)  # the warm-up: byte code is written, files are in the page cache
        bare = spread([run.child(_BARE)["rss"] for _ in range(times)]).median
        imports = [run.child(_IMPORT)["ms"] for _ in range(times)]
        bench.figure("import", "`import navicert`", spread(imports), "ms", target=at_most(40))
        starts = [run.child(_OPEN, str(home))["ms"] for _ in range(times)]
        bench.figure(
            "start",
            "start of an embedded engine, imports included, starter policy",
            spread(starts),
            "ms",
            target=at_most(200),
        )
        starts = [run.child(_OPEN, str(large))["ms"] for _ in range(times)]
        bench.figure("start_100", "the same with a policy of 100 rules", spread(starts), "ms")
        bench.figure("bare", "a bare interpreter", bare / MIB, "MiB")
        small = [run.child(_WORK, str(large), "100", str(BENCH)) for _ in range(bench.count(5, 1))]
        rss = spread([(item["rss"] - bare) / MIB for item in small])
        bench.figure("engine", "embedded engine, 100 rules, after 100 actions", rss, "MiB", target=at_most(60))
        first = spread([item["first_ms"] for item in small])
        bench.figure(
            "first_action", "first action after the start (opens a session, builds the detectors)", first, "ms"
        )
        live = bench.count(10_000, 30)
    with folder("shm" if not bench.quick else "disk") as made:
        run = Children(made)
        home = made / "sessions"
        run.child(_MAKE, str(home), "100")
        found = run.child(_WORK, str(home), str(live), str(BENCH))
        if found["ran"] != live:
            raise SystemExit(f"{found['ran']} actions ran, not {live}")
        bench.figure(
            "sessions",
            f"{live:,} live sessions of one action each, engine included",
            (found["rss"] - bare) / MIB,
            "MiB",
            target=at_most(300),
        )
        bench.figure(
            "session",
            "each of them, over the engine as it was opened",
            (found["rss"] - found["before"]) / live / 1024,
            "KiB",
        )
    bench.finish()


_MAKE = """\
import sys
from pathlib import Path
from navicert.assemble import STARTER_POLICY, make_home
sys.path.insert(0, BENCH)
import rulesets, yaml, json
count = int(sys.argv[2])
policy = yaml.safe_dump(rulesets.mixed(count), sort_keys=False) if count else STARTER_POLICY
make_home(Path(sys.argv[1]), origin="bench", service="bench", policy=policy)
print(json.dumps({}))
""".replace("BENCH", repr(str(BENCH)))


class Children:
    """Runs code in processes of its own, under this interpreter; byte code is kept in the folder."""

    def __init__(self, made: Path) -> None:
        kept = {key: value for key, value in environment().items() if key != "PYTHONDONTWRITEBYTECODE"}
        self._environment = kept | {"PYTHONPYCACHEPREFIX": str(made / "cache")}
        self._made = made

    def child(self, code: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self._made,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"a child failed:\n{done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


if __name__ == "__main__":
    main()
