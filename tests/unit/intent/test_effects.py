"""What an undeclared tool does is told from what it says of itself, and never as less dangerous than it is."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.intent.effects import DANGER, infer
from navicert.intent.verbs import VERBS, effects_of, lemma
from navicert.model.action import Effect, ToolProfile

READ, WRITE, DELETE, SEND, PAY, GRANT, EXECUTE, CREDENTIALS = Effect
GOLD = json.loads(Path(__file__).with_name("tools.json").read_bytes())["groups"]
ROLES = ("destination", "resource", "amount", "content")
LEAST = {"peers": (1.0, 0.97), "public": (0.98, 0.96), "agentdojo": (1.0, 0.99), "dailylife": (1.0, 0.98)}
"""Of each group: the share of effects, and of roles, that must be as a person says."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(
    ["properties", "items", "anyOf", "allOf", "$ref", "type", "format", "enum", "required", "title", "description"]
)
SCHEMAS = st.recursive(
    JSON | st.sampled_from(["string", "array", "object", "#", "#/properties/a", "#/$defs/b", "email", "uri"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=8), inner, max_size=5),
    max_leaves=40,
)
NAMES = st.text() | st.lists(st.sampled_from([*VERBS, "and", "user", "order", "__", ".", "mcp"])).map("_".join)


def schema(*names, **more):
    """Text parameters; with `!`, required."""
    properties = {name.rstrip("!"): {"type": "string"} for name in names} | more
    return {"type": "object", "properties": properties, "required": [name[:-1] for name in names if name[-1] == "!"]}


def effect(name, description="", *names, **more):
    return infer(name, description, schema(*names, **more)).profile.effect


def gold(group):
    for tool in GOLD[group]["tools"]:
        yield tool, infer(tool["name"], tool["description"], tool["schema"])


# seen to fail: with the description left out of `_effect`; with READ for what nothing says
@pytest.mark.parametrize("group", GOLD)
def test_no_tool_is_taken_for_less_dangerous_than_it_is(group):
    less = [
        (tool["name"], tool["effect"], found.profile.effect.value)
        for tool, found in gold(group)
        if DANGER[found.profile.effect] < DANGER[Effect(tool["effect"])]
    ]
    assert not less


# seen to fail: with `people` left out of `_goes`
@pytest.mark.parametrize("group", GOLD)
def test_no_destination_is_missed(group):
    missed = [
        (tool["name"], path)
        for tool, found in gold(group)
        for path in tool["roles"].get("destination", ())
        if path not in found.profile.destination
    ]
    assert not missed


@pytest.mark.parametrize("group", GOLD)
def test_effects_and_roles_are_those_that_a_person_sees(group, record_property):
    found = list(gold(group))
    same = sum(inferred.profile.effect == tool["effect"] for tool, inferred in found)
    told = [(tool, inferred.profile) for tool, inferred in found if inferred.sure and "unsure" not in tool]
    roles = [set(tool["roles"].get(role, ())) == set(getattr(item, role)) for tool, item in told for role in ROLES]
    shares = same / len(found), sum(roles) / len(roles)
    record_property("shares", shares)
    assert shares[0] >= LEAST[group][0]
    assert shares[1] >= LEAST[group][1]


def test_the_gold_list_is_as_large_as_it_says():
    assert {group: len(found["tools"]) for group, found in GOLD.items()} == {
        "peers": 45, "public": 277, "agentdojo": 69, "dailylife": 27,
    }  # fmt: skip


# seen to fail: with READ for what nothing says
@pytest.mark.parametrize("name", ["zap", "frobnicate_records", "nuke_list", "", "__", "search.zap", "データ", "x.y.z"])
def test_what_cannot_be_told_executes_and_sends_everything_everywhere(name):
    found = infer(name, "", schema("a", "b", n={"type": "number"}, deep={"properties": {"c": {"type": "string"}}}))
    assert not found.sure
    assert found.profile == ToolProfile(tool=name, effect=EXECUTE, destination=("a", "b", "deep.c"))


