"""The machine that a run was made on: what it is, and how fast its parts are, so that figures can be compared."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from harness import ROOT, SHM, folder

BUSY = 0.25
"""Load per core at the start beyond which a run is marked as made on a busy machine."""
OTHERS = 0.1
"""Share of the CPU time that others, or the host, may take while a run lasts."""


def describe(*, quick: bool) -> dict[str, Any]:
    """Return the machine, calibrated; takes about a second, a tenth of that when quick."""
    load = os.getloadavg()
    cores = len(os.sched_getaffinity(0))
    times = 20 if quick else 300
    key, message = Ed25519PrivateKey.generate(), b"x" * 1_800
    signature, public = key.sign(message), key.public_key()
    with folder("disk") as made:
        disk = {"filesystem": _filesystem(made), "fsync_us": _fsync(made, times)}
    memory = {}
    if SHM.is_dir():
        with folder("shm") as made:
            memory = {"filesystem": _filesystem(made), "fsync_us": _fsync(made, times)}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()} ({platform.python_compiler()})",
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in ("cryptography", "msgspec", "google-re2", "rfc8785")},
        "commit": _commit(),
        "disk": disk,
        "shm": memory,
        "ed25519_sign_us": _median(lambda: key.sign(message), times),
        "ed25519_verify_us": _median(lambda: public.verify(signature, message), times),
        "python_loop_ms": _median(_loop, 3 if quick else 15) / 1e3,
        "load_at_start": [round(value, 2) for value in load],
        "others_share": 0.0,
        "busy": f"load {load[0]:.2f} at the start" if load[0] > BUSY * cores else "",
    }


class Watch:
    """Watches over a run: how much of the machine's CPU time went to others, the host included (steal)."""

    def __init__(self) -> None:
        self._all, self._used, self._own = self._now()

    def finish(self, described: dict[str, Any]) -> None:
        """Put into the description what was found; a machine that turned out busy is marked so."""
        every, used, own = self._now()
        others = max(0.0, (used - self._used) - (own - self._own)) / max(1e-9, every - self._all)
        described["others_share"] = round(others, 3)
        described["load_at_end"] = [round(value, 2) for value in os.getloadavg()]
        if others > OTHERS and not described["busy"]:
            described["busy"] = f"others took {others:.0%} of the CPU time meanwhile"

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Return seconds of CPU time: all that there was, what was used by anybody, what was used by this run."""
        line = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")[0]
        user, nice, system, idle, wait, *rest = (int(value) for value in line.split()[1:9])  # irq, softirq, steal
        ticks = os.sysconf("SC_CLK_TCK")
        used = user + nice + system + sum(rest)
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return (used + idle + wait) / ticks, used / ticks, own


def rows(machine: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the machine as rows of a table."""
    disk, shm = machine["disk"], machine["shm"]
    found = [
        ("date", machine["date"]),
        ("navicert", machine["commit"]),
        ("CPU", f"{machine['cpu']}, {machine['cores']} cores"),
        ("memory", f"{machine['memory_gib']} GiB"),
        ("kernel", machine["kernel"]),
        ("Python", f"{machine['python']}, SQLite {machine['sqlite']}"),
        ("packages", ", ".join(f"{name} {number}" for name, number in machine["packages"].items())),
        ("disk", f"{disk['filesystem']}, fsync of 4 KiB {disk['fsync_us']:,.0f} µs (median)"),
        ("/dev/shm", f"{shm['filesystem']}, fsync {shm['fsync_us']:,.1f} µs" if shm else "not there"),
        ("Ed25519", f"sign {machine['ed25519_sign_us']:.0f} µs, verify {machine['ed25519_verify_us']:.0f} µs (1.8 KB)"),
        ("a loop of 1,000,000 additions", f"{machine['python_loop_ms']:.0f} ms"),
        ("load average", f"{machine['load_at_start']} at the start, {machine['load_at_end']} at the end"),
        ("others", f"{machine['others_share']:.0%} of the CPU time of the run (kernel threads and the host included)"),
    ]
    return [(name, str(value)) for name, value in found]


def _median(run: Callable[[], object], times: int) -> float:
    found = []
    run()
    for _ in range(times):
        before = perf_counter()
        run()
        found.append((perf_counter() - before) * 1e6)
    return statistics.median(found)


def _loop() -> None:
    total = 0
    for number in range(1_000_000):
        total += number


def _fsync(made: Path, times: int) -> float:
    """Return the median of an append of 4 KiB and its fsync, in microseconds."""
    page = b"x" * 4096
    with (made / "fsync").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(page)
            os.fsync(file.fileno())

        return _median(append, times)


def _filesystem(path: Path) -> str:
    """Return the type of the file system that holds a folder."""
    best, found = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        inside = str(path) == place or str(path).startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, found = place, kind
    return found


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not there"


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    if not name:
        return "no commit known"
    return f"{name}, with changes that are not committed" if git("status", "--porcelain", "--", "src") else name
