"""The gateway over streamable HTTP, by a real client on sockets, against a server that can lie (R1; cases B.6, B.7).

Every refusal stands beside its benign twin. What the server saw is read from its own record: headers and bodies.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from faults.owners import OwnerProcess
from faults.support import eventually
from gateway.http_wire import ASKING, HANDSHAKE, OWN, POLICY, STATELESS, Gateway, WebHouse
from gateway.wire import PATIENCE_S, Client, House, text_of
from navicert.gateway import line
from navicert.gateway.line import bind
from navicert.gateway.mirror import decoded, encoded


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebHouse, Gateway]]:
    house = WebHouse(tmp_path_factory.mktemp("web"))
    try:
        with house.gateway("--host", "gate.example") as gateway:
            yield house, gateway
    finally:
        house.close()


@pytest.fixture
def house(shared: tuple[WebHouse, Gateway]) -> WebHouse:
    shared[0].behaves("")
    shared[0].forget()
    return shared[0]


@pytest.fixture
def gateway(house: WebHouse, shared: tuple[WebHouse, Gateway]) -> Gateway:
    return shared[1]


@pytest.fixture
def own(tmp_path: Any) -> Iterator[WebHouse]:
    """A home of the test's own."""
    made = WebHouse(tmp_path)
    yield made
    made.close()


def code(reply: Any) -> tuple[int, int]:
    return reply.status, reply.message()["error"]["code"]


# ------------------------------------------------------------------------------------- what was judged is what goes on


def test_both_revisions_are_judged_and_receipted(house: WebHouse, gateway: Gateway) -> None:
    before = len(house.judged())
    assert text_of(gateway.calls("read_note", path="a")) == '{"path": "a"}'
    assert gateway.calls("delete_note", path="a")["isError"]
    with gateway.connection() as session:
        assert session.said["instructions"] == "be kind"
        assert text_of(session.calls("read_note", path="a")) == '{"path": "a"}'
        assert session.calls("delete_note", path="a")["isError"]
    assert (
        house.judged()[before:]
        == [
            ("notes.read_note", "ALLOW", "posture"),
            ("notes.delete_note", "DENY", "rule"),
        ]
        * 2
    )
    assert [item["params"]["name"] for item in house.seen()] == ["read_note", "read_note"]
    assert {item.action.surface for item in house.receipts() if item.kind == "decision"} == {"mcp-http-inferred"}


def test_resources_and_prompts_are_actions_too(house: WebHouse, gateway: Gateway) -> None:
    read = gateway.asks("resources/read", uri="note:ü").status
    assert read == 400  # a header cannot hold this as it is
    found = gateway.asks("resources/read", uri="note:ü", more={"Mcp-Name": encoded("note:ü")}).message()
    assert found["result"]["contents"][0]["text"] == "what it says"
    assert house.seen("resources/read")[0]["headers"]["mcp-name"] == encoded("note:ü")
    assert "result" in gateway.asks("prompts/get", name="hello").message()
    assert [name for name, _, _ in house.judged()[-2:]] == ["notes.resources-read", "notes.prompts-get"]
    for method in ("resources/list", "prompts/list", "server/discover"):
        assert "result" in gateway.asks(method).message()


def test_the_mirrored_headers_follow_a_modified_body(house: WebHouse, gateway: Gateway) -> None:
    # seen to fail: with the caller's own headers passed on
    gateway.calls("write_note", n=500)
    gateway.calls("write_note", n=5)
    changed, kept = house.seen()
    assert changed["params"]["arguments"] == {"n": 10}
    assert changed["headers"]["mcp-param-count"] == "10"
    assert kept["headers"]["mcp-param-count"] == "5"
    assert [item["headers"]["mcp-name"] for item in (changed, kept)] == ["write_note", "write_note"]


def test_nested_parameters_are_mirrored_by_their_path(house: WebHouse, gateway: Gateway) -> None:
    town = {"town": "Zürich"}
    assert gateway.asks("tools/call", name="read_note", arguments={"to": town}).status == 400
    more = {"Mcp-Param-Town": encoded("Zürich")}
    assert gateway.asks("tools/call", name="read_note", arguments={"to": town}, more=more).status == 200
    assert decoded(house.seen()[0]["headers"]["mcp-param-town"]) == "Zürich"


