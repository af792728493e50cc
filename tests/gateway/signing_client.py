"""Sign in at an authorization server and call a tool, by the unmodified official client; `peers.signed_in` runs it.

It runs in `.peers/python` (mcp 2) and in `.peers/legacy` (mcp 1). From the address of the server alone, the client's
own OAuth finds out where to sign in, registers itself, and gets its token; a browser that follows redirects stands for
the person. Arguments: the address, the mode of `Client` (mcp 2), and `refresh` where it is to go on until the client
has got itself another token. Standard output, one JSON object: `version`, `results` on the wire, `tokens` in order,
`registered`, the id under which the client was registered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

try:
    import httpx2 as httpx
    from mcp.client.client import Client
    from mcp.shared.auth import AuthorizationCodeResult
except ImportError:
    import httpx
    from mcp import ClientSession

    Client = None

BACK = "http://127.0.0.1:9/back"
SECONDS = 60


class Storage:
    """What the client keeps. tokens: every access token, in order."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self._held: Any = None
        self.registered: Any = None

    async def get_tokens(self) -> Any:
        return self._held

    async def set_tokens(self, tokens: Any) -> None:
        self._held = tokens
        self.tokens.append(tokens.access_token)

    async def get_client_info(self) -> Any:
        return self.registered

    async def set_client_info(self, client_info: Any) -> None:
        self.registered = client_info


class Browser:
    """A person's: it keeps cookies, and follows redirects until one leads back to the client."""

    async def opens(self, address: str) -> None:
        async with httpx.AsyncClient() as web:
            while not address.startswith(BACK):
                answer = await web.get(address)
                assert answer.is_redirect, f"{address}: {answer.status_code} {answer.text}"
                address = urljoin(address, answer.headers["location"])
        self.found = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}

    async def comes_back(self) -> Any:
        if Client is None:
            return self.found["code"], self.found["state"]
        return AuthorizationCodeResult(**{name: self.found.get(name) for name in ("code", "state", "iss")})


@asynccontextmanager
async def connected(address: str, mode: str, web: Any) -> Any:
    """Yield the client and the revision that was agreed on."""
    if Client is not None:
        async with Client(streamable_http_client(address, http_client=web), mode=mode, cache=None) as client:
            yield client, client.protocol_version
        return
    async with (
        streamable_http_client(address, http_client=web) as (read, write, _),
        ClientSession(read, write) as client,
    ):
        yield client, (await client.initialize()).protocolVersion


async def run(address: str, mode: str, *more: str) -> dict[str, Any]:
    storage, browser = Storage(), Browser()
    me = OAuthClientMetadata(
        redirect_uris=[BACK], client_name="tests", grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
    )  # fmt: skip
    signs_in = OAuthClientProvider(address, me, storage, browser.opens, browser.comes_back)
    results = []
    async with httpx.AsyncClient(auth=signs_in, timeout=30) as web, connected(address, mode, web) as (client, version):
        while True:
            answer = await client.call_tool("read_note", {"path": "a"})
            results.append(answer.model_dump(mode="json", by_alias=True, exclude_none=True))
            if "refresh" not in more or len(storage.tokens) > 1:
                break
    registered = storage.registered.client_id
    return {"version": version, "results": results, "tokens": storage.tokens, "registered": registered}


print(json.dumps(asyncio.run(asyncio.wait_for(run(*sys.argv[1:]), SECONDS))))  # noqa: T201 - this is its output
