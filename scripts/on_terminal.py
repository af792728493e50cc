"""Run a command on a terminal of its own, and type lines at its prompts: `on_terminal.py LINES COMMAND…`.

LINES is a JSON list. A line is typed when the command has printed something that ends in `: ` and waits; what it prints
goes to standard output, and its exit status is ours.
"""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from typing import Final

QUIET_S: Final = 0.15
PROMPT: Final = b": "


def main(lines: list[str], command: list[str]) -> int:
    """Return the command's exit status; 1 where a line was left that nobody asked for."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)  # noqa: S606 - what the page says is what runs
    tail, left = b"", list(lines)
    heard = time.monotonic()
    while True:
        ready, _, _ = select.select([terminal], [], [], QUIET_S)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other end is closed: it has ended
                break
            if not data:
                break
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            tail, heard = (tail + data)[-200:], time.monotonic()
        elif left and tail.endswith(PROMPT) and time.monotonic() - heard >= QUIET_S:
            os.write(terminal, left.pop(0).encode() + b"\n")
            tail = b""
    _, status = os.waitpid(pid, 0)
    if left:
        print(f"\nnobody asked for {len(left)} of the lines to type", file=sys.stderr)
    return os.waitstatus_to_exitcode(status) or (1 if left else 0)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
