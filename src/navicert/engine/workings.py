"""What the parts of the engine share: ports, settings, rows, the turn, and the actions that are under way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import getpid
from random import Random
from threading import Lock
from typing import Any, Final, TypeVar

import msgspec

from navicert.core import lifecycle
from navicert.core.compile import CompiledPolicy
from navicert.core.delegation import DEPTH
from navicert.core.draft import Scribe
from navicert.core.lifecycle import State, Step
from navicert.core.shared import session_key
from navicert.engine.drive import Answer, Ask, Await, Call
from navicert.engine.rows import Rows, check_rows
from navicert.engine.seeing import Kept, Sights
from navicert.model.action import ToolProfile
from navicert.model.authority import Authority
from navicert.model.commit import Commit, following
from navicert.model.context import SessionContext
from navicert.model.decision import Permit, Verdict
from navicert.model.errors import IntegrityError, NavicertError, Unavailable
from navicert.model.labels import NOTHING, Labels
from navicert.model.policy import SourceKind
from navicert.model.receipt import Receipt, ReleasePart
from navicert.model.value import Value
from navicert.ports import (
    Classifier,
    Clock,
    Conflict,
    ContentDigests,
    Detector,
    IdentityVerifier,
    Ids,
    Journal,
    Notifier,
    Placed,
    Resolver,
    Ticket,
)

SESSIONS: Final = 20_000
RETRIES: Final = 256
"""A change whose rows moved is made anew at most so often."""
V = TypeVar("V", bound=Value)
Steps = Generator[Ask | Await, Any, Any]


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What an engine has of the world. resolvers: by the kind of source. contents: None where no file is looked at."""

    journal: Journal
    clock: Clock
    ids: Ids
    verifier: IdentityVerifier
    detectors: tuple[Detector, ...] = ()
    classifiers: tuple[Classifier, ...] = ()
    resolvers: Mapping[SourceKind, Resolver] = field(default_factory=dict)
    contents: ContentDigests | None = None
    notifier: Notifier | None = None


class Settings(Value, frozen=True, kw_only=True):
    """Deadlines in seconds. scribe: what all receipts of this engine have in common.

    in_band_s: how long `mediate` waits for a person or a fact before it hands out a handle.
    """

    issuer: str
    scribe: Scribe
    commit_s: float = 5.0
    measure_s: float = 2.0
    permit_s: float = 300.0
    wait_s: int = 900
    in_band_s: float = 0.0


class Terms(Value, frozen=True, kw_only=True):
    """What may not be released of a result. withhold: levels (or above) and categories. redact: categories."""

    withhold: tuple[str, ...]
    redact: tuple[str, ...]


class Live(Value, frozen=True, kw_only=True):
    """A permitted action that has not ended, as this engine knows it.

    subjects, authority: whose authority it was permitted under, and what that was. ended_at: when its session had ended
    already, as it may for an action that waited. state: where it came from, in the lifecycle table. terms: of releasing
    its result; told: what was released already of an action that has such terms. reached: as in `Attempt`.
    """

    permit: Permit
    receipt: Receipt
    profile: ToolProfile | None
    sticky: str
    flight: str | None
    stored: tuple[str, ...]
    ruled: Labels | None
    risk: int = 0
    subjects: tuple[str, ...] = ()
    authority: Authority = Authority.FULL
    ended_at: int | None = None
    state: State = State.PROPOSED
    terms: Terms | None = None
    told: tuple[str, ...] = ()
    reached: dict[str, tuple[str, ...]] = {}


class Completion(Value, frozen=True, kw_only=True):
    """What came of a live action, to be recorded. success: None where nobody knows; it then stays open.

    labels, output: of what is released; part: where that is less than the whole. kept: for questions of provenance.
    """

    live: Live
    success: bool | None
    labels: Labels
    output: bytes = b"null"
    error: str | None = None
    settled_by: str | None = None
    ended: str = ""
    part: ReleasePart | None = None
    kept: Kept | None = None


