"""`navicert erase`: destroy what receipts disclose about one person, or hold it; signed by two people (DESIGN.md 7).

* It works on the home's own files: run it as the user who owns them. Each person types their own passphrase.
* The plain form asks for an erasure, and is the second signature where somebody else has asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.decide import deciding
from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, home_of, people_home
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import brief, inert

if TYPE_CHECKING:
    from navicert.cli.tty import Tty
    from navicert.erasing import Decided, Subject

FORMAT = "navicert/erasure/1"
_WORDS = {
    "hold": ("You HOLD everything about", "is held: nothing of it is erased until two people lift it"),
    "release": ("You LIFT the legal hold of", "is not held any more"),
    "erased": ("You ERASE, for good, everything about", "is erased"),
}
subject_option = click.option(
    "--subject", metavar="NAME", required=True, help="Whom it is about, exactly as sessions name them."
)


@click.group(invoke_without_command=True)
@click.option("--subject", metavar="NAME", help="Whom it is about, exactly as sessions name them.")
@click.option("--reason", metavar="TEXT", help="Why; the first person signs it (default: asked for).")
@click.option("--as", "name", metavar="PERSON", help="Who you are, as you are enrolled.")
@click.option("--key", metavar="FILE", type=click.Path(path_type=Path), help="Your encrypted key.")
@common
@click.pass_context
def verb(
    ctx: click.Context,
    subject: str | None,
    reason: str | None,
    name: str | None,
    key: Path | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Destroy what receipts disclose about one person; the receipts stay, and verify.

    Two enrolled people sign, none of them the person: the first asks for it, the second carries it out, within 7 days.
    """
    if ctx.invoked_subcommand is not None:
        return FINE
    if subject is None or name is None:
        raise Misused(
            "say who is to be erased with --subject, and who you are with --as; or see `navicert erase --help`"
        )
    return _decide(home, "erased", subject, name, key, reason, as_json=as_json)


@verb.command()
@subject_option
@deciding
@common
def hold(subject: str, name: str, key: Path | None, reason: str | None, home: str | None, as_json: bool) -> int:
    """Keep everything about one person (a legal hold): nothing of it is erased. One person's signature sets it."""
    return _decide(home, "hold", subject, name, key, reason, as_json=as_json)


@verb.command()
@subject_option
@deciding
@common
def release(subject: str, name: str, key: Path | None, reason: str | None, home: str | None, as_json: bool) -> int:
    """Lift a legal hold: two people sign, none of them the person who is held."""
    return _decide(home, "release", subject, name, key, reason, as_json=as_json)


@verb.command(name="list")
@common
def list_all(home: str | None, as_json: bool) -> int:
    """List who is held, what waits for a second person, and who was erased. People stand by pseudonym."""
    from time import time

    from navicert.audit import open_archive
    from navicert.core.times import rfc3339
    from navicert.erasing import records, requested, why
    from navicert.verification.erasures import OPEN_US

    place, _ = home_of(home)
    if not place.store.exists():
        raise Misused(f"{place.store}: there is no log yet")
    with open_archive(place) as archive, archive.snapshot():
        past = records(archive)
        waiting = [
            {
                "subject": said.subject,
                "state": said.state,
                "by": row.by,
                "reason": why(row),
                "until": rfc3339(said.at + OPEN_US),
            }
            for said, row in requested(archive, int(time() * 1_000_000))
        ]
    newest = {item.subject: item for item in past if item.state != "erased"}
    held = [item for item in newest.values() if item.state == "hold"]
    erased = [item for item in past if item.state == "erased"]
    if as_json:
        shown = {
            "held": [{"subject": item.subject, "at": item.at, "seq": item.seq} for item in held],
            "requested": waiting,
            "erased": [{"subject": item.subject, "at": item.at, "seq": item.seq} for item in erased],
        }
        emit({"format": "navicert/erasures/1", **shown})
        return FINE
    out = Terminal()
    if not (held or waiting or erased):
        out.say("nobody is held or erased, and nobody has asked for it")
    for item in held:
        out.say(f"{out.mark('warning', 'held', 13)}{item.subject}  since {_time(item.at)}  #{item.seq}")
    for asked in waiting:
        out.say(
            f"{out.mark('unknown', 'asked for', 13)}{asked['subject']}  {asked['state']}, until {_time(asked['until'])}"
        )
        out.fields([("by", brief(asked["by"], 120)), ("because", brief(asked["reason"], 480))], 11)
    for item in erased:
        out.say(f"{out.mark('note', 'erased', 13)}{item.subject}  {_time(item.at)}  #{item.seq}")
    return FINE


