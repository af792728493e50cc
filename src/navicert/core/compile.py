"""PolicySet → predicates, indexed by tool (R3.a, R3.b).

* Rules about other tools cost nothing: the candidates of a tool are found once and kept.
* A shadow rule is no candidate: it stands in a policy of its own, `shadowed`, in which it is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Final

import msgspec

from navicert.core import places
from navicert.core.builtin import supervision
from navicert.core.digest import rule_digest
from navicert.core.fields import ROLES, Many, Subject, getter, is_score
from navicert.core.kleene import TRUE, UNDETERMINED, negate
from navicert.core.operators import Test, test_of
from navicert.core.predicates import (
    NAMES,
    Predicate,
    all_of,
    condition_of,
    constraint_of,
    earlier_of,
    one_of,
    plain_of,
    tally_of,
)
from navicert.model.action import ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.policy import Condition, Destination, Operator, PolicySet, Rule

PERMITTING: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY})
_CACHE: Final = 4096


class CompiledRule:
    """A rule with its predicate, and the predicate of each field, for telling what was undetermined."""

    __slots__ = ("_hash", "constraints", "matches", "names", "parts", "rule")

    def __init__(self, rule: Rule, profiles: Mapping[str, ToolProfile]) -> None:
        restricting = rule.decision not in PERMITTING
        self.rule = rule
        self._hash = ""
        self.names = [
            (item.field, _name_test(item, restricting=restricting)) for item in rule.match if item.field in NAMES
        ]
        """The conditions on the tool's name: field, and the test of its text."""
        conditions = [item for item in rule.match if item.field not in NAMES]
        self.parts = [(item.field, condition_of(item, restricting=restricting)) for item in conditions]
        self.parts += [(item.kind, tally_of(item)) for item in rule.tallies]
        self.parts += [
            ("not_after" if item.negated else "after", earlier_of(item, profiles, restricting=restricting))
            for item in rule.after
        ]
        """Field and predicate of each condition but those on the tool's name: of `match`, tallies, `after`."""
        self.matches = all_of([predicate for _, predicate in self.parts])
        self.constraints = [(item.field, constraint_of(item)) for item in rule.constraints]
        self.constraints += [(item.kind, _within(tally_of(item))) for item in rule.limits]
        """Likewise of each constraint, then of each limit."""

    @property
    def hash(self) -> str:
        """The rule's content hash: what an approval is given for (SPEC.md, Settled)."""
        self._hash = self._hash or rule_digest(self.rule)
        return self._hash

    def undetermined_fields(self, subject: Subject) -> tuple[str, ...]:
        """Return the fields of this rule whose conditions are undetermined, for the receipt and for people."""
        return tuple(field for field, predicate in self.parts if predicate(subject) == UNDETERMINED)

    def unknown(self, subject: Subject) -> tuple[str, ...]:
        """Return them in words: with its kind where an argument is there, and no operator can judge that."""
        return tuple(field + _unfit(self.rule, field, subject) for field in self.undetermined_fields(subject))

    def broken(self, subject: Subject) -> tuple[str, ...]:
        """Return the fields of the constraints that do not hold, or of which that cannot be told (R3.b)."""
        return tuple(field for field, holds in self.constraints if holds(subject) != TRUE)


_TEXT: Final = "text"
_KINDS: Final[Mapping[type, str]] = {
    str: _TEXT, bool: "true or false", int: "a number", float: "a number", dict: "an object", list: "a list",
}  # fmt: skip
_UNTYPED: Final = frozenset({Operator.EXISTS, Operator.TYPE, Operator.SAME})
_OF_TEXT: Final = frozenset({
    Operator.CONTAINS, Operator.MATCHES, Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.AT, Operator.EXTERNAL,
    Operator.UNDER,
})  # fmt: skip


def _unfit(rule: Rule, field: str, subject: Subject) -> str:
    """Return ` (it is text)` of an argument of a kind that the rule's operators cannot judge; else "".

    Of arguments only, and never their value: whoever asks knows them, and nothing else is told.
    """
    role = "amount" if field == "total" else field
    if role not in ROLES and (not field.startswith("parameters.") or field == "parameters.*"):
        return ""
    fit = {_KINDS[int]} if field == "total" else set()
    for item in rule.match:
        if item.field == field and item.operator not in _UNTYPED:
            operands: Any = item.value if isinstance(item.value, (list, tuple)) else (item.value,)
            fit |= {_TEXT} if item.operator in _OF_TEXT else {_KINDS[type(operand)] for operand in operands}
    found = subject.role(role) if role in ROLES else getter(field)(subject)
    kinds = [_KINDS.get(type(value)) for value in (found if type(found) is Many else (found,))]
    unfit = next((kind for kind in kinds if kind and fit and kind not in fit), None)
    return f" ({'it' if role == field else 'the amount'} is {unfit})" if unfit else ""


def _within(above: Predicate) -> Predicate:
    return lambda subject: negate(above(subject))