@pytest.mark.parametrize(
    "more",
    [
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": None},
        {"Mcp-Name": "delete_note"},
        {"Mcp-Name": None},
        {"Mcp-Name": "=?base64?cmVhZF9ub3Rl=?="},
        {"Mcp-Name": "=?base64?cmVhZF9ub3Rm?="},
        {"Mcp-Param-Count": "8"},
        {"Mcp-Param-Count": "seven"},
        {"Mcp-Param-Count": None},
        {"Mcp-Param-Town": "Basel"},
        {"Mcp-Protocol-Version": HANDSHAKE},
        {"Mcp-Protocol-Version": None},
    ],
)
def test_headers_that_do_not_fit_the_body_are_refused(
    house: WebHouse, gateway: Gateway, more: dict[str, str | None]
) -> None:
    before = house.judged()
    assert code(gateway.asks("tools/call", name="read_note", arguments={"n": 7}, more=more)) == (400, -32020)
    assert house.asked() == []
    assert house.judged() == before


@pytest.mark.parametrize(
    "more", [{"Mcp-Name": "=?base64?cmVhZF9ub3Rl?="}, {"Mcp-Param-Count": "7.0"}, {"Mcp-Param-Unheard-Of": "x"}]
)
def test_headers_that_fit_the_body_pass(house: WebHouse, gateway: Gateway, more: dict[str, str | None]) -> None:
    assert gateway.asks("tools/call", name="read_note", arguments={"n": 7}, more=more).status == 200
    (seen,) = house.seen()
    assert (seen["headers"]["mcp-name"], seen["headers"]["mcp-param-count"]) == ("read_note", "7")
    assert "mcp-param-unheard-of" not in seen["headers"]


def test_a_header_that_stands_twice_is_refused(house: WebHouse, gateway: Gateway) -> None:
    # two names that differ in case are one header
    assert gateway.asks("tools/call", name="read_note", more={"mcp-name": "read_note"}).status == 200
    body = gateway.body("tools/call", name="read_note", arguments={})
    twice = {"Mcp-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": "read_note"}
    assert gateway.sends(body, **twice).status == 200
    house.forget()
    lines = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.token}\r\n".encode()
    lines += b"Mcp-Name: delete_note\r\n"  # seen to fail: with the last of them taken
    lines += b"".join(f"{name}: {value}\r\n".encode() for name, value in twice.items())
    data = json.dumps(body).encode()
    lines += b"Content-Type: application/json\r\nAccept: */*\r\n"
    assert raw(gateway, lines + b"Content-Length: %d\r\n\r\n" % len(data) + data).startswith(b"HTTP/1.1 400")
    assert house.asked() == []


