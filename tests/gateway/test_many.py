"""Many servers behind one address (R1): whose a name is, what all answer together, and nobody gets another's words.

Every refusal stands beside its benign twin. What each server was asked is read from its own record.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from faults.owners import a_home
from gateway import peers
from gateway.http_wire import HANDSHAKE, STATELESS, Gateway, WebHouse
from gateway.peers import client, listening, text
from gateway.test_http_peers import showing
from gateway.wire import ECHO, Client, House, houses, text_of
from navicert.core.canonical import Number
from navicert.gateway.look import look
from navicert.gateway.many import Fan
from navicert.gateway.merging import listed
from navicert.gateway.message import Message, notification, request
from navicert.gateway.naming import check_names, routed
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server
from navicert.gateway.ways import Lane
from navicert.model.errors import PolicyError

POLICY = """\
policy: many
version: 1
posture: declared_reads
tools:
  notes.read_note: {effect: read, resource: path, returns: INTERNAL}
  desk.read_note: {effect: read, resource: path, returns: INTERNAL}
  notes.sampling-create: {effect: execute, returns: INTERNAL}
  desk.sampling-create: {effect: execute, returns: INTERNAL}
rules:
  - id: few
    match: {tool: notes, operation: write_note}
    decision: MODIFY
    modifications: [{parameter: n, cap: 10}]
  - id: never
    match: {tool: notes, operation: drop_note}
    decision: DENY
    reason: dropping is forbidden
  - id: notes-ask
    match: {tool: notes, operation: sampling-create}
    decision: ALLOW
  - id: desk-may
    match: {tool: desk}
    decision: ALLOW
  - id: web-may
    match: {tool: web}
    decision: ALLOW
"""
ALL = """\
policy: peers
version: 1
posture: declared_reads
tools:
  fixture.sampling-create: {effect: execute}
  fixture.elicitation-create: {effect: execute}
rules:
  - id: everything
    match: {}
    decision: ALLOW
