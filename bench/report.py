"""Results as people read them: a table for the terminal and the documents, and the charts (charts.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts
import machine
from harness import aim, number

GROUPS = {
    "evaluate": "One decision (`evaluate`)",
    "loop": "The whole loop, in process",
    "growth": "Log growth",
    "waits": "Waiting, and the kill switch",
    "gateway": "The MCP gateway over HTTP",
    "memory": "Start and memory",
    "verify": "Verification",
    "intent": "Provenance: indexing outputs, looking values up",
    "peer": "Beside a peer, in the same run",
}


def write(results: dict[str, Any], out: Path) -> None:
    """Write results.md and the charts beside results.json."""
    found = charts.draw(results)
    for name, text in found.items():
        (out / name).write_text(text, encoding="utf-8")
    (out / "results.md").write_text(markdown(results, list(found)), encoding="utf-8")


def markdown(results: dict[str, Any], pictures: list[str]) -> str:
    """Return the page: what was measured, on what, with what it means beside it."""
    lines = ["# Speed: figures", ""]
    if results["quick"]:
        lines += ["**A quick run: it shows that the benchmarks work. Its figures mean nothing.**", ""]
    if results["machine"]["busy"]:
        reason = results["machine"]["busy"]
        lines += [f"**The machine was busy ({reason}): these figures are not to be published.**", ""]
    lines += [
        "Made by `make bench`; method: [speed.md](../speed.md). A figure is the median of its rounds, with lowest and",
        "highest beside it. Targets are those of the design; a missed one is shown as such.",
        "",
        "## Machine",
        "",
        *_table(("", ""), machine.rows(results["machine"])),
    ]
    for part in results["parts"]:
        lines += ["", f"## {GROUPS.get(part['name'], part['name'])}", ""]
        lines += [f"{note}\n" for note in part["notes"]]
        if part.get("table"):
            lines += [*_table(part["table"][0], part["table"][1:]), ""]
        lines += [f"![{name.removesuffix('.svg')}]({name})\n" for name in pictures if name.startswith(part["name"])]
        figures = [item for item in results["figures"] if item["id"].startswith(f"{part['name']}.")]
        lines += _table(("what", "median", "lowest–highest", "rounds", "target", ""), [_row(item) for item in figures])
        lines += [f"\nNot measured: `{item['id']}`: {item['reason']}" for item in part["skipped"]]
    missing = [item for item in results["skipped"] if item["id"].split(".")[0] not in GROUPS]
    if missing:
        lines += ["", "## Not measured", "", *(f"* `{item['id']}`: {item['reason']}" for item in missing)]
    return "\n".join(lines) + "\n"


def terminal(results: dict[str, Any]) -> str:
    """Return the table for the terminal."""
    lines = []
    for name, value in machine.rows(results["machine"]):
        lines.append(f"{name:<30} {value}")
    for part in results["parts"]:
        lines += ["", GROUPS.get(part["name"], part["name"])]
        for item in results["figures"]:
            if item["id"].startswith(f"{part['name']}."):
                title, median, span, rounds, target, met = _row(item)
                lines.append(
                    f"  {title.replace('`', ''):<92} {median:>16} {span:>18} {rounds:>3}  {target:<9} {met}".rstrip()
                )
    if results["skipped"]:
        lines += ["", "Not measured"]
        lines += [f"  {item['id']}: {item['reason']}" for item in results["skipped"]]
    if results["machine"]["busy"]:
        lines += [
            "",
            f"The machine was busy ({results['machine']['busy']}); do not publish these figures.",
        ]
    if results["quick"]:
        lines += ["", "A quick run: its figures mean nothing."]
    return "\n".join(lines)


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    met = "" if item["met"] is None else "met" if item["met"] else "missed"
    title = item["title"] + (f" ({item['note']})" if item["note"] else "")
    spanned = f"{number(item['min'])}–{number(item['max'])}" if item["rounds"] > 1 else ""
    return (title, f"{number(item['median'])} {item['unit']}", spanned, str(item["rounds"]), aim(item), met)


def _table(head: tuple[str, ...], rows: list[Any]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]
