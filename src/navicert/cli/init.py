"""`navicert init [FOLDER]`: make a home with a policy to start from, keys, and configuration."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, shown_path
from navicert.cli.terminal import Terminal, emit
from navicert.config import FILE, HOME

IGNORE: Final = "# keys and log stay on this machine; policy, configuration and public keys belong in version control\n"
TESTS: Final = "policy.test.yaml"
KEPT: Final = (".gitignore", FILE, "policy.yaml", TESTS, "trust.json")
PACKS: Final = ("assistant", "office-assistant", "data-analyst", "coding-agent", "customer-support")
"""Policies to start from, with their tests, in `navicert.starter`."""


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--origin", metavar="NAME", help="The name of the log, as verifiers will know it (default: FOLDER's).")
@click.option("--service", metavar="NAME", help="The service identity in every receipt (default: FOLDER's name).")
@click.option(
    "--anchor", metavar="DIR", type=click.Path(path_type=Path),
    help="The folder for checkpoints of the log, best one that belongs to somebody else (default: in ~/.local/state).",
)  # fmt: skip
@click.option("--pack", type=click.Choice(PACKS), help="Begin with the policy for such an agent, and its tests.")
@common
def verb(
    folder: Path,
    origin: str | None,
    service: str | None,
    anchor: Path | None,
    pack: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Make FOLDER/.navicert: a commented policy, signing and sealing keys (mode 0600), configuration.

    Nothing that exists is overwritten.
    """
    from navicert.assemble import make_home, read_trust
    from navicert.verification.keyring import fingerprint

    place = Path(home) if home is not None else folder / HOME
    if (place / FILE).exists():
        raise Misused(f"{shown_path(place)}: there is a home already; `navicert status` shows it")
    if folder.exists() and not folder.is_dir():
        raise Misused(f"{folder}: not a folder; name one, or none for the folder that you are in")
    name = slug(folder.resolve().name)
    packs = files("navicert.starter")
    start = packs.joinpath(f"{pack}.yaml") if pack is not None else files("navicert.cli").joinpath("starter.yaml")
    policy = start.read_text(encoding="utf-8")
    beside = anchor or Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "navicert" / "anchors"
    try:
        made = make_home(
            place, origin=slug(origin or name), service=slug(service or name), policy=policy, anchors=beside.absolute()
        )
    except OSError as error:
        raise Misused(f"{beside}: no folder can be made there ({error.strerror}); name one with --anchor") from None
    ignore(place)
    if pack is not None:
        tests = packs.joinpath(f"{pack}.test.yaml").read_text(encoding="utf-8")
        (place / TESTS).write_text(tests.replace(f"policy: {pack}.yaml", "policy: policy.yaml"), encoding="utf-8")
    trust = read_trust(made.trust)
    key, mark = trust.keys[0], fingerprint(trust)
    if as_json:
        document = {"format": "navicert/init/1", "home": str(place.resolve()), "key_id": key.key_id}
        emit({**document, "fingerprint": mark, "root": str(made.root_key.resolve()), "policy": "policy.yaml"})
        return FINE
    out = Terminal()
    at = shown_path(place)
    out.say(f"{out.mark('ok')} made {at}")
    out.say()
    out.fields(
        [
            ("policy.yaml", f"{_SAYS[pack or '']}. Start here"),
            *([(TESTS, "what it permits and refuses; play it with `navicert test`")] if pack else []),
            ("navicert.yaml", "configuration"),
            ("trust.json", "the public keys by which receipts are verified, signed by the root"),
            ("", f"fingerprint {mark}"),
            ("keys/", "private keys, mode 0600. Back them up; never commit them (a .gitignore sees to it)"),
            ("", "root.pem signs trust.json: move it away (`navicert key root --to FILE`)"),
            ("anchor", f"checkpoints of the log go to {shown_path(beside)}, outside of the home"),
        ],
        width=len(TESTS) + 2,
    )
    out.say()
    out.say("  Govern a tool:")
    out.say()
    for line in SIX_LINES:
        out.say(f"      {line}")
    out.say()
    out.say("  Then `navicert tail` shows what was decided, and `navicert doctor` what is not protected yet.")
    return FINE


_SAYS: Final = {
    "": "reads that tools declare pass; nothing else does, until a rule permits it",
    "assistant": "what you ask for passes, what a text orders that nobody was told to follow is refused",
    "office-assistant": "colleagues pass, and whom the user named, secrets go nowhere",
    "data-analyst": "queries that only read pass, rows about people stay inside",
    "coding-agent": "everyday commands on the work folder pass, all else is confirmed or refused",
    "customer-support": "answers in the ticket and small refunds pass, the team lead decides the rest",
}
SIX_LINES: Final = (
    "import navicert",
    "guard = navicert.open()",
    "",
    '@guard.tool("notes.read", effect="read", resource="path", returns="INTERNAL")',
    'def read(path: str) -> str: return f"the text of {path}"',
    "",
    'with guard.session(request="sum up my notes", human="ana", agent="assistant"):',
    '    print(read("notes.md"))',
)


def ignore(home: Path) -> None:
    """Keep keys and log out of version control."""
    lines = "".join(f"!{name}\n" for name in KEPT)
    (home / ".gitignore").write_text(f"{IGNORE}*\n{lines}", encoding="utf-8")


def slug(name: str) -> str:
    """Return a name fit for an origin: lower case, of letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "agent"
