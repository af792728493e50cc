"""The oracle: a second policy decision point for one round, from the pages alone; slow, and right."""

import operator
from fractions import Fraction
from functools import partial
from itertools import combinations, product
from posixpath import normpath

import re2
from msgspec.structs import asdict, replace

from navicert.core.builtin import supervision
from navicert.core.canonical import Number, canonical_parameters, parse_parameters
from navicert.core.digest import rule_digest
from navicert.core.text import ambiguous, normal_form
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import Level
from navicert.model.policy import Condition, Modification, PolicySet, Posture, Rule

some = partial(max, key=[False, None, True].index, default=False)  # Kleene's OR
every = partial(min, key=[False, None, True].index, default=True)  # Kleene's AND
ABSENT, UNKNOWN, ANY = frozenset(), object(), object()  # nothing; a value nobody knows; any category
ORDER = {name: getattr(operator, name) for name in ("eq", "lt", "le", "gt", "ge")}
TEXTUAL = ORDER | {"contains": operator.contains, "starts_with": str.startswith, "ends_with": str.endswith}
TEXTUAL["matches"] = lambda text, pattern: bool(re2.search(pattern, text))


def judge_fully(given: EvaluationInput, policy: PolicySet) -> tuple[Verdict, bytes | None]:  # verdict, what would run
    name, confidence, authority = given.action.name, given.signals.confidence_ppm, given.shared.authority
    profile = next((tool for tool in policy.tools if tool.tool == name), given.action.profile)
    in_scope = any(p in ("*", name) or (p.endswith(".*") and name.startswith(p[:-1])) for p in given.identity.scope)
    case = Case(given, profile) if profile and in_scope and authority not in ("suspended", "revoked") else None
    if case is None or any(type(value) is str and ambiguous(value) for value in case.find("destination")):
        return Verdict.DENY, None
    rules = [replace(r, priority=10**9) if r.classification == "forbidden" else r for r in policy.rules if r.decision]
    sure, doubtful = ([rule for rule in rules if case.matches(rule) is truth] for truth in (True, None))
    done = {r.id for r in rules if r.decision in ("STEP_UP", "DEFER") and rule_digest(r) in given.answered}
    above = [r for r in doubtful if r.id not in done and all(r.priority >= other.priority for other in sure)]
    worlds = [[*sure, *world] for number in range(len(above) + 1) for world in combinations(above, number)]
    answers = {case.decide(world, done, policy.posture) for world in worlds}
    open_ended = len(answers) > 1 or any(rule.decision in ("MODIFY", "STEP_UP", "DEFER") for rule in above)
    uncertain = confidence is not None and confidence < policy.confidence_ppm and answers != {(Verdict.DENY, None)}
    ruled = (Verdict.DEFER, None) if open_ended or uncertain else answers.pop()
    bound = {"supervised"} if profile.effect == "read" else {"supervised", "narrowed"}
    asks = Verdict.ALLOW if rule_digest(supervision(policy.supervisors)) in given.answered else Verdict.STEP_UP
    return (asks if policy.supervisors else Verdict.DENY, None) if ruled[0] == "ALLOW" and authority in bound else ruled


