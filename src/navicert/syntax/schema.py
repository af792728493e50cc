"""The JSON Schema (2020-12) of policy files, for editors: made of the tables that the reader reads by (R3.a).

Every file that loads satisfies it. The reader knows more: unique ids, patterns that RE2 takes, who can approve.
"""
# ruff: noqa: SLF001 - the reader's tables belong to this package

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from navicert.core.predicates import TYPES
from navicert.model.policy import Edit, Operator, SourceKind
from navicert.syntax import drift, edits, facts, policy, words
from navicert.syntax import match as matching
from navicert.syntax.fields import (
    AMONG,
    APPLIES,
    CONSTRAINED,
    FIELDS_SAY,
    KEYS,
    NAMED,
    OPERATORS_SAY,
    PARTS,
    PAST,
    PLACES,
    PLAIN,
    SECTIONS,
    SEQUENCES,
    TALLIES,
    Type,
)

Schema = dict[str, Any]
ADDRESS: Final = "https://json-schema.org/draft/2020-12/schema"

_TOP: Final = {
    "policy": "id of this policy set: letters, digits, `-`, `_`, `.`",
    "version": "raise it with every change: a lower one than the one in force does not load",
    "posture": "what happens where no rule matches",
    "sticky": "for how long labels follow human and agent into new sessions",
    "confidence": "below this confidence of the signals: DEFER",
    "risk_limit": "an action that would bring the risk of its session above it: DENY (see Risk of a session)",
    "organisation": "the addresses that are not `external`: patterns as under Places",
    "destinations": "what may be sent where: see Limits on labels",
    "intents": "classes of work and their bounds: see Intents",
    "tools": "tool profiles by full name, `tool.operation`; one here replaces the one in code",
    "facts": "how missing facts are found out while an action waits: see Facts",
    "roles": "what each role may use at most, as scope patterns (`email.send`, `email.*`, `'*'`) by role name; with it,"
    " an identity's scope is cut to what its roles may use together, and one without a listed role may use nothing",
    "supervisors": "people who approve what an agent of reduced authority does, and give it back; not `requester`",
    "cascade": "so many actions may hang on one another while they wait; one more is DENY (R4.f)",
    "withhold": "results that carry one of these levels (or above) or categories are not released: see Results",
    "redact": "what is found of these categories is blanked in results before they are released: see Results",
    "profiles": "`inferred`: a tool that nobody declared is taken for what its name, description and parameters say, or"
    " for the most dangerous; `declared`: it is refused",
    "drift": "how far a session may move from what was asked for, by the kind of agent: see Drift",
    "rules": "of the matching rules, those with the highest priority decide",
}
_OF_RULE: Final = {
    "id": "unique in the file; names that begin with `navicert.` are reserved",
    "name": "for people",
    "match": "conditions, all of which must hold; left out: every action",
    "decision": "what happens where the rule matches",
    "classification": "`forbidden`: a DENY that nothing overrides; left out: static; see Classifications",
    "priority": "a higher number decides before a lower one",
    "reason": "for people; what the agent is told, too",
    "risk": "how much is at stake; sorts what waits",
    "constraints": "what must hold besides where the rule permits or asks; else DENY: see Constraints",
    "modifications": "how MODIFY changes parameters: see Modifications",
    "approvers": "who may answer; with DEFER they are asked when nothing more can be found out. `requester` is the"
    " human whose agent it is: to *confirm* what their own agent does",
    "approvals": "how many different people must approve, and no more than could; with 2 or more, the requester never"
    " counts. Only with `approvers`",
    "escalate": "these may answer too, once so long nobody has: no approvers, nor `requester`; before `timeout`",
    "timeout": "then DENY",
    "set_context": "what the action returns carries this label",
    "adds_risk": "points that the action adds to the risk of its session where the rule matches",
    "authority": "where the rule matches, the agent's authority becomes at most this, from the next action on",
    "shadow": "the rule decides nothing; what would have been decided with it is in the receipt",
    "require_witnessed": "what it permits starts only once a quorum of witnesses has confirmed the log up to the"
    " decision, and else not at all",
}
_DEFAULTS: Final = {
    "sticky": words.spelled(policy.DEFAULT_STICKY_S),
    "confidence": 0,
    "cascade": policy.DEFAULT_CASCADE,
    "profiles": "declared",
    "priority": 0,
    "risk": "medium",
    "approvals": 1,
    "timeout": words.spelled(policy.DEFAULT_TIMEOUT_S),
}
EDITS_SAY: Final = {
    "set": "this value",
    "cap": "at most this; where a tool takes `-1` for no limit, add a DENY for `{limit: {lt: 1}}`",
    "redact": "what RE2 finds becomes `[redacted]`, in each text of a list too",
    "prefix": "the path is re-rooted under it, without `..`, each one of a list too",
    "drop": "the parameter is left out",
}
SOURCES_SAY: Final = {
    "file": "absolute path of JSON or plain text, without empty, `.` or `..` parts; governed tools cannot write it",
    "http": "`https:`, or `http:` to `localhost`, `127.0.0.1` or `[::1]`; no user, no `#`",
    "command": "the absolute path of a program, then its arguments; its standard output is the answer",
    "requester": "a question on one line, without `at`, to the human whose agent it is",
}
POSTURES_SAY: Final = {
    "deny": "nothing passes without a rule",
    "declared_reads": "tools declared with effect `read` pass",
    "declared_tools": "every declared tool passes",
}


