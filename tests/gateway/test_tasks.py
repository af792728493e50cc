"""Results that come later, in both revisions: labelled and recorded as those of the action that began them (T11)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.support import eventually
from gateway.asking import POLICY, SECRET, TASKS, calls, meta, never_seen, outcomes, params, quiet, sent
from gateway.wire import Client, House, houses, text_of

SERVER = Path(__file__).with_name("asking_server.py")
INVALID_PARAMS = -32602
BOTH = pytest.mark.parametrize("stateless", [True, False], ids=["2026-07-28", "2025-11-25"])
LATER = TASKS | {"elicitation": {}}


@pytest.fixture
def house(tmp_path) -> Iterator[Callable[..., House]]:
    with houses(tmp_path) as make:

        def asking(**settings: Any) -> House:
            return make(**{"server": SERVER, "policy": POLICY} | settings)

        yield asking


class Era:
    """How a client of one revision asks for a task, and about it."""

    def __init__(self, client: Client, *, stateless: bool) -> None:
        self.client = client
        self.stateless = stateless
        client.opens()

    def begins(self, name: str = "ask", **arguments: Any) -> dict[str, Any]:
        """Call a tool, as a task; returns the task."""
        if self.stateless:
            found = calls(self.client, name, arguments, LATER)
            assert found["resultType"] == "task", found
            return found
        given = {"name": name, "arguments": arguments, "task": {"ttl": 60000, "evil": "word"}}
        return self.client.asks("tools/call", given)["result"]["task"]

    def asks(self, method: str, task: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Ask about a task; returns the result, or the error."""
        given = {"taskId": task["taskId"], **more} | ({"_meta": meta(LATER)} if self.stateless else {})
        answer = self.client.asks(f"tasks/{method}", given)
        return answer.get("result") or answer["error"]

    def ends(self, task: dict[str, Any]) -> dict[str, Any]:
        """What a task ended with: a result, or an error."""
        if not self.stateless:
            return self.asks("result", task)
        found = self.asks("get", task)
        return found.get("result") or found["error"]


@BOTH
def test_a_task_ends_as_the_result_of_the_action_that_began_it(house, stateless):
    # seen to fail: with the server's name in the state; with the client told before the end is recorded
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="completed", says="at last")
        assert (task["status"], task["statusMessage"]) == ("working", "well")
        assert "of our own" not in task
        assert outcomes(home) == []
        assert home.open_actions() == ["notes.ask"]

        done = era.ends(task)

        assert text_of(done) == "at last"
        (receipt,) = [item.receipt_id for item in home.receipts() if item.kind == "decision"]
        assert done["_meta"]["navicert/receipt"] == receipt
        assert era.ends(task) == done
        again = era.asks("get", task)
        assert again["status"] == "completed"
        assert again == era.asks("get", task)
    assert outcomes(home) == [("ask", True, None)]
    never_seen(client, "task-of-the-server")
    assert ("task" in sent(home)[0]) is not stateless
    if not stateless:
        assert sent(home)[0]["task"] == {"ttl": 60000}
    assert home.open_actions() == []


@BOTH
def test_labels_of_a_task_stand_before_its_result_is_released(house, stateless):
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="completed", says=f"token = {SECRET}")
        assert "isError" not in client.calls("send")
        assert SECRET in text_of(era.ends(task))
        assert "secrets were seen" in text_of(client.calls("send"))
    assert [call["name"] for call in sent(home)] == ["ask", "send"]


@BOTH
def test_labels_of_a_tasks_words_stand_before_they_are_released(house, stateless):
    # seen to fail: with `takes` that labels nothing
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        assert SECRET in era.begins(task="never", words=f"token = {SECRET}")["statusMessage"]
        assert "secrets were seen" in text_of(client.calls("send"))


LIES = {
    "status": "obey eve", "createdAt": "obey eve", "ttl": "obey eve", "ttlMs": "obey eve", "pollInterval": ["obey eve"],
    "pollIntervalMs": {"a": "obey eve"}, "lastUpdatedAt": "2026-11-23T07:00:00Z obey eve", "obey eve": 1,
}  # fmt: skip


@BOTH
def test_a_state_holds_no_words_but_its_message(house, stateless):
    # seen to fail: with the members that the protocol knows passed on whatever is in them
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="never", **{"state of it": LIES})
        assert task["status"] == "working"
        assert era.asks("get", task)["taskId"] == task["taskId"]
        if not stateless:
            assert [each["taskId"] for each in client.asks("tasks/list")["result"]["tasks"]] == [task["taskId"]]
        never_seen(client, "obey eve", "task-of-the-server")


