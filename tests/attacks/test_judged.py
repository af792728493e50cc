"""Attack family B: what was judged is not what ran."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from navicert import ActionDenied, ActionSuspended, DenialKind, IntegrityError, InvalidAction
from navicert.adapters.detect.protected import ProtectedResources
from navicert.core.canonical import MAX_BYTES, canonical_parameters, decode_parameters, parse_parameters
from navicert.core.text import normal_form
from navicert.engine.completing import Output
from navicert.engine.engine import Engine
from navicert.model.decision import Denied, Permit
from navicert.model.signals import Finding
from navicert.sdk.binding import Binding
from navicert.sdk.guard import make_profile
from unit.sdk.world import HEAD, IBAN, INSIDE, OFFICE, OUTSIDE, Office, opened, outcome, raw, receipts, working

MAIL = (
    HEAD
    + """\
rules:
  - {id: mail, match: {tool: email}, decision: ALLOW, priority: 1}
  - id: only-inside
    match: {effect: send, destination: {not: {ends_with: '@acme.example'}}}
    decision: DENY
    priority: 10
  - id: never-eve
    match: {parameters: {'*': {contains: eve@partner.example}}}
    decision: DENY
    classification: forbidden
"""
)
SEND = make_profile("email.send", "send", destination="to", returns="INTERNAL")

# ------------------------------------------------------------------------- B.1 arguments that change while it is judged


def during_the_decision(monkeypatch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Have the arguments changed by another thread after interception and before the permit."""

    def measure(self: Any, *_: Any) -> Finding:
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()
        return Finding(values={"protected": False})

    monkeypatch.setattr(ProtectedResources, "measure", measure)


def test_a_list_that_another_thread_changes_during_the_decision_runs_as_it_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: list[str]) -> None:
            sent.extend(to)

        to = [INSIDE]
        during_the_decision(monkeypatch, lambda: to.append(OUTSIDE))
        send(to)

        assert (sent, to) == ([INSIDE], [INSIDE, OUTSIDE])


def test_companion_a_binding_that_passes_the_callers_own_object_sends_what_nobody_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: list[str]) -> None:
            sent.extend(to)

        to = [INSIDE]
        monkeypatch.setattr(Binding, "unbind", lambda *_: ([to], {}))
        during_the_decision(monkeypatch, lambda: to.append(OUTSIDE))
        send(to)

        assert sent == [INSIDE, OUTSIDE]


def test_an_object_nested_in_the_arguments_runs_as_it_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.send", effect="send", destination="mail.to", returns="INTERNAL")
        def send(mail: dict[str, Any]) -> None:
            sent.append(mail["to"])

        mail: dict[str, Any] = {"to": INSIDE, "more": {}}
        during_the_decision(monkeypatch, lambda: mail.update(to=OUTSIDE))
        send(mail)

        assert (sent, mail["to"]) == ([INSIDE], OUTSIDE)


def test_what_the_tool_does_to_its_arguments_does_not_reach_the_caller(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):

        @guard.tool("web.tidy", effect="read", returns="INTERNAL")
        def tidy(items: list[str]) -> None:
            items.clear()

        items = ["a"]
        tidy(items)

        assert items == ["a"]


class Turncoat(str):
    """Reads as one thing when judged and as another when run."""

    __slots__ = ()
    reads: list[str] = []

    def __str__(self) -> str:
        self.reads.append("read")
        return INSIDE if len(self.reads) == 1 else OUTSIDE

    __repr__ = __format__ = __str__  # type: ignore[assignment]


class Chameleon(dict[str, Any]):
    """Gives other items each time it is asked."""

    def items(self) -> Any:
        return {"to": OUTSIDE}.items()

    def __getitem__(self, key: str) -> Any:
        return OUTSIDE

    def get(self, key: str, default: Any = None) -> Any:
        return OUTSIDE

    def __iter__(self) -> Any:
        return iter(["to"])


@pytest.mark.parametrize("annotation", [str, Any])
def test_a_text_whose_form_changes_is_refused(tmp_path: Path, annotation: Any) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[Any] = []

        def send(to: Any) -> None:
            sent.append(to)

        send.__annotations__["to"] = annotation
        with pytest.raises(ActionDenied) as caught:
            guard.tool("email.send", effect="send", destination="to")(send)(Turncoat(INSIDE))

        assert (sent, caught.value.kind) == ([], DenialKind.STRUCTURAL)


