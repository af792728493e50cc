"""Owner: the process that holds policy, keys and log, and answers agents over sockets (DESIGN.md property 10).

* One thread a connection, at most 256; some of them are kept for people and for whoever governs.
* What comes in is judged or refused, never believed: garbage costs its sender the connection, and nobody else anything.
* A sweep looks at waits and at the policy file every second; what fails in it is said once, on standard error.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Event, Thread
from time import monotonic
from typing import Final

from navicert.adapters.secret_file import read_secret, write_secret
from navicert.assemble import Assembled
from navicert.config import Config
from navicert.engine.workings import safe
from navicert.model.errors import IdentityError, InvalidAction, NavicertError, Unavailable
from navicert.service import wire
from navicert.service.canaries import send_canaries
from navicert.service.desk import Desk, Page
from navicert.service.peers import Directory, Peer
from navicert.service.sockets import listen_tcp, listen_unix, peer_at, shown_address

MOST: Final = 256
KEPT_FREE: Final = 32
"""So many of the connections are for people and for whoever governs: an agent cannot keep them out."""
TOKEN: Final = "tcp.token"  # noqa: S105 - the name of a file
_HELLO_S: Final = 5.0
_FRAME_S: Final = 30.0
_SEND_S: Final = 10.0
_SWEEP_S: Final = 1.0
_FINISH_S: Final = 2.0


@contextmanager
def claim(home: Path) -> Iterator[None]:
    """Be the one owner of a home; raises `Unavailable` where another one is alive."""
    descriptor = os.open(home / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Unavailable(f"{home}: another owner is alive, process {pid}; stop it first") from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class Line:
    """One connection: its socket and the thread that serves it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.thread: Thread | None = None


