"""Sessions: opened, extended and closed by the application, never by an agent or a tool argument (R2.d, R6.b).

* A child session has the same request and human, the labels of its parent, and at most its parent's scope (T7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from navicert.core import delegation
from navicert.core.accumulate import accumulate, begin
from navicert.core.canonical import MAX_BYTES
from navicert.core.labels import labels_in_force
from navicert.core.scope import narrows
from navicert.core.shared import session_key, sticky_key
from navicert.engine.drive import Machine
from navicert.engine.measuring import identify
from navicert.engine.offer import may_be_permitted
from navicert.engine.workings import Workings
from navicert.model.action import Action, ToolProfile
from navicert.model.commit import Commit, RowRead, RowWrite
from navicert.model.context import ContextEntry, Opened, SessionContext
from navicert.model.errors import IdentityError, IntegrityError, InvalidAction
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING
from navicert.ports import Ticket


def opening(works: Workings, request: str, claims: Claims) -> Machine[str]:
    """Open a session; returns its id."""
    if len(request) > MAX_BYTES // 16:
        raise InvalidAction("the request is longer than 64 KiB; keep it to what the user asked")
    _must_be_text(request, claims.human, claims.agent, claims.service, *claims.roles, *claims.scope)
    session_id = works.ids.new("ses")
    entry = Opened(session_id=session_id, request=request, claims=claims, salt=works.ids.salt(), at=works.clock.now())
    yield from works.change(lambda: _begin(works, entry, ()))
    return session_id


def delegating(
    works: Workings, parent_id: str, *, agent: str, scope: tuple[str, ...], expires_at: int | None
) -> Machine[str]:
    """Open a child session of another agent; raises `IdentityError` where it would be wider than its parent."""
    _must_be_text(agent, *scope)
    session_id = works.ids.new("ses")
    salt = works.ids.salt()
    key = session_key(parent_id)

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((key,))
        if rows is None:
            return (key,)
        parent, version = rows[key]
        _must_be_open(parent, parent_id)
        now = works.clock.now()
        held: Claims = parent.claims
        followed = sticky_key(works.settings.scribe.pseudonym(held.human or ""), held.agent or "")
        rows = works.snapshot((followed,))
        if rows is None:
            return (followed,)
        sticky, stamp = rows[followed]
        granted = parent.delegation[-1].scope if parent.delegation else held.scope
        if not narrows(scope, held.scope):
            raise IdentityError(
                f"the scope {', '.join(scope)} is wider than what this session holds ({', '.join(held.scope)})"
            )
        chain = delegation.extend(
            parent.delegation,
            delegator=held.agent or "",
            delegatee=agent,
            held=granted,
            link=scope,
            issued_at=now,
            expires_at=expires_at,
        )
        entry = Opened(
            session_id=session_id,
            request=parent.request,
            said=parent.said,
            claims=msgspec.structs.replace(held, agent=agent, scope=scope),
            salt=salt,
            parent=parent_id,
            delegation=chain,
            inherited=labels_in_force(
                (parent,), sticky.labels if sticky and sticky.until > now else NOTHING, works.settings.issuer
            ),
            at=now,
            walked=parent.walked,
        )
        return _begin(works, entry, (RowRead(key=key, expected=version), RowRead(key=followed, expected=stamp)))

    yield from works.change(attempt)
    return session_id


def appending(works: Workings, session_id: str, entry: Callable[[int], ContextEntry]) -> Machine[None]:
    """Add an entry of the application's own to a session; returns when it is durable."""
    key = session_key(session_id)

    def attempt() -> Ticket | tuple[str, ...] | None:
        rows = works.snapshot((key,))
        if rows is None:
            return (key,)
        context, version = rows[key]
        _must_be_open(context, session_id)
        made = entry(works.clock.now())
        after = accumulate(context, made)
        return works.queue(
            Commit(
                session_id=session_id,
                writes=(RowWrite(key=key, expected=version, value=after),),
                entries=((session_id, after.length, made),),
            )
        )

    yield from works.change(attempt)


def offering(
    works: Workings, context: SessionContext, tools: Mapping[str, ToolProfile | None]
) -> Machine[frozenset[str]]:
    """Return which of these tools some call of the session may be permitted; raises `IdentityError`."""
    identity, error = yield from identify(works, context)
    if error is not None:
        raise error
    policy = works.policy

    def may_be(name: str, profile: ToolProfile | None) -> bool:
        tool, _, operation = name.rpartition(".")
        action = Action(
            action_id="", tool=tool, operation=operation, parameters=b"{}", digest="", submitted_at=0, profile=profile
        )
        return may_be_permitted(EvaluationInput(action=action, identity=identity, context=context), policy)

    return frozenset(name for name, profile in tools.items() if may_be(name, profile))


def _must_be_text(*texts: str | None) -> None:
    try:
        "".join(text or "" for text in texts).encode()
    except UnicodeEncodeError:
        raise InvalidAction("a text holds a lone surrogate; send valid Unicode") from None


def _must_be_open(context: SessionContext | None, session_id: str) -> None:
    if context is None:
        raise IntegrityError(f"there is no session `{session_id}` in this store")
    if context.ended_at is not None:
        raise IntegrityError(f"the session `{session_id}` has ended; open a new one")


def _begin(works: Workings, entry: Opened, reads: tuple[RowRead, ...]) -> Ticket:
    context = begin(entry)
    return works.queue(
        Commit(
            session_id=entry.session_id,
            writes=(RowWrite(key=session_key(entry.session_id), expected=0, value=context),),
            reads=reads,
            entries=((entry.session_id, 1, entry),),
        )
    )
