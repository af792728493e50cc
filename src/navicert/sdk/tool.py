"""A governed function: its calls are put into canonical form, judged, run from the judged bytes, and labelled.

* A refusal is `ActionDenied` (or `ActionSuspended`); nothing ran. Plain and async functions and generators alike.
* What a generator yields is released item by item; where policy withholds or redacts the tool's results, all of it is
  collected first, and texts come out as one.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from navicert.model.action import Action, ToolProfile
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import ActionDenied, ActionSuspended, InvalidAction, NavicertError, Unavailable
from navicert.sdk.render import remade, render, whole
from navicert.sdk.session import AFTER, CURRENT

if TYPE_CHECKING:
    from navicert.sdk.binding import Binding
    from navicert.sdk.guard import Guard


HELD: Final = 1_024


class Tool:
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
        self._engine = guard.engine
        self.name = name
        self.function = function
        self.opaque = binding.opaque
        self.held: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """What has no JSON form, of calls that wait, by handle: for `resume` in this process."""
        self._tool, _, self._operation = name.rpartition(".")
        self._profile = profile
        self._binding = binding
        self._stand_in = stand_in

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Judge, run in this thread, label, return."""
        action, session, opaque = self._intercept(args, kwargs)
        answer = self._engine.mediate(action, session, self._run(opaque), render, remade)
        return self._stand_in(self._released(answer, opaque))

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        """Judge, run in this task, label, return."""
        action, session, opaque = self._intercept(args, kwargs)
        answer = await self._engine.mediate_async(action, session, self._run_async(opaque), render, remade)
        return self._stand_in(self._released(answer, opaque))

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        """Judge the call when the first item is asked for; label each item before it is released."""
        action, session, opaque = self._intercept(args, kwargs)

        def items() -> Any:
            answer = self._engine.in_band(self._engine.decide(action, session))
            yield from self._items(permitted(self._noted(answer, opaque)), opaque)

        return items()

    def stream_async(self, *args: Any, **kwargs: Any) -> Any:
        """Judge the call when the first item is asked for; label each item before it is released."""
        action, session, opaque = self._intercept(args, kwargs)

        async def judged() -> Permit:
            answer = await self._engine.in_band_async(await self._engine.decide_async(action, session))
            return permitted(self._noted(answer, opaque))

        return self._items_async(judged, opaque)

    def resumed(self, permit: Permit, opaque: dict[str, Any]) -> Any:
        """Run a call that has waited, from the bytes that were judged."""
        if inspect.isgeneratorfunction(self.function):
            return self._items(permit, opaque)
        if inspect.isasyncgenfunction(self.function):

            async def released() -> Permit:
                return permit

            return self._items_async(released, opaque)
        return self._stand_in(self._engine.execute(permit, self._run(opaque), render, remade)[1])

    async def resumed_async(self, permit: Permit, opaque: dict[str, Any]) -> Any:
        """Run a call that has waited, in this task."""
        found = await self._engine.execute_async(permit, self._run_async(opaque), render, remade)
        return self._stand_in(found[1])

    def _run(self, opaque: dict[str, Any]) -> Callable[[bytes], Any]:
        def run(parameters: bytes) -> Any:
            positional, named = self._binding.unbind(parameters, opaque)
            value = self.function(*positional, **named)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(
                    f"`{self.name}` is a plain function that returns an awaitable; declare it with `async def`"
                )
            return value

        return run

    def _run_async(self, opaque: dict[str, Any]) -> Callable[[bytes], Any]:
        async def run(parameters: bytes) -> Any:
            positional, named = self._binding.unbind(parameters, opaque)
            return await self.function(*positional, **named)

        return run

    def _items(self, permit: Permit, opaque: dict[str, Any]) -> Any:
        if permit.screened:

            def run(parameters: bytes) -> Any:
                positional, named = self._binding.unbind(parameters, opaque)
                return whole(list(self.function(*positional, **named)))

            yield from self._parts(self._engine.execute(permit, run, render, remade)[1])
            return
        with self._engine.running(permit) as running:
            positional, named = self._binding.unbind(permit.parameters, opaque)
            for item in self.function(*positional, **named):
                running.extend(render(item))
                yield self._stand_in(item)

    async def _items_async(self, judged: Callable[[], Awaitable[Permit]], opaque: dict[str, Any]) -> Any:
        permit = await judged()  # not from another generator: it would not be closed with this one
        if permit.screened:

            async def run(parameters: bytes) -> Any:
                positional, named = self._binding.unbind(parameters, opaque)
                return whole([item async for item in self.function(*positional, **named)])

            for item in self._parts((await self._engine.execute_async(permit, run, render, remade))[1]):
                yield item
            return
        with self._engine.running(permit) as running:
            positional, named = self._binding.unbind(permit.parameters, opaque)
            async for item in self.function(*positional, **named):
                await running.extend_async(render(item))
                yield self._stand_in(item)

    def _parts(self, released: Any) -> list[Any]:
        return [self._stand_in(item) for item in ([released] if type(released) is str else released)]

    def _noted(self, answer: Any, opaque: dict[str, Any]) -> Any:
        if isinstance(answer, Suspended) and opaque:
            self.held[answer.handle] = opaque
            while len(self.held) > HELD:
                self.held.popitem(last=False)
        return answer

    def _released(self, answer: Denied | Suspended | tuple[Permit, Any], opaque: dict[str, Any]) -> Any:
        if isinstance(answer, tuple):
            return answer[1]
        raise refused(self._noted(answer, opaque))

    def _intercept(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Action, str | None, dict[str, Any]]:
        """Put a call into canonical form; a call that has none is refused, and recorded as refused."""
        self._guard.refresh()
        session = CURRENT.get()
        session_id = session.id if session is not None and session.engine is self._engine else None
        try:
            parameters, opaque = self._binding.bind(args, kwargs)
        except InvalidAction as error:
            empty = self._action(b"{}")
            raise refused(self._engine.refuse(empty, session_id, str(error))) from None
        return self._action(parameters), session_id, opaque

    def _action(self, parameters: bytes) -> Action:
        return self._engine.action(
            self._tool, self._operation, parameters, profile=self._profile, depends_on=AFTER.get()
        )


def as_governed(function: Callable[..., Any], governed: Callable[..., Any]) -> Callable[..., Any]:
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


def itself(value: Any) -> Any:
    """Return the value: nothing stands in for it."""
    return value


def permitted(answer: Permit | Denied | Suspended) -> Permit:
    """Return the permit; raises `ActionDenied` or `ActionSuspended` where it is none."""
    if isinstance(answer, Permit):
        return answer
    raise refused(answer)


def refused(answer: Permit | Denied | Suspended) -> NavicertError:
    """Return what is raised for a refusal."""
    if isinstance(answer, Suspended):
        return ActionSuspended(
            reason=answer.reason,
            next_step=f"it waits as {answer.handle}; do not repeat it, go on with something else",
            action_id=answer.action_id,
            receipt_id=answer.receipt_id,
            handle=answer.handle,
            verdict=answer.verdict.value,
            deadline=answer.deadline,
            reason_code=answer.reason_code,
            rules=answer.rules,
        )
    if isinstance(answer, Denied):
        return ActionDenied(
            kind=answer.kind,
            reason=answer.reason,
            next_step=answer.next_step,
            action_id=answer.action_id,
            receipt_id=answer.receipt_id,
            reason_code=answer.reason_code,
            rules=answer.rules,
        )
    return Unavailable("a permit came where a refusal was expected; nothing ran")
