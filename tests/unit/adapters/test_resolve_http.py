"""Facts over HTTP: one place, asked once, whose whole answer comes in time and has one meaning (R4.b)."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from navicert.adapters.resolve.answers import LONGEST
from navicert.adapters.resolve.http import HttpResolver
from navicert.model.errors import IntegrityError, Unavailable
from navicert.model.policy import Source, SourceKind


class Server:
    """A server on this machine that sends raw bytes, piece by piece. `asked` holds the requests that reached it."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.asked: list[bytes] = []
        self.pieces: list[bytes] = []
        self.pause = 0.0
        self.hold = threading.Event()
        self.tls: ssl.SSLContext | None = None
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                taken, _ = self.listening.accept()
            except OSError:
                return
            with taken, contextlib.suppress(OSError):
                taken.settimeout(10)
                stream = self.tls.wrap_socket(taken, server_side=True) if self.tls else taken
                with stream:
                    self.answer(stream)

    def answer(self, stream: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            if not (piece := stream.recv(65_536)):
                return
            asked += piece
        self.asked.append(asked)
        for piece in self.pieces:
            stream.sendall(piece)
            if self.pause and self.hold.wait(self.pause):
                return

    def says(self, *pieces: bytes, pause: float = 0.0) -> None:
        self.pieces, self.pause = list(pieces), pause

    def close(self) -> None:
        self.hold.set()
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(10)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def whole(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunks(*bodies: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


def http(server: Server, path: str = "/x", at: str = "", timeout: float = 20, base: str = "http://127.0.0.1") -> Any:
    place = f"{base}:{server.port}{path}"
    return HttpResolver(timeout).fetch(Source(kind=SourceKind.HTTP, place=place, at=at))


def test_a_server_on_this_machine_says_its_body(server: Server) -> None:
    server.says(whole(b'{"value": [false]}'))
    assert http(server, "/rollout?key=a%20b", at="/value/0") is False
    server.says(chunks(b"op", b"en\n", b""))
    assert http(server, "", base="http://localhost") == "open"

    assert server.asked[0].startswith(b"GET /rollout?key=a%20b HTTP/1.1\r\n")
    assert server.asked[1].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "status", ["201 Created", "204 No Content", "206 Part", "401 No", "404 No", "500 No", "503 No"]
)
def test_only_200_is_an_answer(server: Server, status: str) -> None:
    # seen to fail: without looking at the status
    server.says(whole(b"open", status))
    with pytest.raises(Unavailable, match=status[:3]):
        http(server)
    server.says(whole(b"open", "200 Whatever"))
    assert http(server) == "open"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Server, status: int) -> None:
    # seen to fail: with `urllib.request.urlopen`
    server.says(whole(b"open", f"{status} Moved", f"Location: http://127.0.0.1:{server.port}/other\r\n"))
    with pytest.raises(Unavailable, match=str(status)):
        http(server)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\n", b""],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nop", b""],
        [b"H", b"T", *[b"T"] * 60],
        [b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 60],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", *[b"x"] * 60],
        [chunks(b"open"), *[b"1\r\nx\r\n"] * 60],
        [*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 60],
    ],
)
def test_an_answer_that_drips_ends_with_the_time(server: Server, pieces: list[bytes]) -> None:
    # seen to fail: without the watch, where each piece has the whole time anew
    server.says(b"", *pieces, pause=0.3 if len(pieces) > 10 else 30)
    start = time.monotonic()
    with pytest.raises(Unavailable, match="no whole answer within"):
        http(server, timeout=1)
    assert time.monotonic() - start < 6


def test_a_slow_answer_in_time_counts(server: Server) -> None:
    server.says(*[bytes([byte]) for byte in whole(b"open")], pause=0.001)
    assert http(server) == "open"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nop",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        chunks(b"op"),
        chunks(b"op") + b"5\r\nen",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_none(server: Server, raw: bytes) -> None:
    # seen to fail: without looking at what is left of the length
    server.says(raw)
    with pytest.raises(Unavailable):
        http(server)
    server.says(whole(b"open"))
    assert http(server) == "open"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\nopen",
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nopen",
        b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nopen",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
def test_an_answer_without_an_end_of_its_own_is_none(server: Server, raw: bytes) -> None:
    # seen to fail: without asking for length or chunks: what was cut then counts as whole
    server.says(raw)
    with pytest.raises(IntegrityError, match="mark its end"):
        http(server)


