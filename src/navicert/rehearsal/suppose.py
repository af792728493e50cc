"""Supposing: an action that nobody asked for, as the engine would meet it in a new session; and where tests fail (B.8).

* Nothing runs, nothing is written, nobody is asked. Detectors really measure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.sign.file_key import new_key
from navicert.adapters.store.memory import MemoryJournal
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import make_pseudonym
from navicert.core.accumulate import fold
from navicert.core.canonical import parameter_bytes
from navicert.core.compile import CompiledPolicy
from navicert.core.digest import action_digest
from navicert.core.draft import Scribe
from navicert.core.labels import labels_in_force
from navicert.core.seal import b64
from navicert.core.shared import concerns, shared_facts
from navicert.core.signature import ED25519
from navicert.engine.drive import drive
from navicert.engine.measuring import identify, measure
from navicert.engine.workings import Ports, Settings, Workings
from navicert.explain import Explanation, explain
from navicert.model.action import Action, ToolProfile
from navicert.model.context import Attempt, ContextEntry, Observed, Opened, Result, SessionContext
from navicert.model.decision import Verdict
from navicert.model.errors import NavicertError
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING, Labels
from navicert.model.signals import Signals
from navicert.model.value import Json, Value
from navicert.ports import Detector
from navicert.records import record_of
from navicert.rehearsal.cases import Suite
from navicert.rehearsal.run import Failure, Run, Unexpected
from navicert.verification.disclosed import read_disclosure


class Supposed(Value, frozen=True, kw_only=True):
    """An action, and the session it is supposed to come from.

    profile: as the code would declare the tool. labels: what the session has read. facts: what the application has
    reported. done: full names of what the session was permitted before, a moment ago.
    """

    call: str
    parameters: dict[str, Json]
    claims: Claims
    request: str = ""
    profile: ToolProfile | None = None
    labels: Labels = NOTHING
    facts: dict[str, Json] = {}
    done: tuple[str, ...] = ()


def supposed(
    what: Supposed, policy: CompiledPolicy, detectors: tuple[Detector, ...]
) -> tuple[EvaluationInput, Callable[[Action], Signals]]:
    """Return what such an action would be judged on, and what measures a modified one.

    Identity is taken on the claims' word. Raises `InvalidAction`, `IdentityError`.
    """
    ids, pseudonym = SystemIds(), make_pseudonym(b"supposed")
    works = Workings(
        Ports(
            journal=MemoryJournal(new_key(ED25519)),
            clock=SystemClock(),
            ids=ids,
            verifier=DevelopmentIdentity("supposed"),
            detectors=detectors,
        ),
        policy,
        Settings(issuer="supposed", scribe=Scribe(pseudonym=pseudonym, salt=ids.salt, separation="none")),
    )
    tool, _, operation = what.call.rpartition(".")
    parameters, now = parameter_bytes(what.parameters), works.clock.now()
    context = _session(what, now)
    identity, error = drive(identify(works, context))
    if error is not None:
        raise error
    action = Action(
        action_id="act_supposed",
        tool=tool,
        operation=operation,
        parameters=parameters,
        digest=action_digest(tool, operation, parameters),
        submitted_at=now,
        profile=what.profile,
    )
    candidates = policy.candidates(tool, operation)
    concerned = concerns(action, policy.profile(action.name, what.profile), identity, candidates, pseudonym)

    def measured(of: Action) -> Signals:
        return drive(measure(works, of, context, identity))

    return EvaluationInput(
        action=action,
        identity=identity,
        context=context,
        labels=labels_in_force((context,), NOTHING, works.settings.issuer),
        shared=shared_facts(concerned, defaultdict(lambda: None), candidates, now),
        signals=measured(action),
        now=now,
    ), measured


def _session(what: Supposed, now: int) -> SessionContext:
    entries: list[ContextEntry] = [
        Opened(
            session_id="ses_supposed", request=what.request, claims=what.claims, salt="", inherited=what.labels, at=now
        )
    ]
    for number, name in enumerate(what.done):
        past, allowed = f"act_{number}", Verdict.ALLOW
        entries += [
            Attempt(action_id=past, name=name, digest="", verdict=allowed, owner="supposed", at=now, risk=0),
            Result(action_id=past, succeeded=True, labels=NOTHING, at=now),
        ]
    entries += [Observed(name=name, value=value, source="supposed", at=now) for name, value in what.facts.items()]
    return fold(entries)


def explained(failure: Failure) -> tuple[Explanation, Suite] | None:
    """Play a failed case again, up to where it failed, and explain what was decided there last.

    None where nothing was (the step is no call), or where the case does not fail any more.
    """
    suite = Suite(Path(failure.file))
    case = next((item for item in suite.cases if item.name == failure.case), None)
    run = Run(suite, case, suite.compiled, set()) if case is not None else None
    if case is None or run is None or not failure.tool:
        return None
    for step, _ in case.steps:
        try:
            run.step(step)
        except (Unexpected, NavicertError):
            break
    else:
        return None
    journal = run._journal  # noqa: SLF001 - it is not for those who only play
    draft = next((item for item in reversed(journal.drafts) if item.receipt.kind in {"decision", "resolution"}), None)
    if draft is None or draft.receipt.context is None or draft.receipt.requester_context is None:
        return None
    part, session = draft.receipt.context, draft.receipt.requester_context.session or ""
    values = {pointer: value for _, pointer, value in (read_disclosure(b64(line)) for line in draft.disclosures)}
    context = fold(journal.entries[session][: part.length - 1])
    return explain(record_of(0, draft.receipt, context, values).given, suite.compiled), suite
