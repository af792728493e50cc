"""Navicert as the benchmarks use it: policies, inputs of `evaluate`, deployments with one governed tool.

A deployment is the one that `navicert.open` gives: its detectors, its store with full durability, its Ed25519 key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import rulesets
import yaml

import navicert
from navicert.assemble import make_home
from navicert.core.accumulate import accumulate, begin
from navicert.core.builtin import with_builtin
from navicert.core.canonical import parameter_bytes
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.digest import action_digest
from navicert.model.action import Action
from navicert.model.context import Attempt, Observed, Opened, Result
from navicert.model.decision import Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.labels import Labels, Level
from navicert.model.signals import Signals
from navicert.sdk.guard import make_profile
from navicert.syntax import policy_hash, read_policy

PII = Labels(level=Level.CONFIDENTIAL, categories=("PII",))
INTERNAL = Labels(level=Level.INTERNAL)
PROFILE = make_profile(rulesets.NAME, "send", destination="to", content="body", returns="INTERNAL")
_START = 1_750_000_000_000_000
_SECOND = 1_000_000


def written(policy: dict[str, Any]) -> str:
    """Return a policy as its YAML file."""
    return yaml.dump(policy, Dumper=_Plain, sort_keys=False)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True  # a policy has no anchors


def compiled(policy: dict[str, Any]) -> CompiledPolicy:
    """Return a policy as the engine has it in force, with the built-in rule."""
    whole = with_builtin(read_policy(written(policy), "bench.yaml")[0])
    return compile_policy(whole, policy_hash(whole))


def input_of(
    arguments: dict[str, Any], *, pii: bool = False, roles: tuple[str, ...] = ("analyst",), intent: str | None = None
) -> EvaluationInput:
    """Return everything that one decision rests on, in a session that has already done ten things."""
    claims = Claims(human="ana", agent="assistant", service="bench", roles=roles, intent=intent)
    session = "ses_bench"
    context = begin(Opened(session_id=session, request=rulesets.REQUEST, claims=claims, salt="0" * 32, at=_START))
    name, value = rulesets.FACT
    context = accumulate(context, Observed(name=name, value=value, source="calendar", at=_START))
    for index in range(10):
        at = _START + index * _SECOND
        common = {"action_id": f"act_{index}", "at": at}
        attempt = Attempt(
            name="crm.query", digest="0" * 64, verdict=Verdict.ALLOW, owner="eng", risk=1, entities=("acme",), **common
        )
        context = accumulate(accumulate(context, attempt), Result(succeeded=True, labels=INTERNAL, **common))
    parameters = parameter_bytes(arguments)
    return EvaluationInput(
        action=Action(
            action_id="act_bench",
            tool=rulesets.TOOL,
            operation=rulesets.OPERATION,
            parameters=parameters,
            digest=action_digest(rulesets.TOOL, rulesets.OPERATION, parameters),
            submitted_at=_START + 11 * _SECOND,
            profile=PROFILE,
        ),
        identity=ActionIdentity(
            human="ana",
            service="bench",
            agent="assistant",
            session=session,
            roles=roles,
            scope=("*",),
            development=True,
        ),
        context=context,
        labels=context.labels.join(PII) if pii else context.labels,
        signals=Signals(values={"protected": False, "sensitive_categories": [], "sensitive_level": "PUBLIC"}),
        now=_START + 11 * _SECOND,
    )


class Deployment:
    """An open guard with one governed tool, plain and `async`; it counts how often the tool itself ran."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.guard = navicert.open(home)
        self.ran = 0
        declare = self.guard.tool(rulesets.NAME, effect="send", destination="to", content="body", returns="INTERNAL")

        def send(to: str, subject: str, body: str, kind: str, region: str, limit: int) -> str:  # noqa: ARG001
            self.ran += 1
            return "sent"

        async def send_async(
            to: str,  # noqa: ARG001
            subject: str,  # noqa: ARG001
            body: str,  # noqa: ARG001
            kind: str,  # noqa: ARG001
            region: str,  # noqa: ARG001
            limit: int,  # noqa: ARG001
        ) -> str:
            self.ran += 1
            return "sent"

        self.send: Callable[..., str] = declare(send)
        self.send_async: Callable[..., Awaitable[str]] = declare(send_async)

    def session(self, human: str = "ana", **changes: Any) -> navicert.Session:
        """Open a session, with the fact that the rules ask for."""
        claims: dict[str, Any] = {
            "request": rulesets.REQUEST,
            "human": human,
            "agent": "assistant",
            "roles": ["analyst"],
        }
        session = self.guard.session(**claims | changes)
        name, value = rulesets.FACT
        session.observe(name, value, source="calendar")
        return session

    def settle(self) -> None:
        """Return once every receipt so far is durable."""
        self.guard.deployment.journal.flush()  # outcomes that nobody waits for belong to the time, too


@contextmanager
def deployment(folder: Path, policy: dict[str, Any]) -> Iterator[Deployment]:
    """Make a deployment in `folder`, open it, close it."""
    home = folder / ".navicert"
    make_home(home, origin="bench", service="bench", policy=written(policy))
    made = Deployment(home)
    try:
        yield made
    finally:
        made.guard.close()


def receipts(home: Path) -> dict[str, int]:
    """Return how many receipts of each kind stand in a store."""
    with sqlite3.connect(f"file:{home / 'store.db'}?mode=ro", uri=True) as store:
        return dict(store.execute("SELECT kind, count(*) FROM log GROUP BY kind"))


def counted(given: EvaluationInput, policy: CompiledPolicy) -> EvaluationInput:
    """Return the input with every count that the policy asks for: nothing so far."""
    asked = policy.candidates(given.action.tool, given.action.operation).tallies
    tallies = {f"{tally.kind}|{tally.per}|{tally.window_s}": 0 for tally in asked}
    return msgspec.structs.replace(given, shared=msgspec.structs.replace(given.shared, tallies=tallies))


def must_be(found: object, expected: object, what: str) -> None:
    """Stop where something other than what is timed would have run."""
    if found != expected:
        message = f"{what}: {found!r}, not {expected!r}; the figures would not mean what they say"
        raise SystemExit(message)
