"""Canaries, part by part: what is judged as denied, what the log knows of each surface, who is told (R1.c).

End to end, over real surfaces: tests/gateway/test_canary.py.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from threading import Event, Thread

import msgspec
import pytest
from click.testing import CliRunner

import navicert
from faults.support import eventually, receipts
from navicert.adapters.sign.file_key import load_key
from navicert.assemble import Home, make_home, read_trust
from navicert.audit import open_archive
from navicert.canary import probes
from navicert.canary.agent import NAME, Said, _said
from navicert.canary.probes import Came, _decision, _judge
from navicert.canary.standing import Standing, standings_of
from navicert.cli import main
from navicert.config import FILE, read_config
from navicert.core.seal import ZERO, finish, parse
from navicert.core.times import micros
from navicert.gateway.pins import Server
from navicert.gateway.servers import write_server
from navicert.model.action import Effect, ToolProfile
from navicert.model.errors import PolicyError, Unavailable, VerificationError
from navicert.service.canaries import send_canaries
from navicert.verification.log import verify_log

MINUTE = 60_000_000
NONCE = "5" * 64


@pytest.fixture
def home(tmp_path) -> Home:
    return make_home(tmp_path / ".navicert", origin="canaries", service="tests")


def configured(home: Home, **fields: object) -> None:
    with (home.folder / FILE).open("a") as file:
        file.writelines(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())


def came(surface: str = "sdk", result: str = "denied", action: str | None = None) -> Came:
    return Came(surface=surface, result=result, detail="", seconds=0.1, nonce=NONCE, action_id=action)


def recorded(home: Home, *found: Came) -> int:
    """Record these; returns when the last was."""
    probes.record(home, read_config(home.folder), found)
    return micros(receipts(home.store)[-1].at)


def run(home: Home, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["--home", str(home.folder), *words])
    assert done.exit_code == code, done.output
    return done.output


def standings(home: Home, now: int) -> dict[str, tuple[str, bool]]:
    config = read_config(home.folder)
    if not home.store.exists():
        found = standings_of(home, config, None, now)
    else:
        with open_archive(home) as archive:
            found = standings_of(home, config, archive, now)
    return {item.surface: (item.state, item.red) for item in found}


# what the log knows


def test_the_newest_canary_of_a_surface_counts(home):
    now = recorded(home, came(result="ran"), came(action="act_1"))
    assert standings(home, now) == {"sdk": ("denied", False)}
    now = recorded(home, came(result="no_answer"))
    assert standings(home, now) == {"sdk": ("failed", True)}


def test_a_canary_is_overdue_after_two_intervals_whatever_the_scheduler_says(home):
    # seen to fail: with `overdue` that is never true, a scheduler that had died was not seen
    configured(home, canary_minutes=60)
    now = recorded(home, came(), came("socket"))
    assert standings(home, now + 119 * MINUTE)["sdk"] == ("denied", False)
    assert standings(home, now + 121 * MINUTE)["sdk"] == ("overdue", True)


def test_a_configured_surface_that_never_had_one_is_red_once_canaries_are_in_use(home):
    write_server(home.folder, "files", Server(command=("/bin/files",)))
    assert standings(home, 0) == {"sdk": ("never", False), "mcp-stdio:files": ("never", False)}
    assert standings(home, recorded(home, came())) == {"sdk": ("denied", False), "mcp-stdio:files": ("never", True)}


def test_scheduled_canaries_expect_an_owner_and_each_gateway_that_is_named(home):
    configured(home, canary_minutes=5, canary_http=["http://127.0.0.1:8900/mcp"])
    assert standings(home, 0) == dict.fromkeys(("sdk", "socket", "mcp-http:127.0.0.1:8900/mcp"), ("never", True))


def test_an_alarm_of_a_surface_that_is_not_configured_stays_red_and_a_detached_server_goes(home):
    now = recorded(home, came("mcp-client:a.json/x", "otherwise"), came("mcp-stdio:gone", "ran"), came("sdk"))
    assert standings(home, now) == {"sdk": ("denied", False), "mcp-client:a.json/x": ("failed", True)}


def test_status_and_doctor_say_in_words_what_is_red(home):
    recorded(home, came(action="act_1"))
    assert "✓ denied" in run(home, "status")
    assert "CANARY" not in run(home, "status")
    recorded(home, came(result="ran"))
    shown = run(home, "status")
    assert "✕ CANARY FAILED: sdk" in shown
    assert shown.index("CANARY FAILED") < shown.index("policy")
    found = json.loads(run(home, "status", "--json"))["canaries"]
    assert [(item["surface"], item["state"], item["red"], item["result"]) for item in found] == [
        ("sdk", "failed", True, "ran"),
    ]  # fmt: skip
    findings = json.loads(run(home, "doctor", "--json", code=1))["findings"]
    assert ("canary", "error") in {(item["code"], item["level"]) for item in findings}


def test_status_says_where_it_cannot_tell_which_surfaces_there_are(home):
    (home.folder / "mcp.json").write_text("{")
    assert "CANARY UNKNOWN" in run(home, "status")


# the record


def test_a_record_verifies_and_reads_in_words(home):
    recorded(home, came(action="act_1"), came("socket", "otherwise"), came("mcp-http:x y", "ran"))
    assert json.loads(run(home, "verify", "--json"))["verified"] is True
    tail = run(home, "tail")
    assert all(words in tail for words in ("denied", "NOT DENIED", "IT RAN", "mcp-http:x y", "act_1"))
    shown = run(home, "show", "1")
    assert "over sdk: denied" in shown
    assert "act_1" in shown


def test_what_is_not_there_is_not_recorded(home):
    probes.record(home, read_config(home.folder), [came("socket", probes.NOT_THERE)])
    assert not home.store.exists() or receipts(home.store) == []


@pytest.mark.parametrize(("member", "value"), [("result", "fine"), ("nonce", "5"), ("nonce", "g" * 64), ("more", "x")])
def test_a_record_in_another_form_does_not_verify_even_where_it_is_signed(home, member, value):
    # seen to fail: without the lines on `canary` in `verification.forms`, `fine` and `5` verified
    recorded(home, came())
    with open_archive(home) as archive:
        data = next(row.data for row in archive.log(kind="canary"))
    trust = read_trust(home.trust)
    assert verify_log([data], trust).kinds == {"canary": 1}
    plain = json.loads(data)
    plain["canary"][member] = value
    key = load_key(home.receipt_key)
    text = {**plain, "signature": {name: plain["signature"][name] for name in ("algorithm", "key_id")}}
    if member != "more":
        receipt = msgspec.json.decode(json.dumps(text), type=type(parse(data)))
        forged = finish(receipt, receipt.log, None, receipt.signature, key.sign)
    else:
        forged = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(VerificationError, match="schema"):
        verify_log([forged], trust)
    assert receipt_prev(data) == ZERO


def receipt_prev(data: bytes) -> str:
    return parse(data).log.prev


# the judgement


REFUSED, ANSWERED = Said(refused=True, words="no", receipt="rcp_1"), Said(refused=False, words="done")


def denied_in(home: Home, nonce: str) -> None:
    """Have an engine deny a canary."""
    with navicert.open(home.folder) as guard:

        @guard.tool("canary.write", effect="write", resource="path")
        def write(path: str) -> None:
            raise AssertionError(path)

        with (
            guard.session(request="", human="ana", agent=NAME) as _,
            pytest.raises(navicert.ActionDenied),
        ):
            write(str(home.folder / f"canary-{nonce}"))


def test_only_the_signed_denial_of_this_very_canary_counts(home):
    # seen to fail: with `_is_signed` that is always true, the entry with another's signature counted
    denied_in(home, "aaaa")
    found = _decision(home, 0, "aaaa")
    assert found is not None
    assert _judge(REFUSED, found, ran=False, within_s=1)[0] == "denied"
    assert _decision(home, 0, "bbbb") is None
    assert _decision(home, found.log.seq, "aaaa") is None
    connection = sqlite3.connect(home.store)
    with connection:
        data = connection.execute("SELECT bytes FROM log WHERE kind = 'decision'").fetchone()[0]
        plain = json.loads(data)
        value = plain["signature"]["value"]
        forged = data.replace(value.encode(), (("A" if value[0] != "A" else "B") + value[1:]).encode())
        connection.execute("UPDATE log SET bytes = ? WHERE kind = 'decision'", (forged,))
    connection.close()
    assert _decision(home, 0, "aaaa") is None


@pytest.mark.parametrize(
    ("said", "ran", "held", "result"),
    [
        (REFUSED, False, True, "denied"),
        (REFUSED, True, True, "ran"),
        (None, True, True, "ran"),
        (None, False, True, "no_answer"),
        (REFUSED, False, False, "otherwise"),
        (ANSWERED, False, True, "otherwise"),
        (ANSWERED, False, False, "otherwise"),
    ],
)
def test_a_canary_is_denied_only_where_everything_says_so(home, said, ran, held, result):
    denied_in(home, "aaaa")
    judged = _decision(home, 0, "aaaa") if held else None
    assert _judge(said, judged, ran=ran, within_s=1)[0] == result


def test_a_decision_that_permits_is_an_alarm_though_nothing_ran_and_a_refusal_came_back(home):
    denied_in(home, "aaaa")
    found = _decision(home, 0, "aaaa")
    for result in ("ALLOW", "MODIFY", "STEP_UP", "DEFER"):
        other = msgspec.structs.replace(found, decision=msgspec.structs.replace(found.decision, result=result))
        assert _judge(REFUSED, other, ran=False, within_s=1) == ("otherwise", f"it was judged {result}")
    failed = msgspec.structs.replace(found.decision, rules=(), reason_code="engine_failed")
    other = msgspec.structs.replace(found, decision=failed)
    assert _judge(REFUSED, other, ran=False, within_s=1)[0] == "otherwise"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, Said(refused=False, words="")),
        ({"result": 7}, Said(refused=False, words="")),
        ({"result": {"content": "x", "_meta": []}}, Said(refused=False, words="")),
        ({"error": {"message": "no such tool"}}, Said(refused=True, words="no such tool")),
        (
            {"result": {"isError": True, "content": [{"text": "a"}, 3], "_meta": {"navicert/receipt": 3}}},
            Said(refused=True, words="a"),
        ),
    ],
)
def test_an_answer_of_any_shape_is_read(answer, said):
    assert _said(answer) == said


# what is sent, and to whom


def server(effect: Effect, schema: object, **roles: tuple[str, ...]) -> Server:
    return Server(
        command=("x",),
        tools={"put": ("d",)},
        profiles=(ToolProfile(tool="files.put", effect=effect, **roles),),
        definitions={"put": json.dumps({"name": "put", "inputSchema": schema})},
    )


TEXTS = {"properties": {"path": {"type": "string"}, "text": {"type": "string"}, "n": {"type": "number"}}}
WRITES = {"resource": ("path",), "content": ("text",)}


@pytest.mark.parametrize(
    ("held", "aimed"),
    [
        (server(Effect.WRITE, TEXTS | {"required": ["path", "text"]}, **WRITES), ("put", "path", "text")),
        (server(Effect.READ, TEXTS | {"required": ["path"]}, resource=("path",)), ("put", "path", "")),
        (server(Effect.WRITE, TEXTS | {"required": ["path", "n"]}, **WRITES), None),
        (server(Effect.DELETE, TEXTS | {"required": ["path"]}, **WRITES), None),
        (server(Effect.WRITE, TEXTS, resource=("path",)), None),
        (server(Effect.WRITE, TEXTS, resource=("id",), content=("text",)), None),
        (server(Effect.WRITE, {"required": ["path"]}, **WRITES), None),
        (server(Effect.WRITE, [], **WRITES), None),
        (server(Effect.EXECUTE, TEXTS, **WRITES), None),
    ],
)
def test_a_tool_is_aimed_only_where_it_does_no_harm_if_the_gate_is_dead(held, aimed):
    assert probes._aimed("files", held) == aimed


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mcpServers": 7}', '{"mcpServers": {"a": 7}}', "\xff"])
def test_a_clients_file_that_holds_no_servers_is_refused(home, tmp_path, text):
    path = tmp_path / "client.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(PolicyError, match="no servers of an MCP client"):
        probes.surfaces_of(home, read_config(home.folder), clients=[path])


def test_an_address_is_named_without_what_may_be_secret_in_it(home):
    found = probes.surfaces_of(home, read_config(home.folder), ["https://ana:pass@gate.example:8443/mcp?key=secret"])
    assert found[-1].name == "mcp-http:gate.example:8443/mcp"


def test_the_homes_token_is_shown_on_this_machine_only(home, monkeypatch):
    # seen to fail: with the token for every address
    (home.keys / "mcp.token").write_bytes(b"secret\n")
    (home.keys / "mcp.token").chmod(0o600)

    def shown(url: str) -> dict[str, str]:
        return probes.surfaces_of(home, read_config(home.folder), [url])[-1].job.headers

    assert shown("http://127.0.0.1:1/mcp") == {"Authorization": "Bearer secret"}
    assert shown("https://gate.example/mcp") == {}
    monkeypatch.setenv(probes.OWN_TOKEN, "theirs")
    assert shown("https://gate.example/mcp") == {"Authorization": "Bearer theirs"}


def test_whoever_is_told_of_questions_is_told_of_alarms(home, tmp_path):
    heard = tmp_path / "heard"
    script = tmp_path / "tell"
    script.write_text(f"#!{sys.executable} -IS\nimport sys; open({str(heard)!r}, 'w').write(sys.stdin.read())\n")
    script.chmod(0o700)
    configured(home, notify=[str(script)], measure_s=20.0)
    probes.tell(read_config(home.folder), came("sdk", "ran"))
    said = json.loads(heard.read_text())
    assert (said["alarm"], said["surface"], said["result"]) == ("canary", "sdk", "ran")
    script.unlink()
    with pytest.raises(Unavailable):
        probes.tell(read_config(home.folder), came("sdk", "ran"))


# by the clock


@pytest.fixture
def stuck(tmp_path, monkeypatch) -> Path:
    """A command line that never ends, and says which process it is."""
    script = tmp_path / "stuck"
    script.write_text(
        f"#!{sys.executable} -IS\nimport os, threading\n"
        f"open({str(tmp_path / 'pid.new')!r}, 'w').write(str(os.getpid()))\n"
        f"os.rename({str(tmp_path / 'pid.new')!r}, {str(tmp_path / 'pid')!r})\nthreading.Event().wait()\n"
    )
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    return tmp_path / "pid"


def test_an_owner_that_stops_leaves_no_canary_behind(home, stuck):
    # seen to fail: without `killpg`, the process was waited for, and `join` ran out of time
    stop, said = Event(), []
    thread = Thread(target=send_canaries, args=(home.folder, 60, stop, said.append), daemon=True)
    thread.start()
    eventually(stuck.exists, 20)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert not Path(f"/proc/{stuck.read_text()}").exists()
    assert said == []


def test_canaries_that_take_too_long_are_ended_and_said(home, stuck):
    stop, said = Event(), []
    thread = Thread(target=send_canaries, args=(home.folder, 0.02, stop, said.append), daemon=True)
    thread.start()
    eventually(lambda: said, 20)
    stop.set()
    thread.join(20)
    assert said[0] == "ALARM: canary: not all were sent within 1.2 s"


def test_a_standing_says_the_same_to_machines(home):
    now = recorded(home, came(action="act_1"))
    with open_archive(home) as archive:
        (found,) = standings_of(home, read_config(home.folder), archive, now + 90_000_000)
    assert found == Standing("sdk", "denied", False, "denied", found.at, 90, "act_1")
