"""The fields that a match can name, their types, and the operators that apply to a type (R2.e, R3.b).

These are the tables of docs/reference/policy-language.md, Conditions; `match` reads by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from navicert.model.policy import Operator

ORDER = frozenset({Operator.LT, Operator.LE, Operator.GT, Operator.GE})
AMONG = frozenset({Operator.IN, Operator.NOT_IN})
SAME = frozenset({Operator.EQ, Operator.NE}) | AMONG
PARTS = frozenset({Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH})
PLACES = frozenset({Operator.AT, Operator.EXTERNAL, Operator.UNDER})
_TEXT = SAME | PARTS | {Operator.MATCHES}
OPERATORS: Mapping[str, Operator] = {operator.value: operator for operator in Operator}


class Type(Enum):
    """The type of a field, in words, for messages."""

    TOOL = "a tool's name"
    EFFECT = "an effect"
    LEVEL = "a level"
    AUTHORITY = "a state of authority"
    CATEGORY = "a set of categories"
    TEXT = "text"
    TEXTS = "a list of texts"
    NUMBER = "a number"
    TRUTH = "a boolean"
    SEPARATION = "a kind of separation"
    ANY = "any value"


APPLIES: Mapping[Type, frozenset[Operator]] = {
    Type.TOOL: _TEXT,
    Type.EFFECT: SAME,
    Type.LEVEL: SAME | ORDER,
    Type.AUTHORITY: SAME,
    Type.CATEGORY: SAME | {Operator.CONTAINS},
    Type.TEXT: _TEXT | {Operator.EXISTS, Operator.AT, Operator.EXTERNAL},
    Type.TEXTS: _TEXT | {Operator.EXISTS},
    Type.NUMBER: SAME | ORDER | {Operator.EXISTS},
    Type.TRUTH: frozenset({Operator.EQ, Operator.NE}),
    Type.SEPARATION: SAME,
    Type.ANY: frozenset(Operator),
}

PLAIN: Mapping[str, Type] = {
    "tool": Type.TOOL,
    "operation": Type.TOOL,
    "effect": Type.EFFECT,
    "category": Type.TEXTS,
    "destination": Type.ANY,
    "resource": Type.ANY,
    "amount": Type.NUMBER,
    "content": Type.ANY,
    "separation": Type.SEPARATION,
}
SECTIONS: Mapping[str, Mapping[str, Type]] = {
    "parameters": {},
    "context": {
        "level": Type.LEVEL,
        "categories": Type.CATEGORY,
        "request": Type.TEXT,
        "said": Type.TEXT,
        "length": Type.NUMBER,
        "elapsed_s": Type.NUMBER,
        "actions_last_minute": Type.NUMBER,
        "denied": Type.NUMBER,
        "risk": Type.NUMBER,
        "intent": Type.TEXT,
        "entities": Type.TEXTS,
    },
    "stored": {"level": Type.LEVEL, "categories": Type.CATEGORY},
    "identity": {
        "human": Type.TEXT,
        "service": Type.TEXT,
        "agent": Type.TEXT,
        "roles": Type.TEXTS,
        "scope": Type.TEXTS,
        "delegated": Type.NUMBER,
        "development": Type.TRUTH,
        "authority": Type.AUTHORITY,
    },
    "signals": {},
}
NAMED: Mapping[str, Type] = {"attempts": Type.NUMBER, "facts": Type.ANY}
"""Fields of `context` that go on with a name."""
TALLIES = ("rate", "total")
SEQUENCES = ("after", "not_after")
KEYS = (*PLAIN, *SECTIONS, *TALLIES, *SEQUENCES)
CONSTRAINED = ("parameters", "destination", "resource", "amount", "content", *TALLIES)
"""What `constraints` may say something about."""
PAST = ("tool", "operation", "effect", "category")
"""What a condition on an earlier action may ask for."""
OF_PERSON = ("identity.human", "identity.agent", "identity.service")
"""The fields that `same` compares with, besides parameters."""
