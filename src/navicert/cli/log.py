"""`navicert log`: the log as others know it: checkpoint, proofs, tiles; pruning, and going on after a restore."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit
from navicert.model.errors import IntegrityError


@click.group()
def verb() -> None:
    """Show and publish what others can hold the log against; take old entries out; go on after a restore."""


@verb.command()
@common
def checkpoint(home: str | None, as_json: bool) -> int:
    """Show the newest checkpoint (a C2SP signed note), and the newest one that a quorum of witnesses has cosigned."""
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import anchor_path, read_trust
    from navicert.core.times import rfc3339
    from navicert.publishing import newest_note
    from navicert.tlog.note import log_verifier

    place, config = home_of(home)
    with Archive(place.store) as archive, archive.snapshot():
        note, found, confirmed = newest_note(archive), archive.checkpoint(), archive.checkpoint(cosigned=True)
        entries = archive.head()[0]
    keys = [log_verifier(config.origin, key).vkey for key in read_trust(place.trust).log]
    size = found.size if found is not None else 0
    anchor = anchor_path(place.folder, config)
    if as_json:
        emit(
            {
                "format": "navicert/checkpoint/1",
                "note": note,
                "size": size,
                "at": rfc3339(found.at) if found is not None else None,
                "epoch": found.epoch if found is not None else 1,
                "entries": entries,
                "cosigned_size": confirmed.size if confirmed is not None else 0,
                "cosigned": confirmed.note if confirmed is not None else None,
                "vkeys": keys,
                "anchor": str(anchor) if anchor is not None else None,
            }
        )
        return FINE
    out = Terminal()
    for line in note.rstrip("\n").split("\n"):
        out.say(line)
    out.say()
    behind = entries - size
    if behind < 0:
        raise IntegrityError(
            f"{place.store}: the checkpoint covers {size} entries, and the store holds {entries}: it was cut"
        )
    out.fields(
        [
            ("covers", f"{size} of {entries} entries" + (f"; {behind} came since" if behind else "")),
            ("cosigned", f"{confirmed.size} entries" if confirmed is not None else "by no quorum"),
            ("anchor", shown_path(anchor) if anchor is not None else "none is configured"),
            ("key", " ".join(keys)),
        ]
    )
    return FINE


@verb.command()
@click.argument("name")
@click.option("--to", metavar="FILE", type=click.Path(path_type=Path), help="Write it there (usually `.tlog-proof`).")
@common
def proof(name: str, to: Path | None, home: str | None, as_json: bool) -> int:
    """Show the proof that a receipt stands in the log (C2SP tlog-proof); NAME is a place, an action or a receipt id."""
    from navicert.publishing import prove

    place, _ = home_of(home)
    text = prove(place.folder, name)
    if to is not None:
        _fresh(to)
        to.write_text(text, encoding="utf-8")
    if as_json:
        emit({"format": "navicert/proof/1", "proof": text})
    elif to is None:
        click.echo(text, nl=False)
    else:
        out = Terminal()
        out.say(f"{out.mark('ok')} wrote {shown_path(to)}")
    return FINE


@verb.command()
@click.option("--to", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The folder to publish.")
@common
def tiles(to: Path, home: str | None, as_json: bool) -> int:
    """Write the log as static files (C2SP tlog-tiles), for any web server; run it again to add what is new.

    What receipts commit to, and disclose, is not in them.
    """
    from navicert.publishing import publish_tiles

    place, _ = home_of(home)
    size = publish_tiles(place.folder, to)
    if as_json:
        emit({"format": "navicert/tiles/1", "folder": str(to.resolve()), "size": size})
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} {shown_path(to)} holds {size} entries, and the checkpoint that covers them")
    return FINE


@verb.command()
@click.option("--before", required=True, type=click.IntRange(min=2), metavar="SEQ", help="Entries before this place.")
@click.option("--to", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The bundle they go into.")
@common
def prune(before: int, to: Path, home: str | None, as_json: bool) -> int:
    """Take old entries out of the store, into a bundle; their hashes stay, and every proof stays valid.

    Entries of sessions whose context is kept still (`retention_days`) stay, and so does every record.
    """
    from navicert.pruning import prune as pruned

    place, _ = home_of(home)
    _fresh(to)
    out = Terminal()

    def progress(what: str) -> None:
        if not as_json:
            out.say(f"  {out.mark('ok')} {what}")

    done = pruned(place.folder, to, before=before, progress=progress)
    if as_json:
        emit(
            {
                "format": "navicert/prune/1",
                "upto": done.upto,
                "entries": done.entries,
                "archive": done.archive,
                "seq": done.seq,
            }
        )
        return FINE
    out.say(f"{out.mark('ok')} {done.entries} entries before {done.upto + 1} are out of the store")
    out.fields([("bundle", shown_path(to)), ("sha-256", done.archive), ("record", f"entry {done.seq} of the log")])
    return FINE


@verb.command()
@click.option("--reason", required=True, help="Why, for the record.")
@click.option("--by", metavar="NAME", help="Who does it, for the record (default: the user of this machine).")
@click.option(
    "--checkpoint", "known", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The newest checkpoint that is known, as a witness keeps it (default: the anchor's).",
)  # fmt: skip
@common
def restore(reason: str, by: str | None, known: Path | None, home: str | None, as_json: bool) -> int:
    """Go on with a store that was restored from a backup, as a new epoch, on record: what is lost stays on record.

    Stop every engine of this home first.
    """
    from navicert.restoring import restore_log

    place, _ = home_of(home)
    note = known.read_text(encoding="utf-8") if known is not None else None
    done = restore_log(place.folder, by=by or getpass.getuser(), reason=reason, note=note)
    if as_json:
        emit(
            {
                "format": "navicert/restore/1",
                "epoch": done.epoch,
                "origin": done.origin,
                "seq": done.seq,
                "known": done.known,
                "kept": done.kept,
                "lost": list(done.lost),
            }
        )
        return FINE
    out = Terminal()
    out.say(f"{out.mark('ok')} the log goes on as epoch {done.epoch}")
    out.fields(
        [
            ("lost", f"{_between(*done.lost)} entries; how many there were is on record"),
            ("record", f"entry {done.seq} of the log"),
            ("checkpoints", f"from now on of `{done.origin}`: tell whoever runs a witness"),
        ]
    )
    return FINE


def _between(least: int, most: int) -> str:
    return str(most) if least >= most else f"between {least} and {most}"


def _fresh(path: Path) -> None:
    if path.exists():
        raise Misused(f"{path}: it exists, and nothing is overwritten; name another file")