class Case:  # one action under judgement
    def __init__(self, given: EvaluationInput, profile: object) -> None:
        self.given, self.profile, self.parameters = given, profile, parse_parameters(given.action.parameters)
        context, identity = given.context, given.identity
        facts = {f.name: UNKNOWN if f.conflicting else f.value for f in (*context.facts, *given.facts)}
        sources = {"context": asdict(context), "context.facts": facts, "context.attempts": context.counts}
        sources |= {"identity": asdict(identity), "signals": given.signals.values}
        fields = {f"{source}.{name}": value for source, found in sources.items() for name, value in found.items()}
        for at, data in (("context", given.labels), ("stored", given.shared.stored)):
            fields |= {f"{at}.level": data.level, f"{at}.categories": ANY if data.everything else data.categories}
        fields |= asdict(given.action) | {"effect": profile.effect.value, "category": profile.categories or ABSENT}
        fields |= {"identity.delegated": len(identity.delegation), "identity.authority": given.shared.authority.value}
        fields |= {"context.denied": context.verdicts.get("DENY", 0), "context.said": "\n".join(context.said)}
        fields["context.actions_last_minute"] = sum(given.now - stamp <= 60 * 10**6 for stamp in context.pace)
        fields["context.elapsed_s"] = (given.now - context.started_at) // 10**6
        self.fields = {field: list(value) if type(value) is tuple else value for field, value in fields.items()}

    def find(self, field: str) -> object:  # what stands in a field; a list where there may be several values
        head, _, path = field.partition(".")
        if head in ("destination", "resource", "amount", "content") or path == "*":
            tree = self.parameters if path else [self.parameters.get(name) for name in getattr(self.profile, head)]
            values, sums = leaves(tree, keys=path == "*"), head == "amount"
            return [UNKNOWN if sums and not (type(v) is Number and exact(v) >= 0) else v for v in values] or ABSENT
        if head != "parameters":
            return self.fields.get(field, 0 if field.startswith("context.attempts.") else UNKNOWN)
        found = self.parameters
        for key in path.split("."):
            found = found.get(key) if type(found) is dict else None if found is None else UNKNOWN
        return ABSENT if found is None else found

    def matches(self, rule: Rule) -> bool | None:  # whether everything that a rule asks for holds
        truths = [self.holds(condition, rule.decision not in ("ALLOW", "MODIFY")) for condition in rule.match]
        for tally in rule.tallies:
            prior = self.given.shared.tallies.get(f"{tally.kind}|{tally.per}|{tally.window_s}", UNKNOWN)
            own = [Fraction(1, 10**6)] if tally.kind == "rate" else [exact(value) for value in self.find("amount")]
            truths.append(prior + sum(own) * 10**6 > tally.above if own and UNKNOWN not in [prior, *own] else None)
        return every(truths)

    def holds(self, condition: Condition, restricts: bool) -> bool | None:  # one value restricts, all permit
        found, name, value = self.find(condition.field), condition.operator.value, condition.value
        if name == "exists":
            return None if found is UNKNOWN else (found is not ABSENT) == (value is not condition.negated)
        operands = [Level[x] if type(found) is Level else x for x in (value if type(value) is list else [value])]
        kind = type(operands[0])
        if condition.field == "parameters.*" and found is not ABSENT:  # what an operator for such an operand can judge
            texts = [str(v).lower() if type(v) is bool else str(v) for v in found]
            found = texts if kind is str else [v for v in found if type(v) is (bool if kind is bool else Number)]
        negated, name = condition.negated or name in ("ne", "not_in"), "eq" if name in ("ne", "in", "not_in") else name
        data = condition.field in ("context.categories", "stored.categories")  # names, compared whole
        if found is ANY or (found in (ABSENT, []) and not (data and name == "contains")):
            return restricts and (negated or found is ANY)
        listed = name == "contains" and type(found) is list and condition.field in self.fields  # no parameter, no role
        wide = restricts != negated if listed or data else restricts
        quantifier = (every if negated else some) if listed else some if restricts else every
        name = "eq" if listed and (data or not wide) else name
        pairs = product(found if type(found) is list else [found], (str, normal_form) if wide else (str,))
        truths = [some([judged(name, one, operand, form) for operand in operands]) for one, form in pairs]
        return quantifier([None if truth is None else truth != negated for truth in truths])

    def decide(self, matching: list[Rule], done: set[str], posture: Posture) -> tuple[Verdict, bytes | None]:
        if not matching:
            passes = posture == "declared_tools" or (posture == "declared_reads" and self.profile.effect == "read")
            return (Verdict.ALLOW if passes else Verdict.DENY), None
        top = [rule for rule in matching if rule.priority == max(other.priority for other in matching)]
        edits, kinds = [edit for rule in top for edit in rule.modifications], {rule.decision for rule in top}
        conflict = len(kinds) > 1 or len({edit.parameter for edit in edits}) < len(edits)
        if conflict or not edits:
            return Verdict.DEFER if conflict else Verdict.ALLOW if {r.id for r in top} <= done else kinds.pop(), None
        new = {edit.parameter: changed(edit, self.parameters.get(edit.parameter, ABSENT)) for edit in edits}
        if UNKNOWN in new.values():
            return Verdict.DENY, None
        after = canonical_parameters({k: v for k, v in (self.parameters | new).items() if v is not ABSENT})
        return (Verdict.ALLOW, None) if after == self.given.action.parameters else (Verdict.MODIFY, after)


def judged(name: str, value: object, operand: object, form: object) -> bool | None:  # like with like; else undetermined
    left, right = exact(value, form), exact(operand, str if name == "matches" else form)
    judges = {} if type(left) is not type(right) else TEXTUAL if type(left) is str else ORDER
    return judges[name](left, right) if name in judges else None


def exact(value: object, form: object = str) -> object:  # a number exactly as its source says it, a text in a form
    return Fraction(str(value)) if type(value) in (Number, int, float) else form(value) if type(value) is str else value


def leaves(tree: object, keys: bool = False) -> list[object]:  # every value (and key) at any depth; `null` is none
    tree = [*([*tree] * keys), *tree.values()] if type(tree) is dict else tree
    return [leaf for each in tree for leaf in leaves(each, keys)] if type(tree) is list else [tree] * (tree is not None)


def changed(edit: Modification, old: object, inside: bool = False) -> object:  # unknown: it cannot be applied
    if edit.edit in ("set", "drop") or (old in (ABSENT, None) and not inside):
        return {"set": edit.value, "cap": edit.value, "drop": ABSENT}.get(edit.edit, old)
    if type(old) is list and edit.edit != "cap":
        return UNKNOWN if UNKNOWN in (items := [changed(edit, item, inside=True) for item in old]) else items
    if type(old) is not (Number if edit.edit == "cap" else str):
        return UNKNOWN
    if edit.edit != "prefix":
        return min(old, edit.value, key=exact) if edit.edit == "cap" else re2.sub(edit.value, "[redacted]", old)
    root, path = normpath(edit.value), normpath(old)
    return path if f"{path}/".startswith(f"{root}/") else normpath(f"{root}//{normpath('/' + old)}")
