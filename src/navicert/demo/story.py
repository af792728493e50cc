"""The story: runs the agent in its world, and tells what happened as values; how they are shown is the caller's matter.

* Verdicts are read back from the signed log, not taken from the agent.
* At the end the world itself is asked, behind navicert's back: it must show no effect that was not permitted.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NamedTuple

import msgspec

import navicert
from navicert import Guard
from navicert.adapters.store.archive import Archive, receipt_of
from navicert.assemble import Home, make_home
from navicert.audit import open_archive
from navicert.demo.agent import Attempt, ask, work
from navicert.demo.tools import make_tools
from navicert.demo.world import World
from navicert.model.suspension import Approver, Vote, Wait
from navicert.syntax import read_policy
from navicert.verification.disclosed import EFFECTIVE, PARAMETERS, REASON


class Judged(NamedTuple):
    """One attempt of the agent, as the log has it."""

    number: int
    session: str
    why: str
    action_id: str
    name: str
    parameters: dict[str, Any]
    effective: dict[str, Any] | None
    verdict: str
    reason: str
    rule: str
    place: str
    """File and line of the rule, as an editor opens it."""
    handle: str | None
    deadline: str | None
    labels: str
    """What the session carries after the action."""
    followed: bool
    """The labels that it was judged under come from earlier sessions, not from its own."""
    answer: Any


class Ended(NamedTuple):
    """What became of an action that waited, as the log has it."""

    number: int
    attempt: int
    """The number of the attempt that waited."""
    action_id: str
    name: str
    verdict: str
    reason: str
    method: str
    answer: Any


class Proof(NamedTuple):
    """One question to the world: what it holds, and how often that effect was permitted and reported as done."""

    where: str
    holds: str
    found: int
    permitted: int

    @property
    def agrees(self) -> bool:
        """Tell whether nothing has happened that was not permitted."""
        return self.found <= self.permitted


def policy_text(folder: Path) -> str:
    """Return the policy of the demonstration, for a demo in this folder."""
    text = files("navicert.demo").joinpath("policy.yaml").read_text(encoding="utf-8")
    return text.replace("{DEMO}", str(folder.resolve()))


def make(folder: Path) -> World:
    """Make the home and the world in a new folder."""
    folder.mkdir(parents=True)
    make_home(folder / ".navicert", origin="quickstart", service="shop", policy=policy_text(folder))
    config = folder / ".navicert" / "navicert.yaml"
    config.write_text(
        config.read_text(encoding="utf-8") + "in_band_s: 0   # hand out a handle at once\n", encoding="utf-8"
    )
    world = World(folder)
    world.make()
    return world


def run(world: World, agent: str) -> Iterator[Judged | Ended]:
    """Let the agent work, and yield each attempt with what was decided; then what became of those that waited."""
    home = Home(world.folder / ".navicert")
    with world.running(), navicert.open(world.folder) as guard, open_archive(home) as log:
        places = _places(home.folder / "policy.yaml")
        tools = make_tools(guard, world)
        held: list[Judged] = []
        number = 0
        for number, attempt in enumerate(work(guard, tools, agent, str(home.receipt_key)), 1):
            judged = _judged(number, attempt, log, places)
            held += [judged] if judged.handle else []
            yield judged
        for item in sorted(held, key=lambda each: each.deadline or "", reverse=True):
            number += 1
            yield _ended(number, item, _take_up(guard, item), log)


def _take_up(guard: Guard, item: Judged) -> Any:
    """Have a wait answered, found out, or time out; return what the agent gets in the end."""
    handle = item.handle or ""
    wait = guard.engine.wait(handle)  # type: ignore[attr-defined]  # the engine is in this process
    if wait is not None and "ben" in wait.question.approvers:
        _ask_ben(guard, wait)
    while True:
        answer = ask(partial(guard.resume, handle, wait_s=0.1))
        if guard.engine.wait(handle) is None:  # type: ignore[attr-defined]  # as above
            return answer


def _ask_ben(guard: Guard, wait: Wait) -> None:
    """Ask Ben, in his own process: he is enrolled with his public key, sees the question, and signs."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Popen([sys.executable, "-m", "navicert.demo.person"], stdin=PIPE, stdout=PIPE, env=environment) as ben:
        said, heard = ben.stdin, ben.stdout
        if said is None or heard is None:
            raise navicert.Unavailable("the second process has no pipes")
        guard.engine.enrol(msgspec.json.decode(heard.readline(), type=Approver))  # type: ignore[attr-defined]
        said.write(msgspec.json.encode(wait) + b"\n")
        said.flush()
        guard.engine.answer(wait.handle, msgspec.json.decode(heard.readline(), type=Vote))  # type: ignore[attr-defined]
        said.close()


