"""Top level, tools, people and rules: what a policy file means (R3.a; docs/reference/policy-language.md).

* Which fields a rule may have depends on its decision: the constraints stand in the tables below.
* A rule that waits has a timeout, stated or not, so that rules which say the same thing have the same content.
* What nobody could ever satisfy does not load: more approvals than people, an escalation after the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from navicert.core.builtin import PREFIX
from navicert.intent.values import Trust
from navicert.model.action import Effect, ToolProfile
from navicert.model.authority import LADDER, Authority
from navicert.model.decision import Classification, Verdict
from navicert.model.errors import PolicyError
from navicert.model.labels import Labels, Level, Limit
from navicert.model.policy import Destination, Intent, PolicySet, Posture, Rule
from navicert.model.value import Value
from navicert.syntax import words
from navicert.syntax.drift import read_drift
from navicert.syntax.edits import read_modifications
from navicert.syntax.facts import read_facts
from navicert.syntax.match import TOOL_NAME, Match, places, read_constraints, read_match
from navicert.syntax.reader import Fault, Items, Node, Place, Scalar, Table, kind, read_yaml, shown

DEFAULT_TIMEOUT_S = 15 * 60
DEFAULT_STICKY_S = 86_400
DEFAULT_CASCADE = 3
MAX_VERSION = 2**53 - 1
MAX_PRIORITY = 1_000_000_000
MAX_APPROVALS = 16
MAX_CASCADE = 16
MAX_RISK = 1_000_000
MAX_ACTIONS = 1_000_000
REQUESTER = "requester"

_POLICY = (
    "policy", "version", "posture", "sticky", "confidence", "risk_limit", "organisation", "tools", "destinations",
    "intents", "facts", "roles", "supervisors", "cascade", "withhold", "redact", "profiles", "drift", "rules",
)  # fmt: skip
_ROLES = ("destination", "resource", "amount", "content")
_TOOL = ("effect", *_ROLES, "categories", "accepts", "returns", "withhold", "redact", "trust", "memory")
_DESTINATION = ("at", "in", "matches", "accepts")
_INTENT = ("tools", "accepts", "actions")
_RULE = (
    "id", "name", "match", "decision", "classification", "priority", "reason", "risk", "constraints", "modifications",
    "approvers", "approvals", "escalate", "timeout", "set_context", "adds_risk", "authority", "shadow",
    "require_witnessed",
)  # fmt: skip

_POSTURES = {posture.value: posture for posture in Posture}
_EFFECTS = {effect.value: effect for effect in Effect}
_LEVELS = {level.name: level for level in Level}
_TRUSTS = {trust.value: trust.value for trust in Trust}
_PROFILES = {word: word for word in ("declared", "inferred")}
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_RISKS = {risk: risk for risk in ("low", "medium", "high", "critical")}
_CLASSES = {each.value: each for each in Classification if each is not Classification.STATIC}
_LOWERED = {state.value: state for state in LADDER if state is not Authority.FULL}

_DECISIONS_OF: Mapping[Classification, tuple[Verdict, ...]] = {
    Classification.FORBIDDEN: (Verdict.DENY,),
    Classification.CONTEXT_DENY: (Verdict.DENY,),
    Classification.CONTEXT_ALLOW: (Verdict.ALLOW, Verdict.STEP_UP),
    Classification.CONTEXT_DEFER: (Verdict.DEFER,),
}
_ONLY_WITH: Mapping[str, tuple[Verdict, ...]] = {
    "constraints": (Verdict.ALLOW, Verdict.MODIFY, Verdict.STEP_UP),
    "modifications": (Verdict.MODIFY,),
    "approvers": (Verdict.STEP_UP, Verdict.DEFER),
    "approvals": (Verdict.STEP_UP, Verdict.DEFER),
    "escalate": (Verdict.STEP_UP,),
    "timeout": (Verdict.STEP_UP, Verdict.DEFER),
    "shadow": tuple(Verdict),
    "require_witnessed": (Verdict.ALLOW, Verdict.MODIFY, Verdict.STEP_UP),
}
_ESCALATE = ("after", "to")
_REQUIRED_WITH: Mapping[Verdict, str] = {Verdict.MODIFY: "modifications", Verdict.STEP_UP: "approvers"}


class Spans(Value, frozen=True):
    """Where things stand in the file: (line, column), counted from 1, by rule id and by full tool name.

    keys: of each key, by the id of its rule (empty: of none) and its way in there, `match.parameters.path`.
    """

    rules: dict[str, tuple[int, int]] = {}
    tools: dict[str, tuple[int, int]] = {}
    keys: dict[tuple[str, str], tuple[int, int]] = {}


def read_policy(text: str, source: str = "policy.yaml") -> tuple[PolicySet, Spans]:
    """Return what a policy file means, and where its rules and tools stand.

    Raises `PolicyError` with the first thing that is wrong, as `source:line:column: what; what to do`.
    """
    try:
        return _policy(read_yaml(text))
    except Fault as fault:
        line, column = fault.place
        raise PolicyError(f"{source}:{line}:{column}: {fault}") from None


def _policy(file: Table) -> tuple[PolicySet, Spans]:
    words.fields(file, "the policy", _POLICY, ("policy", "version", "posture"))
    nodes = file.nodes
    ours = places(nodes["organisation"], "`organisation`") if "organisation" in nodes else None
    tools, tool_places = read_tools(nodes["tools"]) if "tools" in nodes else ((), {})
    rules, rule_places = _rules(nodes["rules"], ours) if "rules" in nodes else ((), {})
    policy = PolicySet(
        policy=words.identifier(nodes["policy"], "`policy`"),
        version=words.integer(nodes["version"], "`version`", 1, MAX_VERSION),
        posture=words.choice(nodes["posture"], "`posture`", _POSTURES),
        tools=tools,
        rules=rules,
        sticky_s=words.duration(nodes["sticky"], "`sticky`", least=0) if "sticky" in nodes else DEFAULT_STICKY_S,
        confidence_ppm=words.millionths(nodes["confidence"], "`confidence`", 1) if "confidence" in nodes else 0,
        facts=read_facts(nodes["facts"]) if "facts" in nodes else (),
        roles=_ceilings(nodes["roles"]) if "roles" in nodes else None,
        supervisors=_people(nodes["supervisors"], "`supervisors`") if "supervisors" in nodes else (),
        cascade=words.integer(nodes["cascade"], "`cascade`", 1, MAX_CASCADE) if "cascade" in nodes else DEFAULT_CASCADE,
        destinations=_destinations(nodes["destinations"]) if "destinations" in nodes else (),
        intents=_intents(nodes["intents"]) if "intents" in nodes else (),
        risk_limit=words.integer(nodes["risk_limit"], "`risk_limit`", 0, MAX_RISK) if "risk_limit" in nodes else None,
        withhold=_kept_back(nodes, "withhold") or (),
        redact=_kept_back(nodes, "redact") or (),
        profiles=words.choice(nodes["profiles"], "`profiles`", _PROFILES) if "profiles" in nodes else "declared",
        drift=read_drift(nodes["drift"]) if "drift" in nodes else None,
    )
    return policy, Spans(rules=rule_places, tools=tool_places, keys=dict(_key_places(file)))


def _key_places(file: Table) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """Return where each key stands: of the top level two deep, of rules down to their conditions."""
    rules = file.nodes.get("rules")
    for item in rules.nodes if isinstance(rules, Items) else ():
        rule = item.nodes["id"] if isinstance(item, Table) else None
        if isinstance(item, Table) and isinstance(rule, Scalar):
            yield from _below(item, str(rule.value), "", 4)
    yield from _below(file, "", "", 2)


def _below(table: Table, rule: str, way: str, depth: int) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    for key, place in table.keys.items():
        yield (rule, way + key), (place.line, place.column)
        inner = table.nodes[key]
        if depth > 1 and isinstance(inner, Table):
            yield from _below(inner, rule, f"{way}{key}.", depth - 1)


# --------------------------------------------------------------------------------------------------------------- tools


def read_tools(node: Node) -> tuple[tuple[ToolProfile, ...], dict[str, tuple[int, int]]]:
    """Return the profiles under `tools`, sorted, and where each stands; raises `Fault`."""
    found = words.table(node, "`tools`")
    profiles = []
    for name, place in sorted(found.keys.items()):
        if not TOOL_NAME.fullmatch(name) or len(name) > 2 * words.MAX_ID:
            hint = "write `tool.operation` with letters, digits, `_` and `-`"
            raise Fault(place, f"{shown(name)} is no full tool name; {hint}")
        profiles.append(_tool(name, found.nodes[name]))
    return tuple(profiles), {name: (place.line, place.column) for name, place in found.keys.items()}


def _tool(name: str, node: Node) -> ToolProfile:
    found = words.fields(node, f"the tool {shown(name)}", _TOOL, ("effect",))
    nodes = found.nodes
    roles = {role: _parameters(nodes[role], f"`{role}`") if role in nodes else () for role in _ROLES}
    return ToolProfile(
        tool=name,
        effect=words.choice(nodes["effect"], "`effect`", _EFFECTS),
        categories=_categories(nodes["categories"]) if "categories" in nodes else (),
        destination=roles["destination"],
        resource=roles["resource"],
        amount=roles["amount"],
        content=roles["content"],
        returns=read_returns(nodes["returns"]) if "returns" in nodes else None,
        accepts=_limit(nodes["accepts"]) if "accepts" in nodes else None,
        withhold=_kept_back(nodes, "withhold"),
        redact=_kept_back(nodes, "redact"),
        trust=words.choice(nodes["trust"], "`trust`", _TRUSTS) if "trust" in nodes else Trust.PUBLIC.value,
        memory="memory" in nodes and words.truth(nodes["memory"], "`memory`"),
    )


def _kept_back(nodes: Mapping[str, Node], key: str) -> tuple[str, ...] | None:
    """Levels and categories to withhold, or categories to redact; an empty list lifts what the policy says for all."""
    names = _categories(nodes[key], f"`{key}`") if key in nodes else None
    for level in (name for name in names or () if key == "redact" and name in _LEVELS):
        raise Fault(_entry(nodes[key], level), f"{shown(level)} is a level; name categories, or `withhold` it")
    return names


def _parameters(node: Node, what: str) -> tuple[str, ...]:
    return tuple(words.parameter(name, node.place) for name in words.names(node, what, words.MAX_PARAMETER))


def _categories(node: Node, what: str = "") -> tuple[str, ...]:
    """Names, sorted. what: where an empty list may stand."""
    none = what and isinstance(node, Items) and not node.nodes
    return () if none else tuple(sorted(words.names(node, what or "`categories`")))


def read_returns(node: Node) -> Labels:
    """Return a label as `returns` writes it: a level, or level and categories; raises `Fault`."""
    if isinstance(node, Scalar):
        return Labels(level=words.choice(node, "`returns`", _LEVELS))
    return _labels(node, "returns", "level")


def _limit(node: Node) -> Limit:
    """A level admits every category up to it; with `categories`, only these."""
    if isinstance(node, Scalar):
        return Limit(level=words.choice(node, "`accepts`", _LEVELS))
    found = words.fields(node, "`accepts`", ("level", "categories"), ("level", "categories"))
    categories = _categories(found.nodes["categories"], "`categories`")
    return Limit(level=words.choice(found.nodes["level"], "`level`", _LEVELS), categories=categories)


def _destinations(node: Node) -> tuple[Destination, ...]:
    found = words.items(node, "`destinations`")
    if not found:
        raise Fault(node.place, "`destinations` is an empty list; list where data may go, or remove it")
    return tuple(_destination(words.fields(item, "a destination", _DESTINATION, ("accepts",))) for item in found)


def _destination(found: Table) -> Destination:
    nodes = found.nodes
    if not any(key in nodes for key in ("at", "in", "matches")):
        hint = "add `at:` (addresses), `in:` (names as written) or `matches:` (a pattern)"
        raise Fault(found.place, f"the destination names no place; {hint}")
    return Destination(
        at=places(nodes["at"], "`at`") if "at" in nodes else (),
        names=tuple(sorted(words.names(nodes["in"], "`in`", words.MAX_PARAMETER))) if "in" in nodes else (),
        pattern=words.pattern(nodes["matches"], "`matches`") if "matches" in nodes else "",
        accepts=_limit(nodes["accepts"]),
    )


def _intents(node: Node) -> tuple[Intent, ...]:
    found = words.table(node, "`intents`")
    if not found.nodes:
        raise Fault(found.place, "`intents` is empty; add a class of work, or leave it out")
    names = sorted(found.nodes)  # the order of keys has no meaning
    return tuple(_intent(words.named(name, found.keys[name], "an intent"), found.nodes[name]) for name in names)


def _intent(name: str, node: Node) -> Intent:
    found = words.fields(node, f"the intent {shown(name)}", _INTENT, ("tools",))
    nodes = found.nodes
    return Intent(
        name=name,
        tools=_scope(nodes["tools"], f"`tools` of {shown(name)}"),
        accepts=_limit(nodes["accepts"]) if "accepts" in nodes else None,
        actions=words.integer(nodes["actions"], "`actions`", 1, MAX_ACTIONS) if "actions" in nodes else None,
    )


def _labels(node: Node, what: str, level: str) -> Labels:
    """The level is required: a label that names categories alone would say PUBLIC without a word (R2.c)."""
    found = words.fields(node, f"`{what}`", (level, "categories"), (level,))
    return Labels(
        level=words.choice(found.nodes[level], f"`{level}`", _LEVELS),
        categories=_categories(found.nodes["categories"]) if "categories" in found.nodes else (),
    )


# -------------------------------------------------------------------------------------------------------------- people

_SCOPE = re.compile(r"\*|(?:[A-Za-z0-9_-]+\.)+(?:\*|[A-Za-z0-9_-]+)")


def _ceilings(node: Node) -> dict[str, tuple[str, ...]]:
    """An empty ceiling would lock everybody out, which nobody means who writes it down."""
    found = words.table(node, "`roles`")
    if not found.nodes:
        raise Fault(found.place, "`roles` is empty, so that nobody could use anything; add a role, or leave it out")
    return {
        words.named(role, found.keys[role], "a role"): _scope(node, f"the role {shown(role)}")
        for role, node in found.nodes.items()
    }


def _scope(node: Node, what: str) -> tuple[str, ...]:
    patterns = words.names(node, what, 2 * words.MAX_ID)
    for pattern in patterns:
        if not _SCOPE.fullmatch(pattern):
            hint = "write `tool.operation`, `tool.*`, or `'*'` for every tool"
            raise Fault(_entry(node, pattern), f"{shown(pattern)} is no scope pattern; {hint}")
    return patterns


def _people(node: Node, what: str) -> tuple[str, ...]:
    """Names of people who answer for others' agents: `requester` is none of them."""
    people = words.names(node, what)
    if REQUESTER in people:
        hint = "name other people (the requester confirms as one of the `approvers` only)"
        raise Fault(_entry(node, REQUESTER), f"`{REQUESTER}` cannot be in {what}; {hint}")
    return people


