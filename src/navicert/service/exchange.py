"""Connections to an owner: a pool of them, and those that stay with an action until it is reported.

* An exchange has a connection to itself while it lasts. What one thread waits for holds up no other, and tasks may go
  on in any thread.
* A permit stays with the connection that brought it: one that fails takes one action with it and no more, and a
  process that dies takes all of its own.
* After a time-out or nonsense a connection is closed, never used again: what the owner says too late, it takes back.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final

from navicert.model.errors import IntegrityError, NavicertError, Unavailable
from navicert.service import wire
from navicert.service.sockets import connect_tcp, connect_unix, peer_at

_IDLE: Final = 32


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an owner listens: a Unix socket, or `address` (host:port) with a token."""

    socket: Path | None = None
    address: str | None = None
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return str(self.socket or self.address)


class _Bound:
    """A connection that stays with an action; one exchange at a time."""

    def __init__(self, line: wire.Frames) -> None:
        self.line = line
        self.lock = Lock()


class Connections:
    """All connections of one process to one owner. Thread-safe."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        self._place = place
        self._timeout_s = timeout_s
        self.in_band_s = 0.0
        self.peer = ""
        self._lock = Lock()
        self._idle: list[wire.Frames] = []
        self._bound: dict[str, _Bound] = {}
        self._closed = False

    def renew(self) -> None:
        """Begin anew in a forked child: its copies are closed, its parent's connections go on."""
        inherited = [*self._idle, *(item.line for item in self._bound.values())]
        self._lock, self._idle, self._bound = Lock(), [], {}
        for line in inherited:
            line.close()

    def probe(self) -> None:
        """Raise `Unavailable` where no owner answers."""
        self.give_back(self._open(monotonic() + self._timeout_s))

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            self._closed = True
            held = [*self._idle, *(item.line for item in self._bound.values())]
            self._idle, self._bound = [], {}
        for line in held:
            line.close()

    # exchanges

    def ask(self, request: wire.Request, kind: Any) -> Any:
        """Exchange one request for its reply; raises `Unavailable`, or the error that the owner replied."""
        value, line = self.hold(request, kind)
        self.give_back(line)
        return value

    def hold(self, request: wire.Request, kind: Any) -> tuple[Any, wire.Frames]:
        """Exchange one request for its reply, and keep the connection: it is to be bound, given back or closed."""
        end = monotonic() + self._timeout_s
        content = wire.request_bytes(request)
        line = self._take(end)
        try:
            return self._exchange(line, content, kind, end), line
        except NavicertError:
            self.give_back(line)
            raise

    def bind(self, action_id: str, line: wire.Frames) -> None:
        """Have a connection stay with an action; an earlier one of the same action is closed."""
        with self._lock:
            over = self._bound.get(action_id)
            if not self._closed:
                self._bound[action_id] = _Bound(line)
        if self._closed:
            line.close()
        elif over is not None:
            over.line.close()

    def unbind(self, action_id: str) -> None:
        """Close the connection of an action: the owner takes back what it permitted."""
        with self._lock:
            held = self._bound.pop(action_id, None)
        if held is not None:
            held.line.close()

    def ask_bound(self, action_id: str, request: wire.Request, kind: Any, *, ends: bool) -> Any:
        """Exchange about an action over its own connection. ends: it is the last time."""
        end = monotonic() + self._timeout_s
        content = wire.request_bytes(request)
        with self._lock:
            held = self._bound.get(action_id)
        if held is None:
            raise Unavailable(f"the connection that permitted `{action_id}` is gone, and the owner has noted that")
        if not held.lock.acquire(timeout=self._timeout_s):  # a cancelled exchange may still be under way
            raise Unavailable(f"an earlier exchange about `{action_id}` did not end in time")
        try:
            value = self._exchange(held.line, content, kind, end)
        except BaseException:
            if ends or held.line.closed:
                self.unbind(action_id)
            raise
        finally:
            held.lock.release()
        if ends:
            with self._lock:
                self._bound.pop(action_id, None)
            self.give_back(held.line)
        return value

    def give_back(self, line: wire.Frames) -> None:
        """Return a connection to the pool."""
        with self._lock:
            if not self._closed and not line.closed and len(self._idle) < _IDLE:
                self._idle.append(line)
                return
        line.close()

    def _take(self, end: float) -> wire.Frames:
        while True:
            with self._lock:
                if self._closed:
                    raise Unavailable("this guard is closed; connect anew")
                line = self._idle.pop() if self._idle else None
            if line is None:
                return self._open(end)
            if not line.stale():
                return line
            line.close()

    def _exchange(self, line: wire.Frames, content: bytes, kind: Any, end: float) -> Any:
        """Exchange one frame for its reply; a connection that fails is closed."""
        try:
            line.sock.settimeout(max(0.001, end - monotonic()))
            line.send(content)
            return wire.parse_reply(_received(line, end), kind)
        except (OSError, wire.Nonsense) as error:
            line.close()
            if isinstance(error, wire.Nonsense):
                raise
            what = "did not answer in time" if isinstance(error, TimeoutError) else "hung up"
            raise Unavailable(f"{self._place}: the owner {what}") from None
        except NavicertError:
            raise
        except BaseException:
            line.close()  # interrupted in the middle of a frame
            raise

    def _open(self, end: float) -> wire.Frames:
        """Return a new connection, greeted; raises `Unavailable`, or what the owner says."""
        line = wire.Frames(self._connected(max(0.001, end - monotonic())))
        try:
            hello = wire.request_bytes(wire.Hello(protocol=wire.PROTOCOL, token=self._place.token))
            with suppress(BrokenPipeError, ConnectionResetError):  # turned away before we spoke: it has said why
                line.send(hello)
            welcome: wire.Welcome = wire.parse_reply(_received(line, end), wire.Welcome)
            if welcome.protocol != wire.PROTOCOL:
                raise wire.Nonsense(f"the owner speaks `{welcome.protocol}`, not {wire.PROTOCOL}")  # noqa: TRY301
        except OSError:
            line.close()
            raise Unavailable(f"{self._place}: the owner did not answer in time, or hung up") from None
        except BaseException:
            line.close()
            raise
        self.in_band_s, self.peer = welcome.in_band_s, welcome.peer
        return line

    def _connected(self, left: float) -> socket.socket:
        try:
            if self._place.socket is None:
                return connect_tcp(self._place.address or "", left)
            sock = connect_unix(self._place.socket, left)
            allowed = {0, os.geteuid(), self._place.socket.parent.stat().st_uid}
        except OSError as error:
            why = error.strerror or str(error) or type(error).__name__
            raise Unavailable(f"{self._place}: no owner answers there ({why}); start it with `navicert up`") from None
        uid = peer_at(sock)[1]
        if uid not in allowed:
            sock.close()
            raise IntegrityError(
                f"{self._place}: the user {uid} listens there, who is not that of the folder; have the owner use a "
                "folder of its own"
            )
        return sock


def _received(line: wire.Frames, end: float) -> bytes:
    left = max(0.001, end - monotonic())
    try:
        frame = line.receive(first_s=left, rest_s=left)
    except NavicertError as error:
        raise wire.Nonsense(str(error)) from None
    if frame is None:
        raise ConnectionError("it hung up")
    return frame
