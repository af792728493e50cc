"""`python -m navicert.conformance.broken TWIN ARGS…`: our command line with a sabotage in it (`twins`)."""

from __future__ import annotations

import sys
from runpy import run_module

from navicert.conformance.twins import TWINS


def sabotage(name: str) -> None:
    """Put a sabotage into this process, for good."""
    TWINS[name]()


if __name__ == "__main__":
    sabotage(sys.argv.pop(1))
    run_module("navicert", run_name="__main__", alter_sys=True)
