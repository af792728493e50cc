"""What a server asks for in an answer, and a person on our page: judged, bound to the call, and single-use (R1, R4).

What the server was asked, what reached the client and what the log says are each looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.support import contexts, eventually
from gateway.asking import POLICY, SECRET, URL, answered, calls, never_seen, outcomes, params, quiet, sent
from gateway.wire import House, houses, text_of
from navicert.model.suspension import Answer

SERVER = Path(__file__).with_name("asking_server.py")
INVALID, INVALID_PARAMS = -32600, -32602
ONE = {"rounds": [["elicit"]], "state": True}
LINKED = (
    "-c",
    (
        "from navicert.engine.mediating import Mediator;"
        "Mediator.link = lambda self, handle: 'http://127.0.0.1:9/page#' + handle;"
        "from navicert.cli import main; main()"
    ),
)


@pytest.fixture
def house(tmp_path) -> Iterator[Callable[..., House]]:
    with houses(tmp_path) as make:

        def asking(**settings: Any) -> House:
            return make(**{"server": SERVER, "policy": POLICY} | settings)

        yield asking


def operations(home: House) -> list[tuple[str, str]]:
    """What was judged, and how, oldest first."""
    return [(name.removeprefix("notes."), result) for name, result, _ in home.judged()]


@pytest.mark.parametrize("state", [True, False])
def test_what_a_server_asks_for_is_judged_and_the_call_goes_on_with_the_answer(house, state):
    home = house()
    with home.client() as client:
        client.opens()
        found = calls(client, "ask", {"rounds": [["elicit", "roots"]], "state": state})
        assert found["inputRequests"]["key-0-elicit"]["method"] == "elicitation/create"
        more = answered(found)
        more["inputResponses"] |= {"nobody asked": {"action": "accept"}, "key-0-roots": {"roots": []}}

        done = calls(client, "ask", {"rounds": [["elicit", "roots"]], "state": state}, **more)

        who = {"action": "accept", "content": {"name": "ana"}}
        assert json.loads(text_of(done)) == {"key-0-elicit": who, "key-0-roots": {"roots": []}}
        assert done["_meta"]["navicert/receipt"] in {item.receipt_id for item in home.receipts()}
    first, second = sent(home)
    assert "inputResponses" not in first
    assert second.get("requestState") == ("state-of-the-server-1" if state else None)
    assert operations(home) == [("ask", "ALLOW"), ("elicitation-create", "ALLOW"), ("roots-list", "ALLOW")]
    assert [name for name, success, _ in outcomes(home) if success] == ["elicitation-create", "roots-list", "ask"]
    never_seen(client, "state-of-the-server")
    assert home.open_actions() == []


def test_several_rounds_are_one_action(house):
    home = house()
    asked = {"rounds": [["elicit"], ["roots"], ["elicit"]], "state": True}
    states = set()
    with home.client() as client:
        client.opens()
        found = calls(client, "ask", asked)
        while found.get("resultType") == "input_required":
            states.add(found["requestState"])
            found = calls(client, "ask", asked, **answered(found))
        assert len(states) == 3
    assert [name for name, _ in operations(home)].count("ask") == 1
    assert len(sent(home)) == 4


def test_answers_that_came_before_anything_was_asked_are_used_for_what_is_asked_and_for_nothing_else(house):
    home = house()
    early = {"inputResponses": {"key-0-elicit": {"action": "decline"}, "another": {"action": "accept"}}}
    with home.client() as client:
        client.opens()
        done = calls(client, "ask", ONE, **early)
        assert json.loads(text_of(done)) == {"key-0-elicit": {"action": "decline"}}
    assert "inputResponses" not in sent(home)[0]
    assert ("elicitation-create", "ALLOW") in operations(home)


@pytest.mark.parametrize("kinds", [["sample"], ["elicit", "sample"], ["call"], ["elicit", "nothing"]])
def test_where_one_thing_is_refused_none_goes_to_the_client_and_the_call_fails(house, kinds):
    # seen to fail: with a refused one left out of `shown` instead of raising
    home = house()
    with home.client() as client:
        client.opens()
        done = calls(client, "ask", {"rounds": [kinds], "state": True})
        assert done["isError"] is True
        never_seen(client, "inputRequests", "requestState")
        client.goes_on()
    assert len(sent(home)) == 1
    assert outcomes(home)[-1] == ("ask", False, "Failed")
    assert home.open_actions() == []


def test_a_server_that_asks_for_very_many_things_is_refused(house):
    # seen to fail: without a limit
    home = house()
    with home.client() as client:
        client.opens()
        done = calls(client, "ask", {"many": 17})
        assert done["isError"] is True
        assert "17 things" in text_of(done)
        assert len(calls(client, "ask", {"many": 16})["inputRequests"]) == 16


ALTERED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "arguments": lambda given: given | {"arguments": given["arguments"] | {"path": "b"}},
    "tool": lambda given: given | {"name": "send"},
    "state": lambda given: given | {"requestState": given["requestState"][:-1] + "!"},
    "no text": lambda given: given | {"requestState": {"a": 1}},
    "the server's": lambda given: given | {"requestState": "state-of-the-server-1"},
}


@pytest.mark.parametrize("how", list(ALTERED))
def test_a_state_is_for_its_own_request_and_the_request_can_still_go_on(house, how):
    # seen to fail: with `goes_on` that looks at the state alone
    home = house()
    with home.client() as client:
        client.opens()
        more = answered(calls(client, "ask", ONE))
        refused = client.asks("tools/call", ALTERED[how](params("ask", ONE, **more)))
        assert refused["error"]["code"] == INVALID_PARAMS
        assert len(sent(home)) == 1
        assert "content" in calls(client, "ask", ONE, **more)
    assert len(sent(home)) == 2


def test_a_state_is_good_once(house):
    # seen to fail: with a call begun anew for a state that nobody holds
    home = house()
    with home.client() as client:
        client.opens()
        more = answered(calls(client, "ask", ONE))
        assert "content" in calls(client, "ask", ONE, **more)
        assert calls(client, "ask", ONE, **more)["code"] == INVALID_PARAMS
        again = answered(calls(client, "ask", ONE))
        ids = [client.sends("tools/call", params("ask", ONE, **again)) for _ in range(2)]
        found = [client.answer(id_) for id_ in ids]
        assert sorted("result" in each for each in found) == [False, True]
    assert len(sent(home)) == 4
    assert outcomes(home).count(("ask", True, None)) == 2


def test_a_client_that_never_comes_back_leaves_a_failed_call_not_an_open_one(house):
    # seen to fail: with `Silent` passed on as it is
    home = house()
    soon = ("-c", "import navicert.gateway.talk as talk; talk.ROUND_S = 0.3;" + LINKED[1])
    with home.client(program=soon) as client:
        client.opens()
        more = answered(calls(client, "ask", ONE))
        eventually(lambda: len(outcomes(home)) == 2, 30)
        assert calls(client, "ask", ONE, **more)["code"] == INVALID_PARAMS
    assert outcomes(home) == [("elicitation-create", False, "not_answered"), ("ask", False, "Failed")]
    assert home.open_actions() == []
    assert len(sent(home)) == 1
    quiet(home)


def test_a_call_made_anew_ends_the_one_that_waits_for_answers(house):
    # seen to fail: without `is_left`: the same call is refused for ten minutes
    home = house()
    with home.client() as client:
        client.opens()
        before = answered(calls(client, "order", ONE))
        anew = answered(calls(client, "order", ONE))
        assert calls(client, "order", ONE, **before)["code"] == INVALID_PARAMS
        assert "content" in calls(client, "order", ONE, **anew)
    assert len(sent(home)) == 3
    assert [success for name, success, _ in outcomes(home) if name == "order"] == [False, True]
    assert home.open_actions() == []


def test_a_call_made_anew_while_the_server_works_on_it_is_refused(house):
    """The twin: what became of the first is not known yet."""
    home = house()
    with home.client() as client:
        client.opens()
        client.sends("tools/call", params("order", {"stalls": True}))
        eventually(lambda: sent(home), 30)
        assert calls(client, "order", {"stalls": True})["_meta"]["navicert/reason"] == "open_action"
    assert len(sent(home)) == 1


def test_a_client_that_leaves_during_a_round_leaves_nothing_behind_but_the_open_call(house):
    home = house()
    with home.client(PYTHONDEVMODE="1") as client:
        client.opens()
        answered(calls(client, "ask", ONE))
        assert client.ends() == 0
    assert home.open_actions() == ["notes.ask"]
    quiet(home)


def test_labels_of_an_answer_stand_before_the_call_goes_on(house):
    # seen to fail: with `answered` that records nothing
    home = house()
    with home.client() as client:
        client.opens()
        assert "isError" not in calls(client, "send", {})
        asked = ONE | {"says": "well"}
        found = calls(client, "ask", asked)
        secret = {"action": "accept", "content": {"name": f"token = {SECRET}"}}
        assert text_of(calls(client, "ask", asked, **answered(found, secret))) == "well"
        assert "secrets were seen" in text_of(calls(client, "send", {}))
    assert [call["name"] for call in sent(home)] == ["send", "ask", "ask"]


def test_a_handshake_client_is_asked_nothing_in_an_answer(house):
    # seen to fail: with `goes_rounds` true for every revision
    home = house()
    with home.client() as client:
        client.opens(URL)
        assert client.calls("ask", **ONE)["isError"] is True
        given = {"name": "ask", "arguments": ONE}
        for member in ("requestState", "inputResponses"):
            assert client.asks("tools/call", given | {member: {}})["error"]["code"] == INVALID
    assert len(sent(home)) == 1
    never_seen(client, "input_required")


# a person, on our own page


@pytest.fixture
def held(house) -> House:
    return house(in_band_s=1)


def page(found: dict[str, Any]) -> dict[str, Any]:
    """What the client is asked to open."""
    assert found["resultType"] == "input_required", found
    (asked,) = found["inputRequests"].values()
    assert asked["method"] == "elicitation/create"
    return asked["params"]


def test_accepting_to_open_the_page_runs_nothing_and_an_approval_runs_it_once(held):
    # seen to fail: with `goes_on` that looks at the state alone
    with held.client(program=LINKED) as client:
        client.opens()
        found = calls(client, "book", {"path": "a"}, URL)
        (wait,) = held.waits()
        assert page(found)["url"].endswith(wait.handle)
        assert page(found)["mode"] == "url"
        again = calls(client, "book", {"path": "a"}, URL, **answered(found, {"action": "accept"}))
        assert again["_meta"]["navicert/handle"] == wait.handle
        assert sent(held) == []

        found = calls(client, "book", {"path": "a"}, URL)
        held.answers(wait)
        changed = client.asks("tools/call", params("book", {"path": "b"}, URL, **answered(found)))
        assert changed["error"]["code"] == INVALID_PARAMS
        assert sent(held) == []
        done = calls(client, "book", {"path": "a"}, URL, **answered(found))
        assert text_of(done) == '{"path": "a"}'
        assert page(calls(client, "book", {"path": "a"}, URL))
    assert sent(held) == [{"name": "book", "arguments": {"path": "a"}}]


@pytest.mark.parametrize("answer", [{"action": "decline"}, {"action": "cancel"}, {}, "accept"])
def test_declining_to_open_the_page_is_told_the_handle_and_a_refusal_is_one(held, answer):
    with held.client(program=LINKED) as client:
        client.opens()
        found = calls(client, "book", {"path": "a"}, URL)
        (wait,) = held.waits()
        done = calls(client, "book", {"path": "a"}, URL, **answered(found, answer))
        assert done["_meta"]["navicert/handle"] == wait.handle
        found = calls(client, "book", {"path": "a"}, URL)
        held.answers(wait, Answer.DENY)
        done = calls(client, "book", {"path": "a"}, URL, **answered(found))
        assert (done["isError"], "navicert/handle" in done["_meta"]) == (True, False)
    assert sent(held) == []


def test_an_answer_to_the_page_that_comes_beforehand_runs_nothing(held):
    with held.client(program=LINKED) as client:
        client.opens()
        done = calls(client, "book", {}, URL, inputResponses={"navicert": {"action": "accept"}})
        assert done["_meta"]["navicert/handle"] == held.waits()[0].handle
    assert sent(held) == []


def test_a_tool_that_a_person_approves_and_that_asks_back_is_approved_once(held):
    asked = ONE | {"path": "a"}
    with held.client(program=LINKED) as client:
        client.opens()
        found = calls(client, "book", asked, URL)
        held.answers(held.waits()[0])
        found = calls(client, "book", asked, URL, **answered(found))
        assert "key-0-elicit" in found["inputRequests"]
        assert "content" in calls(client, "book", asked, URL, **answered(found))
        assert held.waits() == ()
    assert [call["arguments"] for call in sent(held)] == [asked, asked]
    assert operations(held).count(("book", "STEP_UP")) == 1


def test_a_client_that_opens_no_addresses_is_told_the_handle(held):
    with held.client(program=LINKED) as client:
        client.opens({"elicitation": {}})
        assert calls(client, "book", {})["_meta"]["navicert/handle"]
        assert client.calls("book")["_meta"]["navicert/handle"]
        never_seen(client, "127.0.0.1:9")


@pytest.mark.parametrize("answer", [{"result": {"action": "accept"}}, None])
def test_a_handshake_client_is_asked_to_open_the_page_while_its_call_waits(house, answer):
    home = house(in_band_s=30)
    with home.client(program=LINKED, PYTHONDEVMODE="1") as client:
        client.opens(URL)
        id_ = client.sends("tools/call", {"name": "book", "arguments": {"path": "a"}})
        asked = client.notice("elicitation/create")
        (wait,) = home.waits()
        assert asked["params"]["mode"] == "url"
        assert asked["params"]["elicitationId"] == wait.handle
        if answer is not None:
            client.raw(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode())
        client.goes_on()
        assert sent(home) == []
        home.answers(wait)
        assert client.notice("notifications/elicitation/complete")["params"] == {"elicitationId": wait.handle}
        assert text_of(client.answer(id_)["result"]) == '{"path": "a"}'
    assert len(sent(home)) == 1
    quiet(home)


@pytest.mark.parametrize("answer", [{"result": {"action": "decline"}}, {"error": {"code": -1, "message": "no"}}])
def test_a_handshake_client_that_declines_is_told_the_handle_before_the_wait_ends(house, answer):
    home = house(in_band_s=600)
    with home.client(program=LINKED, PYTHONDEVMODE="1") as client:
        client.opens(URL)
        id_ = client.sends("tools/call", {"name": "book", "arguments": {}})
        asked = client.notice("elicitation/create")
        client.raw(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode())
        assert client.answer(id_)["result"]["_meta"]["navicert/handle"] == asked["params"]["elicitationId"]
    assert sent(home) == []
    quiet(home)


# addresses by an error (2025-11-25)


def test_addresses_that_an_error_names_are_judged_and_passed(house):
    home = house()
    wanted = {"mode": "url", "url": "https://sign.example/in", "elicitationId": "e1", "message": "sign in"}
    with home.client() as client:
        client.opens(URL)
        found = client.calls("ask", opens=[wanted])
        assert (found["code"], found["data"]) == (-32042, {"elicitations": [wanted]})
        assert found["message"] == "the server asks you to open an address"
    assert ("elicitation-create", "ALLOW") in operations(home)
    assert outcomes(home)[-1][:2] == ("ask", False)


def test_addresses_that_policy_refuses_are_not_passed(house):
    home = house(policy=POLICY.replace("operation: elicitation-create", "operation: another"))
    with home.client() as client:
        client.opens(URL)
        found = client.calls("ask", opens=[{"mode": "url", "url": "https://evil.example", "elicitationId": "e1"}])
        assert found["isError"] is True
        never_seen(client, "evil.example")
    assert outcomes(home)[-1] == ("ask", False, "Failed")


def test_the_context_has_what_was_asked(house):
    """The ordinary case at the end of all: one session, with every action in it."""
    home = house()
    with home.client() as client:
        client.opens()
        calls(client, "ask", ONE, **answered(calls(client, "ask", ONE)))
    (context,) = contexts(home.home)
    assert context.open == ()
