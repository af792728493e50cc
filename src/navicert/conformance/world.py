"""The world that governed tools act on, and what watches it: files, a mail server, a database, a listener (R1.a).

* The observers are the kit's own, in the kit's own process, and know nothing of the system under test.
* `World.seen(value)` says everywhere where a value has arrived that was drawn at run time: an effect that nobody
  reports shows all the same, wherever it went.
* One `Observers` serves a whole run; each deployment has a `World` of its own: a folder and a database.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from secrets import token_hex
from socketserver import ThreadingTCPServer
from threading import Lock, Thread
from typing import Any, Final

from aiosmtpd.controller import Controller

LOOPBACK: Final = "127.0.0.1"
ROWS: Final = 40


def drawn() -> str:
    """Return a value that nobody can know before: 16 hexadecimal characters behind a letter."""
    return f"v{token_hex(8)}"


class Observers:
    """A mail server and a listener on free ports of this machine, which keep all that reaches them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrived: list[tuple[str, bytes]] = []
        self.mail_port = 0
        self.net_port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen while this lasts."""
        net = _Listener((LOOPBACK, 0), _Request)
        net.observers = self
        self.net_port = net.server_address[1]
        self.mail_port = _free_port()
        mail = Controller(_Mail(self), hostname=LOOPBACK, port=self.mail_port, server_hostname="localhost")
        mail.start()
        Thread(target=net.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield
        finally:
            net.shutdown()
            net.server_close()
            mail.stop()

    def arrives(self, where: str, data: bytes) -> None:
        """Keep what came in."""
        with self._lock:
            self._arrived.append((where, data))

    def arrived(self, where: str) -> tuple[bytes, ...]:
        """Return what came in at `mail` or `net`, oldest first."""
        with self._lock:
            return tuple(data for place, data in self._arrived if place == where)


class World:
    """What the tools of one deployment can reach: `files` (a folder), a database, mail, the net."""

    def __init__(self, folder: Path, observers: Observers) -> None:
        self.folder = folder
        self.observers = observers
        self.files = folder / "files"
        self.database = folder / "world.db"
        self.where = folder / "world.json"

    def make(self) -> None:
        """Make folder and database, and the file by which the tools find them."""
        self.files.mkdir(parents=True)
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, value TEXT)")
            rows = ((number, f"item {number}", drawn()) for number in range(1, ROWS + 1))
            database.executemany("INSERT INTO items VALUES (?, ?, ?)", rows)
        found = {
            "files": str(self.files),
            "database": str(self.database),
            "mail": [LOOPBACK, self.observers.mail_port],
            "net": [LOOPBACK, self.observers.net_port],
        }
        self.where.write_text(json.dumps(found), encoding="utf-8")

    # what is looked at; never for the system under test

    def seen(self, value: str) -> tuple[str, ...]:
        """Return where a value is: `file:NAME`, `row:ID`, `mail`, `net`, each as often as it is there."""
        data = value.encode()
        found = [
            f"file:{path.relative_to(self.files)}"
            for path in sorted(self.files.rglob("*"))
            if value in str(path.relative_to(self.files)) or (path.is_file() and data in path.read_bytes())
        ]
        found += [f"row:{row[0]}" for row in self.rows() if value in str(row[1:])]
        found += [where for where in ("mail", "net") for came in self.observers.arrived(where) if data in came]
        return tuple(found)

    def rows(self) -> list[tuple[int, str, str]]:
        """Return the table's rows; none where the table is gone."""
        with closing(sqlite3.connect(self.database)) as database:
            try:
                return database.execute("SELECT id, name, value FROM items ORDER BY id").fetchall()
            except sqlite3.OperationalError:
                return []

    def put(self, name: str, text: str) -> Path:
        """Put a file there, as somebody who is not governed."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)  # whatever the umask: what others may write, nobody believes
        return path

    def text(self, name: str) -> str | None:
        """Return what a file holds, None where there is none."""
        path = self.files / name
        return path.read_text(encoding="utf-8") if path.is_file() else None


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


class _Mail:
    """Keeps every message (the handler that aiosmtpd asks for)."""

    def __init__(self, observers: Observers) -> None:
        self._observers = observers

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802 - the name and shape that aiosmtpd calls
        to = ", ".join(envelope.rcpt_tos)
        self._observers.arrives("mail", f"To: {to}\n".encode() + envelope.content)
        return "250 kept"


class _Listener(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    observers: Observers


class _Request(BaseHTTPRequestHandler):
    server: _Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.observers.arrives("net", f"{self.command} {self.path}\n".encode() + body)
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing on standard error; what arrives is kept."""
