"""Mutants: a policy with one thing changed, to find what no test would notice (B.8).

* Changes are made to values, not to text: operators, boundaries, conditions, decisions, priorities, numbers, and
  whatever else a rule states. A field that the language gets later is left out, or element by element, all the same.
* A mutant that does not compile, or means what another one means, does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import re2

from navicert.core.builtin import PREFIX
from navicert.lint.book import Book
from navicert.model.decision import Classification, Verdict
from navicert.model.labels import Level
from navicert.model.policy import (
    Condition,
    Destination,
    Earlier,
    Intent,
    Operator,
    PolicySet,
    Posture,
    Rule,
    Tally,
)
from navicert.model.value import Value
from navicert.rehearsal.cases import Remark, Suite, compiled
from navicert.rehearsal.run import play
from navicert.syntax import Spans, policy_hash
from navicert.syntax.reader import shown

_OPPOSITE: Final = {
    Operator.EQ: Operator.NE, Operator.IN: Operator.NOT_IN, Operator.LT: Operator.GE, Operator.LE: Operator.GT,
}  # fmt: skip
_FLIPPED: Final = {**_OPPOSITE, **{other: one for one, other in _OPPOSITE.items()}}
_SHIFTED: Final = {
    Operator.LT: Operator.LE, Operator.LE: Operator.LT, Operator.GT: Operator.GE, Operator.GE: Operator.GT,
}  # fmt: skip
_BARE: Final[Mapping[str, Any]] = {
    "classification": Classification.STATIC, "modifications": (), "approvers": (), "approvals": 1, "backups": (),
    "escalate_s": None, "timeout_s": None,
}  # fmt: skip
"""What goes with some decisions only."""
_KEPT: Final = frozenset({
    "id", "name", "reason", "risk", "decision", "priority", "approvers", "approvals", "timeout_s", "escalate_s",
})  # fmt: skip
"""Not left out: what is for people, what has changes of its own, and without which nothing could be answered."""
_UNHEARD: Final = _KEPT | {"backups", "set_context", "authority", "adds_risk"}
"""Of a rule in shadow: besides, what has no part in the verdict that it would give."""
_WHOLE: Final = frozenset({"policy", "version", "posture", "tools", "facts", "rules"})
_KEYS: Final = {
    "tallies": "match", "after": "match", "limits": "constraints", "backups": "escalate", "sticky_s": "sticky",
    "confidence_ppm": "confidence",
}  # fmt: skip
"""The key under which a field stands in the file, where that is another."""


class Survivor(Value, frozen=True, kw_only=True):
    """A change that no test notices. rule: empty for one of the policy itself. change: in words.

    accepted: a test file names it under `survivors`.
    """

    rule: str
    line: int
    column: int
    change: str
    accepted: bool = False

    @property
    def text(self) -> str:
        """`rule: change`, or the change alone; no other change of the policy has the same text."""
        return f"{self.rule}: {self.change}" if self.rule else self.change


class Mutation(Value, frozen=True, kw_only=True):
    """What came of all changes to one policy: how many were tried, and those that no test noticed.

    stale: entries of `survivors` in test files that name none of these.
    """

    tried: int
    survivors: tuple[Survivor, ...]
    stale: tuple[Remark, ...] = ()

    @property
    def left(self) -> tuple[Survivor, ...]:
        """The survivors that nobody accepted."""
        return tuple(item for item in self.survivors if not item.accepted)


class _Change(NamedTuple):
    rule: str
    way: str
    words: str
    policy: PolicySet


def mutate(
    suites: Sequence[Suite], reached: Mapping[str, Mapping[str, int]], progress: Callable[[int, int], None]
) -> Mutation:
    """Run the suites of one policy against every mutant of it, each until its first failure.

    reached: by case, as in `Played`: cases that a rule determined are the first to notice. progress: done, of how many.
    """
    first = suites[0]
    seen, named = {policy_hash(first.policy)}, Counter[tuple[str, str]]()
    accepted = {text for suite in suites for text in suite.accepted}
    every = [(suite, case) for suite in suites for case in suite.cases]
    changes, survivors, tried = list(_changes(first.policy, first.spans)), [], 0
    for done, change in enumerate(changes):
        progress(done, len(changes))
        named[change.rule, change.words] += 1
        again = named[change.rule, change.words]
        try:
            policy = compiled(change.policy)
        except (KeyError, ValueError, TypeError, re2.error):
            continue
        if policy.hash in seen:
            continue
        seen.add(policy.hash)
        tried += 1
        near = sorted(every, key=lambda each: not reached.get(each[1].name, {}).get(change.rule, 0))
        if all(play(suite, case, policy).failure is None for suite, case in near):
            line, column = _place(first.spans, change)
            words = change.words + (f" ({again})" if again > 1 else "")
            found = Survivor(rule=change.rule, line=line, column=column, change=words)
            survivors.append(msgspec.structs.replace(found, accepted=found.text in accepted))
    progress(len(changes), len(changes))
    return Mutation(
        tried=tried,
        survivors=tuple(sorted(survivors, key=lambda item: (item.line, item.column))),
        stale=tuple(_stale(suites, {item.text for item in survivors})),
    )


def _stale(suites: Sequence[Suite], alive: set[str]) -> Iterator[Remark]:
    for suite in suites:
        for text, (line, column) in suite.accepted.items():
            if text not in alive:
                what = f"no change survives that is called {shown(text)}; remove it from `survivors`"
                yield Remark(file=str(suite.path), line=line, column=column, text=what)


def _place(spans: Spans, change: _Change) -> tuple[int, int]:
    return spans.keys.get((change.rule, change.way)) or spans.rules.get(change.rule, (1, 1))


def _changes(policy: PolicySet, spans: Spans) -> Iterator[_Change]:
    book = Book(policy, spans)
    for posture in Posture:
        words = f"the posture `{policy.posture.value}` → `{posture.value}`"
        yield _Change("", "posture", words, msgspec.structs.replace(policy, posture=posture))
    for way, words, changed in _of_fields(policy, _WHOLE):
        yield _Change("", way, words, changed)
    for index, rule in enumerate(policy.rules):
        if rule.id.startswith(PREFIX):
            continue
        before, after = policy.rules[:index], policy.rules[index + 1 :]
        others = [
            other
            for other in (*before, *after)
            if not other.id.startswith(PREFIX) and (rule.shadow or not other.shadow) and book.meet(rule, other)
        ]
        for way, words, *left in _of_rule(rule, others):
            rules = (*before, *left, *after)
            yield _Change(rule.id, way, words, msgspec.structs.replace(policy, rules=rules))


def _of_rule(rule: Rule, others: Sequence[Rule]) -> Iterator[tuple[Any, ...]]:
    """Yield each change: the key that it concerns, its words, and the changed rule, if it is still there."""
    yield "", "the rule is left out"
    if rule.decision is not None:
        verdict = Verdict.DENY if rule.decision is Verdict.ALLOW else Verdict.ALLOW
        bare = msgspec.structs.replace(rule, **_BARE)
        yield "decision", f"{rule.decision.value} → {verdict.value}", _with(bare, "decision", verdict)
    for priority in _past(rule, others):
        yield "priority", f"the priority {rule.priority} → {priority}", _with(rule, "priority", priority)
    if rule.approvals > 1 and not rule.shadow:
        fewer = rule.approvals - 1
        yield "approvals", f"{rule.approvals} approvals → {fewer}", _with(rule, "approvals", fewer)
    yield from _of_fields(rule, _UNHEARD if rule.shadow else _KEPT)


def _of_fields(value: Value, kept: frozenset[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield the value without each field that it states, and with each element of it left out or changed."""
    for field in msgspec.structs.fields(value):
        stated = getattr(value, field.name)
        if field.name in kept or stated == field.default or (field.required and not isinstance(stated, tuple)):
            continue
        if isinstance(stated, tuple):
            yield from _of_elements(value, field.name, stated)
        else:
            key = _KEYS.get(field.name, field.name)
            yield key, f"`{key}` is left out", _with(value, field.name, field.default)