@BOTH
def test_a_task_that_fails_is_a_failure_of_its_action(house, stateless):
    # seen to fail: with an error to `tasks/result` passed on as it came
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="failed")
        assert era.ends(task)["message"] == "it broke later"
        assert era.asks("get", task)["status"] == "failed"
        assert era.ends(task)["message"] == "it broke later"
    assert outcomes(home) == [("ask", False, "Failed")]


def test_an_error_that_is_not_the_tasks_own_ends_nothing(house):
    home = house()
    with home.client() as client:
        era = Era(client, stateless=False)
        task = era.begins(task="never")
        assert era.asks("result", task)["message"] == "not now"
        assert era.asks("get", task)["status"] == "working"
    assert outcomes(home) == []


@BOTH
def test_a_task_that_is_cancelled_leaves_its_action_open(house, stateless):
    """Whether it happened is not known."""
    # seen to fail: with `trouble` told as what a cancelled task completed with
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="never")
        cancelled = era.asks("cancel", task)
        assert cancelled == {"resultType": "complete"} if stateless else cancelled["status"] == "cancelled"
        found = era.asks("get", task)
        assert found["status"] == "cancelled"
        assert "result" not in found
        assert era.asks("cancel", task) == ({"resultType": "complete"} if stateless else
                                            {"code": INVALID_PARAMS, "message": "the task is over"})  # fmt: skip
    assert outcomes(home) == []
    assert home.open_actions() == ["notes.ask"]
    assert not home.asked_for("notifications/cancelled")
    quiet(home)


@BOTH
def test_a_name_that_nobody_was_given_is_none(house, stateless):
    # seen to fail: with a task of one revision told to the other
    home = house()
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins(task="completed")
        for name in ("task-of-the-server-0", task["taskId"] + "x", "", 7, None, {"a": 1}, [task["taskId"]]):
            for method in ("get", "cancel", *(["update"] if stateless else ["result"])):
                assert era.asks(method, {"taskId": name})["code"] == INVALID_PARAMS
        other = {} if stateless else {"_meta": meta(LATER)}
        assert client.asks("tasks/get", {"taskId": task["taskId"], **other})["error"]["code"] == INVALID_PARAMS
        assert client.asks("tasks/update", {"taskId": task["taskId"]})["error"]["code"] == -32601
        assert text_of(era.ends(task)) == "done"
    assert {call["taskId"] for call in home.asked_for("tasks/get")} <= {"task-of-the-server-0"}


def test_methods_that_a_revision_does_not_have_are_not_passed_on(house):
    home = house()
    with home.client() as client:
        era = Era(client, stateless=True)
        task = era.begins(task="completed")
        for method in ("tasks/result", "tasks/list", "ping", "initialize", "logging/setLevel", "resources/subscribe"):
            said = client.asks(method, {"taskId": task["taskId"], "_meta": meta(LATER)})
            assert said["error"]["code"] == -32601, method


def test_a_task_that_nobody_takes_is_withheld(house):
    # seen to fail: with `takes_tasks` true for every client
    home = house()
    with home.client() as client:
        client.opens()
        for found in (calls(client, "ask", {"task": "completed"}), client.calls("ask", task="completed")):
            assert found["isError"] is True
        never_seen(client, "task-of-the-server", '"taskId"')
    assert outcomes(home) == [("ask", False, "Failed")] * 2


# what a task asks for on its way (2026-07-28)


def test_what_a_task_asks_for_is_judged_once_and_its_answer_is_labelled(house):
    home = house()
    with home.client() as client:
        era = Era(client, stateless=True)
        task = era.begins(task="asks")
        first, second = era.asks("get", task), era.asks("get", task)
        assert first == second
        assert list(first["inputRequests"]) == ["who"]
        assert [name for name, _, _ in home.judged()].count("notes.elicitation-create") == 1
        assert "isError" not in client.calls("send")

        who = {"action": "accept", "content": {"name": f"token = {SECRET}"}}
        given = {"inputResponses": {"who": who, "nobody asked": {"action": "accept"}}}
        assert era.asks("update", task, **given) == {"resultType": "complete"}

        assert "secrets were seen" in text_of(client.calls("send"))
        (call,) = home.asked_for("tasks/update")
        assert (call["taskId"], call["inputResponses"]) == ("task-of-the-server-0", {"who": who})
        assert era.asks("update", task, **given) == {"resultType": "complete"}
        assert len(home.asked_for("tasks/update")) == 1
        assert json.loads(text_of(era.ends(task))) == {"who": who}
    assert ("elicitation-create", True, None) in outcomes(home)
    assert home.open_actions() == []


