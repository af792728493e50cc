"""Delegation: a chain of links, each within the one before; anything else is refused (T7, D.5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from navicert.core.delegation import DEPTH, check, extend
from navicert.model.errors import IdentityError
from navicert.model.identity import Delegation

NOW = 1_000


def chain(*scopes: tuple[str, ...], expires: int | None = None) -> tuple[Delegation, ...]:
    """Hand on from a0 to a1 to a2 …, with these scopes."""
    links: tuple[Delegation, ...] = ()
    held: tuple[str, ...] = ("*",)
    for number, scope in enumerate(scopes):
        links = extend(
            links, delegator=f"a{number}", delegatee=f"a{number + 1}", held=held, link=scope, issued_at=NOW,
            expires_at=expires if number == 0 else None,
        )  # fmt: skip
        held = scope
    return links


GOOD = chain(("*",), ("a.*", "b.c"), ("a.b",))


def accepted(
    links: tuple[Delegation, ...], agent: str = "a3", scope: tuple[str, ...] = ("a.b",), now: int = NOW
) -> bool:
    try:
        check(links, agent=agent, scope=scope, now=now)
    except IdentityError:
        return False
    return True


def test_a_chain_that_narrows_link_by_link_is_accepted() -> None:
    assert accepted(GOOD)
    assert accepted((), agent="anyone", scope=("*",))
    assert accepted(chain(*[("a.b",)] * DEPTH), agent=f"a{DEPTH}")


def changed(index: int, **changes: Any) -> tuple[Delegation, ...]:
    links = list(GOOD)
    links[index] = msgspec.structs.replace(links[index], **changes)
    return tuple(links)


@pytest.mark.parametrize(
    "links",
    [
        GOOD[1:][::-1],
        GOOD[::2],
        (*GOOD, GOOD[2]),
        changed(2, scope=("*",)),
        changed(1, delegator="stranger"),
        changed(2, delegatee="stranger"),
        changed(2, delegatee="a0"),
        changed(2, delegatee="a1"),
        changed(1, delegatee="a0"),
        changed(0, expires_at=NOW),
        changed(1, expires_at=NOW - 1),
        changed(2, expires_at=0),
    ],
)
def test_a_chain_that_was_tampered_with_is_refused(links: tuple[Delegation, ...]) -> None:
    assert not accepted(links)


def test_a_chain_that_does_not_reach_this_agent_and_scope_is_refused() -> None:
    assert not accepted(GOOD, agent="a2")
    assert not accepted(GOOD, scope=("a.*",))
    assert not accepted(GOOD, scope=("a.b", "b.c"))
    assert not accepted(GOOD[:2], agent="a3")


def test_a_chain_deeper_than_the_limit_is_refused_however_it_was_made() -> None:
    links = chain(*[("*",)] * DEPTH)
    with pytest.raises(IdentityError, match=f"at most {DEPTH} links"):
        extend(links, delegator=f"a{DEPTH}", delegatee="x", held=("*",), link=("*",), issued_at=NOW, expires_at=None)
    deep = (*links, Delegation(delegator=f"a{DEPTH}", delegatee="x", scope=("*",), issued_at=NOW))
    assert not accepted(deep, agent="x")


@pytest.mark.parametrize("link", [(), ("*",), ("a.*", "c.d"), ("a.bc",), ("a.b.*",), ("b.*",), ("a*",)])
def test_a_link_that_widens_is_refused(link: tuple[str, ...]) -> None:
    with pytest.raises(IdentityError):
        extend((), delegator="a", delegatee="b", held=("a.b", "b.c"), link=link, issued_at=NOW, expires_at=None)


@pytest.mark.parametrize("delegatee", ["a0", "a1", "a2"])
def test_nobody_stands_in_a_chain_twice(delegatee: str) -> None:
    with pytest.raises(IdentityError, match="already"):
        extend(
            GOOD[:2], delegator="a2", delegatee=delegatee, held=("*",), link=("a.b",), issued_at=NOW, expires_at=None
        )


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(50, 90, 50), (90, 50, 50), (None, 50, 50), (50, None, 50), (None, None, None)]
)
def test_an_expiry_only_shrinks(first: int | None, second: int | None, expected: int | None) -> None:
    links = extend((), delegator="a", delegatee="b", held=("*",), link=("*",), issued_at=0, expires_at=first)
    links = extend(links, delegator="b", delegatee="c", held=("*",), link=("*",), issued_at=0, expires_at=second)

    assert expected == links[-1].expires_at
