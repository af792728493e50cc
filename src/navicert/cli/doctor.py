"""`navicert doctor`: is this deployment sound, and what does it not protect? Exits 1 where a finding is an error.

With `--as-agent` it is run where the agent runs, and exits 1 for what it could not measure, too (R1.e).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit, wrap
from navicert.core.inert import inert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from navicert.doctor.findings import Finding

_ACTED_ON = ("error", "warning", "unknown")


@click.command()
@click.option("--probes", is_flag=True, help="Write what an agent is to try, as JSON: nothing in it is secret.")
@click.option("--outside", metavar="HOST:PORT", multiple=True, help="With --probes: a place the agent must not reach.")
@click.option(
    "--as-agent", metavar="PROBES", type=click.Path(path_type=Path), help="Try them, run as the agent is run."
)
@click.option("--client", "clients", metavar="FILE", type=click.Path(path_type=Path), multiple=True,
              help="With --as-agent: a client's configuration to look into.")  # fmt: skip
@common
def verb(
    probes: bool,
    outside: tuple[str, ...],
    as_agent: Path | None,
    clients: tuple[Path, ...],
    home: str | None,
    as_json: bool,
) -> int:
    """Check files, keys, policy, trust, log, separation and platform. Changes nothing.

    Every finding has a stable code, says what and where, and what to do. Errors make the exit code 1; warnings say what
    this deployment does not protect against.

    Without isolation a gateway is no boundary. With --probes an operator writes down what goes around it; with
    --as-agent, run as the agent's user and in its namespaces, all of that is tried. What could not be tried counts as
    an error.
    """
    if outside and not probes:
        raise Misused("`--outside` is for `--probes`")
    if clients and as_agent is None:
        raise Misused("`--client` is for `--as-agent`")
    if probes and as_agent is not None:
        raise Misused("an operator runs `--probes`, and the agent's user `--as-agent` with what it wrote")
    if as_agent is not None:
        return _as_agent(as_agent, clients, as_json=as_json)
    place, config = home_of(home)
    if probes:
        import msgspec

        from navicert.doctor.probes import make_probes

        emit(msgspec.to_builtins(make_probes(place, config, outside)))
        return FINE
    from navicert.doctor.home import run_checks

    return _tell(run_checks(place, config), shown_path(place.folder), "navicert/doctor/1", str(place.folder), as_json)


def _as_agent(path: Path, clients: Sequence[Path], *, as_json: bool) -> int:
    from navicert.doctor.agent import run_checks_as_agent
    from navicert.doctor.probes import read_probes

    probes = read_probes(path)
    found = run_checks_as_agent(probes, clients)
    return _tell(found, f"--as-agent {path}", "navicert/isolation/1", probes.home, as_json)


def _tell(findings: Sequence[Finding], title: str, form: str, home: str, as_json: bool) -> int:
    counts = {level: sum(item.level == level for item in findings) for level in _ACTED_ON}
    code = FINDINGS if counts["error"] or counts["unknown"] else FINE
    if as_json:
        document: dict[str, Any] = {
            "format": form,
            "home": home,
            "errors": counts["error"],
            "warnings": counts["warning"],
            "findings": [item._asdict() for item in findings],
        }
        if form == "navicert/isolation/1":
            document["unknown"] = counts["unknown"]
        emit(document)
        return code
    out = Terminal()
    shown = [_count(counts["error"], "error"), _count(counts["warning"], "warning")]
    shown += [f"{counts['unknown']} not measured"] if counts["unknown"] else []
    out.title(f"navicert doctor   {title}", ", ".join(shown))
    for item in findings:
        lines = wrap(inert(item.what), out.width - 26)
        out.say(f"  {out.mark(item.level, item.level, 9)}  {item.code:<12} {lines[0]}")
        for line in lines[1:]:
            out.say(" " * 26 + line)
        if item.level in _ACTED_ON:
            for line in wrap(f"→ {inert(item.do)}", out.width - 26):
                out.say(out.style(" " * 26 + line, "dim"))
    return code


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