class Owner:
    """The resident owner of one deployment. `start` listens; `close` ends everything that it began.

    page: the approval page to which it makes links, where one is served.
    """

    def __init__(self, deployment: Assembled, config: Config, page: Page | None = None) -> None:
        self._deployment = deployment
        self._directory = Directory(config)
        self._desk = Desk(deployment, page)
        self._config = config
        self.socket = deployment.home.folder / config.socket
        self.tcp: str | None = None
        """Host and port, where the owner listens on TCP."""
        self._token = b""
        self._listeners: list[socket.socket] = []
        self._lines: set[Line] = set()
        self._threads: list[Thread] = []
        self._stop = Event()
        self._state = Condition()
        self._running = 0
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Listen, and begin to sweep; returns at once. Raises `Unavailable` where another owner is alive."""
        unix = listen_unix(self.socket)
        self._listeners.append(unix)
        self._spawn("accept", lambda: self._accept(unix, local=True))
        if self._config.listen is not None:
            self._token = _tcp_token(self._deployment.home.keys / TOKEN)
            tcp = listen_tcp(self._config.listen)
            self._listeners.append(tcp)
            self.tcp = shown_address(tcp)
            self._spawn("accept-tcp", lambda: self._accept(tcp, local=False))
        self._spawn("sweep", self._sweep)
        if self._config.canary_minutes > 0:
            home, minutes = self._deployment.home.folder, self._config.canary_minutes
            self._spawn("canary", lambda: send_canaries(home, minutes, self._stop, self._canary_failed))

    def close(self) -> None:
        """Accept nothing more, let running requests end (2 s), and take back what is out."""
        self._stop.set()
        for listener in self._listeners:
            _shut(listener)
            listener.close()
        if self._listeners:
            self.socket.unlink(missing_ok=True)
        with self._state:
            self._state.wait_for(lambda: self._running == 0, _FINISH_S)
            lines = list(self._lines)
        for line in lines:
            _shut(line.sock)
        end = monotonic() + _FINISH_S
        for thread in [*self._threads, *(line.thread for line in lines if line.thread is not None)]:
            thread.join(max(0.0, end - monotonic()))
        self._desk.permits.close()

    def _spawn(self, name: str, run: Callable[[], None]) -> None:
        thread = Thread(target=run, name=f"navicert-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    # connections

    def _accept(self, listener: socket.socket, *, local: bool) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = listener.accept()
            except OSError as error:
                if not self._stop.is_set():
                    self._complain("accept", f"a connection could not be accepted: {error}")
                    self._stop.wait(0.1)
                continue
            try:
                self._admit(sock, local=local)
            except Exception as error:  # noqa: BLE001 - one caller's failure is nobody else's
                _turn_away(sock, error)

    def _admit(self, sock: socket.socket, *, local: bool) -> None:
        """Give a connection its thread; raises `NavicertError` where there is no place for it."""
        peer = self._directory.local(peer_at(sock)[1]) if local else self._directory.remote()
        line = Line(sock)
        with self._state:
            if len(self._lines) >= (MOST if peer.answers else MOST - KEPT_FREE):
                raise Unavailable("the owner has too many connections; try again later")
            self._lines.add(line)
        line.thread = Thread(target=self._serve, args=(line, peer), name="navicert-line", daemon=True)
        try:
            line.thread.start()
        except BaseException:
            self._forget(line)
            raise

    def _serve(self, line: Line, peer: Peer) -> None:
        frames = wire.Frames(line.sock)
        try:
            if self._greet(frames, peer):
                while (frame := frames.receive(first_s=None, rest_s=_FRAME_S)) is not None:
                    self._exchange(frames, frame, peer, line)
        except InvalidAction as error:
            _turn_away(line.sock, error)
        except OSError:
            return  # the caller is gone
        finally:
            self._forget(line)
            self._desk.permits.lost(line)
            frames.close()

    def _forget(self, line: Line) -> None:
        with self._state:
            self._lines.discard(line)

    def _greet(self, frames: wire.Frames, peer: Peer) -> bool:
        """Have the caller say hello; tell whether it may go on."""
        frame = frames.receive(first_s=_HELLO_S, rest_s=_HELLO_S)
        if frame is None:
            return False
        try:
            hello = wire.parse_request(frame)
            if not isinstance(hello, wire.Hello) or hello.protocol != wire.PROTOCOL:
                raise InvalidAction(f"this owner speaks {wire.PROTOCOL}: say hello with it first")
            if peer.name == "tcp" and not hmac.compare_digest((hello.token or "").encode(), self._token):
                raise IdentityError(f"the token is not that of this owner; it lies in keys/{TOKEN}")
        except NavicertError as error:
            _turn_away(frames.sock, error)
            return False
        welcome = wire.Welcome(
            protocol=wire.PROTOCOL,
            peer=peer.name,
            rights=tuple(sorted(peer.rights)),
            separation=peer.separation,
            in_band_s=self._deployment.engine.in_band_s,
        )
        frames.sock.settimeout(_SEND_S)
        frames.send(wire.reply_bytes(welcome))
        return True

    def _exchange(self, frames: wire.Frames, frame: bytes, peer: Peer, line: Line) -> None:
        with self._state:
            self._running += 1
        try:
            reply = self._reply(frame, peer, line)
            frames.sock.settimeout(_SEND_S)
            frames.send(reply)
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()

    def _reply(self, frame: bytes, peer: Peer, line: Line) -> bytes:
        try:
            if self._stop.is_set():
                raise Unavailable("the owner is stopping")  # noqa: TRY301 - a reply like any other
            return wire.reply_bytes(self._desk.answer(wire.parse_request(frame), peer, line))
        except NavicertError as error:
            return wire.fault_bytes(error)
        except Exception as error:  # noqa: BLE001 - any failure at all is a refusal, and the owner lives on (R1.c)
            return wire.fault_bytes(Unavailable(f"the owner failed: {safe(error)}"))

    # the sweep

    def _sweep(self) -> None:
        while not self._stop.wait(_SWEEP_S):
            self._try("waits", self._deployment.engine.sweep)
            self._try("permits", lambda: self._desk.permits.sweep(self._deployment.engine.now()))
            self._try("policy", self._refresh)

    def _try(self, part: str, run: Callable[[], object]) -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - the sweep goes on, whatever one round of it meets
            self._complain(part, f"{part}: {safe(error)}")
        else:
            if part != "policy":
                self._said.pop(part, None)

    def _refresh(self) -> None:
        """Take up a changed policy file; a broken one changes nothing."""
        if not self._deployment.policy_changed():
            return
        try:
            self._deployment.reload()
        except Unavailable as error:
            self._deployment.look_again()
            self._complain("policy", f"the changed policy is not in force yet: {error}")
        except NavicertError as error:
            self._complain("policy", f"the changed policy does not load, the last good one stays: {error}")
        else:
            self._said.pop("policy", None)

    def _canary_failed(self, text: str) -> None:
        self._said.pop("canary", None)  # an alarm is said each time
        self._complain("canary", text)

    def _complain(self, part: str, text: str) -> None:
        if self._said.get(part) != text:
            self._said[part] = text
            sys.stderr.write(f"navicert: {text}\n")
            sys.stderr.flush()


def _tcp_token(path: Path) -> bytes:
    if not path.exists():
        write_secret(path, secrets.token_hex(32).encode() + b"\n")
    return read_secret(path).strip()


def _turn_away(sock: socket.socket, error: Exception) -> None:
    """Say why, and close; never raises, and never waits."""
    told = error if isinstance(error, NavicertError) else Unavailable(f"the owner failed: {safe(error)}")
    try:
        sock.settimeout(0.0)
        wire.Frames(sock).send(wire.fault_bytes(told))
    except OSError:
        return  # it is gone already
    finally:
        sock.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # nobody is at the other end
