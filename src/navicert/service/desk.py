"""Desk: what one request of one peer does to the engine. The socket, its threads and its frames stand elsewhere.

* A session, a wait and a permit belong to the peer that has them from here; to others they do not exist. Who joined a
  session by its launch token acts in it, and no more.
* What a caller says about itself (peer, surface, separation, time) is replaced by what the owner knows, but that a
  session is inferred: that only weakens it, and stays in its receipts.
* An action is taken only in canonical form and under an id of its own: what is judged is what its digest says.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, Protocol

import msgspec

from navicert.assemble import Assembled
from navicert.core.canonical import canonical_parameters, decode_parameters, parameter_bytes, parse_parameters
from navicert.core.denial import contract
from navicert.core.digest import action_digest
from navicert.engine.mediating import Answer
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.decision import Denied, Permit
from navicert.model.errors import IdentityError, IntegrityError, InvalidAction, ResultWithheld
from navicert.model.suspension import Wait
from navicert.service import wire
from navicert.service.peers import NEEDS, Peer
from navicert.service.permits import Permits

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_LONGEST_NAME: Final = 512
_ACTION_ID: Final = re.compile(r"act_[0-9a-hjkmnp-tv-z]{26}")
_INFERRED: Final = re.compile(r"[a-z-]{1,32}-inferred")
_SESSIONS: Final = 4096
_AROUND: Final = 65_536
"""What stands around an action or a session (claims, profile, scope) takes at most so many bytes of the log."""
_WHY: Final = 1_024
PEOPLE: Final = "people"
"""Who asked for a link that people get: agents that use up their tries at a passphrase do not use up these."""
_PAGE_BYTES: Final = wire.MOST_BYTES // 2
replace = msgspec.structs.replace


class Page(Protocol):
    """The approval page, where the owner serves one."""

    def link(self, handle: str | None, asked_by: str) -> str:
        """Return a one-time address of the page of a wait, or of the inbox. asked_by: the peer, or `people`."""
        ...


class Desk:
    """Answers requests. Thread-safe: every connection has a thread of its own."""

    def __init__(self, deployment: Assembled, page: Page | None = None) -> None:
        self._deployment = deployment
        self._page = page
        self._engine = deployment.engine
        self.permits = Permits(deployment.engine)
        self._peers: OrderedDict[str, str | None] = OrderedDict()
        self._joined: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._under_way: set[str] = set()
        self._lock = Lock()
        self._do: dict[type[wire.Request], Callable[[Any, Peer, object], Any]] = {
            wire.Decide: self._decide,
            wire.Refuse: self._refuse,
            wire.Offered: lambda ask, peer, _: self._engine.offered(self._acted(ask.session, peer), ask.tools),
            wire.Resume: self._resume,
            wire.Redeem: self._redeem,
            wire.Complete: self._complete,
            wire.Abandon: self._abandon,
            wire.Extend: self._extend,
            wire.GuardsRepeats: self._guards_repeats,
            wire.OpenSession: self._open_session,
            wire.Delegate: self._delegate,
            wire.Launch: lambda ask, peer, _: self._engine.launch(self._own(ask.session, peer), uses=ask.uses),
            wire.Join: self._join,
            wire.Say: self._say,
            wire.Observe: self._observe,
            wire.Renew: self._renew,
            wire.End: self._end,
            wire.LabelsOf: lambda ask, peer, _: self._engine.labels(self._own(ask.session, peer)),
            wire.Named: self._named,
            wire.Link: self._link,
            wire.OpenPage: self._open_page,
            wire.ListWaits: self._list_waits,
            wire.ShowWait: lambda ask, _, __: _shown(self._engine.wait(ask.handle)),
            wire.Answer: lambda ask, _, __: _shown(self._engine.answer(ask.handle, ask.vote)),
            wire.ListApprovers: lambda _, __, ___: self._engine.approvers(),
            wire.ListStandings: lambda _, __, ___: self._engine.standings(),
            wire.Subject: lambda ask, _, __: self._engine.subject(ask.named),
            wire.Stop: lambda ask, _, __: self._engine.stop(ask.subject, ask.state, by=ask.by, reason=ask.reason),
            wire.Restore: lambda ask, _, __: self._engine.restore(ask.vote),
            wire.Enrol: lambda ask, _, __: self._engine.enrol(ask.person),
            wire.Dismiss: lambda ask, _, __: self._engine.dismiss(ask.name),
            wire.Settle: self._settle,
            wire.Sweep: lambda _, __, ___: self._engine.sweep(),
        }

    def answer(self, request: wire.Request, peer: Peer, line: object) -> Any:
        """Do what a request asks for, and return its reply. line: the connection that it came over.

        Raises `NavicertError`: `IdentityError` where the peer may not ask for it.
        """
        needed, do = NEEDS.get(type(request)), self._do.get(type(request))
        if do is None or needed is None:
            raise InvalidAction("a connection says hello once")
        if needed not in peer.rights:
            raise IdentityError(f"{peer.name} may not do this; it needs the right to {needed.value}")
        return do(request, peer, line)

    # actions

    def _decide(self, ask: wire.Decide, peer: Peer, line: object) -> wire.Answered:
        session = self._own_or_none(ask.session, peer)
        with self._admitted(ask.action, peer) as action:
            return self._given(self._engine.decide(action, session), peer, line, detached=ask.detached)

    def _refuse(self, ask: wire.Refuse, peer: Peer, line: object) -> wire.Answered:
        del line
        session = self._own_or_none(ask.session, peer)
        with self._admitted(ask.action, peer) as action:
            return wire.Answered.of(self._engine.refuse(action, session, ask.why[:_WHY], ask.code))

    def _resume(self, ask: wire.Resume, peer: Peer, line: object) -> wire.Answered:
        wait = self._engine.wait(ask.handle)
        if wait is not None and not self._acts(wait.given.context, peer):
            kind, following = contract("no_wait")
            reason = f"there is no wait `{ask.handle}` in this store"
            return wire.Answered.of(
                Denied(action_id="", kind=kind, reason=reason, next_step=following, reason_code="no_wait")
            )
        return self._given(self._engine.resume(ask.handle), peer, line, detached=ask.detached)

    def _given(self, answer: Answer, peer: Peer, line: object, *, detached: bool) -> wire.Answered:
        if isinstance(answer, Permit):
            self.permits.give(answer, peer.name, line, detached=detached)
        return wire.Answered.of(answer)

    def _redeem(self, ask: wire.Redeem, peer: Peer, line: object) -> None:
        self.permits.check(ask.permit, peer.name, line=line)
        self._engine.redeem(ask.permit)

    def _complete(self, ask: wire.Complete, peer: Peer, line: object) -> Any:
        del line
        self.permits.check(ask.permit, peer.name)
        error = ask.error[:_WHY] if ask.error is not None else None
        try:
            released = self._engine.complete(ask.permit, ask.output, error=error)
        except ResultWithheld:  # that is how it ended, and recorded
            self.permits.done(ask.permit)
            raise
        self.permits.done(ask.permit)
        return replace(released, output=None)

    def _abandon(self, ask: wire.Abandon, peer: Peer, line: object) -> None:
        del line
        self.permits.check(ask.permit, peer.name)
        self._engine.abandon(ask.permit, ask.why[:_WHY])
        self.permits.done(ask.permit)

    def _extend(self, ask: wire.Extend, peer: Peer, line: object) -> Any:
        del line
        self.permits.check(ask.permit, peer.name)
        return self._engine.extend(ask.permit, ask.output)

    def _guards_repeats(self, ask: wire.GuardsRepeats, peer: Peer, line: object) -> bool:
        del line
        self.permits.check(ask.permit, peer.name)
        return self._engine.guards_repeats(ask.permit)

    @contextmanager
    def _admitted(self, action: Action, peer: Peer) -> Iterator[Action]:
        """Give the action as it may be judged; raises `InvalidAction` where it has another form than ours."""
        if _ACTION_ID.fullmatch(action.action_id) is None:
            raise InvalidAction(f"`{action.action_id[:64]}` is no action id; write `act_` and 26 characters of a ULID")
        if len(action.name) > _LONGEST_NAME or _NAME.fullmatch(action.name) is None or "." in action.operation:
            raise InvalidAction("a tool and its operation are of letters, digits, `-` and `_`; a tool may have dots")
        if canonical_parameters(parse_parameters(action.parameters)) != action.parameters:
            raise InvalidAction("the parameters are not in canonical form (docs/reference/receipts.md)")
        if action_digest(action.tool, action.operation, action.parameters) != action.digest:
            raise InvalidAction("the digest is not that of tool, operation and parameters")
        if action.profile is not None and action.profile.tool != action.name:
            raise InvalidAction(f"the profile is of `{action.profile.tool[:64]}`, not of `{action.name}`")
        _must_be_small(action.profile, action.wrappers, action.depends_on)
        with self._lock:
            fresh = action.action_id not in self._under_way
            self._under_way.add(action.action_id)
        try:
            if not fresh or self._deployment.journal.receipts_of(action.action_id):
                raise InvalidAction(f"`{action.action_id}` is the id of another action; use an id once")
            yield replace(action, surface=_surface(action), separation=peer.separation, submitted_at=self._engine.now())
        finally:
            if fresh:
                with self._lock:
                    self._under_way.discard(action.action_id)

    # sessions

    def _own(self, session_id: str, peer: Peer) -> str:
        """Return the id of a session of this peer; raises `IntegrityError` for any other."""
        with self._lock:
            known = session_id in self._peers
            holder = self._peers.get(session_id)
        if not known:
            holder = self._engine.context(session_id).claims.peer
            with self._lock:
                self._peers[session_id] = holder
                while len(self._peers) > _SESSIONS:
                    self._peers.popitem(last=False)
        if holder != peer.name:
            raise IntegrityError(f"there is no session `{session_id}` in this store")
        return session_id

    def _own_or_none(self, session_id: str | None, peer: Peer) -> str | None:
        if session_id is None:
            return None
        try:
            return self._acted(session_id, peer)
        except IntegrityError:
            return None  # nobody stands behind it: denied, and recorded as such

    def _acted(self, session_id: str, peer: Peer) -> str:
        """Return the id of a session in which this peer acts; raises `IntegrityError` for any other."""
        return session_id if self._has_joined(session_id, peer) else self._own(session_id, peer)

    def _has_joined(self, session_id: str, peer: Peer) -> bool:
        with self._lock:
            return (session_id, peer.name) in self._joined

    def _acts(self, context: SessionContext, peer: Peer) -> bool:
        return context.claims.peer == peer.name or self._has_joined(context.session_id, peer)

    def _join(self, ask: wire.Join, peer: Peer, line: object) -> str:
        del line
        session = self._engine.join(ask.token)
        with self._lock:
            self._joined[session, peer.name] = None
            while len(self._joined) > _SESSIONS:
                self._joined.popitem(last=False)
        return session

    def _open_session(self, ask: wire.OpenSession, peer: Peer, line: object) -> str:
        del line
        _must_be_small(ask.claims)
        return self._engine.open_session(ask.request, replace(ask.claims, peer=peer.name))

    def _delegate(self, ask: wire.Delegate, peer: Peer, line: object) -> str:
        del line
        parent = self._own(ask.parent, peer)
        _must_be_small(ask.agent, ask.scope)
        return self._engine.delegate(parent, agent=ask.agent, scope=ask.scope, expires_at=ask.expires_at)

    def _say(self, ask: wire.Say, peer: Peer, line: object) -> None:
        del line
        parameter_bytes({"text": ask.text})  # raises `InvalidAction` for what cannot be kept
        self._engine.say(self._own(ask.session, peer), ask.text)

    def _observe(self, ask: wire.Observe, peer: Peer, line: object) -> None:
        del line
        fact = decode_parameters(parameter_bytes({"name": ask.name, "value": ask.value, "source": ask.source}))
        self._engine.observe(self._own(ask.session, peer), **fact)

    def _renew(self, ask: wire.Renew, peer: Peer, line: object) -> None:
        del line
        _must_be_small(ask.token)
        self._engine.renew(self._own(ask.session, peer), ask.token)

    def _end(self, ask: wire.End, peer: Peer, line: object) -> None:
        del line
        self._engine.end(self._own(ask.session, peer))

    # waits and people

    def _named(self, ask: wire.Named, peer: Peer, line: object) -> str | None:
        del line
        wait = self._engine.wait(ask.handle)
        return wait.action.name if wait is not None and self._acts(wait.given.context, peer) else None

    def _link(self, ask: wire.Link, peer: Peer, line: object) -> str | None:
        own = self._named(wire.Named(handle=ask.handle), peer, line) is not None
        return self._page.link(ask.handle, peer.name) if own and self._page is not None else None

    def _open_page(self, ask: wire.OpenPage, peer: Peer, line: object) -> str | None:
        del peer, line
        if ask.handle is not None and self._engine.wait(ask.handle) is None:
            raise InvalidAction(f"nothing named `{ask.handle[:64]}` waits")
        return self._page.link(ask.handle, PEOPLE) if self._page is not None else None

    def _list_waits(self, ask: wire.ListWaits, peer: Peer, line: object) -> Any:
        """Return as many waits as fit into a frame."""
        del peer, line
        waits, size = [_shown(wait) for wait in self._engine.waits()[max(0, ask.skip) :]], 0
        page: list[msgspec.Raw] = []
        for wait in waits:
            data = msgspec.json.encode(wait)
            size += len(data)
            if page and size > _PAGE_BYTES:
                break
            page.append(msgspec.Raw(data))
        return {"waits": page, "more": len(page) < len(waits)}

    def _settle(self, ask: wire.Settle, peer: Peer, line: object) -> None:
        del peer, line
        self._engine.settle(ask.action_id, happened=ask.happened, by=ask.by, reason=ask.reason)


def _surface(action: Action) -> str:
    """Return how an action reached the owner. Of what a caller says of it, only what speaks against it is kept."""
    return f"socket:{action.surface}" if _INFERRED.fullmatch(action.surface) else "socket"


def _must_be_small(*parts: object) -> None:
    if len(msgspec.json.encode(parts)) > _AROUND:
        raise InvalidAction(f"what stands around it is longer than {_AROUND} bytes")


def _shown(wait: Wait | None) -> Wait | None:
    """Return a wait without the access token that it was asked with: it is for verifiers, not for readers."""
    if wait is None or wait.given.context.claims.token is None:
        return wait
    context = wait.given.context
    bare = replace(context, claims=replace(context.claims, token=None))
    return replace(wait, given=replace(wait.given, context=bare))