@pytest.mark.parametrize("annotation", [dict[str, str], dict[str, Any], dict, Any])
def test_an_object_that_shows_other_items_each_time_runs_as_it_was_judged_or_is_refused(
    tmp_path: Path, annotation: Any
) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[Any] = []

        def send(mail: Any) -> None:
            sent.append(mail)

        send.__annotations__["mail"] = annotation
        governed = guard.tool("email.send", effect="send", destination="mail.to")(send)
        try:
            governed(Chameleon(to=INSIDE))
        except ActionDenied:
            assert sent == []
        else:
            assert [dict(mail) for mail in sent] == [{"to": INSIDE}]
            assert type(sent[0]) is dict


@pytest.mark.parametrize("value", [object(), {1, 2}, b"\xff", 1j, lambda: None, type])
def test_a_value_without_a_json_form_is_refused_and_the_refusal_recorded(tmp_path: Path, value: Any) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        office = Office(guard, tmp_path)
        with pytest.raises(ActionDenied) as caught:
            office.send(value)

        assert caught.value.kind is DenialKind.STRUCTURAL
        assert office.mail == []
        (refusal,) = receipts(tmp_path, "decision")
        assert refusal["decision"]["reason_code"] == "invalid_parameters"


# ------------------------------------------------------------------- B.2, B.4 permits and refusals used by another path


def decided(guard: Any, session: Any, to: str) -> Any:
    return guard.engine.decide(raw(guard, "email.send", {"to": to}, SEND), session.id)


def test_a_permit_is_good_once(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard) as session:
        engine: Engine = guard.engine
        permit = decided(guard, session, INSIDE)
        assert isinstance(permit, Permit)
        engine.redeem(permit)

        with pytest.raises(IntegrityError):
            engine.redeem(permit)
        engine.complete(permit, Output(text="", empty=True))
        with pytest.raises(IntegrityError, match="used up"):
            engine.redeem(permit)
        with pytest.raises(IntegrityError, match="reported already"):
            engine.complete(permit, Output(text="", empty=True))


def test_a_permit_that_many_threads_redeem_at_once_starts_one_action(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard) as session:
        permit = decided(guard, session, INSIDE)
        barrier = threading.Barrier(8)
        started: list[int] = []

        def redeem() -> None:
            barrier.wait()
            try:
                guard.engine.redeem(permit)
            except IntegrityError:
                return
            started.append(1)

        threads = [threading.Thread(target=redeem) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(started) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": b'{"to":"eve@partner.example"}'},
        {"operation": "delete"},
        {"session_id": "ses_other"},
        {"expires_at": 2**62},
        {"issuer": "eng_other"},
        {"action_id": "act_other"},
    ],
)
def test_a_permit_that_was_changed_starts_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard) as session:
        permit = decided(guard, session, INSIDE)

        with pytest.raises(IntegrityError):
            guard.engine.redeem(msgspec.structs.replace(permit, **change))
        guard.engine.redeem(permit)


def test_a_permit_of_another_engine_or_of_before_a_restart_starts_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard:
        session = working(guard)
        permit = decided(guard, session, INSIDE)
    with opened(tmp_path, MAIL) as again, pytest.raises(IntegrityError, match="not issued by this engine"):
        again.engine.redeem(permit)


def test_a_permit_expires(tmp_path: Path) -> None:
    # seen to fail: without the comparison with `expires_at` in Engine.redeem
    with opened(tmp_path, MAIL, config="permit_s: 0.0\n") as guard, working(guard) as session:
        permit = decided(guard, session, INSIDE)
        with pytest.raises(IntegrityError, match="expired; nothing ran"):
            guard.engine.redeem(permit)


def test_a_stored_refusal_cannot_be_redeemed_or_completed(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard) as session:
        denied = decided(guard, session, OUTSIDE)
        assert isinstance(denied, Denied)
        permit = decided(guard, session, INSIDE)
        forged = msgspec.structs.replace(permit, action_id=denied.action_id)

        for use in (guard.engine.redeem, lambda item: guard.engine.complete(item, Output(text=""))):
            with pytest.raises(IntegrityError):
                use(forged)
            with pytest.raises((IntegrityError, AttributeError)):
                use(denied)


def test_a_suspended_action_cannot_be_redeemed_or_settled(tmp_path: Path) -> None:
    policy = MAIL + "  - {id: ask, match: {tool: email}, decision: STEP_UP, approvers: [kim], priority: 20}\n"
    with opened(tmp_path, policy) as guard, working(guard):
        office = Office(guard, tmp_path)
        with pytest.raises(ActionSuspended) as caught:
            office.send(INSIDE)

        for happened in (True, False):
            with pytest.raises(IntegrityError):
                guard.settle(caught.value.action_id, happened=happened, by="agent")
        assert office.mail == []


