"""Peers: who is at the other end of a connection, and what it may ask for (R6.c; DESIGN.md property 10).

* On the Unix socket the kernel says who connected (SO_PEERCRED); over TCP a token does, and only on this machine.
* The owner's own user and root may do everything; `users` act for agents; `people` see what waits and answer it.
  Nobody else gets more than a refusal.
"""

from __future__ import annotations

import os
import pwd
from enum import StrEnum
from typing import Final, NamedTuple

from navicert.config import Config
from navicert.model.errors import IdentityError, PolicyError
from navicert.service import wire


class Right(StrEnum):
    """What a kind of request needs."""

    ACT = "act"
    """Sessions, decisions, outcomes: what an agent's process does."""
    ANSWER = "answer"
    """To see what waits, and to hand in signed answers."""
    GOVERN = "govern"
    """To stop, restore, enrol, dismiss, settle and sweep."""


NEEDS: Final[dict[type[wire.Request], Right]] = {
    **dict.fromkeys(
        (
            wire.Decide, wire.Refuse, wire.Resume, wire.Redeem, wire.Complete, wire.Abandon, wire.Extend,
            wire.GuardsRepeats, wire.OpenSession, wire.Delegate, wire.Say, wire.Observe, wire.End, wire.LabelsOf,
            wire.Renew, wire.Named, wire.Link, wire.Offered, wire.Launch, wire.Join,
        ),
        Right.ACT,
    ),
    **dict.fromkeys((wire.ListWaits, wire.ShowWait, wire.Answer, wire.OpenPage, wire.ListApprovers), Right.ANSWER),
    **dict.fromkeys(
        (
            wire.ListStandings, wire.Subject, wire.Stop, wire.Restore, wire.Enrol, wire.Dismiss, wire.Settle,
            wire.Sweep,
        ),
        Right.GOVERN,
    ),
}  # fmt: skip
"""A request that is not here is refused to everybody."""


class Peer(NamedTuple):
    """Who is at the other end. name: `uid:1000` or `tcp`. separation: how far it is from the owner."""

    name: str
    rights: frozenset[Right]
    separation: str

    @property
    def answers(self) -> bool:
        """Tell whether people speak through it, or whoever governs."""
        return bool(self.rights & {Right.ANSWER, Right.GOVERN})


class Directory:
    """Who may connect, from the configuration; raises `PolicyError` for a user that this machine does not have."""

    def __init__(self, config: Config) -> None:
        self._own = os.geteuid()
        self._users = _uids("users", config.users)
        self._people = _uids("people", config.people)

    def local(self, uid: int) -> Peer:
        """Return the peer that a user is; raises `IdentityError` where it may not connect."""
        apart = "none" if uid in {self._own, 0} else "user"
        rights: frozenset[Right] = frozenset(Right) if apart == "none" else frozenset()
        if uid in self._users:
            rights |= {Right.ACT}
        if uid in self._people:
            rights |= {Right.ANSWER}
        if not rights:
            raise IdentityError(
                f"the user {uid} may not talk to this owner; add it to `users` (agents) or `people` (approvers) in "
                "navicert.yaml, and start the owner anew"
            )
        return Peer(f"uid:{uid}", rights, apart)

    def remote(self) -> Peer:
        """Return the peer that a TCP caller with the right token is."""
        return Peer("tcp", frozenset({Right.ACT}), "none")


def _uids(field: str, named: tuple[str | int, ...]) -> frozenset[int]:
    found: set[int] = set()
    for item in named:
        try:
            found.add(item if isinstance(item, int) else pwd.getpwnam(item).pw_uid)
        except KeyError:
            raise PolicyError(f"navicert.yaml: {field}: this machine has no user `{item}`") from None
    return frozenset(found)
