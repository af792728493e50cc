"""The reference pages on receipts and verification say what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import msgspec

from navicert.model.receipt import Receipt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "reference"
WORDS = {str: "text", int: "integer", bool: "true or false"}


def word(hint):
    parts = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) is tuple:
        return f"list of {word(parts[0])}"
    if parts and all(isinstance(part, str) for part in parts):
        return "one of " + ", ".join(f"`{part}`" for part in parts)
    if parts:
        return word(parts[0])
    return WORDS.get(hint, "object")


def rows(struct, prefix=""):
    hints = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        optional = "optional" if not field.required else ""
        yield f"| `{prefix}{field.name}` | {word(hints[field.name])} | {optional} |"
        for part in (hints[field.name], *get_args(hints[field.name])):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                mark = "[]" if get_origin(hints[field.name]) is tuple else ""
                yield from rows(part, f"{prefix}{field.name}{mark}.")


def table():
    return "\n".join(["| member | type | |", "|---|---|---|", *rows(Receipt)])


def test_the_table_of_fields_is_that_of_the_structs():
    page = (DOCS / "receipts.md").read_text()
    found = re.search(r"<!-- fields -->\n(.*)\n<!-- /fields -->", page, re.DOTALL)
    assert found is not None, f"put this between the marks:\n{table()}"
    assert found.group(1) == table()


def codes():
    """Return every reason code that is raised anywhere in the source."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "VerificationError":
                found |= {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
                if isinstance(node.args[0], ast.Name):
                    # the codes that these take as an argument are written by their callers, in these same files
                    assert path.name in {"forms.py", "tree.py", "checkpoint.py"}, "a code is written where it is raised"
    return found | {"schema", "not_canonical"}


def test_every_reason_code_is_documented():
    page = (DOCS / "verify.md").read_text()
    section = page.partition("## Reason codes")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert documented == codes()
