"""Links and browser sessions: how a browser comes to see what waits (R4.a).

* A link is 256 random bits, good once and for ten minutes. A session is such a secret too, in a cookie, and ends after
  half an hour without use. Of both only the hash is kept, in memory: they end with the owner.
* A link is for one wait, or for everything. A browser that opens another one holds both, under a fresh cookie: who knew
  the old one gains nothing.
* Neither answers anything: that takes an approver's passphrase. Tries at one are few, and counted for each asker.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple, TypeVar

from navicert.service.desk import PEOPLE

LINK_S: Final = 600.0
IDLE_S: Final = 1_800.0
WHOLE_S: Final = 43_200.0
"""A session ends after so long, whatever its use."""
MOST: Final = 64
"""So many links, and so many sessions, for each asker; the oldest makes room. Nobody pushes out another's."""
TRIES: Final = 5
TRIES_S: Final = 60.0


class _Link(NamedTuple):
    handle: str | None
    asked_by: str
    until: float


@dataclass(kw_only=True)
class Session:
    """One browser. handles: of the waits that it may see; everything: it may see them all, and the inbox.

    asked_by: who got the link; `people` where one of the links was theirs. said: what came of its answers, by handle.
    """

    handles: frozenset[str]
    everything: bool
    asked_by: str
    began: float
    used: float
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    said: dict[str, str] = field(default_factory=dict)

    def sees(self, handle: str) -> bool:
        """Tell whether a wait may be shown here, and answered from here."""
        return self.everything or handle in self.handles

    def token(self, handle: str) -> str:
        """Return what a form about this wait must carry: nobody else can make it."""
        return hmac.new(self.key, handle.encode(), sha256).hexdigest()

    def good(self, handle: str, token: str) -> bool:
        """Tell whether a form's token is that of this browser and wait."""
        return hmac.compare_digest(self.token(handle).encode(), token.encode())


class Links:
    """Every link and session that there is. Thread-safe. clock: seconds, of any beginning."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._links: OrderedDict[bytes, _Link] = OrderedDict()
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._tries: dict[tuple[str, str], deque[float]] = {}
        self._lock = Lock()

    def make(self, handle: str | None, asked_by: str) -> str:
        """Return the secret of a fresh link, for one wait, or (None) for everything."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_hash(token)] = _Link(handle, asked_by, self._clock() + LINK_S)
            _make_room(self._links, asked_by)
        return token

    def known(self, token: str) -> bool:
        """Tell whether a link is good still; uses nothing up."""
        with self._lock:
            link = self._links.get(_hash(token))
            return link is not None and self._clock() < link.until

    def follow(self, token: str, cookie: str) -> tuple[str, str | None] | None:
        """Use a link up; return a fresh cookie, and the wait that it is for (None: everything). None: it is no good.

        cookie: what the browser holds so far; where it is good, what it opened stays open.
        """
        with self._lock:
            link = self._links.pop(_hash(token), None)
            now = self._clock()
            if link is None or now >= link.until:
                return None
            held = self._held(cookie)
            self._sessions.pop(_hash(cookie), None)
            fresh = secrets.token_urlsafe(32)
            session = self._sessions[_hash(fresh)] = Session(
                handles=(held.handles if held else frozenset()) | ({link.handle} if link.handle else set()),
                everything=link.handle is None or (held is not None and held.everything),
                asked_by=PEOPLE if held is not None and held.asked_by == PEOPLE else link.asked_by,
                began=now,
                used=now,
            )
            _make_room(self._sessions, session.asked_by)
            return fresh, link.handle

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None where there is none (any more)."""
        with self._lock:
            found = self._held(cookie)
            if found is not None:
                found.used = self._clock()
            return found

    def _held(self, cookie: str) -> Session | None:
        found = self._sessions.get(_hash(cookie))
        now = self._clock()
        if found is None or (now < found.used + IDLE_S and now < found.began + WHOLE_S):
            return found
        del self._sessions[_hash(cookie)]
        return None

    def may_try(self, session: Session, name: str) -> bool:
        """Count a try at a person's passphrase; tell whether it may be made."""
        with self._lock:
            now = self._clock()
            tries = self._tries.setdefault((session.asked_by, name), deque(maxlen=TRIES))
            if len(tries) == TRIES and now < tries[0] + TRIES_S:
                return False
            tries.append(now)
            return True

    def succeeded(self, session: Session, name: str) -> None:
        """Forget the tries at a passphrase that was right."""
        with self._lock:
            self._tries.pop((session.asked_by, name), None)


Held = TypeVar("Held", _Link, Session)


def _make_room(held: OrderedDict[bytes, Held], asked_by: str) -> None:
    own = [key for key, item in held.items() if item.asked_by == asked_by]
    for key in own[:-MOST]:
        del held[key]


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
