"""The oracle: a second policy decision point for one round, from the pages alone; slow, and right."""

import operator
import posixpath
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import re2
from msgspec.structs import asdict

from navicert.core.canonical import Number, canonical_parameters, parse_parameters
from navicert.core.text import ambiguous, normal_form
from navicert.model.action import ToolProfile
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import Level
from navicert.model.policy import Condition, Modification, PolicySet, Posture, Rule

some: Callable[..., bool | None] = partial(max, key=[False, None, True].index, default=False)  # Kleene's OR
every: Callable[..., bool | None] = partial(min, key=[False, None, True].index, default=True)  # Kleene's AND
ABSENT, UNKNOWN, TOP, BLANK = object(), object(), object(), ""  # BLANK: left by a redaction; the pages do not say
ORDER: dict[str, Callable[..., bool]] = {name: getattr(operator, name) for name in ("eq", "lt", "le", "gt", "ge")}
TEXTUAL: dict[str, Callable[..., bool]] = {"starts_with": str.startswith, "ends_with": str.endswith}
TEXTUAL |= {"contains": operator.contains, "matches": lambda text, pattern: bool(re2.search(pattern, text))}


def judge(given: EvaluationInput, policy: PolicySet) -> Verdict:
    """Return the verdict of one round."""
    return judge_fully(given, policy)[0]


def judge_fully(given: EvaluationInput, policy: PolicySet) -> tuple[Verdict, bytes | None]:
    """Return the verdict of one round and, with MODIFY, the parameters that would run."""
    name, confidence = given.action.name, given.signals.confidence_ppm
    profile = next((tool for tool in policy.tools if tool.tool == name), given.action.profile)
    in_scope = any(p in ("*", name) or (p.endswith(".*") and name.startswith(p[:-1])) for p in given.identity.scope)
    if profile is None or not in_scope:
        return Verdict.DENY, None
    case = Case(given, profile)
    if any(type(leaf) is str and ambiguous(leaf) for leaf in leaves(case.find("destination"))):
        return Verdict.DENY, None
    rules = [(rule, case.matches(rule)) for rule in policy.rules if rule.decision]
    unknown = [rule.id for rule, truth in rules if truth is None]
    worlds = [dict(zip(unknown, world, strict=True)) for world in product((True, False), repeat=len(unknown))]
    answers = {case.decide([r for r, truth in rules if world.get(r.id, truth)], policy.posture) for world in worlds}
    answer = answers.pop() if len(answers) == 1 else (Verdict.DEFER, None)
    uncertain = confidence is not None and confidence < policy.confidence_ppm and answer[0] != "DENY"
    return (Verdict.DEFER, None) if uncertain else answer


