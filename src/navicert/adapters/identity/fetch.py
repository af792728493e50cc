"""Fetching one small document that tokens are judged by: from a file, or from an https address (R6.c).

* At most 1 MB and two seconds. TLS is verified; http goes to this machine only; a redirect never leaves the host.
* A message names the place as the configuration does, never what stood there.
"""

from __future__ import annotations

import http.client
import os
import stat
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import IO, Final
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from navicert.model.errors import PolicyError

MAX_BYTES: Final = 1_000_000
TIMEOUT_S: Final = 2.0
_CHUNK: Final = 65_536
Stamp = tuple[int, int, int]


class FetchError(Exception):
    """The document could not be had; the message says why, and follows its name."""


def is_address(place: str) -> bool:
    """Tell whether a place is an address, and not a file."""
    return "://" in place


def check_address(address: str) -> None:
    """Raise `PolicyError` unless the address is https, or http to this machine, and holds no credentials."""
    try:
        parts = urlsplit(address)
        local = _is_local(parts.hostname or "")
        _ = parts.port
    except ValueError:
        raise PolicyError(f"`{address}` is not an address; write `https://host/path`, or a file") from None
    if parts.username is not None or parts.password is not None:
        raise PolicyError(f"the address at `{parts.hostname}` holds credentials; remove them")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise PolicyError(f"`{address}` is not https; only an address of this machine may be http")


def read_address(address: str) -> bytes:
    """Return what the address answers with status 200; raises `FetchError`."""
    until = monotonic() + TIMEOUT_S
    try:
        request = Request(address, headers={"Accept": "application/json"})  # noqa: S310 - see check_address
        with _opener(address).open(request, timeout=TIMEOUT_S) as answer:
            if answer.status != 200:
                raise FetchError(f"answers with status {answer.status}")
            data = bytearray()
            while chunk := answer.read1(_CHUNK):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise FetchError("answers with more than 1 MB")
                if monotonic() > until:
                    raise FetchError("takes longer than 2 s")
            return bytes(data)
    except HTTPError as error:
        error.close()
        raise FetchError(f"answers with status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException):
        raise FetchError("does not answer") from None


def read_file(path: Path) -> tuple[bytes, Stamp]:
    """Return a regular file's bytes, and its stamp from before they were read; raises `FetchError`."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FetchError("is not a regular file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FetchError(f"cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise FetchError("has more than 1 MB")
    return data, stamp_of(found)


def stamp_of(found: os.stat_result) -> Stamp:
    """Return what changes when a file is written or replaced."""
    return (found.st_ino, found.st_mtime_ns, found.st_size)


class _SameHost(HTTPRedirectHandler):
    """Follows a redirect only to the same scheme, host and port."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        if _origin(urlsplit(newurl)) != _origin(urlsplit(req.full_url)):
            fp.close()
            raise FetchError("redirects to another host")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(address: str) -> OpenerDirector:
    local = _is_local(urlsplit(address).hostname or "")
    return build_opener(_SameHost, *([ProxyHandler({})] if local else []))


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return (parts.scheme, parts.hostname, parts.port)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
