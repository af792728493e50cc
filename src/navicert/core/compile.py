"""PolicySet → predicates, indexed by tool (R3.a, R3.b).

* Rules about other tools cost nothing: the candidates of a tool are found once and kept.
* A rule that restricts sees text as it stands and in normal form; a rule that permits sees it as it stands.
* Where a field has several values, one is enough to restrict, and all are needed to permit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

import re2

from navicert.core.fields import ABSENT, ROLES, UNKNOWN, Many, Subject, amount_micros, getter
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED, either, every, negate
from navicert.core.text import normal_form
from navicert.model.action import ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.labels import Labels, Level
from navicert.model.policy import Condition, Operator, PolicySet, Rule, Tally

Predicate = Callable[[Subject], int]
Test = Callable[[Any], int]
PERMITTING: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY})
_CACHE: Final = 4096


class CompiledRule:
    """A rule with its predicate; `fields` are the fields that it refers to, for telling what was undetermined."""

    __slots__ = ("fields", "matches", "rule")

    def __init__(self, rule: Rule) -> None:
        restricting = rule.decision not in PERMITTING
        self.rule = rule
        conditions = [item for item in rule.match if item.field not in {"tool", "operation"}]
        predicates = [_condition(item, restricting=restricting) for item in conditions]
        predicates += [_tally(item) for item in rule.tallies]
        self.fields = tuple(item.field for item in conditions) + tuple(item.kind for item in rule.tallies)
        self.matches = _all(predicates)

    def undetermined_fields(self, subject: Subject) -> tuple[str, ...]:
        """Return the fields of this rule whose conditions are undetermined, for the receipt and for people."""
        restricting = self.rule.decision not in PERMITTING
        conditions = [item for item in self.rule.match if item.field not in {"tool", "operation"}]
        found = [
            item.field for item in conditions if _condition(item, restricting=restricting)(subject) == UNDETERMINED
        ]
        return tuple(found + [item.kind for item in self.rule.tallies if _tally(item)(subject) == UNDETERMINED])


class Candidates:
    """The rules that can concern one tool: forbidden, then by descending priority, and those that label."""

    __slots__ = ("forbidden", "groups", "labelling", "tallies")

    def __init__(self, rules: list[CompiledRule]) -> None:
        deciding = [item for item in rules if item.rule.decision is not None]
        self.forbidden = tuple(r for r in deciding if r.rule.classification is Classification.FORBIDDEN)
        others = [item for item in deciding if item.rule.classification is not Classification.FORBIDDEN]
        others.sort(key=lambda item: -item.rule.priority)  # stable: file order within a priority
        self.groups = tuple(tuple(group) for _, group in groupby(others, key=lambda item: item.rule.priority))
        self.labelling = tuple(item for item in rules if item.rule.set_context is not None)
        self.tallies = tuple({tally: None for item in rules for tally in item.rule.tallies})


class CompiledPolicy:
    """A policy set, ready to be evaluated. `hash` is its content hash."""

    __slots__ = ("_candidates", "_rules", "hash", "policy", "profiles")

    def __init__(self, policy: PolicySet, content_hash: str) -> None:
        self.policy = policy
        self.hash = content_hash
        self.profiles = {profile.tool: profile for profile in policy.tools}
        self._rules = [CompiledRule(rule) for rule in policy.rules]
        self._candidates: dict[tuple[str, str], Candidates] = {}

    def profile(self, name: str, declared: ToolProfile | None) -> ToolProfile | None:
        """Return what the tool is known to do: the policy's word, else the developer's, else None."""
        return self.profiles.get(name, declared)

    def candidates(self, tool: str, operation: str) -> Candidates:
        """Return the rules that can concern a tool; found once per tool."""
        key = (tool, operation)
        found = self._candidates.get(key)
        if found is None:
            found = Candidates([item for item in self._rules if _names(item.rule, tool, operation)])
            if len(self._candidates) < _CACHE:
                self._candidates[key] = found
        return found


def compile_policy(policy: PolicySet, content_hash: str = "") -> CompiledPolicy:
    """Compile a policy set; raises `KeyError` or `re2.error` only for a set that no reader of ours made."""
    return CompiledPolicy(policy, content_hash)


def _names(rule: Rule, tool: str, operation: str) -> bool:
    """Tell whether the rule's conditions on tool and operation hold; names are in canonical form, so exactly."""
    texts = {"tool": tool, "operation": operation}
    for item in rule.match:
        if item.field in texts:
            operator, inverted = _plain(item.operator)
            test = _test(operator, item.value)
            views = [test(texts[item.field])]
            if rule.decision not in PERMITTING:
                views.append(_test(operator, _normal_value(item.value))(normal_form(texts[item.field])))
            if item.negated is not inverted:
                views = [negate(view) for view in views]
            if TRUE not in views:
                return False
    return True


