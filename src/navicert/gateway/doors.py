"""Who stands before the gateway over HTTP, and in which session what they ask for is judged (R6; reference: mcp.md).

* A caller shows a bearer token that is meant for us: the launch token of this home, or an access token of the
  configured issuer, by which the engine then verifies every action anew. It goes no further.
* Without a session of the application's own there is one for each token and connection; receipts call it inferred.
  One that the caller names counts only where it is the same caller's: a word of theirs never widens what they may do.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Callable, Iterator
from hashlib import sha256
from time import monotonic
from typing import Final, NamedTuple, Protocol

from navicert.adapters.secret_file import read_secret, write_secret
from navicert.adapters.store.archive import Archive
from navicert.adapters.store.vault import Vault
from navicert.adapters.system import SystemClock
from navicert.assemble import Home, make_verifier
from navicert.config import Config
from navicert.engine.mediating import Mediator
from navicert.gateway.message import Message
from navicert.gateway.pins import Server, Watch
from navicert.model.errors import IdentityError, IntegrityError, Unavailable
from navicert.model.identity import Claims

SURFACE: Final = "mcp-http"
INFERRED: Final = f"{SURFACE}-inferred"
TOKEN: Final = "mcp.token"  # noqa: S105 - the name of a file
SESSION: Final = "navicert/session"
IDLE_S: Final = 1800.0
SESSIONS: Final = 1024
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")


class Caller(NamedTuple):
    """Somebody who showed a token. name: the same for the same token, and tells nothing of it."""

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
            verifier.verify(claims, "", (), self._clock.now())
        else:
            await asyncio.to_thread(verifier.verify, claims, "", (), self._clock.now())
        return Caller(sha256(token.encode()).hexdigest(), claims)

    def same(self, caller: Caller, claims: Claims) -> bool:
        return claims.token is not None and hmac.compare_digest(claims.token, caller.claims.token or "")


class Held:
    """A session of the engine that stands behind a caller's requests, and what was seen of the server's tools in it."""

    def __init__(self, caller: Caller, session: str, watch: Watch) -> None:
        self.caller = caller
        self.session = session
        self.watch = watch
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

    def __init__(self, engine: Mediator, home: Home, door: Door, server: Server) -> None:
        self._engine = engine
        self._home = home
        self._door = door
        self._server = server
        self._held: dict[tuple[str, str], asyncio.Future[Held]] = {}
        self._theirs: dict[tuple[str, str], float] = {}

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
        held.touch()
        return held

    async def _opened(self, caller: Caller) -> Held:
        session = await asyncio.to_thread(self._engine.open_session, "", caller.claims)
        return Held(caller, session, Watch(self._server))

    def _failed(self, key: tuple[str, str], done: asyncio.Future[Held]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._held.pop(key, None)  # the next request tries again

    async def named(self, caller: Caller, message: Message) -> str | None:
        """Return the session that a request names, None where it names none; raises `IdentityError` for another's."""
        meta = message.params.get("_meta")
        if type(meta) is not dict or SESSION not in meta:
            return None
        session = meta[SESSION]
        if type(session) is not str or len(session) > 200:
            raise IdentityError(f"`{SESSION}` is no session's id")
        key = (caller.name, session)
        if monotonic() - self._theirs.get(key, -IDLE_S) >= IDLE_S:
            claims = await asyncio.to_thread(self._claims, session)
            if claims is None or not self._door.same(caller, claims):
                raise IdentityError(f"the session that `{SESSION}` names is not one of this caller")
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
            await asyncio.to_thread(self._engine.end, (await found).session)
        except Exception as error:  # noqa: BLE001 - nothing more is judged in it by us; the operator is told
            note(f"a session could not be ended: {error}")

    async def end_all(self, note: Callable[[str], None]) -> None:
        """End every session."""
        for caller, connection in list(self._held):
            await self.end(caller, connection, note)
