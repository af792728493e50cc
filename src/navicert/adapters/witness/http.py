"""A witness over HTTP (C2SP tlog-witness): submits a checkpoint, brings back cosignatures (R5).

* What comes back is believed by nobody here: the signature lines are of a known form, and whoever trusts the witness
  verifies them (`tlog.checkpoint.cosignatures`). Nobody forges a cosignature over plain HTTP; but who can answer in the
  place of the witness can have the log refused, which TLS prevents.
* Two answers speak of the log (409, 422). Any other is about the way there, and is no reason to stop the log.
* One request, one connection, one answer of at most 64 KiB, within one time for all of it. No redirect is followed, no
  proxy is asked.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from navicert.core.inert import brief
from navicert.model.errors import IntegrityError, PolicyError, Unavailable, VerificationError
from navicert.ports import OtherSize
from navicert.tlog.note import parse_signature_line

LONGEST: Final = 65_536
_STRANGE: Final = frozenset({403, 404})
_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,18})\n?")


class HttpWitness:
    """One witness. Safe to be called by many threads."""

    def __init__(self, url: str, timeout_s: float = 5.0) -> None:
        """Take the submission prefix, without `/add-checkpoint`; raises `PolicyError` for what is none.

        timeout_s: for the whole exchange, after the name is resolved.
        """
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:
            parts, self._host = urlsplit(""), ""
        if not self._host or parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query:
            raise PolicyError(f"witness `{brief(url, 96)}`: not an address; write `https://host/prefix`")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/") + "/add-checkpoint"
        self._timeout = timeout_s
        self.url = url

    def add(self, old: int, proof: Sequence[bytes], note: str) -> tuple[str, ...]:
        """Submit a note; returns the signature lines, without their newlines, not verified.

        old: size of the checkpoint that the witness cosigned last; proof: of consistency from there. Raises `OtherSize`
        (409): smaller than ours, an answer was lost, or the witness has lost its memory; larger: this log went back;
        the same: it knows another root. `Unavailable` for what may pass, and where it does not know this log or its
        key: that is a setting, and says nothing about the log. `IntegrityError` where it refuses the proof (422).
        """
        lines = [f"old {old}", *(b64encode(item).decode() for item in proof), "", note]
        status, text = self._exchange("\n".join(lines).encode())
        place = f"witness `{brief(self.url, 96)}`"
        if status == 200:
            return _lines(text, place)
        if status == 409 and (found := _SIZE.fullmatch(text)):
            raise OtherSize(int(found[1]))
        words = f"{place}: answered with status {status}, `{brief(text.strip(), 200)}`"
        if status == 422:
            raise IntegrityError(f"{words}; this is not the log that it knows; run `navicert verify`")
        if status in _STRANGE:
            raise Unavailable(f"{words}; have it watch this log (`navicert witness watch`), or correct the address")
        raise Unavailable(f"{words}; try later, or correct the address")

    def _exchange(self, body: bytes) -> tuple[int, str]:
        end = monotonic() + self._timeout
        late = Unavailable(f"witness `{brief(self.url, 96)}`: no whole answer within {self._timeout:g} s; try later")
        try:
            status, data = self._post(body, end)
        except ssl.SSLCertVerificationError as error:
            message = f"witness `{brief(self.url, 96)}`: its certificate does not verify ({error.verify_message})"
            raise Unavailable(f"{message}; correct it") from None
        except (OSError, HTTPException, ValueError) as error:
            problem = f"witness `{brief(self.url, 96)}`: did not answer ({type(error).__name__}); try later"
            raise (late if monotonic() >= end else Unavailable(problem)) from None
        if monotonic() >= end:
            raise late  # what came after we hung up is not the answer
        if len(data) > LONGEST:
            raise Unavailable(f"witness `{brief(self.url, 96)}`: answered with more than {LONGEST} bytes; name another")
        return status, data.decode(errors="backslashreplace")

    def _post(self, body: bytes, end: float) -> tuple[int, bytes]:
        if self._tls is None:
            connection = HTTPConnection(self._host, self._port, timeout=self._timeout)
        else:
            connection = HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        with contextlib.closing(connection):
            connection.connect()
            watch = Timer(max(0.0, end - monotonic()), _hang_up, (connection.sock,))
            watch.daemon = True
            watch.start()
            try:
                headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", "User-Agent": "navicert"}
                connection.request("POST", self._path, body, headers)
                with connection.getresponse() as response:
                    if response.length is None and not response.chunked:
                        raise HTTPException("its end is not marked, so it may have broken off")
                    data = response.read(LONGEST + 1)
                    if response.length and len(data) <= LONGEST:
                        raise HTTPException("broken off")
                    return response.status, data
            finally:
                watch.cancel()


def _lines(text: str, place: str) -> tuple[str, ...]:
    lines = text.removesuffix("\n").split("\n")
    try:
        for line in lines:
            parse_signature_line(line)
    except VerificationError as error:
        raise Unavailable(f"{place}: what it answered is not signature lines ({error})") from None
    return tuple(lines)


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # not the method of a TLS socket, which would go on reading without TLS
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
