"""A launched server behind the gateway over HTTP (R1): whose its answers are, how long it lives, what its end does.

Every refusal stands beside its benign twin. What the server was asked is read from its own record.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import navicert
from faults.owners import a_home
from faults.support import eventually
from gateway import peers
from gateway.http_wire import ASKING, HANDSHAKE, STATELESS, Gateway, WebHouse
from gateway.http_wire import POLICY as RULES
from gateway.peers import client, conformance, listening, text
from gateway.test_http_peers import POLICY, differing, showing, through
from gateway.wire import ECHO, PATIENCE_S, House, text_of
from navicert.config import FILE, read_config
from navicert.gateway import child as limits
from navicert.gateway.child import Child, Line
from navicert.gateway.doors import Standings, make_door
from navicert.gateway.look import look
from navicert.gateway.message import Kind, Message, request
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server
from navicert.gateway.side import NotSent
from unit.adapters.issuer import AUDIENCE, ISSUER, Issuer


class Served(House):
    """A home with the server `notes`, launched, and served over HTTP."""

    gateway = WebHouse.gateway
    token = WebHouse.token

    def __init__(self, folder: Path, **fields: Any) -> None:
        super().__init__(folder, policy=RULES + ASKING, **fields)


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, Gateway]]:
    house = Served(tmp_path_factory.mktemp("served"))
    with house.gateway() as gateway:
        yield house, gateway


@pytest.fixture
def house(shared: tuple[Served, Gateway]) -> Served:
    shared[0].behaves("")
    shared[0].forget()
    return shared[0]


@pytest.fixture
def gateway(house: Served, shared: tuple[Served, Gateway]) -> Gateway:
    return shared[1]


def pid(speaker: Any, **more: Any) -> int:
    """The process of the server behind this connection. The house has to behave accordingly."""
    return int(text_of(speaker.calls("read_note", **more)))


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- one server


def test_a_launched_server_is_judged_and_receipted_over_http_in_both_revisions(house: Served, gateway: Gateway) -> None:
    before = len(house.judged())
    assert text_of(gateway.calls("read_note", path="a")) == '{"path": "a"}'
    assert gateway.calls("delete_note", path="a")["isError"]
    with gateway.connection() as session:
        assert session.said["instructions"] == "be kind"
        assert text_of(session.calls("read_note", path="a")) == '{"path": "a"}'
        assert session.calls("delete_note", path="a")["isError"]
    found = [
        ("notes.read_note", "ALLOW", "posture"),
        ("notes.delete_note", "DENY", "rule"),
    ]
    assert house.judged()[before:] == found * 2
    assert [item["name"] for item in house.asked_for()] == ["read_note", "read_note"]


def test_two_requests_of_the_same_id_each_get_their_own_answer(house: Served, gateway: Gateway) -> None:
    # seen to fail: with the requests' own ids
    house.behaves("late")
    found: list[Any] = []
    bodies = [gateway.body("tools/call", name="read_note", arguments={"path": path}) | {"id": 7} for path in "ab"]

    def call(body: dict[str, Any]) -> None:
        headers = {
            "Mcp-Protocol-Version": STATELESS,
            "Mcp-Method": "tools/call",
            "Mcp-Name": "read_note",
        }
        found.append(gateway.sends(body, **headers).message())

    first = threading.Thread(target=call, args=[bodies[0]])
    first.start()
    eventually(lambda: len(house.asked_for()) == 1, PATIENCE_S)
    call(bodies[1])
    first.join(PATIENCE_S)
    assert [answer["id"] for answer in found] == [7, 7]
    assert {text_of(answer["result"]) for answer in found} == {
        "what was asked before",
        '{"path": "b"}',
    }
    ids = [json.loads(line)["id"] for line in house.asked() if b"read_note" in line]
    assert len(set(ids)) == 2


def test_progress_reaches_the_request_whose_it_is_under_its_own_token(house: Served, gateway: Gateway) -> None:
    # seen to fail: without the token put back
    house.behaves("progress")
    meta = {"progressToken": "mine"}
    mine = list(gateway.asks("tools/call", name="read_note", arguments={}, meta=meta).messages())
    assert [message["params"]["progressToken"] for message in mine[:-1]] == ["mine"]
    assert house.asked_for()[0]["_meta"]["progressToken"] != "mine"
    stranger = list(gateway.asks("tools/call", name="read_note", arguments={"token": 99}, meta=meta).messages())
    assert len(stranger) == 1


def test_a_caller_who_hangs_up_cancels_by_the_id_that_the_server_knows(house: Served, gateway: Gateway) -> None:
    # seen to fail: with the caller's id in the notification
    house.behaves("on demand")
    whole: list[Any] = []
    other = threading.Thread(target=lambda: whole.append(gateway.calls("read_note", path="other")))
    other.start()
    eventually(lambda: len(house.asked_for()) == 1, PATIENCE_S)
    body = gateway.body("tools/call", name="read_note", arguments={"path": "gone"})
    hang_up(gateway, body)
    gone_at = time.monotonic()
    eventually(lambda: time.monotonic() > gone_at + 1, PATIENCE_S)  # noticed within a tenth of a second; shown nowhere
    house.behaves("")
    other.join(PATIENCE_S)
    assert "isError" not in whole[0]
    eventually(lambda: bool(house.asked_for("notifications/cancelled")), PATIENCE_S)
    gone = next(json.loads(line)["id"] for line in house.asked() if b'"gone"' in line)
    assert [each["requestId"] for each in house.asked_for("notifications/cancelled")] == [gone]


def hang_up(gateway: Gateway, body: dict[str, Any]) -> None:
    """Send a request, and go away once the gateway has taken it."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    headers = {
        "Authorization": f"Bearer {gateway.house.token}", "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": STATELESS,
        "Mcp-Method": "tools/call", "Mcp-Name": "read_note",
    }  # fmt: skip
    before = len(gateway.house.receipts())
    connection.request("POST", "/mcp", json.dumps(body), headers)
    eventually(lambda: len(gateway.house.receipts()) > before, PATIENCE_S)
    connection.sock.close()
    connection.close()


