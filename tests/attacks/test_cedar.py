"""Cedar policies as hard constraints: what they forbid does not happen, and what cannot be evaluated does not either.

Cedar skips a policy that fails and answers as if it were not there. Every kind of failure is tried here before a real
home with the real library, and each time that library itself would have said `Allow`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cedarpy
import pytest

import navicert
from navicert import ActionDenied, ActionSuspended
from navicert.adapters.store.archive import receipt_of
from navicert.assemble import Home, load_cedar, load_policy, make_home
from navicert.audit import audit, open_archive
from navicert.people import control

POLICY = "policy: bank\nversion: 1\nposture: declared_tools\nrules: []\n"
FORBID = '@id("inside")\nforbid (principal, action == Action::"bank.pay", resource)\n'
ABROAD = FORBID + 'when { context.parameters.to like "*.example.com" };\n'


class Bank:
    """A bank whose payments can be counted."""

    def __init__(self, guard: navicert.Guard) -> None:
        self.paid: list[str] = []
        self.guard = guard

        @guard.tool("bank.pay", effect="pay", destination="to", amount="amount", returns="INTERNAL")
        def pay(to: str, amount: Any = 1, memo: Any = None) -> None:
            self.paid.append(to)

        self.pay = pay


@contextmanager
def opened(folder: Path, cedar: str, config: str = "") -> Iterator[Bank]:
    made = make_home(folder / ".navicert", origin="tests", service="bank", policy=POLICY)
    (made.folder / "forbids.cedar").write_text(cedar)
    made.config.write_text(f"{made.config.read_text()}cedar: forbids.cedar\nin_band_s: 0\n{config}")
    with navicert.open(folder) as guard, guard.session(request="pay", human="ana", agent="bot", roles=("clerk",)):
        yield Bank(guard)


def refused(bank: Bank, *arguments: Any, **named: Any) -> ActionDenied:
    """Return the refusal of a payment that was not made."""
    before = len(bank.paid)
    with pytest.raises(ActionDenied) as refusal:
        bank.pay(*arguments, **named)
    assert len(bank.paid) == before
    return refusal.value


# ---------------------------------------------------------------------------------------------------- what is forbidden


def test_what_a_cedar_policy_forbids_is_denied_and_what_it_does_not_passes(tmp_path: Path) -> None:
    # seen to fail: with `navicert.cedar` left out of core.builtin.with_builtin
    with opened(tmp_path, ABROAD) as bank:
        refusal = refused(bank, "shop.example.com")
        bank.pay("shop.example.org")

        assert (refusal.reason, refusal.rules) == ("a Cedar policy forbids this", ("navicert.cedar",))
        assert not isinstance(refusal, ActionSuspended)
        assert bank.paid == ["shop.example.org"]
    home = Home(tmp_path / ".navicert")
    with open_archive(home) as archive:
        (row,) = archive.find(str(refusal.receipt_id))
        receipt = receipt_of(row)
        told = archive.disclosed(row)
    assert receipt.decision is not None
    assert (receipt.decision.result, receipt.decision.rules) == ("DENY", ("navicert.cedar",))
    evaluated: Any = told["/decision/evaluated"]
    assert evaluated["signals"]["values"]["cedar_policies"] == ["inside"]
    audit(home.folder)


WHO = {
    "agent": 'principal == Agent::"bot"',
    "human": 'principal in Human::"ana"',
    "role": 'principal in Role::"clerk"',
}


@pytest.mark.parametrize("scope", WHO.values(), ids=WHO)
@pytest.mark.parametrize("twin", [False, True])
def test_a_policy_concerns_an_agent_its_human_and_its_roles_and_nobody_else(
    tmp_path: Path, scope: str, twin: bool
) -> None:
    who = scope.replace('::"', '::"other ') if twin else scope
    with opened(tmp_path, f"forbid ({who}, action, resource);") as bank:
        if twin:
            bank.pay("shop")
        else:
            assert refused(bank, "shop").rules == ("navicert.cedar",)


@pytest.mark.parametrize(
    ("condition", "forbidden", "passing"),
    [
        ("context.parameters.amount > 100", {"amount": 101}, {"amount": 100}),
        ("context.parameters.amount == 100", {"amount": 100.0}, {"amount": 101.0}),
        ("context.parameters has memo", {"memo": "x"}, {"memo": None}),
        ("context.parameters has memo", {"memo": 2**70}, {}),
        ("context.parameters has memo", {"memo": 0.123456}, {}),
        ('context.amount.greaterThan(decimal("99.5"))', {"amount": 99.51}, {"amount": 99}),
        ('context.destination.contains("eve") || context has amount && false', {"to": "eve"}, {"to": "bob"}),
        ("context.parameters has memo && context.parameters.memo.contains(7)", {"memo": [1, 7]}, {"memo": [1, None]}),
        ('context.identity.human like "an*" && context.parameters.amount == 7', {"amount": 7}, {"amount": 8}),
    ],
)
def test_a_condition_sees_the_arguments_as_they_run(
    tmp_path: Path, condition: str, forbidden: dict[str, Any], passing: dict[str, Any]
) -> None:
    with opened(tmp_path, f"{FORBID}when {{ {condition} }};") as bank:
        assert refused(bank, **{"to": "shop"} | forbidden).rules == ("navicert.cedar",)
        bank.pay(**{"to": "shop"} | passing)


# -------------------------------------------------------------------------------------------------- what cannot be told

MEMO = "context.parameters.memo"
FAILURES: dict[str, tuple[str, Any]] = {
    "attribute missing": ("context.parameters.limit > 5", "x"),
    "attribute of a missing role": ("context.parameters.a.b.c", "x"),
    "null": (f"{MEMO} > 5", None),
    "text for a number": (f"{MEMO} > 5", "6"),
    "number for a text": (f'{MEMO} like "x*"', 6),
    "list for a number": (f"{MEMO} > 5", [6]),
    "object for a text": (f'{MEMO} like "x*"', {"a": "x"}),
    "no boolean": (f"{MEMO} && true", "x"),
    "overflow": (f"{MEMO} * 9223372036854775807 > 5", 2),
    "overflow of minus": (f"-{MEMO} > 5", -(2**63)),
    "integer beyond 64 bits": (f"{MEMO} > 5", 2**63),
    "fraction for an integer": (f"{MEMO} > 5", 5.5),
    "fraction beyond four places": (f'{MEMO}.greaterThan(decimal("0.1"))', 0.123456),
    "huge": (f'{MEMO}.greaterThan(decimal("0.1"))', 1e300),
    "no decimal": (f'decimal({MEMO}) == decimal("1.0")', "zz"),
    "no address": (f"ip({MEMO}).isLoopback()", "localhost"),
    "no date": (f'datetime({MEMO}) < datetime("2026-01-01")', "soon"),
    "unknown entity": ('Team::"a".size > 5', "x"),
    "unknown tag": ('principal.getTag("x") == 1', "x"),
    "attribute of the agent": ("principal.level > 5", "x"),
    "labels, which are not told": ('context.labels.contains("PII")', "x"),
}
"""Name → a condition, and the memo at which it cannot be evaluated."""


@pytest.mark.parametrize(("condition", "memo"), FAILURES.values(), ids=FAILURES)
def test_a_policy_that_cannot_be_evaluated_permits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, condition: str, memo: Any
) -> None:
    # seen to fail: with `and errors == []` taken out of adapters.detect.cedar
    said: list[Any] = []
    ask = cedarpy.is_authorized

    def asked(*given: Any) -> Any:
        said.append(ask(*given))
        return said[-1]

    idle = "forbid (principal, action, resource) when { false };"
    with opened(tmp_path, f"{FORBID}when {{ {condition} }};\n{idle}") as bank:
        monkeypatch.setattr(cedarpy, "is_authorized", asked)
        refusal = refused(bank, "shop", memo=memo)

        assert (refusal.reason_code, refusal.rules) == ("forbidden_undetermined", ("navicert.cedar",))
        assert [answer.decision for answer in said] == [cedarpy.Decision.Allow]


@pytest.mark.parametrize(("condition", "memo"), FAILURES.values(), ids=FAILURES)
def test_what_fails_beside_a_policy_that_forbids_changes_nothing(tmp_path: Path, condition: str, memo: Any) -> None:
    with opened(tmp_path, f"{FORBID}when {{ {condition} }};\n{FORBID};") as bank:
        assert refused(bank, "shop", memo=memo).reason == "a Cedar policy forbids this"


@pytest.mark.parametrize("key", ["__entity", "__extn", "__expr"])
def test_an_argument_cannot_pose_as_an_entity_or_a_number_of_cedar(tmp_path: Path, key: str) -> None:
    # seen to fail: without `_ESCAPES` (`__entity` passes)
    posing = {"__entity": {"type": "A", "id": "b"}, "__extn": {"fn": "decimal", "arg": "1.0"}, "__expr": "1"}
    with opened(tmp_path, f'{FORBID}when {{ {MEMO} has a && {MEMO}.a == "x" }};') as bank:
        for memo in ({key: posing[key]}, {"deep": [{key: posing[key]}]}, {key: posing[key], "a": "x"}):
            assert refused(bank, "shop", memo=memo).reason_code == "forbidden_undetermined"
        bank.pay("shop", memo={f"{key}s": "ordinary"})


@pytest.mark.parametrize("amount", ["12", -1, True])
def test_an_amount_that_is_no_number_permits_nothing(tmp_path: Path, amount: Any) -> None:
    with opened(tmp_path, f'{FORBID}when {{ context has amount && context.amount.lessThan(decimal("0.0")) }};') as bank:
        assert refused(bank, "shop", amount).reason_code == "forbidden_undetermined"


def answer(decision: Any, **diagnostics: Any) -> Any:
    known = {"reasons": ["policy1"], "errors": []} | diagnostics
    return SimpleNamespace(decision=decision, diagnostics=SimpleNamespace(**known))


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


ALLOW, DENY = cedarpy.Decision.Allow, cedarpy.Decision.Deny
ODD: dict[str, Callable[..., Any]] = {
    "raises": failing(ValueError("no")),
    "runs out of memory": failing(MemoryError()),
    "nothing": lambda *_: None,
    "a bare true": lambda *_: True,
    "no decision": lambda *_: answer(cedarpy.Decision.NoDecision),
    "a word": lambda *_: answer("Allow"),
    "no diagnostics": lambda *_: SimpleNamespace(decision=ALLOW),
    "no reason": lambda *_: answer(ALLOW, reasons=[]),
    "another reason": lambda *_: answer(ALLOW, reasons=["policy0"]),
    "one reason more": lambda *_: answer(ALLOW, reasons=["policy1", "policy2"]),
    "an error": lambda *_: answer(ALLOW, errors=["error while evaluating policy `policy0`"]),
    "errors unknown": lambda *_: answer(ALLOW, errors=None),
    "deny without a reason": lambda *_: answer(DENY, reasons=[]),
    "deny by nobody": lambda *_: answer(DENY, reasons=["policy9"]),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_answer_that_is_not_as_expected_permits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: Callable[..., Any]
) -> None:
    with opened(tmp_path, ABROAD) as bank:
        monkeypatch.setattr(cedarpy, "is_authorized", odd)
        assert refused(bank, "shop").reason_code == "forbidden_undetermined"
        monkeypatch.setattr(cedarpy, "is_authorized", lambda *_: answer(ALLOW))
        bank.pay("inn")  # the answer that is expected, by the same road


def test_an_answer_that_does_not_come_permits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: with `inline = True`
    come = threading.Event()

    def slow(*_: Any) -> Any:
        come.wait(60)
        return answer(ALLOW)

    with opened(tmp_path, ABROAD, "measure_s: 0.3\n") as bank:
        monkeypatch.setattr(cedarpy, "is_authorized", slow)
        try:
            assert refused(bank, "shop").reason_code == "forbidden_undetermined"
        finally:
            come.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_library_that_panics_permits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicError(BaseException):
        """As pyo3 raises it: no `Exception`."""

    with opened(tmp_path, ABROAD) as bank:
        monkeypatch.setattr(cedarpy, "is_authorized", failing(PanicError()))
        assert refused(bank, "shop").reason_code == "forbidden_undetermined"


# ------------------------------------------------------------------------------------------------------- other policies


def test_a_changed_file_is_taken_up_and_is_another_policy_set(tmp_path: Path) -> None:
    with opened(tmp_path, ABROAD) as bank:
        engine: Any = bank.guard.deployment.engine
        before = engine._works.policy.hash
        (tmp_path / ".navicert" / "forbids.cedar").write_text(ABROAD.replace(".com", ".org"))
        assert bank.guard.deployment.policy_changed()
        bank.guard.reload()

        assert refused(bank, "shop.example.org").reason == "a Cedar policy forbids this"
        bank.pay("shop.example.com")
        assert engine._works.policy.hash != before


@pytest.mark.parametrize("broken", ["", "// nothing\n", "permit (principal, action, resource);", "forbid (", None])
def test_a_broken_file_leaves_the_last_good_one_in_force_and_says_so(tmp_path: Path, broken: str | None) -> None:
    path = tmp_path / ".navicert" / "forbids.cedar"
    with opened(tmp_path, ABROAD) as bank:
        path.unlink() if broken is None else path.write_text(broken)
        with pytest.raises(navicert.PolicyError, match=r"forbids\.cedar"):
            bank.guard.reload()

        assert refused(bank, "shop.example.com").rules == ("navicert.cedar",)
        bank.pay("shop.example.org")
    with pytest.raises(navicert.PolicyError, match=r"forbids\.cedar"):
        navicert.open(tmp_path)
    with control(Home(tmp_path / ".navicert")) as engine:  # a broken file does not keep people out
        assert engine is not None


def test_what_one_file_measured_never_answers_the_rule_of_another(tmp_path: Path) -> None:
    # seen to fail: with a signal whose name does not bear the digest
    with opened(tmp_path, ABROAD) as bank:
        deployment: Any = bank.guard.deployment
        (tmp_path / ".navicert" / "forbids.cedar").write_text(f"{FORBID};")
        home = tmp_path / ".navicert"
        newer = load_cedar(home, deployment.config)
        deployment.engine.adopt(*load_policy(home / "policy.yaml", newer))
        deployment._stamp = deployment._stamps()

        assert refused(bank, "shop.example.org").reason_code == "forbidden_undetermined"


def test_the_governed_do_not_write_the_cedar_policies(tmp_path: Path) -> None:
    other = tmp_path / "policies"
    other.mkdir()
    (other / "forbids.cedar").write_text(ABROAD)
    made = make_home(tmp_path / ".navicert", origin="tests", service="bank", policy=POLICY)
    made.config.write_text(f"{made.config.read_text()}cedar: {other / 'forbids.cedar'}\n")
    with navicert.open(tmp_path) as guard, guard.session(request="pay", human="ana", agent="bot"):

        @guard.tool("file.write", effect="write", resource="path", content="text", returns="INTERNAL")
        def write(path: str, text: str) -> None:
            Path(path).write_text(text)

        with pytest.raises(ActionDenied, match="protected"):
            write(str(other / "forbids.cedar"), f"{FORBID};")
        write(str(other / "notes.txt"), "ordinary")
