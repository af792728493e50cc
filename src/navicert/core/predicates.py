"""Conditions → predicates over one evaluation input, with three answers (R3.b; docs/reference/policy-language.md).

* A rule that restricts sees text as it stands and in normal form; a rule that permits sees it as it stands.
* Where a field has several values, one is enough to restrict, and all are needed to permit.
* A text that names places is read as all the places that it names; one that cannot be read is undetermined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from navicert.core import places
from navicert.core.accumulate import OTHER
from navicert.core.fields import ABSENT, MICRO, ROLES, UNKNOWN, Many, Subject, amount_micros, getter
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED, either, every, negate
from navicert.core.operators import Test, equals, test_of
from navicert.core.text import normal_form, undisguised
from navicert.model.action import ToolProfile
from navicert.model.labels import Labels
from navicert.model.policy import Condition, Earlier, Operator, Tally

Predicate = Callable[[Subject], int]


def all_of(predicates: list[Predicate]) -> Predicate:
    """Return AND: false if one is, else undetermined if one is."""
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


def condition_of(condition: Condition, *, restricting: bool, without: int | None = None) -> Predicate:
    """Return what tells whether a condition holds. without: the answer where there is no value, in place of its own."""
    get = getter(condition.field)
    operator, inverted = plain_of(condition.operator)
    negated = condition.negated is not inverted
    absent = without if without is not None else TRUE if negated and restricting else FALSE
    match operator:
        case Operator.EXISTS:
            return _exists(get, wanted=bool(condition.value) is not negated)
        case Operator.TYPE:
            return _typed(get, str(condition.value), negated=negated, absent=absent)
        case Operator.SAME:
            return _same(get, str(condition.value), negated=negated, restricting=restricting, absent=absent)
        case Operator.AT | Operator.EXTERNAL | Operator.UNDER:
            return _places(get, condition, restricting=restricting, absent=absent)
    if condition.field in {"context.categories", "stored.categories"}:
        return _category(get, operator, condition.value, negated=negated, restricting=restricting)
    if operator is Operator.CONTAINS and condition.field.partition(".")[0] not in {"parameters", *ROLES}:
        return _has(get, condition.value, negated=negated, restricting=restricting)
    if condition.field == "parameters.*":
        get = _alike(get, condition.value)
    one = one_of(operator, condition.value, negated=negated, restricting=restricting)
    return _judged(get, one, restricting=restricting, absent=absent)


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


def _judged(get: Callable[[Subject], Any], one: Test, *, restricting: bool, absent: int) -> Predicate:
    """Each value by itself: one that passes is enough to restrict, all are needed to permit."""
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


def one_of(operator: Operator, expected: Any, *, negated: bool, restricting: bool) -> Test:
    """Return the test of one value; a rule that restricts tests a text in normal form too: one of the two is enough.

    A pattern that must not be found is looked for with its case kept: `not: {matches: '^DE'}` is not met by every text.
    """
    plain = test_of(operator, expected)
    if not restricting:
        return _flipped(plain) if negated else plain
    pattern = operator is Operator.MATCHES
    form = undisguised if pattern and negated else normal_form
    changed = plain if pattern else test_of(operator, normal_value(expected))
    if negated:
        plain, changed = _flipped(plain), _flipped(changed)
    same_pattern = pattern and str(expected).startswith("(?i)") and str(expected).count("(?") == 1

    def one(value: Any) -> int:
        outcome = plain(value)
        if outcome == TRUE or type(value) is not str:
            return outcome
        normal = form(value)
        # a pattern without regard to case has seen all that differs in a text of plain ASCII
        if (normal == value and pattern) or (same_pattern and len(normal) == len(value) and value.isascii()):
            return outcome
        other = changed(normal)
        return other if other == TRUE or outcome == FALSE else outcome

    return one


def _flipped(test: Test) -> Test:
    return lambda value: negate(test(value))


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "list": (Many,),
}
TYPES: Final = tuple(_TYPES)
"""The operands of `type`."""


def _typed(get: Callable[[Subject], Any], expected: str, *, negated: bool, absent: int) -> Predicate:
    kinds = _TYPES[expected]

    def predicate(subject: Subject) -> int:
        value = get(subject)
        if value is UNKNOWN:
            return UNDETERMINED
        if value is ABSENT:
            return absent
        return TRUE if (type(value) in kinds) is not negated else FALSE

    return predicate


def _same(get: Callable[[Subject], Any], field: str, *, negated: bool, restricting: bool, absent: int) -> Predicate:
    """`same`: equal to another field, which must have one value of its own."""
    other = getter(field)
    forms = (str, normal_form) if restricting else (str,)

    def predicate(subject: Subject) -> int:
        expected = other(subject)
        known = type(expected) in _SCALARS and expected != ""

        def one(value: Any) -> int:
            if not known or type(value) not in _SCALARS or _SCALARS[type(value)] != _SCALARS[type(expected)]:
                return UNDETERMINED
            if type(value) is not str:
                return TRUE if (value == expected) is not negated else FALSE
            return TRUE if any((form(value) == form(expected)) is not negated for form in forms) else FALSE

        return _judged(get, one, restricting=restricting, absent=absent)(subject)

    return predicate


_SCALARS: Final[Mapping[type, str]] = {str: "text", bool: "truth", int: "number", float: "number"}


def _places(get: Callable[[Subject], Any], condition: Condition, *, restricting: bool, absent: int) -> Predicate:
    patterns: Any = condition.value
    turned = condition.negated is not (condition.operator is Operator.EXTERNAL)
    loosely = restricting and not turned  # in either case; what must be outside is outside as it stands
    inside: Callable[[Any], bool | None]
    if condition.operator is Operator.UNDER:
        inside = places.under(patterns, restricting=loosely)
    else:
        inside, get = places.at(patterns, restricting=loosely), _addressed(condition.field, get)
    kind: Any = str if condition.operator is Operator.UNDER else places.Address

    def one(value: Any) -> int:
        found = inside(value) if type(value) is kind else None
        return UNDETERMINED if found is None else TRUE if found is not turned else FALSE

    return _judged(get, one, restricting=restricting, absent=absent)


def _addressed(field: str, get: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
    """Every place that the texts of a field name; `UNKNOWN` for a text that cannot be read as places."""

    def addressed(subject: Subject) -> Any:
        named = subject.places.get(field)
        if named is None:
            named = get(subject)
            if named is not ABSENT and named is not UNKNOWN:
                named = Many(_read(named if type(named) is Many else (named,)))
            subject.places[field] = named
        return named

    return addressed


def _read(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield from (places.addresses(value) if type(value) is str else None) or (UNKNOWN,)


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
    normal = test_of(Operator.CONTAINS, normal_value(expected))
    text = one_of(Operator.CONTAINS, expected, negated=negated, restricting=restricting)

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


def plain_of(operator: Operator) -> tuple[Operator, bool]:
    """Return the operator without its built-in negation."""
    if operator is Operator.NE:
        return Operator.EQ, True
    if operator is Operator.NOT_IN:
        return Operator.IN, True
    return operator, False


def normal_value(value: Any) -> Any:
    """Return an operand with its texts in normal form."""
    if isinstance(value, str):
        return normal_form(value)
    if isinstance(value, (list, tuple)):
        return [normal_value(item) for item in value]
    return value


def tally_of(tally: Tally) -> Predicate:
    """Return what tells whether a count or sum, with this action, is above the tally."""
    key = f"{tally.kind}|{tally.per}|{tally.window_s}"

    def predicate(subject: Subject) -> int:
        prior = subject.given.shared.tallies.get(key)
        more = 1 if tally.kind == "rate" else amount_micros(subject.profile, subject.parameters)
        if prior is None or more is None:
            return UNDETERMINED
        return TRUE if prior + more > tally.above else FALSE

    return predicate


def constraint_of(condition: Condition) -> Predicate:
    """Return what tells whether a constraint holds: of every value there is; what is left out breaks none."""
    return condition_of(condition, restricting=False, without=TRUE)


class _Past:
    """An earlier action, as conditions on tool, operation, effect and category look at a subject."""

    def __init__(self, tool: str, operation: str, profile: ToolProfile | None) -> None:
        self.given = self.action = self
        self.tool, self.operation, self.profile = tool, operation, profile


def earlier_of(earlier: Earlier, profiles: Mapping[str, ToolProfile], *, restricting: bool) -> Predicate:
    """Return what tells whether the session was permitted such an action before; flat in the session's length."""
    strict = restricting is not earlier.negated
    named = [condition_of(item, restricting=strict) for item in earlier.match if item.field in NAMES]
    shaped = [condition_of(item, restricting=strict) for item in earlier.match if item.field not in NAMES]
    known: dict[str, int] = {}

    def concerns(name: str) -> int:
        tool, _, operation = name.rpartition(".")
        past: Any = _Past(tool, operation, profiles.get(name))
        outcome = every(predicate(past) for predicate in named)
        if outcome == FALSE or not shaped:
            return outcome
        return UNDETERMINED if past.profile is None else every(predicate(past) for predicate in (*named, *shaped))

    def predicate(subject: Subject) -> int:
        start = subject.given.now - earlier.within_s * MICRO if earlier.within_s is not None else 0
        result = FALSE
        for name, at in subject.given.context.walked.done.items():
            if at < start:
                continue
            outcome = known.get(name)
            if outcome is None:
                outcome = known[name] = UNDETERMINED if name == OTHER else concerns(name)
            if outcome == TRUE:
                result = TRUE
                break
            result = UNDETERMINED if outcome == UNDETERMINED else result
        return negate(result) if earlier.negated else result

    return predicate


NAMES: Final = frozenset({"tool", "operation"})
"""The fields that the index by tool answers."""
