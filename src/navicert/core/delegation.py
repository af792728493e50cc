"""Delegation: a chain of links, each within the one before (R6.b, T7).

* Scope only narrows, expiry only shrinks, at most five links, nobody twice.
"""

from __future__ import annotations

from typing import Final

from navicert.core.scope import narrows
from navicert.model.errors import IdentityError
from navicert.model.identity import Delegation

DEPTH: Final = 5


def extend(
    chain: tuple[Delegation, ...], *, delegator: str, delegatee: str, held: tuple[str, ...], link: tuple[str, ...],
    issued_at: int, expires_at: int | None,
) -> tuple[Delegation, ...]:  # fmt: skip
    """Return the chain with one more link; raises `IdentityError` where the link would widen anything.

    held: the delegator's own scope. link: the scope that is handed on.
    """
    if not link:
        raise IdentityError("a delegation hands on at least one tool; name it in scope=(...)")
    if not narrows(link, held):
        raise IdentityError(f"the scope {', '.join(link)} is wider than what `{delegator}` holds ({', '.join(held)})")
    if len(chain) >= DEPTH:
        raise IdentityError(f"a delegation chain has at most {DEPTH} links")
    if delegatee == delegator or any(delegatee in {item.delegator, item.delegatee} for item in chain):
        raise IdentityError(f"`{delegatee}` is in this delegation chain already")
    ends = [item.expires_at for item in chain if item.expires_at is not None]
    until = min([*ends, *([expires_at] if expires_at is not None else [])], default=None)
    fresh = Delegation(delegator=delegator, delegatee=delegatee, scope=link, issued_at=issued_at, expires_at=until)
    return (*chain, fresh)


def check(chain: tuple[Delegation, ...], *, agent: str, scope: tuple[str, ...], now: int) -> None:
    """Raise `IdentityError` unless the chain narrows link by link, is in force, and ends at this agent and scope."""
    if not chain:
        return
    if len(chain) > DEPTH:
        raise IdentityError(f"a delegation chain has at most {DEPTH} links")
    seen = {chain[0].delegator}
    for index, link in enumerate(chain):
        if index and (link.delegator != chain[index - 1].delegatee or not narrows(link.scope, chain[index - 1].scope)):
            raise IdentityError(f"link {index + 1} of the delegation does not follow from the one before it")
        if link.delegatee in seen:
            raise IdentityError(f"`{link.delegatee}` is in this delegation chain twice")
        seen.add(link.delegatee)
        if link.expires_at is not None and link.expires_at <= now:
            raise IdentityError(f"the delegation to `{link.delegatee}` has expired")
    if chain[-1].delegatee != agent or not narrows(scope, chain[-1].scope):
        raise IdentityError(f"the delegation does not reach `{agent}` with this scope")
