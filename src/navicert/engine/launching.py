"""Launch tokens: by one, a process that the application launches acts in the application's session (R6.b).

* A token is a secret, good for a minute and for so many processes; of it, the store keeps the SHA-256. A session's id,
  which stands in receipts, is none.
"""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.core.digest import bytes_digest
from navicert.core.shared import LAUNCHES, session_key
from navicert.engine.drive import Machine
from navicert.engine.workings import Workings
from navicert.model.commit import Commit, RowRead, RowWrite
from navicert.model.errors import IdentityError, IntegrityError, InvalidAction, Unavailable
from navicert.model.shared import Launch, Launches
from navicert.ports import Ticket

_GOOD_US: Final = 60_000_000
_USES: Final = 64
_LAUNCHES: Final = 256


def launching(works: Workings, session_id: str, uses: int) -> Machine[str]:
    """Return a token by which so many processes act in a session; raises `InvalidAction` for no good number."""
    if not 1 <= uses <= _USES:
        raise InvalidAction(f"a launch token is for 1 to {_USES} processes")
    token = f"nvl_{works.ids.salt()}{works.ids.salt()}"
    key = session_key(session_id)

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((key, LAUNCHES))
        if rows is None:
            return (key, LAUNCHES)
        context, seen = rows[key]
        if context is None or context.ended_at is not None:
            raise IntegrityError(f"there is no open session `{session_id}` in this store")
        now = works.clock.now()
        made = Launch(session_id=session_id, until=now + _GOOD_US, left=uses)
        return works.queue(_kept(rows[LAUNCHES], now, token, made, RowRead(key=key, expected=seen)))

    yield from works.change(attempt)
    return token


def joining(works: Workings, token: str) -> Machine[str]:
    """Use a launch token; returns the session's id. Raises `IdentityError` for one that is good no more."""
    joined = ""

    def attempt() -> Ticket | tuple[str, ...] | None:
        nonlocal joined
        rows = works.snapshot((LAUNCHES,))
        if rows is None:
            return (LAUNCHES,)
        held: Launches | None = rows[LAUNCHES][0]
        found = held.open.get(bytes_digest(token.encode())) if held is not None else None
        now = works.clock.now()
        if found is None or found.until <= now:
            raise IdentityError("the launch token is used up, too old, or not of this store; launch the client anew")
        joined = found.session_id
        used = msgspec.structs.replace(found, left=found.left - 1)
        return works.queue(_kept(rows[LAUNCHES], now, token, used))

    yield from works.change(attempt)
    return joined


def _kept(row: tuple[Launches | None, int], now: int, token: str, launch: Launch, *reads: RowRead) -> Commit:
    held, version = row
    kept = {**(held.open if held is not None else {}), bytes_digest(token.encode()): launch}
    kept = {digest: item for digest, item in kept.items() if item.until > now and item.left > 0}
    if len(kept) > _LAUNCHES:
        raise Unavailable(f"{_LAUNCHES} launch tokens are open; wait a minute")
    return Commit(writes=(RowWrite(key=LAUNCHES, expected=version, value=Launches(open=kept)),), reads=reads)
