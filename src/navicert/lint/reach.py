"""Rules that cannot decide, conditions that cannot hold, names that lead nowhere (R3.a, R3.b)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from navicert.core.fields import ROLES
from navicert.core.text import normal_form
from navicert.lint.book import NAMES, Book, Finding, full_names, holds, implies, inverted, listed, permits, shown
from navicert.model.action import ToolProfile
from navicert.model.decision import Classification, Verdict
from navicert.model.policy import Condition, Operator, Rule

MEASURED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("protected", "sensitive_categories", "sensitive_level", "cedar_policies"), ""),
    **dict.fromkeys(("alignment_ppm", "distance_ppm", "contrast_ppm", "uncertainty_ppm"), ""),
    **dict.fromkeys(("judge_aligned", "judge_confidence_ppm"), ""),
    **dict.fromkeys(("drift_state", "drift_mean_ppm", "drift_max_ppm", "drift_sum_ppm", "drift_why"), ""),
    **dict.fromkeys(
        ("sql_kinds", "sql_statements", "sql_writes", "sql_tables", "sql_functions", "sql_unbounded"), "sql"
    ),
    **dict.fromkeys(("path_real", "path_linked"), "files"),
    **dict.fromkeys(("shell_programs", "shell_writes", "shell_inline_code", "shell_dynamic", "shell_parsed"), "shell"),
}
"""The signals that the built-in detectors give → the category of the tools for which they do; empty: for all."""
_WITHOUT_TEST: Final = frozenset(
    {Operator.EXISTS, Operator.TYPE, Operator.SAME, Operator.AT, Operator.EXTERNAL, Operator.UNDER}
)
_ON: Final = frozenset({Verdict.ALLOW, Verdict.MODIFY, Verdict.STEP_UP})
_FACTS: Final = "context.facts."
_SIGNALS: Final = "signals."


def reach(book: Book) -> Iterator[Finding]:
    """Find rules that never decide, and conditions that a tool's profile settles for good."""
    shadowed: set[str] = set()
    for rule in book.deciding:
        first = next((other for other in book.deciding if _shadows(book, other, rule)), None)
        if first is not None:
            shadowed.add(rule.id)
            yield _shadowed(book, rule, first)
    reported: set[frozenset[str]] = set()
    peers: dict[int, list[Rule]] = {}
    for rule in book.deciding:
        peers.setdefault(rule.priority, []).append(rule)
    for rule in reversed(book.deciding):
        for other in peers[rule.priority]:
            pair = frozenset({rule.id, other.id})
            certain = other is not rule and _conflict(rule, other) and book.meet(rule, other) and implies(rule, other)
            if certain and rule.id not in shadowed and pair not in reported:
                reported.add(pair)
                yield _conflicting(book, rule, other)
    for rule in book.policy.rules:
        yield from _idle(book, rule)
        yield from _past(book, rule)
        yield from _set_aside(book, rule)
        yield from _loosening(book, rule)
        if permits(rule):
            yield from _contradicting(book, rule)


def _set_aside(book: Book, rule: Rule) -> Iterator[Finding]:
    """Find constraints that a rule above lets go; where it asks people, they stand in for `rate` and `total`."""
    bound = {item.field: item.field for item in rule.constraints} | {item.kind: item.kind for item in rule.limits}
    for other in book.deciding:
        if other.decision not in _ON or other.priority <= rule.priority or not book.overlap(rule, other):
            continue
        looking = [other, *(each for each in book.over(other) if each.decision is Verdict.DENY)]
        asked = {name for each in looking for name in _asked(each)}
        people = {"rate", "total"} if other.decision is Verdict.STEP_UP else set()
        lost = sorted(bound.keys() - asked - people)
        if lost and not rule.shadow:
            yield book.finding(
                "NV107",
                rule,
                f"constraints.{lost[0]}",
                f"these constraints ({shown(lost)}) do not count where `{other.id}` matches too",
                why=f"it has priority {other.priority}, and only constraints of the rules that decide must hold",
                write=f"the same constraints at `{other.id}`; or a DENY of a higher priority for what breaks them",
            )


