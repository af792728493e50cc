"""SessionContext: the accumulated state of one session at one head of its chain (R2).

* The context is a fold over entries; an entry commits to the entry before it, and the context holds the head.
* It is bounded: recent actions and entities stand in windows, everything older in counts. Labels never shrink.
* The original request is set once, by the application; later words of the user are appended, never by the agent (R2.d).
"""

from __future__ import annotations

from navicert.model.decision import Verdict
from navicert.model.drift import Drift
from navicert.model.identity import Claims, Delegation
from navicert.model.labels import NOTHING, Labels
from navicert.model.value import Json, Value


class PriorAction(Value, frozen=True, kw_only=True):
    """One earlier attempt of the session, denied ones included."""

    action_id: str
    name: str
    verdict: Verdict
    at: int
    digest: str
    labels: Labels = NOTHING


class OpenAction(Value, frozen=True, kw_only=True):
    """A permitted action whose outcome is not recorded.

    owner: the engine that holds its permit. ended: why its executor gave up without an outcome; empty while running.
    """

    action_id: str
    name: str
    digest: str
    owner: str
    at: int
    ended: str = ""


class Waiting(Value, frozen=True, kw_only=True):
    """An action of the session that waits. resources: what it would write. depth: how many waits hang together."""

    handle: str
    action_id: str
    digest: str
    resources: tuple[str, ...] = ()
    depth: int = 1


class Fact(Value, frozen=True, kw_only=True):
    """A statement about the environment, with its sources; two sources that disagree make it conflicting."""

    name: str
    value: Json
    source: str
    at: int
    conflicting: bool = False


class Reference(Value, frozen=True, kw_only=True, array_like=True):
    """Where it stands what one result held: its row under `seen/`, and its digest. agent: another agent read it."""

    row: str
    digest: str
    agent: bool = False


class Walked(Value, frozen=True, kw_only=True):
    """Where the session has been, for rules over sequences, and for provenance: flat in its length (T3, T6).

    done: full tool name → when an action of it was last permitted, in µs. risk: points that permitted actions added.
    reached: effect → the newest targets of permitted actions, in normal form. seen: the newest results that it was
    given.
    """

    done: dict[str, int] = {}
    risk: int = 0
    reached: dict[str, tuple[str, ...]] = {}
    seen: tuple[Reference, ...] = ()
    drift: Drift | None = None


class Opened(Value, frozen=True, kw_only=True, tag="opened"):
    """The first entry: request, identity claims, scope, inherited labels. `salt` keeps digests unguessable."""

    session_id: str
    request: str
    claims: Claims
    salt: str
    parent: str | None = None
    delegation: tuple[Delegation, ...] = ()
    inherited: Labels = NOTHING
    said: tuple[str, ...] = ()
    at: int
    walked: Walked = Walked()


class UserSaid(Value, frozen=True, kw_only=True, tag="user_said"):
    """Later words of the user, through the application's own channel."""

    text: str
    at: int


class Observed(Value, frozen=True, kw_only=True, tag="observed"):
    """The application reports a fact about the environment."""

    name: str
    value: Json
    source: str
    at: int


class Renewed(Value, frozen=True, kw_only=True, tag="renewed"):
    """Another token of the same human and agent, by which what follows is verified."""

    token: str
    at: int


class Attempt(Value, frozen=True, kw_only=True, tag="attempt"):
    """An action was judged. Attempts count, whatever the verdict. handle: of the wait that it began.

    resources: what it would write. depth: how many waits hang on one another, with it. risk: what it adds if permitted;
    None in entries of version 0.1, which count for no sequence. reached: by its effect, what it aims at, if permitted.
    drift: of the session with it, None in older entries.
    """

    action_id: str
    name: str
    digest: str
    verdict: Verdict
    owner: str
    at: int
    risk: int | None = None
    entities: tuple[str, ...] = ()
    handle: str | None = None
    resources: tuple[str, ...] = ()
    depth: int = 1
    reached: dict[str, tuple[str, ...]] = {}
    drift: Drift | None = None


class Resolution(Value, frozen=True, kw_only=True, tag="resolution"):
    """A wait was judged again: it ended, with this verdict, or asks anew (STEP_UP, DEFER). Else as `Attempt`."""

    handle: str
    action_id: str
    name: str
    digest: str
    verdict: Verdict
    owner: str
    at: int
    risk: int | None = None
    reached: dict[str, tuple[str, ...]] = {}
    drift: Drift | None = None


class Result(Value, frozen=True, kw_only=True, tag="result"):
    """A permitted action ended, and its result was labelled. `released` is False where the executor gave up.

    succeeded: None where nobody knows (timeout, cancellation); the action then stays open. seen: digest of the row that
    holds what was released, empty where nothing of it is kept.
    """

    action_id: str
    succeeded: bool | None
    labels: Labels
    at: int
    ended: str = ""
    seen: str = ""


class Labelled(Value, frozen=True, kw_only=True, tag="labelled"):
    """Labels reached this session from elsewhere: a child session, a chunk of a stream, stored labels.

    walked: what a child session was permitted and was given, which counts as the parent's own.
    """

    source: str
    labels: Labels
    at: int
    walked: Walked = Walked()


class Ended(Value, frozen=True, kw_only=True, tag="ended"):
    """The application closed the session; nothing more is decided in it."""

    at: int


ContextEntry = Opened | UserSaid | Observed | Renewed | Attempt | Resolution | Result | Labelled | Ended


class SessionContext(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that a decision of this session may look at. `head` is the hash of the newest entry."""

    session_id: str
    request: str
    claims: Claims
    salt: str
    started_at: int
    last_at: int
    parent: str | None = None
    delegation: tuple[Delegation, ...] = ()
    said: tuple[str, ...] = ()
    length: int = 0
    head: str = ""
    labels: Labels = NOTHING
    recent: tuple[PriorAction, ...] = ()
    counts: dict[str, int] = {}
    verdicts: dict[str, int] = {}
    open: tuple[OpenAction, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    entities: tuple[str, ...] = ()
    entities_seen: int = 0
    facts: tuple[Fact, ...] = ()
    pace: tuple[int, ...] = ()
    ended_at: int | None = None
    walked: Walked = Walked()
