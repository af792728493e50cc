"""One side of a connection: requests that wait for their answers there, matched by id (R1; docs/reference/mcp.md).

* A late answer is not taken for that of another request: an id that was given up does not come back.
* A side that ends fails everybody who waits for it. Whether what was asked for happened is then not known; where
  nothing was sent, it is known that nothing did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from navicert.core.canonical import Number
from navicert.gateway.message import Id, Message

Send = Callable[[Message], Awaitable[None]]
Key = tuple[type, str]
AT_ONCE: Final = 256
"""So many requests may be on their way in one direction."""
_GIVEN_UP: Final = 4_096
_OURS: Final = "navicert-"


class Lost(TimeoutError):
    """The other side ended before it answered, or did not in time: whether the call happened is not known."""


class NotSent(ConnectionError):
    """What was to go to a side did not: it is not there."""


class Absent(Exception):
    """The other side is not there, and was not asked: nothing happened."""


class Side:
    """What waits for answers of one side. within_s: so long for each."""

    def __init__(self, send: Send, within_s: float) -> None:
        self.send = send
        self._within_s = within_s
        self._waiting: dict[Key, asyncio.Future[Message]] = {}
        self._given_up: dict[Key, None] = {}
        """Sent, and not waited for any more."""
        self._ended = False
        self._own = 0

    def takes(self, id_: Id) -> bool:
        """Tell whether one more request may wait under this id."""
        key = key_of(id_)
        return len(self._waiting) < AT_ONCE and key not in self._waiting and key not in self._given_up

    def own_id(self) -> str:
        """Return an id for a request of the gateway's own."""
        self._own += 1
        return f"{_OURS}{self._own}"

    async def ask(self, request: Message, *, endless: bool = False) -> Message:
        """Send a request and wait for its answer.

        Raises `Lost` where the side ends, or lets it wait for too long; `Absent` where nothing was sent.
        """
        key = key_of(request.id or "")
        if self._ended:
            raise Absent("it has ended")
        found: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[key] = found
        try:
            async with asyncio.timeout(None if endless else self._within_s):
                await self.send(request)
                return await found
        except NotSent as error:
            raise Absent(str(error)) from None
        except ConnectionError as error:
            raise Lost(str(error)) from None
        except TimeoutError as error:
            if isinstance(error, Lost):
                raise
            raise Lost(f"it took longer than {self._within_s:g} s") from None
        finally:
            self._waiting.pop(key, None)
            if not found.done() or found.cancelled() or found.exception() is not None:
                self._given_up[key] = None
                while len(self._given_up) > _GIVEN_UP:
                    self._given_up.pop(next(iter(self._given_up)))

    def answered(self, reply: Message) -> bool:
        """Hand an answer to who waits for it; False where nobody does."""
        key = key_of(reply.id or "")
        self._given_up.pop(key, None)
        found = self._waiting.get(key)
        if found is None or found.done():
            return False
        found.set_result(reply)
        return True

    def end(self) -> None:
        """Let everybody know that nothing more comes."""
        self._ended = True
        self.fail("it ended before it answered")

    def fail(self, why: str, id_: Id | None = None) -> None:
        """Tell whoever waits under this id, or everybody, that their answer does not come."""
        for key, found in self._waiting.items():
            if not found.done() and (id_ is None or key == key_of(id_)):
                found.set_exception(Lost(why))


def key_of(id_: object) -> Key:
    """Return an id as what it is found by: 1 and "1" are two."""
    return type(id_), str(id_)


def is_ours(id_: Id) -> bool:
    """Tell whether an id is of the kind that the gateway's own requests have."""
    return type(id_) is not Number and id_.startswith(_OURS)
