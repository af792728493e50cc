"""Guard: kinds of tools, the denial contract, outcomes of tools that fail, and the policy file while it runs."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import navicert
from navicert import ActionDenied, ActionSuspended, DenialKind, PolicyError, Unavailable
from navicert.engine.engine import Engine
from navicert.sdk import guard as guard_module
from unit.sdk.world import HEAD, IBAN, INSIDE, OFFICE, OUTSIDE, Office, opened, outcome, receipts, working

# ------------------------------------------------------------------------------------------------------- kinds of tools


def test_a_governed_function_keeps_name_signature_doc_and_kind(tmp_path: Path) -> None:
    def plain(to: str, *, body: str = "x") -> str:
        """What it does."""
        return to + body

    async def coroutine(to: str) -> str:
        return to

    with opened(tmp_path) as guard:
        governed = guard.tool("a.b", effect="read")(plain)

        assert (governed.__name__, governed.__doc__) == ("plain", "What it does.")
        assert inspect.signature(governed) == inspect.signature(plain)
        assert governed.__annotations__ == plain.__annotations__
        assert inspect.iscoroutinefunction(guard.tool("a.c", effect="read")(coroutine))
        assert not inspect.iscoroutinefunction(governed)


def test_a_method_is_governed_and_runs_on_its_own_object(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):

        class Notes:
            def __init__(self) -> None:
                self.kept: list[str] = []

            @guard.tool("notes.list", effect="read", returns="INTERNAL")
            def listing(self, prefix: str = "") -> list[str]:
                return [note for note in self.kept if note.startswith(prefix)]

            @guard.tool("notes.add", effect="write", returns="INTERNAL")
            def add(self, text: str) -> None:
                self.kept.append(text)

            @guard.tool("notes.alist", effect="read", returns="INTERNAL")
            async def alisting(self) -> list[str]:
                return self.kept

        one, other = Notes(), Notes()
        one.kept.append("a")
        with pytest.raises(ActionDenied):
            one.add("b")

        assert [one.listing(), one.listing("x"), other.listing(), asyncio.run(one.alisting())] == [["a"], [], [], ["a"]]


def test_static_and_class_methods_are_governed(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):

        class Tools:
            @staticmethod
            @guard.tool("a.static", effect="read", returns="INTERNAL")
            def static(value: str) -> str:
                return value

            @classmethod
            @guard.tool("a.class", effect="read", returns="INTERNAL", opaque="cls")
            def of_class(cls, value: str) -> str:
                return cls.__name__ + value

        assert [Tools.static("a"), Tools.of_class("a")] == ["a", "Toolsa"]


def test_generators_give_their_items_and_pass_on_their_errors(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):

        @guard.tool("a.items", effect="read", returns="INTERNAL")
        def items(n: int) -> Iterator[int]:
            yield from range(n)
            if n == 3:
                raise LookupError("no more")

        @guard.tool("a.aitems", effect="read", returns="INTERNAL")
        async def aitems(n: int) -> AsyncIterator[int]:
            for item in range(n):
                yield item

        async def collect() -> list[int]:
            return [item async for item in aitems(2)]

        assert [list(items(2)), asyncio.run(collect()), list(items(0))] == [[0, 1], [0, 1], []]
        with pytest.raises(LookupError, match=r"^no more$"):
            list(items(3))


def test_results_are_the_tools_own(tmp_path: Path) -> None:
    thing = {"a": [1, 2.5, None, "é"]}
    with opened(tmp_path) as guard, working(guard):
        assert guard.tool("a.b", effect="read", returns="INTERNAL")(lambda: thing)() is thing


RESULTS: list[tuple[Any, str]] = [
    (None, "PUBLIC"),
    (True, "PUBLIC"),
    ("fine", "INTERNAL"),
    (b"fine", "INTERNAL"),
    (b"\xff\xfe", "UNCLASSIFIED (counts as highest)"),
    (object(), "UNCLASSIFIED (counts as highest)"),
    (iter([IBAN]), "UNCLASSIFIED (counts as highest)"),
    ({"a": {"b": [IBAN]}}, "CONFIDENTIAL · FINANCIAL · PII"),
    ({IBAN: 1}, "CONFIDENTIAL · FINANCIAL · PII"),
    (IBAN.encode(), "CONFIDENTIAL · FINANCIAL · PII"),
]


@pytest.mark.parametrize(("value", "labels"), RESULTS, ids=range(len(RESULTS)))
def test_a_result_is_labelled_by_what_is_in_it(tmp_path: Path, value: Any, labels: str) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        guard.tool("a.b", effect="read", returns="INTERNAL")(lambda: value)()

        assert labels == session.labels.words()


def test_a_result_of_a_tool_whose_base_nobody_declared_counts_as_the_highest(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        guard.tool("a.b", effect="read")(lambda: "fine")()

        assert session.labels.everything


def test_a_result_is_released_only_after_its_labels_stand_in_the_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    complete = Engine.complete

    def watched(self: Engine, permit: Any, output: Any, **named: Any) -> Any:
        assert released == []
        labels = complete(self, permit, output, **named)
        assert self.context(permit.session_id).labels.has("PII")
        return labels

    monkeypatch.setattr(Engine, "complete", watched)
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        released.append(office.customer("anna")["name"])

    assert released == ["anna"]


# -------------------------------------------------------------------------------------------------- the denial contract


def test_a_refusal_names_its_kind_its_reason_what_next_and_its_receipt(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.customer("anna")
        with pytest.raises(ActionDenied) as caught:
            office.send(OUTSIDE)
        error = caught.value
        (receipt,) = (item for item in receipts(tmp_path, "decision") if item["decision"]["result"] == "DENY")

        assert error.kind is DenialKind.PERMISSION
        assert error.reason == "personal data must not leave"
        assert "tell the user" in error.next_step
        assert (error.action_id, error.receipt_id) == (receipt["action"]["id"], receipt["receipt_id"])
        assert str(error) == f"{error.reason}. {error.next_step} [permission · {error.action_id}]"


def test_a_suspension_is_a_refusal_that_names_its_wait(tmp_path: Path) -> None:
    policy = HEAD + "rules:\n  - {id: ask, match: {tool: email}, decision: STEP_UP, approvers: [kim]}\n"
    with opened(tmp_path, policy) as guard, working(guard):
        office = Office(guard, tmp_path)
        with pytest.raises(ActionDenied) as caught:
            office.send(INSIDE)

        assert isinstance(caught.value, ActionSuspended)
        assert caught.value.kind is DenialKind.PENDING
        assert caught.value.handle in str(caught.value)
        assert office.mail == []


SECRETIVE = (
    HEAD
    + """\
