"""What one condition was asked and told, in words, for explanations (navicert.explain).

* Every outcome is that of the rule's own predicate: nothing is judged here.
* What was found is text that anybody may have written: whoever shows it makes it inert.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from navicert.core.compile import CompiledRule
from navicert.core.fields import ABSENT, MICRO, UNKNOWN, Many, Subject, amount_micros, getter
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED
from navicert.core.predicates import NAMES, Predicate, one_of, plain_of
from navicert.core.text import normal_form, undisguised
from navicert.core.times import spelled
from navicert.model.context import Walked
from navicert.model.decision import Verdict
from navicert.model.labels import Labels, Level
from navicert.model.policy import Condition, Earlier, Operator, Tally
from navicert.model.value import Value

LONGEST: Final = 2_000
_OTHER: Final = frozenset({
    Operator.EXISTS, Operator.TYPE, Operator.SAME, Operator.AT, Operator.EXTERNAL, Operator.UNDER,
})  # fmt: skip
"""Operators that do not compare a text with an operand in normal form."""
OUTCOMES: Final = ("fails", "holds", "undetermined")


class Look(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that was looked at.

    expected: as a policy writes it. found: JSON, or words without quotes. Both have at most `LONGEST` characters and a
    note. outcome: of `OUTCOMES`. key: where it stands in its rule (`match.parameters.to`) or in the policy; or empty.
    """

    what: str
    test: str
    expected: str
    found: str
    outcome: str
    key: str = ""


def looks_of(item: CompiledRule, subject: Subject) -> Iterator[Look]:
    """Return what each condition of a rule was asked, but those on the tool's name."""
    """Return what each condition of a rule was asked, but those on the tool's name."""
    rule = item.rule
    tests = iter([predicate for _, predicate in item.parts])
    permits = rule.decision in {Verdict.ALLOW, Verdict.MODIFY}
    for condition in rule.match:
        if condition.field not in NAMES:
            look = _condition(condition, next(tests), subject, "match")
            yield look if permits else _with_reading(look, condition, subject)
    for tally in rule.tallies:
        yield _tally(tally, next(tests), subject, "match")
    for earlier in rule.after:
        yield _earlier(earlier, next(tests), subject)


def constraints_of(item: CompiledRule, subject: Subject) -> Iterator[Look]:
    """Return what each constraint of a rule was asked."""
    tests = iter([holds for _, holds in item.constraints])
    for condition in item.rule.constraints:
        yield _condition(condition, next(tests), subject, "constraints")
    for tally in item.rule.limits:
        yield _tally(tally, next(tests), subject, "constraints")


def _condition(condition: Condition, predicate: Predicate, subject: Subject, under: str) -> Look:
    value = getter(condition.field)(subject)
    test, expected = f"{'not ' * condition.negated}{condition.operator.value}", operand(condition.value)
    if condition.operator is Operator.EXTERNAL:
        test, expected = "external", f"{'false' if condition.negated else 'true'}, beside {expected}"
    if condition.operator is Operator.SAME:
        expected = f"{condition.value} ({text_of(getter(str(condition.value))(subject))})"
    return Look(
        what=condition.field,
        test=test,
        expected=expected,
        found=f"unknown: {_why(condition.field, subject)}" if value is UNKNOWN else text_of(value),
        outcome=OUTCOMES[predicate(subject)],
        key=f"{under}.{condition.field}",
    )


def _with_reading(look: Look, condition: Condition, subject: Subject) -> Look:
    """Say in what normal form a condition of a rule that restricts holds, where it does not hold as texts stand."""
    if look.outcome != OUTCOMES[TRUE] or condition.operator in _OTHER:
        return look
    operator, inverted = plain_of(condition.operator)
    negated, value = condition.negated is not inverted, getter(condition.field)(subject)
    plain, either = (
        one_of(operator, condition.value, negated=negated, restricting=restricting) for restricting in (False, True)
    )
    texts = [item for item in (value if type(value) is Many else (value,)) if type(item) is str]
    hit = [item for item in texts if either(item) == TRUE]
    if not hit or any(plain(item) == TRUE for item in texts):
        return look
    form = undisguised if operator is Operator.MATCHES and negated else normal_form
    return replace(look, found=f"{look.found}, in normal form {text_of(form(hit[0]))}")


