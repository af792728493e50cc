"""Attack and failure cases on the wire: what the server was asked is what counts, not only what the client saw.

Families A.4, A.6, A.7, A.8, B.6, B.7, C.1, C.2, D.1, D.2, F.4, F.9; each beside an ordinary case that passes.
"""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.owners import Liar, OwnerProcess, frame, ok
from faults.support import eventually
from gateway.test_message import REFUSED
from gateway.wire import BACK, MORE, POLICY, Client, House, houses, text_of
from navicert.gateway.message import LIMIT
from navicert.gateway.servers import read_servers, write_server
from navicert.gateway.side import AT_ONCE
from navicert.model.errors import PolicyError

INVALID, NOT_FOUND = -32600, -32601
QUIET = ("initialize", "notifications/initialized", "ping", "tools/list")


@pytest.fixture
def house(tmp_path) -> Iterator[Callable[..., House]]:
    with houses(tmp_path) as make:
        yield make


def others(home: House) -> list[str]:
    """What the server was asked besides the opening, our own pings, and the gateway's look at the tools."""
    return [method for line in home.asked() if (method := json.loads(line).get("method")) not in QUIET]


def reads_well(home: House, client: Client) -> None:
    """The ordinary case: a call goes through, once, and nothing else reached the server."""
    assert others(home) == []
    assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
    assert others(home) == ["tools/call"]


# what reaches the server (B.6, B.7, C.1)


