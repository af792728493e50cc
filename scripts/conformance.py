"""What a run of the conformance kit came to, for readers: the page, the badge, and the contract's tables.

    scripts/conformance.py --publish FOLDER     take over the results of an evidence package, and make all of it anew
    scripts/conformance.py                      make page, badge and tables anew from what was taken over
    scripts/conformance.py --check              write nothing; exit with 1 where something differs

* Nothing of it is typed: it comes from `docs/reference/conformance/results.json`, which the statement beside it signs.
* A table stands between `<!-- generated: NAME -->` and `<!-- end -->`; nothing else of a page is touched.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import types
import typing
from base64 import b64decode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from time import time_ns
from typing import Any, Final

import msgspec

from navicert.conformance import contract
from navicert.conformance.checks import CHECKS
from navicert.conformance.package import RESULTS, STATEMENT, Results, fingerprint
from navicert.conformance.twins import TWINS
from navicert.conformance.verifying import verify_package

TAKEN: Final = "docs/reference/conformance"
PAGE: Final = "docs/reference/conformance.md"
CONTRACT: Final = "docs/reference/adapter-contract.md"
BADGE: Final = "docs/images/conformance.svg"
_MARKED: Final = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z-]+) -->\n)(?P<table>.*?)(?P<end><!-- end -->)", re.DOTALL
)
_SIGNS: Final = {"pass": "✓", "fail": "✕", "unmeasurable": "?"}
_REPLIES: Final = {
    contract.Start: contract.Started,
    contract.Submit: contract.Answered,
    contract.Resume: contract.Answered,
    contract.Approve: contract.Voted,
    contract.Find: contract.Found,
}
_VALUES: Final = (contract.Hello, contract.Issuer, contract.Started, contract.Answered, contract.Voted, contract.Record)


class Wrong(Exception):
    """What was taken over is not what was signed, or a page lacks a table; the message says which."""


def taken(root: Path) -> Results:
    """Return the published results; raises `Wrong` where they are not those that the statement signs."""
    data = (root / TAKEN / RESULTS).read_bytes()
    statement = json.loads(b64decode(json.loads((root / TAKEN / STATEMENT).read_bytes())["payload"]))
    signed = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    if signed.get(RESULTS) != sha256(data).hexdigest():
        raise Wrong(f"{TAKEN}/{RESULTS} is not what {STATEMENT} signs; publish a package again")
    return msgspec.json.decode(data, type=Results)


def publish(root: Path, package: Path) -> None:
    """Take over what a package says, once it verifies."""
    verify_package(package, root=None, now=time_ns() // 1000)
    (root / TAKEN).mkdir(exist_ok=True)
    for name in (RESULTS, STATEMENT):
        shutil.copyfile(package / name, root / TAKEN / name)


def made(root: Path) -> dict[str, str]:
    """Return every generated file, as it should be."""
    results = taken(root)
    found = {BADGE: badge(results)}
    for page in (PAGE, CONTRACT):
        text = (root / page).read_text(encoding="utf-8")
        found[page] = _MARKED.sub(lambda match: _filled(match, results), text)
    return found


def badge(results: Results) -> str:
    """Return the badge: MUSTs of R1 to R6 that have passed on every surface, of how many."""
    missing = {name for verdict in results.verdicts for name in verdict.missing}
    asked = results.verdicts[0].asked
    left, right = "AARM v1.0, self-assessed", f"{asked - len(missing)} of {asked} MUSTs"
    colour = "#2f7d4f" if not missing else "#9a6700"
    wide, narrow = 7 * len(left) + 14, 7 * len(right) + 14
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{wide + narrow}" height="20" role="img" aria-label="{left}: {right}">
<title>{left}: {right}, {results.made_at[:10]}</title>
<rect width="{wide + narrow}" height="20" rx="3" fill="#3b4753"/>
<path d="M{wide} 0h{narrow - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{narrow - 3}z" fill="{colour}"/>
<g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{wide / 2}" y="14" textLength="{wide - 14}">{left}</text>
<text x="{wide + narrow / 2}" y="14" textLength="{narrow - 14}">{right}</text></g>
</svg>
"""


def _filled(match: re.Match[str], results: Results) -> str:
    try:
        lines = _TABLES[match["name"]](results)
    except KeyError:
        raise Wrong(f"there is no table `{match['name']}`") from None
    return match["open"] + "".join(f"{line}\n" for line in lines) + match["end"]


