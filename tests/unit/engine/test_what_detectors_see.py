"""Detectors see who was verified, not who a session claims to be, and never a token (R6.c, D.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.identity import ActionIdentity, Claims
from navicert.model.signals import Finding
from navicert.testing.deployment import open_bench

POLICY = """\
policy: p
version: 1
posture: declared_tools
tools: {notes.read: {effect: read, returns: PUBLIC}}
"""


class Looks:
    """A detector that keeps the claims it was shown."""

    name = "looks"
    signals: tuple[str, ...] = ()
    inline = True

    def __init__(self) -> None:
        self.seen: list[Claims] = []

    def measure(self, action: Action, parameters: Mapping[str, Any], context: SessionContext) -> Finding:
        self.seen.append(context.claims)
        return Finding()


class Corrects:
    """A verifier that finds somebody else behind the claims."""

    inline = True

    def __init__(self, real: Any) -> None:
        self._real = real

    def verify(self, *arguments: Any) -> ActionIdentity:
        found: ActionIdentity = self._real.verify(*arguments)
        return msgspec.structs.replace(found, human="issuer|ann", agent="mailbot", roles=("clerk",))


def test_a_detector_sees_the_verified_identity_and_no_token(tmp_path: Path) -> None:
    looks = Looks()
    with open_bench(tmp_path / "h", POLICY, verifier=Corrects, detectors=lambda real: (*real, looks)) as guard:

        @guard.tool("notes.read")
        def read(name: str) -> str:
            return name

        with guard.session(request="r", human="eve", agent="bot", roles=["admin"], token="secret"):
            read("a")
    (seen,) = looks.seen
    assert (seen.human, seen.agent, seen.roles, seen.token) == ("issuer|ann", "mailbot", ("clerk",), None)