def raw(gateway: Gateway, data: bytes) -> bytes:
    """Send bytes as they are; returns what comes first."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as line:
        line.sendall(data)
        return line.recv(65_536)


def test_nothing_of_the_callers_request_travels_but_the_message(house: WebHouse, gateway: Gateway) -> None:
    # seen to fail: with the caller's headers merged into ours
    theirs = {
        "Cookie": "a=b", "X-Api-Key": "k", "Forwarded": "for=1", "Mcp-Session-Id": "x", "Accept-Encoding": "gzip",
        "Traceparent": "t", "Mcp-Param-Other": "o", "Last-Event-Id": "9", "User-Agent": "spy",
    }  # fmt: skip
    gateway.calls("read_note", more=theirs, path="a")
    gateway.calls("read_note", path="a")
    with gateway.connection(**{key: value for key, value in theirs.items() if key != "Mcp-Session-Id"}) as session:
        session.calls("read_note", path="a")
    assert len(house.records()) >= 6
    for item in house.seen("POST") + house.seen("DELETE"):
        headers = item["headers"]
        assert headers["authorization"] == "Bearer upstream-secret"
        assert headers["accept-encoding"] == "identity"
        assert headers["user-agent"] == "navicert"
        assert not headers.keys() & {
            "cookie",
            "x-api-key",
            "forwarded",
            "traceparent",
            "mcp-param-other",
            "last-event-id",
        }
        assert headers.get("mcp-session-id") not in {"x", session.id}
        assert house.token not in json.dumps(item)


# ------------------------------------------------------------------------------------------------- who may knock at all


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::2]", "", "10.0.0.1"]
)
def test_another_host_is_turned_away(house: WebHouse, gateway: Gateway, host: str) -> None:
    # seen to fail: without `_checked`
    assert gateway.asks("tools/call", name="read_note", more={"Host": host}).status in {400, 403}
    assert house.asked() == []


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "file:///x", "http://localhost.evil.example", "http://a@localhost:1"]
)
def test_another_origin_is_turned_away(house: WebHouse, gateway: Gateway, origin: str) -> None:
    # seen to fail: without `_checked`
    assert gateway.asks("tools/call", name="read_note", more={"Origin": origin}).status == 403
    assert house.asked() == []


@pytest.mark.parametrize(
    "more",
    [
        {"Host": "localhost:9"},
        {"Host": "[::1]:80"},
        {"Host": "GATE.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://gate.example"},
        {"Host": "127.0.0.9", "Origin": "http://127.0.0.1"},
    ],
)
def test_our_own_names_are_taken(house: WebHouse, gateway: Gateway, more: dict[str, str | None]) -> None:
    assert gateway.asks("tools/call", name="read_note", arguments={}, more=more).status == 200
    assert len(house.seen()) == 1


@pytest.mark.parametrize("shown", [None, "", "Bearer", "Bearer wrong", "Basic %s", "Bearer %s x", "%s", "Bearer %sx"])
def test_who_shows_no_token_of_ours_is_turned_away(house: WebHouse, gateway: Gateway, shown: str | None) -> None:
    # seen to fail: without `_admitted`
    more = {"Authorization": shown % house.token if shown and "%s" in shown else shown}
    for reply in (
        gateway.asks("tools/call", name="read_note", more=more),
        gateway.sends(None, http_method="GET", **more),
        gateway.sends(None, http_method="DELETE", **more),
    ):
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith('Bearer realm="navicert"')
        assert "resource_metadata" not in reply.headers["www-authenticate"]
    assert house.asked() == []
    assert gateway.asks("tools/list", more={"Authorization": f"bearer  {house.token}"}).status == 200


def test_the_launch_token_is_for_its_owner_alone(house: WebHouse, gateway: Gateway) -> None:
    assert (house.home.keys / "mcp.token").stat().st_mode & 0o777 == 0o600
    assert len(house.token) == 64
    assert gateway.sends(None, http_method="GET", path="/.well-known/oauth-protected-resource").status == 404


# ------------------------------------------------------------------------------------------------- what is no message


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', {}, 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":NaN}}', {}, 400),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', {}, 400),
        (b"hello", {}, 400),
        (b"", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', {}, 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Content-Type": "text/plain"}, 415),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Content-Type": None}, 415),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Content-Encoding": "gzip"}, 415),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Accept": "application/json"}, 406),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Mcp-Protocol-Version": "2031-01-01"}, 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', {"Mcp-Protocol-Version": STATELESS}, 400),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', {"Mcp-Protocol-Version": STATELESS}, 400),
        (b"[" * 100_000, {}, 400),
        (b'"' + b"x" * 9_000_000 + b'"', {}, 413),
    ],
)
def test_what_is_no_message_goes_nowhere(
    house: WebHouse, gateway: Gateway, body: bytes, more: dict[str, str | None], status: int
) -> None:
    assert gateway.sends(body, **more).status == status
    with gateway.connection() as session:
        house.forget()
        assert session.sends(body, **more).status == status
        assert house.asked() == []


def test_a_revision_of_the_future_is_told_which_there_are(gateway: Gateway) -> None:
    more = {"Mcp-Protocol-Version": "2031-01-01"}
    answer = gateway.asks("tools/list", meta={f"{OWN}protocolVersion": "2031-01-01"}, more=more)
    error = answer.message()["error"]
    assert (answer.status, error["code"]) == (400, -32022)
    assert error["data"] == {"supported": [STATELESS], "requested": "2031-01-01"}


def test_what_is_not_passed_on_says_so(house: WebHouse, gateway: Gateway) -> None:
    assert code(gateway.asks("tasks/list")) == (404, -32601)
    assert code(gateway.asks("subscriptions/listen", notifications={})) == (404, -32601)
    with gateway.connection() as session:
        house.forget()
        assert code(session.asks("subscriptions/listen", notifications={})) == (200, -32601)
        assert session.asks("tasks/list").message()["result"] == {"tasks": []}  # of this connection, and no other
        assert code(session.asks("resources/unsubscribe", uri="note:a")) == (200, -32602)
        assert code(session.asks("tools/list", cursor="the secret")) == (200, -32602)
    assert house.seen("POST") == []
    stateless = {"Mcp-Protocol-Version": STATELESS}
    assert gateway.sends(None, http_method="GET", **stateless).status == 405
    assert gateway.sends(None, http_method="PUT").status == 405
    assert gateway.sends(None, path="/other").status == 404
    assert (
        gateway.sends({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}, **stateless).status == 202
    )
    assert house.seen("POST") == []


# ---------------------------------------------------------------------------------------------- servers that misbehave


@pytest.mark.parametrize(
    ("how", "why", "is_known"),
    [
        ("dies", "not known", False),
        ("garbage", "cannot be read", False),
        ("another", "something else", False),
        ("page", "HTTP 200", False),
        ("big", "8388608 bytes", False),
        ("packed", "HTTP 200", False),
        ("500", "HTTP 500", False),
        ("401", "HTTP 401", True),
        ("redirects", "a redirect, which is not followed", True),
        ("stream of garbage", "cannot be read", False),
        ("stream without end", "8388608 bytes", False),
        ("stream that breaks", "not known", False),
    ],
)
def test_a_server_that_does_not_answer_is_an_error_and_never_a_pass(
    house: WebHouse, gateway: Gateway, how: str, why: str, is_known: bool
) -> None:
    house.behaves(how)
    result = gateway.calls("read_note", path=how)
    assert result["isError"] if "isError" in result else result["code"] == 5030, result
    assert why in text_of(result)
    assert [item["path"] for item in house.seen()] == ["/mcp"]
    house.behaves("")
    assert "isError" not in gateway.calls("read_note", path="a")
    assert ended(house, -2) is (False if is_known else None)


def ended(house: WebHouse, place: int) -> bool | None:
    """How the action of a decision ended, by the decision's place: None where it is open."""
    receipts = house.receipts()
    decided = [item for item in receipts if item.kind == "decision"][place]
    found = [item for item in receipts if item.kind == "outcome" and item.action.id == decided.action.id]
    return found[0].execution.success if found else None