@pytest.mark.parametrize(
    "name",
    ["send_email", "sendEmail", "send-email", "mail.send_email", "mcp__mail__send_email", "email.send", "SendEmail"],
)
def test_names_are_read_however_they_are_written(name):
    assert effect(name) is SEND


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sign_up", CREDENTIALS), ("log_in", CREDENTIALS), ("check_out", PAY), ("top_up", PAY), ("look_up", READ),
        ("checkOut", PAY), ("shut_down", EXECUTE), ("opt_out", DELETE),
    ],
)  # fmt: skip
def test_verbs_of_two_words_are_one(name, expected):
    assert effect(name) is expected


# seen to fail: with every verb of the first sentence in `_by_description`
@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("get_sent_emails", "Returns all the sent emails in the inbox. Use send_email to send one."),
        ("search_orders", "Finds orders to refund, cancel or delete."),
        ("list_comments", "List comments and replies that people post."),
        ("read_file", "Read a file. Never delete or overwrite it."),
        ("get_list", "Generates a list of names"),
        ("read_query", "Execute a SELECT query"),
    ],
)
def test_what_reads_stays_reading_whatever_other_verbs_its_description_holds(name, description):
    assert effect(name, description) is READ


# seen to fail: with the description left out of `_effect`
@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("get_weather", "Sends the city to the given address", SEND),
        ("get_weather", "Gets the weather and sends it to a phone", SEND),
        ("get_token", "Deletes every record", DELETE),
        ("update_note", "Update or delete a note", DELETE),
        ("create_note", "Runs the note as a program", EXECUTE),
    ],
)
def test_where_name_and_description_disagree_the_more_dangerous_counts(name, description, expected):
    assert effect(name, description) is expected


def test_a_page_is_read_and_its_address_is_a_destination():
    found = infer("browse_page", "Opens a page", schema("url!", "note")).profile
    assert (found.effect, found.destination) == (READ, ("url",))
    accounts = infer("read_messages", "", schema("channel!", "user")).profile
    assert (accounts.destination, accounts.resource) == ((), ("channel", "user"))


def test_an_address_with_a_body_for_it_is_a_send():
    assert effect("fetch", "Fetches a page", "url!") is READ
    assert effect("fetch", "Fetches a page", "url!", "body") is SEND


