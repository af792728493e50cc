"""Identity: five levels, and the evidence by which they were verified (R6.a, R6.c).

* `Claims` are what a caller says; `ActionIdentity` is what a verifier made of them. Nothing else makes one.
* Scope is a tuple of patterns over full tool names (`email.*`, `crm.query`, `*`); delegation only narrows it.
"""

from __future__ import annotations

from navicert.model.value import Value


class Claims(Value, frozen=True, kw_only=True):
    """What the application asserts when it opens a session. Never taken from tool arguments.

    token: what proves it, where the deployment verifies (a JWT access token). peer: what the resident owner knows of
    the process at the other end (`uid:1000`); set by the owner, never by a caller. intent: the class of work that the
    session was opened for, where the policy knows such classes.
    """

    human: str | None = None
    agent: str | None = None
    service: str | None = None
    roles: tuple[str, ...] = ()
    scope: tuple[str, ...] = ("*",)
    token: str | None = None
    peer: str | None = None
    intent: str | None = None


class Evidence(Value, frozen=True, kw_only=True):
    """How one subject was verified: by what method, by whose word, when, and until when (microseconds, UTC).

    token: SHA-256 hex of what was presented. key: thumbprint (RFC 7638) of the key that signed it. keys_*: the key set
    it was found in: where from, fetched when, its SHA-256. status_*: the answer about revocation: whose, and how old.
    binding: thumbprint of the key that the token is bound to (`cnf`), where it is bound.
    """

    subject: str
    method: str
    issuer: str
    verified_at: int
    expires_at: int | None = None
    token: str | None = None
    key: str | None = None
    keys_source: str | None = None
    keys_fetched_at: int | None = None
    keys_digest: str | None = None
    status_source: str | None = None
    status_checked_at: int | None = None
    binding: str | None = None


class Delegation(Value, frozen=True, kw_only=True):
    """One link: who handed what scope to whom, when, and until when.

    evidence: what conveyed it; None where it rests on the application's word, and then every receipt says `asserted`.
    """

    delegator: str
    delegatee: str
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int | None = None
    evidence: Evidence | None = None


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
