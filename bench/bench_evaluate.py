"""`evaluate`: one decision, from an input that is ready, with 10, 100 and 1,000 rules loaded.

Up to 25 of the rules are about the tool in hand, and an ordinary call satisfies only the one of lowest priority: every
one of the 25 (and the built-in one) is looked at. The other ways in which a decision can end are measured beside it.
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


def main() -> None:
    bench = Bench("evaluate", __doc__)
    bench.note(
        "`evaluate` alone, its input ready; the 450 bytes of arguments are decoded inside. Of 10 rules all are about"
        " the tool, of 100 and 1,000 just 25: regular expressions, lists, comparisons, roles, categories, facts."
    )
    for count in COUNTS:
        policy = worlds.compiled(rulesets.mixed(count))
        for way, (title, changes, pii, verdict) in WAYS.items():
            given = worlds.input_of(rulesets.arguments(**changes), pii=pii)
            worlds.must_be(evaluate(given, policy).verdict, verdict, f"{way} with {count} rules")
            samples = repeat(
                partial(run, given, policy), seconds=0.002 if bench.quick else 0.1, rounds=bench.count(21, 2)
            )
            bench.figure(
                f"{way}.{count}",
                f"{title}; {count:,} rules",
                spread([item.wall * US for item in samples]),
                "µs",
                target=at_most(15),
            )
    bench.finish()


def run(given: EvaluationInput, policy: CompiledPolicy, times: int) -> None:
    for _ in range(times):
        evaluate(given, policy)


if __name__ == "__main__":
    main()
