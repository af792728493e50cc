"""Mutants of a module: every branch that refuses, suspends, consumes or records, broken in each way that there is.

* A mutant is one change of one place. It is found in the syntax tree and compiled from it; no file is changed.
* What is broken: conditions (true, false, negated, `and` for `or`, an operand dropped), comparisons (negated, at their
  boundary), `raise`, calls made for their effect, assignments to what outlives the call, early returns, `except`,
  `suppress`, verdicts and other words of the model that decide, members of sets, parts of a commit, and each edge of a
  table of states, those that it does not have included.
* What is not: texts, and what is raised with them; declarations of fields; whatever `Place` a caller leaves out.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

REACHED: Final = "__reached__"
"""The name that `probed` code calls with the number of each statement that it comes to."""
_NEGATED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BOUNDARY: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_CALLS: Final = {"all": "any", "any": "all", "min": "max", "max": "min"}
_WORDS: Final = {
    "Verdict": {"ALLOW": "DENY", "DENY": "ALLOW", "MODIFY": "ALLOW", "STEP_UP": "DEFER", "DEFER": "STEP_UP"},
    "Authority": {"FULL": "REVOKED", "SUPERVISED": "FULL", "NARROWED": "FULL", "SUSPENDED": "FULL", "REVOKED": "FULL"},
    "Step": {
        "REDEEMED": "LAPSED",
        "LAPSED": "REDEEMED",
        "RETURNED": "RAISED",
        "RAISED": "RETURNED",
        "INTERRUPTED": "RETURNED",
        "SETTLED_DONE": "SETTLED_NOT_DONE",
        "SETTLED_NOT_DONE": "SETTLED_DONE",
        "TIMED_OUT": "LAPSED",
    },
    "State": {"PROPOSED": "SUSPENDED", "SUSPENDED": "PROPOSED"},
    "Effect": {"READ": "WRITE"},
    "Posture": {"DECLARED_TOOLS": "DECLARED_READS", "DECLARED_READS": "DECLARED_TOOLS"},
}
_COMMIT: Final = frozenset({"reads", "writes", "entries", "draft"})
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)

_SIGNATURE: Final = ("decorator_list", "returns", "args")
_TEXTS: Final[dict[type[ast.AST], tuple[str, ...]]] = {
    ast.FunctionDef: _SIGNATURE,
    ast.AsyncFunctionDef: _SIGNATURE,
    ast.AnnAssign: ("annotation",),
    ast.Raise: ("exc", "cause"),
    ast.Assert: ("test", "msg"),  # what is so anyhow, said for the type checker
}
"""The fields of a node that decide nothing."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something stands in the tree: `owner.field`, or `owner.field[index]`."""

    owner: ast.AST
    field: str
    index: int | None

    def put(self, node: ast.AST | None) -> None:
        """Put a node there; None takes out what is there."""
        if self.index is None:
            setattr(self.owner, self.field, node)
            return
        held: list[ast.AST] = getattr(self.owner, self.field)
        held[self.index : self.index + 1] = [] if node is None else [node]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change. function: its qualified name, or the name of a constant of the module. number: among its likes.

    statement: the number of the statement that it stands in (`probed`); None for a constant of the module.
    """

    module: str
    function: str
    line: int
    operator: str
    before: str
    after: str
    number: int
    statement: int | None
    change: Callable[[], None]

    @property
    def name(self) -> str:
        """What the lists call it: without the line, which moves."""
        again = f" #{self.number}" if self.number > 1 else ""
        return f"{self.module}::{self.function} | {self.operator} | {self.before} -> {self.after}{again}"


@dataclass
class Source:
    """A module as a tree. A mutant changes it in place: one to a process, or to a `Source`."""

    module: str
    text: str
    left_out: frozenset[str] = frozenset()
    tree: ast.Module = field(init=False)
    statements: dict[int, int] = field(init=False, default_factory=dict)
    """The number of a statement, by the id of its node."""
    members: dict[str, frozenset[int]] = field(init=False, default_factory=dict)
    """The numbers of the statements of a function."""

    def __post_init__(self) -> None:
        """Parse the text, and number its statements, also by function."""
        self.tree = ast.parse(self.text)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt):
                self.statements[id(node)] = len(self.statements)
        for function, owner in _functions(self.tree, ""):
            self.members[function] = frozenset(self.statements.get(id(node), -1) for node in ast.walk(owner))

    def mutants(self) -> list[Mutant]:
        """Return every mutant, in the order of the text."""
        seen: Counter[str] = Counter()
        found: list[Mutant] = []
        for function, statement, line, operator, before, after, change in self._all():
            known = f"{function}|{operator}|{before}|{after}"
            seen[known] += 1
            found.append(
                Mutant(
                    module=self.module,
                    function=function,
                    line=line,
                    operator=operator,
                    before=before,
                    after=after,
                    number=seen[known],
                    statement=statement,
                    change=change,
                )
            )
        return found

    def _all(self) -> Iterator[tuple[str, int | None, int, str, str, str, Callable[[], None]]]:
        for function, owner in _functions(self.tree, ""):
            if function in self.left_out:
                continue
            for place, node, near in _places(owner):
                for operator, new in _changed(place, node):
                    after = ast.unparse(new) if new is not None else "nothing"
                    line: int = getattr(node, "lineno", getattr(near, "lineno", 0))
                    yield (
                        function,
                        self.statements[id(near)],
                        line,
                        operator,
                        _short(node),
                        after.splitlines()[0][:160],
                        _putting(place, new, near),
                    )
        for item in self.tree.body:
            for name, operator, before, after, change in _constants(item):
                if name not in self.left_out:
                    yield name, None, item.lineno, operator, before, after, change


def probed(source: Source) -> ast.Module:
    """Return the tree with a call of `REACHED` before each statement of a function. The source is used up by it."""
    for _, owner in list(_functions(source.tree, "")):
        for node in ast.walk(owner):
            for name in ("body", "orelse", "finalbody"):
                held = getattr(node, name, None)
                if not isinstance(held, list) or not held or not isinstance(held[0], ast.stmt):
                    continue
                new: list[ast.stmt] = []
                for place, item in enumerate(held):
                    if id(item) in source.statements and not (place == 0 and _is_text(item)):
                        number = ast.Constant(source.statements[id(item)])
                        call = ast.Expr(ast.Call(ast.Name(REACHED, ast.Load()), [number], []))
                        new.append(ast.copy_location(call, item))
                    new.append(item)
                setattr(node, name, new)
    return ast.fix_missing_locations(source.tree)


def _is_text(item: ast.stmt) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)


def _short(node: ast.AST) -> str:
    """Return a node's text; of what has a body, its first line."""
    return ast.unparse(node).splitlines()[0][:160]


