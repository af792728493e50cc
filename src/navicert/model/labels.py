"""Data labels: a lattice of four levels and a set of categories (R2.b, R2.c).

* `join` is the least upper bound: commutative, associative, idempotent; it never shrinks either side.
* `WORST` is the top: the highest level, and every category whatever its name. Where nothing may classify, it stands.
"""

from __future__ import annotations

from enum import IntEnum

from navicert.model.value import Value


class Level(IntEnum):
    """How sensitive; a higher number may go to fewer places."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3


class Labels(Value, frozen=True, kw_only=True):
    """A point of the lattice. `categories` is sorted and free of duplicates; `everything` marks the top."""

    level: Level = Level.PUBLIC
    categories: tuple[str, ...] = ()
    everything: bool = False

    def join(self, other: Labels) -> Labels:
        """Return the least label that covers both."""
        if other in (self, NOTHING):
            return self
        if self.everything or other.everything:
            return WORST
        return Labels(
            level=max(self.level, other.level),
            categories=tuple(sorted({*self.categories, *other.categories})),
        )

    def covers(self, other: Labels) -> bool:
        """Tell whether `other` is at or below this label."""
        return self.join(other) == self

    def has(self, category: str) -> bool:
        """Tell whether the category is, or may be, in the data: the top has every category (R2.c)."""
        return self.everything or category in self.categories

    def words(self) -> str:
        """Return the label for people: `CONFIDENTIAL · PII`."""
        if self.everything:
            return "UNCLASSIFIED (counts as highest)"
        return " · ".join((self.level.name, *self.categories))


class Limit(Value, frozen=True, kw_only=True):
    """The highest label that something may be sent. categories: those that may go there; None for every one."""

    level: Level
    categories: tuple[str, ...] | None = None

    def admits(self, labels: Labels) -> bool:
        """Tell whether data of this label may go there; unclassified data only where there is no limit at all."""
        if labels.level > self.level:
            return False
        return self.categories is None or (not labels.everything and set(labels.categories) <= set(self.categories))

    def binds(self) -> bool:
        """Tell whether there is any data that may not go there."""
        return self.level < Level.RESTRICTED or self.categories is not None

    def words(self) -> str:
        """Return the limit for people: `CONFIDENTIAL · PII only`."""
        if self.categories is None:
            return self.level.name
        return " · ".join((self.level.name, ", ".join(self.categories) or "no category"))


NOTHING = Labels()
WORST = Labels(level=Level.RESTRICTED, everything=True)
