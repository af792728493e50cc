"""The oracle: a second policy decision point for one round, from the pages alone; slow, and right (with `values`)."""

from fractions import Fraction
from itertools import combinations, product

from msgspec.structs import asdict, replace

from navicert.core.accumulate import OTHER
from navicert.core.builtin import supervision
from navicert.core.canonical import Number, canonical_parameters, parse_parameters
from navicert.core.digest import rule_digest
from navicert.core.text import ambiguous, normal_form, undisguised
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import WORST, Level, Limit
from navicert.model.policy import Condition, Earlier, PolicySet, Rule, Tally
from oracle.values import ABSENT, ANY, TYPES, UNKNOWN, changed, every, exact, judged, leaves, read, some

STRICT = ("ALLOW", "MODIFY", "STEP_UP", "DEFER", "DENY")
NOTHING, ANYTHING = Limit(level=Level.PUBLIC, categories=()), Limit(level=Level.RESTRICTED)  # what may be sent


def judge_fully(given: EvaluationInput, policy: PolicySet) -> tuple[Verdict, bytes | None]:  # verdict, what would run
    blind = replace(policy, rules=tuple(replace(r, decision=None) if scores(r) else r for r in policy.rules))
    ruled = max((rule_on(given, blind), rule_on(given, policy)), key=lambda answer: STRICT.index(answer[0]))
    authority, tool = given.shared.authority, Case(given, policy).profile
    bound = {"supervised"} if tool and tool.effect == "read" else {"supervised", "narrowed"}
    asks = Verdict.ALLOW if rule_digest(supervision(policy.supervisors)) in given.answered else Verdict.STEP_UP
    return (asks if policy.supervisors else Verdict.DENY, None) if ruled[0] == "ALLOW" and authority in bound else ruled


def scores(rule: Rule) -> bool:  # whether it asks for a score
    names = [condition.field for condition in rule.match]
    if any(n.startswith(("drift.", "signals.drift_")) for n in names):
        return True
    return any(n.startswith("signals.") and (n.endswith("_ppm") or n == "signals.judge_aligned") for n in names)


def rule_on(given: EvaluationInput, policy: PolicySet) -> tuple[Verdict, bytes | None]:
    confidence, authority, case = given.signals.confidence_ppm, given.shared.authority, Case(given, policy)
    allowed = case.profile and in_scope(given.action.name, given.identity.scope)
    if not allowed or authority in ("suspended", "revoked") or case.out_of_bounds() is True:
        return Verdict.DENY, None
    rules = [replace(r, priority=10**9) if r.classification == "forbidden" else r for r in case.rules if r.decision]
    sure, doubtful = ([rule for rule in rules if case.matches(rule) is truth] for truth in (True, None))
    done = {r.id for r in rules if r.decision in ("STEP_UP", "DEFER") and rule_digest(r) in given.answered}
    above = [r for r in doubtful if r.id not in done and all(r.priority >= other.priority for other in sure)]
    worlds = [[*sure, *world] for number in range(len(above) + 1) for world in combinations(above, number)]
    answers = {case.decide(world, done) for world in worlds}
    bears = any(r.decision in ("MODIFY", "STEP_UP", "DEFER") or r.constraints or r.limits for r in above)
    doubted = case.out_of_bounds() is None or (confidence is not None and confidence < policy.confidence_ppm)
    open_ended = len(answers) > 1 or bears or (doubted and answers != {(Verdict.DENY, None)})
    return (Verdict.DEFER, None) if open_ended else answers.pop()


def in_scope(name: str, scope: tuple[str, ...]) -> bool:
    return any(p in ("*", name) or (p.endswith(".*") and name.startswith(p[:-1])) for p in scope)


