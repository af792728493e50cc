"""Sockets of this machine: Unix sockets with the kernel's word on who is at the other end, and TCP on loopback.

* The path of a Unix socket may be longer than the 107 bytes that the kernel takes: it is then reached through its
  folder.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from navicert.model.errors import PolicyError, Unavailable

_LONGEST: Final = 107
_BACKLOG: Final = 128
LOOK_S: Final = 1.0


def peer_at(sock: socket.socket) -> tuple[int, int]:
    """Return process and user at the other end of a Unix socket, as the kernel knows them."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", raw)
    return int(pid), int(uid)


def connect_unix(path: Path, timeout_s: float) -> socket.socket:
    """Return a connection to a Unix socket; raises `OSError`."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(timeout_s)
        with _address(path) as address:
            sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_unix(path: Path) -> socket.socket:
    """Return a Unix socket that listens at `path`, which any user may connect to whom the folder lets in.

    What a dead owner left there is removed. Raises `Unavailable` where somebody listens there, `PolicyError` where
    something else is in the way.
    """
    _clear(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _address(path) as address:
            sock.bind(address)
        path.chmod(0o666)  # who may speak is told by SO_PEERCRED; who may connect, by the folder
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PolicyError(f"{path}: the owner cannot listen there ({error.strerror}); set `socket`") from None
    return sock


def _clear(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise PolicyError(f"{path}: there is something else than a socket; move it away, or set `socket`")
    except FileNotFoundError:
        return
    try:
        with connect_unix(path, LOOK_S) as other:
            pid, _ = peer_at(other)
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)  # its owner is dead
        return
    except OSError as error:
        raise Unavailable(f"{path}: whether another owner is alive cannot be told ({error}); stop it first") from None
    raise Unavailable(f"{path}: another owner is alive, process {pid}; stop it first")


@contextmanager
def _address(path: Path) -> Iterator[str]:
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen_tcp(text: str) -> socket.socket:
    """Return a TCP socket that listens at `host:port` of this machine; raises `PolicyError`."""
    host, port = tcp_address(text)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PolicyError(f"listen `{text}`: the owner cannot listen there ({error.strerror})") from None
    return sock


def connect_tcp(text: str, timeout_s: float) -> socket.socket:
    """Return a TCP connection to `host:port` of this machine; raises `OSError`, `PolicyError` for another machine."""
    sock = socket.create_connection(tcp_address(text), timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def tcp_address(text: str) -> tuple[str, int]:
    """Return host and port of `listen`; raises `PolicyError` unless it is this machine alone."""
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    good = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        good, address = False, ipaddress.IPv4Address(0)
    if not good:
        raise PolicyError(f"`{text}` is no address; write host and port, as `127.0.0.1:7437`")
    if not address.is_loopback:
        raise PolicyError(
            f"`{text}` can be reached from other machines, and what goes over TCP is not encrypted; listen on "
            "127.0.0.1, and use a tunnel for other machines"
        )
    return host, int(port)


def shown_address(sock: socket.socket) -> str:
    """Return where a TCP socket listens, as `host:port`."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
