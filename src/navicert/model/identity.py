"""Identity: five levels, and the evidence by which they were verified (R6.a, R6.c).

* `Claims` are what a caller says; `ActionIdentity` is what a verifier made of them. Nothing else makes one.
* Scope is a tuple of patterns over full tool names (`email.*`, `crm.query`, `*`); delegation only narrows it.
"""

from __future__ import annotations

from navicert.model.value import Value


class Claims(Value, frozen=True, kw_only=True):
    """What the application asserts when it opens a session. Never taken from tool arguments."""

    human: str | None = None
    agent: str | None = None
    service: str | None = None
    roles: tuple[str, ...] = ()
    scope: tuple[str, ...] = ("*",)
    token: str | None = None


class Evidence(Value, frozen=True, kw_only=True):
    """How one subject was verified: by what method, by whose word, when, and until when (microseconds, UTC)."""

    subject: str
    method: str
    issuer: str
    verified_at: int
    expires_at: int | None = None


class Delegation(Value, frozen=True, kw_only=True):
    """One link: who handed what scope to whom, when, and until when."""

    delegator: str
    delegatee: str
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int | None = None


class ActionIdentity(Value, frozen=True, kw_only=True):
    """Human, service, agent instance, session, and role/privilege scope at action time (R6.a).

    development: True where the claims were taken on the caller's word; every receipt says so.
    """

    human: str
    service: str
    agent: str
    session: str
    roles: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    delegation: tuple[Delegation, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    development: bool = False