tools:
  db.query: {effect: read, amount: limit, returns: INTERNAL}
rules:
  - {id: pattern, match: {tool: a, parameters: {text: {matches: 'zanz[i]bar'}}}, decision: DENY}
  - {id: threshold, match: {tool: a, parameters: {n: {gt: 7319}}}, decision: DENY}
  - {id: listed, match: {tool: a, parameters: {text: [quixotic, xylophone]}}, decision: STEP_UP, approvers: [kim]}
  - {id: host, match: {tool: a, parameters: {text: {ends_with: '@hidden.example'}}}, decision: DEFER}
  - {id: often, match: {tool: b, rate: {per: human, above: 0, window: 4321s}}, decision: DENY}
  - {id: cap, match: {tool: db}, decision: MODIFY, modifications: [{parameter: sql, cap: 4242}]}
  - {id: unknown, match: {tool: c, context: {facts: {mode: {eq: umbrella}}}}, decision: DENY}
"""
)
HIDDEN = ["zanz", "7319", "quixotic", "xylophone", "hidden.example", "4321", "4242", "umbrella", "often", "threshold"]


def test_the_text_of_a_refusal_holds_no_pattern_threshold_or_list_of_the_rule(tmp_path: Path) -> None:
    with opened(tmp_path, SECRETIVE) as guard, working(guard):

        def tool(name: str) -> Any:
            @guard.tool(name, effect="read", returns="INTERNAL")
            def act(text: str = "", n: int = 0, sql: str = "") -> str:
                return "ran"

            return act

        tools = {name: tool(f"{name}.query") for name in ("a", "b", "c", "db")}
        texts = []
        for name, named in (
            ("a", {"text": "ZanzIbar".replace("I", "i")}),
            ("a", {"text": "zanzibar"}),
            ("a", {"n": 7320}),
            ("a", {"text": "quixoti\u200bc"}),
            ("a", {"text": "x@Hidden.example"}),
            ("b", {}),
            ("c", {}),
            ("db", {"sql": "x"}),
        ):
            with pytest.raises(ActionDenied) as caught:
                tools[name](**named)
            shown = str(caught.value)
            texts += [shown, *(shown if item not in str(named) else "" for item in HIDDEN)][:1]
        assert tools["a"](text="benign") == "ran"

    assert [word for word in HIDDEN for text in texts if word in text] == []


def test_an_unknown_tool_prints_the_profile_to_paste_and_it_works_when_pasted(tmp_path: Path) -> None:
    with opened(tmp_path, HEAD + "tools: {}\n") as guard, working(guard):

        @guard.tool("wiki.page-1.read_all")
        def read(title: str, depth: int = 1) -> str:
            return title

        with pytest.raises(ActionDenied) as caught:
            read("x")
        assert caught.value.kind is DenialKind.STRUCTURAL
        assert "its parameters: depth, title" in str(caught.value)

        pasted = caught.value.next_step.split("\n\n", 1)[1]
        policy = tmp_path / ".navicert" / "policy.yaml"
        policy.write_text(HEAD.replace("version: 1", "version: 2") + "tools:\n" + pasted)
        guard.reload()
        assert read("x") == "x"

        uncommented = re.sub(r"# (returns|destination)", r"\1", pasted).replace("NAME", "title")
        policy.write_text(HEAD.replace("version: 1", "version: 3") + "tools:\n" + uncommented)
        guard.reload()
        assert read("y") == "y"


# ------------------------------------------------------------------------------------------------- tools that fail


class Odd(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def test_what_a_tool_raises_comes_out_unchanged_and_its_outcome_names_the_type(tmp_path: Path) -> None:
    raised = Odd(7)
    with opened(tmp_path) as guard:
        with working(guard):

            @guard.tool("a.b", effect="read", returns="INTERNAL")
            def fail() -> None:
                raise raised

            with pytest.raises(Odd) as caught:
                fail()
        assert caught.value is raised
        assert caught.value.code == 7
    done = outcome(tmp_path)

    assert (done["execution"]["success"], done["execution"]["error"]) == (False, "Odd")
    assert "code 7" not in json.dumps(done)


def test_the_same_for_a_coroutine(tmp_path: Path) -> None:
    raised = Odd(8)
    with opened(tmp_path) as guard:

        @guard.tool("a.b", effect="read", returns="INTERNAL")
        async def fail() -> None:
            await asyncio.sleep(0)
            raise raised

        with working(guard), pytest.raises(Odd) as caught:
            asyncio.run(fail())
        assert caught.value is raised
    assert outcome(tmp_path)["execution"]["error"] == "Odd"


@pytest.mark.parametrize("kind", [TimeoutError, KeyboardInterrupt, asyncio.CancelledError, SystemExit])
def test_an_action_that_was_broken_off_stays_open_and_is_not_repeated(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    broken = [True]
    with opened(tmp_path, OFFICE) as guard, working(guard):
        paid: list[int] = []

        @guard.tool("bank.pay", effect="pay", returns="INTERNAL")
        def pay(amount: int) -> None:
            paid.append(amount)
            if broken:
                raise kind

        with pytest.raises(kind) as caught:
            pay(5)
        assert "whether `bank.pay` happened is not known" in "".join(caught.value.__notes__)
        broken.clear()
        with pytest.raises(ActionDenied) as again:
            pay(5)
        assert again.value.kind is DenialKind.TRANSIENT
        assert paid == [5]

        (opened_action,) = re.findall(r"settle (act_\w+)`", "".join(caught.value.__notes__))
        guard.settle(opened_action, happened=False, by="ops")
        pay(5)
        assert paid == [5, 5]


def test_a_failed_action_may_be_tried_again(tmp_path: Path) -> None:
    tries: list[int] = []
    with opened(tmp_path) as guard, working(guard):

        @guard.tool("bank.pay", effect="pay", returns="INTERNAL")
        def pay(amount: int) -> str:
            tries.append(amount)
            if len(tries) == 1:
                raise ConnectionError("refused")
            return "paid"

        with pytest.raises(ConnectionError):
            pay(5)
        assert pay(5) == "paid"


def test_every_permitted_call_leaves_a_decision_and_an_outcome(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.send(INSIDE)
        office.customer("anna")
    kinds = [(item["kind"], item["action"]["operation"]) for item in receipts(tmp_path) if "action" in item]

    assert kinds == [("decision", "send"), ("outcome", "send"), ("decision", "read"), ("outcome", "read")]
    digests = [item.get("completes") for item in receipts(tmp_path, "outcome")]
    assert len(set(digests)) == 2


# ------------------------------------------------------------------------------------------------- the policy file


def policy_file(tmp_path: Path) -> Path:
    return tmp_path / ".navicert" / "policy.yaml"


CLOSED = "policy: office\nversion: 2\nposture: deny\n"


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the file looked at before every action, and not once a second."""
    monkeypatch.setattr(guard_module, "_LOOK_S", 0.0)


