"""navicert: a control plane for the actions of AI agents.

    import navicert

    guard = navicert.open()

    @guard.tool("email.send", effect="send", destination="to")
    def send(to: str, body: str) -> None: ...

    with guard.session(request="write to Ana", human="ana", agent="assistant"):
        send("ana@example.com", "hello")

Judges each action before it runs, by policy and context, and leaves a signed receipt. Self-assessed against AARM v1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from navicert.model.decision import Verdict
from navicert.model.errors import (
    ActionDenied,
    ActionSuspended,
    DenialKind,
    IdentityError,
    IntegrityError,
    InvalidAction,
    NavicertError,
    PolicyError,
    ResultWithheld,
    Unavailable,
    VerificationError,
)

if TYPE_CHECKING:
    from os import PathLike

    from navicert.sdk.guard import Guard
    from navicert.sdk.session import Session

SPEC_VERSION = "AARM v1.0"
"""The specification that this version is self-assessed against."""


def open(path: str | PathLike[str] | None = None) -> Guard:  # noqa: A001 - `navicert.open()` reads as what it does
    """Open a deployment: the `.navicert` folder in `path`, here, or above; raises `PolicyError` where there is none."""
    from pathlib import Path

    from navicert.assemble import open_home
    from navicert.sdk.guard import Guard

    return Guard(open_home(Path(path) if path is not None else None))


def connect(
    path: str | PathLike[str] | None = None,
    *,
    timeout_s: float = 5.0,
    token: str | None = None,
    address: str | None = None,
) -> Guard:
    """Connect to the resident owner (`navicert up`) of a home folder, found as `open` does, or at a socket.

    timeout_s: after which an owner that does not answer counts as away, and what was asked is refused. address, token:
    of an owner that listens on TCP (`127.0.0.1:7437`). Raises `Unavailable` where no owner answers.
    """
    from pathlib import Path

    from navicert.sdk.guard import Guard
    from navicert.service.reach import reach

    place = Path(path) if path is not None else None
    return Guard(reach(place, timeout_s=timeout_s, token=token, address=address))


def __getattr__(name: str) -> Any:
    if name == "Guard":
        from navicert.sdk.guard import Guard

        return Guard
    if name == "Session":
        from navicert.sdk.session import Session

        return Session
    raise AttributeError(f"module `navicert` has no attribute `{name}`")


__all__ = [
    "SPEC_VERSION",
    "ActionDenied",
    "ActionSuspended",
    "DenialKind",
    "Guard",
    "IdentityError",
    "IntegrityError",
    "InvalidAction",
    "NavicertError",
    "PolicyError",
    "ResultWithheld",
    "Session",
    "Unavailable",
    "Verdict",
    "VerificationError",
    "connect",
    "open",
]
