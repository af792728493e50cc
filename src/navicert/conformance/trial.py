"""One check on one deployment: what it does, what it sees, what it expects; all of it goes into a transcript.

    @check("R1-1", serves=("R1.a", "R1.d"), twins=("denials_run",), policy=POLICY)
    def denied_has_no_effect(t: Trial) -> None:
        value = t.drawn()
        ada = t.session("tidy up")
        got = t.call(ada, "files.write", path="forbidden/a", text=value)
        t.expect("it is refused", "denied", got.outcome)
        t.expect("the value is nowhere", (), t.world.seen(value))

* A check passes where every expectation holds and there was at least one; it fails at the first that does not hold, and
  where the system under test does not answer. `t.unmeasurable(why)` ends it as neither.
* A twin is a sabotage of the system under test under which the same check must fail by an expectation of its own.
* Expectations compare values that are written down, so that whoever has the transcript can compare them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Literal, NamedTuple, NoReturn

import msgspec
from msgspec.structs import replace

from navicert.conformance.contract import (
    Answered,
    Approve,
    Break,
    Done,
    Export,
    Find,
    Found,
    Observe,
    Open,
    Probe,
    Record,
    Renew,
    Request,
    Resume,
    Say,
    SetPolicy,
    Started,
    Submit,
    Tamper,
    Voted,
)
from navicert.conformance.issuer import TokenIssuer
from navicert.conformance.policies import placed
from navicert.conformance.product import Broken, Product, Refusal, V
from navicert.conformance.world import World, drawn
from navicert.model.value import Value

Result = Literal["pass", "fail", "unmeasurable"]
_PAUSE_S: Final = 0.02


class Failed(Exception):
    """An expectation did not hold."""


class Missing(Exception):
    """The system under test was never built to do this; a failure, and said so."""


class Unmeasurable(Exception):
    """This cannot be measured here, for the reason given."""


class Expectation(Value, frozen=True, kw_only=True):
    """What was expected, and what was found; both as JSON text."""

    claim: str
    expected: str
    actual: str

    @property
    def holds(self) -> bool:
        """True where they are the same."""
        return self.expected == self.actual


class Line(Value, frozen=True, kw_only=True):
    """One line of a transcript. at: milliseconds since the check began. Exactly one of the others stands.

    asked, answered: what the kit said to the adapter, and what came back. noted: what the kit did or saw besides.
    """

    at: int
    asked: dict[str, Any] | None = None
    answered: dict[str, Any] | None = None
    noted: str | None = None
    expected: Expectation | None = None


class Outcome(Value, frozen=True, kw_only=True):
    """What came of a check. why: of a fail or an unmeasurable. by: `expectation` or `system` (it broke, or refused).

    actions: ids of the actions whose records the check looked at: they stand in the evidence.
    """

    check: str
    result: Result
    why: str = ""
    by: Literal["", "expectation", "system"] = ""
    milliseconds: int
    transcript: tuple[Line, ...]
    actions: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check: `id` is a row's, or `CLAUSE/word`. serves: the clauses that it holds.

    twins: sabotages under which it must fail. policy: text in the specification's YAML. surfaces: where it makes sense,
    empty for everywhere; where it does not, `elsewhere` says why. alone: it breaks the deployment, and gets its own.
    """

    id: str
    title: str
    serves: tuple[str, ...]
    twins: tuple[str, ...]
    policy: str
    run: Callable[[Trial], None]
    alone: bool = False
    surfaces: tuple[str, ...] = ()
    elsewhere: str = ""


CHECKS: Final[dict[str, Check]] = {}
"""Every check, by id, in the order of the catalogue's rows and then as they were written."""


