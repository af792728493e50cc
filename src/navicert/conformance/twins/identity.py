"""Sabotages of who acts: claims are not looked at, or not again, or what was found out about people is lost (R6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from navicert.conformance.twins.records import written_otherwise
from navicert.conformance.twins.registry import twin
from navicert.core.compile import CompiledPolicy
from navicert.model.context import SessionContext
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.receipt import Receipt

Found = tuple[ActionIdentity, Exception | None]


def identified_otherwise(change: Callable[[SessionContext, ActionIdentity, Exception | None], Found]) -> None:
    """Have what the identity verifier says of a session pass through `change`, wherever it is asked."""
    from navicert.engine import deciding, resuming, sessions

    identify = deciding.identify

    def otherwise(works: Any, context: SessionContext) -> Any:
        identity, error = yield from identify(works, context)
        return change(context, identity, error)

    deciding.identify = resuming.identify = sessions.identify = otherwise


@twin
def sessions_mixed_up() -> None:
    """Whoever acts first is taken for everybody."""
    first: list[ActionIdentity] = []

    def change(_: SessionContext, identity: ActionIdentity, error: Exception | None) -> Found:
        first.append(identity)
        return first[0], error

    identified_otherwise(change)


@twin
def revalidation_skipped() -> None:
    """A token that was good once is never validated again, nor is any at the end of a wait."""
    from navicert.adapters.identity.token import TokenIdentity
    from navicert.engine import resuming

    verify, identify, good = TokenIdentity.verify, resuming.identify, dict[Any, ActionIdentity]()

    def once(self: TokenIdentity, claims: Claims, session: str, delegation: Any, now: int) -> ActionIdentity:
        shown = (claims.token, session)
        if shown not in good:
            good[shown] = verify(self, claims, session, delegation, now)
        return good[shown]

    def never(works: Any, context: SessionContext) -> Any:  # in a process that has not seen them good
        identity, error = yield from identify(works, context)
        return (identity if error is None else replace(identity, scope=context.claims.scope)), None

    TokenIdentity.verify = once  # type: ignore[method-assign]  # that is the sabotage
    resuming.identify = never


@twin
def strangers_believed() -> None:
    """Whose claims cannot be verified is believed all the same."""
    from navicert.gateway import doors

    def change(_: SessionContext, identity: ActionIdentity, error: Exception | None) -> Found:
        return (identity, None) if error is None else (replace(identity, scope=("*",)), None)

    async def admit(_: Any, token: str) -> doors.Caller:
        return doors.Caller(token, Claims(token=token))

    identified_otherwise(change)
    doors._Issued.admit = admit  # type: ignore[method-assign]  # that is the sabotage
    doors._Issued.same = lambda *_: True  # type: ignore[method-assign]  # that is the sabotage


@twin
def identity_lost() -> None:
    """The record of how a wait ended names the service's own agent."""

    def change(receipt: Receipt) -> Receipt:
        requester = receipt.requester_context
        if receipt.kind != "resolution" or requester is None:
            return receipt
        return replace(receipt, requester_context=replace(requester, agent=requester.service))

    written_otherwise(change)


@twin
def submission_forgotten() -> None:
    """What waited is judged on what holds now, and on nothing else."""
    from navicert.engine import resuming

    def stricter(_: Any, assessed: Any, __: Any) -> Any:
        return assessed.decision

    resuming._stricter = stricter  # that is the sabotage


@twin
def scope_unchecked() -> None:
    """The scope of the token bounds nothing."""
    from navicert.core import evaluate

    evaluate.in_scope = lambda *_: True


@twin
def arguments_believed() -> None:
    """A role that an argument names is a role that its author has."""
    from navicert.engine import judging

    evaluate = judging.evaluate

    def otherwise(given: EvaluationInput, policy: CompiledPolicy) -> Any:
        named = b"keeper" in given.action.parameters
        identity = replace(given.identity, roles=("keeper",)) if named else given.identity
        return evaluate(replace(given, identity=identity), policy)

    judging.evaluate = otherwise