def _asked(rule: Rule) -> Iterator[str]:
    yield from (item.field for item in (*rule.match, *rule.constraints))
    yield from (tally.kind for tally in (*rule.tallies, *rule.limits))


def _loosening(book: Book, rule: Rule) -> Iterator[Finding]:
    """Find shadow rules that would let pass what a rule below them denies."""
    denies = (item for item in book.deciding if item.decision is Verdict.DENY and item.priority < rule.priority)
    below = [
        item.id for item in denies if item.classification is not Classification.FORBIDDEN and book.overlap(rule, item)
    ]
    if rule.shadow and rule.decision in _ON and below:
        what = f"in force, this shadow rule would stand over {shown(below)}, and let pass what is denied now"
        why, write = "a rule that is tried is expected to hold back more, not less", "a lower priority, or DENY"
        yield book.finding("NV108", rule, "decision", what, why=why, write=f"{write}; nothing, where that is meant")


def _shadows(book: Book, other: Rule, rule: Rule) -> bool:
    if not book.meet(rule, other):
        return False
    if other.classification is Classification.FORBIDDEN:
        both = rule.classification is Classification.FORBIDDEN
        return other is not rule and implies(rule, other) and not (both and _stands_before(book, rule, other))
    above = other.priority > rule.priority and rule.classification is not Classification.FORBIDDEN
    return above and implies(rule, other)


def _stands_before(book: Book, one: Rule, other: Rule) -> bool:
    return book.deciding.index(one) < book.deciding.index(other)


def _shadowed(book: Book, rule: Rule, first: Rule) -> Finding:
    rank = "is forbidden" if first.classification is Classification.FORBIDDEN else f"has priority {first.priority}"
    more = rule.set_context or rule.authority or rule.adds_risk or rule.require_witnessed
    others = "`set_context`, `authority`, `adds_risk`, `require_witnessed`"
    rest = f"; what else it says ({others}) still counts" if more else ""
    return book.finding(
        "NV101",
        rule,
        "decision",
        f"this rule never decides: wherever it matches, `{first.id}` matches too, and {rank}",
        why=f"every such action is {_said(first)} by `{first.id}`, never {_said(rule)} by this rule{rest}",
        write=f"give this rule a priority above {first.priority}, narrow `{first.id}`, or remove this decision"
        if first.classification is not Classification.FORBIDDEN
        else f"narrow `{first.id}`, or remove this decision",
    )


def _said(rule: Rule) -> str:
    return rule.decision.value if rule.decision else ""


def _conflict(one: Rule, other: Rule) -> bool:
    if Classification.FORBIDDEN in {one.classification, other.classification}:
        return False
    if one.decision is not other.decision:
        return True
    ours, theirs = ([edit.parameter for edit in rule.modifications] for rule in (one, other))
    return any(a == b or a.startswith(b + ".") or b.startswith(a + ".") for a in ours for b in theirs)


def _conflicting(book: Book, rule: Rule, other: Rule) -> Finding:
    same = rule.decision is other.decision
    which = "modifies the same parameter" if same else f"decides {_said(other)}"
    return book.finding(
        "NV102",
        rule,
        "decision",
        f"wherever this rule matches, `{other.id}` of the same priority {rule.priority} matches too, and {which}",
        why="rules of one priority that disagree DEFER, which nobody can resolve: the action ends in DENY",
        write=f"give this rule a priority above {rule.priority}, or make one rule of the two",
    )


