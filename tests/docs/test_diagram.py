"""The diagram of an action's life is the table that the engine runs on."""

from __future__ import annotations

import re
from pathlib import Path

from navicert.core.lifecycle import diagram

PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/the-loop.md"


def test_the_diagram_in_the_docs_is_generated_from_the_lifecycle_table() -> None:
    blocks = re.findall(r"```mermaid\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    assert [diagram()] == blocks
