"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faults.support import Rig


@pytest.fixture
def rig(tmp_path) -> Iterator[Callable[..., Rig]]:
    """Make rigs over one home; each is closed, and its store verified, when the test ends."""
    made: list[Rig] = []

    def make(*args: Any, **ports: Any) -> Rig:
        made.append(Rig(tmp_path / "home", *args, **ports))
        return made[-1]

    yield make
    for item in made:
        item.bench.close()
    for item in made[:1]:
        item.close()
    assert [text for item in made for text in item.effects.unwarranted] == []
