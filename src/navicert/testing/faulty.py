"""Ports that fail on demand: each wraps a real one and does what its `Fault` says (R1.c).

* A fault raises, hangs until it is released, answers nonsense, or (journal) makes a commit durable and says it failed.
* With no fault set, the wrapper is the port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Thread
from typing import Any, Final

from navicert.model.action import Action
from navicert.model.commit import Commit
from navicert.model.context import SessionContext
from navicert.model.errors import Unavailable
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.model.receipt import Receipt
from navicert.model.signals import Finding
from navicert.model.value import Json
from navicert.ports import (
    Classifier,
    Clock,
    Detector,
    DisclosureKeys,
    IdentityVerifier,
    Journal,
    Locator,
    Placed,
    Signer,
    Span,
    Ticket,
)

_LONGEST_S: Final = 60.0
_OK: Final = "ok"


class Fault:
    """A switch: how the calls that pass through it go wrong. `only` limits it to calls whose argument it accepts."""

    def __init__(self) -> None:
        self._mode = _OK
        self._value: Any = None
        self._only: Callable[[Any], bool] | None = None
        self._left: int | None = None
        self._change = Condition()
        self.hits = 0
        """So many calls met the fault."""

    def raises(
        self, error: BaseException | None = None, *, only: Callable[[Any], bool] | None = None, times: int | None = None
    ) -> None:
        """Calls raise."""
        self._set("raises", error or RuntimeError("the port is down"), only, times)

    def hangs(self, *, only: Callable[[Any], bool] | None = None) -> None:
        """Calls wait until `clear`, and go through then."""
        self._set("hangs", None, only, None)

    def answers(self, value: Any, *, only: Callable[[Any], bool] | None = None) -> None:
        """Calls return this instead of an answer; nothing is passed on."""
        self._set("answers", value, only, None)

    def persists(
        self, error: BaseException | None = None, *, only: Callable[[Any], bool] | None = None, times: int | None = None
    ) -> None:
        """Commits become durable, and are reported as failed."""
        self._set("persists", error or Unavailable("the store failed: the connection was lost"), only, times)

    def clear(self) -> None:
        """Heal the port, and let go of what hangs."""
        self._set(_OK, None, None, None)

    def _set(self, mode: str, value: Any, only: Callable[[Any], bool] | None, times: int | None) -> None:
        with self._change:
            self._mode, self._value, self._only, self._left = mode, value, only, times
            self._change.notify_all()

    def take(self, subject: Any = None) -> tuple[str, Any]:
        """Return (mode, value) for one call about `subject`, and count it."""
        with self._change:
            if self._mode == _OK or self._left == 0 or (self._only is not None and not self._only(subject)):
                return _OK, None
            self.hits += 1
            if self._left is not None:
                self._left -= 1
            return self._mode, self._value

    def wait(self) -> None:
        """Return once the fault no longer hangs."""
        with self._change:
            self._change.wait_for(lambda: self._mode != "hangs", timeout=_LONGEST_S)

    def through(self, call: Callable[[], Any], subject: Any = None) -> Any:
        """Make one call through the fault."""
        mode, value = self.take(subject)
        if mode == "raises":
            raise value
        if mode == "answers":
            return value
        if mode == "hangs":
            self.wait()
        return call()


class FaultyClock:
    """A clock behind a fault."""

    def __init__(self, inner: Clock, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    def now(self) -> int:
        """Return the time."""
        now: int = self._fault.through(self._inner.now)
        return now


class FaultySigner:
    """A signer behind a fault; a hanging one holds up the journal's writer."""

    def __init__(self, inner: Signer, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    @property
    def key_id(self) -> str:
        """The inner signer's."""
        return self._inner.key_id

    @property
    def algorithm(self) -> str:
        """The inner signer's."""
        return self._inner.algorithm

    @property
    def inline(self) -> bool:
        """False: it may hang."""
        return False

    def sign(self, message: bytes) -> bytes:
        """Return the signature."""
        signature: bytes = self._fault.through(lambda: self._inner.sign(message), message)
        return signature


class FaultyKeys:
    """Disclosure keys behind a fault."""

    def __init__(self, inner: DisclosureKeys, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    @property
    def inline(self) -> bool:
        """False: it may hang."""
        return False

    def wrap(self, subject: str, key: bytes) -> bytes:
        """Return the key wrapped."""
        wrapped: bytes = self._fault.through(lambda: self._inner.wrap(subject, key), subject)
        return wrapped

    def unwrap(self, subject: str, wrapped: bytes) -> bytes:
        """Return the data key."""
        key: bytes = self._fault.through(lambda: self._inner.unwrap(subject, wrapped), subject)
        return key


class FaultyVerifier:
    """An identity verifier behind a fault. inline: False unless told, so that it may hang."""

    def __init__(self, inner: IdentityVerifier, fault: Fault, *, inline: bool = False) -> None:
        self._inner = inner
        self._fault = fault
        self.inline = inline

    def verify(self, claims: Claims, session: str, delegation: tuple[Delegation, ...], now: int) -> ActionIdentity:
        """Return the identity."""
        identity: ActionIdentity = self._fault.through(
            lambda: self._inner.verify(claims, session, delegation, now), claims
        )
        return identity


class FaultyDetector:
    """A detector behind a fault."""

    def __init__(self, inner: Detector, fault: Fault, *, inline: bool = False) -> None:
        self._inner = inner
        self._fault = fault
        self.name = inner.name
        self.signals = inner.signals
        self.inline = inline

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return the finding."""
        finding: Finding = self._fault.through(lambda: self._inner.measure(action, parameters, context), action)
        return finding


class FaultyClassifier:
    """A classifier behind a fault."""

    def __init__(self, inner: Classifier, fault: Fault, *, inline: bool = False) -> None:
        self._inner = inner
        self._fault = fault
        self.name = inner.name
        self.inline = inline

    def classify(self, text: str) -> Finding:
        """Return the finding."""
        finding: Finding = self._fault.through(lambda: self._inner.classify(text), text)
        return finding

    def locate(self, text: str, *, glued: bool) -> Sequence[Span]:
        """Return where it is; nowhere, where the one behind it cannot say."""
        inner = self._inner
        found: Sequence[Span] = self._fault.through(
            lambda: inner.locate(text, glued=glued) if isinstance(inner, Locator) else (), text
        )
        return found


class FaultyJournal:
    """A journal behind two faults: `reading` and `committing`. Commits that hung are queued in any order."""

    def __init__(self, inner: Journal, *, reading: Fault, committing: Fault, inline: bool = False) -> None:
        self._inner = inner
        self._reading = reading
        self._committing = committing
        self.inline = inline

    def read(self, keys: Sequence[str]) -> dict[str, tuple[Any, int]]:
        """Return the rows."""
        rows: dict[str, tuple[Any, int]] = self._reading.through(lambda: self._inner.read(keys), keys)
        return rows

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the rows under a prefix."""
        found: list[str] = self._reading.through(lambda: self._inner.keys(prefix), prefix)
        return found

    def receipts_of(self, action_id: str) -> list[tuple[Receipt, str]]:
        """Return the receipts of one action."""
        found: list[tuple[Receipt, str]] = self._reading.through(lambda: self._inner.receipts_of(action_id), action_id)
        return found

    def witnessed(self, seq: int, timeout: float) -> None:
        """Wait for witnesses."""
        self._reading.through(lambda: self._inner.witnessed(seq, timeout), str(seq))

    def enqueue(self, commit: Commit, *, lazy: bool = False) -> Ticket:
        """Queue a commit."""
        mode, value = self._committing.take(commit)
        match mode:
            case "raises":
                raise value
            case "persists":
                return _Lied(self._inner.enqueue(commit, lazy=lazy), value)
            case "answers":
                return _Nonsense(self._inner.enqueue(commit, lazy=lazy), value)
            case "hangs":
                return _Held(self._committing, lambda: self._inner.enqueue(commit, lazy=lazy))
        return self._inner.enqueue(commit, lazy=lazy)

    def close(self) -> None:
        """Close the inner journal."""
        self._inner.close()


class _Lied:
    """A commit that stands, and is reported as failed."""

    def __init__(self, inner: Ticket, error: BaseException) -> None:
        self._inner = inner
        self._error = error

    def wait(self, timeout: float) -> Placed | None:
        self._inner.wait(timeout)
        raise self._error

    def result(self) -> Placed | None:
        raise self._error

    def nudge(self) -> None:
        self._inner.nudge()

    def on_done(self, callback: Callable[[], None]) -> None:
        self._inner.on_done(callback)


class _Nonsense:
    """A commit that stands, and answers with something else than its receipt."""

    def __init__(self, inner: Ticket, value: Any) -> None:
        self._inner = inner
        self._value = value

    def wait(self, timeout: float) -> Placed | None:
        self._inner.wait(timeout)
        return self.result()

    def result(self) -> Placed | None:
        value: Placed | None = self._value
        return value

    def nudge(self) -> None:
        self._inner.nudge()

    def on_done(self, callback: Callable[[], None]) -> None:
        self._inner.on_done(callback)


class _Held:
    """A commit that is not even begun until the fault lets go of it; its waiters may have given up by then."""

    def __init__(self, fault: Fault, begin: Callable[[], Ticket]) -> None:
        self._inner: Ticket | None = None
        self._change = Condition()
        self._callbacks: list[Callable[[], None]] = []
        self._error: BaseException | None = None
        self._fault = fault
        Thread(target=self._serve, args=(begin,), name="navicert-held", daemon=True).start()

    def _serve(self, begin: Callable[[], Ticket]) -> None:
        self._fault.wait()
        try:
            inner = begin()
            inner.wait(_LONGEST_S)
        except Exception as error:  # noqa: BLE001 - it belongs to the one who waits
            self._error = error
            inner = None
        with self._change:
            self._inner = inner
            callbacks, self._callbacks = self._callbacks, []
            self._done = True
        for callback in callbacks:
            callback()
        with self._change:
            self._change.notify_all()

    _done = False

    def wait(self, timeout: float) -> Placed | None:
        with self._change:
            if not self._change.wait_for(lambda: self._done, timeout=timeout):
                raise Unavailable("the store did not answer in time; nothing was permitted")
        return self.result()

    def result(self) -> Placed | None:
        if self._error is not None:
            raise self._error
        return self._inner.result() if self._inner is not None else None

    def nudge(self) -> None:
        pass

    def on_done(self, callback: Callable[[], None]) -> None:
        with self._change:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback()
