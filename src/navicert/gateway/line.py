"""The gateway's connections: HTTP/1.1, and the head of a request comes in time, or its connection ends (R1).

* Otherwise whoever sends a head byte by byte would hold one of the connections for ever. Of bodies and answers others
  keep the time (`exchange`, `Upstream`), and of silence between two requests the server does.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

from navicert.gateway.upstream import CONNECTIONS
from navicert.model.errors import PolicyError

try:
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError:
    raise PolicyError("MCP over HTTP needs aiohttp and uvicorn; install `navicert[gateway]`") from None

HEAD_S: Final = 10.0
_IDLE_S: Final = 60
_STOP_S: Final = 5


class _Line(H11Protocol):
    """A connection."""

    _ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and give the first head its time."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came; give a head that is not whole its time."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on, with what came meanwhile."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._ending is None:
            self._ending = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None


class Listener(uvicorn.Server):
    """Serves an application; `serve(sockets)` goes on until `should_exit`."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(
            app, http=_Line, lifespan="off", access_log=False, log_level="error", ws="none", server_header=False,
            proxy_headers=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_STOP_S,
        )  # fmt: skip
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever serves, and ends in order."""
        yield


def bind(listen: str) -> socket.socket:
    """Return a socket that listens on `host:port` of this machine; raises `PolicyError` for another's."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        local = ip_address(host).is_loopback and 0 <= int(port) < 65_536
    except ValueError:
        local = False
    if not local:
        raise PolicyError(f"`{listen}` is not an address and port of this machine; write `127.0.0.1:8080`")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, so that asyncio lets nothing linger
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(port)))
        sock.listen(CONNECTIONS)
    except OSError as error:
        sock.close()
        raise PolicyError(f"`{listen}` cannot be listened on ({error.strerror}); choose another port") from None
    return sock