# seen to fail: without `item.required` in `_changed`
def test_an_event_that_may_have_guests_is_a_write_with_destinations_and_one_that_must_is_a_send():
    tells = "Creates an event. It also sends an email to the participants."
    may = infer("create_event", tells, schema("title!", "participants")).profile
    must = infer("create_event", tells, schema("title!", "participants!")).profile
    untold = infer("create_event", "Creates an event.", schema("title!", "participants!")).profile
    assert [(item.effect, item.destination) for item in (may, must, untold)] == [
        (WRITE, ("participants",)), (SEND, ("participants",)), (WRITE, ("participants",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [("command", EXECUTE), ("sql", EXECUTE), ("payment_method", PAY), ("new_password", CREDENTIALS), ("colour", WRITE)],
)
def test_a_parameter_can_give_away_what_a_tool_does(parameter, expected):
    assert effect("update_thing", "", parameter) is expected


def test_sql_reads_only_where_it_is_said_to_and_nothing_else_is_said():
    assert effect("query", "Run a read-only SQL query", "sql!") is READ
    assert effect("query", "Run a SQL query", "sql!") is EXECUTE
    assert effect("query", "Run SELECT, INSERT or DELETE", "sql!") is EXECUTE


# seen to fail: with READ where `readOnlyHint` is true
def test_hints_of_the_server_tighten_and_never_loosen():
    harmless = {"readOnlyHint": True, "destructiveHint": False}
    for name, is_really in (("delete_file", DELETE), ("zap", EXECUTE), ("send_mail", SEND), ("write_file", WRITE)):
        assert infer(name, "", None, harmless).profile.effect is is_really
    assert infer("get_file", "", None, {"destructiveHint": True}).profile.effect is DELETE
    assert infer("get_file", "", None, harmless).profile.effect is READ


def test_roles_are_found_in_nested_parameters_by_their_dotted_names():
    mail = {"properties": {"to": {"type": "array", "items": {"type": "string"}}, "body": {"$ref": "#/$defs/text"}}}
    given = {"$defs": {"text": {"type": "string"}}, "properties": {"mail": {"anyOf": [mail, {"type": "null"}]}}}
    found = infer("send", "", given).profile
    assert (found.destination, found.content) == (("mail.to",), ("mail.body",))
    one = {"properties": {"recipient": {"type": "string"}, "amount": {"type": "number"}}}
    several = infer("send_money", "", {"properties": {"payments": {"type": "array", "items": one}}}).profile
    assert several.destination == ("payments",)


@pytest.mark.parametrize(
    "node",
    [{"type": "string", "format": "email"}, {"type": "string", "description": "The recipient"}, {"format": "uri"}],
)
def test_a_format_or_a_description_tells_a_destination_that_the_name_does_not(node):
    assert infer("send_it", "", {"properties": {"x": node}}).profile.destination == ("x",)


# seen to fail: with `self.whole = False` left out of `gather`
def test_a_destination_cannot_hide_in_what_is_too_much_to_read():
    deep = {"type": "string"}
    for _ in range(9):
        deep = {"type": "object", "properties": {"a": deep}}
    wide = {"properties": {f"p{n}": {"type": "string"} for n in range(300)}}
    dotted = {"properties": {"a.b": {"type": "string"}}}
    for large in (deep, wide, dotted):
        assert not infer("get_it", "", large).sure
    tree = {"properties": {"name": {}, "children": {"type": "array", "items": {"$ref": "#"}}}}
    assert infer("get_it", "", tree).sure


def test_every_conclusion_has_its_reason():
    found = infer("transfer_money", "", schema("to_account", amount={"type": "number"}))
    assert found.why == ("`transfer` in its name: pay", "destination: to_account", "amount: amount")


@settings(max_examples=150, deadline=None)
@given(NAMES, st.text() | JSON, SCHEMAS, JSON)
def test_nothing_makes_it_fail_and_the_same_tool_is_the_same_twice(name, description, parameters, hints):
    first = infer(name, description, parameters, hints)
    assert first == infer(name, description, parameters, hints)
    assert first.profile.tool == name


def test_a_schema_that_never_ends_is_read_within_bounds():
    wide = {"properties": {f"p{n}": {"items": {"$ref": "#"}, "anyOf": [{"$ref": "#"}] * 50} for n in range(200)}}
    began = time.process_time()
    infer("get_it", "Get it. " * 10_000, wide)
    assert time.process_time() - began < 1


def test_an_ordinary_tool_takes_less_than_a_millisecond():
    tools = [tool for group in GOLD.values() for tool in group["tools"]]
    took = []
    for tool in tools:
        began = time.process_time()
        infer(tool["name"], tool["description"], tool["schema"])
        took.append(time.process_time() - began)
    assert statistics.median(took) < 0.001


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("sends", "send"), ("sending", "send"), ("sent", "send"), ("shared", "share"), ("planned", "plan"),
        ("copies", "copy"), ("boxes", "box"), ("meeting", "meeting"), ("addresses", "address"), ("paid", "pay"),
    ],
)  # fmt: skip
def test_words_are_compared_as_lemmas(word, base):
    assert lemma(word) == base


@pytest.mark.parametrize(
    ("verb", "objects", "expected"),
    [
        ("place", ["order"], (PAY,)), ("change", ["password"], (CREDENTIALS,)), ("add", ["collaborator"], (GRANT,)),
        ("make", ["file"], (WRITE,)), ("write", ["email"], (SEND,)), ("take", ["screenshot"], (READ,)), ("zap", [], ()),
    ],
)  # fmt: skip
def test_what_a_verb_acts_on_makes_another_effect_of_it(verb, objects, expected):
    assert effects_of(verb, objects) == expected


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("notes.recall", True), ("memory.search_nodes", True), ("mcp__memory__read_graph", True),
        ("get_memories", True), ("save_memory", False), ("shop.get_orders", False), ("mail.recall_email", False),
    ],
)  # fmt: skip
def test_what_gives_back_what_the_agent_remembered_is_memory(name, memory):
    # seen to fail: with `memory` left out of the profile
    assert infer(name).profile.memory is memory
