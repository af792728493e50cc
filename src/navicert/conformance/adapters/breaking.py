"""How a deployment of ours is broken from outside of the code that decides, and put right again (R1.c).

* By files, signals, limits and processes alone: the code that decides does not know that it is tested.
* Some ways show only to a process that starts: then the one that decides is ended, and started anew, which may fail.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import new_key, save_key
from navicert.adapters.store.reading import connect
from navicert.adapters.store.vault import Vault
from navicert.audit import open_archive
from navicert.conformance import contract
from navicert.conformance.forking import Process
from navicert.core.accumulate import fold
from navicert.core.canonical import state_bytes
from navicert.core.shared import session_key
from navicert.model.context import Attempt
from navicert.model.decision import Verdict
from navicert.model.errors import NavicertError, Unavailable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from navicert.conformance.adapters.ours import Ours

_GARBAGE: Final = b'{"verdict": "ALLOW"}\n\xff\x00\xfegarbage\n' * 512
_STALE: Final = b'{"issued_at": "2020-01-01T00:00:00Z", "revoked": {}}'
_LARGEST: Final = 4_096
"""Of a file that a process on a full disk may still write: enough for what the tools write, not for the store."""


# the processes


@contextmanager
def _killed(ours: Ours) -> Iterator[None]:
    owner = _owner(ours)
    owner.kill()
    owner.wait()
    yield
    ours.start_owner()


@contextmanager
def _hung(ours: Ours) -> Iterator[None]:
    owner = _owner(ours)
    owner.send_signal(signal.SIGSTOP)
    yield
    owner.send_signal(signal.SIGCONT)


@contextmanager
def _out_of_reach(ours: Ours) -> Iterator[None]:
    """The owner runs, and no way leads to it: every connection is cut, and its socket is not where it was."""
    _owner(ours).kill()
    _owner(ours).wait()
    ours.start_owner()
    with _gone(_socket(ours)):
        yield


@contextmanager
def _talking_nonsense(ours: Ours) -> Iterator[None]:
    """In the owner's place, somebody who answers whatever is asked with garbage."""
    _owner(ours).kill()
    _owner(ours).wait()
    place = _socket(ours)
    place.unlink()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as server:
        server.bind(str(place))
        server.listen()
        Thread(target=_babble, args=(server,), daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)
    place.unlink()
    ours.start_owner()


def _babble(server: socket.socket) -> None:
    with suppress(OSError):  # closed: it is over
        while True:
            peer, _ = server.accept()
            with closing(peer):
                peer.settimeout(1.0)
                with suppress(OSError):
                    peer.recv(65_536)
                    peer.sendall(_GARBAGE)


@contextmanager
def _closed(ours: Ours) -> Iterator[None]:
    ours.down()
    yield
    ours.up()


@contextmanager
def _gateways_killed(ours: Ours) -> Iterator[None]:
    for each in ours.gateways():
        each.kill()
        each.wait()
    yield
    ours.new_gateways()


@contextmanager
def _gateways_hung(ours: Ours) -> Iterator[None]:
    for each in ours.gateways():
        each.send_signal(signal.SIGSTOP)
    ours.patience_s, before = 1.5, ours.patience_s
    yield
    ours.patience_s = before
    for each in ours.gateways():
        each.kill()
        each.wait()
    ours.new_gateways()


def _owner(ours: Ours) -> Process:
    if ours.owner is None:
        raise Unavailable("no owner runs here")
    return ours.owner


# what lies on the disk


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.aside")


@contextmanager
def _gone(*paths: Path) -> Iterator[None]:
    here = [path for path in paths if path.exists()]
    for path in here:
        path.rename(_aside(path))
    yield
    for path in here:
        _aside(path).rename(path)


@contextmanager
def _holding(path: Path, data: bytes) -> Iterator[None]:
    """Have a file hold this: another file in its place, as an editor leaves it."""
    with _gone(path):
        path.write_bytes(data)
        yield
        path.unlink()


