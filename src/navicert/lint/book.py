"""What every check works with: the policy, the places in it, and what is certain about two rules.

Claims about tools hold for names spelled as the rule spells them: a rule that restricts matches other cases besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from typing import Any, Final

from navicert.core.compile import PERMITTING
from navicert.core.kleene import TRUE
from navicert.core.operators import test_of
from navicert.core.text import normal_form
from navicert.model.action import Effect, ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.policy import Condition, Operator, PolicySet, Rule
from navicert.model.value import Json, Value
from navicert.syntax import Spans

SEVERITY: Final[Mapping[str, str]] = {
    "NV101": "warning", "NV102": "error", "NV103": "warning", "NV104": "warning",
    "NV105": "warning", "NV106": "error", "NV107": "warning", "NV108": "note",
    "NV111": "note", "NV112": "warning", "NV113": "warning", "NV114": "note", "NV115": "warning",
    "NV121": "warning", "NV122": "note", "NV123": "note",
    "NV131": "warning", "NV132": "warning", "NV133": "warning", "NV134": "warning", "NV135": "note",
    "NV136": "warning",
    "NV141": "warning", "NV142": "error", "NV143": "note", "NV144": "note", "NV145": "error",
    "NV151": "warning", "NV152": "warning", "NV153": "note", "NV154": "note", "NV155": "note",
}  # fmt: skip
"""Code → severity. Errors and warnings are findings for the exit code; a note is for people alone."""

NAMES: Final = frozenset({"tool", "operation"})
_OPPOSITE: Final = {Operator.NE: Operator.EQ, Operator.NOT_IN: Operator.IN}


class Finding(Value, frozen=True, kw_only=True):
    """One finding. rule: the id of its rule, None where it is about none. what, why, write: sentences for people."""

    code: str
    severity: str
    line: int
    column: int
    rule: str | None
    what: str
    why: str
    write: str


class Book:
    """A policy set with its places and its tools."""

    def __init__(self, policy: PolicySet, spans: Spans, elsewhere: Collection[str] = ()) -> None:
        self.policy = policy
        self.spans = spans
        self.profiles: dict[str, ToolProfile] = {item.tool: item for item in policy.tools}
        self.declared = {*self.profiles, *elsewhere}
        """Full names of the tools that are known, also those that the policy does not declare itself."""
        self.deciding = [rule for rule in policy.rules if rule.decision is not None and not rule.shadow]
        self._effects = {rule.id: self._effects_of(rule) for rule in policy.rules}
        self._names = {
            rule.id: [None if (names := listed(rule, field)) is None else _folded(names) for field in sorted(NAMES)]
            for rule in policy.rules
        }

    def finding(self, code: str, rule: Rule | None, way: str, what: str, *, why: str, write: str) -> Finding:
        """Return a finding at a key (`match.resource`); of a rule without this key, at the rule."""
        name = rule.id if rule is not None else ""
        line, column = self.spans.keys.get((name, way)) or self.spans.rules.get(name, (1, 1))
        return Finding(
            code=code,
            severity=SEVERITY[code],
            line=line,
            column=column,
            rule=rule.id if rule is not None else None,
            what=what,
            why=why,
            write=write,
        )

    def over(self, rule: Rule) -> list[Rule]:
        """Return the rules that could stand in the way of one that permits: of its priority or above, or forbidden."""
        return [
            other
            for other in self.deciding
            if other.decision is not Verdict.ALLOW
            and other is not rule
            and (other.priority >= rule.priority or other.classification is Classification.FORBIDDEN)
            and self.meet(rule, other)
        ]

    def meet(self, one: Rule, other: Rule) -> bool:
        """Tell whether two rules could concern the same action; False only where they certainly do not."""
        if self._effects[one.id].isdisjoint(self._effects[other.id]):
            return False
        pairs = zip(self._names[one.id], self._names[other.id], strict=True)
        return not any(ours is not None and theirs is not None and ours.isdisjoint(theirs) for ours, theirs in pairs)

    def overlap(self, one: Rule, other: Rule) -> bool:
        """Tell whether two rules meet, and neither asks another thing of a field that the other asks for too."""
        theirs = {item.field for item in other.match} - NAMES
        return self.meet(one, other) and all(item in other.match for item in one.match if item.field in theirs)

    def effects(self, rule: Rule) -> set[Effect]:
        """Return every effect that an action can have which the rule matches."""
        return self._effects[rule.id]

    def _effects_of(self, rule: Rule) -> set[Effect]:
        tools = full_names(rule)
        if tools and tools <= self.profiles.keys():
            found = {self.profiles[name].effect for name in tools}
        else:
            found = set(Effect)
        conditions = [item for item in rule.match if item.field == "effect"]
        return {effect for effect in found if all(holds(item, effect.value) for item in conditions)}


def _folded(names: frozenset[str]) -> set[str]:
    return {normal_form(name) for name in names}


def shown(names: Any) -> str:
    """Return names for a sentence."""
    return ", ".join(f"`{name}`" for name in sorted(names))


def permits(rule: Rule) -> bool:
    """Tell whether the rule reads conditions as one that permits."""
    return rule.decision in PERMITTING


def inverted(item: Condition) -> bool:
    """Tell whether the condition asks for the opposite: under `not`, or by `ne` or `not_in`."""
    return item.negated is not (item.operator in _OPPOSITE)


def holds(item: Condition, value: Json) -> bool:
    """Tell whether a condition holds of one value as it stands; raises `KeyError` for an operator without a test."""
    test = test_of(_OPPOSITE.get(item.operator, item.operator), item.value)
    return (test(value) == TRUE) is not inverted(item)


def listed(rule: Rule, field: str) -> frozenset[str] | None:
    """Return the only values of `tool` or `operation` that the rule matches, or None where they are not a list."""
    for item in rule.match:
        if item.field == field and not item.negated and item.operator in {Operator.EQ, Operator.IN}:
            values = item.value if isinstance(item.value, list) else [item.value]
            return frozenset(str(value) for value in values)
    return None


def full_names(rule: Rule) -> frozenset[str]:
    """Return the full names of the only tools that the rule matches; none where it does not list them."""
    tools, operations = listed(rule, "tool"), listed(rule, "operation")
    if tools is None or operations is None:
        return frozenset()
    return frozenset(f"{tool}.{operation}" for tool, operation in product(tools, operations))


def implies(one: Rule, other: Rule) -> bool:
    """Tell whether `other` certainly matches every action that `one` matches (tools spelled as `one` spells them)."""
    if permits(other) and not permits(one) and (other.after or any(item.field not in NAMES for item in other.match)):
        return False  # the one reads a condition more widely than the other
    past = all(item in one.after for item in other.after)
    return past and set(other.tallies) <= set(one.tallies) and all(_follows(one, item) for item in other.match)


def _follows(rule: Rule, wanted: Condition) -> bool:
    if wanted in rule.match:
        return True
    if wanted.field not in NAMES:
        return False
    only = listed(rule, wanted.field)
    if only is not None:
        return all(holds(wanted, name) for name in only)
    if wanted.negated or wanted.operator is not Operator.STARTS_WITH:
        return False
    if not wanted.value:  # `*`
        return True
    return any(
        item.field == wanted.field
        and item.operator is Operator.STARTS_WITH
        and not item.negated
        and str(item.value).startswith(str(wanted.value))
        for item in rule.match
    )
