"""Plays an episode through a decider: what of it runs, what is asked about, and what is said of each call (R3).

* A decider is given the request, the tools with their schemas, each call as it comes, and what the calls gave back that
  ran. It never sees a label, a result of a suite's own check, or the output of a call that did not run.
* `engine` is the real one, over a journal in memory: `Engine.mediate` with a starter pack. `direct` asks the judge of
  `navicert.intent` alone, for quick rounds of work. The rest are trivial, and show that the scores mean what they say.
* Three approvers stand behind a question: nobody, one who is always right, one who always says yes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec
from episodes import Call, Episode, Tool

APPROVERS: Final = ("nobody", "right", "always")
ALLOW: Final = "ALLOW"
DENY: Final = "DENY"
ASK: Final = "ASK"
YES: Final = "yes"
NO: Final = "no"
SERVER: Final = "tools"
"""The name under which every suite's tools are registered: that of a suite would say something."""


class Shown(msgspec.Struct, frozen=True):
    """One call, as an engine meets it."""

    tool: str
    args: Mapping[str, Any]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call. verdict: ALLOW, ASK (STEP_UP and DEFER), DENY. why: what the agent is told."""

    ran: bool
    verdict: str
    finding: str = ""
    why: str = ""

    @property
    def asked(self) -> bool:
        """Whether somebody would have been asked."""
        return self.verdict == ASK


class Session(Protocol):
    """One session of a decider."""

    def say(self, text: str) -> None:
        """Take in later words of the user."""

    def call(self, shown: Shown, execute: Callable[[], str], answer: str) -> Step:
        """Decide one call, and execute it where it may run. answer: to a question: `yes`, `no`, or empty for none."""


class Decider(Protocol):
    """Something that decides."""

    name: str

    def open(self, prompt: str, tools: Mapping[str, Tool]) -> Session:
        """Begin a session."""


def play(
    decider: Decider,
    episode: Episode,
    approver: str = "nobody",
    execute: Callable[[Call], str] | None = None,
) -> tuple[Step, ...]:
    """Play an episode; one step per call. execute: gives what a permitted call gives back (else what was recorded)."""
    session = decider.open(episode.prompt, episode.tools)
    steps = []
    for number, call in enumerate(episode.calls):
        if number in episode.said:
            session.say(episode.said[number])
        answer = "" if approver == "nobody" else YES if approver == "always" or call.benign else NO
        run = _given(call) if execute is None else _executed(call, execute)
        steps.append(session.call(Shown(call.tool, call.args), run, answer))
    return tuple(steps)


def play_all(
    decider: Decider, episode: Episode, execute: Callable[[str], Callable[[Call], str]] | None = None
) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Play an episode under every approver. Where nothing was asked, it is the same under each.

    execute: what executes under an approver, by its name.
    """
    first = play(decider, episode, APPROVERS[0], execute(APPROVERS[0]) if execute else None)
    yield APPROVERS[0], first
    quiet = not any(step.asked for step in first)
    for approver in APPROVERS[1:]:
        yield approver, first if quiet else play(decider, episode, approver, execute(approver) if execute else None)


def _given(call: Call) -> Callable[[], str]:
    return lambda: call.output


def _executed(call: Call, execute: Callable[[Call], str]) -> Callable[[], str]:
    return lambda: execute(call)


# ------------------------------------------------------------------------------------------------ trivial deciders


class Fixed:
    """Decides by the tool's name alone."""

    def __init__(self, name: str, verdict: Callable[[Shown], str]) -> None:
        self.name = name
        self._verdict = verdict

    def open(self, prompt: str, tools: Mapping[str, Tool]) -> Fixed:
        """Begin a session."""
        del prompt, tools
        return self

    def say(self, text: str) -> None:
        """Take in later words of the user."""

    def call(self, shown: Shown, execute: Callable[[], str], answer: str) -> Step:
        """Decide one call."""
        verdict = self._verdict(shown)
        return finished(verdict, execute, answer)


def finished(verdict: str, execute: Callable[[], str], answer: str, finding: str = "", why: str = "") -> Step:
    """Execute where the verdict, or the answer to it, lets it run; return what became of the call."""
    ran = verdict == ALLOW or (verdict == ASK and answer == YES)
    if ran:
        execute()
    return Step(ran=ran, verdict=verdict, finding=finding, why=why)


_READS: Final = ("get_", "read_", "list_", "search_", "check_", "find_", "browse_", "view_", "show_", "query_")
TRIVIAL: Final[dict[str, Callable[[Shown], str]]] = {
    "allow-all": lambda _: ALLOW,
    "deny-all": lambda _: DENY,
    "ask-all": lambda _: ASK,
    "read-only": lambda shown: ALLOW if shown.tool.startswith(_READS) else DENY,
}


def decider(name: str, policy: str = "") -> Decider:
    """Return a decider by its name. policy: path of a policy file, for `engine`; left out, the starter `assistant`."""
    if name in TRIVIAL:
        return Fixed(name, TRIVIAL[name])
    if name == "direct":
        from by_judge import Direct

        return Direct()
    if name == "engine":
        from by_engine import RealEngine

        return RealEngine(policy)
    raise ValueError(f"there is no decider `{name}`; take one of {', '.join((*TRIVIAL, 'direct', 'engine'))}")