def test_nothing_that_cannot_be_judged_reaches_the_server(house):
    # seen to fail: with lines passed on that the reader refuses
    home = house()
    calling = b'{"jsonrpc":"2.0","id":70,"method":"tools/call","params":{"name":"read_note","arguments":{"path":"a"}}}'
    denied = calling.replace(b"read_note", b"drop_note")
    sent = [(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"), code, id_)
            for _, text, code, id_ in REFUSED]  # fmt: skip
    sent = [case for case in sent if case[0] and b"\n" not in case[0]]
    sent += [(b"[" + calling + b"," + denied + b"]", INVALID, None), (calling + denied, -32700, None)]
    with home.client() as client:
        client.opens()
        for data, code, id_ in sent:
            client.raw(data)
            said = client.next()
            assert (code, None if id_ is None else int(id_)) == (said["error"]["code"], said["id"]), data
        client.goes_on()
        reads_well(home, client)


METHODS = [
    "tasks/update", "tasks/of_our_own", "tasks/", "subscriptions/listen", "sampling/createMessage",
    "roots/list", "elicitation/create", "tools/call ", " tools/call", "Tools/Call", "tools\u200b/call",
    "tools/c\u0430ll", "tools/call\u0000", "", "navicert/decide", "notifications/initialized",
    "notifications/cancelled", "rpc.discover", "tools/call/../list",
]  # fmt: skip


def test_a_request_by_an_unknown_method_is_denied(house):
    # seen to fail: with unknown methods passed on
    home = house()
    with home.client() as client:
        client.opens()
        for method in METHODS:
            said = client.asks(method, {"name": "drop_note", "arguments": {"path": "a"}})
            assert said["error"]["code"] == NOT_FOUND, method
        reads_well(home, client)


def test_a_call_that_asks_for_no_answer_does_not_run(house):
    home = house()
    with home.client() as client:
        client.opens()
        client.tells("tools/call", {"name": "read_note", "arguments": {"path": "b"}})
        client.tells("resources/read", {"uri": "file:///b"})
        client.tells("notifications/of_our_own", {"path": "b"})
        client.raw(b'{"jsonrpc":"2.0","id":900,"result":{"path":"b"}}')  # an answer to what nobody asked
        client.goes_on()
        reads_well(home, client)


@pytest.mark.parametrize("member", ["inputResponses", "requestState", "Arguments", "arguments ", "params", "id"])
def test_members_that_a_call_does_not_have_are_refused(house, member):
    # seen to fail: with unknown members left out in silence
    home = house()
    with home.client() as client:
        client.opens()
        said = client.asks("tools/call", {"name": "read_note", "arguments": {"path": "b"}, member: {"ttl": 1}})
        assert said["error"]["code"] == INVALID
        assert f"`{member}`" in said["error"]["message"]
        said = client.asks("resources/read", {"uri": "file:///b", member: "x"})
        assert said["error"]["code"] == INVALID
        reads_well(home, client)


NAMES: list[Any] = [
    "READ_NOTE", "read_note ", " read_note", "read_note\u200b", "r\u0435ad_note", "ｒead_note", "read_note\u202e",
    "./read_note", "a/../read_note", "notes.read_note", "notes..read_note", ".read_note", "read_note.",
    "resources-read", "sampling-create", "", "*", "r" * 200, "read_note\u0000", 7, None, True, ["read_note"],
    {"name": "read_note"},
]  # fmt: skip


def test_a_tool_by_another_spelling_is_no_tool(house):
    # seen to fail: with `callable` true for everything
    home = house()
    with home.client() as client:
        client.opens()
        for name in NAMES:
            said = client.asks("tools/call", {"name": name, "arguments": {"path": "b"}})
            assert "error" in said or said["result"]["isError"] is True, name
        reads_well(home, client)


def test_arguments_are_an_object_or_none(house):
    home = house()
    with home.client() as client:
        client.opens()
        for arguments in (["a"], "a", 7, True, [[["path", "a"]]]):
            said = client.asks("tools/call", {"name": "read_note", "arguments": arguments})
            assert said["error"]["code"] == INVALID
        reads_well(home, client)
        for params in ({"name": "read_note"}, {"name": "read_note", "arguments": None}):
            assert text_of(client.asks("tools/call", params)["result"]) == "{}"


def test_what_is_too_large_is_refused_and_the_connection_goes_on(house):
    # seen to fail: with a line beyond the limit raising out of the gateway
    home = house()
    with home.client() as client:
        client.opens()
        said = client.asks("tools/call", {"name": "read_note", "arguments": {"path": "b" * 2_000_000}})
        assert said["error"]["code"] == INVALID
        assert "1048576" in said["error"]["message"]
        call = b'{"jsonrpc":"2.0","id":71,"method":"tools/call","params":{"name":"drop_note","arguments":{}}}'
        for data in (
            b'{"jsonrpc":"2.0","id":72,"method":"ping","params":{"a":"' + b"a" * 20_000_000 + b'"}}',
            call + b" " * (LIMIT + 100) + call,
            b" " * (3 * LIMIT) + call,
        ):
            client.raw(data)
            said = client.next()
            assert (said["error"]["code"], said["id"]) == (INVALID, None)
        reads_well(home, client)


# channels beside the judged one (D.1, D.2)


def test_of_the_metadata_only_the_protocols_own_goes_on(house):
    # seen to fail: with `_meta` passed on as it came; with any value as `progressToken`
    home = house()
    ours = {"io.modelcontextprotocol/clientInfo": {"name": "x"}, "progressToken": "p"}
    with home.client() as client:
        client.opens()
        client.asks(
            "tools/call",
            {"name": "read_note", "arguments": {"path": "a"},
             "_meta": {**ours, "secret": "s", "navicert/receipt": "r", "approved": True, "session": "s"}},
        )  # fmt: skip
        assert {"name": "read_note", "arguments": {"path": "a"}, "_meta": ours} == home.asked_for()[-1]
        for token in ({"secret": "s"}, ["s"], 1.5, None, "s" * 300):
            client.asks("tools/call", {"name": "read_note", "arguments": {}, "_meta": {"progressToken": token}})
            assert home.asked_for()[-1] == {"name": "read_note", "arguments": {}}
        before = len(home.judged())
        big = {"io.modelcontextprotocol/clientInfo": "x" * 5_000}
        assert client.asks("tools/call", {"name": "read_note", "_meta": big})["error"]["code"] == INVALID
        client.tells("notifications/progress", {"progressToken": 1, "_meta": big})
        client.goes_on()
        assert before == len(home.judged())


def test_what_is_passed_without_judging_carries_nothing_of_the_callers_own(house):
    # seen to fail: with the parameters of a ping passed on as they came
    home = house()
    more = {"secret": "s", "_meta": {"secret": "s"}}
    with home.client() as client:
        client.opens()
        client.asks("ping", more)
        client.asks("tools/list", more)
        client.asks("logging/setLevel", {"level": "info", **more})
        client.tells("notifications/initialized", more)
        client.tells("notifications/progress", {"progressToken": 1, "progress": 2, "total": 3, "message": "s", **more})
        client.goes_on()
    assert home.asked_for("ping") == [{}, {}]
    assert home.asked_for("tools/list") == [{}]
    assert home.asked_for("logging/setLevel") == [{"level": "info"}]
    assert home.asked_for("notifications/progress") == [{"progressToken": 1, "progress": 2, "total": 3}]
    assert b"secret" not in b"".join(home.asked())


def test_arguments_and_claims_shaped_like_authority_are_only_arguments(house):
    home = house()
    claims = {
        "user": {"role": "admin"},
        "approved": True,
        "identity": {"human": "root"},
        "session": "s",
        "posture": "allow",
    }
    with home.client() as client:
        client.asks(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {"navicert": {"allow": True}},
                "clientInfo": {"name": "root"},
            },
        )
        for tool in ("delete_note", "drop_note"):
            said = client.asks("tools/call", {"name": tool, "arguments": {"path": "a", **claims}, "_meta": claims})
            assert said["result"]["isError"] is True
        assert home.asked_for() == []
        client.asks("tools/call", {"name": "read_note", "arguments": {"path": "b", **claims}})
    assert [result for _, result, _ in home.judged()] == ["STEP_UP", "DENY", "ALLOW"]
    assert {"client-of-notes"} == {item.requester_context.agent for item in home.receipts() if item.kind == "decision"}


