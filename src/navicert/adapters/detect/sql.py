"""What the SQL of an action would do, statement by statement (attack cases C.7; DESIGN.md section 5).

* It looks at the tools of category `sql`: every text in their parameters that is not declared as `content` is read.
* Which database takes the text is not known: it is read in several dialects. Those that can read it must agree, and
  the others must at least see as many statements; else nothing is known. Unreadable is unknown, never safe.
* What cannot be said is left out of the finding, signal by signal: a SELECT that calls an unknown function has no
  `sql_writes`.
* Bounded by `LIMIT`, so it runs inline. The parser is an extra (`navicert[analysers]`), loaded at the first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import re2

from navicert.adapters.detect.chosen import chosen
from navicert.adapters.detect.sql_words import ONE_WORD
from navicert.core.fields import leaves
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import Unavailable
from navicert.model.signals import Finding
from navicert.model.value import Json

if TYPE_CHECKING:
    from navicert.adapters.detect.sql_reading import Reading

LIMIT: Final = 16 * 1024
"""Characters of SQL in one action that are read; more is `looked=False`. The parser takes about 10 µs for each."""

CATEGORY: Final = "sql"
DIALECTS: Final = ("postgres", "sqlite", "mysql")

_NOT_SQL: Final = Finding()
_UNKNOWN: Final = Finding(looked=False)
_NAME: Final = re2.compile(r"[A-Za-z_][\w.-]{0,62}")
_TREACHEROUS: Final = re2.compile(r"/\*M?!|\{#|[\x00-\x08\x0b-\x1f\x7f]")
"""What one reader takes for a comment and another executes (`/*! … */`), and characters that no SQL needs."""


class SqlAnalyser:
    """A `Detector`: the kinds, tables, functions and reach of the SQL that an action would run."""

    name = "sql"
    signals = ("sql_kinds", "sql_statements", "sql_writes", "sql_tables", "sql_functions", "sql_unbounded")
    inline = True

    def __init__(
        self,
        parameters: Mapping[str, Sequence[str]] | None = None,
        *,
        dialects: Sequence[str] = DIALECTS,
        harmless: Iterable[str] = (),
    ) -> None:
        """Look at the named parameters of the tools in `parameters` (full name), whatever their category.

        dialects: one is enough where the database is known. harmless: functions of one's own that only compute.
        """
        if not dialects:
            raise ValueError("dialects: name one at least")
        self._named = dict(parameters or {})
        self._dialects = tuple(dialects)
        self._harmless = frozenset(name.lower() for name in harmless)

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return the signals; no values for a tool without SQL, `looked=False` where the text cannot be read.

        Raises `Unavailable` where the parser is not installed.
        """
        del context
        named = chosen(action, parameters, CATEGORY, self._named)
        if named is None:
            return _NOT_SQL
        try:
            texts = [text.replace("\r\n", "\n") for text in _texts(parameters, named)]
        except UnicodeEncodeError:
            return _UNKNOWN
        if not texts or sum(map(len, texts)) > LIMIT or any(_TREACHEROUS.search(text) for text in texts):
            return _UNKNOWN
        readings = [self._agreed(text) for text in texts]
        known = [reading for reading in readings if reading is not None]
        return _finding(known) if len(known) == len(texts) else _UNKNOWN

    def _agreed(self, text: str) -> Reading | None:
        """Return what all dialects that can read the text say of it, or None where they differ."""
        try:
            from navicert.adapters.detect import sql_reading
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "sqlglot":
                raise
            raise Unavailable("sql: the parser is missing; install navicert[analysers]") from None
        found: list[Reading] = []
        counts: set[int | None] = set()
        for dialect in self._dialects:
            try:
                found.append(sql_reading.read(text, dialect, self._harmless))
            except sql_reading.NotRead as error:
                counts.add(error.count)
        if not found or counts | {reading.statements for reading in found} != {found[0].statements}:
            return None
        first = found[0]
        tables = {reading.tables for reading in found} - {None}
        if any(reading.kinds != first.kinds for reading in found) or len(tables) > 1:
            return None
        if {True, False} <= {reading.writes for reading in found}:
            return None
        return sql_reading.joined(found)._replace(statements=first.statements)


def _texts(parameters: Mapping[str, Json], names: Iterable[str]) -> Iterator[str]:
    """Yield the texts to be read: a lone name (of a database, say) beside them is none."""
    given = [
        text
        for name in names
        if name in parameters
        for text in leaves(parameters[name], keys=True)
        if isinstance(text, str) and text.encode().strip()
    ]
    lone = [text for text in given if _NAME.fullmatch(text) and text.lower() not in ONE_WORD]
    return iter(given if len(lone) == len(given) else [text for text in given if text not in lone])


def _finding(readings: Sequence[Reading]) -> Finding:
    from navicert.adapters.detect.sql_reading import joined

    whole = joined(readings)
    values: dict[str, Json] = {"sql_kinds": list(whole.kinds), "sql_statements": whole.statements}
    if whole.writes is not None:
        values["sql_writes"] = whole.writes
    if whole.tables is not None:
        values["sql_tables"] = [*sorted(whole.tables)]
    if whole.functions is not None:
        values["sql_functions"] = [*sorted(whole.functions)]
    if whole.unbounded is not None:
        values["sql_unbounded"] = whole.unbounded
    return Finding(values=values)
