"""Attack family A: the gate that does not gate. A part that fails, a way around, a receipt that cannot be written."""

from __future__ import annotations

import asyncio
import errno
import inspect
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pytest

import navicert
from navicert import ActionDenied, ActionSuspended, DenialKind
from navicert.adapters.detect.patterns import PatternClassifier
from navicert.adapters.detect.protected import ProtectedResources
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.engine.engine import Engine
from navicert.model.decision import Denied, Permit
from navicert.model.labels import WORST
from navicert.model.signals import Finding
from unit.sdk.world import HEAD, IBAN, INSIDE, OFFICE, OUTSIDE, Office, opened, raw, receipts, working

# ------------------------------------------------------------------- A.4 a part that is down, slow, raising or silent


def raises(*_: Any) -> Any:
    raise RuntimeError("the backend is down")


def dies(*_: Any) -> Any:
    raise SystemExit


def hangs(*_: Any) -> Any:
    time.sleep(0.4)
    return Finding(values={"protected": False})


def blind(*_: Any) -> Finding:
    return Finding(looked=False)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("failure", [raises, blind])
def test_an_action_waits_where_a_detector_that_a_forbidden_rule_needs_gives_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[..., Any], inline: bool
) -> None:
    monkeypatch.setattr(ProtectedResources, "measure", failure)
    monkeypatch.setattr(ProtectedResources, "inline", inline)
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        with pytest.raises(ActionSuspended, match="not known yet"):
            office.send(INSIDE)

        assert office.mail == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("failure", [hangs, dies])
def test_an_action_waits_where_a_detector_is_slow_or_dies_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[..., Any]
) -> None:
    monkeypatch.setattr(ProtectedResources, "measure", failure)
    monkeypatch.setattr(ProtectedResources, "inline", False)
    with opened(tmp_path, config="measure_s: 0.1\n") as guard, working(guard):
        office = Office(guard, tmp_path)

        with pytest.raises(ActionSuspended):
            office.send(INSIDE)

        with pytest.raises(ActionSuspended):
            asyncio.run(asyncio.to_thread(office.send, OUTSIDE))

        assert office.mail == []


@pytest.mark.parametrize("shape", [None, {"protected": False}, "fine", 0, [], object()])
def test_an_answer_of_an_unexpected_shape_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any
) -> None:
    monkeypatch.setattr(ProtectedResources, "measure", lambda *_: shape)
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        with pytest.raises(ActionDenied):
            office.send(INSIDE)

        assert office.mail == []


def test_a_detector_that_answers_does_not_hold_up_the_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProtectedResources, "inline", False)
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.send(INSIDE)

        assert office.mail == [(INSIDE, "hello")]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("failure", [raises, lambda *_: None])
def test_nothing_runs_where_the_identity_verifier_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[..., Any], inline: bool
) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        monkeypatch.setattr(DevelopmentIdentity, "verify", failure)
        monkeypatch.setattr(DevelopmentIdentity, "inline", inline)

        with pytest.raises(ActionDenied):
            office.send(INSIDE)

        assert office.mail == []


@pytest.mark.parametrize("failure", [raises, blind, lambda *_: None])
def test_a_result_that_no_classifier_could_look_at_counts_as_the_highest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[..., Any]
) -> None:
    monkeypatch.setattr(PatternClassifier, "classify", failure)
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        try:
            office.search("weather")
        except Exception:  # noqa: BLE001 - an answer of an unexpected shape may end the call; it may not clear the label
            assert office.mail == []

        assert session.labels == WORST
        with pytest.raises(ActionDenied, match="personal data"):
            office.send(OUTSIDE)