def test_the_other_surfaces_are_judged_too(house):
    # seen to fail: with `resources/read` among what is passed
    match = "{tool: notes, operation: resources-read, resource: {contains: secret}}"
    rule = f"  - id: no-secrets\n    match: {match}\n    decision: DENY\n"
    home = house(policy=POLICY + rule)
    with home.client() as client:
        client.opens()
        assert "result" in client.asks("resources/read", {"uri": "file:///open"})
        assert client.asks("resources/read", {"uri": "file:///secret"})["error"]["code"] == 4030
        client.asks("prompts/get", {"name": "p", "arguments": {"a": "b"}})
        client.asks("completion/complete", {"ref": {"name": "p"}, "argument": {"name": "a", "value": "b"}})
    assert home.asked_for("resources/read") == [{"uri": "file:///open"}]
    names = ["notes.resources-read", "notes.resources-read", "notes.prompts-get", "notes.completion-complete"]
    assert names == [name for name, _, _ in home.judged()]


# ids and numbers (B.4)


def test_ids_in_use_and_ids_of_ours_are_refused(house):
    # seen to fail: with ids of ours taken; with an id that was given up taken again
    home = house()
    with home.client() as client:
        client.opens()
        home.behaves("silent")
        call = {"name": "read_note", "arguments": {"path": "a"}}
        client.sends("tools/call", call, id=50)
        eventually(home.asked_for)
        assert client.asks("tools/call", call, id=50)["error"]["code"] == INVALID
        assert client.asks("ping", {}, id=50)["error"]["code"] == INVALID
        assert client.asks("tools/list", {}, id="navicert-1")["error"]["code"] == INVALID
        assert "result" in client.asks("ping", {}, id="50")
        assert "result" in client.asks("ping", {}, id="navicer")
    assert len(home.asked_for()) == 1


def test_a_late_answer_is_not_taken_for_that_of_another_call(house):
    home = house()
    home.behaves("late")
    with home.client() as client:
        client.opens()
        client.sends("tools/call", {"name": "read_note", "arguments": {"path": "a"}}, id=60)
        eventually(home.asked_for)
        client.tells("notifications/cancelled", {"requestId": 60, "reason": "a secret"})
        eventually(lambda: home.asked_for("notifications/cancelled"))
        assert home.asked_for("notifications/cancelled") == [{"requestId": 60}]
        again = client.asks("tools/call", {"name": "read_note", "arguments": {"path": "b"}}, id=60)
        assert again["error"]["code"] == INVALID
        fresh = client.asks("tools/call", {"name": "read_note", "arguments": {"path": "b"}}, id=61)
        assert text_of(fresh["result"]) == '{"path": "b"}'
        client.goes_on()
        assert client.kept == []  # of the cancelled call, nothing came
    assert home.open_actions() == ["notes.read_note"]


