"""A home of which somebody can be erased: Ana and Zoe have had sessions, and five people may answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import navicert
from navicert.adapters.sign.file_key import FileKey, new_key
from navicert.assemble import Assembled, Home, make_home, open_home
from navicert.audit import open_archive
from navicert.core.seal import b64
from navicert.erasing import Decided, decide, look
from navicert.model.suspension import Approver
from navicert.verification.erasures import ERASED

POLICY = """\
policy: tests
version: 1
posture: declared_reads
rules:
  - id: asked
    match: {tool: pay, operation: send}
    decision: STEP_UP
    approvers: [ben, cho]
"""
NAMES = ("ana", "ben", "cho", "dan", "eve")
SECRET = "what only ana said"


class Erasable:
    """The home, and the keys of people by name."""

    def __init__(self, folder: Path) -> None:
        self.home: Home = make_home(folder / ".navicert", origin="tests", service="tests", policy=POLICY)
        text = self.home.config.read_text(encoding="utf-8") + "in_band_s: 0\n"
        self.home.config.write_text(text, encoding="utf-8")
        self.keys: dict[str, FileKey] = {name: new_key("Ed25519") for name in NAMES}
        with self.open() as opened:
            for name, key in self.keys.items():
                opened.engine.enrol(
                    Approver(
                        name=name,
                        key_id=key.key_id,
                        algorithm=key.algorithm,
                        public=b64(key.public),
                        since=opened.engine.now(),
                    )
                )
        self.act("ana", "zoe")

    @contextmanager
    def open(self) -> Iterator[Assembled]:
        opened = open_home(self.home.folder)
        try:
            yield opened
        finally:
            opened.close()

    def act(self, *names: str, guard: navicert.Guard | None = None) -> None:
        """Each of them has a session, in which something is read; the sessions end."""
        opened = guard or navicert.open(self.home.folder)
        read = opened.tool("files.read", effect="read", resource="path", returns="INTERNAL")(_read)
        try:
            for name in names:
                with opened.session(request=f"{SECRET}, {name}", human=name, agent="bot"):
                    read(f"of-{name}.txt")
        finally:
            if guard is None:
                opened.close()

    def sign(self, by: str, subject: str = "ana", state: str = ERASED, reason: str = "she asked for it") -> Decided:
        """One person signs."""
        with self.open() as opened:
            return decide(opened, look(opened, subject), state, reason, by, self.keys[by])

    def erase(self, subject: str = "ana") -> Decided:
        self.sign("ben", subject)
        return self.sign("cho", subject)

    def pseudonym(self, name: str) -> str:
        with self.open() as opened:
            return opened.pseudonym(name)

    def key_file(self, name: str = "ana") -> Path:
        return self.home.subjects / f"{self.pseudonym(name)}.key"

    def sealed(self, name: str = "ana") -> list[bytes]:
        """What lies sealed in the store of the contexts of one person: the bytes of their rows and entries."""
        with self.open() as opened:
            sessions = look(opened, name).sessions
        with open_archive(self.home) as archive:
            rows = archive._connection.execute("SELECT key, value FROM row UNION ALL SELECT session, value FROM entry")
            found = [bytes(value) for key, value in rows if key.removeprefix("session/") in sessions]
        assert found
        return found


def _read(path: str) -> str:
    return f"the text of {path}"