class Workings:
    """The state of one engine. `turn` is held while something is judged, staged and queued: never while waiting."""

    def __init__(self, ports: Ports, policy: CompiledPolicy, settings: Settings) -> None:
        self.ports = ports
        self.journal = ports.journal
        self.clock = ports.clock
        self.ids = ports.ids
        self.verifier = ports.verifier
        self.detectors = ports.detectors
        self.classifiers = ports.classifiers
        self.policy = policy
        self.settings = settings
        self.rows = Rows()
        self.sights = Sights()
        self.turn = Lock()
        self._pid = getpid()
        self._tags = Random()  # noqa: S311 - to tell apart, not to keep secret
        self.redo: dict[str, list[Completion]] = defaultdict(list)
        self._redo_lock = Lock()
        self._standing: dict[str, Labels] = {}
        self._live: dict[str, tuple[State, Live]] = {}

    def same_process(self) -> None:
        """Raise `Unavailable` in a forked child: its locks may be held by threads that it does not have."""
        if getpid() != self._pid:
            raise Unavailable("this guard was opened before a fork; open one in the child process")

    # rows

    def load(self, keys: Iterable[str]) -> Steps:
        """Have the rows in the cache; raises what the journal raises."""
        yield from self.refresh(self.rows.missing(keys))

    def fetch(self, keys: Iterable[str]) -> Generator[Ask | Await, Any, dict[str, tuple[Any, int]]]:
        """Return the rows as they now stand, read where they are not cached; a failed commit may drop them."""
        wanted = tuple(keys)
        for _ in range(RETRIES):
            yield from self.load(wanted)
            found = self.snapshot(wanted)
            if found is not None:
                return found
        raise Unavailable("the session is changed by others all the time; try again")

    def refresh(self, keys: Sequence[str]) -> Steps:
        """Have the rows as they stand in the journal now, with what other processes have written since."""
        if keys:
            (answer,) = yield Ask(
                (Call("journal", lambda: self.journal.read(keys), self.journal.inline),), self.settings.commit_s
            )
            if answer.error is not None:
                raise answer.error
            check_rows(answer.value)
            self.rows.fill(keys, answer.value)
            self._note((key, row[0]) for key, row in answer.value.items())

    def anew(self, keys: Sequence[str]) -> Steps:
        """Have rows that others change or remove as they stand in the journal now, whatever is cached."""
        self.rows.drop(keys)
        yield from self.refresh(keys)

    def snapshot(self, keys: Iterable[str]) -> dict[str, tuple[Any, int]] | None:
        """Return the rows as they now stand, or None where one has to be read first. Under the turn."""
        found: dict[str, tuple[Any, int]] = {}
        for key in keys:
            row = self.rows.get(key)
            if row is None:
                return None
            found[key] = row
        return found

    def lineage(self, context: SessionContext) -> tuple[str, ...]:
        """Return the keys of the sessions that delegated to this one, as far up as they are known. Under the turn."""
        keys: list[str] = []
        parent = context.parent
        while parent is not None and len(keys) < DEPTH:
            keys.append(session_key(parent))
            row = self.rows.get(keys[-1])
            parent = row[0].parent if row is not None and row[0] is not None else None
        return tuple(keys)

    def ancestors(self, context: SessionContext) -> tuple[SessionContext, ...] | None:
        """Return the sessions that delegated to this one, nearest first; None where one has to be read."""
        found: list[SessionContext] = []
        for key in self.lineage(context):
            row = self.rows.get(key)
            if row is None:
                return None
            if row[0] is not None:  # purged long ago: it had ended
                found.append(row[0])
        return tuple(found)

    def queue(self, commit: Commit, *, lazy: bool = False) -> Ticket:
        """Queue a commit and stage its rows; if it fails they are read anew. Under the turn."""
        tag = self._tags.getrandbits(32)
        ticket = self.journal.enqueue(replace(commit, tag=tag), lazy=lazy)
        keys = [write.key for write in commit.writes]
        seen = [key for key in keys if key.startswith("seen/")]  # they are large, and read from the journal
        for write in commit.writes:
            self.rows.stage(write.key, write.value, following(write.expected, tag))

        def check() -> None:
            try:
                ticket.result()
            except Conflict as conflict:
                self.rows.drop([*keys, *conflict.keys])
            except Exception:  # noqa: BLE001 - the one who waits gets it; here only the cache is mended
                self.rows.drop(keys)
            else:
                self._note((write.key, write.value) for write in commit.writes)
                self.rows.drop(seen)

        ticket.on_done(check)
        return ticket

    def _note(self, rows: Iterable[tuple[str, Any]]) -> None:
        for key, value in rows:
            if isinstance(value, SessionContext):
                if len(self._standing) >= SESSIONS:
                    self._standing.clear()
                self._standing[key] = value.labels

    def stands(self, session_id: str, labels: Labels) -> bool:
        """Tell whether a session is known to hold these labels durably; what is only staged may yet fail."""
        return self._standing.get(session_key(session_id), NOTHING).covers(labels)

    def durable(self, ticket: Ticket) -> Generator[Ask | Await, Any, Placed | None]:
        """Wait until a commit is durable; raises `Conflict` or what it failed with."""
        answer: Answer = yield Await(ticket, self.settings.commit_s)
        if answer.error is not None:
            raise answer.error
        value: Placed | None = answer.value
        return value

    def change(self, attempt: Callable[[], Ticket | tuple[str, ...] | None]) -> Steps:
        """Make one change durable: `attempt`, under the turn, queues it, names rows to read first, or finds it made."""
        self.same_process()
        for _ in range(RETRIES):
            with self.turn:
                step = attempt()
            if step is None:
                return None
            if isinstance(step, tuple):
                yield from self.load(step)
                continue
            try:
                return (yield from self.durable(step))
            except Conflict as conflict:
                yield from self.load(conflict.keys)
        raise Unavailable("the session is changed by others all the time; try again")

    # outcomes that did not become durable

    def keep(self, completion: Completion) -> None:
        """Keep an outcome, to be recorded before anything else of its session is judged."""
        with self._redo_lock:
            self.redo[completion.live.permit.session_id].append(completion)

    def kept(self, session_id: str) -> Completion | None:
        """Return the first outcome that is still to be recorded in a session; it stays kept until `forget`."""
        with self._redo_lock:
            held = self.redo.get(session_id)
            return held[0] if held else None

    def forget(self, completion: Completion) -> None:
        """Let go of a kept outcome, now recorded."""
        session_id = completion.live.permit.session_id
        with self._redo_lock:
            left = [item for item in self.redo.get(session_id, ()) if item is not completion]
            if left:
                self.redo[session_id] = left
            else:
                self.redo.pop(session_id, None)

    # actions under way

    def begin(self, live: Live, verdict: Verdict) -> None:
        """Take in a permitted action."""
        self._live[live.permit.action_id] = (lifecycle.advance(live.state, verdict), live)

    def move(self, action_id: str, step: Step) -> Live | None:
        """Move an action along the lifecycle table; None where this engine does not hold it."""
        held = self._live.get(action_id)
        if held is None:
            return None
        state = lifecycle.advance(held[0], step)
        if lifecycle.TABLE[state]:
            self._live[action_id] = (state, held[1])
        else:
            del self._live[action_id]
        return held[1]

    def tell(self, action_id: str, text: str, *, back: bool = False) -> str:
        """Note words that are to be released before an action ends; returns all of them. back: they were not."""
        with self.turn:
            held = self._live.get(action_id)
            if held is None:
                raise IntegrityError(f"`{action_id}` is not running here")
            told = [*held[1].told]
            told.remove(text) if back else told.append(text)
            self._live[action_id] = (held[0], replace(held[1], told=tuple(told)))
            return "".join(told)

    def live(self, action_id: str) -> Live | None:
        """Return an action under way."""
        held = self._live.get(action_id)
        return held[1] if held else None


def safe(error: BaseException) -> str:
    """Return what may be told of a failure: our own messages whole, of foreign ones the type only (T9)."""
    return str(error) if isinstance(error, NavicertError) else type(error).__name__


def values(rows: Mapping[str, tuple[Any, int]]) -> dict[str, Any]:
    """Return the rows without their versions."""
    return {key: value for key, (value, _) in rows.items()}


def replace(value: V, **changes: Any) -> V:
    """Return a value with some fields replaced."""
    return msgspec.structs.replace(value, **changes)
