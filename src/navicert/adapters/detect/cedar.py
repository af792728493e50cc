"""Cedar `forbid` policies as hard constraints (port `Detector`; property 5, R3.a: *forbidden*, R1.c).

* Cedar is asked before the decision. Its answer is a signal, of which the built-in rule `navicert.cedar` makes a DENY.
* Cedar skips a policy that it cannot evaluate, and answers as if there were none. Here every error, and every answer
  that is not exactly as expected, makes the signal unknown: the action is not permitted.
* Requests are made by `_request`, and described in docs/how-to/use-cedar-policies.md. What Cedar cannot represent
  stays there as a value that equals nothing and cannot be calculated with; it is never left out.
* The session's labels are no part of them: what is in force is only known when the action is judged.
* The library is an extra (`navicert[cedar]`), loaded with the policies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from navicert.core.builtin import cedar_signal
from navicert.core.fields import MICRO, amount_micros, role_values
from navicert.core.inert import inert
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import PolicyError, Unavailable
from navicert.model.signals import Finding
from navicert.model.value import Json

if TYPE_CHECKING:
    from cedarpy import PolicySet

_PERMIT: Final = "permit(principal, action, resource);"
_PROBE: Final = "forbid(principal, action, resource) when { context.nothing };"
_PROBED: Final = {"principal": 'A::"a"', "action": 'Action::"a"', "resource": 'A::"a"', "context": {}}
_LONGS: Final = range(-(2**63), 2**63)
_PLACES: Final = 4
_MOST: Final = Decimal(2**63 - 1).scaleb(-_PLACES)
_ESCAPES: Final = frozenset({"__entity", "__extn", "__expr"})
"""Keys by which Cedar's JSON says that an object is none; an argument that has them would be read as something else."""


