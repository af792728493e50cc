"""Parity: one corpus of actions with their contexts, through every surface; the verdict must be the same.

* A session of the corpus is a request, an identity, facts, and calls in order, so that what came before is context.
* Compared are, out of the records: verdict, reason code, rules, and the parameters as they would run; and what the
  agent got. Ids, times and the words of a surface's answer differ by nature.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from navicert.conformance.forking import forking
from navicert.conformance.policies import policy
from navicert.conformance.runner import ADAPTERS, Run
from navicert.conformance.trial import Trial
from navicert.conformance.world import Observers
from navicert.model.value import Value

SURFACES: Final[Mapping[str, Sequence[str]]] = {
    **ADAPTERS,
    "sdk-owner": (sys.executable, "-m", "navicert.conformance.adapters.sdk", "owner"),
}
POLICY: Final = policy(
    """
  - id: nothing-there
    classification: forbidden
    match: {resource: {under: [vault]}}
    decision: DENY
    reason: the vault is out of reach
  - id: notes
    match: {tool: kit.files, operation: write, resource: {under: [notes, drafts]}}
    decision: ALLOW
  - id: removals
    match: {tool: kit.files, operation: remove}
    decision: STEP_UP
    approvers: [ben]
    timeout: 1h
  - id: colleagues
    match: {tool: kit.mail, operation: send, destination: {external: false}}
    decision: ALLOW
  - id: partners
    match: {tool: kit.mail, operation: send, destination: {at: [partner.example]}, context: {level: {lt: CONFIDENTIAL}}}
    decision: ALLOW
  - id: confidential-stays
    classification: context_dependent_deny
    match: {effect: send, destination: {external: true}, context: {level: {ge: CONFIDENTIAL}}}
    decision: DENY
    priority: 20
  - id: few-rows
    match: {tool: kit.db, operation: query, amount: {gt: 10}}
    decision: MODIFY
    modifications: [{parameter: limit, cap: 10}]
    priority: 5
  - id: no-drops
    match: {tool: kit.db, operation: execute, parameters: {sql: {matches: '(?i)\\bdrop\\b'}}}
    decision: DENY
    priority: 10
  - id: statements
    match: {tool: kit.db, operation: execute, identity: {roles: {contains: clerk}}}
    decision: ALLOW
  - id: small-payments
    match: {tool: kit.bank, operation: pay}
    constraints:
      parameters: {account: {matches: '^DE[0-9]{2}$'}, memo: {type: text}}
      amount: {gt: 0, le: 100}
    decision: ALLOW
  - id: big-payments
    match: {tool: kit.bank, operation: pay, amount: {gt: 100}}
    decision: STEP_UP
    approvers: [ben, eva]
    timeout: 1h
    priority: 5
  - id: posts-in-the-window
    match: {tool: kit.net, operation: post, context: {facts: {window_open: true}}}
    decision: ALLOW
  - id: not-after-mail
    match: {tool: kit.net, operation: post, after: {tool: kit.mail, operation: send}}
    decision: DENY
    priority: 7
