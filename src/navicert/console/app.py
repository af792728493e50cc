"""The approval page as an ASGI application: what is asked for, by whom, and what it may see (R4.a).

    GET  /link/SECRET     one button; it uses nothing up
    POST /link/SECRET     the link is used up, and the browser has a session
    GET  /                the inbox, for whom it is
    GET  /waits/HANDLE    everything that an approver must see
    POST /waits/HANDLE    an answer

* No script anywhere. A decision is a POST with the token of this browser and wait, and the question as it was seen.
* The page has no authority of its own: it signs with the approver's key, while it has their passphrase.
* What a session may not see does not exist (404).
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from navicert.asking.words import at
from navicert.assemble import Home
from navicert.console.answering import Asked, answer_wait
from navicert.console.exchange import Receive, Refused, Reply, Request, Send, answer, read_request
from navicert.console.inert import foreign
from navicert.console.links import Links, Session
from navicert.console.views import inbox_view, wait_view
from navicert.core.times import rfc3339
from navicert.engine.workings import safe
from navicert.model.errors import NavicertError
from navicert.model.suspension import Wait
from navicert.people import Control, look

TEMPLATES: Final = Path(__file__).parent / "templates"
_LINK: Final = re.compile(r"/link/([A-Za-z0-9_-]{43})")
_WAIT: Final = re.compile(r"/waits/(wait_[0-9a-z]{26})")
_TITLES: Final = {
    400: "Not understood", 403: "Not from here", 404: "Nothing here", 405: "Not like this", 408: "Too slow",
    409: "Something has changed", 413: "Too long", 415: "Not a form", 429: "Too many tries", 500: "A failure of ours",
    503: "Not now",
}  # fmt: skip
_NO_SESSION: Final = (
    "this browser has no session here, or it has ended; `navicert inbox --link` prints a link that makes one"
)


class App:
    """Answers requests. address: host and port at which it is served."""

    def __init__(self, engine: Control, home: Home, links: Links, address: str) -> None:
        self._engine = engine
        self._home = home
        self._links = links
        self._address = address
        self._cookie = f"navicert_{address.rpartition(':')[2]}"
        self._style = Reply(200, (TEMPLATES / "style.css").read_text("utf-8"), kind="text/css; charset=utf-8")
        self._pages = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request, whatever it is."""
        if scope["type"] != "http":
            return
        try:
            request = await read_request(scope, receive, address=self._address, cookie=self._cookie)
            reply = await asyncio.to_thread(self._reply, request)
        except Refused as refused:
            reply = self.notice(refused.status, refused.text, **refused.headers)
        except NavicertError as error:
            reply = self.notice(503, str(error))
        except Exception as error:  # noqa: BLE001 - a failure of ours is a page, and never an answer to a question
            sys.stderr.write(f"navicert: the approval page failed: {safe(error)}\n")
            reply = self.notice(500, "the page failed; nothing was signed. `navicert inbox` shows what waits")
        await answer(send, reply)

    def notice(self, status: int, text: str, **headers: str) -> Reply:
        """Return a page that says one thing."""
        page = self._pages.get_template("notice.html")
        return Reply(status, page.render(title=_TITLES[status], text=foreign(text, 2_000)), headers)

    def _reply(self, request: Request) -> Reply:
        if request.path == "/style.css" and request.method == "GET":
            return self._style
        link, wait = _LINK.fullmatch(request.path), _WAIT.fullmatch(request.path)
        if link is not None:
            return self._follow(link[1], request)
        if wait is None and (request.path != "/" or request.method != "GET"):
            raise Refused(404, "there is no such page")
        session = self._links.session(request.cookie)
        if session is None:
            raise Refused(403, _NO_SESSION)
        if wait is None:
            return self._inbox(session)
        if not session.sees(wait[1]):
            raise Refused(404, f"nothing named `{wait[1]}` waits for you")
        if request.method == "GET":
            return self._wait(session, wait[1])
        return self._answered(session, wait[1], request.form)

    # links

    def _follow(self, token: str, request: Request) -> Reply:
        if request.method == "GET" and self._links.known(token):
            return Reply(200, self._pages.get_template("link.html").render(token=token))
        opened = self._links.follow(token, request.cookie) if request.method == "POST" else None
        if opened is None:
            raise Refused(404, "this link was used, is too old, or never was; `navicert inbox --link` prints another")
        cookie, handle = opened
        where = "/" if handle is None else f"/waits/{handle}"
        kept = f"{self._cookie}={cookie}; Path=/; HttpOnly; SameSite=Strict"
        return Reply(303, "", {"location": where, "set-cookie": kept})

    # pages

    def _inbox(self, session: Session) -> Reply:
        if not session.everything:
            raise Refused(404, "the link that you followed was for one action, and not for the inbox")
        with look(self._home) as seen:
            view = inbox_view(seen, self._engine.now())
        return Reply(200, self._pages.get_template("inbox.html").render(view))

    def _wait(self, session: Session, handle: str, asked: Asked | None = None) -> Reply:
        """Return the page of a wait. asked: what was tried and did not count, with what was typed."""
        status = asked.status if asked is not None else 200
        around = {
            "everything": session.everything,
            "handle": handle,
            "token": session.token(handle),
            "told": foreign(session.said[handle], 600) if handle in session.said else "",
            "problem": foreign(asked.problem, 600) if asked is not None else "",
            "typed": asked.typed if asked is not None else {},
        }
        with look(self._home) as seen:
            wait = _held(seen.waits, handle)
            if wait is not None:
                view = wait_view(wait, seen, self._engine.now())
                return Reply(status, self._pages.get_template("wait.html").render(view | around))
            over = seen.archive.over(handle) if seen.archive is not None else None
        if over is None:
            raise Refused(404, f"nothing named `{handle}` waits for you")
        ended = {"permitted": over.permitted, "reason": foreign(over.reason, 600), "at": at(rfc3339(over.at))}
        return Reply(status, self._pages.get_template("over.html").render(around | ended))

    def _answered(self, session: Session, handle: str, form: Mapping[str, str]) -> Reply:
        if not session.good(handle, form.get("token", "")):
            raise Refused(403, "this form was not made for this browser and this action; open the page again")
        asked = answer_wait(self._engine, self._home, self._links, session, handle, form)
        if asked.status != 303:
            reply = self._wait(session, handle, asked)
            return reply._replace(headers={"retry-after": "60"}) if asked.status == 429 else reply
        session.said[handle] = asked.problem
        return Reply(303, "", {"location": f"/waits/{handle}"})


def _held(waits: tuple[Wait, ...], handle: str) -> Wait | None:
    return next((wait for wait in waits if wait.handle == handle), None)