def test_of_thousands_at_once_so_many_run_as_may_and_the_others_are_told(house):
    # seen to fail: with only those counted that the server has been sent
    home = house(in_band_s=60)
    held = {"name": "delete_note", "arguments": {"path": "a"}}
    with home.client() as client:
        client.opens()
        for number in range(2_000):
            client.sends("tools/call", held, id=f"h{number}")
        refused = [client.next() for _ in range(2_000 - AT_ONCE)]
        assert {INVALID} == {item["error"]["code"] for item in refused}
        assert client.asks("ping")["error"]["code"] == INVALID  # all places are taken
        for number in range(2_000):
            client.tells("notifications/cancelled", {"requestId": f"h{number}"})
        eventually(lambda: "result" in client.asks("ping"), 30)
        assert home.asked_for() == []
        ids = [client.sends("tools/call", {"name": "read_note", "arguments": {"n": number}}) for number in range(100)]
        assert [f'{{"n": {number}}}' for number in range(100)] == [text_of(client.answer(id_)["result"]) for id_ in ids]


# what the server says (F.4, F.9)


def test_a_server_asks_the_client_for_what_the_policy_declares_and_for_nothing_else(house):
    # seen to fail: with the server's requests passed on unjudged
    plain, declared = house(), house(policy=POLICY.replace("\nfacts:", f"\n{BACK}facts:") + MORE)
    for home in (plain, declared):
        home.behaves("asks back")
        with home.client() as client:
            client.opens()
            id_ = client.sends("tools/call", {"name": "read_note", "arguments": {"path": "a"}})
            if home is declared:
                asked = client.notice("sampling/createMessage")
                assert asked["params"] == {"messages": []}
                client.raw(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {"content": 1}}).encode())
            client.answer(id_)
            answer = eventually(lambda home=home: [line for line in home.asked() if json.loads(line).get("id") == 900])
            assert (home is declared) is ("result" in json.loads(answer[0]))
            assert [item for item in client.kept if item.get("method") == "sampling/createMessage"] == []
    assert ("notes.sampling-create", "DENY") in [(name, result) for name, result, _ in plain.judged()]
    assert ("notes.sampling-create", "ALLOW") in [(name, result) for name, result, _ in declared.judged()]


def test_a_server_cannot_call_tools_by_the_client(house):
    home = house()
    home.behaves("calls back")
    with home.client() as client:
        client.opens()
        client.calls("read_note", path="a")
        (line,) = eventually(lambda: [line for line in home.asked() if json.loads(line).get("id") == 901])
        assert json.loads(line)["error"]["code"] == NOT_FOUND
        assert client.kept == []


@pytest.mark.parametrize("mode", ["asks", "asks and fails", "asks by error", "task"])
def test_an_answer_that_asks_for_something_is_withheld(house, mode):
    # seen to fail: with a result that failed looked at before what it asks for; without the error that asks
    home = house()
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        said = client.calls("read_note", path="a")
        why = "that is refused" if mode == "asks by error" else "in a way that is not passed on"
        assert why in text_of(said)
        if mode == "asks":
            assert client.asks("tools/list")["error"]["code"] == 5030
    seen = b"".join(client.seen)
    assert [word for word in (b"inputRequests", b"input_required", b"evil.example", b"taskId") if word in seen] == []
    assert home.outcomes() == [(False, "Failed")]


