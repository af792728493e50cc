"""Explaining: one decision as a tree of the steps of precedence, with the values that matched (R1.d, R3.d).

* The decision is `evaluate`'s own, and every outcome that of the predicate which it asked: nothing is judged here.
* For those who write policy, never for an agent: it would teach evasion. An agent is told `Decision.reason` alone.
* What was found is text that anybody may have written: whoever shows it makes it inert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace

from navicert.core.bounds import at_stake, beyond, intent_of, limits_on, risk_of
from navicert.core.compile import Candidates, CompiledPolicy, CompiledRule
from navicert.core.evaluate import evaluate, shadow
from navicert.core.fields import ABSENT, UNKNOWN, Many, Subject
from navicert.core.kleene import FALSE, TRUE, UNDETERMINED
from navicert.core.rounds import ROUNDS, UNSTABLE, merged, with_parameters
from navicert.core.scope import in_scope
from navicert.core.text import ambiguous
from navicert.explain.asked import reading_of, said_of
from navicert.explain.looks import OUTCOMES, Look, constraints_of, decimal_of, looks_of, operand, plainly, text_of
from navicert.explain.origins import origins
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Classification, Decision, Shadow, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.labels import NOTHING, Labels
from navicert.model.policy import Rule
from navicert.model.signals import Signals
from navicert.model.value import Value

STEPS: Final = (
    "authority, tool, scope", "forbidden and limits", "risk of the session", "rules or posture", "uncertainty",
    "alignment", "supervision",
)  # fmt: skip
"""The steps of precedence, by their numbers in `core.evaluate`."""
MATCHES: Final = ("does not match", "matches", "undetermined")
_BEFORE: Final = frozenset({
    "authority_suspended", "authority_revoked", "unknown_tool", "out_of_scope", "destination_ambiguous",
})  # fmt: skip
_ASKING: Final = frozenset({Verdict.STEP_UP, Verdict.DEFER})


class Came(StrEnum):
    """What a step came to. open: it could have refused, and cannot tell; step 4 takes that up."""

    PASSED = "passed"
    OPEN = "open"
    DECIDED = "decided"
    UNREACHED = "not reached"
    UNASKED = "not asked"


class Considered(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One rule that was looked at. does: what it is for, in words. outcome: of `MATCHES`. note: what became of it.

    decides: it is one of those that determine the decision. looks: its conditions but those on the tool's name.
    constraints: of a rule that matches.
    """

    rule: str
    does: str
    outcome: str
    priority: int = 0
    decides: bool = False
    note: str = ""
    looks: tuple[Look, ...] = ()
    constraints: tuple[Look, ...] = ()