def _past(rule: Rule, others: Sequence[Rule]) -> Iterator[int]:
    """Yield priorities just past the nearest rules, above and below, that could decide otherwise."""
    if rule.decision is None or rule.classification is Classification.FORBIDDEN:
        return
    priorities = [other.priority for other in others if other.decision not in {None, rule.decision}]
    above = [priority + 1 for priority in priorities if priority > rule.priority]
    below = [priority - 1 for priority in priorities if priority < rule.priority]
    yield from ([min(above)] if above else []) + ([max(below)] if below else [])


def _of_elements(value: Value, name: str, elements: tuple[Any, ...]) -> Iterator[tuple[str, str, Any]]:
    for index, item in enumerate(elements):
        before, after = elements[:index], elements[index + 1 :]
        way = ".".join(filter(None, (_KEYS.get(name, name), _field(item))))
        named = item if isinstance(item, str) else getattr(item, "name", "")
        if isinstance(item, Destination):
            named = _place_of(item)
        number = f" {index + 1}" if len(elements) > 1 and way == name else ""
        which = f"`{way}`: `{named}`" if named else f"`{way}`{number}"
        if name != "modifications" or len(elements) > 1:  # without any it would be an ALLOW, which is tried by itself
            yield way, f"{which} is left out", _with(value, name, (*before, *after))
        for words, changed in _of_element(item):
            yield way, f"`{way}`: {words}", _with(value, name, (*before, changed, *after))


