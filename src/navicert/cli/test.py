"""`navicert test [FILE…]`: tests of a policy (exit codes: 1 survivors, 3 a file does not load, 4 a test failed)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, cut, emit, wrap
from navicert.core.inert import brief, inert
from navicert.model.decision import Verdict

if TYPE_CHECKING:
    from navicert.model.value import Value
    from navicert.rehearsal import Failure, Rehearsal, Remark

FAILED: Final = 4
PATTERN: Final = "*.test.yaml"


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--mutate", is_flag=True, help="Change the policy, one thing at a time, and report what no test notices.")
@click.option("--require-coverage", is_flag=True, help="Fail (code 4) where no test reaches a rule.")
@click.option("--explain", is_flag=True, help="Show how each decision came about that was not as expected.")
@common
def verb(
    files: tuple[Path, ...], mutate: bool, require_coverage: bool, explain: bool, home: str | None, as_json: bool
) -> int:
    """Play the tests of a policy: FILEs, or every *.test.yaml in a folder (default: where the home's policy is).

    Nothing runs and nothing is written. How to write them: docs/how-to/test-a-policy.md.
    """
    from navicert.rehearsal import rehearse_all

    screen = Terminal(sys.stderr)
    tell = _Progress(screen) if sys.stderr.isatty() and not as_json else None
    found = rehearse_all(_paths(files, home), tell, mutated=mutate)
    if tell is not None:
        tell.wipe()
    failed = any(each.failures or (require_coverage and each.untested) for each in found)
    survived = any(each.mutation is not None and (each.mutation.left or each.mutation.stale) for each in found)
    code = FAILED if failed else FINDINGS if survived else FINE
    if as_json:
        emit(_document(found))
        return code
    out = Terminal()
    for each in found:
        if each is not found[0]:
            out.say()
        _show(out, each, required=require_coverage, explain=explain)
    return code


def _paths(files: tuple[Path, ...], home: str | None) -> list[Path]:
    if not files:
        place, config = home_of(home)
        files = ((place.folder / config.policy).parent,)
    found: list[Path] = []
    for path in files:
        inside = sorted(path.rglob(PATTERN)) if path.is_dir() else [path]
        if not inside:
            raise Misused(f"{path}: no `{PATTERN}` in this folder; write one, or name a test file")
        found += [Path(shown_path(each)) for each in inside]
    return list(dict.fromkeys(found))


class _Progress:
    """One line on standard error that is written over."""

    def __init__(self, screen: Terminal) -> None:
        self._screen = screen

    def __call__(self, what: str, done: int, of: int) -> None:
        self._write(f"{what} {done + 1 if done < of else of} of {of}")

    def wipe(self) -> None:
        """Leave nothing of it."""
        self._write("")

    def _write(self, text: str) -> None:
        self._screen.stream.write(f"\r\x1b[K{self._screen.style(text, 'dim')}")
        self._screen.stream.flush()


def _show(out: Terminal, found: Rehearsal, *, required: bool, explain: bool) -> None:
    for failure in found.failures:
        _show_failure(out, failure)
        if explain:
            _show_tree(out, failure)
    counts = f"{_count(len(found.cases), 'case')}, {_count(sum(case.actions for case in found.cases), 'action')}"
    if found.failures:
        out.say(f"{out.mark('error')} {counts}: {_count(len(found.failures), 'case')} not as expected")
    else:
        out.say(f"{out.mark('ok')} {counts}, all as expected")
    _show_coverage(out, found, required=required)
    for remark in found.remarks:
        _show_remark(out, remark)
    if found.mutation is not None:
        _show_mutation(out, found)


def _show_failure(out: Terminal, failure: Failure) -> None:
    name = f"{failure.place}  {out.style(failure.tool, 'bold')}".rstrip()
    out.say(f"{out.mark('error')} {name}")
    given = [f"{key}: {value if isinstance(value, str) else _json(value)}" for key, value in failure.parameters.items()]
    _field(out, "case", inert(failure.case))
    _field(out, "with", "   ".join(brief(item, 96) for item in given))
    _field(out, "expected", inert(failure.expected), "bold")
    _field(out, "came", inert(failure.came), "bold")
    _field(out, "because", brief(failure.reason, 240))
    out.say()


def _show_tree(out: Terminal, failure: Failure) -> None:
    from navicert.cli.tree import lines
    from navicert.rehearsal.suppose import explained

    came = explained(failure)
    if came is None:
        return
    explanation, suite = came
    for line in (*lines(out, explanation, suite.spans, shown_path(suite.policy_path)), ""):
        out.say(line)


def _field(out: Terminal, head: str, text: str, *styles: str) -> None:
    word = text.partition(" ")[0]
    mark = f"{out.mark(word)} " if word in Verdict.__members__ else ""
    for index, line in enumerate(wrap(text, out.width - 16)):
        lead = f"    {head if index == 0 else '':<10}"
        out.say(out.style(lead, "dim") + (mark if index == 0 else "  " if mark else "") + out.style(line, *styles))


def _show_coverage(out: Terminal, found: Rehearsal, *, required: bool) -> None:
    reached = [f"{inert(item.rule)}\u00a0{item.reached}" for item in found.coverage if item.reached]
    whole = f"{len(reached)} of {_count(len(found.coverage), 'rule')} of {found.policy} reached"
    out.say(f"  {whole}{':' if reached else ''}")
    for line in wrap("   ".join(reached), out.width - 4):
        out.say(out.style("    " + line.replace("\u00a0", " "), "dim"))
    for item in found.untested:
        mark = out.mark("error" if required else "note")
        out.say(f"{mark} {found.policy}:{item.line}:{item.column}  no test reaches the rule {_name(out, item.rule)}")


def _show_remark(out: Terminal, remark: Remark) -> None:
    out.say(f"{out.mark('warning')} {remark.file}:{remark.line}:{remark.column}  {inert(remark.text)}")


def _show_mutation(out: Terminal, found: Rehearsal) -> None:
    mutation = found.mutation
    assert mutation is not None  # noqa: S101 - INVARIANT: asked before
    places = [f"{found.policy}:{item.line}:{item.column}" for item in mutation.survivors]
    width = max(map(len, places), default=0)
    for place, item in zip(places, mutation.survivors, strict=True):
        sign, rest = ("note", out.style("  (accepted)", "dim")) if item.accepted else ("warning", "")
        out.say(f"{out.mark(sign)} {place:<{width}}  {inert(item.text)}{rest}")
    for remark in mutation.stale:
        _show_remark(out, remark)
    noticed = mutation.tried - len(mutation.survivors)
    score = f"{noticed / mutation.tried:.0%}" if mutation.tried else "nothing to change"
    accepted = len(mutation.survivors) - len(mutation.left)
    more = f", {accepted} accepted" if accepted else ""
    sign, rest = ("warning", "; add a case for each that matters") if mutation.left else ("ok", "")
    out.say(
        f"{out.mark(sign)} {noticed} of {_count(mutation.tried, 'change')} to the policy noticed ({score}){more}{rest}"
    )


def _name(out: Terminal, rule: str) -> str:
    return out.style(f"`{cut(rule, 60)}`", "bold")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _document(found: list[Rehearsal]) -> dict[str, Any]:
    policies = [
        {
            "policy": each.policy,
            "files": list(each.files),
            "failures": [_plain(item) for item in each.failures],
            "rules": [_plain(item) for item in each.coverage],
            "warnings": [_plain(item) for item in each.remarks],
            "mutation": each.mutation and {
                "tried": each.mutation.tried, "survivors": [_plain(item) for item in each.mutation.survivors],
                "stale": [_plain(item) for item in each.mutation.stale],
            },
        }
        for each in found
    ]  # fmt: skip
    cases = [case for each in found for case in each.cases]
    return {
        "format": "navicert/test/1",
        "cases": len(cases),
        "actions": sum(case.actions for case in cases),
        "failed": sum(case.failure is not None for case in cases),
        "policies": policies,
    }


def _plain(value: Value) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
