"""An issuer of access tokens for tests: real keys, real signatures, and a web server on this machine."""

from __future__ import annotations

import base64
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from navicert.adapters.identity.token import TokenIdentity
from navicert.config import TokenConfig
from navicert.core.times import rfc3339
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.testing.clock import START

ISSUER, AUDIENCE = "https://idp.example", "https://orders.example"
HUMAN = f"{ISSUER}|u-17"
NOW = START // 1_000_000


def make_key(algorithm: str = "ES256") -> Any:
    if algorithm in {"EdDSA", "Ed25519"}:
        return OKPKey.generate_key("Ed25519")
    if algorithm.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[algorithm])
    return RSAKey.generate_key(2048)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, Any], payload: bytes, key: Any) -> str:
    """Sign whatever is asked for: an attacker follows no rules."""
    message = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    algorithm = "Ed25519" if header["alg"] == "EdDSA" else header["alg"]
    return f"{message}.{b64(JWSRegistry.algorithms[algorithm].sign(message.encode(), key))}"


class Issuer:
    """Issues tokens by its newest key; `keys` are those that it publishes."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.keys: dict[str, Any] = {}
        self.rotate("k1")

    def rotate(self, kid: str) -> None:
        """Publish one new key instead of those before."""
        self.kid = kid
        self.keys = {kid: make_key(self.algorithm)}

    def token(self, *, header: dict[str, Any] | None = None, without: str = "", **changes: Any) -> str:
        """Return a token of the usual kind, but for these changes."""
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "u-17",
            "azp": "assistant",
            "client_id": "assistant",
            "jti": "t-1",
            "iat": NOW,
            "exp": NOW + 300,
            "scope": "crm.* email.send",
            "roles": ["support"],
        }
        claims = {name: value for name, value in (claims | changes).items() if name != without}
        whole = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.kid} | (header or {})
        whole = {name: value for name, value in whole.items() if name != without}
        return signed(whole, json.dumps(claims).encode(), self.keys[self.kid])

    def published(self) -> list[dict[str, Any]]:
        """Return the public keys as JWKs."""
        return [key.as_dict(private=False) | {"kid": kid, "use": "sig"} for kid, key in self.keys.items()]

    def publish(self, folder: Path) -> None:
        """Write the key set to `keys.json` in one step."""
        replace(folder / "keys.json", {"keys": self.published()})


def replace(path: Path, document: Any) -> None:
    """Write a JSON file beside, and put it in place."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(document))
    beside.replace(path)


def revoked(at: int = START, **lists: list[str]) -> dict[str, Any]:
    return {"issued_at": rfc3339(at), "revoked": lists}


def make_config(**changes: Any) -> TokenConfig:
    return TokenConfig(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": "keys.json"} | changes)


def verifying(folder: Path, **changes: Any) -> TokenIdentity:
    return TokenIdentity(make_config(**changes), folder, "orders")


def verify(
    verifier: TokenIdentity, token: str | None, now: int = START, delegation: tuple[Delegation, ...] = (), **claims: Any
) -> ActionIdentity:
    return verifier.verify(Claims(token=token, **claims), "ses_1", delegation, now)


class Web:
    """A web server on this machine. `pages`: what each path answers; a page that is missing is 404."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Any] = {}
        self.moved: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked[self.path] += 1
                web.headers.append(dict(self.headers))
                if self.path in web.moved:
                    self.send_response(302)
                    self.send_header("Location", web.moved[self.path])
                    self.end_headers()
                    return
                page = web.pages.get(self.path)
                data = page if isinstance(page, bytes) else json.dumps(page).encode()
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.at = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@contextmanager
def web(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    server = Web(tls)
    try:
        yield server
    finally:
        server.stop()