def _about(results: Results) -> Iterator[str]:
    where = results.environment
    yield f"| made | {results.made_at[:16].replace('T', ' ')} UTC, good until {results.expires_at[:10]} |"
    yield "|---|---|"
    yield f"| product | {', '.join(results.registry['product'])}, commit {_commit(where)} |"
    yield f"| on | {where['system']}, Python {where['python']}, {where['processors']} processors |"
    for verdict in results.verdicts:
        missing = f"; not: {', '.join(verdict.missing)}" if verdict.missing else ""
        yield f"| {verdict.surface} | {verdict.passed} of {verdict.asked} MUSTs of {verdict.level}{missing} |"
    if results.parity is not None:
        count = len(results.parity["differences"])
        surfaces = ", ".join(results.parity["surfaces"])
        yield f"| parity | {results.parity['actions']} actions through {surfaces}: {count} differences |"
    yield f"| signed by | `{fingerprint(results.key['algorithm'], results.key['public'])}` |"


def _commit(where: dict[str, Any]) -> str:
    commit = where.get("commit") or "unknown"
    return commit[:12] + (", with changes" if commit.endswith("+") else "")


def _rows(results: Results) -> Iterator[str]:
    names = [hello.surface for hello in results.surfaces]
    yield f"| | asked for | {' | '.join(names)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for row in results.table:
        cells = [
            f"{_SIGNS[cell.result]} {cell.caught}/{cell.twins}" if cell.twins else _SIGNS[cell.result]
            for cell in row.cells
        ]
        should = " *(SHOULD)*" if row.level == "SHOULD" else ""
        yield f"| **{row.id}** | {row.text}{should} | {' | '.join(cells)} |"


def _missing(results: Results) -> Iterator[str]:
    yield "| | on | why |"
    yield "|---|---|---|"
    for row in results.table:
        for why in dict.fromkeys(cell.why for cell in row.cells if cell.why):
            where = [cell.surface for cell in row.cells if cell.why == why]
            yield f"| **{row.id}** | {', '.join(where)} | {_text(why)} |"


def _checks(results: Results) -> Iterator[str]:
    del results
    yield "| check | promises | holds | must notice |"
    yield "|---|---|---|---|"
    for each in CHECKS.values():
        twins = ", ".join(f"`{name}`" for name in each.twins)
        yield f"| {each.id} | {_text(each.title)} | {', '.join(each.serves)} | {twins} |"


def _twins(results: Results) -> Iterator[str]:
    del results
    yield "| twin | what is gone |"
    yield "|---|---|"
    for name, function in TWINS.items():
        yield f"| `{name}` | {_text((function.__doc__ or '').strip().splitlines()[0].rstrip('.'))} |"


def _requests(results: Results) -> Iterator[str]:
    del results
    yield "| `do` | members | answer | |"
    yield "|---|---|---|---|"
    for kind in typing.get_args(contract.Request):
        members = ", ".join(_member(field) for field in msgspec.structs.fields(kind))
        reply = _REPLIES.get(kind, contract.Done).__name__
        yield f"| `{kind.__struct_config__.tag}` | {members} | [{reply}](#values) | {_says(kind)} |"


def _values(results: Results) -> Iterator[str]:
    del results
    yield "| value | members | |"
    yield "|---|---|---|"
    for kind in (*_VALUES, contract.Link, contract.Found, contract.Done):
        members = ", ".join(_member(field) for field in msgspec.structs.fields(kind))
        yield f"| {kind.__name__} | {members} | {_says(kind)} |"


def _member(field: Any) -> str:
    optional = "" if field.required else "?"
    return f"`{field.encode_name}`{optional}: {_type(field.type)}"


def _type(kind: Any) -> str:
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(f"`{word}`" for word in of)
    if origin is tuple:
        return f"list of {_type(of[0])}"
    if origin is dict:
        return "object"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_type(each) for each in of)
    words = {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return words.get(kind, getattr(kind, "__name__", "any value"))


def _says(kind: Any) -> str:
    return _text(" ".join((kind.__doc__ or "").split()))


def _text(text: str) -> str:
    return text.replace("|", "\\|")


_TABLES: Final[dict[str, Callable[[Results], Iterator[str]]]] = {
    "about": _about,
    "rows": _rows,
    "missing": _missing,
    "checks": _checks,
    "twins": _twins,
    "requests": _requests,
    "values": _values,
}


def main(root: Path, *words: str) -> int:
    """Do what the words say; return the exit status."""
    if words[:1] == ("--publish",):
        publish(root, Path(words[1]))
    try:
        found = made(root)
    except Wrong as error:
        print(error, file=sys.stderr)
        return 1
    differing = [
        name for name, text in found.items() if not (root / name).exists() or (root / name).read_text("utf-8") != text
    ]
    if words[:1] == ("--check",):
        for name in differing:
            print(f"{name} is not what the last evidence comes to; run scripts/conformance.py", file=sys.stderr)
        return 1 if differing else 0
    for name in differing:
        (root / name).write_text(found[name], encoding="utf-8")
        print(f"   wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, *sys.argv[1:]))