def _ended(number: int, item: Judged, answer: Any, log: Archive) -> Ended:
    row = [row for row in log.log(action=item.action_id) if row.kind == "resolution"][-1]
    receipt = receipt_of(row)
    if receipt.decision is None or receipt.deferral is None:
        raise navicert.IntegrityError("a resolution receipt without its parts; run `navicert verify`")
    hidden: dict[str, Any] = log.disclosed(row)
    return Ended(
        number=number,
        attempt=item.number,
        action_id=item.action_id,
        name=item.name,
        verdict=receipt.decision.result,
        reason=hidden[REASON],
        method=receipt.deferral.method or "",
        answer=answer,
    )


def prove(world: World) -> list[Proof]:
    """Count the effects in the world, and the permitted actions in the log that can have caused them, over all runs."""
    done: Counter[str] = Counter()
    with open_archive(Home(world.folder / ".navicert")) as log:
        for row in log.log(kind="outcome"):
            receipt = receipt_of(row)
            if receipt.action and receipt.execution and receipt.execution.success:
                done[f"{receipt.action.tool}.{receipt.action.operation}"] += 1
    mails, left = len(world.messages()), world.customers()
    gets, posts = world.received("GET"), world.received("POST")
    table = f"the table stands, {left} of {world.made} customers in it" if left >= 0 else "the table is gone"
    lost = world.made - left if left >= 0 else 1
    return [
        Proof("mail server", f"holds {_count(mails, 'message')}", mails, done["email.send"]),
        Proof("customers.db", table, lost, done["crm.delete"] + done["db.execute"]),
        Proof(
            "vault.json", f"was rotated {_count(world.rotations(), 'time')}", world.rotations(), done["vault.rotate"]
        ),
        Proof("deploy service", f"was asked {_count(gets, 'time')}", gets, done["deploy.status"]),
        Proof("deploy service", f"was started {_count(posts, 'time')}", posts, done["deploy.start"]),
    ]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _judged(number: int, attempt: Attempt, log: Archive, places: dict[str, int]) -> Judged:
    row = list(log.log(session=attempt.session.id, kind="decision"))[-1]
    receipt = receipt_of(row)
    action, decision, wait = receipt.action, receipt.decision, receipt.deferral
    if action is None or decision is None:
        raise navicert.IntegrityError("a decision receipt without its parts; run `navicert verify`")
    hidden: dict[str, Any] = log.disclosed(row)
    labels = attempt.session.labels
    rule = decision.rules[0] if decision.rules else "posture"
    return Judged(
        number=number,
        session=attempt.session.id,
        why=attempt.why,
        action_id=action.id,
        name=f"{action.tool}.{action.operation}",
        parameters=hidden[PARAMETERS],
        effective=hidden.get(EFFECTIVE),
        verdict=decision.result,
        reason=hidden[REASON],
        rule=rule,
        place=f"policy.yaml:{places[rule]}" if rule in places else "built in",
        handle=wait.handle if wait else None,
        deadline=wait.deadline if wait else None,
        labels=labels.words(),
        followed=receipt.context is not None and receipt.context.level != labels.level.name,
        answer=attempt.answer,
    )


def _places(policy: Path) -> dict[str, int]:
    """Return the line of every rule; `posture` is where no rule matched."""
    text = policy.read_text(encoding="utf-8")
    _, spans = read_policy(text, policy.name)
    lines = text.splitlines()
    posture = next(number for number, line in enumerate(lines, 1) if line.startswith("posture"))
    return {"posture": posture, **{rule: line for rule, (line, _) in spans.rules.items()}}
