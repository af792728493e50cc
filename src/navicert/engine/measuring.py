"""Measuring: what is asked of the world before an action is judged: who is it, what do detectors see (property 5).

* Everything here runs under a deadline; what is missing is unknown, and says why.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from navicert.core import delegation
from navicert.core.canonical import decode_parameters
from navicert.core.scope import under_ceiling
from navicert.engine.aligning import SPACE, aligned
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.seeing import sight_of
from navicert.engine.workings import Workings, replace, safe
from navicert.intent.embedding import MOST_DIRECTIVES
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import IdentityError
from navicert.model.identity import ActionIdentity
from navicert.model.labels import NOTHING
from navicert.model.signals import Finding, Signals
from navicert.ports import Detector


def identify(works: Workings, context: SessionContext) -> Machine[tuple[ActionIdentity, Exception | None]]:
    """Have the claims verified, and the delegation checked link by link (R6.c, T7)."""
    now = works.clock.now()
    claims = context.claims

    def verify() -> ActionIdentity:
        return works.verifier.verify(claims, context.session_id, context.delegation, now)

    (answer,) = yield Ask((Call("identity", verify, works.verifier.inline),), works.settings.measure_s)
    error = answer.error
    if error is None and not isinstance(answer.value, ActionIdentity):
        error = TypeError("not an identity")
    if error is None:
        identity: ActionIdentity = answer.value
        try:
            delegation.check(identity.delegation, agent=identity.agent, scope=identity.scope, now=now)
        except IdentityError as failure:
            error = failure
        else:
            ceiling = works.policy.policy.roles
            if ceiling is not None:  # R6.a: what the roles may use at most
                identity = replace(identity, scope=under_ceiling(identity.scope, identity.roles, ceiling))
            return identity, None
    if not isinstance(error, IdentityError):
        cause, error = error, IdentityError(f"the identity could not be verified: {safe(error)}")
        error.__cause__ = cause
    unverified = ActionIdentity(
        human=claims.human or "",
        service=claims.service or "",
        agent=claims.agent or "",
        session=context.session_id,
        roles=claims.roles,
        scope=(),
        delegation=context.delegation,
    )
    return unverified, error


def measure(works: Workings, action: Action, context: SessionContext, identity: ActionIdentity) -> Machine[Signals]:
    """Ask every detector, under one deadline, and judge the intent; what fails is unknown, and says why (property 5).

    In place of what the session claims, detectors see who was verified; never the token.
    """
    found = yield from _detected(works, action, context, identity, (yield from _directives(works, context)))
    return (yield from align(works, action, context, found))


def align(works: Workings, action: Action, context: SessionContext, found: Signals) -> Machine[Signals]:
    """Return signals with the intent as it is judged on this context; what detectors say of intents is left out."""
    known, unknown = yield from aligned(works, action, context)
    values = {name: value for name, value in found.values.items() if not name.startswith(SPACE)}
    others = {name: why for name, why in found.unknown.items() if not name.startswith(SPACE)}
    return replace(found, values=values | known, unknown=others | unknown)


def _directives(works: Workings, context: SessionContext) -> Machine[tuple[str, ...]]:
    """Return the newest sentences of results that tell the reader to do something, where a detector wants them."""
    if not (context.request or context.said) or not any(_more(item, ()) for item in works.detectors):
        return ()
    sight, _ = yield from sight_of(works, context)
    with sight.lock:
        return tuple(passage.text for _, passage in sight.index.directives()[-MOST_DIRECTIVES:])


def _more(detector: Detector, directives: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return (directives,) if getattr(detector, "wants_directives", False) else ()


def _detected(
    works: Workings, action: Action, context: SessionContext, identity: ActionIdentity, directives: tuple[str, ...]
) -> Machine[Signals]:
    if not works.detectors:
        return Signals()
    verified = replace(
        context.claims,
        human=identity.human,
        agent=identity.agent,
        service=identity.service,
        roles=identity.roles,
        scope=identity.scope,
        token=None,
    )
    context = replace(context, claims=verified)
    parameters = decode_parameters(action.parameters)
    seen = replace(action, profile=works.policy.profile(action.name, action.profile))
    calls = tuple(
        Call(item.name, partial(item.measure, seen, parameters, context, *_more(item, directives)), item.inline)
        for item in works.detectors
    )
    answers = yield Ask(calls, works.settings.measure_s)
    known: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    labels = NOTHING
    sure: list[int] = []
    for item, answer in zip(works.detectors, answers, strict=True):
        finding: object = answer.value  # a detector is not ours: its answer is looked at before it is believed
        if not isinstance(finding, Finding) or not finding.looked:
            why = safe(answer.error) if answer.error is not None else "could not look at the data"
            unknown.update(dict.fromkeys(item.signals, why))
            if any(name.endswith("confidence_ppm") for name in item.signals):
                sure.append(0)  # who should have said how sure it is, and did not
            continue
        known.update({name: finding.values[name] for name in item.signals if name in finding.values})
        labels = labels.join(finding.labels)
        if finding.confidence_ppm is not None:
            sure.append(finding.confidence_ppm)
    return Signals(values=known, unknown=unknown, labels=labels, confidence_ppm=min(sure) if sure else None)
