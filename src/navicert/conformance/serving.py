"""An adapter written in Python: reads requests from standard input, answers on standard output (`contract`).

    serve(SdkAdapter())

Requests are answered in threads of their own, so that a call that takes its time holds up nothing else. Whatever an
adapter raises is its answer; the kit reads it as a failure of the system under test, never as a pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Final, Protocol

import msgspec

from navicert.conformance import contract
from navicert.conformance.contract import Request
from navicert.model.value import Value

_REQUEST: Final = msgspec.json.Decoder(Request, strict=True)
_THREADS: Final = 16


class Adapter(Protocol):
    """What is put under test: one method for each request, by its word."""

    def hello(self) -> contract.Hello:
        """Say what it is."""
        ...

    def answer(self, request: Request) -> Value:
        """Do what is asked for; raises where it cannot."""
        ...


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    ask: msgspec.Raw


def serve(adapter: Adapter) -> None:
    """Say hello, then answer until standard input ends."""
    lock = Lock()

    def say(document: dict[str, Any]) -> None:
        line = msgspec.json.encode(document).decode()
        with lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def course(line: bytes) -> None:
        number = 0
        try:
            envelope = msgspec.json.decode(line, type=_Envelope)
            number = envelope.id
            say({"id": number, "ok": adapter.answer(_REQUEST.decode(envelope.ask))})
        except Exception as error:  # noqa: BLE001 - what it raises is its answer
            say({"id": number, "error": f"{type(error).__name__}: {error}"})

    say({"ok": adapter.hello()})
    with ThreadPoolExecutor(_THREADS) as pool:
        submit: Callable[..., Any] = pool.submit
        for line in sys.stdin.buffer:
            submit(course, line)