class CedarForbids:
    """A `Detector`: whether a Cedar policy forbids the action, and which (`cedar_policies`)."""

    name = "cedar"
    inline = False  # a foreign library: it has the deadline, and what it may do to its thread

    def __init__(self, text: str, source: str) -> None:
        """Load policies; raises `PolicyError` with the place for anything but `forbid` policies. source: for messages.

        Raises it too where cedarpy is missing, or does not report errors as it is read here.
        """
        self._loaded = _Loaded(text, source)
        try:
            _Loaded(_PROBE, source).ask(_PROBED, [])
        except Unavailable:
            return
        raise PolicyError(f"{source}: this cedarpy does not report what fails; install `navicert[cedar]` afresh")

    @property
    def digest(self) -> str:
        """SHA-256 of the text, as hex."""
        return self._loaded.digest

    @property
    def signals(self) -> tuple[str, ...]:
        """The signal of these very policies, and the names of those that forbid."""
        return (cedar_signal(self.digest), "cedar_policies")

    def adopt(self, other: CedarForbids) -> None:
        """Ask the other's policies from now on."""
        self._loaded = other._loaded

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return whether the action is forbidden; raises `Unavailable` wherever Cedar does not say so without fail."""
        loaded = self._loaded
        forbidding = loaded.ask(*_request(action, parameters, context))
        return Finding(values={cedar_signal(loaded.digest): bool(forbidding), "cedar_policies": [*forbidding]})


class _Loaded:
    """The policies of one text, ready to be asked. Immutable; any thread may ask."""

    def __init__(self, text: str, source: str) -> None:
        try:
            from cedarpy import PolicySet
        except ImportError:
            raise PolicyError(f"{source}: Cedar policies need a library; install `navicert[cedar]`") from None
        names = [*_names(text, source)]
        if not names:
            raise PolicyError(f"{source}: holds no policy; write a `forbid`, or remove `cedar` from the configuration")
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self._names = {f"policy{number}": name for number, name in enumerate(names)}
        self._permit = f"policy{len(names)}"
        self._policies: PolicySet = PolicySet.from_str(text).with_added_str(_PERMIT)

    def ask(self, request: dict[str, Any], entities: list[dict[str, Any]]) -> tuple[str, ...]:
        """Return the names of the policies that forbid: none only where each was evaluated, and does not."""
        import cedarpy

        answer = cedarpy.is_authorized(request, self._policies, entities)
        reasons, errors = answer.diagnostics.reasons, answer.diagnostics.errors
        if answer.decision is cedarpy.Decision.Deny and reasons:
            return tuple(self._names[reason] for reason in reasons)
        if answer.decision is cedarpy.Decision.Allow and reasons == [self._permit] and errors == []:
            return ()
        # what Cedar says of a failure may quote arguments (T9)
        failed = [name for number, name in self._names.items() if any(f"`{number}`" in str(text) for text in errors)]
        raise Unavailable(f"cedar: {', '.join(failed) or 'the request'} could not be evaluated")


def _names(text: str, source: str) -> Iterator[str]:
    """Yield what to call each policy: its `@id`, or its line; raises `PolicyError` for what is not a plain `forbid`."""
    from cedarpy import policies_to_json_str

    start, end = 0, text.find(";")
    while True:
        piece = text[start : end + 1 or None]
        lead = start + len(piece) - len(piece.lstrip())
        line, column = text.count("\n", 0, lead) + 1, lead - text.rfind("\n", 0, lead)
        place = f"{source}:{line}:{column}"
        try:
            found = json.loads(policies_to_json_str(piece))
        except (ValueError, RecursionError) as error:
            if end < 0:
                raise PolicyError(f"{place}: this is no Cedar policy: {inert(str(error))}") from None
        else:
            if found["templates"]:
                raise PolicyError(f"{place}: a template forbids nothing by itself; write the policy out")
            for policy in found["staticPolicies"].values():
                if policy["effect"] != "forbid":
                    raise PolicyError(
                        f"{place}: only `forbid` is taken from Cedar; write what is permitted as a rule of the policy"
                    )
                yield policy.get("annotations", {}).get("id") or f"line {line}"
                start = end + 1
        if end < 0:
            return
        end = text.find(";", end + 1)


def _request(
    action: Action, parameters: Mapping[str, Json], context: SessionContext
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the request and its entities; the claims are those that the identity was verified by."""
    claims, profile = context.claims, action.profile
    if not claims.human or not claims.agent or profile is None:
        raise Unavailable("cedar: nobody is named for this action, or its tool is not known")
    agent, operation, tool = _uid("Agent", claims.agent), _uid("Action", action.name), _uid("Tool", action.tool)
    plain = dict(parameters)
    told: dict[str, Any] = {
        "parameters": _value(plain),
        "identity": {"human": claims.human, "agent": claims.agent, "roles": [*claims.roles]},
        **{role: [_value(item) for item in role_values(profile, role, plain)] for role in ("destination", "resource")},
    }
    if role_values(profile, "amount", plain):
        micros = amount_micros(profile, plain)
        if micros is None:
            raise Unavailable("cedar: an amount of this action is not a number")
        told["amount"] = _decimal(Decimal(micros) / MICRO)
    entities = [
        _entity(agent, _uid("Human", claims.human), *(_uid("Role", role) for role in claims.roles)),
        _entity(operation, _uid("Action", profile.effect.value)),
        _entity(tool, *(_uid("Category", name) for name in profile.categories)),
    ]
    return {"principal": agent, "action": operation, "resource": tool, "context": told}, entities


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def _entity(uid: dict[str, str], *parents: dict[str, str]) -> dict[str, Any]:
    return {"uid": uid, "attrs": {}, "parents": [*parents]}


def _value(value: Json) -> Any:
    """Return an argument as Cedar's JSON has it; null counts as left out (ADR 0011)."""
    if isinstance(value, dict):
        if not _ESCAPES.isdisjoint(value):
            raise Unavailable("cedar: an argument has a key that Cedar would not take for data")
        return {name: _value(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_value(item) for item in value if item is not None]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float) or (isinstance(value, int) and value not in _LONGS):
        return _decimal(Decimal(str(value)))
    return value


def _decimal(number: Decimal) -> dict[str, Any]:
    """Return a number that is no 64-bit integer: as `decimal`, else as an entity, which only equals the same number."""
    if abs(number) <= _MOST and number == round(number, _PLACES):
        return {"__extn": {"fn": "decimal", "arg": f"{number:.{_PLACES}f}"}}
    return {"__entity": _uid("Number", f"{number:f}")}
