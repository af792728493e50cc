"""Wire: what owner and callers say to each other, `navicert/1` (docs/reference/socket-protocol.md).

* A frame is four bytes of length, big-endian, and that many bytes of JSON: at most 8 MiB. Bytes stand as base64.
* The first request is `hello`. Every request gets exactly one reply: `{"ok": …}`, or `{"error": {"type", "message"}}`.
* The requests are a closed set of closed shapes; nothing else gets past this file.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import msgspec

from navicert.engine.completing import Output
from navicert.model import errors
from navicert.model.action import Action, ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Denied, Permit, Suspended
from navicert.model.errors import (
    ActionDenied,
    ActionSuspended,
    DenialKind,
    InvalidAction,
    NavicertError,
    Unavailable,
    VerificationError,
)
from navicert.model.identity import Claims
from navicert.model.suspension import Approver, Vote, Wait
from navicert.model.value import Json


class Nonsense(Unavailable):
    """The owner said something that is no reply of this protocol."""


PROTOCOL: Final = "navicert/1"
MOST_BYTES: Final = 8 * 1_048_576
_CHUNK: Final = 65_536


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do", tag=_snake):
    """What a caller may ask for; `do` names it."""


class Hello(Request, frozen=True):
    """The first request of a connection. token: for TCP."""

    protocol: str
    token: str | None = None


class Decide(Request, frozen=True):
    """Judge one action. detached: its permit outlives this connection."""

    action: Action
    session: str | None
    detached: bool = False


class Refuse(Request, frozen=True):
    """Record a call that is refused before it is judged. code: of `core.denial.BEFOREHAND`."""

    action: Action
    session: str | None
    why: str
    code: str = "invalid_parameters"


class Offered(Request, frozen=True):
    """Return which tools may be shown to a session's principal. tools: by full name, each with its declared profile."""

    session: str
    tools: dict[str, ToolProfile | None]


class Resume(Request, frozen=True):
    """Take up an action that waits. detached: as in `decide`."""

    handle: str
    detached: bool = False


class Redeem(Request, frozen=True):
    """Consume a permit, right before its action starts."""

    permit: Permit


class Complete(Request, frozen=True):
    """Report how an action ended. error: the type of what it raised."""

    permit: Permit
    output: Output
    error: str | None = None


class Abandon(Request, frozen=True):
    """Report that nobody knows whether an action happened."""

    permit: Permit
    why: str


class Extend(Request, frozen=True):
    """Label a part of a result."""

    permit: Permit
    output: Output


class GuardsRepeats(Request, frozen=True):
    """Tell whether the same action is refused while this one is open."""

    permit: Permit


class OpenSession(Request, frozen=True):
    """Open a session. The owner sets `claims.peer`."""

    request: str
    claims: Claims


class Delegate(Request, frozen=True):
    """Open a child session."""

    parent: str
    agent: str
    scope: tuple[str, ...]
    expires_at: int | None = None


class Launch(Request, frozen=True):
    """Return a token by which so many processes may act in a session of one's own, for a minute."""

    session: str
    uses: int = 1


class Join(Request, frozen=True):
    """Use a launch token; return the id of its session, in which this peer may act from now on."""

    token: str


class Say(Request, frozen=True):
    """Add later words of the user."""

    session: str
    text: str


class Observe(Request, frozen=True):
    """Add a fact about the environment."""

    session: str
    name: str
    value: Json
    source: str


class Renew(Request, frozen=True):
    """Have a session go on under another token of the same human and agent."""

    session: str
    token: str


class End(Request, frozen=True):
    """Close a session."""

    session: str


class LabelsOf(Request, frozen=True):
    """Return the labels of a session."""

    session: str


class Named(Request, frozen=True):
    """Return the tool name of a waiting action of one's own."""

    handle: str


class Link(Request, frozen=True):
    """Make a one-time address of the approval page, for a waiting action of one's own."""

    handle: str


class OpenPage(Request, frozen=True):
    """Make a one-time address of the approval page: of any action that waits, or of the inbox."""

    handle: str | None = None


