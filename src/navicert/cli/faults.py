"""Errors → exit codes and one line for a terminal (exit codes: docs/reference/cli.md)."""

from __future__ import annotations

from typing import Final

import click

from navicert.core.inert import inert
from navicert.model.errors import (
    IdentityError,
    IntegrityError,
    InvalidAction,
    NavicertError,
    PolicyError,
    Unavailable,
)

FINE: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
INVALID: Final = 3
CHANGED: Final = 4
UNVERIFIED: Final = 5
UNAVAILABLE: Final = 6

_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (click.UsageError, USAGE),
    (click.Abort, 130),
    (PolicyError, INVALID),
    (IntegrityError, UNVERIFIED),
    (Unavailable, UNAVAILABLE),
    (IdentityError, USAGE),
    (InvalidAction, USAGE),
    (NavicertError, UNAVAILABLE),
    (click.ClickException, USAGE),
    (OSError, UNAVAILABLE),
)


class Misused(click.UsageError):
    """The command line asks for what cannot be (exit code 2): an unknown name, a folder that is there already."""


def exit_code(error: Exception) -> int | None:
    """Return the exit code of an error, or None for a fault of navicert itself."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def sentence(error: Exception) -> str:
    """Return an error as one line, with nothing in it that a terminal obeys."""
    if isinstance(error, click.UsageError):
        text = error.format_message().rstrip(".").replace(". Did you", ", did you")
        if not isinstance(error, Misused) and error.ctx is not None:
            text = f"{text[:1].lower()}{text[1:]}; see `{error.ctx.command_path} --help`"
    elif isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {str(error.strerror).lower()}"
    else:
        text = str(error) or type(error).__name__
    return inert(text.strip())