class Candidates:
    """The rules that can concern one tool: forbidden, then by descending priority; and those that do more than decide.

    shadowed: a shadow rule can concern it. plain: these without the rules that ask for a score, where there are any.
    """

    __slots__ = ("adding", "forbidden", "groups", "labelling", "lowering", "plain", "shadowed", "tallies", "witnessing")

    def __init__(self, named: list[CompiledRule]) -> None:
        self.tallies = tuple({tally: None for item in named for tally in (*item.rule.tallies, *item.rule.limits)})
        self.shadowed = any(item.rule.shadow for item in named)
        rules = [item for item in named if not item.rule.shadow]
        deciding = [item for item in rules if item.rule.decision is not None]
        self.forbidden = tuple(r for r in deciding if r.rule.classification is Classification.FORBIDDEN)
        others = [item for item in deciding if item.rule.classification is not Classification.FORBIDDEN]
        others.sort(key=lambda item: -item.rule.priority)  # stable: file order within a priority
        self.groups = tuple(tuple(group) for _, group in groupby(others, key=lambda item: item.rule.priority))
        self.labelling = tuple(item for item in rules if item.rule.set_context is not None)
        self.lowering = tuple(item for item in rules if item.rule.authority is not None)
        self.adding = tuple(item for item in rules if item.rule.adds_risk)
        self.witnessing = tuple(item for item in rules if item.rule.require_witnessed)
        plain = [item for item in named if item.rule.decision is None or not any(is_score(f) for f, _ in item.parts)]
        self.plain = Candidates(plain) if len(plain) < len(named) else None


class CompiledPolicy:
    """A policy set, ready to be evaluated. `hash` is its content hash."""

    __slots__ = (
        "_candidates",
        "_rules",
        "destinations",
        "hash",
        "policy",
        "profiles",
        "shadowed",
        "supervision",
        "timed",
    )

    def __init__(self, policy: PolicySet, content_hash: str) -> None:
        self.policy = policy
        self.hash = content_hash
        self.profiles = {profile.tool: profile for profile in policy.tools}
        self._rules = [CompiledRule(rule, self.profiles) for rule in policy.rules]
        self.supervision = CompiledRule(supervision(policy.supervisors), {}) if policy.supervisors else None
        self.destinations = tuple(
            (places.at(item.at, restricting=False), _listed(item), item.accepts) for item in policy.destinations
        )
        self.timed = any(item.within_s is not None for rule in policy.rules for item in rule.after)
        """A rule asks how long ago something was done."""
        self.shadowed: CompiledPolicy | None = None
        if any(rule.shadow for rule in policy.rules):
            in_force = tuple(msgspec.structs.replace(rule, shadow=False) for rule in policy.rules)
            self.shadowed = CompiledPolicy(msgspec.structs.replace(policy, rules=in_force), "")
        self._candidates: dict[tuple[str, str], Candidates] = {}

    def profile(self, name: str, declared: ToolProfile | None) -> ToolProfile | None:
        """Return what the tool is known to do: the policy's word, else the developer's, else None.

        What was only inferred counts where the policy says so.
        """
        found = self.profiles.get(name, declared)
        return found if found is None or not found.inferred or self.policy.profiles == "inferred" else None

    def hashes(self, rule_ids: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Return the content hash of each of these rules, by id."""
        every = self._rules if self.supervision is None else [*self._rules, self.supervision]
        found = {item.rule.id: item for item in every}
        return tuple((rule_id, found[rule_id].hash) for rule_id in rule_ids if rule_id in found)

    def candidates(self, tool: str, operation: str) -> Candidates:
        """Return the rules that can concern a tool; found once per tool."""
        key = (tool, operation)
        found = self._candidates.get(key)
        if found is None:
            found = Candidates([item for item in self._rules if _names(item, tool, operation)])
            if len(self._candidates) < _CACHE:
                self._candidates[key] = found
        return found


def _listed(place: Destination) -> Callable[[Any], bool]:
    """Return what tells whether a destination, as it is written, is in the list or matches the pattern of an entry."""
    names = frozenset(place.names)
    found = test_of(Operator.MATCHES, place.pattern) if place.pattern else None
    return lambda value: value in names or (found is not None and found(value) == TRUE)


def compile_policy(policy: PolicySet, content_hash: str = "") -> CompiledPolicy:
    """Compile a policy set; raises `KeyError` or `re2.error` only for a set that no reader of ours made."""
    return CompiledPolicy(policy, content_hash)


def _name_test(item: Condition, *, restricting: bool) -> Test:
    operator, inverted = plain_of(item.operator)
    return one_of(operator, item.value, negated=item.negated is not inverted, restricting=restricting)


def _names(item: CompiledRule, tool: str, operation: str) -> bool:
    """Tell whether the rule's conditions on tool and operation hold; names are in canonical form, so exactly."""
    return all(test(tool if field == "tool" else operation) == TRUE for field, test in item.names)
