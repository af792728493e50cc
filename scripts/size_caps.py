"""Hold the code to a size that can be read (DESIGN: layout and direction).

* A source file has at most 500 lines, a test file at most 800.
* What everything rests on (`TRUSTED`) has at most 21,000 lines in all, `model` and `core` of it at most 5,000; any
  other package at most 6,500, `adapters` 7,200, `cli` 7,400; the whole at most 52,000, without the conformance kit,
  which nothing rests on and which has 9,500 of its own (ADR 0019, 0026, 0029, 0030). Here a blank line does not
  count (ADR 0018).
* The median of the source files is printed, and remarked on above 150.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE_FILE: Final = 500
TEST_FILE: Final = 800
MODEL_AND_CORE: Final = 5_000
TRUSTED: Final = ("model", "core", "syntax", "tlog", "intent", "engine", "ports", "verification")
TRUSTED_SOURCE: Final = 21_000
PACKAGE: Final = 6_500
OWN: Final = {"adapters": 7_200, "cli": 7_400, "conformance": 9_500}
WHOLE_SOURCE: Final = 52_000
KIT: Final = "conformance"
MEDIAN: Final = 150


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Lines per Python file, by path relative to the root; files without a line are left out.

    written: the lines of the source that are not blank.
    """

    source: dict[Path, int]
    tests: dict[Path, int]
    written: dict[Path, int]


def measure(root: Path) -> Sizes:
    """Return the sizes of every Python file under `src` and `tests` of `root`."""
    return Sizes(source=_lines(root, "src"), tests=_lines(root, "tests"), written=_lines(root, "src", blank=False))


def total_of(sizes: dict[Path, int], *packages: str) -> int:
    """Return the lines of the files that lie in one of `packages`, directly under the distribution's own package."""
    return sum(lines for path, lines in sizes.items() if path.parts[2].removesuffix(".py") in packages)


def violations(sizes: Sizes) -> list[str]:
    """Return one line for every cap that is broken."""
    found = [
        f"{path}: {lines} lines, the cap is {cap}"
        for files, cap in ((sizes.source, SOURCE_FILE), (sizes.tests, TEST_FILE))
        for path, lines in files.items()
        if lines > cap
    ]
    others = sorted({path.parts[2].removesuffix(".py") for path in sizes.written} - {*TRUSTED})
    for name, lines, cap in (
        ("model and core", total_of(sizes.written, "model", "core"), MODEL_AND_CORE),
        ("what everything rests on", total_of(sizes.written, *TRUSTED), TRUSTED_SOURCE),
        *((f"`{package}`", total_of(sizes.written, package), OWN.get(package, PACKAGE)) for package in others),
        ("the whole source", sum(sizes.written.values()) - total_of(sizes.written, KIT), WHOLE_SOURCE),
    ):
        if lines > cap:
            found.append(f"{name}: {lines} lines, the cap is {cap}")
    return found


def summary(sizes: Sizes) -> str:
    """Return the figures in one line."""
    median = int(statistics.median(sizes.source.values())) if sizes.source else 0
    note = f" (note: above {MEDIAN})" if median > MEDIAN else ""
    return (
        f"   source {sum(sizes.source.values())} lines ({sum(sizes.written.values())} not blank) in"
        f" {len(sizes.source)} files, median {median}{note};"
        f" model and core {total_of(sizes.written, 'model', 'core')}, what everything rests on"
        f" {total_of(sizes.written, *TRUSTED)}; tests {sum(sizes.tests.values())}"
    )


def main(root: Path) -> int:
    """Print the figures and every violation; return the exit status."""
    sizes = measure(root)
    print(summary(sizes))
    broken = violations(sizes)
    for line in broken:
        print(line, file=sys.stderr)
    return 1 if broken else 0


def _lines(root: Path, folder: str, *, blank: bool = True) -> dict[Path, int]:
    counted = (
        (path.relative_to(root), sum(blank or bool(line.strip()) for line in path.read_text("utf-8").splitlines()))
        for path in sorted((root / folder).rglob("*.py"))
    )
    return {path: lines for path, lines in counted if lines}


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
