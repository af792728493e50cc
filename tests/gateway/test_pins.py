"""What a client is shown: what was accepted, of that what its principal could ever use, and nothing else (T11).

Attack cases A.4 (too much is shown), F.4 (text of a server that reaches the model), F.9 (definitions that change).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway import peers
from gateway.wire import POLICY, Client, House, houses, text_of
from navicert.gateway.look import look
from navicert.gateway.pins import PROMPTS, TEMPLATES, TOOLS, Server, Watch, digest_of
from terminal import Person

DEFINED = {TOOLS: "tools", PROMPTS: "prompts", TEMPLATES: "resourceTemplates"}


@pytest.fixture
def house(tmp_path) -> Iterator[Callable[..., House]]:
    with houses(tmp_path) as make:
        yield make


def listed(client: Client, method: str = PROMPTS) -> list[str]:
    """The names in a list, as the client is shown it."""
    key = "uriTemplate" if method == TEMPLATES else "name"
    return [item[key] for item in client.asks(method)["result"][DEFINED[method]]]


def reason(answer: dict[str, Any]) -> str | None:
    """The reason code of a refusal, of a tool call or of anything else."""
    meta = answer["error"].get("data", {}) if "error" in answer else answer["result"].get("_meta", {})
    return meta.get("navicert/reason")


# prompts and templates


def test_prompts_and_templates_are_shown_and_used_as_they_were_accepted(house):
    home = house()
    with home.client() as client:
        client.opens()
        assert listed(client) == ["greet", "plan"]
        assert listed(client, TEMPLATES) == ["note:///{path}"]
        assert "result" in client.asks("prompts/get", {"name": "greet"})
        for ref in ({"type": "ref/prompt", "name": "greet"}, {"type": "ref/resource", "uri": "note:///{path}"}):
            assert "result" in client.asks("completion/complete", {"ref": ref, "argument": {"name": "a", "value": "b"}})
    assert home.asked_for("prompts/get") == [{"name": "greet"}]
    assert b'"public"' not in b"".join(client.seen)


@pytest.mark.parametrize(
    ("mode", "method", "left"), [("another prompt", PROMPTS, ["plan"]), ("another template", TEMPLATES, [])]
)
def test_a_prompt_or_template_that_is_not_what_was_accepted_is_hidden_and_cannot_be_used(house, mode, method, left):
    # seen to fail: with these lists passed on as they come; with only tools looked up in `used`
    home = house()
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        assert listed(client, method) == left
        for name in ("greet", "new") if method == PROMPTS else ("note:///{path}", "new:///{path}"):
            asks = {"ref": {"type": "ref/prompt", "name": name} if method == PROMPTS else
                    {"type": "ref/resource", "uri": name}, "argument": {"name": "a", "value": "b"}}  # fmt: skip
            assert reason(client.asks("completion/complete", asks)) == "not_accepted"
            if method == PROMPTS:
                assert reason(client.asks("prompts/get", {"name": name})) == "not_accepted"
        assert home.asked_for("completion/complete") == home.asked_for("prompts/get") == []
        home.behaves("")
        assert len(listed(client, method)) == len(left) + 1
    assert b"secrets" not in b"".join(client.seen)


def test_what_a_completion_names_that_nobody_defines_is_no_prompt(house):
    home = house()
    with home.client() as client:
        client.opens()
        for ref in ({}, {"type": "ref/other", "name": "greet"}, {"name": "greet"}, "greet", ["greet"], None):
            said = client.asks("completion/complete", {"ref": ref, "argument": {"name": "a", "value": "b"}})
            assert reason(said) == "not_accepted"
    assert home.asked_for("completion/complete") == []


def test_of_resources_is_shown_what_they_are_found_by_and_no_words_for_the_model(house):
    # seen to fail: with the list passed on as it comes
    home = house()
    with home.client() as client:
        client.opens()
        shown = client.asks("resources/list")["result"]["resources"]
        assert shown == [{"uri": "note:///a", "name": "a", "mimeType": "text/plain", "size": 3}]
        assert "result" in client.asks("resources/read", {"uri": shown[0]["uri"]})


def test_a_file_of_before_has_no_prompt_accepted_and_all_its_tools(house):
    home = house()
    path = home.home.folder / "mcp.json"
    held = json.loads(path.read_text())
    entry = held["servers"]["notes"]
    for field in ("prompts", "templates", "fresh_s"):
        entry.pop(field, None)
    entry["definitions"] = {name: text for name, text in entry["definitions"].items() if "/" not in name}
    path.write_text(json.dumps(held))
    with home.client() as client:
        client.opens()
        assert listed(client) == listed(client, TEMPLATES) == []
        assert reason(client.asks("prompts/get", {"name": "greet"})) == "not_accepted"
        assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
        client.notes("the prompt `greet` is held back: nobody has accepted it yet; see `navicert tools notes`")
    with Person("tools", "notes", "--accept", home=home.home.folder) as person:
        assert person.ends() == 0
    with home.client() as client:
        client.opens()
        assert listed(client) == ["greet", "plan"]


def test_a_changed_list_of_prompts_is_looked_at_before_it_is_announced(house):
    # seen to fail: with the notification passed on at once
    home = house()
    with home.client() as client:
        client.opens()
        assert "result" in client.asks("prompts/get", {"name": "greet"})
        home.behaves("announces prompts")
        client.calls("read_note", path="a")
        client.notice("notifications/prompts/list_changed")
        assert reason(client.asks("prompts/get", {"name": "greet"})) == "not_accepted"
    assert len(home.asked_for("prompts/get")) == 1


# changes that nobody announces (F.9)


@pytest.mark.parametrize(
    ("mode", "method", "params"),
    [
        ("changed", "tools/call", {"name": "read_note", "arguments": {}}),
        ("another prompt", "prompts/get", {"name": "greet"}),
    ],
)
def test_what_changed_and_was_never_listed_is_looked_at_before_its_first_use(house, mode, method, params):
    # seen to fail: with `is_due` that says no
    home = house()
    home.behaves(mode)
    with home.client() as client:
        client.opens()
        assert reason(client.asks(method, params)) == "not_accepted"
        assert home.asked_for(method) == []
        assert text_of(client.calls("write_note", n=1)) == '{"n": 1}'


def test_one_look_is_enough_for_many_calls_until_it_is_old(house):
    # seen to fail: with a look before each call; with looks that never grow old
    home = house()
    with home.client() as client:
        client.opens()
        ids = [client.sends("tools/call", {"name": "read_note", "arguments": {"n": n}}) for n in range(20)]
        assert all("isError" not in client.answer(id_)["result"] for id_ in ids)
        assert len(home.asked_for("tools/list")) == 1
    home.attach(fresh_s=0.0)
    with home.client() as client:
        client.opens()
        assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
        home.behaves("changed")
        assert reason({"result": client.calls("read_note", path="b")}) == "not_accepted"
    assert len(home.asked_for()) == 21


def test_where_the_tools_cannot_be_looked_at_nothing_is_called(house):
    # seen to fail: with a look that failed taken for one that found nothing
    home = house()
    home.behaves("lists nothing")
    with home.client() as client:
        client.opens()
        said = client.calls("read_note", path="a")
        assert said["isError"] is True
        assert "whether the tool is what was accepted cannot be told now" in text_of(said)
        assert home.asked_for() == []
        home.behaves("")
        assert text_of(client.calls("read_note", path="a")) == '{"path": "a"}'
    assert [(result, code) for _, result, code in home.judged()] == [("DENY", "unavailable"), ("ALLOW", "posture")]


# what the refusal says


def test_the_model_is_told_to_tell_the_user_and_the_operator_what_to_do(house):
    home = house()
    home.behaves("changed")
    with home.client() as client:
        client.opens()
        said = client.calls("read_note", path="a")
        assert text_of(said) == (
            "navicert refused this: the tool is not available: it is not what was accepted. "
            "tell the user: whoever runs the gateway has to look at it first"
        )
        assert "navicert tools" not in json.dumps(said)
        client.tools()
        client.notes("the tool `read_note` is held back: it is not what was accepted; see `navicert tools notes`")
    assert home.judged() == [("notes.read_note", "DENY", "not_accepted")]


# what a principal is shown (A.4)


@pytest.mark.parametrize("up", [False, True], ids=["alone", "owner"])
def test_a_tool_that_its_principal_may_never_use_is_not_shown_to_it(house, up):
    # seen to fail: with lists that are not filtered
    only = "{tool: notes, operation: write_note, identity: {agent: clerk}}"
    policy = POLICY.replace(
        "  - id: few\n    match: {tool: notes, operation: write_note}", f"  - id: few\n    match: {only}"
    )
    home = house(policy=policy, up=up)
    with home.client("--agent", "clerk") as client:
        client.opens()
        assert set(client.tools()) == {"read_note", "write_note", "delete_note", "plan_note"}
        assert "isError" not in client.calls("write_note", n=1)
    with home.client("--agent", "guest") as client:
        client.opens()
        assert set(client.tools()) == {"read_note", "delete_note", "plan_note"}
        assert client.calls("write_note", n=1)["isError"] is True  # the judgement is the boundary
    assert len(home.asked_for()) == 1


def test_prompts_and_resources_are_shown_to_who_may_read_them(house):
    # seen to fail: with only tools filtered
    denied = "  - id: no-{0}\n    match: {{tool: notes, operation: {0}}}\n    decision: DENY\n"
    home = house(policy=POLICY + denied.format("prompts-get") + denied.format("resources-read"))
    with home.client() as client:
        client.opens()
        assert listed(client) == listed(client, TEMPLATES) == []
        assert client.asks("resources/list")["result"]["resources"] == []
        assert client.asks("prompts/get", {"name": "greet"})["error"]["code"] == 4030
        assert "read_note" in client.tools()


def test_where_nobody_can_be_told_apart_no_list_is_shown(house):
    # seen to fail: with everything shown where `offered` raises
    home = house(up=True)
    with home.client() as client:
        client.opens()
        assert client.tools()
        home.owner.end()
        home.owner = None
        answer = client.asks("tools/list")
        assert answer["error"]["message"].startswith("navicert: what you may be shown cannot be told")


# real peers


def test_the_prompts_and_templates_of_a_real_server_are_what_was_accepted():
    found = asyncio.run(look("all", Server(command=tuple(peers.everything())))).server

    assert len(found.prompts) > 1
    assert {"{resourceId}" in name for name in found.templates} == {True}
    for digests in (found.tools, found.prompts, found.templates):
        assert all(len(digest) == 64 for each in digests.values() for digest in each)


# the watch


def watch(now: Callable[[], float] = lambda: 0.0, **fields: Any) -> Watch:
    return Watch(Server(command=("x",), **fields), now)


def test_a_list_is_due_until_all_of_it_was_seen_and_again_when_that_is_old():
    time = [0.0]
    seen = watch(lambda: time[0], fresh_s=60.0)
    assert seen.is_due(TOOLS)
    seen.whole(TOOLS)
    assert not seen.is_due(TOOLS)
    assert seen.is_due(PROMPTS)
    time[0] = 59.9
    assert not seen.is_due(TOOLS)
    time[0] = 60.0
    assert seen.is_due(TOOLS)


@pytest.mark.parametrize("items", [None, {}, "a", 7, [None, 7, "a", [], {}, {"name": 7}, {"name": None}]])
@pytest.mark.parametrize("method", [TOOLS, PROMPTS, TEMPLATES])
def test_what_is_no_list_of_definitions_is_an_empty_one(items, method):
    assert watch().page(items, method) == []


def test_a_digest_accepted_for_a_prompt_is_none_for_a_tool():
    definition = {"name": "greet"}
    digest = digest_of(definition)
    seen = watch(prompts={"greet": (digest,)})
    assert seen.page([definition], PROMPTS) == [definition]
    assert seen.page([definition], TOOLS) == []
    assert seen.callable("greet", PROMPTS) is None
    assert seen.callable("greet") == "nobody has accepted it yet"


def test_only_cursors_of_the_server_are_known_and_not_for_ever():
    seen = watch()
    for number in range(2_000):
        seen.keep_cursor(str(number))
    assert "1999" in seen.cursors
    assert "0" not in seen.cursors
    assert len(seen.cursors) < 2_000
