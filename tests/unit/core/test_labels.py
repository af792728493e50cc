"""Labels: a lattice that only grows, and which label a result carries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.core.labels import label_result, labels_in_force
from navicert.model.context import OpenAction, SessionContext
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING, WORST, Labels, Level
from navicert.model.signals import Finding

labels = st.one_of(
    st.just(WORST),
    st.builds(
        lambda level, names: Labels(level=level, categories=tuple(sorted(names))),
        st.sampled_from(Level),
        st.sets(st.sampled_from(["PII", "PHI", "OWN"])),
    ),
)
FEW = settings(max_examples=200, deadline=None)
INTERNAL, SECRET = Labels(level=Level.INTERNAL), Labels(level=Level.RESTRICTED, categories=("SECRET",))


@FEW
@given(labels, labels, labels)
def test_join_is_a_least_upper_bound(a: Labels, b: Labels, c: Labels) -> None:
    assert a.join(b) == b.join(a)
    assert a.join(a) == a
    assert a.join(b).join(c) == a.join(b.join(c))
    assert a.join(b).covers(a)
    assert a.join(NOTHING) == a
    assert a.join(WORST) == WORST
    if c.covers(a) and c.covers(b):
        assert c.covers(a.join(b))
    for category in ("PII", "ANY"):
        assert a.join(b).has(category) == (a.has(category) or b.has(category))


def result(**changes: Any) -> Labels:
    given_: dict[str, Any] = {"declared": INTERNAL, "ruled": None, "stored": NOTHING, "findings": (), "empty": False}
    return label_result(**given_ | changes)


def test_a_result_joins_what_was_declared_ruled_stored_and_found() -> None:
    found = (Finding(), Finding(labels=Labels(level=Level.CONFIDENTIAL, categories=("PII",))))

    assert result(findings=found, ruled=SECRET, stored=Labels(categories=("OLD",))) == Labels(
        level=Level.RESTRICTED, categories=("OLD", "PII", "SECRET")
    )


@pytest.mark.parametrize("findings", [(), (Finding(),), (Finding(labels=INTERNAL),)])
def test_an_undeclared_source_is_the_highest_also_after_a_clean_scan(findings: tuple[Finding, ...]) -> None:
    assert result(declared=None, findings=findings) == WORST
    assert result(declared=None, ruled=INTERNAL, findings=findings) == INTERNAL


@pytest.mark.parametrize("finding", [None, Finding(looked=False)])
def test_what_no_mechanism_could_look_at_is_the_highest(finding: Finding | None) -> None:
    assert result(findings=(Finding(), finding)) == WORST
    assert result(declared=SECRET, findings=(finding, Finding())) == WORST


def test_a_result_that_says_nothing_carries_nothing_of_its_own() -> None:
    assert result(declared=None, empty=True) == NOTHING
    assert result(empty=True, ruled=SECRET, stored=INTERNAL) == SECRET


def test_the_labels_in_force_are_those_of_the_session_and_those_that_follow_it() -> None:
    context = SessionContext(
        session_id="s", request="", claims=Claims(), salt="", started_at=0, last_at=0, labels=INTERNAL
    )
    assert labels_in_force((context,), SECRET, "me") == SECRET
    assert labels_in_force((context,), NOTHING, "me") == INTERNAL


def test_an_action_that_is_open_in_another_engine_puts_the_worst_case_in_force() -> None:
    def context(owner: str) -> SessionContext:
        action = OpenAction(action_id="a", name="a.b", digest="0", owner=owner, at=0)
        return SessionContext(
            session_id="s", request="", claims=Claims(), salt="", started_at=0, last_at=0, open=(action,)
        )

    assert labels_in_force((context("me"),), NOTHING, "me") == NOTHING
    assert labels_in_force((context("gone"),), NOTHING, "me") == WORST
