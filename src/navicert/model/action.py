"""An Action: one tool operation in canonical form; and what a tool is known to do (its profile).

* Parameters are canonical bytes, frozen at interception: they are judged, shown, signed, and decoded to run.
* An unknown tool has no profile; nothing runs without one (DESIGN.md section 5).
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.labels import Labels, Limit
from navicert.model.value import Value


class Effect(StrEnum):
    """What an operation does to the world."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SEND = "send"
    PAY = "pay"
    GRANT = "grant"
    EXECUTE = "execute"
    CREDENTIALS = "credentials"


class ToolProfile(Value, frozen=True, kw_only=True):
    """What a tool is declared to do, by the operator (policy) or the developer (decorator); policy wins.

    tool: full name, `email.send`. Parameters are named by role: destination, resource, amount, content.
    returns: the base label of its results; None means undeclared, and then results count as the highest (R2.c).
    accepts: the highest label of what it may be sent, None for no limit: a search query is a send too (T3).
    withhold: a result that carries one of these (a level: this or above) is not released. redact: what detectors find
    of these categories is blanked before release. None: as the policy says for every tool. trust: who can have written
    what it returns (`own`, `known`, `public`); memory: the agent itself, earlier. inferred: nobody declared it.
    """

    tool: str
    effect: Effect
    categories: tuple[str, ...] = ()
    destination: tuple[str, ...] = ()
    resource: tuple[str, ...] = ()
    amount: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    returns: Labels | None = None
    accepts: Limit | None = None
    withhold: tuple[str, ...] | None = None
    redact: tuple[str, ...] | None = None
    trust: str = "public"
    memory: bool = False
    inferred: bool = False


class Action(Value, frozen=True, kw_only=True):
    """One tool operation as it was intercepted.

    tool, operation: `email`, `send`. parameters: canonical JSON object (core.canonical). digest: SHA-256 hex over
    tool, operation and parameters. submitted_at: microseconds since the epoch, UTC. surface: where it was caught.
    depends_on: handles of waiting actions that must be done first, as declared (R4.d). separation: between the caller
    and the engine, where the surface knows it (`user`).
    """

    action_id: str
    tool: str
    operation: str
    parameters: bytes
    digest: str
    submitted_at: int
    surface: str = "sdk"
    profile: ToolProfile | None = None
    wrappers: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    separation: str | None = None

    @property
    def name(self) -> str:
        """The full name, `email.send`."""
        return f"{self.tool}.{self.operation}"
