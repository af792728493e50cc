"""Operators: the test of one scalar value, for each operator of the policy language (R3.b).

* Three answers: where the operator cannot judge a value of this type, it is undetermined, never false.
* Each test is made once, when a policy is compiled, for its one operand; what can be looked up is looked up.
"""

from __future__ import annotations

import operator as builtin
from collections.abc import Callable
from typing import Any, Final

import re2

from navicert.core.kleene import FALSE, TRUE, UNDETERMINED
from navicert.model.labels import Level
from navicert.model.policy import Operator

Test = Callable[[Any], int]
_ORDER: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LT: builtin.lt,
    Operator.LE: builtin.le,
    Operator.GT: builtin.gt,
    Operator.GE: builtin.ge,
}


def test_of(operator: Operator, expected: Any) -> Test:
    """Return the test of one scalar value; raises `KeyError` for an operator that is made of another one."""
    match operator:
        case Operator.EQ:
            return equals(expected)
        case Operator.IN:
            return _among(expected)
        case Operator.LT | Operator.LE | Operator.GT | Operator.GE:
            return _ordered(_ORDER[operator], expected)
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


def equals(expected: Any) -> Test:
    """Return the test for one value; a value of another type is undetermined."""
    kind = _kind(expected)
    if kind == "text":
        return _among([expected])

    def same(value: Any) -> int:
        if _kind(value) != kind:
            return UNDETERMINED
        return TRUE if value == expected else FALSE

    return same


def _among(expected: Any) -> Test:
    texts = frozenset(item for item in expected if isinstance(item, str))
    levels = frozenset(Level[item] for item in texts if item in Level.__members__)
    others = [equals(item) for item in expected if not isinstance(item, str)]

    def among(value: Any) -> int:
        if type(value) is str:
            if texts:
                return TRUE if value in texts else FALSE
            return UNDETERMINED
        if type(value) is Level:
            if texts:
                return TRUE if value in levels else FALSE
            return UNDETERMINED
        comparable = False
        for test in others:
            outcome = test(value)
            if outcome == TRUE:
                return TRUE
            comparable = comparable or outcome == FALSE
        return FALSE if comparable else UNDETERMINED

    return among


def _ordered(holds: Callable[[Any, Any], bool], expected: Any) -> Test:
    kind = _kind(expected)
    level = Level.__members__.get(expected) if kind == "text" else None

    def ordered(value: Any) -> int:
        if type(value) is Level:
            return UNDETERMINED if level is None else TRUE if holds(value, level) else FALSE
        if _kind(value) != kind:
            return UNDETERMINED
        return TRUE if holds(value, expected) else FALSE

    return ordered


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "other")


_KINDS: Final[dict[type, str]] = {bool: "bool", Level: "level", int: "number", float: "number", str: "text"}


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