def test_a_result_that_was_looked_at_and_is_clean_keeps_its_base(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        office.search("weather")
        office.send(OUTSIDE)

        assert session.labels.words() == "INTERNAL"
        assert office.mail == [(OUTSIDE, "hello")]


def test_the_decision_point_that_raises_is_a_recorded_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        monkeypatch.setattr("navicert.engine.judging.evaluate", raises)

        with pytest.raises(ActionDenied) as caught:
            office.send(INSIDE)

        assert caught.value.kind is DenialKind.TRANSIENT
        assert caught.value.receipt_id == receipts(tmp_path, "decision")[-1]["receipt_id"]
        assert office.mail == []


# --------------------------------------------------------------------------- A.5 ways around the gate: wrapped objects


class Client:
    """A client as applications have them: other ways to the same effect, and attributes that lead inside."""

    version = "1"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.raw = self
        self.transport = Transport(self)
        self._secret = self

    def send(self, to: str) -> str:
        self.sent.append(to)
        return "sent"

    def send_batch(self, to: list[str]) -> int:
        self.sent += to
        return len(to)

    def stream(self, to: list[str]) -> Iterator[str]:
        for item in to:
            self.sent.append(item)
            yield item

    async def asend(self, to: str) -> str:
        self.sent.append(to)
        return "sent"

    async def astream(self, to: list[str]) -> AsyncIterator[str]:
        for item in to:
            self.sent.append(item)
            yield item

    def later(self, to: str) -> Any:
        return self.asend(to)

    def to(self, address: str) -> Client:
        """A fluent interface: every call gives the object itself."""
        self.sent.append(address)
        return self

    async def ato(self, address: str) -> Client:
        self.sent.append(address)
        return self

    def selves(self) -> Iterator[Client]:
        yield self

    @property
    def flush(self) -> Callable[[], None]:
        self.sent.append("by a property")
        return lambda: None

    @cached_property
    def outbox(self) -> Callable[[], None]:
        self.sent.append("by a cached property")
        return lambda: None

    def __call__(self, to: str) -> str:
        return self.send(to)


class Transport:
    """Callable, with an attribute that leads to the object that the gate stands before."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, to: str) -> str:
        return self.client.send(to)


READ = {"effect": "read", "returns": "INTERNAL"}


def drain(value: Any) -> Any:
    """Run whatever a call gave, to its end."""
    if hasattr(value, "__aiter__"):

        async def collect() -> list[Any]:
            return [item async for item in value]

        return asyncio.run(collect())
    if inspect.iscoroutine(value):
        return asyncio.run(value)
    return list(value) if hasattr(value, "__next__") else value


ALTERNATES = {
    "send_batch": ["a"],
    "stream": ["a"],
    "asend": "a",
    "astream": ["a"],
    "later": "a",
    "call": "a",
    "to": "a",
}


@pytest.mark.parametrize("method", ALTERNATES)
def test_a_method_that_nobody_declared_does_not_reach_the_wrapped_object(tmp_path: Path, method: str) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        governed = guard.wrap(client, "mail", {"send": READ})

        with pytest.raises(ActionDenied, match=f"`mail.{method}` is not declared"):
            drain(getattr(governed, method)(ALTERNATES[method]))

        assert client.sent == []
        governed.send("b")
        assert client.sent == ["b"]


@pytest.mark.parametrize("method", [method for method in ALTERNATES if method not in {"later", "to"}])
def test_a_declared_method_of_each_kind_reaches_the_wrapped_object(tmp_path: Path, method: str) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        governed = (
            guard.wrap(client, "mail", {method: READ} if method != "call" else None) if method != "call" else None
        )
        if governed is None:
            (tmp_path / ".navicert" / "policy.yaml").write_text(
                OFFICE.replace("version: 1", "version: 2") + "tools: {mail.call: {effect: read, returns: INTERNAL}}\n"
            )
            guard.reload()
            governed = guard.wrap(client, "mail")
            governed("a")
        else:
            drain(getattr(governed, method)(ALTERNATES[method]))

        assert client.sent == ["a"]


def test_calling_a_wrapped_object_is_judged_too(tmp_path: Path) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        with pytest.raises(ActionDenied, match=r"`mail\.call` is not declared"):
            guard.wrap(client, "mail")("a")

        assert client.sent == []


@pytest.mark.parametrize(
    "name", ["raw", "_secret", "version", "flush", "outbox", "__dict__", "__wrapped__", "__self__"]
)
def test_what_is_not_a_method_of_the_wrapped_object_is_not_handed_out(tmp_path: Path, name: str) -> None:
    # `raw` is callable, as the client itself is: it may be handed out governed, never bare
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        governed = guard.wrap(client, "mail", {"send": READ})

        try:
            found = getattr(governed, name)
        except AttributeError:
            found = None

        assert found is not client
        assert not hasattr(found, "sent")
        with pytest.raises((ActionDenied, TypeError)):
            found("a")
        assert client.sent == []  # looking at a property runs it: no attribute may be looked at to find out what it is


def test_a_callable_attribute_is_handed_out_without_its_own_attributes(tmp_path: Path) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        transport = guard.wrap(client, "mail").transport

        assert not hasattr(transport, "client")
        with pytest.raises(ActionDenied):
            transport("a")
        assert client.sent == []


def test_a_governed_function_does_not_lead_to_what_it_governs(tmp_path: Path) -> None:
    ran: list[str] = []

    def inner(to: str) -> None:
        ran.append(to)

    inner.func = inner.original = inner  # as decorators of frameworks leave behind
    with opened(tmp_path) as guard:
        governed = guard.tool("mail.send", effect="read")(inner)
        led = [name for name in (*dir(governed), "__wrapped__") if getattr(governed, name, None) is inner]

        assert led == []


def test_a_method_that_gives_the_wrapped_object_itself_gives_it_governed(tmp_path: Path) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        governed = guard.wrap(client, "mail", dict.fromkeys(("to", "ato", "selves"), READ))

        for given in (governed.to("a"), asyncio.run(governed.ato("b")), next(iter(drain(governed.selves())))):
            with pytest.raises(ActionDenied):
                given.send("c")

        assert client.sent == ["a", "b"]


def test_a_wrapped_object_cannot_be_changed_through_its_gate(tmp_path: Path) -> None:
    client = Client()
    with opened(tmp_path) as guard, working(guard):
        governed = guard.wrap(client, "mail", {"send": READ})

        with pytest.raises(AttributeError):
            governed.send = client.send
        with pytest.raises(AttributeError):
            del governed.send


def test_a_declared_name_that_is_no_method_is_an_error_at_once(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as guard,
        pytest.raises(ValueError, match="`sned` is declared, but is not a method of Client"),
    ):
        guard.wrap(Client(), "mail", {"sned": READ})


# ------------------------------------------------------------- A.5 ways around the gate: the kinds of callables


def test_a_plain_function_that_returns_an_awaitable_is_refused_before_it_is_awaited(tmp_path: Path) -> None:
    ran: list[str] = []

    async def work(to: str) -> None:
        ran.append(to)

    def plainly(to: str) -> Any:
        return work(to)

    with opened(tmp_path) as guard, working(guard):
        for name, plain in (("a", plainly), ("b", partial(plainly))):
            governed = guard.tool(f"mail.{name}", effect="read")(plain)

            with pytest.raises(TypeError, match="returns an awaitable"):
                drain(governed("x"))

    assert ran == []


def test_a_coroutine_function_that_is_called_but_never_awaited_does_nothing(tmp_path: Path) -> None:
    ran: list[str] = []

    async def work(to: str) -> None:
        ran.append(to)

    with opened(tmp_path) as guard, working(guard):
        guard.tool("mail.send", effect="read")(work)("x").close()
        made = len(receipts(tmp_path, "decision"))

    assert (ran, made) == ([], 0)


@pytest.mark.parametrize("kind", ["plain", "coroutine", "generator", "async generator"])
def test_every_kind_of_callable_is_denied_before_its_body_starts(tmp_path: Path, kind: str) -> None:
    # seen to fail: with any one kind in Guard._govern handed back as the function itself
    ran: list[str] = []

    def plain(to: str) -> None:
        ran.append(to)

    async def coroutine(to: str) -> None:
        ran.append(to)

    def generator(to: str) -> Iterator[str]:
        ran.append(to)
        yield to

    async def agenerator(to: str) -> AsyncIterator[str]:
        ran.append(to)
        yield to

    bodies = {"plain": plain, "coroutine": coroutine, "generator": generator, "async generator": agenerator}
    with opened(tmp_path) as guard, working(guard):
        denied = guard.tool("mail.send", effect="send")(bodies[kind])
        passed = guard.tool("mail.read", effect="read", returns="INTERNAL")(bodies[kind])

        with pytest.raises(ActionDenied, match="no rule permits this"):
            drain(denied("x"))
        assert ran == []

        drain(passed("y"))
        assert ran == ["y"]


def test_a_generator_is_judged_when_its_first_item_is_asked_for_and_on_the_arguments_of_the_call(
    tmp_path: Path,
) -> None:
    ran: list[str] = []
    with opened(tmp_path) as guard, working(guard):

        @guard.tool("mail.stream", effect="read", returns="INTERNAL")
        def stream(to: list[str]) -> Iterator[str]:
            for item in to:
                ran.append(item)
                yield item

        to = ["a"]
        items = stream(to)
        to.append("evil")

        assert (ran, list(items), ran) == (["a"], ["a"], ["a"])


# ----------------------------------------------------------------------------- A.6, A.9 crashes and unwritable receipts

CRASH = """
import os, sys, pathlib
sys.path[:0] = {path!r}
from unit.sdk.world import Office, opened, working
folder = pathlib.Path({folder!r})
with opened(folder) as guard, working(guard):
    office = Office(guard, folder)
    @guard.tool("bank.pay", effect="pay", destination="account", amount="amount", returns="INTERNAL")
    def pay(account: str, amount: int) -> str:
        if {after}:
            import sqlite3
            with sqlite3.connect(office.paid) as bank:
                bank.execute("INSERT INTO payment VALUES (?, ?)", (account, amount))
        os._exit(9)
    pay("x", 5)
"""


@pytest.mark.parametrize("after", [True, False])
def test_an_action_whose_process_was_killed_is_not_repeated_until_a_person_settles_it(
    tmp_path: Path, after: bool
) -> None:
    with opened(tmp_path):
        pass
    code = CRASH.format(path=sys.path, folder=str(tmp_path), after=after)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9

    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        (lost,) = receipts(tmp_path, "decision")

        with pytest.raises(ActionDenied, match="open already") as caught:
            office.pay("x", 5)
        assert caught.value.kind is DenialKind.TRANSIENT
        assert len(office.payments()) == after
        office.pay("x", 6)  # another action is not held up

        guard.settle(lost["action"]["id"], happened=after, by="operator")
        office.pay("x", 5)
        assert office.payments() == [("x", 5)] * after + [("x", 6), ("x", 5)]


def test_what_a_killed_process_may_have_read_counts_as_the_highest(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        session = working(first)
        permit = first.engine.decide(raw(first, "crm.read", {"name": "x"}, _reading("crm.read")), session.id)
        assert isinstance(permit, Permit)
    with opened(tmp_path) as second:
        labels = second.engine.decide(raw(second, "email.send", {"to": OUTSIDE}, _sending("email.send")), session.id)

        assert isinstance(labels, Denied)
        assert labels.rules == ("no-personal-data-out",)


def _reading(name: str) -> Any:
    return navicert.sdk.guard.make_profile(name, "read", returns="INTERNAL")


def _sending(name: str) -> Any:
    return navicert.sdk.guard.make_profile(name, "send", destination="to", returns="INTERNAL")


def test_two_engines_over_one_store_do_not_both_do_the_same_thing(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        office, twin = Office(one, tmp_path), Office(other, tmp_path)
        refused: list[str] = []

        @one.tool("bank.pay", effect="pay", destination="account", amount="amount", returns="INTERNAL")
        def pay(account: str, amount: int) -> str:
            with working(other), pytest.raises(ActionDenied) as caught:
                twin.pay("x", 5)
            refused.append(caught.value.reason)
            return "paid"

        with working(one):
            pay("x", 5)

        assert "open already" in refused[0]
        assert office.payments() == []
        with working(other):
            twin.pay("x", 5)
        assert office.payments() == [("x", 5)]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "no space left"), OSError(errno.EROFS, "read-only"), RuntimeError()]
)
def test_nothing_runs_where_the_receipt_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)

        def full(*_: Any, **__: Any) -> Any:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(guard.engine._works.journal, "enqueue", full)
            with pytest.raises(ActionDenied) as caught:
                office.pay("x", 5)

        assert (caught.value.kind, caught.value.receipt_id) == (DenialKind.TRANSIENT, None)
        assert office.payments() == []
        office.pay("x", 5)
        assert office.payments() == [("x", 5)]


def test_a_result_is_not_released_where_its_labels_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        enqueue = guard.engine._works.journal.enqueue
        calls: list[int] = []

        def full_after_the_first(*args: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise OSError(errno.ENOSPC, "no space left")
            return enqueue(*args, **named)

        with monkeypatch.context() as broken:
            broken.setattr(guard.engine._works.journal, "enqueue", full_after_the_first)
            released = None
            with pytest.raises(OSError, match="no space left"):
                released = office.customer("anna")

        assert released is None
        assert session.labels.words() == "PUBLIC"


# ----------------------------------------------------------------------------------------- the protections, taken away


def permits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the judging away: what is left when the gate does not gate."""
    monkeypatch.setattr(Engine, "mediate", lambda self, action, session, run, *_: (None, run(action.parameters)))


def test_companion_without_the_engine_these_effects_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    permits(monkeypatch)
    client = Client()
    with opened(tmp_path, policy=HEAD) as guard:
        office = Office(guard, tmp_path)
        office.send(OUTSIDE, IBAN)
        office.pay("x", 5)
        guard.wrap(client, "mail").send_batch(["a"])

        assert (office.mail, office.payments(), client.sent) == ([(OUTSIDE, IBAN)], [("x", 5)], ["a"])
