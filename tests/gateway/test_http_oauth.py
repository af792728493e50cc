"""The gateway as a resource server of its own (R6; RFC 9728, 8707, 9068), with a real authorization server.

The official client of either version knows the gateway's address alone, and finds the rest out by itself. Every token
that is turned away stands beside one that is taken, and the server's own record tells what reached it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from joserfc.jwk import ECKey

from gateway import peers
from gateway.http_wire import HANDSHAKE, STATELESS, Gateway, WebHouse
from navicert.config import FILE
from unit.adapters.issuer import signed

KEY = ECKey.generate_key("P-256", {"kid": "a", "alg": "ES256", "use": "sig"})
KEYS = {"keys": [KEY.as_dict(private=True)]}


class Site:
    """An authorization server, and a home whose gateway at `resource` takes its tokens."""

    def __init__(self, folder: Path, issuer: str) -> None:
        self.issuer = issuer
        self.house = WebHouse(folder)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        self.resource = f"http://{self.listen}/mcp"
        identity = {"issuer": issuer, "audience": self.resource, "keys": f"{issuer}/jwks"}
        config = self.house.home.folder / FILE
        lines = [line for line in config.read_text().splitlines() if not line.startswith("identity:")]
        config.write_text("\n".join([*lines, f"identity: {json.dumps(identity)}", ""]))

    def decided(self) -> list[Any]:
        return [item for item in self.house.receipts() if item.kind == "decision"]

    def shown(self, receipt_id: str) -> dict[str, Any]:
        home = str(self.house.home.folder)
        command = [sys.executable, "-m", "navicert", "--home", home, "show", receipt_id, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        found: dict[str, Any] = json.loads(done.stdout)["receipts"][0]
        return found

    def token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token by the server's own key, as the server would issue it but for these changes."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": self.resource, "sub": "u-17", "client_id": "desk", "jti": "t", "iat": now - 60,
            "exp": now + 300, "scope": "notes.*",
        } | changes  # fmt: skip
        return signed({"alg": "ES256", "typ": "at+jwt", "kid": "a"} | (header or {}), json.dumps(claims).encode(), KEY)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Gateway]]:
    with peers.authorization(KEYS) as issuer:
        site = Site(tmp_path_factory.mktemp("site"), issuer)
        try:
            with site.house.gateway(listen=site.listen) as gateway:
                yield site, gateway
        finally:
            site.house.close()


@pytest.fixture
def site(shared: tuple[Site, Gateway]) -> Site:
    shared[0].house.forget()
    return shared[0]


@pytest.fixture
def gateway(site: Site, shared: tuple[Site, Gateway]) -> Gateway:
    return shared[1]


def shows(token: str) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {token}"}


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize(
    ("mode", "version"), [("legacy", HANDSHAKE), ("auto", STATELESS), (STATELESS, STATELESS), (None, HANDSHAKE)]
)
def test_the_official_client_finds_out_where_to_sign_in_and_calls(
    site: Site, gateway: Gateway, mode: str | None, version: str
) -> None:
    found = peers.signed_in(site.resource, mode=mode)
    assert found["version"] == version
    assert not found["results"][0].get("isError"), found
    (token,) = found["tokens"]
    claims = claims_of(token)
    assert (claims["aud"], claims["iss"], claims["scope"]) == (site.resource, site.issuer, "notes.*")
    receipt = site.shown(found["results"][0]["_meta"]["navicert/receipt"])
    assert receipt["requester"]["human"] == f"{site.issuer}|u-17"
    assert receipt["requester"]["agent"] == found["registered"]
    assert (receipt["requester"]["scope"], receipt["requester"]["identity"]) == (["notes.*"], "verified")
    human, agent = receipt["decision"]["evaluated"]["evidence"]
    assert [item["subject"] for item in (human, agent)] == [f"{site.issuer}|u-17", found["registered"]]
    for item in (human, agent):
        assert (item["method"], item["issuer"], item["keys_source"]) == ("jwt", site.issuer, f"{site.issuer}/jwks")
        assert item["token"] == hashlib.sha256(token.encode()).hexdigest()
    assert len(site.house.seen()) == 1
    assert token not in json.dumps(site.house.records())
    assert {item["headers"]["authorization"] for item in site.house.seen("POST")} == {"Bearer upstream-secret"}


def test_the_official_client_goes_on_in_its_session_with_a_token_that_it_refreshed(tmp_path: Path) -> None:
    with peers.authorization(KEYS, lasting_s=1) as issuer:
        site = Site(tmp_path, issuer)
        try:
            with site.house.gateway(listen=site.listen):
                for mode in ("legacy", None):
                    before = len(site.decided())
                    found = peers.signed_in(site.resource, "refresh", mode=mode)
                    assert not any(result.get("isError") for result in found["results"])
                    assert len(set(found["tokens"])) == 2
                    receipts = site.decided()[before:]
                    assert len(receipts) == len(found["results"])
                    assert len({item.session.id for item in receipts}) == 1
                    shown = site.shown(receipts[-1].receipt_id)["decision"]["evaluated"]["evidence"]
                    assert shown[0]["token"] == hashlib.sha256(found["tokens"][-1].encode()).hexdigest()
        finally:
            site.house.close()


def granted(issuer: str, resource: str) -> str:
    """Get a token as a client alone, with nobody who signed in (client credentials)."""
    web = http.client.HTTPConnection(urlsplit(issuer).netloc, timeout=30)

    def posts(path: str, body: str, kind: str) -> dict[str, Any]:
        web.request("POST", path, body, {"Content-Type": kind})
        found: dict[str, Any] = json.loads(web.getresponse().read())
        return found

    try:
        me = {"grant_types": ["client_credentials"], "redirect_uris": [], "response_types": []}
        me |= {"token_endpoint_auth_method": "client_secret_post"}
        client = posts("/reg", json.dumps(me), "application/json")
        asked = {name: client[name] for name in ("client_id", "client_secret")} | {"resource": resource}
        asked |= {"grant_type": "client_credentials", "scope": "notes.*"}
        return str(posts("/token", urlencode(asked), "application/x-www-form-urlencoded")["access_token"])
    finally:
        web.close()


def refused(site: Site, gateway: Gateway, token: str) -> bool:
    """Tell whether a token is turned away, before anything is asked of the server."""
    site.house.forget()
    reply = gateway.asks("tools/call", name="read_note", arguments={"path": "a"}, more=shows(token))
    if reply.status == 200:
        assert not reply.message()["result"].get("isError")
        return False
    assert (reply.status, site.house.asked()) == (401, [])
    assert reply.headers["www-authenticate"].endswith('scope="notes.*", error="invalid_token"')
    return True


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example/mcp"},
        {"aud": ["https://other.example/mcp"]},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 60},
        {"header": {"typ": "jwt"}},
        {"header": {"kid": "b"}},
        {"sub": "desk"},
    ],
)
def test_a_token_of_the_servers_own_key_that_is_not_for_us_is_turned_away(
    site: Site, gateway: Gateway, changes: dict[str, Any]
) -> None:
    assert not refused(site, gateway, site.token())
    assert refused(site, gateway, site.token(**changes))


def test_a_token_that_nobody_signed_is_turned_away(site: Site, gateway: Gateway) -> None:
    _, claims, signature = site.token().split(".")
    for header in ({"alg": "none", "typ": "at+jwt"}, {"alg": "none", "typ": "at+jwt", "kid": "a"}):
        bare = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        for end in ("", signature):
            assert refused(site, gateway, f"{bare}.{claims}.{end}")
    assert refused(site, gateway, f"{site.token().rpartition('.')[0]}.")
    assert not refused(site, gateway, site.token())


def test_a_token_of_another_issuer_with_the_same_key_and_one_without_a_person_are_turned_away(
    site: Site, gateway: Gateway
) -> None:
    with peers.authorization(KEYS) as other:
        theirs = granted(other, site.resource)
    ours = granted(site.issuer, site.resource)
    for token, issuer in ((theirs, other), (ours, site.issuer)):
        assert (claims_of(token)["iss"], claims_of(token)["aud"]) == (issuer, site.resource)
        assert refused(site, gateway, token)


def test_what_the_tokens_scope_leaves_out_is_denied_and_recorded(site: Site, gateway: Gateway) -> None:
    more = shows(site.token(scope="notes.read_note"))
    assert not gateway.calls("read_note", path="a", more=more).get("isError")
    assert gateway.calls("write_note", n=1, more=more)["_meta"]["navicert/reason"] == "out_of_scope"
    assert [item.decision.result for item in site.decided()[-2:]] == ["ALLOW", "DENY"]
    assert len(site.house.seen()) == 1
