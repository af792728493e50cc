"""Guard: the way in for a developer. `navicert.open()` gives one; `@guard.tool(...)` governs a function.

* A governed function judges its call first, runs from the judged bytes, labels its result, and only then returns it.
* A refusal is `ActionDenied` (or `ActionSuspended`); nothing ran. There is no way to switch the judging off.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import wraps
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from navicert.assemble import Assembled
from navicert.core.digest import action_digest
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import ActionDenied, ActionSuspended, InvalidAction, NavicertError, PolicyError, Unavailable
from navicert.model.identity import Claims
from navicert.model.labels import Labels, Level
from navicert.sdk.binding import Binding
from navicert.sdk.render import render
from navicert.sdk.session import CURRENT, Session
from navicert.sdk.wrap import Governed

F = TypeVar("F", bound=Callable[..., Any])
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_LOOK_S: Final = 1.0
Names = str | tuple[str, ...] | list[str]
Returns = str | dict[str, Any] | Labels | None


class Guard:
    """One governed application: its engine, its policy, its tools. Thread-safe; close it when done."""

    def __init__(self, assembled: Assembled) -> None:
        self._assembled = assembled
        self._engine = assembled.engine
        self._look = Lock()
        self._looked = monotonic()
        self._complained: str | None = None

    # tools

    def tool(  # noqa: PLR0913 - the roles of a tool's parameters are named where it is declared
        self,
        name: str,
        *,
        effect: str | None = None,
        destination: Names = (),
        resource: Names = (),
        amount: Names = (),
        content: Names = (),
        categories: Names = (),
        opaque: Names = (),
        returns: Returns = None,
    ) -> Callable[[F], F]:
        """Govern a function as the tool `name` (`email.send`). Plain and `async` functions and generators alike.

        effect: read, write, delete, send, pay, grant, execute or credentials; left out, the policy must declare it.
        destination, resource, amount, content: which parameters play this role. opaque: parameters that are passed
        through unseen. returns: base label of the results (`"INTERNAL"`, or `{"level": …, "categories": […]}`); left
        out, results count as the highest.

        Raises `TypeError` for a parameter that has no JSON form, `ValueError` for a bad name, effect or label.
        """
        profile = make_profile(
            name, effect, destination=destination, resource=resource, amount=amount, content=content,
            categories=categories, opaque=opaque, returns=returns,
        )  # fmt: skip

        def govern(function: F) -> F:
            return cast("F", self._govern(name, function, profile, _names(opaque)))

        return govern

    def wrap(self, target: Any, name: str, tools: dict[str, dict[str, Any]] | None = None) -> Governed:
        """Govern every public method of an object: `crm = guard.wrap(client, "crm", {"query": {"effect": "read"}})`.

        A method that neither `tools` nor the policy declares is refused; attributes that are not methods are not handed
        out, since they may lead to the same object by another way.
        """

        def govern(method: str, function: Callable[..., Any]) -> Callable[..., Any]:
            full = f"{name}.{method}"
            declared = dict((tools or {}).get(method, {}))
            opaque = _names(declared.get("opaque", ()))
            return self._govern(full, function, make_profile(full, **declared), opaque, stand_in)

        def stand_in(value: Any) -> Any:
            return governed if value is target else value  # a fluent method must not lead around the gate

        unknown = [method for method in tools or {} if not callable(getattr(target, method, None))]
        if unknown:
            raise ValueError(f"`{name}`: `{unknown[0]}` is declared, but is not a method of {type(target).__name__}")
        governed = Governed(target, name, govern)
        return governed

    def _govern(
        self,
        name: str,
        function: Callable[..., Any],
        profile: ToolProfile | None,
        opaque: tuple[str, ...],
        stand_in: Callable[[Any], Any] | None = None,
    ) -> Callable[..., Any]:
        check_name(name)
        binding = Binding(name, function, opaque)
        governed = _Tool(self, name, function, profile, binding, stand_in or _itself)
        if inspect.isasyncgenfunction(function):
            return _as(function, governed.stream_async)
        if inspect.isgeneratorfunction(function):
            return _as(function, governed.stream)
        if inspect.iscoroutinefunction(function):
            return _as(function, governed.call_async)
        return _as(function, governed.call)

    # sessions

    def session(
        self,
        *,
        request: str,
        human: str | None = None,
        agent: str | None = None,
        service: str | None = None,
        roles: tuple[str, ...] | list[str] = (),
        scope: str | tuple[str, ...] | list[str] = ("*",),
    ) -> Session:
        """Open a session for what a user asked: `with guard.session(request=…, human=…, agent=…) as s:`.

        scope: the tools that this agent may use at all, as full names or patterns (`email.*`).
        """
        claims = Claims(
            human=human,
            agent=agent,
            service=service,
            roles=tuple(roles),
            scope=(scope,) if isinstance(scope, str) else tuple(scope),
        )
        return Session(self._engine, self._engine.open_session(request, claims))

    # policy

    def reload(self) -> None:
        """Read the policy file anew; raises `PolicyError` and keeps the one in force where the file does not load."""
        self._assembled.reload()
        self._complained = None

    def refresh(self) -> None:
        """Take up a changed policy file; a broken one is reported on standard error, once, and changes nothing."""
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        with self._look:
            self._looked = now
            if not self._assembled.policy_changed():
                return
            try:
                self.reload()
            except Unavailable as error:
                self._assembled.look_again()  # the file may be good: tried again, not only when it changes again
                sys.stderr.write(f"navicert: the changed policy is not in force yet: {error}\n")
            except (PolicyError, NavicertError) as error:
                if str(error) != self._complained:
                    self._complained = str(error)
                    sys.stderr.write(f"navicert: the changed policy does not load, the last good one stays: {error}\n")

    def settle(self, action_id: str, *, happened: bool, by: str, reason: str = "") -> None:
        """Record what a person found out about an open action, and how; it may then be tried again."""
        self._engine.settle(action_id, happened=happened, by=by, reason=reason)

    def close(self) -> None:
        """Make everything durable and let go of the store."""
        self._assembled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Tool:
    """One governed function. stand_in: what the caller gets in place of a value that would lead around the gate."""

    def __init__(
        self,
        guard: Guard,
        name: str,
        function: Callable[..., Any],
        profile: ToolProfile | None,
        binding: Binding,
        stand_in: Callable[[Any], Any],
    ) -> None:
        self._guard = guard
        self._engine = guard._engine  # noqa: SLF001 - same module
        self._assembled = guard._assembled  # noqa: SLF001 - same module
        self._name = name
        self._tool, _, self._operation = name.rpartition(".")
        self._function = function
        self._profile = profile
        self._binding = binding
        self._stand_in = stand_in

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Judge, run in this thread, label, return."""
        action, session, opaque = self._intercept(args, kwargs)

        def run(parameters: bytes) -> Any:
            positional, named = self._binding.unbind(parameters, opaque)
            value = self._function(*positional, **named)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(
                    f"`{self._name}` is a plain function that returns an awaitable; declare it with `async def`"
                )
            return value

        return self._stand_in(_released(self._engine.mediate(action, session, run, render)))

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        """Judge, run in this task, label, return."""
        action, session, opaque = self._intercept(args, kwargs)

        async def run(parameters: bytes) -> Any:
            positional, named = self._binding.unbind(parameters, opaque)
            return await self._function(*positional, **named)

        return self._stand_in(_released(await self._engine.mediate_async(action, session, run, render)))

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        """Judge the call when the first item is asked for; label each item before it is released."""
        action, session, opaque = self._intercept(args, kwargs)

        def items() -> Any:
            permit = _permit(self._engine.decide(action, session))
            with self._engine.running(permit) as running:
                positional, named = self._binding.unbind(permit.parameters, opaque)
                for item in self._function(*positional, **named):
                    running.extend(render(item))
                    yield self._stand_in(item)

        return items()

    def stream_async(self, *args: Any, **kwargs: Any) -> Any:
        """Judge the call when the first item is asked for; label each item before it is released."""
        action, session, opaque = self._intercept(args, kwargs)

        async def items() -> Any:
            permit = _permit(await self._engine.decide_async(action, session))
            with self._engine.running(permit) as running:
                positional, named = self._binding.unbind(permit.parameters, opaque)
                async for item in self._function(*positional, **named):
                    await running.extend_async(render(item))
                    yield self._stand_in(item)

        return items()

    def _intercept(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Action, str | None, dict[str, Any]]:
        """Put a call into canonical form; a call that has none is refused, and recorded as refused."""
        self._guard.refresh()
        session = CURRENT.get()
        session_id = session.id if session is not None and session._engine is self._engine else None  # noqa: SLF001
        try:
            parameters, opaque = self._binding.bind(args, kwargs)
        except InvalidAction as error:
            refused = self._action(b"{}")
            raise _denied(self._engine.refuse(refused, session_id, str(error))) from None
        return self._action(parameters), session_id, opaque

    def _action(self, parameters: bytes) -> Action:
        return Action(
            action_id=self._assembled.ids.new("act"),
            tool=self._tool,
            operation=self._operation,
            parameters=parameters,
            digest=action_digest(self._tool, self._operation, parameters),
            submitted_at=self._engine.now(),
            profile=self._profile,
        )


