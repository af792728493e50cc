"""An explanation for people: a tree of the steps of precedence, the rules looked at, and what each was asked and told.

* Whatever an agent may have written stands in JSON quotes and inert, at the end of its line or on a line of its own.
* A sign stands before each condition: `✓` it holds, `–` it does not, `?` that cannot be told.
"""

from __future__ import annotations

from typing import Any, Final

from navicert.cli.terminal import Terminal, wrap
from navicert.core.canonical import decode_parameters
from navicert.core.inert import brief, columns, inert
from navicert.explain import STEPS, Came, Considered, Explanation, Round, Step
from navicert.explain.looks import Look
from navicert.model.decision import Verdict
from navicert.syntax import Spans

_SIGNS: Final = {
    "holds": ("✓", "green"), "fails": ("–", "dim"), "undetermined": ("?", "magenta"),
    "matches": ("✓", "green"), "does not match": ("–", "dim"),
}  # fmt: skip
_MARKS: Final = {Came.PASSED: "ok", Came.OPEN: "DEFER", Came.UNREACHED: "note", Came.UNASKED: "note"}
_NAME: Final = 26
_CAME: Final = 14
_WHAT: Final = 24
_TEST: Final = 30
_SOURCE: Final = 36


def lines(
    out: Terminal, explanation: Explanation, spans: Spans | None, source: str, *, everything: bool = False
) -> list[str]:
    """Return an explanation, styled as `out` can show it.

    spans, source: where rules stand, in which file; None where that is not the file that judged. everything: show the
    rules that do not match with their conditions, too.
    """
    tree = _Tree(out, spans, source, everything=everything)
    found: list[str] = []
    for number, each in enumerate(explanation.rounds):
        if number:
            before = explanation.rounds[number - 1].parameters
            found += ["", out.style("Judged again, as modified", "bold"), *tree.changes(before, each.parameters)]
        found += tree.round(each)
    return [*found, *tree.beside(explanation)]


