"""Who stands before the gateway over HTTP, and in which session what they ask for is judged (R6; reference: mcp.md).

* A caller shows a bearer token that is meant for us: the launch token of this home, or an access token of the
  configured issuer, by which the engine then verifies every action anew. It goes no further.
* A caller is who the token says, with what it grants: under another token that says the same they are the same caller,
  and what they do from then on is verified by that one.
* Without a session of the application's own there is one for each caller and connection; receipts call it inferred.
  One that the caller names counts only where it is the same caller's: a word of theirs never widens what they may do.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from time import monotonic
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote

from navicert.adapters.secret_file import read_secret, write_secret
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.vault import Vault
from navicert.adapters.system import SystemClock
from navicert.assemble import Home, make_verifier
from navicert.config import Config
from navicert.core.scope import narrows
from navicert.engine.mediating import Mediator
from navicert.gateway.child import Child
from navicert.gateway.message import Message
from navicert.gateway.pins import Server, Watch
from navicert.model.errors import IdentityError, IntegrityError, Unavailable
from navicert.model.identity import Claims

SURFACE: Final = "mcp-http"
INFERRED: Final = f"{SURFACE}-inferred"
TOKEN: Final = "mcp.token"  # noqa: S105 - the name of a file
SESSION: Final = "navicert/session"
HEADER: Final = "navicert-session"
BAGGAGE: Final = "navicert.session"
IDLE_S: Final = 1800.0
SESSIONS: Final = 1024
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")


class Caller(NamedTuple):
    """Somebody who showed a token. name: the same for tokens that say the same, but for how long; tells nothing of it.

    claims: with the token, where it came from an issuer, and with what it says.
    """

    name: str
    claims: Claims


class Door(Protocol):
    """Tells who a token stands for."""

    @property
    def issuer(self) -> str | None:
        """Where callers get a token; None where the operator hands it out."""
        ...

    async def admit(self, token: str) -> Caller:
        """Return who shows this token; raises `IdentityError` where it stands for nobody here."""
        ...

    def same(self, caller: Caller, claims: Claims) -> bool:
        """Tell whether a session with these claims is the caller's own."""
        ...


def make_door(home: Home, config: Config, *, human: str, agent: str) -> Door:
    """Return the door of a home; human, agent: who its launch token stands for, where no issuer says who acts."""
    if isinstance(config.identity, str):
        return _Launch(home, Claims(human=human, agent=agent))
    return _Issued(home, config, config.identity.issuer)


def bearer(header: str | None) -> str | None:
    """Return the token in an `Authorization` header; None where it holds none."""
    found = _BEARER.fullmatch(header or "")
    return found[1] if found else None