def make_profile(  # noqa: PLR0913 - as Guard.tool
    name: str,
    effect: str | None = None,
    *,
    destination: Names = (),
    resource: Names = (),
    amount: Names = (),
    content: Names = (),
    categories: Names = (),
    opaque: Names = (),
    returns: Returns = None,
) -> ToolProfile | None:
    """Return the profile that a developer declares, or None where no effect is given."""
    if effect is None:
        return None
    if effect not in Effect.__members__.values():
        raise ValueError(f"`{name}`: the effect `{effect}` is not one of {', '.join(Effect)}")
    return ToolProfile(
        tool=name,
        effect=Effect(effect),
        destination=_names(destination),
        resource=_names(resource),
        amount=_names(amount),
        content=_names(content),
        categories=_names(categories),
        opaque=_names(opaque),
        returns=make_labels(name, returns),
    )


def make_labels(name: str, returns: Returns) -> Labels | None:
    """Return a label from `"INTERNAL"` or `{"level": "CONFIDENTIAL", "categories": ["PII"]}`."""
    if returns is None or isinstance(returns, Labels):
        return returns
    level, categories = (
        (returns, ()) if isinstance(returns, str) else (returns.get("level"), returns.get("categories", ()))
    )
    if level not in Level.__members__:
        raise ValueError(f"`{name}`: the level `{level}` is not one of {', '.join(Level.__members__)}")
    return Labels(level=Level[str(level)], categories=tuple(sorted(set(categories))))