def _putting(place: Place, new: ast.AST | None, near: ast.AST) -> Callable[[], None]:
    def change() -> None:
        if new is not None:
            for node in ast.walk(new):
                if isinstance(node, (ast.stmt, ast.expr)) and not hasattr(node, "lineno"):
                    ast.copy_location(node, near)
        place.put(new)

    return change


def _functions(node: ast.AST, outer: str) -> Iterator[tuple[str, ast.AST]]:
    """Return the outermost functions, by qualified name: what stands inside of one belongs to it."""
    for item in getattr(node, "body", ()):
        if isinstance(item, _FUNCTIONS):
            yield f"{outer}{item.name}", item
        elif isinstance(item, ast.ClassDef):
            yield from _functions(item, f"{outer}{item.name}.")


def _places(function: ast.AST) -> Iterator[tuple[Place, ast.AST, ast.stmt]]:
    """Return every node inside of a function with its place, and the statement that it stands in; texts left out."""

    def walk(owner: ast.AST, near: ast.stmt | None) -> Iterator[tuple[Place, ast.AST, ast.stmt]]:
        for name, value in ast.iter_fields(owner):
            if name in _TEXTS.get(type(owner), ()):
                continue
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                if not isinstance(item, ast.AST) or isinstance(item, (ast.JoinedStr, ast.expr_context)):
                    continue
                if isinstance(item, ast.stmt) and _is_text(item):
                    continue
                inside = item if isinstance(item, ast.stmt) else near
                place = Place(owner=owner, field=name, index=index if isinstance(value, list) else None)
                if inside is not None:
                    yield place, item, inside
                yield from walk(item, inside)

    yield from walk(function, None)