def test_a_server_that_asks_for_something_by_itself_is_refused_where_the_revision_has_no_such_requests(
    house: Served, gateway: Gateway
) -> None:
    house.behaves("asks back")
    messages = list(gateway.asks("tools/call", name="read_note", arguments={}).messages())
    assert [message.get("method") for message in messages] == [None]
    eventually(lambda: any(b"-32601" in line for line in house.asked()), PATIENCE_S)


# ----------------------------------------------------------------------------------------- whose it is, and when


def test_no_two_connections_of_a_handshake_share_a_server(house: Served, gateway: Gateway) -> None:
    # seen to fail: with one server for all, in `Ways.to`
    house.behaves("pid")
    with gateway.connection() as one, gateway.connection() as two:
        assert pid(one) != pid(two)
        assert pid(one) == pid(one)


def test_requests_that_stand_for_themselves_share_their_callers_server(house: Served, gateway: Gateway) -> None:
    house.behaves("pid")
    with gateway.connection() as session:
        assert pid(gateway) == pid(gateway) != pid(session)


def test_no_two_callers_share_a_server(tmp_path: Path) -> None:
    # seen to fail: with one server for all, in `Ways.to`
    house, issuer = Served(tmp_path), Issuer()
    config = house.home.folder / FILE
    lines = [line for line in config.read_text().splitlines() if not line.startswith("identity:")]
    identity = json.dumps({"issuer": ISSUER, "audience": AUDIENCE, "keys": "keys.json"})
    config.write_text("\n".join([*lines, f"identity: {identity}", ""]))
    issuer.publish(house.home.folder)
    now = int(time.time())
    times = {"iat": now, "exp": now + 300, "scope": "notes.*"}
    ours, theirs = issuer.token(**times), issuer.token(**times, sub="u-18", jti="t-2")
    house.behaves("pid")
    with house.gateway() as gateway:
        found = [pid(gateway, more={"Authorization": f"Bearer {token}"}) for token in (ours, theirs, ours)]
    assert found[0] == found[2] != found[1]


