"""The gateway over HTTP between real peers: the official client, public servers, and the official conformance suite."""

from __future__ import annotations

import asyncio
import re
import select
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults.owners import a_home
from gateway import peers
from gateway.peers import HANDSHAKE, STATELESS, client, conformance, listening, text
from navicert.gateway.look import look
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

POLICY = """\
policy: peers
version: 1
posture: declared_reads
tools:
  fixture.sampling-create: {effect: execute}
  fixture.elicitation-create: {effect: execute}
  fixture.roots-list: {effect: read}
rules:
  - id: everything
    match: {tool: fixture}
    decision: ALLOW
"""


@contextmanager
def through(folder: Path, url: str) -> Iterator[str]:
    """Put the gateway before a server; yield an address at which nothing but a token has to be added."""
    home = a_home(folder / "home", policy=POLICY)
    write_server(home.folder, "fixture", asyncio.run(look("fixture", Server(url=url))).server)
    words = ["-m", "navicert", "--home", str(home.folder), "mcp", "fixture", "--listen", "127.0.0.1:0"]
    with listening([sys.executable, *words], re.compile(r"serving http://127\.0\.0\.1:(\d+)")) as port:
        token = (home.keys / "mcp.token").read_text().strip()
        with showing(int(port), token) as shown:
            yield f"http://localhost:{shown}/mcp"


@contextmanager
def showing(port: int, token: str) -> Iterator[int]:
    """Add a token to every request to a port: the suite has no way to show one. One request for each connection."""

    class Shown(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                part = self.request.recv(65_536)
                if not part:
                    return
                head += part
            line, rest = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head, count=1).split(b"\r\n", 1)
            more = f"\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n".encode()
            with socket.create_connection(("127.0.0.1", port)) as above:
                above.sendall(line + more + rest)
                both = [self.request, above]
                while True:
                    for one in select.select(both, [], [])[0]:
                        data = one.recv(65_536)
                        if not data:
                            return
                        both[one is self.request].sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, address: object) -> None:
            """A peer that hangs up while something is written to it does no harm."""

    with Server(("127.0.0.1", 0), Shown) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The conformance fixture's own address, and the one through the gateway."""
    with peers.fixture() as url, through(tmp_path_factory.mktemp("fixture"), url) as shown:
        yield url, shown


def differing(direct: peers.Conformance, found: peers.Conformance) -> set[str]:
    return {name for name, checks in direct.scenarios.items() if found.scenarios.get(name) != checks}


def test_the_handshake_era_conforms_through_the_gateway_as_it_does_directly(fixture: tuple[str, str]) -> None:
    direct, found = (conformance(url, HANDSHAKE) for url in fixture)
    assert (direct.passed, direct.failed, direct.scored) == (84, 0, True)
    assert (found.passed, found.failed, found.scored) == (80, 0, True)
    # Both optional: an answer alone comes as JSON, and streams are not taken up again.
    assert differing(direct, found) == {"server-sse-multiple-streams", "server-sse-polling"}


def test_the_stateless_era_conforms_through_the_gateway_as_it_does_directly(fixture: tuple[str, str]) -> None:
    direct, found = (conformance(url, STATELESS) for url in fixture)
    assert (direct.passed, direct.failed, direct.scored) == (169, 25, True)
    assert (found.passed, found.failed, found.scored) == (170, 24, True)
    # The fixture knows no tasks; the gateway does, and says of a name that nobody was given that there is none.
    assert differing(direct, found) == {"tasks-dispatch-and-envelope"}


@pytest.mark.parametrize(("mode", "version"), [("legacy", HANDSHAKE), (STATELESS, STATELESS), ("auto", STATELESS)])
def test_the_official_client_sees_the_same_through_the_gateway(
    fixture: tuple[str, str], mode: str, version: str
) -> None:
    calls = [
        ("list_tools", {}),
        ("list_resources", {}),
        ("list_prompts", {}),
        ("call_tool", {"name": "test_simple_text", "arguments": {}}),
        ("read_resource", {"uri": "test://static-text"}),
        ("get_prompt", {"name": "test_simple_prompt"}),
    ]
    direct, found = (client(url, *calls, mode=mode) for url in fixture)
    assert (direct["version"], found["version"]) == (version, version)
    assert all("result" in answer for answer in found["results"]), found["results"]
    for one, two in zip(direct["results"], found["results"], strict=True):
        assert plain(one) == plain(two)


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what a gateway adds or must change: of resources, a list tells no more than what they are."""
    found = {key: value for key, value in answer["result"].items() if key not in {"_meta", "cacheScope"}}
    bare = [
        {key: item[key] for key in ("uri", "name", "mimeType") if key in item} for item in found.get("resources", ())
    ]
    return found | ({"resources": bare} if "resources" in found else {})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_public_server_of_the_older_era_is_reached_by_the_official_client(tmp_path: Path, mode: str) -> None:
    with peers.everything_http() as url, through(tmp_path, url) as shown:
        found = client(shown, ("call_tool", {"name": "echo", "arguments": {"message": "seven"}}), mode=mode)
    assert found["version"] == HANDSHAKE
    assert text(found["results"][0]) == "Echo: seven"