@pytest.mark.parametrize(
    ("mode", "why"),
    [("garbage", "cannot be read"), ("no answer", "cannot be read"), ("oversize", "cannot be read"),
     ("dies", "ended before"), ("stalls", "longer than 2 s")],
)  # fmt: skip
def test_a_server_that_fails_fails_the_call_which_stays_open_and_is_not_repeated(house, mode, why):
    # seen to fail: with no limit to waiting; with the id of an unreadable answer not looked for
    home = house()
    home.attach(within_s=2.0)
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        said = client.calls("write_note", path="a", n=1)
        assert said["isError"] is True
        assert why in text_of(said)
        if mode == "dies":
            assert client.process.wait(30) == 0
        elif mode != "stalls":
            assert [{"requestId": client.number}] == eventually(lambda: home.asked_for("notifications/cancelled"))
            client.goes_on()
    assert home.outcomes() == []
    assert home.open_actions() == ["notes.write_note"]
    home.behaves("")
    with home.client() as client:
        client.opens()
        assert client.calls("write_note", path="a", n=1)["isError"] is True
        assert len(home.asked_for()) == 1
        assert "isError" not in client.calls("write_note", path="b", n=1)


def test_answers_to_strangers_and_stray_output_are_dropped(house):
    # seen to fail: with ids compared as text; with the server's notifications all passed on
    home = house()
    home.behaves("stranger")
    with home.client() as client:
        client.opens()
        assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
        client.goes_on()
        assert client.kept == []
        client.notes("is dropped")
    assert b"stray" not in b"".join(client.seen)
    assert b"of_our_own" not in b"".join(client.seen)


def test_a_cancelled_call_stays_open_and_one_that_is_held_never_runs(house):
    home = house(in_band_s=60)
    home.behaves("silent")
    with home.client() as client:
        client.opens()
        running = client.sends("tools/call", {"name": "write_note", "arguments": {"path": "a", "n": 1}})
        eventually(home.asked_for)
        waiting = client.sends("tools/call", {"name": "delete_note", "arguments": {"path": "a"}})
        (wait,) = eventually(home.waits, 30)
        for id_ in (running, waiting):
            client.tells("notifications/cancelled", {"requestId": id_})
        client.tells("notifications/cancelled", {"requestId": {"a": 1}})
        client.goes_on()
        home.answers(wait)
        client.goes_on()
        assert client.ends() == 0
        assert client.silent()
    assert [item["name"] for item in home.asked_for()] == ["write_note"]
    assert home.open_actions() == ["notes.write_note"]


@pytest.mark.parametrize("mode", ["stalls", "deaf"])
def test_a_client_that_hangs_up_ends_the_server(house, mode):
    # seen to fail: with notifications written to a server that reads nothing, and no limit
    home = house()
    with home.client() as client:
        client.opens()
        client.calls("read_note", path="a")  # so that the tools were looked at
        home.behaves(mode)
        client.sends("tools/call", {"name": "write_note", "arguments": {"path": "a", "n": 1}})
        eventually(lambda: len(home.asked_for()) == 2)
        filler = {"requestId": 1, "progressToken": "p" * 200}
        for _ in range(1_000):
            client.tells("notifications/progress", filler)
        assert client.ends() == 0
        eventually(lambda: not _runs(str(home.server_folder)), 30)
    assert home.open_actions() == ["notes.write_note"]


def _runs(folder: str) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder.encode() in each.read_bytes():
                return True
        except OSError:
            continue
    return False


# definitions (F.9)


@pytest.mark.parametrize(
    ("mode", "hidden"),
    [("changed", {"read_note", "new_tool"}), ("annotated", {"read_note"}), ("twice", {"read_note"}),
     ("shadows", {"resources-read", "read note"})],
)  # fmt: skip
def test_a_tool_that_is_not_what_was_accepted_is_hidden_and_cannot_be_called(house, mode, hidden):
    # seen to fail: with `page` that keeps everything; with `callable` that looks at the name alone
    home = house()
    home.behaves(mode)
    known = {"read_note", "write_note", "delete_note", "plan_note"}  # whoever asks, `drop_note` is refused
    with home.client() as client:
        said = client.opens()
        assert ("instructions" in said) is (mode != "changed")
        assert known - hidden == set(client.tools())
        for name in hidden:
            answer = client.asks("tools/call", {"name": name, "arguments": {}})
            assert "error" in answer or answer["result"]["isError"] is True
        assert home.asked_for() == []
        assert text_of(client.calls("write_note", n=1)) == '{"n": 1}'
        home.behaves("")
        assert known == set(client.tools())
        assert text_of(client.calls("read_note")) == "{}"
    assert b" eve" not in b"".join(client.seen)
    assert b'"public"' not in b"".join(client.seen)