def _keys(message: Message, headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the session keys of a request: of its `_meta`, its header, and its trace context (W3C baggage) in either.

    What is there but is no text counts as an empty one.
    """
    found = message.params.get("_meta")
    meta = found if type(found) is dict else {}
    if SESSION in meta:
        yield meta[SESSION] if type(meta[SESSION]) is str else ""
    if HEADER in headers:
        yield headers[HEADER].strip()
    for baggage in (meta.get("baggage"), headers.get("baggage")):
        for member in baggage.split(",") if type(baggage) is str else ():
            name, _, value = member.partition(";")[0].partition("=")
            if name.strip() == BAGGAGE:
                yield unquote(value.strip())


class _Launch:
    """One token for all, in a file that its owner alone can read: claims on the operator's word."""

    issuer: str | None = None

    def __init__(self, home: Home, claims: Claims) -> None:
        path = home.keys / TOKEN
        if not path.exists():
            write_secret(path, secrets.token_hex(32).encode() + b"\n")
        self._token = read_secret(path).strip()
        self._caller = Caller("launch", claims)

    async def admit(self, token: str) -> Caller:
        if not hmac.compare_digest(token.encode(), self._token):
            raise IdentityError(f"this is not the token in keys/{TOKEN}")
        return self._caller

    def same(self, caller: Caller, claims: Claims) -> bool:
        return (claims.human, claims.agent) == (caller.claims.human, caller.claims.agent) and claims.token is None


class _Issued:
    """Access tokens of an issuer, verified here so that a bad one is told so, and by the engine for every action."""

    def __init__(self, home: Home, config: Config, issuer: str) -> None:
        self.issuer: str | None = issuer
        self._verifier = make_verifier(home.folder, config)
        self._clock = SystemClock()

    async def admit(self, token: str) -> Caller:
        claims, verifier = Claims(token=token), self._verifier
        if verifier.inline:
            who = verifier.verify(claims, "", (), self._clock.now())
        else:
            who = await asyncio.to_thread(verifier.verify, claims, "", (), self._clock.now())
        said = (who.human, who.agent, tuple(sorted(who.roles)), tuple(sorted(who.scope)), who.evidence[0].binding)
        claims = Claims(token=token, human=who.human, agent=who.agent, roles=who.roles, scope=who.scope)
        return Caller(sha256(repr(said).encode()).hexdigest(), claims)

    def same(self, caller: Caller, claims: Claims) -> bool:
        own = caller.claims
        if claims.token is None:
            return False
        if hmac.compare_digest(claims.token.encode(), (own.token or "").encode()):
            return True
        # under another token: for the same by name, which is verified with every action, and with nothing more granted
        same = (claims.human, claims.agent, set(claims.roles)) == (own.human, own.agent, set(own.roles))
        return same and narrows(claims.scope, own.scope)


class Held:
    """A session of the engine that stands behind a caller's requests, and what was seen in it of each server.

    children: the launched servers that its requests share (2026-07-28), by name.
    """

    def __init__(self, caller: Caller, session: str, watches: Mapping[str, Watch]) -> None:
        self.caller = caller
        self.session = session
        self.watches = watches
        self.children: dict[str, Child] = {}
        self.turn = asyncio.Lock()
        self.busy = 0
        self.used = monotonic()

    def touch(self) -> None:
        """Note that it is in use."""
        self.used = monotonic()

    def idle(self) -> bool:
        """Tell whether nothing was asked for in it for long."""
        return not self.busy and monotonic() - self.used > IDLE_S


class Standings:
    """The sessions that the gateway opened, by caller and connection; all within one event loop."""

    def __init__(self, engine: Mediator, home: Home, door: Door, servers: Mapping[str, Server]) -> None:
        self._engine = engine
        self._home = home
        self._door = door
        self._servers = servers
        self._held: dict[tuple[str, str], asyncio.Future[Held]] = {}
        self._theirs: dict[tuple[str, str, str], float] = {}

    async def of(self, caller: Caller, connection: str = "") -> Held:
        """Return the caller's session of this connection, opened at first use; raises `NavicertError`."""
        key = (caller.name, connection)
        found = self._held.get(key)
        if found is None:
            if len(self._held) >= SESSIONS:
                raise Unavailable(f"{SESSIONS} sessions are open; end some, or wait")
            found = self._held[key] = asyncio.ensure_future(self._opened(caller))
            found.add_done_callback(lambda done: self._failed(key, done))
        held = await asyncio.shield(found)
        await self.take(held, caller)
        return held

    async def take(self, held: Held, caller: Caller) -> None:
        """Have a session in use go on under the token that its caller shows now; raises `NavicertError`."""
        held.touch()
        if held.caller.claims.token == caller.claims.token:
            return
        async with held.turn:
            if held.caller.claims.token != caller.claims.token:
                await asyncio.to_thread(self._engine.renew, held.session, caller.claims.token or "")
                held.caller = caller

    async def _opened(self, caller: Caller) -> Held:
        session = await asyncio.to_thread(self._engine.open_session, "", caller.claims)
        return Held(caller, session, {name: Watch(server) for name, server in self._servers.items()})

    def _failed(self, key: tuple[str, str], done: asyncio.Future[Held]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._held.pop(key, None)  # the next request tries again

    async def named(self, caller: Caller, message: Message, headers: Mapping[str, str]) -> str | None:
        """Return the session that a request names, None where it names none; raises `IdentityError` for another's."""
        keys = set(_keys(message, headers))
        if not keys:
            return None
        if len(keys) > 1:
            raise IdentityError("the request names two sessions")
        session = keys.pop()
        if not session or len(session) > 200:
            raise IdentityError("the request names a session by what is no session's id")
        key = (caller.name, caller.claims.token or "", session)
        if monotonic() - self._theirs.get(key, -IDLE_S) >= IDLE_S:
            claims = await asyncio.to_thread(self._claims, session)
            if claims is None or not self._door.same(caller, claims):
                raise IdentityError("the session that the request names is not one of this caller")
            if len(self._theirs) >= SESSIONS:
                self._theirs.clear()
            self._theirs[key] = monotonic()
        return session

    def _claims(self, session: str) -> Claims | None:
        try:
            with Archive(self._home.store, Vault(read_secret(self._home.store_key))) as archive:
                context = archive.find_session(session)
        except IntegrityError as error:
            raise IdentityError(f"whose the session is cannot be told here: {error}") from None
        return context.claims if context is not None else None

    def idle(self) -> Iterator[tuple[str, str]]:
        """Yield the sessions, by caller and connection, in which nothing was asked for in a long time."""
        for key, found in list(self._held.items()):
            if found.done() and found.result().idle():
                yield key

    async def end(self, caller: str, connection: str, note: Callable[[str], None]) -> None:
        """End one session, where it is open."""
        found = self._held.pop((caller, connection), None)
        if found is None:
            return
        try:
            held = await found
            await asyncio.gather(*(child.end() for child in held.children.values()))
            await asyncio.to_thread(self._engine.end, held.session)
        except Exception as error:  # noqa: BLE001 - nothing more is judged in it by us; the operator is told
            note(f"a session could not be ended: {error}")

    async def end_all(self, note: Callable[[str], None]) -> None:
        """End every session."""
        await asyncio.gather(*(self.end(caller, connection, note) for caller, connection in list(self._held)))