@pytest.mark.parametrize(
    "raw",
    [
        b"open\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1_000 + b"\r\n",
        whole(b"\xff\xfe"),
        whole(b""),
        whole(b'{"a": 1, "a": 2}'),
        whole(b"\x1f\x8b\x08\x00", more="Content-Encoding: gzip\r\n"),
    ],
)
def test_an_answer_of_garbage_is_refused(server: Server, raw: bytes) -> None:
    server.says(raw)
    with pytest.raises(IntegrityError):
        http(server)


def test_an_answer_of_more_than_a_mebibyte_is_refused(server: Server) -> None:
    # seen to fail: without the limit
    server.says(whole(b"x" * LONGEST))
    assert http(server) == "x" * LONGEST
    for raw in (whole(b"x" * (LONGEST + 1)), chunks(*[b"x" * 65_536] * 17, b"")):
        server.says(raw)
        with pytest.raises(IntegrityError, match="longer"):
            http(server)
    server.says(whole(b"")[:17] + b"Content-Length: 99999999999\r\n\r\n", *[b"x" * 65_536] * 1_000)
    with pytest.raises(IntegrityError, match="longer"):
        http(server)


def test_nobody_there_is_no_answer(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(Unavailable):
        HttpResolver(5).fetch(Source(kind=SourceKind.HTTP, place=f"http://127.0.0.1:{port}/"))


def test_no_proxy_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: with `urllib.request.urlopen`, which asks it
    proxy = Server()
    try:
        proxy.says(whole(b"forged"))
        server.says(whole(b"open"))
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert http(server) == "open"
        assert not proxy.asked
    finally:
        proxy.close()


@pytest.mark.parametrize(
    "place",
    [
        "http://flags.example/x",
        "http://127.0.0.1.flags.example/x",
        "http://localhost.flags.example/x",
        "http://0.0.0.0/x",
        "http://[::2]/x",
        "http://10.0.0.1/x",
        "http:///x",
        "https:///x",
        "https:x",
        "//127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "file:///etc/hostname",
        "data:,open",
        "/etc/hostname",
        "",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
    ],
)
def test_a_place_that_others_could_answer_for_is_not_asked(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without the rule for `http:`
    asked: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *args, **more: asked.append(args))
    with pytest.raises(IntegrityError):
        HttpResolver().fetch(Source(kind=SourceKind.HTTP, place=place))
    assert not asked


@pytest.mark.parametrize("user", ["kim@", "kim:hunter2@", "127.0.0.1@", "kim:hun/ter2@", "\uff0f:hunter2@"])
def test_a_password_in_a_place_is_refused_and_not_shown(server: Server, user: str) -> None:
    with pytest.raises(IntegrityError) as raised:
        http(server, base=f"http://{user}127.0.0.1")
    assert "hunter2" not in str(raised.value)
    assert not server.asked


def test_a_query_is_sent_and_not_shown(server: Server) -> None:
    server.says(whole(b"no", "500 No"))
    with pytest.raises(Unavailable) as raised:
        http(server, "/x?key=hunter2")
    assert b"hunter2" in server.asked[0]
    assert "hunter2" not in str(raised.value)
    assert f":{server.port}/x`" in str(raised.value)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/é", "/\0"])
def test_a_path_that_is_none_is_not_sent(server: Server, path: str) -> None:
    server.says(whole(b"open"))
    try:
        http(server, path)
    except IntegrityError:
        assert not server.asked
    else:
        assert server.asked[0].startswith(b"GET /aX:%20y" if "X" in path else b"GET /")


@pytest.fixture
def certificate(tmp_path: Path, server: Server) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    pem = serialization.Encoding.PEM
    path = tmp_path / "certificate.pem"
    path.write_bytes(signed.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(path, tmp_path / "key.pem")
    return path


def test_a_certificate_must_verify_for_the_host(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # seen to fail: with a context that verifies nothing
    server.says(whole(b"open"))
    with pytest.raises(IntegrityError, match="certificate"):
        http(server, base="https://localhost")
    assert not server.asked
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(IntegrityError, match="certificate"):
        http(server, base="https://127.0.0.1")  # not the name that it is for
    assert not server.asked

    assert http(server, base="https://localhost") == "open"


def test_what_drips_over_tls_ends_with_the_time(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.says(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", *[b"x"] * 60, pause=0.3)
    with pytest.raises(Unavailable, match="no whole answer within"):
        http(server, base="https://localhost", timeout=1)


def test_a_server_without_tls_is_not_asked_over_https(server: Server) -> None:
    server.says(whole(b"open"))
    with pytest.raises(Unavailable):
        http(server, base="https://localhost", timeout=1)
