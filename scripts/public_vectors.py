"""Run public vectors of others against parts of navicert, and hold what came of it to what is committed.

    scripts/public_vectors.py            run them; write docs/reference/public-vectors.json, and its page's tables
    scripts/public_vectors.py --check    run them; write nothing, and fail where the results are others than committed

Needs `scripts/vectors` to have run; from then on no network, and none is let through. How each corpus is played against
navicert stands in tests/vectors; what a result means in docs/reference/public-vectors.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
corpora, judged = (import_module(f"vectors.{name}") for name in ("corpora", "judged"))  # they lie with the tests

RESULTS: Final = ROOT / "docs" / "reference" / "public-vectors.json"
PAGE: Final = ROOT / "docs" / "reference" / "public-vectors.md"
_MARKS: Final = re.compile(
    r"(<!-- public vectors: (?P<name>[a-z]+) -->\n).*?(<!-- end of public vectors: (?P=name) -->)", re.DOTALL
)


def main() -> int:
    """Run, print the table, and write or compare."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="write nothing, and fail where anything differs")
    arguments.add_argument("--place", type=Path, default=judged.PLACE, help="where the packages are installed")
    wanted = arguments.parse_args()
    sys.addaudithook(_no_network)
    try:
        results = corpora.run(wanted.place)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    page = rendered(PAGE.read_text(encoding="utf-8"), results)
    print(table(results))
    if not wanted.check:
        RESULTS.write_text(text, encoding="utf-8")
        PAGE.write_text(page, encoding="utf-8")
        return 0
    changed = [
        str(path.relative_to(ROOT))
        for path, now in ((RESULTS, text), (PAGE, page))
        if not path.exists() or path.read_text(encoding="utf-8") != now
    ]
    if changed:
        sys.stderr.write(f"{', '.join(changed)}: not what came of the vectors; run scripts/public_vectors.py\n")
    return 1 if changed else 0


def table(results: dict[str, Any]) -> str:
    """Return the counts of every corpus, as a table in Markdown."""
    rows = [("corpus", "vectors", *judged.STATES)]
    for name, corpus in results["corpora"].items():
        rows.append((name, str(len(corpus["vectors"])), *(str(corpus["counts"][state]) for state in judged.STATES)))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|---|{'---:|' * (len(judged.STATES) + 1)}", *lines[1:]])


def failed(results: dict[str, Any]) -> str:
    """Return every vector that fails, and what that means."""
    lines = ["| vector | expected | navicert | what it means |", "|---|---|---|---|"]
    for name, corpus in results["corpora"].items():
        lines += [
            f"| `{name}` `{item['vector']}` | {item['expected']} | {item['said']} | {item['why']} |"
            for item in corpus["vectors"]
            if item["result"] == "fail"
        ]
    return "\n".join(lines)


def unmeasured(results: dict[str, Any]) -> str:
    """Return what was not measured, by the reason."""
    lines = ["| corpus | reason | vectors |", "|---|---|---|"]
    for name, corpus in results["corpora"].items():
        why: dict[str, list[str]] = {}
        for item in corpus["vectors"]:
            if item["result"] == "unmeasurable":
                why.setdefault(item["why"], []).append(f"`{item['vector']}`")
        lines += [f"| {name} | {reason} | {', '.join(vectors)} |" for reason, vectors in why.items()]
    return "\n".join(lines)


def rendered(page: str, results: dict[str, Any]) -> str:
    """Return the page with its tables as the results are."""
    tables = {"counts": table, "fails": failed, "unmeasurable": unmeasured}
    return _MARKS.sub(lambda found: f"{found[1]}{tables[found['name']](results)}\n{found[3]}", page)


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        raise PermissionError(f"the vectors run offline: {arguments[1]!r}")


if __name__ == "__main__":
    raise SystemExit(main())