def _all(predicates: list[Predicate]) -> Predicate:
    if not predicates:
        return lambda _: TRUE
    if len(predicates) == 1:
        return predicates[0]
    if len(predicates) == 2:
        first, second = predicates

        def both(subject: Subject) -> int:
            left = first(subject)
            if left == FALSE:
                return FALSE
            right = second(subject)
            return right if left == TRUE or right == FALSE else UNDETERMINED

        return both
    return lambda subject: every(predicate(subject) for predicate in predicates)


def _condition(condition: Condition, *, restricting: bool) -> Predicate:
    get = getter(condition.field)
    if condition.operator is Operator.EXISTS:
        return _exists(get, wanted=bool(condition.value) is not condition.negated)
    operator, inverted = _plain(condition.operator)
    negated = condition.negated is not inverted
    if condition.field.endswith(".categories"):
        return _category(get, operator, condition.value, negated=negated, restricting=restricting)
    if operator is Operator.CONTAINS and condition.field.partition(".")[0] not in {"parameters", *ROLES}:
        return _has(get, condition.value, negated=negated, restricting=restricting)
    return _judged_singly(get, operator, condition.value, negated=negated, restricting=restricting)


def _judged_singly(
    get: Callable[[Subject], Any], operator: Operator, expected: Any, *, negated: bool, restricting: bool
) -> Predicate:
    """The test of one value; of several, each by itself: one is enough to restrict, all are needed to permit."""
    test = _test(operator, expected)
    views = _views(operator, expected, test, negated=negated) if restricting else None
    absent = TRUE if negated and restricting else FALSE

    def one(value: Any) -> int:
        if views is not None and type(value) is str:
            return views(value)
        outcome = test(value)
        return negate(outcome) if negated else outcome

    enough = TRUE if restricting else FALSE

    def predicate(subject: Subject) -> int:
        value = get(subject)
        if type(value) is Many:
            if not value:
                return absent
            result = FALSE if restricting else TRUE
            for item in value:
                outcome = one(item)
                if outcome == enough:
                    return enough
                if outcome == UNDETERMINED:
                    result = UNDETERMINED
            return result
        if value is ABSENT:
            return absent
        if value is UNKNOWN:
            return UNDETERMINED
        return one(value)

    return predicate


def _exists(get: Callable[[Subject], Any], *, wanted: bool) -> Predicate:
    def predicate(subject: Subject) -> int:
        value = get(subject)
        if value is UNKNOWN:
            return UNDETERMINED
        return TRUE if (value is not ABSENT) is wanted else FALSE

    return predicate


def _has(get: Callable[[Subject], Any], expected: Any, *, negated: bool, restricting: bool) -> Predicate:
    """`contains`: of a text, a part; of several values, one that is equal, or (the stricter reading) has the part."""
    exact = restricting is negated
    same = _equals(expected)
    part = _test(Operator.CONTAINS, expected)
    normal = _test(Operator.CONTAINS, _normal_value(expected))

    def element(value: Any) -> int:
        if exact or type(value) is not str:
            return same(value)
        return TRUE if part(value) == TRUE or normal(normal_form(value)) == TRUE else part(value)

    def text(value: Any) -> int:
        if type(value) is not str or type(expected) is not str:
            return UNDETERMINED
        plain = part(value)
        if not restricting:
            return negate(plain) if negated else plain
        views = (plain, normal(normal_form(value)))
        return either(negate(view) for view in views) if negated else either(views)

    def predicate(subject: Subject) -> int:
        value = get(subject)
        if type(value) is Many:
            if not value:
                return TRUE if negated and restricting else FALSE
            found = either(element(item) for item in value)
            return negate(found) if negated else found
        if value is ABSENT:
            return TRUE if negated and restricting else FALSE
        return UNDETERMINED if value is UNKNOWN else text(value)

    return predicate


def _category(
    get: Callable[[Subject], Any], operator: Operator, expected: Any, *, negated: bool, restricting: bool
) -> Predicate:
    """Categories of data: `contains` asks for one; `eq` and `in` ask of each. Unclassified data restricts, always."""
    wanted = frozenset(expected if isinstance(expected, (list, tuple)) else (expected,))
    ask_any = operator is Operator.CONTAINS

    def predicate(subject: Subject) -> int:
        labels: Labels = get(subject)
        if labels.everything:
            return TRUE if restricting else FALSE
        if ask_any:
            return TRUE if wanted.isdisjoint(labels.categories) is negated else FALSE
        answers = [(name in wanted) is not negated for name in labels.categories]
        if not answers:
            return TRUE if negated and restricting else FALSE
        return TRUE if (any(answers) if restricting else all(answers)) else FALSE

    return predicate


