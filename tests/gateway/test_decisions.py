"""The five decisions on the wire, with and without a resident owner: what the server was asked is what counts (R4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import navicert
from faults.support import contexts, eventually
from gateway.wire import POLICY, House, houses, text_of
from navicert.core.canonical import receipt_bytes
from navicert.model.errors import NavicertError
from navicert.model.suspension import Answer
from navicert.testing import open_bench
from navicert.testing.clock import FrozenClock
from navicert.tlog.tree import leaf_hash


@pytest.fixture
def house(tmp_path) -> Iterator[Callable[..., House]]:
    with houses(tmp_path) as make:
        yield make


BOTH = pytest.mark.parametrize("up", [False, True], ids=["alone", "owner"])


def held(result: dict[str, Any]) -> str:
    """The handle of a call that is held; fails where it is not."""
    assert result["isError"] is True
    return result["_meta"]["navicert/handle"]


def receipt_says(house: House, result: dict[str, Any]) -> str:
    """The decision in the receipt that a result names."""
    (found,) = [item for item in house.receipts() if item.receipt_id == result["_meta"]["navicert/receipt"]]
    return found.decision.result


@BOTH
def test_the_five_decisions_are_each_enforced(house, up):
    # seen to fail: with `forwarded` made of the request's own arguments; with the answer to a refusal passed upstream
    home = house(up=up)
    with home.client() as client:
        client.opens()

        allowed = client.calls("read_note", path="a")
        assert home.asked_for() == [{"name": "read_note", "arguments": {"path": "a"}}]
        assert (receipt_says(home, allowed), text_of(allowed)) == ("ALLOW", '{"path": "a"}')
        assert "navicert/modified" not in allowed["_meta"]

        denied = client.calls("drop_note", path="a")
        assert (receipt_says(home, denied), denied["isError"]) == ("DENY", True)
        assert "dropping is forbidden" in text_of(denied)
        assert len(home.asked_for()) == 1

        changed = client.calls("write_note", path="a", n=500)
        assert home.asked_for()[-1] == {"name": "write_note", "arguments": {"n": 10, "path": "a"}}
        assert (receipt_says(home, changed), changed["_meta"]["navicert/modified"]) == ("MODIFY", True)

        asked = client.calls("delete_note", path="a")
        assert ("STEP_UP", home.waits()[0].handle) == (receipt_says(home, asked), held(asked))

        missing = client.calls("plan_note", path="a")
        assert receipt_says(home, missing) == "DEFER"
        assert held(missing) in {wait.handle for wait in home.waits()}

        assert [item["name"] for item in home.asked_for()] == ["read_note", "write_note"]
        assert client.ends() == 0
    assert home.outcomes() == [(True, None)] * 2
    found = home.verified()["report"]
    assert found["verdicts"] == {"ALLOW": 1, "MODIFY": 1, "STEP_UP": 1, "DENY": 1, "DEFER": 1}
    assert found["open"] == []


def test_the_server_gets_the_judged_bytes_and_no_others(house):
    # seen to fail: with `write` that gives numbers as floats
    home = house()
    with home.client() as client:
        client.opens()
        client.raw(
            b' {"params" : {"arguments": { "path":"\\u0061\\/b", "n" : 1.50e+01, "A": [ 1.0 , -0, 12345678901234567890'
            b' ],"z":null}, "name":"read_note"},\t"method":"tools/call","id":"x","jsonrpc":"2.0"}\r'
        )
        assert "result" in client.answer("x")
    (line,) = [line for line in home.asked() if b"tools/call" in line]
    arguments = b'{"A":[1.0,-0,12345678901234567890],"n":1.50e+01,"path":"a/b","z":null}'
    assert (
        b'{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"read_note","arguments":' + arguments + b"}}"
    ) == line


@BOTH
def test_a_call_that_is_held_in_band_runs_when_a_person_approves_it(house, up):
    home = house(up=up, in_band_s=60)
    with home.client() as client:
        client.opens()
        id_ = client.sends("tools/call", {"name": "delete_note", "arguments": {"path": "a"}})
        (wait,) = eventually(home.waits, 30)
        client.goes_on()  # one that is held holds up nothing else
        assert home.asked_for() == []

        home.answers(wait)

        assert text_of(client.answer(id_)["result"]) == '{"path": "a"}'
        assert home.asked_for() == [{"name": "delete_note", "arguments": {"path": "a"}}]
    assert [result for _, result, _ in home.judged()] == ["STEP_UP", "ALLOW"]


@BOTH
def test_an_approval_is_for_exactly_this_call_once_and_in_this_session(house, up):
    home = house(up=up)
    with home.client() as client, home.client() as other:
        client.opens()
        other.opens()
        handle = held(client.calls("delete_note", path="a"))
        assert handle == held(client.calls("delete_note", path="a"))  # the same call is the same question
        (wait,) = home.waits()
        home.answers(wait)

        for changed in ({"path": "b"}, {"path": "a", "n": 1}, {"path": "a", "approved": True}, {"Path": "a"}):
            assert handle != held(client.calls("delete_note", **changed))
        assert handle != held(other.calls("delete_note", path="a"))
        assert home.asked_for() == []

        assert text_of(client.calls("delete_note", path="a")) == '{"path": "a"}'
        assert len(home.asked_for()) == 1
        assert handle != held(client.calls("delete_note", path="a"))
        assert len(home.asked_for()) == 1


def test_an_approval_that_comes_while_the_client_is_away_is_not_for_the_next_client(house):
    """A handle alone runs nothing: the call has to be made again, in its session."""
    home = house()
    with home.client() as client:
        client.opens()
        held(client.calls("delete_note", path="a"))
    (wait,) = home.waits()
    home.answers(wait)
    with home.client() as client:
        client.opens()
        client.goes_on()
        held(client.calls("delete_note", path="a"))
    assert home.asked_for() == []


@BOTH
def test_after_a_refusal_the_call_does_not_run(house, up):
    home = house(up=up, in_band_s=60)
    with home.client() as client:
        client.opens()
        id_ = client.sends("tools/call", {"name": "delete_note", "arguments": {"path": "a"}})
        (wait,) = eventually(home.waits, 30)
        home.answers(wait, Answer.DENY)

        answer = client.answer(id_)["result"]

        assert answer["isError"] is True
        assert "navicert/handle" not in answer["_meta"]
    assert home.asked_for() == []
    assert [result for _, result, _ in home.judged()] == ["STEP_UP", "DENY"]


@BOTH
def test_after_its_time_no_approval_counts_and_the_call_does_not_run(house, up):
    home = house(up=up, in_band_s=60, policy=POLICY.replace("timeout: 10m", "timeout: 1s"))
    with home.client() as client:
        client.opens()
        id_ = client.sends("tools/call", {"name": "delete_note", "arguments": {"path": "a"}})
        (wait,) = eventually(home.waits, 30)

        answer = client.answer(id_)["result"]

        assert (answer["isError"], "navicert/handle" in answer["_meta"]) == (True, False)
        with pytest.raises(NavicertError):
            home.answers(wait)
        client.goes_on()
    assert home.asked_for() == []
    assert ("DENY", "approval_timeout") in [(result, code) for _, result, code in home.judged()]


@BOTH
def test_a_call_that_lacks_a_fact_runs_when_the_fact_is_there(house, up):
    home = house(up=up, in_band_s=60)
    window = home.folder / "window.json"
    window.write_text('{"open": 0}')
    with home.client() as client:
        client.opens()
        id_ = client.sends("tools/call", {"name": "plan_note", "arguments": {"path": "a"}})
        assert eventually(home.waits, 30)
        assert home.asked_for() == []

        part = window.with_suffix(".part")
        part.write_text('{"open": true}')
        part.replace(window)

        assert text_of(client.answer(id_)["result"]) == '{"path": "a"}'
        assert home.asked_for() == [{"name": "plan_note", "arguments": {"path": "a"}}]
    assert home.judged()[0][1] == "DEFER"


def called(home, **env):
    """Launch the gateway with this environment, and call; returns the decision's receipt."""
    with home.client(**env) as client:
        client.opens()
        assert "isError" not in client.calls("read_note", path="a")
    return [item for item in home.receipts() if item.kind == "decision"][-1]


