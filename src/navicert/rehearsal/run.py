"""Running cases: each in an engine of its own, the real one, over a journal in memory (DESIGN.md property 1).

* No tool runs, nothing is written, nobody is asked: tools give back what the case states, sources answer what it
  states, people's answers are signed with keys made for it. Detectors and classifiers are the deployment's.
* Time passes as under a resident owner: what waits is looked at whenever something of it is due.
* A case ends with the first thing that is not as expected: what follows rests on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec

from navicert.adapters.detect.patterns import PatternClassifier
from navicert.adapters.detect.protected import ProtectedResources
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.adapters.store.memory import MemoryJournal
from navicert.adapters.system import SystemIds
from navicert.assemble import fact_files, make_detectors, make_pseudonym
from navicert.config import FILE, HOME
from navicert.core.answers import REQUESTER
from navicert.core.canonical import decode_parameters, parameter_bytes, percent
from navicert.core.compile import CompiledPolicy, CompiledRule
from navicert.core.draft import Scribe
from navicert.core.fields import Subject
from navicert.core.kleene import TRUE, UNDETERMINED
from navicert.core.predicates import Predicate
from navicert.core.seal import b64, parse
from navicert.core.signature import ED25519
from navicert.engine.completing import Output
from navicert.engine.engine import Engine
from navicert.engine.mediating import Answer
from navicert.engine.workings import Ports, Settings
from navicert.model.decision import Permit, Suspended, Verdict
from navicert.model.errors import IdentityError, NavicertError, ResultWithheld, Unavailable
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.model.labels import Labels
from navicert.model.policy import Source, SourceKind
from navicert.model.receipt import DecisionPart, ShadowPart
from navicert.model.signals import Finding
from navicert.model.suspension import Answer as Word
from navicert.model.suspension import Approver
from navicert.model.value import Json, Value
from navicert.people import sign_answer
from navicert.ports import Span
from navicert.rehearsal.cases import NONE, POSTURE, Anew, Call, Case, Observe, Pause, Says, Step, Suite

_CLASSIFIER = PatternClassifier()
_DETECTORS = make_detectors()
_ROUNDS = 16


class Failure(Value, frozen=True, kw_only=True):
    """What is not as expected. tool: empty where the step is no call.

    reason: the sentence that the agent would have been told, empty where it was permitted.
    """

    file: str
    line: int
    column: int
    case: str
    tool: str
    parameters: dict[str, Json]
    expected: str
    came: str
    reason: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.place}: {self.tool or 'step'}: expected {self.expected}, came {self.came}"


class Played(Value, frozen=True, kw_only=True):
    """What became of one case.

    reached: how many actions each rule determined; of a rule in shadow, how many it would have; of one that decides
    nothing itself (it labels, lowers, adds risk), for how many it held.
    """

    case: str
    actions: int
    failure: Failure | None
    reached: dict[str, int]


class _World:
    """What a case states of the world: the time, who is who, what tools, classifiers and sources answer."""

    inline = True
    name = "stated"

    def __init__(self, case: Case, sources: dict[Source, list[str]]) -> None:
        self.at = case.at
        self.found: Labels | None = None
        self.facts: dict[str, Json] = {}
        self._development = case.development
        self._sources = sources

    def now(self) -> int:
        return self.at

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        stated = DevelopmentIdentity("tests").verify(claims, session, delegation, now)
        return msgspec.structs.replace(stated, development=self._development)

    def classify(self, text: str) -> Finding:
        return _CLASSIFIER.classify(text) if self.found is None else Finding(labels=self.found)

    def locate(self, text: str, *, glued: bool) -> Sequence[Span]:
        return _CLASSIFIER.locate(text, glued=glued) if self.found is None else ()

    def fetch(self, source: Source) -> Json:
        for name in self._sources.get(source, ()):
            if name in self.facts:
                return self.facts[name]
        raise Unavailable("the case states nothing for it")


@cache
def _key(name: str) -> FileKey:
    """Return the key of a person in tests: made at first use, kept nowhere."""
    del name
    return new_key(ED25519)


class Unexpected(Exception):
    """Something is not as expected."""

    def __init__(self, expected: str, came: str, reason: str = "") -> None:
        super().__init__(expected)
        self.expected, self.came, self.reason = expected, came, reason


def watch(policy: CompiledPolicy) -> set[str]:
    """Have the rules that decide nothing themselves note in the returned set that they held; return it."""
    held: set[str] = set()

    def noting(item: CompiledRule, matches: Predicate) -> Predicate:
        def noted(subject: Subject) -> int:
            outcome = matches(subject)
            if outcome == TRUE or (outcome == UNDETERMINED and item.rule.set_context is not None):
                held.add(item.rule.id)
            return outcome

        return noted

    silent = {rule.id for rule in policy.policy.rules if rule.decision is None}
    for item in policy._rules:  # noqa: SLF001 - there is no other way to see them hold
        if item.rule.id in silent:
            item.matches = noting(item, item.matches)
    return held


def play(suite: Suite, case: Case, policy: CompiledPolicy, held: set[str] | None = None) -> Played:
    """Run one case under a policy (its own, or a mutant of it) and return what became of it. held: from `watch`."""
    run = Run(suite, case, policy, held if held is not None else set())
    calls = sum(isinstance(step, Call) for step, _ in case.steps)
    failure = None
    for step, (line, column) in case.steps:
        try:
            run.step(step)
            continue
        except Unexpected as error:
            expected, came, reason = error.expected, error.came, error.reason
        except NavicertError as error:
            expected, came, reason = "no error", str(error), ""
        failure = Failure(
            file=str(suite.path),
            line=line,
            column=column,
            case=case.name,
            tool=step.tool if isinstance(step, Call) else "",
            parameters=step.parameters if isinstance(step, Call) else {},
            expected=expected,
            came=came,
            reason=reason,
        )
        break
    return Played(case=case.name, actions=calls, failure=failure, reached=dict(run.reached))


class Run:
    """One case under way."""

    def __init__(self, suite: Suite, case: Case, policy: CompiledPolicy, held: set[str]) -> None:
        folder = suite.policy_path.parent
        protected = ProtectedResources((folder if (folder / FILE).is_file() else folder / HOME, suite.policy_path))
        protected.also(fact_files(policy.policy))
        sources: dict[Source, list[str]] = {}
        for fact in policy.policy.facts:
            for source in fact.sources:
                sources.setdefault(source, []).append(fact.name)
        ids = SystemIds()
        self.reached: Counter[str] = Counter()
        self._held = held
        self._suite, self._case, self._policy = suite, case, policy
        self._world = _World(case, sources)
        self._journal = MemoryJournal(_key(""))
        self._engine = Engine(
            Ports(
                journal=self._journal,
                clock=self._world,
                ids=ids,
                verifier=self._world,
                detectors=(protected, *_DETECTORS),
                classifiers=(self._world,),
                resolvers=dict.fromkeys(SourceKind, self._world),
            ),
            policy=policy,
            policy_bytes=b"",  # this journal keeps none
            settings=Settings(
                issuer=ids.new("eng"),
                scribe=Scribe(pseudonym=make_pseudonym(b"tests"), salt=ids.salt, separation=case.separation),
            ),
        )
        self._waiting: dict[str, str] = {}  # what waits, by handle: its tool
        self._names = {percent(rule.id): rule.id for rule in policy.policy.rules}
        self._session = self._engine.open_session(case.request, case.claims)

    def step(self, step: Step) -> None:
        """Take one step; raises `Unexpected`, or what the engine raises."""
        engine, session = self._engine, self._session
        match step:
            case Call():
                self._call(step)
            case Pause():
                self._until(self._world.at + step.seconds * 1_000_000)
            case Says():
                engine.say(session, step.text)
            case Observe():
                engine.observe(session, name=step.name, value=step.value, source=step.source)
            case Anew():
                self._session = engine.open_session(step.request, self._case.claims)

    def _call(self, call: Call) -> None:
        tool, _, operation = call.tool.rpartition(".")
        action = self._engine.action(
            tool, operation, parameter_bytes(call.parameters), profile=self._suite.tools.get(call.tool)
        )
        self._held.clear()
        try:
            decided = self._engine.decide(action, self._session)
            if isinstance(decided, Suspended):
                self._waiting[decided.handle] = call.tool
            shadow = self._shadow(decided)
            answer = self._came(decided, call.expect, call.rules, call.reason)
            _as_shadowed(call, shadow)
            if isinstance(answer, Suspended) and call.then is not None:
                answer = self._came(self._answered(call, answer), call.then, when=" in the end")
        finally:
            self.reached.update(self._held)
        if isinstance(answer, Permit):
            _changed(call, answer)
            self._world.found = call.found
            with suppress(ResultWithheld):  # the case goes on, as an agent does
                self._engine.execute(
                    answer, lambda _: call.result, _output(call), lambda _, said: msgspec.json.decode(said)
                )

    def _came(
        self,
        answer: Answer,
        verdict: Verdict,
        rules: tuple[str, ...] | None = None,
        reason: str | None = None,
        when: str = "",
    ) -> Answer:
        """Return the answer; raises `Unexpected` unless it came as expected."""
        if isinstance(answer, Permit):
            decision = self._decision(answer.receipt_id)
            came, code, why = Verdict(decision.result), decision.reason_code, ""
            by = tuple(self._names.get(name, name) for name in decision.rules)
        else:
            came = answer.verdict if isinstance(answer, Suspended) else Verdict.DENY
            by, code, why = answer.rules, answer.reason_code, answer.reason
        self._held.update(by)
        as_ruled = rules is None or (set(rules) == set(by) and (bool(rules) or code == POSTURE))
        if came is verdict and as_ruled and reason in {None, code}:
            return answer
        expected = verdict.value + when + ("" if rules is None else f" by {_by(rules, POSTURE)}")
        plain = reason is None and code in {"rule", POSTURE}
        raise Unexpected(
            expected + (f" ({reason})" if reason else ""),
            f"{came.value} by {_by(by, code)}" + ("" if plain else f" ({code})") + self._behind(why),
            why,
        )

    def _behind(self, why: str) -> str:
        """Say which earlier actions of the case this one waits for, in words."""
        names = [tool for handle, tool in self._waiting.items() if handle in why]
        return f", as it depends on {', '.join(f'`{name}`' for name in names)} before it" if names else ""

    def _shadow(self, answer: Answer) -> ShadowPart | None:
        """Return what is recorded of shadow rules, if one concerns the action, and note those that determined it."""
        if self._policy.shadowed is None or answer.receipt_id is None:
            return None
        part = self._decision(answer.receipt_id).shadow
        if part is not None:
            shady = {rule.id for rule in self._policy.policy.rules if rule.shadow}
            self._held.update(shady.intersection(self._names.get(name, name) for name in part.rules))
        return part

    def _decision(self, receipt_id: str) -> DecisionPart:
        for data in reversed(self._journal.log):
            receipt = parse(data)
            if receipt.receipt_id == receipt_id and receipt.decision is not None:
                return receipt.decision
        raise AssertionError("what was decided has its receipt")

    # while it waits

    def _answered(self, call: Call, waiting: Suspended) -> Answer:
        """Do to a wait what the case states, in this order: facts, time, people, the end of its time."""
        engine, handle, human = self._engine, waiting.handle, self._case.claims.human or ""
        self._world.facts = call.facts
        sources = {fact.name for fact in self._policy.policy.facts}
        for name, value in call.facts.items():
            if name not in sources:
                engine.observe(self._session, name=name, value=value, source="test")
        asked = engine.wait(handle)
        for name in asked.question.facts if asked is not None else ():
            if name in call.facts:
                self._says(handle, human, Word.STATE, {name: call.facts[name]})
        self._until(self._world.at + call.after_s * 1_000_000)
        if call.facts and (call.approve or call.deny):
            engine.sweep()
        for word, names in ((Word.APPROVE, call.approve), (Word.DENY, call.deny)):
            for name in names:
                self._says(handle, human if name == REQUESTER else name, word, {})
        answer = engine.resume(handle)
        for _ in range(_ROUNDS if call.timeout else 0):
            if not isinstance(answer, Suspended):
                break
            self._until(answer.deadline)
            answer = engine.resume(handle)
        return answer

    def _says(self, handle: str, name: str, word: Word, value: dict[str, Json]) -> None:
        engine, key = self._engine, _key(name)
        wait = engine.wait(handle)
        if wait is None:
            raise Unexpected(f"to be waiting for `{name}`", "it is over already")
        if all(person.name != name for person in engine.approvers().people):
            since, public = self._world.at, b64(key.public)
            engine.enrol(Approver(name=name, key_id=key.key_id, algorithm=ED25519, public=public, since=since))
        try:
            engine.answer(
                handle, sign_answer(wait.question, word, name, key, self._world.at, "stated by a test", value)
            )
        except IdentityError as error:
            raise Unexpected(f"an answer of `{name}` that counts", str(error)) from None

    def _until(self, at: int) -> None:
        """Let time pass, as under a resident owner."""
        seen, world = -1, self._world
        while due := [w.next_try for w in self._engine.waits() if w.next_try is not None and seen < w.next_try <= at]:
            seen = min(due)
            world.at = max(world.at, seen)
            self._engine.sweep()
        if at > world.at:
            world.at = at
            self._engine.sweep()


def _by(rules: tuple[str, ...], code: str) -> str:
    return ", ".join(f"`{rule}`" for rule in rules) or ("the posture" if code == POSTURE else "no rule")


def _as_shadowed(call: Call, part: ShadowPart | None) -> None:
    """Raise `Unexpected` unless the shadow rules would make of the call what the case states."""
    differs = part is not None and part.result != call.expect.value
    came = part.result if part is not None and (differs or call.shadow != NONE) else NONE
    if call.shadow not in {None, came}:
        by = f" by {', '.join(f'`{rule}`' for rule in part.rules)}" if part is not None and part.rules else ""
        raise Unexpected(f"shadow: {call.shadow}", f"shadow: {came}{by}")


def _changed(call: Call, permit: Permit) -> None:
    """Raise `Unexpected` unless the parameters that would run differ from those asked for as the case states."""
    if call.becomes is None:
        return
    asked, runs = decode_parameters(parameter_bytes(call.parameters)), decode_parameters(permit.parameters)
    differ = {name: runs.get(name) for name in {**asked, **runs} if asked.get(name) != runs.get(name)}
    if differ != decode_parameters(parameter_bytes(call.becomes)):
        raise Unexpected(f"becomes {_shown(call.becomes)}", f"becomes {_shown(differ)}")


def _shown(parameters: dict[str, Any]) -> str:
    return msgspec.json.encode(parameters, enc_hook=str, order="sorted").decode()


def _output(call: Call) -> Callable[[Any], Output]:
    """Return what a governed tool's result looks like to classifiers; a label that is stated has no text of its own."""

    def render(value: Any) -> Output:
        data = msgspec.json.encode(value)
        empty = call.found is None and (value is None or isinstance(value, bool))
        return Output(text=value if isinstance(value, str) else data.decode(), json=data, empty=empty)

    return render
