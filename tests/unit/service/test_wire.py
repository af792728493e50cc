"""What comes over the socket is a request of the closed set, or an error: nothing else reaches the engine."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import navicert
from faults.owners import POLICY, Plain, a_home, an_action, plain_action
from faults.support import log_bytes
from navicert.assemble import Assembled, Home
from navicert.config import read_config
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.engine.completing import Output
from navicert.engine.drive import drive
from navicert.engine.mediating import Mediator
from navicert.model import errors
from navicert.model.decision import Permit
from navicert.model.errors import (
    ActionDenied,
    DenialKind,
    IntegrityError,
    InvalidAction,
    Unavailable,
    VerificationError,
)
from navicert.model.identity import Claims
from navicert.model.labels import WORST
from navicert.service import desk, exchange, server, wire
from navicert.service.client import RemoteEngine
from navicert.service.exchange import Place
from navicert.service.peers import NEEDS
from navicert.service.server import Owner

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
VERBS = sorted(kind.__struct_config__.tag for kind in NEEDS)


class Desk:
    """An owner in this process, and how to speak to it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.deployment = Assembled(home, read_config(home.folder))
        self.owner = Owner(self.deployment, self.deployment.config)
        self.owner.start()

    def entries(self) -> int:
        return len(log_bytes(self.home.store))

    def plain(self, **settings: Any) -> Plain:
        return Plain(self.owner.socket, **settings)

    def engine(self) -> RemoteEngine:
        return RemoteEngine(Place(socket=self.owner.socket))

    def close(self) -> None:
        self.owner.close()
        self.deployment.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory) -> Iterator[Desk]:
    made = Desk(a_home(tmp_path_factory.mktemp("office") / "home", policy=POLICY))
    yield made
    made.close()


@pytest.fixture
def caller(office) -> Iterator[Plain]:
    with office.plain() as made:
        yield made


def a_session(caller: Plain) -> str:
    return caller.ask(do="open_session", request="r", claims={"human": "ana", "agent": "bot"})["ok"]


# garbage


@given(st.binary(max_size=512))
def test_bytes_are_a_request_or_an_invalid_action(data):
    with suppress(InvalidAction):
        assert isinstance(wire.parse_request(data), wire.Request)


@given(st.sampled_from([*VERBS, "hello", "run", ""]), st.dictionaries(st.text(max_size=12), JSON, max_size=5))
def test_json_is_a_request_or_an_invalid_action(verb, fields):
    with suppress(InvalidAction):
        assert isinstance(wire.parse_request(json.dumps({**fields, "do": verb}).encode()), wire.Request)


@pytest.mark.parametrize("text", ["[" * 50_000, '{"do":' * 20_000, "9" * 100_000, '{"do":"\\ud800"}', "", "null", "[]"])
def test_text_that_breaks_readers_is_an_invalid_action(text):
    with pytest.raises(InvalidAction):
        wire.parse_request(text.encode())


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=256) | st.builds(lambda value: json.dumps(value).encode(), JSON))
def test_garbage_in_a_frame_is_answered_with_an_error_and_the_connection_goes_on(office, content):
    before = office.entries()
    with office.plain() as caller:
        assert caller.raw(content)["error"]["type"] == "InvalidAction"
        assert caller.ask(do="list_waits") == {"ok": {"waits": [], "more": False}}
    assert office.entries() == before


@settings(max_examples=60, deadline=None)
@given(content=st.binary(min_size=1, max_size=64), greet=st.booleans())
def test_garbage_on_the_socket_kills_neither_the_owner_nor_others(office, content, greet):
    before = office.entries()
    with office.plain() as bystander:
        with office.plain(greet=greet) as caller:
            caller.sock.sendall(content)
            caller.sock.shutdown(socket.SHUT_WR)
            with suppress(EOFError, ConnectionError):
                while True:
                    assert "error" in caller.read()
        assert "ok" in bystander.ask(do="list_waits")
    assert office.entries() == before


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_decision_with_anything_changed_about_its_shape_never_reaches_the_engine(office, data):
    with office.plain() as caller:
        request: dict[str, Any] = {"do": "decide", "action": plain_action(7), "session": "ses_x"}
        place = request if data.draw(st.booleans()) else request["action"]
        fields = [name for name in place if name != "do"]
        field = data.draw(st.sampled_from([*fields, "extra"]))
        if field in {"submitted_at", "session", "profile"} or (field != "extra" and data.draw(st.booleans())):
            place.pop(field, None)
            place["more"] = 1
        else:
            place[field] = data.draw(st.booleans() | st.floats(allow_nan=False) | st.just(["x"]))
        before = office.entries()
        assert caller.ask(**request)["error"]["type"] == "InvalidAction"
        assert office.entries() == before