@contextmanager
def _started_on(ours: Ours, change: AbstractContextManager[None]) -> Iterator[None]:
    """Have whoever decides end, and start anew on what was changed; that it refuses to start is as good."""
    ours.down()
    with change:
        with suppress(NavicertError):
            ours.up()
        yield
        ours.down()
    ours.up()


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Another process's transaction that does not end."""
    with closing(sqlite3.connect(store, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _full(pid: int) -> Iterator[None]:
    """No file of the process that decides may grow beyond a few kilobytes: to it the disk is full."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LARGEST, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def _somebody_elses(key: Path) -> Iterator[None]:
    """A good key, that nobody knows."""
    with _gone(key):
        save_key(new_key("Ed25519"), key)
        yield
        key.unlink()


def _store(ours: Ours) -> list[Path]:
    store = ours.home.store
    return [store, *(store.with_name(store.name + end) for end in ("-wal", "-shm"))]


def _socket(ours: Ours) -> Path:
    return Path(ours.start.folder) / "run" / "owner.sock"


def _policy(ours: Ours) -> Path:
    return ours.home.folder / "policy.yaml"


def _anchor(ours: Ours) -> Path:
    return Path(ours.start.folder) / "anchor.notes"


def _keys(ours: Ours) -> Path:
    return Path(ours.start.issuer.keys)


def _revoked(ours: Ours) -> Path:
    return Path(ours.start.issuer.revocations)


_WAYS: Final[dict[str, Callable[[Ours], AbstractContextManager[None]]]] = {
    "engine:closed": _closed,
    "owner:kill": _killed,
    "owner:hang": _hung,
    "owner:garbage": _talking_nonsense,
    "owner:partition": _out_of_reach,
    "gateway:kill": _gateways_killed,
    "gateway:hang": _gateways_hung,
    "store:gone": lambda ours: _gone(*_store(ours)),
    "store:locked": lambda ours: _locked(ours.home.store),
    "store:full": lambda ours: _full(_owner(ours).pid if ours.own_owner else os.getpid()),
    "store:garbage": lambda ours: _started_on(ours, _holding(ours.home.store, _GARBAGE)),
    "log:emptied": lambda ours: _started_on(ours, _holding(_anchor(ours), b"")),
    "log:garbage": lambda ours: _started_on(ours, _holding(_anchor(ours), _GARBAGE)),
    "keys:gone": lambda ours: _started_on(ours, _gone(ours.home.receipt_key)),
    "keys:others": lambda ours: _started_on(ours, _somebody_elses(ours.home.receipt_key)),
    "identity:keys-gone": lambda ours: _gone(_keys(ours)),
    "identity:keys-garbage": lambda ours: _holding(_keys(ours), _GARBAGE),
    "identity:revocations-gone": lambda ours: _gone(_revoked(ours)),
    "identity:revocations-garbage": lambda ours: _holding(_revoked(ours), _GARBAGE),
    "identity:revocations-stale": lambda ours: _started_on(ours, _holding(_revoked(ours), _STALE)),
    "rules:gone": lambda ours: _started_on(ours, _gone(_policy(ours))),
    "rules:garbage": lambda ours: _started_on(ours, _holding(_policy(ours), _GARBAGE)),
    "edit:gone": lambda ours: _gone(_policy(ours)),
    "edit:garbage": lambda ours: _holding(_policy(ours), _GARBAGE),
}


def parts_of(ours: Ours) -> tuple[str, ...]:
    """Return what can be broken on a surface: an owner where one decides, gateways where there are any."""
    without = {"engine" if ours.own_owner else "owner", *(() if ours.has_gateways else ("gateway",))}
    return tuple(part for part in _WAYS if part.partition(":")[0] not in without)


def break_part(ours: Ours, request: contract.Break) -> str:
    """Break a part, or mend it; returns what was done."""
    if request.mend:
        ours.broken.pop(request.part).__exit__(None, None, None)
        return "mended"
    way = _WAYS[request.part](ours)
    way.__enter__()
    ours.broken[request.part] = way
    return (way.__doc__ or request.part).strip().split("\n", 1)[0]


def change_context(ours: Ours, request: contract.Tamper) -> str:
    """Change an earlier entry of a session's context, and all that follows from it, as whoever has the store's key."""
    session = ours.sessions[request.session].id
    vault, key = Vault(read_secret(ours.home.store_key)), session_key(session)
    with open_archive(ours.home) as archive:
        entries = dict(archive.entries(session))
    place, attempt = next((place, each) for place, each in entries.items() if isinstance(each, Attempt))
    entries[place] = replace(attempt, name=f"{attempt.name}d", verdict=Verdict.ALLOW)
    with closing(connect(ours.home.store)) as store:
        store.execute("BEGIN IMMEDIATE")
        (version,) = store.execute("SELECT version FROM row WHERE key = ?", (key,)).fetchone()
        sealed = vault.seal_to_keep(f"entry/{session}/{place}", state_bytes(entries[place]))
        store.execute("UPDATE entry SET value = ? WHERE session = ? AND seq = ?", (sealed, session, place))
        row = vault.seal(f"row/{key}/{version + 1}", state_bytes(fold([*entries.values()])))
        store.execute("UPDATE row SET value = ?, version = ? WHERE key = ?", (row, version + 1, key))
        store.execute("COMMIT")
    return f"entry {place} of {session}"
