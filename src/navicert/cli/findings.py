"""What one check of `navicert doctor` found."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """What one check found. level: ok, note, warning or error."""

    code: str
    level: str
    what: str
    where: str = ""
    do: str = ""