def _field(item: Any) -> str:
    if isinstance(item, Earlier):
        return "not_after" if item.negated else "after"
    return str(getattr(item, "field", getattr(item, "kind", getattr(item, "parameter", ""))))


def _of_element(item: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(item, Condition):
        found = [_SHIFTED[item.operator]] if item.operator in _SHIFTED else []
        if item.operator in _FLIPPED and not item.negated:
            found.append(_FLIPPED[item.operator])
        else:
            yield _turned(item)
        for operator in found:
            yield f"`{item.operator.value}` → `{operator.value}`", msgspec.structs.replace(item, operator=operator)
    elif isinstance(item, Tally):
        unit = 1_000_000 if item.kind == "total" else 1
        for above in (item.above + unit, item.above - unit):
            if above >= 0:
                words = f"`above: {item.above / unit:g}` → `{above / unit:g}`"
                yield words, msgspec.structs.replace(item, above=above)
    elif isinstance(item, Earlier):
        yield _turned(item)
    elif isinstance(item, (Destination, Intent)):
        yield from _of_bound(item)


def _of_bound(item: Destination | Intent) -> Iterator[tuple[str, Any]]:
    named, limit = f"`{_place_of(item)}`: ", item.accepts
    alone = isinstance(item, Destination) and len((*item.at, *item.names)) + bool(item.pattern) == 1
    if not alone:  # without its one place it would be as if left out
        for _, words, changed in _of_fields(item, frozenset({"name"})):
            yield named + words, changed
    for level in Level:
        if limit is not None and abs(level - limit.level) == 1:
            words = f"{named}`accepts`: `{limit.level.name}` → `{level.name}`"
            yield words, msgspec.structs.replace(item, accepts=msgspec.structs.replace(limit, level=level))


def _place_of(item: Destination | Intent) -> str:
    return item.name if isinstance(item, Intent) else (*item.at, *item.names, item.pattern)[0]


def _turned(item: Any) -> tuple[str, Any]:
    words = "`not` is left out" if item.negated else "the opposite"
    return words, msgspec.structs.replace(item, negated=not item.negated)


def _with(value: Any, name: str, changed: Any) -> Any:
    return msgspec.structs.replace(value, **{name: changed})
