"""`navicert key`: make a signing key, rotate the home's, publish what verifiers have to believe."""

from __future__ import annotations

from pathlib import Path

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit

ALGORITHMS = ("Ed25519", "ES256")
algorithm_option = click.option(
    "--algorithm", type=click.Choice(ALGORITHMS), default="Ed25519", show_default=True, help="ES256 is ECDSA on P-256."
)


@click.group()
def verb() -> None:
    """Make, rotate and publish signing keys."""


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
@common
def rotate(algorithm: str, home: str | None, as_json: bool) -> int:
    """Replace the home's signing key: the old one certifies the new one in the log, and old receipts verify for ever.

    Running engines refuse until they are restarted. If it breaks off, run it again: it goes on where it was.
    """
    from navicert.keys import rotate_key

    place, _ = home_of(home)
    done = rotate_key(place.folder, algorithm)
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
            ("next", "restart running engines; publish the trust file anew (`navicert key publish`)"),
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
    out.fields([("fingerprint", found.fingerprint)])
    out.text("Give the file to whoever verifies, and the fingerprint by another way: on paper, by telephone.")
    return FINE