def policy_schema() -> Schema:
    """Return the schema of a policy file."""
    rules = {"type": "array", "items": {"$ref": "#/$defs/rule"}}
    top: Schema = {
        "policy": _text(words.MAX_ID, pattern="^[A-Za-z0-9._-]+$"),
        "version": _integer(1, policy.MAX_VERSION),
        "posture": _choice(policy._POSTURES),
        "sticky": _DURATION,
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "risk_limit": _integer(0, policy.MAX_RISK),
        "organisation": _names(words.MAX_PARAMETER),
        "destinations": {"type": "array", "items": _destination(), "minItems": 1},
        "intents": _map(_intent()) | {"minProperties": 1},
        "tools": _map(_tool(), matching.TOOL_NAME.pattern),
        "facts": _map(_fact()),
        "roles": _map(_names(2 * words.MAX_ID, f"^(?:{policy._SCOPE.pattern})$")) | {"minProperties": 1},
        "supervisors": _names(words.MAX_ID),
        "cascade": _integer(1, policy.MAX_CASCADE),
        "withhold": _kept_back(),
        "redact": _kept_back(),
        "profiles": _choice(policy._PROFILES),
        "drift": _drift(),
        "rules": rules,
    }
    return {
        "$schema": ADDRESS,
        "title": "navicert policy",
        **_object(top, policy._POLICY, ("policy", "version", "posture"), _TOP),
        "$defs": {"rule": _rule(), "match": _match()} | {kind.name.lower(): _condition(kind) for kind in Type},
    }


# -------------------------------------------------------------------------------------------------------------- pieces

_DURATION: Final[Schema] = {"type": "string", "pattern": "^(?:0|[1-9][0-9]{0,8})[smhd]$", "examples": ["30s", "1d"]}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}


def _object(
    properties: Schema, order: tuple[str, ...], required: tuple[str, ...] = (), says: Mapping[str, str] | None = None
) -> Schema:
    """Return a closed object of these keys; raises `KeyError` where the reader knows a key that has no schema here."""
    described = {key: properties[key] | (_said(key, says) if says else {}) for key in order}
    found: Schema = {"type": "object", "properties": described, "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


def _said(key: str, says: Mapping[str, str]) -> Schema:
    default = {"default": _DEFAULTS[key]} if key in _DEFAULTS and says in (_TOP, _OF_RULE) else {}
    return {"description": says[key], **default}


def _map(value: Schema, names: str = "") -> Schema:
    named = {"propertyNames": {"pattern": f"^(?:{names})$"}} if names else {}
    return {"type": "object", "additionalProperties": value, **named}


def _choice(options: Any) -> Schema:
    return {"enum": list(options)}


def _integer(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _text(most: int, pattern: str = "") -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most} | ({"pattern": pattern} if pattern else {})


def _names(most: int, pattern: str = "") -> Schema:
    one = _text(most, pattern)
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}]}


def _label(level: str) -> Schema:
    inner = {level: _choice(policy._LEVELS), "categories": _names(words.MAX_ID)}
    return _object(inner, (level, "categories"), (level,))


def _kept_back() -> Schema:
    return {"anyOf": [_names(words.MAX_ID), {"type": "array", "maxItems": 0}]}


def _limit() -> Schema:
    inner = {"level": _choice(policy._LEVELS), "categories": _kept_back()}
    return {"anyOf": [_choice(policy._LEVELS), _object(inner, ("level", "categories"), ("level", "categories"))]}


def _destination() -> Schema:
    names = _names(words.MAX_PARAMETER)
    places = {"at": names, "in": names, "matches": _text(words.MAX_PATTERN)}
    found = _object(places | {"accepts": _limit()}, policy._DESTINATION, ("accepts",))
    return found | {"anyOf": [{"required": [key]} for key in places]}