def _changed(place: Place, node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """Return what may stand in place of a node, and the word for the change."""
    if isinstance(node, ast.stmt):
        yield from _statement(place, node)
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        new = ast.ExceptHandler(type=ast.Tuple([], ast.Load()), name=node.name, body=node.body)
        yield "except nothing", ast.copy_location(new, node)
    elif isinstance(node, ast.expr):
        yield from _condition(place, node)
        yield from _expression(place, node)


def _statement(place: Place, node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    kind = {ast.Raise: "no raise", ast.Continue: "no continue", ast.Break: "no break", ast.Delete: "no delete"}
    if type(node) in kind:
        yield kind[type(node)], ast.Pass()
    elif isinstance(node, ast.Expr) and not _is_super(node):
        value = node.value
        empty = ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load())))
        yield "no call", empty if isinstance(value, (ast.Yield, ast.YieldFrom)) else ast.Pass()
    elif isinstance(node, ast.AugAssign):
        yield "no assignment", ast.Pass()
    elif isinstance(node, ast.Assign):
        targets = [part for item in node.targets for part in (item.elts if isinstance(item, ast.Tuple) else [item])]
        if all(isinstance(item, (ast.Subscript, ast.Attribute)) for item in targets):
            yield "no assignment", ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None and _is_early(place):
        yield "no return", ast.Pass()


def _is_super(node: ast.Expr) -> bool:
    """Tell whether it calls `super`: without that the method has other free names, and cannot be put in place."""
    return any(isinstance(item, ast.Name) and item.id == "super" for item in ast.walk(node))


def _is_early(place: Place) -> bool:
    """Tell whether a return is not the last of its function, nor all that an `if` does (which is that condition)."""
    if isinstance(place.owner, _FUNCTIONS):
        return False
    alone = isinstance(place.owner, ast.If) and not place.owner.orelse and len(place.owner.body) == 1
    return not alone


