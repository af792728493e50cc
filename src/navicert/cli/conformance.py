"""`navicert conformance`: put this system, or another one, under test; and check what such a test has left behind."""

from __future__ import annotations

import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, shown_path
from navicert.cli.terminal import Terminal, cut, emit, pad, wrap
from navicert.core.inert import inert

if TYPE_CHECKING:
    from navicert.conformance.package import Results
    from navicert.conformance.trial import Outcome

SURFACES: Final = ("sdk", "mcp-stdio", "mcp-http")
MARKS: Final = {"pass": "ok", "fail": "error", "unmeasurable": "unknown"}


@click.group()
def verb() -> None:
    """Run the 21 rows and the clauses of AARM v1.0 against a running system, and leave evidence of it."""


@verb.command(name="run")
@click.option("--surface", type=click.Choice([*SURFACES, "all"]), default="all", help="Which of ours (default: all).")
@click.option("--adapter", metavar="COMMAND", help="Another product instead: the command of its adapter.")
@click.option("--level", type=click.Choice(["core", "extended"]), default="extended", help="R1 to R6, or R1 to R9.")
@click.option("--check", "only", metavar="ID", multiple=True, help="Only this check; again for more.")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Where the package goes (default: shown).")
@click.option("--key", metavar="FILE", type=click.Path(path_type=Path), help="Your key; made where there is none.")
@common
def run(
    surface: str, adapter: str | None, level: str, only: tuple[str, ...], out: Path | None, key: Path | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Run the checks with their twins, print rows and clauses × surfaces, and write the evidence package.

    Everything happens in deployments that are made for it and thrown away: no home of yours is touched. Exit code 1
    where a MUST that was asked for has not passed.
    """
    from time import time_ns

    from navicert.conformance.package import as_one_file, assessor_key, fingerprint, key_path, write_package
    from navicert.conformance.parity import run_parity
    from navicert.conformance.runner import ADAPTERS, chosen, run_all
    from navicert.conformance.trial import CHECKS
    from navicert.conformance.verifying import verify_package

    del home
    target = out or Path(f"conformance-{time_ns() // 10**9}")
    single = target.with_name(f"{target.name}.zip")
    for path in (target, single):
        if path.exists():
            raise Misused(f"{path}: it exists, and nothing is overwritten; name another folder with --out")
    wanted = chosen(level, only)
    unknown = [name for name in only if name not in CHECKS]
    if unknown or not wanted:
        raise Misused(
            f"`{unknown[0] if unknown else only[0]}` is no check of this level; `navicert conformance checks`"
        )
    adapters = ADAPTERS if surface == "all" else {surface: ADAPTERS[surface]}
    if adapter is not None:
        adapters = {"adapter": _words(adapter)}
    key = key or key_path()
    signer = assessor_key(key)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made for the run is taken away
    progress = _Progress(as_json=as_json)
    started = time_ns() // 1000
    target.mkdir(parents=True)
    try:
        surfaces, judged = run_all(target, adapters, wanted, progress.tells)
    except BaseException:
        with suppress(OSError):  # where something is in it already, that stays
            target.rmdir()
        raise
    compared = _plain(run_parity()) if surface == "all" and adapter is None and not only else None
    progress.ends()
    results = write_package(
        target, signer, level=level, surfaces=surfaces, judged=judged, checks=CHECKS, started_at=started,
        now=time_ns() // 1000, parity=compared,
    )  # fmt: skip
    as_one_file(target, single)
    verify_package(target, root=None, now=time_ns() // 1000)  # an adapter that lied about records is found here
    mark = fingerprint(signer.algorithm, results.key["public"])
    missing = [name for verdict in results.verdicts for name in verdict.missing]
    if as_json:
        emit(
            {
                "format": "navicert/conformance-run/1",
                "folder": str(target.absolute()),
                "file": str(single.absolute()),
                "fingerprint": mark,
                "seconds": (time_ns() // 1000 - started) // 1_000_000,
                "verdicts": [_plain(each) for each in results.verdicts],
                "table": [_plain(row) for row in results.table],
            }
        )
        return FINDINGS if missing else FINE
    show_table(Terminal(), results)
    say = Terminal()
    say.fields(
        [
            ("parity", _compared(compared)),
            ("took", f"{(time_ns() // 1000 - started) // 1_000_000} seconds"),
            ("package", f"{shown_path(target)}, and the same as one file: {shown_path(single)}"),
            ("report", shown_path(target / "report.html")),
            ("signed with", shown_path(key)),
            ("fingerprint", f"{mark}   (tell it by another way than the package goes)"),
            ("statement", results.statement),
        ]
    )
    return FINDINGS if missing or (compared and compared["differences"]) else FINE


@verb.command(name="verify")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--root", metavar="FINGERPRINT", help="Of whoever ran the kit, got by another way than the package.")
@common
def verify(package: Path, root: str | None, home: str | None, as_json: bool) -> int:
    """Check a package again, offline: signature, files, every result from its transcript, every record in the evidence.

    Exits with 5 at the first fault, also where it has expired.
    """
    from time import time_ns

    from navicert.conformance.verifying import STEPS, verify_package
    from navicert.model.errors import VerificationError

    del home
    if not package.exists():
        raise Misused(f"{package}: there is nothing; name the folder or the file of a package")
    out, steps = Terminal(), []

    def progress(number: int, name: str, found: str) -> None:
        steps.append({"number": number, "name": name, "found": found})
        word, _, what = name.partition(": ")
        if not as_json:
            unsure = any(part in found for part in ("not compared", "another", "without an export"))
            mark = out.mark("warning" if unsure else "ok")
            out.say(f"  {mark} {number}/{len(STEPS)}  {pad(word, 10)} {what}")
            out.text(out.style(found, "dim"), 20)

    try:
        found = verify_package(package, root=root, now=time_ns() // 1000, progress=progress)
    except VerificationError as error:
        if as_json:
            emit({"format": _VERIFY, "verified": False, "authentic": False, "code": error.code, "steps": steps})
        else:
            word, _, what = STEPS[len(steps)].partition(": ")
            out.say(f"  {out.mark('error')} {len(steps) + 1}/{len(STEPS)}  {pad(word, 10)} {what}")
        raise
    if as_json:
        emit({"format": _VERIFY, "verified": True, "authentic": found.authentic, "code": None, "steps": steps})
        return FINE
    out.say()
    show_verdicts(out, found.results)
    out.fields([("made", f"{found.results.made_at[:16].replace('T', ' ')} UTC"), ("fingerprint", found.fingerprint)])
    if found.authentic:
        out.say(f"  {out.mark('ok', 'verified')}, signed by whom you named")
    else:
        out.say(f"  {out.mark('warning', 'it holds together; whose it is, is not established')}")
        out.text("Bring the fingerprint of whoever ran the kit with --root, got by another way.", 4)
    return FINE


_VERIFY: Final = "navicert/conformance-verify/1"


@verb.command(name="parity")
@common
def parity(home: str | None, as_json: bool) -> int:
    """Put one corpus of actions through every surface, and show what is judged differently: nothing should be."""
    from navicert.conformance.parity import run_parity

    del home
    out = Terminal()
    found = run_parity(progress=lambda surface, name: None if as_json else out.say(f"  {pad(surface, 12)} {name}"))
    if as_json:
        emit({"format": "navicert/conformance-parity/1", **_plain(found)})
        return FINDINGS if found.differences else FINE
    for each in found.differences:
        out.say(f"{out.mark('error')} {each.session}, call {each.call + 1}: {each.tool} {inert(str(each.parameters))}")
        for name, judged in each.judged.items():
            what = f"{judged.outcome}, {judged.verdict} {judged.reason_code} {','.join(judged.rules)}"
            out.say(f"    {pad(name, 12)} {what} {inert(str(judged.effective))}")
    counts = ", ".join(f"{count} {word}" for word, count in sorted(found.verdicts.items()))
    out.say(f"{found.actions} actions ({counts}) through {', '.join(found.surfaces)}")
    out.say(out.mark("error" if found.differences else "ok", f"{len(found.differences)} differences"))
    return FINDINGS if found.differences else FINE


@verb.command(name="threats")
@click.option("--surface", "surfaces", type=click.Choice(SURFACES[:2]), multiple=True, help="Where (default: both).")
@click.option("--scenario", "only", metavar="ID", multiple=True, help="Only this class (T3) or scenario (T3.2).")
@common
def threats(surfaces: tuple[str, ...], only: tuple[str, ...], home: str | None, as_json: bool) -> int:
    """Play attacks of the eleven threat classes, and ordinary work, under the starter policies: effects decide.

    Exit code 1 where an attack gets through, or ordinary work does not, that is not marked as known (and then it says
    why), and where a mark is stale.
    """
    from tempfile import TemporaryDirectory

    from navicert.conformance.threat_report import document, show
    from navicert.conformance.threats import run_threats
    from navicert.conformance.world import Observers

    del home
    observers = Observers()
    with TemporaryDirectory(prefix="navicert-kit-") as room, observers.running():
        found = run_threats(Path(room), observers, surfaces or SURFACES[:2], only=only)
    if not found.results:
        raise Misused(f"`{only[0]}` is neither a class (T3) nor a scenario (T3.2) of the suite")
    told = document(found)
    if as_json:
        emit(told)
    else:
        show(Terminal(), told)
    return FINDINGS if told["unexplained"] else FINE


@verb.command(name="checks")
@common
def checks(home: str | None, as_json: bool) -> int:
    """List the checks: what each promises, which clauses it holds, and the sabotages that it must notice."""
    from navicert.conformance.runner import chosen

    del home
    found = chosen()
    if as_json:
        listed = [
            {"id": each.id, "title": each.title, "serves": list(each.serves), "twins": list(each.twins)}
            for each in found
        ]
        emit({"format": "navicert/conformance-checks/1", "checks": listed})
        return FINE
    out = Terminal()
    for each in found:
        out.say(f"{pad(each.id, 20)} {cut(each.title, out.width - 21)}")
        out.say(out.style(f"{'':20} {cut(', '.join((*each.serves, *each.twins)), out.width - 21)}", "dim"))
    return FINE


def show_table(out: Terminal, results: Results) -> None:
    """Print rows and clauses × surfaces, and why what has not passed has not; those without a check are left out."""
    from navicert.conformance.summary import NO_CHECK

    names = [hello.surface for hello in results.surfaces]
    width = out.width - 7 - 13 * len(names)
    out.title(f"{', '.join(results.registry['product'])}: {results.statement}", results.made_at[:10])
    out.say(out.style(f"{'':7}{'':{width}}{''.join(pad(name, 13) for name in names)}", "dim"))
    for row in results.table:
        if all(cell.why == NO_CHECK for cell in row.cells):
            continue
        should = " (SHOULD)" if row.level == "SHOULD" else ""
        cells = "".join(
            out.mark(MARKS[cell.result], f"{cell.caught}/{cell.twins}" if cell.twins else "–", 13) for cell in row.cells
        )
        first, *more = wrap(row.text + should, width - 2)
        out.say(f"{pad(row.id, 7)}{pad(first, width)}{cells}")
        for line in more:
            out.say(f"{'':7}{line}")
        for why in dict.fromkeys(cell.why for cell in row.cells if cell.why):
            where = [cell.surface for cell in row.cells if cell.why == why]
            out.text(out.style(f"{', '.join(where) if len(where) < len(names) else 'all'}: {inert(why)}", "dim"), 7)
    out.say(out.style(f"{'':7}n/m: of m sabotages, n were noticed; ? counts as not passed", "dim"))
    out.say()
    show_verdicts(out, results)


def show_verdicts(out: Terminal, results: Results) -> None:
    """Print how far each surface comes."""
    for verdict in results.verdicts:
        word = "error" if verdict.missing else "warning" if verdict.unasked else "ok"
        missing = f"; not: {', '.join(verdict.missing)}" if verdict.missing else ""
        missing += f"; {verdict.unasked} were not asked for in this run" if verdict.unasked else ""
        out.text(
            f"{out.mark(word, verdict.surface)}: {verdict.passed} of {verdict.asked} MUSTs of {verdict.level}{missing}"
        )


def _compared(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    count = len(found["differences"])
    return f"{found['actions']} actions through {', '.join(found['surfaces'])}: {count} judged differently"


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise Misused(f"`{command}` is no command: {error}") from None
    if not words:
        raise Misused("`--adapter` names no command")
    return words


class _Progress:
    """Says what is going on: one line that moves on a terminal, one line for each failure elsewhere."""

    def __init__(self, *, as_json: bool) -> None:
        self._out = Terminal(sys.stderr)
        self._quiet = as_json
        self._lock = Lock()
        self._done = 0

    def tells(self, surface: str, check: str, twin: str | None, outcome: Outcome) -> None:
        """A check, or one of its twins, is through."""
        with self._lock:
            self._done += 1
            text = f"{self._done} done; {surface}: {check}{f' with {twin}' if twin else ''}: {outcome.result}"
            if self._quiet:
                return
            if self._out.colour:
                self._out.stream.write(f"\r\x1b[K  {cut(text, self._out.width - 4)}")
                self._out.stream.flush()
            elif twin is None and outcome.result != "pass":
                self._out.say(f"  {cut(f'{text}: {inert(outcome.why)}', self._out.width - 4)}")

    def ends(self) -> None:
        """Everything is through."""
        if not self._quiet and self._out.colour:
            self._out.stream.write("\r\x1b[K")


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)