def _why(field: str, subject: Subject) -> str:
    space, _, name = field.partition(".")
    if space in {"signals", "intent", "drift"}:
        name = name if space == "signals" else f"{space}_{name}"
        return subject.given.signals.unknown.get(name, "nothing measured it")
    if space == "context" and name.startswith("facts."):
        facts = (*subject.given.facts, *subject.given.context.facts)
        stated = any(f"facts.{fact.name}" == name for fact in facts)
        return "its sources disagree" if stated else "nobody has stated it"
    return "it cannot be told"


def _tally(tally: Tally, predicate: Predicate, subject: Subject, under: str) -> Look:
    prior = subject.given.shared.tallies.get(f"{tally.kind}|{tally.per}|{tally.window_s}")
    rate = tally.kind == "rate"
    more = 1 if rate else amount_micros(subject.profile, subject.parameters)
    shown = str if rate else decimal_of
    found = f"{shown(prior)} before, {shown(prior + more)} with it" if prior is not None and more is not None else ""
    return Look(
        what=f"{tally.kind} per {tally.per} in {spelled(tally.window_s)}",
        test="above" if under == "match" else "at most",
        expected=shown(tally.above),
        found=found or f"unknown: {'it has no amount' if more is None else 'nobody counted'}",
        outcome=OUTCOMES[predicate(subject)],
        key=f"{under}.{tally.kind}",
    )


def _earlier(earlier: Earlier, predicate: Predicate, subject: Subject) -> Look:
    """The rule's own predicate is asked of each earlier action as if it were the only one."""
    alone, given = copy(subject), subject.given
    found: list[str] = []
    for name, at in sorted(given.context.walked.done.items(), key=lambda item: -item[1]):
        alone.given = replace(given, context=replace(given.context, walked=Walked(done={name: at})))
        outcome = predicate(alone)
        if outcome == UNDETERMINED or (outcome == TRUE) is not earlier.negated:
            unsure = "perhaps " if outcome == UNDETERMINED else ""
            found.append(f"{unsure}{name}, {(given.now - at) // MICRO} s ago")
    words = [
        f"{each.field} {'not ' * each.negated}{each.operator.value} {operand(each.value)}" for each in earlier.match
    ]
    within = f"within {spelled(earlier.within_s)}" if earlier.within_s is not None else ""
    key = "not_after" if earlier.negated else "after"
    return Look(
        what=key,
        test=within,
        expected=_bounded(" and ".join(words)),
        found=_bounded("; ".join(found[:3]) + (f"; {len(found) - 3} more" if len(found) > 3 else "")) or "none",
        outcome=OUTCOMES[predicate(subject)],
        key=f"match.{key}",
    )


def plainly(what: str, test: str, expected: str, found: str, *, holds: bool, key: str = "") -> Look:
    """Return one look of a kind that rules do not have."""
    outcome = OUTCOMES[TRUE if holds else FALSE]
    return Look(what=what, test=test, expected=expected, found=found, outcome=outcome, key=key)


def text_of(value: Any) -> str:
    """What a field holds, as JSON; marks, labels and levels as words without quotes."""
    if value is ABSENT or value is UNKNOWN:
        return "left out" if value is ABSENT else "unknown"
    if isinstance(value, Labels):
        return value.words()
    if isinstance(value, Level):
        return value.name
    if type(value) is Many:
        return _bounded(f"[{', '.join(map(text_of, value))}]")
    return _bounded(json.dumps(value, ensure_ascii=False))


def operand(value: Any) -> str:
    """What a rule compares with, as one would write it: texts in single quotes, as they stand."""
    if isinstance(value, str):
        return _bounded("'" + value.replace("'", "''") + "'")
    if isinstance(value, (list, tuple)):
        return _bounded(f"[{', '.join(map(operand, value))}]")
    return text_of(value)


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def decimal_of(millionths: int) -> str:
    """Return millionths as a decimal number."""
    return format((Decimal(millionths) / MICRO).normalize(), "f")