def changed(**fields: Any) -> dict[str, Any]:
    return {**plain_action(9), **fields}


def with_parameters(text: bytes) -> dict[str, Any]:
    return changed(parameters=base64.b64encode(text).decode(), digest=action_digest("mail", "send", text))


FORGED = {
    "a digest of something else": changed(digest="0" * 64),
    "parameters that are not canonical": with_parameters(b'{"text": "hello"}'),
    "a key twice": with_parameters(b'{"text":"a","text":"b"}'),
    "parameters that are no object": with_parameters(b"[1]"),
    "parameters that are no JSON": with_parameters(b"\xff"),
    "an id of another form": changed(action_id="act_1"),
    "a name with a space": changed(tool="ma il", digest=action_digest("ma il", "send", b'{"text":"hello"}')),
    "an operation with a dot": changed(operation="a.b", digest=action_digest("mail", "a.b", b'{"text":"hello"}')),
    "the profile of another tool": changed(profile={"tool": "note.read", "effect": "read"}),
}


@pytest.mark.parametrize("action", FORGED.values(), ids=FORGED.keys())
def test_an_action_that_is_not_what_it_says_is_refused_before_it_is_judged(office, caller, action):
    session, before = a_session(caller), office.entries()

    for request in ({"do": "decide"}, {"do": "refuse", "why": "x"}):
        assert caller.ask(**request, action=action, session=session)["error"]["type"] == "InvalidAction"
    assert office.entries() == before


def test_a_refusal_of_the_policy_is_not_a_callers_to_record(office, caller):
    session, before = a_session(caller), office.entries()

    for code in ("rule", "answered", ""):
        said = caller.ask(do="refuse", why="x", code=code, action=plain_action(17), session=session)
        assert said["error"]["type"] == "InvalidAction"
    assert office.entries() == before


def test_an_action_id_is_used_once(office, caller):
    session = a_session(caller)
    action = plain_action(11, "once")
    permit = caller.ask(do="decide", action=action, session=session)["ok"]["permit"]

    for other in (action, {**plain_action(12, "other"), "action_id": action["action_id"]}):
        assert "another action" in caller.ask(do="decide", action=other, session=session)["error"]["message"]
    assert caller.ask(do="redeem", permit=permit) == {"ok": None}  # the first one's permit is what it was
    assert caller.ask(do="complete", permit=permit, output={"text": "ok"}) == {"ok": {"labels": {"level": 1}}}


@pytest.mark.parametrize(
    "field", [{"digest": "0" * 64}, {"parameters": "e30="}, {"action_id": "act_x"}, {"expires_at": 9**20}]
)
def test_a_permit_with_anything_changed_is_not_redeemed(caller, office, field):
    engine = office.engine()
    number = 100 + abs(hash(str(field))) % 10_000
    permit = caller.ask(do="decide", action=plain_action(number, str(field)), session=a_session(caller))["ok"]["permit"]

    assert caller.ask(do="redeem", permit=permit | field)["error"]["type"] == "IntegrityError"
    assert caller.ask(do="redeem", permit=permit) == {"ok": None}
    engine.close()


def test_a_frame_that_is_too_long_is_refused_before_it_is_read(office, caller):
    caller.sock.sendall((wire.MOST_BYTES + 1).to_bytes(4, "big"))
    assert "longer" in caller.read()["error"]["message"]
    with pytest.raises((EOFError, ConnectionError)):
        caller.ask(do="list_waits")


LONG = "x" * 70_000


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "open_session", "request": "r", "claims": {"human": LONG}},
        {"do": "open_session", "request": LONG, "claims": {}},
        {"do": "delegate", "agent": LONG, "scope": []},
        {"do": "delegate", "agent": "a", "scope": [LONG]},
        {"do": "say", "text": LONG * 20},
        {"do": "observe", "name": "n", "value": LONG * 20, "source": "s"},
        {"do": "decide", "action": changed(wrappers=[LONG])},
        {"do": "decide", "action": changed(depends_on=["wait_x"] * 9_000)},
        {"do": "decide", "action": changed(profile={"tool": "mail.send", "effect": "send", "content": [LONG]})},
    ],
    ids=str,
)
def test_what_stands_around_an_action_has_bounds(caller, office, request_):
    session, before = a_session(caller), office.entries()
    place = {"delegate": "parent", "open_session": None}.get(request_["do"], "session")

    assert caller.ask(**request_, **({place: session} if place else {}))["error"]["type"] == "InvalidAction"
    assert office.entries() == before


