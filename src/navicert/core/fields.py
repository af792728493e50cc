"""Fields: what a condition can look at, and how its value is found in one decision's input (R2.e, R3.b).

* A field answers a value, `ABSENT` (known not to be there), or `UNKNOWN` (nobody populated it).
* Arguments, identity and context are separate namespaces: no argument can be read as one of the others (property 2).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from navicert.core.canonical import decode_parameters
from navicert.core.text import normal_form
from navicert.model.action import ToolProfile
from navicert.model.context import Fact
from navicert.model.evaluation import EvaluationInput


class _Mark:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


ABSENT: Final = _Mark("absent")
UNKNOWN: Final = _Mark("unknown")
ROLES: Final = ("destination", "resource", "amount", "content")
MICRO: Final = 1_000_000


class Subject:
    """One evaluation input, decoded once, for the predicates."""

    __slots__ = ("_roles", "given", "parameters", "places", "profile")

    def __init__(self, given: EvaluationInput, profile: ToolProfile) -> None:
        self.given = given
        self.parameters = decode_parameters(given.action.parameters)
        self.profile = profile
        self._roles: dict[str, Many] = {}
        self.places: dict[str, Any] = {}
        """The addresses that a field names, by its path: read once, since many rules ask for the same."""

    def values(self, role: str) -> Many:
        """Return the values of a role; found once, since many rules ask for the same role."""
        found = self._roles.get(role)
        if found is None:
            found = self._roles[role] = Many(role_values(self.profile, role, self.parameters))
        return found

    def role(self, name: str) -> Any:
        """Return the values of a role as a field has them: `ABSENT` for none."""
        return self.values(name) or ABSENT


class Many(tuple[Any, ...]):
    """Several values of one field, each judged by itself."""

    __slots__ = ()


Getter = Callable[[Subject], Any]


def is_score(field: str) -> bool:
    """Tell whether a field holds a score, in ppm or a model's word: it may tighten, and never loosen (property 6)."""
    if field.startswith(("drift.", "signals.drift_")):
        return True
    return field.startswith("signals.") and (field.endswith("_ppm") or field == "signals.judge_aligned")


def leaves(value: Any, *, keys: bool = False) -> list[Any]:
    """Return the scalar values of a tree, depth first; with `keys`, the keys of its objects too."""
    found: list[Any] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            for key, inner in item.items():
                if keys:
                    found.append(key)
                stack.append(inner)
        elif type(item) is list:
            stack.extend(reversed(item))
        elif item is not None:
            found.append(item)
    return found


def role_values(profile: ToolProfile, role: str, parameters: dict[str, Any]) -> list[Any]:
    """Return the scalar values of every parameter that the profile gives this role."""
    names: tuple[str, ...] = getattr(profile, role)
    return [leaf for name in names for leaf in leaves(_walk(parameters, name.split(".")))]


def amount_micros(profile: ToolProfile, parameters: dict[str, Any]) -> int | None:
    """Return the sum of the action's amounts in millionths; None where it has none, or one that is not a number."""
    values = role_values(profile, "amount", parameters)
    total = Decimal(0)
    for value in values:
        if not _is_amount(value):
            return None
        try:
            total += Decimal(str(value))
        except InvalidOperation:
            return None
    if not values:
        return None
    try:
        return int((total * MICRO).to_integral_value(rounding="ROUND_CEILING"))
    except InvalidOperation:
        return None


def _walk(tree: Any, path: list[str]) -> Any:
    for step in path:
        if type(tree) is not dict or step not in tree:
            return None
        tree = tree[step]
    return tree


def getter(field: str) -> Getter:
    """Return the function that finds a field's value; raises `KeyError` for a field that does not exist."""
    space, _, rest = field.partition(".")
    if space == "parameters":
        return _parameter(rest)
    if space == "amount" and not rest:
        return _amounts
    if space in ROLES and not rest:
        return lambda subject: subject.role(space)
    if space == "context" and rest.startswith("facts."):
        name = rest.removeprefix("facts.")
        return lambda subject: _fact(subject.given, name)
    if space == "context" and rest.startswith("ages."):
        return lambda subject: _age(subject.given, rest.removeprefix("ages."))
    if space == "context" and rest.startswith("attempts."):
        name = rest.removeprefix("attempts.")
        return lambda subject: subject.given.context.counts.get(name, 0)
    if space == "signals":
        return lambda subject: _signal(subject, rest)
    return _FIELDS[field]


def _amounts(subject: Subject) -> Any:
    values = role_values(subject.profile, "amount", subject.parameters)
    return _some([value if _is_amount(value) else UNKNOWN for value in values])


