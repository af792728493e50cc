"""Reads SQL text in one dialect: what its statements are, and what they do (attack cases C.7).

* The text alone is read. What a view, a trigger or a function of the database's own does stands elsewhere: an unknown
  function leaves open whether anything is written.
* A statement that the parser takes for something else than a statement was not read; nor is one that it only passes
  over (`DO`, `CALL`) safe: it writes, and what it names is open.
* Imported at the first use only: the parser takes half a second to load.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import re2
from sqlglot import Dialect, TokenType, exp

from navicert.adapters.detect.sql_words import ACTING_PRAGMAS, HARMLESS, REACHING, READING_PRAGMAS


class Reading(NamedTuple):
    """What one dialect makes of a text. None: open. kinds, in order and without repetition, of so many `statements`."""

    kinds: tuple[str, ...]
    statements: int
    writes: bool | None
    tables: frozenset[str] | None
    functions: frozenset[str] | None
    unbounded: bool | None


class NotRead(Exception):
    """The dialect cannot read the text. `count`: in how many statements it falls, or None where even that is open."""

    def __init__(self, count: int | None) -> None:
        super().__init__()
        self.count = count


_KINDS: Final[dict[type[exp.Expr], str]] = {
    exp.Alter: "alter",
    exp.Analyze: "analyze",
    exp.Attach: "attach",
    exp.Comment: "comment",
    exp.Commit: "transaction",
    exp.Copy: "copy",
    exp.Create: "create",
    exp.Delete: "delete",
    exp.Describe: "explain",
    exp.Detach: "detach",
    exp.Drop: "drop",
    exp.Except: "select",
    exp.Grant: "grant",
    exp.Insert: "insert",
    exp.Intersect: "select",
    exp.Kill: "kill",
    exp.LoadData: "load",
    exp.Merge: "merge",
    exp.Pragma: "pragma",
    exp.Revoke: "revoke",
    exp.Rollback: "transaction",
    exp.Select: "select",
    exp.Set: "set",
    exp.Show: "show",
    exp.Subquery: "select",
    exp.Transaction: "transaction",
    exp.TruncateTable: "truncate",
    exp.Union: "select",
    exp.Update: "update",
    exp.Use: "use",
    exp.Values: "select",
}
_COMMANDS: Final = {
    "begin": "transaction",
    "desc": "explain",
    "describe": "explain",
    "exec": "call",
    "release": "transaction",
    "replace": "insert",
    "savepoint": "transaction",
    "start": "transaction",
}
_HARMLESS_KINDS: Final = frozenset({"select", "explain", "show", "transaction", "use", "pragma"})
_CHANGING: Final = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_ACTING: Final = (*_CHANGING, exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Copy, exp.LoadData)
_EFFECTS: Final = (*_ACTING, exp.Into, exp.Lock, exp.Set)
_OWN: Final = (*_ACTING, exp.Select)
"""What has a kind of its own inside of another statement."""

_EXPLAIN_OPTIONS: Final = re2.compile(
    r"(?i)\s*(?:\([^()]*\)|(?:analyze|verbose|extended|partitions|query\s+plan|format\s*=?\s*\w+)\b)"
)
_PRAGMA: Final = re2.compile(r"(?is)pragma\s+(?:\w+\.)?(\w+)\s*(.*)")
_MOST_NODES: Final = 100_000
_BOUND: Final = 2


class _Hush(logging.Filter):
    """The parser logs the text of statements that it passes over: while we read, it does not (T9)."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not getattr(self.here, "reading", False)


_hush: Final = _Hush()
logging.getLogger("sqlglot").addFilter(_hush)


def read(text: str, dialect: str, harmless: frozenset[str] = frozenset()) -> Reading:
    """Return what the text is in a dialect; raises `NotRead`. `harmless`: names of functions besides those known."""
    _hush.here.reading = True
    try:
        return _read(text, dialect, HARMLESS | harmless if harmless else HARMLESS, depth=0)
    finally:
        _hush.here.reading = False


def _read(text: str, dialect: str, harmless: frozenset[str], depth: int) -> Reading:
    reader = Dialect.get_or_raise(dialect)
    try:
        tokens = reader.tokenize(text)
    except Exception:  # noqa: BLE001 - whatever the parser stumbles over was not read
        raise NotRead(None if ";" in text else 1) from None
    count = _statements(tokens)
    try:
        roots = [root for root in reader.parser().parse(tokens, text) if _is_something(root)]
        parts = [_statement(root, dialect, harmless, depth) for root in roots]
    except Exception:  # noqa: BLE001 - as above; a text nested too deep ends here as well
        raise NotRead(count) from None
    if len(roots) != count:
        raise NotRead(count)
    return joined(parts)


def joined(parts: Iterable[Reading]) -> Reading:
    """Return what several readings are together."""
    listed = list(parts)
    return Reading(
        kinds=tuple(dict.fromkeys(kind for part in listed for kind in part.kinds)),
        statements=sum(part.statements for part in listed),
        writes=_any(part.writes for part in listed),
        tables=_union(part.tables for part in listed),
        functions=_union(part.functions for part in listed),
        unbounded=_any(part.unbounded for part in listed),
    )


