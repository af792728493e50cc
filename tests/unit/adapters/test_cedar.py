"""The loader of Cedar policies, and the request that they are asked: what is refused, and where it says it is."""

from __future__ import annotations

import builtins
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cedarpy
import pytest

import navicert
from navicert.adapters.detect.cedar import CedarForbids
from navicert.assemble import make_home
from navicert.cli.status import describe_status
from navicert.config import read_config
from navicert.core.builtin import cedar_signal
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.doctor.home import _policy
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.errors import PolicyError, Unavailable
from navicert.model.identity import Claims

ANY = "forbid (principal, action, resource)"
PROFILE = ToolProfile(
    tool="bank.pay",
    effect=Effect.PAY,
    categories=("money",),
    destination=("to",),
    resource=("a.b",),
    amount=("amount",),
)


def measured(text: str, parameters: dict[str, Any], **changes: Any) -> Any:
    """Return what the policies say of one action."""
    data = parameter_bytes(parameters)
    action = Action(
        action_id="act_1",
        tool="bank",
        operation="pay",
        parameters=data,
        digest=action_digest("bank", "pay", data),
        submitted_at=1,
        profile=PROFILE,
    )
    claims = Claims(**{"human": "ana", "agent": "bot", "roles": ("clerk",)} | changes)
    context = SessionContext(session_id="ses_1", request="r", claims=claims, salt="s", started_at=1, last_at=1)
    forbids = CedarForbids(text, "f.cedar")
    finding = forbids.measure(action, parameters, context)
    assert tuple(finding.values) == forbids.signals
    return finding.values[cedar_signal(forbids.digest)], finding.values["cedar_policies"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("permit (principal, action, resource);", "f.cedar:1:1", "only `forbid` is taken"),
        (f'{ANY};\n\n  permit (principal == A::"a", action, resource);', "f.cedar:3:3", "only `forbid` is taken"),
        (f'{ANY} when {{ "a;b" == "c" }}; permit (principal, action, resource);', "f.cedar:1:61", "only `forbid`"),
        ("forbid (principal == ?principal, action, resource);", "f.cedar:1:1", "a template forbids nothing"),
        (f"{ANY};\n{ANY} when {{ context.a == 1", "f.cedar:2:1", "unexpected end of input"),
        (f"{ANY};\n{ANY} wen {{ true }};\n{ANY};", "f.cedar:2:1", "no Cedar policy"),
        (f"{ANY} when {{ foo(1) }};", "f.cedar:1:1", "`foo` is not a valid function"),
        (f"{ANY} when {{ 0 == 0{' + 1' * 10_000} }};", "f.cedar:1:1", "recursion"),
        (f"{ANY} when {{ 9223372036854775808 == 0 }};", "f.cedar:1:1", "no Cedar policy"),
        ("", "f.cedar", "holds no policy"),
        ("// a; b\n", "f.cedar", "holds no policy"),
    ],
)
def test_anything_but_forbid_policies_is_refused_with_its_place(text: str, place: str, what: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        CedarForbids(text, "f.cedar")

    assert str(refusal.value).startswith(f"{place}: ")
    assert what in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_policies_are_named_by_their_id_or_their_line() -> None:
    rows = [f'// {number}; note\n@id("p{number}")\n{ANY} when {{ "x;" == "x;" }};' for number in range(12)]

    forbids, names = measured("\n".join([*rows, f"{ANY};"]), {})

    assert forbids is True
    assert set(names) == {*(f"p{number}" for number in range(12)), "line 37"}


def test_what_cannot_be_evaluated_is_named_and_no_argument_is_told() -> None:
    dated = 'datetime(context.parameters.day) < datetime("2026-01-01")'
    text = f'{ANY} when {{ false }};\n@id("dated") {ANY} when {{ {dated} }};'
    with pytest.raises(Unavailable) as refusal:
        measured(text, {"day": "a secret"})

    assert str(refusal.value) == "cedar: dated could not be evaluated"


@pytest.mark.parametrize(
    "condition",
    [
        'principal == Agent::"bot" && principal in Human::"ana" && principal in Role::"clerk"',
        'action == Action::"bank.pay" && action in Action::"pay"',
        'resource == Tool::"bank" && resource in Category::"money"',
        'context.identity == {human: "ana", agent: "bot", roles: ["clerk"]}',
        'context.parameters.to == "x" && context.parameters.flag == true && !(context.parameters has none)',
        'context.destination == ["x"] && context.resource == ["y"]',
        'context.amount == decimal("12.5") && context.parameters.amount == decimal("12.5000")',
        "context.parameters.whole == 3 && context.parameters.list == [1, 2]",
        "context.parameters.least == -9223372036854775808",
        'context.parameters.big == Number::"9223372036854775808"',
        'context.parameters.fine == Number::"0.00001" && context.parameters.fine != decimal("0.0000")',
        'context.parameters.huge is Number && context.parameters.below == decimal("-0.0001")',
    ],
)
def test_the_request_is_as_the_page_says(condition: str) -> None:
    given = {
        "to": "x", "a": {"b": "y"}, "amount": 12.5, "flag": True, "none": None, "whole": 3.0, "list": [1, None, 2],
        "least": -(2**63), "big": 2**63, "fine": 0.00001, "huge": 1e300, "below": -0.0001,
    }  # fmt: skip

    assert measured(f"{ANY} when {{ {condition} }};", given)[0] is True
    assert measured(f"{ANY} unless {{ {condition} }};", given)[0] is False


def test_roles_that_a_tool_does_not_play_are_empty_and_its_amount_is_absent() -> None:
    assert measured(f"{ANY} when {{ context.destination.isEmpty() && context.resource.isEmpty() }};", {})[0] is True
    assert measured(f"{ANY} when {{ context has amount }};", {"to": "x"})[0] is False


@pytest.mark.parametrize("changes", [{"human": None}, {"agent": ""}])
def test_nobody_cannot_be_asked_about(changes: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="nobody is named"):
        measured(f"{ANY};", {}, **changes)


def test_without_the_library_nothing_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "cedarpy":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PolicyError, match=r"install `navicert\[cedar\]`"):
        CedarForbids(f"{ANY};", "f.cedar")


