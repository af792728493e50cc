"""The fields that a match can name, their types, and the operators that apply to a type (R2.e, R3.b).

`match` reads by these tables. What is said of each entry is shown by editors, and stands in
docs/reference/policy-language.md (scripts/reference.py).
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
    FINDING = "a finding"
    ASKED = "an answer to whether it was asked for"
    ORIGIN = "an origin"
    TRUST = "a level of trust"
    DRIFT = "a state of drift"
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
    Type.FINDING: SAME,
    Type.ASKED: SAME,
    Type.ORIGIN: SAME,
    Type.TRUST: SAME | {Operator.EXISTS},
    Type.DRIFT: SAME,
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
        "actions_since_said": Type.NUMBER,
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
    "intent": {"finding": Type.FINDING, "asked": Type.ASKED, "origin": Type.ORIGIN, "trust": Type.TRUST},
    "drift": {"state": Type.DRIFT},
    "signals": {},
}
NAMED: Mapping[str, Type] = {"attempts": Type.NUMBER, "facts": Type.ANY, "ages": Type.NUMBER}
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

_OF_ROLE = "the values, at any depth, of the parameters that the tool's profile gives this role"
FIELDS_SAY: Mapping[str, str] = {
    "tool": "the full name up to its last dot: `email` of `email.send`; a trailing `*` is a prefix",
    "operation": "the full name after its last dot: `send` of `email.send`; a trailing `*` is a prefix",
    "effect": "from the tool's profile",
    "category": "from the tool's profile",
    "destination": _OF_ROLE,
    "resource": _OF_ROLE,
    "amount": _OF_ROLE,
    "content": _OF_ROLE,
    "separation": "what separates agent and engine",
    "parameters": "by name; dots go into objects (`address.city`); `'*'` is every value and key at any depth",
    "context": "what the session has come to",
    "context.level": "the level of the labels in force",
    "context.categories": "the categories of the labels in force",
    "context.request": "what the session was opened for",
    "context.said": "what the user said besides, joined by line ends",
    "context.length": "entries of the session so far: its opening, words, facts, attempts, results",
    "context.elapsed_s": "seconds since the session was opened",
    "context.actions_last_minute": "actions attempted in the last 60 seconds, counted up to 64",
    "context.actions_since_said": "actions since the user last spoke, or answered a question that drift had raised",
    "context.denied": "how often the answer was DENY in the session",
    "context.risk": "the points so far: see Risk of a session",
    "context.intent": "what the application says the session is for: see Intents",
    "context.entities": "destinations and resources that actions of the session named",
    "context.attempts": "attempts of one tool in the session, by its full name `tool.operation`",
    "context.facts": "a fact by name: observed by the application, or found out while the action waits",
    "context.ages": "seconds since this fact was observed, or found out",
    "stored": "labels of the resources that the action names, as written earlier, in whatever session",
    "stored.level": "the highest level among them",
    "stored.categories": "all their categories",
    "identity": "who acts, as far as that was verified",
    "identity.human": "for whom",
    "identity.service": "which service vouches",
    "identity.agent": "which agent",
    "identity.roles": "its roles",
    "identity.scope": "its scope patterns",
    "identity.delegated": "links of the delegation",
    "identity.development": "the identity is the application's own word",
    "identity.authority": "the state of its authority: see Authority",
    "intent": "whether the user asked for the action, and where its targets come from: see Intent of an action",
    "intent.finding": "what is said of the action, in one word",
    "intent.asked": "whether the user asked for the effect, or let a source ask for it",
    "intent.origin": "where the target that decided comes from; `none` where it has no target",
    "intent.trust": "who can have written the source of that target; absent where no source gave it",
    "drift": "how far the session has moved from what was asked for: see Drift",
    "drift.state": "what is said of the session, with this action",
    "signals": "what detectors measured, by name: see Signals",
    "rate": "more than `above` permitted actions of this operation per `human`, `agent` or `destination` in the window",
    "total": "likewise for the sum of the `amount` parameter, this action included",
    "after": "the session was permitted such an action before: see Sequences",
    "not_after": "it was not",
}
_ORDERED = "numbers are compared with numbers, text with text, levels by rank"
_AS_IT_STANDS = "text, as it stands: `..` in a path is not resolved (`prefix` under Modifications is)"
OPERATORS_SAY: Mapping[str, str] = {
    "eq": "is equal: a number to a number, a text to a text",
    "ne": "is not equal",
    "lt": f"is less: {_ORDERED}",
    "le": f"is less or equal: {_ORDERED}",
    "gt": f"is more: {_ORDERED}",
    "ge": f"is more or equal: {_ORDERED}",
    "in": "is one of the listed values",
    "not_in": "is none of the listed values",
    "contains": "a text has the part; a list of `identity`, `context` or `signals` has the element",
    "matches": "RE2 finds the pattern (linear time, unanchored)",
    "starts_with": _AS_IT_STANDS,
    "ends_with": _AS_IT_STANDS,
    "exists": "`true`: a value stands there; `false`: none does",
    "at": "the text names addresses, and they are among the patterns: see Places",
    "external": "`true`: the text names an address outside of the `organisation`; `false`: one inside",
    "under": "the text is a path of one of these folders, or below: see Places",
    "type": "of a parameter, by its name: `text`, `number`, `integer`, `boolean`, `list`, `object`",
    "same": "equal to another field: `identity.human`, `identity.agent`, `identity.service`, `parameters.NAME`",
    "not": "`{not: {matches: …}}`: the condition inside does not hold (not around `ne` and `not_in`: write `eq`, `in`)",
}