def _idle(book: Book, rule: Rule) -> Iterator[Finding]:
    tools = full_names(rule)
    if not tools or not tools <= book.profiles.keys():
        return
    profiles = [book.profiles[name] for name in tools]
    for item in rule.match:
        if item.field == "effect" and not any(holds(item, profile.effect.value) for profile in profiles):
            effects = shown({profile.effect.value for profile in profiles})
            yield book.finding(
                "NV104",
                rule,
                "match.effect",
                f"this condition never holds: `tools` gives {shown(tools)} the effect {effects}",
                why="what `tools` says counts, whatever the code declares: the rule matches nothing",
                write="correct the effect here or in `tools`, or remove the condition",
            )
        elif item.field in ROLES and item.operator is not Operator.EXISTS and not _plays(book, tools, item.field):
            certain = "always holds" if inverted(item) and not permits(rule) else "never holds"
            yield _without(book, rule, f"match.{item.field}", certain)
    for item in rule.constraints:
        if item.field in ROLES and item.operator is not Operator.EXISTS and not _plays(book, tools, item.field):
            yield _without(book, rule, f"constraints.{item.field}", "bounds nothing")
    for part, tallies in (("match", rule.tallies), ("constraints", rule.limits)):
        if any(tally.kind == "total" for tally in tallies) and not _plays(book, tools, "amount"):
            yield _without(book, rule, f"{part}.total", "is never determined")


def _plays(book: Book, tools: frozenset[str], role: str) -> bool:
    return any(getattr(book.profiles[name], role) for name in tools)


def _without(book: Book, rule: Rule, way: str, certain: str) -> Finding:
    field = way.rpartition(".")[2]
    role = "amount" if field == "total" else field
    tools = shown(full_names(rule))
    return book.finding(
        "NV103",
        rule,
        way,
        f"this condition {certain}: `tools` names no parameter of {tools} as its `{role}`",
        why="a profile in `tools` replaces the one in code, roles included: the condition looks at nothing",
        write=f"add `{role}: PARAMETER` to the tool in `tools`, or ask for the parameter itself under `parameters`",
    )


def _past(book: Book, rule: Rule) -> Iterator[Finding]:
    """Find what must have been done before, and no tool of this file does."""
    for earlier in rule.after:
        shape = [item for item in earlier.match if item.field not in NAMES]
        if shape and not any(all(_could(item, tool) for item in shape) for tool in book.policy.tools):
            word, certain = ("not_after", "is never false") if earlier.negated else ("after", "never holds")
            asked = " and ".join(f"`{item.field}`" for item in shape)
            yield book.finding(
                "NV105",
                rule,
                f"match.{word}",
                f"`{word}` {certain}: no tool under `tools` has the {asked} that it asks for",
                why="effect and category of an earlier action are those of its profile in this file; of a tool without"
                " one they are undetermined",
                write="the profiles of the tools that are meant, under `tools`; or ask for `tool` and `operation`",
            )


def _could(item: Condition, tool: ToolProfile) -> bool:
    if item.field == "effect":
        return holds(item, tool.effect.value)
    if inverted(item) or item.operator not in {Operator.EQ, Operator.IN}:
        return True
    wanted = item.value if isinstance(item.value, list) else [item.value]
    return not {normal_form(str(name)) for name in wanted}.isdisjoint(map(normal_form, tool.categories))


def _contradicting(book: Book, rule: Rule) -> Iterator[Finding]:
    """Find constraints that nothing meets of what the rule itself asks for."""
    for item in rule.match:
        if item.negated or item.operator not in {Operator.EQ, Operator.IN}:
            continue
        values = item.value if isinstance(item.value, list) else [item.value]
        for bound in rule.constraints:
            if bound.field != item.field or bound.operator in _WITHOUT_TEST or any(holds(bound, one) for one in values):
                continue
            yield book.finding(
                "NV106",
                rule,
                f"constraints.{bound.field}",
                f"this constraint never holds where the rule matches: `match` asks for other values of `{bound.field}`",
                why="wherever this rule decides, the answer is DENY (`constraint`)",
                write="correct the value here or in `match`, or write the DENY as a rule of its own",
            )


