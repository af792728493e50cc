"""`navicert doctor`: is this deployment sound, and what does it not protect? Exits 1 where a finding is an error."""

from __future__ import annotations

from typing import Any

import click

from navicert.cli.faults import FINDINGS, FINE
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit, wrap


@click.command()
@common
def verb(home: str | None, as_json: bool) -> int:
    """Check files, keys, policy, trust, log, separation and platform. Changes nothing.

    Every finding has a stable code, says what and where, and what to do. Errors make the exit code 1; warnings say what
    this deployment does not protect against.
    """
    from navicert.cli.checks import run_checks

    place, config = home_of(home)
    findings = run_checks(place, config)
    errors = sum(item.level == "error" for item in findings)
    warnings = sum(item.level == "warning" for item in findings)
    if as_json:
        document: dict[str, Any] = {
            "format": "navicert/doctor/1",
            "home": str(place.folder),
            "errors": errors,
            "warnings": warnings,
            "findings": [item._asdict() for item in findings],
        }
        emit(document)
        return FINDINGS if errors else FINE
    out = Terminal()
    out.title(
        f"navicert doctor   {shown_path(place.folder)}", _count(errors, "error") + ", " + _count(warnings, "warning")
    )
    for item in findings:
        lines = wrap(item.what, out.width - 26)
        out.say(f"  {out.mark(item.level, item.level, 9)}  {item.code:<12} {lines[0]}")
        for line in lines[1:]:
            out.say(" " * 26 + line)
        if item.level in {"error", "warning"}:
            for line in wrap(f"→ {item.do}", out.width - 26):
                out.say(out.style(" " * 26 + line, "dim"))
    return FINDINGS if errors else FINE


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
