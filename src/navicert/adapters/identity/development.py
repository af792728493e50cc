"""The development identity (port `IdentityVerifier`): claims on the caller's word, and every receipt says so (R6).

* It is for one machine and one developer. Nothing here can be verified by anyone else.
* A claim that is missing is not filled in: no human or no agent is no identity, and the action is denied (R6.d).
"""

from __future__ import annotations

from navicert.model.errors import IdentityError
from navicert.model.identity import ActionIdentity, Claims, Delegation, Evidence


class DevelopmentIdentity:
    """Takes human and agent as the application states them."""

    inline = True

    def __init__(self, service: str) -> None:
        self._service = service

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        """Return the identity as claimed, marked `development`; raises `IdentityError` where a level is missing."""
        if not claims.human or not claims.human.strip():
            raise IdentityError("no human stands behind this session; pass human=... to guard.session()")
        if not claims.agent or not claims.agent.strip():
            raise IdentityError("no agent is named for this session; pass agent=... to guard.session()")
        return ActionIdentity(
            human=claims.human,
            service=claims.service or self._service,
            agent=claims.agent,
            session=session,
            roles=claims.roles,
            scope=claims.scope,
            delegation=delegation,
            evidence=(
                Evidence(subject=claims.agent, method="development", issuer=self._service, verified_at=now),
                Evidence(subject=claims.human, method="development", issuer=self._service, verified_at=now),
            ),
            development=True,
        )