@pytest.mark.usefixtures("prompt")
def test_a_changed_policy_is_taken_up_by_the_next_action(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        office.send(INSIDE)
        policy_file(tmp_path).write_text(CLOSED)
        with pytest.raises(ActionDenied):
            office.send(INSIDE)

        assert len(office.mail) == 1
        assert [item["policy"]["version"] for item in receipts(tmp_path, "policy")] == [1, 2]


@pytest.mark.usefixtures("prompt")
@pytest.mark.parametrize(
    "broken",
    [
        "",
        "policy: [",
        CLOSED + "rules: [{id: a}]\n",
        CLOSED.replace("deny", "allow"),
        "\x00",
        None,
        "policy: office\nversion: 2\n",
    ],
)
def test_a_broken_policy_leaves_the_last_good_one_and_says_so_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: str | None
) -> None:
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        if broken is None:
            policy_file(tmp_path).unlink()
        else:
            policy_file(tmp_path).write_text(broken)
        for number in range(3):
            office.send(INSIDE, str(number))
        office.customer("anna")
        with pytest.raises(ActionDenied):
            office.send(OUTSIDE)

        assert len(office.mail) == 3
        said = capfd.readouterr().err
        assert said.count("does not load, the last good one stays") == 1
        assert str(policy_file(tmp_path)) in said
        with pytest.raises(PolicyError):
            guard.reload()

        policy_file(tmp_path).write_text(CLOSED)
        with pytest.raises(ActionDenied):
            office.send(INSIDE, "mended")


