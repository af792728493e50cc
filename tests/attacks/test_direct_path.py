"""Around the gate: `navicert doctor --as-agent` finds every direct path, and none where there is none (R1.e)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import navicert
from faults.owners import OwnerProcess, a_home
from navicert.assemble import Home
from navicert.cli import main
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

AGENT = 65_534
SCRIPT = Path(__file__).with_name("as_agent.py")
SOURCE = str(Path(navicert.__file__).parents[1])
APART = ("--net",)
CODES = {"user", "powers", "sealed", "processes", "asking", "launch", "clients", "reach", "egress", "names", "proxy"}


def _apart() -> str:
    """Return why an agent cannot be set apart on this machine; nothing where it can."""
    if os.geteuid() != 0:
        return "only root can become another user"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else f"no namespace can be made: {tried.stderr.decode().strip()}"


def _speaks_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as sock, suppress(OSError):
        sock.bind(("::1", 0))
        return True
    return False


pytestmark = pytest.mark.skipif(bool(_apart()), reason=_apart())


class Upstream(BaseHTTPRequestHandler):
    """A server that answers whoever comes."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[Callable[..., int]]:
    """Listen on an address of this machine, and return the port."""
    made: list[ThreadingHTTPServer] = []

    def listen(host: str = "127.0.0.1") -> int:
        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        made.append(Server((host, 0), Upstream))
        threading.Thread(target=made[-1].serve_forever, daemon=True).start()
        return made[-1].server_address[1]

    yield listen
    for item in made:
        item.shutdown()
        item.server_close()


class Place:
    """A deployment that is set apart as the how-to says, an upstream, and a place that stands for outside."""

    def __init__(self, folder: Path, listen: Callable[..., int]) -> None:
        self.folder = folder
        self.port, self.beyond = listen(), listen()
        self.users: dict[str, Any] = {"users": [AGENT]}
        (folder / "agent").mkdir()
        os.chown(folder / "agent", AGENT, AGENT)
        (folder / "run").mkdir(mode=0o755)
        (folder / "engine").mkdir(mode=0o755)

    def make(self, **servers: Server) -> Home:
        home = a_home(self.folder / "engine" / "home", socket=str(self.folder / "run" / "owner.sock"), **self.users)
        url = f"http://127.0.0.1:{self.port}/mcp?key=secret-of-the-url"
        write_server(home.folder, "crm", Server(url=url, headers={"Authorization": "secret-of-the-header"}))
        for name, server in servers.items():
            write_server(home.folder, name, server)
        self.home = home
        return home

    def probes(self, *outside: str) -> dict[str, Any]:
        args = [word for each in outside or (f"127.0.0.1:{self.beyond}",) for word in ("--outside", each)]
        result = CliRunner().invoke(main, ["--home", str(self.home.folder), "doctor", "--probes", *args])
        assert result.exit_code == 0, result.output
        probes: dict[str, Any] = json.loads(result.stdout)
        for each in probes["outside"]:  # a name that the operator's resolver knows
            each["host"] = "outside.example"
        return probes

    def look(
        self,
        probes: dict[str, Any],
        *args: str,
        uid: int = AGENT,
        spaces: tuple[str, ...] = APART,
        way: str = "plain",
        **env: str,
    ) -> dict[str, Any]:
        """Run the checks as the agent's user, in new namespaces."""
        file = self.folder / "probes.json"
        file.write_text(json.dumps(probes))
        command = [sys.executable, str(SCRIPT), str(uid), way, str(file), *args]
        done = subprocess.run(
            ["unshare", *spaces, *command],
            cwd=self.folder / "agent",
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder / "agent"), "PYTHONPATH": SOURCE, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if found["errors"] or found["unknown"] else 0)
        return found


@pytest.fixture
def place(listener) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="navicert-"))
    folder.chmod(0o755)
    yield Place(folder, listener)
    shutil.rmtree(folder)


@pytest.fixture
def up(place) -> Iterator[Callable[[], None]]:
    """Start the owner of the place."""
    made: list[OwnerProcess] = []
    yield lambda: made.append(OwnerProcess(place.home))
    for item in made:
        item.end()