"""


class Second(House):
    """The second server of a home."""

    def __init__(self, folder: Path) -> None:
        self.server_folder = folder
        folder.mkdir()


class Both(House):
    """A home with two launched servers, `notes` and `desk`, that are the same program."""

    gateway = WebHouse.gateway
    token = WebHouse.token

    def __init__(self, folder: Path, **fields: Any) -> None:
        super().__init__(folder, policy=POLICY, **fields)
        self.desk = Second(folder / "desk")
        self.adds(
            "desk",
            Server(
                command=(
                    sys.executable,
                    "-I",
                    "-S",
                    str(ECHO),
                    str(self.desk.server_folder),
                )
            ),
        )
        self.desk.forget()

    def adds(self, name: str, server: Server) -> None:
        write_server(self.home.folder, name, asyncio.run(look(name, server)).server)

    def together(self, *words: str) -> Client:
        return self.client("desk", *words)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Both]:
    with houses(tmp_path) as make:
        del make
        yield Both(tmp_path / "both")


@pytest.fixture
def both(house: Both) -> Iterator[Client]:
    with house.together() as found:
        found.opens()
        yield found


# ---------------------------------------------------------------------------------------------------------- names


def test_a_name_tells_whose_it_is_and_the_server_hears_its_own(house: Both, both: Client) -> None:
    assert text_of(both.calls("notes__read_note", path="a")) == '{"path": "a"}'
    assert text_of(both.calls("desk__read_note", path="b")) == '{"path": "b"}'
    assert [item["name"] for item in house.asked_for()] == ["read_note"]
    assert house.asked_for()[0]["arguments"] == {"path": "a"}
    assert house.desk.asked_for()[0]["arguments"] == {"path": "b"}
    assert [name for name, _, _ in house.judged()] == [
        "notes.read_note",
        "desk.read_note",
    ]
    assert "result" in both.asks("prompts/get", {"name": "desk__greet", "arguments": {"who": "ana"}})
    assert house.desk.asked_for("prompts/get")[0]["name"] == "greet"
    assert house.asked_for("prompts/get") == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "read_note"}, -32602),
        ("tools/call", {"name": "other__read_note"}, -32602),
        ("tools/call", {"name": "Notes__read_note"}, -32602),
        ("tools/call", {"name": 7}, -32602),
        ("prompts/get", {"name": "notes_greet"}, -32602),
        ("resources/read", {"uri": "note:///a"}, -32002),
        ("resources/read", {"uri": "other+note:///a"}, -32002),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {}},
            -32602,
        ),
        ("completion/complete", {"ref": "greet"}, -32602),
        ("tools/own", {}, -32601),
    ],
)
def test_what_is_nobodys_reaches_nobody(
    house: Both, both: Client, method: str, params: dict[str, Any], code: int
) -> None:
    # seen to fail: with the first server for a name without one
    both.tools()
    house.forget()
    house.desk.forget()
    assert both.asks(method, params)["error"]["code"] == code
    assert (house.asked(), house.desk.asked()) == ([], [])


def test_a_tools_definition_is_the_servers_own_but_for_its_name(house: Both, both: Client) -> None:
    found = both.asks("tools/list")["result"]["tools"]
    with house.client() as alone:
        alone.opens()
        own = alone.asks("tools/list")["result"]["tools"]
    assert own
    assert found[: len(own)] == [tool | {"name": f"notes__{tool['name']}"} for tool in own]
    assert {tool["name"].partition("__")[0] for tool in found[len(own) :]} == {"desk"}


def test_an_address_is_the_servers_own_with_its_name_before_it_wherever_it_stands(house: Both, both: Client) -> None:
    # seen to fail: with results passed on as they are
    assert [each["uri"] for each in both.asks("resources/list")["result"]["resources"]] == [
        "notes+note:///a",
        "desk+note:///a",
    ]
    templates = both.asks("resources/templates/list")["result"]["resourceTemplates"]
    assert [each["uriTemplate"] for each in templates] == [
        "notes+note:///{path}",
        "desk+note:///{path}",
    ]
    assert "result" in both.asks("resources/read", {"uri": "desk+note:///a"})
    assert "result" in both.asks("resources/read", {"uri": "DESK+note:///a"})  # a scheme knows no case
    assert [each["uri"] for each in house.desk.asked_for("resources/read")] == ["note:///a"] * 2
    ref = {"type": "ref/resource", "uri": "desk+note:///{path}"}
    assert "result" in both.asks("completion/complete", {"ref": ref, "argument": {"name": "path", "value": "a"}})
    assert house.desk.asked_for("completion/complete")[0]["ref"]["uri"] == "note:///{path}"
    house.desk.behaves("links")
    link, inner, words = both.calls("desk__read_note")["content"]
    assert link["uri"] == "desk+file:///a"
    assert inner["resource"]["uri"] == "desk+file:///b"
    assert words["text"] == "file:///c"
    assert house.asked_for("resources/read") == []


@pytest.mark.parametrize("name", ["a_b", "a__b", "9a"])
def test_a_server_whose_name_cannot_stand_before_others_is_refused_by_it(house: Both, name: str) -> None:
    # seen to fail: without `check_names`
    write_server(house.home.folder, name, house.server)
    for words in (["notes", name], ["--all"]):
        found = runs(house, *words)
        assert found.returncode == 3
        assert f"`{name}` cannot stand before the names of its tools" in found.stderr
    assert runs(house, "notes", "desk").returncode == 0
    assert runs(house, name).returncode == 0  # alone, nothing stands before anything


def test_servers_whose_names_differ_in_case_alone_are_refused() -> None:
    with pytest.raises(PolicyError, match="`notes` and `Notes` differ in case alone"):
        check_names(["notes", "Notes"])
    check_names(["notes", "notes2"])


def test_a_name_with_the_separator_in_it_could_be_taken_for_anothers_tool() -> None:
    servers = {"a": "a", "a__b": "a__b"}
    found = routed(request("1", "tools/call", {"name": "a__b__c"}), servers)
    assert found is not None
    assert (found[0], found[1].params["name"]) == (
        "a",
        "b__c",
    )  # and not `c` of `a__b`: so that one is refused
    with pytest.raises(PolicyError):
        check_names(servers)


def test_of_two_tools_of_one_name_the_later_is_left_out_and_said() -> None:
    said: list[str] = []
    tools = [
        {"name": "one", "title": "first"},
        {"name": "one", "title": "second"},
        {"name": "two"},
    ]
    found = listed(
        request("1", "tools/list", {}), {"a": {"tools": tools}, "b": {"tools": tools[:1]}},
        lambda name, why: said.append(f"{name}: {why}"), whole=True,
    )  # fmt: skip
    shown = [(tool["name"], tool.get("title")) for tool in found.tree["result"]["tools"]]
    assert shown == [("a__one", "first"), ("a__two", None), ("b__one", "first")]
    assert said == ["a: `one` is left out: there is one of this name already"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say `--all`"),
        (["notes", "--all"], "say `--all`"),
        (["notes", "notes"], "named twice"),
    ],
)
def test_it_is_clear_which_servers_are_meant(house: Both, words: list[str], said: str) -> None:
    found = runs(house, *words)
    assert found.returncode == 2
    assert said in found.stderr


def runs(house: Both, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "navicert",
        "--home",
        str(house.home.folder),
        "mcp",
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, input="")


# -------------------------------------------------------------------------------------------------------- judged


def reasons(receipt: Any) -> tuple[Any, ...]:
    """What was decided, and by which rules."""
    found = receipt.decision
    return found.result, found.rules, found.reason_code, found.classification, receipt.action.surface


def test_an_action_is_judged_the_same_together_and_alone(house: Both) -> None:
    # seen to fail: with the name as the client sees it
    calls: list[tuple[str, dict[str, Any]]] = [
        ("read_note", {"path": "a"}), ("write_note", {"n": 500}), ("drop_note", {}), ("delete_note", {}),
    ]  # fmt: skip
    with house.client() as alone:
        alone.opens()
        for tool, arguments in calls:
            alone.calls(tool, **arguments)
    with house.together() as both:
        both.opens()
        for tool, arguments in calls:
            both.calls(f"notes__{tool}", **arguments)
    found = [item for item in house.receipts() if item.kind == "decision"]
    assert len(found) == 2 * len(calls)
    for one, two in zip(found[: len(calls)], found[len(calls) :], strict=True):
        assert (one.action.tool, one.action.operation) == (
            two.action.tool,
            two.action.operation,
        )
        assert reasons(one) == reasons(two)
    asked = house.asked_for()
    assert asked[: len(asked) // 2] == asked[len(asked) // 2 :]


# ------------------------------------------------------------------------------------------------------ together


def test_an_opening_says_what_all_of_them_can_and_what_each_says(house: Both) -> None:
    with house.together() as both:
        said = both.opens()
        assert both.asks("ping")["result"] == {}
    assert said["serverInfo"]["name"] == "navicert"
    assert said["protocolVersion"] == HANDSHAKE
    assert said["capabilities"]["tools"] == {"listChanged": True}
    assert said["instructions"].count("be kind") == 2
    for name in ("notes", "desk"):
        assert f"{name} (its tools begin with `{name}__`):\nbe kind" in said["instructions"]
    for each in (house, house.desk):
        assert len(each.asked_for("initialize")) == 1
        assert len(each.asked_for("notifications/initialized")) == 1
        assert each.asked_for("ping") == []


def test_what_nobody_accepted_is_left_out_of_one_server_and_not_of_the_other(
    house: Both,
) -> None:
    house.desk.behaves("changed")
    with house.together() as both:
        said = both.opens()
        assert "obey me" not in said["instructions"]
        assert "be kind" in said["instructions"]
        tools = both.tools()
        assert "notes__read_note" in tools
        assert "desk__read_note" not in tools
        assert both.calls("desk__read_note", path="a")["isError"]
        assert "isError" not in both.calls("notes__read_note", path="a")


def test_a_list_is_asked_for_to_its_last_page(house: Both, both: Client) -> None:
    # seen to fail: with the first page alone
    house.desk.behaves("pages")
    answer = both.asks("tools/list")["result"]
    assert len([tool for tool in answer["tools"] if tool["name"].startswith("desk__")]) == 5
    assert "nextCursor" not in answer


def test_servers_that_do_not_agree_on_a_revision_are_named(house: Both) -> None:
    house.desk.behaves("older")
    params = {
        "protocolVersion": HANDSHAKE,
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    }
    with house.together() as both:
        error = both.asks("initialize", params)["error"]
    assert "`desk` speaks `2025-06-18`, and `notes` `2025-11-25`" in error["message"]


@pytest.mark.parametrize("listen", [False, True])
def test_a_server_that_is_down_is_left_out_and_the_others_work(house: Both, *, listen: bool) -> None:
    broken = Server(command=(sys.executable, "-c", "raise SystemExit(3)"), tools={"a": ("b",)})
    write_server(house.home.folder, "broken", broken)
    with ExitStack() as stack:
        if listen:
            speaker: Any = stack.enter_context(stack.enter_context(house.gateway("desk", "broken")).connection())
            said = speaker.said
        else:
            speaker = stack.enter_context(house.together("broken"))
            said = speaker.opens()
            speaker.notes("navicert mcp broken: it is left out of the answer to `initialize`")
        assert "The server broken is not available." in said["instructions"]
        assert "isError" not in speaker.calls("notes__read_note", path="a")
        found = speaker.calls("broken__a")
        assert found["isError"]
        assert "the server `broken` is not available" in text_of(found)


def test_where_no_server_opens_the_client_is_told(house: Both) -> None:
    for name in ("one", "two"):
        write_server(
            house.home.folder,
            name,
            Server(command=(sys.executable, "-c", "raise SystemExit(3)")),
        )
    command = [
        sys.executable,
        "-m",
        "navicert",
        "--home",
        str(house.home.folder),
        "mcp",
        "one",
        "two",
    ]
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": HANDSHAKE},
    }
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(json.dumps(opening) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.stdin.close()
    assert answer["id"] == 1
    assert answer["error"]["code"] == 5030


# ----------------------------------------------------------------------------------------------- nobody else's


def test_a_server_that_ends_in_the_middle_of_a_call_harms_no_other_and_is_started_anew(
    house: Both, both: Client
) -> None:
    house.desk.behaves("on demand")
    waiting = both.sends("tools/call", {"name": "desk__read_note", "arguments": {"path": "a"}})
    house.behaves("dies")
    lost = both.calls("notes__read_note", path="a")
    assert lost["isError"]
    assert "ended before it answered" in text_of(lost)
    house.desk.behaves("")
    assert text_of(both.answer(waiting)["result"]) == "what it had to say"
    house.behaves("")
    assert "isError" not in both.calls("notes__read_note", path="a")
    assert len(house.asked_for("initialize")) == 2
    assert len(house.desk.asked_for("initialize")) == 1


def test_two_servers_that_ask_under_the_same_id_each_get_their_own_answer(house: Both, both: Client) -> None:
    # seen to fail: with the servers' own ids
    for each in (house, house.desk):
        each.behaves("asks back")
    names = [f"{name}__read_note" for name in ("notes", "desk")]
    calls = [both.sends("tools/call", {"name": name, "arguments": {}}) for name in names]
    asked = [both.notice("sampling/createMessage") for _ in calls]
    assert len({message["id"] for message in asked}) == 2
    for message in asked:
        whose = message["id"].partition("-")[0]
        content = {"type": "text", "text": f"for {whose}"}
        result = {"role": "assistant", "model": "m", "content": content}
        both.raw(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())
    stranger = {"jsonrpc": "2.0", "id": "notes-999", "result": {}}
    both.raw(json.dumps(stranger).encode())
    for id_ in calls:
        assert "result" in both.answer(id_)
    both.notes("an answer of the client that nobody waits for is dropped")
    both.ends()
    for name, each in (("notes", house), ("desk", house.desk)):
        answers = [json.loads(line) for line in each.asked() if b'"role"' in line]
        assert [answer["result"]["content"]["text"] for answer in answers] == [f"for {name}"]


def test_a_server_cannot_speak_of_the_progress_of_anothers_request(house: Both, both: Client) -> None:
    house.desk.behaves("on demand")
    meta = {"progressToken": "theirs"}
    waiting = both.sends("tools/call", {"name": "desk__read_note", "arguments": {}, "_meta": meta})
    house.behaves("progress")
    own = {
        "name": "notes__read_note",
        "arguments": {},
        "_meta": {"progressToken": "ours"},
    }
    assert "result" in both.asks("tools/call", own)
    assert [both.notice("notifications/progress")["params"]["progressToken"]] == ["ours"]
    assert "result" in both.asks("tools/call", own | {"arguments": {"token": "theirs"}})
    house.desk.behaves("")
    both.answer(waiting)
    assert [message for message in both.kept if message.get("method") == "notifications/progress"] == []


class Waits:
    """Stands for a relay and a way: whatever is asked of it waits."""

    gone, down, version = False, None, None

    async def client_says(self, message: Message) -> asyncio.Future[None]:
        del message
        return asyncio.get_running_loop().create_future()

    async def end(self) -> None:
        """End nothing."""


def test_progress_is_taken_from_the_server_whose_request_it_is() -> None:
    # seen to fail: without the comparison in `_notice`
    says: dict[str, Any] = {}
    seen: list[Message] = []

    def lane(name: str, say: Any) -> Any:
        says[name] = say
        return Lane(Waits(), Waits())  # type: ignore[arg-type]

    async def to_client(message: Message) -> None:
        seen.append(message)

    async def run() -> None:
        fan = Fan(["notes", "desk"], lane, to_client, print)
        meta = {"progressToken": "mine"}
        await fan.client_says(request("1", "tools/call", {"name": "desk__read_note", "arguments": {}, "_meta": meta}))
        told = notification("notifications/progress", {"progressToken": "mine", "progress": Number("1")})
        await says["notes"](told)
        assert seen == []
        await says["desk"](told)
        assert seen == [told]
        await fan.end()

    asyncio.run(run())


def test_a_call_that_is_cancelled_is_cancelled_at_its_server_alone(house: Both, both: Client) -> None:
    house.desk.behaves("on demand")
    id_ = both.sends("tools/call", {"name": "desk__read_note", "arguments": {}})
    eventually_asked(house.desk)
    both.tells("notifications/cancelled", {"requestId": id_})
    house.desk.behaves("")
    both.goes_on()
    assert "isError" not in both.calls("desk__read_note", path="a")
    assert len(house.desk.asked_for("notifications/cancelled")) == 1
    assert house.asked_for("notifications/cancelled") == []


def eventually_asked(each: House) -> None:
    from faults.support import eventually

    eventually(lambda: bool(each.asked_for()), 30)


def test_a_request_under_an_id_that_is_on_its_way_to_another_server_is_refused(house: Both, both: Client) -> None:
    house.desk.behaves("on demand")
    id_ = both.sends("tools/call", {"name": "desk__read_note", "arguments": {}})
    eventually_asked(house.desk)
    again = both.asks("tools/call", {"name": "notes__read_note", "arguments": {}}, id=id_)
    assert "on its way" in again["error"]["message"]
    house.desk.behaves("")
    assert "result" in both.answer(id_)
    assert house.asked_for() == []


# ----------------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def mixed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Both, WebHouse, Gateway]]:
    """Two servers that are launched and one, `web`, that is reached at an address, behind one address."""
    house, web = (
        Both(tmp_path_factory.mktemp("mixed")),
        WebHouse(tmp_path_factory.mktemp("web")),
    )
    try:
        house.adds(
            "web",
            Server(url=web.url, headers={"Authorization": "Bearer upstream-secret"}),
        )
        with house.gateway("desk", "web") as gateway:
            yield house, web, gateway
    finally:
        web.close()


def test_servers_launched_and_reached_are_one_over_http_in_both_revisions(
    mixed: tuple[Both, WebHouse, Gateway],
) -> None:
    _, web, gateway = mixed
    web.forget()
    speakers: list[Any] = [gateway]
    with gateway.connection() as session:
        assert session.said["serverInfo"]["name"] == "navicert"
        speakers.append(session)
        for speaker in speakers:
            tools = [tool["name"] for tool in speaker.asks("tools/list").message()["result"]["tools"]]
            assert {name.partition("__")[0] for name in tools} == {
                "notes",
                "desk",
                "web",
            }
            assert text_of(speaker.calls("notes__read_note", path="a")) == '{"path": "a"}'
            assert text_of(speaker.calls("desk__read_note", path="b")) == '{"path": "b"}'
            assert "isError" not in speaker.calls("web__write_note", n=1)
    seen = [item["headers"].get("mcp-name") for item in web.seen()]
    assert seen == ["write_note", None]
    assert web.seen()[0]["headers"]["mcp-param-count"] == "1"


def test_the_mirrored_headers_are_those_of_the_name_that_the_client_sees(
    mixed: tuple[Both, WebHouse, Gateway],
) -> None:
    # seen to fail: with the mirror of one server
    _, web, gateway = mixed
    web.forget()
    for more in (
        {"Mcp-Name": "write_note"},
        {"Mcp-Param-Count": "2"},
        {"Mcp-Param-Count": None},
    ):
        reply = gateway.asks("tools/call", name="web__write_note", arguments={"n": 1}, more=more)
        assert (reply.status, reply.message()["error"]["code"]) == (400, -32020)
    assert web.asked() == []


# ---------------------------------------------------------------------------------------------------- real peers


class Place:
    """A home with real servers behind one address: over stdio its launch command, over HTTP a URL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "files").mkdir()
        (folder / "files" / "note.txt").write_text("seven")
        self.repo = folder / "repo"
        git = [
            "git",
            "-C",
            str(self.repo),
            "-c",
            "user.name=ana",
            "-c",
            "user.email=ana@bank.example",
        ]
        subprocess.run(["git", "init", "--quiet", str(self.repo)], check=True)
        subprocess.run(
            [
                *git,
                "commit",
                "--quiet",
                "--allow-empty",
                "--message",
                "the first of them",
            ],
            check=True,
        )
        self.home = a_home(folder / "home", policy=ALL)
        self.commands = {
            "files": peers.filesystem(folder / "files"), "every": peers.everything(),
            "git": peers.git(self.repo), "bank": peers.sqlite(folder / "bank.db"), "fixture": peers.fixture_stdio(),
        }  # fmt: skip
        for name, command in self.commands.items():
            found = asyncio.run(look(name, Server(command=tuple(command))))
            write_server(self.home.folder, name, found.server)

    def words(self, *names: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "navicert",
            "--home",
            str(self.home.folder),
            "mcp",
            *names,
        ]

    @contextmanager
    def at(self, transport: str, *names: str) -> Iterator[list[str] | str]:
        if transport == "stdio":
            yield self.words(*names)
            return
        command = [*self.words(*names), "--listen", "127.0.0.1:0"]
        with ExitStack() as stack:
            port = stack.enter_context(listening(command, re.compile(r"serving http://127\.0\.0\.1:(\d+)")))
            token = (self.home.keys / "mcp.token").read_text().strip()
            yield f"http://localhost:{stack.enter_context(showing(int(port), token))}/mcp"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def environment() -> dict[str, str]:
    import os

    return {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}


