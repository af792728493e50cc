"""`navicert lint [FILE]`: what a policy says and hardly means (exit codes: 1 findings, 3 it does not load)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, cut, emit, wrap
from navicert.core.inert import columns, inert

if TYPE_CHECKING:
    from navicert.lint import Finding

SEVERITIES: Final = ("error", "warning", "note")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@common
def verb(file: Path | None, home: str | None, as_json: bool) -> int:
    """Look for what a policy file (default: the home's) says and hardly means. Changes nothing.

    Every code has a section in docs/reference/lint.md. Errors and warnings make the exit code 1; notes do not.
    """
    from navicert.gateway.servers import accepted_tools
    from navicert.lint import lint
    from navicert.syntax import read_policy

    path, text = policy_text(file, home)
    found = lint(*read_policy(text, shown_path(path)), accepted_tools(path.parent))
    counts = {severity: sum(item.severity == severity for item in found) for severity in SEVERITIES}
    code = FINDINGS if counts["error"] or counts["warning"] else FINE
    if as_json:
        document: dict[str, Any] = {"format": "navicert/lint/1", "file": str(path.resolve())}
        document |= {f"{severity}s": number for severity, number in counts.items()}
        fields = ("code", "severity", "line", "column", "rule", "what", "why", "write")
        emit(document | {"findings": [{name: getattr(item, name) for name in fields} for item in found]})
        return code
    out = Terminal()
    lines = text.removeprefix("\ufeff").splitlines()
    for item in found:
        _show(out, shown_path(path), item, lines[item.line - 1])
    total = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for word, number in counts.items() if number)
    out.say(f"{out.mark('ok')} {shown_path(path)}: nothing found" if not found else total)
    return code


def policy_text(file: Path | None, home: str | None) -> tuple[Path, str]:
    """Return a policy file (None: the home's) and its text; raises `PolicyError` where it cannot be read."""
    from navicert.model.errors import PolicyError

    if file is None:
        place, config = home_of(home)
        file = place.folder / config.policy
    if file.name.endswith(".test.yaml"):
        raise Misused(f"`{inert(str(file))}` is a file of tests, and no policy; play it with `navicert test`")
    try:
        return file, file.read_bytes().decode()  # as it stands: the reader judges its line ends
    except OSError as error:
        why = str(error.strerror).lower()
    except UnicodeDecodeError:
        why = "it is not UTF-8"
    raise PolicyError(f"{file}: the policy cannot be read: {why}; name a policy file")


def _show(out: Terminal, name: str, item: Finding, line: str) -> None:
    rule = f"   rule `{item.rule}`" if item.rule is not None else ""
    head = f"{out.mark(item.severity, item.severity)}  {out.style(item.code, 'bold')}  {name}:{item.line}:{item.column}"
    out.say(head + out.style(cut(rule, 40), "dim"))
    number, room = f"{item.line:>5} ", out.width - 8
    start = max(0, min(item.column - 21, len(line) - room + 1))
    part, before = line[start:], line[start : item.column - 1]
    lead = len(part) - len(part.lstrip(" "))  # not counted out, as runs of spaces elsewhere are
    shown = ("…" if start else "") + " " * lead + cut(part[lead:], room - lead - bool(start))
    caret = " " * (bool(start) + min(lead, len(before)) + columns(inert(before[lead:])))
    out.say(out.style(f"{number}│ ", "dim") + shown)
    out.say(out.style(" " * len(number) + "│ ", "dim") + caret + out.style("^", "bold"))
    for text in (*wrap(inert(item.what), out.width - 8), *wrap(item.why, out.width - 8)):
        out.say(" " * 8 + text)
    for index, text in enumerate(wrap(inert(item.write), out.width - 15)):
        out.say(out.style(" " * 8 + ("write: " if index == 0 else " " * 7) + text, "dim"))
    out.say()
