"""`navicert key`: make a signing key, rotate the home's, publish what verifiers believe; and what the root does.

The passphrase of an encrypted root key is typed on the controlling terminal, and comes from nowhere else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit

if TYPE_CHECKING:
    from navicert.adapters.sign.file_key import FileKey

ALGORITHMS = ("Ed25519", "ES256")
algorithm_option = click.option(
    "--algorithm", type=click.Choice(ALGORITHMS), default="Ed25519", show_default=True, help="ES256 is ECDSA on P-256."
)
root_option = click.option(
    "--root",
    "root_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The root key, where it is not in the home.",
)


@click.group()
def verb() -> None:
    """Make, rotate, revoke and publish keys; keep the root away."""


@verb.command()
@click.argument("file", type=click.Path(path_type=Path))
@algorithm_option
@common
def new(file: Path, algorithm: str, home: str | None, as_json: bool) -> int:
    """Make a signing key in FILE (PKCS#8 PEM, mode 0600), and print its public part. No home is changed."""
    from navicert.adapters.sign.file_key import new_key, save_key
    from navicert.core.seal import b64

    del home
    if file.exists():
        raise Misused(f"{file}: it exists, and no key is ever overwritten; name another file")
    key = new_key(algorithm)
    save_key(key, file)
    if as_json:
        emit(
            {
                "format": "navicert/key/1",
                "file": str(file.resolve()),
                "key_id": key.key_id,
                "algorithm": key.algorithm,
                "public": b64(key.public),
            }
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} made {shown_path(file)}, mode 0600")
    out.fields([("key id", key.key_id), ("algorithm", key.algorithm), ("public", b64(key.public))])
    return FINE


@verb.command()
@algorithm_option
@root_option
@common
def rotate(algorithm: str, root_file: Path | None, home: str | None, as_json: bool) -> int:
    """Replace the home's signing key: the old one certifies the new one in the log, and old receipts verify for ever.

    Running engines load the new key by themselves. If it breaks off, run it again: it goes on where it was.
    """
    from navicert.keys import rotate_key

    place, _ = home_of(home)
    done = rotate_key(place.folder, algorithm, _root(root_file))
    if as_json:
        emit(
            {
                "format": "navicert/rotation/1",
                "retired": done.retired,
                "key_id": done.key_id,
                "seq": done.seq,
                "at": done.at,
                "fingerprint": done.fingerprint,
                "resumed": done.resumed,
                "listed": done.listed,
            }
        )
        return FINE
    out = Terminal()
    out.say(
        f"{out.mark('ok')} the signing key was rotated" + (", finishing what had broken off" if done.resumed else "")
    )
    out.fields(
        [
            ("from", done.retired),
            ("to", done.key_id),
            ("record", f"entry {done.seq} of the log, {done.at}"),
            ("fingerprint", done.fingerprint),
            ("trust file", "lists it; publish it anew (`navicert key publish`)" if done.listed else _UNLISTED),
        ]
    )
    return FINE


@verb.command()
@click.option("--to", metavar="FILE", type=click.Path(path_type=Path), help="Write the trust file there.")
@common
def publish(to: Path | None, home: str | None, as_json: bool) -> int:
    """Show what verifiers need: the trust file (public keys only), and the fingerprint to compare by another way."""
    from navicert.keys import publish as published

    place, _ = home_of(home)
    found = published(place.folder)
    if to is not None:
        if to.exists():
            raise Misused(f"{to}: it exists, and nothing is overwritten; name another file")
        to.write_text(found.text, encoding="utf-8")
    if as_json:
        emit({"format": "navicert/publish/1", "fingerprint": found.fingerprint, "trust": found.text})
        return FINE
    out = Terminal()
    if to is None:
        for line in found.text.splitlines():
            out.say(line)
    else:
        out.say(f"{out.mark('ok')} wrote {shown_path(to)}")
    out.say()
    out.text("Give the file to whoever verifies, and the fingerprint by another way: on paper, by telephone.")
    out.fields([("fingerprint", found.fingerprint)])
    return FINE


@verb.command(name="root")
@click.option("--to", metavar="FILE", type=click.Path(path_type=Path), required=True, help="Where the root key goes.")
@click.option("--encrypt", is_flag=True, help="Under a passphrase, asked for on this terminal.")
@common
def move(to: Path, encrypt: bool, home: str | None, as_json: bool) -> int:
    """Move the root key out of the home, into FILE: on a medium that you take out of the machine.

    FILE is read back before the key in the home is overwritten and removed. An old home is given a root first. If it
    breaks off, run it again with the same FILE.
    """
    from navicert.adapters.sign.encrypted_key import SHORTEST, is_encrypted
    from navicert.cli.tty import Tty
    from navicert.keys import move_root

    place, _ = home_of(home)
    passphrase = None
    if to.exists() and is_encrypted(to):  # an earlier try wrote it
        passphrase = _passphrase()
    elif encrypt:
        with Tty("set a passphrase") as tty:
            passphrase = tty.new_passphrase("the root key", SHORTEST)
    done = move_root(place.folder, to, passphrase)
    if as_json:
        emit(
            {
                "format": "navicert/root/1",
                "file": str(to.resolve()),
                "key_id": done.key_id,
                "fingerprint": done.fingerprint,
                "made": done.made,
            }
        )
        return FINE
    out = Terminal()
    how = ", encrypted" if passphrase is not None else ""
    out.say(f"{out.mark('ok')} the root key lies in {shown_path(to)}{how}, and no longer in the home")
    out.fields(
        [
            ("key id", done.key_id),
            ("fingerprint", done.fingerprint),
            ("before", f"{done.before}, of the trust file without a root; tell the verifiers" if done.made else ""),
        ]
    )
    out.text(
        "Take the medium out of the machine, and keep a second copy elsewhere: without the root nothing is revoked."
    )
    return FINE


@verb.command()
@click.argument("key_id")
@click.option("--at", "since", metavar="TIME", required=True, help="Since when it is not to be believed (RFC 3339).")
@click.option(
    "--upto",
    metavar="SIZE",
    type=click.IntRange(0),
    help="Entries that count still (default: what witnesses had confirmed before TIME).",
)
@click.option("--lose", default=0, type=click.IntRange(0), metavar="N", help="Entries behind it that you give up.")
@click.option("--reason", default="", help="Stands in the trust file, for everybody to read; printable ASCII.")
@root_option
@common
def revoke(
    key_id: str,
    since: str,
    upto: int | None,
    lose: int,
    reason: str,
    root_file: Path | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Have the root state that a key was stolen: what it signed counts up to place SIZE of the log, and no further."""
    from navicert.keys import revoke_key, witnessed_before

    place, _ = home_of(home)
    at = _micros(since)
    upto = witnessed_before(place.folder, at) if upto is None else upto
    if upto is None:
        raise Misused(
            "no checkpoint is known that witnesses had confirmed by then; say with --upto how many entries count"
        )
    if not (reason.isascii() and reason.isprintable()):
        raise Misused(f"--reason: `{reason}` is not printable ASCII, which is what a trust file holds")
    done = revoke_key(place.folder, key_id, at=at, upto=upto, reason=reason, root=_root(root_file), lose=lose)
    if as_json:
        emit(
            {
                "format": "navicert/revocation/1",
                "key_id": key_id,
                "at": done.revoked.at,
                "upto": done.revoked.upto,
                "fingerprint": done.fingerprint,
                "lost": done.lost,
                "replaced": done.replaced,
            }
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} {key_id} is revoked")
    restart = f"{done.replaced} makes checkpoints now; restart running engines" if done.replaced else ""
    lost = f"{done.lost} entries behind that place are signed by it: verification ends at the first of them"
    out.fields(
        [
            ("counts up to", f"entry {done.revoked.upto}"),
            ("lost", lost if done.lost else ""),
            ("log key", restart),
            ("fingerprint", done.fingerprint),
            ("next", "give the trust file to whoever verifies: who has the old one still believes the key"),
        ]
    )
    return FINE


@verb.command(name="trust-witness")
@click.argument("vkey")
@click.option("--operator", metavar="NAME", required=True, help="Who runs it; one operator counts once.")
@click.option("--quorum", metavar="N", type=click.IntRange(1), help="Of how many operators a checkpoint needs one.")
@root_option
@common
def name_witness(
    vkey: str, operator: str, quorum: int | None, root_file: Path | None, home: str | None, as_json: bool
) -> int:
    """Have the root name a witness, by its verifier key (`NAME+ID+KEY`): its cosignatures count from now on.

    Where it is reached is configuration (`witnesses`), and decides nothing.
    """
    from navicert.keys import trust_witness
    from navicert.verification.keyring import fingerprint

    if not (operator.isascii() and operator.isprintable() and operator.strip()):
        raise Misused(f"--operator: `{operator}` is not a name in printable ASCII, which is what a trust file holds")
    place, _ = home_of(home)
    trust = trust_witness(place.folder, vkey, operator, quorum, _root(root_file))
    operators = sorted({item.operator for item in trust.witnesses})
    if as_json:
        emit(
            {
                "format": "navicert/witnesses/1",
                "witnesses": [{"vkey": item.vkey, "operator": item.operator} for item in trust.witnesses],
                "quorum": trust.quorum,
                "fingerprint": fingerprint(trust),
            }
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} the trust file names {len(trust.witnesses)} witnesses")
    out.fields(
        [
            ("quorum", f"{trust.quorum} of {len(operators)} operators: {', '.join(operators)}"),
            ("fingerprint", fingerprint(trust)),
            ("next", "set `witnesses` in navicert.yaml to their addresses, and restart running engines"),
        ]
    )
    return FINE


_UNLISTED = "as it was, without the root: the log itself certifies the new key"


def _root(path: Path | None) -> FileKey | None:
    from navicert.keys import load_root

    return load_root(path, _passphrase) if path is not None else None


def _passphrase() -> str:
    from navicert.cli.tty import Tty

    with Tty("ask for the passphrase of the root key") as tty:
        return tty.passphrase("passphrase of the root key: ")


def _micros(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Misused(f"--at: `{text}` is no time with its zone; write it as 2026-11-23T09:00:00Z")
    return round(moment.timestamp() * 1_000_000)
