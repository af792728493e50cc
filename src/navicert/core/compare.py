"""Comparing two policies over recorded decisions: what would change, how sure that is, and how many people are asked.

* What loosens stands first: DENY → ALLOW, other loosening, tightening, then the same verdict on other terms.
* The first action of a session that would be decided otherwise is certain. Everything after it, in the session and in
  those that it delegated to, is conditional: the agent might have done something else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from navicert.core.evaluate import STRICTNESS
from navicert.core.rejudge import Recorded
from navicert.model.decision import Decision, Verdict
from navicert.model.value import Value

DAY_US: Final = 86_400_000_000


class What(StrEnum):
    """What is other about a decision, the weightiest first. Other grounds alone change nothing for the agent."""

    VERDICT = "verdict"
    PARAMETERS = "parameters"
    PEOPLE = "people"
    GROUNDS = "grounds"
    SAME = "same"


class Change(Value, frozen=True, kw_only=True):
    """One recorded decision under both policies. conditional: an earlier action would have been decided otherwise."""

    record: Recorded
    old: Decision
    new: Decision
    what: What
    conditional: bool = False


class Group(Value, frozen=True, kw_only=True):
    """Changes of one kind. examples: of `count`, certain ones first, in the order of the log."""

    old: Verdict
    new: Verdict
    what: What
    count: int
    certain: int
    examples: tuple[Change, ...]

    @property
    def direction(self) -> str:
        """Return `looser`, `stricter`, or `terms`."""
        if self.what is not What.VERDICT:
            return "terms"
        return "looser" if STRICTNESS.index(self.new) < STRICTNESS.index(self.old) else "stricter"


class Rate(Value, frozen=True, kw_only=True):
    """Questions over the days that the record covers: all, mean per day, and on the worst day."""

    total: int
    mean: float
    worst: int


class Load(Value, frozen=True, kw_only=True):
    """How often one person is asked to approve; an empty name stands for all questions, each counted once."""

    person: str
    old: Rate
    new: Rate


class Report(Value, frozen=True, kw_only=True):
    """What a comparison came to. first_at, last_at: of the decisions, microseconds; days: that they cover, in UTC."""

    compared: int
    sessions: int
    partial: int
    first_at: int | None
    last_at: int | None
    days: int
    verdicts: tuple[dict[str, int], dict[str, int]]
    groups: tuple[Group, ...]
    forecast: tuple[Load, ...]

    @property
    def changed(self) -> int:
        """Return how many decisions change."""
        return sum(group.count for group in self.groups)

    @property
    def certain(self) -> int:
        """Return how many of them are certain."""
        return sum(group.certain for group in self.groups)


def difference(old: Decision, new: Decision) -> What:
    """Return the weightiest difference between two decisions on one action."""
    if old.verdict is not new.verdict:
        return What.VERDICT
    if old.effective != new.effective:
        return What.PARAMETERS
    if _people(old) != _people(new):
        return What.PEOPLE
    return What.SAME if (old.rules, old.reason_code) == (new.rules, new.reason_code) else What.GROUNDS


def _people(decision: Decision) -> tuple[object, ...]:
    return (decision.approvers, decision.approvals, decision.backups, decision.escalate_s, decision.timeout_s)


def changes(judged: Iterable[tuple[Recorded, Decision, Decision]]) -> Iterator[Change]:
    """Yield every decision, changed or not, marked; `judged` comes in the order of the log."""
    roots: dict[str, str] = {}
    otherwise: set[str] = set()
    for record, old, new in judged:
        context = record.given.context
        parent = context.parent or context.session_id
        root = roots.setdefault(context.session_id, roots.get(parent, parent))
        what = difference(old, new)
        conditional = what is not What.SAME and root in otherwise
        yield Change(record=record, old=old, new=new, what=what, conditional=conditional)
        if what not in {What.SAME, What.GROUNDS}:
            otherwise.add(root)


def report(found: Iterable[Change], *, since: int = 0, examples: int = 5) -> Report:
    """Return what the changes come to. since: earlier decisions (microseconds) only tell what is conditional."""
    kinds: dict[_Kind, tuple[list[Change], list[Change]]] = defaultdict(lambda: ([], []))
    counts: Counter[tuple[_Kind, bool]] = Counter()
    verdicts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    asked: tuple[dict[_Question, int], dict[_Question, int]] = ({}, {})
    sessions: set[str] = set()
    days: set[int] = set()
    first = last = None
    partial = 0
    for change in found:
        record, now = change.record, change.record.given.now
        if now < since:
            continue
        first, last = min(now, first or now), max(now, last or now)
        sessions.add(record.given.context.session_id)
        days |= {first // DAY_US, last // DAY_US}
        partial += record.partial
        for side, decision in enumerate((change.old, change.new)):
            verdicts[side][decision.verdict.value] += 1
            if decision.verdict is Verdict.STEP_UP:
                asked[side].setdefault(_question(record, decision), now // DAY_US)
        if change.what is not What.SAME:
            kind = (change.old.verdict, change.new.verdict, change.what)
            counts[kind, change.conditional] += 1
            kept = kinds[kind][change.conditional]
            if len(kept) < examples:
                kept.append(change)
    covered = max(days) - min(days) + 1 if days else 0
    groups = [
        Group(
            old=kind[0],
            new=kind[1],
            what=kind[2],
            count=counts[kind, False] + counts[kind, True],
            certain=counts[kind, False],
            examples=(*sure, *unsure)[:examples],
        )
        for kind, (sure, unsure) in kinds.items()
    ]
    return Report(
        compared=verdicts[0].total(),
        sessions=len(sessions),
        partial=partial,
        first_at=first,
        last_at=last,
        days=covered,
        verdicts=(dict(verdicts[0]), dict(verdicts[1])),
        groups=tuple(sorted(groups, key=_rank)),
        forecast=_forecast(*asked, covered),
    )


_Kind = tuple[Verdict, Verdict, What]


def _rank(group: Group) -> tuple[int, int, int, int]:
    old, new = STRICTNESS.index(group.old), STRICTNESS.index(group.new)
    section = {"looser": 0, "stricter": 1, "terms": 2}[group.direction]
    return section, list(What).index(group.what), -abs(old - new), old


_Question = tuple[str, tuple[str, ...], tuple[str, ...]]


def _question(record: Recorded, decision: Decision) -> _Question:
    """Return what makes a question one: a wait that is judged again and asks the same people is the same one."""
    human = record.given.identity.human
    people = {human if name == "requester" else name for name in decision.approvers}
    return record.given.action.action_id, decision.rules, tuple(sorted(people))


def _forecast(old: dict[_Question, int], new: dict[_Question, int], days: int) -> tuple[Load, ...]:
    sides = (_by_day(old), _by_day(new))
    names = sorted({*sides[0], *sides[1]}, key=lambda name: (name != "", -sides[1][name].total(), name))
    return tuple(Load(person=name, old=_rate(sides[0][name], days), new=_rate(sides[1][name], days)) for name in names)


def _by_day(asked: dict[_Question, int]) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for (_, _, people), day in asked.items():
        for name in ("", *people):
            found[name][day] += 1
    return found


def _rate(by_day: Counter[int], days: int) -> Rate:
    total = by_day.total()
    return Rate(total=total, mean=total / days, worst=max(by_day.values(), default=0))