@pytest.mark.parametrize("error", ["é\n", "\x00", "x" * 100_000, ""])
def test_an_outcome_is_recorded_whatever_the_error_is_called(caller, office, error):
    number = 5_000 + len(error) + ord((error or "a")[0])
    permit = caller.ask(do="decide", action=plain_action(number, f"{number}"), session=a_session(caller))["ok"][
        "permit"
    ]
    caller.ask(do="redeem", permit=permit)
    before = office.entries()
    assert "ok" in caller.ask(do="complete", permit=permit, output={"text": "x"}, error=error)
    engine = office.engine()
    engine.open_session("r", Claims())  # what was queued before it is durable with it
    assert office.entries() == before + 1
    engine.close()


# hello


@pytest.mark.parametrize(
    "first",
    [{"do": "hello", "protocol": "navicert/2"}, {"do": "list_waits"}, {"do": "sweep"}, {"do": "hello"}, {"do": "exec"}],
)
def test_who_does_not_say_hello_first_is_refused_and_let_go(office, first):
    with office.plain(greet=False) as caller:
        assert caller.ask(**first)["error"]["type"] == "InvalidAction"
        with pytest.raises((EOFError, ConnectionError)):
            caller.ask(do="list_waits")


def test_hello_says_who_one_is_and_is_said_once(office):
    with office.plain(greet=False) as caller:
        welcome = caller.ask(do="hello", protocol="navicert/1")["ok"]
        assert welcome["rights"] == ["act", "answer", "govern"]
        assert welcome["separation"] == "none"
        assert caller.ask(do="hello", protocol="navicert/1")["error"]["type"] == "InvalidAction"


def test_the_owner_keeps_connections_free_and_refuses_what_is_too_many(office, monkeypatch):
    monkeypatch.setattr(server, "MOST", 3)
    open_lines = [office.plain() for _ in range(3)]
    with office.plain(greet=False) as late:
        assert "too many connections" in late.read()["error"]["message"]
    for line in open_lines:
        line.close()


def test_one_slow_request_holds_up_nobody_else(office, monkeypatch):
    engine, gate, entered = office.engine(), threading.Event(), threading.Event()
    real = office.deployment.engine.approvers

    def slow() -> Any:
        entered.set()
        gate.wait(10)
        return real()

    monkeypatch.setattr(office.deployment.engine, "approvers", slow)
    other = threading.Thread(target=engine.approvers)
    other.start()
    entered.wait(10)
    assert engine.waits() == ()
    gate.set()
    other.join()
    engine.close()


def test_an_owner_that_stops_ends_what_is_running_and_begins_nothing(tmp_path, monkeypatch):
    own = Desk(a_home(tmp_path / ("long" * 20) / ("name" * 20)))  # longer than the kernel takes for a socket
    engine, idle = own.engine(), own.plain()
    gate, entered, found = threading.Event(), threading.Event(), []
    real = own.deployment.engine.approvers

    def slow() -> Any:
        entered.set()
        gate.wait(10)
        return real()

    monkeypatch.setattr(own.deployment.engine, "approvers", slow)
    running = threading.Thread(target=lambda: found.append(engine.approvers()))
    running.start()
    entered.wait(10)
    stopping = threading.Thread(target=own.owner.close)
    stopping.start()
    own.owner._stop.wait(10)
    assert "stopping" in idle.ask(do="list_standings")["error"]["message"]
    gate.set()
    running.join()
    stopping.join()

    assert found == [real()]
    with pytest.raises((EOFError, ConnectionError)):
        idle.ask(do="list_waits")
    with pytest.raises(Unavailable):
        engine.waits()
    idle.close()
    engine.close()
    own.deployment.close()


# replies


def every_error() -> list[navicert.NavicertError]:
    plain = [
        kind("`x` is not so")
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, navicert.NavicertError)
        and not issubclass(kind, (ActionDenied, VerificationError))
    ]
    denied = ActionDenied(
        kind=DenialKind.PERMISSION, reason="no", next_step="stop", action_id="act_x", receipt_id="rcp_x",
        reason_code="rule", rules=("a",),
    )  # fmt: skip
    return [*plain, denied, VerificationError("chain", "broken")]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_comes_back_as_it_was_raised(error):
    with pytest.raises(type(error)) as caught:
        wire.parse_reply(wire.fault_bytes(error), None)

    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "Exception", "ActionSuspended", "annotations", ""])
def test_an_error_of_no_type_of_ours_is_unavailable(name):
    with pytest.raises(Unavailable):
        wire.parse_reply(json.dumps({"error": {"type": name, "message": "x"}}).encode(), None)


