"""Mutations of an honest log that nobody signs anew: all are refused, each for its reason (R5, attack family E).

They are generated from the schema; the rules by which a reason is expected are those of `records.mutants`.
"""

from __future__ import annotations

import pytest

from records.forge import Plain, leaves
from records.mutants import CLASSES, SCHEMA, general
from records.vectors import vector


def samples() -> list[int]:
    """Return a place for every kind of receipt with every verdict and every set of fields that the log has of it."""
    seen: dict[object, int] = {}
    for place, plain in enumerate(vector().plains):
        shape = {general(path) for path in leaves(plain)}
        seen.setdefault((plain["kind"], plain.get("decision", {}).get("result"), frozenset(shape)), place)
    return sorted(seen.values())


def label(plain: Plain) -> str:
    return f"{plain['log']['seq']} {plain['kind']} {plain.get('decision', {}).get('result', '')}".strip()


# seen to fail: without the signature, the canonical form, the parts of a kind, origin, place, predecessor, algorithm
@pytest.mark.parametrize("change", CLASSES, ids=lambda change: change.__name__)
def test_a_change_is_refused_for_its_reason(change, capsys):
    one, wrong, count = vector(), [], 0
    for place in samples():
        plain = one.plains[place]
        for mutant in change(plain):
            count += 1
            assert mutant.data != one.log[place], (label(plain), mutant.name)
            found = one.code([*one.log[:place], mutant.data], place)
            if found != mutant.code:
                wrong.append((label(plain), mutant.name, mutant.code, found))
    with capsys.disabled():
        print(f"\n{change.__name__}: {count} mutants, {len(wrong)} not refused for their reason")  # noqa: T201 - counted aloud
    assert wrong == []
    assert count > 100


def test_every_field_of_the_schema_is_changed_in_some_receipt():
    one = vector()
    paths = [path for plain in one.plains for path in leaves(plain)]
    seen = {general(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    assert set(SCHEMA) - seen == set()


def test_the_honest_log_is_refused_nowhere():
    one = vector()
    assert [one.code(one.log[:end]) for end in range(len(one.log) + 1)] == [None] * (len(one.log) + 1)
    assert one.audit_code(one.log) is None
