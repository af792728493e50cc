"""`navicert answer ID FACT VALUE`: the requester states a fact that a waiting action needs, signed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from navicert.cli.decide import decide, deciding, tell
from navicert.cli.faults import Misused
from navicert.cli.home import common

if TYPE_CHECKING:
    from navicert.model.suspension import Wait
    from navicert.model.value import Json


@click.command()
@click.argument("handle", metavar="ID")
@click.argument("fact")
@click.argument("value")
@deciding
@common
def verb(
    handle: str, fact: str, value: str, name: str, key: Path | None, reason: str | None, home: str | None, as_json: bool
) -> int:
    """State the value of FACT for one waiting action: VALUE is JSON, or else text.

    Only the person for whom the agent works is asked, and only for the facts that `navicert show ID` names.
    """
    from navicert.asking.deciding import parsed
    from navicert.model.suspension import Answer

    def stated(wait: Wait) -> Mapping[str, Json]:
        if fact not in wait.question.facts:
            names = ", ".join(wait.question.facts) or "nothing"
            raise Misused(f"`{wait.handle}` does not ask the requester for `{fact}`; it asks for {names}")
        return {fact: parsed(value)}

    decided = decide(home, handle, Answer.STATE, name=name, key=key, reason=reason, value=stated)
    return tell(decided, Answer.STATE, as_json=as_json)