def test_a_server_that_cannot_be_reached_is_an_error(own: WebHouse) -> None:
    with own.gateway() as gateway, gateway.connection() as session:
        assert "isError" not in gateway.calls("read_note", path="a")
        assert "isError" not in session.calls("read_note", path="a")
        own.close()
        assert "cannot be reached" in text_of(gateway.calls("read_note", path="a"))
        assert "cannot be reached" in text_of(session.calls("read_note", path="a"))
        assert gateway.asks("tools/list").message()["error"]["code"] == 5030


def test_a_stream_that_the_server_has_taken_up_later_is_taken_up(own: WebHouse) -> None:
    with own.gateway() as gateway, gateway.connection() as session:
        assert "isError" not in session.calls("read_note", path="a")
        own.behaves("stream to take up")
        # seen to fail: without `_resume`, the call is lost
        assert text_of(session.calls("read_note", path="b")) == '{"path": "b"}'
        (taken_up,) = own.seen("GET")
        assert taken_up["headers"]["last-event-id"] == "7"
        assert taken_up["headers"]["mcp-session-id"]
        assert taken_up["headers"]["authorization"] == "Bearer upstream-secret"
        # 2026-07-28 has nothing to take up: there the call is lost, and open
        assert "no answer came" in text_of(gateway.calls("read_note", path="c"))


def test_a_server_that_is_silent_for_too_long_is_an_error(own: WebHouse) -> None:
    own.attach(within_s=0.5)
    own.behaves("stalls")
    with own.gateway() as gateway:
        result = gateway.calls("read_note", path="a")
        assert result["isError"]
        assert "not known" in text_of(result)
        eventually(lambda: any("cancelled" in item for item in own.records()), PATIENCE_S)
        own.behaves("")
        assert "isError" not in gateway.calls("read_note", path="a")


def test_events_are_released_in_order_and_only_those_that_are_known(house: WebHouse, gateway: Gateway) -> None:
    house.behaves("stream")
    reply = gateway.asks("tools/call", name="read_note", arguments={"path": "a"})
    assert reply.streams
    assert "content-length" not in reply.headers
    progress, answer = reply.messages()
    assert progress["method"] == "notifications/progress"
    assert answer["result"]["_meta"]["navicert/receipt"].startswith("rcp_")


def test_an_answer_ends_its_stream_though_the_server_does_not(house: WebHouse, gateway: Gateway) -> None:
    house.behaves("stream that stays open")
    assert text_of(gateway.calls("read_note", path="a")) == '{"path": "a"}'


