"""Rounds and tasks over HTTP, where every request stands for itself: whose they are, and when they end (R1, R4)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from faults.support import eventually
from gateway.asking import CAPABILITIES, POLICY, TASKS, answered, outcomes, sent
from gateway.http_wire import Gateway, Reply, WebHouse
from gateway.wire import text_of
from navicert.config import FILE
from unit.adapters.issuer import AUDIENCE, ISSUER, Issuer

SERVER = Path(__file__).with_name("asking_server.py")
INVALID_PARAMS = -32602
MOST_OPEN = 128
ONE = {"rounds": [["elicit"]], "state": True}
LATER = {"meta": {CAPABILITIES: TASKS | {"elicitation": {}}}}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[WebHouse]:
    made = WebHouse(tmp_path, policy=POLICY % tmp_path, server=SERVER)
    yield made
    made.close()
    assert made.verified()["verified"] is True


def result(reply: Reply) -> dict[str, Any]:
    found = reply.message()
    return found.get("result") or found["error"]


def call(gateway: Gateway, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return result(gateway.asks("tools/call", name="ask", arguments=arguments, **more))


def about(gateway: Gateway, method: str, task: str, **more: Any) -> dict[str, Any]:
    given = {"more": {"Mcp-Name": task} | more.pop("more", {}), **LATER, **more}
    return result(gateway.asks(f"tasks/{method}", taskId=task, **given))


def test_a_request_goes_on_over_another_connection_and_once(house: WebHouse) -> None:
    with house.gateway() as gateway:
        more = answered(call(gateway, ONE))
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda _: call(gateway, ONE, **more), range(2)))
        assert sorted(each.get("code", 0) for each in found) == [INVALID_PARAMS, 0]
        assert call(gateway, ONE, **more)["code"] == INVALID_PARAMS
    assert len(sent(house)) == 2
    assert outcomes(house) == [("elicitation-create", True, None), ("ask", True, None)]


def test_what_is_said_besides_comes_on_the_answer_that_it_belongs_to(house: WebHouse) -> None:
    # seen to fail: with `moves_to` that does nothing
    log = {"method": "notifications/message", "params": {"level": "info", "data": "x"}}
    with house.gateway() as gateway:
        asked = ONE | {"besides": [log], "times": 3}
        reply = gateway.asks("tools/call", name="ask", arguments=asked)
        *logs, last = list(reply.messages())
        assert [each["params"] for each in logs] == [log["params"]] * 3
        reply = gateway.asks("tools/call", name="ask", arguments=asked, **answered(last["result"]))
        assert reply.streams
        *logs, last = list(reply.messages())
        assert [each["params"] for each in logs] == [log["params"]] * 3
        assert "content" in last["result"]


def test_another_callers_state_or_task_is_like_one_that_does_not_exist(house: WebHouse) -> None:
    # seen to fail: with `_kept_for` that looks at the token alone
    issuer = Issuer()
    config = house.home.folder / FILE
    identity = json.dumps({"issuer": ISSUER, "audience": AUDIENCE, "keys": "keys.json"})
    lines = [line for line in config.read_text().splitlines() if not line.startswith("identity:")]
    config.write_text("\n".join([*lines, f"identity: {identity}", ""]))
    issuer.publish(house.home.folder)
    now = int(time.time())
    own, other = (
        {"Authorization": f"Bearer {issuer.token(iat=now, exp=now + 300, scope='notes.*', sub=sub)}"}
        for sub in ("ana", "eve")
    )
    with house.gateway() as gateway:
        more = answered(call(gateway, ONE, more=own))
        assert call(gateway, ONE, more=other, **more)["code"] == INVALID_PARAMS
        assert len(sent(house)) == 1
        assert "content" in call(gateway, ONE, more=own, **more)

        task = call(gateway, {"task": "completed"}, more=own, **LATER)["taskId"]
        for method in ("get", "update", "cancel"):
            assert about(gateway, method, task, more=other)["code"] == INVALID_PARAMS
        assert house.asked_for("tasks/get") == []
        assert text_of(about(gateway, "get", task, more=own)["result"]) == "done"


def test_a_task_is_asked_about_by_its_own_requests(house: WebHouse) -> None:
    with house.gateway() as gateway:
        task = call(gateway, {"task": "asks"}, **LATER)["taskId"]
        assert "who" in about(gateway, "get", task)["inputRequests"]
        given = {"who": {"action": "accept", "content": {"name": "ana"}}}
        assert about(gateway, "update", task, inputResponses=given) == {"resultType": "complete"}
        found = about(gateway, "get", task)
        assert json.loads(text_of(found["result"])) == given
        assert about(gateway, "get", task) == found
        assert about(gateway, "get", "task-of-the-server-0")["code"] == INVALID_PARAMS
    assert outcomes(house) == [("elicitation-create", True, None), ("ask", True, None)]


def test_a_client_that_hangs_up_during_a_round_leaves_the_call_open(house: WebHouse) -> None:
    asked = ONE | {"stalls": True}
    with house.gateway() as gateway:
        more = answered(call(gateway, asked))
        body = gateway.body("tools/call", name="ask", arguments=asked, **more)
        headers = {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "ask"}
        gateway.leaves(body, lambda: len(sent(house)) == 2, **headers)
        eventually(lambda: house.open_actions() == ["notes.ask"], 30)
        assert call(gateway, asked, **more)["code"] == INVALID_PARAMS
        assert "content" in call(gateway, {})
    assert outcomes(house)[0] == ("elicitation-create", True, None)


def test_what_nobody_comes_back_to_is_ended(house: WebHouse, tmp_path: Path) -> None:
    # seen to fail: without the sweep over what is kept
    ended = tmp_path / "ended"
    program = (
        "import navicert.gateway.talk as talk, navicert.gateway.tasks as tasks, navicert.gateway.http as http\n"
        "talk.ROUND_S, tasks.KEPT_S, http._SWEEP_S, end = 0.5, 0.5, 0.2, http.Relay.end\n"
        "async def noted(self):\n"
        f"    open({str(ended)!r}, 'a').write('x')\n"
        "    await end(self)\n"
        "http.Relay.end = noted\n"
        "from navicert.cli import main; main()"
    )
    with house.gateway(program=("-c", program)) as gateway:
        answered(call(gateway, ONE))
        eventually(lambda: ended.exists() and ended.read_text() == "x", 30)
        task = call(gateway, {"task": "completed"}, **LATER)["taskId"]
        assert "result" in about(gateway, "get", task)
        eventually(lambda: ended.read_text() == "xx", 30)
        assert about(gateway, "get", task)["code"] == INVALID_PARAMS
    assert outcomes(house)[:2] == [("elicitation-create", False, "not_answered"), ("ask", False, "Failed")]
    assert house.open_actions() == []


def test_a_caller_leaves_only_so_many_calls_waiting(house: WebHouse) -> None:
    """The engine counts what is open in a session, and so what is kept for one that may come back."""
    with house.gateway() as gateway:
        for number in range(MOST_OPEN):
            assert call(gateway, {"task": "works", "tag": number}, **LATER)["resultType"] == "task"
        last = call(gateway, {"task": "works", "tag": MOST_OPEN}, **LATER)
        assert last["_meta"]["navicert/reason"] == "too_many_open"
    assert len(sent(house)) == MOST_OPEN


def test_a_handshake_clients_task_is_its_sessions(house: WebHouse) -> None:
    with house.gateway() as gateway, gateway.connection() as session, gateway.connection() as other:
        begun = result(session.asks("tools/call", name="ask", arguments={"task": "completed"}, task={"ttl": 1000}))
        task = begun["task"]["taskId"]
        assert result(other.asks("tasks/result", taskId=task))["code"] == INVALID_PARAMS
        assert result(other.asks("tasks/list")) == {"tasks": []}
        assert text_of(result(session.asks("tasks/result", taskId=task))) == "done"
    assert outcomes(house) == [("ask", True, None)]
