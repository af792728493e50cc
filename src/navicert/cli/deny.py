"""`navicert deny ID`: a person says no to one waiting action; it is refused at once."""

from __future__ import annotations

from pathlib import Path

import click

from navicert.cli.decide import decide, deciding, tell
from navicert.cli.home import common


@click.command()
@click.argument("handle", metavar="ID")
@deciding
@common
def verb(handle: str, name: str, key: Path | None, reason: str | None, home: str | None, as_json: bool) -> int:
    """Refuse one waiting action: one refusal is enough, and it is over.

    Shows what would run, asks for a reason and for your passphrase on this terminal, signs, and hands the answer in.
    """
    from navicert.model.suspension import Answer

    decided = decide(home, handle, Answer.DENY, name=name, key=key, reason=reason)
    return tell(decided, Answer.DENY, as_json=as_json)
