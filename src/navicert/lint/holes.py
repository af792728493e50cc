"""Conditions on text that let more through than they seem to; what gets through is shown, and was tried (C.1, B.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from navicert.lint.book import Book, Finding, holds, inverted, permits
from navicert.lint.sample import samples
from navicert.model.policy import Condition, Edit, Operator, Rule

_PATHS: Final = frozenset({"path", "file", "filename", "folder", "directory", "dir"})
_ADDRESSES: Final = frozenset({"to", "cc", "bcc", "recipient", "recipients", "email", "url", "uri", "host"})
_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_ADDRESS: Final = re.compile(rf"(?:[^@/\s]*@|[a-z]+://)?(?:{_HOST.pattern})")
_DOT: Final = re.compile(r"(?<=[A-Za-z0-9])\.(?=[a-z]{2,}(?:$|[$/:|)]|\\z))")
_BEGUN: Final = re.compile(r"(?:\(\?[a-z]+\))?\^(?!.*\.[*+](?:[)$]|\\z)*$)")
_OTHER: Final = "evil.example"
_REAL: Final = "signals.path_"


def holes(book: Book) -> Iterator[Finding]:
    """Find paths that `..` leads out of, and destinations that a rule permits besides those that are meant."""
    careful = [rule for rule in book.policy.rules if _looks_for_dots(rule)]
    looking = [rule for rule in book.policy.rules if any(item.field.startswith(_REAL) for item in rule.match)]
    for place in book.policy.destinations:
        listed = Condition(field="destination", operator=Operator.MATCHES, value=place.pattern)
        yield from _open(book, None, listed, "destinations")
    for rule in book.policy.rules:
        if not any(other is rule or book.meet(rule, other) for other in looking):
            yield from _links(book, rule)
        for item in rule.match:
            if _is_path(book, rule, item) and not any(other is rule or book.meet(rule, other) for other in careful):
                yield _dots(book, rule, item)
        for way, item in _passing(rule):
            reached: list[Finding] = []
            if _is_address(book, rule, item) and not _closed(book, rule, item):
                reached = list(_reached(book, rule, item, way))
            yield from reached or _endless(book, rule, item, way)


def _passing(rule: Rule) -> Iterator[tuple[str, Condition]]:
    """Yield what says which values pass, with its key: conditions (under `not` to restrict), and constraints."""
    for part, items, allowing in (("match", rule.match, permits(rule)), ("constraints", rule.constraints, True)):
        for item in items:
            if rule.decision is not None and inverted(item) is not allowing:
                yield f"{part}.{item.field}", msgspec.structs.replace(item, negated=False)


def _roles(book: Book, rule: Rule, role: str) -> set[str]:
    """Return the parameters that play a role in some declared tool which the rule may match."""
    names = [item.value for item in rule.match if item.field == "tool" and item.operator is Operator.EQ]
    profiles = [item for item in book.policy.tools if not names or item.tool.rpartition(".")[0] in names]
    return {name for item in profiles for name in getattr(item, role)}


def _plays(book: Book, rule: Rule, item: Condition, role: str, usual: frozenset[str]) -> bool:
    name = item.field.removeprefix("parameters.")
    if item.field == role:
        return True
    return name != item.field and (name in usual or name in _roles(book, rule, role))


# --------------------------------------------------------------------------------------------------------------- paths


def _is_path(book: Book, rule: Rule, item: Condition) -> bool:
    is_prefix = item.operator is Operator.STARTS_WITH and str(item.value).startswith("/")
    return is_prefix and _plays(book, rule, item, "resource", _PATHS)


def _looks_for_dots(rule: Rule) -> bool:
    """Tell whether the rule looks for `..`, or takes it out."""
    texts = [str(item.value) for item in rule.match]
    return any(dots in text for text in texts for dots in ("..", r"\.\.", r"\.{2")) or any(
        edit.edit is Edit.PREFIX for edit in rule.modifications
    )


def _dots(book: Book, rule: Rule, item: Condition) -> Finding:
    folder = str(item.value).rstrip("/") or "/"
    leads_out = permits(rule) is not item.negated  # of the folder; or else past the rule into it
    example, begins = (f"{folder}/../other", "begins") if leads_out else (f"/any/..{folder}", "does not begin")
    return book.finding(
        "NV131",
        rule,
        f"match.{item.field}",
        f"`starts_with` does not resolve `..`: `{example}` {begins} with `{item.value}`",
        why="the tool resolves it, and works "
        + ("outside the folder that the rule is about" if leads_out else "in the folder without the rule noticing"),
        write="`not: {contains: '..'}` beside it in a rule that permits, or a DENY for `{contains: '..'}`",
    )


def _links(book: Book, rule: Rule) -> Iterator[Finding]:
    for part, items in (("match", rule.match), ("constraints", rule.constraints)):
        for item in items:
            if item.operator is Operator.UNDER:
                yield book.finding(
                    "NV135",
                    rule,
                    f"{part}.{item.field}",
                    "`under` judges the text of the path: a link in the folder leads wherever it likes",
                    why="who can make links there, reaches other files by a path that passes",
                    write="a DENY over it for `signals: {path_real: {not: {under: …}}}`; nothing, where nobody does",
                )


# -------------------------------------------------------------------------------------------------------- destinations


def _is_address(book: Book, rule: Rule, item: Condition) -> bool:
    return isinstance(item.value, str) and _plays(book, rule, item, "destination", _ADDRESSES)


def _alone(rule: Rule, item: Condition) -> bool:
    return sum(other.field == item.field for other in (*rule.match, *rule.constraints)) == 1


def _closed(book: Book, rule: Rule, item: Condition) -> bool:
    """Tell whether something else looks at the same value: then nothing is certain."""
    return not _alone(rule, item) or any(
        other_item.field in {item.field, "destination", "parameters.*"}
        for other in book.over(rule)
        for other_item in other.match
    )


def _endless(book: Book, rule: Rule, item: Condition, way: str) -> Iterator[Finding]:
    named = item.field in {"destination", "resource"} or item.field.startswith("parameters.")
    if item.operator is Operator.MATCHES and named and item.field != "parameters.*" and _alone(rule, item):
        yield from _open(book, rule, item, way)


def _open(book: Book, rule: Rule | None, item: Condition, way: str) -> Iterator[Finding]:
    """Find patterns with `^` in front and no end. What ends at a separator or with `.*` is meant to."""
    for sample in samples(str(item.value)) if _BEGUN.match(str(item.value)) else ():
        if sample[-1:].isalnum() and holds(item, sample) and holds(item, longer := f"{sample} and more"):
            what = f"the pattern has no end: it matches `{longer}` too"
            why = "what follows is not looked at, and passes"
            write = "`$` at the end; `.*$`, where that is meant"
            yield book.finding("NV136", rule, way, what, why=why, write=write)
            return


def _reached(book: Book, rule: Rule, item: Condition, way: str) -> Iterator[Finding]:
    text = str(item.value)
    if item.operator is Operator.MATCHES:
        found = next((hole for sample in samples(text) if (hole := _around(item, sample))), None)
        if found:
            hint = "anchor the pattern: `^` in front, `$` at the end (or `/` after the host of a URL)"
            yield _hole(book, rule, way, "NV132", f"the pattern is not anchored: it matches `{found}` too", hint)
        loose = next((found for dot in _DOT.finditer(_bare(text)) if (found := _dotted(item, dot.start()))), None)
        if loose:
            what = f"a plain `.` is any character: the pattern matches `{loose}` too"
            yield _hole(book, rule, way, "NV133", what, r"`\.` for a dot")
        return
    reached = _stretched(item, text)
    if reached and holds(item, reached):
        what = f"`{item.operator.value}` holds for `{reached}` too"
        hint = "`eq` or a list; `ends_with` from the `@` or a dot on; `starts_with` up to the `/` after the host"
        yield _hole(book, rule, way, "NV134", what, hint)


def _hole(book: Book, rule: Rule, way: str, code: str, what: str, write: str) -> Finding:
    why = "whoever owns that name gets what the rule " + ("permits" if permits(rule) else "lets pass")
    return book.finding(code, rule, way, what, why=why, write=write)


def _stretched(item: Condition, text: str) -> str | None:
    """Return an address of somebody else that the operator might take, or None where the text settles whose it is."""
    match item.operator:
        case Operator.CONTAINS if _ADDRESS.fullmatch(text):
            return f"{text}.{_OTHER}"
        case Operator.STARTS_WITH if re.fullmatch(r"[a-z]+://[^/?#\s]*[A-Za-z0-9]", text) and _ADDRESS.fullmatch(text):
            return f"{text}.{_OTHER}"
        case Operator.ENDS_WITH if _HOST.fullmatch(text) and text[0].isalnum():
            return f"evil{text}"
    return None


def _around(item: Condition, sample: str) -> str | None:
    """Return an address that the pattern takes with something before or after what it is meant for, or None.

    Only where the pattern fixes what stands there: one that leaves the name open is meant to.
    """
    address = _ADDRESS.match(sample)
    if not address or not holds(item, sample):
        return None
    after, before = f"{sample}.{_OTHER}", f"evil{sample}" if "://" not in sample else f"https://{_OTHER}/{sample}"
    whole = address[0] == sample  # what stands after a `/` is a path on the same host
    if whole and holds(item, after) and not any(holds(item, sample[:-1] + other) for other in _others(sample[-1])):
        return after
    fixed = sample[0].isalnum() and not any(holds(item, other + sample[1:]) for other in _others(sample[0]))
    return before if fixed and holds(item, before) else None


def _others(char: str) -> str:
    return "".join(other for other in "qx07-" if other != char.lower())


def _bare(pattern: str) -> str:
    """Return the pattern with what is escaped, or in a class, blanked; every character keeps its place."""
    return re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]", lambda found: "_" * len(found[0]), pattern)


def _dotted(item: Condition, at: int) -> str | None:
    pattern = str(item.value)
    changed = f"{pattern[:at]}x{pattern[at + 1 :]}"
    return next((sample for sample in samples(changed) if holds(item, sample)), None)