class _Tree:
    def __init__(self, out: Terminal, spans: Spans | None, source: str, *, everything: bool) -> None:
        self.out, self.spans, self.everything = out, spans, everything
        self.source = source if columns(source) <= _SOURCE else source.rpartition("/")[2]

    def round(self, judged: Round) -> list[str]:
        """Return the steps of one round."""
        found: list[str] = []
        for step in judged.steps:
            last = step.number == len(STEPS) - 1
            found += self._step(step, judged, "└─ " if last else "├─ ")
            found += [(" " if last else "│") + "  " + line for line in self._inside(step)]
        others = judged.others
        if others:
            text = f"   {others} other rule{'s' if others > 1 else ''} of this policy cannot concern the tool"
            found.append(self.out.style(text, "dim"))
        return found

    def _step(self, step: Step, judged: Round, branch: str) -> list[str]:
        """Return the head of a step; what it says wraps under itself."""
        out = self.out
        decided = step.came is Came.DECIDED
        name = f"{step.number} {STEPS[step.number]}".ljust(_NAME)
        word = judged.decision.verdict.value if decided else step.came.value
        mark = out.mark(word if decided else _MARKS[step.came], word, _CAME)
        room = out.width - 3 - _NAME - _CAME
        says = wrap(inert(step.says), room) or [""]
        quiet = ("dim",) if step.came in {Came.UNREACHED, Came.UNASKED} else ()
        head = branch + out.style(name, *(quiet or ("bold",))) + mark + out.style(says[0], *quiet)
        under = (" " if step.number == len(STEPS) - 1 else "│").ljust(3 + _NAME + _CAME)
        return [head, *(under + out.style(line, *quiet) for line in says[1:])]

    def _inside(self, step: Step) -> list[str]:
        """Return what was looked at in a step, three columns in."""
        # the first step says what anybody may do: of interest where it refuses
        looks = step.looks if step.number or step.came is Came.DECIDED or self.everything else ()
        found = [line for look in looks for line in self._look(look, "", 3)]
        shown = [rule for rule in step.rules if self.everything or rule.outcome != "does not match"]
        for rule in shown:
            # what cannot be told is shown once, where it is decided on
            found += self._rule(rule, short=step.came is Came.OPEN and rule.outcome == "undetermined")
        idle = [rule.rule for rule in step.rules if rule not in shown]
        found += self._dim("does not match: ", idle)
        if step.below:
            found += [self.out.style(f"{step.below} of lower priority: not looked at", "dim")]
        return found

    def _dim(self, head: str, names: list[str]) -> list[str]:
        text = head + inert(", ".join(names)) if names else ""
        return [self.out.style(line, "dim") for line in wrap(text, self.out.width - 3)]

    def _rule(self, rule: Considered, *, short: bool = False) -> list[str]:
        """Return one rule with its conditions."""
        out = self.out
        word = rule.does.partition(",")[0]
        sign = self._sign(rule.outcome)
        does = out.mark(word, word) if word in Verdict.__members__ else out.style(word, "bold")
        does += inert(rule.does[len(word) :])
        said = [rule.outcome] if rule.outcome != "matches" else []
        said += ["decides"] if rule.decides else []
        said += [f"priority {rule.priority}"] if rule.priority else []
        said += [rule.note] if rule.note else []
        place, noted, name = self._place(rule.rule), ", ".join(said), brief(rule.rule, 56)
        shape = 2 if word in Verdict.__members__ else 0
        taken = columns(name) + shape + columns(inert(rule.does)) + columns(noted) + 6
        gap = out.width - 3 - taken - columns(place)
        head = f"{sign} {out.style(name, *(('bold',) if rule.decides else ()))}  {does}  {out.style(noted, 'dim')}"
        found = [f"{head}{' ' * gap}{out.style(place, 'dim')}" if place and gap > 0 else head.rstrip()]
        if place and gap <= 0:
            found.append("    " + out.style(place, "dim"))
        if short:
            return found
        looks = [*(line for look in rule.looks for line in self._look(look, rule.rule, 7))]
        if not rule.looks:
            looks = [out.style("every call of this tool", "dim")]
        if rule.constraints:
            looks.append(out.style("provided that", "dim"))
            looks += [line for look in rule.constraints for line in self._look(look, rule.rule, 7)]
        return found + ["    " + line for line in looks]

    def _look(self, look: Look, rule: str, indent: int) -> list[str]:
        """Return one condition: on one line where that is enough for it, else what was found on a line of its own."""
        out, room = self.out, self.out.width - indent
        place = self._line(rule, look.key)
        sign = self._sign(look.outcome)
        asked = f"{look.test} {look.expected}".strip()
        rest = room - 2 - _WHAT - 2 - _TEST - 2 - 7
        found = brief(look.found, max(48, rest))
        fits = columns(look.what) <= _WHAT and columns(inert(asked)) <= _TEST and columns(found) <= rest
        if fits:
            head = f"{inert(look.what):<{_WHAT}}  {inert(asked):<{_TEST}}  "
            return [self._with_place(sign, head, found, place, room)]
        head = f"{inert(look.what):<{_WHAT}}  " + brief(asked, max(48, room - _WHAT - 12))
        under = out.style("is ", "dim") + out.style(brief(look.found, room - 9), "bold")
        return [self._with_place(sign, head, "", place, room), "    " + under]

    def _with_place(self, sign: str, head: str, found: str, place: str, room: int) -> str:
        gap = max(1, room - 2 - columns(head) - columns(found) - columns(place))
        style = self.out.style
        return f"{sign} {head}{style(found, 'bold')}{' ' * gap}{style(place, 'dim')}".rstrip()

    def _sign(self, outcome: str) -> str:
        sign, colour = _SIGNS[outcome]
        return self.out.style(sign, colour)

    def _place(self, rule: str) -> str:
        if rule.startswith("navicert."):
            return "built in"
        at = self.spans.rules.get(rule) if self.spans is not None else None
        return f"{inert(self.source)}:{at[0]}" if at else ""

    def _line(self, rule: str, key: str) -> str:
        at = self.spans.keys.get((rule, key)) if self.spans is not None and key else None
        return f":{at[0]}" if at else ""

    def changes(self, before: bytes, after: bytes) -> list[str]:
        """Return what differs between two rounds' parameters."""
        old, new = decode_parameters(before), decode_parameters(after)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        room = max(48, (self.out.width - 32) // 2)
        sides = ((brief(name, 48), _json(old, name, room), _json(new, name, room)) for name in names)
        return [f"   {name:<{_WHAT}} {was} → {becomes}" for name, was, becomes in sides]

    def beside(self, explanation: Explanation) -> list[str]:
        """Return the rules that hold and decide nothing, and what the shadow rules would make of it."""
        rules = [rule for rule in explanation.beside if self.everything or rule.outcome != "does not match"]
        shadow, decision = explanation.shadow, explanation.decision
        if shadow is not None and shadow.verdict is decision.verdict and {*shadow.rules} <= {*decision.rules}:
            shadow = None  # the shadow rules make no difference
        found = ["", self.out.style("Beside the decision", "bold")] if rules or shadow else []
        for rule in rules:
            found += ["   " + line for line in self._rule(rule)]
        if shadow is not None:
            by = inert(f"  by {', '.join(shadow.rules)}" if shadow.rules else "")
            found.append(f"   with the shadow rules: {self.out.verdict(shadow.verdict.value, 0)}{by}")
        return found


def _json(tree: dict[str, Any], name: str, room: int) -> str:
    import json

    return brief(json.dumps(tree[name], ensure_ascii=False), room) if name in tree else "(none)"
