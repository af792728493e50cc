"""The MCP gateway over many calls: whether the 200,000th costs what the first did. `make test` does not run it.

Every call is judged in one session and leaves two receipts, as in bench_gateway.py. For each window of calls it prints
how long they took, the CPU that the gateway used for one, its resident memory, and the store with its write-ahead log.
At the end the last window stands beside the first, and a whole log beside as many receipts as calls were made.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from itertools import chain
from pathlib import Path
from time import perf_counter

from bench_gateway import CALL, NEW, Line, gateway, home_with, upstream
from harness import cpu_of, folder

from navicert.adapters.store.archive import Archive
from navicert.gateway.pins import Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--window", type=int, default=10_000, help="calls between two lines")
    parser.add_argument("--clients", type=int, default=4, help="so many ask at once")
    options = parser.parse_args()
    with folder("disk") as made, upstream() as server:
        home = home_with(made / "home", Server(url=f"http://127.0.0.1:{server}/mcp"))
        with gateway(home) as (port, token, process):
            line = Line(port, CALL, NEW, f"Authorization: Bearer {token}\r\n")
            asyncio.run(soak(line, process, home.store, options))
        with Archive(home.store) as archive:
            decisions, outcomes = (sum(1 for _ in archive.log(kind=kind)) for kind in ("decision", "outcome"))
    print(f"receipts: {decisions} decisions, {outcomes} outcomes")


async def soak(line: Line, process: int, store: Path, options: argparse.Namespace) -> None:
    await line.one(500)  # the warm-up
    print("   calls   p50 ms   p95 ms      /s  CPU ms  RSS MiB store MiB  WAL MiB")
    rows = []
    for end in range(options.window, options.calls + 1, options.window):
        before, start = cpu_of(process), perf_counter()
        times = options.window // options.clients
        parts = await asyncio.gather(*(line.one(times) for _ in range(options.clients)))
        seconds, found = perf_counter() - start, sorted(chain.from_iterable(parts))
        asked = len(found)
        row = (
            statistics.median(found) * 1e3,
            found[asked * 95 // 100] * 1e3,
            asked / seconds,
            (cpu_of(process) - before) / asked * 1e3,
            resident(process),
            mebibytes(store),
            mebibytes(store.with_name(store.name + "-wal")),
        )
        rows.append(row)
        shown = " ".join(f"{value:>{width}.2f}" for value, width in zip(row, (8, 8, 7, 7, 8, 9, 8), strict=True))
        print(f"{end:>8} {shown}", flush=True)
    if len(rows) > 1:
        print(
            f"last window against the first: CPU {rows[-1][3] / rows[0][3]:.2f} x, p50 {rows[-1][0] / rows[0][0]:.2f} x"
        )


def resident(process: int) -> float:
    """Return the resident memory of a process, MiB."""
    for each in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if each.startswith("VmRSS:"):
            return int(each.split()[1]) / 1024
    return 0.0


def mebibytes(path: Path) -> float:
    return path.stat().st_size / 2**20 if path.exists() else 0.0


if __name__ == "__main__":
    main()
