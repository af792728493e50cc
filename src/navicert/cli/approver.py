"""`navicert approver`: who may answer questions, and with which key (R4.a).

* A person's private key is made where they type its passphrase, and is never written in the clear.
* NAME is the person's identity exactly as sessions name humans: that is how nobody approves what they asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, people_home, shown_path
from navicert.cli.terminal import Terminal, emit, pad
from navicert.core.inert import brief, inert

if TYPE_CHECKING:
    from navicert.adapters.sign.file_key import FileKey

FORMAT = "navicert/approver/1"
key_option = click.option(
    "--key",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the encrypted key goes (default: ~/.config/navicert/NAME.pem).",
)


@click.group()
def verb() -> None:
    """Say who may answer questions; every change leaves a receipt."""


@verb.command()
@click.argument("name")
@key_option
@common
def add(name: str, file: Path | None, home: str | None, as_json: bool) -> int:
    """Make a key for NAME, with a passphrase that is typed here twice, and enrol it.

    For a person who sits at this machine. A key that is made elsewhere: `approver key` there, `approver enrol` here.
    """
    from navicert.people import control

    place = people_home(home)
    _check_name(name)
    with control(place) as engine:
        key, path = _make(name, file)
        person = _person(name, key.key_id, key.algorithm, _public(key), engine.now())
        engine.enrol(person)
    return _enrolled(name, key.key_id, as_json=as_json, file=path)


@verb.command(name="key")
@click.argument("name")
@key_option
@click.option("--public", metavar="FILE", type=click.Path(path_type=Path), help="Write the public part there.")
@common
def make_key(name: str, file: Path | None, public: Path | None, home: str | None, as_json: bool) -> int:
    """Make a key for NAME, with a passphrase that is typed here twice. No home is changed.

    Give the public part to the operator, who enrols it with `approver enrol`.
    """
    del home
    _check_name(name)
    if public is not None and public.exists():
        raise Misused(f"{public}: it exists, and nothing is overwritten; name another file")
    key, path = _make(name, file)
    document = {
        "format": FORMAT,
        "name": name,
        "key_id": key.key_id,
        "algorithm": key.algorithm,
        "public": _public(key),
    }
    if public is not None:
        public.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    if as_json:
        emit(document)
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} made {shown_path(path)}, encrypted, mode 0600")
    out.fields([("key id", key.key_id), ("public", _public(key))])
    if public is not None:
        out.say(f"{out.mark('ok')} wrote {shown_path(public)}; give it to the operator, and the key id by another way")
    return FINE


@verb.command()
@click.argument("name")
@click.option(
    "--public",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="The public part, as `approver key` wrote it.",
)
@common
def enrol(name: str, public: Path, home: str | None, as_json: bool) -> int:
    """Enrol a key that NAME has made elsewhere; an earlier key of theirs ends.

    Compare the key id with the person by another way: by telephone, on paper.
    """
    from navicert.core.seal import unb64
    from navicert.core.signature import ED25519, key_id
    from navicert.people import control

    place = people_home(home)
    _check_name(name)
    found = _read_public(public)
    try:
        raw = unb64(found.public)
    except ValueError:
        raw = b""
    if found.algorithm != ED25519 or len(raw) != 32 or key_id(found.algorithm, raw) != found.key_id:
        raise Misused(f"{public}: its key id is not that of its key; have it made again with `navicert approver key`")
    if found.name != name:
        raise Misused(f"{public}: it was made for `{found.name}`, not for `{name}`")
    with control(place) as engine:
        engine.enrol(_person(name, found.key_id, found.algorithm, found.public, engine.now()))
    return _enrolled(name, found.key_id, as_json=as_json)


@verb.command(name="list")
@common
def list_all(home: str | None, as_json: bool) -> int:
    """List who may answer, and who could before."""
    from navicert.core.times import rfc3339
    from navicert.people import look

    place = people_home(home)
    with look(place) as seen:
        people = seen.approvers.people
    if as_json:
        shown = [
            {
                "name": person.name,
                "key_id": person.key_id,
                "since": rfc3339(person.since),
                "until": rfc3339(person.until) if person.until is not None else None,
            }
            for person in people
        ]
        emit({"format": "navicert/approvers/1", "approvers": shown})
        return FINE
    out = Terminal()
    if not people:
        out.say("nobody is enrolled: `navicert approver add NAME` makes a key and enrols it")
    for person in sorted(people, key=lambda each: (each.until is not None, each.name, each.since)):
        since, until = rfc3339(person.since)[:16].replace("T", " "), ""
        if person.until is not None:
            until = f" until {rfc3339(person.until)[:16].replace('T', ' ')}"
        line = f"{pad(person.name, 22)}  since {since}{until} UTC"
        out.say(f"{out.mark('note' if until else 'ok')} {out.style(line, 'dim') if until else line}")
        out.say(f"  {out.style(person.key_id, 'dim')}")
    return FINE


@verb.command()
@click.argument("name")
@common
def remove(name: str, home: str | None, as_json: bool) -> int:
    """End NAME's right to answer; what they answered before stays."""
    from navicert.people import control, enrolled, look

    place = people_home(home)
    with look(place) as seen:
        if enrolled(seen.approvers, name) is None:
            raise Misused(f"`{name}` is no approver; `navicert approver list` names them")
    with control(place) as engine:
        engine.dismiss(name)
    if as_json:
        emit({"format": "navicert/approver-removed/1", "name": name})
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} {inert(name)} may not answer any more; what they answered before stays")
    return FINE


class _Public(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    name: str
    key_id: str
    algorithm: str
    public: str


def _read_public(path: Path) -> _Public:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Public)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Misused(f"{path}: not the public part of an approver's key: {error}") from None
    if found.format != FORMAT:
        raise Misused(f"{path}: its format is `{found.format}`, not `{FORMAT}`")
    return found


def _check_name(name: str) -> None:
    if not name.strip() or name != name.strip() or name == "requester" or inert(name) != name:
        raise Misused(f"`{name}` cannot be the name of an approver; use the identity that sessions name the person by")


def _make(name: str, file: Path | None) -> tuple[FileKey, Path]:
    from navicert.adapters.sign.encrypted_key import SHORTEST, make_encrypted_key
    from navicert.asking.deciding import key_path
    from navicert.cli.tty import Tty

    path = key_path(name, file)
    if path.exists():
        raise Misused(f"{path}: it exists, and no key is ever overwritten; name another file with --key")
    with Tty("set a passphrase") as tty:
        passphrase = tty.new_passphrase(name, SHORTEST)
    if file is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return make_encrypted_key(path, passphrase), path


def _public(key: FileKey) -> str:
    from navicert.core.seal import b64

    return b64(key.public)


def _person(name: str, key_id: str, algorithm: str, public: str, now: int) -> Any:
    from navicert.model.suspension import Approver

    return Approver(name=name, key_id=key_id, algorithm=algorithm, public=public, since=now)


def _enrolled(name: str, key_id: str, *, as_json: bool, file: Path | None = None) -> int:
    if as_json:
        document = {"format": "navicert/enrolled/1", "name": name, "key_id": key_id}
        emit({**document, "file": str(file.resolve()) if file is not None else None})
        return FINE
    out = Terminal()
    if file is not None:
        out.say(f"{out.mark('ok')} made {shown_path(file)}, encrypted, mode 0600")
    out.say(f"{out.mark('ok')} {brief(name, 80)} may answer now, with the key")
    out.say(f"  {key_id}")
    return FINE