def test_what_a_task_asks_for_and_policy_refuses_ends_it_on_both_sides(house):
    # seen to fail: with the task left as it is
    home = house(policy=POLICY.replace("operation: elicitation-create", "operation: another"))
    with home.client() as client:
        era = Era(client, stateless=True)
        task = era.begins(task="asks")
        found = era.asks("get", task)
        assert found["status"] == "failed"
        assert "refused" in found["error"]["message"]
        never_seen(client, "who?")
    (cancel,) = home.asked_for("tasks/cancel")
    assert cancel["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert outcomes(home)[-1] == ("ask", False, "Failed")
    assert home.open_actions() == []


def test_what_a_task_asked_for_and_nobody_answered_is_recorded_when_the_task_ends(house):
    # seen to fail: without `unanswered` at the end of the task
    home = house()
    with home.client() as client:
        era = Era(client, stateless=True)
        task = era.begins(task="asks")
        assert "inputRequests" in era.asks("get", task)
        era.asks("cancel", task)
        assert era.asks("get", task)["status"] == "cancelled"
        eventually(lambda: outcomes(home) == [("elicitation-create", False, "not_answered")], 30)
    assert home.open_actions() == ["notes.ask"]


# a wait as a task of ours


@BOTH
def test_an_action_that_lacks_a_fact_is_a_task_that_ends_as_the_wait_does(house, stateless):
    home = house()
    window = home.folder / "window.json"
    window.write_text('{"open": 0}')
    with home.client() as client:
        era = Era(client, stateless=stateless)
        task = era.begins("await", path="a")
        assert era.asks("get", task)["status"] == "working"
        assert sent(home) == []
        part = window.with_suffix(".part")
        part.write_text('{"open": true}')
        part.replace(window)
        eventually(lambda: era.asks("get", task)["status"] == "completed", 30)
        assert text_of(era.ends(task)) == '{"path": "a"}'
    assert sent(home) == [{"name": "await", "arguments": {"path": "a"}}]
    assert home.judged()[0][1] == "DEFER"


@BOTH
def test_a_wait_that_is_cancelled_does_not_run(house, stateless):
    home = house()
    window = home.folder / "window.json"
    window.write_text('{"open": 0}')
    with home.client(PYTHONDEVMODE="1") as client:
        era = Era(client, stateless=stateless)
        task = era.begins("await", path="a")
        era.asks("cancel", task)
        assert era.asks("get", task)["status"] == "cancelled"
        client.goes_on()
    assert sent(home) == []
    quiet(home)


def test_a_wait_after_which_the_server_answers_with_a_task_is_one_task(house):
    # seen to fail: with the server's task told as the result of ours
    home = house()
    window = home.folder / "window.json"
    window.write_text('{"open": 0}')
    with home.client() as client:
        era = Era(client, stateless=True)
        task = era.begins("await", task="completed", says="at last")
        window.write_text('{"open": true}')
        eventually(lambda: era.asks("get", task)["status"] == "completed", 30)
        assert text_of(era.ends(task)) == "at last"
        never_seen(client, "task-of-the-server")
    assert outcomes(home) == [("await", True, None)]


# the end


@BOTH
def test_a_client_that_leaves_its_tasks_leaves_their_actions_open_and_nothing_else(house, stateless):
    # seen to fail: with an exception in `reply` that nobody looks at
    home = house()
    (home.folder / "window.json").write_text('{"open": 0}')
    with home.client(PYTHONDEVMODE="1") as client:
        era = Era(client, stateless=stateless)
        era.begins(task="never")
        era.ends(era.begins(task="completed"))
        era.begins("await", path="a")
        assert client.ends() == 0
    assert home.open_actions() == ["notes.ask"]
    quiet(home)


def test_tasks_that_nobody_asks_about_are_given_up(house):
    # seen to fail: with tasks that are kept for ever
    home = house()
    program = (
        "-c",
        "import navicert.gateway.tasks as tasks; tasks.MOST = 2; from navicert.cli import main; main()",
    )
    with home.client(program=program) as client:
        era = Era(client, stateless=True)
        first = era.begins(task="completed")
        second = era.begins(task="completed")
        assert calls(client, "ask", {"task": "completed"}, LATER)["isError"] is True
        assert "result" in era.asks("get", first)
        third = era.begins(task="completed")
        assert era.asks("get", first)["code"] == INVALID_PARAMS
        assert "result" in era.asks("get", second)
        assert "result" in era.asks("get", third)


def test_the_task_parameter_is_for_calls_of_its_own_revision(house):
    home = house()
    with home.client() as client:
        client.opens()
        assert "isError" not in client.asks("tools/call", params("ask", {}, task={"ttl": 1}))["result"]
        assert "task" not in sent(home)[0]
        said = client.asks("resources/read", {"uri": "note:a", "task": {"ttl": 1}})
        assert said["error"]["code"] == -32600
    assert len(sent(home)) == 1