# ---------------------------------------------------------------------------------------------- clients that hang up


def test_a_client_that_hangs_up_cancels_and_leaves_the_action_open(house: WebHouse, gateway: Gateway) -> None:
    # seen to fail: without `watch`
    for how in ("stalls", "stream that stalls"):
        house.forget()
        house.behaves(how)
        with gateway.connection() as session:
            for ask in (gateway, session):
                before = len(house.judged())
                headers = {"Mcp-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": "read_note"}
                body = gateway.body("tools/call", name="read_note", arguments={"path": how})
                if ask is session:
                    del body["params"]["_meta"]
                    headers = {}
                hung_up(ask, body, headers, house)
                eventually(
                    lambda id_=body["id"]: any(item.get("cancelled") == id_ for item in house.records()), PATIENCE_S
                )
                house.behaves("")
                assert "isError" not in gateway.calls("read_note", path="a")
                assert (ended(house, -2), len(house.judged())) == (None, before + 2)
                house.behaves(how)
        assert [item["params"]["requestId"] for item in house.seen("notifications/cancelled")] == [body["id"]]


def hung_up(ask: Any, body: dict[str, Any], headers: dict[str, str], house: WebHouse) -> None:
    """Send a call, wait until the server has it, and hang up."""
    import http.client

    gateway = ask if isinstance(ask, Gateway) else ask.gateway
    session = {} if ask is gateway else {"Mcp-Session-Id": ask.id}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    whole = {
        "Authorization": f"Bearer {house.token}", "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }  # fmt: skip
    connection.request("POST", "/mcp", json.dumps(body).encode(), whole | session | headers)
    eventually(lambda: any(item.get("id") == body["id"] for item in house.seen()), PATIENCE_S)
    connection.close()


# ------------------------------------------------------------------------------------------------- 2025-11-25: sessions


def test_a_session_is_the_gateways_own_and_ends_with_delete(house: WebHouse, gateway: Gateway) -> None:
    with gateway.connection() as session:
        upstream = house.seen("notifications/initialized")[0]["headers"]["mcp-session-id"]
        assert upstream != session.id
        assert session.asks("tools/list").status == 200
        assert session.sends({"jsonrpc": "2.0", "id": 9, "method": "ping"}, Mcp_Session_Id=upstream).status == 404
        assert session.sends({"jsonrpc": "2.0", "id": 9, "method": "ping"}, Mcp_Session_Id=None).status == 400
        old = session.sends({"jsonrpc": "2.0", "id": 9, "method": "ping"}, Mcp_Protocol_Version="2025-06-18")
        assert old.status == 400
        assert session.ends().status == 204
        assert session.asks("tools/list").status == 404
        assert house.seen("DELETE")[0]["headers"]["mcp-session-id"] == upstream


def test_each_session_has_a_context_of_its_own(house: WebHouse, gateway: Gateway) -> None:
    with gateway.connection() as one, gateway.connection() as two:
        for ask in (one, two, one, gateway, gateway):
            ask.calls("read_note", path="a")
    found = [item.session.id for item in house.receipts() if item.kind == "decision"][-5:]
    assert found[0] == found[2] != found[1]
    assert found[3] == found[4]
    assert len(set(found)) == 3


def test_a_session_that_the_server_forgot_is_gone(house: WebHouse, gateway: Gateway) -> None:
    with gateway.connection() as session:
        house.behaves("forgets")
        assert session.asks("tools/call", name="read_note", arguments={}).status == 404
        house.behaves("")
        assert session.asks("tools/list").status == 404
    with gateway.connection() as session:
        assert session.asks("tools/list").status == 200


def test_the_servers_own_stream_is_looked_at_before_it_is_released(own: WebHouse) -> None:
    with own.gateway() as gateway, gateway.connection() as session:
        own.behaves("mute")
        assert session.listens().status == 405
        own.behaves("announces")
        stream = session.listens()
        assert stream.streams
        assert next(stream.messages())["method"] == "notifications/tools/list_changed"
        assert own.seen("tools/list")[-1]["headers"]["mcp-session-id"]
        assert session.listens().status == 409
        # the announcement came after the new list was looked at: what it changed is held back already
        assert "not available" in text_of(session.calls("read_note", path="a"))
        names = [tool["name"] for tool in session.asks("tools/list").message()["result"]["tools"]]
        assert names == ["write_note"]
        stream.hangs_up()
        own.behaves("mute")
        eventually(lambda: session.listens().status == 405, PATIENCE_S)


def test_what_a_server_asks_back_is_an_action(own: WebHouse) -> None:
    own.behaves("stream that asks")
    with own.gateway() as gateway, gateway.connection() as session:
        reply = session.asks("tools/call", name="read_note", arguments={})
        messages = list(reply.messages())
        assert "sampling/createMessage" not in [item.get("method") for item in messages]
        assert "undeclared" in json.dumps(messages) or "refused" in json.dumps(messages)


def test_what_a_server_asks_back_reaches_the_client_where_policy_permits(tmp_path: Any) -> None:
    tools = "tools:\n  notes.sampling-create: {effect: execute, returns: INTERNAL}\n"
    house = WebHouse(tmp_path, policy=POLICY.replace("tools:\n", tools) + ASKING)
    try:
        house.behaves("stream that asks")
        with house.gateway() as gateway, gateway.connection() as session:
            reply = session.asks("tools/call", name="read_note", arguments={})
            messages = reply.messages()
            assert next(messages)["method"] == "sampling/createMessage"
            answer = {
                "jsonrpc": "2.0",
                "id": 900,
                "result": {"role": "assistant", "content": {"type": "text", "text": "hi"}},
            }
            assert session.sends(answer).status == 202
            assert '"hi"' in json.loads(json.dumps(list(messages)[-1]["result"]["content"][0]["text"]))
    finally:
        house.close()


def test_a_handshake_that_fails_opens_nothing(own: WebHouse) -> None:
    # seen to fail: with the id on every answer to `initialize`
    me = {"name": "tests", "version": "1"}
    params = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": me}
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    with own.gateway() as gateway:
        assert "mcp-session-id" in gateway.sends(body).headers
        own.close()
        refused = gateway.sends(body)
        assert "error" in refused.message()
        assert "mcp-session-id" not in refused.headers


# ------------------------------------------------------------------------------------------------------------- the wire


def test_only_get_post_and_delete_are_answered_and_only_for_who_may(house: WebHouse, gateway: Gateway) -> None:
    for method in ("HEAD", "OPTIONS", "PATCH", "TRACE"):
        for extra in ({}, {"Origin": "http://localhost:1"}):
            reply = gateway.sends(None, http_method=method, **extra)
            assert (reply.status, reply.headers["allow"]) == (405, "POST, GET, DELETE")
            assert not [name for name in reply.headers if name.startswith("access-control-")]
        assert gateway.sends(None, http_method=method, Authorization=None).status == 401
        assert gateway.sends(None, http_method=method, Origin="https://evil.example").status == 403
    for origin in ("null", "", "http://localhost:1, null", "file://localhost"):
        assert gateway.asks("tools/list", more={"Origin": origin}).status == 403
    assert gateway.asks("tools/list", more={"Origin": "http://localhost:1"}).status == 200


def test_http_1_0_is_answered_and_then_over(house: WebHouse, gateway: Gateway) -> None:
    data = json.dumps(gateway.body("tools/call", name="read_note", arguments={"path": "a"})).encode()
    mirrored = f"MCP-Protocol-Version: {STATELESS}\r\nMcp-Method: tools/call\r\nMcp-Name: read_note\r\n"
    common = f"Authorization: Bearer {house.token}\r\nContent-Type: application/json\r\nAccept: */*\r\n{mirrored}"
    common += f"Content-Length: {len(data)}\r\n\r\n"
    for host, status in (("", b"403"), ("Host: localhost\r\n", b"200")):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as line:
            line.sendall(f"POST /mcp HTTP/1.0\r\n{host}{common}".encode() + data)
            answer = line.makefile("rb").read()  # to its end: the connection is closed
            assert answer.split(b" ", 2)[1] == status
    assert b"receipt" in answer


def test_a_head_that_does_not_come_in_time_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without `_watch` in `data_received`, and in `connection_made`
    monkeypatch.setattr(line, "HEAD_S", 0.3)

    async def app(scope: Any, ask: Any, say: Any) -> None:
        await ask()
        await asyncio.sleep(1.0)  # longer than a head may take: an answer may
        await say({"type": "http.response.start", "status": 204, "headers": [(b"content-length", b"0")]})
        await say({"type": "http.response.body"})

    async def scenario() -> None:
        with bind("127.0.0.1:0") as sock:
            server = line.Listener(app)
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            host, port = sock.getsockname()
            whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            try:
                for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", whole + b"GET / "):
                    reader, writer = await asyncio.open_connection(host, port)
                    writer.write(sent)
                    answered = await asyncio.wait_for(reader.read(), PATIENCE_S)
                    assert answered.count(b"HTTP/1.1 204") == sent.count(whole)
                    writer.close()
                reader, writer = await asyncio.open_connection(host, port)
                for _ in range(2):
                    writer.write(whole)
                    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
                writer.write(b"GET / ")  # and so the third of one connection
                assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
                writer.close()
            finally:
                server.should_exit = True
                await serving

    asyncio.run(scenario())


# ----------------------------------------------------------------------------------------------------- failures of ours


def test_without_its_engine_nothing_passes(own: WebHouse) -> None:
    owner = OwnerProcess(own.home)
    with own.gateway() as gateway, gateway.connection() as session:
        assert "isError" not in gateway.calls("read_note", path="a")
        assert "isError" not in session.calls("read_note", path="a")
        owner.process.kill()
        owner.process.communicate()
        own.forget()
        assert gateway.calls("read_note", path="a")["isError"]
        assert session.calls("read_note", path="a")["isError"]
        with pytest.raises(KeyError):  # no session is opened that could not be judged
            gateway.connection()
        assert own.seen() == []


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "example.com:80", "8080", "127.0.0.1:x", "127.0.0.1:70000"])
def test_it_listens_on_this_machine_only(house: WebHouse, listen: str) -> None:
    done = navicert(house, "mcp", "notes", "--listen", listen)
    assert done.returncode == 3
    assert "this machine" in done.stderr


