"""The inbox: what waits for a person or a fact, the riskiest first, then what ends first (R4.a)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from navicert.asking.question import grounds, leaves, runs, source
from navicert.core.answers import hear
from navicert.core.inert import brief
from navicert.core.times import rfc3339
from navicert.people import asked

if TYPE_CHECKING:
    from navicert.model.action import ToolProfile
    from navicert.model.suspension import Wait
    from navicert.people import Seen

_SHOWN: Final = 3
RISKS: Final = ("critical", "high", "medium", "low")


def inbox(seen: Seen, now: int, name: str | None = None) -> list[dict[str, Any]]:
    """Return what waits, the riskiest first, then what ends first; name: only what this person may answer."""
    found = [row(wait, seen, now) for wait in seen.waits if wait.question.deadline > now]
    found = [item for item in found if name is None or name in item["asked"]]
    return sorted(found, key=lambda item: (_place(item["risk"]), item["deadline"]))


def _place(risk: str) -> int:
    return RISKS.index(risk) if risk in RISKS else 0


def row(wait: Wait, seen: Seen, now: int) -> dict[str, Any]:
    """Return one wait in short, as `--json` shows it."""
    question = wait.question
    heard = hear(question, wait.votes, seen.approvers, now).heard
    people = [question.human] if question.facts and question.verdict.value == "DEFER" else list(asked(question, now))
    return {
        "handle": wait.handle,
        "action_id": wait.action.action_id,
        "name": wait.action.name,
        "with": _leading(wait, grounds(seen.archive, wait).profile),
        "verdict": question.verdict.value,
        "digest": question.digest,
        "risk": wait.risk,
        "source": source(wait),
        "escalated": wait.escalated or wait.reason_code == "escalated",
        "human": question.human,
        "agent": wait.identity.agent,
        "asked": people,
        "answers": [{"approver": item.statement.approver, "answer": item.statement.answer.value} for item in heard],
        "approvals": question.approvals,
        "asks": dict(question.facts),
        "deadline": rfc3339(question.deadline),
        "reason": wait.reason,
    }


def _leading(wait: Wait, profile: ToolProfile | None) -> str:
    """Return the first parameters that would run, as text that is not yet inert: of weighty roles first."""
    order = {"amount": 0, "destination": 1, "resource": 2, "": 3, "content": 4}
    found = sorted(leaves(runs(wait), profile), key=lambda leaf: order[leaf.role])
    more = ", …" if len(found) > _SHOWN else ""
    return ", ".join(f"{brief(leaf.path, 48)}: {brief(leaf.text, 48)}" for leaf in found[:_SHOWN]) + more