@pytest.mark.parametrize("diagnostics", [{"reasons": ["policy1"], "errors": []}])
def test_a_library_that_keeps_errors_to_itself_is_not_used(
    monkeypatch: pytest.MonkeyPatch, diagnostics: dict[str, Any]
) -> None:
    silent = SimpleNamespace(decision=cedarpy.Decision.Allow, diagnostics=SimpleNamespace(**diagnostics))
    monkeypatch.setattr(cedarpy, "is_authorized", lambda *_: silent)
    with pytest.raises(PolicyError, match="does not report what fails"):
        CedarForbids(f"{ANY};", "f.cedar")


# -------------------------------------------------------------------------------------------------------- configuration


def home_with(folder: Path, config: str, cedar: str | None) -> Any:
    home = make_home(folder / ".navicert", origin="tests", service="bank")
    home.config.write_text(home.config.read_text() + config)
    if cedar is not None:
        (home.folder / "forbids.cedar").write_text(cedar)
    return home


@pytest.mark.parametrize("cedar", [None, "permit (principal, action, resource);"])
def test_nothing_starts_where_the_configured_file_is_missing_or_broken(tmp_path: Path, cedar: str | None) -> None:
    home = home_with(tmp_path, "cedar: forbids.cedar\n", cedar)

    with pytest.raises(PolicyError, match=r"forbids\.cedar"):
        navicert.open(tmp_path)
    assert [item.level for item in _policy(home, read_config(home.folder))] == ["error"]


def test_status_and_doctor_show_the_policy_set_that_is_in_force(tmp_path: Path) -> None:
    # seen to fail: with `load_policy(path)` alone in cli/status.py
    home = home_with(tmp_path, "cedar: forbids.cedar\n", f"{ANY};")
    navicert.open(tmp_path).close()

    document = describe_status(home, read_config(home.folder))

    assert document["policy"]["hash"] == document["in_force"]["hash"]
    assert document["policy"]["rules"] == 0
    assert [item.level for item in _policy(home, read_config(home.folder))] == ["ok"]
