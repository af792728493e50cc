"""Another process on the same home. Arguments: folder, time, and what to do, once a line comes in:

    resume HANDLE | answer NAME HANDLE ANSWER | call TOOL SESSION JSON | stop SUBJECT STATE

With `kill POINT` before it, the process kills itself at that point of what it does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def die(*_args: Any, **_kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(holder: Any, name: str) -> None:
    setattr(holder, name, die)


def after(holder: Any, name: str) -> None:
    real = getattr(holder, name)

    def then_die(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        die()

    setattr(holder, name, then_die)


def arm(point: str, desk: Any) -> None:
    from navicert.adapters.store.ticket import SqliteTicket
    from navicert.engine import deciding, engine

    match point:
        case "enqueued":
            before(type(desk.bench.store), "enqueue")
        case "in_transaction":
            after(desk.bench.store, "_write_rows")
        case "committed":
            before(SqliteTicket, "settle")
        case "durable":
            before(deciding, "_answer")
        case "permitted":
            before(engine.Engine, "redeem")
        case "redeemed":
            after(engine.Engine, "redeem")
        case "effect":
            before(engine.Engine, "_completing")
        case "outcome_enqueued":
            after(sys.modules["navicert.engine.completing"], "stage_completion")
        case "answered":
            before(sys.modules["navicert.engine.answering"], "resuming")
        case _:
            raise ValueError(point)


def do(desk: Any, words: list[str]) -> dict[str, Any]:
    from navicert.model.authority import Authority
    from navicert.model.errors import ActionDenied, ActionSuspended, NavicertError
    from navicert.model.suspension import Answer
    from navicert.sdk.session import Session

    tools = {"mail.send": desk.send, "bank.pay": desk.pay, "note.read": desk.note, "crm.read": desk.person}
    try:
        match words:
            case ["resume", handle]:
                return {"result": desk.bench.resume(handle)}
            case ["answer", name, handle, answer]:
                left = desk.say(name, handle, Answer(answer))
                return {"waits": left is not None}
            case ["call", tool, session, given]:
                return {"result": Session(desk.engine, session).carry(tools[tool])(**json.loads(given))}
            case ["stop", subject, state]:
                desk.engine.stop(subject, Authority(state), by="op", reason="an incident")
                return {"stopped": subject}
        raise ValueError(words)
    except ActionSuspended as error:
        return {"suspended": error.handle}
    except ActionDenied as error:
        return {"denied": error.reason_code, "reason": error.reason}
    except NavicertError as error:
        return {"error": type(error).__name__, "reason": str(error)}


def main() -> None:
    folder, at, *words = sys.argv[1:]
    from attacks.desk import Desk
    from navicert.testing import FrozenClock

    desk = Desk(Path(folder), clock=FrozenClock(int(at)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if words[0] == "kill":
        arm(words[1], desk)
        words = words[2:]
    answer = do(desk, words)
    desk.bench.close()
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
