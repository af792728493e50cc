"""Processes that are killed at random, over and over, leave one log that everything can be derived from (R5)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import hammer


# seen to fail: with the anchor written before the checkpoint is durable, with `_still_there` skipped
def test_after_random_kills_everything_is_derived_anew_from_the_bytes(tmp_path: Path) -> None:
    found = hammer.hammer(tmp_path, actions=600, workers=2, seed=7)

    assert found.effects >= 600
    assert found.kills >= 2
    assert found.actions >= found.effects
    assert found.open >= 0
    assert found.checkpoints > 1
