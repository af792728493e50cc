"""The real engine over a journal in memory: sessions with the user's words, every call through `Engine.mediate`.

* Wired as `assemble` does it, with its detectors and classifier; nothing is durable; a call takes a second.
* Tools are registered as any tool is that nobody declared: with the profile that `navicert.intent.effects` infers.
* A question is answered by the user, with a signature, as the console would send it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from by_judge import profile_of
from episodes import Tool
from harness import ALLOW, ASK, DENY, SERVER, YES, Shown, Step

from navicert.adapters.detect.patterns import PatternClassifier
from navicert.adapters.detect.protected import ProtectedResources
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.adapters.store.memory import MemoryJournal
from navicert.assemble import load_policy, make_detectors, make_pseudonym
from navicert.core.canonical import parameter_bytes
from navicert.core.draft import Scribe
from navicert.core.seal import b64
from navicert.core.signature import ED25519
from navicert.engine.engine import Engine
from navicert.engine.workings import Ports, Settings
from navicert.model.action import ToolProfile
from navicert.model.decision import Denied, Permit, Suspended, Verdict
from navicert.model.identity import Claims
from navicert.model.suspension import Answer, Approver
from navicert.people import sign_answer
from navicert.sdk.render import remade, render
from navicert.testing import CountingIds, FrozenClock

STARTER: Final = Path(__file__).resolve().parents[2] / "src" / "navicert" / "starter" / "assistant.yaml"
_HUMAN: Final = "ana"
_SESSIONS: Final = 50
"""So many sessions share an engine; then a new one is made, so that memory does not grow."""


class RealEngine:
    """Opens sessions of a real engine. policy: path of a policy file."""

    def __init__(self, policy: str = "") -> None:
        path = Path(policy) if policy else STARTER
        self.name = f"engine ({path.stem})"
        self._policy, self._bytes = load_policy(path)
        self._profiles: dict[int, tuple[Mapping[str, Tool], dict[str, ToolProfile]]] = {}
        self._detectors = (ProtectedResources((Path("/desk/.navicert"),)), *make_detectors())
        self._opened = 0
        self._engine: Engine | None = None
        self._clock = FrozenClock()

    def open(self, prompt: str, tools: Mapping[str, Tool]) -> _Session:
        """Begin a session."""
        known = self._profiles.get(id(tools))
        if known is None:
            known = self._profiles[id(tools)] = (tools, {name: profile_of(tool) for name, tool in tools.items()})
        if self._engine is None or self._opened % _SESSIONS == 0:
            self._engine = self._made()
        self._opened += 1
        return _Session(self._engine, self._journal, self._clock, prompt, known[1])

    def _made(self) -> Engine:
        ids = CountingIds()
        self._journal = MemoryJournal(_key("log"))
        engine = Engine(
            Ports(
                journal=self._journal,
                clock=self._clock,
                ids=ids,
                verifier=DevelopmentIdentity("bench"),
                detectors=self._detectors,
                classifiers=(PatternClassifier(),),
                resolvers={},
            ),
            policy=self._policy,
            policy_bytes=self._bytes,
            settings=Settings(
                issuer=ids.new("eng"),
                scribe=Scribe(pseudonym=make_pseudonym(b"bench"), salt=ids.salt, separation="none"),
            ),
        )
        key = _key(_HUMAN)
        engine.enrol(
            Approver(
                name=_HUMAN,
                key_id=key.key_id,
                algorithm=ED25519,
                public=b64(key.public),
                since=self._clock.now(),
            )
        )
        return engine


def _evaluated(disclosed: list[Any]) -> dict[str, Any]:
    value = disclosed[-1]
    return msgspec.json.decode(value) if isinstance(value, str) else value


@cache
def _key(name: str) -> FileKey:
    """Return a key, made at first use and kept nowhere."""
    del name
    return new_key(ED25519)


class _Session:
    """One session."""

    def __init__(
        self,
        engine: Engine,
        journal: MemoryJournal,
        clock: FrozenClock,
        prompt: str,
        profiles: Mapping[str, ToolProfile],
    ) -> None:
        self._engine, self._journal, self._clock, self._profiles = engine, journal, clock, profiles
        claims = Claims(human=_HUMAN, agent="assistant", scope=("*",))
        self._session = engine.open_session(prompt, claims)

    def say(self, text: str) -> None:
        """Take in later words of the user."""
        self._engine.say(self._session, text)

    def call(self, shown: Shown, execute: Callable[[], str], answer: str) -> Step:
        """Have the engine mediate one call; a question is answered, and the answer taken up."""
        self._clock.tick(1)
        engine = self._engine
        action = engine.action(
            SERVER, shown.tool, parameter_bytes(dict(shown.args)), profile=self._profiles[shown.tool]
        )

        def run(_: bytes) -> Any:
            return execute()

        mark = len(self._journal.drafts)
        came = engine.mediate(action, self._session, run, render, remade)
        finding, why = self._said(mark)

        def step(verdict: str, *, ran: bool) -> Step:
            return Step(ran=ran, verdict=verdict, finding=finding, why=why)

        if isinstance(came, Denied | Suspended) and (came.reason_code != "rule" or not why):
            why = f"{came.reason_code}: {came.reason}"  # not for what the judge found, or the same question again
        if isinstance(came, Denied):
            return step(DENY, ran=False)
        if isinstance(came, Suspended):
            taken = self._answered(came, answer)
            if not isinstance(taken, Permit):
                return step(ASK, ran=False)
            engine.execute(taken, run, render, remade)
            return step(ASK, ran=True)
        return step(ALLOW, ran=True)

    def _said(self, mark: int) -> tuple[str, str]:
        """Return the finding and the sentence that stand in the decision's receipt, as `explain` shows them."""
        for draft in self._journal.drafts[mark:]:
            for line in draft.disclosures:
                if b"intent_finding" in line:
                    values = _evaluated(msgspec.json.decode(line))["signals"]["values"]
                    return values.get("intent_finding", ""), values.get("intent_why", "")
        return "", ""

    def _answered(self, waiting: Suspended, answer: str) -> object:
        """Give the user's answer, and return what the engine makes of it. What waits for facts (DEFER) asks nobody."""
        wait = self._engine.wait(waiting.handle)
        if not answer or wait is None or waiting.verdict is not Verdict.STEP_UP:
            return None
        word = Answer.APPROVE if answer == YES else Answer.DENY
        vote = sign_answer(wait.question, word, _HUMAN, _key(_HUMAN), self._clock.now(), "said by the user")
        self._engine.answer(waiting.handle, vote)
        return self._engine.resume(waiting.handle)
