"""Scope: what remains where two scopes apply, and under the ceiling of roles (R6.a, T7).

* A scope is a tuple of patterns over full tool names: `*`, `email.*` (all that begins with `email.`), or exact names.
* A name is inside an intersection if and only if it is inside both scopes; nothing here ever widens one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def in_scope(name: str, scope: tuple[str, ...]) -> bool:
    """Tell whether a full tool name is inside a scope: `*`, `email.*`, or exact names."""
    return any(pattern in {"*", name} or _under(name, pattern) for pattern in scope)


def narrows(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    """Tell whether every pattern of `inner` lies within one of `outer` (T7: delegation only narrows)."""
    return all(any(_within(pattern, wider) for wider in outer) for pattern in inner)


def _under(name: str, pattern: str) -> bool:
    return pattern.endswith(".*") and name.startswith(pattern[:-1])


def _within(pattern: str, wider: str) -> bool:
    return wider in {"*", pattern} or (pattern != "*" and _under(pattern, wider))


def intersect(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scope of what is inside both, in the order of `a`."""
    if "*" in b:
        return a
    if "*" in a:
        return b
    # two patterns either lie one within the other, or have no name in common
    both = [
        one if narrows((one,), (other,)) else other
        for one in a
        for other in b
        if narrows((one,), (other,)) or narrows((other,), (one,))
    ]
    return tuple(dict.fromkeys(both))


def under_ceiling(
    scope: tuple[str, ...], roles: Iterable[str], ceiling: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return what the scope leaves under a policy's ceiling: what at least one of the roles may use (R6.a).

    A role that the ceiling does not list may use nothing.
    """
    most = dict.fromkeys(pattern for role in roles for pattern in ceiling.get(role, ()))
    return intersect(scope, tuple(most))