def test_with_a_launch_token_the_applications_session_is_the_one_that_is_judged(house):
    # seen to fail: without the count of uses in `_launched`; with a session's id taken for a token
    home = house()
    with navicert.open(home.home.folder) as guard:
        opened = guard.session(request="tidy up", human="ana", agent="assistant")
        token = opened.launch_token(processes=2)
        for _ in range(2):
            receipt = called(home, NAVICERT_LAUNCH=token)
            assert (receipt.session.id, receipt.action.surface) == (opened.id, "mcp-stdio")
        for env in ({"NAVICERT_LAUNCH": token}, {"NAVICERT_LAUNCH": opened.id}, {"NAVICERT_SESSION": opened.id}, {}):
            receipt = called(home, **env)
            assert receipt.session.id != opened.id
            assert receipt.action.surface == "mcp-stdio-inferred"
        for wrong in (0, 65):
            with pytest.raises(navicert.InvalidAction):
                opened.launch_token(processes=wrong)
        guard.engine.end(opened.id)
        with pytest.raises(navicert.IntegrityError):
            opened.launch_token()


def test_a_launch_token_is_good_for_a_minute(tmp_path):
    # seen to fail: without the comparison with `until`
    clock = FrozenClock()
    with open_bench(tmp_path, clock=lambda _: clock) as guard:
        session = guard.session(request="tidy up", human="ana", agent="assistant")
        tokens = [session.launch_token() for _ in range(3)]
        assert guard.engine.join(tokens[0]) == session.id
        clock.tick(59)
        assert guard.engine.join(tokens[1]) == session.id
        clock.tick(1)
        for token in (*tokens, session.id, ""):
            with pytest.raises(navicert.IdentityError):
                guard.engine.join(token)


