"""Serving: the approval page in a thread of the owner's process, on loopback, for as long as the owner lives (R4.a)."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any, Final

from navicert.assemble import Home
from navicert.console.links import Links
from navicert.model.errors import PolicyError
from navicert.people import Control
from navicert.service.sockets import listen_tcp, shown_address

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from navicert.console.app import App
    from navicert.console.exchange import raw
except ImportError:
    raise PolicyError(
        'the approval page needs Jinja2 and uvicorn; install them with `pip install "navicert[console]"`'
    ) from None

CONNECTIONS: Final = 64
_WHOLE_S: Final = 30.0
_STOP_S: Final = 2


class Pages:
    """The page of one owner. It listens once it is made; `start` answers, `close` ends. Raises `PolicyError`."""

    def __init__(self, engine: Control, home: Home, where: str) -> None:
        self._socket = listen_tcp(where)
        self.address = shown_address(self._socket)
        self._links = Links()
        app = App(engine, home, self._links, self.address)
        refused = raw(app.notice(400, "this is no HTTP request"))

        class Protocol(H11Protocol):
            """One connection, for one request, and for so long only."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if len(self.connections) > CONNECTIONS:
                    transport.abort()
                self._end = self.loop.call_later(_WHOLE_S, transport.abort)

            def connection_lost(self, exc: Exception | None) -> None:
                self._end.cancel()
                super().connection_lost(exc)

            def send_400_response(self, msg: str) -> None:
                del msg
                under_way: object = self.cycle
                if under_way is None:
                    self.transport.write(refused)
                self.transport.close()

        settings: dict[str, Any] = {
            "http": Protocol, "ws": "none", "lifespan": "off", "log_config": None, "log_level": "critical",
            "access_log": False, "server_header": False, "timeout_graceful_shutdown": _STOP_S,
            "proxy_headers": False, "h11_max_incomplete_event_size": 16_384,
        }  # fmt: skip
        self._server = uvicorn.Server(uvicorn.Config(app, **settings))
        self._thread = Thread(target=self._run, name="navicert-page", daemon=True)

    def start(self) -> None:
        """Begin to answer; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End: links and sessions are gone."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * _STOP_S + 1)
        self._socket.close()

    def link(self, handle: str | None, asked_by: str) -> str:
        """Return a one-time address, of the page of one wait or (None) of the inbox. asked_by: who gets it."""
        return f"http://{self.address.removesuffix(':80')}/link/{self._links.make(handle, asked_by)}"

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
