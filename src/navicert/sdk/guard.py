"""Guard: the way in for a developer. `navicert.open()` gives one; `@guard.tool(...)` governs a function.

* A governed function judges its call first, runs from the judged bytes, labels its result, and only then returns it.
* A refusal is `ActionDenied` (or `ActionSuspended`); nothing ran. There is no way to switch the judging off.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from threading import Lock
from time import monotonic
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar, cast

from msgspec.structs import replace

from navicert.engine.mediating import Mediator
from navicert.intent.effects import infer
from navicert.intent.values import Trust
from navicert.model.action import Effect, ToolProfile
from navicert.model.errors import InvalidAction, NavicertError, PolicyError, Unavailable
from navicert.model.identity import Claims
from navicert.model.labels import Labels, Level, Limit
from navicert.sdk.binding import Binding
from navicert.sdk.session import Session
from navicert.sdk.tool import Tool, as_governed, itself, permitted, refused
from navicert.sdk.wrap import Governed

F = TypeVar("F", bound=Callable[..., Any])
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_LOOK_S: Final = 1.0
Names = str | tuple[str, ...] | list[str]
Returns = str | dict[str, Any] | Labels | None


class Deployment(Protocol):
    """What a guard stands on: an engine in this process, or one behind a socket."""

    @property
    def engine(self) -> Mediator:
        """The engine."""
        ...

    def policy_changed(self) -> bool:
        """Tell whether there is another policy than the one in force."""
        ...

    def look_again(self) -> None:
        """Have the policy count as changed."""
        ...

    def reload(self) -> None:
        """Put the policy file in force; raises `PolicyError` where it does not load."""
        ...

    def close(self) -> None:
        """Make everything durable, and let go."""
        ...


class Guard:
    """One governed application: its engine, its policy, its tools. Thread-safe; close it when done."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.engine = deployment.engine
        self._look = Lock()
        self._looked = monotonic()
        self._complained: str | None = None
        self._tools: dict[str, Tool] = {}

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
        accepts: Returns = None,
        returns: Returns = None,
        trust: str = "public",
        memory: bool = False,
    ) -> Callable[[F], F]:
        """Govern a function as the tool `name` (`email.send`). Plain and `async` functions and generators alike.

        effect: read, write, delete, send, pay, grant, execute or credentials; left out, the policy must declare it.
        destination, resource, amount, content: which parameters play this role. opaque: parameters that are passed
        through unseen. returns: base label of the results (`"INTERNAL"`, or `{"level": …, "categories": […]}`); left
        out, results count as the highest. accepts: the highest label that the tool may be sent, in the same form, where
        a level alone admits every category; left out, there is no limit. trust: who can have written what it returns:
        `own` (the deployment's own records), `known` (people who are known), `public` (anybody). memory: the agent
        itself, earlier.

        Raises `TypeError` for a parameter that has no JSON form, `ValueError` for a bad name, effect or label.
        """
        profile = make_profile(
            name, effect, destination=destination, resource=resource, amount=amount, content=content,
            categories=categories, opaque=opaque, accepts=accepts, returns=returns, trust=trust, memory=memory,
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
        if profile is None:  # it counts where the policy says `profiles: inferred`, and nowhere else
            profile = replace(infer(name, inspect.getdoc(function) or "", binding.schema()).profile, inferred=True)
            profile = replace(profile, opaque=opaque)
        governed = Tool(self, name, function, profile, binding, stand_in or itself)
        self._tools[name] = governed
        if inspect.isasyncgenfunction(function):
            return as_governed(function, governed.stream_async)
        if inspect.isgeneratorfunction(function):
            return as_governed(function, governed.stream)
        if inspect.iscoroutinefunction(function):
            return as_governed(function, governed.call_async)
        return as_governed(function, governed.call)

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
        token: str | None = None,
        intent: str | None = None,
    ) -> Session:
        """Open a session for what a user asked: `with guard.session(request=…, human=…, agent=…) as s:`.

        scope: the tools that this agent may use at all, as full names or patterns (`email.*`). token: the access token
        of whoever asked, where the deployment verifies tokens; human, agent and roles then stand in it. intent: the
        class of work, one of the policy's `intents` where it has such.
        """
        claims = Claims(
            human=human,
            agent=agent,
            service=service,
            roles=tuple(roles),
            scope=(scope,) if isinstance(scope, str) else tuple(scope),
            token=token,
            intent=intent,
        )
        return Session(self.engine, self.engine.open_session(request, claims))

    # waits

    def resume(self, handle: str, *, wait_s: float = 0.0) -> Any:
        """Run a tool call that was suspended, and return what the tool returns: once, in whatever process comes first.

        wait_s: so long it waits for the answer. Raises `ActionSuspended` while it goes on waiting, `ActionDenied` where
        it was refused or was taken up before, `InvalidAction` where this process does not have the tool.
        """
        tool, opaque = self._resumable(handle)
        if inspect.iscoroutinefunction(tool.function) or inspect.isasyncgenfunction(tool.function):
            raise InvalidAction(f"`{tool.name}` is async; use `await guard.resume_async({handle!r})`")
        permit = permitted(self.engine.in_band(self.engine.resume(handle), wait_s))
        return tool.resumed(permit, opaque)

    async def resume_async(self, handle: str, *, wait_s: float = 0.0) -> Any:
        """Run a tool call that was suspended, without blocking the event loop; as `resume`."""
        tool, opaque = self._resumable(handle)
        permit = permitted(await self.engine.in_band_async(await self.engine.resume_async(handle), wait_s))
        if inspect.isasyncgenfunction(tool.function) or not inspect.iscoroutinefunction(tool.function):
            return tool.resumed(permit, opaque)
        return await tool.resumed_async(permit, opaque)

    def _resumable(self, handle: str) -> tuple[Tool, dict[str, Any]]:
        name = self.engine.named(handle)
        if name is None:
            raise refused(self.engine.resume(handle))
        tool = self._tools.get(name)
        if tool is None:
            message = f"`{handle}` is a call of `{name}`, which this process does not have; declare the tool first"
            raise InvalidAction(message)
        opaque = tool.held.get(handle, {})
        if tool.opaque and not opaque:
            message = (
                f"`{name}` has parameters that are not kept ({', '.join(tool.opaque)}); resume it where it was called"
            )
            raise InvalidAction(message)
        return tool, opaque

    # policy

    def reload(self) -> None:
        """Read the policy file anew; raises `PolicyError` and keeps the one in force where the file does not load."""
        self.deployment.reload()
        self._complained = None

    def refresh(self) -> None:
        """Take up a changed policy file; a broken one is reported on standard error, once, and changes nothing."""
        now = monotonic()
        if now - self._looked < _LOOK_S:
            return
        with self._look:
            self._looked = now
            if not self.deployment.policy_changed():
                return
            try:
                self.reload()
            except Unavailable as error:
                self.deployment.look_again()  # the file may be good: tried again, not only when it changes again
                sys.stderr.write(f"navicert: the changed policy is not in force yet: {error}\n")
            except (PolicyError, NavicertError) as error:
                if str(error) != self._complained:
                    self._complained = str(error)
                    sys.stderr.write(f"navicert: the changed policy does not load, the last good one stays: {error}\n")

    def settle(self, action_id: str, *, happened: bool, by: str, reason: str = "") -> None:
        """Record what a person found out about an open action, and how; it may then be tried again."""
        self.engine.settle(action_id, happened=happened, by=by, reason=reason)

    def close(self) -> None:
        """Make everything durable and let go of the store."""
        self.deployment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
    accepts: Returns = None,
    returns: Returns = None,
    trust: str = "public",
    memory: bool = False,
) -> ToolProfile | None:
    """Return the profile that a developer declares, or None where no effect is given."""
    if effect is None:
        return None
    if effect not in Effect.__members__.values():
        raise ValueError(f"`{name}`: the effect `{effect}` is not one of {', '.join(Effect)}")
    if trust not in Trust.__members__.values():
        raise ValueError(f"`{name}`: the trust `{trust}` is not one of {', '.join(Trust)}")
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
        accepts=make_limit(name, accepts),
        trust=trust,
        memory=memory,
    )


def make_limit(name: str, accepts: Returns) -> Limit | None:
    """Return a limit from `"INTERNAL"` (every category) or `{"level": …, "categories": […]}` (only these)."""
    labels = make_labels(name, accepts)
    if labels is None:
        return None
    return Limit(level=labels.level, categories=None if isinstance(accepts, str) else labels.categories)


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