def test_a_server_ends_with_the_session_whose_it_was(house: Served, gateway: Gateway) -> None:
    house.behaves("pid")
    with gateway.connection() as other:
        with gateway.connection() as session:
            process, kept = pid(session), pid(other)
        eventually(lambda: not runs(process), PATIENCE_S)
        assert runs(kept)


def test_every_server_ends_with_the_gateway(tmp_path: Path) -> None:
    house = Served(tmp_path)
    house.behaves("pid")
    with house.gateway() as gateway:
        session = gateway.connection()
        found = {pid(gateway), pid(session)}
        assert len(found) == 2
        assert all(map(runs, found))
    assert not any(map(runs, found))


# ---------------------------------------------------------------------------------------------------- its end


def test_a_server_that_ends_fails_who_waits_and_the_next_request_starts_it_anew(
    house: Served, gateway: Gateway
) -> None:
    # seen to fail: without the handshake repeated
    with gateway.connection() as session:
        for speaker in (gateway, session):
            house.behaves("pid")
            before = pid(speaker)
            house.behaves("dies")
            lost = speaker.calls("read_note", path="a")
            assert lost["isError"]
            assert "the server ended before it answered" in text_of(lost)
            house.behaves("pid")
            assert pid(speaker) != before
    assert [each["protocolVersion"] for each in house.asked_for("initialize")] == [HANDSHAKE] * 2
    assert len(house.asked_for("notifications/initialized")) == 2


def test_a_server_that_was_changed_meanwhile_is_not_started_anew(
    tmp_path: Path,
) -> None:
    # seen to fail: without the digest
    program = tmp_path / "served"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {ECHO} $1\n")
    program.chmod(0o755)
    house = Served(tmp_path / "house")
    entry = Server(command=(str(program), str(house.server_folder)))
    house.server = asyncio.run(look("notes", entry)).server
    house.attach()
    with house.gateway() as gateway:
        assert "isError" not in gateway.calls("read_note")
        house.behaves("dies")
        gateway.calls("read_note")
        house.behaves("")
        assert "isError" not in gateway.calls("read_note")  # the same is started anew
        house.behaves("dies")
        gateway.calls("read_note")
        house.behaves("")
        program.write_text(program.read_text() + "# another\n")
        house.forget()
        refused = gateway.calls("read_note")
    assert "has changed since it was accepted" in text_of(refused)
    assert house.asked() == []


def launched(folder: Path, running: set[Child], *, shared: bool = True) -> tuple[Child, Any]:
    """A server of its own, and what calls it: with its answer."""
    folder.mkdir()
    child = Child(
        Server(command=(sys.executable, "-I", "-S", str(ECHO), str(folder))),
        running,
        print,
        shared=shared,
    )

    async def call() -> Message:
        found: list[Message] = []

        async def take(message: Message) -> None:
            found.append(message)

        await Line(child, take).send(request("1", "tools/call", {"name": "read_note", "arguments": {}}))
        return found[-1]

    return child, call


def test_what_a_callers_requests_share_ends_with_their_session(tmp_path: Path) -> None:
    # seen to fail: without the children's end in `Standings.end`
    house = Served(tmp_path / "house")
    running: set[Child] = set()

    async def run(engine: Any) -> None:
        door = make_door(house.home, read_config(house.home.folder), human="ana", agent="assistant")
        standings = Standings(engine, house.home, door, {"notes": house.server})
        held = await standings.of(await door.admit(house.token))
        child, call = launched(tmp_path / "server", running)
        held.children["notes"] = child
        await call()
        assert running == {child}
        await standings.end(held.caller.name, "", print)
        assert running == set()

    with navicert.open(house.home.folder) as guard:
        asyncio.run(run(guard.engine))


