"""Facts over HTTP (port `Resolver`; R4.b): one GET, answered with 200 by the very place that the policy names.

* `https:` with a verified certificate, or `http:` to this machine. No redirect is followed, no proxy is asked.
* The time is for the whole exchange, however slowly it drips. Only an answer that marks its end can be known to be
  whole; another one is refused.
* Messages name the place without its query, which may hold a key.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Timer
from time import monotonic
from typing import Final
from urllib.parse import SplitResult, urlsplit

from navicert.adapters.resolve.answers import LONGEST, value_at
from navicert.model.errors import IntegrityError, NavicertError, Unavailable
from navicert.model.policy import Source
from navicert.model.value import Json

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {"Accept": "application/json, text/plain", "Connection": "close", "User-Agent": "navicert"}


class HttpResolver:
    """Fetches `source.place`. timeout: seconds for the whole exchange, after the name is resolved."""

    def __init__(self, timeout: float = 5.0) -> None:
        self._timeout = timeout

    def fetch(self, source: Source) -> Json:
        """Return the value at the source's pointer into the body."""
        url, place = _checked(source.place)
        end = monotonic() + self._timeout
        late = Unavailable(f"{place}: no whole answer within {self._timeout:g} s; try later")
        try:
            data = self._get(url, place, end)
        except (NavicertError, OSError, HTTPException, ValueError) as error:
            raise (late if monotonic() >= end else _problem(error, place)) from None
        if monotonic() >= end:
            raise late  # what came after we hung up is not the answer
        return value_at(data, source.at, place)

    def _get(self, url: SplitResult, place: str, end: float) -> bytes:
        connection = _connection(url, self._timeout)
        try:
            connection.connect()
            watch = Timer(max(0.0, end - monotonic()), _hang_up, (connection.sock,))
            watch.daemon = True
            watch.start()
            try:
                connection.request("GET", (url.path or "/") + (f"?{url.query}" if url.query else ""), headers=_HEADERS)
                with connection.getresponse() as response:
                    return _body(response, place)
            finally:
                watch.cancel()
        finally:
            connection.close()


def _checked(text: str) -> tuple[SplitResult, str]:
    try:
        url = urlsplit(text)
        host = url.hostname
        place = f"`{url.scheme}://{host}{f':{url.port}' if url.port is not None else ''}{url.path}`"
    except ValueError:
        raise IntegrityError("the address of a source cannot be read; write `https://host/path`") from None
    if not host or "@" in url.netloc:
        raise IntegrityError(f"{place}: not the address of a host alone; leave out names and passwords")
    if url.scheme != "https" and not (url.scheme == "http" and host in _HERE):
        raise IntegrityError(f"{place}: could be answered by others; use `https:`, or `http:` to this machine")
    return url, place


def _connection(url: SplitResult, timeout: float) -> HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return HTTPConnection(host, url.port, timeout=timeout)
    return HTTPSConnection(host, url.port, timeout=timeout, context=ssl.create_default_context())


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # not the method of a TLS socket, which would go on reading without TLS
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _body(response: HTTPResponse, place: str) -> bytes:
    if response.status != 200:
        raise Unavailable(f"{place}: answered with status {response.status}; name a place that answers with 200")
    if response.length is None and not response.chunked:
        raise IntegrityError(f"{place}: the answer does not mark its end; have the server send its length")
    data = response.read(LONGEST + 1)
    if response.length and len(data) <= LONGEST:
        raise Unavailable(f"{place}: the answer broke off; try later")
    return data


def _problem(error: Exception, place: str) -> NavicertError:
    if isinstance(error, NavicertError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return IntegrityError(f"{place}: its certificate does not verify ({error.verify_message}); correct it")
    if isinstance(error, (OSError, IncompleteRead)):
        return Unavailable(f"{place}: did not answer ({type(error).__name__}); try later")
    return IntegrityError(f"{place}: what was asked or answered is not HTTP ({type(error).__name__}); correct it")
