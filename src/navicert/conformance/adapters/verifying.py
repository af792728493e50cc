"""`navicert verify` for many files, each in a process of its own: `verifying.py TWIN|- FILE… -- OPTIONS…`.

It prints `verified` or `refused` for each, in their order. Our modules are loaded once, so that it takes less time.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

_NEEDED = ("verify", "bundle", "action", "show")


def main(twin: str, *words: str) -> None:
    """Verify each file."""
    at = words.index("--")
    for name in _NEEDED:
        import_module(f"navicert.cli.{name}")
    import_module("navicert.audit")
    if twin != "-":
        import_module("navicert.conformance.twins").TWINS[twin]()
    for file in words[:at]:
        sys.stdout.write("verified\n" if _verifies(file, words[at + 1 :]) else "refused\n")
        sys.stdout.flush()


def _verifies(file: str, options: tuple[str, ...]) -> bool:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.argv = ["navicert", "verify", file, *options]
    try:
        import_module("navicert.cli").main()
        os._exit(0)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(1)  # whatever else it raised: it did not verify


if __name__ == "__main__":
    main(*sys.argv[1:])