def test_only_so_many_servers_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without `_make_room`
    monkeypatch.setattr(limits, "CHILDREN", 2)

    async def run() -> None:
        running: set[Child] = set()
        own, call_own = launched(tmp_path / "own", running, shared=False)
        first, call_first = launched(tmp_path / "first", running)
        second, call_second = launched(tmp_path / "second", running)
        third, call_third = launched(tmp_path / "third", running, shared=False)
        for call in (
            call_own,
            call_first,
            call_second,
        ):  # the first makes room for the second
            assert (await call()).kind is Kind.RESULT
        assert running == {own, second}
        assert (await call_third()).kind is Kind.RESULT  # and the second for the third
        with pytest.raises(NotSent, match="2 servers run already"):  # each of the others belongs to a connection
            await call_first()
        await third.end()
        assert (await call_first()).kind is Kind.RESULT
        for child in (own, first, second):
            await child.end()
        assert running == set()

    asyncio.run(run())


# ---------------------------------------------------------------------------------------------------- real peers


@contextmanager
def before_the_fixture(folder: Path) -> Iterator[str]:
    """Put the gateway before the conformance fixture over stdio; yield an address that needs no token."""
    home = a_home(folder / "home", policy=POLICY)
    entry = Server(command=tuple(peers.fixture_stdio()))
    write_server(home.folder, "fixture", asyncio.run(look("fixture", entry)).server)
    words = [
        "-m",
        "navicert",
        "--home",
        str(home.folder),
        "mcp",
        "fixture",
        "--listen",
        "127.0.0.1:0",
    ]
    ready = re.compile(r"serving http://127\.0\.0\.1:(\d+)")
    with ExitStack() as stack:
        port = stack.enter_context(listening([sys.executable, *words], ready))
        token = (home.keys / "mcp.token").read_text().strip()
        yield f"http://localhost:{stack.enter_context(showing(int(port), token))}/mcp"


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The conformance fixture over stdio, behind the gateway."""
    with before_the_fixture(tmp_path_factory.mktemp("fixture")) as shown:
        yield shown


def test_a_server_that_is_launched_conforms_as_one_that_is_reached(fixture: str, tmp_path: Path) -> None:
    with peers.fixture() as url, through(tmp_path, url) as shown:
        reached, launched = (
            conformance(shown, STATELESS),
            conformance(fixture, STATELESS),
        )
    assert differing(reached, launched) == set()
    assert launched.passed == reached.passed


@pytest.mark.parametrize(
    "name",
    ["server-initialize", "tools-call-with-progress", "tools-call-with-logging", "tools-call-sampling",
     "tools-call-elicitation", "resources-subscribe"],
)  # fmt: skip
def test_a_server_that_is_launched_conforms_in_the_handshakes_revision(fixture: str, name: str) -> None:
    # Of the whole set those in which it matters that a server is launched: each scenario launches some, and the whole
    # takes minutes. `server-initialize` is not among them: it waits for its second launch for five seconds only.
    command = [
        *peers._from_npm("conformance"),
        "server",
        "--url",
        fixture,
        "--scenario",
        name,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_launched_server_asks_reaches_the_person_and_the_model(
    fixture: tuple[str, str],
) -> None:
    found = client(
        fixture,
        ("call_tool", {"name": "test_elicitation", "arguments": {"message": "who?"}}),
        ("call_tool", {"name": "test_sampling", "arguments": {"prompt": "say"}}),
        mode="legacy",
        answer={"action": "accept", "content": {"response": "ana"}},
        sample="said",
    )
    assert len(found["asked"]) == 2
    assert text(found["results"][1]) == "LLM response: said"