class Case:  # one action under judgement
    def __init__(self, given: EvaluationInput, policy: PolicySet) -> None:
        self.given, self.policy, self.parameters = given, policy, parse_parameters(given.action.parameters)
        self.rules = [rule for rule in policy.rules if not rule.shadow]
        self.profile = next((tool for tool in policy.tools if tool.tool == given.action.name), given.action.profile)
        context, identity, tool = given.context, given.identity, self.profile
        facts = {f.name: UNKNOWN if f.conflicting else f.value for f in (*context.facts, *given.facts)}
        sources = {"context": asdict(context), "context.facts": facts, "context.attempts": context.counts}
        sources |= {"identity": asdict(identity), "signals": given.signals.values}
        fields = {f"{source}.{name}": value for source, found in sources.items() for name, value in found.items()}
        for of, data in (("context", given.labels), ("stored", given.shared.stored)):
            fields |= {f"{of}.level": data.level, f"{of}.categories": ANY if data.everything else data.categories}
        fields |= asdict(given.action) | {"separation": given.separation}
        fields |= {"effect": tool.effect.value, "category": tool.categories or ABSENT} if tool else {}
        fields |= {"identity.delegated": len(identity.delegation), "identity.authority": given.shared.authority.value}
        fields |= {"context.denied": context.verdicts.get("DENY", 0), "context.said": "\n".join(context.said)}
        fields |= {"context.risk": context.walked.risk, "context.intent": context.claims.intent or UNKNOWN}
        fields["context.actions_last_minute"] = sum(given.now - stamp <= 60 * 10**6 for stamp in context.pace)
        fields["context.elapsed_s"] = (given.now - context.started_at) // 10**6
        self.fields = {field: list(value) if type(value) is tuple else value for field, value in fields.items()}

    def out_of_bounds(self) -> bool | None:  # whether something forbids the action, whatever the rules decide
        garbled = any(type(value) is str and ambiguous(value) for value in self.find("destination"))
        return some([garbled, self.outside_intent(), self.over_label(), self.over_risk()])

    def outside_intent(self) -> bool:
        context, name = self.given.context, self.given.action.name
        mine = next((intent for intent in self.policy.intents if intent.name == context.claims.intent), None)
        if mine is None:
            return bool(self.policy.intents)
        itself = any(wait.action_id == self.given.action.action_id for wait in context.waiting)  # it is judged again
        full = mine.actions is not None and sum(context.counts.values()) - itself >= mine.actions
        return full or not (in_scope(name, mine.tools) and (mine.accepts or ANYTHING).admits(self.given.labels))

    def over_label(self) -> bool | None:
        limits, entries, signals = [self.profile.accepts or ANYTHING], self.policy.destinations, self.given.signals
        for value in self.find("destination") if entries else ():
            texts = [entry for entry in entries if type(value) is str]
            named = [
                e.accepts for e in texts if value in e.names or (e.pattern and judged("matches", value, e.pattern, str))
            ]
            for place in read("at", value):
                here = [e.accepts for e in entries if any(judged("at", place, pattern, str) for pattern in e.at)]
                limits += [*named, *here] or [NOTHING]
        limits += [NOTHING] * bool(entries and self.profile.effect == "send" and not self.find("destination"))
        known = self.given.labels.join(signals.labels).join(self.given.shared.stored)
        sent, worst = ([limit.admits(labels) for limit in limits] for labels in (known, WORST))
        return not all(sent) or (None if "sensitive_level" in signals.unknown and not all(worst) else False)

    def over_risk(self) -> bool | None:
        points = [(rule.adds_risk, self.matches(rule)) for rule in self.rules if rule.adds_risk]
        least, most = (sum(n for n, truth in points if truth in truths) for truths in ((True,), (True, None)))
        left = float("inf") if self.policy.risk_limit is None else self.policy.risk_limit - self.fields["context.risk"]
        return least > left or (None if most > left else False)

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
        restricts = rule.decision not in ("ALLOW", "MODIFY")
        truths = [self.holds(condition, restricts) for condition in rule.match]
        truths += [self.happened(earlier, restricts) for earlier in rule.after]
        return every([*truths, *(self.exceeds(tally) for tally in rule.tallies)])

    def keeps(self, rule: Rule) -> bool:  # whether every constraint of a rule holds, and for certain
        truths = [self.holds(condition, restricts=False, nothing=True) for condition in rule.constraints]
        return every(truths) is True and all(self.exceeds(tally) is False for tally in rule.limits)

    def exceeds(self, tally: Tally) -> bool | None:
        prior = self.given.shared.tallies.get(f"{tally.kind}|{tally.per}|{tally.window_s}", UNKNOWN)
        own = [Fraction(1, 10**6)] if tally.kind == "rate" else [exact(value) for value in self.find("amount")]
        return prior + sum(own) * 10**6 > tally.above if own and UNKNOWN not in [prior, *own] else None

    def happened(self, earlier: Earlier, restricts: bool) -> bool | None:  # within the window, a tool that is such
        window, truths = float("inf") if earlier.within_s is None else earlier.within_s * 10**6, []
        for name, stamp in self.given.context.walked.done.items():
            (tool, _, operation), in_time = name.rpartition("."), self.given.now - stamp <= window
            action = replace(self.given.action, tool=tool, operation=operation, profile=None)
            case, such = Case(replace(self.given, action=action), self.policy), restricts != earlier.negated
            truth = None if name == OTHER else every([case.holds(condition, such) for condition in earlier.match])
            truths.append(in_time and truth)
        return None if some(truths) is None else some(truths) != earlier.negated

    def holds(self, condition: Condition, restricts: bool, nothing: bool | None = None) -> bool | None:
        """One value restricts, all permit. nothing: what holds of a value that is not there, where that is settled."""
        found, name, value = self.find(condition.field), condition.operator.value, condition.value
        if name == "exists":
            return None if found is UNKNOWN else (found is not ABSENT) == (value is not condition.negated)
        if name == "type" and found is not ABSENT:  # of the parameter as a whole
            kinds = [TYPES.get(type(found)), "integer" * (type(found) is Number and found.lstrip("-").isdigit())]
            return None if found is UNKNOWN else (value in kinds) is not condition.negated
        operands = [Level[x] if type(found) is Level else x for x in (value if type(value) is list else [value])]
        kind = type(operands[0])
        if condition.field == "parameters.*" and found is not ABSENT:  # what an operator for such an operand can judge
            texts = [str(v).lower() if type(v) is bool else str(v) for v in found]
            found = texts if kind is str else [v for v in found if type(v) is (bool if kind is bool else Number)]
        negated, name = condition.negated or name in ("ne", "not_in"), "eq" if name in ("ne", "in", "not_in") else name
        data = condition.field in ("context.categories", "stored.categories")  # names, compared whole
        if found is ANY or (found in (ABSENT, []) and not (data and name == "contains")):
            return (restricts and (negated or found is ANY)) if nothing is None else nothing
        operands, name = ([self.find(value)], "eq") if name == "same" else (operands, name)
        negated, name = negated != (name == "external"), "at" if name == "external" else name
        listed = name == "contains" and type(found) is list and condition.field in self.fields  # no parameter, no role
        wide = restricts != negated if listed or data else restricts
        quantifier = (every if negated else some) if listed else some if restricts else every
        name = "eq" if listed and (data or not wide) else name
        other = undisguised if name == "matches" and negated else normal_form  # a pattern is as it is written
        pairs = product(found if type(found) is list else [found], (str, other) if wide else (str,))
        pairs = [(one, form) for value, form in pairs for one in read(name, value)]
        truths = [some([judged(name, one, operand, form) for operand in operands]) for one, form in pairs]
        return quantifier([None if truth is None else truth != negated for truth in truths])

    def decide(self, matching: list[Rule], done: set[str]) -> tuple[Verdict, bytes | None]:
        if not matching:
            reads = self.policy.posture == "declared_reads" and self.profile.effect == "read"
            return (Verdict.ALLOW if reads or self.policy.posture == "declared_tools" else Verdict.DENY), None
        top = [rule for rule in matching if rule.priority == max(other.priority for other in matching)]
        edits, kinds = [edit for rule in top for edit in rule.modifications], {rule.decision for rule in top}
        if len(kinds) > 1 or len({edit.parameter for edit in edits}) < len(edits):
            return Verdict.DEFER, None
        new = {edit.parameter: changed(edit, self.parameters.get(edit.parameter, ABSENT)) for edit in edits}
        if UNKNOWN in new.values():
            return Verdict.DENY, None
        after = canonical_parameters({k: v for k, v in (self.parameters | new).items() if v is not ABSENT})
        if edits and after != self.given.action.parameters:
            return Verdict.MODIFY, after
        answer = Verdict.ALLOW if edits or {rule.id for rule in top} <= done else kinds.pop()
        kept = answer not in ("ALLOW", "STEP_UP") or all(self.keeps(rule) for rule in top)
        return (answer if kept else Verdict.DENY), None