@given(st.binary(max_size=256) | st.builds(lambda value: json.dumps(value).encode(), JSON))
def test_a_reply_is_what_was_asked_for_or_an_error_of_ours(content):
    with suppress(navicert.NavicertError):
        assert isinstance(wire.parse_reply(content, wire.Answered), wire.Answered)


def test_a_failure_of_the_owners_own_is_unavailable_and_tells_nothing_of_it(office, caller, monkeypatch):
    def broken() -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(office.deployment.engine, "approvers", broken)
    assert caller.ask(do="list_approvers")["error"] == {
        "type": "Unavailable", "message": "the owner failed: RuntimeError",
    }  # fmt: skip
    assert "ok" in caller.ask(do="list_standings")


def test_every_request_needs_a_right_and_every_method_of_an_engine_has_a_request():
    kinds = {kind for kind in vars(wire).values() if isinstance(kind, type) and issubclass(kind, wire.Request)}

    assert kinds - {wire.Request, wire.Hello} == set(NEEDS)
    assert RemoteEngine.__abstractmethods__ == frozenset()
    assert all(name in vars(RemoteEngine) for name in Mediator.__abstractmethods__)
    assert get_type_hints(desk.Desk.answer)["request"] is wire.Request


# results


def test_a_result_that_does_not_fit_is_not_looked_at_and_counts_as_the_highest(office):
    engine = office.engine()
    session = engine.open_session("r", Claims(human="ben", agent="bot"))
    for text, expected in (("small", 1), ("x" * 9_000_000, WORST), ("\x00" * 1_500_000, WORST), ("a\ud800b", None)):
        permit = engine.decide(an_action(engine, f"{len(text)}"), session)
        assert isinstance(permit, Permit)
        engine.redeem(permit)
        labels = engine.complete(permit, Output(text=text, json=b'"x"')).labels
        if expected is WORST:
            assert labels == WORST
        else:
            assert labels.level == 1
    engine.close()


def test_what_cannot_be_sent_is_a_refusal_and_not_an_exception(office):
    engine = office.engine()
    action = an_action(engine, tool="\ud800")
    assert engine.decide(action, None).reason_code == "unavailable"
    assert engine.resume("\ud800").reason_code == "unavailable"
    engine.close()


def test_connections_are_used_again_and_not_kept_without_end(office, monkeypatch):
    monkeypatch.setattr(exchange, "_IDLE", 2)
    engine = office.engine()
    session = engine.open_session("r", Claims(human="cleo", agent="bot"))
    permits = [engine.decide(an_action(engine, f"{number}"), session) for number in range(6)]
    assert len({id(item) for item in engine._connections._bound.values()}) == 6
    for permit in permits:
        engine.redeem(permit)
        engine.complete(permit, Output(text="ok"))
    assert (len(engine._connections._bound), len(engine._connections._idle)) == (0, 2)
    engine.close()
    assert engine.decide(an_action(engine), session).reason_code == "unavailable"


# lapsing, in the engine


def test_a_permit_that_was_taken_back_is_never_redeemed(office):
    engine = office.deployment.engine
    session = engine.open_session("r", Claims(human="dora", agent="bot"))
    permit = engine.decide(an_action(engine, "lapse"), session)
    engine.lapse(permit)

    with pytest.raises(IntegrityError):
        engine.redeem(permit)
    with pytest.raises(IntegrityError):
        engine.lapse(permit)
    again = engine.decide(an_action(engine, "lapse"), session)
    engine.redeem(again)  # nothing is left open by the one that lapsed
    with pytest.raises(IntegrityError):
        engine.lapse(again)
    engine.complete(again, Output(text="ok"))


def test_a_permit_that_is_taken_back_while_it_is_redeemed_starts_nothing(office):
    engine = office.deployment.engine
    session = engine.open_session("r", Claims(human="emil", agent="bot"))
    permit = engine.decide(an_action(engine, "race"), session)

    def machine():
        inner = engine._redeem(permit)
        command = next(inner)
        engine.lapse(permit)
        return (yield from resumed(inner, command))

    def resumed(inner, command):
        while True:
            answer = yield command
            command = inner.send(answer)

    with pytest.raises(IntegrityError, match="given back"):
        drive(machine())


def test_parameters_of_another_language_are_ours():
    assert base64.b64decode(plain_action(1)["parameters"]) == parameter_bytes({"text": "hello"})
    assert plain_action(1)["digest"] == action_digest("mail", "send", parameter_bytes({"text": "hello"}))
