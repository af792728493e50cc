"""Scopes: an intersection holds what both hold, and nothing else; roles have a ceiling."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from navicert.core.scope import in_scope, intersect, narrows, under_ceiling

NAMES = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(".".join)
PATTERNS = st.one_of(st.just("*"), NAMES, NAMES.map(lambda name: f"{name}.*"), st.text("ab.*", max_size=5))
SCOPES = st.lists(PATTERNS, max_size=4).map(tuple)


@given(NAMES, SCOPES, SCOPES)
def test_a_name_is_in_an_intersection_if_and_only_if_it_is_in_both(
    name: str, a: tuple[str, ...], b: tuple[str, ...]
) -> None:
    assert in_scope(name, intersect(a, b)) == (in_scope(name, a) and in_scope(name, b))


@given(SCOPES, SCOPES)
def test_an_intersection_is_within_either(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    assert narrows(intersect(a, b), a)
    assert narrows(intersect(a, b), b)


def test_an_intersection_is_written_as_short_as_its_parts() -> None:
    assert intersect(("*",), ("*",)) == ("*",)
    assert intersect(("crm.*", "email.send"), ("*",)) == ("crm.*", "email.send")
    assert intersect(("crm.*",), ("crm.query.*", "crm.read", "email.*")) == ("crm.query.*", "crm.read")
    assert intersect(("email.send", "email.*"), ("email.send",)) == ("email.send",)
    assert intersect((), ("*",)) == ()


CEILING = {"support": ("crm.*",), "sales": ("email.send", "crm.read"), "guest": ()}


@given(NAMES, SCOPES, st.lists(st.sampled_from(["x", "y", "z", "unlisted"])), SCOPES, SCOPES)
def test_a_ceiling_leaves_what_one_of_the_roles_may_use(
    name: str, scope: tuple[str, ...], roles: list[str], x: tuple[str, ...], y: tuple[str, ...]
) -> None:
    listed = {"x": x, "y": y, "z": ()}
    may = any(in_scope(name, listed.get(role, ())) for role in roles)

    assert in_scope(name, under_ceiling(scope, roles, listed)) == (in_scope(name, scope) and may)


def test_who_has_no_listed_role_may_use_nothing() -> None:
    assert under_ceiling(("*",), (), CEILING) == ()
    assert under_ceiling(("*",), ("guest", "admin"), CEILING) == ()
    assert under_ceiling(("*",), ("support", "sales"), CEILING) == ("crm.*", "email.send", "crm.read")
    assert under_ceiling(("crm.read", "web.*"), ("support",), CEILING) == ("crm.read",)
