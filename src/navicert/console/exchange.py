"""One HTTP request of the page: what is read of it, what is refused unread, and what every answer carries (R4.a).

* Only GET and POST, of this very host: a name that leads here by other ways (DNS rebinding) is refused. A POST comes
  from a page of ours, says the browser; its body is one short form, which comes in time.
* Every answer, also to what was no HTTP, forbids scripts, frames, foreign requests and copies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

MOST_BYTES: Final = 65_536
BODY_S: Final = 5.0
FIELDS: Final = 64
POLICY: Final = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("connection", "close"),
)  # fmt: skip
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refused(Exception):
    """What is answered in place of a page: status and text, lower case, for a person."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


class Request(NamedTuple):
    """One request that may be answered. cookie: what the browser shows as its session."""

    method: str
    path: str
    cookie: str
    form: Mapping[str, str]


class Reply(NamedTuple):
    """One answer; a body is HTML unless `kind` says otherwise."""

    status: int
    body: str
    headers: Mapping[str, str] = {}
    kind: str = "text/html; charset=utf-8"


async def read_request(scope: Mapping[str, Any], receive: Receive, *, address: str, cookie: str) -> Request:
    """Return a request; raises `Refused`. address: host and port of the page; cookie: the name of its cookie."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        headers[key] = f"{headers[key]}; {value.decode('latin-1')}" if key in headers else value.decode("latin-1")
    own = address.removesuffix(":80")
    if headers.get("host", "").lower() != own:
        raise Refused(403, f"this page is served as http://{own}, and under no other name")
    method = str(scope["method"])
    if method not in {"GET", "POST"}:
        raise Refused(405, "this page knows GET and POST only", allow="GET, POST")
    form: Mapping[str, str] = {}
    if method == "POST":
        # With no referrer, browsers send the origin of our own forms as `null`, and say `same-origin` beside it.
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        ours = origin == f"http://{own}" or (origin in {"null", None} and site == "same-origin")
        if not ours or site not in {"same-origin", None}:
            raise Refused(403, "this form was not sent from a page of ours")
        form = _form(headers, await _body(headers, receive))
    return Request(method, str(scope["path"]), _cookie(headers.get("cookie", ""), cookie), form)


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BYTES:
        raise Refused(413, f"a form has at most {MOST_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused(400, "the form did not come to its end")
                body += message.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise Refused(413, f"a form has at most {MOST_BYTES} bytes")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, "the form did not come in time") from None


def _form(headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refused(415, "a form is sent as application/x-www-form-urlencoded")
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError:
        raise Refused(400, "this is no form of ours") from None
    if len(dict(fields)) != len(fields):
        raise Refused(400, "a field stands twice in this form")
    return {name: value.replace("\r\n", "\n") for name, value in fields}


def _cookie(header: str, name: str) -> str:
    found = [part.strip().partition("=") for part in header.split(";")]
    own = [value for key, _, value in found if key == name]
    return own[0] if len(own) == 1 else ""  # two of a name: one was put there by somebody else


async def answer(send: Send, reply: Reply) -> None:
    """Send an answer."""
    body = reply.body.encode(errors="replace")
    headers = {**dict(HEADERS), "content-type": reply.kind, "content-length": str(len(body)), **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def raw(reply: Reply) -> bytes:
    """Return an answer as bytes, for what was no HTTP."""
    body = reply.body.encode()
    headers = {**dict(HEADERS), "content-type": reply.kind, "content-length": str(len(body))}
    lines = [f"HTTP/1.1 {reply.status} Bad Request", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
