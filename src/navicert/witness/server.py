"""A witness over HTTP: `POST /add-checkpoint` of C2SP tlog-witness, and two things to look at (R5).

* The server is that of the standard library, so that a witness runs from the default install, on a machine with little
  on it. What that server lacks is here: a time for each whole request, bounds on connections and bytes, one framing.
* It speaks plain HTTP: a checkpoint is signed and holds no secret. TLS, and limits for each caller, are for a proxy in
  front of it, where strangers can reach it.
* It writes down nobody's address.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import re
import socket
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from time import monotonic
from typing import IO, Any, Final
from urllib.parse import unquote

from navicert.core.inert import inert
from navicert.model.errors import NavicertError, PolicyError
from navicert.witness.state import Refusal, Witness

BODY: Final = 65_536
HEAD: Final = 16_384
CONNECTIONS: Final = 64
REQUEST_S: Final = 20.0
"""For one whole request, and for as long a kept connection may stay silent."""
MOST_HASHES: Final = 63
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_MOST: Final = 2**63 - 1
_TEXT: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"


def parse_request(body: bytes) -> tuple[int, list[bytes], str]:
    """Return old size, consistency proof and note of a request; raises `Refusal` 400."""
    try:
        head, blank, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        found = _OLD.fullmatch(first)
        if not blank or found is None or int(found[1]) > _MOST or len(lines) > MOST_HASHES:
            raise Refusal(400, "write `old`, a size, at most 63 lines of hashes, an empty line, and a checkpoint")
        return int(found[1]), [_hash(line) for line in lines], note
    except (UnicodeDecodeError, binascii.Error) as error:
        raise Refusal(400, f"the request is not text with hashes in base64 ({type(error).__name__})") from None


def _hash(line: str) -> bytes:
    data = b64decode(line.encode(), validate=True)
    if len(data) != 32 or b64encode(data) != line.encode():
        raise binascii.Error
    return data


class WitnessServer(ThreadingMixIn, TCPServer):
    """Serves one witness from `start` to `close`, each connection in a thread of its own."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, witness: Witness, listen: str = "127.0.0.1:0") -> None:
        """Listen at `host:port` (port 0: a free one); raises `PolicyError` where that cannot be."""
        self.witness = witness
        self._ends: dict[socket.socket, float] = {}
        self._guard = Lock()
        host, port = _address(listen)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Exchange)
        except OSError as error:
            raise PolicyError(f"listen `{listen}`: cannot listen there ({error.strerror})") from None
        host, port = self.socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._thread = Thread(target=self.serve_forever, args=(0.1,), name="navicert-witness", daemon=True)

    def start(self) -> None:
        """Begin to answer; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End: what is being cosigned ends first, and the folder is free."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        self.witness.close()
        with self._guard:
            for sock in self._ends:
                _hang_up(sock)

    def renew(self, sock: socket.socket) -> None:
        """Give a connection the time for one request."""
        with self._guard:
            self._ends[sock] = monotonic() + REQUEST_S

    def service_actions(self) -> None:
        """Hang up on who takes too long, however slowly it drips."""
        now = monotonic()
        with self._guard:
            for sock in [sock for sock, end in self._ends.items() if end < now]:
                _hang_up(sock)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Tell whether there is room for one more connection."""
        del client_address
        with self._guard:
            if len(self._ends) >= CONNECTIONS:
                return False
            self._ends[request] = monotonic() + REQUEST_S
        return True

    def shutdown_request(self, request: Any) -> None:
        """End a connection, and give its place back."""
        with self._guard:
            self._ends.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about a caller that went away; a fault of our own is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Rationed(io.RawIOBase):
    """What a caller sends, as far as its ration reaches: beyond it the connection breaks."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.left = HEAD + BODY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.left <= 0:
            raise ConnectionAbortedError
        read = self._sock.recv_into(memoryview(buffer)[: self.left])
        self.left -= read
        return read


class _Exchange(BaseHTTPRequestHandler):
    """The requests of one connection, one after another."""

    server: WitnessServer
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S
    server_version, sys_version = "navicert-witness", ""
    error_message_format, error_content_type = "%(message)s\n", _TEXT

    def setup(self) -> None:
        super().setup()
        self._rations = _Rationed(self.connection)
        self.rfile: IO[bytes] = io.BufferedReader(self._rations, 4_096)  # type: ignore[assignment]

    def handle_one_request(self) -> None:
        self._rations.left = HEAD + BODY
        super().handle_one_request()
        self.server.renew(self.connection)

    def do_POST(self) -> None:
        """Cosign a checkpoint."""
        with self._answering():
            body = self._body()
            if self.path != "/add-checkpoint":
                raise Refusal(404, "checkpoints go to `/add-checkpoint`")
            self._answer(200, self.server.witness.add(*parse_request(body)))

    def do_GET(self) -> None:
        """Show the key, or the newest cosigned note of a log."""
        if {"Content-Length", "Transfer-Encoding"} & {*map(str.title, self.headers)}:
            self.close_connection = True  # what follows is not read as a request
        with self._answering():
            witness = self.server.witness
            if self.path == "/vkey":
                return self._answer(200, witness.settings.vkey + "\n")
            head, found, wanted = self.path.partition("/checkpoint/")
            note = witness.newest(unquote(wanted)) if found and not head else None
            if note is None:
                raise Refusal(404, "nothing of this name was cosigned")
            return self._answer(200, note)

    def _body(self) -> bytes:
        """Return the body; raises `Refusal`, and closes behind it, where it has no length, two, or too much of it."""
        self.close_connection, kept = True, self.close_connection
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not lengths:
            raise Refusal(411, "send the body with its `Content-Length`")
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,9}", lengths[0]):
            raise Refusal(400, "one `Content-Length`, in digits")
        if int(lengths[0]) > BODY:
            raise Refusal(413, f"at most {BODY} bytes")
        body = self.rfile.read(int(lengths[0]))
        if len(body) != int(lengths[0]):
            raise ConnectionAbortedError
        self.close_connection = kept
        return body

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what is refused, and what fails, into an answer."""
        try:
            yield
        except Refusal as refusal:
            if refusal.size is not None:
                self._answer(refusal.status, f"{refusal.size}\n", _SIZE)
            else:
                self._answer(refusal.status, f"{refusal}\n")
            if refusal.status == 413:  # the answer reaches only who has finished to speak
                with contextlib.suppress(OSError):
                    self.rfile.read(HEAD + BODY)
        except ConnectionError:
            raise
        except (NavicertError, OSError) as error:
            sys.stderr.write(f"navicert witness: {inert(str(error))}\n")
            self._answer(500, "the witness cannot read or write its state; ask its operator\n")

    def _answer(self, status: int, text: str, kind: str = _TEXT) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the server gives it
        """Write nothing down."""


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise PolicyError(f"`{text}` is no address; write host and port, as `127.0.0.1:7439`")
    return host.removeprefix("[").removesuffix("]"), int(port)
