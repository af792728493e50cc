"""`navicert doctor --as-agent`, where no second user is needed: names, proxies, sockets, usage."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest
from click.testing import CliRunner

from navicert.cli import main
from navicert.doctor import agent, network
from navicert.doctor.probes import FORMAT, Probes, Target, namespaces
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], int]]:
    """Listen, answer everybody the same, and return the port."""
    made: list[socket.socket] = []

    def listen(answer: bytes) -> int:
        sock = socket.create_server(("127.0.0.1", 0))
        made.append(sock)

        def loop() -> None:
            while True:
                try:
                    line, _ = sock.accept()
                except OSError:
                    return
                with line:
                    if line.recv(1024):
                        line.sendall(answer)

        threading.Thread(target=loop, daemon=True).start()
        return sock.getsockname()[1]

    yield listen
    for sock in made:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def probes(**fields: object) -> Probes:
    made = Probes(
        format=FORMAT, home="/desk/.navicert", uid=4_200_000, namespaces=namespaces(), sealed=(), fixed=(),
        socket="/desk/owner.sock",
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


OUTSIDE = Target(name="outside", host="outside.example", port=443, addresses=("192.0.2.1",), answers=True)


def test_a_name_that_is_resolved_is_a_way_out_and_one_of_this_machine_measures_nothing(monkeypatch):
    # seen to fail: with names of /etc/hosts asked for; with addresses taken for names
    monkeypatch.setattr(network, "resolved", lambda name: ("192.0.2.1",) if name == OUTSIDE.host else ())
    other = msgspec.structs.replace(OUTSIDE, host="nobody-knows.example")
    own = msgspec.structs.replace(OUTSIDE, host="localhost")
    literals = [
        msgspec.structs.replace(OUTSIDE, host=host) for host in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")
    ]

    for target, level in [
        (OUTSIDE, "error"),
        (other, "ok"),
        (own, "unknown"),
        *((each, "unknown") for each in literals),
    ]:
        assert [item.level for item in network.names_check(probes(outside=(target,)))] == [level], target.host


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", "error"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "warning"),
        (b"\x05\xff", "warning"),
    ],
)
def test_a_proxy_that_leads_out_is_found(answer, level, serve, monkeypatch):
    # seen to fail: with no answer taken for a way through
    monkeypatch.setenv("HTTPS_PROXY", f"http://ana:word@127.0.0.1:{serve(answer)}")

    (found,) = network.proxy_check(probes(outside=(OUTSIDE,)))
    assert found.level == level
    assert "word" not in json.dumps(found)


def test_a_proxy_that_cannot_be_reached_leads_nowhere(monkeypatch):
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{gone.getsockname()[1]}")
        assert [item.level for item in network.proxy_check(probes(outside=(OUTSIDE,)))] == ["ok"]


def test_the_socket_of_whoever_starts_programs_is_found(tmp_path, monkeypatch):
    # seen to fail: with a look at whether the file is there, for one that nobody listens at
    path = str(tmp_path / "docker.sock")
    monkeypatch.setattr(agent, "_MANAGERS", (path,))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        assert not any("can be connected to" in item.what for item in agent._powers(probes()))
        sock.listen()
        assert any("can be connected to" in item.what for item in agent._powers(probes()))


def test_a_check_that_fails_itself_has_measured_nothing(monkeypatch):
    # seen to fail: with `OSError` passed over
    def broken(_: Probes) -> Iterator[None]:
        raise OSError("no /proc here")
        yield

    monkeypatch.setattr(agent, "_processes", broken)
    found = {item.code: item for item in agent.run_checks_as_agent(probes())}
    assert (found["processes"].level, found["processes"].what) == ("unknown", "not measured: no /proc here")


def test_the_operators_own_doctor_is_as_it_was_and_points_here(read):
    found = {item["code"]: item for item in read("doctor")["findings"]}
    assert "--as-agent" in found["separation"]["do"]


def test_json_of_an_agents_look_has_the_documented_shape(home, run, tmp_path):
    write_server(home / ".navicert", "crm", Server(url="http://192.0.2.1:9/mcp"))
    file = tmp_path / "probes.json"
    file.write_bytes(msgspec.json.encode(probes()))

    found = json.loads(run("doctor", "--as-agent", str(file), "--json", code=1).stdout)
    assert found.keys() == {"format", "home", "errors", "warnings", "unknown", "findings"}
    assert found["format"] == "navicert/isolation/1"
    assert "not measured" in run("doctor", "--as-agent", str(file), code=1).output


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--outside", "example.com:443"), 2),
        (("--client", "x.json"), 2),
        (("--probes", "--as-agent", "x.json"), 2),
        (("--as-agent", "not-there.json"), 3),
    ],
)
def test_what_makes_no_sense_is_refused(args, code, home):
    assert CliRunner().invoke(main, ["--home", str(home), "doctor", *args]).exit_code == code


def test_probes_of_another_format_are_refused(tmp_path):
    file = tmp_path / "probes.json"
    file.write_bytes(msgspec.json.encode(probes(format="navicert/probes/2")))
    assert CliRunner().invoke(main, ["doctor", "--as-agent", str(file)]).exit_code == 3


def test_a_client_files_odd_shapes_are_no_fault(tmp_path, monkeypatch):
    # seen to fail: with `args` taken for a list whatever it is
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    odd = {
        "mcpServers": {"a": 1, "b": {"command": None, "args": 7}, "c": {"url": "no address"}, "d": {}},
        "servers": [],
    }
    (tmp_path / "mcp.json").write_text(json.dumps(odd))
    found = [(item.code, item.level) for item in agent._clients(probes(), ())]
    assert found == [("clients", "error"), ("clients", "warning")]
    (tmp_path / "mcp.json").write_text("// a comment\n{}")
    assert [item.level for item in agent._clients(probes(), ())] == ["unknown"]
