"""What every verb needs: its options, the home folder, and the store as readers see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from navicert.config import FILE, Config, find_home, read_config, shown_path

if TYPE_CHECKING:
    from navicert.assemble import Home

__all__ = ["common", "home_of", "people_home", "shown_path"]

F = TypeVar("F", bound=Callable[..., Any])


def common(function: F) -> F:
    """Give a verb `--json` and `--home`, and its home folder as the argument `home` (None: not named)."""

    def named(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        del parameter
        found: str | None = value or ctx.find_root().obj
        return found

    function = click.option("--json", "as_json", is_flag=True, help="Write one JSON document (docs/reference/cli.md).")(
        function
    )
    return click.option("--home", metavar="PATH", callback=named, help="As before the verb.")(function)


def home_of(named: str | None) -> tuple[Home, Config]:
    """Return the home folder and its configuration; raises `PolicyError` where there is none."""
    from navicert.assemble import Home

    start = Path(named) if named is not None else None
    folder = start if start is not None and (start / FILE).is_file() else find_home(start)
    return Home(folder.resolve()), read_config(folder)


def people_home(named: str | None) -> Home:
    """Return the home folder, or the owner's socket where that was named: `navicert.people` takes both."""
    from navicert.assemble import Home

    if named is not None and Path(named).is_socket():
        return Home(Path(named).absolute())
    return home_of(named)[0]