def _is_amount(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and value >= 0


def _parameter(path: str) -> Getter:
    if path == "*":
        return lambda subject: _some(leaves(subject.parameters, keys=True))
    if "." not in path:

        def plain(subject: Subject) -> Any:
            value = subject.parameters.get(path)
            if type(value) is list:
                return Many(value)
            return ABSENT if value is None else value

        return plain
    steps = path.split(".")

    def nested(subject: Subject) -> Any:
        value: Any = subject.parameters
        for step in steps:
            if value is None:
                return ABSENT
            if type(value) is not dict:
                return UNKNOWN
            value = value.get(step)
        if type(value) is list:
            return Many(value)
        return ABSENT if value is None else value

    return nested


def _some(values: list[Any]) -> Any:
    return Many(values) if values else ABSENT


def _signal(subject: Subject, name: str) -> Any:
    value: Any = subject.given.signals.values.get(name, UNKNOWN)
    return Many(value) if type(value) is list else value


def _since_said(subject: Subject) -> int:
    drift = subject.given.context.walked.drift
    return drift.since if drift is not None and drift.said == len(subject.given.context.said) else 0


def _intent(subject: Subject, name: str) -> Any:
    value = _signal(subject, f"intent_{name}")
    return ABSENT if value == "" else value


def _fact(given: EvaluationInput, name: str) -> Any:
    fact = _told(given, name)
    value: Any = UNKNOWN if fact is None or fact.conflicting else fact.value
    return Many(value) if type(value) is list else value


def _told(given: EvaluationInput, name: str) -> Fact | None:
    """What was found out stands over what the context holds; what the session has written to is no source (T10)."""
    own = {name for targets in given.context.walked.reached.values() for item in targets for name in _last(item)[-1:]}
    told = (fact for fact in (*given.facts, *given.context.facts) if fact.name == name)
    return next((fact for fact in told if own.isdisjoint(_last(normal_form(fact.source)))), None)


def _last(place: str) -> list[str]:
    return [word.rpartition("/")[2] for word in place.split()]


def _age(given: EvaluationInput, name: str) -> Any:
    fact = _told(given, name)
    return UNKNOWN if fact is None else (given.now - fact.at) // MICRO


def _pace(subject: Subject) -> int:
    start = subject.given.now - 60 * MICRO
    return sum(1 for at in subject.given.context.pace if at >= start)


_FIELDS: Final[dict[str, Getter]] = {
    "tool": lambda subject: subject.given.action.tool,
    "operation": lambda subject: subject.given.action.operation,
    "effect": lambda subject: subject.profile.effect.value,
    "category": lambda subject: Many(subject.profile.categories) or ABSENT,
    "context.level": lambda subject: subject.given.labels.level,
    "context.categories": lambda subject: subject.given.labels,
    "context.request": lambda subject: subject.given.context.request,
    "context.said": lambda subject: "\n".join(subject.given.context.said),
    "context.length": lambda subject: subject.given.context.length,
    "context.elapsed_s": lambda subject: (subject.given.now - subject.given.context.started_at) // MICRO,
    "context.actions_last_minute": _pace,
    "context.actions_since_said": _since_said,
    "context.denied": lambda subject: subject.given.context.verdicts.get("DENY", 0),
    "context.risk": lambda subject: subject.given.context.walked.risk,
    "context.intent": lambda subject: subject.given.context.claims.intent or UNKNOWN,
    "context.entities": lambda subject: Many(subject.given.context.entities),
    "stored.level": lambda subject: subject.given.shared.stored.level,
    "stored.categories": lambda subject: subject.given.shared.stored,
    "identity.human": lambda subject: subject.given.identity.human,
    "identity.service": lambda subject: subject.given.identity.service,
    "identity.agent": lambda subject: subject.given.identity.agent,
    "identity.roles": lambda subject: Many(subject.given.identity.roles),
    "identity.scope": lambda subject: Many(subject.given.identity.scope),
    "identity.delegated": lambda subject: len(subject.given.identity.delegation),
    "identity.development": lambda subject: subject.given.identity.development,
    "separation": lambda subject: subject.given.separation,
    "identity.authority": lambda subject: subject.given.shared.authority.value,
    "drift.state": lambda subject: _signal(subject, "drift_state"),
    "intent.finding": lambda subject: _intent(subject, "finding"),
    "intent.asked": lambda subject: _intent(subject, "asked"),
    "intent.origin": lambda subject: _intent(subject, "origin"),
    "intent.trust": lambda subject: _intent(subject, "trust"),
}
