"""One of several processes on one store. Arguments: home, session id (or `own`), driver, number of calls, `go` file."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path


def main() -> None:
    home, session_id, driver, number, go = sys.argv[1:]
    from navicert.model.errors import ActionDenied
    from navicert.sdk.session import CURRENT
    from navicert.testing import open_bench

    bench = open_bench(Path(home))

    @bench.tool("mail.send", effect="send", content="text", returns="INTERNAL")
    def send(text: str) -> str:
        return text

    @bench.tool("mail.send", effect="send", content="text", returns="INTERNAL")
    async def send_async(text: str) -> str:
        return text

    session = bench.session(request="write", human="ana", agent="bot")
    if session_id != "own":
        session.id = session_id
    CURRENT.set(session)
    texts = [f"{bench.engine._works.settings.issuer} {index}" for index in range(int(number))]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not Path(go).exists():
        time.sleep(0.001)
    answers: list[str] = []
    longest = 0.0
    start = time.monotonic()

    async def one(text: str) -> None:
        try:
            await send_async(text)
            answers.append("ALLOW")
        except ActionDenied as denied:
            answers.append(str(denied))

    async def some() -> None:
        for begin in range(0, len(texts), 10):
            await asyncio.gather(*(one(text) for text in texts[begin : begin + 10]))

    if driver == "async":
        asyncio.run(some())
    else:
        for text in texts:
            at = time.monotonic()
            try:
                send(text)
                answers.append("ALLOW")
            except ActionDenied as denied:
                answers.append(str(denied))
            longest = max(longest, time.monotonic() - at)
    took = time.monotonic() - start
    bench.close()
    sys.stdout.write(json.dumps({"answers": answers, "longest": longest, "took": took}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
