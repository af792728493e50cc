"""Permits in the hands of peers: who got which, over which connection, and what becomes of it when that dies (R1.c).

* A permit is used by the peer that got it, and by nobody else.
* A connection that dies takes its permits with it: what had not started never starts, what had started stays open.
  A detached permit stays good until it expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Final

from navicert.engine.engine import Engine
from navicert.model.decision import Permit
from navicert.model.errors import IntegrityError, NavicertError

_LONGEST: Final = 86_400_000_000
"""A detached action that was started is waited for at most so long, microseconds."""


@dataclass(kw_only=True)
class _Held:
    permit: Permit
    peer: str
    line: object
    detached: bool


class Permits:
    """All permits that are out. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._held: dict[str, _Held] = {}

    def give(self, permit: Permit, peer: str, line: object, *, detached: bool) -> None:
        """Note who gets a permit."""
        with self._lock:
            self._held[permit.action_id] = _Held(permit=permit, peer=peer, line=line, detached=detached)

    def check(self, permit: Permit, peer: str, *, line: object = None) -> None:
        """Raise `IntegrityError` unless this peer holds exactly this permit. line: where it is now held."""
        with self._lock:
            held = self._held.get(permit.action_id)
            if held is None or held.peer != peer or held.permit != permit:
                raise IntegrityError(f"the permit of `{permit.action_id}` is not in your hands, or is used up")
            if line is not None:
                held.line = line

    def done(self, permit: Permit) -> None:
        """Forget a permit whose action has ended."""
        with self._lock:
            self._held.pop(permit.action_id, None)

    def lost(self, line: object) -> None:
        """Take back what was given to a connection that is gone."""
        self._take_back([item for item in self._all() if item.line is line and not item.detached], "connection lost")

    def sweep(self, now: int) -> None:
        """Take back the detached permits that are over."""
        for item in self._all():
            if not item.detached or now < item.permit.expires_at:
                continue
            if now >= item.permit.expires_at + _LONGEST:
                self._take_back([item], "never reported")
            else:
                self._lapse(item)

    def close(self) -> None:
        """Take back everything: no other owner knows these permits."""
        self._take_back(self._all(), "owner stopped")

    def _all(self) -> list[_Held]:
        with self._lock:
            return list(self._held.values())

    def _lapse(self, item: _Held) -> bool:
        try:
            self._engine.lapse(item.permit)
        except NavicertError:
            return False  # it was started
        self.done(item.permit)
        return True

    def _take_back(self, items: list[_Held], why: str) -> None:
        for item in items:
            if self._lapse(item):
                continue
            self.done(item.permit)
            try:
                self._engine.abandon(item.permit, why)
            except NavicertError:  # it ended already, or is kept to be recorded: open in the store either way
                continue
