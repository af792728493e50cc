"""Every corpus, and who judges it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vectors import chain, fence, hooks, identities, stories
from vectors.judged import PINS, PLACE, RAN, STATES, Result, corpus, play, reachable

FORMAT: Final = "navicert/public-vectors/1"
PACKAGES: Final = {"agent-evidence-vectors": "0.27.0", "agent-hooks-sdk": "0.1.0b3"}
_ALLOW: Final = {RAN: "allow"}

JUDGES: Final[dict[str, Callable[[Path], list[Result]]]] = {
    "agent-hooks": hooks.judge,
    "approval-binding": lambda folder: play(
        folder, stories.approval, stories.APPROVAL_MEANS, stories.APPROVAL_FAILS, _ALLOW
    ),
    "authority-at-dispatch": lambda folder: play(folder, stories.authority, stories.AUTHORITY_MEANS, {}, _ALLOW),
    "converted-argument-binding": lambda folder: play(
        folder, stories.arguments, stories.ARGUMENT_MEANS, stories.ARGUMENT_FAILS, _ALLOW
    ),
    "dispatch-fence": lambda folder: play(folder, fence.judge, fence.MEANS, fence.FAILS, _ALLOW),
    "identity-binding": lambda folder: play(folder, identities.judge, identities.MEANS, {}, {RAN: "verified"}),
    "receipt-chain-end": lambda folder: play(folder, chain.judge, chain.MEANS, chain.FAILS, chain.ACCEPTS),
}


def judged(name: str, place: Path = PLACE) -> list[Result]:
    """Return what comes of one corpus; raises `ValueError` where its bytes are not the pinned ones."""
    folder = corpus(name, place)
    reachable(place)
    return JUDGES[name](folder)


def run(place: Path = PLACE) -> dict[str, Any]:
    """Return what comes of every corpus, as it is committed; raises `ValueError`, before anything is run."""
    folders = {name: corpus(name, place) for name in JUDGES}
    reachable(place)
    found: dict[str, Any] = {}
    for name, folder in folders.items():
        results = JUDGES[name](folder)
        counts = {state: sum(item.result == state for item in results) for state in STATES}
        found[name] = {"sha256": PINS[name][1], "counts": counts, "vectors": [item._asdict() for item in results]}
    return {"format": FORMAT, "packages": PACKAGES, "corpora": found}