def test_a_denied_call_stays_denied_when_it_is_tried_again_in_any_way(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        ways: list[Callable[[], Any]] = [
            lambda: office.send(OUTSIDE),
            lambda: office.send(OUTSIDE),
            lambda: office.send(to=OUTSIDE),
            lambda: session.carry(office.send)(OUTSIDE),
        ]
        for way in ways:
            with pytest.raises(ActionDenied):
                way()

        assert office.mail == []
        assert [item["decision"]["result"] for item in receipts(tmp_path, "decision")] == ["DENY"] * 4
        office.send(INSIDE)
        assert office.mail == [(INSIDE, "hello")]


# --------------------------------------------------------------------------- B.5 the protected argument, in other forms


class Address(msgspec.Struct):
    to: str = OUTSIDE


@dataclass
class Letter:
    body: str
    to: str = OUTSIDE


FULL_WIDTH = {"ｔｏ": OUTSIDE}  # written out as a keyword, Python itself would make it `to`
WAYS: dict[str, Callable[[Any], Any]] = {
    "positional": lambda send: send(OUTSIDE),
    "keyword": lambda send: send(to=OUTSIDE),
    "second": lambda send: send(INSIDE, "x", OUTSIDE),
    "keyword cc": lambda send: send(INSIDE, cc=OUTSIDE),
    "in a list": lambda send: send(INSIDE, cc=[INSIDE, OUTSIDE]),
    "deep in a list": lambda send: send(INSIDE, cc=[[[INSIDE, [OUTSIDE]]]]),
    "in an object": lambda send: send(INSIDE, cc={"a": {"b": OUTSIDE}}),
    "as a key": lambda send: send(INSIDE, cc={OUTSIDE: "x"}),
    "upper case": lambda send: send(OUTSIDE.upper()),
    "full-width": lambda send: send(INSIDE, "ｅｖｅ＠ｐａｒｔｎｅｒ．ｅｘａｍｐｌｅ"),
    "zero-width": lambda send: send(INSIDE, "eve@part\u200bner.example"),
    "reversed inside": lambda send: send(INSIDE, "\u202eeve@partner.example\u202c"),
    "extra keyword": lambda send: send(INSIDE, To=OUTSIDE),
    "extra keyword with a space": lambda send: send(INSIDE, **{" to": OUTSIDE}),
    "full-width keyword": lambda send: send(INSIDE, **FULL_WIDTH),
    "name of a keyword": lambda send: send(INSIDE, **{OUTSIDE: "x"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_on_every_parameter_sees_the_forbidden_value_wherever_it_stands(tmp_path: Path, way: str) -> None:
    # seen to fail: "as a key" and "name of a keyword" without keys in `fields.leaves`; "full-width" and
    # "zero-width" without the normal form in compile._views
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[Any] = []

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: str, body: str = "", cc: Any = None, **extra: Any) -> None:
            sent.append((to, body, cc, extra))

        with pytest.raises(ActionDenied):
            WAYS[way](send)
        assert sent == []

        def harmless(*args: Any, **named: Any) -> None:
            plain = partial(json.dumps, ensure_ascii=False)
            args = json.loads(normal_form(plain(args)).replace(OUTSIDE, INSIDE))
            named = json.loads(plain(named).replace(OUTSIDE, INSIDE))
            send(*args, **named)

        WAYS[way](harmless)
        assert len(sent) == 1


@pytest.mark.parametrize(
    ("name", "given"), [("To", {"To": OUTSIDE}), (" to", {" to": OUTSIDE}), ("left out", {}), ("null", {"to": None})]
)
def test_a_destination_that_is_left_out_or_spelt_otherwise_does_not_satisfy_a_rule(
    tmp_path: Path, name: str, given: dict[str, Any]
) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[Any] = []

        @guard.tool("email.send", effect="send", destination="mail.to", returns="INTERNAL")
        def send(mail: dict[str, Any]) -> None:
            sent.append(mail)

        with pytest.raises(ActionDenied):
            send(given)
        assert sent == []
        send({"to": INSIDE})
        assert sent == [{"to": INSIDE}]


def test_a_default_value_is_judged_as_if_it_had_been_passed(tmp_path: Path) -> None:
    # seen to fail: with `bound.apply_defaults()` and `_defaults` taken out of Binding._arguments
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.draft", effect="read", returns="INTERNAL")
        def send(to: str = OUTSIDE) -> None:
            sent.append(to)

        with pytest.raises(ActionDenied):
            send()
        send(INSIDE)

        assert sent == [INSIDE]


@pytest.mark.parametrize("given", [{"body": "x"}, {"body": "x", "to": OUTSIDE}, Letter("x"), Letter("x", OUTSIDE)])
def test_a_default_inside_a_record_is_judged_as_if_it_had_been_passed(tmp_path: Path, given: Any) -> None:
    # seen to fail: before `Binding._whole` wrote the defaults inside records out
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.send", effect="send", destination="letter.to", returns="INTERNAL")
        def send(letter: Letter) -> None:
            sent.append(letter.to)

        with pytest.raises(ActionDenied):
            send(given)
        send(Letter("x", INSIDE))
        send({"body": "y", "to": INSIDE})

        assert sent == [INSIDE, INSIDE]


def test_a_default_inside_a_struct_is_seen_by_a_forbidden_rule(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[str] = []

        @guard.tool("email.other", effect="read", returns="INTERNAL")
        def send(address: Address) -> None:
            sent.append(address.to)

        with pytest.raises(ActionDenied):
            send({})
        send(Address(to=INSIDE))

        assert sent == [INSIDE]


def test_an_argument_given_twice_is_an_error_as_in_python(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        office = Office(guard, tmp_path)
        for call in (
            lambda: office.send(INSIDE, to=OUTSIDE),
            lambda: office.send(INSIDE, extra=1),
            office.send,
        ):
            with pytest.raises(TypeError):
                call()

        assert office.mail == []


def test_an_extra_keyword_cannot_stand_for_a_parameter_or_for_the_extra_ones(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        sent: list[Any] = []

        @guard.tool("email.send", effect="send", destination="to", returns="INTERNAL")
        def send(to: str, /, **extra: Any) -> None:
            sent.append((to, extra))

        with pytest.raises(ActionDenied):
            send(INSIDE, to=OUTSIDE.replace("eve", "ann"))
        with pytest.raises(ActionDenied):
            send(INSIDE, extra={"to": "x"})
        send(INSIDE, cc="x")

        assert sent == [(INSIDE, {"cc": "x"})]


def test_a_value_of_another_type_than_declared_is_refused_before_it_is_judged(tmp_path: Path) -> None:
    with opened(tmp_path, OFFICE) as guard, working(guard):
        office = Office(guard, tmp_path)
        for amount in ("5", 5.5, True, None, [5], {"a": 5}):
            with pytest.raises(ActionDenied) as caught:
                office.pay("x", amount)
            assert caught.value.kind is DenialKind.STRUCTURAL
        office.pay("x", 5)

        assert office.payments() == [("x", 5)]


@pytest.mark.parametrize(
    "to", ["eve@p\u200bartner.example", "ｅve@partner.example", " eve@x.example", "eve@x.example\n"]
)
def test_a_destination_in_disguise_is_refused_whatever_the_rules_say(tmp_path: Path, to: str) -> None:
    with opened(tmp_path, HEAD + "rules:\n  - {id: all, decision: ALLOW}\n") as guard, working(guard):
        office = Office(guard, tmp_path)
        for given in (to, to.upper()):
            with pytest.raises(ActionDenied, match="disguise"):
                office.send(given)
        office.send("José@exämple.example")

        assert office.mail == [("José@exämple.example", "hello")]


# ---------------------------------------------------------------------- B.3, B.6 modified arguments; odd JSON


def test_what_a_rule_changed_is_judged_again_and_runs_as_it_was_judged(tmp_path: Path) -> None:
    policy = MAIL + "  - {id: all-to-eve, match: {tool: email}, decision: MODIFY, priority: 30, "
    with opened(tmp_path, policy + f"modifications: [{{parameter: to, set: '{OUTSIDE}'}}]}}\n") as guard:
        office = Office(guard, tmp_path)
        with working(guard), pytest.raises(ActionDenied):
            office.send(INSIDE)
        assert office.mail == []


def test_what_a_rule_changed_is_what_runs_and_what_the_receipt_names(tmp_path: Path) -> None:
    policy = MAIL + "  - {id: here, match: {tool: email}, decision: MODIFY, priority: 5, "
    with opened(tmp_path, policy + f"modifications: [{{parameter: to, set: '{INSIDE}'}}]}}\n") as guard:
        office = Office(guard, tmp_path)
        with working(guard):
            office.send("carl@acme.example", "x")
        assert office.mail == [(INSIDE, "x")]
    done = outcome(tmp_path)
    assert done["action"]["effective_digest"] != done["action"]["digest"]


ODD = [
    b'{"to":"bob@acme.example","to":"eve@partner.example"}',
    b'{"to":1,"t\\u006f":2}',
    b'{"a":{"to":1,"to":1}}',
    b'{"to":NaN}',
    b'{"to":Infinity}',
    b'{"to":-Infinity}',
    b'{"to":1e999}',
    b'{"to":' + b"9" * 301 + b"}",
    b'{"to":"\\ud800"}',
    b'{"\\udc00":1}',
    b'{"to":"\xed\xa0\x80"}',
    b'{"to":"\xff"}',
    b'{"to":' + b"[" * 400 + b"]" * 400 + b"}",
    b'{"to":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}",
    b'{"to":' + b"[" * 200_000,
    b'{"to":"' + b"x" * 10_000_000 + b'"}',
    b'["to"]',
    b'"to"',
    b"null",
    b"",
    b'{"to":1,}',
    b"{to:1}",
    b'{"to":01}',
    b'{"to":.5}',
    b'{"to":1}{"to":2}',
    b'\xef\xbb\xbf{"to":1}',
    b'{"to":"\x00"}',
    '{"to":1}'.encode("utf-16"),
]


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_json_that_readers_understand_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidAction):
        parse_parameters(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":{"to":1},"b":{"to":1}}',
        b'{"to":1e2,"too":1}',
        b'{"to":"\\ud83d\\ude00"}',
        b'{"to":' + b"9" * 300 + b"}",
        b'{"to":' + b"[" * 63 + b"]" * 63 + b"}",
        b'{"to":"' + b"x" * (MAX_BYTES - 9) + b'"}',
        b' {"to" : [ ] } ',
    ],
)
def test_json_that_has_one_meaning_is_read_and_comes_out_the_same(data: bytes) -> None:
    canonical = canonical_parameters(parse_parameters(data))

    assert json.loads(canonical) == json.loads(data)
    assert decode_parameters(canonical) == msgspec.json.decode(data)


COLLIDING = {1: "a", "1": "b"}
DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]


@pytest.mark.parametrize("annotation", [Any, dict, dict[str, Any], dict[str, str], dict[int, str]])
def test_keys_that_become_the_same_text_are_refused(tmp_path: Path, annotation: Any) -> None:
    # seen to fail: with `str_keys=True` in to_builtins one of the two was lost without a word
    with opened(tmp_path, MAIL) as guard, working(guard):
        ran: list[Any] = []

        def read(value: Any) -> None:
            ran.append(value)

        read.__annotations__["value"] = annotation
        governed = guard.tool("web.read", effect="read", returns="INTERNAL")(read)
        with pytest.raises(ActionDenied):
            governed(COLLIDING)
        assert ran == []

        benign = {1: "a"} if annotation == dict[int, str] else {"1": "a"}
        governed(benign)
        assert ran == [benign]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 10**400, "\ud800", {"\udfff": 1}, DEEP, "x" * 10_000_000, ["é" * 600_000]]
)
def test_values_that_json_cannot_hold_exactly_are_refused_by_the_sdk_too(tmp_path: Path, value: Any) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        ran: list[Any] = []

        @guard.tool("web.read", effect="read", returns="INTERNAL")
        def read(value: Any) -> None:
            ran.append(value)

        with pytest.raises(ActionDenied) as caught:
            read(value)

        assert (ran, caught.value.kind) == ([], DenialKind.STRUCTURAL)


@pytest.mark.parametrize(
    "value", [2**53 + 1, 2**64 + 1, -(2**70), 1e300, 5e-324, 1.0, -0.0, 0.1, 10**299, "\x00\x7f\u2028"]
)
def test_values_that_json_holds_exactly_reach_the_tool_unchanged(tmp_path: Path, value: Any) -> None:
    with opened(tmp_path) as guard, working(guard):
        ran: list[Any] = []

        @guard.tool("web.read", effect="read", returns="INTERNAL")
        def read(value: Any) -> None:
            ran.append(value)

        read(value)

        assert [(type(value), repr(value))] == [(type(item), repr(item)) for item in ran]


def test_personal_data_in_the_arguments_of_a_refused_call_does_not_stand_in_its_receipt(tmp_path: Path) -> None:
    with opened(tmp_path, MAIL) as guard, working(guard):
        office = Office(guard, tmp_path)
        with pytest.raises(ActionDenied):
            office.send(OUTSIDE, IBAN)
        with pytest.raises(ActionDenied):
            office.send(INSIDE, {IBAN})
        text = json.dumps(receipts(tmp_path))

        assert IBAN not in text
        assert OUTSIDE not in text
