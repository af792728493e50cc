"""Policies of the kit, in the specification's YAML: the rules of a check, over profiles of the kit's tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from navicert.conformance.tools import TOOLS

NONE: Final[Mapping[str, str]] = {}
WORLD: Final = "$WORLD"
"""Stands in a policy for the folder of the deployment's world, in which no tool of the kit writes but under `files`."""


def policy(
    rules: str = "", *, posture: str = "declared_reads", top: str = "", returns: Mapping[str, str] = NONE
) -> str:
    """Return a policy file. rules: the items of `rules`, two spaces in. top: further members, as lines of YAML.

    returns: by tool (`files.read`), the base label of its results in place of INTERNAL; empty for an undeclared one.
    """
    lines = ["policy: kit", "version: 1", f"posture: {posture}", *top.strip("\n").splitlines(), "tools:"]
    for name, tool in TOOLS.items():
        profile = {key: tool[key] for key in ("effect", "destination", "resource", "amount", "content") if key in tool}
        label = returns.get(name, "INTERNAL")
        text = msgspec.json.encode(profile).decode()[1:-1]
        lines.append(f"  kit.{name}: {{{text}{f', returns: {label}' if label else ''}}}")
    return "\n".join([*lines, "rules:" if rules.strip() else "rules: []", rules.strip("\n"), ""])


def placed(text: str, world: Path) -> str:
    """Return a policy with the world's folder filled in."""
    return text.replace(WORLD, str(world))