def _entry(node: Node, name: str) -> Place:
    """Where a name stands that was read from this node."""
    entries = node.nodes if isinstance(node, Items) else (node,)
    return next(item.place for item in entries if isinstance(item, Scalar) and item.value == name)


# --------------------------------------------------------------------------------------------------------------- rules


def _rules(node: Node, ours: tuple[str, ...] | None) -> tuple[tuple[Rule, ...], dict[str, tuple[int, int]]]:
    rules: list[Rule] = []
    places: dict[str, tuple[int, int]] = {}
    for item in words.items(node, "`rules`"):
        rule = _rule(words.fields(item, "a rule", _RULE, ("id",)), ours)
        if rule.id in places:
            first = places[rule.id][0]
            raise Fault(
                _id_place(item), f"the rule id {shown(rule.id)} stands twice (first in line {first}); rename one"
            )
        places[rule.id] = (item.place.line, item.place.column)
        rules.append(rule)
    return tuple(rules), places


def _id_place(rule: Node) -> Place:
    return rule.nodes["id"].place if isinstance(rule, Table) else rule.place


def _rule(found: Table, ours: tuple[str, ...] | None) -> Rule:
    nodes = found.nodes
    decision = words.choice(nodes["decision"], "`decision`", _VERDICTS) if "decision" in nodes else None
    classification = _classification(found, decision)
    _check_fields(found, decision)
    match = read_match(nodes["match"], ours, decision) if "match" in nodes else Match()
    constraints = read_constraints(nodes["constraints"], ours) if "constraints" in nodes else Match()
    priority = nodes.get("priority")
    approvers = words.names(nodes["approvers"], "`approvers`") if "approvers" in nodes else ()
    label = nodes.get("set_context")
    timeout_s = _timeout(nodes.get("timeout"), decision)
    escalate_s, backups = _escalate(nodes.get("escalate"), approvers, timeout_s)
    rule_id = words.line(nodes["id"], "`id`")
    if rule_id.startswith(PREFIX):
        raise Fault(
            nodes["id"].place, f"the rule id {shown(rule_id)} is reserved: `{PREFIX}` is for built-in rules; rename it"
        )
    return Rule(
        id=rule_id,
        name=words.line(nodes["name"], "`name`", words.MAX_NAME) if "name" in nodes else "",
        match=match.conditions,
        tallies=match.tallies,
        after=match.after,
        constraints=constraints.conditions,
        limits=constraints.tallies,
        decision=decision,
        classification=classification,
        priority=words.integer(priority, "`priority`", -MAX_PRIORITY, MAX_PRIORITY) if priority else 0,
        reason=words.text(nodes["reason"], "`reason`", words.MAX_REASON) if "reason" in nodes else "",
        risk=words.choice(nodes["risk"], "`risk`", _RISKS) if "risk" in nodes else "medium",
        modifications=read_modifications(nodes["modifications"]) if "modifications" in nodes else (),
        approvers=approvers,
        timeout_s=timeout_s,
        set_context=_labels(label, "set_context", "data_classification") if label is not None else None,
        approvals=_approvals(nodes["approvals"], approvers, backups) if "approvals" in nodes else 1,
        backups=backups,
        escalate_s=escalate_s,
        authority=_authority(nodes["authority"]) if "authority" in nodes else None,
        adds_risk=words.integer(nodes["adds_risk"], "`adds_risk`", 1, MAX_RISK) if "adds_risk" in nodes else 0,
        shadow="shadow" in nodes and _true(nodes["shadow"], "`shadow`"),
        require_witnessed="require_witnessed" in nodes and _true(nodes["require_witnessed"], "`require_witnessed`"),
    )