class Step(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One step of precedence. number: into `STEPS`. says: a sentence. below: rules that no look was needed at."""

    number: int
    came: Came
    says: str = ""
    looks: tuple[Look, ...] = ()
    rules: tuple[Considered, ...] = ()
    below: int = 0


class Round(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The action judged once. step: the number of the step that decided. others: rules that cannot concern the tool."""

    parameters: bytes
    decision: Decision
    step: int
    steps: tuple[Step, ...]
    others: int


class Explanation(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One decision explained. rounds: more than one where it was modified, and judged again each time.

    beside: rules that hold and decide nothing: they label, lower the authority, or stand in shadow. labels: at stake,
    in the last round; origins: as `origins.origins` gives them. intent: what was said of the action's intent, by the
    names of `intent.values.Judgement`; empty where it was not judged. reading: of its request, as `asked.reading_of`.
    """

    name: str
    decision: Decision
    rounds: tuple[Round, ...]
    beside: tuple[Considered, ...] = ()
    shadow: Shadow | None = None
    labels: Labels = NOTHING
    origins: dict[str, Labels] = {}
    intent: dict[str, str] = {}
    reading: dict[str, Any] = {}


def explain(
    given: EvaluationInput, policy: CompiledPolicy, measured: Callable[[Action], Signals] | None = None
) -> Explanation:
    """Explain the decision on one action. measured: what detectors see of a modified one; None: the same as before."""
    first, rounds = given, [_round(given, policy)]
    while (effective := rounds[-1].decision.effective) is not None and len(rounds) <= ROUNDS:
        action = with_parameters(given.action, effective)
        given = replace(given, action=action, signals=measured(action) if measured else given.signals)
        rounds.append(_round(given, policy))
    decision = rounds[-1].decision
    if decision.effective is not None:
        decision = UNSTABLE
    elif len(rounds) > 1:
        touched = tuple(rule for each in rounds[:-1] for rule in each.decision.rules)
        decision = replace(merged(decision, touched), effective=given.action.parameters)
    return Explanation(
        name=given.action.name,
        decision=decision,
        rounds=tuple(rounds),
        beside=tuple(_beside(given, policy)),
        shadow=shadow(first, policy),
        labels=at_stake(given),
        origins=origins(given),
        intent=said_of(given),
        reading=reading_of(given),
    )


def step_of(decision: Decision) -> int:
    """Return the number of the step that gave this decision of `evaluate`."""
    code, kind = decision.reason_code, decision.classification
    if code in _BEFORE:
        return 0
    if decision.verdict is Verdict.DEFER and code != "rule":
        return 4
    if kind is Classification.FORBIDDEN:
        return 2 if code == "risk_limit" else 1
    return 6 if code == "authority_reduced" or decision.rules == (_SUPERVISION,) else 3


_SUPERVISION: Final = "navicert.supervision"
_ALSO: Final = {
    "within_limits": ": nothing is left to change",
    "answered": ": people have answered",
    "constraint": ": a constraint does not hold",
    "modification_failed": ": it cannot be changed so",
}


def _ids(candidates: Candidates) -> Iterator[str]:
    return (item.rule.id for group in (candidates.forbidden, *candidates.groups) for item in group)


class _Judged:
    """One round, step by step."""

    def __init__(self, given: EvaluationInput, policy: CompiledPolicy, subject: Subject, decision: Decision) -> None:
        self.given, self.policy, self.subject, self.decision = given, policy, subject, decision
        self.at = step_of(decision)
        self.candidates = policy.candidates(given.action.tool, given.action.operation)
        plain = self.candidates.plain
        if plain is not None and not {*decision.rules} & {*_ids(self.candidates)} - {*_ids(plain)}:
            self.candidates = plain  # what asks for a score decided nothing
        self.hard = beyond(given, policy, self.subject)
        self.unclear: list[Considered] = []

    def concerned(self) -> int:
        """Return how many rules can concern the tool."""
        found: set[str] = set()
        action = self.given.action
        for policy in filter(None, (self.policy, self.policy.shadowed)):
            each = policy.candidates(action.tool, action.operation)
            groups = (each.forbidden, *each.groups, each.labelling, each.lowering, each.adding)
            found.update(item.rule.id for group in groups for item in group)
        return len(found)

    def considered(self, item: CompiledRule, step: int, note: str = "") -> Considered:
        """Look at one rule; `step`: where."""
        rule = item.rule
        outcome = item.matches(self.subject)
        if rule.decision in _ASKING and item.hash in self.given.answered:
            note = "answered by people"
        return Considered(
            rule=rule.id,
            does=_does(rule),
            outcome=MATCHES[outcome],
            priority=rule.priority,
            decides=step == self.at and rule.id in self.decision.rules,
            note=note,
            looks=tuple(looks_of(item, self.subject)),
            constraints=tuple(constraints_of(item, self.subject)) if outcome == TRUE else (),
        )

    def step(self, number: int, came: Came, says: str = "", **more: Any) -> Step:
        """Return a step; the one that decided says by what."""
        if number == self.at:
            came, says = Came.DECIDED, self.decision.reason
            if self.decision.rules and number != 4:
                says = f"by {', '.join(self.decision.rules)}{_ALSO.get(self.decision.reason_code, '')}"
        return Step(number=number, came=came, says=says, **more)

    def forbidden(self) -> Step:
        """Step 1."""
        rules: list[Considered] = []
        for item in self.candidates.forbidden:
            rules.append(self.considered(item, 1))
            if rules[-1].decides:
                return self.step(1, Came.DECIDED, rules=tuple(rules))
        looks = (*self._intent(), *self._labels())
        self.unclear = [each for each in rules if each.outcome == "undetermined"]
        unmeasured = self.hard is not None and self.hard.reason_code == "label_limit"
        came = Came.OPEN if self.unclear or unmeasured else Came.PASSED
        says = "nothing here forbids it" if rules or looks else "nothing is forbidden, and no limit is set"
        return self.step(1, came, says if came is Came.PASSED else "", looks=looks, rules=tuple(rules))

    def _intent(self) -> Iterator[Look]:
        if not self.policy.policy.intents:
            return
        given, name, intent = self.given, self.given.context.claims.intent, intent_of(self.given, self.policy)
        known = [item.name for item in self.policy.policy.intents]
        yield plainly("intent", "in", operand(known), text_of(name or UNKNOWN), holds=intent is not None, key="intents")
        if intent is None:
            return
        inside = in_scope(given.action.name, intent.tools)
        # the whole list matters where the tool is none of it
        part = operand(intent.name) if inside else f"{operand(intent.name)}: {operand(intent.tools)}"
        yield plainly("tool", "is part of", part, text_of(given.action.name), holds=inside)
        if intent.actions is not None:
            count = sum(given.context.counts.values())
            yield plainly("earlier actions", "below", str(intent.actions), str(count), holds=count < intent.actions)
        if intent.accepts is not None:
            holds = intent.accepts.admits(given.labels)
            yield plainly("labels in force", "at most", intent.accepts.words(), given.labels.words(), holds=holds)

    def _labels(self) -> Iterator[Look]:
        labels = at_stake(self.given)
        for what, limit in limits_on(self.policy, self.subject):
            name = f"labels to {what.partition(',')[0].replace('`', '').removeprefix('the ')}"
            yield plainly(name, "at most", limit.words(), labels.words(), holds=limit.admits(labels))
        if self.hard is not None and self.hard.undetermined == ("signals.sensitive_level",):
            found = f"unknown: {self.given.signals.unknown['sensitive_level']}"
            yield Look(what="what it holds", test="measured", expected="", found=found, outcome=OUTCOMES[UNDETERMINED])

    def risk(self) -> Step:
        """Step 2."""
        limit, so_far = self.policy.policy.risk_limit, self.given.context.walked.risk
        if limit is None:
            return self.step(2, Came.UNASKED, "the policy sets no limit")
        if self.hard is not None and self.hard.reason_code == "label_limit":
            return self.step(2, Came.UNREACHED)
        sure, told = risk_of(self.given, self.policy, self.subject)
        found = f"{so_far} so far, {sure} added" + (f", {told - sure} that cannot be told" if told > sure else "")
        outcome = FALSE if so_far + sure > limit else UNDETERMINED if so_far + told > limit else TRUE
        look = Look(
            what="risk", test="at most", expected=str(limit), found=found, outcome=OUTCOMES[outcome], key="risk_limit"
        )
        rules = tuple(self.considered(item, 2) for item in self.candidates.adding)
        return self.step(2, Came.PASSED if outcome == TRUE else Came.OPEN, looks=(look,), rules=rules)

    def rules(self) -> Step:
        """Step 3."""
        rules: list[Considered] = []
        posture, groups = self.policy.policy.posture, iter(self.candidates.groups)
        for group in groups:
            found = [self.considered(item, 3) for item in group]
            self.unclear += [each for each in found if each.outcome == "undetermined"]
            rules += [each for each in found if each.outcome != "undetermined"]
            matched = [each for each in found if each.outcome == "matches"]
            if matched:
                says = f"so far {' and '.join(dict.fromkeys(each.does for each in matched))}"
                below = sum(map(len, groups))
                return self.step(3, Came.PASSED, says, rules=tuple(rules), below=below)
        look = plainly(
            "effect", "under posture", posture.value, self.subject.profile.effect.value, holds=True, key="posture"
        )
        return self.step(3, Came.PASSED, "no rule matches: the posture", looks=(look,), rules=tuple(rules))

    def uncertainty(self) -> Step:
        """Step 4."""
        asked, found = self.policy.policy.confidence_ppm, self.given.signals.confidence_ppm
        looks: tuple[Look, ...] = ()
        if asked and found is not None:
            looks = (
                plainly(
                    "confidence",
                    "at least",
                    decimal_of(asked),
                    decimal_of(found),
                    holds=found >= asked,
                    key="confidence",
                ),
            )
        named = self.decision.rules if self.at == 4 else ()
        idle = "could not change the answer"
        unclear = tuple(
            replace(each, decides=each.rule in named, note=each.note or ("" if each.rule in named else idle))
            for each in self.unclear
        )
        says = "what cannot be told could not change the answer" if unclear else "all that matters is known"
        return self.step(4, Came.PASSED, says, looks=looks, rules=unclear)

    def scores(self) -> Step:
        """Step 5: `self.candidates` are those that gave the decision."""
        if self.policy.candidates(self.given.action.tool, self.given.action.operation).plain is None:
            return self.step(5, Came.UNASKED, "no rule asks for a score")
        decided = self.candidates.plain is not None
        return self.step(5, Came.PASSED, "a score decided, for the stricter" if decided else "scores change nothing")

    def supervision(self) -> Step:
        """Step 6."""
        state = self.given.shared.authority
        if self.at not in {3, 6}:
            return self.step(6, Came.UNREACHED)
        if state is Authority.FULL:
            return self.step(6, Came.PASSED, "the authority is full: the answer stands")
        rule = self.policy.supervision
        rules = (self.considered(rule, 6),) if rule is not None and self.at == 6 else ()
        return self.step(6, Came.PASSED, f"the authority is {state.value}: the answer stands", rules=rules)


def _round(given: EvaluationInput, policy: CompiledPolicy) -> Round:
    decision = evaluate(given, policy)
    at = step_of(decision)
    profile = policy.profile(given.action.name, given.action.profile)
    steps = [_before(given, policy, profile, decision)]
    others = 0
    if at and profile is not None:
        judged = _Judged(given, policy, Subject(given, profile), decision)
        parts = (judged.forbidden, judged.risk, judged.rules, judged.uncertainty)
        steps += [part() for part in parts[: 4 if at > 2 else at]]
        if at > 2:
            steps += [judged.scores(), judged.supervision()]
        others = len(policy.policy.rules) - judged.concerned()
    steps += [Step(number=number, came=Came.UNREACHED) for number in range(len(steps), len(STEPS))]
    return Round(parameters=given.action.parameters, decision=decision, step=at, steps=tuple(steps), others=others)


def _before(given: EvaluationInput, policy: CompiledPolicy, profile: ToolProfile | None, decision: Decision) -> Step:
    """Step 0, as far as it came."""
    looks: list[Look] = []
    for look in _first(given, policy, profile):
        looks.append(look)
        if look.outcome != "holds":
            break
    if step_of(decision) == 0:
        return Step(number=0, came=Came.DECIDED, says=decision.reason, looks=tuple(looks))
    return Step(number=0, came=Came.PASSED, says="it may act, with a tool that is known", looks=tuple(looks))


def _first(given: EvaluationInput, policy: CompiledPolicy, profile: ToolProfile | None) -> Iterator[Look]:
    name, scope, state = given.action.name, given.identity.scope, given.shared.authority
    stopped = (Authority.SUSPENDED, Authority.REVOKED)
    yield plainly("authority", "neither suspended nor revoked", "", state.value, holds=state not in stopped)
    where = "by the policy" if name in policy.profiles else "in code"
    known = "no" if profile is None else f"{where}: {profile.effect.value}"
    yield plainly("tool", "declared", "", known, holds=profile is not None)
    yield plainly("scope", "covers", operand(name), text_of(list(scope)), holds=in_scope(name, scope))
    if profile is not None and profile.destination:
        values = Subject(given, profile).values("destination")
        plain = not any(type(value) is str and ambiguous(value) for value in values)
        yield plainly("destination", "undisguised", "", text_of(Many(values) if values else ABSENT), holds=plain)


def _beside(given: EvaluationInput, policy: CompiledPolicy) -> Iterator[Considered]:
    profile = policy.profile(given.action.name, given.action.profile)
    if profile is None:
        return
    judged = _Judged(given, policy, Subject(given, profile), evaluate(given, policy))
    candidates = judged.candidates
    silent = [item for item in (*candidates.labelling, *candidates.lowering) if item.rule.decision is None]
    for item in dict.fromkeys(silent):
        yield judged.considered(item, -1)
    if policy.shadowed is not None:
        aside = {rule.id for rule in policy.policy.rules if rule.shadow}
        both = policy.shadowed.candidates(given.action.tool, given.action.operation)
        for item in (*both.forbidden, *(each for group in both.groups for each in group)):
            if item.rule.id in aside:
                yield judged.considered(item, -1, "in shadow: decides nothing")


def _does(rule: Rule) -> str:
    parts = [rule.decision.value] if rule.decision is not None else []
    if rule.adds_risk:
        parts.append(f"adds {rule.adds_risk} to the risk")
    if rule.set_context is not None:
        parts.append(f"labels the result {rule.set_context.words()}")
    if rule.authority is not None:
        parts.append(f"lowers the authority to {rule.authority.value}")
    if rule.require_witnessed:
        parts.append("waits for witnesses before it starts")
    return ", ".join(parts)