# --------------------------------------------------------------------------------------------------------------- names


def names(book: Book) -> Iterator[Finding]:
    """Find facts, signals and tools that are named on one side only."""
    known = {fact.name for fact in book.policy.facts}
    used: set[str] = set()
    for rule in book.policy.rules:
        for field in dict.fromkeys(item.field for item in rule.match):
            if field.startswith(_FACTS):
                used.add(name := field.removeprefix(_FACTS))
                if name not in known:
                    yield _unknown_fact(book, rule, name)
            elif field.startswith(_SIGNALS) and field.removeprefix(_SIGNALS) not in MEASURED:
                yield _unknown_signal(book, rule, field.removeprefix(_SIGNALS))
        yield from _of_others(book, rule)
        yield from _undeclared(book, rule, "match.tool")
        for item in rule.after:
            way = "match.not_after" if item.negated else "match.after"
            yield from _undeclared(book, Rule(id=rule.id, match=item.match), way)
    for name in sorted(known - used):
        yield book.finding(
            "NV112",
            None,
            f"facts.{name}",
            f"no rule asks for the fact `{name}`",
            why="it is never found out, for only the facts of rules that wait are",
            write=f"use it in a rule as `context: {{facts.{name}: …}}`, or remove it",
        )


def _unknown_fact(book: Book, rule: Rule, name: str) -> Finding:
    return book.finding(
        "NV111",
        rule,
        f"match.{_FACTS}{name}",
        f"nothing in this policy finds out the fact `{name}`",
        why="until the application observes it, the rule is undetermined, and what hangs on it is DEFER",
        write=f"add `{name}` under `facts`; nothing, where the application calls `session.observe`",
    )


def _unknown_signal(book: Book, rule: Rule, name: str) -> Finding:
    return book.finding(
        "NV113",
        rule,
        f"match.{_SIGNALS}{name}",
        f"no built-in detector gives the signal `{name}`",
        why="without a detector of your own the rule is never determined, and what hangs on it is DEFER",
        write=f"write one of {shown(MEASURED)}, or remove the condition",
    )


def _of_others(book: Book, rule: Rule) -> Iterator[Finding]:
    """A signal that only tools of a category have, in a rule that every other tool of its effects meets as well."""
    asked = [item.field.removeprefix(_SIGNALS) for item in rule.match if item.field.startswith(_SIGNALS)]
    category = next((of for name in asked if (of := MEASURED.get(name))), None)
    if category and all(item.field == "effect" or item.field.startswith(_SIGNALS) for item in rule.match):
        name = next(name for name in asked if MEASURED.get(name))
        yield book.finding(
            "NV115",
            rule,
            f"match.{_SIGNALS}{name}",
            f"only tools of the category `{category}` have the signal `{name}`, and this rule concerns others too",
            why="for every other tool the rule is undetermined, and what hangs on it is DEFER",
            write=f"`category: {category}` in the match",
        )


def _undeclared(book: Book, rule: Rule, way: str) -> Iterator[Finding]:
    """Tools may be declared in code: only a name that is nearly one of `tools` is remarked on."""
    tools = listed(rule, "tool")
    wanted = full_names(rule) or {f"{tool}." for tool in tools or ()}
    lost = {
        name
        for name in wanted
        if name not in book.declared
        and not (name.endswith(".") and any(known.startswith(name) for known in book.declared))
    }
    parts = {f"{name.rpartition('.')[0]}." for name in book.profiles}
    near = [close[0] for name in sorted(lost) if (close := get_close_matches(name, {*book.profiles, *parts}, 1, 0.8))]
    if near:
        yield book.finding(
            "NV114",
            rule,
            way,
            f"`tools` declares no {shown(name.rstrip('.') for name in lost)}, but {shown(n.rstrip('.') for n in near)}",
            why="the rule matches nothing, unless the code declares a tool of this name",
            write="the name as it stands in `tools`; nothing, where there are two tools",
        )
