"""PolicySet → predicates, indexed by tool (R3.a, R3.b).

* Rules about other tools cost nothing: the candidates of a tool are found once and kept.
* A rule that restricts sees text as it stands and in normal form; a rule that permits sees it as it stands.
* Where a field has several values, one is enough to restrict, and all are needed to permit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final

import msgspec

from navicert.core.builtin import supervision
from navicert.core.digest import rule_digest
from navicert.core.fields import ABSENT, ROLES, UNKNOWN, Many, Subject, amount_micros, getter
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED, either, every, negate
from navicert.core.operators import Test, equals, test_of
from navicert.core.text import normal_form
from navicert.model.action import ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.labels import Labels
from navicert.model.policy import Condition, Operator, PolicySet, Rule, Tally

Predicate = Callable[[Subject], int]
PERMITTING: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY})
_CACHE: Final = 4096


class CompiledRule:
    """A rule with its predicate, and the predicate of each field, for telling what was undetermined."""

    __slots__ = ("_hash", "_parts", "matches", "rule")

    def __init__(self, rule: Rule) -> None:
        restricting = rule.decision not in PERMITTING
        self.rule = rule
        self._hash = ""
        conditions = [item for item in rule.match if item.field not in {"tool", "operation"}]
        self._parts = [(item.field, _condition(item, restricting=restricting)) for item in conditions]
        self._parts += [(item.kind, _tally(item)) for item in rule.tallies]
        self.matches = _all([predicate for _, predicate in self._parts])

    @property
    def hash(self) -> str:
        """The rule's content hash: what an approval is given for (SPEC.md, Settled)."""
        self._hash = self._hash or rule_digest(self.rule)
        return self._hash

    def undetermined_fields(self, subject: Subject) -> tuple[str, ...]:
        """Return the fields of this rule whose conditions are undetermined, for the receipt and for people."""
        return tuple(field for field, predicate in self._parts if predicate(subject) == UNDETERMINED)


class Candidates:
    """The rules that can concern one tool: forbidden, then by descending priority, and those that label."""

    __slots__ = ("forbidden", "groups", "labelling", "lowering", "tallies")

    def __init__(self, rules: list[CompiledRule]) -> None:
        deciding = [item for item in rules if item.rule.decision is not None]
        self.forbidden = tuple(r for r in deciding if r.rule.classification is Classification.FORBIDDEN)
        others = [item for item in deciding if item.rule.classification is not Classification.FORBIDDEN]
        others.sort(key=lambda item: -item.rule.priority)  # stable: file order within a priority
        self.groups = tuple(tuple(group) for _, group in groupby(others, key=lambda item: item.rule.priority))
        self.labelling = tuple(item for item in rules if item.rule.set_context is not None)
        self.lowering = tuple(item for item in rules if item.rule.authority is not None)
        self.tallies = tuple({tally: None for item in rules for tally in item.rule.tallies})


class CompiledPolicy:
    """A policy set, ready to be evaluated. `hash` is its content hash."""

    __slots__ = ("_candidates", "_rules", "hash", "policy", "profiles", "supervision")

    def __init__(self, policy: PolicySet, content_hash: str) -> None:
        self.policy = policy
        self.hash = content_hash
        self.profiles = {profile.tool: profile for profile in policy.tools}
        self._rules = [CompiledRule(rule) for rule in policy.rules]
        self.supervision = CompiledRule(supervision(policy.supervisors)) if policy.supervisors else None
        self._candidates: dict[tuple[str, str], Candidates] = {}

    def profile(self, name: str, declared: ToolProfile | None) -> ToolProfile | None:
        """Return what the tool is known to do: the policy's word, else the developer's, else None."""
        return self.profiles.get(name, declared)

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
            test = test_of(operator, item.value)
            views = [test(texts[item.field])]
            if rule.decision not in PERMITTING:
                views.append(test_of(operator, _normal_value(item.value))(normal_form(texts[item.field])))
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
    if condition.field in {"context.categories", "stored.categories"}:
        return _category(get, operator, condition.value, negated=negated, restricting=restricting)
    if operator is Operator.CONTAINS and condition.field.partition(".")[0] not in {"parameters", *ROLES}:
        return _has(get, condition.value, negated=negated, restricting=restricting)
    if condition.field == "parameters.*":
        get = _alike(get, condition.value)
    return _judged_singly(get, operator, condition.value, negated=negated, restricting=restricting)