def bad(found: dict[str, Any], *levels: str) -> dict[str, str]:
    """Return what was found, by code: of errors, and of what was not measured."""
    items = [item for item in found["findings"] if item["level"] in (levels or ("error", "unknown"))]
    return {
        code: "; ".join(item["what"] for item in items if item["code"] == code) for code in {i["code"] for i in items}
    }


def test_an_agent_that_is_set_apart_has_no_path_around_the_gate(place, up):
    place.make(disk=Server(command=("no-such-server",)))
    up()

    found = place.look(place.probes())
    assert bad(found) == {}
    assert bad(found, "ok", "note").keys() == CODES
    assert found["warnings"] == 0


def test_processes_of_another_pid_namespace_are_out_of_reach(place, up):
    # seen to fail: with the pid namespace not compared
    place.make()
    up()

    (found,) = (
        item
        for item in place.look(place.probes(), spaces=(*APART, "--pid", "--fork", "--mount-proc"))["findings"]
        if item["code"] == "processes"
    )
    assert (found["level"], found["what"]) == ("ok", "no process of user 0 can be seen from here")


def test_a_server_that_the_agent_reaches_is_found_and_so_is_a_way_out(place, up):
    # seen to fail: with `reached` that returns nothing
    place.make()
    up()

    found = bad(place.look(place.probes(), spaces=()))
    assert found.keys() == {"reach", "egress"}
    assert "reaches `crm` directly, at 127.0.0.1" in found["reach"]
    assert "without credentials was answered with HTTP 401" in found["reach"]


@pytest.mark.skipif(not _speaks_ipv6(), reason="this machine has no IPv6, not even with itself")
def test_a_server_is_found_under_its_other_addresses_and_over_ipv6(place, listener):
    # seen to fail: with IPv4 alone; with the addresses of the name alone, for `other`
    place.make()
    place.port = listener("::")  # takes IPv4, too
    other = next((each for each in _addresses() if each != "127.0.0.1"), None)
    write_server(place.home.folder, "crm", Server(url=f"http://[::1]:{place.port}/mcp"))

    reached = bad(place.look(place.probes(), spaces=()))["reach"]
    assert "directly, at ::1" in reached
    if other is not None:
        assert other in reached


def _addresses() -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if sock.connect_ex(("192.0.2.1", 9)):
            return []
        return [sock.getsockname()[0]]


@pytest.mark.parametrize("way", ["root", "saved"])
def test_who_is_the_engines_user_or_can_become_root_is_not_apart(way, place, up):
    # seen to fail: with the effective capabilities alone, for `saved`; with no look at user ids, for `root`
    place.make()
    up()

    found = bad(place.look(place.probes(), uid=0 if way == "root" else AGENT, way="plain" if way == "root" else way))
    assert found.keys() >= ({"user", "powers", "sealed", "processes", "asking"} if way == "root" else {"powers"})
    assert "CAP_SYS_PTRACE" in found["powers"]


@pytest.mark.parametrize(
    ("open_it", "what"),
    [
        (lambda home: (home.folder.chmod(0o711), home.keys.chmod(0o711), home.receipt_key.chmod(0o644)), "read"),
        (lambda home: (home.folder.chmod(0o711), (home.folder / "mcp.json").chmod(0o640), _give(home)), "read"),
        (lambda home: home.folder.parent.chmod(0o777), "replaced"),
    ],
    ids=["key", "servers", "folder-above"],
)
def test_a_home_that_the_agent_can_reach_into_is_found(open_it, what, place, up):
    # seen to fail: with no look at the folders above, for `folder-above`; with none at what can be read, for the others
    place.make()
    up()
    probes = place.probes()
    open_it(place.home)

    found = bad(place.look(probes))
    assert found.keys() == {"sealed"}
    assert what in found["sealed"]


def _give(home: Home) -> None:
    os.chown(home.folder / "mcp.json", -1, AGENT)


