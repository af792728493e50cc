"""`navicert witness`: run a witness of logs, of one's own or of others (docs/how-to/run-a-witness.md)."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, shown_path
from navicert.cli.terminal import Terminal, emit

if TYPE_CHECKING:
    from navicert.witness.state import Settings, Watched

folder_argument = click.argument("folder", type=click.Path(path_type=Path))


@click.group()
def verb() -> None:
    """Watch logs, and cosign what only ever grows; FOLDER holds a witness's key and all that it remembers."""


@verb.command()
@folder_argument
@click.option("--name", required=True, help="Its name in every cosignature, as `example.com/witness`.")
@click.option("--encrypt", is_flag=True, help="Encrypt its key with a passphrase, asked for now and at each start.")
@common
def new(folder: Path, name: str, encrypt: bool, home: str | None, as_json: bool) -> int:
    """Make a witness with a fresh key in FOLDER, which is new or empty."""
    from navicert.adapters.sign.encrypted_key import SHORTEST
    from navicert.cli.tty import Tty
    from navicert.witness.state import check_name, make_witness

    del home
    check_name(name, "witness")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misused(f"{folder}: not an empty folder, and no witness is ever overwritten; name a new folder")
    passphrase = None
    if encrypt:
        with Tty("set a passphrase") as tty:
            passphrase = tty.new_passphrase(name, SHORTEST)
    settings = make_witness(folder, name, passphrase)
    if as_json:
        emit(
            {
                "format": "navicert/witness-new/1",
                "folder": str(folder.resolve()),
                "name": name,
                "vkey": settings.vkey,
                "encrypted": encrypt,
            }
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} made {shown_path(folder)}, mode 0700")
    out.fields(
        [("vkey", settings.vkey), ("next", "name its logs: `navicert witness watch FOLDER --origin O --key VKEY`")]
    )
    return FINE


@verb.command()
@folder_argument
@click.option("--origin", required=True, help="The first line of the log's checkpoints.")
@click.option("--key", required=True, metavar="VKEY", help="A key that signs them, as `name+hash+key`.")
@common
def watch(folder: Path, origin: str, key: str, home: str | None, as_json: bool) -> int:
    """Watch a log from now on, or believe one more key of a log that is watched. The witness must not run.

    The first checkpoint that comes is cosigned as it is; from then on the log may only grow.
    """
    from navicert.witness.state import watch as begin

    del home
    log = begin(folder, origin, key)
    if as_json:
        emit({"format": "navicert/witness-watch/1", "origin": log.origin, "hash": log.hash, "keys": list(log.keys)})
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} watches the log")
    out.fields([("origin", log.origin), *(("key", each) for each in log.keys)])
    return FINE


@verb.command()
@folder_argument
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:7439", show_default=True, help="Port 0: a free one.")
@common
def run(folder: Path, listen: str, home: str | None, as_json: bool) -> int:
    """Cosign over HTTP, in the foreground, until SIGINT or SIGTERM; exit code 6 where the witness runs already."""
    import os

    from navicert.cli.tty import Tty
    from navicert.witness.server import WitnessServer
    from navicert.witness.state import Witness, is_encrypted, read_settings

    del home
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    name, passphrase = read_settings(folder).name, None
    if is_encrypted(folder):
        with Tty("type the passphrase") as tty:
            passphrase = tty.passphrase(f"passphrase of {name}: ")
    witness = Witness(folder, passphrase)
    try:
        server = WitnessServer(witness, listen)
    except BaseException:
        witness.close()
        raise
    server.start()
    try:
        document = {
            "format": "navicert/witness-run/1", "ready": True, "url": server.url, "name": name,
            "vkey": witness.settings.vkey, "logs": list(witness.logs), "pid": os.getpid(),
        }  # fmt: skip
        if as_json:
            emit(document, lines=True)
        else:
            out = Terminal()
            out.title(f"navicert witness   {shown_path(folder)}", f"process {document['pid']}")
            logs = [("log", origin) for origin in witness.logs]
            out.fields([("url", server.url), ("vkey", witness.settings.vkey), *(logs or [("log", "none yet")])])
            out.say(f"{out.mark('ok')} ready")
        while not stop.wait(0.5):  # a signal that another thread takes wakes nobody
            pass
    finally:
        server.close()
    return FINE


@verb.command()
@folder_argument
@common
def show(folder: Path, home: str | None, as_json: bool) -> int:
    """Show a witness: its key, the logs that it watches, how far it cosigned them, and what it refused."""
    from navicert.witness.state import evidence, is_encrypted, read_settings

    del home
    settings = read_settings(folder)
    document: dict[str, Any] = {
        "format": "navicert/witness/1",
        "folder": str(folder.resolve()),
        "name": settings.name,
        "vkey": settings.vkey,
        "encrypted": is_encrypted(folder),
        "logs": [_log(folder, settings, log) for log in settings.logs],
        "evidence": evidence(folder),
    }
    if as_json:
        emit(document)
        return FINE
    out = Terminal()
    out.title(f"witness {settings.name}", shown_path(folder))
    out.fields([("vkey", settings.vkey), ("key", "encrypted" if document["encrypted"] else "not encrypted, mode 0600")])
    for log in document["logs"]:
        out.say()
        far = f"{log['size']} entries, root {log['root']}, {log['at']}" if log["at"] else "nothing was cosigned yet"
        out.fields([("log", log["origin"]), ("cosigned", far), *(("key", key) for key in log["keys"])])
    if document["evidence"]:
        out.say()
        out.say(f"{out.mark('warning')} logs signed what was refused; look into evidence/, and ask who runs them")
        out.fields([("evidence", name) for name in document["evidence"]])
    return FINE


def _log(folder: Path, settings: Settings, log: Watched) -> dict[str, Any]:
    from base64 import b64encode

    from navicert.core.times import rfc3339
    from navicert.witness.state import newest

    found = newest(folder, settings, log)
    return {
        "origin": log.origin,
        "hash": log.hash,
        "keys": list(log.keys),
        "size": found.checkpoint.size if found else 0,
        "root": b64encode(found.checkpoint.root).decode() if found else None,
        "at": rfc3339(found.at * 1_000_000) if found else None,
    }