@verb.command()
@common
def finish(home: str | None, as_json: bool) -> int:
    """Finish an erasure that broke off, and destroy a key that came back out of a backup."""
    from navicert.erasing import destroy_returned, finish_erasures
    from navicert.people import open_engine

    opened = open_engine(_own(home))  # which takes up by itself what broke off, where nothing prevents it
    try:
        with opened.keys.erasing():
            left = finish_erasures(opened.journal, opened.keys)
        found = [*left, *destroy_returned(opened)]
    finally:
        opened.close()
    if as_json:
        emit({"format": "navicert/erasures-finished/1", "destroyed": found})
        return FINE
    out = Terminal()
    for subject in found:
        out.say(f"{out.mark('ok')} destroyed what was left of {subject}")
    out.say(f"{out.mark('ok')} every erasure in the log is carried out")
    return FINE


def _own(home: str | None) -> Any:
    place = people_home(home)
    if place.folder.is_socket():
        raise Misused("erasing works on the home's own files: name the home, and run it as the user who owns it")
    return place


def _decide(
    home: str | None, state: str, subject: str, name: str, key: Path | None, reason: str | None, *, as_json: bool
) -> int:
    from navicert.adapters.sign.encrypted_key import load_encrypted_key
    from navicert.asking.deciding import key_path
    from navicert.cli.tty import Tty
    from navicert.erasing import decide, look, refusal, why
    from navicert.people import open_engine

    place, path = _own(home), key_path(name, key)
    with Tty("show what is to be done and ask for your passphrase") as tty:
        opened = open_engine(place)
        try:
            seen = look(opened, subject)
            refused = refusal(seen, state, name)
            if refused:
                raise Misused(refused)
            first = seen.pending if state != "hold" else None
            if first is not None and reason is not None and reason.strip() != why(first):
                raise Misused("the first person has signed another reason; leave --reason out to read theirs")
            if not path.exists():
                raise Misused(f"{path}: there is no key; name it with --key, or make one with `navicert approver key`")
            _show(tty, seen, state)
            said = why(first) if first is not None else (reason or "").strip() or tty.ask("reason: ")
            signer = load_encrypted_key(path, _passphrase(tty, seen, state, name))
            done = decide(opened, seen, state, said, name, signer)
        finally:
            opened.close()
    return _tell(done, state, said, as_json=as_json)


def _show(tty: Tty, seen: Subject, state: str) -> None:
    from navicert.core.times import rfc3339
    from navicert.erasing import why

    out, first = tty.out, seen.pending if state != "hold" else None
    out.title(inert(seen.name), seen.pseudonym)
    out.fields(
        [
            ("receipts", f"{seen.receipts}, whose parameters, results, reasons and names only this person's key opens"),
            ("sessions", f"{len(seen.sessions)}, whose context is kept"),
            ("held", "yes" if seen.held else ""),
        ]
    )
    if state == "erased":
        out.text("An erasure destroys the key and the contexts. Nobody can undo it. The receipts stay, and verify.", 2)
    if first is not None:
        out.fields(
            [
                ("asked by", f"{brief(first.by, 120)}, {rfc3339(first.at)[:19].replace('T', ' ')} UTC"),
                ("because", brief(why(first), 480)),
                ("you", "are the second: with your signature it is done"),
            ]
        )
    elif state != "hold":
        out.text("You are the first: a second person has to sign it too, within 7 days.", 2)
    out.say()


def _passphrase(tty: Tty, seen: Subject, state: str, name: str) -> str:
    tty.out.say(f"{tty.out.style(_WORDS[state][0], 'bold')} {inert(seen.name)}")
    return tty.passphrase(f"passphrase of {inert(name)}: ")


def _tell(done: Decided, state: str, reason: str, *, as_json: bool) -> int:
    from navicert.core.times import rfc3339

    subject = done.subject
    if as_json:
        emit(
            {
                "format": FORMAT,
                "wanted": state,
                "state": done.state,
                "subject": subject.pseudonym,
                "receipts": subject.receipts,
                "sessions": len(subject.sessions),
                "by": list(done.people),
                "reason": reason,
                "until": rfc3339(done.until) if done.until is not None else None,
            }
        )
        return FINE
    out = Terminal()
    if done.until is not None:
        out.say(
            f"{out.mark('unknown', 'asked for')}: somebody else has to sign it too, until {_time(rfc3339(done.until))}"
        )
        out.say(f"  with the same command, as themselves; {subject.pseudonym}")
        return FINE
    out.say(f"{out.mark('ok')} {inert(subject.name)} {_WORDS[done.state][1]}")
    if done.state == "erased":
        out.say(f"  the key of {subject.receipts} receipts, and the contexts of {len(subject.sessions)} sessions")
        out.say("  backups of keys/subjects hold the key still: destroy them too")
    return FINE


def _time(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"