def test_an_agent_that_may_answer_for_people_is_found(place, up):
    # seen to fail: with `ListWaits` left out
    place.users = {"people": [AGENT]}
    place.make()
    up()

    found = bad(place.look(place.probes()))
    assert found.keys() == {"asking"}
    assert "ListWaits was answered" in found["asking"]


def test_a_server_that_the_agent_can_launch_itself_is_found_unless_something_is_kept_from_it(place, up):
    # seen to fail: with `needs` left out; with `closed` left out
    data = place.folder / "data"
    data.mkdir(mode=0o700)
    place.make(
        bare=Server(command=("/bin/cat", "/etc/hosts")),
        keyed=Server(command=("/bin/cat",), env={"API_KEY": "secret-of-the-entry"}),
        closed=Server(command=("/bin/cat", str(data))),
    )
    up()

    found = place.look(place.probes())
    assert bad(found) == {
        "launch": "`bare` can be launched here, around the gateway, and needs nothing that is kept from it"
    }
    assert "`keyed`" in bad(found, "warning")["launch"]
    assert "without API_KEY" in bad(found, "warning")["launch"]


def test_a_server_whose_program_the_agent_can_change_is_found(place, up):
    # seen to fail: with no look at `written`
    program = place.folder / "agent" / "server.py"
    program.write_text("")
    place.make(disk=Server(command=(sys.executable, str(program)), env={"KEY": "x"}))
    up()

    assert "launched from what can be changed here" in bad(place.look(place.probes()))["launch"]


def test_a_client_that_goes_around_the_gateway_is_found(place, up):
    # seen to fail: with the first level of a file alone
    place.make()
    up()
    probes, agent = place.probes(), place.folder / "agent"
    behind = {"command": "/usr/bin/python3", "args": ["-m", "navicert", "--home", "/x", "mcp", "crm"]}
    (agent / ".mcp.json").write_text(json.dumps({"mcpServers": {"crm": behind}}))
    assert bad(place.look(probes)) == {}

    (agent / ".client.json").write_text(json.dumps({"projects": {"/desk": {"mcpServers": {"fs": {"command": "fs"}}}}}))
    assert "`fs` is launched directly" in bad(place.look(probes))["clients"]

    (agent / ".client.json").unlink()
    named = place.folder / "client.json"
    named.write_text(json.dumps({"servers": {"crm": {"type": "http", "url": f"http://127.0.0.1:{place.port}/mcp"}}}))
    assert "around the gateway" in bad(place.look(probes, "--client", str(named)))["clients"]
    named.write_text("{")
    assert "not measured" in bad(place.look(probes, "--client", str(named)))["clients"]


def test_what_nobody_could_do_is_not_measured_and_is_no_pass(place, listener):
    # seen to fail: with `answers` taken for true; with a pass where no process is seen; with errors alone counted
    place.make()
    home, gone = place.home, socket.socket()
    gone.bind(("127.0.0.1", 0))
    write_server(home.folder, "crm", Server(url=f"http://127.0.0.1:{gone.getsockname()[1]}/mcp"))  # nobody listens
    probes = place.probes() | {"outside": [], "uid": 4_200_000}

    found = place.look(probes)
    assert bad(found, "unknown").keys() == {"reach", "egress", "names", "processes"}
    assert found["unknown"] == 4
    assert found["errors"] == 0
    gone.close()


def test_probes_hold_no_secret_and_none_that_would_prove_nothing(place):
    # seen to fail: with the whole URL as the host of a server; with places outside that do not answer taken
    place.make(disk=Server(command=("/bin/cat",), env={"API_KEY": "secret-of-the-entry"}))
    assert "secret" not in json.dumps(place.probes())

    args = ["--home", str(place.home.folder), "doctor", "--probes", "--outside"]
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        result = CliRunner().invoke(main, [*args, f"127.0.0.1:{gone.getsockname()[1]}"])
    assert result.exit_code == 6
    assert "does not answer from here either" in result.stderr
    assert CliRunner().invoke(main, [*args, "no-port"]).exit_code == 3