def test_no_server_has_a_name_under_which_another_servers_tool_could_be_judged(house):
    # seen to fail: with names that have dots in them
    home = house()
    for name in ("notes.read_note", "notes.", "n\u043etes", "", "../notes"):
        with pytest.raises(PolicyError, match="cannot be a server's name"):
            write_server(home.home.folder, name, home.server)
    write_server(home.home.folder, "notes-2", home.server)
    assert list(read_servers(home.home.folder).servers) == ["notes", "notes-2"]


def test_a_change_is_announced_once_the_list_was_looked_at(house):
    # seen to fail: with the notification passed on at once
    home = house()
    with home.client() as client:
        client.opens()
        home.behaves("announces")
        assert "isError" not in client.calls("read_note", path="a")
        client.notice("notifications/tools/list_changed")
        ours = [json.loads(line) for line in home.asked() if b"navicert-" in line]
        assert [item["method"] for item in ours] == ["tools/list"] * 2  # before the first call, and for the change
        assert client.calls("read_note", path="a")["isError"] is True  # it changed, and the client has not listed yet
        assert len(home.asked_for()) == 1


def test_a_change_that_cannot_be_looked_at_is_not_announced(house):
    home = house()
    with home.client() as client:
        client.opens()
        home.behaves("announces and lists nothing")
        client.calls("read_note", path="a")
        client.notes("could not be looked at again")
        client.goes_on()
        assert client.kept == []


def test_a_flood_of_changes_is_looked_at_a_few_times(house):
    # seen to fail: with one look for each
    home = house()
    with home.client() as client:
        client.opens()
        home.behaves("floods")
        client.calls("read_note", path="a")
        client.notice("notifications/tools/list_changed")
        for _ in range(60):
            client.goes_on()
    assert 1 <= len(home.asked_for("tools/list")) < 30


def test_another_program_is_not_launched_and_ours_are_not_its_secrets(house):
    # seen to fail: with the whole environment handed on
    home = house(env={"TOKEN": "of its own"})
    with home.client(NAVICERT_SECRET="s", AWS_SECRET_ACCESS_KEY="s", PYTHONSTARTUP="s", LD_LIBRARY_PATH="") as client:
        client.opens()
    allowed = {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "LOGNAME", "TOKEN"}
    assert set() == set(home.environment()) - allowed
    assert home.environment()["TOKEN"] == "of its own"
    home.forget()
    home.attach(program="0" * 64)
    with home.client() as client:
        assert client.process.wait(30) == 5
    assert "has changed since it was accepted" in client.noted()
    assert home.asked() == []


# engine, store and owner (A.4, A.6, A.7, A.8)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_its_owner_a_call_fails_and_nothing_runs_later(house, number):
    home = house(up=True)
    with home.client() as client:
        client.opens()
        assert "isError" not in client.calls("read_note", path="a")
        home.owner.signal(number)
        for tool in ("read_note", "no_tool"):
            assert client.calls(tool, path="b")["isError"] is True
        assert client.asks("resources/read", {"uri": "a:b"})["error"]["code"] == 4030
        if number is signal.SIGKILL:
            home.owner.end()
            home.owner = OwnerProcess(home.home)
        else:
            home.owner.signal(signal.SIGCONT)
        eventually(lambda: "isError" not in client.calls("read_note", path="c"), 30)
    assert {"a", "c"} == {item["arguments"]["path"] for item in home.asked_for()}
    assert home.asked_for("resources/read") == []


