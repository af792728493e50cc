"""Mutations by an insider who holds the receipt keys, and signs all that follows anew (R5, attack family E).

What an audit of the log alone can find, it finds, each for its reason. What it cannot is listed here: a log written
anew, as the detection matrix has it (tests/attacks/test_detection.py), which only a head that somebody kept tells.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from records.forge import leaves
from records.mutants import at, form_of, other, put
from records.signed_anew import Case, audited, named
from records.vectors import vector

UNTOLD = {
    # the engine's own account of itself, and when it says that something was
    "at", "receipt_id", "separation", "action.id", "action.timestamp", "action.surface", "execution.completed_at",
    # who asked, as far as neither disclosures nor what completes the receipt say it again
    "requester_context.agent", "requester_context.service", "requester_context.identity", "requester_context.roles",
    "requester_context.roles.*", "requester_context.scope", "requester_context.scope.*", "revalidation.identity",
    "approval.*.at",
    # why, in words: `navicert replay` judges again, and tells
    "decision.rules", "decision.rules.*", "decision.classification", "decision.reason_code", "decision.shadow.result",
    "decision.shadow.rules", "decision.shadow.rules.*", "context.level", "context.categories", "context.categories.*",
    # terms that nothing refers to any more
    "deferral.reason_code", "deferral.deadline", "deferral.method", "authority.epoch", "approver.until",
    # how an action ended, as labelled
    "execution.level", "execution.categories", "execution.categories.*", "execution.error", "execution.settled_by",
    "execution.released.labels.*",
    # what was lost or taken out: checkpoints and bundles tell
    "restore.size", "restore.root", "prune.upto", "prune.entries", "prune.archive",
    # what came of a canary: the decision that it names tells
    # what came of a canary: the decision that it names tells
    "canary.surface", "canary.result", "canary.nonce", "canary.action",
}  # fmt: skip
"""The fields that an insider can change somewhere in a lone log without a trace in it."""


def samples() -> list[int]:
    """Return a place for every kind and verdict, by what completes it, who answered, and how it ended."""
    one, seen = vector(), {}
    for place, plain in enumerate(one.plains):
        follower = Case(one, place, (), None).follower
        shape = (
            plain["kind"], plain.get("decision", {}).get("result"), follower.get("kind"), "approval" in follower,
            plain.get("deferral", {}).get("method"), len(plain.get("approval", ())), "session" in plain,
            frozenset(plain.get("execution", ())),
            frozenset(plain.get("canary", ())),
            frozenset(plain.get("approver", ())), bool(plain.get("requester_context", {}).get("delegation")),
        )  # fmt: skip
        seen[shape] = place
    return sorted(seen.values())


def cases(kind: str | None = None) -> Iterator[Case]:
    """Every leaf of every sample: as another value in its form, and out of form."""
    one = vector()
    for place in samples():
        plain = one.plains[place]
        for path in leaves(plain) if kind in {None, plain["kind"]} else ():
            if path[0] != "signature":  # it is made anew
                value = at(plain, path)
                yield Case(one, place, path, other(value))
                if form_of(value):
                    yield Case(one, place, path, "x" + value)


# seen to fail: without `_terms`, `_asks`, the context's hash, the success in `_verify_step`, enrolment, and others
@pytest.mark.parametrize("kind", sorted({plain["kind"] for plain in vector().plains}))
def test_what_an_insider_changes_is_found_out_as_far_as_anything_tells_it_again(kind, capsys):
    one, wrong, count = vector(), [], 0
    for case in cases(kind):
        count += 1
        plains = [*one.plains[: case.place], put(case.plain, case.path, case.value), *one.plains[case.place + 1 :]]
        entries = one.resigned(plains, case.place, as_it_is=True)
        expected, found = audited(one, entries, case.place, case.told)
        if found != expected:
            wrong.append((case.place + 1, case.result, named(case.path), expected, found))
        if case.told is None:
            assert one.code(entries, case.place) is None
            assert one.code(entries, expect_head=one.head()) == "head_mismatch"
    with capsys.disabled():
        print(f"\n{kind}, signed anew: {count} mutants, {len(wrong)} not refused for their reason")  # noqa: T201
    assert wrong == [], wrong


def test_what_nothing_tells_again_is_written_down():
    assert {named(case.path) for case in cases() if case.told is None} == UNTOLD
