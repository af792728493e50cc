"""The reference names everything that a user can write or meet: nothing in it is left undocumented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import navicert
from navicert.config import Config
from navicert.core.denial import _CONTRACT
from navicert.core.fields import ROLES
from navicert.model.action import Effect, ToolProfile
from navicert.model.errors import DenialKind
from navicert.sdk.guard import Guard
from navicert.sdk.session import Session

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def rows(page: str) -> set[str]:
    """Return the words in code that open a table row of the page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {
        word
        for line in text.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


def words(page: str) -> set[str]:
    """Return everything that stands in code in the page's prose."""
    return set(re.findall(r"`([^`\n]+)`", FENCE.sub("", (DOCS / page).read_text(encoding="utf-8"))))


def public(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_")}


def test_every_configuration_field_is_documented_and_no_other() -> None:
    fields = rows("reference/configuration.md") - {
        name for name in rows("reference/configuration.md") if "." in name or name.endswith("/")
    }

    assert set(Config.__struct_fields__) == fields


@pytest.mark.parametrize("field", [name for name in Config.__struct_fields__ if name not in {"origin", "service"}])
def test_every_default_of_the_configuration_is_the_documented_one(field: str) -> None:
    default = getattr(Config(origin="o", service="s"), field)
    text = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f"| `{field}` |"))

    assert line.split("|")[-2].strip() == f"`{default}`"


def test_every_part_of_a_tool_profile_is_documented() -> None:
    declared = set(ToolProfile.__struct_fields__) - {"tool"}

    assert set() == declared - rows("reference/sdk.md")
    assert set() == set(ROLES) - rows("reference/sdk.md")


def test_every_effect_is_documented() -> None:
    assert set() == {effect.value for effect in Effect} - rows("reference/sdk.md")


def test_every_kind_of_denial_is_documented() -> None:
    documented = rows("reference/denials.md")

    assert set() == {kind.name for kind in DenialKind} - documented
    assert set() == {kind.value for kind in DenialKind} - words("reference/denials.md")


@pytest.mark.parametrize("code", sorted(_CONTRACT))
def test_every_reason_code_of_a_refusal_is_documented_with_its_kind(code: str) -> None:
    text = (DOCS / "reference/denials.md").read_text(encoding="utf-8")
    kinds = {line.split("|")[2].strip() for line in text.splitlines() if line.startswith(f"| `{code}` |")}

    assert _CONTRACT[code][0].value in kinds


def test_every_reason_code_that_the_code_gives_is_documented() -> None:
    source = DOCS.parent / "src/navicert"
    text = "\n".join((source / name).read_text() for name in ("core/evaluate.py", "engine/deciding.py"))
    given = set(re.findall(r'reason_code="(\w+)"|_(?:deny|defer|forced|refusal)\([^"\n]*"(\w+)"', text))
    codes = {code for pair in given for code in pair if code}

    assert len(codes) > 10
    assert set() == codes - words("reference/denials.md")


def test_every_public_name_is_documented() -> None:
    text = (DOCS / "reference/sdk.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", text.split("## All names")[1].split("##")[0])) - {"navicert"}

    assert set(navicert.__all__) == listed


def test_every_method_of_guard_and_session_is_documented() -> None:
    text = (DOCS / "reference/sdk.md").read_text(encoding="utf-8")

    assert set() == {name for name in public(Guard) if f"guard.{name}(" not in text}
    assert set() == {name for name in public(Session) if f"| `{name}" not in text}


@pytest.mark.parametrize(
    "page", sorted(str(page.relative_to(DOCS.parent)) for page in [*DOCS.parent.glob("*.md"), *DOCS.rglob("*.md")])
)
def test_every_link_leads_somewhere(page: str) -> None:
    path = DOCS.parent / page
    targets = LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8")))

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_decision_record_is_listed() -> None:
    index = (DOCS / "adr/README.md").read_text(encoding="utf-8")

    assert [page.name for page in (DOCS / "adr").glob("0*.md") if f"]({page.name})" not in index] == []
