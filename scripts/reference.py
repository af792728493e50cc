"""Generate the tables of docs/reference/policy-language.md from the types that policy files are read by (R3.a).

* A table stands between `<!-- generated: NAME -->` and `<!-- end -->`; nothing else of the page is touched.
* Keys, types, bounds and defaults are those of the JSON Schema, which is made of the reader's own tables; so are the
  descriptions (`syntax/fields.py`, `syntax/schema.py`), which editors show too. What has none is an error.
* `scripts/reference.py` writes the page; with `--check` it writes nothing, and exits with 1 where the page differs.
  So it does with docs/reference/threats.md (`threats_page.py`).
"""
# ruff: noqa: SLF001 - the reader's tables are what is shown

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from navicert.model.decision import Verdict
from navicert.model.policy import Edit, Operator, Posture, SourceKind
from navicert.syntax import facts, fields, policy, reader, schema, words
from navicert.syntax import match as matching

PAGE: Final = "docs/reference/policy-language.md"
_MARKED: Final = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z-]+) -->\n)(?P<table>.*?)(?P<end><!-- end -->)", re.DOTALL
)
_LIMITS: Final[Mapping[str, str]] = {
    "MAX_BYTES": "bytes of a file",
    "MAX_DEPTH": "levels of nesting in a file",
    "MAX_SHOWN": "",  # of messages, not of the language
    "MAX_ID": "characters of an id, a name of a person or a category; twice as many of a tool, role, fact or signal",
    "MAX_REASON": "characters of a reason",
    "MAX_NAME": "characters of a rule's name",
    "MAX_PARAMETER": "characters of a parameter's name, a place, a folder or a prefix",
    "MAX_PATTERN": "characters of a pattern",
    "MAX_DURATION_S": "a duration, where no shorter bound stands",
    "MAX_VERSION": "the version",
    "MAX_PRIORITY": "a priority, as far below zero too",
    "MAX_APPROVALS": "approvals of one rule",
    "MAX_CASCADE": "actions that hang on one another while they wait",
    "MAX_RISK": "points of risk",
    "MAX_ACTIONS": "actions of an intent",
    "MAX_WINDOW_S": "the window of `rate` and `total`",
    "MAX_COUNT": "`above` of `rate`",
    "MAX_TOTAL": "`above` of `total`",
    "MAX_ATTEMPTS": "rounds of asking for a fact",
    "MAX_EVERY_S": "the time between two rounds",
    "MAX_WITHIN_S": "the time that one round may take",
    "MAX_PLACE": "characters of a path, a URL, a pointer or an argument of a fact",
    "MAX_QUESTION": "characters of a question to the requester",
}


class Incomplete(Exception):
    """The page, or what it is made of, is incomplete; the message says where."""


def generated(page: str) -> str:
    """Return the page with every table made anew; raises `Incomplete` where one is missing or not known."""
    found: list[str] = []

    def table(marked: re.Match[str]) -> str:
        found.append(marked["name"])
        if marked["name"] not in tables:
            raise Incomplete(f"no table is called `{marked['name']}`; there are {', '.join(tables)}")
        return f"{marked['open']}{tables[marked['name']]}{marked['end']}"

    tables = made()
    text = _MARKED.sub(table, page)
    if sorted(found) != sorted(tables) or text.count("<!-- generated:") != len(found):
        raise Incomplete(f"the page has the tables {', '.join(found)}; each of {', '.join(tables)} once is right")
    return text


def made() -> dict[str, str]:
    """Return every table by name; raises `Incomplete` for an entry without a description."""
    whole = schema.policy_schema()
    only, needs = policy._ONLY_WITH, {key: verdict for verdict, key in policy._REQUIRED_WITH.items()}
    return {
        "top-level": _table("key | value | meaning | default", _keys(whole)),
        "rule": _table(
            "key | value | with | meaning | default",
            ((key, value, _with(only, needs, key), *rest) for key, value, *rest in _keys(_def(whole, "rule"))),
        ),
        "classifications": _table(
            "classification | goes with", ((_code([each]), _code(to)) for each, to in policy._DECISIONS_OF.items())
        ),
        "fields": _table("field | value | meaning", _fields(whole)),
        "operators": _table("operator | of | holds when", _operators(whole)),
        "edits": _table("edit | value | does", _edits(whole)),
        "sources": _described("source", SourceKind, schema.SOURCES_SAY),
        "postures": _described("posture", Posture, schema.POSTURES_SAY),
        "limits": _table("at most | of", _limits()),
    }


def main(root: Path, arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; return the exit status."""
    page = root / PAGE
    before = page.read_text(encoding="utf-8")
    try:
        after = generated(before)
    except KeyError as error:  # the schema is made of the same descriptions
        print(f"{PAGE}: {error} has no description; give it one beside its type", file=sys.stderr)
        return 1
    except Incomplete as error:
        print(f"{PAGE}: {error}", file=sys.stderr)
        return 1
    if before == after:
        return 0
    if "--check" in arguments:
        print(f"{PAGE} is not what its types say; run `scripts/reference.py`", file=sys.stderr)
        return 1
    page.write_text(after, encoding="utf-8")
    return 0


# -------------------------------------------------------------------------------------------------------------- tables


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table; raises `Incomplete` for an empty cell, or one that breaks the table."""
    names = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(names)]
    for row in rows:
        cells = list(row)
        if len(cells) != len(names) or not all(cells):
            raise Incomplete(f"{cells[0]} has no {names[cells.index('')]}; describe it beside its type")
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _described(what: str, of: Iterable[str], says: Mapping[str, str]) -> str:
    entries = [str(each) for each in of]
    _no_more(says, entries)
    return _table(f"{what} | meaning", ((_code([each]), says.get(each, "")) for each in entries))