def _drift() -> Schema:
    inner: Schema = {"profile": _choice(drift.KINDS)}
    inner |= {key: {"type": "number", "minimum": 0, "maximum": most} for key, (_, most) in drift.SHARES.items()}
    inner |= {key: _integer(0, most) for key, (_, most) in drift.COUNTS.items()}
    return _object(inner, drift.KEYS) | {"minProperties": 1}


def _intent() -> Schema:
    tools = _names(2 * words.MAX_ID, f"^(?:{policy._SCOPE.pattern})$")
    inner = {"tools": tools, "accepts": _limit(), "actions": _integer(1, policy.MAX_ACTIONS)}
    return _object(inner, policy._INTENT, ("tools",))


def _tool() -> Schema:
    inner: Schema = dict.fromkeys(policy._ROLES, _names(words.MAX_PARAMETER))
    inner["effect"] = _choice(policy._EFFECTS)
    inner["categories"] = _names(words.MAX_ID)
    inner["accepts"] = _limit()
    inner["returns"] = {"anyOf": [_choice(policy._LEVELS), _label("level")]}
    inner["withhold"] = inner["redact"] = _kept_back()
    inner["trust"] = _choice(policy._TRUSTS)
    inner["memory"] = {"type": "boolean"}
    return _object(inner, policy._TOOL, ("effect",))


def _fact() -> Schema:
    """One place named directly, or several under `sources`."""
    command = {"type": "array", "items": {"type": "string", "maxLength": facts.MAX_PLACE}, "minItems": 1}
    places: Schema = {
        SourceKind.FILE: _text(facts.MAX_PLACE, "^/"),
        SourceKind.HTTP: _text(facts.MAX_PLACE, "^https?://"),
        SourceKind.COMMAND: command,
        SourceKind.REQUESTER: _text(facts.MAX_QUESTION),
        "at": {"type": "string", "maxLength": facts.MAX_PLACE, "pattern": "^(?:/|$)"},
    }
    one = [{"required": [kind.value]} for kind in SourceKind]
    places |= {kind: places[kind] | _said(kind, SOURCES_SAY) for kind in facts._KINDS}
    source = _object(places, facts._SOURCE) | {"oneOf": one}
    rest: Schema = {
        "sources": {"type": "array", "items": source, "minItems": 1},
        "attempts": _integer(1, facts.MAX_ATTEMPTS),
        "every": _DURATION,
        "within": _DURATION,
    }
    return _object(places | rest, facts._FACT) | {"oneOf": [*one, {"required": ["sources"]}]}


# --------------------------------------------------------------------------------------------------------------- rules


def _rule() -> Schema:
    person = _names(words.MAX_ID)
    changes = {edit.value: _edit(edit) | _said(edit.value, EDITS_SAY) for edit in Edit}
    modification = {"parameter": _text(words.MAX_PARAMETER), **changes}
    one_edit = {"minProperties": 2, "maxProperties": 2}
    edited = _object(modification, ("parameter", *edits.EDITS), ("parameter",)) | one_edit
    inner: Schema = {
        "id": _text(words.MAX_ID),
        "name": _text(words.MAX_NAME),
        "match": {"$ref": "#/$defs/match"},
        "decision": _choice(policy._VERDICTS),
        "classification": _choice(policy._CLASSES),
        "priority": _integer(-policy.MAX_PRIORITY, policy.MAX_PRIORITY),
        "reason": {"type": "string", "minLength": 1},
        "risk": _choice(policy._RISKS),
        "constraints": _constraints(),
        "modifications": {"type": "array", "items": edited, "minItems": 1},
        "approvers": person,
        "approvals": _integer(1, policy.MAX_APPROVALS),
        "escalate": _object({"after": _DURATION, "to": person}, policy._ESCALATE, policy._ESCALATE),
        "timeout": _DURATION,
        "set_context": _label("data_classification"),
        "adds_risk": _integer(1, policy.MAX_RISK),
        "authority": _choice(policy._LOWERED),
        "shadow": {"const": True},
        "require_witnessed": {"const": True},
    }
    return {
        **_object(inner, policy._RULE, ("id",), _OF_RULE),
        "anyOf": [{"required": [key]} for key in ("decision", "set_context", "authority", "adds_risk")],
        "dependentRequired": {"approvals": ["approvers"]},
        "dependentSchemas": {key: _decides(verdicts) for key, verdicts in policy._ONLY_WITH.items()},
        "allOf": [
            *({"if": _is("classification", of), "then": _decides(to)} for of, to in policy._DECISIONS_OF.items()),
            *({"if": _is("decision", of), "then": {"required": [key]}} for of, key in policy._REQUIRED_WITH.items()),
        ],
    }


