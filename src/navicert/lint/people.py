"""Rules that ask or wait, and nobody could answer well (R4, R6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from navicert.lint.book import Book, Finding
from navicert.model.decision import Verdict
from navicert.model.policy import Rule
from navicert.syntax.policy import REQUESTER
from navicert.syntax.words import spelled

_DAY_S: Final = 86_400
_GRAVE: Final = frozenset({"high", "critical"})


def people(book: Book) -> Iterator[Finding]:
    """Find questions that are put to the wrong people, to nobody, or for too long."""
    for rule in book.policy.rules:
        if rule.decision is Verdict.STEP_UP:
            yield from _asks(book, rule)
        if rule.decision is Verdict.DEFER and not _resolved(book, rule):
            yield book.finding(
                "NV142",
                rule,
                "decision",
                "nothing can resolve what this rule defers: it asks for no fact under `facts`, and has no `approvers`",
                why=f"the action waits for `{spelled(rule.timeout_s or 0)}`, and then is DENY, always",
                write="`approvers`, a condition on a fact that stands under `facts`, or `decision: DENY`",
            )
        if rule.timeout_s is not None and rule.timeout_s > _DAY_S:
            yield book.finding(
                "NV143",
                rule,
                "timeout",
                f"what this rule holds may be released `{spelled(rule.timeout_s)}` after it was asked for",
                why="who asked has moved on, and what depends on it waits as long",
                write="`timeout: 1d` or less; nothing, where people do need the time",
            )
        if rule.authority is not None and not book.policy.supervisors:
            yield book.finding(
                "NV145",
                rule,
                "authority",
                f"this rule lowers authority to `{rule.authority.value}`, and nobody could give it back",
                why="only `supervisors` restore authority, and this policy names none",
                write="`supervisors: [NAME]` at the top level",
            )


def _asks(book: Book, rule: Rule) -> Iterator[Finding]:
    if rule.approvers == (REQUESTER,) and rule.risk in _GRAVE:
        yield book.finding(
            "NV141",
            rule,
            "approvers",
            f"only the requester is asked, at risk `{rule.risk}`",
            why="whoever has the ear of the requester, the agent first of all, has the approval as well",
            write="another person among the `approvers`",
        )
    elif rule.risk == "critical" and rule.approvals == 1:
        yield book.finding(
            "NV144",
            rule,
            "risk",
            "one approval is enough, at risk `critical`",
            why="one person who is tired or deceived lets it happen",
            write="`approvals: 2`, with enough `approvers`; nothing, where one is meant to decide",
        )


def _resolved(book: Book, rule: Rule) -> bool:
    """Tell whether people or facts could; rules that may decide together with this one count."""
    facts = {f"context.facts.{fact.name}" for fact in book.policy.facts}
    return any(
        other.approvers or any(item.field in facts for item in other.match)
        for other in (rule, *book.deciding)
        if other is rule or (other.decision is Verdict.DEFER and other.priority == rule.priority)
    )