def _plain(operator: Operator) -> tuple[Operator, bool]:
    """Return the operator without its built-in negation."""
    if operator is Operator.NE:
        return Operator.EQ, True
    if operator is Operator.NOT_IN:
        return Operator.IN, True
    return operator, False


def _views(operator: Operator, value: Any, test: Test, *, negated: bool) -> Callable[[str], int] | None:
    """Return the test over a text and its normal form, for a rule that restricts: one of the two is enough."""
    normal_test = test
    if operator is not Operator.MATCHES:
        normal_test = _test(operator, _normal_value(value))

    def both(text: str) -> int:
        plain = test(text)
        if negated:
            plain = _FLIP[plain]
        if plain == TRUE:
            return TRUE
        other = normal_form(text)
        if other == text and normal_test is test:
            return plain
        changed = normal_test(other)
        if negated:
            changed = _FLIP[changed]
        return changed if changed == TRUE or plain == FALSE else plain

    return both


_FLIP: Final = (TRUE, FALSE, UNDETERMINED)


def _normal_value(value: Any) -> Any:
    if isinstance(value, str):
        return normal_form(value)
    if isinstance(value, (list, tuple)):
        return [_normal_value(item) for item in value]
    return value


def _test(operator: Operator, expected: Any) -> Test:
    """Return the test of one scalar value: FALSE, TRUE, or UNDETERMINED where its type cannot be judged."""
    match operator:
        case Operator.EQ:
            return _equals(expected)
        case Operator.IN:
            return _among(expected)
        case Operator.LT | Operator.LE | Operator.GT | Operator.GE:
            return _ordered(operator, expected)
        case Operator.CONTAINS:
            return _contains(expected)
        case Operator.MATCHES:
            return _matches(str(expected))
        case Operator.STARTS_WITH:
            return _text(lambda text: text.startswith(expected))
        case Operator.ENDS_WITH:
            return _text(lambda text: text.endswith(expected))
        case _:
            raise KeyError(f"operator `{operator}` has no test of its own")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Level):
        return "level"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _equals(expected: Any) -> Test:
    kind = _kind(expected)
    if kind == "text":
        level = Level.__members__.get(expected)

        def text(value: Any) -> int:
            if type(value) is str:
                return TRUE if value == expected else FALSE
            if type(value) is Level:
                return TRUE if value is level else FALSE
            return UNDETERMINED

        return text

    def same(value: Any) -> int:
        if _kind(value) != kind:
            return UNDETERMINED
        return TRUE if value == expected else FALSE

    return same


def _among(expected: Any) -> Test:
    tests = [_equals(item) for item in expected]

    def among(value: Any) -> int:
        comparable = False
        for test in tests:
            outcome = test(value)
            if outcome == TRUE:
                return TRUE
            comparable = comparable or outcome == FALSE
        return FALSE if comparable else UNDETERMINED

    return among


def _ordered(operator: Operator, expected: Any) -> Test:
    compare: dict[Operator, Callable[[Any, Any], bool]] = {
        Operator.LT: lambda left, right: left < right,
        Operator.LE: lambda left, right: left <= right,
        Operator.GT: lambda left, right: left > right,
        Operator.GE: lambda left, right: left >= right,
    }
    holds = compare[operator]
    kind = _kind(expected)
    level = Level.__members__.get(expected) if kind == "text" else None

    def ordered(value: Any) -> int:
        if type(value) is Level:
            return UNDETERMINED if level is None else TRUE if holds(value, level) else FALSE
        if _kind(value) != kind:
            return UNDETERMINED
        return TRUE if holds(value, expected) else FALSE

    return ordered


def _contains(expected: Any) -> Test:
    def contains(value: Any) -> int:
        if type(value) is str and type(expected) is str:
            return TRUE if expected in value else FALSE
        return UNDETERMINED

    return contains


def _text(holds: Callable[[str], bool]) -> Test:
    def text(value: Any) -> int:
        if type(value) is str:
            return TRUE if holds(value) else FALSE
        return UNDETERMINED

    return text


def _matches(pattern: str) -> Test:
    options = re2.Options()
    options.log_errors = False
    search = re2.compile(pattern, options).search
    return _text(lambda text: search(text) is not None)


def _tally(tally: Tally) -> Predicate:
    key = f"{tally.kind}|{tally.per}|{tally.window_s}"

    def predicate(subject: Subject) -> int:
        prior = subject.given.shared.tallies.get(key)
        more = 1 if tally.kind == "rate" else amount_micros(subject.profile, subject.parameters)
        if prior is None or more is None:
            return UNDETERMINED
        return TRUE if prior + more > tally.above else FALSE

    return predicate