def _alike(get: Callable[[Subject], Any], expected: Any) -> Callable[[Subject], Any]:
    """Every value at any depth, as the operand can judge them: for text all as JSON text, for numbers the numbers."""
    operand = expected[0] if isinstance(expected, (list, tuple)) and expected else expected
    kinds = {bool} if isinstance(operand, bool) else {int, float}

    def alike(subject: Subject) -> Any:
        found = get(subject)
        if found is ABSENT:
            return ABSENT
        if isinstance(operand, str):
            return Many(_as_text(item) for item in found)
        return Many(item for item in found if type(item) in kinds)

    return alike


def _as_text(value: Any) -> str:
    return value if type(value) is str else msgspec.json.encode(value).decode()


def _judged_singly(
    get: Callable[[Subject], Any], operator: Operator, expected: Any, *, negated: bool, restricting: bool
) -> Predicate:
    """The test of one value; of several, each by itself: one is enough to restrict, all are needed to permit."""
    one = _one(operator, expected, negated=negated, restricting=restricting)
    absent = TRUE if negated and restricting else FALSE
    enough, otherwise = (TRUE, FALSE) if restricting else (FALSE, TRUE)

    def predicate(subject: Subject) -> int:
        value = get(subject)
        if type(value) is not Many:
            if value is ABSENT:
                return absent
            return UNDETERMINED if value is UNKNOWN else one(value)
        if not value:
            return absent
        result = otherwise
        for item in value:
            outcome = one(item)
            if outcome == enough:
                return enough
            if outcome == UNDETERMINED:
                result = UNDETERMINED
        return result

    return predicate


def _one(operator: Operator, expected: Any, *, negated: bool, restricting: bool) -> Test:
    """Return the test of one value; a rule that restricts tests a text in normal form too: one of the two is enough."""
    plain = test_of(operator, expected)
    if not restricting:
        return _flipped(plain) if negated else plain
    changed = plain if operator is Operator.MATCHES else test_of(operator, _normal_value(expected))
    if negated:
        plain, changed = _flipped(plain), _flipped(changed)
    same_pattern = operator is Operator.MATCHES and str(expected).startswith("(?i)") and str(expected).count("(?") == 1

    def one(value: Any) -> int:
        outcome = plain(value)
        if outcome == TRUE or type(value) is not str:
            return outcome
        normal = normal_form(value)
        # a pattern without regard to case has seen all that differs in a text of plain ASCII
        if (normal == value and changed is plain) or (same_pattern and len(normal) == len(value) and value.isascii()):
            return outcome
        other = changed(normal)
        return other if other == TRUE or outcome == FALSE else outcome

    return one


def _flipped(test: Test) -> Test:
    return lambda value: negate(test(value))


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
    same = equals(expected)
    part = test_of(Operator.CONTAINS, expected)
    normal = test_of(Operator.CONTAINS, _normal_value(expected))
    text = _one(Operator.CONTAINS, expected, negated=negated, restricting=restricting)

    def element(value: Any) -> int:
        if exact or type(value) is not str:
            return same(value)
        return TRUE if part(value) == TRUE or normal(normal_form(value)) == TRUE else part(value)

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
    """Categories of data: `contains` asks for one; `eq` and `in` ask of each. Unclassified data restricts, always.

    Names are compared whole, and in normal form where that is the stricter reading.
    """
    named: list[Any] = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    form: Callable[[str], str] = normal_form if restricting is not negated else str
    wanted = frozenset(form(str(name)) for name in named)
    ask_any = operator is Operator.CONTAINS

    def predicate(subject: Subject) -> int:
        labels: Labels = get(subject)
        if labels.everything:
            return TRUE if restricting else FALSE
        if ask_any:
            return TRUE if wanted.isdisjoint(map(form, labels.categories)) is negated else FALSE
        answers = [(form(name) in wanted) is not negated for name in labels.categories]
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


def _normal_value(value: Any) -> Any:
    if isinstance(value, str):
        return normal_form(value)
    if isinstance(value, (list, tuple)):
        return [_normal_value(item) for item in value]
    return value


def _tally(tally: Tally) -> Predicate:
    key = f"{tally.kind}|{tally.per}|{tally.window_s}"

    def predicate(subject: Subject) -> int:
        prior = subject.given.shared.tallies.get(key)
        more = 1 if tally.kind == "rate" else amount_micros(subject.profile, subject.parameters)
        if prior is None or more is None:
            return UNDETERMINED
        return TRUE if prior + more > tally.above else FALSE

    return predicate
