"""`navicert restore SUBJECT`: a supervisor gives authority back, signed with their own key (R6.c)."""

from __future__ import annotations

from pathlib import Path

import click

from navicert.cli.decide import deciding
from navicert.cli.faults import FINE, Misused
from navicert.cli.home import common, people_home
from navicert.cli.kill import MEANS, check_subject
from navicert.cli.terminal import Terminal, emit
from navicert.core.inert import brief, inert

STATES = ("full", "narrowed", "supervised", "suspended")


@click.command()
@click.argument("subject")
@click.option(
    "--state", type=click.Choice(STATES), default="full", show_default=True, help="How much authority there is then."
)
@deciding
@common
def verb(
    subject: str, state: str, name: str, key: Path | None, reason: str | None, home: str | None, as_json: bool
) -> int:
    """Widen the authority of SUBJECT again; only the policy's supervisors can, each with their own key.

    Asks for your passphrase on this terminal.
    """
    from navicert.adapters.sign.encrypted_key import load_encrypted_key
    from navicert.asking.deciding import key_path
    from navicert.cli.tty import Tty
    from navicert.core.times import rfc3339
    from navicert.model.authority import LADDER, Authority
    from navicert.people import control, sign_restoration

    check_subject(subject)
    place = people_home(home)
    wanted, path = Authority(state), key_path(name, key)
    with Tty("ask for your passphrase") as tty, control(place) as engine:
        standings, full_name, out = engine.standings(), engine.subject(subject), tty.out
        held = standings.subjects.get(full_name)
        if held is None:
            raise Misused(f"the authority of `{subject}` is full already; `navicert authority` lists what is not")
        if LADDER.index(wanted) >= LADDER.index(held.state):
            raise Misused(f"`{subject}` is {held.state.value} already; to lower it: `navicert kill {subject}`")
        if not path.exists():
            raise Misused(f"{path}: there is no key; name it with --key")
        out.title(f"{inert(subject)} is {held.state.value}", f"since {rfc3339(held.at)[:19].replace('T', ' ')} UTC")
        out.fields(
            [("by", brief(held.by, 120)), ("because", brief(held.reason, 480)), ("then", f"{state}: {MEANS[state]}")]
        )
        out.say()
        why = (reason or "").strip() or tty.ask("reason: ")
        signer = load_encrypted_key(path, tty.passphrase(f"passphrase of {inert(name)}: "))
        engine.restore(sign_restoration(full_name, wanted, standings.epoch, name, signer, engine.now(), why))
    if as_json:
        emit({"format": "navicert/authority-change/1", "subject": subject, "state": state, "by": name, "reason": why})
        return FINE
    done = Terminal()
    done.say(f"{done.mark('ok')} {inert(subject)} is {state} again: {MEANS[state]}")
    return FINE
