"""`drift` of a policy: the kind of agent, and what is different here (R7)."""

from __future__ import annotations

from typing import Final

import msgspec

from navicert.intent.drift import PROFILES, profile_of
from navicert.syntax import words
from navicert.syntax.reader import Fault, Node

SHARES: Final = {
    "slack": ("slack_ppm", 1),
    "limit": ("limit_ppm", 100),
    "mean": ("mean_ppm", 1),
    "scope": ("grown_ppm", 1),
}
"""Key → the field of a profile, and the highest number; written as decimals."""
COUNTS: Final = {
    "changes": ("changes", 1_000_000),
    "actions": ("length", 1_000_000),
    "levels": ("levels", 3),
    "pace": ("pace", 64),
}
KEYS = ("profile", *SHARES, *COUNTS)
KINDS = {name: name for name in PROFILES}


def read_drift(given: Node) -> dict[str, int]:
    """Return the whole profile, number by number; raises `Fault`."""
    found = words.fields(given, "`drift`", KEYS)
    nodes = found.nodes
    if not nodes:
        raise Fault(found.place, "`drift` is empty; name a `profile`, or leave it out")
    changed: dict[str, int] = {}
    for key, node in nodes.items():
        if key in SHARES:
            field, most = SHARES[key]
            changed[field] = words.millionths(node, f"`{key}`", most)
        elif key in COUNTS:
            field, most = COUNTS[key]
            changed[field] = words.integer(node, f"`{key}`", 0, most)
    if changed.get("limit_ppm") == 0:
        raise Fault(nodes["limit"].place, "`limit` is 0, and every session is at it; write a number above 0")
    named = words.choice(nodes["profile"], "`profile`", KINDS) if "profile" in nodes else "assistant"
    return msgspec.structs.asdict(profile_of(named, changed))