def _is(key: str, value: str) -> Schema:
    return {"required": [key], "properties": {key: {"const": str(value)}}}


def _decides(verdicts: tuple[str, ...]) -> Schema:
    return {"required": ["decision"], "properties": {"decision": _choice(map(str, verdicts))}}


def _edit(edit: Edit) -> Schema:
    match edit:
        case Edit.SET:
            return {}
        case Edit.CAP:
            return {"type": "number"}
        case Edit.REDACT:
            return _text(words.MAX_PATTERN)
        case Edit.PREFIX:
            return _text(words.MAX_PARAMETER)
        case Edit.DROP:
            return {"const": True}


# ---------------------------------------------------------------------------------------------------------- conditions


def _of(kind: Type) -> Schema:
    return {"$ref": f"#/$defs/{kind.name.lower()}"}


def _match() -> Schema:
    past = {field: _of(PLAIN[field]) for field in PAST}
    one = _object(past | {"within": _DURATION}, (*PAST, "within")) | {"anyOf": [{"required": [key]} for key in PAST]}
    earlier = {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    return _object(_fields() | dict.fromkeys(SEQUENCES, earlier), KEYS, says=FIELDS_SAY)


def _constraints() -> Schema:
    return _object(_fields(), CONSTRAINED, says=FIELDS_SAY) | {"minProperties": 1}


def _fields() -> Schema:
    inner: Schema = {field: _of(kind) for field, kind in PLAIN.items()}
    for section, fields in SECTIONS.items():
        named: Schema = {field: _of(kind) | _said(f"{section}.{field}", FIELDS_SAY) for field, kind in fields.items()}
        inner[section] = {"type": "object", "minProperties": 1, "properties": named}
        inner[section]["additionalProperties"] = False if named else _of(Type.ANY)
    for group, kind in NAMED.items():
        named = _map(_of(kind)) | {"minProperties": 1} | _said(f"context.{group}", FIELDS_SAY)
        inner["context"]["properties"][group] = named
    inner["context"]["patternProperties"] = {f"^{group}\\..": _of(kind) for group, kind in NAMED.items()}
    for word in TALLIES:
        most = matching.MAX_COUNT if word == "rate" else matching.MAX_TOTAL
        above = _integer(0, most) if word == "rate" else {"type": "number", "minimum": 0, "maximum": most}
        tally = {"per": _choice(matching._PER), "above": above, "window": _DURATION}
        inner[word] = _object(tally, matching._TALLY, matching._TALLY)
    return inner


def _condition(kind: Type) -> Schema:
    """A scalar (equals), a list (is one of), or operators."""
    operators: Schema = {each.value: _operand(kind, each) for each in Operator if each in APPLIES[kind]}
    positive = {word: value for word, value in operators.items() if word not in {Operator.NE, Operator.NOT_IN}}
    under = _object(positive, tuple(positive)) | {"minProperties": 1, "maxProperties": 1}
    table = _object(operators | {"not": under}, (*operators, "not"), says=OPERATORS_SAY) | {"minProperties": 1}
    lists = [_operand(kind, Operator.IN)] if Operator.IN in APPLIES[kind] else []
    return {"anyOf": [_value(kind), *lists, table]}


def _operand(kind: Type, operator: Operator) -> Schema:
    if operator in {Operator.EXISTS, Operator.EXTERNAL}:
        return {"type": "boolean"}
    if operator is Operator.TYPE:
        return _choice(TYPES)
    if operator in PLACES:
        return _names(words.MAX_PARAMETER)
    if operator is Operator.MATCHES:
        return _text(words.MAX_PATTERN)
    if operator in AMONG:
        return {"type": "array", "items": _value(kind), "minItems": 1}
    if operator in PARTS and kind is not Type.CATEGORY and not (kind is Type.ANY and operator is Operator.CONTAINS):
        return {"type": "string", "minLength": 1}
    return _value(kind)


def _value(kind: Type) -> Schema:
    match kind:
        case Type.LEVEL:
            return _choice(matching._LEVELS)
        case Type.EFFECT:
            return _choice(matching._EFFECTS)
        case Type.AUTHORITY:
            return _choice(matching._STATES)
        case Type.NUMBER:
            return {"type": "number"}
        case Type.SEPARATION | Type.FINDING | Type.ASKED | Type.ORIGIN | Type.TRUST | Type.DRIFT:
            return _choice(matching.CHOICES[kind])
        case Type.TRUTH:
            return {"type": "boolean"}
        case Type.ANY:
            return _SCALAR
        case _:
            return {"type": "string"}
