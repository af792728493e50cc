"""The real peers of the gateway: public MCP servers, the unmodified official client, the official conformance suite.

`scripts/peers` installs them from locks into `.peers`. Where they are missing a test fails and says what to run.

A server over stdio is its launch command, a list, so that a gateway's own command can be put before it; over HTTP it
is a URL. `client` talks to either. The conformance suite speaks HTTP alone: its `server` command takes a URL and
nothing else. So `conformance(url, revision)` judges the SDK's fixture directly (`with fixture() as url`), and through
a gateway over HTTP by the URL of that gateway. No official suite drives a server over stdio; there, `client` with the
tools of `fixture_stdio()`, which is the same fixture, compares direct with through.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
PEERS: Final = HERE.parents[1] / ".peers"
FIXTURE: Final = PEERS / "sdk" / "examples" / "servers" / "everything-server"
HANDSHAKE: Final = "2025-11-25"
STATELESS: Final = "2026-07-28"


def _peer(*parts: str) -> str:
    """Return the path of a part of `.peers`; fail if they are not installed."""
    path = PEERS.joinpath(*parts)
    if not ((PEERS / "stamp").exists() and path.exists()):
        message = f"no {path.relative_to(PEERS.parent)}: the peers of these tests are missing; run `scripts/peers`"
        raise AssertionError(message)
    return str(path)


def _from_npm(package: str) -> list[str]:
    return [_peer("node"), _peer("npm", "node_modules", "@modelcontextprotocol", package, "dist", "index.js")]


def filesystem(folder: Path) -> list[str]:
    """The file server, over `folder` alone: TypeScript, version 1 of its SDK, the handshake era."""
    return [*_from_npm("server-filesystem"), str(folder)]


def everything() -> list[str]:
    """The server that shows every feature of the handshake era: TypeScript, version 1 of its SDK."""
    return [*_from_npm("server-everything"), "stdio"]


def git(repo: Path) -> list[str]:
    """The git server, over `repo` alone: Python, version 2 of its SDK, both eras."""
    return [_peer("python", "bin", "mcp-server-git"), "--repository", str(repo)]


def sqlite(db: Path) -> list[str]:
    """The database server, over the file `db`: Python, version 1 of its SDK, the handshake era."""
    return [_peer("legacy", "bin", "mcp-server-sqlite"), "--db-path", str(db)]


def fixture_stdio() -> list[str]:
    """The conformance fixture of the Python SDK over stdio: version 2, both eras."""
    _peer("sdk")
    start = f"import sys; sys.path.insert(0, {str(FIXTURE)!r}); from mcp_everything_server.server import mcp; mcp.run()"
    return [_peer("python", "bin", "python"), "-c", start]


@contextlib.contextmanager
def fixture() -> Iterator[str]:
    """Run the conformance fixture over HTTP on a free port of the loopback; yield its URL when it answers."""
    _peer("sdk")
    command = [_peer("python", "bin", "python"), "-m", "mcp_everything_server", "--port", "0", "--log-level", "WARNING"]
    with listening(command, re.compile(r"running on http://[\d.]+:(\d+)"), cwd=FIXTURE) as port:
        yield f"http://localhost:{port}/mcp"


@contextlib.contextmanager
def everything_http() -> Iterator[str]:
    """Run `everything` over HTTP on a port that was free just now; yield its URL when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*everything()[:-1], "streamableHttp"]
    with listening(command, re.compile(r"listening on port (\d+)"), env={"PORT": str(port)}):
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def authorization(keys: dict[str, Any], lasting_s: int = 300) -> Iterator[str]:
    """Run an authorization server (npm `oidc-provider`) on the loopback; yield its issuer.

    keys: its private keys, a JWK set. lasting_s: for how long its tokens are good.
    """
    command = [_peer("node"), str(HERE / "authorization_server.mjs"), _peer("npm", "node_modules")]
    env = {"KEYS": json.dumps(keys), "LASTING": str(lasting_s)}
    with listening(command, re.compile(r"listening on port (\d+)"), env=env) as port:
        yield f"http://127.0.0.1:{port}"