def _condition(place: Place, node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    owner = place.owner
    asked = isinstance(owner, (ast.If, ast.While, ast.IfExp)) and place.field == "test"
    if asked or (isinstance(owner, ast.comprehension) and place.field == "ifs"):
        for value in (True, False):
            if not (isinstance(node, ast.Constant) and node.value is value):
                yield str(value).lower(), ast.Constant(value)
    elif isinstance(owner, ast.BoolOp) and place.field == "values":
        yield "no operand", ast.Constant(isinstance(owner.op, ast.And))


def _expression(place: Place, node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.BoolOp):
        other: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and/or", ast.BoolOp(other, node.values)
    elif isinstance(node, ast.Compare):
        yield from _comparison(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "negated", node.operand
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and not _is_joined(node):
        swapped: ast.operator = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield "plus/minus", ast.BinOp(node.left, swapped, node.right)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _call(node, node.func.id)
    elif isinstance(node, ast.Set) and isinstance(place.owner, ast.Compare) and len(node.elts) > 1:
        for index in range(len(node.elts)):
            yield "no member", ast.Set(node.elts[:index] + node.elts[index + 1 :])
    else:
        yield from _word(place, node)


def _comparison(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for word, table in (("negated", _NEGATED), ("boundary", _BOUNDARY)):
        for index, op in enumerate(node.ops):
            if type(op) in table:
                ops = [*node.ops[:index], table[type(op)](), *node.ops[index + 1 :]]
                yield word, ast.Compare(node.left, ops, node.comparators)


def _word(place: Place, node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        word = _WORDS.get(node.value.id, {}).get(node.attr)
        if word is not None:
            yield "another word", ast.Attribute(node.value, word, ast.Load())
    elif isinstance(node, ast.Constant) and type(node.value) is bool and place.field != "test":
        yield "another word", ast.Constant(not node.value)


def _is_joined(node: ast.BinOp) -> bool:
    """Tell whether it joins texts or tuples, which have no minus."""
    texts = (ast.JoinedStr, ast.Tuple, ast.List)
    return any(
        isinstance(item, texts) or (isinstance(item, ast.Constant) and isinstance(item.value, str))
        for side in (node.left, node.right)
        for item in ast.walk(side)
    )


def _call(node: ast.Call, name: str) -> Iterator[tuple[str, ast.AST]]:
    if name in _CALLS:
        yield "another call", ast.Call(ast.Name(_CALLS[name], ast.Load()), node.args, node.keywords)
    elif name == "suppress":
        yield "except nothing", ast.Call(node.func, [], [])
    elif name == "Commit":
        for index, item in enumerate(node.keywords):
            if item.arg in _COMMIT:
                left = node.keywords[:index] + node.keywords[index + 1 :]
                yield f"commit without {item.arg}", ast.Call(node.func, node.args, left)


# constants of a module: sets that decide, and tables of states


def _constants(item: ast.stmt) -> Iterator[tuple[str, str, str, str, Callable[[], None]]]:
    value = item.value if isinstance(item, (ast.Assign, ast.AnnAssign)) else None
    target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
    if not isinstance(target, ast.Name) or value is None:
        return
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "frozenset":
        for held in value.args:
            if isinstance(held, ast.Set):
                for index, member in enumerate(held.elts):
                    place = Place(owner=held, field="elts", index=index)
                    yield target.id, "no member", ast.unparse(member), "nothing", _putting(place, None, item)
    elif isinstance(value, ast.Dict) and value.values and all(isinstance(row, ast.Dict) for row in value.values):
        yield from _table(target.id, value, item)


def _table(name: str, table: ast.Dict, item: ast.stmt) -> Iterator[tuple[str, str, str, str, Callable[[], None]]]:
    """Every edge of a table taken out, or led elsewhere; each that it lacks put in, to where such a step leads."""
    pairs = zip(table.keys, table.values, strict=True)
    rows = [(ast.unparse(key), row) for key, row in pairs if key is not None and isinstance(row, ast.Dict)]
    states = [state for state, _ in rows]
    usual: dict[str, list[str | None]] = {}
    for _, row in rows:
        for step, leads in _edges(row).items():
            usual.setdefault(step, [leads])
    for state, row in rows:
        held = _edges(row)
        for step, led in usual.items():
            before = held.get(step)
            others = [None, *states] if before else led
            for to in others:
                if to != before:
                    change = _edge(row, step, to, item)
                    yield name, "another edge", f"{state}: {step}: {before or 'nothing'}", to or "nothing", change


def _edges(row: ast.Dict) -> dict[str, str]:
    return {ast.unparse(key): ast.unparse(to) for key, to in zip(row.keys, row.values, strict=True) if key}


def _edge(row: ast.Dict, step: str, to: str | None, item: ast.stmt) -> Callable[[], None]:
    def change() -> None:
        edges = [(key, value) for key, value in zip(row.keys, row.values, strict=True)]
        left = [(key, value) for key, value in edges if key is None or ast.unparse(key) != step]
        row.keys, row.values = [key for key, _ in left], [value for _, value in left]
        if to is not None:
            row.keys.append(ast.parse(step, mode="eval").body)
            row.values.append(ast.parse(to, mode="eval").body)
        ast.fix_missing_locations(item)

    return change
