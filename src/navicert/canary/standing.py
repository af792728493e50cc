"""What the log knows of each surface: its last canary, and whether the next one is overdue (R1.c).

* Told from records and configuration alone: a scheduler that has stopped says nothing, and is seen by what is missing.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from navicert.adapters.store.archive import Archive
from navicert.assemble import Home
from navicert.canary.probes import surfaces_of
from navicert.config import Config
from navicert.core.times import micros
from navicert.model.errors import IntegrityError
from navicert.model.receipt import CanaryPart
from navicert.verification.disclosed import plain

MINUTE_US = 60_000_000


class _Record(msgspec.Struct):
    """What is read of a record: years of them are gone through."""

    at: str
    canary: CanaryPart


_RECORD = msgspec.json.Decoder(_Record)


class Standing(NamedTuple):
    """The last canary of a surface. state: `denied`, `failed`, `overdue` or `never`; red: somebody must look.

    result, at, action_id: of the last one, None where there was none. age_s: since then.
    """

    surface: str
    state: str
    red: bool
    result: str | None = None
    at: str | None = None
    age_s: int | None = None
    action_id: str | None = None


def standings_of(home: Home, config: Config, archive: Archive | None, now: int) -> list[Standing]:
    """Return how each surface stands: those that are configured, and others whose last canary was not denied.

    Where canaries are scheduled (`canary_minutes`), one is overdue after two intervals. A surface that never had one is
    red, where they are scheduled or any was sent.
    """
    last: dict[str, _Record] = {}
    try:
        for row in archive.log(kind="canary") if archive is not None else ():
            record = _RECORD.decode(row.data)
            last[plain(record.canary.surface)] = record
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"a canary record of the log is damaged ({error}); run `navicert verify`") from None
    scheduled = config.canary_minutes > 0
    wanted = [
        item.name for item in surfaces_of(home, config) if not item.absent or (scheduled and item.name == "socket")
    ]
    gone = [
        name
        for name, record in last.items()
        if name not in wanted and name.startswith(("mcp-http:", "mcp-client:")) and record.canary.result != "denied"
    ]
    expected = scheduled or bool(last)
    return [_of(name, last.get(name), config.canary_minutes, now, expected=expected) for name in (*wanted, *gone)]


def _of(name: str, record: _Record | None, minutes: int, now: int, *, expected: bool) -> Standing:
    if record is None:
        return Standing(name, "never", expected)
    age, result = max(0, now - micros(record.at)), record.canary.result
    overdue = minutes > 0 and age > 2 * minutes * MINUTE_US
    state = "failed" if result != "denied" else "overdue" if overdue else "denied"
    return Standing(name, state, state != "denied", result, record.at, age // 1_000_000, record.canary.action)