def _classification(found: Table, decision: Verdict | None) -> Classification:
    node = found.nodes.get("classification")
    if node is None:
        return Classification.STATIC
    if isinstance(node, Scalar) and node.value == Classification.STATIC.value:
        raise Fault(node.place, "`static` is what a rule is without `classification`; leave the field out")
    classification = words.choice(node, "`classification`", _CLASSES)
    allowed = _DECISIONS_OF[classification]
    if decision not in allowed:
        wanted = " or ".join(f"`{each.value}`" for each in allowed)
        raise Fault(
            node.place, f"`{classification.value}` does not go with {_decided(decision)}; write `decision:` {wanted}"
        )
    return classification


def _check_fields(found: Table, decision: Verdict | None) -> None:
    if decision is None and not any(key in found.nodes for key in ("set_context", "authority", "adds_risk")):
        hint = "add `decision:`, `set_context:`, `authority:` or `adds_risk:`"
        raise Fault(found.place, f"the rule decides nothing; {hint}")
    for key, verdicts in _ONLY_WITH.items():
        if key in found.nodes and decision not in verdicts:
            wanted = " or ".join(f"`{each.value}`" for each in verdicts)
            raise Fault(
                found.keys[key], f"`{key}` does not go with {_decided(decision)}; remove it, or decide {wanted}"
            )
    required = _REQUIRED_WITH.get(decision) if decision else None
    if required and required not in found.nodes:
        raise Fault(found.nodes["decision"].place, f"{_decided(decision)} needs `{required}`; add `{required}:`")
    if "approvals" in found.nodes and "approvers" not in found.nodes:
        raise Fault(found.keys["approvals"], "`approvals` needs `approvers`; add `approvers:`, or remove it")


