"""Whether anybody looks that the gate still denies (R1.c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from navicert.doctor.findings import Finding, some

if TYPE_CHECKING:
    from navicert.assemble import Home
    from navicert.config import Config


def canary_check(home: Home, config: Config) -> Iterator[Finding]:
    """Yield whether canaries are sent, and each surface on which the last one was not denied, or is overdue."""
    from navicert.adapters.system import SystemClock
    from navicert.audit import open_archive
    from navicert.canary.standing import standings_of

    now = SystemClock().now()
    if home.store.exists():
        with open_archive(home) as archive:
            found = standings_of(home, config, archive, now)
    else:
        found = standings_of(home, config, None, now)
    for item in found:
        if item.red:
            level = "error" if item.state == "failed" else "warning"
            what = f"the canary over {item.surface} is {item.state}"
            yield Finding("canary", level, what, str(home.store), "run `navicert canary`, and see what it says")
    if not config.canary_minutes:
        what = "no canaries are scheduled: a gate that is dead, or led around, would not be noticed by itself"
        yield Finding("canary", "note", what, str(home.config), "`canary_minutes: 60`, or `navicert canary` from cron")
    elif not any(item.red for item in found):
        names = some([item.surface for item in found])
        yield Finding("canary", "ok", f"what must be denied was denied on {names}", str(home.store))
