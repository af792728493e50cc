"""Ports: what the engine needs from the world, as protocols (DESIGN.md section 2).

Each port says what is durable when it returns, who may call it at once, and who retries. None of them turns a failure
into an answer: they raise, and the engine makes a refusal of it (R1.c).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from navicert.model.action import Action
from navicert.model.commit import Commit
from navicert.model.context import SessionContext
from navicert.model.decision import Place
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.model.labels import Labels
from navicert.model.policy import Source
from navicert.model.receipt import Receipt
from navicert.model.signals import Finding
from navicert.model.suspension import Wait
from navicert.model.value import Json


class Clock(Protocol):
    """Time. Called from any thread."""

    def now(self) -> int:
        """Return microseconds since the epoch, UTC."""
        ...


class Ids(Protocol):
    """Randomness. Called from any thread; from a cryptographic source."""

    def new(self, prefix: str) -> str:
        """Return a fresh id `prefix_…`, sortable by time, with 80 random bits."""
        ...

    def salt(self) -> str:
        """Return 128 random bits, base64url."""
        ...


class Signer(Protocol):
    """Holds one private key. Called from the journal's writer only; raises `Unavailable` where it cannot sign."""

    @property
    def inline(self) -> bool:
        """True where signing cannot wait (a key in memory, not a service), so that the caller's thread may sign."""
        ...

    @property
    def key_id(self) -> str:
        """The id under which trust stores know the public key."""
        ...

    @property
    def algorithm(self) -> str:
        """`Ed25519` or `ES256`."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over the message: 64 bytes with either algorithm (ES256: r and s, RFC 7518)."""
        ...


class DisclosureKeys(Protocol):
    """Data keys for disclosures, one per receipt, wrapped for a data subject; kept outside the journal."""

    @property
    def inline(self) -> bool:
        """True where wrapping cannot wait, so that the caller's thread may do it."""
        ...

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Return the 32-byte key wrapped under the subject's key; makes the subject's key, durably, at first use."""
        ...

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """Return the data key; raises `IntegrityError` where the subject's key is gone or another one."""
        ...


class IdentityVerifier(Protocol):
    """Turns claims into an identity with evidence (R6.c). Called from any thread; raises `IdentityError`."""

    @property
    def inline(self) -> bool:
        """True where it neither waits nor blocks, so that it may run in the caller's own thread."""
        ...

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        """Return the verified identity, or raise `IdentityError`."""
        ...


@runtime_checkable
class Detector(Protocol):
    """Measures an action before it is judged. Pure in effect; any failure makes its signals unknown (property 5).

    One with `wants_directives = True` gets a fourth argument: the newest sentences that tool outputs direct at readers.
    Where one gives a signal `…confidence_ppm` and fails, nothing is sure: the finding's confidence counts as 0.
    """

    @property
    def name(self) -> str:
        """Its name, for people."""
        ...

    @property
    def signals(self) -> tuple[str, ...]:
        """The names of the signals that it populates; all of them become unknown where it fails."""
        ...

    @property
    def inline(self) -> bool:
        """True where its time is bounded by the size of its input (no waiting): it then runs in the caller's thread."""
        ...

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return what it finds about the action."""
        ...


class Classifier(Protocol):
    """Looks at the text of a tool's result and labels it (R2.b). A failure makes the data highest (R2.c)."""

    @property
    def name(self) -> str:
        """Its name, for people."""
        ...

    @property
    def inline(self) -> bool:
        """True where its time is bounded by the size of its input."""
        ...

    def classify(self, text: str) -> Finding:
        """Return the labels found; `looked=False` where the text cannot be looked at."""
        ...


class Span(NamedTuple):
    """Where in a text something is: `start` to `end`, in characters. begins: where what it is named by begins.

    least: where it ends at least, if what follows belongs to something else. labels: of one category.
    """

    begins: int
    start: int
    end: int
    least: int
    labels: Labels

    @property
    def category(self) -> str:
        """The category of what stands there."""
        return self.labels.categories[0]


@runtime_checkable
class Locator(Protocol):
    """A `Classifier` that also says where in a text it is what it labels it for: then that can be redacted."""

    def locate(self, text: str, *, glued: bool) -> Sequence[Span]:
        """Return the places, sorted or not. glued: the text was put together of parts; only what is proof by its form.

        Raises where the text cannot be looked at. What it labels and does not locate is not released, once it is to be
        redacted.
        """
        ...


