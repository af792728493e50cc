"""Session: what stands behind an agent's actions while it works for somebody (R2.d, R6).

* The session in force is a context variable: tasks inherit it; `carry` takes it into threads of a pool.
* The request and the user's later words come from the application, never from the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import timedelta
from inspect import iscoroutinefunction
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.model.errors import NavicertError

if TYPE_CHECKING:
    from navicert.engine.mediating import Mediator
    from navicert.model.labels import Labels
    from navicert.model.value import Json

P = ParamSpec("P")
R = TypeVar("R")
AFTER: ContextVar[tuple[str, ...]] = ContextVar("navicert_after", default=())
CURRENT: ContextVar[Session | None] = ContextVar("navicert_session", default=None)


class Session:
    """One session; use it as a context manager (`with` or `async with`), in which governed tools may be called."""

    def __init__(self, engine: Mediator, session_id: str) -> None:
        self.engine = engine
        self.id = session_id
        """The session's id, as receipts and `navicert session` name it."""
        self._tokens: list[Token[Session | None]] = []

    def user_says(self, text: str) -> None:
        """Add later words of the user. Call it with what the user typed, never with what a tool or a model said."""
        parameter_bytes({"text": text})  # raises `InvalidAction` for what cannot be kept
        self.engine.say(self.id, text)

    def observe(self, name: str, value: Json, *, source: str) -> None:
        """Report a fact about the environment, for rules on `context.facts.<name>`.

        Two sources that disagree make the fact undetermined, until they agree again. Raises `InvalidAction` for a value
        that has no JSON form.
        """
        fact = decode_parameters(parameter_bytes({"name": name, "value": value, "source": source}))
        self.engine.observe(self.id, **fact)

    def delegate(
        self, *, agent: str, scope: str | list[str] | tuple[str, ...], lasting: timedelta | None = None
    ) -> Session:
        """Open a child session for another agent: same request and human, these labels, and at most this scope.

        scope: full tool names or patterns (`crm.query`, `email.*`). What the child reads labels this session too.
        Raises `IdentityError` where the scope would be wider than this session's own.
        """
        patterns = (scope,) if isinstance(scope, str) else tuple(scope)
        expires_at = None
        if lasting is not None:
            expires_at = self.engine.now() + int(lasting.total_seconds() * 1_000_000)
        child = self.engine.delegate(self.id, agent=agent, scope=patterns, expires_at=expires_at)
        return Session(self.engine, child)

    def launch_token(self, *, processes: int = 1) -> str:
        """Return a secret by which processes that you launch act in this session: their `NAVICERT_LAUNCH`.

        It is good for a minute, and once for each of so many `processes`: one for each server of an MCP client. Whoever
        has it may act in the session, and do nothing else with it; a session's id is no secret.
        """
        return self.engine.launch(self.id, uses=processes)

    def renew(self, token: str) -> None:
        """Go on under another access token of the same human and agent, which the session was opened for by name too.

        Raises `IdentityError` where it was not. A token of anybody else is refused with every action.
        """
        self.engine.renew(self.id, token)

    @property
    def labels(self) -> Labels:
        """The labels that this session has taken on so far."""
        return self.engine.labels(self.id)

    @contextmanager
    def after(self, *handles: str) -> Iterator[None]:
        """Have the calls inside wait until these waiting actions are done: `with s.after(error.handle): …`.

        Refused, they are refused too.
        """
        token = AFTER.set((*AFTER.get(), *handles))
        try:
            yield
        finally:
            AFTER.reset(token)

    def carry(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, to be called within this session in another thread: `pool.map(s.carry(send), items)`."""
        if iscoroutinefunction(function):

            async def carried_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                token = CURRENT.set(self)
                try:
                    return await cast("Any", function(*args, **kwargs))
                finally:
                    CURRENT.reset(token)

            return cast("Callable[P, R]", carried_async)

        def carried(*args: P.args, **kwargs: P.kwargs) -> R:
            token = CURRENT.set(self)
            try:
                return function(*args, **kwargs)
            finally:
                CURRENT.reset(token)

        return carried

    def end(self) -> None:
        """Close the session: nothing more is decided in it, and its context is purged after the retention period."""
        self.engine.end(self.id)

    def __enter__(self) -> Self:
        self._tokens.append(CURRENT.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._tokens.pop())
        try:
            self.end()
        except NavicertError as failure:
            if error is None:
                raise
            error.add_note(f"navicert: the session could not be closed: {failure}")

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<navicert session {self.id}>"