def check_name(name: str) -> None:
    """Raise `ValueError` unless the name is a full tool name in canonical form."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"the tool name `{name}` must be `tool.operation`, of letters, digits, `-` and `_`")


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _as(function: Callable[..., Any], governed: Callable[..., Any]) -> Callable[..., Any]:
    """Return the governed call with the function's own name, signature and kind."""
    if inspect.iscoroutinefunction(governed):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await governed(*args, **kwargs)

        made: Callable[..., Any] = call_async
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return governed(*args, **kwargs)

        made = call
    shaped = wraps(function, updated=())(made)  # its attributes stay behind: one of them may be the function
    del shaped.__wrapped__  # it would lead around the gate
    shaped.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return shaped


def _itself(value: Any) -> Any:
    return value


def _released(answer: Denied | Suspended | tuple[Permit, Any]) -> Any:
    if isinstance(answer, tuple):
        return answer[1]
    raise _denied(answer)


def _permit(answer: Permit | Denied | Suspended) -> Permit:
    if isinstance(answer, Permit):
        return answer
    raise _denied(answer)


def _denied(answer: Denied | Suspended) -> ActionDenied:
    if isinstance(answer, Suspended):
        return ActionSuspended(
            reason=answer.reason,
            next_step=f"it waits as {answer.handle}; do not repeat it, go on with something else",
            action_id=answer.action_id,
            receipt_id=answer.receipt_id,
            handle=answer.handle,
        )
    return ActionDenied(
        kind=answer.kind,
        reason=answer.reason,
        next_step=answer.next_step,
        action_id=answer.action_id,
        receipt_id=answer.receipt_id,
    )