def _decided(decision: Verdict | None) -> str:
    return f"`decision: {decision.value}`" if decision else "a rule that has no `decision`"


def _timeout(node: Node | None, decision: Verdict | None) -> int | None:
    if node is not None:
        return words.duration(node, "`timeout`")
    return DEFAULT_TIMEOUT_S if decision in _ONLY_WITH["timeout"] else None


def _escalate(
    node: Node | None, approvers: tuple[str, ...], timeout_s: int | None
) -> tuple[int | None, tuple[str, ...]]:
    """Return after how many seconds, and to whom."""
    if node is None:
        return None, ()
    found = words.fields(node, "`escalate`", _ESCALATE, _ESCALATE)
    after, to = (found.nodes[key] for key in _ESCALATE)
    seconds = words.duration(after, "`after`")
    if timeout_s is not None and seconds >= timeout_s:
        limit = f"and the rule waits for `{words.spelled(timeout_s)}`"
        raise Fault(after.place, f"`after` is `{words.spelled(seconds)}`, {limit}; write less, or a longer `timeout:`")
    backups = _people(to, "`to`")
    for name in backups:
        if name in approvers:
            raise Fault(_entry(to, name), f"{shown(name)} is an approver already; name somebody else, or remove it")
    return seconds, backups


def _approvals(node: Node, approvers: tuple[str, ...], backups: tuple[str, ...]) -> int:
    approvals = words.integer(node, "`approvals`", 1, MAX_APPROVALS)
    alone = approvals == 1
    counted = [name for name in (*approvers, *backups) if alone or name != REQUESTER]
    if approvals > len(counted):
        without = "" if alone or REQUESTER not in approvers else f", without `{REQUESTER}`"
        what = f"nobody could ever give {approvals} approvals where {len(counted)} can answer{without}"
        raise Fault(node.place, f"{what}; name more people, or write less")
    return approvals


def _true(node: Node, what: str) -> bool:
    if not words.truth(node, what):
        raise Fault(node.place, f"{what} cannot be {kind(node)}; write `true`, or leave the field out")
    return True


def _authority(node: Node) -> Authority:
    if isinstance(node, Scalar) and node.value == Authority.FULL.value:
        hint = f"write one of {words.listed(_LOWERED)}, or leave the field out"
        raise Fault(node.place, f"`authority` cannot be `full`: a rule only lowers it; {hint}")
    return words.choice(node, "`authority`", _LOWERED)
