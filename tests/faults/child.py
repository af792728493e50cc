"""A process that works with the real SDK and kills itself at a chosen point of its last action. Run by test_kill.py.

Arguments: home, effects file, kill point, driver, number of actions before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def before(holder, name):
    getattr(holder, name)  # a trap that nothing steps into would prove nothing
    setattr(holder, name, die)


def after(holder, name):
    real = getattr(holder, name)

    def then_die(*args, **kwargs):
        real(*args, **kwargs)
        die()

    setattr(holder, name, then_die)


def after_machine(holder, name):
    real = getattr(holder, name)

    def then_die(*args, **kwargs):
        yield from real(*args, **kwargs)
        die()

    setattr(holder, name, then_die)


def arm(point: str, bench) -> None:
    """Set the trap; everything that runs from here on belongs to the last action."""
    from navicert.adapters.store.ticket import SqliteTicket
    from navicert.engine import deciding
    from navicert.engine.engine import Engine

    match point:
        case "before_decide":
            before(deciding, "stage")
        case "enqueued":
            after(type(bench.store), "enqueue")
        case "in_transaction":
            after(bench.store, "_write_rows")
        case "committed":
            before(SqliteTicket, "settle")
        case "durable":
            before(deciding, "_answer")
        case "permitted":
            before(Engine, "_redeem")
        case "redeemed":
            after_machine(Engine, "_redeem")
        case "effect":
            before(Engine, "_completing")
        case "outcome_enqueued":
            after(sys.modules["navicert.engine.completing"], "stage_completion")
        case "completed":
            pass


def main() -> None:
    home, effects, point, driver, earlier = sys.argv[1:]
    from navicert.sdk.session import CURRENT
    from navicert.testing import open_bench

    bench = open_bench(Path(home))

    def append(text: str) -> str:
        with Path(effects).open("a") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        return "sent"

    @bench.tool("mail.send", effect="send", content="text", returns="INTERNAL")
    def send(text: str) -> str:
        return append(text)

    @bench.tool("mail.send", effect="send", content="text", returns="INTERNAL")
    async def send_async(text: str) -> str:
        return append(text)

    def call(text: str) -> None:
        asyncio.run(send_async(text)) if driver == "async" else send(text)

    session = bench.session(request="write", human="ana", agent="bot")
    CURRENT.set(session)
    for number in range(int(earlier)):
        call(f"earlier {number}")
    bench.store.flush()
    sys.stdout.write(f"{session.id}\n")
    sys.stdout.flush()
    arm(point, bench)
    call("target")
    die()


if __name__ == "__main__":
    main()
