"""`navicert export`: evidence for a stranger, in one file (docs/reference/bundle.md)."""

from __future__ import annotations

from pathlib import Path

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit


@click.command()
@click.option("--to", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The file to make.")
@click.option("--action", metavar="ID", help="Only what is about one action (an id, or a handle).")
@click.option("--session", metavar="ID", help="Only what is about one session.")
@click.option(
    "--reveal", metavar="POINTER", multiple=True,
    help="What receipts commit to, in the clear: `all` (default), `none`, or JSON pointers such as /action/parameters.",
)  # fmt: skip
@click.option("--dsse", is_flag=True, help="Instead: in-toto statements in DSSE envelopes, one per line, and no more.")
@click.option("--page", is_flag=True, help="Instead: the page that verifies a bundle in a browser, offline.")
@common
def verb(
    to: Path,
    action: str | None,
    session: str | None,
    reveal: tuple[str, ...],
    dsse: bool,
    page: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Write a bundle of the whole log: receipts and what they disclose, checkpoint, proofs, policies, trust file.

    Whoever has it verifies it with `navicert verify`, with the page, or with the script that is in it, against the
    fingerprint that you tell them by another way (`navicert key publish`).
    """
    from importlib.resources import files

    from navicert.adapters.store.archive import Archive
    from navicert.adapters.system import SystemClock
    from navicert.assemble import read_trust
    from navicert.evidence import ALL, NONE, export, export_dsse
    from navicert.verification.bundle_lines import Scope
    from navicert.verification.keyring import fingerprint

    if to.exists():
        raise Misused(f"{to}: it exists, and nothing is overwritten; name another file")
    if sum((action is not None, session is not None, dsse, page)) > 1:
        raise Misused("one of --action, --session, --dsse and --page")
    out = Terminal()
    if page:
        to.write_text(files("navicert").joinpath("verify.html").read_text(encoding="utf-8"), encoding="utf-8")
        return _done(out, "page", {"file": str(to.resolve())}, as_json=as_json, says=f"wrote {shown_path(to)}")
    place, _ = home_of(home)
    wanted: str | tuple[str, ...] = reveal or ALL
    if len(reveal) == 1 and reveal[0] in {ALL, NONE}:
        wanted = reveal[0]
    elif any(not pointer.startswith("/") for pointer in reveal):
        raise Misused("--reveal takes `all`, `none`, or JSON pointers, which begin with `/`")

    def progress(done: int, of: int) -> None:
        if not as_json and out.colour and done % 500 == 0:
            click.echo(f"\r  {done} of {of} entries", err=True, nl=False)

    if dsse:
        count = export_dsse(place.folder, to, progress=progress)
        says = f"wrote {count} statements to {shown_path(to)}, signed by the key of the log"
        return _done(out, "dsse", {"file": str(to.resolve()), "entries": count}, as_json=as_json, says=says)
    if action is not None:
        with Archive(place.store) as archive:
            rows = archive.find(action)
        action = rows[0].action if rows and rows[0].action is not None else action
    scope = Scope(log=action is None and session is None, action=action, session=session)
    made = export(place.folder, to, scope, wanted, made_at=SystemClock().now(), progress=progress)
    mark = fingerprint(read_trust(place.trust))
    document = {
        "file": str(to.resolve()),
        "entries": made.entries,
        "checkpoint": made.size,
        "disclosed": made.disclosed,
        "bytes": made.bytes,
        "sha256": made.sha256,
        "fingerprint": mark,
    }
    if as_json:
        emit({"format": "navicert/export/1", **document})
        return FINE
    out.say(f"{out.mark('ok')} wrote {shown_path(to)}, {made.bytes:,} bytes")
    out.fields(
        [
            ("entries", f"{made.entries}; the newest checkpoint covers {made.size} of the log"),
            ("revealed", f"{made.disclosed} values, in the clear wherever the file goes"),
            ("sha-256", made.sha256),
            ("fingerprint", f"{mark}   (tell it by another way than the file goes)"),
        ]
    )
    return FINE


def _done(out: Terminal, what: str, document: dict[str, object], *, as_json: bool, says: str) -> int:
    if as_json:
        emit({"format": f"navicert/export-{what}/1", **document})
    else:
        out.say(f"{out.mark('ok')} {says}")
    return FINE