class Case:
    """One action under judgement."""

    def __init__(self, given: EvaluationInput, profile: ToolProfile) -> None:
        context, self.parameters = given.context, parse_parameters(given.action.parameters)
        fields: dict[str, Any] = {f"context.{name}": value for name, value in asdict(context).items()}
        fields |= {f"identity.{name}": value for name, value in asdict(given.identity).items()}
        fields |= {f"context.facts.{fact.name}": fact.value for fact in context.facts if not fact.conflicting}
        fields |= {f"context.attempts.{name}": count for name, count in context.counts.items()}
        fields |= {f"signals.{name}": value for name, value in given.signals.values.items()}
        for h, labels in (("context", given.labels), ("stored", given.shared.stored)):
            fields |= {f"{h}.level": labels.level, f"{h}.categories": TOP if labels.everything else labels.categories}
        fields |= {"context.denied": context.verdicts.get("DENY", 0), "context.said": "\n".join(context.said)}
        fields["context.elapsed_s"] = (given.now - context.started_at) // 10**6
        fields["context.actions_last_minute"] = sum(given.now - stamp <= 60 * 10**6 for stamp in context.pace)
        fields |= {"identity.delegated": len(given.identity.delegation), "effect": profile.effect.value}
        fields |= {"tool": given.action.tool, "operation": given.action.operation, "category": profile.categories}
        self.given, self.profile, self.fields = given, profile, fields

    def find(self, field: str) -> list[Any]:
        """Return what stands in a field, one or several; a tuple is a list by nature, a list came from outside."""
        head, _, path = field.partition(".")
        if head in ("destination", "resource", "amount", "content"):
            return [self.parameters[name] for name in getattr(self.profile, head) if name in self.parameters]
        if head != "parameters":
            return [self.fields.get(field, 0 if field.startswith("context.attempts.") else UNKNOWN)]
        if path == "*":
            return leaves(self.parameters, keys=True)
        tree: Any = self.parameters
        for key in path.split("."):
            if type(tree) is not dict or key not in tree:
                return [] if type(tree) is dict else [UNKNOWN]
            tree = tree[key]
        return [tree]

    def matches(self, rule: Rule) -> bool | None:
        """Tell whether everything that a rule asks for holds."""
        truths = [self.holds(condition, rule.decision in ("DENY", "STEP_UP", "DEFER")) for condition in rule.match]
        for tally in rule.tallies:
            prior = self.given.shared.tallies.get(f"{tally.kind}|{tally.per}|{tally.window_s}")
            own = [Fraction(1, 10**6)] if tally.kind == "rate" else [exact(value) for value in self.find("amount")]
            judges = prior is not None and {*map(type, own)} == {Fraction}
            truths.append((prior or 0) + sum(own) * 10**6 > tally.above if judges else None)
        return every(truths)

    def holds(self, condition: Condition, restricts: bool) -> bool | None:
        """Restricting: one value is enough, as it stands or in normal form. Permitting: all, and at least one."""
        found, name, operand = self.find(condition.field), condition.operator.value, condition.value
        if name == "exists":
            return None if UNKNOWN in found else (len(found) > 0) == (operand is not condition.negated)
        if TOP in found:
            return restricts
        positive, whole = {"ne": "eq", "not_in": "in"}.get(name, name), name == "contains"
        flat = [e for v in found for e in (v if type(v) is list or (type(v) is tuple and not whole) else [v])]
        truths = []
        for items in [flat, found] if whole else [flat]:  # has an element the part; or has the list the element
            forms = product(items, (str, normal_form) if restricts else (str,))
            sides = [judged(positive, item, operand, form, condition.field) for item, form in forms]
            sides = [None if side is None else side != (condition.negated != (name != positive)) for side in sides]
            truths += sides or [restricts and (condition.negated or name != positive)]
        return some(truths) if restricts else every(truths)

    def decide(self, matching: list[Rule], posture: Posture) -> tuple[Verdict, bytes | None]:
        """Answer in a world where it is known which rules match."""
        if not matching:
            passes = posture == "declared_tools" or (posture == "declared_reads" and self.profile.effect == "read")
            return (Verdict.ALLOW if passes else Verdict.DENY), None
        ranks = [(rule.classification == "forbidden", rule.priority) for rule in matching]
        top = [rule for rule, rank in zip(matching, ranks, strict=True) if rank == max(ranks)]
        edits, decisions = [edit for rule in top for edit in rule.modifications], {rule.decision for rule in top}
        if len(decisions) > 1 or len({edit.parameter for edit in edits}) < len(edits):
            return Verdict.DEFER, None
        if decisions != {Verdict.MODIFY}:
            return decisions.pop() or Verdict.DENY, None
        new = {edit.parameter: changed(edit, self.parameters.get(edit.parameter, ABSENT)) for edit in edits}
        if UNKNOWN in new.values():
            return Verdict.DENY, None
        after = canonical_parameters({k: v for k, v in (self.parameters | new).items() if v is not ABSENT})
        return (Verdict.ALLOW, None) if after == self.given.action.parameters else (Verdict.MODIFY, after)


def judged(name: str, value: Any, operand: Any, form: Any, field: str = "") -> bool | None:
    """Compare number with number, text with text, level with level, truth with truth; the rest is undetermined."""
    if name == "in":
        return some([judged("eq", value, one, form, field) for one in operand])
    if name == "contains" and type(value) in (list, tuple):
        return some([judged("eq", element, operand, form) for element in value])
    if field in ("tool", "operation") and name == "eq" and operand.endswith("*"):
        name, operand = "starts_with", operand[:-1]
    left, right = exact(value, form), Level[operand] if type(value) is Level else exact(operand)
    operators = ORDER | TEXTUAL if type(left) is str else ORDER
    judges = type(left) is type(right) and type(left) in (str, bool, Level, Fraction) and name in operators
    return operators[name](left, right) if judges else None


def exact(value: Any, form: Any = str) -> Any:
    """Return a number exactly as its source text says it, a text in a form, and anything else as it is."""
    if type(value) in (Number, int, float):
        return Fraction(str(value))
    return form(value) if type(value) is str else value


def leaves(tree: Any, keys: bool = False) -> list[Any]:
    """Return every value (and key) at any depth."""
    if type(tree) is dict:
        return [leaf for key in tree for leaf in [key] * keys + leaves(tree[key], keys)]
    return [leaf for item in tree for leaf in leaves(item, keys)] if type(tree) is list else [tree]


def changed(edit: Modification, old: Any) -> Any:
    """Return what a modification makes of a value; unknown where it cannot be applied."""
    if edit.edit in ("set", "drop") or old is ABSENT:
        return edit.value if edit.edit in ("set", "cap") else ABSENT
    if edit.edit == "cap" and type(exact(old)) is Fraction:
        return edit.value if exact(old) > exact(edit.value) else old
    if edit.edit == "redact" and type(old) is str:
        return re2.sub(edit.value, BLANK, old)
    root, path = ("/" + str(edit.value).strip("/")).rstrip("/"), posixpath.normpath("/" + str(old).lstrip("/"))
    under = path if (path + "/").startswith(root + "/") else posixpath.normpath(root + path)
    return under if edit.edit == "prefix" and type(old) is str else UNKNOWN
