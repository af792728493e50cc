"""`navicert fmt [FILE…]`: policy files in the one layout (exit codes: 1 files would change, 3 one does not load).

All files are laid out before the first is written: one that does not load leaves all of them as they are. A file is
replaced whole or not at all, where it really is, with its mode and owner, and only if it is still as it was read.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from difflib import unified_diff
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, shown_path
from navicert.cli.lint import policy_text
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import inert

STREAM = Path("-")


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[FILE]...")
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@common
def verb(files: tuple[Path, ...], check: bool, diff: bool, home: str | None, as_json: bool) -> int:
    """Lay policy files out (default: the home's): indentation, spaces, blank lines. Comments and quotes stay.

    What a file says, and so its hash, stays the same, or it is not written. `-` reads standard input and writes
    standard output. With --check or --diff the exit code is 1 where a file would change.
    """
    from navicert.syntax.layout import format_policy

    out, looks = Terminal(), check or diff
    made: list[tuple[Path, str, str]] = []
    for file in dict.fromkeys(files) or (None,):
        if file is not None and file.name.endswith((".test.yaml", ".tests.yaml")):
            raise Misused(f"`{inert(str(file))}` is a file of tests, and no policy; name policy files only")
        path, text = (STREAM, _stdin()) if file == STREAM else policy_text(file, home)
        made.append((path, text, format_policy(text, _name(path))))
    changed = [(path, old, new) for path, old, new in made if old != new]
    for path, old, new in [] if looks else changed:
        if path != STREAM:
            _replace(path, old.encode(), new.encode())
    if as_json:
        listed = [{"file": _full(path), "changed": old != new, "text": new} for path, old, new in made]
        emit({"format": "navicert/fmt/1", "written": not looks, "files": listed})
    elif STREAM in (path for path, *_ in made) and not looks:
        click.echo("".join(new for path, _, new in made if path == STREAM), nl=False)
    else:
        for path, old, new in changed if diff else []:
            name = inert(_name(path))
            click.echo("\n".join(unified_diff(old.split("\n"), new.split("\n"), name, name, lineterm="")))
        for path, *_ in changed if check or not diff else []:
            out.say(f"{'would change' if looks else 'laid out'}: {inert(_name(path))}")
    return FINDINGS if looks and changed else FINE


def _name(path: Path) -> str:
    return "standard input" if path == STREAM else shown_path(path)


def _full(path: Path) -> str:
    return "-" if path == STREAM else str(path.resolve())


def _stdin() -> str:
    from navicert.model.errors import PolicyError

    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise PolicyError("standard input: the policy cannot be read: it is not UTF-8; name a policy file") from None


def _replace(path: Path, old: bytes, new: bytes) -> None:
    """Replace a file whole; raises `OSError` or `Misused`, and leaves it as it is then."""
    target = path.resolve(strict=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".fmt-", delete=False) as file, ExitStack() as undo:
        undo.callback(Path(file.name).unlink)
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
        with target.open("r+b") as there:  # what may not be written, or has gone, is not replaced either
            if there.read() != old:
                raise Misused(f"`{inert(_name(path))}` has changed meanwhile; do it again")
            found = os.fstat(there.fileno())
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
        os.fchmod(file.fileno(), found.st_mode & 0o7777)
        os.replace(file.name, target)  # noqa: PTH105 - the call that the tests let fail
        undo.pop_all()
