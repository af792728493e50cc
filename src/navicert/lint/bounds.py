"""What is permitted without a bound (R3.a, T4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from navicert.lint.book import Book, Finding, full_names, shown
from navicert.model.action import Effect
from navicert.model.decision import Verdict
from navicert.model.policy import Posture, Rule

_OF_THE_TOOL: Final = frozenset({"tool", "operation", "effect", "category"})


def bounds(book: Book) -> Iterator[Finding]:
    """Find rules that permit every call of what changes the world, with no rule over them; and the widest posture."""
    if book.policy.posture is Posture.DECLARED_TOOLS:
        yield book.finding(
            "NV123",
            None,
            "posture",
            "every declared tool passes where no rule matches",
            why="a tool that somebody declares tomorrow is permitted before anybody has thought about it",
            write="`posture: declared_reads` or `deny`, and a rule for what should pass; nothing, while you observe",
        )
    for rule in book.deciding:
        if rule.decision is Verdict.ALLOW and _unbounded(book, rule) and not book.over(rule):
            yield from _wide(book, rule)


def _unbounded(book: Book, rule: Rule) -> bool:
    bounded = rule.tallies or rule.after or rule.constraints or rule.limits or _labelled(book, rule)
    return not bounded and all(item.field in _OF_THE_TOOL for item in rule.match)


def _labelled(book: Book, rule: Rule) -> bool:
    """Tell whether a limit on labels stands over all that the rule permits, and that is nothing but sending."""
    tools = [book.profiles.get(name) for name in full_names(rule)]
    return bool(tools) and all(
        item is not None
        and item.effect is Effect.SEND
        and (item.accepts is not None or (item.destination and book.policy.destinations))
        for item in tools
    )


def _wide(book: Book, rule: Rule) -> Iterator[Finding]:
    effects = book.effects(rule)
    if effects <= {Effect.READ}:
        return
    known = full_names(rule) and full_names(rule) <= book.profiles.keys()
    acting = shown(effect.value for effect in effects - {Effect.READ})
    if known or Effect.READ not in effects:
        yield book.finding(
            "NV121",
            rule,
            "decision",
            f"this rule permits every call with the effect {acting}, whatever its parameters and the context",
            why="a misled agent may do it with any destination or amount, as often as it likes, after reading anything",
            write="`constraints`; a condition on `destination`, `amount` or `context`; or over it a rule with `rate`",
        )
    else:
        yield book.finding(
            "NV122",
            rule,
            "decision",
            "this rule permits every call, and the effect of what it matches is not known from this file",
            why="a tool that changes something would be permitted with any parameters, in any context",
            write="`effect: read` in the match where reading is meant; else a condition that bounds it",
        )
