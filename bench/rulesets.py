"""Rule sets of any size, of which at most 25 concern the tool in hand. Standard library only: both venvs read this.

* `mixed`: navicert's language in its breadth: parameters, context, identity, signals, forbidden rules, MODIFY.
* `whole`: what the language has besides: places, sequences, risk, constraints, limits on labels, intents.
* `common`: only what both navicert and the peer can say, as neutral data; `as_navicert` and `as_agt` write it down.
* The rules are such that an ordinary call satisfies none of them but the last, which permits, and has the lowest
  priority: all the rules about the tool are looked at before the answer is known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TOOL, OPERATION = "report", "send"
NAME = f"{TOOL}.{OPERATION}"
ABOUT_THE_TOOL = 25
PARAMETER_BYTES = 450
REQUEST = "send the weekly report to the people who asked for it"
FACT = ("freeze", "off")
_WORDS = (
    "the figures of this week are attached and they follow the plan with two exceptions that were agreed on monday "
    "with everybody who has to know about them so that no further step is needed before the next meeting on friday "
    "when the team goes through the open points once more and decides which of them can be closed for good "
)


def arguments(tag: str = "00-00000000", **changes: Any) -> dict[str, Any]:
    """Return the arguments of an ordinary call, 450 bytes as canonical JSON; `tag` (11 characters) makes it its own."""
    found: dict[str, Any] = {
        "body": "",
        "kind": "summary",
        "limit": 50,
        "region": "eu",
        "subject": f"weekly report {tag}",
        "to": "ana.lopez@acme.example",
    }
    found["body"] = (_WORDS * 2)[:329].rstrip().ljust(329, ".")
    return found | changes


# navicert's language in its breadth


def mixed(count: int) -> dict[str, Any]:
    """Return a policy with so many rules, as data for a YAML file."""
    about = _about_the_tool()[: min(count, ABOUT_THE_TOOL)]
    rules = [*about, *(_elsewhere(index) for index in range(count - len(about)))]
    return {"policy": "bench", "version": 1, "posture": "declared_reads", "rules": rules}


def _about_the_tool() -> list[dict[str, Any]]:
    level = {"level": {"ge": "RESTRICTED"}}
    rules = [
        _rule("no-drop", 100, {"parameters": {"body": {"matches": r"(?i)\bdrop\s+table\b"}}}, forbidden=True),
        _rule(
            "no-pii-out",
            90,
            {"context": {"categories": {"contains": "PII"}}, "destination": {"not": {"ends_with": "@acme.example"}}},
            classification="context_dependent_deny",
        ),
        _rule("suspended", 90, {"identity": {"roles": {"contains": "suspended"}}}),
        _rule(
            "limit",
            20,
            {"parameters": {"limit": {"gt": 1000}}},
            decision="MODIFY",
            modifications=[{"parameter": "limit", "cap": 1000}],
        ),
        _rule("too-much", 80, {"parameters": {"limit": {"gt": 1_000_000}}}),
        _rule("regions", 80, {"parameters": {"region": ["north", "south", "overseas"]}}),
        _rule("restricted", 70, {"context": level}, decision="STEP_UP", approvers=["ben"]),
        _rule("former-staff", 85, {"identity": {"human": ["mallory", "oscar", "trudy"]}}),
        _rule("no-keys", 100, {"content": {"contains": "BEGIN PRIVATE KEY"}}, forbidden=True),
        _rule("reports", 1, {}, decision="ALLOW"),
        _rule("freeze", 60, {"context": {"facts": {"freeze": "on"}}}),
        _rule("attempts", 60, {"context": {f"attempts.{NAME}": {"gt": 1_000_000}}}),
        _rule("drafts", 50, {"parameters": {"subject": {"starts_with": "draft:"}}}),
        _rule("test-addresses", 50, {"destination": {"ends_with": ".test"}}),
        _rule("handed-on", 50, {"identity": {"delegated": {"gt": 5}}}),
        _rule("credentials", 95, {"signals": {"sensitive_level": "RESTRICTED"}}),
        _rule("denied-often", 55, {"context": {"denied": {"gt": 50}}}),
        _rule(
            "long-numbers",
            20,
            {"parameters": {"body": {"matches": r"\b\d{16}\b"}}},
            decision="MODIFY",
            modifications=[{"parameter": "body", "redact": r"\b\d{16}\b"}],
        ),
        _rule("pace", 40, {"context": {"actions_last_minute": {"gt": 1_000_000}}}, decision="DEFER"),
        _rule("payments", 50, {"effect": ["pay", "grant"]}),
        _rule("admins", 50, {"identity": {"scope": {"contains": "admin.*"}}}),
        _rule("wire", 50, {"parameters": {"body": {"contains": "wire transfer instructions"}}}),
        _rule("stored", 50, {"stored": {"categories": {"contains": "SECRET"}}}),
        _rule("evil", 100, {"destination": {"matches": r"[.@]evil\.example$"}}, forbidden=True),
        _rule("abroad", 50, {"parameters": {"region": {"ne": "eu"}, "kind": "full"}}),
    ]
    return [rule | {"match": {"tool": TOOL, "operation": OPERATION} | rule["match"]} for rule in rules]


def whole(count: int) -> dict[str, Any]:
    """Return a policy with so many rules of what `mixed` leaves out, as data for a YAML file."""
    about = _of_the_rest()
    about = [*about[: min(count, ABOUT_THE_TOOL) - 1], about[-1]]
    ours = ["acme.example", "*.acme.example"]
    return {
        "policy": "bench",
        "version": 1,
        "posture": "declared_reads",
        "organisation": ours,
        "risk_limit": 50,
        "destinations": [{"at": ours, "accepts": "CONFIDENTIAL"}, {"at": "partner.example", "accepts": "PUBLIC"}],
        "intents": {"reporting": {"tools": ["report.*", "crm.*"], "accepts": "CONFIDENTIAL", "actions": 1000}},
        "tools": {
            NAME: {"effect": "send", "destination": "to", "content": "body", "resource": "path", "returns": "INTERNAL"},
            "crm.query": {"effect": "read", "categories": ["records"], "returns": "INTERNAL"},
        },
        "rules": [*about, *(_elsewhere(index) for index in range(count - len(about)))],
    }


def _of_the_rest() -> list[dict[str, Any]]:
    outside = {"destination": {"external": True}}
    records = {"after": {"category": "records"}}
    rules = [
        _rule("nothing-out-after-records", 90, outside | records),
        _rule("not-there", 100, {"destination": {"at": ["evil.example", "*.evil.example"]}}, forbidden=True),
        _rule("only-there", 80, {"destination": {"not": {"at": ["acme.example", "*.acme.example"]}}}),
        _rule("counted", 0, outside, decision="ALLOW", adds_risk=20),
        _rule("checked", 80, {"not_after": {"tool": "crm", "operation": "query"}}),
        _rule("not-after-payments", 80, {"after": {"effect": ["pay", "grant"]}}),
        _rule("folders", 80, {"resource": {"not": {"under": ["/desk", "/srv/reports"]}}}),
        _rule("text", 70, {"parameters": {"kind": {"not": {"type": "text"}}}}),
        _rule("intent", 70, {"context": {"intent": {"ne": "reporting"}}}),
        _rule("networks", 100, {"destination": {"at": ["127.0.0.0/8", "10.0.0.0/8", "::1"]}}, forbidden=True),
        _rule("risky", 60, {"context": {"risk": {"ge": 40}}}, decision="STEP_UP", approvers=["ben"]),
        _rule("own", 60, {"parameters": {"region": {"same": "identity.human"}}}),
        _rule("both", 60, {"after": [{"tool": "crm", "within": "10m"}, {"effect": "execute"}]}),
        _rule("keys", 60, {"parameters": {"path": {"under": ["/etc", "/root"]}}}),
        _rule("site", 60, {"destination": {"at": ["https://api.partner.example/v2", "ann@partner.example"]}}),
        _rule("recent-grants", 60, {"after": {"tool": "iam*", "within": "1h"}}),
        _rule("separate", 60, {"separation": "host", "parameters": {"kind": "full"}}),
        _rule("long", 1, {"parameters": {"limit": {"gt": 1000}}}, decision="ALLOW", adds_risk=5),
        _rule("number", 60, {"parameters": {"limit": {"not": {"type": "integer"}}}}),
        _rule("abroad", 60, outside | {"parameters": {"region": {"ne": "eu"}}}),
        _rule("large", 60, {"rate": {"per": "agent", "above": 1_000_000, "window": "1h"}}),
        _rule("strangers", 50, {"destination": {"external": True, "exists": True}, "after": {"effect": "read"}}),
        _rule("never-twice", 50, {"after": {"tool": "report", "operation": "publish"}}),
        _rule("drafts", 50, {"resource": {"under": "/desk/drafts"}, "content": {"contains": "draft"}}),
        _rule(
            "reports",
            1,
            {},
            decision="ALLOW",
            constraints={
                "parameters": {
                    "kind": {"in": ["summary", "full"]},
                    "limit": {"gt": 0, "le": 1000},
                    "subject": {"matches": "^[a-z0-9 -]+$"},
                    "body": {"type": "text"},
                },
                "destination": {"at": ["acme.example", "partner.example"]},
                "resource": {"under": "/desk"},
                "rate": {"per": "human", "above": 1_000_000, "window": "1d"},
            },
        ),
    ]
    return [rule | {"match": {"tool": TOOL, "operation": OPERATION} | rule["match"]} for rule in rules]


def _rule(
    name: str, priority: int, match: dict[str, Any], *, decision: str = "DENY", forbidden: bool = False, **more: Any
) -> dict[str, Any]:
    rule = {"id": name, "match": match, "decision": decision, "priority": priority}
    if decision == "DENY":
        rule["reason"] = f"`{name}` does not permit this"
    if forbidden:
        rule["classification"] = "forbidden"
    return rule | more


def _elsewhere(index: int) -> dict[str, Any]:
    match = {"tool": f"tool{index}", "operation": "run", "parameters": {"region": [f"r{index}", f"s{index}"]}}
    return {"id": f"other-{index}", "match": match, "decision": "DENY", "priority": 50}


# what both can say


class Condition(NamedTuple):
    """space: parameter, context, identity. operator: eq, ne, in, gt, is."""

    space: str
    name: str
    operator: str
    value: Any


class Plain(NamedTuple):
    """One rule of the common part: all conditions hold → deny, or allow."""

    name: str
    tool: str
    conditions: tuple[Condition, ...]
    allow: bool
    priority: int


def common(count: int) -> list[Plain]:
    """Return so many rules that both sides can express."""
    about = min(count, ABOUT_THE_TOOL)
    rules = [Plain(f"r{index}", NAME, _conditions(index), allow=False, priority=50) for index in range(about - 1)]
    for index in range(count - about):
        condition = Condition("parameter", "region", "eq", f"r{index}")
        rules.append(Plain(f"other{index}", f"tool{index}.run", (condition,), allow=False, priority=50))
    return [*rules, Plain("allow", NAME, (), allow=True, priority=1)]


def _conditions(index: int) -> tuple[Condition, ...]:
    match index % 8:
        case 0:
            return (Condition("parameter", "region", "eq", f"blocked-{index}"),)
        case 1:
            return (Condition("parameter", "kind", "in", (f"raw{index}", f"full{index}", f"dump{index}")),)
        case 2:
            return (Condition("parameter", "limit", "gt", 100_000 + index),)
        case 3:
            return (Condition("context", "contains_pii", "is", value=True),)
        case 4:
            return (Condition("identity", "role", "eq", f"suspended{index}"),)
        case 5:
            return (
                Condition("parameter", "region", "ne", "eu"),
                Condition("parameter", "kind", "eq", f"full{index}"),
            )
        case 6:
            return (
                Condition("context", "contains_pii", "is", value=True),
                Condition("parameter", "limit", "gt", index),
            )
        case _:
            return (Condition("parameter", "to", "eq", f"someone{index}@evil.example"),)


def probes() -> list[dict[str, Any]]:
    """Return calls on which both sides must agree before anything is timed: arguments, pii, role."""
    return [
        {"arguments": {}, "pii": False, "role": "analyst"},
        {"arguments": {"region": "blocked-0"}, "pii": False, "role": "analyst"},
        {"arguments": {"kind": "dump1"}, "pii": False, "role": "analyst"},
        {"arguments": {"limit": 200_000}, "pii": False, "role": "analyst"},
        {"arguments": {}, "pii": True, "role": "analyst"},
        {"arguments": {}, "pii": False, "role": "suspended4"},
        {"arguments": {"region": "us", "kind": "full5"}, "pii": False, "role": "analyst"},
        {"arguments": {"region": "us", "kind": "summary"}, "pii": False, "role": "analyst"},
        {"arguments": {"to": "someone7@evil.example"}, "pii": False, "role": "analyst"},
    ]


def as_navicert(rules: list[Plain]) -> dict[str, Any]:
    """Return the rules as a navicert policy."""
    written = []
    for rule in rules:
        tool, _, operation = rule.tool.rpartition(".")
        match: dict[str, Any] = {"tool": tool, "operation": operation}
        for item in rule.conditions:
            space, field, value = _navicert_condition(item)
            match.setdefault(space, {})[field] = value
        decision = "ALLOW" if rule.allow else "DENY"
        written.append({"id": rule.name, "match": match, "decision": decision, "priority": rule.priority})
    return {"policy": "bench", "version": 1, "posture": "deny", "rules": written}


def _navicert_condition(item: Condition) -> tuple[str, str, Any]:
    if item.space == "context":
        return "context", "categories", {"contains": "PII"}
    if item.space == "identity":
        return "identity", "roles", {"contains": item.value}
    plain = {"eq": item.value, "in": list(item.value) if item.operator == "in" else None}
    return "parameters", item.name, plain.get(item.operator) or {item.operator: item.value}


def as_agt(rules: list[Plain]) -> dict[str, Any]:
    """Return the rules as a policy of the Agent Governance Toolkit, over the context that its `govern` builds."""
    written = []
    for rule in rules:
        parts = [f"action.type == '{rule.tool}'", *(_agt_condition(item) for item in rule.conditions)]
        action = "allow" if rule.allow else "deny"
        written.append(
            {"name": rule.name, "condition": " and ".join(parts), "action": action, "priority": rule.priority}
        )
    return {
        "apiVersion": "governance.toolkit/v1",
        "name": "bench",
        "agents": ["*"],
        "default_action": "deny",
        "rules": written,
    }


def _agt_condition(item: Condition) -> str:
    if item.space == "context":
        return "session.contains_pii"
    path = "user.role" if item.space == "identity" else f"{item.name}.value"
    match item.operator:
        case "eq":
            return f"{path} == '{item.value}'"
        case "ne":
            return f"{path} != '{item.value}'"
        case "in":
            return f"{path} in [{', '.join(repr(value) for value in item.value)}]"
        case _:
            return f"{path} > {item.value}"
