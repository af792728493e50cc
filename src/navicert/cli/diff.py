"""`navicert diff [OLD] NEW`: every recorded decision that would change, what loosens first (exit code 4)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import click

from navicert.cli.faults import CHANGED, FINE, Misused
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import Home
    from navicert.core.compare import Change, Report
    from navicert.core.compile import CompiledPolicy
    from navicert.core.rejudge import Recorded, Under
    from navicert.model.decision import Decision

LIMITS: Final = (
    (
        "An action that is decided otherwise changes everything that the agent does after it: only the first changed"
        " action of a session is certain, and all later ones are conditional."
    ),
    (
        "Each decision is judged on what was recorded with it (labels, measurements, facts, what people answered);"
        " nothing runs, nothing is measured anew, and nobody is asked."
    ),
)
"""What a recorded replay cannot show; every page says it (console-and-cli, B.8)."""
_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Side(NamedTuple):
    """One of the policies that are compared, and how it was named."""

    policy: CompiledPolicy
    name: str

    def document(self) -> dict[str, Any]:
        """Return the policy as `--json` names it."""
        policy = self.policy.policy
        return {"name": self.name, "id": policy.policy, "version": policy.version, "hash": self.policy.hash}


@click.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option("--since", metavar="DURATION", help="Only decisions that are younger: 30m, 12h, 7d, 4w.")
@click.option("--examples", default=5, show_default=True, type=click.IntRange(min=0), help="Of each kind of change.")
@click.option("--markdown", is_flag=True, help="Write Markdown, for a comment on a pull request.")
@common
def verb(
    old: str, new: str | None, since: str | None, examples: int, markdown: bool, home: str | None, as_json: bool
) -> int:
    """Judge every recorded decision under two policies, and show what would change. Nothing is executed.

    OLD and NEW are policy files, or hashes (at least 8 characters) of sets that were in force here. With one of them
    only, it is NEW, and OLD is the policy in force. A record that does not verify is refused, with exit code 5.
    """
    from navicert.cli.comparison import show, show_markdown
    from navicert.core.compare import report

    place, _ = home_of(home)
    earliest = moment(since)
    with Replay(place) as replay:
        sides = (side(old, replay), side(new, replay)) if new is not None else (replay.in_force(), side(old, replay))
        changes = replay.changes(sides[0].policy, sides[1].policy)
        found = report(changes, since=earliest, examples=examples)
        document = {"format": "navicert/diff/1", "home": str(place.folder), "since": since}
        document |= {"old": sides[0].document(), "new": sides[1].document()} | replay.document(found)
    if as_json:
        emit(document)
    elif markdown:
        show_markdown(sys.stdout, document)
    else:
        show(Terminal(), document)
    return CHANGED if found.changed else FINE


class Replay:
    """The records of a home, once everything in it has verified; use it as a context manager."""

    def __init__(self, home: Home) -> None:
        """Open a home; raises `VerificationError` before anything is shown where it does not verify."""
        from navicert.audit import STEPS, audit, open_archive
        from navicert.records import policies

        if not home.store.exists():
            raise Misused(f"{home.store}: there is no log yet; the first guard that is opened begins one")
        self._tick = ticker()
        try:
            found = audit(
                home.folder, progress=lambda step: self._tick(f"verifying: {step.number} of {len(STEPS)} steps")
            )
        finally:
            self._tick("")
        self.entries = found.log.entries
        self.archive: Archive = open_archive(home)
        self.kept = policies(self.archive)
        self.engine: Counter[str] = Counter()
        self.lost: dict[str, Counter[str]] = {"purged": Counter(), "erased": Counter()}
        self.unlike: list[Recorded] = []

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the store, and clear the line of progress."""
        self._tick("")
        self.archive.close()

    def in_force(self) -> Side:
        """Return the policy that was put in force last."""
        from navicert.adapters.store.archive import receipt_of

        parts = [receipt_of(row).policy for row in self.archive.log(kind="policy")]
        if not parts or parts[-1] is None:
            raise Misused("no policy was in force here yet; name OLD and NEW")
        return Side(self.kept[parts[-1].hash], "in force")

    def records(self) -> Iterator[Recorded]:
        """Yield what can be judged again and is reproduced by its own policy; the rest is counted."""
        from navicert.core.rejudge import Recorded
        from navicert.records import records

        for item in records(self.archive, self.kept, upto=self.entries):
            if not item.seq % 200:
                self._tick(f"judging: entry {item.seq:,} of {self.entries:,}")
            if not isinstance(item, Recorded):
                if item.why == "engine":
                    self.engine[item.reason_code] += 1
                else:
                    self.lost[item.why][item.session] += 1
            elif item.decided is None:
                self.unlike.append(item)
            else:
                yield item

    def changes(self, old: CompiledPolicy | None, new: CompiledPolicy | None) -> Iterator[Change]:
        """Yield every decision under both policies; None stands for the one that judged it."""
        from navicert.core.compare import changes
        from navicert.core.rejudge import Under

        sides = (Under(self.kept, old), Under(self.kept, new))
        return changes(_both(self.records(), *sides))

    def document(self, found: Report) -> dict[str, Any]:
        """Return a report, and what was left out of it and why, as `--json` shows it."""
        from navicert.cli.comparison import report_document, unlike_document

        return report_document(found) | {
            "engine": dict(self.engine),
            "purged": dict(self.lost["purged"]),
            "erased": dict(self.lost["erased"]),
            "not_reproduced": [unlike_document(item) for item in self.unlike],
            "limits": list(LIMITS),
        }


def _both(records: Iterator[Recorded], old: Under, new: Under) -> Iterator[tuple[Recorded, Decision, Decision]]:
    for record in records:
        yield record, old.judge(record), new.judge(record)


def side(name: str, replay: Replay) -> Side:
    """Return a policy by its file, or by the beginning of the hash of one that was in force."""
    from navicert.assemble import load_policy
    from navicert.model.errors import PolicyError

    path = Path(name)
    found = [key for key in replay.kept if len(name) >= 8 and key.startswith(name)]
    if len(found) > 1 and not path.exists():
        raise Misused(f"`{name}` is the beginning of {len(found)} hashes; write more of it")
    if found and not path.exists():
        return Side(replay.kept[found[0]], f"kept {found[0][:8]}")
    if not path.exists():
        raise PolicyError(f"`{name}`: no file of this name, and no policy of this hash was in force here; name another")
    return Side(load_policy(path)[0], shown_path(path))


def moment(since: str | None) -> int:
    """Return the time so long ago, microseconds; 0 for None."""
    from navicert.adapters.system import SystemClock

    if since is None:
        return 0
    number, unit = since[:-1], since[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit() and len(number) < 6):
        raise Misused(f"`{since}` is no duration; write `30m`, `12h`, `7d` or `4w`")
    return SystemClock().now() - int(number) * _UNITS[unit] * 1_000_000


def ticker() -> Callable[[str], None]:
    """Return what writes one line of progress over the last; empty text clears it. Silent where nobody looks."""
    if not sys.stderr.isatty():
        return lambda _: None

    def tick(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    return tick