@pytest.mark.parametrize("missing", ["aiohttp", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(house: WebHouse, missing: str) -> None:
    words = ["--home", str(house.home.folder), "mcp", "notes", "--listen", "127.0.0.1:0"]
    script = f"import sys; sys.modules[{missing!r}] = None; from navicert.cli import main; sys.exit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "install `navicert[gateway]`" in done.stderr


def navicert(house: House, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "navicert", "--home", str(house.home.folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# ------------------------------------------------------------------------------ standard input and output to an address


def test_a_client_over_standard_input_reaches_a_server_over_http(house: WebHouse, gateway: Gateway) -> None:
    with Client(house) as client:
        assert client.opens()["serverInfo"]["name"] == "http"
        assert client.tools() == ["read_note", "write_note"]  # deleting is refused, whatever is asked
        assert text_of(client.calls("write_note", n=50)) == '{"n": 10}'
        assert client.calls("delete_note")["isError"]
        house.behaves("stream")
        assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
        assert client.notice("notifications/progress")
        house.behaves("dies")
        assert "not known" in text_of(client.calls("read_note", path="a"))
        eventually(lambda: house.seen("GET"), PATIENCE_S)
        assert client.ends() == 0
    assert len({item["headers"]["mcp-session-id"] for item in house.seen() + house.seen("DELETE")}) == 1


def test_an_address_in_a_clients_configuration_is_put_behind_the_gateway_and_taken_out(tmp_path: Any) -> None:
    house = WebHouse(tmp_path / "desk")
    try:
        config = tmp_path / "client.json"
        entry = {"type": "http", "url": house.url, "headers": {"Authorization": "Bearer upstream-secret"}}
        config.write_text(json.dumps({"mcpServers": {"web": entry | {"note": "mine"}}}))
        assert navicert(house, "attach", str(config), "--accept").returncode == 0
        behind = json.loads(config.read_text())["mcpServers"]["web"]
        assert behind["args"][-2:] == ["mcp", "web"]
        assert "upstream-secret" not in config.read_text()
        assert house.url in navicert(house, "tools").stdout
        assert navicert(house, "tools", "web").returncode == 0
        house.behaves("changed")
        assert "changed" in navicert(house, "tools", "web").stdout
        assert navicert(house, "detach", str(config)).returncode == 0
        assert json.loads(config.read_text())["mcpServers"]["web"] == entry | {"note": "mine"}
        for wrong in ({"url": "http://evil.example/mcp"}, {"type": "sse"}, {"headers": {"A": "${input:key}"}}):
            config.write_text(json.dumps({"mcpServers": {"web": entry | wrong}}))
            assert navicert(house, "attach", str(config), "--accept").returncode in {2, 3}
            assert json.loads(config.read_text())["mcpServers"]["web"] == entry | wrong
    finally:
        house.close()