def test_behind_an_owner_receipts_still_say_that_a_session_is_inferred(house):
    # seen to fail: with `socket` in place of every surface
    home = house(up=True)
    with navicert.connect(home.home.folder) as guard:
        opened = guard.session(request="tidy up", human="ana", agent="assistant")
        joined = called(home, NAVICERT_LAUNCH=opened.launch_token())
        assert (joined.session.id, joined.action.surface) == (opened.id, "socket")
        assert called(home).action.surface == "socket:mcp-stdio-inferred"


@pytest.mark.parametrize(
    ("mode", "success", "level"),
    [("", True, 1), ("schema", True, 1), ("picture", True, 3), ("blob", True, 3), ("video", True, 3),
     ("fails", False, 1), ("refuses", False, 1), ("fails with a picture", False, 3)],
)  # fmt: skip
def test_what_came_back_is_labelled_before_it_is_released(house, mode, success, level):
    # seen to fail: a failure without words that can be looked at counted as nothing; a list as `type` broke the gateway
    home = house()
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        result = client.calls("read_note", path="a")
        assert "the gateway failed" not in json.dumps(result)
        client.goes_on()
    outcome = next(item for item in home.receipts() if item.kind == "outcome")
    assert success is outcome.execution.success
    assert level == labels_of(home)


def labels_of(house: House) -> int:
    """The level that the only session of a house has taken on."""
    (context,) = contexts(house.home)
    return int(context.labels.level)


@pytest.mark.parametrize("mode", ["fails", "forges"])
def test_a_server_cannot_write_our_metadata(house, mode):
    # seen to fail: with the metadata of the server passed on as it came; with a failed call answered without a receipt
    home = house()
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        meta = client.calls("read_note", path="a")["_meta"]
    ours = {"navicert/receipt", "navicert/receipt-sha256", "navicert/log", "navicert/leaf"}
    assert {*ours, "server/own"} == set(meta)
    decided, ended = home.receipts()[-2:]
    assert meta["navicert/receipt"] == decided.receipt_id
    assert meta["navicert/receipt-sha256"] == ended.completes
    assert meta["navicert/log"] == decided.log.origin
    assert meta["navicert/leaf"] == leaf_hash(receipt_bytes(decided)).hex()