def test_an_owner_that_dies_while_the_server_works_keeps_the_result_back(house):
    # seen to fail: with the answer given before its outcome was taken
    home = house(up=True)
    home.behaves("late")
    with home.client() as client:
        client.opens()
        first = client.sends("tools/call", {"name": "write_note", "arguments": {"path": "a", "n": 1}})
        eventually(home.asked_for)
        second = client.sends("tools/call", {"name": "read_note", "arguments": {"path": "b"}})
        assert "result" in client.answer(second)  # the server answers both, one after the other
        assert text_of(client.answer(first)["result"]) == "what was asked before"
        home.forget()
        home.behaves("on demand")
        third = client.sends("tools/call", {"name": "write_note", "arguments": {"path": "c", "n": 1}})
        eventually(home.asked_for)
        home.owner.kill()
        home.behaves("")
        client.goes_on()
        said = client.answer(third)["result"]
        assert said["isError"] is True
        assert "what it had to say" not in text_of(said)
        home.owner = OwnerProcess(home.home)
    assert len(home.asked_for()) == 1
    assert home.open_actions() == ["notes.write_note"]


LIES: list[Any] = [
    frame(b"no JSON"), frame(b""), ok(None), ok({}), ok("ALLOW"), ok(True), ok({"permit": {}}),
    ok({"verdict": "ALLOW"}), None,
    frame(b'{"ok":{"permit":{"action_id":"act_1","tool":"notes","operation":"read_note","parameters":"e30="}}}'),
]  # fmt: skip


def test_an_owner_that_answers_garbage_permits_nothing(house):
    home = house()
    lies = iter(LIES)

    def say(request: dict[str, Any]) -> bytes | None:
        return ok("ses_" + "0" * 26) if request["do"] == "open_session" else next(lies, ok({}))

    liar = Liar(home.home.folder / "navicert.sock", say)
    try:
        with home.client() as client:
            client.opens()
            for _ in LIES:
                assert client.calls("read_note", path="a")["isError"] is True
            client.goes_on()
    finally:
        liar.close()
        (home.home.folder / "navicert.sock").unlink()
    assert home.asked_for() == []


def test_where_no_receipt_can_be_written_nothing_runs(house):
    """As on a full disk, or a store that became read-only: each write to a file fails."""
    home = house()
    with home.client() as client:
        client.opens()
        assert "isError" not in client.calls("read_note", path="a")
        _, hard = resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        for tool in ("read_note", "write_note", "no_tool"):
            assert client.calls(tool, path="b")["isError"] is True
        assert client.asks("resources/read", {"uri": "a:b"})["error"]["code"] == 4030
        assert len(home.asked_for()) == 1
        resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        eventually(lambda: "isError" not in client.calls("read_note", path="c"), 30)
    assert {"a", "c"} == {item["arguments"]["path"] for item in home.asked_for()}
    assert home.asked_for("resources/read") == []


def test_a_gateway_that_is_killed_leaves_its_call_open_and_it_is_not_repeated(house):
    home = house()
    home.behaves("silent")
    with home.client() as client:
        client.opens()
        client.sends("tools/call", {"name": "write_note", "arguments": {"path": "a", "n": 1}})
        eventually(home.asked_for)
        client.process.kill()
        client.process.wait(30)
    home.behaves("")
    assert home.open_actions() == ["notes.write_note"]
    with home.client() as client:
        client.opens()
        assert client.calls("write_note", path="a", n=1)["isError"] is True
        assert len(home.asked_for()) == 1
        assert "isError" not in client.calls("write_note", path="b", n=1)


@pytest.mark.parametrize("broken", ["", "policy: [", POLICY.replace("decision: DENY", "decision: ALOW"), None])
def test_a_broken_policy_changes_nothing_and_a_good_one_counts(house, broken):
    home = house()
    path = home.home.folder / "policy.yaml"
    good = path.read_text()
    with home.client() as client:
        client.opens()
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)

        def denied() -> bool:
            assert client.calls("drop_note", path="a")["isError"] is True
            return "does not load, the last good one stays" in client.noted()

        eventually(denied, 30)
        reads_well(home, client)
        path.write_text(
            good.replace("version: 1", "version: 2").replace("operation: drop_note", "operation: read_note")
        )
        eventually(lambda: client.calls("read_note", path="a").get("isError"), 30)
        assert len([item for item in home.asked_for() if item["name"] == "drop_note"]) == 0
