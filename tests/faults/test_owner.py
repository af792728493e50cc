"""The resident owner: it dies, hangs, lies, is not alone, and is called by whom it should not be (R1.c)."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import navicert
from faults.owners import (
    POLICY,
    Liar,
    OwnerProcess,
    Plain,
    a_home,
    a_vote,
    an_action,
    enrolled,
    frame,
    ok,
    plain_action,
)
from faults.support import check_log, eventually, receipts
from navicert.adapters.sign.file_key import new_key
from navicert.assemble import Home
from navicert.core.digest import action_digest
from navicert.engine.completing import Output
from navicert.model.action import Action
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import DenialKind, IdentityError, IntegrityError, PolicyError, Unavailable
from navicert.model.identity import Claims
from navicert.service.client import RemoteEngine
from navicert.service.exchange import Place

DONE = Output(text="ok", json=b'"ok"')
NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def up() -> Iterator[Callable[[Home], OwnerProcess]]:
    """Start owners; each is ended with the test."""
    made: list[OwnerProcess] = []

    def start(home: Home) -> OwnerProcess:
        made.append(OwnerProcess(home))
        return made[-1]

    yield start
    for item in made:
        if item.process.poll() is None:
            item.end()


@pytest.fixture
def home(tmp_path) -> Home:
    return a_home(tmp_path / "home")


@pytest.fixture
def remote() -> Iterator[Callable[..., RemoteEngine]]:
    """Connect engines; each is closed with the test."""
    made: list[RemoteEngine] = []

    def connect(place: Path, **settings: Any) -> RemoteEngine:
        made.append(RemoteEngine(Place(socket=place), **settings))
        return made[-1]

    yield connect
    for item in made:
        item.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, for a socket that others are to reach."""
    folder = Path(tempfile.mkdtemp(prefix="navicert-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def a_session(engine: RemoteEngine) -> str:
    return engine.open_session("write", Claims(human="ana", agent="bot"))


def permitted(engine: RemoteEngine, session: str, text: str = "hello") -> Permit:
    answer = engine.decide(an_action(engine, text), session)
    assert isinstance(answer, Permit), answer
    return answer


def outcomes(home: Home) -> list[tuple[bool, str | None]]:
    found = [item.execution for item in receipts(home.store) if item.kind == "outcome"]
    return [(item.success, item.error) for item in found]


# the same program, embedded and through the owner


@pytest.mark.parametrize("way", ["open", "connect"])
def test_a_session_has_its_intent_embedded_and_through_an_owner(way, tmp_path, up):
    # seen to fail: with `intent` left out where the owner puts the peer into the claims
    home = a_home(tmp_path / "home", policy=POLICY + "intents: {notes: {tools: [note.*]}, any: {tools: '*'}}\n")
    if way == "connect":
        up(home)
    done: list[str] = []
    with getattr(navicert, way)(home.folder) as guard:

        @guard.tool("note.write", effect="write", content="text", returns="INTERNAL")
        def write(text: str) -> None:
            done.append(text)

        @guard.tool("mail.send", effect="send", content="text", returns="PUBLIC")
        def send(text: str) -> None:
            done.append(text)

        for intent, allowed in {"notes": [write], "any": [write, send], "other": [], None: []}.items():
            with guard.session(request="write", human="ana", agent="bot", intent=intent):
                for tool in (write, send):
                    if tool in allowed:
                        tool(f"{intent}")
                    else:
                        with pytest.raises(navicert.ActionDenied, match=r"intent|no part of"):
                            tool(f"{intent}")
    assert done == ["notes", "any", "any"]


@pytest.mark.parametrize("way", ["open", "connect"])
def test_one_program_is_governed_alike_embedded_and_through_an_owner(way, home, up):
    key = new_key("Ed25519")
    if way == "connect":
        up(home)
    done: list[str] = []
    with getattr(navicert, way)(home.folder) as guard:
        enrolled(guard.engine, key)

        @guard.tool("note.write", effect="write", content="text", returns="INTERNAL")
        def write(text: str) -> str:
            done.append(text)
            return f"wrote {text}"

        @guard.tool("note.send", effect="send", content="text", returns="PUBLIC")
        async def send(text: str) -> str:
            done.append(text)
            return f"sent {text}"

        @guard.tool("note.lines", effect="read", returns="CONFIDENTIAL")
        def lines(count: int) -> Iterator[str]:
            yield from (f"line {number}" for number in range(count))

        @guard.tool("bank.pay", effect="pay", amount="amount", returns="INTERNAL")
        def pay(amount: int) -> str:
            done.append(f"paid {amount}")
            return "paid"

        @guard.tool("note.fail", effect="write")
        def fail() -> None:
            raise KeyError("no such note")

        @guard.tool("bank.ask", effect="read", returns="PUBLIC")
        async def slow() -> str:
            await asyncio.sleep(30)
            return "late"

        async def main() -> list[str]:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slow(), 0.3)
            return await asyncio.gather(*(send(f"{number}") for number in range(8)))

        with guard.session(request="write", human="ana", agent="bot") as session:
            assert write("a") == "wrote a"
            assert asyncio.run(main()) == [f"sent {number}" for number in range(8)]
            assert session.labels.level == 1
            assert list(lines(3)) == ["line 0", "line 1", "line 2"]
            assert session.labels.level == 2
            with pytest.raises(KeyError):
                fail()
            with pytest.raises(navicert.ActionSuspended) as caught:
                pay(120)
            handle = caught.value.handle
            with pytest.raises(navicert.ActionSuspended):
                guard.resume(handle)
            wait = guard.engine.wait(handle)
            assert guard.engine.waits() == (wait,)
            assert guard.engine.answer(handle, a_vote(wait, key, guard.engine.now())) is not None
            assert guard.resume(handle) == "paid"
            with pytest.raises(navicert.ActionDenied) as again:
                guard.resume(handle)
            assert again.value.reason_code == "wait_over"
        with pytest.raises(navicert.ActionDenied) as outside:
            write("b")
        assert outside.value.reason_code == "no_session"
    assert sorted(done) == ["0", "1", "2", "3", "4", "5", "6", "7", "a", "paid 120"]
    surfaces = {item.action.surface for item in receipts(home.store) if item.action is not None}
    assert surfaces == {"sdk" if way == "open" else "socket"}


# the owner dies


@pytest.mark.parametrize("point", ["permitted", "redeemed"])
def test_an_owner_that_is_killed_lets_nothing_start_and_nothing_be_forgotten(point, home, up, remote):
    owner = up(home)
    engine = remote(home.folder / "navicert.sock")
    permit = permitted(engine, a_session(engine))
    if point == "redeemed":
        engine.redeem(permit)
    owner.kill()

    with pytest.raises(Unavailable):
        engine.redeem(permit) if point == "permitted" else engine.complete(permit, DONE)
    refused = engine.decide(an_action(engine), None)
    assert isinstance(refused, Denied)
    assert (refused.kind, refused.reason_code) == (DenialKind.TRANSIENT, "unavailable")

    up(home)
    with pytest.raises(Unavailable):
        engine.redeem(permit)
    again = engine.decide(an_action(engine), a_session(engine))
    assert isinstance(again, Denied)
    assert again.reason_code == "open_action"
    engine.settle(permit.action_id, happened=False, by="ana", reason="looked")
    engine.redeem(permitted(engine, a_session(engine)))


def test_a_tool_whose_owner_dies_while_it_runs_is_left_open_and_its_result_withheld(home, up):
    owner = up(home)
    with navicert.connect(home.folder) as guard:

        @guard.tool("mail.send", effect="send", content="text", returns="INTERNAL")
        def send(text: str) -> str:
            owner.kill()
            return "secret"

        with pytest.raises(Unavailable), guard.session(request="r", human="ana", agent="bot"):
            send("hello")
    kinds = [item.kind for item in check_log(home)]
    assert "decision" in kinds
    assert "outcome" not in kinds


def test_an_owner_that_hangs_is_a_refusal_in_time_and_takes_back_what_it_permits_too_late(home, up, remote):
    owner = up(home)
    engine = remote(home.folder / "navicert.sock", timeout_s=0.5)
    session = a_session(engine)
    owner.signal(signal.SIGSTOP)
    start = time.monotonic()
    answer = engine.decide(an_action(engine), session)
    async_answer = asyncio.run(engine.decide_async(an_action(engine, "more"), session))
    took = time.monotonic() - start
    owner.signal(signal.SIGCONT)

    assert [item.reason_code for item in (answer, async_answer)] == ["unavailable"] * 2
    assert took < 2.0
    eventually(lambda: outcomes(home) and set(outcomes(home)) == {(False, "not_started")})
    engine.redeem(permitted(engine, session))  # the same action: the one that came too late holds nothing up


def test_a_stopped_owner_records_what_never_started_and_leaves_open_what_had(home, up, remote):
    owner = up(home)
    engine = remote(home.folder / "navicert.sock")
    session = a_session(engine)
    permitted(engine, session, "never started")
    engine.redeem(permitted(engine, session, "started"))
    permitted(remote(home.folder / "navicert.sock", detached=True), session, "detached")

    code, errors = owner.end()

    assert (code, errors) == (0, "")
    assert outcomes(home) == [(False, "not_started")] * 2
    assert not (home.folder / "navicert.sock").exists()


# the owner is not alone


def test_a_second_owner_is_refused_and_a_dead_one_leaves_nothing_in_the_way(home, up):
    first = up(home)
    command = [sys.executable, "-m", "navicert", "--home", str(home.folder), "up"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert second.returncode == 6
    assert f"process {first.process.pid}" in second.stderr

    (home.folder / "navicert.sock").unlink()
    third = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert third.returncode == 6  # there is no socket to be seen, and yet an owner

    first.kill()
    up(home).kill()
    assert (home.folder / "navicert.sock").exists()  # it could not tidy up
    up(home)
    with navicert.connect(home.folder) as guard:
        assert guard.engine.waits() == ()


def test_up_says_what_it_is_and_without_a_home_how_to_make_one(home, tmp_path):
    command = [sys.executable, "-m", "navicert", "--home", str(home.folder), "up"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        said = [""]
        while "ready" not in said[-1] and owner.poll() is None:  # how many lines come before depends on the path
            said.append(owner.stdout.readline())
        owner.send_signal(signal.SIGINT)
        said += owner.communicate(timeout=20)[0].splitlines()
    assert owner.returncode == 0
    text = "".join(line.strip() for line in said)  # a long path goes on in the next line
    for word in ("owned version 1", str(home.folder / "navicert.sock"), "root", "nothing", "ready"):
        assert word in text

    command[4] = str(tmp_path / "nowhere")
    lost = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (lost.returncode, "navicert init" in lost.stderr) == (3, True)


def test_two_homes_do_not_share_a_socket(tmp_path, up):
    shared = str(tmp_path / "x.sock")
    up(a_home(tmp_path / "one", socket=shared))
    with pytest.raises(RuntimeError, match="another owner is alive"):
        up(a_home(tmp_path / "two", socket=shared))


def test_without_an_owner_connect_says_what_to_do(home, tmp_path):
    with pytest.raises(Unavailable, match="navicert up"):
        navicert.connect(home.folder)
    with pytest.raises(Unavailable, match="navicert up"):
        navicert.connect(tmp_path / "nothing.sock")


def test_the_owner_takes_up_a_changed_policy_and_keeps_the_last_good_one(home, up, remote):
    owner = up(home)
    engine = remote(home.folder / "navicert.sock")
    session = a_session(engine)
    policy = home.folder / "policy.yaml"
    policy.write_text("rules: [")
    assert "the last good one stays" in owner.process.stderr.readline()
    permitted(engine, session, "still")
    policy.write_text(POLICY.replace("version: 1", "version: 2").replace("declared_tools", "deny"))
    texts = iter(range(10_000))
    eventually(lambda: isinstance(engine.decide(an_action(engine, f"{next(texts)}"), session), Denied))
    assert owner.end() == (0, "")  # it complained once
    with pytest.raises(PolicyError, match="itself"):
        navicert.service.reach.Remote(engine).reload()


# the owner lies


GARBAGE = {
    "not a frame": b"HTTP/1.1 200 OK\r\n\r\n",
    "too long": b"\xff\xff\xff\xff",
    "half a frame": b"\0\0\1\0{",
    "not JSON": frame(b"\xff\xfe{"),
    "another shape": ok({"permit": {"yes": True}}),
    "no answer": ok({}),
    "empty": frame(b"{}"),
    "deep": frame(b"[" * 100_000),
    "null": frame(b"null"),
    "both": frame(b'{"ok":{},"error":{"type":"Unavailable","message":"x"}}'),
    "an unknown error": frame(b'{"error":{"type":"SystemExit","message":"x"}}'),
    "silence": None,
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
def test_whatever_an_owner_says_but_a_permit_is_a_refusal(said, tmp_path, remote):
    liar = Liar(tmp_path / "x.sock", lambda _: said)
    engine = remote(liar.path, timeout_s=0.5)
    action = an_action(engine)

    answers = [engine.decide(action, "ses_x"), engine.resume("wait_x"), engine.refuse(action, None, "why")]
    answers.append(asyncio.run(engine.decide_async(action, "ses_x")))

    assert [(item.kind, item.reason_code) for item in answers] == [(DenialKind.TRANSIENT, "unavailable")] * 4
    with pytest.raises(navicert.NavicertError):
        engine.open_session("r", Claims())
    liar.close()


def the_permit(action: Action, **changes: Any) -> Permit:
    good = Permit(
        action_id=action.action_id, session_id="ses_x", tool=action.tool, operation=action.operation,
        parameters=action.parameters, digest=action.digest, issuer="eng_x", receipt_id="rcp_x", decision="0" * 64,
        expires_at=0,
    )  # fmt: skip
    return msgspec.structs.replace(good, **changes)


OTHER = b'{"text":"other"}'
LIES: dict[str, dict[str, Any]] = {
    "another session": {"session_id": "ses_other"},
    "other bytes than the digest": {"parameters": OTHER},
    "other bytes, not said to be modified": {"parameters": OTHER, "digest": action_digest("mail", "send", OTHER)},
    "another tool": {"tool": "rm", "digest": action_digest("rm", "send", b'{"text":"hello"}')},
    "modified, and not hashing": {"parameters": OTHER, "modified": True},
}


@pytest.mark.parametrize("changes", LIES.values(), ids=LIES.keys())
def test_a_permit_for_something_else_is_a_refusal(changes, tmp_path, remote):
    given: list[Permit] = []
    liar = Liar(tmp_path / "x.sock", lambda _: ok({"permit": given[-1]}))
    engine = remote(liar.path)
    action = an_action(engine)
    given.append(the_permit(action, **changes))
    assert isinstance(engine.decide(action, "ses_x"), Denied)

    given.append(the_permit(action))  # the twin: the right one is taken
    assert engine.decide(action, "ses_x") == given[-1]
    given.append(the_permit(action, parameters=OTHER, digest=action_digest("mail", "send", OTHER), modified=True))
    assert engine.decide(action, "ses_x") == given[-1]
    liar.close()


def test_a_permit_that_another_process_was_given_cannot_be_redeemed(tmp_path, remote):
    liar = Liar(tmp_path / "x.sock", lambda _: frame(b'{"ok":null}'))
    engine = remote(liar.path)
    with pytest.raises(Unavailable, match="gone"):
        engine.redeem(the_permit(an_action(engine)))
    liar.close()


# connections die


def test_a_connection_that_dies_takes_its_permits_with_it(home, up, remote):
    up(home)
    engine = remote(home.folder / "navicert.sock")
    session = a_session(engine)
    with Plain(home.folder / "navicert.sock") as caller:
        mine = caller.ask(do="open_session", request="r", claims={"human": "ana", "agent": "bot"})["ok"]
        unstarted = caller.ask(do="decide", action=plain_action(1, "a"), session=mine)["ok"]["permit"]
        started = caller.ask(do="decide", action=plain_action(2, "b"), session=mine)["ok"]["permit"]
        assert caller.ask(do="redeem", permit=started) == {"ok": None}

    eventually(lambda: outcomes(home) == [(False, "not_started")])
    with Plain(home.folder / "navicert.sock") as later:
        for permit, request in ((unstarted, "redeem"), (started, "redeem")):
            assert later.ask(do=request, permit=permit)["error"]["type"] == "IntegrityError"
        output = {"text": "x"}
        assert later.ask(do="complete", permit=started, output=output)["error"]["type"] == "IntegrityError"
    assert isinstance(engine.decide(an_action(engine, "a"), session), Permit)
    open_still = engine.decide(an_action(engine, "b"), session)
    assert isinstance(open_still, Denied)
    assert open_still.reason_code == "open_action"


def test_a_detached_permit_outlives_its_connection_and_is_used_once(home, up):
    up(home)
    path = home.folder / "navicert.sock"
    with Plain(path) as first:
        session = first.ask(do="open_session", request="r", claims={"human": "ana", "agent": "bot"})["ok"]
        permit = first.ask(do="decide", action=plain_action(1), session=session, detached=True)["ok"]["permit"]
    with Plain(path) as second:
        assert second.ask(do="redeem", permit=permit) == {"ok": None}
    with Plain(path) as third:
        assert third.ask(do="redeem", permit=permit)["error"]["type"] == "IntegrityError"
        done = third.ask(do="complete", permit=permit, output={"text": "ok", "json": "Im9rIg=="})
        assert done == {"ok": {"labels": {"level": 1}}}
        assert third.ask(do="complete", permit=permit, output={"text": "ok"})["error"]["type"] == "IntegrityError"
    assert outcomes(home) == [(True, None)]


def test_a_detached_permit_that_expires_is_recorded_as_not_started(tmp_path, up):
    home = a_home(tmp_path / "home", permit_s=0.5)
    up(home)
    with Plain(home.folder / "navicert.sock") as caller:
        session = caller.ask(do="open_session", request="r", claims={"human": "ana", "agent": "bot"})["ok"]
        caller.ask(do="decide", action=plain_action(1), session=session, detached=True)
    eventually(lambda: outcomes(home) == [(False, "not_started")])


def test_a_cancelled_task_leaves_no_permit_behind(home, up, remote):
    owner = up(home)
    engine = remote(home.folder / "navicert.sock")
    session = a_session(engine)

    async def main() -> None:
        owner.signal(signal.SIGSTOP)
        task = asyncio.create_task(engine.decide_async(an_action(engine), session))
        await asyncio.to_thread(eventually, lambda: not engine._connections._idle)  # until it is being sent
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        owner.signal(signal.SIGCONT)

    asyncio.run(main())
    eventually(lambda: outcomes(home) == [(False, "not_started")])


def test_a_forked_child_has_connections_of_its_own(home, up, remote):
    up(home)
    engine = remote(home.folder / "navicert.sock")
    permit = permitted(engine, a_session(engine))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(Unavailable):
                engine.redeem(permit)  # it is the parent's
            mine = permitted(engine, a_session(engine), "from the child")
            engine.redeem(mine)
            engine.complete(mine, DONE)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    engine.redeem(permit)  # the parent's is still the parent's
    engine.complete(permit, DONE)
    assert outcomes(home) == [(True, None)] * 2


# who is at the other end


CHILD = """
import json, os, sys
import navicert, navicert.sdk.guard, navicert.service.reach, asyncio
import navicert.cli.inbox, navicert.cli.show, navicert.cli.page, navicert.asking.inbox  # this user may not read them
from navicert.engine.completing import Output
from faults.owners import an_action
path, task, argument = sys.argv[1:]
os.setgid(NOBODY); os.setuid(NOBODY)
def run():
    engine = navicert.connect(path).engine
    if task == "act":
        session = engine.open_session("r", navicert.model.identity.Claims(human="ana", agent="bot", peer="uid:0"))
        permit = engine.decide(an_action(engine, "from nobody", surface="sdk", separation="host"), session)
        engine.redeem(permit)
        engine.complete(permit, Output(text="ok"))
        return [engine.peer, session, permit.action_id]
    if task in ("steal", "join"):
        session, handle, token = argument.split(",")
        assert task == "steal" or engine.join(token) == session
        answer = engine.decide(an_action(engine, "stolen"), session)
        words = [getattr(each, "reason_code", "permit") for each in (answer, engine.resume(handle))]
        words.append(engine.named(handle))
        for call in (lambda: engine.say(session, "x"), lambda: engine.end(session), lambda: engine.labels(session),
                     lambda: engine.offered(session, {}), lambda: engine.launch(session),
                     lambda: engine.observe(session, name="x", value=1, source="y"),
                     lambda: engine.delegate(session, agent="b", scope=("*",))):
            try:
                call()
                words.append("done")
            except navicert.IntegrityError:
                words.append("refused")
        return words
    if task == "govern":
        from navicert.model.authority import Authority
        words = []
        calls = [
            lambda: engine.stop("all", Authority.REVOKED, by="x", reason="y"), lambda: engine.dismiss("ben"),
            lambda: engine.settle("act_x", happened=True, by="x"), engine.sweep, engine.approvers, engine.standings,
            engine.waits, lambda: engine.open_session("r", navicert.model.identity.Claims()),
        ]
        for call in calls:
            try:
                words.append(bool(call()) or "done")
            except navicert.IdentityError:
                words.append("refused")
        return words
    if task == "cli":
        sys.argv = ["navicert", *argument.split(), "--json", "--home", path]
        navicert.cli.main()
    if task == "answer":
        vote = navicert.model.suspension.Vote(**{k: bytes.fromhex(v) for k, v in json.loads(argument).items()})
        (wait,) = engine.waits()
        return [engine.wait(wait.handle) == wait, engine.answer(wait.handle, vote) is not None]
try:
    import navicert.model.suspension
    print(json.dumps(run()))
except navicert.NavicertError as error:
    print(json.dumps(type(error).__name__ + ": " + str(error)))
""".replace("NOBODY", str(NOBODY))


def as_nobody(path: Path, task: str, argument: str = "") -> Any:
    """Do something as another user, and return what came of it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}
    command = [sys.executable, "-c", CHILD, str(path), task, argument]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_root
def test_a_user_who_is_not_named_is_refused(tmp_path, open_folder, up):
    up(a_home(tmp_path / "home", socket=str(open_folder / "x.sock")))
    assert as_nobody(open_folder / "x.sock", "act").startswith("IdentityError: the user 65534 may not talk")


@needs_root
def test_a_user_who_is_named_acts_and_the_receipt_says_that_it_is_apart(tmp_path, open_folder, up, remote):
    home = a_home(tmp_path / "home", socket=str(open_folder / "x.sock"), users=[NOBODY])
    up(home)
    engine = remote(open_folder / "x.sock")
    own = permitted(engine, a_session(engine))

    peer, _, action_id = as_nobody(open_folder / "x.sock", "act")

    assert peer == "uid:65534"
    apart = {item.action.id: (item.action.surface, item.separation) for item in check_log(home) if item.action}
    assert apart[action_id] == ("socket", "user")
    assert apart[own.action_id] == ("socket", "none")
    assert as_nobody(open_folder / "x.sock", "govern") == ["refused"] * 7 + [True]


@needs_root
def test_the_session_and_the_wait_of_another_user_do_not_exist(tmp_path, open_folder, up, remote):
    home = a_home(tmp_path / "home", socket=str(open_folder / "x.sock"), users=[NOBODY])
    up(home)
    engine = remote(open_folder / "x.sock")
    session = a_session(engine)
    waits = engine.decide(an_action(engine, name="bank.pay"), session)
    assert isinstance(waits, Suspended)

    stolen = as_nobody(open_folder / "x.sock", "steal", f"{session},{waits.handle},")

    assert stolen == ["no_session", "no_wait", None] + ["refused"] * 7
    assert isinstance(engine.resume(waits.handle), Suspended)
    engine.say(session, "the twin: its own user may")


@needs_root
def test_who_joins_by_a_launch_token_acts_in_the_session_and_no_more(tmp_path, open_folder, up, remote):
    # seen to fail: with `_own` answering for those who joined
    home = a_home(tmp_path / "home", socket=str(open_folder / "x.sock"), users=[NOBODY])
    up(home)
    engine = remote(open_folder / "x.sock")
    session = a_session(engine)
    waits = engine.decide(an_action(engine, name="bank.pay"), session)

    joined = as_nobody(open_folder / "x.sock", "join", f"{session},{waits.handle},{engine.launch(session)}")

    assert joined == ["permit", waits.reason_code, "bank.pay", *["refused"] * 3, "done", *["refused"] * 3]
    found = [item for item in check_log(home) if item.kind == "decision"]
    assert [(item.session.id, item.separation) for item in found] == [(session, "none"), (session, "user")]
    spent = as_nobody(open_folder / "x.sock", "join", f"{session},{waits.handle},nvl_nobodys")
    assert spent.startswith("IdentityError: the launch token is used up")


@needs_root
def test_people_see_and_answer_and_nothing_else(tmp_path, open_folder, up, remote):
    home = a_home(tmp_path / "home", socket=str(open_folder / "x.sock"), people=[NOBODY])
    up(home)
    engine = remote(open_folder / "x.sock")
    key = new_key("Ed25519")
    enrolled(engine, key)
    waits = engine.decide(an_action(engine, name="bank.pay"), a_session(engine))
    vote = a_vote(engine.wait(waits.handle), key, engine.now())
    said = json.dumps({"statement": vote.statement.hex(), "signature": vote.signature.hex()})

    assert as_nobody(open_folder / "x.sock", "act").startswith("IdentityError: uid:65534 may not do this")
    assert as_nobody(open_folder / "x.sock", "govern") == ["refused"] * 4 + [True, "refused", True, "refused"]
    # seen to fail: with `list_approvers` for who governs, and `people.look` asking for the standings of everybody
    (listed,) = as_nobody(open_folder / "x.sock", "cli", "inbox")["waiting"]
    shown = as_nobody(open_folder / "x.sock", "cli", f"show {waits.handle}")
    assert [listed["handle"], shown["wait"]["handle"]] == [waits.handle] * 2
    assert as_nobody(open_folder / "x.sock", "answer", said) == [True, True]
    assert isinstance(engine.resume(waits.handle), Permit)


@needs_root
def test_an_owner_that_another_user_pretends_to_be_is_not_believed(open_folder, remote):
    open_folder.chmod(0o1777)
    os.seteuid(NOBODY)
    try:
        liar = Liar(open_folder / "x.sock", lambda _: ok("ses_x"))
    finally:
        os.seteuid(0)
    with pytest.raises(IntegrityError, match="65534 listens there"):
        remote(liar.path)

    os.chown(open_folder, NOBODY, -1)  # the twin: it is the user whose folder it is
    assert remote(liar.path).open_session("r", Claims()) == "ses_x"
    liar.close()


def test_the_owners_user_may_stop_and_restore(home, up, remote):
    up(home)
    engine = remote(home.folder / "navicert.sock")
    session = a_session(engine)
    permit = permitted(engine, session)
    engine.stop("agent/bot", Authority.REVOKED, by="ana", reason="enough")
    with pytest.raises(navicert.ActionDenied) as caught:
        engine.redeem(permit)

    assert caught.value.reason_code == "authority_revoked"
    assert caught.value.action_id == permit.action_id
    assert list(engine.standings().subjects) == ["agent/bot"]
    assert engine.sweep() == 0


# TCP


def test_over_tcp_only_who_has_the_token_may_act(tmp_path, up):
    home = a_home(tmp_path / "home", listen="127.0.0.1:0")
    owner = up(home)
    address, file = owner.said["listen"], home.keys / "tcp.token"
    assert file.stat().st_mode & 0o777 == 0o600

    for token in ("", "0" * 64, file.read_text().strip().upper()):
        with pytest.raises(IdentityError, match="token"):
            navicert.connect(address=address, token=token)
    with navicert.connect(home.folder, address=address) as guard:
        engine = guard.engine
        assert engine.peer == "tcp"
        permit = permitted(engine, a_session(engine))
        with Plain(home.folder / "navicert.sock") as other:  # another peer, who knows every byte of the permit
            stolen = json.loads(msgspec.json.encode(permit))
            output = {"text": "x"}
            for request in ({"do": "redeem"}, {"do": "complete", "output": output}, {"do": "extend", "output": output},
                            {"do": "abandon", "why": "x"}, {"do": "guards_repeats"}):  # fmt: skip
                said = other.ask(**request, permit=stolen)
                assert "not in your hands" in said["error"]["message"], request
        engine.redeem(permit)
        engine.complete(permit, DONE)
        with pytest.raises(IdentityError, match="govern"):
            engine.stop("all", Authority.REVOKED, by="x", reason="y")
    with navicert.connect(home.folder) as local, pytest.raises(IntegrityError):
        local.engine.labels(permit.session_id)  # a session of `tcp`'s, not of this user's


@pytest.mark.parametrize("listen", ["0.0.0.0:7437", "192.0.2.1:1", "example.com:80", "127.0.0.1", "127.0.0.1:99999"])
def test_no_owner_listens_where_other_machines_could_hear(listen, tmp_path, up):
    with pytest.raises(RuntimeError, match=r"listen|no address|other machines"):
        up(a_home(tmp_path / "home", listen=listen))