@pytest.mark.usefixtures("prompt")
def test_an_older_version_does_not_come_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(tmp_path, CLOSED) as guard, working(guard):
        office = Office(guard, tmp_path)
        policy_file(tmp_path).write_text(OFFICE)
        with pytest.raises(ActionDenied):
            office.send(INSIDE)

        assert "is older than version 2" in capfd.readouterr().err
    with pytest.raises(PolicyError, match="versions only go up"):
        navicert.open(tmp_path)


@pytest.mark.usefixtures("prompt")
def test_a_policy_that_could_not_be_recorded_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: the file counted as read, and the old policy stayed in force until the file changed once more
    with opened(tmp_path) as guard, working(guard):
        office = Office(guard, tmp_path)
        policy_file(tmp_path).write_text(CLOSED)
        with monkeypatch.context() as busy:
            busy.setattr(Engine, "adopt", lambda *_: (_ for _ in ()).throw(Unavailable("the store is busy")))
            guard.refresh()
        with pytest.raises(ActionDenied):
            office.send(INSIDE)


@pytest.mark.parametrize(
    "broken", ["", "# nothing\n", "rules: []\n", "policy: office\n", CLOSED.replace("2", "zero"), None]
)
def test_a_deployment_without_a_good_policy_does_not_open(tmp_path: Path, broken: str | None) -> None:
    with opened(tmp_path):
        pass
    if broken is None:
        policy_file(tmp_path).unlink()
    else:
        policy_file(tmp_path).write_text(broken)

    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        navicert.open(tmp_path)


def test_a_folder_without_a_deployment_does_not_open(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "not there"):
        with pytest.raises(PolicyError, match="navicert init"):
            navicert.open(path)


def test_a_deployment_is_found_from_a_folder_inside_it_and_by_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / "a" / "b").mkdir(parents=True)
    navicert.open(tmp_path / "a" / "b").close()
    navicert.open(tmp_path / ".navicert").close()
    navicert.open(str(tmp_path)).close()
    monkeypatch.chdir(tmp_path / "a")
    navicert.open().close()


def test_nothing_of_a_call_is_judged_after_the_guard_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        session = working(guard)
    with pytest.raises((ActionDenied, navicert.NavicertError)):
        session.carry(office.send)(INSIDE)

    assert office.mail == []
    assert os.path.exists(policy_file(tmp_path))  # noqa: PTH110 - the deployment itself is untouched
