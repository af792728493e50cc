"""EvaluationInput: everything that one decision rests on, as one value (R2.e, R3.e).

It is kept with the decision, so that explain, replay and what-if are `evaluate` over stored inputs.
"""

from __future__ import annotations

from navicert.model.action import Action
from navicert.model.authority import Authority
from navicert.model.context import Fact, SessionContext
from navicert.model.identity import ActionIdentity
from navicert.model.labels import NOTHING, Labels
from navicert.model.signals import Signals
from navicert.model.value import Value


class SharedFacts(Value, frozen=True, kw_only=True):
    """What no single session holds, as read for this action.

    sticky: labels that follow this human and agent between sessions. stored: labels of the resources that the action
    names. authority: the strictest state that concerns this action. tallies: `rate|agent|3600` or `total|human|86400` →
    the count, or the sum in millionths, of earlier permitted actions of this operation in that window (for
    `destination`: the highest over the action's destinations).
    """

    sticky: Labels = NOTHING
    stored: Labels = NOTHING
    tallies: dict[str, int] = {}
    authority: Authority = Authority.FULL


class EvaluationInput(Value, frozen=True, kw_only=True):
    """The arguments of `evaluate`, without the policy set.

    labels: in force for this action, joined from the session, its sticky labels, and the worst case for actions of
    the session that are open elsewhere. now: microseconds, UTC. facts: found out while the action waited; they stand
    over those of the context. answered: content hashes of the rules that people have answered for this very action.
    separation: between agent and engine: none, user or host.
    """

    action: Action
    identity: ActionIdentity
    context: SessionContext
    labels: Labels = NOTHING
    shared: SharedFacts = SharedFacts()
    signals: Signals = Signals()
    now: int = 0
    facts: tuple[Fact, ...] = ()
    answered: tuple[str, ...] = ()
    separation: str = "none"
