"""The peers alone, with no gateway before them: what they do, and which era each agrees on.

It is what the tests of the gateway compare with. How the conformance suite is pointed at a server: see `peers`.
"""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing

import pytest

from gateway import peers
from gateway.peers import HANDSHAKE, STATELESS, client, text

BOTH_ERAS = [("legacy", HANDSHAKE), (STATELESS, STATELESS)]


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "note.txt").write_text("seven")
    return folder


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    git = ["git", "-C", str(folder), "-c", "user.name=ana", "-c", "user.email=ana@bank.example"]
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "the first of them"], check=True)
    return folder


@pytest.fixture(scope="module")
def fixture():
    with peers.fixture() as url:
        yield url


@pytest.fixture(scope="module")
def everything_http():
    with peers.everything_http() as url:
        yield url


def tool(name, **arguments):
    return "call_tool", {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("filesystem", HANDSHAKE),
        ("everything", HANDSHAKE),
        ("sqlite", HANDSHAKE),
        ("git", STATELESS),
        ("fixture_stdio", STATELESS),
    ],
)
def test_a_server_over_stdio_agrees_on_its_latest_era_and_lists_its_tools(name, version, files, repo, tmp_path):
    places = {"filesystem": [files], "git": [repo], "sqlite": [tmp_path / "bank.db"]}
    found = client(getattr(peers, name)(*places.get(name, [])), ("list_tools", {}))
    assert found["version"] == version
    assert found["results"][0]["result"]["tools"]


def test_the_file_server_reads_and_writes_in_its_folder_and_nowhere_else(files, tmp_path):
    read, written, outside = client(
        peers.filesystem(files),
        tool("read_text_file", path=str(files / "note.txt")),
        tool("write_file", path=str(files / "new.txt"), content="eight"),
        tool("write_file", path=str(tmp_path / "new.txt"), content="eight"),
    )["results"]
    assert text(read) == "seven"
    assert [answer["result"].get("isError", False) for answer in (read, written, outside)] == [False, False, True]
    assert (files / "new.txt").read_text() == "eight"
    assert not (tmp_path / "new.txt").exists()


@pytest.mark.parametrize(("mode", "version"), BOTH_ERAS)
def test_the_git_server_shows_the_log_in_both_eras(repo, mode, version):
    found = client(peers.git(repo), tool("git_log", repo_path=str(repo)), mode=mode)
    assert found["version"] == version
    assert "the first of them" in text(found["results"][0])


def test_the_database_server_writes_to_its_file(tmp_path):
    answers = client(
        peers.sqlite(tmp_path / "bank.db"),
        tool("create_table", query="create table account (owner text)"),
        tool("write_query", query="insert into account values ('ana')"),
        tool("read_query", query="select owner from account"),
    )["results"]
    assert text(answers[-1]) == "[{'owner': 'ana'}]"
    with closing(sqlite3.connect(tmp_path / "bank.db")) as db:
        assert db.execute("select owner from account").fetchall() == [("ana",)]


def test_a_server_of_the_handshake_era_asks_the_person_and_the_model_through_the_client():
    found = client(
        peers.fixture_stdio(),
        tool("test_elicitation", message="who?"),
        tool("test_sampling", prompt="say"),
        mode="legacy",
        answer={"action": "accept", "content": {"response": "ana"}},
        sample="said",
    )
    assert found["version"] == HANDSHAKE
    assert len(found["asked"]) == 2
    assert [text(answer) for answer in found["results"]] == [
        'User response: action=accept, content={"response":"ana"}',
        "LLM response: said",
    ]


def test_a_server_of_the_stateless_era_asks_the_person_through_the_client():
    found = client(
        peers.fixture_stdio(),
        tool("test_input_required_result_elicitation"),
        mode=STATELESS,
        answer={"action": "accept", "content": {"name": "ana"}},
    )
    assert found["version"] == STATELESS
    assert len(found["asked"]) == 1
    assert text(found["results"][0]) == "Hello, ana!"


@pytest.mark.parametrize(("mode", "version"), [*BOTH_ERAS, ("auto", STATELESS)])
def test_the_fixture_speaks_both_eras_over_http(fixture, mode, version):
    found = client(fixture, tool("test_simple_text"), mode=mode)
    assert found["version"] == version
    assert text(found["results"][0])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_older_server_speaks_the_handshake_over_http(everything_http, mode):
    found = client(everything_http, tool("echo", message="seven"), mode=mode)
    assert found["version"] == HANDSHAKE
    assert text(found["results"][0]) == "Echo: seven"


def test_the_fixture_meets_every_scored_requirement_of_the_handshake_era(fixture):
    found = peers.conformance(fixture, HANDSHAKE)
    assert (found.passed, found.failed, found.scored) == (84, 0, True)


def test_the_fixture_meets_every_scored_requirement_of_the_stateless_era(fixture):
    found = peers.conformance(fixture, STATELESS)
    assert (found.passed, found.failed, found.scored) == (169, 25, True)
    # The extension for tasks, which the revision does not score and the SDK does not have.
    assert all(name.startswith("tasks-") for name in found.failing)


def test_the_suite_finds_fault_with_a_server_that_lacks_what_it_asks_for(everything_http):
    found = peers.conformance(everything_http, HANDSHAKE)
    assert found.failed
    assert not found.scored


def test_a_server_that_cannot_start_fails_the_test_and_shows_its_log():
    with pytest.raises(AssertionError, match="no such file as this"):
        client(["sh", "-c", "echo no such file as this >&2"])


def test_missing_peers_fail_the_test_and_say_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", tmp_path / ".peers")
    with pytest.raises(AssertionError, match="run `scripts/peers`"):
        peers.everything()