def _no_more(says: Mapping[str, str], entries: Iterable[str]) -> None:
    if gone := says.keys() - set(entries):
        raise Incomplete(f"{_code(sorted(gone))} is described, and there is no such thing; remove it")


def _keys(of: schema.Schema) -> Iterator[tuple[str, str, str, str]]:
    for key, value in of["properties"].items():
        default = "required" if key in of["required"] else _code([value["default"]]) if "default" in value else "none"
        yield _code([key]), _value(value), value.get("description", ""), default


def _with(only: Mapping[str, tuple[Verdict, ...]], needs: Mapping[str, Verdict], key: str) -> str:
    verdicts = only.get(key.strip("`"))
    if verdicts is None:
        return "every rule"
    if set(verdicts) == set(Verdict):
        return "a decision, whichever"
    return ", ".join(f"`{each}`" + (" (required)" if each is needs.get(key.strip("`")) else "") for each in verdicts)


def _fields(whole: schema.Schema) -> Iterator[tuple[str, str, str]]:
    match = _def(whole, "match")["properties"]
    seen = list(match)
    for key, value in match.items():
        inner = value.get("properties", {}) if key in fields.SECTIONS else {}
        shown = "" if inner else f"{key}: {{name: …}}" if key in fields.SECTIONS else key
        if shown:
            one = value["additionalProperties"] if key in fields.SECTIONS else value
            yield _code([shown]), _value(one, whole), value.get("description", "")
        for name, one in inner.items():
            seen.append(f"{key}.{name}")
            path = f"{key}: {{{name}{'.NAME' if name in fields.NAMED else ''}: …}}"
            of = one["additionalProperties"] if name in fields.NAMED else one
            yield _code([path]), _value(of, whole), one.get("description", "")
    _no_more(fields.FIELDS_SAY, [*seen, *fields.SECTIONS])


def _operators(whole: schema.Schema) -> Iterator[tuple[str, str, str]]:
    _no_more(fields.OPERATORS_SAY, [*fields.OPERATORS, "not"])
    of_any = _def(whole, "any")["anyOf"][-1]["properties"]
    for word in (*fields.OPERATORS, "not"):
        kinds = [kind for kind, apply in fields.APPLIES.items() if word == "not" or Operator(word) in apply]
        missing = [kind.value for kind in fields.APPLIES if kind not in kinds]
        of = "every type" if not missing else ", ".join(kind.value for kind in kinds)
        if missing and len(missing) < 4:
            of = f"every type but {', '.join(missing)}"
        yield _code([word]), of, of_any[word].get("description", "")


def _edits(whole: schema.Schema) -> Iterator[tuple[str, str, str]]:
    _no_more(schema.EDITS_SAY, [each.value for each in Edit])
    of = _def(whole, "rule")["properties"]["modifications"]["items"]["properties"]
    for edit in Edit:
        yield _code([edit.value]), _value(of[edit.value]), of[edit.value].get("description", "")


def _limits() -> Iterator[tuple[str, str]]:
    found = {
        name: value
        for module in (reader, words, policy, matching, facts)
        for name, value in vars(module).items()
        if name.startswith("MAX_")
    }
    _no_more(_LIMITS, found)
    for name, value in found.items():
        if name not in _LIMITS:
            raise Incomplete(f"{name} is not described in {Path(__file__).name}; say what it bounds")
        if _LIMITS[name]:
            yield _code([words.spelled(value)]) if name.endswith("_S") else f"{value:,}", _LIMITS[name]


# -------------------------------------------------------------------------------------------------------------- values


def _code(words_: Iterable[Any]) -> str:
    return ", ".join(f"`{word}`" for word in words_)


def _def(whole: schema.Schema, name: str) -> Any:
    return whole["$defs"][name]


def _value(of: schema.Schema, whole: schema.Schema | None = None) -> str:
    """Return a schema in words; raises `Incomplete` for a form that has none yet."""
    match of:
        case {"$ref": str(way)}:
            return _of_kind(way.rpartition("/")[2], whole)
        case {"enum": list(options)}:
            return _code(options)
        case {"const": True}:
            return "`true`"
        case {"anyOf": [{"type": "string"}, {"type": "array"}]}:
            return "one, or a list"
        case {"anyOf": [dict(one), {"type": "array"}]}:
            return f"{_value(one)}, or a list of them"
        case {"type": ("array" | "object") as kind}:
            return _inner(of, kind)
        case {"type": str(kind)}:
            return _single(of, kind)
        case _ if not of.keys() - {"description", "default"}:
            return "any value"
    raise Incomplete(f"the schema {of} has no words yet; add them to {Path(__file__).name}")


def _single(of: schema.Schema, kind: str) -> str:
    if "minimum" in of:
        return f"{kind}, {of['minimum']:,} to {of['maximum']:,}"
    if "examples" in of:
        return "duration"
    return {"string": "text"}.get(kind, kind)


def _inner(of: schema.Schema, kind: str) -> str:
    if kind == "array":
        return f"list of {_value(of['items'])}"
    if "properties" in of:
        return _code([f"{{{', '.join(of['properties'])}}}"])
    return f"{_value(of['additionalProperties'])}, by name"


def _of_kind(name: str, whole: schema.Schema | None) -> str:
    if name in {"match", "rule"}:
        return {"match": "conditions", "rule": "rules"}[name]
    kind = fields.Type[name.upper()]
    options = schema._value(kind).get("enum")
    return f"{kind.value}: {_code(options)}" if whole and options else kind.value


if __name__ == "__main__":
    import threats_page

    ROOT: Final = Path(__file__).resolve().parent.parent
    sys.exit(main(ROOT, sys.argv[1:]) or threats_page.main(ROOT, sys.argv[1:]))