class ListWaits(Request, frozen=True):
    """Return what waits, from the `skip`-th on."""

    skip: int = 0


class ShowWait(Request, frozen=True):
    """Return one action that waits."""

    handle: str


class Answer(Request, frozen=True):
    """Give a person's signed answer."""

    handle: str
    vote: Vote


class ListApprovers(Request, frozen=True):
    """Return everybody who is or was enrolled."""


class ListStandings(Request, frozen=True):
    """Return whose authority is not full."""


class Subject(Request, frozen=True):
    """Return the subject that a name stands for."""

    named: str


class Stop(Request, frozen=True):
    """Lower a subject's authority."""

    subject: str
    state: Authority
    by: str
    reason: str


class Restore(Request, frozen=True):
    """Raise a subject's authority, by the signed word of a supervisor."""

    vote: Vote


class Enrol(Request, frozen=True):
    """Enrol an approver."""

    person: Approver


class Dismiss(Request, frozen=True):
    """End an approver's right to answer."""

    name: str


class Settle(Request, frozen=True):
    """Record what a person established about an open action."""

    action_id: str
    happened: bool
    by: str
    reason: str = ""


class Sweep(Request, frozen=True):
    """Look at every wait now."""


# replies


class Welcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reply to `hello`: who the owner takes the caller for, and what it may ask for."""

    protocol: str
    peer: str
    rights: tuple[str, ...]
    separation: str
    in_band_s: float


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The reply to `decide`, `refuse` and `resume`: exactly one of the three."""

    permit: Permit | None = None
    denied: Denied | None = None
    suspended: Suspended | None = None

    @classmethod
    def of(cls, answer: Permit | Denied | Suspended) -> Answered:
        """Return the reply that carries an answer."""
        if isinstance(answer, Permit):
            return cls(permit=answer)
        return cls(denied=answer) if isinstance(answer, Denied) else cls(suspended=answer)

    def one(self) -> Permit | Denied | Suspended:
        """Return the answer; raises `Nonsense` unless it is exactly one."""
        given = [item for item in (self.permit, self.denied, self.suspended) if item is not None]
        if len(given) != 1:
            raise Nonsense("the owner gave no answer, or several")
        return given[0]


class Waits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The reply to `list_waits`. more: ask again, from the next on."""

    waits: tuple[Wait, ...]
    more: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The denial contract, where the error is `ActionDenied`."""

    kind: DenialKind
    reason: str
    next_step: str
    action_id: str
    receipt_id: str | None = None
    reason_code: str = ""
    rules: tuple[str, ...] = ()


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An error: its type (model/errors.py) and message. code: of `VerificationError`."""

    type: str
    message: str
    code: str | None = None
    denial: Refusal | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One reply: `ok` as it stands, or `error`."""

    ok: msgspec.Raw = msgspec.Raw(b"")
    error: Fault | None = None


_REQUEST: Final = msgspec.json.Decoder(
    Hello | Decide | Refuse | Offered | Resume | Redeem | Complete | Abandon | Extend | GuardsRepeats | OpenSession
    | Delegate | Launch | Join | Say | Observe | Renew | End | LabelsOf | Named | Link | OpenPage | ListWaits
    | ShowWait | Answer | ListApprovers | ListStandings | Subject | Stop | Restore | Enrol | Dismiss | Settle | Sweep
)  # fmt: skip
_REPLY: Final = msgspec.json.Decoder(Reply)
_ENCODE: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
_KINDS: Final[dict[str, type[NavicertError]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, NavicertError) and not issubclass(kind, ActionDenied)
}


def parse_request(frame: bytes) -> Request:
    """Return the request in a frame; raises `InvalidAction` for anything that is none."""
    try:
        request: Request = _REQUEST.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidAction(f"this is no request of {PROTOCOL}: {_plain(error)}") from None
    return request


