"""The SDK under test: an engine in this process, the kit's tools as governed functions."""

from __future__ import annotations

import inspect
import sys
from threading import local
from typing import Any, Final

import navicert
from navicert import ActionDenied, ActionSuspended, Guard, NavicertError, Session
from navicert.conformance import contract
from navicert.conformance.adapters.ours import Ours
from navicert.conformance.broken import sabotage
from navicert.conformance.contract import Answered, Done
from navicert.conformance.serving import serve
from navicert.conformance.tools import TOOLS, Tools

TYPES: Final = {"string": str, "integer": int, "number": float}


class Sdk(Ours):
    """`navicert.open()` and `@guard.tool`; with the word `owner`, `navicert.connect()`: the owner decides."""

    surface = "sdk"
    architecture = "sdk"

    def __init__(self, *words: str) -> None:
        super().__init__()
        self.own_owner = "owner" in words

    def prepare(self) -> None:
        """Open the guard, and govern the tools."""
        if self.start.twin is not None:
            sabotage(self.start.twin)
        self.sessions: dict[str, Session] = {}
        self._waiting: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        way = navicert.connect if self.own_owner else navicert.open
        self.guard: Guard = way(self.home.folder)
        tools = Tools(self.start.world)
        self.tools = {f"kit.{name}": self.guard.tool(f"kit.{name}")(_function(tools, name)) for name in TOOLS}
        self._made = local()
        make = self.guard.engine.action

        def noted(*args: Any, **kwargs: Any) -> Any:
            action = make(*args, **kwargs)
            self._made.id = action.action_id
            return action

        self.guard.engine.action = noted  # type: ignore[method-assign]  # a tool's caller is not told the action's id

    def down(self) -> None:
        """End who decides."""
        if self.own_owner:
            super().down()
        else:
            self.guard.close()

    def up(self) -> None:
        """Open the guard anew, and go on with its sessions."""
        if self.own_owner:
            super().up()
            return
        self._open()
        self.sessions = {name: Session(self.guard.engine, each.id) for name, each in self.sessions.items()}

    def reload(self) -> None:
        """Have the policy taken up."""
        if not self.own_owner:
            self.guard.reload()

    def open(self, request: contract.Open) -> Done:
        """Open a session, or delegate."""
        if request.parent is not None:
            parent: Session = self.sessions[request.parent]
            session = parent.delegate(agent=request.agent, scope=request.scope)
        else:
            session = self.guard.session(
                request=request.request, human=request.human, agent=request.agent, token=request.token,
                scope=request.scope,
            )  # fmt: skip
        self.sessions[request.session] = session
        return Done(detail=session.id)

    def submit(self, request: contract.Submit) -> Answered:
        """Call a governed function."""
        session = self.sessions[request.session]
        tool = self.tools[f"{request.tool}.{request.operation}"]

        def call() -> Any:
            with session.after(*request.after):
                return tool(**request.parameters)

        return self._answer(session, call)

    def resume(self, request: contract.Resume) -> Answered:
        """Take up what waited."""
        session = self.sessions[request.call.session]
        return self._answer(session, lambda: self.guard.resume(request.handle), self._waiting.get(request.handle))

    def nobody(self, call: contract.Submit) -> Answered:
        """Call a governed function outside of any session."""
        return self._answer(None, lambda: self.tools[f"{call.tool}.{call.operation}"](**call.parameters))

    def _answer(self, session: Session | None, call: Any, action: str | None = None) -> Answered:
        self._made.id = action
        try:
            text = session.carry(call)() if session is not None else call()
        except ActionSuspended as waits:
            self._waiting[waits.handle] = waits.action_id
            return Answered(outcome="waits", text=str(waits), action=waits.action_id, handle=waits.handle)
        except ActionDenied as denied:
            return Answered(outcome="denied", text=str(denied), action=denied.action_id)
        except NavicertError as error:
            return Answered(outcome="denied", text=str(error))
        except Exception as error:  # noqa: BLE001 - what the tool raises is the tool's own failure
            return Answered(outcome="failed", text=f"{type(error).__name__}: {error}", action=self._made.id)
        return Answered(outcome="ran", text=str(text), action=self._made.id)

    def stop(self, request: contract.Stop) -> Done:
        """Close the guard, then the rest."""
        if hasattr(self, "guard"):
            self.guard.close()
        return super().stop(request)


def _function(tools: Tools, name: str) -> Any:
    """Return a function of the tool's own signature, as a developer would have written it."""
    kinds = TOOLS[name]["parameters"]

    def run(*values: Any, **named: Any) -> str:
        return tools.call(name, dict(zip(kinds, values, strict=False)) | named)

    run.__name__ = name.replace(".", "_")
    parameters = [
        inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=TYPES[kind])
        for key, kind in kinds.items()
    ]
    run.__signature__ = inspect.Signature(parameters, return_annotation=str)  # type: ignore[attr-defined]  # as PEP 362 has it
    run.__annotations__ = {key: TYPES[kind] for key, kind in kinds.items()} | {"return": str}
    return run


if __name__ == "__main__":
    serve(Sdk(*sys.argv[1:]))
