"""The denial contract: every refusal has a kind and a next step, and an unknown tool a profile that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import navicert
from navicert.core.denial import BEFOREHAND, REASON_CODES, contract, profile_to_paste
from navicert.model.action import Action, Effect
from navicert.model.errors import ActionDenied, ActionSuspended, DenialKind
from navicert.syntax import read_policy

SOURCE = Path(navicert.__file__).parent
FILES = [SOURCE / "core/evaluate.py", *sorted((SOURCE / "engine").glob("*.py"))]
SAID = r'(?:_deny|_?denied|forced|refusal)\(\s*(?:action, )?"(\w+)"|"(\w+_timeout)"'
CODES = [first or chosen for file in FILES for first, chosen in re.findall(SAID, file.read_text())]


@pytest.mark.parametrize("code", sorted({*CODES, *BEFOREHAND, "rule", "posture", "authority_suspended"}))
def test_every_code_that_a_refusal_can_have_has_a_kind_and_a_next_step(code: str) -> None:
    kind, following = contract(code)

    assert kind in DenialKind
    assert kind is not DenialKind.PENDING
    assert following
    assert following == following.strip().rstrip(".")
    assert following[0].islower()


def test_the_codes_above_were_found() -> None:
    deciding = {"unknown_tool", "out_of_scope", "engine_failed", "no_session"}
    waiting = {"approval_denied", "approval_timeout", "deferral_timeout", "no_wait", "wait_over", "cascade_limit"}
    assert deciding | waiting <= set(CODES)


def test_a_code_that_no_refusal_has_is_an_error() -> None:
    with pytest.raises(KeyError):
        contract("nonsense")


def action(name: str) -> Action:
    tool, _, operation = name.rpartition(".")
    return Action(action_id="a", tool=tool, operation=operation, parameters=b"{}", digest="", submitted_at=0)


@pytest.mark.parametrize("name", ["email.send", "a.b.c", "x-1.y_Z", "1.2", "true.false", "null.null"])
@pytest.mark.parametrize(
    "names", [(), ("to",), ("to", "body", "ünïcode", "a: b", "#", "x\n  evil.tool: {effect: read}", "\u2028", "%")]
)
def test_the_profile_to_paste_loads_and_declares_the_tool(name: str, names: tuple[str, ...]) -> None:
    pasted = profile_to_paste(action(name), names).split("\n\n", 1)[1]
    policy, _ = read_policy(f"policy: p\nversion: 1\nposture: deny\ntools:\n{pasted}")

    assert [(item.tool, item.effect, item.returns) for item in policy.tools] == [(name, Effect.READ, None)]


def test_the_text_of_a_refusal_has_reason_next_step_kind_and_id_and_nothing_else() -> None:
    denied = ActionDenied(
        kind=DenialKind.PERMISSION, reason="no", next_step="stop", action_id="act_1", receipt_id="rcp_1"
    )
    waits = ActionSuspended(
        reason="ask",
        next_step="wait",
        action_id="act_2",
        receipt_id="rcp_2",
        handle="wait_1",
        verdict="STEP_UP",
        deadline=5,
    )

    assert str(denied) == "no. stop [permission · act_1]"
    assert str(waits) == "ask. wait [pending · act_2]"
    assert isinstance(waits, ActionDenied)
    assert (waits.kind, waits.handle, waits.receipt_id) == (DenialKind.PENDING, "wait_1", "rcp_2")


def test_the_closed_list_of_codes_is_the_documented_one() -> None:
    page = (SOURCE.parents[1] / "docs" / "reference" / "denials.md").read_text(encoding="utf-8")
    section = page.partition("\n## Reason codes\n")[2].partition("\n## ")[0]
    tables, _, permitted = section.partition("With ALLOW and MODIFY: ")
    codes = {*re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE), *re.findall(r"`([a-z_]+)`", permitted)}

    assert codes == REASON_CODES