""",
    top="organisation: [company.example, '*.company.example']",
    returns={"db.query": "{level: CONFIDENTIAL, categories: [PII]}"},
)
_PATHS: Final = (
    "notes/a.txt", "drafts/b.txt", "notes/../vault/c.txt", "vault/d.txt", "vault//e", "./notes/f", "other/g",
    "VAULT/h", "notes/\u2024\u2024/i", "vau\u200blt/j", "~/k", "notes/$HOME",
    "\uff56\uff41\uff55\uff4c\uff54/l", "/vault/m",
)  # fmt: skip
_PEOPLE: Final = (
    "ann@company.example", "bo@eu.company.example", "cy@partner.example", "dee@company.example.evil.example",
    "eve@evil.example", "ann@company.example, eve@evil.example", "Ann <ann@company.example>",
    "Eve <eve@evil.example>", "ANN@COMPANY.EXAMPLE", "ann@company.example\u200b", "", "partner.example",
)  # fmt: skip
_STATEMENTS: Final = (
    "UPDATE items SET name = 'a' WHERE id = 1", "DROP TABLE items", "drop\ttable items", "SELECT 1 -- drop",
    "DROPLET", "\uff24\uff32\uff2f\uff30 TABLE items", "UPDATE items SET value = 'drop it' WHERE id = 2",
)  # fmt: skip
_PAYMENTS: Final = tuple(
    {"account": account, "amount": amount, "memo": "rent"}
    for account, amount in product(("DE12", "DE1", "FR12", "de12"), (-1, 0, 1, 100, 101, 9_007_199_254_740_993))
)


class Call(Value, frozen=True, kw_only=True):
    """One call of the corpus."""

    tool: str
    parameters: dict[str, Any]


class Session(Value, frozen=True, kw_only=True):
    """One session of the corpus: who, what is known, and what is done in order."""

    name: str
    roles: tuple[str, ...] = ()
    scope: tuple[str, ...] = ("kit.*",)
    facts: tuple[tuple[str, Any, str], ...] = ()
    calls: tuple[Call, ...]


class Judgement(Value, frozen=True, kw_only=True):
    """What one surface made of one call."""

    outcome: str
    verdict: str
    reason_code: str
    rules: tuple[str, ...]
    effective: dict[str, Any]


class Difference(Value, frozen=True, kw_only=True):
    """A call that two surfaces judge differently."""

    session: str
    call: int
    tool: str
    parameters: dict[str, Any]
    judged: dict[str, Judgement]


class Parity(Value, frozen=True, kw_only=True):
    """What a run came to."""

    actions: int
    surfaces: tuple[str, ...]
    differences: tuple[Difference, ...]
    verdicts: dict[str, int]


def corpus() -> tuple[Session, ...]:
    """Return the corpus: the same one each time, at least 300 calls."""
    writes = [_call("files.write", path=path, text="t") for path in _PATHS]
    removes = [_call("files.remove", path=path) for path in _PATHS]
    mails = [_call("mail.send", to=to, subject="s", body="b") for to in _PEOPLE]
    reads = [_call("files.read", path=path) for path in _PATHS]
    queries = [_call("db.query", sql="SELECT id FROM items", limit=limit) for limit in (0, 1, 10, 11, 1000, -5)]
    statements = [_call("db.execute", sql=sql) for sql in _STATEMENTS]
    payments = [_call("bank.pay", **each) for each in _PAYMENTS]
    posts = [_call("net.post", to=to, body="b") for to in ("company.example", "evil.example/x", "127.0.0.1")]
    window = ("window_open", True, "calendar")
    return (
        Session(name="fresh", calls=(*writes, *removes, *mails)),
        Session(name="after reading personal data", calls=(*queries, *mails, *writes, *posts)),
        Session(name="a clerk", roles=("clerk",), calls=(*statements, *payments, *queries, *statements)),
        Session(name="nobody in particular", calls=(*statements, *payments, *reads)),
        Session(name="the window is open", facts=(window,), calls=(*posts, *mails, *posts)),
        Session(
            name="sources disagree", facts=(window, ("window_open", False, "host")), calls=(*posts, *writes, *posts)
        ),
        Session(name="a narrow scope", scope=("kit.files.*",), calls=(*writes, *mails, *queries, *reads)),
        Session(
            name="a narrow scope, and a clerk",
            roles=("clerk",),
            scope=("kit.db.*", "kit.bank.pay"),
            calls=(*statements, *mails, *payments),
        ),
        Session(name="attempts count", calls=(*(removes[:1] * 3), *(payments[:6] * 2), *posts)),
    )


def run_parity(
    surfaces: Mapping[str, Sequence[str]] = SURFACES, progress: Callable[[str, str], None] = lambda *_: None
) -> Parity:
    """Put the corpus through every surface and compare; `progress` gets surface and session as each is through."""
    sessions = corpus()
    observers = Observers()
    with (
        TemporaryDirectory(prefix="navicert-kit-") as room,
        observers.running(),
        forking(),
        ThreadPoolExecutor(2) as pool,
    ):
        run = Run(Path(room), observers, lambda *_: None)
        judged = dict(
            zip(
                surfaces,
                pool.map(lambda item: _through(run, item[0], item[1], sessions, progress), surfaces.items()),
                strict=True,
            )
        )
    calls = [(session, place, call) for session in sessions for place, call in enumerate(session.calls)]
    found, counts = [], dict[str, int]()
    for number, (session, place, call) in enumerate(calls):
        each = {name: answers[number] for name, answers in judged.items()}
        first = next(iter(each.values()))
        counts[first.verdict] = counts.get(first.verdict, 0) + 1
        if any(item != first for item in each.values()):
            found.append(
                Difference(session=session.name, call=place, tool=call.tool, parameters=call.parameters, judged=each)
            )
    return Parity(actions=len(calls), surfaces=tuple(judged), differences=tuple(found), verdicts=counts)


def _call(name: str, **parameters: Any) -> Call:
    return Call(tool=name, parameters=parameters)


def _through(
    run: Run, surface: str, command: Sequence[str], sessions: Sequence[Session], progress: Callable[[str, str], None]
) -> list[Judgement]:
    with run.deployment(surface, command, POLICY, None) as deployment:
        found: list[Judgement] = []
        for session in sessions:
            found += _judged(deployment.trial(), session)
            progress(surface, session.name)
    return found


def _judged(trial: Trial, session: Session) -> Iterator[Judgement]:
    name = trial.session(roles=session.roles, scope=session.scope)
    for fact, value, source in session.facts:
        trial.observes(name, fact, value, source)
    for call in session.calls:
        got = trial.call(name, call.tool, **call.parameters)
        record = trial.record(got)
        yield Judgement(
            outcome=got.outcome,
            verdict=record.verdict,
            reason_code=record.reason_code,
            rules=record.rules,
            effective=record.effective,
        )