def _any(values: Iterable[bool | None]) -> bool | None:
    seen = set(values)
    return True if True in seen else None if None in seen else False


def _union(values: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    seen = list(values)
    return None if None in seen else frozenset().union(*(each for each in seen if each is not None))


def _statements(tokens: Iterable[Any]) -> int:
    count, open_ = 0, False
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            open_ = False
        elif not open_:
            open_ = True
            count += 1
    return count


def _is_something(root: exp.Expr | None) -> bool:
    return root is not None and not isinstance(root, exp.Semicolon)


def _statement(root: exp.Expr | None, dialect: str, harmless: frozenset[str], depth: int) -> Reading:
    if isinstance(root, exp.Command):
        return _command(root, dialect, harmless, depth)
    kind = _KINDS.get(type(root)) if root is not None else None
    if root is None or kind is None:
        raise NotRead(None)
    if isinstance(root, exp.Pragma):
        return Reading((kind,), 1, _pragma_sets(root), frozenset(), frozenset(), unbounded=False)
    kinds = {kind: None}
    writes = kind not in _HARMLESS_KINDS
    unbounded = False
    tables: set[str] = set()
    functions: set[str] = set()
    for number, node in enumerate(root.walk()):
        if number > _MOST_NODES or isinstance(node, exp.Command):
            raise NotRead(None)
        if isinstance(node, exp.Table):
            tables.update(_table(node))
        elif isinstance(node, exp.Func):
            functions.update(_function(node, harmless))
        elif isinstance(node, _EFFECTS):
            writes = True
        if isinstance(node, _OWN) and not node.find_ancestor(exp.When):
            kinds.update({_KINDS[type(node)]: None} if kind == "explain" or isinstance(node, _ACTING) else {})
            unbounded = unbounded or (isinstance(node, (exp.Delete, exp.Update)) and _is_unbounded(node))
    if functions & REACHING:
        writes = True
    return Reading(
        kinds=tuple(kinds),
        statements=1,
        writes=True if writes else None if functions else False,
        tables=frozenset(tables),
        functions=frozenset(functions),
        unbounded=unbounded,
    )


def _command(root: exp.Command, dialect: str, harmless: frozenset[str], depth: int) -> Reading:
    word = root.name.lower()
    kind = _COMMANDS.get(word, word)
    if kind == "explain":
        rest = root.text("expression")
        while option := _EXPLAIN_OPTIONS.match(rest):
            rest = rest[option.end() :]
        if depth >= _BOUND:
            raise NotRead(None)
        inner = _read(rest, dialect, harmless, depth + 1)
        if inner.statements != 1:
            raise NotRead(None)
        return inner._replace(kinds=tuple(dict.fromkeys((kind, *inner.kinds))))
    if not kind.isalpha():
        raise NotRead(None)
    if kind in {"show", "transaction"}:
        return Reading((kind,), 1, writes=False, tables=frozenset(), functions=frozenset(), unbounded=False)
    return Reading((kind,), 1, writes=True, tables=None, functions=None, unbounded=None)


def _pragma_sets(root: exp.Pragma) -> bool:
    found = _PRAGMA.match(root.sql())
    if found is None:
        return True
    name, rest = found[1].lower(), found[2].strip()
    return name not in READING_PRAGMAS and (bool(rest) or name in ACTING_PRAGMAS)


def _is_unbounded(node: exp.Expr) -> bool:
    """Tell whether no condition on any column bounds a change."""
    where = node.args.get("where")
    return where is None or where.find(exp.Column) is None


def _table(node: exp.Table) -> Iterator[str]:
    if not isinstance(node.this, exp.Identifier) or (not node.db and _is_cte(node)):
        return
    yield ".".join(part.name for part in node.parts).lower()


def _is_cte(table: exp.Table) -> bool:
    """Tell whether a bare name stands for a common table expression that is in sight where it stands."""
    name = table.name.lower()
    inside: exp.Expr = table
    above = table.parent
    while above is not None:
        if isinstance(above, exp.With):
            for cte in above.expressions:
                if cte is inside:
                    if above.args.get("recursive") and cte.alias.lower() == name:
                        return True
                    break
                if cte.alias.lower() == name:
                    return True
        else:
            with_ = above.args.get("with_") or above.args.get("with")
            if with_ is not None and with_ is not inside and any(c.alias.lower() == name for c in with_.expressions):
                return True
        inside, above = above, above.parent
    return False


def _function(node: exp.Func, harmless: frozenset[str]) -> Iterator[str]:
    """Yield the name of a function that is not known to be harmless."""
    if not isinstance(node, (exp.Anonymous, exp.AnonymousAggFunc)):
        if node.key in REACHING:
            yield node.key
        return
    name = node.name.lower()
    above = node.parent
    schema = ""
    if isinstance(above, exp.Dot) and above.expression is node:
        schema = ".".join(part.name for part in above.this.find_all(exp.Identifier, bfs=False)).lower()
    elif isinstance(above, exp.Table) and above.this is node:
        schema = above.db.lower()
    if schema in {"", "pg_catalog"}:
        if name not in harmless:
            yield name
    elif (whole := f"{schema}.{name}") not in harmless:
        yield whole
        if name in REACHING:
            yield name  # an extension may live in any schema