def check(
    name: str,
    *,
    serves: tuple[str, ...],
    twins: tuple[str, ...],
    policy: str,
    alone: bool = False,
    surfaces: tuple[str, ...] = (),
    elsewhere: str = "",
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a check; its title is the first line of the function's docstring."""

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        if name in CHECKS:
            raise ValueError(f"there are two checks `{name}`")
        title = (run.__doc__ or "").strip().split("\n", 1)[0].rstrip(".")
        CHECKS[name] = Check(
            id=name, title=title, serves=serves, twins=twins, policy=policy, run=run, alone=alone, surfaces=surfaces,
            elsewhere=elsewhere,
        )  # fmt: skip
        return run

    return register


class Trial:
    """What a check works with. world: the observers. issuer: whose tokens people bear. started: of the deployment."""

    def __init__(self, product: Product, started: Started, world: World, issuer: TokenIssuer, folder: Path) -> None:
        self.product = product
        self.started = started
        self.surface = product.hello.surface
        self.world = world
        self.issuer = issuer
        self.folder = folder
        self.lines: list[Line] = []
        self.actions: list[str] = []
        self._began = monotonic()
        self._calls: dict[str, Submit] = {}

    # what is done

    def drawn(self) -> str:
        """Return a value that nobody could know before, noted."""
        value = drawn()
        self.note(f"drew {value}")
        return value

    def session(
        self,
        request: str = "tidy up",
        *,
        human: str | None = None,
        agent: str | None = None,
        roles: tuple[str, ...] = (),
        scope: tuple[str, ...] = ("kit.*",),
        token: str | None = None,
    ) -> str:
        """Open a session, for people and agents of its own unless they are named; returns the kit's name for it."""
        human, agent, name = human or drawn(), agent or drawn(), drawn()
        self.issuer.refresh()
        if token is None:
            token = self.issuer.token(human, agent, roles=list(roles), scope=" ".join(scope))
        self.ask(
            Open(
                session=name, request=request, token=token, human=self.issuer.principal(human), agent=agent,
                roles=roles, scope=scope,
            ),
            Done,
        )  # fmt: skip
        return name

    def delegate(self, parent: str, *, agent: str, scope: tuple[str, ...]) -> str:
        """Open a session for another agent out of `parent`."""
        name = drawn()
        self.ask(Open(session=name, request="", token="", human="", agent=agent, scope=scope, parent=parent), Done)
        return name

    def says(self, session: str, text: str) -> None:
        """Have the user say more."""
        self.ask(Say(session=session, text=text), Done)

    def observes(self, session: str, name: str, value: Any, source: str) -> None:
        """Report a fact of the environment."""
        self.ask(Observe(session=session, name=name, value=value, source=source), Done)

    def renews(self, session: str, token: str) -> None:
        """Go on under another token."""
        self.ask(Renew(session=session, token=token), Done)

    def call(self, session: str, tool: str, *, after: tuple[str, ...] = (), **parameters: Any) -> Answered:
        """Call a tool (`files.write`) as the agent; returns what the agent got."""
        return self.called(self.calls(session, tool, after=after, **parameters))

    def calls(self, session: str, tool: str, *, after: tuple[str, ...] = (), **parameters: Any) -> Pending:
        """Call a tool without waiting for it; `called` has the answer."""
        group, _, operation = tool.partition(".")
        request = Submit(session=session, tool=f"kit.{group}", operation=operation, parameters=parameters, after=after)
        self._line(asked=_builtins(request))
        return Pending(request, self.product.send(request))

    def called(self, pending: Pending) -> Answered:
        """Return the answer to a call that is under way."""
        return self._answered(pending.request, self.product.taken(pending.reply, Answered))

    def probe(self, way: str, session: str, tool: str, *, by: str = "", **parameters: Any) -> Answered:
        """Have somebody call a tool who may not; unmeasurable where the adapter has no such way."""
        if way not in self.product.hello.probes:
            raise Unmeasurable(f"this adapter cannot try `{way}`")
        group, _, operation = tool.partition(".")
        call = Submit(session=session, tool=f"kit.{group}", operation=operation, parameters=parameters)
        return self._answered(call, self.ask(Probe(way=way, call=call, by=by), Answered))

    def resume(self, got: Answered, *, by: str | None = None) -> Answered:
        """Have the agent take up what waits. by: another session that tries to."""
        handle = got.handle or ""
        call = self._calls[handle]
        request = Resume(handle=handle, call=call if by is None else replace(call, session=by))
        return self._answered(request.call, self.ask(request, Answered))

    def resumes(self, got: Answered) -> Pending:
        """Have the agent take up what waits, without waiting for it; `called` has the answer."""
        handle = got.handle or ""
        request = Resume(handle=handle, call=self._calls[handle])
        self._line(asked=_builtins(request))
        return Pending(request.call, self.product.send(request))

    def resume_until(self, got: Answered, outcome: str, seconds: float) -> Answered:
        """Take it up again and again until it has this outcome, or the time is over; returns the last answer."""
        end = monotonic() + seconds
        while True:
            again = self.resume(got)
            if again.outcome == outcome or monotonic() > end:
                return again
            sleep(0.1)

    def approve(self, got: Answered, approver: str, *, approve: bool = True, forged: bool = False) -> Voted:
        """Have a person answer what waits, in a process of their own. forged: somebody who only says to be them."""
        return self.ask(Approve(handle=got.handle or "", approver=approver, approve=approve, forged=forged), Voted)

    def set_policy(self, text: str) -> None:
        """Put a policy in force."""
        self.ask(SetPolicy(text=placed(text, self.world.folder)), Done)

    def parts(self, *kinds: str) -> tuple[str, ...]:
        """Return the ways in which parts of these kinds (`store`) can be broken here; unmeasurable where none can."""
        found = tuple(part for part in self.product.hello.parts if part.partition(":")[0] in kinds)
        return found or self.unmeasurable(f"this adapter cannot break any of: {', '.join(kinds)}")

    @contextmanager
    def broken(self, part: str) -> Iterator[None]:
        """Break a part (`store:gone`) while this lasts; unmeasurable where the adapter has no such way."""
        if part not in self.product.hello.parts:
            raise Unmeasurable(f"this adapter cannot break `{part}`")
        self.ask(Break(part=part), Done)
        try:
            yield
        finally:
            self.ask(Break(part=part, mend=True), Done)

    def tamper(self, what: str, session: str) -> None:
        """Change what is stored."""
        self.ask(Tamper(what=what, session=session), Done)

    def records(self, got: Answered) -> tuple[Record, ...]:
        """Return the records of an action, oldest first; none where it has none."""
        return self.ask(Find(action=got.action or ""), Found).records if got.action else ()

    def record(self, got: Answered, kind: str = "decision") -> Record:
        """Return the one record of a kind; the check fails where there is not exactly one."""
        found = [item for item in self.records(got) if item.kind == kind]
        self.expect(f"there is one {kind} record of this action", 1, len(found))
        return found[0]

    def export(self, got: Answered | None = None) -> Path:
        """Have evidence written, of one action or of everything; returns the file."""
        path = self.folder / f"{drawn()}.evidence"
        self.ask(Export(to=str(path), action=got.action if got is not None else None), Done)
        return path

    def verify(self, path: Path, *, root: str | None = None, log: bool = False) -> bool:
        """Verify a file with the product's own verifier, as a program of its own: True where it exits with 0.

        root: another one than the deployment's. log: the file is an export of everything.
        """
        from navicert.conformance.auditor import verifies

        command = self.started.log_verifier if log else self.started.verifier
        holds, said = verifies(command, path, self.started.root if root is None else root)
        self.note(f"verifier on {path.name}: {'verified' if holds else 'refused'}: {said}")
        return holds

    def ask(self, request: Request, kind: type[V], patience_s: float = 60.0) -> V:
        """Ask the adapter; goes into the transcript."""
        self._line(asked=_builtins(request))
        answer = self.product.ask(request, kind, patience_s)
        self._line(answered=_builtins(answer))
        return answer

    # what is seen and expected

    def expect(self, claim: str, expected: Any, actual: Any) -> None:
        """Hold what is expected against what was found; ends the check where they differ."""
        found = Expectation(claim=claim, expected=_json(expected), actual=_json(actual))
        self._line(expected=found)
        if not found.holds:
            raise Failed(f"{claim}: expected {found.expected}, found {found.actual}")

    def holds(self, claim: str, found: object) -> None:
        """Expect that something is true."""
        self.expect(claim, expected=True, actual=bool(found))

    def expect_seen(self, value: str, *places: str) -> None:
        """Expect that a drawn value has arrived exactly here, as the observers see it."""
        what = f"`{value}` has arrived " + (f"at {', '.join(places)}" if places else "nowhere")
        self.expect(what, sorted(places), sorted(self.world.seen(value)))

    def eventually(self, what: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Tell whether something comes true within a time."""
        end = monotonic() + seconds
        while not what():
            if monotonic() > end:
                return False
            sleep(_PAUSE_S)
        return True

    def note(self, text: str) -> None:
        """Write into the transcript what was done or seen besides."""
        self._line(noted=text)

    def missing(self, why: str) -> NoReturn:
        """Fail the check: what is asked for is not implemented (say what is not)."""
        raise Missing(f"not implemented: {why}")

    def unmeasurable(self, why: str) -> NoReturn:
        """End the check: it cannot be measured here."""
        raise Unmeasurable(why)

    def _answered(self, request: Submit, answer: Answered) -> Answered:
        self._line(answered=_builtins(answer))
        if answer.handle is not None:
            self._calls[answer.handle] = request
        if answer.action is not None and answer.action not in self.actions:
            self.actions.append(answer.action)
        return answer

    def _line(self, **what: Any) -> None:
        self.lines.append(Line(at=int((monotonic() - self._began) * 1000), **what))


class Pending(NamedTuple):
    """A call that is under way."""

    request: Submit
    reply: Any


def run_check(wanted: Check, trial: Trial) -> Outcome:
    """Run a check to its end; whatever happens is its outcome."""
    began = monotonic()
    result: Result = "pass"
    why, by = "", ""
    try:
        wanted.run(trial)
        if not any(line.expected for line in trial.lines):
            result, why, by = "fail", "the check expected nothing", "system"
    except Failed as error:
        result, why, by = "fail", str(error), "expectation"
    except Unmeasurable as error:
        result, why = "unmeasurable", str(error)
    except (Missing, Broken, Refusal) as error:
        result, why, by = "fail", str(error), "system"
    return Outcome(
        check=wanted.id,
        result=result,
        why=why,
        by=by,  # type: ignore[arg-type]  # one of the three words
        milliseconds=int((monotonic() - began) * 1000),
        transcript=tuple(trial.lines),
        actions=tuple(trial.actions),
    )


def _builtins(value: Value) -> dict[str, Any]:
    """Return a message as it goes into the transcript: of a token, who it is for stands beside it, and it does not."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    if found.get("token"):
        found["token"] = f"(a token of {len(found['token'])} characters)"
    return found


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
