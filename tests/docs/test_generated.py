"""The tables of the language's reference are those of its types, and nothing that the reader knows is left out."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from navicert.syntax import fields, policy, schema
from navicert.syntax.fields import KEYS, OPERATORS, SECTIONS

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("reference", ROOT / "scripts/reference.py")
assert SPEC is not None
assert SPEC.loader is not None
reference = importlib.util.module_from_spec(SPEC)
sys.modules["reference"] = reference
SPEC.loader.exec_module(reference)
PAGE = ROOT / reference.PAGE


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with the page as it is."""
    page = tmp_path / reference.PAGE
    page.parent.mkdir(parents=True)
    page.write_text(PAGE.read_text("utf-8"), encoding="utf-8")
    return tmp_path


def change(tree: Path, old: str, new: str) -> None:
    page = tree / reference.PAGE
    text = page.read_text("utf-8")
    assert old in text
    page.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_page_is_what_its_types_say(tree: Path) -> None:
    assert reference.main(tree, ["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| `3` |\n", "| `4` |\n"),
        ("| `under` |", "| `below` |"),
        ("<!-- end -->", "| `more` | than | there | is |\n<!-- end -->"),
    ],
)
def test_a_table_that_was_edited_by_hand_is_found_and_made_anew(tree: Path, capsys, old: str, new: str) -> None:
    change(tree, old, new)
    edited = (tree / reference.PAGE).read_text("utf-8")

    assert reference.main(tree, ["--check"]) == 1
    assert "run `scripts/reference.py`" in capsys.readouterr().err
    assert (tree / reference.PAGE).read_text("utf-8") == edited
    assert reference.main(tree, []) == 0
    assert (tree / reference.PAGE).read_text("utf-8") == PAGE.read_text("utf-8")


def test_prose_is_left_alone(tree: Path) -> None:
    change(tree, "## Places\n", "## Places\n\nA sentence more.\n")

    assert reference.main(tree, ["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<!-- generated: edits -->", ""),
        ("generated: edits", "generated: other"),
        ("generated: edits", "generated: rule"),
    ],
)
def test_a_table_that_is_missing_or_not_known_is_found(tree: Path, old: str, new: str) -> None:
    change(tree, old, new)

    assert reference.main(tree, ["--check"]) == 1


@pytest.mark.parametrize(
    ("where", "key"),
    [
        (fields.FIELDS_SAY, "context.denied"), (fields.OPERATORS_SAY, "at"), (schema.EDITS_SAY, "cap"),
        (schema.SOURCES_SAY, "file"), (schema.POSTURES_SAY, "deny"), (schema._TOP, "cascade"),
        (schema._OF_RULE, "risk"), (reference._LIMITS, "MAX_RISK"),
    ],
)  # fmt: skip
def test_what_has_no_description_fails_and_so_does_a_description_of_nothing(
    tree: Path, capsys, monkeypatch, where: dict[str, str], key: str
) -> None:
    with monkeypatch.context() as patch:
        patch.delitem(where, key)
        assert reference.main(tree, ["--check"]) == 1
        assert key in capsys.readouterr().err
    if where not in (schema._TOP, schema._OF_RULE):
        monkeypatch.setitem(where, "ghost", "nobody has seen it")
        assert reference.main(tree, ["--check"]) == 1
        assert "`ghost` is described" in capsys.readouterr().err


def test_a_new_entry_appears_by_itself(monkeypatch) -> None:
    monkeypatch.setitem(fields.SECTIONS["context"], "mood", fields.Type.TEXT)
    monkeypatch.setitem(fields.FIELDS_SAY, "context.mood", "how it feels")
    monkeypatch.setattr(policy, "MAX_CASCADE", 17)
    tables = reference.made()

    assert "| `context: {mood: …}` | text | how it feels |\n" in tables["fields"]
    assert "| `cascade` | integer, 1 to 17 |" in tables["top-level"]


def test_the_tables_have_every_key_field_and_operator() -> None:
    tables = reference.made()

    def first(name: str) -> set[str]:
        return set(re.findall(r"^\| `([^`]+)` \|", tables[name], re.MULTILINE))

    assert first("top-level") == set(policy._POLICY)
    assert first("rule") == set(policy._RULE)
    assert first("operators") == {*OPERATORS, "not"}
    assert {re.split(r"[:{]", row)[0] for row in first("fields")} == set(KEYS)
    assert all(f"`{of}: {{{name}: …}}`" in tables["fields"] for of, inner in SECTIONS.items() for name in inner)
