"""A home of which somebody can be erased: Ana and Zoe have had sessions, and five people may answer.

As a program it is the second person, and dies on the way: `python erasable.py FOLDER STEP WHEN`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import navicert
from navicert import erasing
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.adapters.store.sqlite import SqliteJournal
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
    """The home, and the keys of people by name; made at the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / ".navicert")
        self.keys: dict[str, FileKey] = {}
        if self.home.config.exists():
            self.keys = {name: load_key(folder / f"{name}.pem") for name in NAMES}
            return
        self.home = make_home(folder / ".navicert", origin="tests", service="tests", policy=POLICY)
        text = self.home.config.read_text(encoding="utf-8") + "in_band_s: 0\n"
        self.home.config.write_text(text, encoding="utf-8")
        for name in NAMES:
            self.keys[name] = new_key("Ed25519")
            save_key(self.keys[name], folder / f"{name}.pem")
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


STEPS = ("key aside", "record", "key destroyed", "contexts", "row")
WHENS = ("before", "after")


@contextmanager
def broken(step: str, when: str, fail: Callable[[], None]) -> Iterator[None]:
    """Have one step of an erasure fail before it does anything, or after it has done all."""
    place, name = {
        "key aside": (SubjectKeys, "set_aside"),
        "record": (erasing, "_write"),
        "key destroyed": (SubjectKeys, "destroy"),
        "contexts": (erasing, "erase"),
        "row": (SqliteJournal, "enqueue"),
    }[step]
    real = getattr(place, name)

    def breaks(*args: Any, **how: Any) -> Any:
        if step == "row" and not any(item.value is None and item.key[:8] == "erasure/" for item in args[1].writes):
            return real(*args, **how)
        if when == "before":
            fail()
        done = real(*args, **how)
        if step == "row":
            done.wait(10)
        fail()
        return done

    with patch.object(place, name, breaks):
        yield


if __name__ == "__main__":
    with broken(sys.argv[2], sys.argv[3], lambda: os.kill(os.getpid(), signal.SIGKILL)):
        Erasable(Path(sys.argv[1])).sign("cho")