def signed_in(url: str, *more: str, mode: str | None = "auto") -> dict[str, Any]:
    """Have the official client sign in and call `read_note`; return what `signing_client.py` prints.

    mode: as in `client`; None: version 1 of the client. more: `refresh`.
    """
    python = _peer("python" if mode is not None else "legacy", "bin", "python")
    words = [python, str(HERE / "signing_client.py"), url, mode or "", *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def listening(
    command: list[str], ready: re.Pattern[str], cwd: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[str]:
    """Run a server until the block ends; yield group 1 of `ready`, which it writes to its log when it listens.

    Use it for a gateway too. The server's log is its standard error.
    """
    environment = os.environ | (env or {})
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        lines = []
        # A full pipe would stop the server, so somebody reads to the end.
        reader = threading.Thread(target=lambda: lines.extend(server.stderr), daemon=True)
        try:
            for line in server.stderr:
                lines.append(line)
                if found := ready.search(line):
                    break
            else:
                message = f"{command[0]} ended before it listened:\n{''.join(lines)}"
                raise AssertionError(message)
            reader.start()
            yield found[1]
        finally:
            server.terminate()
            if reader.ident:
                reader.join()


@functools.cache
def _client() -> subprocess.Popen[str]:
    """Start the client, once for the tests of a process: to import it takes longer than most of them."""
    command = [_peer("python", "bin", "python"), str(HERE / "client_script.py")]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(started.communicate)
    return started


def client(
    server: list[str] | str, *calls: tuple[str, dict[str, Any]], mode: str = "auto", **plan: Any
) -> dict[str, Any]:
    """Make `calls` over one connection to `server`; return what `client_script.py` prints, or fail if it broke.

    calls: (method of the official client, its arguments). mode: "auto", "legacy" or "2026-07-28". plan: the plan's
    `answer`, `sample`, `env`.
    """
    process = _client()
    try:
        process.stdin.write(json.dumps(plan | {"server": server, "mode": mode, "calls": calls}) + "\n")
        process.stdin.flush()
        found = json.loads(process.stdout.readline())
    except BaseException:
        # The answer that is still to come must not be read as that of the next plan.
        process.kill()
        _client.cache_clear()
        raise
    assert "broken" not in found, found["broken"] + found["log"]
    return found


def text(result: dict[str, Any]) -> str:
    """Return the text of a tool's result, its parts joined; fail if there was an error instead."""
    return "".join(part["text"] for part in result["result"]["content"])


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """What the official suite found.

    passed, failed: checks. scored: whether every scenario that the revision scores passed. scenarios: by the scenario's
    name, the outcome of each check as sorted (check, status) pairs: equal for two servers that behave alike.
    """

    passed: int
    failed: int
    scored: bool
    scenarios: dict[str, list[tuple[str, str]]]

    @property
    def failing(self) -> set[str]:
        """The names of the scenarios with a check that failed."""
        return {name for name, checks in self.scenarios.items() if any(status == "FAILURE" for _, status in checks)}


def conformance(url: str, revision: str) -> Conformance:
    """Run the frozen set of requirements of `revision` (`2025-11-25`, `2026-07-28`) against the server at `url`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *_from_npm("conformance"),
            "server",
            "--url",
            url,
            "--requirements",
            revision,
            "--output-dir",
            folder,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        scenarios = {
            # Each lies in a folder of its own: `server-NAME-TIME`.
            re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", path.parent.name): sorted(
                (check["id"], check["status"]) for check in json.loads(path.read_text())
            )
            for path in Path(folder).glob("*/checks.json")
        }
    assert scenarios, done.stdout + done.stderr
    count = Counter(status for checks in scenarios.values() for _, status in checks)
    return Conformance(
        passed=count["SUCCESS"], failed=count["FAILURE"], scored=done.returncode == 0, scenarios=scenarios
    )
