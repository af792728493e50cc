"""Rehearsal: a policy's tests, played before the policy is in force (B.8; docs/how-to/test-a-policy.md).

from navicert.rehearsal import rehearse

def test_the_policy():
    rehearsal = rehearse("policy.test.yaml")
    assert not rehearsal.failures, rehearsal
    assert not rehearsal.untested
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import msgspec

from navicert.model.value import Value
from navicert.rehearsal.cases import Remark, Suite
from navicert.rehearsal.mutants import Mutation, Survivor, mutate
from navicert.rehearsal.run import Failure, Played, play, watch

__all__ = ["Coverage", "Failure", "Mutation", "Played", "Rehearsal", "Remark", "Survivor", "rehearse", "rehearse_all"]


class Coverage(Value, frozen=True, kw_only=True):
    """One rule, where it stands, and how many actions it determined (or held for, where it does not decide)."""

    rule: str
    line: int
    column: int
    reached: int


class Rehearsal(Value, frozen=True, kw_only=True):
    """What came of the tests of one policy. mutation: None where it was not asked for, or a test failed.

    remarks: what may be a mistake in a test file, and is no failure.
    """

    policy: str
    files: tuple[str, ...]
    cases: tuple[Played, ...]
    coverage: tuple[Coverage, ...]
    remarks: tuple[Remark, ...] = ()
    mutation: Mutation | None = None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What was not as expected, in file order; empty where all was."""
        return tuple(case.failure for case in self.cases if case.failure is not None)

    @property
    def untested(self) -> tuple[Coverage, ...]:
        """The rules that determined nothing."""
        return tuple(item for item in self.coverage if not item.reached)

    def __str__(self) -> str:
        """Return the failures, one a line."""
        return "\n".join(map(str, self.failures)) or f"{self.policy}: as expected"


def rehearse(path: str | PathLike[str]) -> Rehearsal:
    """Play the cases of one test file against its policy; raises `PolicyError` where one of them does not load.

    Nothing runs and nothing is written: see `navicert.rehearsal.run`.
    """
    return rehearse_all([Path(path)])[0]


def rehearse_all(
    paths: list[Path], progress: Callable[[str, int, int], None] | None = None, *, mutated: bool = False
) -> list[Rehearsal]:
    """Play test files; one `Rehearsal` for each policy. mutated: where all is as expected, its mutants too.

    progress: told what is under way, how many are done, of how many.
    """
    by_policy: dict[Path, list[Suite]] = {}
    for path in paths:
        suite = Suite(path)
        by_policy.setdefault(suite.policy_path.resolve(), []).append(suite)
    return [_rehearse(suites, progress or _silent, mutated=mutated) for suites in by_policy.values()]


def _silent(what: str, done: int, of: int) -> None:
    del what, done, of


def _rehearse(suites: list[Suite], progress: Callable[[str, int, int], None], *, mutated: bool) -> Rehearsal:
    first = suites[0]
    held = watch(first.compiled)
    every = [(suite, case) for suite in suites for case in suite.cases]
    played = []
    for done, (suite, case) in enumerate(every):
        progress("cases", done, len(every))
        played.append(play(suite, case, first.compiled, held))
    reached: Counter[str] = Counter()
    for item in played:
        reached.update(item.reached)
    found = Rehearsal(
        policy=str(first.policy_path),
        files=tuple(str(suite.path) for suite in suites),
        cases=tuple(played),
        coverage=tuple(
            Coverage(rule=name, line=line, column=column, reached=reached[name])
            for name, (line, column) in first.spans.rules.items()
        ),
        remarks=tuple(remark for suite in suites for remark in suite.remarks),
    )
    if not mutated or found.failures:
        return found
    by_case = {item.case: item.reached for item in played}
    mutation = mutate(suites, by_case, lambda done, of: progress("changes", done, of))
    return msgspec.structs.replace(found, mutation=mutation)