class Resolver(Protocol):
    """Fetches the value of a fact from one kind of source (R4.b). Called from any thread, under a deadline."""

    def fetch(self, source: Source) -> Json:
        """Return the value at the source's pointer.

        Raises `Unavailable` where the source does not answer, `IntegrityError` where it answers nonsense, or where a
        governed tool could have written it.
        """
        ...


class ContentDigests(Protocol):
    """Digests of files that an action names, so that an approval holds for their content. Called from any thread."""

    def digest(self, names: Sequence[str]) -> dict[str, str]:
        """Return SHA-256 as hex, by name, of each name that is a regular file here; `unreadable` where it cannot be."""
        ...


class Notifier(Protocol):
    """Passes a question on to its approvers. Called from the owner's sweep; raises where it could not."""

    def notify(self, wait: Wait, names: Sequence[str]) -> None:
        """Tell these people that the wait is there; never what is in its parameters."""
        ...


class Conflict(Exception):
    """Rows that the commit was based on have moved; `keys` names them. Nothing of the commit stands."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(", ".join(keys))
        self.keys = tuple(keys)


class Placed(NamedTuple):
    """A receipt that is durable: as it was drafted, the SHA-256 of its bytes, and its place in the log."""

    receipt: Receipt
    digest: str
    place: Place


class Ticket(Protocol):
    """A commit on its way. Exactly one of: the receipt as it was signed, or an exception."""

    def wait(self, timeout: float) -> Placed | None:
        """Block until the commit is durable; return where its receipt stands.

        Raises what the commit raised, or `Unavailable` after `timeout` seconds. After a time-out the commit may still
        become durable: the caller must refuse.
        """
        ...

    def result(self) -> Placed | None:
        """Return what `wait` returns, or raise what it raises, once the ticket is decided."""
        ...

    def nudge(self) -> None:
        """Have the commit made by the journal's own thread: for callers that must not block."""
        ...

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call back once it is decided, from any thread; at once where it already is."""
        ...


class Journal(Protocol):
    """The store: rows under compare-and-swap, the context's entries, and the log of receipts.

    Commits are made in the order in which they were enqueued; a commit is durable before its ticket succeeds. Several
    processes may work on one store. The journal never retries: the engine does, after `Conflict`.
    """

    @property
    def inline(self) -> bool:
        """True where `read` cannot wait, so that it may run in the caller's own thread."""
        ...

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return value and version of each row that exists."""
        ...

    def enqueue(self, commit: Commit, *, lazy: bool = False) -> Ticket:
        """Queue a commit; returns at once. `lazy`: nobody waits for it, and it may be made with the next one."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the rows that exist under a prefix, in order."""
        ...

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action, in order, each with the SHA-256 of its bytes."""
        ...

    def witnessed(self, seq: int, timeout: float) -> None:
        """Return once witnesses have confirmed the log up to this place; may wait.

        Raises `Unavailable` where they have not in time, or where no witness is named.
        """
        ...

    def close(self) -> None:
        """Make what is queued durable, and let go of the files."""
        ...


class OtherSize(Exception):
    """A witness knows the log at another size than the one that the proof begins with: `size`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness knows the log at size {size}")
        self.size = size


class Witness(Protocol):
    """Somebody else, who cosigns checkpoints of a log that only grows (C2SP tlog-witness)."""

    @property
    def url(self) -> str:
        """Where it is, for people."""
        ...

    def add(self, old: int, proof: Sequence[bytes], note: str) -> tuple[str, ...]:
        """Return the signature lines of a witness that knows the log at size `old`.

        Raises `OtherSize`, `IntegrityError` where it refuses, `Unavailable` where it does not answer.
        """
        ...


class Anchor(Protocol):
    """Keeps checkpoints outside of the store. Several processes may append."""

    @property
    def name(self) -> str:
        """Which one it is."""
        ...

    def last(self) -> str | None:
        """Return the newest note; raises `Unavailable` where it cannot be read, `IntegrityError` where it is none."""
        ...

    def append(self, note: str, check: Callable[[str | None], None]) -> None:
        """Add a note, durable on return. check: gets the newest one under the lock, and raises to prevent it."""
        ...


class Executor(Protocol):
    """What runs a permitted action: the only place with effects. `parameters` are the permit's own bytes."""

    def __call__(self, parameters: bytes) -> Any:
        """Run the tool; raises what the tool raises."""
        ...