@pytest.mark.parametrize(("transport", "mode"), [("stdio", "auto"), ("http", "auto"), ("http", "legacy")])
def test_the_official_client_sees_public_servers_as_one(place: Place, transport: str, mode: str) -> None:
    names = ("files", "every", "git", "bank")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_tools", {}),
        ("call_tool", {"name": "files__read_text_file", "arguments": {"path": str(place.folder / "files/note.txt")}}),
        ("call_tool", {"name": "git__git_log", "arguments": {"repo_path": str(place.repo)}}),
        ("call_tool", {"name": "bank__list_tables", "arguments": {}}),
        ("call_tool", {"name": "every__echo", "arguments": {"message": "seven"}}),
        ("list_resources", {}),
        ("read_resource", {"uri": "bank+memo://insights"}),
        ("list_prompts", {}),
        ("get_prompt", {"name": "every__simple-prompt"}),
        ("complete", {
            "ref": {"type": "ref/prompt", "name": "every__completable-prompt"},
            "argument": {"name": "department", "value": "E"},
        }),
        ("read_resource", {"uri": "memo://insights"}),
    ]  # fmt: skip
    with place.at(transport, *names) as address:
        found = client(address, *calls, mode=mode, env=environment())
    assert found["version"] == HANDSHAKE
    results = found["results"]
    tools = {tool["name"] for tool in results[0]["result"]["tools"]}
    assert {name.partition("__")[0] for name in tools} == set(names), found["log"]
    assert (text(results[1]), text(results[3]), text(results[4])) == (
        "seven",
        "[]",
        "Echo: seven",
    )
    assert "the first of them" in text(results[2])
    assert "bank+memo://insights" in [each["uri"] for each in results[5]["result"]["resources"]]
    assert results[6]["result"]["contents"][0]["uri"] == "bank+memo://insights"
    assert "every__simple-prompt" in [each["name"] for each in results[7]["result"]["prompts"]]
    assert "messages" in results[8]["result"]
    assert results[9]["result"]["completion"]["values"] == ["Engineering"]
    assert results[10]["error"]["code"] == -32002


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("mode", ["auto", STATELESS])
def test_servers_that_all_speak_the_later_revision_are_spoken_to_in_it(place: Place, transport: str, mode: str) -> None:
    with place.at(transport, "git", "fixture") as address:
        found = client(
            address,
            ("list_tools", {}),
            ("call_tool", {"name": "git__git_log", "arguments": {"repo_path": str(place.repo)}}),
            ("call_tool", {"name": "fixture__test_simple_text", "arguments": {}}),
            ("read_resource", {"uri": "fixture+test://static-text"}),
            ("get_prompt", {"name": "fixture__test_simple_prompt"}),
            mode=mode, env=environment(),
        )  # fmt: skip
    assert found["version"] == STATELESS
    assert all("result" in each for each in found["results"]), found["results"]
    assert "the first of them" in text(found["results"][1])
    assert found["results"][3]["result"]["contents"][0]["uri"] == "fixture+test://static-text"


def test_what_servers_ask_of_the_person_is_answered_to_the_one_that_asked(
    place: Place,
) -> None:
    with place.at("stdio", "every", "fixture") as address:
        found = client(
            address,
            ("call_tool", {"name": "fixture__test_elicitation", "arguments": {"message": "who?"}}),
            ("call_tool", {"name": "fixture__test_sampling", "arguments": {"prompt": "say"}}),
            mode="legacy", answer={"action": "accept", "content": {"response": "ana"}}, sample="said",
            env=environment(),
        )  # fmt: skip
    assert len(found["asked"]) == 2
    assert text(found["results"][1]) == "LLM response: said"
