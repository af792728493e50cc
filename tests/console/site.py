"""What the tests of the approval page share: an owner that serves it, people with keys, and a client without a browser.

    handle = site.asks("pay.send", amount=500, note="rent")
    visitor = site.visitor()                    # has followed a link to the inbox
    page = visitor.get(f"/waits/{handle}")
    visitor.answers(handle, "approve", who="ben")

The owner is a real process, and every answer that comes over HTTP is held to what every answer must carry.
"""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import pytest

import navicert
from desk import ASKING, SECRET
from faults.owners import OwnerProcess, a_home
from navicert.adapters.sign.encrypted_key import load_encrypted_key, make_encrypted_key
from navicert.asking.deciding import key_path
from navicert.core.seal import b64
from navicert.model.suspension import Answer, Approver, Wait
from navicert.people import control, sign_answer

POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
PEOPLE = ("ana", "ben", "cho", "eve")
PATIENCE_S = 30.0
POST = "https://www.example.org/post"
PAGES: dict[str, str] = {}
"""What stands on the web, by its address."""


class Page(NamedTuple):
    """One answer over HTTP."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def hidden(self) -> dict[str, str]:
        """The hidden fields of the form."""
        found = _Fields()
        found.feed(self.text)
        return found.hidden

    @property
    def plain(self) -> str:
        """The text without its markup, on one line."""
        words = _Fields()
        words.feed(self.text)
        return " ".join(" ".join(words.words).split())


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden":
            self.hidden[found["name"] or ""] = found["value"] or ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Visitor:
    """A client that keeps cookies, and says what a browser says of where a form comes from."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookie = ""

    def get(self, path: str, **headers: str) -> Page:
        return self.send("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str] | bytes, **headers: str) -> Page:
        ours = {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self.send("POST", path, body, ours | {name.replace("_", "-"): value for name, value in headers.items()})

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Page:
        line = http.client.HTTPConnection(self.address, timeout=PATIENCE_S)
        kept = {"Cookie": self.cookie} if self.cookie else {}
        line.request(method, path, body, {name: value for name, value in (kept | headers).items() if value})
        reply = line.getresponse()
        page = Page(
            reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read().decode(),
        )  # fmt: skip
        line.close()
        must_be_strict(page, whole=method != "HEAD")
        if "set-cookie" in page.headers:
            self.cookie = page.headers["set-cookie"].partition(";")[0]
        return page

    def follows(self, link: str) -> Page:
        """Use a link up, and go where it leads."""
        page = self.post(urlsplit(link).path, {})
        return self.get(page.headers["location"]) if page.status == 303 else page

    def answers(
        self, handle: str, answer: str, *, who: str = "ben", secret: str = SECRET, reason: str = "so it is",
        page: Page | None = None, **changes: str,
    ) -> Page:  # fmt: skip
        """Fill in the form of a page (as it is now, unless one is given), and send it."""
        seen = page or self.get(f"/waits/{handle}")
        fields = {**seen.hidden, "answer": answer, "approver": who, "reason": reason, "passphrase": secret, **changes}
        return self.post(f"/waits/{handle}", fields)


def must_be_strict(page: Page, *, whole: bool = True) -> None:
    """Every answer forbids scripts, frames, copies and strangers, and allows no other origin anything."""
    headers = page.headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control")]
    if whole and page.status != 303 and headers["content-type"].startswith("text/html"):
        assert page.text.startswith("<!doctype html>")
        assert "<script" not in page.text.lower()
        assert " style=" not in page.text


class Site:
    """A home with people, an owner that serves the page, and an agent of ana's."""

    def __init__(self, folder: Path, *, policy: str = ASKING, **fields: Any) -> None:
        self._end = ExitStack()
        self.home = a_home(folder / "home", policy=policy, page="127.0.0.1:0", **fields)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(folder))
            self.keys = key_path("ben", None).parent
            self.keys.mkdir(parents=True, mode=0o700)
            with control(self.home) as engine:
                for name in PEOPLE:
                    key = make_encrypted_key(key_path(name, None), SECRET)
                    engine.enrol(
                        Approver(name=name, key_id=key.key_id, algorithm="Ed25519", public=b64(key.public),
                                 since=engine.now())
                    )  # fmt: skip
            self.owner = OwnerProcess(self.home)
        with ExitStack() as unless_made:
            unless_made.callback(self.owner.end)
            self._connect()
            unless_made.pop_all()

    def _connect(self) -> None:
        self.address: str = self.owner.said["page"]["address"]
        self.link: str = self.owner.said["page"]["link"]
        self.guard = self._end.enter_context(navicert.connect(self.home.folder))
        self.engine = self.guard.engine
        self.tools = tools(self.guard)

    def asks(
        self, tool: str, *, request: str = "do it", agent: str = "assistant", read: str = "", **parameters: Any
    ) -> str:
        """Ana's agent reads a page with this text, and asks for an action that then waits; returns its handle."""
        session = self.guard.session(request=request, human="ana", agent=agent)
        with session:
            if read:
                PAGES[POST] = read
                self.tools["web.read"](url=POST)
            with pytest.raises(navicert.ActionSuspended) as caught:
                self.tools[tool](**parameters)
        return caught.value.handle

    def wait(self, handle: str) -> Wait:
        found = self.engine.wait(handle)
        assert found is not None
        return found

    def says(self, handle: str, who: str, answer: Answer = Answer.APPROVE) -> Wait | None:
        """Somebody answers by other ways than the page."""
        key = load_encrypted_key(self.keys / f"{who}.pem", SECRET)
        now = self.engine.now()
        return self.engine.answer(handle, sign_answer(self.wait(handle).question, answer, who, key, now, "seen"))

    def visitor(self, handle: str | None = None) -> Visitor:
        """Somebody who has followed a fresh link, to one wait or to the inbox."""
        visitor = Visitor(self.address)
        assert visitor.follows(self.engine.open_page(handle)).status == 200
        return visitor

    def close(self) -> str:
        """End everything; returns what the owner said on standard error."""
        self._end.close()
        code, errors = self.owner.end()
        assert code == 0
        return errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tools(guard: Any) -> dict[str, Any]:
    """The tools of ana's agent; what runs says what it ran with."""

    @guard.tool("email.send")
    def send(to: list[str], body: str, link: str | dict[str, str] = "") -> str:
        return f"sent to {to}"

    @guard.tool("pay.send", effect="pay", amount="amount", returns="INTERNAL")
    def pay(amount: int, note: str) -> str:
        return f"paid {amount}"

    @guard.tool("crm.delete", effect="delete", returns="INTERNAL")
    def delete(customer: int) -> str:
        return f"deleted {customer}"

    @guard.tool("crm.read", effect="read", returns="RESTRICTED")
    def read() -> str:
        return "names"

    @guard.tool("web.read", effect="read", destination="url", returns="PUBLIC")
    def page(url: str) -> str:
        return PAGES[url]

    return {"web.read": page, "email.send": send, "pay.send": pay, "crm.delete": delete, "crm.read": read}


def of_the_log(site: Site, handle: str) -> list[dict[str, Any]]:
    """The answers that the receipts of a wait's action hold, decoded."""
    from click.testing import CliRunner

    from navicert.cli import main

    result = CliRunner().invoke(main, ["--home", str(site.home.folder), "show", handle, "--json"])
    document = json.loads(result.stdout)
    return [part for receipt in document["receipts"] for part in receipt["approval"]]
