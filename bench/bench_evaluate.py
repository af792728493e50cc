"""`evaluate`: one decision, from an input that is ready, with 10, 100 and 1,000 rules loaded.

Up to 25 of the rules are about the tool in hand, and an ordinary call satisfies only the one of lowest priority: every
one of the 25 (and the built-in one) is looked at. The other ways in which a decision can end are measured beside it.
So is the rest of the language, with rules of its own: places, sequences, risk, constraints, limits on labels, intents.
"""

from __future__ import annotations

from functools import partial

import rulesets
import worlds
from harness import US, Bench, at_most, repeat, spread

from navicert.core.compile import CompiledPolicy
from navicert.core.evaluate import evaluate
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput

COUNTS = (10, 100, 1000)
WAYS = {
    "allow": ("ALLOW, all rules about the tool looked at", {}, False, Verdict.ALLOW),
    "modify": ("MODIFY, the same, and a parameter capped", {"limit": 5000}, False, Verdict.MODIFY),
    "deny": ("DENY by context (personal data in the session)", {"to": "eve@partner.example"}, True, Verdict.DENY),
    "forbidden": ("DENY by a forbidden rule", {"body": "please drop table customers"}, False, Verdict.DENY),
}
REST = {
    "rest_allow": ("ALLOW by the rest of the language, all rules about the tool looked at", {}, Verdict.ALLOW),
    "rest_bound": ("the same, DENY by a constraint", {"limit": 0}, Verdict.DENY),
    "rest_deny": ("the same, DENY: outside, after records were read", {"to": "eve@partner.example"}, Verdict.DENY),
}


def main() -> None:
    bench = Bench("evaluate", __doc__)
    bench.note(
        "`evaluate` alone, its input ready; the 450 bytes of arguments are decoded inside. Of 10 rules all are about"
        " the tool, of 100 and 1,000 just 25: regular expressions, lists, comparisons, roles, categories, facts."
    )
    bench.note(
        "The rest of the language: every rule is about addresses, folders, types, what came before, intent or risk; the"
        " last one permits under nine constraints. Addresses are kept once they are read, as in use."
    )
    for count in COUNTS:
        policy = worlds.compiled(rulesets.mixed(count))
        for way, (title, changes, pii, verdict) in WAYS.items():
            given = worlds.input_of(rulesets.arguments(**changes), pii=pii)
            measure(bench, f"{way}.{count}", f"{title}; {count:,} rules", given, policy, verdict)
    for count in COUNTS:
        policy = worlds.compiled(rulesets.whole(count))
        for way, (title, changes, verdict) in REST.items():
            arguments = rulesets.arguments(path="/desk/reports/week-31.txt", **changes)
            given = worlds.counted(worlds.input_of(arguments, intent="reporting"), policy)
            measure(bench, f"{way}.{count}", f"{title}; {count:,} rules", given, policy, verdict)
    bench.finish()


def measure(
    bench: Bench, name: str, title: str, given: EvaluationInput, policy: CompiledPolicy, verdict: Verdict
) -> None:
    worlds.must_be(evaluate(given, policy).verdict, verdict, name)
    samples = repeat(partial(run, given, policy), seconds=0.002 if bench.quick else 0.1, rounds=bench.count(21, 2))
    bench.figure(name, title, spread([item.wall * US for item in samples]), "µs", target=at_most(15))


def run(given: EvaluationInput, policy: CompiledPolicy, times: int) -> None:
    for _ in range(times):
        evaluate(given, policy)


if __name__ == "__main__":
    main()