def request_bytes(request: Request) -> bytes:
    """Return a request as a frame's content; raises `InvalidAction` for what cannot be sent."""
    try:
        data = _ENCODE(request)
    except (UnicodeEncodeError, RecursionError, OverflowError, TypeError, ValueError) as error:
        raise InvalidAction(f"this cannot be sent to the owner: {_plain(error)}") from None
    if len(data) > MOST_BYTES:
        raise InvalidAction(f"this is longer than a frame ({len(data)} bytes, at most {MOST_BYTES})")
    return data


def reply_bytes(value: Any) -> bytes:
    """Return a good reply; one that does not fit becomes an error."""
    data = b'{"ok":' + _ENCODE(value) + b"}"
    if len(data) > MOST_BYTES:
        return fault_bytes(Unavailable("the answer is longer than a frame"))
    return data


def fault_bytes(error: NavicertError) -> bytes:
    """Return an error as a reply."""
    message = str(error).encode(errors="replace").decode()[: MOST_BYTES // 16]
    denial = None
    if isinstance(error, ActionDenied) and not isinstance(error, ActionSuspended):
        denial = Refusal(
            kind=error.kind,
            reason=error.reason,
            next_step=error.next_step,
            action_id=error.action_id,
            receipt_id=error.receipt_id,
            reason_code=error.reason_code,
            rules=error.rules,
        )
    code = error.code if isinstance(error, VerificationError) else None
    return _ENCODE(Reply(error=Fault(type=type(error).__name__, message=message, code=code, denial=denial)))


def parse_reply(frame: bytes, kind: Any) -> Any:
    """Return what an owner replied, as `kind`; raises the error that it replied, or `Nonsense`."""
    try:
        reply = _REPLY.decode(frame)
        if (reply.error is None) is (len(bytes(reply.ok)) == 0):
            raise Nonsense("the owner's reply is neither an answer nor an error, or both")
        if reply.error is None:
            return msgspec.json.decode(reply.ok, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Nonsense(f"the owner's reply cannot be read: {_plain(error)}") from None
    raise _raised(reply.error)


def _raised(fault: Fault) -> NavicertError:
    if fault.type == "ActionDenied" and fault.denial is not None:
        return ActionDenied(**msgspec.structs.asdict(fault.denial))
    kind = _KINDS.get(fault.type)
    if kind is VerificationError:
        return VerificationError(fault.code or "unknown", fault.message.removeprefix(f"{fault.code}: "))
    if kind is None:
        return Unavailable(f"the owner failed with something unknown: {fault.message}")
    return kind(fault.message)


def _plain(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


class Frames:
    """One connection, as frames. Not thread-safe: one exchange at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        self._held = bytearray()

    def send(self, content: bytes) -> None:
        """Send one frame; raises `OSError`."""
        self.sock.sendall(len(content).to_bytes(4, "big") + content)

    def receive(self, *, first_s: float | None, rest_s: float) -> bytes | None:
        """Return the next frame, None where the other end has closed between two frames.

        first_s: how long to wait for its beginning, None for ever. rest_s: how long from there to its end. Raises
        `OSError` where it does not come, `InvalidAction` where it is too long.
        """
        if not self._held:
            self.sock.settimeout(first_s)
            if not self._more():
                return None
        end = monotonic() + rest_s
        size: int | None = None
        while True:
            if size is None and len(self._held) >= 4:
                size = int.from_bytes(self._held[:4], "big")
                if size > MOST_BYTES:
                    raise InvalidAction(f"a frame of {size} bytes is longer than {MOST_BYTES}")
            if size is not None and len(self._held) >= 4 + size:
                frame = bytes(self._held[4 : 4 + size])
                del self._held[: 4 + size]
                return frame
            left = end - monotonic()
            if left <= 0:
                raise TimeoutError("a frame did not come to its end in time")
            self.sock.settimeout(left)
            if not self._more():
                raise ConnectionError("the connection ended in the middle of a frame")

    def _more(self) -> bool:
        chunk = self.sock.recv(_CHUNK)
        self._held += chunk
        return bool(chunk)

    def stale(self) -> bool:
        """Tell whether the other end has closed, or has said something that nobody asked for."""
        try:
            self.sock.settimeout(0.0)
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return bool(self._held)
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self.sock.close()
