"""Attack family C.1: tool names that dodge the rules about a tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from navicert import ActionDenied
from navicert.model.decision import Denied, Permit
from unit.sdk.world import HEAD, INSIDE, Office, opened, raw, receipts, working

DECLARED = (
    HEAD.replace("declared_reads", "declared_tools")
    + """\
tools:
  email.send: {effect: send, destination: to, returns: INTERNAL}
  db.execute: {effect: execute, returns: INTERNAL}
rules:
  - {id: no-execute, match: {tool: db, operation: execute}, decision: DENY, classification: forbidden}
"""
)
VARIANTS = [
    "db.Execute",
    "DB.execute",
    "db.execute ",
    " db.execute",
    "db .execute",
    "db.execute\n",
    "db.exec\u200bute",
    "db.execute\u00ad",
    "\u202edb.execute",
    "db.\u0435xecute",
    "db.ｅｘｅｃｕｔｅ",
    "ｄｂ.execute",
    "db\uff0eexecute",
    "./db.execute",
    "../db.execute",
    "/db.execute",
    "db/execute",
    "db..execute",
    ".db.execute",
    "db.execute.",
    "db:execute",
    "db.execute\x00",
    "db.execute%20",
    "db.ex\u0065\u0301cute",
    "x.db.execute",
    "execute",
    "",
]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_of_a_declared_name_is_another_tool_and_unknown(tmp_path: Path, name: str) -> None:
    # seen to fail: with `CompiledPolicy.profile` looking the name up in normal form
    with opened(tmp_path, DECLARED) as guard, working(guard) as session:
        answer = guard.engine.decide(raw(guard, name, {"sql": "drop"}), session.id)

        assert isinstance(answer, Denied)
        assert answer.reason_code in {"unknown_tool", "engine_failed"}
        assert isinstance(guard.engine.decide(raw(guard, "email.send", {"to": INSIDE}), session.id), Permit)


def test_the_declared_name_itself_meets_its_rule(tmp_path: Path) -> None:
    with opened(tmp_path, DECLARED) as guard, working(guard) as session:
        answer = guard.engine.decide(raw(guard, "db.execute", {"sql": "drop"}), session.id)

        assert isinstance(answer, Denied)
        assert answer.rules == ("no-execute",)


def test_a_name_split_otherwise_between_tool_and_operation_meets_no_profile_of_another(tmp_path: Path) -> None:
    with opened(tmp_path, DECLARED) as guard, working(guard) as session:
        for tool, operation in (("", "db.execute"), ("db.execute", ""), ("d", "b.execute")):
            action = msgspec.structs.replace(raw(guard, "db.execute", {}), tool=tool, operation=operation)

            assert isinstance(guard.engine.decide(action, session.id), Denied)


@pytest.mark.parametrize(
    "name", [name for name in VARIANTS if name not in {"db.Execute", "DB.execute", "x.db.execute"}]
)
def test_a_tool_cannot_be_declared_under_a_name_that_is_not_in_canonical_form(tmp_path: Path, name: str) -> None:
    # seen to fail: with `check_name` taken out of Guard._govern
    with opened(tmp_path, DECLARED) as guard:
        with pytest.raises(ValueError, match=r"must be `tool\.operation`"):
            guard.tool(name, effect="read")(lambda: None)
        guard.tool("db.x-1_Y", effect="read")(lambda: None)


@pytest.mark.parametrize("name", ["db.exec\u200bute", "db.execute ", "db/execute", "db.ｅｘｅｃｕｔｅ"])
def test_a_policy_that_declares_a_disguised_name_does_not_load(tmp_path: Path, name: str) -> None:
    from navicert import PolicyError

    with pytest.raises(PolicyError), opened(tmp_path, DECLARED.replace("db.execute:", f'"{name}":')):
        pass


def test_the_name_of_the_function_and_of_the_wrapped_method_play_no_part(tmp_path: Path) -> None:
    with opened(tmp_path, DECLARED) as guard, working(guard):
        ran: list[str] = []

        class Email:
            def execute(self, sql: str) -> None:
                ran.append(sql)

        def send(sql: str) -> None:
            ran.append(sql)

        with pytest.raises(ActionDenied):
            guard.wrap(Email(), "db").execute("drop")
        with pytest.raises(ActionDenied):
            guard.tool("db.execute", effect="read")(send)("drop")
        assert ran == []

        guard.wrap(Email(), "mail", {"execute": {"effect": "read"}}).execute("x")
        assert ran == ["x"]


def test_the_word_of_the_policy_about_a_tool_wins_over_the_word_of_the_developer(tmp_path: Path) -> None:
    with opened(tmp_path, DECLARED.replace("declared_tools", "declared_reads")) as guard, working(guard):
        office = Office(guard, tmp_path)
        sent: list[str] = []

        @guard.tool("email.send", effect="read")
        def send(to: str) -> None:
            sent.append(to)

        with pytest.raises(ActionDenied, match="no rule permits this"):
            send(INSIDE)
        office.search("benign")

        assert sent == []
        assert [item["decision"]["result"] for item in receipts(tmp_path, "decision")] == ["DENY", "ALLOW"]


def test_a_parameter_named_as_a_tool_or_operation_is_a_parameter(tmp_path: Path) -> None:
    with opened(tmp_path, DECLARED) as guard, working(guard):
        ran: list[Any] = []

        @guard.tool("db.execute", effect="execute")
        def execute(**named: Any) -> None:
            ran.append(named)

        @guard.tool("db.list", effect="read", returns="INTERNAL")
        def listing(**named: Any) -> None:
            ran.append(named)

        with pytest.raises(ActionDenied):
            execute(tool="email", operation="send", name="email.send")
        assert ran == []
        listing(tool="db", operation="execute")
        assert ran == [{"tool": "db", "operation": "execute"}]
